//! Grants as the DC gives them (R12): a floating address is started only by the process that the
//! log names as its holder.
//!
//! ```text
//! stop done on A ──► item free/ip in A's report
//! start on B     ──► Released (A's grant), Grant (B) ──► committed ──► the command goes to B
//! ```
//!
//! What A has given up is said by A alone, after it has seen that the address is gone. Where A can
//! no longer say so, the protocol refuses the grant until A's lease has run out for certain.

use super::app::{App, now_s};
use super::peer::{Item, NodeCommand, NodeTell};
use crate::controller;
use crate::executor::{OpRequest, ocf_rc, op_status};
use crate::transport::boottime_ms;
use crate::view::VipMove;
use crate::vip::ASK_FIRST_MS;
use cib::config::Config;
use membership::{EntryBody, Grant, OpId, Refusal};
use std::collections::{BTreeMap, BTreeSet};
use wire::{Identity, NodeId};

/// Starts that wait for the grant of their address, by resource, and moves under way.
#[derive(Debug, Default)]
pub(super) struct Grants {
    starts: BTreeMap<String, Start>,
    /// Moves whose start was commanded, by its transition key.
    moves: BTreeMap<String, Move>,
    /// Resources whose address was never granted before this reign, nor started since.
    unproved: BTreeSet<String>,
    /// Grants whose end is on its way into the log.
    ending: BTreeSet<u64>,
}

#[derive(Debug)]
struct Start {
    to: NodeId,
    holder: Identity,
    request: Box<OpRequest>,
    /// The proposal under way.
    op: Option<OpId>,
    /// When to propose again after a refusal.
    retry_at_ms: u64,
    /// Then the start counts as failed.
    until_ms: u64,
    /// A person is told after this time what is waited for.
    tell_at_ms: Option<u64>,
    why: String,
}

#[derive(Debug)]
struct Move {
    vip: String,
    from: String,
    to: String,
    why: String,
    since_ms: u64,
}

impl Grants {
    /// This node's reign ended: what waits is the next DC's to plan anew.
    pub(super) fn clear(&mut self) {
        self.starts.clear();
        self.moves.clear();
        self.unproved.clear();
        self.ending.clear();
    }

    /// The node's answers will not come; the controller knows.
    pub(super) fn node_gone(&mut self, node: NodeId) {
        self.starts.retain(|_, start| start.to != node);
    }

    pub(super) fn next_timeout_ms(&self) -> Option<u64> {
        let due = |s: &Start| {
            let retry = s.op.is_none().then_some(s.retry_at_ms);
            [retry, s.tell_at_ms, Some(s.until_ms)]
                .into_iter()
                .flatten()
                .min()
        };
        self.starts.values().filter_map(due).min()
    }
}

impl App {
    /// Starts an address on a node as soon as the log says that it may hold it.
    pub(super) fn start_leased(&mut self, to: NodeId, mut request: Box<OpRequest>) {
        let Some(holder) = self.replica.standings().identity(to.0) else {
            let why = format!("{} is no member any more", self.peers.name(to));
            let transition_key = request.transition_key;
            return self.control(controller::Input::Withdrawn {
                transition_key,
                why,
            });
        };
        self.note_move(to, &request);
        let standing = self.replica.grants().of(&request.rsc);
        if standing.is_none() {
            // No member is known to have had it: somebody else may.
            self.grants.unproved.insert(request.rsc.clone());
        }
        if self.grants.unproved.contains(&request.rsc) {
            let meta = &mut request.meta;
            meta.insert(ASK_FIRST_MS.to_owned(), ASK_MS.to_string());
        }
        if standing.is_some_and(|g| g.holder == holder && !self.is_ending(g)) {
            return self.command_to(to, NodeCommand::Run(request));
        }
        let vip = request.rsc.clone();
        self.await_start(to, holder, request, 0);
        self.ask_grant(&vip);
    }

