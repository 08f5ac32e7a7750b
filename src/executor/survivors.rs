//! Agents that outlived their daemon.
//!
//! A daemon that is killed leaves the agents under way running: nobody counts their time any more,
//! and a successor that probes, starts or stops the same resource would do it beside them.
//! Pacemaker's executor leaves them as well. Here each process under way is noted in a file, and
//! the next daemon kills what is left, with its whole group, before it does anything: for the
//! resource that is a timeout, and it is probed afterwards anyway. What an agent started and left
//! in order is a service, and nobody's business here: its leader is gone.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Where this process notes what it runs; nowhere before [`end_survivors`].
static DIR: OnceLock<PathBuf> = OnceLock::new();

/// The note about one process under way.
#[derive(Debug)]
pub(super) struct Note(Option<PathBuf>);

impl Note {
    /// Notes the leader of a group that was just started. Between its start and this note lie
    /// microseconds in which a kill of the daemon leaves it unseen.
    pub(super) fn write(leader: Option<u32>, program: &Path) -> Self {
        let note = || {
            let (dir, leader) = (DIR.get()?, leader?);
            let file = dir.join(leader.to_string());
            let since = since(leader)?;
            // Without room for a note the agent runs all the same.
            std::fs::write(&file, format!("{since} {}", program.display())).ok()?;
            Some(file)
        };
        Self(note())
    }

    /// The leader is gone.
    pub(super) fn remove(self) {
        if let Some(file) = self.0 {
            // Gone before us is as good.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Kills what an earlier daemon left under way, and notes from now on what this one runs. Returns
/// what a person should know. Call it once, when no other daemon can run.
pub fn end_survivors(run_dir: &Path) -> Vec<String> {
    let dir = run_dir.join("agents");
    let mut notices = Vec::new();
    match std::fs::create_dir_all(&dir).and_then(|()| std::fs::read_dir(&dir)) {
        Ok(entries) => {
            for entry in entries.flatten() {
                notices.extend(end_survivor(&entry.path()));
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Err(error) => notices.push(format!(
            "{}: {error}: agents that outlive a killed daemon will not be seen",
            dir.display()
        )),
    }
    // Set already only where a test starts two daemons in one process.
    let _ = DIR.set(dir);
    notices
}

fn end_survivor(file: &Path) -> Option<String> {
    let pid: u32 = file.file_name()?.to_str()?.parse().ok()?;
    let text = std::fs::read_to_string(file).ok()?;
    let (began, program) = text.split_once(' ')?;
    let lives = || since(pid).is_some_and(|now| now == began);
    if !lives() {
        return None;
    }
    let leader = Pid::from_raw(i32::try_from(pid).ok()?);
    // Gone meanwhile is as good.
    let _ = killpg(leader, Signal::SIGKILL);
    let until = Instant::now() + DEATH_WAIT_MAX;
    while lives() && Instant::now() < until {
        std::thread::sleep(DEATH_POLL);
    }
    Some(if lives() {
        format!(
            "{program} (process {pid}), left under way by an earlier mainstayd, does not die: it may still work beside what is started now; look at dmesg"
        )
    } else {
        format!(
            "{program} (process {pid}) was left under way by an earlier mainstayd: it was killed"
        )
    })
}

/// When a process that still runs was started, in the kernel's ticks since boot: with its number it
/// names one process (proc_pid_stat(5), fields 3 and 22).
fn since(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let dead = matches!(fields.next()?, "Z" | "X");
    fields.nth(18).filter(|_| !dead).map(str::to_owned)
}

/// Longest wait for a killed process to be gone.
const DEATH_WAIT_MAX: Duration = Duration::from_secs(2);
const DEATH_POLL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    fn sleeper() -> Child {
        let mut command = Command::new("sleep");
        command.arg("617").process_group(0).spawn().unwrap()
    }

    fn note(dir: &Path, pid: u32, since: &str) -> PathBuf {
        let file = dir.join(pid.to_string());
        std::fs::write(&file, format!("{since} /usr/lib/ocf/x")).unwrap();
        file
    }

    #[test]
    fn what_is_still_under_way_is_killed_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = sleeper();
        let file = note(dir.path(), child.id(), &since(child.id()).unwrap());
        let told = end_survivor(&file).unwrap();
        assert!(told.contains("/usr/lib/ocf/x"), "{told}");
        assert!(told.contains("was killed"), "{told}");
        assert!(!child.wait().unwrap().success());
        assert_eq!(end_survivor(&file), None, "it is gone");
    }

    #[test]
    fn another_process_with_the_same_number_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = sleeper();
        let file = note(dir.path(), child.id(), "1");
        assert_eq!(end_survivor(&file), None);
        assert_eq!(child.try_wait().unwrap(), None, "it was killed");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
