//! What must always hold, whatever happens: the invariants of the protocol, checked against the
//! truth that only a simulator knows (every disk, every process, one true time).
//!
//! | invariant | where |
//! |---|---|
//! | I1, I10, I12, I19 | `disk`; I10 in `told`, too |
//! | I2, I3, I18 | `authority` |
//! | I4, I6, I7, I9 | `log`, and `told` for what applications see |
//! | I5 | `quorum`, asked by `log` and `authority` |
//! | I8 | `log`, `told`, `authority`; with real time in `order` |
//! | I13, I17 | `told` |
//! | I14 | for addresses in `kernel` (R12); other resources are the daemons' (end-to-end tests) |
//! | I15 | here (a poisoned boot), `log` (who is proved gone) |
//! | I16 | `fencing` |
//! | I20 | `class_u` |
//! | I23, I26 | `run`, when everything has healed; I26 in `told`, too |
//! | I24 | `a_sound_cluster_is_left_alone`, and the example's `--calm` |
//! | I25 | `bounds` |
//!
//! Not here: I11 and the sealed half of I22 are `wire`'s (its tests of attacks and relays), for cores
//! are given payloads that were authentic; I21, for there are no linearizable reads yet.

mod authority;
mod bounds;
mod class_u;
mod disk;
mod fencing;
mod log;
mod order;
mod quorum;
mod table;
mod told;
mod witness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use membership::message::{Hash, Message};
use membership::{
    Ballot, ConfigEntry, Entry, EntryBody, Event, NodeState, OpId, Refusal, SafetyRecord, Token,
    View, VoterSet, WitnessRecord,
};
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

use crate::node::{App, Node};
use table::{Met, Table};

/// A broken invariant.
#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: String,
    pub at_us: u64,
    pub text: String,
}

/// A committed entry, as it was when any node first called it committed.
#[derive(Clone, Debug)]
pub struct Fact {
    pub hash: Hash,
    pub entry: Entry,
    pub config: ConfigEntry,
    pub view: View,
    pub app: App,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fate {
    pub proposals: u32,
    pub acked: Option<u64>,
    pub refused: bool,
    committed: Option<u64>,
    /// Highest acknowledged position when it was first asked for.
    floor: u64,
    /// When it was first asked for, and first acknowledged.
    invoked: u64,
    answered: u64,
}

/// What was checked of a running process.
#[derive(Clone, Debug, Default)]
struct Seen {
    head: (u64, Hash),
    commit: u64,
    applied: u64,
    acting: Option<Ballot>,
    restricted: bool,
    paused_until: u64,
    accepted: View,
    view_no: u64,
    token: Option<(Ballot, u64, u64)>,
    met: Met,
    /// R5: it has met everybody, or everybody who votes, or was let in by somebody who had.
    let_in: bool,
}

/// A node's echo of another, and until when that binds it.
#[derive(Clone, Debug, Default)]
struct Given {
    echo: Option<membership::message::Echo>,
    until: u64,
}

/// Newest stamps of a process, as its own clock names them, and when it sent them first. An echo of
/// an earlier process' stamp counts from when it is given.
#[derive(Clone, Debug, Default)]
struct Stamps {
    of: Option<ProcessBoot>,
    sent: VecDeque<(u64, u64)>,
}

#[derive(Debug, Default)]
pub struct Oracle {
    pub violation: Option<Violation>,
    pub committed: Vec<Fact>,
    pub ops: BTreeMap<OpId, Fate>,
    pub acked: u64,
    /// Highest position acknowledged to any client so far.
    acked_through: u64,
    /// I16: fencings whose intent is committed, or durable on a lone node of two.
    intents: BTreeSet<(u64, NodeId)>,
    /// Class U: where an acknowledged operation stood, to be found there or in a conflict.
    unsafe_acks: BTreeMap<OpId, (u64, Hash, u32)>,
    /// Through where a lone half that wrote very much had compacted its log.
    compacted: BTreeMap<u32, u64>,
    conflicts: BTreeSet<OpId>,
    /// Class U: what was committed in a view of both nodes.
    shared: BTreeMap<u64, Hash>,
    /// I19: nodes whose disk lets them start alone, and in which view they were left.
    survivors: BTreeMap<u32, u64>,
    /// Two nodes without fencing: lone halves commit class U, and one of them may lose it.
    pub class_u: bool,
    hashes: BTreeMap<(Ballot, u64), Hash>,
    leaders: BTreeMap<Ballot, ProcessBoot>,
    /// Ballots that had their quorum of promises.
    led: BTreeSet<Ballot>,
    /// I9: what each version of the application names.
    versions: BTreeMap<(u64, u64), Hash>,
    /// By node and member.
    echoes: Table<Table<Given>>,
    /// Of each node's newest process.
    stamps: Table<Stamps>,
    /// Who answered a recovering process.
    answers: BTreeMap<u32, BTreeSet<NodeId>>,
    /// Which process spoke as which incarnation.
    spoken: Table<BTreeMap<u64, ProcessBoot>>,
    certified: BTreeSet<(NodeId, MachineBoot)>,
    left: BTreeSet<ProcessBoot>,
    left_clean: BTreeMap<NodeId, Identity>,
    last_seen: BTreeMap<NodeId, Identity>,
    seen: Table<Seen>,
    /// Highest ballot that a witness has promised, in any of its lives.
    witness_promised: Option<(Ballot, NodeId)>,
    nodes: usize,
    pub now: u64,
}

impl Oracle {
    pub fn new(nodes: usize, class_u: bool) -> Self {
        Self {
            nodes,
            class_u,
            ..Self::default()
        }
    }

