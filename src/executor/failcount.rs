//! Fail counts: the transient attributes that say how often an operation failed here. Pure.
//!
//! The rules are those of Pacemaker's controller (daemons/controld/controld_te_events.c,
//! `update_failcount`).

use super::api::OpFinished;
use super::outcome::{ocf_rc, op_status};
use std::collections::BTreeMap;

/// Counts and times, by attribute name as in the CIB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FailCounts {
    attributes: BTreeMap<String, String>,
}

impl FailCounts {
    /// Takes a result; returns the names of the attributes that changed.
    pub(super) fn record(
        &mut self,
        finished: &OpFinished,
        start_failure_is_fatal: bool,
    ) -> Vec<String> {
        let Some(step) = step_for(finished, start_failure_is_fatal) else {
            return Vec::new();
        };
        let request = &finished.request;
        let operation = format!("{}_{}", request.operation, request.interval_ms);
        let mut changed = Vec::new();
        // on-fail=ignore: the failure is shown, but never counts against the resource.
        if request.on_fail != "ignore" {
            let name = format!("{FAIL_COUNT}{}#{operation}", request.rsc);
            let value = self.attributes.entry(name.clone()).or_default();
            *value = match step {
                Step::Infinity => INFINITY.to_owned(),
                Step::One => plus_one(value),
            };
            changed.push(name);
        }
        let ended_at = finished.outcome.started_at
            + i64::try_from(finished.outcome.exec_ms / 1000).unwrap_or(0);
        let name = format!("{LAST_FAILURE}{}#{operation}", request.rsc);
        self.attributes.insert(name.clone(), ended_at.to_string());
        changed.push(name);
        changed
    }

    /// Forgets a resource's failures, or those of one operation (`monitor_10000`); returns the
    /// names of the attributes that are gone.
    pub(super) fn clear(&mut self, rsc: &str, operation: Option<&str>) -> Vec<String> {
        let gone: Vec<String> = self
            .attributes
            .keys()
            .filter(|name| {
                parse_name(name)
                    .is_some_and(|(r, op)| r == rsc && operation.is_none_or(|want| want == op))
            })
            .cloned()
            .collect();
        for name in &gone {
            self.attributes.remove(name);
        }
        gone
    }

    /// Value of an attribute.
    pub(super) fn get(&self, name: &str) -> Option<&String> {
        self.attributes.get(name)
    }

    /// All attributes.
    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }

    /// Takes over an attribute as it stood before a restart; others than fail counts are ignored.
    pub(super) fn restore(&mut self, name: &str, value: &str) {
        if parse_name(name).is_some() {
            self.attributes.insert(name.to_owned(), value.to_owned());
        }
    }
}

enum Step {
    One,
    Infinity,
}

/// What a result adds; `None` = it is no failure, or a probe's, which counts for nothing.
fn step_for(finished: &OpFinished, start_failure_is_fatal: bool) -> Option<Step> {
    let (request, outcome) = (&finished.request, &finished.outcome);
    let still_open = [op_status::PENDING, op_status::CANCELLED].contains(&outcome.op_status);
    if still_open || effective_rc(outcome.rc) == request.target_rc {
        return None;
    }
    match (request.operation.as_str(), request.interval_ms) {
        // A failure that was told from outside counts (daemons/controld/controld_te_events.c).
        (_, 1..) | ("promote" | "demote" | "asyncmon", _) => Some(Step::One),
        ("start", _) if start_failure_is_fatal => Some(Step::Infinity),
        ("start", _) => Some(Step::One),
        ("stop", _) => Some(Step::Infinity),
        _ => None,
    }
}

/// Degraded is success with a mark (lib/common/results.c, `pcmk__effective_rc`).
pub(super) fn effective_rc(rc: i32) -> i32 {
    match rc {
        ocf_rc::DEGRADED => ocf_rc::OK,
        ocf_rc::DEGRADED_PROMOTED => ocf_rc::PROMOTED,
        rc => rc,
    }
}

