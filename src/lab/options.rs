//! How a lab is to be.

use super::state::default_dir;
use super::switch::PREFIX;
use std::path::PathBuf;

/// How a lab is to be; [`Options::new`] has the defaults, the fields are for changing.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of nodes.
    pub nodes: u8,
    /// The lab's directory, on a real file system; it may hold one lab.
    pub dir: PathBuf,
    /// `token` of corosync.conf, in milliseconds; `None` leaves the key out.
    pub token_ms: Option<u32>,
    /// `two_node: 1` in corosync.conf.
    pub two_node: bool,
    /// Further lines of corosync.conf's `quorum{}`.
    pub quorum: Vec<String>,
    /// The last node is none: it runs `mainstay-witness` for the others.
    pub witness: bool,
    /// Restart a daemon that dies.
    pub supervise: bool,
    /// What runs as the daemon in every node; argv.
    pub daemon: Vec<String>,
    /// The `mainstay-lab` program; in tests `env!("CARGO_BIN_EXE_mainstay-lab")`.
    pub program: PathBuf,
    /// The lab ends with this process, whatever ends it; [`super::Lab`] ends it when dropped.
    pub tied: bool,
    /// Waits show nothing.
    pub quiet: bool,
    /// Leave the nodes powered off; `poweron` starts them.
    pub powered_off: bool,
    /// Prefix length of the nodes' and the client's addresses.
    pub prefix: u8,
}

impl Options {
    /// A lab of `nodes` nodes in the default directory that outlives this process.
    #[must_use]
    pub fn new(nodes: u8) -> Self {
        Self {
            nodes,
            dir: default_dir(),
            token_ms: None,
            two_node: false,
            quorum: Vec::new(),
            witness: false,
            supervise: true,
            daemon: vec!["mainstayd".to_owned()],
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("mainstay-lab")),
            tied: false,
            quiet: false,
            powered_off: false,
            prefix: PREFIX,
        }
    }

    /// A lab for a test: [`Options::own`] with `program`, silent.
    #[must_use]
    pub fn for_test(nodes: u8, program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            quiet: true,
            ..Self::own(nodes, "test")
        }
    }

    /// A lab in a directory of its own below `/var/tmp`, tied to this process. Two of them never
    /// meet, though all use the same addresses. `purpose` is part of the directory's name.
    #[must_use]
    pub fn own(nodes: u8, purpose: &str) -> Self {
        let mut random = [0u8; 6];
        // Without randomness the pid still tells processes apart.
        let _ = getrandom::fill(&mut random);
        let unique: String = random.iter().map(|b| format!("{b:02x}")).collect();
        let dir = format!(
            "/var/tmp/mainstay-{purpose}-{}-{unique}",
            std::process::id()
        );
        Self {
            dir: dir.into(),
            tied: true,
            ..Self::new(nodes)
        }
    }
}
