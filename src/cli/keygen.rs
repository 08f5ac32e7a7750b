//! `corosync-keygen`: the key that all nodes of a cluster share.

use super::console::Console;
use super::exit::Exit;
use crate::conf::{AuthkeyError, KEY_BYTES, generate_authkey};
use crate::paths::Paths;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    let mut console = Console::process();
    let mut path = Paths::from_env().authkey();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Nobody needs to type for entropy any more.
            "-l" | "--less-secure" => {}
            "-k" | "--key-file" => match args.next() {
                Some(file) => path = PathBuf::from(file),
                None => return usage(&mut console, "-k needs a file"),
            },
            "-r" | "--random-file" | "-s" | "--size" => {
                if args.next().is_none() {
                    return usage(&mut console, &format!("{arg} needs a value"));
                }
                console.err_line(&format!(
                    "corosync-keygen: {arg} has no effect: the key has {} bits from the kernel's random source",
                    KEY_BYTES * 8
                ));
            }
            "-h" | "--help" => {
                console.line(USAGE);
                return Exit::Ok;
            }
            other => return usage(&mut console, &format!("unknown option {other}")),
        }
    }
    generate(&mut console, &path)
}

fn generate(console: &mut Console, path: &std::path::Path) -> Exit {
    console.line("Corosync Cluster Engine Authentication key generator.");
    console.line(&format!(
        "Gathering {} bits for key from /dev/urandom.",
        KEY_BYTES * 8
    ));
    let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
    if let Err(error) = getrandom::fill(key.as_mut_slice()) {
        console.err_line(&format!(
            "corosync-keygen: the kernel gives no random bytes: {error}"
        ));
        return Exit::Error;
    }
    console.line(&format!("Writing corosync key to {}.", path.display()));
    if let Some(dir) = path.parent() {
        // A missing directory shows in the error of the file.
        let _ = std::fs::create_dir_all(dir);
    }
    match generate_authkey(path, &key) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            console.err_line(&format!("corosync-keygen: {error}"));
            match error {
                AuthkeyError::Exists { .. } => Exit::Exists,
                _ => Exit::CantCreat,
            }
        }
    }
}

fn usage(console: &mut Console, why: &str) -> Exit {
    console.err_line(&format!("corosync-keygen: {why}\n{USAGE}"));
    Exit::Usage
}

const USAGE: &str = "usage: corosync-keygen [-k FILE] [-l]";
