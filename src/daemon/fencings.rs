//! What was fenced, by whom and when: kept in a file, so that `crm_mon -m` and `stonith_admin -H`
//! still know after a restart of the daemon.
//!
//! The log itself says who is fenced; this is for people. Every node keeps its own, from the
//! results that the log brought it.

use super::app::{App, now_s};
use crate::view::Fencing;
use membership::{Entry, EntryBody, FenceIntent, FenceResult};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use wire::NodeId;

/// The newest fencings, oldest first.
#[derive(Debug)]
pub(super) struct Fencings {
    file: Arc<File>,
    kept: Vec<Fencing>,
}

/// The file, written beside the loop, which waits for no disk.
#[derive(Debug)]
struct File {
    path: PathBuf,
    /// What it is to hold: a writer takes the newest, so that no late one puts an old state back.
    wanted: Mutex<Vec<Fencing>>,
    /// Held while it is written.
    writing: Mutex<()>,
}

impl Fencings {
    /// Those of the file; none where it is not there or not readable.
    pub(super) fn load(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|l| serde_json::from_str(l).ok());
        let kept = lines.take(FENCINGS_MAX).collect();
        let file = Arc::new(File {
            path,
            wanted: Mutex::default(),
            writing: Mutex::default(),
        });
        Self { file, kept }
    }

    /// A fencing is over. One that is known and comes `again` was read from the log once more,
    /// after a restart.
    fn ended(&mut self, fencing: Fencing, again: bool) {
        let same = |f: &Fencing| (f.number, &f.target) == (fencing.number, &fencing.target);
        if again && self.kept.iter().any(same) {
            return;
        }
        self.kept.push(fencing);
        let surplus = self.kept.len().saturating_sub(FENCINGS_MAX);
        self.kept.drain(..surplus);
        self.write();
    }

    /// Forgets those of a node, or all.
    pub(super) fn forget(&mut self, target: Option<&str>) {
        let before = self.kept.len();
        self.kept.retain(|f| target.is_some_and(|t| t != f.target));
        if self.kept.len() != before {
            self.write();
        }
    }

    fn write(&self) {
        let file = Arc::clone(&self.file);
        (*lock(&file.wanted)).clone_from(&self.kept);
        let work = move || {
            if let Err(error) = file.write() {
                let path = file.path.display();
                tracing::warn!("the fencing history is not kept in {path}: {error}");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(work)),
            Err(_) => work(),
        }
    }
}

impl File {
    fn write(&self) -> io::Result<()> {
        let _writing = lock(&self.writing);
        let fencings = lock(&self.wanted).clone();
        let mut text = String::new();
        for fencing in &fencings {
            text += &serde_json::to_string(fencing).map_err(io::Error::other)?;
            text.push('\n');
        }
        replace(&self.path, &text)
    }
}

/// A reader finds the old one or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, path)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl App {
    /// Keeps the end of a fencing that the log brings; before the replica takes the entry over,
    /// which forgets who asked for it.
    pub(super) fn keep_fencing(&mut self, entry: &Entry) {
        let EntryBody::FenceResult(result) = &entry.body else {
            return;
        };
        let fencing = self.fencing_of(result);
        let again = entry.seq <= self.replay_until;
        self.fencings.ended(fencing, again);
    }

    fn fencing_of(&self, result: &FenceResult) -> Fencing {
        let mut intents = self.replica.standings().intents();
        let asked = intents.find(|open| open.intent.fence_no == result.fence_no);
        let mut fencing = match asked {
            Some(open) => self.intended(open.dc, &open.intent),
            None => Fencing {
                number: result.fence_no,
                target: self.peers.name(result.target),
                action: self.replica.standings().fence_action(result.fence_no),
                ..Fencing::default()
            },
        };
        fencing.ended_at = Some(now_s());
        match &result.outcome {
            Ok(device) => fencing.delegate.clone_from(device),
            Err(why) => fencing.failed = Some(why.clone()),
        }
        fencing
    }

    fn intended(&self, dc: NodeId, intent: &FenceIntent) -> Fencing {
        Fencing {
            number: intent.fence_no,
            target: self.peers.name(intent.target),
            action: intent.action.clone(),
            origin: self.peers.name(dc),
            reason: intent.reason.clone(),
            ..Fencing::default()
        }
    }

    /// For a status: those that are over, oldest first, then those under way.
    pub(super) fn fencings_shown(&self) -> Vec<Fencing> {
        let mut all = self.fencings.kept.clone();
        let open = self.replica.standings().intents();
        all.extend(open.map(|o| self.intended(o.dc, &o.intent)));
        all
    }
}

/// Fencings kept.
const FENCINGS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_outlives_its_daemon_and_knows_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fencings");
        let fencing = |number, target: &str| Fencing {
            number,
            target: target.to_owned(),
            ..Fencing::default()
        };
        let mut first = Fencings::load(path.clone());
        first.ended(fencing(1, "a"), false);
        first.ended(fencing(2, "b"), false);
        let mut second = Fencings::load(path.clone());
        assert_eq!(second.kept, first.kept);
        second.ended(fencing(2, "b"), true);
        assert_eq!(second.kept.len(), 2, "read from the log once more");
        second.ended(fencing(1, "a"), false);
        assert_eq!(second.kept.len(), 3, "a new cluster counts from one again");
        second.forget(Some("a"));
        assert_eq!(Fencings::load(path.clone()).kept, [fencing(2, "b")]);
        for number in 0..300 {
            second.ended(fencing(number, "c"), false);
        }
        assert_eq!(second.kept.len(), FENCINGS_MAX);
        second.forget(None);
        assert_eq!(Fencings::load(path).kept, []);
    }
}
