//! Child processes at work on a store: recorded, killed, or on a disk that fails.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use store::{OpenOptions, Store};

use crate::random::Random;
use crate::trees::scratch;
use crate::workload::{self, History};
use crate::{number, record};

/// What a child said whose disk fails from the call on that `fault` names, and whether it ended by
/// itself. Its store must be sound afterwards.
pub(crate) fn run_on_failing_disk(shim: &Path, fault: &str) -> (String, bool) {
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

/// Runs the child below the shim and returns what it did.
pub(crate) fn record(
    history: History,
    dir: &Path,
    commits: u64,
    skip_barrier: bool,
) -> Option<Vec<u8>> {
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
pub(crate) fn run_and_kill(dir: &Path, random: &mut Random) -> Option<u64> {
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
pub(crate) fn shim() -> Option<&'static Path> {
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

/// A child with a failing disk that says nothing for this long hangs in the engine unseen.
const CHILD_WAIT: Duration = Duration::from_secs(60);
