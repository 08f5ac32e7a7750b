//! The working set of one scheduling run, and the stages it goes through.

use crate::action::Action;
use crate::circle::Configured;
use crate::constraint::ticket::Ticket;
use crate::constraint::{Colocation, Location, Ordering};
use crate::ledger::Ledger;
use crate::meta::Known;
use crate::node::Node;
use crate::notify::Notification;
use crate::options::ClusterOptions;
use crate::ordering::Fixpoint;
use crate::plan::{OpFailure, Reason, Score};
use crate::resource::Resource;
use crate::rule::Facts;
use crate::unpack::history::ResourceHistory;
use cib::Element;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Index into [`Cluster::nodes`].
pub(crate) type NodeId = usize;
/// Index into [`Cluster::rscs`].
pub(crate) type RscId = usize;
/// Index into [`Cluster::actions`]; the action's number is one more.
pub(crate) type ActId = usize;
/// Index into [`Cluster::colocations`].
pub(crate) type ColId = usize;

/// Everything one run knows. Entities live in arenas and refer to each other by index.
#[derive(Debug)]
pub(crate) struct Cluster<'a> {
    /// With the configuration spelled out; its status stands beside it.
    pub(crate) cib: &'a Element,
    pub(crate) status: Option<&'a Element>,
    /// Seconds since the epoch.
    pub(crate) now: i64,
    pub(crate) options: ClusterOptions,
    /// In display order.
    pub(crate) nodes: Vec<Node>,
    pub(crate) rscs: Vec<Resource<'a>>,
    /// Top-level resources, by priority; removed ones at the end.
    pub(crate) top: Vec<RscId>,
    /// Top-level resources in document order, for display.
    pub(crate) documents: Vec<RscId>,
    /// Every resource and instance by its id.
    pub(crate) by_id: BTreeMap<String, RscId>,
    /// In order of creation; Pacemaker's list is the reverse.
    pub(crate) actions: Vec<Action>,
    /// Actions that belong to no resource, by key.
    pub(crate) singletons: BTreeMap<String, ActId>,
    pub(crate) locations: Vec<Location>,
    pub(crate) colocations: Vec<Colocation>,
    /// In order of creation, which is the order they are applied in.
    pub(crate) orderings: Vec<Ordering>,
    /// In document order.
    pub(crate) configured_orders: Vec<Configured>,
    /// What ran where, as unpacked, in the order found; until it is compared with the
    /// configuration.
    pub(crate) histories: Vec<ResourceHistory<'a>>,
    pub(crate) failed_ops: Vec<FailedOp>,
    /// By id.
    pub(crate) tickets: BTreeMap<String, Ticket>,
    /// Of each clone that wants them.
    pub(crate) notifications: BTreeMap<RscId, Vec<Notification>>,
    pub(crate) have_fencing_device: bool,
    /// Containers to be stopped, because a connection to what is inside failed.
    pub(crate) stop_needed: Vec<RscId>,
    pub(crate) fixpoint: Fixpoint,
    pub(crate) recheck_at: Option<i64>,
    /// When a rule's answer changes, seconds since the epoch.
    pub(crate) rules_change: Cell<Option<i64>>,
    pub(crate) reasons: Vec<Reason>,
    /// Where somebody wants to see them.
    pub(crate) scores: Option<Vec<Score>>,
    /// Where somebody wants to see both scores and reasons.
    pub(crate) ledger: Option<Ledger>,
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
    /// Why nothing is decided at all.
    pub(crate) refused: Option<String>,
    /// Pairs that the constraints made so far.
    pub(crate) constraint_pairs: usize,
    /// Primitives of anonymous clones by the name that their history has.
    pub(crate) by_history: BTreeMap<String, RscId>,
    pub(crate) known: Known,
}

/// A failure shown to the user.
#[derive(Clone, Debug)]
pub(crate) struct FailedOp {
    pub(crate) rsc: RscId,
    pub(crate) failure: OpFailure,
}

