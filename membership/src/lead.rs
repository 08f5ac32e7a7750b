//! What a DC does: authority, appends, commits, views, configuration steps, fences.

use std::collections::BTreeMap;

use wire::{Identity, NodeId};

use crate::core::Role;
use crate::log::Record;
use crate::message::{Message, Point};
use crate::mutant::{self, Mutant};
use crate::peer::Peer;
use crate::*;

impl Core {
    /// Appends under the own ballot and queues it for the disk.
    pub(crate) fn append_own(&mut self, body: EntryBody, op: Option<(OpId, NodeId)>) -> u64 {
        let ballot = self.dc_ballot().expect("only a DC appends its own entries");
        assert_eq!(
            ballot, self.safe.promised,
            "I1: a DC's ballot is its durable promise"
        );
        let seq = self.log.head().seq + 1;
        let origin = op.map_or(self.me.node, |(_, origin)| origin);
        let record = Record {
            seq,
            ballot,
            origin,
            op: op.map(|(op, _)| op),
            body,
        };
        self.append_record(record);
        seq
    }

    /// Appends a record of any origin to the log, the fold and the disk's queue.
    pub(crate) fn append_record(&mut self, record: Record) {
        self.tip.apply(&record);
        if let EntryBody::View(view) = &record.body {
            self.accept_view(&view.clone());
        }
        let logged = self.log.append(record);
        let op = DurableOp::AppendLog {
            seq: logged.record.seq,
            record: logged.disk(),
        };
        let sets_change = logged.record.body.changes_voters();
        if self.safety.cluster_uuid != self.tip.cluster_uuid {
            self.safety.cluster_uuid = self.tip.cluster_uuid;
            self.save_safety();
        }
        self.writes.pend(op);
        if sets_change {
            self.reckon_rules();
        }
    }

    /// Accepting a view voids an older SOLE_SURVIVOR in the same write (R5).
    fn accept_view(&mut self, view: &View) {
        if !self.raise_view(view) {
            return;
        }
        if !mutant::on(Mutant::StaleSoleSurvivor) {
            self.safety.sole_survivor = None;
        }
        for peer in self.peers.values_mut() {
            peer.shunned_until = Time(0);
        }
        self.save_safety();
    }

    /// Notes a view as the newest accepted one. `false`: an older entry adopted from another log; the
    /// newer promise to disk stays.
    pub(crate) fn raise_view(&mut self, view: &View) -> bool {
        let (ballot, view_no) = (self.safety.view_ballot, self.safety.view_no);
        if view.view_no <= view_no && view.ballot <= ballot {
            return false;
        }
        if mutant::on(Mutant::ViewGoesBack) {
            let newer = (view.ballot, view.view_no) > (ballot, view_no);
            if newer {
                (self.safety.view_ballot, self.safety.view_no) = (view.ballot, view.view_no);
            }
            return newer;
        }
        // A survivor's view may have a higher number under a lower ballot than this node went
        // through alone, and the reverse: neither ever goes back.
        self.safety.view_no = view.view_no.max(view_no);
        self.safety.view_ballot = view.ballot.max(ballot);
        true
    }

    pub(crate) fn append_view(&mut self, view_no: u64, members: Vec<Member>) {
        let ballot = self.dc_ballot().expect("only a DC forms views");
        assert!(
            view_no > self.safety.view_no,
            "I10: view numbers strictly increase"
        );
        self.append_own(
            EntryBody::View(View {
                ballot,
                view_no,
                members,
            }),
            None,
        );
    }

    /// Until when the quorum's echoes let this DC act: from the *send* time of the newest of its
    /// stamps that a quorum gave back under its ballot (R0).
    pub(crate) fn authority_until(&self) -> Option<Time> {
        let Role::Dc(dc) = &self.role else {
            return None;
        };
        let stamp = |peer: &Peer| {
            let newest = peer.echo.as_ref();
            let echo = newest.filter(|e| e.ballot == dc.ballot && e.member)?;
            let counts = peer.identity.is_some_and(|id| self.tip.view.names(&id));
            if !counts && !self.is_witness(peer.node) {
                return None;
            }
            let late = mutant::on(Mutant::AuthorityFromReceipt);
            let from = if late {
                peer.echo_received.0
            } else {
                echo.sent_us
            };
            (from >= dc.since.0).then_some(from)
        };
        let newest = self.reached(self.now.0, stamp)?;
        Some(Time(newest).plus(self.cfg.timing.authority_us))
    }

