//! What happens on this node: operations, their history, and the report made of it.

use super::app::{App, now_s};
use super::peer::{Item, Items, NodeCommand, NodeTell, Step, attribute_key, history_key, vip_key};
use super::watch::hands_off;
use crate::alert::{Alert, Alerter};
use crate::controller;
use crate::executor::{
    Changed, CommandToken, Executor, ExecutorEvent, History, OpFinished, OpRequest, ocf_rc,
    op_status,
};
use crate::fencing::Fencer;
use crate::view::VipStatus;
use crate::vip::lease::{LeaseView, Standing};
use crate::vip::nonlocal::NonlocalBind;
use crate::vip::{HeldVip, NativeVip};
use cib::Cib;
use cib::config::{Config, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// This node's executor and what it knows.
pub(super) struct Local {
    pub(super) executor: Executor,
    pub(super) fencer: Arc<Fencer>,
    pub(super) history: History,
    pub(super) vip: Arc<NativeVip>,
    pub(super) nonlocal: NonlocalBind,
    vips: BTreeSet<String>,
    start_failure_is_fatal: bool,
    pub(super) alerter: Alerter,
    pub(super) alerts: Vec<Alert>,
}

impl Local {
    pub(super) fn new(
        executor: Executor,
        fencer: Arc<Fencer>,
        vip: Arc<NativeVip>,
        alerter: Alerter,
        nonlocal: NonlocalBind,
        node_name: &str,
    ) -> Self {
        Self {
            executor,
            fencer,
            history: History::new(node_name),
            vip,
            nonlocal,
            vips: BTreeSet::new(),
            start_failure_is_fatal: true,
            alerter,
            alerts: Vec::new(),
        }
    }

    /// Every configured resource was looked at by this process.
    pub(super) fn knows_all(&self, cib: &Cib) -> bool {
        let config = Config::new(cib);
        let mut primitives = config
            .resources()
            .into_iter()
            .filter(|r| r.kind == Kind::Primitive);
        primitives.all(|r| self.history.element(r.id).is_some())
    }

    pub(super) fn configuration_changed(&mut self, cib: &Cib, node_name: &str) {
        self.vip.keep_hands_off(hands_off(cib, node_name));
        self.alerts = crate::alert::alerts(cib.root());
        let fatal = Config::new(cib).property("start-failure-is-fatal");
        self.start_failure_is_fatal = fatal
            .and_then(|v| cib::value::parse_bool(v).ok())
            .unwrap_or(true);
    }
}

impl App {
    /// This node's report is whole as of its newest view: every command taken before stands in it.
    /// At the start it is empty, because nothing is known here until it has been probed.
    pub(super) fn publish_ready(&mut self) {
        if self.leases.is_surrendering() {
            self.leases.ready_due = true;
            return;
        }
        let item = Item::Ready(self.standing.view.view_no);
        self.publish(vec![(item.key(), Some(item.value()))]);
    }

    /// Publishes items of this node's report, here and on every member.
    pub(super) fn publish(&mut self, items: Vec<(String, Option<Vec<u8>>)>) {
        if items.is_empty() {
            return;
        }
        self.reports.apply(self.me, false, &items);
        self.turn.publish(&items);
    }

    /// Carries out a command of the DC that `token` names, or this node's own without one.
    pub(super) fn obey(&mut self, token: Option<CommandToken>, command: NodeCommand) {
        match command {
            NodeCommand::Run(request) if self.handovers.has_begun(&request) => {}
            NodeCommand::Run(request) => {
                self.handovers.forget_prepared(&request);
                self.run_operation(token, *request);
            }
            NodeCommand::Prepare { grant_no, request } => self.prepare(token, grant_no, request),
            NodeCommand::Cancel {
                step,
                rsc,
                operation,
                interval_ms,
            } => {
                self.local.executor.cancel(&rsc, &operation, interval_ms);
                let changed = self.local.history.cancelled(&rsc, &operation, interval_ms);
                self.done(step, &changed);
            }
            NodeCommand::Forget { step, rsc } => {
                self.local.executor.forget(&rsc);
                let changed = self.local.history.cleanup(&rsc);
                self.done(step, &changed);
            }
            NodeCommand::ClearFailures {
                step,
                rsc,
                operation,
            } => {
                let operation = operation.as_ref().map(|(op, ms)| (op.as_str(), *ms));
                let changed = self.local.history.clear_failures(&rsc, operation);
                self.done(step, &changed);
            }
            NodeCommand::Shutdown { seq } => self.released(seq),
        }
    }

    pub(super) fn run_operation(&mut self, token: Option<CommandToken>, request: OpRequest) {
        let harmless = matches!(request.operation.as_str(), "stop" | "demote");
        if token.is_some() && !harmless && self.refuses_starts() {
            // The DC learns soon enough that this node is gone, and takes that for the answer.
            tracing::info!(
                rsc = request.rsc,
                operation = request.operation,
                "not run: this node leaves"
            );
            return;
        }
        if token.is_some() && !harmless && !self.standing.quorate {
            // I17. It lay in a queue while this node was cut off: its DC may have given up on this
            // node, and have another one do it.
            return self.refuse(NodeCommand::Run(Box::new(request)));
        }
        tracing::debug!(
            rsc = request.rsc,
            operation = request.operation,
            interval_ms = request.interval_ms,
            "operation begins"
        );
        self.lease_operation(&request);
        let executor = &self.local.executor;
        let taken = match token {
            Some(token) => executor.run_under(token, request.clone()),
            None => executor.run(request.clone()),
        };
        if let Err(error) = taken {
            self.lease_operation_refused(&request);
            self.notice("operation-refused", error.to_string());
            return self.refuse(NodeCommand::Run(Box::new(request)));
        }
        if matches!(
            request.operation.as_str(),
            "start" | "stop" | "promote" | "demote"
        ) {
            let changed = self.local.history.pending(&request, now_s());
            self.publish_changed(&changed);
        }
    }

    /// A command is not carried out: whoever waits for it is told, and its history stays as it was.
    pub(super) fn refuse(&mut self, command: NodeCommand) {
        if let Some(answer) = refusal_of(command) {
            self.tell_dc(answer);
        }
    }

    fn done(&mut self, step: Step, changed: &Changed) {
        self.publish_changed(changed);
        if self.waits_for(step) {
            return self.confirm(step, true);
        }
        self.tell_dc(NodeTell::Confirmed { step, ok: true });
    }

    pub(super) fn on_executor(&mut self, event: ExecutorEvent) {
        match event {
            ExecutorEvent::Finished(finished) => self.finished(&finished),
            ExecutorEvent::Notice { rsc, text } => {
                self.notice("resource", format!("{rsc}: {text}"))
            }
        }
    }

    fn finished(&mut self, finished: &OpFinished) {
        let (request, outcome) = (&finished.request, &finished.outcome);
        let probe = request.operation == "monitor" && request.interval_ms == 0;
        let as_expected = outcome.rc == request.target_rc || (probe && is_state(outcome.rc));
        if outcome.op_status != 0 || !as_expected {
            tracing::warn!(
                rsc = request.rsc,
                operation = request.operation,
                interval_ms = request.interval_ms,
                rc = outcome.rc,
                op_status = outcome.op_status,
                reason = outcome.exit_reason,
                "operation did not end as expected"
            );
        } else {
            tracing::info!(
                rsc = request.rsc,
                operation = request.operation,
                interval_ms = request.interval_ms,
                exec_ms = outcome.exec_ms,
                "operation done"
            );
        }
        let mut items = self.record(finished);
        items.extend(self.lease_operation_ended(finished));
        self.turn.vips_changed();
        self.alert_operation(finished);
        let (transition_key, rc, op_status) = (
            request.transition_key.clone(),
            outcome.rc,
            outcome.op_status,
        );
        self.control_lone(controller::Input::OpDone {
            transition_key: transition_key.clone(),
            rc,
            op_status,
        });
        self.tell_dc(NodeTell::OpDone {
            transition_key,
            rc,
            op_status,
            items,
        });
    }

    /// Writes a result down and publishes what that changed.
    pub(super) fn record(&mut self, finished: &OpFinished) -> Items {
        let fatal = self.local.start_failure_is_fatal;
        let changed = self.local.history.record(finished, fatal);
        self.publish_changed(&changed)
    }

    /// Publishes what changed, and returns it.
    pub(super) fn publish_changed(&mut self, changed: &Changed) -> Items {
        let mut items = Vec::new();
        for rsc in &changed.resources {
            let xml = self
                .local
                .history
                .element(rsc)
                .map(|e| cib::xml::compact(e).into_bytes());
            items.push((history_key(rsc), xml));
        }
        for (name, value) in &changed.attributes {
            items.push((attribute_key(name), value.clone().map(String::into_bytes)));
        }
        self.publish(items.clone());
        items
    }

    pub(super) fn publish_vips(&mut self) {
        let node = self.peers.name(self.me.node);
        let leases = self.leases.handle.view();
        let status = |v: HeldVip| {
            let mut status = VipStatus {
                resource: v.resource,
                address: v.address,
                device: v.device,
                node: node.clone(),
                announces: v.announces,
                conflicts: v.conflicts,
                foreign: v.foreign,
                ..VipStatus::default()
            };
            describe_lease(&mut status, &leases);
            status
        };
        let held = self.local.vip.list();
        for vip in &held {
            if !vip.trouble.is_empty() {
                self.notice_once(
                    "vip-announce",
                    format!("{} ({}): {}", vip.resource, vip.address, vip.trouble),
                );
            }
        }
        let held: Vec<VipStatus> = held.into_iter().map(status).collect();
        let mut items = Vec::new();
        let now: BTreeSet<String> = held.iter().map(|v| v.resource.clone()).collect();
        for gone in self.local.vips.difference(&now) {
            items.push((vip_key(gone), None));
        }
        let me = [self.me.node.0];
        let known = self.reports.vips(&me).cloned();
        let known: BTreeMap<_, _> = known.map(|v| (v.resource.clone(), v)).collect();
        for vip in &held {
            if known.get(&vip.resource) != Some(vip) {
                let item = Item::Vip(Box::new(vip.clone()));
                items.push((item.key(), Some(item.value())));
            }
        }
        self.local.vips = now;
        self.publish(items);
    }

    /// Forgets failures and history by hand: the scheduler probes again.
    pub(super) fn cleanup(&mut self, resource: Option<&str>) {
        let known: Vec<String> = self
            .local
            .history
            .elements()
            .iter()
            .filter_map(|e| e.id().map(str::to_owned))
            .collect();
        let wanted = resource.map(|id| primitives_of(self.replica.cib(), id));
        let mut items = Vec::new();
        for rsc in known {
            let base = rsc.split(':').next().unwrap_or(&rsc);
            if wanted.as_ref().is_none_or(|w| w.contains(base)) {
                self.local.executor.forget(&rsc);
                let changed = self.local.history.cleanup(&rsc);
                items.extend(self.publish_changed(&changed));
            }
        }
        let what = resource.unwrap_or("every resource");
        self.tell_dc(NodeTell::Changed {
            why: format!("{what} was cleaned up"),
            items,
        });
    }

    /// Anything active here, by the history (I: unmanaged resources count too).
    pub(super) fn anything_runs(&self) -> bool {
        self.local
            .history
            .elements()
            .iter()
            .any(|lrm| is_active(lrm))
    }
}

/// What a status says of an address's lease; what passes by itself is left out.
fn describe_lease(status: &mut VipStatus, leases: &LeaseView) {
    let (lease, grant_no) = match leases.standings.get(&status.resource) {
        Some(Standing::Open { grant_no, .. }) => ("open", *grant_no),
        Some(Standing::Lapsed { grant_no }) => ("lapsed", *grant_no),
        Some(Standing::Waiting(_)) => ("waiting", 0),
        None => ("unleased", 0),
    };
    status.lease = lease.to_owned();
    status.grant_no = grant_no;
    if lease == "unleased" {
        return;
    }
    let belts = &leases.belts;
    let all = [
        (belts.gates, "nf_tables"),
        (belts.owned, "owned"),
        (belts.egress, "egress"),
        (true, "lifetime"),
    ];
    let worn = all.iter().filter(|b| b.0);
    status.belts = worn.map(|b| b.1.to_owned()).collect();
    status.weaker.clone_from(&belts.weaker);
}

/// The answer to a command that is not carried out; `None` where none is waited for.
pub(super) fn refusal_of(command: NodeCommand) -> Option<NodeTell> {
    match command {
        NodeCommand::Run(request) => Some(NodeTell::OpDone {
            transition_key: request.transition_key,
            rc: ocf_rc::UNKNOWN,
            op_status: op_status::CANCELLED,
            items: Vec::new(),
        }),
        NodeCommand::Prepare { request, .. } => Some(NodeTell::Unused {
            vip: request.rsc,
            transition_key: request.transition_key,
        }),
        NodeCommand::Cancel { step, .. }
        | NodeCommand::Forget { step, .. }
        | NodeCommand::ClearFailures { step, .. } => Some(NodeTell::Confirmed { step, ok: false }),
        NodeCommand::Shutdown { .. } => None,
    }
}

/// A resource's primitives: itself, or what a group or clone contains.
fn primitives_of(cib: &Cib, id: &str) -> BTreeSet<String> {
    let config = Config::new(cib);
    let mut wanted = BTreeSet::from([id.to_owned()]);
    // Parents come before their children in document order.
    for resource in config.resources() {
        if resource.parent.is_some_and(|p| wanted.contains(p)) {
            wanted.insert(resource.id.to_owned());
        }
    }
    wanted
}

/// The newest result that speaks of the resource's state says that it runs (or may run).
pub(super) fn is_active(lrm: &cib::Element) -> bool {
    let speaks = |op: &&cib::Element| {
        matches!(
            op.attr("operation"),
            Some(
                "start" | "stop" | "monitor" | "promote" | "demote" | "migrate_to" | "migrate_from"
            )
        )
    };
    let Some(newest) = lrm
        .children
        .iter()
        .filter(speaks)
        .max_by_key(|op| call_of(op))
    else {
        return false;
    };
    let rc = newest.attr("rc-code").unwrap_or("");
    match newest.attr("operation") {
        Some("stop") => rc != "0",
        // Neither does it run where its parameters are of no use.
        Some("monitor") if newest.attr("interval").is_none_or(|i| i == "0") => {
            !matches!(rc, "2" | "5" | "7")
        }
        // Not running, not installed: both mean that nothing is there.
        _ => rc != "7" && rc != "5",
    }
}

/// The newest result says that it runs, or comes from its monitor: one that failed counts, too,
/// because it asks for a recovery there.
pub(super) fn claims_to_run(lrm: &cib::Element) -> bool {
    let newest = lrm.children.iter().max_by_key(|op| call_of(op));
    let watched = newest.and_then(|op| op.attr("interval"));
    is_active(lrm) || watched.is_some_and(|i| i != "0")
}

fn call_of(op: &cib::Element) -> i64 {
    let call = op.attr("call-id").and_then(|c| c.parse().ok());
    call.unwrap_or(-1)
}

/// What a probe may find without anything being wrong: running, not running, promoted.
fn is_state(rc: i32) -> bool {
    matches!(rc, 0 | 7 | 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cib::Element;

    fn lrm(ops: &[(&str, i32, i32)]) -> Element {
        let mut lrm = Element::new("lrm_resource");
        for (operation, rc, call) in ops {
            let op = Element::new("lrm_rsc_op")
                .with("operation", operation)
                .with("rc-code", &rc.to_string())
                .with("call-id", &call.to_string());
            lrm.children.push(op);
        }
        lrm
    }

    #[test]
    fn the_newest_result_tells_whether_something_runs() {
        assert!(!is_active(&lrm(&[])));
        assert!(!is_active(&lrm(&[("monitor", 7, 1)])));
        assert!(is_active(&lrm(&[("start", 0, 5), ("monitor", 7, 1)])));
        assert!(!is_active(&lrm(&[("start", 0, 5), ("stop", 0, 9)])));
        assert!(
            is_active(&lrm(&[("stop", 1, 9)])),
            "a failed stop proves nothing"
        );
        assert!(
            is_active(&lrm(&[("start", 1, 9)])),
            "a failed start may have left a part running"
        );
        let mut misplaced = lrm(&[("monitor", 2, 9)]);
        assert!(!is_active(&misplaced));
        misplaced.children[0].set("interval", "1000");
        assert!(is_active(&misplaced), "it was there before");
        assert!(!is_active(&lrm(&[("monitor", 5, 9)])));
    }

    #[test]
    fn what_is_watched_claims_to_run_even_when_its_monitor_failed() {
        let mut failed = lrm(&[("start", 0, 5), ("monitor", 7, 6)]);
        assert!(!claims_to_run(&failed));
        failed.children[1].set("interval", "1000");
        assert!(claims_to_run(&failed));
        failed
            .children
            .push(lrm(&[("stop", 0, 9)]).children.remove(0));
        assert!(!claims_to_run(&failed), "it is over");
        assert!(!claims_to_run(&lrm(&[("start", 0, 5), ("stop", 0, 9)])));
    }

    #[test]
    fn a_group_means_its_members() {
        let xml = "<cib admin_epoch=\"0\" epoch=\"0\" num_updates=\"0\"><configuration><crm_config/><nodes/><resources><group id=\"g\"><primitive id=\"a\" class=\"ocf\" provider=\"p\" type=\"t\"/></group><primitive id=\"b\" class=\"ocf\" provider=\"p\" type=\"t\"/></resources><constraints/></configuration><status/></cib>";
        let cib = Cib::parse(xml).unwrap();
        assert!(primitives_of(&cib, "g").contains("a"));
        assert!(!primitives_of(&cib, "g").contains("b"));
    }
}
