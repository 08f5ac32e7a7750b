//! Safety slots: the few bytes that must never be forgotten, outside the engine (rule S8).
//!
//! `state/meta.0` and `state/meta.1`, 4 KiB each, written in place with O_DSYNC. Both are written
//! before the engine's transaction and so before anything is acknowledged (R6), one after the
//! other, the older one first: a torn write leaves the other intact, and either survives the loss
//! of the whole database. `state/head` says how far the database was at least.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;

use crate::barrier::{sync_dir, write_synced};
use crate::crc32c::crc32c;
use crate::envelope::{u32_at, u64_at};
use crate::error::StoreError;

/// One slot's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Grows with every safety record.
    pub(crate) generation: u64,
    /// Batches the engine had on disk when this was written: fewer later mean that it lost some.
    pub(crate) batches: u64,
    /// The safety record; opaque.
    pub(crate) safety: Vec<u8>,
}

/// What a slot file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    /// Never written: zeros.
    Blank,
    /// Sound.
    Valid(Slot),
    /// Absent, torn or rotten.
    Damaged(String),
}

/// Both slots and the head file, open for writing.
#[derive(Debug)]
pub(crate) struct Slots {
    files: [(PathBuf, File); 2],
    head: (PathBuf, File),
    generation: u64,
    older: usize,
}

impl Slots {
    /// Opens the files, creating and blanking missing or misshapen ones.
    pub(crate) fn open(dir: &Path, states: &[SlotState; 2]) -> Result<Self, StoreError> {
        let dir = dir.join(STATE_DIR);
        fs::create_dir_all(&dir).map_err(|e| StoreError::io("creating", &dir, e))?;
        let slot = |index: usize| open_slot(&dir, SLOT_NAMES[index], libc::O_DSYNC);
        let files = [slot(0)?, slot(1)?];
        let head = open_slot(&dir, HEAD_NAME, 0)?;
        sync_dir(&dir)?;
        let generations = states.each_ref().map(|state| match state {
            SlotState::Valid(slot) => slot.generation,
            _ => 0,
        });
        Ok(Self {
            files,
            head,
            generation: generations[0].max(generations[1]),
            older: usize::from(generations[1] < generations[0]),
        })
    }

    /// Newest generation in the slots.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Writes both slots, older first, each through to the disk.
    pub(crate) fn write(&mut self, slot: &Slot) -> Result<(), StoreError> {
        let bytes = encode(slot);
        for index in [self.older, 1 - self.older] {
            let (path, file) = &self.files[index];
            file.write_all_at(&bytes, 0)
                .map_err(|e| StoreError::io("writing", path, e))?;
        }
        self.generation = slot.generation;
        Ok(())
    }

    /// Notes how many batches are on disk. Not synced: it may lag, it can never run ahead, and a
    /// database that later has fewer has lost some.
    pub(crate) fn write_head(&self, batches: u64) -> Result<(), StoreError> {
        let bytes = encode(&Slot {
            batches,
            ..Slot::default()
        });
        let (path, file) = &self.head;
        file.write_all_at(&bytes[..HEADER_BYTES], 0)
            .map_err(|e| StoreError::io("writing", path, e))
    }
}

/// Reads both slots as they are, without changing anything.
pub(crate) fn read_slots(dir: &Path) -> [SlotState; 2] {
    SLOT_NAMES.map(|name| read_slot(&dir.join(STATE_DIR).join(name)))
}

/// Batches the head file promises; 0 where it is absent or torn.
pub(crate) fn read_head(dir: &Path) -> u64 {
    match read_slot(&dir.join(STATE_DIR).join(HEAD_NAME)) {
        SlotState::Valid(slot) => slot.batches,
        SlotState::Blank | SlotState::Damaged(_) => 0,
    }
}

/// Newest valid slot.
pub(crate) fn newest(states: &[SlotState; 2]) -> Option<&Slot> {
    let valid = states.iter().filter_map(|state| match state {
        SlotState::Valid(slot) => Some(slot),
        SlotState::Blank | SlotState::Damaged(_) => None,
    });
    valid.max_by_key(|slot| slot.generation)
}

