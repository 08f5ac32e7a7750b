//! The thread that keeps the leases, and its handle.

use super::door::Door;
use super::machine::{Batch, Fresh, LeaseEvent, LeaseTimes, Machine, Standing, Written};
use super::mortal;
use netlink::{AddressSpec, Belts, Lifetime};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Microseconds of CLOCK_BOOTTIME.
pub(super) type Clock = fn() -> u64;

/// The running thread. Dropped without [`LeaseHandle::finish`] it leaves the kernel as it is: the
/// gates stand and close by themselves.
#[derive(Debug)]
pub struct Keeper {
    handle: LeaseHandle,
    thread: Option<JoinHandle<()>>,
}

/// Speaks to the keeper from any thread.
#[derive(Clone, Debug)]
pub struct LeaseHandle(Arc<Shared>);

/// How things stand with the leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseView {
    /// Belts in force.
    pub belts: Belts,
    /// Every address that is wanted here, by resource.
    pub standings: BTreeMap<String, Standing>,
    /// Why the kernel refused the last write; empty when all is well.
    pub trouble: String,
}

/// How the keeper is to leave the kernel behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No address is held any more: every rule goes.
    Clean,
    /// Addresses stay for ever and unguarded: the administrator detaches (maintenance mode).
    Detach,
    /// Something is still held, or another daemon follows: the gates stay and close by themselves.
    Leave,
}

#[derive(Debug)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: EventFd,
    view: Mutex<Seen>,
    changed: Condvar,
    clock: Clock,
    times: LeaseTimes,
}

#[derive(Debug, Default)]
struct Inbox {
    fresh: Option<Vec<Fresh>>,
    orders: VecDeque<Order>,
    /// Orders ever given.
    given: u64,
}

/// What others may see of the keeper's state.
#[derive(Debug, Default)]
struct Seen {
    view: LeaseView,
    /// Until when each address that needs a lease may speak; 0 = not now.
    leased: BTreeMap<IpAddr, u64>,
    /// Orders carried out.
    done: u64,
    /// Why an order could not be carried out, by its number.
    refused: BTreeMap<u64, String>,
    ended: bool,
}

