//! Command lines, one module per personality. Talk to the daemon through `ipc` only.

use crate::ipc::{Client, Request, Response};
use crate::paths::Paths;
use std::ffi::OsString;
use std::process::ExitCode;

/// The entry point: `args` with the program's name first.
pub fn main_from_args(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = args
        .into_iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let request = match words.get(1).map(String::as_str) {
        Some("cib") => Request::Cib { status: true },
        Some("plan") => Request::Plan,
        _ => Request::Status,
    };
    match Client::connect(&Paths::from_env()).map(|mut c| c.call(&request)) {
        Ok(Ok(Response::Cib { xml })) => println!("{xml}"),
        Ok(Ok(Response::Status(status))) => {
            println!(
                "{}",
                serde_json::to_string_pretty(&status).unwrap_or_default()
            );
        }
        other => {
            println!("{other:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
