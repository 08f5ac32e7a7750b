//! The status in the words of Pacemaker 1.1 (`crm_mon --legacy`): probes written for it look at
//! the beginning of lines.

use super::list::{Look, show_nodes};
use super::printer::{Form, Printer};
use super::tell::{asctime, count};
use super::{Status, failures, summary, text};
use std::fmt::Write as _;

/// Everything.
#[must_use]
pub fn document(status: &Status) -> String {
    let mut out = String::from("============\n");
    let _ = writeln!(out, "Last updated: {}", asctime(status.now));
    let _ = writeln!(out, "Stack: {}", summary::stack(status));
    let quorum = match status.quorate {
        true => "partition with quorum",
        false => "partition WITHOUT quorum",
    };
    let _ = match &status.dc {
        Some(dc) => writeln!(out, "Current DC: {dc} - {quorum}"),
        None => writeln!(out, "Current DC: NONE"),
    };
    let _ = writeln!(out, "Version: {}", summary::version(status));
    let _ = writeln!(
        out,
        "{} Nodes configured, {} expected votes",
        status.nodes.len(),
        status.votes.0
    );
    let _ = writeln!(
        out,
        "{} Resources configured.",
        count(&status.resources).configured
    );
    out.push_str("============\n\n");
    let mut nodes = Printer::new(Form::Fancy, cib::Element::default());
    show_nodes(&mut nodes, Look::all(&status.nodes, true));
    out.push_str(&nodes.take());
    out.push_str("\nFull list of resources:\n\n");
    let options = text::Options {
        inactive: true,
        ..text::Options::default()
    };
    let list = text::resource_list(status, options);
    for line in list.lines().skip(1) {
        let line = line.replacen("  * ", " ", 1);
        let line = line.replace("(ocf:", "(ocf::").replace(":\t ", ":\t");
        let _ = writeln!(out, "{line}");
    }
    let failures = failures::all(status);
    if !failures.is_empty() {
        out.push_str("\nFailed actions:\n");
        for failure in failures {
            let _ = writeln!(
                out,
                "    {} on {} '{}' ({}): call={}, status={}, exit-reason='{}'",
                failure.key,
                failure.node,
                super::ocf_code(failure.rc),
                failure.rc,
                failure.call_id,
                super::exec_status(failure.op_status),
                failure.exit_reason
            );
        }
    }
    out
}

/// The migration summary (`-f`), as it stands behind the rest.
#[must_use]
pub fn migration(status: &Status) -> String {
    let mut out = String::from("\nMigration summary:\n");
    for node in &status.nodes {
        let _ = writeln!(out, "* Node {}: ", node.name);
        let of_node = status.failcounts.iter().filter(|f| f.node == node.name);
        for count in of_node {
            let threshold = match count.threshold {
                0 => 1_000_000,
                set => set,
            };
            let _ = write!(
                out,
                "   {}: migration-threshold={threshold} fail-count={}",
                count.resource, count.count
            );
            if let Some(at) = count.last_failure {
                let _ = write!(out, " last-failure='{}'", asctime(at));
            }
            out.push('\n');
        }
    }
    out
}
