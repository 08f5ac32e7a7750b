//! The replicated log and its snapshot as this node holds them: positions and the rules of order.

use crate::chunks::{Stage, list, read_range};
use crate::envelope::{Damage, Key, Kind};
use crate::error::StoreError;

/// Where log and snapshot end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Last entry in the snapshot; 0 without one.
    pub(crate) snapshot: u64,
    /// Last record; never below `snapshot`.
    pub(crate) last: u64,
    /// The snapshot went with everything else, and its successor has not come yet.
    pub(crate) bare: bool,
}

impl Position {
    /// Drops every record from `seq` on; from 1 on, the snapshot with them, if the same batch brings
    /// another: a peer's, or the empty one where nothing of this log is in the cluster's.
    pub(crate) fn truncate(&mut self, stage: &mut Stage<'_>, seq: u64) -> Result<(), StoreError> {
        if seq == 1 && self.snapshot > 0 {
            stage.delete_range(Kind::Snapshot, 0, u64::MAX)?;
            stage.delete_range(Kind::Log, 0, u64::MAX)?;
            *self = Self {
                bare: true,
                ..Self::default()
            };
            return Ok(());
        }
        if seq <= self.snapshot {
            return Err(StoreError::refused(format!(
                "truncation at log {seq} would cut into the snapshot through {}",
                self.snapshot
            )));
        }
        stage.delete_range(Kind::Log, seq, u64::MAX)?;
        self.last = self.last.min(seq - 1);
        Ok(())
    }

    /// Writes the record at `seq`: the next one, or one that replaces an existing one.
    pub(crate) fn append(
        &mut self,
        stage: &mut Stage<'_>,
        seq: u64,
        record: &[u8],
    ) -> Result<(), StoreError> {
        if seq <= self.snapshot || seq > self.last + 1 {
            return Err(StoreError::refused(format!(
                "log {seq} does not follow: snapshot through {}, log through {}",
                self.snapshot, self.last
            )));
        }
        stage.put(Kind::Log, seq, record)?;
        self.last = self.last.max(seq);
        Ok(())
    }

    /// Replaces the snapshot; records it covers go in the same transaction.
    pub(crate) fn snapshot(
        &mut self,
        stage: &mut Stage<'_>,
        seq: u64,
        state: &[u8],
    ) -> Result<(), StoreError> {
        if seq < self.snapshot {
            return Err(StoreError::refused(format!(
                "snapshot through {seq} is older than the present one through {}",
                self.snapshot
            )));
        }
        stage.delete_range(Kind::Snapshot, 0, u64::MAX)?;
        stage.put(Kind::Snapshot, seq, state)?;
        stage.delete_range(Kind::Log, 0, seq)?;
        self.snapshot = seq;
        self.last = self.last.max(seq);
        self.bare = false;
        Ok(())
    }

    /// What a whole batch must leave behind.
    pub(crate) fn is_whole(&self) -> Result<(), StoreError> {
        match self.bare {
            true => Err(StoreError::refused(
                "everything was dropped, and no snapshot came in its place".to_owned(),
            )),
            false => Ok(()),
        }
    }
}

/// What the engine holds of snapshot and log.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) snapshot: Option<(u64, Vec<u8>)>,
    /// Contiguous after the snapshot.
    pub(crate) log: Vec<(u64, Vec<u8>)>,
    /// First fault found: what follows it is not in `log`.
    pub(crate) damage: Option<Damage>,
    /// Something lies outside `position` and must be cleared before the next append.
    pub(crate) leftovers: bool,
}

impl Contents {
    pub(crate) fn position(&self) -> Position {
        let snapshot = self.snapshot.as_ref().map_or(0, |(seq, _)| *seq);
        Position {
            snapshot,
            last: self.log.last().map_or(snapshot, |(seq, _)| *seq),
            bare: false,
        }
    }
}

/// Reads snapshot and log up to the first fault.
pub(crate) fn load(db: &sled::Db) -> Result<Contents, StoreError> {
    let mut contents = Contents::default();
    for (seq, state) in read_range(db, Kind::Snapshot, 0, u64::MAX)? {
        match state {
            Ok(state) if contents.snapshot.is_none() => contents.snapshot = Some((seq, state)),
            Ok(_) => contents.note(Damage::new(Key::head(Kind::Snapshot, seq), "a second one")),
            Err(damage) => contents.note(damage),
        }
    }
    let mut expected = contents.position().snapshot + 1;
    for (seq, record) in read_range(db, Kind::Log, 0, u64::MAX)? {
        if contents.leftovers {
            break;
        }
        match record {
            Ok(record) if seq == expected => {
                contents.log.push((seq, record));
                expected += 1;
            }
            Ok(_) => contents.note(Damage::new(
                Key::head(Kind::Log, seq),
                format!("found where log {expected} should be"),
            )),
            Err(damage) => contents.note(damage),
        }
    }
    Ok(contents)
}

impl Contents {
    fn note(&mut self, damage: Damage) {
        self.damage.get_or_insert(damage);
        self.leftovers = true;
    }
}

/// Deletes everything outside `position`, so that new records never join old ones behind a hole.
pub(crate) fn clear_outside(
    db: &sled::Db,
    stage: &mut Stage<'_>,
    position: Position,
) -> Result<(), StoreError> {
    for seq in list(db, Kind::Snapshot)? {
        if seq != position.snapshot {
            stage.delete_range(Kind::Snapshot, seq, seq)?;
        }
    }
    if position.snapshot == 0 {
        stage.delete_range(Kind::Snapshot, 0, u64::MAX)?;
    }
    stage.delete_range(Kind::Log, 0, position.snapshot)?;
    if position.last < u64::MAX {
        stage.delete_range(Kind::Log, position.last + 1, u64::MAX)?;
    }
    Ok(())
}
