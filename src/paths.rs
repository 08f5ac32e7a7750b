//! Where things lie. Every path can be moved below one root for tests and labs.

use std::path::{Path, PathBuf};

/// Environment variable that moves every path below a directory (`--root` does the same).
pub const ROOT_ENV: &str = "MAINSTAY_ROOT";

/// All paths of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// Paths below `root`; `/` is the real system.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Paths below [`ROOT_ENV`], or the real system.
    #[must_use]
    pub fn from_env() -> Self {
        Self::below(std::env::var_os(ROOT_ENV).unwrap_or_else(|| "/".into()))
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The root itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `/etc/corosync/corosync.conf`.
    #[must_use]
    pub fn corosync_conf(&self) -> PathBuf {
        self.at("/etc/corosync/corosync.conf")
    }

    /// `/etc/corosync/authkey`.
    #[must_use]
    pub fn authkey(&self) -> PathBuf {
        self.at("/etc/corosync/authkey")
    }

    /// State that must survive: `/var/lib/mainstay`.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.at("/var/lib/mainstay")
    }

    /// What this node knows of fencings that are over.
    #[must_use]
    pub fn fencings(&self) -> PathBuf {
        self.state_dir().join("fencings")
    }

    /// Changes of this node's that lost against another side's.
    #[must_use]
    pub fn conflicts(&self) -> PathBuf {
        self.state_dir().join("conflicts")
    }

    /// The store's directory.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.state_dir().join("store")
    }

    /// The store of a witness: `/var/lib/mainstay/witness`.
    #[must_use]
    pub fn witness_dir(&self) -> PathBuf {
        self.state_dir().join("witness")
    }

    /// What decisions were made from: `/var/lib/mainstay/pengine`.
    #[must_use]
    pub fn inputs_dir(&self) -> PathBuf {
        self.state_dir().join("pengine")
    }

    /// Sockets and pid: `/run/mainstay`.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.at("/run/mainstay")
    }

    /// The daemon's command socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join("mainstayd.sock")
    }

    /// The daemon's pid file.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        self.run_dir().join("mainstayd.pid")
    }

    /// OCF root: `/usr/lib/ocf`.
    #[must_use]
    pub fn ocf_root(&self) -> PathBuf {
        self.at("/usr/lib/ocf")
    }

    /// LSB init scripts: `/etc/init.d`.
    #[must_use]
    pub fn init_d(&self) -> PathBuf {
        self.at("/etc/init.d")
    }

    /// Fence agents (`fence_*`): `/usr/sbin`.
    #[must_use]
    pub fn fence_agents(&self) -> PathBuf {
        self.at("/usr/sbin")
    }

    /// Names under which agents find the cluster's commands: `/usr/lib/mainstay/bin`.
    #[must_use]
    pub fn compat_bin(&self) -> PathBuf {
        self.at("/usr/lib/mainstay/bin")
    }

    /// Environment added to agents and read at start: `/etc/default/mainstay`, `/etc/default/corosync`.
    #[must_use]
    pub fn environment_files(&self) -> [PathBuf; 2] {
        [
            self.at("/etc/default/mainstay"),
            self.at("/etc/default/corosync"),
        ]
    }
}
