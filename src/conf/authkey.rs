//! The authkey: made, guarded, read.

use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a new key (2,048 bits, as corosync-keygen(8)).
pub const KEY_BYTES: usize = 256;

/// Why a key is not used.
#[derive(Debug, thiserror::Error)]
pub enum AuthkeyError {
    /// No file.
    #[error(
        "{} does not exist: run corosync-keygen on one node and copy the file to every other node",
        path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A symlink could be pointed elsewhere by somebody else.
    #[error("{} is a symbolic link: put the key itself there", path.display())]
    Symlink {
        /// The file.
        path: PathBuf,
    },
    /// Owned by somebody else.
    #[error("{} belongs to uid {uid}, not to uid {wanted}: run chown root:root on it", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Owner found.
        uid: u32,
        /// Owner needed.
        wanted: u32,
    },
    /// Others may read or write it.
    #[error("{} has mode {mode:04o}: others may read the key; run chmod 400 on it", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Mode found.
        mode: u32,
    },
    /// Too short or too long.
    #[error(
        "{} has {bytes} bytes; a key has {BYTES_MIN} to {BYTES_MAX}: make one with corosync-keygen",
        path.display()
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes found.
        bytes: u64,
    },
    /// There is one already.
    #[error(
        "{} exists already: remove it first if the cluster shall have a new key (every node needs the same)",
        path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The kernel said no.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
}

/// Reads the key after checking that nobody else can have read or planted it.
///
/// # Errors
/// [`AuthkeyError`], with the cure in its text.
pub fn load(path: &Path) -> Result<Zeroizing<Vec<u8>>, AuthkeyError> {
    let io = |error| AuthkeyError::Io {
        path: path.to_owned(),
        error,
    };
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits());
    let file = options
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(code) if code == nix::errno::Errno::ELOOP as i32 => AuthkeyError::Symlink {
                path: path.to_owned(),
            },
            _ if error.kind() == std::io::ErrorKind::NotFound => AuthkeyError::Missing {
                path: path.to_owned(),
            },
            _ => io(error),
        })?;
    check(&file, path)?;
    let mut key = Zeroizing::new(Vec::with_capacity(BYTES_MAX as usize));
    file.take(BYTES_MAX).read_to_end(&mut key).map_err(io)?;
    Ok(key)
}

fn check(file: &File, path: &Path) -> Result<(), AuthkeyError> {
    let meta = file.metadata().map_err(|error| AuthkeyError::Io {
        path: path.to_owned(),
        error,
    })?;
    let path = path.to_owned();
    let wanted = nix::unistd::geteuid().as_raw();
    if meta.uid() != wanted {
        return Err(AuthkeyError::Owner {
            path,
            uid: meta.uid(),
            wanted,
        });
    }
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(AuthkeyError::Mode { path, mode });
    }
    if !(BYTES_MIN..=BYTES_MAX).contains(&meta.len()) {
        return Err(AuthkeyError::Length {
            path,
            bytes: meta.len(),
        });
    }
    Ok(())
}

/// Writes a new key of `key` (random bytes) with mode 0400; never over an existing one.
///
/// # Errors
/// [`AuthkeyError::Exists`] and what the kernel says.
pub fn generate(path: &Path, key: &[u8; KEY_BYTES]) -> Result<(), AuthkeyError> {
    let io = |error| AuthkeyError::Io {
        path: path.to_owned(),
        error,
    };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(io)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o400);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => AuthkeyError::Exists {
            path: path.to_owned(),
        },
        _ => io(error),
    })?;
    file.write_all(key)
        .and_then(|()| file.sync_all())
        .map_err(io)
}

/// Shortest key, in bytes.
const BYTES_MIN: u64 = 32;
/// Longest key, in bytes (corosync's own limit).
const BYTES_MAX: u64 = 4096;
