//! What the replicated log says, and why it does not say something.

use serde::{Deserialize, Serialize};
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

use crate::Grant;

/// Names one configuration operation for its whole life, so that a client may ask again what became
/// of it: 16 random bytes drawn by the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpId(pub [u8; 16]);

/// A coordinator's number: higher counter wins, then higher node.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ballot {
    /// Grows with every attempt to lead.
    #[serde(deserialize_with = "crate::message::number")]
    pub counter: u64,
    /// Node that leads it; 0 before the first.
    pub node: u32,
}

/// One member of a [`View`], as the log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// Node, boots and incarnation.
    pub identity: Identity,
    /// Votes it brings.
    pub votes: u32,
}

/// A membership epoch, persisted before anything relies on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Ballot under which it was formed.
    pub ballot: Ballot,
    /// Strictly growing number.
    #[serde(deserialize_with = "crate::message::number")]
    pub view_no: u64,
    /// Ascending by node id.
    pub members: Vec<Member>,
}

/// Proves by what authority a command was given; an executor refuses one below the highest it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token {
    /// The DC's ballot.
    pub ballot: Ballot,
    /// The DC's view.
    pub view_no: u64,
    /// The DC's process.
    pub dc: ProcessBoot,
    /// Count of commands under this ballot.
    pub act_no: u64,
}

/// A body of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryBody {
    /// First entry of a ballot.
    Noop,
    /// A new membership epoch.
    View(View),
    /// Voter sets: joint while `next` is set (R3).
    Config(ConfigEntry),
    /// The application's: opaque here.
    App {
        /// The operation's name.
        op: OpId,
        /// The node whose client asked.
        origin: NodeId,
        /// What the application wrote.
        #[serde(with = "crate::message::in_one_piece")]
        payload: Vec<u8>,
    },
    /// A node is about to be fenced (I16): committed before the agent runs.
    FenceIntent(FenceIntent),
    /// A fencing ended (R10); committed before recovery starts.
    FenceResult(FenceResult),
    /// A VIP's ownership (R12).
    Grant(Grant),
    /// Members stop echoing a grant; free after its hold (R12).
    Revoke {
        /// Grant that ends.
        grant_no: u64,
    },
    /// The holder verified the removal (R12).
    Released {
        /// Resource.
        vip: String,
        /// Grant that ended.
        grant_no: u64,
    },
    /// A node left with nothing running (R10).
    CleanLeft {
        /// The process that left.
        identity: Identity,
    },
    /// The first entry of a cluster's life (R6): appended only when every configured node was
    /// present and empty.
    Init {
        /// The cluster's name for ever.
        cluster_uuid: [u8; 16],
        /// Digest of the node list all nodes agreed on.
        nodelist_digest: [u8; 32],
        /// First voter set.
        config: ConfigEntry,
    },
}

/// Voter sets in force (R3): `{(id, votes)}`, Q = max(E, sum of votes) / 2 + 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// Strictly growing.
    #[serde(deserialize_with = "crate::message::number")]
    pub config_epoch: u64,
    /// The set in force.
    pub current: VoterSet,
    /// The set it is moving to, while joint.
    pub next: Option<VoterSet>,
}

/// Who votes, and by which rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterSet {
    /// `(node, votes)`, ascending by node.
    pub votes: Vec<(NodeId, u32)>,
    /// `expected_votes` of votequorum(5), where given; it counts the votes of [`Self::absent`], too.
    pub expected_votes: Option<u32>,
    /// `two_node: 1`.
    pub two_node: bool,
    /// `wait_for_all: 1` (implied by `two_node` unless set to 0).
    pub wait_for_all: bool,
    /// `last_man_standing: 1` with its window in microseconds: voters that are gone for that long are
    /// moved to [`Self::absent`], one in a joint step, and back when they return.
    pub last_man_standing: Option<u64>,
    /// `auto_tie_breaker`'s node: exactly half of the votes are a quorum with it. Part of the
    /// configuration, never derived from a view (R4).
    pub tie_node: Option<NodeId>,
    /// A witness acceptor (R7): one of `votes`, never a member of a view.
    pub witness: Option<NodeId>,
    /// Voters that `last_man_standing` took out, with their votes, ascending: they count for
    /// nothing until a step lets them in again.
    pub absent: Vec<(NodeId, u32)>,
}

/// Intent to fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceIntent {
    /// Strictly growing number given by the DC.
    #[serde(deserialize_with = "crate::message::number")]
    pub fence_no: u64,
    /// Who shall be gone.
    pub target: NodeId,
    /// Its boot, where known: a certificate applies to this boot alone (I15).
    pub machine_boot: Option<MachineBoot>,
    /// `reboot` or `off`.
    pub action: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// How a fencing ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceResult {
    /// The intent's number.
    pub fence_no: u64,
    /// Who was fenced.
    pub target: NodeId,
    /// The machine boot that is proved dead.
    pub machine_boot: Option<MachineBoot>,
    /// The process incarnation that is proved dead.
    pub incarnation: Option<u64>,
    /// `Ok(device)` or `Err(reason)`.
    pub outcome: Result<String, String>,
}

/// A durably committed entry, handed over in order, each exactly once per process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the log, from 1.
    pub seq: u64,
    /// Ballot under which it was appended.
    pub ballot: Ballot,
    /// What it says.
    pub body: EntryBody,
}

/// Why a proposal did not (yet) become an acknowledged entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This partition has no quorum.
    NoQuorum,
    /// No coordinator is known yet.
    NoDc,
    /// Too many operations under way: the named bound was reached.
    Busy,
    /// The payload exceeds the named bound, in bytes.
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The coordinator changed under way: it may or may not be in the log. Ask by [`OpId`], as long as
    /// fewer than [`crate::OPS_MAX`] operations were committed since it was first proposed.
    InDoubt,
    /// The node may not write: store lost or failed.
    Recovering,
    /// A one-node view of a two-node cluster without a certificate for the other (R11): only
    /// fence entries are taken.
    Restricted,
    /// The entry contradicts the log's state: wrong grant or fence number, unknown grant, a body
    /// that clients may not propose.
    Invalid {
        /// What is wrong, in a sentence.
        why: String,
    },
    /// Another node may still answer for the VIP (R12): it has to release it, or its hold to end.
    Held {
        /// Resource.
        vip: String,
        /// Node of the holder.
        holder: NodeId,
        /// Its grant.
        grant_no: u64,
        /// When it will be free at the latest, in microseconds from now; `None` while nothing
        /// that ends the grant (Released, Revoke, a view without the holder, a certificate) is
        /// committed.
        free_in_us: Option<u64>,
    },
}