    pub fn fail(&mut self, rule: &str, text: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation {
                rule: rule.to_owned(),
                at_us: self.now,
                text,
            });
        }
    }

    fn check(&mut self, ok: bool, rule: &str, text: impl FnOnce() -> String) {
        if !ok {
            self.fail(rule, text());
        }
    }

    /// A process starts or ends: what is known of the old one is void.
    pub fn process(&mut self, node: &Node) {
        let safety = node.disk.safety.as_ref();
        let survivor = safety.is_some_and(|s| {
            let alone = s.sole_survivor.as_ref();
            alone.is_some_and(|alone| alone.view_no == s.view_no)
        });
        let seen = Seen {
            let_in: survivor || self.nodes == 1,
            ..Seen::default()
        };
        *self.seen.at(node.id) = seen;
    }

    /// A disk was lost whole: what it promised not to forget is forgotten.
    pub fn disk_lost(&mut self, id: u32) {
        self.spoken.at(id).clear();
        self.survivors.remove(&id);
    }

    pub fn paused(&mut self, id: u32, until: u64) {
        let seen = self.seen.at(id);
        seen.paused_until = seen.paused_until.max(until);
    }

    /// Its clock stood still as well (a stopped virtual machine). What it takes for fresh is as old
    /// as the pause was long, so until its authority has run out by that clock it is outside of the
    /// bound under which I3 holds; its commits and commands are not, for they need others' word.
    pub fn clock_stood(&mut self, id: u32, until: u64) {
        self.paused(id, until);
    }

    pub fn heard(&mut self, id: u32, from: u32) {
        let nodes = self.nodes;
        let seen = self.seen.at(id);
        if seen.met.insert(from) && seen.met.len() + 1 >= nodes {
            seen.let_in = true;
        }
    }

    /// A packet leaves: whatever it relies on is on this very disk (I1, I10, I12, R1).
    pub fn sent(&mut self, node: &Node, to: &Node, message: &Message, deferred: bool) {
        let id = node.id;
        if node.witness.is_some() {
            return self.witness_sent(node, to, message);
        }
        let Some(safety) = &node.disk.safety else {
            self.fail(
                "I10",
                format!("node {id} speaks before its incarnation is on disk"),
            );
            return;
        };
        let me = node.me;
        self.check(safety.incarnation >= me.incarnation, "I10", || {
            format!(
                "node {id} speaks as incarnation {}, on disk is {}",
                me.incarnation, safety.incarnation
            )
        });
        let spoken = self.spoken.at(me.node.0).entry(me.incarnation);
        let spoken = *spoken.or_insert(me.process_boot);
        self.check(spoken == me.process_boot, "I10", || {
            format!(
                "two processes of node {id} speak as incarnation {}",
                me.incarnation
            )
        });
        match message {
            Message::Beat(beat) => {
                if let Some(stamp) = beat.stamp {
                    self.stamped(node, stamp);
                }
                if let Some(echo) = beat.echo.as_ref().filter(|e| e.member) {
                    self.echoed(node, to, echo);
                }
            }
            Message::Bye { .. } => {
                self.left.insert(me.process_boot);
            }
            _ => {}
        }
        let recovering = match &node.core {
            Some(core) if !deferred => core.is_recovering(),
            _ => safety.recovering,
        };
        self.promises(node, safety, message, recovering);
    }

    /// After every input of a node, before its outputs are carried out: I4, I6, I7.
    pub fn log_step(&mut self, nodes: &[Node], id: u32) {
        let Some(core) = nodes[id as usize - 1].core.as_ref() else {
            return;
        };
        let probe = core.probe();
        self.bounded(id, &probe);
        self.led.extend(probe.leads);
        let head = (probe.head.seq, probe.head.hash);
        let seen = self.seen.at(id);
        let old_head = std::mem::replace(&mut seen.head, head);
        let old_commit = std::mem::replace(&mut seen.commit, probe.commit);
        if old_head != head {
            self.log_matches(id, core);
        }
        self.accepts_view(id, core);
        if probe.commit > old_commit {
            self.commits(nodes, id, core, old_commit);
        }
    }

    /// After the outputs of a step: I2, I3, I8, I18.
    pub fn authority_step(&mut self, nodes: &[Node], id: u32) {
        let Some(core) = nodes[id as usize - 1].core.as_ref() else {
            return;
        };
        let probe = core.probe();
        let seen = self.seen.at(id);
        let began = probe.acting.is_some() && seen.acting != probe.acting;
        seen.acting = probe.acting;
        seen.restricted = probe.restricted;
        // Every node that votes, as its log has it: whoever lost its vote need not be waited for, nor
        // need the witness, which has nothing that a node could lack.
        let config = &core.log_state().config;
        let sets = std::iter::once(&config.current).chain(&config.next);
        let witness = config.current.witness;
        let voters = sets.flat_map(|s| &s.votes).map(|(node, _)| *node);
        let mut voters = voters.filter(|v| witness != Some(*v)).map(|v| v.0);
        let known = config.config_epoch > 0;
        seen.let_in = seen.let_in || known && voters.all(|v| v == id || seen.met.contains(v));
        let let_in = seen.let_in;
        if probe.acting.is_some() {
            if began {
                self.dc_begins(nodes, id, core, let_in);
            }
            self.one_dc(id);
        }
    }

    /// What the application of a node was told.
    pub fn event(&mut self, node: &Node, event: &Event) {
        let id = node.id;
        match event {
            Event::Committed(entry) => self.delivered(node, entry),
            Event::Restored { seq, state } => self.restored(node, *seq, state),
            Event::Outcome { op, result } => {
                self.outcome(id, *op, result);
                self.acked_unsafely(node, *op, result);
            }
            Event::Conflict { lost } => {
                let ops = lost.iter().filter_map(|e| match &e.body {
                    EntryBody::App { op, .. } => Some(*op),
                    _ => None,
                });
                self.conflicts.extend(ops);
            }
            Event::Command { token, from, .. } => self.command(node, token, *from),
            Event::FenceIntentLocal(intent) => self.intent(intent),
            Event::View(view) => self.view(node, view),
            Event::State {
                state: NodeState::Poisoned,
                ..
            } => {
                let mine = (node.me.node, node.me.machine_boot);
                let named = self.certified.contains(&mine);
                self.check(named, "I15", || {
                    format!("node {id} is poisoned, no certificate names its boot")
                });
            }
            _ => {}
        }
    }
}

/// Rounding and drift between a node's clock and true time, in microseconds.
const MARGIN_US: u64 = 4_000;
/// Stamps of a process kept before the old ones are forgotten.
const STAMPS_MAX: usize = 4_096;
/// How long a stamp may matter, in microseconds: longer than any hold.
const STAMPS_US: u64 = 10_000_000;
