//! The DC's duties in the world: plans are made and commands sent. What to do when is decided by
//! `controller`; fencing is in `fences`, and what a plan's actions become in `commands`.

mod commands;
mod planning;

pub(super) use planning::PlanFor;

use super::app::App;
use super::fences::Fences;
use super::peer::{self, DcReport, DutyId, Item, NodeCommand, Step};
use super::self_fence::SelfFence;
use crate::controller::{self, Command, Controller};
use crate::transport::{OsEntropy, boottime_ms};
use membership::Ballot;
use scheduler::Plan;
use std::collections::VecDeque;

/// State of the duties.
#[derive(Debug)]
pub(super) struct Duty {
    /// The DC's.
    pub(super) controller: Controller,
    /// A node without quorum stops what it runs, by the same rules.
    pub(super) lone: Controller,
    /// Names the DC's controller of this process in the steps it asks for.
    id: DutyId,
    /// Names the other one.
    lone_id: DutyId,
    /// What the controllers are yet to be fed: to the lone one or not.
    inputs: VecDeque<(bool, controller::Input)>,
    feeding: bool,
    /// Number of the newest plan asked for.
    plan_no: u64,
    /// The plan that each controller waits for, the DC's first: a plan made for an earlier reign
    /// of this node speaks of a cluster that is no more.
    wanted: [u64; 2],
    /// A plan is wanted, but members have not reported since this time.
    pub(super) awaiting_since_ms: Option<u64>,
    awaiting_told: bool,
    /// Newest plan of this node as DC.
    pub(super) plan: Option<Box<Plan>>,
    planned_seq: u64,
    /// Last log entry that a plan could see anything of.
    changed_seq: u64,
    published: DcReport,
    /// Fencings this DC has asked for, with the graph's action that waits.
    pub(super) fences: Fences,
    /// Since when this node has been without quorum.
    pub(super) lone_since_ms: Option<u64>,
    /// What it does to itself about that.
    pub(super) self_fence: SelfFence,
    /// What ended the last rest of the DC's controller, and when: why addresses move.
    cause: (String, u64),
}

impl Duty {
    pub(super) fn new() -> Self {
        let id = u64::from_le_bytes(OsEntropy::array());
        Self {
            controller: Controller::default(),
            lone: Controller::default(),
            id: DutyId(id),
            lone_id: DutyId(!id),
            inputs: VecDeque::new(),
            feeding: false,
            plan_no: 0,
            wanted: [0; 2],
            awaiting_since_ms: None,
            awaiting_told: false,
            plan: None,
            planned_seq: 0,
            changed_seq: 0,
            published: DcReport::default(),
            fences: Fences::default(),
            lone_since_ms: None,
            self_fence: SelfFence::default(),
            cause: (String::new(), 0),
        }
    }

    /// What set off the work under way, and when (milliseconds since boot).
    pub(super) fn cause(&self) -> (String, u64) {
        self.cause.clone()
    }

    fn note_cause(&mut self, input: &controller::Input) {
        let why = match input {
            controller::Input::Changed { why } => why.clone(),
            controller::Input::NodeGone { node } => format!("{node} left the cluster"),
            controller::Input::Acting { .. } => "a DC took over".to_owned(),
            _ => return,
        };
        let loss = matches!(input, controller::Input::NodeGone { .. });
        if loss || self.controller.is_idle() || self.cause.1 == 0 {
            self.cause = (why, boottime_ms());
        }
    }

    /// A log entry changed what plans are made of.
    pub(super) fn note_change(&mut self, seq: u64) {
        self.changed_seq = seq;
    }

    /// Last entry that the newest plan answers for: entries that changed nothing need no new plan.
    fn answered_seq(&self, applied: u64) -> u64 {
        if self.planned_seq >= self.changed_seq {
            applied
        } else {
            self.planned_seq
        }
    }
}

impl App {
    pub(super) fn begin_duty(&mut self, ballot: Ballot) {
        tracing::info!(?ballot, "this node is the DC");
        self.standing.acting = Some(ballot);
        self.close_old_intents();
        self.describe_cluster();
        self.ask_voters();
        self.ask_heirs();
        self.control(controller::Input::Acting { uuid: uuid() });
    }