    /// A start that waits for its grant; it is asked for after a while, if it has not come before.
    pub(super) fn await_start(
        &mut self,
        to: NodeId,
        holder: Identity,
        request: Box<OpRequest>,
        in_ms: u64,
    ) {
        let now = boottime_ms();
        let start = Start {
            to,
            holder,
            op: None,
            retry_at_ms: now + in_ms,
            until_ms: now + request.timeout_ms.max(START_MS_MIN),
            tell_at_ms: Some(now + TELL_MS),
            why: "the log has not confirmed it".to_owned(),
            request,
        };
        self.grants.starts.insert(start.request.rsc.clone(), start);
    }

    /// Nobody waits for the start of that key any more: its address and who was to hold it.
    pub(super) fn forget_start(&mut self, transition_key: &str) -> Option<(String, Identity)> {
        let is_it = |s: &Start| s.request.transition_key == transition_key;
        let mut starts = self.grants.starts.iter();
        let vip = starts.find(|(_, s)| is_it(s)).map(|(vip, _)| vip.clone())?;
        let start = self.grants.starts.remove(&vip)?;
        Some((vip, start.holder))
    }

    /// Nothing comes that the start of that key could wait for: its grant is asked for.
    pub(super) fn ask_now(&mut self, vip: &str, transition_key: &str) {
        let start = self.grants.starts.get(vip);
        if start.is_some_and(|s| s.op.is_none() && s.request.transition_key == transition_key) {
            self.ask_grant(vip);
        }
    }

    /// A start waits for this very grant.
    pub(super) fn is_awaited(&self, grant: &Grant) -> bool {
        let start = self.grants.starts.get(&grant.vip);
        start.is_some_and(|s| s.holder == grant.holder)
    }

    /// Its holder has said that it relies on this grant no more: it never will again.
    pub(super) fn is_given_up(&self, grant: &Grant) -> bool {
        let report = self.reports.of(grant.node());
        report.and_then(|r| r.freed(&grant.vip)) == Some(grant.grant_no)
    }

    /// Nobody is to begin anything upon this grant any more.
    pub(super) fn is_ending(&self, grant: &Grant) -> bool {
        self.grants.ending.contains(&grant.grant_no) || self.is_given_up(grant)
    }

    /// Proposes the grant that a start waits for, and before it the end of the one that its holder
    /// has given up: both go to the disks together.
    fn ask_grant(&mut self, vip: &str) {
        let Some(holder) = self.grants.starts.get(vip).map(|s| s.holder) else {
            return;
        };
        let grants = self.replica.grants();
        let usable = |g: &&Grant| g.holder == holder && !self.is_ending(g);
        if let Some(grant) = grants.of(vip).filter(usable).cloned() {
            // Its turn has come meanwhile: another grant would end this one, perhaps in full use.
            return self.granted(&grant);
        }
        let in_turn = grants.heir(vip).filter(usable).is_some();
        let standing = grants.of(vip);
        let given_up = standing.filter(|g| self.is_given_up(g));
        let given_up = given_up.map(|g| g.grant_no);
        if let Some(grant_no) = given_up {
            let vip = vip.to_owned();
            let body = EntryBody::Released { vip, grant_no };
            self.turn.propose(Self::new_op(), body);
        }
        let elsewhere = self.replica.grants().of(vip).map(|g| g.node());
        let in_doubt = self.needs_silence() && !self.is_silent();
        let Some(start) = self.grants.starts.get_mut(vip) else {
            return;
        };
        if given_up.is_some() && in_turn {
            // Once that is in the log, the grant in turn stands.
            start.retry_at_ms = boottime_ms() + SETTLE_MS;
            return;
        }
        if in_doubt && given_up.is_none() && elsewhere.is_some_and(|node| node != start.to) {
            start.why = "its holder is silent, but may live".to_owned();
            start.retry_at_ms = boottime_ms() + RETRY_MS;
            return;
        }
        let op = Self::new_op();
        start.op = Some(op);
        let body = EntryBody::Grant(Grant::wanted(vip, start.holder));
        self.turn.propose(op, body);
    }

