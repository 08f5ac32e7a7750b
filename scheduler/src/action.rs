//! Actions: creation, lookup, and the flags that say whether they will be done.

use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::meta::Meta;
use crate::operation::Requires;
use crate::options::NoQuorum;
use crate::resource::Role;
use crate::text::op_key;
use cib::Text;
use std::collections::BTreeMap;

/// Bits of [`Action::flags`].
pub(crate) mod flag {
    /// Not needed (yet).
    pub(crate) const OPTIONAL: u16 = 1;
    /// Nothing forbids it.
    pub(crate) const RUNNABLE: u16 = 1 << 1;
    /// Confirmed at once; nothing is executed.
    pub(crate) const PSEUDO: u16 = 1 << 2;
    /// Shown in the graph even when optional.
    pub(crate) const ALWAYS_IN_GRAPH: u16 = 1 << 3;
    /// Part of a restart that a live migration may replace.
    pub(crate) const MIGRATABLE: u16 = 1 << 4;
    /// Runnable when enough of the actions before it are.
    pub(crate) const MIN_RUNNABLE: u16 = 1 << 5;
    /// A recurring action whose definition changed.
    pub(crate) const RESCHEDULE: u16 = 1 << 6;
    /// Seen by the walk that is under way.
    pub(crate) const TRACKED: u16 = 1 << 7;
    /// Written to the graph.
    pub(crate) const IN_GRAPH: u16 = 1 << 8;
    /// Needs no executor on the node.
    pub(crate) const ON_DC: u16 = 1 << 9;
    /// Ends a migration that came to nothing.
    pub(crate) const MIGRATION_ABORT: u16 = 1 << 10;
}

/// Something to do, or that would be done if it were needed.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    /// What is done: `start`, `cancel` …
    pub(crate) task: Text,
    /// What the key says, which differs for `cancel`.
    pub(crate) op: Text,
    pub(crate) interval_ms: u64,
    /// `ip_start_0`.
    pub(crate) uuid: Text,
    pub(crate) rsc: Option<RscId>,
    pub(crate) node: Option<NodeId>,
    pub(crate) flags: u16,
    pub(crate) needs: Requires,
    pub(crate) meta: Meta,
    /// Instance attributes of the operation.
    pub(crate) extra: BTreeMap<String, String>,
    pub(crate) reason: Option<String>,
    pub(crate) priority: i32,
    /// Relations with actions before and after, in order of creation.
    pub(crate) before: Vec<Relation>,
    pub(crate) after: Vec<Relation>,
    pub(crate) required_runnable_before: u32,
    pub(crate) runnable_before: u32,
}

/// One end of an ordering between two actions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relation {
    pub(crate) action: ActId,
    /// Bits of [`crate::constraint::relation`].
    pub(crate) kind: u32,
}

impl Action {
    /// Whether all these flags are set.
    pub(crate) fn is(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// Whether it has this key, and is on this node or on none yet. Of a resource's many actions
    /// most are on other nodes, so that is looked at first.
    fn may_be(&self, op: &str, interval_ms: u64, node: Option<NodeId>) -> bool {
        (node.is_none() || self.node.is_none() || self.node == node)
            && self.interval_ms == interval_ms
            && self.op == op
    }
}

impl Cluster<'_> {
    /// Finds or creates an action, and brings its flags up to date
    /// (Pacemaker pe_actions.c:custom_action).
    pub(crate) fn action(
        &mut self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: Option<NodeId>,
        optional: bool,
    ) -> ActId {
        self.action_for_task(rsc, op, op, interval_ms, node, optional)
    }

    /// The same, where what is done differs from what the key says (notifications).
    pub(crate) fn action_for_task(
        &mut self,
        rsc: RscId,
        op: &str,
        task: &str,
        interval_ms: u64,
        node: Option<NodeId>,
        optional: bool,
    ) -> ActId {
        let id = match self.find_action(rsc, op, interval_ms, node) {
            Some(id) => id,
            None => self.new_action(rsc, (op, task), interval_ms, node, optional),
        };
        self.update_optional(id, optional);
        self.update_runnable(rsc, id);
        id
    }

