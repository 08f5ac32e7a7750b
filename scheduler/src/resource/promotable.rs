//! Promotable clones: which instances are promoted, and what that means for others
//! (Pacemaker pcmk_sched_promotable.c; Pacemaker Explained, "Promotable clones").

use crate::action::flag;
use crate::cluster::{ActId, Cluster, ColId, NodeId, RscId};
use crate::colocate::Merge;
use crate::constraint::relation;
use crate::options::NoQuorum;
use crate::resource::{Role, Variant};
use crate::score::{self, INFINITY};
use crate::text::base_id;
use std::cmp::Ordering;

impl Cluster<'_> {
    /// Nodes that like to promote an instance also like to run it
    /// (Pacemaker pcmk_sched_promotable.c:pcmk__add_promotion_scores).
    pub(crate) fn add_promotion_scores(&mut self, clone: RscId) {
        if std::mem::replace(&mut self.rscs[clone].flags.promotion_added, true) {
            return;
        }
        for child in self.rscs[clone].children.clone() {
            for node in self.rscs[child].allowed.nodes() {
                // A node that promotes nothing now must not attract instances.
                if !self.nodes[node].available() {
                    continue;
                }
                let score = self.promotion_score(child, node).unwrap_or(0);
                if score > 0
                    && let Some(weight) = self.rscs[child].allowed.get_mut(node)
                {
                    weight.score = score::add(weight.score, score);
                }
                let priority = &mut self.rscs[child].priority;
                *priority = (*priority).max(score);
            }
            self.settle(child, "promotion", "");
        }
    }

    /// Promotion score of an instance on a node, members' summed up; `None` where nothing sets
    /// one.
    fn promotion_score(&self, rsc: RscId, node: NodeId) -> Option<i32> {
        let r = &self.rscs[rsc];
        if !r.children.is_empty() {
            return r
                .children
                .iter()
                .filter_map(|child| self.promotion_score(*child, node))
                .reduce(score::add);
        }
        if !self.promotion_score_applies(rsc, node) {
            return None;
        }
        let host = self.attribute_host(rsc, node)?;
        let value = |name: &str| {
            self.nodes[host]
                .attrs
                .get(&format!("master-{name}"))
                .map(|text| score::parse(text).unwrap_or(0))
        };
        // Scores carry the name that the history knows.
        let known = value(r.history_id.as_deref().unwrap_or(&r.id));
        if known.is_none() && !r.flags.unique {
            return value(base_id(&r.id));
        }
        known
    }

    /// Scores count where the state is known, or everywhere while nothing is known at all.
    fn promotion_score_applies(&self, rsc: RscId, node: NodeId) -> bool {
        let r = &self.rscs[rsc];
        let allowed = r.allowed.get(node).is_some_and(|weight| weight.score >= 0);
        if !r.flags.unique {
            let twins = self.twins(self.top_of(rsc), base_id(&r.id));
            let active = twins
                .iter()
                .copied()
                .find(|twin| self.rscs[*twin].active.contains(&node));
            let known = || twins.iter().any(|t| self.rscs[*t].known_on.contains(&node));
            if active == Some(rsc) || (active.is_none() && known()) {
                return allowed;
            }
        }
        let unknown = r.active.is_empty() && r.known_on.is_empty();
        (unknown || r.known_on.contains(&node) || r.active.contains(&node)) && allowed
    }

    /// The resource called `id` in each instance of a clone.
    fn twins(&self, clone: RscId, id: &str) -> Vec<RscId> {
        self.rscs[clone]
            .children
            .iter()
            .filter_map(|instance| self.in_instance(*instance, id))
            .collect()
    }

    /// Chooses the instances to be promoted
    /// (Pacemaker pcmk_sched_promotable.c:pcmk__set_instance_roles).
    pub(crate) fn set_instance_roles(&mut self, clone: RscId) {
        // From now on nodes count promoted instances.
        for node in self.rscs[clone].allowed.nodes() {
            if let Some(weight) = self.rscs[clone].allowed.get_mut(node) {
                weight.count = 0;
            }
        }
        for instance in self.rscs[clone].children.clone() {
            self.set_instance_priority(clone, instance);
        }
        self.sort_for_promotion(clone);
        let max = self.rscs[clone].clone.map_or(0, |data| data.promoted_max);
        let mut promoted = 0;
        for instance in self.rscs[clone].children.clone() {
            let room = promoted < max || !self.rscs[clone].flags.managed;
            self.note_promotion(instance);
            let chosen = if self.rscs[instance].promotion_sort >= 0 && room {
                self.node_to_promote_on(instance)
            } else {
                None
            };
            let frozen = self.rscs[instance].role < Role::Promoted
                && !self.options.quorate
                && self.options.no_quorum == NoQuorum::Freeze;
            match chosen.filter(|_| !frozen) {
                None => self.leave_unpromoted(instance),
                Some(node) => {
                    if let Some(weight) = self.rscs[clone].allowed.get_mut(node) {
                        weight.count += 1;
                    }
                    self.mark_promoted(instance);
                    promoted += 1;
                }
            }
        }
    }

    fn set_instance_priority(&mut self, clone: RscId, instance: RscId) {
        if self.state_of(instance, true) == Role::Started {
            self.count_as_unpromoted(instance);
        }
        let Some(chosen) = self.location_of(instance, false) else {
            self.rscs[instance].promotion_sort = -INFINITY;
            return;
        };
        let next_role = self.state_of(instance, false);
        match next_role {
            // Where nothing gives a score, only a constraint can make it promotable.
            Role::Started | Role::Unknown => {
                self.rscs[instance].priority = self.promotion_score(instance, chosen).unwrap_or(-1);
            }
            Role::Unpromoted | Role::Stopped => self.rscs[instance].priority = -INFINITY,
            Role::Promoted => {}
        }
        self.apply_promoted_locations(instance, instance, chosen);
        if let Some(bundle) = self.rscs[clone].parent {
            // What is said of a bundle's roles is said of what is inside.
            self.apply_promoted_locations(bundle, instance, chosen);
        }
        self.apply_promoted_locations(clone, instance, chosen);
        for col in self.this_with_colocations(instance) {
            let primary = self.colocations[col].primary;
            self.apply_colocation(instance, primary, col, true);
        }
        self.rscs[instance].promotion_sort = if next_role == Role::Promoted {
            INFINITY
        } else {
            self.rscs[instance].priority
        };
    }

    fn count_as_unpromoted(&mut self, rsc: RscId) {
        if self.rscs[rsc].role == Role::Started {
            self.rscs[rsc].role = Role::Unpromoted;
        }
        for child in self.rscs[rsc].children.clone() {
            self.count_as_unpromoted(child);
        }
    }

    /// Locations for the promoted role change the priority of what will be on their nodes.
    fn apply_promoted_locations(&mut self, named: RscId, instance: RscId, chosen: NodeId) {
        let mut priority = self.rscs[instance].priority;
        for location in self.locations.iter().rev() {
            if location.rsc == named && location.role == Some(Role::Promoted) {
                for (_, score) in location.nodes.iter().filter(|(node, _)| *node == chosen) {
                    priority = score::add(priority, *score);
                }
            }
        }
        self.rscs[instance].priority = priority;
    }

    /// Sorts by descending promotion priority, with what colocated resources prefer
    /// (Pacemaker pcmk_sched_promotable.c:sort_promotable_instances).
    fn sort_for_promotion(&mut self, clone: RscId) {
        if std::mem::replace(&mut self.rscs[clone].flags.promotion_sorted, true) {
            return;
        }
        self.rscs[clone].flags.merging = true;
        let instances = self.rscs[clone].children.clone();
        for instance in &instances {
            let sort = self.rscs[*instance].promotion_sort;
            if sort >= 0
                && let Some(node) = self.location_of(*instance, false)
                && let Some(weight) = self.rscs[clone].allowed.get_mut(node)
            {
                weight.score = score::add(sort, weight.score);
            }
        }
        self.merge_promoted_colocations(clone);
        self.require_promotion_tickets(clone);
        for instance in &instances {
            let chosen = self.location_of(*instance, false);
            let r = &self.rscs[*instance];
            let sort = if !r.flags.managed && r.next_role == Role::Promoted {
                INFINITY
            } else if let Some(node) = chosen.filter(|_| r.promotion_sort >= 0) {
                let weight = self.rscs[clone].allowed.get(node);
                weight.map_or(r.promotion_sort, |weight| weight.score)
            } else {
                r.promotion_sort
            };
            self.rscs[*instance].promotion_sort = sort;
        }
        let sorted = self.merge_sort(instances, Self::compare_promotable);
        self.rscs[clone].children = sorted;
        self.rscs[clone].flags.merging = false;
    }

    fn merge_promoted_colocations(&mut self, clone: RscId) {
        let mut nodes = self.rscs[clone].allowed.clone();
        for col in self.this_with_colocations(clone) {
            let colocation = &self.colocations[col];
            if colocation.dependent_role != Role::Promoted {
                continue;
            }
            let (primary, score) = (colocation.primary, colocation.score);
            let merge = Merge::new(clone, score < INFINITY, false);
            self.merge_scores(primary, &mut nodes, col, score::factor(score), merge);
        }
        for col in self.with_this_colocations(clone) {
            let colocation = &self.colocations[col];
            if colocation.primary_role != Role::Promoted || !self.has_influence(col, None) {
                continue;
            }
            let (dependent, score) = (colocation.dependent, colocation.score);
            let merge = Merge::new(clone, true, true);
            self.merge_scores(dependent, &mut nodes, col, score::factor(score), merge);
        }
        self.rscs[clone].allowed = nodes;
    }

    fn compare_promotable(&mut self, a: RscId, b: RscId) -> Ordering {
        let (x, y) = (&self.rscs[a], &self.rscs[b]);
        let order = y.promotion_sort.cmp(&x.promotion_sort);
        let (role_a, role_b) = (self.state_of(a, true), self.state_of(b, true));
        let order = order.then_with(|| role_b.cmp(&role_a));
        if order != Ordering::Equal {
            return order;
        }
        self.compare_instances(a, b)
    }

    /// The node an instance may be promoted on, if any
    /// (Pacemaker pcmk_sched_promotable.c:node_to_be_promoted_on).
    fn node_to_promote_on(&self, rsc: RscId) -> Option<NodeId> {
        let r = &self.rscs[rsc];
        if r.children
            .iter()
            .any(|child| self.node_to_promote_on(*child).is_none())
        {
            return None;
        }
        let node = self.location_of(rsc, false)?;
        if !r.flags.managed {
            if self.state_of(rsc, true) != Role::Promoted {
                return None;
            }
        } else if r.priority < 0 || !self.nodes[node].available() || !self.will_have_host(node) {
            return None;
        }
        let top = self.top_of(rsc);
        let weight = self.rscs[top].allowed.get(node)?;
        let max = self.rscs[top]
            .clone
            .map_or(0, |data| data.promoted_node_max);
        (weight.count < max || !r.flags.managed).then_some(node)
    }

    /// A guest whose container goes nowhere promotes nothing.
    fn will_have_host(&self, node: NodeId) -> bool {
        self.container_of(node)
            .is_none_or(|container| self.location_of(container, false).is_some())
    }

    fn leave_unpromoted(&mut self, rsc: RscId) {
        let role = if self.locations_of(rsc, false).is_empty() {
            Role::Stopped
        } else {
            Role::Unpromoted
        };
        self.set_next_role(rsc, role);
        for child in self.rscs[rsc].children.clone() {
            self.leave_unpromoted(child);
        }
    }

    fn mark_promoted(&mut self, rsc: RscId) {
        if self.rscs[rsc].next_role == Role::Unknown {
            self.set_next_role(rsc, Role::Promoted);
        }
        for child in self.rscs[rsc].children.clone() {
            self.mark_promoted(child);
        }
    }

    /// Promotions and demotions of the instances, and the clone's own points in the order
    /// (Pacemaker pcmk_sched_promotable.c:pcmk__create_promotable_actions).
    pub(crate) fn create_promotable_actions(&mut self, clone: RscId) {
        let (mut promoting, mut demoting) = (false, false);
        for instance in self.rscs[clone].children.clone() {
            self.create_actions(instance);
            self.note_role_changes(instance, &mut promoting, &mut demoting);
        }
        let [promote, promoted] = self.paired_pseudo_actions(clone, "promote", promoting);
        self.create_notification(clone, "promote", Some(promote), Some(promoted));
        let [demote, demoted] = self.paired_pseudo_actions(clone, "demote", demoting);
        self.create_notification(clone, "demote", Some(demote), Some(demoted));
        // The instances' priorities served as promotion scores.
        let priority = self.rscs[clone].priority;
        for instance in self.rscs[clone].children.clone() {
            self.rscs[instance].priority = priority;
        }
    }

    fn paired_pseudo_actions(&mut self, clone: RscId, task: &str, needed: bool) -> [ActId; 2] {
        let begin = self.pseudo_action(clone, task, !needed, true);
        let end = self.pseudo_action(clone, &format!("{task}d"), !needed, true);
        self.actions[end].priority = INFINITY;
        [begin, end]
    }

    fn note_role_changes(&self, rsc: RscId, promoting: &mut bool, demoting: &mut bool) {
        let r = &self.rscs[rsc];
        for child in &r.children {
            self.note_role_changes(*child, promoting, demoting);
        }
        if r.variant == Variant::Primitive {
            for id in &r.actions {
                let action = &self.actions[*id];
                if !action.is(flag::OPTIONAL) {
                    *demoting |= action.task == "demote";
                    *promoting |= action.task == "promote";
                }
            }
        }
    }

    /// Pacemaker pcmk_sched_promotable.c:pcmk__order_promotable_instances.
    pub(crate) fn order_promotable_instances(&mut self, clone: RscId, ordered: bool) {
        let order = relation::ORDERED;
        self.order_promotable_restart(clone);
        let mut previous: Option<RscId> = None;
        for instance in self.rscs[clone].children.clone() {
            self.order_ops(instance, "demote", instance, "promote", order);
            self.order_ops(clone, "promote", instance, "promote", order);
            self.order_ops(instance, "promote", clone, "promoted", order);
            let last = previous.filter(|_| ordered);
            if let Some(last) = last {
                self.order_ops(last, "promote", instance, "promote", order);
            }
            let graphed = relation::THEN_IMPLIES_FIRST_GRAPHED;
            self.order_ops(clone, "demote", instance, "demote", graphed);
            let done = relation::FIRST_IMPLIES_THEN_GRAPHED;
            self.order_ops(instance, "demote", clone, "demoted", done);
            if let Some(last) = last {
                self.order_ops(instance, "demote", last, "demote", order);
            }
            previous = Some(instance);
        }
    }

    /// The whole clone, or bundle, goes down before it comes up again.
    pub(crate) fn order_promotable_restart(&mut self, clone: RscId) {
        let order = relation::ORDERED;
        // A restart goes all the way down before it comes up again
        // (pcmk_sched_promotable.c:pcmk__promotable_restart_ordering).
        for (first, then) in [
            ("stopped", "start"),
            ("stopped", "promote"),
            ("demoted", "stop"),
            ("demoted", "start"),
            ("demoted", "promote"),
            ("running", "promote"),
            ("demote", "demoted"),
        ] {
            self.order_ops(clone, first, clone, then, order);
        }
    }

    /// What depends on a role of a promotable clone goes where instances will have that role
    /// (Pacemaker pcmk_sched_promotable.c:pcmk__update_dependent_with_promotable).
    pub(crate) fn colocate_with_promotable(&mut self, dependent: RscId, clone: RscId, col: ColId) {
        let colocation = self.colocations[col].clone();
        let mut nodes = Vec::new();
        for instance in self.rscs[clone].children.clone() {
            let Some(node) = self.location_of(instance, false) else {
                continue;
            };
            if self.state_of(instance, false) != colocation.primary_role {
                continue;
            }
            if colocation.score < INFINITY {
                for other in self.rscs[dependent].allowed.nodes() {
                    if self.same_attribute(col, (dependent, other), (clone, node))
                        && let Some(weight) = self.rscs[dependent].allowed.get_mut(other)
                    {
                        weight.score = score::add(weight.score, colocation.score);
                    }
                }
            }
            nodes.push((node, self.assigned_score(instance)));
        }
        // Promoted with promoted must not keep unpromoted instances from starting.
        let by_role_only = colocation.dependent_role == Role::Promoted
            && colocation.primary_role == Role::Promoted;
        if colocation.score >= INFINITY && !by_role_only {
            self.intersect_nodes(dependent, &nodes, true);
        }
    }

    /// Bans a dependent from nodes that are none of the primary's; `merge` adds what the
    /// primary thinks of the others
    /// (Pacemaker pcmk_sched_colocation.c:pcmk__colocation_intersect_nodes).
    pub(crate) fn intersect_nodes(
        &mut self,
        dependent: RscId,
        nodes: &[(NodeId, i32)],
        merge: bool,
    ) {
        for other in self.rscs[dependent].allowed.nodes() {
            let matching = nodes.iter().rev().find(|(node, _)| *node == other);
            let Some(weight) = self.rscs[dependent].allowed.get_mut(other) else {
                continue;
            };
            match matching {
                None => weight.score = -INFINITY,
                Some((_, score)) if merge => weight.score = score::add(weight.score, *score),
                Some(_) => {}
            }
        }
    }

    /// Score the node had when it was chosen; of groups, the first member's.
    fn assigned_score(&self, rsc: RscId) -> i32 {
        let r = &self.rscs[rsc];
        match r.children.first() {
            Some(child) => self.assigned_score(*child),
            None => r.assigned_score,
        }
    }

    /// Priority of a dependent that is about to get a role, for a colocation with a role of a
    /// promotable clone; answers the change.
    pub(crate) fn promotable_dependent_priority(
        &mut self,
        dependent: RscId,
        clone: RscId,
        col: ColId,
    ) -> i32 {
        let (score, role) = (
            self.colocations[col].score,
            self.colocations[col].primary_role,
        );
        let instance = self.compatible_instance(dependent, clone, role, false);
        let delta = match instance {
            Some(_) => score,
            None if score >= INFINITY => -INFINITY,
            None => return 0,
        };
        let priority = &mut self.rscs[dependent].priority;
        *priority = score::add(*priority, delta);
        delta
    }
}
