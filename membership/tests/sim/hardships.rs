//! Faults that take several steps, and machines that deceive their processes: flapping and swizzled
//! networks, a stopped virtual machine, a starved process, disks that go back or rot.

use crate::disk::Disk;
use crate::faults::Fault;
use crate::world::{Happening, MS, SECOND, World};

/// The next step of a fault that began earlier.
#[derive(Clone, Copy, Debug)]
pub enum More {
    /// The pair's path is cut for half a period, `times` more.
    Flap {
        a: u32,
        b: u32,
        period_us: u64,
        times: u32,
    },
    /// A node is cut off.
    Isolate { node: u32, until: u64 },
    /// The process is off the processor again.
    Starve { node: u32, until: u64 },
}

impl World {
    pub fn more(&mut self, more: More) {
        match more {
            More::Flap {
                a,
                b,
                period_us,
                times,
            } => {
                self.net.cut_both(a, b, self.now + period_us / 2);
                if times > 0 {
                    let times = times - 1;
                    let next = More::Flap {
                        a,
                        b,
                        period_us,
                        times,
                    };
                    self.later(period_us, Happening::Fault(Fault::More(next)));
                }
            }
            More::Isolate { node, until } => self.isolate(node, until),
            More::Starve { node, until } => {
                let off_us = self.rng.range(MS, 120 * MS);
                let on_us = self.rng.range(MS, 20 * MS);
                if self.node(node).paused_until <= self.now {
                    self.pause(node, off_us);
                }
                if self.now + off_us + on_us < until {
                    let next = More::Starve { node, until };
                    self.later(off_us + on_us, Happening::Fault(Fault::More(next)));
                }
            }
        }
    }

    /// Between half a detection timeout and five of them, up and down (reliability 4.3).
    pub fn flap(&mut self, a: u32, b: u32) -> bool {
        let t = self.setup.t_fail_us.iter().copied().min().unwrap_or(SECOND);
        let period_us = self.rng.range(t / 2, 5 * t);
        let times = self.rng.range(2, 12) as u32;
        self.more(More::Flap {
            a,
            b,
            period_us,
            times,
        });
        true
    }

    /// Some nodes go, each a little after the other, and come back in another order.
    pub fn swizzle(&mut self, until: u64) -> bool {
        let mut chosen: Vec<u32> = (1..=self.size()).collect();
        chosen.retain(|_| self.rng.permille(600));
        let span = until - self.now;
        for node in &chosen {
            let in_us = self.rng.below(span / 2 + 1);
            let until = until + self.rng.below(span + 1);
            let node = *node;
            let cut = More::Isolate { node, until };
            self.later(in_us, Happening::Fault(Fault::More(cut)));
        }
        !chosen.is_empty()
    }

    pub fn starve(&mut self, node: u32, until: u64) -> bool {
        self.more(More::Starve { node, until });
        self.node(node).up()
    }

    /// A virtual machine stands still, CLOCK_BOOTTIME included, and goes on as if nothing had been.
    /// What its kernel still answers for after that is bounded and stated (R17, ruling 9), so runs
    /// that watch kernels leave this to a scenario of its own.
    pub fn stop_machine(&mut self, id: u32) -> bool {
        let awake = self.node(id).up() && self.node(id).paused_until <= self.now;
        if self.kernels.on || !awake {
            return false;
        }
        let for_us = self.rng.exponential(SECOND).min(20 * SECOND);
        let now = self.now;
        self.node_mut(id).clock.stop(now, for_us);
        self.pause(id, for_us);
        let authority_us = self.setup.t_fail_us.iter().copied().max().unwrap_or(SECOND);
        self.oracle.clock_stood(id, now + for_us + authority_us);
        true
    }

    /// A restored image, from before the running process began: everybody has seen a later one. An
    /// image of which no living node can tell that it is old is beyond what a protocol can notice.
    pub fn roll_back(&mut self, id: u32) -> bool {
        if !self.sound() || !self.settled() {
            return false;
        }
        let node = self.node_mut(id);
        let incarnation = |d: &Disk| {
            let node = d.safety.as_ref().map_or(0, |s| s.incarnation);
            node.max(d.witness.as_ref().map_or(0, |w| w.incarnation))
        };
        let known = |d: &Disk| {
            let node = d.safety.as_ref().is_some_and(|s| s.view_no > 0);
            node || d.witness.as_ref().is_some_and(|w| w.view.is_some())
        };
        let old = node
            .image
            .take_if(|image| incarnation(image) < node.me.incarnation);
        let Some(image) = old else {
            if node.image.is_none() && known(&node.disk) {
                node.image = Some(node.disk.clone());
            }
            return false;
        };
        self.kill(id);
        let node = self.node_mut(id);
        node.lost = std::mem::replace(&mut node.disk, image);
        node.forgot = true;
        self.oracle.disk_lost(id);
        let in_us = self.rng.range(10 * MS, SECOND);
        self.later(in_us, Happening::Start { node: id });
        true
    }

    /// One record of the log, or the snapshot's place in it, is not what was written.
    pub fn rot(&mut self, id: u32) -> bool {
        if !self.may_lose() || self.node(id).disk.log.is_empty() {
            return false;
        }
        self.kill(id);
        let seqs: Vec<u64> = self.node(id).disk.log.keys().copied().collect();
        let (Some(seq), drop) = (self.rng.pick(&seqs).copied(), self.rng.permille(300)) else {
            return false;
        };
        let at = self.rng.next();
        let node = self.node_mut(id);
        node.lost = node.disk.clone();
        node.forgot = true;
        if drop {
            node.disk.log.remove(&seq);
            node.disk.degraded = true;
        } else if let Some(record) = node.disk.log.get_mut(&seq) {
            let bit = at as usize % (8 * record.len());
            record[bit / 8] ^= 1 << (bit % 8);
        }
        // The safety slots are whole: nothing that was promised is forgotten.
        let in_us = self.rng.range(10 * MS, SECOND);
        self.later(in_us, Happening::Start { node: id });
        true
    }
}
