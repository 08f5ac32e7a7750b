//! `failcount`: how often a resource failed on a node; forgotten, or set by hand.

use super::super::Context;
use super::{known, known_node, misused};
use crate::cli::attributes;
use crate::cli::backend::{self, ask_done};
use crate::cli::exit::Failure;
use crate::ipc::Request;
use crate::view;
use cib::Cib;
use cib::config::Config;

/// `failcount RESOURCE show|delete [NODE]`, `failcount RESOURCE set NODE COUNT`.
pub(super) fn run(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (id, verb, node, count) = match words.as_slice() {
        [id, "set", node, count] => (*id, "set", Some(*node), *count),
        [id, verb @ ("show" | "delete")] => (*id, *verb, None, ""),
        [id, verb @ ("show" | "delete"), node] => (*id, *verb, Some(*node), ""),
        _ => return Err(misused()),
    };
    let cib = backend::cib(&mut context.backend, false)?;
    known(&cib, id)?;
    if let Some(node) = node {
        known_node(&cib, node)?;
    }
    match (verb, node) {
        ("set", Some(node)) => set(context, &cib, id, node, count),
        ("show", node) => show(context, id, node),
        (_, node) => {
            let request = Request::Cleanup {
                resource: Some(id.to_owned()),
                node: node.map(str::to_owned),
            };
            let text = ask_done(&mut context.backend, &request)?;
            context.console.line(&text);
            Ok(())
        }
    }
}

fn show(context: &mut Context<'_>, id: &str, node: Option<&str>) -> Result<(), Failure> {
    let status = backend::status(&mut context.backend)?;
    let nodes = status.nodes.iter();
    for node in nodes.filter(|n| node.is_none_or(|w| w == n.name)) {
        let counts = status.failcounts.iter();
        let counts = counts.filter(|f| f.resource == id && f.node == node.name);
        let count = counts.map(|f| f.count).fold(0, u32::saturating_add);
        let value = view::score(count);
        context
            .console
            .line(&format!("scope=status name=fail-count-{id} value={value}"));
    }
    Ok(())
}

/// Counts belong to operations: the whole number becomes that of one, and the others' are forgotten.
fn set(
    context: &mut Context<'_>,
    cib: &Cib,
    id: &str,
    node: &str,
    count: &str,
) -> Result<(), Failure> {
    let infinite = count.eq_ignore_ascii_case("infinity") || count.eq_ignore_ascii_case("inf");
    let value = match (infinite, count.parse::<u32>()) {
        (true, _) => "INFINITY".to_owned(),
        (false, Ok(number)) => view::score(number),
        _ => {
            return Err(Failure::usage(format!(
                "`{count}` is no count: write a whole number, or INFINITY"
            )));
        }
    };
    let status = backend::status(&mut context.backend)?;
    let standing = status.failcounts.iter();
    let standing = standing.filter(|f| f.resource == id && f.node == node);
    let mut operations: Vec<String> = standing.map(|f| f.operation.clone()).collect();
    if operations.is_empty() {
        operations.push(counted(cib, id));
    }
    for (number, operation) in operations.iter().enumerate() {
        let name = format!("fail-count-{id}#{operation}");
        let value = (number == 0 && value != "0").then_some(value.as_str());
        attributes::set(&mut context.backend, node, &name, value)?;
    }
    Ok(())
}

/// The operation that counts where none has failed: the recurring monitor, else the start.
fn counted(cib: &Cib, id: &str) -> String {
    let config = Config::new(cib);
    let ops = config.resource(id).map(|r| config.ops(&r));
    let ops = ops.unwrap_or_default().into_iter();
    let mut recurring = ops.filter(|op| op.name == "monitor" && op.interval_ms > 0);
    match recurring.next() {
        Some(op) => format!("monitor_{}", op.interval_ms),
        None => "start_0".to_owned(),
    }
}
