//! Whatever the CIB says: no panic, no stack overflow, a graph that can be run.

mod common;

use cib::Element;
use common::{Cib, check, primitive};
use proptest::prelude::*;
use scheduler::{Options, schedule};

const TAGS: &[&str] = &[
    "primitive",
    "group",
    "clone",
    "master",
    "op",
    "meta_attributes",
    "instance_attributes",
    "nvpair",
    "rule",
    "expression",
    "date_expression",
    "rsc_location",
    "rsc_colocation",
    "rsc_order",
    "resource_set",
    "resource_ref",
    "node",
    "node_state",
    "lrm",
    "lrm_resources",
    "lrm_resource",
    "lrm_rsc_op",
    "transient_attributes",
    "operations",
    "template",
    "cluster_property_set",
    "bundle",
    "docker",
    "tag",
    "obj_ref",
    "utilization",
    "unknown",
];
const NAMES: &[&str] = &[
    "id",
    "name",
    "value",
    "score",
    "rsc",
    "with-rsc",
    "first",
    "then",
    "first-action",
    "then-action",
    "kind",
    "symmetrical",
    "operation",
    "operation_key",
    "interval",
    "rc-code",
    "op-status",
    "call-id",
    "transition-key",
    "transition-magic",
    "last-rc-change",
    "on-fail",
    "timeout",
    "uname",
    "crmd",
    "in_ccm",
    "join",
    "expected",
    "shutdown",
    "class",
    "type",
    "provider",
    "node",
    "attribute",
    "operation",
    "boolean-op",
    "role",
    "template",
    "id-ref",
    "rsc-role",
    "with-rsc-role",
    "sequential",
    "require-all",
    "ordering",
    "on_node",
    "migrate_from",
];
const VALUES: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "g",
    "n1",
    "n2",
    "0",
    "1",
    "-1",
    "INFINITY",
    "-INFINITY",
    "true",
    "false",
    "10s",
    "P40S",
    "99999999999999999999",
    "-99999999999",
    "monitor",
    "start",
    "stop",
    "promote",
    "demote",
    "migrate_to",
    "notify",
    "ocf",
    "stonith",
    "Stopped",
    "Started",
    "Promoted",
    "eq",
    "target-role",
    "is-managed",
    "clone-max",
    "clone-node-max",
    "globally-unique",
    "interleave",
    "migration-threshold",
    "failure-timeout",
    "resource-stickiness",
    "stonith-enabled",
    "no-quorum-policy",
    "freeze",
    "ignore",
    "fence",
    "block",
    "restart",
    "standby",
    "Mandatory",
    "Optional",
    "Serialize",
    "online",
    "offline",
    "member",
    "down",
    "pending",
    "fail-count-a",
    "0:7;1:1:7:x",
    "4:1;::",
    "#uname",
    "defined",
    "maintenance-mode",
    "stop-all-resources",
    "promotable",
    "a_monitor_0",
    "a_last_0",
    "and",
    "or",
    "shutdown",
    "probe_complete",
    "multiple-active",
    "",
];

fn attributes() -> impl Strategy<Value = Vec<(String, String)>> {
    let pair = (
        proptest::sample::select(NAMES),
        prop_oneof![
            4 => proptest::sample::select(VALUES).prop_map(str::to_owned),
            1 => "[ -~é]{0,8}",
        ],
    );
    proptest::collection::vec(pair.prop_map(|(n, v)| (n.to_owned(), v)), 0..7)
}

fn tree() -> impl Strategy<Value = Element> {
    let named = |tag: &str, attributes: Vec<(String, String)>, children: Vec<Element>| {
        let mut element = Element::new(tag);
        for (name, value) in attributes {
            element.set(&name, &value);
        }
        for child in children {
            element = element.child(child);
        }
        element
    };
    let leaf = (proptest::sample::select(TAGS), attributes())
        .prop_map(move |(tag, attributes)| named(tag, attributes, Vec::new()));
    leaf.prop_recursive(5, 40, 6, move |inner| {
        (
            proptest::sample::select(TAGS),
            attributes(),
            proptest::collection::vec(inner, 0..6),
        )
            .prop_map(move |(tag, attributes, children)| named(tag, attributes, children))
    })
}