impl<'a> Cluster<'a> {
    /// An empty working set.
    pub(crate) fn new(cib: &'a Element, status: Option<&'a Element>, now: i64) -> Self {
        let mut warnings = Vec::new();
        let options = ClusterOptions::unpack(cib, now, &mut warnings);
        Self {
            cib,
            status,
            now,
            options,
            nodes: Vec::new(),
            rscs: Vec::new(),
            top: Vec::new(),
            documents: Vec::new(),
            by_id: BTreeMap::new(),
            actions: Vec::new(),
            singletons: BTreeMap::new(),
            locations: Vec::new(),
            colocations: Vec::new(),
            orderings: Vec::new(),
            configured_orders: Vec::new(),
            histories: Vec::new(),
            failed_ops: Vec::new(),
            tickets: BTreeMap::new(),
            notifications: BTreeMap::new(),
            have_fencing_device: false,
            stop_needed: Vec::new(),
            fixpoint: Fixpoint::default(),
            recheck_at: None,
            rules_change: Cell::new(None),
            reasons: Vec::new(),
            scores: None,
            ledger: None,
            errors: Vec::new(),
            warnings,
            refused: None,
            constraint_pairs: 0,
            by_history: BTreeMap::new(),
            known: Known::default(),
        }
    }

    /// Unpacks configuration and status.
    pub(crate) fn unpack(&mut self) {
        self.unpack_nodes();
        self.unpack_resources();
        self.link_remotes();
        self.open_ledger();
        self.unpack_status();
    }

    /// Decides (Pacemaker pcmk_scheduler.c:pcmk__schedule_actions).
    pub(crate) fn decide(&mut self) {
        self.apply_node_health();
        self.unpack_constraints();
        if self.refused.is_some() {
            return;
        }
        self.apply_node_criteria();
        for rsc in self.top.clone() {
            self.internal_constraints(rsc);
        }
        self.handle_config_changes();
        self.sort_for_placement();
        self.assign_all();
        self.schedule_resource_actions();
        self.order_remote_actions();
        self.schedule_fencing_and_shutdowns();
        self.apply_orderings();
    }

    fn schedule_resource_actions(&mut self) {
        if self.options.startup_probes {
            self.schedule_probes();
        }
        if self.options.stop_removed_resources {
            self.clear_failcounts_of_removed();
        }
        for rsc in self.top.clone() {
            self.create_actions(rsc);
        }
    }

    /// What rules are asked about: the time, and where they note when their answer changes.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            change: Some(&self.rules_change),
            ..Facts::at(self.now)
        }
    }

    /// The plan may change by itself at this time.
    pub(crate) fn recheck(&mut self, at: i64) {
        if at > self.now && self.recheck_at.is_none_or(|earlier| at < earlier) {
            self.recheck_at = Some(at);
        }
    }

    /// A node by id or name.
    pub(crate) fn find_node(&self, text: &str) -> Option<NodeId> {
        self.nodes
            .iter()
            .position(|n| n.id.eq_ignore_ascii_case(text))
            .or_else(|| {
                self.nodes
                    .iter()
                    .position(|n| n.name.eq_ignore_ascii_case(text))
            })
    }

    /// A configured resource by id; anonymous clones answer to their instances' plain id.
    pub(crate) fn find_configured(&self, id: &str) -> Option<RscId> {
        self.by_id.get(id).copied().or_else(|| {
            // What is cloned is known by its own name once it has a history.
            let instance = self.by_history.get(id)?;
            Some(self.top_of(*instance))
        })
    }

    /// From now on resources are found by the names that histories have for them.
    pub(crate) fn index_histories(&mut self) {
        for (rsc, r) in self.rscs.iter().enumerate() {
            if let Some(name) = &r.history_id {
                self.by_history.entry(name.clone()).or_insert(rsc);
            }
        }
    }
}
