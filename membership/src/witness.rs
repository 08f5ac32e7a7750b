//! The witness (R7): a vote in the quorum that keeps no log.
//!
//! It stores one promise and the last VIEW a coordinator gave it, and promises a ballot only to
//! members of that view. A coordinator gives it a view once every member has it on disk, and counts
//! the witness for an entry only when every member of every view the witness may have stored has the
//! entry (`arbiter.rs`). So whoever the witness helps to lead has everything that was committed with
//! its help. What R0 asks of an echo holds for it as for anybody.

mod decide;
mod disk;
mod echo;
mod talk;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use wire::{Identity, NodeId};

use crate::config::{Config, StartError};
use crate::message::{self, Beat, DecodeError, Echo, Ends, Heard, Known, Message, Point, Stamp};
use crate::mutant::{self, Mutant};
use crate::peer::Peer;
use crate::*;

/// A view as the witness stores it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessView {
    /// Ballot of the coordinator that gave it.
    pub ballot: Ballot,
    /// Its number.
    pub view_no: u64,
    /// Where the VIEW stands in the log: every member has the log through here.
    pub seq: u64,
    /// Configuration in force at that entry.
    pub config_epoch: u64,
    /// Members with their processes' incarnations, ascending; at most [`WITNESS_NODES_MAX`].
    pub members: Vec<(NodeId, u64)>,
}

impl WitnessView {
    /// Is the node a member, as whatever process?
    pub fn has(&self, node: NodeId) -> bool {
        self.members.iter().any(|(n, _)| *n == node)
    }

    fn names(&self, identity: &Identity) -> bool {
        self.members
            .contains(&(identity.node, identity.incarnation))
    }
}

/// All a witness ever writes down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessRecord {
    /// Starts of the process.
    pub incarnation: u64,
    /// Highest ballot promised.
    pub promised: Ballot,
    /// Largest hold ever echoed, in microseconds (R0).
    pub hold_us_max: u64,
    /// What it had is lost, or it never had anything: no vote before all nodes have answered.
    pub recovering: bool,
    /// The last view.
    pub view: Option<WitnessView>,
}

impl WitnessRecord {
    /// The record's bytes: format, then content; at most some 500.
    pub fn encode(&self) -> Vec<u8> {
        message::encode(self)
    }

    /// A record from bytes; never panics.
    ///
    /// # Errors
    /// Another format, or no record.
    pub fn decode(bytes: &[u8]) -> Result<Self, message::DecodeError> {
        message::decode(bytes)
    }
}

/// How a witness stands, for its status line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessStatus {
    /// This process.
    pub me: Identity,
    /// It has a vote.
    pub votes: bool,
    /// Nodes whose answer is awaited before it votes.
    pub awaited: Vec<NodeId>,
    /// Highest ballot promised.
    pub promised: Ballot,
    /// The view stored.
    pub view: Option<WitnessView>,
    /// Nodes heard.
    pub hears: Vec<NodeId>,
}

/// The acceptor of one cluster. Same driver contract as [`Core`].
#[derive(Debug)]
pub struct Witness {
    cfg: Config,
    me: Identity,
    now: Time,
    started: Time,
    out: VecDeque<Output>,
    /// What was decided, and what of it is on disk.
    record: WitnessRecord,
    safe: WitnessRecord,
    next_write: u64,
    /// Writes under way, oldest first.
    flying: VecDeque<(u64, WitnessRecord)>,
    /// What waits for the next one.
    waiting: Vec<disk::Waiting>,
    failed: bool,
    peers: BTreeMap<NodeId, Peer>,
    withhold_until: Time,
    promised_at_start: Ballot,
    /// Last promise of this process: when, the candidate's head, the ballot.
    promise: Option<(Time, Point, Ballot)>,
    beat_at: Time,
    told: Option<Told>,
    asked: Option<Time>,
    answers: BTreeMap<NodeId, (Identity, Ballot)>,
    state: NodeState,
}

#[derive(Debug, PartialEq, Eq)]
struct Told {
    row: Vec<Heard>,
    dc_lost: bool,
    fit: bool,
    ballot: Ballot,
    view_no: u64,
}

