//! What people and the application are told: state changes as events, everything as a status.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wire::{Identity, NodeId};

use crate::core::Role;
use crate::links::LinkStatus;
use crate::message::{Heard, Point};
use crate::*;

/// Everything `status` shows of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreStatus {
    /// This process.
    pub me: Identity,
    /// Protocol state.
    pub state: NodeState,
    /// Who coordinates, if known.
    pub dc: Option<NodeId>,
    /// This node acts as coordinator now.
    pub acting: bool,
    /// Installed view.
    pub view: View,
    /// This partition may decide.
    pub quorate: bool,
    /// Why (not), in a sentence.
    pub quorate_why: String,
    /// What keeps an election from starting; empty when none is needed.
    pub election_why: String,
    /// Votes of all configured nodes, or `expected_votes` where higher.
    pub votes_expected: u32,
    /// Votes of the nodes in contact.
    pub votes_present: u32,
    /// Votes needed.
    pub votes_needed: u32,
    /// Whom this node receives, and how.
    pub row: Vec<Heard>,
    /// Every configured peer.
    pub peers: Vec<PeerStatus>,
    /// Voter sets.
    pub config: ConfigEntry,
    /// Cluster's name, zero before it is founded.
    pub cluster_uuid: [u8; 16],
    /// End of the log.
    pub head: Point,
    /// Committed through here.
    pub commit: u64,
    /// On this disk through here.
    pub durable: u64,
    /// Handed to the application through here.
    pub applied: u64,
    /// Highest ballot promised.
    pub promised: Ballot,
    /// All time spans.
    pub timing: Timing,
    /// Lone node of two without a certificate (R11).
    pub restricted: bool,
    /// Commits here are covered by no quorum (class U).
    pub class_u: bool,
    /// Why this node may not vote, if so.
    pub recovering: Option<String>,
    /// Standing grants (R12).
    pub grants: Vec<Grant>,
    /// Writes handed to the store and not finished.
    pub writes_in_flight: usize,
}

/// A peer as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Which.
    pub node: NodeId,
    /// Its newest process, if a session ever stood.
    pub identity: Option<Identity>,
    /// As the detector sees it.
    pub state: PeerState,
    /// What it says it is.
    pub says: Option<NodeState>,
    /// In the newest view.
    pub member: bool,
    /// Microseconds since its last packet.
    pub silent_us: Option<u64>,
    /// Its links.
    pub links: Vec<LinkStatus>,
    /// Whom it says it hears.
    pub hears: Vec<NodeId>,
    /// Whom it says it receives, and how: its row of the matrix.
    pub row: Vec<Heard>,
    /// Nothing goes directly both ways: the node that passes packets on.
    pub relay: Option<NodeId>,
    /// Smoothed round-trip time that way in microseconds, once measured.
    pub relay_rtt_us: Option<u64>,
    /// Durable position it acknowledged to this DC.
    pub durable: u64,
}

/// What was reported last.
#[derive(Debug)]
pub(crate) struct Reports {
    pub(crate) quorate: bool,
    /// As it was last looked at.
    contact: Option<Contact>,
    why: String,
    restricted: bool,
    /// Since when no acting DC is known although the partition is, or may be, quorate.
    leaderless: Option<Time>,
    /// This process stood still: until then it may be for that alone that it has heard nobody.
    pub(crate) excused_until: Time,
    notices: BTreeMap<(String, Option<NodeId>), (String, Time)>,
}

/// Whom this node is in contact with, and what that is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    NoView,
    /// It may not vote itself.
    Unfit,
    /// So many nodes, no quorum.
    TooFew(usize),
    /// So many nodes, and one acts as coordinator.
    Quorum(usize),
    /// A quorum without coordinator.
    Leaderless,
}

impl Default for Reports {
    fn default() -> Self {
        let why = "this process has just started".into();
        let notices = BTreeMap::new();
        Self {
            quorate: false,
            contact: None,
            why,
            restricted: false,
            leaderless: None,
            excused_until: Time(0),
            notices,
        }
    }
}

