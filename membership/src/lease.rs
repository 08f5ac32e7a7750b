//! The VIP lease (R12-R14, R17): which grants this process may rely on, and since when; when a VIP
//! is free for another. MEMBERSHIP.md, "The VIP lease", has the argument.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wire::{Identity, NodeId};

use crate::message::{Beat, GIVEN_UP_MAX, GRANTS_VOID_MAX, Parcel, VOID_ALL};
use crate::mutant::{self, Mutant};
use crate::peer::Peer;
use crate::*;

/// Ownership of a VIP (R12). [`Grant::wanted`] makes one to propose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Resource id.
    pub vip: String,
    /// The holding process: a new process of its node, or a new boot, needs a re-grant.
    pub holder: Identity,
    /// Strictly growing; given by the DC.
    #[serde(deserialize_with = "crate::message::number")]
    pub grant_no: u64,
    /// Longest reliance of the holder on one stamp when the grant was given, in microseconds:
    /// what is waited for after a revoke. Filled in by the DC.
    pub hold_us: u64,
    /// The standing grant that has to be given up first: before its own process has said so, to
    /// this holder or to the log, this grant is worth nothing. `None`: it counts at once.
    pub after: Option<u64>,
}

impl Grant {
    /// A grant as it is proposed: the DC fills in number and hold.
    pub fn wanted(vip: impl Into<String>, holder: Identity) -> Self {
        Self {
            vip: vip.into(),
            holder,
            grant_no: 0,
            hold_us: 0,
            after: None,
        }
    }

    /// A grant for whom the VIP is to go to once grant `after` is given up: on the disks before the
    /// holder stops, so that nobody waits for a disk while the VIP is silent.
    pub fn in_turn(vip: impl Into<String>, holder: Identity, after: u64) -> Self {
        Self {
            after: Some(after),
            ..Self::wanted(vip, holder)
        }
    }

    /// The holder's node.
    pub fn node(&self) -> NodeId {
        self.holder.node
    }
}

/// A grant of this very process, as committed here.
///
/// What its holder does: `stamp` is `Some`: the kernel's element may stand for
/// [`Timing::element_us`] from it. `None`: do not renew; what stands runs out by itself and may be
/// renewed while it lasts once there is a stamp again. The grant is no longer listed: close at
/// once, and never renew under its number again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Resource id.
    pub vip: String,
    /// Number of the grant.
    pub grant_no: u64,
    /// Send time of the stamp that a quorum gave back and that this grant may rely on; `None`: not
    /// fresh.
    pub stamp: Option<Time>,
}

/// What the lease rules remember between steps.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Stamps sent before this moment count for no lease: start of the process, end of a pause,
    /// first sight of a view this node may not be in.
    since: Time,
    /// When the driver was asked to come back.
    pub(crate) due: Option<Time>,
    /// Q = 1: after a pause in which a lease ran out, no word of its own before this moment.
    alone_from: Time,
    /// Highest view number that counted as such a first sight.
    higher_view: u64,
    /// Grants of this process that it said itself it has released.
    released: BTreeSet<u64>,
    /// What others said that they have given up: the newest grant of each VIP, and who said so.
    words: BTreeMap<String, (u64, Identity)>,
    /// Grants that waited, and whose turn the application was told of.
    told: BTreeSet<u64>,
    /// When this node saw a revoke committed, by its own clock.
    revoked_at: BTreeMap<u64, Time>,
    /// Last committed entry whose consequences for the grants were noted.
    noted: Option<u64>,
    /// Newest voter sets seen committed, and when.
    config: (ConfigEntry, Time),
}

impl Watch {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            since: now,
            due: None,
            alone_from: now,
            higher_view: 0,
            released: BTreeSet::new(),
            words: BTreeMap::new(),
            told: BTreeSet::new(),
            revoked_at: BTreeMap::new(),
            noted: None,
            config: (ConfigEntry::default(), now),
        }
    }

    /// The log gave way to another lineage: what was seen of it says nothing.
    pub(crate) fn forget_ends(&mut self) {
        self.noted = None;
        self.revoked_at.clear();
        self.config.0 = ConfigEntry::default();
    }
}

/// What this node knows about its own standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Everything that stands may be renewed.
    In,
    /// Not now.
    Unsure,
    /// Others have gone on without it, or it has nothing any more.
    Out,
}

