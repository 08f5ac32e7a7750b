//! How packets travel between simulated machines: sessions, handshakes, sealing, delivery.

use membership::message::Message;
use membership::*;

use super::{Happening, MS, World};
use crate::node::Process;
use crate::relay;

impl World {
    /// What arrives is what the bytes say: a message that did not survive them shows.
    pub(super) fn transmit(
        &mut self,
        from: u32,
        to: u32,
        via: Via,
        payload: &[u8],
        deferred: bool,
    ) {
        if self.digest.is_some() {
            self.note(from, (to, format!("{via:?}"), payload));
        }
        match Message::decode(payload) {
            Ok(message) => {
                self.carry(from, to, via, (Box::new(message), payload.len()), deferred);
            }
            Err(e) => {
                let text = format!("node {from} sent what cannot be read: {e}");
                self.oracle.fail("format", text);
            }
        }
    }

    /// Of the heartbeats one in so many goes through its bytes, and all where somebody looks at these:
    /// a path that loses the long ones, a node that passes them on, a digest.
    pub(super) fn beat(
        &mut self,
        from: u32,
        to: u32,
        via: Via,
        message: Box<Message>,
        deferred: bool,
    ) {
        let plain = matches!(via, Via::Link(_)) && !self.net.is_narrow(self.now, from, to);
        let sample = self.stats.packets.is_multiple_of(ENCODED_EVERY);
        if plain && !sample && self.digest.is_none() {
            return self.carry(from, to, via, (message, 0), deferred);
        }
        let payload = message.encode();
        if Message::decode(&payload).as_ref() != Ok(&message) {
            let text = format!("node {from}: other bytes than {message:?}");
            self.oracle.fail("format", text);
        }
        self.transmit(from, to, via, &payload, deferred);
    }

    /// A message, and how many bytes it has.
    fn carry(
        &mut self,
        from: u32,
        to: u32,
        via: Via,
        (message, bytes): (Box<Message>, usize),
        deferred: bool,
    ) {
        self.stats.packets += 1;
        self.oracle.now = self.now;
        let [node, peer] = [from, to].map(|id| &self.nodes[id as usize - 1]);
        self.oracle.sent(node, peer, &message, deferred);
        let (me, process) = (self.node(from).me, self.node(from).process);
        let (to, via, bytes, message) = match via {
            Via::Relay { .. } => {
                // Sealed for the process that the core knows, or not at all.
                let Some(end) = self.connected(process, from, to) else {
                    return;
                };
                let end = self.identity(end);
                let (to, via, payload) = relay::wrapped(me, end, via, message.encode());
                let message = Message::decode(&payload).expect("what was wrapped can be read");
                (to, via, payload.len(), Box::new(message))
            }
            via => (to, via, bytes, message),
        };
        let Some(peer) = self.connected(process, from, to) else {
            return;
        };
        if self.net.swallowed(from, to, &message) {
            return;
        }
        let now = self.now;
        let (link, [first, again]) = match via {
            Via::Link(link) => {
                if bytes > RELAY_DATAGRAM_BYTES_MAX {
                    let text = format!("node {from}: datagram of {bytes} bytes");
                    self.oracle.fail("bounds", text);
                }
                let rng = &mut self.rng;
                (link, self.net.datagram(rng, now, (from, to), link, bytes))
            }
            Via::Stream | Via::Relay { .. } => {
                (0, [self.net.stream(&mut self.rng, now, from, to), None])
            }
        };
        let packet = |message| Happening::Packet {
            from: process,
            to: peer,
            link,
            message,
        };
        if let Some(at) = again {
            self.later(at - now, packet(message.clone()));
        }
        if let Some(at) = first {
            self.later(at - now, packet(message));
        }
    }

    /// The process at the other end of the sender's session, if the sender's core was told of it.
    fn connected(&self, me: Process, from: u32, to: u32) -> Option<Process> {
        let told = self.told[self.pair(from, to)];
        self.session(me, from, to)
            .filter(|peer| told == Some(*peer))
    }

