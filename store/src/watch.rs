//! A look at the disk when a commit does not come back.
//!
//! A write that fails inside the engine's own threads can leave `flush()` waiting for ever, and a
//! device that hangs leaves anybody waiting. Neither tells a person what is wrong. So a thread of
//! its own watches the clock: a commit that is late is followed by a test write on the same file
//! system, and what the system says of that is the answer.

use std::fs;
use std::io::{Error, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::barrier::write_synced;
use crate::engine::panicked;
use crate::error::StoreError;
use crate::space;

/// What is wrong with the disk under a commit that does not come back.
#[derive(Debug)]
#[non_exhaustive]
pub enum Trouble {
    /// It fails: the store acknowledges nothing any more (S6), whatever becomes of the commit.
    Failed(StoreError),
    /// It does not answer. It still may, and the commit may still end well.
    Hangs {
        /// What was tried, and for how long; for a person, with the cure.
        text: String,
    },
}

/// The store's end of its watch; dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the piece of work begun last.
    number: u64,
    /// Since when it is under way; `None` between two.
    since: Option<Instant>,
    /// The disk failed, in words.
    failed: Option<String>,
    /// The thread sleeps until it is woken: between commits that come in time it looks at its clock
    /// alone, and is not woken for each.
    asleep: bool,
    ended: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Starts the thread; `tell` is called on it, at most once with [`Trouble::Failed`]. Work that
    /// takes longer than `patience` on a disk that takes test writes counts as failed, too.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub(crate) fn start(
        dir: &Path,
        patience: Duration,
        tell: impl Fn(Trouble) + Send + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let watcher = Watcher {
            shared: Arc::clone(&shared),
            dir: dir.to_owned(),
            patience,
            tell,
        };
        thread::Builder::new()
            .name("store-watch".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || watcher.run())?;
        Ok(Self(shared))
    }

    /// Work on the disk begins.
    pub(crate) fn begin(&self) {
        let mut state = self.0.state();
        state.number += 1;
        state.since = Some(Instant::now());
        if std::mem::take(&mut state.asleep) {
            self.0.changed.notify_one();
        }
    }

    /// The work came back; the error says that the disk was found to fail meanwhile.
    pub(crate) fn end(&self) -> Result<(), StoreError> {
        let mut state = self.0.state();
        state.since = None;
        match &state.failed {
            None => Ok(()),
            Some(cause) => Err(StoreError::Poisoned {
                cause: cause.clone(),
            }),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_one();
    }
}

/// Does `work` on a thread of its own, and returns without it when the disk under `dir` fails, or
/// has not answered for [`HANG_WAIT`]: then that thread stays where it is until the process ends.
pub(crate) fn over<T: Send + 'static>(
    dir: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let io = |error| StoreError::io("opening", dir, error);
    let (sender, receiver) = channel();
    let troubles = sender.clone();
    let watch = Watch::start(dir, OPEN_PATIENCE, move |trouble| {
        // Nobody listens any more when the work was done in time.
        let _ = troubles.send(Err(trouble));
    });
    let watch = watch.map_err(io)?;
    watch.begin();
    let thread = thread::Builder::new().name("store-settle".to_owned());
    let thread = thread.spawn(move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        // As above, after a trouble.
        let _ =
            sender.send(done.map_err(|panic| Trouble::Failed(panicked("opening", panic.as_ref()))));
    });
    let thread = thread.map_err(io)?;
    let mut hangs = String::new();
    let done = loop {
        // Without a word of a hanging disk the watch has one in the end.
        let wait = if hangs.is_empty() {
            OPEN_PATIENCE * 2
        } else {
            HANG_WAIT
        };
        match receiver.recv_timeout(wait) {
            Ok(Ok(done)) => break done,
            Ok(Err(Trouble::Failed(error))) => return Err(error),
            // A busy machine starts slowly: it may come yet.
            Ok(Err(Trouble::Hangs { text })) => hangs = text,
            Err(_) => return Err(io(Error::new(ErrorKind::TimedOut, hangs))),
        }
    };
    // Only to reap it: the result is here.
    let _ = thread.join();
    Ok(done)
}

struct Watcher<T> {
    shared: Arc<Shared>,
    dir: PathBuf,
    patience: Duration,
    tell: T,
}

impl<T: Fn(Trouble)> Watcher<T> {
    fn run(&self) {
        let mut told = 0;
        // The engine is to blame only for the time in which the disk answered promptly.
        let mut prompt_since = Instant::now();
        while let Some((number, since)) = self.late(COMMIT_WAIT) {
            let probe = match probe(&self.dir) {
                Ok(probe) => probe,
                Err(error) => return self.failed(StoreError::io("testing", &self.dir, error)),
            };
            let mut answer = probe.recv_timeout(PROBE_WAIT);
            if matches!(answer, Err(RecvTimeoutError::Timeout)) {
                if told != number {
                    told = number;
                    (self.tell)(Trouble::Hangs { text: self.hangs() });
                }
                // For ever, if need be: one waiting test write is enough.
                answer = probe.recv().map_err(|_| RecvTimeoutError::Disconnected);
                prompt_since = Instant::now();
            }
            match answer {
                Ok(Ok(())) if since.max(prompt_since).elapsed() < self.patience => {}
                Ok(Ok(())) => return self.failed(self.engine_hangs(number)),
                Ok(Err(error)) => return self.failed(error),
                // The thread of the test write ended by a panic: nothing is known.
                Err(_) => return,
            }
        }
    }

