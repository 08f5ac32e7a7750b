//! `--move`, `--ban`, `--clear`: constraints that send resources somewhere, or away.

use super::{configured, known_node, named, unknown};
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::cli::getopt::Found;
use crate::cli::iso8601;
use crate::cli::moves::{self, Wish};
use crate::view;
use cib::Element;
use cib::config::Config;

/// To a node, or away from where it is.
pub(super) fn go(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let places = places(backend, id, promoted(found))?;
    let Some(node) = found.value("node") else {
        return match places.as_slice() {
            [node] => keep_away(backend, console, found, id, node),
            several => Err(nowhere_alone(id, "moved", several.len())),
        };
    };
    let cib = backend::cib(backend, false)?;
    configured(&Config::new(&cib), id)?;
    known_node(&cib, node)?;
    let there = places.iter().any(|p| p == node);
    if there && !found.has("force") {
        return Err(Failure::new(
            Exit::Exists,
            "Error performing operation: Requested item already exists",
        ));
    }
    let until = until(found)?;
    backend::edit(backend, "crm_resource", |cib| {
        moves::clear(cib, id, None);
        wish(found, id, node, true, until).put(cib)
    })?;
    // By force it must go from where it is now, too.
    if let (true, [from]) = (found.has("force"), places.as_slice())
        && from != node
    {
        return keep_away(backend, console, found, id, from);
    }
    Ok(())
}

/// Away from a node.
pub(super) fn ban(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    if let Some(node) = found.value("node") {
        let cib = backend::cib(backend, false)?;
        configured(&Config::new(&cib), id)?;
        known_node(&cib, node)?;
        return keep_away(backend, console, found, id, node);
    }
    let running = places(backend, id, promoted(found))?;
    match running.as_slice() {
        [node] => keep_away(backend, console, found, id, node),
        several => Err(nowhere_alone(id, "banned", several.len())),
    }
}

/// Takes such constraints away.
pub(super) fn clear(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let node = found.value("node");
    let (expired, force) = (found.has("expired"), found.has("force"));
    let (removed, _) = backend::edit(backend, "crm_resource", |cib| {
        if Config::new(cib).resource(id).is_none() {
            return Err(unknown(id));
        }
        if let Some(node) = node {
            known_node(cib, node)?;
        }
        let prefer = moves::prefer_id(id);
        Ok(moves::take_away(cib, id, |c| {
            let forced = force && c.id() == Some(&prefer);
            let here = node.is_none_or(|n| moves::place(c) == Some(n) || forced);
            here && (!expired || is_over(c))
        }))
    })?;
    for constraint in removed {
        console.line(&format!("Removing constraint: {constraint}"));
    }
    Ok(())
}

fn promoted(found: &Found) -> bool {
    found.has("promoted") || found.has("master")
}

/// Nodes that it runs on, in the promoted role if that is asked for.
fn places(backend: &mut dyn Backend, id: &str, promoted: bool) -> Result<Vec<String>, Failure> {
    let status = backend::status(backend)?;
    let resource = view::find_resource(&status.resources, id).ok_or_else(|| unknown(id))?;
    let mut places = view::places(resource);
    let promoted_ones: Vec<_> = places.iter().filter(|p| !p.1.is_empty()).cloned().collect();
    // The promoted instance is what a promotable clone is banned by.
    if promoted || promoted_ones.len() == 1 {
        places = promoted_ones;
    }
    Ok(places.into_iter().map(|(node, _)| node).collect())
}

fn nowhere_alone(id: &str, what: &str, count: usize) -> Failure {
    Failure::usage(format!(
        "Resource '{id}' not {what}: active in {count} locations.\nTo prevent '{id}' from running on a specific location, specify a node."
    ))
}

fn keep_away(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    id: &str,
    node: &str,
) -> Result<(), Failure> {
    let until = until(found)?;
    let wish = wish(found, id, node, false, until);
    backend::edit(backend, "crm_resource", |cib| wish.put(cib))?;
    let constraint_id = wish.id();
    if found.has("quiet") {
        return Ok(());
    }
    if let Some(until) = until {
        console.line(&format!(
            "Migration will take effect until: {}",
            iso8601::utc(until)
        ));
    }
    let what = if promoted(found) {
        "being promoted"
    } else {
        "running"
    };
    console.err_line(&format!(
        "WARNING: Creating rsc_location constraint '{constraint_id}' with a score of -INFINITY for resource {id} on {node}.\n\tThis will prevent {id} from {what} on {node} until the constraint is removed using the clear option or by editing the CIB with an appropriate tool\n\tThis will be the case even if {node} is the last node in the cluster"
    ));
    Ok(())
}

/// When the constraint ends, seconds since the epoch.
fn until(found: &Found) -> Result<Option<i64>, Failure> {
    let end = found.value("lifetime").map(|text| {
        moves::end_of(text).ok_or_else(|| {
            Failure::usage(format!(
                "-u {text}: a lifetime is an ISO 8601 duration, PT1H for an hour"
            ))
        })
    });
    end.transpose()
}

fn wish<'a>(
    found: &Found,
    resource: &'a str,
    node: &'a str,
    wanted: bool,
    until: Option<i64>,
) -> Wish<'a> {
    let role = match promoted(found) {
        true => "Promoted",
        false => "Started",
    };
    Wish {
        resource,
        node,
        wanted,
        role,
        until,
    }
}

fn is_over(constraint: &Element) -> bool {
    let rule = constraint.first("rule");
    let end = rule.and_then(|r| r.first("date_expression")?.attr("end"));
    let end = end.and_then(scheduler::parse_time);
    end.is_some_and(|end| end <= backend::now_s())
}
