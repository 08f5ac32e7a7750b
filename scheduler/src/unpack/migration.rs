//! Migrations in the history: where a resource may be active because of one, and whether it can
//! go on (Pacemaker unpack.c:unpack_migrate_to_success and its neighbours).

use super::history::{HistoryOp, exec, is_newer, leading_number};
use crate::cluster::{Cluster, NodeId, RscId};
use crate::resource::Role;
use cib::Element;

impl<'a> Cluster<'a> {
    /// Entries of a resource in the history of a node.
    fn entries_of(&self, rsc: RscId, node: &str) -> Vec<&'a Element> {
        let r = &self.rscs[rsc];
        let id = r.history_id.as_deref().unwrap_or(&r.id);
        let state = self.status.and_then(|status| {
            status
                .all("node_state")
                .find(|s| s.attr("uname") == Some(node))
        });
        state
            .and_then(|s| s.first("lrm"))
            .and_then(|lrm| lrm.first("lrm_resources"))
            .and_then(|all| all.all("lrm_resource").find(|entry| entry.id() == Some(id)))
            .map(|entry| entry.all("lrm_rsc_op").collect())
            .unwrap_or_default()
    }

    /// The `migrate_from` or `migrate_to` at the other end.
    fn other_end(
        &self,
        rsc: RscId,
        task: &str,
        node: &str,
        other: &str,
        successful: bool,
    ) -> Option<&'a Element> {
        let partner = if task == "migrate_to" {
            "migrate_target"
        } else {
            "migrate_source"
        };
        let op = self
            .entries_of(rsc, node)
            .into_iter()
            .find(|op| op.attr("operation") == Some(task) && op.attr(partner) == Some(other))?;
        let worked = op.attr("rc-code") == Some("0") && op.attr("op-status") == Some("0");
        (!successful || worked).then_some(op)
    }

    fn unknown_on(&self, rsc: RscId, node: &str) -> bool {
        !self
            .entries_of(rsc, node)
            .iter()
            .any(|op| op.attr("rc-code") != Some("193"))
    }

    fn any_newer(&self, rsc: RscId, node: &str, than: &Element, same_node: bool) -> bool {
        self.entries_of(rsc, node).into_iter().any(|op| {
            let task = op.attr("operation").unwrap_or("");
            matches!(task, "start" | "stop" | "migrate_to" | "migrate_from")
                && !std::ptr::eq(op, than)
                && is_newer(op, than, same_node)
        })
    }

    fn stopped_since(&self, rsc: RscId, node: &str, than: &Element, same_node: bool) -> bool {
        self.entries_of(rsc, node).into_iter().any(|op| {
            op.attr("operation") == Some("monitor")
                && op.attr("rc-code") == Some("7")
                && is_newer(op, than, same_node)
        })
    }

    /// Pacemaker unpack.c:newer_state_after_migrate.
    fn newer_state(
        &self,
        rsc: RscId,
        node: &str,
        to: Option<&Element>,
        from: Option<&Element>,
    ) -> bool {
        let Some(any) = from.or(to) else {
            return false;
        };
        // Call ids compare best on one node.
        let (op, same_node) = if any.attr("migrate_target") == Some(node) {
            (any, from.is_some())
        } else if any.attr("migrate_source") == Some(node) {
            (to.unwrap_or(any), to.is_some())
        } else {
            (any, false)
        };
        self.any_newer(rsc, node, op, same_node) || self.stopped_since(rsc, node, op, same_node)
    }

    fn ends(op: &HistoryOp<'a>) -> Option<(&'a str, &'a str)> {
        Some((
            op.xml.attr("migrate_source")?,
            op.xml.attr("migrate_target")?,
        ))
    }

    /// A stop there will end the migration.
    fn note_dangling(&mut self, rsc: RscId, node: NodeId) {
        self.rscs[rsc].role = Role::Stopped;
        self.rscs[rsc].dangling.push(node);
    }

    fn end_of_migration_lost(&mut self, rsc: RscId) {
        let flags = &mut self.rscs[rsc].flags;
        flags.failed = true;
        flags.stop_if_failed = true;
        flags.migratable = false;
    }

    /// Pacemaker unpack.c:unpack_migrate_to_success.
    pub(super) fn migrated_away(&mut self, rsc: RscId, node: NodeId, op: &HistoryOp<'a>) {
        let Some((source, target)) = Self::ends(op) else {
            return;
        };
        let source_newer = self.any_newer(rsc, source, op.xml, true);
        let from = self.other_end(rsc, "migrate_from", target, source, false);
        if from.is_some() && source_newer {
            return;
        }
        let number = |name: &str| from.and_then(|f| leading_number::<i32>(f.attr(name)?));
        let from_rc = number("rc-code").unwrap_or(0);
        let from_status = number("op-status").unwrap_or(exec::PENDING);
        let target_newer = self.newer_state(rsc, target, Some(op.xml), from);
        if source_newer && target_newer {
            return;
        }
        if from_rc == 0 && from_status == exec::DONE {
            // Only the stop on the source is missing.
            self.note_dangling(rsc, node);
            return;
        }
        self.rscs[rsc].role = Role::Started;
        let target_node = self.find_node(target);
        let target_up = target_node.filter(|n| self.nodes[*n].online);
        let active = target_up.filter(|_| !target_newer);
        if from_status != exec::PENDING {
            match active {
                Some(target) => self.add_active(rsc, target, true),
                None => self.end_of_migration_lost(rsc),
            }
            return;
        }
        if target_up.is_some() && self.unknown_on(rsc, target) {
            // Cleaned up; a probe will tell.
            return;
        }
        match active {
            Some(target) => {
                self.add_active(rsc, target, false);
                let source = self.find_node(source).filter(|n| self.nodes[*n].online);
                if source.is_some() {
                    self.rscs[rsc].partial_target = Some(target);
                    self.rscs[rsc].partial_source = source;
                }
            }
            None if !source_newer => self.end_of_migration_lost(rsc),
            None => {}
        }
    }

    /// Pacemaker unpack.c:unpack_migrate_to_failure.
    pub(super) fn migrate_to_failed(&mut self, rsc: RscId, node: NodeId, op: &HistoryOp<'a>) {
        let Some((source, target)) = Self::ends(op) else {
            return;
        };
        self.rscs[rsc].role = Role::Started;
        let from = self.other_end(rsc, "migrate_from", target, source, true);
        if !self.unknown_on(rsc, target) && !self.newer_state(rsc, target, Some(op.xml), from) {
            let target = self.find_node(target).filter(|n| self.nodes[*n].online);
            if let Some(target) = target {
                self.add_active(rsc, target, false);
            }
        } else if !self.any_newer(rsc, source, op.xml, true) {
            self.note_dangling(rsc, node);
        }
    }

    /// Pacemaker unpack.c:unpack_migrate_from_failure.
    pub(super) fn migrate_from_failed(&mut self, rsc: RscId, op: &HistoryOp<'a>) {
        let Some((source, target)) = Self::ends(op) else {
            return;
        };
        self.rscs[rsc].role = Role::Started;
        let to = self.other_end(rsc, "migrate_to", source, target, true);
        if !self.unknown_on(rsc, source) && !self.newer_state(rsc, source, to, Some(op.xml)) {
            let source = self.find_node(source).filter(|n| self.nodes[*n].online);
            if let Some(source) = source {
                self.add_active(rsc, source, true);
            }
        }
    }
}
