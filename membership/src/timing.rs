//! Every time span of the protocol, from one number: the detection timeout.

use serde::{Deserialize, Serialize};

use crate::Time;

/// All time spans in microseconds, derived by [`Timing::derive`] and printed by `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Detection timeout T: silence on every link for so long is loss.
    pub t_fail_us: u64,
    /// Heartbeat interval H.
    pub heartbeat_us: u64,
    /// How long a stamp of ours is relied on (R0); equals T.
    pub hold_us: u64,
    /// Freshness of the quorum's echoes for a VIP lease, L of R14.
    pub lease_us: u64,
    /// Cap of the kernel's lease timeout, K of R14.
    pub kernel_us: u64,
    /// How long a DC acts after sending the stamp that a quorum echoed; below `hold_us` by drift and
    /// one late write.
    pub authority_us: u64,
    /// Silence that marks one link down.
    pub link_down_us: u64,
    /// Delay between candidates of neighbouring rank.
    pub rank_step_us: u64,
    /// First retransmission of an unanswered message.
    pub resend_us: u64,
}

/// Why a detection timeout is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// Below the floor: a scheduler's hiccup would look like a dead node.
    #[error("detection timeout of {given_us} us is below the floor of {T_FAIL_US_MIN} us (50 ms)")]
    TooShort {
        /// What was asked for.
        given_us: u64,
    },
    /// Above the ceiling.
    #[error("detection timeout of {given_us} us is above the ceiling of {T_FAIL_US_MAX} us (60 s)")]
    TooLong {
        /// What was asked for.
        given_us: u64,
    },
}

impl Timing {
    /// All times from the detection timeout (ruling 1). H = T/10 but at least 10 ms, and by R14
    ///
    /// `(L + K + delta)(1 + rho) + j + q <= hold (1 - rho)`, hold = T, L = K
    ///
    /// so that a lease that was renewed at the last possible moment, by a slow clock, with a late
    /// write, a late jiffy and a full queue, still ends before the fastest survivor's wait does.
    pub fn derive(t_fail_us: u64) -> Result<Self, TimingError> {
        if t_fail_us < T_FAIL_US_MIN {
            return Err(TimingError::TooShort {
                given_us: t_fail_us,
            });
        }
        if t_fail_us > T_FAIL_US_MAX {
            return Err(TimingError::TooLong {
                given_us: t_fail_us,
            });
        }
        let hold_us = t_fail_us;
        let slow = hold_us * (PPM - DRIFT_PPM) / PPM;
        let both = (slow - JIFFY_US - QUEUE_US) * PPM / (PPM + DRIFT_PPM) - LATE_WRITE_US;
        // Whole milliseconds: the kernel's element timeouts have no finer unit.
        let lease_us = both / 2 / 1_000 * 1_000;
        let heartbeat_us = (t_fail_us / 10).max(HEARTBEAT_US_MIN);
        Ok(Self {
            t_fail_us,
            heartbeat_us,
            hold_us,
            lease_us,
            kernel_us: lease_us,
            authority_us: slow * PPM / (PPM + DRIFT_PPM) - LATE_WRITE_US,
            link_down_us: 3 * heartbeat_us,
            rank_step_us: heartbeat_us,
            resend_us: (heartbeat_us / 2).max(5_000),
        })
    }

    /// How long the kernel's element may stand from `now` on for a lease that relies on `stamp`:
    /// min(K, stamp + L - now) of R14, in microseconds, whole milliseconds (the kernel has no finer
    /// unit); `None` when nothing is left. `now` is read before the write and again after it: a
    /// write that took more than [`LATE_WRITE_US`] (the delta of R14) is taken back or repeated.
    pub fn element_us(&self, stamp: Time, now: Time) -> Option<u64> {
        let left_us = stamp.plus(self.lease_us).since(now).min(self.kernel_us);
        Some(left_us / 1_000 * 1_000).filter(|us| *us > 0)
    }

    /// Left and right side of R14's inequality, in microseconds, for `status` and for tests.
    pub fn r14(&self) -> (u64, u64) {
        let left = (self.lease_us + self.kernel_us + LATE_WRITE_US) * (PPM + DRIFT_PPM) / PPM
            + JIFFY_US
            + QUEUE_US;
        (left, self.hold_us * (PPM - DRIFT_PPM) / PPM)
    }
}

