//! Pulling: a promiser's log by a candidate, the DC's log by a recovering node (R6), and snapshots
//! by whoever is too far behind.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use wire::{Identity, NodeId};

use crate::core::Role;
use crate::follow::Taken;
use crate::log::{Log, Snapshot};
use crate::message::{self, Blob, Hash, Message, Point};
use crate::mutant::{self, Mutant};
use crate::quorum::Predicates;
use crate::*;

/// One pull under way.
#[derive(Debug)]
pub(crate) struct Transfer {
    nonce: u64,
    from: NodeId,
    /// Wanted through here; zero when a snapshot alone was offered.
    target: Point,
    asked: Time,
    began: Time,
    snapshot: Option<Pulling>,
}

#[derive(Debug)]
struct Pulling {
    seq: u64,
    bytes: u64,
    data: Vec<u8>,
}

/// A node that lost its store collects what a quorum knows.
#[derive(Debug)]
pub(crate) struct Recovery {
    nonce: u64,
    asked: Option<Time>,
    pub(crate) why: String,
    states: BTreeMap<NodeId, RecoverState>,
    target: Option<(NodeId, Point)>,
}

#[derive(Debug)]
struct RecoverState {
    identity: Identity,
    promised: Ballot,
    head: Point,
    acting: bool,
    config: ConfigEntry,
}

impl Core {
    pub(crate) fn start_transfer(&mut self, from: NodeId, target: Point) {
        self.nonce += 1;
        let (nonce, asked, began) = (self.nonce, self.now, self.now);
        self.transfer = Some(Transfer {
            nonce,
            from,
            target,
            asked,
            began,
            snapshot: None,
        });
        self.ask_more();
    }

    fn ask_more(&mut self) {
        let now = self.now;
        let after = self.point_or_base(self.commit);
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        transfer.asked = now;
        let from = transfer.from;
        let message = match &transfer.snapshot {
            Some(s) => Message::Pull {
                seq: s.seq,
                offset: s.data.len() as u64,
            },
            None => Message::Fetch {
                nonce: transfer.nonce,
                after,
            },
        };
        self.send(from, &message);
    }

    pub(crate) fn check_transfer(&mut self) {
        let Some(transfer) = &self.transfer else {
            return;
        };
        if self.now.since(transfer.began) > TRANSFER_US_MAX || !self.heard(transfer.from) {
            self.transfer = None;
        } else if self.now.since(transfer.asked) >= self.pull_again_us() {
            self.ask_more();
        }
    }

    fn pull_again_us(&self) -> u64 {
        4 * self.cfg.timing.resend_us
    }

    pub(crate) fn on_fetch(&mut self, from: NodeId, nonce: u64, after: Point) {
        if self.safety.recovering {
            return;
        }
        if self.log.has(&after) {
            let entries = self.log.encoded_after(after.seq, FETCH_BYTES_MAX);
            let head = self.log.head();
            self.send(
                from,
                &Message::Fetched {
                    nonce,
                    prev: after,
                    head,
                    entries,
                },
            );
        } else if after.seq < self.log.base().seq {
            self.offer_snapshot(from, nonce);
        }
    }

    pub(crate) fn offer_snapshot(&mut self, to: NodeId, nonce: u64) {
        let again_us = self.pull_again_us();
        let (now, at) = (self.now, self.log.snapshot.at);
        let bytes = self.log.snapshot_bytes.len() as u64;
        let Some(peer) = self.peers.get_mut(&to) else {
            return;
        };
        let soon = peer
            .progress
            .offered
            .is_some_and(|t| now.since(t) < again_us);
        if nonce == 0 && soon {
            return;
        }
        peer.progress.offered = Some(now);
        peer.progress.sent = Some(now);
        self.send(to, &Message::Offer { nonce, at, bytes });
    }

