//! Resources: one arena entry for each primitive, group, clone, instance and member.

pub(crate) mod bundle;
pub(crate) mod clone;
pub(crate) mod group;
pub(crate) mod instances;
pub(crate) mod primitive;
pub(crate) mod promotable;

use crate::cluster::{ActId, Cluster, ColId, NodeId, RscId};
use crate::constraint::ticket::TicketNeed;
use crate::node::Table;
use cib::Element;
use std::collections::BTreeMap;

/// Kind of resource, in the order in which colocations prefer them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variant {
    Primitive,
    Group,
    Clone,
    Bundle,
}

/// Roles, ordered as transitions need them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    #[default]
    Unknown,
    Stopped,
    Started,
    Unpromoted,
    Promoted,
}

impl Role {
    /// Reads a role in new and old spellings.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        if is("Started") {
            Some(Self::Started)
        } else if is("Stopped") {
            Some(Self::Stopped)
        } else if is("Unpromoted") || is("Slave") {
            Some(Self::Unpromoted)
        } else if is("Promoted") || is("Master") {
            Some(Self::Promoted)
        } else {
            None
        }
    }

    /// Shown name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Stopped => "Stopped",
            Self::Started => "Started",
            Self::Unpromoted => "Unpromoted",
            Self::Promoted => "Promoted",
        }
    }
}

/// What to do when a resource is found active on several nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MultipleActive {
    StopStart,
    StopOnly,
    Block,
    StopUnexpected,
}

/// Yes/no facts about a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) managed: bool,
    pub(crate) maintenance: bool,
    pub(crate) blocked: bool,
    /// In the history only.
    pub(crate) removed: bool,
    pub(crate) failed: bool,
    /// The failure calls for a stop.
    pub(crate) stop_if_failed: bool,
    pub(crate) ignore_failure: bool,
    /// Instances can be told apart (everything that is not an anonymous clone's).
    pub(crate) unique: bool,
    pub(crate) promotable: bool,
    pub(crate) notify: bool,
    pub(crate) critical: bool,
    pub(crate) migratable: bool,
    pub(crate) fence_device: bool,
    pub(crate) needs_fencing: bool,
    pub(crate) needs_quorum: bool,
    pub(crate) needs_unfencing: bool,
    /// Not assigned to a node yet.
    pub(crate) unassigned: bool,
    /// Being assigned: breaks loops.
    pub(crate) assigning: bool,
    /// Scores being merged: breaks loops.
    pub(crate) merging: bool,
    pub(crate) start_pending: bool,
    pub(crate) reload: bool,
    pub(crate) restarting: bool,
    pub(crate) stop_unexpected: bool,
    pub(crate) exclusive_probes: bool,
    /// A connection to a bundle's inside, which may be on a remote node itself.
    pub(crate) remote_nesting: bool,
    /// A bundle's container.
    pub(crate) replica_container: bool,
    /// Promotion scores are part of the node scores.
    pub(crate) promotion_added: bool,
    /// Instances stand in the order of promotion.
    pub(crate) promotion_sorted: bool,
}

/// Clone properties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloneData {
    pub(crate) max: u32,
    pub(crate) node_max: u32,
    pub(crate) promoted_max: u32,
    pub(crate) promoted_node_max: u32,
    pub(crate) ordered: bool,
    pub(crate) interleave: bool,
    /// Instances made so far, removed ones included.
    pub(crate) total: u32,
}

/// An operation as configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpConfig<'a> {
    pub(crate) xml: &'a Element,
    pub(crate) interval_ms: u64,
    pub(crate) enabled: bool,
}

impl<'a> OpConfig<'a> {
    /// `name`.
    pub(crate) fn name(&self) -> &'a str {
        self.xml.attr("name").unwrap_or("")
    }

    /// `role`, if it is one.
    pub(crate) fn role(&self) -> Option<Role> {
        self.xml.attr("role").and_then(Role::parse)
    }
}

