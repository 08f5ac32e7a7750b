//! One simulated machine: a process, a disk, a clock that drifts, an application.

use std::collections::{BTreeMap, VecDeque};

use membership::{
    Ballot, Core, DurableOp, Effect, Entry, EntryBody, Input, Output, SafetyRecord, Time, Witness,
    WitnessRecord,
};
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

use crate::disk::Disk;
use crate::rng::Rng;

/// CLOCK_BOOTTIME of one machine boot, fast or slow by a constant.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub base_true: u64,
    pub base_local: u64,
    pub ppm: i64,
}

impl Clock {
    pub fn local(&self, at: u64) -> Time {
        // Before its base the clock stands still: the machine is stopped.
        let span = at.saturating_sub(self.base_true) as i64;
        Time(self.base_local + (span + span * self.ppm / PPM) as u64)
    }

    /// First true moment at which the local clock shows at least `local`.
    pub fn truly(&self, local: Time) -> u64 {
        let span = local.0.saturating_sub(self.base_local) as i64;
        let mut at = self.base_true + (span * PPM / (PPM + self.ppm)) as u64;
        while self.local(at) < local {
            at += 1;
        }
        at
    }
}

impl Clock {
    /// A machine that was stopped goes on before its time.
    pub fn go_on(&mut self, now: u64) {
        self.base_true = self.base_true.min(now);
    }

    /// Stands still with its machine.
    pub fn stop(&mut self, now: u64, for_us: u64) {
        *self = Self {
            base_true: now + for_us,
            base_local: self.local(now).0,
            ppm: self.ppm,
        };
    }
}

const PPM: i64 = 1_000_000;

/// The replicated application: a digest chain of what was committed, compared everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct App {
    pub through: u64,
    pub digest: u64,
    /// `(epoch, num_updates)` as the CIB counts them: a new ballot is a new epoch (R2).
    pub version: (u64, u64),
    ballot: Ballot,
}

impl App {
    pub fn apply(&mut self, entry: &Entry) {
        self.through = entry.seq;
        if let EntryBody::App { op, payload, .. } = &entry.body {
            for byte in op.0.iter().chain(payload.iter().take(64)) {
                self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
            }
        }
        self.digest = self.digest.rotate_left(1) ^ entry.seq;
        let (epoch, updates) = self.version;
        let same = self.ballot == entry.ballot;
        self.version = if same {
            (epoch, updates + 1)
        } else {
            (epoch + 1, 0)
        };
        self.ballot = entry.ballot;
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (epoch, updates) = self.version;
        let ballot = [self.ballot.counter, u64::from(self.ballot.node)];
        let words = [self.through, self.digest, epoch, updates]
            .into_iter()
            .chain(ballot);
        words.flat_map(u64::to_be_bytes).collect()
    }

    pub fn restore(seq: u64, bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|w| u64::from_be_bytes(*w)).collect();
        let [through, digest, epoch, updates, counter, node] = words[..] else {
            return None;
        };
        let node = u32::try_from(node).ok()?;
        (through == seq && rest.is_empty()).then_some(Self {
            through,
            digest,
            version: (epoch, updates),
            ballot: Ballot { counter, node },
        })
    }
}

/// A write handed to the disk and not finished.
#[derive(Debug)]
pub struct Write {
    pub id: u64,
    pub ops: Vec<DurableOp>,
    pub then: Vec<Effect>,
}

/// A disk that works and takes its time.
#[derive(Clone, Copy, Debug)]
pub struct SlowDisk {
    /// A write takes so long, at least and at most.
    pub low_us: u64,
    pub high_us: u64,
    /// It is slow for so long, then as quick as any for as long; 0: always slow.
    pub period_us: u64,
}

impl SlowDisk {
    /// How long a write that is handed over now takes, unless the disk is quick at this time.
    pub fn write_us(self, now: u64) -> Option<(u64, u64)> {
        let quick = self.period_us > 0 && now / self.period_us % 2 == 1;
        (!quick).then_some((self.low_us, self.high_us))
    }
}

/// A process, by the order of starts: packets and sessions name them by the million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

pub struct Node {
    pub id: u32,
    pub core: Option<Core>,
    /// In place of a core.
    pub witness: Option<Witness>,
    /// Of the running or last process.
    pub me: Identity,
    pub process: Process,
    pub disk: Disk,
    /// What the last disk held that was lost whole: an acknowledgement may still be on its way.
    pub lost: Disk,
    /// An image of it that somebody keeps.
    pub image: Option<Disk>,
    /// Its disk forgot something that it has not got back yet, whether its process knows or not.
    pub forgot: bool,
    /// It was asked to leave, and starts again when it has.
    pub leaving: bool,
    pub clock: Clock,
    pub ppm: i64,
    /// Counts machine boots, unique over the cluster.
    pub boot: u64,
    pub paused_until: u64,
    pub app: App,
    pub soft: BTreeMap<String, Vec<u8>>,
    pub soft_seen: BTreeMap<u32, BTreeMap<String, Vec<u8>>>,
    pub writes: VecDeque<Write>,
    pub generation: u64,
    pub tick_at: u64,
    pub disk_free_at: u64,
    /// When it begins with the write that it was given last.
    pub disk_begins_at: u64,
    pub disk_stalled_until: u64,
    pub slow_disk: Option<SlowDisk>,
    pub store_failed: bool,
    pub t_fail_us: u64,
    pub nodelist_digest: [u8; 32],
    pub trust_store: bool,
    /// The machine is powered off or being fenced: nobody starts it before.
    pub off_until: u64,
}

