//! The one record on disk, and what waits for it.

use std::mem::Discriminant;

use super::*;

/// An answer that leaves once everything that was decided before it is on disk.
#[derive(Debug)]
pub(super) struct Waiting {
    /// To whom, and what kind of answer; nothing for what is the driver's.
    about: Option<(NodeId, Discriminant<Message>)>,
    effect: Effect,
}

impl Witness {
    /// Sends once everything decided so far is on disk. Who asks again before that is answered once,
    /// by the newest answer: coordinators ask every few milliseconds, and a disk may take seconds.
    pub(super) fn send_durable(&mut self, to: NodeId, message: &Message) {
        let Some(effect) = self.effect(to, message) else {
            return;
        };
        if mutant::on(Mutant::WitnessForgetsPromise) {
            return self.out.push_back(Output::Do(effect));
        }
        let about = Some((to, std::mem::discriminant(message)));
        if !mutant::on(Mutant::WitnessWritesEachAnswer) {
            self.waiting.retain(|w| w.about != about);
        }
        self.waiting.push(Waiting { about, effect });
    }

    pub(super) fn once_written(&mut self, effect: Effect) {
        let about = None;
        self.waiting.push(Waiting { about, effect });
    }

    /// Writes the record, whole, if it changed, and lets go what relied on it. What is decided while
    /// a write is under way goes into the next one.
    pub(super) fn flush(&mut self) {
        assert!(
            self.record.promised >= self.safe.promised,
            "I1: a promise never decreases"
        );
        if self.failed {
            return self.waiting.clear();
        }
        let each = mutant::on(Mutant::WitnessWritesEachAnswer) && !self.waiting.is_empty();
        if !each && self.flying.len() >= WITNESS_WRITES_IN_FLIGHT_MAX {
            return;
        }
        let then = self.waiting.drain(..).map(|w| w.effect);
        if !each && self.record == self.safe {
            return self.out.extend(then.map(Output::Do));
        }
        let then = then.collect();
        let write = self.next_write;
        self.next_write += 1;
        let record = self.record.clone();
        self.flying.push_back((write, record.clone()));
        let ops = vec![DurableOp::Witness(record)];
        self.out.push_back(Output::Persist { write, ops, then });
    }

    pub(super) fn on_durable(&mut self, write: u64) {
        while self.flying.front().is_some_and(|(id, _)| *id <= write) {
            if let Some((_, record)) = self.flying.pop_front() {
                self.safe = record;
            }
        }
    }
}

/// Writes handed to the store and not finished.
const WITNESS_WRITES_IN_FLIGHT_MAX: usize = 1;
