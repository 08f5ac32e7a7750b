//! The peers of a core, by node id. Every step goes through them several times: they lie in one piece.

use std::slice::{Iter, IterMut};

use wire::NodeId;

use crate::peer::Peer;

/// Ascending by node id, each once; a map as far as its callers see.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    all: Vec<Peer>,
    /// Where in `all` each node of a low id lies: peers are looked up several times in a step, and are
    /// too large to search among.
    places: Vec<u16>,
}

impl Peers {
    fn at(&self, node: NodeId) -> Option<usize> {
        match self.places.get(node.0 as usize) {
            Some(&NOWHERE) => None,
            Some(place) => Some(usize::from(*place)),
            None => self.search(node).ok(),
        }
    }

    fn search(&self, node: NodeId) -> Result<usize, usize> {
        self.all.binary_search_by_key(&node, |p| p.node)
    }

    /// After any change of who is in `all`.
    fn place_all(&mut self) {
        self.places.clear();
        for (place, peer) in self.all.iter().enumerate() {
            let node = peer.node.0 as usize;
            if let (true, Ok(place)) = (node < PLACES_MAX, u16::try_from(place)) {
                self.places.resize(node + 1, NOWHERE);
                self.places[node] = place;
            }
        }
    }

    pub(crate) fn get(&self, node: &NodeId) -> Option<&Peer> {
        self.at(*node).map(|at| &self.all[at])
    }

    pub(crate) fn get_mut(&mut self, node: &NodeId) -> Option<&mut Peer> {
        self.at(*node).map(|at| &mut self.all[at])
    }

    pub(crate) fn contains_key(&self, node: &NodeId) -> bool {
        self.at(*node).is_some()
    }

    /// The `at`-th peer, for loops that change the core as they go.
    pub(crate) fn nth(&self, at: usize) -> Option<&Peer> {
        self.all.get(at)
    }

    /// The same, to be changed.
    pub(crate) fn nth_mut(&mut self, at: usize) -> Option<&mut Peer> {
        self.all.get_mut(at)
    }

    /// Adds a peer, or puts it in the place of the one that has its node id.
    pub(crate) fn insert(&mut self, peer: Peer) {
        match self.search(peer.node) {
            Ok(at) => self.all[at] = peer,
            Err(at) => self.all.insert(at, peer),
        }
        self.place_all();
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&mut Peer) -> bool) {
        self.all.retain_mut(keep);
        self.place_all();
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &NodeId> {
        self.all.iter().map(|p| &p.node)
    }

    pub(crate) fn values(&self) -> Iter<'_, Peer> {
        self.all.iter()
    }

    pub(crate) fn values_mut(&mut self) -> IterMut<'_, Peer> {
        self.all.iter_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

/// Node ids below this one are found at once; they are seldom higher.
const PLACES_MAX: usize = 1_024;
/// No peer has this id.
const NOWHERE: u16 = u16::MAX;

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
    fn low_ids_and_high_ones_are_found_beside_each_other() {
        let last = PLACES_MAX as u32;
        let ids = [1, 7, last - 1, last, last + 5, u32::MAX];
        let mut peers: Peers = ids.into_iter().map(peer).collect();
        for gone in [0, 2, last + 1, u32::MAX - 1] {
            assert!(!peers.contains_key(&NodeId(gone)), "{gone}");
        }
        for id in ids {
            assert_eq!(peers.get(&NodeId(id)).map(|p| p.node.0), Some(id));
        }
        peers.retain(|p| p.node.0 != 7 && p.node.0 != last);
        assert!(!peers.contains_key(&NodeId(7)) && !peers.contains_key(&NodeId(last)));
        assert_eq!(
            peers.get(&NodeId(last - 1)).map(|p| p.node.0),
            Some(last - 1)
        );
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
            assert_eq!(peers.nth(0).map(|p| p.node.0), Some(2));
            assert!(peers.nth_mut(count as usize).is_none());
            peers.retain(|p| p.node.0 != 2);
            assert_eq!(nodes(&peers), want[1..]);
        }
    }
}
