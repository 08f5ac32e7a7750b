//! Constraints: what the configuration says about where and in which order.

pub(crate) mod colocation;
pub(crate) mod location;
pub(crate) mod order;
mod tags;
pub(crate) mod ticket;

use crate::circle::Configured;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::node::ProbeMode;
use crate::options::section;
use crate::resource::Role;
use crate::rule;
use cib::{Element, Text};

/// Bits of an ordering's kind: what one action means for the other.
pub(crate) mod relation {
    /// Both are done: one after the other.
    pub(crate) const ORDERED: u32 = 1;
    /// If the first is needed, so is the second.
    pub(crate) const FIRST_IMPLIES_THEN: u32 = 1 << 1;
    /// If the first cannot run, neither can the second.
    pub(crate) const UNRUNNABLE_FIRST_BLOCKS: u32 = 1 << 2;
    /// If the second is needed, so is the first.
    pub(crate) const THEN_IMPLIES_FIRST: u32 = 1 << 3;
    /// The same, while the second's resource is promoted.
    pub(crate) const PROMOTED_THEN_IMPLIES_FIRST: u32 = 1 << 4;
    /// A second that cannot migrate or run blocks the first.
    pub(crate) const UNMIGRATABLE_THEN_BLOCKS: u32 = 1 << 5;
    /// If the first is needed, the second is shown.
    pub(crate) const FIRST_IMPLIES_THEN_GRAPHED: u32 = 1 << 6;
    /// If the second is needed, the first is shown.
    pub(crate) const THEN_IMPLIES_FIRST_GRAPHED: u32 = 1 << 7;
    /// The stop in the middle of a restart.
    pub(crate) const INTERMEDIATE_STOP: u32 = 1 << 8;
    /// Only if both are on the same node.
    pub(crate) const IF_ON_SAME_NODE: u32 = 1 << 9;
    /// Only if both are on the same node, or the second migrates there.
    pub(crate) const IF_ON_SAME_NODE_OR_TARGET: u32 = 1 << 10;
    /// Only if the first is needed, on the same node (anti-colocation).
    pub(crate) const IF_REQUIRED_ON_SAME_NODE: u32 = 1 << 11;
    /// Not if the first is part of a live migration.
    pub(crate) const IF_FIRST_UNMIGRATABLE: u32 = 1 << 12;
    /// Only this direction.
    pub(crate) const ASYMMETRIC: u32 = 1 << 13;
    /// Not at the same time.
    pub(crate) const SERIALIZE: u32 = 1 << 14;
    /// Enough of the firsts must be runnable.
    pub(crate) const MIN_RUNNABLE: u32 = 1 << 15;
    /// A needed second makes the first pointless.
    pub(crate) const THEN_CANCELS_FIRST: u32 = 1 << 16;
    /// Made by the cluster itself.
    pub(crate) const INTERNAL: u32 = 1 << 17;
    /// If the first cannot run, the second is done in full instead of as part of a migration.
    pub(crate) const FIRST_ELSE_THEN: u32 = 1 << 18;
    /// If the first is needed, so is the second on the same node.
    pub(crate) const FIRST_IMPLIES_SAME_NODE_THEN: u32 = 1 << 19;
    /// A connection's probe waits for its container, unless that runs.
    pub(crate) const NESTED_REMOTE_PROBE: u32 = 1 << 20;
}

/// Scores of a resource for some nodes.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) id: String,
    /// What it comes from, for the reasons.
    pub(crate) from: &'static str,
    pub(crate) rsc: RscId,
    pub(crate) role: Option<Role>,
    pub(crate) nodes: Vec<(NodeId, i32)>,
    pub(crate) probe: ProbeMode,
}

/// A dependent that shall, or shall not, be where a primary is.
#[derive(Clone, Debug)]
pub(crate) struct Colocation {
    pub(crate) id: String,
    pub(crate) score: i32,
    pub(crate) dependent: RscId,
    pub(crate) primary: RscId,
    pub(crate) dependent_role: Role,
    pub(crate) primary_role: Role,
    pub(crate) node_attribute: String,
    /// The dependent's preferences count for the primary even when it is active.
    pub(crate) influence: bool,
    /// Written by the user, between exactly these resources.
    pub(crate) explicit: bool,
}

/// One end of an ordering: an action, or whatever a resource has under a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrderEnd {
    pub(crate) rsc: Option<RscId>,
    /// Operation in the key.
    pub(crate) task: Text,
    pub(crate) interval_ms: u64,
    pub(crate) action: Option<ActId>,
}

