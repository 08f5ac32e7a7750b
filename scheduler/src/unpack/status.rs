//! `status`: which nodes are here, and whether they can be trusted.

use crate::cluster::{Cluster, NodeId};
use crate::node::NodeKind;
use crate::options::NoQuorum;
use crate::rule::unpack_nvpairs;
use crate::score::INFINITY;
use crate::text::{is_true, parse_bool};
use crate::utilization::amounts;
use cib::Element;
use std::collections::BTreeMap;

/// What a `node_state` says.
struct NodeState<'a> {
    /// Since when a member; 0 = not, `None` = never seen.
    member: Option<i64>,
    /// Since when its controller is reachable; 0 = not.
    online: i64,
    join: &'a str,
    expected: &'a str,
}

impl<'a> Cluster<'a> {
    /// Pacemaker unpack.c:unpack_status.
    pub(crate) fn unpack_status(&mut self) {
        let Some(status) = self.status else {
            return;
        };
        self.unpack_tickets();
        let states: Vec<(NodeId, &'a Element)> = status
            .all("node_state")
            .filter_map(|state| Some((self.node_of_state(state)?, state)))
            .collect();
        for (node, state) in &states {
            self.unpack_node_state(*node, state);
        }
        // Without fencing nothing is known to run on a node that is not here.
        self.unpack_histories(&states);
    }

    fn node_of_state(&self, state: &Element) -> Option<NodeId> {
        let by_id = state
            .id()
            .and_then(|id| self.nodes.iter().position(|n| n.id == id));
        by_id.or_else(|| {
            let name = state.attr("uname")?;
            self.nodes
                .iter()
                .position(|n| n.name.eq_ignore_ascii_case(name))
        })
    }

    fn unpack_node_state(&mut self, node: NodeId, state: &'a Element) {
        if self.nodes[node].kind != NodeKind::Member {
            // A time; before 1.1.17 a boolean.
            let fenced = state.attr("node_fenced");
            let since = fenced.and_then(|text| text.trim().parse::<i64>().ok());
            self.nodes[node].was_fenced = is_true(fenced) || since.is_some_and(|time| time > 0);
            return;
        }
        self.unpack_transient_attributes(node, state);
        // It has been seen in this cluster's lifetime.
        self.nodes[node].unclean = false;
        self.nodes[node].unseen = false;
        let parsed = NodeState {
            member: self.member_since(state),
            online: online_since(state),
            join: state.attr("join").unwrap_or(""),
            expected: state.attr("expected").unwrap_or("down"),
        };
        self.determine_online(node, &parsed);
        if !self.options.quorate
            && self.nodes[node].online
            && self.options.no_quorum == NoQuorum::Fence
        {
            self.fence_node(node, "cluster does not have quorum", false);
        }
    }

    pub(super) fn unpack_transient_attributes(&mut self, node: NodeId, state: &Element) {
        if let Some(transient) = state.first("transient_attributes") {
            let mut attrs = BTreeMap::new();
            let facts = self.facts();
            unpack_nvpairs(
                self.cib,
                &[transient],
                "instance_attributes",
                &facts,
                &mut attrs,
            );
            let mut capacity = BTreeMap::new();
            unpack_nvpairs(self.cib, &[transient], "utilization", &facts, &mut capacity);
            self.nodes[node].attrs.extend(attrs);
            self.nodes[node].free.extend(amounts(&capacity));
        }
        let node = &mut self.nodes[node];
        if let Some(since) = state.attr("shutdown") {
            // Our daemon notes it here; an attribute of that name wins.
            let attrs = &mut node.attrs;
            attrs
                .entry("shutdown".to_owned())
                .or_insert_with(|| since.to_owned());
        }
        let set = |name: &str| is_true(node.attrs.get(name).map(String::as_str));
        (node.standby, node.maintenance) = (set("standby"), set("maintenance"));
    }

    /// `in_ccm`: a boolean (before 2.1.7) or a time.
    fn member_since(&self, state: &Element) -> Option<i64> {
        let text = state.attr("in_ccm")?;
        match parse_bool(Some(text)) {
            Some(true) => Some(self.now.max(1)),
            Some(false) => Some(0),
            None => text.parse::<i64>().ok().filter(|time| *time >= 0),
        }
    }

    fn determine_online(&mut self, node: NodeId, state: &NodeState) {
        let shutdown = self.nodes[node].attrs.get("shutdown");
        if shutdown.is_some_and(|value| value != "0") {
            self.nodes[node].shutdown = true;
        } else if state.expected.eq_ignore_ascii_case("member") {
            self.nodes[node].expected_up = true;
        }
        let online = if self.options.fencing {
            self.online_with_fencing(node, state)
        } else {
            self.online_without_fencing(node, state)
        };
        let n = &mut self.nodes[node];
        n.online = online;
        if !online || n.shutdown {
            n.base_score = -INFINITY;
        }
    }

    /// Pacemaker unpack.c:determine_online_status_no_fencing.
    fn online_without_fencing(&mut self, node: NodeId, state: &NodeState) -> bool {
        if state.member.unwrap_or(0) <= 0 {
            return false;
        }
        if state.online > 0 {
            if state.join == "pending" {
                // Its history has not arrived: as with fencing it is neither used nor
                // distrusted, and what is not known about it holds starts back. (Pacemaker
                // calls it offline here, but never schedules before the join is complete.)
                self.mark_pending(node);
                return true;
            }
            return state.join.eq_ignore_ascii_case("member");
        }
        if self.nodes[node].expected_up {
            self.fence_node(node, "peer is unexpectedly down", false);
        }
        false
    }

    /// Pacemaker unpack.c:determine_online_status_fencing.
    fn online_with_fencing(&mut self, node: NodeId, state: &NodeState) -> bool {
        if self.nodes[node].shutdown {
            // A dead peer cannot be asked to leave.
            return state.online > 0;
        }
        let Some(member) = state.member else {
            self.fence_node(node, "peer has not been seen by the cluster", false);
            return false;
        };
        let terminate = self.termination_requested(node);
        if state.join == "banned" {
            self.fence_node(node, "peer failed Pacemaker membership criteria", false);
        } else if terminate {
            if member <= 0 && state.online <= 0 && state.join == "down" {
                return false;
            }
            self.fence_node(node, "fencing was requested", false);
        } else if state.expected == "down" {
            self.coming_up(node, state, member);
        } else if member <= 0 {
            self.fence_node(node, "peer is no longer part of the cluster", true);
        } else if state.online <= 0 {
            self.fence_node(node, "peer process is no longer available", false);
        } else if state.join == "pending" || state.join == "down" {
            self.mark_pending(node);
        } else if state.join != "member" {
            self.fence_node(node, "peer was in an unknown state", false);
        }
        member > 0
    }

    fn coming_up(&mut self, node: NodeId, state: &NodeState, member: i64) {
        let timeout_s = i64::try_from(self.options.node_pending_timeout_ms / 1000).unwrap_or(0);
        if timeout_s > 0 && member > 0 && state.online <= 0 {
            if self.now >= member.saturating_add(timeout_s) {
                let reason = "peer pending timed out on joining the process group";
                self.fence_node(node, reason, false);
                return;
            }
            self.recheck(member.saturating_add(timeout_s));
        }
        if member > 0 || state.online > 0 {
            self.mark_pending(node);
        }
    }

    fn mark_pending(&mut self, node: NodeId) {
        self.nodes[node].standby = true;
        self.nodes[node].pending = true;
    }

    fn termination_requested(&self, node: NodeId) -> bool {
        self.nodes[node]
            .attrs
            .get("terminate")
            .is_some_and(|value| match parse_bool(Some(value)) {
                Some(flag) => flag,
                None => value.parse::<i64>().is_ok_and(|time| time > 0),
            })
    }
}

/// `crmd`: `online`/`offline` (before 2.1.7) or a time.
fn online_since(state: &Element) -> i64 {
    match state.attr("crmd") {
        Some(text) if text.eq_ignore_ascii_case("online") => 1,
        Some(text) => text.parse::<i64>().ok().filter(|t| *t >= 0).unwrap_or(0),
        None => 0,
    }
}
