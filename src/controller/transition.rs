//! One transition graph in execution.

use super::{Command, Then, is_agent_action};
use crate::executor::OpRequest;
use scheduler::{Action, ActionKind, Graph, Synapse};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A graph with what has become of each of its actions.
#[derive(Clone, Debug)]
pub struct Transition {
    number: u32,
    uuid: String,
    synapses: Vec<Step>,
    /// Action number to position.
    index: BTreeMap<u32, usize>,
    /// Positions of the starts of each resource.
    starts: BTreeMap<String, Vec<usize>>,
    /// Positions of the actions that wait for an action.
    waiting: BTreeMap<u32, Vec<usize>>,
    /// What may be fired, the most urgent first.
    ready: BTreeSet<Turn>,
    /// Positions of what was fired and not answered.
    in_flight: BTreeSet<usize>,
    in_flight_max: usize,
    cluster_delay_ms: u64,
    fencing_timeout_ms: u64,
    aborted: Option<String>,
}

#[derive(Clone, Debug)]
struct Step {
    synapse: Synapse,
    waits_for: BTreeSet<u32>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    InFlight {
        deadline_ms: u64,
    },
    Done,
    Failed,
    /// Taken back before it was begun.
    Withdrawn,
}

impl State {
    fn deadline_ms(self) -> Option<u64> {
        match self {
            Self::InFlight { deadline_ms } => Some(deadline_ms),
            _ => None,
        }
    }
}

/// Place of an action among those that are ready: nodes go last, then by priority, then by the
/// graph's order. A node that stops may be the DC itself: what it set off elsewhere lands first.
type Turn = (bool, Reverse<i32>, usize);

/// What an answer meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// As planned.
    Expected,
    /// Not as planned; in words.
    Failed(String),
    /// A probe found something else than the plan was made on; in words. No failure.
    Surprise(String),
    /// Not of this transition.
    Foreign,
}

