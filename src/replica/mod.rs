//! The CIB on the replicated log: every node applies the same entries in the same order and comes
//! to the same bytes (I26). Nothing here knows a clock or a disk.
//!
//! A change of the configuration is judged twice: by the node that takes it, by all the rules of its
//! release ([`Replica::judge`]), and by every node that applies it, by the few that belong to the
//! record's format (`integrity.rs`). So nodes of two releases hold one configuration.

mod change;
mod directory;
mod grants;
mod integrity;
mod standing;

pub use change::{LoggedChange, Rejection, RejectionKind};
pub use directory::{
    Directory, DirectoryChange, LoggedDirectory, NodeRecord, Rotation, RotationPhase, TOKENS_MAX,
    Token, TokenId,
};
pub use grants::Grants;
pub use standing::{OpenIntent, Standing, Standings};

use cib::{Cib, Patch, Version};
use membership::{Ballot, Entry, EntryBody, OpId};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Configuration and standing of the nodes after some entry of the log.
#[derive(Clone, Debug)]
pub struct Replica {
    cib: Cib,
    seq: u64,
    ballot: Ballot,
    standings: Standings,
    grants: Grants,
    directory: Directory,
    /// Results of the newest operations, oldest first, so that a client may ask again.
    outcomes: VecDeque<(OpId, Outcome)>,
}

/// What became of a change: the version it made, or why it was not made.
pub type Outcome = Result<Version, Rejection>;

/// What one entry did.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The configuration is another one.
    pub configuration: Option<NewVersion>,
    /// A client's operation ended.
    pub outcome: Option<(OpId, Outcome)>,
    /// Standing of some node changed.
    pub standing: bool,
    /// Nodes, tokens, keys or versions of the cluster changed.
    pub directory: bool,
    /// The grant of this floating address changed.
    pub grant: Option<String>,
}

/// A new version of the configuration, for history and mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewVersion {
    /// Its version.
    pub version: Version,
    /// The entry that made it.
    pub seq: u64,
    /// Who, with what, where, when; `None` for the cluster's own steps.
    pub author: Option<LoggedChange>,
    /// v2 patchset from the version before, XML.
    pub diff: String,
}

