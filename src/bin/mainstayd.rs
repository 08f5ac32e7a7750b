//! `mainstayd`: the cluster daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    mainstay::daemon::main_from_args(std::env::args_os())
}
