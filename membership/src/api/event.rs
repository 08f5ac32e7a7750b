//! What the application learns.

use serde::{Deserialize, Serialize};
use wire::{Identity, NodeId};

use super::{Ballot, Entry, FenceIntent, OpId, Refusal, Token, View};

/// What the application learns, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A view was installed here (durable).
    View(View),
    /// The state this node is in changed.
    State {
        /// New state.
        state: NodeState,
        /// Why, in a sentence.
        why: String,
    },
    /// Quorum gained or lost, or missing for another reason than before.
    Quorum {
        /// Now.
        quorate: bool,
        /// Why, in a sentence.
        why: String,
    },
    /// This node may act as DC from now, with this ballot and view (authority fresh).
    DcActing {
        /// Ballot of its authority.
        ballot: Ballot,
    },
    /// It may no longer.
    DcEnded {
        /// Why, in a sentence.
        why: String,
    },
    /// A durably committed entry.
    Committed(Entry),
    /// The application's state was replaced: by the store at start or by a peer's snapshot.
    Restored {
        /// Last entry contained.
        seq: u64,
        /// As given to [`crate::Input::Snapshot`]; empty = initial state.
        state: Vec<u8>,
    },
    /// The log grew: give [`crate::Input::Snapshot`] when convenient.
    WantSnapshot,
    /// A proposal's end.
    Outcome {
        /// Which.
        op: OpId,
        /// Position in the log, or why not.
        result: Result<u64, Refusal>,
    },
    /// A node's soft state changed. After a view change each member's arrives whole.
    Soft {
        /// Whose.
        from: Identity,
        /// Forget what was known of this node before.
        reset: bool,
        /// Changes.
        items: Vec<(String, Option<Vec<u8>>)>,
    },
    /// A command from the acting DC, to be executed here. The token was checked and is to be
    /// checked again before long work starts.
    Command {
        /// The authority.
        token: Token,
        /// The DC.
        from: NodeId,
        /// As given to [`crate::Input::Command`].
        payload: Vec<u8>,
    },
    /// A command that was given here did not go out: whoever waits for it waits in vain.
    CommandUnsent {
        /// For whom it was.
        to: NodeId,
        /// As given to [`crate::Input::Command`].
        payload: Vec<u8>,
        /// Why, in a sentence.
        why: String,
    },
    /// A command that came here was not handed over: its token is not, or no longer, the acting
    /// DC's.
    CommandRefused {
        /// Who sent it.
        from: NodeId,
        /// As given to its [`crate::Input::Command`].
        payload: Vec<u8>,
    },
    /// As given to a peer's [`crate::Input::Tell`].
    Told {
        /// Sender.
        from: Identity,
        /// Opaque.
        payload: Vec<u8>,
    },
    /// The holder of a VIP has told this process, whose grant waited for that, that it gave the VIP
    /// up: the grant counts from now on.
    Inherited {
        /// Resource.
        vip: String,
        /// The grant that waited.
        grant_no: u64,
    },
    /// A peer as this node's detector sees it.
    Peer {
        /// Which.
        node: NodeId,
        /// Now.
        state: PeerState,
        /// Why, in a sentence.
        why: String,
    },
    /// Something a person should know: refused peer, clone, fork, older disk image, slow store.
    Notice {
        /// Stable word, kebab-case.
        code: String,
        /// About whom.
        node: Option<NodeId>,
        /// What, where, why, what to do.
        text: String,
    },
    /// This node's coordinator authority became restricted (R11), or unrestricted again.
    Restricted {
        /// Now.
        restricted: bool,
        /// Why, in a sentence.
        why: String,
    },
    /// An uncertified one-node view of a two-node cluster: the intent is on this disk and the agent
    /// may run (R11). When its result is certified the same intent arrives as committed, too.
    FenceIntentLocal(FenceIntent),
    /// Entries written here under class U lost against another lineage: to be kept in `conflicts/`
    /// and alerted, never dropped (I20). If this process had applied them an [`Event::Restored`]
    /// follows.
    Conflict {
        /// What somebody asked for, what this node may have acknowledged without quorum, and what
        /// is no longer part of the log.
        lost: Vec<Entry>,
    },
    /// This process can never be a member: its incarnation is not above what its peers know. End
    /// it and start another over the same store, whose safety record was raised before this came.
    RestartNeeded {
        /// Why, in a sentence.
        why: String,
    },
    /// [`crate::Input::Leave`] is done; the process may end.
    Left,
}

/// Protocol state of this node (protocol states of the failure and view machinery).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// Opened the store, hears nobody yet.
    Boot,
    /// Its store lost something: no votes until it has a quorum's state (R6).
    Recovering,
    /// Wants to be in a view.
    Joining,
    /// Member under another node's ballot.
    Follower,
    /// Asks for promises.
    Candidate,
    /// Promised, its first entries are on their way.
    DcPending,
    /// Coordinator.
    Dc,
    /// Going.
    Leaving,
    /// A certificate names this boot dead: never again (R10).
    Poisoned,
}

/// A peer as the detector sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerState {
    /// Never heard.
    Unknown,
    /// Heard on some link within the detection timeout.
    Up,
    /// Silent on every link for the detection timeout, or deaf to this node on every path.
    Lost,
    /// Said goodbye.
    Left,
}
