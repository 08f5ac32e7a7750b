//! Packets that another node passes on: wrapped here, opened here (`membership`, relay).

use super::Loop;
use crate::transport::boottime_us;
use membership::{LinkId, RELAY_DATAGRAM_BYTES_MAX, RELAY_LINK, wrap};
use wire::{NodeId, Transmit};

impl Loop {
    /// Seals for `to`, wraps, and sends to the node that passes it on: on a link, or on the stream.
    pub(super) fn send_by(
        &mut self,
        to: NodeId,
        hop: NodeId,
        link: Option<LinkId>,
        payload: &[u8],
    ) {
        // Without a session the packet is lost, as on a wire.
        let sealed = self
            .endpoint
            .seal(to, RELAY_LINK, payload, &mut self.entropy);
        if let Ok(sealed) = sealed {
            self.hand_to(hop, link, to, sealed);
        }
    }

    fn hand_to(&mut self, hop: NodeId, link: Option<LinkId>, to: NodeId, sealed: Vec<u8>) {
        let wrapped = wrap(self.peers.me, to, sealed);
        match link.filter(|_| wrapped.len() <= RELAY_DATAGRAM_BYTES_MAX) {
            Some(link) => self.send_datagram(hop, link, &wrapped),
            None => self.streams.send(hop, self.core.best_link(hop), wrapped),
        }
    }

    /// A step of a handshake, on a link or through the nodes that can pass it on.
    pub(super) fn send_hello(&mut self, transmit: Transmit) {
        let Transmit { to, link, datagram } = transmit;
        if link != RELAY_LINK {
            self.sockets.send(to, link, &datagram);
            return;
        }
        for (hop, link) in self.core.relay_hops(to) {
            self.hand_to(hop, Some(link), to, datagram.clone());
        }
    }

    /// Somebody passed a packet on: whoever sealed it said what it holds.
    pub(super) fn unseal(&mut self, sealed: &[u8]) {
        let now = boottime_us();
        let received = self
            .endpoint
            .handle(now, RELAY_LINK, sealed, &mut self.entropy);
        self.received(received);
    }
}
