//! What a node sees of the file system: the machine's, read-only, with its own `/etc` parts,
//! `/var`, `/run`, `/tmp`, `/proc`, `/sys`, and mainstay's names over the tools installed here.

use super::error::{LabError, Tried};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Where the lab's program appears in every node; every name is a link to it.
pub(super) const PROGRAM: &str = "/usr/lib/mainstay/mainstay-lab";
/// First in PATH.
pub(super) const BIN: &str = "/usr/lib/mainstay/bin";
/// The power switch's socket, for the fence agent.
pub(super) const POWER_SOCKET: &str = "/run/lab/power.sock";
/// Names under which the program is the daemon or a command; also put over the tools of that name.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ["mainstayd", "mainstay-witness"]
        .into_iter()
        .chain(crate::cli::COMMANDS.iter().map(|c| c.name))
}

/// Whether the program is a command of that name.
pub(super) fn is_name(name: &str) -> bool {
    let mut daemons = crate::cli::DAEMONS.iter();
    names().any(|n| n == name) || daemons.any(|d| d.name == name)
}

/// Where front ends look for Pacemaker's daemons, to ask them which options there are.
const DAEMONS: &str = "usr-lib/pacemaker";

/// The lab's fence agent.
pub(super) const FENCE_AGENT: &str = "fence_lab";

/// Directories of the lab and of one node in it.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    node: PathBuf,
}

impl Layout {
    pub(super) fn new(lab: &Path, node: &str) -> Self {
        Self {
            node: lab.join("nodes").join(node),
        }
    }

    /// The node's directory on the machine.
    pub(super) fn node(&self) -> &Path {
        &self.node
    }

    /// Makes the node's directories, keeping what is there: a disk survives a power-off.
    pub(super) fn make_node(&self) -> Result<(), LabError> {
        for dir in ["etc-corosync", "etc-default"].into_iter().chain(VAR_DIRS) {
            let path = self.node.join(dir);
            fs::create_dir_all(&path).tried(|| format!("make {}", path.display()))?;
        }
        for (name, target) in [("var/run", "/run"), ("var/lock", "/run/lock")] {
            let path = self.node.join(name);
            if path.symlink_metadata().is_err() {
                symlink(target, &path).tried(|| format!("make {}", path.display()))?;
            }
        }
        let tmp = self.node.join("var/tmp");
        fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777))
            .tried(|| format!("chmod {}", tmp.display()))
    }
}

/// Writes the parts that all nodes of a lab share: mount points and links that the machine may
/// lack, laid over `/etc`, `/usr/lib` and `/usr/sbin` of every node.
pub(super) fn make_skeleton(lab: &Path) -> Result<(), LabError> {
    let skeleton = lab.join("skeleton");
    for dir in [
        "etc/corosync",
        "etc/default",
        "usr-lib/mainstay/bin",
        DAEMONS,
        "usr-lib/ocf/resource.d/mainstay",
        "usr-sbin",
    ] {
        let path = skeleton.join(dir);
        fs::create_dir_all(&path).tried(|| format!("make {}", path.display()))?;
    }
    for file in ["etc/hostname", "etc/hosts", "usr-lib/mainstay/mainstay-lab"] {
        write(&skeleton.join(file), "")?;
    }
    let agent = skeleton.join("usr-lib/ocf/resource.d/mainstay/demo-web");
    write(&agent, crate::demo_web::AGENT)?;
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755))
        .tried(|| format!("chmod {}", agent.display()))?;
    for name in names() {
        link(&skeleton.join("usr-lib/mainstay/bin").join(name))?;
        link(&skeleton.join("usr-sbin").join(name))?;
    }
    for daemon in crate::cli::DAEMONS {
        link(&skeleton.join(DAEMONS).join(daemon.name))?;
    }
    link(&skeleton.join("usr-sbin").join(FENCE_AGENT))?;
    let shared = lab.join("shared");
    fs::create_dir_all(&shared).tried(|| format!("make {}", shared.display()))
}

