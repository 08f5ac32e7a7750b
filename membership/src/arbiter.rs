//! How nodes count with the witness (R7): it is asked for promises as any node, echoes stamps as any
//! node, keeps no log, and is in no view.
//!
//! Its vote counts for an entry once every member of every view that it may have stored has the
//! entry on disk. Then it does not matter which of these views it holds when somebody asks it for a
//! promise: it promises only to a member, and the member has the entry. A view is given to it when all
//! members have what was counted with it before that.

use std::collections::BTreeMap;

use wire::{Identity, NodeId};

use crate::core::Role;
use crate::message::Message;
use crate::mutant::{self, Mutant};
use crate::*;

/// What a coordinator knows of the witness' store under its own ballot.
#[derive(Debug, Default)]
pub(crate) struct Arbiter {
    /// Views it may hold: what it named with its promise, all it was given since, and the one that it
    /// is given next.
    held: Vec<WitnessView>,
    /// Through here its vote may have counted for what is committed.
    counted: u64,
    /// It holds one of these. Not before it has promised this ballot or stored a view of it.
    known: bool,
    /// View given last that it said it stored, and which process of it that was.
    stored: Option<(u64, Identity)>,
    /// When the last one of `held` was, if it was.
    given_at: Option<Time>,
}

impl Arbiter {
    /// Elected with the witness' promise: it holds what it named with it.
    pub(crate) fn after_promise(view: Option<Option<WitnessView>>) -> Self {
        Self {
            known: view.is_some(),
            held: view.into_iter().flatten().collect(),
            ..Self::default()
        }
    }
}

impl Core {
    /// The configured witness.
    pub(crate) fn witness(&self) -> Option<NodeId> {
        self.cfg.voters.witness
    }

    pub(crate) fn is_witness(&self, node: NodeId) -> bool {
        self.witness() == Some(node)
    }

    /// The witness is there, votes, and holds a view with this process, or one that this node has
    /// accepted and is in, be it as an earlier process: it would promise.
    pub(crate) fn witness_would_promise(&self) -> bool {
        let peer = self.witness().and_then(|w| self.peers.get(&w));
        let echo = peer.and_then(|p| p.promise.as_ref());
        let blind = [Mutant::WitnessPromisesAnybody, Mutant::WitnessLostVotes];
        if blind.into_iter().any(mutant::on) {
            return true;
        }
        let in_own = self.tip.view.member(self.me.node).is_some();
        echo.is_some_and(|e| e.member || (in_own && e.view_no <= self.safety.view_no))
    }

    /// Tells once that the witness is there and has no vote.
    pub(crate) fn heed_witness(&mut self, node: NodeId, beat: &message::Beat) {
        if self.is_witness(node) && beat.state == NodeState::Recovering {
            let text = "the witness has no store, or lost it: it has no vote before every node has \
                        told it what was promised; start the nodes that are down";
            self.notice("witness-empty", Some(node), text.to_owned());
        }
    }

    pub(crate) fn on_witness_promise(
        &mut self,
        from: Identity,
        ballot: Ballot,
        view: Option<WitnessView>,
    ) {
        if !self.is_witness(from.node) {
            return;
        }
        let Role::Candidate(candidate) = &mut self.role else {
            return;
        };
        if candidate.ballot != ballot {
            return;
        }
        let view_no = view.as_ref().map_or(0, |v| v.view_no);
        candidate.witness = Some(view);
        self.on_promise(from, ballot, (0, message::Point::default()), view_no);
    }

    pub(crate) fn on_witness_stored(&mut self, from: Identity, ballot: Ballot, view_no: u64) {
        if !self.is_witness(from.node) {
            return;
        }
        let Role::Dc(dc) = &mut self.role else { return };
        if dc.ballot != ballot {
            return;
        }
        let arbiter = &mut dc.arbiter;
        arbiter.stored = Some((view_no, from));
        // It never goes back: what was given before this one is gone.
        arbiter.known = true;
        let later = |v: &WitnessView| v.ballot == ballot && v.view_no >= view_no;
        arbiter.held.retain(later);
    }

    /// As DC: how far the witness' vote counts, by what the members have on disk.
    pub(crate) fn witness_acked(&self, acked: &BTreeMap<NodeId, u64>) -> Option<(NodeId, u64)> {
        let witness = self.witness()?;
        let Role::Dc(dc) = &self.role else {
            return None;
        };
        let held = &dc.arbiter.held;
        if !dc.arbiter.known || held.is_empty() {
            return None;
        }
        if mutant::on(Mutant::WitnessCountsAlone) {
            return Some((witness, acked.values().copied().max()?));
        }
        let members = held.iter().flat_map(|v| v.members.iter());
        let through = members.map(|(node, _)| acked.get(node).copied().unwrap_or(0));
        Some((witness, through.min()?))
    }

