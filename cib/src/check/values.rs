//! Are the values what their options take?

use super::{Findings, nearest};
use crate::config::{BOOTSTRAP_SET, Config, other_fencing_name};
use crate::document::{Cib, Section};
use crate::tree::Element;
use crate::value::{Score, parse_bool, parse_interval_ms};

pub(super) fn check(cib: &Cib, findings: &mut Findings) {
    let sets = cib.section(Section::CrmConfig);
    for set in sets.into_iter().flat_map(|s| s.all("cluster_property_set")) {
        for pair in set.all("nvpair") {
            property(set, pair, findings);
        }
    }
    let config = Config::new(cib);
    for resource in config.resources() {
        for op in config.ops(&resource) {
            operation(op.element, findings);
        }
        for pair in resource
            .element
            .all("meta_attributes")
            .flat_map(|s| s.all("nvpair"))
        {
            meta(pair, findings);
        }
    }
    let defaults = cib.section(Section::RscDefaults).into_iter();
    let defaults = defaults.flat_map(|s| s.all("meta_attributes"));
    for pair in defaults.flat_map(|s| s.all("nvpair")) {
        if let Some(name) = pair.attr("name") {
            misspelt(pair, "meta attribute", name, &META, findings);
        }
    }
    for constraint in config.constraints() {
        self::constraint(constraint.element, findings);
    }
    no_fence_device(cib, findings);
    quorum_policy(cib, findings);
}

/// Policies that mean less here than they say, or more than they look like.
fn quorum_policy(cib: &Cib, findings: &mut Findings) {
    let config = Config::new(cib);
    let nodes = config.nodes().len();
    let sets = cib.section(Section::CrmConfig);
    let sets = sets.into_iter().flat_map(|s| s.all("cluster_property_set"));
    for pair in sets.flat_map(|s| s.all("nvpair")) {
        if pair.attr("name") != Some("no-quorum-policy") {
            continue;
        }
        let (what, cure) = match (pair.attr("value"), nodes) {
            (Some("ignore"), 3..) => (
                "no-quorum-policy=ignore is taken as freeze with more than two nodes: a partition without quorum starts nothing",
                "write freeze, or stop, the default; if half of the nodes shall go on alone, give one of them more votes in corosync.conf",
            ),
            (Some("ignore"), _) => (
                "no-quorum-policy=ignore lets either of two nodes go on alone, as two_node: 1 does; both run everything when they only lose sight of each other",
                "write two_node: 1 in corosync.conf instead, and configure a fence device",
            ),
            (Some("suicide" | "fence"), _) => (
                "a node without quorum does not end itself here: no-quorum-policy=suicide (or fence) is taken as stop, and its resources are stopped",
                "write stop; to have silent nodes switched off by the others, configure a fence device",
            ),
            _ => continue,
        };
        findings.warning(pair, what.to_owned(), cure);
    }
}

fn property(set: &Element, pair: &Element, findings: &mut Findings) {
    let (Some(name), Some(value)) = (pair.attr("name"), pair.attr("value")) else {
        return;
    };
    let other = other_fencing_name(name);
    let names = [Some(name), other.as_deref()];
    let is = |list: &[&str]| names.iter().flatten().any(|n| list.contains(n));
    if is(&BOOLEANS) {
        value_error(pair, name, parse_bool(value).err(), findings);
    } else if is(&INTERVALS) {
        value_error(pair, name, parse_interval_ms(value).err(), findings);
    } else if let Some((_, words)) = WORDS.iter().find(|(option, _)| is(&[*option])) {
        one_of(pair, name, value, words, findings);
    } else if set.id() == Some(BOOTSTRAP_SET) && !is(&OTHERS) {
        let known: Vec<&str> = BOOLEANS
            .into_iter()
            .chain(INTERVALS)
            .chain(OTHERS)
            .chain(WORDS.iter().map(|(name, _)| *name))
            .collect();
        if let Some(near) = nearest(name, &known) {
            let what = format!("there is no option \"{name}\"");
            findings.warning(pair, what, &format!("did you mean {near}?"));
        }
    }
}

fn operation(op: &Element, findings: &mut Findings) {
    for name in ["interval", "timeout", "start-delay"] {
        if let Some(value) = op.attr(name) {
            value_error(op, name, parse_interval_ms(value).err(), findings);
        }
    }
    if let Some(name) = op.attr("name") {
        misspelt(op, "operation", name, &ACTIONS, findings);
    }
    // What is no attribute of an operation goes to the agent, as a parameter.
    let given = op.all("instance_attributes").flat_map(|s| s.all("nvpair"));
    for pair in given {
        if let Some(name) = pair.attr("name") {
            misspelt(pair, "option of operations", name, &OP_OPTIONS, findings);
        }
    }
    if let Some(role) = op.attr("role") {
        one_of(op, "role", role, &ROLES, findings);
    }
    if let Some(on_fail) = op.attr("on-fail") {
        one_of(op, "on-fail", on_fail, &ON_FAIL, findings);
    }
}

