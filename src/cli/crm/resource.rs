//! `crm resource`: start, stop, clean up, move, and how things stand.

use super::Context;
use super::session::CLIENT;
use super::words::Attribute;
use crate::cli::backend::{self, ask_done};
use crate::cli::exit::{Exit, Failure};
use crate::ipc::Request;
use crate::view;
use cib::config::Config;
use cib::edit::{self, SetKind};
use cib::{Cib, Element, Section};

/// Verbs of the level.
pub(super) fn verbs() -> Vec<&'static str> {
    [&CHANGING_VERBS[..], &LOOKING_VERBS[..]].concat()
}

/// Those after which `-w` waits.
pub(super) const CHANGING_VERBS: [&str; 21] = [
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
];
const LOOKING_VERBS: [&str; 8] = [
    "status",
    "show",
    "list",
    "failcount",
    "locate",
    "constraints",
    "trace",
    "operations",
];

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match verb {
        "start" => set_all(context, verb, words, "target-role", "Started"),
        "stop" => set_all(context, verb, words, "target-role", "Stopped"),
        "promote" => set_all(context, verb, words, "target-role", "Promoted"),
        "demote" => set_all(context, verb, words, "target-role", "Unpromoted"),
        "manage" => set_all(context, verb, words, "is-managed", "true"),
        "unmanage" => set_all(context, verb, words, "is-managed", "false"),
        "maintenance" => maintenance(context, words),
        "restart" => restart(context, words),
        "status" | "show" | "list" => status(context, words),
        "locate" => locate(context, &one(verb, words)?),
        "cleanup" | "refresh" | "reprobe" => cleanup(context, verb, words),
        "move" | "migrate" => move_away(context, words),
        "ban" => ban(context, words),
        "clear" | "unmove" | "unmigrate" | "unban" => clear(context, words),
        "meta" => attributes(context, words, SetKind::Meta),
        "param" => attributes(context, words, SetKind::Instance),
        "utilization" => attributes(context, words, SetKind::Utilization),
        "failcount" => failcount(context, words),
        other => Err(Failure::new(
            Exit::Unimplemented,
            format!("resource {other} is not offered yet"),
        )),
    }
}

