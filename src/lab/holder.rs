//! The processes that hold the switch's and the client's network namespaces; the switch's is also
//! the lab's power switch, which the fence agent inside the nodes asks.

use super::error::{LabError, Tried};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::setsid;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Name of the power switch's socket in the lab's directory.
pub(super) const POWER_SOCKET: &str = "power.sock";
/// Set to `0` for a command that the power switch runs: its standard input is the lab's lifeline.
pub(super) const LIFELINE_ENV: &str = "MAINSTAY_LAB_LIFELINE";

/// `__hold switch|client LAB tied|free`: makes a network namespace and stays in it.
pub(super) fn hold(args: &[OsString]) -> Result<(), LabError> {
    let [kind, lab, life] = args else {
        return Err(LabError::Refused(
            "__hold switch|client LAB tied|free".to_owned(),
        ));
    };
    setsid().tried(|| "start a session".to_owned())?;
    unshare(CloneFlags::CLONE_NEWNET).tried(|| "make a network namespace".to_owned())?;
    let lab = PathBuf::from(lab);
    let tied = life == "tied";
    let power = if kind == "switch" {
        Some(listen(&lab)?)
    } else {
        None
    };
    println!("ready");

    let stdin = std::io::stdin();
    loop {
        let mut watched = Vec::new();
        if tied {
            watched.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        if let Some(listener) = &power {
            watched.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).tried(|| "poll".to_owned()),
        }
        let ready = |i: usize| {
            watched
                .get(i)
                .is_some_and(|p| p.revents().is_some_and(|r| !r.is_empty()))
        };
        if tied && ready(0) {
            return Ok(());
        }
        if let Some(listener) = &power
            && ready(usize::from(tied))
            && let Ok((stream, _)) = listener.accept()
        {
            serve(&lab, tied, stream);
        }
    }
}

fn listen(lab: &Path) -> Result<UnixListener, LabError> {
    let path = lab.join(POWER_SOCKET);
    let _ = std::fs::remove_file(&path);
    UnixListener::bind(&path).tried(|| format!("listen on {}", path.display()))
}

/// One request, `on NODE`, `off NODE`, `cycle NODE`, `status NODE` or `list`; one line back:
/// `ok ...` or `error ...`.
fn serve(lab: &Path, tied: bool, mut stream: UnixStream) {
    let mut line = String::new();
    let read = stream
        .set_read_timeout(Some(REQUEST_WITHIN))
        .and_then(|()| BufReader::new((&stream).take(LINE_BYTES_MAX)).read_line(&mut line));
    let answer = match read {
        Ok(_) => request(lab, tied, line.trim())
            .map_or_else(|e| format!("error {e}"), |t| format!("ok {t}")),
        Err(e) => format!("error {e}"),
    };
    // Whoever asked may have been powered off by the request.
    let _ = writeln!(stream, "{}", answer.replace('\n', " "));
}

fn request(lab: &Path, tied: bool, line: &str) -> Result<String, String> {
    let state = super::state::State::load(lab).map_err(|e| e.to_string())?;
    let (word, node) = line.split_once(' ').unwrap_or((line, ""));
    let is_on = || {
        Ok::<_, String>(
            state
                .node(node)
                .map_err(|e| e.to_string())?
                .running()
                .is_ok(),
        )
    };
    match word {
        "list" => Ok(state
            .nodes
            .iter()
            .map(|n| n.name.as_str())
            .collect::<Vec<_>>()
            .join(",")),
        "status" => Ok(if is_on()? { "on" } else { "off" }.to_owned()),
        "on" | "off" if is_on()? == (word == "on") => Ok(word.to_owned()),
        "on" | "off" => switch(lab, tied, word, node).map(|()| word.to_owned()),
        "cycle" => {
            if is_on()? {
                switch(lab, tied, "off", node)?;
            }
            switch(lab, tied, "on", node).map(|()| "on".to_owned())
        }
        _ => Err(format!("{word:?} is not on, off, cycle, status or list")),
    }
}

/// Runs the lab's own command, which takes the lock and keeps the state.
fn switch(lab: &Path, tied: bool, word: &str, node: &str) -> Result<(), String> {
    let output = Command::new(lab.join("bin/mainstay-lab"))
        .arg("--dir")
        .arg(lab)
        .arg(format!("power{word}"))
        .arg(node)
        .envs(tied.then_some((LIFELINE_ENV, "0")))
        .stdin(Stdio::inherit())
        .output()
        .map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Bound of a request's arrival.
const REQUEST_WITHIN: Duration = Duration::from_secs(1);
/// Longest request, in bytes.
const LINE_BYTES_MAX: u64 = 1024;
