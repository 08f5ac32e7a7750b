//! A whole cluster in one thread of virtual time: production cores over simulated machines.

#[path = "world/carry.rs"]
mod carry;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use membership::message::Message;
use membership::*;
use wire::{Identity, NodeId};

use crate::app::Work;
use crate::disk::Disk;
use crate::faults::{Fault, Profile};
use crate::kernel::{KernelWork, Kernels};
use crate::net::Net;
use crate::node::{App, Node, Process, Write};
use crate::oracle::{Oracle, Violation};
use crate::queue::Queue;
use crate::rng::Rng;

pub const MS: u64 = 1_000;
pub const SECOND: u64 = 1_000_000;

/// Set in the environment: every world says what happens, scenarios included.
const TRACE: &str = "SIM_TRACE";

/// One step in so many is looked after where nothing else was asked for: that takes as long as a
/// thousand steps.
pub const LOOK_EVERY: u64 = 50_000;
/// With every seed other ones.
const LOOK_SHIFT: u64 = 7_919;

/// How a disk behaves.
#[derive(Clone, Copy, Debug)]
pub struct DiskModel {
    pub write_us_max: u64,
    pub stall_permille: u64,
}

/// What a run begins with.
#[derive(Clone, Debug)]
pub struct Setup {
    pub seed: u64,
    pub t_fail_us: Vec<u64>,
    pub voters: VoterSet,
    pub fencing: bool,
    pub links: u8,
    pub disk: DiskModel,
    pub drift_ppm: u64,
}

impl Setup {
    /// `n` equal nodes, default timers, a quick disk.
    pub fn plain(n: u32, seed: u64) -> Self {
        Self {
            seed,
            t_fail_us: vec![500 * MS; n as usize],
            voters: VoterSet {
                votes: (1..=n).map(|id| (NodeId(id), 1)).collect(),
                ..VoterSet::default()
            },
            fencing: false,
            links: 1,
            disk: DiskModel {
                write_us_max: 4 * MS,
                stall_permille: 0,
            },
            drift_ppm: 200,
        }
    }

    /// One more voter, which is no node.
    pub fn add_witness(&mut self) {
        let id = NodeId(self.t_fail_us.len() as u32 + 1);
        self.voters.votes.push((id, 1));
        self.voters.witness = Some(id);
    }
}

/// Something that will happen.
#[derive(Debug)]
pub enum Happening {
    Packet {
        from: Process,
        to: Process,
        link: LinkId,
        message: Box<Message>,
    },
    Disk {
        node: u32,
        generation: u64,
    },
    Tick {
        node: u32,
        generation: u64,
    },
    Shake {
        a: u32,
        b: u32,
    },
    Up {
        node: u32,
        at: Process,
        peer: Process,
        /// Where the peer's disk ended, by its handshake.
        head: u64,
    },
    Start {
        node: u32,
    },
    Work(Work),
    Fault(Fault),
    Kernel(KernelWork),
}

pub struct World {
    pub now: u64,
    pub setup: Setup,
    pub nodes: Vec<Node>,
    pub net: Net,
    pub rng: Rng,
    pub oracle: Oracle,
    pub profile: Profile,
    pub trace: bool,
    /// Of everything that was sent, told and handed to a disk, where somebody compares runs.
    pub digest: Option<DefaultHasher>,
    pub calm: bool,
    /// No faults begin, and clients ask for little.
    pub lull: bool,
    /// One step in so many is looked after.
    pub look_every: u64,
    pub stats: Stats,
    pub app: crate::app::State,
    pub kernels: Kernels,
    /// Every process there ever was, in the order of their starts.
    processes: Vec<Identity>,
    /// By [`World::pair`], the lower node's process first.
    sessions: Vec<Option<(Process, Process)>>,
    /// The peer's process as each core was told.
    told: Vec<Option<Process>>,
    queue: Queue<Happening>,
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub simulated_us: u64,
    pub packets: u64,
    pub relayed: u64,
    pub steps: u64,
    /// Of these the ones after which a core looked at nothing.
    pub quiet: u64,
    pub faults: BTreeMap<&'static str, u64>,
    pub proposals: u64,
    pub acked: u64,
    pub commits: u64,
    pub elections: u64,
    pub views: u64,
    pub commands: u64,
    /// Of the whole history, where it was asked for: equal in runs that are equal.
    pub digest: u64,
}

