//! When the DC makes a plan, for whom it waits before, and what becomes of the plan.

use crate::controller;
use crate::daemon::app::{App, Own, now_s};
use crate::transport::boottime_ms;
use scheduler::{ActionKind, Options, Plan};
use std::collections::BTreeSet;
use wire::NodeId;

/// Which plan was asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) struct PlanFor {
    number: u64,
    /// For the controller of a node without quorum.
    lone: bool,
    /// Last log entry that it sees.
    seq: u64,
}

impl App {
    /// Makes a plan beside the loop. The DC waits until every member has said what runs there: a
    /// plan made on silence could start a second copy.
    pub(super) fn schedule(&mut self, lone: bool) {
        let absent = self.absent_for_plan();
        if !lone && !self.may_plan() {
            self.duty.awaiting_since_ms.get_or_insert_with(boottime_ms);
            return;
        }
        let cib = if lone {
            self.reports.lone_cib(&self.replica, &self.peers)
        } else {
            let dc = Some(self.me.node.0);
            let quorate = self.standing.quorate;
            self.reports
                .cib(&self.replica, &self.peers, quorate, dc, &absent)
        };
        let controller = if lone {
            &mut self.duty.lone
        } else {
            &mut self.duty.controller
        };
        controller.state_taken();
        self.duty.plan_no += 1;
        let (own, seq, number) = (self.own.clone(), self.replica.seq(), self.duty.plan_no);
        let wanted = PlanFor { number, lone, seq };
        self.duty.wanted[usize::from(lone)] = number;
        let options = Options { now: now_s() };
        let inputs = self.inputs.clone();
        tokio::task::spawn_blocking(move || {
            let plan = Box::new(scheduler::schedule(&cib, &options));
            inputs.keep(cib, &plan, options.now);
            // The loop has ended: so has the need for a plan.
            let _ = own.blocking_send(Own::Planned { wanted, plan });
        });
    }

    /// Members that a plan counts as lost. Alone of two, that leads to fencing; where there is
    /// none, nothing may be taken over before the wire was asked, too (R11).
    pub(in crate::daemon) fn absent_for_plan(&self) -> BTreeSet<u32> {
        if self.needs_silence() && !self.is_silent() {
            return BTreeSet::new();
        }
        self.absent()
    }

    fn awaited(&self) -> Vec<u32> {
        let absent = self.absent_for_plan();
        let view_no = self.standing.view.view_no;
        self.reports.awaited(&self.replica, &absent, view_no)
    }

    /// Every member has said what runs there, as of this DC's own view.
    fn all_reported(&self) -> bool {
        self.standing.acting == Some(self.standing.view.ballot) && self.awaited().is_empty()
    }

    fn may_plan(&self) -> bool {
        self.all_reported() && self.plan_waits_for().is_empty() && self.open_heirs().is_empty()
    }

    /// Schedules at last when every member has reported.
    pub(in crate::daemon) fn resume_scheduling(&mut self) {
        if self.duty.awaiting_since_ms.is_some() && self.may_plan() {
            self.forget_awaiting();
            self.schedule(false);
        }
    }

    pub(super) fn forget_awaiting(&mut self) {
        self.duty.awaiting_since_ms = None;
        self.duty.awaiting_told = false;
        self.notices.clear("awaiting-reports");
    }

    /// When a person is to be told whom the DC waits for, once.
    pub(in crate::daemon) fn await_notice_ms(&self) -> Option<u64> {
        let since = self.duty.awaiting_since_ms?;
        (!self.duty.awaiting_told).then_some(since + AWAIT_NOTICE_MS)
    }

