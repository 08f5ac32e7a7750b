//! Promotable clones, migrations, tickets, utilization, guests and bundles.

mod common;

use common::{Cib, meta_attributes, primitive, primitive_meta};
use scheduler::Because;

/// The Transition Summary, blanks squeezed.
fn summary(cib: &Cib) -> Vec<String> {
    let squeeze = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    cib.plan().summary.iter().map(squeeze).collect()
}

fn promotable(more: &[(&str, &str)]) -> String {
    let mut meta = vec![("promotable", "true")];
    meta.extend(more);
    format!(
        r#"<clone id="k">{}{}</clone>"#,
        meta_attributes("k", &meta),
        primitive("a")
    )
}

#[test]
fn the_best_promotion_score_is_promoted() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&promotable(&[]))
        .stopped("a")
        .transient("n1", "master-a", "5")
        .transient("n2", "master-a", "10");
    assert_eq!(
        summary(&cib),
        ["Promote a:0 ( Stopped -> Promoted n2 )", "Start a:1 ( n1 )"]
    );
}

#[test]
fn nothing_is_promoted_without_a_score() {
    let cib = Cib::new(&["n1"]).resource(&promotable(&[])).stopped("a");
    assert_eq!(summary(&cib), ["Start a:0 ( n1 )"]);
}

#[test]
fn a_location_for_the_role_serves_as_score() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&promotable(&[]))
        .stopped("a")
        .constraint(r#"<rsc_location id="l" rsc="k" role="Promoted" node="n2" score="20"/>"#);
    assert!(
        summary(&cib)
            .iter()
            .any(|line| line.starts_with("Promote") && line.ends_with("Promoted n2 )"))
    );
}

#[test]
fn instances_are_notified_before_and_after() {
    let cib = Cib::new(&["n1"])
        .resource(&promotable(&[("notify", "true")]))
        .stopped("a")
        .transient("n1", "master-a", "5");
    let plan = cib.plan();
    let keys: Vec<&str> = plan
        .graph
        .synapses
        .iter()
        .map(|s| s.action.key.as_str())
        .collect();
    for key in [
        "k_pre_notify_promote_0",
        "k_confirmed-pre_notify_promote_0",
        "a_pre_notify_promote_0",
        "a_post_notify_promoted_0",
        "k_confirmed-post_notify_promoted_0",
    ] {
        let wanted = key.replace("a_post_notify_promoted_0", "a_post_notify_promote_0");
        assert!(
            keys.iter()
                .any(|k| k.replace("a:0", "a") == wanted || *k == key),
            "{wanted}: {keys:?}"
        );
    }
}

