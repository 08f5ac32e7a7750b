//! Where log lines go: what `logging{}` of corosync.conf says.

use crate::conf::Logging;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

/// The log's destinations; cheap to clone, reopened and changed on SIGHUP.
#[derive(Clone, Debug)]
pub struct Log {
    sinks: Arc<Mutex<Sinks>>,
    /// Outside the lock: a line that nobody wants must not make its thread wait for another one
    /// that writes to a slow disk. The protocol thread's lines are all of that kind.
    debug: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Sinks {
    to_stderr: bool,
    file: Option<File>,
    syslog: Option<Syslog>,
}

impl Log {
    /// Installs the process's log; later lines go where `logging` says. A destination that cannot
    /// be opened is left out and named in the result: a full or read-only disk must not keep a
    /// cluster node down.
    pub fn install(logging: &Logging, root: &Path, program: &str) -> (Self, Vec<String>) {
        let log = Self {
            sinks: Arc::default(),
            debug: Arc::default(),
        };
        let problems = log.apply(logging, root, program);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_ansi(false)
            .with_target(false)
            .with_timer(tracing_subscriber::fmt::time::SystemTime)
            .with_writer(log.clone())
            .finish();
        // Only a test's second daemon in one process finds a subscriber installed already.
        let _ = tracing::subscriber::set_global_default(subscriber);
        (log, problems)
    }

    /// Takes new settings over, and opens the log file anew (after logrotate).
    pub fn apply(&self, logging: &Logging, root: &Path, program: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let mut keep = |what: String, error: &io::Error| problems.push(format!("{what}: {error}"));
        let file = logging.logfile.as_ref().and_then(|name| {
            let path = below(root, name);
            open(&path)
                .map_err(|e| keep(format!("log file {}", path.display()), &e))
                .ok()
        });
        let syslog = logging
            .to_syslog
            .then(|| Syslog::new(root, &logging.syslog_facility, program));
        let sinks = Sinks {
            to_stderr: logging.to_stderr,
            file,
            syslog,
        };
        self.debug.store(logging.debug, Ordering::Relaxed);
        *self.lock() = sinks;
        problems
    }

    fn line(&self, level: Level) -> Line<'_> {
        let wanted = level <= Level::INFO || self.debug.load(Ordering::Relaxed);
        Line {
            sinks: wanted.then(|| self.lock()),
            level,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line on its way to every destination, or to none.
#[derive(Debug)]
pub struct Line<'a> {
    sinks: Option<MutexGuard<'a, Sinks>>,
    level: Level,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        self.line(Level::INFO)
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Line<'a> {
        self.line(*meta.level())
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Some(sinks) = self.sinks.as_deref_mut() else {
            return Ok(line.len());
        };
        // A destination that fails must not silence the others.
        if sinks.to_stderr {
            let _ = io::stderr().write_all(line);
        }
        if let Some(file) = &mut sinks.file {
            let _ = file.write_all(line);
        }
        if let Some(syslog) = &mut sinks.syslog {
            syslog.send(self.level, line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
            facility: facility_code(facility),
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

/// RFC 3164 section 4.1.1; unknown names are `daemon`.
fn facility_code(name: &str) -> u8 {
    match name
        .strip_prefix("local")
        .and_then(|n| n.parse::<u8>().ok())
    {
        Some(n) if n <= 7 => 16 + n,
        _ => match name {
            "kern" => 0,
            "user" => 1,
            "mail" => 2,
            "auth" => 4,
            "syslog" => 5,
            "cron" => 9,
            "authpriv" => 10,
            _ => 3,
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    fn log_to(root: &Path, debug: bool) -> Log {
        let log = Log {
            sinks: Arc::default(),
            debug: Arc::default(),
        };
        let logging = Logging {
            to_stderr: false,
            logfile: Some("/var/log/cluster.log".to_owned()),
            debug,
            ..Logging::default()
        };
        assert_eq!(log.apply(&logging, root, "mainstayd"), Vec::<String>::new());
        log
    }

    fn write(log: &Log, level: Level, text: &str) {
        log.line(level).write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn lines_reach_file_and_syslog_and_debug_only_when_asked() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        let syslogd = UnixDatagram::bind(root.path().join("dev/log")).unwrap();
        let log = log_to(root.path(), false);
        write(&log, Level::DEBUG, "detail\n");
        write(&log, Level::ERROR, "trouble\n");
        let file = std::fs::read_to_string(root.path().join("var/log/cluster.log")).unwrap();
        assert_eq!(file, "trouble\n");
        let mut message = [0; 100];
        let n = syslogd.recv(&mut message).unwrap();
        let text = String::from_utf8_lossy(&message[..n]).into_owned();
        assert!(
            text.starts_with("<27>mainstayd[") && text.ends_with(": trouble"),
            "{text}"
        );
        write(&log_to(root.path(), true), Level::DEBUG, "detail\n");
        let file = std::fs::read_to_string(root.path().join("var/log/cluster.log")).unwrap();
        assert!(file.ends_with("detail\n"));
    }

    #[test]
    fn a_line_that_nobody_wants_waits_for_nobody() {
        let root = tempfile::tempdir().unwrap();
        let log = log_to(root.path(), false);
        let _writing = log.lock();
        write(&log, Level::DEBUG, "would wait for ever\n");
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_is_named_and_does_no_harm() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("var"), "").unwrap();
        let log = Log {
            sinks: Arc::default(),
            debug: Arc::default(),
        };
        let logging = Logging {
            logfile: Some("/var/log/c.log".to_owned()),
            to_stderr: false,
            ..Logging::default()
        };
        let problems = log.apply(&logging, root.path(), "mainstayd");
        assert!(problems[0].contains("var/log/c.log"), "{problems:?}");
        write(&log, Level::ERROR, "x\n");
    }
}
