//! `crm history`: what happened, from what the daemon keeps: versions of the configuration, what
//! decisions were made from (`pe-input-N`), results of operations, notices, and the log.

mod decisions;
mod events;

use super::usage::{alone, misused};
use super::{Context, configuration_text};
use crate::cli::backend::{self, Backend, ask};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{diff, mainstay};
use crate::conf;
use crate::inputs::{self, Kept};
use crate::ipc::{Request, Response};
use crate::paths::Paths;
use crate::view::asctime;
use cib::config::{Config, Kind};
use events::Event;
use std::io::{Read, Seek, SeekFrom};

pub(super) use decisions::names as decision_names;

/// Verbs of the level.
pub(super) const VERBS: [&str; 14] = [
    "info",
    "events",
    "log",
    "transition",
    "transitions",
    "peinputs",
    "diff",
    "show",
    "resource",
    "node",
    "limit",
    "timeframe",
    "latest",
    "refresh",
];

/// The time that is looked at: seconds since the epoch, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Period {
    from: Option<i64>,
    to: Option<i64>,
}

impl Period {
    fn has(self, at: i64) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at <= to)
    }
}

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match verb {
        "info" => info(context, words),
        "events" => {
            alone(words)?;
            let events = all_events(context)?;
            print(context, events, |_| true)
        }
        "resource" => {
            let wanted = some(words)?;
            let events = all_events(context)?;
            let cib = backend::cib(&mut context.backend, false)?;
            let config = Config::new(&cib);
            for name in wanted {
                // What was deleted since has its history all the same.
                let known = config.resource(name).is_some();
                heard_of(name, known || events.iter().any(|e| e.is_about(name)))?;
            }
            print(context, events, |e| wanted.iter().any(|w| e.is_about(w)))
        }
        "node" => {
            let wanted = some(words)?;
            let events = all_events(context)?;
            let cib = backend::cib(&mut context.backend, false)?;
            for name in wanted {
                let known = Config::new(&cib).node(name).is_some();
                heard_of(name, known || events.iter().any(|e| e.node == *name))?;
            }
            print(context, events, |e| wanted.contains(&e.node))
        }
        "log" => log(context, words),
        "transition" => decisions::transition(context, words),
        "transitions" | "peinputs" => {
            alone(words)?;
            decisions::list(context, verb == "peinputs")
        }
        "latest" => {
            alone(words)?;
            decisions::transition(context, &["-1".to_owned()])
        }
        "diff" => difference(context, words),
        "show" => {
            let [name] = some(words)? else {
                return Err(misused());
            };
            let cib = decisions::cib(context, name)?;
            context.console.print(&configuration_text(&cib)?);
            Ok(())
        }
        "limit" | "timeframe" => limit(context, words),
        // What is shown is read when it is asked for.
        _ => alone(words),
    }
}

fn some(words: &[String]) -> Result<&[String], Failure> {
    match words {
        [] => Err(misused()),
        words => Ok(words),
    }
}

fn heard_of(name: &str, heard: bool) -> Result<(), Failure> {
    match heard {
        true => Ok(()),
        false => Err(Failure::no_such(format!(
            "nothing was ever heard of {name}"
        ))),
    }
}

/// Decisions that are kept on this node, the newest first.
fn kept() -> Result<Vec<Kept>, Failure> {
    let folder = Paths::from_env().inputs_dir();
    inputs::list(&folder)
        .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", folder.display())))
}

/// Where everything comes from, and how far back it goes.
fn info(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    alone(words)?;
    let status = backend::status(&mut context.backend)?;
    let cib = backend::cib(&mut context.backend, false)?;
    let config = Config::new(&cib);
    let events = events::collect(&mut context.backend)?;
    let mut lines = vec![
        format!("Source: live, {}", status.local_node),
        format!("Created on: {}", asctime(status.now)),
    ];
    if let (Some(first), Some(last)) = (events.first(), events.last()) {
        let (first, last) = (asctime(first.at), asctime(last.at));
        lines.push(format!("Period: {first} - {last}"));
    }
    let nodes: Vec<&str> = config.nodes().iter().map(|n| n.uname).collect();
    lines.push(format!("Nodes: {}", nodes.join(" ")));
    for (heading, kinds) in [
        ("Groups", &[Kind::Group][..]),
        ("Clones", &[Kind::Clone][..]),
        ("Resources", &[Kind::Primitive][..]),
    ] {
        let resources = config.resources().into_iter();
        let of_kind = resources.filter(|r| kinds.contains(&r.kind));
        let ids: Vec<&str> = of_kind.map(|r| r.id).collect();
        lines.push(format!("{heading}: {}", ids.join(" ")));
    }
    let kept = kept()?;
    let decisions = match (kept.last(), kept.first()) {
        (Some(oldest), Some(newest)) => format!(
            "{} kept here, {} to {}",
            kept.len(),
            decisions::name(oldest),
            decisions::name(newest)
        ),
        _ => "none kept here; the DC keeps those that it makes".to_owned(),
    };
    lines.push(format!("Transitions: {decisions}"));
    if let Response::Versions(versions) = ask(&mut context.backend, &Request::Versions)?
        && let (Some(first), Some(last)) = (versions.first(), versions.last())
    {
        lines.push(format!(
            "Versions of the configuration: {} to {} (`mainstay history`)",
            first.number, last.number
        ));
    }
    for line in lines {
        context.console.line(&line);
    }
    Ok(())
}

