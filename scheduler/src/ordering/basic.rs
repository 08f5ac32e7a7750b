//! What one relation does to the flags of the two actions it relates.

use super::Changed;
use crate::action::flag;
use crate::cluster::{ActId, Cluster};
use crate::constraint::relation;
use crate::resource::Role;

impl Cluster<'_> {
    /// Pacemaker pcmk_sched_actions.c:pcmk__update_ordered_actions.
    pub(super) fn update_basic(
        &mut self,
        first: ActId,
        then: ActId,
        flags: u16,
        filter: u16,
        kind: u32,
    ) -> Changed {
        let (then_flags, first_flags) = (self.actions[then].flags, self.actions[first].flags);
        let is = |id: ActId, bit: u16, cluster: &Self| cluster.actions[id].is(bit);
        if kind & relation::ASYMMETRIC != 0 {
            self.update_asymmetric(first, then);
        }
        self.update_first(first, then, flags, filter, kind);
        if kind & relation::UNMIGRATABLE_THEN_BLOCKS != 0 && filter & flag::OPTIONAL != 0 {
            if !is(then, flag::MIGRATABLE | flag::RUNNABLE, self) {
                self.clear_because(first, flag::RUNNABLE, then);
            }
            if !is(then, flag::OPTIONAL, self) {
                self.clear_because(first, flag::OPTIONAL, then);
            }
        }
        if kind & relation::FIRST_ELSE_THEN != 0
            && filter & flag::OPTIONAL != 0
            && !is(first, flag::RUNNABLE, self)
        {
            self.clear_because(then, flag::MIGRATABLE, first);
            self.actions[then].flags &= !flag::PSEUDO;
        }
        if kind & relation::UNRUNNABLE_FIRST_BLOCKS != 0
            && filter & flag::RUNNABLE != 0
            && is(then, flag::RUNNABLE, self)
            && flags & flag::RUNNABLE == 0
        {
            self.clear_because(then, flag::RUNNABLE, first);
            self.actions[then].flags &= !flag::MIGRATABLE;
        }
        if kind & relation::FIRST_IMPLIES_THEN != 0
            && filter & flag::OPTIONAL != 0
            && is(then, flag::OPTIONAL, self)
            && flags & flag::OPTIONAL == 0
            && !is(first, flag::MIGRATABLE, self)
        {
            self.clear_because(then, flag::OPTIONAL, first);
        }
        if kind & relation::INTERMEDIATE_STOP != 0 {
            self.update_restart(first, then, filter);
        }
        let changed = Changed {
            first: first_flags != self.actions[first].flags,
            then: then_flags != self.actions[then].flags,
        };
        let member = self.actions[then]
            .rsc
            .is_some_and(|rsc| self.rscs[rsc].parent.is_some());
        if changed.then && member {
            // Needed for "stop, then start" of cloned groups.
            self.update_for_orderings(then);
        }
        changed
    }

    /// What is needed later needs what comes first.
    fn update_first(&mut self, first: ActId, then: ActId, flags: u16, filter: u16, kind: u32) {
        if kind & relation::THEN_IMPLIES_FIRST != 0 && !self.actions[then].is(flag::OPTIONAL) {
            if filter & flag::OPTIONAL != 0
                && flags & flag::OPTIONAL == 0
                && self.actions[first].is(flag::OPTIONAL)
            {
                self.clear_because(first, flag::OPTIONAL, then);
            }
            if flags & flag::MIGRATABLE != 0 && !self.actions[then].is(flag::MIGRATABLE) {
                self.clear_because(first, flag::MIGRATABLE, then);
            }
        }
        if kind & relation::PROMOTED_THEN_IMPLIES_FIRST != 0
            && self.actions[then]
                .rsc
                .is_some_and(|rsc| self.rscs[rsc].role == Role::Promoted)
            && filter & flag::OPTIONAL != 0
            && !self.actions[then].is(flag::OPTIONAL)
        {
            self.clear_because(first, flag::OPTIONAL, then);
            if !self.actions[then].is(flag::MIGRATABLE) {
                self.clear_because(first, flag::MIGRATABLE, then);
            }
        }
    }

    fn update_asymmetric(&mut self, first: ActId, then: ActId) {
        let Some(rsc) = self.actions[then].rsc else {
            return;
        };
        if self.actions[first].is(flag::RUNNABLE) {
            return;
        }
        if self.actions[then].is(flag::OPTIONAL) {
            let role = self.state_of(rsc, true);
            let task = self.actions[then].task.as_str();
            let only_there = self.actions[then]
                .node
                .is_some_and(|node| self.locations_of(rsc, true) == [node]);
            if (role == Role::Stopped && task == "stop")
                || (role >= Role::Started && task == "start" && only_there)
            {
                return;
            }
        }
        self.clear_because(then, flag::OPTIONAL, first);
        self.clear_because(then, flag::RUNNABLE, first);
    }

    /// Pacemaker pcmk_sched_actions.c:handle_restart_ordering.
    fn update_restart(&mut self, first: ActId, then: ActId, filter: u16) {
        let same = self.actions[first].rsc == self.actions[then].rsc;
        let managed = self.actions[then]
            .rsc
            .is_some_and(|rsc| self.rscs[rsc].flags.managed);
        let restart = filter & flag::OPTIONAL != 0 && !self.actions[then].is(flag::OPTIONAL);
        // What should restart but cannot start shall still stop.
        let stop = filter & flag::RUNNABLE != 0
            && !self.actions[then].is(flag::RUNNABLE)
            && managed
            && same;
        if !restart && !stop {
            return;
        }
        if self.actions[first].is(flag::RUNNABLE) || !self.actions[then].is(flag::OPTIONAL) {
            self.clear_because(first, flag::OPTIONAL, then);
        }
        if !self.actions[then].is(flag::MIGRATABLE) {
            self.clear_because(first, flag::MIGRATABLE, then);
        }
        if self.actions[first].flags & (flag::OPTIONAL | flag::RUNNABLE) == 0 {
            self.clear_because(then, flag::RUNNABLE, first);
        }
    }

    /// Clears a flag, and says why, if the cause is another resource's action.
    fn clear_because(&mut self, id: ActId, bit: u16, cause: ActId) {
        if !self.actions[id].is(bit) {
            return;
        }
        self.actions[id].flags &= !bit;
        if self.actions[id].rsc == self.actions[cause].rsc {
            return;
        }
        let change = match bit {
            flag::RUNNABLE => "unrunnable",
            flag::MIGRATABLE => "unmigrateable",
            _ => "required",
        };
        let action = &self.actions[cause];
        let reason = match action.rsc {
            Some(rsc) => format!("{change} {} {}", self.rscs[rsc].id, action.task),
            None => format!("{change} {}", action.task),
        };
        self.set_reason(id, Some(&reason), bit == flag::MIGRATABLE);
    }
}