/// Smallest detection timeout (ruling 1).
pub const T_FAIL_US_MIN: u64 = 50_000;
/// Largest detection timeout; keeps every product below in 64 bits.
pub const T_FAIL_US_MAX: u64 = 60_000_000;
/// The default where no `token` is given (ruling 1).
pub const T_FAIL_US_DEFAULT: u64 = 500_000;
/// Smallest heartbeat interval (R14).
pub const HEARTBEAT_US_MIN: u64 = 10_000;
/// Delta of R14: a lease write may complete this late.
pub const LATE_WRITE_US: u64 = 5_000;
/// j of R14: one jiffy at HZ 250.
pub const JIFFY_US: u64 = 4_000;
/// q of R14: what may still wait behind the netfilter hook.
pub const QUEUE_US: u64 = 30_000;
/// Rho of R14: how far an honest clock drifts, in parts per million.
pub const DRIFT_PPM: u64 = 200;
const PPM: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agreed_figures() {
        let t = Timing::derive(500_000).unwrap();
        assert_eq!(
            (t.heartbeat_us, t.lease_us, t.kernel_us),
            (50_000, 230_000, 230_000)
        );
        let t = Timing::derive(100_000).unwrap();
        assert_eq!(
            (t.heartbeat_us, t.lease_us, t.kernel_us),
            (10_000, 30_000, 30_000)
        );
    }

    #[test]
    fn r14_holds_for_every_timeout_and_is_not_wasteful() {
        for t_fail_ms in 50..60_000 {
            let t = Timing::derive(t_fail_ms * 1_000).unwrap();
            let (left, right) = t.r14();
            assert!(left <= right, "T = {t_fail_ms} ms: {left} > {right}");
            assert!(
                right - left < 2_100,
                "T = {t_fail_ms} ms gives away {} us",
                right - left
            );
            let authority = t.authority_us * (PPM + DRIFT_PPM) / PPM;
            assert!(authority < t.hold_us * (PPM - DRIFT_PPM) / PPM);
        }
    }

    /// R14 as it is lived: an element written at any moment for any stamp, by a thread that was
    /// frozen between reading its clock and writing, until the element before it was about to end
    /// (after that the write fails), on a slow clock, is gone before a fast one has counted a hold.
    #[test]
    fn no_element_outlives_the_hold_of_its_stamp() {
        for t_fail_us in (T_FAIL_US_MIN..2_000_000).step_by(13_000) {
            let t = Timing::derive(t_fail_us).unwrap();
            let stamp = Time(1_000_000);
            let mut written = 0;
            for age_us in (0..t.lease_us + 3_000).step_by(700) {
                let now = stamp.plus(age_us);
                let Some(timeout_us) = t.element_us(stamp, now) else {
                    assert!(
                        age_us + 1_000 > t.lease_us,
                        "T = {t_fail_us}: nothing at {age_us}"
                    );
                    continue;
                };
                written += 1;
                assert_eq!(timeout_us % 1_000, 0);
                let in_time = age_us + LATE_WRITE_US + timeout_us;
                assert!(in_time <= t.lease_us + LATE_WRITE_US, "in time: {in_time}");
                // The element before ends L after its stamp, or a late write later, at the latest.
                let frozen = t.lease_us + LATE_WRITE_US + timeout_us;
                let slow = frozen * (PPM + DRIFT_PPM) / PPM + JIFFY_US + QUEUE_US;
                let hold = t.hold_us * (PPM - DRIFT_PPM) / PPM;
                assert!(
                    slow <= hold,
                    "T = {t_fail_us}, age {age_us}: {slow} > {hold}"
                );
            }
            assert!(
                written > 2,
                "T = {t_fail_us}: {written} elements were looked at"
            );
        }
        let t = Timing::derive(500_000).unwrap();
        assert_eq!(t.element_us(Time(100), Time(100)), Some(230_000));
        assert_eq!(t.element_us(Time(100), Time(200_100)), Some(30_000));
        assert_eq!(t.element_us(Time(100), Time(229_200)), None);
        // A stamp of the future (never one of ours) gives no more than K.
        assert_eq!(t.element_us(Time(900_000), Time(0)), Some(230_000));
    }

    #[test]
    fn the_floor_is_refused_with_the_bound_in_the_message() {
        let e = Timing::derive(49_999).unwrap_err();
        assert!(e.to_string().contains("50 ms"), "{e}");
        assert!(Timing::derive(60_000_001).is_err());
    }
}