/// `value++` as the attribute manager does it: infinity stays, what is no number counts as 0.
fn plus_one(value: &str) -> String {
    if value == INFINITY {
        return INFINITY.to_owned();
    }
    let count = value.parse::<u32>().unwrap_or(0).saturating_add(1);
    if count >= SCORE_INFINITY {
        INFINITY.to_owned()
    } else {
        count.to_string()
    }
}

/// `fail-count-RSC#monitor_10000` → `(RSC, monitor_10000)`; also `last-failure-`.
fn parse_name(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(FAIL_COUNT)
        .or_else(|| name.strip_prefix(LAST_FAILURE))?
        .rsplit_once('#')
}

const FAIL_COUNT: &str = "fail-count-";
const LAST_FAILURE: &str = "last-failure-";
const INFINITY: &str = "INFINITY";
/// Scores from here on are infinite.
const SCORE_INFINITY: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{OpOutcome, OpRequest};

    fn finished(operation: &str, interval_ms: u64, rc: i32, target_rc: i32) -> OpFinished {
        OpFinished {
            request: OpRequest {
                rsc: "db".to_owned(),
                operation: operation.to_owned(),
                interval_ms,
                target_rc,
                ..OpRequest::default()
            },
            outcome: OpOutcome {
                rc,
                started_at: 100,
                exec_ms: 2500,
                ..OpOutcome::default()
            },
        }
    }

    fn check(results: &[OpFinished], fatal: bool, expect: &[(&str, &str)]) {
        let mut counts = FailCounts::default();
        for result in results {
            counts.record(result, fatal);
        }
        let found: Vec<(&str, &str)> = counts
            .all()
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn success_and_probes_count_nothing() {
        check(
            &[
                finished("start", 0, 0, 0),
                finished("monitor", 10_000, 0, 0),
                finished("monitor", 10_000, 190, 0),
                finished("monitor", 11_000, 191, 8),
                finished("monitor", 0, 7, 7),
                finished("monitor", 0, 1, 7),
                finished("notify", 0, 1, 0),
            ],
            true,
            &[],
        );
    }

    #[test]
    fn monitors_add_up_and_stop_is_infinite() {
        let monitor = finished("monitor", 10_000, 7, 0);
        check(
            &[monitor.clone(), monitor, finished("stop", 0, 1, 0)],
            true,
            &[
                ("fail-count-db#monitor_10000", "2"),
                ("fail-count-db#stop_0", "INFINITY"),
                ("last-failure-db#monitor_10000", "102"),
                ("last-failure-db#stop_0", "102"),
            ],
        );
    }

    #[test]
    fn start_failure_by_option() {
        let start = finished("start", 0, 1, 0);
        let last = ("last-failure-db#start_0", "102");
        let twice = [start.clone(), start];
        check(&twice, true, &[("fail-count-db#start_0", "INFINITY"), last]);
        check(&twice, false, &[("fail-count-db#start_0", "2"), last]);
    }

    #[test]
    fn ignored_failure_is_shown_only() {
        let mut ignored = finished("monitor", 10_000, 7, 0);
        ignored.request.on_fail = "ignore".to_owned();
        check(
            &[ignored],
            true,
            &[("last-failure-db#monitor_10000", "102")],
        );
    }

    #[test]
    fn counting_ends_at_infinity() {
        assert_eq!(plus_one("999998"), "999999");
        assert_eq!(plus_one("999999"), "INFINITY");
        assert_eq!(plus_one("INFINITY"), "INFINITY");
        assert_eq!(plus_one("rubbish"), "1");
    }

    #[test]
    fn clearing_one_operation_leaves_the_others() {
        let mut counts = FailCounts::default();
        counts.record(&finished("monitor", 10_000, 7, 0), true);
        counts.record(&finished("start", 0, 1, 0), true);
        let gone = counts.clear("db", Some("monitor_10000"));
        assert_eq!(
            gone,
            [
                "fail-count-db#monitor_10000",
                "last-failure-db#monitor_10000"
            ]
        );
        assert!(counts.clear("other", None).is_empty());
        assert_eq!(counts.clear("db", None).len(), 2);
        assert!(counts.all().is_empty());
    }
}
