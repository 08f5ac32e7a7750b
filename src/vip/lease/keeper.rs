//! The thread that keeps the leases.

use super::door::Door;
use super::handle::{Clock, End, LeaseHandle, Order, Shared};
use super::machine::{Batch, Fresh, LeaseEvent, LeaseTimes, Machine, Standing, Written};
use super::mortal;
use netlink::{AddressSpec, Lifetime};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// The running thread. Dropped without [`LeaseHandle::finish`] it leaves the kernel as it is: the
/// gates stand and close by themselves.
#[derive(Debug)]
pub struct Keeper {
    handle: LeaseHandle,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread. Events go to `events`; one that finds no room is in the log only.
    ///
    /// # Errors
    /// The kernel gives no event descriptor or thread.
    pub fn start(
        door: Box<dyn Door>,
        times: LeaseTimes,
        clock: Clock,
        events: mpsc::Sender<LeaseEvent>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(clock, times)?);
        shared.seen().view.belts = door.belts();
        let work = Work {
            shared: Arc::clone(&shared),
            machine: Machine::new(times),
            door,
            events,
            configured: BTreeSet::new(),
            links: BTreeSet::new(),
            own_links: BTreeMap::new(),
            indexes: BTreeMap::new(),
            guarded: None,
            attached: None,
            detached: BTreeSet::new(),
            detached_until_us: clock() + DETACHED_US_MAX,
            belts: BTreeMap::new(),
            checked_us: clock(),
            touched: false,
            trouble: String::new(),
        };
        let thread = std::thread::Builder::new()
            .name("vip-lease".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || work.run())?;
        Ok(Self {
            handle: LeaseHandle(shared),
            thread: Some(thread),
        })
    }

    /// A handle for others.
    #[must_use]
    pub fn handle(&self) -> LeaseHandle {
        self.handle.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.handle.give(Order::Finish(End::Leave));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the lease thread ended by a panic");
        }
    }
}

/// What the thread works on.
struct Work {
    shared: Arc<Shared>,
    machine: Machine,
    door: Box<dyn Door>,
    events: mpsc::Sender<LeaseEvent>,
    configured: BTreeSet<IpAddr>,
    links: BTreeSet<String>,
    /// Devices of the addresses held here.
    own_links: BTreeMap<String, String>,
    /// Numbers that these devices had when they were last seen.
    indexes: BTreeMap<String, u32>,
    /// What the kernel was told to guard; `None` before the first word.
    guarded: Option<BTreeSet<IpAddr>>,
    /// Devices whose announcements are gated; `None` when that may have changed.
    attached: Option<BTreeSet<String>>,
    /// Addresses that a detached predecessor left for ever: not silenced before this process has
    /// had the time to be granted them.
    detached: BTreeSet<IpAddr>,
    detached_until_us: u64,
    belts: BTreeMap<String, Belt>,
    checked_us: u64,
    /// Somebody changed the table since.
    touched: bool,
    trouble: String,
}

/// Orders that are being taken, in their order.
#[derive(Default)]
struct Orders {
    /// Number of the one taken last.
    taken: u64,
    /// Wanted, and yet to be guarded.
    wanted: Vec<u64>,
    /// Yet to be closed.
    closing: Vec<(u64, String, Option<IpAddr>)>,
    refused: Vec<(u64, String)>,
    end: Option<End>,
}

impl Orders {
    /// `given` is the last one's number, and they are numbered without a gap.
    fn from(given: u64, count: usize) -> Self {
        Self {
            taken: given - count as u64,
            ..Self::default()
        }
    }

    fn number(&mut self) -> u64 {
        self.taken += 1;
        self.taken
    }
}

struct Belt {
    spec: AddressSpec,
    refreshed_us: u64,
}