/// A name that is nearly one of those that mean something. Others are let pass: agents may have
/// operations, and people meta attributes, of their own.
fn misspelt(
    element: &Element,
    kind: &str,
    name: &str,
    known: &[&'static str],
    findings: &mut Findings,
) {
    if known.contains(&name) {
        return;
    }
    if let Some(near) = nearest(name, known) {
        let what = format!("there is no {kind} \"{name}\"");
        findings.warning(element, what, &format!("did you mean {near}?"));
    }
}

fn meta(pair: &Element, findings: &mut Findings) {
    let (Some(name), Some(value)) = (pair.attr("name"), pair.attr("value")) else {
        return;
    };
    misspelt(pair, "meta attribute", name, &META, findings);
    // In old configurations, this stands for "as if not set".
    if matches!(value, "default" | "#default") {
        return;
    }
    match name {
        "target-role" => one_of(pair, name, value, &ROLES, findings),
        "multiple-active" => {
            one_of(
                pair,
                name,
                value,
                &["block", "stop_only", "stop_start", "stop_unexpected"],
                findings,
            );
        }
        "is-managed" | "maintenance" | "critical" | "allow-migrate" | "interleave" | "ordered"
        | "notify" | "globally-unique" | "promotable" => {
            value_error(pair, name, parse_bool(value).err(), findings);
        }
        "priority" | "resource-stickiness" | "migration-threshold" => {
            value_error(pair, name, Score::parse(value).err(), findings);
        }
        "failure-timeout" => value_error(pair, name, parse_interval_ms(value).err(), findings),
        _ => {}
    }
}

fn constraint(element: &Element, findings: &mut Findings) {
    if let Some(score) = element.attr("score") {
        value_error(element, "score", Score::parse(score).err(), findings);
    }
    for name in ["role", "rsc-role", "with-rsc-role"] {
        if let Some(role) = element.attr(name) {
            one_of(element, name, role, &ROLES, findings);
        }
    }
    for name in ["first-action", "then-action"] {
        if let Some(action) = element.attr(name) {
            one_of(
                element,
                name,
                action,
                &["start", "stop", "promote", "demote"],
                findings,
            );
        }
    }
    if let Some(kind) = element.attr("kind") {
        one_of(
            element,
            "kind",
            kind,
            &["Mandatory", "Optional", "Serialize"],
            findings,
        );
    }
    let has_sets = element.first("resource_set").is_some();
    let missing = |names: [&'static str; 2]| {
        names
            .into_iter()
            .find(|n| element.attr(n).is_none() && !has_sets)
    };
    match element.name.as_str() {
        "rsc_location" => location(element, has_sets, findings),
        "rsc_colocation" => pair_of(
            element,
            missing(["rsc", "with-rsc"]),
            ["rsc", "with-rsc"],
            findings,
        ),
        "rsc_order" => pair_of(
            element,
            missing(["first", "then"]),
            ["first", "then"],
            findings,
        ),
        _ => {}
    }
}

fn location(element: &Element, has_sets: bool, findings: &mut Findings) {
    let names_resource = has_sets
        || ["rsc", "rsc-pattern"]
            .iter()
            .any(|n| element.attr(n).is_some());
    if !names_resource {
        findings.error(
            element,
            "it names no resource".to_owned(),
            "set rsc or rsc-pattern",
        );
    }
    if element.first("rule").is_none() && element.attr("node").is_none() {
        findings.error(
            element,
            "it names no node".to_owned(),
            "set node and score, or give it a rule",
        );
    }
}

fn pair_of(element: &Element, missing: Option<&str>, ends: [&str; 2], findings: &mut Findings) {
    if let Some(name) = missing {
        let what = format!("{name} is not set");
        findings.error(element, what, "name both resources, or use resource sets");
    }
    let [a, b] = ends.map(|n| element.attr(n));
    if a.is_some() && a == b {
        let what = format!("it binds \"{}\" to itself", a.unwrap_or_default());
        findings.warning(element, what, "name two different resources");
    }
}

/// With fencing on and no device, Pacemaker starts nothing.
fn no_fence_device(cib: &Cib, findings: &mut Findings) {
    let config = Config::new(cib);
    let enabled = config
        .property("stonith-enabled")
        .is_none_or(|v| parse_bool(v) != Ok(false));
    let resources = config.resources();
    let has_device = resources.iter().any(|r| {
        config
            .agent(r)
            .is_some_and(|a| matches!(a.class, "stonith" | "fencing"))
    });
    if let (true, false, Some(section)) = (enabled, has_device, cib.section(Section::Resources))
        && !resources.is_empty()
    {
        findings.warning(
            section,
            "fencing is enabled, but there is no fence device, so nothing will start".to_owned(),
            "configure one, or set stonith-enabled=false if data loss does not matter",
        );
    }
}

fn value_error(
    element: &Element,
    name: &str,
    error: Option<crate::error::Error>,
    findings: &mut Findings,
) {
    if let Some(crate::error::Error::Value {
        value,
        expected,
        cure,
    }) = error
    {
        findings.error(
            element,
            format!("{name}=\"{value}\" is not {expected}"),
            cure,
        );
    }
}

fn one_of(element: &Element, name: &str, value: &str, words: &[&str], findings: &mut Findings) {
    if words.iter().any(|w| w.eq_ignore_ascii_case(value)) {
        return;
    }
    let what = format!("{name}=\"{value}\" has no meaning");
    findings.error(element, what, &format!("use one of {}", words.join(", ")));
}

/// Operations that mean something to the cluster, or to whoever calls agents by hand.
const ACTIONS: [&str; 13] = [
    "start",
    "stop",
    "monitor",
    "promote",
    "demote",
    "notify",
    "migrate_to",
    "migrate_from",
    "reload",
    "reload-agent",
    "validate-all",
    "meta-data",
    "status",
];
/// What is said about an operation in the operation itself, or as its meta attribute.
const OP_OPTIONS: [&str; 12] = [
    "name",
    "interval",
    "interval-origin",
    "timeout",
    "start-delay",
    "on-fail",
    "role",
    "enabled",
    "record-pending",
    "requires",
    "description",
    "failure-timeout",
];
/// Meta attributes of resources.
const META: [&str; 32] = [
    "priority",
    "critical",
    "target-role",
    "is-managed",
    "maintenance",
    "resource-stickiness",
    "requires",
    "provides",
    "migration-threshold",
    "failure-timeout",
    "multiple-active",
    "allow-migrate",
    "allow-unhealthy-nodes",
    "container-attribute-target",
    "remote-node",
    "remote-port",
    "remote-addr",
    "remote-connect-timeout",
    "remote-allow-migrate",
    "resource-discovery-enabled",
    "clone-max",
    "clone-min",
    "clone-node-max",
    "globally-unique",
    "interleave",
    "notify",
    "ordered",
    "promotable",
    "promoted-max",
    "promoted-node-max",
    "master-max",
    "master-node-max",
];
/// Roles in old and new words.
const ROLES: [&str; 6] = [
    "Started",
    "Stopped",
    "Promoted",
    "Unpromoted",
    "Master",
    "Slave",
];
const ON_FAIL: [&str; 10] = [
    "ignore",
    "block",
    "stop",
    "restart",
    "fence",
    "standby",
    "demote",
    "restart-container",
    "nothing",
    "default",
];
/// Cluster options by what they take (Pacemaker Explained, "Cluster Options").
const BOOLEANS: [&str; 15] = [
    "concurrent-fencing",
    "enable-acl",
    "enable-startup-probes",
    "ip-nonlocal-bind",
    "is-managed-default",
    "have-watchdog",
    "maintenance-mode",
    "shutdown-lock",
    "start-failure-is-fatal",
    "startup-fencing",
    "stonith-enabled",
    "stop-all-resources",
    "stop-orphan-actions",
    "stop-orphan-resources",
    "symmetric-cluster",
];
const INTERVALS: [&str; 11] = [
    "cluster-delay",
    "cluster-recheck-interval",
    "dc-deadtime",
    "election-timeout",
    "join-finalization-timeout",
    "join-integration-timeout",
    "priority-fencing-delay",
    "shutdown-escalation",
    "shutdown-lock-limit",
    "stonith-timeout",
    "transition-delay",
];
const WORDS: [(&str, &[&str]); 4] = [
    (
        "no-quorum-policy",
        &["stop", "freeze", "ignore", "demote", "suicide", "fence"],
    ),
    ("stonith-action", &["reboot", "off", "poweroff"]),
    (
        "placement-strategy",
        &["default", "utilization", "minimal", "balanced"],
    ),
    ("fence-reaction", &["stop", "panic"]),
];
const OTHERS: [&str; 25] = [
    "batch-limit",
    "cluster-infrastructure",
    "cluster-ipc-limit",
    "cluster-name",
    "dc-version",
    "default-resource-stickiness",
    "default-action-timeout",
    "expected-quorum-votes",
    "last-lrm-refresh",
    "load-threshold",
    "migration-limit",
    "node-action-limit",
    "node-health-base",
    "node-health-green",
    "node-health-red",
    "node-health-strategy",
    "node-health-yellow",
    "node-pending-timeout",
    "pe-error-series-max",
    "pe-input-series-max",
    "pe-warn-series-max",
    "remove-after-stop",
    "stonith-max-attempts",
    "stonith-watchdog-timeout",
    "stop-removed-resources",
];
