//! Proposals: this node's clients', forwarded to the DC, admitted into the log at most once each.

use std::collections::BTreeMap;

use wire::NodeId;

use crate::core::Role;
use crate::message::Parcel;
use crate::*;

/// Proposals of this node's clients that have no outcome yet.
#[derive(Debug, Default)]
pub(crate) struct Proposals {
    own: BTreeMap<OpId, Own>,
    /// What they were last compared with: position applied, and the DC. Thousands may wait, and most
    /// steps change nothing for any of them.
    looked: Option<(u64, Option<(NodeId, Ballot)>)>,
    /// Nothing is due for any of them before, unless that changes.
    look_at: Time,
    /// Came since then: nothing about the rest changes with them.
    fresh: Vec<OpId>,
}

impl Proposals {
    /// Something changed for one of them, or for the log they wait for.
    pub(crate) fn look_again(&mut self) {
        self.look_at = Time(0);
    }
}

#[derive(Debug)]
struct Own {
    body: EntryBody,
    since: Time,
    /// What was committed, as far as is known here, when its client asked.
    behind: u64,
    /// Given to this DC under this ballot.
    given: Option<(NodeId, Ballot)>,
    ever_given: bool,
    /// Another coordinator may have put it into its log.
    doubtful: bool,
    retry_at: Time,
}

impl Core {
    pub(crate) fn on_propose(&mut self, op: OpId, body: EntryBody) {
        let refusal = if self.safety.recovering || !self.writes.usable() || self.poisoned {
            Some(Refusal::Recovering)
        } else if let Err(refusal) = proposable(&body) {
            Some(refusal)
        } else if self.proposals.own.len() >= PROPOSALS_MAX {
            Some(Refusal::Busy)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.event(Event::Outcome {
                op,
                result: Err(refusal),
            });
            return;
        }
        if let Some(seq) = self.committed.position(&op) {
            self.event(Event::Outcome {
                op,
                result: Ok(seq),
            });
            return;
        }
        self.note_released(&body);
        let since = self.now;
        let own = Own {
            body,
            since,
            behind: self.commit,
            given: None,
            ever_given: false,
            doubtful: false,
            retry_at: since,
        };
        self.proposals.own.entry(op).or_insert(own);
        self.proposals.fresh.push(op);
    }

    /// In the order given: an entry may rest on the one before it.
    pub(crate) fn on_propose_all(&mut self, all: Vec<(OpId, EntryBody)>) {
        for (op, body) in all {
            self.on_propose(op, body);
            let waits = self.proposals.own.get(&op);
            let fresh = waits.is_some_and(|own| own.given.is_none() && self.now >= own.retry_at);
            if fresh && let Some(dc) = self.acting_dc() {
                self.give(op, dc);
            }
        }
    }

    /// Gives waiting proposals to the DC there is; ends those that waited too long.
    pub(crate) fn check_proposals(&mut self) {
        let fresh = std::mem::take(&mut self.proposals.fresh);
        if self.proposals.own.is_empty() {
            return;
        }
        let dc = self.acting_dc();
        let (known, unchanged) = match self.proposals.looked {
            Some((applied, looked)) => (applied == self.applied, looked == dc),
            None => (false, false),
        };
        let (now, look_at) = (self.now, self.proposals.look_at);
        let only_fresh = unchanged && now < look_at;
        if only_fresh && known && fresh.is_empty() {
            return;
        }
        // What was delivered since has ended already whatever it was about (`proposal_committed`), and
        // where another state took the place of ours, everything is looked at again: for the rest
        // nothing has changed, thousands though they may be.
        let all = self.proposals.own.iter();
        let ops: Vec<OpId> = match (only_fresh, unchanged) {
            (true, _) => fresh,
            (false, true) => all
                .filter(|(_, o)| o.due(dc) <= now)
                .map(|o| *o.0)
                .collect(),
            (false, false) => all.map(|(op, _)| *op).collect(),
        };
        for op in &ops {
            self.check_proposal(*op, dc);
        }
        let own = &self.proposals.own;
        let next = match only_fresh {
            true => ops
                .iter()
                .filter_map(|op| own.get(op))
                .map(|o| o.due(dc))
                .min(),
            false => own.values().map(|o| o.due(dc)).min(),
        };
        let others = if only_fresh {
            self.proposals.look_at
        } else {
            NEVER
        };
        self.proposals.look_at = next.map_or(others, |next| next.min(others));
        self.proposals.looked = Some((self.applied, dc));
    }

