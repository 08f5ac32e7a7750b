//! `Cluster Summary:`.

use super::Status;
use super::tell::{asctime, count, option, option_on};
use std::fmt::Write as _;

/// The version of whoever last took the cluster over, as it wrote it down.
pub(super) fn version(status: &Status) -> &str {
    option(status, "dc-version").unwrap_or("unknown")
}

/// The messaging layer, likewise.
pub(super) fn stack(status: &Status) -> &str {
    option(status, "cluster-infrastructure").unwrap_or("unknown")
}

/// Its lines.
pub(super) fn text(status: &Status, detail: bool) -> String {
    let mut text = format!("Cluster Summary:\n  * Stack: {}\n", stack(status));
    let quorum = match status.quorate {
        true => "partition with quorum",
        false => "partition WITHOUT quorum",
    };
    let _ = match &status.dc {
        Some(dc) => writeln!(
            text,
            "  * Current DC: {dc}{} (version {}) - {quorum}",
            if detail {
                id_of(status, dc)
            } else {
                String::new()
            },
            version(status)
        ),
        None => writeln!(text, "  * Current DC: NONE"),
    };
    let _ = writeln!(text, "  * Last updated: {}", asctime(status.now));
    if let Some((when, user, client, origin)) = &status.last_change {
        let mut line = format!("  * Last change:  {when}");
        for (word, value) in [("by", user), ("via", client), ("on", origin)] {
            if !value.is_empty() {
                let _ = write!(line, " {word} {value}");
            }
        }
        let _ = writeln!(text, "{line}");
    }
    let nodes = status.nodes.len();
    let _ = writeln!(text, "  * {nodes} node{} configured", plural(nodes));
    let counts = count(&status.resources);
    let mut line = format!(
        "  * {} resource instance{} configured",
        counts.configured,
        plural(counts.configured)
    );
    let notes = match (counts.disabled, counts.blocked) {
        (0, 0) => String::new(),
        (d, 0) => format!(" ({d} DISABLED)"),
        (0, b) => format!(" ({b} BLOCKED from further action due to failure)"),
        (d, b) => format!(" ({d} DISABLED, {b} BLOCKED from further action due to failure)"),
    };
    line.push_str(&notes);
    let _ = writeln!(text, "{line}");
    text.push_str(banners(status));
    text
}

/// The options that `crm_mon --include=options` tells: lines of the summary
/// (lib/pengine/pe_output.c, `cluster-options` of 2.1).
#[must_use]
pub(crate) fn options(status: &Status) -> String {
    let fencing = match option_on(status, "stonith-enabled", true) {
        true => "enabled",
        false => "disabled",
    };
    let symmetry = match option_on(status, "symmetric-cluster", true) {
        true => "symmetric",
        false => "asymmetric",
    };
    let policy = match option(status, "no-quorum-policy") {
        Some("ignore") => "Ignore",
        Some("freeze") => "Freeze resources",
        Some("demote") => "Demote promotable resources and stop all other resources",
        Some("suicide" | "fence") => "Suicide",
        _ => "Stop ALL resources",
    };
    format!(
        "  * STONITH of failed nodes {fencing}\n  * Cluster is {symmetry}\n  * No quorum policy: {policy}\n"
    )
}

/// What forbids the cluster to act.
fn banners(status: &Status) -> &'static str {
    if option_on(status, "maintenance-mode", false) {
        return "\n              *** Resource management is DISABLED ***\n  The cluster will not attempt to start, stop or recover services\n";
    }
    if option_on(status, "stop-all-resources", false) {
        return "\n    *** Resource management is DISABLED ***\n  The cluster will keep all resources stopped\n";
    }
    ""
}

const fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

/// ` (1)`.
fn id_of(status: &Status, name: &str) -> String {
    let node = status.nodes.iter().find(|n| n.name == name);
    node.map(|n| format!(" ({})", n.id)).unwrap_or_default()
}
