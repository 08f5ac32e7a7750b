//! Utilization: nodes have capacities, resources use them, and the placement strategy says what
//! that means (Pacemaker pcmk_sched_utilization.c; Pacemaker Explained, "Utilization and
//! Placement Strategy").

use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::colocate::Merge;
use crate::constraint::relation;
use crate::ledger::named;
use crate::node::Table;
use crate::options::Placement;
use crate::resource::{Role, Variant};
use crate::score::{self, INFINITY};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Amounts by name.
pub(crate) type Amounts = BTreeMap<String, i64>;

/// Reads the values of a `utilization` set; what is no number is nothing.
pub(crate) fn amounts(values: &BTreeMap<String, String>) -> Amounts {
    values
        .iter()
        .map(|(name, value)| (name.clone(), score::leading_integer(value).unwrap_or(0)))
        .collect()
}

/// Deepest chain of colocations followed.
const CHAIN_MAX: usize = 2000;

impl Cluster<'_> {
    /// Which node has more left, by the number of capacities in which it is ahead
    /// (Pacemaker pcmk_sched_utilization.c:pcmk__compare_node_capacities).
    pub(crate) fn compare_capacities(&self, a: NodeId, b: NodeId) -> Ordering {
        let (x, y) = (&self.nodes[a].free, &self.nodes[b].free);
        let names: BTreeSet<&String> = x.keys().chain(y.keys()).collect();
        let mut ahead = 0i64;
        for name in names {
            let amount = |table: &Amounts| table.get(name).copied().unwrap_or(0);
            ahead += match amount(x).cmp(&amount(y)) {
                Ordering::Greater => -1,
                Ordering::Equal => 0,
                Ordering::Less => 1,
            };
        }
        ahead.cmp(&0)
    }

    /// What a resource uses is taken from a node.
    pub(crate) fn consume_capacity(&mut self, rsc: RscId, node: NodeId) {
        for (name, amount) in &self.rscs[rsc].utilization {
            if let Some(free) = self.nodes[node].free.get_mut(name) {
                *free = free.saturating_sub(*amount);
            }
        }
    }

    /// What a resource used is given back to a node.
    pub(crate) fn release_capacity(&mut self, rsc: RscId, node: NodeId) {
        for (name, amount) in &self.rscs[rsc].utilization {
            let free = self.nodes[node].free.entry(name.clone()).or_default();
            *free = free.saturating_add(*amount);
        }
    }

    fn has_room(&self, node: NodeId, needed: &Amounts) -> bool {
        needed
            .iter()
            .all(|(name, amount)| *amount <= self.nodes[node].free.get(name).copied().unwrap_or(0))
    }

    /// Bans a resource from nodes without room for it and all that must be with it; where no
    /// node has that, for it alone, and the node with most room is answered
    /// (Pacemaker pcmk_sched_utilization.c:pcmk__ban_insufficient_capacity).
    pub(crate) fn ban_full_nodes_for(&mut self, rsc: RscId) -> Option<NodeId> {
        if self.options.placement == Placement::Default {
            return None;
        }
        let mut together = Vec::new();
        self.colocated_resources(rsc, rsc, &mut together);
        let mut needed = Amounts::new();
        for other in together.clone().into_iter().rev() {
            self.add_utilization(other, &together, &mut needed);
        }
        let candidates: Vec<NodeId> = self.rscs[rsc]
            .allowed
            .iter()
            .filter(|(node, weight)| weight.score >= 0 && self.nodes[*node].available())
            .map(|(node, _)| node)
            .collect();
        let any = candidates.iter().any(|node| self.has_room(*node, &needed));
        let mut roomiest: Option<NodeId> = None;
        for node in &candidates {
            let better = |best: NodeId| self.compare_capacities(*node, best) == Ordering::Less;
            if roomiest.is_none_or(better) {
                roomiest = Some(*node);
            }
        }
        let needed = if any {
            needed
        } else {
            self.rscs[rsc].utilization.clone()
        };
        for node in candidates {
            if !self.has_room(node, &needed) {
                let because = named("utilization", "placement-strategy")(-INFINITY);
                self.add_score(rsc, node, &because);
                self.note(rsc, Some(node), because);
            }
        }
        roomiest.filter(|_| !any)
    }

    /// All that must be where a resource is, latest found last
    /// (Pacemaker pcmk_sched_colocation.c:pcmk__colocated_resources).
    fn colocated_resources(&self, rsc: RscId, orig: RscId, found: &mut Vec<RscId>) {
        if found.contains(&rsc) || found.len() >= CHAIN_MAX {
            return;
        }
        found.push(rsc);
        let r = &self.rscs[rsc];
        let cloned = r.parent.is_some_and(|parent| self.is_clone(parent));
        if r.variant == Variant::Group && (r.group_colocated || cloned) {
            for member in &r.children {
                self.colocated_resources(*member, orig, found);
            }
            return;
        }
        for col in self.this_with_colocations(rsc) {
            let colocation = &self.colocations[col];
            let primary = colocation.primary;
            if primary != orig
                && colocation.score == INFINITY
                && self.affects_location(rsc, primary, col)
            {
                self.colocated_resources(primary, orig, found);
            }
        }
        for col in self.with_this_colocations(rsc) {
            let colocation = &self.colocations[col];
            let dependent = colocation.dependent;
            let uncertain = self.is_clone(rsc) && !self.is_clone(dependent);
            if dependent != orig
                && !uncertain
                && colocation.score == INFINITY
                && self.affects_location(dependent, rsc, col)
            {
                self.colocated_resources(dependent, orig, found);
            }
        }
    }

    /// Whether a colocation concerns where the dependent is, wherever the two are in their
    /// assignment.
    fn affects_location(&self, dependent: RscId, primary: RscId, col: usize) -> bool {
        let colocation = &self.colocations[col];
        let (d, p) = (&self.rscs[dependent], &self.rscs[primary]);
        let promotable = d
            .parent
            .is_some_and(|parent| self.rscs[parent].flags.promotable);
        let by_role =
            colocation.dependent_role >= Role::Unpromoted && promotable && !d.flags.unassigned;
        let fits = |wanted: Role, next: Role| wanted == Role::Unknown || wanted == next;
        !by_role
            && fits(colocation.dependent_role, d.next_role)
            && fits(colocation.primary_role, p.next_role)
    }

    fn add_utilization(&self, rsc: RscId, all: &[RscId], sum: &mut Amounts) {
        let r = &self.rscs[rsc];
        if !r.flags.unassigned {
            return;
        }
        let listed = |id: &RscId| all.contains(id);
        match r.variant {
            Variant::Primitive => {
                for (name, amount) in &r.utilization {
                    let total = sum.entry(name.clone()).or_default();
                    *total = total.saturating_add(*amount);
                }
            }
            Variant::Group => {
                let cloned = r.parent.is_some_and(|parent| self.is_clone(parent));
                let count = if r.group_colocated || cloned {
                    r.children.len()
                } else {
                    1
                };
                for member in r.children.iter().take(count).filter(|m| !listed(m)) {
                    self.add_utilization(*member, all, sum);
                }
            }
            Variant::Bundle => {
                let containers = self.instances_of(rsc);
                if let Some(first) = containers
                    .first()
                    .filter(|_| !containers.iter().any(listed))
                {
                    self.add_utilization(*first, all, sum);
                }
            }
            Variant::Clone => {
                let present = r
                    .children
                    .iter()
                    .any(|child| listed(child) || self.rscs[*child].children.iter().any(listed));
                if let Some(first) = r.children.first().filter(|_| !present) {
                    self.add_utilization(*first, all, sum);
                }
            }
        }
    }

    /// Room is there when what uses it has stopped
    /// (Pacemaker pcmk_sched_utilization.c:pcmk__create_utilization_constraints).
    pub(crate) fn utilization_constraints(&mut self, rsc: RscId) {
        let kind = relation::IF_ON_SAME_NODE_OR_TARGET;
        for node in self.rscs[rsc].active.clone() {
            let stopped = self.load_stopped(node);
            self.order_op_then(rsc, "stop", stopped, kind);
        }
        for node in self.rscs[rsc].allowed.nodes() {
            let stopped = self.load_stopped(node);
            self.order_action_then(stopped, rsc, "start", kind);
            self.order_action_then(stopped, rsc, "migrate_to", kind);
        }
    }

    fn load_stopped(&mut self, node: NodeId) -> ActId {
        let key = format!("load_stopped_{}", self.nodes[node].name);
        let flags = flag::PSEUDO | flag::RUNNABLE;
        self.singleton(&key, &key, Some(node), flags)
    }

    /// With a placement strategy, the order of assignment also follows the scores
    /// (Pacemaker pcmk_sched_resource.c:pcmk__sort_resources).
    pub(crate) fn sort_for_placement(&mut self) {
        if self.options.placement == Placement::Default {
            return;
        }
        let mut nodes: Vec<NodeId> = (0..self.nodes.len()).collect();
        nodes.sort_by(|a, b| {
            let weight = |node: NodeId| {
                let score = self.nodes[node].base_score;
                (
                    node,
                    crate::node::Weight {
                        score,
                        ..Default::default()
                    },
                )
            };
            self.compare_nodes(weight(*a), weight(*b), None)
        });
        let tops = self.top.clone();
        let tables: BTreeMap<RscId, Table> = tops
            .iter()
            .map(|rsc| (*rsc, self.table_with_colocated(*rsc)))
            .collect();
        let score = |rsc: RscId, node: Option<NodeId>| {
            let table = tables.get(&rsc);
            let weight = node.and_then(|node| table?.get(node));
            weight.map_or(-INFINITY, |weight| weight.score)
        };
        let mut sorted = tops;
        sorted.sort_by(|a, b| {
            let (x, y) = (&self.rscs[*a], &self.rscs[*b]);
            let mut order = y.priority.cmp(&x.priority).then_with(|| {
                let (at_a, at_b) = (self.current_node(*a), self.current_node(*b));
                score(*b, at_b).cmp(&score(*a, at_a))
            });
            for node in &nodes {
                order = order.then_with(|| score(*b, Some(*node)).cmp(&score(*a, Some(*node))));
            }
            order
        });
        self.top = sorted;
    }

    /// A resource's scores with those of what it is placed with.
    fn table_with_colocated(&mut self, rsc: RscId) -> Table {
        let mut source = rsc;
        while self.rscs[source].variant == Variant::Group {
            let Some(last) = self.rscs[source].children.last() else {
                break;
            };
            source = *last;
        }
        let mut table = self.rscs[source].allowed.clone();
        let merge = Merge::new(source, true, false);
        self.merge_primaries(source, &mut table, 1.0, merge);
        table
    }
}
