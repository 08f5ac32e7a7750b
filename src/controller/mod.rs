//! The DC's duties, pure: when to schedule, which actions to send, when to abort and re-plan.
//!
//! The daemon feeds [`Input`]s with the time and carries out the [`Command`]s; a plan is asked for
//! by [`Command::Schedule`] and comes back as [`Input::Planned`], so that the controller itself
//! knows neither the CIB nor a clock.

mod state_section;
mod transition;

pub use state_section::{Presence, StatusNode, compose};
pub use transition::{Transition, request_of};

use crate::executor::OpRequest;
use scheduler::{Action, ActionKind, Plan};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// This node acts as DC from now on; `uuid` marks its transitions in the history.
    Acting {
        /// Sixteen random bytes as a UUID.
        uuid: String,
    },
    /// It no longer does.
    Ended,
    /// Configuration, membership or an unexpected result changed: what is planned may be wrong.
    Changed {
        /// What, for the log.
        why: String,
    },
    /// The answer to [`Command::Schedule`].
    Planned(Box<Plan>),
    /// An executor's answer to [`Command::Execute`].
    OpDone {
        /// `ACTION:TRANSITION:TARGET_RC:UUID`.
        transition_key: String,
        /// OCF exit code.
        rc: i32,
        /// PCMK_EXEC status, 0 = done.
        op_status: i32,
    },
    /// A [`Command::Execute`] was not carried out and will not be: what it was planned for is no
    /// longer so. No failure, but the plan is void.
    Withdrawn {
        /// As of [`Input::OpDone`].
        transition_key: String,
        /// Why, in words.
        why: String,
    },
    /// The start that [`Command::Execute`] named as `then` is carried out together with its stop:
    /// it is in flight from now on.
    Taken {
        /// As of [`Input::OpDone`].
        transition_key: String,
    },
    /// The answer to any other command, by action number.
    Confirmed {
        /// Number of the transition.
        transition: u32,
        /// Number of the action.
        action: u32,
        /// It did what it should.
        ok: bool,
    },
    /// A member left the view: answers from it will not come.
    NodeGone {
        /// Its name.
        node: String,
    },
    /// Time passed.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the scheduler on the newest state and answer with [`Input::Planned`].
    Schedule,
    /// Hand an operation to a node's executor.
    Execute {
        /// Node name.
        node: String,
        /// The operation.
        request: Box<OpRequest>,
        /// What may follow at once where it ends well: the start elsewhere of what this stops, if
        /// that waits for nothing else. It is commanded when its time comes, unless
        /// [`Input::Taken`] says before that it is under way.
        then: Option<Then>,
    },
    /// Carry out one of the controller's own actions (`stonith`, `do_shutdown`, `clear_failcount`,
    /// `cancel`, `delete` …) and answer with [`Input::Confirmed`].
    Perform {
        /// Number of the transition.
        transition: u32,
        /// The action.
        action: Box<Action>,
    },
    /// Nothing is left to do.
    Idle,
    /// Something a person should know.
    Notice {
        /// Stable word.
        code: &'static str,
        /// What, where, why.
        text: String,
    },
}

/// The start that follows a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Then {
    /// Node name.
    pub node: String,
    /// The operation.
    pub request: Box<OpRequest>,
}

/// The controller's state.
#[derive(Clone, Debug, Default)]
pub struct Controller {
    uuid: Option<String>,
    phase: Phase,
    /// Something changed that no plan has seen yet, and what.
    dirty: Option<String>,
    transition_no: u32,
    recheck_at_ms: Option<u64>,
    /// Transitions with a failed action since there was last nothing to do.
    failures: u32,
    /// The next plan is not asked for before this time.
    pause_until_ms: Option<u64>,
}

#[derive(Clone, Debug, Default)]
enum Phase {
    /// Not the DC, or nothing to do.
    #[default]
    Idle,
    /// Waits for [`Input::Planned`].
    Scheduling,
    /// Executes a graph.
    Running(Box<Transition>),
}

