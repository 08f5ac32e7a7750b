//! The commands' side: blocking, one request at a time.

use super::frame::{self, FrameError, LENGTH_BYTES};
use super::{FENCE_WAIT_MS_MAX, Request, Response};
use crate::paths::Paths;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// A connection to the local daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens: the daemon is down.
    #[error("Connection refused")]
    Down {
        /// Socket that was tried.
        socket: PathBuf,
    },
    /// The caller may not.
    #[error("Permission denied")]
    Forbidden {
        /// Socket that was tried.
        socket: PathBuf,
    },
    /// Something else.
    #[error("{error}")]
    Other {
        /// Socket that was tried.
        socket: PathBuf,
        /// What the kernel said.
        error: std::io::Error,
    },
}

impl ConnectError {
    /// What to do now, in a sentence.
    #[must_use]
    pub fn cure(&self) -> String {
        match self {
            Self::Down { socket } => format!(
                "mainstayd does not run on this node (nothing answers on {}): start it with `systemctl start mainstay` or /etc/init.d/mainstay start, and see its log",
                socket.display()
            ),
            Self::Forbidden { socket } => format!(
                "only root and members of group haclient may use {}",
                socket.display()
            ),
            Self::Other { socket, .. } => format!("looked for the daemon at {}", socket.display()),
        }
    }
}

impl Client {
    /// Connects to the daemon's socket.
    ///
    /// # Errors
    /// [`ConnectError`], with a cure.
    pub fn connect(paths: &Paths) -> Result<Self, ConnectError> {
        let socket = paths.socket();
        match UnixStream::connect(&socket) {
            Ok(stream) => Ok(Self { stream }),
            Err(e) => Err(match e.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => ConnectError::Down { socket },
                ErrorKind::PermissionDenied => ConnectError::Forbidden { socket },
                _ => ConnectError::Other { socket, error: e },
            }),
        }
    }

    /// Asks and waits for the answer, at most `ANSWER_WAIT_MAX` longer than the request itself
    /// may wait.
    ///
    /// # Errors
    /// [`FrameError`]; the answer may still be [`Response::Error`].
    pub fn call(&mut self, request: &Request) -> Result<Response, FrameError> {
        let own_wait = match request {
            Request::WaitIdle { timeout_ms } => Duration::from_millis(*timeout_ms),
            // The daemon knows `stonith-timeout`, and answers when that is over.
            Request::Fence { .. } => Duration::from_millis(FENCE_WAIT_MS_MAX),
            _ => Duration::ZERO,
        };
        self.stream
            .set_read_timeout(Some(ANSWER_WAIT_MAX + own_wait))?;
        self.stream.write_all(&frame::encode(request)?)?;
        let mut length = [0; LENGTH_BYTES];
        self.read_exact(&mut length)?;
        let mut body = vec![0; frame::body_bytes(length)?];
        self.read_exact(&mut body)?;
        frame::decode(&body)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), FrameError> {
        self.stream.read_exact(buf).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => FrameError::Closed,
            _ => FrameError::Io(e),
        })
    }
}

/// Longest wait for an answer that asks for no wait of its own.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