fn all_events(context: &mut Context<'_>) -> Result<Vec<Event>, Failure> {
    let mut events = events::collect(&mut context.backend)?;
    events.extend(kept()?.iter().map(|k| Event {
        at: k.at,
        node: String::new(),
        resource: String::new(),
        text: format!("decided on {}", decisions::name(k)),
    }));
    events.sort();
    Ok(events)
}

/// What [`events::collect`] finds, a line each.
///
/// # Errors
/// As [`ask`].
pub(super) fn events_text(backend: &mut dyn Backend) -> Result<String, Failure> {
    let events = events::collect(backend)?;
    Ok(events.iter().map(|e| format!("{e}\n")).collect())
}

fn print(
    context: &mut Context<'_>,
    events: Vec<Event>,
    wanted: impl Fn(&Event) -> bool,
) -> Result<(), Failure> {
    let period = context.period;
    for event in events {
        if period.has(event.at) && wanted(&event) {
            context.console.line(&event.to_string());
        }
    }
    Ok(())
}

/// `limit [FROM [TO]]`: what lies outside is not shown until `limit` alone.
fn limit(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let point = |text: &String| {
        mainstay::point_in_time(text).ok_or_else(|| {
            Failure::usage(format!(
                "{text}: a time is expected, such as 2026-11-21T03:00 or \"2026-11-21 03:00\""
            ))
        })
    };
    context.period = match words {
        [] => Period::default(),
        [from] => Period {
            from: Some(point(from)?),
            to: None,
        },
        [from, to] => Period {
            from: Some(point(from)?),
            to: Some(point(to)?),
        },
        _ => return Err(misused()),
    };
    Ok(())
}

/// `diff A B`: transitions, `live` for the present.
fn difference(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (old, new) = match words {
        [old] => (old.as_str(), "live"),
        [old, new] => (old.as_str(), new.as_str()),
        _ => {
            return Err(misused());
        }
    };
    let old = decisions::cib(context, old)?;
    let new = decisions::cib(context, new)?;
    let text = diff::unified(&configuration_text(&old)?, &configuration_text(&new)?);
    context.console.print(&text);
    Ok(())
}

/// `log [NODE …]`: this node's log; lines that begin with a time outside of the period are left
/// out where the form of the log allows to tell.
fn log(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let here = backend::local_node(&mut context.backend).unwrap_or_else(|_| backend::host_name());
    if let Some(other) = words.iter().find(|w| **w != here) {
        let cib = backend::cib(&mut context.backend, false);
        heard_of(
            other,
            cib.is_ok_and(|cib| Config::new(&cib).node(other).is_some()),
        )?;
        return Err(Failure {
            cure: Some(format!("run `crm history log` on {other}")),
            ..Failure::new(
                Exit::Unimplemented,
                format!("the log of {other} lies on {other}: it is not fetched from here"),
            )
        });
    }
    let period = context.period;
    let text = log_text()?;
    if period == Period::default() {
        context.console.print(&text);
        return Ok(());
    }
    for line in text.lines() {
        let stamp = line.split(' ').next().unwrap_or_default();
        if mainstay::point_in_time(stamp).is_none_or(|at| period.has(at)) {
            context.console.line(line);
        }
    }
    Ok(())
}

/// The end of the log, where corosync.conf sends it to a file.
///
/// # Errors
/// It goes elsewhere, or the file cannot be read.
pub(super) fn log_text() -> Result<String, Failure> {
    let paths = Paths::from_env();
    let name = paths.corosync_conf();
    let text = std::fs::read_to_string(&name)
        .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", name.display())))?;
    let conf = conf::read(
        &name.display().to_string(),
        &text,
        conf::Strictness::Lenient,
    )
    .map_err(|e| Failure::new(Exit::Config, e.to_string()))?;
    let Some(file) = conf.logging.logfile else {
        return Err(Failure {
            cure: Some(
                "`journalctl -u mainstay` shows it; `logfile` in the section logging of corosync.conf sends it to a file too".to_owned(),
            ),
            ..Failure::new(Exit::NoInput, "the log goes to no file of its own")
        });
    };
    let path = paths.root().join(file.trim_start_matches('/'));
    tail(&path).map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", path.display())))
}

fn tail(path: &std::path::Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(LOG_BYTES_MAX);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match (skipped, text.split_once('\n')) {
        // The first line is the end of one.
        (1.., Some((_, rest))) => rest.to_owned(),
        _ => text,
    })
}

/// Most of a log that is shown, in bytes.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
