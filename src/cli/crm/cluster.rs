//! `crm cluster`: this machine's service, how the cluster is, nodes that come and go.

use super::Context;
use super::session::CLIENT;
use crate::cli::backend;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{mainstay, removal, service};
use crate::paths::Paths;
use crate::view::{self, Status};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Verbs of the level.
pub(super) const VERBS: [&str; 16] = [
    "status",
    "health",
    "wait_for_startup",
    "start",
    "stop",
    "restart",
    "enable",
    "disable",
    "remove",
    "init",
    "join",
    "add",
    "rename",
    "run",
    "copy",
    "diff",
];

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match verb {
        "status" => status(context, words),
        "health" => health(context, words),
        "wait_for_startup" => wait_for_startup(context, words),
        "start" | "stop" | "restart" | "enable" | "disable" => {
            let paths = Paths::from_env();
            service::only_here(words, &backend::host_name(), false, "crm", verb)?;
            service::tell(&paths, verb)
        }
        "remove" => remove(context, words),
        "init" => init(context, words),
        "join" => join(context, words),
        other => Err(not_offered(other)),
    }
}

/// What crmsh does here over ssh to the other nodes, and what to do in its place.
fn not_offered(verb: &str) -> Failure {
    let cure = match verb {
        "add" => "run `crm cluster join` on the new node",
        "rename" => {
            "`crm corosync set totem.cluster_name NAME` on every node while the cluster is down"
        }
        _ => "nodes are not reached over ssh from here: do it on each of them",
    };
    Failure {
        cure: Some(cure.to_owned()),
        ..Failure::new(
            Exit::Unimplemented,
            format!("cluster {verb} is not offered"),
        )
    }
}

/// Options of `init` and `join` that mean something here; `-y` and the like are taken, as there
/// are no questions.
fn options(words: &[String], known: &[(&str, &str)], usage: &str) -> Result<Vec<String>, Failure> {
    let mut values = vec![String::new(); known.len()];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, glued) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        if ["-y", "--yes", "-q", "--quiet"].contains(&flag) {
            continue;
        }
        let at = known.iter().position(|(s, l)| *s == flag || *l == flag);
        let value = glued.or_else(|| words.next().cloned());
        match (at, value) {
            (Some(at), Some(value)) => values[at] = value,
            _ => return Err(Failure::usage(format!("`{word}`: {usage}"))),
        }
    }
    Ok(values)
}

/// `init [-n NAME]`: a cluster of this node, as `mainstay init` makes it.
fn init(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let usage = "usage: crm cluster init [-n NAME] [-y]; `mainstay init` has more options";
    let values = options(words, &[("-n", "--name")], usage)?;
    let name = match values[0].as_str() {
        // As crmsh calls it.
        "" => "hacluster",
        name => name,
    };
    mainstay::init(name, None, &[], context.console)
}

/// `join -c HOST --token TOKEN`: into the cluster that HOST belongs to, as `mainstay join` does it.
fn join(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let usage = "usage: crm cluster join -c HOST --token TOKEN";
    let known = [("-c", "--cluster-node"), ("-t", "--token")];
    let values = options(words, &known, usage)?;
    let (host, token) = (&values[0], &values[1]);
    if host.is_empty() || token.is_empty() {
        return Err(Failure {
            cure: Some(
                "`mainstay token create` on a node of the cluster gives a token: no ssh keys and no passwords are needed".to_owned(),
            ),
            ..Failure::usage(usage)
        });
    }
    mainstay::join(host, token, None, &[], context.console)
}

fn nothing_behind(verb: &str, words: &[String]) -> Result<(), Failure> {
    match words {
        [] => Ok(()),
        _ => Err(Failure::usage(format!("usage: crm cluster {verb}"))),
    }
}

/// The daemon, its votes and its links.
fn status(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    nothing_behind("status", words)?;
    let asked = backend::status(&mut context.backend);
    // The names that the reader knows; one process does it all here.
    let state = match &asked {
        Ok(_) => "active",
        Err(_) => "inactive",
    };
    let mut text = String::from("Services:\n");
    for name in ["corosync", "pacemaker"] {
        let _ = writeln!(text, "{name:<16} {state}");
    }
    if let Ok(status) = &asked {
        text.push('\n');
        text.push_str(&links(status));
    }
    context.console.print(&text);
    asked.map(|_| ())
}

