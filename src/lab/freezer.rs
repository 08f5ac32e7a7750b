//! Freezing a node: its processes stop between two instructions, its kernel lives on.
//!
//! The control group freezer where the lab may use one (v2 first, then v1), else SIGSTOP to every
//! process of the node until none runs.

use super::error::{LabError, Tried};
use super::state::{Process, Stat};
use super::wait::{Seen, Wait};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A node's control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControlGroup {
    kind: Kind,
    dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// cgroups(7), freezer of version 1.
    V1,
    /// `cgroup.freeze` of version 2.
    V2,
}

impl ControlGroup {
    /// Makes the node's group; `None` where none may be made.
    pub(super) fn create(lab_id: &str, node: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        hierarchies(&mounts).into_iter().find_map(|(kind, root)| {
            let group = Self {
                kind,
                dir: root.join(name(lab_id, node)),
            };
            match fs::create_dir(&group.dir) {
                Ok(()) => {}
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(_) => return None,
            }
            group.dir.join(group.switch()).exists().then_some(group)
        })
    }

    /// The group made for the node before.
    pub(super) fn find(lab_id: &str, node: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        hierarchies(&mounts)
            .into_iter()
            .map(|(kind, root)| Self {
                kind,
                dir: root.join(name(lab_id, node)),
            })
            .find(|group| group.dir.is_dir())
    }

    /// The file a process writes `0` to, to join.
    pub(super) fn procs(&self) -> PathBuf {
        self.dir.join("cgroup.procs")
    }

    /// Removes the empty group.
    pub(super) fn remove(&self, quiet: bool) -> Result<(), LabError> {
        Wait::new(
            format!("{} to be empty", self.dir.display()),
            REMOVED_WITHIN,
        )
        .quiet(quiet)
        .until(|| match fs::remove_dir(&self.dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Seen::Yes(())),
            Ok(()) => Ok(Seen::Yes(())),
            Err(e) => Ok(Seen::NotYet(e.to_string())),
        })
    }

    /// Lets the group's processes go on.
    pub(super) fn thaw(&self) -> Result<(), LabError> {
        self.set(false)
    }

    fn switch(&self) -> &'static str {
        match self.kind {
            Kind::V1 => "freezer.state",
            Kind::V2 => "cgroup.freeze",
        }
    }

    fn set(&self, frozen: bool) -> Result<(), LabError> {
        let value = match (self.kind, frozen) {
            (Kind::V1, true) => "FROZEN",
            (Kind::V1, false) => "THAWED",
            (Kind::V2, true) => "1",
            (Kind::V2, false) => "0",
        };
        let path = self.dir.join(self.switch());
        fs::write(&path, value).tried(|| format!("write {value} to {}", path.display()))?;
        let what = format!("{} to be {}", self.dir.display(), word(frozen));
        Wait::new(what, FROZEN_WITHIN)
            .every(Duration::from_millis(1))
            .quiet(true)
            .until(|| {
                Ok(match self.state()? {
                    (true, now) if now == frozen => Seen::Yes(()),
                    (_, now) => Seen::NotYet(format!("still {}", word(now))),
                })
            })
    }

    /// Whether the state is settled, and which it is.
    fn state(&self) -> Result<(bool, bool), LabError> {
        let file = match self.kind {
            Kind::V1 => "freezer.state",
            Kind::V2 => "cgroup.events",
        };
        let path = self.dir.join(file);
        let text = fs::read_to_string(&path).tried(|| format!("read {}", path.display()))?;
        Ok(match self.kind {
            Kind::V1 => (text.trim() != "FREEZING", text.trim() == "FROZEN"),
            Kind::V2 => (true, text.lines().any(|line| line == "frozen 1")),
        })
    }
}

/// Freezes or thaws the node whose pid 1 is `init`.
pub(super) fn set(
    group: Option<&ControlGroup>,
    init: Process,
    frozen: bool,
) -> Result<(), LabError> {
    match group {
        Some(group) => group.set(frozen),
        None if frozen => stop_all(init),
        None => signal_all(init, Signal::SIGCONT).map(|_| ()),
    }
}

fn stop_all(init: Process) -> Result<(), LabError> {
    Wait::new("every process of the node to stop", FROZEN_WITHIN)
        .every(Duration::from_millis(1))
        .quiet(true)
        .until(|| match signal_all(init, Signal::SIGSTOP)? {
            0 => Ok(Seen::Yes(())),
            running => Ok(Seen::NotYet(format!("{running} still run"))),
        })
}

/// Sends `signal` to every process of the node; returns how many were not stopped before.
fn signal_all(init: Process, signal: Signal) -> Result<usize, LabError> {
    let mut running = 0;
    for pid in processes(init)? {
        if Stat::read(pid).is_ok_and(|s| !matches!(s.state, 'T' | 't' | 'Z' | 'X')) {
            running += 1;
        }
        // Gone in between: one less to stop.
        let _ = kill(Pid::from_raw(pid), signal);
    }
    Ok(running)
}

/// Pids, as the caller sees them, of all processes in the pid namespace of `init`; none when that
/// is the caller's own.
pub(super) fn processes(init: Process) -> Result<Vec<i32>, LabError> {
    let link = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid"));
    let wanted = link(init.pid).tried(|| format!("look up the namespaces of {}", init.pid))?;
    if fs::read_link("/proc/self/ns/pid").is_ok_and(|ours| ours == wanted) {
        // Not a node: whoever stops or reaps this list must never meet the whole machine.
        return Ok(Vec::new());
    }
    let entries = fs::read_dir("/proc").tried(|| "list /proc".to_owned())?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| link(*pid).is_ok_and(|theirs| theirs == wanted))
        .collect())
}

/// Freezer hierarchies in a table of mounts (proc_pid_mounts(5)), the preferred first.
fn hierarchies(mounts: &str) -> Vec<(Kind, PathBuf)> {
    let mut found: Vec<(Kind, PathBuf)> = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, target, fs_type, options) = (
                fields.next()?,
                fields.next()?,
                fields.next()?,
                fields.next()?,
            );
            let kind = match fs_type {
                "cgroup2" => Kind::V2,
                "cgroup" if options.split(',').any(|o| o == "freezer") => Kind::V1,
                _ => return None,
            };
            Some((kind, Path::new(target).to_path_buf()))
        })
        .collect();
    found.sort_by_key(|(kind, _)| *kind == Kind::V1);
    found
}

fn name(lab_id: &str, node: &str) -> String {
    format!("mainstay-lab-{lab_id}-{node}")
}

fn word(frozen: bool) -> &'static str {
    if frozen { "frozen" } else { "thawed" }
}

/// Bound of a freeze: a process in an uninterruptible wait delays it.
const FROZEN_WITHIN: Duration = Duration::from_secs(10);
/// Bound until the kernel has let go of a dead node's group.
const REMOVED_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_two_is_preferred_and_other_controllers_are_passed_over() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/freezer cgroup rw,relatime,freezer 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                      rubbish\n";
        assert_eq!(
            hierarchies(mounts),
            [
                (Kind::V2, PathBuf::from("/sys/fs/cgroup/unified")),
                (Kind::V1, PathBuf::from("/sys/fs/cgroup/freezer")),
            ]
        );
    }
}
