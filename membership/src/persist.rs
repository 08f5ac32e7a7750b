//! Writes: gathered during one step, issued behind one barrier, watched for a hung disk.

use std::collections::VecDeque;

use crate::message::Message;
use crate::mutant::{self, Mutant};
use crate::slow::Relapses;
use crate::*;

#[derive(Debug)]
pub(crate) struct Writes {
    pending_ops: Vec<DurableOp>,
    pending_then: Vec<Effect>,
    flying: VecDeque<Write>,
    next_id: u64,
    /// When the last one that is finished was.
    finished: Time,
    /// How long a barrier takes lately, in microseconds: up at once, down by halves.
    pub(crate) pace_us: u64,
    /// Log position through which everything is on disk.
    pub(crate) durable: u64,
    pub(crate) failed: Option<String>,
    /// It hangs, or did so too often to be trusted yet.
    pub(crate) hung: bool,
    pub(crate) relapses: Relapses,
}

#[derive(Debug)]
struct Write {
    id: u64,
    issued: Time,
    log_to: Option<u64>,
    /// When all of the log in it was committed, here seen, as far as others have it on disk.
    committed: Option<Time>,
    safety: Option<SafetyRecord>,
}

impl Writes {
    pub(crate) fn new(durable: u64) -> Self {
        Self {
            pending_ops: Vec::new(),
            pending_then: Vec::new(),
            flying: VecDeque::new(),
            next_id: 1,
            finished: Time(0),
            pace_us: 0,
            durable,
            failed: None,
            hung: false,
            relapses: Relapses::default(),
        }
    }

    pub(crate) fn pend(&mut self, op: DurableOp) {
        if let DurableOp::TruncateLog { seq } = &op {
            self.forget_after(seq - 1);
        }
        self.pending_ops.push(op);
    }

    /// Another log takes this one's place: nothing of it is on disk, whatever is of the old one.
    pub(crate) fn forget_log(&mut self) {
        self.forget_after(0);
    }

    /// What was written of the log behind this position no longer counts, finished or not.
    fn forget_after(&mut self, seq: u64) {
        self.durable = self.durable.min(seq);
        for write in &mut self.flying {
            write.log_to = write.log_to.map(|to| to.min(seq));
        }
    }

    pub(crate) fn then(&mut self, effect: Effect) {
        self.pending_then.push(effect);
    }

    pub(crate) fn usable(&self) -> bool {
        self.failed.is_none() && !self.hung
    }

    /// Since when the store is at the oldest write. It does one after the other: what waits behind a
    /// slow one says nothing of a store that works again.
    pub(crate) fn oldest(&self) -> Option<Time> {
        let finished = match mutant::on(Mutant::QueuedTakenForHung) {
            true => Time(0),
            false => self.finished,
        };
        self.flying.front().map(|w| w.issued.max(finished))
    }

    /// What others have on disk so far is committed: of what is still on its way here, too.
    pub(crate) fn note_commit(&mut self, commit: u64, now: Time) {
        let unknown = self.flying.iter_mut().filter(|w| w.committed.is_none());
        for write in unknown.filter(|w| w.log_to.is_some_and(|to| to <= commit)) {
            write.committed = Some(now);
        }
    }

    /// What waits to be handed to the store, and for that.
    pub(crate) fn pending(&self) -> usize {
        self.pending_ops.len() + self.pending_then.len()
    }

    /// Nothing is under way, and nothing waits to be.
    pub(crate) fn idle(&self) -> bool {
        self.flying.is_empty() && self.pending_ops.is_empty()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.flying.len()
    }
}

impl Core {
    /// Decides a new safety record and queues it for the disk.
    pub(crate) fn save_safety(&mut self) {
        assert!(
            self.safety.promised >= self.safe.promised,
            "I1: a promise never decreases"
        );
        assert!(
            self.safety.incarnation >= self.safe.incarnation,
            "I10: incarnations only grow"
        );
        let newest = (self.safety.view_ballot, self.safety.view_no);
        assert!(
            newest >= (self.safe.view_ballot, self.safe.view_no),
            "I10: views only grow"
        );
        let record = self.safety.clone();
        self.writes.pend(DurableOp::Safety(record));
    }

