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
mod draft;
mod expand;
mod fencing;
mod graph;
mod health;
mod ledger;
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

pub use draft::{Draft, Earlier, Fate};
pub use limit::{CONSTRAINT_PAIRS_MAX, NODES_MAX, PAIRS_MAX};
pub use options::options_in_force;
pub use plan::{
    Action, ActionKind, ActionResource, Because, Graph, NodeStatus, OpFailure, Plan, Reason,
    ResourceStatus, Score, Synapse, readable,
};
pub use shown::{Shown, ShownReplica};
pub use values::Values;

use cluster::Cluster;
use std::collections::BTreeMap;

/// What the caller adds to the CIB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Now, in seconds since the epoch (`execution-date` in the CIB does not win over it).
    pub now: i64,
}

/// What of a plan somebody wants to see; what is not asked for stays empty and is not worked out.
/// The decisions are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// [`Plan::nodes`] and [`Plan::resources`].
    pub status: bool,
    /// [`Plan::graph`], and what [`Plan::warnings`] say of it.
    pub graph: bool,
    /// [`Plan::reasons`].
    pub reasons: bool,
    /// [`Plan::scores`]: for people, and dear in large clusters.
    pub scores: bool,
    /// [`Plan::drafts`], which need the graph.
    pub drafts: bool,
}

impl Asked {
    /// All but scores.
    pub const PLAN: Self = Self {
        status: true,
        graph: true,
        reasons: true,
        scores: false,
        drafts: false,
    };
    /// With scores.
    pub const ALL: Self = Self {
        scores: true,
        ..Self::PLAN
    };
}

/// Decides. Never panics, whatever the CIB says; what it cannot use it names in
/// [`Plan::errors`] and ignores. What is bigger than [`NODES_MAX`], [`PAIRS_MAX`] or
/// [`CONSTRAINT_PAIRS_MAX`] allow is refused as a whole ([`Plan::refused`]).
#[must_use]
pub fn schedule(cib: &cib::Element, options: &Options) -> Plan {
    schedule_for(cib, options, Asked::PLAN)
}

/// The same, with [`Plan::scores`] filled in.
#[must_use]
pub fn schedule_with_scores(cib: &cib::Element, options: &Options) -> Plan {
    schedule_for(cib, options, Asked::ALL)
}

/// The same, as far as asked.
#[must_use]
pub fn schedule_for(cib: &cib::Element, options: &Options, asked: Asked) -> Plan {
    let expanded = match expand::implied(cib) {
        Ok(expanded) => expanded,
        Err(reason) => return refusal(reason),
    };
    let configured = expanded.as_ref().unwrap_or(cib);
    let mut cluster = Cluster::new(configured, cib.first("status"), options.now);
    cluster.scores = asked.scores.then(Vec::new);
    cluster.ledger = (asked.scores && asked.reasons).then(Default::default);
    cluster.unpack();
    if let Some(reason) = cluster.refused {
        return refusal(reason);
    }
    let (nodes, resources, leftover_failures) = match asked.status {
        true => (
            cluster.node_status(),
            cluster.resource_status(),
            cluster.leftover_failures(),
        ),
        false => Default::default(),
    };
    cluster.decide();
    if let Some(reason) = cluster.refused {
        return refusal(reason);
    }
    // The graph's last look at collectives may still change what is needed.
    let summary = cluster.summarize();
    let graph = match asked.graph {
        true => cluster.build_graph(),
        false => Graph::default(),
    };
    let drafts = match asked.drafts {
        true => cluster.drafts(&graph),
        false => Vec::new(),
    };
    if asked.reasons {
        cluster.explain();
        cluster.tell_ledger();
    }
    if let Some(at) = cluster.rules_change.get() {
        cluster.recheck(at);
    }
    Plan {
        nodes,
        resources,
        leftover_failures,
        graph,
        summary,
        reasons: cluster.reasons,
        errors: cluster.errors,
        warnings: cluster.warnings,
        quorate: cluster.options.quorate,
        recheck_at: cluster.recheck_at,
        scores: cluster.scores.unwrap_or_default(),
        drafts,
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

/// Whether a rule of a location constraint holds for a node with these attributes and a resource
/// with these parameters at this time, in seconds since the epoch. Meta attributes of the resource
/// are taken as not set.
#[must_use]
pub fn rule_holds(
    rule: &cib::Element,
    attributes: &BTreeMap<String, String>,
    parameters: &BTreeMap<String, String>,
    now: i64,
) -> bool {
    let facts = rule::Facts {
        node_attrs: Some(attributes),
        params: Some(parameters),
        ..rule::Facts::at(now)
    };
    rule::passes(rule, &facts)
}
