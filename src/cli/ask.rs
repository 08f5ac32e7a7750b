//! Programs that are asked something, and may hang: nobody waits for them longer than was meant, and
//! what they left running is ended with them.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a program came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its exit code; none when a signal ended it.
    pub(super) code: Option<i32>,
    /// Its output.
    pub(super) output: String,
    /// Its errors.
    pub(super) errors: String,
}

/// Runs it; `None` when it was not done by then.
///
/// # Errors
/// It cannot be started.
pub(super) fn until(command: &mut Command, until: Instant) -> std::io::Result<Option<Answer>> {
    until_told(command, "", until)
}

/// The same, for one that is told something on its standard input.
///
/// # Errors
/// It cannot be started.
pub(super) fn until_told(
    command: &mut Command,
    input: &str,
    until: Instant,
) -> std::io::Result<Option<Answer>> {
    let stdin = match input {
        "" => Stdio::null(),
        _ => Stdio::piped(),
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut output = Stream::of(child.stdout.take());
    let mut errors = Stream::of(child.stderr.take());
    let mut stdin = child.stdin.take().filter(never_blocks);
    let mut untold = input.as_bytes();
    loop {
        // One that does not listen says what it makes of that by its exit code.
        match stdin.as_mut().map(|pipe| pipe.write(untold)) {
            Some(Ok(length)) => untold = untold.get(length..).unwrap_or_default(),
            Some(Err(e)) if e.kind() == ErrorKind::BrokenPipe => untold = &[],
            Some(Err(_)) | None => {}
        }
        if untold.is_empty() {
            stdin = None;
        }
        let ended = child.try_wait()?;
        // Also while it runs, so that a full pipe holds nobody up. What it said before its end is in
        // the pipes then; what it left in the background may keep them open, and is not waited for.
        output.read();
        errors.read();
        if let Some(status) = ended {
            return Ok(Some(Answer {
                code: status.code(),
                output: output.text(),
                errors: errors.text(),
            }));
        }
        if Instant::now() >= until {
            end(&mut child);
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    let _ = child.kill();
    let _ = child.wait();
}

/// One of its pipes, and what came by it.
struct Stream<R> {
    pipe: Option<R>,
    bytes: Vec<u8>,
}

impl<R: Read + AsFd> Stream<R> {
    fn of(pipe: Option<R>) -> Self {
        let bytes = Vec::new();
        let pipe = pipe.filter(never_blocks);
        Self { pipe, bytes }
    }

    /// Takes what is there. What is too much is read and forgotten, so that the program can go on.
    fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else {
            return;
        };
        let mut piece = [0; 4096];
        for _ in 0..PIECES_MAX {
            match pipe.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => {
                    let room = SAID_BYTES_MAX.saturating_sub(self.bytes.len());
                    self.bytes.extend(&piece[..length.min(room)]);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }

    fn text(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// A pipe that would block could hang as its program does.
fn never_blocks(pipe: &impl AsFd) -> bool {
    let flags = FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
    fcntl(pipe.as_fd(), flags).is_ok()
}

/// Pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(5);
/// Pieces of 4 KiB that are read in one turn: a program that never ends to speak is one that hangs.
const PIECES_MAX: u32 = 256;
/// Most of what a program says that is listened to, in bytes of each stream.
const SAID_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(script: &str, patience: Duration) -> Option<Answer> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        until(&mut command, Instant::now() + patience).unwrap()
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn what_it_says_comes_with_its_exit_code() {
        let answer = asked("echo out; echo err >&2; exit 6", LONG).unwrap();
        assert_eq!(answer.code, Some(6));
        assert_eq!(
            (answer.output.as_str(), answer.errors.as_str()),
            ("out\n", "err\n")
        );
    }

    #[test]
    fn nobody_waits_for_one_that_hangs() {
        let short = Duration::from_millis(50);
        assert_eq!(asked("sleep 100000; echo late", short), None);
        // What it started in the background goes on, and keeps nobody.
        let answer = asked("echo done; sleep 3 & exit 0", LONG).unwrap();
        assert_eq!(answer.output, "done\n");
    }

    #[test]
    fn it_is_told_what_it_listens_to() {
        let told = |script: &str, input: &str, patience| {
            let mut command = Command::new("sh");
            let until = Instant::now() + patience;
            until_told(command.args(["-c", script]), input, until).unwrap()
        };
        let long = "line\n".repeat(100_000);
        let answer = told("wc -c", &long, LONG).unwrap();
        assert_eq!(answer.output.trim(), "500000");
        let deaf = told("exit 3", &long, LONG).unwrap();
        assert_eq!(deaf.code, Some(3));
        let hung = told("sleep 100000", &long, Duration::from_millis(50));
        assert_eq!(hung, None);
    }

    #[test]
    fn a_full_pipe_holds_nobody_up() {
        let answer = asked("head -c 3000000 /dev/zero; exit 3", LONG).unwrap();
        assert_eq!(answer.code, Some(3));
        assert_eq!(answer.output.len(), SAID_BYTES_MAX);
    }
}