    /// Sends once everything decided so far is on disk.
    pub(crate) fn send_durable(&mut self, to: wire::NodeId, message: &Message) {
        let Some(effect) = self.send_effect(to, message) else {
            return;
        };
        if mutant::on(Mutant::PromiseWithoutPersist) {
            self.out.push_back(Output::Do(effect));
        } else {
            self.writes.then(effect);
        }
    }

    pub(crate) fn flush_writes(&mut self) {
        let writes = &mut self.writes;
        if writes.failed.is_some() {
            writes.pending_ops.clear();
            writes.pending_then.clear();
            return;
        }
        if writes.pending() == 0 || writes.flying.len() >= WRITES_IN_FLIGHT_MAX {
            return;
        }
        if writes.idle() && !mutant::on(Mutant::EachQuestionWritten) {
            // All that is relied on is on disk already.
            let then = writes.pending_then.drain(..);
            self.out.extend(then.map(Output::Do));
            return;
        }
        let ops = std::mem::take(&mut writes.pending_ops);
        let then = std::mem::take(&mut writes.pending_then);
        let id = writes.next_id;
        writes.next_id += 1;
        let mut write = Write {
            id,
            issued: self.now,
            log_to: None,
            committed: None,
            safety: None,
        };
        for op in &ops {
            match op {
                DurableOp::Safety(record) => write.safety = Some(record.clone()),
                DurableOp::AppendLog { seq, .. } | DurableOp::Snapshot { seq, .. } => {
                    write.log_to = write.log_to.max(Some(*seq));
                }
                DurableOp::TruncateLog { seq } => {
                    write.log_to = write.log_to.map(|to| to.min(seq - 1));
                }
                DurableOp::CommitHint { .. } | DurableOp::Witness(_) => {}
            }
        }
        writes.flying.push_back(write);
        writes.note_commit(self.commit, self.now);
        self.out.push_back(Output::Persist {
            write: id,
            ops,
            then,
        });
    }

    pub(crate) fn on_durable(&mut self, id: u64) {
        let began = self.writes.oldest().unwrap_or(self.now);
        let mut lag_us = None;
        while self.writes.flying.front().is_some_and(|w| w.id <= id) {
            let Some(write) = self.writes.flying.pop_front() else {
                break;
            };
            if let Some(safety) = write.safety {
                self.safe = safety;
            }
            if let Some(to) = write.log_to {
                self.writes.durable = self.writes.durable.max(to.min(self.log.head().seq));
                let behind_us = write.committed.map_or(0, |at| self.now.since(at));
                lag_us = lag_us.max(Some(behind_us));
            }
        }
        if self.writes.finished < self.now {
            // What ends together ends with one barrier.
            self.barrier_ended(self.now.since(began), lag_us);
        }
        self.after_durable();
    }

    fn barrier_ended(&mut self, took_us: u64, lag_us: Option<u64>) {
        let writes = &mut self.writes;
        writes.finished = self.now;
        writes.pace_us = took_us.max(writes.pace_us.midpoint(took_us));
        self.store_answered(took_us);
        if let Some(lag_us) = lag_us {
            self.note_lag(lag_us);
        }
    }

    pub(crate) fn on_store_failed(&mut self, reason: String) {
        let text = format!("the store failed ({reason}): this node stops acknowledging and leaves");
        self.notice("store-failed", Some(self.me.node), text);
        self.writes.failed = Some(reason);
    }

    /// A disk that has not finished a barrier for two seconds is no healthy member (ruling 13).
    pub(crate) fn check_store(&mut self) {
        let late = self
            .writes
            .oldest()
            .is_some_and(|t| self.now.since(t) >= BARRIER_US_MAX);
        if late && !self.writes.hung {
            self.store_hangs();
        }
        self.check_trust();
        if !self.writes.usable() && !matches!(self.role, core::Role::Follower) {
            self.step_down("its store does not work");
        }
    }
}

/// Writes handed to the store and not finished; more are gathered into the next one.
pub const WRITES_IN_FLIGHT_MAX: usize = 4;
/// A store that has not completed a barrier for this long is hung, in microseconds (ruling 13).
pub const BARRIER_US_MAX: u64 = 2_000_000;
