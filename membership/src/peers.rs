//! The peers of a core, by node id. Every step goes through them several times: they lie in one piece.

use std::slice::{Iter, IterMut};

use wire::NodeId;

use crate::peer::Peer;

/// Ascending by node id, each once; a map as far as its callers see.
#[derive(Debug, Default)]
pub(crate) struct Peers(Vec<Peer>);

impl Peers {
    fn at(&self, node: NodeId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&node, |p| p.node)
    }

    pub(crate) fn get(&self, node: &NodeId) -> Option<&Peer> {
        self.at(*node).ok().map(|at| &self.0[at])
    }

    pub(crate) fn get_mut(&mut self, node: &NodeId) -> Option<&mut Peer> {
        self.at(*node).ok().map(|at| &mut self.0[at])
    }

    pub(crate) fn contains_key(&self, node: &NodeId) -> bool {
        self.at(*node).is_ok()
    }

    /// The `at`-th node, for loops that change the core as they go.
    pub(crate) fn node(&self, at: usize) -> Option<NodeId> {
        self.0.get(at).map(|p| p.node)
    }

    /// Adds a peer, or puts it in the place of the one that has its node id.
    pub(crate) fn insert(&mut self, peer: Peer) {
        match self.at(peer.node) {
            Ok(at) => self.0[at] = peer,
            Err(at) => self.0.insert(at, peer),
        }
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&mut Peer) -> bool) {
        self.0.retain_mut(keep);
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &NodeId> {
        self.0.iter().map(|p| &p.node)
    }

    pub(crate) fn values(&self) -> Iter<'_, Peer> {
        self.0.iter()
    }

    pub(crate) fn values_mut(&mut self) -> IterMut<'_, Peer> {
        self.0.iter_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Peer> for Peers {
    fn from_iter<I: IntoIterator<Item = Peer>>(all: I) -> Self {
        let mut peers = Self::default();
        all.into_iter().for_each(|peer| peers.insert(peer));
        peers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeerConfig;

    fn peer(node: u32) -> Peer {
        Peer::new(&PeerConfig {
            node: NodeId(node),
            links: vec![0],
            priorities: Vec::new(),
        })
    }

    fn nodes(peers: &Peers) -> Vec<u32> {
        peers.keys().map(|n| n.0).collect()
    }

    #[test]
    fn few_or_many_are_found_in_order_and_once() {
        for count in [0, 1, 3, 8, 9, 40] {
            let all = (1..=count).rev().chain([count / 2 + 1]);
            let mut peers: Peers = all.map(|n| peer(2 * n)).collect();
            let count = count.max(1);
            let want: Vec<u32> = (1..=count).map(|n| 2 * n).collect();
            assert_eq!(nodes(&peers), want);
            for n in 1..=2 * count + 1 {
                let node = NodeId(n);
                assert_eq!(peers.contains_key(&node), n % 2 == 0, "{n} of {count}");
                assert_eq!(
                    peers.get(&node).map(|p| p.node.0),
                    (n % 2 == 0).then_some(n)
                );
                assert_eq!(peers.get(&node).is_some(), peers.get_mut(&node).is_some());
            }
            assert_eq!(peers.node(0), Some(NodeId(2)));
            assert_eq!(peers.node(count as usize), None);
            peers.retain(|p| p.node.0 != 2);
            assert_eq!(nodes(&peers), want[1..]);
        }
    }
}
