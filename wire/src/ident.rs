//! The names a node goes by on the wire, in ballots and on disk.

use serde::{Deserialize, Serialize};

/// A cluster node's number, as `nodeid` in corosync.conf(5); unique in the cluster, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u32);

/// Sixteen random bytes drawn at every start of a daemon process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessBoot(pub [u8; 16]);

/// The kernel's boot id (`/proc/sys/kernel/random/boot_id`): a new one proves that everything that
/// ran on the machine before is gone. A new [`ProcessBoot`] proves nothing of the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MachineBoot(pub [u8; 16]);

/// Which node, on which boot of which machine, in which process. `incarnation` is persisted and
/// grows by one at every start of the process, so that two identities of one node can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// The machine's boot.
    pub machine_boot: MachineBoot,
    /// The daemon's process.
    pub process_boot: ProcessBoot,
    /// Durable count of process starts, from 1.
    pub incarnation: u64,
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