impl Node {
    pub fn new(id: u32, t_fail_us: u64, ppm: i64) -> Self {
        Self {
            id,
            core: None,
            witness: None,
            me: identity(id, 0, 0, 0),
            process: Process(u32::MAX),
            disk: Disk::default(),
            lost: Disk::default(),
            image: None,
            forgot: false,
            leaving: false,
            clock: Clock {
                base_true: 0,
                base_local: 10_000_000 + u64::from(id) * 1_234_567,
                ppm,
            },
            ppm,
            boot: u64::from(id) << 32,
            paused_until: 0,
            app: App::default(),
            soft: BTreeMap::new(),
            soft_seen: BTreeMap::new(),
            writes: VecDeque::new(),
            generation: 0,
            tick_at: u64::MAX,
            disk_free_at: 0,
            disk_begins_at: 0,
            disk_stalled_until: 0,
            slow_disk: None,
            store_failed: false,
            t_fail_us,
            nodelist_digest: [7; 32],
            trust_store: false,
            off_until: 0,
        }
    }

    pub fn up(&self) -> bool {
        self.core.is_some() || self.witness.is_some()
    }

    /// One input for the running process.
    pub fn handle(&mut self, local: Time, input: Input) -> bool {
        if let Some(core) = &mut self.core {
            core.handle(local, input);
        } else if let Some(witness) = &mut self.witness {
            witness.handle(local, input);
        }
        self.up()
    }

    pub fn poll(&mut self) -> Option<Output> {
        match (&mut self.core, &mut self.witness) {
            (Some(core), _) => core.poll(),
            (None, witness) => witness.as_mut().and_then(Witness::poll),
        }
    }

    pub fn next_timeout(&self) -> Option<Time> {
        match &self.core {
            Some(core) => core.next_timeout(),
            None => self.witness.as_ref().and_then(Witness::next_timeout),
        }
    }

    pub fn may_speak(&self) -> bool {
        let core = self.core.as_ref().is_some_and(Core::may_speak);
        core || self.witness.as_ref().is_some_and(Witness::may_speak)
    }

    /// Its disk has everything that was ever promised.
    pub fn is_whole(&self) -> bool {
        let votes = |w: &WitnessRecord| !w.recovering && w.view.is_some();
        let stands = |s: &SafetyRecord| !s.recovering && s.view_no > 0;
        let disk = &self.disk;
        let kept =
            disk.safety.as_ref().is_some_and(stands) || disk.witness.as_ref().is_some_and(votes);
        kept && !self.forgot && !disk.degraded
    }

    /// The process dies. Finished writes stay; of the unfinished ones any prefix may have reached
    /// the disk.
    pub fn crash(&mut self, now: u64, rng: &mut Rng) -> Vec<DurableOp> {
        self.core = None;
        self.witness = None;
        self.leaving = false;
        // Whoever can kill it has the machine running: no process runs beside a clock that stands.
        self.clock.go_on(now);
        self.paused_until = 0;
        self.generation += 1;
        self.tick_at = u64::MAX;
        let ops: Vec<DurableOp> = self.writes.drain(..).flat_map(|w| w.ops).collect();
        if self.store_failed || !rng.permille(500) {
            return Vec::new();
        }
        let keep = rng.below(ops.len() as u64 + 1) as usize;
        ops.into_iter().take(keep).collect()
    }

    /// Power lost: another machine boot, a clock from the start.
    pub fn reboot(&mut self, now: u64, rng: &mut Rng) {
        self.boot += 1;
        self.paused_until = 0;
        self.clock = Clock {
            base_true: now,
            base_local: rng.range(1_000_000, 60_000_000),
            ppm: self.ppm,
        };
    }

    pub fn next_identity(&self, random: u64) -> Identity {
        let node = self.disk.safety.as_ref().map_or(0, |s| s.incarnation);
        let witness = self.disk.witness.as_ref().map_or(0, |s| s.incarnation);
        let incarnation = node.max(witness) + 1;
        identity(self.id, self.boot, random, incarnation)
    }
}

fn identity(id: u32, boot: u64, random: u64, incarnation: u64) -> Identity {
    let mut machine = [0; 16];
    machine[..8].copy_from_slice(&boot.to_be_bytes());
    let mut process = [id as u8; 16];
    process[..8].copy_from_slice(&random.to_be_bytes());
    Identity {
        node: NodeId(id),
        machine_boot: MachineBoot(machine),
        process_boot: ProcessBoot(process),
        incarnation,
    }
}
