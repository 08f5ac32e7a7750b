//! The kernel's side of a VIP lease: on every machine nftables elements with a timeout, the thread
//! that renews them from `Core::leases()`, and a coordinator that moves VIPs about. Elements live
//! on while the process is frozen, dead or starting again; they end with the machine's power.
//! Chance comes from a source of its own, so that runs without leases are what they were.

use std::collections::BTreeMap;

use membership::*;
use wire::Identity;

use crate::heirs::Rights;
use crate::rng::Rng;
use crate::world::{Happening, MS, SECOND, World};

/// An answer of the lease thread on its way into the kernel.
#[derive(Clone, Debug)]
pub struct Write {
    pub node: u32,
    pub generation: u64,
    pub vip: String,
    /// Armed under a new grant; `false`: the batch of delete and add, which fails after a lapse.
    pub arm: bool,
    /// Clock read before the write, and the element's timeout.
    pub read_at: Time,
    pub stamp: Time,
    /// The write before came late: once more, then it is closed.
    pub again: bool,
    pub timeout_us: u64,
}

/// What is due.
#[derive(Clone, Debug)]
pub enum KernelWork {
    /// A write reaches the kernel.
    Write(Write),
    /// The thread reads its clock again and takes a late write back.
    Check(Write),
    /// It closes what it no longer holds.
    Close { node: u32, vip: String },
    /// Coordinators place and move VIPs.
    Place,
}

/// What the lease thread of the running process knows of a VIP.
#[derive(Clone, Debug, Default)]
struct Keeper {
    grant_no: u64,
    armed: bool,
    lapsed: bool,
    writing: bool,
    written: Option<Time>,
}

/// One machine's kernel, and the thread of its running process.
#[derive(Debug, Default)]
pub struct Kernel {
    /// True time at which the element ends.
    elements: BTreeMap<String, u64>,
    keepers: BTreeMap<String, Keeper>,
    /// The whole machine stands still (a paused VM), not only the process.
    stopped_until: u64,
    off: bool,
}

#[derive(Debug)]
pub struct Kernels {
    pub on: bool,
    pub vips: Vec<String>,
    pub list: BTreeMap<u32, Kernel>,
    /// Elements that ran out although the process held a grant that stood.
    pub lapses: u64,
    pub writes: u64,
    pub moves: u64,
    /// Nobody places: a scenario does it by hand.
    pub by_hand: bool,
    /// Two answering at once is counted here and not reported: what ruling 11 excepts.
    pub tolerant: bool,
    pub overlap_us: u64,
    /// What was given up is said to the heir alone, and nobody tells the log.
    pub word_only: bool,
    /// Who may hold what by the rules.
    pub rights: Rights,
    pub rng: Rng,
}

impl Kernels {
    pub fn new(nodes: u32, seed: u64) -> Self {
        Self {
            on: false,
            vips: vec!["v1".into(), "v2".into()],
            list: (1..=nodes).map(|id| (id, Kernel::default())).collect(),
            lapses: 0,
            writes: 0,
            moves: 0,
            by_hand: false,
            tolerant: false,
            overlap_us: 0,
            word_only: false,
            rights: Rights::default(),
            rng: Rng::new(seed ^ 0x1EA5E),
        }
    }

    fn of(&mut self, id: u32) -> &mut Kernel {
        self.list.entry(id).or_default()
    }

    /// A process began or ended; its thread's memory went with it, the elements stay.
    pub fn process(&mut self, id: u32) {
        let kernel = self.of(id);
        kernel.keepers.clear();
        kernel.off = false;
    }

    pub fn power_off(&mut self, id: u32) {
        *self.of(id) = Kernel {
            off: true,
            ..Kernel::default()
        };
        self.rights.forget(id);
    }

    /// The node stopped everything before it leaves.
    pub fn emptied(&mut self, id: u32) {
        let kernel = self.of(id);
        kernel.elements.clear();
        kernel.keepers.clear();
        self.rights.forget(id);
    }

    /// The machine's own clock stands still, and with it the timeouts.
    pub fn stop_machine(&mut self, id: u32, now: u64, for_us: u64) {
        let kernel = self.of(id);
        kernel.stopped_until = now + for_us;
        for end in kernel.elements.values_mut().filter(|end| **end > now) {
            *end += for_us;
        }
    }

