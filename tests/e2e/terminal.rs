//! A terminal in front of a command, and somebody who types.

use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A command whose standard streams are a terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What was printed and not waited for yet.
    unread: String,
}

impl Terminal {
    /// Starts the command.
    pub(crate) fn run(mut command: Command) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let stream = || Stdio::from(pty.slave.try_clone().unwrap());
        command
            .env("TERM", "xterm")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream());
        let child = command.spawn().unwrap();
        // The terminal hangs up when its last user is gone, and these are users.
        drop(command);
        drop(pty.slave);
        let keyboard = File::from(pty.master);
        let mut reader = keyboard.try_clone().unwrap();
        let (printed, screen) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                if printed.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keyboard,
            screen,
            unread: String::new(),
        }
    }

    /// Types a line.
    pub(crate) fn say(&mut self, line: &str) {
        self.keyboard
            .write_all(format!("{line}\r").as_bytes())
            .unwrap();
    }

    /// Types the end of input.
    pub(crate) fn hang_up(&mut self) {
        self.keyboard.write_all(b"\x04").unwrap();
    }

    /// Waits until a text was printed after what was waited for before.
    pub(crate) fn wait(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.unread.find(text) {
                self.unread.drain(..at + text.len());
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.unread += &without_controls(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no {text:?} was printed; what was: {:?}", self.unread)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!(
                        "ended without printing {text:?}; what was: {:?}",
                        self.unread
                    )
                }
            }
        }
    }

    /// Waits for the command's end; its exit code.
    pub(crate) fn end(mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            // Nobody may wait for room on the screen.
            let _ = self.screen.recv_timeout(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        panic!("it did not end; unread: {:?}", self.unread)
    }
}

/// Text without the terminal's control sequences (ECMA-48, CSI).
fn without_controls(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.peek() == Some(&'[') {
            chars.next();
            while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            continue;
        }
        plain.push(c);
    }
    plain
}

/// Bound of every wait.
const PATIENCE: Duration = Duration::from_secs(30);
