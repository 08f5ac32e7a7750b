//! The configuration out of a store that was moved aside.

use crate::replica::Replica;
use cib::Cib;
use std::path::{Path, PathBuf};
use store::{OpenOptions, Store};

/// The newest configuration that the store in `aside` has, as a file beside it. What this node wrote
/// down and nobody told it to be committed is in it: another disk that knew may be the lost one.
pub(crate) fn configuration(aside: &Path) -> Option<(PathBuf, Cib)> {
    if let Some(cib) = folded(aside) {
        let file = aside.join(FILE);
        if std::fs::write(&file, cib.to_xml()).is_ok() {
            return Some((file, cib));
        }
    }
    // Damaged: the copy that is kept beside the database is older at the worst.
    let file = aside.join(store::MIRROR_FILE);
    let cib = Cib::parse(&std::fs::read_to_string(&file).ok()?).ok()?;
    Some((file, cib))
}

fn folded(aside: &Path) -> Option<Cib> {
    let options = OpenOptions {
        allow_empty: true,
        ..OpenOptions::default()
    };
    let state = Store::open(aside, &options).ok()?.state;
    // What this node had promised is of no concern here.
    let recovered = membership::Recovered {
        safety: None,
        snapshot: state.snapshot,
        log: state.log,
        commit_hint: state.commit_hint,
        degraded: false,
    };
    let salvage = membership::salvage(&recovered).ok()?;
    if salvage.seq == 0 && salvage.entries.is_empty() {
        return None;
    }
    let mut replica = Replica::restore(&salvage.app).ok()?;
    for entry in &salvage.entries {
        replica.apply(entry);
    }
    Some(replica.cib().clone())
}

/// Name of the file in the directory of the old state.
const FILE: &str = "configuration.xml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_readable_database_the_copy_beside_it_serves() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join(store::MIRROR_FILE);
        std::fs::write(&copy, Cib::empty().to_xml()).unwrap();
        std::fs::write(dir.path().join("db"), "no directory").unwrap();
        let (file, cib) = configuration(dir.path()).unwrap();
        assert_eq!((file, cib), (copy, Cib::empty()));
    }
}
