//! Checking everything: every envelope, every object, the log's order, slots and mirror.

use std::fmt;
use std::path::Path;

use crate::chunks::read_range;
use crate::engine::{self, ENGINE_DIR};
use crate::envelope::{Damage, Key, Kind, VALUE_BYTES_MAX, open};
use crate::error::{OpenError, StoreError};
use crate::history;
use crate::lock::Lock;
use crate::log;
use crate::meta::{self, SlotState};
use crate::mirror::{self, MirrorState};
use crate::recover::finish_commits;
use crate::space::{copy_files, remove_dir};
use crate::{OpenOptions, Store, ahead};

/// What a check of everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Values read.
    pub values: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// Last entry in the snapshot.
    pub snapshot: Option<u64>,
    /// First and last log record.
    pub log: Option<(u64, u64)>,
    /// Numbers of the kept CIB versions.
    pub versions: Vec<u64>,
    /// Generation of the newest safety record.
    pub generation: u64,
    /// Log entry the mirror includes.
    pub mirror: Option<u64>,
    /// Why this store may not vote yet, where it says so.
    pub recovering: Option<String>,
    /// What is wrong; empty = sound.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which value or file.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl Store {
    /// Reads and checks everything (a scrub), after [`Store::settle`]; changes nothing else. Takes
    /// as long as reading it all: call it at a quiet time.
    ///
    /// # Errors
    /// Reading failed, or as [`Store::settle`]; damage is not an error but a problem in the report.
    pub fn verify(&mut self) -> Result<VerifyReport, StoreError> {
        self.settle()?;
        let mut report = VerifyReport::default();
        report.database(&self.db)?;
        report.files(&self.dir);
        Ok(report)
    }
}

/// Checks the store in `dir` while no daemon has it, on a copy of the database: opening the engine
/// would already repair what should be reported.
///
/// # Errors
/// The store is in use or cannot be read or copied; damage is a problem in the report.
pub fn verify(dir: &Path) -> Result<VerifyReport, OpenError> {
    let _lock = Lock::take(dir)?;
    let copy = dir.join(COPY_DIR);
    remove_dir(&copy)?;
    let result = verify_copy(dir, &copy);
    remove_dir(&copy)?;
    result
}

fn verify_copy(dir: &Path, copy: &Path) -> Result<VerifyReport, OpenError> {
    let mut report = VerifyReport::default();
    let engine_dir = dir.join(ENGINE_DIR);
    if engine_dir.join("db").exists() {
        copy_files(&engine_dir, copy)?;
        match engine::open(copy)? {
            Ok(db) => {
                let left = ahead::read(dir)?;
                finish_commits(dir, copy, &db, &left.records, &OpenOptions::default())?;
                report.database(&db)?;
            }
            Err(cause) => report.problem("database", format!("does not open: {cause}")),
        }
    } else {
        report.problem("database", "missing");
    }
    report.files(dir);
    Ok(report)
}

impl VerifyReport {
    /// Nothing is wrong.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem {
            place: place.into(),
            what: what.into(),
        });
    }

    fn damage(&mut self, damage: Damage) {
        let known = |p: &Problem| p.place == damage.place && p.what == damage.what;
        if !self.problems.iter().any(known) {
            self.problem(damage.place, damage.what);
        }
    }

    fn database(&mut self, db: &sled::Db) -> Result<(), StoreError> {
        self.values(db)?;
        self.objects(db)?;
        let contents = log::load(db)?;
        self.snapshot = contents.snapshot.as_ref().map(|(seq, _)| *seq);
        let ends = contents.log.first().zip(contents.log.last());
        self.log = ends.map(|(first, last)| (first.0, last.0));
        contents.damage.into_iter().for_each(|d| self.damage(d));
        self.versions = history::kept(db)?;
        for kind in [Kind::Format, Kind::Batch] {
            if !db.contains_key([kind as u8]).map_err(unreadable)? {
                self.damage(Damage::new(Key::single(kind), "missing"));
            }
        }
        Ok(())
    }

    /// Every value by itself.
    fn values(&mut self, db: &sled::Db) -> Result<(), StoreError> {
        for item in db.iter() {
            let (key, value) = item.map_err(unreadable)?;
            self.values += 1;
            self.bytes += value.len() as u64;
            let Some(key) = Key::decode(&key) else {
                self.problem(format!("key {}", mirror::hex(&key)), "not a key of ours");
                continue;
            };
            if value.len() > VALUE_BYTES_MAX {
                self.damage(Damage::new(key, format!("{} bytes", value.len())));
            }
            match open(key, &value) {
                Ok(opened) if key.kind == Kind::Safety => {
                    self.generation = self.generation.max(opened.seq);
                }
                Ok(opened) if key.kind == Kind::Degraded => {
                    self.recovering = Some(String::from_utf8_lossy(opened.payload).into_owned());
                }
                Ok(_) => {}
                Err(damage) => self.damage(damage),
            }
        }
        Ok(())
    }

    /// Every object as a whole, and that each version has all three of its own.
    fn objects(&mut self, db: &sled::Db) -> Result<(), StoreError> {
        let mut versions: Vec<Vec<u64>> = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.single()) {
            let found = read_range(db, kind, 0, u64::MAX)?;
            if history::KINDS.contains(&kind) {
                versions.push(found.iter().map(|(seq, _)| *seq).collect());
            }
            for (_, object) in found {
                if let Err(damage) = object {
                    self.damage(damage);
                }
            }
        }
        if versions.iter().any(|numbers| *numbers != versions[0]) {
            self.problem("cib versions", "facts, xml and diff do not belong together");
        }
        Ok(())
    }

    /// What lies outside the database.
    fn files(&mut self, dir: &Path) {
        let slots = meta::read_slots(dir);
        for (name, state) in meta::SLOT_NAMES.iter().zip(&slots) {
            match state {
                SlotState::Damaged(cause) => self.problem(*name, cause.clone()),
                SlotState::Valid(slot) if slot.generation < self.generation => self.problem(
                    *name,
                    format!(
                        "generation {} is older than {}",
                        slot.generation, self.generation
                    ),
                ),
                SlotState::Valid(_) | SlotState::Blank => {}
            }
        }
        if let Some(slot) = meta::newest(&slots) {
            self.generation = self.generation.max(slot.generation);
        }
        match mirror::read(dir) {
            MirrorState::Absent => {}
            MirrorState::Valid(mirror) => self.mirror = Some(mirror.seq),
            MirrorState::Damaged(cause) => self.problem("cib mirror", cause),
        }
    }
}

fn unreadable(error: sled::Error) -> StoreError {
    StoreError::engine("reading", Path::new(ENGINE_DIR), error)
}

const COPY_DIR: &str = "verify.tmp";