/// A resource and what is known about it.
#[derive(Clone, Debug)]
pub(crate) struct Resource<'a> {
    /// Id with instance number.
    pub(crate) id: String,
    /// Id in the configuration.
    pub(crate) xml_id: String,
    /// Element name: `primitive`, `group`, `clone` …
    pub(crate) tag: &'static str,
    pub(crate) variant: Variant,
    pub(crate) parent: Option<RscId>,
    pub(crate) children: Vec<RscId>,
    /// The configuration, and the template behind it.
    pub(crate) sources: Vec<&'a Element>,
    pub(crate) class: String,
    pub(crate) provider: Option<String>,
    pub(crate) kind: String,
    pub(crate) ops: Vec<OpConfig<'a>>,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) flags: Flags,
    pub(crate) role: Role,
    pub(crate) next_role: Role,
    pub(crate) priority: i32,
    pub(crate) stickiness: i32,
    /// Failures after which a node is banned; 0 = never.
    pub(crate) migration_threshold: u32,
    /// 0 = failures never expire.
    pub(crate) failure_timeout_ms: u64,
    pub(crate) multiple_active: MultipleActive,
    pub(crate) clone: Option<CloneData>,
    /// Groups: members one after the other, members together.
    pub(crate) group_ordered: bool,
    pub(crate) group_colocated: bool,
    pub(crate) allowed: Table,
    /// Nodes where the state is known.
    pub(crate) known_on: Vec<NodeId>,
    /// Nodes where it is active, in the order found.
    pub(crate) active: Vec<NodeId>,
    pub(crate) assigned: Option<NodeId>,
    /// Score the node had when it was chosen.
    pub(crate) assigned_score: i32,
    /// Rank among the instances to be promoted.
    pub(crate) promotion_sort: i32,
    pub(crate) tickets: Vec<TicketNeed>,
    /// Node it is locked to while that is down, and since when.
    pub(crate) lock: Option<(NodeId, i64)>,
    /// What it takes from its node's capacity.
    pub(crate) utilization: crate::utilization::Amounts,
    /// A migration that may go on: where it comes from, and goes to.
    pub(crate) partial_source: Option<NodeId>,
    pub(crate) partial_target: Option<NodeId>,
    /// Sources of migrations that ended without a stop there.
    pub(crate) dangling: Vec<NodeId>,
    /// Name of the remote node it connects to.
    pub(crate) remote_name: Option<String>,
    /// Time between attempts to connect, milliseconds; 0 = at once.
    pub(crate) reconnect_ms: u64,
    /// What contains it, and what it contains.
    pub(crate) container: Option<RscId>,
    pub(crate) fillers: Vec<RscId>,
    /// Of bundles.
    pub(crate) replicas: Vec<bundle::Replica>,
    /// Name used in the history, where different.
    pub(crate) history_id: Option<String>,
    pub(crate) pending_action: Option<String>,
    pub(crate) pending_node: Option<NodeId>,
    /// In order of creation; Pacemaker's lists are the reverse.
    pub(crate) actions: Vec<ActId>,
    /// Colocations of this resource with others, and of others with it, by priority.
    pub(crate) this_with: Vec<ColId>,
    pub(crate) with_this: Vec<ColId>,
}