impl World {
    pub fn new(setup: Setup, profile: Profile) -> Self {
        let mut rng = Rng::new(setup.seed);
        let n = setup.t_fail_us.len() as u32;
        let all = n + u32::from(setup.voters.witness.is_some());
        let nodes = (1..=all)
            .map(|id| {
                let ppm = rng.range(0, 2 * setup.drift_ppm) as i64 - setup.drift_ppm as i64;
                // The witness, if there is one, comes last and has the first node's configuration.
                let t_fail_us = setup.t_fail_us.get(id as usize - 1);
                Node::new(id, *t_fail_us.unwrap_or(&setup.t_fail_us[0]), ppm)
            })
            .collect();
        let class_u = setup.voters.two_node && !setup.fencing;
        Self {
            now: 0,
            nodes,
            net: Net::new(all),
            rng,
            oracle: Oracle::new(n as usize, class_u),
            profile,
            trace: std::env::var_os(TRACE).is_some(),
            digest: None,
            calm: false,
            lull: false,
            look_every: LOOK_EVERY,
            stats: Stats::default(),
            app: crate::app::State::default(),
            kernels: Kernels::new(n, setup.seed),
            processes: Vec::new(),
            sessions: vec![None; (all * all) as usize],
            told: vec![None; (all * all) as usize],
            queue: Queue::default(),
            setup,
        }
    }

    /// Nodes; a witness is none.
    pub fn size(&self) -> u32 {
        self.setup.t_fail_us.len() as u32
    }

