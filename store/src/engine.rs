//! Opening the engine: sled may fail, panic or hang on damaged files, so it is opened in a thread
//! of its own, with the known causes of refusal out of the way (rule S3).

use std::any::Any;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::barrier::{sync_dir, sync_file};
use crate::error::{OpenError, StoreError};

/// Opens (or creates) the database in `dir`; `Ok(Err(cause))` when its files are damaged. Whatever
/// is wrong with the system instead (a lock, a full disk, permissions) is an error: a sound
/// database must not go to quarantine for it.
pub(crate) fn open(dir: &Path) -> Result<Result<sled::Db, String>, OpenError> {
    sync_leftovers(dir)?;
    let adopted = adopt_snapshots(dir)?;
    let result = open_waiting(dir)?;
    if result.is_ok() || adopted.is_empty() {
        return Ok(result);
    }
    for path in adopted {
        fs::remove_file(&path).map_err(|e| StoreError::io("removing", &path, e))?;
    }
    open_waiting(dir)
}

fn open_waiting(dir: &Path) -> Result<Result<sled::Db, String>, OpenError> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match open_in_thread(dir)? {
            // The engine's lock is passed on to a child between fork and exec, and outlives the
            // closing of the database by as long as its threads take to end.
            Err(sled::Error::Io(error)) if is_lock(&error) => {
                if Instant::now() > deadline {
                    return Err(OpenError::Locked {
                        dir: dir.to_owned(),
                        lock: dir.join("db"),
                        pid: None,
                    });
                }
                thread::sleep(LOCK_POLL);
            }
            Err(sled::Error::Io(error)) if is_systems(&error) => {
                return Err(StoreError::io("opening", dir, error).into());
            }
            result => return Ok(result.map_err(|e| e.to_string())),
        }
    }
}

/// What a killed process wrote last may be in the page cache alone. The engine takes it for there,
/// and writes over segments that it does not need any more because of it.
fn sync_leftovers(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(DATA_FILE);
    if path.exists() {
        sync_file(&path)?;
        sync_dir(dir)?;
    }
    Ok(())
}

fn open_in_thread(dir: &Path) -> Result<Result<sled::Db, sled::Error>, OpenError> {
    let config = sled::Config::new()
        .path(dir)
        .mode(sled::Mode::LowSpace)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    let (sender, receiver) = sync_channel(1);
    let thread = thread::Builder::new()
        .name("store-open".to_owned())
        .spawn(move || {
            // A receiver that gave up waiting is no error: the database is closed again.
            let _ = sender.send(config.open());
        })
        .map_err(|e| StoreError::io("starting a thread for", dir, e))?;
    match receiver.recv_timeout(OPEN_TIMEOUT) {
        Ok(result) => {
            // Only to reap it: the result is here.
            let _ = thread.join();
            Ok(result)
        }
        Err(RecvTimeoutError::Disconnected) => {
            let panic = thread.join().err().unwrap_or(Box::new("thread ended"));
            let cause = panicked("opening", panic.as_ref()).to_string();
            Ok(Err(sled::Error::ReportableBug(cause)))
        }
        Err(RecvTimeoutError::Timeout) => Err(OpenError::Stuck {
            dir: dir.to_owned(),
            seconds: OPEN_TIMEOUT.as_secs(),
        }),
    }
}

fn is_lock(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// A refusal of the operating system: it says nothing about the content. Also EIO, which may come
/// from writing: a failing disk is for a person, not for a fresh database on the same disk.
fn is_systems(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
        || matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::OutOfMemory
        )
}

/// Moves the engine's snapshots to `aside`: they are caches, rebuilt from its log.
/// Returns how many there were.
pub(crate) fn move_snapshots(dir: &Path, aside: &Path) -> Result<usize, StoreError> {
    let snapshots = snapshots(dir)?;
    if snapshots.is_empty() {
        return Ok(0);
    }
    fs::create_dir_all(aside).map_err(|e| StoreError::io("creating", aside, e))?;
    for path in &snapshots {
        let name = path.file_name().unwrap_or_default();
        fs::rename(path, aside.join(name)).map_err(|e| StoreError::io("moving", path, e))?;
    }
    Ok(snapshots.len())
}

/// A crash while the engine opens leaves `snap.*.generating`. A whole one has to be used: the engine
/// syncs it, renames it, and then, without syncing the directory, overwrites segments that are
/// dispensable with it and not without it (it takes the gap for the end of its log). One that was
/// cut short is refused by the engine. Returns the new names: [`open`] removes them then.
fn adopt_snapshots(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut adopted = Vec::new();
    for half in snapshots(dir)? {
        if half.extension().is_some_and(|e| e == "generating") {
            let whole = half.with_extension("");
            if whole.exists() {
                fs::remove_file(&half).map_err(|e| StoreError::io("removing", &half, e))?;
                continue;
            }
            fs::rename(&half, &whole).map_err(|e| StoreError::io("renaming", &half, e))?;
            adopted.push(whole);
        }
    }
    if !adopted.is_empty() {
        sync_dir(dir)?;
    }
    Ok(adopted)
}

fn snapshots(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let io = |error| StoreError::io("listing", dir, error);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io)?;
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Turns a caught panic of the engine into an error.
pub(crate) fn panicked(doing: &'static str, panic: &(dyn Any + Send)) -> StoreError {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    StoreError::Engine {
        doing,
        cause: format!("panic: {}", text.unwrap_or("no message")),
    }
}

/// The engine's one growing file.
const DATA_FILE: &str = "db";

/// Directory of the engine's files, below the store's.
pub(crate) const ENGINE_DIR: &str = "db";

/// The engine's page cache, in bytes; its default is 1 GiB.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Opening takes tens of milliseconds; this long means that the disk hangs.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest wait for the engine's lock; our own lock says already that no other daemon runs.
const LOCK_WAIT: Duration = Duration::from_secs(5);

const LOCK_POLL: Duration = Duration::from_millis(5);
