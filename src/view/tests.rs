//! Golden status texts: one cluster with everything that can be said, in every form. The text was
//! compared with crm_mon 2.1.5 on the same CIB.

use super::{FailCount, Status, asctime, legacy, nagios, node_state, parse_key, text, xml};
use scheduler::NodeStatus;
use std::path::PathBuf;

const NOW: i64 = 1_700_000_200;

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cli/status")
}

/// Three nodes: one in standby, one off; a failed, a disabled, an unmanaged resource, a group, two
/// clones.
fn three_nodes() -> Status {
    let cib = std::fs::read_to_string(dir().join("three-nodes.xml")).unwrap();
    let cib = cib::Cib::parse(&cib).unwrap();
    let plan = scheduler::schedule(cib.root(), &scheduler::Options { now: NOW });
    let mut status = Status {
        cluster_name: "shop".to_owned(),
        local_node: "node1".to_owned(),
        dc: Some("node1".to_owned()),
        quorate: true,
        votes: (3, 2, 2),
        now: NOW,
        ..Status::default()
    };
    status.take_cib(cib.root(), plan);
    status.last_change = Some((
        "Sat Nov 21 13:48:20 2026".to_owned(),
        "root".to_owned(),
        "crm".to_owned(),
        "node1".to_owned(),
    ));
    status.failcounts = vec![FailCount {
        resource: "f".to_owned(),
        node: "node1".to_owned(),
        operation: "monitor_10000".to_owned(),
        count: 1,
        threshold: 1_000_000,
        last_failure: Some(1_700_000_100),
    }];
    status
}

/// Compares with a golden file; times (the zone of the machine) and our version are left out.
fn check(name: &str, found: &str) {
    let mut found = found.replace("2.1.5-a3f44794f94", "VERSION");
    for at in [NOW, 1_700_000_000, 1_700_000_100] {
        found = found.replace(&asctime(at), &format!("AT-{at}"));
    }
    crate::golden::compare(&dir().join(name), &found);
}

#[test]
fn text_as_crm_mon_prints_it() {
    let status = three_nodes();
    check(
        "active.txt",
        &text::document(&status, text::Options::default()),
    );
    let full = text::Options {
        inactive: true,
        failcounts: true,
        ..text::Options::default()
    };
    check("full.txt", &text::document(&status, full));
    let by_node = text::Options {
        inactive: true,
        by_node: true,
        ..text::Options::default()
    };
    check("by-node.txt", &text::document(&status, by_node));
}

/// What runs on a node stands in the order of its history, in text and in XML.
#[test]
fn by_node_the_history_gives_the_order() {
    let mut status = three_nodes();
    let node1 = status
        .details
        .iter_mut()
        .find(|d| d.node == "node1")
        .unwrap();
    node1.history.reverse();
    let by_node = text::Options {
        by_node: true,
        ..text::Options::default()
    };
    let shown = text::document(&status, by_node);
    let at = |text: &str, what: &str| text.find(what).unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(at(&shown, "* pa\t") < at(&shown, "* ip\t"), "{shown}");
    let mut root = xml::root(&status, "crm_mon -n");
    xml::group_by_node(&mut root, &status);
    let shown = cib::xml::format(&root);
    let nodes = &shown[..at(&shown, "</nodes>")];
    assert!(at(nodes, "id=\"pa\"") < at(nodes, "id=\"ip\""), "{nodes}");
    // What is fully active stands there alone.
    assert_eq!(shown.matches("<resource id=\"ip\"").count(), 1, "{shown}");
}

#[test]
fn banners_when_the_cluster_may_not_act() {
    for (option, file) in [
        ("stop-all-resources", "stop-all.txt"),
        ("maintenance-mode", "maintenance.txt"),
    ] {
        let mut status = three_nodes();
        status.resources.clear();
        status.options.push((option.to_owned(), "true".to_owned()));
        check(file, &text::document(&status, text::Options::default()));
    }
}

