//! The status as `crm_mon -1` of Pacemaker 2.1 prints it (lib/pengine/pe_output.c,
//! tools/crm_mon.c), to the blank.

use super::tell::{
    asctime, count, exec_status, interval, is_disabled, node_state, ocf_code, option_on, score,
};
use super::{FailCount, Status, brief, history, leaves};
use scheduler::{NodeStatus, OpFailure, ResourceStatus};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Resources that run nowhere, too (`-r`).
    pub inactive: bool,
    /// Resources under their nodes (`-n`).
    pub by_node: bool,
    /// The migration summary (`-f`).
    pub failcounts: bool,
    /// Attributes of the nodes (`-A`).
    pub attributes: bool,
    /// Operations (`-o`); they tell the fail counts, too.
    pub operations: bool,
    /// Operations with their times and results (`-t`).
    pub timing: bool,
    /// Constraints that keep resources away from nodes (`-L`).
    pub bans: bool,
    /// Without the summary (`-D`).
    pub no_headers: bool,
    /// Numbers instead of a line for every resource (`-b`).
    pub brief: bool,
    /// Ids of nodes, instances one by one, failures with every detail (`-R`).
    pub detail: bool,
}

/// Everything.
#[must_use]
pub fn document(status: &Status, options: Options) -> String {
    let mut text = match options.no_headers {
        true => String::new(),
        false => summary(status, options.detail),
    };
    if options.by_node {
        text.push_str(&nodes_with_resources(status, options));
        if options.inactive {
            text.push_str(&inactive_resources(status, options));
        }
    } else {
        text.push_str(&nodes(status, options.detail));
        let heading = match options.inactive {
            true => "Full List of Resources:",
            false => "Active Resources:",
        };
        let _ = writeln!(text, "\n{heading}");
        text.push_str(&resource_lines(status, options));
    }
    if options.attributes {
        text.push_str(&history::attributes(status));
    }
    if options.operations || options.timing {
        text.push_str(&history::operations(status, options.timing));
    } else if options.failcounts {
        text.push_str(&migration(status));
    }
    text.push_str(&failures(status, options.detail));
    if options.bans {
        text.push_str(&history::bans(status));
    }
    // The blank line between two parts is none at the beginning.
    text.strip_prefix('\n').map(str::to_owned).unwrap_or(text)
}

/// `Negative Location Constraints:`, after an empty line.
#[must_use]
pub fn bans(status: &Status) -> String {
    history::bans(status)
}

/// The list of resources with its heading, as `crm resource status` shows it.
#[must_use]
pub fn resource_list(status: &Status, options: Options) -> String {
    format!(
        "Full List of Resources:\n{}",
        resource_lines(status, options)
    )
}

fn summary(status: &Status, detail: bool) -> String {
    let mut text = String::from("Cluster Summary:\n  * Stack: corosync\n");
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
            crate::DC_VERSION
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
    let counts = count(status);
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

fn nodes(status: &Status, detail: bool) -> String {
    let lines = match detail {
        false => node_lines(status),
        true => status.nodes.iter().map(detailed_node).collect(),
    };
    if lines.is_empty() {
        return String::new();
    }
    let lines = lines.into_iter().map(|line| format!("  * {line}\n"));
    format!("\nNode List:\n{}", lines.collect::<String>())
}

fn detailed_node(node: &NodeStatus) -> String {
    let mut line = format!("Node {} ({}): {}", node.name, node.id, told_state(node));
    if node.online {
        let _ = write!(line, ", feature set {}", cib::document::FEATURE_SET);
    }
    line
}

/// The state, and the health where that is not green (lib/pengine/pe_output.c).
pub(crate) fn told_state(node: &NodeStatus) -> String {
    let health = match node.health {
        ..0 => " (health is RED)",
        0 => " (health is YELLOW)",
        1.. => "",
    };
    format!("{}{health}", node_state(node))
}

/// A line for every node with a state of its own, then those that are on or off together.
pub(super) fn node_lines(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut online, mut offline) = (Vec::new(), Vec::new());
    for node in &status.nodes {
        match node_state(node) {
            _ if node.health <= 0 => {
                lines.push(format!("Node {}: {}", node.name, told_state(node)));
            }
            "online" => online.push(node.name.as_str()),
            "OFFLINE" => offline.push(node.name.as_str()),
            state => lines.push(format!("Node {}: {state}", node.name)),
        }
    }
    for (word, names) in [("Online", online), ("OFFLINE", offline)] {
        if !names.is_empty() {
            lines.push(format!("{word}: [ {} ]", names.join(" ")));
        }
    }
    lines
}