    /// What a quorum has reached: this node, and its peers as far as they count.
    pub(crate) fn reached(&self, own: u64, theirs: impl Fn(&Peer) -> Option<u64>) -> Option<u64> {
        let value = |node| match self.peers.get(&node) {
            Some(peer) => theirs(peer),
            None => (node == self.me.node).then_some(own),
        };
        let nodes = self.peers.keys().copied().chain([self.me.node]);
        self.rules().reached_by(nodes, value)
    }

    pub(crate) fn check_authority(&mut self) {
        let fresh = self.authority_until().is_some_and(|until| self.now < until);
        let rival = self.rival();
        // Whoever adopts a log that says so may act at once, with this one's consent or without.
        let gone = self.tip.certified(&self.me) && !mutant::on(Mutant::LeavingDcActs);
        let Role::Dc(dc) = &mut self.role else { return };
        if let Some(rival) = rival {
            self.step_down(&format!("node {rival} leads a newer ballot"));
            return;
        }
        let mut patience_us = 2 * self.cfg.timing.t_fail_us;
        if !mutant::on(Mutant::FirstViewInTwoT) {
            // The first view of all is echoed only from the disks of a quorum, however slow they are.
            patience_us = patience_us.max(election::ASKING_US_MAX);
        }
        if !fresh && (dc.acting || self.now.since(dc.since) > patience_us) {
            self.step_down("a quorum has not answered its heartbeats in time");
            return;
        }
        if fresh && dc.confirmed && !dc.acting && !gone {
            dc.acting = true;
            let ballot = dc.ballot;
            self.election.failures = 0;
            self.event(Event::DcActing { ballot });
        } else if dc.acting && gone {
            // It goes on to bring this to the disks of the others, and commands nothing.
            dc.acting = false;
            let why = "the log says that this node leaves".to_owned();
            self.event(Event::DcEnded { why });
        }
    }

    /// Another DC under a higher ballot.
    fn rival(&self) -> Option<NodeId> {
        let mine = self.dc_ballot()?;
        let t_fail_us = self.cfg.timing.t_fail_us;
        let higher = |p: &Peer| p.leads.is_some_and(|ballot| ballot > mine);
        let mut rivals = self.peers.values().filter(|p| higher(p));
        let found = rivals.find(|p| p.linked(self.now, t_fail_us));
        found.map(|p| p.node)
    }

    /// Views, configuration steps and fences that follow from what is known now.
    pub(crate) fn dc_duties(&mut self) {
        let Role::Dc(dc) = &self.role else { return };
        let settled =
            dc.confirmed && (self.last_view_seq() <= self.commit || self.alone_unproved());
        if !(settled || self.view_is_stale()) || self.writes.durable < dc.first_seq {
            return;
        }
        self.close_intents();
        self.step_config();
        let members = self.workable_members();
        let present = || members.iter().map(|m| m.identity.node).collect();
        if self.rules().two_node()
            && let Some(node) = self.outsider(&present())
        {
            self.step_down(&format!(
                "node {node} is gone before a view with it was committed"
            ));
            return;
        }
        let newest = self.newest_view_no(&members);
        let passed = newest > self.tip.view.view_no;
        if (members != self.tip.view.members || passed) && !self.owes_presence(&members) {
            self.note_drops(&members);
            self.append_view(newest + 1, members);
        }
        self.note_sole_survivor();
    }

    /// A view under way names a process that is gone: its acknowledgement may never come.
    fn view_is_stale(&self) -> bool {
        let others = self.tip.view.members.iter().map(|m| m.identity);
        if self.view_lacks_witness() {
            return true;
        }
        others.filter(|id| id.node != self.me.node).any(|id| {
            let now = self.peers.get(&id.node).and_then(|p| p.identity);
            now != Some(id) || self.missing(id.node)
        })
    }

    /// A new machine boot proves the old one's resources dead and ends an open intent (R10).
    fn close_intents(&mut self) {
        let ended: Vec<FenceResult> = self
            .tip
            .intents
            .values()
            .filter_map(|intent| {
                let boot = intent.machine_boot?;
                let identity = self.peers.get(&intent.target)?.identity?;
                (identity.machine_boot != boot && self.heard(intent.target)).then(|| FenceResult {
                    fence_no: intent.fence_no,
                    target: intent.target,
                    machine_boot: Some(boot),
                    incarnation: None,
                    outcome: Ok("the machine booted again".into()),
                })
            })
            .collect();
        for result in ended {
            self.append_own(EntryBody::FenceResult(result), None);
        }
    }

