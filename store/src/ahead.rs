//! Commits that are on the disk and not yet in the engine.
//!
//! A commit through the engine takes four trips to the disk and a dozen changes of threads. So a
//! small one goes to a file of its own instead, written in place and through to the disk at one
//! blow; the engine gets it with others when there is time, or when the file is full. Until then it
//! lies here, in memory for whoever reads, and the next opening takes it from the file.
//!
//! No record shares a block with another: what is on the disk is not written again before the
//! engine has it. Records are numbered as batches are, so that what an earlier round left behind is
//! known by its number, and what the engine has by the engine's.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::barrier::write_synced;
use crate::chunks::read_single;
use crate::envelope::{Kind, u64_at};
use crate::error::StoreError;
use crate::journal::{self, HEADER_BYTES, Journal, Writes};

/// The file, and what of it the engine does not have.
#[derive(Debug)]
pub(crate) struct Ahead {
    file: File,
    path: PathBuf,
    /// Where the next record goes.
    at: usize,
    /// What the records since the last [`Ahead::settled`] say, the newer in the place of the older.
    pending: Writes,
}

impl Ahead {
    /// Opens the file below `dir`, made where it is missing; nothing in it is needed any more. The
    /// caller makes its name durable.
    pub(crate) fn open(dir: &Path, skip_barrier: bool) -> Result<Self, StoreError> {
        let path = dir.join(AHEAD_FILE);
        let shaped = fs::metadata(&path).is_ok_and(|meta| meta.len() == FILE_BYTES as u64);
        if !shaped {
            // Real zeros: blocks that were only reserved cost a change of the file system each.
            write_synced(&path, &vec![0; FILE_BYTES])
                .map_err(|e| StoreError::io("creating", &path, e))?;
        }
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(if skip_barrier { 0 } else { libc::O_DSYNC })
            .open(&path)
            .map_err(|e| StoreError::io("opening", &path, e))?;
        Ok(Self {
            file,
            path,
            at: 0,
            pending: Writes::new(),
        })
    }

    /// There is room for these writes, in the file and in one step of the engine.
    pub(crate) fn takes(&self, writes: &Writes) -> bool {
        let bytes = HEADER_BYTES + journal::body_bytes(writes);
        self.at + bytes.next_multiple_of(BLOCK_BYTES) <= FILE_BYTES
            && journal::fit_together(&self.pending, writes)
    }

    /// Writes a commit that [`Ahead::takes`]; it is on the disk on return.
    pub(crate) fn write(&mut self, batches: u64, writes: Writes) -> Result<(), StoreError> {
        let journal = Journal { batches, writes };
        let mut record = journal.encode(MAGIC);
        record.resize(record.len().next_multiple_of(BLOCK_BYTES), 0);
        self.file
            .write_all_at(&record, self.at as u64)
            .map_err(|e| StoreError::io("writing", &self.path, e))?;
        self.at += record.len();
        self.pending.extend(journal.writes);
        Ok(())
    }

    /// What the engine does not have.
    pub(crate) fn pending(&self) -> &Writes {
        &self.pending
    }

    /// The engine has everything, on the disk: the file begins anew.
    pub(crate) fn settled(&mut self) {
        self.at = 0;
        self.pending = Writes::new();
    }
}

/// What an earlier process left in the file.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// From the file's beginning, each one the next of the one before.
    pub(crate) records: Vec<Journal>,
    /// Batches that were on the disk at least: the highest number of any whole record.
    pub(crate) batches_min: u64,
}

