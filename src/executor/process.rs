//! One child process in its own group: bounded output, a hard end, no zombie.
//!
//! Resource agents, fence agents and alert agents all run through [`run`]. What it guarantees:
//! the whole group is killed on timeout, cancellation and when the future is dropped; a background
//! child that keeps a pipe open cannot hold up the result; nothing printed is kept beyond a bound.

use super::survivors::Note;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct ProcessSpec {
    /// Absolute path.
    pub(crate) program: PathBuf,
    /// Arguments after the program's name.
    pub(crate) args: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub(crate) env: Vec<(String, String)>,
    /// Working directory.
    pub(crate) cwd: PathBuf,
    /// Run as this user and group, without supplementary groups; `None` = as we are.
    pub(crate) user: Option<(u32, u32)>,
    /// Fed to standard input, then end of file; empty = `/dev/null`.
    pub(crate) stdin: Vec<u8>,
    /// From start to SIGKILL of the group.
    pub(crate) timeout: Duration,
    /// Bytes of standard output to keep from its beginning.
    pub(crate) stdout_bytes_max: usize,
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal that we did not send.
    Signalled(i32),
    /// Its group was killed at the timeout.
    TimedOut,
    /// Its group was killed because the caller asked.
    Cancelled,
    /// It never ran.
    NotStarted(io::Error),
}

/// Everything known afterwards.
#[derive(Debug)]
pub(crate) struct ProcessResult {
    /// How it ended.
    pub(crate) ended: Ended,
    /// Beginning of standard output, up to the bound asked for.
    pub(crate) stdout: Vec<u8>,
    /// Tail of both streams as they came, printable.
    pub(crate) tail: String,
    /// What followed the last `ocf-exit-reason:` on standard error, printable.
    pub(crate) exit_reason: Option<String>,
}

/// Runs the process to its end; `stop` kills it early.
pub(crate) async fn run(spec: ProcessSpec, stop: Arc<Notify>) -> ProcessResult {
    let began = Instant::now();
    let mut capture = Capture::new(spec.stdout_bytes_max);
    let ended = match spawn(&spec).await {
        Ok(child) => {
            spare_no_longer(child.id());
            let note = Note::write(child.id(), &spec.program);
            supervise(child, spec, began, &stop, &mut capture, note).await
        }
        Err(error) => Ended::NotStarted(error),
    };
    let (stdout, tail, exit_reason) = capture.finish();
    ProcessResult {
        ended,
        stdout,
        tail,
        exit_reason,
    }
}

/// Where memory is short the kernel spares the daemon (`OOMScoreAdjust=` of its unit), and with it all
/// that it starts: a service that eats the memory is to be the one that ends. What an agent starts
/// comes after this, as the agent is a program that has to be read first.
fn spare_no_longer(pid: Option<u32>) {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let spared = own.trim().parse().is_ok_and(|adjusted: i32| adjusted < 0);
    if let Some(pid) = pid.filter(|_| spared) {
        // It may have ended by now.
        let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "0");
    }
}

async fn spawn(spec: &ProcessSpec) -> io::Result<Child> {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .envs(spec.env.iter().map(|(k, v)| (k, v)))
        .current_dir(&spec.cwd)
        .stdin(if spec.stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some((uid, gid)) = spec.user {
        command.uid(uid).gid(gid);
    }
    for _ in 0..BUSY_RETRIES_MAX {
        match command.spawn() {
            // A package upgrade has the agent open for writing this very moment.
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy => {
                sleep(BUSY_PAUSE).await;
            }
            other => return other,
        }
    }
    command.spawn()
}

async fn supervise(
    mut child: Child,
    spec: ProcessSpec,
    began: Instant,
    stop: &Notify,
    capture: &mut Capture,
    note: Note,
) -> Ended {
    // Not reaped yet, so the id is ours.
    let group = Group::of(child.id());
    let mut streams = Streams {
        out: child.stdout.take(),
        err: child.stderr.take(),
    };
    let mut feed = std::pin::pin!(feed(child.stdin.take(), spec.stdin));
    let mut fed = false;
    let deadline = began + spec.timeout;
    let cut_short = loop {
        tokio::select! {
            () = streams.read_some(capture), if streams.open() => {}
            () = &mut feed, if !fed => fed = true,
            status = child.wait() => {
                group.release();
                note.remove();
                streams.drain(capture).await;
                return match status {
                    Ok(status) => end_of(status),
                    Err(error) => Ended::NotStarted(error),
                };
            }
            () = sleep_until(deadline) => break Ended::TimedOut,
            () = stop.notified() => break Ended::Cancelled,
        }
    };
    group.kill();
    // A process in uninterruptible sleep outlives SIGKILL; its result must not wait for it. The
    // runtime reaps it whenever it goes.
    if timeout(KILLED_WAIT_MAX, child.wait()).await.is_ok() {
        group.release();
        note.remove();
        streams.drain(capture).await;
    }
    cut_short
}

async fn feed(stdin: Option<ChildStdin>, bytes: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        // A program that does not read its input is free to; its exit code tells.
        let _ = stdin.write_all(&bytes).await;
        let _ = stdin.shutdown().await;
    }
}

fn end_of(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exited(code),
        (None, Some(signal)) => Ended::Signalled(signal),
        // wait(2) reports nothing else without WUNTRACED.
        (None, None) => Ended::Signalled(0),
    }
}

/// The group of a child not yet reaped; killed when dropped unless released.
struct Group {
    leader: std::cell::Cell<Option<Pid>>,
}