fn nodes_with_resources(status: &Status, options: Options) -> String {
    let mut text = String::from("\nNode List:\n");
    for node in &status.nodes {
        let mut here = Vec::new();
        for resource in &status.resources {
            leaves(resource, &mut |leaf| {
                if leaf.nodes.contains(&node.name) {
                    here.push(leaf);
                }
            });
        }
        // In brief, a node with nothing on it is not worth a line.
        if options.brief && here.is_empty() {
            continue;
        }
        let head = match options.detail {
            true => detailed_node(node),
            false => format!("Node {}: {}", node.name, told_state(node)),
        };
        let _ = writeln!(text, "  * {head}:\n    * Resources:");
        if options.brief {
            brief::on_node(&mut text, &here, "      ");
            continue;
        }
        for leaf in here {
            let _ = writeln!(text, "      * {}", line(leaf, None, false));
        }
    }
    text
}

fn inactive_resources(status: &Status, options: Options) -> String {
    let mut text = String::new();
    for resource in &status.resources {
        let mut stopped = false;
        leaves(resource, &mut |leaf| stopped |= !leaf.active);
        if stopped {
            push_resource(&mut text, resource, status, options, 1, false);
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\nInactive Resources:\n{text}")
}

fn resource_lines(status: &Status, options: Options) -> String {
    let mut text = String::new();
    let plain = |r: &&ResourceStatus| r.children.is_empty() && r.kind == "primitive";
    if options.brief {
        let primitives: Vec<_> = status.resources.iter().filter(plain).collect();
        brief::lines(&mut text, &primitives, options.inactive, "  ");
    }
    for resource in &status.resources {
        if options.brief && plain(&resource) {
            continue;
        }
        push_resource(&mut text, resource, status, options, 1, false);
    }
    if text.is_empty() {
        let none = match options.inactive {
            true => "  * No resources\n",
            false => "  * No active resources\n",
        };
        return none.to_owned();
    }
    text
}

fn push_resource(
    text: &mut String,
    resource: &ResourceStatus,
    status: &Status,
    options: Options,
    depth: usize,
    disabled: bool,
) {
    if !resource.active && !any_active(resource) && !options.inactive {
        return;
    }
    let pad = "  ".repeat(depth);
    let disabled = disabled || is_disabled(resource);
    match resource.kind.as_str() {
        "group" => push_group(text, resource, status, options, depth, disabled),
        "clone" => push_clone(text, resource, status, options, depth, disabled),
        _ => {
            let _ = writeln!(text, "{pad}* {}", line(resource, Some(status), disabled));
        }
    }
}

fn any_active(resource: &ResourceStatus) -> bool {
    let mut active = false;
    leaves(resource, &mut |leaf| active |= leaf.active);
    active
}

fn push_group(
    text: &mut String,
    group: &ResourceStatus,
    status: &Status,
    options: Options,
    depth: usize,
    disabled: bool,
) {
    let mut notes = Vec::new();
    let inactive = group.children.iter().filter(|c| !c.active).count();
    if !options.inactive && inactive > 0 {
        notes.push(format!("{inactive} member{} inactive", plural(inactive)));
    }
    notes.extend(collective_notes(group, disabled));
    let _ = writeln!(
        text,
        "{}* Resource Group: {}{}:",
        "  ".repeat(depth),
        group.id,
        bracketed(&notes)
    );
    if options.brief {
        let members: Vec<_> = group.children.iter().collect();
        brief::lines(text, &members, true, &"  ".repeat(depth + 1));
        return;
    }
    for member in &group.children {
        push_resource(text, member, status, options, depth + 1, disabled);
    }
}

fn push_clone(
    text: &mut String,
    clone: &ResourceStatus,
    status: &Status,
    options: Options,
    depth: usize,
    disabled: bool,
) {
    let child = clone.children.first().map_or("", |c| c.id.as_str());
    let child = child.split(':').next().unwrap_or_default();
    let mut notes = Vec::new();
    if promotable(clone) {
        notes.push("promotable".to_owned());
    }
    notes.extend(collective_notes(clone, disabled));
    let pad = "  ".repeat(depth);
    let _ = writeln!(
        text,
        "{pad}* Clone Set: {} [{child}]{}:",
        clone.id,
        bracketed(&notes)
    );
    if options.detail {
        for instance in &clone.children {
            push_resource(text, instance, status, options, depth + 1, disabled);
        }
        return;
    }
    let mut by_role: [(&str, Vec<String>); 3] = [
        ("Promoted", Vec::new()),
        ("Unpromoted", Vec::new()),
        ("Started", Vec::new()),
    ];
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for instance in &clone.children {
        match plain_place(instance, status) {
            Some((role, node)) => {
                seen.insert(node.clone());
                if let Some((_, names)) = by_role.iter_mut().find(|(r, _)| *r == role) {
                    names.push(node);
                }
            }
            None => {
                leaves(instance, &mut |leaf| {
                    seen.extend(leaf.nodes.iter().cloned())
                });
                if any_active(instance) || instance.orphaned {
                    push_resource(text, instance, status, options, depth + 1, disabled);
                }
            }
        }
    }
    push_roles(text, by_role, clone, status, &pad);
    if options.inactive {
        let stopped: Vec<&str> = status
            .nodes
            .iter()
            .map(|n| n.name.as_str())
            .filter(|n| !seen.contains(*n))
            .collect();
        if !stopped.is_empty() {
            let word = if disabled {
                "Stopped (disabled)"
            } else {
                "Stopped"
            };
            let _ = writeln!(text, "{pad}  * {word}: [ {} ]", stopped.join(" "));
        }
    }
}

/// `Promoted: [ … ]` and the like, nodes in display order.
fn push_roles(
    text: &mut String,
    by_role: [(&str, Vec<String>); 3],
    clone: &ResourceStatus,
    status: &Status,
    pad: &str,
) {
    for (role, mut names) in by_role {
        // A promotable clone has no plain "started".
        let role = if role == "Started" && promotable(clone) {
            "Unpromoted"
        } else {
            role
        };
        names.sort_by_key(|n| status.nodes.iter().position(|s| s.name == *n));
        if !names.is_empty() {
            let _ = writeln!(text, "{pad}  * {role}: [ {} ]", names.join(" "));
        }
    }
}

fn promotable(clone: &ResourceStatus) -> bool {
    let mut found = false;
    leaves(clone, &mut |leaf| {
        found |= matches!(leaf.role.as_str(), "Promoted" | "Unpromoted");
    });
    found
}

/// Role and node of an instance about which there is nothing else to say.
fn plain_place(instance: &ResourceStatus, status: &Status) -> Option<(String, String)> {
    let mut places = BTreeSet::new();
    let mut plain = true;
    leaves(instance, &mut |leaf| {
        plain &= leaf.active
            && leaf.nodes.len() == 1
            && !leaf.failed
            && !leaf.orphaned
            && !leaf.blocked
            && leaf.managed
            && leaf.pending.is_none();
        for node in &leaf.nodes {
            let state = status.nodes.iter().find(|n| n.name == *node);
            plain &= state.is_some_and(|n| n.online && !n.unclean);
            places.insert((leaf.role.clone(), node.clone()));
        }
    });
    let one = places.len() == 1 && plain;
    places.into_iter().next().filter(|_| one)
}

fn collective_notes(resource: &ResourceStatus, disabled: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if resource.maintenance {
        notes.push("maintenance".to_owned());
    } else if !resource.managed {
        notes.push("unmanaged".to_owned());
    }
    if disabled {
        notes.push("disabled".to_owned());
    }
    notes
}

fn bracketed(notes: &[String]) -> String {
    match notes {
        [] => String::new(),
        notes => format!(" ({})", notes.join(", ")),
    }
}

/// A primitive's line, without its place when `status` is `None`.
pub(crate) fn line(resource: &ResourceStatus, status: Option<&Status>, disabled: bool) -> String {
    let id = resource.id.split(':').next().unwrap_or_default();
    let mut text = format!("{id}\t({}):\t", resource.agent);
    if resource.orphaned {
        text.push_str(" ORPHANED");
    }
    if resource.failed {
        text.push_str(" FAILED");
        if resource.role == "Promoted" {
            text.push_str(" Promoted");
        }
    } else {
        let role = resource.pending.as_deref().filter(|p| p.ends_with("ing"));
        let _ = write!(text, " {}", shown_role(resource, role));
    }
    if status.is_some() {
        match resource.nodes.as_slice() {
            [] => {}
            [node] => {
                let _ = write!(text, " {node}");
            }
            nodes => {
                let _ = write!(text, " [ {} ]", nodes.join(" "));
            }
        }
    }
    let _ = write!(text, "{}", bracketed(&notes(resource, status, disabled)));
    text
}

fn shown_role<'a>(resource: &'a ResourceStatus, pending: Option<&'a str>) -> &'a str {
    match pending {
        Some(role @ ("Starting" | "Stopping" | "Promoting" | "Demoting" | "Migrating")) => role,
        _ => &resource.role,
    }
}

fn notes(resource: &ResourceStatus, status: Option<&Status>, disabled: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let nodes: &[NodeStatus] = status.map_or(&[], |s| &s.nodes);
    let on: Vec<&NodeStatus> = nodes
        .iter()
        .filter(|n| resource.nodes.contains(&n.name))
        .collect();
    if on.iter().any(|n| !n.online && n.unclean) {
        notes.push("UNCLEAN".to_owned());
    }
    if let Some(pending) = &resource.pending
        && shown_role(resource, Some(pending)) != pending
    {
        notes.push(pending.clone());
    }
    match resource.target_role.as_deref() {
        Some(role) if role.eq_ignore_ascii_case("stopped") => notes.push("disabled".to_owned()),
        Some(role @ ("Unpromoted" | "Slave")) if resource.role == "Promoted" => {
            notes.push(format!("target-role:{role}"));
        }
        _ if disabled => notes.push("disabled".to_owned()),
        _ => {}
    }
    if resource.maintenance {
        notes.push("maintenance".to_owned());
    } else if resource.blocked {
        notes.push("blocked".to_owned());
    } else if !resource.managed {
        notes.push("unmanaged".to_owned());
    }
    notes
}

fn migration(status: &Status) -> String {
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
        score(total)
    );
    if let Some(last) = own.iter().filter_map(|f| f.last_failure).max() {
        let _ = write!(line, " last-failure='{}'", asctime(last));
    }
    line
}

fn failures(status: &Status, detail: bool) -> String {
    let mut text = String::new();
    for failure in all_failures(status) {
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

/// Failures that stand in the history, each once.
pub(super) fn all_failures(status: &Status) -> Vec<&OpFailure> {
    let mut found: Vec<&OpFailure> = Vec::new();
    for resource in &status.resources {
        leaves(resource, &mut |leaf| {
            for failure in &leaf.failures {
                if !found.contains(&failure) {
                    found.push(failure);
                }
            }
        });
    }
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

fn failure_line(failure: &OpFailure) -> String {
    let (id, operation, every_ms) = parse_key(&failure.key);
    let mut line = format!("{id} ");
    if every_ms > 0 {
        let _ = write!(line, "{}-interval ", interval(every_ms));
    }
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