    pub(crate) fn on_fetched(
        &mut self,
        from: NodeId,
        nonce: u64,
        prev: Point,
        head: Point,
        entries: &[Blob],
    ) {
        let expected = self.transfer.as_ref();
        if expected.is_none_or(|t| t.nonce != nonce || t.from != from) || !self.log.has(&prev) {
            return;
        }
        let limit = self.safety.promised.max(head.ballot);
        match self.take_entries(prev, limit, entries) {
            Taken::Through(seq) => {
                let target = self.transfer.as_ref().map(|t| t.target).unwrap_or_default();
                if self.log.has(&target) {
                    self.transfer_done();
                } else if seq > prev.seq {
                    let after = self.point_or_base(seq);
                    self.send(from, &Message::Fetch { nonce, after });
                    if let Some(transfer) = &mut self.transfer {
                        transfer.asked = self.now;
                    }
                }
            }
            Taken::Fork(seq) => {
                self.transfer = None;
                let text = format!("node {from} has another entry {seq} than is committed here");
                self.notice("log-fork", Some(from), text);
            }
            Taken::Bad(why) => {
                self.transfer = None;
                let text = format!("node {from} sent an entry this node cannot take: {why}");
                self.notice("entry-refused", Some(from), text);
            }
        }
    }

    fn transfer_done(&mut self) {
        self.transfer = None;
        if matches!(&self.role, Role::Candidate(c) if c.adopting.is_some()) {
            self.adopted();
        }
    }

    pub(crate) fn on_offer(&mut self, from: NodeId, nonce: u64, at: Point, bytes: u64) {
        let asked = self
            .transfer
            .as_ref()
            .is_some_and(|t| t.nonce == nonce && t.from == from);
        let unasked = nonce == 0 && self.transfer.is_none() && self.dc_alive() == Some(from);
        if nonce == 0 && self.refuses_offer(from) {
            return;
        }
        // A node that has its state back from elsewhere has matched nothing of this ballot yet.
        let same = self.matched.0.node == from.0 && at.ballot <= self.matched.0;
        let shared = same && self.log.has(&at) && !mutant::on(Mutant::RecoveredUnmatched);
        if at.seq <= self.commit && shared {
            self.matched.1 = self.matched.1.max(at.seq);
        }
        let other = |here: Point| here.hash != at.hash;
        if unasked
            && same
            && self.safety.promised == self.matched.0
            && self.committed.class_u.is_some()
            && at.seq <= self.commit
            && self.log.point(at.seq).is_some_and(other)
            && !mutant::on(Mutant::ForkInSnapshotUnseen)
        {
            // The DC has nothing older to compare: its snapshot itself shows that the logs differ.
            self.forked(from, at.seq);
        }
        let here = at.seq <= self.commit && self.matched.1 >= at.seq && nonce == 0;
        if here && !mutant::on(Mutant::SnapshotWordLost) {
            // It is here already; the word of that was lost.
            self.ack(from);
            return;
        }
        if unasked && !same && at.seq <= self.commit && !mutant::on(Mutant::OfferUnanswered) {
            self.tell_place(from);
            return;
        }
        if !(asked || unasked) || at.seq <= self.commit || bytes > SNAPSHOT_BYTES_MAX {
            return;
        }
        if unasked {
            let (asked, began) = (self.now, self.now);
            let target = Point::default();
            self.transfer = Some(Transfer {
                nonce,
                from,
                target,
                asked,
                began,
                snapshot: None,
            });
        }
        if let Some(transfer) = &mut self.transfer
            && transfer.snapshot.as_ref().is_none_or(|s| s.seq != at.seq)
        {
            transfer.snapshot = Some(Pulling {
                seq: at.seq,
                bytes,
                data: Vec::new(),
            });
            self.ask_more();
        }
    }

