//! Sessions are replaced while they are used, by age, by packets and by key, and nothing is lost.

use super::*;

/// Two that talk every 10 ms for `us`, from both sides; returns the sessions that packets were
/// under, in the order of their first use, with their keys.
fn talk(net: &mut Net, us: u64) -> Vec<([u8; 2], [u8; 4])> {
    net.clear_seen();
    let (end_us, mut sent) = (net.now_us + us, 0);
    while net.now_us < end_us {
        for (a, b) in [(1, 2), (2, 1)] {
            net.send(a, b, &[7])
                .expect("a session is up at every moment");
            sent += 1;
        }
        net.run_for(10_000);
    }
    net.run_for(100_000);
    let got = net.payloads(1).len() + net.payloads(2).len();
    assert_eq!(got, sent, "a payload was lost");
    let mut used = Vec::new();
    for packet in net.captured.iter().filter(|p| p.bytes[1] == 5) {
        let bytes = &packet.bytes;
        let session = (
            [bytes[2], bytes[3]],
            [bytes[14], bytes[15], bytes[16], bytes[17]],
        );
        if !used.contains(&session) {
            used.push(session);
        }
    }
    used
}

fn pair(seed: u64, age_us: u64, packets: u64) -> Net {
    let mut net = Net::new(seed, 2, 1);
    for endpoint in net.nodes.values_mut() {
        endpoint.set_renewal(Renewal { age_us, packets });
    }
    net.connect(1, 2);
    net.connect(2, 1);
    net.run_for(100_000);
    net
}

#[test]
fn an_old_session_is_replaced_and_no_packet_waits_for_it() {
    for seed in 0..10 {
        let mut net = pair(seed, 1_000_000, u64::MAX);
        let used = talk(&mut net, 3_500_000);
        assert!((4..=5).contains(&used.len()), "seed {seed}: {used:?}");
    }
}

#[test]
fn a_session_is_replaced_after_its_packets() {
    let mut net = pair(1, 3_600_000_000, 50);
    let used = talk(&mut net, 2_000_000);
    assert!((4..=6).contains(&used.len()), "{used:?}");
}

#[test]
fn the_old_session_lives_until_the_new_one_is_confirmed() {
    let mut net = pair(2, 1_000_000, u64::MAX);
    let before = talk(&mut net, 200_000);
    // Every HELLO is lost from now on, and only HELLOs.
    let end_us = net.now_us + 5_000_000;
    while net.now_us < end_us {
        net.loss_percent = 100;
        net.run_for(10_000);
        net.loss_percent = 0;
        net.send(1, 2, b"still").unwrap();
        let packet = net.captured.last().unwrap().clone();
        let received = net.deliver(&packet);
        assert!(matches!(received, Received::Payload { .. }), "{received:?}");
        let session = packet.bytes[14..18].to_vec();
        assert_eq!(session, before[0].1);
    }
    // The network is whole again: so are the keys.
    net.run_for(2_000_000);
    assert_ne!(talk(&mut net, 100_000)[0], before[0]);
}

#[test]
fn a_rotation_moves_every_session_and_loses_nothing() {
    let next = [43; 256];
    let mut net = pair(3, 3_600_000_000, u64::MAX);
    let old = ring().key_ids()[0];
    let new = KeyRing::id_of(&next).unwrap();
    let added = ring().with(&next, "lab").unwrap();
    let step = |net: &mut Net, node: u32, ring: &KeyRing| {
        if net.nodes.get_mut(&node).unwrap().set_ring(ring.clone()) {
            net.connect(node, 3 - node);
        }
        let keys: Vec<_> = talk(net, 300_000).into_iter().map(|(key, _)| key).collect();
        keys
    };
    for node in [1, 2] {
        assert_eq!(step(&mut net, node, &added), [old.0]);
    }
    let used = added.using(new);
    step(&mut net, 1, &used);
    step(&mut net, 2, &used);
    assert!(net.nodes.values().all(Endpoint::is_renewed));
    for node in [1, 2] {
        assert_eq!(step(&mut net, node, &used.clone().without(old)), [new.0]);
    }
    // Who comes with the old key alone is told apart from silence.
    net.boot(identity(2, 2), ring(), 2);
    net.connect(2, 1);
    net.run_for(200_000);
    let evidence = net.diagnosis(1, 2).evidence;
    let foreign = Trouble::ForeignKey {
        theirs: old,
        ours: new,
    };
    assert_eq!(evidence, Some(foreign));
}

#[test]
fn a_dropped_key_ends_what_rests_on_it_at_once() {
    let mut net = pair(4, 3_600_000_000, u64::MAX);
    let next = [43; 256];
    let new = KeyRing::id_of(&next).unwrap();
    let ring = ring().with(&next, "lab").unwrap().using(new);
    let only_new = ring.without(super::ring().key_ids()[0]);
    assert!(net.nodes.get_mut(&1).unwrap().set_ring(only_new));
    assert_eq!(net.send(1, 2, b"x"), Err(SealError::NoSession(NodeId(2))));
    net.send(2, 1, b"x").unwrap();
    let packet = net.captured.last().unwrap().clone();
    assert!(matches!(net.deliver(&packet), Received::Rejected(_)));
}

#[test]
fn versions_below_the_lowest_allowed_are_refused_by_name() {
    let mut net = Net::new(5, 2, 1);
    let range = |min, max| VersionRange { min, max };
    net.nodes.get_mut(&1).unwrap().speak(range(1, 3));
    net.nodes.get_mut(&1).unwrap().set_min_version(2);
    assert_eq!(net.nodes[&1].versions(), range(2, 3));
    net.nodes.get_mut(&2).unwrap().speak(range(1, 1));
    net.connect(2, 1);
    net.run_for(500_000);
    let said = net.diagnosis(1, 2).evidence.map(|t| t.describe(NodeId(2)));
    let said = said.unwrap_or_default();
    assert!(
        said.contains(&range(1, 1).to_string()) && said.contains(&range(2, 3).to_string()),
        "{said}"
    );
}