impl Transition {
    /// Takes a graph over. An input that names no action of the graph counts as met.
    #[must_use]
    pub fn start(number: u32, uuid: &str, graph: Graph, _now_ms: u64) -> Self {
        let index: BTreeMap<u32, usize> = graph
            .synapses
            .iter()
            .enumerate()
            .map(|(i, s)| (s.action.id, i))
            .collect();
        let synapses = graph.synapses.into_iter().map(|synapse| Step {
            waits_for: synapse
                .inputs
                .iter()
                .copied()
                .filter(|i| index.contains_key(i))
                .collect(),
            synapse,
            state: State::Waiting,
        });
        let synapses: Vec<Step> = synapses.collect();
        let mut waiting: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, step) in synapses.iter().enumerate() {
            for input in &step.waits_for {
                waiting.entry(*input).or_default().push(at);
            }
        }
        let mut starts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, step) in synapses.iter().enumerate() {
            let action = &step.synapse.action;
            if let Some(resource) = action.resource.as_ref().filter(|_| is_start(action)) {
                starts.entry(resource.id.clone()).or_default().push(at);
            }
        }
        let turns = synapses.iter().enumerate();
        let ready = turns
            .filter(|(_, s)| s.is_ready())
            .map(|(at, s)| s.turn(at));
        let batch = graph.batch_limit as usize;
        Self {
            number,
            uuid: uuid.to_owned(),
            ready: ready.collect(),
            in_flight: BTreeSet::new(),
            starts,
            waiting,
            synapses,
            index,
            in_flight_max: if batch == 0 {
                IN_FLIGHT_MAX
            } else {
                batch.min(IN_FLIGHT_MAX)
            },
            cluster_delay_ms: graph.cluster_delay_ms,
            fencing_timeout_ms: graph.fencing_timeout_ms,
            aborted: None,
        }
    }

    /// Its number, as in transition keys.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Why no new action is fired, if so.
    #[must_use]
    pub fn aborted(&self) -> Option<&str> {
        self.aborted.as_deref()
    }

    /// Actions done, actions in all.
    #[must_use]
    pub fn progress(&self) -> (u32, u32) {
        let done = self
            .synapses
            .iter()
            .filter(|s| s.state == State::Done)
            .count();
        (done as u32, self.synapses.len() as u32)
    }

    /// Some action ended otherwise than planned.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.synapses.iter().any(|s| s.state == State::Failed)
    }

    /// Fires no new action from now on; what is in flight is awaited, except fencing.
    pub fn abort(&mut self, why: &str) {
        self.aborted.get_or_insert_with(|| why.to_owned());
    }

    /// Nothing is awaited and nothing can be fired.
    ///
    /// A fencing under way does not hold up the plan after an abort: a slow device would leave what
    /// was stopped half-way down for minutes (Pacemaker waits for it). The target counts as lost
    /// until the device is done, so the next plan asks for the same fencing and joins it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self.aborted {
            None => self.in_flight.is_empty() && self.ready.is_empty(),
            Some(_) => self.in_flight.iter().all(|at| self.synapses[*at].fences()),
        }
    }

    /// Fires everything that is ready, up to the bound; pseudo actions are confirmed at once and
    /// may make others ready.
    pub(super) fn fire(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        while self.aborted.is_none() {
            let Some(at) = self.next_ready() else { return };
            let action = self.synapses[at].synapse.action.clone();
            if action.kind == ActionKind::Pseudo {
                self.settle(at, State::Done);
                continue;
            }
            // A fencing has no timeout of its own (controld_execute_fence_action takes the graph's).
            let fencing_ms = match self.synapses[at].fences() {
                true => self.fencing_timeout_ms,
                false => 0,
            };
            let own_ms = action.timeout_ms.max(fencing_ms) + action.start_delay_ms;
            let deadline_ms = now_ms + own_ms + self.cluster_delay_ms.max(ANSWER_GRACE_MS_MIN);
            self.synapses[at].state = State::InFlight { deadline_ms };
            self.ready.remove(&self.synapses[at].turn(at));
            self.in_flight.insert(at);
            match (&action.node, is_agent_action(&action)) {
                (Some(_), true) => {
                    let (node, request) = self.order(&action);
                    let next = self.next_start(&action);
                    let then = next.map(|at| {
                        let (node, request) = self.order(&self.synapses[at].synapse.action);
                        Then { node, request }
                    });
                    out.push(Command::Execute {
                        node,
                        request,
                        then,
                    });
                }
                _ => out.push(Command::Perform {
                    transition: self.number,
                    action: Box::new(action),
                }),
            }
        }
    }

    /// An action as its node's executor is asked for it.
    fn order(&self, action: &Action) -> (String, Box<OpRequest>) {
        let (_, node) = action.node.clone().unwrap_or_default();
        let node = action.router_node.clone().unwrap_or(node);
        (node, Box::new(request_of(action, &self.key_of(action))))
    }

    /// The start elsewhere of what this stops, if nothing but this is left to wait for.
    fn next_start(&self, stop: &Action) -> Option<usize> {
        let resource = stop
            .resource
            .as_ref()
            .filter(|_| stop.operation == "stop")?;
        let mut starts = self.starts.get(&resource.id)?.iter().copied();
        starts.find(|at| {
            let step = &self.synapses[*at];
            let elsewhere = step.synapse.action.node != stop.node;
            let waits = step.is_waiting() && !step.is_ready();
            elsewhere && waits && self.waits_only_for(*at, stop.id)
        })
    }

    /// What the action waits for, directly or by pseudo actions, is that other one and no other.
    fn waits_only_for(&self, at: usize, id: u32) -> bool {
        let mut open = vec![at];
        let mut seen = BTreeSet::new();
        while let Some(at) = open.pop() {
            for input in self.synapses[at].waits_for.iter().filter(|i| **i != id) {
                let before = self.index.get(input).copied();
                let passes = before.filter(|at| {
                    let step = &self.synapses[*at];
                    step.synapse.action.kind == ActionKind::Pseudo && step.state == State::Waiting
                });
                let Some(before) = passes else {
                    return false;
                };
                if seen.insert(before) {
                    open.push(before);
                }
            }
        }
        true
    }

    /// The action is under way ahead of its turn: what it waits for ends first, and both are awaited.
    pub(super) fn take(&mut self, key: &str) {
        let found = self.action_of(key).and_then(|id| self.index.get(&id));
        let Some(at) = found.copied().filter(|at| self.synapses[*at].is_waiting()) else {
            return;
        };
        let action = &self.synapses[at].synapse.action;
        let flying = self.in_flight.iter().map(|at| self.synapses[*at].state);
        let last_ms = flying.filter_map(State::deadline_ms).max().unwrap_or(0);
        let deadline_ms = last_ms + action.timeout_ms + ANSWER_GRACE_MS_MIN;
        self.ready.remove(&self.synapses[at].turn(at));
        self.synapses[at].state = State::InFlight { deadline_ms };
        self.in_flight.insert(at);
    }

    /// An executor's result.
    pub(super) fn op_done(&mut self, key: &str, rc: i32, op_status: i32) -> Answer {
        let Some(id) = self.action_of(key) else {
            return Answer::Foreign;
        };
        let Some(&at) = self.index.get(&id) else {
            return Answer::Foreign;
        };
        let step = &self.synapses[at];
        if !matches!(step.state, State::InFlight { .. }) {
            return Answer::Foreign;
        }
        let action = &step.synapse.action;
        let ok = op_status == 0 && (rc == action.target_rc || is_probe(action));
        let surprise = is_probe(action) && rc != action.target_rc;
        let can_fail = action.can_fail;
        let what = format!(
            "{} on {} returned {rc} instead of {}",
            action.key,
            action.node.as_ref().map_or("?", |n| &n.1),
            action.target_rc
        );
        self.settle(
            at,
            if ok || can_fail {
                State::Done
            } else {
                State::Failed
            },
        );
        // A probe that finds something is no failure, but what was planned on its absence is void.
        match (ok || can_fail, surprise) {
            (false, _) => Answer::Failed(what),
            (true, true) => Answer::Surprise(what),
            (true, false) => Answer::Expected,
        }
    }

    /// An action in flight was taken back: nothing that follows it may be done.
    pub(super) fn withdraw(&mut self, key: &str) {
        let found = self.action_of(key).and_then(|id| self.index.get(&id));
        if let Some(&at) = found
            && matches!(self.synapses[at].state, State::InFlight { .. })
        {
            self.settle(at, State::Withdrawn);
        }
    }

    /// The answer to [`Command::Perform`].
    pub(super) fn confirm(&mut self, action: u32, ok: bool) -> Answer {
        let Some(&at) = self.index.get(&action) else {
            return Answer::Foreign;
        };
        if !matches!(self.synapses[at].state, State::InFlight { .. }) {
            return Answer::Foreign;
        }
        let key = self.synapses[at].synapse.action.key.clone();
        let fine = ok || self.synapses[at].synapse.action.can_fail;
        self.settle(at, if fine { State::Done } else { State::Failed });
        if fine {
            Answer::Expected
        } else {
            Answer::Failed(format!("{key} failed"))
        }
    }

    /// Gives up on everything in flight on a node that left.
    pub(super) fn node_gone(&mut self, node: &str) {
        for at in self.in_flight.clone() {
            let step = &self.synapses[at];
            let there = step
                .synapse
                .action
                .node
                .as_ref()
                .is_some_and(|(_, name)| name == node);
            if matches!(step.state, State::InFlight { .. }) && there && !step.fences() {
                let leaving = step.synapse.action.operation == "do_shutdown";
                self.settle(at, if leaving { State::Done } else { State::Failed });
            }
        }
    }

    /// Gives up on actions whose answer is overdue; returns each in words.
    pub(super) fn expire(&mut self, now_ms: u64) -> Vec<String> {
        let mut late = Vec::new();
        for at in self.in_flight.clone() {
            let step = &self.synapses[at];
            if let State::InFlight { deadline_ms } = step.state
                && deadline_ms <= now_ms
            {
                let action = &step.synapse.action;
                let node = action.node.as_ref().map_or("?", |n| &n.1);
                late.push(format!("{} on {node} gave no answer in time", action.key));
                self.settle(at, State::Failed);
            }
        }
        if let Some(first) = late.first() {
            self.aborted.get_or_insert_with(|| first.clone());
        }
        late
    }

    pub(super) fn next_timeout_ms(&self) -> Option<u64> {
        let deadline = |at: &usize| self.synapses[*at].state.deadline_ms();
        self.in_flight.iter().filter_map(deadline).min()
    }

    fn next_ready(&self) -> Option<usize> {
        let room = self.in_flight.len() < self.in_flight_max;
        let fits = |turn: &&Turn| {
            let kind = self.synapses[turn.2].synapse.action.kind;
            room || kind == ActionKind::Pseudo
        };
        let (goes, _, at) = *self.ready.iter().find(fits)?;
        let others_fly = || self.in_flight.iter().any(|at| !self.synapses[*at].goes());
        (!(goes && others_fly())).then_some(at)
    }

    fn settle(&mut self, at: usize, state: State) {
        self.ready.remove(&self.synapses[at].turn(at));
        self.in_flight.remove(&at);
        self.synapses[at].state = state;
        if state != State::Done {
            return;
        }
        let id = self.synapses[at].synapse.action.id;
        for after in self.waiting.remove(&id).unwrap_or_default() {
            let step = &mut self.synapses[after];
            step.waits_for.remove(&id);
            if step.is_ready() {
                self.ready.insert(step.turn(after));
            }
        }
    }

    /// `ACTION:TRANSITION:TARGET_RC:UUID`, as Pacemaker's transition keys.
    fn key_of(&self, action: &Action) -> String {
        format!(
            "{}:{}:{}:{}",
            action.id, self.number, action.target_rc, self.uuid
        )
    }

    fn action_of(&self, key: &str) -> Option<u32> {
        let mut parts = key.splitn(4, ':');
        let action = parts.next()?.parse().ok()?;
        let number: u32 = parts.next()?.parse().ok()?;
        let uuid = parts.nth(1)?;
        (number == self.number && uuid == self.uuid).then_some(action)
    }
}