    /// Whoever leads an older ballot than is promised here learns so from its appends; one that has
    /// nothing to append any more, for all that this node lacks is compacted, learns it from its offer.
    fn refuses_offer(&mut self, from: NodeId) -> bool {
        let beat = self.peers.get(&from).and_then(|p| p.beat.as_ref());
        let leads = |b: &&message::Beat| {
            matches!(b.state, NodeState::Dc | NodeState::DcPending) && b.ballot.node == from.0
        };
        let (promised, ballot) = (self.safe.promised, beat.filter(leads).map(|b| b.ballot));
        let Some(ballot) = ballot.filter(|b| *b < promised && self.fit()) else {
            return false;
        };
        if mutant::on(Mutant::OldBallotOffers) {
            return false;
        }
        self.send(from, &Message::Refuse { ballot, promised });
        true
    }

    /// A new DC's first word to this node is an offer of what it has: it was away when that DC began,
    /// and got the snapshot before any entry of its ballot. Where to go on only this node can say.
    fn tell_place(&mut self, dc: NodeId) {
        let beat = self.peers.get(&dc).and_then(|p| p.beat.as_ref());
        let Some(ballot) = beat.map(|b| b.ballot) else {
            return;
        };
        let commit = self.point_or_base(self.commit);
        self.send(dc, &Message::Mismatch { ballot, commit });
    }

    pub(crate) fn on_pull(&mut self, from: NodeId, seq: u64, offset: u64) {
        if self.log.snapshot.at.seq != seq {
            // Replaced meanwhile: the asker starts over with the newer one.
            self.offer_snapshot(from, 0);
            return;
        }
        let all = &self.log.snapshot_bytes;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
        let end = start.saturating_add(CHUNK_BYTES).min(all.len());
        let data = Blob(all[start..end].to_vec());
        let (bytes, digest) = (all.len() as u64, Sha256::digest(all).into());
        self.send(
            from,
            &Message::Chunk {
                seq,
                offset,
                bytes,
                digest,
                data,
            },
        );
    }

    pub(crate) fn on_chunk(
        &mut self,
        from: NodeId,
        seq: u64,
        offset: u64,
        bytes: u64,
        digest: Hash,
        data: &[u8],
    ) {
        let Some(transfer) = self.transfer.as_mut().filter(|t| t.from == from) else {
            return;
        };
        let Some(pulling) = &mut transfer.snapshot else {
            return;
        };
        let in_place = pulling.seq == seq && pulling.data.len() as u64 == offset;
        if !in_place || bytes > SNAPSHOT_BYTES_MAX || data.is_empty() {
            return;
        }
        pulling.bytes = bytes;
        pulling.data.extend_from_slice(data);
        if (pulling.data.len() as u64) < pulling.bytes {
            self.ask_more();
            return;
        }
        let all = std::mem::take(&mut pulling.data);
        let transfer_target = transfer.target;
        let good = Hash::from(Sha256::digest(&all)) == digest;
        let snapshot = message::decode::<Snapshot>(&all)
            .ok()
            .filter(|s| s.at.seq == seq);
        let Some(snapshot) = snapshot.filter(|_| good) else {
            self.transfer = None;
            let text = format!("snapshot {seq} from node {from} arrived damaged");
            self.notice("snapshot-damaged", Some(from), text);
            return;
        };
        self.install_snapshot(snapshot);
        if transfer_target.seq > self.log.head().seq {
            if let Some(transfer) = &mut self.transfer {
                transfer.snapshot = None;
            }
            self.ask_more();
        } else {
            self.transfer_done();
        }
    }

