//! Where log lines go: what `logging{}` of corosync.conf says.

mod form;
mod sinks;

use crate::conf::{LogPart, Logging};
use form::{Form, part_of};
use jiff::Timestamp;
use sinks::Sinks;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
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
    /// The parts of which everything is told: a bit each.
    debug: Arc<AtomicU8>,
    fileline: Arc<AtomicBool>,
}

/// What the writing thread is told.
#[derive(Debug)]
enum Entry {
    Line(Option<Timestamp>, Level, Vec<u8>),
    Sinks(Sinks),
    /// Everything before this is written.
    Flush(SyncSender<()>),
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
        // Only a test's second daemon in one process finds a subscriber installed already.
        let _ = tracing::subscriber::set_global_default(log.subscriber());
        let _ = INSTALLED.set(log.clone());
        (log, problems)
    }

    fn subscriber(&self) -> impl tracing::Subscriber + use<> {
        tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_ansi(false)
            .event_format(Form {
                fileline: Arc::clone(&self.fileline),
            })
            .with_writer(self.clone())
            .finish()
    }

    fn pair(lines_max: usize) -> (Self, Receiver<Entry>) {
        let (queue, inbox) = sync_channel(lines_max);
        let log = Self {
            queue,
            lost: Arc::default(),
            debug: Arc::default(),
            fileline: Arc::default(),
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
        let (sinks, mut problems) = Sinks::open(logging, root, program);
        let parts = LogPart::ALL.into_iter();
        let debug = parts.filter(|part| logging.debug_of(*part)).map(bit);
        self.debug
            .store(debug.fold(0, |all, bit| all | bit), Ordering::Relaxed);
        self.fileline.store(logging.fileline, Ordering::Relaxed);
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

    fn line(&self, level: Level, part: LogPart) -> Line<'_> {
        let wanted = level <= Level::INFO || self.debug.load(Ordering::Relaxed) & bit(part) != 0;
        Line {
            log: wanted.then_some(self),
            level,
        }
    }
}

/// `None` where the clock is outside of the calendar.
fn now() -> Option<Timestamp> {
    Timestamp::try_from(SystemTime::now()).ok()
}

/// Its place in [`Log::debug`].
const fn bit(part: LogPart) -> u8 {
    1 << part as u8
}

/// The writing thread: ends when nobody can log any more.
fn write_all(inbox: &Receiver<Entry>, lost: &AtomicU64) {
    let mut sinks = Sinks::default();
    while let Ok(entry) = inbox.recv() {
        let mut asked = None;
        match entry {
            Entry::Line(at, level, line) => sinks.write(at, level, &line),
            Entry::Sinks(new) => sinks = new,
            Entry::Flush(written) => asked = Some(written),
        }
        let lines = lost.swap(0, Ordering::Relaxed);
        if lines > 0 {
            let text = format!(
                " WARN MAIN: {lines} lines of the log are missing here: they came too fast\n"
            );
            sinks.write(now(), Level::WARN, text.as_bytes());
        }
        // That lines are missing is told before the process ends, too. Whoever asked may have
        // given up.
        let _ = asked.map(|written| written.try_send(()));
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
        self.line(Level::INFO, LogPart::Main)
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Line<'a> {
        self.line(*meta.level(), part_of(meta.target()))
    }
}

impl Write for Line<'_> {
    /// Called once per line, with all of it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(log) = self.log {
            let entry = Entry::Line(now(), self.level, line.to_vec());
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

