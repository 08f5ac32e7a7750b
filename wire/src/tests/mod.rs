//! Whole endpoints over a virtual network: loss, reordering, duplicates, captures, restarts.

mod attacks;
mod drawings;
mod handshakes;
mod recorded;
mod relays;
mod renewals;
mod streams;

use std::collections::BTreeMap;

use crate::*;

/// A small seeded generator (splitmix64): a failure is its seed.
#[derive(Clone)]
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

pub(crate) fn ring() -> KeyRing {
    KeyRing::derive(&[42; 256], "lab").unwrap()
}

/// Process number `incarnation` of a node; each has a boot of its own.
pub(crate) fn identity(node: u32, incarnation: u64) -> Identity {
    let mut boot = [node as u8; 16];
    boot[..8].copy_from_slice(&incarnation.to_be_bytes());
    Identity {
        node: NodeId(node),
        machine_boot: MachineBoot([node as u8; 16]),
        process_boot: ProcessBoot(boot),
        incarnation,
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) link: u8,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Net {
    pub(crate) now_us: u64,
    pub(crate) rng: Seeded,
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
    /// Shortest and longest way of a packet.
    pub(crate) delay_us: (u64, u64),
    pub(crate) dead_links: Vec<u8>,
    pub(crate) nodes: BTreeMap<u32, Endpoint>,
    pub(crate) captured: Vec<Packet>,
    pub(crate) seen: Vec<(u64, u32, Received)>,
    under_way: Vec<(u64, Packet)>,
    links: u8,
}

impl Net {
    pub(crate) fn new(seed: u64, nodes: u32, links: u8) -> Self {
        let mut net = Self {
            now_us: 1_000_000,
            rng: Seeded(seed),
            loss_percent: 0,
            duplicate_percent: 0,
            delay_us: (10_000, 10_000),
            dead_links: Vec::new(),
            nodes: BTreeMap::new(),
            captured: Vec::new(),
            seen: Vec::new(),
            under_way: Vec::new(),
            links,
        };
        for node in 1..=nodes {
            net.boot(identity(node, 1), ring(), nodes);
        }
        net
    }

    /// Starts a process of a node; the one before is gone. It does not connect by itself.
    pub(crate) fn boot(&mut self, me: Identity, ring: KeyRing, nodes: u32) {
        let peers: Vec<_> = (1..=nodes).map(NodeId).collect();
        let endpoint = Endpoint::new(me, ring, &peers, self.links, &mut self.rng);
        self.nodes.insert(me.node.0, endpoint);
    }

    pub(crate) fn restart(&mut self, node: u32, incarnation: u64) {
        let nodes = self.nodes.len() as u32;
        self.boot(identity(node, incarnation), ring(), nodes);
        self.connect_all(node);
    }

    pub(crate) fn connect(&mut self, node: u32, peer: u32) {
        let endpoint = self.nodes.get_mut(&node).unwrap();
        endpoint
            .connect(self.now_us, NodeId(peer), &mut self.rng)
            .unwrap();
        self.fetch(node);
    }

    pub(crate) fn connect_all(&mut self, node: u32) {
        let peers: Vec<_> = self
            .nodes
            .keys()
            .copied()
            .filter(|peer| *peer != node)
            .collect();
        for peer in peers {
            self.connect(node, peer);
        }
    }

    /// Seals and sends, if there is a session.
    pub(crate) fn send(&mut self, from: u32, to: u32, payload: &[u8]) -> Result<(), SealError> {
        let endpoint = self.nodes.get_mut(&from).unwrap();
        let bytes = endpoint.seal(NodeId(to), 0, payload, &mut self.rng)?;
        self.post(Packet {
            from,
            to,
            link: 0,
            bytes,
        });
        Ok(())
    }

    pub(crate) fn deliver(&mut self, packet: &Packet) -> Received {
        let endpoint = self.nodes.get_mut(&packet.to).unwrap();
        let received = endpoint.handle(self.now_us, packet.link, &packet.bytes, &mut self.rng);
        self.seen.push((self.now_us, packet.to, received.clone()));
        self.fetch(packet.to);
        received
    }

    fn fetch(&mut self, from: u32) {
        while let Some(Transmit { to, link, datagram }) =
            self.nodes.get_mut(&from).unwrap().poll_transmit()
        {
            self.post(Packet {
                from,
                to: to.0,
                link,
                bytes: datagram,
            });
        }
    }

    fn post(&mut self, packet: Packet) {
        self.captured.push(packet.clone());
        if self.dead_links.contains(&packet.link) {
            return;
        }
        let copies = 1 + u64::from(self.rng.below(100) < self.duplicate_percent);
        for _ in 0..copies {
            let (shortest, longest) = self.delay_us;
            let delay = shortest + self.rng.below(longest - shortest + 1);
            if self.rng.below(100) >= self.loss_percent {
                self.under_way.push((self.now_us + delay, packet.clone()));
            }
        }
    }

    /// Lets time pass until `until_us`.
    pub(crate) fn run_until(&mut self, until_us: u64) {
        loop {
            let arrival = self.under_way.iter().map(|(at, _)| *at).min();
            let timeout = self.nodes.values().filter_map(Endpoint::next_timeout).min();
            let next = arrival.into_iter().chain(timeout).min().unwrap_or(u64::MAX);
            if next > until_us {
                self.now_us = until_us;
                return;
            }
            self.now_us = self.now_us.max(next);
            let now_us = self.now_us;
            if let Some(at) = self.under_way.iter().position(|(at, _)| *at <= now_us) {
                let (_, packet) = self.under_way.remove(at);
                self.deliver(&packet);
                continue;
            }
            for node in self.nodes.keys().copied().collect::<Vec<_>>() {
                let endpoint = self.nodes.get_mut(&node).unwrap();
                endpoint.handle_timeout(now_us, &mut self.rng);
                self.fetch(node);
            }
        }
    }

    pub(crate) fn run_for(&mut self, us: u64) {
        self.run_until(self.now_us + us);
    }

    pub(crate) fn clear_seen(&mut self) {
        self.seen.clear();
        self.captured.clear();
    }

    /// When `node` reported `peer` as established.
    pub(crate) fn established(&self, node: u32, peer: Identity) -> Vec<u64> {
        let is = |received: &Received| matches!(received, Received::Established { peer: got, .. } if *got == peer);
        let of_node = self
            .seen
            .iter()
            .filter(|(_, at, received)| *at == node && is(received));
        of_node.map(|(us, ..)| *us).collect()
    }

    pub(crate) fn payloads(&self, node: u32) -> Vec<(Identity, Vec<u8>)> {
        let of = |received: &Received| match received {
            Received::Payload { from, bytes, .. } => Some((*from, bytes.clone())),
            Received::Established { peer, payload, .. } => {
                payload.clone().map(|bytes| (*peer, bytes))
            }
            _ => None,
        };
        self.seen
            .iter()
            .filter(|(_, at, _)| *at == node)
            .filter_map(|(.., r)| of(r))
            .collect()
    }

    pub(crate) fn diagnosis(&self, node: u32, peer: u32) -> Diagnosis {
        self.nodes[&node].peer_diagnosis(NodeId(peer)).unwrap()
    }

    pub(crate) fn pairs(&self) -> Vec<(u32, u32)> {
        let all = || self.nodes.keys().copied();
        all()
            .flat_map(|a| all().map(move |b| (a, b)))
            .filter(|(a, b)| a != b)
            .collect()
    }

    /// A payload in each direction of each pair, over a network that loses nothing.
    pub(crate) fn assert_all_talk(&mut self, seed: u64) {
        self.loss_percent = 0;
        self.clear_seen();
        let pairs = self.pairs();
        for (a, b) in &pairs {
            let sent = self.send(*a, *b, &[*a as u8, *b as u8]);
            assert_eq!(sent, Ok(()), "seed {seed}: {a} to {b}");
        }
        self.run_for(100_000);
        for (a, b) in pairs {
            let me = self.nodes[&a].me();
            let wanted = (me, vec![a as u8, b as u8]);
            let got = self
                .payloads(b)
                .into_iter()
                .filter(|got| *got == wanted)
                .count();
            assert_eq!(got, 1, "seed {seed}: {a} to {b}");
        }
    }
}
