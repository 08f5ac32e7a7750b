//! A machine that stands still: the others hear nothing of it, and take it for lost. Whoever has
//! services move for nothing is told how often, how long, and what to do.

use crate::conf::TOKEN_MS_MAX;
use std::collections::VecDeque;

/// When this process came back too late, within the last hour.
#[derive(Debug)]
pub(super) struct Stalls {
    token_us: u64,
    /// End and length of each, in microseconds; oldest first.
    seen: VecDeque<(u64, u64)>,
    told_us: Option<u64>,
}

impl Stalls {
    pub(super) fn new(token_us: u64) -> Self {
        Self {
            token_us,
            seen: VecDeque::new(),
            told_us: None,
        }
    }

    /// The process woke `late_us` after the moment at which it had to. The answer is for a person:
    /// at the first time that the others had to give this node up, or when it came near that
    /// several times, and then now and again.
    pub(super) fn note(&mut self, now_us: u64, late_us: u64) -> Option<String> {
        if late_us < self.token_us / 2 {
            return None;
        }
        let recent = |at: u64| now_us.saturating_sub(at) < WINDOW_US;
        self.seen.retain(|(at, _)| recent(*at));
        if self.seen.len() >= SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((now_us, late_us));
        let told = self.told_us.is_some_and(|at| now_us - at < TELL_EVERY_US);
        if told || (late_us < self.token_us && self.seen.len() < NEAR_MIN) {
            return None;
        }
        self.told_us = Some(now_us);
        Some(self.describe())
    }

    fn describe(&self) -> String {
        let longest_us = self.seen.iter().map(|(_, late)| *late).max().unwrap_or(0);
        let ms = |us: u64| us / 1_000;
        let times = match self.seen.len() {
            1 => "once".to_owned(),
            SEEN_MAX => format!("{SEEN_MAX} times or more"),
            n => format!("{n} times"),
        };
        let wanted_ms = ms(longest_us).saturating_mul(2);
        let longer = match wanted_ms <= TOKEN_MS_MAX {
            true => format!(", or write a token above {wanted_ms} into corosync.conf on all nodes"),
            false => String::new(),
        };
        format!(
            "mainstayd was not run for {} ms at the longest, {times} within an hour, and the others give a node up after {} ms without a word (token): services may move for nothing; see why this machine stands still (`st` and `wa` in top(1), snapshots of a virtual machine, swapping){longer}",
            ms(longest_us),
            ms(self.token_us),
        )
    }
}

/// Code of the notice; there is one at a time.
pub(crate) const STANDS_STILL: &str = "stands-still";
/// What lies longer ago counts no more, in microseconds.
const WINDOW_US: u64 = 3_600_000_000;
/// Between two notices, in microseconds.
const TELL_EVERY_US: u64 = 600_000_000;
/// Stalls of half the token and more within an hour that are worth a notice.
const NEAR_MIN: usize = 5;
/// Stalls that are remembered.
const SEEN_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN_US: u64 = 1_000_000;
    const S: u64 = 1_000_000;

    #[test]
    fn what_nobody_noticed_is_not_told() {
        let mut stalls = Stalls::new(TOKEN_US);
        for n in 1..1000 {
            assert_eq!(stalls.note(n * S, TOKEN_US / 2 - 1), None);
        }
    }

    #[test]
    fn a_long_one_is_told_at_once_and_then_now_and_again() {
        let mut stalls = Stalls::new(TOKEN_US);
        let told = stalls.note(100 * S, 3 * S).unwrap();
        assert!(told.contains("3000 ms at the longest, once"), "{told}");
        assert!(told.contains("token above 6000"), "{told}");
        assert_eq!(stalls.note(200 * S, S), None);
        let told = stalls.note(701 * S, S).unwrap();
        assert!(told.contains("3000 ms at the longest, 3 times"), "{told}");
        // An hour later the first ones count no more.
        let told = stalls.note(4000 * S, 2 * S).unwrap();
        assert!(told.contains("2000 ms at the longest, 2 times"), "{told}");
    }

    #[test]
    fn near_ones_are_told_when_they_are_many() {
        let mut stalls = Stalls::new(TOKEN_US);
        let told = (0..10).map(|n| stalls.note(n * S, 600_000).is_some());
        let told: Vec<usize> = told.enumerate().filter(|t| t.1).map(|t| t.0).collect();
        assert_eq!(told, [NEAR_MIN - 1]);
        for n in 0..10 * SEEN_MAX as u64 {
            stalls.note(20 * S + n, S);
        }
        let told = stalls.note(700 * S, S).unwrap();
        assert!(told.contains("100 times or more"), "{told}");
    }
}
