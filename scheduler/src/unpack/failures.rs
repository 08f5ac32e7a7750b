//! One operation of the history: did it fail, and what does that mean for the resource.

use super::history::{HistoryOp, exec, leading_number};
use crate::cluster::{Cluster, FailedOp, NodeId, RscId};
use crate::operation::OnFail;
use crate::plan::OpFailure;
use crate::resource::Role;

/// OCF exit codes with a meaning of their own.
pub(super) mod rc {
    pub(super) const OK: i32 = 0;
    pub(in crate::unpack) const INVALID_PARAM: i32 = 2;
    pub(super) const UNIMPLEMENTED: i32 = 3;
    pub(super) const PERMISSION: i32 = 4;
    pub(in crate::unpack) const NOT_INSTALLED: i32 = 5;
    pub(super) const NOT_CONFIGURED: i32 = 6;
    pub(super) const NOT_RUNNING: i32 = 7;
    pub(super) const PROMOTED: i32 = 8;
    pub(super) const FAILED_PROMOTED: i32 = 9;
    pub(super) const DEGRADED: i32 = 190;
    pub(super) const DEGRADED_PROMOTED: i32 = 191;
    pub(super) const MAX: i32 = 255;
}

/// What later entries of the same history need to know of an earlier failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastFailure<'a> {
    key: &'a str,
    task: &'a str,
    interval_ms: u64,
    last_rc_change: Option<i64>,
}

impl<'a> Cluster<'a> {
    /// Pacemaker unpack.c:unpack_rsc_op.
    pub(super) fn unpack_operation(
        &mut self,
        rsc: RscId,
        node: NodeId,
        op: &mut HistoryOp<'a>,
        last_failure: &mut Option<LastFailure<'a>>,
        on_fail: &mut OnFail,
    ) {
        let affects_state = matches!(
            op.task,
            "monitor"
                | "start"
                | "stop"
                | "promote"
                | "demote"
                | "migrate_to"
                | "migrate_from"
                | "asyncmon"
        );
        if op.id.is_empty() || !affects_state || !self.result_is_readable(rsc, op) {
            return;
        }
        let expired = self.check_expiry(rsc, node, op);
        let original_rc = op.rc;
        let masked = op.is_masked_probe();
        self.remap_result(rsc, node, op, on_fail, expired);
        if expired && self.process_expired(rsc, node, op, original_rc, masked) {
            return;
        }
        if masked {
            self.mask_probe_failure(rsc, node, op, original_rc);
            return;
        }
        match op.status {
            exec::PENDING => {
                self.process_pending(rsc, node, op, *last_failure);
                return;
            }
            exec::DONE => {
                self.update_state(rsc, node, op, op.rc, *last_failure, on_fail);
                return;
            }
            _ => {}
        }
        self.process_failure(rsc, node, op, last_failure, on_fail);
    }

    fn result_is_readable(&mut self, rsc: RscId, op: &HistoryOp) -> bool {
        let status_ok =
            (exec::PENDING..=exec::MAX).contains(&op.status) && op.status != exec::CANCELLED;
        let rc_ok = (0..=rc::MAX).contains(&op.rc);
        if !(status_ok && rc_ok) {
            self.warnings.push(format!(
                "{}: history entry {} ignored, because its result is not readable",
                self.rscs[rsc].id, op.id
            ));
        }
        status_ok && rc_ok
    }

    fn process_failure(
        &mut self,
        rsc: RscId,
        node: NodeId,
        op: &HistoryOp<'a>,
        last_failure: &mut Option<LastFailure<'a>>,
        on_fail: &mut OnFail,
    ) {
        let banned = self.ban_target(rsc);
        let (strategy, fail_role) = self.failure_handling(rsc, op.task, op.interval_ms);
        if op.status == exec::NOT_INSTALLED {
            if strategy == OnFail::Ignore {
                // It cannot be ignored that there is no agent.
                *on_fail = OnFail::Ban;
            }
            self.ban(banned, node, "failure", op.key());
            self.unpack_failure(rsc, node, op, (strategy, fail_role), last_failure, on_fail);
            return;
        }
        // The restart of its container stops it, too.
        let stops_with_container = strategy == OnFail::RestartContainer && op.task == "stop";
        if strategy == OnFail::Ignore || stops_with_container {
            self.update_state(rsc, node, op, op.target_rc, *last_failure, on_fail);
            self.rscs[rsc].flags.ignore_failure = true;
            self.record_failure(rsc, node, op);
            if stops_with_container && *on_fail <= OnFail::Restart {
                *on_fail = strategy;
            }
            return;
        }
        self.unpack_failure(rsc, node, op, (strategy, fail_role), last_failure, on_fail);
        match op.status {
            exec::ERROR_HARD => self.ban(banned, node, "failure", op.key()),
            exec::ERROR_FATAL => self.ban_everywhere(banned, "failure", op.key()),
            _ => {}
        }
    }

