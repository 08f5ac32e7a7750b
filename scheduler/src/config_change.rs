//! What changed in the configuration since an operation was run: digests of parameters, agents,
//! operations that are configured no more (Pacemaker pcmk_sched_actions.c, pe_digest.c).

use crate::action::flag;
use crate::cluster::{Cluster, NodeId, RscId};
use crate::constraint::relation;
use crate::unpack::history::{HistoryOp, ResourceHistory, active_range};
use std::collections::BTreeMap;

/// How recorded parameters compare with the configured ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    /// Nothing was recorded.
    Unknown,
    Same,
    /// Parameters that need a restart differ.
    Restart,
    /// Others differ.
    Differs,
}

/// Parameters the digest leaves out (Pacemaker digest.c:pcmk__filter_op_for_digest).
const NOT_IN_DIGEST: [&str; 3] = ["id", "crm_feature_set", "op-digest"];

/// Start-like operations are compared with what a start would get.
fn compared_task<'a>(op: &HistoryOp<'a>) -> &'a str {
    match op.task {
        "monitor" | "migrate_from" | "promote" if op.interval_ms == 0 => "start",
        other => other,
    }
}

impl<'a> Cluster<'a> {
    /// Digest of parameters as histories record it. Most resources of a kind have the same ones.
    fn digest_of(&self, params: &BTreeMap<String, String>) -> String {
        if let Some(digest) = self.known.digests.borrow().get(params) {
            return digest.clone();
        }
        let pairs = params.iter();
        let digest = cib::digest::operation(pairs.map(|(name, value)| (&**name, &**value)));
        let mut digests = self.known.digests.borrow_mut();
        digests.insert(params.clone(), digest.clone());
        digest
    }

    /// Digest of the parameters an operation is run with.
    pub(crate) fn operation_digest(
        &self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: Option<NodeId>,
    ) -> String {
        self.digest_of(&self.digest_params(rsc, op, interval_ms, node))
    }

    fn digest_params(
        &self,
        rsc: RscId,
        op: &str,
        interval_ms: u64,
        node: Option<NodeId>,
    ) -> BTreeMap<String, String> {
        let details = self.operation_details(rsc, op, interval_ms, node);
        let mut params = self.params(rsc, node);
        params.extend(details.extra);
        for name in NOT_IN_DIGEST {
            params.remove(name);
        }
        params.retain(|name, _| !name.starts_with("CRM_meta_"));
        if interval_ms > 0
            && let Some(timeout) = details.meta.get("timeout")
        {
            params.insert("CRM_meta_timeout".to_owned(), timeout.to_owned());
        }
        params
    }

    /// `params` are those of [`compared_task`].
    fn compare_digest(
        &self,
        rsc: RscId,
        node: NodeId,
        op: &HistoryOp,
        params: &BTreeMap<String, String>,
    ) -> Compared {
        if op.reschedule {
            return Compared::Restart;
        }
        if let Some(recorded) = op.xml.attr("op-restart-digest") {
            let mut restart = params.clone();
            let names = op
                .xml
                .attr("op-force-restart")
                .or_else(|| op.xml.attr("op-restart"));
            if let Some(names) = names {
                let listed: Vec<&str> = names.split_whitespace().collect();
                restart.retain(|name, _| listed.contains(&name.as_str()));
            }
            restart.remove("CRM_meta_timeout");
            if self.digest_of(&restart) != recorded {
                return Compared::Restart;
            }
        }
        match op.xml.attr("op-digest") {
            None => Compared::Unknown,
            Some(recorded) => {
                if self.digest_of(params) == recorded {
                    Compared::Same
                } else if op.interval_ms == 0 && self.has_own_params(rsc, compared_task(op), node) {
                    // What is configured for this operation alone is not reloaded.
                    Compared::Restart
                } else {
                    Compared::Differs
                }
            }
        }
    }

    /// Secrets are masked in CIBs passed on for analysis: where nothing else differs, nothing
    /// changed (Pacemaker pcmk_sched_actions.c:only_sanitized_changed).
    fn only_hidden_differ(&self, op: &HistoryOp, params: &BTreeMap<String, String>) -> bool {
        let (Some(recorded), Some(hidden)) = (
            op.xml.attr("op-secure-digest"),
            op.xml.attr("op-secure-params"),
        ) else {
            return false;
        };
        let hidden: Vec<&str> = hidden.split_whitespace().collect();
        let masked = |text: &String| !text.is_empty() && text.bytes().all(|b| b == b'*');
        if !params
            .iter()
            .any(|(name, value)| hidden.contains(&name.as_str()) && masked(value))
        {
            return false;
        }
        let mut open = params.clone();
        // The executor's digest knows neither timeouts nor what the fencer itself uses.
        open.retain(|name, _| {
            let fencers = name.starts_with("pcmk_") || name == "provides";
            !hidden.contains(&name.as_str()) && !fencers && name != "CRM_meta_timeout"
        });
        self.digest_of(&open) == recorded
    }

    fn has_own_params(&self, rsc: RscId, task: &str, node: NodeId) -> bool {
        !self
            .operation_details(rsc, task, 0, Some(node))
            .extra
            .is_empty()
    }

