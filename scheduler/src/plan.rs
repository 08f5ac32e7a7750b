//! What the scheduler answers: status as unpacked, placement, transition graph, reasons.

use crate::draft::Draft;
use crate::score::INFINITY;
use crate::shown::Shown;
use crate::unpack::history::says_not_here;
use crate::values::Values;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The whole answer. Equal inputs give equal plans, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Nodes as the CIB's status shows them, in display order.
    pub nodes: Vec<NodeStatus>,
    /// Top-level resources as they are, in document order.
    pub resources: Vec<ResourceStatus>,
    /// Failures of removed resources and instances that run nowhere and so stand in no list.
    #[serde(default)]
    pub leftover_failures: Vec<OpFailure>,
    /// What to do.
    pub graph: Graph,
    /// One line per resource that changes, as crm_simulate's "Transition Summary" (without bullets).
    pub summary: Vec<String>,
    /// Why things are where they are, and why they are not elsewhere.
    pub reasons: Vec<Reason>,
    /// Configuration errors: the part named is ignored.
    pub errors: Vec<String>,
    /// Configuration warnings.
    pub warnings: Vec<String>,
    /// This partition may start resources.
    pub quorate: bool,
    /// Earliest time, in seconds since the epoch, at which the plan may change by itself
    /// (failure-timeout, rules); `None` = never.
    pub recheck_at: Option<i64>,
    /// Scores and capacities in the order in which the assignment came upon them; only from
    /// [`crate::schedule_with_scores`].
    #[serde(default)]
    pub scores: Vec<Score>,
    /// All actions that were thought of, the latest first; only where [`crate::Asked::drafts`] asks
    /// for them. They do not travel.
    #[serde(skip)]
    pub drafts: Vec<Draft>,
    /// Why nothing at all was decided: the cluster is bigger than is looked at. All lists but
    /// `errors` are empty then.
    #[serde(default)]
    pub refused: Option<String>,
}

/// What `crm_simulate -s` (the first two) and `-U` (the others) show; the text is that of its
/// lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Score {
    /// Score of a node for a resource, when that was about to be assigned.
    Assignment {
        /// Name that Pacemaker's tools print for the step: `pcmk__primitive_assign` …
        stage: String,
        /// Resource, or instance or member.
        resource: String,
        /// Node.
        node: String,
        /// ±1 000 000 = infinity.
        score: i32,
    },
    /// Rank of an instance among those that may be promoted.
    Promotion {
        /// Instance.
        resource: String,
        /// Where it will be; `None` = nowhere.
        node: Option<String>,
        /// ±1 000 000 = infinity.
        score: i32,
    },
    /// What a node has left.
    Capacity {
        /// `Original`, `Remaining`.
        when: String,
        /// Node.
        node: String,
        /// By name.
        amounts: Vec<(String, i64)>,
    },
    /// What a resource takes from its node.
    Utilization {
        /// Name that Pacemaker's tools print for the step.
        stage: String,
        /// Resource.
        resource: String,
        /// Node.
        node: String,
        /// By name.
        amounts: Vec<(String, i64)>,
    },
}

impl Score {
    /// Whether `-U` shows it, not `-s`.
    #[must_use]
    pub fn is_utilization(&self) -> bool {
        matches!(self, Self::Capacity { .. } | Self::Utilization { .. })
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amounts = match self {
            Self::Assignment {
                stage,
                resource,
                node,
                score,
            } => {
                let score = readable(*score);
                return write!(f, "{stage}: {resource} allocation score on {node}: {score}");
            }
            Self::Promotion {
                resource,
                node,
                score,
            } => {
                let score = readable(*score);
                return match node {
                    Some(node) => write!(f, "{resource} promotion score on {node}: {score}"),
                    None => write!(f, "{resource} promotion score (inactive): {score}"),
                };
            }
            Self::Capacity {
                when,
                node,
                amounts,
            } => {
                write!(f, "{when}: {node} capacity:")?;
                amounts
            }
            Self::Utilization {
                stage,
                resource,
                node,
                amounts,
            } => {
                write!(f, "{stage}: {resource} utilization on {node}:")?;
                amounts
            }
        };
        amounts
            .iter()
            .try_for_each(|(name, amount)| write!(f, " {name}={amount}"))
    }
}

/// A score as people write it.
#[must_use]
pub fn readable(score: i32) -> String {
    match score {
        INFINITY.. => "INFINITY".to_owned(),
        ..=NEGATIVE_INFINITY => "-INFINITY".to_owned(),
        score => score.to_string(),
    }
}