    /// A process sees to it that its machine answers for the VIP no more.
    pub fn silence(&mut self, id: u32, vip: &str) {
        self.of(id).elements.remove(vip);
        self.rights.over(id, vip);
    }

    pub fn lives(&self, id: u32, vip: &str, now: u64) -> bool {
        let end = self.list.get(&id).and_then(|k| k.elements.get(vip));
        end.is_some_and(|end| *end > now)
    }

    pub fn end(&self, id: u32, vip: &str) -> u64 {
        let end = self.list.get(&id).and_then(|k| k.elements.get(vip));
        end.copied().unwrap_or(0)
    }

    pub fn holders(&self, vip: &str, now: u64) -> Vec<u32> {
        let ids = self.list.keys().copied();
        ids.filter(|id| self.lives(*id, vip, now)).collect()
    }
}

impl World {
    /// Grants and leases are part of this run.
    pub fn with_leases(mut self) -> Self {
        self.kernels.on = true;
        self.kernels.tolerant = self.oracle.class_u;
        self.later(SECOND, Happening::Kernel(KernelWork::Place));
        self
    }

    /// The protocol thread after a step: what is held goes to the lease thread.
    pub fn kernel_step(&mut self, id: u32) {
        if !self.kernels.on {
            return;
        }
        let now = self.now;
        let node = self.node(id);
        let (local, generation) = (node.clock.local(now), node.generation);
        let Some(core) = &node.core else { return };
        let leases = core.leases();
        let timing = *core.probe().timing;
        self.one_right(id, &leases, timing.lease_us);
        self.close_the_rest(id, &leases);
        for lease in leases {
            let kernel = self.kernels.of(id);
            let live = kernel.elements.get(&lease.vip).is_some_and(|e| *e > now);
            let keeper = kernel.keepers.entry(lease.vip.clone()).or_default();
            if lease.grant_no > keeper.grant_no {
                // A predecessor's element that still lives is renewed: never a moment without.
                *keeper = Keeper {
                    grant_no: lease.grant_no,
                    armed: live,
                    ..Keeper::default()
                };
            }
            let Some(stamp) = lease.stamp else { continue };
            let known = keeper.written == Some(stamp) || keeper.writing || keeper.lapsed;
            // Alone (Q = 1) every step has a new stamp.
            let soon = keeper
                .written
                .is_some_and(|w| stamp.0.saturating_sub(w.0) < timing.heartbeat_us / 4);
            if lease.grant_no < keeper.grant_no || known || (soon && keeper.armed) {
                continue;
            }
            let Some(timeout_us) = timing.element_us(stamp, local) else {
                continue;
            };
            keeper.written = Some(stamp);
            keeper.writing = true;
            let write = Write {
                node: id,
                generation,
                vip: lease.vip,
                arm: !keeper.armed,
                read_at: local,
                stamp,
                again: false,
                timeout_us,
            };
            let in_us = self.kernels.rng.range(10, LATE_WRITE_US - 200);
            self.later(in_us, Happening::Kernel(KernelWork::Write(write)));
        }
    }

    /// Mostly at once, sometimes never: safety does not rest on it.
    fn close_the_rest(&mut self, id: u32, leases: &[Lease]) {
        let kernel = self.kernels.of(id);
        let held = |vip: &String| leases.iter().any(|l| l.vip == *vip);
        let gone: Vec<String> = kernel
            .keepers
            .iter()
            .filter(|(vip, k)| !held(vip) && k.armed)
            .map(|(vip, _)| vip.clone())
            .collect();
        for vip in gone {
            if let Some(keeper) = kernel_keeper(&mut self.kernels, id, &vip) {
                keeper.armed = false;
                keeper.lapsed = true;
            }
            if self.kernels.rng.permille(500) {
                let in_us = self.kernels.rng.range(10, 5 * MS);
                let close = KernelWork::Close { node: id, vip };
                self.later(in_us, Happening::Kernel(close));
            }
        }
    }

    pub fn kernel_work(&mut self, work: KernelWork) {
        match work {
            KernelWork::Write(write) => self.kernel_write(write),
            KernelWork::Check(write) => self.kernel_check(&write),
            KernelWork::Close { node, vip } => {
                let armed = |k: &Kernel| k.keepers.get(&vip).is_some_and(|k| k.armed);
                let kernel = self.kernels.of(node);
                if !armed(kernel) {
                    kernel.elements.remove(&vip);
                }
            }
            KernelWork::Place => self.place(),
        }
    }

