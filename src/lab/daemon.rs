//! A node's daemon: its state, its end, its start, what it uses.

use super::cluster::Lab;
use super::control::{self, DaemonStatus, Request};
use super::error::{LabError, Tried};
use super::freezer;
use super::init::CONTROL_SOCKET;
use super::state::{Process, Stat, State};
use super::wait::Seen;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

/// What a node's daemon uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory of its processes, in KiB.
    pub rss_kib: u64,
    /// The part of it that is theirs alone (anonymous), in KiB: the rest is the program's file.
    pub private_kib: u64,
    /// Their CPU time since their start, in milliseconds.
    pub cpu_ms: u64,
    /// How many they are; agents are not among them.
    pub processes: u32,
}

impl Lab {
    /// What a node's supervisor (its pid 1) knows of the daemon it started.
    ///
    /// # Errors
    /// [`LabError::NodeOff`], or no answer from its pid 1.
    pub fn daemon(&self, node: &str) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Status)
    }

    /// The process that does a daemon's work, as this machine sees it: the daemon itself, or its
    /// child where it has put a parent of its own over itself.
    ///
    /// # Errors
    /// When there is none at this moment.
    pub fn daemon_worker(&self, node: &str) -> Result<Process, LabError> {
        self.daemon_group(node)?
            .into_iter()
            .max_by_key(|(process, is_leader)| (!is_leader, process.start_ticks))
            .map(|(process, _)| process)
            .ok_or_else(|| LabError::Refused(format!("the daemon of {node} does not run")))
    }

    /// Kills a node's daemon with SIGKILL (its [`Lab::daemon_worker`]); whoever supervises it may
    /// start it again. Returns the moment.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_daemon(&self, node: &str) -> Result<Instant, LabError> {
        let worker = self.daemon_worker(node)?;
        let moment = Instant::now();
        kill(Pid::from_raw(worker.pid), Signal::SIGKILL)
            .tried(|| format!("kill the daemon of {node} (pid {})", worker.pid))?;
        Ok(moment)
    }

    /// Stops a node's daemon and its parent between two instructions (SIGSTOP); agents and all
    /// else go on. Returns the moment.
    ///
    /// # Errors
    /// When it does not run.
    pub fn suspend_daemon(&self, node: &str) -> Result<Instant, LabError> {
        self.signal_group(node, Signal::SIGSTOP)
    }

    /// Undoes [`Lab::suspend_daemon`] (SIGCONT).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume_daemon(&self, node: &str) -> Result<Instant, LabError> {
        self.signal_group(node, Signal::SIGCONT)
    }

    /// Kills a node's daemon and its parent with SIGKILL, so that nobody closes what they leave
    /// behind; the node's pid 1 starts it anew where it supervises. Returns the moment.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_daemon_and_parent(&self, node: &str) -> Result<Instant, LabError> {
        self.signal_group(node, Signal::SIGKILL)
    }

    /// The parent is signalled first: it could restart or bury the worker otherwise.
    fn signal_group(&self, node: &str, signal: Signal) -> Result<Instant, LabError> {
        let mut group = self.daemon_group(node)?;
        group.sort_by_key(|(_, leads)| !leads);
        if group.is_empty() {
            return Err(LabError::Refused(format!(
                "the daemon of {node} does not run"
            )));
        }
        let moment = Instant::now();
        for (process, _) in group {
            kill(Pid::from_raw(process.pid), signal)
                .tried(|| format!("send {signal} to the daemon of {node}"))?;
        }
        Ok(moment)
    }

    /// Sends a node's daemon, as its supervisor started it, a signal by number.
    ///
    /// # Errors
    /// As [`Lab::daemon`]; when it is not running.
    pub fn signal_daemon(&self, node: &str, signal: i32) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Signal(signal))
    }

    /// Asks a node's daemon to stop in order and waits until it has; it is not restarted.
    ///
    /// # Errors
    /// As [`Lab::daemon`]; a timeout after `bound`.
    pub fn stop_daemon(&self, node: &str, bound: Duration) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Stop)?;
        let what = format!("the daemon of {node} to stop");
        self.wait(what, bound)
            .log(&self.daemon_log(node))
            .until(|| {
                let status = self.daemon(node)?;
                Ok(match status.pid {
                    None => Seen::Yes(status),
                    Some(pid) => Seen::NotYet(format!("pid {pid} still runs")),
                })
            })
    }

    /// Starts a node's daemon, if it does not run.
    ///
    /// # Errors
    /// As [`Lab::daemon`].
    pub fn start_daemon(&self, node: &str) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Start)
    }

    /// Whether a node's pid 1 restarts the daemon when it dies.
    ///
    /// # Errors
    /// As [`Lab::daemon`].
    pub fn supervise(&self, node: &str, on: bool) -> Result<DaemonStatus, LabError> {
        self.ask(node, Request::Supervise(on))
    }

    /// What a node's daemon uses now.
    ///
    /// # Errors
    /// When it does not run.
    pub fn daemon_usage(&self, node: &str) -> Result<Usage, LabError> {
        let mut usage = Usage::default();
        for (process, _) in self.daemon_group(node)? {
            // Gone in between: it uses nothing.
            if let Ok(stat) = Stat::read(process.pid) {
                usage.rss_kib += status_kib(process.pid, "VmRSS:");
                usage.private_kib += status_kib(process.pid, "RssAnon:");
                usage.cpu_ms += stat.cpu_ticks * MS_PER_TICK;
                usage.processes += 1;
            }
        }
        if usage.processes == 0 {
            return Err(LabError::Refused(format!(
                "the daemon of {node} does not run"
            )));
        }
        Ok(usage)
    }

    /// The processes of the daemon's process group, each with whether it leads it. Agents have
    /// groups of their own.
    pub(super) fn daemon_group(&self, node: &str) -> Result<Vec<(Process, bool)>, LabError> {
        let init = State::load(&self.dir)?.node(node)?.running()?;
        let inside = self.daemon(node)?.pid;
        let pids = freezer::processes(init)?;
        let leader = pids
            .iter()
            .copied()
            .find(|p| inside.is_some() && innermost_pid(*p) == inside);
        let Some(leader) = leader else {
            return Ok(Vec::new());
        };
        Ok(pids
            .into_iter()
            .filter_map(|pid| {
                let stat = Stat::read(pid).ok()?;
                let ours = stat.group == leader && !matches!(stat.state, 'Z' | 'X');
                let process = Process {
                    pid,
                    start_ticks: stat.start_ticks,
                };
                ours.then_some((process, pid == leader))
            })
            .collect())
    }

    pub(super) fn ask(&self, node: &str, request: Request) -> Result<DaemonStatus, LabError> {
        State::load(&self.dir)?.node(node)?.running()?;
        control::ask(&self.node_dir(node).join(CONTROL_SOCKET), request)
    }
}

impl Process {
    /// When it started, in milliseconds of CLOCK_BOOTTIME, to the clock tick.
    #[must_use]
    pub fn started_ms(&self) -> u64 {
        self.start_ticks * MS_PER_TICK
    }
}

fn status_kib(pid: i32, name: &str) -> u64 {
    status_field(pid, name)
        .and_then(|text| text.trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0)
}

/// A process's pid in the innermost pid namespace it is in.
fn innermost_pid(pid: i32) -> Option<i32> {
    status_field(pid, "NSpid:")?
        .split_ascii_whitespace()
        .last()?
        .parse()
        .ok()
}

/// A line of proc_pid_status(5).
fn status_field(pid: i32, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(
        text.lines()
            .find_map(|l| l.strip_prefix(name))?
            .trim()
            .to_owned(),
    )
}

/// Length of a clock tick: USER_HZ is 100 on every architecture we build for (time(7)).
const MS_PER_TICK: u64 = 10;
