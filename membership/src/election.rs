//! Candidates, promises and the first entries of a ballot (3.5 as amended by R0, R3, R5, R6, R9).

mod standing;

pub(crate) use standing::ASKING_US_MAX;

use std::collections::{BTreeMap, BTreeSet};

use wire::{Identity, NodeId};

use crate::core::{Candidate, Dc, Role};
use crate::message::{Message, Point};
use crate::mutant::{self, Mutant};
use crate::*;

impl Core {
    /// Starts, repeats or gives up a candidacy.
    pub(crate) fn check_election(&mut self) {
        match &self.role {
            Role::Dc(_) => {}
            Role::Candidate(_) => self.check_candidacy(),
            Role::Follower => self.check_eligible(),
        }
    }

    fn stand(&mut self, _consenting: usize) {
        let counter = self.election.counter_seen.max(self.safety.promised.counter) + 1;
        let ballot = Ballot {
            counter,
            node: self.me.node.0,
        };
        let timing = self.cfg.timing;
        self.safety.promised = ballot;
        self.save_safety();
        self.election.counter_seen = counter;
        self.election.eligible_since = None;
        self.election.start_at = None;
        self.election.promised = Some((self.now, self.log.head(), ballot));
        self.matched = (ballot, 0);
        self.role = Role::Candidate(Candidate {
            ballot,
            asks: false,
            deadline: NEVER,
            resend_at: self.now.plus(2 * timing.resend_us),
            bootstrap: self.log.head().seq == 0,
            asked: BTreeSet::new(),
            promises: BTreeMap::new(),
            adopting: None,
            witness: None,
        });
        self.ask_promises(false);
        self.check_promises();
    }

    /// Asks whoever is heard and was not asked yet; `again`: everybody who has not promised.
    fn ask_promises(&mut self, again: bool) {
        let Role::Candidate(candidate) = &mut self.role else {
            return;
        };
        let (ballot, bootstrap) = (candidate.ballot, candidate.bootstrap);
        let on_disk = self.safe.promised == ballot;
        let t_fail_us = self.cfg.timing.t_fail_us;
        let heard = self.peers.values().filter(|p| p.hears(self.now, t_fail_us));
        let due = |node: &NodeId| {
            let repeated = again && on_disk && !candidate.promises.contains_key(node);
            repeated || !candidate.asked.contains(node)
        };
        let due: Vec<NodeId> = heard.map(|p| p.node).filter(due).collect();
        candidate.asked.extend(&due);
        let message = Message::Prepare {
            ballot,
            head: self.log.head(),
            bootstrap,
        };
        for node in due {
            if on_disk {
                self.send(node, &message);
            } else {
                self.send_durable(node, &message);
            }
        }
    }

    fn check_candidacy(&mut self) {
        self.begin_to_ask();
        let Role::Candidate(candidate) = &mut self.role else {
            return;
        };
        if self.now >= candidate.deadline {
            self.lose_election("not enough promises in time");
            return;
        }
        let again = self.now >= candidate.resend_at;
        if again {
            candidate.resend_at = self.now.plus(2 * self.cfg.timing.resend_us);
        }
        self.ask_promises(again);
        self.check_promises();
    }

    /// The own promise is on disk: from now on the others are waited for.
    fn begin_to_ask(&mut self) {
        let Role::Candidate(candidate) = &self.role else {
            return;
        };
        if candidate.asks || self.safe.promised != candidate.ballot {
            return;
        }
        let patience_us = self.asking_us() + self.cfg.timing.resend_us;
        let deadline = self.now.plus(patience_us);
        if let Role::Candidate(candidate) = &mut self.role {
            candidate.asks = true;
            if candidate.adopting.is_none() {
                candidate.deadline = deadline;
            }
        }
    }

    /// Back-off, randomised and doubling (R9).
    fn lose_election(&mut self, _why: &str) {
        self.role = Role::Follower;
        self.transfer = None;
        self.election.failures = self.election.failures.saturating_add(1);
        let span = self.cfg.timing.rank_step_us << self.election.failures.min(BACK_OFF_DOUBLINGS);
        let wait = span + self.random() % span;
        self.election.not_before = self.now.plus(wait);
    }

    pub(crate) fn on_prepare(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        head: Point,
        bootstrap: bool,
    ) {
        self.see_counter(ballot.counter);
        if self.safety.recovering || self.poisoned || !self.fit() || ballot.node != from.0 {
            return;
        }
        if ballot.counter >= message::NUMBER_MAX {
            return;
        }
        if self
            .election
            .promised
            .is_some_and(|(_, _, given)| given == ballot)
            && ballot == self.safety.promised
        {
            // Asked again: the answer was lost, or is still on its way to the disk and leaves by itself.
            if self.safe.promised == ballot || mutant::on(Mutant::EachQuestionWritten) {
                self.promise(from, ballot);
            }
            return;
        }
        if let Err(again) = self.may_promise(from, ballot, head, bootstrap) {
            if again {
                let promised = self.safe.promised;
                self.send(from, &Message::Refuse { ballot, promised });
            }
            return;
        }
        self.step_down("it promised a newer ballot");
        self.safety.promised = ballot;
        self.matched = (ballot, 0);
        self.election.promised = Some((self.now, head, ballot));
        self.election.eligible_since = None;
        self.save_safety();
        self.promise(from, ballot);
    }

