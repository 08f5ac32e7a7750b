//! Sessions come up whatever the network does, and again after restarts.

use super::*;

#[test]
fn one_side_opens_in_two_round_trips() {
    let mut net = Net::new(1, 2, 1);
    let start_us = net.now_us;
    net.connect(1, 2);
    net.run_for(100_000);
    assert_eq!(net.established(2, identity(1, 1)), [start_us + 30_000]);
    assert_eq!(net.established(1, identity(2, 1)), [start_us + 40_000]);
    assert_eq!(net.captured.len(), 4, "HELLO1, HELLO2, HELLO3, CONFIRM");
    let next_us = net.nodes[&1].next_timeout().unwrap() - net.now_us;
    assert!(
        next_us > Renewal::DEFAULT.age_us / 2,
        "nothing but the renewal is due"
    );
    net.assert_all_talk(1);
}

#[test]
fn who_opens_tells_how_far_its_disk_is() {
    let mut net = Net::new(1, 2, 1);
    let head = |net: &Net, of: u32, at: u32| net.nodes[&at].head_of(NodeId(of));
    net.nodes.get_mut(&1).unwrap().set_head(77);
    assert_eq!(head(&net, 1, 2), None);
    net.connect(1, 2);
    net.run_for(100_000);
    assert_eq!(head(&net, 1, 2), Some(77));
    assert_eq!(head(&net, 2, 1), None, "node 2 opened none");
}

#[test]
fn lossy_reordering_duplicating_network() {
    for seed in 0..60 {
        let mut net = Net::new(seed, 3, 1 + (seed % 3) as u8);
        (net.loss_percent, net.duplicate_percent, net.delay_us) = (35, 20, (500, 60_000));
        for node in 1..=3 {
            net.connect_all(node);
            let pause_us = net.rng.below(40_000);
            net.run_for(pause_us);
        }
        net.run_for(20_000_000);
        for (a, b) in net.pairs() {
            let times = net.established(a, identity(b, 1));
            assert_eq!(times.len(), 1, "seed {seed}: {a} of {b} at {times:?}");
        }
        net.assert_all_talk(seed);
    }
}

#[test]
fn simultaneous_opens_agree_on_a_session() {
    for seed in 0..30 {
        let mut net = Net::new(seed, 2, 2);
        net.delay_us = (1_000, 30_000);
        net.connect(1, 2);
        net.connect(2, 1);
        net.run_for(2_000_000);
        let used: Vec<_> = [(1, 2), (2, 1)]
            .into_iter()
            .map(|(a, b)| {
                net.send(a, b, b"x").unwrap();
                net.captured.last().unwrap().bytes[14..18].to_vec()
            })
            .collect();
        assert_eq!(
            used[0], used[1],
            "seed {seed}: both ends send under one session"
        );
        net.assert_all_talk(seed);
    }
}

#[test]
fn handshake_finds_the_link_that_works() {
    let mut net = Net::new(1, 2, 3);
    net.dead_links = vec![0, 2];
    net.connect(1, 2);
    net.run_for(100_000);
    assert_eq!(net.diagnosis(1, 2).state, PeerState::Up);
    assert_eq!(net.diagnosis(2, 1).state, PeerState::Up);
}

#[test]
fn restarted_peer_is_back_in_two_round_trips() {
    let mut net = Net::new(1, 2, 1);
    net.connect_all(1);
    net.run_for(1_000_000);
    net.restart(2, 2);
    let start_us = net.now_us;
    net.run_for(1_000_000);
    assert_eq!(net.established(1, identity(2, 2)), [start_us + 30_000]);
    assert_eq!(
        net.established(2, identity(1, 1)).last(),
        Some(&(start_us + 40_000))
    );
    net.assert_all_talk(1);
}

