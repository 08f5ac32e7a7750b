//! Finding out what runs where: one-time monitors of unknown resources, and what must wait for
//! them (Pacemaker pcmk_sched_probes.c).

use crate::action::{Relation, flag};
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::relation;
use crate::node::ProbeMode;
use crate::resource::{Role, Variant};

impl Cluster<'_> {
    /// Probes on every node that can be asked.
    pub(crate) fn schedule_probes(&mut self) {
        for node in 0..self.nodes.len() {
            if !self.nodes[node].online && self.is_failed_remote(node) {
                self.fence_node(node, "the connection is unrecoverable", false);
            }
            if !self.nodes[node].alive() || !self.nodes[node].discovery {
                continue;
            }
            for rsc in self.top.clone() {
                self.create_probe(rsc, node);
            }
        }
    }

    /// A probe of a resource on a node, if its state there is not known.
    pub(crate) fn create_probe(&mut self, rsc: RscId, node: NodeId) -> bool {
        if self.no_probe_on_remote(rsc, node) {
            return false;
        }
        match self.rscs[rsc].variant {
            Variant::Clone => return self.probe_clone(rsc, node),
            Variant::Bundle => return self.probe_bundle(rsc, node),
            _ => {}
        }
        if self.rscs[rsc].variant == Variant::Group {
            let mut any = false;
            for child in self.rscs[rsc].children.clone() {
                any |= self.create_probe(child, node);
            }
            return any;
        }
        let r = &self.rscs[rsc];
        let contained = r.container.is_some() && r.remote_name.is_none();
        if contained || r.flags.removed || r.known_on.contains(&node) {
            return false;
        }
        let mut top = self.top_of(rsc);
        let allowed = r.allowed.get(node);
        let exclusive = r.flags.exclusive_probes || self.rscs[top].flags.exclusive_probes;
        let unlisted = self.nodes[node].bundled.then_some(ProbeMode::Never);
        let mode = allowed.map(|weight| weight.probe).or(unlisted);
        if (exclusive && mode != Some(ProbeMode::Exclusive)) || mode == Some(ProbeMode::Never) {
            return false;
        }
        if self.no_probe_in_guest(rsc, top, node) {
            return false;
        }
        let probe = self.action(rsc, "monitor", 0, Some(node), false);
        self.actions[probe].flags &= !flag::OPTIONAL;
        self.order_after_unfencing(rsc, node, probe, relation::ORDERED);
        self.expect_current_state(probe, rsc, node);
        if !self.is_clone(top) {
            top = rsc;
        }
        let mut kind = relation::ORDERED;
        if !self.actions[probe].is(flag::RUNNABLE) && self.rscs[top].active.is_empty() {
            // What cannot be found out prevents a start, but stops nothing.
            kind |= relation::UNRUNNABLE_FIRST_BLOCKS;
        }
        self.order_action_then(probe, top, "start", kind);
        self.order_action_then(probe, top, "reload-agent", relation::ORDERED);
        true
    }

    fn expect_current_state(&mut self, probe: ActId, rsc: RscId, node: NodeId) {
        let r = &self.rscs[rsc];
        let expected = if !r.active.contains(&node) {
            "7"
        } else if r.role == Role::Promoted {
            "8"
        } else {
            return;
        };
        self.expect_exit_code(probe, expected);
    }

    /// Probes come before restarts, and before what waits for stops.
    pub(crate) fn order_probes(&mut self) {
        for rsc in self.top.clone() {
            self.order_restarts_after_probes(rsc);
        }
        self.order_probes_like_stops();
    }

    fn order_restarts_after_probes(&mut self, rsc: RscId) {
        if !self.is_primitive(rsc) {
            for child in self.rscs[rsc].children.clone() {
                self.order_restarts_after_probes(child);
            }
            return;
        }
        let mut tracked = Vec::new();
        for probe in self.find_actions(rsc, "monitor", 0, None) {
            // What is added on the way needs no look.
            for index in (0..self.actions[probe].after.len()).rev() {
                let Relation { action, kind } = self.actions[probe].after[index];
                self.order_instances_after_probe(probe, action, kind);
                self.order_restart_after_probe(probe, action, &mut tracked);
                for id in tracked.drain(..) {
                    self.actions[id].flags &= !flag::TRACKED;
                }
            }
        }
    }

    /// Inactive instances of a clone wait for probes that cannot run
    /// (Pacemaker add_start_orderings_for_probe).
    fn order_instances_after_probe(&mut self, probe: ActId, after: ActId, kind: u32) {
        let Some(clone) = self.actions[after].rsc else {
            return;
        };
        let probed = self.actions[probe].rsc.map(|rsc| self.top_of(rsc));
        if !self.is_clone(clone)
            || self.actions[probe].is(flag::RUNNABLE)
            || kind & relation::UNRUNNABLE_FIRST_BLOCKS != 0
            || probed != Some(clone)
            || self.actions[after].task != "start"
        {
            return;
        }
        for then in self.actions[after].after.clone().iter().rev() {
            let Some(rsc) = self.actions[then.action].rsc else {
                continue;
            };
            if self.rscs[rsc].active.is_empty()
                && self.top_of(rsc) == clone
                && self.actions[then.action].task == "start"
            {
                let kind = relation::ORDERED | relation::UNRUNNABLE_FIRST_BLOCKS;
                self.relate(probe, then.action, kind);
            }
        }
    }

    /// A start that follows a probe may be a restart: then its stop follows the probe too, and
    /// so on for all that must start again with it
    /// (Pacemaker add_restart_orderings_for_probe).
    fn order_restart_after_probe(&mut self, probe: ActId, after: ActId, tracked: &mut Vec<ActId>) {
        let mut pending = vec![after];
        while let Some(after) = pending.pop() {
            if self.actions[after].is(flag::TRACKED) {
                continue;
            }
            self.actions[after].flags |= flag::TRACKED;
            tracked.push(after);
            self.order_undoing_after_probe(probe, after);
            self.chain_after(probe, after, &mut pending);
        }
    }

    fn order_undoing_after_probe(&mut self, probe: ActId, after: ActId) {
        let Some(rsc) = self.actions[after].rsc else {
            return;
        };
        if !self.is_primitive(rsc) || self.actions[probe].rsc == Some(rsc) {
            return;
        }
        let undo = match self.actions[after].task.as_str() {
            "start" => "stop",
            "promote" => "demote",
            _ => return,
        };
        for then in self.find_actions(rsc, undo, 0, None) {
            if !self.actions[then].is(flag::PSEUDO) {
                self.relate(probe, then, relation::ORDERED);
            }
        }
    }

    /// Adds the actions that must be done again with this one, latest relation last.
    fn chain_after(&self, probe: ActId, after: ActId, chain: &mut Vec<ActId>) {
        let rsc = self.actions[after].rsc;
        let probe_rsc = self.actions[probe].rsc;
        let interleaved = rsc
            .and_then(|rsc| self.rscs[rsc].clone)
            .is_some_and(|c| c.interleave);
        let compatible = match (rsc, probe_rsc) {
            (Some(rsc), Some(probed)) if interleaved => {
                self.compatible_instance(probed, rsc, Role::Unknown, false)
            }
            _ => None,
        };
        let follows = |relation: &&Relation| {
            if relation.kind & relation::FIRST_IMPLIES_THEN != 0 {
                return true;
            }
            // From a collective to its members.
            let (Some(rsc), Some(chained)) = (rsc, self.actions[relation.action].rsc) else {
                return false;
            };
            self.rscs[rsc].variant >= Variant::Group
                && probe_rsc.and_then(|p| self.rscs[p].parent) != Some(rsc)
                && self.rscs[chained].variant <= Variant::Group
                && self.rscs[chained].parent == Some(rsc)
                && (!interleaved || compatible == Some(chained))
        };
        let relations = self.actions[after].after.iter().filter(follows);
        chain.extend(relations.map(|relation| relation.action));
    }

    /// What waits for a stop also waits for a probe that may find that a stop is needed
    /// (Pacemaker add_probe_orderings_for_stops).
    fn order_probes_like_stops(&mut self) {
        for index in 0..self.orderings.len() {
            let order = &self.orderings[index];
            let Some(first_rsc) = order.first.rsc else {
                continue;
            };
            if order.kind == 0
                || order.then.rsc == Some(first_rsc)
                || order.first.task != "stop"
                || order.first.interval_ms != 0
            {
                continue;
            }
            // What is inside a container is probed after the container started again.
            let container = self.rscs[first_rsc].container;
            if container.is_some() && container == order.then.rsc && order.then.task == "stop" {
                continue;
            }
            let probes = self.find_actions(first_rsc, "monitor", 0, None);
            if probes.is_empty() {
                continue;
            }
            let order = self.orderings[index].clone();
            let exact = relation::IF_REQUIRED_ON_SAME_NODE | relation::IF_ON_SAME_NODE_OR_TARGET;
            let kind = if order.kind & !exact == 0 && order.kind.count_ones() == 1 {
                order.kind
            } else {
                let kept = relation::IF_FIRST_UNMIGRATABLE | relation::IF_ON_SAME_NODE;
                relation::ORDERED | (order.kind & kept)
            };
            let thens = match (order.then.action, order.then.rsc) {
                (Some(action), _) => vec![action],
                (None, Some(rsc)) => {
                    self.find_actions(rsc, &order.then.task, order.then.interval_ms, None)
                }
                (None, None) => Vec::new(),
            };
            for probe in probes {
                for then in &thens {
                    let shutdown_elsewhere = self.actions[*then].task == "do_shutdown"
                        && self.actions[*then].node != self.actions[probe].node;
                    // Unfencing comes before the probe.
                    let unfencing = self.actions[*then].uuid.ends_with("-on")
                        && self.actions[*then].task == "stonith";
                    if !shutdown_elsewhere && !unfencing {
                        self.relate(probe, *then, kind);
                    }
                }
            }
        }
    }
}