    fn promise(&mut self, to: NodeId, ballot: Ballot) {
        assert!(
            !self.safety.recovering && !self.poisoned,
            "I12: no promise in this state"
        );
        let head = self.log.head();
        let commit = self.point_or_base(self.commit);
        let view_no = self.safety.view_no;
        let survivals = self.tip.survivals;
        self.send_durable(
            to,
            &Message::Promise {
                ballot,
                head,
                commit,
                view_no,
                survivals,
            },
        );
    }

    /// May we promise? `Err(true)`: say no, a higher ballot stands.
    fn may_promise(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        head: Point,
        bootstrap: bool,
    ) -> Result<(), bool> {
        if ballot < self.safety.promised {
            return Err(true);
        }
        if bootstrap && self.log.head().seq > 0 {
            return Err(false);
        }
        if self.blank() && head.seq > 0 && !mutant::on(Mutant::StoreLostVotes) {
            self.begin_recovery(&format!("it has no log, but node {from} has"));
            return Err(false);
        }
        if matches!(&self.role, Role::Dc(dc) if dc.acting || !dc.confirmed) {
            return Err(false);
        }
        // R0: what we echoed may still act.
        if self.now < self.bound_until(Some(from)) {
            return Err(false);
        }
        if self.dc_alive().is_some_and(|dc| dc != from) {
            return Err(false);
        }
        // R9: no second promise within T/2 unless the candidate's log is newer, or both asked at the
        // same time: then the higher ballot is everybody's choice, and nobody asks twice. That never
        // goes on for ever, for whoever stands anew takes a higher counter.
        if let Some((at, promised_head, given)) = &self.election.promised {
            let soon = self.now.since(*at) < self.cfg.timing.t_fail_us / 2;
            let newer = (head.ballot, head.seq) > (promised_head.ballot, promised_head.seq);
            let same_round = ballot.counter == given.counter;
            if soon && !newer && !same_round {
                return Err(false);
            }
        }
        Ok(())
    }

    pub(crate) fn on_promise(
        &mut self,
        from: Identity,
        ballot: Ballot,
        head: (u64, Point),
        view_no: u64,
    ) {
        let Role::Candidate(candidate) = &mut self.role else {
            return;
        };
        let forgot = self.peers.get(&from.node).is_some_and(|p| p.forgot);
        if candidate.ballot == ballot && view_no < message::NUMBER_MAX && !forgot {
            candidate.promises.insert(from.node, (from, head, view_no));
            self.check_promises();
        }
    }

    pub(crate) fn on_refuse(&mut self, from: NodeId, ballot: Ballot, promised: Ballot) {
        self.see_counter(promised.counter);
        if promised <= ballot {
            return;
        }
        match &self.role {
            Role::Candidate(c) if c.ballot == ballot => {
                self.lose_election("a higher ballot was promised");
            }
            Role::Dc(dc) if dc.ballot == ballot && self.linked(from) => {
                self.step_down(&format!("node {from} promised a newer ballot"));
            }
            _ => {}
        }
    }

    /// Counts promises; adopts the newest log among them; leads.
    pub(crate) fn check_promises(&mut self) {
        let Role::Candidate(candidate) = &self.role else {
            return;
        };
        if self.safe.promised != candidate.ballot || candidate.adopting.is_some() {
            return;
        }
        let mut promised = BTreeSet::from([self.me.node]);
        for (node, (identity, _, _)) in &candidate.promises {
            if self
                .peers
                .get(node)
                .is_some_and(|p| p.identity == Some(*identity))
            {
                promised.insert(*node);
            }
        }
        let rules = self.predicates();
        let all_needed = candidate.bootstrap && !mutant::on(Mutant::BootstrapWithoutAll);
        let enough = if all_needed {
            let mut nodes = self.peers.keys();
            nodes.all(|node| promised.contains(node) || self.is_witness(*node))
        } else {
            rules.quorate(&promised)
        };
        // Q = 1: whoever is there and able has to agree, for two quorums of one do not intersect.
        let absent_partner = rules.two_node()
            && rules
                .nodes()
                .iter()
                .any(|node| self.heard(*node) && !promised.contains(node));
        if !enough || absent_partner || self.outsider(&promised).is_some() {
            return;
        }
        // Of two nodes, what a certified survivor committed is newer than any ballot the other went
        // through alone.
        let survivals_count = rules.two_node() && !mutant::on(Mutant::BallotAboveCertificate);
        let worth = |(survivals, head): (u64, Point)| {
            let survivals = if survivals_count { survivals } else { 0 };
            (survivals, head.ballot, head.seq)
        };
        let mine = worth((self.tip.survivals, self.log.head()));
        let best = candidate
            .promises
            .iter()
            .filter(|(node, _)| promised.contains(node))
            .max_by_key(|(_, (_, head, _))| worth(*head))
            .map(|(node, (_, head, _))| (*node, *head));
        if let Some((node, head)) = best
            && worth(head) > mine
            && let (_, target) = head
            && !mutant::on(Mutant::NoLogAdoption)
        {
            self.adopt(node, target);
            return;
        }
        let members = self.workable_members();
        // R6: all have promised; who fell silent since is to be in the first view, too.
        let is_node = |node: &&NodeId| !self.is_witness(**node);
        let others = self.peers.keys().filter(is_node).count();
        let some = candidate.bootstrap && members.len() <= others;
        if some && all_needed && !mutant::on(Mutant::FirstViewOfSome) {
            return;
        }
        if self.owes_presence(&members) {
            return;
        }
        self.lead();
    }