fn open_slot(dir: &Path, name: &str, flags: i32) -> Result<(PathBuf, File), StoreError> {
    let path = dir.join(name);
    let shaped = fs::metadata(&path).is_ok_and(|meta| meta.len() == SLOT_BYTES as u64);
    if !shaped {
        write_synced(&path, &[0; SLOT_BYTES]).map_err(|e| StoreError::io("creating", &path, e))?;
    }
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(&path)
        .map_err(|e| StoreError::io("opening", &path, e))?;
    Ok((path, file))
}

fn read_slot(path: &Path) -> SlotState {
    match fs::read(path) {
        Ok(bytes) => decode(&bytes),
        Err(error) => SlotState::Damaged(error.to_string()),
    }
}

fn encode(slot: &Slot) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&slot.generation.to_le_bytes());
    bytes.extend_from_slice(&slot.batches.to_le_bytes());
    bytes.extend_from_slice(&(slot.safety.len() as u32).to_le_bytes());
    let crc = crc32c(&[&bytes, &slot.safety]);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&slot.safety);
    bytes.resize(SLOT_BYTES, 0);
    bytes
}

fn decode(bytes: &[u8]) -> SlotState {
    if bytes.len() != SLOT_BYTES {
        return SlotState::Damaged(format!("{} bytes instead of {SLOT_BYTES}", bytes.len()));
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return SlotState::Blank;
    }
    let (header, rest) = bytes.split_at(HEADER_BYTES);
    let (signed, crc) = header.split_at(HEADER_BYTES - 4);
    if signed[..8] != MAGIC {
        return SlotState::Damaged("wrong magic".to_owned());
    }
    let len = u32_at(signed, 24) as usize;
    let Some(safety) = rest.get(..len) else {
        return SlotState::Damaged("impossible length".to_owned());
    };
    if crc32c(&[signed, safety]) != u32_at(crc, 0) {
        return SlotState::Damaged("checksum mismatch".to_owned());
    }
    SlotState::Valid(Slot {
        generation: u64_at(signed, 8),
        batches: u64_at(signed, 16),
        safety: safety.to_vec(),
    })
}

/// Directory of the slots, below the store's.
pub(crate) const STATE_DIR: &str = "state";

/// Names of the slots.
pub(crate) const SLOT_NAMES: [&str; 2] = ["meta.0", "meta.1"];

/// Name of the head file.
pub(crate) const HEAD_NAME: &str = "head";

const MAGIC: [u8; 8] = *b"MSmeta01";

const HEADER_BYTES: usize = 32;

/// Size of a slot file: one page, one or more whole disk sectors.
const SLOT_BYTES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(generation: u64) -> Slot {
        Slot {
            generation,
            batches: generation * 2,
            safety: vec![generation as u8; 700],
        }
    }

    #[test]
    fn newest_valid_slot_wins_and_damage_is_told() {
        let dir = tempfile::tempdir().expect("directory");
        let states = read_slots(dir.path());
        assert!(matches!(states[0], SlotState::Damaged(_)), "absent");
        let mut slots = Slots::open(dir.path(), &states).expect("open");
        assert_eq!(read_slots(dir.path()), [SlotState::Blank, SlotState::Blank]);
        slots.write(&slot(1)).expect("write");
        slots.write(&slot(2)).expect("write");
        assert_eq!(newest(&read_slots(dir.path())), Some(&slot(2)));
        for name in SLOT_NAMES {
            let path = dir.path().join(STATE_DIR).join(name);
            let good = fs::read(&path).expect("read");
            for at in [0, 9, 17, 25, 29, 40, 700] {
                let mut bad = good.clone();
                bad[at] ^= 1;
                fs::write(&path, &bad).expect("write");
                let states = read_slots(dir.path());
                assert!(states.iter().any(|s| matches!(s, SlotState::Damaged(_))));
                assert_eq!(newest(&states), Some(&slot(2)), "byte {at} of {name}");
            }
            fs::write(&path, &good).expect("write");
        }
    }

    #[test]
    fn a_torn_write_leaves_the_other_slot() {
        let dir = tempfile::tempdir().expect("directory");
        let mut slots = Slots::open(dir.path(), &read_slots(dir.path())).expect("open");
        slots.write(&slot(1)).expect("write");
        let path = dir.path().join(STATE_DIR).join(SLOT_NAMES[0]);
        let old = fs::read(&path).expect("read");
        let torn = [&encode(&slot(2))[..512], &old[512..]].concat();
        fs::write(&path, torn).expect("write");
        assert_eq!(newest(&read_slots(dir.path())), Some(&slot(1)));
    }
}
