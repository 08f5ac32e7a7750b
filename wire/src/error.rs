//! What can go wrong, by cause: one variant per reason an administrator could act upon.

use thiserror::Error;

use crate::handshake::{Refusal, VersionRange};
use crate::ident::{Identity, NodeId};
use crate::keys::{AUTHKEY_LEN_MAX, AUTHKEY_LEN_MIN, KeyId};
use crate::packet::PAYLOAD_LEN_MAX;

/// Why an authkey was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Too short to be a secret, or longer than corosync-keygen(8) writes.
    #[error("authkey has {got} bytes, need {AUTHKEY_LEN_MIN} to {AUTHKEY_LEN_MAX}")]
    Length {
        /// Bytes given.
        got: usize,
    },
}

/// Why a payload could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The peer is not in the node list.
    #[error("node {0} is not a configured peer")]
    UnknownPeer(NodeId),
    /// No session is up; one is being opened if [`crate::Endpoint::connect`] was called.
    #[error("no session with node {0} yet")]
    NoSession(NodeId),
    /// The payload does not fit a datagram: send it as a stream message.
    #[error("payload of {got} bytes exceeds the {PAYLOAD_LEN_MAX} a datagram holds")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// The link number is not one of the configured ones.
    #[error("link {0} is not configured")]
    UnknownLink(u8),
    /// The session has sealed all packets it may; call [`crate::Endpoint::connect`] for a new one.
    #[error("session with node {0} has used up its packet numbers")]
    Exhausted(NodeId),
}

/// Why a datagram was refused. Nothing is answered to any of these, but to
/// [`Reject::StaleIncarnation`], whose sender has proven that it holds the authkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Reject {
    /// Shorter than header and tag, or than its kind requires.
    #[error("datagram of {len} bytes is too short")]
    TooShort {
        /// Bytes received.
        len: usize,
    },
    /// Longer than any datagram of ours.
    #[error("datagram of {len} bytes is too long")]
    TooLong {
        /// Bytes received.
        len: usize,
    },
    /// The header names a version we do not speak.
    #[error("datagram of protocol version {version}, which is not spoken here")]
    BadVersion {
        /// The version byte.
        version: u8,
    },
    /// The header names no known kind of packet.
    #[error("datagram of unknown kind {kind}")]
    UnknownKind {
        /// The kind byte.
        kind: u8,
    },
    /// Addressed to another node: a wrong address in the node list, or a captured packet.
    #[error("datagram is for node {dst}")]
    NotForUs {
        /// The node addressed.
        dst: NodeId,
    },
    /// Claims to come from ourselves: a reflected packet, or a second node with our id (R18).
    #[error("datagram claims to come from this node itself: node id used twice, or reflected")]
    FromSelf,
    /// The sender is not in the node list.
    #[error("node {src} is not in the node list")]
    UnknownPeer {
        /// The claimed sender.
        src: NodeId,
    },
    /// Sent on one link, arrived on another: crossed cables or addresses.
    #[error("node {src} sent on link {sent_on}, but it arrived on link {arrived_on}")]
    LinkMismatch {
        /// The claimed sender.
        src: NodeId,
        /// The link in the header.
        sent_on: u8,
        /// The link it was read from.
        arrived_on: u8,
    },
    /// Sealed under a key that is not in the ring: the peer's authkey differs.
    #[error("node {src} uses authkey {key_id}, which is not ours")]
    UnknownKey {
        /// The claimed sender.
        src: NodeId,
        /// The key id in the header.
        key_id: KeyId,
    },
    /// Belongs to no session we hold: sealed before one side restarted, or replayed.
    #[error("packet of node {src} belongs to no session held here")]
    UnknownSession {
        /// The claimed sender.
        src: NodeId,
        /// The session number in the header.
        session: u32,
    },
    /// Seen before, or older than the replay window.
    #[error("packet {counter} of node {src} was seen before or is too old")]
    Replayed {
        /// The claimed sender.
        src: NodeId,
        /// Its packet number.
        counter: u64,
    },
    /// Does not open: damaged, forged, or (a HELLO) sealed for another cluster name.
    #[error("packet claiming to be from node {src} does not authenticate")]
    BadTag {
        /// The claimed sender.
        src: NodeId,
    },
    /// Authentic but not understood.
    #[error("authentic packet of node {src} is malformed")]
    Malformed {
        /// The sender.
        src: NodeId,
    },
    /// The peer speaks no version that we speak.
    #[error("node {peer} speaks protocol {theirs}, spoken here is {ours}: no version in common")]
    VersionRange {
        /// The sender.
        peer: NodeId,
        /// Versions spoken here.
        ours: VersionRange,
        /// Versions spoken there.
        theirs: VersionRange,
    },
    /// The peer proposes a cipher suite that does not exist here.
    #[error("node {peer} proposes cipher suite {suite}, which is not spoken here")]
    UnknownSuite {
        /// The sender.
        peer: NodeId,
        /// The suite's number.
        suite: u8,
    },
    /// The peer belongs to a cluster of another name.
    #[error("node {peer} has the same authkey but another cluster_name")]
    ClusterName {
        /// The sender.
        peer: NodeId,
    },
    /// Another process of a node that is not newer than the one known: a clone, a store rolled
    /// back, or two machines with one node id (R8).
    #[error(
        "node {} offers incarnation {} in another process, but incarnation {} is known: \
         clone, store rolled back, or node id used twice",
        offered.node, offered.incarnation, known.incarnation
    )]
    StaleIncarnation {
        /// The newest identity known of the node.
        known: Identity,
        /// The one refused.
        offered: Identity,
    },
    /// A handshake packet that belongs to no attempt of ours, or whose cookie is spent or expired.
    #[error("handshake packet of node {src} belongs to no attempt under way")]
    StaleHandshake {
        /// The claimed sender.
        src: NodeId,
    },
    /// More handshake packets than a sound peer sends.
    #[error("too many handshake packets from node {src}")]
    RateLimited {
        /// The claimed sender.
        src: NodeId,
    },
    /// The peer refuses us, authentically, and says why.
    #[error("node {peer} refuses this node: {refusal}")]
    RefusedByPeer {
        /// The peer.
        peer: NodeId,
        /// Its reason.
        refusal: Refusal,
    },
}