    /// The second half of a joint step, once the first is committed.
    fn step_config(&mut self) {
        let config = &self.tip.config;
        if *config != self.committed.config {
            return;
        }
        if let Some(next) = config.next.clone() {
            let config_epoch = config.config_epoch + 1;
            let entry = ConfigEntry {
                config_epoch,
                current: next,
                next: None,
            };
            self.append_own(EntryBody::Config(entry), None);
        } else if let Some(voters) = self.last_man_standing() {
            self.begin_step(voters);
        }
    }

    pub(crate) fn on_reconfigure(&mut self, voters: VoterSet) {
        let under_way = self.tip.config.next.is_some() || self.tip.config != self.committed.config;
        let why = match &self.role {
            Role::Dc(dc) if !dc.acting => Err("its authority is not fresh".to_owned()),
            Role::Dc(_) if under_way => Err("a step is under way".to_owned()),
            Role::Dc(_) => voters.check(),
            _ => Err("this node is not the coordinator".to_owned()),
        };
        if let Err(why) = why {
            let text = format!("the voter set was not changed: {why}");
            self.notice("reconfigure-refused", None, text);
            return;
        }
        self.begin_step(voters);
    }

    /// The first half of a joint step: both sets decide.
    fn begin_step(&mut self, voters: VoterSet) {
        let config = &self.tip.config;
        let (config_epoch, current) = (config.config_epoch + 1, config.current.clone());
        let entry = ConfigEntry {
            config_epoch,
            current,
            next: Some(voters),
        };
        self.append_own(EntryBody::Config(entry), None);
    }

    /// A certified one-node view may later start alone (R5).
    fn note_sole_survivor(&mut self) {
        let view = &self.committed.view;
        let alone = view.members.len() == 1 && view.names(&self.me);
        let noted = self.safety.sole_survivor.as_ref().map(|s| s.view_no) == Some(view.view_no);
        let newest = view.view_no == self.safety.view_no;
        if !alone || noted || !newest || self.committed.uncertified() {
            return;
        }
        let certificates = &self.committed.certificates;
        let others: Vec<NodeId> = self
            .predicates()
            .nodes()
            .into_iter()
            .filter(|n| *n != self.me.node && !self.is_witness(*n))
            .collect();
        if others.is_empty() || !others.iter().all(|n| certificates.contains_key(n)) {
            return;
        }
        let fenced = certificates
            .iter()
            .map(|(n, c)| (*n, c.machine_boot))
            .collect();
        self.safety.sole_survivor = Some(SoleSurvivor {
            view_no: view.view_no,
            fenced,
        });
        self.save_safety();
    }

    pub(crate) fn last_view_seq(&self) -> u64 {
        let views = self.log.iter_after(self.applied);
        let last = views
            .filter(|l| matches!(l.record.body, EntryBody::View(_)))
            .last();
        last.map_or(0, |l| l.record.seq)
    }

    /// Sends entries, commits and retransmissions to everybody heard.
    pub(crate) fn replicate(&mut self) {
        let Some(ballot) = self.dc_ballot() else {
            return;
        };
        let t_fail_us = self.cfg.timing.t_fail_us;
        for at in 0.. {
            let Some(peer) = self.peers.nth(at) else {
                return;
            };
            let node = peer.node;
            if peer.hears(self.now, t_fail_us) && !self.is_witness(node) {
                self.replicate_to(node, ballot);
            }
        }
    }

    fn replicate_to(&mut self, node: NodeId, ballot: Ballot) {
        let head = self.log.head().seq;
        let resend_us = self.cfg.timing.resend_us;
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let progress = &mut peer.progress;
        if progress.next == 0 {
            progress.next = head + 1;
        }
        let waiting = progress.sent.is_some_and(|t| self.now.since(t) < resend_us);
        let behind = progress.mem < head || progress.durable < head;
        let lost = progress.oldest_unanswered();
        let lost = lost.is_some_and(|t| self.now.since(t) >= resend_us);
        if lost && progress.matched && !mutant::on(Mutant::LossHiddenByLoad) {
            // However many entries were sent after it: what was lost comes before them.
            progress.next = progress.mem + 1;
            progress.unanswered = None;
        }
        if !waiting && progress.sent.is_some() && behind {
            // Nothing was heard of what was sent: from the last position known to match.
            progress.next = if progress.matched {
                progress.mem + 1
            } else {
                progress.next
            };
        }
        let news = progress.next <= head && (progress.matched || !waiting);
        let commit_news = progress.matched && progress.commit_told < self.commit;
        if !(news || commit_news || (behind && !waiting) || progress.sent.is_none()) {
            return;
        }
        let flying = progress.next.saturating_sub(progress.mem + 1);
        if progress.matched && flying > ENTRIES_FLYING_MAX && waiting {
            return;
        }
        self.append_to(node, ballot);
    }