    fn new_action(
        &mut self,
        rsc: RscId,
        (op, task): (&str, &str),
        interval_ms: u64,
        node: Option<NodeId>,
        optional: bool,
    ) -> ActId {
        let details = self.operation_details(rsc, task, interval_ms, node);
        let mut flags = flag::RUNNABLE;
        if optional {
            flags |= flag::OPTIONAL;
        }
        if op == "lrm_delete" {
            flags |= flag::ON_DC;
        }
        let id = self.actions.len();
        self.actions.push(Action {
            task: task.into(),
            op: op.into(),
            interval_ms,
            uuid: op_key(&self.rscs[rsc].id, op, interval_ms).into(),
            rsc: Some(rsc),
            node,
            flags,
            needs: details.needs,
            meta: details.meta,
            extra: details.extra,
            reason: None,
            priority: 0,
            before: Vec::new(),
            after: Vec::new(),
            required_runnable_before: 0,
            runnable_before: 0,
        });
        self.rscs[rsc].actions.push(id);
        id
    }

    /// Finds or creates an action that belongs to no resource; the key names it.
    pub(crate) fn singleton(
        &mut self,
        key: &str,
        task: &str,
        node: Option<NodeId>,
        flags: u16,
    ) -> ActId {
        if let Some(id) = self.singletons.get(key) {
            return *id;
        }
        let id = self.actions.len();
        self.actions.push(Action {
            task: task.into(),
            op: task.into(),
            interval_ms: 0,
            uuid: key.into(),
            rsc: None,
            node,
            flags,
            needs: Requires::Nothing,
            meta: Meta::default(),
            extra: BTreeMap::new(),
            reason: None,
            priority: 0,
            before: Vec::new(),
            after: Vec::new(),
            required_runnable_before: 0,
            runnable_before: 0,
        });
        self.singletons.insert(key.to_owned(), id);
        id
    }

    /// Actions of a resource with this key; with a node, only those there. An action without a
    /// node takes the one asked for (Pacemaker pe_actions.c:find_actions).
    pub(crate) fn find_actions(
        &mut self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: Option<NodeId>,
    ) -> Vec<ActId> {
        let mut found = Vec::new();
        for id in self.rscs[rsc].actions.iter().rev() {
            let action = &mut self.actions[*id];
            if !action.may_be(op, interval_ms, node) {
                continue;
            }
            if node.is_some() {
                action.node = node;
            }
            found.push(*id);
        }
        found
    }

    /// The first of [`Cluster::find_actions`]; all of them take the node.
    fn find_action(
        &mut self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: Option<NodeId>,
    ) -> Option<ActId> {
        let mut found = None;
        for id in self.rscs[rsc].actions.iter().rev() {
            let action = &mut self.actions[*id];
            if action.may_be(op, interval_ms, node) {
                if node.is_some() {
                    action.node = node;
                }
                found = found.or(Some(*id));
            }
        }
        found
    }

    /// Actions of a resource with this key on exactly this node.
    pub(crate) fn find_actions_on(
        &self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: NodeId,
    ) -> Vec<ActId> {
        let matches = |id: &ActId| {
            let action = &self.actions[*id];
            action.interval_ms == interval_ms && action.node == Some(node) && action.op == op
        };
        self.rscs[rsc]
            .actions
            .iter()
            .rev()
            .copied()
            .filter(matches)
            .collect()
    }

    /// Latest action of a resource with this task; with a node, only those on it
    /// (Pacemaker pe_actions.c:find_first_action).
    pub(crate) fn first_action(
        &self,
        rsc: RscId,
        task: &str,
        node: Option<NodeId>,
    ) -> Option<ActId> {
        self.rscs[rsc].actions.iter().rev().copied().find(|id| {
            let action = &self.actions[*id];
            (node.is_none() || action.node == node) && action.task == task
        })
    }

    /// A pseudo action of a collective (Pacemaker pe__new_rsc_pseudo_action).
    pub(crate) fn pseudo_action(
        &mut self,
        rsc: RscId,
        task: &str,
        optional: bool,
        runnable: bool,
    ) -> ActId {
        let id = self.action(rsc, task, 0, None, optional);
        self.actions[id].flags |= flag::PSEUDO;
        if runnable {
            self.actions[id].flags |= flag::RUNNABLE;
        }
        id
    }

    /// Gives a reason; without `overwrite`, only if there is none yet.
    pub(crate) fn set_reason(&mut self, id: ActId, reason: Option<&str>, overwrite: bool) {
        let action = &mut self.actions[id];
        if overwrite || action.reason.is_none() {
            action.reason = reason.map(str::to_owned);
        }
    }

