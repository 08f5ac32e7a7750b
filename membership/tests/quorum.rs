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

/// With or without a tie-breaker; every third node may be out for a while.
fn any_voters() -> impl Strategy<Value = VoterSet> {
    let votes = prop::collection::vec(prop_oneof![Just(0_u32), Just(1), 1..4_u32], NODES as usize);
    let expected = prop::option::of(0..20_u32);
    let tie = prop::option::of(1..=NODES);
    (votes, expected, tie, any::<bool>()).prop_map(|(votes, expected, tie, some_out)| {
        let mut set = voters(&votes, expected);
        if some_out {
            let out = |(node, _): &(NodeId, u32)| node.0 % 3 == 0;
            (set.absent, set.votes) = set.votes.iter().partition(|v| out(v));
        }
        set.tie_node = tie.map(NodeId);
        set
    })
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

/// Every set of up to three voters, and every step between two of them.
#[test]
fn all_small_sets_and_all_steps_between_them() {
    let sets = small_sets();
    assert!(sets.len() > 300, "{} sets", sets.len());
    let deciding = |sets: &[&VoterSet]| -> u8 {
        let rules = Predicates::new(sets.iter().copied().cloned());
        let group = |choice: u32| (1..=3).filter(move |id| choice >> (id - 1) & 1 == 1);
        let decides = |choice: &u32| rules.quorate(&group(*choice).map(NodeId).collect());
        let groups = (0..8_u32).filter(decides);
        groups.fold(0, |all, choice| all | 1 << choice)
    };
    // Groups are numbered by who is in them: the others of group g are group 7 - g.
    let apart = |one: u8, other: u8| one & other.reverse_bits() != 0;
    for old in &sets {
        let before = deciding(&[old]);
        assert!(!apart(before, before), "{old:?}");
        for new in &sets {
            let (joint, after) = (deciding(&[old, new]), deciding(&[new]));
            let steps = [(before, joint), (joint, joint), (joint, after)];
            let split = steps.iter().any(|(one, other)| apart(*one, *other));
            assert!(!split, "{old:?} to {new:?}");
        }
    }
}

fn small_sets() -> Vec<VoterSet> {
    let mut sets = Vec::new();
    for votes in (0..27).map(|n| [n % 3, n / 3 % 3, n / 9]) {
        for expected in [None, Some(2), Some(5)] {
            for tie in [None, Some(1), Some(2), Some(3)] {
                let tie_node = tie.map(NodeId);
                sets.push(VoterSet {
                    tie_node,
                    ..voters(&votes, expected)
                });
            }
        }
    }
    sets
}

/// Moving the tie-breaker without the joint step in between splits (R4).
#[test]
fn a_tie_breaker_that_moves_at_once_splits() {
    let set = |tie| {
        Predicates::new([VoterSet {
            tie_node: Some(NodeId(tie)),
            ..voters(&[1; 4], None)
        }])
    };
    assert!(apart(&set(1), &set(1)).is_none());
    assert!(apart(&set(1), &set(4)).is_some());
}

#[test]
fn what_contradicts_itself_is_refused() {
    let plain = |n: usize| voters(&vec![1; n], None);
    let tie = |set: VoterSet, node| VoterSet {
        tie_node: Some(NodeId(node)),
        ..set
    };
    let two = VoterSet {
        two_node: true,
        ..plain(2)
    };
    let witness = |set: VoterSet, node| VoterSet {
        witness: Some(NodeId(node)),
        ..set
    };
    let last_man = |wait_for_all, set: VoterSet| VoterSet {
        last_man_standing: Some(1),
        wait_for_all,
        ..set
    };
    let cases = [
        (plain(3), None),
        (plain(0), Some("no voters")),
        (tie(plain(4), 4), None),
        (tie(plain(4), 5), Some("has no vote")),
        (tie(voters(&[1, 0, 1], None), 2), Some("has no vote")),
        (tie(two.clone(), 1), Some("two_node")),
        (two, None),
        (witness(plain(3), 3), None),
        (witness(plain(2), 2), Some("two nodes")),
        (witness(plain(3), 4), Some("needs a vote")),
        (witness(voters(&[1; 3], Some(3)), 3), None),
        (
            witness(voters(&[1; 3], Some(4)), 3),
            Some("without the witness"),
        ),
        (witness(voters(&[1, 0, 1], None), 3), Some("two nodes")),
        (witness(tie(plain(3), 1), 3), Some("auto_tie_breaker")),
        (last_man(true, plain(4)), None),
        (last_man(false, plain(4)), Some("wait_for_all")),
        (last_man(true, voters(&[1, 2], None)), Some("one vote")),
        (last_man(true, witness(plain(3), 3)), Some("witness")),
    ];
    for (set, wanted) in cases {
        match (set.check(), wanted) {
            (Ok(()), None) => {}
            (Err(why), Some(part)) => assert!(why.contains(part), "{why}: {set:?}"),
            (got, _) => panic!("{got:?}: {set:?}"),
        }
    }
}