#[derive(Debug)]
enum Order {
    Configure(BTreeSet<IpAddr>, BTreeSet<String>),
    Want {
        vip: String,
        ip: IpAddr,
        link: Option<String>,
    },
    Address(String, Box<AddressSpec>),
    Close(String, Option<IpAddr>),
    Check,
    Finish(End),
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
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            wake: EventFd::from_value_and_flags(0, flags)?,
            view: Mutex::default(),
            changed: Condvar::new(),
            clock,
            times,
        });
        shared.seen().view.belts = door.belts();
        let work = Work {
            shared: Arc::clone(&shared),
            machine: Machine::new(times),
            door,
            events,
            configured: BTreeSet::new(),
            links: BTreeSet::new(),
            own_links: BTreeMap::new(),
            guarded: None,
            attached: None,
            detached: BTreeSet::new(),
            detached_until_us: clock() + DETACHED_US_MAX,
            belts: BTreeMap::new(),
            checked_us: clock(),
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

impl LeaseHandle {
    /// The protocol's newest word, whole. Never waits.
    pub fn feed(&self, fresh: Vec<Fresh>) {
        self.0.inbox().fresh = Some(fresh);
        self.0.wake();
    }

    /// Addresses that are gated here whether held or not, and the devices they would be on.
    pub fn configure(&self, ips: BTreeSet<IpAddr>, links: BTreeSet<String>) {
        self.give(Order::Configure(ips, links));
    }

    /// A stamp that is newer by less than this, in microseconds, is not worth a renewal.
    #[must_use]
    pub fn renewal_step_us(&self) -> u64 {
        self.0.times.heartbeat_us / 2
    }

    /// An address is up here already (a restarted daemon finds it): its gate opens as soon as this
    /// process is granted it.
    pub fn adopt(&self, vip: &str, ip: IpAddr, link: Option<String>) {
        self.give(Order::Want {
            vip: vip.to_owned(),
            ip,
            link,
        });
    }

    /// Opens the gate of an address and waits until it is open. The gates stand before that, so
    /// that the address may be added afterwards (R15).
    ///
    /// # Errors
    /// Why it did not open within `wait`; it is closed again then.
    pub fn open(&self, vip: &str, ip: IpAddr, link: &str, wait: Duration) -> Result<(), String> {
        let until = Instant::now() + wait;
        let number = self.give(Order::Want {
            vip: vip.to_owned(),
            ip,
            link: Some(link.to_owned()),
        });
        let result = self.await_open(vip, number, until);
        if result.is_err() {
            self.give(Order::Close(vip.to_owned(), Some(ip)));
        }
        result
    }

    fn await_open(&self, vip: &str, number: u64, until: Instant) -> Result<(), String> {
        let mut seen = self.0.seen();
        loop {
            if let Some(why) = seen.refused.remove(&number) {
                return Err(why);
            }
            if seen.done >= number && self.is_open_in(&seen.view, vip) {
                return Ok(());
            }
            let now = Instant::now();
            if now >= until || seen.ended {
                return Err(why_shut(&seen.view, vip));
            }
            let waited = self.0.changed.wait_timeout(seen, until - now);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The address as it was added, so that its lifetime is renewed with the lease.
    pub fn address(&self, vip: &str, spec: AddressSpec) {
        self.give(Order::Address(vip.to_owned(), Box::new(spec)));
    }

    /// Closes the gate of an address; when this returns without an error nothing leaves or enters
    /// for it any more, and nobody renews its lifetime.
    ///
    /// # Errors
    /// What the kernel said. The gate closes by itself within the lease then.
    pub fn close(&self, vip: &str, ip: Option<IpAddr>) -> Result<(), String> {
        let number = self.give(Order::Close(vip.to_owned(), ip));
        self.await_done(number)
    }

    /// Something changed the kernel's tables or links: look at once.
    pub fn check(&self) {
        self.give(Order::Check);
    }

    /// Ends the keeper and leaves the kernel as said.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn finish(&self, end: End) -> Result<(), String> {
        let number = self.give(Order::Finish(end));
        self.await_done(number)
    }

    /// How things stand.
    #[must_use]
    pub fn view(&self) -> LeaseView {
        self.0.seen().view.clone()
    }

    /// The address may speak now, as far as leases are concerned: those that need none may.
    #[must_use]
    pub fn may_speak_for(&self, ip: IpAddr) -> bool {
        let seen = self.0.seen();
        let until_us = seen.leased.get(&ip).copied();
        until_us.is_none_or(|until_us| (self.0.clock)() < until_us)
    }

    /// The address may speak now.
    #[must_use]
    pub fn is_open(&self, vip: &str) -> bool {
        self.is_open_in(&self.0.seen().view, vip)
    }

    /// Microseconds of CLOCK_BOOTTIME, as the ends in [`Standing`] count.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        (self.0.clock)()
    }

    fn is_open_in(&self, view: &LeaseView, vip: &str) -> bool {
        let now_us = (self.0.clock)();
        matches!(view.standings.get(vip), Some(Standing::Open { until_us, .. }) if now_us < *until_us)
    }

    fn give(&self, order: Order) -> u64 {
        let mut inbox = self.0.inbox();
        inbox.orders.push_back(order);
        inbox.given += 1;
        let number = inbox.given;
        drop(inbox);
        self.0.wake();
        number
    }

    fn await_done(&self, number: u64) -> Result<(), String> {
        let until = Instant::now() + ORDER_WAIT_MAX;
        let mut seen = self.0.seen();
        loop {
            if let Some(why) = seen.refused.remove(&number) {
                return Err(why);
            }
            if seen.done >= number {
                return Ok(());
            }
            let now = Instant::now();
            if now >= until || seen.ended {
                return Err("the lease thread does not answer".to_owned());
            }
            let waited = self.0.changed.wait_timeout(seen, until - now);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn why_shut(view: &LeaseView, vip: &str) -> String {
    match view.standings.get(vip) {
        _ if !view.trouble.is_empty() => format!("the kernel refuses the gate: {}", view.trouble),
        Some(Standing::Lapsed { grant_no }) => {
            format!("the lease of grant {grant_no} ran out and no new one has come")
        }
        _ => "no quorum confirms that this node may hold the address: is it cut off?".to_owned(),
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // The counter is full only when the thread has not looked for 2^64 words.
        let _ = self.wake.write(1);
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
    trouble: String,
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
            let first = given - orders.len() as u64;
            let mut refused = Vec::new();
            let mut end = None;
            for (at, order) in orders.into_iter().enumerate() {
                let number = first + at as u64 + 1;
                if let Order::Finish(how) = order {
                    end = Some(how);
                }
                if let Err(why) = self.obey(order) {
                    refused.push((number, why));
                }
            }
            if let Some(fresh) = fresh {
                self.machine.feed(fresh);
            }
            if end.is_none() {
                self.write();
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
        let mut fds = [PollFd::new(self.shared.wake.as_fd(), PollFlags::POLLIN)];
        let timeout = TimeSpec::from_duration(Duration::from_micros(wait_us));
        // A signal ends the sleep early; the loop looks at everything anyway.
        let woken = ppoll(&mut fds, Some(timeout), None);
        if woken.is_ok_and(|n| n > 0) {
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
            Order::Want { vip, ip, link } => {
                self.machine.want(&vip, ip);
                if let Some(link) = link {
                    self.own_links.insert(vip, link);
                    // It may have gone and come again since.
                    self.attached = None;
                }
                self.guard()
            }
            Order::Address(vip, spec) => {
                if self.machine.standing(&vip).is_some() {
                    let old = self.belts.remove(&vip);
                    let same = old.filter(|b| b.spec == *spec).map(|b| b.refreshed_us);
                    let refreshed_us = same.unwrap_or(0);
                    let spec = *spec;
                    self.belts.insert(vip, Belt { spec, refreshed_us });
                }
                Ok(())
            }
            Order::Close(vip, ip) => self.close(&vip, ip),
            Order::Check => {
                self.checked_us = 0;
                self.attached = None;
                self.guard()
            }
            Order::Finish(end) => self.finish(end),
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

    fn close(&mut self, vip: &str, ip: Option<IpAddr>) -> Result<(), String> {
        self.belts.remove(vip);
        self.own_links.remove(vip);
        let known = self.machine.unwant(vip);
        let ips: BTreeSet<IpAddr> = known.into_iter().chain(ip).collect();
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
        for (((_, vip), spec), there) in due.into_iter().zip(specs).zip(there) {
            if !there {
                continue;
            }
            match self.door.refresh(&mortal(spec)) {
                Ok(()) => {
                    if let Some(belt) = self.belts.get_mut(&vip) {
                        belt.refreshed_us = now_us;
                    }
                }
                Err(why) => self.machine.tell(LeaseEvent::WriteFailed { why }),
            }
        }
    }

    /// Looks whether the table is as it was made, now and then and when somebody changed tables.
    fn look_after_table(&mut self) {
        let now_us = (self.shared.clock)();
        if now_us < self.check_at_us() {
            return;
        }
        self.checked_us = now_us;
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
/// So long after the start a detached address goes on without a lease, in microseconds.
const DETACHED_US_MAX: u64 = 5_000_000;
/// Longest wait for an order to be carried out; the kernel answers within a millisecond.
const ORDER_WAIT_MAX: Duration = Duration::from_secs(2);
/// Refusals kept for who may still ask.
const REFUSED_MAX: usize = 64;

#[cfg(test)]
mod tests;
