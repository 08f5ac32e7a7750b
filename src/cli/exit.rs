//! Exit codes: Pacemaker's `CRM_EX_*` (include/crm/common/results.h; `crm_error -X -l`).

use crate::ipc::ErrorKind;
use std::process::ExitCode;

/// A program's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or the wanted state held already.
    Ok = 0,
    /// It failed.
    Error = 1,
    /// A value that cannot be.
    InvalidParam = 2,
    /// Not offered.
    Unimplemented = 3,
    /// The caller may not.
    InsufficientPriv = 4,
    /// An agent, or what it needs, is not installed.
    NotInstalled = 5,
    /// What an agent needs is not configured.
    NotConfigured = 6,
    /// It does not run.
    NotRunning = 7,
    /// Wrong use of a command line.
    Usage = 64,
    /// What was given makes no sense.
    DataErr = 65,
    /// An input file cannot be read.
    NoInput = 66,
    /// A service that is needed is not there now.
    Unavailable = 69,
    /// The operating system refused something.
    OsErr = 71,
    /// A file cannot be made.
    CantCreat = 73,
    /// Reading or writing failed.
    IoErr = 74,
    /// The peer of a socket said something unexpected.
    Protocol = 76,
    /// The configuration is, or would be, invalid.
    Config = 78,
    /// The daemon does not answer.
    Disconnect = 102,
    /// The change was made against an older configuration.
    Old = 103,
    /// What was named does not exist.
    NoSuch = 105,
    /// This partition has no quorum.
    Quorum = 106,
    /// Refused because it would be dangerous.
    Unsafe = 107,
    /// What shall be made exists already.
    Exists = 108,
    /// Several fit, and one was meant.
    Multiple = 109,
    /// What was asked about is over.
    Expired = 110,
    /// What was asked about has not begun.
    NotYet = 111,
    /// It may or may not have happened.
    Indeterminate = 112,
    /// Not within the time.
    Timeout = 124,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it means, as `crm_error -X` words it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Error => "Error occurred",
            Self::InvalidParam => "Invalid parameter",
            Self::Unimplemented => "Unimplemented",
            Self::InsufficientPriv => "Insufficient privileges",
            Self::NotInstalled => "Not installed",
            Self::NotConfigured => "Not configured",
            Self::NotRunning => "Not running",
            Self::Usage => "Incorrect usage",
            Self::DataErr => "Invalid data given",
            Self::NoInput => "Input file not available",
            Self::Unavailable => "Necessary service unavailable",
            Self::OsErr => "Operating system error occurred",
            Self::CantCreat => "Cannot create output file",
            Self::IoErr => "I/O error occurred",
            Self::Protocol => "Protocol violated",
            Self::Config => "Invalid configuration",
            Self::Disconnect => "Not connected",
            Self::Old => "Update was older than existing configuration",
            Self::NoSuch => "No such object",
            Self::Quorum => "Quorum required",
            Self::Unsafe => "Operation not safe",
            Self::Exists => "Requested item already exists",
            Self::Multiple => "Multiple items match request",
            Self::Expired => "Requested item has expired",
            Self::NotYet => "Requested item is not yet in effect",
            Self::Indeterminate => "Could not determine status",
            Self::Timeout => "Timeout occurred",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::DataErr,
            ErrorKind::NotFound => Self::NoSuch,
            ErrorKind::Config => Self::Config,
            ErrorKind::Conflict => Self::Old,
            ErrorKind::NoQuorum => Self::Quorum,
            ErrorKind::NotReady => Self::Unavailable,
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::InDoubt => Self::Indeterminate,
            ErrorKind::Forbidden => Self::InsufficientPriv,
            ErrorKind::Failed => Self::Error,
        }
    }
}

/// Why a command did not do what was asked: what, where, why, what to do now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    /// For the exit code.
    pub exit: Exit,
    /// For the person.
    pub text: String,
    /// What to do now, on a line of its own.
    pub cure: Option<String>,
}

impl Failure {
    /// A failure without a cure of its own.
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self {
            exit,
            text: text.into(),
            cure: None,
        }
    }

    /// A wrong command line.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Exit::Usage, text)
    }

    /// Something named that is not there.
    pub(crate) fn no_such(text: impl Into<String>) -> Self {
        Self::new(Exit::NoSuch, text)
    }
}

impl From<cib::Error> for Failure {
    fn from(error: cib::Error) -> Self {
        let exit = match &error {
            cib::Error::Unknown { .. } => Exit::NoSuch,
            cib::Error::Exists { .. } => Exit::Exists,
            cib::Error::DuplicateId { .. } | cib::Error::Refused { .. } => Exit::Config,
            _ => Exit::DataErr,
        };
        Self::new(exit, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_the_daemon_have_pacemakers_codes() {
        let codes = [
            (ErrorKind::Invalid, 65),
            (ErrorKind::NotFound, 105),
            (ErrorKind::Config, 78),
            (ErrorKind::Conflict, 103),
            (ErrorKind::NoQuorum, 106),
            (ErrorKind::NotReady, 69),
            (ErrorKind::TimedOut, 124),
            (ErrorKind::InDoubt, 112),
            (ErrorKind::Forbidden, 4),
            (ErrorKind::Failed, 1),
        ];
        for (kind, code) in codes {
            assert_eq!(Exit::from(kind).code(), code, "{kind:?}");
        }
    }
}
