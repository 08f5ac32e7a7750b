//! The core: its data, its start, and the dispatcher. Each duty lives in a file of its own.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use wire::{Identity, NodeId};

use crate::config::{Config, StartError};
use crate::fetch::Transfer;
use crate::log::{self, Log, Snapshot};
use crate::message::{self, Message, Point};
use crate::mutant::{self, Mutant};
use crate::peer::Peer;
use crate::peers::Peers;
use crate::persist::Writes;
use crate::propose::Proposals;
use crate::quorum::Predicates;
use crate::relay::Route;
use crate::state::LogState;
use crate::*;

/// The protocol core of one process. Feed it with [`Core::handle`], drain [`Core::poll`], come back
/// at [`Core::next_timeout`].
#[derive(Debug)]
pub struct Core {
    pub(crate) cfg: Config,
    pub(crate) me: Identity,
    pub(crate) now: Time,
    pub(crate) started: Time,
    pub(crate) rng: u64,
    pub(crate) out: VecDeque<Output>,
    /// What was decided, and what of it is on disk. Messages name only the latter (I1).
    pub(crate) safety: SafetyRecord,
    pub(crate) safe: SafetyRecord,
    pub(crate) writes: Writes,
    pub(crate) log: Log,
    /// Fold of the log through `applied`, and through its head.
    pub(crate) committed: LogState,
    pub(crate) tip: LogState,
    /// What [`Core::predicates`] gives.
    rules: Arc<Predicates>,
    pub(crate) commit: u64,
    pub(crate) applied: u64,
    /// As a follower: position through which the log is the DC's of ballot `matched.0`.
    pub(crate) matched: (Ballot, u64),
    pub(crate) role: Role,
    pub(crate) state: NodeState,
    pub(crate) peers: Peers,
    pub(crate) withhold_until: Time,
    /// Highest ballot the predecessor process promised.
    pub(crate) promised_at_start: Ballot,
    pub(crate) election: Election,
    pub(crate) transfer: Option<Transfer>,
    pub(crate) recovery: Option<fetch::Recovery>,
    pub(crate) proposals: Proposals,
    pub(crate) soft: BTreeMap<String, Vec<u8>>,
    pub(crate) beats: beats::Beats,
    /// All configured nodes were heard at one time since this process started (R5).
    pub(crate) seen_all: bool,
    /// A committed view named this process, or it rightly led alone (two nodes).
    pub(crate) let_in: bool,
    pub(crate) installed_view: u64,
    pub(crate) reports: status::Reports,
    pub(crate) leaving: Option<Leaving>,
    pub(crate) poisoned: bool,
    pub(crate) token_seen: Option<(Ballot, u64, u64)>,
    pub(crate) snapshot_wanted: bool,
    /// A snapshot was installed and its view not yet told.
    pub(crate) restored_view_due: bool,
    /// Commands whose token is on its way to the disk.
    pub(crate) commands_due: Vec<(Token, NodeId, Vec<u8>)>,
    pub(crate) nonce: u64,
    pub(crate) restart_told: bool,
    pub(crate) lease: lease::Watch,
    /// The last look at everything changed nothing of what others look at before it.
    pub(crate) settled: bool,
    /// When everything was looked at last.
    pub(crate) looked: Time,
    /// When something follows from time alone, be it at once.
    pub(crate) due: Option<Time>,
    /// What [`Core::next_timeout`] gives.
    pub(crate) timeout: Option<Time>,
    /// Nothing followed of the last step, and so nothing was looked at.
    pub(crate) was_quiet: bool,
}

/// What this node does about coordination.
#[derive(Debug, Default)]
pub(crate) enum Role {
    #[default]
    Follower,
    Candidate(Candidate),
    Dc(Dc),
}

