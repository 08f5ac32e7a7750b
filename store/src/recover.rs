//! The way up at start: what is there, what can be trusted, and how much of a vote that leaves.
//!
//! The ladder (S10): the database as it is; without the engine's snapshots; a new database beside
//! the old one in quarantine, with the safety record from the slots and the CIB from its mirror.
//! Whatever is below the first rung says so in [`Health`] at this and every later open until
//! [`crate::Op::Healed`]. A store that was in use and holds nothing at all is refused.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::ahead::{self, Ahead};
use crate::barrier::{Barrier, replace_file, sync_dir};
use crate::chunks::{Stage, read_single};
use crate::engine::{self, ENGINE_DIR};
use crate::envelope::Kind;
use crate::error::{FORMAT_BEFORE, FORMAT_NAME, OpenError, StoreError};
use crate::lock::Lock;
use crate::log;
use crate::meta::{self, SlotState, Slots};
use crate::mirror::{self, Mirror, MirrorState, hex};
use crate::{OpenOptions, Opened, Store, journal, space, watch};

mod examine;

pub(crate) use examine::finish_commits;
use examine::{Found, examine_or_replace};

/// What came back from the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Newest safety record; `None` on a first start.
    pub safety: Option<Vec<u8>>,
    /// Newest snapshot: `(seq, state)`.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// Records after the snapshot, contiguous.
    pub log: Vec<(u64, Vec<u8>)>,
    /// Commit hint; 0 without one. May lie beyond the log of a damaged store.
    pub commit_hint: u64,
    /// How much of it can be trusted.
    pub health: Health,
    /// The CIB from its mirror, where the store is degraded and the mirror is sound.
    pub mirror: Option<Mirror>,
    /// What a person should know although nothing was lost.
    pub notices: Vec<String>,
}

/// How much can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Everything acknowledged is there, the log is contiguous.
    Sound,
    /// The engine opened only without its snapshots; log rebuilt and contiguous.
    SnapshotsDropped {
        /// What it said before.
        cause: String,
    },
    /// The database opened but lacks something that was acknowledged.
    Damaged {
        /// What.
        cause: String,
    },
    /// An earlier open was degraded and no quorum's state has been fetched since.
    StillRecovering {
        /// What happened then.
        cause: String,
    },
    /// The database is lost; the CIB comes from the mirror.
    FromMirror {
        /// Why the database could not be used.
        cause: String,
        /// Where it lies now.
        quarantine: Option<PathBuf>,
    },
    /// The database is lost, and there is no mirror either.
    Lost {
        /// Why the database could not be used.
        cause: String,
        /// Where it lies now.
        quarantine: Option<PathBuf>,
    },
}

impl Health {
    /// The node must fetch a quorum's state before it votes (R6).
    #[must_use]
    pub fn degraded(&self) -> bool {
        *self != Self::Sound
    }

    /// What happened, for a person; `None` when sound.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Sound => None,
            Self::SnapshotsDropped { cause }
            | Self::Damaged { cause }
            | Self::StillRecovering { cause }
            | Self::FromMirror { cause, .. }
            | Self::Lost { cause, .. } => Some(cause),
        }
    }
}

/// Moves everything of a store aside, so that the next start is a first start. Returns where the
/// old state lies. This is `mainstay store reset --yes-lose-state`.
///
/// # Errors
/// The store is in use, or the file system refuses.
pub fn reset(dir: &Path) -> Result<PathBuf, OpenError> {
    let _lock = Lock::take(dir)?;
    let aside = quarantine_name(dir)?;
    fs::create_dir(&aside).map_err(|e| StoreError::io("creating", &aside, e))?;
    // The marker goes last: a crash in between leaves a store that refuses, not an empty one.
    for name in [
        ENGINE_DIR,
        meta::STATE_DIR,
        mirror::MIRROR_FILE,
        mirror::SIG_FILE,
        journal::JOURNAL_FILE,
        ahead::AHEAD_FILE,
        FORMAT_FILE,
    ] {
        move_into(&dir.join(name), &aside)?;
    }
    sync_dir(&aside)?;
    sync_dir(dir)?;
    Ok(aside)
}

/// Whether a store was ever in use in `dir`; opening would create one where this is false.
///
/// # Errors
/// The marker cannot be read.
pub fn in_use(dir: &Path) -> Result<bool, OpenError> {
    let before = Before::look(dir)?;
    Ok(before.evidence().is_some())
}

