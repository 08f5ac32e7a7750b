//! What an attacker, a mistake or a clone sends: nothing gets in, nothing is answered, and the
//! administrator reads why.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Two nodes with a session, and everything that went over the wire to get there and to talk.
fn talked(seed: u64) -> Net {
    let mut net = Net::new(seed, 2, 1);
    net.connect(1, 2);
    net.connect(2, 1);
    net.run_for(200_000);
    for i in 0..20 {
        net.send(1, 2, &[i]).unwrap();
        net.send(2, 1, &[i]).unwrap();
    }
    net.run_for(100_000);
    net
}

/// Delivers packets and counts what got in.
fn got_in(net: &mut Net, packets: &[Packet]) -> usize {
    let accepted = |received: &Received| {
        matches!(
            received,
            Received::Payload { .. } | Received::Established { .. }
        )
    };
    packets
        .iter()
        .filter(|packet| accepted(&net.deliver(packet)))
        .count()
}

#[test]
fn replayed_capture_is_refused_whoever_restarted() {
    for (seed, restarted) in [(1, vec![]), (2, vec![1]), (3, vec![2]), (4, vec![1, 2])] {
        let mut net = talked(seed);
        let capture = std::mem::take(&mut net.captured);
        assert!(capture.len() >= 44);
        for node in &restarted {
            // Restarted and not yet connected: nothing is known that could tell old from new.
            net.boot(identity(*node, 2), ring(), 2);
        }
        assert_eq!(got_in(&mut net, &capture), 0, "restarted {restarted:?}");
        for node in &restarted {
            net.connect_all(*node);
        }
        net.run_for(2_000_000);
        assert_eq!(
            got_in(&mut net, &capture),
            0,
            "restarted {restarted:?}, connected"
        );
        for _ in 0..3 {
            net.run_for(20_000_000);
            assert_eq!(
                got_in(&mut net, &capture),
                0,
                "restarted {restarted:?}, later"
            );
        }
        net.run_for(2_000_000);
        net.assert_all_talk(seed);
    }
}

#[test]
fn replayed_capture_is_refused_after_the_peer_left_the_node_list_and_came_back() {
    let mut net = talked(1);
    let capture = std::mem::take(&mut net.captured);
    for node in [1, 2] {
        let endpoint = net.nodes.get_mut(&node).unwrap();
        endpoint.set_peers(&[]);
        endpoint.set_peers(&[NodeId(1), NodeId(2)]);
    }
    assert_eq!(got_in(&mut net, &capture), 0);
    net.run_for(2_000_000);
    net.connect(1, 2);
    net.run_for(2_000_000);
    net.assert_all_talk(1);
}

/// The cookie of a session before the last is younger than its life, but spent.
#[test]
fn handshake_before_the_last_cannot_be_repeated() {
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    net.run_for(100_000);
    net.send(1, 2, b"once").unwrap();
    net.run_for(100_000);
    let capture = std::mem::take(&mut net.captured);
    for _ in 0..2 {
        net.connect(1, 2);
        net.run_for(100_000);
        net.send(1, 2, b"later").unwrap();
        net.run_for(100_000);
    }
    assert_eq!(got_in(&mut net, &capture), 0);
    net.assert_all_talk(1);
}

/// A cookie alone opens nothing: whoever brings it must have the session's keys.
#[test]
fn cookie_without_proof_is_refused() {
    use crate::cookie::COOKIE_LEN;
    use crate::packet::{Header, Kind, OpenKey, SealKey};
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    net.run_for(15_000);
    let hello2 = net.captured[1].bytes.clone();
    let ring = ring();
    let pair = &ring.active().hello;
    let header = Header::parse(&hello2).unwrap();
    let body = OpenKey::new(&pair.cipher).open(&header, &hello2).unwrap();
    let cookie = &body[body.len() - COOKIE_LEN..];
    let header = Header::hello(Kind::Hello3, 1, header.key_id, (NodeId(1), NodeId(2)), 0);
    let body = [cookie, &[0; 32], &[0; 8]].concat();
    let bytes = SealKey::new(pair).seal(header, &body, &mut Seeded(5));
    let received = net.deliver(&Packet {
        from: 1,
        to: 2,
        link: 0,
        bytes,
    });
    assert_eq!(
        received,
        Received::Rejected(Reject::BadTag { src: NodeId(1) })
    );
    net.run_for(100_000);
    net.assert_all_talk(1);
}

