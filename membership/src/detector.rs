//! Heartbeats of others, and what follows from their silence (R0).

use wire::{NodeId, ProcessBoot};

use crate::beats::digest_start;
use crate::core::Role;
use crate::message::{Beat, Echo, Known};
use crate::mutant::{self, Mutant};
use crate::*;

impl Core {
    pub(crate) fn on_beat(&mut self, node: NodeId, link: LinkId, beat: Beat) {
        let (now, me) = (self.now, self.me.node);
        self.see_counter(beat.ballot.counter);
        let (wants_echo, answers) = (beat.stamp.is_some(), beat.answers);
        let known = beat.known;
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if let Some(echo) = beat.echo.clone().filter(|e| e.sent_us <= now.0) {
            if answers {
                // What is given back by the way says nothing about the way.
                let timing = &self.cfg.timing;
                match peer.links.iter_mut().find(|l| l.id == link) {
                    Some(link) => link.answered(now, echo.sent_us, timing),
                    None => peer.relaying.echoed(now, echo.sent_us),
                }
            }
            let newer = |old: &Echo| (echo.ballot, echo.sent_us) > (old.ballot, old.sent_us);
            if peer.echo.as_ref().is_none_or(newer) {
                peer.echo = Some(echo);
                peer.echo_received = now;
            }
        }
        peer.channel.acked(beat.parcel_ack);
        let news = peer
            .beat
            .as_ref()
            .is_none_or(|old| beat.beat_no > old.beat_no);
        if news {
            if let Some(echo) = beat.echo.clone().filter(|e| e.sent_us <= now.0) {
                peer.promise = Some(echo);
                peer.promise_received = now;
            }
            if let Some(stamp) = beat.stamp
                && peer.stamp.is_none_or(|old| stamp.sent_us > old.sent_us)
            {
                peer.stamp = Some(stamp);
                peer.stamp_at = now;
            }
            peer.stands = match beat.state {
                NodeState::Candidate => peer.stands.or(Some((now, beat.ballot))),
                _ => None,
            };
            let leads = matches!(beat.state, NodeState::Dc | NodeState::DcPending);
            if !leads || beat.ballot != peer.authority_ballot {
                // The process itself says that it is not (or no longer) what we echoed: a ballot
                // given up is never taken up again, so nothing is left to wait for.
                peer.authority_until = Time(0);
            }
            self.follow_commit(node, &beat);
            self.heed_view(&beat);
            self.heed_row(node, &beat);
            self.heed_list(node, &beat);
            self.heed_witness(node, &beat);
            let blank_among_logs = self.blank() && beat.log.head.seq > 0;
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.forgot &= beat.log.head.seq < peer.durable_known;
                peer.take_beat(beat, me);
            }
            if blank_among_logs && !mutant::on(Mutant::StoreLostVotes) {
                self.begin_recovery(&format!("it has no log, but node {node} has"));
            }
        }
        self.check_known(node, known);
        if wants_echo {
            let stamped = self.stamps_answer(node, link);
            self.beat_to(node, Some(link), stamped);
        }
    }

    /// Of two nodes the lower one sets the pace: the other's answer to its heartbeat is the other's
    /// heartbeat, too, and three packets do what four did. Each stamp is given back at once as ever,
    /// and comes as often. Where the lower one is not heard, and with several ways between the two,
    /// of which each is to be tried, both beat by themselves.
    fn stamps_answer(&mut self, node: NodeId, link: LinkId) -> bool {
        let one_way = self.beat_hops(node).is_empty();
        let (now, heartbeat_us) = (self.now, self.cfg.timing.heartbeat_us);
        if node > self.me.node || !one_way {
            return false;
        }
        let Some(peer) = self.peers.get_mut(&node) else {
            return false;
        };
        if !matches!(&peer.links[..], [only] if only.id == link) {
            return false;
        }
        // Its next one is waited for, and a little longer.
        peer.beat_at = now.plus(heartbeat_us + heartbeat_us / 5);
        now.since(peer.stamped) >= heartbeat_us / 4
    }

    /// Who receives nothing of us any more, on any path, is as good as silent: it would be a member
    /// that takes no entry and no command, and gets none of our echoes. Not so where one node of two
    /// suffices: whoever is heard is there, and may act alone for not receiving us (R11).
    fn heed_row(&mut self, node: NodeId, beat: &Beat) {
        let (me, now) = (self.me.node, self.now);
        let grace_us = self.cfg.timing.t_fail_us;
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let received = beat.receives(me);
        let deaf = !received && (peer.named_us || now.since(peer.met) > grace_us);
        peer.named_us |= received;
        peer.relaying.says(beat.direct(me));
        let alone_too = deaf && self.predicates().two_node();
        let excepted = alone_too && !mutant::on(Mutant::DeafOfTwoIsGone);
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.deaf = deaf && !excepted && !mutant::on(Mutant::DeafStaysMember);
        }
    }

    /// A node that goes on with another node list: nobody notices until something depends on it.
    fn heed_list(&mut self, node: NodeId, beat: &Beat) {
        let same = beat.digest == digest_start(&self.cfg.nodelist_digest);
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if same || beat.blank {
            peer.lists_differ_since = None;
            return;
        }
        let since = *peer.lists_differ_since.get_or_insert(now);
        if now.since(since) >= LISTS_DIFFER_US {
            let text = format!(
                "node {node} works with another node list than this node: make nodelist and quorum \
                 in corosync.conf the same on all nodes, and restart mainstayd where it was wrong"
            );
            self.notice("node-lists-differ", Some(node), text);
        }
    }

    /// What a peer remembers of us must not be more than what we remember ourselves (R8).
    fn check_known(&mut self, node: NodeId, known: Known) {
        if mutant::on(Mutant::IncarnationUnchecked) || self.safety.recovering {
            return;
        }
        if known.durable > self.log.head().seq {
            let why = format!(
                "it had acknowledged entry {} to node {node}, its log ends at {}",
                known.durable,
                self.log.head().seq
            );
            self.notice("older-store", Some(self.me.node), why.clone());
            self.begin_recovery(&why);
        }
    }

    /// A new process of a peer says how far its disk is (R8). One that has forgotten what it had
    /// acknowledged learns so from the next beat, recovers, and is not counted meanwhile: its
    /// promises and echoes are those of a disk that may have forgotten a promise, too.
    pub(crate) fn on_peer_head(&mut self, of: wire::Identity, head: u64) {
        let node = of.node;
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let known = peer.durable_known;
        if peer.identity != Some(of) || head >= known || mutant::on(Mutant::IncarnationUnchecked) {
            return;
        }
        peer.forgot = true;
        let text = format!(
            "node {node} had acknowledged entry {known}, its disk ends at {head}: a restored image \
             or a clone; it is not counted before it has fetched what it lacks"
        );
        self.notice("older-store", Some(node), text);
        self.beat_to(node, None, false);
    }

    /// A peer knows this node with an incarnation that is not below ours: this disk is older than
    /// it should be (restored image, clone).
    pub(crate) fn on_outdated(&mut self, node: NodeId, process: ProcessBoot, incarnation: u64) {
        let in_bounds = (self.me.incarnation..message::NUMBER_MAX).contains(&incarnation);
        if process != self.me.process_boot || !in_bounds {
            return;
        }
        let text = format!(
            "node {node} knows incarnation {incarnation} of this node, this one is {}: the disk is \
             older than it should be (restored image, clone), or the node id is used twice",
            self.me.incarnation
        );
        self.notice("older-store", Some(self.me.node), text);
        self.begin_recovery("its disk is older than its peers remember");
        self.outlived(incarnation);
    }

    /// Another process of this node had this incarnation or a later one: only a restart helps.
    fn outlived(&mut self, incarnation: u64) {
        if self.safety.incarnation >= incarnation && self.restart_told {
            return;
        }
        self.restart_told = true;
        self.safety.incarnation = self.safety.incarnation.max(incarnation);
        self.save_safety();
        let why = format!("peers know incarnation {incarnation} of this node");
        self.writes
            .then(Effect::Event(Event::RestartNeeded { why }));
    }

    /// Links, first sight of everybody, and what to report about peers.
    pub(crate) fn check_detector(&mut self) {
        let now = self.now;
        let timing = self.cfg.timing;
        // Once seen, seen for as long as this process lives.
        let (rules, seen_all, witness) = (self.predicates(), self.seen_all, self.witness());
        let mut all = seen_all || self.knows_all(&rules);
        for peer in self.peers.values_mut() {
            let fresh = peer.fresh(now, timing.t_fail_us);
            for link in &mut peer.links {
                link.check(now, &timing);
                if !fresh {
                    link.forgive();
                }
            }
            peer.in_use = Some(peer.best());
            let waited_for = !seen_all && rules.names(peer.node) && witness != Some(peer.node);
            all &= !waited_for || peer.fresh(now, timing.t_fail_us) && peer.hears_us;
        }
        if all || mutant::on(Mutant::WaitForAllForgotten) {
            self.seen_all = true;
        }
        // A member of a view that a quorum committed under an acting DC has been let in by nodes
        // that had seen all (R5).
        if !self.seen_all
            && let Some(dc) = self.dc_alive().and_then(|dc| self.peers.get(&dc))
            && dc.beat.as_ref().is_some_and(|b| b.acting)
            && self.committed.view.names(&self.me)
        {
            self.seen_all = true;
        }
    }

    /// R0: nobody echoed it for its hold, and nothing was heard for T.
    pub(crate) fn missing(&self, node: NodeId) -> bool {
        let Some(peer) = self.peers.get(&node) else {
            return true;
        };
        if self.suspicion_withheld() {
            return false;
        }
        !self.heard(node) && self.now >= peer.presence_until
    }

    /// Is it in our hears-row?
    pub(crate) fn heard(&self, node: NodeId) -> bool {
        let t_fail_us = self.cfg.timing.t_fail_us;
        self.peers
            .get(&node)
            .is_some_and(|p| p.hears(self.now, t_fail_us))
    }

    /// Both ends hear each other.
    pub(crate) fn linked(&self, node: NodeId) -> bool {
        let t_fail_us = self.cfg.timing.t_fail_us;
        let peer = self.peers.get(&node);
        peer.is_some_and(|p| p.linked(self.now, t_fail_us))
    }

    /// The DC this node follows: itself, or a peer that is heard and says so under a ballot not
    /// below our promise.
    pub(crate) fn dc_alive(&self) -> Option<NodeId> {
        if matches!(self.role, Role::Dc(_)) {
            return Some(self.me.node);
        }
        let t_fail_us = self.cfg.timing.t_fail_us;
        let mut found: Option<(Ballot, NodeId)> = None;
        for peer in self.peers.values() {
            let Some(ballot) = peer.leads else { continue };
            let leads = ballot >= self.safety.promised && ballot.node == peer.node.0;
            let highest = || found.is_none_or(|(other, _)| ballot >= other);
            if leads && highest() && peer.hears(self.now, t_fail_us) {
                found = Some((ballot, peer.node));
            }
        }
        found.map(|(_, node)| node)
    }

    /// Until when R0 forbids a promise to `candidate` (`None`: our own consent, dc_lost).
    pub(crate) fn bound_until(&self, candidate: Option<NodeId>) -> Time {
        let others = self.peers.values().filter(|p| Some(p.node) != candidate);
        let echoed = others.map(|p| p.authority_until).max().unwrap_or(Time(0));
        let restart = if self.withholding() {
            self.withhold_until
        } else {
            Time(0)
        };
        echoed.max(restart)
    }

    /// After a start: an authority echoed by our predecessor process may still act, and only that
    /// of the DC of the highest promised ballot, for an echo names the durable promise and a newer
    /// promise waits for older echoes. No harm is possible, and nothing withheld, where that DC was
    /// this node itself (its process is dead), or has been heard since and is no DC: a ballot once
    /// given up is never resumed, and a new process holds none.
    pub(crate) fn withholding(&self) -> bool {
        let dc = NodeId(self.promised_at_start.node);
        if self.now >= self.withhold_until || dc == self.me.node {
            return false;
        }
        let beat = self.peers.get(&dc).and_then(|p| p.beat.as_ref());
        !beat.is_some_and(|b| {
            !matches!(b.state, NodeState::Dc | NodeState::DcPending)
                || b.ballot > self.promised_at_start
        })
    }

    /// After a start nobody is suspected for the largest hold ever echoed.
    pub(crate) fn suspicion_withheld(&self) -> bool {
        self.now < self.withhold_until
    }

    /// Our consent to an election.
    pub(crate) fn dc_lost(&self) -> bool {
        self.fit()
            && self.leaving.is_none()
            && self.dc_alive().is_none()
            && self.now >= self.bound_until(None)
    }

    /// When the detector wants to be called again.
    pub(crate) fn detector_timeout(&self) -> Option<Time> {
        let mut at = None;
        let mut earlier = |time: Time| {
            if time > self.looked {
                at = Some(at.map_or(time, |a: Time| a.min(time)));
            }
        };
        earlier(self.withhold_until);
        for peer in self.peers.values() {
            if let Some(heard) = peer.last_heard {
                earlier(heard.plus(self.cfg.timing.t_fail_us));
            }
            earlier(peer.presence_until);
            earlier(peer.authority_until);
            for link in &peer.links {
                if let Some(at) = link.down_at(&self.cfg.timing) {
                    earlier(at);
                }
            }
        }
        at
    }
}

/// Node lists may differ for so long, in microseconds: a change reaches every node in less, and a
/// restart with another file lasts longer.
const LISTS_DIFFER_US: u64 = 15_000_000;
/// Longest hold of a peer's stamp this node is ready to promise, in microseconds.
pub const HOLD_US_MAX: u64 = 120_000_000;