/// A node as unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// `id` of the `node` element.
    pub id: String,
    /// `uname`.
    pub name: String,
    /// In the membership and its controller joined.
    pub online: bool,
    /// In the membership, not joined yet.
    pub pending: bool,
    /// Must be fenced before its resources can be trusted to be gone.
    pub unclean: bool,
    /// By attribute.
    pub standby: bool,
    /// By an operation's `on-fail=standby`.
    pub standby_on_fail: bool,
    /// By node attribute or property.
    pub maintenance: bool,
    /// It asked to leave.
    pub shutdown: bool,
    /// It is the DC.
    pub is_dc: bool,
    /// Resources active there.
    pub resources_running: u32,
    /// `member`, `remote` (only its executor is part of the cluster) or `guest` (the inside of a
    /// resource).
    pub kind: String,
    /// By its `#health…` attributes: 1 = green, 0 = yellow, -1 = red.
    pub health: i32,
    /// It is meant to be up.
    pub expected_up: bool,
    /// What it speaks: as it says (`#feature-set`), else as the CIB does; `<3.15.1` where neither
    /// is known to, as nodes have been saying it since then.
    pub feature_set: String,
    /// The resource whose inside a guest is.
    pub container: Option<String>,
}

/// A resource, or an instance or member of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceStatus {
    /// `id`; instances of clones carry `:N` where Pacemaker shows it.
    pub id: String,
    /// `primitive`, `group`, `clone`, `bundle`.
    pub kind: String,
    /// `ocf:heartbeat:IPaddr2`; empty for collectives.
    pub agent: String,
    /// `Started`, `Stopped`, `Promoted`, `Unpromoted`.
    pub role: String,
    /// Configured `target-role`, where set.
    pub target_role: Option<String>,
    /// Nodes where it is active.
    pub nodes: Vec<String>,
    /// Active somewhere.
    pub active: bool,
    /// No longer in the configuration.
    pub orphaned: bool,
    /// Something forbids acting on it.
    pub blocked: bool,
    /// The cluster manages it.
    pub managed: bool,
    /// In maintenance.
    pub maintenance: bool,
    /// Last operation failed.
    pub failed: bool,
    /// The operation under way, as `Starting`, `Monitoring`.
    pub pending: Option<String>,
    /// Failures that stand in the history, newest last.
    pub failures: Vec<OpFailure>,
    /// Members or instances.
    pub children: Vec<Self>,
    /// What a display of it needs.
    pub shown: Shown,
}

/// One failed operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpFailure {
    /// Operation key, `ip_monitor_10000`.
    pub key: String,
    /// Node.
    pub node: String,
    /// OCF exit code.
    pub rc: i32,
    /// PCMK_EXEC status: 0 done, 1 cancelled, 2 timed out, 4 error …
    pub op_status: i32,
    /// What the agent said.
    pub exit_reason: String,
    /// Seconds since the epoch of the last change of the result.
    pub last_rc_change: Option<i64>,
    /// Milliseconds.
    pub exec_time_ms: u64,
    /// Milliseconds.
    pub queue_time_ms: u64,
    /// History call id.
    pub call_id: i32,
}

impl OpFailure {
    /// A probe that only says that the resource cannot run there: no failure to people.
    #[must_use]
    pub fn is_masked_probe(&self) -> bool {
        self.key.ends_with("_monitor_0") && says_not_here(self.rc, self.op_status)
    }
}

/// A transition graph: synapses fire when all their inputs are done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// In Pacemaker's order.
    pub synapses: Vec<Synapse>,
    /// `cluster-delay`, milliseconds.
    pub cluster_delay_ms: u64,
    /// `stonith-timeout`/`fencing-timeout`, milliseconds.
    pub fencing_timeout_ms: u64,
    /// Most actions in flight at once; 0 = no bound given.
    pub batch_limit: u32,
    /// `migration-limit`; -1 = none.
    pub migration_limit: i32,
}

/// One action with what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synapse {
    /// Position in the graph.
    pub id: u32,
    /// Priority; higher first.
    pub priority: i32,
    /// The action.
    pub action: Action,
    /// Ids of [`Action`]s that must be confirmed first.
    pub inputs: Vec<u32>,
}

/// Kinds of actions in a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionKind {
    /// `rsc_op`: an executor runs an agent.
    Rsc,
    /// `pseudo_event`: confirmed at once.
    Pseudo,
    /// `crm_event`: the controller's own (fencing, shutdown, clear_failcount …).
    Crm,
}

