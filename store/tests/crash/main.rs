//! Power cuts, kills and failing disks.
//!
//! A child process commits a known history below a preloaded shim that writes down every call to
//! the file system. From the record the trees a power cut may leave are rebuilt, at any call, by
//! three ideas of what a disk keeps, and each is opened: nothing acknowledged may be missing, and
//! none may refuse to open or come up degraded.
//!
//! `STORE_CRASH_COMMITS`, `STORE_CRASH_STATES`, `STORE_CRASH_KILLS` and `STORE_CRASH_SEED` make the
//! runs longer or other; with `STORE_CRASH_JITTER_US` the child's threads are held up at random
//! before each call, up to that long, as on a loaded machine. What fails is kept, and the message
//! says where: the order of calls differs from run to run, so that a seed alone does not bring a
//! failing state back.

mod disk;
mod random;
mod record;
mod workload;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use disk::{Disk, FATES, Fate, MODELS, Model};
use random::Random;
use record::Event;
use store::{OpenOptions, Store};
use workload::History;

#[test]
fn no_power_cut_loses_an_acknowledged_commit() {
    let Some(recording) = Recording::make(History::Small, false) else {
        return;
    };
    let states = number("STORE_CRASH_STATES", 300);
    let failures = recording.replay(states, number("STORE_CRASH_SEED", 1));
    assert_eq!(failures, Vec::<String>::new(), "of {states} states");
}

/// What lies beside the engine, before, while and after the engine gets it.
#[test]
fn no_power_cut_loses_what_lies_beside_the_engine() {
    let Some(recording) = Recording::make(History::Beside, false) else {
        return;
    };
    let barriers = engine_syncs(&recording.events);
    assert!(barriers >= 5, "the engine gets it {barriers} times");
    let states = number("STORE_CRASH_STATES", 300) / 12;
    let failures = recording.replay(states, number("STORE_CRASH_SEED", 1));
    assert_eq!(failures, Vec::<String>::new(), "of {states} states");
}

/// The engine takes for stable what it passed to the kernel, says so in the header of its next
/// segment, and believes that when it opens: no barrier of ours may stand more than a segment apart.
#[test]
fn no_power_cut_in_a_large_commit_loses_an_earlier_one() {
    let Some(recording) = Recording::make(History::Large, false) else {
        return;
    };
    let mut random = Random(number("STORE_CRASH_SEED", 1));
    let states = number("STORE_CRASH_STATES", 300) / 20;
    let inside = recording.in_large_commits();
    let failures: Vec<String> = (0..states)
        .filter_map(|n| {
            let mut state = recording.state(&mut random);
            state.calls = inside[random.below(inside.len())];
            if n.is_multiple_of(2) {
                // A header is kept that vouches for what is lost.
                (state.model, state.fate) = (Model::Volatile, Fate::Suffix);
            }
            recording.try_state(&state, &mut random)
        })
        .collect();
    assert_eq!(failures, Vec::<String>::new(), "of {states} states");
}

/// What a killed process wrote last may be in the page cache alone, and the next one takes it for
/// there: the engine writes over what it does not need any more while it opens. A power cut then
/// must not find the new lost and the old overwritten.
#[test]
fn no_power_cut_after_a_kill_loses_an_acknowledged_commit() {
    let Some(recording) = Recording::make(History::Large, false) else {
        return;
    };
    let mut random = Random(number("STORE_CRASH_SEED", 1));
    let inside = recording.in_large_commits();
    let mut failures = Vec::new();
    for _ in 0..number("STORE_CRASH_STATES", 300) / 75 {
        let calls = inside[random.below(inside.len())];
        let killed = recording.killed_and_reopened(calls);
        let tidied = killed.events.iter().rposition(is_new_snapshot);
        let at = tidied.expect("the engine writes a snapshot when it opens") + 1;
        let mut state = killed.state(&mut random);
        state.calls = calls + random.below(killed.events.len() - calls);
        failures.extend(killed.try_state(&state, &mut random));
        // The engine has its snapshot and overwrites what is dispensable with it.
        state.fate = Fate::DataFirst;
        state.model = [Model::ManualPage, Model::Volatile][random.below(2)];
        state.calls = (at + random.below(20)).min(killed.events.len() - 1);
        failures.extend(killed.try_state(&state, &mut random));
    }
    assert_eq!(failures, Vec::<String>::new());
}

