//! The options of the cluster: what they are for, and what holds where they are not set.

use super::metadata::Daemon;
use super::{Known, Level, heeded, names, without_effect};

/// Names of [`ALL`], in the same order.
pub(in crate::cli) const NAMES: [&str; ALL.len()] = names(&ALL);

// Whom front ends of Pacemaker 2.1 ask for an option: what its daemons answered to `metadata`
// (daemons/controld/controld_control.c, daemons/based/based_callbacks.c, lib/pengine/common.c).
const CONFIGURATION: &[Daemon] = &[Daemon::Configuration];
const CONTROLLER: &[Daemon] = &[Daemon::Controller];
const SCHEDULER: &[Daemon] = &[Daemon::Scheduler];
const CONTROLLER_AND_SCHEDULER: &[Daemon] = &[Daemon::Controller, Daemon::Scheduler];

/// Options of Pacemaker 2.1 and what follows it, by name.
pub(in crate::cli) const ALL: [Known; 46] = [
    heeded(
        "batch-limit",
        "0",
        "integer",
        &[],
        "Most actions that may be under way in the whole cluster at once; 0 leaves it to the cluster, which takes the load of the nodes into account.",
    )
    .told_by(SCHEDULER),
    heeded(
        "cluster-delay",
        "60s",
        "time",
        &[],
        "How long an order to another node may be on its way, beyond the time that the action itself is given.",
    )
    .told_by(SCHEDULER),
    without_effect(
        "cluster-ipc-limit",
        "500",
        "integer",
        &[],
        "Most messages that may wait for a local client. Clients of mainstayd are answered one by one.",
    )
    .told_by(CONFIGURATION)
    .at(Level::Deprecated(None)),
    heeded(
        "cluster-name",
        "",
        "string",
        &[],
        "Name of the cluster; rules may ask for it as #cluster-name. It comes from corosync.conf.",
    )
    .told_by(CONTROLLER),
    heeded(
        "cluster-recheck-interval",
        "15min",
        "time",
        &[],
        "Longest time between two looks at whether something is to be done, for rules whose time comes. mainstayd looks when a rule's time comes, and every 15 minutes anyway.",
    )
    .told_by(CONTROLLER),
    heeded(
        "concurrent-fencing",
        "true",
        "boolean",
        &[],
        "Several nodes may be fenced at the same time.",
    )
    .told_by(SCHEDULER),
    without_effect(
        "dc-deadtime",
        "20s",
        "time",
        &[],
        "How long a starting node looks for others before it goes on alone. The totem section of corosync.conf sets the times of the membership.",
    )
    .told_by(CONTROLLER),
    heeded(
        "default-resource-stickiness",
        "0",
        "score",
        &[],
        "The older place of the default resource-stickiness, which belongs to `pcs resource defaults`.",
    )
    .at(Level::Deprecated(Some("resource-stickiness"))),
    without_effect(
        "election-timeout",
        "2min",
        "time",
        &[],
        "How long the election of a DC may take. The DC is settled with the membership.",
    )
    .told_by(CONTROLLER)
    .advanced(),
    without_effect(
        "enable-acl",
        "false",
        "boolean",
        &[],
        "Access control lists are enforced. They are not: members of the group haclient may use the cluster.",
    )
    .told_by(CONFIGURATION),
    heeded(
        "enable-startup-probes",
        "true",
        "boolean",
        &[],
        "A node that joins is asked what runs there already.",
    )
    .told_by(SCHEDULER),
    without_effect(
        "fence-reaction",
        "stop",
        "select",
        &["panic", "stop"],
        "What a node does when it learns that it was fenced and still runs. It stops everything and ends.",
    )
    .told_by(CONTROLLER),
    without_effect(
        "join-finalization-timeout",
        "30min",
        "time",
        &[],
        "How long a node may take to join for good.",
    )
    .told_by(CONTROLLER)
    .advanced(),
    without_effect(
        "join-integration-timeout",
        "3min",
        "time",
        &[],
        "How long a node may take to join.",
    )
    .told_by(CONTROLLER)
    .advanced(),
    without_effect(
        "load-threshold",
        "80%",
        "percentage",
        &[],
        "Load of a node above which fewer actions are sent there.",
    )
    .told_by(CONTROLLER),
    heeded(
        "maintenance-mode",
        "false",
        "boolean",
        &[],
        "Hands off: nothing is started, stopped or watched anywhere.",
    )
    .told_by(SCHEDULER),
    heeded(
        "migration-limit",
        "-1",
        "integer",
        &[],
        "Most live migrations that may be under way on a node at once; -1 is no limit.",
    )
    .told_by(SCHEDULER),
    heeded(
        "no-quorum-policy",
        "stop",
        "select",
        &["demote", "freeze", "ignore", "stop", "suicide", "fence"],
        "What a partition without quorum does with its resources.",
    )
    .told_by(CONTROLLER_AND_SCHEDULER),
    without_effect(
        "node-action-limit",
        "0",
        "integer",
        &[],
        "Most actions that may be under way on one node at once.",
    )
    .told_by(CONTROLLER),
    heeded(
        "node-health-base",
        "0",
        "score",
        &[],
        "Score that every node has in the strategy progressive.",
    )
    .told_by(SCHEDULER),
    heeded(
        "node-health-green",
        "0",
        "score",
        &[],
        "Score of a health attribute that says green.",
    )
    .told_by(SCHEDULER),
    heeded(
        "node-health-red",
        "-INFINITY",
        "score",
        &[],
        "Score of a health attribute that says red.",
    )
    .told_by(SCHEDULER),
    heeded(
        "node-health-strategy",
        "none",
        "select",
        &[
            "custom",
            "migrate-on-red",
            "none",
            "only-green",
            "progressive",
        ],
        "How attributes whose names begin with #health move resources away.",
    )
    .told_by(SCHEDULER),
    heeded(
        "node-health-yellow",
        "0",
        "score",
        &[],
        "Score of a health attribute that says yellow.",
    )
    .told_by(SCHEDULER),
    heeded(
        "node-pending-timeout",
        "0",
        "time",
        &[],
        "How long a node may be a member without joining before it is fenced; 0 is for ever.",
    )
    .told_by(SCHEDULER),
    heeded(
        "pe-error-series-max",
        "-1",
        "integer",
        &[],
        "How many inputs of decisions with errors are kept; -1 is all.",
    )
    .told_by(SCHEDULER),
    heeded(
        "pe-input-series-max",
        "4000",
        "integer",
        &[],
        "How many inputs of other decisions are kept; -1 is all.",
    )
    .told_by(SCHEDULER),
    heeded(
        "pe-warn-series-max",
        "5000",
        "integer",
        &[],
        "How many inputs of decisions with warnings are kept; -1 is all.",
    )
    .told_by(SCHEDULER),
    heeded(
        "placement-strategy",
        "default",
        "select",
        &["balanced", "default", "minimal", "utilization"],
        "How capacities and loads (utilization) place resources.",
    )
    .told_by(SCHEDULER),
    heeded(
        "priority-fencing-delay",
        "0",
        "time",
        &[],
        "Head start of the side whose resources have the higher priority when two sides fence each other.",
    )
    .told_by(SCHEDULER),
    heeded(
        "remove-after-stop",
        "false",
        "boolean",
        &[],
        "A resource is forgotten on a node after it was stopped there.",
    )
    .told_by(SCHEDULER)
    .at(Level::Deprecated(None)),
    heeded(
        "shutdown-escalation",
        "20min",
        "time",
        &[],
        "How long a node may take to stop its resources before it leaves without having stopped them.",
    )
    .told_by(CONTROLLER)
    .advanced(),
    heeded(
        "shutdown-lock",
        "false",
        "boolean",
        &[],
        "What ran on a node that was shut down cleanly waits for it and is not started elsewhere.",
    )
    .told_by(CONTROLLER_AND_SCHEDULER),
    heeded(
        "shutdown-lock-limit",
        "0",
        "time",
        &[],
        "How long that is waited for; 0 is for ever.",
    )
    .told_by(SCHEDULER),
    heeded(
        "start-failure-is-fatal",
        "true",
        "boolean",
        &[],
        "A failed start keeps the resource away from that node; otherwise migration-threshold counts it as any failure.",
    )
    .told_by(SCHEDULER),
    heeded(
        "startup-fencing",
        "true",
        "boolean",
        &[],
        "Nodes that were never seen are fenced before their resources are started elsewhere.",
    )
    .told_by(SCHEDULER)
    .advanced(),
    heeded(
        "stonith-action",
        "reboot",
        "select",
        &["off", "poweroff", "reboot"],
        "What fencing does.",
    )
    .told_by(SCHEDULER),
    heeded(
        "stonith-enabled",
        "true",
        "boolean",
        &[],
        "Nodes that failed are fenced. Without it shared data may be written to from two sides.",
    )
    .told_by(SCHEDULER)
    .advanced(),
    heeded(
        "stonith-max-attempts",
        "10",
        "integer",
        &[],
        "How often fencing of a node is tried before it is only tried when something changes.",
    )
    .told_by(CONTROLLER),
    heeded(
        "stonith-timeout",
        "60s",
        "time",
        &[],
        "How long a fence device may take.",
    )
    .told_by(SCHEDULER),
    without_effect(
        "stonith-watchdog-timeout",
        "0",
        "time",
        &[],
        "How long is waited until the watchdog of a lost node has fired. The watchdog is set in mainstay.conf(5).",
    )
    .told_by(CONTROLLER),
    heeded(
        "stop-all-resources",
        "false",
        "boolean",
        &[],
        "Everything is stopped but fence devices.",
    )
    .told_by(SCHEDULER),
    heeded(
        "stop-orphan-actions",
        "true",
        "boolean",
        &[],
        "Recurring actions that are no longer configured are ended.",
    )
    .told_by(SCHEDULER),
    heeded(
        "stop-orphan-resources",
        "true",
        "boolean",
        &[],
        "Resources that run and are no longer configured are stopped.",
    )
    .told_by(SCHEDULER),
    heeded(
        "symmetric-cluster",
        "true",
        "boolean",
        &[],
        "A resource may run on every node unless a constraint keeps it away.",
    )
    .told_by(SCHEDULER),
    without_effect(
        "transition-delay",
        "0s",
        "time",
        &[],
        "How long is waited after an event before decisions are made.",
    )
    .told_by(CONTROLLER)
    .advanced(),
];