#[test]
fn restarts_in_a_bad_network() {
    for seed in 0..20 {
        let mut net = Net::new(seed, 3, 2);
        (net.loss_percent, net.duplicate_percent, net.delay_us) = (25, 10, (500, 60_000));
        for node in 1..=3 {
            net.connect_all(node);
        }
        let mut incarnations = [0, 1, 1, 1];
        for _ in 0..6 {
            let pause_us = net.rng.below(300_000);
            net.run_for(pause_us);
            let node = 1 + net.rng.below(3) as u32;
            incarnations[node as usize] += 1;
            net.restart(node, incarnations[node as usize]);
            for (a, b) in net.pairs() {
                let _unless_no_session_yet = net.send(a, b, b"beat");
            }
        }
        net.run_for(20_000_000);
        for (a, b) in net.pairs() {
            let known = net.diagnosis(a, b).identity.map(|known| known.incarnation);
            assert_eq!(
                known,
                Some(incarnations[b as usize]),
                "seed {seed}: {a} of {b}"
            );
        }
        net.assert_all_talk(seed);
    }
}

/// While the answer to a new opening is missing, the old session goes on.
#[test]
fn old_session_stays_until_the_new_one_is_confirmed() {
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    net.run_for(100_000);
    for cut_after in 1..=3 {
        net.clear_seen();
        net.connect(1, 2);
        // Let `cut_after` packets of the four through, then lose the rest.
        net.run_for(10_000 * cut_after);
        net.loss_percent = 100;
        net.run_for(15_000);
        net.loss_percent = 0;
        for (a, b) in [(1, 2), (2, 1)] {
            net.send(a, b, b"still here").unwrap();
        }
        net.run_for(10_000);
        assert_eq!(net.payloads(1).len(), 1, "after {cut_after} packets");
        assert_eq!(net.payloads(2).len(), 1, "after {cut_after} packets");
        net.run_for(5_000_000);
        net.assert_all_talk(1);
    }
}

/// The peer holds a session that we lost, and knows nothing of it: its packets make us open one.
#[test]
fn packet_of_an_unknown_session_starts_a_handshake() {
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    net.run_for(100_000);
    net.boot(identity(1, 2), ring(), 2);
    net.send(2, 1, b"who are you").unwrap();
    net.run_for(60_000);
    assert_eq!(net.diagnosis(1, 2).state, PeerState::Up);
    assert_eq!(net.established(2, identity(1, 2)).len(), 1);
}

#[test]
fn unreachable_peer_is_tried_ever_more_rarely() {
    let mut net = Net::new(1, 2, 1);
    net.loss_percent = 100;
    net.connect(1, 2);
    net.run_for(60_000_000);
    let rounds = net.diagnosis(1, 2).hello_rounds;
    assert!((48..=90).contains(&rounds), "{rounds} rounds in a minute");
    assert_eq!(net.diagnosis(1, 2).state, PeerState::Connecting);
}

#[test]
fn used_up_session_says_so_and_is_replaced() {
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    net.run_for(100_000);
    net.nodes.get_mut(&1).unwrap().exhaust(NodeId(2));
    assert_eq!(net.send(1, 2, b"x"), Err(SealError::Exhausted(NodeId(2))));
    net.connect(1, 2);
    net.run_for(100_000);
    net.assert_all_talk(1);
}

#[test]
fn what_cannot_be_sealed() {
    let mut net = Net::new(1, 2, 1);
    assert_eq!(net.send(1, 2, b"x"), Err(SealError::NoSession(NodeId(2))));
    net.connect(1, 2);
    net.run_for(100_000);
    let Net { nodes, rng, .. } = &mut net;
    let endpoint = nodes.get_mut(&1).unwrap();
    let longest = vec![0; PAYLOAD_LEN_MAX];
    assert_eq!(
        endpoint.seal(NodeId(2), 0, &longest, rng).unwrap().len(),
        DATAGRAM_LEN_MAX
    );
    let got = PAYLOAD_LEN_MAX + 1;
    let longer = vec![0; got];
    assert_eq!(
        endpoint.seal(NodeId(2), 0, &longer, rng),
        Err(SealError::TooLong { got })
    );
    assert_eq!(
        endpoint.seal(NodeId(2), 1, b"x", rng),
        Err(SealError::UnknownLink(1))
    );
    assert_eq!(
        endpoint.seal(NodeId(9), 0, b"x", rng),
        Err(SealError::UnknownPeer(NodeId(9)))
    );
}
