//! What stands between this node and a peer, told once: silence alone names no cure.

use super::Loop;
use crate::transport::boottime_us;
use membership::{Effect, Event, PeerState};
use std::collections::BTreeMap;
use std::mem::{Discriminant, discriminant};
use wire::{Identity, NodeId, ProcessBoot, Trouble};

/// What was found at the looks so far.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    looked_us: u64,
    peers: BTreeMap<NodeId, Told>,
    /// The newest process of a node that was refused as one of two.
    clones: BTreeMap<NodeId, ProcessBoot>,
}

#[derive(Debug, Default)]
struct Told {
    last: Option<Discriminant<Trouble>>,
    /// Since the peer was heard last. Some evidence can be forged: a kind is told once.
    kinds: Vec<Discriminant<Trouble>>,
}

impl Troubles {
    /// Whether a peer's trouble is to be told: it was there at the last look, too, and has not been
    /// told since the peer was heard.
    fn is_news(&mut self, peer: NodeId, trouble: Option<&Trouble>) -> bool {
        let Some(trouble) = trouble else {
            self.peers.remove(&peer);
            return false;
        };
        let kind = discriminant(trouble);
        let told = self.peers.entry(peer).or_default();
        let stays = told.last.replace(kind) == Some(kind);
        let news = stays && !told.kinds.contains(&kind);
        if news {
            told.kinds.push(kind);
        }
        news
    }
}

impl Loop {
    /// A process that holds the authkey says that it is a node of which a newer one is known, and
    /// that one may be heard all the while.
    pub(super) fn tell_clone(&mut self, known: Identity, offered: Identity) {
        let told = &mut self.troubles.clones;
        if told.insert(offered.node, offered.process_boot) == Some(offered.process_boot) {
            return;
        }
        self.tell(offered.node, &Trouble::Stale { known, offered });
    }

    fn tell(&mut self, node: NodeId, trouble: &Trouble) {
        self.effect(Effect::Event(Event::Notice {
            code: PEER_TROUBLE.to_owned(),
            node: None,
            text: trouble.describe(node),
        }));
    }

    /// Tells of peers that answer and are not let in, or do not let us in.
    pub(super) fn look_at_troubles(&mut self) {
        let now = boottime_us();
        if now.saturating_sub(self.troubles.looked_us) < LOOK_EVERY_US {
            return;
        }
        self.troubles.looked_us = now;
        let evidence = |n: NodeId| {
            let trouble = self.endpoint.peer_diagnosis(n)?.evidence?;
            // Told when it comes.
            (!matches!(trouble, Trouble::Stale { .. })).then_some(trouble)
        };
        let others = self.peers.partners().into_iter();
        let mut found: Vec<_> = others.map(|n| (n, evidence(n))).collect();
        if found.iter().any(|(_, trouble)| trouble.is_some()) {
            // Whoever is heard has no trouble, whatever a stranger sends in its name.
            let known = self.core.status().peers;
            for (node, trouble) in &mut found {
                let up = |p: &membership::PeerStatus| p.node == *node && p.state == PeerState::Up;
                *trouble = trouble.filter(|_| !known.iter().any(up));
            }
        }
        for (node, trouble) in found {
            let news = self.troubles.is_news(node, trouble.as_ref());
            if let Some(trouble) = trouble.filter(|_| news) {
                self.tell(node, &trouble);
            }
        }
    }
}

/// Code of these notices; they begin with the peer's name.
pub(crate) const PEER_TROUBLE: &str = "peer-trouble";
/// Between two looks, in microseconds.
const LOOK_EVERY_US: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_once_until_the_peer_was_heard() {
        let mut troubles = Troubles::default();
        let peer = NodeId(2);
        let mut look = |trouble: Option<Trouble>| troubles.is_news(peer, trouble.as_ref());
        let (name, unopened) = (Some(Trouble::ClusterName), Some(Trouble::Unopened));
        assert!(!look(name), "it may pass");
        assert!(look(name));
        assert!(!look(name), "told");
        assert!(!look(unopened) && look(unopened), "another one");
        assert!(!look(name) && !look(name), "told before");
        assert!(!look(None), "heard");
        assert!(!look(name) && look(name), "and lost again");
    }
}
