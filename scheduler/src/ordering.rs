//! From orderings to relations between actions, and from those to what is needed and possible
//! (Pacemaker pcmk_sched_ordering.c, pcmk_sched_actions.c).

mod basic;

use crate::action::{Relation, flag};
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::{OrderEnd, relation};
use crate::resource::group::folded;
use crate::resource::{Role, Variant};
use crate::score::INFINITY;

/// Deepest recursion of the fixpoint; what is deeper is taken up again from the top.
const DEPTH_MAX: u32 = 200;
/// Rounds over the deferred actions; a cycle of changes ends here.
const ROUNDS_MAX: u32 = 1000;

/// Which ends of a relation changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) first: bool,
    pub(crate) then: bool,
}

impl Changed {
    pub(crate) fn merge(&mut self, other: Self) {
        self.first |= other.first;
        self.then |= other.then;
    }
}

/// The fixpoint's guard against runaway recursion.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fixpoint {
    depth: u32,
    deferred: Vec<ActId>,
    /// Resource, task to block, and the resource it must be together with.
    deferred_blocks: Vec<(RscId, &'static str, RscId)>,
}

impl Cluster<'_> {
    /// Pacemaker pcmk_sched_ordering.c:pcmk__apply_orderings.
    pub(crate) fn apply_orderings(&mut self) {
        let orderings = std::mem::take(&mut self.orderings);
        for order in &orderings {
            match (order.first.rsc, order.then.rsc, order.first.action) {
                (Some(rsc), ..) => self.order_first(rsc, &order.first, &order.then, order.kind),
                (None, Some(rsc), first) => {
                    self.order_after(first, rsc, &order.first, &order.then, order.kind);
                }
                (None, None, Some(first)) => {
                    if let Some(then) = order.then.action {
                        self.relate(first, then, order.kind);
                    }
                }
                (None, None, None) => {}
            }
        }
        let added = std::mem::replace(&mut self.orderings, orderings);
        self.orderings.extend(added);
        for id in (0..self.actions.len()).rev() {
            self.block_colocation_dependents(id);
        }
        self.order_probes();
        for id in (0..self.actions.len()).rev() {
            self.update_for_orderings(id);
        }
        self.settle_deferred();
        self.disable_guest_orderings();
        self.forget_orderings();
    }

    /// Relates two actions; answers whether that was new
    /// (Pacemaker pe utils.c:order_actions).
    pub(crate) fn relate(&mut self, first: ActId, then: ActId, kind: u32) -> bool {
        if kind == 0 || first == then {
            return false;
        }
        // The shorter list finds a duplicate faster.
        let known = if self.actions[first].after.len() <= self.actions[then].before.len() {
            self.actions[first]
                .after
                .iter()
                .any(|r| r.action == then && r.kind & kind != 0)
        } else {
            self.actions[then]
                .before
                .iter()
                .any(|r| r.action == first && r.kind & kind != 0)
        };
        if known {
            return false;
        }
        self.actions[first]
            .after
            .push(Relation { action: then, kind });
        self.actions[then].before.push(Relation {
            action: first,
            kind,
        });
        true
    }

    fn actions_of_end(&mut self, rsc: RscId, end: &OrderEnd) -> Vec<ActId> {
        match end.action {
            Some(action) => vec![action],
            None => self.find_actions(rsc, &end.task, end.interval_ms, None),
        }
    }

    fn order_first(&mut self, rsc: RscId, first: &OrderEnd, then: &OrderEnd, kind: u32) {
        let mut firsts = self.actions_of_end(rsc, first);
        if firsts.is_empty() && then.rsc != Some(rsc) {
            let state = self.state_of(rsc, true);
            let pointless = (state == Role::Stopped && first.task == "stop")
                || (state == Role::Unpromoted && first.task == "demote");
            if !pointless {
                firsts.push(self.action(rsc, &first.task, first.interval_ms, None, true));
            }
        }
        let then_rsc = then
            .rsc
            .or_else(|| then.action.and_then(|id| self.actions[id].rsc));
        for id in firsts {
            match (then_rsc, then.action) {
                (Some(then_rsc), _) => self.order_after(Some(id), then_rsc, first, then, kind),
                (None, Some(action)) => {
                    self.relate(id, action, kind);
                }
                (None, None) => {}
            }
        }
    }

    fn order_after(
        &mut self,
        first: Option<ActId>,
        rsc: RscId,
        _first_end: &OrderEnd,
        then: &OrderEnd,
        kind: u32,
    ) {
        let mut kind = kind;
        let aborts = |id: ActId| {
            let action = &self.actions[id];
            action.rsc == Some(rsc) && action.is(flag::MIGRATION_ABORT)
        };
        if first.is_some_and(aborts) {
            kind &= !relation::FIRST_IMPLIES_THEN;
        }
        for id in self.actions_of_end(rsc, then) {
            match first {
                Some(first) => {
                    self.relate(first, id, kind);
                }
                None if kind & relation::FIRST_IMPLIES_THEN != 0 => {
                    self.actions[id].flags &= !flag::RUNNABLE;
                }
                None => {}
            }
        }
    }

    /// An unrunnable start or promotion blocks what must be together with it
    /// (Pacemaker pcmk_sched_colocation.c:pcmk__block_colocation_dependents).
    pub(crate) fn block_colocation_dependents(&mut self, id: ActId) {
        let action = &self.actions[id];
        let is_start = action.task == "start";
        let (Some(rsc), false) = (action.rsc, action.is(flag::RUNNABLE)) else {
            return;
        };
        if !is_start && action.task != "promote" {
            return;
        }
        let task = action.task.clone();
        let top = self.top_of(rsc);
        // Of bundles the whole counts.
        let top = self.rscs[top].parent.unwrap_or(top);
        for child in &self.rscs[top].children {
            let child_action = self.first_action(*child, &task, None);
            if child_action.is_none_or(|id| self.actions[id].is(flag::RUNNABLE)) {
                return;
            }
        }
        for col in self.with_this_colocations(top) {
            let colocation = &self.colocations[col];
            let concerns = is_start || colocation.primary_role == Role::Promoted;
            if colocation.score < INFINITY || !concerns {
                continue;
            }
            let blocked = if colocation.dependent_role == Role::Promoted {
                "promote"
            } else {
                "start"
            };
            let dependent = colocation.dependent;
            self.block_task(dependent, blocked, rsc);
        }
    }

    fn block_task(&mut self, rsc: RscId, task: &'static str, because: RscId) {
        if self.fixpoint.depth >= DEPTH_MAX {
            self.fixpoint.deferred_blocks.push((rsc, task, because));
            return;
        }
        self.fixpoint.depth += 1;
        let reason = format!("colocation with {}", self.rscs[because].id);
        for id in self.rscs[rsc].actions.clone().into_iter().rev() {
            if self.actions[id].task != task || !self.actions[id].is(flag::RUNNABLE) {
                continue;
            }
            self.actions[id].flags &= !flag::RUNNABLE;
            self.set_reason(id, Some(&reason), false);
            self.block_colocation_dependents(id);
            self.update_for_orderings(id);
        }
        for child in self.rscs[rsc].children.clone() {
            self.block_task(child, task, because);
        }
        self.fixpoint.depth -= 1;
    }

    /// Flags of an action as far as orderings are concerned.
    pub(crate) fn action_flags(&mut self, id: ActId, node: Option<NodeId>) -> u16 {
        let Some(rsc) = self.actions[id].rsc else {
            return self.actions[id].flags;
        };
        match self.rscs[rsc].variant {
            Variant::Primitive => self.actions[id].flags,
            Variant::Group => self.group_action_flags(id, node),
            Variant::Clone => self.clone_action_flags(id, node),
            Variant::Bundle => self.bundle_action_flags(id, node),
        }
    }

    /// For clones on a node: that node's flags, but runnable if any instance is.
    fn flags_for_ordering(&mut self, id: ActId, node: Option<NodeId>) -> u16 {
        let flags = self.action_flags(id, None);
        let is_clone = self.actions[id]
            .rsc
            .is_some_and(|rsc| self.rscs[rsc].variant > Variant::Group);
        if node.is_none() || !is_clone {
            return flags;
        }
        let on_node = self.action_flags(id, node);
        on_node | (flags & flag::RUNNABLE)
    }

    /// A collective's operation is complete when all its members' are: what comes after a
    /// start comes after `running` (Pacemaker pcmk_sched_actions.c:action_for_ordering).
    fn completed_action(&self, id: ActId) -> ActId {
        let action = &self.actions[id];
        let Some(rsc) = action.rsc else {
            return id;
        };
        if self.is_primitive(rsc) || action.interval_ms != 0 {
            return id;
        }
        let completed = match folded(&action.op) {
            "start" => "running",
            "stop" => "stopped",
            "promote" => "promoted",
            "demote" => "demoted",
            _ => return id,
        };
        // Where the others are told, an operation is complete when they are. What has no
        // notifications of its own, as bundles, is not waited for until complete.
        let outermost = match self.rscs[rsc].parent {
            Some(parent) => self.is_clone(rsc) && self.rscs[parent].variant == Variant::Bundle,
            None => true,
        };
        let told = self.rscs[rsc].flags.notify && outermost;
        let is_completion = |op: &str| match told {
            true => op.strip_prefix("confirmed-post_notify_") == Some(completed),
            false => op == completed,
        };
        self.rscs[rsc]
            .actions
            .iter()
            .rev()
            .copied()
            .find(|other| {
                let other = &self.actions[*other];
                is_completion(&other.op) && other.interval_ms == 0
            })
            .unwrap_or(id)
    }

    /// Where a group starts, where that is one node; else where the action is.
    fn node_for_ordering(&self, id: ActId) -> Option<NodeId> {
        let action = &self.actions[id];
        match action.rsc {
            Some(rsc) if self.rscs[rsc].variant == Variant::Group && action.task == "start" => {
                self.location_of(rsc, false)
            }
            _ => action.node,
        }
    }

    /// Brings an action's flags in line with the actions before it
    /// (Pacemaker pcmk_sched_actions.c:pcmk__update_action_for_orderings).
    pub(crate) fn update_for_orderings(&mut self, then: ActId) {
        if self.fixpoint.depth >= DEPTH_MAX {
            self.fixpoint.deferred.push(then);
            return;
        }
        self.fixpoint.depth += 1;
        self.update_action(then);
        self.fixpoint.depth -= 1;
    }

    fn settle_deferred(&mut self) {
        for _ in 0..ROUNDS_MAX {
            for (rsc, task, because) in std::mem::take(&mut self.fixpoint.deferred_blocks) {
                self.block_task(rsc, task, because);
            }
            let mut deferred = std::mem::take(&mut self.fixpoint.deferred);
            if deferred.is_empty() && self.fixpoint.deferred_blocks.is_empty() {
                return;
            }
            deferred.sort_unstable();
            deferred.dedup();
            for id in deferred.into_iter().rev() {
                self.update_for_orderings(id);
            }
        }
    }

    fn update_action(&mut self, then: ActId) {
        let last_flags = self.actions[then].flags;
        let gate = self.actions[then].is(flag::MIN_RUNNABLE);
        if gate {
            let action = &mut self.actions[then];
            action.runnable_before = 0;
            action.required_runnable_before = action.required_runnable_before.max(1);
            action.flags &= !flag::RUNNABLE;
        }
        let mut changed = Changed::default();
        for index in (0..self.actions[then].before.len()).rev() {
            changed.first = false;
            self.update_for_relation(then, index, &mut changed);
            if changed.first {
                let first = self.actions[then].before[index].action;
                let first = self.effective_first(first, then);
                for after in self.actions[first].after.clone().iter().rev() {
                    self.update_for_orderings(after.action);
                }
                self.update_for_orderings(first);
            }
        }
        if gate {
            changed.then = last_flags != self.actions[then].flags;
        }
        if changed.then {
            if last_flags & flag::RUNNABLE != 0 && !self.actions[then].is(flag::RUNNABLE) {
                self.block_colocation_dependents(then);
            }
            self.update_for_orderings(then);
            for after in self.actions[then].after.clone().iter().rev() {
                self.update_for_orderings(after.action);
            }
        }
    }

    fn effective_first(&self, first: ActId, then: ActId) -> ActId {
        match (self.actions[first].rsc, self.actions[then].rsc) {
            (Some(a), Some(b)) if a != b && !self.is_ancestor(b, a) => self.completed_action(first),
            _ => first,
        }
    }

    fn update_for_relation(&mut self, then: ActId, index: usize, changed: &mut Changed) {
        let Relation {
            action: original,
            kind,
        } = self.actions[then].before[index];
        let first_node = self.node_for_ordering(original);
        let then_node = self.node_for_ordering(then);
        if kind & relation::IF_ON_SAME_NODE != 0
            && first_node.is_some()
            && then_node.is_some()
            && first_node != then_node
        {
            self.actions[then].before[index].kind = 0;
            return;
        }
        if self.actions[original].rsc.is_some()
            && kind & relation::THEN_CANCELS_FIRST != 0
            && !self.actions[then].is(flag::OPTIONAL)
        {
            self.actions[original].flags |= flag::OPTIONAL;
            if self.actions[original].task == "reload-agent"
                && let Some(rsc) = self.actions[original].rsc
            {
                self.rscs[rsc].flags.reload = false;
            }
        }
        let first = self.effective_first(original, then);
        if first == original {
            let first_flags = self.flags_for_ordering(first, then_node);
            let then_flags = self.flags_for_ordering(then, first_node);
            let more = self.update_pair(first, then, first_flags, then_flags, index);
            changed.merge(more);
        } else if self.relate(first, then, kind) {
            // From now on the completed action counts.
            changed.then = true;
            self.actions[then].before[index].kind = 0;
        }
    }

    /// Pacemaker pcmk_sched_actions.c:update_action_for_ordering_flags.
    fn update_pair(
        &mut self,
        first: ActId,
        then: ActId,
        first_flags: u16,
        then_flags: u16,
        index: usize,
    ) -> Changed {
        let mut kind = self.actions[then].before[index].kind;
        let mut node = self.actions[then].node;
        if kind & relation::FIRST_IMPLIES_SAME_NODE_THEN != 0 {
            // Unfencing a node restarts only what is there.
            kind &= !relation::FIRST_IMPLIES_SAME_NODE_THEN;
            kind |= relation::FIRST_IMPLIES_THEN;
            self.actions[then].before[index].kind = kind;
            node = self.actions[first].node;
        }
        if kind & relation::NESTED_REMOTE_PROBE != 0 {
            let runs = self.actions[first]
                .rsc
                .is_some_and(|rsc| !self.rscs[rsc].active.is_empty());
            if runs && !self.actions[first].is(flag::RUNNABLE) {
                self.actions[then].before[index].kind = 0;
                return Changed::default();
            }
            kind |= relation::UNRUNNABLE_FIRST_BLOCKS;
        }
        let mut changed = Changed::default();
        for step in [
            relation::FIRST_IMPLIES_THEN,
            relation::INTERMEDIATE_STOP,
            relation::THEN_IMPLIES_FIRST,
            relation::PROMOTED_THEN_IMPLIES_FIRST,
            relation::MIN_RUNNABLE,
            relation::UNRUNNABLE_FIRST_BLOCKS,
            relation::UNMIGRATABLE_THEN_BLOCKS,
            relation::FIRST_ELSE_THEN,
            relation::ORDERED,
            relation::ASYMMETRIC,
        ] {
            if kind & step != 0 {
                let more = self.update_pair_for(step, first, then, first_flags, node);
                changed.merge(more);
            }
        }
        if self.actions[first].is(flag::RUNNABLE)
            && kind & relation::FIRST_IMPLIES_THEN_GRAPHED != 0
            && first_flags & flag::OPTIONAL == 0
        {
            self.actions[then].flags |= flag::ALWAYS_IN_GRAPH;
        }
        if kind & relation::THEN_IMPLIES_FIRST_GRAPHED != 0 && then_flags & flag::OPTIONAL == 0 {
            self.actions[first].flags |= flag::ALWAYS_IN_GRAPH;
        }
        let strict = relation::FIRST_IMPLIES_THEN
            | relation::THEN_IMPLIES_FIRST
            | relation::INTERMEDIATE_STOP;
        if kind & strict != 0
            && self.is_blocked_stop(first)
            && self.actions[then].is(flag::RUNNABLE)
        {
            self.actions[then].flags &= !flag::RUNNABLE;
            changed.then = true;
        }
        changed
    }

    fn is_blocked_stop(&self, id: ActId) -> bool {
        let action = &self.actions[id];
        action.task == "stop"
            && !action.is(flag::RUNNABLE)
            && action.rsc.is_some_and(|rsc| {
                let flags = &self.rscs[rsc].flags;
                !flags.managed && flags.blocked
            })
    }

    fn update_pair_for(
        &mut self,
        step: u32,
        first: ActId,
        then: ActId,
        first_flags: u16,
        node: Option<NodeId>,
    ) -> Changed {
        let optional = first_flags & flag::OPTIONAL;
        let (on_behalf, flags, filter) = match step {
            relation::FIRST_IMPLIES_THEN | relation::PROMOTED_THEN_IMPLIES_FIRST => {
                (self.actions[then].rsc, optional, flag::OPTIONAL)
            }
            relation::INTERMEDIATE_STOP => (
                self.actions[then].rsc,
                first_flags,
                flag::OPTIONAL | flag::RUNNABLE,
            ),
            relation::THEN_IMPLIES_FIRST => (self.actions[first].rsc, first_flags, flag::OPTIONAL),
            relation::UNMIGRATABLE_THEN_BLOCKS | relation::FIRST_ELSE_THEN => {
                (self.actions[then].rsc, first_flags, flag::OPTIONAL)
            }
            _ => (self.actions[then].rsc, first_flags, flag::RUNNABLE),
        };
        if let Some(rsc) = on_behalf {
            return self.update_ordered(rsc, first, then, node, flags, filter, step);
        }
        self.update_pair_without_resource(step, first, then, first_flags)
    }

    fn update_pair_without_resource(
        &mut self,
        step: u32,
        first: ActId,
        then: ActId,
        first_flags: u16,
    ) -> Changed {
        let mut changed = Changed::default();
        let needed = first_flags & flag::OPTIONAL == 0;
        let runnable = first_flags & flag::RUNNABLE != 0;
        match step {
            relation::FIRST_IMPLIES_THEN if needed && self.actions[then].is(flag::OPTIONAL) => {
                self.actions[then].flags &= !flag::OPTIONAL;
                changed.then = true;
            }
            relation::THEN_IMPLIES_FIRST if needed && self.actions[first].is(flag::RUNNABLE) => {
                self.actions[first].flags &= !flag::RUNNABLE;
                changed.first = true;
            }
            relation::MIN_RUNNABLE if runnable => {
                let action = &mut self.actions[then];
                action.runnable_before += 1;
                if action.runnable_before >= action.required_runnable_before
                    && !action.is(flag::RUNNABLE)
                {
                    action.flags |= flag::RUNNABLE;
                    changed.then = true;
                }
            }
            relation::UNRUNNABLE_FIRST_BLOCKS
                if !runnable && self.actions[then].is(flag::RUNNABLE) =>
            {
                self.actions[then].flags &= !flag::RUNNABLE;
                changed.then = true;
            }
            _ => {}
        }
        changed
    }

    /// Applies one kind of relation, as the kind of resource asks for it.
    #[allow(
        clippy::too_many_arguments,
        reason = "one argument for each part of a relation"
    )]
    pub(crate) fn update_ordered(
        &mut self,
        rsc: RscId,
        first: ActId,
        then: ActId,
        node: Option<NodeId>,
        flags: u16,
        filter: u16,
        kind: u32,
    ) -> Changed {
        match self.rscs[rsc].variant {
            Variant::Primitive => self.update_basic(first, then, flags, filter, kind),
            Variant::Group => {
                let mut changed = self.update_basic(first, then, flags, filter, kind);
                let Some(group) = self.actions[then].rsc else {
                    return changed;
                };
                let task = self.actions[then].task.clone();
                for member in self.rscs[group].children.clone() {
                    if let Some(action) = self.first_action(member, &task, node) {
                        let more =
                            self.update_ordered(member, first, action, node, flags, filter, kind);
                        changed.merge(more);
                    }
                }
                changed
            }
            Variant::Clone | Variant::Bundle => {
                let Some(then_rsc) = self.actions[then].rsc else {
                    return Changed::default();
                };
                if self.interleaves(first, then) {
                    return self.update_interleaved(first, then, node, filter, kind);
                }
                let mut changed = self.update_basic(first, then, flags, filter, kind);
                for instance in self.instances_of(then_rsc) {
                    let more =
                        self.update_instance(instance, first, then, node, flags, filter, kind);
                    changed.merge(more);
                }
                changed
            }
        }
    }
}
