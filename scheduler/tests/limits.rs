//! What is too big is refused, at once and in words, and nothing of it is decided.

mod common;

use common::{Cib, MEMBER, NOW, primitive};
use scheduler::{CONSTRAINT_PAIRS_MAX, NODES_MAX, Options, PAIRS_MAX, Plan, schedule};
use std::fmt::Write as _;

fn plan(cib: &Cib) -> Plan {
    let tree = cib::xml::parse_file(cib.xml().as_bytes()).expect("XML");
    schedule(&tree, &Options { now: NOW })
}

fn refused(cib: &Cib, words: &str) {
    let plan = plan(cib);
    let reason = plan.refused.clone().unwrap_or_default();
    assert!(reason.contains(words), "{reason}");
    let nothing = Plan {
        errors: vec![reason.clone()],
        refused: Some(reason),
        ..Plan::default()
    };
    assert_eq!(plan, nothing);
}

fn with_nodes(count: usize) -> Cib {
    (1..=count).fold(Cib::new(&[]), |cib, n| cib.node(&format!("n{n}"), MEMBER))
}

fn clone_of(instances: usize) -> String {
    format!(
        r#"<clone id="k"><meta_attributes id="km"><nvpair id="k1" name="clone-max"
           value="{instances}"/></meta_attributes>{}</clone>"#,
        primitive("a")
    )
}

#[test]
fn too_many_pairs_of_nodes_and_resources() {
    let nodes = PAIRS_MAX / 1_000;
    // The clone counts, too.
    refused(
        &with_nodes(nodes).resource(&clone_of(1_000)),
        "more than 1000 resources on 1000 nodes",
    );
    let few = plan(&with_nodes(4).resource(&clone_of(1_000)));
    assert_eq!((few.refused, few.summary.len()), (None, 4));
}

#[test]
fn too_many_nodes() {
    refused(&with_nodes(NODES_MAX + 1), "more than 4096 nodes");
}

#[test]
fn too_many_pairs_of_constraints() {
    let set = |id: &str, member: &str, count: usize| {
        let mut set = format!(r#"<resource_set id="{id}" sequential="false">"#);
        for _ in 0..count {
            let _ = write!(set, r#"<resource_ref id="{member}"/>"#);
        }
        set + "</resource_set>"
    };
    let order = |count: usize| {
        let (first, then) = (set("s", "a", count), set("t", "b", count));
        Cib::new(&["n1"])
            .resource(&primitive("a"))
            .resource(&primitive("b"))
            .constraint(&format!(r#"<rsc_order id="o">{first}{then}</rsc_order>"#))
    };
    let side = CONSTRAINT_PAIRS_MAX.isqrt();
    refused(&order(side), "constraint o:");
    assert_eq!(plan(&order(30)).refused, None);
}

/// A tag that stands in a set again and again.
#[test]
fn too_much_behind_tags() {
    let refs = |tag: &str, id: &str, count: usize| {
        (0..count).fold(String::new(), |text, _| {
            text + &format!(r#"<{tag} id="{id}"/>"#)
        })
    };
    let side = CONSTRAINT_PAIRS_MAX.isqrt() + 1;
    let set = refs("resource_ref", "all", side);
    let xml = Cib::new(&["n1"])
        .resource(&primitive("a"))
        .constraint(&format!(
            r#"<rsc_colocation id="c"><resource_set id="s">{set}</resource_set></rsc_colocation>"#
        ))
        .xml();
    let tags = refs("obj_ref", "a", side);
    let tags = format!(r#"<tags><tag id="all">{tags}</tag></tags></configuration>"#);
    let tree = cib::xml::parse(&xml.replace("</configuration>", &tags)).expect("XML");
    let plan = schedule(&tree, &Options { now: NOW });
    assert!(plan.refused.unwrap_or_default().contains("constraint c:"));
}

#[test]
fn too_many_replicas() {
    let bundle = |id: &str, replicas: &str| {
        format!(r#"<bundle id="{id}"><podman image="i" replicas="{replicas}"/></bundle>"#)
    };
    for replicas in ["1001", "5000000000"] {
        let cib = Cib::new(&["n1"]).resource(&bundle("b", replicas));
        refused(&cib, "bundle b: ");
    }
    let two = bundle("b1", "900") + &bundle("b2", "900");
    refused(&Cib::new(&["n1"]).resource(&two), "bundle b2: with it");
}

/// What a clone asks beyond sense is cut, and said.
#[test]
fn clones_are_cut() {
    let plan = plan(&Cib::new(&["n1", "n2"]).resource(&clone_of(999_999_999)));
    assert_eq!(plan.errors, ["clone k: clone-max 999999999 is cut to 1024"]);
    assert_eq!(plan.summary.len(), 2);
}