#[test]
fn replays_during_a_handshake_do_not_stop_it() {
    for seed in 0..20 {
        let mut net = talked(seed);
        let capture = std::mem::take(&mut net.captured);
        net.restart(2, 2);
        for _ in 0..40 {
            let packet = capture[net.rng.below(capture.len() as u64) as usize].clone();
            net.deliver(&packet);
            net.run_for(2_000);
        }
        assert_eq!(net.established(1, identity(2, 2)).len(), 1, "seed {seed}");
        assert_eq!(net.diagnosis(2, 1).state, PeerState::Up, "seed {seed}");
    }
}

#[test]
fn every_flipped_bit_is_refused_without_a_word() {
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    // Each packet of the handshake and a payload, flipped in every bit before it arrives whole.
    for step in 0..6 {
        if step == 4 {
            net.send(1, 2, b"payload").unwrap();
        }
        if step == 5 {
            net.send(2, 1, b"payload").unwrap();
        }
        let (_, packet) = net.under_way.pop().expect("one packet is under way");
        net.now_us += 1_000;
        let before = net.captured.len();
        for bit in 0..packet.bytes.len() * 8 {
            let mut flipped = packet.clone();
            flipped.bytes[bit / 8] ^= 1 << (bit % 8);
            let received = net.deliver(&flipped);
            assert!(
                matches!(received, Received::Rejected(_)),
                "step {step}, bit {bit}"
            );
        }
        assert_eq!(
            net.captured.len(),
            before,
            "step {step}: nothing is answered"
        );
        let received = net.deliver(&packet);
        assert!(
            !matches!(received, Received::Rejected(_)),
            "step {step}: {received:?}"
        );
    }
    net.assert_all_talk(1);
}

/// Random and bit-flipped packets, of each kind so many.
const GARBAGE: u64 = 500_000;