    fn kernel_write(&mut self, write: Write) {
        let (id, now) = (write.node, self.now);
        let node = self.node(id);
        if node.generation != write.generation || !node.up() {
            return;
        }
        let local = node.clock.local(now);
        let ends = node.clock.truly(Time(local.0 + write.timeout_us));
        let late = local.0 - write.read_at.0 > LATE_WRITE_US;
        self.kernels.writes += 1;
        let kernel = self.kernels.of(id);
        let live = kernel.elements.get(&write.vip).is_some_and(|e| *e > now);
        let Some(keeper) = kernel.keepers.get_mut(&write.vip) else {
            return;
        };
        keeper.writing = false;
        if write.arm && late {
            // The address is not there before the clock was read again: nobody answers yet.
            keeper.written = None;
            return;
        }
        if !write.arm && !live {
            keeper.lapsed = true;
            keeper.armed = false;
            self.kernels.lapses += 1;
            self.say(id, || format!("the element of {} had lapsed", write.vip));
            return;
        }
        keeper.armed = true;
        kernel.elements.insert(write.vip.clone(), ends);
        self.one_owner(id, &write.vip);
        let in_us = self.kernels.rng.range(1, 100);
        self.later(in_us, Happening::Kernel(KernelWork::Check(write)));
    }

    fn kernel_check(&mut self, write: &Write) {
        let node = self.node(write.node);
        let local = node.clock.local(self.now);
        let Some(core) = node.core.as_ref() else {
            return;
        };
        let same = node.generation == write.generation;
        if !same || local.0 - write.read_at.0 <= LATE_WRITE_US + 200 {
            return;
        }
        let timeout_us = core.probe().timing.element_us(write.stamp, local);
        if let Some(timeout_us) = timeout_us.filter(|_| !write.again) {
            let again = Write {
                read_at: local,
                timeout_us,
                again: true,
                arm: false,
                ..write.clone()
            };
            let in_us = self.kernels.rng.range(10, LATE_WRITE_US - 200);
            self.later(in_us, Happening::Kernel(KernelWork::Write(again)));
            return;
        }
        let kernel = self.kernels.of(write.node);
        kernel.elements.remove(&write.vip);
        if let Some(keeper) = kernel.keepers.get_mut(&write.vip) {
            keeper.armed = false;
            keeper.lapsed = true;
        }
    }

    /// The invariant: at no instant do two machines' elements for one VIP live. Elements are only
    /// ever prolonged by a write, so looking at every write looks at every instant.
    fn one_owner(&mut self, id: u32, vip: &str) {
        let now = self.now;
        let holders = self.kernels.holders(vip, now);
        if let Some(other) = holders.into_iter().find(|n| *n != id) {
            let left_us = self.kernels.end(other, vip) - now;
            if self.kernels.tolerant {
                self.kernels.overlap_us = self.kernels.overlap_us.max(left_us);
                return;
            }
            let text = format!(
                "nodes {other} and {id} both answer for {vip}, for {left_us} us more\n{}",
                self.picture()
            );
            self.oracle.now = now;
            self.oracle.fail("R12", text);
        }
    }

    fn place(&mut self) {
        let in_us = self.kernels.rng.range(20 * MS, 200 * MS);
        self.later(in_us, Happening::Kernel(KernelWork::Place));
        if self.kernels.by_hand {
            return;
        }
        for id in self.acting() {
            if self.node(id).paused_until > self.now {
                continue;
            }
            for vip in self.kernels.vips.clone() {
                self.place_one(id, &vip);
            }
        }
    }

