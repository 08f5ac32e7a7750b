//! Connections that both sides keep busy: every node says who it is on each connection that is
//! made to it, the client says how far it has heard it, and notes every line with its time.

use super::cluster::Lab;
use super::error::{LabError, Tried};
use super::mounts;
use super::switch;
use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One line that the client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// Number of the connection, from 0.
    pub connection: usize,
    /// Who said it: a node's name.
    pub node: String,
    /// The how manieth of that connection it is, by the node's count.
    pub number: u64,
    /// How far the node had heard the client on that connection.
    pub heard: u64,
}

/// The process in a node that talks to whoever connects; ends when dropped.
#[derive(Debug)]
pub struct Teller(Child);

/// A client's connections to one address; ends when stopped or dropped.
#[derive(Debug)]
pub struct Talk {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Lab {
    /// Starts, in a node that has power, the server that connections of [`Lab::talk`] lead to. It
    /// is no resource: it runs wherever the address is, and ends with the node's power.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn tell(&self, node: &str) -> Result<Teller, LabError> {
        let mut command = self.command(node, &[mounts::PROGRAM, "__tell", node])?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .tried(|| format!("start the server of {node}"))?;
        Ok(Teller(child))
    }

    /// Starts talking to `address` from the client's namespace: a connection as long as it lives,
    /// a new one when it is silent; earlier ones are listened to on.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn talk(&self, address: std::net::IpAddr) -> Result<Talk, LabError> {
        let netns = switch::namespace(self.client()?)?;
        let shared = Arc::new(Shared::default());
        let ours = Arc::clone(&shared);
        let target = SocketAddr::new(address, PORT);
        let thread = std::thread::Builder::new()
            .name("talk".to_owned())
            .spawn(move || {
                // A client that cannot enter is told nothing.
                if netns.enter().is_ok() {
                    Client::new(target, &ours).run();
                }
            })
            .tried(|| "start a client's thread".to_owned())?;
        Ok(Talk {
            shared,
            thread: Some(thread),
        })
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        // SIGTERM is handed on to the command inside.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        // It ends with its node at the latest.
        let _ = self.0.wait();
    }
}

impl Talk {
    /// The lines so far, in the order in which they were read.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.shared.lines().clone()
    }

    /// True when a line was read after `from` on a connection on which the node hears the client.
    #[must_use]
    pub fn goes_on_since(&self, from: Instant) -> bool {
        let lines = self.shared.lines();
        let newest = lines.iter().rev().take_while(|l| l.at >= from);
        newest.into_iter().any(|l| l.heard > 0)
    }

    /// Ends it and returns all lines.
    #[must_use]
    pub fn stop(mut self) -> Vec<Line> {
        self.end();
        self.lines()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // It has no way to panic; if it did, what it noted still stands.
            drop(thread.join());
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Vec<Line>>,
    stop: AtomicBool,
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Client<'a> {
    target: SocketAddr,
    shared: &'a Shared,
    /// Open connections, the newest last.
    open: Vec<Connection>,
    made: usize,
}

struct Connection {
    stream: TcpStream,
    number: usize,
    heard_at: Instant,
    buffer: Vec<u8>,
    /// Lines read.
    read: u64,
}

impl<'a> Client<'a> {
    fn new(target: SocketAddr, shared: &'a Shared) -> Self {
        Self {
            target,
            shared,
            open: Vec::new(),
            made: 0,
        }
    }

    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            let silent = |c: &Connection| c.heard_at.elapsed() > SILENT_AFTER;
            if self.open.last().is_none_or(silent) {
                self.connect();
            }
            let shared = self.shared;
            self.open.retain_mut(|one| one.turn(shared));
            std::thread::sleep(LINE_EVERY);
        }
    }

    fn connect(&mut self) {
        // No connection is the observation here, not an error.
        let Ok(stream) = TcpStream::connect_timeout(&self.target, SILENT_AFTER) else {
            return;
        };
        if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
            return;
        }
        if self.open.len() >= CONNECTIONS_MAX {
            self.open.remove(0);
        }
        self.open.push(Connection {
            stream,
            number: self.made,
            heard_at: Instant::now(),
            buffer: Vec::new(),
            read: 0,
        });
        self.made += 1;
    }
}