#[test]
fn xml_has_its_attributes_in_order() {
    let found = xml::document(&three_nodes(), "crm_mon -1 -r");
    // Written in the zone of the machine, in a form of its own.
    let found: Vec<&str> = found
        .lines()
        .filter(|l| !l.trim_start().starts_with("<failure "))
        .collect();
    check("status.xml", &found.join("\n"));
    // What agents search for with a regular expression.
    let promoted = found.iter().any(|l| {
        l.contains("<resource id=\"pa\"")
            && l.contains("role=\"Promoted\" active=\"true\" orphaned=\"false\"")
    });
    assert!(promoted);
}

#[test]
fn the_older_form_begins_its_lines_as_probes_expect() {
    let found = legacy::document(&three_nodes());
    check("legacy.txt", &found);
    for start in [
        "Node node3: standby",
        "OFFLINE: [ node2 ]",
        "Failed actions:",
    ] {
        assert!(found.lines().any(|l| l.starts_with(start)), "{start}");
    }
    assert!(found.contains(" - partition with quorum\n"));
}

#[test]
fn one_line_for_monitoring() {
    let mut status = three_nodes();
    let (line, code) = nagios::check(&status);
    assert_eq!(code, 1, "{line}");
    check("check.txt", &format!("{line}\n"));
    assert_eq!(
        nagios::simple(&status),
        ("CLUSTER WARN: offline node: node2".to_owned(), 1)
    );
    status.quorate = false;
    let (line, code) = nagios::check(&status);
    assert_eq!(code, 2);
    assert!(
        line.starts_with("MAINSTAY CRITICAL - no quorum, "),
        "{line}"
    );
    let fine = Status {
        dc: Some("a".to_owned()),
        quorate: true,
        nodes: vec![NodeStatus {
            name: "a".to_owned(),
            online: true,
            ..NodeStatus::default()
        }],
        ..Status::default()
    };
    let (line, code) = nagios::check(&fine);
    assert_eq!(code, 0);
    assert_eq!(
        line,
        "MAINSTAY OK - 1 of 1 nodes online, 0 of 0 resource instances active | nodes_online=1;;;0;1 resources_active=0;;;0;0 failed_actions=0;;;0"
    );
    assert_eq!(
        nagios::simple(&fine).0,
        "CLUSTER OK: 1 node online, 0 resource instances configured"
    );
}

#[test]
fn a_probe_says_what_the_policy_does_here() {
    let of = |nodes: usize, policy: &str| {
        let mut status = Status {
            dc: Some("a".to_owned()),
            quorate: true,
            nodes: vec![
                NodeStatus {
                    online: true,
                    ..NodeStatus::default()
                };
                nodes
            ],
            ..Status::default()
        };
        let options = [("stonith-enabled", "false"), ("no-quorum-policy", policy)];
        let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
        status.options.extend(options);
        nagios::check(&status)
    };
    for (nodes, policy, says) in [
        (
            2,
            "ignore",
            "split brain is possible: no fencing, and quorum is ignored",
        ),
        (
            3,
            "ignore",
            "no fencing, and no-quorum-policy=ignore is taken as freeze",
        ),
        (
            3,
            "fence",
            "no fencing, and no-quorum-policy=fence is taken as stop",
        ),
    ] {
        let (line, code) = of(nodes, policy);
        assert_eq!(code, 1, "{line}");
        assert!(
            line.starts_with(&format!("MAINSTAY WARNING - {says} |")),
            "{line}"
        );
    }
    assert_eq!(of(1, "ignore").1, 0);
    assert_eq!(of(3, "stop").1, 0);
}

