//! Cleaning up, restarting, waiting, deleting.

use super::{configured, named, parent_of, unknown};
use crate::cli::backend::{self, Backend, ask_done};
use crate::cli::console::Console;
use crate::cli::crm::WAIT_MS_MAX;
use crate::cli::exit::{Exit, Failure};
use crate::cli::getopt::Found;
use crate::cli::outcome::{self, Goal};
use crate::ipc::Request;
use cib::config::Config;
use cib::edit::{self, SetKind};
use cib::{Cib, Element, Section, digest, update};

/// Forgets failures, or the whole history, and probes again.
pub(super) fn cleanup(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let resource = found.value("resource").filter(|id| !id.is_empty());
    let cib = backend::cib(backend, false)?;
    let config = Config::new(&cib);
    if let Some(id) = resource {
        configured(&config, id)?;
    }
    if let Some(node) = found.value("node")
        && config.node(node).is_none()
    {
        return Err(Failure::no_such(format!("Node '{node}' not found")));
    }
    if let Some(operation) = found.value("operation") {
        let resource =
            resource.ok_or_else(|| Failure::usage("-n needs a resource: say which with -r"))?;
        let of = (operation, found.value("interval").unwrap_or("0"));
        return forget_operation(backend, console, resource, found.value("node"), of);
    }
    if found.has("interval") {
        return Err(Failure::usage("-I needs an operation: say which with -n"));
    }
    let request = Request::Cleanup {
        resource: resource.map(str::to_owned),
        node: found.value("node").map(str::to_owned),
    };
    let text = ask_done(backend, &request)?;
    console.line(&text);
    Ok(())
}

/// Forgets the failures of one operation, with its interval, on a node or on all.
///
/// # Errors
/// The interval is none; as [`backend::status`].
pub(in crate::cli) fn forget_operation(
    backend: &mut dyn Backend,
    console: &mut Console,
    resource: &str,
    node: Option<&str>,
    (operation, interval): (&str, &str),
) -> Result<(), Failure> {
    let interval_ms = cib::value::parse_interval_ms(interval)?;
    let key = format!("{operation}_{interval_ms}");
    let status = backend::status(backend)?;
    let base = |id: &str| id.split(':').next().unwrap_or_default().to_owned();
    let counted = status.failcounts.iter().filter(|f| {
        let same = f.resource == resource || base(&f.resource) == resource;
        same && f.operation == key && node.is_none_or(|n| n == f.node)
    });
    for count in counted {
        let name = format!("fail-count-{}#{key}", count.resource);
        crate::cli::attributes::set(backend, &count.node, &name, None)?;
        console.line(&format!("Cleaned up {} on {}", count.resource, count.node));
    }
    Ok(())
}

/// A running instance counts as failed.
pub(super) fn fail(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let cib = backend::cib(backend, false)?;
    let resource = configured(&Config::new(&cib), id)?;
    if resource.kind != cib::config::Kind::Primitive {
        let kind = &resource.element.name;
        return Err(Failure::new(
            Exit::Usage,
            format!("We can only process primitive resources, not {kind}"),
        ));
    }
    let node = found
        .value("node")
        .ok_or_else(|| Failure::usage("Please specify a node name"))?;
    super::known_node(&cib, node)?;
    let request = Request::FailResource {
        resource: id.to_owned(),
        node: node.to_owned(),
    };
    ask_done(backend, &request)?;
    console.line("Waiting for 1 reply from the controller");
    console.line("... got reply (done)");
    Ok(())
}

fn timeout_ms(found: &Found) -> Result<u64, Failure> {
    match found.value("timeout") {
        None => Ok(WAIT_MS_MAX),
        Some(text) => Ok(cib::value::parse_interval_ms(text)?.min(WAIT_MS_MAX)),
    }
}

/// Until the cluster has nothing left to do.
pub(super) fn wait(backend: &mut dyn Backend, found: &Found) -> Result<(), Failure> {
    let timeout_ms = timeout_ms(found)?;
    ask_done(backend, &Request::WaitIdle { timeout_ms }).map(|_| ())
}

