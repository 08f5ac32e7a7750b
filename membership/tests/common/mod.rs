//! A whole cluster in one thread: virtual time, seeded delays and losses, disks that finish later,
//! cuts by direction. Reusable by other test files; oracles look at `Cluster::nodes`.
#![allow(dead_code, missing_docs, unreachable_pub)]

#[path = "../sim/disk.rs"]
mod disk;
mod sealed;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use membership::*;
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

pub use disk::Disk;
use sealed::{seal, unseal};

pub const MS: u64 = 1_000;

/// The application of a node: what was committed, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct App {
    pub applied: Vec<(u64, Vec<u8>)>,
    pub through: u64,
}

impl App {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.through.to_be_bytes().to_vec();
        for (seq, payload) in &self.applied {
            bytes.extend(seq.to_be_bytes());
            bytes.extend((payload.len() as u32).to_be_bytes());
            bytes.extend(payload);
        }
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        let Some((through, mut rest)) = bytes.split_at_checked(8) else {
            return Self::default();
        };
        let through = u64::from_be_bytes(through.try_into().unwrap());
        let mut applied = Vec::new();
        while rest.len() >= 12 {
            let seq = u64::from_be_bytes(rest[..8].try_into().unwrap());
            let len = u32::from_be_bytes(rest[8..12].try_into().unwrap()) as usize;
            applied.push((seq, rest[12..12 + len].to_vec()));
            rest = &rest[12 + len..];
        }
        Self { applied, through }
    }
}

pub struct Node {
    pub id: u32,
    pub core: Option<Core>,
    pub config: Option<Config>,
    pub disk: Disk,
    pub app: App,
    pub machine_boot: u8,
    pub events: Vec<(u64, Event)>,
    writes: VecDeque<(u64, Vec<DurableOp>, Vec<Effect>)>,
    /// Answer [`Event::WantSnapshot`].
    pub snapshots: bool,
    /// The disk finishes nothing.
    pub disk_hangs: bool,
    generation: u64,
}

#[derive(Clone, Debug)]
enum Happening {
    Packet {
        from: Identity,
        to: u32,
        link: LinkId,
        payload: Vec<u8>,
    },
    Disk {
        node: u32,
        generation: u64,
    },
    Restart {
        node: u32,
        generation: u64,
    },
    Shake {
        a: u32,
        b: u32,
    },
}

pub struct Cluster {
    pub now: u64,
    pub nodes: BTreeMap<u32, Node>,
    pub voters: VoterSet,
    pub t_fail_us: u64,
    pub fencing: bool,
    pub links: Vec<LinkId>,
    pub delay_us: (u64, u64),
    pub disk_us: u64,
    pub loss_percent: u64,
    /// Directions cut: (from, to).
    pub cut: BTreeSet<(u32, u32)>,
    /// The same of one link.
    pub cut_links: BTreeSet<(u32, u32, LinkId)>,
    /// Packets that came by relay.
    pub relayed: u64,
    /// Nobody passes anything on.
    pub no_relay: bool,
    sessions: BTreeMap<(u32, u32), (Identity, Identity)>,
    queue: BTreeMap<(u64, u64), Happening>,
    order: u64,
    rng: u64,
    pub sent_packets: u64,
    /// Called after every step.
    pub watch: Option<fn(&Self)>,
}

impl Cluster {
    pub fn new(n: u32, seed: u64) -> Self {
        let votes = (1..=n).map(|id| (NodeId(id), 1)).collect();
        let mut nodes = BTreeMap::new();
        for id in 1..=n {
            nodes.insert(id, Node::new(id));
        }
        Self {
            now: 1_000_000_000,
            nodes,
            voters: VoterSet {
                votes,
                ..VoterSet::default()
            },
            t_fail_us: 500 * MS,
            fencing: false,
            links: vec![0],
            delay_us: (100, 400),
            disk_us: 2 * MS,
            loss_percent: 0,
            cut: BTreeSet::new(),
            cut_links: BTreeSet::new(),
            relayed: 0,
            no_relay: false,
            sessions: BTreeMap::new(),
            queue: BTreeMap::new(),
            order: 0,
            rng: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            sent_packets: 0,
            watch: None,
        }
    }