impl Cluster<'_> {
    /// Topmost ancestor; bundles are above it (Pacemaker complex.c:uber_parent).
    pub(crate) fn top_of(&self, rsc: RscId) -> RscId {
        let mut top = rsc;
        while let Some(parent) = self.rscs[top].parent {
            if self.rscs[parent].variant == Variant::Bundle {
                break;
            }
            top = parent;
        }
        top
    }

    /// Whether `ancestor` is above `rsc`.
    pub(crate) fn is_ancestor(&self, rsc: RscId, ancestor: RscId) -> bool {
        let mut at = self.rscs[rsc].parent;
        while let Some(parent) = at {
            if parent == ancestor {
                return true;
            }
            at = self.rscs[parent].parent;
        }
        false
    }

    /// Whether it is a clone.
    pub(crate) fn is_clone(&self, rsc: RscId) -> bool {
        self.rscs[rsc].variant == Variant::Clone
    }

    /// Whether it is a primitive.
    pub(crate) fn is_primitive(&self, rsc: RscId) -> bool {
        self.rscs[rsc].variant == Variant::Primitive
    }

    /// Whether it is a clone whose instances are interchangeable.
    pub(crate) fn is_anonymous_clone(&self, rsc: RscId) -> bool {
        self.is_clone(rsc) && !self.rscs[rsc].flags.unique
    }

    /// Current or next role; of collectives, the highest among the members.
    pub(crate) fn state_of(&self, rsc: RscId, current: bool) -> Role {
        let r = &self.rscs[rsc];
        if r.variant == Variant::Bundle {
            let containers = r.replicas.iter().map(|replica| replica.container);
            return containers
                .map(|container| self.state_of(container, current))
                .max()
                .unwrap_or_default();
        }
        if r.children.is_empty() {
            return if current { r.role } else { r.next_role };
        }
        r.children
            .iter()
            .map(|child| self.state_of(*child, current))
            .max()
            .unwrap_or_default()
    }

    /// Nodes where it is (or will be), without repetition, in the order found.
    pub(crate) fn locations_of(&self, rsc: RscId, current: bool) -> Vec<NodeId> {
        let mut nodes = Vec::new();
        self.collect_locations(rsc, current, &mut nodes);
        nodes
    }

    fn collect_locations(&self, rsc: RscId, current: bool, nodes: &mut Vec<NodeId>) {
        let r = &self.rscs[rsc];
        if r.variant == Variant::Primitive {
            let found: &[NodeId] = if current {
                &r.active
            } else {
                r.assigned.as_slice()
            };
            for node in found {
                if !nodes.contains(node) {
                    nodes.push(*node);
                }
            }
        }
        for child in &r.children {
            self.collect_locations(*child, current, nodes);
        }
    }

    /// The one node where it is (or will be), if there is exactly one.
    pub(crate) fn location_of(&self, rsc: RscId, current: bool) -> Option<NodeId> {
        match self.locations_of(rsc, current)[..] {
            [node] => Some(node),
            _ => None,
        }
    }

    /// Where it counts as active, with the number of nodes in all and of those that are up and
    /// trusted (Pacemaker complex.c:pe__count_active_node).
    pub(crate) fn active_node(&self, rsc: RscId) -> (Option<NodeId>, usize, usize) {
        let r = &self.rscs[rsc];
        let active = self.locations_of(rsc, true);
        let clean = active.iter().filter(|n| self.nodes[**n].alive()).count();
        let mut chosen = active.first().copied();
        if let Some(source) = r.partial_source {
            // A migrating resource counts where it comes from.
            if active.contains(&source) {
                chosen = Some(source);
            }
        } else if !r.flags.needs_fencing {
            chosen = active
                .iter()
                .copied()
                .find(|n| self.nodes[*n].alive())
                .or(chosen);
        }
        (chosen, active.len(), clean)
    }

    /// Where it counts as active.
    pub(crate) fn current_node(&self, rsc: RscId) -> Option<NodeId> {
        self.active_node(rsc).0
    }

    /// Whether it is active anywhere that counts (Pacemaker native.c:native_active).
    pub(crate) fn is_active(&self, rsc: RscId) -> bool {
        let r = &self.rscs[rsc];
        if r.variant != Variant::Primitive {
            return r.children.iter().any(|child| self.is_active(*child));
        }
        r.active.iter().any(|node| {
            let node = &self.nodes[*node];
            node.unclean || node.online || !r.flags.managed
        })
    }

    /// Whether it, or anything in it, is blocked.
    pub(crate) fn is_blocked(&self, rsc: RscId) -> bool {
        let r = &self.rscs[rsc];
        r.flags.blocked || r.children.iter().any(|child| self.is_blocked(*child))
    }

    /// Sets the role it shall have.
    pub(crate) fn set_next_role(&mut self, rsc: RscId, role: Role) {
        self.rscs[rsc].next_role = role;
    }
}

impl<'a> Cluster<'a> {
    /// The operation configured under this name and interval
    /// (Pacemaker pe_actions.c:find_rsc_op_entry_helper).
    pub(crate) fn op_config(
        &self,
        rsc: RscId,
        name: &str,
        interval_ms: u64,
        include_disabled: bool,
    ) -> Option<OpConfig<'a>> {
        let find = |name: &str, interval_ms: u64| {
            self.rscs[rsc].ops.iter().copied().find(|op| {
                op.interval_ms == interval_ms
                    && (include_disabled || op.enabled)
                    && op.name().eq_ignore_ascii_case(name)
            })
        };
        find(name, interval_ms).or_else(|| {
            matches!(name, "migrate_to" | "migrate_from")
                .then(|| find("migrate", 0))
                .flatten()
        })
    }
}
