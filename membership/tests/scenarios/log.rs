//! Voter sets, entries, snapshots, and stores that lost something (R1, R3, R6).

use super::*;

#[test]
fn voters_change_by_a_joint_step() {
    let mut c = Cluster::running(3, 14);
    let dc = c.dc().unwrap();
    let mut voters = c.voters.clone();
    voters.votes[2].1 = 0;
    c.input(
        dc,
        Input::Reconfigure {
            voters: voters.clone(),
        },
    );
    c.until("final set", 1_000 * MS, |c| {
        c.alive().iter().all(|id| {
            let config = c.status(*id).config;
            config.current == voters && config.next.is_none()
        })
    });
    let dc = c.dc().unwrap();
    assert_eq!(c.status(dc).config.config_epoch, 3);
}

#[test]
fn a_joint_step_needs_both_sets() {
    let mut c = Cluster::running(5, 15);
    let dc = c.dc().unwrap();
    let outside: Vec<u32> = (1..=5).filter(|id| *id != dc).collect();
    // To the set {dc, x}: both sets need a quorum, and x is cut off.
    let x = outside[0];
    let mut votes = vec![(NodeId(dc), 1), (NodeId(x), 1)];
    votes.sort();
    c.isolate(x);
    c.input(
        dc,
        Input::Reconfigure {
            voters: VoterSet {
                votes,
                ..VoterSet::default()
            },
        },
    );
    c.run(300 * MS);
    let status = c.status(dc);
    assert!(
        status.config.next.is_some() && status.commit < status.head.seq,
        "{}",
        c.picture()
    );
    c.heal();
    c.until("final set", 3_000 * MS, |c| {
        c.dc()
            .is_some_and(|dc| c.status(dc).config.config_epoch == 3)
    });
}

#[test]
fn a_node_far_behind_gets_a_snapshot() {
    let mut c = Cluster::running(3, 16);
    let dc = c.dc().unwrap();
    let gone = other_than(&c, dc);
    c.kill(gone);
    c.run(700 * MS);
    for round in 0..30u8 {
        for op in 0..100u8 {
            let mut name = [round; 16];
            name[1] = op;
            let op = OpId(name);
            let payload = vec![round; 200];
            let body = EntryBody::App {
                op,
                origin: NodeId(dc),
                payload,
            };
            c.input(dc, Input::Propose { op, body });
        }
        c.run(100 * MS);
    }
    assert!(c.nodes[&dc].disk.snapshot.is_some(), "{}", c.picture());
    c.start(gone);
    let took = c.settle();
    assert!(took < 2_000 * MS, "caught up in {} ms", took / MS);
    let restored = |e: &Event| matches!(e, Event::Restored { seq, .. } if *seq > 1_000);
    assert!(c.nodes[&gone].saw(restored));
    assert_eq!(c.nodes[&gone].app, c.nodes[&dc].app);
}

#[test]
fn an_operation_is_applied_once_however_often_it_is_proposed() {
    let mut c = Cluster::running(3, 17);
    for id in [1, 2, 3, 1, 2] {
        c.propose(id, 9, b"once");
    }
    everywhere(&mut c, b"once");
    c.propose(3, 9, b"once");
    c.run(100 * MS);
    assert!(c.nodes.values().all(|n| n.app.applied.len() == 1));
    let seqs: Vec<_> = (1..=3)
        .map(|id| c.outcome(id, 9).unwrap().unwrap())
        .collect();
    assert!(seqs.iter().all(|s| *s == seqs[0]));
}

#[test]
fn a_large_entry_goes_by_the_stream_and_heartbeats_go_on() {
    let mut c = Cluster::running(3, 18);
    let payload = vec![5; 1_000_000];
    c.propose(2, 9, &payload);
    everywhere(&mut c, &payload);
    c.propose(2, 10, &vec![0; ENTRY_BYTES_MAX + 1]);
    assert!(matches!(
        c.outcome(2, 10),
        Some(Err(Refusal::TooLarge { .. }))
    ));
}

