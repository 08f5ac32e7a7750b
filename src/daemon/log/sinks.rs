//! Where lines end: standard error, a file, syslog.

use crate::conf::{Logging, syslog_facility};
use jiff::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use tracing::Level;

/// What is open. The default takes nothing.
#[derive(Debug, Default)]
pub(super) struct Sinks {
    stderr: Option<Stderr>,
    file: Option<File>,
    syslog: Option<Syslog>,
    timestamp: bool,
}

/// Who reads standard error.
#[derive(Clone, Copy, Debug)]
enum Stderr {
    Person,
    /// It notes times itself, and wants the severity in front.
    Journal,
}

impl Sinks {
    /// Opens what `logging` asks for. What cannot be opened is left out and named.
    pub(super) fn open(logging: &Logging, root: &Path, program: &str) -> (Self, Vec<String>) {
        let mut problems = Vec::new();
        let file = logging.logfile.as_ref().and_then(|name| {
            let path = below(root, name);
            let keep = |e| problems.push(format!("log file {}: {e}", path.display()));
            open(&path).map_err(keep).ok()
        });
        let sinks = Self {
            stderr: logging.to_stderr.then(|| match is_journal() {
                true => Stderr::Journal,
                false => Stderr::Person,
            }),
            file,
            syslog: logging
                .to_syslog
                .then(|| Syslog::new(root, &logging.syslog_facility, program)),
            timestamp: logging.timestamp,
        };
        (sinks, problems)
    }

    /// A destination that fails must not silence the others.
    pub(super) fn write(&mut self, at: Option<Timestamp>, level: Level, line: &[u8]) {
        let stamp = at.filter(|_| self.timestamp);
        let timed = || [stamp.map_or_else(String::new, told).as_bytes(), line].concat();
        match self.stderr {
            Some(Stderr::Person) => drop(io::stderr().write_all(&timed())),
            Some(Stderr::Journal) => {
                let severity = format!("<{}>", severity(level));
                drop(io::stderr().write_all(&[severity.as_bytes(), line].concat()));
            }
            None => {}
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(&timed());
        }
        if let Some(syslog) = &mut self.syslog {
            syslog.send(level, line);
        }
    }
}

/// RFC 3339 with microseconds, and a space: `2026-09-21T14:13:20.000123Z `.
fn told(at: Timestamp) -> String {
    format!("{at:.6} ")
}

/// Whether standard error goes to the journal (systemd.exec(5), `JOURNAL_STREAM`).
fn is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
}

/// RFC 3164 lines on `/dev/log`.
#[derive(Debug)]
struct Syslog {
    socket: Option<UnixDatagram>,
    path: PathBuf,
    facility: u8,
    tag: String,
}

impl Syslog {
    fn new(root: &Path, facility: &str, program: &str) -> Self {
        let tag = format!("{program}[{}]", std::process::id());
        Self {
            socket: None,
            path: below(root, "/dev/log"),
            // The file's reader refuses what is none.
            facility: syslog_facility(facility).unwrap_or(SYSLOG_DAEMON),
            tag,
        }
    }

    fn send(&mut self, level: Level, line: &[u8]) {
        if self.socket.is_none() {
            let connect = || {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                // A syslogd that does not read must not hold the daemon.
                socket.set_nonblocking(true)?;
                io::Result::Ok(socket)
            };
            self.socket = connect().ok();
        }
        let Some(socket) = &self.socket else { return };
        let priority = self.facility * 8 + severity(level);
        let mut message = format!("<{priority}>{}: ", self.tag).into_bytes();
        message.extend_from_slice(line.trim_ascii_end());
        message.truncate(SYSLOG_BYTES_MAX);
        if socket
            .send(&message)
            .is_err_and(|e| e.kind() != io::ErrorKind::WouldBlock)
        {
            self.socket = None;
        }
    }
}

/// RFC 3164 section 4.1.1.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// Longest syslog message, in bytes (RFC 3164 section 4.1 allows 1,024).
const SYSLOG_BYTES_MAX: usize = 1024;
/// The facility of daemons (RFC 3164 section 4.1.1).
const SYSLOG_DAEMON: u8 = 3;
