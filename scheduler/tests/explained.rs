//! Why a node has its score: the terms by their names.
mod common;

use common::{Cib, primitive};
use scheduler::{Because, Plan};

/// What is said of a resource on a node, in its order.
fn said<'p>(plan: &'p Plan, resource: &str, node: &str) -> Vec<&'p Because> {
    let reasons = plan.reasons.iter();
    let about = reasons.filter(|r| r.resource == resource && r.node.as_deref() == Some(node));
    about.map(|r| &r.because).collect()
}

fn score(amount: i32, from: &str, id: &str) -> Because {
    Because::Score {
        amount,
        from: from.to_owned(),
        id: id.to_owned(),
    }
}

#[test]
fn a_missing_ticket_is_a_term_beside_the_preference() {
    let plan = Cib::new(&["n1"])
        .resource(&primitive("a"))
        .stopped("a")
        .constraint(r#"<rsc_location id="l" rsc="a" node="n1" score="INFINITY"/>"#)
        .constraint(r#"<rsc_ticket id="t" rsc="a" ticket="T"/>"#)
        .explained();
    let terms = said(&plan, "a", "n1");
    for term in [
        score(1_000_000, "location", "l"),
        score(-1_000_000, "ticket", "t"),
    ] {
        assert!(terms.contains(&&term), "{terms:?}");
    }
    assert!(terms.contains(&&Because::Total { score: -1_000_000 }));
}

#[test]
fn what_belongs_with_a_banned_one_is_explained_on_every_node() {
    let plan = Cib::new(&["n1", "n2", "n3"])
        .resource(&(primitive("a") + &primitive("b")))
        .stopped("a")
        .stopped("b")
        .constraint(r##"<rsc_location id="l" rsc="a"><rule id="r" score="-INFINITY"><expression id="e" attribute="#uname" operation="defined"/></rule></rsc_location>"##)
        .constraint(r#"<rsc_colocation id="c" rsc="b" with-rsc="a" score="INFINITY"/>"#)
        .explained();
    let term = Because::Together {
        amount: -1_000_000,
        id: Some("c".to_owned()),
        with: "a".to_owned(),
        dependent: false,
    };
    for node in ["n1", "n2", "n3"] {
        let terms = said(&plan, "b", node);
        assert!(terms.contains(&&term), "{node}: {terms:?}");
    }
}

#[test]
fn among_equals_the_node_where_it_runs_is_kept_and_that_is_said() {
    // Where it runs comes last by name, and has as many resources.
    let plan = Cib::new(&["n1", "n2"])
        .resource(&primitive("a"))
        .running("n2", "a")
        .explained();
    let there = "it runs there already".to_owned();
    let chosen = Because::Chosen {
        score: 0,
        tie: Some(there.clone()),
    };
    assert!(said(&plan, "a", "n2").contains(&&chosen));
    let other = Because::AsGood {
        chosen: "n2".to_owned(),
        decided: there,
    };
    assert!(said(&plan, "a", "n1").contains(&&other));
}

#[test]
fn among_equals_what_decided_is_what_is_said() {
    let plan = Cib::new(&["n1", "n2"])
        .resource(&(primitive("a") + &primitive("b") + &primitive("c")))
        .stopped("a")
        .stopped("b")
        .stopped("c")
        .explained();
    let tie = |resource: &str, node: &str| {
        said(&plan, resource, node)
            .into_iter()
            .find_map(|because| match because {
                Because::Chosen { tie, .. } => tie.clone(),
                _ => None,
            })
    };
    assert_eq!(tie("a", "n1").as_deref(), Some("its name comes first"));
    assert_eq!(
        tie("b", "n2").as_deref(),
        Some("it was given fewer resources before")
    );
    assert_eq!(tie("c", "n1").as_deref(), Some("its name comes first"));
}
