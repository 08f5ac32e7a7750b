//! What cores say to each other, and its bytes: one version byte, then postcard.

use serde::{Deserialize, Serialize};
use wire::{NodeId, ProcessBoot};

use crate::config::NODES_MAX;
use crate::witness::WITNESS_NODES_MAX;
use crate::{Ballot, ConfigEntry, EntryBody, NodeState, OpId, Refusal, Time, Token, WitnessView};

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

/// Bytes that are (de)serialised as one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

/// A heartbeat's claim: "I rely on this stamp for `hold_us` after `sent_us` of my clock" (R0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Sender's clock.
    pub sent_us: u64,
    /// Its longest reliance on it.
    pub hold_us: u64,
}

/// A stamp given back: a promise (R0), made under this ballot and view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// The receiver's own clock, as it sent it.
    pub sent_us: u64,
    /// Highest ballot the echoer has promised (durably).
    pub ballot: Ballot,
    /// Newest view the echoer has accepted (durably).
    pub view_no: u64,
    /// The stamp's holder is a member of that view: the echo is a promise to it.
    pub member: bool,
    /// Grants of the holder that the echoer's log has seen end, ascending, as far as the holder
    /// may not know it: no promise for these (R12). [`VOID_ALL`] stands for every grant.
    pub void: Vec<u64>,
    /// Configuration epoch of the echoer's log: to a holder whose voter sets are older the echo
    /// is no promise for grants (R3).
    pub config_epoch: u64,
}

impl Echo {
    /// Does it promise anything about this grant of its receiver?
    pub fn covers(&self, grant_no: u64) -> bool {
        self.member && !self.void.contains(&grant_no) && !self.void.contains(&VOID_ALL)
    }
}

/// What the sender remembers of the receiver (R8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Highest incarnation seen.
    pub incarnation: u64,
    /// Committed position it has acknowledged as durable.
    pub durable: u64,
}

/// One node's reception of another: a field of the who-hears-whom matrix. A node received within
/// the detection timeout has one, by whatever path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Who is received.
    pub node: NodeId,
    /// [`Self::COUNTS`], [`Self::DIRECT`], [`Self::EDGE`].
    pub how: u8,
}

impl Heard {
    /// It counts as heard, and is echoed (R0).
    pub const COUNTS: u8 = 1;
    /// A direct link from it is up.
    pub const DIRECT: u8 = 2;
    /// So is one to it: packets may be passed on between the two.
    pub const EDGE: u8 = 4;
}

/// How far a log goes. Where everything in it is committed, as nearly always, one of the two goes
/// without saying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Last entry known committed.
    pub commit: Point,
    /// Last entry in the log.
    pub head: Point,
}

impl Serialize for Ends {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = (self.head != self.commit).then_some(self.head);
        (self.commit, head).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ends {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (commit, head) = <(Point, Option<Point>)>::deserialize(deserializer)?;
        let head = head.unwrap_or(commit);
        Ok(Self { commit, head })
    }
}

/// Heartbeat. It never changes persisted state by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Grows with every beat of the process; what is older than the newest is not news.
    pub beat_no: u64,
    /// Wants an echo.
    pub stamp: Option<Stamp>,
    /// It answers a heartbeat, at once and on its way. It may be one itself.
    pub answers: bool,
    /// Stamp given back.
    pub echo: Option<Echo>,
    /// Highest ballot promised (durably).
    pub ballot: Ballot,
    /// Newest view accepted (durably).
    pub view_no: u64,
    /// The sender's log.
    pub log: Ends,
    /// Sender's protocol state.
    pub state: NodeState,
    /// Authority fresh: the sender acts as DC.
    pub acting: bool,
    /// It misses a DC: its consent to an election (the pre-vote).
    pub dc_lost: bool,
    /// It may promise and acknowledge at all.
    pub fit: bool,
    /// It started lately and suspects nobody yet (R0).
    pub withholding: bool,
    /// It never had a log nor promised anything.
    pub blank: bool,
    /// Its log holds commits of class U.
    pub class_u: bool,
    /// First bytes of its node list's digest (R6).
    pub digest: [u8; 8],
    /// Whom it receives, and how (ruling 19), ascending.
    pub row: Vec<Heard>,
    /// What it remembers of the receiver.
    pub known: Known,
    /// Highest parcel of the receiver's channel delivered.
    pub parcel_ack: u64,
}

impl Beat {
    fn heard(&self, node: NodeId) -> Option<&Heard> {
        // Ascending as cores make it; in one that is not, each is looked at.
        match self.row.binary_search_by_key(&node, |h| h.node) {
            Ok(at) => self.row.get(at),
            Err(_) => self.row.iter().find(|h| h.node == node),
        }
    }

    fn how(&self, node: NodeId) -> u8 {
        self.heard(node).map_or(0, |h| h.how)
    }