    /// Replaces log and state by a peer's snapshot of a committed prefix.
    fn install_snapshot(&mut self, snapshot: Snapshot) {
        let at = snapshot.at;
        if at.seq <= self.commit {
            return;
        }
        if self.log.has(&at) {
            // Same lineage: what follows it here is good and may have been acknowledged.
            self.commit = at.seq;
            return;
        }
        if let Some(first_unsafe) = self.committed.class_u {
            // Written without quorum, and whether the snapshot contains it cannot be told.
            self.hand_out_conflict(first_unsafe);
        }
        let app = snapshot.app.clone();
        self.log = Log::from_snapshot(snapshot);
        self.committed = self.log.snapshot.state.clone();
        self.commit = at.seq;
        self.applied = at.seq;
        self.proposals.look_again();
        // What is committed under an older or this very ballot is in its DC's log.
        let in_dcs_log = at.ballot <= self.matched.0;
        self.matched.1 = if in_dcs_log { at.seq } else { 0 };
        self.snapshot_wanted = false;
        self.refold();
        let view = self.committed.view.clone();
        if self.raise_view(&view) {
            self.safety.sole_survivor = None;
        }
        self.safety.cluster_uuid = self.committed.cluster_uuid;
        self.save_safety();
        let state = self.log.snapshot_bytes.clone();
        // What the snapshot covers stays until the snapshot is there: a crash in between must leave what
        // was acknowledged.
        let bare = mutant::on(Mutant::SnapshotOverNothing);
        let seq = if bare { 1 } else { at.seq + 1 };
        self.writes.pend(DurableOp::TruncateLog { seq });
        self.writes.forget_log();
        self.writes.pend(DurableOp::Snapshot { seq: at.seq, state });
        self.writes.pend(DurableOp::CommitHint { seq: at.seq });
        // Not before it is on disk: the application must not be ahead of what a crash leaves (I10).
        let restored = Event::Restored {
            seq: at.seq,
            state: app,
        };
        if mutant::on(Mutant::SnapshotToldUnwritten) {
            self.event(restored);
        } else {
            self.writes.then(Effect::Event(restored));
        }
        self.restored_view_due = true;
    }

    /// This node's store is not to be trusted with a vote (R6).
    pub(crate) fn begin_recovery(&mut self, why: &str) {
        if self.safety.recovering || mutant::on(Mutant::StoreLostVotes) {
            return;
        }
        self.step_down("its store lost something");
        self.safety.recovering = true;
        self.save_safety();
        self.start_recovery(why);
    }

    pub(crate) fn start_recovery(&mut self, why: &str) {
        let text = format!(
            "this node does not vote until it has fetched its state from a quorum of the others: \
             {why}; if these lost theirs, too, see TOO MANY LOST DISKS in mainstay(8)"
        );
        self.notice("recovering", Some(self.me.node), text);
        self.nonce += 1;
        self.transfer = None;
        self.recovery = Some(Recovery {
            nonce: self.nonce,
            asked: None,
            why: why.to_owned(),
            states: BTreeMap::new(),
            target: None,
        });
    }

    pub(crate) fn on_recover_ask(&mut self, from: NodeId, nonce: u64) {
        if self.safety.recovering || self.poisoned {
            return;
        }
        let message = Message::RecoverState {
            nonce,
            promised: self.safety.promised,
            head: self.log.head(),
            acting: self.is_acting(),
            config: self.tip.config.clone(),
        };
        self.send_durable(from, &message);
    }

    pub(crate) fn on_recover_state(
        &mut self,
        from: Identity,
        nonce: u64,
        promised: Ballot,
        head: Point,
        acting: bool,
        config: ConfigEntry,
    ) {
        let Some(recovery) = &mut self.recovery else {
            return;
        };
        if recovery.nonce == nonce {
            let identity = from;
            let state = RecoverState {
                identity,
                promised,
                head,
                acting,
                config,
            };
            recovery.states.insert(from.node, state);
        }
    }

    /// Asks, counts, fetches, and leaves RECOVERING.
    pub(crate) fn check_recovery(&mut self) {
        let again_us = self.pull_again_us();
        let Some(recovery) = &mut self.recovery else {
            return;
        };
        // An older incarnation than the log knows cannot come back as this process.
        let outlived = self.restart_told;
        if recovery.asked.is_none_or(|t| self.now.since(t) >= again_us) {
            recovery.asked = Some(self.now);
            let message = Message::RecoverAsk {
                nonce: recovery.nonce,
            };
            let nodes: Vec<NodeId> = self.peers.keys().copied().collect();
            for node in nodes {
                self.send(node, &message);
            }
        }
        let Some((dc, target)) = self.recovery_target() else {
            return;
        };
        if !self.log.has(&target) {
            if self.transfer.is_none() {
                self.start_transfer(dc, target);
            }
            return;
        }
        if !outlived {
            self.recovered();
        }
    }

