//! Are the cluster options known, and their values what they take?

use super::values::{one_of, value_error};
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
    no_fence_device(cib, findings);
    quorum_policy(cib, findings);
}

/// Whether fencing is on; it is unless it is said not to be.
pub(super) fn fences(config: &Config<'_>) -> bool {
    let enabled = config.property("stonith-enabled");
    enabled.is_none_or(|v| parse_bool(v) != Ok(false))
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
    } else if is(&SCORES) {
        value_error(pair, name, Score::parse(value).err(), findings);
    } else if is(&NUMBERS) {
        number(pair, name, value, findings);
    } else if let Some((_, words)) = WORDS.iter().find(|(option, _)| is(&[*option])) {
        one_of(pair, name, value, words, findings);
    } else if set.id() == Some(BOOTSTRAP_SET) && !is(&OTHERS) {
        unknown(pair, name, findings);
    }
    outdated(pair, name, value, findings);
}

fn number(pair: &Element, name: &str, value: &str, findings: &mut Findings) {
    if value.trim().parse::<i64>().is_err() {
        let what = format!("{name}=\"{value}\" is not a number");
        findings.error(pair, what, "write a whole number");
    }
}

/// Names that nothing is known of are kept: people have things of their own there.
fn unknown(pair: &Element, name: &str, findings: &mut Findings) {
    let known: Vec<&str> = BOOLEANS
        .into_iter()
        .chain(INTERVALS)
        .chain(SCORES)
        .chain(NUMBERS)
        .chain(OTHERS)
        .chain(WORDS.iter().map(|(name, _)| *name))
        .collect();
    let what = format!("there is no option \"{name}\"");
    let cure = match nearest(name, &known) {
        Some(near) => format!("did you mean {near}?"),
        None => "it means nothing to the cluster".to_owned(),
    };
    findings.notice(pair, what, &cure);
}

/// What Pacemaker warns of, or no longer takes, because something else has taken its place.
fn outdated(pair: &Element, name: &str, value: &str, findings: &mut Findings) {
    let (what, cure) = match name {
        "stonith-action" | "fencing-action" if value == "poweroff" => (
            "poweroff is the old name of off".to_owned(),
            "write off".to_owned(),
        ),
        "remove-after-stop" if parse_bool(value) == Ok(true) => (
            "remove-after-stop is deprecated: with every stop the history of the resource on that node goes, and with it the failed actions that status shows"
                .to_owned(),
            "take it away; `crm resource cleanup` forgets failed actions when that is wanted".to_owned(),
        ),
        _ => match MOVED.iter().find(|(old, _)| *old == name) {
            Some((old, now)) => (
                format!("{old} is no cluster option since Pacemaker 2.0"),
                format!("set {now}"),
            ),
            None => return,
        },
    };
    findings.warning(pair, what, &cure);
}

/// Policies that mean less here than they say, or more than they look like.
fn quorum_policy(cib: &Cib, findings: &mut Findings) {
    let config = Config::new(cib);
    let (nodes, fences) = (config.nodes().len(), fences(&config));
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
            (Some("suicide" | "fence"), _) if !fences => (
                "no-quorum-policy=suicide (or fence) is taken as stop, because fencing is disabled: a node without quorum stops its resources and is not killed",
                "write stop, or configure a fence device",
            ),
            _ => continue,
        };
        // Pacemaker warns of this one, too.
        match pair.attr("value") {
            Some("ignore") => findings.notice(pair, what.to_owned(), cure),
            _ => findings.warning(pair, what.to_owned(), cure),
        }
    }
}

/// With fencing on and no device, Pacemaker starts nothing.
fn no_fence_device(cib: &Cib, findings: &mut Findings) {
    let config = Config::new(cib);
    let enabled = fences(&config);
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

/// Cluster options by what they take (Pacemaker Explained, "Cluster Options").
const BOOLEANS: [&str; 18] = [
    "cancel-removed-actions",
    "concurrent-fencing",
    "enable-acl",
    "enable-startup-probes",
    "ip-nonlocal-bind",
    "is-managed-default",
    "have-watchdog",
    "maintenance-mode",
    "remove-after-stop",
    "shutdown-lock",
    "start-failure-is-fatal",
    "startup-fencing",
    "stonith-enabled",
    "stop-all-resources",
    "stop-orphan-actions",
    "stop-orphan-resources",
    "stop-removed-resources",
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
const SCORES: [&str; 4] = [
    "node-health-base",
    "node-health-green",
    "node-health-red",
    "node-health-yellow",
];
const NUMBERS: [&str; 8] = [
    "batch-limit",
    "cluster-ipc-limit",
    "expected-quorum-votes",
    "migration-limit",
    "node-action-limit",
    "pe-error-series-max",
    "pe-input-series-max",
    "pe-warn-series-max",
];
const WORDS: [(&str, &[&str]); 5] = [
    (
        "no-quorum-policy",
        &["stop", "freeze", "ignore", "demote", "suicide", "fence"],
    ),
    ("stonith-action", &["reboot", "off", "poweroff"]),
    (
        "placement-strategy",
        &["default", "utilization", "minimal", "balanced"],
    ),
    (
        "node-health-strategy",
        &[
            "none",
            "migrate-on-red",
            "only-green",
            "progressive",
            "custom",
        ],
    ),
    ("fence-reaction", &["stop", "panic"]),
];
const OTHERS: [&str; 10] = [
    "cluster-infrastructure",
    "cluster-name",
    "dc-version",
    "default-action-timeout",
    "default-resource-stickiness",
    "last-lrm-refresh",
    "load-threshold",
    "node-pending-timeout",
    "stonith-max-attempts",
    "stonith-watchdog-timeout",
];
/// Options of Pacemaker 1.x that its newer schemas refuse, and what says the same today.
const MOVED: [(&str, &str); 4] = [
    (
        "default-resource-stickiness",
        "resource-stickiness in rsc_defaults",
    ),
    (
        "default-migration-threshold",
        "migration-threshold in rsc_defaults",
    ),
    ("default-action-timeout", "timeout in op_defaults"),
    ("is-managed-default", "is-managed in rsc_defaults"),
];
