//! Alone of two, without fencing: is the other node dead, or only deaf (R11, ruling 11)?
//!
//! Heartbeats say nothing of it any more, but the wire does. Before anything is taken over, every
//! floating address that is not here and every address of the silent node itself is asked for, by
//! ARP or neighbour solicitation and by echo, and listened to for the detection timeout. One answer,
//! and nothing is taken over: then the way of the heartbeats is broken, not the node.

use super::app::{App, Own};
use super::reports::NodeReport;
use crate::transport::boottime_ms;
use crate::vip::lease::address_of;
use crate::vip::listen::{Question, first_answer};
use scheduler::{ActionKind, Plan};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// What is known of the silent node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nobody has asked, and nobody needs to.
    #[default]
    Unasked,
    /// Asked; the answer to this round comes.
    Asking(u64),
    /// Nobody answered for the detection timeout.
    Clear,
    /// Somebody answered; asked again after this time.
    Answered { again_ms: u64 },
}

impl App {
    /// Alone of two without proof that the other is gone, or no longer.
    pub(super) fn restriction_changed(&mut self, restricted: bool, mut why: String) {
        self.notices.clear(RESTRICTED);
        self.standing.restricted = restricted;
        if self.needs_silence() {
            why = format!("{why}; {NOT_COVERED}");
        }
        if restricted {
            self.notice(RESTRICTED, why);
        }
        self.silence_changed();
        self.absence_changed();
    }

    /// Alone of two where no fencing can give certainty.
    pub(super) fn needs_silence(&self) -> bool {
        self.standing.restricted && !self.fencing_enabled()
    }

    /// The other node may be taken for gone.
    pub(super) fn is_silent(&self) -> bool {
        self.silence == Silence::Clear
    }

    /// Resources that run on nodes which are no members any more, by their last reports.
    pub(super) fn active_on_the_absent(&self) -> BTreeSet<String> {
        let members = &self.standing.view.members;
        let absent = self.peers.names.keys().filter(|node| {
            **node != self.me.node && members.iter().all(|m| m.identity.node != **node)
        });
        let reports = absent.filter_map(|node| self.reports.of(*node));
        reports.flat_map(NodeReport::active).collect()
    }

    /// This node came to be alone, or is no longer.
    pub(super) fn silence_changed(&mut self) {
        if self.needs_silence() {
            if self.silence == Silence::Unasked {
                self.ask_the_wire();
            }
        } else if self.silence != Silence::Unasked {
            self.silence = Silence::Unasked;
            self.notices.clear(ANSWERS);
        }
    }

    pub(super) fn silence_timeout_ms(&self) -> Option<u64> {
        match self.silence {
            Silence::Answered { again_ms } => Some(again_ms),
            _ => None,
        }
    }

    pub(super) fn silence_on_time(&mut self, now_ms: u64) {
        if self.silence_timeout_ms().is_some_and(|at| now_ms >= at) {
            self.ask_the_wire();
        }
    }

    fn ask_the_wire(&mut self) {
        self.silence_round += 1;
        let round = self.silence_round;
        self.silence = Silence::Asking(round);
        let questions = self.questions();
        let listen = Duration::from_micros(self.t_fail_us);
        let own = self.own.clone();
        tokio::task::spawn_blocking(move || {
            let heard = first_answer(&questions, listen);
            // The loop has ended: so has the need to know.
            let _ = own.blocking_send(Own::Silence { round, heard });
        });
    }

