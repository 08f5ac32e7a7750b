//! Objects of any size as values of at most 1 KiB each, and the set of writes being prepared.
//!
//! A small object lies inside its head; a larger one has a head with length, chunk count and
//! checksum of the whole, followed by numbered chunks (`DESIGN.md`, "Objects").

use crate::crc32c::crc32c;
use crate::envelope::{Damage, Key, Kind, open, seal, u32_at};
use crate::error::StoreError;
use crate::journal::{Writes, to_batch};

/// Writes in preparation, over what the engine holds.
pub(crate) struct Stage<'a> {
    db: &'a sled::Db,
    /// On their way to the engine, before these.
    pending: Option<&'a Writes>,
    writes: Writes,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(db: &'a sled::Db) -> Self {
        Self {
            db,
            pending: None,
            writes: Writes::new(),
        }
    }

    /// As [`Stage::new`], over what the engine will hold when it has `pending`, too.
    pub(crate) fn over(db: &'a sled::Db, pending: &'a Writes) -> Self {
        Self {
            pending: Some(pending),
            ..Self::new(db)
        }
    }

    /// One value of a single kind.
    pub(crate) fn put_single(&mut self, kind: Kind, seq: u64, payload: &[u8]) {
        let value = seal(kind, seq, 0, payload);
        self.writes.insert(Key::single(kind).encode(), Some(value));
    }

    pub(crate) fn delete_single(&mut self, kind: Kind) {
        self.writes.insert(Key::single(kind).encode(), None);
    }

    /// Replaces the object at `seq`.
    pub(crate) fn put(&mut self, kind: Kind, seq: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.len() > OBJECT_BYTES_MAX {
            return Err(StoreError::refused(format!(
                "{} of {} bytes is larger than {OBJECT_BYTES_MAX}",
                Key::head(kind, seq),
                bytes.len()
            )));
        }
        self.delete_range(kind, seq, seq)?;
        let inline = bytes.len() <= CHUNK_BYTES_MAX;
        let chunks = if inline {
            0
        } else {
            bytes.len().div_ceil(CHUNK_BYTES_MAX) as u16
        };
        let mut head = Vec::with_capacity(OBJECT_HEAD_BYTES + CHUNK_BYTES_MAX);
        head.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        head.extend_from_slice(&crc32c(&[bytes]).to_le_bytes());
        head.extend_from_slice(&chunks.to_le_bytes());
        if inline {
            head.extend_from_slice(bytes);
        } else {
            for (part, chunk) in (1..).zip(bytes.chunks(CHUNK_BYTES_MAX)) {
                let key = Key { kind, seq, part };
                self.writes
                    .insert(key.encode(), Some(seal(kind, seq, part, chunk)));
            }
        }
        let key = Key::head(kind, seq).encode();
        self.writes.insert(key, Some(seal(kind, seq, 0, &head)));
        Ok(())
    }

    /// Deletes the objects `first..=last` with all their chunks.
    pub(crate) fn delete_range(
        &mut self,
        kind: Kind,
        first: u64,
        last: u64,
    ) -> Result<(), StoreError> {
        let (from, to) = bounds(kind, first, last);
        self.writes
            .range_mut(from.clone()..=to.clone())
            .for_each(|(_, write)| *write = None);
        if let Some(pending) = self.pending {
            let keys = pending.range(from.clone()..=to.clone());
            self.writes.extend(keys.map(|(key, _)| (key.clone(), None)));
        }
        for key in self.db.range(from..=to).keys() {
            let key = key.map_err(|e| engine("listing keys", e))?;
            self.writes.insert(key.to_vec(), None);
        }
        Ok(())
    }

    pub(crate) fn into_writes(self) -> Writes {
        self.writes
    }

    pub(crate) fn into_batch(self) -> sled::Batch {
        to_batch(self.writes)
    }
}