#[test]
fn without_the_barrier_power_cuts_lose_commits() {
    let Some(recording) = Recording::make(History::Small, true) else {
        return;
    };
    let failures = recording.replay(60, number("STORE_CRASH_SEED", 1));
    assert!(!failures.is_empty(), "the crash test cannot fail");
    println!("without barrier: {} of 60 states fail", failures.len());
}

#[test]
fn no_second_power_cut_while_recovering_loses_an_acknowledged_commit() {
    let Some(recording) = Recording::make(History::Small, false) else {
        return;
    };
    let mut random = Random(number("STORE_CRASH_SEED", 1));
    let firsts = number("STORE_CRASH_STATES", 300) / 30;
    let mut failures = Vec::new();
    for _ in 0..firsts {
        let place = scratch();
        let image = place.path().join("store");
        let first = recording.state(&mut random);
        let acked = recording.cut(&first, &mut random, &image);
        let again = Recording::of_open(&image, acked);
        for _ in 0..5 {
            let second = again.state(&mut random);
            if let Some(failure) = again.try_state(&second, &mut random) {
                failures.push(format!("{first:?}, then {failure}"));
            }
        }
    }
    assert_eq!(failures, Vec::<String>::new());
}

#[test]
fn no_kill_loses_an_acknowledged_commit() {
    let place = scratch();
    let dir = place.path().join("store");
    let mut random = Random(number("STORE_CRASH_SEED", 1));
    let kills = number("STORE_CRASH_KILLS", 80);
    let mut there = 0;
    for kill in 0..kills {
        let acked = run_and_kill(&dir, &mut random);
        let opened = Store::open(&dir, &OpenOptions::default());
        let mut opened = opened
            .unwrap_or_else(|e| panic!("kill {kill}: {e}; kept in {}", keep_tree(&dir).display()));
        there = workload::check(
            History::Small,
            &mut opened.store,
            &opened.state,
            acked.unwrap_or(there),
        )
        .unwrap_or_else(|e| panic!("kill {kill}: {e}; kept in {}", keep_tree(&dir).display()));
    }
    assert!(there > kills, "only {there} commits in {kills} runs");
    println!("{kills} kills, {there} commits");
}

/// The n-th write or sync fails, and every one after it: the store says so and names the cause,
/// acknowledges nothing more, and once the disk is well again everything acknowledged is there.
#[test]
fn a_failing_disk_is_named_and_never_acknowledged() {
    let Some(shim) = shim() else { return };
    let (mut by_commit, mut by_watch) = (0, 0);
    for (fault, code, words) in [
        ("write", nix::libc::ENOSPC, "no space left"),
        ("short", nix::libc::ENOSPC, "no space left"),
        ("write", nix::libc::EIO, "disk failed"),
        ("sync", nix::libc::EIO, "disk failed"),
    ] {
        for nth in [1, 5, 8, 13, 34] {
            let (text, ended) = run_on_failing_disk(shim, &format!("{fault}:{nth}:{code}"));
            let case = format!("{fault} {nth} {code}: {text}");
            // A commit may wait inside the engine for ever: then its watch tells.
            assert!(ended && text.contains(&format!("error {words}")), "{case}");
            assert!(!text.contains("not poisoned"), "{case}");
            by_commit += u32::from(text.contains("poisoned"));
            by_watch += u32::from(text.contains("watch error"));
        }
    }
    println!("{by_commit} faults told by a commit, {by_watch} by its watch");
    assert!(by_commit >= 1, "{by_commit} told by a commit");
}

/// From the n-th call on no sync ever comes back, as on a device that is gone.
#[test]
fn a_disk_that_does_not_answer_is_named() {
    let Some(shim) = shim() else { return };
    let (text, ended) = run_on_failing_disk(shim, "hang:11:0");
    assert!(
        ended && text.contains("watch hangs the disk under"),
        "{text}"
    );
}

/// What a child said whose disk fails from the call on that `fault` names, and whether it ended by
/// itself. Its store must be sound afterwards.
fn run_on_failing_disk(shim: &Path, fault: &str) -> (String, bool) {
    let place = scratch();
    let dir = place.path().join("store");
    // A store in use: what fails is never its creation.
    workload::run(History::Small, &dir, 20, false).expect("history begins");
    let mut command = child_command(&dir, 60);
    command
        .env("LD_PRELOAD", shim)
        .env("STORE_SHIM_ROOT", &dir)
        .env("STORE_SHIM_FAULT", fault);
    let (text, ended) = run_for(command, CHILD_WAIT);
    let acked = record::ack(&text).unwrap_or(20);
    let mut opened = Store::open(&dir, &OpenOptions::default()).expect("disk is well again");
    workload::check(History::Small, &mut opened.store, &opened.state, acked)
        .unwrap_or_else(|e| panic!("{fault}: {text}{e}"));
    (text, ended)
}

