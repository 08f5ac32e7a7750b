//! `trace`, `untrace`: agents that write down what they do. The shell library of resource agents
//! does it when an operation carries `trace_ra` (ocf-shellfuncs, `ocf_start_trace`); what it wrote
//! lies below `/var/lib/heartbeat/trace_ra` of the node that ran it, or in `trace_dir`.

use super::super::Context;
use super::super::session::CLIENT;
use super::{known, misused};
use crate::cli::backend;
use crate::cli::exit::Failure;
use cib::edit::{SetKind, sanitize_id};
use cib::{Cib, Element};

/// `trace RESOURCE [OPERATION [INTERVAL]] [DIRECTORY]`.
struct Words<'a> {
    id: &'a str,
    /// `None` = all.
    operation: Option<&'a str>,
    interval: Option<&'a str>,
    folder: Option<&'a str>,
}

fn words_of<'a>(words: &'a [String]) -> Result<Words<'a>, Failure> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    let folder = match words.last() {
        Some(last) if last.starts_with('/') => words.pop(),
        _ => None,
    };
    let (id, operation, interval) = match words.as_slice() {
        [id] => (*id, None, None),
        [id, operation] => (*id, Some(*operation), None),
        [id, operation, interval] => (*id, Some(*operation), Some(*interval)),
        _ => {
            return Err(misused());
        }
    };
    Ok(Words {
        id,
        operation,
        interval,
        folder,
    })
}

/// From now on the operations write down what they do; one that is not configured is added.
pub(super) fn on(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = words_of(words)?;
    let (traced, _) = backend::edit(&mut context.backend, CLIENT, |cib| {
        known(cib, words.id)?;
        for missing in missing(cib, &words)? {
            add(cib, words.id, &missing, words.interval)?;
        }
        set(cib, &words, Some("1"))
    })?;
    let what = traced.join(", ");
    let id = words.id;
    context.console.info(&format!(
        "Trace for {id} ({what}) is written to {} of the node that runs it",
        words.folder.unwrap_or(TRACE_DIR)
    ));
    context.console.info(&format!(
        "`crm resource untrace {id}` ends it; a recurring operation is traced from its next run on"
    ));
    Ok(())
}

/// They stop writing it down.
pub(super) fn off(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words = words_of(words)?;
    let (ended, _) = backend::edit(&mut context.backend, CLIENT, |cib| {
        known(cib, words.id)?;
        set(cib, &words, None)
    })?;
    if !ended.is_empty() {
        let text = format!("Stop tracing {} ({})", words.id, ended.join(", "));
        context.console.info(&text);
    }
    Ok(())
}

fn primitive<'a>(cib: &'a Cib, id: &str) -> Result<&'a Element, Failure> {
    let config = cib::config::Config::new(cib);
    let found = config.resource(id).map(|r| r.element);
    found.filter(|e| e.name == "primitive").ok_or_else(|| {
        Failure::usage(format!(
            "{id} has no operations of its own: name the primitive in it"
        ))
    })
}

/// Operations that are to be traced and not configured: the one asked for, or start and stop.
fn missing(cib: &Cib, words: &Words<'_>) -> Result<Vec<String>, Failure> {
    let primitive = primitive(cib, words.id)?;
    let ops: Vec<&Element> = primitive
        .all("operations")
        .flat_map(|list| list.all("op"))
        .collect();
    let configured = |name: &str| ops.iter().any(|op| op.attr("name") == Some(name));
    let wanted = match words.operation {
        Some(one) if !OPERATIONS.contains(&one) && !configured(one) => {
            let known = OPERATIONS.join(", ");
            return Err(Failure::usage(format!(
                "{} has no operation {one}: there are {known}",
                words.id
            )));
        }
        Some(one) => vec![one],
        None => vec!["start", "stop"],
    };
    let there = |name: &&str| {
        ops.iter()
            .any(|op| op.attr("name") == Some(*name) && fits(op, words))
    };
    let missing = wanted.into_iter().filter(|name| !there(name));
    Ok(missing.map(str::to_owned).collect())
}

