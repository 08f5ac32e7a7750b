//! Command lines, one module per personality. Talk to the daemon through `ipc` only.

#[cfg(test)]
mod api_schemas;
mod ask;
mod attrd_updater;
mod attributes;
mod backend;
#[cfg(test)]
mod cases;
mod cibadmin;
mod complete;
mod console;
mod corosync;
mod corosync_cfgtool;
mod corosync_cmapctl;
mod corosync_quorumtool;
mod crm;
mod crm_attribute;
mod crm_diff;
mod crm_error;
mod crm_failcount;
mod crm_master;
mod crm_mon;
mod crm_node;
mod crm_resource;
mod crm_rule;
mod crm_shadow;
mod crm_simulate;
mod crm_standby;
mod crm_ticket;
mod crm_verify;
mod crmadmin;
mod daemons;
mod diff;
mod elsewhere;
mod exit;
mod fencings;
#[cfg(test)]
mod forms;
mod getopt;
mod iso8601;
mod keygen;
mod mainstay;
mod moves;
mod options;
mod outcome;
mod pacemakerd;
mod pcs;
mod plan;
mod private;
mod removal;
mod report;
mod service;
mod stonith_admin;
mod table;
mod tarball;
mod tool;

pub use exit::Exit;
pub use table::{COMMANDS, Command, DAEMONS};

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// The entry point: `args` with the program's name first. The personality is the name the program
/// is called by, else its first word.
pub fn main_from_args(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = args
        .into_iter()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let called = words.first().map(|word| Path::new(word).file_name());
    let called = called.flatten().map(|n| n.to_string_lossy().into_owned());
    let called = called.unwrap_or_default();
    let named = |name: &str| {
        let mut all = COMMANDS.iter().chain(DAEMONS);
        all.find(|c| c.name == name && c.name != "mainstay")
    };
    if let Some(command) = named(&called) {
        return (command.run)(words.get(1..).unwrap_or_default());
    }
    match words.get(1).and_then(|word| named(word)) {
        Some(command) => (command.run)(words.get(2..).unwrap_or_default()),
        None => mainstay::main(words.get(1..).unwrap_or_default()),
    }
}