    /// Whether a start or monitor failed with parameters that are no longer configured.
    pub(crate) fn parameters_changed(&self, rsc: RscId, node: NodeId, op: &HistoryOp) -> bool {
        if !matches!(op.task, "start" | "monitor") {
            return false;
        }
        let params = self.digest_params(rsc, compared_task(op), op.interval_ms, Some(node));
        matches!(
            self.compare_digest(rsc, node, op, &params),
            Compared::Restart | Compared::Differs
        )
    }

    /// Pacemaker pcmk_sched_actions.c:pcmk__handle_rsc_config_changes.
    pub(crate) fn handle_config_changes(&mut self) {
        // Nobody asks for them any more, and they are big.
        let histories = std::mem::take(&mut self.histories);
        let mut by_node: Vec<&ResourceHistory> = histories.iter().collect();
        by_node.sort_by_key(|history| history.node);
        for of_node in by_node.chunk_by(|a, b| a.node == b.node) {
            let node = &self.nodes[of_node[0].node];
            if node.maintenance || node.available() {
                for history in of_node {
                    self.check_history(history);
                }
            }
        }
    }

    fn check_history(&mut self, history: &ResourceHistory<'a>) {
        let (rsc, node) = (history.rsc, history.node);
        if self.rscs[rsc].flags.removed {
            if !self.is_anonymous_clone(self.top_of(rsc)) {
                self.schedule_cleanup(rsc, node, false);
            }
            return;
        }
        let active = self.rscs[rsc].active.contains(&node);
        if self.agent_changed(rsc, node, history, active) {
            self.schedule_cleanup(rsc, node, false);
        }
        if !active {
            return;
        }
        let (start, stop) = active_range(&history.ops);
        if start < stop {
            return;
        }
        let first = usize::try_from(start).unwrap_or(0);
        for op in history.ops.iter().skip(first) {
            let maintenance = self.rscs[rsc].flags.maintenance || self.nodes[node].maintenance;
            if op.interval_ms > 0 && maintenance {
                self.cancel_running(rsc, node, op);
            } else if (op.interval_ms > 0
                || matches!(op.task, "monitor" | "start" | "promote" | "migrate_from"))
                && self.check_operation(rsc, node, op)
                && self.failures(rsc, node, true).count != 0
            {
                self.clear_failcount(rsc, node);
            }
        }
    }

    fn agent_changed(
        &mut self,
        rsc: RscId,
        node: NodeId,
        history: &ResourceHistory,
        active: bool,
    ) -> bool {
        let r = &self.rscs[rsc];
        let changed = history.xml.attr("type").unwrap_or("") != r.kind
            || history.xml.attr("class").unwrap_or("") != r.class
            || history.xml.attr("provider") != r.provider.as_deref();
        if changed && active {
            self.stop_action(rsc, node, false);
            self.rscs[rsc].flags.start_pending = true;
        }
        changed
    }

    fn cancel_running(&mut self, rsc: RscId, node: NodeId, op: &HistoryOp) {
        let cancel = self.cancel_action(rsc, op.task, op.interval_ms, Some(node));
        if let Some(call) = op.xml.attr("call-id") {
            self.actions[cancel].meta.insert("call-id", call);
        }
        self.order_op_then(rsc, "stop", cancel, relation::ORDERED);
    }

    /// Answers whether the operation's definition changed, and does what that needs
    /// (Pacemaker pcmk_sched_actions.c:pcmk__check_action_config).
    fn check_operation(&mut self, rsc: RscId, node: NodeId, op: &HistoryOp) -> bool {
        if op.interval_ms > 0
            && self
                .op_config(rsc, op.task, op.interval_ms, false)
                .is_none()
        {
            if self.options.cancel_removed_actions {
                self.cancel_running(rsc, node, op);
            }
            return true;
        }
        let task = compared_task(op);
        let params = self.digest_params(rsc, task, op.interval_ms, Some(node));
        if self.only_hidden_differ(op, &params) {
            return false;
        }
        match self.compare_digest(rsc, node, op, &params) {
            Compared::Same => return false,
            Compared::Restart => self.force_restart(rsc, task, op.interval_ms),
            Compared::Differs | Compared::Unknown => {
                if op.interval_ms > 0 {
                    let monitor = self.action(rsc, task, op.interval_ms, Some(node), true);
                    self.actions[monitor].flags |= flag::RESCHEDULE;
                } else if op.xml.attr("op-restart-digest").is_some() {
                    self.schedule_reload(rsc, node);
                } else {
                    self.force_restart(rsc, task, op.interval_ms);
                }
            }
        }
        true
    }

    fn force_restart(&mut self, rsc: RscId, task: &str, interval_ms: u64) {
        let required = self.action(rsc, task, interval_ms, None, false);
        self.set_reason(required, Some("resource definition change"), true);
    }

    fn schedule_reload(&mut self, rsc: RscId, node: NodeId) {
        let flags = self.rscs[rsc].flags;
        if !flags.managed || flags.failed {
            return;
        }
        if flags.start_pending {
            self.stop_action(rsc, node, false);
            return;
        }
        self.rscs[rsc].flags.reload = true;
        let reload = self.action(rsc, "reload-agent", 0, Some(node), false);
        self.set_reason(reload, Some("resource definition change"), false);
        let kind = relation::ORDERED | relation::THEN_CANCELS_FIRST;
        self.order_action_then(reload, rsc, "stop", kind);
        self.order_action_then(reload, rsc, "demote", kind);
    }
}
