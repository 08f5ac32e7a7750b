//! What is told besides the graph: nodes and resources as they are, reasons, when to look again.

mod common;

use common::{Cib, LOST, NOW, PENDING, primitive, primitive_meta};
use scheduler::{ActionKind, Because, NodeStatus, Plan, ResourceStatus};

fn node<'a>(plan: &'a Plan, name: &str) -> &'a NodeStatus {
    let found = plan.nodes.iter().find(|node| node.name == name);
    found.expect("a node of the scenario")
}

fn resource<'a>(plan: &'a Plan, id: &str) -> &'a ResourceStatus {
    let found = plan.resources.iter().find(|resource| resource.id == id);
    found.expect("a resource of the scenario")
}

fn why(plan: &Plan, id: &str) -> Vec<(Option<String>, Because)> {
    plan.reasons
        .iter()
        .filter(|reason| reason.resource == id)
        .map(|reason| (reason.node.clone(), reason.because.clone()))
        .collect()
}

#[test]
fn nodes_as_they_are() {
    let plan = Cib::new(&["n1", "n2", "n3", "n4"])
        .fencing()
        .resource(&primitive("a"))
        .running("n1", "a")
        .state("n2", LOST)
        .state("n3", PENDING)
        .attribute("n4", "standby", "on")
        .plan();
    let n1 = node(&plan, "n1");
    assert!(n1.online && n1.is_dc && !n1.unclean && !n1.pending);
    assert_eq!(n1.resources_running, 2, "the device and a");
    let n2 = node(&plan, "n2");
    assert!(!n2.online && n2.unclean);
    let n3 = node(&plan, "n3");
    assert!(n3.pending && !n3.unclean);
    let n4 = node(&plan, "n4");
    assert!(n4.online && n4.standby && !n4.standby_on_fail);
    assert!(plan.quorate);
}

#[test]
fn failures_are_listed_where_they_happened() {
    let plan = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "monitor", 10_000, 7)
        .plan();
    let a = resource(&plan, "a");
    assert_eq!(
        (a.role.as_str(), a.agent.as_str()),
        ("Started", "ocf:heartbeat:Dummy")
    );
    assert!(a.failed && a.active && a.managed && !a.blocked);
    assert_eq!(a.nodes, ["n1"]);
    let failure = a.failures.first().expect("one failure");
    assert_eq!(
        (failure.key.as_str(), failure.node.as_str()),
        ("a_monitor_10000", "n1")
    );
    assert_eq!((failure.rc, failure.op_status), (7, 4));
    assert_eq!(failure.last_rc_change, Some(NOW - 1000));
}

#[test]
fn failures_of_what_was_removed_are_told_until_they_are_cleaned_up() {
    let plan = Cib::new(&["n1", "n2", "n3"])
        .resource(&primitive("a"))
        .stopped("a")
        .failed("n1", "gone", "monitor", 0, 1)
        .ran("n1", "gone", "stop", 0, 0)
        .failed("n2", "a", "start", 0, 1)
        .failed("n3", "a", "start", 0, 1)
        .state("n3", LOST)
        .plan();
    assert!(plan.resources.iter().all(|r| r.id != "gone"));
    let left: Vec<_> = plan.leftover_failures.iter().map(|f| &f.key).collect();
    assert_eq!(left, ["gone_monitor_0"]);
    // What failed on a node that is not there has no meaning any more.
    let a = resource(&plan, "a");
    let nodes: Vec<_> = a.failures.iter().map(|f| &f.node).collect();
    assert_eq!(nodes, ["n2"]);
}

#[test]
fn a_probe_that_finds_no_place_for_it_is_no_failure() {
    for rc in [2, 5] {
        let plan = Cib::new(&["n1", "n2"])
            .resource(&primitive("a"))
            .failed("n2", "a", "monitor", 0, rc)
            .running("n1", "a")
            .plan();
        let a = resource(&plan, "a");
        assert_eq!(a.nodes, ["n1"], "exit code {rc}");
        assert!(!a.failed && plan.summary.is_empty(), "{:?}", plan.summary);
        assert!(a.failures.iter().all(|f| f.is_masked_probe()));
        assert_eq!(a.shown.failed_probes, [("n2".to_owned(), rc)]);
    }
}

#[test]
fn a_failed_stop_blocks_and_says_so() {
    let plan = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .stopped("a")
        .ran("n1", "a", "start", 0, 0)
        .failed("n1", "a", "stop", 0, 1)
        .plan();
    let a = resource(&plan, "a");
    assert!(a.blocked && a.failed);
    assert!(
        why(&plan, "a").iter().any(|(_, because)| matches!(
            because,
            Because::Blocked { operation } if operation == "a_stop_0"
        )),
        "{:?}",
        why(&plan, "a")
    );
}

