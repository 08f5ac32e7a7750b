//! What goes wrong, and how often: a profile is drawn from the seed, so that some runs know calm
//! networks and wild disks and others the reverse.

use membership::{Input, VoterSet};
use wire::NodeId;

use crate::disk::Disk;
use crate::hardships::More;
use crate::rng::Rng;
use crate::world::{Happening, MS, SECOND, World};

/// A fault that is due.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Draw the next one.
    Next,
    /// Somebody repairs a failed store and starts the process again.
    Repair { node: u32 },
    /// The rest of one that began earlier.
    More(More),
}

/// How a run is made hard.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    pub gap_us: u64,
    pub client_gap_us: u64,
    pub kinds: Vec<Kind>,
    pub fence_permille: u64,
    pub big_payloads: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Crash,
    QuickCrash,
    CrashAll,
    PowerOff,
    Partition,
    Isolate,
    OneWay,
    PairCut,
    LinkCut,
    Loss,
    Delay,
    Pause,
    DiskStall,
    DiskFails,
    DiskLost,
    Leave,
    Reconfigure,
    /// A pair's path goes down and comes back, many times.
    Flap,
    /// Nodes are cut off one after the other and come back in another order.
    Swizzle,
    /// A virtual machine is stopped, and its clocks with it.
    MachinePause,
    /// The process gets the processor for moments only.
    Starve,
    /// A much longer pause than any timeout.
    LongPause,
    /// The disk is set back to an earlier image.
    Rollback,
    /// A record on the disk rots.
    BitRot,
    /// One direction of a pair loses long datagrams and delivers short ones.
    SmallMtu,
}

const ALL: [Kind; 25] = [
    Kind::Crash,
    Kind::QuickCrash,
    Kind::CrashAll,
    Kind::PowerOff,
    Kind::Partition,
    Kind::Isolate,
    Kind::OneWay,
    Kind::PairCut,
    Kind::LinkCut,
    Kind::Loss,
    Kind::Delay,
    Kind::Pause,
    Kind::DiskStall,
    Kind::DiskFails,
    Kind::DiskLost,
    Kind::Leave,
    Kind::Reconfigure,
    Kind::Flap,
    Kind::Swizzle,
    Kind::MachinePause,
    Kind::Starve,
    Kind::LongPause,
    Kind::Rollback,
    Kind::BitRot,
    Kind::SmallMtu,
];

impl Profile {
    pub fn draw(rng: &mut Rng, n: u32, witness: bool) -> Self {
        let mut kinds: Vec<Kind> = ALL.into_iter().filter(|_| rng.permille(550)).collect();
        let reconfigures = kinds.contains(&Kind::Reconfigure);
        // That quorums meet is looked for among all groups of nodes.
        kinds.retain(|k| *k != Kind::Reconfigure || n <= RECONFIGURED_MAX);
        let loses = |k: &Kind| matches!(k, Kind::DiskLost | Kind::Rollback | Kind::BitRot);
        kinds.retain(|k| !loses(k) || (n + u32::from(witness) >= 3 && !reconfigures));
        if kinds.is_empty() {
            kinds = vec![Kind::Crash, Kind::Isolate];
        }
        Self {
            gap_us: *rng
                .pick(&[150 * MS, 400 * MS, 800 * MS, 2 * SECOND])
                .unwrap_or(&SECOND),
            client_gap_us: *rng.pick(&[5 * MS, 30 * MS, 100 * MS]).unwrap_or(&(50 * MS)),
            kinds,
            fence_permille: *rng.pick(&[0, 0, 100, 500]).unwrap_or(&0),
            big_payloads: rng.permille(400),
        }
    }

    /// No faults at all: for scenarios.
    pub fn calm() -> Self {
        Self {
            gap_us: u64::MAX,
            client_gap_us: 50 * MS,
            ..Self::default()
        }
    }
}

impl World {
    pub fn fault(&mut self, fault: Fault) {
        if let Fault::Repair { node } = fault {
            if !self.calm || self.node(node).store_failed {
                self.restart(node, MS, SECOND);
            }
            return;
        }
        if self.calm {
            return;
        }
        if let Fault::More(more) = fault {
            return self.more(more);
        }
        let in_us = self.rng.exponential(self.profile.gap_us);
        self.later(in_us, Happening::Fault(Fault::Next));
        if self.lull {
            return;
        }
        let kinds = self.profile.kinds.clone();
        let Some(kind) = self.rng.pick(&kinds).copied() else {
            return;
        };
        if self.strike(kind) {
            let name = name(kind);
            *self.stats.faults.entry(name).or_default() += 1;
        }
    }