/// Reads the value of a single kind: its number and payload.
pub(crate) fn read_single(db: &sled::Db, kind: Kind) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
    let key = Key::single(kind);
    let Some(value) = db.get(key.encode()).map_err(|e| engine("reading", e))? else {
        return Ok(None);
    };
    let opened = open(key, &value)?;
    Ok(Some((opened.seq, opened.payload.to_vec())))
}

/// Reads one object.
pub(crate) fn read(db: &sled::Db, kind: Kind, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut objects = read_range(db, kind, seq, seq)?;
    match objects.pop() {
        None => Ok(None),
        Some((_, object)) => Ok(Some(object?)),
    }
}

/// An object as found: its number and its bytes or what is wrong with it.
pub(crate) type Found = (u64, Result<Vec<u8>, Damage>);

/// Reads the objects `first..=last` in order. Only a failure of the engine ends it early.
pub(crate) fn read_range(
    db: &sled::Db,
    kind: Kind,
    first: u64,
    last: u64,
) -> Result<Vec<Found>, StoreError> {
    let (from, to) = bounds(kind, first, last);
    let mut found: Vec<Assembly> = Vec::new();
    for item in db.range(from..=to) {
        let (key, value) = item.map_err(|e| engine("reading", e))?;
        let Some(key) = Key::decode(&key) else {
            continue; // verify() names stray keys
        };
        match found.last_mut() {
            Some(object) if object.seq == key.seq => object.add(key, &value),
            _ => found.push(Assembly::start(key, &value)),
        }
    }
    Ok(found
        .into_iter()
        .map(|object| object.finish(kind))
        .collect())
}

/// Numbers of the objects present, ascending.
pub(crate) fn list(db: &sled::Db, kind: Kind) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::new();
    for key in db.scan_prefix([kind as u8]).keys() {
        let key = key.map_err(|e| engine("listing keys", e))?;
        if let Some(Key { seq, part: 0, .. }) = Key::decode(&key) {
            numbers.push(seq);
        }
    }
    Ok(numbers)
}

/// An object while its parts arrive in key order.
struct Assembly {
    seq: u64,
    head: Option<Head>,
    bytes: Vec<u8>,
    parts: u16,
    damage: Option<Damage>,
}

struct Head {
    len: usize,
    crc: u32,
    chunks: u16,
}

impl Assembly {
    fn start(key: Key, value: &[u8]) -> Self {
        let mut assembly = Self {
            seq: key.seq,
            head: None,
            bytes: Vec::new(),
            parts: 0,
            damage: None,
        };
        assembly.add(key, value);
        assembly
    }

    fn add(&mut self, key: Key, value: &[u8]) {
        if let Err(damage) = self.try_add(key, value) {
            self.damage.get_or_insert(damage);
        }
    }

    fn try_add(&mut self, key: Key, value: &[u8]) -> Result<(), Damage> {
        let payload = open(key, value)?.payload;
        if key.part > 0 {
            if key.part != self.parts + 1 {
                return Err(Damage::new(key, "a chunk before it is missing"));
            }
            self.parts = key.part;
            self.bytes.extend_from_slice(payload);
            return Ok(());
        }
        if payload.len() < OBJECT_HEAD_BYTES {
            return Err(Damage::new(key, "head too short"));
        }
        let (head, inline) = payload.split_at(OBJECT_HEAD_BYTES);
        self.head = Some(Head {
            len: u32_at(head, 0) as usize,
            crc: u32_at(head, 4),
            chunks: u16::from_le_bytes([head[8], head[9]]),
        });
        self.bytes.extend_from_slice(inline);
        Ok(())
    }

    fn finish(self, kind: Kind) -> Found {
        let key = Key::head(kind, self.seq);
        let result = match (self.damage, self.head) {
            (Some(damage), _) => Err(damage),
            (None, None) => Err(Damage::new(key, "head is missing")),
            (None, Some(head)) if head.chunks != self.parts => Err(Damage::new(
                key,
                format!("{} of {} chunks present", self.parts, head.chunks),
            )),
            (None, Some(head))
                if head.len != self.bytes.len() || head.crc != crc32c(&[&self.bytes]) =>
            {
                Err(Damage::new(key, "checksum of the whole object mismatches"))
            }
            (None, Some(_)) => Ok(self.bytes),
        };
        (self.seq, result)
    }
}