/// [`Reject`] without its particulars, to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "each is documented at the variant of Reject of the same name"
)]
pub enum RejectKind {
    TooShort,
    TooLong,
    BadVersion,
    UnknownKind,
    NotForUs,
    FromSelf,
    UnknownPeer,
    LinkMismatch,
    UnknownKey,
    UnknownSession,
    Replayed,
    BadTag,
    Malformed,
    VersionRange,
    UnknownSuite,
    ClusterName,
    StaleIncarnation,
    StaleHandshake,
    RateLimited,
    RefusedByPeer,
}

impl Reject {
    /// The reason alone.
    pub fn kind(&self) -> RejectKind {
        match self {
            Self::TooShort { .. } => RejectKind::TooShort,
            Self::TooLong { .. } => RejectKind::TooLong,
            Self::BadVersion { .. } => RejectKind::BadVersion,
            Self::UnknownKind { .. } => RejectKind::UnknownKind,
            Self::NotForUs { .. } => RejectKind::NotForUs,
            Self::FromSelf => RejectKind::FromSelf,
            Self::UnknownPeer { .. } => RejectKind::UnknownPeer,
            Self::LinkMismatch { .. } => RejectKind::LinkMismatch,
            Self::UnknownKey { .. } => RejectKind::UnknownKey,
            Self::UnknownSession { .. } => RejectKind::UnknownSession,
            Self::Replayed { .. } => RejectKind::Replayed,
            Self::BadTag { .. } => RejectKind::BadTag,
            Self::Malformed { .. } => RejectKind::Malformed,
            Self::VersionRange { .. } => RejectKind::VersionRange,
            Self::UnknownSuite { .. } => RejectKind::UnknownSuite,
            Self::ClusterName { .. } => RejectKind::ClusterName,
            Self::StaleIncarnation { .. } => RejectKind::StaleIncarnation,
            Self::StaleHandshake { .. } => RejectKind::StaleHandshake,
            Self::RateLimited { .. } => RejectKind::RateLimited,
            Self::RefusedByPeer { .. } => RejectKind::RefusedByPeer,
        }
    }
}

impl RejectKind {
    /// Every kind, in the order in which the checks are made.
    pub const ALL: [Self; 20] = [
        Self::TooShort,
        Self::TooLong,
        Self::BadVersion,
        Self::UnknownKind,
        Self::NotForUs,
        Self::FromSelf,
        Self::UnknownPeer,
        Self::LinkMismatch,
        Self::UnknownKey,
        Self::UnknownSession,
        Self::Replayed,
        Self::BadTag,
        Self::Malformed,
        Self::VersionRange,
        Self::UnknownSuite,
        Self::ClusterName,
        Self::StaleIncarnation,
        Self::StaleHandshake,
        Self::RateLimited,
        Self::RefusedByPeer,
    ];
}

/// Why a stream must be closed. After any of these the stream is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StreamError {
    /// The opening packet was refused for a reason that datagrams know too.
    #[error("stream handshake: {0}")]
    Handshake(#[from] Reject),
    /// The peer that answered is not the one that was called.
    #[error("stream reached node {got}, but node {wanted} was called")]
    WrongPeer {
        /// The node called.
        wanted: NodeId,
        /// The node that answered.
        got: NodeId,
    },
    /// A record does not open: damaged, forged, repeated, left out or out of order.
    #[error("stream record {number} does not authenticate")]
    BadRecord {
        /// The record's number in its direction, from 0.
        number: u64,
    },
    /// A record header that no sealer writes.
    #[error("stream record {number} has an impossible header")]
    BadHeader {
        /// The record's number in its direction, from 0.
        number: u64,
    },
    /// More than fits one record or one message.
    #[error("stream message exceeds {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// More bytes pushed than are being taken out: take the messages out first.
    #[error("more than {limit} bytes of stream wait to be opened")]
    Backlog {
        /// The limit in bytes.
        limit: usize,
    },
    /// The stream ended inside a record or a message.
    #[error("stream ended inside a message")]
    Truncated,
    /// The stream failed before; only closing is left.
    #[error("stream failed before")]
    Failed,
}
