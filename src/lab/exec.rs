//! Running a command inside a node.
//!
//! Two stages, as for pid 1: `__exec` enters the node's namespaces, its child `__run` is the first
//! process inside, joins the node's control group and becomes the command.

use super::error::{LabError, Tried};
use super::mounts;
use super::state::Process;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a command inside a node did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit code; 128 + signal when a signal ended it, as a shell says it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// True for exit code 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.code == 0
    }
}

/// The command that runs `argv` inside the node whose pid 1 is `init`; its standard streams are
/// the caller's to set.
pub(super) fn command(
    program: &Path,
    init: Process,
    control_group: Option<&Path>,
    argv: &[&str],
) -> Command {
    let mut command = Command::new(program);
    command
        .arg("__exec")
        .arg(init.pid.to_string())
        .arg(init.start_ticks.to_string())
        .arg(control_group.unwrap_or(Path::new("")))
        .args(argv);
    command
}

/// Runs `command` to its end with `stdin` as its input and collects what it prints.
pub(super) fn collect(
    mut command: Command,
    what: &str,
    stdin: &[u8],
    bound: Duration,
) -> Result<Output, LabError> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .tried(|| format!("start {what}"))?;
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A command that does not read its input ends the pipe; that is its business.
            input.map(|mut pipe| pipe.write_all(stdin))
        });
        let output = scope.spawn(move || read_all(output));
        let errors = scope.spawn(move || read_all(errors));
        let status = wait_bounded(&mut child, what, bound);
        if status.is_err() {
            // Kills the command and ends the pipes, so that the threads end.
            if let Ok(pid) = i32::try_from(child.id()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            let _ = child.wait();
        }
        let text = |bytes: std::thread::Result<Vec<u8>>| {
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        let (stdout, stderr) = (text(output.join()), text(errors.join()));
        Ok(Output {
            code: code(status?),
            stdout,
            stderr,
        })
    })
}

fn read_all(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What arrived before a failing pipe is still worth showing.
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

fn wait_bounded(child: &mut Child, what: &str, bound: Duration) -> Result<ExitStatus, LabError> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().tried(|| format!("wait for {what}"))? {
            return Ok(status);
        }
        super::interrupt::check()?;
        if start.elapsed() > bound {
            return Err(LabError::Timeout(super::wait::Timeout {
                what: format!("{what} to end"),
                seen: "it still runs".to_owned(),
                bound_ms: bound.as_millis(),
                log: None,
            }));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Exit code as a shell gives it.
pub(super) fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// `__exec PID START CGROUP CMD...`: enters the node and runs the command there.
pub(super) fn enter(args: &[OsString]) -> Result<i32, LabError> {
    let usage = || LabError::Refused("__exec PID START CGROUP CMD...".to_owned());
    let [pid, start, control_group, command @ ..] = args else {
        return Err(usage());
    };
    let number = |text: &OsString| text.to_str().and_then(|t| t.parse::<u64>().ok());
    let pid = number(pid)
        .and_then(|n| i32::try_from(n).ok())
        .ok_or_else(usage)?;
    let init = Process {
        pid,
        start_ticks: number(start).ok_or_else(usage)?,
    };

    let watched: SigSet = ENDING
        .into_iter()
        .chain([Signal::SIGCHLD, Signal::SIGINT])
        .collect();
    watched
        .thread_block()
        .tried(|| "block signals".to_owned())?;
    let signals = SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC)
        .tried(|| "open a signalfd".to_owned())?;
    // All opened before the first is entered: afterwards /proc is another one.
    let mut opened = Vec::new();
    for (kind, flag) in NAMESPACES {
        opened.push((kind, flag, init.namespace(kind)?));
    }
    for (kind, flag, namespace) in &opened {
        setns(namespace, *flag).tried(|| format!("enter the node's {kind} namespace"))?;
    }
    drop(opened);
    let mut child = Command::new(mounts::PROGRAM)
        .arg("__run")
        .args((!control_group.is_empty()).then(|| {
            let mut option = OsString::from("--cgroup=");
            option.push(control_group);
            option
        }))
        .arg("--die-with-parent")
        .args(command)
        .env_clear()
        .envs(environment())
        .spawn()
        .tried(|| format!("start {} in the node", mounts::PROGRAM))?;
    wait_or_end(&mut child, &signals).map(code)
}

/// Waits for the command; SIGTERM or SIGHUP to this process ends it. It is reaped in any case: a
/// zombie without a parent that reaps would keep the node's pid namespace alive.
fn wait_or_end(child: &mut Child, signals: &SignalFd) -> Result<ExitStatus, LabError> {
    loop {
        if let Some(status) = child
            .try_wait()
            .tried(|| "wait for the command".to_owned())?
        {
            return Ok(status);
        }
        match signals.read_signal() {
            Ok(Some(info)) if ENDING.iter().any(|s| info.ssi_signo == *s as u32) => {
                // Ended by itself meanwhile: what was wanted.
                let _ = child.kill();
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).tried(|| "read a signal".to_owned()),
        }
    }
}

/// Signals to `__exec` that end its command. Ctrl-C reaches the command by itself.
const ENDING: [Signal; 2] = [Signal::SIGTERM, Signal::SIGHUP];

/// `__run [--cgroup=FILE] [--die-with-parent] CMD...`: becomes the command.
pub(super) fn run(args: &[OsString]) -> LabError {
    let mut rest = args;
    while let [first, tail @ ..] = rest {
        let first = first.to_string_lossy();
        if let Some(procs) = first.strip_prefix("--cgroup=") {
            // Not reachable from inside a container's namespaces, perhaps; freezing then misses
            // this command only.
            let _ = std::fs::write(procs, "0");
        } else if first == "--die-with-parent" {
            let _ = set_pdeathsig(Signal::SIGKILL);
        } else {
            break;
        }
        rest = tail;
    }
    let [program, arguments @ ..] = rest else {
        return LabError::Refused("no command given".to_owned());
    };
    // pid 1 blocks what it reads from a signalfd; what it starts must not inherit that.
    let _ = SigSet::empty().thread_set_mask();
    let error = Command::new(program).args(arguments).exec();
    LabError::System {
        what: format!("run {}", program.to_string_lossy()),
        source: error,
    }
}

/// Environment of everything in a node.
pub(super) fn environment() -> Vec<(String, OsString)> {
    let mut all: Vec<(String, OsString)> = vec![
        ("PATH".to_owned(), format!("{}:{PATH}", mounts::BIN).into()),
        ("HOME".to_owned(), "/root".into()),
        ("USER".to_owned(), "root".into()),
        ("LOGNAME".to_owned(), "root".into()),
        ("SHELL".to_owned(), "/bin/sh".into()),
    ];
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let wanted = ["TERM", "LANG", "NO_COLOR", "COLUMNS", "RUST_BACKTRACE"].contains(&name);
        let ours = name.starts_with("MAINSTAY_") && !name.starts_with("MAINSTAY_LAB");
        if (wanted || ours) && name != crate::paths::ROOT_ENV {
            all.push((name.to_owned(), value));
        }
    }
    all
}

/// A node's PATH behind mainstay's own names.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Namespaces of a node, in the order in which they are entered: the mount namespace last, because
/// the others' files are named in the old one.
const NAMESPACES: [(&str, CloneFlags); 5] = [
    ("net", CloneFlags::CLONE_NEWNET),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("pid", CloneFlags::CLONE_NEWPID),
    ("mnt", CloneFlags::CLONE_NEWNS),
];