    /// Interchangeable instances are banned together.
    fn ban_target(&self, rsc: RscId) -> RscId {
        if self.rscs[rsc].flags.unique {
            rsc
        } else {
            self.top_of(rsc)
        }
    }

    /// What the result really says, given what was expected
    /// (Pacemaker unpack.c:remap_operation).
    fn remap_result(
        &mut self,
        rsc: RscId,
        node: NodeId,
        op: &mut HistoryOp,
        on_fail: &mut OnFail,
        expired: bool,
    ) {
        let effective = match op.rc {
            rc::DEGRADED => rc::OK,
            rc::DEGRADED_PROMOTED => rc::PROMOTED,
            other => other,
        };
        if effective != op.rc {
            if !expired && (!self.nodes[node].shutdown || self.nodes[node].online) {
                self.record_failure(rsc, node, op);
            }
            op.rc = effective;
        }
        if op.is_masked_probe() {
            op.status = exec::DONE;
            op.rc = rc::NOT_RUNNING;
        }
        match op.status {
            exec::DONE | exec::ERROR => {}
            exec::NO_FENCE_DEVICE | exec::NO_SECRETS => {
                op.status = exec::ERROR_HARD;
                return;
            }
            _ => return,
        }
        op.status = if op.rc == op.target_rc {
            exec::DONE
        } else {
            exec::ERROR
        };
        self.remap_by_exit_code(rsc, node, op, on_fail, expired);
    }

    fn remap_by_exit_code(
        &mut self,
        rsc: RscId,
        node: NodeId,
        op: &mut HistoryOp,
        on_fail: &mut OnFail,
        expired: bool,
    ) {
        let probe = op.is_probe();
        match op.rc {
            rc::OK if probe && op.target_rc == rc::NOT_RUNNING => op.status = exec::DONE,
            rc::NOT_RUNNING if probe || op.target_rc == op.rc || !self.rscs[rsc].flags.managed => {
                op.status = exec::DONE;
                self.rscs[rsc].role = Role::Stopped;
                *on_fail = OnFail::Ignore;
                self.set_next_role(rsc, Role::Unknown);
            }
            rc::PROMOTED => {
                if probe && op.rc != op.target_rc {
                    op.status = exec::DONE;
                }
                if !expired || op.rc == op.target_rc {
                    self.rscs[rsc].role = Role::Promoted;
                }
            }
            rc::FAILED_PROMOTED => {
                if !expired {
                    self.rscs[rsc].role = Role::Promoted;
                }
                op.status = exec::ERROR;
            }
            rc::NOT_CONFIGURED => op.status = exec::ERROR_FATAL,
            rc::UNIMPLEMENTED if op.interval_ms > 0 => op.status = exec::NOT_SUPPORTED,
            rc::UNIMPLEMENTED | rc::NOT_INSTALLED | rc::INVALID_PARAM | rc::PERMISSION => {
                if !expired && op.task == "stop" && !self.can_fence(Some(node)) {
                    // Nothing more can be done about it.
                    self.errors.push(format!(
                        "{} could not be stopped on node {}, which cannot be fenced: \
                         it is left alone until somebody cleans up",
                        self.rscs[rsc].id, self.nodes[node].name
                    ));
                    self.rscs[rsc].flags.managed = false;
                    self.rscs[rsc].flags.blocked = true;
                }
                op.status = exec::ERROR_HARD;
            }
            code if code > rc::FAILED_PROMOTED && op.status == exec::DONE => {
                op.status = exec::ERROR;
            }
            1 if op.status == exec::DONE => op.status = exec::ERROR,
            _ => {}
        }
    }

    /// Whether an expired failure needs no further thought
    /// (Pacemaker unpack.c:process_expired_result).
    fn process_expired(
        &mut self,
        rsc: RscId,
        node: NodeId,
        op: &mut HistoryOp,
        original_rc: i32,
        masked: bool,
    ) -> bool {
        if masked && original_rc != op.target_rc {
            if self.rscs[rsc].role <= Role::Stopped {
                self.rscs[rsc].role = Role::Unknown;
            }
            return true;
        }
        if op.rc == op.target_rc {
            return false;
        }
        if op.interval_ms == 0 {
            return true;
        }
        if self.nodes[node].alive() {
            op.reschedule = true;
            return true;
        }
        false
    }

    fn mask_probe_failure(
        &mut self,
        rsc: RscId,
        node: NodeId,
        op: &HistoryOp<'a>,
        original_rc: i32,
    ) {
        let mut shown = op.clone();
        shown.rc = original_rc;
        self.rscs[rsc].role = Role::Stopped;
        self.record_failure(rsc, node, &shown);
        let banned = self.ban_target(rsc);
        self.ban(banned, node, "failure", op.key());
    }