fn section(tag: &str, children: Vec<Element>) -> Element {
    children.into_iter().fold(Element::new(tag), Element::child)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Any tree at all.
    #[test]
    fn any_tree_is_survived(tree in tree()) {
        check(&schedule(&tree, &Options { now: common::NOW }));
    }

    /// Any content in the places where the scheduler looks.
    #[test]
    fn any_cib_is_survived(
        options in proptest::collection::vec(tree(), 0..2),
        nodes in proptest::collection::vec(tree(), 0..3),
        resources in proptest::collection::vec(tree(), 0..8),
        constraints in proptest::collection::vec(tree(), 0..6),
        status in proptest::collection::vec(tree(), 0..4),
        quorum in proptest::sample::select(&["0", "1", "x"]),
    ) {
        let cib = Element::new("cib")
            .with("have-quorum", quorum)
            .child(
                Element::new("configuration")
                    .child(section("crm_config", options))
                    .child(section("nodes", nodes))
                    .child(section("resources", resources))
                    .child(section("constraints", constraints)),
            )
            .child(section("status", status));
        check(&schedule(&cib, &Options { now: common::NOW }));
    }

    /// Small clusters that make sense, in any state, with any constraints between resources.
    #[test]
    fn any_state_gives_a_graph_that_ends(
        states in proptest::collection::vec(0_usize..4, 3),
        ops in proptest::collection::vec((0_usize..3, 0_usize..5, 0_usize..4, prop_oneof![Just(0), Just(7), Just(1), Just(5)]), 0..20),
        links in proptest::collection::vec((0_usize..5, 0_usize..5, any::<bool>(), prop_oneof![Just("INFINITY"), Just("-INFINITY"), Just("10"), Just("0")]), 0..8),
        collective in 0_usize..4,
        fencing in any::<bool>(),
    ) {
        let state = [common::MEMBER, common::LOST, common::DOWN, common::PENDING];
        let ids = ["a", "b", "c", "d", "e"];
        let mut cib = Cib::new(&[]);
        for (index, which) in states.iter().enumerate() {
            cib = cib.node(&format!("n{}", index + 1), state[*which]);
        }
        if fencing {
            cib = cib.fencing();
        }
        let (d, e) = (primitive("d"), primitive("e"));
        cib = cib.resource(&primitive("a")).resource(&primitive("b")).resource(&primitive("c"));
        cib = match collective {
            0 => cib.resource(&d).resource(&e),
            1 => cib.resource(&format!(r#"<group id="g">{d}{e}</group>"#)),
            2 => cib.resource(&format!(r#"<clone id="k">{d}</clone>{e}"#)),
            _ => cib.resource(&format!(r#"<clone id="k"><group id="g">{d}{e}</group></clone>"#)),
        };
        for (node, rsc, task, rc) in ops {
            let (task, interval) = [("monitor", 0), ("start", 0), ("stop", 0), ("monitor", 10_000)][task];
            let want = if interval == 0 && task == "monitor" { 7 } else { 0 };
            cib = cib.ran_with(&format!("n{}", node + 1), ids[rsc], task, interval, rc, want, "");
        }
        for (index, (from, to, order, score)) in links.iter().enumerate() {
            let (from, to) = (ids[*from], ids[*to]);
            cib = if *order {
                cib.constraint(&format!(r#"<rsc_order id="o{index}" first="{from}" then="{to}"/>"#))
            } else {
                cib.constraint(&format!(
                    r#"<rsc_colocation id="c{index}" rsc="{from}" with-rsc="{to}" score="{score}"/>"#
                ))
            };
        }
        cib.plan();
    }
}

/// A thousand resources, each with the one before and after it: nothing may recurse that far.
#[test]
fn long_chains_fit_the_stack() {
    for kind in ["rsc_order", "rsc_colocation"] {
        let mut cib = Cib::new(&["n1", "n2"]);
        for index in 0..600 {
            cib = cib.resource(&format!(
                r#"<primitive id="r{index}" class="ocf" provider="heartbeat" type="Dummy"/>"#
            ));
            if index > 0 {
                let last = index - 1;
                cib = cib.constraint(&if kind == "rsc_order" {
                    format!(r#"<rsc_order id="k{index}" first="r{index}" then="r{last}"/>"#)
                } else {
                    format!(
                        r#"<rsc_colocation id="k{index}" rsc="r{last}" with-rsc="r{index}" score="INFINITY"/>"#
                    )
                });
            }
        }
        let tree = cib::xml::parse(&cib.xml()).expect("XML");
        let plan = schedule(&tree, &Options { now: common::NOW });
        assert_eq!(plan.summary.len(), 600, "{kind}");
        if kind == "rsc_colocation" {
            let at = |n: &str| plan.summary.iter().filter(|l| l.contains(n)).count();
            assert!(at(" n1 ") == 600 || at(" n2 ") == 600, "all together");
        }
    }
}
