//! sd_notify(3): tells systemd that the daemon is ready, reloading, stopping or alive.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Sends a state (`READY=1`, `STOPPING=1`, `STATUS=…`) if a service manager listens. The answer of
/// a service manager never decides anything, so failures are not reported.
pub(super) fn notify(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let Some(name) = name.to_str() else { return };
    let address = match name.strip_prefix('@') {
        Some(rest) => SocketAddr::from_abstract_name(rest),
        None => SocketAddr::from_pathname(name),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

/// The service manager's watchdog (sd_watchdog_enabled(3), `WatchdogSec=` of systemd.service(5)): it
/// kills a daemon that it has not heard of for so long, and starts it again.
#[derive(Debug)]
pub(super) struct Watchdog {
    every_ms: Option<u64>,
    due_ms: u64,
}

impl Watchdog {
    /// As the environment says.
    pub(super) fn from_env() -> Self {
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        // The unit's main process is the parent of the daemon.
        let meant = [std::process::id(), std::os::unix::process::parent_id()];
        let ours = number("WATCHDOG_PID").is_none_or(|pid| meant.map(u64::from).contains(&pid));
        Self::every(number("WATCHDOG_USEC").filter(|_| ours))
    }

    fn every(limit_us: Option<u64>) -> Self {
        // Half the limit is what the manual recommends; a busy machine may make that late.
        let every_ms = limit_us.map(|us| (us / 4_000).max(1));
        Self {
            every_ms,
            due_ms: 0,
        }
    }

    /// The daemon's loop turns: says so from time to time. `now_ms` never goes back.
    pub(super) fn turned(&mut self, now_ms: u64) {
        if self.is_due(now_ms) {
            notify("WATCHDOG=1");
        }
    }

    /// The loop has to turn at least so often.
    pub(super) fn longest_pause(&self) -> Duration {
        self.every_ms.map_or(Duration::MAX, Duration::from_millis)
    }

    fn is_due(&mut self, now_ms: u64) -> bool {
        let Some(every_ms) = self.every_ms.filter(|_| now_ms >= self.due_ms) else {
            return false;
        };
        self.due_ms = now_ms + every_ms;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_hears_four_times_in_its_limit() {
        let mut watchdog = Watchdog::every(Some(40_000_000));
        assert_eq!(watchdog.longest_pause(), Duration::from_secs(10));
        let told: Vec<u64> = (0..=40)
            .map(|s| s * 1_000)
            .filter(|now| watchdog.is_due(*now))
            .collect();
        assert_eq!(told, [0, 10_000, 20_000, 30_000, 40_000]);
        assert!(!Watchdog::every(None).is_due(0));
    }
}