    /// A grant is on a quorum's disks: whoever waits for it may start.
    pub(super) fn granted(&mut self, grant: &Grant) {
        let Some(start) = self.grants.starts.remove(&grant.vip) else {
            return;
        };
        self.notices.clear(WAITS);
        if start.holder == grant.holder {
            return self.command_to(start.to, NodeCommand::Run(start.request));
        }
        // Its holder came back in time and keeps it: the plan to start it elsewhere is void.
        let why = format!(
            "{} stays on {}, which came back in time",
            grant.vip,
            self.peers.name(grant.node())
        );
        self.grants.moves.remove(&start.request.transition_key);
        self.control(controller::Input::Withdrawn {
            transition_key: start.request.transition_key,
            why,
        });
    }

    /// A grant that a start waits for was refused; false if `op` is none of those.
    pub(super) fn start_refused(&mut self, op: OpId, refusal: &Refusal) -> bool {
        let now = boottime_ms();
        let mut starts = self.grants.starts.values_mut();
        let Some(start) = starts.find(|s| s.op == Some(op)) else {
            return false;
        };
        start.op = None;
        start.why = super::requests::refusal_text(refusal).1;
        let free_in_ms = match refusal {
            Refusal::Held { free_in_us, .. } => free_in_us.map(|us| us.div_ceil(1_000)),
            _ => None,
        };
        start.retry_at_ms = now + free_in_ms.unwrap_or(RETRY_MS).clamp(1, RETRY_MS_MAX);
        if let Refusal::Held { vip, holder, .. } = refusal
            && free_in_ms.is_none()
        {
            // It may be granted to a node that never came to use it.
            let vip = vip.clone();
            self.tell(*holder, NodeTell::GiveUp { vip });
        }
        true
    }

    /// Asks again, tells, and gives up, each when its time has come.
    pub(super) fn grants_on_time(&mut self, now_ms: u64) {
        let vips: Vec<String> = self.grants.starts.keys().cloned().collect();
        for vip in vips {
            let Some(start) = self.grants.starts.get_mut(&vip) else {
                continue;
            };
            if now_ms >= start.until_ms {
                self.start_given_up(&vip);
                continue;
            }
            let told = start.tell_at_ms.filter(|at| now_ms >= *at);
            let ask = start.op.is_none() && now_ms >= start.retry_at_ms;
            if told.is_some() {
                start.tell_at_ms = None;
                let text = format!("{vip} waits to be started: {}", start.why);
                self.notice(WAITS, text);
            }
            if ask {
                self.ask_grant(&vip);
            }
        }
    }

    /// Every start that was refused may be possible now: something ended.
    pub(super) fn grants_moved(&mut self) {
        let waiting = self.grants.starts.iter().filter(|(_, s)| s.op.is_none());
        let vips: Vec<String> = waiting.map(|(vip, _)| vip.clone()).collect();
        for vip in vips {
            self.ask_grant(&vip);
        }
    }

    fn start_given_up(&mut self, vip: &str) {
        let Some(start) = self.grants.starts.remove(vip) else {
            return;
        };
        self.notices.clear(WAITS);
        let node = self.peers.name(start.to);
        let text = format!("{vip} was not started on {node}: {}", start.why);
        self.notice("vip-not-granted", text);
        self.control(controller::Input::OpDone {
            transition_key: start.request.transition_key,
            rc: ocf_rc::GENERIC,
            op_status: op_status::ERROR,
        });
    }

    /// The first start of an address failed. Its grant ends in the log: whoever is the DC then has the
    /// next start ask as well, because again no member is known to have had the address.
    fn unprove(&mut self, vip: &str) {
        let standing = self.replica.grants().of(vip);
        let unproved = standing.filter(|_| self.grants.unproved.contains(vip));
        if let Some(grant_no) = unproved.map(|g| g.grant_no) {
            self.end_grant(grant_no, EntryBody::Revoke { grant_no });
        }
    }

