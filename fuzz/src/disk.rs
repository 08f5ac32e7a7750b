//! What a store finds on its disk or is given to import.

use std::path::Path;

use store::*;

/// A store with one batch, whose safety slots are then these bytes, the first half in the one and
/// the second half in the other. It opens with what was acknowledged, or says what is damaged.
pub(crate) fn slot(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let options = OpenOptions::default();
    let mut opened = Store::open(dir.path(), &options).expect("a first start");
    let ops = vec![Op::Safety(SAFETY.to_vec())];
    opened.store.commit(&Batch { ops }).expect("written");
    drop(opened);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    overwrite(&dir.path().join("state/meta.0"), first);
    overwrite(&dir.path().join("state/meta.1"), second);
    match Store::open(dir.path(), &options) {
        Ok(opened) => {
            let safety = opened.state.safety;
            // Nobody can forge a slot by chance, but half of these bytes may leave it as it was.
            let known = safety.as_deref() == Some(SAFETY);
            assert!(known || opened.state.health.degraded(), "{safety:?}");
        }
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}

/// Both safety slots of a sound store.
pub(crate) fn slots() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut opened = Store::open(dir.path(), &OpenOptions::default()).expect("a first start");
    let ops = vec![Op::Safety(SAFETY.to_vec())];
    opened.store.commit(&Batch { ops }).expect("written");
    drop(opened);
    let read = |name| std::fs::read(dir.path().join("state").join(name)).expect("a slot");
    [read("meta.0"), read("meta.1")].concat()
}

/// What a store with something of everything says when it is exported.
pub(crate) fn exported() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut opened = Store::open(dir.path(), &OpenOptions::default()).expect("a first start");
    let record = |seq| Op::AppendLog {
        seq,
        record: vec![seq as u8; 40],
    };
    let ops = vec![
        Op::Safety(SAFETY.to_vec()),
        record(1),
        record(2),
        Op::Snapshot {
            seq: 1,
            state: b"state".to_vec(),
        },
        record(3),
        Op::CommitHint { seq: 2 },
    ];
    opened.store.commit(&Batch { ops }).expect("written");
    let mut text = Vec::new();
    opened.store.export(&mut text).expect("exported");
    text
}

/// Over what is there: a shorter one leaves the rest.
fn overwrite(path: &Path, bytes: &[u8]) {
    let mut all = std::fs::read(path).expect("a slot");
    let there = bytes.len().min(all.len());
    all[..there].copy_from_slice(&bytes[..there]);
    std::fs::write(path, all).expect("written");
}

/// An export of somebody else's, or what is left of one.
pub(crate) fn import(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let into = dir.path().join("store");
    if store::import(&into, &mut &bytes[..]).is_ok() {
        let opened = Store::open(&into, &OpenOptions::default()).expect("what was imported opens");
        assert!(opened.state.health.degraded(), "an import may vote");
    }
}

const SAFETY: &[u8] = b"what was promised";