#[test]
#[ignore = "the child process of the other tests"]
fn child() {
    let dir = PathBuf::from(env::var_os("STORE_CHILD_DIR").expect("set by the parent"));
    let skip_barrier = env::var_os("STORE_CHILD_SKIP_BARRIER").is_some();
    let commits = number("STORE_CHILD_COMMITS", 0);
    let history = History::named(&env::var("STORE_CHILD_HISTORY").unwrap_or_default());
    match workload::run(history, &dir, commits, skip_barrier) {
        Ok(()) => workload::say("done"),
        Err(error) => workload::say(&format!("error {error} | {}", error.cure())),
    }
}

/// One power cut.
#[derive(Clone, Debug)]
struct State {
    model: Model,
    fate: Fate,
    /// Calls that were carried out; the next one was on its way.
    calls: usize,
}

/// What a process did to a directory, from its state before.
struct Recording {
    history: History,
    before: tempfile::TempDir,
    dir: PathBuf,
    events: Vec<Event>,
    /// The record the events were read from.
    raw: Vec<u8>,
    /// Acknowledged before the first event.
    acked: u64,
    /// Failures are expected, and not kept.
    may_fail: bool,
    _place: Option<tempfile::TempDir>,
}

impl Recording {
    /// Records the history from the very first start; `None` where no C compiler is.
    fn make(history: History, skip_barrier: bool) -> Option<Self> {
        let place = scratch();
        let dir = place.path().join("store");
        fs::create_dir(&dir).expect("directory");
        let commits = match history {
            History::Small | History::Beside => number("STORE_CRASH_COMMITS", COMMITS),
            History::Large => LARGE_COMMITS,
        };
        let raw = record(history, &dir, commits, skip_barrier)?;
        let events = record::parse(&raw);
        let acks = events.iter().filter(|e| matches!(e, Event::Ack { .. }));
        assert_eq!(acks.count() as u64, commits + 1, "the child did not finish");
        Some(Self {
            history,
            before: scratch(),
            dir,
            events,
            raw,
            acked: 0,
            may_fail: skip_barrier,
            _place: Some(place),
        })
    }

    /// Records the opening of `image`, in which `acked` commits must be.
    fn of_open(image: &Path, acked: u64) -> Self {
        let before = scratch();
        copy_tree(image, before.path());
        let raw = record(History::Small, image, 0, false).expect("a compiler was there before");
        let events = record::parse(&raw);
        assert!(events.len() > 10, "opening does more than {events:?}");
        Self {
            history: History::Small,
            before,
            dir: image.to_owned(),
            events,
            raw,
            acked,
            may_fail: false,
            _place: None,
        }
    }

    /// Half of the cuts follow an acknowledgement closely, where a missing barrier shows.
    fn state(&self, random: &mut Random) -> State {
        let calls = random.below(self.events.len());
        let near = self.events[calls..]
            .iter()
            .position(|event| matches!(event, Event::Ack { .. }));
        let calls = match near {
            Some(ahead) if random.below(2) == 0 => {
                (calls + ahead + 1 + random.below(3)).min(self.events.len() - 1)
            }
            _ => calls,
        };
        State {
            model: MODELS[random.below(MODELS.len())],
            fate: FATES[random.below(FATES.len())],
            calls,
        }
    }

    /// Calls between two acknowledgements that lie more than a segment apart.
    fn in_large_commits(&self) -> Vec<usize> {
        let mut inside = Vec::new();
        let (mut begin, mut bytes) = (0, 0);
        for (at, event) in self.events.iter().enumerate() {
            match event {
                Event::Write { data, .. } => bytes += data.len(),
                Event::Ack { .. } => {
                    if bytes > SEGMENT_BYTES {
                        inside.extend(begin..=at);
                    }
                    (begin, bytes) = (at + 1, 0);
                }
                _ => {}
            }
        }
        inside
    }