    /// A running cluster of `n` with a DC acting.
    pub fn running(n: u32, seed: u64) -> Self {
        let mut cluster = Self::new(n, seed);
        cluster.start_all();
        cluster.settle();
        cluster
    }

    pub fn random(&mut self) -> u64 {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        self.rng
    }

    pub fn start_all(&mut self) {
        let ids: Vec<u32> = self.nodes.keys().copied().collect();
        for id in ids {
            self.start(id);
        }
    }

    pub fn config(&mut self, id: u32) -> Config {
        let random = self.random();
        let node = &self.nodes[&id];
        let incarnation = node.disk.safety.as_ref().map_or(0, |s| s.incarnation) + 1;
        let mut process_boot = [id as u8; 16];
        process_boot[..8].copy_from_slice(&random.to_be_bytes());
        let me = Identity {
            node: NodeId(id),
            machine_boot: MachineBoot([node.machine_boot; 16]),
            process_boot: ProcessBoot(process_boot),
            incarnation,
        };
        let peers = self.nodes.keys().filter(|n| **n != id);
        let links = self.links.clone();
        Config {
            me,
            peers: peers
                .map(|n| PeerConfig {
                    node: NodeId(*n),
                    links: links.clone(),
                    priorities: Vec::new(),
                })
                .collect(),
            nodelist_digest: [7; 32],
            voters: self.voters.clone(),
            timing: Timing::derive(self.t_fail_us).unwrap(),
            fencing: self.fencing,
            seed: random,
            new_cluster_uuid: [id as u8; 16],
            hold_us: None,
            trust_store: false,
        }
    }

    /// Starts a process of the node over its disk.
    pub fn start(&mut self, id: u32) {
        let config = self.config(id);
        self.start_with(id, config);
    }

    pub fn start_with(&mut self, id: u32, config: Config) {
        let now = Time(self.now);
        let node = self.nodes.get_mut(&id).unwrap();
        assert!(node.core.is_none(), "node {id} already runs");
        let core = Core::start(config.clone(), node.disk.recovered(), now).unwrap();
        node.core = Some(core);
        node.config = Some(config);
        node.generation += 1;
        node.app = App::default();
        self.drain(id);
        let others: Vec<u32> = self.nodes.keys().copied().filter(|n| *n != id).collect();
        for other in others {
            self.later(2 * MS, Happening::Shake { a: id, b: other });
        }
    }

    /// kill -9: unfinished writes are lost.
    pub fn kill(&mut self, id: u32) {
        let node = self.nodes.get_mut(&id).unwrap();
        node.core = None;
        node.generation += 1;
        node.writes.clear();
    }

    pub fn power_cycle(&mut self, id: u32) {
        self.nodes.get_mut(&id).unwrap().machine_boot += 100;
    }

    pub fn cut_both(&mut self, a: u32, b: u32) {
        self.cut.extend([(a, b), (b, a)]);
    }

    pub fn isolate(&mut self, id: u32) {
        let others: Vec<u32> = self.nodes.keys().copied().filter(|n| *n != id).collect();
        for other in others {
            self.cut_both(id, other);
        }
    }

    pub fn heal(&mut self) {
        self.cut.clear();
        self.cut_links.clear();
    }

    pub fn input(&mut self, id: u32, input: Input) {
        let now = Time(self.now);
        if let Some(core) = self.nodes.get_mut(&id).and_then(|n| n.core.as_mut()) {
            core.handle(now, input);
            self.drain(id);
        }
    }

    pub fn propose(&mut self, id: u32, op: u8, payload: &[u8]) {
        let body = EntryBody::App {
            op: OpId([op; 16]),
            origin: NodeId(id),
            payload: payload.to_vec(),
        };
        self.input(
            id,
            Input::Propose {
                op: OpId([op; 16]),
                body,
            },
        );
    }

