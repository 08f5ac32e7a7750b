//! Reading what a database holds, and what it is worth.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::{Before, Fallen, Health, Rung, new_database};
use crate::barrier::Barrier;
use crate::chunks::read_single;
use crate::engine::{self, ENGINE_DIR};
use crate::envelope::Kind;
use crate::error::{OpenError, StoreError};
use crate::journal::{self, Journal};
use crate::log::{self, Contents};
use crate::meta;
use crate::mirror::MirrorState;
use crate::{OpenOptions, ahead, history};

/// What the database holds and what it is worth.
pub(super) struct Found {
    /// `(generation, bytes)`, the newest of slots and database.
    pub(super) safety: Option<(u64, Vec<u8>)>,
    /// The database's own copy is older.
    pub(super) safety_behind: bool,
    pub(super) contents: Contents,
    pub(super) commit_hint: u64,
    pub(super) versions: Vec<u64>,
    pub(super) batches: u64,
    pub(super) health: Health,
    pub(super) notices: Vec<String>,
}

/// Commits that were on the disk beside the database get there, in their order: small ones, and a
/// large one of which a part may be there already. What the database is too old for is not looked
/// at: what lies between is lost, and that is told. `records` are the small ones, as [`ahead::read`]
/// found them in `dir`.
pub(crate) fn finish_commits(
    dir: &Path,
    engine_dir: &Path,
    db: &sled::Db,
    records: &[Journal],
    options: &OpenOptions,
) -> Result<(), StoreError> {
    let barrier = Barrier::open(engine_dir, options.skip_barrier)?;
    ahead::finish(records, db, |piece| {
        journal::apply_piece(db, &barrier, engine_dir, piece)
    })?;
    let Some(journal) = journal::read(dir)? else {
        return Ok(());
    };
    let batches = match read_single(db, Kind::Batch) {
        Ok(found) => found.map_or(0, |(number, _)| number),
        // Told when everything is read.
        Err(StoreError::Damaged { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    if batches + 1 != journal.batches {
        return Ok(());
    }
    journal::apply(db, &barrier, engine_dir, journal.writes)
}

/// A database whose pages do not fit together opens, and the engine panics when it is read: it is
/// as lost as one that does not open.
pub(super) fn examine_or_replace(
    dir: &Path,
    options: &OpenOptions,
    before: &Before,
    rung: Rung,
) -> Result<(Rung, Found), OpenError> {
    let reading = || {
        if matches!(rung.fallen, None | Some(Fallen::WithoutSnapshots(_))) {
            let engine_dir = dir.join(ENGINE_DIR);
            finish_commits(dir, &engine_dir, &rung.db, &before.ahead.records, options)?;
        }
        examine(&rung, before)
    };
    match catch_unwind(AssertUnwindSafe(reading)) {
        Ok(found) => Ok((rung, found?)),
        Err(panic) => {
            let cause = engine::panicked("reading", panic.as_ref()).to_string();
            // Its closing would panic as well, or wait for ever.
            std::mem::forget(rung.db);
            let rung = new_database(dir, options, before, cause)?;
            let found = examine(&rung, before)?;
            Ok((rung, found))
        }
    }
}

fn examine(rung: &Rung, before: &Before) -> Result<Found, OpenError> {
    let mut damages = Vec::new();
    let mut notices = Vec::new();
    let mut single = |kind: Kind| match read_single(&rung.db, kind) {
        Ok(value) => Ok(value),
        Err(StoreError::Damaged { place, what }) => {
            damages.push(format!("{place}: {what}"));
            Ok(None)
        }
        Err(error) => Err(error),
    };
    let own_safety = single(Kind::Safety)?;
    let batches = single(Kind::Batch)?.map_or(0, |(number, _)| number);
    let marked = single(Kind::Degraded)?;
    let commit_hint = match read_single(&rung.db, Kind::Hint) {
        Ok(hint) => hint.map_or(0, |(seq, _)| seq),
        Err(error) => {
            notices.push(format!("{error}; it is only a hint"));
            0
        }
    };
    let contents = log::load(&rung.db)?;
    damages.extend(contents.damage.iter().map(ToString::to_string));
    if batches < before.batches_min() {
        damages.push(format!(
            "the database has {batches} batches, {} were on disk",
            before.batches_min()
        ));
    }
    if own_safety.is_some() && meta::newest(&before.slots).is_none() {
        // Both were on disk before the database's own copy: without them nothing vouches for it.
        damages.push("both safety slots are gone".to_owned());
    }
    let from_slot = meta::newest(&before.slots).map(|s| (s.generation, s.safety.clone()));
    let own_generation = own_safety.as_ref().map_or(0, |(generation, _)| *generation);
    let safety = match (own_safety, from_slot) {
        (Some(own), Some(slot)) => Some(if slot.0 > own.0 { slot } else { own }),
        (own, slot) => own.or(slot),
    };
    Ok(Found {
        safety_behind: safety.as_ref().is_some_and(|s| s.0 > own_generation),
        safety,
        contents,
        commit_hint,
        versions: history::kept(&rung.db)?,
        batches: batches.max(before.batches_min()),
        health: judge(rung, before, damages, marked),
        notices,
    })
}

fn judge(
    rung: &Rung,
    before: &Before,
    mut damages: Vec<String>,
    marked: Option<(u64, Vec<u8>)>,
) -> Health {
    match &rung.fallen {
        Some(Fallen::NewDatabase { cause, quarantine }) => {
            let (cause, quarantine) = (cause.clone(), quarantine.clone());
            return match &before.mirror {
                MirrorState::Valid(_) => Health::FromMirror { cause, quarantine },
                _ => Health::Lost { cause, quarantine },
            };
        }
        Some(Fallen::Damaged(cause)) => damages.push(cause.clone()),
        Some(Fallen::WithoutSnapshots(_)) | None => {}
    }
    if !damages.is_empty() {
        return Health::Damaged {
            cause: damages.join("; "),
        };
    }
    if let Some((_, cause)) = marked {
        return Health::StillRecovering {
            cause: String::from_utf8_lossy(&cause).into_owned(),
        };
    }
    match &rung.fallen {
        Some(Fallen::WithoutSnapshots(cause)) => Health::SnapshotsDropped {
            cause: cause.clone(),
        },
        _ => Health::Sound,
    }
}
