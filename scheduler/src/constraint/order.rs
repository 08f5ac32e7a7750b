//! `rsc_order`.

use super::{OrderEnd, relation};
use crate::action::flag;
use crate::cluster::{Cluster, RscId};
use crate::score;
use crate::text::parse_bool;
use cib::Element;

/// How strict an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Optional,
    Mandatory,
    Serialize,
}

/// Which direction of an order a relation expresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Symmetry {
    Asymmetric,
    Symmetric,
    Inverse,
}

/// The operation that undoes another.
fn inverse(task: &str) -> Option<&'static str> {
    Some(match task {
        "start" => "stop",
        "stop" => "start",
        "promote" => "demote",
        "demote" => "promote",
        "promoted" => "demoted",
        "demoted" => "promoted",
        "running" => "stopped",
        "stopped" => "running",
        _ => return None,
    })
}

/// Pacemaker pcmk_sched_ordering.c:ordering_flags_for_kind.
fn kind_flags(kind: Kind, first_task: &str, symmetry: Symmetry) -> u32 {
    match (kind, symmetry) {
        (Kind::Optional, _) => relation::ORDERED,
        (Kind::Serialize, _) => relation::SERIALIZE,
        (Kind::Mandatory, Symmetry::Asymmetric) => relation::ORDERED | relation::ASYMMETRIC,
        (Kind::Mandatory, Symmetry::Inverse) => relation::ORDERED | relation::THEN_IMPLIES_FIRST,
        (Kind::Mandatory, Symmetry::Symmetric) => {
            let mut flags = relation::ORDERED | relation::FIRST_IMPLIES_THEN;
            if matches!(first_task, "start" | "promote") {
                flags |= relation::UNRUNNABLE_FIRST_BLOCKS;
            }
            flags
        }
    }
}

fn kind_of(element: &Element) -> Option<Kind> {
    match element.attr("kind") {
        Some(kind) if kind.eq_ignore_ascii_case("optional") => Some(Kind::Optional),
        Some(kind) if kind.eq_ignore_ascii_case("serialize") => Some(Kind::Serialize),
        Some(_) => Some(Kind::Mandatory),
        // The oldest form has a score instead.
        None => match element.attr("score").map(score::parse) {
            Some(Some(0)) => Some(Kind::Optional),
            Some(_) => Some(Kind::Mandatory),
            None => None,
        },
    }
}

fn is_symmetric(element: &Element, default_kind: Kind, default: Option<bool>) -> bool {
    let kind = kind_of(element).unwrap_or(default_kind);
    if kind == Kind::Serialize {
        return false;
    }
    parse_bool(element.attr("symmetrical"))
        .or(default)
        .unwrap_or(true)
}