/// What the cluster writes into its options itself (`daemon/describe.rs`).
pub(in crate::cli) const GENERATED: [Known; 3] = [
    heeded(
        "dc-version",
        "",
        "version",
        &[],
        "The version of Pacemaker that mainstay stands in for, and its own.",
    )
    .told_by(CONTROLLER)
    .at(Level::Generated),
    heeded(
        "cluster-infrastructure",
        "",
        "string",
        &[],
        "What the messages of the cluster travel by. mainstay says corosync: tools ask for that.",
    )
    .told_by(CONTROLLER)
    .at(Level::Generated),
    heeded(
        "have-watchdog",
        "false",
        "boolean",
        &[],
        "A watchdog fences nodes in the place of a device. mainstay says false.",
    )
    .told_by(SCHEDULER)
    .at(Level::Generated),
];

/// Names that Pacemaker 3.0.2 gave to options of [`ALL`], and the names that those have there:
/// mainstay takes both.
pub(in crate::cli) const LATER_NAMES: [(&str, &str); 7] = [
    ("cancel-removed-actions", "stop-orphan-actions"),
    ("fencing-action", "stonith-action"),
    ("fencing-enabled", "stonith-enabled"),
    ("fencing-max-attempts", "stonith-max-attempts"),
    ("fencing-timeout", "stonith-timeout"),
    ("fencing-watchdog-timeout", "stonith-watchdog-timeout"),
    ("stop-removed-resources", "stop-orphan-resources"),
];

/// The option of this name, later names included; nothing that only the cluster writes.
pub(in crate::cli) fn find(name: &str) -> Option<&'static Known> {
    let later = LATER_NAMES.iter().find(|(later, _)| *later == name);
    let name = later.map_or(name, |(_, older)| older);
    ALL.iter().find(|known| known.name == name)
}

/// Everything that may stand in `cluster_property_set`: what the cluster writes, [`ALL`], and the
/// later names.
pub(super) fn all() -> Vec<Known> {
    let mut all = GENERATED.to_vec();
    all.extend(ALL);
    let later = LATER_NAMES.iter().filter_map(|(name, older)| {
        let known = ALL.iter().find(|known| known.name == *older)?;
        Some(Known {
            name,
            other_name_of: Some(older),
            ..*known
        })
    });
    all.extend(later);
    all
}