impl Reports {
    /// The same notice is not repeated within a minute.
    pub(crate) fn first_notice(
        &mut self,
        code: &str,
        node: Option<NodeId>,
        text: &str,
        now: Time,
    ) -> bool {
        let key = (code.to_owned(), node);
        if let Some((old, at)) = self.notices.get(&key)
            && old == text
            && now.since(*at) < NOTICE_REPEAT_US
        {
            return false;
        }
        if self.notices.len() >= NOTICES_MAX {
            self.notices.clear();
        }
        self.notices.insert(key, (text.to_owned(), now));
        true
    }
}

impl Core {
    /// Last log entry on this node's disk: what the driver has its handshakes tell (R8).
    pub fn durable_head(&self) -> u64 {
        self.writes.durable
    }

    /// Tells what changed: state, quorum, restriction, peers.
    pub(crate) fn report(&mut self) {
        self.report_peers();
        self.report_paths();
        let (state, why) = self.node_state();
        if state != self.state {
            self.set_state(state, why.into_owned());
        }
        self.report_quorum();
        let restricted = self.restricted();
        if restricted != self.reports.restricted {
            self.reports.restricted = restricted;
            let why = if restricted {
                "alone of two nodes, and nothing proves the other one gone"
            } else {
                "the other node is back or proved gone"
            };
            self.event(Event::Restricted {
                restricted,
                why: why.into(),
            });
        }
    }

    /// Looked at in every step, and put into words only when something changed.
    fn report_quorum(&mut self) {
        let (quorate, contact) = self.judge_quorum();
        let in_no_view = contact == Contact::NoView;
        let told = self.reports.contact == Some(contact) && quorate == self.reports.quorate;
        if told && !(in_no_view && self.reports.why != self.no_view()) {
            return;
        }
        let why = match contact {
            Contact::NoView => self.no_view().to_owned(),
            Contact::Unfit => "this node may not vote".to_owned(),
            Contact::TooFew(nodes) => format!("{nodes} nodes in contact are no quorum"),
            Contact::Quorum(nodes) => format!("{nodes} nodes in contact are a quorum"),
            Contact::Leaderless => "no coordinator acts".to_owned(),
        };
        if quorate != self.reports.quorate || (!quorate && why != self.reports.why) {
            let why = why.clone();
            self.event(Event::Quorum { quorate, why });
        }
        self.reports.quorate = quorate;
        self.reports.contact = Some(contact);
        self.reports.why = why;
    }

    fn no_view(&self) -> &str {
        match &*self.election.inhibited {
            "" => "in no view yet",
            why => why,
        }
    }

    /// The only place that assigns `state`.
    fn set_state(&mut self, state: NodeState, why: String) {
        assert!(
            self.state != NodeState::Poisoned,
            "I12: a poisoned boot never comes back"
        );
        self.state = state;
        self.event(Event::State { state, why });
    }

    fn node_state(&self) -> (NodeState, Cow<'static, str>) {
        let say = |state, why: &'static str| (state, Cow::Borrowed(why));
        if self.poisoned {
            return say(
                NodeState::Poisoned,
                "a certificate names this machine's boot dead",
            );
        }
        if self.leaving.is_some() && !matches!(self.role, Role::Dc(_)) {
            return say(NodeState::Leaving, "this node was asked to leave");
        }
        if let Some(recovery) = &self.recovery {
            return (NodeState::Recovering, recovery.why.clone().into());
        }
        match &self.role {
            Role::Dc(dc) if dc.confirmed => say(NodeState::Dc, "a quorum has its first view"),
            Role::Dc(_) => say(NodeState::DcPending, "a quorum promised"),
            Role::Candidate(_) => say(NodeState::Candidate, "the coordinator is lost"),
            Role::Follower if self.in_view() => say(NodeState::Follower, "member of the view"),
            Role::Follower if self.peers.keys().any(|n| self.heard(*n)) => say(
                NodeState::Joining,
                "hears others and is in no view with them",
            ),
            Role::Follower if self.state == NodeState::Boot => say(NodeState::Boot, "started"),
            Role::Follower => say(NodeState::Joining, "hears nobody"),
        }
    }

