//! Transient attributes, as several tools ask for and set them.

use super::backend::{self, Backend, ask, ask_done};
use super::exit::Failure;
use crate::ipc::{AttributeChange, AttributeUpdate, NodeAttribute, Request, Response};
use cib::Cib;

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
    let states = cib.root().first("status");
    let states = states.into_iter().flat_map(|s| s.all("node_state"));
    let of_node = states.filter(|s| s.attr("uname") == Some(node));
    let sets = of_node
        .flat_map(|s| s.all("transient_attributes"))
        .flat_map(|t| t.all("instance_attributes"));
    sets.flat_map(|s| s.all("nvpair"))
        .filter_map(|nv| Some((nv.attr("name")?, nv.attr("value")?)))
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
