//! Fail counts, their expiry, and the migration threshold.

use super::history::{HistoryOp, exec, leading_number};
use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::relation;
use crate::plan::Because;
use crate::score;
use crate::text::base_id;

/// A fail count on a node.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failures {
    pub(crate) count: i32,
    /// Seconds since the epoch of the latest, where known.
    pub(crate) last: i64,
}

impl Cluster<'_> {
    /// Fail count of a resource on a node; with `effective`, none when all failures expired
    /// (Pacemaker failcounts.c:pe_get_failcount).
    pub(crate) fn failures(&mut self, rsc: RscId, node: NodeId, effective: bool) -> Failures {
        let r = &self.rscs[rsc];
        let name = r.history_id.as_deref().unwrap_or(&r.id);
        let name = if r.flags.unique { name } else { base_id(name) };
        let mut found = Failures::default();
        for (attr, value) in &self.nodes[node].attrs {
            if let Some(rest) = attr.strip_prefix("fail-count-") {
                if names_failure_of(rest, name, r.flags.unique) {
                    found.count = score::add(found.count, score::parse(value).unwrap_or(0));
                }
            } else if let Some(rest) = attr.strip_prefix("last-failure-")
                && names_failure_of(rest, name, r.flags.unique)
            {
                found.last = found.last.max(value.trim().parse().unwrap_or(0));
            }
        }
        if found.count > 0 && r.failure_timeout_ms > 0 && self.failure_blocks(rsc, node) {
            // A blocking failure must be cleaned by hand.
            self.rscs[rsc].failure_timeout_ms = 0;
        }
        let timeout_s = self.failure_timeout_s(rsc);
        if effective && found.count > 0 && found.last > 0 && timeout_s > 0 {
            let expires = found.last.saturating_add(timeout_s);
            if self.now > expires {
                found.count = 0;
            }
        }
        found
    }

    fn failure_timeout_s(&self, rsc: RscId) -> i64 {
        i64::try_from(self.rscs[rsc].failure_timeout_ms.div_ceil(1000)).unwrap_or(i64::MAX)
    }

    /// An operation with `on-fail=block` stands failed in the node's history.
    fn failure_blocks(&self, rsc: RscId, node: NodeId) -> bool {
        let xml_id = self.rscs[rsc].xml_id.as_str();
        let state = self.status.and_then(|status| {
            status
                .all("node_state")
                .find(|s| s.id() == Some(self.nodes[node].id.as_str()))
        });
        let entries = state
            .and_then(|s| s.first("lrm"))
            .and_then(|lrm| lrm.first("lrm_resources"));
        let Some(entry) =
            entries.and_then(|e| e.all("lrm_resource").find(|r| r.id() == Some(xml_id)))
        else {
            return false;
        };
        let blocking = self.rscs[rsc]
            .ops
            .iter()
            .filter(|op| op.xml.attr("on-fail") == Some("block"));
        blocking.into_iter().any(|config| {
            entry.all("lrm_rsc_op").any(|op| {
                let attr = |name: &str| op.attr(name).unwrap_or("");
                let interval: u64 = leading_number(attr("interval")).unwrap_or(0);
                let same = interval == config.interval_ms && attr("operation") == config.name();
                let target = attr("transition-key").split(':').nth(2).unwrap_or("");
                same && (attr("id").ends_with("_last_failure_0") || attr("rc-code") != target)
            })
        })
    }

    /// Whether an entry is a failure too old to matter; schedules the deletion of fail counts
    /// that expired or that changed parameters made pointless
    /// (Pacemaker unpack.c:check_operation_expiry).
    pub(super) fn check_expiry(&mut self, rsc: RscId, node: NodeId, op: &HistoryOp) -> bool {
        if op.status == exec::NOT_INSTALLED {
            return false;
        }
        let mut expired = false;
        let mut unexpired_count = 0;
        let timeout_s = self.failure_timeout_s(rsc);
        if timeout_s > 0
            && let Some(last_run) = op.last_rc_change
        {
            expired = self.now >= last_run.saturating_add(timeout_s)
                && !self.waits_for_fencing_of_remote(rsc, op);
            let failures = self.failures(rsc, node, true);
            unexpired_count = failures.count;
            let expires = failures.last.saturating_add(timeout_s).saturating_add(1);
            if unexpired_count > 0 && self.now < expires {
                self.recheck(expires);
            }
        }
        let mut clear = false;
        let last_failure = op.id.ends_with("_last_failure_0");
        if expired && self.failures(rsc, node, false).count > 0 {
            if unexpired_count == 0 {
                clear = true;
            } else {
                expired = false;
            }
        } else if expired && last_failure && self.rscs[rsc].reconnect_ms > 0 {
            clear = true;
        }
        if !expired && last_failure && self.parameters_changed(rsc, node, op) {
            clear = true;
        }
        if clear {
            let clear = self.clear_failcount(rsc, node);
            if self.options.fencing && self.rscs[rsc].reconnect_ms > 0 {
                self.order_after_fencing_of_remote(clear, rsc);
            }
        }
        let found_state = op.is_probe() && matches!(op.rc, 0 | 7 | 8 | 190 | 191);
        expired && !found_state
    }

    /// A lost connection is tried again after its interval, but not before what is behind it
    /// was fenced (Pacemaker unpack.c:should_ignore_failure_timeout).
    fn waits_for_fencing_of_remote(&self, rsc: RscId, op: &HistoryOp) -> bool {
        self.rscs[rsc].reconnect_ms > 0
            && self.options.fencing
            && op.interval_ms != 0
            && op.task == "monitor"
            && self
                .find_node(&self.rscs[rsc].id)
                .is_some_and(|behind| !self.nodes[behind].was_fenced)
    }

    fn order_after_fencing_of_remote(&mut self, clear: ActId, rsc: RscId) {
        if let Some(behind) = self.find_node(&self.rscs[rsc].id.clone()) {
            let fencing = self.fence_action(behind, true, None, false);
            self.relate(fencing, clear, relation::FIRST_IMPLIES_THEN);
        }
    }

    /// Bans resources from nodes where they failed too often
    /// (Pacemaker pcmk_scheduler.c:check_failure_threshold).
    pub(crate) fn check_failure_threshold(&mut self, rsc: RscId, node: NodeId) {
        if !self.rscs[rsc].children.is_empty() {
            for child in self.rscs[rsc].children.clone() {
                self.check_failure_threshold(child, node);
            }
            return;
        }
        let threshold = self.rscs[rsc].migration_threshold;
        if threshold == 0 || self.rscs[rsc].flags.ignore_failure {
            return;
        }
        if !self.nodes[node]
            .attrs
            .keys()
            .any(|k| k.starts_with("fail-count-"))
        {
            return;
        }
        if !self
            .find_actions_on(rsc, "clear_failcount", 0, node)
            .is_empty()
        {
            return;
        }
        let count = self.failures_with_contained(rsc, node);
        if count == 0 || count < threshold {
            return;
        }
        let banned = if self.rscs[rsc].flags.unique {
            rsc
        } else {
            self.top_of(rsc)
        };
        let because = Because::FailedTooOften {
            failcount: count,
            threshold,
        };
        self.add_score(banned, node, &because);
        self.note(banned, Some(node), because);
    }

    /// Failures of a resource, and of all it contains.
    fn failures_with_contained(&mut self, rsc: RscId, node: NodeId) -> u32 {
        let mut count = self.failures(rsc, node, true).count;
        for filler in self.rscs[rsc].fillers.clone() {
            count = score::add(count, self.failures(filler, node, true).count);
        }
        u32::try_from(count).unwrap_or(0)
    }

    /// Whether a resource failed too often on a node.
    pub(crate) fn threshold_reached(&mut self, rsc: RscId, node: NodeId) -> bool {
        let threshold = self.rscs[rsc].migration_threshold;
        threshold > 0 && self.failures_with_contained(rsc, node) >= threshold
    }

    /// Removed resources need no fail counts
    /// (Pacemaker pcmk_scheduler.c:clear_failcounts_if_removed).
    pub(crate) fn clear_failcounts_of_removed(&mut self) {
        for rsc in self.top.clone() {
            if !self.rscs[rsc].flags.removed {
                continue;
            }
            for node in 0..self.nodes.len() {
                if !self.nodes[node].online || self.failures(rsc, node, true).count == 0 {
                    continue;
                }
                let clear = self.clear_failcount(rsc, node);
                debug_assert!(!self.actions[clear].is(flag::PSEUDO));
                self.order_action_then(clear, rsc, "stop", relation::ORDERED);
            }
        }
    }
}

/// Whether `REST` of `fail-count-REST` speaks of this resource: `NAME#OPERATION_INTERVAL`, or
/// plain `NAME` (before 1.1.17), with any instance number where instances are interchangeable.
fn names_failure_of(rest: &str, name: &str, unique: bool) -> bool {
    let resource = match rest.rsplit_once('#') {
        Some((resource, operation)) if operation.contains('_') => resource,
        _ => rest,
    };
    resource == name || (!unique && base_id(resource) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_failures() {
        for (rest, name, unique, want) in [
            ("ip#monitor_10000", "ip", true, true),
            ("ip", "ip", true, true),
            ("ip2#monitor_10000", "ip", true, false),
            ("web:1#start_0", "web", false, true),
            ("web:1#start_0", "web", true, false),
            ("web:1#start_0", "web:1", true, true),
        ] {
            assert_eq!(names_failure_of(rest, name, unique), want, "{rest}");
        }
    }
}
