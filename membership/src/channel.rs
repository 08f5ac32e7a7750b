//! The ordered, reliable channel between two processes: soft state, commands, messages and
//! forwarded proposals. Bounded in both directions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::Time;
use crate::message::Parcel;

#[derive(Debug, Default)]
pub(crate) struct Channel {
    next_no: u64,
    queue: VecDeque<Waiting>,
    delivered: u64,
    early: BTreeMap<u64, Parcel>,
    /// Something arrived that was not acknowledged yet.
    pub(crate) ack_due: bool,
    /// Own soft-state keys the peer has not been given since they changed.
    pub(crate) dirty: BTreeSet<String>,
    /// The peer needs the whole soft state.
    pub(crate) reset_due: bool,
}

#[derive(Debug)]
struct Waiting {
    no: u64,
    parcel: Parcel,
    sent: Option<Time>,
    tries: u32,
}

impl Channel {
    /// Queues a parcel; `false` when the queue is full.
    pub(crate) fn push(&mut self, parcel: Parcel) -> bool {
        if self.full() {
            return false;
        }
        self.next_no += 1;
        self.queue.push_back(Waiting {
            no: self.next_no,
            parcel,
            sent: None,
            tries: 0,
        });
        true
    }

    /// Nothing waits in either direction.
    pub(crate) fn is_idle(&self) -> bool {
        let to_send = !self.queue.is_empty() || !self.dirty.is_empty() || self.reset_due;
        !to_send && self.early.is_empty() && !self.ack_due
    }

    /// What waits to be sent, or to be acknowledged.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Nothing more can be queued.
    pub(crate) fn full(&self) -> bool {
        self.queue.len() >= PARCELS_QUEUED_MAX
    }

    /// Room for soft state: only as much as is in flight anyway.
    pub(crate) fn room(&self) -> bool {
        self.queue.len() < PARCELS_IN_FLIGHT_MAX
    }

    /// The peer has delivered everything through `no`.
    pub(crate) fn acked(&mut self, no: u64) {
        while self
            .queue
            .front()
            .is_some_and(|w| w.no <= no && w.sent.is_some())
        {
            self.queue.pop_front();
        }
    }

    /// Parcels to (re)send now.
    pub(crate) fn due(&mut self, now: Time, resend_us: u64) -> Vec<(u64, Parcel)> {
        let mut found = Vec::new();
        for waiting in self.queue.iter_mut().take(PARCELS_IN_FLIGHT_MAX) {
            if waiting.at(resend_us).is_some_and(|at| now < at) {
                continue;
            }
            waiting.sent = Some(now);
            waiting.tries = waiting.tries.saturating_add(1);
            found.push((waiting.no, waiting.parcel.clone()));
        }
        found
    }

    /// When [`Self::due`] will have something.
    pub(crate) fn next_due(&self, resend_us: u64) -> Option<Time> {
        let flying = self.queue.iter().take(PARCELS_IN_FLIGHT_MAX);
        flying.map(|w| w.at(resend_us).unwrap_or(Time(0))).min()
    }

    /// A parcel arrived.
    pub(crate) fn arrived(&mut self, no: u64, parcel: Parcel) {
        self.ack_due = true;
        let window = self.delivered + 1..=self.delivered + PARCELS_IN_FLIGHT_MAX as u64;
        if window.contains(&no) {
            self.early.insert(no, parcel);
        }
    }

    /// The next parcel in order, if `ready` agrees to take it now.
    pub(crate) fn next_ready(&mut self, ready: impl Fn(&Parcel) -> bool) -> Option<Parcel> {
        let no = self.delivered + 1;
        if !ready(self.early.get(&no)?) {
            return None;
        }
        self.delivered = no;
        self.ack_due = true;
        self.early.remove(&no)
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }
}

impl Waiting {
    fn at(&self, resend_us: u64) -> Option<Time> {
        let wait = (resend_us << self.tries.min(6)).min(RESEND_US_MAX);
        self.sent.map(|sent| sent.plus(wait))
    }
}

/// Parcels sent and not acknowledged, per peer.
const PARCELS_IN_FLIGHT_MAX: usize = 64;
/// Parcels waiting per peer; beyond it the sender is told.
pub(crate) const PARCELS_QUEUED_MAX: usize = 4_096;
/// Longest wait before a parcel is sent again.
const RESEND_US_MAX: u64 = 1_000_000;
