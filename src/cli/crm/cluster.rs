//! `crm cluster`: this machine's service, how the cluster is, nodes that come and go.

use super::session::CLIENT;
use super::shell::Level;
use super::usage::{alone, misused};
use super::{Context, usage};
use crate::cli::backend::{self, Backend as _};
use crate::cli::elsewhere::{self, Order};
use crate::cli::exit::{Exit, Failure};
use crate::cli::pcs::is_it;
use crate::cli::{mainstay, removal, service};
use crate::paths::Paths;
use crate::view::{self, Status};
use std::fmt::Write as _;
use std::net::IpAddr;
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
            let (all, nodes): (Vec<String>, Vec<String>) =
                words.iter().cloned().partition(|w| w == "--all");
            let wanted = Order {
                program: "crm",
                verb,
                nodes: &nodes,
                all: !all.is_empty(),
                wait_ms: None,
            };
            elsewhere::service(&mut context.backend, &Paths::from_env(), &wanted)
        }
        "add" => add(context, words),
        "remove" => remove(context, words),
        "init" => init(context, words),
        "join" => join(context, words),
        other => Err(not_offered(other)),
    }
}

/// What crmsh does here over ssh to the other nodes, and what to do in its place.
fn not_offered(verb: &str) -> Failure {
    let cure = match verb {
        "rename" => {
            "`crm corosync set totem.cluster_name NAME` on every node while the cluster is down"
        }
        _ => "nodes are not reached from here: do it on each of them",
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
/// are no questions, and `-u` and `-t`, as there is one transport.
fn options(words: &[String], known: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
    let mut values = vec![String::new(); known.len()];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, glued) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        if ["-y", "--yes", "-q", "--quiet", "-u", "--unicast"].contains(&flag) {
            continue;
        }
        let at = known.iter().position(|(s, l)| *s == flag || *l == flag);
        let Some(at) = at else {
            let near = is_it(flag, known.iter().map(|(_, long)| *long));
            return Err(Failure::usage(format!("there is no option {flag}{near}")));
        };
        match glued.or_else(|| words.next().cloned()) {
            Some(value) if values[at].is_empty() => values[at] = value,
            Some(_) => return Err(Failure::usage(format!("{flag} is given twice"))),
            None => return Err(Failure::usage(format!("{flag} needs a value"))),
        }
    }
    Ok(values)
}

fn addresses(text: &str) -> Result<Vec<IpAddr>, Failure> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    // crmsh takes the name of an interface as well.
    let parsed = words.map(|word| word.parse().or_else(|_| mainstay::address_on(word)));
    parsed.collect()
}

/// `init [-n NAME] [-i ADDRESS]`: a cluster of this node, as `mainstay init` makes it, started.
fn init(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let known = [
        ("-n", "--name"),
        ("-i", "--interface"),
        ("-t", "--transport"),
    ];
    let values = options(words, &known)?;
    let name = match values[0].as_str() {
        // As crmsh calls it.
        "" => "hacluster",
        name => name,
    };
    mainstay::init(name, None, &addresses(&values[1])?, &[], context.console)?;
    start(context)?;
    context
        .console
        .line("`crm cluster add NODE` says what is to be run on the next node.");
    Ok(())
}

/// Starts what was configured just now, and waits until it is there.
fn start(context: &mut Context<'_>) -> Result<(), Failure> {
    match service::tell(&Paths::from_env(), "start") {
        Err(failure) if failure.exit == Exit::Unavailable => {
            context.console.line("Start mainstayd now.");
        }
        told => told?,
    }
    wait_for_startup(context, &[])
}

/// `join -c HOST --token TOKEN`: into the cluster that HOST belongs to, as `mainstay join` does it,
/// started.
fn join(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let known = [
        ("-c", "--cluster-node"),
        ("-t", "--token"),
        ("-i", "--interface"),
    ];
    let values = options(words, &known)?;
    let (host, token) = (&values[0], &values[1]);
    let here = backend::host_name();
    if host.is_empty() || token.is_empty() {
        let there = match host.as_str() {
            "" => "a node of the cluster",
            host => host,
        };
        return Err(Failure {
            cure: Some(format!(
                "run `crm cluster add {here}` on {there}: it prints the line to run here, with a token; no ssh keys and no passwords are needed"
            )),
            ..Failure::usage(usage::line(Level::Cluster, "join"))
        });
    }
    mainstay::join(host, token, None, &addresses(&values[2])?, context.console)?;
    start(context)
}

/// `add NODE`: a token, and what to run on the new node.
fn add(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&String> = words
        .iter()
        .filter(|w| !["-y", "--yes"].contains(&w.as_str()))
        .collect();
    let [node] = words.as_slice() else {
        return Err(misused());
    };
    let text = elsewhere::invite(&mut context.backend, "crm", node, &[])?;
    context.console.print(&text);
    Ok(())
}

/// The daemon, its votes and its links.
fn status(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    alone(words)?;
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
    alone(words)?;
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
    let (node, seconds) = match words {
        [] => (None, STARTUP_S),
        [one] => match one.parse() {
            Ok(seconds) => (None, seconds),
            Err(_) => (Some(one.as_str()), STARTUP_S),
        },
        [node, seconds] => (Some(node.as_str()), seconds.parse().map_err(|_| misused())?),
        _ => return Err(misused()),
    };
    let until = Instant::now() + Duration::from_secs(seconds.min(STARTUP_S_MAX));
    loop {
        let why = match backend::status(&mut context.backend) {
            Err(failure) => failure.text,
            // It has started, and knows who belongs to it; nothing starts in a file.
            Ok(status)
                if (status.dc.is_some() || !context.backend.live())
                    && node.is_some_and(|n| unknown(&status, n)) =>
            {
                let name = node.unwrap_or_default();
                return Err(Failure::no_such(format!(
                    "{name} is not a node of this cluster"
                )));
            }
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

fn unknown(status: &Status, node: &str) -> bool {
    status.nodes.iter().all(|n| n.name != node) && status.peers.iter().all(|p| p.name != node)
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
    let mut force = context.options.force;
    let mut nodes = Vec::new();
    for word in words {
        match word.as_str() {
            // crmsh names the node behind an option; there are no questions here to say yes to.
            "-c" | "--cluster-node" | "-y" | "--yes" => {}
            "-F" | "--force" => force = true,
            node => nodes.push(node),
        }
    }
    let [node] = nodes.as_slice() else {
        return Err(misused());
    };
    let question = format!("Removing node {node} from the configuration: are you sure?");
    if context.console.interactive && !context.confirm(&question)? {
        return Ok(());
    }
    let left = removal::remove(&mut context.backend, node, force, CLIENT)?;
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
