//! What goes to the disk and comes back from it.

use serde::{Deserialize, Serialize};
use wire::{MachineBoot, NodeId};

use super::Ballot;
use crate::WitnessRecord;

/// What must be on disk before the effects that follow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DurableOp {
    /// Replace the safety record (meta slots, S8).
    Safety(SafetyRecord),
    /// Drop every log record from `seq` on; from 1 on, the snapshot with them, and the same write
    /// brings another one.
    TruncateLog {
        /// First to go.
        seq: u64,
    },
    /// Write one log record.
    AppendLog {
        /// Position.
        seq: u64,
        /// Encoded record (ballot, chain hash, body); opaque to the store.
        record: Vec<u8>,
    },
    /// Hint of what is committed; safe to lose.
    CommitHint {
        /// Position.
        seq: u64,
    },
    /// The state through `seq`; log records at or before it may be dropped.
    Snapshot {
        /// Position.
        seq: u64,
        /// Encoded snapshot (core's and application's state).
        state: Vec<u8>,
    },
    /// Replace a witness' record; it has nothing else on its disk.
    Witness(WitnessRecord),
}

/// The few things that hold safety (S8, ruling 20).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetyRecord {
    /// Minted in the first log entry, pinned then; zero before.
    pub cluster_uuid: [u8; 16],
    /// Starts of the process.
    pub incarnation: u64,
    /// Highest ballot promised.
    pub promised: Ballot,
    /// Newest view accepted.
    pub view_no: u64,
    /// Ballot of that view.
    pub view_ballot: Ballot,
    /// Largest hold this node ever echoed, in microseconds (R0).
    pub hold_us_max: u64,
    /// Highest token seen by the executor.
    pub token_ballot: Ballot,
    /// Valid only while `view_no` is the newest view ever accepted (R5).
    pub sole_survivor: Option<SoleSurvivor>,
    /// The store lost something and the quorum's state is not fetched yet (R6): survives restarts.
    pub recovering: bool,
}

/// This node alone carried the cluster on, with proof that the others were gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoleSurvivor {
    /// The one-node view.
    pub view_no: u64,
    /// Machine boots proved dead.
    pub fenced: Vec<(NodeId, Option<MachineBoot>)>,
}

/// What the store gave back at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// `None` on a first start.
    pub safety: Option<SafetyRecord>,
    /// Newest snapshot.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// Records after the snapshot, in order.
    pub log: Vec<(u64, Vec<u8>)>,
    /// Commit hint.
    pub commit_hint: u64,
    /// The store came back damaged or by an import: RECOVERING, no votes (R6).
    pub degraded: bool,
}
