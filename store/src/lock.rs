//! One process per store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{OpenError, StoreError};

/// Held as long as it lives; the kernel drops it with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `dir`, which must exist.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(LOCK_FILE);
        let io = |error| StoreError::io("locking", &path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match try_lock_for(&file, LOCK_WAIT) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text); // only decorates the message
                return Err(OpenError::Locked {
                    dir: dir.to_owned(),
                    lock: path.clone(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(io(error).into()),
        }
        // The pid is for people only: a full disk must not keep the store closed.
        let _ = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

/// A child of a daemon that just died holds its lock between fork and exec.
fn try_lock_for(file: &File, wait: Duration) -> Result<(), TryLockError> {
    let deadline = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                thread::sleep(LOCK_POLL);
            }
            result => return result,
        }
    }
}

const LOCK_WAIT: Duration = Duration::from_millis(500);

const LOCK_POLL: Duration = Duration::from_millis(5);

const LOCK_FILE: &str = "lock";