    /// Waits for work that has been under way for longer than `wait`; `None` when the store is
    /// gone.
    fn late(&self, wait: Duration) -> Option<(u64, Instant)> {
        let mut state = self.shared.state();
        // Between two looks at the same piece of work there is a pause, too.
        let mut looked = Instant::now();
        loop {
            if state.ended {
                return None;
            }
            let changed = &self.shared.changed;
            let Some(since) = state.since else {
                state.asleep = true;
                state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                looked = Instant::now();
                continue;
            };
            let due = since.max(looked) + wait;
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some((state.number, since));
            }
            let waited = changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The disk failed while work was under way, which may have come back by now.
    fn failed(&self, error: StoreError) {
        if matches!(error, StoreError::NoSpace { .. }) {
            space::release_ballast(&self.dir);
        }
        self.shared.state().failed = Some(error.to_string());
        (self.tell)(Trouble::Failed(error));
    }

    fn hangs(&self) -> String {
        format!(
            "the disk under {} does not answer: neither a commit nor a test write has come back for {} s; look at dmesg and at the device's I/O wait",
            self.dir.display(),
            PROBE_WAIT.as_secs()
        )
    }

    fn engine_hangs(&self, number: u64) -> StoreError {
        StoreError::Engine {
            doing: "writing",
            cause: format!(
                "write {number} has not come back for {} s although {} takes test writes: a write failed inside the engine; dmesg may have the disk's error",
                self.patience.as_secs(),
                self.dir.display()
            ),
        }
    }
}

/// Begins a test write in a thread of its own, which may never come back.
fn probe(dir: &Path) -> std::io::Result<Receiver<Result<(), StoreError>>> {
    let (sender, receiver) = sync_channel(1);
    let path = dir.join(PROBE_FILE);
    let thread = thread::Builder::new()
        .name("store-probe".to_owned())
        .stack_size(STACK_BYTES);
    thread.spawn(move || {
        let written = write_synced(&path, &vec![0; PROBE_BYTES]);
        // Left behind it only takes room; the next one overwrites it.
        let _ = fs::remove_file(&path);
        // The watch may have ended meanwhile.
        let _ = sender.send(written.map_err(|e| StoreError::io("writing", &path, e)));
    })?;
    Ok(receiver)
}

/// Name of the test write, in the store's directory.
pub(crate) const PROBE_FILE: &str = "probe.tmp";

/// Size of a test write, in bytes: where less is free the engine's next piece does not fit either.
const PROBE_BYTES: usize = 1024 * 1024;

/// A commit that takes longer is followed by a look at the disk. The membership gives up after 2 s
/// (ruling 13): by then the cause should be known.
const COMMIT_WAIT: Duration = Duration::from_secs(1);

/// A test write that takes longer means that the device hangs.
const PROBE_WAIT: Duration = Duration::from_secs(2);

/// A commit that has not come back for this long while test writes do never will.
pub(crate) const COMMIT_PATIENCE: Duration = Duration::from_secs(60);

/// As [`COMMIT_PATIENCE`], of what an opening makes durable: it may copy a whole database aside.
const OPEN_PATIENCE: Duration = Duration::from_secs(600);

/// An opening is given up when the disk has not answered for this long.
const HANG_WAIT: Duration = Duration::from_secs(60);

/// Stack of the threads, in bytes.
const STACK_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_late_commit_on_a_disk_that_refuses_to_write_is_told_with_the_cause() {
        let dir = tempfile::tempdir().expect("directory");
        let (sender, troubles) = channel();
        let watch = Watch::start(dir.path(), COMMIT_PATIENCE, move |t| {
            sender.send(t).expect("test waits")
        });
        let watch = watch.expect("thread");
        watch.begin();
        watch.end().expect("nothing is known against the disk");
        // Writing the probe fails as on a broken disk, also for root.
        fs::create_dir(dir.path().join(PROBE_FILE)).expect("directory");
        watch.begin();
        let trouble = troubles.recv().expect("told");
        let text = format!("{trouble:?}");
        assert!(matches!(trouble, Trouble::Failed(_)), "{text}");
        assert!(text.contains(PROBE_FILE), "{text}");
        assert!(watch.end().is_err(), "acknowledged on a failed disk");
    }

    #[test]
    fn a_store_that_is_gone_ends_its_watch() {
        let dir = tempfile::tempdir().expect("directory");
        let (sender, troubles) = channel();
        let watch = Watch::start(dir.path(), COMMIT_PATIENCE, move |t| drop(sender.send(t)));
        drop(watch);
        assert!(troubles.recv().is_err(), "nothing to tell");
    }
}
