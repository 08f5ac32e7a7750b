//! The replicated log in memory: entries after a compacted base, their chain of hashes, and the
//! newest snapshot.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wire::NodeId;

use crate::message::{self, Blob, DecodeError, Hash, Point};
use crate::state::LogState;
use crate::{Ballot, EntryBody, OpId};

/// One entry as it is hashed, sent and stored: the same bytes everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Position, from 1.
    #[serde(deserialize_with = "crate::message::number")]
    pub seq: u64,
    /// Ballot under which it was appended.
    pub ballot: Ballot,
    /// Node whose client asked; the DC for its own entries.
    pub origin: NodeId,
    /// The client's name for it: applied at most once.
    pub op: Option<OpId>,
    /// What it says.
    pub body: EntryBody,
}

/// A record with its bytes and chain value.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) record: Record,
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: Hash,
}

/// The core's and the application's state through a point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Through here.
    pub at: Point,
    /// The core's part.
    pub state: LogState,
    /// The application's part; empty = initial.
    #[serde(with = "message::in_one_piece")]
    pub app: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) snapshot: Snapshot,
    /// Encoded snapshot, as offered to peers.
    pub(crate) snapshot_bytes: Vec<u8>,
    base: Point,
    entries: VecDeque<Logged>,
    bytes: usize,
}

impl Log {
    pub(crate) fn from_snapshot(snapshot: Snapshot) -> Self {
        let snapshot_bytes = message::encode(&snapshot);
        Self {
            base: snapshot.at,
            snapshot_bytes,
            snapshot,
            entries: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(crate) fn base(&self) -> Point {
        self.base
    }

    pub(crate) fn head(&self) -> Point {
        self.entries.back().map_or(self.base, Logged::point)
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Logged> {
        let index = seq.checked_sub(self.base.seq + 1)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// The lineage's point at `seq`, if it is still held.
    pub(crate) fn point(&self, seq: u64) -> Option<Point> {
        if seq == self.base.seq {
            return Some(self.base);
        }
        self.get(seq).map(Logged::point)
    }

    pub(crate) fn has(&self, point: &Point) -> bool {
        self.point(point.seq).is_some_and(|p| p.hash == point.hash)
    }

    /// Bytes of the entries held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn append(&mut self, record: Record) -> &Logged {
        assert_eq!(record.seq, self.head().seq + 1, "the log has no gap");
        let bytes = message::encode(&record);
        let hash = chain(&self.head().hash, &bytes);
        self.bytes += bytes.len();
        self.entries.push_back(Logged {
            record,
            bytes,
            hash,
        });
        self.entries.back().expect("pushed above")
    }

    /// Takes the next record as [`from_disk`] read it: its bytes and chain value are known.
    pub(crate) fn take(&mut self, logged: Logged) {
        self.bytes += logged.bytes.len();
        self.entries.push_back(logged);
    }

    /// Drops entries from `seq` on.
    pub(crate) fn truncate(&mut self, seq: u64) {
        assert!(
            seq > self.base.seq,
            "compacted entries are committed and never dropped"
        );
        let keep = usize::try_from(seq - self.base.seq - 1).unwrap_or(usize::MAX);
        self.entries.truncate(keep);
        self.bytes = self.entries.iter().map(|l| l.bytes.len()).sum();
    }

    /// Encoded records after `seq`, at most `bytes_max` of them unless a single one is larger.
    pub(crate) fn encoded_after(&self, seq: u64, bytes_max: usize) -> Vec<Blob> {
        let mut total = 0;
        let mut found = Vec::new();
        let mut next = seq + 1;
        while let Some(logged) = self.get(next) {
            total += logged.bytes.len() + RECORD_OVERHEAD_BYTES;
            let full = found.len() == message::ENTRIES_PER_MESSAGE_MAX;
            if !found.is_empty() && (total > bytes_max || full) {
                break;
            }
            found.push(Blob(logged.bytes.clone()));
            next += 1;
        }
        found
    }

    pub(crate) fn iter_after(&self, seq: u64) -> impl Iterator<Item = &Logged> {
        let skip = usize::try_from(seq.saturating_sub(self.base.seq)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip)
    }

    /// Takes a newer snapshot of the same lineage; keeps a tail of entries for slow followers.
    pub(crate) fn compact(&mut self, snapshot: Snapshot) {
        let at = snapshot.at;
        self.snapshot_bytes = message::encode(&snapshot);
        self.snapshot = snapshot;
        let keep_from = at.seq.saturating_sub(TAIL_ENTRIES);
        while self.base.seq < keep_from || (self.base.seq < at.seq && self.bytes > TAIL_BYTES) {
            let Some(first) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= first.bytes.len();
            self.base = first.point();
        }
    }
}

impl Logged {
    pub(crate) fn point(&self) -> Point {
        Point {
            seq: self.record.seq,
            ballot: self.record.ballot,
            hash: self.hash,
        }
    }

    /// What the store keeps: chain value, then the record's bytes.
    pub(crate) fn disk(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HASH_BYTES + self.bytes.len());
        bytes.extend_from_slice(&self.hash);
        bytes.extend_from_slice(&self.bytes);
        bytes
    }
}

/// Reads a record as stored and checks its chain value against the one before it.
pub(crate) fn from_disk(prev: &Hash, bytes: &[u8]) -> Result<Logged, DecodeError> {
    let Some((hash, rest)) = bytes.split_at_checked(HASH_BYTES) else {
        return Err(DecodeError::Empty);
    };
    let chained = chain(prev, rest);
    if chained != hash {
        return Err(DecodeError::Malformed("chain value differs".into()));
    }
    Ok(Logged {
        record: message::decode(rest)?,
        bytes: rest.to_vec(),
        hash: chained,
    })
}

pub(crate) fn chain(prev: &Hash, bytes: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(prev);
    hasher.update(bytes);
    hasher.finalize().into()
}

const HASH_BYTES: usize = 32;
/// Length prefix of a record inside a message, in bytes.
const RECORD_OVERHEAD_BYTES: usize = 4;
/// Entries kept behind a snapshot so that a briefly absent follower needs no snapshot.
const TAIL_ENTRIES: u64 = 256;
/// The same, in bytes.
const TAIL_BYTES: usize = 1_024 * 1_024;
