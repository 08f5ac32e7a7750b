//! Nodes and the per-resource tables of scores for them.

use crate::cluster::{NodeId, RscId};
use crate::score::{self, INFINITY};
use std::collections::BTreeMap;

/// What kind of machine a `node` element stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// Runs the cluster stack.
    Member,
    /// Runs the remote daemon only.
    Remote,
    /// Known, but never runs resources.
    Ping,
}

/// A node and what is known about it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    /// Score of the node itself; -INFINITY once it may not run anything.
    pub(crate) base_score: i32,
    pub(crate) attrs: BTreeMap<String, String>,
    pub(crate) online: bool,
    pub(crate) pending: bool,
    pub(crate) unclean: bool,
    pub(crate) standby: bool,
    pub(crate) standby_on_fail: bool,
    pub(crate) maintenance: bool,
    pub(crate) shutdown: bool,
    pub(crate) expected_up: bool,
    pub(crate) is_dc: bool,
    pub(crate) unpacked: bool,
    /// The resource that connects to it, of remote nodes.
    pub(crate) connection: Option<RscId>,
    /// Its resources are lost with the connection.
    pub(crate) remote_reset: bool,
    /// The inside of a resource.
    pub(crate) guest: bool,
    /// Nothing in the status speaks of it yet.
    pub(crate) unseen: bool,
    /// A remote node that was fenced since it was last connected.
    pub(crate) was_fenced: bool,
    /// What runs there may be looked for.
    pub(crate) discovery: bool,
    /// Of a bundle that is not unpacked yet.
    pub(crate) to_come: bool,
    /// The inside of a bundle's container.
    pub(crate) bundled: bool,
    /// Capacity that is not used yet.
    pub(crate) free: crate::utilization::Amounts,
    /// Primitives active there.
    pub(crate) running: Vec<RscId>,
    /// Primitives assigned there so far.
    pub(crate) assigned_count: u32,
    /// Sum of the priorities of what runs there (priority-fencing-delay).
    pub(crate) priority: i64,
}

impl Node {
    /// Up and trusted.
    pub(crate) fn alive(&self) -> bool {
        self.online && !self.unclean
    }

    /// Up, trusted, and meant to run resources now
    /// (Pacemaker pcmk__node_available: alive | usable).
    pub(crate) fn available(&self) -> bool {
        self.alive() && !self.shutdown && !self.standby && !self.maintenance
    }

    /// Why nothing may run there now, in one word.
    pub(crate) fn unusable_because(&self) -> Option<&'static str> {
        if self.unclean {
            Some("unclean")
        } else if !self.online {
            Some("offline")
        } else if self.pending {
            Some("pending")
        } else if self.shutdown {
            Some("shutdown")
        } else if self.maintenance {
            Some("maintenance")
        } else if self.standby {
            Some("standby")
        } else {
            None
        }
    }
}

/// When a resource may be probed on a node (location's `resource-discovery`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProbeMode {
    /// Everywhere.
    #[default]
    Always,
    /// Not on this node.
    Never,
    /// Only on nodes marked so.
    Exclusive,
}

/// A resource's view of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) score: i32,
    /// Instances of a clone assigned there.
    pub(crate) count: u32,
    pub(crate) probe: ProbeMode,
}

/// A resource's scores by node; `None` = not in the table (asymmetric clusters).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table(Vec<Option<Weight>>);

impl Table {
    /// Entry of a node.
    pub(crate) fn get(&self, node: NodeId) -> Option<Weight> {
        self.0.get(node).copied().flatten()
    }

    /// Entry of a node, to change.
    pub(crate) fn get_mut(&mut self, node: NodeId) -> Option<&mut Weight> {
        self.0.get_mut(node).and_then(Option::as_mut)
    }

    /// Entry of a node, made with this score when missing.
    pub(crate) fn entry(&mut self, node: NodeId, initial: i32) -> &mut Weight {
        if self.0.len() <= node {
            self.0.resize(node + 1, None);
        }
        self.0[node].get_or_insert(Weight {
            score: initial,
            ..Weight::default()
        })
    }

    /// Adds to a node's score, starting from `initial` when the node is new.
    pub(crate) fn add(&mut self, node: NodeId, initial: i32, amount: i32) {
        let weight = self.entry(node, initial);
        weight.score = score::add(weight.score, amount);
    }

    /// Nodes in the table, in display order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, Weight)> + '_ {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(id, weight)| weight.map(|w| (id, w)))
    }

    /// Nodes in the table.
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.iter().map(|(id, _)| id).collect()
    }

    /// Bans a node that is in the table.
    pub(crate) fn ban(&mut self, node: NodeId) {
        if let Some(weight) = self.get_mut(node) {
            weight.score = -INFINITY;
        }
    }

    /// Bans every node, adding those not in the table yet.
    pub(crate) fn ban_all(&mut self, node_count: usize) {
        self.0 = vec![
            Some(Weight {
                score: -INFINITY,
                ..Weight::default()
            });
            node_count
        ];
    }
}
