//! Every file of a store damaged in turn: what can be saved comes back, the rest is said aloud, and
//! nothing ever starts empty in silence.

use std::fs;
use std::path::{Path, PathBuf};

use store::{Batch, Health, Mirror, Op, OpenError, OpenOptions, Opened, Recovered, Store};

fn try_open(dir: &Path) -> Result<Opened, OpenError> {
    Store::open(dir, &OpenOptions::default())
}

fn open(dir: &Path) -> Opened {
    try_open(dir).expect("store opens")
}

fn mirror() -> Mirror {
    Mirror {
        seq: 20,
        xml: "<cib epoch=\"20\"/>\n".to_owned(),
    }
}

/// A store with a log of 20, safety record `promise 20`, and optionally a mirror.
fn filled(with_safety: bool, with_mirror: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("directory");
    let mut store = open(dir.path()).store;
    for seq in 1..=20 {
        let record = vec![seq as u8; 700];
        let mut ops = vec![Op::AppendLog { seq, record }];
        if with_safety {
            ops.push(Op::Safety(format!("promise {seq}").into_bytes()));
        }
        store.commit(&Batch { ops }).expect("commit");
    }
    if with_mirror {
        store.mirror(&mirror()).expect("mirror");
    }
    dir
}

fn slot(dir: &Path, number: u8) -> PathBuf {
    dir.join("state").join(format!("meta.{number}"))
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 0x40;
    fs::write(path, bytes).expect("write");
}

fn sizes(store: &mut Store) -> (u64, usize) {
    let report = store.verify().expect("verify");
    (report.generation, report.problems.len())
}

/// What is done to a file's bytes.
type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);

const PROMISE: &[u8] = b"promise 20";

#[test]
fn one_damaged_slot_is_repaired_and_told() {
    for number in [0, 1] {
        let dir = filled(true, false);
        flip(&slot(dir.path(), number), 33);
        assert_eq!(store::verify(dir.path()).expect("verify").problems.len(), 1);
        let Opened { mut store, state } = open(dir.path());
        assert_eq!(state.health, Health::Sound);
        assert_eq!(state.safety.as_deref(), Some(PROMISE));
        let name = format!("safety slot meta.{number} was damaged (checksum mismatch)");
        assert_eq!(state.notices, vec![name]);
        assert_eq!(sizes(&mut store), (20, 0));
        drop(store);
        assert_eq!(open(dir.path()).state.notices, Vec::<String>::new());
    }
}

#[test]
fn both_slots_gone_leave_the_database_but_not_the_vote() {
    let dir = filled(true, false);
    fs::remove_dir_all(dir.path().join("state")).expect("remove");
    let Opened { mut store, state } = open(dir.path());
    let cause = "both safety slots are gone".to_owned();
    assert_eq!(state.health, Health::Damaged { cause });
    assert_eq!(state.safety.as_deref(), Some(PROMISE));
    assert_eq!(state.log.len(), 20);
    assert_eq!(sizes(&mut store), (20, 0));
    drop(store);
    let health = open(dir.path()).state.health;
    assert!(
        matches!(health, Health::StillRecovering { .. }),
        "{health:?}"
    );
}

