//! Operation history of this node as the CIB's status section shows it. Pure.
//!
//! Ids, attributes and what replaces what are those of Pacemaker 2.1
//! (lib/pacemaker/pcmk_sched_actions.c, `pcmk__create_history_xml`;
//! daemons/controld/controld_execd.c, `update_history_cache`).

use super::api::{OpFinished, OpRequest};
use super::environment::FEATURE_SET;
use super::failcount::FailCounts;
use super::outcome::{ocf_rc, op_status};
use cib::Element;
use std::collections::{BTreeMap, BTreeSet};

/// History and fail counts of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    node_name: String,
    resources: BTreeMap<String, Element>,
    fail_counts: FailCounts,
}

/// What a call changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Resources whose [`History::element`] is another now, or gone.
    pub resources: BTreeSet<String>,
    /// Transient node attributes: new value, or `None` = gone.
    pub attributes: BTreeMap<String, Option<String>>,
}

impl History {
    /// Nothing known: every resource has to be probed.
    #[must_use]
    pub fn new(node_name: &str) -> Self {
        Self {
            node_name: node_name.to_owned(),
            resources: BTreeMap::new(),
            fail_counts: FailCounts::default(),
        }
    }

    /// Takes over what stood before: `lrm_resource` elements, and transient attributes (others
    /// than fail counts are ignored).
    pub fn restore<'a>(
        &mut self,
        elements: impl IntoIterator<Item = Element>,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        for element in elements {
            if let Some(id) = element.id() {
                self.resources.insert(id.to_owned(), element);
            }
        }
        for (name, value) in attributes {
            self.fail_counts.restore(name, value);
        }
    }

    /// An operation begins (`record-pending`): crm_mon shows `Starting`, `Monitoring`.
    pub fn pending(&mut self, request: &OpRequest, now_s: i64) -> Changed {
        if !is_recorded(&request.operation) {
            return Changed::default();
        }
        let finished = OpFinished {
            request: request.clone(),
            outcome: super::OpOutcome {
                call_id: -1,
                rc: ocf_rc::UNKNOWN,
                op_status: op_status::PENDING,
                started_at: now_s,
                ..super::OpOutcome::default()
            },
        };
        self.write(&finished, &op_ids(&finished));
        Changed::resource(&request.rsc)
    }

    /// An operation ended.
    pub fn record(&mut self, finished: &OpFinished, start_failure_is_fatal: bool) -> Changed {
        let request = &finished.request;
        if !is_recorded(&request.operation) {
            return Changed::default();
        }
        if finished.outcome.op_status == op_status::CANCELLED {
            return self.cancelled(&request.rsc, &request.operation, request.interval_ms);
        }
        let lrm = self.write(finished, &op_ids(finished));
        if request.interval_ms == 0 && request.operation != "monitor" {
            drop_recurring(lrm);
        } else if request.interval_ms > 0 {
            // A first result that is a failure went to `last_failure`; the pending mark must go.
            drop_pending(
                lrm,
                &op_key(&request.rsc, &request.operation, request.interval_ms),
            );
        }
        let mut changed = Changed::resource(&request.rsc);
        for name in self.fail_counts.record(finished, start_failure_is_fatal) {
            let value = self.fail_counts.get(&name).cloned();
            changed.attributes.insert(name, value);
        }
        changed
    }

    /// A recurring operation was cancelled.
    pub fn cancelled(&mut self, rsc: &str, operation: &str, interval_ms: u64) -> Changed {
        let id = op_key(rsc, operation, interval_ms);
        let Some(lrm) = self.resources.get_mut(rsc) else {
            return Changed::default();
        };
        let before = lrm.children.len();
        lrm.children.retain(|op| op.id() != Some(&id));
        if lrm.children.len() == before {
            return Changed::default();
        }
        Changed::resource(rsc)
    }

    /// Forgets a resource: its history (so that it is probed again) and its failures.
    pub fn cleanup(&mut self, rsc: &str) -> Changed {
        let mut changed = Changed::default();
        if self.resources.remove(rsc).is_some() {
            changed.resources.insert(rsc.to_owned());
        }
        changed.gone(self.fail_counts.clear(rsc, None));
        changed
    }

    /// Forgets failures only, of one operation (`("monitor", 10000)`) or of all: the graph's
    /// `clear_failcount`, which a failure-timeout causes.
    pub fn clear_failures(&mut self, rsc: &str, operation: Option<(&str, u64)>) -> Changed {
        let mut changed = Changed::default();
        let short = operation.map(|(op, interval_ms)| format!("{op}_{interval_ms}"));
        changed.gone(self.fail_counts.clear(rsc, short.as_deref()));
        let key = operation.map(|(op, interval_ms)| op_key(rsc, op, interval_ms));
        let last_failure = format!("{rsc}_last_failure_0");
        if let Some(lrm) = self.resources.get_mut(rsc) {
            let before = lrm.children.len();
            lrm.children.retain(|op| {
                let matches = key.is_none() || op.attr("operation_key") == key.as_deref();
                op.id() != Some(&last_failure) || !matches
            });
            if lrm.children.len() != before {
                changed.resources.insert(rsc.to_owned());
            }
        }
        changed
    }

    /// `lrm_resource` of one resource.
    #[must_use]
    pub fn element(&self, rsc: &str) -> Option<&Element> {
        self.resources.get(rsc)
    }

    /// All `lrm_resource` elements, by id.
    #[must_use]
    pub fn elements(&self) -> Vec<&Element> {
        self.resources.values().collect()
    }

    /// Fail counts and times of last failures, as transient node attributes.
    #[must_use]
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        self.fail_counts.all()
    }

    fn write(&mut self, finished: &OpFinished, ids: &[String]) -> &mut Element {
        let request = &finished.request;
        let lrm = self
            .resources
            .entry(request.rsc.clone())
            .or_insert_with(|| Element::new("lrm_resource").with("id", &request.rsc));
        lrm.set("type", &request.kind);
        lrm.set("class", &request.class);
        if let Some(provider) = &request.provider {
            lrm.set("provider", provider);
        }
        if let Some(container) = request.meta.get("container") {
            lrm.set("container", container);
        }
        for id in ids {
            let entry = rsc_op(id, finished, &self.node_name);
            match lrm.children.iter_mut().find(|op| op.id() == Some(id)) {
                Some(old) => *old = entry,
                None => lrm.children.push(entry),
            }
        }
        lrm
    }
}