impl Core {
    /// The grants this process holds and may use; to be asked after every step. Pure and cheap.
    pub fn leases(&self) -> Vec<Lease> {
        let standing = self.committed.grants.values();
        let in_turn = self.committed.heirs.values().filter(|g| self.is_due(g));
        let mine = standing.chain(in_turn).filter(|g| self.is_mine(g));
        let mine: Vec<&Grant> = mine.collect();
        if mine.is_empty() {
            return Vec::new();
        }
        let standing = self.standing();
        if standing == Standing::Out {
            return Vec::new();
        }
        let usual = self.stamp_for(None);
        mine.into_iter()
            .map(|grant| {
                let voided = || self.peers.values().any(|p| names_void(p, grant.grant_no));
                let able = standing == Standing::In && self.cfg.hold_us() <= grant.hold_us;
                let stamp = match able {
                    false => None,
                    true if voided() => self.stamp_for(Some(grant.grant_no)),
                    true => usual,
                };
                Lease {
                    vip: grant.vip.clone(),
                    grant_no: grant.grant_no,
                    stamp,
                }
            })
            .collect()
    }

    /// Granted to this very process (R12), and its own log knows of no end.
    fn is_mine(&self, grant: &Grant) -> bool {
        let mine = if mutant::on(Mutant::OldProcessGrantHonoured) {
            grant.node() == self.me.node
        } else {
            grant.holder == self.me
        };
        let stands = self.tip.grant(&grant.vip, grant.grant_no).is_some();
        let given_up = self.lease.released.contains(&grant.grant_no);
        mine && stands && (!given_up || mutant::on(Mutant::WordTakenBack))
    }

    /// The grant waits no longer: the very process that holds the one before it has said that it
    /// gave that up.
    fn is_due(&self, heir: &Grant) -> bool {
        if mutant::on(Mutant::HeirWithoutWord) {
            return true;
        }
        let Some((grant_no, by)) = self.lease.words.get(&heir.vip) else {
            return false;
        };
        let standing = self.committed.grants.get(&heir.vip);
        let standing = standing.filter(|g| g.grant_no == *grant_no);
        let before = standing.or_else(|| self.committed.revoked.get(grant_no));
        let from_holder = |g: &Grant| *by == g.holder || mutant::on(Mutant::WordOfAnybody);
        heir.after == Some(*grant_no) && before.is_some_and(from_holder)
    }

    fn standing(&self) -> Standing {
        let leaving = self.leaving.as_ref();
        let gone = self.poisoned || self.safety.recovering || leaving.is_some_and(|l| l.clean);
        if gone || !self.in_view() {
            return Standing::Out;
        }
        if self.sees_itself_out() {
            return Standing::Out;
        }
        let unsure = !self.fit()
            || leaving.is_some_and(|l| l.done)
            || !self.view_on_disk_names(&self.me)
            || self.alone_in_doubt();
        if unsure {
            Standing::Unsure
        } else {
            Standing::In
        }
    }

    /// R17: a peer that is heard now is in a newer view without this node, and no quorum has said
    /// otherwise since.
    fn sees_itself_out(&self) -> bool {
        let two_node = self.predicates().two_node();
        let t_fail_us = self.cfg.timing.t_fail_us;
        let without_us = self.peers.values().any(|p| {
            let (Some(beat), Some(echo)) = (&p.beat, &p.promise) else {
                return false;
            };
            let heard = p.fresh(self.now, t_fail_us) && !p.left;
            // Two halves that were alone may have counted to the same number.
            let newer_log = two_node
                && self.tip.view.member(p.node).is_none()
                && beat.view_no == self.safety.view_no
                && (beat.log.head.ballot, beat.log.head.seq)
                    > (self.log.head().ballot, self.log.head().seq);
            heard && !echo.member && (echo.view_no > self.safety.view_no || newer_log)
        });
        without_us && (two_node || self.stamp_for(None).is_none())
    }

