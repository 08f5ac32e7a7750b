//! Variables of `/etc/default` and `/etc/sysconfig`: what they were for, and what they do here.

use super::is_name;
use crate::cli::console::Console;
use crate::paths::Paths;
use std::path::Path;

/// Says of every variable what becomes of it.
pub(super) fn tell(name: &str, file: &Path, text: &str, paths: &Paths, console: &mut Console) {
    let mut for_agents = Vec::new();
    for (at, line) in text.lines().map(str::trim).enumerate() {
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((variable, _)) = line.split_once('=').filter(|(v, _)| is_name(v)) else {
            continue;
        };
        let said = match variable {
            "START" => "maps: START: the init script obeys it".to_owned(),
            _ => match gone(variable) {
                Some(why) => format!("obsolete: {variable}: {why}"),
                None => {
                    for_agents.push(variable);
                    format!("maps: {variable}: every agent has it in its environment")
                }
            },
        };
        console.line(&format!("{name}:{}: {said}", at + 1));
    }
    let read = paths.environment_files();
    let place = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if read.contains(&place) {
        console.line(&format!(
            "{name}: it is read where it lies; see mainstayd(8), FILES"
        ));
    } else if !for_agents.is_empty() {
        console.line(&format!(
            "{name}: it is not read there: write {} into {}",
            for_agents.join(", "),
            read[0].display()
        ));
    }
}

/// Why a variable of Pacemaker or Corosync does nothing here.
fn gone(variable: &str) -> Option<&'static str> {
    let begins = |names: &[&str]| names.iter().any(|name| variable.starts_with(name));
    if begins(&[
        "PCMK_log",
        "PCMK_debug",
        "PCMK_stderr",
        "PCMK_trace",
        "PCMK_blackbox",
    ]) {
        return Some("logging{} of corosync.conf says where the daemon logs, and how much");
    }
    if begins(&[
        "PCMK_remote",
        "PCMK_tls",
        "PCMK_dh_",
        "PCMK_authkey_location",
        "PCMK_panic",
    ]) {
        return Some("there is no pacemaker_remote here");
    }
    if begins(&["SBD_"]) {
        return Some("there is no sbd here: a fence device is a resource, see crm(8)");
    }
    if begins(&[
        "PCMK_ipc",
        "PCMK_valgrind",
        "PCMK_callgrind",
        "PCMK_schema",
        "PCMK_cluster_type",
    ]) {
        return Some("one daemon does it all, without libqb and without schemas to install");
    }
    match variable {
        "PCMK_node_start_state" => {
            Some("a node starts as its attribute says: `crm node standby NODE` before it joins")
        }
        "PCMK_fail_fast" => {
            Some("mainstayd starts itself again, and its peers take over if it cannot")
        }
        "VALGRIND_OPTS"
        | "OPTIONS"
        | "COROSYNC_OPTIONS"
        | "COROSYNC_INIT_TIMEOUT"
        | "COROSYNC_MAIN_CONFIG_FILE" => Some("it was for programs that do not run here"),
        _ => None,
    }
}
