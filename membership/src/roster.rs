//! Whom this node speaks with, changed while it runs: nodes that came, nodes that were removed.
//!
//! This is not who votes: voters are what the log says (R3), and change by joint steps alone. A node
//! that is new here is a peer without a vote until its configuration entry has committed; one that
//! was removed is forgotten only when nothing rests on it any more.

use wire::NodeId;

use crate::config::PeerConfig;
use crate::peer::Peer;
use crate::quorum::Predicates;
use crate::*;

impl Core {
    /// Takes another node list. Nodes that stay keep everything; new ones are unknown yet; removed
    /// ones are not heard from now on.
    pub(crate) fn on_peers(&mut self, peers: Vec<PeerConfig>, nodelist_digest: [u8; 32]) {
        let config = Config {
            peers,
            nodelist_digest,
            ..self.cfg.clone()
        };
        if let Err(error) = config.check() {
            let text = format!("the new node list was not taken: {error}");
            self.notice("node-list-refused", None, text);
            return;
        }
        for peer in &config.peers {
            match self.peers.get_mut(&peer.node) {
                Some(known) => known.retired = false,
                None => self.peers.insert(Peer::new(peer)),
            }
        }
        let stays = |node: &NodeId| config.peers.iter().any(|p| p.node == *node);
        for peer in self.peers.values_mut() {
            peer.retired |= !stays(&peer.node);
        }
        self.cfg = config;
    }

    /// Forgets removed nodes on which nothing rests any more: no promise given to them (R0), no vote
    /// (R3), no place in the newest view.
    pub(crate) fn forget_retired(&mut self) {
        if !self.peers.values().any(|p| p.retired) {
            return;
        }
        let voters = self.predicates().nodes();
        let (now, view) = (self.now, &self.tip.view);
        self.peers.retain(|peer| {
            let bound = now < peer.presence_until.max(peer.authority_until);
            let node = peer.node;
            let counts = voters.contains(&node) || view.member(node).is_some();
            !peer.retired || bound || counts
        });
    }

    /// Nobody but this node votes, and nobody else is configured: it has nobody to wait for.
    pub(crate) fn is_only_node(&self) -> bool {
        let others = |node: &NodeId| *node != self.me.node;
        self.peers.is_empty() && self.rules().all_nodes(|node| !others(node))
    }

    /// Every voter of the log is a peer, or this node: a node list that lacks one cannot tell
    /// whether all were seen (R5).
    pub(crate) fn knows_all(&self, rules: &Predicates) -> bool {
        let known = |node: &NodeId| *node == self.me.node || self.peers.contains_key(node);
        rules.all_nodes(known)
    }
}
