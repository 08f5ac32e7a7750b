//! What can go wrong in a lab.

use super::wait::Timeout;
use std::path::PathBuf;

/// A failure of the lab itself; what a command inside a node returned is not one.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The lab's directory holds no running lab.
    #[error("no lab is up in {}; start one with `mainstay-lab up 3`", dir.display())]
    NotUp {
        /// The lab's directory.
        dir: PathBuf,
    },
    /// A lab runs already in this directory.
    #[error("a lab is already up in {}; end it with `mainstay-lab down`, or choose --dir", dir.display())]
    AlreadyUp {
        /// The lab's directory.
        dir: PathBuf,
    },
    /// No node of that name.
    #[error("no node {name:?} in this lab; its nodes are {known}")]
    UnknownNode {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The node must be powered on for this.
    #[error("{name} is powered off; `mainstay-lab poweron {name}` first")]
    NodeOff {
        /// The node.
        name: String,
    },
    /// The node is powered on already.
    #[error("{name} is powered on already")]
    NodeOn {
        /// The node.
        name: String,
    },
    /// The request makes no sense; the text says what would.
    #[error("{0}")]
    Refused(String),
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The kernel's network refused something.
    #[error("{what}: {cause}")]
    Net {
        /// What was tried.
        what: String,
        /// The cause.
        cause: String,
    },
    /// A process of the lab ended or answered wrongly.
    #[error("{what}: {cause} (log: {})", log.display())]
    Process {
        /// What was expected of it.
        what: String,
        /// What it did instead.
        cause: String,
        /// Where it wrote.
        log: PathBuf,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// A wait reached its bound.
    #[error(transparent)]
    Timeout(#[from] Timeout),
}

/// Adds what was tried to a system error.
pub(super) trait Tried<T> {
    /// Names the attempt; built only on failure.
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T, E: Into<std::io::Error>> Tried<T> for Result<T, E> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|e| LabError::System {
            what: what(),
            source: e.into(),
        })
    }
}
