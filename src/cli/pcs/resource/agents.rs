//! `pcs resource standards`, `providers`, `agents`, `list`, `describe`.

use super::super::agent::{self, MetaData};
use super::super::level::misused;
use super::super::words::is_it;
use super::super::{Context, resource::ops};
use crate::cli::crm::agents::Agents;
use crate::cli::exit::Failure;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Classes of this machine, by name.
fn classes(cx: &Context<'_>) -> Vec<String> {
    let mut classes: Vec<String> = cx
        .agents
        .classes()
        .iter()
        .filter_map(|c| c.split(' ').next().map(str::to_owned))
        .collect();
    classes.sort();
    classes
}

pub(super) fn standards(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    nothing_more(words)?;
    for class in classes(cx).iter().filter(|c| *c != "stonith") {
        cx.console.line(class);
    }
    Ok(())
}

pub(super) fn providers(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    nothing_more(words)?;
    for provider in cx.agents.providers() {
        cx.console.line(&provider);
    }
    Ok(())
}

fn nothing_more(words: &[String]) -> Result<(), Failure> {
    match words {
        [] => Ok(()),
        _ => Err(misused()),
    }
}

/// `agents [CLASS[:PROVIDER]]`: types, by name.
pub(super) fn agents(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let names = match words {
        [] => {
            let mut all: Vec<String> = classes(cx)
                .iter()
                .filter(|c| *c != "stonith")
                .flat_map(|c| cx.agents.list(c, None))
                .collect();
            all.sort();
            all.dedup();
            all
        }
        [spec] => {
            let (class, provider) = match spec.split_once(':') {
                Some((class, provider)) => (class, Some(provider)),
                None => (spec.as_str(), None),
            };
            let known = classes(cx);
            if !known.iter().any(|c| c == class) {
                let near = is_it(class, known.iter().map(String::as_str));
                return Err(Failure::no_such(format!(
                    "No agents for {spec}: there is no standard {class}{near}"
                )));
            }
            let names = cx.agents.list(class, provider);
            if names.is_empty() {
                return Err(Failure::no_such(format!(
                    "No agents for {spec} please check that you have the correct standard and provider"
                )));
            }
            names
        }
        _ => return Err(misused()),
    };
    for name in names {
        cx.console.line(&name);
    }
    Ok(())
}

/// `list [FILTER]`: full names with what each does.
pub(super) fn list(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let filter = match words {
        [] => None,
        [filter] => Some(filter.to_lowercase()),
        _ => return Err(misused()),
    };
    let mut names = Vec::new();
    for class in classes(cx) {
        match class.as_str() {
            "stonith" => {}
            "ocf" => {
                for provider in cx.agents.providers() {
                    let kinds = cx.agents.list("ocf", Some(&provider));
                    names.extend(kinds.iter().map(|k| format!("ocf:{provider}:{k}")));
                }
            }
            class => {
                let kinds = cx.agents.list(class, None);
                names.extend(kinds.iter().map(|k| format!("{class}:{k}")));
            }
        }
    }
    names.sort();
    let fits = |n: &&String| filter.as_ref().is_none_or(|f| n.to_lowercase().contains(f));
    let names: Vec<String> = names.iter().filter(fits).cloned().collect();
    if names.is_empty() {
        return Err(Failure::no_such("No resource agents matching the filter."));
    }
    columns(cx, &names, |name| name.to_owned())
}

/// `NAME - short description`, a line each.
///
/// # Errors
/// None: an agent that says nothing is listed by its name.
pub(in crate::cli) fn columns(
    cx: &mut Context<'_>,
    names: &[String],
    spec: impl Fn(&str) -> String,
) -> Result<(), Failure> {
    let specs: Vec<String> = names.iter().map(|name| spec(name)).collect();
    let shorts = match cx.flags.has("nodesc") {
        true => vec![String::new(); specs.len()],
        false => shorts_of(&cx.agents, &specs),
    };
    for (name, short) in names.iter().zip(shorts) {
        match short.is_empty() {
            true => cx.console.line(name),
            false => cx.console.line(&format!("{name} - {short}")),
        }
    }
    Ok(())
}

/// What each agent says of itself in a line. Agents are programs, some of them slow to start:
/// several are asked at once.
fn shorts_of(agents: &Agents, specs: &[String]) -> Vec<String> {
    let shorts = Mutex::new(vec![String::new(); specs.len()]);
    let next = AtomicUsize::new(0);
    let take = || {
        let at = next.fetch_add(1, Ordering::Relaxed);
        Some((at, specs.get(at)?))
    };
    std::thread::scope(|scope| {
        for _ in 0..ASKED_AT_ONCE {
            scope.spawn(|| {
                while let Some((at, spec)) = take() {
                    let short = short_of(agents, spec);
                    shorts.lock().unwrap_or_else(PoisonError::into_inner)[at] = short;
                }
            });
        }
    });
    shorts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn short_of(agents: &Agents, spec: &str) -> String {
    use crate::cli::crm::ra;
    let agent = agents.resolve(spec);
    let element =
        agent.and_then(|a| ra::meta_data(agents, &a).and_then(|t| ra::parse_meta(&a, &t)));
    let Ok(element) = element else {
        return String::new();
    };
    let inner = element.first("shortdesc").map(|t| t.text.trim().to_owned());
    let attr = element.attr("shortdesc").map(str::to_owned);
    inner.filter(|t| !t.is_empty()).or(attr).unwrap_or_default()
}

/// `describe AGENT`.
pub(super) fn describe(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [spec] = words else {
        return Err(misused());
    };
    let agent = agent::find(cx, spec)?;
    let meta = agent::meta_data(cx, &agent)?.unwrap_or_default();
    describe_agent(cx, &agent.spec(), &meta, "Resource options");
    Ok(())
}

/// An agent's parameters and operations, as text.
pub(in crate::cli) fn describe_agent(
    cx: &mut Context<'_>,
    name: &str,
    meta: &MetaData,
    heading: &str,
) {
    let mut text = match meta.short.is_empty() {
        true => format!("{name}\n"),
        false => format!("{name} - {}\n", on_a_line(&meta.short)),
    };
    if !meta.long.is_empty() {
        let _ = write!(text, "\n{}\n", on_a_line(&meta.long));
    }
    if !meta.parameters.is_empty() {
        let _ = write!(text, "\n{heading}:\n");
    }
    for parameter in &meta.parameters {
        let mut notes = String::new();
        if parameter.required {
            notes.push_str(" (required)");
        }
        if parameter.unique {
            notes.push_str(" (unique)");
        }
        let said = [&parameter.long, &parameter.short];
        let said = said.into_iter().find(|t| !t.is_empty());
        let said = said.map_or("No description available", |t| t.as_str());
        let _ = writeln!(text, "  {}{notes}: {}", parameter.name, on_a_line(said));
    }
    let own: Vec<_> = ops::own(meta);
    if !own.is_empty() {
        text.push_str("\nDefault operations:\n");
    }
    for op in own {
        let _ = writeln!(text, "  {}:", op[0].1);
        for (name, value) in &op[1..] {
            let _ = writeln!(text, "    {name}={value}");
        }
    }
    cx.console.print(&text);
}

fn on_a_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.join(" ")
}

/// Agents that are asked for their descriptions at the same time.
const ASKED_AT_ONCE: usize = 8;
