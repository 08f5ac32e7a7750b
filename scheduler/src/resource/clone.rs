//! Clones: assignment order of instances, internal constraints, probes.

use crate::cluster::{Cluster, NodeId, RscId};
use crate::colocate::Merge;
use crate::constraint::relation;
use crate::node::{ProbeMode, Table};
use crate::score;
use crate::scores::stage;
use std::cmp::Ordering;

impl Cluster<'_> {
    /// Pacemaker pcmk_sched_clone.c:pcmk__clone_assign.
    pub(crate) fn assign_clone(&mut self, clone: RscId) {
        let flags = self.rscs[clone].flags;
        if !flags.unassigned || flags.assigning {
            return;
        }
        self.rscs[clone].flags.assigning = true;
        let promotable = flags.promotable;
        if promotable {
            self.add_promotion_scores(clone);
        }
        for col in self.rscs[clone].this_with.clone() {
            let primary = self.colocations[col].primary;
            self.assign(primary, None, true);
        }
        for col in self.rscs[clone].with_this.clone() {
            self.add_dependent_scores(clone, col);
        }
        self.note_scores(stage::CLONE, clone);
        self.sort_for_assignment(clone);
        if let Some(data) = self.rscs[clone].clone {
            let instances = self.rscs[clone].children.clone();
            self.assign_instances(clone, &instances, data.max, data.node_max);
        }
        if promotable {
            self.set_instance_roles(clone);
        }
        self.rscs[clone].flags.unassigned = false;
        self.rscs[clone].flags.assigning = false;
    }

    /// The comparison is no total order: an insertion-stable merge is needed.
    fn sort_for_assignment(&mut self, clone: RscId) {
        let children = self.rscs[clone].children.clone();
        let sorted = self.merge_sort(children, Self::compare_instances);
        self.rscs[clone].children = sorted;
    }

    pub(crate) fn merge_sort(
        &mut self,
        mut list: Vec<RscId>,
        compare: fn(&mut Self, RscId, RscId) -> Ordering,
    ) -> Vec<RscId> {
        if list.len() < 2 {
            return list;
        }
        let right = list.split_off(list.len() / 2);
        let left = self.merge_sort(list, compare);
        let right = self.merge_sort(right, compare);
        let mut merged = Vec::with_capacity(left.len() + right.len());
        let (mut i, mut j) = (0, 0);
        while i < left.len() && j < right.len() {
            if compare(self, left[i], right[j]) == Ordering::Greater {
                merged.push(right[j]);
                j += 1;
            } else {
                merged.push(left[i]);
                i += 1;
            }
        }
        merged.extend_from_slice(&left[i..]);
        merged.extend_from_slice(&right[j..]);
        merged
    }

    /// Which instance is assigned first (Pacemaker pcmk_sched_instances.c:pcmk__cmp_instance).
    pub(crate) fn compare_instances(&mut self, a: RscId, b: RscId) -> Ordering {
        let (node_a, count_a, _) = self.active_node(a);
        let (node_b, count_b, _) = self.active_node(b);
        if count_a > 0 && count_b > 0 && count_a != count_b {
            return count_a.cmp(&count_b);
        }
        let allowed = |cluster: &Self, rsc: RscId, node: Option<NodeId>| {
            node.is_none_or(|n| {
                cluster.rscs[rsc]
                    .allowed
                    .get(n)
                    .is_some_and(|weight| weight.score >= 0)
            })
        };
        let (can_a, can_b) = (allowed(self, a, node_a), allowed(self, b, node_b));
        if can_a != can_b {
            return can_b.cmp(&can_a);
        }
        let (x, y) = (&self.rscs[a], &self.rscs[b]);
        if x.priority != y.priority {
            return y.priority.cmp(&x.priority);
        }
        let (node_a, node_b) = (node_a.filter(|_| can_a), node_b.filter(|_| can_b));
        let (Some(node_a), Some(node_b)) = (node_a, node_b) else {
            return node_b.is_some().cmp(&node_a.is_some());
        };
        let (up_a, up_b) = (
            self.nodes[node_a].available(),
            self.nodes[node_b].available(),
        );
        if up_a != up_b {
            return up_b.cmp(&up_a);
        }
        let (top_a, top_b) = (self.parent_weight(a, node_a), self.parent_weight(b, node_b));
        let (Some(top_a), Some(top_b)) = (top_a, top_b) else {
            return top_b.is_some().cmp(&top_a.is_some());
        };
        top_a
            .cmp(&top_b)
            .then_with(|| self.any_failed(a).cmp(&self.any_failed(b)))
            .then_with(|| self.compare_by_colocation((a, node_a), (b, node_b)))
            .then_with(|| self.instance_number(a).cmp(&self.instance_number(b)))
    }

    /// Instances assigned to a node so far, where the parent may use it.
    fn parent_weight(&self, rsc: RscId, node: NodeId) -> Option<u32> {
        let parent = self.rscs[rsc].parent.unwrap_or(rsc);
        self.rscs[parent].allowed.get(node).map(|w| w.count)
    }

    fn any_failed(&self, rsc: RscId) -> bool {
        self.rscs[rsc].flags.failed
            || self.rscs[rsc]
                .children
                .iter()
                .any(|child| self.any_failed(*child))
    }

    /// The number after the last colon of an instance's id.
    pub(crate) fn instance_number(&self, rsc: RscId) -> u64 {
        self.rscs[rsc]
            .id
            .rsplit_once(':')
            .and_then(|(_, number)| number.parse().ok())
            .unwrap_or(0)
    }

    /// The instance whose node the clone's colocations like better comes first.
    fn compare_by_colocation(&mut self, a: (RscId, NodeId), b: (RscId, NodeId)) -> Ordering {
        let (x, y) = (self.colocated_score(a), self.colocated_score(b));
        y.cmp(&x)
    }

    fn colocated_score(&mut self, (instance, node): (RscId, NodeId)) -> i32 {
        let Some(clone) = self.rscs[instance].parent else {
            return 0;
        };
        let (this_with, with_this) = (
            self.rscs[clone].this_with.clone(),
            self.rscs[clone].with_this.clone(),
        );
        let mut table = Table::default();
        table.entry(node, self.nodes[node].base_score);
        for col in this_with {
            let primary = self.colocations[col].primary;
            let factor = score::factor(self.colocations[col].score);
            let merge = Merge::new(instance, false, false);
            self.merge_scores(primary, &mut table, col, factor, merge);
        }
        for col in with_this {
            if !self.has_influence(col, Some(instance)) {
                continue;
            }
            let dependent = self.colocations[col].dependent;
            let factor = score::factor(self.colocations[col].score);
            let merge = Merge::new(instance, false, true);
            self.merge_scores(dependent, &mut table, col, factor, merge);
        }
        table.get(node).map_or(0, |weight| weight.score)
    }

    /// Pacemaker pcmk_sched_clone.c:pcmk__clone_internal_constraints.
    pub(crate) fn clone_constraints(&mut self, clone: RscId) {
        let blocks = relation::UNRUNNABLE_FIRST_BLOCKS;
        self.order_ops(clone, "stopped", clone, "start", relation::ORDERED);
        self.order_ops(clone, "start", clone, "running", blocks);
        self.order_ops(clone, "stop", clone, "stopped", blocks);
        let promotable = self.rscs[clone].flags.promotable;
        if promotable {
            self.order_ops(clone, "demoted", clone, "stop", relation::ORDERED);
            self.order_ops(clone, "running", clone, "promote", blocks);
        }
        let ordered = self.rscs[clone].clone.is_some_and(|data| data.ordered);
        if ordered {
            self.sort_by_number(clone);
        }
        let instances = self.rscs[clone].children.clone();
        for (index, instance) in instances.iter().enumerate() {
            self.internal_constraints(*instance);
            let graphed = relation::THEN_IMPLIES_FIRST_GRAPHED;
            self.order_ops(clone, "start", *instance, "start", blocks | graphed);
            let done = relation::FIRST_IMPLIES_THEN_GRAPHED;
            self.order_ops(*instance, "start", clone, "running", done);
            self.order_ops(clone, "stop", *instance, "stop", graphed);
            self.order_ops(*instance, "stop", clone, "stopped", done);
            if ordered {
                for later in &instances[index + 1..] {
                    self.order_ops(*instance, "start", *later, "start", relation::ORDERED);
                    self.order_ops(*later, "stop", *instance, "stop", relation::ORDERED);
                }
            }
        }
        if promotable {
            self.order_promotable_instances(clone, ordered);
        }
    }

    fn sort_by_number(&mut self, clone: RscId) {
        let mut children = std::mem::take(&mut self.rscs[clone].children);
        children.sort_by_key(|child| self.instance_number(*child));
        self.rscs[clone].children = children;
    }

    /// Pacemaker pcmk_sched_clone.c:pcmk__clone_create_probe.
    pub(crate) fn probe_clone(&mut self, clone: RscId, node: NodeId) -> bool {
        if self.rscs[clone].flags.exclusive_probes {
            let probe = self.rscs[clone].allowed.get(node).map(|w| w.probe);
            if probe != Some(ProbeMode::Exclusive) {
                return false;
            }
        }
        self.sort_by_number(clone);
        let instances = self.rscs[clone].children.clone();
        if self.rscs[clone].flags.unique {
            let mut any = false;
            for instance in instances {
                any |= self.create_probe(instance, node);
            }
            return any;
        }
        // One instance speaks for all: one known there, one that will be there, or the first.
        let chosen = instances
            .iter()
            .find(|i| self.probed_on(**i, node))
            .or_else(|| {
                instances
                    .iter()
                    .find(|i| self.location_of(**i, false) == Some(node))
            })
            .or_else(|| instances.first())
            .copied();
        chosen.is_some_and(|instance| self.create_probe(instance, node))
    }

    fn probed_on(&self, rsc: RscId, node: NodeId) -> bool {
        let r = &self.rscs[rsc];
        if r.children.is_empty() {
            r.known_on.contains(&node)
        } else {
            r.children.iter().any(|child| self.probed_on(*child, node))
        }
    }
}
