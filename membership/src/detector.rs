//! Heartbeats, echoes and what follows from silence (R0).

use wire::{NodeId, ProcessBoot};

use crate::core::Role;
use crate::links::Link;
use crate::message::{Beat, Echo, Ends, Heard, Known, Message, Stamp};
use crate::mutant::{self, Mutant};
use crate::peer::Peer;
use crate::relay;
use crate::*;

/// When to beat to all next ([`Peer::beat_at`]: to one) and what was told last: news are told at once
/// (ruling 2).
#[derive(Debug, Default)]
pub(crate) struct Beats {
    pub(crate) at: Time,
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    row: Vec<Heard>,
    says: Says,
}

/// What a heartbeat says to all alike, but for the row.
#[derive(Debug, PartialEq, Eq)]
struct Says {
    dc_lost: bool,
    state: NodeState,
    acting: bool,
    fit: bool,
    withholding: bool,
    ballot: Ballot,
    view_no: u64,
}

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
            peer.stands_since = match beat.state {
                NodeState::Candidate => peer.stands_since.or(Some(now)),
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

    /// A heartbeat (with a stamp) or an answer to one, on one link or on all, and by the nodes that
    /// pass it on where it takes such.
    pub(crate) fn beat_to(&mut self, node: NodeId, link: Option<LinkId>, stamped: bool) {
        let met = |p: &Peer| p.identity.is_some() && !p.left && !p.retired;
        if !self.may_send() || !self.peers.get(&node).is_some_and(met) {
            return;
        }
        let (answer, all);
        let ways: &[Via] = match link.filter(|l| *l != relay::RELAY_LINK) {
            // An answer goes the way its question came.
            Some(link) => {
                answer = [Via::Link(link)];
                &answer
            }
            None => {
                all = self.beat_ways(node, link);
                &all
            }
        };
        let Some(mut beat) = self.beat(node, stamped) else {
            return;
        };
        beat.answers = link.is_some();
        if stamped && let Some(peer) = self.peers.get_mut(&node) {
            peer.stamped = self.now;
            let asked = |l: &&mut Link| ways.contains(&Via::Link(l.id));
            let links = peer.links.iter_mut().filter(asked);
            links.for_each(|l| l.sent(self.now));
        }
        let Some((last, others)) = ways.split_last() else {
            return;
        };
        let message = Box::new(Message::Beat(beat));
        let by = |via: Via, message| {
            let to = node;
            Output::Do(Effect::Message { to, via, message })
        };
        self.out
            .extend(others.iter().map(|via| by(*via, message.clone())));
        self.out.push_back(by(*last, message));
    }

    /// Links and hops of a beat, or the hops of an answer to one that came by such.
    fn beat_ways(&self, node: NodeId, link: Option<LinkId>) -> Vec<Via> {
        let links = self.peers.get(&node).filter(|_| link.is_none());
        let links = links.into_iter().flat_map(|p| &p.links);
        let by = |(hop, link)| Via::Relay {
            hop,
            link: Some(link),
        };
        let hops = self.beat_hops(node).into_iter().map(by);
        links.map(|l| Via::Link(l.id)).chain(hops).collect()
    }

    /// The next beat for a peer.
    fn beat(&mut self, node: NodeId, stamped: bool) -> Option<Beat> {
        let echo = self.give_back(node);
        let hold_us = self.cfg.hold_us();
        let (says, row) = (self.says(), self.row().collect());
        let commit = self.point_or_base(self.commit);
        let logged = self.tip.last_seen.get(&node).map(|id| id.incarnation);
        let peer = self.peers.get_mut(&node)?;
        peer.next_beat_no += 1;
        peer.channel.ack_due = false;
        Some(Beat {
            beat_no: peer.next_beat_no,
            stamp: stamped.then_some(Stamp {
                sent_us: self.now.0,
                hold_us,
            }),
            answers: false,
            echo,
            ballot: says.ballot,
            view_no: says.view_no,
            log: Ends {
                commit,
                head: self.log.head(),
            },
            state: says.state,
            acting: says.acting,
            dc_lost: says.dc_lost,
            fit: says.fit,
            withholding: says.withholding,
            blank: self.log.head().seq == 0 && self.safety.promised == Ballot::default(),
            class_u: self.tip.class_u.is_some(),
            digest: digest_start(&self.cfg.nodelist_digest),
            row,
            known: Known {
                incarnation: peer
                    .identity
                    .map(|id| id.incarnation)
                    .max(logged)
                    .unwrap_or(0),
                durable: peer.durable_known,
            },
            parcel_ack: peer.channel.delivered(),
        })
    }

    /// The echo of a peer's newest stamp. Giving one to a member of the newest accepted view is a
    /// promise that lasts for the stamp's hold from now (R0); repeating it promises nothing new.
    fn give_back(&mut self, node: NodeId) -> Option<Echo> {
        if !self.fit() {
            return None;
        }
        let now = self.now;
        // A promise on its way to the disk already binds us: do not renew the old authority.
        let settled = self.safety.promised == self.safe.promised;
        let ballot = if settled {
            self.safe.promised
        } else {
            Ballot::default()
        };
        let view_no = self.safe.view_no;
        let hold_us_safe = self.safe.hold_us_max;
        let void = self.void_for(node);
        let config_epoch = self.tip.config.config_epoch;
        // "Hears" and "echoes" are one predicate (R0).
        let heard = self.heard(node) || mutant::on(Mutant::RelayedNotHeard);
        let by_relay = self.peers.get(&node).is_some_and(|p| !p.up());
        let peer = self.peers.get_mut(&node)?;
        let stamp = peer.stamp?;
        let stale = now.since(peer.stamp_at) > 2 * self.cfg.timing.heartbeat_us;
        if stale || stamp.hold_us > HOLD_US_MAX {
            return None;
        }
        let identity = peer.identity?;
        let listed = self.tip.view.names(&identity);
        if listed && !heard {
            return None;
        }
        let member = listed && now >= peer.shunned_until;
        if member && !self.view_on_disk_names(&identity) {
            // A promise under a view that a crash may take back would be forgotten with it.
            return None;
        }
        if stamp.hold_us > self.safety.hold_us_max {
            self.safety.hold_us_max = stamp.hold_us;
            self.save_safety();
            return None;
        }
        if stamp.hold_us > hold_us_safe {
            return None;
        }
        let peer = self.peers.get_mut(&node)?;
        let echo = Echo {
            sent_us: stamp.sent_us,
            ballot,
            view_no,
            member,
            void,
            config_epoch,
        };
        let again = peer.given.as_ref() == Some(&echo);
        peer.given = Some(echo.clone());
        let forgotten = mutant::on(Mutant::EchoNoPromise)
            || by_relay && mutant::on(Mutant::RelayedEchoNoPromise)
            || by_relay && mutant::on(Mutant::RelayedNotHeard);
        if member && !again && !forgotten {
            peer.promise_hold(now, stamp.hold_us, ballot);
        }
        Some(echo)
    }

    /// Sends each peer its periodic beat, or all of them one at once when there is news.
    pub(crate) fn send_beats(&mut self) {
        if !self.may_send() {
            return;
        }
        let all = self.now >= self.beats.at || !self.told_last();
        let next = self.now.plus(self.cfg.timing.heartbeat_us);
        if all {
            self.beats.told = Some(self.told());
        }
        if all || self.peers.is_empty() {
            // A node without peers looks at its clock as often.
            self.beats.at = if self.peers.is_empty() { next } else { NEVER };
        }
        for at in 0.. {
            let Some(peer) = self.peers.nth_mut(at) else {
                return;
            };
            if all || self.now >= peer.beat_at {
                peer.beat_at = next;
                let node = peer.node;
                self.beat_to(node, None, true);
            }
        }
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
        let mut at = Some(self.next_beat()).filter(|_| self.may_send());
        let mut earlier = |time: Time| {
            if time > self.now {
                at = Some(at.map_or(time, |a| a.min(time)));
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

    fn next_beat(&self) -> Time {
        let each = self.peers.values().map(|p| p.beat_at);
        each.fold(self.beats.at, Time::min)
    }

    fn told(&self) -> Told {
        Told {
            row: self.row().collect(),
            says: self.says(),
        }
    }

    /// Everybody has been told what would be told now.
    fn told_last(&self) -> bool {
        let told = self.beats.told.as_ref();
        told.is_some_and(|t| t.says == self.says() && self.row().eq(t.row.iter().copied()))
    }

    fn says(&self) -> Says {
        Says {
            dc_lost: self.dc_lost(),
            state: self.state,
            acting: self.is_acting(),
            fit: self.fit() && self.leaving.as_ref().is_none_or(|l| !l.done),
            withholding: self.suspicion_withheld(),
            ballot: self.safe.promised,
            view_no: self.safe.view_no,
        }
    }
}

fn digest_start(digest: &[u8; 32]) -> [u8; 8] {
    let mut start = [0; 8];
    start.copy_from_slice(&digest[..8]);
    start
}

/// Not by itself.
const NEVER: Time = Time(u64::MAX);
/// Node lists may differ for so long, in microseconds: a change reaches every node in less, and a
/// restart with another file lasts longer.
const LISTS_DIFFER_US: u64 = 15_000_000;
/// Longest hold of a peer's stamp this node is ready to promise, in microseconds.
pub const HOLD_US_MAX: u64 = 120_000_000;
