//! Packets before they are authenticated, handshakes, and streams.

use wire::*;

use crate::Reader;

/// Numbers that repeat from run to run.
struct Counting(u64);

impl Entropy for Counting {
    fn fill(&mut self, buf: &mut [u8]) {
        for byte in buf {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = (self.0 >> 56) as u8;
        }
    }
}

fn ring() -> KeyRing {
    KeyRing::derive(&[42; 256], "lab").expect("256 bytes are a key")
}

fn identity(node: u32, incarnation: u64) -> Identity {
    Identity {
        node: NodeId(node),
        machine_boot: MachineBoot([node as u8; 16]),
        process_boot: ProcessBoot([(node as u8) << 4 | incarnation as u8; 16]),
        incarnation,
    }
}

const NODES: [NodeId; 2] = [NodeId(1), NodeId(2)];

fn endpoint(node: u32, incarnation: u64, entropy: &mut Counting) -> Endpoint {
    Endpoint::new(identity(node, incarnation), ring(), &NODES, 2, entropy)
}

/// Everything that is under way arrives.
fn settle(ends: &mut [Endpoint; 2], now_us: u64, entropy: &mut Counting) {
    for _ in 0..8 {
        for from in 0..2 {
            while let Some(sent) = ends[from].poll_transmit() {
                let _ = ends[1 - from].handle(now_us, sent.link, &sent.datagram, entropy);
            }
        }
    }
}

/// A datagram of somebody without the key, to an end that has a session: refused, unanswered, and
/// nothing is different. An input that begins with 0 wears a header that gets as far as possible.
pub(crate) fn datagram(bytes: &[u8]) {
    let mut entropy = Counting(1);
    let mut ends = [endpoint(1, 1, &mut entropy), endpoint(2, 1, &mut entropy)];
    let _ = ends[0].connect(1_000, NodeId(2), &mut entropy);
    settle(&mut ends, 1_000, &mut entropy);
    let mut datagram = bytes.to_vec();
    let sample = ends[1].seal(NodeId(1), 0, b"sample", &mut entropy);
    if let (Some(0), Ok(sample)) = (bytes.first(), sample) {
        let shown = bytes.len().min(HEADER_LEN);
        datagram = sample[..HEADER_LEN].to_vec();
        for (at, byte) in bytes[1..shown.max(1)].iter().enumerate() {
            datagram[at] ^= byte;
        }
        datagram.extend_from_slice(&bytes[shown..]);
    }
    let before = ends[0].peer_diagnosis(NodeId(2));
    let received = ends[0].handle(2_000, 0, &datagram, &mut entropy);
    assert!(matches!(received, Received::Rejected(_)), "{received:?}");
    assert!(ends[0].poll_transmit().is_none(), "it is answered");
    let after = ends[0].peer_diagnosis(NodeId(2));
    let known = |d: &Option<Diagnosis>| d.as_ref().map(|d| (d.state, d.identity, d.last_heard_us));
    assert_eq!(known(&before), known(&after));
    let sealed = ends[1]
        .seal(NodeId(1), 0, b"still", &mut entropy)
        .expect("a session");
    let received = ends[0].handle(3_000, 0, &sealed, &mut entropy);
    assert!(matches!(received, Received::Payload { .. }), "{received:?}");
}

