//! Fencing as the DC does it: intent into the log, agents, result into the log, and only then
//! whoever waits for it (I16, R10).

use super::app::{App, Own};
use super::by_hand::{A_HUMAN, CONFIRMED};
use super::peer::Step;
use crate::fencing::{Device, FenceOutcome, FenceRequest};
use crate::replica::OpenIntent;
use crate::transport::OsEntropy;
use membership::{EntryBody, FenceIntent, FenceResult, Input, OpId};
use scheduler::Action;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::NodeId;

/// Fencings that this DC has asked for, by number.
#[derive(Debug, Default)]
pub(super) struct Fences(BTreeMap<u64, Fencing>);

/// A fencing that this DC has asked for.
#[derive(Debug)]
struct Fencing {
    /// Actions of the running transition that wait for its end.
    steps: Vec<Step>,
    target: NodeId,
    /// No agent is needed: an administrator says that it is done.
    confirmed: bool,
    /// Name under which the entry was proposed that is waited for; none while the agents run. A
    /// lone node of two commits nothing before the certificate stands: the intent of a slow device
    /// comes back as in doubt, and that ends nothing.
    proposal: Option<OpId>,
    /// The agents were set off; names this very run. An intent that was never committed leaves its
    /// number free, so that another fencing may have the number by the time its agents end: their
    /// success must not be taken for that one's.
    run: Option<OpId>,
}

impl Fences {
    /// This node's reign ended: its fencings are the next DC's to close.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The log numbers intents without gaps; an intent that it did not take leaves none.
    fn next_no(&self, logged: u64) -> u64 {
        let own = self.0.keys().next_back().copied().unwrap_or(0);
        own.max(logged) + 1
    }

    /// Whom the run was to kill, if it is still waited for.
    fn target_of(&self, fence_no: u64, run: OpId) -> Option<NodeId> {
        let fencing = self.0.get(&fence_no)?;
        (fencing.run == Some(run)).then_some(fencing.target)
    }

    fn is_target(&self, node: NodeId) -> bool {
        self.0.values().any(|f| f.target == node)
    }

    /// An action that waits for a fencing under way. Those of an earlier transition wait no more.
    fn also_waits(&mut self, target: NodeId, step: Step) {
        let under_way = self.0.values_mut().find(|f| f.target == target);
        if let Some(fencing) = under_way {
            let of_this = |s: &Step| (s.duty, s.transition) == (step.duty, step.transition);
            fencing.steps.retain(of_this);
            fencing.steps.push(step);
        }
    }
}

impl App {
    /// The plan wants a node fenced.
    pub(super) fn fence_as_planned(
        &mut self,
        action: &Action,
        node: &(String, String),
        step: Step,
    ) {
        let how = action.meta.get("stonith_action").unwrap_or("reboot");
        let (id, name) = node;
        if how == "on" {
            // A success would be taken for a certificate that the node is dead.
            let text = format!(
                "{name} has to be unfenced before it may run what requires it, and mainstayd does not do that yet: unfence it by hand, then say so: crm_attribute -l reboot -N {name} -n '#node-unfenced' -v $(date +%s)"
            );
            self.notice("unfencing", text);
            return self.confirm(step, false);
        }
        let target = id.parse().map(NodeId).ok();
        let Some(target) = target.or_else(|| self.peers.by_name(name)) else {
            return self.confirm(step, false);
        };
        let why = action.reason.clone();
        let why = why.unwrap_or_else(|| "it is unclean".to_owned());
        self.fence(target, how, why, Some(step));
    }

