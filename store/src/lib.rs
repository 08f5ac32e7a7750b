//! What must survive: the replicated log and its snapshot, the safety record, and the history of
//! the CIB, behind a real durability barrier.
//!
//! The engine is sled 0.34.7, whose own `flush()` is not durable on Linux; this crate adds what is
//! missing: a barrier, checksummed envelopes, safety slots and a CIB mirror outside the engine, and
//! a ladder of recoveries that never starts empty in silence. `DESIGN.md` draws every byte.
//!
//! **Invariant:** nothing here knows what a log record or a safety record means. Bytes and numbers
//! go in, bytes and numbers come out.
//!
//! One thread owns a [`Store`] and blocks in it: a commit takes milliseconds, on a busy disk tens.

mod ahead;
mod barrier;
mod chunks;
mod crc32c;
mod engine;
mod envelope;
mod error;
mod export;
mod history;
mod journal;
mod lock;
mod log;
mod meta;
mod mirror;
mod recover;
mod slots;
mod space;
mod verify;
mod watch;

use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub use chunks::OBJECT_BYTES_MAX;
pub use error::{OpenError, RESET_COMMAND, StoreError};
pub use export::{ExportSummary, export, import};
pub use history::{CibVersion, VERSIONS_MAX, VersionInfo};
pub use mirror::{MIRROR_FILE, Mirror};
pub use recover::{Health, Recovered, in_use, reset};
pub use slots::{Kept, SMALL_BYTES_MAX, SmallStore};
pub use space::{SIZE_ALARM_BYTES, Usage};
pub use verify::{Problem, VerifyReport, verify};
pub use watch::Trouble;

use ahead::Ahead;
use barrier::Barrier;
use chunks::Stage;
use envelope::Kind;
use journal::{Journal, Writes};
use lock::Lock;
use log::Position;
use meta::{Slot, Slots};
use watch::Watch;

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Start empty although the store was in use before and holds nothing now. The result is still
    /// [`Health::Lost`]: a node that may have forgotten a promise does not vote.
    pub allow_empty: bool,
    /// Only to prove that the crash tests notice a missing barrier.
    #[doc(hidden)]
    pub skip_barrier: bool,
}

/// An open store and what it held.
#[derive(Debug)]
pub struct Opened {
    /// The one writer.
    pub store: Store,
    /// What came back from the disk.
    pub state: Recovered,
}

/// Changes that reach the disk together, in order, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The changes.
    pub ops: Vec<Op>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Replace the safety record: at most [`SAFETY_BYTES_MAX`] bytes.
    Safety(Vec<u8>),
    /// Drop every log record from `seq` on; must lie after the snapshot. From 1 on: everything, the
    /// snapshot, too; then the same batch must bring another one.
    TruncateLog {
        /// First to go.
        seq: u64,
    },
    /// Write one log record: the next number, or replace an existing one.
    AppendLog {
        /// Position, from 1.
        seq: u64,
        /// Opaque, at most [`OBJECT_BYTES_MAX`] bytes.
        record: Vec<u8>,
    },
    /// Hint of what is committed; safe to lose.
    CommitHint {
        /// Position.
        seq: u64,
    },
    /// Replace the snapshot; log records through `seq` go with it. Where `seq` lies beyond the log,
    /// the next record is `seq + 1`.
    Snapshot {
        /// Last entry it contains.
        seq: u64,
        /// Opaque, at most [`OBJECT_BYTES_MAX`] bytes.
        state: Vec<u8>,
    },
    /// Keep this version of the CIB; the oldest beyond [`VERSIONS_MAX`] goes.
    CibVersion(CibVersion),
    /// This node has fetched a quorum's state: the store counts as [`Health::Sound`] from the next
    /// open on. Put it behind (or into) the batch that holds the fetched state.
    Healed,
}

/// The store: one writer, one thread at a time.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    db: sled::Db,
    barrier: Barrier,
    ahead: Ahead,
    slots: Slots,
    position: Position,
    versions: Vec<u64>,
    batches: u64,
    /// A commit hint that came alone and is not on the disk yet.
    hint: Option<u64>,
    poison: Option<String>,
    skip_barrier: bool,
    watch: Option<Watch>,
    _lock: Lock,
    /// Not `Sync`: two threads at once could meet a known deadlock of the engine (S1).
    one_thread: PhantomData<Cell<()>>,
}

impl Store {
    /// Opens the store in `dir`, creating it on a first start, and brings up what can be saved.
    ///
    /// # Errors
    /// See [`OpenError`]; damaged parts are never deleted, only moved aside.
    pub fn open(dir: &Path, options: &OpenOptions) -> Result<Opened, OpenError> {
        recover::open(dir, options)
    }

