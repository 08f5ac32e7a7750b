//! `crm cib`: copies of the configuration that are worked on by name, and carried over to the
//! cluster when they are done.

use super::session::CLIENT;
use super::usage::{alone, misused};
use super::{Context, configuration_text};
use crate::cli::backend::{self, shadow};
use crate::cli::crm_shadow;
use crate::cli::crm_simulate::read_source;
use crate::cli::diff;
use crate::cli::exit::{Exit, Failure};
use cib::{Cib, Section};

/// Verbs of the level.
pub(super) const VERBS: [&str; 9] = [
    "new", "use", "list", "show", "diff", "commit", "reset", "delete", "import",
];

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match verb {
        "new" => new(context, words),
        "use" => work_on(context, words),
        "list" => {
            alone(words)?;
            let active = context.backend.shadow().map(str::to_owned);
            for name in shadow::names() {
                let mark = if active.as_ref() == Some(&name) {
                    " (in use)"
                } else {
                    ""
                };
                context.console.line(&format!("{name}{mark}"));
            }
            Ok(())
        }
        "show" => {
            alone(words)?;
            let cib = backend::cib(&mut context.backend, true)?;
            context.console.print(&cib.to_xml());
            Ok(())
        }
        "diff" => difference(context, words),
        "commit" => commit(context, words),
        "reset" => {
            let name = named(context, verb, words)?;
            shadow::existing(&name)?;
            make(context, &name, false)?;
            context
                .console
                .info(&format!("{name} is the cluster's again"));
            Ok(())
        }
        "delete" => delete(context, words),
        _ => import(context, words),
    }
}

/// The shadow that was named, else the one that is worked on.
fn named(context: &Context<'_>, verb: &str, words: &[String]) -> Result<String, Failure> {
    match words {
        [] => context
            .backend
            .shadow()
            .map(str::to_owned)
            .ok_or_else(|| Failure {
                cure: Some("`crm cib list` prints the shadows there are".to_owned()),
                ..Failure::usage(format!("{verb}: which shadow?"))
            }),
        [name] => Ok(name.clone()),
        _ => Err(misused()),
    }
}

/// `new [withstatus] [force] [empty] NAME`, the words in any order.
fn new(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let mut name = None;
    let (mut force, mut empty, mut status) = (context.options.force, false, false);
    for word in words {
        match word.as_str() {
            "force" => force = true,
            "empty" => empty = true,
            "withstatus" => status = true,
            other if name.is_none() => name = Some(other),
            _ => return Err(misused()),
        }
    }
    let name = name.ok_or_else(misused)?;
    if shadow::path(name)?.exists() && !force {
        return Err(Failure {
            cure: Some(format!(
                "`crm cib delete {name}` removes it, `crm cib new {name} force` puts a new one in its place"
            )),
            ..Failure::new(Exit::Exists, format!("shadow CIB {name} already exists"))
        });
    }
    match empty {
        true => crm_shadow::write(name, &Cib::empty())?,
        false => make(context, name, status)?,
    }
    context.backend.work_on(name)?;
    context
        .console
        .info(&format!("cib.new: {name} shadow CIB created"));
    Ok(())
}

/// Makes a shadow of what the cluster has.
fn make(context: &mut Context<'_>, name: &str, status: bool) -> Result<(), Failure> {
    let mut cib = backend::cib(context.backend.cluster(), status)?;
    if !status {
        cib.section_mut(Section::Status).children.clear();
    }
    crm_shadow::write(name, &cib)?;
    reread(context, name)
}

/// What is worked on was written anew.
fn reread(context: &mut Context<'_>, name: &str) -> Result<(), Failure> {
    match context.backend.shadow() == Some(name) {
        true => context.backend.work_on(name),
        false => Ok(()),
    }
}

/// `use [NAME | live]`.
fn work_on(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    match words {
        [] => context.backend.back(),
        [live] if live == "live" => context.backend.back(),
        [name] => context.backend.work_on(name)?,
        [name, status] if name != "live" && status == "withstatus" => {
            context.backend.work_on(name)?;
        }
        _ => return Err(misused()),
    }
    Ok(())
}

/// What the shadow changes, as lines of `configure show`.
fn difference(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let name = named(context, "diff", words)?;
    let (shadowed, _) = crm_shadow::read(&name)?;
    let cluster = backend::cib(context.backend.cluster(), false)?;
    let text = diff::unified(
        &configuration_text(&cluster)?,
        &configuration_text(&shadowed)?,
    );
    context.console.print(&text);
    Ok(())
}

fn commit(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words: Vec<String> = words.iter().filter(|w| *w != "force").cloned().collect();
    let name = named(context, "commit", &words)?;
    let committed = crm_shadow::carry_over(context.backend.cluster(), &name, CLIENT)?;
    for text in committed.warnings {
        context.console.warning(&text);
    }
    context
        .console
        .info(&format!("committed '{name}' shadow CIB to the cluster"));
    if context.options.wait {
        context.backend.back();
        return context.wait();
    }
    Ok(())
}

fn delete(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [name] = words else {
        return Err(misused());
    };
    if context.backend.shadow() == Some(name.as_str()) {
        return Err(Failure::new(
            Exit::Unsafe,
            format!("{name} is in use: `crm cib use` returns to the cluster"),
        ));
    }
    shadow::existing(name)?;
    crm_shadow::remove(name)?;
    context.console.info(&format!("{name} shadow CIB deleted"));
    Ok(())
}

/// `import FILE [NAME]`: a decision's input, or any CIB in a file, as a shadow.
fn import(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (file, name) = match words {
        [file] => (file, None),
        [file, name] => (file, Some(name.clone())),
        _ => return Err(misused()),
    };
    let path = std::path::Path::new(file);
    let stem = || path.file_stem().map(|s| s.to_string_lossy().into_owned());
    let name = name.or_else(stem).unwrap_or_default();
    if shadow::path(&name)?.exists() && !context.options.force {
        return Err(Failure::new(
            Exit::Exists,
            format!("shadow CIB {name} already exists; say -F to put {file} in its place"),
        ));
    }
    let cib = Cib::from_element(read_source(Some(file))?)?;
    crm_shadow::write(&name, &cib)?;
    context.backend.work_on(&name)?;
    context
        .console
        .info(&format!("{file} is shadow CIB {name} now"));
    Ok(())
}