/// Stopped everywhere (or, of a clone, on a node), and started again as it was.
pub(super) fn restart(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let cib = backend::cib(backend, false)?;
    let mut id = configured(&Config::new(&cib), named(found)?)?.id.to_owned();
    // What a clone is made of stops with it.
    if let Some(parent) = parent_of(&cib, &id).filter(|p| p.kind == cib::config::Kind::Clone) {
        id = parent.id.to_owned();
    }
    if found.has("node") {
        return Err(Failure::new(
            Exit::Unimplemented,
            "--restart with --node is not offered: `crm_resource --ban` and `--clear` move an instance away and back",
        ));
    }
    let status = backend::status(backend)?;
    let shown = crate::view::find_resource(&status.resources, &id).ok_or_else(|| unknown(&id))?;
    if crate::view::places(shown).is_empty() {
        return Err(Failure::new(
            Exit::Error,
            format!("{id} is not running anywhere and so cannot be restarted"),
        ));
    }
    let role = own_role(&cib, &id);
    let set_role = |backend: &mut dyn Backend, role: Option<&str>| {
        backend::edit(backend, "crm_resource", |cib| {
            Ok(edit::set_meta(cib, &id, "target-role", role)?)
        })
    };
    set_role(backend, Some("Stopped"))?;
    let stopped = wait(backend, found).and_then(|()| reached(backend, &id, &Goal::Stopped));
    // Started again whatever became of the wait: nobody asked for it to stay stopped.
    set_role(backend, role.as_deref())?;
    stopped?;
    wait(backend, found)?;
    reached(backend, &id, &Goal::Running)?;
    console.line(&format!("{id} was restarted"));
    Ok(())
}

fn reached(backend: &mut dyn Backend, id: &str, goal: &Goal) -> Result<(), Failure> {
    if !backend.live() {
        return Ok(());
    }
    outcome::reached(&backend::status(backend)?, id, goal, "crm")
}

fn own_role(cib: &Cib, id: &str) -> Option<String> {
    let resource = Config::new(cib).resource(id)?;
    let sets = resource.element.all(SetKind::Meta.tag());
    let mut pairs = sets.flat_map(|s| s.all("nvpair"));
    let pair = pairs.find(|p| p.attr("name") == Some("target-role"))?;
    pair.attr("value").map(str::to_owned)
}

/// Out of the configuration.
pub(super) fn delete(backend: &mut dyn Backend, found: &Found) -> Result<(), Failure> {
    let id = named(found)?;
    let Some(tag) = found.value("resource-type") else {
        return Err(Failure::no_such(
            "You need to specify a resource type with -t",
        ));
    };
    backend::edit(backend, "crm_resource", |cib| {
        let resource = Config::new(cib).resource(id).ok_or_else(|| unknown(id))?;
        if resource.element.name != tag {
            return Err(Failure::no_such(format!(
                "Resource '{id}' is a {}, not a {tag}",
                resource.element.name
            )));
        }
        let pattern = Element::new(tag).with("id", id);
        update::delete(cib, Section::Resources, &pattern);
        Ok(())
    })
    .map(|_| ())
}

/// Digests of the parameters, by which a change is known.
pub(super) fn digests(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let node = found
        .value("node")
        .ok_or_else(|| Failure::usage("--digests needs a node (-N)"))?;
    let cib = backend::cib(backend, false)?;
    let config = Config::new(&cib);
    let resource = configured(&config, id)?;
    super::known_node(&cib, node)?;
    let mut parameters: Vec<(String, String)> = config
        .parameters(&resource)
        .into_iter()
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    for word in &found.words {
        let Some((name, value)) = word.split_once('=') else {
            return Err(Failure::usage(format!("`{word}` is not NAME=VALUE")));
        };
        parameters.retain(|(n, _)| n != name);
        parameters.push((name.to_owned(), value.to_owned()));
    }
    let pairs = || parameters.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    let all = digest::operation(pairs());
    console.line(&format!("{all} (all parameters)"));
    console.line(&format!("{all} (non-private parameters)"));
    let mut list = Element::new("digests")
        .with("resource", id)
        .with("node", node)
        .with("task", "start")
        .with("interval", "0ms");
    for kind in ["all", "nonprivate"] {
        let mut shown = Element::new("parameters");
        for (name, value) in pairs() {
            shown.set(name, value);
        }
        let digest = Element::new("digest").with("type", kind).with("hash", &all);
        list.children.push(digest.child(shown));
    }
    console.element(list);
    Ok(())
}
