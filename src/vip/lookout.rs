//! The thread that listens for claims to our addresses.

use super::burst::Bursts;
use super::conflict::{
    Conflict, Defence, Defender, Referee, Ruling, Sentry, Surroundings, interval,
};
use super::held::HeldTable;
use netlink::{Claim, ClaimListener};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Watches held addresses until it is dropped.
#[derive(Debug)]
pub(super) struct Lookout {
    shared: Arc<Shared>,
    wake: PipeWriter,
    thread: Option<JoinHandle<()>>,
}

impl Lookout {
    /// Starts the thread in the calling thread's network namespace.
    pub(super) fn start(bursts: Arc<Bursts>, held: Arc<HeldTable>) -> std::io::Result<Self> {
        let (reader, wake) = std::io::pipe()?;
        let shared = Arc::new(Shared::default());
        let watcher = Watcher {
            shared: Arc::clone(&shared),
            bursts,
            held,
            posts: BTreeMap::new(),
            surroundings: Surroundings::default(),
        };
        let thread = std::thread::Builder::new()
            .name("vip-watch".to_owned())
            .spawn(move || watcher.run(reader))?;
        Ok(Self {
            shared,
            wake,
            thread: Some(thread),
        })
    }

    pub(super) fn set_referee(&self, referee: Arc<dyn Referee>) {
        self.shared.plan().referee = referee;
    }

    /// Watches the addresses of resources and asks once whether somebody else has them. Known ones
    /// are asked about again, not more often than [`ASK_INTERVAL`]. The thread arranges itself anew
    /// for all of them each time it is woken: that is once for all that came together.
    pub(super) fn add(&self, all: Vec<(&str, Sentry)>) {
        let now = Instant::now();
        let mut plan = self.shared.plan();
        let mut news = false;
        for (resource, sentry) in all {
            if plan.knows(resource, &sentry, now) {
                continue;
            }
            plan.sentries.insert(resource.to_owned(), (sentry, now));
            plan.questions.insert(resource.to_owned());
            news = true;
        }
        drop(plan);
        if news {
            self.wake();
        }
    }

    /// Ends the watch of resources: their addresses are not defended once this has returned.
    pub(super) fn remove(&self, resources: &[&str]) {
        let mut plan = self.shared.plan();
        let before = plan.sentries.len();
        for resource in resources {
            plan.sentries.remove(*resource);
        }
        let fewer = plan.sentries.len() < before;
        drop(plan);
        if fewer {
            self.wake();
        }
    }

    /// A pipe that is full wakes, too.
    fn wake(&self) {
        self.shared.plan().changed = true;
        let mut pipe = &self.wake;
        if let Err(error) = pipe.write_all(&[1]) {
            tracing::debug!(%error, "the watching thread is gone");
        }
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.shared.plan().stop = true;
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing left to undo.
            drop(thread.join());
        }
    }
}

struct Plan {
    /// By resource, with the time it was last asked about.
    sentries: BTreeMap<String, (Sentry, Instant)>,
    questions: BTreeSet<String>,
    referee: Arc<dyn Referee>,
    changed: bool,
    stop: bool,
}

impl Plan {
    /// This address is on watch, and was asked about lately.
    fn knows(&self, resource: &str, sentry: &Sentry, now: Instant) -> bool {
        self.sentries.get(resource).is_some_and(|(old, asked)| {
            let recent = now.saturating_duration_since(*asked) < ASK_INTERVAL;
            let address = (old.ip, old.prefix) == (sentry.ip, sentry.prefix);
            let link = (old.link.index, &old.link.mac) == (sentry.link.index, &sentry.link.mac);
            recent && address && link
        })
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            sentries: BTreeMap::new(),
            questions: BTreeSet::new(),
            referee: Arc::new(Defender),
            changed: false,
            stop: false,
        }
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("sentries", &self.sentries)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Shared(Mutex<Plan>);

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One interface: who listens there, and how each address stands.
struct Post {
    listener: ClaimListener,
    defences: BTreeMap<IpAddr, Defence>,
}

struct Watcher {
    shared: Arc<Shared>,
    bursts: Arc<Bursts>,
    held: Arc<HeldTable>,
    posts: BTreeMap<u32, Post>,
    surroundings: Surroundings,
}

impl Watcher {
    fn run(mut self, mut wake: PipeReader) {
        loop {
            let (stop, changed) = {
                let mut plan = self.shared.plan();
                (plan.stop, std::mem::take(&mut plan.changed))
            };
            if stop {
                return;
            }
            if changed {
                let (sentries, asked) = self.plan();
                self.rearrange(&sentries);
                self.put_questions(&asked);
            }
            if self.wait(&mut wake) {
                self.hear();
            }
            self.have_the_last_word();
        }
    }

