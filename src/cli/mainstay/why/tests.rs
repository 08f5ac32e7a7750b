//! Answers held against expected texts.

use super::*;
use crate::cli::crm_simulate::{decided_at, read_source};
use std::path::{Path, PathBuf};

/// Expected texts: `CASE.RESOURCE.txt`, or `CASE.RESOURCE@NODE.txt`.
fn expected() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/why")
}

/// Answers on the inputs of a Pacemaker checkout's regression suite, or a part of it.
#[test]
fn answers_are_as_expected() {
    let Some(folder) = std::env::var_os("MAINSTAY_SCHEDULER_CASES") else {
        eprintln!("MAINSTAY_SCHEDULER_CASES names no folder: answers are not compared");
        return;
    };
    let mut compared = 0;
    let mut files: Vec<PathBuf> = std::fs::read_dir(expected())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for path in files {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let (case, asked) = stem.split_once('.').unwrap();
        let input = Path::new(&folder).join("xml").join(format!("{case}.xml"));
        if !input.exists() {
            continue;
        }
        let (resource, node) = match asked.split_once('@') {
            Some((resource, node)) => (resource, Some(node)),
            None => (asked, None),
        };
        let cib = read_source(Some(input.to_str().unwrap())).unwrap();
        let now = decided_at(&cib).unwrap_or(NOW);
        let options = scheduler::Options { now };
        let plan = scheduler::schedule_with_scores(&cib, &options);
        crate::golden::compare(&path, &explain(&plan, resource, node).unwrap());
        compared += 1;
    }
    eprintln!("{compared} answers compared");
    assert!(
        compared > 0,
        "no case of {} is in {folder:?}",
        expected().display()
    );
}

/// Of inputs that do not say when they were made: 2023-11-14 22:13:20 UTC.
const NOW: i64 = 1_700_000_000;

fn plan() -> Plan {
    let reason = |node: Option<&str>, because| Reason {
        resource: "ip".to_owned(),
        node: node.map(str::to_owned),
        because,
    };
    let score = |amount, from: &str, id: &str| Because::Score {
        amount,
        from: from.to_owned(),
        id: id.to_owned(),
    };
    let state = "standby".to_owned();
    let node = |name: &str| scheduler::NodeStatus {
        name: name.to_owned(),
        ..scheduler::NodeStatus::default()
    };
    let tie = None;
    Plan {
        nodes: ["node1", "node2", "node3"].map(node).into(),
        resources: vec![ResourceStatus {
            id: "ip".to_owned(),
            kind: "primitive".to_owned(),
            role: "Started".to_owned(),
            nodes: vec!["node2".to_owned()],
            shown: scheduler::Shown {
                name: "ip".to_owned(),
                ..scheduler::Shown::default()
            },
            ..ResourceStatus::default()
        }],
        summary: vec!["Move       ip     ( node2 -> node3 )  due to failure".to_owned()],
        reasons: vec![
            reason(Some("node1"), Because::NodeUnusable { state }),
            reason(
                Some("node2"),
                score(100, "stickiness", "resource-stickiness"),
            ),
            reason(Some("node2"), Because::Chosen { score: 100, tie }),
            reason(
                Some("node3"),
                score(-1_000_000, "location", "cli-ban-ip-on-node3"),
            ),
        ],
        ..Plan::default()
    }
}

#[test]
fn the_chain_in_words() {
    let expected = "\
ip is started on node2.
  on node2, with a score of 100:
    +100 because it is there already (resource-stickiness)
  not on node1:
    the node is standby
  not on node3:
    -INFINITY by the location constraint `cli-ban-ip-on-node3`
  next: stop it and start it anew, moving from node2 to node3, because it failed
  to change that:
    crm node online node1
    crm configure delete cli-ban-ip-on-node3
";
    assert_eq!(explain(&plan(), "ip", None).unwrap(), expected);
    let of_one = explain(&plan(), "ip", Some("node1")).unwrap();
    assert!(of_one.contains("not on node1:"), "{of_one}");
    assert!(!of_one.contains("not on node3"), "{of_one}");
}

#[test]
fn the_unknown_is_answered_with_the_known() {
    let failure = explain(&plan(), "pi", None).unwrap_err();
    assert_eq!(failure.exit, Exit::NoSuch);
    assert_eq!(failure.cure.as_deref(), Some("there are: ip"));
    let failure = explain(&plan(), "ip", Some("node4")).unwrap_err();
    assert_eq!(
        failure.cure.as_deref(),
        Some("there are: node1, node2, node3")
    );
}

#[test]
fn health_and_the_stop_of_everything_have_their_names() {
    let mut plan = plan();
    let mut say = |because: Because| {
        plan.reasons[0].because = because;
        explain(&plan, "ip", None).unwrap()
    };
    let text = say(Because::Score {
        amount: -1_000_000,
        from: "node-health".to_owned(),
        id: "migrate-on-red".to_owned(),
    });
    let expected = "-INFINITY by the node's health (node-health-strategy is migrate-on-red)\n";
    assert!(text.contains(expected), "{text}");
    let text = say(Because::AllStopped);
    assert!(text.contains("all resources shall be stopped"), "{text}");
    assert!(text.contains("stop-all-resources=false\n"), "{text}");
}