/// Packets of a session under way, each with a few bits flipped anywhere.
#[test]
fn flipped_packets_of_a_session_change_nothing_and_are_not_answered() {
    let mut net = talked(2);
    let genuine = net.captured.clone();
    net.clear_seen();
    let mut rng = Seeded(7);
    let before: Vec<_> = (net.pairs().iter())
        .map(|(a, b)| net.diagnosis(*a, *b))
        .collect();
    for round in 0..GARBAGE {
        let mut packet = genuine[rng.below(genuine.len() as u64) as usize].clone();
        let mut bit = || rng.below(8 * packet.bytes.len() as u64) as usize;
        // Each bit once: one that is flipped back leaves the packet as it was.
        let bits: BTreeSet<usize> = (0..=round % 3).map(|_| bit()).collect();
        for bit in bits {
            packet.bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let received = net.deliver(&packet);
        assert!(matches!(received, Received::Rejected(_)), "round {round}");
    }
    assert_eq!(net.captured.len(), 0, "nothing is answered");
    for ((a, b), before) in net.pairs().into_iter().zip(before) {
        let after = net.diagnosis(a, b);
        assert_eq!(
            (after.state, after.identity),
            (before.state, before.identity)
        );
        assert_eq!(after.last_heard_us, before.last_heard_us);
    }
    net.assert_all_talk(1);
}

#[test]
fn garbage_changes_nothing_and_is_not_answered() {
    let mut net = talked(1);
    let template = net.captured.last().unwrap().bytes.clone();
    net.clear_seen();
    let mut rng = Seeded(99);
    let before: Vec<_> = net
        .pairs()
        .iter()
        .map(|(a, b)| net.diagnosis(*a, *b))
        .collect();
    for round in 0..GARBAGE {
        let mut bytes = vec![0; rng.below(if round % 10 == 0 { 1600 } else { 200 }) as usize];
        rng.fill(&mut bytes);
        let to = 1 + rng.below(2) as u32;
        // A quarter of it wears a header that gets as far as possible.
        if round % 4 == 0 && bytes.len() >= 18 {
            bytes[..2].copy_from_slice(&[1, 1 + rng.below(6) as u8]);
            bytes[2..4].copy_from_slice(&ring().key_ids()[0].0);
            bytes[4..8].copy_from_slice(&(3 - to).to_be_bytes());
            bytes[8..12].copy_from_slice(&to.to_be_bytes());
            bytes[12] = 0;
            bytes[14..18].copy_from_slice(&template[14..18]);
        }
        let received = net.deliver(&Packet {
            from: 3 - to,
            to,
            link: 0,
            bytes,
        });
        assert!(matches!(received, Received::Rejected(_)), "round {round}");
    }
    assert_eq!(net.captured.len(), 0, "nothing is answered");
    for ((a, b), before) in net.pairs().into_iter().zip(before) {
        let after = net.diagnosis(a, b);
        assert_eq!(after.state, before.state);
        assert_eq!(after.identity, before.identity);
        assert_eq!(after.last_heard_us, before.last_heard_us);
        assert_eq!(after.trouble, None);
    }
    let counted: u64 = net
        .nodes
        .values()
        .map(|node| node.reject_counts().total())
        .sum();
    assert!(counted >= GARBAGE, "all counted: {counted}");
    net.assert_all_talk(1);
}

#[test]
fn wrong_key_is_diagnosed_on_both_sides() {
    let mut net = Net::new(1, 2, 1);
    net.boot(
        identity(2, 1),
        KeyRing::derive(&[43; 256], "lab").unwrap(),
        2,
    );
    net.connect(1, 2);
    net.connect(2, 1);
    net.run_for(1_000_000);
    for (a, b) in net.pairs() {
        let diagnosis = net.diagnosis(a, b);
        assert_eq!(diagnosis.state, PeerState::Connecting);
        assert!(diagnosis.foreign_key_hellos >= 3, "{diagnosis:?}");
        assert_eq!(
            diagnosis.foreign_key_hellos,
            diagnosis.rejects.of(RejectKind::UnknownKey)
        );
        let text = diagnosis.trouble.expect("seen").describe(NodeId(b));
        assert!(
            text.starts_with(&format!("node {b} answers but its authkey differs")),
            "{text}"
        );
    }
    assert!(
        net.captured.iter().all(|packet| packet.bytes[1] == 1),
        "only HELLO1s, no answer"
    );
}

#[test]
fn wrong_cluster_name_is_not_taken_for_a_wrong_key() {
    let mut net = Net::new(1, 2, 1);
    net.boot(
        identity(2, 1),
        KeyRing::derive(&[42; 256], "other").unwrap(),
        2,
    );
    net.connect(1, 2);
    net.run_for(1_000_000);
    let diagnosis = net.diagnosis(2, 1);
    assert_eq!(diagnosis.trouble, Some(Trouble::Unopened));
    assert!(diagnosis.unopened_hellos >= 3, "{diagnosis:?}");
    let text = Trouble::Unopened.describe(NodeId(1));
    assert!(text.contains("cluster_name differs"), "{text}");
}

#[test]
fn no_common_version_is_refused_with_both_ranges() {
    let newer = VersionRange { min: 2, max: 4 };
    let mut net = Net::new(1, 2, 1);
    net.nodes.get_mut(&2).unwrap().speak(newer);
    net.connect(1, 2);
    net.connect(2, 1);
    net.run_for(1_000_000);
    let older = VersionRange::OURS;
    let at = |a, b| net.diagnosis(a, b).trouble;
    assert_eq!(
        at(1, 2),
        Some(Trouble::Versions {
            ours: older,
            theirs: newer
        })
    );
    assert_eq!(
        at(2, 1),
        Some(Trouble::Versions {
            ours: newer,
            theirs: older
        })
    );
    let text = at(1, 2).unwrap().describe(NodeId(2));
    assert_eq!(
        text,
        "node 2 speaks protocol 2 to 4, spoken here is 1: install a version of mainstay on one of them \
         that has a protocol in common with the other"
    );
}

/// What the sender cannot change on the way: the versions are sealed and in the transcript, so a
/// peer that speaks more agrees on the newest common version, never on an older one.
#[test]
fn newest_common_version_wins() {
    let mut net = Net::new(1, 2, 1);
    net.nodes
        .get_mut(&1)
        .unwrap()
        .speak(VersionRange { min: 1, max: 3 });
    net.nodes
        .get_mut(&2)
        .unwrap()
        .speak(VersionRange { min: 1, max: 2 });
    net.connect(1, 2);
    net.run_for(100_000);
    net.clear_seen();
    net.assert_all_talk(1);
    assert!(net.captured.iter().all(|packet| packet.bytes[0] == 2));
    for version in [1, 3, 4] {
        let mut downgraded = net.captured[0].clone();
        downgraded.bytes[0] = version;
        let received = net.deliver(&downgraded);
        assert_eq!(received, Received::Rejected(Reject::BadVersion { version }));
    }
}

#[test]
fn clone_and_rolled_back_store_are_refused_and_told() {
    // The known process 5; another process with the same or a lower incarnation.
    for incarnation in [5, 4] {
        let mut net = Net::new(1, 2, 1);
        net.restart(2, 5);
        net.run_for(1_000_000);
        let known = identity(2, 5);
        assert_eq!(net.nodes[&1].identity(NodeId(2)), Some(known));

        let mut offered = identity(2, incarnation);
        offered.process_boot = ProcessBoot([0xcc; 16]);
        net.boot(offered, ring(), 2);
        net.clear_seen();
        net.connect(2, 1);
        net.run_for(1_000_000);
        let reject = Reject::StaleIncarnation { known, offered };
        assert!(
            net.seen
                .iter()
                .any(|(_, at, r)| *at == 1 && *r == Received::Rejected(reject))
        );
        assert_eq!(
            net.nodes[&1].identity(NodeId(2)),
            Some(known),
            "the session stays"
        );
        // The known process is alive: whoever claims its node must not try to outdo it.
        let refusal = Refusal::InUse { known: 5 };
        let told = net.diagnosis(2, 1);
        assert_eq!(told.trouble, Some(Trouble::RefusesUs(refusal)));
        assert_ne!(told.state, PeerState::Up);
        assert!(net.established(1, offered).is_empty());

        // Above the known incarnation it is let in again.
        net.restart(2, 6);
        net.run_for(1_000_000);
        net.assert_all_talk(1);
    }
}

#[test]
fn a_node_that_lost_its_store_learns_what_is_known_of_it() {
    let mut net = Net::new(1, 2, 1);
    net.nodes.get_mut(&1).unwrap().learn(identity(2, 7));
    net.connect(2, 1);
    net.run_for(1_000_000);
    let refusal = Refusal::StaleIncarnation { known: 7 };
    assert_eq!(
        net.diagnosis(2, 1).trouble,
        Some(Trouble::RefusesUs(refusal))
    );
}

#[test]
fn learned_incarnation_is_enforced_by_the_initiator_too() {
    let mut net = Net::new(1, 2, 1);
    let known = identity(2, 7);
    net.nodes.get_mut(&1).unwrap().learn(known);
    net.connect(1, 2);
    net.run_for(1_000_000);
    let offered = identity(2, 1);
    assert_eq!(
        net.diagnosis(1, 2).trouble,
        Some(Trouble::Stale { known, offered })
    );
    assert_eq!(net.diagnosis(1, 2).state, PeerState::Connecting);
    assert!(net.established(2, identity(1, 1)).is_empty());
}

#[test]
fn learned_newer_process_ends_the_session_of_the_older() {
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    net.run_for(100_000);
    net.send(2, 1, b"late").unwrap();
    net.nodes.get_mut(&1).unwrap().learn(identity(2, 2));
    net.clear_seen();
    net.run_for(2_000_000);
    assert_eq!(net.payloads(1), []);
    assert_eq!(
        net.diagnosis(1, 2).identity,
        Some(identity(2, 2)),
        "not forgotten"
    );
    assert_ne!(net.diagnosis(1, 2).state, PeerState::Up);
    net.restart(2, 2);
    net.run_for(1_000_000);
    net.assert_all_talk(1);
}

/// A HELLO1 may be a replay, so it must neither end a session nor be taken for a clone.
#[test]
fn replayed_hello1_of_a_dead_process_accuses_nobody() {
    let mut net = Net::new(1, 2, 1);
    net.connect(2, 1);
    net.run_for(200_000);
    let hello1 = net.captured[0].clone();
    net.restart(2, 2);
    net.run_for(200_000);
    net.clear_seen();
    assert_eq!(net.deliver(&hello1), Received::Handled);
    let answer = &net.captured[0];
    assert!(answer.bytes.len() <= hello1.bytes.len(), "no amplification");
    net.run_for(1_000_000);
    assert_eq!(net.diagnosis(1, 2).trouble, None);
    assert_eq!(
        net.diagnosis(1, 2).rejects.of(RejectKind::StaleIncarnation),
        0
    );
    net.assert_all_talk(1);
}

#[test]
fn flood_of_replayed_hellos_is_bounded() {
    let mut net = talked(1);
    let hello1 = net.captured[0].clone();
    net.clear_seen();
    for _ in 0..1_000 {
        net.deliver(&hello1);
    }
    assert_eq!(
        net.captured.len(),
        64,
        "a burst, then nothing at the same instant"
    );
    let kind = RejectKind::RateLimited;
    assert_eq!(net.nodes[&hello1.to].reject_counts().of(kind), 1_000 - 64);
    net.run_for(1_000_000);
    net.clear_seen();
    net.deliver(&hello1);
    assert_eq!(net.captured.len(), 1, "answered again later");
}

/// Spoofed packets of unknown sessions reach the peer's configured address only, rarely, and not at
/// all while the peer is heard.
#[test]
fn unknown_session_cannot_be_used_to_flood() {
    let mut net = talked(1);
    let mut forged = net.captured.last().unwrap().clone();
    forged.bytes[14] ^= 1;
    net.clear_seen();
    for _ in 0..1_000 {
        let received = net.deliver(&forged);
        assert!(matches!(
            received,
            Received::Rejected(Reject::UnknownSession { .. })
        ));
    }
    assert_eq!(net.captured.len(), 0, "the peer was heard just now");
    net.loss_percent = 100;
    net.run_for(1_000_000);
    for _ in 0..1_000 {
        net.deliver(&forged);
        net.run_for(1_000);
    }
    let sent = net.captured.len();
    assert!((5..=25).contains(&sent), "{sent} HELLOs in a second");
}

#[test]
fn headers_that_lie() {
    let mut net = talked(1);
    let packet = net.captured.last().unwrap().clone();
    let (src, to) = (NodeId(packet.from), packet.to);
    let cases: [(&str, usize, Vec<u8>, Reject); 6] = [
        ("our own id", 4, to.to_be_bytes().into(), Reject::FromSelf),
        (
            "stranger",
            4,
            vec![0, 0, 0, 9],
            Reject::UnknownPeer { src: NodeId(9) },
        ),
        (
            "for another",
            8,
            vec![0, 0, 0, 9],
            Reject::NotForUs { dst: NodeId(9) },
        ),
        (
            "crossed",
            12,
            vec![3],
            Reject::LinkMismatch {
                src,
                sent_on: 3,
                arrived_on: 0,
            },
        ),
        (
            "stream's kind",
            1,
            vec![16],
            Reject::UnknownKind { kind: 16 },
        ),
        ("kind 0", 1, vec![0], Reject::UnknownKind { kind: 0 }),
    ];
    for (name, at, bytes, reject) in cases {
        let mut lie = packet.clone();
        lie.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
        assert_eq!(net.deliver(&lie), Received::Rejected(reject), "{name}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let authkey = [0xab; 32];
    let shown = format!("{:?}", KeyRing::derive(&authkey, "lab").unwrap());
    let id = KeyRing::derive(&authkey, "lab").unwrap().key_ids()[0];
    assert_eq!(shown, format!("KeyRing {{ key_ids: [{id:?}], .. }}"));
    let net = talked(1);
    let endpoint = format!("{:?}", net.nodes[&1]);
    // Besides ids there are two boots of 16 bytes in it; keys would be 32.
    for secret in ["cipher", "hedge", "secret", "nonce"] {
        assert!(!endpoint.contains(secret), "{endpoint}");
    }
    assert!(endpoint.len() < 600, "{endpoint}");
}

proptest! {
    /// Authentic but nonsensical bodies: someone with the key, or a future version.
    #[test]
    fn authentic_nonsense_never_panics(
        kind in 1u8..=3,
        body in prop::collection::vec(any::<u8>(), 0..400),
        plausible in any::<bool>(),
    ) {
        use crate::packet::{Header, Kind, SealKey};
        let mut net = Net::new(1, 2, 1);
        net.connect(1, 2);
        let ring = ring();
        let key = ring.active();
        let kind = match kind { 1 => Kind::Hello1, 2 => Kind::Hello2, _ => Kind::Hello3 };
        let header = Header::hello(kind, 1, key.id, (NodeId(2), NodeId(1)), 0);
        let mut body = body;
        if plausible && body.len() > 12 {
            body[..4].copy_from_slice(&[1, 1, 1, 0]);
            body[4..12].copy_from_slice(&ring.cluster_tag());
        }
        let bytes = SealKey::new(&key.hello).seal(header, &body, &mut Seeded(5));
        let packet = Packet { from: 2, to: 1, link: 0, bytes };
        prop_assert!(matches!(net.deliver(&packet), Received::Rejected(_)));
        net.run_for(100_000);
        net.assert_all_talk(1);
    }
}
