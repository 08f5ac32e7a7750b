//! Ctrl-C while the lab's own programs run: every wait ends, what was built is taken down.

use super::error::{LabError, Tried};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Exit code of a command that was interrupted, as a shell has it.
pub(super) const INTERRUPTED: i32 = 130;

/// Signals within this time count as one.
const VOLLEY: Duration = Duration::from_millis(500);

static ARRIVED: AtomicBool = AtomicBool::new(false);

/// From here on SIGINT, SIGTERM and SIGHUP end waits with [`LabError::Interrupted`] instead of
/// ending the process. Call it before any thread is started; for programs, not for tests.
///
/// # Errors
/// When the kernel has no signalfd or thread left.
pub(super) fn watch() -> Result<(), LabError> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    signals
        .thread_block()
        .tried(|| "block signals".to_owned())?;
    let arriving = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
        .tried(|| "open a signalfd".to_owned())?;
    std::thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            let mut first = None;
            while let Ok(Some(_)) = arriving.read_signal() {
                ARRIVED.store(true, Ordering::Release);
                // Asked again, and not by the volley of a closing terminal: the clean-up hangs.
                // The lab's lifeline ends its processes.
                if first.get_or_insert_with(Instant::now).elapsed() > VOLLEY {
                    std::process::exit(INTERRUPTED);
                }
            }
        })
        .map(|_| ())
        .tried(|| "start a thread for signals".to_owned())
}

/// True once a signal has come, until [`forget`].
pub(super) fn arrived() -> bool {
    ARRIVED.load(Ordering::Acquire)
}

/// Fails once a signal has come.
pub(super) fn check() -> Result<(), LabError> {
    if arrived() {
        Err(LabError::Interrupted)
    } else {
        Ok(())
    }
}

/// Lets the waits of the clean-up run to their end.
pub(super) fn forget() {
    ARRIVED.store(false, Ordering::Release);
}