    /// Who is on watch, and who of them is to be asked about. Read together: a question whose
    /// listener is not there yet would have its answer lost.
    fn plan(&self) -> (Vec<Sentry>, Vec<Sentry>) {
        let mut plan = self.shared.plan();
        let questions = std::mem::take(&mut plan.questions);
        let asked = questions.iter().filter_map(|r| plan.sentries.get(r));
        let asked = asked.map(|(sentry, _)| sentry.clone()).collect();
        let all = plan.sentries.values().map(|(sentry, _)| sentry.clone());
        (all.collect(), asked)
    }

    /// Listens exactly where addresses are held.
    fn rearrange(&mut self, sentries: &[Sentry]) {
        let mut wanted: BTreeMap<u32, (netlink::Link, BTreeSet<IpAddr>)> = BTreeMap::new();
        for sentry in sentries {
            let link = sentry.link.clone();
            let entry = wanted.entry(link.index);
            entry.or_insert((link, BTreeSet::new())).1.insert(sentry.ip);
        }
        self.posts.retain(|index, _| wanted.contains_key(index));
        for (index, (link, ips)) in wanted {
            let kept = self.posts.remove(&index);
            let kept = kept.filter(|post| post.listener.fits(&link));
            let opened = match kept {
                Some(post) => Ok(post),
                None => ClaimListener::new(&link).map(|listener| Post {
                    listener,
                    defences: BTreeMap::new(),
                }),
            };
            let watching = opened.and_then(|mut post| {
                post.listener.watch(&ips)?;
                post.defences.retain(|ip, _| ips.contains(ip));
                Ok(post)
            });
            match watching {
                Ok(post) => drop(self.posts.insert(index, post)),
                // As for announcements: interfaces without neighbours, missing rights.
                Err(error) => tracing::debug!(%error, "second holders would stay unnoticed"),
            }
        }
    }

    /// Our own kernel says nothing about another holder: somebody must ask.
    fn put_questions(&mut self, asked: &[Sentry]) {
        for sentry in asked {
            let source = match sentry.ip {
                IpAddr::V4(_) => None,
                IpAddr::V6(_) => self.surroundings.source_on(sentry.link.index),
            };
            if let Err(error) = sentry.voice.announcer.question(sentry.ip, source) {
                tracing::debug!(ip = %sentry.ip, %error, "could not ask for a second holder");
            }
        }
    }

    /// Waits for a claim, a change of plan or a last word; true when there may be a claim.
    fn wait(&self, wake: &mut PipeReader) -> bool {
        let dues = self.posts.values().flat_map(|post| post.defences.values());
        let due = dues.filter_map(Defence::due).min();
        let timeout = due.map_or(PollTimeout::NONE, |due| {
            let left = due.saturating_duration_since(Instant::now());
            PollTimeout::from(left.as_millis().min(60_000) as u16 + 1)
        });
        let descriptors: Vec<_> = self
            .posts
            .values()
            .flat_map(|post| post.listener.descriptors())
            .collect();
        let mut fds = vec![PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            descriptors
                .iter()
                .map(|fd| PollFd::new(*fd, PollFlags::POLLIN)),
        );
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            // Memory pressure: wait without the sockets rather than spin.
            Err(_) => std::thread::sleep(BREATH),
        }
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        let claims = fds[1..].iter().any(ready);
        if ready(&fds[0]) {
            // What was written says only that the plan changed; reading it may fall short.
            let _ = wake.read(&mut [0; 64]);
        }
        claims
    }