    /// Fences a node: the intent goes into the log before any agent runs (I16).
    pub(super) fn fence(&mut self, target: NodeId, how: &str, reason: String, step: Option<Step>) {
        if self.standing.acting.is_none() {
            let name = self.peers.name(target);
            let text = format!(
                "{name} was not fenced ({reason}): this node is no longer the DC; ask again"
            );
            return self.notice("fencing-failed", text);
        }
        if how == CONFIRMED && self.confirm_under_way(target) {
            return;
        }
        if self.duty.fences.0.values().any(|f| f.target == target) {
            // One at a time: a second run could hit the node after it came back.
            let name = self.peers.name(target);
            tracing::info!("{name} is being fenced already");
            if let Some(step) = step {
                self.duty.fences.also_waits(target, step);
            }
            return;
        }
        let fence_no = self
            .duty
            .fences
            .next_no(self.replica.standings().fence_no());
        let op = Self::new_op();
        let name = self.peers.name(target);
        let confirmed = how == CONFIRMED;
        let (how, reason) = match confirmed {
            true => ("off", format!("an administrator says that {name} is down")),
            false => (how, reason),
        };
        self.notice("fencing", format!("fencing {name} ({how}): {reason}"));
        self.duty.fences.0.insert(
            fence_no,
            Fencing {
                steps: step.into_iter().collect(),
                target,
                confirmed,
                proposal: Some(op),
                run: None,
            },
        );
        let machine_boot = self
            .replica
            .standings()
            .identity(target.0)
            .map(|i| i.machine_boot);
        let action = how.to_owned();
        let intent = FenceIntent {
            fence_no,
            target,
            machine_boot,
            action,
            reason,
        };
        self.input(Input::Propose {
            op,
            body: EntryBody::FenceIntent(intent),
        });
    }

    /// What agents try in vain, an administrator says is done: their own word is waited for no more.
    /// False where nobody tries.
    fn confirm_under_way(&mut self, target: NodeId) -> bool {
        let mut fences = self.duty.fences.0.iter_mut();
        let Some((&fence_no, fencing)) = fences.find(|(_, f)| f.target == target) else {
            return false;
        };
        fencing.confirmed = true;
        // Else the log has the intent, or a failure, still to take: this comes after it.
        if fencing.run.is_some() && fencing.proposal.is_none() {
            fencing.run = None;
            self.propose_fence_result(fence_no, target, Ok(A_HUMAN.to_owned()));
        }
        true
    }

    /// The intent is on a quorum's disks: the agents may run.
    pub(super) fn fence_intended(&mut self, intent: &FenceIntent) {
        let run = Self::new_op();
        match self.duty.fences.0.get_mut(&intent.fence_no) {
            Some(f) if f.run.is_none() && f.target == intent.target => {
                f.run = Some(run);
                f.proposal = None;
                if f.confirmed {
                    let done = Ok(A_HUMAN.to_owned());
                    return self.propose_fence_result(intent.fence_no, intent.target, done);
                }
            }
            // An earlier DC's, or one given up as in doubt: while it is open, its target is not let
            // in.
            None if self.standing.acting.is_some() && !self.standing.restricted => {
                return self.close_old_intents();
            }
            _ => return,
        }
        self.run_fence_agents(intent, run);
    }

    /// What the fencer is asked for, and the devices there are.
    pub(super) fn fence_request(
        &mut self,
        target: NodeId,
        action: &str,
    ) -> (FenceRequest, Vec<Device>) {
        let cib = self.replica.cib().root().clone();
        let (devices, faults) = crate::fencing::devices(&cib);
        for fault in faults {
            self.notice("fence-device", fault);
        }
        let target = self.peers.name(target);
        let request = FenceRequest {
            levels: crate::fencing::levels(&cib, &target, &self.node_attributes(&target)),
            target,
            action: action.to_owned(),
            timeout_ms: self.option_ms("stonith-timeout", FENCE_TIMEOUT_MS),
            random: u32::from_le_bytes(OsEntropy::array()),
            client: "mainstayd".to_owned(),
        };
        (request, devices)
    }

    fn run_fence_agents(&mut self, intent: &FenceIntent, run: OpId) {
        let (request, devices) = self.fence_request(intent.target, &intent.action);
        let (fencer, own, fence_no) =
            (self.local.fencer.clone(), self.own.clone(), intent.fence_no);
        tokio::spawn(async move {
            let outcome = fencer.fence(&request, &devices).await;
            if !outcome.is_fenced() {
                // A failing device must not be hammered.
                tokio::time::sleep(FENCE_RETRY_WAIT).await;
            }
            let ended = Own::Fenced {
                fence_no,
                run,
                outcome,
            };
            // The loop has ended: the intent is the next DC's to close.
            let _ = own.send(ended).await;
        });
    }