    fn later(&mut self, in_us: u64, happening: Happening) {
        self.order += 1;
        self.queue.insert((self.now + in_us, self.order), happening);
    }

    fn drain(&mut self, id: u32) {
        loop {
            let node = self.nodes.get_mut(&id).unwrap();
            let Some(output) = node.core.as_mut().and_then(Core::poll) else {
                break;
            };
            match output {
                Output::Do(effect) => self.effect(id, effect),
                Output::Persist { write, ops, then } => {
                    node.writes.push_back((write, ops, then));
                    let generation = node.generation;
                    let jitter = self.random() % self.disk_us.max(1);
                    let in_us = self.disk_us / 2 + jitter;
                    self.later(
                        in_us,
                        Happening::Disk {
                            node: id,
                            generation,
                        },
                    );
                }
            }
        }
        if let Some(watch) = self.watch {
            watch(self);
        }
    }

    fn effect(&mut self, id: u32, effect: Effect) {
        match effect {
            Effect::Send { to, via, payload } => self.transmit(id, to.0, via, payload),
            Effect::Message { to, via, message } => {
                self.transmit(id, to.0, via, message.encode());
            }
            Effect::Unseal { by, sealed } => self.unseal(id, by.0, &sealed),
            Effect::Event(event) => self.event(id, event),
        }
    }

    fn event(&mut self, id: u32, event: Event) {
        let now = self.now;
        let node = self.nodes.get_mut(&id).unwrap();
        node.events.push((now, event.clone()));
        match event {
            Event::Committed(entry) => {
                assert_eq!(
                    entry.seq,
                    node.app.through + 1,
                    "node {id}: committed in order"
                );
                node.app.through = entry.seq;
                if let EntryBody::App { payload, .. } = entry.body {
                    node.app.applied.push((entry.seq, payload));
                }
            }
            Event::Restored { seq, state } => {
                node.app = App::from_bytes(&state);
                node.app.through = seq;
            }
            Event::RestartNeeded { .. } => {
                let generation = node.generation;
                self.later(
                    10 * MS,
                    Happening::Restart {
                        node: id,
                        generation,
                    },
                );
            }
            Event::WantSnapshot if node.snapshots => {
                let (seq, state) = (node.app.through, node.app.bytes());
                let core = node.core.as_mut().unwrap();
                core.handle(Time(now), Input::Snapshot { seq, state });
            }
            _ => {}
        }
    }

    /// What a third node passed on: nobody but the two ends can read or forge it.
    fn unseal(&mut self, id: u32, by: u32, sealed: &[u8]) {
        let (from, to, payload) = unseal(sealed);
        let here = self.nodes[&id].config.as_ref().map(|c| c.me.process_boot);
        self.relayed += 1;
        assert_ne!(by, from.node.0, "a packet of node {by} came round to it");
        if self.session(from.node.0, id) == Some(from) && here == Some(to) {
            let link = RELAY_LINK;
            let packet = Input::Packet {
                from,
                link,
                payload,
            };
            self.input(id, packet);
        }
    }

    fn transmit(&mut self, from: u32, to: u32, via: Via, payload: Vec<u8>) {
        self.sent_packets += 1;
        let (to, via, payload) = match via {
            Via::Relay { .. } if self.no_relay => return,
            Via::Relay { hop, link } => {
                let me = self.nodes[&from].config.as_ref().unwrap().me;
                let Some(end) = self.session(to, from) else {
                    return;
                };
                let sealed = seal(me, end.process_boot, &payload);
                let via = link.map_or(Via::Stream, Via::Link);
                (hop.0, via, wrap(NodeId(from), NodeId(to), sealed))
            }
            via => (to, via, payload),
        };
        if let Via::Link(_) = via {
            assert!(
                payload.len() <= RELAY_DATAGRAM_BYTES_MAX,
                "datagram of {} bytes",
                payload.len()
            );
        }
        let me = self.nodes[&from].config.as_ref().unwrap().me;
        let link = match via {
            Via::Link(link) => link,
            Via::Stream | Via::Relay { .. } => 0,
        };
        let cut = self.cut.contains(&(from, to)) || self.cut_links.contains(&(from, to, link));
        let lost = cut || self.random() % 100 < self.loss_percent;
        if lost || self.session(from, to) != Some(me) {
            return;
        }
        let span = self.delay_us.1 - self.delay_us.0 + 1;
        let in_us = self.delay_us.0 + self.random() % span;
        self.later(
            in_us,
            Happening::Packet {
                from: me,
                to,
                link,
                payload,
            },
        );
    }