/// First and last possible key of the objects `first..=last`.
fn bounds(kind: Kind, first: u64, last: u64) -> (Vec<u8>, Vec<u8>) {
    let to = Key {
        kind,
        seq: last,
        part: u16::MAX,
    };
    (Key::head(kind, first).encode(), to.encode())
}

fn engine(doing: &'static str, error: sled::Error) -> StoreError {
    StoreError::engine(doing, std::path::Path::new("database"), error)
}

/// Largest payload of a chunk, in bytes (ruling 20).
pub(crate) const CHUNK_BYTES_MAX: usize = 1_024;

/// Largest object, in bytes: an upper bound for one log record, snapshot or CIB.
pub const OBJECT_BYTES_MAX: usize = 32 * 1024 * 1024;

const OBJECT_HEAD_BYTES: usize = 10;

const _: () = assert!(OBJECT_BYTES_MAX / CHUNK_BYTES_MAX < u16::MAX as usize);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn memory() -> sled::Db {
        let config = sled::Config::new().temporary(true).flush_every_ms(None);
        config.open().expect("temporary database")
    }

    fn write(db: &sled::Db, stage: impl FnOnce(&mut Stage<'_>)) {
        let mut writes = Stage::new(db);
        stage(&mut writes);
        db.apply_batch(writes.into_batch()).expect("apply");
    }

    #[test]
    fn a_shorter_object_leaves_no_chunk_of_the_longer_one() {
        let db = memory();
        write(&db, |s| s.put(Kind::Log, 5, &[1; 5_000]).expect("put"));
        assert_eq!(db.len(), 6);
        write(&db, |s| s.put(Kind::Log, 5, &[2; 1_500]).expect("put"));
        assert_eq!(db.len(), 3);
        let object = read(&db, Kind::Log, 5).expect("read");
        assert_eq!(object, Some(vec![2; 1_500]));
    }

    #[test]
    fn later_writes_of_a_stage_win() {
        let db = memory();
        write(&db, |s| {
            s.put(Kind::Log, 1, &[1; 3_000]).expect("put");
            s.put(Kind::Log, 2, b"two").expect("put");
            s.delete_range(Kind::Log, 1, u64::MAX).expect("delete");
            s.put(Kind::Log, 1, b"one").expect("put");
        });
        assert_eq!(list(&db, Kind::Log).expect("list"), vec![1]);
        assert_eq!(db.len(), 1);
    }

    #[test]
    fn a_missing_chunk_is_named() {
        let db = memory();
        write(&db, |s| s.put(Kind::Snapshot, 9, &[3; 4_000]).expect("put"));
        let gone = Key {
            part: 2,
            ..Key::head(Kind::Snapshot, 9)
        };
        db.remove(gone.encode()).expect("remove");
        let error = read(&db, Kind::Snapshot, 9).expect_err("damaged");
        assert_eq!(
            error.to_string(),
            "snapshot 9 chunk 3 is damaged: a chunk before it is missing"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn objects_come_back(sizes in proptest::collection::vec(0_usize..4_000, 1..6)) {
            let db = memory();
            let objects: Vec<(u64, Vec<u8>)> = (1..)
                .zip(sizes.iter().map(|size| vec![*size as u8; *size]))
                .collect();
            write(&db, |s| {
                for (seq, bytes) in &objects {
                    s.put(Kind::Log, *seq, bytes).expect("put");
                }
            });
            let found = read_range(&db, Kind::Log, 0, u64::MAX).expect("read");
            let found: Vec<_> = found
                .into_iter()
                .map(|(seq, bytes)| (seq, bytes.expect("sound")))
                .collect();
            prop_assert_eq!(found, objects);
        }
    }
}
