//! What is committed comes back, in order, whatever was replaced or dropped on the way.

use std::path::Path;

use store::{Batch, CibVersion, Health, Mirror, Op, OpenOptions, Opened, Store, StoreError};

fn open(dir: &Path) -> Opened {
    Store::open(dir, &OpenOptions::default()).expect("store opens")
}

fn commit(store: &mut Store, ops: Vec<Op>) {
    store.commit(&Batch { ops }).expect("commit");
}

fn append(seq: u64) -> Op {
    Op::AppendLog {
        seq,
        record: record(seq),
    }
}

/// Some records fit one value, some need several.
fn record(seq: u64) -> Vec<u8> {
    vec![seq as u8; (seq as usize * 700) % 3_000]
}

fn version(seq: u64) -> CibVersion {
    CibVersion {
        seq,
        xml: format!("<cib epoch=\"{seq}\">{}</cib>", "x".repeat(3_000)),
        author: "root".to_owned(),
        client: "crm configure".to_owned(),
        origin: "node1".to_owned(),
        time_us: 1_700_000_000_000_000 + seq,
        diff: format!("+ epoch={seq}"),
    }
}

#[test]
fn first_start_is_sound_and_empty() {
    let dir = tempfile::tempdir().expect("directory");
    let state = open(&dir.path().join("a/b/store")).state;
    assert_eq!(state.health, Health::Sound);
    assert_eq!((state.safety, state.snapshot), (None, None));
    assert_eq!((state.log, state.commit_hint), (vec![], 0));
    assert_eq!(state.notices, Vec::<String>::new());
}

#[test]
fn everything_comes_back() {
    let dir = tempfile::tempdir().expect("directory");
    let mut store = open(dir.path()).store;
    commit(&mut store, vec![Op::Safety(b"one".to_vec()), append(1)]);
    commit(&mut store, (2..=9).map(append).collect());
    commit(&mut store, vec![Op::TruncateLog { seq: 8 }, append(8)]);
    commit(
        &mut store,
        vec![
            Op::Snapshot {
                seq: 4,
                state: vec![7; 5_000],
            },
            Op::CommitHint { seq: 6 },
            Op::Safety(vec![2; 1_500]),
            Op::CibVersion(version(4)),
        ],
    );
    drop(store);
    let Opened { store, state } = open(dir.path());
    assert_eq!(state.health, Health::Sound);
    assert_eq!(state.notices, Vec::<String>::new());
    assert_eq!(state.safety, Some(vec![2; 1_500]));
    assert_eq!(state.snapshot, Some((4, vec![7; 5_000])));
    let log: Vec<_> = (5..=8).map(|seq| (seq, record(seq))).collect();
    assert_eq!(state.log, log);
    assert_eq!(state.commit_hint, 6);
    assert_eq!(store.last_seq(), 8);
    assert_eq!(store.version(4).expect("read"), Some(version(4)));
}

#[test]
fn a_snapshot_beyond_the_log_starts_a_new_one() {
    let dir = tempfile::tempdir().expect("directory");
    let mut store = open(dir.path()).store;
    commit(&mut store, vec![append(1), append(2)]);
    let state = b"from a peer".to_vec();
    commit(
        &mut store,
        vec![Op::Snapshot { seq: 50, state }, append(51)],
    );
    drop(store);
    let state = open(dir.path()).state;
    assert_eq!(state.snapshot, Some((50, b"from a peer".to_vec())));
    assert_eq!(state.log, vec![(51, record(51))]);
    assert_eq!(state.health, Health::Sound);
}

/// What a node does that was away for longer than its peers keep entries, and what one of two does
/// whose log lost against the other's.
#[test]
fn another_snapshot_takes_the_place_of_everything() {
    for seq in [50, 0] {
        let dir = tempfile::tempdir().expect("directory");
        let mut store = open(dir.path()).store;
        let own = Op::Snapshot {
            seq: 2,
            state: vec![1; 5_000],
        };
        commit(&mut store, vec![append(1), append(2), append(3), own]);
        let state = b"from a peer".to_vec();
        let other = Op::Snapshot { seq, state };
        commit(&mut store, vec![Op::TruncateLog { seq: 1 }, other]);
        commit(&mut store, vec![append(seq + 1)]);
        drop(store);
        let state = open(dir.path()).state;
        assert_eq!(state.health, Health::Sound);
        assert_eq!(state.snapshot, Some((seq, b"from a peer".to_vec())));
        assert_eq!(state.log, vec![(seq + 1, record(seq + 1))]);
    }
}