    /// What another node passed on: only the two ends can read or forge it.
    pub(super) fn unseal(&mut self, id: u32, sealed: &[u8]) {
        let (from, process, payload) = relay::unseal(sealed);
        let node = self.node(id);
        let (to, boot) = (node.process, node.me.process_boot);
        let told = self.told[self.pair(id, from.node.0)];
        let told = told.filter(|told| self.identity(*told) == from);
        if let Some(from) = told.filter(|_| boot == process) {
            self.stats.relayed += 1;
            let message = Message::decode(&payload).map(Box::new);
            self.deliver(from, to, RELAY_LINK, message.map_err(|_| payload));
        }
    }

    /// The peer's process at the other end of the sender's session, if one stands for it.
    fn session(&self, me: Process, from: u32, to: u32) -> Option<Process> {
        let (a, b) = self.sessions[self.pair(from.min(to), from.max(to))]?;
        let (mine, theirs) = if from < to { (a, b) } else { (b, a) };
        (mine == me).then_some(theirs)
    }

    /// A handshake between two running processes: needs both directions.
    pub(super) fn shake(&mut self, a: u32, b: u32) {
        let (a, b) = (a.min(b), a.max(b));
        let (x, y) = (self.node(a), self.node(b));
        let pair = self.pair(a, b);
        if !x.up() || !y.up() || self.sessions[pair] == Some((x.process, y.process)) {
            return;
        }
        let now = self.now;
        let able = x.may_speak() && y.may_speak() && x.paused_until <= now && y.paused_until <= now;
        let both = |x: u32, y: u32| self.net.open(now, x, y) && self.net.open(now, y, x);
        let passes_on =
            |c: u32| c != a && c != b && self.node(c).may_speak() && both(a, c) && both(c, b);
        // Through a third node it takes several rounds.
        let by_relay = (1..=self.size()).any(passes_on) && self.rng.clone().permille(100);
        let open = both(a, b) || by_relay;
        let lost = self.net.loss_permille > 0 && self.rng.permille(2 * self.net.loss_permille);
        if !able || !open || lost {
            let in_us = self.rng.range(5 * MS, 40 * MS);
            self.later(in_us, Happening::Shake { a, b });
            return;
        }
        let (pa, pb) = (self.node(a).process, self.node(b).process);
        self.sessions[pair] = Some((pa, pb));
        for (node, other, at, peer) in [(a, b, pa, pb), (b, a, pb, pa)] {
            let in_us = self.rng.range(50, MS);
            let head = self.node(other).disk.head();
            let up = Happening::Up {
                node,
                at,
                peer,
                head,
            };
            self.later(in_us, up);
        }
    }

    /// A message arrives, or bytes that are none.
    pub(super) fn deliver(
        &mut self,
        from: Process,
        to: Process,
        link: LinkId,
        what: Result<Box<Message>, Vec<u8>>,
    ) {
        let (sender, id) = (self.identity(from), self.identity(to).node.0);
        let stands = self.session(from, sender.node.0, id) == Some(to);
        if !stands || !self.node(id).up() || self.node(id).process != to {
            return;
        }
        let from = sender;
        if !self.is_witness(from.node.0) {
            self.oracle.heard(id, from.node.0);
        }
        let message = match what {
            Ok(message) => message,
            Err(payload) => {
                let packet = Input::Packet {
                    from,
                    link,
                    payload,
                };
                return self.input(id, packet);
            }
        };
        if matches!(*message, Message::RecoverState { .. }) {
            let core = self.node(id).core.as_ref();
            if core.is_some_and(Core::is_recovering) {
                self.oracle.answered(id, from.node);
            }
        }
        if self.trace && !matches!(*message, Message::Beat(_)) {
            let from = from.node;
            self.say(id, || format!("<- {from} {message:.160?}"));
        }
        self.input(
            id,
            Input::Message {
                from,
                link,
                message,
            },
        );
    }
}

/// One in so many heartbeats is encoded, decoded and compared.
const ENCODED_EVERY: u64 = 64;