    /// Send time of the newest own stamp that a quorum of every voter set has given back as a
    /// promise; `None` when it is too old for any lease. The own vote counts as of now: what this
    /// node's log knows was asked before.
    fn stamp_for(&self, grant_no: Option<u64>) -> Option<Time> {
        let stamp = |peer: &Peer| {
            let echo = peer.promise.as_ref().filter(|e| e.member)?;
            let void = grant_no.is_some_and(|no| !echo.covers(no));
            let behind = echo.config_epoch > self.tip.config.config_epoch
                && !mutant::on(Mutant::LeaseBehindConfig);
            // The witness is in no view; its own names this process (`member`), and whoever it
            // counts for has every end of a grant in its own log (R7).
            let current = peer.identity.is_some_and(|id| self.tip.view.names(&id))
                || self.is_witness(peer.node);
            let sent = Time(echo.sent_us);
            if sent < self.lease.since || behind || !current {
                return None;
            }
            if void && !mutant::on(Mutant::EchoAfterRevoke) {
                return None;
            }
            let late = mutant::on(Mutant::LeaseFromReceipt);
            let from = if late { peer.promise_received } else { sent };
            Some(from.0)
        };
        let newest = Time(self.reached(self.now.0, stamp)?);
        (self.now < newest.plus(self.cfg.timing.lease_us)).then_some(newest)
    }

    /// Q = 1 (R11): no echo is needed, so a pause or a peer that went on is all there is to see.
    fn alone_in_doubt(&self) -> bool {
        if !self.predicates().two_node() {
            return false;
        }
        let t_fail_us = self.cfg.timing.t_fail_us;
        let voters = self.predicates().nodes();
        let mut others = self.peers.values().filter(|p| voters.contains(&p.node));
        others.any(|p| {
            let echo = p.promise.as_ref();
            let agrees = echo.is_some_and(|e| e.member && Time(e.sent_us) >= self.lease.since);
            let heard = p.fresh(self.now, t_fail_us) && !p.left;
            let higher = |b: &Beat| b.view_no > self.safety.view_no;
            let ahead = heard && p.beat.as_ref().is_some_and(higher);
            !agrees && (ahead || self.now < self.lease.alone_from)
        })
    }

    /// The driver came back late (R9, R13): whatever was echoed before proves nothing about now.
    pub(crate) fn check_pause(&mut self) {
        let timing = self.cfg.timing;
        let Some(due) = self.lease.due else { return };
        let late_us = self.now.since(due);
        if late_us <= timing.heartbeat_us / 2 || mutant::on(Mutant::LeaseAcrossPause) {
            return;
        }
        self.lease.since = self.now;
        self.beats.at = self.now;
        let links = self.peers.values_mut().flat_map(|p| &mut p.links);
        links.for_each(|l| l.excuse(late_us));
        if late_us >= timing.t_fail_us / 2 && !mutant::on(Mutant::PauseTakenForLoss) {
            self.reports.excused_until = self.now.plus(timing.t_fail_us);
        }
        if late_us >= timing.kernel_us {
            self.lease.alone_from = self.now.plus(timing.t_fail_us);
        }
    }

    /// R17: a higher view in which this node is not known to be makes it ask again.
    pub(crate) fn heed_view(&mut self, beat: &Beat) {
        let known_in = beat.echo.as_ref().is_some_and(|e| e.member);
        let known = self.safety.view_no.max(self.lease.higher_view);
        if beat.view_no > known && !known_in && beat.view_no < message::NUMBER_MAX {
            self.lease.higher_view = beat.view_no;
            self.lease.since = self.now;
            self.beats.at = self.now;
        }
    }

    /// Grants of a peer that ended as far as this log knows, and that the peer may not know of:
    /// what both have committed it has seen itself.
    pub(crate) fn void_for(&self, node: NodeId) -> Vec<u64> {
        let beat = self.peers.get(&node).and_then(|p| p.beat.as_ref());
        let known = beat.map_or(0, |b| b.log.commit.seq.min(self.commit));
        match self.tip.ended_after(node, known) {
            Ok(mut void) if void.len() <= GRANTS_VOID_MAX => {
                void.sort_unstable();
                void
            }
            _ => vec![VOID_ALL],
        }
    }

    /// At a start: the predecessor promised the members of its newest view their presence at the
    /// moment of its death (R0).
    pub(crate) fn assume_echoed(&mut self) {
        let until = self.withhold_until;
        for member in &self.tip.view.members {
            if let Some(peer) = self.peers.get_mut(&member.identity.node) {
                peer.presence_until = peer.presence_until.max(until);
            }
        }
    }