fn fits(op: &Element, words: &Words<'_>) -> bool {
    let milliseconds = |text: &str| cib::value::parse_interval_ms(text).ok();
    let interval = op.attr("interval").unwrap_or("0");
    let same_interval = words
        .interval
        .is_none_or(|wanted| milliseconds(wanted) == milliseconds(interval));
    words
        .operation
        .is_none_or(|name| op.attr("name") == Some(name))
        && same_interval
}

fn add(cib: &mut Cib, id: &str, name: &str, interval: Option<&str>) -> Result<(), Failure> {
    let interval = interval.unwrap_or("0s");
    cib::value::parse_interval_ms(interval)?;
    let Some(resource) = find(cib.root_mut(), id) else {
        return Ok(());
    };
    let op = Element::new("op")
        .with("id", &sanitize_id(&format!("{id}-{name}-{interval}")))
        .with("name", name)
        .with("interval", interval);
    match resource.first_mut("operations") {
        Some(list) => list.children.push(op),
        None => resource.children.push(Element::new("operations").child(op)),
    }
    Ok(())
}

/// Sets the mark (`Some`) or takes it away; says of which operations.
fn set(cib: &mut Cib, words: &Words<'_>, value: Option<&str>) -> Result<Vec<String>, Failure> {
    primitive(cib, words.id)?;
    let mut changed = Vec::new();
    let Some(resource) = find(cib.root_mut(), words.id) else {
        return Ok(changed);
    };
    let lists = resource
        .children
        .iter_mut()
        .filter(|c| c.name == "operations");
    for op in lists.flat_map(|list| &mut list.children) {
        if op.name != "op" || !fits(op, words) {
            continue;
        }
        let was = op
            .all(SetKind::Instance.tag())
            .flat_map(|s| s.all("nvpair"))
            .any(|p| p.attr("name") == Some("trace_ra"));
        if value.is_none() && !was {
            continue;
        }
        mark(op, "trace_ra", value);
        mark(op, "trace_dir", value.and(words.folder));
        changed.push(op.attr("name").unwrap_or_default().to_owned());
    }
    changed.dedup();
    Ok(changed)
}

fn mark(op: &mut Element, name: &str, value: Option<&str>) {
    let tag = SetKind::Instance.tag();
    let owner = op.id().unwrap_or_default().to_owned();
    let at = op.children.iter().position(|c| c.name == tag);
    let at = match (at, value) {
        (Some(at), _) => at,
        (None, None) => return,
        (None, Some(_)) => {
            let id = format!("{owner}-{tag}");
            op.children.push(Element::new(tag).with("id", &id));
            op.children.len() - 1
        }
    };
    let set = &mut op.children[at];
    set.children.retain(|p| p.attr("name") != Some(name));
    if let Some(value) = value {
        let id = sanitize_id(&format!("{}-{name}", set.id().unwrap_or_default()));
        let pair = Element::new("nvpair").with("id", &id);
        set.children
            .push(pair.with("name", name).with("value", value));
    }
    if op.children[at].children.is_empty() {
        op.children.remove(at);
    }
}

fn find<'a>(element: &'a mut Element, id: &str) -> Option<&'a mut Element> {
    if element.name == "primitive" && element.id() == Some(id) {
        return Some(element);
    }
    element.children.iter_mut().find_map(|c| find(c, id))
}

/// Operations that the cluster may ask for, configured or not.
const OPERATIONS: [&str; 9] = [
    "start",
    "stop",
    "monitor",
    "promote",
    "demote",
    "notify",
    "migrate_to",
    "migrate_from",
    "reload",
];
/// Where the shell library of resource agents writes (`HA_VARLIB`).
const TRACE_DIR: &str = "/var/lib/heartbeat/trace_ra";
