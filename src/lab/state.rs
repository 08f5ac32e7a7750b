//! What a lab remembers between commands: which processes it started, by pid and start time.

use super::error::{LabError, Tried};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The lab's memory, one JSON file in its directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Format of this file.
    pub version: u32,
    /// Random name of this lab, for control groups.
    pub id: String,
    /// Boot id of the machine the lab runs on: after a reboot every pid here is stale.
    pub machine_boot: String,
    /// The lab lives in a user namespace of its own.
    pub user_namespace: bool,
    /// `two_node: 1` and other options given to `up`.
    pub config: Config,
    /// The process that holds the switch's network namespace.
    pub switch: Process,
    /// The process that holds the client's network namespace.
    pub client: Process,
    /// The nodes, in order.
    pub nodes: Vec<Node>,
}

/// What `up` was told about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Config {
    /// `token` of corosync.conf, in milliseconds; `None` leaves the key out.
    pub token_ms: Option<u32>,
    /// `two_node: 1`.
    pub two_node: bool,
    /// Further lines of `quorum{}`.
    #[serde(default)]
    pub quorum: Vec<String>,
    /// The last node is the witness of the others.
    #[serde(default)]
    pub witness: bool,
    /// Restart the daemon when it dies.
    pub supervise: bool,
    /// What init runs as the daemon; argv.
    pub daemon: Vec<String>,
    /// Prefix length of the lab's network.
    pub prefix: u8,
}

/// A node, powered on or off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Host name, `node1`.
    pub name: String,
    /// From 1.
    pub index: u8,
    /// Its address on the switch.
    pub address: Ipv4Addr,
    /// Its pid 1, while it is powered on.
    pub init: Option<Process>,
    /// Its port does not pass frames.
    pub cut: bool,
    /// It hears no other node, and the client hears all.
    #[serde(default)]
    pub apart: bool,
    /// It hears nobody, and everybody hears it.
    #[serde(default)]
    pub deaf: bool,
    /// Nobody hears it, and it hears everybody.
    #[serde(default)]
    pub mute: bool,
    /// Its processes are frozen.
    pub frozen: bool,
}

/// A process, named so that a recycled pid is not mistaken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Pid as the lab's commands see it.
    pub pid: i32,
    /// Start time in clock ticks since boot (proc_pid_stat(5), field 22).
    pub start_ticks: u64,
}

impl State {
    /// What runs as a node's daemon; argv.
    pub(super) fn daemon_of(&self, node: &Node) -> Vec<String> {
        let last = self.nodes.last().map(|n| n.index);
        match self.config.witness && last == Some(node.index) {
            true => vec!["mainstay-witness".to_owned()],
            false => self.config.daemon.clone(),
        }
    }

    /// The state in `dir`.
    ///
    /// # Errors
    /// [`LabError::NotUp`] when there is none, it is of an earlier boot, or its switch is gone.
    pub(super) fn load(dir: &Path) -> Result<Self, LabError> {
        if dir.is_dir() {
            check_owner(dir)?;
        }
        let path = dir.join(STATE_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(LabError::NotUp {
                    dir: dir.to_path_buf(),
                });
            }
            Err(e) => return Err(e).tried(|| format!("read {}", path.display())),
        };
        let state: Self = serde_json::from_str(&text).map_err(|e| {
            LabError::Refused(format!(
                "{} is not a lab's state ({e}); remove it if no lab of an older version runs",
                path.display()
            ))
        })?;
        if state.version != STATE_VERSION {
            return Err(LabError::Refused(format!(
                "{} has format {}, this program knows {STATE_VERSION}",
                path.display(),
                state.version
            )));
        }
        if state.machine_boot != machine_boot()? {
            return Err(LabError::NotUp {
                dir: dir.to_path_buf(),
            });
        }
        Ok(state)
    }

    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn save(&self, dir: &Path) -> Result<(), LabError> {
        let path = dir.join(STATE_FILE);
        let new = dir.join("state.json.new");
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| LabError::Refused(format!("state cannot be written as JSON: {e}")))?;
        fs::write(&new, text).tried(|| format!("write {}", new.display()))?;
        fs::rename(&new, &path).tried(|| format!("rename to {}", path.display()))
    }

    /// Forgets the lab.
    ///
    /// # Errors
    /// What the file system said, other than that it was gone.
    pub(super) fn remove(dir: &Path) -> Result<(), LabError> {
        match fs::remove_file(dir.join(STATE_FILE)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).tried(|| format!("remove {}", dir.join(STATE_FILE).display()))
            }
            _ => Ok(()),
        }
    }

    /// The node called `name`.
    ///
    /// # Errors
    /// [`LabError::UnknownNode`] with the names there are.
    pub(super) fn node(&self, name: &str) -> Result<&Node, LabError> {
        self.nodes
            .iter()
            .find(|n| n.name == name)
            .ok_or_else(|| LabError::UnknownNode {
                name: name.to_owned(),
                known: self
                    .nodes
                    .iter()
                    .map(|n| n.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// The node called `name`, to change it.
    ///
    /// # Errors
    /// As [`State::node`].
    pub(super) fn node_mut(&mut self, name: &str) -> Result<&mut Node, LabError> {
        let index = self.node(name)?.index;
        Ok(&mut self.nodes[usize::from(index) - 1])
    }

    /// True when the switch still runs: what makes a lab a lab.
    #[must_use]
    pub(super) fn is_live(&self) -> bool {
        self.switch.is_alive()
    }
}

impl Node {
    /// Its pid 1, if it is really running.
    ///
    /// # Errors
    /// [`LabError::NodeOff`].
    pub fn running(&self) -> Result<Process, LabError> {
        self.init
            .filter(Process::is_alive)
            .ok_or_else(|| LabError::NodeOff {
                name: self.name.clone(),
            })
    }

    /// Hardware address of its interface, at every power-on the same.
    #[must_use]
    pub fn mac(&self) -> netlink::Mac {
        super::switch::mac_of(self.address)
    }

    /// Name of its port on the switch.
    #[must_use]
    pub fn port(&self) -> String {
        format!("port{}", self.index)
    }
}

impl Process {
    /// The process that has `pid` now.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(pid: i32) -> Result<Self, LabError> {
        let stat = Stat::read(pid).tried(|| format!("look up process {pid}"))?;
        Ok(Self {
            pid,
            start_ticks: stat.start_ticks,
        })
    }

    /// True while it runs (a zombie does not).
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Stat::read(self.pid)
            .is_ok_and(|s| s.start_ticks == self.start_ticks && !matches!(s.state, 'Z' | 'X'))
    }

    /// One of its namespaces, opened: `net`, `mnt`, `pid`, `uts`, `ipc`, `user`.
    ///
    /// # Errors
    /// When it is gone, or belongs to someone else.
    pub fn namespace(&self, kind: &str) -> Result<File, LabError> {
        let path = format!("/proc/{}/ns/{kind}", self.pid);
        let file = File::open(&path).tried(|| format!("open {path}"))?;
        // Looked at after opening: if the pid had been given to another process, it would show.
        if self.is_alive() {
            Ok(file)
        } else {
            Err(LabError::Refused(format!(
                "process {} of the lab is gone",
                self.pid
            )))
        }
    }
}

/// The fields of proc_pid_stat(5) that matter here.
pub(super) struct Stat {
    /// `R`, `S`, `D`, `T`, `Z` …
    pub(super) state: char,
    /// Process group, as the reader sees it.
    pub(super) group: i32,
    /// User plus system time, in clock ticks.
    pub(super) cpu_ticks: u64,
    /// Start, in clock ticks since boot.
    pub(super) start_ticks: u64,
}

impl Stat {
    pub(super) fn read(pid: i32) -> std::io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Self::parse(&text)
            .ok_or_else(|| std::io::Error::other(format!("/proc/{pid}/stat is not understood")))
    }

    fn parse(text: &str) -> Option<Self> {
        // The command name may hold blanks and parentheses; fields start after the last one.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            group: fields.get(2)?.parse().ok()?,
            cpu_ticks: number(14)? + number(15)?,
            start_ticks: number(22)?,
        })
    }
}

