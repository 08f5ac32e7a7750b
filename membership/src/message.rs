//! What cores say to each other.

mod beat;
mod bytes;

use serde::{Deserialize, Serialize};
use wire::{NodeId, ProcessBoot};

pub use beat::{Beat, Echo, Ends, GRANTS_VOID_MAX, Heard, Known, Stamp, VOID_ALL};
pub use bytes::{Blob, DecodeError, FORMAT, NUMBER_MAX};
pub(crate) use bytes::{decode, encode, in_one_piece, number};
use bytes::{decode_as, encode_into};

use crate::config::NODES_MAX;
use crate::witness::WITNESS_NODES_MAX;
use crate::{Ballot, ConfigEntry, EntryBody, OpId, Refusal, Token, WitnessView};

/// SHA-256 chain value: of the entry and everything before it.
pub type Hash = [u8; 32];

/// A position in one lineage of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Position; 0 before the first entry.
    #[serde(deserialize_with = "number")]
    pub seq: u64,
    /// Ballot of that entry.
    pub ballot: Ballot,
    /// Chain value through that entry.
    pub hash: Hash,
}

/// A parcel of the ordered channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parcel {
    /// Soft state (R2), given after the view named was installed at the sender.
    Soft {
        /// Sender's installed view.
        view_no: u64,
        /// Whole state follows: forget the old.
        reset: bool,
        /// Changes.
        items: Vec<(String, Option<Vec<u8>>)>,
    },
    /// A command of the acting DC.
    Command {
        /// Its authority.
        token: Token,
        /// Opaque.
        #[serde(with = "in_one_piece")]
        payload: Vec<u8>,
    },
    /// Opaque message.
    Tell {
        /// Opaque.
        #[serde(with = "in_one_piece")]
        payload: Vec<u8>,
    },
    /// A proposal forwarded to the DC.
    Propose {
        /// Its name.
        op: OpId,
        /// What to append.
        body: Box<EntryBody>,
        /// It was given to another coordinator before, and this much was committed when its client
        /// asked: it may stand anywhere behind.
        doubt: Option<u64>,
    },
    /// Where the proposal stands in the log, or why it does not.
    Proposed {
        /// Its name.
        op: OpId,
        /// Position or refusal.
        result: Result<u64, Refusal>,
    },
    /// The sending process relies on these grants of its own no more, whatever the log says later:
    /// for whom a grant waits for them.
    GivenUp {
        /// Resource and number of each, at most [`GIVEN_UP_MAX`].
        grants: Vec<(String, u64)>,
    },
}