impl Cluster<'_> {
    /// Pacemaker pcmk_sched_ordering.c:pcmk__unpack_ordering.
    pub(crate) fn unpack_order(&mut self, id: &str, element: &Element) {
        let kind = kind_of(element).unwrap_or(Kind::Mandatory);
        if element.first("resource_set").is_some() {
            self.unpack_order_sets(id, element, kind);
            return;
        }
        let (Some(first), Some(then)) = (
            self.constraint_resource(id, element.attr("first")),
            self.constraint_resource(id, element.attr("then")),
        ) else {
            return;
        };
        let first_task = element.attr("first-action").unwrap_or("start");
        let then_task = element.attr("then-action").unwrap_or(first_task);
        let symmetric = is_symmetric(element, kind, None);
        let symmetry = if symmetric {
            Symmetry::Symmetric
        } else {
            Symmetry::Asymmetric
        };
        let flags = kind_flags(kind, first_task, symmetry);
        match self.min_first_instances(first, element) {
            0 => self.order_ops(first, first_task, then, then_task, flags),
            min => self.order_min_instances(id, (first, first_task), (then, then_task), flags, min),
        }
        if symmetric {
            self.order_inverse(id, kind, (first, first_task), (then, then_task));
        }
    }

    fn order_inverse(&mut self, id: &str, kind: Kind, first: (RscId, &str), then: (RscId, &str)) {
        let (Some(undo_then), Some(undo_first)) = (inverse(then.1), inverse(first.1)) else {
            self.warnings
                .push(format!("rsc_order {id}: it has no inverse"));
            return;
        };
        let flags = kind_flags(kind, undo_first, Symmetry::Inverse);
        self.order_ops(then.0, undo_then, first.0, undo_first, flags);
    }

    /// `clone-min`, or `require-all=false` for one.
    fn min_first_instances(&self, first: RscId, element: &Element) -> u32 {
        if !self.is_clone(first) {
            return 0;
        }
        if let Some(min) = self.rscs[first].meta.get("clone-min") {
            return min.parse().unwrap_or(0);
        }
        u32::from(parse_bool(element.attr("require-all")) == Some(false))
    }

    fn order_min_instances(
        &mut self,
        id: &str,
        first: (RscId, &str),
        then: (RscId, &str),
        flags: u32,
        min: u32,
    ) {
        let key = format!("clone-one-or-more:{id}");
        let gate = self.pseudo_gate(&key);
        self.actions[gate].required_runnable_before = min;
        self.actions[gate].flags |= flag::MIN_RUNNABLE;
        for child in self.rscs[first.0].children.clone() {
            let kind = relation::MIN_RUNNABLE | relation::FIRST_IMPLIES_THEN_GRAPHED;
            self.order_op_then(child, first.1, gate, kind);
        }
        let kind = flags | relation::UNRUNNABLE_FIRST_BLOCKS;
        self.order_action_then(gate, then.0, then.1, kind);
    }

    /// A pseudo action that only serves as a point in the order.
    fn pseudo_gate(&mut self, key: &str) -> usize {
        let flags = flag::OPTIONAL | flag::PSEUDO | flag::RUNNABLE;
        self.singleton(key, key, None, flags)
    }

    fn unpack_order_sets(&mut self, id: &str, element: &Element, kind: Kind) {
        let symmetric = is_symmetric(element, kind, None);
        let mut last: Option<(Vec<RscId>, &Element)> = None;
        for set in element.all("resource_set") {
            let mut members = Vec::new();
            for reference in set.all("resource_ref") {
                let Some(rsc) = self.constraint_resource(id, reference.id()) else {
                    return;
                };
                members.push(rsc);
            }
            self.order_within_set(element, set, &members, kind);
            if let Some((earlier, earlier_set)) = &last {
                self.order_between_sets(
                    id,
                    (earlier, earlier_set),
                    (&members, set),
                    kind,
                    symmetric,
                );
            }
            last = Some((members, set));
        }
    }

    fn order_within_set(
        &mut self,
        element: &Element,
        set: &Element,
        members: &[RscId],
        kind: Kind,
    ) {
        let task = set.attr("action").unwrap_or("start");
        let local_kind = kind_of(set).unwrap_or(kind);
        let default = parse_bool(element.attr("symmetrical"));
        let symmetric = is_symmetric(set, kind, default);
        let symmetry = if symmetric {
            Symmetry::Symmetric
        } else {
            Symmetry::Asymmetric
        };
        let sequential = parse_bool(set.attr("sequential")) != Some(false);
        let flags = kind_flags(local_kind, task, symmetry);
        for (index, member) in members.iter().enumerate() {
            if local_kind == Kind::Serialize {
                // Serialized orderings need one for each earlier member.
                for earlier in &members[..index] {
                    self.order_ops(*earlier, task, *member, task, flags);
                }
            } else if sequential && index > 0 {
                self.order_ops(members[index - 1], task, *member, task, flags);
            }
        }
        let Some(undo) = inverse(task).filter(|_| symmetric && sequential) else {
            return;
        };
        let flags = kind_flags(local_kind, undo, Symmetry::Inverse);
        for pair in members.windows(2) {
            self.order_ops(pair[1], undo, pair[0], undo, flags);
        }
    }

    /// Pacemaker pcmk_sched_ordering.c:order_rsc_sets.
    fn order_between_sets(
        &mut self,
        id: &str,
        first: (&[RscId], &Element),
        then: (&[RscId], &Element),
        kind: Kind,
        symmetric: bool,
    ) {
        let (first_task, then_task) = (
            first.1.attr("action").unwrap_or("start"),
            then.1.attr("action").unwrap_or("start"),
        );
        let symmetry = if symmetric {
            Symmetry::Symmetric
        } else {
            Symmetry::Asymmetric
        };
        let flags = kind_flags(kind, first_task, symmetry);
        let require_all = parse_bool(first.1.attr("require-all")) != Some(false);
        if require_all {
            self.order_set_pairs(first, first_task, then, then_task, (flags, false));
        } else {
            self.order_any_of_set(id, first, first_task, then, then_task, flags);
        }
        if let (true, Some(undo_first), Some(undo_then)) =
            (symmetric, inverse(first_task), inverse(then_task))
        {
            let flags = kind_flags(kind, undo_first, Symmetry::Inverse);
            self.order_set_pairs(then, undo_then, first, undo_first, (flags, true));
        }
    }

    fn order_set_pairs(
        &mut self,
        first: (&[RscId], &Element),
        first_task: &str,
        then: (&[RscId], &Element),
        then_task: &str,
        (flags, back): (u32, bool),
    ) {
        // Only the ends of sequential sets need ordering; on the way back they are the other ends.
        // Unlike within a set, a set counts as sequential here only where that is said.
        let sequential = |set: &Element| parse_bool(set.attr("sequential")) == Some(true);
        let pick = |(members, set): (&[RscId], &Element), last: bool| -> Vec<RscId> {
            if !sequential(set) {
                return members.to_vec();
            }
            let member = if last {
                members.last()
            } else {
                members.first()
            };
            member.copied().into_iter().collect()
        };
        for before in pick(first, !back) {
            for after in pick(then, back) {
                self.order_ops(before, first_task, after, then_task, flags);
            }
        }
    }

    fn order_any_of_set(
        &mut self,
        id: &str,
        first: (&[RscId], &Element),
        first_task: &str,
        then: (&[RscId], &Element),
        then_task: &str,
        flags: u32,
    ) {
        let key = format!("one-or-more:{}", first.1.id().unwrap_or(id));
        let gate = self.pseudo_gate(&key);
        self.actions[gate].flags |= flag::MIN_RUNNABLE;
        for member in first.0 {
            let kind = relation::MIN_RUNNABLE | relation::FIRST_IMPLIES_THEN_GRAPHED;
            self.order_op_then(*member, first_task, gate, kind);
        }
        for member in then.0 {
            let end = OrderEnd::op(*member, then_task);
            let gate_end = self.order_end(gate);
            self.order(gate_end, end, flags | relation::UNRUNNABLE_FIRST_BLOCKS);
        }
    }
}