/// An ordering between actions, to be applied when all actions exist.
#[derive(Clone, Debug)]
pub(crate) struct Ordering {
    pub(crate) first: OrderEnd,
    pub(crate) then: OrderEnd,
    pub(crate) kind: u32,
}

impl<'a> Cluster<'a> {
    /// Reads the constraints in document order
    /// (Pacemaker pcmk_sched_constraints.c:pcmk__unpack_constraints).
    pub(crate) fn unpack_constraints(&mut self) {
        let Some(section) = section(self.cib, "constraints") else {
            return;
        };
        self.index_histories();
        let names = self.names_behind();
        for element in &section.children {
            let Some(id) = element.id() else {
                self.errors
                    .push(format!("{}: ignored, because it has no id", element.name));
                continue;
            };
            if !self.in_force(element) {
                continue;
            }
            let expanded = self.expand_tags(&names, element);
            let element = expanded.as_ref().unwrap_or(element);
            if !self.admits_constraint(id, element) {
                return;
            }
            match element.name.as_str() {
                "rsc_location" => self.unpack_location(id, element),
                "rsc_colocation" => self.unpack_colocation(id, element),
                "rsc_order" => {
                    let from = self.orderings.len();
                    self.unpack_order(id, element);
                    self.configured_orders.push(Configured {
                        id: id.to_owned(),
                        made: from..self.orderings.len(),
                    });
                }
                "rsc_ticket" => self.unpack_ticket(id, element),
                other => self.warnings.push(format!(
                    "{other} {id}: ignored, because this kind of constraint is unknown"
                )),
            }
        }
    }

    /// An old-style `lifetime` limits a constraint to some times.
    fn in_force(&self, element: &Element) -> bool {
        element.first("lifetime").is_none_or(|lifetime| {
            let facts = self.facts();
            lifetime.all("rule").any(|r| rule::passes(r, &facts))
                || lifetime.first("rule").is_none()
        })
    }

    /// A resource a constraint names; an error is kept when there is none.
    pub(crate) fn constraint_resource(&mut self, id: &str, name: Option<&str>) -> Option<RscId> {
        let found = name.and_then(|name| self.find_configured(name));
        let found = found.filter(|rsc| !self.rscs[*rsc].flags.removed || self.is_clone(*rsc));
        if found.is_none() {
            self.errors.push(format!(
                "constraint {id}: ignored, because resource {} does not exist",
                name.unwrap_or("(unnamed)")
            ));
        }
        // Constraints on an anonymous instance are constraints on its clone.
        found.map(|rsc| {
            let top = self.top_of(rsc);
            if self.is_anonymous_clone(top) && self.rscs[rsc].parent == Some(top) {
                top
            } else {
                rsc
            }
        })
    }

    /// Notes an ordering for later.
    pub(crate) fn order(&mut self, first: OrderEnd, then: OrderEnd, kind: u32) {
        let order = Ordering { first, then, kind };
        self.orderings.push(order.clone());
        self.order_migration_equivalents(&order);
    }

    /// Orders one resource's operation before another's.
    pub(crate) fn order_ops(
        &mut self,
        first: RscId,
        first_task: &str,
        then: RscId,
        then_task: &str,
        kind: u32,
    ) {
        let (first, then) = (
            OrderEnd::op(first, first_task),
            OrderEnd::op(then, then_task),
        );
        self.order(first, then, kind);
    }

    /// Orders an action before a resource's operation.
    pub(crate) fn order_action_then(
        &mut self,
        action: ActId,
        then: RscId,
        then_task: &str,
        kind: u32,
    ) {
        let first = self.order_end(action);
        self.order(first, OrderEnd::op(then, then_task), kind);
    }

    /// Orders a resource's operation before an action.
    pub(crate) fn order_op_then(
        &mut self,
        first: RscId,
        first_task: &str,
        action: ActId,
        kind: u32,
    ) {
        let then = self.order_end(action);
        self.order(OrderEnd::op(first, first_task), then, kind);
    }

    /// The end of an ordering that is this action.
    pub(crate) fn order_end(&self, action: ActId) -> OrderEnd {
        let a = &self.actions[action];
        OrderEnd {
            rsc: a.rsc,
            task: a.op.clone(),
            interval_ms: a.interval_ms,
            action: Some(action),
        }
    }
}

impl OrderEnd {
    /// A resource's non-recurring operation.
    pub(crate) fn op(rsc: RscId, task: &str) -> Self {
        Self {
            rsc: Some(rsc),
            task: task.into(),
            interval_ms: 0,
            action: None,
        }
    }
}