    /// Writes `batch` and returns when it is on disk: one barrier however long the batch is. Nothing
    /// but a [`Op::CommitHint`], which is safe to lose, gets there with the next batch, or by
    /// [`Store::settle`].
    ///
    /// # Errors
    /// [`StoreError::Refused`] leaves everything as it was. After any other error
    /// ([`StoreError::fatal`]) nothing is ever acknowledged again (S6).
    pub fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if let Some(cause) = &self.poison {
            let cause = cause.clone();
            return Err(StoreError::Poisoned { cause });
        }
        self.begin();
        let result = catch_unwind(AssertUnwindSafe(|| self.try_commit(batch)))
            .unwrap_or_else(|panic| Err(engine::panicked("committing", panic.as_ref())));
        let result = result.and(self.end());
        result.inspect_err(|error| {
            if error.fatal() {
                self.poison(error);
            }
        })
    }

    /// Replaces `cib.xml` and its digest outside the engine; durable on return. Not needed before
    /// an acknowledgement: call it when the disk is idle.
    ///
    /// # Errors
    /// As [`Store::commit`]: a failing disk poisons the store wherever it shows first.
    pub fn mirror(&mut self, mirror: &Mirror) -> Result<(), StoreError> {
        if let Some(cause) = &self.poison {
            let cause = cause.clone();
            return Err(StoreError::Poisoned { cause });
        }
        self.begin();
        let result = mirror::write(&self.dir, mirror).and(self.end());
        result.inspect_err(|error| self.poison(error))
    }

    /// From now on commits and mirrors that do not come back are looked into, and `tell` is called
    /// with what was found, on another thread. A commit inside a failed engine may never return:
    /// whoever waits for one must listen here.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn watch(&mut self, tell: impl Fn(Trouble) + Send + 'static) -> std::io::Result<()> {
        self.watch = Some(Watch::start(&self.dir, watch::COMMIT_PATIENCE, tell)?);
        Ok(())
    }

    /// Brings into the engine what is on the disk beside it. Nobody has to wait for this: call it
    /// when the disk is idle. A store that is closed does it by itself, and the next opening does
    /// it for one that was not.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn settle(&mut self) -> Result<(), StoreError> {
        if let Some(cause) = &self.poison {
            let cause = cause.clone();
            return Err(StoreError::Poisoned { cause });
        }
        self.begin();
        let result = catch_unwind(AssertUnwindSafe(|| self.drain()))
            .unwrap_or_else(|panic| Err(engine::panicked("settling", panic.as_ref())));
        let result = result.and(self.end());
        result.inspect_err(|error| self.poison(error))
    }

    /// There is something that the engine does not have.
    #[must_use]
    pub fn unsettled(&self) -> bool {
        self.hint.is_some() || !self.ahead.pending().is_empty()
    }

    fn begin(&self) {
        if let Some(watch) = &self.watch {
            watch.begin();
        }
    }

    fn end(&self) -> Result<(), StoreError> {
        self.watch.as_ref().map_or(Ok(()), Watch::end)
    }

    /// Kept versions of the CIB, oldest first.
    ///
    /// # Errors
    /// Reading failed or a value is damaged.
    pub fn versions(&self) -> Result<Vec<VersionInfo>, StoreError> {
        let infos = self
            .versions
            .iter()
            .map(|seq| history::info(&self.db, *seq));
        infos.filter_map(Result::transpose).collect()
    }

    /// One kept version; `None` when it is not (or no longer) kept.
    ///
    /// # Errors
    /// Reading failed or a value is damaged.
    pub fn version(&self, seq: u64) -> Result<Option<CibVersion>, StoreError> {
        history::get(&self.db, seq)
    }

    /// Last log record's number; the snapshot's where the log is empty; 0 in a new store.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.position.last
    }

    /// Why nothing is acknowledged any more, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.poison.as_deref()
    }

    /// The store's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn try_commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if let [Op::CommitHint { seq }] = batch.ops[..] {
            self.hint = Some(seq);
            return Ok(());
        }
        let plan = self.plan(batch)?;
        let beside = batch.ops.iter().all(Op::may_go_ahead) && journal::fits(&plan.writes);
        if !(beside && self.ahead.takes(&plan.writes)) {
            self.drain()?;
        }
        if let Some(safety) = plan.safety {
            self.slots.write(&Slot {
                generation: plan.generation,
                batches: self.batches,
                safety,
            })?;
        }
        if beside {
            self.ahead.write(self.batches + 1, plan.writes)?;
        } else {
            self.give_engine(plan.writes)?;
        }
        self.hint = None;
        self.batches += 1;
        self.position = plan.position;
        self.versions = plan.versions;
        self.slots.write_head(self.batches)
    }

    fn give_engine(&mut self, writes: Writes) -> Result<(), StoreError> {
        let path = self.dir.join(engine::ENGINE_DIR);
        if journal::fits(&writes) {
            return journal::apply_piece(&self.db, &self.barrier, &path, writes);
        }
        let journal = Journal {
            batches: self.batches + 1,
            writes,
        };
        journal::write(&self.dir, &journal)?;
        journal::apply(&self.db, &self.barrier, &path, journal.writes)?;
        journal::remove(&self.dir);
        Ok(())
    }

    /// The engine gets what it lacks, all of it behind one barrier, and the hint that waits.
    fn drain(&mut self) -> Result<(), StoreError> {
        if !self.unsettled() {
            return Ok(());
        }
        let mut writes = self.ahead.pending().clone();
        if let Some(seq) = self.hint {
            let mut stage = Stage::new(&self.db);
            stage.put_single(Kind::Hint, seq, &[]);
            writes.extend(stage.into_writes());
        }
        let path = self.dir.join(engine::ENGINE_DIR);
        journal::apply_piece(&self.db, &self.barrier, &path, writes)?;
        self.ahead.settled();
        self.hint = None;
        Ok(())
    }

    /// Checks the whole batch and lays out its writes; changes nothing.
    fn plan(&self, batch: &Batch) -> Result<Plan, StoreError> {
        let mut stage = Stage::over(&self.db, self.ahead.pending());
        let mut position = self.position;
        let mut versions = self.versions.clone();
        let mut safety = None;
        let generation = self.slots.generation() + 1;
        if let Some(seq) = self.hint {
            stage.put_single(Kind::Hint, seq, &[]);
        }
        for op in &batch.ops {
            match op {
                Op::Safety(bytes) => {
                    if bytes.len() > SAFETY_BYTES_MAX {
                        return Err(StoreError::refused(format!(
                            "safety record of {} bytes is larger than {SAFETY_BYTES_MAX}",
                            bytes.len()
                        )));
                    }
                    stage.put_single(Kind::Safety, generation, bytes);
                    safety = Some(bytes.clone());
                }
                Op::TruncateLog { seq } => position.truncate(&mut stage, *seq)?,
                Op::AppendLog { seq, record } => position.append(&mut stage, *seq, record)?,
                Op::CommitHint { seq } => stage.put_single(Kind::Hint, *seq, &[]),
                Op::Snapshot { seq, state } => position.snapshot(&mut stage, *seq, state)?,
                Op::CibVersion(version) => history::add(&mut stage, &mut versions, version)?,
                Op::Healed => stage.delete_single(Kind::Degraded),
            }
        }
        position.is_whole()?;
        stage.put_single(Kind::Batch, self.batches + 1, &[]);
        Ok(Plan {
            writes: stage.into_writes(),
            position,
            versions,
            safety,
            generation,
        })
    }

    fn poison(&mut self, error: &StoreError) {
        if matches!(error, StoreError::NoSpace { .. }) {
            space::release_ballast(&self.dir);
        }
        self.poison.get_or_insert_with(|| error.to_string());
    }
}

impl Op {
    /// What is small and read only at the opening need not be in the engine before then.
    fn may_go_ahead(&self) -> bool {
        match self {
            Self::Safety(_) | Self::AppendLog { .. } | Self::CommitHint { .. } => true,
            Self::TruncateLog { .. }
            | Self::Snapshot { .. }
            | Self::CibVersion(_)
            | Self::Healed => false,
        }
    }
}

impl Drop for Store {
    /// The engine syncs when it closes, and panics or hangs where the disk has failed: after a
    /// failure it is left open until the process ends.
    fn drop(&mut self) {
        if self.poison.is_none() {
            // What fails here fails the next opening, which does it again.
            let _ = self.settle();
        }
        if self.poison.is_some() {
            std::mem::forget(self.db.clone());
        }
    }
}

/// A checked batch.
struct Plan {
    writes: Writes,
    position: Position,
    versions: Vec<u64>,
    safety: Option<Vec<u8>>,
    generation: u64,
}

/// Largest safety record, in bytes: fits one value of the engine and one slot.
pub const SAFETY_BYTES_MAX: usize = 1_984;

const _: () = assert!(SAFETY_BYTES_MAX <= envelope::PAYLOAD_BYTES_MAX);