impl Controller {
    /// Takes one input at `now_ms` (monotonic) and returns what to do, in order.
    pub fn step(&mut self, now_ms: u64, input: Input) -> Vec<Command> {
        let mut out = Vec::new();
        match input {
            Input::Acting { uuid } => {
                self.uuid = Some(uuid);
                self.phase = Phase::Idle;
                self.pause_until_ms = None;
                self.dirty = Some("this node became the DC".to_owned());
            }
            Input::Ended => {
                *self = Self {
                    transition_no: self.transition_no,
                    ..Self::default()
                }
            }
            Input::Changed { why } => {
                self.pause_until_ms = None;
                self.note_change(why);
            }
            Input::Planned(plan) => self.planned(now_ms, *plan, &mut out),
            Input::OpDone {
                transition_key,
                rc,
                op_status,
            } => {
                self.op_done(&transition_key, rc, op_status, &mut out);
            }
            Input::Withdrawn {
                transition_key,
                why,
            } => {
                if let Phase::Running(running) = &mut self.phase {
                    running.withdraw(&transition_key);
                }
                self.note_change(why);
            }
            Input::Taken { transition_key } => {
                if let Phase::Running(running) = &mut self.phase {
                    running.take(&transition_key);
                }
            }
            Input::Confirmed {
                transition,
                action,
                ok,
            } => {
                self.confirmed(transition, action, ok);
            }
            Input::NodeGone { node } => {
                if let Phase::Running(running) = &mut self.phase {
                    running.node_gone(&node);
                }
                self.pause_until_ms = None;
                self.note_change(format!("{node} left the cluster"));
            }
            Input::Tick => self.tick(now_ms, &mut out),
        }
        self.proceed(now_ms, &mut out);
        out
    }

    /// When [`Input::Tick`] is due at the latest, in milliseconds of the same clock.
    #[must_use]
    pub fn next_timeout_ms(&self) -> Option<u64> {
        let action = match &self.phase {
            Phase::Running(running) => running.next_timeout_ms(),
            _ => None,
        };
        [action, self.recheck_at_ms, self.pause_until_ms]
            .into_iter()
            .flatten()
            .min()
    }

    /// Progress of the running transition: actions done, actions in all.
    #[must_use]
    pub fn progress(&self) -> Option<(u32, u32)> {
        match &self.phase {
            Phase::Running(running) => Some(running.progress()),
            _ => None,
        }
    }

