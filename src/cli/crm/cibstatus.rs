//! `crm cibstatus`: a copy of the cluster's status, in which things happen that did not happen, to see
//! what would be done about them. The cluster is never touched.

use super::Context;
use super::usage::misused;
use crate::cli::backend::{self, shadow};
use crate::cli::crm_simulate;
use crate::cli::exit::{Exit, Failure};
use crate::cli::pcs::is_it;
use crate::view;
use cib::config::Config;
use cib::{Cib, Element};
use scheduler::Options;

/// Verbs of the level.
pub(super) const VERBS: [&str; 10] = [
    "load", "save", "show", "origin", "node", "op", "quorum", "ticket", "run", "simulate",
];

/// A status under edit.
#[derive(Clone, Debug)]
pub(super) struct Imagined {
    /// Where it was loaded from.
    origin: String,
    /// The CIB that came with it, with what was made to happen.
    now: Element,
    /// What was made to happen.
    changes: Vec<String>,
}

impl Imagined {
    /// Its status, where it is not the cluster's own.
    pub(super) fn status(&self) -> Option<&Element> {
        let other = self.origin != LIVE || !self.changes.is_empty();
        self.now.first("status").filter(|_| other)
    }
}

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match (verb, words.as_slice()) {
        ("load", [from]) => {
            context.imagined = Some(load(context, from)?);
            Ok(())
        }
        ("save", []) => save(context, None),
        ("save", [to]) => save(context, Some(to)),
        ("show", []) => show(context),
        ("show", ["changed"]) => {
            let changes = imagined(context)?.changes.clone();
            changes.iter().for_each(|line| context.console.line(line));
            Ok(())
        }
        ("origin", []) => {
            let imagined = imagined(context)?;
            let mark = if imagined.changes.is_empty() {
                ""
            } else {
                " (modified)"
            };
            let line = format!("{}{mark}", imagined.origin);
            context.console.line(&line);
            Ok(())
        }
        ("node", [node, state]) => set_node(context, node, state),
        ("quorum", [value]) => {
            let Ok(on) = cib::value::parse_bool(value) else {
                return Err(Failure::usage(format!(
                    "quorum: `{value}` is neither true nor false"
                )));
            };
            let said = format!("quorum {on}");
            inject(context, &["-q", if on { "1" } else { "0" }], said)
        }
        ("ticket", [ticket, change]) => set_ticket(context, ticket, change),
        ("op", [operation, resource, result, rest @ ..]) if rest.len() <= 2 => {
            let wanted = Wanted::read(context, operation, resource, result, rest)?;
            set_result(context, &wanted)
        }
        ("run", words) => plan(context, "-R", words),
        ("simulate", words) => plan(context, "-S", words),
        _ => Err(misused()),
    }
}

/// The status under edit; the cluster's where nothing was loaded.
fn imagined<'c>(context: &'c mut Context<'_>) -> Result<&'c mut Imagined, Failure> {
    let fresh = match &context.imagined {
        // Nothing was changed: it may be old.
        Some(imagined) => imagined.origin == LIVE && imagined.changes.is_empty(),
        None => true,
    };
    if fresh {
        context.imagined = Some(load(context, LIVE)?);
    }
    context.imagined.as_mut().ok_or_else(misused)
}

/// `load live | shadow:NAME | FILE`.
fn load(context: &mut Context<'_>, from: &str) -> Result<Imagined, Failure> {
    let base = match from.strip_prefix("shadow:") {
        _ if from == LIVE => backend::cib(&mut context.backend, true)?.into_root(),
        Some(name) => crm_simulate::read_source(Some(&shadow::existing(name)?.to_string_lossy()))?,
        None => crm_simulate::read_source(Some(from)).map_err(|failure| Failure {
            cure: Some("`live`, `shadow:NAME` and files with a CIB can be loaded".to_owned()),
            ..failure
        })?,
    };
    let states = base.first("status").map_or(0, |s| s.children.len());
    if states == 0 && from != LIVE {
        return Err(Failure::new(
            Exit::DataErr,
            format!("{from}: it holds no status; a pe-input file and `cibadmin -Q` have one"),
        ));
    }
    Ok(Imagined {
        origin: from.to_owned(),
        now: base,
        changes: Vec::new(),
    })
}

fn show(context: &mut Context<'_>) -> Result<(), Failure> {
    let imagined = imagined(context)?;
    let status = imagined.now.first("status").map(cib::xml::format);
    context.console.print(&status.unwrap_or_default());
    Ok(())
}

