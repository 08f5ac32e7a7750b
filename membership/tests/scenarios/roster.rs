//! Nodes come and go while the cluster runs: node lists, and votes by joint steps (R3, R18).

use super::*;

/// Tells every running node that the node list is `ids`.
fn list(c: &mut Cluster, ids: &[u32]) {
    for id in c.alive() {
        let others = ids.iter().filter(|n| **n != id);
        let peers = others.map(|n| PeerConfig {
            node: NodeId(*n),
            links: vec![0],
            priorities: Vec::new(),
        });
        let peers = peers.collect();
        let nodelist_digest = [ids.len() as u8; 32];
        c.input(
            id,
            Input::Peers {
                peers,
                nodelist_digest,
            },
        );
    }
}

fn set(ids: &[u32], two_node: bool) -> VoterSet {
    VoterSet {
        votes: ids.iter().map(|id| (NodeId(*id), 1)).collect(),
        two_node,
        wait_for_all: two_node,
        ..VoterSet::default()
    }
}

fn step(c: &mut Cluster, voters: &VoterSet) {
    let dc = c.dc().expect("a coordinator acts");
    c.input(
        dc,
        Input::Reconfigure {
            voters: voters.clone(),
        },
    );
    let wanted = voters.clone();
    c.until("the step to be over", 2_000 * MS, move |c| {
        c.alive().iter().all(|id| {
            let status = c.status(*id);
            let config = &status.config;
            let over = config.current == wanted && config.next.is_none();
            over && status.commit == status.head.seq
        })
    });
}

/// A cluster of `n` whose node `n + 1` is there, powered off and in nobody's list.
fn with_a_stranger(n: u32, seed: u64, two_node: bool) -> Cluster {
    let mut c = Cluster::new(n, seed);
    let ids: Vec<u32> = (1..=n).collect();
    c.voters = set(&ids, two_node);
    c.start_all();
    c.settle();
    c.nodes.insert(n + 1, common::Node::new(n + 1));
    c
}

#[test]
fn a_third_node_joins_two_and_votes_only_when_the_log_says_so() {
    for two_node in [false, true] {
        let mut c = with_a_stranger(2, 40, two_node);
        c.propose(1, 9, b"before");
        everywhere(&mut c, b"before");
        list(&mut c, &[1, 2, 3]);
        c.start(3);
        c.until("node 3 in the view", 3_000 * MS, |c| {
            c.members(1) == [1, 2, 3]
        });
        // It is there, and needed for nothing.
        let status = c.status(1);
        assert_eq!((status.votes_expected, status.config.config_epoch), (2, 1));
        step(&mut c, &set(&[1, 2, 3], false));
        assert_eq!(c.status(3).votes_needed, 2);
        c.kill(1);
        c.until("two of three go on", 3_000 * MS, |c| {
            c.dc().is_some_and(|dc| dc != 1 && c.members(dc).len() == 2)
        });
        c.propose(3, 10, b"without the first");
        everywhere(&mut c, b"without the first");
    }
}

#[test]
fn a_node_that_is_listed_and_never_comes_takes_nothing_from_two() {
    let mut c = with_a_stranger(2, 41, true);
    list(&mut c, &[1, 2, 3]);
    c.run(2_000 * MS);
    // Both start anew with the longer list: the third has no vote, so nobody waits for it.
    for id in [1, 2] {
        c.kill(id);
    }
    c.run(1_000 * MS);
    c.start(1);
    c.start(2);
    c.until("both are back", 5_000 * MS, |c| {
        c.dc().is_some_and(|dc| c.members(dc) == [1, 2])
    });
    c.propose(2, 9, b"without the third");
    c.until("written", 2_000 * MS, |c| {
        matches!(c.outcome(2, 9), Some(Ok(_)))
    });
}

