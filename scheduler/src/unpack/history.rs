//! `lrm_resource`: what was done on a node, in order, and what that means for the resource.

use super::failures::rc;
use crate::cluster::{Cluster, NodeId, RscId};
use crate::ledger::named;
use crate::operation::OnFail;
use crate::resource::{MultipleActive, Role, Variant};
use crate::score::INFINITY;
use cib::Element;
use std::cmp::Ordering;

/// History of one resource on one node.
#[derive(Clone, Debug)]
pub(crate) struct ResourceHistory<'a> {
    pub(crate) node: NodeId,
    pub(crate) rsc: RscId,
    pub(crate) xml: &'a Element,
    /// Oldest first.
    pub(crate) ops: Vec<HistoryOp<'a>>,
}

/// One `lrm_rsc_op`.
#[derive(Clone, Debug)]
pub(crate) struct HistoryOp<'a> {
    pub(crate) xml: &'a Element,
    pub(crate) id: &'a str,
    pub(crate) task: &'a str,
    pub(crate) interval_ms: u64,
    pub(crate) rc: i32,
    pub(crate) status: i32,
    /// Expected result; -1 = unknown.
    pub(crate) target_rc: i32,
    pub(crate) call_id: i32,
    pub(crate) last_rc_change: Option<i64>,
    /// The failure expired: run it again.
    pub(crate) reschedule: bool,
}

/// Values of `op-status` (Pacemaker results.h:pcmk_exec_status).
pub(crate) mod exec {
    pub(crate) const PENDING: i32 = -1;
    pub(crate) const DONE: i32 = 0;
    pub(crate) const CANCELLED: i32 = 1;
    pub(crate) const NOT_SUPPORTED: i32 = 3;
    pub(crate) const ERROR: i32 = 4;
    pub(crate) const ERROR_HARD: i32 = 5;
    pub(crate) const ERROR_FATAL: i32 = 6;
    pub(crate) const NOT_INSTALLED: i32 = 7;
    pub(crate) const NO_FENCE_DEVICE: i32 = 10;
    pub(crate) const NO_SECRETS: i32 = 12;
    pub(crate) const MAX: i32 = 12;
}

impl<'a> HistoryOp<'a> {
    /// Reads an entry; what is missing gets neutral values.
    fn parse(xml: &'a Element) -> Self {
        let number = |name: &str| xml.attr(name).map(leading_number::<i32>);
        Self {
            xml,
            id: xml.id().unwrap_or(""),
            task: xml.attr("operation").unwrap_or(""),
            interval_ms: xml.attr("interval").and_then(leading_number).unwrap_or(0),
            rc: number("rc-code").flatten().unwrap_or(-1),
            // Nonsense is as good as pending; without any the entry says nothing.
            status: number("op-status").map_or(i32::MIN, |n| n.unwrap_or(exec::PENDING)),
            target_rc: target_rc(xml),
            call_id: number("call-id").flatten().unwrap_or(0),
            last_rc_change: xml.attr("last-rc-change").and_then(leading_number),
            reschedule: false,
        }
    }

    /// `operation_key`, or the id in very old entries.
    pub(crate) fn key(&self) -> &'a str {
        self.xml.attr("operation_key").unwrap_or(self.id)
    }

    /// A probe.
    pub(crate) fn is_probe(&self) -> bool {
        self.task == "monitor" && self.interval_ms == 0
    }

    /// A probe failure that only says that the resource cannot run there.
    pub(crate) fn is_masked_probe(&self) -> bool {
        self.is_probe() && says_not_here(self.rc, self.status)
    }
}

/// Whether a probe's result says that the resource cannot run on that node, and so does not: no
/// agent, or parameters that are of no use there (Pacemaker probes.c:pcmk_xe_mask_probe_failure).
pub(crate) fn says_not_here(rc: i32, op_status: i32) -> bool {
    matches!(rc, rc::INVALID_PARAM | rc::NOT_INSTALLED) || op_status == exec::NOT_INSTALLED
}

