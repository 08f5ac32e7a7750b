//! What to do next: CIB and time to placement, actions, transition graph and reasons. Pure.
//!
//! The stages follow Pacemaker's (lib/pengine, lib/pacemaker), one module each:
//! `unpack` (nodes, resources, status) → `constraint` → node criteria → internal constraints
//! (`resource`) → `config_change` → `assign` with `colocate` → actions (`probe`, `resource`,
//! `recurring`, `fencing`) → `ordering` → `graph`; `summary`, `view` and the reasons tell the
//! rest. Entities live in the arenas of `cluster` and refer to each other by index.
//! `DIFFERENCES.md` says where the answer is another than Pacemaker's, and why.

mod action;
mod assign;
mod circle;
mod cluster;
mod colocate;
mod config_change;
mod constraint;
mod expand;
mod fencing;
mod graph;
mod health;
mod limit;
mod lock;
mod meta;
mod migration;
mod node;
mod notify;
mod operation;
mod options;
mod ordering;
mod pattern;
mod plan;
mod probe;
mod reason;
mod recurring;
mod remote;
mod resource;
mod rule;
mod score;
mod scores;
mod shown;
mod summary;
mod text;
mod unpack;
mod utilization;
mod values;
mod view;

pub use limit::{CONSTRAINT_PAIRS_MAX, NODES_MAX, PAIRS_MAX};
pub use options::options_in_force;
pub use plan::{
    Action, ActionKind, ActionResource, Because, Graph, NodeStatus, OpFailure, Plan, Reason,
    ResourceStatus, Score, Synapse,
};
pub use shown::{Shown, ShownReplica};
pub use values::Values;

use cluster::Cluster;

/// What the caller adds to the CIB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Now, in seconds since the epoch (`execution-date` in the CIB does not win over it).
    pub now: i64,
}

/// Decides. Never panics, whatever the CIB says; what it cannot use it names in
/// [`Plan::errors`] and ignores. What is bigger than [`NODES_MAX`], [`PAIRS_MAX`] or
/// [`CONSTRAINT_PAIRS_MAX`] allow is refused as a whole ([`Plan::refused`]).
#[must_use]
pub fn schedule(cib: &cib::Element, options: &Options) -> Plan {
    run(cib, options, false)
}

/// The same, with [`Plan::scores`] filled in: for people, and dear in large clusters.
#[must_use]
pub fn schedule_with_scores(cib: &cib::Element, options: &Options) -> Plan {
    run(cib, options, true)
}

fn run(cib: &cib::Element, options: &Options, with_scores: bool) -> Plan {
    let expanded = match expand::implied(cib) {
        Ok(expanded) => expanded,
        Err(reason) => return refusal(reason),
    };
    let configured = expanded.as_ref().unwrap_or(cib);
    let mut cluster = Cluster::new(configured, cib.first("status"), options.now);
    cluster.scores = with_scores.then(Vec::new);
    cluster.unpack();
    if let Some(reason) = cluster.refused {
        return refusal(reason);
    }
    let (nodes, resources) = (cluster.node_status(), cluster.resource_status());
    cluster.decide();
    if let Some(reason) = cluster.refused {
        return refusal(reason);
    }
    // The graph's last look at collectives may still change what is needed.
    let summary = cluster.summarize();
    let graph = cluster.build_graph();
    cluster.explain();
    if let Some(at) = cluster.rules_change.get() {
        cluster.recheck(at);
    }
    Plan {
        nodes,
        resources,
        graph,
        summary,
        reasons: cluster.reasons,
        errors: cluster.errors,
        warnings: cluster.warnings,
        quorate: cluster.options.quorate,
        recheck_at: cluster.recheck_at,
        scores: cluster.scores.unwrap_or_default(),
        refused: None,
    }
}

/// A plan of nothing.
fn refusal(reason: String) -> Plan {
    let reason = format!("nothing is decided: {reason}");
    Plan {
        errors: vec![reason.clone()],
        refused: Some(reason),
        ..Plan::default()
    }
}

/// Seconds since the epoch of a point in time as rules write it: ISO 8601 with calendar, ordinal
/// or week dates; without an offset it is UTC.
#[must_use]
pub fn parse_time(text: &str) -> Option<i64> {
    rule::epoch(text)
}