    /// Does it; false when it cannot be done now.
    fn strike(&mut self, kind: Kind) -> bool {
        let id = self.rng.range(1, u64::from(self.all())) as u32;
        let other = self.rng.range(1, u64::from(self.all())) as u32;
        let until = self.now + self.span();
        self.say(id, || {
            format!("-- {kind:?} (other {other}, until {} ms)", until / MS)
        });
        match kind {
            Kind::Crash => self.crash(id, 50 * MS, 3 * SECOND),
            Kind::QuickCrash => self.crash(id, MS, 80 * MS),
            Kind::CrashAll => {
                {
                    // All of them, not just until the first that is up.
                    let crashed = (1..=self.all()).filter(|id| self.crash(*id, MS, SECOND));
                    crashed.count() > 0
                }
            }
            Kind::PowerOff => self.lose_power(id),
            Kind::Partition => self.partition(until),
            Kind::Isolate => {
                self.isolate(id, until);
                true
            }
            Kind::OneWay if id != other => {
                self.net.cut(id, other, until);
                true
            }
            Kind::PairCut if id != other => {
                self.net.cut_both(id, other, until);
                true
            }
            Kind::LinkCut if id != other => {
                let link = self.rng.below(u64::from(self.setup.links)) as usize;
                self.net.path(id, other).link_cut_until[link] = until;
                true
            }
            Kind::Loss => self.lossy(until),
            Kind::Delay => self.slow(until),
            Kind::Pause => {
                let for_us = self.rng.exponential(300 * MS).min(2 * SECOND);
                self.pause(id, for_us);
                true
            }
            Kind::DiskStall => {
                let for_us = self.rng.range(100 * MS, 5 * SECOND);
                let now = self.now;
                self.node_mut(id).disk_stalled_until = now + for_us;
                true
            }
            Kind::DiskFails => self.disk_fails(id),
            Kind::DiskLost => self.disk_lost(id),
            Kind::Leave if self.is_witness(id) => false,
            Kind::Leave => {
                let clean = self.rng.permille(700);
                if clean {
                    self.kernels.emptied(id);
                }
                let up = self.node(id).up();
                self.node_mut(id).leaving = up;
                self.input(id, Input::Leave { clean });
                up
            }
            Kind::Reconfigure => self.reconfigure(),
            Kind::Flap if id != other => self.flap(id, other),
            Kind::Swizzle => self.swizzle(until),
            Kind::MachinePause => self.stop_machine(id),
            Kind::Starve => self.starve(id, until),
            Kind::LongPause => {
                let for_us = self.rng.range(4 * SECOND, 40 * SECOND);
                self.pause(id, for_us);
                true
            }
            Kind::Rollback => self.roll_back(id),
            Kind::BitRot => self.rot(id),
            Kind::SmallMtu if id != other => {
                let bytes = self.rng.range(300, 1_100) as usize;
                let path = self.net.path(id, other);
                (path.narrow_bytes, path.narrow_until) = (bytes, until);
                true
            }
            _ => false,
        }
    }

    /// Mostly about as long as a detection timeout, sometimes much shorter or longer.
    pub fn span(&mut self) -> u64 {
        let t = self.setup.t_fail_us.iter().copied().max().unwrap_or(SECOND);
        let t = t.min(2 * SECOND);
        match self.rng.below(4) {
            0 => self.rng.range(t / 20, t),
            1 | 2 => self.rng.range(t / 2, 3 * t),
            _ => self.rng.range(t, 12 * t),
        }
    }

    fn crash(&mut self, id: u32, low_us: u64, high_us: u64) -> bool {
        let was = self.node(id).up();
        if was {
            self.restart(id, low_us, high_us);
        }
        was
    }

    fn lose_power(&mut self, id: u32) -> bool {
        let was = self.node(id).up();
        self.power_off(id);
        let in_us = self.rng.range(300 * MS, 5 * SECOND);
        self.later(in_us, Happening::Start { node: id });
        was
    }

    fn partition(&mut self, until: u64) -> bool {
        let side: Vec<bool> = (0..self.all()).map(|_| self.rng.permille(500)).collect();
        let n = self.all();
        for a in 1..=n {
            for b in a + 1..=n {
                if side[a as usize - 1] != side[b as usize - 1] {
                    self.net.cut_both(a, b, until);
                }
            }
        }
        side.iter().any(|s| *s) && !side.iter().all(|s| *s)
    }

    fn lossy(&mut self, until: u64) -> bool {
        let loss = self.rng.range(50, 600);
        for (_, path) in self.net.all() {
            path.loss_permille = loss;
            path.loss_until = until;
        }
        true
    }

    fn slow(&mut self, until: u64) -> bool {
        let slow = self.rng.range(5 * MS, 400 * MS);
        let one = self.rng.permille(500);
        let chosen = self.rng.range(1, u64::from(self.size())) as u32;
        for (from, path) in self.net.all() {
            if !one || from == chosen {
                path.slow_us = slow;
                path.slow_until = until;
            }
        }
        true
    }

