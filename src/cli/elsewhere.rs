//! What has to happen on other machines. They are not reached from here, by no ssh and no pcsd: this
//! node does its part, and says exactly what is to be run on which of the others.

use super::backend::{self, Backend, ask_done};
use super::exit::{Exit, Failure};
use super::pcs::is_it;
use super::service;
use crate::conf::{self, Hosts, Strictness};
use crate::ipc::Request;
use crate::paths::Paths;
use cib::config::Config;
use std::time::{Duration, Instant};

/// A machine that shall join: a token made for it, and what to run there. `addresses` are those
/// that the nodes shall reach it at; none = the one that it reaches this node from.
///
/// # Errors
/// A name that can be none; as [`ask_done`].
pub(crate) fn invite(
    backend: &mut dyn Backend,
    program: &str,
    name: &str,
    addresses: &[String],
) -> Result<String, Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || !name.chars().all(plain) || name.starts_with(['-', '.']) {
        return Err(Failure::usage(format!(
            "`{name}` cannot be a node's name: use letters, digits, `-` and `.`"
        )));
    }
    let status = backend::status(backend)?;
    let known = status.nodes.iter().any(|n| n.name == name);
    if known || status.peers.iter().any(|p| p.name == name) {
        return Ok(format!("{name} is a node of this cluster already\n"));
    }
    let own = status.peers.iter().find(|p| p.state == "self");
    let host = own.and_then(|p| p.links.first()).map(|l| l.0.clone());
    let host = host.unwrap_or_else(|| status.local_node.clone());
    let host = with_port(&host, first_port(&Paths::from_env()));
    let valid_s = TOKEN_VALID_S;
    let token = ask_done(backend, &Request::TokenCreate { valid_s })?;
    let addresses: String = addresses
        .iter()
        .map(|a| format!(" --address {a}"))
        .collect();
    Ok(format!(
        "{name} is not reached from here. Run on {name}, as root, within an hour:\n  mainstay join {host} --name {name}{addresses} --token {token}\n  {program} cluster start\n"
    ))
}

/// The host, with the port where nobody would guess it.
fn with_port(host: &str, port: u16) -> String {
    match (port, host.contains(':')) {
        (conf::PORT_DEFAULT, _) => host.to_owned(),
        (port, true) => format!("[{host}]:{port}"),
        (port, false) => format!("{host}:{port}"),
    }
}

/// The port of the first link, as corosync.conf has it.
fn first_port(paths: &Paths) -> u16 {
    let file = paths.corosync_conf();
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let read = conf::read(&file.display().to_string(), &text, Strictness::Lenient);
    read.map_or(conf::PORT_DEFAULT, |c| c.first_port())
}

/// What shall be done to the service, and where.
pub(crate) struct Order<'a> {
    /// `crm` or `pcs`.
    pub program: &'a str,
    /// `start`, `stop`, `restart`, `enable`, `disable`.
    pub verb: &'a str,
    /// The nodes named; none = this one.
    pub nodes: &'a [String],
    /// All nodes.
    pub all: bool,
    /// How long the others may take, in milliseconds.
    pub wait_ms: Option<u64>,
}

/// Does it here; the wanted state must hold on the others, too, or the answer names what to run
/// there. Nothing is stopped here while another node that shall stop as well goes on: what runs
/// would only move there.
///
/// # Errors
/// As [`service::tell`]; the others are not as wanted.
pub(crate) fn service(
    backend: &mut dyn Backend,
    paths: &Paths,
    wanted: &Order<'_>,
) -> Result<(), Failure> {
    let here = backend::local_node(backend).unwrap_or_else(|_| backend::host_name());
    known(backend, paths, wanted.nodes)?;
    let others: Vec<String> = match (wanted.all, wanted.nodes) {
        (true, [_, ..]) => {
            return Err(Failure::usage(
                "you cannot specify both --all and a node list",
            ));
        }
        (true, []) => configured(paths)
            .into_iter()
            .filter(|n| *n != here)
            .collect(),
        (false, nodes) => nodes.iter().filter(|n| **n != here).cloned().collect(),
    };
    let everybody_else = !wanted.nodes.is_empty() && !wanted.nodes.contains(&here);
    let stops = matches!(wanted.verb, "stop" | "restart");
    if stops || everybody_else {
        let there = match stops {
            true => online(backend, &others),
            false => others.clone(),
        };
        not_reached(wanted, &there, "nothing was done here")?;
        if everybody_else {
            return Ok(());
        }
    }
    service::tell(paths, wanted.verb)?;
    match wanted.verb {
        "start" => started(backend, wanted, &others),
        "enable" | "disable" => not_reached(wanted, &others, "it is done here"),
        _ => Ok(()),
    }
}