/// Reads the file, changing nothing.
pub(crate) fn read(dir: &Path) -> Result<Left, StoreError> {
    let path = dir.join(AHEAD_FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(StoreError::io("reading", &path, error)),
    };
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Left {
    let mut left = Left::default();
    let mut in_order = true;
    let mut rest = bytes;
    while rest.len() >= BLOCK_BYTES {
        let Some((journal, taken)) = first(rest) else {
            // Torn, rotten or never written: what follows is no continuation, but tells of a loss.
            in_order = false;
            rest = &rest[BLOCK_BYTES..];
            continue;
        };
        rest = &rest[taken..];
        left.batches_min = left.batches_min.max(journal.batches);
        let before = left.records.last().map(|journal| journal.batches);
        in_order &= before.is_none_or(|before| journal.batches == before + 1);
        if in_order {
            left.records.push(journal);
        }
    }
    left
}

/// The record at the beginning, and how many bytes its blocks have.
fn first(bytes: &[u8]) -> Option<(Journal, usize)> {
    let body = usize::try_from(u64_at(bytes, 16)).ok()?;
    let end = body.checked_add(HEADER_BYTES)?;
    let journal = Journal::decode(bytes.get(..end)?, MAGIC)?;
    Some((journal, end.next_multiple_of(BLOCK_BYTES)))
}

/// Brings into the engine what it lacks of the records, in order; each is durable before the next.
/// Where the engine lacks more than the records have nothing is done: that is lost, and is told.
pub(crate) fn finish(
    records: &[Journal],
    db: &sled::Db,
    mut apply: impl FnMut(Writes) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut batches = match read_single(db, Kind::Batch) {
        Ok(Some((number, _))) => number,
        // The engine never used has none, and any other has lost it: told when everything is read.
        Ok(None) | Err(StoreError::Damaged { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut together = Writes::new();
    for record in records {
        if record.batches <= batches {
            continue;
        }
        if record.batches != batches + 1 {
            break;
        }
        if !journal::fit_together(&together, &record.writes) {
            apply(std::mem::take(&mut together))?;
        }
        together.extend(record.writes.clone());
        batches = record.batches;
    }
    match together.is_empty() {
        true => Ok(()),
        false => apply(together),
    }
}

/// Name of the file, below the store's directory.
pub(crate) const AHEAD_FILE: &str = "ahead";

const MAGIC: [u8; 8] = *b"MSahead1";

/// A record begins at a multiple of this many bytes: no block of any disk is larger.
const BLOCK_BYTES: usize = 4_096;

/// Size of the file, in bytes: some hundred commits before the engine has to take them.
const FILE_BYTES: usize = 256 * BLOCK_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(n: u64, len: usize) -> Writes {
        Writes::from([
            (b"always".to_vec(), Some(n.to_le_bytes().to_vec())),
            (n.to_be_bytes().to_vec(), Some(vec![n as u8; len])),
        ])
    }

    fn numbers(left: &Left) -> Vec<u64> {
        left.records.iter().map(|r| r.batches).collect()
    }

    #[test]
    fn what_an_earlier_round_left_is_no_continuation() {
        let dir = tempfile::tempdir().expect("directory");
        assert!(read(dir.path()).expect("absent").records.is_empty());
        let mut ahead = Ahead::open(dir.path(), false).expect("open");
        for n in 1..=5 {
            ahead
                .write(n, writes(n, 3_000 * n as usize))
                .expect("write");
        }
        let left = read(dir.path()).expect("read");
        assert_eq!((numbers(&left), left.batches_min), (vec![1, 2, 3, 4, 5], 5));
        assert_eq!(left.records[2].writes, writes(3, 9_000));
        assert_eq!(ahead.pending().len(), 6);
        ahead.settled();
        ahead.write(6, writes(6, 10)).expect("write");
        ahead.write(7, writes(7, 10)).expect("write");
        let left = read(dir.path()).expect("read");
        assert_eq!((numbers(&left), left.batches_min), (vec![6, 7], 7));
    }

    #[test]
    fn a_damaged_record_ends_them_and_those_behind_it_tell() {
        let dir = tempfile::tempdir().expect("directory");
        let mut ahead = Ahead::open(dir.path(), false).expect("open");
        for n in 1..=4 {
            ahead.write(n, writes(n, 5_000)).expect("write");
        }
        let path = dir.path().join(AHEAD_FILE);
        let good = fs::read(&path).expect("read");
        for at in [0, 9, 17, 25, 40, 5_000] {
            let mut bad = good.clone();
            bad[2 * 2 * BLOCK_BYTES + at] ^= 1;
            let left = parse(&bad);
            assert_eq!((numbers(&left), left.batches_min), (vec![1, 2], 4), "{at}");
            bad = good.clone();
            bad[3 * 2 * BLOCK_BYTES + at] ^= 1;
            let left = parse(&bad);
            assert_eq!((numbers(&left), left.batches_min), (vec![1, 2, 3], 3));
        }
        assert_eq!(numbers(&parse(&good[..good.len() - 1])), [1, 2, 3, 4]);
        assert!(parse(&[0xff; 3 * BLOCK_BYTES]).records.is_empty());
    }

    #[test]
    fn the_engine_gets_what_it_lacks_and_nothing_behind_a_gap() {
        let config = sled::Config::new().temporary(true).flush_every_ms(None);
        let db = config.open().expect("temporary database");
        let mut stage = crate::chunks::Stage::new(&db);
        stage.put_single(Kind::Batch, 3, &[]);
        db.apply_batch(stage.into_batch()).expect("apply");
        let record = |batches| Journal {
            batches,
            writes: writes(batches, 20_000),
        };
        let applied = |numbers: &[u64]| {
            let records: Vec<Journal> = numbers.iter().map(|n| record(*n)).collect();
            let mut pieces = Vec::new();
            let result = finish(&records, &db, |piece| {
                pieces.push(piece.len() - 1);
                Ok(())
            });
            result.expect("applies");
            pieces
        };
        assert!(applied(&[1, 2, 3]).is_empty());
        assert_eq!(applied(&[2, 3, 4, 5, 6]), [2, 1]);
        assert!(applied(&[5, 6]).is_empty());
    }
}
