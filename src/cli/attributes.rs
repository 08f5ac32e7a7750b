//! Transient attributes, as several tools ask for and set them, and how tools name a pair that they
//! changed.

use super::backend::{self, Backend, ask, ask_done};
use super::exit::Failure;
use crate::ipc::{AttributeChange, AttributeUpdate, NodeAttribute, Request, Response};
use cib::{Cib, Element};

/// A pair, as Pacemaker's tools name what they set or deleted: its id, the set where that is worth
/// telling, its name.
#[must_use]
pub(crate) fn pair_named(id: &str, set: Option<&str>, name: &str) -> String {
    let set = set.map(|set| format!(" set={set}")).unwrap_or_default();
    format!("id={id}{set} name={name}")
}

/// Sets (`Some`) or deletes an attribute of a node.
///
/// # Errors
/// As [`ask`].
pub(crate) fn set(
    backend: &mut dyn Backend,
    node: &str,
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    let update = match value {
        Some(value) => AttributeUpdate::Set(value.to_owned()),
        None => AttributeUpdate::Clear,
    };
    update_of(backend, node, name, update)
}

/// Sets how much of something a node has, as long as its daemon runs.
///
/// # Errors
/// As [`ask`].
pub(crate) fn set_capacity(
    backend: &mut dyn Backend,
    node: &str,
    name: &str,
    value: &str,
) -> Result<(), Failure> {
    let update = AttributeUpdate::SetCapacity(value.to_owned());
    update_of(backend, node, name, update)
}

fn update_of(
    backend: &mut dyn Backend,
    node: &str,
    name: &str,
    update: AttributeUpdate,
) -> Result<(), Failure> {
    let change = AttributeChange {
        node: Some(node.to_owned()),
        name: name.to_owned(),
        update,
        dampen_ms: None,
        change_dampening: false,
        private: false,
    };
    ask_done(backend, &Request::SetAttribute(change)).map(|_| ())
}

/// Attributes as the nodes have them, those included that wait to become valid.
///
/// # Errors
/// As [`ask`].
pub(crate) fn list(
    backend: &mut dyn Backend,
    node: Option<&str>,
    name: Option<&str>,
) -> Result<Vec<NodeAttribute>, Failure> {
    let request = Request::Attributes {
        node: node.map(str::to_owned),
        name: name.map(str::to_owned),
    };
    match ask(backend, &request)? {
        Response::Attributes(found) => Ok(found),
        _ => Err(backend::unexpected()),
    }
}

/// Transient attributes of a node as the CIB shows them: those that are valid.
pub(crate) fn valid<'a>(cib: &'a Cib, node: &str) -> Vec<(&'a str, &'a str)> {
    pairs_in(cib, node, "instance_attributes")
}

/// As [`valid`], of the node's transient capacities.
pub(crate) fn capacities<'a>(cib: &'a Cib, node: &str) -> Vec<(&'a str, &'a str)> {
    pairs_in(cib, node, "utilization")
}

fn pairs_in<'a>(cib: &'a Cib, node: &str, tag: &'static str) -> Vec<(&'a str, &'a str)> {
    let sets = transient(cib, node).into_iter().flat_map(|t| t.all(tag));
    sets.flat_map(|s| s.all("nvpair"))
        .filter_map(|nv| Some((nv.attr("name")?, nv.attr("value")?)))
        .collect()
}

/// The elements that hold a node's transient attributes.
pub(crate) fn transient<'a>(cib: &'a Cib, node: &str) -> Vec<&'a Element> {
    let states = cib.root().first("status");
    let states = states.into_iter().flat_map(|s| s.all("node_state"));
    let of_node = states.filter(|s| s.attr("uname") == Some(node));
    of_node
        .flat_map(|s| s.all("transient_attributes"))
        .collect()
}

/// The node that an agent's attributes are for when it names none: where it runs on behalf of a
/// node, that one (Pacemaker lib/common/attrd_client.c, `pcmk__node_attr_target`).
///
/// # Errors
/// As [`backend::local_node`].
pub(crate) fn target(backend: &mut dyn Backend, named: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = named.filter(|n| *n != "localhost" && *n != "auto") {
        return Ok(name.to_owned());
    }
    let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let host = env("OCF_RESKEY_CRM_meta_container_attribute_target").as_deref() == Some("host");
    let asked = match host {
        true => env("OCF_RESKEY_CRM_meta_physical_host"),
        false => env("OCF_RESKEY_CRM_meta_on_node"),
    };
    match asked {
        Some(name) => Ok(name),
        None => backend::local_node(backend),
    }
}
