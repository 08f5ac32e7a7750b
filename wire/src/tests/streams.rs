//! Streams: cut anywhere they open, changed anywhere they do not.

use proptest::prelude::*;

use super::*;
use crate::packet::TAG_LEN;

fn ends() -> (StreamHandshake, StreamHandshake, Seeded) {
    let mut rng = Seeded(7);
    let peers = [NodeId(1), NodeId(2), NodeId(3)];
    let caller = StreamHandshake::connect(identity(1, 1), &ring(), NodeId(2), &mut rng);
    let called = StreamHandshake::accept(identity(2, 1), &ring(), &peers);
    (caller, called, rng)
}

/// Carries bytes between the ends, `cut` at a time, until both have a session.
fn open(
    caller: &mut StreamHandshake,
    called: &mut StreamHandshake,
    cut: usize,
    rng: &mut Seeded,
) -> Result<(StreamSession, StreamSession), StreamError> {
    let (mut first, mut second) = (None, None);
    for _ in 0..4 {
        while let Some(bytes) = caller.poll_transmit() {
            for part in bytes.chunks(cut) {
                second = called.push(part, rng)?.or(second);
            }
        }
        while let Some(bytes) = called.poll_transmit() {
            for part in bytes.chunks(cut) {
                first = caller.push(part, rng)?.or(first);
            }
        }
    }
    Ok((
        first.expect("caller is done"),
        second.expect("called is done"),
    ))
}

/// Both ends of an open stream, without the cost of the handshake.
fn opened() -> (StreamSession, StreamSession) {
    let ring = ring();
    let (to_b, to_a) = (&ring.active().stream, &ring.active().session);
    let session = |peer, out, inward| StreamSession {
        peer,
        sealer: StreamSealer::new(out),
        opener: StreamOpener::new(inward, false),
    };
    (
        session(identity(2, 1), to_b, to_a),
        session(identity(1, 1), to_a, to_b),
    )
}

#[test]
fn handshake_cut_anywhere() {
    for cut in 1..=250 {
        let (mut caller, mut called, mut rng) = ends();
        let (mut a, mut b) = open(&mut caller, &mut called, cut, &mut rng).unwrap();
        assert_eq!((a.peer, b.peer), (identity(2, 1), identity(1, 1)));
        b.opener
            .push(&a.sealer.seal_message(b"to b").unwrap())
            .unwrap();
        a.opener
            .push(&b.sealer.seal_message(b"to a").unwrap())
            .unwrap();
        assert_eq!(a.opener.next_message(), Ok(Some(b"to a".to_vec())));
        assert_eq!(b.opener.next_message(), Ok(Some(b"to b".to_vec())));
        assert_eq!(b.opener.next_message(), Ok(None));
        assert_eq!(b.opener.finish(), Ok(()));
    }
}

/// The caller may send at once after its proof, the called end with its confirmation.
#[test]
fn data_on_the_heels_of_the_handshake() {
    let (mut caller, mut called, mut rng) = ends();
    called
        .push(&caller.poll_transmit().unwrap(), &mut rng)
        .unwrap();
    caller
        .push(&called.poll_transmit().unwrap(), &mut rng)
        .unwrap();
    let mut b = called
        .push(&caller.poll_transmit().unwrap(), &mut rng)
        .unwrap()
        .unwrap();
    let mut bytes = called.poll_transmit().unwrap();
    bytes.extend(b.sealer.seal_message(b"early").unwrap());
    let mut a = caller.push(&bytes, &mut rng).unwrap().unwrap();
    assert_eq!(a.opener.next_message(), Ok(Some(b"early".to_vec())));
}