/// A node that takes nothing is not counted among those that are online.
#[test]
fn a_simple_status_counts_the_nodes_by_what_they_take() {
    let node = |name: &str, standby, maintenance| NodeStatus {
        name: name.to_owned(),
        online: true,
        standby,
        maintenance,
        ..NodeStatus::default()
    };
    let status = Status {
        dc: Some("a".to_owned()),
        nodes: vec![
            node("a", false, false),
            node("b", true, false),
            node("c", false, true),
            node("d", false, true),
        ],
        ..Status::default()
    };
    assert_eq!(
        nagios::simple(&status).0,
        "CLUSTER OK: 1 node online, 1 standby node, 2 maintenance nodes, 0 resource instances configured"
    );
}

#[test]
fn states_of_nodes() {
    let node = |set: fn(&mut NodeStatus)| {
        let mut node = NodeStatus {
            online: true,
            ..NodeStatus::default()
        };
        set(&mut node);
        node_state(&node)
    };
    type Set = fn(&mut NodeStatus);
    let cases: [(Set, &str); 11] = [
        (|_| {}, "online"),
        (|n| n.unclean = true, "UNCLEAN (online)"),
        (
            |n| (n.unclean, n.online) = (true, false),
            "UNCLEAN (offline)",
        ),
        (|n| (n.pending, n.online) = (true, false), "pending"),
        (|n| n.standby = true, "standby"),
        (
            |n| (n.standby, n.resources_running) = (true, 2),
            "standby (with active resources)",
        ),
        (|n| n.standby_on_fail = true, "standby (on-fail)"),
        (|n| n.maintenance = true, "maintenance"),
        (
            |n| (n.maintenance, n.online) = (true, false),
            "OFFLINE (maintenance)",
        ),
        (
            |n| (n.standby, n.online) = (true, false),
            "OFFLINE (standby)",
        ),
        (|n| n.online = false, "OFFLINE"),
    ];
    for (set, state) in cases {
        assert_eq!(node(set), state);
    }
}

#[test]
fn times_and_keys() {
    for (ms, words) in [
        (0, "0s"),
        (15, "15ms"),
        (1500, "1.500s"),
        (10_000, "10s"),
        (90_000, "1m30s"),
        (90_061_001, "1d1h1m1.001s"),
    ] {
        assert_eq!(super::interval(ms), words);
    }
    assert_eq!(
        parse_key("my_ip_monitor_10000"),
        ("my_ip", "monitor", 10_000)
    );
    assert_eq!(parse_key("a_migrate_to_0"), ("a", "migrate_to", 0));
    assert_eq!(parse_key("rubbish"), ("rubbish", "", 0));
}

#[test]
fn health_that_is_not_green_is_told() {
    let xml = r##"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config><cluster_property_set id="o"><nvpair id="o1" name="node-health-strategy" value="migrate-on-red"/></cluster_property_set></crm_config><nodes><node id="1" uname="a"><instance_attributes id="a"><nvpair id="a1" name="#health-cpu" value="yellow"/></instance_attributes></node><node id="2" uname="b"><instance_attributes id="b"><nvpair id="b1" name="#health-cpu" value="green"/><nvpair id="b2" name="#health-disk" value="red"/></instance_attributes></node><node id="3" uname="c"/></nodes><resources/><constraints/></configuration><status><node_state id="1" uname="a" in_ccm="true" crmd="online" join="member" expected="member"/><node_state id="2" uname="b" in_ccm="true" crmd="online" join="member" expected="member"/><node_state id="3" uname="c" in_ccm="true" crmd="online" join="member" expected="member"/></status></cib>"##;
    let cib = cib::Cib::parse(xml).unwrap();
    let plan = scheduler::schedule(cib.root(), &scheduler::Options { now: 0 });
    let status = Status::of_cib(cib.root(), &plan, 0);
    let text = text::document(&status, text::Options::default());
    for line in [
        "  * Node a: online (health is YELLOW)\n",
        "  * Node b: online (health is RED)\n",
        "  * Online: [ c ]\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let root = xml::root(&status, "crm_mon");
    let nodes = root.first("nodes").unwrap().all("node");
    let healths: Vec<_> = nodes.filter_map(|n| n.attr("health")).collect();
    assert_eq!(healths, ["yellow", "red", "green"]);
}
