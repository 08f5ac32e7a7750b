//! Changes of the configuration before they are proposed: judged here, by all the rules of this
//! release, for the log refuses little ([`crate::replica`]).
//!
//! They are judged on what this node has applied. That may be less than what the cluster has: a
//! client that made a resource through one node and orders it through another one is told that there
//! is none, if the second node is behind. So a refusal that may be of the past is not told at once.
//! An empty change goes through the log first, and when that is applied here, so is everything that
//! was committed anywhere before the client asked. Then the change is judged again, and that counts.
//!
//! What is promised: a change is refused for what it brings only on the configuration that it was
//! made against, or on one that has everything that anybody was told was made before it was asked for.
//! Where nothing can be committed, nothing newer can be learnt, and the first judgement stands.

use super::app::{App, now_s};
use super::requests::{CHANGES_MAX, Reply, answer, error, refusal_text, rejected};
use crate::ipc::{Change, ErrorKind};
use crate::replica::LoggedChange;
use crate::transport::boottime_ms;
use membership::{EntryBody, Input, OpId, Refusal};

/// Changes that were refused here, though perhaps only because this node is behind.
#[derive(Debug, Default)]
pub(super) struct Unsure {
    list: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// The empty change.
    mark: OpId,
    op: OpId,
    change: LoggedChange,
    reply: Reply,
    until_ms: u64,
}

impl Unsure {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Empty changes whose end is waited for.
    pub(super) fn marks(&self) -> impl Iterator<Item = OpId> {
        self.list.iter().map(|w| w.mark)
    }

    pub(super) fn next_timeout_ms(&self) -> Option<u64> {
        self.list.iter().map(|w| w.until_ms).min()
    }

    fn take(&mut self, mark: OpId) -> Option<Waiting> {
        let at = self.list.iter().position(|w| w.mark == mark)?;
        Some(self.list.remove(at))
    }
}

impl App {
    /// A client wants a change.
    pub(super) fn change(&mut self, change: Change, reply: Reply) {
        let op = OpId(change.op);
        if let Some(outcome) = self.replica.outcome(op) {
            drop(reply.send(answer(outcome)));
            return;
        }
        if self.clients.is_full() {
            let text = format!("{CHANGES_MAX} changes are under way already: try again");
            drop(reply.send(error(ErrorKind::NotReady, &text)));
            return;
        }
        let change = LoggedChange::of(now_s(), &self.peers.name(self.me.node), change);
        match self.replica.judge(&change) {
            Ok(()) => self.propose_for(reply, op, change.encode()),
            Err(_) if self.standing.quorate && self.replica.may_lag_behind(&change) => {
                self.catch_up_for(op, change, reply);
            }
            Err(rejection) => drop(reply.send(rejected(&rejection))),
        }
    }

    fn catch_up_for(&mut self, op: OpId, change: LoggedChange, reply: Reply) {
        let mark = Self::new_op();
        self.clients.unsure.list.push(Waiting {
            mark,
            op,
            change,
            reply,
            until_ms: boottime_ms() + CATCH_UP_MS,
        });
        let nothing = LoggedChange::of_nothing(now_s(), &self.peers.name(self.me.node));
        let body = EntryBody::App {
            op: mark,
            origin: self.me.node,
            payload: nothing.encode(),
        };
        self.input(Input::Propose { op: mark, body });
    }

    /// An operation was applied here; whether it was waited for by a change, which is judged again.
    pub(super) fn caught_up(&mut self, mark: OpId) -> bool {
        let Some(waiting) = self.clients.unsure.take(mark) else {
            return false;
        };
        let Waiting {
            op, change, reply, ..
        } = waiting;
        match self.replica.judge(&change) {
            Ok(()) => self.propose_for(reply, op, change.encode()),
            Err(rejection) => drop(reply.send(rejected(&rejection))),
        }
        true
    }

    /// An operation did not get into the log; whether it was waited for by a change.
    pub(super) fn not_caught_up(&mut self, mark: OpId, refusal: &Refusal) -> bool {
        let Some(waiting) = self.clients.unsure.take(mark) else {
            return false;
        };
        let (kind, text) = match refusal {
            // The empty change is in doubt; this one was never proposed.
            Refusal::InDoubt => (ErrorKind::NotReady, BEHIND.to_owned()),
            other => refusal_text(other),
        };
        drop(waiting.reply.send(error(kind, &text)));
        true
    }

    pub(super) fn unsure_on_time(&mut self, now_ms: u64) {
        let list = &mut self.clients.unsure.list;
        for late in list.extract_if(.., |w| w.until_ms <= now_ms) {
            drop(late.reply.send(error(ErrorKind::NotReady, BEHIND)));
        }
    }
}

/// Why a change was neither judged nor made.
const BEHIND: &str = "this node is behind the cluster and could not catch up: nothing was changed; try again, or on another node";
/// Longest wait, in milliseconds, for what the cluster has and this node has not.
const CATCH_UP_MS: u64 = 10_000;