/// A number of an entry; what stands behind it does not count
/// (Pacemaker strings.c:pcmk__scan_ll, which only warns of it).
pub(super) fn leading_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    text[..sign + digits].parse().ok()
}

/// The last field of `transition-key`, `ACTION:TRANSITION:TARGET_RC:UUID`.
fn target_rc(xml: &Element) -> i32 {
    xml.attr("transition-key")
        .and_then(|key| key.split(':').nth(2))
        .and_then(|rc| rc.parse().ok())
        .unwrap_or(-1)
}

/// Transition number and graph identity of `transition-magic`,
/// `STATUS:RC;ACTION:TRANSITION:TARGET_RC:UUID`.
fn magic(xml: &Element) -> Option<(i64, &str)> {
    let (_, key) = xml.attr("transition-magic")?.split_once(';')?;
    let mut fields = key.splitn(4, ':');
    let _action = fields.next()?;
    let transition = fields.next()?.parse().ok()?;
    let _target = fields.next()?;
    Some((transition, fields.next()?))
}

/// Whether `a` is newer; call ids only tell between entries of one node.
pub(super) fn is_newer(a: &Element, b: &Element, same_node: bool) -> bool {
    let same_node = match (a.attr("on_node"), b.attr("on_node")) {
        (Some(x), Some(y)) => x.eq_ignore_ascii_case(y),
        _ => same_node,
    };
    compare_age(&HistoryOp::parse(a), &HistoryOp::parse(b), same_node) == Ordering::Greater
}

fn by_age(a: &HistoryOp, b: &HistoryOp) -> Ordering {
    compare_age(a, b, true)
}

/// Which of two entries is older (Pacemaker pe utils.c:pe__is_newer_op).
fn compare_age(a: &HistoryOp, b: &HistoryOp, same_node: bool) -> Ordering {
    if same_node && a.id == b.id {
        return Ordering::Equal;
    }
    let (x, y) = (a.call_id, b.call_id);
    if x == -1 && y == -1 {
        return Ordering::Equal;
    }
    if same_node && x >= 0 && x < y {
        return Ordering::Less;
    }
    if same_node && y >= 0 && x > y {
        return Ordering::Greater;
    }
    if x >= 0 && y >= 0 {
        // The operation and its last failure are the same call.
        let (last_a, last_b) = (a.last_rc_change, b.last_rc_change);
        return match (last_a.unwrap_or(-1), last_b.unwrap_or(-1)) {
            (a, b) if a >= 0 && a < b => Ordering::Less,
            (a, b) if b >= 0 && a > b => Ordering::Greater,
            _ => Ordering::Equal,
        };
    }
    // One is pending: its place follows from the transitions.
    let (Some((id_a, uuid_a)), Some((id_b, uuid_b))) = (magic(a.xml), magic(b.xml)) else {
        return Ordering::Equal;
    };
    if !uuid_a.eq_ignore_ascii_case(uuid_b) || id_a == id_b {
        if y == -1 {
            return Ordering::Less;
        }
        return if x == -1 {
            Ordering::Greater
        } else {
            Ordering::Equal
        };
    }
    if (id_a >= 0 && id_a < id_b) || id_b == -1 {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

/// Entries oldest first. The comparison is no total order, so the sort must not rely on one.
fn sorted(entry: &Element) -> Vec<HistoryOp<'_>> {
    // Pacemaker prepends before it sorts.
    let mut ops: Vec<HistoryOp> = entry.all("lrm_rsc_op").map(HistoryOp::parse).collect();
    ops.reverse();
    merge_sort(ops)
}

/// Stable merge sort that accepts any comparison.
fn merge_sort<'a>(mut ops: Vec<HistoryOp<'a>>) -> Vec<HistoryOp<'a>> {
    if ops.len() < 2 {
        return ops;
    }
    let right = merge_sort(ops.split_off(ops.len() / 2));
    let left = merge_sort(ops);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let from = if by_age(a, b) == Ordering::Greater {
            &mut right
        } else {
            &mut left
        };
        merged.extend(from.next());
    }
    merged.extend(left);
    merged.extend(right);
    merged
}