#[test]
fn without_its_ticket_nothing_starts() {
    let cib = Cib::new(&["n1"])
        .resource(&primitive("a"))
        .stopped("a")
        .constraint(r#"<rsc_ticket id="t" rsc="a" ticket="site" loss-policy="stop"/>"#);
    assert!(summary(&cib).is_empty());
}

#[test]
fn a_lost_ticket_stops_what_needs_it() {
    let cib = Cib::new(&["n1"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .constraint(r#"<rsc_ticket id="t" rsc="a" ticket="site" loss-policy="stop"/>"#);
    assert_eq!(summary(&cib), ["Stop a ( n1 ) due to node availability"]);
}

#[test]
fn a_resource_that_may_migrates() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(&primitive_meta("a", &[("allow-migrate", "true")]))
        .running("n1", "a")
        .attribute("n1", "standby", "on");
    assert_eq!(summary(&cib), ["Migrate a ( n1 -> n2 )"]);
}

#[test]
fn a_full_node_takes_nothing_more() {
    let sized = |id: &str| {
        let usage = format!(
            r#"<utilization id="{id}-u"><nvpair id="{id}-u-c" name="cpu" value="2"/></utilization>"#
        );
        primitive(id).replace("<operations>", &format!("{usage}<operations>"))
    };
    let cib = Cib::new(&["n1"])
        .option("placement-strategy", "utilization")
        .resource(&sized("a"))
        .stopped("a");
    assert!(summary(&cib).is_empty(), "the node has no capacity at all");
}

#[test]
fn sick_nodes_run_nothing() {
    let cib = Cib::new(&["n1", "n2"])
        .option("node-health-strategy", "only-green")
        .resource(&primitive("a"))
        .stopped("a")
        .transient("n1", "#health-disk", "yellow");
    assert_eq!(summary(&cib), ["Start a ( n2 )"]);
    let reasons = cib.plan().reasons;
    let of_health = |r: &scheduler::Reason| matches!(&r.because, Because::Score { from, .. } if from == "node-health");
    assert!(reasons.iter().any(of_health), "{reasons:?}");
}

#[test]
fn what_stops_everything_is_told() {
    let cib = Cib::new(&["n1"])
        .option("stop-all-resources", "true")
        .resource(&primitive("a"))
        .stopped("a");
    let reasons = cib.plan().reasons;
    let told: Vec<&Because> = reasons.iter().map(|r| &r.because).collect();
    assert!(told.contains(&&Because::AllStopped), "{told:?}");
    assert!(!told.contains(&&Because::Nowhere), "{told:?}");
}

#[test]
fn tags_stand_for_their_resources() {
    let cib = Cib::new(&["n1", "n2"])
        .resource(r#"<template id="t" class="ocf" provider="heartbeat" type="Dummy"/>"#)
        .resource(r#"<primitive id="a" template="t"/>"#)
        .resource(r#"<primitive id="b" template="t"/>"#)
        .stopped("a")
        .stopped("b")
        .constraint(r#"<rsc_location id="l" rsc="t" node="n1" score="-INFINITY"/>"#);
    assert_eq!(summary(&cib), ["Start a ( n2 )", "Start b ( n2 )"]);
}

#[test]
fn a_guest_starts_with_what_contains_it() {
    let cib = Cib::new(&["n1"])
        .resource(&primitive_meta("vm", &[("remote-node", "guest")]))
        .stopped("vm")
        .stopped("guest");
    assert_eq!(summary(&cib), ["Start vm ( n1 )", "Start guest ( n1 )"]);
}

#[test]
fn a_bundle_starts_container_connection_and_inside() {
    let cib = Cib::new(&["n1"])
        .resource(&format!(
            r#"<bundle id="box"><podman image="i"/><network control-port="9999"/>{}</bundle>"#,
            primitive("a")
        ))
        .stopped("box-podman-0")
        .stopped("box-0");
    assert_eq!(
        summary(&cib),
        [
            "Start box-podman-0 ( n1 )",
            "Start box-0 ( n1 )",
            "Start a:0 ( box-0 )"
        ]
    );
}

#[test]
fn a_number_of_instances_that_is_none_is_zero() {
    for value in ["lots", "-3", ""] {
        let meta = meta_attributes("k", &[("clone-max", value)]);
        let clone = format!(r#"<clone id="k">{meta}{}</clone>"#, primitive("a"));
        let cib = Cib::new(&["n1", "n2"]).resource(&clone).stopped("a");
        assert!(summary(&cib).is_empty(), "clone-max={value:?}");
    }
    for value in ["many", "-1"] {
        let cib = Cib::new(&["n1"])
            .resource(&promotable(&[("promoted-max", value)]))
            .stopped("a")
            .transient("n1", "master-a", "5");
        assert_eq!(summary(&cib), ["Start a:0 ( n1 )"], "promoted-max={value}");
    }
}

#[test]
fn what_is_no_boolean_does_not_manage() {
    for (value, starts) in [
        ("perhaps", false),
        ("", false),
        ("default", true),
        ("on", true),
    ] {
        let cib = Cib::new(&["n1"])
            .resource(&primitive_meta("a", &[("is-managed", value)]))
            .stopped("a");
        assert_eq!(!summary(&cib).is_empty(), starts, "is-managed={value:?}");
    }
}

/// Pacemaker leaves it out of everything, and so its name is no resource.
#[test]
fn a_bundle_whose_inside_cannot_be_reached_is_ignored() {
    let bundle = format!(
        r#"<bundle id="box"><podman image="i"/>{}</bundle>"#,
        primitive("a")
    );
    let plan = Cib::new(&["n1"]).resource(&bundle).plan();
    assert!(plan.resources.is_empty(), "{:?}", plan.resources);
    let [error] = &plan.errors[..] else {
        panic!("{:?}", plan.errors)
    };
    assert!(
        error.starts_with("bundle box: ignored") && error.contains("control-port"),
        "{error}"
    );
}

/// The configuration is used as it is, without one order: that is worth a warning.
#[test]
fn orders_that_contradict_each_other_are_warned_of() {
    let plan = Cib::new(&["n1", "n2"])
        .resource(&(primitive("a") + &primitive("b")))
        .stopped("a")
        .stopped("b")
        .constraint(r#"<rsc_order id="o1" first="a" then="b"/>"#)
        .constraint(r#"<rsc_order id="o2" first="b" then="a"/>"#)
        .plan();
    assert!(plan.errors.is_empty(), "{:?}", plan.errors);
    let named = |w: &&String| w.contains("o1") && w.contains("o2");
    assert_eq!(plan.warnings.iter().filter(named).count(), 1);
}

/// Somebody should look at this: it is an error even where the cluster mends it.
#[test]
fn what_is_active_twice_is_told() {
    let plan = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .running("n2", "a")
        .plan();
    let told = "a may be active on 2 nodes: it is stopped everywhere, then started once";
    assert_eq!(plan.errors, [told]);
}

#[test]
fn what_keeps_a_node_from_leaving_is_told() {
    let leaving = r#"in_ccm="true" crmd="online" join="member" expected="down" shutdown="1""#;
    let plan = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n1", "a")
        .ran("n1", "a", "stop", 0, 1)
        .state("n1", leaving)
        .plan();
    let told = "node n1 cannot be shut down, because a failed and is not managed";
    let named = |w: &&String| *w == told;
    assert_eq!(plan.warnings.iter().filter(named).count(), 1, "{plan:?}");
}

/// Who sets up a first cluster is told what is missing, not that something is in maintenance.
#[test]
fn without_a_fence_device_that_is_the_reason() {
    let plan = Cib::new(&["n1", "n2"])
        .option("stonith-enabled", "true")
        .resource(&primitive("a"))
        .stopped("a")
        .plan();
    let told: Vec<_> = plan.reasons.iter().map(|r| &r.because).collect();
    assert!(told.contains(&&Because::NoFenceDevice), "{told:?}");
}
