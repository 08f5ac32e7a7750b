//! Announcements that follow the first one, in the background.

use netlink::Announcer;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An address that can be announced, and how often it was.
#[derive(Debug)]
pub(super) struct Voice {
    pub(super) announcer: Announcer,
    pub(super) ip: IpAddr,
    pub(super) sent: AtomicU64,
}

impl Voice {
    pub(super) fn speak(&self) -> netlink::Result<()> {
        self.announcer.announce(self.ip)?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
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
        for (resource, burst) in &mut self.bursts {
            if burst.due > now {
                continue;
            }
            if let Err(error) = burst.voice.speak() {
                tracing::warn!(%resource, ip = %burst.voice.ip, %error, "announcement not sent");
            }
            burst.left -= 1;
            burst.due = now + burst.interval;
        }
        self.bursts.retain(|_, burst| burst.left > 0);
        self.bursts.values().map(|burst| burst.due).min()
    }
}
