//! Alerts from the CIB to the program's environment.

use super::runner::{timestamp, variables};
use super::*;
use crate::executor::{OpFinished, OpOutcome, OpRequest};
use crate::paths::Paths;
use cib::Element;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

fn set(name: &str, pairs: &[(&str, &str)]) -> Element {
    pairs.iter().fold(Element::new(name), |set, (name, value)| {
        set.child(
            Element::new("nvpair")
                .with("name", name)
                .with("value", value),
        )
    })
}

fn cib(alert: Element) -> Element {
    let section = Element::new("alerts").child(alert);
    Element::new("cib").child(Element::new("configuration").child(section))
}

fn alert_element(path: &str) -> Element {
    Element::new("alert").with("id", "a1").with("path", path)
}

fn node_lost() -> AlertEvent {
    AlertEvent::Node {
        node: "node2".to_owned(),
        node_id: 2,
        member: false,
    }
}

fn operation(operation: &str, interval_ms: u64, rc: i32, op_status: i32) -> AlertEvent {
    AlertEvent::Resource {
        node: "node1".to_owned(),
        finished: Box::new(OpFinished {
            request: OpRequest {
                rsc: "db".to_owned(),
                operation: operation.to_owned(),
                interval_ms,
                target_rc: 0,
                ..OpRequest::default()
            },
            outcome: OpOutcome {
                rc,
                op_status,
                exec_ms: 12,
                ..OpOutcome::default()
            },
        }),
    }
}

#[test]
fn options_are_inherited_by_recipients() {
    let element = alert_element("/a")
        .child(set(
            "meta_attributes",
            &[("timeout", "5s"), ("enabled", "off")],
        ))
        .child(set("instance_attributes", &[("trap", "x"), ("host", "h")]))
        .child(
            Element::new("recipient")
                .with("value", "ops")
                .child(set("meta_attributes", &[("enabled", "true")]))
                .child(set("instance_attributes", &[("host", "other")])),
        )
        .child(Element::new("recipient").with("value", "boss"));
    let found = alerts(&cib(element));
    assert_eq!(found.len(), 1);
    let [ops, boss] = &found[0].recipients[..] else {
        panic!("two recipients: {found:?}");
    };
    assert_eq!((ops.enabled, ops.timeout_ms), (true, 5000));
    assert_eq!(ops.variables["host"], "other");
    assert_eq!(ops.variables["trap"], "x");
    assert!(!boss.enabled);
    assert_eq!(boss.variables["host"], "h");
}

#[test]
fn selection() {
    let all = Select::default();
    assert!(node_lost().is_wanted(&all));
    assert!(operation("start", 0, 1, 0).is_wanted(&all));
    assert!(
        operation("monitor", 0, 7, 0).is_wanted(&all),
        "an unexpected probe is news"
    );
    assert!(!operation("monitor", 0, 0, 0).is_wanted(&all));
    assert!(operation("monitor", 10_000, 0, 0).is_wanted(&all));
    let attribute = AlertEvent::Attribute {
        node: "node1".to_owned(),
        node_id: 1,
        name: "pingd".to_owned(),
        value: "100".to_owned(),
    };
    assert!(!attribute.is_wanted(&all));
    let element = alert_element("/a").child(Element::new("select").child(
        Element::new("select_attributes").child(Element::new("attribute").with("name", "pingd")),
    ));
    let select = alerts(&cib(element)).remove(0).select;
    assert_eq!(
        select.attributes,
        Some(BTreeSet::from(["pingd".to_owned()]))
    );
    assert!(attribute.is_wanted(&select));
    assert!(!node_lost().is_wanted(&select));
}

#[test]
fn variables_of_a_failed_operation() {
    let recipient = alerts(&cib(alert_element("/a")))
        .remove(0)
        .recipients
        .remove(0);
    let now = Duration::new(1_700_000_000, 123_456_789);
    let found = variables(&operation("monitor", 10_000, 1, 2), &recipient, 7, now);
    let expect = [
        ("CRM_alert_desc", "Timed Out"),
        ("CRM_alert_exec_time", "12"),
        ("CRM_alert_interval", "10000"),
        ("CRM_alert_kind", "resource"),
        ("CRM_alert_node", "node1"),
        ("CRM_alert_node_sequence", "7"),
        ("CRM_alert_rc", "1"),
        ("CRM_alert_recipient", ""),
        ("CRM_alert_rsc", "db"),
        ("CRM_alert_status", "2"),
        ("CRM_alert_target_rc", "0"),
        ("CRM_alert_task", "monitor"),
        ("CRM_alert_timestamp_epoch", "1700000000"),
        ("CRM_alert_timestamp_usec", "123456"),
        ("CRM_alert_version", "2.1.9"),
    ];
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .filter(|(n, _)| *n != "CRM_alert_timestamp")
        .collect();
    assert_eq!(found, expect);
}

#[test]
fn timestamps() {
    let now = Duration::new(1_700_000_000, 123_456_789);
    let cases = [
        ("%H:%M:%S.%06N", "22:13:20.123456"),
        ("%Y-%m-%d %3N %N", "2023-11-14 123 123456789"),
        ("100%% %%N", "100% %N"),
        ("plain", "plain"),
        ("%", "1700000000"),
    ];
    for (format, expect) in cases {
        assert_eq!(timestamp(format, now, &TimeZone::UTC), expect, "{format:?}");
    }
}

fn script(dir: &TempDir, name: &str, body: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn agents_are_told_and_failures_are_named() {
    let dir = TempDir::new().unwrap();
    // The agents may run as another user.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let root = dir.path().display();
    let good = script(
        &dir,
        "good",
        &format!(
            "echo $CRM_alert_kind $CRM_alert_node $CRM_alert_desc $CRM_alert_recipient >>{root}/told"
        ),
    );
    let bad = script(&dir, "bad", "echo no mail server >&2; exit 3");
    let slow = script(&dir, "slow", "exec sleep 600");
    let (sender, mut failures) = mpsc::channel(16);
    let alerter = Alerter::new(&Paths::below(dir.path()), &BTreeMap::new(), sender);
    let with = |path: &str, timeout: &str| {
        let element = alert_element(path)
            .child(set("meta_attributes", &[("timeout", timeout)]))
            .child(Element::new("recipient").with("value", "ops"));
        alerts(&cib(element)).remove(0)
    };
    let all = [
        with(&good, "30s"),
        with(&bad, "30s"),
        with(&slow, "300ms"),
        with("/no/such", "30s"),
        with("relative", "30s"),
    ];
    assert_eq!(alerter.send(&node_lost(), &all), 5);
    alerter.idle().await;
    let told = fs::read_to_string(dir.path().join("told")).unwrap();
    assert_eq!(told, "node node2 lost ops\n");
    let mut said = Vec::new();
    while let Ok(text) = failures.try_recv() {
        said.push(text);
    }
    assert_eq!(said.len(), 4, "{said:?}");
    for part in [
        "bad exited with 3: no mail server",
        "slow did not complete within 300ms",
        "/no/such does not exist",
        "\"relative\" is not absolute",
    ] {
        assert!(
            said.iter().any(|text| text.contains(part)),
            "{part}: {said:?}"
        );
    }
}