    fn judge_quorum(&mut self) -> (bool, Contact) {
        if !self.in_view() || self.installed_view == 0 {
            self.reports.leaderless = None;
            return (false, Contact::NoView);
        }
        if !self.fit() {
            return (false, Contact::Unfit);
        }
        let (view, me, mut next) = (&self.tip.view, self.me.node, 0);
        let there = |n: NodeId| n == me || self.linked(n);
        let members = view.members.iter().map(|m| m.identity.node);
        let count = members.filter(|n| there(*n)).count();
        // Voters are asked for in the order in which the view has them.
        let counts = |n: NodeId| {
            there(n) && (self.is_witness(n) || view.member_next(n, &mut next).is_some())
        };
        if !self.rules().quorate_of(counts) {
            let excused = self.now < self.reports.excused_until && self.patient();
            if !excused {
                self.reports.leaderless = None;
            }
            return (excused, Contact::TooFew(count));
        }
        let dc = self.dc_alive();
        let acting = self.is_acting()
            || dc
                .and_then(|n| self.peers.get(&n))
                .and_then(|p| p.beat.as_ref())
                .is_some_and(|b| b.acting);
        if acting {
            self.reports.leaderless = None;
            return (true, Contact::Quorum(count));
        }
        (self.patient(), Contact::Leaderless)
    }

    /// A change of coordinator is no loss of quorum unless it takes too long; nor is it one that a
    /// machine which stood still, and all its nodes with it, has heard nobody for that time. What
    /// a node may do (promises, leases, tokens) does not depend on what is told here.
    fn patient(&mut self) -> bool {
        let since = *self.reports.leaderless.get_or_insert(self.now);
        let patient = self.now.since(since) < LEADERLESS_T_FAIL * self.cfg.timing.t_fail_us;
        self.reports.quorate && patient
    }

    /// When a quorum without coordinator is told to be none, unless one is there by then.
    fn patience_timeout(&self) -> Option<Time> {
        let reports = &self.reports;
        let patience_us = LEADERLESS_T_FAIL * self.cfg.timing.t_fail_us;
        let ends = reports.leaderless.map(|t| t.plus(patience_us));
        let excused = Some(reports.excused_until).filter(|_| reports.leaderless.is_some());
        let ends = ends.into_iter().chain(excused);
        ends.filter(|at| *at > self.looked).min()
    }

    fn report_peers(&mut self) {
        let t_fail_us = self.cfg.timing.t_fail_us;
        let now = self.now;
        let mut news = Vec::new();
        for peer in self.peers.values_mut() {
            let (state, why) = if peer.left {
                (PeerState::Left, "it said goodbye")
            } else if peer.fresh(now, t_fail_us) && peer.deaf {
                (
                    PeerState::Lost,
                    "it is heard, and says that it receives nothing from here on any path",
                )
            } else if peer.fresh(now, t_fail_us) {
                (PeerState::Up, "heard within the detection timeout")
            } else if peer.last_heard.is_some() {
                (
                    PeerState::Lost,
                    "silent on every link for the detection timeout",
                )
            } else {
                (PeerState::Unknown, "never heard")
            };
            if state != peer.reported {
                peer.reported = state;
                news.push((peer.node, state, why.to_owned()));
            }
        }
        for (node, state, why) in news {
            self.event(Event::Peer { node, state, why });
        }
    }

