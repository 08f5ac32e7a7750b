//! The store thread: the one writer of the store. The protocol thread never waits for it.

use membership::{DurableOp, Recovered, SafetyRecord};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::{
    Batch, CibVersion, Mirror, Op, Opened, Store, StoreError, Trouble, VERSIONS_MAX, VersionInfo,
};
use tokio::sync::oneshot;

/// What the store thread is asked.
#[derive(Debug)]
pub enum Job {
    /// Write these behind one barrier, then report `write`.
    Persist {
        /// The core's number.
        write: u64,
        /// What to write.
        ops: Vec<DurableOp>,
    },
    /// Keep a version of the CIB and renew the mirror, when the disk has nothing else to do: nobody
    /// waits for it.
    Version(Box<CibVersion>),
    /// The kept versions, newest last.
    Versions(oneshot::Sender<Vec<VersionInfo>>),
    /// One of them with its bodies; `None` when it is not, or no longer, kept.
    VersionText(u64, oneshot::Sender<Option<CibVersion>>),
    /// The quorum's state was fetched: the store counts as sound again.
    Healed,
    /// How large the store is, in bytes.
    Size(oneshot::Sender<u64>),
}

/// What the store thread reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// This write, and all before it, are on disk.
    Durable(u64),
    /// The store failed for good (S6).
    Failed(String),
    /// The disk does not answer; it may yet.
    Hangs(String),
}

/// The thread's handle; dropping it ends the thread after the jobs that are queued.
#[derive(Debug)]
pub struct Disk {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Hands jobs over from any thread.
#[derive(Clone, Debug)]
pub struct DiskHandle(SyncSender<Job>);

impl DiskHandle {
    /// Queues a job.
    ///
    /// # Errors
    /// The queue of `JOBS_MAX` is full (the disk hangs) or the thread has ended: the caller must
    /// treat the store as failed.
    pub fn send(&self, job: Job) -> Result<(), &'static str> {
        self.0.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => "the store's queue is full: the disk does not keep up",
            TrySendError::Disconnected(_) => "the store thread has ended",
        })
    }
}

impl Disk {
    /// Starts the thread; `done` is called on it, and on the one that watches for commits that do
    /// not come back.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn start(
        mut store: Store,
        done: impl Fn(Done) + Send + Sync + 'static,
    ) -> std::io::Result<(Self, DiskHandle)> {
        let done = Arc::new(done);
        let tell = Arc::clone(&done);
        store.watch(move |trouble| match trouble {
            Trouble::Failed(error) => tell(failed(&error)),
            Trouble::Hangs { text } => tell(Done::Hangs(text)),
            other => tell(Done::Hangs(format!("{other:?}"))),
        })?;
        let (jobs, inbox) = sync_channel(JOBS_MAX);
        let handle = DiskHandle(jobs.clone());
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || run(store, &inbox, &*done))?;
        Ok((
            Self {
                jobs: Some(jobs),
                thread: Some(thread),
            },
            handle,
        ))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store thread ended by a panic");
        }
    }
}

/// Ends when every handle is gone or the store failed.
fn run(mut store: Store, inbox: &Receiver<Job>, done: &dyn Fn(Done)) {
    let _ = netlink::make_thread_nice(super::STORE_NICE);
    let mut next = None;
    let mut later = Later::default();
    loop {
        let todo = next.take().map_or_else(|| later.wait(inbox), Todo::Job);
        let result = match todo {
            Todo::Job(Job::Persist { write, ops }) => {
                let (batch, last) = gather(write, ops, inbox, &mut next);
                let committed = store.commit(&batch).map(|()| done(Done::Durable(last)));
                later.note(&store);
                committed
            }
            Todo::Job(job) => take(job, &mut store, &mut later),
            Todo::Idle => later.keep_one(&mut store),
            Todo::End => return drop(later.keep_all(&mut store)),
        };
        if let Err(error) = result {
            return done(failed(&error));
        }
    }
}

/// Does what is not a write of the core. Whoever asked may have gone; nothing depends on the answer.
fn take(job: Job, store: &mut Store, later: &mut Later) -> Result<(), StoreError> {
    match job {
        Job::Version(version) => later.put(store, *version),
        Job::Healed => store.commit(&Batch {
            ops: vec![Op::Healed],
        })?,
        Job::Versions(answer) => {
            later.keep_all(store)?;
            drop(answer.send(store.versions().unwrap_or_default()));
        }
        Job::VersionText(seq, answer) => {
            later.keep_all(store)?;
            drop(answer.send(store.version(seq).ok().flatten()));
        }
        Job::Size(answer) => drop(answer.send(store.usage().map_or(0, |u| u.database_bytes))),
        // Taken by the loop, which gathers them.
        Job::Persist { .. } => {}
    }
    Ok(())
}

