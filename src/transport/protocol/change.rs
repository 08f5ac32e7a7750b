//! What changes while the thread runs: whom it speaks with, and under which keys.

use super::{Loop, Message};
use crate::transport::{Peers, boottime_us};
use membership::{Input, PeerConfig};
use wire::{KeyRing, NodeId};

/// Another node list for the thread.
#[derive(Clone, Debug)]
pub struct NewPeers {
    /// Addresses, names and votes.
    pub peers: Peers,
    /// The same for the core.
    pub configs: Vec<PeerConfig>,
    /// Digest of the list.
    pub nodelist_digest: [u8; 32],
}

impl From<NewPeers> for Message {
    fn from(new: NewPeers) -> Self {
        Self::Peers(Box::new(new))
    }
}

impl Loop {
    /// Peers that stay keep their sessions, new ones are called, those gone are not heard any more.
    pub(super) fn change_peers(&mut self, new: NewPeers) {
        let before = self.peers.partners();
        self.peers = new.peers;
        let others = self.peers.partners();
        self.sockets.set_peers(&self.peers.links);
        self.endpoint.set_peers(&others);
        self.input(Input::Peers {
            peers: new.configs,
            nodelist_digest: new.nodelist_digest,
        });
        for peer in others.into_iter().filter(|n| !before.contains(n)) {
            self.call(peer);
        }
    }

    /// Another key ring; where the key in use is another one, every session is renewed under it. The
    /// sessions before stay until then, and end with their key.
    pub(super) fn change_ring(&mut self, ring: KeyRing) {
        if self.endpoint.set_ring(ring) {
            for peer in self.peers.partners() {
                self.call(peer);
            }
        }
    }

    fn call(&mut self, peer: NodeId) {
        // Every peer is in the endpoint's list: both come from the same node list.
        let _ = self
            .endpoint
            .connect(boottime_us(), peer, &mut self.entropy);
    }
}
