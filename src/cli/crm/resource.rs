//! `crm resource`: start, stop, clean up, move, and how things stand.

mod failcount;
mod moves;
mod trace;

use super::Context;
use super::session::CLIENT;
use super::usage::misused;
use super::words::Attribute;
use crate::cli::backend::{self, ask_done};
use crate::cli::exit::{Exit, Failure};
use crate::cli::outcome::Goal;
use crate::ipc::Request;
use crate::view;
use cib::Cib;
use cib::config::Config;
use cib::edit::{self, SetKind};

/// Verbs of the level.
pub(super) fn verbs() -> Vec<&'static str> {
    [&CHANGING_VERBS[..], &LOOKING_VERBS[..]].concat()
}

/// Those after which `-w` waits.
pub(super) const CHANGING_VERBS: [&str; 23] = [
    "start",
    "stop",
    "restart",
    "cleanup",
    "refresh",
    "reprobe",
    "move",
    "migrate",
    "ban",
    "clear",
    "unmove",
    "unmigrate",
    "unban",
    "manage",
    "unmanage",
    "maintenance",
    "promote",
    "demote",
    "meta",
    "param",
    "utilization",
    "trace",
    "untrace",
];
const LOOKING_VERBS: [&str; 7] = [
    "status",
    "show",
    "list",
    "failcount",
    "locate",
    "constraints",
    "operations",
];

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match verb {
        "start" => set_all(context, words, "target-role", "Started"),
        "stop" => set_all(context, words, "target-role", "Stopped"),
        "promote" => set_all(context, words, "target-role", "Promoted"),
        "demote" => set_all(context, words, "target-role", "Unpromoted"),
        "manage" => set_all(context, words, "is-managed", "true"),
        "unmanage" => set_all(context, words, "is-managed", "false"),
        "maintenance" => maintenance(context, words),
        "restart" => restart(context, words),
        "status" | "show" | "list" => status(context, words),
        "locate" => locate(context, &one(words)?),
        "cleanup" | "refresh" | "reprobe" => cleanup(context, words),
        "move" | "migrate" => moves::relocate(context, words),
        "ban" => moves::ban(context, words),
        "clear" | "unmove" | "unmigrate" | "unban" => moves::clear(context, words),
        "trace" => trace::on(context, words),
        "untrace" => trace::off(context, words),
        "constraints" => {
            let id = one(words)?;
            context.crm_resource(&["--constraints", "-r", &id])
        }
        "operations" => operations(context, words),
        "meta" => attributes(context, words, SetKind::Meta),
        "param" => attributes(context, words, SetKind::Instance),
        "utilization" => attributes(context, words, SetKind::Utilization),
        "failcount" => failcount::run(context, words),
        other => Err(Failure::new(
            Exit::Unimplemented,
            format!("resource {other} is not offered yet"),
        )),
    }
}

fn one(words: &[String]) -> Result<String, Failure> {
    match words {
        [one] => Ok(one.clone()),
        _ => Err(misused()),
    }
}

fn known_node(cib: &Cib, node: &str) -> Result<(), Failure> {
    match Config::new(cib).node(node) {
        Some(_) => Ok(()),
        None => Err(Failure::no_such(format!(
            "Node \"{node}\" is not a cluster node"
        ))),
    }
}

fn known(cib: &Cib, id: &str) -> Result<(), Failure> {
    match Config::new(cib).resource(id) {
        Some(_) => Ok(()),
        None => Err(Failure::no_such(format!(
            "Resource not found: {id}; `crm resource status` lists them"
        ))),
    }
}

/// One meta-attribute of several resources, in one change.
fn set_all(
    context: &mut Context<'_>,
    ids: &[String],
    name: &str,
    value: &str,
) -> Result<(), Failure> {
    if ids.is_empty() {
        return Err(misused());
    }
    backend::edit(&mut context.backend, CLIENT, |cib| {
        for id in ids {
            known(cib, id)?;
            // A member's own role would win over that of its clone or group.
            edit::set_meta(cib, id, name, Some(value))?;
        }
        Ok(())
    })?;
    let goal = match (name, value) {
        ("target-role", "Started") => Goal::Running,
        ("target-role", "Stopped") => Goal::Stopped,
        ("target-role", "Promoted") => Goal::Promoted,
        ("target-role", "Unpromoted") => Goal::Demoted,
        _ => return Ok(()),
    };
    ids.iter().for_each(|id| context.expect(id, goal.clone()));
    Ok(())
}

fn maintenance(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (id, value) = match words {
        [id] => (id, "true"),
        [id, value] if matches!(value.as_str(), "on" | "true" | "yes") => (id, "true"),
        [id, value] if matches!(value.as_str(), "off" | "false" | "no") => (id, "false"),
        _ => {
            return Err(misused());
        }
    };
    set_all(context, std::slice::from_ref(id), "maintenance", value)
}

