//! CLOCK_BOOTTIME: runs on through suspend, never steps.

use nix::time::{ClockId, clock_gettime};

/// Microseconds since boot.
#[must_use]
pub fn boottime_us() -> u64 {
    // Linux has had the clock since 2.6.39; without it nothing here can work.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME exists on Linux");
    now.tv_sec() as u64 * 1_000_000 + now.tv_nsec() as u64 / 1_000
}

/// Milliseconds since boot.
#[must_use]
pub fn boottime_ms() -> u64 {
    boottime_us() / 1_000
}
