//! How others speak to the keeper: orders in, what stands out. No caller but one that asks for it
//! ever waits.

use super::machine::{Fresh, Lack, LeaseTimes, Standing};
use netlink::{AddressSpec, Belts};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Microseconds of CLOCK_BOOTTIME.
pub(super) type Clock = fn() -> u64;

/// Speaks to the keeper from any thread.
#[derive(Clone, Debug)]
pub struct LeaseHandle(pub(super) Arc<Shared>);

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

/// What the handles and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inbox: Mutex<Inbox>,
    pub(super) wake: EventFd,
    pub(super) view: Mutex<Seen>,
    pub(super) changed: Condvar,
    pub(super) clock: Clock,
    pub(super) times: LeaseTimes,
}

/// What the thread has not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) fresh: Option<Vec<Fresh>>,
    pub(super) orders: VecDeque<Order>,
    /// Orders ever given.
    pub(super) given: u64,
}

/// What others may see of the keeper's state.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) view: LeaseView,
    /// Until when each address that needs a lease may speak; 0 = not now.
    pub(super) leased: BTreeMap<IpAddr, u64>,
    /// Orders carried out.
    pub(super) done: u64,
    /// Why an order could not be carried out, by its number.
    pub(super) refused: BTreeMap<u64, String>,
    pub(super) ended: bool,
}

/// What the thread is asked.
#[derive(Debug)]
pub(super) enum Order {
    Configure(BTreeSet<IpAddr>, BTreeSet<String>),
    Want {
        vip: String,
        ip: IpAddr,
        /// Name and number of the device.
        link: Option<(String, u32)>,
    },
    Address(String, Box<AddressSpec>),
    Close(String, Option<IpAddr>),
    Check,
    Finish(End),
}

/// An address that is up: its resource, name and number of its device when it is to be adopted, and
/// how it was added.
pub(in crate::vip) type Kept = (String, Option<(String, u32)>, AddressSpec);

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
    pub fn adopt(&self, vip: &str, ip: IpAddr, link: Option<(String, u32)>) {
        self.give(Order::Want {
            vip: vip.to_owned(),
            ip,
            link,
        });
    }

    /// Opens the gates of addresses (resource, address, name and number of the device) together and
    /// waits until each is open. They stand before that, so that the addresses may be added
    /// afterwards (R15). In the order given: why one did not open within `wait`; it is closed again.
    #[must_use]
    pub fn open(
        &self,
        all: &[(&str, IpAddr, (&str, u32))],
        wait: Duration,
    ) -> Vec<Result<(), String>> {
        let until = Instant::now() + wait;
        let want = |(vip, ip, (link, index)): &(&str, IpAddr, (&str, u32))| Order::Want {
            vip: (*vip).to_owned(),
            ip: *ip,
            link: Some(((*link).to_owned(), *index)),
        };
        let last = self.give_all(all.iter().map(want));
        let first = last + 1 - all.len() as u64;
        let results: Vec<_> = all
            .iter()
            .zip(first..=last)
            .map(|((vip, ..), number)| self.await_open(vip, number, until))
            .collect();
        let shut = all.iter().zip(&results).filter(|(_, r)| r.is_err());
        self.give_all(shut.map(|((vip, ip, _), _)| Order::Close((*vip).to_owned(), Some(*ip))));
        results
    }

    /// As [`LeaseHandle::adopt`] and [`LeaseHandle::address`] for many; those with a device are
    /// adopted.
    pub(in crate::vip) fn addresses(&self, all: Vec<Kept>) {
        let orders = all.into_iter().flat_map(|(vip, link, spec)| {
            let want = link.map(|link| Order::Want {
                vip: vip.clone(),
                ip: spec.ip,
                link: Some(link),
            });
            want.into_iter()
                .chain([Order::Address(vip, Box::new(spec))])
        });
        self.give_all(orders);
    }

    /// As [`LeaseHandle::close`] for many.
    pub fn close_all(&self, all: &[(String, Option<IpAddr>)]) -> Vec<Result<(), String>> {
        let close = |(vip, ip): &(String, Option<IpAddr>)| Order::Close(vip.clone(), *ip);
        let last = self.give_all(all.iter().map(close));
        let first = last + 1 - all.len() as u64;
        (first..=last)
            .map(|number| self.await_done(number))
            .collect()
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
                return Err(match seen.done >= number {
                    true => why_shut(&seen.view, vip, (self.0.clock)()),
                    false => BEHIND.to_owned(),
                });
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

    /// The address is up here, or about to be: open, waiting or lapsed.
    #[must_use]
    pub fn is_wanted(&self, vip: &str) -> bool {
        self.0.seen().view.standings.contains_key(vip)
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

    pub(super) fn give(&self, order: Order) -> u64 {
        self.give_all([order])
    }

    /// Returns the number of the last one; they are numbered without a gap.
    fn give_all(&self, orders: impl IntoIterator<Item = Order>) -> u64 {
        let mut inbox = self.0.inbox();
        let before = inbox.orders.len();
        inbox.orders.extend(orders);
        let new = inbox.orders.len() - before;
        inbox.given += new as u64;
        let number = inbox.given;
        drop(inbox);
        if new > 0 {
            self.0.wake();
        }
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
                return Err(BEHIND.to_owned());
            }
            let waited = self.0.changed.wait_timeout(seen, until - now);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn why_shut(view: &LeaseView, vip: &str, now_us: u64) -> String {
    let lack = match view.standings.get(vip) {
        _ if !view.trouble.is_empty() => {
            return format!("the kernel refuses the gate: {}", view.trouble);
        }
        None => return "it was stopped while it waited".to_owned(),
        Some(Standing::Lapsed { grant_no } | Standing::Open { grant_no, .. }) => {
            return format!("the lease of grant {grant_no} ran out and no new one has come");
        }
        Some(Standing::Waiting(lack)) => lack,
    };
    match lack {
        Lack::Grant => "the cluster has not granted it to this node, or no longer does".to_owned(),
        Lack::Quorum => {
            "no quorum confirms that this node may hold the address: is it cut off?".to_owned()
        }
        Lack::Gate { stamp_us } => format!(
            "a quorum last answered what this node sent {} ms ago, and too little of that lease was left: is this machine overloaded?",
            now_us.saturating_sub(*stamp_us) / 1_000
        ),
    }
}

impl Shared {
    pub(super) fn new(clock: Clock, times: LeaseTimes) -> std::io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self {
            inbox: Mutex::default(),
            wake: EventFd::from_value_and_flags(0, flags)?,
            view: Mutex::default(),
            changed: Condvar::new(),
            clock,
            times,
        })
    }

    pub(super) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // The counter is full only when the thread has not looked for 2^64 words.
        let _ = self.wake.write(1);
    }
}

/// The thread has not come to an order in the time that was given.
const BEHIND: &str =
    "the lease thread does not answer: is this machine overloaded, or does the kernel hang?";
/// Longest wait for an order to be carried out; the kernel answers within a millisecond.
const ORDER_WAIT_MAX: Duration = Duration::from_secs(2);
