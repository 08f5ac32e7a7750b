//! `crm node`: standby, online, maintenance, attributes.

use super::Context;
use super::session::CLIENT;
use super::usage::{alone, misused};
use super::words::Attribute;
use crate::cli::attributes;
use crate::cli::backend::{self, ask_done};
use crate::cli::exit::{Exit, Failure};
use crate::cli::removal;
use crate::ipc::Request;
use cib::config::Config;
use cib::edit::{self, SetKind};
use std::fmt::Write as _;

/// Verbs of the level.
pub(super) const VERBS: [&str; 14] = [
    "standby",
    "online",
    "maintenance",
    "ready",
    "show",
    "status",
    "list",
    "attribute",
    "fence",
    "delete",
    "server",
    "clearstate",
    "status-attr",
    "utilization",
];

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match verb {
        "standby" => set(context, words, "standby", "on"),
        "online" => unset(context, words, "standby", "off"),
        "maintenance" => set(context, words, "maintenance", "true"),
        "ready" => unset(context, words, "maintenance", "false"),
        "show" | "list" | "status" => show(context, words),
        "server" => {
            alone(words)?;
            server(context)
        }
        "attribute" => attribute(context, words, Lifetime::Forever),
        "status-attr" => attribute(context, words, Lifetime::Reboot),
        "fence" => fence(context, words),
        "delete" => delete(context, words),
        "utilization" => utilization(context, words),
        _ => clearstate(context, words),
    }
}

/// Sets an attribute of the named node, or of this one: for ever, or until the node's reboot.
fn set(
    context: &mut Context<'_>,
    words: &[String],
    name: &str,
    value: &str,
) -> Result<(), Failure> {
    match whose(context, words, name)? {
        (node, Lifetime::Reboot) => attributes::set(&mut context.backend, &node, name, Some(value)),
        (node, Lifetime::Forever) => set_for_ever(context, &node, name, Some(value)),
    }
}

/// Takes back what [`set`] did, whichever lifetime it had: who says `online` wants the node online.
fn unset(
    context: &mut Context<'_>,
    words: &[String],
    name: &str,
    value: &str,
) -> Result<(), Failure> {
    let (node, lifetime) = whose(context, words, name)?;
    if lifetime == Lifetime::Forever {
        set_for_ever(context, &node, name, Some(value))?;
    }
    let cib = backend::cib(&mut context.backend, true)?;
    let mut standing = attributes::valid(&cib, &node).into_iter();
    match standing.any(|(n, _)| n == name) {
        true => attributes::set(&mut context.backend, &node, name, None),
        false => Ok(()),
    }
}

fn set_for_ever(
    context: &mut Context<'_>,
    node: &str,
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    backend::edit(&mut context.backend, CLIENT, |cib| {
        known(cib, node)?;
        Ok(edit::set_node_attribute(cib, node, name, value)?)
    })?;
    Ok(())
}

/// How long an attribute lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    Reboot,
    Forever,
}

/// `[NODE] [reboot|forever]`.
fn whose(
    context: &mut Context<'_>,
    words: &[String],
    what: &str,
) -> Result<(String, Lifetime), Failure> {
    let lifetime = |word: &str| match word {
        "reboot" => Some(Lifetime::Reboot),
        "forever" => Some(Lifetime::Forever),
        _ => None,
    };
    let (node, lifetime) = match words {
        [] => (None, Lifetime::Forever),
        [one] => match lifetime(one) {
            Some(lifetime) => (None, lifetime),
            None => (Some(one.clone()), Lifetime::Forever),
        },
        [node, word] => {
            let wrong = || {
                Failure::usage(format!(
                    "bad lifetime for {what}: {word}; it is `reboot` or `forever`"
                ))
            };
            (Some(node.clone()), lifetime(word).ok_or_else(wrong)?)
        }
        _ => {
            return Err(misused());
        }
    };
    let node = match node {
        Some(node) => node,
        None => backend::local_node(&mut context.backend)?,
    };
    known(&backend::cib(&mut context.backend, false)?, &node)?;
    Ok((node, lifetime))
}

fn known(cib: &cib::Cib, node: &str) -> Result<(), Failure> {
    match Config::new(cib).node(node) {
        Some(_) => Ok(()),
        None => Err(Failure::no_such(format!(
            "Node \"{node}\" is not a cluster node; `crm node show` lists them"
        ))),
    }
}

fn show(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let cib = backend::cib(&mut context.backend, false)?;
    let status = backend::status(&mut context.backend)?;
    let config = Config::new(&cib);
    if let Some(node) = words.first() {
        known(&cib, node)?;
    }
    if words.len() > 1 {
        return Err(misused());
    }
    let mut text = String::new();
    for node in config.nodes() {
        if words
            .first()
            .is_some_and(|w| w != node.uname && w != node.id)
        {
            continue;
        }
        let state = status.nodes.iter().find(|n| n.name == node.uname);
        let offline = state.is_none_or(|n| !n.online);
        let mark = if offline { "(offline)" } else { "" };
        let _ = writeln!(text, "{}({}): {}{mark}", node.uname, node.id, node.kind);
        for (name, value) in &node.attributes {
            let _ = writeln!(text, "\t{name}={value}");
        }
    }
    context.console.print(&text);
    Ok(())
}

