//! What happens behind connections to remote and guest nodes, and in which order
//! (Pacemaker pcmk_sched_remote.c; Pacemaker Remote).

use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::{OrderEnd, relation};
use crate::node::NodeKind;
use crate::resource::{Role, Variant};

/// What can be said of a remote node through its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Unknown,
    Alive,
    Resting,
    Failed,
    Stopped,
}

impl Cluster<'_> {
    /// Whether a node is the inside of a resource.
    pub(crate) fn is_guest(&self, node: NodeId) -> bool {
        self.container_of(node).is_some()
    }

    /// Whether a node runs the remote daemon on its own machine.
    pub(crate) fn is_remote(&self, node: NodeId) -> bool {
        self.nodes[node].kind == NodeKind::Remote && !self.is_guest(node)
    }

    /// The resource that a guest node is the inside of.
    pub(crate) fn container_of(&self, node: NodeId) -> Option<RscId> {
        self.rscs[self.nodes[node].connection?].container
    }

    /// Whether a resource is, or has inside, a guest node.
    pub(crate) fn contains_guest(&self, rsc: RscId) -> Option<RscId> {
        self.rscs[rsc]
            .fillers
            .iter()
            .copied()
            .find(|filler| self.rscs[*filler].remote_name.is_some())
    }

    /// The cluster node behind a guest; any other node itself.
    pub(crate) fn host_of(&self, node: NodeId) -> NodeId {
        self.container_of(node)
            .and_then(|container| {
                let r = &self.rscs[container];
                if r.flags.unassigned {
                    self.current_node(container)
                } else {
                    r.assigned.or_else(|| self.current_node(container))
                }
            })
            .unwrap_or(node)
    }

    /// Pacemaker pcmk_sched_remote.c:get_remote_node_state.
    pub(crate) fn link_state(&self, node: NodeId) -> Link {
        let Some(connection) = self.nodes[node].connection else {
            return Link::Unknown;
        };
        let r = &self.rscs[connection];
        let host = self.current_node(connection);
        let host_is =
            |test: fn(&crate::node::Node) -> bool| host.is_some_and(|host| test(&self.nodes[host]));
        if r.next_role == Role::Stopped || r.assigned.is_none() {
            if host_is(|n| n.unclean) {
                return Link::Failed;
            }
            if !r.flags.failed {
                return Link::Stopped;
            }
            let n = &self.nodes[node];
            let waits = r.next_role == Role::Stopped && r.reconnect_ms > 0;
            let leaves = n.attrs.get("shutdown").is_some_and(|since| since != "0");
            return if waits && n.was_fenced && !leaves {
                Link::Unknown
            } else {
                Link::Failed
            };
        }
        if host.is_none() {
            return Link::Unknown;
        }
        let migrating = r.partial_source.is_some() && r.partial_target.is_some();
        if host_is(|n| !n.alive()) || (r.active.len() > 1 && migrating) {
            return Link::Resting;
        }
        Link::Alive
    }

    /// Whether a remote node can only be reached again by fencing it.
    pub(crate) fn is_failed_remote(&self, node: NodeId) -> bool {
        self.is_remote(node)
            && self.nodes[node].connection.is_some()
            && self.link_state(node) == Link::Failed
    }

    /// A connection has got its node, or none
    /// (Pacemaker pcmk_sched_primitive.c:remote_connection_assigned).
    pub(crate) fn connection_assigned(&mut self, rsc: RscId) {
        let Some(node) = self.find_node(&self.rscs[rsc].id.clone()) else {
            return;
        };
        let r = &self.rscs[rsc];
        let comes_up = r.assigned.is_some() && r.next_role != Role::Stopped;
        let n = &mut self.nodes[node];
        if comes_up {
            n.online = true;
            if n.unseen {
                // Connecting will tell whether it must be fenced.
                n.unclean = false;
            }
        } else {
            n.shutdown = true;
        }
    }

    /// Pacemaker pcmk_sched_remote.c:pcmk__order_remote_connection_actions.
    pub(crate) fn order_remote_actions(&mut self) {
        if !self.nodes.iter().any(|n| n.kind == NodeKind::Remote) {
            return;
        }
        for id in (0..self.actions.len()).rev() {
            let action = &self.actions[id];
            let Some(rsc) = action.rsc else {
                continue;
            };
            if self.rscs[rsc].remote_name.is_some() && action.task == "clear_failcount" {
                self.order_action_then(id, rsc, "start", relation::ORDERED);
                continue;
            }
            let Some(node) = action.node else {
                continue;
            };
            let Some(connection) = self.nodes[node].connection else {
                continue;
            };
            if action.task == "start" {
                self.order_stops_elsewhere(rsc, node, connection);
            }
            match self.rscs[connection].container {
                Some(container) => self.order_behind_guest(id, node, connection, container),
                None => self.order_behind_remote(id, node, connection),
            }
        }
    }

    /// If the connection fails to start, what moves there stays where it was.
    fn order_stops_elsewhere(&mut self, rsc: RscId, node: NodeId, connection: RscId) {
        for stop in self.rscs[rsc].actions.clone().into_iter().rev() {
            let action = &self.actions[stop];
            if action.task == "stop" && action.node != Some(node) {
                self.order_op_then(connection, "start", stop, relation::ORDERED);
            }
        }
    }

    fn order_start_then(&mut self, first: RscId, id: ActId, more: u32) {
        let kind = relation::INTERNAL | relation::UNRUNNABLE_FIRST_BLOCKS | more;
        self.order_op_then(first, "start", id, kind);
    }

    fn order_then_stop(&mut self, id: ActId, then: RscId, more: u32) {
        self.order_action_then(id, then, "stop", relation::INTERNAL | more);
    }

    fn is_recurring(&self, id: ActId) -> bool {
        self.actions[id].meta.contains_key("interval")
    }

    /// Pacemaker pcmk_sched_remote.c:apply_remote_ordering.
    fn order_behind_remote(&mut self, id: ActId, node: NodeId, connection: RscId) {
        let state = self.link_state(node);
        let task = self.actions[id].task.clone();
        match task.as_str() {
            "start" | "promote" => {
                let more = if state == Link::Failed {
                    relation::FIRST_IMPLIES_THEN
                } else {
                    0
                };
                self.order_start_then(connection, id, more);
            }
            "stop" | "migrate_to" | "migrate_from" => {
                let goes = self.rscs[connection].next_role == Role::Stopped;
                if state == Link::Failed {
                    let reason = "resources are active but connection is unrecoverable";
                    self.fence_node(node, reason, false);
                } else if state == Link::Alive || goes {
                    self.order_then_stop(id, connection, relation::THEN_IMPLIES_FIRST);
                } else {
                    self.order_start_then(connection, id, 0);
                }
            }
            "demote" => {
                if matches!(state, Link::Resting | Link::Unknown) {
                    self.order_start_then(connection, id, 0);
                }
            }
            _ if self.is_recurring(id) => {
                self.order_start_then(connection, id, relation::FIRST_IMPLIES_THEN);
            }
            _ => {
                if task == "monitor" && state == Link::Failed {
                    let reason = "resources are in unknown state and connection is unrecoverable";
                    self.fence_node(node, reason, false);
                }
                if state == Link::Stopped && self.current_node(connection).is_some() {
                    let kind = relation::UNRUNNABLE_FIRST_BLOCKS;
                    self.order_then_stop(id, connection, kind);
                } else {
                    self.order_start_then(connection, id, 0);
                }
            }
        }
    }

    /// Pacemaker pcmk_sched_remote.c:apply_launcher_ordering.
    fn order_behind_guest(&mut self, id: ActId, node: NodeId, connection: RscId, container: RscId) {
        let failed = self.rscs[container].flags.failed;
        if failed {
            self.fence_node(node, "container failed", false);
        }
        let task = self.actions[id].task.clone();
        match task.as_str() {
            "start" | "promote" => {
                self.order_start_then(container, id, relation::FIRST_IMPLIES_THEN);
                self.order_start_then(connection, id, 0);
            }
            "stop" | "demote" | "migrate_to" | "migrate_from" => {
                // The stop of a failed container stops all inside.
                if !failed {
                    self.order_then_stop(id, connection, 0);
                }
            }
            _ if self.is_recurring(id) => {
                if matches!(task.as_str(), "monitor" | "notify") {
                    self.order_start_then(connection, id, relation::FIRST_IMPLIES_THEN);
                }
            }
            _ => self.order_start_then(connection, id, 0),
        }
    }

    /// A guest is fenced by recovering what contains it; the rest of the plan refers to a
    /// pseudo fencing (Pacemaker pcmk_sched_fencing.c:pcmk__fence_guest).
    pub(crate) fn fence_guest(&mut self, node: NodeId) {
        let Some(connection) = self.nodes[node].connection else {
            return;
        };
        let container = self.rscs[connection].container;
        let find = |cluster: &Self, task: &str| {
            container.and_then(|container| cluster.first_action(container, task, None))
        };
        let stop = find(self, "stop");
        let how = if find(self, "start").is_some() {
            "reboot"
        } else {
            "off"
        };
        let fencing = self.fencing_op(node, Some(how), false, Some("guest is unclean"), false);
        self.actions[fencing].flags |= flag::PSEUDO | flag::RUNNABLE;
        let kind = relation::UNRUNNABLE_FIRST_BLOCKS | relation::FIRST_IMPLIES_THEN;
        match stop {
            Some(stop) if self.actions[stop].is(flag::PSEUDO) => {
                if let Some(host) = self.actions[stop].node {
                    let parent = self.fencing_op(host, None, false, None, false);
                    self.relate(parent, fencing, kind);
                }
            }
            Some(stop) => {
                self.relate(stop, fencing, kind);
            }
            None => {
                if let Some(stop) = self.first_action(connection, "stop", None) {
                    self.relate(stop, fencing, relation::ORDERED);
                }
            }
        }
        for rsc in self.top.clone() {
            self.order_resource_after_fencing(rsc, fencing, node);
        }
    }

    /// The cluster node whose executor runs an action on a remote node
    /// (Pacemaker pcmk_sched_remote.c:pcmk__connection_host_for_action).
    pub(crate) fn router_of(&self, id: ActId) -> Option<NodeId> {
        let action = &self.actions[id];
        let connection = self.nodes[action.node?].connection?;
        // The controller that coordinates does these, not an executor.
        if matches!(action.task.as_str(), "lrm_delete" | "stonith") {
            return None;
        }
        let r = &self.rscs[connection];
        let (began, ended) = (self.current_node(connection), r.assigned);
        let (Some(began), Some(ended)) = (began, ended) else {
            return began.or(ended);
        };
        let partial = r.container.is_none() && r.partial_target.is_some();
        let task = match action.task.as_str() {
            "notify" => action.meta.get("notify_operation").unwrap_or_default(),
            task => task,
        };
        let before = matches!(
            task,
            "cancel" | "stop" | "demote" | "migrate_from" | "migrate_to"
        );
        Some(if before && !partial { began } else { ended })
    }

    /// Connections and devices never run behind a connection, nor guests inside guests
    /// (part of Pacemaker pcmk_sched_primitive.c:pcmk__primitive_internal_constraints).
    pub(crate) fn container_constraints(&mut self, rsc: RscId) {
        let r = &self.rscs[rsc];
        let connects = r.remote_name.is_some();
        let (fence_device, nesting) = (r.flags.fence_device, r.flags.remote_nesting);
        if let Some(container) = r.container {
            if connects && !nesting {
                self.avoid_remote_nodes(container);
            }
            if connects {
                self.order_ops(container, "monitor", rsc, "stop", relation::ORDERED);
            }
            let inside = if connects {
                None
            } else if self.rscs[container].remote_name.is_some() {
                Some(container)
            } else {
                self.contains_guest(container)
            };
            match inside {
                Some(connection) => self.force_behind(rsc, connection),
                None => self.tie_to_container(rsc, container, nesting),
            }
        }
        if connects || fence_device {
            self.avoid_remote_nodes(rsc);
        }
    }

    fn avoid_remote_nodes(&mut self, rsc: RscId) {
        for node in self.rscs[rsc].allowed.nodes() {
            if self.nodes[node].connection.is_some() {
                self.set_score(rsc, node, -crate::score::INFINITY);
            }
        }
    }

    fn force_behind(&mut self, rsc: RscId, connection: RscId) {
        for node in self.rscs[rsc].allowed.nodes() {
            if self.nodes[node].connection != Some(connection) {
                self.set_score(rsc, node, -crate::score::INFINITY);
            }
        }
    }

    fn set_score(&mut self, rsc: RscId, node: NodeId, score: i32) {
        if let Some(weight) = self.rscs[rsc].allowed.get_mut(node) {
            weight.score = score;
        }
        self.settle(rsc, "remote", "");
    }

    fn tie_to_container(&mut self, rsc: RscId, container: RscId, nesting: bool) {
        let kind = relation::FIRST_IMPLIES_THEN | relation::UNRUNNABLE_FIRST_BLOCKS;
        self.order_ops(container, "start", rsc, "start", kind);
        let kind = relation::THEN_IMPLIES_FIRST;
        self.order_ops(rsc, "stop", container, "stop", kind);
        // Where containers run on remote nodes, the connection may be elsewhere.
        let score = if nesting {
            10_000
        } else {
            crate::score::INFINITY
        };
        self.new_colocation(crate::constraint::colocation::NewColocation {
            id: "#resource-with-container",
            node_attribute: None,
            score,
            dependent: rsc,
            primary: container,
            dependent_role: None,
            primary_role: None,
            influence: true,
            explicit: false,
        });
    }

    /// Orderings between what runs in a guest and the guest's container make no sense
    /// (Pacemaker pcmk_sched_ordering.c:ordering_is_invalid).
    pub(crate) fn disable_guest_orderings(&mut self) {
        for id in 0..self.actions.len() {
            let Some(rsc) = self.actions[id].rsc else {
                continue;
            };
            if self.rscs[rsc].fillers.is_empty() {
                continue;
            }
            for index in 0..self.actions[id].before.len() {
                let input = self.actions[id].before[index];
                let first = &self.actions[input.action];
                let inside = first.node.and_then(|node| self.container_of(node));
                if input.kind & relation::INTERNAL == 0
                    && first.rsc.is_some()
                    && inside == Some(rsc)
                {
                    self.actions[id].before[index].kind = 0;
                }
            }
        }
    }

    /// Whether nothing can be found out about a resource on a remote node by a probe; the start
    /// is ordered where that matters (part of pcmk_sched_probes.c:pcmk__probe_rsc_on_node).
    pub(crate) fn no_probe_on_remote(&mut self, rsc: RscId, node: NodeId) -> bool {
        if self.nodes[node].kind != NodeKind::Remote {
            return false;
        }
        let r = &self.rscs[rsc];
        let guest_in_guest = self.is_guest(node) && self.contains_guest(rsc).is_some();
        r.flags.fence_device || guest_in_guest || r.remote_name.is_some()
    }

    /// The same, for guests that are not up now.
    pub(crate) fn no_probe_in_guest(&mut self, rsc: RscId, top: RscId, node: NodeId) -> bool {
        debug_assert!(self.rscs[rsc].variant == Variant::Primitive);
        let Some(container) = self.container_of(node) else {
            return false;
        };
        if self.rscs[container].role == Role::Stopped {
            // Nothing runs in it; what starts there waits until that is sure.
            self.order_probe_then_start(container, top);
            return true;
        }
        if self.guest_will_stop(node, container) {
            self.order_ops(container, "stop", top, "start", relation::ORDERED);
            return true;
        }
        false
    }

    /// Whether a guest is about to go down, as far as can be told before actions are made
    /// (Pacemaker pcmk_sched_probes.c:guest_resource_will_stop).
    fn guest_will_stop(&self, node: NodeId, container: RscId) -> bool {
        let (n, r) = (&self.nodes[node], &self.rscs[container]);
        let moves = r.role > Role::Stopped && r.assigned.is_some_and(|to| !r.active.contains(&to));
        n.remote_reset || n.unclean || r.flags.failed || r.next_role == Role::Stopped || moves
    }

    /// Pacemaker pcmk_sched_probes.c:probe_then_start.
    pub(crate) fn order_probe_then_start(&mut self, probed: RscId, top: RscId) {
        let r = &self.rscs[probed];
        if r.assigned.is_some_and(|node| !r.known_on.contains(&node)) {
            let (first, then) = (OrderEnd::op(probed, "monitor"), OrderEnd::op(top, "start"));
            self.order(first, then, relation::ORDERED);
        }
    }
}