/// What is next on the store thread.
enum Todo {
    Job(Job),
    /// There is time for what waits.
    Idle,
    /// Nobody is left to ask for anything.
    End,
}

/// What waits until the disk is idle: commits that are on it and that the engine lacks, and versions
/// of the CIB. A version and its mirror take six barriers, and the promise, the grant or the view
/// behind them would wait for all. A process that starts again replays its log and is told of each
/// once more.
#[derive(Default)]
struct Later {
    versions: VecDeque<CibVersion>,
    mirror: Option<Mirror>,
    since: Option<Instant>,
}

impl Later {
    /// After a commit.
    fn note(&mut self, store: &Store) {
        if store.unsettled() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn put(&mut self, store: &Store, version: CibVersion) {
        self.since.get_or_insert_with(Instant::now);
        self.mirror = Some(Mirror {
            seq: version.seq,
            xml: version.xml.clone(),
        });
        let kept = store.version(version.seq).ok().flatten();
        if kept.as_ref() == Some(&version) {
            return;
        }
        if self.versions.len() >= VERSIONS_MAX {
            // As many as this follow it: it would be dropped again at once.
            self.versions.pop_front();
        }
        self.versions.push_back(version);
    }

    /// The next job, or word that none came for a while.
    fn wait(&self, inbox: &Receiver<Job>) -> Todo {
        let Some(since) = self.since else {
            return inbox.recv().map_or(Todo::End, Todo::Job);
        };
        if since.elapsed() >= KEEP_WITHIN {
            return Todo::Idle;
        }
        match inbox.recv_timeout(IDLE_AFTER) {
            Ok(job) => Todo::Job(job),
            Err(RecvTimeoutError::Timeout) => Todo::Idle,
            Err(RecvTimeoutError::Disconnected) => Todo::End,
        }
    }

    /// One step; the mirror is the last.
    fn keep_one(&mut self, store: &mut Store) -> Result<(), StoreError> {
        if store.unsettled() {
            let settled = store.settle();
            if self.mirror.is_none() {
                self.since = None;
            }
            return settled;
        }
        if let Some(version) = self.versions.pop_front() {
            return store.commit(&Batch {
                ops: vec![Op::CibVersion(version)],
            });
        }
        self.since = None;
        match self.mirror.take() {
            Some(mirror) => store.mirror(&mirror),
            None => Ok(()),
        }
    }

    fn keep_all(&mut self, store: &mut Store) -> Result<(), StoreError> {
        while self.since.is_some() {
            self.keep_one(store)?;
        }
        Ok(())
    }
}

fn failed(error: &StoreError) -> Done {
    Done::Failed(format!("{error}; {}", error.cure()))
}

/// Group commit: takes the writes that queued up meanwhile into one barrier. A job of another kind
/// ends the group and is kept in `next`.
fn gather(
    write: u64,
    ops: Vec<DurableOp>,
    inbox: &Receiver<Job>,
    next: &mut Option<Job>,
) -> (Batch, u64) {
    let mut batch = Batch {
        ops: ops.into_iter().map(store_op).collect(),
    };
    let mut last = write;
    while batch.ops.len() < GROUP_OPS_MAX {
        match inbox.try_recv() {
            Ok(Job::Persist { write, ops }) => {
                batch.ops.extend(ops.into_iter().map(store_op));
                last = write;
            }
            Ok(other) => {
                *next = Some(other);
                break;
            }
            Err(_) => break,
        }
    }
    (batch, last)
}

fn store_op(op: DurableOp) -> Op {
    match op {
        DurableOp::Safety(record) => Op::Safety(encode_safety(&record)),
        DurableOp::TruncateLog { seq } => Op::TruncateLog { seq },
        DurableOp::AppendLog { seq, record } => Op::AppendLog { seq, record },
        DurableOp::CommitHint { seq } => Op::CommitHint { seq },
        DurableOp::Snapshot { seq, state } => Op::Snapshot { seq, state },
        DurableOp::Witness(_) => unreachable!("a core writes no witness' record"),
    }
}

/// What the core is told of a store that was just opened.
///
/// # Errors
/// The safety record is written in a form that this version does not know.
pub fn recovered(opened: &Opened) -> Result<Recovered, String> {
    let state = &opened.state;
    let safety = state.safety.as_deref().map(decode_safety).transpose()?;
    Ok(Recovered {
        safety,
        snapshot: state.snapshot.clone(),
        log: state.log.clone(),
        commit_hint: state.commit_hint,
        degraded: state.health.degraded(),
    })
}

fn encode_safety(record: &SafetyRecord) -> Vec<u8> {
    // Numbers and fixed arrays only: postcard has no way to fail on them.
    postcard::to_extend(record, vec![SAFETY_FORMAT]).unwrap_or_default()
}

fn decode_safety(bytes: &[u8]) -> Result<SafetyRecord, String> {
    match bytes.split_first() {
        Some((&SAFETY_FORMAT, record)) => postcard::from_bytes(record)
            .map_err(|e| format!("the safety record cannot be decoded: {e}")),
        Some((other, _)) => Err(format!(
            "the safety record has format {other}, this version knows {SAFETY_FORMAT}: was it written by a newer mainstay?"
        )),
        None => Err("the safety record is empty".to_owned()),
    }
}

/// Jobs that may queue up before the disk counts as hanging.
const JOBS_MAX: usize = 4096;
/// Without a job for so long the disk counts as idle.
const IDLE_AFTER: Duration = Duration::from_millis(50);
/// Nothing waits longer than this, however busy the disk is.
const KEEP_WITHIN: Duration = Duration::from_secs(2);
/// Operations behind one barrier.
const GROUP_OPS_MAX: usize = 1024;
/// Stack of the thread: sled's page handling needs more than the usual helpers.
const STACK_BYTES: usize = 1024 * 1024;
/// Format of the safety record.
const SAFETY_FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use store::OpenOptions;