    /// The sender's identity in the session between both, if one stands.
    fn session(&self, from: u32, to: u32) -> Option<Identity> {
        let (a, b) = self.sessions.get(&(from.min(to), from.max(to)))?;
        let receiver = if from < to { b } else { a };
        let alive = self.nodes[&to].core.is_some()
            && self.nodes[&to].config.as_ref().map(|c| c.me) == Some(*receiver);
        alive.then_some(if from < to { *a } else { *b })
    }

    fn shake(&mut self, a: u32, b: u32) {
        let (a, b) = (a.min(b), a.max(b));
        let me = |n: &Node| n.core.is_some().then(|| n.config.as_ref().unwrap().me);
        let (Some(ida), Some(idb)) = (me(&self.nodes[&a]), me(&self.nodes[&b])) else {
            return;
        };
        if self.sessions.get(&(a, b)) == Some(&(ida, idb)) {
            return;
        }
        let mute = |n: &Node| !n.core.as_ref().is_some_and(Core::may_speak);
        if mute(&self.nodes[&a]) || mute(&self.nodes[&b]) {
            self.later(2 * MS, Happening::Shake { a, b });
            return;
        }
        if self.cut.contains(&(a, b)) || self.cut.contains(&(b, a)) {
            self.later(20 * MS, Happening::Shake { a, b });
            return;
        }
        self.sessions.insert((a, b), (ida, idb));
        self.input(a, Input::SessionUp { peer: idb });
        self.input(b, Input::SessionUp { peer: ida });
    }

    fn disk(&mut self, id: u32, generation: u64) {
        let node = self.nodes.get_mut(&id).unwrap();
        if node.generation != generation {
            return;
        }
        if node.disk_hangs {
            self.later(
                10 * MS,
                Happening::Disk {
                    node: id,
                    generation,
                },
            );
            return;
        }
        let Some((write, ops, then)) = node.writes.pop_front() else {
            return;
        };
        for op in &ops {
            node.disk.apply(op);
        }
        for effect in then {
            self.effect(id, effect);
        }
        self.input(id, Input::Durable { write });
    }

    /// Runs everything up to a moment.
    pub fn run_until(&mut self, end: u64) {
        loop {
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let tick = self
                .nodes
                .values()
                .filter_map(|n| {
                    n.core
                        .as_ref()
                        .and_then(Core::next_timeout)
                        .map(|t| (t.0, n.id))
                })
                .min();
            let at = next
                .into_iter()
                .chain(tick.map(|(at, _)| at))
                .min()
                .unwrap_or(end);
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            if next.is_some_and(|n| n <= at) {
                let (_, happening) = self.queue.pop_first().unwrap();
                match happening {
                    Happening::Packet {
                        from,
                        to,
                        link,
                        payload,
                    } => {
                        if self.session(from.node.0, to) == Some(from) {
                            self.input(
                                to,
                                Input::Packet {
                                    from,
                                    link,
                                    payload,
                                },
                            );
                        }
                    }
                    Happening::Disk { node, generation } => self.disk(node, generation),
                    Happening::Shake { a, b } => self.shake(a, b),
                    Happening::Restart { node, generation }
                        if self.nodes[&node].generation == generation =>
                    {
                        self.kill(node);
                        self.start(node);
                    }
                    Happening::Restart { .. } => {}
                }
            } else if let Some((_, id)) = tick {
                self.input(id, Input::Tick);
            } else {
                break;
            }
        }
        self.now = end;
    }

    pub fn run(&mut self, us: u64) {
        self.run_until(self.now + us);
    }