    fn place_one(&mut self, dc: u32, vip: &str) {
        let Some(core) = &self.node(dc).core else {
            return;
        };
        let view = core.probe().view.clone();
        let members: Vec<Identity> = view.members.iter().map(|m| m.identity).collect();
        let Some(grant) = core.log_state().grants.get(vip).cloned() else {
            self.settle_heir(dc, vip);
            if let Some(to) = self.kernels.rng.pick(&members).copied() {
                self.grant(dc, vip, to);
            }
            return;
        };
        let holder = grant.node().0;
        let Some(there) = members.iter().find(|m| m.node == grant.node()).copied() else {
            if let Some(to) = self.kernels.rng.pick(&members).copied() {
                self.grant(dc, vip, to);
            }
            return;
        };
        let lapsed = self.kernels.of(holder).keepers.get(vip);
        let lapsed = lapsed.is_some_and(|k| k.lapsed);
        let dice = match self.calm {
            true => 19,
            false => self.kernels.rng.below(20),
        };
        if matches!(dice, 6 | 7 | 19) {
            self.settle_heir(dc, vip);
        }
        match dice {
            0 => self.revoke(dc, grant.grant_no),
            1 | 2 => self.release(holder, vip),
            // Somebody else, although it is not free: to be refused.
            3 if members.len() > 1 => {
                let other = members.iter().find(|m| m.node != grant.node());
                self.grant(dc, vip, *other.unwrap_or(&there));
            }
            // Somebody else in turn, whose holder then stops, at once or some time later.
            4 | 5 if members.len() > 1 => {
                let others = members.iter().filter(|m| m.node != grant.node());
                let others: Vec<Identity> = others.copied().collect();
                if let Some(to) = self.kernels.rng.pick(&others).copied() {
                    self.grant_in_turn(dc, vip, to);
                }
            }
            _ if lapsed || there != grant.holder => self.grant(dc, vip, there),
            _ => {}
        }
    }

    /// R11: alone of two, only what nobody answers for, and only while the other's own addresses
    /// are silent, too.
    fn unanswered(&self, dc: u32) -> bool {
        let two_node = self.setup.voters.two_node;
        let view = self.node(dc).core.as_ref().map(|c| c.probe().view.clone());
        let alone = view.is_some_and(|v| v.members.len() == 1);
        !(two_node && alone)
            || self
                .kernels
                .list
                .iter()
                .all(|(id, kernel)| *id == dc || kernel.off || kernel.stopped_until > self.now)
    }

    pub fn grant(&mut self, dc: u32, vip: &str, to: Identity) {
        if self.unanswered(dc) {
            self.kernels.moves += 1;
            let op = self.new_op();
            self.propose(dc, op, EntryBody::Grant(Grant::wanted(vip, to)));
        }
    }

    pub fn revoke(&mut self, dc: u32, grant_no: u64) {
        let op = self.new_op();
        self.propose(dc, op, EntryBody::Revoke { grant_no });
    }

    /// The holder removes the address, verifies it, and says so.
    pub fn release(&mut self, id: u32, vip: &str) {
        let awake = self.node(id).up() && self.node(id).paused_until <= self.now;
        let Some(core) = self.node(id).core.as_ref().filter(|_| awake) else {
            return;
        };
        let Some(grant) = core.log_state().grants.get(vip).cloned() else {
            return;
        };
        if grant.node().0 != id {
            return;
        }
        self.kernels.silence(id, vip);
        let keepers = &mut self.kernels.of(id).keepers;
        let keeper = keepers.entry(vip.to_owned()).or_default();
        if keeper.grant_no > grant.grant_no || keeper.writing {
            return;
        }
        *keeper = Keeper {
            grant_no: grant.grant_no,
            lapsed: true,
            ..Keeper::default()
        };
        let waits = |w: &Self| {
            let core = w.node(id).core.as_ref();
            core.is_some_and(|c| c.log_state().heirs.contains_key(vip))
        };
        let may_forget = waits(self) && !self.kernels.by_hand;
        let alone = self.kernels.word_only || (may_forget && self.kernels.rng.permille(500));
        self.say_given_up(id, vip, grant.grant_no);
        // Where this node does not tell the log, whoever heard it does.
        if !alone {
            self.tell_released(id, vip, grant.grant_no);
        }
    }

    pub fn all_held(&self) -> bool {
        self.kernels.vips.iter().all(|v| self.owner(v).is_some())
    }

    /// Who answers for the VIP now.
    pub fn owner(&self, vip: &str) -> Option<u32> {
        self.kernels.holders(vip, self.now).first().copied()
    }
}

fn kernel_keeper<'a>(kernels: &'a mut Kernels, id: u32, vip: &str) -> Option<&'a mut Keeper> {
    kernels.of(id).keepers.get_mut(vip)
}