impl Connection {
    /// Reads what there is and says how far it has read; false when the connection has ended.
    fn turn(&mut self, shared: &Shared) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(len) => self.buffer.extend(&bytes[..len]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        while let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            if let Some(line) = parse(&String::from_utf8_lossy(&line), self.number) {
                self.heard_at = line.at;
                self.read += 1;
                let mut lines = shared.lines();
                if lines.len() < LINES_MAX {
                    lines.push(line);
                }
            }
        }
        if self.buffer.len() > LINE_BYTES_MAX {
            return false;
        }
        let said = writeln!(self.stream, "{}", self.read);
        said.map_or_else(|e| e.kind() == ErrorKind::WouldBlock, |()| true)
    }
}

/// `NODE NUMBER HEARD`.
fn parse(line: &str, connection: usize) -> Option<Line> {
    let mut words = line.split_ascii_whitespace();
    Some(Line {
        at: Instant::now(),
        connection,
        node: words.next()?.to_owned(),
        number: words.next()?.parse().ok()?,
        heard: words.next()?.parse().ok()?,
    })
}

/// `__tell NODE`: talks to whoever connects, by either family.
pub(super) fn tell(args: &[OsString]) -> Result<(), LabError> {
    let [node] = args else {
        return Err(LabError::Refused("__tell NODE".to_owned()));
    };
    let node = node.to_string_lossy().into_owned();
    let at = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
    let listener = TcpListener::bind(at).tried(|| format!("listen on port {PORT}"))?;
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        if open.fetch_add(1, Ordering::AcqRel) >= SERVED_MAX {
            open.fetch_sub(1, Ordering::AcqRel);
            continue;
        }
        let (node, open) = (node.clone(), Arc::clone(&open));
        std::thread::spawn(move || {
            // Ends when the connection does.
            let _ = serve(stream, &node);
            open.fetch_sub(1, Ordering::AcqRel);
        });
    }
    Ok(())
}

/// A line every [`LINE_EVERY`], until the client is gone or takes nothing for [`GIVEN_UP_AFTER`].
fn serve(mut stream: TcpStream, node: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let (mut number, mut heard) = (0u64, 0u64);
    let mut taken_at = Instant::now();
    let mut bytes = [0; 4096];
    while taken_at.elapsed() < GIVEN_UP_AFTER {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(len) => heard += bytes[..len].iter().filter(|b| **b == b'\n').count() as u64,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        let line = format!("{node} {number} {heard}\n");
        match stream.write(line.as_bytes()) {
            Ok(len) if len == line.len() => {
                number += 1;
                taken_at = Instant::now();
            }
            // Half a line would spoil those that follow.
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        std::thread::sleep(LINE_EVERY);
    }
    Ok(())
}

/// Where every node's server listens.
const PORT: u16 = 7007;
/// Time between two lines, in both directions.
const LINE_EVERY: Duration = Duration::from_millis(5);
/// A connection that says nothing for so long gets a younger one beside it.
const SILENT_AFTER: Duration = Duration::from_millis(150);
/// A server ends a connection whose client takes nothing for so long.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);
/// Connections that a client keeps open.
const CONNECTIONS_MAX: usize = 8;
/// Connections that a server keeps open.
const SERVED_MAX: usize = 64;
/// Longest line.
const LINE_BYTES_MAX: usize = 4096;
/// Lines noted: an hour of them.
const LINES_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_node_and_how_far_both_have_come() {
        let line = parse("node2 17 9\n", 3).unwrap();
        assert_eq!(
            (line.node.as_str(), line.number, line.heard, line.connection),
            ("node2", 17, 9, 3)
        );
        assert_eq!(parse("node2 x 9", 0), None);
        assert_eq!(parse("", 0), None);
    }
}