    /// The same process killed after so many calls, and one that opens what it left.
    fn killed_and_reopened(&self, calls: usize) -> Self {
        let place = scratch();
        let image = place.path().join("store");
        let mut disk = Disk::load(Model::Lenient, self.before.path(), &self.dir);
        for event in &self.events[..calls] {
            disk.apply(event, true);
        }
        disk.cut(Fate::All, &mut Random(0), &image);
        let raw = record(self.history, &image, 0, false).expect("a compiler was there before");
        let reopening = record::parse(&raw);
        let reopening = reopening
            .into_iter()
            .filter(|e| !matches!(e, Event::Ack { .. }));
        let reopening: Vec<Event> = reopening.collect();
        assert!(
            synced_before_written(&reopening),
            "the engine writes over what is not on the disk: {reopening:?}"
        );
        let mut events = self.events[..calls].to_vec();
        let moved = reopening
            .into_iter()
            .map(|event| event.moved(&image, &self.dir));
        events.extend(moved);
        let before = scratch();
        copy_tree(self.before.path(), before.path());
        Self {
            history: self.history,
            before,
            dir: self.dir.clone(),
            events,
            raw,
            acked: self.acked,
            may_fail: false,
            _place: None,
        }
    }

    fn replay(&self, states: u64, seed: u64) -> Vec<String> {
        let mut random = Random(seed);
        let states: Vec<State> = (0..states).map(|_| self.state(&mut random)).collect();
        states
            .iter()
            .filter_map(|state| self.try_state(state, &mut random))
            .collect()
    }

    /// Builds one state and opens it twice; `Some` says what is wrong.
    fn try_state(&self, state: &State, random: &mut Random) -> Option<String> {
        let place = scratch();
        let image = place.path().join("store");
        let mut same_again = random.clone();
        let acked = self.cut(state, random, &image);
        reopen(self.history, &image, acked).err().map(|e| {
            if self.may_fail {
                return e;
            }
            let kept = keep_tree(&image);
            self.cut(state, &mut same_again, &kept.join("as-cut"));
            copy_tree(self.before.path(), &kept.join("before"));
            fs::write(kept.join("record"), &self.raw).expect("kept");
            let what = format!("{state:?}: {e}");
            fs::write(kept.join("why"), &what).expect("kept");
            format!("{what}; kept in {}", kept.display())
        })
    }

    /// Builds one state; returns how many commits were acknowledged before it.
    fn cut(&self, state: &State, random: &mut Random, image: &Path) -> u64 {
        let mut disk = Disk::load(state.model, self.before.path(), &self.dir);
        let mut acked = self.acked;
        for event in &self.events[..state.calls] {
            disk.apply(event, true);
            if let Event::Ack { commits } = event {
                acked = acked.max(*commits);
            }
        }
        if let Some(event) = self.events.get(state.calls) {
            disk.apply(event, false);
        }
        disk.cut(state.fate, random, image);
        acked
    }
}

/// The engine gives the snapshot that it has just written its last name.
fn is_new_snapshot(event: &Event) -> bool {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    matches!(event, Event::Rename { to, .. } if name(to).is_some_and(|n| n.starts_with("snap.")))
}

/// Nothing is written to the engine's file before what it holds is on the disk.
fn synced_before_written(events: &[Event]) -> bool {
    let mut engine = Vec::new();
    for event in events {
        match event {
            Event::Open { fd, path, .. } => {
                engine.retain(|known| known != fd);
                if path.ends_with("db/db") {
                    engine.push(*fd);
                }
            }
            Event::Sync { fd } if engine.contains(fd) => return true,
            Event::Write { fd, .. } | Event::Truncate { fd, .. } if engine.contains(fd) => {
                return false;
            }
            _ => {}
        }
    }
    false
}

/// How often the engine's file is synced.
fn engine_syncs(events: &[Event]) -> usize {
    let mut engine = Vec::new();
    let mut syncs = 0;
    for event in events {
        match event {
            Event::Open { fd, path, .. } => {
                engine.retain(|known| known != fd);
                if path.ends_with("db/db") {
                    engine.push(*fd);
                }
            }
            Event::Sync { fd } if engine.contains(fd) => syncs += 1,
            _ => {}
        }
    }
    syncs
}

/// Opens what a crash left, goes on from there, and opens it again.
fn reopen(history: History, image: &Path, acked: u64) -> Result<(), String> {
    let open = || Store::open(image, &OpenOptions::default()).map_err(|e| e.to_string());
    let mut opened = open()?;
    let n = workload::check(history, &mut opened.store, &opened.state, acked)?;
    let next = opened.store.commit(&workload::batch(history, n + 1));
    next.map_err(|e| e.to_string())?;
    drop(opened);
    let mut opened = open()?;
    workload::check(history, &mut opened.store, &opened.state, n + 1)
        .map_err(|e| format!("again: {e}"))?;
    Ok(())
}

