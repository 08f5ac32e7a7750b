//! Changes that a losing side of a split had made: they are taken out of the log, never dropped
//! (I20). One file for each time that it happens, for people to look at and repeat.

use crate::ipc::Edit;
use crate::replica::LoggedChange;
use membership::{Entry, EntryBody};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One time that changes were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The file's name without its ending: what people call it.
    pub(crate) name: String,
    /// When, in seconds since the epoch.
    pub(crate) at: i64,
    /// What was lost, in its order.
    pub(crate) lost: Vec<Lost>,
}

/// One entry of the log that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Its position.
    pub(crate) seq: u64,
    /// What it was.
    pub(crate) what: What,
}

/// What was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A step of the cluster's own.
    Step,
    /// A change of nodes, tokens or keys, or of a newer form.
    Directory,
    /// A change of the configuration.
    Configuration {
        /// Seconds since the epoch.
        at: i64,
        /// Who; empty for the cluster itself.
        user: String,
        /// With which program.
        client: String,
        /// On which node.
        origin: String,
        /// What.
        edit: Edit,
    },
}

impl From<Entry> for Lost {
    fn from(entry: Entry) -> Self {
        let what = match entry.body {
            EntryBody::App { payload, .. } => match LoggedChange::read(&payload) {
                Some(LoggedChange {
                    at,
                    user,
                    client,
                    origin,
                    edit,
                    ..
                }) => What::Configuration {
                    at,
                    user,
                    client,
                    origin,
                    edit,
                },
                None => What::Directory,
            },
            _ => What::Step,
        };
        Self {
            seq: entry.seq,
            what,
        }
    }
}

/// Lost entries without those that would have changed nothing ([`LoggedChange::of_nothing`]).
pub(crate) fn of_note(mut lost: Vec<Entry>) -> Vec<Entry> {
    lost.retain(|entry| match &entry.body {
        EntryBody::App { payload, .. } => {
            !LoggedChange::read(payload).is_some_and(|change| change.is_nothing())
        }
        _ => true,
    });
    lost
}

/// `1 change`, `3 changes`.
pub(crate) fn count(changes: usize) -> String {
    match changes {
        1 => "1 change".to_owned(),
        n => format!("{n} changes"),
    }
}

/// Keeps lost entries; the file's place.
///
/// # Errors
/// It cannot be written.
pub(crate) fn keep(dir: &Path, at: i64, lost: &[Entry]) -> io::Result<PathBuf> {
    let first = lost.first().map_or(0, |e| e.seq);
    let file = dir.join(format!("{at}-{first}.{ENDING}"));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let json = serde_json::to_vec_pretty(lost)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut written = options.open(&file)?;
    written.write_all(&json)?;
    written.sync_all()?;
    Ok(file)
}

/// Everything kept, oldest first; nothing where nothing was ever lost.
///
/// # Errors
/// The folder or a file cannot be read, or a file holds something else; with its place.
pub(crate) fn all(dir: &Path) -> Result<Vec<Kept>, String> {
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(told(dir, &error)),
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| told(dir, &e))?.path();
        let name = path.file_stem().map(|n| n.to_string_lossy().into_owned());
        let at = name.as_deref().and_then(|n| n.split('-').next());
        let (Some(at), Some(true)) = (
            at.and_then(|at| at.parse().ok()),
            path.extension().map(|e| e == ENDING),
        ) else {
            continue;
        };
        let text = std::fs::read(&path).map_err(|e| told(&path, &e))?;
        let lost: Vec<Entry> = serde_json::from_slice(&text).map_err(|e| told(&path, &e))?;
        let lost = lost.into_iter().map(Lost::from).collect();
        let name = name.unwrap_or_default();
        all.push(Kept { name, at, lost });
    }
    all.sort_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)));
    Ok(all)
}

const ENDING: &str = "json";

#[cfg(test)]
mod tests {
    use super::*;
    use membership::{Ballot, OpId};
    use wire::NodeId;

    #[test]
    fn what_is_kept_is_read_again() {
        let dir = std::env::temp_dir().join(format!("mainstay-conflicts-{}", std::process::id()));
        assert_eq!(all(&dir), Ok(Vec::new()));
        let entry = |seq, payload: Vec<u8>| Entry {
            seq,
            ballot: Ballot {
                counter: 4,
                node: 2,
            },
            body: EntryBody::App {
                op: OpId([7; 16]),
                origin: NodeId(2),
                payload,
            },
        };
        let edit = Edit::Patch("<diff format=\"2\"/>".to_owned());
        let change = LoggedChange::own(1_790_000_000, "node2", edit.clone());
        let mut step = entry(4, Vec::new());
        step.body = EntryBody::Noop;
        keep(&dir, 2_000_000_000, &[entry(3, Vec::new()), step]).unwrap();
        keep(&dir, 999_999_999, &[entry(9, change.encode())]).unwrap();
        std::fs::write(dir.join("README"), "no conflict").unwrap();
        let kept = all(&dir).unwrap();
        let names: Vec<_> = kept.iter().map(|k| k.name.as_str()).collect();
        assert_eq!(names, ["999999999-9", "2000000000-3"]);
        let configuration = What::Configuration {
            at: 1_790_000_000,
            user: change.user,
            client: change.client,
            origin: "node2".to_owned(),
            edit,
        };
        let lost = |seq, what| Lost { seq, what };
        assert_eq!(kept[0].lost, [lost(9, configuration)]);
        assert_eq!(
            kept[1].lost,
            [lost(3, What::Directory), lost(4, What::Step)]
        );
        std::fs::write(dir.join("5-5.json"), "[").unwrap();
        assert!(all(&dir).unwrap_err().contains("5-5.json"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