    #[test]
    fn what_was_reported_durable_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let opened = Store::open(dir.path(), &OpenOptions::default()).unwrap();
        assert_eq!(recovered(&opened).unwrap(), Recovered::default());
        let (report, reports) = sync_channel(8);
        let (disk, handle) =
            Disk::start(opened.store, move |done| report.send(done).unwrap()).unwrap();
        let safety = SafetyRecord {
            incarnation: 3,
            hold_us_max: 7,
            ..SafetyRecord::default()
        };
        let ops = vec![
            DurableOp::Safety(safety.clone()),
            DurableOp::AppendLog {
                seq: 1,
                record: vec![1, 2, 3],
            },
        ];
        handle.send(Job::Persist { write: 1, ops }).unwrap();
        assert_eq!(reports.recv().unwrap(), Done::Durable(1));
        drop(handle);
        drop(disk);
        let opened = Store::open(dir.path(), &OpenOptions::default()).unwrap();
        let back = recovered(&opened).unwrap();
        assert_eq!(back.safety, Some(safety));
        assert_eq!(back.log, [(1, vec![1, 2, 3])]);
    }

    fn version(seq: u64) -> CibVersion {
        CibVersion {
            seq,
            xml: format!("<cib epoch=\"{seq}\"/>"),
            ..CibVersion::default()
        }
    }

    /// Every version that may be asked for is there, however many came, and a write in front of
    /// which they stood does not wait for them.
    #[test]
    fn versions_wait_for_an_idle_disk_and_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let opened = Store::open(dir.path(), &OpenOptions::default()).unwrap();
        let mut store = opened.store;
        let mut later = Later::default();
        for seq in 1..=VERSIONS_MAX as u64 + 3 {
            later.put(&store, version(seq));
        }
        assert_eq!(store.versions().unwrap(), [], "nothing is written yet");
        assert!(!dir.path().join("cib.xml").exists());
        later.keep_all(&mut store).unwrap();
        let kept: Vec<u64> = store.versions().unwrap().iter().map(|v| v.seq).collect();
        assert_eq!(kept, Vec::from_iter(4..=VERSIONS_MAX as u64 + 3));
        let mirrored = std::fs::read_to_string(dir.path().join("cib.xml")).unwrap();
        assert_eq!(mirrored, "<cib epoch=\"19\"/>");

        // The replay of a process that starts again: nothing of it is written once more.
        later.put(&store, version(19));
        assert!(later.versions.is_empty());
        // The same entry of another lineage is another version.
        let other = CibVersion {
            client: "other".to_owned(),
            ..version(19)
        };
        later.put(&store, other.clone());
        later.keep_all(&mut store).unwrap();
        assert_eq!(store.version(19).unwrap(), Some(other));
    }

    #[test]
    fn a_version_is_kept_at_the_end_of_the_thread() {
        let dir = tempfile::tempdir().unwrap();
        let opened = Store::open(dir.path(), &OpenOptions::default()).unwrap();
        let (disk, handle) = Disk::start(opened.store, |_| ()).unwrap();
        handle.send(Job::Version(Box::new(version(7)))).unwrap();
        drop((handle, disk));
        let opened = Store::open(dir.path(), &OpenOptions::default()).unwrap();
        assert_eq!(opened.store.version(7).unwrap(), Some(version(7)));
    }

    #[test]
    fn a_safety_record_of_another_format_is_refused() {
        assert!(
            decode_safety(&[99, 1])
                .unwrap_err()
                .contains("newer mainstay")
        );
        assert!(decode_safety(&[]).is_err());
        assert!(decode_safety(&[SAFETY_FORMAT, 1]).is_err());
    }
}