    fn hear(&mut self) {
        let mut heard: Vec<(u32, Claim)> = Vec::new();
        for (index, post) in &self.posts {
            for _ in 0..CLAIMS_MAX {
                match post.listener.next() {
                    Ok(Some(claim)) => heard.push((*index, claim)),
                    Ok(None) => break,
                    // An interface that went down says so once.
                    Err(_) => break,
                }
            }
        }
        // A claim about something that is only asked for is answered by the kernel.
        heard.retain(|(_, claim)| !claim.probing);
        for (index, claim) in heard {
            self.judge(index, claim);
        }
        // A flood is read slowly; the kernel drops what does not fit into the socket's queue.
        std::thread::sleep(BREATH);
    }

    fn judge(&mut self, index: u32, claim: Claim) {
        let now = Instant::now();
        let found = {
            let plan = self.shared.plan();
            let mut sentries = plan.sentries.iter();
            let found = sentries.find(|(_, (s, _))| s.ip == claim.ip && s.link.index == index);
            found.map(|(name, (s, _))| (name.clone(), s.clone(), Arc::clone(&plan.referee)))
        };
        let Some((resource, sentry, referee)) = found else {
            return;
        };
        if self.surroundings.is_own(claim.mac, now) {
            return;
        }
        let member = self.surroundings.member(claim.mac, &*referee);
        let news = sentry.tally.claimed(claim.mac, member.clone());
        let Some(post) = self.posts.get_mut(&index) else {
            return;
        };
        let defence = post.defences.entry(claim.ip).or_default();
        if !defence.claim(now, interval(member.is_some())) {
            return;
        }
        let conflict = Conflict {
            resource,
            ip: claim.ip,
            device: sentry.link.name.clone(),
            mac: claim.mac,
            member,
            claims: sentry.tally.conflicts(),
        };
        let ruling = referee.ruling(&conflict);
        tell(&conflict, ruling, news);
        match ruling {
            Ruling::Defend => self.defend(&conflict.resource, claim.ip),
            Ruling::Yield => self.give_up(&conflict, &sentry),
        }
    }

    /// Under the lock, so that nothing is announced once the resource's stop has gone on.
    fn defend(&self, resource: &str, ip: IpAddr) {
        let plan = self.shared.plan();
        if let Some((sentry, _)) = plan.sentries.get(resource)
            && sentry.ip == ip
        {
            sentry.voice.speak();
        }
    }

    /// Under no two locks at once: others hold the table of held addresses while they come here.
    fn give_up(&mut self, conflict: &Conflict, sentry: &Sentry) {
        let resource = &conflict.resource;
        {
            let mut plan = self.shared.plan();
            let current = plan.sentries.get(resource);
            // Stopped or started anew since: not ours to remove.
            if current.is_none_or(|(now, _)| !Arc::ptr_eq(&now.tally, &sentry.tally)) {
                return;
            }
            plan.sentries.remove(resource);
            plan.changed = true;
        }
        // Nobody puts it back.
        if self.held.leave_to(resource, &sentry.tally) {
            self.bursts.cancel(&[resource]);
            self.surroundings.remove(sentry);
        }
    }

    fn have_the_last_word(&mut self) {
        let now = Instant::now();
        let mut due: Vec<(u32, IpAddr)> = Vec::new();
        for (index, post) in &mut self.posts {
            for (ip, defence) in &mut post.defences {
                if defence.settle(now) {
                    due.push((*index, *ip));
                }
            }
        }
        let plan = self.shared.plan();
        for (index, ip) in due {
            let mut sentries = plan.sentries.values();
            if let Some((s, _)) = sentries.find(|(s, _)| (s.link.index, s.ip) == (index, ip)) {
                s.voice.speak();
            }
        }
    }
}

/// Loud for news; the same one again is no news.
fn tell(conflict: &Conflict, ruling: Ruling, news: bool) {
    let Conflict {
        resource,
        ip,
        device,
        mac,
        member,
        claims,
    } = conflict;
    let member = member.as_deref().unwrap_or("none");
    if news || ruling == Ruling::Yield {
        tracing::warn!(
            resource, %ip, device, %mac, member, claims, ?ruling,
            "somebody else claims an address that is held here"
        );
    } else {
        tracing::debug!(resource, %ip, %mac, claims, ?ruling, "claimed again");
    }
}

/// Between two questions for a second holder of an address.
const ASK_INTERVAL: Duration = Duration::from_secs(10);
/// Claims taken from one interface before the others have their turn.
const CLAIMS_MAX: usize = 16;
/// Between two readings.
const BREATH: Duration = Duration::from_millis(5);