#[test]
fn a_wrong_batch_changes_nothing() {
    let dir = tempfile::tempdir().expect("directory");
    let mut store = open(dir.path()).store;
    let snapshot = Op::Snapshot {
        seq: 2,
        state: vec![],
    };
    commit(&mut store, vec![append(1), append(2), append(3), snapshot]);
    for wrong in [
        vec![append(5)],
        vec![append(2)],
        vec![append(4), Op::TruncateLog { seq: 2 }],
        vec![Op::TruncateLog { seq: 1 }],
        vec![Op::Safety(vec![0; store::SAFETY_BYTES_MAX + 1])],
        vec![Op::Snapshot {
            seq: 1,
            state: vec![],
        }],
    ] {
        let error = store.commit(&Batch { ops: wrong }).expect_err("refused");
        assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        assert!(!error.fatal());
    }
    commit(&mut store, vec![append(4)]);
    drop(store);
    let state = open(dir.path()).state;
    assert_eq!(state.log, vec![(3, record(3)), (4, record(4))]);
    assert_eq!(state.safety, None);
}

#[test]
fn sixteen_versions_are_kept() {
    let dir = tempfile::tempdir().expect("directory");
    let mut store = open(dir.path()).store;
    for seq in 1..=20 {
        commit(&mut store, vec![Op::CibVersion(version(seq))]);
    }
    commit(&mut store, vec![Op::CibVersion(version(20))]);
    drop(store);
    let store = open(dir.path()).store;
    let kept: Vec<u64> = store
        .versions()
        .expect("read")
        .iter()
        .map(|v| v.seq)
        .collect();
    assert_eq!(kept, (5..=20).collect::<Vec<_>>());
    assert_eq!(store.version(4).expect("read"), None);
    assert_eq!(store.version(5).expect("read"), Some(version(5)));
}

#[test]
fn a_second_daemon_is_told_who_has_the_store() {
    let dir = tempfile::tempdir().expect("directory");
    let first = open(dir.path());
    let error = Store::open(dir.path(), &OpenOptions::default()).expect_err("locked");
    let text = error.to_string();
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    assert!(text.contains("lock"), "{text}");
    drop(first);
    assert_eq!(open(dir.path()).state.health, Health::Sound);
}

#[test]
fn compaction_keeps_everything() {
    let dir = tempfile::tempdir().expect("directory");
    let mut store = open(dir.path()).store;
    commit(&mut store, (1..=40).map(append).collect());
    commit(&mut store, vec![Op::Safety(b"promise".to_vec())]);
    let mirror = Mirror {
        seq: 40,
        xml: "<cib/>".to_owned(),
    };
    store.mirror(&mirror).expect("mirror");
    let usage = store.compact().expect("compact");
    assert!(usage.database_bytes > 0 && !usage.alarm);
    commit(&mut store, vec![append(41)]);
    drop(store);
    let state = open(dir.path()).state;
    assert_eq!(state.health, Health::Sound);
    assert_eq!(state.log.len(), 41);
    assert_eq!(state.safety, Some(b"promise".to_vec()));
}