    /// As DC: something was committed, and the witness' vote counted through `witness`.
    pub(crate) fn note_counted(&mut self, witness: Option<(NodeId, u64)>) {
        let commit = self.commit;
        if let (Role::Dc(dc), Some((_, through))) = (&mut self.role, witness) {
            dc.arbiter.counted = dc.arbiter.counted.max(through.min(commit));
        }
    }

    /// As DC: gives the witness the newest view, once all its members have it on disk, and with it all
    /// that was committed with the witness' vote under the views before: it will promise to each of
    /// them. That the members catch up is not waited for in vain, for from now on its vote counts for
    /// what they have.
    pub(crate) fn instruct_witness(&mut self) {
        let Some(witness) = self.witness() else {
            return;
        };
        let now_there = self.peers.get(&witness).and_then(|p| p.identity);
        let (Some(process), true) = (now_there, self.heard(witness)) else {
            return;
        };
        let (resend_us, now) = (self.cfg.timing.resend_us, self.now);
        let Some(view) = self.witness_view() else {
            return;
        };
        let Role::Dc(dc) = &mut self.role else { return };
        let arbiter = &mut dc.arbiter;
        if arbiter.stored == Some((view.view_no, process)) {
            return;
        }
        if arbiter.held.last() != Some(&view) {
            arbiter.held.push(view.clone());
            arbiter.given_at = None;
        }
        let waiting = arbiter.given_at.is_some_and(|t| now.since(t) < resend_us);
        let early = mutant::on(Mutant::WitnessViewOverCommits);
        let counted = if early { 0 } else { arbiter.counted };
        if waiting || !self.members_have(counted) {
            return;
        }
        if let Role::Dc(dc) = &mut self.role {
            dc.arbiter.given_at = Some(now);
        }
        self.send(witness, &Message::WitnessView { view });
    }

    /// Every member of the newest view has the log through `seq` on disk.
    fn members_have(&self, seq: u64) -> bool {
        let mut members = self.tip.view.members.iter().map(|m| m.identity);
        members.all(|id| {
            let peer = self.peers.get(&id.node);
            let durable = match peer {
                None => self.writes.durable,
                Some(p) if p.identity == Some(id) => p.progress.durable,
                Some(_) => 0,
            };
            durable >= seq
        })
    }

    /// The newest view, if this node's first entry and the view are on the disks of all its members.
    fn witness_view(&self) -> Option<WitnessView> {
        let ballot = self.dc_ballot()?;
        let view = &self.tip.view;
        if view.ballot != ballot || !self.in_view() {
            return None;
        }
        let last = self.last_view_seq();
        let seq = match last {
            0 => self.committed_view_seq()?,
            seq => seq,
        };
        let early = mutant::on(Mutant::WitnessViewEarly);
        if !early && !self.members_have(seq) {
            return None;
        }
        let members = view.members.iter();
        Some(WitnessView {
            ballot,
            view_no: view.view_no,
            seq,
            config_epoch: self.tip.config.config_epoch,
            members: members
                .map(|m| (m.identity.node, m.identity.incarnation))
                .collect(),
        })
    }

    /// Where the committed view stands in the log, if it is still held.
    fn committed_view_seq(&self) -> Option<u64> {
        let view_no = self.committed.view.view_no;
        let base = self.log.base().seq;
        let is_it =
            |l: &&log::Logged| matches!(&l.record.body, EntryBody::View(v) if v.view_no == view_no);
        let held = self.log.iter_after(base).filter(is_it).last();
        // Compacted: every member that is level is beyond the base.
        Some(held.map_or(base, |l| l.record.seq))
    }

    /// The DC's view can be committed only with the witness, and the witness is not there.
    pub(crate) fn view_lacks_witness(&self) -> bool {
        let Some(witness) = self.witness() else {
            return false;
        };
        let members = self.tip.view.members.iter();
        let members = members.map(|m| m.identity.node).collect();
        !self.heard(witness) && !self.predicates().quorate(&members)
    }

    pub(crate) fn arbiter_timeout(&self) -> Option<Time> {
        let Role::Dc(dc) = &self.role else {
            return None;
        };
        let witness = self.witness().filter(|w| self.heard(*w))?;
        let process = self.peers.get(&witness)?.identity?;
        let settled = dc.arbiter.stored == Some((self.tip.view.view_no, process));
        let given_at = dc.arbiter.given_at.filter(|_| !settled)?;
        Some(given_at.plus(self.cfg.timing.resend_us))
    }
}
