//! Announcements: the first one, and those that follow it in the background.

use netlink::{Announcer, Link, Mac};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What became of an address's announcements, and who else claimed it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    sent: AtomicU64,
    conflicts: AtomicU64,
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    trouble: String,
    foreign: Option<Foreign>,
    given_up: bool,
}

/// Who claimed the address last.
#[derive(Debug)]
struct Foreign {
    mac: Mac,
    member: Option<String>,
    heard: Instant,
}

impl Foreign {
    fn text(&self) -> String {
        match &self.member {
            Some(member) => format!("{} (member {member})", self.mac),
            None => self.mac.to_string(),
        }
    }
}

impl Tally {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Claims of others heard while the address is here.
    pub(super) fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }

    /// Notes a claim; true when it comes from somebody new, or after a long silence.
    pub(super) fn claimed(&self, mac: Mac, member: Option<String>) -> bool {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
        let heard = Instant::now();
        let mut words = self.words();
        let known = |old: &Foreign| old.mac == mac && heard - old.heard < FOREIGN_SHOWN;
        let news = !words.foreign.as_ref().is_some_and(known);
        words.foreign = Some(Foreign { mac, member, heard });
        news
    }

    /// Who else claimed the address within [`FOREIGN_SHOWN`]; empty when nobody did.
    pub(super) fn foreign(&self) -> String {
        let words = self.words();
        let recent = words
            .foreign
            .as_ref()
            .filter(|foreign| foreign.heard.elapsed() < FOREIGN_SHOWN);
        recent.map(Foreign::text).unwrap_or_default()
    }

    /// The address was left to who claimed it.
    pub(super) fn give_up(&self) {
        self.words().given_up = true;
    }

    /// To whom the address was left, if it was.
    pub(super) fn given_up_to(&self) -> Option<String> {
        let words = self.words();
        let foreign = words.foreign.as_ref().filter(|_| words.given_up);
        foreign.map(Foreign::text)
    }

    /// Why the last one could not be sent; empty when it could.
    pub(super) fn trouble(&self) -> String {
        self.words().trouble.clone()
    }

    pub(super) fn note<T>(&self, ip: IpAddr, result: netlink::Result<T>) -> Option<T> {
        let trouble = &mut self.words().trouble;
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

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who may forbid an announcement at the last moment; nobody until it is set.
#[derive(Default)]
pub(super) struct Permit(OnceLock<Box<Allowed>>);

type Allowed = dyn Fn(IpAddr) -> bool + Send + Sync;

impl Permit {
    /// Set once, for good; a second one is not heard.
    pub(super) fn set(&self, allowed: Box<Allowed>) {
        let _ = self.0.set(allowed);
    }

    fn allows(&self, ip: IpAddr) -> bool {
        self.0.get().is_none_or(|allowed| allowed(ip))
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Permit")
            .field(&self.0.get().is_some())
            .finish()
    }
}

/// An address that can be announced.
#[derive(Debug)]
pub(super) struct Voice {
    pub(super) announcer: Arc<Announcer>,
    pub(super) ip: IpAddr,
    pub(super) tally: Arc<Tally>,
    pub(super) permit: Arc<Permit>,
    /// In reply form, for equipment that wants it.
    pub(super) reply: bool,
}

impl Voice {
    /// One announcement, if this node may still answer for the address.
    pub(super) fn speak(&self) {
        if !self.permit.allows(self.ip) {
            return;
        }
        let sent = if self.reply {
            self.announcer.announce_as_reply(self.ip)
        } else {
            self.announcer.announce(self.ip)
        };
        if self.tally.note(self.ip, sent).is_some() {
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
        if count > 0 {
            let mut plan = self.shared.plan();
            plan.add(resource, Burst::new(voice, count, interval));
            self.shared.changed.notify_one();
        }
    }

    /// Addresses are to be told again: each at once and at the later times of [`REPEATS`]; a burst
    /// under way goes on beside it.
    pub(super) fn repeat(&self, resource: &str, voice: Arc<Voice>) {
        self.shared.plan().repeat(resource, voice, 0);
        self.shared.changed.notify_one();
    }

    /// Addresses that have just come here and were announced once: what is to follow for each, as
    /// the parameters say and at [`REPEATS`]. The thread looks at all of them each time it wakes, so
    /// that it is woken once for all.
    pub(super) fn follow_up(&self, all: Vec<Sequel>) {
        let mut plan = self.shared.plan();
        for sequel in all {
            let Sequel {
                resource,
                voice,
                count,
                interval,
            } = sequel;
            if count > 0 {
                plan.add(&resource, Burst::new(Arc::clone(&voice), count, interval));
            }
            plan.repeat(&resource, voice, 1);
        }
        self.shared.changed.notify_one();
    }

    /// Nothing more is to come.
    #[cfg(test)]
    pub(super) fn are_over(&self) -> bool {
        self.shared.plan().bursts.is_empty()
    }

    /// Ends the bursts of resources: nothing is announced once this has returned.
    pub(super) fn cancel(&self, resources: &[&str]) {
        let mut plan = self.shared.plan();
        for resource in resources {
            plan.bursts.remove(*resource);
        }
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

/// What follows an address's first announcement.
#[derive(Debug)]
pub(super) struct Sequel {
    pub(super) resource: String,
    pub(super) voice: Arc<Voice>,
    /// As the parameters say.
    pub(super) count: u32,
    pub(super) interval: Duration,
}

#[derive(Debug)]
struct Burst {
    voice: Arc<Voice>,
    /// As the parameters say.
    left: u32,
    interval: Duration,
    due: Instant,
    /// Since when the repeats of a new holder run, and which of [`REPEATS`] is next.
    repeats: Option<(Instant, usize)>,
}

impl Burst {
    fn new(voice: Arc<Voice>, left: u32, interval: Duration) -> Self {
        Self {
            voice,
            left,
            interval,
            due: Instant::now() + interval,
            repeats: None,
        }
    }

    /// When the next announcement is due; nothing when the burst is over.
    fn next(&self) -> Option<Instant> {
        let regular = (self.left > 0).then_some(self.due);
        let repeat = self
            .repeats
            .and_then(|(start, next)| Some(start + *REPEATS.get(next)?));
        regular.into_iter().chain(repeat).min()
    }

    /// One announcement serves both reasons when both are due; after a pause (a frozen process, a
    /// busy machine) no backlog is made up for.
    fn speak_if_due(&mut self, now: Instant) {
        if self.next().is_none_or(|due| due > now) {
            return;
        }
        self.voice.speak();
        if self.left > 0 && self.due <= now {
            self.left -= 1;
            self.due = now + self.interval;
        }
        if let Some((start, next)) = &mut self.repeats {
            let past = REPEATS.iter().filter(|after| *start + **after <= now);
            *next = (*next).max(past.count());
        }
    }
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
    fn add(&mut self, resource: &str, burst: Burst) {
        let old = self.bursts.insert(resource.to_owned(), burst);
        // What a new holder still has to repeat is not cut short by a refresh.
        if let (Some(old), Some(new)) = (old, self.bursts.get_mut(resource)) {
            new.repeats = old.repeats;
        }
    }

    /// Repeats from now on, all of [`REPEATS`] but the first `skip`.
    fn repeat(&mut self, resource: &str, voice: Arc<Voice>, skip: usize) {
        let burst = self
            .bursts
            .entry(resource.to_owned())
            .or_insert_with(|| Burst::new(Arc::clone(&voice), 0, Duration::ZERO));
        burst.voice = voice;
        burst.repeats = Some((Instant::now(), skip));
    }

    /// Sends what is due and returns when the next one is.
    fn send_due(&mut self, now: Instant) -> Option<Instant> {
        for burst in self.bursts.values_mut() {
            burst.speak_if_due(now);
        }
        self.bursts.retain(|_, burst| burst.next().is_some());
        self.bursts.values().filter_map(Burst::next).min()
    }
}

/// When a new holder says so again, beside what the parameters ask for: an announcement of the old
/// one, sent while it did not know yet that it is the old one, must not be the last.
const REPEATS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_millis(2_000),
];
/// How long another claimant is shown after it was last heard.
const FOREIGN_SHOWN: Duration = Duration::from_secs(60);
