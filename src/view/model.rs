//! What is known of the cluster right now, as data; renderers turn it into text, JSON or XML.

use scheduler::{NodeStatus, OpFailure, ResourceStatus};
use serde::{Deserialize, Serialize};

/// The whole status, as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `cluster_name` of corosync.conf.
    pub cluster_name: String,
    /// Node that answers.
    pub local_node: String,
    /// Its protocol state (`dc`, `follower`, `joining`, `recovering` …).
    pub local_state: String,
    /// Name of the DC, when one is known.
    pub dc: Option<String>,
    /// This partition has quorum.
    pub quorate: bool,
    /// Why (not), in a sentence.
    pub quorum_why: String,
    /// Votes: expected, present, needed.
    pub votes: (u32, u32, u32),
    /// Membership epoch.
    pub view_no: u64,
    /// CIB version.
    pub cib_version: (u64, u64, u64),
    /// Last change: time, user, client, origin node; as in the CIB's attributes.
    pub last_change: Option<(String, String, String, String)>,
    /// Now, seconds since the epoch, on the answering node.
    pub now: i64,
    /// Options in force.
    pub options: Vec<(String, String)>,
    /// Nodes, in display order.
    pub nodes: Vec<NodeStatus>,
    /// Peers as the detector sees them.
    pub peers: Vec<PeerStatus>,
    /// Resources, in document order.
    pub resources: Vec<ResourceStatus>,
    /// Failures of removed resources that run nowhere.
    pub leftover_failures: Vec<OpFailure>,
    /// Fail counts: resource, node, count (`INFINITY` = 1 000 000), last failure.
    pub failcounts: Vec<FailCount>,
    /// Transition under way: actions done, actions in all.
    pub transition: Option<(u32, u32)>,
    /// Floating addresses served natively on any node.
    pub vips: Vec<VipStatus>,
    /// Things a person should know, newest last: refused peer, fencing pending, risk taken.
    pub notices: Vec<Notice>,
    /// Fencings: those that are over, oldest first, then those under way.
    pub fencings: Vec<Fencing>,
    /// Timers in force, milliseconds: name and value.
    pub timers: Vec<(String, u64)>,
    /// Versions of the protocol between nodes: the newest that all nodes seen speak, and the lowest
    /// and highest spoken here.
    pub protocol: (u8, u8, u8),
    /// Attributes and operations of the nodes.
    pub details: Vec<NodeDetails>,
    /// Constraints that keep resources away from nodes.
    pub bans: Vec<Ban>,
    /// Kernel switches of the answering node that floating addresses may want set.
    pub switches: Vec<SwitchStatus>,
}

impl Status {
    /// What the nodes told of themselves that are there: of others it is of no use any more.
    pub(crate) fn told_by_present(&self) -> impl Iterator<Item = &NodeDetails> {
        let is_gone = |node: &NodeStatus| !node.online && !node.pending;
        self.details.iter().filter(move |told| {
            let node = self.nodes.iter().find(|node| node.name == told.node);
            !node.is_some_and(is_gone)
        })
    }
}

/// What a node told of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDetails {
    /// Node.
    pub node: String,
    /// Its attributes, permanent and transient, by name.
    pub attributes: Vec<(String, String)>,
    /// What those are to be that a ping resource sets.
    pub expected: Vec<(String, i64)>,
    /// What was done there with resources.
    pub history: Vec<ResourceHistory>,
}

/// What was done with a resource on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceHistory {
    /// Resource, without an instance number.
    pub resource: String,
    /// `migration-threshold` in force; 1 000 000 = none.
    pub threshold: i32,
    /// Failures there, if any were counted.
    pub fail_count: Option<i32>,
    /// Seconds since the epoch.
    pub last_failure: Option<i64>,
    /// Results, in the order of their calls.
    pub operations: Vec<OperationResult>,
}

/// An operation's result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationResult {
    /// Its call.
    pub call_id: i64,
    /// `start`, `stop`, `monitor`, `probe` …
    pub task: String,
    /// Milliseconds; 0 = once.
    pub interval_ms: u64,
    /// OCF exit code.
    pub rc: i32,
    /// Seconds since the epoch of the last change of the result.
    pub last_rc_change: Option<i64>,
    /// Milliseconds, where the history says.
    pub exec_time_ms: Option<u64>,
    /// Milliseconds, where the history says.
    pub queue_time_ms: Option<u64>,
}

