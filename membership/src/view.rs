//! Who is in: the members a DC wants, and when a view may be accepted (R0, R8, R10).

use std::collections::BTreeSet;

use wire::NodeId;

use crate::mutant::{self, Mutant};
use crate::peer::Peer;
use crate::*;

impl Core {
    /// Members of the view this node would form now, ascending; with or without nodes that are
    /// about to be fenced.
    pub(crate) fn desired_members(&self, with_intents: bool) -> Vec<Member> {
        let member = |identity: wire::Identity| Member {
            identity,
            votes: self.rules().votes_of(identity.node),
        };
        // As many as there are now, and one that comes.
        let mut members = Vec::with_capacity(self.tip.view.members.len() + 1);
        let (mut me, own) = (Some(member(self.me)), self.me.node);
        for peer in self.peers.values() {
            if peer.node > own {
                members.extend(me.take());
            }
            members.extend(self.desired(peer, with_intents).map(member));
        }
        members.extend(me);
        debug_assert!(members.is_sorted(), "{members:?}");
        members
    }

    /// The process of a peer that the view this node would form has.
    fn desired(&self, peer: &Peer, with_intents: bool) -> Option<wire::Identity> {
        if self.is_witness(peer.node) {
            return None;
        }
        let now = peer.identity.filter(|id| {
            let superseded = self.tip.supersedes(id) && !mutant::on(Mutant::SupersededInView);
            !superseded && self.admissible(peer, id, with_intents)
        });
        now.or_else(|| {
            let prior = self.tip.view.member(peer.node).map(|m| m.identity);
            prior.filter(|_| !self.removable(peer.node))
        })
    }

    /// The members of a view that can commit. A node with an open fence intent is let in only where
    /// nothing could be committed without it (MEMBERSHIP.md, "An open fence intent"): nobody could
    /// run the agent or end the intent otherwise.
    pub(crate) fn workable_members(&self) -> Vec<Member> {
        let members = self.desired_members(false);
        let running = |id: &wire::Identity| {
            let now = self.peers.get(&id.node).and_then(|p| p.identity);
            *id == self.me || now == Some(*id)
        };
        let live = |node: NodeId| {
            let member = members.binary_search_by_key(&node, |m| m.identity.node);
            member.is_ok_and(|at| running(&members[at].identity))
                || self.is_witness(node) && self.heard(node)
        };
        let rules = self.rules();
        // Of two nodes every member has to acknowledge, and a process that is gone never will.
        let whole = !rules.two_node() || members.iter().all(|m| running(&m.identity));
        if (whole && rules.quorate_of(live)) || mutant::on(Mutant::IntentKeepsOut) {
            members
        } else {
            self.desired_members(true)
        }
    }

    /// Hears us and is heard, is able, and no fencing stands in the way (R10).
    fn admissible(&self, peer: &Peer, identity: &wire::Identity, with_intents: bool) -> bool {
        let t_fail_us = self.cfg.timing.t_fail_us;
        peer.linked(self.now, t_fail_us)
            && (peer.relaying.may_rejoin(self.now) || self.tip.view.names(identity))
            && !self.tip.certified(identity)
            && (with_intents || !self.tip.intents.values().any(|i| i.target == peer.node))
    }

    /// May the prior member go? Proved gone, or missed by a quorum of which no one hears it.
    fn removable(&self, node: NodeId) -> bool {
        let Some(prior) = self.tip.view.member(node).map(|m| m.identity) else {
            return true;
        };
        if self.tip.certified(&prior) {
            return true;
        }
        if !self.missing(node) {
            return false;
        }
        let mut missed_by = BTreeSet::from([self.me.node]);
        for peer in self
            .peers
            .values()
            .filter(|p| p.node != node && self.linked(p.node))
        {
            // The witness relays nothing, so its hearing the node is no help; and it has a word of
            // its own: it stores the view without the node, or not.
            let arbitrates = self.is_witness(peer.node);
            let misses = |b: &message::Beat| !b.withholding && (arbitrates || !b.counts(node));
            if peer.beat.as_ref().is_some_and(misses) {
                missed_by.insert(peer.node);
            }
        }
        self.predicates().quorate(&missed_by) || self.unreachable(node)
    }

    /// Highest view number that this node or any of the members that follow it went through. One that
    /// comes back may have formed, alone or in a minority, more views than were formed without it; it
    /// installs none with a lower number, and what it says of its own would be waited for in vain.
    pub(crate) fn newest_view_no(&self, members: &[Member]) -> u64 {
        let own = self.safety.view_no.max(self.tip.view.view_no);
        let ballot = self.dc_ballot();
        if mutant::on(Mutant::ViewBehindMember) {
            return own;
        }
        let beat = |m: &Member| {
            let peer = self.peers.get(&m.identity.node)?;
            let beat = peer.beat.as_ref()?;
            let follows = peer.identity == Some(m.identity) && Some(beat.ballot) <= ballot;
            follows.then_some(beat.view_no)
        };
        let theirs = members.iter().filter_map(beat);
        let theirs = theirs.filter(|no| *no < crate::message::NUMBER_MAX).max();
        theirs.unwrap_or(0).max(own)
    }

