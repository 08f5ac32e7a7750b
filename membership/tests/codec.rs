//! Bytes from outside: whatever arrives, decoding and the whole core neither panic nor grow.

mod common;

use common::Cluster;
use membership::message::{Beat, Blob, Ends, Message, Parcel, Point, Stamp};
use membership::*;
use proptest::prelude::*;
use wire::NodeId;

fn point() -> impl Strategy<Value = Point> {
    (0u64..20, 0u64..9, 0u32..4, any::<[u8; 32]>()).prop_map(|(seq, counter, node, hash)| Point {
        seq,
        ballot: Ballot { counter, node },
        hash,
    })
}

fn ballot() -> impl Strategy<Value = Ballot> {
    (0u64..1_000, 0u32..4).prop_map(|(counter, node)| Ballot { counter, node })
}

fn blob() -> impl Strategy<Value = Blob> {
    proptest::collection::vec(any::<u8>(), 0..64).prop_map(Blob)
}

/// Half of the logs have everything committed.
fn ends() -> impl Strategy<Value = Ends> {
    (point(), point(), any::<bool>()).prop_map(|(commit, head, all)| Ends {
        commit,
        head: if all { commit } else { head },
    })
}

fn beat() -> impl Strategy<Value = Message> {
    let stamp = (any::<u64>(), any::<u64>());
    let numbers = (0u64..99, 0u64..99);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (
        ends(),
        proptest::option::of(stamp),
        ballot(),
        numbers,
        flags,
    )
        .prop_map(
            |(log, stamp, ballot, (beat_no, view_no), (answers, acting, fit))| {
                Message::Beat(Beat {
                    beat_no,
                    stamp: stamp.map(|(sent_us, hold_us)| Stamp { sent_us, hold_us }),
                    answers,
                    echo: None,
                    ballot,
                    view_no,
                    log,
                    state: NodeState::Follower,
                    acting,
                    dc_lost: !acting,
                    fit,
                    withholding: false,
                    blank: false,
                    class_u: false,
                    digest: [0; 8],
                    row: Vec::new(),
                    known: message::Known::default(),
                    parcel_ack: 0,
                })
            },
        )
}

/// Any message a peer with the key but without good will might send.
fn message() -> impl Strategy<Value = Message> {
    let blobs = || proptest::collection::vec(blob(), 0..4);
    prop_oneof![
        beat(),
        (ballot(), point(), any::<bool>()).prop_map(|(ballot, head, bootstrap)| Message::Prepare {
            ballot,
            head,
            bootstrap
        }),
        (ballot(), point(), point(), 0u64..99, 0u64..3).prop_map(
            |(ballot, head, commit, view_no, survivals)| Message::Promise {
                survivals,
                ballot,
                head,
                commit,
                view_no,
            }
        ),
        (ballot(), ballot()).prop_map(|(ballot, promised)| Message::Refuse { ballot, promised }),
        (ballot(), point(), point(), blobs()).prop_map(|(ballot, prev, commit, entries)| {
            Message::Append {
                ballot,
                prev,
                commit,
                entries,
            }
        }),
        (ballot(), point(), point()).prop_map(|(ballot, mem, durable)| Message::Ack {
            ballot,
            mem,
            durable
        }),
        (ballot(), point()).prop_map(|(ballot, commit)| Message::Mismatch { ballot, commit }),
        (any::<u64>(), point()).prop_map(|(nonce, after)| Message::Fetch { nonce, after }),
        (0u64..9, point(), point(), blobs()).prop_map(|(nonce, prev, head, entries)| {
            Message::Fetched {
                nonce,
                prev,
                head,
                entries,
            }
        }),
        (0u64..9, point(), any::<u64>()).prop_map(|(nonce, at, bytes)| Message::Offer {
            nonce,
            at,
            bytes
        }),
        (0u64..9, any::<u64>()).prop_map(|(seq, offset)| Message::Pull { seq, offset }),
        (0u64..9, 0u64..9, any::<u64>(), any::<[u8; 32]>(), blob()).prop_map(
            |(seq, offset, bytes, digest, data)| Message::Chunk {
                seq,
                offset,
                bytes,
                digest,
                data
            }
        ),
        any::<u64>().prop_map(|nonce| Message::RecoverAsk { nonce }),
        (0u64..9, any::<u64>()).prop_map(|(no, ack)| Message::Parcel {
            no,
            ack,
            parcel: Parcel::Tell { payload: vec![1] }
        }),
        (0u64..9, 0u64..4, proptest::collection::vec(0u64..9, 0..4)).prop_map(
            |(no, ack, numbers)| {
                let grants = numbers.into_iter().map(|n| ("v".to_owned(), n)).collect();
                Message::Parcel {
                    no,
                    ack,
                    parcel: Parcel::GivenUp { grants },
                }
            }
        ),
        any::<u64>().prop_map(|ack| Message::ParcelAck { ack }),
        any::<bool>().prop_map(|clean| Message::Bye { clean }),
    ]
}

proptest! {
    #[test]
    fn decoding_rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::decode(&bytes);
        let mut framed = vec![message::MESSAGE_FORMAT];
        framed.extend(&bytes);
        let _ = Message::decode(&framed);
    }

    #[test]
    fn messages_survive_their_bytes(message in message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn truncated_messages_are_refused(message in message(), cut in 1usize..40) {
        let bytes = message.encode();
        let end = bytes.len().saturating_sub(cut);
        if let Ok(shorter) = Message::decode(&bytes[..end]) {
            prop_assert_ne!(shorter, message);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// An insider can spoil agreement (documented), but no message makes a node fall over.
    #[test]
    fn no_message_of_a_member_makes_a_core_panic(
        messages in proptest::collection::vec((1u32..4, 1u32..4, message()), 1..40)
    ) {
        let mut c = Cluster::running(3, 77);
        for (from, to, message) in messages {
            if from == to { continue; }
            let from = c.nodes[&from].config.as_ref().unwrap().me;
            c.input(to, Input::Packet { from, link: 0, payload: message.encode() });
            c.run(common::MS);
        }
        c.run(700 * common::MS);
    }
}

#[test]
fn an_unknown_format_is_named() {
    let bytes = [message::MESSAGE_FORMAT + 1, 0, 0];
    let error = Message::decode(&bytes).unwrap_err();
    let named = format!("format {}", message::MESSAGE_FORMAT + 1);
    assert!(error.to_string().contains(&named), "{error}");
    let _ = NodeId(1);
}
