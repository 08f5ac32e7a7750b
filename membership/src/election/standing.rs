//! Who may stand for coordinator, when, and how long the others wait for whoever does (3.5, R5, R6, R9).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;

use wire::NodeId;

use super::BACK_OFF_DOUBLINGS;
use crate::marks::Marks;
use crate::mutant::{self, Mutant};
use crate::*;

impl Core {
    pub(super) fn check_eligible(&mut self) {
        let consenting = match self.may_stand() {
            Ok(consenting) => consenting,
            Err(why) => {
                if self.follows_acting() {
                    self.election.failures = 0;
                }
                self.election.inhibited = why;
                self.election.eligible_since = None;
                self.election.start_at = None;
                return;
            }
        };
        self.election.inhibited = Cow::Borrowed("");
        let since = *self.election.eligible_since.get_or_insert(self.now);
        let rank = self.rank(&consenting);
        let delay = rank * self.cfg.timing.rank_step_us;
        let start = since.plus(delay).max(self.election.not_before);
        self.election.start_at = Some(start);
        if self.now >= start {
            self.stand(consenting.len());
        }
    }

    /// May this node ask for promises now? The nodes that consent, or why not.
    fn may_stand(&self) -> Result<BTreeSet<NodeId>, Cow<'static, str>> {
        if !self.fit() {
            return Err("this node may not vote".into());
        }
        if !self.dc_lost() {
            return Err("the coordinator is not lost".into());
        }
        if self.promised_lately() {
            return Err("another candidate was promised just now".into());
        }
        if let Some((node, _)) = self.standing_peer() {
            return Err(format!("node {node} stands already").into());
        }
        let rules = self.predicates();
        if rules.votes_of(self.me.node) == 0 {
            return Err("this node has no vote".into());
        }
        let mut consenting = BTreeSet::from([self.me.node]);
        for peer in self.peers.values() {
            let consents = peer.beat.as_ref().is_some_and(|b| b.dc_lost);
            let futile = self.is_witness(peer.node) && !self.witness_would_promise();
            if self.linked(peer.node) && !futile && (consents || mutant::on(Mutant::NoPreVote)) {
                consenting.insert(peer.node);
            } else if rules.two_node() && rules.names(peer.node) && self.heard(peer.node) {
                let node = peer.node;
                return Err(format!("node {node} is there and does not consent").into());
            }
        }
        if self.log.head().seq == 0 {
            self.may_found(&consenting)?;
        } else if !rules.quorate(&consenting) {
            let (count, voteless) = (consenting.len(), self.voteless(&consenting));
            return Err(format!("{count} consenting nodes are no quorum{voteless}").into());
        } else if rules.wait_for_all() && !self.seen_all && !self.sole_survivor() {
            return Err("wait_for_all: not all nodes were seen since this process started".into());
        }
        if let Some(node) = self.outsider(&consenting) {
            return Err(format!(
                "node {node} was seen, is absent, and may have gone on while this node was out: \
                 a view with it comes first"
            )
            .into());
        }
        Ok(consenting)
    }

    /// Who is heard and has no vote for this node, for the person who wonders what is waited for.
    fn voteless(&self, consenting: &BTreeSet<NodeId>) -> String {
        let mut text = String::new();
        let t_fail_us = self.cfg.timing.t_fail_us;
        let there = |p: &&peer::Peer| p.fresh(self.now, t_fail_us) && !consenting.contains(&p.node);
        for peer in self.peers.values().filter(there) {
            let between = if text.is_empty() { ": " } else { ", " };
            let node = peer.node;
            if peer.beat.as_ref().map(|b| b.state) == Some(NodeState::Recovering) {
                text += &format!("{between}node {node} lost its store and does not vote");
            } else if self.is_witness(node) && !self.witness_would_promise() {
                text += between;
                text += "the witness votes for a member of its last view alone";
            }
        }
        text
    }

    /// Q = 1: two quorums of one do not intersect, and what the other node committed with proof that
    /// an earlier process of this one is gone, this log need not have. So a process of two nodes
    /// acts without the other only after a committed view has let it in (from then on the other
    /// commits alone only with proof that this very process is gone), or as sole survivor. With
    /// wait_for_all that holds from its start on; without, from when it has seen the other.
    pub(crate) fn outsider(&self, present: &BTreeSet<NodeId>) -> Option<NodeId> {
        let rules = self.predicates();
        if !rules.two_node() || self.let_in || mutant::on(Mutant::OutsiderStandsAlone) {
            return None;
        }
        let wait = rules.wait_for_all() && !mutant::on(Mutant::WaitForAllForgotten);
        let absent = self.peers.values().filter(|p| !present.contains(&p.node));
        let mut absent = absent.filter(|p| rules.names(p.node));
        let absent = absent.find(|p| wait || p.beat.is_some())?;
        (!self.sole_survivor()).then_some(absent.node)
    }

    /// R9: who has just promised another candidate lets it try first.
    pub(super) fn promised_lately(&self) -> bool {
        self.safety.promised.node != self.me.node.0
            && self
                .election
                .promised
                .is_some_and(|(at, _, _)| self.now.since(at) < self.patience_us())
    }

    /// How long a candidate is given by others before it has asked, in microseconds. What failed before
    /// may have waited for disks that take longer than half of T to write a promise, and would fail as
    /// often as it is tried. Whose own disk is as slow has no reason to try instead.
    pub(super) fn patience_us(&self) -> u64 {
        self.patience_of(BARRIER_US_MAX, 2 * self.writes.pace_us)
    }

    /// How long a candidate waits for promises once it has asked, in microseconds. Another disk may be at
    /// a write for another candidate, and then write the promise, both at the pace of this one.
    pub(super) fn asking_us(&self) -> u64 {
        self.patience_of(ASKING_US_MAX, 3 * self.writes.pace_us)
    }

    fn patience_of(&self, doubled_us_max: u64, disks_us: u64) -> u64 {
        let half_us = self.cfg.timing.t_fail_us / 2;
        if mutant::on(Mutant::CandidacyEverAsShort) {
            return half_us;
        }
        let doubled_us = half_us << self.election.failures.min(BACK_OFF_DOUBLINGS);
        let enough_us = doubled_us.min(doubled_us_max).max(disks_us);
        enough_us.min(ASKING_US_MAX).max(half_us)
    }

    /// There is a coordinator, and it acts.
    fn follows_acting(&self) -> bool {
        let dc = self.dc_alive().and_then(|dc| self.peers.get(&dc));
        dc.is_some_and(|p| p.beat.as_ref().is_some_and(|b| b.acting))
    }

    /// R9: who hears that another asks for promises lets it try. It says so before its own promise is
    /// on its disk, and so long before it asks: two that are eligible at once, as all are when a new
    /// process of the coordinator shows that the old one is dead, seldom ask both. Once it has asked,
    /// it alone knows how often it failed and how long disks take here: whoever outbids it makes those
    /// that are about to promise write once more. Until when?
    pub(super) fn standing_peer(&self) -> Option<(NodeId, Time)> {
        let until = |peer: &peer::Peer, since: Time| {
            let asks = peer.asks() && !mutant::on(Mutant::AskingOutbid);
            let patience_us = if asks { ASKING_US_MAX } else { 0 };
            since.plus(patience_us.max(self.patience_us()))
        };
        let standing = self.peers.values();
        standing
            .filter_map(|p| p.stands.map(|(since, _)| (p.node, until(p, since))))
            .find(|(node, until)| self.now < *until && self.linked(*node))
    }

    /// R6: the first view needs all configured nodes, present and empty, with one node list.
    fn may_found(&self, consenting: &BTreeSet<NodeId>) -> Result<(), String> {
        if mutant::on(Mutant::BootstrapWithoutAll) {
            let enough = self.predicates().quorate(consenting);
            return if enough {
                Ok(())
            } else {
                Err("no quorum to found a cluster".into())
            };
        }
        // A witness has nothing to contribute to the first view, and gets it when it comes.
        let nodes = self.peers.keys().filter(|n| !self.is_witness(**n));
        let missing = nodes.filter(|n| !consenting.contains(n));
        // Reckoned in every step until all are there, of many nodes at once.
        let mut absent = String::new();
        for node in missing {
            let between = if absent.is_empty() { "" } else { ", " };
            let _ = write!(absent, "{between}node {node}");
        }
        if !absent.is_empty() {
            return Err(format!(
                "a new cluster needs all its nodes, not there yet: {absent}"
            ));
        }
        for peer in self.peers.values().filter(|p| !self.is_witness(p.node)) {
            let Some(beat) = &peer.beat else { continue };
            if beat.log.head.seq > 0 {
                return Err(format!("node {} has a log", peer.node));
            }
            if beat.digest != self.cfg.nodelist_digest[..8] {
                return Err(format!("node {} has another node list", peer.node));
            }
        }
        Ok(())
    }

    /// The one-node view this node left last was certified, and nothing newer was accepted (R5).
    pub(crate) fn sole_survivor(&self) -> bool {
        let newest = self.safety.view_no;
        let stale_too = mutant::on(Mutant::StaleSoleSurvivor);
        self.safety
            .sole_survivor
            .as_ref()
            .is_some_and(|s| s.view_no == newest || stale_too)
    }

    /// How many consenting nodes should go first: a newer ballot in the log, a process that stands in
    /// the view, a newer log, more links, a lower id. A coordinator that has just restarted comes
    /// after the others: those can agree before they both hear it, and then all reckon alike. What
    /// it had written and not sent is of the same ballot, and fetched from it.
    fn rank(&self, consenting: &BTreeSet<NodeId>) -> u64 {
        let t_fail_us = self.cfg.timing.t_fail_us;
        // Of as many nodes as consent, as many are looked up.
        let there = Marks::of(consenting);
        let mine = self.peers.values().filter(|p| p.hears(self.now, t_fail_us));
        let degree = mine.filter(|p| there.has(p.node)).count() + 1;
        let head = self.log.head();
        let sound = self.tip.class_u.is_none();
        let key = (sound, head.ballot, self.in_view(), head.seq);
        let better = consenting.iter().filter(|node| {
            let Some(peer) = self.peers.get(node).filter(|_| !self.is_witness(**node)) else {
                return false;
            };
            let Some(beat) = &peer.beat else {
                return false;
            };
            let in_view = peer.identity.is_some_and(|id| self.tip.view.names(&id));
            let head = beat.log.head;
            let theirs = (!beat.class_u, head.ballot, in_view, head.seq);
            let links = || beat.hears().filter(|n| there.has(*n)).count() + 1;
            let by_links = || links().cmp(&degree).then(self.me.node.cmp(node));
            theirs.cmp(&key).then_with(by_links).is_gt()
        });
        better.count() as u64
    }
}

/// A candidate that has asked is given so long at most, in microseconds: one after the other, a disk that
/// just does not count as hung ends what it is at, and writes a promise; and so much again.
pub(crate) const ASKING_US_MAX: u64 = 4 * BARRIER_US_MAX;