fn restart(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let id = one(words)?;
    let before = backend::cib(&mut context.backend, false)?;
    known(&before, &id)?;
    let role = own_meta(&before, &id, "target-role");
    if role.as_deref() == Some("Stopped") {
        return Err(Failure::new(
            Exit::Error,
            format!("{id} is stopped by target-role: start it with `crm resource start {id}`"),
        ));
    }
    context.watch()?;
    set_all(context, std::slice::from_ref(&id), "target-role", "Stopped")?;
    let stopped = context.wait();
    // Started again whatever became of the wait: nobody asked for it to stay stopped.
    backend::edit(&mut context.backend, CLIENT, |cib| {
        Ok(edit::set_meta(cib, &id, "target-role", role.as_deref())?)
    })?;
    stopped?;
    context.watch()?;
    context.expect(&id, Goal::Running);
    context.wait()
}

fn own_meta(cib: &Cib, id: &str, name: &str) -> Option<String> {
    let resource = Config::new(cib).resource(id)?;
    let mut pairs = resource
        .element
        .all(SetKind::Meta.tag())
        .flat_map(|s| s.all("nvpair"));
    let pair = pairs.find(|p| p.attr("name") == Some(name))?;
    pair.attr("value").map(str::to_owned)
}

fn status(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    match words {
        [] => {}
        [id] => return locate(context, id),
        _ => return Err(misused()),
    }
    let status = backend::status(&mut context.backend)?;
    let text = view::text::resource_list(
        &status,
        view::text::Options {
            inactive: true,
            ..view::text::Options::default()
        },
    );
    context.console.print(&text);
    Ok(())
}

/// `resource X is running on: NODE`, as `crm_resource --locate`.
fn locate(context: &mut Context<'_>, id: &str) -> Result<(), Failure> {
    let status = backend::status(&mut context.backend)?;
    let Some(resource) = view::find_resource(&status.resources, id) else {
        return Err(Failure::no_such(format!("Resource not found: {id}")));
    };
    let places = view::places(resource);
    if places.is_empty() {
        context
            .console
            .line(&format!("resource {id} is NOT running"));
    }
    for (node, role) in places {
        context
            .console
            .line(&format!("resource {id} is running on: {node}{role}"));
    }
    Ok(())
}

fn cleanup(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&String> = words.iter().filter(|w| *w != "force").collect();
    let (resource, node) = match words.as_slice() {
        [] => (None, None),
        [resource] => (Some((*resource).clone()), None),
        [resource, node] => (Some((*resource).clone()), Some((*node).clone())),
        _ => return Err(misused()),
    };
    let cib = backend::cib(&mut context.backend, false)?;
    if let Some(id) = &resource {
        known(&cib, id)?;
    }
    if let Some(node) = &node {
        known_node(&cib, node)?;
    }
    let text = ask_done(&mut context.backend, &Request::Cleanup { resource, node })?;
    context.console.line(&text);
    Ok(())
}

/// `operations [RESOURCE [NODE]]`: what was done, and how it went.
fn operations(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let cib = backend::cib(&mut context.backend, false)?;
    if let Some(id) = words.first() {
        known(&cib, id)?;
    }
    if let Some(node) = words.get(1) {
        known_node(&cib, node)?;
    }
    match words {
        [] => context.crm_resource(&["--list-all-operations"]),
        [id] => context.crm_resource(&["--list-all-operations", "-r", id]),
        [id, node] => context.crm_resource(&["--list-all-operations", "-r", id, "-N", node]),
        _ => Err(misused()),
    }
}

/// `meta RESOURCE set NAME VALUE | delete NAME | show NAME`.
fn attributes(context: &mut Context<'_>, words: &[String], kind: SetKind) -> Result<(), Failure> {
    let Attribute {
        of: id,
        name,
        value,
    } = Attribute::parse(words)?;
    let Some(value) = value else {
        let cib = backend::cib(&mut context.backend, false)?;
        known(&cib, id)?;
        let config = Config::new(&cib);
        let found = config.resource(id).and_then(|r| {
            let sets = match kind {
                SetKind::Meta => config.meta(&r),
                SetKind::Instance => config.parameters(&r),
                SetKind::Utilization => config.utilization(&r),
            };
            sets.get(name).map(|v| (*v).to_owned())
        });
        let value = found.ok_or_else(|| Failure::no_such(format!("{name} is not set on {id}")))?;
        context.console.line(&value);
        return Ok(());
    };
    backend::edit(&mut context.backend, CLIENT, |cib| {
        known(cib, id)?;
        if kind == SetKind::Utilization {
            super::node::whole_number(name, value)?;
        }
        Ok(edit::set_in(cib, id, kind, name, value)?)
    })?;
    Ok(())
}