    /// The store reports an error: nothing more is written; somebody repairs it later.
    fn disk_fails(&mut self, id: u32) -> bool {
        if !self.node(id).up() {
            return false;
        }
        self.node_mut(id).store_failed = true;
        let reason = "input/output error".into();
        self.input(id, Input::StoreFailed { reason });
        let in_us = self.rng.range(100 * MS, 3 * SECOND);
        self.later(in_us, Happening::Fault(Fault::Repair { node: id }));
        true
    }

    /// All disks have everything they ever promised.
    pub fn sound(&self) -> bool {
        self.nodes.iter().all(|n| n.up() && n.is_whole())
    }

    /// A node's disk may be lost: the others have all that was decided, and can decide. One of two
    /// that goes on alone, with a witness, has the only log; and where last_man_standing took voters
    /// out, one of the rest may be the whole quorum.
    pub fn may_lose(&self) -> bool {
        let few = self.size() == 2 || self.setup.voters.last_man_standing.is_some();
        let mut cores = self.nodes.iter().filter_map(|n| n.core.as_ref());
        let everybody_votes = cores.all(|c| c.log_state().config.current.absent.is_empty());
        self.sound() && (!few || self.settled() && everybody_votes)
    }

    /// One disk at a time, and only while all the others are whole.
    fn disk_lost(&mut self, id: u32) -> bool {
        if self.is_witness(id) {
            return self.witness_lost(id);
        }
        if !self.may_lose() {
            return false;
        }
        self.kill(id);
        let degraded = self.rng.permille(500);
        let node = self.node_mut(id);
        let fresh = Disk {
            degraded,
            ..Disk::default()
        };
        node.lost = std::mem::replace(&mut node.disk, fresh);
        self.oracle.disk_lost(id);
        let in_us = self.rng.range(10 * MS, SECOND);
        self.later(in_us, Happening::Start { node: id });
        true
    }

    /// A witness that lost its store waits for all nodes, of which some may be down meanwhile.
    fn witness_lost(&mut self, id: u32) -> bool {
        if !self.nodes.iter().all(crate::node::Node::is_whole) {
            return false;
        }
        self.kill(id);
        let node = self.node_mut(id);
        node.lost = std::mem::take(&mut node.disk);
        self.oracle.disk_lost(id);
        let in_us = self.rng.range(10 * MS, SECOND);
        self.later(in_us, Happening::Start { node: id });
        true
    }

    /// The acting coordinator is told to move to another voter set.
    fn reconfigure(&mut self) -> bool {
        let acting = |n: &&crate::node::Node| {
            n.core.as_ref().is_some_and(|c| c.probe().acting.is_some())
                && n.paused_until <= self.now
        };
        let Some(dc) = self.nodes.iter().find(acting).map(|n| n.id) else {
            return false;
        };
        if self.setup.voters.two_node {
            return false;
        }
        let mut votes: Vec<(NodeId, u32)> = Vec::new();
        // The witness stays: it alone has no vote to lose and none to gain.
        for id in 1..=self.size() {
            match self.rng.below(6) {
                0 => {}
                1 => votes.push((NodeId(id), 2)),
                _ => votes.push((NodeId(id), 1)),
            }
        }
        votes.extend(self.setup.voters.witness.map(|witness| (witness, 1)));
        let sum: u32 = votes.iter().map(|(_, v)| v).sum();
        if votes.is_empty() {
            return false;
        }
        let expected_votes = self.rng.permille(300).then(|| (sum + 1).min(2 * sum - 1));
        let tied = self.setup.voters.tie_node.is_some();
        let tie_node = self
            .rng
            .pick(&votes)
            .map(|(node, _)| *node)
            .filter(|_| tied);
        let voters = VoterSet {
            votes,
            expected_votes,
            tie_node,
            ..self.setup.voters.clone()
        };
        self.input(dc, Input::Reconfigure { voters });
        true
    }
}

/// Nodes of a cluster whose voters are changed at random.
const RECONFIGURED_MAX: u32 = 12;

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Crash => "crash",
        Kind::QuickCrash => "quick crash",
        Kind::CrashAll => "all crash",
        Kind::PowerOff => "power off",
        Kind::Partition => "partition",
        Kind::Isolate => "isolate",
        Kind::OneWay => "one-way cut",
        Kind::PairCut => "pair cut",
        Kind::LinkCut => "link cut",
        Kind::Loss => "loss burst",
        Kind::Delay => "delay burst",
        Kind::Pause => "pause",
        Kind::DiskStall => "disk stall",
        Kind::DiskFails => "disk fails",
        Kind::DiskLost => "disk lost",
        Kind::Leave => "leave",
        Kind::Reconfigure => "reconfigure",
        Kind::Flap => "flapping pair",
        Kind::Swizzle => "swizzle",
        Kind::MachinePause => "machine pause",
        Kind::Starve => "starved",
        Kind::LongPause => "long pause",
        Kind::Rollback => "rolled back",
        Kind::BitRot => "bit rot",
        Kind::SmallMtu => "small mtu",
    }
}
