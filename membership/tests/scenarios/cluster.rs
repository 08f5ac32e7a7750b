//! A cluster is founded, loses its coordinator or a member, and is whole again (R6, R8, R9).

use super::*;

#[test]
fn three_nodes_found_a_cluster_and_commit() {
    let mut c = Cluster::new(3, 1);
    c.start_all();
    let took = c.settle();
    assert!(took < 1_500 * MS, "cold start took {} ms", took / MS);
    c.propose(2, 9, b"hello");
    let took = everywhere(&mut c, b"hello");
    assert!(took < 20 * MS, "a write took {} ms", took / MS);
    assert!(matches!(c.outcome(2, 9), Some(Ok(_))));
}

#[test]
fn a_single_node_is_a_cluster_of_one() {
    let mut c = Cluster::running(1, 2);
    c.propose(1, 9, b"alone");
    everywhere(&mut c, b"alone");
    c.kill(1);
    c.start(1);
    c.settle();
    assert_eq!(c.nodes[&1].app.applied.len(), 1);
}

#[test]
fn founding_waits_for_every_configured_node() {
    let mut c = Cluster::new(3, 3);
    c.start(1);
    c.start(2);
    c.run(5_000 * MS);
    assert_eq!(c.dc(), None);
    assert!(
        c.status(1).election_why.contains("needs all its nodes"),
        "{}",
        c.picture()
    );
    c.start(3);
    let took = c.settle();
    assert!(took < 1_000 * MS, "took {} ms", took / MS);
}

#[test]
fn another_node_list_does_not_found() {
    let mut c = Cluster::new(3, 4);
    c.start(1);
    c.start(2);
    let mut config = c.config(3);
    config.nodelist_digest = [8; 32];
    c.start_with(3, config);
    c.run(3_000 * MS);
    assert_eq!(c.dc(), None);
    assert!(
        c.status(1).election_why.contains("another node list"),
        "{}",
        c.picture()
    );
}

#[test]
fn a_dead_dc_is_replaced_in_t_fail_and_a_little() {
    for seed in 0..20 {
        let mut c = Cluster::running(3, 100 + seed);
        let old = c.dc().unwrap();
        c.run((seed * 7) % 50 * MS);
        c.kill(old);
        let took = c.until("new DC", 3_000 * MS, |c| c.dc().is_some_and(|dc| dc != old));
        assert!(
            took < 560 * MS,
            "seed {seed}: took {} ms\n{}",
            took / MS,
            c.picture()
        );
        c.settle();
        c.propose(other_than(&c, old), 9, b"after");
        everywhere(&mut c, b"after");
    }
}

#[test]
fn a_dead_member_leaves_the_view_without_an_election() {
    for seed in 0..20 {
        let mut c = Cluster::running(3, 200 + seed);
        let dc = c.dc().unwrap();
        let gone = other_than(&c, dc);
        let ballot = c.status(dc).promised;
        c.run((seed * 7) % 50 * MS);
        c.kill(gone);
        let took = c.until("view of two", 3_000 * MS, |c| {
            c.alive().iter().all(|id| {
                c.members(*id).len() == 2 && c.status(*id).commit == c.status(*id).head.seq
            })
        });
        assert!(took < 530 * MS, "seed {seed}: took {} ms", took / MS);
        assert_eq!(c.dc(), Some(dc));
        assert_eq!(c.status(dc).promised, ballot);
    }
}

#[test]
fn a_restarted_member_is_back_at_once() {
    for wait_ms in [0, 50, 300, 700, 3_000] {
        let mut c = Cluster::running(3, 300 + wait_ms);
        let dc = c.dc().unwrap();
        let node = other_than(&c, dc);
        c.propose(dc, 9, b"before");
        everywhere(&mut c, b"before");
        c.kill(node);
        c.run(wait_ms * MS);
        c.start(node);
        let took = c.settle();
        assert!(
            took < 200 * MS,
            "down {wait_ms} ms: back after {} ms",
            took / MS
        );
        assert_eq!(c.dc(), Some(dc));
        assert_eq!(c.nodes[&node].app.applied.len(), 1);
    }
}

#[test]
fn a_restarted_dc_is_proved_dead_by_its_new_process() {
    for seed in 0..10 {
        let mut c = Cluster::running(3, 400 + seed);
        let old = c.dc().unwrap();
        c.kill(old);
        c.run(30 * MS);
        c.start(old);
        let took = c.settle();
        assert!(took < 250 * MS, "seed {seed}: back after {} ms", took / MS);
        assert!(c.dc().is_some());
    }
}

#[test]
fn a_whole_cluster_restarts_quickly_with_its_log() {
    let mut c = Cluster::running(3, 5);
    c.propose(1, 9, b"kept");
    everywhere(&mut c, b"kept");
    for id in 1..=3 {
        c.kill(id);
    }
    c.run(1_000 * MS);
    c.start_all();
    let took = c.settle();
    assert!(took < 1_000 * MS, "took {} ms", took / MS);
    assert!(c.nodes.values().all(|n| n.app.applied.len() == 1));
}

#[test]
fn a_clean_leave_is_quick_for_member_and_dc() {
    for leaver_is_dc in [false, true] {
        let mut c = Cluster::running(3, 19);
        let dc = c.dc().unwrap();
        let leaver = if leaver_is_dc { dc } else { other_than(&c, dc) };
        c.input(leaver, Input::Leave { clean: true });
        let took = c.until("left", 1_000 * MS, |c| {
            c.nodes[&leaver].saw(|e| matches!(e, Event::Left))
        });
        c.kill(leaver);
        let took = took + c.settle();
        assert!(
            took < 300 * MS,
            "leave took {} ms\n{}",
            took / MS,
            c.picture()
        );
    }
}

/// Of two nodes the lower one beats, the other's answer is its heartbeat, and is answered: three
/// packets. No heartbeat is missed for it, and none goes unanswered.
#[test]
fn a_heartbeat_of_a_pair_takes_three_packets() {
    let mut c = Cluster::running(3, 20);
    c.run(2_000 * MS);
    let before = c.sent_packets;
    let beats = 200;
    c.run(beats * c.t_fail_us / 10);
    let pairs_packets = c.sent_packets - before;
    let expected = beats * 3 * 3;
    assert!(
        pairs_packets.abs_diff(expected) * 50 <= expected,
        "{pairs_packets} packets, not {expected}"
    );
    for id in 1..=3 {
        for peer in c.status(id).peers {
            let link = &peer.links[0];
            let rtt = link.rtt_us.unwrap();
            assert!((200..=800).contains(&rtt), "{id}: {link:?}");
            assert_eq!(link.loss_permille, 0, "{id}: {link:?}");
        }
    }
    assert!(c.alive().into_iter().all(|id| c.members(id).len() == 3));
}

/// The lower node's packets do not arrive: the other beats by itself, as often.
#[test]
fn who_is_not_asked_beats_by_itself() {
    let mut c = Cluster::running(3, 21);
    c.no_relay = true;
    c.run(1_000 * MS);
    c.cut.insert((1, 2));
    c.run(1_000 * MS);
    // Node 1 hears node 2 all the time, in spite of its own silence towards it.
    for _ in 0..40 {
        c.run(25 * MS);
        let status = c.status(1);
        let two = status.peers.iter().find(|p| p.node == NodeId(2)).unwrap();
        let silent = two.links[0].silent_us.unwrap();
        assert!(silent <= c.t_fail_us / 10 * 12 / 10 + MS, "{silent} us");
    }
}
