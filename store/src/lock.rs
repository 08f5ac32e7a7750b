//! One process per store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

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
        match try_lock_for(&mut file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    dir: dir.to_owned(),
                    lock: path.clone(),
                    pid: holder(&mut file),
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

/// A process that just died, or closed its store, may have had a child between fork and exec, which
/// holds the lock until it gets that far. On a loaded machine that takes its time, and is not to be
/// taken for a second daemon; one that lives is told at once.
fn try_lock_for(file: &mut File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {}
            result => return result,
        }
        let wait = match holder(file) {
            Some(pid) if lives(pid) => HELD_WAIT,
            _ => LEFT_OVER_WAIT,
        };
        if began.elapsed() >= wait {
            return Err(TryLockError::WouldBlock);
        }
        thread::sleep(LOCK_POLL);
    }
}

/// Who wrote its number into the lock file.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Another process with this number is there: also one that we may not signal.
fn lives(pid: u32) -> bool {
    let Ok(raw) = i32::try_from(pid) else {
        return false;
    };
    pid != std::process::id() && kill(Pid::from_raw(raw), None) != Err(Errno::ESRCH)
}

/// How long a lock held by a living process is waited for: it may be about to end.
const HELD_WAIT: Duration = Duration::from_millis(500);

/// How long a lock is waited for whose holder is gone or ourselves.
const LEFT_OVER_WAIT: Duration = Duration::from_secs(10);

const LOCK_POLL: Duration = Duration::from_millis(5);

const LOCK_FILE: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the lock, and leaves a copy of its descriptor behind as a child between fork and exec
    /// has one.
    fn left_over(dir: &Path, pid: u32) -> File {
        let lock = Lock::take(dir).expect("free");
        std::fs::write(dir.join(LOCK_FILE), format!("{pid}\n")).expect("write");
        lock._file.try_clone().expect("descriptor")
    }

    #[test]
    fn what_a_child_holds_until_it_is_another_program_is_waited_for() {
        let dir = tempfile::tempdir().expect("directory");
        let mut ended = std::process::Command::new("true").spawn().expect("runs");
        ended.wait().expect("ends");
        for pid in [std::process::id(), ended.id()] {
            let copy = left_over(dir.path(), pid);
            let closer = thread::spawn(move || {
                thread::sleep(HELD_WAIT * 3);
                drop(copy);
            });
            Lock::take(dir.path()).expect("its holder is gone");
            closer.join().expect("thread");
        }
    }

    #[test]
    fn the_lock_of_a_living_process_is_told_with_its_number() {
        let dir = tempfile::tempdir().expect("directory");
        // The first process of the machine, or of the container.
        let _copy = left_over(dir.path(), 1);
        let error = Lock::take(dir.path()).expect_err("it is held");
        assert!(
            error.to_string().contains("in use by process 1 "),
            "{error}"
        );
    }
}