/// Positions of the last start and the last stop (Pacemaker unpack.c:calculate_active_ops).
pub(crate) fn active_range(ops: &[HistoryOp]) -> (i64, i64) {
    let (mut start, mut stop) = (-1i64, -1i64);
    let (mut implied_monitor, mut implied_promotion) = (-1i64, -1i64);
    for (index, op) in ops.iter().enumerate() {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        if op.task == "stop" && op.status == exec::DONE {
            stop = index;
        } else if op.task == "start" || op.task == "migrate_from" {
            start = index;
        } else if implied_monitor <= stop && op.task == "monitor" {
            if op.rc == 0 || op.rc == 8 {
                implied_monitor = index;
            }
        } else if op.task == "promote" || op.task == "demote" {
            implied_promotion = index;
        }
    }
    if start == -1 {
        start = if implied_promotion == -1 {
            implied_monitor
        } else {
            implied_promotion
        };
    }
    (start, stop)
}

impl<'a> Cluster<'a> {
    /// All resources a node has a history of.
    pub(crate) fn unpack_node_history(&mut self, node: NodeId, state: &'a Element) {
        let Some(entries) = state
            .first("lrm")
            .and_then(|lrm| lrm.first("lrm_resources"))
        else {
            return;
        };
        for entry in entries.all("lrm_resource") {
            self.unpack_resource_history(node, entry);
        }
        for entry in entries.all("lrm_resource") {
            self.link_removed_container(entry);
        }
    }

    /// Pacemaker unpack.c:unpack_lrm_resource.
    fn unpack_resource_history(&mut self, node: NodeId, entry: &'a Element) {
        let Some(id) = entry.id() else {
            return;
        };
        let empty = entry.first("lrm_rsc_op").is_none();
        if empty && !self.options.shutdown_lock {
            return;
        }
        let rsc = match self.resource_of_history(node, id) {
            Some(rsc) => rsc,
            None if empty || !self.admits_resource() => return,
            None => self.removed_resource(id, entry),
        };
        self.unpack_lock(rsc, node, entry);
        let saved_role = self.rscs[rsc].role;
        self.rscs[rsc].role = Role::Unknown;

        let mut ops = sorted(entry);
        let mut on_fail = OnFail::Ignore;
        let mut last_failure = None;
        for op in &mut ops {
            // Unpacking remaps results; later stages want them as recorded.
            let mut remapped = op.clone();
            self.unpack_operation(rsc, node, &mut remapped, &mut last_failure, &mut on_fail);
            op.reschedule = remapped.reschedule;
        }
        self.note_recurring(rsc, node, &ops);
        self.apply_history(rsc, node, on_fail);

        if let Some(wanted) = self.target_role(rsc) {
            let next = self.rscs[rsc].next_role;
            if next == Role::Unknown || wanted < next {
                self.set_next_role(rsc, wanted);
            }
        }
        if saved_role > self.rscs[rsc].role {
            self.rscs[rsc].role = saved_role;
        }
        self.histories.push(ResourceHistory {
            node,
            rsc,
            xml: entry,
            ops,
        });
    }

    /// A resource that is in the history only (Pacemaker unpack.c:process_removed_resource).
    fn removed_resource(&mut self, id: &str, entry: &'a Element) -> RscId {
        // An obsolete entry may carry the id of what is now a collective.
        let rsc = self.add_resource(
            id.to_owned(),
            id,
            "primitive",
            Variant::Primitive,
            vec![entry],
            None,
        );
        self.unpack_attributes(rsc);
        self.rscs[rsc].flags.removed = true;
        if self.options.symmetric {
            self.allow_everywhere(rsc);
        }
        if self.options.stop_removed_resources {
            self.ban_everywhere(rsc, "removed", "");
        } else {
            self.rscs[rsc].flags.managed = false;
        }
        self.top.push(rsc);
        self.documents.push(rsc);
        self.link_removed_connection(rsc, entry);
        rsc
    }

