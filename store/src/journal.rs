//! Commits that are too large for one barrier.
//!
//! The engine notes in the header of every new segment how far its log is stable, and by that it
//! means passed to the kernel. A commit that runs through more than one segment may so leave a
//! header on the disk that vouches for data which a power cut took, and the engine then gives up
//! everything it has. So the writes of a large commit go to a file of their own first, and from
//! there to the engine in pieces, each behind a barrier and far smaller than a segment. Where that
//! is cut short, the next opening does it again: the file is there whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::barrier::{Barrier, replace_file, sync_dir};
use crate::crc32c::crc32c;
use crate::envelope::{Key, Kind, u32_at, u64_at};
use crate::error::StoreError;

/// Writes of one commit: `None` deletes.
pub(crate) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A large commit that may not be in the database yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Journal {
    /// Batches in the database once it is.
    pub(crate) batches: u64,
    pub(crate) writes: Writes,
}

/// Does it fit one barrier?
pub(crate) fn fits(writes: &Writes) -> bool {
    writes.iter().map(cost).sum::<usize>() <= PIECE_BYTES
}

/// Do both fit one barrier, the newer in the place of the older?
pub(crate) fn fit_together(older: &Writes, newer: &Writes) -> bool {
    let replaced = older.iter().filter(|(key, _)| newer.contains_key(*key));
    let older: usize = older.iter().map(cost).sum();
    let newer: usize = newer.iter().map(cost).sum();
    older + newer - replaced.map(cost).sum::<usize>() <= PIECE_BYTES
}

/// Makes the writes durable outside the engine.
pub(crate) fn write(dir: &Path, journal: &Journal) -> Result<(), StoreError> {
    replace_file(&dir.join(JOURNAL_FILE), &journal.encode(MAGIC))?;
    sync_dir(dir)
}

/// What was written last; `None` where there is nothing, or nothing whole.
pub(crate) fn read(dir: &Path) -> Result<Option<Journal>, StoreError> {
    let path = dir.join(JOURNAL_FILE);
    match fs::read(&path) {
        Ok(bytes) => Ok(Journal::decode(&bytes, MAGIC)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("reading", &path, error)),
    }
}

/// Not synced: one that comes back is seen to be in the database.
pub(crate) fn remove(dir: &Path) {
    // What stays is ignored, and replaced by the next one.
    let _ = fs::remove_file(dir.join(JOURNAL_FILE));
}

/// Takes the writes into the engine piece by piece; all durable on return. The number of batches,
/// which says that they are there, goes last.
pub(crate) fn apply(
    db: &sled::Db,
    barrier: &Barrier,
    path: &Path,
    writes: Writes,
) -> Result<(), StoreError> {
    let last = Key::single(Kind::Batch).encode();
    let (done, mut rest): (Writes, Writes) = writes.into_iter().partition(|(key, _)| *key == last);
    while !rest.is_empty() {
        let mut left = PIECE_BYTES;
        let fitting = rest.iter().take_while(|write| {
            let fits = left > 0;
            left = left.saturating_sub(cost(*write));
            fits
        });
        let end = fitting.last().map(|(key, _)| key.clone());
        let behind = match &end {
            Some(end) => rest.split_off(end),
            None => Writes::new(),
        };
        let mut piece = std::mem::replace(&mut rest, behind);
        if let Some((key, value)) = end.and_then(|end| rest.remove_entry(&end)) {
            piece.insert(key, value);
        }
        apply_piece(db, barrier, path, piece)?;
    }
    apply_piece(db, barrier, path, done)
}

/// One atomic step of the engine, durable on return.
pub(crate) fn apply_piece(
    db: &sled::Db,
    barrier: &Barrier,
    path: &Path,
    writes: Writes,
) -> Result<(), StoreError> {
    let engine = |doing| move |error| StoreError::engine(doing, path, error);
    db.apply_batch(to_batch(writes))
        .map_err(engine("writing"))?;
    db.flush().map_err(engine("flushing"))?;
    barrier.sync()
}

pub(crate) fn to_batch(writes: Writes) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for (key, write) in writes {
        match write {
            Some(value) => batch.insert(key, value),
            None => batch.remove(key),
        }
    }
    batch
}

/// Length of the writes as they stand behind a header, in bytes.
pub(crate) fn body_bytes(writes: &Writes) -> usize {
    let one = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
        1 + key.len() + 4 + value.as_ref().map_or(0, Vec::len)
    };
    writes.iter().map(one).sum()
}