    /// Pacemaker unpack.c:process_pending_action.
    fn process_pending(
        &mut self,
        rsc: RscId,
        node: NodeId,
        op: &HistoryOp,
        last_failure: Option<LastFailure>,
    ) {
        let superseded = last_failure.is_some_and(|failure| {
            failure.task == op.task
                && failure.interval_ms == op.interval_ms
                && matches!(
                    (failure.last_rc_change, op.last_rc_change),
                    (Some(failed), Some(this)) if failed >= this
                )
        });
        if superseded {
            return;
        }
        match op.task {
            "start" => {
                self.rscs[rsc].flags.start_pending = true;
                self.set_active(rsc);
            }
            "promote" => self.rscs[rsc].role = Role::Promoted,
            "migrate_to" if self.nodes[node].unclean => {
                // It may have got there all the same.
                let target = op.xml.attr("migrate_target");
                if let Some(target) = target.and_then(|name| self.find_node(name)) {
                    self.stop_action(rsc, target, false);
                }
            }
            _ => {}
        }
        if self.rscs[rsc].pending_action.is_none() && !op.is_probe() {
            self.rscs[rsc].pending_action = Some(op.task.to_owned());
            self.rscs[rsc].pending_node = Some(node);
        }
    }

    fn set_active(&mut self, rsc: RscId) {
        let promotable = self.rscs[self.top_of(rsc)].flags.promotable;
        self.rscs[rsc].role = if promotable {
            Role::Unpromoted
        } else {
            Role::Started
        };
    }

    /// Pacemaker unpack.c:update_resource_state.
    fn update_state(
        &mut self,
        rsc: RscId,
        node: NodeId,
        op: &HistoryOp<'a>,
        exit: i32,
        last_failure: Option<LastFailure<'a>>,
        on_fail: &mut OnFail,
    ) {
        let mut clears_failure = false;
        if exit == rc::NOT_INSTALLED {
            self.rscs[rsc].role = Role::Stopped;
        } else if exit == rc::NOT_RUNNING {
            clears_failure = true;
        } else {
            clears_failure = match op.task {
                "monitor" => {
                    if self.rscs[rsc].role < Role::Started {
                        self.set_active(rsc);
                    }
                    last_failure.is_some_and(|failure| failure.key == op.key())
                }
                "start" | "migrate_from" => {
                    self.rscs[rsc].role = Role::Started;
                    true
                }
                "stop" => {
                    self.rscs[rsc].role = Role::Stopped;
                    true
                }
                "promote" => {
                    self.rscs[rsc].role = Role::Promoted;
                    true
                }
                "demote" => {
                    self.rscs[rsc].role = Role::Unpromoted;
                    *on_fail == OnFail::Demote
                }
                "migrate_to" => {
                    self.migrated_away(rsc, node, op);
                    clears_failure
                }
                _ => {
                    if self.rscs[rsc].role < Role::Started {
                        self.set_active(rsc);
                    }
                    clears_failure
                }
            };
        }
        if clears_failure
            && matches!(
                *on_fail,
                OnFail::Block
                    | OnFail::Ignore
                    | OnFail::Demote
                    | OnFail::Restart
                    | OnFail::RestartContainer
            )
            || clears_failure && *on_fail == OnFail::ResetRemote && self.rscs[rsc].reconnect_ms == 0
        {
            *on_fail = OnFail::Ignore;
            self.set_next_role(rsc, Role::Unknown);
        }
    }

    /// Pacemaker unpack.c:unpack_rsc_op_failure.
    fn unpack_failure(
        &mut self,
        rsc: RscId,
        node: NodeId,
        op: &HistoryOp<'a>,
        (strategy, fail_role): (OnFail, Role),
        last_failure: &mut Option<LastFailure<'a>>,
        on_fail: &mut OnFail,
    ) {
        *last_failure = Some(LastFailure {
            key: op.key(),
            task: op.task,
            interval_ms: op.interval_ms,
            last_rc_change: op.last_rc_change,
        });
        if self.options.symmetric || op.rc != rc::NOT_INSTALLED {
            self.record_failure(rsc, node, op);
        }
        *on_fail = (*on_fail).max(strategy);
        match op.task {
            "stop" => self.ban(rsc, node, "failure", op.key()),
            "migrate_to" => self.migrate_to_failed(rsc, node, op),
            "migrate_from" => self.migrate_from_failed(rsc, op),
            "promote" => self.rscs[rsc].role = Role::Promoted,
            "demote" if strategy == OnFail::Block => {
                self.rscs[rsc].role = Role::Promoted;
                self.set_next_role(rsc, Role::Stopped);
            }
            "demote" if op.rc == rc::NOT_RUNNING => self.rscs[rsc].role = Role::Stopped,
            "demote" => self.rscs[rsc].role = Role::Unpromoted,
            _ => {}
        }
        if op.is_probe() && op.rc == rc::NOT_INSTALLED {
            self.rscs[rsc].role = Role::Stopped;
        } else if self.rscs[rsc].role < Role::Started {
            self.set_active(rsc);
        }
        if fail_role != Role::Started && self.rscs[rsc].next_role < fail_role {
            self.set_next_role(rsc, fail_role);
        }
        if fail_role == Role::Stopped {
            let top = self.top_of(rsc);
            let banned = if self.is_anonymous_clone(top) {
                top
            } else {
                rsc
            };
            let nodes = self.nodes.len();
            self.rscs[banned].allowed.ban_all(nodes);
            self.settle(banned, "failure", op.key());
        }
    }