    pub(super) fn end_duty(&mut self, why: &str) {
        tracing::info!("this node is no longer the DC: {why}");
        self.standing.acting = None;
        self.grants.clear();
        self.handovers.clear();
        self.duty.fences.clear();
        self.duty.wanted[0] = 0;
        self.duty.published = DcReport::default();
        self.forget_awaiting();
        self.duty.plan = None;
        self.control(controller::Input::Ended);
        self.publish(vec![(peer::DC_KEY.to_owned(), None)]);
    }

    /// Feeds the DC's controller and carries out what it says.
    pub(super) fn control(&mut self, input: controller::Input) {
        if self.standing.acting.is_none() && input != controller::Input::Ended {
            return;
        }
        self.duty.note_cause(&input);
        self.feed(false, input);
        self.take_handovers_back();
        self.resume_scheduling();
        self.turn.progressed();
    }

    /// Feeds the controller of a node without quorum.
    pub(super) fn control_lone(&mut self, input: controller::Input) {
        self.feed(true, input);
    }

    /// Some commands are answered while they are carried out. Their answers wait for their turn: a
    /// chain of thousands would else nest as deep.
    fn feed(&mut self, lone: bool, input: controller::Input) {
        self.duty.inputs.push_back((lone, input));
        if std::mem::replace(&mut self.duty.feeding, true) {
            return;
        }
        while let Some((lone, input)) = self.duty.inputs.pop_front() {
            let controller = if lone {
                &mut self.duty.lone
            } else {
                &mut self.duty.controller
            };
            let commands = controller.step(boottime_ms(), input);
            self.carry_out(commands, lone);
        }
        self.duty.feeding = false;
    }

    fn carry_out(&mut self, commands: Vec<Command>, lone: bool) {
        for command in commands {
            match command {
                Command::Schedule => self.schedule(lone),
                Command::Execute {
                    node,
                    request,
                    then,
                } => {
                    let then = then.filter(|_| !lone);
                    if !then.is_some_and(|then| self.hand_over(&node, &request, &then)) {
                        self.command(&node, NodeCommand::Run(request), lone);
                    }
                }
                Command::Perform { transition, action } => self.perform(transition, &action, lone),
                Command::Idle => self.at_rest(lone),
                Command::Notice { code, text } => self.notice(code, text),
            }
        }
    }

    fn at_rest(&mut self, lone: bool) {
        tracing::info!("nothing is left to do");
        if !lone {
            self.forget_deleted();
        }
    }

    pub(super) fn publish_progress(&mut self) {
        if self.standing.acting.is_none() {
            return;
        }
        let report = DcReport {
            idle: self.duty.controller.is_idle(),
            seq: self.duty.answered_seq(self.replica.seq()),
            progress: self.duty.controller.progress(),
        };
        if report != self.duty.published {
            self.duty.published = report;
            let item = Item::Dc(report);
            self.publish(vec![(item.key(), Some(item.value()))]);
            self.clients_dc_moved();
        }
    }

    /// One of this process's controllers asked for the step.
    pub(super) fn waits_for(&self, step: Step) -> bool {
        step.duty == self.duty.id || step.duty == self.duty.lone_id
    }

    /// An action other than an agent's is carried out, or not. Answers that a controller of
    /// another process waited for are passed over.
    pub(super) fn confirm(&mut self, step: Step, ok: bool) {
        let Step {
            duty,
            transition,
            action,
        } = step;
        let input = controller::Input::Confirmed {
            transition,
            action,
            ok,
        };
        if duty == self.duty.id {
            self.control(input);
        } else if duty == self.duty.lone_id {
            self.control_lone(input);
        }
    }
}

/// A random UUID (version 4) for this DC's transition keys.
fn uuid() -> String {
    let b: [u8; 16] = OsEntropy::array();
    let hex: String = b.iter().map(|b| format!("{b:02x}")).collect();
    format!(
        "{}-{}-4{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_looks_like_one() {
        let uuid = uuid();
        let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
    }

    #[test]
    fn a_plan_answers_for_entries_that_changed_nothing() {
        let mut duty = Duty::new();
        duty.note_change(5);
        duty.planned_seq = 4;
        assert_eq!(
            duty.answered_seq(9),
            4,
            "the change of 5 is not planned yet"
        );
        duty.planned_seq = 5;
        assert_eq!(duty.answered_seq(9), 9);
    }
}