#[test]
fn flipped_bits_of_the_handshake_are_refused() {
    for stage in 0..4 {
        let mut bit = 0;
        loop {
            let (mut caller, mut called, mut rng) = ends();
            let mut failed = false;
            let mut len = 0;
            for step in 0..=stage {
                let (from, to) = if step % 2 == 0 {
                    (&mut caller, &mut called)
                } else {
                    (&mut called, &mut caller)
                };
                let mut bytes = from.poll_transmit().unwrap();
                len = bytes.len();
                if step == stage {
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                let result = to.push(&bytes, &mut rng);
                if step == stage {
                    // A longer record may be announced: then it waits, but nothing opens.
                    failed = result.is_err() || stage == 3 && matches!(result, Ok(None));
                    assert_eq!(to.poll_transmit(), None, "no answer");
                }
            }
            assert!(failed, "stage {stage}, bit {bit}");
            bit += 13;
            if bit >= len * 8 {
                break;
            }
        }
    }
}

#[test]
fn who_is_not_let_in() {
    let mut rng = Seeded(3);
    let me = identity(1, 1);
    let other = KeyRing::derive(&[1; 32], "lab").unwrap();
    let key_id = other.key_ids()[0];
    let src = NodeId(1);
    let cases: [(&str, StreamHandshake, &[u32], Reject); 4] = [
        (
            "wrong key",
            StreamHandshake::connect(me, &other, NodeId(2), &mut rng),
            &[1],
            Reject::UnknownKey { src, key_id },
        ),
        (
            "other cluster",
            StreamHandshake::connect(
                me,
                &KeyRing::derive(&[42; 256], "other").unwrap(),
                NodeId(2),
                &mut rng,
            ),
            &[1],
            Reject::BadTag { src },
        ),
        (
            "stranger",
            StreamHandshake::connect(me, &ring(), NodeId(2), &mut rng),
            &[3, 4],
            Reject::UnknownPeer { src },
        ),
        (
            "wrong address",
            StreamHandshake::connect(me, &ring(), NodeId(3), &mut rng),
            &[1],
            Reject::NotForUs { dst: NodeId(3) },
        ),
    ];
    for (name, mut caller, peers, reject) in cases {
        let peers: Vec<_> = peers.iter().copied().map(NodeId).collect();
        let mut called = StreamHandshake::accept(identity(2, 1), &ring(), &peers);
        let result = called.push(&caller.poll_transmit().unwrap(), &mut rng);
        assert_eq!(result.err(), Some(StreamError::Handshake(reject)), "{name}");
        assert_eq!(called.poll_transmit(), None, "{name}: no answer");
        assert_eq!(
            called.push(b"x", &mut rng).err(),
            Some(StreamError::Failed),
            "{name}"
        );
    }
}

#[test]
fn replayed_handshake_ends_at_the_proof() {
    let (mut caller, mut called, mut rng) = ends();
    let hello1 = caller.poll_transmit().unwrap();
    called.push(&hello1, &mut rng).unwrap();
    caller
        .push(&called.poll_transmit().unwrap(), &mut rng)
        .unwrap();
    let hello3 = caller.poll_transmit().unwrap();
    assert!(called.push(&hello3, &mut rng).unwrap().is_some());

    let mut called = StreamHandshake::accept(identity(2, 1), &ring(), &[NodeId(1)]);
    called.push(&hello1, &mut rng).unwrap();
    let refused = called.push(&hello3, &mut rng).err();
    assert_eq!(
        refused,
        Some(StreamError::Handshake(Reject::BadTag { src: NodeId(1) }))
    );
}

#[test]
fn datagram_of_a_handshake_does_not_open_as_stream() {
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    let mut called = StreamHandshake::accept(identity(2, 1), &ring(), &[NodeId(1)]);
    let refused = called.push(&net.captured[0].bytes, &mut net.rng).err();
    assert_eq!(
        refused,
        Some(StreamError::Handshake(Reject::UnknownKind { kind: 1 }))
    );
}

#[test]
fn stream_cut_at_every_byte() {
    let (mut a, _) = opened();
    let messages: [&[u8]; 4] = [b"", b"one", &[7; 300], b"end"];
    let bytes: Vec<u8> = messages
        .iter()
        .flat_map(|message| a.sealer.seal_message(message).unwrap())
        .collect();
    for at in 0..=bytes.len() {
        let (_, mut b) = opened();
        let mut got = Vec::new();
        for part in [&bytes[..at], &bytes[at..]] {
            b.opener.push(part).unwrap();
            while let Some(message) = b.opener.next_message().unwrap() {
                got.push(message);
            }
        }
        assert_eq!(got, messages, "cut at {at}");
    }
}

#[test]
fn truncated_stream_is_told_from_an_ended_one() {
    let (mut a, _) = opened();
    let first = a.sealer.seal_record(&[1; 50], false).unwrap();
    let second = a.sealer.seal_record(&[2; 50], true).unwrap();
    let bytes = [first, second].concat();
    for at in 0..=bytes.len() {
        let (_, mut b) = opened();
        b.opener.push(&bytes[..at]).unwrap();
        let message = b.opener.next_message().unwrap();
        let whole = at == bytes.len();
        assert_eq!(message.is_some(), whole, "{at} bytes");
        let ended = at == 0 || whole;
        assert_eq!(b.opener.finish().is_ok(), ended, "{at} bytes");
    }
}

#[test]
fn records_out_of_place_do_not_open() {
    let records = |a: &mut StreamSession| -> Vec<Vec<u8>> {
        (0u8..3)
            .map(|i| a.sealer.seal_record(&[i; 40], true).unwrap())
            .collect()
    };
    let cases: [(&str, &[usize], u64); 4] = [
        ("swapped", &[1, 0], 0),
        ("repeated", &[0, 0], 1),
        ("left out", &[0, 2], 1),
        ("last first", &[2], 0),
    ];
    for (name, order, number) in cases {
        let (mut a, mut b) = opened();
        let records = records(&mut a);
        let bytes: Vec<u8> = order.iter().flat_map(|i| records[*i].clone()).collect();
        b.opener.push(&bytes).unwrap();
        let error = loop {
            match b.opener.next_message() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{name}: accepted"),
                Err(error) => break error,
            }
        };
        assert_eq!(error, StreamError::BadRecord { number }, "{name}");
        assert_eq!(b.opener.next_message(), Err(StreamError::Failed), "{name}");
        assert_eq!(b.opener.push(b"x"), Err(StreamError::Failed), "{name}");
        assert_eq!(b.opener.finish(), Err(StreamError::Failed), "{name}");
    }
}