    /// Nodes and the witness.
    pub fn all(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// Nodes without the witness.
    pub fn members(&self) -> &[Node] {
        &self.nodes[..self.size() as usize]
    }

    pub fn is_witness(&self, id: u32) -> bool {
        id > self.size()
    }

    pub fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize - 1]
    }

    pub fn node_mut(&mut self, id: u32) -> &mut Node {
        &mut self.nodes[id as usize - 1]
    }

    fn pair(&self, a: u32, b: u32) -> usize {
        (a as usize - 1) * self.nodes.len() + b as usize - 1
    }

    /// The number of a process that starts.
    fn process(&mut self, identity: Identity) -> Process {
        let known = self.processes.iter().position(|known| *known == identity);
        let number = known.unwrap_or(self.processes.len());
        if known.is_none() {
            self.processes.push(identity);
        }
        Process(number as u32)
    }

    fn identity(&self, process: Process) -> Identity {
        self.processes[process.0 as usize]
    }

    pub fn later(&mut self, in_us: u64, what: Happening) {
        self.queue.push(self.now + in_us, what);
    }

    pub fn say(&self, node: u32, text: impl FnOnce() -> String) {
        if self.trace {
            println!(
                "{:>12.3} ms  node {node}: {}",
                self.now as f64 / 1e3,
                text()
            );
        }
    }

    /// One more thing that happened, for whoever compares runs.
    fn note(&mut self, node: u32, what: impl Hash) {
        if let Some(digest) = &mut self.digest {
            (self.now, node, what).hash(digest);
        }
    }

    pub fn start_all(&mut self) {
        for id in 1..=self.all() {
            self.start(id);
        }
    }

    pub fn config(&mut self, id: u32) -> Config {
        let random = self.rng.next();
        let node = self.node(id);
        let links: Vec<LinkId> = (0..self.setup.links).collect();
        let peers = (1..=self.all()).filter(|n| *n != id);
        Config {
            me: node.next_identity(random),
            peers: peers
                .map(|n| PeerConfig {
                    node: NodeId(n),
                    links: links.clone(),
                    priorities: Vec::new(),
                })
                .collect(),
            nodelist_digest: node.nodelist_digest,
            voters: self.setup.voters.clone(),
            timing: Timing::derive(node.t_fail_us).expect("the setup's timeouts are in bounds"),
            fencing: self.setup.fencing,
            seed: random,
            new_cluster_uuid: [id as u8; 16],
            hold_us: None,
            trust_store: node.trust_store,
        }
    }

    /// Starts a process over the node's disk.
    pub fn start(&mut self, id: u32) {
        if self.node(id).up() || self.now < self.node(id).off_until {
            return;
        }
        let config = self.config(id);
        self.start_with(id, config);
    }

    pub fn start_with(&mut self, id: u32, config: Config) {
        let now = self.now;
        let node = self.node_mut(id);
        let local = node.clock.local(now);
        let me = config.me;
        let started = match config.voters.witness == Some(NodeId(id)) {
            true => Witness::start(config, node.disk.witness.clone(), local)
                .map(|witness| node.witness = Some(witness)),
            false => {
                Core::start(config, node.disk.recovered(), local).map(|core| node.core = Some(core))
            }
        };
        if let Err(e) = started {
            let text = format!("node {id} does not start: {e}");
            return self.oracle.fail("start", text);
        }
        let process = self.process(me);
        let node = self.node_mut(id);
        node.me = me;
        node.process = process;
        node.generation += 1;
        node.app = App::default();
        node.soft_seen.clear();
        node.store_failed = false;
        node.disk_free_at = now;
        node.disk_begins_at = now;
        self.oracle.process(&self.nodes[id as usize - 1]);
        self.kernels.process(id);
        self.say(id, || format!("process {} starts", me.incarnation));
        self.drain(id, false);
        let published = self.node(id).soft.clone();
        let items = published.into_iter().map(|(k, v)| (k, Some(v))).collect();
        self.input(id, Input::Publish { items });
        for other in (1..=self.all()).filter(|n| *n != id) {
            let in_us = self.rng.range(MS, 10 * MS);
            self.later(in_us, Happening::Shake { a: id, b: other });
        }
    }

    /// kill -9.
    pub fn kill(&mut self, id: u32) {
        if !self.node(id).up() {
            return;
        }
        let node = &mut self.nodes[id as usize - 1];
        let late = node.crash(self.now, &mut self.rng);
        for op in late {
            self.write(id, &op);
        }
        self.oracle.process(&self.nodes[id as usize - 1]);
        self.kernels.process(id);
        self.say(id, || "process dies".to_owned());
    }

    /// kill -9 at a moment when so many of the operations under way have reached the disk.
    pub fn kill_having_written(&mut self, id: u32, ops: usize) {
        let node = self.node_mut(id);
        let under_way: Vec<_> = node.writes.iter().flat_map(|w| &w.ops).cloned().collect();
        node.writes.clear();
        for op in under_way.iter().take(ops) {
            self.write(id, op);
        }
        self.kill(id);
    }

    /// Power lost; another machine boot when it starts again.
    pub fn power_off(&mut self, id: u32) {
        self.kill(id);
        self.kernels.power_off(id);
        let node = &mut self.nodes[id as usize - 1];
        node.reboot(self.now, &mut self.rng);
    }

    pub fn pause(&mut self, id: u32, for_us: u64) {
        let until = self.now + for_us;
        // A shorter pause ends no longer one.
        let node = self.node_mut(id);
        node.paused_until = node.paused_until.max(until);
        self.oracle.paused(id, until);
        self.say(id, || format!("paused for {} ms", for_us / MS));
    }

    pub fn isolate(&mut self, id: u32, until: u64) {
        for other in (1..=self.all()).filter(|n| *n != id) {
            self.net.cut_both(id, other, until);
        }
    }

    /// One input for a running node, and everything that comes of it.
    pub fn input(&mut self, id: u32, input: Input) {
        let now = self.now;
        let node = self.node_mut(id);
        let local = node.clock.local(now);
        if !node.handle(local, input) {
            return;
        }
        self.stats.steps += 1;
        let quiet = self.look_after(id);
        self.drain(id, quiet);
    }

    /// Did the node's core look at nothing, for nothing would follow? Now and then: rightly so?
    fn look_after(&mut self, id: u32) -> bool {
        let core = self.nodes[id as usize - 1].core.as_mut();
        let Some(core) = core.filter(|c| c.was_quiet()) else {
            return false;
        };
        self.stats.quiet += 1;
        let nth = self.stats.steps + self.setup.seed * LOOK_SHIFT;
        if !nth.is_multiple_of(self.look_every) {
            return true;
        }
        if let Some(what) = core.left_undone() {
            let text = format!("node {id} took a step for one after which nothing follows: {what}");
            self.oracle.now = self.now;
            self.oracle.fail("quiet", text);
        }
        false
    }

    fn drain(&mut self, id: u32, quiet: bool) {
        self.oracle.now = self.now;
        if !quiet {
            self.oracle.log_step(&self.nodes, id);
        }
        while let Some(output) = self.node_mut(id).poll() {
            match output {
                Output::Do(effect) => self.effect(id, effect, false),
                Output::Persist { write, ops, then } => self.persist(id, write, ops, then),
            }
        }
        self.oracle.now = self.now;
        if !quiet {
            self.oracle.authority_step(&self.nodes, id);
        }
        self.kernel_step(id);
        self.schedule_tick(id);
    }

    fn schedule_tick(&mut self, id: u32) {
        let node = self.node(id);
        let Some(local) = node.next_timeout() else {
            return;
        };
        let at = node.clock.truly(local).max(self.now + 1);
        if at == node.tick_at {
            return;
        }
        let generation = node.generation;
        self.node_mut(id).tick_at = at;
        self.later(
            at - self.now,
            Happening::Tick {
                node: id,
                generation,
            },
        );
    }

    fn persist(&mut self, id: u32, write: u64, ops: Vec<DurableOp>, then: Vec<Effect>) {
        if self.digest.is_some() {
            self.note(id, format!("{ops:?}"));
        }
        let model = self.setup.disk;
        let slow = self.node(id).slow_disk.and_then(|s| s.write_us(self.now));
        let usual = (model.write_us_max / 10, model.write_us_max);
        let (low_us, high_us) = slow.unwrap_or(usual);
        let mut in_us = self.rng.range(low_us, high_us);
        if !self.calm && self.rng.permille(model.stall_permille) {
            in_us += self.rng.range(200 * MS, 3 * SECOND);
            *self.stats.faults.entry("slow write").or_default() += 1;
        }
        let now = self.now;
        let node = self.node_mut(id);
        let begins_at = node.disk_free_at.max(now).max(node.disk_stalled_until);
        let gathered = slow.is_some() && node.disk_begins_at > now;
        if !gathered {
            node.disk_begins_at = begins_at;
            node.disk_free_at = begins_at + in_us;
        }
        // What waits for a slow disk is written behind one barrier, as the daemon does it.
        let at = node.disk_free_at;
        node.writes.push_back(Write {
            id: write,
            ops,
            then,
        });
        let (queued, generation) = (node.writes.len(), node.generation);
        self.oracle.now = now;
        self.oracle.queued(id, queued);
        self.later(
            at - now,
            Happening::Disk {
                node: id,
                generation,
            },
        );
    }

    /// One operation reaches the disk.
    fn write(&mut self, id: u32, op: &DurableOp) {
        let node = &mut self.nodes[id as usize - 1];
        if let DurableOp::Witness(new) = op {
            self.oracle.now = self.now;
            self.oracle
                .witness_written(id, node.disk.witness.as_ref(), new);
        }
        if let DurableOp::Safety(new) = op {
            self.oracle.now = self.now;
            self.oracle
                .safety_written(id, node.disk.safety.as_ref(), new);
        }
        let recovering = |d: &Disk| {
            let node = d.safety.as_ref().is_some_and(|s| s.recovering);
            node || d.witness.as_ref().is_some_and(|w| w.recovering)
        };
        let was = recovering(&node.disk);
        node.disk.apply(op);
        let written = node.disk.safety.is_some() || node.disk.witness.is_some();
        if written && !recovering(&node.disk) {
            node.disk.degraded = false;
            node.forgot &= !was;
        }
    }

    fn disk_done(&mut self, id: u32, generation: u64) {
        let node = self.node_mut(id);
        if node.generation != generation || node.store_failed {
            return;
        }
        let Some(write) = node.writes.pop_front() else {
            return;
        };
        for op in &write.ops {
            self.write(id, op);
        }
        for effect in write.then {
            self.effect(id, effect, true);
        }
        self.input(id, Input::Durable { write: write.id });
    }

    fn effect(&mut self, id: u32, effect: Effect, deferred: bool) {
        match effect {
            Effect::Send { to, via, payload } => self.transmit(id, to.0, via, &payload, deferred),
            Effect::Message { to, via, message } => self.beat(id, to.0, via, message, deferred),
            Effect::Unseal { sealed, .. } => self.unseal(id, &sealed),
            Effect::Event(event) => {
                if self.digest.is_some() {
                    self.note(id, format!("{event:?}"));
                }
                self.oracle.now = self.now;
                self.oracle.event(&self.nodes[id as usize - 1], &event);
                self.say(id, || format!("{event:.200?}"));
                self.application(id, event);
            }
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Packet {
                from,
                to,
                link,
                message,
            } => self.deliver(from, to, link, Ok(message)),
            Happening::Disk { node, generation } => self.disk_done(node, generation),
            Happening::Tick { node, generation } => {
                let n = self.node(node);
                if n.generation == generation && n.tick_at <= self.now {
                    self.node_mut(node).tick_at = u64::MAX;
                    self.input(node, Input::Tick);
                }
            }
            Happening::Shake { a, b } => self.shake(a, b),
            Happening::Up {
                node,
                at,
                peer,
                head,
            } => {
                if self.node(node).up() && self.node(node).process == at {
                    let of = self.identity(peer);
                    let pair = self.pair(node, of.node.0);
                    self.told[pair] = Some(peer);
                    self.input(node, Input::SessionUp { peer: of });
                    self.input(node, Input::PeerHead { of, head });
                }
            }
            Happening::Start { node } => self.start(node),
            Happening::Work(work) => self.work(work),
            Happening::Fault(fault) => self.fault(fault),
            Happening::Kernel(work) => self.kernel_work(work),
        }
    }

    /// A paused machine takes nothing until it goes on.
    fn waits_for(&self, what: &Happening) -> u64 {
        let id = match what {
            Happening::Packet { to, .. } => self.identity(*to).node.0,
            Happening::Disk { node, .. }
            | Happening::Tick { node, .. }
            | Happening::Up { node, .. }
            | Happening::Kernel(KernelWork::Close { node, .. }) => *node,
            Happening::Kernel(KernelWork::Write(write) | KernelWork::Check(write)) => write.node,
            _ => return 0,
        };
        self.node(id).paused_until
    }

    /// Runs to a moment, or to the first violation.
    pub fn run_until(&mut self, end: u64) {
        while self.oracle.violation.is_none() {
            let Some((at, what)) = self.queue.pop(end) else {
                break;
            };
            self.now = self.now.max(at);
            let resume = self.waits_for(&what);
            if resume > self.now {
                self.later(resume - self.now, what);
                continue;
            }
            self.happen(what);
        }
        self.stats.simulated_us += end.saturating_sub(self.stats.simulated_us);
        if self.oracle.violation.is_none() {
            self.now = end;
        }
    }

    pub fn run(&mut self, us: u64) {
        self.run_until(self.now + us);
    }

    /// Runs until the condition holds; a violation of liveness when it does not in time.
    pub fn until(&mut self, what: &str, limit_us: u64, ok: impl Fn(&Self) -> bool) -> u64 {
        let start = self.now;
        while self.oracle.violation.is_none() && !ok(self) {
            if self.now - start >= limit_us {
                let text = format!(
                    "not within {} ms: {what}\n{}",
                    limit_us / MS,
                    self.picture()
                );
                self.oracle.now = self.now;
                self.oracle.fail("I23", text);
            }
            self.run(2 * MS);
        }
        self.now - start
    }

    pub fn verdict(self) -> Result<Stats, Violation> {
        match self.oracle.violation {
            Some(violation) => Err(violation),
            None => Ok(Stats {
                digest: self.digest.map_or(0, |digest| digest.finish()),
                ..self.stats
            }),
        }
    }
}