pub(crate) fn open(dir: &Path, options: &OpenOptions) -> Result<Opened, OpenError> {
    create_dirs(dir)?;
    let lock = Lock::take(dir)?;
    let before = Before::look(dir)?;
    space::finish_compact(dir)?;
    let notices = before.notices();
    let rung = match climb(dir, options, &before) {
        // The engine writes while it opens: this is what the reserve is for.
        Err(OpenError::Store(StoreError::NoSpace { .. })) if space::release_ballast(dir) => {
            climb(dir, options, &before)?
        }
        result => result?,
    };
    // Closed after a failure, the engine syncs, and panics where that fails.
    let db = rung.db.clone();
    let opened = finish(dir, options, lock, before, rung, notices);
    opened.inspect_err(|_| std::mem::forget(db))
}

/// Reads what the database holds and makes it durable.
fn finish(
    dir: &Path,
    options: &OpenOptions,
    lock: Lock,
    before: Before,
    rung: Rung,
    mut notices: Vec<String>,
) -> Result<Opened, OpenError> {
    if let Err(error) = space::reserve_ballast(dir) {
        notices.push(format!("no reserve for a full disk: {error}"));
    }
    let (rung, found) = examine_or_replace(dir, options, &before, rung)?;
    journal::remove(dir);
    let slots = Slots::open(dir, &before.slots)?;
    let ahead = Ahead::open(dir, options.skip_barrier)?;
    let barrier = Barrier::open(&dir.join(ENGINE_DIR), options.skip_barrier)?;
    let mut store = Store {
        dir: dir.to_owned(),
        position: found.contents.position(),
        versions: found.versions.clone(),
        batches: found.batches,
        hint: None,
        db: rung.db,
        barrier,
        ahead,
        slots,
        poison: None,
        skip_barrier: options.skip_barrier,
        watch: None,
        _lock: lock,
        one_thread: std::marker::PhantomData,
    };
    let options = options.clone();
    let settling = move || match settle(&mut store, &found, &before, &options) {
        Ok(()) => Ok((store, before, found)),
        Err(error) => {
            store.poison.get_or_insert_with(|| error.to_string());
            Err(error)
        }
    };
    let (store, before, mut found) = watch::over(dir, settling)??;
    let mirror = match (&found.health, before.mirror) {
        (Health::Sound, _) => None,
        (_, MirrorState::Valid(mirror)) => Some(mirror),
        _ => None,
    };
    notices.append(&mut found.notices);
    let state = Recovered {
        safety: found.safety.map(|(_, bytes)| bytes),
        snapshot: found.contents.snapshot,
        log: found.contents.log,
        commit_hint: found.commit_hint,
        health: found.health,
        mirror,
        notices,
    };
    Ok(Opened { store, state })
}

/// What lay outside the database when we came.
struct Before {
    /// Marker: store uuid.
    uuid: Option<String>,
    /// The marker is of the format before this one.
    old_format: bool,
    slots: [SlotState; 2],
    head_batches: u64,
    /// The commits beside the database.
    ahead: ahead::Left,
    mirror: MirrorState,
}

impl Before {
    fn look(dir: &Path) -> Result<Self, OpenError> {
        let marker = read_format(dir)?;
        Ok(Self {
            old_format: marker.as_ref().is_some_and(|(old, _)| *old),
            uuid: marker.map(|(_, uuid)| uuid),
            slots: meta::read_slots(dir),
            head_batches: meta::read_head(dir),
            ahead: ahead::read(dir)?,
            mirror: mirror::read(dir),
        })
    }

    /// What says that this store was in use; `None` = first start.
    fn evidence(&self) -> Option<String> {
        if self.uuid.is_some() {
            return Some(format!("marker file {FORMAT_FILE}"));
        }
        if meta::newest(&self.slots).is_some() {
            return Some("safety slots".to_owned());
        }
        (self.mirror != MirrorState::Absent).then(|| format!("mirror {}", mirror::MIRROR_FILE))
    }

    /// Batches the database must have at least.
    fn batches_min(&self) -> u64 {
        let slot = meta::newest(&self.slots).map_or(0, |slot| slot.batches);
        slot.max(self.head_batches).max(self.ahead.batches_min)
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.uuid.is_some() {
            for (name, state) in meta::SLOT_NAMES.iter().zip(&self.slots) {
                if let SlotState::Damaged(cause) = state {
                    notices.push(format!("safety slot {name} was damaged ({cause})"));
                }
            }
        }
        if let MirrorState::Damaged(cause) = &self.mirror {
            notices.push(format!("cib mirror not usable: {cause}"));
        }
        notices
    }
}