impl Work {
    fn run(mut self) {
        // Without the right (containers) the thread runs as any other; `doctor` tells.
        if let Err(error) = netlink::make_thread_realtime(REALTIME_PRIORITY) {
            tracing::info!("leases are renewed without real-time priority: {error}");
        }
        loop {
            self.wait();
            let (fresh, orders, given) = self.take();
            let ordered = !orders.is_empty();
            // What stands must not run out while orders are carried out, however many they are.
            if let Some(fresh) = fresh {
                self.machine.feed(fresh);
                self.write();
            }
            let mut done = Orders::from(given, orders.len());
            for order in orders {
                self.take_order(order, &mut done);
            }
            self.settle(&mut done);
            let Orders {
                mut refused, end, ..
            } = done;
            if end.is_none() {
                self.write();
                if ordered {
                    // Whoever waits for what it ordered goes on at once.
                    self.show(given, std::mem::take(&mut refused), false);
                }
                self.refresh();
                self.look_after_table();
                self.release_detached();
                self.drop_lapsed();
            }
            self.publish(given, refused, end.is_some());
            if end.is_some() {
                return;
            }
        }
    }

    fn wait(&self) {
        let now_us = (self.shared.clock)();
        let next_us = self.machine.next_end_us().unwrap_or(u64::MAX);
        let wait_us = next_us.min(self.check_at_us()).saturating_sub(now_us);
        let wake = PollFd::new(self.shared.wake.as_fd(), PollFlags::POLLIN);
        let watch = self
            .door
            .watch()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let mut fds: Vec<PollFd> = std::iter::once(wake).chain(watch).collect();
        let timeout = TimeSpec::from_duration(Duration::from_micros(wait_us));
        // A signal ends the sleep early; the loop looks at everything anyway.
        let woken = ppoll(&mut fds, Some(timeout), None);
        if woken.is_ok_and(|n| n > 0) && fds[0].any() == Some(true) {
            let _ = self.shared.wake.read();
        }
    }

    fn take(&self) -> (Option<Vec<Fresh>>, VecDeque<Order>, u64) {
        let mut inbox = self.shared.inbox();
        (
            inbox.fresh.take(),
            std::mem::take(&mut inbox.orders),
            inbox.given,
        )
    }

    /// What is wanted or closed in a row is guarded and closed together: each is one transaction of
    /// the kernel, however many addresses it speaks of.
    fn take_order(&mut self, order: Order, done: &mut Orders) {
        let number = done.number();
        match order {
            Order::Want { vip, ip, link } => {
                if !done.closing.is_empty() {
                    self.settle(done);
                }
                self.want(vip, ip, link);
                done.wanted.push(number);
            }
            Order::Close(vip, ip) => {
                if !done.wanted.is_empty() {
                    self.settle(done);
                }
                done.closing.push((number, vip, ip));
            }
            Order::Address(vip, spec) => self.keep_address(vip, *spec),
            other => {
                self.settle(done);
                if let Order::Finish(how) = &other {
                    done.end = Some(*how);
                }
                if let Err(why) = self.obey(other) {
                    done.refused.push((number, why));
                }
            }
        }
    }

    fn settle(&mut self, done: &mut Orders) {
        let closing = std::mem::take(&mut done.closing);
        let mut numbers = std::mem::take(&mut done.wanted);
        let result = match (closing.is_empty(), numbers.is_empty()) {
            (true, true) => return,
            (true, false) => self.guard(),
            (false, _) => {
                numbers.extend(closing.iter().map(|(number, ..)| *number));
                self.close(closing)
            }
        };
        if let Err(why) = result {
            let refused = numbers.into_iter().map(|number| (number, why.clone()));
            done.refused.extend(refused);
        }
    }

    fn keep_address(&mut self, vip: String, spec: AddressSpec) {
        if self.machine.standing(&vip).is_none() {
            return;
        }
        let old = self.belts.remove(&vip);
        let same = old.filter(|b| b.spec == spec).map(|b| b.refreshed_us);
        let refreshed_us = same.unwrap_or(0);
        let ip = spec.ip;
        let is_open = matches!(self.machine.standing(&vip), Some(Standing::Open { .. }));
        self.belts.insert(vip, Belt { spec, refreshed_us });
        if !is_open && !self.door.belts().gates {
            // Its lease ended while the address was brought up.
            self.silence(&[ip]);
        }
    }

