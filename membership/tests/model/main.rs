//! The protocol's skeleton, explored state by state (`stateright`): ballots, promises, adoption of a
//! log, views, commits by the production quorum predicates, joint voter sets, crashes, and of two
//! nodes fencing. Whatever was said may arrive at any later time, again, or never, so every order,
//! loss and duplicate is covered to the depth that each test states and prints. Time is not modelled: what rests on it (holds, leases) is the
//! simulator's.

#![allow(missing_docs, unreachable_pub)]

mod protocol;
mod rules;

use protocol::{Bug, Protocol};
use stateright::{Checker, Model};

/// Explores and prints; the properties that were broken.
fn explore(name: &str, model: Protocol, depth: usize) -> Vec<&'static str> {
    let checker = model
        .checker()
        .threads(2)
        .target_max_depth(depth)
        .spawn_bfs()
        .join();
    println!(
        "{name}: {} states, {} different, depth {} of at most {depth}",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    let found = checker.discoveries();
    let mut broken = Vec::new();
    for property in ALWAYS {
        if let Some(path) = found.get(property) {
            println!("{property}: {:#?}", path.clone().into_actions());
            broken.push(property);
        }
    }
    // A model in which nothing ever happens proves nothing.
    for property in SOMETIMES {
        assert!(
            found.contains_key(property),
            "{name}: never seen: {property}"
        );
    }
    broken
}

fn holds(name: &str, model: Protocol, depth: usize) {
    assert_eq!(explore(name, model, depth), Vec::<&str>::new(), "{name}");
}

#[test]
fn two_nodes_by_majority() {
    holds("2 nodes", Protocol::plain(2), 40);
}

#[test]
fn three_nodes() {
    holds("3 nodes", Protocol::plain(3), 11);
}

/// Elections alone: no crashes, no writes but what every ballot begins with.
#[test]
fn four_nodes() {
    holds("4 nodes", Protocol::plain(4).narrow(), 12);
}

/// 3 votes to 2, by a joint step (R3).
#[test]
fn voters_change_by_a_joint_step() {
    holds("3 nodes to 2", Protocol::plain(3).moving_to(&[1, 2]), 10);
}

/// Q = 1: a certificate stands in for the common node (R11).
#[test]
fn two_nodes_with_two_node() {
    holds("2 nodes, two_node", Protocol::two_node(), 15);
}

/// A model that finds nothing whatever is wrong would be no proof: each of these breaks it.
#[test]
fn seeded_bugs_are_found() {
    let cases = [
        (Bug::KeepsOwnLog, Protocol::plain(3), 12),
        (Bug::PromisesTwice, Protocol::plain(3), 10),
        (Bug::SkipsJointStep, Protocol::plain(3).moving_to(&[1]), 12),
        (Bug::CommitsAlone, Protocol::two_node(), 15),
        (Bug::CertificateForAnyBoot, Protocol::two_node(), 18),
    ];
    let mut escaped = Vec::new();
    for (bug, model, depth) in cases {
        let model = Protocol {
            bug: Some(bug),
            ..model
        };
        let checker = model
            .checker()
            .threads(2)
            .target_max_depth(depth)
            .finish_when(stateright::HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let found = ALWAYS.iter().find(|p| checker.discovery(p).is_some());
        let states = checker.unique_state_count();
        println!("{bug:?}: {found:?} after {states} states");
        if found.is_none() {
            escaped.push(bug);
        }
    }
    assert!(escaped.is_empty(), "not found: {escaped:?}");
}

/// What no reachable state may break.
const ALWAYS: [&str; 3] = [
    "what is committed stays (I7, I8)",
    "one leader per ballot (I2)",
    "equal ballot and place, equal entry (I6)",
];
/// What some state has to show.
const SOMETIMES: [&str; 2] = ["something commits", "a later ballot commits, too"];
