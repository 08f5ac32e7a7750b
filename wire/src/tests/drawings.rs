//! WIRE.md and the code tell the same story.

use super::*;
use crate::cookie::COOKIE_LEN;
use crate::handshake::{HELLO_LEN, IDENTITY_LEN, REFUSE_BODY_LEN};
use crate::peer::{HELLO1_BODY_LEN, HELLO2_BODY_LEN, HELLO3_BODY_LEN};
use crate::stream_handshake::{
    STREAM_HELLO1_BODY_LEN, STREAM_HELLO2_BODY_LEN, STREAM_HELLO3_BODY_LEN,
};

const WIRE_MD: &str = include_str!("../../WIRE.md");

/// The value in the row `| name | value |` of a table of WIRE.md.
fn drawn(name: &str) -> usize {
    let row = |line: &&str| line.starts_with(&format!("| {name} |"));
    let line = WIRE_MD
        .lines()
        .find(row)
        .unwrap_or_else(|| panic!("no row {name}"));
    let cell = line.split('|').nth(2).unwrap().trim().replace(',', "");
    cell.parse()
        .unwrap_or_else(|_| panic!("row {name}: {cell}"))
}

#[test]
fn sizes_are_as_drawn() {
    let sizes = [
        ("header", HEADER_LEN),
        ("tag", TAG_LEN),
        ("overhead", OVERHEAD_LEN),
        ("longest datagram", DATAGRAM_LEN_MAX),
        ("longest payload", PAYLOAD_LEN_MAX),
        ("longest relayed packet", RELAYED_LEN_MAX),
        ("replay window", REPLAY_WINDOW_PACKETS as usize),
        ("identity", IDENTITY_LEN),
        ("hello", HELLO_LEN),
        ("cookie", COOKIE_LEN),
        ("HELLO1", OVERHEAD_LEN + HELLO1_BODY_LEN),
        ("HELLO2", OVERHEAD_LEN + HELLO2_BODY_LEN),
        ("HELLO3", OVERHEAD_LEN + HELLO3_BODY_LEN),
        ("CONFIRM", OVERHEAD_LEN),
        ("REFUSE", OVERHEAD_LEN + REFUSE_BODY_LEN),
        ("STREAM HELLO1", OVERHEAD_LEN + STREAM_HELLO1_BODY_LEN),
        ("STREAM HELLO2", OVERHEAD_LEN + STREAM_HELLO2_BODY_LEN),
        ("STREAM HELLO3", OVERHEAD_LEN + STREAM_HELLO3_BODY_LEN),
        ("record header", RECORD_HEADER_LEN),
        ("longest record plaintext", RECORD_PLAINTEXT_MAX),
        ("longest message", MESSAGE_LEN_MAX),
    ];
    for (name, size) in sizes {
        assert_eq!(drawn(name), size, "{name}");
    }
}

#[test]
fn packets_are_as_long_as_drawn() {
    let mut net = Net::new(1, 2, 1);
    net.connect(1, 2);
    net.run_for(100_000);
    let lengths: Vec<_> = net
        .captured
        .iter()
        .map(|packet| packet.bytes.len())
        .collect();
    assert_eq!(
        lengths,
        ["HELLO1", "HELLO2", "HELLO3", "CONFIRM"].map(drawn)
    );
    let kinds: Vec<_> = net.captured.iter().map(|packet| packet.bytes[1]).collect();
    assert_eq!(kinds, [1, 2, 3, 4]);
}

/// HELLO is the place where versions meet, so its first bytes never move.
#[test]
fn hello_layout() {
    use crate::handshake::Hello;
    let hello = Hello {
        versions: VersionRange {
            min: 0xa1,
            max: 0xa2,
        },
        suite: 0xa3,
        cluster_tag: [0xa5; 8],
        nonce: [0xa6; 32],
        ephemeral: [0xa7; 32],
        identity: Identity {
            node: NodeId(0xb1b2_b3b4),
            machine_boot: MachineBoot([0xb5; 16]),
            process_boot: ProcessBoot([0xb6; 16]),
            incarnation: 0xc1c2_c3c4_c5c6_c7c8,
        },
    };
    let expected = [
        b"\xa1\xa2\xa3\x00".as_slice(),
        &[0xa5; 8],
        &[0xa6; 32],
        &[0xa7; 32],
        b"\xb1\xb2\xb3\xb4",
        &[0xb5; 16],
        &[0xb6; 16],
        b"\xc1\xc2\xc3\xc4\xc5\xc6\xc7\xc8",
    ]
    .concat();
    assert_eq!(hello.encode().as_slice(), expected);
}
