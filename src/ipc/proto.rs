//! Requests and answers on the daemon's unix socket: a `u32` little-endian length, then postcard.

use crate::view::Status;
use crate::view::net::NetStatus;
use serde::{Deserialize, Serialize};

/// Version of this protocol; the first byte of every frame's body.
pub const IPC_VERSION: u8 = 5;

/// Largest frame, in bytes: a CIB of [`CIB_BYTES_MAX`] with room for its envelope.
pub const FRAME_BYTES_MAX: usize = CIB_BYTES_MAX + 64 * 1024;

/// Largest CIB, in bytes of XML.
pub const CIB_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Longest wait for a fencing, in milliseconds: an hour.
pub const FENCE_WAIT_MS_MAX: u64 = 60 * 60 * 1000;

/// What a command asks of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Everything `mainstay status` and `crm_mon` show.
    Status,
    /// The CIB as XML.
    Cib {
        /// With the status section.
        status: bool,
    },
    /// Change the configuration; answered when a quorum has it on disk.
    Change(Change),
    /// The scheduler's view of the running cluster: placement, reasons, what it would do.
    Plan,
    /// Forget failures and probe again.
    Cleanup {
        /// Resource; `None` = all.
        resource: Option<String>,
        /// Node name; `None` = all.
        node: Option<String>,
    },
    /// Answered when the cluster has nothing left to do.
    WaitIdle {
        /// Milliseconds; then [`ErrorKind::TimedOut`].
        timeout_ms: u64,
    },
    /// What became of a change whose answer got lost.
    Outcome {
        /// The change's name.
        op: [u8; 16],
    },
    /// Checks that only the daemon can make, for `mainstay doctor`.
    Doctor,
    /// Fence a node by hand; answered when it is fenced, or could not be.
    Fence {
        /// Node name.
        node: String,
        /// `reboot` or `off`.
        action: String,
    },
    /// Read corosync.conf again (as SIGHUP).
    Reload,
    /// Change a transient attribute; answered when its node has taken it.
    SetAttribute(AttributeChange),
    /// Transient attributes as their nodes have them; a change that is being dampened counts.
    Attributes {
        /// Node name; `None` = all.
        node: Option<String>,
        /// Attribute; `None` = all.
        name: Option<String>,
    },
    /// The versions of the CIB that this node keeps.
    Versions,
    /// One of them, whole.
    Version {
        /// Its number, [`CibVersionInfo::number`].
        number: u64,
    },
    /// Make a join token; root alone may. Answered with its text.
    TokenCreate {
        /// How long it is good, in seconds.
        valid_s: u32,
    },
    /// Take a node out of the cluster for good.
    NodeRemove {
        /// Its name.
        node: String,
        /// Although it was lost without a goodbye, or runs.
        force: bool,
    },
    /// Give a node that is off another name.
    NodeRename {
        /// Its name now.
        node: String,
        /// Its name from then on.
        name: String,
    },
    /// Begin to replace the authkey; root alone may.
    KeyRotate,
    /// Do not wait for this node in the rotation under way.
    KeyAbandon {
        /// Its name.
        node: String,
    },
    /// How far the rotation is.
    KeyStatus,
    /// Refuse versions of the protocol below this one.
    MinVersion {
        /// The lowest one allowed.
        version: u8,
    },
    /// Links, ways through other nodes, who hears whom, votes.
    Net,
    /// Links of this node that are held down after flaps may come up at once.
    ResetLinks,
    /// Say that a node is down, on an administrator's word: what its fencing would say.
    ConfirmDown {
        /// Node name.
        node: String,
    },
    /// Forget what is known of fencings that are over, on all nodes.
    ForgetFencings {
        /// Node that was fenced; `None` = all.
        node: Option<String>,
    },
    /// Have the cluster take a resource for failed on a node.
    FailResource {
        /// Resource, with its instance number where it has one.
        resource: String,
        /// Node name.
        node: String,
    },
    /// Expect so many votes, whatever the files say.
    ExpectVotes {
        /// How many.
        votes: u32,
    },
}

/// A kept version of the CIB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CibVersionInfo {
    /// Its number, which grows with every change and is the same on all nodes.
    pub number: u64,
    /// User; empty for a step of the cluster's own.
    pub user: String,
    /// Program.
    pub client: String,
    /// Node that took the change.
    pub origin: String,
    /// Seconds since the epoch, by that node's clock.
    pub at: i64,
}

/// A kept version of the CIB, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CibVersionText {
    /// Who made it, and when.
    pub info: CibVersionInfo,
    /// The whole CIB.
    pub xml: String,
    /// v2 patchset from the version before, XML.
    pub patch: String,
}