#[test]
fn a_disk_that_went_back_is_noticed_by_what_its_process_says_of_it() {
    let mut c = Cluster::running(3, 23);
    let dc = c.dc().unwrap();
    let other = other_than(&c, dc);
    for n in 0..3 {
        c.propose(1, 9 + n, b"kept");
        everywhere(&mut c, b"kept");
    }
    let told = |c: &Cluster| c.nodes[&dc].notice("older-store");
    let of = c.nodes[&other].config.as_ref().unwrap().me;
    c.input(dc, Input::PeerHead { of, head: 1_000 });
    assert!(!told(&c), "it is ahead");
    c.input(dc, Input::PeerHead { of, head: 1 });
    assert!(told(&c), "{}", c.picture());
    // It was a lie: the next beat shows the log, and the node counts again.
    c.run(200 * MS);
    c.propose(1, 20, b"more");
    everywhere(&mut c, b"more");
}

#[test]
fn a_wiped_node_recovers_from_a_quorum_before_it_votes() {
    let mut c = Cluster::running(3, 20);
    c.propose(1, 9, b"kept");
    everywhere(&mut c, b"kept");
    let dc = c.dc().unwrap();
    let wiped = other_than(&c, dc);
    c.kill(wiped);
    c.run(700 * MS);
    c.nodes.get_mut(&wiped).unwrap().disk = common::Disk::default();
    c.start(wiped);
    c.run(200 * MS);
    // Incarnation 1 again: refused, told why, and asked to restart above what the log knows.
    assert!(c.nodes[&wiped].notice("older-store"), "{}", c.picture());
    assert!(c.nodes[&wiped].saw(|e| matches!(e, Event::RestartNeeded { .. })));
    c.settle();
    assert!(c.nodes[&wiped].notice("recovered"), "{}", c.picture());
    assert_eq!(c.nodes[&wiped].app.applied.len(), 1);
}

#[test]
fn a_wiped_node_does_not_give_a_minority_a_quorum() {
    let mut c = Cluster::running(3, 21);
    let dc = c.dc().unwrap();
    let wiped = other_than(&c, dc);
    let third = (1..=3).find(|id| *id != dc && *id != wiped).unwrap();
    // {dc, wiped} commit something; third does not have it.
    c.kill(third);
    c.run(800 * MS);
    c.propose(dc, 9, b"precious");
    everywhere(&mut c, b"precious");
    c.kill(wiped);
    c.kill(dc);
    c.nodes.get_mut(&wiped).unwrap().disk = common::Disk::default();
    c.start(wiped);
    c.start(third);
    c.run(5_000 * MS);
    assert_eq!(c.dc(), None, "{}", c.picture());
    c.start(dc);
    c.settle();
    everywhere(&mut c, b"precious");
}

/// It still hears and could be heard: it has to be silent for the others to miss it.
#[test]
fn a_member_whose_disk_hangs_is_missed_and_comes_back() {
    let mut c = Cluster::running(3, 25);
    let dc = c.dc().unwrap();
    let other = c.nodes.keys().copied().find(|n| *n != dc).unwrap();
    let is_member = |c: &Cluster| {
        let view = c.status(dc).view;
        view.members
            .iter()
            .any(|m| m.identity.node == NodeId(other))
    };
    assert!(is_member(&c));
    c.nodes.get_mut(&other).unwrap().disk_hangs = true;
    c.propose(dc, 9, b"stuck");
    let took = c.until("a view without it", 6_000 * MS, |c| !is_member(c));
    assert!(took < 4_000 * MS, "took {} ms", took / MS);
    assert_eq!(c.dc(), Some(dc));
    assert!(c.nodes[&other].notice("store-hung"));
    c.nodes.get_mut(&other).unwrap().disk_hangs = false;
    c.until("a view with it", 6_000 * MS, is_member);
    c.settle();
    everywhere(&mut c, b"stuck");
}

#[test]
fn a_hung_disk_takes_the_node_out_of_the_view() {
    let mut c = Cluster::running(3, 24);
    let dc = c.dc().unwrap();
    c.nodes.get_mut(&dc).unwrap().disk_hangs = true;
    c.propose(dc, 9, b"stuck");
    let took = c.until("another DC", 6_000 * MS, |c| {
        c.dc().is_some_and(|d| d != dc)
    });
    assert!(took < 3_000 * MS, "took {} ms", took / MS);
    assert!(c.nodes[&dc].notice("store-hung"));
    c.nodes.get_mut(&dc).unwrap().disk_hangs = false;
    c.settle();
    everywhere(&mut c, b"stuck");
}
