//! Room on the disk: the reserve for a full one, the size alarm (S12), the quiet-time rewrite.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

use crate::Store;
use crate::barrier::{Barrier, sync_dir};
use crate::engine::{self, ENGINE_DIR};
use crate::error::StoreError;

/// How much room the store takes and has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Size of the database, in bytes.
    pub database_bytes: u64,
    /// Free on its file system for an ordinary user, in bytes.
    pub free_bytes: u64,
    /// The database is larger than [`SIZE_ALARM_BYTES`]: call [`Store::compact`] at a quiet time.
    pub alarm: bool,
}

impl Store {
    /// Room taken and left.
    ///
    /// # Errors
    /// The file system or the engine does not tell.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let path = &self.dir;
        let database_bytes = self
            .db
            .size_on_disk()
            .map_err(|e| StoreError::engine("measuring", path, e))?;
        let stat = statvfs(path).map_err(|e| StoreError::io("measuring", path, e.into()))?;
        Ok(Usage {
            database_bytes,
            free_bytes: stat.blocks_available() as u64 * stat.fragment_size() as u64,
            alarm: database_bytes > SIZE_ALARM_BYTES,
        })
    }

    /// Rewrites the database into a fresh one and swaps the two; everything durable on return.
    /// Takes as long as writing all of it; the old one is intact until the new one is on disk.
    ///
    /// # Errors
    /// As [`Store::commit`]: fatal ones poison the store, the content is safe.
    pub fn compact(&mut self) -> Result<Usage, StoreError> {
        if let Some(cause) = &self.poison {
            let cause = cause.clone();
            return Err(StoreError::Poisoned { cause });
        }
        self.try_compact().inspect_err(|error| {
            if error.fatal() {
                self.poison(error);
            }
        })?;
        self.usage()
    }

    fn try_compact(&mut self) -> Result<(), StoreError> {
        self.drain()?;
        let [current, new, old] = engine_dirs(&self.dir);
        remove_dir(&new)?;
        let fresh = open_fresh(&new)?;
        copy(&self.db, &fresh, &new)?;
        Barrier::open(&new, self.skip_barrier)?.sync_names(&new)?;
        sync_dir(&self.dir)?;
        rename(&current, &old)?;
        sync_dir(&self.dir)?;
        rename(&new, &current)?;
        sync_dir(&self.dir)?;
        // The engine keeps the path it was opened with for the snapshot it writes when it closes,
        // so the fresh one is opened anew under its final name.
        drop(fresh);
        self.barrier = Barrier::open(&current, self.skip_barrier)?;
        self.db = open_fresh(&current)?;
        self.barrier.sync_names(&current)?;
        remove_dir(&old)
    }
}

/// Puts right what a crash during [`Store::compact`] left: the old database is complete until the
/// new one has its name.
pub(crate) fn finish_compact(dir: &Path) -> Result<(), StoreError> {
    let [current, new, old] = engine_dirs(dir);
    if old.exists() && !current.exists() {
        rename(&old, &current)?;
        sync_dir(dir)?;
    }
    remove_dir(&new)?;
    remove_dir(&old)
}

/// Reserves [`BALLAST_BYTES`] so that a full disk still lets the daemon start and speak.
pub(crate) fn reserve_ballast(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(BALLAST_FILE);
    if fs::metadata(&path).is_ok_and(|meta| meta.len() == BALLAST_BYTES) {
        return Ok(());
    }
    let io = |error| StoreError::io("reserving", &path, error);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    let reserved = posix_fallocate(&file, 0, BALLAST_BYTES as i64);
    reserved.map_err(|errno| {
        release_ballast(dir);
        io(errno.into())
    })?;
    file.sync_all().map_err(io)
}

/// Gives the reserve back to a full disk; the next open takes it again. False when there was none.
pub(crate) fn release_ballast(dir: &Path) -> bool {
    fs::remove_file(dir.join(BALLAST_FILE)).is_ok()
}

fn open_fresh(dir: &Path) -> Result<sled::Db, StoreError> {
    let result = engine::open(dir).map_err(|e| StoreError::Engine {
        doing: "reopening",
        cause: e.to_string(),
    })?;
    result.map_err(|cause| StoreError::Engine {
        doing: "reopening",
        cause,
    })
}

fn copy(from: &sled::Db, to: &sled::Db, path: &Path) -> Result<(), StoreError> {
    let engine = |error| StoreError::engine("rewriting", path, error);
    for item in from.iter() {
        let (key, value) = item.map_err(engine)?;
        to.insert(key, value).map_err(engine)?;
    }
    to.flush().map_err(engine).map(|_| ())
}

fn engine_dirs(dir: &Path) -> [PathBuf; 3] {
    [ENGINE_DIR, "db.new", "db.old"].map(|name| dir.join(name))
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|e| StoreError::io("renaming", from, e))
}

pub(crate) fn remove_dir(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("removing", path, error))
        }
        _ => Ok(()),
    }
}

/// Copies the regular files of `from` (not its subdirectories) to `to` and syncs them.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<(), StoreError> {
    let io = |error| StoreError::io("copying", from, error);
    fs::create_dir_all(to).map_err(io)?;
    for entry in fs::read_dir(from).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().map_err(io)?.is_file() {
            let target = to.join(entry.file_name());
            fs::copy(entry.path(), &target).map_err(io)?;
            File::open(&target).and_then(|f| f.sync_all()).map_err(io)?;
        }
    }
    sync_dir(to)
}

/// Database size that raises the alarm, in bytes.
pub const SIZE_ALARM_BYTES: u64 = 256 * 1024 * 1024;

/// Size of the reserve, in bytes.
const BALLAST_BYTES: u64 = 8 * 1024 * 1024;

/// Name of the reserve.
pub(crate) const BALLAST_FILE: &str = "ballast";