#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) ballot: Ballot,
    /// Its own promise is on disk, and the others are asked.
    pub(crate) asks: bool,
    /// When it gives up; not before it has asked.
    pub(crate) deadline: Time,
    pub(crate) resend_at: Time,
    pub(crate) bootstrap: bool,
    /// Who was asked at least once: who is heard only now is asked at once.
    pub(crate) asked: BTreeSet<NodeId>,
    /// Who promised, with its log's survivals and head, and its newest view.
    pub(crate) promises: BTreeMap<NodeId, (Identity, (u64, Point), u64)>,
    /// Fetching this node's log up to here.
    pub(crate) adopting: Option<(NodeId, Point)>,
    /// The witness promised, and holds this view.
    pub(crate) witness: Option<Option<WitnessView>>,
}

#[derive(Debug)]
pub(crate) struct Dc {
    pub(crate) ballot: Ballot,
    pub(crate) since: Time,
    /// First entry of this ballot.
    pub(crate) first_seq: u64,
    /// Its first entry is committed.
    pub(crate) confirmed: bool,
    pub(crate) acting: bool,
    pub(crate) act_no: u64,
    /// Fence intents handed out as local records.
    pub(crate) local_intents: BTreeSet<u64>,
    /// Since when voters are in no view of this DC (last_man_standing).
    pub(crate) gone_since: BTreeMap<NodeId, Time>,
    /// Barriers in a row that ended long after others had committed what was in them.
    pub(crate) late: u32,
    /// What the witness holds.
    pub(crate) arbiter: crate::arbiter::Arbiter,
}

/// Timing of elections and promises.
#[derive(Debug, Default)]
pub(crate) struct Election {
    pub(crate) counter_seen: u64,
    pub(crate) eligible_since: Option<Time>,
    pub(crate) start_at: Option<Time>,
    pub(crate) not_before: Time,
    pub(crate) failures: u32,
    /// Last promise this process gave: when, the candidate's log's head (R9), and its ballot.
    pub(crate) promised: Option<(Time, Point, Ballot)>,
    pub(crate) inhibited: Cow<'static, str>,
}

#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) clean: bool,
    pub(crate) deadline: Time,
    pub(crate) done: bool,
}

impl Core {
    /// Opens a core over what the store gave back. Its first output persists the incarnation;
    /// nothing is sent before that is on disk.
    pub fn start(config: Config, recovered: Recovered, now: Time) -> Result<Self, StartError> {
        config.check()?;
        let first = recovered.safety.is_none();
        let mut safety = recovered.safety.clone().unwrap_or_default();
        if config.me.incarnation <= safety.incarnation {
            return Err(StartError::Incarnation {
                given: config.me.incarnation,
                stored: safety.incarnation,
            });
        }
        let opened = open_log(&recovered)?;
        let lost = (recovered.degraded || opened.damaged || (first && opened.log.head().seq > 0))
            && !config.trust_store;
        safety.recovering = (safety.recovering && !config.trust_store) || lost;
        safety.incarnation = config.me.incarnation;
        let ever_echoed = safety.view_no > 0 || safety.promised > Ballot::default();
        let promised_at_start = safety.promised;
        let hold_us = safety.hold_us_max;
        safety.hold_us_max = hold_us.max(config.hold_us());
        if mutant::on(Mutant::StoreLostVotes) {
            safety.recovering = false;
        }
        let bound = ever_echoed && !mutant::on(Mutant::HoldForgottenAtRestart);
        let withhold_until = if bound { now.plus(hold_us) } else { now };
        let peers = config.peers.iter().map(Peer::new).collect();
        let mut core = Self {
            me: config.me,
            now,
            started: now,
            rng: config.seed ^ u64::from(config.me.node.0).rotate_left(32) ^ config.me.incarnation,
            out: VecDeque::new(),
            safe: recovered.safety.unwrap_or_default(),
            safety,
            writes: Writes::new(opened.log.head().seq),
            committed: opened.log.snapshot.state.clone(),
            tip: opened.log.snapshot.state.clone(),
            // Reckoned when the log is folded, before anybody asks.
            rules: Arc::default(),
            commit: opened.log.snapshot.at.seq,
            applied: opened.log.snapshot.at.seq,
            log: opened.log,
            matched: (Ballot::default(), 0),
            role: Role::Follower,
            state: NodeState::Boot,
            peers,
            withhold_until,
            promised_at_start,
            election: Election::default(),
            transfer: None,
            recovery: None,
            proposals: Proposals::default(),
            soft: BTreeMap::new(),
            beats: beats::Beats::default(),
            seen_all: false,
            let_in: false,
            installed_view: 0,
            reports: status::Reports::default(),
            leaving: None,
            poisoned: false,
            token_seen: None,
            snapshot_wanted: false,
            restored_view_due: false,
            commands_due: Vec::new(),
            nonce: 0,
            restart_told: false,
            lease: lease::Watch::new(now),
            settled: false,
            looked: now,
            due: None,
            timeout: None,
            was_quiet: false,
            cfg: config,
        };
        core.begin(recovered.commit_hint, opened.truncate);
        Ok(core)
    }