#[test]
fn records_of_one_direction_do_not_open_in_the_other() {
    let (mut a, mut b) = opened();
    let _first = b.sealer.seal_record(b"as many as a sent", true);
    a.opener
        .push(&a.sealer.seal_message(b"reflected").unwrap())
        .unwrap();
    assert!(matches!(
        a.opener.next_message(),
        Err(StreamError::BadRecord { .. })
    ));
}

#[test]
fn flipped_bits_of_records_are_refused() {
    let (mut a, _) = opened();
    let bytes = a.sealer.seal_message(b"a message").unwrap();
    for bit in 0..bytes.len() * 8 {
        let (_, mut b) = opened();
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        b.opener.push(&flipped).unwrap();
        // A length made longer waits for more, and then does not open.
        if b.opener.next_message() == Ok(None) {
            b.opener
                .push(&vec![0; RECORD_PLAINTEXT_MAX + TAG_LEN])
                .unwrap();
            assert!(b.opener.next_message().is_err(), "bit {bit}");
        }
    }
}

#[test]
fn too_much_is_refused_before_it_is_held() {
    let (mut a, mut b) = opened();
    let part = vec![0; RECORD_PLAINTEXT_MAX];
    let over = [part.as_slice(), &[0]].concat();
    let limit = RECORD_PLAINTEXT_MAX;
    assert_eq!(
        a.sealer.seal_record(&over, true),
        Err(StreamError::TooLong { limit })
    );
    let limit = MESSAGE_LEN_MAX;
    let message = vec![0; MESSAGE_LEN_MAX + 1];
    assert_eq!(
        a.sealer.seal_message(&message),
        Err(StreamError::TooLong { limit })
    );

    // A header that announces more than a record.
    let mut header = vec![0; RECORD_HEADER_LEN];
    header[1..4].copy_from_slice(&[1, 0, 1]);
    b.opener.push(&header).unwrap();
    assert_eq!(
        b.opener.next_message(),
        Err(StreamError::BadHeader { number: 0 })
    );

    // A message that never ends.
    let (mut a, mut b) = opened();
    let limit = 4 * RECORD_PLAINTEXT_MAX;
    b.opener.limit_message(limit);
    for _ in 0..4 {
        b.opener
            .push(&a.sealer.seal_record(&part, false).unwrap())
            .unwrap();
        assert_eq!(b.opener.next_message(), Ok(None));
    }
    b.opener
        .push(&a.sealer.seal_record(&[0], false).unwrap())
        .unwrap();
    assert_eq!(b.opener.next_message(), Err(StreamError::TooLong { limit }));

    // Bytes pushed and never taken out.
    let (_, mut b) = opened();
    b.opener.push(&vec![0; STREAM_BACKLOG_MAX]).unwrap();
    let limit = STREAM_BACKLOG_MAX;
    assert_eq!(b.opener.push(&[0]), Err(StreamError::Backlog { limit }));
}

#[test]
fn message_of_many_records_up_to_the_limit() {
    let (mut a, mut b) = opened();
    let message: Vec<u8> = (0..20 * RECORD_PLAINTEXT_MAX + 1)
        .map(|i| (i >> 12) as u8)
        .collect();
    b.opener.limit_message(message.len());
    let bytes = a.sealer.seal_message(&message).unwrap();
    assert_eq!(
        bytes.len(),
        message.len() + 21 * (RECORD_HEADER_LEN + TAG_LEN)
    );
    let mut got = None;
    for part in bytes.chunks(100_000) {
        b.opener.push(part).unwrap();
        got = b.opener.next_message().unwrap().or(got);
    }
    assert!(got.is_some_and(|got| got == message));
}

#[test]
fn empty_records_that_end_nothing_are_refused() {
    let (mut a, mut b) = opened();
    b.opener
        .push(&a.sealer.seal_record(&[], false).unwrap())
        .unwrap();
    assert_eq!(
        b.opener.next_message(),
        Err(StreamError::BadHeader { number: 0 })
    );
}

proptest! {
    #[test]
    fn any_messages_cut_anyhow(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..6),
        cut in 1usize..900,
    ) {
        let (mut a, mut b) = opened();
        let mut bytes = Vec::new();
        for message in &messages {
            bytes.extend(a.sealer.seal_message(message).unwrap());
        }
        let mut got = Vec::new();
        for part in bytes.chunks(cut) {
            b.opener.push(part).unwrap();
            while let Some(message) = b.opener.next_message().unwrap() {
                got.push(message);
            }
        }
        prop_assert_eq!(got, messages);
    }

    #[test]
    fn garbage_opens_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        cut in 1usize..500,
    ) {
        let (_, mut b) = opened();
        let (_, mut called, mut rng) = ends();
        for part in bytes.chunks(cut) {
            if b.opener.push(part).is_ok() {
                prop_assert!(!matches!(b.opener.next_message(), Ok(Some(_))));
            }
            prop_assert!(!matches!(called.push(part, &mut rng), Ok(Some(_))));
            prop_assert_eq!(called.poll_transmit(), None);
        }
    }
}
