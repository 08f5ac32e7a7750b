//! Virtual time: what will happen, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What will happen, by time and then in the order in which it was planned. The heap moves its entries
/// about at every step, so these are small and say where the rest lies.
#[derive(Debug)]
pub struct Queue<T> {
    due: BinaryHeap<Reverse<(u64, u64, usize)>>,
    planned: u64,
    slots: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Queue<T> {
    pub fn push(&mut self, at: u64, what: T) {
        self.planned += 1;
        let slot = self.free.pop().unwrap_or(self.slots.len());
        if slot == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot] = Some(what);
        self.due.push(Reverse((at, self.planned, slot)));
    }

    /// The next thing that is due by then.
    pub fn pop(&mut self, end: u64) -> Option<(u64, T)> {
        let Reverse((at, _, slot)) = *self.due.peek()?;
        if at > end {
            return None;
        }
        self.due.pop();
        self.free.push(slot);
        self.slots[slot].take().map(|what| (at, what))
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            due: BinaryHeap::new(),
            planned: 0,
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}
