//! Operation history of this node as the CIB's status section shows it. Pure.
//!
//! Ids, attributes and what replaces what are those of Pacemaker 2.1
//! (lib/pacemaker/pcmk_sched_actions.c, `pcmk__create_history_xml`;
//! daemons/controld/controld_execd.c, `update_history_cache`).

mod entry;

use super::api::{OpFinished, OpRequest};
use super::failcount::FailCounts;
use super::outcome::{ocf_rc, op_status};
use cib::Element;
use entry::{after_siblings, drop_pending, drop_recurring, is_recorded, op_ids, op_key, rsc_op};
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
        if request.interval_ms == 0 && !matches!(request.operation.as_str(), "monitor" | "asyncmon")
        {
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
        let at = after_siblings(lrm, finished);
        for id in ids {
            let entry = rsc_op(id, finished, &self.node_name).with("last-rc-change", &at);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::OpOutcome;

    const KEY: &str = "3:7:0:be2e97d9-05e2-439d-863e-48f7aecab2aa";

    fn request(operation: &str, interval_ms: u64, target_rc: i32) -> OpRequest {
        OpRequest {
            rsc: "ip".to_owned(),
            class: "ocf".to_owned(),
            provider: Some("heartbeat".to_owned()),
            kind: "IPaddr2".to_owned(),
            operation: operation.to_owned(),
            interval_ms,
            target_rc,
            transition_key: KEY.to_owned(),
            digest: "97eae1ae64f4ca28c6b4ec8d6e2a7e54".to_owned(),
            ..OpRequest::default()
        }
    }

    fn done(operation: &str, interval_ms: u64, target_rc: i32, rc: i32) -> OpFinished {
        OpFinished {
            request: request(operation, interval_ms, target_rc),
            outcome: OpOutcome {
                call_id: 12,
                rc,
                exit_reason: "said so".to_owned(),
                started_at: 1_700_000_000,
                exec_ms: 34,
                queue_ms: 1,
                ..OpOutcome::default()
            },
        }
    }

    /// `id operation rc/op-status` of each entry.
    fn entries(history: &History) -> Vec<String> {
        let lrm = history.element("ip").expect("a history of ip");
        lrm.children
            .iter()
            .map(|op| {
                let attr = |name| op.attr(name).unwrap_or_default();
                let (rc, status) = (attr("rc-code"), attr("op-status"));
                format!("{} {} {rc}/{status}", attr("id"), attr("operation"))
            })
            .collect()
    }

    fn check(steps: &[OpFinished], expect: &[&str]) -> History {
        let mut history = History::new("node1");
        for step in steps {
            history.record(step, true);
        }
        assert_eq!(entries(&history), expect);
        history
    }

    #[test]
    fn a_failure_in_the_second_of_the_success_counts_as_later() {
        let mut history = History::new("node1");
        history.record(&done("monitor", 10_000, 0, 0), true);
        history.record(&done("monitor", 10_000, 0, 7), true);
        let time_of = |id: &str| {
            let ops = &history.element("ip").unwrap().children;
            let op = ops.iter().find(|op| op.id() == Some(id)).unwrap();
            op.attr("last-rc-change").unwrap().parse::<i64>().unwrap()
        };
        assert!(time_of("ip_last_failure_0") > time_of("ip_monitor_10000"));
    }

    #[test]
    fn attributes_and_their_order_are_pacemaker_s() {
        let mut history = History::new("node1");
        history.record(&done("start", 0, 0, 0), true);
        let lrm = history.element("ip").unwrap();
        let expect = [
            ("id", "ip"),
            ("type", "IPaddr2"),
            ("class", "ocf"),
            ("provider", "heartbeat"),
        ];
        let found: Vec<(&str, &str)> = lrm.attrs.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(found, expect);
        let found: Vec<(&str, &str)> = lrm.children[0]
            .attrs
            .iter()
            .map(|(n, v)| (&**n, &**v))
            .collect();
        let magic = format!("0:0;{KEY}");
        let expect = [
            ("id", "ip_last_0"),
            ("operation_key", "ip_start_0"),
            ("operation", "start"),
            ("crm_feature_set", "3.19.7"),
            ("transition-key", KEY),
            ("transition-magic", magic.as_str()),
            ("exit-reason", ""),
            ("on_node", "node1"),
            ("call-id", "12"),
            ("rc-code", "0"),
            ("op-status", "0"),
            ("interval", "0"),
            ("last-rc-change", "1700000000"),
            ("exec-time", "34"),
            ("queue-time", "1"),
            ("op-digest", "97eae1ae64f4ca28c6b4ec8d6e2a7e54"),
        ];
        assert_eq!(found, expect);
    }

    #[test]
    fn probes_starts_and_monitors() {
        check(&[done("monitor", 0, 7, 7)], &["ip_last_0 monitor 7/0"]);
        let history = check(
            &[
                done("monitor", 0, 7, 7),
                done("start", 0, 0, 0),
                done("monitor", 10_000, 0, 0),
            ],
            &["ip_last_0 start 0/0", "ip_monitor_10000 monitor 0/0"],
        );
        assert!(history.attributes().is_empty());
    }

    #[test]
    fn a_failed_monitor_stands_beside_the_last_good_one() {
        let history = check(
            &[
                done("start", 0, 0, 0),
                done("monitor", 10_000, 0, 0),
                done("monitor", 10_000, 0, 7),
            ],
            &[
                "ip_last_0 start 0/0",
                "ip_monitor_10000 monitor 0/0",
                "ip_last_failure_0 monitor 7/0",
            ],
        );
        let failure = &history.element("ip").unwrap().children[2];
        assert_eq!(failure.attr("operation_key"), Some("ip_monitor_10000"));
        assert_eq!(failure.attr("exit-reason"), Some("said so"));
        assert_eq!(history.attributes()["fail-count-ip#monitor_10000"], "1");
    }

    #[test]
    fn a_failed_start_is_the_last_operation_too() {
        let failed = done("start", 0, 0, 1);
        let mut timed_out = done("start", 0, 0, 1);
        timed_out.outcome.op_status = op_status::TIMEOUT;
        check(
            &[failed],
            &["ip_last_failure_0 start 1/0", "ip_last_0 start 1/0"],
        );
        let history = check(
            &[timed_out, done("stop", 0, 0, 0)],
            &["ip_last_failure_0 start 1/2", "ip_last_0 stop 0/0"],
        );
        assert_eq!(history.attributes()["fail-count-ip#start_0"], "INFINITY");
    }

    #[test]
    fn a_stop_ends_the_monitors() {
        check(
            &[
                done("start", 0, 0, 0),
                done("monitor", 10_000, 0, 0),
                done("monitor", 20_000, 0, 0),
                done("monitor", 10_000, 0, 7),
                done("stop", 0, 0, 0),
            ],
            &["ip_last_0 stop 0/0", "ip_last_failure_0 monitor 7/0"],
        );
    }

    #[test]
    fn pending_entries_come_and_go() {
        let mut history = History::new("node1");
        let changed = history.pending(&request("start", 0, 0), 5);
        assert_eq!(changed.resources.len(), 1);
        assert_eq!(entries(&history), ["ip_last_0 start 193/-1"]);
        let op = &history.element("ip").unwrap().children[0];
        assert_eq!(op.attr("call-id"), Some("-1"));
        history.record(&done("start", 0, 0, 0), true);
        history.pending(&request("monitor", 10_000, 0), 6);
        assert_eq!(
            entries(&history),
            ["ip_last_0 start 0/0", "ip_monitor_10000 monitor 193/-1"]
        );
        history.record(&done("monitor", 10_000, 0, 7), true);
        assert_eq!(
            entries(&history),
            ["ip_last_0 start 0/0", "ip_last_failure_0 monitor 7/0"]
        );
        assert!(history.pending(&request("notify", 0, 0), 7).is_empty());
    }

    #[test]
    fn reloads_are_starts_and_unrecorded_operations_leave_no_trace() {
        check(&[done("reload-agent", 0, 0, 0)], &["ip_last_0 start 0/0"]);
        let mut history = History::new("node1");
        for operation in ["notify", "meta-data", "validate-all"] {
            assert!(history.record(&done(operation, 0, 0, 1), true).is_empty());
        }
        assert!(history.elements().is_empty());
    }

    #[test]
    fn migrations_have_entries_of_their_own() {
        let mut migrate = done("migrate_to", 0, 0, 0);
        let meta = &mut migrate.request.meta;
        meta.insert("migrate_source".to_owned(), "node1".to_owned());
        meta.insert("migrate_target".to_owned(), "node2".to_owned());
        let history = check(&[migrate], &["ip_migrate_to_0 migrate_to 0/0"]);
        let op = &history.element("ip").unwrap().children[0];
        assert_eq!(op.attr("migrate_target"), Some("node2"));
    }

    #[test]
    fn forgetting() {
        let steps = [
            done("start", 0, 0, 0),
            done("monitor", 10_000, 0, 0),
            done("monitor", 10_000, 0, 7),
        ];
        let mut history = check(
            &steps,
            &[
                "ip_last_0 start 0/0",
                "ip_monitor_10000 monitor 0/0",
                "ip_last_failure_0 monitor 7/0",
            ],
        );
        assert!(history.clear_failures("ip", Some(("start", 0))).is_empty());
        let changed = history.clear_failures("ip", Some(("monitor", 10_000)));
        assert_eq!(changed.attributes["fail-count-ip#monitor_10000"], None);
        assert_eq!(
            entries(&history),
            ["ip_last_0 start 0/0", "ip_monitor_10000 monitor 0/0"]
        );
        assert!(!history.cancelled("ip", "monitor", 10_000).is_empty());
        assert!(history.cancelled("ip", "monitor", 10_000).is_empty());
        history.record(&done("monitor", 10_000, 0, 7), true);
        let changed = history.cleanup("ip");
        assert_eq!((changed.resources.len(), changed.attributes.len()), (1, 2));
        assert_eq!(history, History::new("node1"));
        assert!(history.cleanup("ip").is_empty());
    }

    #[test]
    fn a_restored_history_is_the_same() {
        let mut history = History::new("node1");
        history.record(&done("monitor", 10_000, 0, 7), true);
        let mut again = History::new("node1");
        again.restore(
            history.elements().into_iter().cloned(),
            history.attributes().iter().map(|(n, v)| (&**n, &**v)),
        );
        assert_eq!(again, history);
        again.restore([], [("pingd", "100")]);
        assert_eq!(again, history, "other attributes are not ours");
    }

    #[test]
    fn without_a_transition_the_key_is_made_up() {
        let mut finished = done("start", 0, 0, 0);
        finished.request.transition_key.clear();
        let history = check(&[finished], &["ip_last_0 start 0/0"]);
        let op = &history.element("ip").unwrap().children[0];
        let key = "12:-1:0:xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
        assert_eq!(op.attr("transition-key"), Some(key));
    }
}