/// Two ends, and a wire that delivers, drops, repeats and changes their packets as the input says.
/// Whoever is taken for a peer is one.
pub(crate) fn handshake(bytes: &[u8]) {
    let mut steps = Reader::new(bytes);
    let mut entropy = Counting(2);
    let mut ends = [endpoint(1, 1, &mut entropy), endpoint(2, 1, &mut entropy)];
    let mut processes = [1, 1];
    let mut wire: Vec<(usize, Transmit)> = Vec::new();
    let mut now_us = 1_000;
    for _ in 0..STEPS_MAX {
        let Some(step) = steps.byte() else { break };
        let end = usize::from(step & 1);
        match step >> 1 & 7 {
            0 => drop(ends[end].connect(now_us, NODES[1 - end], &mut entropy)),
            1 => {
                processes[end] += 1;
                ends[end] = endpoint(end as u32 + 1, processes[end], &mut entropy);
            }
            2 => {
                now_us += 50_000 * u64::from(step >> 4);
                ends[end].handle_timeout(now_us, &mut entropy);
            }
            3 => {
                let payload = steps.bytes();
                if let Ok(datagram) = ends[end].seal(NODES[1 - end], 0, payload, &mut entropy) {
                    let to = NODES[1 - end];
                    wire.push((
                        1 - end,
                        Transmit {
                            to,
                            link: 0,
                            datagram,
                        },
                    ));
                }
            }
            change => {
                let at = steps.number();
                let Some(index) = at.checked_rem(wire.len()) else {
                    continue;
                };
                let (to, mut packet) = wire[index].clone();
                if change == 5 && !packet.datagram.is_empty() {
                    let bit = steps.number() % (8 * packet.datagram.len());
                    packet.datagram[bit / 8] ^= 1 << (bit % 8);
                }
                let received = ends[to].handle(now_us, packet.link, &packet.datagram, &mut entropy);
                let genuine = matches!(&received, Received::Rejected(_) | Received::Handled);
                assert!(
                    genuine || change != 5,
                    "a changed packet is taken: {received:?}"
                );
                if let Received::Established { peer, .. } = received {
                    let other = 1 - to;
                    assert_eq!(peer.node, NODES[other]);
                    assert!((1..=processes[other]).contains(&peer.incarnation));
                }
            }
        }
        for (from, sender) in ends.iter_mut().enumerate() {
            while let Some(sent) = sender.poll_transmit() {
                wire.push((1 - from, sent));
            }
        }
        let old = wire.len().saturating_sub(WIRE_MAX);
        wire.drain(..old);
    }
}

/// Bytes on a new connection.
pub(crate) fn stream_handshake(bytes: &[u8]) {
    let mut entropy = Counting(3);
    let mut steps = Reader::new(bytes);
    let mut accepting = StreamHandshake::accept(identity(1, 1), &ring(), &NODES);
    let mut calling = StreamHandshake::connect(identity(2, 1), &ring(), NodeId(1), &mut entropy);
    let mut hello = calling.poll_transmit().unwrap_or_default();
    // An input may begin with changes to a genuine HELLO1.
    let genuine = steps.byte().is_some_and(|b| b & 1 == 1);
    if genuine {
        let (at, with) = (steps.number() % hello.len(), steps.byte().unwrap_or(0));
        hello[at] ^= with;
        let answered = accepting.push(&hello, &mut entropy);
        assert!(with == 0 || answered.is_err(), "a changed HELLO1 is taken");
    }
    while let Some(first) = steps.byte() {
        let part = [&[first], steps.bytes()].concat();
        let session = accepting.push(&part, &mut entropy);
        assert!(!matches!(session, Ok(Some(_))), "a session without the key");
    }
}

/// Bytes on an open stream: genuine records changed, cut anywhere and mixed with others. What comes
/// out is what was sent, in order, or nothing.
pub(crate) fn stream(bytes: &[u8]) {
    let mut entropy = Counting(4);
    let mut accepting = StreamHandshake::accept(identity(1, 1), &ring(), &NODES);
    let mut calling = StreamHandshake::connect(identity(2, 1), &ring(), NodeId(1), &mut entropy);
    let (mut near, mut far) = (None, None);
    for _ in 0..4 {
        while let Some(bytes) = calling.poll_transmit() {
            near = accepting
                .push(&bytes, &mut entropy)
                .expect("genuine")
                .or(near);
        }
        while let Some(bytes) = accepting.poll_transmit() {
            far = calling.push(&bytes, &mut entropy).expect("genuine").or(far);
        }
    }
    let mut opener = near.expect("a session").opener;
    let mut sealer = far.expect("a session").sealer;
    let mut steps = Reader::new(bytes);
    let (mut sent, mut came) = (Vec::new(), 0);
    while let Some(step) = steps.byte() {
        let part = steps.bytes();
        let pushed = if step & 3 == 0 {
            part.to_vec()
        } else {
            let mut record = sealer.seal_message(part).expect("short");
            sent.push(part.to_vec());
            if step & 3 == 1 {
                let bit = steps.number() % (8 * record.len());
                record[bit / 8] ^= 1 << (bit % 8);
            }
            record
        };
        let cut = usize::from(step >> 2).min(pushed.len());
        for piece in [&pushed[..cut], &pushed[cut..]] {
            let _ = opener.push(piece);
            while let Ok(Some(message)) = opener.next_message() {
                assert_eq!(Some(&message), sent.get(came), "something else came out");
                came += 1;
            }
        }
    }
}

/// Steps of one input.
const STEPS_MAX: usize = 200;
/// Packets that the wire remembers.
const WIRE_MAX: usize = 64;