    pub(in crate::daemon) fn awaiting_on_time(&mut self, now_ms: u64) {
        self.resume_scheduling();
        let Some(since) = self.duty.awaiting_since_ms else {
            return;
        };
        if now_ms >= since + AWAIT_NOTICE_MS && !self.duty.awaiting_told {
            self.duty.awaiting_told = true;
            let names = |ids: &mut dyn Iterator<Item = u32>| {
                let names: Vec<_> = ids.map(|id| self.peers.name(NodeId(id))).collect();
                names.join(", ")
            };
            let silent = names(&mut self.awaited().into_iter());
            let heirs = names(&mut self.open_heirs().iter().map(|g| g.node().0));
            let text = if silent.is_empty() && !heirs.is_empty() {
                format!(
                    "{heirs} may be about to start an address and does not say whether it is; nothing is started or moved before that (is mainstayd there busy or frozen?)"
                )
            } else if silent.is_empty() {
                let doomed = names(&mut self.plan_waits_for().into_iter());
                // The log may have refused it the first time.
                self.close_old_intents();
                format!(
                    "a fencing of {doomed} is not over; nothing is started or moved before that"
                )
            } else {
                format!(
                    "{silent} did not report what runs there; nothing is started or moved before that (is mainstayd there busy or frozen?)"
                )
            };
            self.notice("awaiting-reports", text);
        }
    }

    pub(in crate::daemon) fn planned(&mut self, wanted: PlanFor, mut plan: Box<Plan>) {
        let PlanFor { number, lone, seq } = wanted;
        if self.duty.wanted[usize::from(lone)] != number {
            return;
        }
        if lone {
            only_stops(&mut plan, &self.peers.me.0.to_string());
            return self.control_lone(controller::Input::Planned(plan));
        }
        if self.standing.acting.is_none() {
            return;
        }
        self.tell_refusal(&plan);
        if self.needs_silence() && !self.is_silent() {
            crate::daemon::silence::withhold(&mut plan, &self.active_on_the_absent());
        }
        for line in &plan.summary {
            tracing::info!("plan: {line}");
        }
        self.duty.planned_seq = seq;
        let in_ms = plan.recheck_at.map_or(RECHECK_MS, |at| {
            (at.saturating_sub(now_s()).max(1) as u64)
                .saturating_mul(1000)
                .min(RECHECK_MS)
        });
        self.duty.controller.recheck_at(Some(boottime_ms() + in_ms));
        self.duty.plan = Some(plan.clone());
        self.control(controller::Input::Planned(plan));
    }

    /// A plan of nothing looks like a cluster that rests: somebody has to be told that it does not.
    fn tell_refusal(&mut self, plan: &Plan) {
        let Some(why) = &plan.refused else {
            self.notices.clear(PLAN_REFUSED);
            return;
        };
        let text = format!(
            "{why}: no resource is started, stopped or moved, and no node is fenced, until the configuration is smaller (`mainstay plan` says the same)"
        );
        self.notice_once(PLAN_REFUSED, text);
    }
}

/// A node without quorum may look and stop, never start, and never act on others.
fn only_stops(plan: &mut Plan, me: &str) {
    plan.graph.synapses.retain(|s| {
        let a = &s.action;
        let here = a.node.as_ref().is_none_or(|(id, _)| id == me);
        let harmless = match a.kind {
            ActionKind::Pseudo => true,
            ActionKind::Rsc => {
                matches!(a.operation.as_str(), "stop" | "demote" | "cancel")
                    || (a.operation == "monitor" && a.interval_ms == 0)
            }
            ActionKind::Crm => false,
        };
        here && harmless
    });
    if plan
        .graph
        .synapses
        .iter()
        .all(|s| s.action.kind == ActionKind::Pseudo)
    {
        plan.graph.synapses.clear();
    }
}

/// After this time, in milliseconds, a person is told which members do not report.
const AWAIT_NOTICE_MS: u64 = 5_000;
/// Longest time between two looks at the plan (Pacemaker's `cluster-recheck-interval` default).
const RECHECK_MS: u64 = 15 * 60 * 1000;

/// The code of the notice that a configuration is bigger than the scheduler looks at.
const PLAN_REFUSED: &str = "plan-refused";
