//! What a core is told at its start.

use serde::{Deserialize, Serialize};
use wire::{Identity, NodeId};

use crate::{HOLD_US_MAX, LinkId, Timing, VoterSet};

/// Everything a core knows before its first packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// This process. `incarnation` must be one more than the recovered safety record's (or 1); the
    /// core's first output persists it. No packet with this identity, a handshake's included, may
    /// leave before that write is durable: see [`crate::Core::may_speak`].
    pub me: Identity,
    /// Every other configured node, ascending by node id.
    pub peers: Vec<PeerConfig>,
    /// Digest of the node list and its options; must be equal on all nodes to bootstrap (R6).
    pub nodelist_digest: [u8; 32],
    /// Voter set used until the log has one.
    pub voters: VoterSet,
    /// Times, from [`Timing::derive`].
    pub timing: Timing,
    /// How long this node relies on one stamp of its own at most, where that is more than
    /// [`Timing::hold_us`]: a kernel without nf_tables, whose address lifetimes end late (R16).
    /// Microseconds; stated in every stamp. `None`: [`Timing::hold_us`].
    pub hold_us: Option<u64>,
    /// Fencing is configured (`stonith-enabled`): without it a lone node of two commits class U.
    pub fencing: bool,
    /// Seed of the randomised back-off.
    pub seed: u64,
    /// Random name for a new cluster, used only if this node bootstraps it.
    pub new_cluster_uuid: [u8; 16],
    /// An administrator's word that a lost store is to be taken as it is (ruling 21).
    pub trust_store: bool,
}

/// A configured peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerConfig {
    /// Its node id.
    pub node: NodeId,
    /// Links to it, 1 to 8.
    pub links: Vec<LinkId>,
    /// Priority of each of these, higher goes first (knet_link_priority of corosync.conf(5)); 1
    /// where none is given. Among equals the fastest carries the data.
    pub priorities: Vec<u8>,
}

impl PeerConfig {
    /// Links with their priorities.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, u8)> {
        let priorities = self.priorities.iter().copied();
        let priorities = priorities.chain(std::iter::repeat(LINK_PRIORITY_DEFAULT));
        self.links.iter().copied().zip(priorities)
    }
}

/// Why a core did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("membership configuration: {0}")]
    Config(String),
    /// The identity's incarnation does not follow the recovered one.
    #[error("incarnation {given} does not follow the stored {stored}")]
    Incarnation {
        /// In the identity.
        given: u64,
        /// On disk.
        stored: u64,
    },
    /// The snapshot on disk cannot be read; mark the store degraded to recover from peers.
    #[error("stored snapshot through entry {seq} is unreadable: {why}")]
    Snapshot {
        /// Its position.
        seq: u64,
        /// What the decoder said.
        why: String,
    },
    /// The log on disk is another version's: its records are whole, and nothing of them is dropped.
    #[error(
        "stored entry {seq} has format {format}, this build reads {}: {ANOTHER_VERSION}",
        crate::message::FORMAT
    )]
    Format {
        /// Its position.
        seq: u64,
        /// What it is written in.
        format: u8,
    },
}

/// What to do about a store of another version.
const ANOTHER_VERSION: &str = "start the version that wrote it, or empty this node's store and let it recover from the others";

impl Config {
    /// What every stamp of this node states (R0), in microseconds.
    pub fn hold_us(&self) -> u64 {
        self.hold_us.unwrap_or(self.timing.hold_us)
    }

    /// Checks bounds and contradictions.
    pub fn check(&self) -> Result<(), StartError> {
        let bad = |why: String| Err(StartError::Config(why));
        if self.peers.len() >= NODES_MAX {
            return bad(format!(
                "{} peers, at most {} nodes",
                self.peers.len(),
                NODES_MAX
            ));
        }
        if self.me.node.0 == 0 {
            return bad("node id 0 is reserved".into());
        }
        let mut last = None;
        for peer in &self.peers {
            if peer.node == self.me.node || peer.node.0 == 0 {
                return bad(format!("node {} cannot be a peer", peer.node));
            }
            if last >= Some(peer.node) {
                return bad(format!("peers are not ascending at node {}", peer.node));
            }
            last = Some(peer.node);
            if peer.links.is_empty() || peer.links.len() > LINKS_MAX {
                return bad(format!(
                    "node {} has {} links, 1 to 8",
                    peer.node,
                    peer.links.len()
                ));
            }
        }
        if let Some(hold_us) = self.hold_us
            && !(self.timing.hold_us..=HOLD_US_MAX).contains(&hold_us)
        {
            return bad(format!(
                "a hold of {hold_us} us is not within {} to {HOLD_US_MAX} us",
                self.timing.hold_us
            ));
        }
        if let Err(why) = self.voters.check() {
            return bad(why);
        }
        Ok(())
    }
}

/// Most nodes of a cluster.
pub const NODES_MAX: usize = 128;
/// Priority of a link that is given none, as corosync's.
pub const LINK_PRIORITY_DEFAULT: u8 = 1;
/// Most links between two nodes, as corosync's.
pub const LINKS_MAX: usize = 8;