/// The others must be there as well, at the latest when the time is over.
fn started(
    backend: &mut dyn Backend,
    wanted: &Order<'_>,
    others: &[String],
) -> Result<(), Failure> {
    if others.is_empty() && wanted.wait_ms.is_none() {
        return Ok(());
    }
    let patience = Duration::from_millis(wanted.wait_ms.unwrap_or(STARTED_MS));
    let until = Instant::now() + patience;
    loop {
        let there = online(backend, others);
        let has_dc = backend::status(backend).is_ok_and(|s| s.dc.is_some());
        let missing: Vec<String> = others
            .iter()
            .filter(|n| !there.contains(n))
            .cloned()
            .collect();
        if missing.is_empty() && has_dc {
            return Ok(());
        }
        if Instant::now() >= until {
            not_reached(wanted, &missing, "it is started here")?;
            return Err(Failure::new(
                Exit::Timeout,
                "it is started here, and there is no DC yet: `crm cluster status` shows what is missing",
            ));
        }
        std::thread::sleep(PAUSE);
    }
}

fn not_reached(wanted: &Order<'_>, nodes: &[String], done: &str) -> Result<(), Failure> {
    let Order { program, verb, .. } = wanted;
    match nodes {
        [] => Ok(()),
        nodes => Err(Failure::new(
            Exit::Unimplemented,
            format!(
                "other nodes are not reached from here: run `{program} cluster {verb}` on {} ({done})",
                nodes.join(" and on ")
            ),
        )),
    }
}

/// What is named must be a node, as far as can be known here.
fn known(backend: &mut dyn Backend, paths: &Paths, nodes: &[String]) -> Result<(), Failure> {
    if nodes.is_empty() {
        return Ok(());
    }
    let mut names = configured(paths);
    let cib = backend::cib(backend, false);
    let shown = cib.iter().flat_map(|cib| Config::new(cib).nodes());
    names.extend(shown.map(|n| n.uname.to_owned()));
    let unknown = nodes
        .iter()
        .find(|n| !names.is_empty() && !names.contains(n));
    match unknown {
        None => Ok(()),
        Some(name) => Err(Failure::no_such(format!(
            "{name} is no node of this cluster{}",
            is_it(name, names.iter().map(String::as_str))
        ))),
    }
}

/// Those that are in the cluster now.
fn online(backend: &mut dyn Backend, nodes: &[String]) -> Vec<String> {
    let status = backend::status(backend).unwrap_or_default();
    let there = |name: &String| status.nodes.iter().any(|n| n.name == *name && n.online);
    nodes.iter().filter(|n| there(n)).cloned().collect()
}

/// Names of the nodes in corosync.conf; none where it cannot be read.
fn configured(paths: &Paths) -> Vec<String> {
    let file = paths.corosync_conf();
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let read = conf::read(&file.display().to_string(), &text, Strictness::Lenient);
    let nodes = read.map(|c| c.nodes).unwrap_or_default();
    let hosts = Hosts::load(&paths.root().join("etc/hosts"));
    let named = nodes.iter().map(|n| hosts.node_name(n));
    named.collect()
}

#[test]
fn a_host_is_told_with_a_port_that_nobody_would_guess() {
    for (host, port, told) in [
        ("10.0.0.1", conf::PORT_DEFAULT, "10.0.0.1"),
        ("10.0.0.1", 5406, "10.0.0.1:5406"),
        ("fd00::1", conf::PORT_DEFAULT, "fd00::1"),
        ("fd00::1", 5406, "[fd00::1]:5406"),
    ] {
        assert_eq!(with_port(host, port), told);
    }
}

/// How long a token is good, in seconds.
const TOKEN_VALID_S: u32 = 3600;
/// How long a start may take when nothing is said, in milliseconds.
const STARTED_MS: u64 = 10_000;
/// Pause between two looks at a starting cluster.
const PAUSE: Duration = Duration::from_millis(200);