impl Witness {
    /// Opens a witness over what its store gave back (`None`: nothing, or nothing sound).
    ///
    /// # Errors
    /// The configuration contradicts itself or names no such witness; the incarnation does not
    /// follow the stored one.
    pub fn start(
        config: Config,
        stored: Option<WitnessRecord>,
        now: Time,
    ) -> Result<Self, StartError> {
        config.check()?;
        let bad = |why: &str| Err(StartError::Config(why.to_owned()));
        if config.voters.witness != Some(config.me.node) {
            return bad("this node is not the configured witness");
        }
        if config.peers.len() > WITNESS_NODES_MAX {
            return bad("too many nodes for a witness");
        }
        let lost = stored.is_none();
        let mut record = stored.clone().unwrap_or_default();
        if config.me.incarnation <= record.incarnation {
            let (given, stored) = (config.me.incarnation, record.incarnation);
            return Err(StartError::Incarnation { given, stored });
        }
        record.incarnation = config.me.incarnation;
        record.recovering |= lost && !mutant::on(Mutant::WitnessLostVotes);
        let promised_at_start = record.promised;
        let peers = config.peers.iter().map(|p| (p.node, Peer::new(p)));
        let mut witness = Self {
            me: config.me,
            now,
            started: now,
            out: VecDeque::new(),
            withhold_until: now.plus(record.hold_us_max),
            safe: stored.unwrap_or_default(),
            next_write: 1,
            flying: VecDeque::new(),
            waiting: Vec::new(),
            failed: false,
            peers: peers.collect(),
            promised_at_start,
            promise: None,
            beat_at: now,
            told: None,
            asked: None,
            answers: BTreeMap::new(),
            state: NodeState::Boot,
            record,
            cfg: config,
        };
        witness.assume_echoed();
        witness.flush();
        if lost {
            witness.notice(
                "witness-empty",
                None,
                "this witness has no store: it has a vote once every node of the cluster has told it \
                 what was promised"
                    .to_owned(),
            );
        }
        Ok(witness)
    }

    /// Takes one input at time `now`; then drain [`Self::poll`].
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::SessionUp { peer } => drop(self.session(peer)),
            Input::Packet {
                from,
                link,
                payload,
            } => self.packet(from, link, || Message::decode(&payload)),
            Input::Message {
                from,
                link,
                message,
            } => self.packet(from, link, || Ok(*message)),
            Input::Durable { write } => self.on_durable(write),
            Input::StoreFailed { reason } => {
                self.failed = true;
                let text =
                    format!("the store failed ({reason}): this witness has no vote any more");
                self.notice("store-failed", None, text);
            }
            Input::Outdated { incarnation, .. } => self.on_outdated(incarnation),
            // It has no log, no clients and no resources.
            _ => {}
        }
        self.check_recovery();
        self.report();
        self.send_beats();
        self.flush();
    }

    /// The next thing to do in the world.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// The incarnation is on disk: handshakes and packets may leave.
    pub fn may_speak(&self) -> bool {
        self.safe.incarnation >= self.me.incarnation
    }

    /// What is on disk, for oracles.
    pub fn stored(&self) -> &WitnessRecord {
        &self.safe
    }

    /// How it stands.
    pub fn status(&self) -> WitnessStatus {
        let current = |node: &&NodeId| !self.answered(**node);
        let awaited = match self.record.recovering {
            true => self.peers.keys().filter(current).copied().collect(),
            false => Vec::new(),
        };
        WitnessStatus {
            me: self.me,
            votes: self.votes(),
            awaited,
            promised: self.safe.promised,
            view: self.safe.view.clone(),
            hears: self.hears(),
        }
    }

    /// When it wants [`Input::Tick`] at the latest.
    pub fn next_timeout(&self) -> Option<Time> {
        let mut at = self.beat_at;
        if self.record.recovering {
            at = at.min(self.asked.unwrap_or(self.now).plus(self.ask_again_us()));
        }
        let t_fail_us = self.cfg.timing.t_fail_us;
        let ends = self.peers.values().flat_map(|p| {
            let silent = p.last_heard.map(|t| t.plus(t_fail_us));
            [silent, Some(p.presence_until), Some(p.authority_until)]
        });
        let ends = ends.flatten().chain([self.withhold_until]);
        let soonest = ends.filter(|t| *t > self.now).min();
        let at = soonest.map_or(at, |soonest| soonest.min(at));
        Some(at.max(self.now.plus(TICK_US_MIN)))
    }

    /// May promise, vote and echo, by its disk as well (I12).
    fn fit(&self) -> bool {
        let early = mutant::on(Mutant::WitnessBackInMemory);
        let recovering = self.record.recovering || self.safe.recovering && !early;
        !self.failed && !recovering && self.may_speak()
    }

    fn votes(&self) -> bool {
        let anybody = mutant::on(Mutant::WitnessLostVotes);
        self.fit() && (self.record.view.is_some() || anybody)
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Do(Effect::Event(event)));
    }

    fn notice(&mut self, code: &str, node: Option<NodeId>, text: String) {
        let code = code.into();
        self.event(Event::Notice { code, node, text });
    }

    fn report(&mut self) {
        let (state, why) = match (self.record.recovering, self.record.view.is_some()) {
            _ if self.failed => (NodeState::Recovering, "the store failed"),
            (true, _) => (
                NodeState::Recovering,
                "it waits for what all nodes have promised",
            ),
            (false, false) => (NodeState::Joining, "no coordinator gave it a view yet"),
            (false, true) => (NodeState::Follower, "it has a vote"),
        };
        if state != self.state {
            self.state = state;
            let why = why.to_owned();
            self.event(Event::State { state, why });
        }
    }
}

/// Most nodes of a cluster with a witness: its view fits one datagram, and it needs no stream.
pub const WITNESS_NODES_MAX: usize = 32;
/// Ticks are never closer than this, in microseconds.
const TICK_US_MIN: u64 = 200;
