//! Where log lines go: what `logging{}` of corosync.conf says.

use crate::conf::{Logging, syslog_facility};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

/// The log; cheap to clone, its destinations reopened and changed on SIGHUP.
///
/// Lines are written by a thread of their own: whoever has something to say, the protocol thread
/// above all, never waits for a disk, a terminal or another thread's line. What comes faster than
/// the destinations take it is left out and counted.
#[derive(Clone, Debug)]
pub struct Log {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
    debug: Arc<AtomicBool>,
}

/// What the writing thread is told.
#[derive(Debug)]
enum Entry {
    Line(Level, Vec<u8>),
    Sinks(Sinks),
    /// Everything before this is written.
    Flush(SyncSender<()>),
}

#[derive(Debug, Default)]
struct Sinks {
    to_stderr: bool,
    file: Option<File>,
    syslog: Option<Syslog>,
}

/// The process's log, for [`flush`].
static INSTALLED: OnceLock<Log> = OnceLock::new();

/// Waits until every line so far is written, at most `wait`: before the process ends.
pub(super) fn flush(wait: Duration) {
    if let Some(log) = INSTALLED.get() {
        log.flush(wait);
    }
}

impl Log {
    /// Installs the process's log; later lines go where `logging` says. A destination that cannot
    /// be opened is left out and named in the result: a full or read-only disk must not keep a
    /// cluster node down.
    pub fn install(logging: &Logging, root: &Path, program: &str) -> (Self, Vec<String>) {
        let (log, inbox) = Self::pair(LINES_MAX);
        let mut problems = Vec::from_iter(log.start(inbox));
        problems.extend(log.apply(logging, root, program));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_ansi(false)
            .with_target(false)
            .with_timer(tracing_subscriber::fmt::time::SystemTime)
            .with_writer(log.clone())
            .finish();
        // Only a test's second daemon in one process finds a subscriber installed already.
        let _ = tracing::subscriber::set_global_default(subscriber);
        let _ = INSTALLED.set(log.clone());
        (log, problems)
    }

    fn pair(lines_max: usize) -> (Self, Receiver<Entry>) {
        let (queue, inbox) = sync_channel(lines_max);
        let log = Self {
            queue,
            lost: Arc::default(),
            debug: Arc::default(),
        };
        (log, inbox)
    }

    fn start(&self, inbox: Receiver<Entry>) -> Option<String> {
        let lost = Arc::clone(&self.lost);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || write_all(&inbox, &lost));
        thread
            .err()
            .map(|e| format!("no thread for the log, nothing is logged: {e}"))
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
        if self.queue.try_send(Entry::Sinks(sinks)).is_err() {
            problems.push("the log hangs: its new destinations were not taken over".to_owned());
        }
        problems
    }

    fn flush(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let (written, answer) = sync_channel(1);
        while self.queue.try_send(Entry::Flush(written.clone())).is_err() {
            if Instant::now() >= until {
                return;
            }
            std::thread::sleep(FLUSH_POLL);
        }
        // Too late, or the thread is gone: the process ends without these lines.
        let _ = answer.recv_timeout(until.saturating_duration_since(Instant::now()));
    }

    fn line(&self, level: Level) -> Line<'_> {
        let wanted = level <= Level::INFO || self.debug.load(Ordering::Relaxed);
        Line {
            log: wanted.then_some(self),
            level,
        }
    }
}

/// The writing thread: ends when nobody can log any more.
fn write_all(inbox: &Receiver<Entry>, lost: &AtomicU64) {
    let mut sinks = Sinks::default();
    while let Ok(entry) = inbox.recv() {
        match entry {
            Entry::Line(level, line) => sinks.write(level, &line),
            Entry::Sinks(new) => sinks = new,
            // Whoever asked may have given up.
            Entry::Flush(written) => drop(written.try_send(())),
        }
        let lines = lost.swap(0, Ordering::Relaxed);
        if lines > 0 {
            let text = format!("{lines} lines of the log are missing here: they came too fast\n");
            sinks.write(Level::WARN, text.as_bytes());
        }
    }
}

impl Sinks {
    /// A destination that fails must not silence the others.
    fn write(&mut self, level: Level, line: &[u8]) {
        if self.to_stderr {
            let _ = io::stderr().write_all(line);
        }
        if let Some(file) = &mut self.file {
            let _ = file.write_all(line);
        }
        if let Some(syslog) = &mut self.syslog {
            syslog.send(level, line);
        }
    }
}

/// One line on its way to every destination, or to none.
#[derive(Debug)]
pub struct Line<'a> {
    log: Option<&'a Log>,
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
    /// Called once per line, with all of it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(log) = self.log {
            let entry = Entry::Line(self.level, line.to_vec());
            if log.queue.try_send(entry).is_err() {
                log.lost.fetch_add(1, Ordering::Relaxed);
            }
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
/// Lines that may wait for their destinations.
const LINES_MAX: usize = 4096;
/// Pause before another attempt to flush a full queue.
const FLUSH_POLL: Duration = Duration::from_millis(5);
/// Stack of the writing thread, in bytes.
const STACK_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Log {
        let (log, inbox) = Log::pair(LINES_MAX);
        assert_eq!(log.start(inbox), None);
        log
    }

    fn log_to(root: &Path, debug: bool) -> Log {
        let log = running();
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
        log.flush(Duration::from_secs(60));
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
    fn a_log_that_hangs_holds_up_nobody_and_tells_how_much_is_missing() {
        let root = tempfile::tempdir().unwrap();
        // Nobody reads: the thread is yet to come, as if it hung in a write.
        let (log, inbox) = Log::pair(3);
        for n in 0..10 {
            let line = format!("line {n}\n");
            log.line(Level::INFO).write_all(line.as_bytes()).unwrap();
        }
        log.flush(Duration::from_millis(1));
        assert_eq!(log.start(inbox), None);
        log.flush(Duration::from_secs(60));
        let logging = Logging {
            to_stderr: false,
            logfile: Some("/c.log".to_owned()),
            ..Logging::default()
        };
        log.lost.store(7, Ordering::Relaxed);
        assert_eq!(log.apply(&logging, root.path(), "x"), Vec::<String>::new());
        write(&log, Level::INFO, "the next\n");
        let file = std::fs::read_to_string(root.path().join("c.log")).unwrap();
        assert!(
            file.starts_with("7 lines of the log are missing here"),
            "{file}"
        );
        assert!(file.ends_with("the next\n"), "{file}");
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_is_named_and_does_no_harm() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("var"), "").unwrap();
        let log = running();
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
