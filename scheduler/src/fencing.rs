//! Fencing and shutdown of nodes, and what they mean for resources there
//! (Pacemaker pcmk_sched_fencing.c, pcmk_scheduler.c).

use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::{OrderEnd, relation};
use crate::node::NodeKind;
use crate::operation::Requires;
use crate::options::NoQuorum;

impl Cluster<'_> {
    /// Marks a node as not to be trusted until it is fenced
    /// (Pacemaker pe utils.c:pe_fence_node).
    pub(crate) fn fence_node(&mut self, node: NodeId, reason: &str, priority_delay: bool) {
        if let Some(container) = self.container_of(node) {
            let flags = &mut self.rscs[container].flags;
            if !flags.failed && flags.managed {
                // It may run resources as soon as its container is recovered.
                flags.failed = true;
                flags.stop_if_failed = true;
                self.nodes[node].remote_reset = true;
            }
            return;
        }
        if self.is_remote(node) {
            let connection = self.nodes[node].connection;
            let managed = connection.is_none_or(|c| self.rscs[c].flags.managed);
            self.nodes[node].remote_reset |= managed;
            self.nodes[node].unclean = true;
            self.fence_action(node, true, Some(reason), false);
            return;
        }
        if self.nodes[node].unclean {
            return;
        }
        self.nodes[node].unclean = true;
        self.fence_action(node, true, Some(reason), priority_delay);
    }

    /// Whether this partition may fence a node (Pacemaker pe utils.c:pe_can_fence).
    pub(crate) fn can_fence(&self, node: Option<NodeId>) -> bool {
        // A guest is fenced by stopping its container.
        if let Some(container) = node.and_then(|node| self.container_of(node)) {
            return self.rscs[container]
                .active
                .iter()
                .all(|host| self.nodes[*host].online || self.can_fence(Some(*host)));
        }
        self.options.fencing
            && self.have_fencing_device
            && (self.options.quorate
                || self.options.no_quorum == NoQuorum::Ignore
                || node.is_some_and(|node| self.nodes[node].online))
    }

    /// The fencing of a node; needed unless `optional` (Pacemaker pe_fence_op).
    pub(crate) fn fence_action(
        &mut self,
        node: NodeId,
        optional: bool,
        reason: Option<&str>,
        priority_delay: bool,
    ) -> ActId {
        self.fencing_op(node, None, optional, reason, priority_delay)
    }

    /// The same, for a stated operation (`on`, `off`, `reboot`).
    pub(crate) fn fencing_op(
        &mut self,
        node: NodeId,
        how: Option<&str>,
        optional: bool,
        reason: Option<&str>,
        priority_delay: bool,
    ) -> ActId {
        let name = self.nodes[node].name.clone();
        let how = how.unwrap_or(&self.options.fencing_action).to_owned();
        let key = format!("stonith-{name}-{how}");
        let new = !self.singletons.contains_key(&key);
        let flags = flag::OPTIONAL | flag::RUNNABLE;
        let id = self.singleton(&key, "stonith", Some(node), flags);
        if new {
            let uuid = self.nodes[node].id.clone();
            let meta = &mut self.actions[id].meta;
            meta.insert("on_node", name);
            meta.insert("on_node_uuid", uuid);
            meta.insert("stonith_action", how);
        }
        if self.options.priority_fencing_delay_s > 0
            && (priority_delay || self.actions[id].meta.contains_key("priority-fencing-delay"))
        {
            let delay = self.priority_delay_s(node).to_string();
            let meta = &mut self.actions[id].meta;
            meta.insert("priority-fencing-delay", delay);
        }
        if !optional && self.can_fence(Some(node)) {
            self.actions[id].flags &= !flag::OPTIONAL;
        }
        if reason.is_some() {
            self.set_reason(id, reason, false);
        }
        id
    }

    /// The node with the more important resources survives a fencing race
    /// (Pacemaker pe_actions.c:node_priority_fencing_delay).
    fn priority_delay_s(&self, node: NodeId) -> u64 {
        let members: Vec<_> = self
            .nodes
            .iter()
            .filter(|n| n.kind == NodeKind::Member)
            .collect();
        let online = members.iter().filter(|n| n.online).count();
        let top = members.iter().map(|n| n.priority).max().unwrap_or(0);
        let lowest = members.iter().map(|n| n.priority).min().unwrap_or(0);
        let target = &self.nodes[node];
        let pointless = target.kind != NodeKind::Member
            || target.online
            || online > members.len() / 2
            || lowest == top
            || target.priority < top;
        if pointless {
            0
        } else {
            self.options.priority_fencing_delay_s
        }
    }

    /// Fences what is unclean and shuts down what asked for it; the DC last.
    pub(crate) fn schedule_fencing_and_shutdowns(&mut self) {
        let have_managed = self.top.iter().any(|rsc| self.is_managed(*rsc));
        let mut dc_down = None;
        let (mut fencings, mut shutdowns): (Vec<ActId>, Vec<ActId>) = (Vec::new(), Vec::new());
        for node in 0..self.nodes.len() {
            if self.is_guest(node) {
                if self.nodes[node].remote_reset && have_managed && self.can_fence(Some(node)) {
                    self.fence_guest(node);
                }
                continue;
            }
            let (unclean, is_dc) = (self.nodes[node].unclean, self.nodes[node].is_dc);
            if have_managed && unclean && self.can_fence(Some(node)) {
                let fencing = self.fence_action(node, false, Some("node is unclean"), false);
                for rsc in self.top.clone() {
                    self.order_resource_after_fencing(rsc, fencing, node);
                }
                if is_dc {
                    dc_down = Some(fencing);
                    continue;
                }
                if !self.options.concurrent_fencing
                    && let Some(previous) = fencings.last()
                {
                    self.relate(*previous, fencing, relation::ORDERED);
                }
                fencings.push(fencing);
            } else if self.nodes[node].kind == NodeKind::Remote {
            } else if self.nodes[node].online && self.nodes[node].shutdown {
                let shutdown = self.shutdown_action(node);
                if is_dc {
                    dc_down = Some(shutdown);
                } else {
                    shutdowns.push(shutdown);
                }
            } else if unclean {
                self.warn_unfenceable(node);
            }
        }
        let Some(dc_down) = dc_down else {
            return;
        };
        if self.actions[dc_down].task == "do_shutdown" {
            for shutdown in shutdowns.iter().rev() {
                self.relate(*shutdown, dc_down, relation::ORDERED);
            }
        }
        let before: Vec<ActId> = if self.options.concurrent_fencing {
            fencings.iter().rev().copied().collect()
        } else {
            fencings.last().copied().into_iter().collect()
        };
        for fencing in before {
            self.relate(fencing, dc_down, relation::ORDERED);
        }
    }

    fn is_managed(&self, rsc: RscId) -> bool {
        self.rscs[rsc].flags.managed
            || self.rscs[rsc]
                .children
                .iter()
                .any(|child| self.is_managed(*child))
    }

    fn warn_unfenceable(&mut self, node: NodeId) {
        let why = if !self.options.fencing {
            "fencing is disabled, so nothing guarantees that its resources are not running twice"
        } else if !self.have_fencing_device {
            "no fence device is configured"
        } else {
            "this partition has no quorum"
        };
        let name = &self.nodes[node].name;
        self.warnings.push(format!(
            "node {name} is unclean but cannot be fenced: {why}"
        ));
    }

    pub(crate) fn order_resource_after_fencing(
        &mut self,
        rsc: RscId,
        fencing: ActId,
        node: NodeId,
    ) {
        if !self.rscs[rsc].children.is_empty() {
            for child in self.rscs[rsc].children.clone() {
                self.order_resource_after_fencing(child, fencing, node);
            }
        } else if self.rscs[rsc].flags.managed {
            self.order_starts_after_fencing(rsc, fencing, node);
            self.imply_stops_by_fencing(rsc, fencing, node);
        }
    }

    fn order_starts_after_fencing(&mut self, rsc: RscId, fencing: ActId, node: NodeId) {
        for id in self.rscs[rsc].actions.clone().into_iter().rev() {
            match self.actions[id].needs {
                Requires::Nothing => {}
                Requires::Fencing => {
                    self.relate(fencing, id, relation::ORDERED);
                }
                Requires::Quorum => {
                    // It may be active there unnoticed.
                    let unknown =
                        self.rscs[rsc].allowed.get(node).is_some() && !self.is_known_on(rsc, node);
                    if self.actions[id].task == "start" && unknown {
                        let kind = relation::ORDERED | relation::UNRUNNABLE_FIRST_BLOCKS;
                        self.relate(fencing, id, kind);
                    }
                }
            }
        }
    }

    fn is_known_on(&self, rsc: RscId, node: NodeId) -> bool {
        let r = &self.rscs[rsc];
        r.known_on.contains(&node)
            || r.parent.is_some_and(|parent| {
                self.is_anonymous_clone(parent) && self.rscs[parent].known_on.contains(&node)
            })
    }

    /// Stops on a fenced node are done by the fencing.
    fn imply_stops_by_fencing(&mut self, rsc: RscId, fencing: ActId, node: NodeId) {
        let waits = self.rscs[rsc].flags.needs_fencing || self.is_guest(node);
        let bundled = self.bundle_of(rsc).is_some();
        let stops = self.find_actions(rsc, "stop", 0, Some(node));
        let top = self.top_of(rsc);
        let parent_stop = (waits && !stops.is_empty())
            .then(|| self.first_action(top, "stop", None))
            .flatten();
        for stop in stops {
            self.actions[stop].flags |= flag::PSEUDO | flag::RUNNABLE;
            if waits {
                if !bundled {
                    self.relate(fencing, stop, relation::INTERNAL);
                }
                if let Some(parent_stop) = parent_stop {
                    self.relate(fencing, parent_stop, relation::INTERNAL);
                }
            }
            if self.rscs[rsc].flags.notify {
                self.notify_after_fencing(stop, rsc, fencing);
            }
        }
        for demote in self.find_actions(rsc, "demote", 0, Some(node)) {
            if self.nodes[node].alive() && !self.rscs[rsc].flags.failed {
                continue;
            }
            self.actions[demote].flags |= flag::PSEUDO | flag::RUNNABLE;
            if waits && !bundled {
                self.relate(fencing, demote, relation::INTERNAL | relation::ORDERED);
            }
        }
    }

    /// Probes and starts of what needs unfencing wait for it; a node never unfenced is
    /// (Pacemaker pcmk_sched_fencing.c:pcmk__order_vs_unfence).
    pub(crate) fn order_after_unfencing(
        &mut self,
        rsc: RscId,
        node: NodeId,
        action: ActId,
        kind: u32,
    ) {
        let flags = self.rscs[rsc].flags;
        let device = flags.fence_device && self.options.unfencing;
        if !device && !flags.needs_unfencing {
            return;
        }
        let unfence = self.fencing_op(node, Some("on"), true, None, false);
        self.relate(unfence, action, kind);
        let n = &self.nodes[node];
        let unfenced = n.attrs.get("#node-unfenced").is_some_and(|v| v != "0");
        if !unfenced && self.options.unfencing && n.alive() && !n.shutdown {
            let task = &self.actions[action].task;
            let reason = format!("required by {} {task}", self.rscs[rsc].id);
            self.fencing_op(node, Some("on"), false, Some(&reason), false);
        }
    }

    /// Unfencing a node restarts what needs it there
    /// (Pacemaker pcmk_sched_fencing.c:pcmk__order_restart_vs_unfence).
    pub(crate) fn order_restart_around_unfencing(&mut self, rsc: RscId, node: NodeId) {
        let unfence = self.fencing_op(node, Some("on"), true, None, false);
        let kind = relation::ORDERED | relation::IF_ON_SAME_NODE;
        self.order_op_then(rsc, "stop", unfence, kind);
        let kind = relation::FIRST_IMPLIES_SAME_NODE_THEN | relation::IF_ON_SAME_NODE;
        self.order_action_then(unfence, rsc, "start", kind);
    }

    /// The clean leave of a node, after the stops on it
    /// (Pacemaker pcmk_sched_actions.c:pcmk__new_shutdown_action).
    fn shutdown_action(&mut self, node: NodeId) -> ActId {
        let key = format!("do_shutdown-{}", self.nodes[node].name);
        let id = self.singleton(&key, "do_shutdown", Some(node), flag::RUNNABLE);
        self.actions[id].meta.insert("op_no_wait", "true");
        for stop in (0..self.actions.len()).rev() {
            let action = &self.actions[stop];
            let Some(rsc) = action.rsc else {
                continue;
            };
            let flags = self.rscs[rsc].flags;
            if action.node != Some(node)
                || action.task != "stop"
                || flags.maintenance
                || self.nodes[node].maintenance
                || !(flags.managed || flags.blocked)
            {
                continue;
            }
            self.actions[stop].flags &= !flag::OPTIONAL;
            let first = self.order_end(stop);
            let then = OrderEnd {
                rsc: None,
                task: "do_shutdown".into(),
                interval_ms: 0,
                action: Some(id),
            };
            let kind = relation::ORDERED | relation::UNRUNNABLE_FIRST_BLOCKS;
            self.order(first, then, kind);
        }
        id
    }
}
