//! Groups: members one after the other, on one node.

use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::colocation::NewColocation;
use crate::constraint::relation;
use crate::score::INFINITY;
use crate::scores::stage;

/// What the constraints of one member need to know of the members before.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    previous: Option<RscId>,
    last_active: Option<RscId>,
    promotable: bool,
}

/// The instances' operation that a collective's operation waits for: `running` -> `start`.
pub(crate) fn folded(task: &str) -> &str {
    match task {
        "running" => "start",
        "stopped" => "stop",
        "promoted" => "promote",
        "demoted" => "demote",
        other => other,
    }
}

impl Cluster<'_> {
    /// Pacemaker pcmk_sched_group.c:pcmk__group_assign.
    pub(crate) fn assign_group(
        &mut self,
        group: RscId,
        prefer: Option<NodeId>,
        stop_if_fail: bool,
    ) -> Option<NodeId> {
        let flags = self.rscs[group].flags;
        if !flags.unassigned {
            return self.location_of(group, false);
        }
        if flags.assigning {
            return None;
        }
        let members = self.rscs[group].children.clone();
        let Some(first) = members.first().copied() else {
            self.rscs[group].flags.unassigned = false;
            return None;
        };
        self.rscs[group].flags.assigning = true;
        self.rscs[group].role = self.rscs[first].role;
        self.note_scores(stage::GROUP, group);
        let mut node = None;
        for member in members {
            let assigned = self.assign(member, prefer, stop_if_fail);
            node = node.or(assigned);
        }
        let next = self.rscs[first].next_role;
        self.set_next_role(group, next);
        self.rscs[group].flags.assigning = false;
        self.rscs[group].flags.unassigned = false;
        node.filter(|_| self.rscs[group].group_colocated)
    }

    /// Pacemaker pcmk_sched_group.c:pcmk__group_create_actions.
    pub(crate) fn create_group_actions(&mut self, group: RscId) {
        for member in self.rscs[group].children.clone() {
            self.create_actions(member);
        }
        let mut tasks = vec!["start", "running", "stop", "stopped"];
        if self.rscs[self.top_of(group)].flags.promotable {
            tasks.extend(["demote", "demoted", "promote", "promoted"]);
        }
        for task in tasks {
            self.pseudo_action(group, task, true, true);
        }
    }

    /// Pacemaker pcmk_sched_group.c:pcmk__group_internal_constraints.
    pub(crate) fn group_constraints(&mut self, group: RscId) {
        let blocks = relation::UNRUNNABLE_FIRST_BLOCKS;
        self.order_ops(group, "stop", group, "stopped", blocks);
        self.order_ops(group, "stopped", group, "start", relation::ORDERED);
        self.order_ops(group, "start", group, "running", blocks);
        let mut before = Before {
            promotable: self.rscs[self.top_of(group)].flags.promotable,
            ..Before::default()
        };
        for member in self.rscs[group].children.clone() {
            self.member_constraints(group, member, &mut before);
        }
    }

    fn member_constraints(&mut self, group: RscId, member: RscId, before: &mut Before) {
        self.internal_constraints(member);
        let ordered = self.rscs[group].group_ordered;
        let mut down = relation::THEN_IMPLIES_FIRST_GRAPHED;
        let mut after_down = relation::FIRST_IMPLIES_THEN_GRAPHED;
        match before.previous {
            None if ordered => {
                down |= relation::ORDERED;
                after_down = relation::FIRST_IMPLIES_THEN;
            }
            Some(previous) if self.rscs[group].group_colocated => {
                self.new_colocation(NewColocation {
                    id: "group:internal_colocation",
                    node_attribute: None,
                    score: INFINITY,
                    dependent: member,
                    primary: previous,
                    dependent_role: None,
                    primary_role: None,
                    influence: self.rscs[member].flags.critical,
                    explicit: false,
                });
            }
            _ => {}
        }
        let completes = relation::UNRUNNABLE_FIRST_BLOCKS
            | relation::FIRST_IMPLIES_THEN
            | relation::FIRST_IMPLIES_THEN_GRAPHED;
        let graphed = relation::THEN_IMPLIES_FIRST_GRAPHED;
        if before.promotable {
            self.order_ops(group, "demote", member, "demote", down);
            self.order_ops(member, "demote", group, "demoted", after_down);
            self.order_ops(member, "promote", group, "promoted", completes);
            self.order_ops(group, "promote", member, "promote", graphed);
        }
        self.order_ops(group, "stop", member, "stop", down);
        self.order_ops(member, "stop", group, "stopped", after_down);
        self.order_ops(group, "start", member, "start", graphed);
        self.order_ops(member, "start", group, "running", completes);
        if ordered {
            if let Some(previous) = before.previous {
                self.order_members(previous, member, before.promotable);
            }
        } else {
            let kind = relation::FIRST_IMPLIES_THEN | relation::UNRUNNABLE_FIRST_BLOCKS | graphed;
            self.order_ops(group, "start", member, "start", kind);
            if before.promotable {
                self.order_ops(group, "promote", member, "promote", kind);
            }
        }
        self.order_partial_stop(member, before, ordered);
        before.previous = Some(member);
    }

    fn order_members(&mut self, previous: RscId, member: RscId, promotable: bool) {
        let up = relation::FIRST_IMPLIES_THEN | relation::UNRUNNABLE_FIRST_BLOCKS;
        self.order_ops(previous, "start", member, "start", up);
        let down = relation::ORDERED | relation::INTERMEDIATE_STOP;
        self.order_ops(member, "stop", previous, "stop", down);
        // A new member before ones that run: those stop before it starts.
        if !self.rscs[member].active.is_empty() && self.rscs[previous].active.is_empty() {
            let kind = relation::THEN_IMPLIES_FIRST | relation::UNRUNNABLE_FIRST_BLOCKS;
            self.order_ops(member, "stop", previous, "start", kind);
        }
        if promotable {
            self.order_ops(previous, "promote", member, "promote", up);
            self.order_ops(member, "demote", previous, "demote", relation::ORDERED);
        }
    }

    /// A partly active group also stops in sequence.
    fn order_partial_stop(&mut self, member: RscId, before: &mut Before, ordered: bool) {
        if self.rscs[member].active.is_empty() {
            return;
        }
        if ordered
            && let (Some(previous), Some(last)) = (before.previous, before.last_active)
            && self.rscs[previous].active.is_empty()
            && !self.rscs[last].active.is_empty()
        {
            self.order_ops(member, "stop", last, "stop", relation::ORDERED);
        }
        before.last_active = Some(member);
    }

    /// Flags of a group's action: those of its members' taken together
    /// (Pacemaker pcmk_sched_group.c:pcmk__group_action_flags).
    pub(crate) fn group_action_flags(&mut self, id: ActId, node: Option<NodeId>) -> u16 {
        let mut flags = flag::OPTIONAL | flag::RUNNABLE | flag::PSEUDO;
        let Some(group) = self.actions[id].rsc else {
            return flags;
        };
        let task = self.actions[id].task.clone();
        for member in self.rscs[group].children.clone() {
            let member_task = if self.is_primitive(member) {
                folded(&task)
            } else {
                &task
            };
            let Some(action) = self.first_action(member, member_task, node) else {
                if !matches!(member_task, "stop" | "demote") {
                    flags &= !flag::RUNNABLE;
                }
                continue;
            };
            let member_flags = self.action_flags(action, node);
            if flags & flag::OPTIONAL != 0 && member_flags & flag::OPTIONAL == 0 {
                flags &= !flag::OPTIONAL;
                self.actions[id].flags &= !flag::OPTIONAL;
            }
            if member_task != task
                && flags & flag::RUNNABLE != 0
                && member_flags & flag::RUNNABLE == 0
            {
                flags &= !flag::RUNNABLE;
                self.actions[id].flags &= !flag::RUNNABLE;
            }
        }
        flags
    }
}