    /// It acts: between [`Input::Acting`] and [`Input::Ended`].
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.uuid.is_some()
    }

    /// Why nothing new is begun before a new plan, if so.
    #[must_use]
    pub fn aborted(&self) -> Option<&str> {
        match &self.phase {
            Phase::Running(running) => running.aborted(),
            _ => None,
        }
    }

    /// This node acts as DC and has nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.uuid.is_some() && matches!(self.phase, Phase::Idle) && self.dirty.is_none()
    }

    /// A scheduled time at which the plan may change by itself, in `now_ms`'s clock.
    pub fn recheck_at(&mut self, at_ms: Option<u64>) {
        self.recheck_at_ms = at_ms;
    }

    /// The state that the plan asked for is made of is taken only now: what changed until this
    /// moment is in it.
    pub fn state_taken(&mut self) {
        if matches!(self.phase, Phase::Scheduling) {
            self.dirty = None;
        }
    }

    fn note_change(&mut self, why: String) {
        if self.uuid.is_none() {
            return;
        }
        if let Phase::Running(running) = &mut self.phase {
            running.abort(&why);
        }
        self.dirty = Some(why);
    }

    fn planned(&mut self, now_ms: u64, plan: Plan, out: &mut Vec<Command>) {
        let (Some(uuid), Phase::Scheduling) = (&self.uuid, &self.phase) else {
            return;
        };
        if self.dirty.is_some() {
            // The state moved while the plan was made: it would be aborted at once.
            self.phase = Phase::Idle;
            return;
        }
        // Pseudo-actions order others and do nothing by themselves (`load_stopped_NODE` stands in
        // every plan with utilization): a plan of nothing else would be made again for ever.
        let mut actions = plan.graph.synapses.iter().map(|s| s.action.kind);
        if actions.all(|kind| kind == ActionKind::Pseudo) {
            self.phase = Phase::Idle;
            self.failures = 0;
            out.push(Command::Idle);
            return;
        }
        self.transition_no += 1;
        let running = Transition::start(self.transition_no, uuid, plan.graph, now_ms);
        self.phase = Phase::Running(Box::new(running));
    }

    fn op_done(&mut self, key: &str, rc: i32, op_status: i32, out: &mut Vec<Command>) {
        let Phase::Running(running) = &mut self.phase else {
            return self.note_change(format!("a late result arrived ({key})"));
        };
        match running.op_done(key, rc, op_status) {
            transition::Answer::Expected => {}
            transition::Answer::Failed(what) => {
                out.push(Command::Notice {
                    code: "action-failed",
                    text: what.clone(),
                });
                self.note_change(what);
            }
            transition::Answer::Surprise(what) => self.note_change(what),
            transition::Answer::Foreign => {
                self.note_change(format!("a result of another transition arrived ({key})"));
            }
        }
    }

    fn confirmed(&mut self, transition: u32, action: u32, ok: bool) {
        let Phase::Running(running) = &mut self.phase else {
            return;
        };
        if running.number() != transition {
            return;
        }
        if let transition::Answer::Failed(what) = running.confirm(action, ok) {
            self.note_change(what);
        }
    }

    fn tick(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        if self.recheck_at_ms.is_some_and(|at| at <= now_ms) {
            self.recheck_at_ms = None;
            self.note_change("the time for a re-check came".to_owned());
        }
        if let Phase::Running(running) = &mut self.phase {
            for late in running.expire(now_ms) {
                out.push(Command::Notice {
                    code: "action-unanswered",
                    text: late.clone(),
                });
                self.dirty = Some(late);
            }
        }
    }

    /// Moves on as far as possible: fires actions, ends a finished transition, asks for a plan.
    fn proceed(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        if let Phase::Running(running) = &mut self.phase {
            running.fire(now_ms, out);
            if !running.is_finished() {
                return;
            }
            let aborted = running.aborted().map(str::to_owned);
            let failed = running.has_failed();
            self.phase = Phase::Idle;
            if failed {
                self.failures = self.failures.saturating_add(1);
                self.pause(now_ms, out);
            }
            // Results changed the state: one more plan tells whether anything is left to do.
            self.dirty
                .get_or_insert_with(|| aborted.unwrap_or_else(|| "a transition ended".to_owned()));
        }
        if self.pause_until_ms.is_some_and(|until| now_ms < until) {
            return;
        }
        self.pause_until_ms = None;
        if self.uuid.is_some() && matches!(self.phase, Phase::Idle) && self.dirty.take().is_some() {
            self.phase = Phase::Scheduling;
            out.push(Command::Schedule);
        }
    }

    /// What fails again and again is tried ever more slowly. News from outside end the pause.
    fn pause(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        let Some(beyond) = self.failures.checked_sub(FAILURES_AT_ONCE) else {
            return;
        };
        let pause_ms = (PAUSE_MS_MIN << beyond.min(8)).min(PAUSE_MS_MAX);
        self.pause_until_ms = Some(now_ms + pause_ms);
        if beyond == 0 {
            out.push(Command::Notice {
                code: "keeps-failing",
                text: format!(
                    "{} transitions in a row had a failed action: the next attempts come after pauses of up to {} s; see the failed actions in `crm_mon -1`",
                    self.failures,
                    PAUSE_MS_MAX / 1000
                ),
            });
        }
    }
}

/// Whether an action of the graph is an agent's.
fn is_agent_action(action: &Action) -> bool {
    action.kind == ActionKind::Rsc
        && !matches!(
            action.operation.as_str(),
            "cancel" | "delete" | "lrm_delete"
        )
}

/// Transitions with failed actions that are followed by the next plan at once.
const FAILURES_AT_ONCE: u32 = 8;
/// First pause before a plan, in milliseconds; it doubles.
const PAUSE_MS_MIN: u64 = 250;
/// Longest pause, in milliseconds.
const PAUSE_MS_MAX: u64 = 5_000;

#[cfg(test)]
mod tests;