    /// The sender counts this node as heard, and echoes it.
    pub fn counts(&self, node: NodeId) -> bool {
        self.how(node) & Heard::COUNTS != 0
    }

    /// The sender receives this node, by whatever path.
    pub fn receives(&self, node: NodeId) -> bool {
        self.heard(node).is_some()
    }

    /// The sender receives this node directly.
    pub fn direct(&self, node: NodeId) -> bool {
        self.how(node) & Heard::DIRECT != 0
    }

    /// The sender and this node reach each other directly.
    pub fn edge(&self, node: NodeId) -> bool {
        self.how(node) & Heard::EDGE != 0
    }

    /// Whom the sender counts as heard, ascending.
    pub fn hears(&self) -> impl Iterator<Item = NodeId> {
        let counts = self.row.iter().filter(|h| h.how & Heard::COUNTS != 0);
        counts.map(|h| h.node)
    }
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

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing there.
    #[error("empty message")]
    Empty,
    /// Another format.
    #[error("format {found}, this build reads {known}")]
    Format {
        /// The one it has.
        found: u8,
        /// The one it should have.
        known: u8,
    },
    /// Not what it should be.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A collection exceeds its bound.
    #[error("message with {what}: {count}, at most {max}")]
    Bound {
        /// Which collection.
        what: &'static str,
        /// Found.
        count: usize,
        /// Allowed.
        max: usize,
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

/// Format byte, then postcard: of disk records and snapshots.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_into(Vec::new(), FORMAT, value)
}

fn encode_into<T: Serialize>(mut bytes: Vec<u8>, format: u8, value: &T) -> Vec<u8> {
    bytes.push(format);
    postcard::serialize_with_flavor(value, Bytes(bytes))
        .expect("plain data without maps of unknown length always serialises into a Vec")
}

/// Where encoded bytes go. Postcard's own flavour for this extends byte by byte, and hashes are
/// written as 32 single bytes each.
struct Bytes(Vec<u8>);

impl postcard::ser_flavors::Flavor for Bytes {
    type Output = Vec<u8>;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// Inverse of [`encode`].
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    decode_as(FORMAT, bytes)
}

fn decode_as<'a, T: Deserialize<'a>>(format: u8, bytes: &'a [u8]) -> Result<T, DecodeError> {
    let (&found, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if found != format {
        return Err(DecodeError::Format {
            found,
            known: format,
        });
    }
    postcard::from_bytes(rest).map_err(|e| DecodeError::Malformed(e.to_string()))
}

/// For `#[serde(deserialize_with)]` on a number that one is added to some day: what no cluster
/// reaches is refused, whoever says it.
pub(crate) fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    match number < NUMBER_MAX {
        true => Ok(number),
        false => Err(serde::de::Error::custom("a number that no cluster reaches")),
    }
}

/// For `#[serde(with)]` on a `Vec<u8>`: in one piece what serde takes byte by byte, in the same form.
pub(crate) mod in_one_piece {
    use super::{Blob, Deserialize};

    pub(crate) fn serialize<S: serde::Serializer>(
        v: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(v)
    }

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Vec<u8>, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        Blob::deserialize(deserializer).map(|Blob(bytes)| bytes)
    }
}

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Blob;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, v: &[u8]) -> Result<Blob, E> {
                Ok(Blob(v.to_vec()))
            }
            fn visit_byte_buf<E>(self, v: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(v))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut a: A) -> Result<Blob, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = a.next_element()? {
                    bytes.push(byte);
                }
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

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

/// All numbers of the protocol stay below this, so that adding one never wraps whatever a peer claims
/// or a disk gives back (48 bits, protocol 3.2).
pub const NUMBER_MAX: u64 = 1 << 48;
/// Format of disk records and snapshots. 2: grants that wait for another. 3: as messages. 4: voters
/// that are out for a while, witness.
pub const FORMAT: u8 = 4;
/// Format of messages. 3: a beat tells how its sender receives whom. 4: as disk records. 5: answers
/// that are beats, a log's ends.
pub const MESSAGE_FORMAT: u8 = 5;
/// Most messages are no longer, in bytes: one allocation each.
const USUAL_BYTES: usize = 320;
/// Most entries in one message.
pub const ENTRIES_PER_MESSAGE_MAX: usize = 1_024;
/// Most numbers in [`Echo::void`]; more are told as [`VOID_ALL`].
pub const GRANTS_VOID_MAX: usize = 16;
/// In [`Echo::void`]: every grant of the receiver. Grants are numbered from 1.
pub const VOID_ALL: u64 = 0;
/// Most grants in one [`Parcel::GivenUp`]: with names of usual length they fit a datagram.
pub const GIVEN_UP_MAX: usize = 32;
/// Most soft-state items in one parcel.
pub const SOFT_ITEMS_PER_PARCEL_MAX: usize = 512;