    /// Recurring operations that run count as done already
    /// (Pacemaker unpack.c:process_recurring).
    fn note_recurring(&mut self, rsc: RscId, node: NodeId, ops: &[HistoryOp]) {
        if !self.nodes[node].online {
            return;
        }
        let (start, stop) = active_range(ops);
        for (index, op) in ops.iter().enumerate() {
            let index = i64::try_from(index).unwrap_or(i64::MAX);
            let inactive = start < stop && index <= stop;
            if inactive || index < start || op.interval_ms == 0 || op.status == exec::PENDING {
                continue;
            }
            self.action(rsc, op.task, op.interval_ms, Some(node), true);
        }
    }

    /// What the history as a whole means for the resource and the node
    /// (Pacemaker unpack.c:process_rsc_state).
    fn apply_history(&mut self, rsc: RscId, node: NodeId, on_fail: OnFail) {
        let known_active = self.rscs[rsc].role > Role::Stopped;
        if self.rscs[rsc].role != Role::Unknown {
            self.mark_known(rsc, node);
        }
        let n = &self.nodes[node];
        if known_active && !n.online && !n.maintenance && self.rscs[rsc].flags.managed {
            self.distrust_node(rsc, node);
        }
        // After the node is shot, failures there do not matter.
        let effective = if self.nodes[node].unclean {
            OnFail::Ignore
        } else {
            on_fail
        };
        self.apply_failure(rsc, node, effective, known_active);
        if self.rscs[rsc].flags.failed
            && let Some(name) = self.rscs[rsc].remote_name.clone()
            && let Some(behind) = self.find_node(&name)
            && self.is_remote(behind)
            && !self.nodes[behind].was_fenced
        {
            self.nodes[behind].unseen = false;
        }
        if known_active {
            self.add_active(rsc, node, on_fail != OnFail::Ignore);
            let flags = &mut self.rscs[rsc].flags;
            match effective {
                OnFail::Ignore => {}
                OnFail::Demote | OnFail::Block => flags.failed = true,
                _ => {
                    flags.failed = true;
                    flags.stop_if_failed = true;
                }
            }
        } else if self.rscs[rsc]
            .history_id
            .as_deref()
            .is_some_and(|id| id.contains(':'))
        {
            // Histories before 1.1.8 numbered their instances.
            self.rscs[rsc].history_id = None;
        } else {
            for stop in self.find_actions(rsc, "stop", 0, Some(node)) {
                self.actions[stop].flags |= crate::action::flag::OPTIONAL;
            }
        }
        // The stop on the source does not stop it on the target.
        let r = &mut self.rscs[rsc];
        if r.role == Role::Stopped
            && r.partial_source == Some(node)
            && r.partial_target.is_some()
            && !r.active.is_empty()
        {
            r.role = Role::Started;
        }
    }

    /// Something is active on a node that is not here
    /// (first part of Pacemaker unpack.c:process_rsc_state).
    fn distrust_node(&mut self, rsc: RscId, node: NodeId) {
        let id = self.rscs[rsc].id.clone();
        if self.is_guest(node) {
            // Recovering the container recovers this, too.
            self.rscs[rsc].flags.failed = true;
            self.rscs[rsc].flags.stop_if_failed = true;
        } else if !self.options.fencing {
            return;
        }
        let connection = self.nodes[node].connection.filter(|_| self.is_remote(node));
        if let Some(connection) = connection
            && !self.rscs[connection].flags.failed
        {
            // Fencing is not needed if the connection comes up elsewhere.
            self.nodes[node].unseen = true;
            let reason = format!(
                "{id} is active there (fencing will be revoked if remote connection can be re-established elsewhere)"
            );
            self.fence_node(node, &reason, false);
            return;
        }
        let reason = format!("{id} is thought to be active there");
        self.fence_node(node, &reason, false);
    }

    /// What runs in a guest is as dear to the guest's host
    /// (Pacemaker native.c:native_priority_to_node).
    fn add_node_priority(&mut self, node: NodeId, priority: i64) {
        self.nodes[node].priority += priority;
        if let Some(container) = self.container_of(node) {
            for host in &self.rscs[container].active {
                self.nodes[*host].priority += priority;
            }
        }
    }

