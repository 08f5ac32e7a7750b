//! The DC's duties in the world: plans are made and commands sent. What to do when is decided by
//! `controller`; fencing is in `fences`.

use super::app::{App, Own, now_s};
use super::fences::Fences;
use super::peer::{self, DcReport, DutyId, Item, NodeCommand, Step};
use crate::controller::{self, Command, Controller};
use crate::ipc::Edit;
use crate::replica::LoggedChange;
use crate::transport::{OsEntropy, boottime_ms};
use crate::vip::lease::is_leased;
use cib::edit;
use membership::{Ballot, EntryBody, Input};
use scheduler::{Action, ActionKind, Options, Plan};
use std::collections::{BTreeSet, VecDeque};
use wire::NodeId;

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
    /// What ended the last rest of the DC's controller, and when: why addresses move.
    cause: (String, u64),
}

/// Which plan was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanFor {
    number: u64,
    /// For the controller of a node without quorum.
    lone: bool,
    /// Last log entry that it sees.
    seq: u64,
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

    /// Makes a plan beside the loop. The DC waits until every member has said what runs there: a
    /// plan made on silence could start a second copy.
    fn schedule(&mut self, lone: bool) {
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
    pub(super) fn absent_for_plan(&self) -> BTreeSet<u32> {
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
    pub(super) fn resume_scheduling(&mut self) {
        if self.duty.awaiting_since_ms.is_some() && self.may_plan() {
            self.forget_awaiting();
            self.schedule(false);
        }
    }

    fn forget_awaiting(&mut self) {
        self.duty.awaiting_since_ms = None;
        self.duty.awaiting_told = false;
        self.notices.clear("awaiting-reports");
    }

    /// When a person is to be told whom the DC waits for, once.
    pub(super) fn await_notice_ms(&self) -> Option<u64> {
        let since = self.duty.awaiting_since_ms?;
        (!self.duty.awaiting_told).then_some(since + AWAIT_NOTICE_MS)
    }

    pub(super) fn awaiting_on_time(&mut self, now_ms: u64) {
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

    pub(super) fn planned(&mut self, wanted: PlanFor, mut plan: Box<Plan>) {
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
            super::silence::withhold(&mut plan, &self.active_on_the_absent());
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

    fn command(&mut self, node: &str, command: NodeCommand, lone: bool) {
        let Some(to) = self.peers.by_name(node) else {
            let text = format!(
                "a command for {node} was not sent: no node of that name is in corosync.conf"
            );
            return self.notice("unknown-node", text);
        };
        if lone {
            // A node may always stop its own: it needs no DC's authority, and none can object.
            return self.obey(None, command);
        }
        match command {
            NodeCommand::Run(request) if request.operation == "start" && is_leased(&request) => {
                self.start_leased(to, request);
            }
            command => self.command_to(to, command),
        }
    }

    /// Sends a command by this DC's authority.
    pub(super) fn command_to(&mut self, to: NodeId, command: NodeCommand) {
        if to == self.me.node {
            let view_no = self.standing.view.view_no;
            let token = self.standing.acting.map(|b| (b.counter, view_no));
            return self.obey(Some(token.unwrap_or_default()), command);
        }
        self.turn.command(to, command);
    }

    /// The controller's own actions.
    fn perform(&mut self, transition: u32, action: &Action, lone: bool) {
        let duty = if lone {
            self.duty.lone_id
        } else {
            self.duty.id
        };
        let step = Step {
            duty,
            transition,
            action: action.id,
        };
        let node = action.node.clone().unwrap_or_default();
        let rsc = action
            .resource
            .as_ref()
            .map(|r| r.id.clone())
            .or_else(|| rsc_of(action));
        let command = match (action.operation.as_str(), rsc) {
            ("stonith", _) => return self.fence_as_planned(action, &node, step),
            // The DC goes last: what its graph still starts elsewhere is finished first. The next
            // plan says it again.
            ("do_shutdown", _)
                if node.1 == self.peers.name(self.me.node) && self.has_more_to_do() =>
            {
                return self.confirm(step, true);
            }
            ("do_shutdown", _) => NodeCommand::Shutdown {
                seq: self.replica.seq(),
            },
            ("cancel", Some(rsc)) => {
                let (operation, interval_ms) = recurring_of(action);
                NodeCommand::Cancel {
                    step,
                    rsc,
                    operation,
                    interval_ms,
                }
            }
            ("delete" | "lrm_delete", Some(rsc)) => NodeCommand::Forget { step, rsc },
            ("clear_failcount", Some(rsc)) => NodeCommand::ClearFailures {
                step,
                rsc,
                operation: failed_operation(action),
            },
            // Bookkeeping of Pacemaker's daemons that has no counterpart here.
            _ => return self.confirm(step, true),
        };
        self.command(&node.1, command, lone);
    }

    /// One of this process's controllers asked for the step.
    pub(super) fn waits_for(&self, step: Step) -> bool {
        step.duty == self.duty.id || step.duty == self.duty.lone_id
    }

    /// An action other than an agent's is carried out, or not. Answers that a controller of
    /// another process waited for are passed over.
    /// The running graph has actions left beside the one that is being carried out.
    fn has_more_to_do(&self) -> bool {
        let progress = self.duty.controller.progress();
        progress.is_some_and(|(done, all)| done + 1 < all)
    }

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

    /// Nodes and the properties that tell tools what cluster this is.
    pub(super) fn describe_cluster(&mut self) {
        if self.standing.acting.is_none() {
            return;
        }
        let mut new = self.replica.cib().clone();
        for (id, name) in &self.peers.names {
            let known = cib::config::Config::new(&new).nodes().into_iter();
            let known = known.filter(|n| n.id == id.to_string());
            let before = known.map(|n| n.uname.to_owned()).next();
            if let Some(before) = before.filter(|before| before != name) {
                rename_in(new.section_mut(cib::Section::Constraints), &before, name);
            }
            edit::ensure_node(&mut new, &id.to_string(), name);
        }
        let directory = self.replica.directory();
        let removed = |n: &cib::Element| {
            let id = n.id().and_then(|id| id.parse().ok());
            n.name == "node" && id.is_some_and(|id| directory.was_removed(id))
        };
        let nodes = &mut new.section_mut(cib::Section::Nodes).children;
        nodes.retain(|n| !removed(n));
        edit::set_property(&mut new, "have-watchdog", Some("false"));
        edit::set_property(&mut new, "dc-version", Some(crate::DC_VERSION));
        edit::set_property(&mut new, "cluster-infrastructure", Some("corosync"));
        if !self.conf.cluster_name.is_empty() {
            edit::set_property(&mut new, "cluster-name", Some(&self.conf.cluster_name));
        }
        if new.root() == self.replica.cib().root() {
            return;
        }
        let Ok(patch) = cib::Patch::between(self.replica.cib().root(), new.root()) else {
            return;
        };
        let diff = Edit::Patch(cib::xml::compact(&patch.to_xml()));
        let change = LoggedChange::own(now_s(), &self.peers.name(self.me.node), diff);
        let op = Self::new_op();
        let body = EntryBody::App {
            op,
            origin: self.me.node,
            payload: change.encode(),
        };
        self.input(Input::Propose { op, body });
    }

    /// A cluster property that is a time, in milliseconds.
    pub(super) fn option_ms(&self, name: &str, default: u64) -> u64 {
        let config = cib::config::Config::new(self.replica.cib());
        config
            .property(name)
            .and_then(|text| cib::value::parse_interval_ms(text).ok())
            .unwrap_or(default)
    }

    /// A cluster property.
    pub(super) fn option(&self, name: &str) -> Option<String> {
        cib::config::Config::new(self.replica.cib())
            .property(name)
            .map(str::to_owned)
    }
}

/// Constraints name nodes by their names.
fn rename_in(element: &mut cib::Element, before: &str, after: &str) {
    if element.attr("node") == Some(before) {
        element.set("node", after);
    }
    for child in &mut element.children {
        rename_in(child, before, after);
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

/// The resource of an action that is not an agent's, from its key `RSC_OPERATION_INTERVAL`.
fn rsc_of(action: &Action) -> Option<String> {
    let suffix = format!("_{}_", action.operation);
    action
        .key
        .rfind(&suffix)
        .map(|at| action.key[..at].to_owned())
}

/// Operation and interval that a `cancel` names.
fn recurring_of(action: &Action) -> (String, u64) {
    let operation = action.meta.get("operation").unwrap_or("monitor").to_owned();
    let interval = action.meta.get("interval").and_then(|i| i.parse().ok());
    (operation, interval.unwrap_or(action.interval_ms))
}

/// The one operation whose failures a `clear_failcount` names; `None` = all.
fn failed_operation(action: &Action) -> Option<(String, u64)> {
    let operation = action.meta.get("operation")?.to_owned();
    let interval = action
        .meta
        .get("interval")
        .and_then(|i| i.parse().ok())
        .unwrap_or(0);
    Some((operation, interval))
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

/// After this time, in milliseconds, a person is told which members do not report.
const AWAIT_NOTICE_MS: u64 = 5_000;
/// Longest time between two looks at the plan (Pacemaker's `cluster-recheck-interval` default).
const RECHECK_MS: u64 = 15 * 60 * 1000;

/// The code of the notice that a configuration is bigger than the scheduler looks at.
const PLAN_REFUSED: &str = "plan-refused";

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
