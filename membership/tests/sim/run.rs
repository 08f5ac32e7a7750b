//! One seed from start to verdict: faults, then everything heals, then it has to work and agree.

use std::panic::{AssertUnwindSafe, catch_unwind};

use membership::*;

use crate::app::Work;
use crate::faults::{Fault, Profile};
use crate::node::{Node, SlowDisk};
use crate::oracle::Violation;
use crate::rng::Rng;
use wire::NodeId;

use crate::world::{DiskModel, Happening, MS, SECOND, Setup, Stats, World};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub seed: u64,
    pub nodes: u32,
    /// Simulated time under faults.
    pub fault_us: u64,
    /// They come in storms with so much peace between them; 0: in one.
    pub lull_us: u64,
    /// One step in so many is looked after ([`World::look_every`]).
    pub look_every: u64,
    pub trace: bool,
    /// Reckon [`Stats::digest`].
    pub digest: bool,
    /// Of two nodes, half of the seeds run with `two_node: 1`.
    pub two_node: bool,
    /// The others decide by these.
    pub rules: Rules,
}

/// What decides beside the number of votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// Nothing.
    #[default]
    Plain,
    /// auto_tie_breaker.
    Tie,
    /// last_man_standing, and a tie-breaker in half of the seeds.
    LastMan,
    /// A witness.
    Witness,
    /// Any of these, by the seed.
    Mixed,
}

impl Rules {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "plain" => Self::Plain,
            "tie" => Self::Tie,
            "lms" => Self::LastMan,
            "witness" => Self::Witness,
            "mixed" => Self::Mixed,
            _ => return None,
        })
    }

    /// And back.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tie => "tie",
            Self::LastMan => "lms",
            Self::Witness => "witness",
            Self::Mixed => "mixed",
        }
    }

    /// Draws from a source of its own: a seed's faults are the same whatever decides.
    fn settle(self, setup: &mut Setup, seed: u64) {
        let mut rng = Rng::new(seed ^ 0x7e_57ed);
        let n = setup.t_fail_us.len() as u64;
        let drawn = match rng.below(3) {
            0 => Self::Tie,
            1 if n > 2 => Self::LastMan,
            _ => Self::Witness,
        };
        let rules = if self == Self::Mixed { drawn } else { self };
        let with_tie = rules == Self::Tie || rules == Self::LastMan && rng.permille(500);
        if with_tie {
            setup.voters.tie_node = Some(NodeId(rng.range(1, n) as u32));
        }
        match rules {
            Self::Witness if n > 1 => setup.add_witness(),
            Self::LastMan => {
                setup.voters.wait_for_all = true;
                setup.voters.last_man_standing = Some(rng.range(200 * MS, 3 * SECOND));
            }
            _ => {}
        }
    }
}

/// A seed's end; a failed assertion of the core is a violation, too.
pub fn run(run: Run) -> Result<Stats, Violation> {
    guarded(|| simulate(run, false))
}

/// The same with VIPs that are granted, moved and answered for by modelled kernels.
pub fn run_with_leases(run: Run) -> Result<Stats, Violation> {
    guarded(|| simulate(run, true))
}

/// Turns a panic into a violation.
pub fn guarded<T>(f: impl FnOnce() -> Result<T, Violation>) -> Result<T, Violation> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result,
        Err(cause) => {
            let text = cause
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_else(|| "a panic without words".to_owned());
            Err(Violation {
                rule: "assert".to_owned(),
                at_us: 0,
                text,
            })
        }
    }
}

