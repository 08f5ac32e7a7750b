//! The wall clock of the daemons, stepped: a namespace cannot have one of its own, so a preloaded
//! library adds an offset to what they read. The kernel's other clocks do not step, and
//! `tests/tidy.rs` names everything in the program that reads this one.

use crate::cluster::{Cluster, skip};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What runs as the daemon of nodes whose clock can be stepped; [`Clocks::install`] makes it so.
pub(super) fn daemon() -> Vec<String> {
    let preload = format!("LD_PRELOAD=/run/lab/shared/{LIBRARY}");
    ["env", &preload, "mainstayd"].map(str::to_owned).to_vec()
}

/// The clocks of a lab's nodes.
#[derive(Debug)]
pub(super) struct Clocks {
    dir: PathBuf,
}

impl Clocks {
    /// Puts the library and an offset of nothing into a lab whose nodes are still off; `None`
    /// where there is no C compiler.
    pub(super) fn install(test: &str, c: &Cluster, nodes: u8) -> Option<Self> {
        let dir = c.shared_dir();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/vip_faults/clock.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let compiled = Command::new(&compiler)
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .args([&dir.join(LIBRARY), &source])
            .arg("-ldl")
            .status();
        match compiled {
            Ok(status) => assert!(status.success(), "{compiler} does not compile clock.c"),
            Err(error) => {
                skip(test, &format!("no C compiler ({compiler}: {error})"));
                return None;
            }
        }
        let clocks = Self { dir };
        for node in 1..=nodes {
            std::fs::write(clocks.file(&format!("node{node}")), [0; 16]).unwrap();
        }
        Some(clocks)
    }

    /// Lets a node's daemon read the wall clock with this much added, from its next look on.
    pub(super) fn set(&self, node: &str, seconds: i64) {
        let file = OpenOptions::new().write(true).open(self.file(node));
        let offset = seconds * 1_000_000_000;
        // In place: the daemon has the file mapped.
        file.unwrap()
            .write_all_at(&offset.to_ne_bytes(), 0)
            .unwrap();
    }

    /// How many times a node's processes have looked.
    pub(super) fn readings(&self, node: &str) -> u64 {
        let bytes = std::fs::read(self.file(node)).unwrap();
        u64::from_ne_bytes(bytes[8..16].try_into().unwrap())
    }

    fn file(&self, node: &str) -> PathBuf {
        self.dir.join(format!("clock-{node}"))
    }
}

const LIBRARY: &str = "clock.so";