#[test]
fn one_of_two_voters_is_no_freer_beside_a_node_without_a_vote() {
    let mut c = with_a_stranger(2, 42, true);
    c.fencing = true;
    for id in [1, 2] {
        c.input(id, Input::Fencing { configured: true });
    }
    list(&mut c, &[1, 2, 3]);
    c.start(3);
    c.until("node 3 in the view", 3_000 * MS, |c| {
        c.members(1) == [1, 2, 3]
    });
    c.kill(2);
    c.run(2_000 * MS);
    assert!(
        c.status(1).restricted,
        "nothing proves that node 2 is gone\n{}",
        c.picture()
    );
}

#[test]
fn the_second_node_joins_the_first_and_both_are_two() {
    let mut c = with_a_stranger(1, 43, false);
    c.propose(1, 9, b"alone");
    everywhere(&mut c, b"alone");
    list(&mut c, &[1, 2]);
    c.start(2);
    c.until("node 2 in the view", 3_000 * MS, |c| c.members(1) == [1, 2]);
    assert_eq!(c.status(1).votes_needed, 1);
    step(&mut c, &set(&[1, 2], true));
    // A restart of the first with a list that lacks the second: it must not think itself alone.
    c.kill(1);
    c.kill(2);
    c.run(1_000 * MS);
    let mut config = c.config(1);
    config.peers.clear();
    c.start_with(1, config);
    c.run(5_000 * MS);
    assert_eq!(c.dc(), None, "{}", c.picture());
    list(&mut c, &[1, 2]);
    c.start(2);
    c.until("both", 5_000 * MS, |c| {
        c.dc().is_some_and(|dc| c.members(dc) == [1, 2])
    });
}

#[test]
fn a_removed_node_is_forgotten_once_nothing_rests_on_it() {
    let mut c = Cluster::running(3, 44);
    c.kill(3);
    c.until("a view of two", 3_000 * MS, |c| c.members(1) == [1, 2]);
    list(&mut c, &[1, 2]);
    c.run(2_000 * MS);
    let knows = |c: &Cluster, id| c.status(id).peers.iter().any(|p| p.node == NodeId(3));
    assert!(knows(&c, 1), "it still votes");
    step(&mut c, &set(&[1, 2], false));
    c.until("node 3 forgotten", 1_000 * MS, move |c| {
        !knows(c, 1) && !knows(c, 2)
    });
    // Its disk says that it is one of three: alone it decides nothing, and nobody hears it.
    c.start(3);
    c.run(3_000 * MS);
    assert!(!c.status(3).quorate);
    assert_eq!(c.members(1), [1, 2]);
    c.propose(2, 9, b"after");
    c.until("written", 2_000 * MS, |c| {
        matches!(c.outcome(2, 9), Some(Ok(_)))
    });
}

#[test]
fn a_running_node_that_is_removed_is_dropped_from_the_view() {
    let mut c = Cluster::running(3, 45);
    let gone = other_than(&c, c.dc().unwrap());
    let rest: Vec<u32> = (1..=3).filter(|id| *id != gone).collect();
    step(&mut c, &set(&rest, false));
    list(&mut c, &rest);
    let (stays, view) = (rest[0], rest.clone());
    c.until("a view without it", 3_000 * MS, move |c| {
        c.members(stays) == view
    });
}

#[test]
fn a_node_that_works_with_another_list_is_named() {
    let mut c = Cluster::running(3, 46);
    let peers = |me: u32| {
        let others = (1..=3).filter(move |n| *n != me);
        others.map(|n| PeerConfig {
            node: NodeId(n),
            links: vec![0],
            priorities: Vec::new(),
        })
    };
    let another = Input::Peers {
        peers: peers(3).collect(),
        nodelist_digest: [9; 32],
    };
    c.input(3, another);
    c.run(5_000 * MS);
    assert!(
        !c.nodes[&1].notice("node-lists-differ"),
        "a change may be on its way"
    );
    c.run(15_000 * MS);
    assert!(c.nodes[&1].notice("node-lists-differ"));
    assert!(c.nodes[&3].notice("node-lists-differ"));
}