/// Builds the node's view. Runs in its pid 1, in a mount namespace just made.
pub(super) fn build(lab: &Path, node: &str) -> Result<(), LabError> {
    let layout = Layout::new(lab, node);
    let skeleton = lab.join("skeleton");
    flags("", "/", MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;

    overlay(&skeleton.join("etc"), "/etc")?;
    overlay(&skeleton.join("usr-lib"), "/usr/lib")?;
    overlay(&skeleton.join("usr-sbin"), "/usr/sbin")?;
    bind(&lab.join("bin/mainstay-lab"), PROGRAM)?;
    bind(&layout.node.join("etc-corosync"), "/etc/corosync")?;
    bind(&layout.node.join("etc-default"), "/etc/default")?;
    bind(&layout.node.join("hostname"), "/etc/hostname")?;
    bind(&layout.node.join("hosts"), "/etc/hosts")?;

    file_system("proc", "/proc", None)?;
    bind(&layout.node.join("boot_id"), super::state::BOOT_ID)?;

    // Everything of the lab's directory is opened before /var, /run and /tmp hide it.
    let var = layout.node.join("var");
    let (shared, power) = (lab.join("shared"), lab.join("power.sock"));
    let staging = layout.node.join("run");
    fs::create_dir_all(&staging).tried(|| format!("make {}", staging.display()))?;
    file_system("tmpfs", &staging.to_string_lossy(), Some("mode=755"))?;
    for dir in RUN_DIRS {
        let path = staging.join(dir);
        fs::create_dir_all(&path).tried(|| format!("make {}", path.display()))?;
    }
    bind(&shared, &staging.join("lab/shared").to_string_lossy())?;
    if power.exists() {
        write(&staging.join("lab/power.sock"), "")?;
        bind(&power, &staging.join("lab/power.sock").to_string_lossy())?;
    }
    flags_from(&staging, "/run", MsFlags::MS_MOVE)?;
    keep_control_groups()?;
    // The working directory may lie under what is covered now.
    std::env::set_current_dir("/").tried(|| "change to /".to_owned())?;
    bind(&var, "/var")?;
    read_only_root();
    file_system("tmpfs", "/tmp", Some("mode=1777"))?;
    Ok(())
}

/// A fresh `/sys` shows this node's interfaces; the control groups of the machine are carried over.
fn keep_control_groups() -> Result<(), LabError> {
    let kept = "/run/lab/cgroup";
    fs::create_dir_all(kept).tried(|| format!("make {kept}"))?;
    let carried = flags_from(
        Path::new("/sys/fs/cgroup"),
        kept,
        MsFlags::MS_BIND | MsFlags::MS_REC,
    )
    .is_ok();
    if let Err(e) = file_system("sysfs", "/sys", None) {
        // Not allowed where the machine's own /sys is partly hidden (containers); agents that look
        // into /sys/class/net then see the machine's interfaces.
        eprintln!("mainstay-lab: /sys stays the machine's: {e}");
        return Ok(());
    }
    if carried {
        flags_from(Path::new(kept), "/sys/fs/cgroup", MsFlags::MS_MOVE)?;
    }
    Ok(())
}

/// Nothing that runs in a node may write into the machine's own files.
fn read_only_root() {
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    for flags_tried in [
        read_only,
        read_only | MsFlags::MS_NODEV | MsFlags::MS_NOSUID,
    ] {
        if flags("", "/", flags_tried).is_ok() {
            return;
        }
    }
    eprintln!("mainstay-lab: / could not be made read-only for this node");
}

fn overlay(upper: &Path, target: &str) -> Result<(), LabError> {
    let options = format!("lowerdir={}:{target}", upper.display());
    mount(
        Some("overlay"),
        target,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .tried(|| {
        format!(
            "lay {} over {target} (kernel module overlay)",
            upper.display()
        )
    })
}

fn file_system(kind: &str, target: &str, options: Option<&str>) -> Result<(), LabError> {
    mount(Some(kind), target, Some(kind), MsFlags::MS_NOSUID, options)
        .tried(|| format!("mount {kind} on {target}"))
}

fn bind(source: &Path, target: &str) -> Result<(), LabError> {
    flags_from(source, target, MsFlags::MS_BIND)
}

fn flags_from(source: &Path, target: &str, flags: MsFlags) -> Result<(), LabError> {
    mount(Some(source), target, None::<&str>, flags, None::<&str>)
        .tried(|| format!("mount {} on {target}", source.display()))
}

fn flags(source: &str, target: &str, flags: MsFlags) -> Result<(), LabError> {
    flags_from(Path::new(source), target, flags)
}

fn link(path: &Path) -> Result<(), LabError> {
    match symlink(PROGRAM, path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(e).tried(|| format!("make {}", path.display()))
        }
        _ => Ok(()),
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), LabError> {
    fs::write(path, text).tried(|| format!("write {}", path.display()))
}

/// A node's `/var`, as the agents of resource-agents and the daemon expect it.
const VAR_DIRS: [&str; 9] = [
    "var/lib/mainstay",
    "var/lib/heartbeat",
    "var/lib/pacemaker",
    "var/log",
    "var/log/cluster",
    "var/tmp",
    "var/cache",
    "var/spool",
    "var/local",
];

/// A node's `/run`, empty after every power-on.
const RUN_DIRS: [&str; 5] = [
    "lock",
    "resource-agents",
    "mainstay",
    "lab/shared",
    "lab/cgroup",
];
