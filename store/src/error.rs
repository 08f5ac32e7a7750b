//! What can go wrong, and what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::envelope::Damage;

/// Why the store could not be opened. Nothing was thrown away: damaged parts are moved aside, never
/// deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it.
    #[error("store {} is in use by {} (lock {})", dir.display(), holder(*pid), lock.display())]
    Locked {
        /// Store directory.
        dir: PathBuf,
        /// Lock file.
        lock: PathBuf,
        /// Who holds it, where the lock file says so.
        pid: Option<u32>,
    },
    /// It existed once and holds nothing now, not even its safety slots.
    #[error(
        "store {} was in use before ({evidence}) but holds no state now ({cause}); starting empty \
         could forget a promise made to other nodes; to accept the loss: {RESET_COMMAND}",
        dir.display()
    )]
    Empty {
        /// Store directory.
        dir: PathBuf,
        /// What says that it was in use.
        evidence: String,
        /// What is wrong with the content.
        cause: String,
    },
    /// Its marker names a format this version cannot read.
    #[error("store {} has format {found:?}, this version reads {FORMAT_NAME:?}", dir.display())]
    Format {
        /// Store directory.
        dir: PathBuf,
        /// First line of the marker.
        found: String,
    },
    /// The engine did not come back from opening its files.
    #[error("store {}: engine still opening after {seconds} s", dir.display())]
    Stuck {
        /// Store directory.
        dir: PathBuf,
        /// How long was waited, in seconds.
        seconds: u64,
    },
    /// The engine cannot even create a new, empty database there.
    #[error("store {}: engine cannot create a database: {cause}", dir.display())]
    Engine {
        /// Store directory.
        dir: PathBuf,
        /// What it said.
        cause: String,
    },
    /// A store already lies where an import should go.
    #[error("store {} exists already; an import needs an empty directory", dir.display())]
    Exists {
        /// Store directory.
        dir: PathBuf,
    },
    /// An export cannot be read.
    #[error("export line {line}: {cause}")]
    Export {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        cause: String,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// What to do now, for a person.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Locked { .. } => {
                "another mainstayd runs on this directory; stop it first, or look at its status"
            }
            Self::Empty { .. } => {
                "check that the right file system is mounted; if the state is truly gone and this \
                 node has peers, reset the store and let it fetch their state"
            }
            Self::Format { .. } => "install the version of mainstay that wrote it, or reset it",
            Self::Stuck { .. } => "the disk hangs or is very slow; look at dmesg and at I/O wait",
            Self::Engine { .. } => "check permissions, free space and dmesg",
            Self::Exists { .. } => "reset the store first; the old state is moved aside",
            Self::Export { .. } => "the file is incomplete or was edited; export again",
            Self::Store(error) => error.cure(),
        }
    }
}

/// Why a commit or read failed. After any error whose [`StoreError::fatal`] is true the store
/// acknowledges nothing more (reliability rule S6): what reached the disk is unknown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// ENOSPC or EDQUOT.
    #[error("no space left while {doing} {}", path.display())]
    NoSpace {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// EIO and every other failure of the file system.
    #[error("disk failed while {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The engine reported corruption or panicked.
    #[error("engine failed while {doing}: {cause}")]
    Engine {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        cause: String,
    },
    /// An earlier failure makes every later acknowledgement worthless.
    #[error("store stopped after an earlier failure: {cause}")]
    Poisoned {
        /// The first failure.
        cause: String,
    },
    /// The batch itself is wrong: nothing was written, the store goes on.
    #[error("batch refused: {cause}")]
    Refused {
        /// Why.
        cause: String,
    },
    /// A value is not what its key says.
    #[error("{place} is damaged: {what}")]
    Damaged {
        /// Which value.
        place: String,
        /// How.
        what: String,
    },
}

impl StoreError {
    /// Nothing may be acknowledged any more.
    #[must_use]
    pub fn fatal(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Damaged { .. })
    }

    /// What to do now, for a person.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        match self {
            Self::NoSpace { .. } => {
                "free space on this file system (the store gave back its 8 MiB reserve), then \
                 restart mainstayd"
            }
            Self::Io { .. } => {
                "the disk or file system failed: look at dmesg, replace or repair it, then restart \
                 mainstayd; if the file stays unreadable, `mainstay store reset --yes-lose-state` \
                 moves the store aside and the node fetches the state from its peers"
            }
            Self::Engine { .. } => {
                "run `mainstay store verify`; restarting mainstayd moves a broken database aside \
                 and fetches the state from the peers"
            }
            Self::Poisoned { .. } => "cure the first failure, then restart mainstayd",
            Self::Refused { .. } => "this is a defect of mainstay: report it with the message",
            Self::Damaged { .. } => "run `mainstay store verify` for the whole picture",
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace {
                doing,
                path,
                source,
            },
            _ => Self::Io {
                doing,
                path,
                source,
            },
        }
    }

    pub(crate) fn engine(doing: &'static str, path: &Path, error: sled::Error) -> Self {
        match error {
            sled::Error::Io(source) => Self::io(doing, path, source),
            other => Self::Engine {
                doing,
                cause: other.to_string(),
            },
        }
    }

    pub(crate) fn refused(cause: impl Into<String>) -> Self {
        Self::Refused {
            cause: cause.into(),
        }
    }
}

impl From<Damage> for StoreError {
    fn from(damage: Damage) -> Self {
        Self::Damaged {
            place: damage.place,
            what: damage.what,
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

/// The command that accepts the loss of a store's state.
pub const RESET_COMMAND: &str = "mainstay store reset --yes-lose-state";

/// First line of the marker file.
pub(crate) const FORMAT_NAME: &str = "mainstay-store 2";

/// The one before it: the same without the file of commits beside the engine.
pub(crate) const FORMAT_BEFORE: &str = "mainstay-store 1";