    pub(super) fn fence_agent_ended(&mut self, fence_no: u64, run: OpId, outcome: FenceOutcome) {
        let Some(target) = self.duty.fences.target_of(fence_no, run) else {
            return;
        };
        let outcome = match outcome {
            FenceOutcome::Fenced { devices, .. } => Ok(devices.join(", ")),
            FenceOutcome::Failed { reasons } => Err(reasons.join("; ")),
        };
        let restricted = self.standing.restricted;
        if let (true, Err(why)) = (restricted, &outcome) {
            // Nothing commits before a certificate stands: this result would wait for ever.
            let text = format!("{} could not be fenced: {why}", self.peers.name(target));
            self.notice("fencing-failed", text);
            self.clients_fenced(target, &outcome);
            self.fencing_ended(fence_no, false);
        }
        self.propose_fence_result(fence_no, target, outcome);
    }

    fn propose_fence_result(
        &mut self,
        fence_no: u64,
        target: NodeId,
        outcome: Result<String, String>,
    ) {
        let (machine_boot, incarnation) = self.replica.standings().last_seen(target.0);
        let result = FenceResult {
            fence_no,
            target,
            machine_boot,
            incarnation,
            outcome,
        };
        let op = Self::new_op();
        if let Some(fencing) = self.duty.fences.0.get_mut(&fence_no) {
            fencing.proposal = Some(op);
        }
        self.input(Input::Propose {
            op,
            body: EntryBody::FenceResult(result),
        });
    }

    /// The certificate is on a quorum's disks: recovery may begin.
    pub(super) fn fence_certified(&mut self, result: &FenceResult) {
        let name = self.peers.name(result.target);
        match &result.outcome {
            Ok(device) => self.notice("fenced", format!("{name} was fenced by {device}")),
            Err(why) => self.notice(
                "fencing-failed",
                format!("{name} could not be fenced: {why}"),
            ),
        }
        self.clients_fenced(result.target, &result.outcome);
        let action = self.replica.standings().fence_action(result.fence_no);
        self.alert_fencing(result, &action);
        let fencing = self.duty.fences.0.get(&result.fence_no);
        let confirmed = result.outcome.is_err() && fencing.is_some_and(|f| f.confirmed);
        self.fencing_ended(result.fence_no, result.outcome.is_ok());
        if confirmed {
            // Said while the agents' failure was on its way.
            self.fence(result.target, CONFIRMED, String::new(), None);
        }
    }

    fn fencing_ended(&mut self, fence_no: u64, fenced: bool) {
        let ended = self.duty.fences.0.remove(&fence_no);
        for step in ended.map(|f| f.steps).unwrap_or_default() {
            self.confirm(step, fenced);
        }
    }

    /// The log took neither intent nor result of a fencing: whoever waits for it must not wait for
    /// ever, and the next plan asks again where it still matters. False if `op` is no fencing's.
    pub(super) fn fencing_refused(&mut self, op: OpId, why: &str) -> bool {
        let mut fences = self.duty.fences.0.iter();
        let refused = fences.find(|(_, f)| f.proposal == Some(op));
        let Some((&fence_no, fencing)) = refused else {
            return false;
        };
        let name = self.peers.name(fencing.target);
        let text = format!("fencing of {name} could not be written to the log: {why}");
        self.notice("fencing-failed", text);
        self.fencing_ended(fence_no, false);
        true
    }

    /// Intents of an earlier DC: whether its agents did anything is not known, so each ends as
    /// failed, and the scheduler asks again where it still matters.
    ///
    /// That DC may live on, out of office, with its agents still at work; as in Pacemaker nobody
    /// ends them, because a reboot cut short between `off` and `on` leaves a node without power. So
    /// a late agent may kill its target after the intent was closed and the target let in again.
    /// That costs a failover and nothing else:
    /// - "failed" certifies nothing, and nothing is started on the strength of it;
    /// - what the late agent reports is dropped: the old DC's list was cleared with its reign, and
    ///   in a later reign of the same process the run is another ([`Fences::target_of`]);
    /// - the target's death is a loss like any other, and needs a fencing with an intent of its own
    ///   before anything is taken over.
    ///
    /// Agents of a daemon that was killed are ended by its successor
    /// ([`crate::executor::end_survivors`]).
    ///
    /// A DC that was to kill itself is the exception: its agents can hit nobody else, and it went
    /// away because they did or is to go all the same. Its fencing is carried out from here, so that
    /// whoever asked for it is told how it ended.
    pub(super) fn close_old_intents(&mut self) {
        let intents = self.replica.standings().intents();
        let known = |open: &&OpenIntent| self.duty.fences.0.contains_key(&open.intent.fence_no);
        let old: Vec<OpenIntent> = intents.filter(|open| !known(open)).cloned().collect();
        for OpenIntent { dc, intent } in old {
            if dc == intent.target && dc != self.me.node {
                self.take_over_fencing(&intent);
                continue;
            }
            let why = "the DC that asked for it went away".to_owned();
            self.propose_fence_result(intent.fence_no, intent.target, Err(why));
        }
    }

