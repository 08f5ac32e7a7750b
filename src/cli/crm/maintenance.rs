//! `crm maintenance`: the cluster leaves something alone, and its agent is called by hand meanwhile.

use super::Context;
use super::session::CLIENT;
use super::usage::misused;
use crate::cli::backend;
use crate::cli::exit::{Exit, Failure};
use crate::cli::pcs::is_it;
use crate::view;
use cib::config::{Attrs, Config, Resource};
use cib::{Cib, edit};

/// Verbs of the level.
pub(super) const VERBS: [&str; 3] = ["on", "off", "action"];

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match (verb, words) {
        ("on", [] | [_]) => switch(context, words.first(), "true"),
        ("off", [] | [_]) => switch(context, words.first(), "false"),
        ("action", [id, action]) => act(context, id, action),
        ("action", [id, action, ssh]) if ssh == "ssh" => Err(Failure {
            cure: Some(format!(
                "run `crm maintenance action {id} {action}` on each node that it concerns"
            )),
            ..Failure::new(
                Exit::Unimplemented,
                "ssh is not offered: an agent is called on this node alone",
            )
        }),
        _ => Err(misused()),
    }
}

/// The whole cluster, a resource, or a node.
fn switch(
    context: &mut Context<'_>,
    what: Option<&String>,
    value: &'static str,
) -> Result<(), Failure> {
    backend::edit(&mut context.backend, CLIENT, |cib| {
        let Some(name) = what else {
            edit::set_property(cib, "maintenance-mode", Some(value));
            return Ok(());
        };
        let config = Config::new(cib);
        if config.resource(name).is_some() {
            edit::set_meta(cib, name, "maintenance", Some(value))?;
        } else if config.node(name).is_some() {
            edit::set_node_attribute(cib, name, "maintenance", Some(value))?;
        } else {
            return Err(Failure::no_such(format!(
                "{name} is neither a resource nor a node"
            )));
        }
        Ok(())
    })?;
    Ok(())
}

/// `action RESOURCE ACTION`.
fn act(context: &mut Context<'_>, id: &str, action: &str) -> Result<(), Failure> {
    let Some((_, option)) = ACTIONS.iter().find(|(name, _)| *name == action) else {
        let names = ACTIONS.iter().map(|(name, _)| *name);
        return Err(Failure::usage(format!(
            "action: `{action}` is not called by hand{}",
            is_it(action, names)
        )));
    };
    let cib = backend::cib(&mut context.backend, true)?;
    let config = Config::new(&cib);
    let Some(resource) = config.resource(id) else {
        return Err(Failure::no_such(format!("Resource not found: {id}")));
    };
    if config.agent(&resource).is_none() {
        return Err(Failure::usage(format!(
            "{id} has no agent of its own: name a primitive of it"
        )));
    }
    let host = backend::local_node(&mut context.backend)?;
    if !is_left_alone(&cib, id, &host) {
        return Err(Failure {
            cure: Some(format!(
                "`crm maintenance on {id}` first, lest the cluster and you work against each other"
            )),
            ..Failure::new(Exit::Unsafe, "Not in maintenance mode.")
        });
    }
    let places = places(context, id)?;
    match (action, places.as_slice()) {
        ("monitor" | "validate-all", _) | ("start", []) => {}
        (_, []) => {
            let text = format!("{id} is not running");
            return Err(Failure::new(Exit::NotRunning, text));
        }
        (_, [only]) if *only == host => {}
        (_, nodes) => {
            let text = format!("{id} runs on {}: call its agent there", nodes.join(" "));
            return Err(Failure::new(Exit::Unsafe, text));
        }
    }
    // The cluster looks away, and may hold for running what was stopped by hand here.
    context.crm_resource(&[option, "-r", id, "--force"])
}

/// The cluster, the node, the resource or what holds it is in maintenance.
fn is_left_alone(cib: &Cib, id: &str, host: &str) -> bool {
    let config = Config::new(cib);
    let on = |attrs: &Attrs<'_>, name: &str| {
        attrs
            .get(name)
            .is_some_and(|v| cib::value::parse_bool(v).unwrap_or(false))
    };
    let left = |resource: Resource<'_>| {
        let meta = config.meta(&resource);
        on(&meta, "maintenance")
            || meta
                .get("is-managed")
                .is_some_and(|v| !cib::value::parse_bool(v).unwrap_or(true))
    };
    if config
        .resource(id)
        .into_iter()
        .chain(config.around(id))
        .any(left)
    {
        return true;
    }
    on(&config.properties(), "maintenance-mode")
        || config
            .node(host)
            .is_some_and(|n| on(&n.attributes, "maintenance"))
}

/// Where it runs, as far as the cluster knows.
fn places(context: &mut Context<'_>, id: &str) -> Result<Vec<String>, Failure> {
    let status = backend::status(&mut context.backend)?;
    let found = view::find_resource(&status.resources, id);
    Ok(found.map(|r| r.nodes.clone()).unwrap_or_default())
}

/// Actions, and how crm_resource(8) calls them.
pub(super) const ACTIONS: [(&str, &str); 6] = [
    ("monitor", "--force-check"),
    ("start", "--force-start"),
    ("stop", "--force-stop"),
    ("promote", "--force-promote"),
    ("demote", "--force-demote"),
    ("validate-all", "--validate"),
];
