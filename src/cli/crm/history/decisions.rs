//! Transitions: what the DC decided, from the inputs that are kept of them.

use super::super::Context;
use super::kept;
use crate::cli::backend;
use crate::cli::crm_simulate::{decided_at, now_s, read_source};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{mainstay, plan};
use crate::inputs::Kept;
use crate::view::asctime;
use cib::{Cib, Element};
use scheduler::Options;

/// `pe-input-17`.
pub(super) fn name(kept: &Kept) -> String {
    format!("{}-{}", kept.series.name(), kept.number)
}

/// The names of all that are kept here, for completion.
pub(in super::super) fn names() -> Vec<String> {
    kept().unwrap_or_default().iter().map(name).collect()
}

/// A line for each, the oldest first; or their files.
pub(super) fn list(context: &mut Context<'_>, files: bool) -> Result<(), Failure> {
    let period = context.period;
    let mut kept = kept()?;
    kept.retain(|k| period.has(k.at));
    kept.reverse();
    if kept.is_empty() {
        context.console.info(
            "nothing is kept here: decisions are kept where they are made, on the node that was the DC",
        );
    }
    for one in &kept {
        let line = match files {
            true => one.path.display().to_string(),
            false => format!("{}  {}", asctime(one.at), name(one)),
        };
        context.console.line(&line);
    }
    Ok(())
}

/// `transition [TRANSITION] [scores]`: what was decided, and from what.
pub(super) fn transition(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let mut spec: Option<&str> = None;
    let mut scores = false;
    for word in words {
        match word.as_str() {
            "scores" => scores = true,
            // Pictures and more words about the same are left to crm_simulate.
            "nograph" | "actions" | "utilization" | "v" | "vv" | "vvv" => {}
            "showdot" | "save" | "log" | "tags" => {
                return Err(Failure {
                    cure: Some(
                        "`crm_simulate -x FILE -S -D FILE.dot` draws one, `crm cib import FILE` makes a shadow of it".to_owned(),
                    ),
                    ..Failure::new(
                        Exit::Unimplemented,
                        format!("history transition {word} is not offered"),
                    )
                });
            }
            other if spec.is_none() => spec = Some(other),
            _ => return Err(super::misused()),
        }
    }
    let (heading, root) = read(spec.unwrap_or("-1"))?;
    let options = Options {
        now: decided_at(&root).unwrap_or_else(now_s),
    };
    let plan = match scores {
        true => scheduler::schedule_with_scores(&root, &options),
        false => scheduler::schedule(&root, &options),
    };
    context.console.line(&heading);
    plan::print(context.console, &plan);
    Ok(())
}

/// A transition by number, by index from the newest (-1), by name or by file.
fn read(spec: &str) -> Result<(String, Element), Failure> {
    if std::path::Path::new(spec).is_file() {
        return Ok((format!("{spec}:"), read_source(Some(spec))?));
    }
    let kept = kept()?;
    let found = match spec.parse::<i64>() {
        Ok(index @ ..=-1) => {
            let at = usize::try_from(-(index + 1)).unwrap_or(usize::MAX);
            kept.get(at)
        }
        _ => mainstay::find_decision(&kept, spec)?,
    };
    let found = found.ok_or_else(|| Failure {
        cure: Some(
            "`crm history transitions` lists those that are kept here; decisions are kept where they are made, on the node that was the DC".to_owned(),
        ),
        ..Failure::no_such(format!("there is no transition {spec} here"))
    })?;
    let root = read_source(Some(&found.path.display().to_string()))?;
    let heading = format!("{} of {}:", name(found), asctime(found.at));
    Ok((heading, root))
}

/// The configuration that a transition was decided from; `live` is the present one.
pub(super) fn cib(context: &mut Context<'_>, spec: &str) -> Result<Cib, Failure> {
    match spec {
        "live" => backend::cib(&mut context.backend, false),
        spec => Ok(Cib::from_element(read(spec)?.1)?),
    }
}
