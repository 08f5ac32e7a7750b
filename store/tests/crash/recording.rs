//! What a process did to a directory, and every power cut that could have come in between.

use std::fs;
use std::path::{Path, PathBuf};

use store::{OpenOptions, Store};

use crate::disk::{Disk, FATES, Fate, MODELS, Model};
use crate::random::Random;
use crate::record::{self, Event};
use crate::trees::{copy_tree, keep_tree, scratch};
use crate::workload::{self, History};
use crate::{number, process};

/// One power cut.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) fate: Fate,
    /// Calls that were carried out; the next one was on its way.
    pub(crate) calls: usize,
}

/// What a process did to a directory, from its state before.
pub(crate) struct Recording {
    history: History,
    before: tempfile::TempDir,
    dir: PathBuf,
    pub(crate) events: Vec<Event>,
    /// The record the events were read from.
    raw: Vec<u8>,
    /// Acknowledged before the first event.
    acked: u64,
    /// Failures are expected, and not kept.
    may_fail: bool,
    _place: Option<tempfile::TempDir>,
}

impl Recording {
    /// Records the history from the very first start; `None` where no C compiler is.
    pub(crate) fn make(history: History, skip_barrier: bool) -> Option<Self> {
        let place = scratch();
        let dir = place.path().join("store");
        fs::create_dir(&dir).expect("directory");
        let commits = match history {
            History::Small | History::Beside => number("STORE_CRASH_COMMITS", COMMITS),
            History::Large => LARGE_COMMITS,
        };
        let raw = process::record(history, &dir, commits, skip_barrier)?;
        let events = record::parse(&raw);
        let acks = events.iter().filter(|e| matches!(e, Event::Ack { .. }));
        assert_eq!(acks.count() as u64, commits + 1, "the child did not finish");
        Some(Self {
            history,
            before: scratch(),
            dir,
            events,
            raw,
            acked: 0,
            may_fail: skip_barrier,
            _place: Some(place),
        })
    }

    /// Records the opening of `image`, in which `acked` commits must be.
    pub(crate) fn of_open(image: &Path, acked: u64) -> Self {
        let before = scratch();
        copy_tree(image, before.path());
        let raw =
            process::record(History::Small, image, 0, false).expect("a compiler was there before");
        let events = record::parse(&raw);
        assert!(events.len() > 10, "opening does more than {events:?}");
        Self {
            history: History::Small,
            before,
            dir: image.to_owned(),
            events,
            raw,
            acked,
            may_fail: false,
            _place: None,
        }
    }

    /// Half of the cuts follow an acknowledgement closely, where a missing barrier shows.
    pub(crate) fn state(&self, random: &mut Random) -> State {
        let calls = random.below(self.events.len());
        let near = self.events[calls..]
            .iter()
            .position(|event| matches!(event, Event::Ack { .. }));
        let calls = match near {
            Some(ahead) if random.below(2) == 0 => {
                (calls + ahead + 1 + random.below(3)).min(self.events.len() - 1)
            }
            _ => calls,
        };
        State {
            model: MODELS[random.below(MODELS.len())],
            fate: FATES[random.below(FATES.len())],
            calls,
        }
    }

    /// Calls between two acknowledgements that lie more than a segment apart.
    pub(crate) fn in_large_commits(&self) -> Vec<usize> {
        let mut inside = Vec::new();
        let (mut begin, mut bytes) = (0, 0);
        for (at, event) in self.events.iter().enumerate() {
            match event {
                Event::Write { data, .. } => bytes += data.len(),
                Event::Ack { .. } => {
                    if bytes > SEGMENT_BYTES {
                        inside.extend(begin..=at);
                    }
                    (begin, bytes) = (at + 1, 0);
                }
                _ => {}
            }
        }
        inside
    }