/// `save [shadow:NAME | FILE]`: into a CIB that is there its status alone, else all.
fn save(context: &mut Context<'_>, to: Option<&str>) -> Result<(), Failure> {
    let imagined = imagined(context)?.clone();
    let to = to.unwrap_or(&imagined.origin);
    if to == LIVE {
        return Err(Failure::new(
            Exit::Unsafe,
            "the cluster's status is what its nodes report: save it to a file or to shadow:NAME",
        ));
    }
    let path = match to.strip_prefix("shadow:") {
        Some(name) => shadow::path(name)?,
        None => to.into(),
    };
    let mut root = imagined.now.clone();
    if path.exists() {
        let status = imagined.now.first("status").cloned();
        root = crm_simulate::read_source(Some(&path.to_string_lossy()))?;
        root.children.retain(|c| c.name != "status");
        root.children.extend(status);
    }
    std::fs::write(&path, cib::xml::format(&root))
        .map_err(|e| Failure::new(Exit::CantCreat, format!("{}: {e}", path.display())))
}

fn set_node(context: &mut Context<'_>, node: &str, state: &str) -> Result<(), Failure> {
    let option = match state {
        "online" => "-u",
        "offline" => "-d",
        "unclean" => "-f",
        other => {
            return Err(Failure::usage(format!(
                "node: `{other}` is none of online, offline, unclean{}",
                is_it(other, ["online", "offline", "unclean"])
            )));
        }
    };
    known_node(&imagined(context)?.now, node)?;
    inject(context, &[option, node], format!("node {node} {state}"))
}

fn set_ticket(context: &mut Context<'_>, ticket: &str, change: &str) -> Result<(), Failure> {
    let option = match change {
        "grant" => "-g",
        "revoke" => "-r",
        "standby" => "-b",
        "activate" => "-e",
        other => {
            let known = ["grant", "revoke", "standby", "activate"];
            return Err(Failure::usage(format!(
                "ticket: `{other}` is none of {}{}",
                known.join(", "),
                is_it(other, known)
            )));
        }
    };
    inject(context, &[option, ticket], format!("{ticket} {change}"))
}

/// Makes something happen, and remembers it.
fn inject(context: &mut Context<'_>, words: &[&str], said: String) -> Result<(), Failure> {
    let mut now = imagined(context)?.now.clone();
    let words = [words, &["-Q"]].concat();
    crm_simulate::on(&mut now, &words, context.console)?;
    let imagined = imagined(context)?;
    imagined.now = now;
    imagined.changes.push(said);
    Ok(())
}

/// What shall have become of an operation.
struct Wanted {
    operation: String,
    interval_ms: u64,
    resource: String,
    rc: i32,
    /// `op-status`, when it is not "done".
    status: i32,
    node: String,
    said: String,
}

impl Wanted {
    /// `OPERATION[:SECONDS] RESOURCE RESULT [STATUS] [NODE]`.
    fn read(
        context: &mut Context<'_>,
        operation: &str,
        resource: &str,
        result: &str,
        rest: &[&str],
    ) -> Result<Self, Failure> {
        let number = |table: &[(&str, i32)], word: &str| {
            let found = table.iter().find(|(name, _)| *name == word);
            found.map(|(_, number)| *number)
        };
        let status = rest.first().and_then(|word| number(&STATUSES, word));
        let node = match (status, rest) {
            (_, []) | (Some(_), [_]) => None,
            (None, [node]) | (Some(_), [_, node]) => Some(*node),
            (_, [status, ..]) => {
                let names = STATUSES.iter().map(|(name, _)| *name);
                return Err(Failure::usage(format!(
                    "op: `{status}` is no status{}",
                    is_it(status, names)
                )));
            }
        };
        let rc = number(&RESULTS, result).or_else(|| result.parse().ok());
        let rc = rc.filter(|rc| (0..=RC_MAX).contains(rc)).ok_or_else(|| {
            Failure::usage(format!(
                "op: Invalid exit code '{result}'{}",
                is_it(result, RESULTS.iter().map(|(name, _)| *name))
            ))
        })?;
        let now = imagined(context)?.now.clone();
        let cib = Cib::from_element(now)?;
        let config = Config::new(&cib);
        let Some(found) = config.resource(resource) else {
            return Err(Failure::no_such(format!("Resource not found: {resource}")));
        };
        let (operation, interval_ms) = timed(&config, &found, operation)?;
        let node = match node {
            Some(node) => {
                known_node(cib.root(), node)?;
                node.to_owned()
            }
            None => only_place(&cib, resource)?,
        };
        let words = [&[resource, result], rest].concat().join(" ");
        Ok(Self {
            said: format!("{operation}:{interval_ms} {words}"),
            operation,
            interval_ms,
            resource: resource.to_owned(),
            rc,
            status: status.unwrap_or(0),
            node,
        })
    }
}

