//! One line for monitoring: crm_mon's `-s`, and the Nagios plugin `mainstay check`.

use super::tell::{count, option, option_on};
use super::{Status, failures};

/// `crm_mon -s` (tools/crm_mon.c `print_simple_status` of 2.1): the line, and its exit code.
#[must_use]
pub fn simple(status: &Status) -> (String, u8) {
    let mut warnings = Vec::new();
    if status.dc.is_none() {
        warnings.push("No DC".to_owned());
    }
    let (mut online, mut standby, mut maintenance) = (0, 0, 0);
    for node in &status.nodes {
        match node {
            n if !n.online => warnings.push(format!("offline node: {}", n.name)),
            n if n.standby => standby += 1,
            n if n.maintenance => maintenance += 1,
            _ => online += 1,
        }
    }
    if warnings.is_empty() {
        let counts = count(&status.resources);
        return (
            format!(
                "CLUSTER OK: {online} node{} online{}{}, {} resource instance{} configured",
                if online == 1 { "" } else { "s" },
                aside(standby, "standby"),
                aside(maintenance, "maintenance"),
                counts.configured,
                if counts.configured == 1 { "" } else { "s" },
            ),
            0,
        );
    }
    (format!("CLUSTER WARN: {}", warnings.join(", ")), 1)
}

/// `, 1 standby node`; nothing of none.
fn aside(nodes: usize, what: &str) -> String {
    match nodes {
        0 => String::new(),
        1 => format!(", 1 {what} node"),
        several => format!(", {several} {what} nodes"),
    }
}

/// What may happen because nodes are not fenced and quorum is not what it looks like; what the
/// policy really does is [`super::risks`]'s.
fn of_safety(status: &Status) -> Option<String> {
    if option_on(status, "stonith-enabled", true) || status.nodes.len() < 2 {
        return None;
    }
    let text = match (option(status, "no-quorum-policy")?, status.nodes.len()) {
        ("ignore", 2) => "split brain is possible: no fencing, and quorum is ignored".to_owned(),
        ("ignore", _) => "no fencing, and no-quorum-policy=ignore is taken as freeze".to_owned(),
        (policy @ ("suicide" | "fence"), _) => {
            format!("no fencing, and no-quorum-policy={policy} is taken as stop")
        }
        _ => return None,
    };
    Some(text)
}

/// The Nagios line with performance data, and the plugin's exit code: 0 OK, 1 WARNING, 2 CRITICAL.
#[must_use]
pub fn check(status: &Status) -> (String, u8) {
    let counts = count(&status.resources);
    let (mut critical, mut warning) = (Vec::new(), Vec::new());
    if !status.quorate {
        critical.push("no quorum".to_owned());
    }
    if status.dc.is_none() {
        critical.push("no DC".to_owned());
    }
    of_nodes(status, &mut critical, &mut warning);
    of_resources(status, &mut critical, &mut warning);
    let failures = failures::all(status).len();
    if failures > 0 {
        warning.push(format!(
            "{failures} failed action{}",
            if failures == 1 { "" } else { "s" }
        ));
    }
    if option_on(status, "maintenance-mode", false) {
        warning.push("maintenance mode".to_owned());
    }
    if option_on(status, "stop-all-resources", false) {
        warning.push("all resources are kept stopped".to_owned());
    }
    warning.extend(of_safety(status));
    let online = status.nodes.iter().filter(|n| n.online).count();
    let perfdata = format!(
        "nodes_online={online};;;0;{} resources_active={};;;0;{} failed_actions={failures};;;0",
        status.nodes.len(),
        counts.active,
        counts.configured,
    );
    let (word, code, findings) = match (critical.is_empty(), warning.is_empty()) {
        (false, _) => ("CRITICAL", 2, [critical, warning].concat()),
        (true, false) => ("WARNING", 1, warning),
        (true, true) => {
            let fine = format!(
                "{online} of {} nodes online, {} of {} resource instances active",
                status.nodes.len(),
                counts.active,
                counts.configured
            );
            ("OK", 0, vec![fine])
        }
    };
    (
        format!("MAINSTAY {word} - {} | {perfdata}", findings.join(", ")),
        code,
    )
}

fn of_nodes(status: &Status, critical: &mut Vec<String>, warning: &mut Vec<String>) {
    for node in &status.nodes {
        match super::node_state(node) {
            "online" => {}
            state if node.unclean => critical.push(format!("node {} {state}", node.name)),
            state => warning.push(format!("node {} {state}", node.name)),
        }
    }
}

fn of_resources(status: &Status, critical: &mut Vec<String>, warning: &mut Vec<String>) {
    for resource in &status.resources {
        super::leaves(resource, &mut |leaf| {
            if leaf.failed && leaf.active {
                warning.push(format!("{} failed", leaf.id));
            } else if leaf.failed || leaf.blocked {
                critical.push(format!("{} failed", leaf.id));
            }
        });
        let wanted = !super::tell::is_disabled(resource) && resource.managed;
        let mut active = false;
        super::leaves(resource, &mut |leaf| active |= leaf.active);
        if wanted && !active && !resource.orphaned {
            critical.push(format!("{} is stopped", resource.id));
        }
    }
}
