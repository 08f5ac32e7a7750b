//! A conversation recorded from this release: later releases have to understand every packet of it.
//! What it says now where it fails is to be put into the file only with a new version of the protocol.

use super::*;

/// Node 1 opens a session to node 2, and each says something. Nothing here but the seeds is random.
fn conversation() -> (Net, Vec<Packet>) {
    let mut net = Net::new(2_026, 2, 1);
    net.nodes.get_mut(&1).unwrap().set_head(300);
    net.connect(1, 2);
    net.run_for(100_000);
    net.send(1, 2, b"first").unwrap();
    net.send(2, 1, b"second").unwrap();
    net.run_for(100_000);
    let said = net.captured.clone();
    (net, said)
}

fn text(packets: &[Packet]) -> String {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let line = |p: &Packet| format!("{} {} {}\n", p.from, p.to, hex(&p.bytes));
    packets.iter().map(line).collect()
}

fn read(text: &str) -> Vec<Packet> {
    let bytes = |hex: &str| {
        let digits = (0..hex.len()).step_by(2);
        digits
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    let packet = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        Packet {
            from: words[0].parse().unwrap(),
            to: words[1].parse().unwrap(),
            link: 0,
            bytes: bytes(words[2]),
        }
    };
    text.lines().map(packet).collect()
}

#[test]
fn a_recorded_conversation_is_understood() {
    let recorded = include_str!("../../testdata/recorded/conversation-v1.txt");
    let kinds: Vec<u8> = read(recorded).iter().map(|p| p.bytes[1]).collect();
    assert_eq!(
        kinds,
        [1, 2, 3, 4, 5, 5],
        "HELLO1-3, CONFIRM, and DATA both ways"
    );
    // The same seeds make the same secrets, so both ends can be in the place of those that spoke.
    let (mut net, now) = conversation();
    assert_eq!(text(&now), recorded, "the bytes of version 1 are others");
    let mut heard = Net::new(2_026, 2, 1);
    std::mem::swap(&mut heard.seen, &mut net.seen);
    assert_eq!(heard.payloads(2), [(identity(1, 1), b"first".to_vec())]);
    assert_eq!(heard.payloads(1), [(identity(2, 1), b"second".to_vec())]);
    assert_eq!(heard.established(2, identity(1, 1)).len(), 1);
    assert_eq!(net.nodes[&2].head_of(NodeId(1)), Some(300));
}
