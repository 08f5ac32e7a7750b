//! The daemon's parent: tiny, and with nothing to do but to start the daemon again (ruling 8).

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Starts the daemon as a child and restarts it whenever it dies; ends when it ended in order or
/// refused to start.
pub(super) fn run(args: &[OsString]) -> ExitCode {
    let signals = supervised_signals();
    if let Err(error) = signals.thread_block() {
        eprintln!("mainstayd: cannot block signals: {error}");
        return ExitCode::FAILURE;
    }
    let mut starts = VecDeque::new();
    let mut ran = false;
    loop {
        pause_after(&mut starts);
        let started = Instant::now();
        let child = match spawn(args) {
            Ok(child) => child,
            Err(error) => {
                eprintln!("mainstayd: cannot start itself: {error}");
                silence(ran);
                return ExitCode::FAILURE;
            }
        };
        let (ended, asked_to_stop) = watch(child, &signals);
        ran |= started.elapsed() >= RAN_MIN;
        match verdict(ended, asked_to_stop) {
            Some(0) => return ExitCode::SUCCESS,
            Some(code) => {
                silence(ran);
                return ExitCode::from(code);
            }
            None => eprintln!("mainstayd: the daemon died ({ended:?}); starting it again"),
        }
    }
}

/// The daemon is dead and nobody will start it again: floating addresses that it left fall silent
/// now, not at the end of their leases. Its rules stay, so that they remain silent.
fn silence(ran: bool) {
    if !ran {
        // It refused to start: there is nothing of it in the kernel, and nothing shall come.
        return;
    }
    let raised = netlink::Gates::raise(&netlink::GateOptions::default());
    if let Err(error) = raised.and_then(|(mut gates, _)| gates.close_all()) {
        eprintln!("mainstayd: floating addresses fall silent by themselves: {error}");
    }
}

/// The exit code when the daemon is not to be started again. A daemon that was asked to stop may
/// die of the signal itself, before it can handle it.
fn verdict(ended: WaitStatus, asked_to_stop: bool) -> Option<u8> {
    match ended {
        WaitStatus::Exited(_, code) if code == 0 || code >= REFUSAL_CODE_MIN => Some(code as u8),
        WaitStatus::Exited(_, code) if asked_to_stop => Some(code as u8),
        WaitStatus::Signaled(_, Signal::SIGTERM | Signal::SIGINT, _) if asked_to_stop => Some(0),
        _ if asked_to_stop => Some(1),
        _ => None,
    }
}

/// Undoes in the child what the parent blocked.
pub(super) fn unblock_signals() {
    // Nothing sensible is left to do if the kernel refuses: the signals then stay blocked.
    let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&supervised_signals()), None);
}

fn supervised_signals() -> SigSet {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
    ] {
        set.add(signal);
    }
    set
}

fn spawn(args: &[OsString]) -> std::io::Result<Pid> {
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = args.first() {
        // A multi-call program finds its entry point by this name.
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    command.args(args.iter().skip(1)).arg("--worker");
    let child = command.spawn()?;
    // waitpid below takes the place of the handle.
    Ok(Pid::from_raw(child.id() as i32))
}

/// Passes signals on until the child has ended; also tells whether it was asked to stop.
fn watch(child: Pid, signals: &SigSet) -> (WaitStatus, bool) {
    let mut asked_to_stop = false;
    loop {
        let signal = signals.wait().unwrap_or(Signal::SIGCHLD);
        if signal != Signal::SIGCHLD {
            asked_to_stop |= matches!(signal, Signal::SIGTERM | Signal::SIGINT);
            // A child that just ended needs no signal.
            let _ = kill(child, signal);
        }
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {}
            Ok(status) => return (status, asked_to_stop),
            Err(_) => return (WaitStatus::Exited(child, 1), asked_to_stop),
        }
    }
}

/// The first restarts are immediate: the floating IP waits for them. A daemon that dies again and
/// again is started ever more slowly.
fn pause_after(starts: &mut VecDeque<Instant>) {
    let now = Instant::now();
    starts.retain(|s| now.duration_since(*s) < CRASH_WINDOW);
    if starts.len() >= RESTARTS_AT_ONCE {
        let extra = (starts.len() - RESTARTS_AT_ONCE) as u32;
        std::thread::sleep((RESTART_PAUSE * 2u32.pow(extra.min(5))).min(RESTART_PAUSE_MAX));
    }
    starts.push_back(Instant::now());
}

/// A daemon that ended sooner than this had held no address.
const RAN_MIN: Duration = Duration::from_secs(1);
/// Exit codes from here on are refusals that a restart does not cure (sysexits, CRM_EX).
const REFUSAL_CODE_MIN: i32 = 64;
/// Restarts without any pause within [`CRASH_WINDOW`].
const RESTARTS_AT_ONCE: usize = 5;
/// Time after which a death is forgotten.
const CRASH_WINDOW: Duration = Duration::from_secs(60);
/// First pause.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_death_that_nobody_asked_for_is_followed_by_a_start() {
        let pid = Pid::from_raw(1);
        let killed = WaitStatus::Signaled(pid, Signal::SIGKILL, false);
        let terminated = WaitStatus::Signaled(pid, Signal::SIGTERM, false);
        let exited = |code| WaitStatus::Exited(pid, code);
        assert_eq!(verdict(exited(1), false), None);
        assert_eq!(verdict(killed, false), None);
        assert_eq!(verdict(exited(0), false), Some(0));
        assert_eq!(verdict(exited(78), false), Some(78));
        assert_eq!(
            verdict(terminated, true),
            Some(0),
            "before it had a handler"
        );
        assert_eq!(verdict(exited(1), true), Some(1));
        assert_eq!(verdict(killed, true), Some(1));
    }
}
