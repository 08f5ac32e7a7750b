//! `mainstay`: every command, by the name it is called by or by its first word.

use std::process::ExitCode;

fn main() -> ExitCode {
    mainstay::cli::main_from_args(std::env::args_os())
}
