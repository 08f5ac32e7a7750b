//! `--why`: whether a resource runs, and what keeps it from that.

use super::unknown;
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::exit::Failure;
use crate::cli::getopt::Found;
use crate::view::{self, xml::flag};
use cib::Element;
use scheduler::ResourceStatus;

pub(super) fn run(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let status = backend::status(backend)?;
    let node = found.value("node");
    let mut reason = Element::new("reason");
    if let Some(id) = found.value("resource") {
        let resource = view::find_resource(&status.resources, id).ok_or_else(|| unknown(id))?;
        let places = nodes(resource);
        let here = node.filter(|n| places.iter().any(|p| p == n));
        match node {
            Some(node) if here.is_some() => {
                console.line(&format!("Resource {id} is running on host {node}"));
                reason.set("running_on", node);
            }
            Some(node) => {
                console.line(&format!(
                    "Resource {id} is assigned to host {node} no more, or never was"
                ));
                reason.set("running", "false");
            }
            None => {
                console.line(&running(id, !places.is_empty()));
                reason.set("running", flag(!places.is_empty()));
            }
        }
        let element = check(resource, id, console);
        console.element(reason.child(element));
        return Ok(());
    }
    let mut list = Element::new("resources");
    match node {
        None => {
            for resource in &status.resources {
                let up = !nodes(resource).is_empty();
                console.line(&running(&resource.id, up));
                let element = Element::new("resource")
                    .with("id", &resource.id)
                    .with("running", flag(up));
                list.children
                    .push(element.child(check(resource, &resource.id, console)));
            }
        }
        Some(node) => {
            let mut here = Vec::new();
            for resource in &status.resources {
                view::leaves(resource, &mut |leaf| {
                    if leaf.nodes.iter().any(|n| n == node) {
                        here.push(leaf);
                    }
                });
            }
            for leaf in here {
                console.line(&format!("Resource {} is running on host {node}", leaf.id));
                let element = Element::new("resource")
                    .with("id", &leaf.id)
                    .with("running", "true")
                    .with("host", node);
                list.children
                    .push(element.child(check(leaf, &leaf.id, console)));
            }
        }
    }
    console.element(reason.child(list));
    Ok(())
}

fn nodes(resource: &ResourceStatus) -> Vec<String> {
    view::places(resource).into_iter().map(|(n, _)| n).collect()
}

fn running(id: &str, up: bool) -> String {
    let word = if up { "running" } else { "not running" };
    format!("Resource {id} is {word}")
}

/// What the configuration says against it; the scheduler's own reasons are told by
/// `mainstay why`.
fn check(resource: &ResourceStatus, id: &str, console: &mut Console) -> Element {
    let mut element = Element::new("check").with("id", id);
    let role = resource.target_role.as_deref().unwrap_or_default();
    if role.eq_ignore_ascii_case("stopped") {
        console.line(&format!(
            "Configuration specifies '{id}' should remain stopped"
        ));
        element.set("remain_stopped", "true");
    } else if ["unpromoted", "slave"].contains(&role.to_ascii_lowercase().as_str()) {
        console.line(&format!(
            "Configuration specifies '{id}' should not be promoted"
        ));
        element.set("promotable", "false");
    }
    if !resource.managed {
        console.line(&format!(
            "Configuration prevents cluster from stopping or starting unmanaged '{id}'"
        ));
        element.set("unmanaged", "true");
    }
    element
}