    /// What the worst failure asks for (second half of Pacemaker unpack.c:process_rsc_state).
    pub(super) fn apply_failure(
        &mut self,
        rsc: RscId,
        node: NodeId,
        on_fail: OnFail,
        known_active: bool,
    ) {
        match on_fail {
            OnFail::Ignore => {}
            OnFail::Demote => {
                self.rscs[rsc].flags.failed = true;
                self.demote_action(rsc, node, false);
            }
            OnFail::Fence => {
                let reason = format!("{} failed there", self.rscs[rsc].id);
                self.fence_node(node, &reason, false);
            }
            OnFail::Standby => {
                self.nodes[node].standby = true;
                self.nodes[node].standby_on_fail = true;
            }
            OnFail::Block => {
                self.rscs[rsc].flags.managed = false;
                self.rscs[rsc].flags.blocked = true;
            }
            OnFail::Ban => self.ban(rsc, node, "failure", "on-fail"),
            OnFail::Stop => self.set_next_role(rsc, Role::Stopped),
            OnFail::RestartContainer => self.restart_container(rsc, node, known_active),
            OnFail::ResetRemote => self.reset_remote(rsc, node, known_active),
            OnFail::Restart => {
                if known_active {
                    self.rscs[rsc].flags.failed = true;
                    self.rscs[rsc].flags.stop_if_failed = true;
                    self.stop_action(rsc, node, false);
                }
            }
        }
    }

    fn restart_container(&mut self, rsc: RscId, node: NodeId, known_active: bool) {
        self.rscs[rsc].flags.failed = true;
        self.rscs[rsc].flags.stop_if_failed = true;
        match self.rscs[rsc].container {
            // A bundle's connection may be elsewhere than its container.
            Some(container) if self.bundle_of(rsc).is_some() => self.stop_needed.push(container),
            Some(container) => {
                self.stop_action(container, node, false);
            }
            None if known_active => {
                self.stop_action(rsc, node, false);
            }
            None => {}
        }
    }

    fn reset_remote(&mut self, rsc: RscId, node: NodeId, known_active: bool) {
        self.rscs[rsc].flags.failed = true;
        self.rscs[rsc].flags.stop_if_failed = true;
        let behind = self.rscs[rsc]
            .remote_name
            .clone()
            .and_then(|name| self.find_node(&name));
        if self.options.fencing
            && let Some(behind) = behind
            && self.is_remote(behind)
            && !self.nodes[behind].was_fenced
        {
            self.fence_node(behind, "remote connection is unrecoverable", false);
        }
        if known_active {
            self.stop_action(rsc, node, false);
        }
        if self.rscs[rsc].reconnect_ms > 0 {
            self.set_next_role(rsc, Role::Stopped);
        }
    }

    /// For display: each operation of each node once, and only of nodes that are there
    /// (Pacemaker unpack.c:record_failed_op).
    fn record_failure(&mut self, rsc: RscId, node: NodeId, op: &HistoryOp) {
        if !self.nodes[node].online {
            return;
        }
        let key = op.key().to_owned();
        let name = self.nodes[node].name.clone();
        if self
            .failed_ops
            .iter()
            .any(|f| f.failure.key == key && f.failure.node == name)
        {
            return;
        }
        let number = |attr: &str| op.xml.attr(attr).and_then(leading_number).unwrap_or(0);
        self.failed_ops.push(FailedOp {
            rsc,
            failure: OpFailure {
                key,
                node: name,
                rc: op.rc,
                op_status: op
                    .xml
                    .attr("op-status")
                    .and_then(|v| v.parse().ok())
                    .unwrap_or(op.status),
                exit_reason: op.xml.attr("exit-reason").unwrap_or("").to_owned(),
                last_rc_change: op.last_rc_change,
                exec_time_ms: number("exec-time"),
                queue_time_ms: number("queue-time"),
                call_id: op.call_id,
            },
        });
    }
}