fn one(verb: &str, words: &[String]) -> Result<String, Failure> {
    match words {
        [one] => Ok(one.clone()),
        _ => Err(Failure::usage(format!(
            "usage: crm resource {verb} RESOURCE"
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
    verb: &str,
    ids: &[String],
    name: &str,
    value: &str,
) -> Result<(), Failure> {
    if ids.is_empty() {
        return Err(Failure::usage(format!(
            "usage: crm resource {verb} RESOURCE …"
        )));
    }
    backend::edit(context.backend, CLIENT, |cib| {
        for id in ids {
            known(cib, id)?;
            // A member's own role would win over that of its clone or group.
            edit::set_meta(cib, id, name, Some(value))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn maintenance(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (id, value) = match words {
        [id] => (id, "true"),
        [id, value] if matches!(value.as_str(), "on" | "true" | "yes") => (id, "true"),
        [id, value] if matches!(value.as_str(), "off" | "false" | "no") => (id, "false"),
        _ => {
            return Err(Failure::usage(
                "usage: crm resource maintenance RESOURCE [on|off]",
            ));
        }
    };
    set_all(
        context,
        "maintenance",
        std::slice::from_ref(id),
        "maintenance",
        value,
    )
}

fn restart(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let id = one("restart", words)?;
    let before = backend::cib(context.backend, false)?;
    known(&before, &id)?;
    let role = own_meta(&before, &id, "target-role");
    if role.as_deref() == Some("Stopped") {
        return Err(Failure::new(
            Exit::Error,
            format!("{id} is stopped by target-role: start it with `crm resource start {id}`"),
        ));
    }
    set_all(
        context,
        "restart",
        std::slice::from_ref(&id),
        "target-role",
        "Stopped",
    )?;
    let stopped = context.wait();
    // Started again whatever became of the wait: nobody asked for it to stay stopped.
    backend::edit(context.backend, CLIENT, |cib| {
        Ok(edit::set_meta(cib, &id, "target-role", role.as_deref())?)
    })?;
    stopped?;
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
    if let [id] = words {
        return locate(context, id);
    }
    let status = backend::status(context.backend)?;
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
    let status = backend::status(context.backend)?;
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

fn cleanup(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    let (resource, node) = match words {
        [] => (None, None),
        [resource] => (Some(resource.clone()), None),
        [resource, node, ..] if node != "force" => (Some(resource.clone()), Some(node.clone())),
        _ => {
            return Err(Failure::usage(format!(
                "usage: crm resource {verb} [RESOURCE [NODE]]"
            )));
        }
    };
    let text = ask_done(context.backend, &Request::Cleanup { resource, node })?;
    context.console.line(&text);
    Ok(())
}

/// `move RESOURCE [NODE] [force]`: prefers a node for ever, or leaves the present one.
fn move_away(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&String> = words.iter().filter(|w| *w != "force").collect();
    match words.as_slice() {
        [id] => ban(context, std::slice::from_ref(id)),
        [id, node] => {
            backend::edit(context.backend, CLIENT, |cib| {
                known(cib, id)?;
                known_node(cib, node)?;
                remove_moves(cib, id, None);
                let constraint = Element::new("rsc_location")
                    .with("id", &format!("cli-prefer-{id}"))
                    .with("rsc", id)
                    .with("role", "Started")
                    .with("node", node)
                    .with("score", "INFINITY");
                Ok(edit::insert(cib, Section::Constraints, constraint)?)
            })?;
            context
                .console
                .info(&format!("Move constraint created for {id} to {node}"));
            context.console.info(&format!(
                "Use `crm resource clear {id}` to remove this constraint."
            ));
            Ok(())
        }
        _ => Err(Failure::usage("usage: crm resource move RESOURCE [NODE]")),
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

/// `ban RESOURCE [NODE]`: without a node, where it runs now.
fn ban<S: AsRef<str>>(context: &mut Context<'_>, words: &[S]) -> Result<(), Failure> {
    let words: Vec<&str> = words
        .iter()
        .map(AsRef::as_ref)
        .filter(|w| *w != "force")
        .collect();
    let (id, node) = match words.as_slice() {
        [id] => (*id, running_on(context, id)?),
        [id, node] => (*id, (*node).to_owned()),
        _ => return Err(Failure::usage("usage: crm resource ban RESOURCE [NODE]")),
    };
    let constraint_id = format!("cli-ban-{id}-on-{node}");
    backend::edit(context.backend, CLIENT, |cib| {
        known(cib, id)?;
        known_node(cib, &node)?;
        if Config::new(cib).by_id(&constraint_id).is_some() {
            return Ok(());
        }
        let constraint = Element::new("rsc_location")
            .with("id", &constraint_id)
            .with("rsc", id)
            .with("role", "Started")
            .with("node", &node)
            .with("score", "-INFINITY");
        Ok(edit::insert(cib, Section::Constraints, constraint)?)
    })?;
    context.console.warning(&format!(
        "{constraint_id} keeps {id} away from {node}, even if it is the last node; `crm resource clear {id}` removes it"
    ));
    Ok(())
}

fn running_on(context: &mut Context<'_>, id: &str) -> Result<String, Failure> {
    let status = backend::status(context.backend)?;
    let mut nodes = Vec::new();
    if let Some(resource) = view::find_resource(&status.resources, id) {
        view::leaves(resource, &mut |leaf| nodes.extend(leaf.nodes.clone()));
    } else {
        return Err(Failure::no_such(format!("Resource not found: {id}")));
    }
    nodes.sort();
    nodes.dedup();
    match nodes.as_slice() {
        [node] => Ok(node.clone()),
        [] => Err(Failure::new(
            Exit::Error,
            format!("{id} runs nowhere: name the node"),
        )),
        several => Err(Failure::new(
            Exit::Error,
            format!("{id} runs on {}: name the node", several.join(", ")),
        )),
    }
}

fn clear(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (id, node) = match words {
        [id] => (id, None),
        [id, node] => (id, Some(node.as_str())),
        _ => return Err(Failure::usage("usage: crm resource clear RESOURCE [NODE]")),
    };
    let (removed, _) = backend::edit(context.backend, CLIENT, |cib| {
        known(cib, id)?;
        Ok(remove_moves(cib, id, node))
    })?;
    for constraint in removed {
        context
            .console
            .info(&format!("Removed constraint {constraint}"));
    }
    Ok(())
}

/// Takes the constraints of `move` and `ban` away; returns their ids.
fn remove_moves(cib: &mut Cib, id: &str, node: Option<&str>) -> Vec<String> {
    let mut removed = Vec::new();
    if cib.section(Section::Constraints).is_none() {
        return removed;
    }
    let prefer = format!("cli-prefer-{id}");
    let ban = format!("cli-ban-{id}-on-");
    cib.section_mut(Section::Constraints).children.retain(|c| {
        let own = c.id().unwrap_or_default();
        let ours = c.attr("rsc") == Some(id) && (own == prefer || own.starts_with(&ban));
        let gone = ours && node.is_none_or(|n| c.attr("node") == Some(n));
        if gone {
            removed.push(own.to_owned());
        }
        !gone
    });
    removed
}

/// `meta RESOURCE set NAME VALUE | delete NAME | show NAME`.
fn attributes(context: &mut Context<'_>, words: &[String], kind: SetKind) -> Result<(), Failure> {
    let usage = "usage: crm resource meta|param|utilization RESOURCE set NAME VALUE | delete NAME | show NAME";
    let Attribute {
        of: id,
        name,
        value,
    } = Attribute::parse(words, usage)?;
    let Some(value) = value else {
        let cib = backend::cib(context.backend, false)?;
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
    backend::edit(context.backend, CLIENT, |cib| {
        known(cib, id)?;
        Ok(edit::set_in(cib, id, kind, name, value)?)
    })?;
    Ok(())
}

/// `failcount RESOURCE show|delete [NODE]`.
fn failcount(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (id, verb, node) = match words.as_slice() {
        [id, verb] => (*id, *verb, None),
        [id, verb, node] => (*id, *verb, Some(*node)),
        _ => {
            return Err(Failure::usage(
                "usage: crm resource failcount RESOURCE show|delete [NODE]",
            ));
        }
    };
    match verb {
        "show" => {
            let status = backend::status(context.backend)?;
            for node in status
                .nodes
                .iter()
                .filter(|n| node.is_none_or(|w| w == n.name))
            {
                let count: u32 = status
                    .failcounts
                    .iter()
                    .filter(|f| f.resource == id && f.node == node.name)
                    .map(|f| f.count)
                    .fold(0, u32::saturating_add);
                let value = view::score(count);
                context
                    .console
                    .line(&format!("scope=status name=fail-count-{id} value={value}"));
            }
            Ok(())
        }
        "delete" => {
            let request = Request::Cleanup {
                resource: Some(id.to_owned()),
                node: node.map(str::to_owned),
            };
            let text = ask_done(context.backend, &request)?;
            context.console.line(&text);
            Ok(())
        }
        other => Err(Failure::usage(format!(
            "failcount: `{other}` is neither show nor delete"
        ))),
    }
}