/// An action of the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Number in the graph.
    pub id: u32,
    /// Kind.
    pub kind: ActionKind,
    /// `start`, `stop`, `monitor`, `promote`, `cancel`, `stonith`, `do_shutdown`, `clear_failcount` …
    pub operation: String,
    /// `ip_start_0`, named as the history names it.
    pub key: String,
    /// `ip:0_start_0`: the key by the instance's own name, where the history has another.
    #[serde(default)]
    pub internal_key: Option<String>,
    /// Target: `(id, uname)`.
    pub node: Option<(String, String)>,
    /// Node whose executor runs it, where not the target.
    pub router_node: Option<String>,
    /// Resource, for [`ActionKind::Rsc`].
    pub resource: Option<ActionResource>,
    /// Milliseconds; 0 = once.
    pub interval_ms: u64,
    /// Milliseconds.
    pub timeout_ms: u64,
    /// Milliseconds before a recurring operation's first run.
    pub start_delay_ms: u64,
    /// Exit code that means success of what was expected (probes: 7, or 0/8 by role).
    pub target_rc: i32,
    /// Failure does not stop the transition.
    pub can_fail: bool,
    /// `on-fail` in force: `restart`, `block`, `fence`, `ignore`, `stop`, `standby`, `demote`.
    pub on_fail: String,
    /// Instance parameters for the agent.
    pub params: BTreeMap<String, String>,
    /// `CRM_meta_*` without the prefix, as in the graph (`timeout`, `interval`, `on_node` …).
    pub meta: Values,
    /// Digests and restart lists to be written into the history entry (`op-digest` …).
    pub digest: Option<String>,
    /// Why, in words ("due to …"), where known.
    pub reason: Option<String>,
}

/// The resource an action is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionResource {
    /// Id as in the history (anonymous clone instances without `:N`).
    pub id: String,
    /// Id with instance, where different.
    pub long_id: Option<String>,
    /// `ocf`, `lsb`, `systemd`, `service`, `stonith`.
    pub class: String,
    /// `heartbeat` …
    pub provider: Option<String>,
    /// `IPaddr2` …
    pub kind: String,
}

/// One step of an explanation, as data; `mainstay why` renders it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reason {
    /// Resource.
    pub resource: String,
    /// Node it speaks of; `None` = about the resource as a whole.
    pub node: Option<String>,
    /// What it says.
    pub because: Because,
}

/// Kinds of reasons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Because {
    /// Chosen, with the final score.
    Chosen {
        /// Final score on that node.
        score: i32,
        /// What decided among equals, where the score did not.
        tie: Option<String>,
    },
    /// A score came from a named rule.
    Score {
        /// Amount; ±1 000 000 = infinity.
        amount: i32,
        /// `location`, `node-health`, `stickiness`, `ticket`, `node` …; `rest` where no rule can
        /// be named.
        from: String,
        /// Id of the constraint, option or operation.
        id: String,
    },
    /// A score came from being placed with another resource, or from where that would like to be.
    Together {
        /// Amount; ±1 000 000 = infinity.
        amount: i32,
        /// Id of the constraint, where somebody wrote one.
        id: Option<String>,
        /// The other resource.
        with: String,
        /// The other is placed by this one, so that its preferences count here.
        dependent: bool,
    },
    /// What all [`Self::amount`]s of the resource on the node add up to; only from
    /// [`crate::schedule_with_scores`].
    Total {
        /// ±1 000 000 = infinity.
        score: i32,
    },
    /// The node was as good as the one chosen.
    AsGood {
        /// The one chosen.
        chosen: String,
        /// What spoke for that.
        decided: String,
    },
    /// The node cannot run anything now.
    NodeUnusable {
        /// `offline`, `standby`, `maintenance`, `pending`, `unclean`, `shutdown`.
        state: String,
    },
    /// Kept stopped as asked.
    TargetRole {
        /// `Stopped`, `Unpromoted`.
        role: String,
    },
    /// Everything shall be stopped (`stop-all-resources`).
    AllStopped,
    /// Failed too often there.
    FailedTooOften {
        /// Count.
        failcount: u32,
        /// Threshold.
        threshold: u32,
    },
    /// No quorum.
    NoQuorum {
        /// `no-quorum-policy` in force.
        policy: String,
    },
    /// Waits for, or depends on, another resource.
    Needs {
        /// Which.
        resource: String,
        /// Id of the constraint, or the group.
        id: String,
    },
    /// A ticket that is not granted, or in standby, keeps it stopped or unpromoted.
    NeedsTicket {
        /// Which.
        ticket: String,
        /// Id of the constraint.
        id: String,
    },
    /// No node is left that may run it.
    Nowhere,
    /// Waits for this node to be fenced.
    WaitsForFencing {
        /// Node.
        node: String,
    },
    /// Not managed, or in maintenance.
    NotManaged,
    /// Nothing is managed, because fencing is wanted and no device is configured.
    NoFenceDevice,
    /// Blocked by a failure.
    Blocked {
        /// Operation key.
        operation: String,
    },
}

impl Because {
    /// What it adds to the score of its node, where it does.
    #[must_use]
    pub fn amount(&self) -> Option<i32> {
        match self {
            Self::Score { amount, .. } | Self::Together { amount, .. } => Some(*amount),
            Self::FailedTooOften { .. } => Some(-INFINITY),
            _ => None,
        }
    }

    /// The same with another amount, where it has one of its own.
    pub(crate) fn with_amount(&self, to: i32) -> Self {
        let mut other = self.clone();
        if let Self::Score { amount, .. } | Self::Together { amount, .. } = &mut other {
            *amount = to;
        }
        other
    }
}

/// As a pattern.
const NEGATIVE_INFINITY: i32 = -INFINITY;