fn set_result(context: &mut Context<'_>, wanted: &Wanted) -> Result<(), Failure> {
    let Wanted {
        operation,
        interval_ms,
        resource,
        rc,
        node,
        ..
    } = wanted;
    let spec = format!("{resource}_{operation}_{interval_ms}@{node}={rc}");
    inject(context, &["-i", &spec], wanted.said.clone())?;
    if wanted.status == 0 {
        return Ok(());
    }
    let imagined = imagined(context)?;
    let mine = |op: &Element| {
        op.name == "lrm_rsc_op"
            && op.attr("operation") == Some(operation)
            && op.attr("interval") == Some(&interval_ms.to_string())
    };
    let states = imagined.now.first_mut("status").into_iter();
    let states = states.flat_map(|s| &mut s.children);
    let state = states.filter(|s| s.attr("uname") == Some(node));
    for history in state.filter_map(|s| s.first_mut("lrm")?.first_mut("lrm_resources")) {
        let mut all = history.children.iter_mut();
        let Some(own) = all.find(|r| r.id() == Some(resource)) else {
            continue;
        };
        if let Some(op) = own.children.iter_mut().rev().find(|op| mine(op)) {
            op.set("op-status", &wanted.status.to_string());
        }
    }
    Ok(())
}

/// `monitor:10` is one every ten seconds, `monitor` the first that is configured, `probe` one.
fn timed(
    config: &Config<'_>,
    resource: &cib::config::Resource<'_>,
    operation: &str,
) -> Result<(String, u64), Failure> {
    let (name, interval) = match operation.split_once(':') {
        Some((name, interval)) => (name, Some(interval)),
        None => (operation, None),
    };
    if !OPERATIONS.contains(&name) {
        return Err(Failure::usage(format!(
            "op: there is no operation {name}{}",
            is_it(name, OPERATIONS)
        )));
    }
    if name == "probe" {
        return Ok(("monitor".to_owned(), 0));
    }
    if let Some(text) = interval {
        return Ok((name.to_owned(), cib::value::parse_interval_ms(text)?));
    }
    if name != "monitor" {
        return Ok((name.to_owned(), 0));
    }
    let ops = config.ops(resource);
    let found = ops
        .iter()
        .find(|op| op.name == "monitor" && op.interval_ms > 0);
    let op = found.ok_or_else(|| {
        Failure::usage(format!(
            "op: {} has no recurring monitor: say its interval, monitor:10",
            resource.id
        ))
    })?;
    Ok((name.to_owned(), op.interval_ms))
}

/// Where it runs, in this status.
fn only_place(cib: &Cib, resource: &str) -> Result<String, Failure> {
    let options = Options {
        now: backend::now_s(),
    };
    let plan = scheduler::schedule(cib.root(), &options);
    let found = view::find_resource(&plan.resources, resource);
    let nodes = found.map(|r| r.nodes.clone()).unwrap_or_default();
    match nodes.as_slice() {
        [node] => Ok(node.clone()),
        _ => Err(Failure::usage(format!(
            "op: {resource} runs on {}: say on which node it shall have happened",
            match nodes.as_slice() {
                [] => "no node".to_owned(),
                several => several.join(" and "),
            }
        ))),
    }
}

fn known_node(cib: &Element, node: &str) -> Result<(), Failure> {
    let nodes = cib.first("configuration").and_then(|c| c.first("nodes"));
    let mut nodes = nodes.into_iter().flat_map(|n| n.all("node"));
    match nodes.any(|n| n.attr("uname") == Some(node)) {
        true => Ok(()),
        false => Err(Failure::no_such(format!(
            "Node \"{node}\" is not a cluster node"
        ))),
    }
}

/// `run` and `simulate`: what would be done, and what would come of it.
fn plan(context: &mut Context<'_>, how: &str, words: &[&str]) -> Result<(), Failure> {
    let mut options = vec![how];
    for word in words {
        match *word {
            "scores" => options.push("-s"),
            "utilization" => options.push("-U"),
            // What graphs and loudness were for: there is one text.
            "nograph" | "actions" => {}
            v if !v.is_empty() && v.chars().all(|c| c == 'v') => {}
            _ => return Err(misused()),
        }
    }
    let mut cib = imagined(context)?.now.clone();
    crm_simulate::on(&mut cib, &options, context.console)
}

/// What is under edit is the cluster's own.
const LIVE: &str = "live";
/// Operations of agents.
pub(super) const OPERATIONS: [&str; 9] = [
    "probe",
    "monitor",
    "start",
    "stop",
    "promote",
    "demote",
    "notify",
    "migrate_to",
    "migrate_from",
];
/// Exit codes of agents by name (OCF Resource Agent API 1.1, "Return codes").
pub(super) const RESULTS: [(&str, i32); 10] = [
    ("success", 0),
    ("generic", 1),
    ("args", 2),
    ("unimplemented", 3),
    ("perm", 4),
    ("installed", 5),
    ("configured", 6),
    ("not_running", 7),
    ("master", 8),
    ("failed_master", 9),
];
/// `op-status` by name (Pacemaker include/crm/common/results.h, `pcmk_exec_status`).
const STATUSES: [(&str, i32); 6] = [
    ("done", 0),
    ("cancelled", 1),
    ("timeout", 2),
    ("notsupported", 3),
    ("error", 4),
    ("pending", -1),
];
/// The highest exit code of a process.
const RC_MAX: i32 = 255;
