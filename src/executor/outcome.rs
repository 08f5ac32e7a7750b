//! Exit codes and execution states by name, and how a process's end becomes a result.

use super::process::{Ended, ProcessResult};
use std::time::Duration;

/// OCF exit codes (OCF resource agent API 1.1, 3.7; include/crm/common/results.h).
pub mod ocf_rc {
    /// Success, or running.
    pub const OK: i32 = 0;
    /// Anything that went wrong without a better code.
    pub const GENERIC: i32 = 1;
    /// Permission denied.
    pub const PERMISSION: i32 = 4;
    /// Something the agent needs is not installed; the agent itself included.
    pub const NOT_INSTALLED: i32 = 5;
    /// Configured wrongly.
    pub const NOT_CONFIGURED: i32 = 6;
    /// Cleanly stopped.
    pub const NOT_RUNNING: i32 = 7;
    /// Promoted.
    pub const PROMOTED: i32 = 8;
    /// Promoted and failed; the last code that agents may return below the degraded ones.
    pub const FAILED_PROMOTED: i32 = 9;
    /// Running, but about to fail.
    pub const DEGRADED: i32 = 190;
    /// Promoted, but about to fail.
    pub const DEGRADED_PROMOTED: i32 = 191;
    /// No result yet.
    pub const UNKNOWN: i32 = 193;
}

/// Execution states (`enum pcmk_exec_status`).
pub mod op_status {
    /// Under way.
    pub const PENDING: i32 = -1;
    /// The agent ran and said what it said.
    pub const DONE: i32 = 0;
    /// Taken back.
    pub const CANCELLED: i32 = 1;
    /// Killed at its timeout.
    pub const TIMEOUT: i32 = 2;
    /// The agent could not run or died.
    pub const ERROR: i32 = 4;
    /// The agent does not exist.
    pub const NOT_INSTALLED: i32 = 7;
    /// The request makes no sense.
    pub const INVALID: i32 = 9;
}

/// What an agent's run comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// OCF exit code.
    pub(crate) rc: i32,
    /// Execution state.
    pub(crate) op_status: i32,
    /// Why; may be empty.
    pub(crate) reason: String,
    /// What it printed.
    pub(crate) output: String,
}

impl Verdict {
    /// Without having run.
    pub(crate) fn refused(rc: i32, op_status: i32, reason: impl Into<String>) -> Self {
        Self {
            rc,
            op_status,
            reason: reason.into(),
            output: String::new(),
        }
    }
}

/// Judges a process's end. `None` = it was cancelled. `what` names the agent in reasons; `map_rc`
/// turns its exit code into OCF's; `absent` explains why nothing could be started.
pub(crate) fn judge(
    result: ProcessResult,
    allowed: Duration,
    what: &str,
    map_rc: impl Fn(i32) -> i32,
    absent: impl Fn(&std::io::Error) -> Verdict,
) -> Option<Verdict> {
    let said = result.exit_reason.unwrap_or_default();
    let (rc, op_status, reason) = match result.ended {
        Ended::Cancelled => return None,
        Ended::NotStarted(error) => return Some(absent(&error)),
        Ended::Exited(code) => (map_rc(code), op_status::DONE, said),
        Ended::Signalled(signal) => (
            ocf_rc::GENERIC,
            op_status::ERROR,
            format!("{what} was ended by signal {}", signal_name(signal)),
        ),
        Ended::TimedOut => (
            ocf_rc::GENERIC,
            op_status::TIMEOUT,
            format!("{what} did not complete within {}", readable(allowed)),
        ),
    };
    Some(Verdict {
        rc,
        op_status,
        reason,
        output: result.tail,
    })
}

/// OCF codes as they are, everything unknown as an error (daemons/execd/execd_commands.c,
/// `ocf2uniform_rc`).
pub(crate) fn uniform_rc(code: i32) -> i32 {
    match code {
        ocf_rc::OK..=ocf_rc::FAILED_PROMOTED | ocf_rc::DEGRADED | ocf_rc::DEGRADED_PROMOTED => code,
        _ => ocf_rc::GENERIC,
    }
}

/// `20s`, `1.500s`, `300ms`, `2m`; as Pacemaker words a timeout (`pcmk__readable_interval`).
pub(crate) fn readable(time: Duration) -> String {
    let ms = time.as_millis();
    let (s, rest_ms) = (ms / 1000, ms % 1000);
    let units = [
        (s / 86400, "d"),
        (s % 86400 / 3600, "h"),
        (s % 3600 / 60, "m"),
    ];
    let mut text: String = units
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    match (s % 60, rest_ms) {
        (0, 0) if !text.is_empty() => {}
        (0, ms) if ms > 0 => text.push_str(&format!("{ms}ms")),
        (s, 0) => text.push_str(&format!("{s}s")),
        (s, ms) => text.push_str(&format!("{s}.{ms:03}s")),
    }
    text
}

fn signal_name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(known) => format!("{signal} ({known})"),
        Err(_) => signal.to_string(),
    }
}
