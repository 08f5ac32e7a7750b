//! Operations, attributes and bans as `crm_mon` writes them (`-o`, `-t`, `-A`, `-L`).

use super::model::{NodeDetails, OperationResult, ResourceHistory, Status};
use super::tell::{asctime, ocf_code};
use std::fmt::Write as _;

/// `Node Attributes:`.
pub(super) fn attributes(status: &Status) -> String {
    let mut with = status
        .told_by_present()
        .filter(|n| !n.attributes.is_empty())
        .peekable();
    if with.peek().is_none() {
        return String::new();
    }
    let mut text = String::from("\nNode Attributes:\n");
    for node in with {
        let _ = writeln!(text, "  * Node: {}:", node.node);
        for (name, value) in &node.attributes {
            let note = connectivity(node, name, value);
            let _ = writeln!(text, "    * {name:<32}\t: {value:<10}{note}");
        }
    }
    text
}

/// Behind an attribute that a ping resource sets, when fewer hosts answer than it asks.
fn connectivity(node: &NodeDetails, name: &str, value: &str) -> String {
    let expected = node.expected.iter().find(|(own, _)| own == name);
    let value: i64 = value.parse().unwrap_or(0);
    match expected {
        Some(_) if value <= 0 => "\t: Connectivity is lost".to_owned(),
        Some((_, expected)) if value < *expected => {
            format!("\t: Connectivity is degraded (Expected={expected})")
        }
        _ => String::new(),
    }
}

/// `Operations:`, with times and results where asked for.
pub(super) fn operations(status: &Status, timing: bool) -> String {
    let mut text = String::from("\nOperations:\n");
    for node in status.told_by_present().filter(|n| !n.history.is_empty()) {
        let _ = writeln!(text, "  * Node: {}:", node.node);
        for history in &node.history {
            let _ = writeln!(text, "    * {}:", heading(history));
            for result in &history.operations {
                let _ = writeln!(text, "      * {}", operation(result, timing));
            }
        }
    }
    text
}

fn heading(history: &ResourceHistory) -> String {
    let mut line = format!(
        "{}: migration-threshold={}",
        history.resource, history.threshold
    );
    if let Some(count) = history.fail_count {
        let _ = write!(line, " fail-count={}", count.unsigned_abs());
    }
    if let Some(last) = history.last_failure {
        let _ = write!(line, " last-failure='{}'", asctime(last));
    }
    line
}

fn operation(result: &OperationResult, timing: bool) -> String {
    let mut notes = Vec::new();
    if result.interval_ms > 0 {
        notes.push(format!("interval=\"{}ms\"", result.interval_ms));
    }
    if timing {
        if let Some(at) = result.last_rc_change {
            notes.push(format!("last-rc-change=\"{}\"", asctime(at)));
        }
        for (name, ms) in [
            ("exec-time", result.exec_time_ms),
            ("queue-time", result.queue_time_ms),
        ] {
            notes.extend(ms.map(|ms| format!("{name}=\"{ms}ms\"")));
        }
        notes.push(format!("rc={} ({})", result.rc, ocf_code(result.rc)));
    }
    let head = format!("({}) {}", result.call_id, result.task);
    match notes.as_slice() {
        [] => head,
        notes => format!("{head}: {}", notes.join(" ")),
    }
}

/// `Negative Location Constraints:`.
pub(super) fn bans(status: &Status) -> String {
    let mut text = String::from("\nNegative Location Constraints:\n");
    for ban in &status.bans {
        let role = if ban.promoted_only {
            "in Promoted role "
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  * {}\tprevents {} from running {role}on {}",
            ban.id, ban.resource, ban.node
        );
    }
    text
}
