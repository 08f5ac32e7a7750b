//! Primitives: internal constraints, and the actions that bring them to their next role.

use crate::action::flag;
use crate::cluster::{Cluster, NodeId, RscId};
use crate::constraint::relation;
use crate::options::Placement;
use crate::resource::{MultipleActive, Role, Variant};

/// What takes a resource from one role to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Stop,
    Start,
    Promote,
    Demote,
}

/// The next role on the way to another (Pacemaker pcmk_sched_primitive.c:rsc_state_matrix).
fn next_on_the_way(role: Role, target: Role) -> Role {
    use Role::{Promoted, Started, Stopped, Unknown, Unpromoted};
    match (role, target) {
        (Unknown, Unknown) => Unknown,
        (Unknown, _) => Stopped,
        (Stopped, Unknown | Stopped) => Stopped,
        (Stopped, Started) => Started,
        (Stopped, Unpromoted | Promoted) => Unpromoted,
        (Started | Unpromoted | Promoted, Unknown) => Stopped,
        (Started, Stopped) => Stopped,
        (Started, other) => other,
        (Unpromoted, Stopped | Started) => Stopped,
        (Unpromoted, other) => other,
        (Promoted, Promoted) => Promoted,
        (Promoted, _) => Unpromoted,
    }
}

/// What takes a resource from a role to the next one
/// (Pacemaker pcmk_sched_primitive.c:rsc_action_matrix).
fn step_between(role: Role, next: Role) -> Option<Step> {
    use Role::{Promoted, Started, Stopped, Unknown, Unpromoted};
    match (role, next) {
        (Unknown, Stopped) | (Started | Unpromoted, Stopped) | (Unpromoted, Started) => {
            Some(Step::Stop)
        }
        (Stopped, Started | Unpromoted) => Some(Step::Start),
        (Started | Unpromoted, Promoted) => Some(Step::Promote),
        (Promoted, Stopped | Started | Unpromoted) => Some(Step::Demote),
        _ => None,
    }
}