fn simulate(run: Run, leases: bool) -> Result<Stats, Violation> {
    let mut rng = Rng::new(run.seed.wrapping_mul(0x1_0001) ^ u64::from(run.nodes));
    let setup = draw_setup(&mut rng, run);
    let profile = Profile::draw(&mut rng, run.nodes, setup.voters.witness.is_some());
    let mut world = World::new(setup, profile);
    if leases {
        world = world.with_leases();
    }
    world.trace |= run.trace;
    world.look_every = run.look_every;
    world.digest = run.digest.then(Default::default);
    draw_network(&mut rng, &mut world);
    if run.trace {
        println!("{:#?}\n{:#?}", world.setup, world.profile);
    }
    for node in 1..=world.all() {
        let in_us = rng.below(200 * MS);
        world.later(in_us, Happening::Start { node });
    }
    if rng.permille(700) {
        // Most runs begin with a founded cluster; the others are founded among faults.
        world.run(3 * SECOND);
    }
    draw_slow_disks(&mut world, run.seed);
    world.later(0, Happening::Work(Work::Client));
    world.later(0, Happening::Work(Work::Coordinate));
    world.later(0, Happening::Fault(Fault::Next));
    let mut left_us = run.fault_us;
    while left_us > 0 {
        let storm_us = if run.lull_us > 0 { STORM_US } else { left_us };
        world.run(storm_us.min(left_us));
        left_us = left_us.saturating_sub(storm_us);
        if left_us > 0 {
            world.lull(run.lull_us);
        }
    }
    world.heal_and_check();
    if leases {
        let limit = world.patience_us();
        world.until("every VIP has a holder", limit, World::all_held);
    }
    world.verdict()
}

fn draw_setup(rng: &mut Rng, run: Run) -> Setup {
    let n = run.nodes;
    let mut setup = Setup::plain(n, run.seed);
    let t_ms = *rng
        .pick(&[500, 500, 500, 1_000, 1_000, 200, 200, 100])
        .unwrap_or(&500);
    setup.t_fail_us = vec![t_ms * MS; n as usize];
    if rng.permille(150) {
        // One node's configuration was edited first (R0).
        let other = *rng.pick(&[5_000, 2_000, 250]).unwrap_or(&250);
        setup.t_fail_us[rng.below(u64::from(n)) as usize] = other * MS;
    }
    setup.links = if rng.permille(300) { 2 } else { 1 };
    setup.voters.wait_for_all = rng.permille(200);
    if n == 2 && rng.permille(500) && run.two_node {
        setup.voters.two_node = true;
        setup.voters.wait_for_all = true;
        setup.fencing = rng.permille(600);
    }
    if !setup.voters.two_node {
        run.rules.settle(&mut setup, run.seed);
    }
    setup.disk = DiskModel {
        write_us_max: *rng.pick(&[2 * MS, 5 * MS, 20 * MS]).unwrap_or(&(5 * MS)),
        stall_permille: *rng.pick(&[0, 0, 2, 10]).unwrap_or(&0),
    };
    setup
}

fn draw_network(rng: &mut Rng, world: &mut World) {
    world.net.loss_permille = *rng.pick(&[0, 0, 10, 50]).unwrap_or(&0);
    world.net.dup_permille = *rng.pick(&[0, 10, 100]).unwrap_or(&0);
    world.net.tail_permille = *rng.pick(&[0, 10, 50]).unwrap_or(&0);
    world.net.tail_us = *rng.pick(&[5 * MS, 50 * MS, 400 * MS]).unwrap_or(&MS);
}

/// One disk that is slow, all of them, or one now and then, in a part of the seeds. Draws from a source
/// of its own: the others are what they are without.
fn draw_slow_disks(world: &mut World, seed: u64) {
    let mut rng = Rng::new(seed ^ 0x510d_d15c);
    if !rng.permille(200) {
        return;
    }
    let one = rng.range(1, u64::from(world.all())) as u32;
    let now_and_then_us = rng.range(2 * SECOND, 8 * SECOND);
    let (ids, (low_ms, high_ms), period_us) = match rng.below(3) {
        0 => (one..=one, (1_500, 3_000), 0),
        1 => (1..=world.all(), (300, 1_500), 0),
        _ => (one..=one, (600, 3_000), now_and_then_us),
    };
    for id in ids {
        world.node_mut(id).slow_disk = Some(SlowDisk {
            low_us: low_ms * MS,
            high_us: high_ms * MS,
            period_us,
        });
        *world.stats.faults.entry("slow disk").or_default() += 1;
    }
}