#[test]
fn a_lost_database_keeps_promise_and_mirror_and_never_votes_until_healed() {
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(1_000);
    let garbage = |bytes: &mut Vec<u8>| bytes.fill(0xa5);
    let empty = |bytes: &mut Vec<u8>| bytes.clear();
    let damages: [(&str, Damage<'_>); 3] =
        [("cut", &cut), ("garbage", &garbage), ("empty", &empty)];
    for (name, damage) in damages {
        let dir = filled(true, true);
        let file = dir.path().join("db/db");
        let mut bytes = fs::read(&file).expect("read");
        damage(&mut bytes);
        fs::write(&file, bytes).expect("write");
        // It has all of so short a history.
        fs::remove_file(dir.path().join("ahead")).expect("remove");
        let mut opened = open(dir.path());
        let health = &opened.state.health;
        assert!(health.degraded(), "{name}: {health:?}");
        assert_eq!(opened.state.safety.as_deref(), Some(PROMISE), "{name}");
        assert_eq!(opened.state.mirror, Some(mirror()), "{name}");
        if let Health::FromMirror { quarantine, .. } = health {
            let aside = quarantine.as_ref().expect("moved aside");
            assert!(aside.join("db/db").exists(), "{name}");
        }
        // A crash before the peers' state arrived must not make it look healthy.
        drop(opened);
        opened = open(dir.path());
        assert!(
            matches!(opened.state.health, Health::StillRecovering { .. }),
            "{name}: {:?}",
            opened.state.health
        );
        assert_eq!(opened.state.safety.as_deref(), Some(PROMISE), "{name}");
        let fetched = Op::Snapshot {
            seq: 30,
            state: b"from peers".to_vec(),
        };
        let ops = vec![fetched, Op::Healed];
        opened.store.commit(&Batch { ops }).expect("commit");
        drop(opened);
        let state = open(dir.path()).state;
        assert_eq!(state.health, Health::Sound, "{name}");
        assert_eq!(state.snapshot, Some((30, b"from peers".to_vec())), "{name}");
        assert_eq!(state.safety.as_deref(), Some(PROMISE), "{name}");
    }
}

#[test]
fn a_missing_database_is_lost_or_mirrored_and_said() {
    for with_mirror in [false, true] {
        let dir = filled(true, with_mirror);
        fs::remove_dir_all(dir.path().join("db")).expect("remove");
        let state = open(dir.path()).state;
        let cause = state.health.cause().expect("degraded").to_owned();
        assert_eq!(cause, "the database files are missing");
        let mirrored = matches!(state.health, Health::FromMirror { .. });
        assert_eq!(mirrored, with_mirror, "{:?}", state.health);
        assert_eq!(state.safety.as_deref(), Some(PROMISE));
    }
}

#[test]
fn a_store_that_holds_nothing_any_more_is_refused_until_told_otherwise() {
    let dir = filled(false, false);
    fs::remove_dir_all(dir.path().join("db")).expect("remove");
    for _ in 0..2 {
        let error = try_open(dir.path()).expect_err("refused");
        let text = error.to_string();
        assert!(
            text.contains("was in use before (marker file FORMAT)"),
            "{text}"
        );
        assert!(text.contains(store::RESET_COMMAND), "{text}");
        assert!(!error.cure().is_empty());
    }
    let allowed = OpenOptions {
        allow_empty: true,
        ..OpenOptions::default()
    };
    let state = Store::open(dir.path(), &allowed).expect("allowed").state;
    assert!(
        matches!(state.health, Health::Lost { .. }),
        "{:?}",
        state.health
    );
}

#[test]
fn a_reset_store_starts_anew_and_keeps_the_old_aside() {
    let dir = filled(true, true);
    let aside = store::reset(dir.path()).expect("reset");
    assert!(aside.join("db/db").exists() && aside.join("FORMAT").exists());
    assert!(aside.join("cib.xml").exists());
    let state = open(dir.path()).state;
    assert_eq!(state.health, Health::Sound);
    assert_eq!((state.safety, state.log.len()), (None, 0));
}

#[test]
fn an_older_database_is_noticed() {
    for (beside, sound) in [(true, true), (false, false)] {
        let state = with_older_database(beside);
        assert_eq!(state.health == Health::Sound, sound, "{:?}", state.health);
        let cause = state.health.cause().unwrap_or("1 batches, 2 were on disk");
        assert!(cause.contains("were on disk"), "{cause}");
        assert_eq!(state.log.len(), if sound { 21 } else { 20 });
    }
}

/// A store whose database lacks the last commit, which may lie beside it.
fn with_older_database(beside: bool) -> Recovered {
    let dir = filled(true, false);
    let old = dir.path().join("old");
    fs::create_dir(&old).expect("create");
    for entry in fs::read_dir(dir.path().join("db")).expect("list") {
        let entry = entry.expect("entry");
        if entry.path().is_file() {
            fs::copy(entry.path(), old.join(entry.file_name())).expect("copy");
        }
    }
    let mut store = open(dir.path()).store;
    let record = vec![21; 10];
    let ops = vec![Op::AppendLog { seq: 21, record }];
    store.commit(&Batch { ops }).expect("commit");
    drop(store);
    fs::remove_dir_all(dir.path().join("db")).expect("remove");
    fs::rename(&old, dir.path().join("db")).expect("rename");
    if !beside {
        fs::remove_file(dir.path().join("ahead")).expect("remove");
    }
    open(dir.path()).state
}

/// The engine lacks commits, and of those beside it one in the middle is damaged: what follows it is
/// not taken, and missed.
#[test]
fn a_hole_in_the_commits_beside_the_database_is_noticed() {
    let dir = filled(true, false);
    let old = tempfile::tempdir().expect("directory");
    copy_tree(&dir.path().join("db"), old.path());
    let mut store = open(dir.path()).store;
    for seq in 21..=25 {
        let record = vec![seq as u8; 10];
        let ops = vec![Op::AppendLog { seq, record }];
        store.commit(&Batch { ops }).expect("commit");
    }
    drop(store);
    fs::remove_dir_all(dir.path().join("db")).expect("remove");
    copy_tree(old.path(), &dir.path().join("db"));
    // It would tell, too.
    fs::remove_file(dir.path().join("state/head")).expect("remove");
    flip(&dir.path().join("ahead"), 2 * 4_096 + 40);
    let state = open(dir.path()).state;
    let cause = state.health.cause().expect("degraded").to_owned();
    assert!(cause.contains("22 batches, 25 were on disk"), "{cause}");
    assert_eq!(state.log.len(), 22);
    // And it stays so, whatever else is written.
    let mut store = open(dir.path()).store;
    let record = vec![1; 10];
    let ops = vec![Op::AppendLog { seq: 23, record }];
    store.commit(&Batch { ops }).expect("commit");
    drop(store);
    let state = open(dir.path()).state;
    assert!(state.health.degraded());
    assert_eq!(state.log.len(), 23);
}

#[test]
fn a_store_of_the_format_before_is_read_and_written_on() {
    let dir = filled(true, true);
    fs::remove_file(dir.path().join("ahead")).expect("remove");
    let marker = fs::read_to_string(dir.path().join("FORMAT")).expect("read");
    let before = marker.replace("store 2", "store 1");
    assert_ne!(before, marker);
    fs::write(dir.path().join("FORMAT"), before).expect("write");
    let state = open(dir.path()).state;
    assert_eq!((state.health, state.log.len()), (Health::Sound, 20));
    assert_eq!(state.notices, Vec::<String>::new());
    let now = fs::read_to_string(dir.path().join("FORMAT")).expect("read");
    assert_eq!(now, marker);
}

/// Some leave a database that opens and cannot be read without a panic of the engine.
#[test]
fn a_lost_piece_of_the_database_is_told_whichever_it_is() {
    let dir = filled(true, true);
    {
        let mut store = open(dir.path()).store;
        for seq in 21..=230 {
            let record = vec![seq as u8; 6_000];
            let ops = vec![Op::AppendLog { seq, record }];
            store.commit(&Batch { ops }).expect("commit");
        }
    }
    let pieces = fs::metadata(dir.path().join("db/db")).expect("file").len() as usize / PIECE_BYTES;
    assert!(pieces > 10, "{pieces} pieces");
    for piece in 0..pieces {
        let copy = tempfile::tempdir().expect("directory");
        copy_tree(dir.path(), copy.path());
        for entry in fs::read_dir(copy.path().join("db")).expect("list") {
            let path = entry.expect("entry").path();
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            if name.is_some_and(|n| n.starts_with("snap.")) {
                fs::remove_file(path).expect("remove");
            }
        }
        let file = copy.path().join("db/db");
        let mut bytes = fs::read(&file).expect("read");
        bytes[piece * PIECE_BYTES..(piece + 1) * PIECE_BYTES].fill(0);
        fs::write(&file, bytes).expect("write");
        let state = open(copy.path()).state;
        let whole = state.log.len() == 230;
        assert!(
            whole || state.health.degraded(),
            "piece {piece}: {:?}",
            state.health
        );
    }
}

/// A quarter of one of the engine's segments.
const PIECE_BYTES: usize = 128 * 1024;

#[test]
fn half_written_and_rotten_engine_snapshots_cost_nothing() {
    let dir = filled(true, true);
    fs::write(dir.path().join("db/snap.00FF.generating"), b"").expect("write");
    let state = open(dir.path()).state;
    assert_eq!(state.health, Health::Sound);

    let mut rotten = 0;
    for entry in fs::read_dir(dir.path().join("db")).expect("list") {
        let path = entry.expect("entry").path();
        if path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with("snap."))
        {
            fs::write(&path, b"rotten").expect("write");
            rotten += 1;
        }
    }
    assert!(rotten > 0, "the engine leaves a snapshot");
    let state = open(dir.path()).state;
    assert_eq!(state.log.len(), 20);
    assert_eq!(state.safety.as_deref(), Some(PROMISE));
    assert!(
        matches!(
            state.health,
            Health::Sound | Health::SnapshotsDropped { .. }
        ),
        "{:?}",
        state.health
    );
}

#[test]
fn a_missing_or_edited_mirror_costs_a_notice_at_most() {
    let dir = filled(true, true);
    fs::write(dir.path().join("cib.xml"), "<cib edited=\"by hand\"/>").expect("write");
    let state = open(dir.path()).state;
    assert_eq!(state.health, Health::Sound);
    assert_eq!(state.notices.len(), 1);
    assert!(
        state.notices[0].contains("edited by hand"),
        "{:?}",
        state.notices
    );
    fs::remove_file(dir.path().join("cib.xml")).expect("remove");
    let mut opened = open(dir.path());
    assert_eq!(opened.state.notices, Vec::<String>::new());
    opened.store.mirror(&mirror()).expect("mirror");
}

#[test]
fn a_lost_marker_is_written_again() {
    let dir = filled(true, false);
    let marker = fs::read(dir.path().join("FORMAT")).expect("read");
    fs::remove_file(dir.path().join("FORMAT")).expect("remove");
    let state = open(dir.path()).state;
    assert_eq!(state.health, Health::Sound);
    assert_eq!(state.log.len(), 20);
    assert_eq!(fs::read(dir.path().join("FORMAT")).expect("read"), marker);
}

#[test]
fn another_format_is_refused_untouched() {
    let dir = filled(true, false);
    fs::write(dir.path().join("FORMAT"), "mainstay-store 9\nuuid 00\n").expect("write");
    let error = try_open(dir.path()).expect_err("refused");
    assert!(matches!(error, OpenError::Format { .. }), "{error}");
}

/// Any byte of the database flipped: it opens, nothing acknowledged is forged, and either all is
/// there or the store says that it is degraded.
#[test]
fn a_flipped_byte_is_never_taken_for_truth() {
    let whole = filled(true, true);
    let good = fs::read(whole.path().join("db/db")).expect("read");
    let used = good.iter().rposition(|byte| *byte != 0).expect("not empty");
    let mut degraded = 0;
    for step in 0..24 {
        let dir = tempfile::tempdir().expect("directory");
        copy_tree(whole.path(), dir.path());
        let at = used * step / 24;
        flip(&dir.path().join("db/db"), at);
        let state = match try_open(dir.path()) {
            Ok(opened) => opened.state,
            Err(error) => panic!("byte {at}: {error}"),
        };
        assert_eq!(state.safety.as_deref(), Some(PROMISE), "byte {at}");
        for (seq, record) in &state.log {
            assert_eq!(*record, vec![*seq as u8; 700], "byte {at}");
        }
        if state.health.degraded() {
            degraded += 1;
        } else {
            assert_eq!(state.log.len(), 20, "byte {at}: sound but short");
        }
    }
    assert!(degraded > 0, "some byte mattered");
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("directory");
    for entry in fs::read_dir(from).expect("list") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copy");
        }
    }
}
