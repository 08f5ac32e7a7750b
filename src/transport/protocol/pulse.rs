//! Whether the main loop still turns.

use super::WAIT_US_MAX;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The main loop's turns, as the protocol thread sees them.
#[derive(Debug)]
pub(super) struct Pulse {
    turns: Arc<AtomicU64>,
    seen: u64,
    changed_us: u64,
    looked_us: u64,
}

impl Pulse {
    /// The loop has not begun, or has ended.
    pub(super) const RESTS: u64 = 0;

    pub(super) fn of(turns: Arc<AtomicU64>) -> Self {
        Self {
            turns,
            seen: Self::RESTS,
            changed_us: 0,
            looked_us: 0,
        }
    }

    /// The loop has begun and not turned for too long. A pause of this thread itself, on a machine
    /// that was suspended, says nothing of the other one.
    pub(super) fn stopped(&mut self, now_us: u64) -> bool {
        let turns = self.turns.load(Ordering::Relaxed);
        let paused = now_us.saturating_sub(self.looked_us) > 2 * WAIT_US_MAX;
        if turns != self.seen || paused || turns == Self::RESTS {
            self.seen = turns;
            self.changed_us = now_us;
        }
        self.looked_us = now_us;
        now_us - self.changed_us >= MAIN_TURN_US_MAX
    }
}

/// The main loop turns at least once a second; after this time without, in microseconds, it hangs.
/// Far above what a busy machine does to a thread without priority.
pub const MAIN_TURN_US_MAX: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_hangs_when_it_does_not_turn_while_its_watcher_does() {
        const SECOND: u64 = 1_000_000;
        let turns = Arc::new(AtomicU64::new(Pulse::RESTS));
        let mut pulse = Pulse::of(Arc::clone(&turns));
        let mut looks = |from: u64, to: u64| (from..=to).any(|s| pulse.stopped(s * SECOND));
        assert!(!looks(100, 200), "it has not begun");
        turns.store(1, Ordering::Relaxed);
        assert!(!looks(201, 210), "nine seconds");
        turns.store(2, Ordering::Relaxed);
        assert!(!looks(211, 220));
        assert!(!looks(400, 409), "both were suspended meanwhile");
        assert!(looks(410, 411), "eleven seconds without a turn");
        turns.store(Pulse::RESTS, Ordering::Relaxed);
        assert!(!looks(412, 500), "it ended in order");
    }
}