/// A change of a node's transient attribute: soft state that ends with the node's daemon, as
/// Pacemaker's attribute manager keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// Node name; `None` = the node that is asked.
    pub node: Option<String>,
    /// Attribute.
    pub name: String,
    /// What becomes of it.
    pub update: AttributeUpdate,
    /// Dampening in milliseconds: how long the cluster waits for further changes before it acts.
    /// Counts for a new attribute, and for an old one with [`AttributeChange::change_dampening`].
    pub dampen_ms: Option<u64>,
    /// An attribute that exists gets the new dampening too.
    pub change_dampening: bool,
    /// If it is new, it is never shown in the CIB.
    pub private: bool,
}

/// What becomes of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttributeUpdate {
    /// A value; `value++` and `value+=N` count up from the present one.
    Set(String),
    /// It is gone.
    Clear,
    /// Its value stays: only the dampening changes.
    Keep,
    /// A value of a capacity of the node (`utilization`), if the attribute is new; else as `Set`.
    SetCapacity(String),
}

/// A transient attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAttribute {
    /// Node name.
    pub node: String,
    /// Attribute.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A configuration change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Sixteen random bytes: applied at most once.
    pub op: [u8; 16],
    /// `(admin_epoch, epoch)` it was made against; [`ErrorKind::Conflict`] when the CIB has moved.
    pub base: Option<(u64, u64)>,
    /// The change.
    pub edit: Edit,
    /// Program that asks, `crm`, `cibadmin` …
    pub client: String,
    /// User that asks.
    pub user: String,
}

/// How a change is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// A v2 patchset (XML).
    Patch(String),
    /// A whole new `<configuration>` (XML).
    Configuration(String),
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Cib`].
    Cib {
        /// The document.
        xml: String,
    },
    /// To [`Request::Change`] and [`Request::Outcome`]: it is on a quorum's disks.
    Changed {
        /// `(admin_epoch, epoch, num_updates)` after it.
        version: (u64, u64, u64),
        /// Warnings about what was configured.
        warnings: Vec<String>,
    },
    /// To [`Request::Plan`].
    Plan(Box<scheduler::Plan>),
    /// To [`Request::Doctor`].
    Checks(Vec<Check>),
    /// Done, nothing more to say.
    Done {
        /// What was done, for the person.
        text: String,
    },
    /// It did not happen.
    Error {
        /// Kind, for exit codes.
        kind: ErrorKind,
        /// What, where, why, what to do now.
        text: String,
    },
    /// To [`Request::Attributes`], by node and name.
    Attributes(Vec<NodeAttribute>),
    /// To [`Request::Versions`], oldest first.
    Versions(Vec<CibVersionInfo>),
    /// To [`Request::Version`].
    Version(Box<CibVersionText>),
    /// To [`Request::KeyStatus`].
    Keys(KeyState),
    /// To [`Request::Net`].
    Net(Box<NetStatus>),
}

/// How far a rotation of the authkey is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// Names of the keys accepted by the node that answers, the one in use first.
    pub accepted: Vec<String>,
    /// What every node is to do now; `None` when no rotation is under way.
    pub step: Option<String>,
    /// Who has not done it, and why, in words.
    pub waits_for: Vec<String>,
    /// Nodes that are not waited for.
    pub abandoned: Vec<String>,
}

/// One finding of `mainstay doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Group, e.g. `authkey`, `network`, `store`, `fencing`.
    pub group: String,
    /// Finding.
    pub level: CheckLevel,
    /// What was looked at and found.
    pub text: String,
    /// What to do, when not ok.
    pub cure: Option<String>,
}

/// Levels of a [`Check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CheckLevel {
    /// Fine.
    Ok,
    /// Works, but.
    Warning,
    /// Broken.
    Error,
}

/// Kinds of failure; each has its CRM_EX code in `cli::exit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request itself is wrong (CRM_EX_USAGE 64 / CRM_EX_DATAERR 65).
    Invalid,
    /// What it names does not exist (CRM_EX_NOSUCH 105).
    NotFound,
    /// The configuration would be invalid (CRM_EX_CONFIG 78).
    Config,
    /// Somebody else changed it meanwhile (CRM_EX_OLD 103).
    Conflict,
    /// This partition has no quorum (CRM_EX_QUORUM 106).
    NoQuorum,
    /// No coordinator yet (CRM_EX_UNAVAILABLE 69).
    NotReady,
    /// Not within the time asked for (CRM_EX_TIMEOUT 124).
    TimedOut,
    /// It may or may not have happened: ask with [`Request::Outcome`].
    InDoubt,
    /// The caller may not (CRM_EX_INSUFFICIENT_PRIV 4).
    Forbidden,
    /// The daemon failed (CRM_EX_ERROR 1).
    Failed,
}