impl Group {
    fn of(pid: Option<u32>) -> Self {
        let leader = pid.and_then(|p| i32::try_from(p).ok()).map(Pid::from_raw);
        Self {
            leader: std::cell::Cell::new(leader),
        }
    }

    fn kill(&self) {
        if let Some(leader) = self.leader.get() {
            // ESRCH: all gone already.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }

    /// The leader is reaped: what it left running is a service, not our child.
    fn release(&self) {
        self.leader.set(None);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

struct Streams<O, E> {
    out: Option<O>,
    err: Option<E>,
}

impl<O: AsyncRead + Unpin, E: AsyncRead + Unpin> Streams<O, E> {
    fn open(&self) -> bool {
        self.out.is_some() || self.err.is_some()
    }

    /// Reads once from whichever has something.
    async fn read_some(&mut self, capture: &mut Capture) {
        let mut out_buffer = [0_u8; READ_BYTES];
        let mut err_buffer = [0_u8; READ_BYTES];
        tokio::select! {
            n = read_or_never(&mut self.out, &mut out_buffer) => match n {
                0 => self.out = None,
                n => capture.stdout(&out_buffer[..n]),
            },
            n = read_or_never(&mut self.err, &mut err_buffer) => match n {
                0 => self.err = None,
                n => capture.stderr(&err_buffer[..n]),
            },
        }
    }

    /// After the leader's end: takes what is in the pipes, and no more. A child that it left
    /// behind may hold them open for ever.
    async fn drain(&mut self, capture: &mut Capture) {
        let all = async {
            while self.open() {
                if timeout(DRAIN_IDLE_MAX, self.read_some(capture))
                    .await
                    .is_err()
                {
                    break;
                }
            }
        };
        let _ = timeout(DRAIN_TOTAL_MAX, all).await;
    }
}

/// Bytes read; 0 at the end or on an error (which ends the stream just the same).
async fn read_or_never<R: AsyncRead + Unpin>(reader: &mut Option<R>, buffer: &mut [u8]) -> usize {
    match reader {
        Some(reader) => reader.read(buffer).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// What is kept of the output.
struct Capture {
    stdout: Vec<u8>,
    stdout_bytes_max: usize,
    tail: Vec<u8>,
    line: Vec<u8>,
    exit_reason: Option<String>,
}

impl Capture {
    fn new(stdout_bytes_max: usize) -> Self {
        Self {
            stdout: Vec::new(),
            stdout_bytes_max,
            tail: Vec::new(),
            line: Vec::new(),
            exit_reason: None,
        }
    }

    fn stdout(&mut self, bytes: &[u8]) {
        let room = self.stdout_bytes_max.saturating_sub(self.stdout.len());
        self.stdout
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.append_tail(bytes);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.append_tail(bytes);
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < LINE_BYTES_MAX {
                self.line.push(byte);
            }
        }
    }

    fn append_tail(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 2 * TAIL_BYTES_MAX {
            self.tail.drain(..self.tail.len() - TAIL_BYTES_MAX);
        }
    }

    /// The last one wins, wherever in the line it stands (Pacemaker searches backwards through
    /// all of stderr: lib/services/services.c, `parse_exit_reason`).
    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if let Some(at) = line.rfind(EXIT_REASON_PREFIX) {
            let reason = line[at + EXIT_REASON_PREFIX.len()..].trim();
            self.exit_reason = Some(printable(reason, EXIT_REASON_BYTES_MAX));
        }
        self.line.clear();
    }

    fn finish(mut self) -> (Vec<u8>, String, Option<String>) {
        self.end_line();
        let from = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        let tail = String::from_utf8_lossy(&self.tail[from..]);
        let tail = tail
            .chars()
            .map(|c| if c == '\n' { c } else { printable_char(c) })
            .collect::<String>();
        (self.stdout, tail.trim_end().to_owned(), self.exit_reason)
    }
}

/// One line that XML, terminals and logs can carry, at most `bytes_max` long.
pub(crate) fn printable(text: &str, bytes_max: usize) -> String {
    let mut out = String::new();
    for c in text.chars().map(printable_char) {
        if out.len() + c.len_utf8() > bytes_max {
            break;
        }
        out.push(c);
    }
    out
}

fn printable_char(c: char) -> char {
    match c {
        '\t' => ' ',
        // Not allowed in XML 1.0 attribute values, or able to drive a terminal.
        c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => '?',
        c => c,
    }
}

/// What agents put before their reason (`OCF_EXIT_REASON_PREFIX`).
pub(crate) const EXIT_REASON_PREFIX: &str = "ocf-exit-reason:";
/// Longest exit reason kept, in bytes.
pub(crate) const EXIT_REASON_BYTES_MAX: usize = 512;
/// Tail of the output kept for logs, in bytes.
const TAIL_BYTES_MAX: usize = 4096;
/// Part of a line that is searched for an exit reason, in bytes.
const LINE_BYTES_MAX: usize = 4096;
const READ_BYTES: usize = 4096;
/// Silence after the leader's end that means its output is complete.
const DRAIN_IDLE_MAX: Duration = Duration::from_millis(20);
/// Longest reading after the leader's end.
const DRAIN_TOTAL_MAX: Duration = Duration::from_millis(500);
/// Longest wait for a killed process to be gone.
const KILLED_WAIT_MAX: Duration = Duration::from_secs(2);
const BUSY_RETRIES_MAX: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(20);
