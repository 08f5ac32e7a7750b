//! The entry of one operation, `lrm_rsc_op`: its id, its attributes, and what goes when it comes.

use crate::executor::api::OpFinished;
use crate::executor::environment::FEATURE_SET;
use crate::executor::outcome::op_status;
use cib::Element;

/// Entries that a result is written to.
pub(super) fn op_ids(finished: &OpFinished) -> Vec<String> {
    let request = &finished.request;
    let rsc = &request.rsc;
    let last = format!("{rsc}_last_0");
    if request.operation.starts_with("migrate_") {
        return vec![op_key(rsc, &request.operation, 0)];
    }
    if request.operation == "asyncmon" {
        // Nothing was done to the resource: what was done last stands.
        return vec![format!("{rsc}_last_failure_0")];
    }
    match (has_failed(finished), request.interval_ms) {
        (false, 0) => vec![last],
        // A failure beside it: `last` must not go on saying that it is pending.
        (true, 0) => vec![format!("{rsc}_last_failure_0"), last],
        (false, interval_ms) => vec![op_key(rsc, &request.operation, interval_ms)],
        (true, _) => vec![format!("{rsc}_last_failure_0")],
    }
}

/// `last-rc-change` of a result. Success and failure of one recurring operation stand in two entries
/// with one call id, and only this time, in whole seconds, tells readers which came later
/// (lib/pengine/unpack.c, `sort_op_by_callid`): it always grows between them.
pub(super) fn after_siblings(lrm: &Element, finished: &OpFinished) -> String {
    if finished.outcome.call_id < 0 {
        return finished.outcome.started_at.to_string();
    }
    let call_id = finished.outcome.call_id.to_string();
    let same_run = lrm
        .children
        .iter()
        .filter(|op| op.attr("call-id") == Some(&call_id));
    let times = same_run.filter_map(|op| op.attr("last-rc-change")?.parse::<i64>().ok());
    let after = times.max().map_or(i64::MIN, |t| t.saturating_add(1));
    finished.outcome.started_at.max(after).to_string()
}

pub(super) fn rsc_op(id: &str, finished: &OpFinished, node_name: &str) -> Element {
    let (request, outcome) = (&finished.request, &finished.outcome);
    let operation = recorded_operation(finished);
    let key = if request.transition_key.is_empty() {
        format!(
            "{}:-1:{}:{NO_TRANSITION}",
            outcome.call_id, request.target_rc
        )
    } else {
        request.transition_key.clone()
    };
    let exit_reason = if has_failed(finished) {
        &outcome.exit_reason
    } else {
        ""
    };
    let mut op = Element::new("lrm_rsc_op")
        .with("id", id)
        .with(
            "operation_key",
            &op_key(&request.rsc, operation, request.interval_ms),
        )
        .with("operation", operation)
        .with("crm_feature_set", FEATURE_SET)
        .with("transition-key", &key)
        .with(
            "transition-magic",
            &format!("{}:{};{key}", outcome.op_status, outcome.rc),
        )
        .with("exit-reason", exit_reason)
        .with("on_node", node_name)
        .with("call-id", &outcome.call_id.to_string())
        .with("rc-code", &outcome.rc.to_string())
        .with("op-status", &outcome.op_status.to_string())
        .with("interval", &request.interval_ms.to_string())
        .with("last-rc-change", &outcome.started_at.to_string())
        .with("exec-time", &outcome.exec_ms.to_string())
        .with("queue-time", &outcome.queue_ms.to_string());
    if request.operation.starts_with("migrate_") {
        for name in ["migrate_source", "migrate_target"] {
            if let Some(node) = request.meta.get(name) {
                op.set(name, node);
            }
        }
    }
    if !request.digest.is_empty() {
        op.set("op-digest", &request.digest);
    }
    op
}

/// A reload counts as a start, a failed one as a monitor: that tells the scheduler the state.
fn recorded_operation(finished: &OpFinished) -> &str {
    match finished.request.operation.as_str() {
        "reload" | "reload-agent" if finished.outcome.op_status == op_status::DONE => "start",
        "reload" | "reload-agent" => "monitor",
        other => other,
    }
}

/// lib/pacemaker/pcmk_sched_actions.c, `did_rsc_op_fail`.
fn has_failed(finished: &OpFinished) -> bool {
    match finished.outcome.op_status {
        op_status::PENDING | op_status::CANCELLED => false,
        op_status::TIMEOUT | op_status::ERROR | op_status::INVALID => true,
        _ => finished.outcome.rc != finished.request.target_rc,
    }
}

/// daemons/controld/controld_execd.c, `controld_action_is_recordable`.
pub(super) fn is_recorded(operation: &str) -> bool {
    !matches!(
        operation,
        "cancel" | "delete" | "notify" | "meta-data" | "validate-all"
    )
}

pub(super) fn drop_recurring(lrm: &mut Element) {
    lrm.children
        .retain(|op| op.attr("interval") == Some("0") || is_last_failure(op));
}

pub(super) fn drop_pending(lrm: &mut Element, id: &str) {
    let pending = op_status::PENDING.to_string();
    lrm.children
        .retain(|op| op.id() != Some(id) || op.attr("op-status") != Some(&pending));
}

fn is_last_failure(op: &Element) -> bool {
    op.id().is_some_and(|id| id.ends_with("_last_failure_0"))
}

pub(super) fn op_key(rsc: &str, operation: &str, interval_ms: u64) -> String {
    format!("{rsc}_{operation}_{interval_ms}")
}

/// In the place of a transition's uuid where no transition asked.
const NO_TRANSITION: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