#[test]
fn an_export_makes_the_same_store_that_may_not_vote() {
    let dir = tempfile::tempdir().expect("directory");
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    let mut store = open(&from).store;
    let snapshot = Op::Snapshot {
        seq: 3,
        state: vec![9; 3_000],
    };
    commit(&mut store, (1..=6).map(append).collect());
    commit(&mut store, vec![snapshot, Op::CommitHint { seq: 5 }]);
    commit(
        &mut store,
        vec![Op::Safety(vec![4; 100]), Op::CibVersion(version(6))],
    );
    let xml = "<cib epoch=\"6\"/>\n".to_owned();
    store.mirror(&Mirror { seq: 6, xml }).expect("mirror");
    let mut text = Vec::new();
    let summary = store.export(&mut text).expect("export");
    assert_eq!(
        (summary.records, summary.versions, summary.snapshot),
        (3, 1, 3)
    );

    assert_eq!(store::import(&to, &mut &text[..]).expect("import"), summary);
    let again = store::import(&to, &mut &text[..]).expect_err("exists");
    assert!(again.to_string().contains("exists already"), "{again}");
    let mut copy = open(&to);
    assert!(copy.state.health.degraded());
    assert_eq!(copy.state.health.cause(), Some("imported from an export"));
    assert_eq!(copy.state.mirror.as_ref().map(|m| m.seq), Some(6));
    let mut copied = Vec::new();
    copy.store.export(&mut copied).expect("export");
    let body = |text: &[u8]| {
        let text = String::from_utf8_lossy(text).into_owned();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(body(&copied), body(&text));

    commit(&mut copy.store, vec![Op::Healed]);
    drop(copy);
    assert_eq!(open(&to).state.health, Health::Sound);
}

#[test]
fn half_an_export_is_refused() {
    let dir = tempfile::tempdir().expect("directory");
    let mut store = open(&dir.path().join("from")).store;
    commit(&mut store, (1..=3).map(append).collect());
    let mut text = Vec::new();
    store.export(&mut text).expect("export");
    let ends: Vec<usize> = (0..text.len()).filter(|at| text[*at] == b'\n').collect();
    for end in &ends[..ends.len() - 1] {
        let error = store::import(&dir.path().join("to"), &mut &text[..=*end]);
        assert!(
            error
                .expect_err("incomplete")
                .to_string()
                .contains("the end is missing")
        );
    }
}

#[test]
fn a_sound_store_verifies() {
    let dir = tempfile::tempdir().expect("directory");
    let mut store = open(dir.path()).store;
    commit(&mut store, (1..=6).map(append).collect());
    commit(
        &mut store,
        vec![Op::Safety(vec![4; 100]), Op::CibVersion(version(6))],
    );
    let online = store.verify().expect("verify");
    assert_eq!(online.problems, vec![]);
    assert_eq!((online.log, online.generation), (Some((1, 6)), 1));
    drop(store);
    assert_eq!(store::verify(dir.path()).expect("verify"), online);
}

/// What goes beside the engine, and a hint alone, are there again whether the store was settled,
/// closed or left as it was.
#[test]
fn what_the_engine_lacks_comes_back() {
    for end in 0..3 {
        let dir = tempfile::tempdir().expect("directory");
        let mut store = open(dir.path()).store;
        assert!(!store.unsettled());
        for seq in 1..=40 {
            commit(&mut store, vec![append(seq)]);
            commit(&mut store, vec![Op::CommitHint { seq }]);
        }
        // It replaces a record that the engine may not have.
        let another = b"another".to_vec();
        let replaced = Op::AppendLog {
            seq: 40,
            record: another.clone(),
        };
        commit(&mut store, vec![replaced]);
        assert!(store.unsettled());
        let image = tempfile::tempdir().expect("directory");
        match end {
            0 => copy_dir(dir.path(), image.path()),
            1 => {
                store.settle().expect("settle");
                assert!(!store.unsettled());
                copy_dir(dir.path(), image.path());
            }
            _ => {
                drop(store);
                copy_dir(dir.path(), image.path());
            }
        }
        let state = open(image.path()).state;
        assert_eq!(state.health, Health::Sound, "{end}");
        let mut log: Vec<_> = (1..=40).map(|seq| (seq, record(seq))).collect();
        log[39].1 = another;
        assert_eq!(state.log, log, "{end}");
        assert_eq!(state.commit_hint, 40, "{end}");
    }
}

/// As a killed process leaves it: what the kernel has is there.
fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("list") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).expect("directory");
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy");
        }
    }
}