    /// The same process killed after so many calls, and one that opens what it left.
    pub(crate) fn killed_and_reopened(&self, calls: usize) -> Self {
        let place = scratch();
        let image = place.path().join("store");
        let mut disk = Disk::load(Model::Lenient, self.before.path(), &self.dir);
        for event in &self.events[..calls] {
            disk.apply(event, true);
        }
        disk.cut(Fate::All, &mut Random(0), &image);
        let raw =
            process::record(self.history, &image, 0, false).expect("a compiler was there before");
        let reopening = record::parse(&raw);
        let reopening = reopening
            .into_iter()
            .filter(|e| !matches!(e, Event::Ack { .. }));
        let reopening: Vec<Event> = reopening.collect();
        assert!(
            synced_before_written(&reopening),
            "the engine writes over what is not on the disk: {reopening:?}"
        );
        let mut events = self.events[..calls].to_vec();
        let moved = reopening
            .into_iter()
            .map(|event| event.moved(&image, &self.dir));
        events.extend(moved);
        let before = scratch();
        copy_tree(self.before.path(), before.path());
        Self {
            history: self.history,
            before,
            dir: self.dir.clone(),
            events,
            raw,
            acked: self.acked,
            may_fail: false,
            _place: None,
        }
    }

    pub(crate) fn replay(&self, states: u64, seed: u64) -> Vec<String> {
        let mut random = Random(seed);
        let states: Vec<State> = (0..states).map(|_| self.state(&mut random)).collect();
        states
            .iter()
            .filter_map(|state| self.try_state(state, &mut random))
            .collect()
    }

    /// Builds one state and opens it twice; `Some` says what is wrong.
    pub(crate) fn try_state(&self, state: &State, random: &mut Random) -> Option<String> {
        let place = scratch();
        let image = place.path().join("store");
        let mut same_again = random.clone();
        let acked = self.cut(state, random, &image);
        reopen(self.history, &image, acked).err().map(|e| {
            if self.may_fail {
                return e;
            }
            let kept = keep_tree(&image);
            self.cut(state, &mut same_again, &kept.join("as-cut"));
            copy_tree(self.before.path(), &kept.join("before"));
            fs::write(kept.join("record"), &self.raw).expect("kept");
            let what = format!("{state:?}: {e}");
            fs::write(kept.join("why"), &what).expect("kept");
            format!("{what}; kept in {}", kept.display())
        })
    }

    /// Builds one state; returns how many commits were acknowledged before it.
    pub(crate) fn cut(&self, state: &State, random: &mut Random, image: &Path) -> u64 {
        let mut disk = Disk::load(state.model, self.before.path(), &self.dir);
        let mut acked = self.acked;
        for event in &self.events[..state.calls] {
            disk.apply(event, true);
            if let Event::Ack { commits } = event {
                acked = acked.max(*commits);
            }
        }
        if let Some(event) = self.events.get(state.calls) {
            disk.apply(event, false);
        }
        disk.cut(state.fate, random, image);
        acked
    }
}

/// The engine gives the snapshot that it has just written its last name.
pub(crate) fn is_new_snapshot(event: &Event) -> bool {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    matches!(event, Event::Rename { to, .. } if name(to).is_some_and(|n| n.starts_with("snap.")))
}

/// Nothing is written to the engine's file before what it holds is on the disk.
fn synced_before_written(events: &[Event]) -> bool {
    let mut changes = record::of_engine(events).filter(|event| {
        matches!(
            event,
            Event::Sync { .. } | Event::Write { .. } | Event::Truncate { .. }
        )
    });
    matches!(changes.next(), Some(Event::Sync { .. }))
}

/// Opens what a crash left, goes on from there, and opens it again.
fn reopen(history: History, image: &Path, acked: u64) -> Result<(), String> {
    let open = || Store::open(image, &OpenOptions::default()).map_err(|e| e.to_string());
    let mut opened = open()?;
    let n = workload::check(history, &mut opened.store, &opened.state, acked)?;
    let next = opened.store.commit(&workload::batch(history, n + 1));
    next.map_err(|e| e.to_string())?;
    drop(opened);
    let mut opened = open()?;
    workload::check(history, &mut opened.store, &opened.state, n + 1)
        .map_err(|e| format!("again: {e}"))?;
    Ok(())
}

/// Enough to fill several of the engine's segments.
const COMMITS: u64 = 200;

/// Enough for the engine to reuse what it freed several times.
const LARGE_COMMITS: u64 = 41;

/// The engine's, its default.
const SEGMENT_BYTES: usize = 512 * 1024;
