//! The durability barrier: what "on disk" means here.
//!
//! The engine's own `flush()` ends in sync_file_range(2), which writes neither file sizes nor the
//! disk's cache. So every commit ends in fdatasync(2) on our own descriptor of the same file, and
//! every name is made durable by fsync(2) of its directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// Our descriptor of the engine's one growing file.
#[derive(Debug)]
pub(crate) struct Barrier {
    file: File,
    path: PathBuf,
    skip: bool,
}

impl Barrier {
    /// `skip` makes the barrier do nothing: only to prove that the crash tests notice.
    pub(crate) fn open(engine_dir: &Path, skip: bool) -> Result<Self, StoreError> {
        let path = engine_dir.join("db");
        let file = File::open(&path).map_err(|e| StoreError::io("opening", &path, e))?;
        Ok(Self { file, path, skip })
    }

    /// Returns when everything the engine wrote so far survives a power cut.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        if self.skip {
            return Ok(());
        }
        self.file
            .sync_data()
            .map_err(|e| StoreError::io("syncing", &self.path, e))
    }

    /// Makes the engine's files and their names durable: at creation, and at every open, because
    /// what a killed process left may so far live in the page cache alone.
    pub(crate) fn sync_names(&self, engine_dir: &Path) -> Result<(), StoreError> {
        if self.skip {
            return Ok(());
        }
        sync_file(&engine_dir.join("conf"))?;
        // Names first: what the engine overwrote while it opened needs its snapshot's.
        for dir in [&engine_dir.join("blobs"), engine_dir] {
            if dir.exists() {
                sync_dir(dir)?;
            }
        }
        self.file
            .sync_all()
            .map_err(|e| StoreError::io("syncing", &self.path, e))
    }
}

/// fsync(2) of a file by name.
pub(crate) fn sync_file(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|e| StoreError::io("syncing", path, e))
}

/// fsync(2) of a directory: makes the names in it durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|e| StoreError::io("syncing directory", path, e))
}

/// Writes `bytes` to `path` so that a power cut leaves the old content or the new, except that the
/// new name is durable only after the caller's [`sync_dir`].
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let tmp = tmp_name(path);
    write_synced(&tmp, bytes).map_err(|e| StoreError::io("writing", &tmp, e))?;
    fs::rename(&tmp, path).map_err(|e| StoreError::io("renaming", &tmp, e))
}

/// Writes `bytes` to `path` beside the final name and syncs it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// `path` with `.tmp` added.
pub(crate) fn tmp_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}
