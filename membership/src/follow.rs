//! What a follower does: entries in, two watermarks out (R1), and what is committed to the
//! application.

use wire::NodeId;

use crate::log::{Record, Snapshot};
use crate::message::{self, Beat, Blob, Message, Point};
use crate::mutant::{self, Mutant};
use crate::*;

impl Core {
    pub(crate) fn on_append(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        prev: Point,
        commit: Point,
        entries: &[Blob],
    ) {
        if !self.fit() || ballot.node != from.0 || ballot.counter >= message::NUMBER_MAX {
            return;
        }
        if ballot < self.safety.promised {
            if self.safe.promised > ballot {
                let promised = self.safe.promised;
                self.send(from, &Message::Refuse { ballot, promised });
            }
            return;
        }
        if self.blank() && prev.seq > 0 && !mutant::on(Mutant::StoreLostVotes) {
            self.begin_recovery(&format!("it has no log, but node {from} has"));
            return;
        }
        if self.dc_ballot() == Some(ballot) {
            return;
        }
        if ballot > self.safety.promised {
            self.step_down("another node leads under a newer ballot");
            self.safety.promised = ballot;
            self.matched = (ballot, 0);
            self.save_safety();
        } else if !matches!(self.role, core::Role::Follower) {
            self.step_down("another node leads under this ballot");
        }
        if !self.log.has(&prev) {
            self.unmatched(from, ballot, prev);
            return;
        }
        match self.take_entries(prev, ballot, entries) {
            Taken::Through(seq) => self.took(from, ballot, seq, commit),
            Taken::Fork(seq) => self.forked(from, seq),
            Taken::Bad(why) => {
                let text = format!("node {from} sent an entry this node cannot take: {why}");
                self.notice("entry-refused", Some(from), text);
            }
        }
    }

    fn unmatched(&mut self, from: NodeId, ballot: Ballot, prev: Point) {
        if self.matched.0 == ballot && self.matched.1 >= prev.seq {
            // An old packet; tell again where we stand.
            self.ack(from);
            return;
        }
        let base = self.log.base();
        let beyond = prev.seq < base.seq && prev.ballot > base.ballot;
        if beyond
            && self.committed.class_u.is_some()
            && !mutant::on(Mutant::ForkBelowSnapshotUnseen)
        {
            // Ballots never fall along a log: whatever stands there in ours is not the DC's.
            self.forked(from, prev.seq);
            return;
        }
        if prev.seq <= self.commit && self.log.point(prev.seq).is_some() {
            if self.committed.class_u.is_some() && prev.seq > base.seq {
                // Where the logs part, and so what is lost, shows only from a point both have.
                let commit = base;
                self.send(from, &Message::Mismatch { ballot, commit });
            } else {
                self.forked(from, prev.seq);
            }
            return;
        }
        let commit = self.point_or_base(self.commit);
        self.send(from, &Message::Mismatch { ballot, commit });
    }

    fn took(&mut self, from: NodeId, ballot: Ballot, seq: u64, commit: Point) {
        if self.matched.0 != ballot {
            self.matched = (ballot, 0);
        }
        self.matched.1 = self.matched.1.max(seq);
        self.learn_commit(commit);
        self.ack(from);
    }

    /// Acknowledges both watermarks, each only as far as the log is this DC's.
    pub(crate) fn ack(&mut self, to: NodeId) {
        if !self.fit() || self.safe.promised != self.matched.0 {
            return;
        }
        assert!(
            !self.safety.recovering && !self.poisoned,
            "I12: no ACK in this state"
        );
        let unwritten = self.writes.durable < self.log.base().seq;
        if unwritten && !mutant::on(Mutant::SnapshotAckedUnwritten) {
            // A snapshot is still on its way to the disk: there is no durable point to name (R1).
            return;
        }
        let (ballot, through) = self.matched;
        let Some(mem) = self.log.point(through) else {
            return;
        };
        let durable = self.point_or_base(through.min(self.writes.durable));
        self.send(
            to,
            &Message::Ack {
                ballot,
                mem,
                durable,
            },
        );
    }

