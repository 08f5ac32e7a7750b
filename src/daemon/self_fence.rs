//! `no-quorum-policy=fence` (its old name: `suicide`): a node that had quorum and lost it has itself
//! killed, as Pacemaker's partition does. Nobody commits an intent there, and nobody needs a
//! certificate: whoever has the quorum fences for itself before it takes anything over. So there is
//! time to see whether the quorum is lost or only between two coordinators.

use super::app::{App, Own};
use crate::fencing::FenceOutcome;
use crate::transport::boottime_ms;
use cib::Element;

/// What this process did about the quorum it lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SelfFence {
    /// Without it a node that starts alone would have itself killed again and again.
    had_quorum: bool,
    /// An agent runs.
    under_way: bool,
    /// Since the quorum was lost.
    tries: u64,
    next_try_ms: u64,
}

/// How long, in milliseconds, a quorum must be lost before this node has itself killed, with the
/// detection timeout in microseconds. What runs here is stopped at once; but a machine that stood
/// still for a moment makes all nodes at once ask who is there, and Pacemaker acts only when those
/// who are left have agreed on a membership.
pub(super) fn patience_ms(t_fail_us: u64) -> u64 {
    LOST_MS_MIN.max(2 * t_fail_us / 1_000)
}

impl SelfFence {
    /// This partition has quorum.
    pub(super) fn quorum_gained(&mut self) {
        self.had_quorum = true;
        self.tries = 0;
        self.next_try_ms = 0;
    }

    /// It had quorum until now, and is killed if there is none at `due_ms`.
    pub(super) fn quorum_lost(&mut self, due_ms: u64) {
        self.next_try_ms = due_ms;
    }

    fn is_due(&self, now_ms: u64, tries_max: u64) -> bool {
        self.had_quorum && !self.under_way && self.tries < tries_max && now_ms >= self.next_try_ms
    }
}

impl App {
    /// Has this node killed where the policy wants it; what runs here is being stopped meanwhile, for
    /// a device may be out of reach.
    pub(super) fn fence_self_on_time(&mut self, now_ms: u64) {
        let tries_max = self.option("stonith-max-attempts");
        let tries_max = tries_max.and_then(|v| v.parse().ok()).unwrap_or(TRIES_MAX);
        let due = self.duty.self_fence.is_due(now_ms, tries_max);
        // A node that is to be stopped leaves; and without fencing the policy means `stop`.
        if !due || self.stopping.is_some() || !self.fencing_enabled() {
            return;
        }
        self.duty.self_fence.under_way = true;
        self.duty.self_fence.tries += 1;
        let name = self.peers.name(self.me.node);
        let how = match self.option("stonith-action").as_deref() {
            Some("off" | "poweroff") => "off",
            _ => "reboot",
        };
        let text = format!(
            "{name} lost its quorum: no-quorum-policy wants it killed, so it has itself fenced ({how})"
        );
        self.notice("self-fencing", text);
        let (request, devices) = self.fence_request(self.me.node, how);
        let (fencer, own) = (self.local.fencer.clone(), self.own.clone());
        tokio::spawn(async move {
            let outcome = fencer.fence(&request, &devices).await;
            // The loop has ended: so will this node.
            let _ = own.send(Own::SelfFenced(outcome)).await;
        });
    }

    /// The agents are done, and this node lives.
    pub(super) fn self_fence_ended(&mut self, outcome: FenceOutcome) {
        let name = self.peers.name(self.me.node);
        let (text, again_ms) = match outcome {
            FenceOutcome::Fenced { devices, .. } => {
                let devices = devices.join(", ");
                let text = format!(
                    "{devices} says that {name} was fenced, and it lives: check the fence device; what runs here is stopped instead"
                );
                (text, LIVES_MS)
            }
            FenceOutcome::Failed { reasons } => {
                let why = reasons.join("; ");
                let text = format!(
                    "{name} lost its quorum and could not have itself fenced: {why}; what runs here is stopped instead"
                );
                (text, RETRY_MS)
            }
        };
        self.notice("fencing-failed", text);
        self.duty.self_fence.under_way = false;
        self.duty.self_fence.next_try_ms = boottime_ms() + again_ms;
    }
}

/// The policy kills a node, and for the scheduler what runs on a node to be killed needs no stop. But
/// a device may be out of reach, and then everything would go on running: it is planned to stop.
pub(super) fn stop_meanwhile(cib: &mut Element) {
    let configuration = cib.first_mut("configuration");
    let Some(options) = configuration.and_then(|c| c.first_mut("crm_config")) else {
        return;
    };
    let sets = options.children.iter_mut();
    for pair in sets.flat_map(|set| &mut set.children) {
        let value = pair.attr("value").unwrap_or_default();
        if pair.attr("name") == Some("no-quorum-policy") && wants_fencing(value) {
            pair.set("value", "stop");
        }
    }
}

/// Under either of its names.
pub(super) fn wants_fencing(policy: &str) -> bool {
    ["fence", "suicide"]
        .iter()
        .any(|name| policy.eq_ignore_ascii_case(name))
}

/// `stonith-max-attempts` where the cluster sets none (Pacemaker's default).
const TRIES_MAX: u64 = 10;
/// Shortest loss of the quorum that a node has itself killed for, in milliseconds.
const LOST_MS_MIN: u64 = 2_000;
/// Pause after agents that failed, in milliseconds.
const RETRY_MS: u64 = 2_000;
/// How long a node whose agents succeeded may go on living before it is tried again, in milliseconds.
const LIVES_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_quorum_that_was_there_is_lost() {
        let mut own = SelfFence::default();
        assert!(!own.is_due(5, 10), "it never had any");
        own.quorum_gained();
        assert!(own.is_due(5, 10));
        own.under_way = true;
        assert!(!own.is_due(5, 10), "one agent at a time");
        own.under_way = false;
        own.tries = 10;
        assert!(!own.is_due(5, 10), "it was tried often enough");
        own.quorum_gained();
        own.quorum_lost(7);
        assert!(!own.is_due(6, 10) && own.is_due(7, 10));
    }

    #[test]
    fn a_loss_lasts_longer_than_an_election() {
        assert_eq!(patience_ms(100_000), 2_000);
        assert_eq!(patience_ms(3_000_000), 6_000);
    }

    #[test]
    fn meanwhile_everything_is_planned_to_stop() {
        for (before, after) in [("suicide", "stop"), ("Fence", "stop"), ("freeze", "freeze")] {
            let with = |policy| {
                let xml = format!(
                    "<cib admin_epoch=\"0\" epoch=\"1\" num_updates=\"0\"><configuration><crm_config><cluster_property_set id=\"a\"><nvpair id=\"b\" name=\"no-quorum-policy\" value=\"{policy}\"/></cluster_property_set></crm_config><nodes/><resources/><constraints/></configuration><status/></cib>"
                );
                cib::Cib::parse(&xml).unwrap().root().clone()
            };
            let mut cib = with(before);
            stop_meanwhile(&mut cib);
            assert_eq!(cib, with(after), "{before}");
        }
    }
}