/// What a write costs the engine at least: a deletion rewrites a page as well.
fn cost((key, value): (&Vec<u8>, &Option<Vec<u8>>)) -> usize {
    let len = key.len() + value.as_ref().map_or(0, Vec::len);
    len.max(WRITE_BYTES_MIN)
}

impl Journal {
    pub(crate) fn encode(&self, magic: [u8; 8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(body_bytes(&self.writes));
        for (key, value) in &self.writes {
            body.push(key.len() as u8);
            body.extend_from_slice(key);
            let len = value.as_ref().map_or(DELETED, |value| value.len() as u32);
            body.extend_from_slice(&len.to_le_bytes());
            body.extend_from_slice(value.as_deref().unwrap_or_default());
        }
        let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
        bytes.extend_from_slice(&magic);
        bytes.extend_from_slice(&self.batches.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        let crc = crc32c(&[&bytes, &body]);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// `None` where it is not whole.
    pub(crate) fn decode(bytes: &[u8], magic: [u8; 8]) -> Option<Self> {
        let (header, mut body) = bytes.split_at_checked(HEADER_BYTES)?;
        let (signed, crc) = header.split_at(HEADER_BYTES - 4);
        let sound = signed[..8] == magic
            && u64_at(signed, 16) == body.len() as u64
            && crc32c(&[signed, body]) == u32_at(crc, 0);
        if !sound {
            return None;
        }
        let mut writes = Writes::new();
        while let Some((len, rest)) = body.split_first() {
            let (key, rest) = rest.split_at_checked(usize::from(*len))?;
            let (len, rest) = rest.split_at_checked(4)?;
            let len = u32_at(len, 0);
            if len == DELETED {
                writes.insert(key.to_vec(), None);
                body = rest;
            } else {
                let (value, rest) = rest.split_at_checked(len as usize)?;
                writes.insert(key.to_vec(), Some(value.to_vec()));
                body = rest;
            }
        }
        let batches = u64_at(signed, 8);
        Some(Self { batches, writes })
    }
}

/// Name of the file, below the store's directory.
pub(crate) const JOURNAL_FILE: &str = "journal";

const MAGIC: [u8; 8] = *b"MSjrnl01";

/// Magic, batches, length of the body, checksum.
pub(crate) const HEADER_BYTES: usize = 28;

/// Length that says that the key is deleted; no value is so long.
const DELETED: u32 = u32::MAX;

/// Writes of one barrier, in bytes: the engine makes about five times as much of them, and a
/// segment has 512 KiB.
const PIECE_BYTES: usize = 48 * 1024;

/// A write counts for no less, in bytes.
const WRITE_BYTES_MIN: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn journal() -> Journal {
        let writes = (0..200_u32).map(|n| {
            let value = (!n.is_multiple_of(7)).then(|| vec![n as u8; 1_000]);
            (n.to_be_bytes().to_vec(), value)
        });
        Journal {
            batches: 7,
            writes: writes.collect(),
        }
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let dir = tempfile::tempdir().expect("directory");
        assert_eq!(read(dir.path()).expect("absent"), None);
        write(dir.path(), &journal()).expect("write");
        assert_eq!(read(dir.path()).expect("read"), Some(journal()));
        remove(dir.path());
        assert_eq!(read(dir.path()).expect("absent"), None);
    }

    #[test]
    fn all_pieces_together_are_all_writes() {
        let dir = tempfile::tempdir().expect("directory");
        let db = sled::Config::new().path(dir.path()).open().expect("engine");
        let barrier = Barrier::open(dir.path(), false).expect("file");
        db.insert(0_u32.to_be_bytes(), b"old").expect("insert");
        assert!(!fits(&journal().writes));
        apply(&db, &barrier, dir.path(), journal().writes).expect("apply");
        let there = db.iter().map(|item| item.expect("item"));
        let there: Writes = there.map(|(k, v)| (k.to_vec(), Some(v.to_vec()))).collect();
        let mut wanted = journal().writes;
        wanted.retain(|_, value| value.is_some());
        assert_eq!(there, wanted);
    }

    proptest! {
        #[test]
        fn a_damaged_one_counts_as_none(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = journal().encode(MAGIC);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(Journal::decode(&bytes, MAGIC), None);
            prop_assert_eq!(Journal::decode(&bytes[..at], MAGIC), None);
        }
    }
}
