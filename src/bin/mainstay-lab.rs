//! `mainstay-lab`: a cluster on one machine; also daemon and command inside it, by name.

use std::process::ExitCode;

fn main() -> ExitCode {
    mainstay::lab::main()
}