    fn adopt(&mut self, node: NodeId, target: Point) {
        if let Role::Candidate(candidate) = &mut self.role {
            candidate.adopting = Some((node, target));
            candidate.deadline = self.now.plus(ADOPTION_US_MAX);
        }
        self.start_transfer(node, target);
    }

    /// The log adopted from a promiser is complete.
    pub(crate) fn adopted(&mut self) {
        if let Role::Candidate(candidate) = &mut self.role {
            candidate.adopting = None;
            self.check_promises();
        }
    }

    fn lead(&mut self) {
        let Role::Candidate(candidate) = &self.role else {
            return;
        };
        let (ballot, bootstrap) = (candidate.ballot, candidate.bootstrap);
        let arbiter = crate::arbiter::Arbiter::after_promise(candidate.witness.clone());
        // Whoever leads alone had the right to (`outsider`), and keeps it.
        self.let_in |= candidate.promises.is_empty() || self.sole_survivor();
        let seen = candidate
            .promises
            .values()
            .map(|(_, _, view_no)| *view_no)
            .max();
        let view_no = self
            .safety
            .view_no
            .max(self.tip.view.view_no)
            .max(seen.unwrap_or(0));
        assert_eq!(
            ballot, self.safe.promised,
            "I1: leads only under its own durable promise"
        );
        let first_seq = self.log.head().seq + 1;
        self.role = Role::Dc(Dc {
            ballot,
            since: self.now,
            first_seq,
            confirmed: false,
            acting: false,
            act_no: 0,
            local_intents: BTreeSet::new(),
            gone_since: BTreeMap::new(),
            late: 0,
            arbiter,
        });
        self.transfer = None;
        for peer in self.peers.values_mut() {
            peer.progress = peer::Progress {
                next: first_seq,
                ..peer::Progress::default()
            };
        }
        if bootstrap {
            let config = ConfigEntry {
                config_epoch: 1,
                current: self.cfg.voters.clone(),
                next: None,
            };
            let cluster_uuid = self.cfg.new_cluster_uuid;
            let nodelist_digest = self.cfg.nodelist_digest;
            self.append_own(
                EntryBody::Init {
                    cluster_uuid,
                    nodelist_digest,
                    config,
                },
                None,
            );
        }
        let members = self.workable_members();
        self.append_view(view_no + 1, members);
    }

    /// Gives up candidacy or coordination. A ballot given up is never taken up again.
    pub(crate) fn step_down(&mut self, why: &str) {
        match std::mem::take(&mut self.role) {
            Role::Follower => {}
            Role::Candidate(_) => self.transfer = None,
            Role::Dc(dc) => {
                if dc.acting {
                    self.event(Event::DcEnded {
                        why: why.to_owned(),
                    });
                }
                self.election.not_before = self.now.plus(self.cfg.timing.rank_step_us / 2);
            }
        }
    }

    pub(crate) fn election_timeout(&self) -> Option<Time> {
        match &self.role {
            Role::Candidate(c) => Some(c.deadline.min(c.resend_at)),
            Role::Follower if self.promised_lately() => self
                .election
                .promised
                .map(|(at, _, _)| at.plus(self.patience_us())),
            Role::Follower => match self.standing_peer() {
                Some((_, until)) if self.dc_lost() => Some(until),
                _ => self.election.start_at,
            },
            Role::Dc(_) => None,
        }
    }

    pub(crate) fn see_counter(&mut self, counter: u64) {
        if counter < message::NUMBER_MAX {
            self.election.counter_seen = self.election.counter_seen.max(counter);
        }
    }

    /// splitmix64: spreads back-offs, protects nothing.
    fn random(&mut self) -> u64 {
        self.rng = self.rng.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.rng;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Doublings of the back-off: at most 32 steps.
const BACK_OFF_DOUBLINGS: u32 = 5;
/// Not by itself.
const NEVER: Time = Time(u64::MAX);
/// A candidate gives up fetching a promiser's log after this time, in microseconds.
const ADOPTION_US_MAX: u64 = 10_000_000;