/// Votes and links, as the local node sees them.
pub(super) fn links(status: &Status) -> String {
    let (expected, present, needed) = status.votes;
    let own = status.peers.iter().find(|p| p.state == "self");
    let mut text = String::new();
    if let Some(own) = own {
        let _ = writeln!(text, "Local node ID {}", own.node_id);
    }
    let _ = writeln!(
        text,
        "Quorate: {} ({present} of {expected} votes present, {needed} needed)",
        if status.quorate { "Yes" } else { "No" }
    );
    let count = status
        .peers
        .iter()
        .map(|p| p.links.len())
        .max()
        .unwrap_or(0);
    for number in 0..count {
        let _ = writeln!(text, "LINK ID {number}");
        for peer in &status.peers {
            let Some((address, up, round_trip_us)) = peer.links.get(number) else {
                continue;
            };
            let state = match (peer.state.as_str(), up) {
                ("self", _) => "localhost".to_owned(),
                (_, true) => format!("connected ({:.3} ms)", f64::from(*round_trip_us) / 1000.0),
                (_, false) => "disconnected".to_owned(),
            };
            let _ = writeln!(
                text,
                "\tnodeid: {:>5} {} {address}: {state}",
                peer.node_id, peer.name
            );
        }
    }
    for peer in status.peers.iter().filter(|p| !p.why.is_empty()) {
        let _ = writeln!(text, "{}: {}", peer.name, peer.why);
    }
    text
}

/// This node's set-up, and what does not stand as it should in the whole cluster.
fn health(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    nothing_behind("health", words)?;
    let checks = mainstay::doctor(context.console);
    let mut wrong = Vec::new();
    if let Ok(status) = backend::status(&mut context.backend) {
        wrong = complaints(&status);
    }
    for text in &wrong {
        context.console.line(&format!("ERROR   cluster: {text}"));
    }
    match (checks, wrong.is_empty()) {
        (Exit::Ok, true) => {
            context.console.info("the cluster is in good health");
            Ok(())
        }
        _ => Err(Failure::new(
            Exit::Error,
            "the cluster is not in good health: see above",
        )),
    }
}

fn complaints(status: &Status) -> Vec<String> {
    let mut found = Vec::new();
    if !status.quorate {
        found.push(format!("no quorum: {}", status.quorum_why));
    }
    if status.dc.is_none() {
        found.push("no node decides (no DC)".to_owned());
    }
    for node in &status.nodes {
        let name = &node.name;
        if node.unclean {
            found.push(format!("{name} is unclean: it has to be fenced"));
        } else if !node.online {
            found.push(format!("{name} is offline"));
        }
    }
    for resource in &status.resources {
        view::leaves(resource, &mut |leaf| {
            if let Some(failure) = leaf.failures.last() {
                let id = &leaf.id;
                found.push(format!(
                    "{id} failed on {}: `crm resource cleanup {id}` forgets it once the cause is gone",
                    failure.node
                ));
            }
        });
    }
    found
}

/// `wait_for_startup [NODE] [SECONDS]`: until there is a DC and the node is online.
fn wait_for_startup(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let usage = || Failure::usage("usage: crm cluster wait_for_startup [NODE] [SECONDS]");
    let (node, seconds) = match words {
        [] => (None, STARTUP_S),
        [one] => match one.parse() {
            Ok(seconds) => (None, seconds),
            Err(_) => (Some(one.as_str()), STARTUP_S),
        },
        [node, seconds] => (Some(node.as_str()), seconds.parse().map_err(|_| usage())?),
        _ => return Err(usage()),
    };
    let until = Instant::now() + Duration::from_secs(seconds.min(STARTUP_S_MAX));
    loop {
        let why = match backend::status(&mut context.backend) {
            Err(failure) => failure.text,
            Ok(status) => match missing(&status, node) {
                None => return Ok(()),
                Some(why) => why,
            },
        };
        if Instant::now() >= until {
            return Err(Failure::new(
                Exit::Timeout,
                format!("not started within {seconds} s: {why}"),
            ));
        }
        std::thread::sleep(STARTUP_PAUSE);
    }
}

/// What a started cluster still lacks.
fn missing(status: &Status, node: Option<&str>) -> Option<String> {
    let node = node.unwrap_or(&status.local_node);
    let shown = status.nodes.iter().find(|n| n.name == node);
    match (shown, &status.dc) {
        (None, _) => Some(format!("{node} is not a node of this cluster")),
        (_, None) => Some("there is no DC yet".to_owned()),
        (Some(shown), _) if !shown.online => Some(format!("{node} is not online yet")),
        _ => None,
    }
}

/// `remove NODE`: out of the configuration; it must have left before.
fn remove(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [node] = words else {
        return Err(Failure::usage("usage: crm cluster remove NODE"));
    };
    let question = format!("Removing node {node} from the configuration: are you sure?");
    if context.console.interactive && !context.confirm(&question)? {
        return Ok(());
    }
    let left = removal::remove(&mut context.backend, node, context.options.force, CLIENT)?;
    context.console.info(&format!("node {node} removed"));
    for text in left {
        context.console.warning(&text);
    }
    Ok(())
}

/// How long a start may take when nothing is said, in seconds.
const STARTUP_S: u64 = 60;
/// Longest wait for a start, in seconds: an hour.
const STARTUP_S_MAX: u64 = 3600;
/// Pause between two looks at a starting cluster.
const STARTUP_PAUSE: Duration = Duration::from_millis(200);