    /// Everything a status command shows.
    pub fn status(&self) -> CoreStatus {
        let rules = self.predicates();
        let mut present = BTreeSet::from([self.me.node]);
        present.extend(self.peers.keys().copied().filter(|n| self.linked(*n)));
        let set = rules.sets().last().cloned().unwrap_or_default();
        CoreStatus {
            me: self.me,
            state: self.state,
            dc: self.dc_alive(),
            acting: self.is_acting(),
            view: self.tip.view.clone(),
            quorate: self.reports.quorate,
            quorate_why: self.reports.why.clone(),
            election_why: self.election.inhibited.to_string(),
            votes_expected: quorum::expected(&set),
            votes_present: quorum::votes(&set, &present),
            votes_needed: quorum::needed(&set),
            row: self.row().collect(),
            peers: self.peers.values().map(|p| self.peer_status(p)).collect(),
            config: self.tip.config.clone(),
            cluster_uuid: self.tip.cluster_uuid,
            head: self.log.head(),
            commit: self.commit,
            durable: self.writes.durable,
            applied: self.applied,
            promised: self.safety.promised,
            timing: self.cfg.timing,
            restricted: self.restricted(),
            class_u: self.tip.class_u.is_some(),
            recovering: self.recovery.as_ref().map(|r| r.why.clone()),
            grants: self.committed.grants.values().cloned().collect(),
            writes_in_flight: self.writes.in_flight(),
        }
    }

    fn peer_status(&self, peer: &peer::Peer) -> PeerStatus {
        PeerStatus {
            node: peer.node,
            identity: peer.identity,
            state: peer.reported,
            says: peer.beat.as_ref().map(|b| b.state),
            member: peer.identity.is_some_and(|id| self.tip.view.names(&id)),
            silent_us: peer.last_heard.map(|t| self.now.since(t)),
            links: self.link_statuses(peer),
            row: peer
                .beat
                .as_ref()
                .map(|b| b.row.clone())
                .unwrap_or_default(),
            relay: self.degraded(peer),
            relay_rtt_us: peer.relaying.rtt_us(),
            hears: peer
                .beat
                .as_ref()
                .map(|b| b.hears().collect())
                .unwrap_or_default(),
            durable: peer.progress.durable,
        }
    }

    fn link_statuses(&self, peer: &peer::Peer) -> Vec<LinkStatus> {
        let best = peer.best();
        let links = peer.links.iter();
        links.map(|l| l.status(self.now, best)).collect()
    }

    /// When the core wants [`Input::Tick`] at the latest.
    pub fn next_timeout(&self) -> Option<Time> {
        self.timeout
    }

    /// Something is due then.
    pub(crate) fn come_back(&mut self, due: Option<Time>) {
        // Never in the past: whatever is overdue was looked at in the last step already.
        let soon = self.now.plus(TICK_US_MIN);
        (self.due, self.timeout) = (due, due.map(|due| due.max(soon)));
        self.lease.due = self.timeout;
    }

    /// Reckoned once, at the end of every step of which something may follow.
    pub(crate) fn reckon_due(&self) -> Option<Time> {
        let beat = Some(self.next_beat()).filter(|_| self.may_send());
        self.due_but_beats().into_iter().chain(beat).min()
    }

    /// The same without the heartbeats.
    pub(crate) fn due_but_beats(&self) -> Option<Time> {
        let store = self.writes.oldest().filter(|_| self.writes.usable());
        let leave = self
            .leaving
            .as_ref()
            .filter(|l| !l.done)
            .map(|l| l.deadline);
        let times = [
            self.detector_timeout(),
            self.relay_timeout(),
            self.election_timeout(),
            self.lead_timeout(),
            self.fetch_timeout(),
            self.propose_timeout(),
            self.channel_timeout(),
            self.arbiter_timeout(),
            self.lms_timeout(),
            store.map(|t| t.plus(persist::BARRIER_US_MAX)),
            self.trust_timeout(),
            self.patience_timeout(),
            leave,
        ];
        times.into_iter().flatten().min()
    }
}

/// The same notice at most once in this time, in microseconds.
const NOTICE_REPEAT_US: u64 = 60_000_000;
/// Notices remembered for that.
const NOTICES_MAX: usize = 256;
/// Quorum outlives its coordinator by this many detection timeouts.
const LEADERLESS_T_FAIL: u64 = 3;
/// Ticks are never closer than this, in microseconds.
const TICK_US_MIN: u64 = 200;