/// Runs the child below the shim and returns what it did.
fn record(history: History, dir: &Path, commits: u64, skip_barrier: bool) -> Option<Vec<u8>> {
    let shim = shim()?;
    let place = scratch();
    let file = place.path().join("record");
    let mut command = child_command(dir, commits);
    command
        .env("LD_PRELOAD", shim)
        .env("STORE_CHILD_HISTORY", history.name())
        .env("STORE_SHIM_ROOT", dir)
        .env("STORE_SHIM_RECORD", &file)
        .env(
            "STORE_SHIM_JITTER_US",
            number("STORE_CRASH_JITTER_US", 0).to_string(),
        );
    if skip_barrier {
        command.env("STORE_CHILD_SKIP_BARRIER", "1");
    }
    let output = command.output().expect("child runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("\ndone\n"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(fs::read(file).expect("record"))
}

/// What the child said, and whether it ended by itself within `wait`.
fn run_for(mut command: Command, wait: Duration) -> (String, bool) {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("child runs");
    let mut out = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut out, &mut text).map(|_| text)
    });
    let deadline = std::time::Instant::now() + wait;
    let mut ended = false;
    while !ended && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
        ended = child.try_wait().expect("own child").is_some();
    }
    let _ = child.kill(); // has ended already, or must
    child.wait().expect("own child");
    (reader.join().expect("reader").expect("text"), ended)
}

/// Kills the child at work, or one time in four while it may still be opening the store; returns
/// the last commit it acknowledged.
fn run_and_kill(dir: &Path, random: &mut Random) -> Option<u64> {
    let mut child = child_command(dir, u64::MAX)
        .stdout(Stdio::piped())
        .spawn()
        .expect("child runs");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let (first, at_work) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let lines = out.lines().map_while(Result::ok);
        let acks = lines.filter_map(|line| record::ack(&line));
        acks.inspect(|_| first.send(()).unwrap_or(())).last()
    });
    let wait = Duration::from_millis(random.below(25) as u64);
    if random.below(4) == 0 {
        std::thread::sleep(wait);
    } else {
        // The first word comes before any commit, and a loaded machine gives no more in the time.
        for _ in 0..3 {
            at_work
                .recv()
                .expect("the child opens the store and commits");
        }
        std::thread::sleep(wait);
    }
    child.kill().expect("still running");
    child.wait().expect("killed");
    reader.join().expect("reader")
}

fn child_command(dir: &Path, commits: u64) -> Command {
    let mut command = Command::new(env::current_exe().expect("own path"));
    command
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("STORE_CHILD_DIR", dir)
        .env("STORE_CHILD_COMMITS", commits.to_string());
    command
}

/// Compiles the shim once per process; prints why it cannot.
fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = SHIM.get_or_init(|| {
        let place = scratch();
        let library = place.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/shim.c");
        let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let status = Command::new(&compiler)
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status();
        match status {
            Ok(status) => {
                assert!(status.success(), "{compiler} does not compile shim.c");
                Some((place, library))
            }
            Err(error) => {
                println!("SKIPPED: no C compiler ({compiler}: {error})");
                None
            }
        }
    });
    built.as_ref().map(|(_, library)| library.as_path())
}

/// Images are simulated disks: memory is as good for them and spares the real one.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).expect("directory")
    } else {
        tempfile::tempdir().expect("directory")
    }
}

/// Keeps a failing tree below `STORE_CRASH_KEEP`, or in the build's directory for such things;
/// returns the directory it made: the tree is `opened` in it.
fn keep_tree(tree: &Path) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let base = env::var_os("STORE_CRASH_KEEP").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("store-crash"),
        PathBuf::from,
    );
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let kept = base.join(format!("{}-{number}", std::process::id()));
    copy_tree(tree, &kept.join("opened"));
    kept
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("directory");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// A child with a failing disk that says nothing for this long hangs in the engine unseen.
const CHILD_WAIT: Duration = Duration::from_secs(60);

/// Enough to fill several of the engine's segments.
const COMMITS: u64 = 200;

/// Enough for the engine to reuse what it freed several times.
const LARGE_COMMITS: u64 = 41;

/// The engine's, its default.
const SEGMENT_BYTES: usize = 512 * 1024;