    fn check_proposal(&mut self, op: OpId, dc: Option<(NodeId, Ballot)>) {
        let Some(own) = self.proposals.own.get(&op) else {
            return;
        };
        if let Some(seq) = self.committed.position(&op) {
            self.end(op, Ok(seq));
            return;
        }
        if self.now >= own.ends_at() {
            let result = match (own.ever_given, self.reports.quorate) {
                (true, _) => Refusal::InDoubt,
                (false, true) => Refusal::NoDc,
                (false, false) => Refusal::NoQuorum,
            };
            self.end(op, Err(result));
            return;
        }
        if self.now >= own.retry_at
            && let Some(dc) = dc.filter(|dc| own.given != Some(*dc))
        {
            self.give(op, dc);
        }
    }

    fn acting_dc(&self) -> Option<(NodeId, Ballot)> {
        if let Role::Dc(dc) = &self.role {
            return dc.acting.then_some((self.me.node, dc.ballot));
        }
        let dc = self.dc_alive()?;
        let beat = self.peers.get(&dc)?.beat.as_ref()?;
        (beat.acting && self.linked(dc)).then_some((dc, beat.ballot))
    }

    fn give(&mut self, op: OpId, dc: (NodeId, Ballot)) {
        let Some(own) = self.proposals.own.get_mut(&op) else {
            return;
        };
        own.doubtful |= own.given.is_some();
        own.given = Some(dc);
        own.ever_given = true;
        let body = own.body.clone();
        let doubt = own.doubtful.then_some(own.behind);
        if dc.0 == self.me.node {
            if let Err(refusal) = self.admit(op, self.me.node, body, doubt) {
                self.proposed(op, Err(refusal));
            }
            return;
        }
        let body = Box::new(body);
        let queued = self
            .peers
            .get_mut(&dc.0)
            .is_some_and(|p| p.channel.push(Parcel::Propose { op, body, doubt }));
        if !queued {
            self.proposed(op, Err(Refusal::Busy));
        }
    }

    /// A forwarded proposal arrived here, at what its sender takes for the DC.
    pub(crate) fn on_forwarded(
        &mut self,
        from: NodeId,
        op: OpId,
        body: EntryBody,
        doubt: Option<u64>,
    ) {
        let result = proposable(&body).and_then(|()| self.admit(op, from, body, doubt));
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.channel.push(Parcel::Proposed { op, result });
        }
    }

    /// The DC's word on an own proposal. Success is known by the entry's commit, not by this. A word
    /// that comes after the end, from a DC that was given it before another one took it, is none.
    pub(crate) fn proposed(&mut self, op: OpId, result: Result<u64, Refusal>) {
        let waits = self.proposals.own.contains_key(&op);
        if !waits && !mutant::on(mutant::Mutant::LateAnswerTold) {
            return;
        }
        match result {
            Ok(_) => {}
            Err(Refusal::NoDc) => {
                let retry_at = self.now.plus(self.cfg.timing.heartbeat_us);
                if let Some(own) = self.proposals.own.get_mut(&op) {
                    own.given = None;
                    own.retry_at = retry_at;
                    self.proposals.look_again();
                }
            }
            Err(refusal) => {
                // What this coordinator refuses, an earlier one may have appended.
                let doubtful = self.proposals.own.get(&op).is_some_and(|own| own.doubtful)
                    && !mutant::on(mutant::Mutant::RefusalForgetsDoubt);
                let refusal = if doubtful { Refusal::InDoubt } else { refusal };
                self.end(op, Err(refusal));
            }
        }
    }

    pub(crate) fn proposal_committed(&mut self, op: OpId, seq: u64) {
        if self.proposals.own.contains_key(&op) {
            self.end(op, Ok(seq));
        }
    }

    fn end(&mut self, op: OpId, result: Result<u64, Refusal>) {
        self.proposals.own.remove(&op);
        self.event(Event::Outcome { op, result });
    }

    /// As DC: appends the operation unless the log has it already.
    pub(crate) fn admit(
        &mut self,
        op: OpId,
        origin: NodeId,
        body: EntryBody,
        doubt: Option<u64>,
    ) -> Result<u64, Refusal> {
        if !self.is_acting() {
            return Err(Refusal::NoDc);
        }
        if let Some(seq) = self.tip.position(&op) {
            return Ok(seq);
        }
        let forgotten = doubt.is_some_and(|behind| self.tip.forgets_behind(behind));
        if forgotten && !mutant::on(mutant::Mutant::DoubtGivenAgain) {
            // It may be in the log, among what is remembered no more: twice would be worse.
            return Err(Refusal::InDoubt);
        }
        let fence = matches!(body, EntryBody::FenceIntent(_) | EntryBody::FenceResult(_));
        if self.alone_unproved() && self.cfg.fencing && !fence {
            return Err(Refusal::Restricted);
        }
        let held = self.log.bytes() >= LOG_BYTES_MAX;
        if held || self.log.head().seq - self.commit >= UNCOMMITTED_MAX {
            return Err(Refusal::Busy);
        }
        let body = self.number(body)?;
        Ok(self.append_own(body, Some((op, origin))))
    }

    /// Checks an entry against the log's state; fills in the numbers a DC gives (R12, I16).
    fn number(&self, body: EntryBody) -> Result<EntryBody, Refusal> {
        let invalid = |why: String| Err(Refusal::Invalid { why });
        match body {
            EntryBody::Grant(grant) => self.grantable(grant).map(EntryBody::Grant),
            EntryBody::FenceIntent(mut intent) => {
                let next = self.tip.fence_no + 1;
                if intent.fence_no != 0 && intent.fence_no != next {
                    return invalid(format!(
                        "fencing {} is not the next, {next}",
                        intent.fence_no
                    ));
                }
                intent.fence_no = next;
                Ok(EntryBody::FenceIntent(intent))
            }
            EntryBody::FenceResult(result) => match self.tip.intents.get(&result.fence_no) {
                None => invalid(format!("no open fencing {}", result.fence_no)),
                Some(intent) if intent.target != result.target => invalid(format!(
                    "fencing {} is for node {}",
                    intent.fence_no, intent.target
                )),
                Some(_)
                    if result.outcome.is_ok()
                        && result.machine_boot.is_none()
                        && result.incarnation.is_none() =>
                {
                    invalid("a certificate has to name the boot it proves dead (R10)".into())
                }
                Some(_) => Ok(EntryBody::FenceResult(result)),
            },
            EntryBody::Revoke { grant_no }
                if !self.tip.grants.values().any(|g| g.grant_no == grant_no)
                    && !self.tip.heirs.values().any(|g| g.grant_no == grant_no) =>
            {
                invalid(format!("grant {grant_no} does not stand"))
            }
            EntryBody::Released { vip, grant_no }
                if !self.tip.revoked.contains_key(&grant_no)
                    && self.tip.grant(&vip, grant_no).is_none() =>
            {
                invalid(format!("{vip} is not held by grant {grant_no}"))
            }
            other => Ok(other),
        }
    }

    pub(crate) fn propose_timeout(&self) -> Option<Time> {
        let waits = !self.proposals.own.is_empty();
        waits.then_some(self.proposals.look_at)
    }
}