/// Why bytes are no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not decodable.
    #[error("the snapshot cannot be decoded: {0}")]
    Malformed(#[from] postcard::Error),
    /// Its CIB is no CIB.
    #[error("the snapshot's CIB cannot be read: {0}")]
    Cib(#[from] cib::Error),
}

/// An [`Outcome`] on disk.
type PlainOutcome = Result<(u64, u64, u64), Rejection>;

#[derive(Serialize, Deserialize)]
struct Snapshot {
    format: u8,
    cib: String,
    seq: u64,
    ballot: Ballot,
    standings: Standings,
    grants: Grants,
    directory: Directory,
    outcomes: Vec<(OpId, PlainOutcome)>,
}

impl Default for Replica {
    fn default() -> Self {
        Self {
            cib: Cib::empty(),
            seq: 0,
            ballot: Ballot::default(),
            standings: Standings::default(),
            grants: Grants::default(),
            directory: Directory::default(),
            outcomes: VecDeque::new(),
        }
    }
}

impl Replica {
    /// The configuration; its status section is empty.
    #[must_use]
    pub fn cib(&self) -> &Cib {
        &self.cib
    }

    /// Last entry applied.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What the log says of each node.
    #[must_use]
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// Who may hold which floating address.
    #[must_use]
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Who belongs to the cluster, where the log says so.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// What became of an operation, if it is among the last [`OUTCOMES_MAX`].
    #[must_use]
    pub fn outcome(&self, op: OpId) -> Option<&Outcome> {
        self.outcomes
            .iter()
            .rev()
            .find(|(o, _)| *o == op)
            .map(|(_, outcome)| outcome)
    }

    /// What the node that takes a change asks before it proposes it: whether it is sound by all the
    /// rules of this release ([`cib::check`]), on the configuration as it is applied here.
    ///
    /// [`Replica::apply`] asks less, and the configuration may have moved when it does: what is taken
    /// here may be refused there, and what is refused here may be taken where it was never asked.
    ///
    /// # Errors
    /// [`RejectionKind::Conflict`] where the configuration is not the one that the change was made
    /// against, [`RejectionKind::Invalid`] where it cannot be read or applied, [`RejectionKind::Config`]
    /// with the faults that it brings.
    pub fn judge(&self, change: &LoggedChange) -> Result<(), Rejection> {
        change.judge(&self.cib)
    }

    /// Whether a refusal by [`Replica::judge`] may be due to what is committed and not applied here
    /// yet: the change was made against a newer configuration than this, or does not say against which.
    #[must_use]
    pub fn may_lag_behind(&self, change: &LoggedChange) -> bool {
        change.may_be_ahead_of(&self.cib)
    }

    /// Applies a committed entry. Entries at or before [`Replica::seq`] were applied already and
    /// change nothing.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        if entry.seq <= self.seq {
            return Applied::default();
        }
        self.seq = entry.seq;
        let mut applied = Applied {
            standing: self.standings.note(entry),
            grant: self.grants.note(&entry.body),
            ..Applied::default()
        };
        let new_ballot = entry.ballot != self.ballot;
        if !new_ballot && !matches!(entry.body, EntryBody::App { .. }) {
            // Views, grants and fences leave the configuration alone. They come by the hundred,
            // and a look at the whole tree for each would take longer than all the rest.
            return applied;
        }
        let before = self.cib.clone();
        // R2: a new ballot bumps the epoch, so that (epoch, num_updates) never names two contents.
        if new_ballot {
            self.ballot = entry.ballot;
            self.cib.bump_epoch();
        }
        let author = match &entry.body {
            EntryBody::App { op, payload, .. } => {
                let (author, outcome) = match LoggedDirectory::is_one(payload) {
                    true => {
                        let outcome = self.change_directory(payload);
                        applied.directory = outcome.is_ok();
                        (None, outcome)
                    }
                    false => self.change(payload),
                };
                self.remember(*op, outcome.clone());
                applied.outcome = Some((*op, outcome));
                author
            }
            _ => None,
        };
        if self.cib != before {
            let diff = Patch::between(before.root(), self.cib.root())
                .map(|patch| cib::xml::compact(&patch.to_xml()))
                .unwrap_or_default();
            let (version, seq) = (self.cib.version(), self.seq);
            applied.configuration = Some(NewVersion {
                version,
                seq,
                author,
                diff,
            });
        }
        applied
    }

    fn change(&mut self, payload: &[u8]) -> (Option<LoggedChange>, Outcome) {
        let change = match LoggedChange::decode(payload) {
            Ok(change) => change,
            Err(rejection) => return (None, Err(rejection)),
        };
        match change.apply_to(&self.cib) {
            Ok(cib) => {
                self.cib = cib;
                (Some(change), Ok(self.cib.version()))
            }
            Err(rejection) => (None, Err(rejection)),
        }
    }

    fn change_directory(&mut self, payload: &[u8]) -> Outcome {
        let logged = LoggedDirectory::decode(payload)?;
        self.directory = self.directory.after(&logged)?;
        Ok(self.cib.version())
    }

    fn remember(&mut self, op: OpId, outcome: Outcome) {
        if self.outcomes.len() >= OUTCOMES_MAX {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back((op, outcome));
    }

    /// The state as bytes, for [`membership::Input::Snapshot`].
    ///
    /// # Errors
    /// Never in practice: the types encode without bounds of their own.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let plain = |v: &Version| (v.admin_epoch, v.epoch, v.num_updates);
        let outcomes = self.outcomes.iter();
        Ok(postcard::to_stdvec(&Snapshot {
            format: SNAPSHOT_FORMAT,
            cib: self.cib.to_compact(),
            seq: self.seq,
            ballot: self.ballot,
            standings: self.standings.clone(),
            grants: self.grants.clone(),
            directory: self.directory.clone(),
            outcomes: outcomes
                .map(|(op, o)| (*op, o.as_ref().map(plain).map_err(Clone::clone)))
                .collect(),
        })?)
    }

    /// The state from [`Replica::snapshot`]'s bytes; no bytes = the state before the first entry.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn restore(state: &[u8]) -> Result<Self, SnapshotError> {
        if state.is_empty() {
            return Ok(Self::default());
        }
        let snapshot: Snapshot = postcard::from_bytes(state)?;
        if snapshot.format != SNAPSHOT_FORMAT {
            return Err(postcard::Error::DeserializeBadEncoding.into());
        }
        let version = |(admin_epoch, epoch, num_updates)| Version {
            admin_epoch,
            epoch,
            num_updates,
        };
        Ok(Self {
            cib: Cib::parse(&snapshot.cib)?,
            seq: snapshot.seq,
            ballot: snapshot.ballot,
            standings: snapshot.standings,
            grants: snapshot.grants,
            directory: snapshot.directory,
            outcomes: snapshot
                .outcomes
                .into_iter()
                .map(|(op, o)| (op, o.map(version)))
                .collect(),
        })
    }
}

/// Operations whose outcome is remembered.
pub const OUTCOMES_MAX: usize = 1024;
/// Format of snapshots.
const SNAPSHOT_FORMAT: u8 = 6;

#[cfg(test)]
mod tests;