impl World {
    /// No faults begin for a while, and clients ask for little. What has begun ends in its time.
    fn lull(&mut self, us: u64) {
        self.say(0, || "-- a lull".to_owned());
        self.lull = true;
        self.run(us);
        self.lull = false;
        self.say(0, || "-- the lull is over".to_owned());
    }

    /// Everything heals; within bounded time one DC acts, everybody is in, writes commit (I23),
    /// and all replicas are equal (I26).
    pub fn heal_and_check(&mut self) {
        if self.oracle.violation.is_some() {
            return;
        }
        self.calm = true;
        self.say(0, || "-- everything heals".to_owned());
        self.net.heal();
        self.net.loss_permille = 0;
        self.net.dup_permille = 0;
        self.net.tail_permille = 0;
        let mut repaired_at = self.now;
        for id in 1..=self.all() {
            self.node_mut(id).disk_stalled_until = 0;
            self.node_mut(id).slow_disk = None;
            if self.node(id).paused_until > self.now {
                let resume = self.node(id).paused_until - self.now;
                self.run(resume);
            }
            let wait = self.node(id).off_until.saturating_sub(self.now);
            self.later(wait, Happening::Start { node: id });
            // A store that had failed is repaired.
            if self.node(id).store_failed {
                repaired_at = repaired_at.max(self.now + wait);
                self.later(wait, Happening::Fault(Fault::Repair { node: id }));
            }
        }
        // A repair restarts its node, and what its clients asked for ends with it.
        self.run(repaired_at.saturating_sub(self.now) + MS);
        let limit = self.patience_us();
        // Nor is anybody on its way out.
        let stays = |w: &Self| w.nodes.iter().all(|n| !n.leaving);
        self.until("who leaves has left", limit, stays);
        // So does the end of an agent that is under way, for its target.
        self.until(
            "one DC acts, everybody is in its view, logs are level, no agent runs",
            limit,
            |w| w.settled() && !w.fences(),
        );
        self.everybody_writes(limit);
        self.until("all replicas are level again", limit, Self::settled);
        self.run(500 * MS);
        self.until("all replicas are level at the end", limit, Self::settled);
        self.until(
            "everybody knows everybody's soft state (R2)",
            limit,
            Self::soft_is_whole,
        );
        self.equal();
        self.oracle.now = self.now;
        self.oracle.linear_history();
        if let Some(core) = self.nodes.iter().find_map(|n| n.core.as_ref()) {
            self.oracle.nothing_lost_silently(core);
        }
        self.stats.acked = self.oracle.acked;
        self.stats.commits = self.oracle.committed.len() as u64;
    }

    /// A fencing that was decided before may still end some process, and what its client asked for.
    fn everybody_writes(&mut self, limit_us: u64) {
        loop {
            let ops: Vec<OpId> = (1..=self.size()).map(|id| self.write_at(id)).collect();
            let processes: Vec<u64> = self.nodes.iter().map(|n| n.generation).collect();
            let acked = |w: &Self| ops.iter().all(|op| w.oracle.ops[op].acked.is_some());
            let ended = |w: &Self| {
                w.nodes
                    .iter()
                    .map(|n| n.generation)
                    .ne(processes.iter().copied())
            };
            let what = "a write of every node is acknowledged";
            self.until(what, limit_us, |w| acked(w) || ended(w));
            if acked(self) || self.oracle.violation.is_some() {
                return;
            }
            let limit = self.patience_us();
            self.until("everybody is in again", limit, Self::settled);
        }
    }

    fn patience_us(&self) -> u64 {
        let t = self.setup.t_fail_us.iter().copied().max().unwrap_or(SECOND);
        (60 * t).max(30 * SECOND)
    }

    fn equal(&mut self) {
        if self.oracle.violation.is_some() {
            return;
        }
        self.oracle.now = self.now;
        let apps: Vec<_> = self.members().iter().map(|n| n.app.clone()).collect();
        if apps.iter().any(|a| *a != apps[0]) {
            self.oracle
                .fail("I26", format!("replicas differ: {apps:?}"));
        }
    }