    /// Takes one input at time `now`; then drain [`Self::poll`].
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        self.check_pause();
        let quiet = match input {
            Input::Tick if self.beats_suffice() => return,
            Input::Tick => None,
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
            other => {
                self.beats.current = false;
                self.take(other);
                None
            }
        };
        match quiet {
            Some(from) => self.move_on(from),
            None => self.look(),
        }
    }

    /// What comes from this machine.
    fn take(&mut self, input: Input) {
        match input {
            // Taken above.
            Input::Tick | Input::Packet { .. } | Input::Message { .. } => {}
            Input::SessionUp { peer } => {
                self.session(peer);
            }
            Input::PeerHead { of, head } => self.on_peer_head(of, head),
            Input::Durable { write } => self.on_durable(write),
            Input::Outdated { from, incarnation } => {
                self.on_outdated(from, self.me.process_boot, incarnation);
            }
            Input::StoreFailed { reason } => self.on_store_failed(reason),
            Input::Propose { op, body } => self.on_propose(op, body),
            Input::ProposeAll { all } => self.on_propose_all(all),
            Input::Reconfigure { voters } => self.on_reconfigure(voters),
            Input::Peers {
                peers,
                nodelist_digest,
            } => self.on_peers(peers, nodelist_digest),
            Input::ResetLinks => self.reset_links(),
            Input::Fencing { configured } => self.cfg.fencing = configured,
            Input::Publish { items } => self.on_publish(items),
            Input::Command { to, payload } => self.on_command(to, payload),
            Input::Tell { to, payload } => self.on_tell(to, payload),
            Input::GivenUp { grants } => self.on_given_up(grants),
            Input::Snapshot { seq, state } => self.on_snapshot(seq, state),
            Input::Leave { clean } => self.on_leave(clean),
        }
    }

    /// Looks at everything.
    fn look(&mut self) {
        self.beats.current = false;
        let stood = self.stands_at();
        self.advance();
        self.settled = self.stands_at() == stood;
        self.looked = self.now;
        self.was_quiet = false;
        self.come_back(self.reckon_due());
    }

    /// The next thing to do in the world.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// The times it keeps, all of which follow from the token.
    #[must_use]
    pub fn timing(&self) -> &Timing {
        &self.cfg.timing
    }

    /// The incarnation is on disk: handshakes and packets may leave. Before that a crash would let
    /// the next process use the same incarnation, and peers would refuse it as a clone.
    pub fn may_speak(&self) -> bool {
        self.safe_to_send()
    }

    /// Standing VIP grants (R12), as committed here.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.committed.grants.values()
    }

    /// The core's replicated state as committed here.
    pub fn log_state(&self) -> &LogState {
        &self.committed
    }

    /// Everything that follows from time and state, once; runs after every input of which something may
    /// follow ([`crate::quiet`]).
    pub(crate) fn advance(&mut self) {
        self.check_store();
        self.forget_retired();
        self.check_detector();
        self.check_recovery();
        self.check_authority();
        self.check_election();
        self.check_transfer();
        self.dc_duties();
        self.advance_commit();
        self.deliver();
        self.check_proposals();
        self.replicate();
        self.instruct_witness();
        self.check_leave();
        self.report();
        self.flush_channels();
        self.send_beats();
        self.flush_writes();
    }

    fn begin(&mut self, commit_hint: u64, truncate: Option<u64>) {
        self.refold();
        self.seen_all = self.is_only_node();
        self.let_in = self.seen_all;
        self.assume_echoed();
        let at = self.log.snapshot.at;
        let app = self.log.snapshot.app.clone();
        self.event(Event::Restored {
            seq: at.seq,
            state: app,
        });
        // That something was lost is on disk before what shows it is cut off: a crash between the two
        // would leave a log that is short and looks whole.
        let mut ops = vec![DurableOp::Safety(self.safety.clone())];
        ops.extend(truncate.map(|seq| DurableOp::TruncateLog { seq }));
        if mutant::on(Mutant::DamageForgotten) {
            ops.reverse();
        }
        for op in ops {
            self.writes.pend(op);
        }
        if !self.safety.recovering {
            self.commit = commit_hint.min(self.log.head().seq).max(self.commit);
        }
        self.beats.at = self.now;
        if self.safety.recovering {
            self.start_recovery("the store lost something");
        }
        self.deliver();
        self.report();
        self.flush_writes();
        self.looked = self.now;
        self.come_back(self.reckon_due());
        self.lease.due = None;
    }

    /// Recomputes the fold through the head: after truncation or a snapshot.
    pub(crate) fn refold(&mut self) {
        let mut tip = self.committed.clone();
        for logged in self.log.iter_after(self.applied) {
            tip.apply(&logged.record);
        }
        self.tip = tip;
        self.reckon_rules();
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.out.push_back(Output::Do(Effect::Event(event)));
    }

    pub(crate) fn notice(&mut self, code: &str, node: Option<NodeId>, text: String) {
        if self.reports.first_notice(code, node, &text, self.now) {
            self.event(Event::Notice {
                code: code.into(),
                node,
                text,
            });
        }
    }

    /// All voter sets that must agree: those committed and every one that may yet be (R3). Asked
    /// for many times in every step, and reckoned only when the log changes them.
    pub(crate) fn predicates(&self) -> Arc<Predicates> {
        Arc::clone(&self.rules)
    }

    /// The same, to be looked at.
    pub(crate) fn rules(&self) -> &Predicates {
        &self.rules
    }

    /// An entry that changes voter sets came into the log, was committed, or left.
    pub(crate) fn reckon_rules(&mut self) {
        self.rules = Arc::new(self.rules_of_log());
    }

    fn rules_of_log(&self) -> Predicates {
        if self.tip.config.config_epoch == 0 {
            return Predicates::new([self.cfg.voters.clone()]);
        }
        let mut sets = Vec::new();
        let mut take = |config: &ConfigEntry| {
            if config.config_epoch > 0 {
                sets.push(config.current.clone());
                sets.extend(config.next.clone());
            }
        };
        take(&self.committed.config);
        for logged in self.log.iter_after(self.applied) {
            match &logged.record.body {
                EntryBody::Config(config) | EntryBody::Init { config, .. } => take(config),
                _ => {}
            }
        }
        if mutant::on(Mutant::LmsByLocalTimer) {
            sets.iter_mut().for_each(|set| self.forget_silent(set));
        }
        Predicates::new(sets)
    }

    /// A seeded bug: whom this node has not heard for the window ceases to count here.
    fn forget_silent(&self, set: &mut VoterSet) {
        let Some(window_us) = set.last_man_standing else {
            return;
        };
        let counts = |node: &NodeId| {
            let heard = self.peers.get(node).and_then(|p| p.last_heard);
            *node == self.me.node || heard.is_some_and(|t| self.now.since(t) < window_us)
        };
        set.votes.retain(|(node, _)| counts(node));
    }

    /// May promise, vote, echo and acknowledge at all (I12).
    pub(crate) fn fit(&self) -> bool {
        !self.safety.recovering && !self.poisoned && self.writes.usable() && self.safe_to_send()
    }

    /// Packets may leave. A node whose disk hangs is silent, so that the others miss it and go on
    /// without it (ruling 13): heard, it would stay in the view, be promised its presence and be
    /// given work that it cannot take.
    pub(crate) fn may_send(&self) -> bool {
        self.safe_to_send() && !self.writes.hung
    }

    /// The incarnation is on disk.
    pub(crate) fn safe_to_send(&self) -> bool {
        self.safe.incarnation >= self.me.incarnation
    }

    /// Never had a log and never promised: indistinguishable from a lost store (R6).
    pub(crate) fn blank(&self) -> bool {
        self.log.head().seq == 0 && self.safety.promised == Ballot::default()
    }

    pub(crate) fn dc_ballot(&self) -> Option<Ballot> {
        match &self.role {
            Role::Dc(dc) => Some(dc.ballot),
            _ => None,
        }
    }

    pub(crate) fn is_acting(&self) -> bool {
        matches!(&self.role, Role::Dc(dc) if dc.acting)
    }

    pub(crate) fn point_or_base(&self, seq: u64) -> Point {
        self.log.point(seq).unwrap_or(self.log.base())
    }

    pub(crate) fn send(&mut self, to: NodeId, message: &Message) {
        if let Some(effect) = self.send_effect(to, message) {
            self.out.push_back(Output::Do(effect));
        }
    }

    /// A message on the best link, or on the stream when it does not fit a datagram.
    pub(crate) fn send_effect(&self, to: NodeId, message: &Message) -> Option<Effect> {
        let peer = self.peers.get(&to)?;
        if peer.identity.is_none() || !self.may_send() {
            return None;
        }
        let payload = message.encode();
        let fits = payload.len() <= DATAGRAM_BYTES_MAX;
        let via = match self.route(to) {
            Route::Direct(link) if fits => Via::Link(link),
            Route::Direct(_) => Via::Stream,
            Route::By(hop, link) => Via::Relay {
                hop,
                link: fits.then_some(link),
            },
        };
        Some(Effect::Send { to, via, payload })
    }
}