    fn mark_known(&mut self, rsc: RscId, node: NodeId) {
        let mut at = Some(rsc);
        while let Some(id) = at {
            if !self.rscs[id].known_on.contains(&node) {
                self.rscs[id].known_on.push(node);
            }
            if self.rscs[id].flags.unique {
                break;
            }
            at = self.rscs[id].parent;
        }
    }

    /// Notes that a resource is active on a node, with what follows when it is on several
    /// (Pacemaker native.c:native_add_running).
    pub(crate) fn add_active(&mut self, rsc: RscId, node: NodeId, failed: bool) {
        if self.rscs[rsc].active.contains(&node) {
            return;
        }
        self.rscs[rsc].active.push(node);
        if self.is_primitive(rsc) {
            self.nodes[node].running.push(rsc);
            if !failed {
                let promoted = i64::from(self.rscs[rsc].role == Role::Promoted);
                let priority = i64::from(self.rscs[rsc].priority);
                if priority != 0 {
                    self.add_node_priority(node, priority + promoted);
                }
            }
            if self.nodes[node].maintenance {
                self.rscs[rsc].flags.managed = false;
                self.rscs[rsc].flags.maintenance = true;
            }
        }
        let parent = self.rscs[rsc].parent;
        if !self.rscs[rsc].flags.managed {
            self.add_score(rsc, node, &named("unmanaged", "is-managed")(INFINITY));
            let mut at = parent;
            while let Some(id) = at {
                if !self.rscs[id].active.contains(&node) {
                    self.rscs[id].active.push(node);
                }
                at = self.rscs[id].parent;
            }
            return;
        }
        if self.is_primitive(rsc) {
            self.handle_multiply_active(rsc);
        }
        if let Some(parent) = parent {
            self.add_active(parent, node, false);
        }
    }

    fn handle_multiply_active(&mut self, rsc: RscId) {
        let (_, all, clean) = self.active_node(rsc);
        let count = if self.rscs[rsc].flags.needs_fencing {
            all
        } else {
            clean
        };
        if count < 2 {
            return;
        }
        match self.rscs[rsc].multiple_active {
            MultipleActive::StopOnly => {
                let nodes = self.nodes.len();
                self.rscs[rsc].allowed.ban_all(nodes);
                self.settle(rsc, "multiple-active", "stop_only");
            }
            MultipleActive::Block => {
                let mut affected = vec![rsc];
                if let Some(parent) = self.rscs[rsc].parent
                    && self.rscs[parent].variant == Variant::Group
                    && self.rscs[parent].multiple_active == MultipleActive::Block
                {
                    affected.clone_from(&self.rscs[parent].children);
                }
                for rsc in affected {
                    self.rscs[rsc].flags.managed = false;
                    self.rscs[rsc].flags.blocked = true;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_number_does_not_count() {
        assert_eq!(leading_number("7"), Some(7));
        assert_eq!(leading_number(" -1 "), Some(-1));
        assert_eq!(leading_number("1.5"), Some(1));
        assert_eq!(leading_number("0x7"), Some(0));
        assert_eq!(leading_number::<i32>("abc"), None);
        assert_eq!(leading_number::<i32>("-"), None);
        assert_eq!(leading_number::<i32>("99999999999999999999"), None);
    }

    #[test]
    fn an_entry_without_a_result_says_nothing_and_nonsense_is_pending() {
        let parse = |attrs: &[(&str, &str)]| {
            let mut xml = Element::new("lrm_rsc_op");
            attrs.iter().for_each(|(name, value)| xml.set(name, value));
            let op = HistoryOp::parse(&xml);
            (op.rc, op.status)
        };
        assert_eq!(parse(&[]), (-1, i32::MIN));
        assert_eq!(
            parse(&[("rc-code", "x"), ("op-status", "x")]),
            (-1, exec::PENDING)
        );
        assert_eq!(parse(&[("rc-code", "7x"), ("op-status", "4,")]), (7, 4));
    }
}