#[test]
fn collectives_hold_their_members() {
    let plan = Cib::new(&["n1", "n2"])
        .resource(&format!(r#"<group id="g">{}</group>"#, primitive("a")))
        .resource(&format!(r#"<clone id="k">{}</clone>"#, primitive("b")))
        .running("n1", "a")
        .ran("n1", "b", "start", 0, 0)
        .ran("n2", "b", "start", 0, 0)
        .plan();
    let (g, k) = (resource(&plan, "g"), resource(&plan, "k"));
    assert_eq!((g.kind.as_str(), k.kind.as_str()), ("group", "clone"));
    assert_eq!(g.children[0].nodes, ["n1"]);
    let nodes: Vec<&str> = k
        .children
        .iter()
        .flat_map(|c| &c.nodes)
        .map(String::as_str)
        .collect();
    assert_eq!(nodes, ["n1", "n2"]);
}

#[test]
fn reasons_name_their_cause() {
    let plan = Cib::new(&["n1", "n2", "n3"])
        .resource(&primitive_meta("a", &[("migration-threshold", "2")]))
        .resource(&primitive_meta("b", &[("target-role", "Stopped")]))
        .resource(&primitive("c"))
        .stopped("a")
        .stopped("b")
        .stopped("c")
        .transient("n1", "fail-count-a#monitor_10000", "2")
        .attribute("n2", "standby", "on")
        .constraint(r#"<rsc_location id="likes-n3" rsc="a" node="n3" score="50"/>"#)
        .constraint(r#"<rsc_colocation id="c-with-b" rsc="c" with-rsc="b" score="INFINITY"/>"#)
        .plan();
    let has = |id: &str, on: Option<&str>, test: &dyn Fn(&Because) -> bool| {
        let all = why(&plan, id);
        let found = all
            .iter()
            .any(|(node, because)| node.as_deref() == on && test(because));
        assert!(found, "{id} {on:?}: {all:?}");
    };
    has("a", Some("n1"), &|b| {
        *b == Because::FailedTooOften {
            failcount: 2,
            threshold: 2,
        }
    });
    has("a", Some("n2"), &|b| {
        *b == Because::NodeUnusable {
            state: "standby".to_owned(),
        }
    });
    has(
        "a",
        Some("n3"),
        &|b| matches!(b, Because::Score { amount: 50, id, .. } if id == "likes-n3"),
    );
    has("a", Some("n3"), &|b| {
        matches!(b, Because::Chosen { score: 50, .. })
    });
    has("b", None, &|b| {
        *b == Because::TargetRole {
            role: "Stopped".to_owned(),
        }
    });
    has(
        "c",
        None,
        &|b| matches!(b, Because::Needs { resource, id } if resource == "b" && id == "c-with-b"),
    );
}

/// A failure that stands now and is gone a second after its time: the plan says when to look
/// again.
#[test]
fn expiry_sets_the_time_to_look_again() {
    let failing = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta(
            "a",
            &[("migration-threshold", "1"), ("failure-timeout", "2000s")],
        ))
        .running("n2", "a")
        .failed("n1", "a", "monitor", 10_000, 7)
        .transient("n1", "fail-count-a#monitor_10000", "1")
        .transient(
            "n1",
            "last-failure-a#monitor_10000",
            &(NOW - 1000).to_string(),
        );
    assert_eq!(failing.plan().recheck_at, Some(NOW + 1001));
    let quiet = Cib::new(&["n1"])
        .resource(&primitive("a"))
        .running("n1", "a");
    assert_eq!(quiet.plan().recheck_at, None);
}

/// What the controller and the executor take from an action.
#[test]
fn actions_carry_what_is_needed_to_run_them() {
    let plan = Cib::new(&["n1", "n2"])
        .fencing()
        .resource(
            r#"<primitive id="ip" class="ocf" provider="heartbeat" type="IPaddr2">
               <instance_attributes id="i"><nvpair id="i1" name="ip" value="10.0.0.1"/></instance_attributes>
               <operations><op id="m" name="monitor" interval="30s" timeout="15s" on-fail="fence"/>
               <op id="s" name="start" interval="0" timeout="45s"/></operations></primitive>"#,
        )
        .ran("n1", "ip", "monitor", 0, 7)
        .state("n2", LOST)
        .plan();
    let action = |key: &str| {
        let found = plan.graph.synapses.iter().find(|s| s.action.key == key);
        &found.expect("an action").action
    };
    let start = action("ip_start_0");
    assert_eq!((start.kind, start.timeout_ms), (ActionKind::Rsc, 45_000));
    assert_eq!(start.params.get("ip").map(String::as_str), Some("10.0.0.1"));
    assert_eq!(start.meta.get("on_node"), Some("n1"));
    assert!(start.digest.is_some());
    let agent = start.resource.as_ref().expect("a resource");
    assert_eq!((agent.id.as_str(), agent.kind.as_str()), ("ip", "IPaddr2"));
    assert_eq!(agent.provider.as_deref(), Some("heartbeat"));
    let monitor = action("ip_monitor_30000");
    assert_eq!((monitor.interval_ms, monitor.timeout_ms), (30_000, 15_000));
    assert_eq!(monitor.on_fail, "fence");
    assert_eq!(monitor.meta.get("name"), Some("monitor"));
    let fencing = action("stonith-n2-reboot");
    assert_eq!(
        (fencing.kind, fencing.operation.as_str()),
        (ActionKind::Crm, "stonith")
    );
    assert_eq!(fencing.meta.get("stonith_action"), Some("reboot"));
    assert_eq!(
        fencing.node.as_ref().map(|(_, name)| name.as_str()),
        Some("n2")
    );
}

#[test]
fn equal_inputs_give_equal_plans() {
    let cib = Cib::new(&["n1", "n2", "n3"])
        .resource(&format!(r#"<clone id="k">{}</clone>"#, primitive("a")))
        .resource(&primitive("b"))
        .state("n3", LOST)
        .running("n2", "b");
    assert_eq!(cib.plan(), cib.plan());
}