    /// Orders that are carried out one by one.
    fn obey(&mut self, order: Order) -> Result<(), String> {
        match order {
            Order::Configure(ips, links) => {
                if self.guarded.is_none() {
                    self.find_detached(&ips);
                }
                self.configured = ips;
                // A device that came back has no gate, whatever its name.
                self.attached = None;
                self.links = links;
                self.guard()
            }
            Order::Check => {
                self.checked_us = 0;
                self.attached = None;
                self.guard()
            }
            Order::Finish(end) => self.finish(end),
            // Taken together with their neighbours.
            Order::Want { .. } | Order::Close(..) | Order::Address(..) => Ok(()),
        }
    }

    fn want(&mut self, vip: String, ip: IpAddr, link: Option<(String, u32)>) {
        self.machine.want(&vip, ip);
        if let Some((link, index)) = link {
            if self.indexes.insert(link.clone(), index) != Some(index) {
                // A device that came again has no gate, whatever its name.
                self.attached = None;
            }
            self.own_links.insert(vip, link);
        }
    }

    /// Everything configured or wanted is gated, on the devices where it is or would be.
    fn guard(&mut self) -> Result<(), String> {
        let mut ips: BTreeSet<IpAddr> = self
            .configured
            .difference(&self.detached)
            .copied()
            .collect();
        ips.extend(self.machine.ips().difference(&self.detached));
        let mut links = self.links.clone();
        links.extend(self.own_links.values().cloned());
        if self.guarded.as_ref() != Some(&ips) {
            self.door.guard(&ips)?;
            self.guarded = Some(ips);
        }
        if self.attached.as_ref() != Some(&links) {
            self.door.attach(&links)?;
            self.attached = Some(links);
        }
        Ok(())
    }

    fn close(&mut self, all: Vec<(u64, String, Option<IpAddr>)>) -> Result<(), String> {
        let mut ips = BTreeSet::new();
        for (_, vip, ip) in all {
            self.belts.remove(&vip);
            self.own_links.remove(&vip);
            ips.extend(self.machine.unwant(&vip).into_iter().chain(ip));
        }
        let held = self.machine.ips();
        // Another resource may have the same address, if somebody configured that.
        let ips: Vec<IpAddr> = ips.difference(&held).copied().collect();
        self.detached.retain(|d| !ips.contains(d));
        let closed = match ips.is_empty() {
            true => Ok(()),
            false => self.door.close(&ips),
        };
        closed.and(self.guard())
    }

    /// Addresses on this machine that live for ever were left by a daemon that detached: everything
    /// that is held has an end.
    fn find_detached(&mut self, ips: &BTreeSet<IpAddr>) {
        let gated = self.door.guarded();
        self.detached = match self.door.here(ips) {
            Ok(found) => {
                let forever = found
                    .into_iter()
                    .filter(|(ip, ever)| *ever && !gated.contains(ip));
                forever.map(|(ip, _)| ip).collect()
            }
            Err(error) => {
                tracing::warn!("addresses could not be looked at: {error}");
                BTreeSet::new()
            }
        };
        for ip in &self.detached {
            tracing::info!(%ip, "left here by a daemon that detached: it goes on speaking for now");
        }
    }

    fn release_detached(&mut self) {
        if self.detached.is_empty() {
            return;
        }
        let open = self.machine.open_ips();
        let late = (self.shared.clock)() >= self.detached_until_us;
        let before = self.detached.len();
        self.detached.retain(|ip| !late && !open.contains(ip));
        if self.detached.len() != before
            && let Err(why) = self.guard()
        {
            self.machine.tell(LeaseEvent::WriteFailed { why });
        }
    }

    /// Brings the kernel to where the newest word allows it to be.
    fn write(&mut self) {
        loop {
            let before_us = (self.shared.clock)();
            let batch = self.machine.plan(before_us);
            if batch.is_empty() {
                return;
            }
            let lapsed = self.put(&batch);
            self.trouble = lapsed.as_ref().err().cloned().unwrap_or_default();
            let written = Written {
                before_us,
                after_us: (self.shared.clock)(),
                lapsed,
            };
            let again = self.machine.written(&written);
            if again {
                continue;
            }
            let late = self.machine.too_late();
            if !late.is_empty() {
                self.silence(&late);
            }
            return;
        }
    }

