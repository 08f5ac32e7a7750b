//! Stopping in order: resources first, then the membership; and stopping what a node without
//! quorum runs.

use super::app::{App, now_s};
use super::peer::Item;
use super::self_fence::{patience_ms, wants_fencing};
use crate::controller;
use crate::transport::boottime_ms;
use cib::value::parse_bool;
use membership::Input;

/// A stop under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    phase: Phase,
    pub(super) next_step_ms: u64,
    give_up_ms: u64,
    /// The DC lets this node go, as the log stands at this entry.
    released_seq: Option<u64>,
    /// Exit code of the process.
    pub(super) code: u8,
}

impl Stopping {
    fn new(phase: Phase, next_step_ms: u64, give_up_ms: u64, code: u8) -> Self {
        Self {
            phase,
            next_step_ms,
            give_up_ms,
            released_seq: None,
            code,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The DC was asked to move resources away and to let this node go.
    Asked,
    /// No DC can do it: this node stops its own resources.
    Alone,
    /// Goodbye is said.
    Leaving,
    /// This process may not go on (store lost, node certified dead): stop what runs here, then end.
    Failing,
}

impl App {
    /// Asks to be stopped; a second time changes nothing.
    pub(super) fn stop(&mut self, why: &str) {
        if self.stopping.is_some() {
            return;
        }
        tracing::info!("stopping: {why}");
        super::notify::notify("STOPPING=1");
        let now = boottime_ms();
        let escalation = self.option_ms("shutdown-escalation", ESCALATION_MS);
        self.stopping = Some(Stopping::new(Phase::Asked, now, now + escalation, 0));
        self.publish_shutdown();
        self.stopping_on_time(now);
    }

    /// One look at a stop under way.
    pub(super) fn stopping_on_time(&mut self, now_ms: u64) {
        self.lone_on_time(now_ms);
        let Some(mut stopping) = self.stopping else {
            return;
        };
        if now_ms < stopping.next_step_ms {
            return;
        }
        stopping.next_step_ms = now_ms + STEP_MS;
        self.stopping = Some(stopping);
        match stopping.phase {
            Phase::Failing => {
                if self.nothing_runs() || now_ms >= stopping.give_up_ms {
                    self.leave();
                }
            }
            Phase::Leaving => {
                if now_ms >= stopping.give_up_ms {
                    tracing::warn!("no answer to the goodbye");
                    self.exit.get_or_insert(stopping.code);
                }
            }
            _ if self.keeps_resources() => self.leave(),
            _ if now_ms >= stopping.give_up_ms => {
                self.notice(
                    "stop-escalated",
                    "resources could not be stopped in time: leaving with what still runs"
                        .to_owned(),
                );
                self.leave();
            }
            Phase::Alone if self.nothing_runs() => self.leave(),
            Phase::Asked if self.is_released() => self.released(self.replica.seq()),
            Phase::Asked if !self.dc_can_act() => {
                self.stop_alone("no DC can stop this node's resources");
            }
            Phase::Asked | Phase::Alone => {}
        }
    }

    /// A DC is there, and has the quorum without which it does nothing.
    fn dc_can_act(&self) -> bool {
        self.standing.quorate && self.dc().is_some()
    }

    /// The DC has stopped what it knows of here and lets this node go. What no probe has told yet
    /// it does not know of either: this process may have been started over running resources.
    ///
    /// The DC may have decided by an entry that is not applied here yet, and `maintenance-mode` in
    /// it is the difference between leaving the resources alone and stopping them.
    pub(super) fn released(&mut self, seq: u64) {
        if self.replica.seq() < seq {
            if let Some(stopping) = &mut self.stopping {
                stopping.released_seq = Some(seq);
            }
            return;
        }
        if self.is_known_empty() || self.keeps_resources() {
            self.leave();
        } else {
            self.stop_alone("the DC lets this node go before everything here was looked at");
        }
    }

    /// The DC's word is here, and everything that it was given upon.
    fn is_released(&self) -> bool {
        let seq = self.stopping.and_then(|s| s.released_seq);
        seq.is_some_and(|seq| self.replica.seq() >= seq)
    }

    fn stop_alone(&mut self, why: &str) {
        let now = boottime_ms();
        let give_up_ms = now + self.option_ms("shutdown-escalation", ESCALATION_MS);
        self.publish_shutdown();
        let (give_up_ms, code) = self
            .stopping
            .map_or((give_up_ms, 0), |s| (s.give_up_ms, s.code));
        let alone = Stopping::new(Phase::Alone, now + STEP_MS, give_up_ms, code);
        self.stopping = Some(alone);
        self.begin_lone_anew(why);
    }

    /// With this wish in its report a node's own plan stops everything, whatever
    /// `no-quorum-policy` says.
    fn publish_shutdown(&mut self) {
        let item = Item::Shutdown(now_s());
        self.publish(vec![(item.key(), Some(item.value()))]);
        // The reports of this node do not come back to it: tell the own controller.
        self.control(controller::Input::Changed {
            why: "this node is to be stopped".to_owned(),
        });
    }

    /// This node's own controller has looked everywhere, and found or left nothing.
    fn nothing_runs(&self) -> bool {
        self.duty.lone.is_idle() && self.is_empty_as_far_as_known()
    }

    /// Nothing runs here, by what this process has seen.
    fn is_empty_as_far_as_known(&self) -> bool {
        !self.anything_runs() && self.local.executor.in_flight().is_empty()
    }

    /// Nothing runs here, and there is nothing that nobody has looked for (R10).
    fn is_known_empty(&self) -> bool {
        let looked = self.duty.lone.is_idle() || self.local.knows_all(self.replica.cib());
        looked && self.is_empty_as_far_as_known()
    }

    /// Stops this node's resources without asking anybody, then ends with `code`.
    pub(super) fn stop_and_fail(&mut self, why: &str, code: u8) {
        if self.stopping.is_some_and(|s| s.phase == Phase::Failing) {
            return;
        }
        let now = boottime_ms();
        self.publish_shutdown();
        let failing = Stopping::new(Phase::Failing, now + STEP_MS, now + FAIL_MS_MAX, code);
        self.stopping = Some(failing);
        self.begin_lone_anew(why);
    }

    /// Nothing new may run here, whoever asks: what would know of it is lost or about to end.
    pub(super) fn refuses_starts(&self) -> bool {
        let ending = |s: &Stopping| matches!(s.phase, Phase::Failing | Phase::Leaving);
        self.stopping.as_ref().is_some_and(ending)
    }

    /// This node is on its way out, and its resources with it.
    pub(super) fn stopping_resources(&self) -> bool {
        self.stopping.is_some() && !self.keeps_resources()
    }

    /// In maintenance mode the resources stay as they are (detach).
    pub(super) fn keeps_resources(&self) -> bool {
        self.option("maintenance-mode")
            .is_some_and(|v| parse_bool(&v).unwrap_or(false))
    }

    /// Says goodbye; [`membership::Event::Left`] ends the process.
    fn leave(&mut self) {
        // A goodbye with nothing running lets the others start everything elsewhere.
        let clean = self.is_known_empty();
        let now = boottime_ms();
        let code = self.stopping.map_or(0, |s| s.code);
        let leaving = Stopping::new(Phase::Leaving, now + STEP_MS, now + GOODBYE_MS_MAX, code);
        let again = self
            .stopping
            .replace(leaving)
            .is_some_and(|s| s.phase == Phase::Leaving);
        if !again {
            self.input(Input::Leave { clean });
        }
    }

    /// Quorum was gained or lost.
    pub(super) fn quorum_changed(&mut self) {
        if self.standing.quorate {
            self.duty.lone_since_ms = None;
            self.duty.self_fence.quorum_gained();
            if self.stopping.is_none() {
                self.control_lone(controller::Input::Ended);
            }
        } else {
            let was_quorate = self.standing.view.view_no > 0 && self.duty.lone_since_ms.is_none();
            let (now, grace) = (boottime_ms(), if was_quorate { 0 } else { START_GRACE_MS });
            if was_quorate {
                let due = now + patience_ms(self.t_fail_us);
                self.duty.self_fence.quorum_lost(due);
            }
            self.duty.lone_since_ms.get_or_insert(now + grace);
        }
    }

    /// Without quorum for long enough: does what `no-quorum-policy` says.
    fn lone_on_time(&mut self, now_ms: u64) {
        if self.duty.lone_since_ms.is_none_or(|at| now_ms < at) || self.standing.acting.is_some() {
            return;
        }
        let policy = self
            .option("no-quorum-policy")
            .unwrap_or_else(|| "stop".to_owned());
        if matches!(policy.as_str(), "ignore" | "freeze") || self.keeps_resources() {
            return;
        }
        if wants_fencing(&policy) {
            self.fence_self_on_time(now_ms);
        }
        // Asked at every turn of the loop: a change that is told each time would never let the
        // controller come to rest, nor a stop to its end.
        if !self.duty.lone.is_on() {
            self.begin_lone("this partition has no quorum");
        }
    }

    fn begin_lone(&mut self, why: &str) {
        if self.duty.lone.is_on() {
            return;
        }
        tracing::warn!("{why}: stopping what runs here");
        self.control_lone(controller::Input::Acting {
            uuid: "lone".to_owned(),
        });
    }

    /// As [`App::begin_lone`]; one that is on already may have a plan that leaves something running.
    fn begin_lone_anew(&mut self, why: &str) {
        if self.duty.lone.is_on() {
            let why = why.to_owned();
            self.control_lone(controller::Input::Changed { why });
        } else {
            self.begin_lone(why);
        }
    }
}

/// Pause between two looks at a stop, in milliseconds.
const STEP_MS: u64 = 200;
/// `shutdown-escalation` where the cluster sets none, milliseconds (Pacemaker: 20 minutes).
const ESCALATION_MS: u64 = 20 * 60 * 1000;
/// Longest time, in milliseconds, that stopping resources may hold up the end after the store
/// failed.
const FAIL_MS_MAX: u64 = 60_000;
/// Longest wait for the cluster to take note of a goodbye, in milliseconds.
const GOODBYE_MS_MAX: u64 = 3_000;
/// A node that just started may well find its cluster: for this long, in milliseconds, it does not
/// stop what it finds running.
const START_GRACE_MS: u64 = 5_000;