pub(crate) struct Opened {
    pub(crate) log: Log,
    damaged: bool,
    truncate: Option<u64>,
}

/// Rebuilds the log from the store; what does not chain is dropped and makes the store damaged.
pub(crate) fn open_log(recovered: &Recovered) -> Result<Opened, StartError> {
    let snapshot = match &recovered.snapshot {
        None => Snapshot::default(),
        Some((seq, bytes)) => {
            let unreadable = |why: String| StartError::Snapshot { seq: *seq, why };
            let snapshot: Snapshot =
                message::decode(bytes).map_err(|e| unreadable(e.to_string()))?;
            if snapshot.at.seq != *seq {
                return Err(unreadable(format!("it says entry {}", snapshot.at.seq)));
            }
            snapshot
        }
    };
    let mut log = Log::from_snapshot(snapshot);
    for (seq, bytes) in &recovered.log {
        if *seq <= log.base().seq {
            continue;
        }
        let read = (*seq == log.head().seq + 1).then(|| log::from_disk(&log.head().hash, bytes));
        if let Some(Err(message::DecodeError::Format { found: format, .. })) = read {
            // Its chain value is right: it is not damaged.
            return Err(StartError::Format { seq: *seq, format });
        }
        let logged = read.and_then(Result::ok);
        let Some(logged) = logged.filter(|l| l.record.seq == *seq) else {
            let truncate = Some(log.head().seq + 1);
            return Ok(Opened {
                log,
                damaged: true,
                truncate,
            });
        };
        log.take(logged);
    }
    Ok(Opened {
        log,
        damaged: false,
        truncate: None,
    })
}