    fn put(&mut self, batch: &Batch) -> Result<Vec<IpAddr>, String> {
        if !batch.close.is_empty() {
            self.silence(&batch.close);
        }
        if !batch.arm.is_empty() {
            self.door.arm(&batch.arm)?;
        }
        match batch.renew.is_empty() {
            true => Ok(Vec::new()),
            false => self.door.renew(&batch.renew),
        }
    }

    /// Without gates only an address that is gone is silent.
    fn silence(&mut self, ips: &[IpAddr]) {
        if ips.is_empty() {
            return;
        }
        let mut result = self.door.close(ips);
        if !self.door.belts().gates {
            for belt in self.belts.values().filter(|b| ips.contains(&b.spec.ip)) {
                result = result.and(self.door.remove(&belt.spec));
            }
        }
        if let Err(why) = result {
            self.machine.tell(LeaseEvent::WriteFailed { why });
        }
    }

    /// Without gates an address whose lease ran out has to go itself; with them it goes by the end
    /// of its lifetime, if no new grant comes before.
    fn drop_lapsed(&mut self) {
        if self.door.belts().gates {
            return;
        }
        let lapsed = |e: &LeaseEvent| match e {
            LeaseEvent::Lapsed { vip, .. } => Some(vip.clone()),
            _ => None,
        };
        let vips: Vec<String> = self
            .machine
            .peek_events()
            .iter()
            .filter_map(lapsed)
            .collect();
        let ips: Vec<IpAddr> = vips.iter().filter_map(|v| self.machine.ip_of(v)).collect();
        self.silence(&ips);
    }

    /// Renews the lifetimes of addresses whose lease stands.
    fn refresh(&mut self) {
        let now_us = (self.shared.clock)();
        let gates = self.door.belts().gates;
        let machine = &self.machine;
        let due = |vip: &str, belt: &Belt| {
            let fresh = gates || machine.stamp_age_us(vip, now_us) <= Some(BELT_STAMP_AGE_US_MAX);
            let open = matches!(machine.standing(vip), Some(Standing::Open { .. }));
            open && fresh && now_us.saturating_sub(belt.refreshed_us) >= BELT_REFRESH_US
        };
        let mut due: Vec<(u64, String)> = self
            .belts
            .iter()
            .filter(|(vip, belt)| due(vip, belt))
            .map(|(vip, belt)| (belt.refreshed_us, vip.clone()))
            .collect();
        due.sort();
        due.truncate(BELTS_PER_ROUND);
        if due.is_empty() {
            return;
        }
        let specs: Vec<AddressSpec> = due
            .iter()
            .map(|(_, v)| self.belts[v].spec.clone())
            .collect();
        // The kernel would add what somebody has removed: that is the monitor's to tell.
        let there = match self.door.present(&specs) {
            Ok(there) => there,
            Err(why) => return self.machine.tell(LeaseEvent::WriteFailed { why }),
        };
        let seconds = self.shared.times.belt_seconds();
        for (((_, vip), spec), there) in due.into_iter().zip(specs).zip(there) {
            if !there {
                continue;
            }
            match self.door.refresh(&mortal(spec, seconds)) {
                Ok(()) => {
                    if let Some(belt) = self.belts.get_mut(&vip) {
                        belt.refreshed_us = now_us;
                    }
                }
                Err(why) => self.machine.tell(LeaseEvent::WriteFailed { why }),
            }
        }
    }