    /// What a living node would answer for: its own addresses, and those that it may hold.
    fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        for link in &self.peers.links {
            for (node, address) in &link.peers {
                questions.push(Question {
                    ip: address.ip(),
                    whose: self.peers.name(*node),
                    device: None,
                });
            }
        }
        for (vip, request) in self.leases.configured() {
            let Some(ip) = address_of(request) else {
                continue;
            };
            if self.local.vip.present(&[ip]).is_empty() {
                questions.push(Question {
                    ip,
                    whose: vip.clone(),
                    device: self.local.vip.device_of(request),
                });
            }
        }
        questions
    }

    /// The wire was listened to.
    pub(super) fn wire_heard(
        &mut self,
        round: u64,
        heard: Result<Option<(String, IpAddr)>, String>,
    ) {
        if self.silence != Silence::Asking(round) {
            return;
        }
        let text = match heard {
            Ok(None) => {
                self.notices.clear(ANSWERS);
                tracing::warn!(
                    "nobody answers for the other node's addresses: it is taken for gone"
                );
                self.silence = Silence::Clear;
                self.check_leases();
                return self.absence_changed();
            }
            Ok(Some((whose, ip))) => format!(
                "the other node's heartbeats are not heard, but {ip} ({whose}) answers: it lives, and nothing is taken over; repair the way of the heartbeats (UDP and TCP port {}). A third node or a fence device would give certainty",
                self.conf.first_port()
            ),
            Err(why) => format!(
                "the other node's heartbeats are not heard, and whether it lives could not be asked ({why}): nothing is taken over"
            ),
        };
        self.notice(ANSWERS, text);
        let again_ms = boottime_ms() + ASK_AGAIN_MS;
        self.silence = Silence::Answered { again_ms };
    }
}

/// Alone of two, while the silent node may live: what may run there is not started here, nor
/// anything that was to follow it. An input that is no longer in the graph would count as met.
pub(super) fn withhold(plan: &mut Plan, active: &BTreeSet<String>) {
    let mut dropped = BTreeSet::new();
    loop {
        let before = dropped.len();
        for synapse in &plan.graph.synapses {
            let action = &synapse.action;
            let starts = matches!(action.operation.as_str(), "start" | "promote");
            let there = action
                .resource
                .as_ref()
                .is_some_and(|r| active.contains(&r.id));
            let follows = synapse.inputs.iter().any(|input| dropped.contains(input));
            if follows || (starts && there && action.kind == ActionKind::Rsc) {
                dropped.insert(action.id);
            }
        }
        if dropped.len() == before {
            break;
        }
    }
    plan.graph
        .synapses
        .retain(|s| !dropped.contains(&s.action.id));
    let agents = |s: &scheduler::Synapse| s.action.kind != ActionKind::Pseudo;
    if !plan.graph.synapses.iter().any(agents) {
        plan.graph.synapses.clear();
    }
}

/// Word of the notice that this node is alone without proof.
const RESTRICTED: &str = "restricted";
/// What no rule covers then (ruling 11).
const NOT_COVERED: &str = "a cut that hides the two from each other, while clients reach both, \
    looks the same: then both answer for a floating address until they meet again. A third node or \
    a fence device would give certainty";
/// Word of the notice about a silent node that answers all the same.
const ANSWERS: &str = "peer-answers";
/// Between two rounds, in milliseconds.
const ASK_AGAIN_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use scheduler::{Action, ActionResource, Synapse, Values};
    use std::collections::BTreeMap;

    fn synapse(id: u32, rsc: &str, operation: &str, inputs: &[u32]) -> Synapse {
        let action = Action {
            id,
            kind: ActionKind::Rsc,
            operation: operation.to_owned(),
            key: format!("{rsc}_{operation}_0"),
            internal_key: None,
            node: None,
            router_node: None,
            resource: Some(ActionResource {
                id: rsc.to_owned(),
                long_id: None,
                class: "ocf".to_owned(),
                provider: None,
                kind: "Dummy".to_owned(),
            }),
            interval_ms: 0,
            timeout_ms: 0,
            start_delay_ms: 0,
            target_rc: 0,
            can_fail: false,
            on_fail: String::new(),
            params: BTreeMap::new(),
            meta: Values::default(),
            digest: None,
            reason: None,
        };
        Synapse {
            id,
            priority: 0,
            action,
            inputs: inputs.to_vec(),
        }
    }

    #[test]
    fn what_may_run_on_a_silent_node_is_not_started_nor_what_follows_it() {
        let mut plan = Plan::default();
        plan.graph.synapses = vec![
            synapse(1, "web", "start", &[2]),
            synapse(2, "ip", "start", &[]),
            synapse(3, "own", "start", &[]),
            synapse(4, "web", "monitor", &[1]),
        ];
        withhold(&mut plan, &BTreeSet::from(["ip".to_owned()]));
        let left: Vec<u32> = plan.graph.synapses.iter().map(|s| s.action.id).collect();
        assert_eq!(left, [3]);
    }
}
