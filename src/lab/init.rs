//! Pid 1 of a node: makes the node's namespaces and file system, keeps the daemon running, reaps.
//!
//! Two stages, because a new pid namespace begins with the next child: `__boot` makes it and ends
//! at once, `__init` is the child. Only pid 1 and what it starts are in the node's namespaces, so
//! SIGKILL to it takes everything away, the addresses in the kernel too.

use super::control::{self, DaemonStatus, Request};
use super::error::{LabError, Tried};
use super::mounts;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, setsid};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// All that a node's pid 1 must know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    /// Host name.
    pub(super) name: String,
    /// The lab's directory.
    pub(super) lab: PathBuf,
    /// What runs as the daemon; argv.
    pub(super) daemon: Vec<String>,
    /// Restart it when it dies.
    pub(super) supervise: bool,
    /// Power off when standard input closes: the lab lives no longer than who made it.
    pub(super) tied: bool,
    /// `cgroup.procs` file that the node's processes join, for the freezer.
    pub(super) control_group: Option<PathBuf>,
}

impl Spec {
    /// Reads the file written for this power-on.
    pub(super) fn read(path: &Path) -> Result<Self, LabError> {
        let text = std::fs::read_to_string(path).tried(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text)
            .map_err(|e| LabError::Refused(format!("{}: {e}", path.display())))
    }

    /// The node's directory in the lab.
    fn node_dir(&self) -> PathBuf {
        self.lab.join("nodes").join(&self.name)
    }

    /// Where pid 1 listens.
    fn socket(&self) -> PathBuf {
        self.node_dir().join(CONTROL_SOCKET)
    }
}

/// Name of the control socket in a node's directory.
pub(super) const CONTROL_SOCKET: &str = "init.sock";
/// Where the daemon's output goes, inside the node.
pub(super) const DAEMON_LOG: &str = "/var/log/mainstayd.log";

/// `__boot SPEC`: makes the pid namespace, starts pid 1 in it, prints its pid.
pub(super) fn boot(spec_path: &Path) -> Result<(), LabError> {
    let spec = Spec::read(spec_path)?;
    // Out of the caller's session: Ctrl-C at the lab's terminal is not a power failure.
    setsid().tried(|| "start a session".to_owned())?;
    if let Some(procs) = &spec.control_group {
        std::fs::write(procs, "0").tried(|| format!("join {}", procs.display()))?;
    }
    unshare(CloneFlags::CLONE_NEWPID).tried(|| "make a pid namespace".to_owned())?;
    let program = spec.lab.join("bin/mainstay-lab");
    let child = Command::new(&program)
        .arg("__init")
        .arg(spec_path)
        .stdout(Stdio::null())
        .spawn()
        .tried(|| format!("start {}", program.display()))?;
    println!("{}", child.id());
    Ok(())
}

/// `__init SPEC`: pid 1. Returns only when the node powers itself off.
pub(super) fn init(spec_path: &Path) -> Result<(), LabError> {
    let spec = Spec::read(spec_path)?;
    let signals: SigSet = [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
    ]
    .into_iter()
    .collect();
    signals
        .thread_block()
        .tried(|| "block signals".to_owned())?;
    let arrived = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .tried(|| "open a signalfd".to_owned())?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC,
    )
    .tried(|| "make mount, uts, net and ipc namespaces".to_owned())?;
    nix::unistd::sethostname(&spec.name).tried(|| format!("set host name {}", spec.name))?;
    let socket = spec.socket();
    let _ = std::fs::remove_file(&socket);
    let listener =
        UnixListener::bind(&socket).tried(|| format!("listen on {}", socket.display()))?;
    mounts::build(&spec.lab, &spec.name)?;
    Init {
        supervise: spec.supervise,
        spec,
        arrived,
        daemon: DaemonStatus::default(),
        due: None,
    }
    .run(&listener)
}

struct Init {
    spec: Spec,
    supervise: bool,
    arrived: SignalFd,
    daemon: DaemonStatus,
    /// When the daemon is to be started again.
    due: Option<Instant>,
}