    fn take_over_fencing(&mut self, intent: &FenceIntent) {
        let name = self.peers.name(intent.target);
        let (how, why) = (&intent.action, &intent.reason);
        self.notice(
            "fencing",
            format!("fencing {name} ({how}), the former DC: {why}"),
        );
        let run = Self::new_op();
        self.duty.fences.0.insert(
            intent.fence_no,
            Fencing {
                steps: Vec::new(),
                target: intent.target,
                confirmed: false,
                proposal: None,
                run: Some(run),
            },
        );
        self.run_fence_agents(intent, run);
    }

    /// Members that this DC's own agents may be about to kill. They count as lost (R10,
    /// MEMBERSHIP.md "An open fence intent"): nothing is given to them, what they run is taken over
    /// with the certificate, and the plan's own wish to kill them waits for the agents that run.
    /// Where fencing is switched off a lost node would count as dead, and a DC that has itself killed
    /// plans nothing any more ([`App::plan_waits_for`]).
    pub(super) fn being_fenced(&self) -> BTreeSet<u32> {
        if !self.fencing_enabled() {
            return BTreeSet::new();
        }
        let doomed = self.replica.standings().doomed().into_iter();
        doomed
            .filter(|id| self.duty.fences.is_target(NodeId(*id)) && *id != self.me.node.0)
            .collect()
    }

    /// Members with an open intent that [`App::being_fenced`] does not name: fenced by hand while
    /// fencing is switched off, or by an earlier DC, whose intent this one is about to close. To
    /// count them as lost would start a copy, or kill a node that is well again; so no plan is made
    /// until the intent is closed.
    pub(super) fn plan_waits_for(&self) -> BTreeSet<u32> {
        let counted = self.being_fenced();
        let mut doomed = self.replica.standings().doomed();
        doomed.retain(|id| !counted.contains(id));
        doomed
    }

    /// Permanent attributes of a node.
    fn node_attributes(&self, node: &str) -> BTreeMap<String, String> {
        let config = cib::config::Config::new(self.replica.cib());
        let attributes = config.node(node).map(|n| n.attributes).unwrap_or_default();
        attributes
            .into_iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect()
    }
}

/// `stonith-timeout` where the cluster sets none, milliseconds (Pacemaker's default).
const FENCE_TIMEOUT_MS: u64 = 60_000;
/// Pause after a failed fencing.
const FENCE_RETRY_WAIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn fencing(target: u32) -> Fencing {
        Fencing {
            steps: Vec::new(),
            target: NodeId(target),
            confirmed: false,
            proposal: None,
            run: None,
        }
    }

    #[test]
    fn the_end_of_an_earlier_run_under_the_same_number_is_nobodys() {
        let mut fences = Fences::default();
        let run = |n| OpId([n; 16]);
        fences.0.insert(7, fencing(2));
        assert_eq!(fences.target_of(7, run(1)), None, "no agent of it runs");
        fences.0.insert(
            7,
            Fencing {
                run: Some(run(2)),
                ..fencing(2)
            },
        );
        assert_eq!(fences.target_of(7, run(2)), Some(NodeId(2)));
        assert_eq!(fences.target_of(7, run(1)), None, "of an earlier reign");
        assert_eq!(fences.target_of(8, run(2)), None);
    }

    #[test]
    fn an_intent_that_the_log_refused_leaves_no_gap_in_the_numbers() {
        let mut fences = Fences::default();
        assert_eq!(fences.next_no(6), 7);
        fences.0.insert(7, fencing(2));
        assert_eq!(fences.next_no(6), 8, "two at once");
        fences.0.remove(&7);
        assert_eq!(fences.next_no(6), 7, "the log took neither");
    }
}