impl Step {
    fn turn(&self, at: usize) -> Turn {
        (self.goes(), Reverse(self.synapse.priority), at)
    }

    /// A node's leaving.
    fn goes(&self) -> bool {
        self.synapse.action.operation == "do_shutdown"
    }

    /// A node's death.
    fn fences(&self) -> bool {
        self.synapse.action.operation == "stonith"
    }

    fn is_ready(&self) -> bool {
        self.is_waiting() && self.waits_for.is_empty()
    }

    fn is_waiting(&self) -> bool {
        self.state == State::Waiting
    }
}

/// The executor's request for an agent action.
///
/// An agent is told the name that the history has, as Pacemaker's executor does: that of an
/// anonymous clone's instance is without its number, which the scheduler gives out anew each time.
/// What an agent files under it (a state file, `master-NAME`) must be found again.
#[must_use]
pub fn request_of(action: &Action, transition_key: &str) -> OpRequest {
    let resource = action.resource.clone();
    let id = resource.as_ref().map(|r| r.id.clone()).unwrap_or_default();
    OpRequest {
        instance: id.clone(),
        rsc: id,
        class: resource
            .as_ref()
            .map(|r| r.class.clone())
            .unwrap_or_default(),
        provider: resource.as_ref().and_then(|r| r.provider.clone()),
        kind: resource.map(|r| r.kind).unwrap_or_default(),
        operation: action.operation.clone(),
        interval_ms: action.interval_ms,
        timeout_ms: action.timeout_ms,
        start_delay_ms: action.start_delay_ms,
        params: action.params.clone(),
        meta: (&action.meta).into(),
        target_rc: action.target_rc,
        transition_key: transition_key.to_owned(),
        digest: action.digest.clone().unwrap_or_default(),
        on_fail: action.on_fail.clone(),
    }
}

fn is_start(action: &Action) -> bool {
    action.kind == ActionKind::Rsc && action.operation == "start"
}

/// A monitor without interval: its answer is news, not a failure.
fn is_probe(action: &Action) -> bool {
    action.operation == "monitor" && action.interval_ms == 0
}

/// Most actions in flight at once where the cluster sets no `batch-limit`.
const IN_FLIGHT_MAX: usize = 256;
/// Least time, in milliseconds, that an answer may take beyond the action's own timeout.
const ANSWER_GRACE_MS_MIN: u64 = 60_000;