    /// Grants of resources that are no more leave the log, once nobody relies on them.
    pub(super) fn forget_deleted(&mut self) {
        let config = Config::new(self.replica.cib());
        let is_there = |vip: &str| config.resource(instance_of(vip)).is_some();
        let standings = self.replica.standings();
        let end = |grant: &Grant| {
            let grant_no = grant.grant_no;
            let vip = grant.vip.clone();
            if self.is_given_up(grant) {
                return Some((grant_no, EntryBody::Released { vip, grant_no }));
            }
            // A process that is gone gives nothing up.
            let gone = standings.identity(grant.node().0) != Some(grant.holder);
            gone.then_some((grant_no, EntryBody::Revoke { grant_no }))
        };
        let deleted = self.replica.grants().all().filter(|g| !is_there(&g.vip));
        let ends: Vec<_> = deleted.filter_map(end).collect();
        for (grant_no, body) in ends {
            self.end_grant(grant_no, body);
        }
    }

    fn end_grant(&mut self, grant_no: u64, body: EntryBody) {
        let known = self.replica.grants().numbers();
        self.grants.ending.retain(|no| known.contains(no));
        if self.grants.ending.insert(grant_no) {
            self.turn.propose(Self::new_op(), body);
        }
    }

    /// Remembers since when, why and from where an address is on its way.
    pub(super) fn note_move(&mut self, to: NodeId, request: &OpRequest) {
        let from = self.replica.grants().of(&request.rsc);
        let from = from.map(|g| self.peers.name(g.node())).unwrap_or_default();
        let (why, since_ms) = self.duty.cause();
        let moved = Move {
            vip: request.rsc.clone(),
            from,
            to: self.peers.name(to),
            why,
            since_ms,
        };
        self.grants.moves.retain(|_, m| m.vip != moved.vip);
        let key = request.transition_key.clone();
        self.grants.moves.insert(key, moved);
    }

    /// A start that was commanded ended.
    pub(super) fn move_ended(&mut self, transition_key: &str, started: bool) {
        let Some(moved) = self.grants.moves.remove(transition_key) else {
            return;
        };
        if !started {
            return self.unprove(&moved.vip);
        }
        self.grants.unproved.remove(&moved.vip);
        let took_ms = boottime_ms().saturating_sub(moved.since_ms);
        tracing::info!(
            vip = moved.vip,
            from = moved.from,
            to = moved.to,
            took_ms,
            "address moved: {}",
            moved.why
        );
        let item = Item::Move(Box::new(VipMove {
            resource: moved.vip,
            from: moved.from,
            to: moved.to,
            why: moved.why,
            at: now_s(),
            took_ms,
        }));
        self.publish(vec![(item.key(), Some(item.value()))]);
    }
}

/// The resource of a clone's instance (`ip:0`).
fn instance_of(resource: &str) -> &str {
    resource.split_once(':').map_or(resource, |(id, _)| id)
}

/// For so many milliseconds the first start of an address asks for another holder. The RFCs' seconds
/// are for networks of any size and hosts that boot; somebody who has the address answers in a
/// millisecond, and three questions may be lost.
const ASK_MS: u64 = 200;
/// Word of the notice about a start that waits.
const WAITS: &str = "vip-waits";
/// A start waits for its grant at least so long, in milliseconds: longer than any hold.
const START_MS_MIN: u64 = 5_000;
/// After this time, in milliseconds, a person is told what a start waits for.
const TELL_MS: u64 = 1_000;
/// Pause before a refused grant is proposed again, in milliseconds, where nobody knows better.
const RETRY_MS: u64 = 50;
/// What is on its way into the log is not asked for again so soon, in milliseconds.
const SETTLE_MS: u64 = 500;
/// Longest such pause, in milliseconds.
const RETRY_MS_MAX: u64 = 1_000;
