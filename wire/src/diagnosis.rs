//! Why a peer is not there, in words an administrator can act upon.

use crate::error::{Reject, RejectKind};
use crate::handshake::{Refusal, VersionRange};
use crate::ident::{Identity, NodeId};
use crate::keys::KeyId;

/// How far a peer's session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerState {
    /// No session, none being opened.
    #[default]
    Idle,
    /// No session yet, HELLOs are being sent.
    Connecting,
    /// A session is up.
    Up,
}

/// Everything known about the conversation with one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// How far the session is.
    pub state: PeerState,
    /// The process last spoken with, of this run or learned by [`crate::Endpoint::learn`].
    pub identity: Option<Identity>,
    /// When the last authentic packet under a session came in, in microseconds on the caller's
    /// clock.
    pub last_heard_us: Option<u64>,
    /// HELLO1 rounds sent (one round goes out on every link).
    pub hello_rounds: u64,
    /// HELLO packets sealed under a key that is not ours.
    pub foreign_key_hellos: u64,
    /// HELLO packets whose key id is ours but which do not open.
    pub unopened_hellos: u64,
    /// What stands in the way, as far as the last evidence goes; `None` while a session is up or
    /// nothing was heard.
    pub trouble: Option<Trouble>,
    /// What was heard since the last packet that opened, though a session may still be up: its
    /// other end may have ended long ago. For who knows from elsewhere that the peer is silent.
    pub evidence: Option<Trouble>,
    /// Packets refused that claimed to come from the peer.
    pub rejects: RejectCounts,
}

/// What stands between two nodes. [`Trouble::ForeignKey`] and [`Trouble::Unopened`] rest on
/// packets that anyone may forge; the others on authentic ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It answers, under another authkey.
    ForeignKey {
        /// Its key's id.
        theirs: KeyId,
        /// Ours.
        ours: KeyId,
    },
    /// It answers under our authkey, but nothing opens.
    Unopened,
    /// It answers, with the same authkey, for another cluster name.
    ClusterName,
    /// It speaks no version in common.
    Versions {
        /// Versions spoken here.
        ours: VersionRange,
        /// Versions spoken there.
        theirs: VersionRange,
    },
    /// It is refused as a clone or a rolled-back node.
    Stale {
        /// The newest identity known of the node.
        known: Identity,
        /// The one refused.
        offered: Identity,
    },
    /// It refuses us.
    RefusesUs(Refusal),
    /// Its packets arrive on another link than they were sent on.
    CrossedLinks {
        /// The link named by the sender.
        sent_on: u8,
        /// The link it arrived on.
        arrived_on: u8,
    },
}

impl Trouble {
    /// The sentence for a log or `status`.
    pub fn describe(&self, peer: NodeId) -> String {
        match self {
            Self::ForeignKey { theirs, ours } => format!(
                "node {peer} answers but its authkey differs (key id {theirs}, here {ours}): copy \
                 /etc/corosync/authkey from a node that is in the cluster, and restart mainstayd there"
            ),
            Self::Unopened => format!(
                "node {peer} answers with our authkey's id but nothing opens: \
                 its cluster_name differs, or someone forges its packets; write the same \
                 cluster_name into corosync.conf on both, and restart mainstayd where it was wrong"
            ),
            Self::ClusterName => format!(
                "node {peer} answers but its cluster_name differs: write the same into corosync.conf \
                 on both, and restart mainstayd where it was wrong"
            ),
            Self::Versions { ours, theirs } => {
                format!(
                    "node {peer} speaks protocol {theirs}, spoken here is {ours}: install a version of \
                     mainstay on one of them that has a protocol in common with the other"
                )
            }
            Self::Stale { known, offered } => {
                let refused = Reject::StaleIncarnation {
                    known: *known,
                    offered: *offered,
                };
                format!("{refused}; {CLONE_CURE}")
            }
            Self::RefusesUs(refusal @ Refusal::Other { .. }) => {
                format!("node {peer} refuses this node: {refusal}; install the version it runs")
            }
            Self::RefusesUs(refusal) => {
                format!("node {peer} refuses this node: {refusal}; {CLONE_CURE}")
            }
            Self::CrossedLinks {
                sent_on,
                arrived_on,
            } => format!(
                "node {peer} sends on link {sent_on}, but it arrives on link {arrived_on}: \
                 networks or addresses are crossed"
            ),
        }
    }

    /// The trouble that a refused packet is evidence of, if any.
    pub(crate) fn seen_in(reject: &Reject, hello: bool, ours: KeyId) -> Option<Self> {
        Some(match *reject {
            Reject::UnknownKey { key_id, .. } => Self::ForeignKey {
                theirs: key_id,
                ours,
            },
            Reject::BadTag { .. } if hello => Self::Unopened,
            Reject::ClusterName { .. } => Self::ClusterName,
            Reject::VersionRange { ours, theirs, .. } => Self::Versions { ours, theirs },
            Reject::StaleIncarnation { known, offered } => Self::Stale { known, offered },
            Reject::RefusedByPeer { refusal, .. } => Self::RefusesUs(refusal),
            Reject::LinkMismatch {
                sent_on,
                arrived_on,
                ..
            } => Self::CrossedLinks {
                sent_on,
                arrived_on,
            },
            _ => return None,
        })
    }

    /// Whether the evidence was authentic; forgeable evidence never replaces it.
    pub(crate) fn is_proven(&self) -> bool {
        !matches!(
            self,
            Self::ForeignKey { .. } | Self::Unopened | Self::CrossedLinks { .. }
        )
    }
}

/// What is to be done about two processes of one node.
const CLONE_CURE: &str = "if two machines run as this node, shut the wrong one down or give it a \
    nodeid of its own on all nodes; one whose disk was set back fetches what it lacks by itself";

/// How many packets were refused, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectCounts([u64; RejectKind::ALL.len()]);

impl RejectCounts {
    /// Packets refused for this reason.
    pub fn of(&self, kind: RejectKind) -> u64 {
        self.0[kind as usize]
    }

    /// Packets refused for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (RejectKind, u64)> + '_ {
        RejectKind::ALL
            .into_iter()
            .map(|kind| (kind, self.of(kind)))
            .filter(|(_, n)| *n > 0)
    }

    pub(crate) fn add(&mut self, kind: RejectKind) {
        self.0[kind as usize] += 1;
    }
}