    fn append_to(&mut self, node: NodeId, ballot: Ballot) {
        let Some(peer) = self.peers.get(&node) else {
            return;
        };
        let (next, matched) = (peer.progress.next, peer.progress.matched);
        let Some(prev) = self.log.point(next - 1) else {
            self.offer_snapshot(node, 0);
            return;
        };
        let bytes_max = DATAGRAM_BYTES_MAX - APPEND_OVERHEAD_BYTES;
        let far_behind = matched && self.log.head().seq.saturating_sub(next) > STREAM_FROM_ENTRIES;
        let bytes_max = if far_behind {
            STREAM_BATCH_BYTES
        } else {
            bytes_max
        };
        let entries = self.log.encoded_after(prev.seq, bytes_max);
        let sent_to = next + entries.len() as u64;
        let commit = self.point_or_base(self.commit);
        self.send(
            node,
            &Message::Append {
                ballot,
                prev,
                commit,
                entries,
            },
        );
        let (now, commit) = (self.now, self.commit);
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        peer.progress.sent = Some(now);
        peer.progress.commit_told = commit;
        if sent_to > next {
            peer.progress.unanswered.get_or_insert(now);
        }
        if matched {
            peer.progress.next = sent_to;
        }
    }

    pub(crate) fn on_ack(&mut self, from: Identity, ballot: Ballot, mem: Point, durable: Point) {
        if self.dc_ballot() != Some(ballot) || !self.log.has(&mem) || !self.log.has(&durable) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&from.node) else {
            return;
        };
        let progress = &mut peer.progress;
        progress.matched = true;
        if mem.seq > progress.mem {
            let more = mem.seq + 1 < progress.next;
            progress.unanswered = more.then_some(self.now);
        }
        progress.mem = progress.mem.max(mem.seq);
        progress.durable = progress.durable.max(durable.seq);
        if mutant::on(Mutant::AckMemoryAsDurable) {
            progress.durable = progress.mem;
        }
        progress.next = progress.next.max(progress.mem + 1);
        if progress.durable >= self.log.head().seq {
            progress.sent.get_or_insert(self.now);
        }
    }

    pub(crate) fn on_mismatch(&mut self, from: NodeId, ballot: Ballot, commit: Point) {
        if self.dc_ballot() != Some(ballot) {
            return;
        }
        let known = self.log.has(&commit);
        let head = self.log.head().seq;
        let Some(peer) = self.peers.get_mut(&from) else {
            return;
        };
        if peer.progress.matched {
            return;
        }
        if known {
            peer.progress.next = commit.seq + 1;
            peer.progress.sent = None;
        } else if commit.seq < self.log.base().seq {
            self.offer_snapshot(from, 0);
        } else {
            // Show it where the lineages differ: only it can judge what its entry was worth.
            peer.progress.next = commit.seq.min(head) + 1;
            let text = format!(
                "node {from} has committed entry {} of another lineage: it keeps out until its own \
                 log gives way",
                commit.seq
            );
            self.notice("log-fork", Some(from), text);
        }
    }

    /// Commit only by counting durable acknowledgements of entries of the own ballot.
    pub(crate) fn advance_commit(&mut self) {
        let Role::Dc(dc) = &self.role else { return };
        if self.commit >= self.log.head().seq && !self.alone_unproved() {
            return;
        }
        let (ballot, first_seq) = (dc.ballot, dc.first_seq);
        let mut acked = BTreeMap::new();
        if self.in_view() {
            acked.insert(self.me.node, self.writes.durable);
        }
        for peer in self.peers.values() {
            if peer.identity.is_some_and(|id| self.tip.view.names(&id)) {
                acked.insert(peer.node, peer.progress.durable);
            }
        }
        let witness = self.witness_acked(&acked);
        acked.extend(witness);
        let rules = self.predicates();
        let Some(mut reached) = rules.reached(&acked) else {
            return;
        };
        if rules.two_node() && !mutant::on(Mutant::TwoNodeCommitAlone) {
            // Q = 1: quorums of one do not intersect, so every member of the view has to have it.
            let members = self.tip.view.members.iter();
            let all = members
                .map(|m| acked.get(&m.identity.node).copied().unwrap_or(0))
                .min();
            reached = reached.min(all.unwrap_or(0));
            let alone = self.tip.has_lone_voter(&self.tip.view);
            if alone && reached < self.last_view_seq() && !mutant::on(Mutant::AloneBeforeItsView) {
                // What stands before the view that says so commits with it, never before: else a
                // crash in between leaves a commit that nothing calls class U.
                return;
            }
        }
        let confirmed_here = self.writes.durable >= first_seq;
        if self.alone_unproved() && self.cfg.fencing {
            // R11: local durable records until a certificate stands.
            if confirmed_here && self.last_view_seq() <= self.writes.durable {
                self.install_restricted();
            }
            return;
        }
        let current = self
            .log
            .get(reached)
            .is_some_and(|l| l.record.ballot == ballot);
        let counts = current || mutant::on(Mutant::CommitOldBallot);
        if reached > self.commit && counts {
            self.commit = reached;
            self.writes.note_commit(reached, self.now);
            if let Role::Dc(dc) = &mut self.role {
                dc.confirmed |= reached >= first_seq;
            }
            self.writes.pend(DurableOp::CommitHint { seq: reached });
            self.note_counted(witness);
            self.note_durable_known();
            self.check_authority();
        }
    }

    /// What members acknowledged of the committed log, for R8 and over their restarts.
    pub(crate) fn note_durable_known(&mut self) {
        let commit = self.commit;
        for peer in self.peers.values_mut() {
            let known = peer.progress.durable.min(commit);
            peer.durable_known = peer.durable_known.max(known);
        }
    }

    /// The lone node of two goes on with what needs no commit: it may fence.
    fn install_restricted(&mut self) {
        let Role::Dc(dc) = &mut self.role else { return };
        dc.confirmed = true;
        let durable = self.writes.durable;
        let intents = self.tip.intents.values();
        let fresh: Vec<FenceIntent> = intents
            .filter(|i| !dc.local_intents.contains(&i.fence_no))
            .cloned()
            .collect();
        dc.local_intents.extend(fresh.iter().map(|i| i.fence_no));
        if durable < self.log.head().seq && !fresh.is_empty() {
            // Not on disk yet: hand them out at the next barrier.
            for intent in &fresh {
                dc.local_intents.remove(&intent.fence_no);
            }
        } else {
            for intent in fresh {
                self.event(Event::FenceIntentLocal(intent));
            }
        }
        let view = self.tip.view.clone();
        self.install_view(view);
        self.check_authority();
    }

    pub(crate) fn lead_timeout(&self) -> Option<Time> {
        let ballot = self.dc_ballot()?;
        let mut at = self.authority_until().filter(|t| *t > self.looked);
        let head = self.log.head().seq;
        let t_fail_us = self.cfg.timing.t_fail_us;
        for peer in self.peers.values() {
            let Some(sent) = peer.progress.sent else {
                continue;
            };
            let behind = peer.progress.durable < head && !self.is_witness(peer.node);
            if behind && ballot.counter > 0 && peer.hears(self.now, t_fail_us) {
                // What was sent last waits as long as what was lost before it.
                let oldest = peer.progress.oldest_unanswered();
                let oldest = oldest.filter(|_| peer.progress.matched);
                let due = sent.min(oldest.unwrap_or(sent));
                let due = due.plus(self.cfg.timing.resend_us);
                at = Some(at.map_or(due, |a| a.min(due)));
            }
        }
        at
    }
}

/// Bytes of an append besides its entries: two points, a ballot, lengths.
const APPEND_OVERHEAD_BYTES: usize = 160;
/// Entries sent and not acknowledged, per follower.
const ENTRIES_FLYING_MAX: u64 = 256;
/// A follower further behind than this is fed by the stream.
const STREAM_FROM_ENTRIES: u64 = 32;
/// Entries per stream message, in bytes.
const STREAM_BATCH_BYTES: usize = 256 * 1_024;
