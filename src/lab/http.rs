//! A client that fetches a page many times a second and notes when it got one.

use super::error::{LabError, Tried};
use netlink::NetNs;
use netlink::probe::Echo;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A running client; ends when dropped.
#[derive(Debug)]
pub struct HttpProbe {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    interval: Duration,
    stop: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    /// When the next request may start.
    next: Instant,
    echoes: Vec<Echo>,
    page: String,
}

impl HttpProbe {
    /// Starts `GET /` requests to `target` from `netns`: a new one every `interval`, also while
    /// earlier ones still wait for their answer (at most `CLIENTS` at a time).
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn start(netns: &NetNs, target: SocketAddr, interval: Duration) -> Result<Self, LabError> {
        let log = Log {
            next: Instant::now(),
            echoes: Vec::new(),
            page: String::new(),
        };
        let shared = Arc::new(Shared {
            target,
            interval,
            stop: AtomicBool::new(false),
            log: Mutex::new(log),
        });
        let mut probe = Self {
            shared,
            threads: Vec::new(),
        };
        for _ in 0..CLIENTS {
            let net_error = |e: netlink::Error| LabError::Net {
                what: "start a client".to_owned(),
                cause: e.to_string(),
            };
            let netns = netns.try_clone().map_err(net_error)?;
            let shared = Arc::clone(&probe.shared);
            let thread = std::thread::Builder::new()
                .name("http-probe".to_owned())
                .spawn(move || {
                    // A client that cannot enter counts as one that gets no answer.
                    if netns.enter().is_ok() {
                        shared.fetch_on();
                    }
                })
                .tried(|| "start a client's thread".to_owned())?;
            probe.threads.push(thread);
        }
        Ok(probe)
    }

    /// Requests so far, in the order in which they were begun.
    #[must_use]
    pub fn echoes(&self) -> Vec<Echo> {
        self.shared.log().echoes.clone()
    }

    /// The first line of the last page fetched.
    #[must_use]
    pub fn page(&self) -> String {
        self.shared.log().page.clone()
    }

    /// Ends the client and returns its requests, in the order in which they were begun.
    #[must_use]
    pub fn stop(mut self) -> Vec<Echo> {
        self.end();
        self.echoes()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // It has no way to panic; if it did, what it noted still stands.
            drop(thread.join());
        }
    }

    /// True when a request begun at or after `from` was answered.
    #[must_use]
    pub fn answered_since(&self, from: Instant) -> bool {
        let log = self.shared.log();
        log.echoes
            .iter()
            .rev()
            .take_while(|e| e.sent >= from)
            .any(|e| e.answered.is_some())
    }
}

impl Drop for HttpProbe {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch_on(&self) {
        while !self.stop.load(Ordering::Acquire) {
            let start = {
                let mut log = self.log();
                let start = log.next.max(Instant::now());
                log.next = start + self.interval;
                start
            };
            std::thread::sleep(start.saturating_duration_since(Instant::now()));
            let place = {
                let mut log = self.log();
                if log.echoes.len() >= REQUESTS_MAX {
                    return;
                }
                let number = log.echoes.len();
                log.echoes.push(Echo {
                    number: number as u64,
                    sent: Instant::now(),
                    answered: None,
                });
                number
            };
            // No answer is the observation here, not an error.
            if let Ok(page) = fetch(self.target) {
                let now = Instant::now();
                let mut log = self.log();
                log.page = page;
                if let Some(echo) = log.echoes.get_mut(place) {
                    echo.answered = Some(now);
                }
            }
        }
    }
}

/// One page; the first line of its body.
fn fetch(target: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {}\r\n\r\n", target.ip())?;
    let mut answer = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut answer)?;
    page(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| std::io::Error::other("not a page with status 200"))
}

fn page(answer: &str) -> Option<String> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .or_else(|| answer.split_once("\n\n"))?;
    let mut words = head.lines().next()?.split(' ');
    let ok = words.next()?.starts_with("HTTP/1.") && words.next()? == "200";
    ok.then(|| body.lines().next().unwrap_or_default().to_owned())
}

/// Requests under way at a time: with [`PATIENCE`] still one every 5 ms while nobody answers.
const CLIENTS: usize = 20;
/// How long a request waits for its connection, and for its answer.
const PATIENCE: Duration = Duration::from_millis(100);
/// Longest page, in bytes.
const PAGE_BYTES_MAX: u64 = 64 * 1024;
/// Requests noted: an hour and more at 5 ms.
const REQUESTS_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_counts_as_an_answer() {
        let good = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nnode1\nmore\n";
        assert_eq!(page(good).as_deref(), Some("node1"));
        assert_eq!(page("HTTP/1.1 503 Busy\r\n\r\nnode1"), None);
        assert_eq!(page("HTTP/1.1 200 OK\r\n"), None);
        assert_eq!(page("garbage"), None);
    }
}