/// A constraint that keeps a resource away from a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Constraint.
    pub id: String,
    /// Resource.
    pub resource: String,
    /// Node.
    pub node: String,
    /// Its score, below 0.
    pub weight: i32,
    /// Only the promoted role is kept away.
    pub promoted_only: bool,
}

/// A peer as this node's detector sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Node id.
    pub node_id: u32,
    /// Name.
    pub name: String,
    /// `up`, `degraded` (reached through another node only), `lost`, `left`, `unknown`, `self`.
    pub state: String,
    /// Per link: address, up, round trip in microseconds.
    pub links: Vec<(String, bool, u32)>,
    /// Why, in a sentence.
    pub why: String,
}

/// A fail count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailCount {
    /// Resource.
    pub resource: String,
    /// Node.
    pub node: String,
    /// Operation with interval, `monitor_10000`.
    pub operation: String,
    /// Count.
    pub count: u32,
    /// `migration-threshold` in force.
    pub threshold: u32,
    /// Seconds since the epoch.
    pub last_failure: Option<i64>,
}

/// A floating address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipStatus {
    /// Resource id.
    pub resource: String,
    /// `10.0.2.10/24`.
    pub address: String,
    /// Device.
    pub device: String,
    /// Node that holds it.
    pub node: String,
    /// Announcements sent since it came up.
    pub announces: u64,
    /// Number of the grant by which it is held; 0 = none yet.
    pub grant_no: u64,
    /// `open`, `waiting` (no grant yet), `lapsed` (silent until the next grant), or `unleased`.
    pub lease: String,
    /// Milliseconds for which the kernel lets it speak if nobody renews; known on its own node.
    pub lease_left_ms: Option<u64>,
    /// Belts in force there: `nf_tables`, `owned`, `egress`, `lifetime`.
    pub belts: Vec<String>,
    /// What is weaker than it could be there, and why.
    pub weaker: Vec<String>,
    /// Claims of others to it heard since it came up.
    pub conflicts: u64,
    /// Who claimed it within the last minute: hardware address, and the member's name where it is
    /// one; empty when nobody did.
    pub foreign: String,
    /// How it came to be there, where known.
    pub last_move: Option<VipMove>,
}

/// A floating address's way to where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipMove {
    /// Resource id.
    pub resource: String,
    /// Node that held it before; empty when none did.
    pub from: String,
    /// Node that was to hold it.
    pub to: String,
    /// What set it off, in words.
    pub why: String,
    /// When it was up and announced, seconds since the epoch.
    pub at: i64,
    /// Milliseconds from the event to the answer that it is up and announced, on the DC's clock.
    pub took_ms: u64,
}

/// A fencing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fencing {
    /// Its number in the log.
    pub number: u64,
    /// Node that was to be fenced.
    pub target: String,
    /// `reboot` or `off`.
    pub action: String,
    /// Devices that did it; `a human` where an administrator said that it was done.
    pub delegate: String,
    /// DC that asked for it; empty where that is not known any more.
    pub origin: String,
    /// Why, in words.
    pub reason: String,
    /// When it was over, seconds since the epoch; `None` = under way.
    pub ended_at: Option<i64>,
    /// Why it could not be done.
    pub failed: Option<String>,
}

/// A kernel switch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchStatus {
    /// As sysctl(8) names it.
    pub key: String,
    /// What stands there now; `absent` where the kernel has no such switch.
    pub value: String,
    /// Who in the configuration wants it set; empty when nobody does.
    pub wanted_by: String,
    /// Who has set it; empty when it is not set.
    pub set_by: String,
    /// Why it is not as wanted; empty when it is.
    pub trouble: String,
}

/// A notice with its age.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Seconds since the epoch.
    pub at: i64,
    /// Stable word, kebab-case.
    pub code: String,
    /// What, where, why, what to do.
    pub text: String,
}