/// The rung of the ladder that held.
struct Rung {
    db: sled::Db,
    fallen: Option<Fallen>,
}

/// Why it is not the first rung.
enum Fallen {
    /// A value that should always be there is damaged.
    Damaged(String),
    /// The engine opened only without its snapshots.
    WithoutSnapshots(String),
    /// The database is a new one, the old one lies in quarantine.
    NewDatabase {
        cause: String,
        quarantine: Option<PathBuf>,
    },
}

/// Opens the engine by the ladder.
fn climb(dir: &Path, options: &OpenOptions, before: &Before) -> Result<Rung, OpenError> {
    let engine_dir = dir.join(ENGINE_DIR);
    let existed = engine_dir.join("db").exists();
    let cause = match engine::open(&engine_dir)? {
        Ok(db) => match identify(&db, before) {
            Identity::Ours => return Ok(Rung { db, fallen: None }),
            Identity::Unreadable(cause) => {
                let fallen = Some(Fallen::Damaged(cause));
                return Ok(Rung { db, fallen });
            }
            Identity::Blank if before.evidence().is_none() => {
                return Ok(Rung { db, fallen: None });
            }
            Identity::Blank if existed => "the database opened empty".to_owned(),
            Identity::Blank => "the database files are missing".to_owned(),
            Identity::Foreign(cause) => cause,
        },
        Err(cause) => {
            if engine::move_snapshots(&engine_dir, &quarantine_name(dir)?)? > 0
                && let Ok(db) = engine::open(&engine_dir)?
                && let Identity::Ours = identify(&db, before)
            {
                let fallen = Some(Fallen::WithoutSnapshots(cause));
                return Ok(Rung { db, fallen });
            }
            format!("the database does not open: {cause}")
        }
    };
    new_database(dir, options, before, cause)
}

/// Last rungs: the old database goes to quarantine, a new one takes its place.
fn new_database(
    dir: &Path,
    options: &OpenOptions,
    before: &Before,
    cause: String,
) -> Result<Rung, OpenError> {
    let rescued =
        meta::newest(&before.slots).is_some() || matches!(before.mirror, MirrorState::Valid(_));
    if let Some(evidence) = before.evidence()
        && !rescued
        && !options.allow_empty
    {
        return Err(OpenError::Empty {
            dir: dir.to_owned(),
            evidence,
            cause,
        });
    }
    let engine_dir = dir.join(ENGINE_DIR);
    let aside = quarantine_name(dir)?;
    fs::create_dir(&aside).map_err(|e| StoreError::io("creating", &aside, e))?;
    move_into(&engine_dir, &aside)?;
    sync_dir(&aside)?;
    sync_dir(dir)?;
    let db = engine::open(&engine_dir)?.map_err(|cause| OpenError::Engine {
        dir: dir.to_owned(),
        cause,
    })?;
    // Without evidence nothing was ever acknowledged: the marker is durable before the first open
    // returns. What was moved aside is a first start that a crash cut short.
    let fallen = before.evidence().map(|_| Fallen::NewDatabase {
        cause,
        quarantine: Some(aside),
    });
    Ok(Rung { db, fallen })
}

enum Identity {
    Ours,
    /// No uuid in it: created and never used, or thrown away by the engine.
    Blank,
    Unreadable(String),
    Foreign(String),
}

fn identify(db: &sled::Db, before: &Before) -> Identity {
    match (read_single(db, Kind::Format), &before.uuid) {
        (Ok(None), _) => Identity::Blank,
        (Ok(Some((_, uuid))), Some(marker)) if uuid != marker.as_bytes() => {
            Identity::Foreign(format!(
                "the database belongs to store {}, the marker says {marker}",
                String::from_utf8_lossy(&uuid)
            ))
        }
        (Ok(Some(_)), _) => Identity::Ours,
        (Err(error), _) => Identity::Unreadable(error.to_string()),
    }
}