    /// R0 and R8 before a VIEW is accepted: until when it must wait, or `Err` for never.
    pub(crate) fn view_acceptable(&self, view: &View) -> Result<Time, String> {
        for member in &view.members {
            let id = member.identity;
            let Some(known) = self.tip.last_seen.get(&id.node) else {
                continue;
            };
            if self.tip.supersedes(&id) {
                return Err(format!(
                    "view {} names incarnation {} of node {}, {} is known",
                    view.view_no, id.incarnation, id.node, known.incarnation
                ));
            }
        }
        let mut wait = Time(0);
        // Whoever was promised its presence, be it under a view that is no longer in this log.
        for peer in self.peers.values() {
            let listed = self.tip.view.member(peer.node).map(|m| m.identity);
            let gone = listed.or(peer.identity);
            if view.member(peer.node).is_some() || gone.is_some_and(|id| self.tip.certified(&id)) {
                continue;
            }
            wait = wait.max(peer.presence_until);
            if listed.is_some() {
                wait = wait.max(self.withhold_until);
            }
        }
        if mutant::on(Mutant::AckViewAtOnce) {
            return Ok(Time(0));
        }
        Ok(wait)
    }

    /// Has this node promised its presence to somebody who would not be in such a view? Then it
    /// forms none: of the members of its newest view `removable` knows, this is about those that
    /// a truncated entry or another's log took out of it.
    pub(crate) fn owes_presence(&self, members: &[Member]) -> bool {
        self.peers.values().any(|peer| {
            let listed = self.tip.view.member(peer.node).map(|m| m.identity);
            let gone = listed.or(peer.identity);
            self.now < peer.presence_until
                && !members.iter().any(|m| m.identity.node == peer.node)
                && !gone.is_some_and(|id| self.tip.certified(&id))
        })
    }

    /// Is the process in the newest view that is on this disk? Before that it is promised nothing:
    /// a crash would take the view and the promise back together.
    pub(crate) fn view_on_disk_names(&self, identity: &wire::Identity) -> bool {
        if self.writes.durable < self.applied {
            return false;
        }
        let accepted = self.log.iter_after(self.applied);
        let newest = accepted
            .take_while(|l| l.record.seq <= self.writes.durable)
            .filter_map(|l| match &l.record.body {
                EntryBody::View(view) => Some(view),
                _ => None,
            })
            .last();
        newest.unwrap_or(&self.committed.view).names(identity)
    }

    /// Stops echoing members that a waiting view drops, so that the wait ends.
    pub(crate) fn shun_absent(&mut self, view: &View, until: Time) {
        for peer in self.peers.values_mut() {
            if view.member(peer.node).is_none() {
                peer.shunned_until = until;
            }
        }
    }

    /// This node's process is in its newest accepted view.
    pub(crate) fn in_view(&self) -> bool {
        self.tip.view.names(&self.me)
    }

    /// A lone node of two without proof that the other is gone (R11); a proof counts once it is on
    /// disk (R1).
    pub(crate) fn alone_unproved(&self) -> bool {
        matches!(self.role, core::Role::Dc(_))
            && (self.tip.uncertified() || self.proof_in_memory_only())
    }

    /// Its authority is restricted (R11): it was alone without proof, and the other has not yet
    /// acknowledged the view that has both. Before that the other may still act under an older
    /// ballot (I3).
    pub(crate) fn restricted(&self) -> bool {
        self.alone_unproved() || (matches!(self.role, core::Role::Dc(_)) && self.rejoining())
    }

    fn rejoining(&self) -> bool {
        let lone = |l: &log::Logged| matches!(&l.record.body, EntryBody::View(v) if self.tip.config.current.has_one_of_two_in(v));
        self.tip.config.current.two_node
            && !self.tip.config.current.has_one_of_two_in(&self.tip.view)
            && !mutant::on(Mutant::FreeBeforeTheOtherAgrees)
            && self.log.iter_after(self.commit).any(lone)
    }

    fn proof_in_memory_only(&self) -> bool {
        self.tip.has_lone_voter(&self.tip.view)
            && !mutant::on(Mutant::ProofInMemory)
            && self.log.iter_after(self.writes.durable).any(|l| {
                matches!(
                    l.record.body,
                    EntryBody::FenceResult(_) | EntryBody::CleanLeft { .. }
                )
            })
    }
}