    /// Entries after `prev`: skips what is here, drops what conflicts, appends the rest.
    pub(crate) fn take_entries(&mut self, prev: Point, ballot: Ballot, entries: &[Blob]) -> Taken {
        let mut seq = prev.seq;
        for Blob(bytes) in entries {
            seq += 1;
            if seq <= self.log.base().seq {
                continue;
            }
            let record: Record = match message::decode(bytes) {
                Ok(record) => record,
                Err(e) => return Taken::Bad(format!("entry {seq}: {e}")),
            };
            if record.seq != seq || record.ballot > ballot {
                return Taken::Bad(format!("entry {seq} is out of place"));
            }
            let present = self.log.get(seq).map(|l| l.bytes == *bytes);
            match present {
                Some(true) => continue,
                Some(false) if seq <= self.commit => return Taken::Fork(seq),
                Some(false) => self.drop_from(seq),
                None => {}
            }
            if seq != self.log.head().seq + 1 {
                return Taken::Bad(format!("entry {seq} leaves a gap"));
            }
            if let EntryBody::View(view) = &record.body {
                match self.view_acceptable(view) {
                    Err(why) => return Taken::Bad(why),
                    Ok(until) if until > self.now => {
                        self.shun_absent(view, until.plus(self.cfg.timing.t_fail_us));
                        return Taken::Through(seq - 1);
                    }
                    Ok(_) => {}
                }
            }
            self.append_record(record);
        }
        Taken::Through(seq)
    }

    /// Drops an uncommitted suffix.
    fn drop_from(&mut self, seq: u64) {
        assert!(seq > self.commit, "I7: a committed entry never changes");
        if self.tip.class_u.is_some() && !self.cfg.fencing && !mutant::on(Mutant::ConflictForgotten)
        {
            // Alone, one disk was enough to acknowledge them; a crash may have taken the note of it.
            self.hand_out_conflict(seq);
        }
        self.log.truncate(seq);
        self.writes.pend(DurableOp::TruncateLog { seq });
        self.refold();
    }

    /// The DC's log differs from what is committed here. Only class U may give way (3.7).
    pub(crate) fn forked(&mut self, from: NodeId, seq: u64) {
        let Some(first_unsafe) = self.committed.class_u else {
            let text = format!(
                "node {from} leads a log that differs at entry {seq}, which is committed here: \
                 two clusters with one key, or a disk that lied; this node keeps out"
            );
            self.notice("log-fork", Some(from), text);
            return;
        };
        let mut text = format!(
            "what this node wrote without quorum from entry {first_unsafe} on lost against the log \
             of node {from}; it is kept as a conflict"
        );
        let base = self.log.base().seq;
        if base >= first_unsafe {
            text += &format!(", but for the entries up to {base}, which only the versions hold");
        }
        self.notice("conflict", Some(self.me.node), text);
        // What was written with the other and not acknowledged by it stands before the lone view.
        self.hand_out_conflict(first_unsafe.min(seq));
        let shared = seq > self.log.snapshot.at.seq;
        self.roll_back(shared.then_some(seq));
    }

    /// What is about to leave the log from here on and may have been acknowledged without quorum.
    pub(crate) fn hand_out_conflict(&mut self, first: u64) {
        let lost = self.log.iter_after(first.saturating_sub(1));
        let asked_for = lost.filter(|l| l.record.op.is_some());
        let lost: Vec<Entry> = asked_for.map(|l| l.entry()).collect();
        if !lost.is_empty() {
            self.event(Event::Conflict { lost });
        }
    }

    /// Back to the newest snapshot; what follows it before `fork` is in both logs and stays, not
    /// committed. `None`: the snapshot itself is not in the other log, and nothing stays.
    fn roll_back(&mut self, fork: Option<u64>) {
        let mut snapshot = Snapshot::default();
        let mut shared = Vec::new();
        if let Some(fork) = fork {
            snapshot = self.log.snapshot.clone();
            let after = self.log.iter_after(snapshot.at.seq);
            let before_fork = after.take_while(|l| l.record.seq < fork);
            shared = before_fork.map(|l| l.record.clone()).collect();
        }
        let at = snapshot.at;
        self.log = log::Log::from_snapshot(snapshot);
        for record in shared {
            self.log.append(record);
        }
        let kept = self.log.head().seq;
        self.commit = at.seq;
        self.applied = at.seq;
        self.committed = self.log.snapshot.state.clone();
        self.proposals.look_again();
        self.matched.1 = match fork {
            // It was compared through here. What was before may be below the snapshot now, where no
            // point is left to acknowledge: the DC would send the same for ever.
            Some(_) if self.matched.0 == self.safety.promised => kept,
            _ => self.matched.1.min(kept),
        };
        self.lease.forget_ends();
        self.writes.pend(DurableOp::TruncateLog { seq: kept + 1 });
        if at.seq == 0 {
            let state = self.log.snapshot_bytes.clone();
            self.writes.pend(DurableOp::Snapshot { seq: 0, state });
        }
        self.writes.pend(DurableOp::CommitHint { seq: at.seq });
        self.refold();
        let state = self.log.snapshot.app.clone();
        self.event(Event::Restored { seq: at.seq, state });
    }

