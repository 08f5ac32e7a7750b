//! `pcs resource delete`: a resource goes with its members and with what names it, after it was
//! stopped.

use super::super::change::{known, object};
use super::super::level::misused;
use super::super::{Context, change};
use crate::cli::backend::{self, ask_done};
use crate::cli::exit::{Exit, Failure};
use crate::ipc::Request;
use crate::view;
use cib::config::Config;
use cib::{Cib, edit};

/// `delete RESOURCE…`.
pub(in crate::cli::pcs) fn delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let mut ids = Vec::new();
    for word in words {
        known(&cib, word)?;
        for id in with_members(&cib, word) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    let running = running(cx, &ids)?;
    if !running.is_empty() && !cx.flags.force() {
        stop_first(cx, words, &running)?;
    }
    let gone = cx.edit(|cib| {
        let mut gone = Vec::new();
        for id in &ids {
            // The last member's end may have been its container's.
            if Config::new(cib).by_id(id).is_some() {
                gone.extend(edit::delete(cib, id)?);
            }
        }
        Ok(gone)
    })?;
    for item in gone.iter().filter(|g| g.tag.starts_with("rsc_")) {
        cx.note(&format!("Removing Constraint - {}", item.id));
    }
    for item in gone.iter().filter(|g| !g.tag.starts_with("rsc_")) {
        let what = match item.tag.as_str() {
            "primitive" => "Resource",
            "group" => "Group",
            "clone" | "master" => "Clone",
            other => other,
        };
        cx.note(&format!("Deleting {what} - {}", item.id));
    }
    Ok(())
}

/// The resource's primitives first, then what holds them: from the inside to the outside.
fn with_members(cib: &Cib, id: &str) -> Vec<String> {
    let config = Config::new(cib);
    let all = config.resources();
    let mut found = vec![id.to_owned()];
    let mut at = 0;
    while at < found.len() {
        let inside = all.iter().filter(|r| r.parent == Some(found[at].as_str()));
        let inside: Vec<String> = inside.map(|r| r.id.to_owned()).collect();
        found.extend(inside);
        at += 1;
    }
    found.reverse();
    found
}

/// Those that run now, by name of the node.
fn running(cx: &mut Context<'_>, ids: &[String]) -> Result<Vec<String>, Failure> {
    if !cx.backend.live() {
        return Ok(Vec::new());
    }
    let status = backend::status(cx.backend)?;
    let runs = |id: &&String| {
        let found = view::find_resource(&status.resources, id);
        found.is_some_and(|r| !view::places(r).is_empty())
    };
    Ok(ids.iter().filter(runs).cloned().collect())
}

/// A resource that runs is stopped before its definition goes: nobody would know how to stop it
/// afterwards.
fn stop_first(cx: &mut Context<'_>, ids: &[String], running: &[String]) -> Result<(), Failure> {
    cx.note(&format!("Attempting to stop: {}...", running.join(", ")));
    cx.edit(|cib| {
        for id in ids {
            let set = format!("{id}-meta_attributes");
            let element = object(cib, id)?;
            change::put(element, "meta_attributes", &set, "target-role", "Stopped");
        }
        Ok(())
    })?;
    let request = Request::WaitIdle {
        timeout_ms: STOP_MS_MAX,
    };
    ask_done(cx.backend, &request)?;
    let still = self::running(cx, running)?;
    match still.first() {
        Some(id) => Err(Failure::new(
            Exit::Error,
            format!(
                "Unable to stop: {id} before deleting (it is disabled now); look at `mainstay why {id}`, re-run with --force to force deletion"
            ),
        )),
        None => Ok(()),
    }
}

/// How long a deletion waits for its stops, in milliseconds.
const STOP_MS_MAX: u64 = 10 * 60 * 1000;
