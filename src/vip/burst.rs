//! Announcements that follow the first one, in the background.

use netlink::{Announcer, Link};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What became of an address's announcements.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: AtomicU64,
    trouble: Mutex<String>,
}

impl Tally {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Why the last one could not be sent; empty when it could.
    pub(super) fn trouble(&self) -> String {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note<T>(&self, ip: IpAddr, result: netlink::Result<T>) -> Option<T> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(value) => {
                trouble.clear();
                Some(value)
            }
            Err(error) => {
                let text = error.to_string();
                // Once per cause: a burst on a broken interface would fill the log.
                if *trouble != text {
                    tracing::warn!(%ip, %error, "address not announced");
                    *trouble = text;
                }
                None
            }
        }
    }
}

/// An address that can be announced.
#[derive(Debug)]
pub(super) struct Voice {
    pub(super) announcer: Arc<Announcer>,
    pub(super) ip: IpAddr,
    pub(super) tally: Arc<Tally>,
}

impl Voice {
    pub(super) fn speak(&self) {
        if self
            .tally
            .note(self.ip, self.announcer.announce(self.ip))
            .is_some()
        {
            self.tally.sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Open announcing sockets by interface. They stay open: closing a packet socket waits for every
/// processor to pass through a quiet state, tens of milliseconds that no stop should cost.
#[derive(Debug, Default)]
pub(super) struct Announcers(Mutex<BTreeMap<u32, Arc<Announcer>>>);

impl Announcers {
    /// The one for that interface, opened when there is none or its hardware address changed.
    pub(super) fn on(&self, link: &Link) -> netlink::Result<Arc<Announcer>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(announcer) = open
            .get(&link.index)
            .filter(|announcer| announcer.fits(link))
        {
            return Ok(Arc::clone(announcer));
        }
        let announcer = Arc::new(Announcer::open(link)?);
        open.insert(link.index, Arc::clone(&announcer));
        Ok(announcer)
    }
}

/// The thread that sends what is due; at most one burst per resource, ends when dropped.
#[derive(Debug)]
pub(super) struct Bursts {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Bursts {
    pub(super) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("vip-announce".to_owned())
            .spawn(move || for_thread.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Sends `count` announcements, the first after one `interval`; replaces the resource's
    /// burst under way.
    pub(super) fn add(&self, resource: &str, voice: Arc<Voice>, count: u32, interval: Duration) {
        if count == 0 {
            return;
        }
        let due = Instant::now() + interval;
        let burst = Burst {
            voice,
            left: count,
            interval,
            due,
        };
        self.shared.plan().bursts.insert(resource.to_owned(), burst);
        self.shared.changed.notify_one();
    }

    /// Ends a resource's burst: nothing is announced once this has returned.
    pub(super) fn cancel(&self, resource: &str) {
        self.shared.plan().bursts.remove(resource);
    }
}

impl Drop for Bursts {
    fn drop(&mut self) {
        self.shared.plan().stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing left to undo.
            drop(thread.join());
        }
    }
}

#[derive(Debug)]
struct Burst {
    voice: Arc<Voice>,
    left: u32,
    interval: Duration,
    due: Instant,
}

#[derive(Debug, Default)]
struct Plan {
    bursts: BTreeMap<String, Burst>,
    stop: bool,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Plan>,
    changed: Condvar,
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut plan = self.plan();
        while !plan.stop {
            // Sent under the lock (some 20 us each), so that a cancelled burst is really over.
            let next = plan.send_due(Instant::now());
            plan = match next {
                None => self
                    .changed
                    .wait(plan)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let wait = due.saturating_duration_since(Instant::now());
                    let waited = self.changed.wait_timeout(plan, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Plan {
    /// Sends what is due and returns when the next one is.
    fn send_due(&mut self, now: Instant) -> Option<Instant> {
        for burst in self.bursts.values_mut() {
            if burst.due > now {
                continue;
            }
            burst.voice.speak();
            burst.left -= 1;
            burst.due = now + burst.interval;
        }
        self.bursts.retain(|_, burst| burst.left > 0);
        self.bursts.values().map(|burst| burst.due).min()
    }
}