/// Lines that may wait for their destinations.
const LINES_MAX: usize = 4096;
/// Pause before another attempt to flush a full queue.
const FLUSH_POLL: Duration = Duration::from_millis(5);
/// Stack of the writing thread, in bytes.
const STACK_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn running() -> Log {
        let (log, inbox) = Log::pair(LINES_MAX);
        assert_eq!(log.start(inbox), None);
        log
    }

    fn to_file() -> Logging {
        Logging {
            to_stderr: false,
            logfile: Some("/var/log/cluster.log".to_owned()),
            timestamp: false,
            ..Logging::default()
        }
    }

    fn log_to(root: &Path, logging: &Logging) -> Log {
        let log = running();
        assert_eq!(log.apply(logging, root, "mainstayd"), Vec::<String>::new());
        log
    }

    fn written(log: &Log, root: &Path) -> String {
        log.flush(Duration::from_secs(60));
        std::fs::read_to_string(root.join("var/log/cluster.log")).unwrap()
    }

    fn write(log: &Log, level: Level, text: &str) {
        log.line(level, LogPart::Main)
            .write_all(text.as_bytes())
            .unwrap();
        log.flush(Duration::from_secs(60));
    }

    #[test]
    fn lines_reach_file_and_syslog_each_with_one_time() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        let syslogd = UnixDatagram::bind(root.path().join("dev/log")).unwrap();
        let timed = Logging {
            timestamp: true,
            ..to_file()
        };
        let log = log_to(root.path(), &timed);
        write(&log, Level::ERROR, "trouble\n");
        let file = written(&log, root.path());
        let (time, text) = file.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert_eq!(text, "trouble\n");
        let mut message = [0; 100];
        let n = syslogd.recv(&mut message).unwrap();
        let text = String::from_utf8_lossy(&message[..n]).into_owned();
        // syslogd puts the time in front.
        let pid = std::process::id();
        assert_eq!(text, format!("<27>mainstayd[{pid}]: trouble"));
    }

    #[test]
    fn everything_is_told_of_the_parts_that_were_asked_for() {
        let root = tempfile::tempdir().unwrap();
        let say = || {
            tracing::debug!(target: "mainstay::vip::guard", "detail");
            tracing::debug!(target: "mainstay::ipc::server", uid = 3, "request");
            tracing::info!("as ever");
        };
        let log = log_to(root.path(), &to_file());
        let _guard = tracing::subscriber::set_default(log.subscriber());
        say();
        assert_eq!(written(&log, root.path()), " INFO MAIN: as ever\n");
        let logging = Logging {
            debug: true,
            parts: vec![(LogPart::Vip, false)],
            fileline: true,
            ..to_file()
        };
        std::fs::remove_file(root.path().join("var/log/cluster.log")).unwrap();
        log.apply(&logging, root.path(), "mainstayd");
        say();
        let text = written(&log, root.path());
        let places = text.matches(" IPC: src/daemon/log.rs:").count();
        assert_eq!(places, 1, "{text}");
        assert!(text.contains(": request uid=3\n"), "{text}");
        assert!(!text.contains("detail"), "{text}");
    }

    #[test]
    fn a_log_that_hangs_holds_up_nobody_and_tells_how_much_is_missing() {
        let root = tempfile::tempdir().unwrap();
        // Nobody reads: the thread is yet to come, as if it hung in a write.
        let (log, inbox) = Log::pair(3);
        for n in 0..10 {
            let line = format!("line {n}\n");
            log.line(Level::INFO, LogPart::Main)
                .write_all(line.as_bytes())
                .unwrap();
        }
        log.flush(Duration::from_millis(1));
        assert_eq!(log.start(inbox), None);
        log.flush(Duration::from_secs(60));
        log.lost.store(7, Ordering::Relaxed);
        let problems = log.apply(&to_file(), root.path(), "x");
        assert_eq!(problems, Vec::<String>::new());
        write(&log, Level::INFO, "the next\n");
        let file = written(&log, root.path());
        let (first, rest) = file.split_once('\n').unwrap();
        assert!(first.contains("MAIN: 7 lines of the log are missing here"));
        assert!(rest.ends_with("the next\n"), "{rest}");
        log.lost.store(2, Ordering::Relaxed);
        let file = written(&log, root.path());
        let last = file.lines().next_back().unwrap();
        assert!(last.contains("2 lines of the log are missing"), "{last}");
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_is_named_and_does_no_harm() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("var"), "").unwrap();
        let log = running();
        let problems = log.apply(&to_file(), root.path(), "mainstayd");
        assert!(problems[0].contains("var/log/cluster.log"), "{problems:?}");
        write(&log, Level::ERROR, "x\n");
    }
}
