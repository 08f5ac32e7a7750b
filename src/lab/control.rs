//! What the lab asks of a node's pid 1: one JSON line each way over a unix socket.

use super::error::{LabError, Tried};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A request to a node's pid 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    /// What is the daemon doing?
    Status,
    /// Start the daemon and, if so configured, keep it running.
    Start,
    /// Ask the daemon to stop in order (SIGTERM) and do not restart it.
    Stop,
    /// Send the daemon a signal by number.
    Signal(i32),
    /// Restart the daemon when it dies, or no longer.
    Supervise(bool),
}

/// The answer to every request: the state after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Why the request failed.
    pub error: Option<String>,
    /// The daemon's pid inside the node.
    pub pid: Option<i32>,
    /// Starts since power-on.
    pub starts: u32,
    /// Last start, milliseconds of CLOCK_BOOTTIME.
    pub started_ms: Option<u64>,
    /// How it ended last: `exit 1`, `signal SIGKILL`.
    pub ended: Option<String>,
    /// When it ended last, milliseconds of CLOCK_BOOTTIME.
    pub ended_ms: Option<u64>,
}

/// Asks the pid 1 that listens on `socket`.
///
/// # Errors
/// When it does not answer within [`ANSWER_WITHIN`], or answers that it could not.
pub(super) fn ask(socket: &Path, request: Request) -> Result<DaemonStatus, LabError> {
    let what = || format!("ask {} to {request:?}", socket.display());
    let mut stream = UnixStream::connect(socket).tried(what)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).tried(what)?;
    send(&mut stream, &request).tried(what)?;
    let status: DaemonStatus = receive(&stream).tried(what)?;
    match &status.error {
        None => Ok(status),
        Some(error) => Err(LabError::Refused(format!("{}: {error}", what()))),
    }
}

pub(super) fn send<T: Serialize>(stream: &mut UnixStream, value: &T) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line)
}

pub(super) fn receive<T: for<'a> Deserialize<'a>>(stream: &UnixStream) -> std::io::Result<T> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// Bound of an answer: pid 1 answers between two events, but a loaded machine is slow.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest line either side reads, in bytes.
const LINE_BYTES_MAX: u64 = 64 * 1024;