    /// The DC and how far its log has to be fetched, once a quorum of the others has answered.
    fn recovery_target(&mut self) -> Option<(NodeId, Point)> {
        let recovery = self.recovery.as_mut()?;
        let leads_no_more = |(dc, _): &(NodeId, Point)| {
            let answer = recovery.states.get(dc);
            answer.is_none_or(|s| !s.acting)
        };
        // Past it without having it: it was compacted, or another entry stands in its place.
        let (head, past) = (self.log.head().seq, !mutant::on(Mutant::RecoveryAimKept));
        let overtaken = |(_, aim): &(NodeId, Point)| past && head >= aim.seq;
        match &recovery.target {
            Some(target) if self.log.has(&target.1) => return Some(*target),
            // What that coordinator had not committed may be gone for good.
            Some(target) if leads_no_more(target) || overtaken(target) => {}
            Some(target) => return Some(*target),
            None => {}
        }
        let current = |node: &NodeId, s: &RecoverState| {
            self.peers
                .get(node)
                .is_some_and(|p| p.identity == Some(s.identity))
        };
        recovery.states.retain(|node, s| current(node, s));
        let leads = recovery.states.iter().filter(|(_, s)| s.acting);
        let (dc, state) = leads.max_by_key(|(_, s)| s.promised)?;
        let sets = std::iter::once(state.config.current.clone()).chain(state.config.next.clone());
        let mut answered: std::collections::BTreeSet<NodeId> =
            recovery.states.keys().copied().collect();
        answered.remove(&self.me.node);
        let enough = Predicates::new(sets).quorate(&answered);
        if enough || mutant::on(Mutant::RecoverFromDcAlone) {
            recovery.target = Some((*dc, state.head));
        }
        recovery.target
    }

    fn recovered(&mut self) {
        let Some(recovery) = self.recovery.take() else {
            return;
        };
        let promised = recovery
            .states
            .values()
            .map(|s| s.promised)
            .max()
            .unwrap_or_default();
        self.safety.promised = self.safety.promised.max(promised);
        self.safety.recovering = false;
        let holds = self
            .peers
            .values()
            .filter_map(|p| p.stamp.map(|s| s.hold_us))
            .max();
        let hold_us = self.safety.hold_us_max.max(holds.unwrap_or(0));
        self.safety.hold_us_max = hold_us.min(detector::HOLD_US_MAX);
        // What the lost store had echoed is unknown: as if at the moment of this start.
        self.withhold_until = self.withhold_until.max(self.started.plus(hold_us));
        for peer in self.peers.values_mut() {
            peer.presence_until = peer.presence_until.max(self.withhold_until);
        }
        self.matched = (self.safety.promised, 0);
        self.save_safety();
        let text = "this node has its state back and votes again".to_owned();
        self.notice("recovered", Some(self.me.node), text);
    }

    pub(crate) fn fetch_timeout(&self) -> Option<Time> {
        let again = self.pull_again_us();
        let transfer = self.transfer.as_ref().map(|t| t.asked.plus(again));
        let recovery = self
            .recovery
            .as_ref()
            .and_then(|r| r.asked)
            .map(|t| t.plus(again));
        transfer.into_iter().chain(recovery).min()
    }
}

/// Entries per answer to a fetch, in bytes.
const FETCH_BYTES_MAX: usize = 256 * 1_024;
/// A part of a snapshot, in bytes.
const CHUNK_BYTES: usize = 256 * 1_024;
/// Largest snapshot taken from a peer, in bytes.
const SNAPSHOT_BYTES_MAX: u64 = 256 * 1_024 * 1_024;
/// A pull that is not done after this time is given up, in microseconds.
const TRANSFER_US_MAX: u64 = 60_000_000;