fn server(context: &mut Context<'_>) -> Result<(), Failure> {
    let cib = backend::cib(&mut context.backend, false)?;
    for node in Config::new(&cib).nodes() {
        context.console.line(node.uname);
    }
    Ok(())
}

/// `attribute NODE …` for ever, `status-attr NODE …` until the node's reboot.
fn attribute(
    context: &mut Context<'_>,
    words: &[String],
    lifetime: Lifetime,
) -> Result<(), Failure> {
    let Attribute {
        of: node,
        name,
        value,
    } = Attribute::parse(words)?;
    let cib = backend::cib(&mut context.backend, true)?;
    known(&cib, node)?;
    match (value, lifetime) {
        (None, lifetime) => show_attribute(context, &cib, node, name, lifetime),
        (Some(value), Lifetime::Reboot) => attributes::set(&mut context.backend, node, name, value),
        (Some(value), Lifetime::Forever) => set_for_ever(context, node, name, value),
    }
}

/// An amount that is set (`None` deletes it) counts as a whole number only.
///
/// # Errors
/// It is none.
pub(super) fn whole_number(name: &str, value: Option<&str>) -> Result<(), Failure> {
    match value {
        Some(value) if value.trim().parse::<i64>().is_err() => Err(Failure::new(
            Exit::DataErr,
            format!("{name}: `{value}` is not a whole number: write one, without a unit"),
        )),
        _ => Ok(()),
    }
}

/// `utilization NODE set NAME VALUE | delete NAME | show NAME`.
fn utilization(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let Attribute {
        of: node,
        name,
        value,
    } = Attribute::parse(words)?;
    let cib = backend::cib(&mut context.backend, false)?;
    known(&cib, node)?;
    let Some(value) = value else {
        let found = Config::new(&cib).node(node).map(|n| n.element);
        let sets = found.into_iter().flat_map(|n| n.all("utilization"));
        let mut pairs = sets.flat_map(|s| s.all("nvpair"));
        let value = pairs
            .find(|p| p.attr("name") == Some(name))
            .and_then(|p| p.attr("value"));
        let value = value
            .ok_or_else(|| Failure::no_such(format!("node {node} has no utilization {name}")))?;
        let line = format!("scope=nodes  name={name} value={value}");
        context.console.line(&line);
        return Ok(());
    };
    backend::edit(&mut context.backend, CLIENT, |cib| {
        known(cib, node)?;
        whole_number(name, value)?;
        edit::set_in_node(cib, node, SetKind::Utilization, name, value)?;
        Ok(())
    })?;
    Ok(())
}

fn show_attribute(
    context: &mut Context<'_>,
    cib: &cib::Cib,
    node: &str,
    name: &str,
    lifetime: Lifetime,
) -> Result<(), Failure> {
    let (scope, value) = match lifetime {
        Lifetime::Forever => {
            let found = Config::new(cib).node(node);
            let value = found.and_then(|n| n.attributes.get(name).copied());
            ("nodes", value)
        }
        Lifetime::Reboot => {
            let found = attributes::valid(cib, node).into_iter();
            let mut found = found.filter(|(n, _)| *n == name);
            ("status", found.next().map(|(_, v)| v))
        }
    };
    let value =
        value.ok_or_else(|| Failure::no_such(format!("node {node} has no attribute {name}")))?;
    let line = format!("scope={scope}  name={name} value={value}");
    context.console.line(&line);
    Ok(())
}

fn delete(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [node] = words else {
        return Err(misused());
    };
    let left = removal::remove(&mut context.backend, node, context.options.force, CLIENT)?;
    context.console.info(&format!("node {node} deleted"));
    for text in left {
        context.console.warning(&text);
    }
    Ok(())
}

/// A node that is really off counts as fenced from then on.
fn clearstate(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [node] = words else {
        return Err(misused());
    };
    known(&backend::cib(&mut context.backend, false)?, node)?;
    let question = format!(
        "What runs on {node} is started elsewhere; do you really want to drop its state, and is it off?"
    );
    if !context.confirm(&question)? {
        return Ok(());
    }
    let node = node.clone();
    let text = ask_done(&mut context.backend, &Request::ConfirmDown { node })?;
    context.console.info(&text);
    Ok(())
}

fn fence(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [node] = words else {
        return Err(misused());
    };
    known(&backend::cib(&mut context.backend, false)?, node)?;
    if !context.confirm(&format!(
        "Fencing {node} cuts its power. Do you want to go on?"
    ))? {
        return Ok(());
    }
    let request = Request::Fence {
        node: node.clone(),
        action: "reboot".to_owned(),
    };
    let text = ask_done(&mut context.backend, &request)?;
    context.console.info(&text);
    Ok(())
}
