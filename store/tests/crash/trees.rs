//! Directories with a store in them: made, copied, kept where one failed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Images are simulated disks: memory is as good for them and spares the real one.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).expect("directory")
    } else {
        tempfile::tempdir().expect("directory")
    }
}

/// Keeps a failing tree below `STORE_CRASH_KEEP`, or in the build's directory for such things;
/// returns the directory it made: the tree is `opened` in it.
pub(crate) fn keep_tree(tree: &Path) -> PathBuf {
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

pub(crate) fn copy_tree(from: &Path, to: &Path) {
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