    /// Grants of this process that it relies on no more: nothing of them is open, nothing will be,
    /// whatever the log says later. Who is to have such a VIP next hears of it here, ahead of the log.
    pub(crate) fn on_given_up(&mut self, grants: Vec<(String, u64)>) {
        let mut words: BTreeMap<NodeId, Vec<(String, u64)>> = BTreeMap::new();
        for (vip, grant_no) in grants {
            let grant = self.tip.grant(&vip, grant_no);
            let own = grant.is_some_and(|g| g.holder == self.me);
            if !own && !mutant::on(Mutant::WordOfAnybody) {
                // A predecessor's: only the log may say that it is over.
                continue;
            }
            self.lease.released.insert(grant_no);
            let heir = self.tip.heirs.get(&vip);
            if let Some(heir) = heir.filter(|h| h.after == Some(grant_no)) {
                words.entry(heir.node()).or_default().push((vip, grant_no));
            }
        }
        for (node, all) in words {
            for part in all.chunks(GIVEN_UP_MAX) {
                let grants = part.to_vec();
                self.push_parcel(node, Parcel::GivenUp { grants });
            }
        }
    }

    /// A process says what it has given up. Whether it was its to give is looked at when the grant
    /// that waits for it is to be used.
    pub(crate) fn on_words(&mut self, from: Identity, grants: Vec<(String, u64)>) {
        for (vip, grant_no) in grants {
            let words = &mut self.lease.words;
            let known = words.get(&vip).map_or(0, |(no, _)| *no);
            let room = words.len() < WORDS_MAX || words.contains_key(&vip);
            // Without room the log tells, a write to the disks later.
            if grant_no >= known && grant_no <= message::NUMBER_MAX && room {
                words.insert(vip, (grant_no, from));
            }
        }
        self.tell_due();
    }

    /// Tells the application, once, whose turn has come.
    fn tell_due(&mut self) {
        let due = self.committed.heirs.values();
        // After every step, so the cheapest question first.
        let new = due.filter(|g| !self.lease.told.contains(&g.grant_no));
        let new = new.filter(|g| self.is_mine(g) && self.is_due(g));
        let new: Vec<(String, u64)> = new.map(|g| (g.vip.clone(), g.grant_no)).collect();
        for (vip, grant_no) in new {
            self.lease.told.insert(grant_no);
            self.event(Event::Inherited { vip, grant_no });
        }
    }

    /// A holder that says it has verified the removal relies on that grant no more.
    pub(crate) fn note_released(&mut self, body: &EntryBody) {
        if let EntryBody::Released { vip, grant_no } = body
            && let Some(grant) = self.tip.grant(vip, *grant_no)
            && grant.holder == self.me
        {
            self.lease.released.insert(*grant_no);
        }
    }

    /// When revokes and configurations were seen committed: the holds of R12 count from then.
    /// Looked at again only when something was committed since: it grows with the number of grants,
    /// and steps come by the hundred a second.
    pub(crate) fn note_ends(&mut self) {
        if self.lease.noted != Some(self.applied) {
            self.lease.noted = Some(self.applied);
            self.note_ends_through_here();
        }
        self.tell_due();
    }

    fn note_ends_through_here(&mut self) {
        let now = self.now;
        let revoked = &self.committed.revoked;
        self.lease
            .revoked_at
            .retain(|no, _| revoked.contains_key(no));
        for grant_no in revoked.keys() {
            self.lease.revoked_at.entry(*grant_no).or_insert(now);
        }
        if self.lease.config.0 != self.committed.config {
            self.lease.config = (self.committed.config.clone(), now);
        }
        let known = &self.committed;
        let both = known.grants.values().chain(known.heirs.values());
        let both: BTreeSet<u64> = both.map(|g| g.grant_no).collect();
        let stands = |no: &u64| *no > known.grant_no || both.contains(no);
        self.lease.released.retain(stands);
        self.lease.told.retain(stands);
        let newer = |vip: &String| known.grants.get(vip).map_or(0, |g| g.grant_no);
        self.lease.words.retain(|vip, (no, _)| *no >= newer(vip));
    }

