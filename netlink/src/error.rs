//! What can go wrong between us and the kernel.

use crate::NoPlace;
use nix::errno::Errno;
use std::io;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A request that did not succeed: what was asked, what the kernel said, what to look at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel answered with an error number.
    #[error("cannot {what}: {}{}{}", .errno.desc(), quoted(.detail), hint(*.errno))]
    Kernel {
        /// What was asked, as the rest of "cannot …".
        what: String,
        /// The error number.
        errno: Errno,
        /// The kernel's own words (extended acknowledgement), often empty.
        detail: String,
    },
    /// A system call around the request failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried, as the rest of "cannot …".
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel's answer is not one we understand.
    #[error("cannot {what}: no usable answer from the kernel: {detail}")]
    Protocol {
        /// What was asked.
        what: String,
        /// What was wrong with the answer.
        detail: String,
    },
    /// No interface of that name or number.
    #[error("no network interface {name} on this machine; it has {present}")]
    NoSuchLink {
        /// The name (or `#index`) asked for.
        name: String,
        /// The names that exist, separated by blanks.
        present: String,
    },
    /// No interface on this machine fits the address.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// An argument cannot mean anything.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io {
            what: what.into(),
            source: source.into(),
        }
    }

    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel { errno, .. } => Some(*errno),
            Self::Io { source, .. } => source.raw_os_error().map(Errno::from_raw),
            Self::Protocol { .. }
            | Self::NoSuchLink { .. }
            | Self::NoPlace(_)
            | Self::Invalid(_) => None,
        }
    }

    /// The thing to be added is there already.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(Errno::EEXIST)
    }

    /// The thing to be removed or read is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NoSuchLink { .. })
            || matches!(
                self.errno(),
                Some(Errno::EADDRNOTAVAIL | Errno::ENODEV | Errno::ESRCH | Errno::ENOENT)
            )
    }

    /// The caller lacks CAP_NET_ADMIN (or CAP_NET_RAW, CAP_SYS_ADMIN for namespaces).
    pub fn is_denied(&self) -> bool {
        matches!(self.errno(), Some(Errno::EPERM | Errno::EACCES))
    }
}

fn quoted(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(" (kernel: {detail})")
    }
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM | Errno::EACCES => "; needs root or CAP_NET_ADMIN",
        Errno::EOPNOTSUPP => "; this kernel lacks the device type or option",
        Errno::ENOBUFS | Errno::ENOMEM => "; the kernel is short of memory",
        Errno::EBUSY => "; something else uses it",
        _ => "",
    }
}