    fn update_optional(&mut self, id: ActId, optional: bool) {
        let action = &self.actions[id];
        let unmanaged = action.rsc.is_some_and(|rsc| !self.rscs[rsc].flags.managed);
        let action = &mut self.actions[id];
        if unmanaged
            && action.node.is_some()
            && !action.is(flag::PSEUDO)
            && !action.meta.contains_key("interval")
        {
            action.flags |= flag::OPTIONAL;
        } else if !optional {
            action.flags &= !flag::OPTIONAL;
        }
    }

    /// Pacemaker pe_actions.c:update_resource_action_runnable.
    fn update_runnable(&mut self, rsc: RscId, id: ActId) {
        let action = &self.actions[id];
        if action.is(flag::PSEUDO) {
            return;
        }
        let Some(node) = action.node else {
            self.actions[id].flags &= !flag::RUNNABLE;
            return;
        };
        let on_dc = action.is(flag::ON_DC);
        let guest_to_come = self.is_guest(node) && !self.nodes[node].remote_reset;
        if !on_dc && !self.nodes[node].online && !guest_to_come {
            let is_stop = action.task == "stop";
            self.actions[id].flags &= !flag::RUNNABLE;
            if is_stop && self.rscs[rsc].flags.managed && !self.nodes[node].unclean {
                self.fence_node(node, "stop is unrunnable", false);
            }
        } else if !on_dc && self.nodes[node].pending {
            self.actions[id].flags &= !flag::RUNNABLE;
        } else if action.needs == Requires::Nothing {
            self.actions[id].reason = None;
            if self.is_guest(node) && !self.can_fence(Some(node)) {
                // Its host is lost and cannot be fenced.
                self.actions[id].flags &= !flag::RUNNABLE;
            } else {
                self.actions[id].flags |= flag::RUNNABLE;
            }
        } else {
            self.apply_quorum_policy(rsc, id);
        }
    }

    fn apply_quorum_policy(&mut self, rsc: RscId, id: ActId) {
        match self.quorum_policy_for(rsc) {
            NoQuorum::Stop => {
                self.actions[id].flags &= !flag::RUNNABLE;
                self.set_reason(id, Some("no quorum"), true);
            }
            NoQuorum::Freeze => {
                let rising = self.rscs[rsc].next_role > self.rscs[rsc].role;
                if !self.is_active(rsc) || rising {
                    self.actions[id].flags &= !flag::RUNNABLE;
                    self.set_reason(id, Some("quorum freeze"), true);
                }
            }
            _ => self.actions[id].flags |= flag::RUNNABLE,
        }
    }

    fn quorum_policy_for(&mut self, rsc: RscId) -> NoQuorum {
        if self.options.quorate {
            return NoQuorum::Ignore;
        }
        if self.options.no_quorum != NoQuorum::Demote {
            return self.options.no_quorum;
        }
        match self.rscs[rsc].role {
            Role::Promoted | Role::Unpromoted => {
                if self.rscs[rsc].next_role > Role::Unpromoted {
                    self.set_next_role(rsc, Role::Unpromoted);
                }
                NoQuorum::Ignore
            }
            _ => NoQuorum::Stop,
        }
    }

    /// `start` on a node.
    pub(crate) fn start_action(&mut self, rsc: RscId, node: NodeId, optional: bool) -> ActId {
        self.action(rsc, "start", 0, Some(node), optional)
    }

    /// `stop` on a node.
    pub(crate) fn stop_action(&mut self, rsc: RscId, node: NodeId, optional: bool) -> ActId {
        self.action(rsc, "stop", 0, Some(node), optional)
    }

    /// `demote` on a node.
    pub(crate) fn demote_action(&mut self, rsc: RscId, node: NodeId, optional: bool) -> ActId {
        self.action(rsc, "demote", 0, Some(node), optional)
    }

    /// Schedules the deletion of a fail count.
    pub(crate) fn clear_failcount(&mut self, rsc: RscId, node: NodeId) -> ActId {
        let id = self.action(rsc, "clear_failcount", 0, Some(node), false);
        self.actions[id].meta.insert("op_no_wait", "true");
        id
    }

    /// Turns a recurring action into its cancellation, or creates one
    /// (Pacemaker pcmk_sched_recurring.c:pcmk__new_cancel_action).
    pub(crate) fn cancel_action(
        &mut self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: Option<NodeId>,
    ) -> ActId {
        let id = self.action(rsc, op, interval_ms, node, false);
        let action = &mut self.actions[id];
        action.task = "cancel".into();
        action.meta.insert("operation", op);
        action.meta.insert("interval", interval_ms.to_string());
        id
    }
}
