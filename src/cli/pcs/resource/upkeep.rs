//! `pcs resource cleanup`, `refresh`, `failcount`.

use super::super::Context;
use super::super::change::{known, known_node};
use super::super::level::misused;
use crate::cli::backend::{self, ask_done};
use crate::cli::crm_resource::control::forget_operation;
use crate::cli::exit::Failure;
use crate::ipc::Request;
use crate::view;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// `[RESOURCE] [node=NODE]`.
fn words_of(words: &[String]) -> Result<(Option<&str>, Option<&str>), Failure> {
    let (mut id, mut node) = (None, None);
    for word in words {
        match word.split_once('=') {
            Some(("node", name)) => node = Some(name),
            None if id.is_none() => id = Some(word.as_str()),
            _ => return Err(misused()),
        }
    }
    Ok((id, node))
}

/// `cleanup [RESOURCE] [node=NODE] [operation=NAME [interval=TIME]]`; `refresh` is the same here.
pub(in crate::cli::pcs) fn cleanup(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (of, words): (Vec<String>, Vec<String>) = words
        .iter()
        .cloned()
        .partition(|w| w.starts_with("operation=") || w.starts_with("interval="));
    let (id, node) = words_of(&words)?;
    let cib = cx.cib()?;
    if let Some(id) = id {
        known(&cib, id)?;
    }
    if let Some(node) = node {
        known_node(&cib, node)?;
    }
    let named = |name: &str| of.iter().find_map(|w| w.strip_prefix(name));
    match (id, named("operation="), named("interval=")) {
        (_, None, None) => {}
        (Some(id), Some(operation), interval) => {
            let of = (operation, interval.unwrap_or("0"));
            return forget_operation(cx.backend, cx.console, id, node, of);
        }
        (None, Some(_), _) => {
            return Err(Failure::usage("operation= needs a resource: which one?"));
        }
        (_, None, Some(_)) => {
            return Err(Failure::usage("interval= needs an operation= as well"));
        }
    }
    let request = Request::Cleanup {
        resource: id.map(str::to_owned),
        node: node.map(str::to_owned),
    };
    let text = ask_done(cx.backend, &request)?;
    cx.console.line(&text);
    Ok(())
}

/// By node: operation and its fail count.
type OfNodes<'a> = BTreeMap<&'a str, Vec<(&'a str, u32)>>;

/// `failcount [show [RESOURCE] [node=NODE]]`.
pub(in crate::cli::pcs) fn failcount(
    cx: &mut Context<'_>,
    words: &[String],
) -> Result<(), Failure> {
    let words = match words {
        [verb, rest @ ..] if verb == "show" => rest,
        [verb, ..] if verb == "reset" || verb == "delete" => {
            return Err(Failure::usage(
                "fail counts are reset by `pcs resource cleanup`",
            ));
        }
        words => words,
    };
    let (id, node) = words_of(words)?;
    let cib = cx.cib()?;
    if let Some(id) = id {
        known(&cib, id)?;
    }
    let status = backend::status(cx.backend)?;
    let mut counts: BTreeMap<&str, OfNodes<'_>> = BTreeMap::new();
    for count in &status.failcounts {
        let fits = id.is_none_or(|id| id == count.resource)
            && node.is_none_or(|node| node == count.node)
            && count.count > 0;
        if fits {
            let of_node = counts.entry(&count.resource).or_default();
            let list = of_node.entry(&count.node).or_default();
            list.push((&count.operation, count.count));
        }
    }
    let mut text = String::new();
    if counts.is_empty() {
        let of = id
            .map(|id| format!(" for resource '{id}'"))
            .unwrap_or_default();
        let on = node.map(|n| format!(" on node '{n}'")).unwrap_or_default();
        let _ = writeln!(text, "No failcounts{of}{on}");
    }
    for (id, nodes) in counts {
        let _ = writeln!(text, "Failcounts for resource '{id}'");
        for (node, operations) in nodes {
            if cx.flags.has("full") {
                let _ = writeln!(text, "  {node}:");
                for (operation, count) in operations {
                    let (name, interval) = operation.rsplit_once('_').unwrap_or((operation, "0"));
                    let _ = writeln!(text, "    {name} {interval}ms: {}", view::score(count));
                }
            } else {
                let sum = operations
                    .iter()
                    .map(|(_, n)| *n)
                    .fold(0, u32::saturating_add);
                let _ = writeln!(text, "  {node}: {}", view::score(sum));
            }
        }
    }
    cx.console.print(&text);
    Ok(())
}