/// Refuses a directory that somebody else made: `/var/tmp` is everybody's, and the state names
/// processes to kill.
///
/// # Errors
/// [`LabError::Refused`] with the owner.
pub(super) fn check_owner(dir: &Path) -> Result<(), LabError> {
    let found = fs::symlink_metadata(dir).tried(|| format!("look at {}", dir.display()))?;
    let me = nix::unistd::geteuid().as_raw();
    if found.is_dir() && found.uid() == me && found.mode() & OTHERS_WRITE == 0 {
        return Ok(());
    }
    Err(LabError::Refused(format!(
        "{} must be a directory that only uid {me} may write to (it is of uid {}, mode {:o}); \
         choose another --dir",
        dir.display(),
        found.uid(),
        found.mode() & 0o7777
    )))
}

/// Keeps other commands on the same lab out until it is dropped.
///
/// # Errors
/// What the file system said.
pub(super) fn lock(dir: &Path) -> Result<Flock<File>, LabError> {
    let path = dir.join("lock");
    let file = File::create(&path).tried(|| format!("create {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, e)| e)
        .tried(|| format!("lock {}", path.display()))
}

/// Boot id of the machine.
pub(super) fn machine_boot() -> Result<String, LabError> {
    fs::read_to_string(BOOT_ID)
        .map(|t| t.trim().to_owned())
        .tried(|| format!("read {BOOT_ID}"))
}

/// Directory of a lab when none is given: `MAINSTAY_LAB_DIR`, else one on a real file system.
#[must_use]
pub fn default_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("MAINSTAY_LAB_DIR") {
        return dir.into();
    }
    if nix::unistd::geteuid().is_root() && !super::userns::inside_own() {
        PathBuf::from("/var/tmp/mainstay-lab")
    } else {
        PathBuf::from(format!(
            "/var/tmp/mainstay-lab-{}",
            super::userns::outer_uid()
        ))
    }
}

/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;
/// The kernel's boot id.
pub(super) const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Format of the state file.
pub(super) const STATE_VERSION: u32 = 1;
/// Name of the state file.
const STATE_FILE: &str = "state.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_time() {
        let me = Process::of(std::process::id() as i32).unwrap();
        assert!(me.is_alive());
        assert!(
            !Process {
                start_ticks: me.start_ticks + 1,
                ..me
            }
            .is_alive()
        );
    }

    #[test]
    fn stat_survives_a_hostile_command_name() {
        let text = "7 (a) R 1 (b) S 1 7 7 0 -1 0 0 0 0 0 11 22 0 0 20 0 1 0 4711 1 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(
            (stat.state, stat.cpu_ticks, stat.start_ticks),
            ('S', 33, 4711)
        );
        assert!(Stat::parse("rubbish").is_none());
    }
}
