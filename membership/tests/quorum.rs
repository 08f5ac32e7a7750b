//! I5 over voter sets: two quorums of one configuration, or of two that follow each other, share a
//! node. Of two nodes with `two_node` they do not: there a certificate stands in (simulator, I5).

use std::collections::BTreeSet;

use membership::VoterSet;
use membership::quorum::Predicates;
use proptest::prelude::*;
use wire::NodeId;

/// Nodes that any set is drawn from; their groups are tried one by one.
const NODES: u32 = 8;

fn voters(votes: &[u32], expected_votes: Option<u32>) -> VoterSet {
    let votes = votes.iter().zip(1..).filter(|(votes, _)| **votes > 0);
    VoterSet {
        votes: votes.map(|(votes, id)| (NodeId(id), *votes)).collect(),
        expected_votes,
        ..VoterSet::default()
    }
}

fn any_voters() -> impl Strategy<Value = VoterSet> {
    let votes = prop::collection::vec(prop_oneof![Just(0_u32), Just(1), 1..4_u32], NODES as usize);
    (votes, prop::option::of(0..20_u32)).prop_map(|(votes, expected)| voters(&votes, expected))
}

/// Two groups without a common node, a quorum of the one and a quorum of the other.
fn apart(one: &Predicates, other: &Predicates) -> Option<(BTreeSet<NodeId>, BTreeSet<NodeId>)> {
    (0..1_u32 << NODES).find_map(|choice| {
        let (left, right): (BTreeSet<u32>, BTreeSet<u32>) =
            (1..=NODES).partition(|id| choice >> (id - 1) & 1 == 1);
        let nodes = |ids: BTreeSet<u32>| ids.into_iter().map(NodeId).collect();
        let (left, right) = (nodes(left), nodes(right));
        (one.quorate(&left) && other.quorate(&right)).then_some((left, right))
    })
}

proptest! {
    #[test]
    fn two_quorums_of_one_configuration_share_a_node(set in any_voters()) {
        let rules = Predicates::new([set]);
        prop_assert_eq!(apart(&rules, &rules), None);
    }

    /// Old, old with new, new: every change goes this way (R3).
    #[test]
    fn two_quorums_of_neighbours_share_a_node(old in any_voters(), new in any_voters()) {
        let before = Predicates::new([old.clone()]);
        let joint = Predicates::new([old, new.clone()]);
        let after = Predicates::new([new]);
        prop_assert_eq!(apart(&before, &joint), None);
        prop_assert_eq!(apart(&joint, &joint), None);
        prop_assert_eq!(apart(&joint, &after), None);
    }

    /// A group that decides still decides with one more node in it.
    #[test]
    fn one_more_node_takes_no_quorum_away(set in any_voters(), ids in prop::collection::btree_set(1..=NODES, 0..8), more in 1..=NODES) {
        let rules = Predicates::new([set]);
        let mut nodes: BTreeSet<NodeId> = ids.into_iter().map(NodeId).collect();
        let before = rules.quorate(&nodes);
        nodes.insert(NodeId(more));
        prop_assert!(!before || rules.quorate(&nodes));
    }
}

/// Without the joint step in between they do not: 5 to 3, 7 to 4, 8 to 5 (the attacks of R3).
#[test]
fn a_step_that_skips_the_joint_one_splits() {
    for (old, new) in [(5, 3), (7, 4), (8, 5)] {
        let set = |n: usize| Predicates::new([voters(&vec![1; n], None)]);
        assert!(apart(&set(old), &set(new)).is_some(), "{old} to {new}");
    }
}

/// Q = 1 is exactly the case that quorums alone do not keep together.
#[test]
fn two_node_needs_more_than_quorums() {
    let set = VoterSet {
        two_node: true,
        ..voters(&[1, 1], None)
    };
    let rules = Predicates::new([set]);
    assert!(apart(&rules, &rules).is_some());
}
