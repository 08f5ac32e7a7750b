//! What clones do with their instances: assignment, pseudo actions, interleaving
//! (Pacemaker pcmk_sched_instances.c).

use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::relation;
use crate::node::Table;
use crate::ordering::Changed;
use crate::resource::group::folded;
use crate::resource::{Role, Variant};
use crate::score::INFINITY;

/// What the instances of a clone are about to do.
#[derive(Clone, Copy, Debug, Default)]
struct InstanceState {
    starting: bool,
    stopping: bool,
    restarting: bool,
    active: bool,
}

impl Cluster<'_> {
    /// Pacemaker pcmk_sched_instances.c:pcmk__assign_instances.
    pub(crate) fn assign_instances(
        &mut self,
        clone: RscId,
        instances: &[RscId],
        max: u32,
        per_node: u32,
    ) {
        let mut available = 0;
        for node in self.rscs[clone].allowed.nodes() {
            if let Some(weight) = self.rscs[clone].allowed.get_mut(node) {
                weight.count = 0;
            }
            available += u32::from(self.nodes[node].available());
        }
        let optimal = max.checked_div(available).unwrap_or(0).max(1);
        let mut assigned = 0;
        // As many as possible stay where they are.
        for instance in instances {
            if assigned >= max {
                break;
            }
            if !self.rscs[*instance].flags.unassigned {
                continue;
            }
            if let Some(node) = self.node_to_stay_on(clone, *instance, optimal)
                && self.assign_early(clone, *instance, node, per_node, max - assigned)
            {
                assigned += 1;
            }
        }
        for instance in instances.iter().copied() {
            if !self.rscs[instance].flags.unassigned {
                continue;
            }
            if assigned >= max {
                let id = self.rscs[clone].id.clone();
                self.ban_everywhere(instance, "clone-max", &id);
            } else if self
                .assign_instance(clone, instance, None, per_node)
                .is_some()
            {
                assigned += 1;
            }
        }
    }

    fn node_to_stay_on(&self, clone: RscId, instance: RscId, optimal: u32) -> Option<NodeId> {
        let r = &self.rscs[instance];
        if r.active.is_empty() && self.locations_of(instance, true).is_empty() {
            return None;
        }
        if !r.flags.unassigned || r.flags.failed {
            return None;
        }
        let node = self.current_node(instance)?;
        if !self.nodes[node].available() || self.nodes[node].base_score < 0 {
            return None;
        }
        let full = self.rscs[clone]
            .allowed
            .get(node)
            .is_some_and(|weight| weight.count >= optimal);
        (!full).then_some(node)
    }

    /// Tries to leave an instance where it is. When another node is better, one instance is
    /// reserved for that node and the attempt repeated, so that specific instances move as
    /// little as possible.
    fn assign_early(
        &mut self,
        clone: RscId,
        instance: RscId,
        node: NodeId,
        per_node: u32,
        available: u32,
    ) -> bool {
        let fits = self.rscs[instance]
            .allowed
            .get(node)
            .is_some_and(|weight| weight.score >= 0 && self.nodes[node].available());
        if !fits {
            return false;
        }
        let backup = self.copy_tables(instance);
        let parent_backup = self.rscs[clone].allowed.clone();
        let mut chosen = None;
        let mut reserved = 0;
        while reserved < available {
            chosen = self.assign_instance(clone, instance, Some(node), per_node);
            if chosen == Some(node) {
                break;
            }
            self.restore_tables(&backup);
            if chosen.is_none() {
                self.rscs[instance].flags.unassigned = true;
                break;
            }
            reserved += 1;
            self.unassign(instance);
            chosen = None;
        }
        self.rscs[clone].allowed = parent_backup;
        if chosen.is_none() {
            return false;
        }
        self.count_instance(clone, node);
        true
    }

    fn copy_tables(&self, rsc: RscId) -> Vec<(RscId, Table)> {
        let mut tables = vec![(rsc, self.rscs[rsc].allowed.clone())];
        for child in &self.rscs[rsc].children {
            tables.extend(self.copy_tables(*child));
        }
        tables
    }

    fn restore_tables(&mut self, tables: &[(RscId, Table)]) {
        for (rsc, table) in tables {
            self.rscs[*rsc].allowed.clone_from(table);
            self.unsettle(*rsc);
        }
    }

    fn count_instance(&mut self, clone: RscId, node: NodeId) {
        if let Some(weight) = self.rscs[clone].allowed.get_mut(node) {
            weight.count += 1;
        }
    }

    fn assign_instance(
        &mut self,
        clone: RscId,
        instance: RscId,
        prefer: Option<NodeId>,
        per_node: u32,
    ) -> Option<NodeId> {
        if self.rscs[instance].flags.assigning {
            return None;
        }
        self.ban_full_nodes(clone, instance, per_node);
        // A failed early attempt can be undone.
        let chosen = self.assign(instance, prefer, prefer.is_none());
        if let Some(node) = chosen {
            self.count_instance(clone, node);
        }
        chosen
    }

    fn ban_full_nodes(&mut self, clone: RscId, instance: RscId, per_node: u32) {
        for node in self.rscs[instance].allowed.nodes() {
            let parent = self.rscs[clone].allowed.get(node);
            let usable = !self.rscs[instance].flags.removed
                && self.nodes[node].available()
                && parent.is_some_and(|weight| weight.score >= 0 && weight.count < per_node);
            if usable {
                continue;
            }
            let mut banned = vec![instance];
            banned.extend(self.rscs[instance].children.iter().copied());
            for rsc in banned {
                if let Some(weight) = self.rscs[rsc].allowed.get_mut(node) {
                    weight.score = -INFINITY;
                }
            }
            self.settle_full(clone, instance, node);
        }
    }

    /// Says why no instance may go to a node.
    fn settle_full(&mut self, clone: RscId, instance: RscId, node: NodeId) {
        if self.ledger.is_none() {
            return;
        }
        let available = self.nodes[node].available();
        match self.nodes[node].unusable_because() {
            Some(state) if !available => self.settle(instance, "node", state),
            _ => {
                let id = self.rscs[clone].id.clone();
                self.settle(instance, "clone", &id);
            }
        }
    }

    /// Pacemaker pcmk_sched_instances.c:pcmk__create_instance_actions.
    pub(crate) fn create_instance_actions(&mut self, clone: RscId) {
        let mut state = InstanceState::default();
        for instance in self.instances_of(clone) {
            self.create_actions(instance);
            self.note_instance_state(instance, &mut state);
        }
        let start = self.pseudo_action(clone, "start", !state.starting, true);
        let running = self.pseudo_action(clone, "running", !state.starting, false);
        self.actions[running].priority = INFINITY;
        if state.active || state.starting {
            self.actions[running].flags |= flag::RUNNABLE;
        }
        let stop = self.pseudo_action(clone, "stop", !state.stopping, true);
        let stopped = self.pseudo_action(clone, "stopped", !state.stopping, true);
        self.actions[stopped].priority = INFINITY;
        if !state.restarting {
            self.actions[stop].flags |= flag::MIGRATABLE;
        }
        if self.is_clone(clone) {
            self.create_notification(clone, "start", Some(start), Some(running));
            self.create_notification(clone, "stop", Some(stop), Some(stopped));
        }
        if self.rscs[clone].flags.promotable {
            self.create_promotable_actions(clone);
        }
    }

    fn note_instance_state(&self, instance: RscId, state: &mut InstanceState) {
        let r = &self.rscs[instance];
        if r.variant != Variant::Primitive {
            for child in &r.children {
                self.note_instance_state(*child, state);
            }
            return;
        }
        state.active |= !r.active.is_empty();
        let (mut starting, mut stopping) = (false, false);
        for id in &r.actions {
            let action = &self.actions[*id];
            let needed = !action.is(flag::OPTIONAL);
            match action.task.as_str() {
                "start" => starting |= needed && action.is(flag::RUNNABLE),
                "stop" => {
                    stopping |= needed && action.flags & (flag::PSEUDO | flag::RUNNABLE) != 0;
                }
                _ => {}
            }
        }
        state.starting |= starting;
        state.stopping |= stopping;
        state.restarting |= starting && stopping;
    }

    /// The instance of a clone that goes together with another resource: on its node, or else
    /// on the best of the nodes it may use.
    pub(crate) fn compatible_instance(
        &self,
        rsc: RscId,
        clone: RscId,
        role: Role,
        current: bool,
    ) -> Option<RscId> {
        // A bundle's containers are where their hosts are, and so is what is inside another.
        let place = |node: NodeId| {
            if self.rscs[clone].variant == Variant::Bundle && self.nodes[node].bundled {
                let container = self.container_of(node)?;
                return self.location_of(container, false);
            }
            Some(node)
        };
        if let Some(node) = self.location_of(rsc, current) {
            return self.instance_on(clone, place(node)?, role, current);
        }
        self.sorted_nodes(rsc, None)
            .into_iter()
            .find_map(|node| self.instance_on(clone, place(node)?, role, current))
    }

    fn instance_on(&self, clone: RscId, node: NodeId, role: Role, current: bool) -> Option<RscId> {
        self.instances_of(clone).into_iter().find(|instance| {
            (role == Role::Unknown || role == self.state_of(*instance, current))
                && !self.is_blocked(*instance)
                && self.location_of(*instance, current) == Some(node)
        })
    }

    /// Whether an ordering between two clones concerns their instances pairwise.
    pub(crate) fn interleaves(&self, first: ActId, then: ActId) -> bool {
        let (Some(a), Some(b)) = (self.actions[first].rsc, self.actions[then].rsc) else {
            return false;
        };
        let collective = |rsc: RscId| self.rscs[rsc].variant > Variant::Group;
        if a == b || !collective(a) || !collective(b) {
            return false;
        }
        let down = matches!(self.actions[then].task.as_str(), "stop" | "demote");
        let decisive = if down { a } else { b };
        self.rscs[decisive]
            .clone
            .is_some_and(|data| data.interleave)
    }

    /// Pacemaker pcmk_sched_instances.c:update_interleaved_actions.
    pub(crate) fn update_interleaved(
        &mut self,
        first: ActId,
        then: ActId,
        node: Option<NodeId>,
        filter: u16,
        kind: u32,
    ) -> Changed {
        let mut changed = Changed::default();
        let (Some(first_clone), Some(then_clone)) =
            (self.actions[first].rsc, self.actions[then].rsc)
        else {
            return changed;
        };
        let first_task = self.instance_task(first);
        let then_task = self.actions[then].task.clone();
        let current = matches!(self.actions[first].op.as_str(), "stopped" | "demoted");
        for then_instance in self.instances_of(then_clone) {
            let first_instance =
                self.compatible_instance(then_instance, first_clone, Role::Unknown, current);
            let Some(first_instance) = first_instance else {
                let mandatory =
                    kind & (relation::UNRUNNABLE_FIRST_BLOCKS | relation::FIRST_IMPLIES_THEN) != 0;
                // Without a partner it must not come up.
                if !current && mandatory && self.assign_resource(then_instance, None, true, true) {
                    changed.then = true;
                }
                continue;
            };
            let (Some(a), Some(b)) = (
                self.paired_action(first_instance, &first_task, node, true),
                self.paired_action(then_instance, &then_task, node, false),
            ) else {
                continue;
            };
            if self.relate(a, b, kind) {
                changed.first = true;
                changed.then = true;
            }
            let flags = self.action_flags(a, node);
            let more = self.update_ordered(then_instance, a, b, node, flags, filter, kind);
            changed.merge(more);
        }
        changed
    }

    /// Of bundles, what waits for others is the container, and what others wait for is the
    /// service inside (Pacemaker pcmk_sched_instances.c:find_instance_action).
    fn paired_action(
        &self,
        instance: RscId,
        task: &str,
        node: Option<NodeId>,
        first: bool,
    ) -> Option<ActId> {
        let inside = if first {
            !matches!(task, "stop" | "stopped")
        } else {
            matches!(task, "promote" | "promoted" | "demote" | "demoted")
        };
        match self.inside_of(instance).filter(|_| inside) {
            Some(child) => self.first_action(child, task, None),
            None => self.first_action(instance, task, node),
        }
    }

    /// The instances' task behind a clone's action.
    pub(crate) fn instance_task(&self, action: ActId) -> String {
        let action_op = &self.actions[action].op;
        // Notifications are needed as what they are about.
        let task = match action_op.split_once("_notify_") {
            Some((_, about)) => about,
            None => &self.actions[action].task,
        };
        let primitive = self.actions[action]
            .rsc
            .and_then(|rsc| self.rscs[rsc].children.first())
            .is_some_and(|child| self.is_primitive(*child));
        if primitive {
            folded(task).to_owned()
        } else {
            task.to_owned()
        }
    }

    /// Pacemaker pcmk_sched_instances.c:update_noninterleaved_actions.
    #[allow(
        clippy::too_many_arguments,
        reason = "one argument for each part of a relation"
    )]
    pub(crate) fn update_instance(
        &mut self,
        instance: RscId,
        first: ActId,
        then: ActId,
        node: Option<NodeId>,
        flags: u16,
        filter: u16,
        kind: u32,
    ) -> Changed {
        let task = self.actions[then].task.clone();
        let Some(action) = self.first_action(instance, &task, node) else {
            return Changed::default();
        };
        if self.action_flags(action, node) & flag::RUNNABLE == 0 {
            return Changed::default();
        }
        let changed = self.update_ordered(instance, first, action, node, flags, filter, kind);
        if changed.then {
            for after in self.actions[action].after.clone().iter().rev() {
                self.update_for_orderings(after.action);
            }
        }
        changed
    }

    /// Flags of a clone's action: needed or runnable if any instance's is
    /// (Pacemaker pcmk_sched_instances.c:pcmk__collective_action_flags).
    pub(crate) fn clone_action_flags(&mut self, id: ActId, node: Option<NodeId>) -> u16 {
        let Some(clone) = self.actions[id].rsc else {
            return flag::OPTIONAL | flag::RUNNABLE | flag::PSEUDO;
        };
        let instances = self.rscs[clone].children.clone();
        self.collective_flags(id, &instances, node)
    }

    /// The same, of these instances.
    pub(crate) fn collective_flags(
        &mut self,
        id: ActId,
        instances: &[RscId],
        node: Option<NodeId>,
    ) -> u16 {
        let mut flags = flag::OPTIONAL | flag::RUNNABLE | flag::PSEUDO;
        let task = self.instance_task(id);
        let mut any_runnable = false;
        for instance in instances.iter().copied() {
            let on = node.filter(|_| self.is_primitive(instance));
            let Some(action) = self.first_action(instance, &task, on) else {
                continue;
            };
            let instance_flags = self.action_flags(action, node);
            if flags & flag::OPTIONAL != 0 && instance_flags & flag::OPTIONAL == 0 {
                flags &= !flag::OPTIONAL;
                self.actions[id].flags &= !flag::OPTIONAL;
            }
            any_runnable |= instance_flags & flag::RUNNABLE != 0;
        }
        if !any_runnable {
            flags &= !flag::RUNNABLE;
            if node.is_none() {
                self.actions[id].flags &= !flag::RUNNABLE;
            }
        }
        flags
    }
}