impl Changed {
    fn resource(rsc: &str) -> Self {
        Self {
            resources: BTreeSet::from([rsc.to_owned()]),
            ..Self::default()
        }
    }

    fn gone(&mut self, names: Vec<String>) {
        self.attributes
            .extend(names.into_iter().map(|name| (name, None)));
    }

    /// Nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.attributes.is_empty()
    }
}

/// Entries that a result is written to.
fn op_ids(finished: &OpFinished) -> Vec<String> {
    let request = &finished.request;
    let rsc = &request.rsc;
    let last = format!("{rsc}_last_0");
    if request.operation.starts_with("migrate_") {
        return vec![op_key(rsc, &request.operation, 0)];
    }
    match (has_failed(finished), request.interval_ms) {
        (false, 0) => vec![last],
        // A failure beside it: `last` must not go on saying that it is pending.
        (true, 0) => vec![format!("{rsc}_last_failure_0"), last],
        (false, interval_ms) => vec![op_key(rsc, &request.operation, interval_ms)],
        (true, _) => vec![format!("{rsc}_last_failure_0")],
    }
}

fn rsc_op(id: &str, finished: &OpFinished, node_name: &str) -> Element {
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
fn is_recorded(operation: &str) -> bool {
    !matches!(
        operation,
        "cancel" | "delete" | "notify" | "meta-data" | "validate-all"
    )
}

fn drop_recurring(lrm: &mut Element) {
    lrm.children
        .retain(|op| op.attr("interval") == Some("0") || is_last_failure(op));
}

fn drop_pending(lrm: &mut Element, id: &str) {
    let pending = op_status::PENDING.to_string();
    lrm.children
        .retain(|op| op.id() != Some(id) || op.attr("op-status") != Some(&pending));
}

fn is_last_failure(op: &Element) -> bool {
    op.id().is_some_and(|id| id.ends_with("_last_failure_0"))
}

fn op_key(rsc: &str, operation: &str, interval_ms: u64) -> String {
    format!("{rsc}_{operation}_{interval_ms}")
}

/// In the place of a transition's uuid where no transition asked.
const NO_TRANSITION: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
