//! Opening the engine: sled may fail, panic or hang on damaged files, so it is opened in a thread
//! of its own, with the known causes of refusal out of the way (rule S3).

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::error::{OpenError, StoreError};

/// Opens (or creates) the database in `dir`; `Ok(Err(cause))` when its files do not let it.
pub(crate) fn open(dir: &Path) -> Result<Result<sled::Db, String>, OpenError> {
    remove_half_snapshots(dir)?;
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
            Ok(result.map_err(|e| e.to_string()))
        }
        Err(RecvTimeoutError::Disconnected) => {
            let panic = thread.join().err();
            let error = panicked("opening", panic.unwrap_or(Box::new("gone")).as_ref());
            Ok(Err(error.to_string()))
        }
        Err(RecvTimeoutError::Timeout) => Err(OpenError::Stuck {
            dir: dir.to_owned(),
            seconds: OPEN_TIMEOUT.as_secs(),
        }),
    }
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

/// A crash while the engine opens leaves `snap.*.generating`, which it then refuses to read.
fn remove_half_snapshots(dir: &Path) -> Result<(), StoreError> {
    for path in snapshots(dir)? {
        if path.extension().is_some_and(|e| e == "generating") {
            fs::remove_file(&path).map_err(|e| StoreError::io("removing", &path, e))?;
        }
    }
    Ok(())
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

/// Directory of the engine's files, below the store's.
pub(crate) const ENGINE_DIR: &str = "db";

/// The engine's page cache, in bytes; its default is 1 GiB.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Opening takes tens of milliseconds; this long means that the disk hangs.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