    fn soft_is_whole(&self) -> bool {
        let nothing = std::collections::BTreeMap::new();
        self.members().iter().all(|node| {
            let seen = |other: &Node| other.soft_seen.get(&node.id) == Some(&node.soft);
            let none = |other: &Node| {
                other.soft_seen.get(&node.id).unwrap_or(&nothing).is_empty() && node.soft.is_empty()
            };
            self.members()
                .iter()
                .all(|other| seen(other) || none(other))
        })
    }

    /// One DC acts, all nodes run and are in its view, all logs are equal and applied.
    pub fn settled(&self) -> bool {
        let cores: Vec<&Core> = self.nodes.iter().filter_map(|n| n.core.as_ref()).collect();
        let acting: Vec<&&Core> = cores
            .iter()
            .filter(|c| c.probe().acting.is_some())
            .collect();
        let [dc] = acting[..] else { return false };
        let (view, head) = (dc.probe().view, dc.probe().head);
        let up = |n: &Node| n.up() && n.paused_until <= self.now;
        self.nodes.iter().all(up)
            && cores.iter().all(|core| {
                let p = core.probe();
                !p.hung
                    && p.view == view
                    && view.names(&p.me)
                    && p.head == head
                    && p.commit == head.seq
                    && p.durable == head.seq
            })
            && self.members().iter().all(|n| n.app.through == head.seq)
            && self.witness_holds(view)
    }

    /// The witness, where there is one, has the view.
    fn witness_holds(&self, view: &View) -> bool {
        let mut witnesses = self.nodes.iter().filter_map(|n| n.witness.as_ref());
        witnesses.all(|w| {
            let held = w.stored().view.as_ref();
            held.is_some_and(|v| (v.ballot, v.view_no) == (view.ballot, view.view_no))
        })
    }

    pub fn acting(&self) -> Vec<u32> {
        let acts = |n: &&Node| n.core.as_ref().is_some_and(|c| c.probe().acting.is_some());
        self.nodes.iter().filter(acts).map(|n| n.id).collect()
    }

    pub fn dc(&self) -> Option<u32> {
        match self.acting()[..] {
            [dc] => Some(dc),
            _ => None,
        }
    }

    /// Where everybody stands.
    pub fn picture(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            if let Some(witness) = &node.witness {
                text += &format!("witness {}: {:?}\n", node.id, witness.status());
                continue;
            }
            let Some(core) = &node.core else {
                text += &format!(
                    "node {}: down, off until {} ms\n",
                    node.id,
                    node.off_until / MS
                );
                continue;
            };
            let s = core.status();
            let members: Vec<u32> = s.view.members.iter().map(|m| m.identity.node.0).collect();
            text += &format!(
                "node {}: {:?} acting={} dc={:?} view={} {members:?} promised={}.{} head={} commit={} \
                 durable={} applied={} quorate={} ({}) election: {} recovering: {:?} writes={} inc={}\n",
                node.id,
                s.state,
                s.acting,
                s.dc.map(|n| n.0),
                s.view.view_no,
                s.promised.counter,
                s.promised.node,
                s.head.seq,
                s.commit,
                s.durable,
                s.applied,
                s.quorate,
                s.quorate_why,
                s.election_why,
                s.recovering,
                s.writes_in_flight,
                s.me.incarnation
            );
        }
        text
    }
}

impl Stats {
    pub fn add(&mut self, other: &Self) {
        self.simulated_us += other.simulated_us;
        self.packets += other.packets;
        self.relayed += other.relayed;
        self.steps += other.steps;
        self.quiet += other.quiet;
        self.proposals += other.proposals;
        self.acked += other.acked;
        self.commits += other.commits;
        self.elections += other.elections;
        self.views += other.views;
        self.commands += other.commands;
        for (name, count) in &other.faults {
            *self.faults.entry(name).or_default() += count;
        }
    }
}

/// A storm of faults lasts so long where lulls come between.
pub const STORM_US: u64 = 10 * SECOND;
