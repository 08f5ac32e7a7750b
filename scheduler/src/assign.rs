//! Giving resources their nodes.

use crate::action::flag;
use crate::cluster::{Cluster, ColId, NodeId, RscId};
use crate::node::Weight;
use crate::options::{NoQuorum, Placement};
use crate::resource::{Role, Variant};
use crate::score::INFINITY;
use crate::scores::stage;
use std::cmp::Ordering;

/// Most resources that may wait for each other's assignment by recursion.
const CHAIN_MAX: usize = 150;

impl Cluster<'_> {
    /// Connections first: what runs behind them depends on them
    /// (Pacemaker pcmk_scheduler.c:assign_resources).
    pub(crate) fn assign_all(&mut self) {
        self.note_capacities("Original");
        for rsc in self.top.clone() {
            if self.rscs[rsc].remote_name.is_some() {
                let target = self.rscs[rsc].partial_target;
                self.assign(rsc, target, true);
            }
        }
        for rsc in self.top.clone() {
            if self.rscs[rsc].remote_name.is_none() {
                self.assign_top(rsc);
            }
        }
        self.note_capacities("Remaining");
    }

    /// Assigns what is not assigned yet. Those placed with others come after them; where
    /// too many are linked to leave that to recursion, the order is found beforehand.
    pub(crate) fn assign_top(&mut self, rsc: RscId) {
        for primary in self.long_chain(rsc) {
            self.assign(primary, None, true);
        }
        self.assign(rsc, None, true);
    }

    /// All that `rsc` is placed with, directly or not, those placed with nothing first;
    /// nothing if the chain is short.
    fn long_chain(&self, rsc: RscId) -> Vec<RscId> {
        let mut visited = std::collections::BTreeSet::from([rsc]);
        let mut order = Vec::new();
        let mut path = vec![(rsc, self.unassigned_primaries(rsc))];
        while let Some((at, next)) = path.last_mut() {
            match next.pop() {
                Some(primary) => {
                    if visited.insert(primary) {
                        path.push((primary, self.unassigned_primaries(primary)));
                    }
                }
                None => {
                    order.push(*at);
                    path.pop();
                }
            }
        }
        if order.len() <= CHAIN_MAX {
            order.clear();
        }
        order
    }

    /// Top-level resources this one is placed with; the first to be assigned comes last.
    fn unassigned_primaries(&self, top: RscId) -> Vec<RscId> {
        let mut found = [Vec::new(), Vec::new()];
        let mut inside = vec![top];
        while let Some(rsc) = inside.pop() {
            for col in &self.rscs[rsc].this_with {
                let primary = self.top_of(self.colocations[*col].primary);
                if primary != top && self.rscs[primary].flags.unassigned {
                    found[usize::from(self.is_mandatory(*col))].push(primary);
                }
            }
            inside.extend(&self.rscs[rsc].children);
        }
        for list in &mut found {
            list.reverse();
        }
        found.concat()
    }

    /// Assigns a resource and all in it; answers the node if it is one
    /// (Pacemaker's `assign` method).
    pub(crate) fn assign(
        &mut self,
        rsc: RscId,
        prefer: Option<NodeId>,
        stop_if_fail: bool,
    ) -> Option<NodeId> {
        match self.rscs[rsc].variant {
            Variant::Primitive => self.assign_primitive(rsc, prefer, stop_if_fail),
            Variant::Group => self.assign_group(rsc, prefer, stop_if_fail),
            Variant::Clone => {
                self.assign_clone(rsc);
                None
            }
            Variant::Bundle => {
                self.assign_bundle(rsc, prefer, stop_if_fail);
                None
            }
        }
    }

    /// Pacemaker pcmk_sched_primitive.c:pcmk__primitive_assign.
    fn assign_primitive(
        &mut self,
        rsc: RscId,
        prefer: Option<NodeId>,
        stop_if_fail: bool,
    ) -> Option<NodeId> {
        if let Some(parent) = self.rscs[rsc].parent
            && !self.rscs[parent].flags.assigning
        {
            self.assign(parent, prefer, stop_if_fail);
        }
        if !self.rscs[rsc].flags.unassigned {
            return self.rscs[rsc].assigned;
        }
        if self.rscs[rsc].flags.assigning {
            return None;
        }
        self.rscs[rsc].flags.assigning = true;
        self.reopen_ledger(rsc);
        self.apply_colocations_of(rsc);
        self.apply_wanted_role(rsc);
        self.note_scores(stage::PRIMITIVE, rsc);
        if self.options.fencing && !self.have_fencing_device {
            self.rscs[rsc].flags.managed = false;
        }
        if !self.rscs[rsc].flags.managed {
            let role = self.rscs[rsc].role;
            self.set_next_role(rsc, role);
            let node = self.current_node(rsc);
            self.assign_resource(rsc, node, true, stop_if_fail);
        } else if self.options.stop_all {
            self.assign_resource(rsc, None, true, stop_if_fail);
        } else {
            self.assign_best_node(rsc, prefer, stop_if_fail);
        }
        self.close_ledger(rsc);
        self.rscs[rsc].flags.assigning = false;
        if self.rscs[rsc].remote_name.is_some() {
            self.connection_assigned(rsc);
        }
        self.rscs[rsc].assigned
    }

    /// Mandatory colocations first, to satisfy as many as possible.
    fn apply_colocations_of(&mut self, rsc: RscId) {
        let this_with = self.this_with_colocations(rsc);
        let with_this = self.with_this_colocations(rsc);
        for mandatory in [true, false] {
            for col in &this_with {
                if self.is_mandatory(*col) == mandatory {
                    self.apply_this_with(*col, rsc);
                    self.settle_colocation(rsc, *col, false);
                }
            }
            for col in &with_this {
                if self.is_mandatory(*col) == mandatory {
                    self.add_dependent_scores(rsc, *col);
                    self.settle_colocation(rsc, *col, true);
                }
            }
        }
    }

    fn is_mandatory(&self, col: ColId) -> bool {
        self.colocations[col].score.abs() >= INFINITY
    }

    fn apply_this_with(&mut self, col: ColId, rsc: RscId) {
        let colocation = &self.colocations[col];
        let (primary, score) = (colocation.primary, colocation.score);
        let optional_apart = score < 0 && score > -INFINITY;
        let revertible = colocation.dependent_role >= Role::Promoted || optional_apart;
        let archive = revertible.then(|| self.rscs[rsc].allowed.clone());
        if self.rscs[primary].flags.unassigned {
            self.assign(primary, None, true);
        }
        self.apply_colocation(rsc, primary, col, true);
        if let Some(archive) = archive
            && !self.any_available(&self.rscs[rsc].allowed)
        {
            self.rscs[rsc].allowed = archive;
        }
    }

    fn apply_wanted_role(&mut self, rsc: RscId) {
        let r = &self.rscs[rsc];
        if r.next_role == Role::Stopped {
            let from = match self.target_role(rsc) {
                Some(Role::Stopped) => "target-role",
                _ => "stopped",
            };
            for node in 0..self.nodes.len() {
                self.ban(rsc, node, from, "");
            }
        } else if r.next_role > r.role
            && !self.options.quorate
            && self.options.no_quorum == NoQuorum::Freeze
        {
            let role = r.role;
            self.set_next_role(rsc, role);
        }
    }

    /// Pacemaker pcmk_sched_primitive.c:assign_best_node.
    fn assign_best_node(&mut self, rsc: RscId, prefer: Option<NodeId>, stop_if_fail: bool) {
        let roomiest = self.ban_full_nodes_for(rsc);
        let prefer = prefer.or(roomiest);
        let nodes = self.sorted_nodes(rsc, self.current_node(rsc));
        let score = |node: NodeId| {
            self.rscs[rsc]
                .allowed
                .get(node)
                .map_or(-INFINITY, |w| w.score)
        };
        let best = nodes.first().copied();
        let mut chosen = prefer.filter(|node| {
            self.rscs[rsc].allowed.get(*node).is_some()
                && best.is_some_and(|best| score(*node) >= score(best))
                && score(*node) > -INFINITY
                && self.nodes[*node].available()
        });
        if let (None, Some(best)) = (chosen, best) {
            chosen = Some(best);
            let unique_instance = self.rscs[rsc]
                .parent
                .is_some_and(|p| self.is_clone(p) && self.rscs[p].flags.unique);
            if !unique_instance
                && score(best) > 0
                && self.nodes[best].available()
                && let Some(running) = self.current_node(rsc)
                && self.nodes[running].available()
                && self.nodes[running].base_score > -INFINITY
                && nodes.contains(&running)
                && score(running) == score(best)
            {
                chosen = Some(running);
            }
        }
        self.note_choice(rsc, chosen, &nodes);
        self.assign_resource(rsc, chosen, false, stop_if_fail);
    }

    /// Allowed nodes, most preferred first.
    pub(crate) fn sorted_nodes(&self, rsc: RscId, active: Option<NodeId>) -> Vec<NodeId> {
        let mut nodes: Vec<(NodeId, Weight)> = self.rscs[rsc].allowed.iter().collect();
        nodes.sort_by(|a, b| self.compare_nodes(*a, *b, active));
        nodes.into_iter().map(|(node, _)| node).collect()
    }

    /// Pacemaker pcmk_sched_nodes.c:compare_nodes.
    pub(crate) fn compare_nodes(
        &self,
        a: (NodeId, Weight),
        b: (NodeId, Weight),
        active: Option<NodeId>,
    ) -> Ordering {
        let score = |(node, weight): (NodeId, Weight)| {
            if self.nodes[node].available() {
                weight.score
            } else {
                -INFINITY
            }
        };
        let (x, y) = (&self.nodes[a.0], &self.nodes[b.0]);
        let order = score(b).cmp(&score(a));
        let order = match self.options.placement {
            Placement::Minimal => return order.then_with(|| x.name.cmp(&y.name)),
            Placement::Balanced => order.then_with(|| self.compare_capacities(a.0, b.0)),
            _ => order,
        };
        order
            .then_with(|| x.assigned_count.cmp(&y.assigned_count))
            .then_with(|| (active == Some(b.0)).cmp(&(active == Some(a.0))))
            .then_with(|| x.name.cmp(&y.name))
    }

    /// Puts a resource and all in it on a node, or nowhere; answers whether that changed
    /// anything (Pacemaker pcmk_sched_resource.c:pcmk__assign_resource).
    pub(crate) fn assign_resource(
        &mut self,
        rsc: RscId,
        node: Option<NodeId>,
        force: bool,
        stop_if_fail: bool,
    ) -> bool {
        if !self.rscs[rsc].children.is_empty() {
            let mut changed = false;
            for child in self.rscs[rsc].children.clone() {
                changed |= self.assign_resource(child, node, force, stop_if_fail);
            }
            return changed;
        }
        let mut node = node;
        if !force && let Some(wanted) = node {
            let score = self.rscs[rsc]
                .allowed
                .get(wanted)
                .map_or(-INFINITY, |w| w.score);
            // A guest may be expected to come up with its container.
            let usable = self.nodes[wanted].available() || self.is_guest(wanted);
            if !usable || score < 0 {
                if stop_if_fail {
                    self.set_next_role(rsc, Role::Stopped);
                }
                node = None;
            }
        }
        let changed = self.rscs[rsc].assigned != node;
        self.unassign(rsc);
        self.rscs[rsc].flags.unassigned = false;
        let Some(node) = node else {
            if stop_if_fail {
                self.stop_unassigned(rsc);
            }
            return changed;
        };
        self.rscs[rsc].assigned = Some(node);
        self.rscs[rsc].assigned_score = self.rscs[rsc].allowed.get(node).map_or(0, |w| w.score);
        self.nodes[node].assigned_count += 1;
        self.consume_capacity(rsc, node);
        self.note_utilization(rsc, node);
        changed
    }

    /// Brings existing actions in line with having no node.
    fn stop_unassigned(&mut self, rsc: RscId) {
        self.set_next_role(rsc, Role::Stopped);
        for id in self.rscs[rsc].actions.clone() {
            let action = &mut self.actions[id];
            match action.task.as_str() {
                "stop" => action.flags &= !flag::OPTIONAL,
                "start" => action.flags &= !flag::RUNNABLE,
                _ => {
                    let for_stopped = action.meta.get("op_target_rc") == Some("7");
                    if action.meta.contains_key("interval") && !for_stopped {
                        action.flags &= !flag::RUNNABLE;
                    }
                }
            }
        }
    }

    /// Takes the assignment of a resource and all in it back.
    pub(crate) fn unassign(&mut self, rsc: RscId) {
        self.rscs[rsc].flags.unassigned = true;
        if let Some(node) = self.rscs[rsc].assigned.take() {
            let count = &mut self.nodes[node].assigned_count;
            *count = count.saturating_sub(1);
            self.release_capacity(rsc, node);
        }
        for child in self.rscs[rsc].children.clone() {
            self.unassign(child);
        }
    }
}
