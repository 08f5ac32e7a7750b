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
mod process;
mod random;
mod record;
mod recording;
mod trees;
mod workload;

use std::env;
use std::path::PathBuf;

use disk::{Fate, Model};
use process::{run_and_kill, run_on_failing_disk, shim};
use random::Random;
use record::Event;
use recording::{Recording, is_new_snapshot};
use store::{OpenOptions, Store};
use trees::{keep_tree, scratch};
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
    let syncs = record::of_engine(&recording.events).filter(|e| matches!(e, Event::Sync { .. }));
    let barriers = syncs.count();
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

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}