    /// Runs until the condition holds; how long it took in microseconds.
    pub fn until(&mut self, what: &str, limit_us: u64, ok: impl Fn(&Self) -> bool) -> u64 {
        let start = self.now;
        while !ok(self) {
            assert!(
                self.now - start < limit_us,
                "not within {} ms: {what}\n{}",
                limit_us / MS,
                self.picture()
            );
            self.run(MS);
        }
        self.now - start
    }

    /// Until one DC acts, every running node is in its view, and all logs are level.
    pub fn settle(&mut self) -> u64 {
        self.until("settled", 30_000 * MS, Self::settled)
    }

    pub fn settled(&self) -> bool {
        let alive: Vec<u32> = self.alive();
        let Some(dc) = self.dc() else { return false };
        let status = self.status(dc);
        let members: Vec<u32> = status
            .view
            .members
            .iter()
            .map(|m| m.identity.node.0)
            .collect();
        members == alive
            && alive.iter().all(|id| {
                let s = self.status(*id);
                s.view == status.view
                    && s.head == status.head
                    && s.applied == s.head.seq
                    && s.quorate
            })
    }

    pub fn alive(&self) -> Vec<u32> {
        self.nodes
            .values()
            .filter(|n| n.core.is_some())
            .map(|n| n.id)
            .collect()
    }

    pub fn status(&self, id: u32) -> CoreStatus {
        self.nodes[&id].core.as_ref().expect("runs").status()
    }

    /// All acting DCs.
    pub fn dcs(&self) -> Vec<u32> {
        let acting = |n: &&Node| n.core.as_ref().is_some_and(|c| c.status().acting);
        self.nodes.values().filter(acting).map(|n| n.id).collect()
    }

    pub fn dc(&self) -> Option<u32> {
        match self.dcs()[..] {
            [dc] => Some(dc),
            _ => None,
        }
    }

    pub fn members(&self, id: u32) -> Vec<u32> {
        self.status(id)
            .view
            .members
            .iter()
            .map(|m| m.identity.node.0)
            .collect()
    }

    pub fn outcome(&self, id: u32, op: u8) -> Option<Result<u64, Refusal>> {
        self.nodes[&id]
            .events
            .iter()
            .rev()
            .find_map(|(_, e)| match e {
                Event::Outcome { op: found, result } if found.0 == [op; 16] => Some(result.clone()),
                _ => None,
            })
    }

    pub fn picture(&self) -> String {
        let mut text = String::new();
        for node in self.nodes.values() {
            match &node.core {
                None => text += &format!("node {}: down\n", node.id),
                Some(core) => {
                    let s = core.status();
                    let members: Vec<u32> =
                        s.view.members.iter().map(|m| m.identity.node.0).collect();
                    text += &format!(
                        "node {}: {:?} acting={} dc={:?} view={} {members:?} promised={:?} \
                         head={} commit={} durable={} quorate={} ({}) election: {}\n",
                        node.id,
                        s.state,
                        s.acting,
                        s.dc.map(|n| n.0),
                        s.view.view_no,
                        s.promised,
                        s.head.seq,
                        s.commit,
                        s.durable,
                        s.quorate,
                        s.quorate_why,
                        s.election_why
                    );
                    for (at, event) in node.events.iter().rev().take(8).rev() {
                        text += &format!("    {:>9} {:.150}\n", at / MS, format!("{event:?}"));
                    }
                }
            }
        }
        text
    }
}

impl Node {
    pub fn new(id: u32) -> Self {
        Self {
            id,
            core: None,
            config: None,
            disk: Disk::default(),
            app: App::default(),
            machine_boot: id as u8,
            events: Vec::new(),
            writes: VecDeque::new(),
            snapshots: true,
            disk_hangs: false,
            generation: 0,
        }
    }

    pub fn saw(&self, ok: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|(_, e)| ok(e))
    }

    pub fn notice(&self, code: &str) -> bool {
        self.saw(|e| matches!(e, Event::Notice { code: c, .. } if c == code))
    }
}