    /// Looks whether the table is as it was made, now and then and when somebody changed it. Our
    /// own writes of this round are heard and passed over here, before they would end the sleep.
    fn look_after_table(&mut self) {
        let now_us = (self.shared.clock)();
        self.touched |= self.door.was_touched();
        if now_us < self.check_at_us() {
            return;
        }
        self.checked_us = now_us;
        self.touched = false;
        match self.door.mend() {
            Ok(None) => {}
            Ok(Some(what)) => {
                self.machine.tell(LeaseEvent::TableChanged { what });
                self.guarded = None;
                self.attached = None;
                self.machine.table_lost(now_us);
                if let Err(why) = self.guard() {
                    self.machine.tell(LeaseEvent::WriteFailed { why });
                }
                self.write();
            }
            Err(why) => self.machine.tell(LeaseEvent::WriteFailed { why }),
        }
    }

    fn check_at_us(&self) -> u64 {
        let every_us = match self.door.belts().owned {
            _ if self.touched => CHECK_TOUCHED_EVERY_US,
            true => CHECK_OWNED_EVERY_US,
            false => CHECK_EVERY_US,
        };
        self.checked_us.saturating_add(every_us)
    }

    fn finish(&mut self, end: End) -> Result<(), String> {
        match end {
            End::Leave => Ok(()),
            End::Clean => {
                let gated = self.door.guarded();
                let left = self.door.here(&gated)?;
                if let Some(ip) = left.keys().next() {
                    return Err(format!("{ip} is still here: its gate stays, closed"));
                }
                self.door.lower()
            }
            End::Detach => {
                let mut result = Ok(());
                for belt in self.belts.values() {
                    let forever = AddressSpec {
                        valid: Lifetime::Forever,
                        ..belt.spec.clone()
                    };
                    result = result.and(self.door.refresh(&forever));
                }
                result.and(self.door.lower())
            }
        }
    }

    fn publish(&mut self, given: u64, refused: Vec<(u64, String)>, ended: bool) {
        for event in self.machine.events() {
            if let Err(error) = self.events.try_send(event) {
                tracing::warn!("a lease event found nobody to listen: {error}");
            }
        }
        self.show(given, refused, ended);
    }

    /// How things stand, for whoever looks or waits.
    fn show(&self, given: u64, refused: Vec<(u64, String)>, ended: bool) {
        let mut seen = self.shared.seen();
        seen.done = given;
        seen.refused.extend(refused);
        while seen.refused.len() > REFUSED_MAX {
            seen.refused.pop_first();
        }
        seen.ended = ended;
        seen.view.standings = self.machine.standings();
        seen.leased = self.configured.iter().map(|ip| (*ip, 0)).collect();
        seen.leased.extend(self.machine.ends_us());
        for ip in &self.detached {
            seen.leased.insert(*ip, u64::MAX);
        }
        seen.view.belts = self.door.belts();
        seen.view.trouble.clone_from(&self.trouble);
        drop(seen);
        self.shared.changed.notify_all();
    }
}

/// Real-time priority of the thread: above the protocol's, whose word it carries to the kernel in
/// some ten microseconds.
const REALTIME_PRIORITY: i32 = 51;
/// Stack of the thread.
const STACK_BYTES: usize = 256 * 1024;
/// Between two refreshes of an address's lifetime, in microseconds: three may fail.
const BELT_REFRESH_US: u64 = 500_000;
/// Where the lifetime is the only belt it is renewed on stamps of at most this age, in
/// microseconds: what is left of [`super::BELT_HOLD_US`].
const BELT_STAMP_AGE_US_MAX: u64 = 40_000;
/// Lifetimes renewed between two renewals of leases.
const BELTS_PER_ROUND: usize = 32;
/// Between two looks at the table, in microseconds.
const CHECK_EVERY_US: u64 = 1_000_000;
/// The same where nobody else may change it.
const CHECK_OWNED_EVERY_US: u64 = 30_000_000;
/// The same while somebody else keeps changing it: whoever does that in a loop must not keep this
/// thread from its renewals.
const CHECK_TOUCHED_EVERY_US: u64 = 20_000;
/// So long after the start a detached address goes on without a lease, in microseconds.
const DETACHED_US_MAX: u64 = 5_000_000;
/// Refusals kept for who may still ask.
const REFUSED_MAX: usize = 64;

#[cfg(test)]
mod tests;
