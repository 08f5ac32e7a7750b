//! `mainstay doctor`: what can be seen to be wrong with this node's set-up, each with its cure.

use crate::cli::backend::{Daemon, ask};
use crate::cli::console::Console;
use crate::cli::exit::Exit;
use crate::conf::{Hosts, Strictness, load_authkey, read};
use crate::ipc::{Check, CheckLevel, Request, Response};
use crate::paths::Paths;
use std::fmt::Write as _;

/// Runs every check; exit code 1 when something is broken.
pub(in crate::cli) fn run(console: &mut Console) -> Exit {
    let (text, exit) = report();
    console.print(&text);
    exit
}

/// What every check says, and the exit code.
pub(in crate::cli) fn report() -> (String, Exit) {
    let paths = Paths::from_env();
    let mut checks = local(&paths);
    checks.extend(daemon(&paths));
    let mut worst = CheckLevel::Ok;
    let mut text = String::new();
    for check in &checks {
        let mark = match check.level {
            CheckLevel::Ok => "ok     ",
            CheckLevel::Warning => "warning",
            CheckLevel::Error => "ERROR  ",
        };
        let _ = writeln!(text, "{mark} {}: {}", check.group, check.text);
        if let Some(cure) = &check.cure {
            let _ = writeln!(text, "        -> {cure}");
        }
        worst = worst.max(check.level);
    }
    match worst {
        CheckLevel::Error => (text, Exit::Error),
        _ => (text, Exit::Ok),
    }
}

/// Checks that need no daemon.
fn local(paths: &Paths) -> Vec<Check> {
    let mut checks = configuration(paths);
    checks.push(match load_authkey(&paths.authkey()) {
        Ok(key) => check(
            "authkey",
            CheckLevel::Ok,
            format!(
                "{} has {} bytes, and only its owner may read it",
                paths.authkey().display(),
                key.len()
            ),
        ),
        Err(error) => check("authkey", CheckLevel::Error, error.to_string()),
    });
    checks
}

fn configuration(paths: &Paths) -> Vec<Check> {
    let file = paths.corosync_conf();
    let name = file.display().to_string();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            return vec![Check {
                cure: Some(
                    "write one (mainstay.conf(5) has examples), or copy it from another node"
                        .to_owned(),
                ),
                ..check(
                    "configuration",
                    CheckLevel::Error,
                    format!("{name}: {error}"),
                )
            }];
        }
    };
    let conf = match read(&name, &text, Strictness::Strict) {
        Ok(conf) => conf,
        Err(error) => return vec![check("configuration", CheckLevel::Error, error.to_string())],
    };
    let mut checks = vec![match conf.nodes.len() {
        0 => check(
            "configuration",
            CheckLevel::Error,
            format!(
                "{name} lists no node: multicast discovery is not offered; add a nodelist, or run `mainstay join`"
            ),
        ),
        n => check(
            "configuration",
            CheckLevel::Ok,
            format!("{name} is understood: {n} nodes"),
        ),
    }];
    for warning in &conf.warnings {
        checks.push(check(
            "configuration",
            CheckLevel::Warning,
            format!("{name}: {warning}"),
        ));
    }
    let hosts = Hosts::load(&paths.root().join("etc/hosts"));
    for node in &conf.nodes {
        for address in node.addrs.iter().flatten() {
            if hosts.address(address).is_none() {
                checks.push(Check {
                    cure: Some(format!("add {address} to /etc/hosts on every node")),
                    ..check(
                        "names",
                        CheckLevel::Error,
                        format!(
                            "node {}: nothing is known of {address}",
                            hosts.node_name(node)
                        ),
                    )
                });
            }
        }
    }
    checks
}

fn daemon(paths: &Paths) -> Vec<Check> {
    let mut daemon = match Daemon::connect(paths) {
        Ok(daemon) => daemon,
        Err(failure) => {
            return vec![Check {
                cure: failure.cure.clone(),
                ..check("daemon", CheckLevel::Error, failure.text)
            }];
        }
    };
    match ask(&mut daemon, &Request::Doctor) {
        Ok(Response::Checks(checks)) => {
            let up = check("daemon", CheckLevel::Ok, "mainstayd answers".to_owned());
            std::iter::once(up).chain(checks).collect()
        }
        Ok(_) => Vec::new(),
        Err(failure) => vec![check("daemon", CheckLevel::Error, failure.text)],
    }
}

fn check(group: &str, level: CheckLevel, text: String) -> Check {
    Check {
        group: group.to_owned(),
        level,
        text,
        cure: None,
    }
}
