//! What failed: the failures that stand in the history, and the migration summary.

use super::tell::{asctime, exec_status, interval, ocf_code};
use super::{FailCount, Status, leaves};
use scheduler::OpFailure;
use std::fmt::Write as _;

/// `Migration Summary:`, after an empty line.
pub(super) fn migration(status: &Status) -> String {
    // Without a node that is there, nothing is said (Pacemaker crm_mon's node-summary).
    if !status.nodes.iter().any(|node| node.online) {
        return String::new();
    }
    let mut text = String::from("\nMigration Summary:\n");
    for node in &status.nodes {
        let mut ids: Vec<&str> = Vec::new();
        let counts: Vec<&FailCount> = status
            .failcounts
            .iter()
            .filter(|f| f.node == node.name)
            .collect();
        for count in &counts {
            if !ids.contains(&count.resource.as_str()) {
                ids.push(&count.resource);
            }
        }
        if ids.is_empty() {
            continue;
        }
        let _ = writeln!(text, "  * Node: {}:", node.name);
        for id in ids {
            let _ = writeln!(text, "    * {}", migration_line(id, &counts));
        }
    }
    text
}

fn migration_line(id: &str, counts: &[&FailCount]) -> String {
    let own: Vec<&&FailCount> = counts.iter().filter(|f| f.resource == id).collect();
    let total = own.iter().map(|f| f.count).fold(0, u32::saturating_add);
    let threshold = own.iter().map(|f| f.threshold).max().unwrap_or(0);
    let threshold = if threshold == 0 { 1_000_000 } else { threshold };
    let mut line = format!(
        "{id}: migration-threshold={threshold} fail-count={}",
        total.min(1_000_000)
    );
    if let Some(last) = own.iter().filter_map(|f| f.last_failure).max() {
        let _ = write!(line, " last-failure='{}'", asctime(last));
    }
    line
}

/// `Failed Resource Actions:`, after an empty line.
pub(super) fn failed(status: &Status, detail: bool) -> String {
    let mut text = String::new();
    for failure in all(status) {
        let line = match detail {
            true => detailed_failure(failure),
            false => failure_line(failure),
        };
        let _ = writeln!(text, "  * {line}");
    }
    if text.is_empty() {
        return text;
    }
    format!("\nFailed Resource Actions:\n{text}")
}

/// Failures that stand in the history, each once. That a probe found a node where the resource
/// cannot run is none (Pacemaker pe_output.c:failed_action_list).
pub(crate) fn all(status: &Status) -> Vec<&OpFailure> {
    let mut found: Vec<&OpFailure> = Vec::new();
    let mut add = |failure| {
        if !OpFailure::is_masked_probe(failure) && !found.contains(&failure) {
            found.push(failure);
        }
    };
    for resource in &status.resources {
        leaves(resource, &mut |leaf| {
            leaf.failures.iter().for_each(&mut add)
        });
    }
    status.leftover_failures.iter().for_each(add);
    found
}

/// Resource, operation and interval in milliseconds of an operation key.
pub(crate) fn parse_key(key: &str) -> (&str, &str, u64) {
    let whole = (key, "", 0);
    let Some((front, milliseconds)) = key.rsplit_once('_') else {
        return whole;
    };
    let Some((id, operation)) = front.rsplit_once('_') else {
        return whole;
    };
    // migrate_to and migrate_from have an underscore of their own.
    if let (Some(id), "to" | "from") = (id.strip_suffix("_migrate"), operation) {
        let operation = &front[id.len() + 1..];
        return (id, operation, milliseconds.parse().unwrap_or(0));
    }
    (id, operation, milliseconds.parse().unwrap_or(0))
}

fn detailed_failure(failure: &OpFailure) -> String {
    let mut line = format!(
        "{} on {} '{}' ({}): call={}, status='{}'",
        failure.key,
        failure.node,
        ocf_code(failure.rc),
        failure.rc,
        failure.call_id,
        exec_status(failure.op_status)
    );
    if !failure.exit_reason.is_empty() {
        let _ = write!(line, ", exitreason='{}'", failure.exit_reason);
    }
    if let Some(at) = failure.last_rc_change {
        let _ = write!(
            line,
            ", last-rc-change='{}', queued={}ms, exec={}ms",
            asctime(at),
            failure.queue_time_ms,
            failure.exec_time_ms
        );
    }
    line
}

/// A failure in a line, as `crm_mon` tells it.
pub(crate) fn failure_line(failure: &OpFailure) -> String {
    let (id, operation, every_ms) = parse_key(&failure.key);
    let mut line = format!("{id} ");
    if every_ms > 0 {
        let _ = write!(line, "{}-interval ", interval(every_ms));
    }
    // A monitor that is not repeated looks whether there is something (lib/common/actions.c,
    // `crm_action_str`).
    let operation = match (operation, every_ms) {
        ("monitor", 0) => "probe",
        (other, _) => other,
    };
    let _ = write!(line, "{operation} on {} ", failure.node);
    let reason = match failure.exit_reason.as_str() {
        "" => None,
        reason => Some(reason),
    };
    if failure.op_status == 0 {
        let _ = write!(line, "returned '{}'", ocf_code(failure.rc));
        if let Some(reason) = reason {
            let _ = write!(line, " ({reason})");
        }
    } else {
        let _ = write!(
            line,
            "could not be executed ({}",
            exec_status(failure.op_status)
        );
        if let Some(reason) = reason {
            let _ = write!(line, ": {reason}");
        }
        line.push(')');
    }
    if let Some(at) = failure.last_rc_change {
        let _ = write!(line, " at {}", asctime(at));
    }
    if failure.exec_time_ms > 0 {
        let _ = write!(line, " after {}", interval(failure.exec_time_ms));
    }
    line
}
