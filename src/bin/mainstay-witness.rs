//! `mainstay-witness`: a vote in the quorum of a cluster, on a machine that is no node of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    mainstay::daemon::witness_from_args(std::env::args_os())
}