impl Cluster<'_> {
    /// Orderings that follow from what a resource is.
    pub(crate) fn internal_constraints(&mut self, rsc: RscId) {
        match self.rscs[rsc].variant {
            Variant::Primitive => self.primitive_constraints(rsc),
            Variant::Group => self.group_constraints(rsc),
            Variant::Clone => self.clone_constraints(rsc),
            Variant::Bundle => self.bundle_constraints(rsc),
        }
    }

    /// Creates the actions a resource needs, or would need.
    pub(crate) fn create_actions(&mut self, rsc: RscId) {
        match self.rscs[rsc].variant {
            Variant::Primitive => self.create_primitive_actions(rsc),
            Variant::Group => self.create_group_actions(rsc),
            Variant::Clone => self.create_instance_actions(rsc),
            Variant::Bundle => self.create_bundle_actions(rsc),
        }
    }

    /// Pacemaker pcmk_sched_primitive.c:pcmk__primitive_internal_constraints.
    fn primitive_constraints(&mut self, rsc: RscId) {
        if !self.rscs[rsc].flags.managed {
            return;
        }
        let restart =
            relation::ORDERED | relation::FIRST_IMPLIES_THEN | relation::INTERMEDIATE_STOP;
        self.order_ops(rsc, "stop", rsc, "start", restart);
        let promotable = self.rscs[self.top_of(rsc)].flags.promotable;
        if promotable || self.rscs[rsc].role > Role::Unpromoted {
            let kind = relation::PROMOTED_THEN_IMPLIES_FIRST;
            self.order_ops(rsc, "demote", rsc, "stop", kind);
            let kind = relation::UNRUNNABLE_FIRST_BLOCKS;
            self.order_ops(rsc, "start", rsc, "promote", kind);
        }
        // A history is not cleared where it is just being found out.
        let kind = relation::IF_ON_SAME_NODE | relation::THEN_CANCELS_FIRST;
        self.order_ops(rsc, "delete", rsc, "monitor", kind);
        let flags = self.rscs[rsc].flags;
        if !flags.fence_device && self.options.unfencing && flags.needs_unfencing {
            for node in self.rscs[rsc].allowed.nodes() {
                self.order_restart_around_unfencing(rsc, node);
            }
        }
        let strategy = self.options.placement;
        if strategy != Placement::Default && !self.rscs[rsc].utilization.is_empty() {
            self.utilization_constraints(rsc);
        }
        self.container_constraints(rsc);
    }

    /// Pacemaker pcmk_sched_primitive.c:pcmk__primitive_create_actions.
    fn create_primitive_actions(&mut self, rsc: RscId) {
        if self.rscs[rsc].next_role == Role::Unknown {
            let role = if self.rscs[rsc].assigned.is_some() {
                Role::Started
            } else {
                Role::Stopped
            };
            self.set_next_role(rsc, role);
        }
        let (current, all_active, clean_active) = self.active_node(rsc);
        let r = &self.rscs[rsc];
        let assigned = r.assigned;
        let moving = current.is_some()
            && assigned.is_some()
            && current != assigned
            && r.next_role >= Role::Started;
        let mut need_stop = moving;
        let mut migrates = moving && self.can_migrate(rsc, current);
        let active_count = if r.flags.needs_fencing {
            all_active
        } else {
            clean_active
        };
        self.abort_dangling_migrations(rsc);
        let migrating = self.rscs[rsc].partial_source.is_some();
        if !self.migration_goes_on(rsc, current, all_active == 2 && migrates) {
            need_stop = true;
            migrates = false;
        }
        let too_often = if migrating { 0 } else { active_count };
        need_stop |= self.handle_multiple(rsc, too_often);

        if self.rscs[rsc].flags.start_pending
            && let Some(node) = assigned
        {
            // A start that is under way is shown as such.
            let start = self.start_action(rsc, node, true);
            self.actions[start].flags |= flag::ALWAYS_IN_GRAPH;
        }
        let mut need_promote = false;
        let flags = self.rscs[rsc].flags;
        if moving {
        } else if flags.failed {
            if flags.stop_if_failed {
                need_stop = true;
            } else {
                need_promote = self.rscs[rsc].next_role == Role::Promoted;
            }
        } else if flags.blocked {
            need_stop = true;
        } else if self.rscs[rsc].role > Role::Started
            && current.is_some()
            && let Some(node) = assigned
        {
            let start = self.start_action(rsc, node, true);
            need_stop |= !self.actions[start].is(flag::OPTIONAL);
        }
        self.schedule_restart(rsc, need_stop, need_promote);
        self.schedule_role_change(rsc);
        self.create_recurring_actions(rsc);
        if migrates && let Some(current) = current {
            self.create_migration_actions(rsc, current);
        }
    }

    /// Whether a migration under way, if there is one, still has its source and target; if not,
    /// the resource recovers.
    fn migration_goes_on(&mut self, rsc: RscId, current: Option<NodeId>, possible: bool) -> bool {
        let r = &self.rscs[rsc];
        if r.partial_source.is_none() && r.partial_target.is_none() {
            return true;
        }
        let same = current == r.partial_source && r.assigned == r.partial_target;
        if possible && same && current.is_some() && r.assigned.is_some() {
            return true;
        }
        self.rscs[rsc].partial_source = None;
        self.rscs[rsc].partial_target = None;
        false
    }

    /// Sets what `multiple-active` asks for of a resource that is active so often; answers whether a
    /// stop is needed.
    fn handle_multiple(&mut self, rsc: RscId, active: usize) -> bool {
        self.rscs[rsc].flags.stop_unexpected = false;
        if active < 2 {
            return false;
        }
        let done = match self.rscs[rsc].multiple_active {
            MultipleActive::StopStart => "it is stopped everywhere, then started once",
            MultipleActive::StopOnly => "it is stopped everywhere",
            MultipleActive::StopUnexpected => "it is stopped where it should not be",
            MultipleActive::Block => "it is left alone until somebody cleans up",
        };
        let id = &self.rscs[rsc].id;
        self.errors
            .push(format!("{id} may be active on {active} nodes: {done}"));
        match self.rscs[rsc].multiple_active {
            MultipleActive::StopStart => true,
            MultipleActive::StopUnexpected => {
                self.rscs[rsc].flags.stop_unexpected = true;
                true
            }
            _ => false,
        }
    }

    /// Down to stopped where it is, and up again to its role.
    fn schedule_restart(&mut self, rsc: RscId, need_stop: bool, need_promote: bool) {
        self.rscs[rsc].flags.restarting = true;
        let start_role = self.rscs[rsc].role;
        let mut role = start_role;
        while role != Role::Stopped {
            let next = next_on_the_way(role, Role::Stopped);
            let Some(step) = step_between(role, next) else {
                break;
            };
            self.take_step(rsc, step, !need_stop);
            role = next;
        }
        while self.rscs[rsc].role <= self.rscs[rsc].next_role
            && role != start_role
            && !self.rscs[rsc].flags.blocked
        {
            let next = next_on_the_way(role, start_role);
            let required = need_stop || (next == Role::Promoted && need_promote);
            let Some(step) = step_between(role, next) else {
                break;
            };
            self.take_step(rsc, step, !required);
            role = next;
        }
        self.rscs[rsc].flags.restarting = false;
    }

    fn schedule_role_change(&mut self, rsc: RscId) {
        let mut role = self.rscs[rsc].role;
        while role != self.rscs[rsc].next_role {
            let next = next_on_the_way(role, self.rscs[rsc].next_role);
            let Some(step) = step_between(role, next) else {
                break;
            };
            self.take_step(rsc, step, false);
            role = next;
        }
    }

    fn take_step(&mut self, rsc: RscId, step: Step, optional: bool) {
        match step {
            Step::Stop => self.stop_everywhere(rsc, optional),
            Step::Demote => self.demote_everywhere(rsc, optional),
            Step::Start | Step::Promote => {
                // Roles above stopped are only reached by resources that have a node.
                let Some(node) = self.rscs[rsc].assigned else {
                    return;
                };
                if step == Step::Start {
                    self.start_on(rsc, node, optional);
                } else {
                    self.promote_on(rsc, node, optional);
                }
            }
        }
    }

    /// The node where a multiply active resource may stay.
    fn is_expected_node(&self, rsc: RscId, node: NodeId) -> bool {
        let r = &self.rscs[rsc];
        r.flags.stop_unexpected
            && r.flags.restarting
            && r.next_role > Role::Stopped
            && r.assigned == Some(node)
    }

    fn stop_everywhere(&mut self, rsc: RscId, optional: bool) {
        for node in self.rscs[rsc].active.clone() {
            if self.is_expected_node(rsc, node) {
                continue;
            }
            let mut optional = optional;
            if let Some(target) = self.rscs[rsc].partial_target {
                if target == node && self.rscs[rsc].assigned == Some(node) {
                    // The migration there goes on.
                    continue;
                }
                optional = false;
            }
            let stop = self.stop_action(rsc, node, optional);
            let flags = self.rscs[rsc].flags;
            if self.rscs[rsc].assigned.is_none() {
                self.set_reason(stop, Some("node availability"), true);
            } else if flags.restarting && flags.stop_unexpected {
                self.set_reason(stop, Some("being multiply active"), true);
            }
            if !flags.managed {
                self.actions[stop].flags &= !flag::RUNNABLE;
            }
            if self.options.remove_after_stop {
                self.schedule_cleanup(rsc, node, optional);
            }
            if self.rscs[rsc].flags.needs_unfencing {
                let unfence = self.fencing_op(node, Some("on"), true, None, false);
                self.relate(stop, unfence, relation::THEN_IMPLIES_FIRST);
            }
        }
    }

    fn demote_everywhere(&mut self, rsc: RscId, optional: bool) {
        for node in self.rscs[rsc].active.clone() {
            if !self.is_expected_node(rsc, node) {
                self.demote_action(rsc, node, optional);
            }
        }
    }

    fn start_on(&mut self, rsc: RscId, node: NodeId, optional: bool) {
        let start = self.start_action(rsc, node, true);
        self.order_after_unfencing(rsc, node, start, relation::FIRST_IMPLIES_THEN);
        if self.actions[start].is(flag::RUNNABLE) && !optional {
            self.actions[start].flags &= !flag::OPTIONAL;
        }
        if self.is_expected_node(rsc, node) {
            self.actions[start].flags |= flag::PSEUDO;
        }
    }

    fn promote_on(&mut self, rsc: RscId, node: NodeId, optional: bool) {
        let starts = self.find_actions_on(rsc, "start", 0, node);
        let runnable = starts.iter().all(|id| self.actions[*id].is(flag::RUNNABLE));
        if runnable {
            let promote = self.action(rsc, "promote", 0, Some(node), optional);
            if self.is_expected_node(rsc, node) {
                self.actions[promote].flags |= flag::PSEUDO;
            }
        } else {
            for promote in self.find_actions_on(rsc, "promote", 0, node) {
                self.actions[promote].flags &= !flag::RUNNABLE;
            }
        }
    }

    /// Deletes the history of a resource on a node, after its stop and before its start
    /// (Pacemaker pcmk_sched_primitive.c:pcmk__schedule_cleanup).
    pub(crate) fn schedule_cleanup(&mut self, rsc: RscId, node: NodeId, optional: bool) {
        if self.rscs[rsc].flags.failed || !self.nodes[node].alive() {
            return;
        }
        self.action(rsc, "delete", 0, Some(node), optional);
        let kind = if optional {
            relation::FIRST_IMPLIES_THEN
        } else {
            relation::ORDERED
        };
        self.order_ops(rsc, "stop", rsc, "delete", kind);
        self.order_ops(rsc, "delete", rsc, "start", kind);
    }
}
