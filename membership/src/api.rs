//! What goes into the protocol core and what comes out of it.
//!
//! The driver owns time, sockets and disk. It calls [`crate::Core::handle`] with every [`Input`], then
//! drains [`crate::Core::poll`] until it returns `None`, and calls again at
//! [`crate::Core::next_timeout`].

mod durable;
mod entry;
mod event;

pub use durable::*;
pub use entry::*;
pub use event::*;

use serde::{Deserialize, Serialize};
use wire::{Identity, NodeId};

use crate::message::Message;

/// Microseconds on CLOCK_BOOTTIME; the only clock of the protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// This moment plus a span in microseconds.
    pub(crate) fn plus(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// Microseconds since an earlier moment, 0 if it is later.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A network link (ring) between nodes, `ringnumber` / `ringX_addr` in corosync.conf(5): 0..=7.
pub type LinkId = u8;

/// What the driver feeds in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Time has passed; nothing else.
    Tick,
    /// A sealed session with a peer's process is confirmed in both directions.
    SessionUp {
        /// The peer's process.
        peer: Identity,
    },
    /// Where the log of a process ended on its disk, as it said when it opened a session; right
    /// after the first [`Input::SessionUp`] of that process (R8).
    PeerHead {
        /// The process.
        of: Identity,
        /// Last entry on its disk.
        head: u64,
    },
    /// An authenticated payload made by some peer's [`Effect::Send`].
    Packet {
        /// The session's peer.
        from: Identity,
        /// Link it came by; for streams the link of the connection; [`crate::RELAY_LINK`] for what
        /// another node passed on.
        link: LinkId,
        /// Encoded message.
        payload: Vec<u8>,
    },
    /// A peer refused the handshake, authentically: it knows this incarnation of this node, which is
    /// not below ours, of a process that is silent now (R8). This disk is older than it should be, or
    /// was emptied.
    Outdated {
        /// The peer.
        from: NodeId,
        /// The newest incarnation it knows.
        incarnation: u64,
    },
    /// A [`Output::Persist`] is on disk.
    Durable {
        /// Its id.
        write: u64,
    },
    /// The store failed for good: this node stops acknowledging and leaves the view.
    StoreFailed {
        /// What the store said.
        reason: String,
    },
    /// A client of this node wants an [`EntryBody`] in the log (views and configurations excepted).
    Propose {
        /// Its name; the same name is not applied twice within [`crate::OPS_MAX`] operations.
        op: OpId,
        /// `App`, `Fence*`, `Grant`, `Revoke`, `Released`.
        body: EntryBody,
    },
    /// As many [`Input::Propose`] in this order, and one step for all: what a DC admits of them goes
    /// to the disks behind one barrier and to the followers in as few messages as it fits into.
    ProposeAll {
        /// Names and entries.
        all: Vec<(OpId, EntryBody)>,
    },
    /// As DC: move to another voter set by one joint step (R3). Ignored with a notice when this
    /// node is no DC or a step is under way; the end is seen as committed [`EntryBody::Config`].
    Reconfigure {
        /// The set to move to.
        voters: VoterSet,
    },
    /// Another node list, from now on: nodes came or were removed. Voters are not changed by this
    /// ([`Input::Reconfigure`]), and a removed node is forgotten only when nothing rests on it.
    Peers {
        /// Every other node, ascending by node id.
        peers: Vec<crate::PeerConfig>,
        /// Digest of the new list, as [`crate::Config::nodelist_digest`].
        nodelist_digest: [u8; 32],
    },
    /// Links that are held down after flaps come up with the next packet.
    ResetLinks,
    /// Whether fencing is configured (`stonith-enabled`): it changes with the CIB. A lone node of
    /// two commits class U only where it is not (R11).
    Fencing {
        /// Now.
        configured: bool,
    },
    /// Replace parts of this node's own soft state (R2): key to value, `None` deletes.
    Publish {
        /// Changes.
        items: Vec<(String, Option<Vec<u8>>)>,
    },
    /// As DC: hand a command to a member's executor (possibly this node's own).
    Command {
        /// Target.
        to: NodeId,
        /// Opaque.
        payload: Vec<u8>,
    },
    /// A message to a member outside log and soft state (answers to commands, forwarded requests).
    Tell {
        /// Target.
        to: NodeId,
        /// Opaque.
        payload: Vec<u8>,
    },
    /// Grants of this very process of which nothing is open any more and nothing will be: its gate
    /// is closed and its address gone, or it was never used and will not be. Final: the process is
    /// never listed with such a grant again ([`crate::Core::leases`]). Whom a grant in turn waits for it
    /// hears of it ([`Event::Inherited`]); the log is told by an [`EntryBody::Released`].
    GivenUp {
        /// Resource and number of each.
        grants: Vec<(String, u64)>,
    },
    /// The application's state after entry `seq`, asked for by [`Event::WantSnapshot`].
    Snapshot {
        /// Last entry it contains.
        seq: u64,
        /// Opaque.
        state: Vec<u8>,
    },
    /// Leave the cluster: resources are stopped, say goodbye.
    Leave {
        /// Nothing runs here any more, unmanaged resources included (R10).
        clean: bool,
    },
    /// [`Input::Packet`] that was decoded already: a simulator has looked into it anyway.
    Message {
        /// The session's peer.
        from: Identity,
        /// As in [`Input::Packet`].
        link: LinkId,
        /// What it says; within the bounds that [`Message::decode`] keeps.
        message: Box<Message>,
    },
}

/// What the core wants done.
#[allow(
    clippy::large_enum_variant,
    reason = "moved once or twice, and never kept in numbers"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// May run at once.
    Do(Effect),
    /// Write `ops` in order behind one barrier, run `then` only when they are on disk, and feed
    /// [`Input::Durable`] back. Writes complete in the order of their ids.
    Persist {
        /// Growing number.
        write: u64,
        /// What to write.
        ops: Vec<DurableOp>,
        /// What relies on it.
        then: Vec<Effect>,
    },
}

/// Something to do in the world.
#[allow(
    clippy::large_enum_variant,
    reason = "moved once or twice, and never kept in numbers"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Seal and send.
    Send {
        /// Peer.
        to: NodeId,
        /// How.
        via: Via,
        /// Encoded message.
        payload: Vec<u8>,
    },
    /// The same of a heartbeat, still to be encoded ([`Message::encode`]): it fits a datagram. Most
    /// packets are heartbeats, and a simulator hands them on as they are.
    Message {
        /// Peer.
        to: NodeId,
        /// How.
        via: Via,
        /// What it says.
        message: Box<Message>,
    },
    /// A packet that another node passed on: open it, and feed what it holds as a packet of whoever
    /// sealed it, with [`crate::RELAY_LINK`]. Handshakes come this way, too.
    Unseal {
        /// The node that passed it on.
        by: NodeId,
        /// The sealed packet.
        sealed: Vec<u8>,
    },
    /// Tell the application.
    Event(Event),
}

/// How a payload travels. Loss is the core's business in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// One datagram on this link (`payload` at most [`DATAGRAM_BYTES_MAX`]).
    Link(LinkId),
    /// A record on the pair's TCP stream, for what does not fit a datagram.
    Stream,
    /// Sealed for the peer with [`crate::RELAY_LINK`], wrapped by [`crate::wrap`], and sent to another
    /// node that passes it on.
    Relay {
        /// That node.
        hop: NodeId,
        /// On this link to it; `None`: on the stream to it.
        link: Option<LinkId>,
    },
}

/// Largest payload of a datagram, in bytes, before header and tag; fits every MTU in use.
pub const DATAGRAM_BYTES_MAX: usize = 1_200;