impl Own {
    /// When something is to be done about it, by itself.
    fn due(&self, dc: Option<(NodeId, Ballot)>) -> Time {
        match dc {
            Some(_) if self.given != dc => self.ends_at().min(self.retry_at),
            _ => self.ends_at(),
        }
    }

    /// When its client is told that nothing is known of it.
    fn ends_at(&self) -> Time {
        let limit = if self.ever_given {
            IN_DOUBT_US
        } else {
            NO_DC_US
        };
        self.since.plus(limit)
    }
}

/// Which bodies a client may propose, and how large.
fn proposable(body: &EntryBody) -> Result<(), Refusal> {
    match body {
        EntryBody::App { payload, .. } if payload.len() > ENTRY_BYTES_MAX => {
            Err(Refusal::TooLarge {
                bytes_max: ENTRY_BYTES_MAX,
            })
        }
        EntryBody::Grant(grant) if grant.vip.len() > VIP_NAME_BYTES_MAX => Err(Refusal::TooLarge {
            bytes_max: VIP_NAME_BYTES_MAX,
        }),
        EntryBody::App { .. }
        | EntryBody::FenceIntent(_)
        | EntryBody::FenceResult(_)
        | EntryBody::Grant(_)
        | EntryBody::Revoke { .. }
        | EntryBody::Released { .. }
        | EntryBody::CleanLeft { .. } => Ok(()),
        EntryBody::Noop | EntryBody::View(_) | EntryBody::Config(_) | EntryBody::Init { .. } => {
            Err(Refusal::Invalid {
                why: "only the core writes such entries".into(),
            })
        }
    }
}

/// Largest payload of one [`EntryBody::App`], in bytes: a CIB is at most 10 MiB.
pub const ENTRY_BYTES_MAX: usize = 12 * 1_024 * 1_024;
/// Proposals of one node without outcome.
pub const PROPOSALS_MAX: usize = 2_048;
/// Entries appended and not committed.
pub const UNCOMMITTED_MAX: u64 = 4_096;
/// Entries held in memory, in bytes: a DC whose application gives no snapshot takes no more.
pub const LOG_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// A proposal that no DC took is refused after this time, in microseconds.
const NO_DC_US: u64 = 5_000_000;
/// A proposal that some DC took and whose end is unknown is in doubt after this time.
const IN_DOUBT_US: u64 = 15_000_000;
/// Nobody waits.
const NEVER: Time = Time(u64::MAX);