/// Everything cores exchange. The order of variants is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Heartbeat and echo.
    Beat(Beat),
    /// A candidate asks for a promise.
    Prepare {
        /// Its ballot.
        ballot: Ballot,
        /// Its log's head.
        head: Point,
        /// It wants to found the cluster (R6).
        bootstrap: bool,
    },
    /// The promise, on disk.
    Promise {
        /// To which ballot.
        ballot: Ballot,
        /// Head of the promiser's log, frozen for lower ballots.
        head: Point,
        /// What it knows committed.
        commit: Point,
        /// Newest view it accepted.
        view_no: u64,
        /// `LogState::survivals` of its log's head (two nodes).
        survivals: u64,
    },
    /// No promise or no acknowledgement: a higher ballot was promised, or not yet (R0, R9).
    Refuse {
        /// What was asked.
        ballot: Ballot,
        /// What is promised.
        promised: Ballot,
    },
    /// Entries from the DC.
    Append {
        /// Its ballot.
        ballot: Ballot,
        /// Entry before the first one here.
        prev: Point,
        /// What is committed.
        commit: Point,
        /// Encoded records.
        entries: Vec<Blob>,
    },
    /// Two watermarks (R1), both of this ballot's lineage.
    Ack {
        /// The DC's ballot.
        ballot: Ballot,
        /// In memory through here.
        mem: Point,
        /// On disk through here.
        durable: Point,
    },
    /// The follower's log has no such `prev`: go on after this committed point.
    Mismatch {
        /// The DC's ballot.
        ballot: Ballot,
        /// Sender's last committed entry.
        commit: Point,
    },
    /// Ask for entries after a committed point.
    Fetch {
        /// Names the transfer.
        nonce: u64,
        /// Where the asker stands.
        after: Point,
    },
    /// Entries asked for.
    Fetched {
        /// As asked.
        nonce: u64,
        /// Entry before the first one here.
        prev: Point,
        /// Sender's head.
        head: Point,
        /// Encoded records.
        entries: Vec<Blob>,
    },
    /// The entries asked for (or due) are compacted: pull this snapshot.
    Offer {
        /// As asked, or 0 when the DC offers by itself.
        nonce: u64,
        /// The snapshot's point.
        at: Point,
        /// Its length in bytes.
        bytes: u64,
    },
    /// Ask for a part of a snapshot.
    Pull {
        /// Which snapshot.
        seq: u64,
        /// From this byte on.
        offset: u64,
    },
    /// A part of a snapshot.
    Chunk {
        /// Which snapshot.
        seq: u64,
        /// Where it belongs.
        offset: u64,
        /// Whole length in bytes.
        bytes: u64,
        /// SHA-256 of the whole.
        digest: Hash,
        /// The part.
        data: Blob,
    },
    /// A node whose store lost something asks everybody (R6).
    RecoverAsk {
        /// Names the round.
        nonce: u64,
    },
    /// Answer to it.
    RecoverState {
        /// As asked.
        nonce: u64,
        /// Highest promise, durable.
        promised: Ballot,
        /// Head of the log.
        head: Point,
        /// Acting DC?
        acting: bool,
        /// Voter sets in its log.
        config: ConfigEntry,
    },
    /// A parcel of the ordered channel between the two processes.
    Parcel {
        /// Position, from 1.
        no: u64,
        /// Highest parcel delivered in the other direction.
        ack: u64,
        /// Content.
        parcel: Parcel,
    },
    /// Delivered through here.
    ParcelAck {
        /// Highest parcel delivered.
        ack: u64,
    },
    /// The sender's process ends.
    Bye {
        /// A CLEAN_LEFT stands in the log.
        clean: bool,
    },
    /// A certificate names the receiver's boot dead (R10).
    Poisoned {
        /// The fencing that did it.
        fence_no: u64,
    },
    /// One hop of relay: sealed end to end, opaque to the node that passes it on.
    Relay {
        /// Origin.
        src: NodeId,
        /// Destination.
        dst: NodeId,
        /// Sealed packet.
        sealed: Blob,
    },
    /// The receiver's incarnation is not above what the sender knows of its node (R8).
    Outdated {
        /// The process that is refused.
        process: ProcessBoot,
        /// Highest incarnation known.
        incarnation: u64,
    },
    /// A witness' promise, on disk (R7).
    WitnessPromise {
        /// To which ballot.
        ballot: Ballot,
        /// The view it holds.
        view: Option<WitnessView>,
    },
    /// The DC gives the witness its view: all members have it on disk.
    WitnessView {
        /// What to store.
        view: WitnessView,
    },
    /// The witness has that view, or one given later, on disk.
    WitnessStored {
        /// The DC's ballot.
        ballot: Ballot,
        /// Number of the view stored.
        view_no: u64,
    },
}

impl Message {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        encode_into(Vec::with_capacity(USUAL_BYTES), MESSAGE_FORMAT, self)
    }

    /// A message from bytes; never panics.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let message: Self = decode_as(MESSAGE_FORMAT, bytes)?;
        let bound = |what, count, max| {
            if count > max {
                Err(DecodeError::Bound { what, count, max })
            } else {
                Ok(())
            }
        };
        match &message {
            Self::Beat(beat) => {
                bound("heard nodes", beat.row.len(), NODES_MAX)?;
                let void = beat.echo.as_ref().map_or(0, |e| e.void.len());
                bound("void grants", void, GRANTS_VOID_MAX)?;
            }
            Self::Append { entries, .. } | Self::Fetched { entries, .. } => {
                bound("entries", entries.len(), ENTRIES_PER_MESSAGE_MAX)?;
            }
            Self::Parcel {
                parcel: Parcel::Soft { items, .. },
                ..
            } => {
                bound("soft-state items", items.len(), SOFT_ITEMS_PER_PARCEL_MAX)?;
            }
            Self::Parcel {
                parcel: Parcel::GivenUp { grants },
                ..
            } => bound("grants given up", grants.len(), GIVEN_UP_MAX)?,
            Self::WitnessView { view }
            | Self::WitnessPromise {
                view: Some(view), ..
            } => bound("members of a view", view.members.len(), WITNESS_NODES_MAX)?,
            _ => {}
        }
        Ok(message)
    }
}

/// Format of messages. 3: a beat tells how its sender receives whom. 4: as disk records. 5: answers
/// that are beats, a log's ends.
pub const MESSAGE_FORMAT: u8 = 5;
/// Most messages are no longer, in bytes: one allocation each.
const USUAL_BYTES: usize = 320;
/// Most entries in one message.
pub const ENTRIES_PER_MESSAGE_MAX: usize = 1_024;
/// Most grants in one [`Parcel::GivenUp`]: with names of usual length they fit a datagram.
pub const GIVEN_UP_MAX: usize = 32;
/// Most soft-state items in one parcel.
pub const SOFT_ITEMS_PER_PARCEL_MAX: usize = 512;
