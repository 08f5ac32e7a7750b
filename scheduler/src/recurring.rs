//! Recurring operations: monitors of what runs, monitors of what must not run, cancellations
//! (Pacemaker pcmk_sched_recurring.c).

use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::relation;
use crate::resource::{OpConfig, Role};

/// Operations that make no sense again and again.
fn cannot_recur(name: &str) -> bool {
    matches!(
        name,
        "stop" | "start" | "demote" | "promote" | "reload-agent" | "migrate_to" | "migrate_from"
    )
}

impl<'a> Cluster<'a> {
    /// Pacemaker pcmk_sched_recurring.c:pcmk__create_recurring_actions.
    pub(crate) fn create_recurring_actions(&mut self, rsc: RscId) {
        let r = &self.rscs[rsc];
        if r.flags.blocked || r.flags.maintenance {
            return;
        }
        let assigned = r.assigned;
        let wanted = r.next_role != Role::Stopped || !r.flags.managed;
        let start = match assigned {
            Some(node) if !self.nodes[node].maintenance && wanted => {
                Some((node, self.start_action(rsc, node, true)))
            }
            _ => None,
        };
        for op in self.rscs[rsc].ops.clone() {
            if op.interval_ms == 0 || !op.enabled || self.is_unusable(rsc, &op) {
                continue;
            }
            if op.role() == Some(Role::Stopped) {
                self.recur_while_stopped(rsc, assigned, &op);
            } else if let Some((node, start)) = start {
                self.recur_while_active(rsc, node, start, &op);
            }
        }
    }

    fn is_unusable(&mut self, rsc: RscId, op: &OpConfig<'a>) -> bool {
        let name = op.name();
        if name.is_empty() || cannot_recur(name) {
            return true;
        }
        let twins = self.rscs[rsc]
            .ops
            .iter()
            .filter(|other| other.name() == name && other.interval_ms == op.interval_ms);
        let duplicate = twins.count() > 1;
        if duplicate {
            let message = format!(
                "{}: operation {name} is configured twice with the same interval",
                self.rscs[rsc].xml_id
            );
            if !self.errors.contains(&message) {
                self.errors.push(message);
            }
        }
        duplicate
    }

    fn recur_while_active(&mut self, rsc: RscId, node: NodeId, start: ActId, op: &OpConfig<'a>) {
        let name = op.name();
        let running = self.find_actions_on(rsc, name, op.interval_ms, node);
        let optional = self.actions[start].is(flag::OPTIONAL)
            && !running.is_empty()
            && !running
                .iter()
                .any(|id| self.actions[*id].is(flag::RESCHEDULE));
        let next_role = self.rscs[rsc].next_role;
        let fits = match op.role() {
            Some(role) => role == next_role,
            None => next_role != Role::Promoted,
        };
        if !fits {
            if optional {
                self.cancel_before_role_change(rsc, node, name, op.interval_ms);
            }
            return;
        }
        let monitor = self.action(rsc, name, op.interval_ms, Some(node), optional);
        if !self.actions[start].is(flag::RUNNABLE) || !self.nodes[node].alive() {
            self.actions[monitor].flags &= !flag::RUNNABLE;
        }
        if next_role == Role::Promoted {
            self.expect_exit_code(monitor, "8");
        }
        if !self.rscs[rsc].flags.managed {
            return;
        }
        let follows = relation::FIRST_IMPLIES_THEN | relation::UNRUNNABLE_FIRST_BLOCKS;
        self.order_op_then(rsc, "start", monitor, follows);
        self.order_op_then(rsc, "reload-agent", monitor, follows);
        let after = relation::ORDERED | relation::UNRUNNABLE_FIRST_BLOCKS;
        if next_role == Role::Promoted {
            self.order_op_then(rsc, "promote", monitor, after);
        } else if self.rscs[rsc].role == Role::Promoted {
            self.order_op_then(rsc, "demote", monitor, after);
        }
    }

    fn cancel_before_role_change(
        &mut self,
        rsc: RscId,
        node: NodeId,
        name: &str,
        interval_ms: u64,
    ) {
        let cancel = self.cancel_action(rsc, name, interval_ms, Some(node));
        let r = &self.rscs[rsc];
        let before = match (r.role, r.next_role) {
            (Role::Unpromoted | Role::Started, Role::Promoted) => "promote",
            (Role::Unpromoted | Role::Started, Role::Stopped) => "stop",
            (Role::Promoted, _) => "demote",
            _ => return,
        };
        let kind = relation::UNRUNNABLE_FIRST_BLOCKS;
        self.order_action_then(cancel, rsc, before, kind);
    }

    /// Monitors for the stopped role run where the resource shall not be.
    fn recur_while_stopped(&mut self, rsc: RscId, assigned: Option<NodeId>, op: &OpConfig<'a>) {
        if !self.rscs[rsc].flags.unique {
            return;
        }
        let (name, interval_ms) = (op.name(), op.interval_ms);
        for node in 0..self.nodes.len() {
            let running = self.find_actions_on(rsc, name, interval_ms, node);
            if assigned == Some(node) {
                if !running.is_empty() {
                    self.cancel_before_start(rsc, node, name, interval_ms);
                }
                continue;
            }
            let optional = !running.is_empty();
            let monitor = self.action(rsc, name, interval_ms, Some(node), optional);
            self.expect_exit_code(monitor, "7");
            if self.rscs[rsc].flags.managed {
                for probe in self.find_actions(rsc, "monitor", 0, Some(node)) {
                    self.relate(probe, monitor, relation::UNRUNNABLE_FIRST_BLOCKS);
                }
            }
            self.order_after_stops(rsc, node, monitor);
            if !self.nodes[node].alive() {
                self.actions[monitor].flags &= !flag::RUNNABLE;
            }
        }
    }

    fn cancel_before_start(&mut self, rsc: RscId, node: NodeId, name: &str, interval_ms: u64) {
        let cancel = self.cancel_action(rsc, name, interval_ms, Some(node));
        if matches!(self.rscs[rsc].next_role, Role::Started | Role::Unpromoted) {
            let kind = relation::UNRUNNABLE_FIRST_BLOCKS;
            self.order_action_then(cancel, rsc, "start", kind);
        }
    }

    fn order_after_stops(&mut self, rsc: RscId, node: NodeId, monitor: ActId) {
        let managed = self.rscs[rsc].flags.managed;
        for stop in self.find_actions_on(rsc, "stop", 0, node) {
            if !self.actions[stop].is(flag::OPTIONAL) && !managed {
                self.actions[monitor].flags |= flag::OPTIONAL;
            }
            if !self.actions[stop].is(flag::RUNNABLE) {
                self.actions[monitor].flags &= !flag::RUNNABLE;
            }
            if managed {
                let (first, then) = (self.order_end(stop), self.order_end(monitor));
                let kind = relation::FIRST_IMPLIES_THEN | relation::UNRUNNABLE_FIRST_BLOCKS;
                self.order(first, then, kind);
            }
        }
    }
}
