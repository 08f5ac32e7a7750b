//! Which of its parts the program is asked to be.

use super::{bench, exec, fence, holder, init, mounts, talk};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Entry point of the program `mainstay-lab`: by the name it is called by it is the daemon, a
/// command, the lab's fence agent, or the lab itself.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let name = args
        .first()
        .and_then(|arg| Path::new(arg).file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    match name.as_str() {
        "mainstayd" => crate::daemon::main_from_args(args),
        "mainstay-witness" => crate::daemon::witness_from_args(args),
        mounts::FENCE_AGENT => fence::main(args.get(1..).unwrap_or_default()),
        name if mounts::is_name(name) => crate::cli::main_from_args(args),
        _ => lab(&args),
    }
}

fn lab(args: &[OsString]) -> ExitCode {
    let stage = args
        .get(1)
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default();
    let rest = args.get(2..).unwrap_or_default();
    let file = || Path::new(rest.first().map_or("", |s| s.to_str().unwrap_or_default()));
    let result = match stage.as_str() {
        "__boot" => init::boot(file()).map(|()| 0),
        "__init" => init::init(file()).map(|()| 0),
        "__hold" => holder::hold(rest).map(|()| 0),
        "__tell" => talk::tell(rest).map(|()| 0),
        "__time" => bench::time(rest).map(|()| 0),
        "__exec" => exec::enter(rest),
        "__run" => {
            let error = exec::run(rest);
            eprintln!("mainstay-lab: {error}");
            return ExitCode::from(COMMAND_NOT_RUN);
        }
        _ => return super::cli::main(args),
    };
    match result {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            eprintln!("mainstay-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A shell's exit code for a command that could not be run.
const COMMAND_NOT_RUN: u8 = 127;