/// Makes what was found durable, and what was missing whole, before anyone relies on it.
fn settle(
    store: &mut Store,
    found: &Found,
    before: &Before,
    options: &OpenOptions,
) -> Result<(), OpenError> {
    let dir = store.dir.clone();
    let engine_dir = dir.join(ENGINE_DIR);
    if found.contents.leftovers {
        // The records behind a hole may be the last copy of something: keep them for a person.
        space::copy_files(&engine_dir, &quarantine_name(&dir)?)?;
    }
    let own_uuid = read_single(&store.db, Kind::Format).ok().flatten();
    let own_uuid = own_uuid.map(|(_, uuid)| String::from_utf8_lossy(&uuid).into_owned());
    let uuid = match before.uuid.clone().or(own_uuid.clone()) {
        Some(uuid) => uuid,
        None => new_uuid()?,
    };
    let mut stage = Stage::new(&store.db);
    if own_uuid.is_none() {
        stage.put_single(Kind::Format, 0, uuid.as_bytes());
    }
    stage.put_single(Kind::Batch, found.batches, &[]);
    if let (true, Some((generation, safety))) = (found.safety_behind, &found.safety) {
        stage.put_single(Kind::Safety, *generation, safety);
    }
    if let Some(cause) = found.health.cause() {
        let cause = &cause.as_bytes()[..cause.len().min(CAUSE_BYTES_MAX)];
        stage.put_single(Kind::Degraded, 0, cause);
    }
    if found.contents.leftovers {
        log::clear_outside(&store.db, &mut stage, store.position)?;
    }
    let engine = |e| StoreError::engine("writing", &engine_dir, e);
    store.db.apply_batch(stage.into_batch()).map_err(engine)?;
    store.db.flush().map_err(engine)?;
    store.barrier.sync_names(&engine_dir)?;
    repair_slots(store, found, before)?;
    store.slots.write_head(store.batches)?;
    if before.uuid.is_none() || before.old_format {
        // The marker vouches for what it stands beside: those names are on the disk before its own.
        if !options.skip_barrier {
            sync_dir(&dir)?;
        }
        let text = format!("{FORMAT_NAME}\nuuid {uuid}\n");
        replace_file(&dir.join(FORMAT_FILE), text.as_bytes())?;
    }
    if !options.skip_barrier {
        sync_dir(&dir)?;
    }
    Ok(())
}

/// Brings both slots to the newest safety record.
fn repair_slots(store: &mut Store, found: &Found, before: &Before) -> Result<(), StoreError> {
    let Some((generation, safety)) = &found.safety else {
        return Ok(());
    };
    let whole = before
        .slots
        .iter()
        .all(|state| matches!(state, SlotState::Valid(slot) if slot.generation == *generation));
    if whole {
        return Ok(());
    }
    store.slots.write(&meta::Slot {
        generation: *generation,
        batches: store.batches,
        safety: safety.clone(),
    })
}

/// Creates the store's directory, readable by its owner alone, and makes its name durable.
fn create_dirs(dir: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| StoreError::io("creating", dir, e))?;
    match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Reads the marker: whether it is of the format before, and the store's uuid; `None` before the
/// first start.
fn read_format(dir: &Path) -> Result<Option<(bool, String)>, OpenError> {
    let path = dir.join(FORMAT_FILE);
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("reading", &path, error).into()),
    };
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let uuid = lines.next().and_then(|line| line.strip_prefix("uuid "));
    match uuid {
        Some(uuid) if first == FORMAT_NAME => Ok(Some((false, uuid.to_owned()))),
        Some(uuid) if first == FORMAT_BEFORE => Ok(Some((true, uuid.to_owned()))),
        _ => Err(OpenError::Format {
            dir: dir.to_owned(),
            found: first.to_owned(),
        }),
    }
}

fn new_uuid() -> Result<String, StoreError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|e| StoreError::io("reading", path, e))?;
    Ok(hex(&bytes))
}

/// A name for what is moved aside; not created here.
fn quarantine_name(dir: &Path) -> Result<PathBuf, StoreError> {
    let free = (1..=QUARANTINES_MAX)
        .map(|number| dir.join(format!("quarantine.{number}")))
        .find(|path| !path.exists());
    free.ok_or_else(|| StoreError::Engine {
        doing: "moving a damaged database aside",
        cause: format!(
            "{QUARANTINES_MAX} quarantine directories lie in {} already: look into them, then \
             remove them",
            dir.display()
        ),
    })
}

fn move_into(path: &Path, aside: &Path) -> Result<(), StoreError> {
    let target = aside.join(path.file_name().unwrap_or_default());
    match fs::rename(path, target) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::io("moving", path, error))
        }
        _ => Ok(()),
    }
}

/// Name of the marker.
pub(crate) const FORMAT_FILE: &str = "FORMAT";

/// Room for damaged databases moved aside, in directories.
const QUARANTINES_MAX: usize = 100;

/// Longest cause kept in the database, in bytes.
const CAUSE_BYTES_MAX: usize = 1_000;