impl Init {
    fn run(mut self, listener: &UnixListener) -> Result<(), LabError> {
        let stdin = std::io::stdin();
        loop {
            let mut watched = vec![
                PollFd::new(self.arrived.as_fd(), PollFlags::POLLIN),
                PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            ];
            if self.spec.tied {
                watched.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut watched, self.patience()) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).tried(|| "poll".to_owned()),
            }
            let ready = |i: usize| {
                watched
                    .get(i)
                    .is_some_and(|p| p.revents().is_some_and(|r| !r.is_empty()))
            };
            let (called, abandoned) = (ready(1), ready(2));
            if abandoned {
                return Ok(());
            }
            // Level-triggered and drained: one signal may stand for many children.
            while let Ok(Some(_)) = self.arrived.read_signal() {}
            self.reap();
            if called && let Ok((stream, _)) = listener.accept() {
                self.answer(stream);
            }
            if self.due.is_some_and(|due| Instant::now() >= due) {
                self.due = None;
                self.start();
            }
        }
    }

    fn patience(&self) -> PollTimeout {
        self.due.map_or(PollTimeout::NONE, |due| {
            let left = due.saturating_duration_since(Instant::now());
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        })
    }

    fn reap(&mut self) {
        while let Ok(status) = waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            let (pid, ended) = match status {
                WaitStatus::Exited(pid, code) => (pid, format!("exit {code}")),
                WaitStatus::Signaled(pid, signal, _) => (pid, format!("signal {signal}")),
                WaitStatus::StillAlive => return,
                _ => continue,
            };
            if self.daemon.pid == Some(pid.as_raw()) {
                self.daemon_ended(ended);
            }
        }
    }

    fn daemon_ended(&mut self, ended: String) {
        let now = boottime_ms();
        self.daemon.pid = None;
        self.daemon.ended = Some(ended);
        self.daemon.ended_ms = Some(now);
        if self.supervise {
            // At once, unless it ended at once: a daemon that cannot start must not spin.
            let lived = now.saturating_sub(self.daemon.started_ms.unwrap_or(0));
            let pause = if lived < SHORT_LIFE_MS {
                RESTART_PAUSE
            } else {
                Duration::ZERO
            };
            self.due = Some(Instant::now() + pause);
        }
    }

    fn start(&mut self) {
        if self.daemon.pid.is_some() {
            return;
        }
        self.daemon.starts += 1;
        self.daemon.started_ms = Some(boottime_ms());
        match spawn_daemon(&self.spec.daemon) {
            Ok(pid) => self.daemon.pid = Some(pid),
            Err(e) => self.daemon_ended(e.to_string()),
        }
    }

    fn answer(&mut self, mut stream: UnixStream) {
        let bounded = stream.set_read_timeout(Some(REQUEST_WITHIN));
        let request = bounded.and_then(|()| control::receive::<Request>(&stream));
        let error = match request {
            Ok(request) => self.serve(request).err(),
            Err(e) => Some(format!("the request is not understood: {e}")),
        };
        // Whoever asked may be gone already; there is nobody to tell.
        let _ = control::send(
            &mut stream,
            &DaemonStatus {
                error,
                ..self.daemon.clone()
            },
        );
    }

    fn serve(&mut self, request: Request) -> Result<(), String> {
        match request {
            Request::Status => {}
            Request::Start => {
                self.supervise = self.spec.supervise;
                self.due = None;
                self.start();
            }
            Request::Stop => {
                self.supervise = false;
                self.due = None;
                if self.daemon.pid.is_some() {
                    self.signal(Signal::SIGTERM)?;
                }
            }
            Request::Signal(number) => {
                let signal = Signal::try_from(number).map_err(|e| format!("{number}: {e}"))?;
                self.signal(signal)?;
            }
            Request::Supervise(on) => {
                self.supervise = on;
                self.due = (on && self.daemon.pid.is_none()).then(Instant::now);
            }
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<(), String> {
        let pid = self.daemon.pid.ok_or("the daemon is not running")?;
        kill(Pid::from_raw(pid), signal).map_err(|e| format!("send {signal} to pid {pid}: {e}"))
    }
}

fn spawn_daemon(argv: &[String]) -> Result<i32, LabError> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(DAEMON_LOG)
        .tried(|| format!("open {DAEMON_LOG}"))?;
    let errors = log
        .try_clone()
        .tried(|| format!("open {DAEMON_LOG} again"))?;
    let child = Command::new(mounts::PROGRAM)
        .arg("__run")
        .args(argv)
        .env_clear()
        .envs(super::exec::environment())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .tried(|| format!("start {argv:?}"))?;
    i32::try_from(child.id())
        .map_err(|_| LabError::Refused(format!("pid {} is out of range", child.id())))
}

/// Milliseconds of CLOCK_BOOTTIME: one clock for all nodes and the lab.
pub(super) fn boottime_ms() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |t| {
        t.tv_sec().unsigned_abs() * 1_000 + t.tv_nsec().unsigned_abs() / 1_000_000
    })
}

/// A daemon that lived less than this, in milliseconds, is restarted with a pause.
const SHORT_LIFE_MS: u64 = 200;
/// That pause.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Bound of a request's arrival after its connection: pid 1 serves one at a time.
const REQUEST_WITHIN: Duration = Duration::from_secs(1);