    /// As DC: the grant with its number and hold, if its VIP is free for that process (R12).
    pub(crate) fn grantable(&self, mut grant: Grant) -> Result<Grant, Refusal> {
        let invalid = |why: String| Err(Refusal::Invalid { why });
        let node = grant.node();
        if !self.tip.view.names(&grant.holder) {
            return invalid(format!(
                "{} cannot be granted to node {node}: that process is not in the view",
                grant.vip
            ));
        }
        if let Some(after) = grant.after {
            let standing = self.tip.grants.get(&grant.vip);
            let standing = standing.filter(|g| g.grant_no == after && g.node() != node);
            if standing.is_none() {
                return invalid(format!(
                    "node {node} cannot have {} in turn: no other node holds it by grant {after}",
                    grant.vip
                ));
            }
        }
        self.check_free(&grant.vip, node, grant.after)?;
        let next = self.tip.grant_no + 1;
        if grant.grant_no != 0 && grant.grant_no != next {
            return invalid(format!("grant {} is not the next, {next}", grant.grant_no));
        }
        let stated = match self.peers.get(&node) {
            Some(peer) => peer.stamp.map(|stamp| stamp.hold_us),
            None => Some(self.cfg.hold_us()),
        };
        let Some(hold_us) = stated else {
            // Its first beat with a stamp has not come yet.
            return Err(Refusal::Busy);
        };
        grant.grant_no = next;
        grant.hold_us = hold_us;
        Ok(grant)
    }

    /// May the VIP be given to this node? Not while another may rely on a grant, but for the one
    /// that the new grant waits for.
    fn check_free(&self, vip: &str, node: NodeId, after: Option<u64>) -> Result<(), Refusal> {
        let waits_for = |g: &&Grant| Some(g.grant_no) == after;
        let ignored = |g: &&Grant| {
            let heir = self.tip.heirs.get(vip).map(|h| h.grant_no);
            heir == Some(g.grant_no) && mutant::on(Mutant::HeirPassedOver)
        };
        let mut claims = self.tip.claims(vip);
        claims.try_for_each(|claim| match waits_for(&claim) || ignored(&claim) {
            true => Ok(()),
            false => self.check_over(claim, node),
        })
    }

    /// May this node have the VIP for all that this grant is still good for? The node that has it at
    /// any time: it is one kernel.
    fn check_over(&self, old: &Grant, node: NodeId) -> Result<(), Refusal> {
        let holder = old.node();
        if holder == node || self.tip.certified(&old.holder) || self.tip.booted_since(&old.holder) {
            return Ok(());
        }
        let left_view =
            self.tip.view.member(holder).is_none() && self.last_view_seq() <= self.commit;
        let at_once = mutant::on(Mutant::RevokeWithoutHold);
        let revoked_at = self.lease.revoked_at.get(&old.grant_no);
        let mut free_at = match revoked_at {
            _ if left_view => Some(Time(0)),
            Some(_) if at_once => Some(Time(0)),
            Some(at) => Some(at.plus(old.hold_us)),
            None => None,
        };
        // A holder that lags behind a change of the voter sets may rely on echoes that nodes gave
        // before they knew of it, and quorums of the new set alone waited for none of these (R3).
        if self.committed.config.config_epoch > FIRST_CONFIG_EPOCH && !at_once {
            let settled = self.lease.config.1.plus(old.hold_us);
            free_at = free_at.map(|at| at.max(settled));
        }
        if free_at.is_some_and(|at| self.now >= at) {
            return Ok(());
        }
        Err(Refusal::Held {
            vip: old.vip.clone(),
            holder,
            grant_no: old.grant_no,
            free_in_us: free_at.map(|at| at.since(self.now)),
        })
    }
}

fn names_void(peer: &Peer, grant_no: u64) -> bool {
    let echo = peer.promise.as_ref();
    echo.is_some_and(|e| e.member && !e.covers(grant_no))
}

/// Longest name of a VIP in a [`Grant`], in bytes.
pub const VIP_NAME_BYTES_MAX: usize = 255;
/// What others have given up is remembered of so many VIPs.
const WORDS_MAX: usize = 4_096;
/// The voter sets a cluster is founded with.
const FIRST_CONFIG_EPOCH: u64 = 1;