    /// A DC's heartbeat tells what is committed, too.
    pub(crate) fn follow_commit(&mut self, node: NodeId, beat: &Beat) {
        let follows = beat.state == NodeState::Dc
            && beat.ballot.node == node.0
            && self.matched.0 == beat.ballot
            && self.safety.promised == beat.ballot;
        if follows {
            self.learn_commit(beat.log.commit);
        }
    }

    fn learn_commit(&mut self, commit: Point) {
        let seq = commit.seq.min(self.matched.1);
        if seq > self.commit && (seq < commit.seq || self.log.has(&commit)) {
            self.commit = seq;
            self.writes.pend(DurableOp::CommitHint { seq });
        }
    }

    /// Hands over what is committed and on this disk, in order, once.
    pub(crate) fn deliver(&mut self) {
        let through = self.commit.min(self.writes.durable);
        if self.restored_view_due && self.writes.durable >= self.log.snapshot.at.seq {
            self.restored_view_due = false;
            let view = self.log.snapshot.state.view.clone();
            self.let_in |= view.names(&self.me);
            self.install_view(view);
        }
        while self.applied < through {
            let Some(logged) = self.log.get(self.applied + 1) else {
                break;
            };
            let record = logged.record.clone();
            let entry = logged.entry();
            self.applied += 1;
            self.committed.apply(&record);
            if record.body.changes_voters() {
                self.reckon_rules();
            }
            if let EntryBody::View(view) = &record.body {
                self.let_in |= view.names(&self.me);
                self.install_view(view.clone());
            }
            if let Some(op) = record.op {
                self.proposal_committed(op, record.seq);
            }
            self.event(Event::Committed(entry));
        }
        self.note_ends();
        self.want_snapshot();
    }

    /// The application and the soft-state stream learn of a view.
    pub(crate) fn install_view(&mut self, view: View) {
        if view.view_no <= self.installed_view {
            return;
        }
        self.installed_view = view.view_no;
        self.event(Event::View(view));
        self.resend_soft();
    }

    fn want_snapshot(&mut self) {
        let since = self.applied.saturating_sub(self.log.snapshot.at.seq);
        // What may have to be handed out as a conflict is kept as entries for longer.
        let class_u = self.committed.class_u.is_some() && !mutant::on(Mutant::ConflictCompacted);
        let patience = if class_u { SNAPSHOT_CLASS_U } else { 1 };
        let many = since >= SNAPSHOT_ENTRIES * patience;
        let large = self.log.bytes() >= SNAPSHOT_LOG_BYTES * patience as usize;
        if since > 0 && (many || large) && !self.snapshot_wanted {
            self.snapshot_wanted = true;
            self.event(Event::WantSnapshot);
        }
    }

    pub(crate) fn on_snapshot(&mut self, seq: u64, app: Vec<u8>) {
        self.snapshot_wanted = false;
        let old = &self.log.snapshot;
        if seq <= old.at.seq || seq > self.applied {
            return;
        }
        let Some(at) = self.log.point(seq) else {
            return;
        };
        let mut state = old.state.clone();
        let from = old.at.seq;
        for logged in self
            .log
            .iter_after(from)
            .take_while(|l| l.record.seq <= seq)
        {
            if logged.record.seq > from {
                state.apply(&logged.record);
            }
        }
        self.log.compact(Snapshot { at, state, app });
        let state = self.log.snapshot_bytes.clone();
        self.writes.pend(DurableOp::Snapshot { seq, state });
    }

    /// Something reached the disk.
    pub(crate) fn after_durable(&mut self) {
        self.release_commands();
        if let Some(dc) = self.dc_alive()
            && dc != self.me.node
            && self.matched.0.node == dc.0
            && self.matched.1 > 0
        {
            self.ack(dc);
        }
    }
}

/// What became of entries.
pub(crate) enum Taken {
    /// The log is the sender's through here.
    Through(u64),
    /// A committed entry differs.
    Fork(u64),
    /// Not to be taken.
    Bad(String),
}

impl log::Logged {
    pub(crate) fn entry(&self) -> Entry {
        let record = &self.record;
        Entry {
            seq: record.seq,
            ballot: record.ballot,
            body: record.body.clone(),
        }
    }
}

/// Entries after which the application is asked for its state.
const SNAPSHOT_ENTRIES: u64 = 1_024;
/// Bytes of entries held after which it is asked, however few they are.
const SNAPSHOT_LOG_BYTES: usize = 8 * 1_024 * 1_024;
/// So many times more of both while a lone half without fencing commits alone (class U).
const SNAPSHOT_CLASS_U: u64 = 4;
