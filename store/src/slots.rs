//! A store of one small record: the two slots of `meta.rs` and nothing else.

use std::fs;
use std::path::Path;

use crate::error::{OpenError, StoreError};
use crate::lock::Lock;
use crate::meta::{self, Slot, SlotState, Slots};

/// One record, at most [`SMALL_BYTES_MAX`] bytes, in two slots that are both written through to the
/// disk before a write is done: a torn or rotten slot leaves the other one.
#[derive(Debug)]
pub struct SmallStore {
    slots: Slots,
    _lock: Lock,
}

/// What a [`SmallStore`] held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing was ever written.
    Nothing,
    /// The record; `Some` where one of the slots was damaged, in words.
    Record(Vec<u8>, Option<String>),
    /// There was a record, and both slots are damaged: in words.
    Lost(String),
}

impl SmallStore {
    /// Opens the store below `dir`, which is made where it is missing, for this process alone.
    ///
    /// # Errors
    /// Another process has it open, or the disk fails.
    pub fn open(dir: &Path) -> Result<(Self, Kept), OpenError> {
        fs::create_dir_all(dir).map_err(|e| StoreError::io("creating", dir, e))?;
        let lock = Lock::take(dir)?;
        let fresh = !dir.join(meta::STATE_DIR).exists();
        let states = meta::read_slots(dir);
        let slots = Slots::open(dir, &states)?;
        let store = Self { slots, _lock: lock };
        Ok((store, kept(&states, fresh)))
    }

    /// Replaces the record; done means that it is on the disk, twice.
    ///
    /// # Errors
    /// The disk failed: nothing may rely on the record any more.
    pub fn write(&mut self, record: &[u8]) -> Result<(), StoreError> {
        assert!(
            record.len() <= SMALL_BYTES_MAX,
            "a record is bounded by its type"
        );
        self.slots.write(&Slot {
            generation: self.slots.generation() + 1,
            batches: 0,
            safety: record.to_vec(),
        })
    }
}

fn kept(states: &[SlotState; 2], fresh: bool) -> Kept {
    let damage = states.iter().find_map(|state| match state {
        SlotState::Damaged(why) => Some(why.clone()),
        SlotState::Blank | SlotState::Valid(_) => None,
    });
    match (meta::newest(states), damage) {
        (Some(slot), damage) => Kept::Record(slot.safety.clone(), damage),
        (None, Some(why)) if !fresh => Kept::Lost(why),
        (None, _) => Kept::Nothing,
    }
}

/// Largest record, in bytes: a slot is one page.
pub const SMALL_BYTES_MAX: usize = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> (SmallStore, Kept) {
        SmallStore::open(dir).expect("opens")
    }

    #[test]
    fn the_last_record_comes_back_and_one_bad_slot_is_survived() {
        let dir = tempfile::tempdir().expect("directory");
        let dir = dir.path().join("witness");
        let (mut store, kept) = open(&dir);
        assert_eq!(kept, Kept::Nothing);
        store.write(b"one").expect("writes");
        store.write(b"two").expect("writes");
        drop(store);
        assert_eq!(open(&dir).1, Kept::Record(b"two".to_vec(), None));
        let slot = |n: usize| dir.join(meta::STATE_DIR).join(meta::SLOT_NAMES[n]);
        fs::write(slot(0), vec![7; 4_096]).expect("spoils");
        assert!(matches!(open(&dir).1, Kept::Record(r, Some(_)) if r == b"two"));
        // The next write mends it.
        let (mut store, _) = open(&dir);
        store.write(b"three").expect("writes");
        drop(store);
        assert_eq!(open(&dir).1, Kept::Record(b"three".to_vec(), None));
        for n in [0, 1] {
            fs::write(slot(n), vec![7; 4_096]).expect("spoils");
        }
        assert!(matches!(open(&dir).1, Kept::Lost(_)));
    }

    #[test]
    fn a_second_process_is_refused() {
        let dir = tempfile::tempdir().expect("directory");
        let (_store, _) = open(dir.path());
        assert!(matches!(
            SmallStore::open(dir.path()),
            Err(OpenError::Locked { .. })
        ));
    }
}
