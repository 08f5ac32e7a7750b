//! Nodes and resources in XML, as crm_mon, crm_resource and crm_simulate have them (schemas
//! nodes-2.24, resources-2.24): scripts search them line by line, so the order of attributes is a
//! part of the interface.

use super::list::shown_name;
use super::xml::flag;
use cib::Element;
use scheduler::{NodeStatus, ResourceStatus};

/// `nodes`.
pub(crate) fn nodes(all: &[NodeStatus]) -> Element {
    let mut nodes = Element::new("nodes");
    nodes.children = all.iter().map(node).collect();
    nodes
}

/// `resources`; operations under way are shown where `pending` says so.
pub(crate) fn resources(all: &[ResourceStatus], nodes: &[NodeStatus], pending: bool) -> Element {
    let look = Look { nodes, pending };
    let mut resources = Element::new("resources");
    resources.children = all.iter().map(|r| look.resource(r)).collect();
    resources
}

/// A resource with what is in it.
pub(crate) fn resource(resource: &ResourceStatus, nodes: &[NodeStatus]) -> Element {
    let pending = true;
    Look { nodes, pending }.resource(resource)
}

fn node(node: &NodeStatus) -> Element {
    let health = match node.health {
        ..0 => "red",
        0 => "yellow",
        1.. => "green",
    };
    let kind = if node.kind == "guest" {
        "remote"
    } else {
        &node.kind
    };
    let mut element = Element::new("node")
        .with("name", &node.name)
        .with("id", &node.id)
        .with("online", flag(node.online || node.pending))
        .with("standby", flag(node.standby))
        .with("standby_onfail", flag(node.standby_on_fail))
        .with("maintenance", flag(node.maintenance))
        .with("pending", flag(node.pending))
        .with("unclean", flag(node.unclean))
        .with("health", health);
    if (node.online || node.pending) && node.kind == "member" {
        element.set("feature_set", &node.feature_set);
    }
    element = element
        .with("shutdown", flag(node.shutdown))
        .with("expected_up", flag(node.expected_up))
        .with("is_dc", flag(node.is_dc))
        .with("resources_running", &node.resources_running.to_string())
        .with("type", kind);
    if let Some(container) = &node.container {
        element.set("id_as_resource", container);
    }
    element
}

struct Look<'a> {
    nodes: &'a [NodeStatus],
    pending: bool,
}

impl Look<'_> {
    fn resource(&self, resource: &ResourceStatus) -> Element {
        let shown = &resource.shown;
        let mut element = match resource.kind.as_str() {
            "group" => Element::new("group")
                .with("id", &resource.id)
                .with("number_resources", &resource.children.len().to_string())
                .with("managed", flag(resource.managed))
                .with("disabled", flag(shown.disabled)),
            "clone" => Element::new("clone")
                .with("id", &resource.id)
                .with("multi_state", flag(shown.promotable))
                .with("unique", flag(shown.unique))
                .with("managed", flag(resource.managed))
                .with("disabled", flag(shown.disabled))
                .with("failed", flag(resource.failed))
                .with("failure_ignored", flag(shown.failure_ignored)),
            "bundle" => return self.bundle(resource),
            _ => return self.primitive(resource),
        };
        // A clone without one of its own shows that of what is cloned.
        let first = resource
            .children
            .first()
            .and_then(|c| c.target_role.as_ref());
        let role = resource.target_role.as_ref().or(first);
        if let Some(role) = role.filter(|_| resource.kind == "clone") {
            element.set("target_role", role);
        }
        element.children = resource.children.iter().map(|c| self.resource(c)).collect();
        element
    }

    fn bundle(&self, bundle: &ResourceStatus) -> Element {
        let shown = &bundle.shown;
        let mut element = Element::new("bundle")
            .with("id", &bundle.id)
            .with("type", &shown.container_kind)
            .with("image", &shown.image)
            .with("unique", flag(shown.unique))
            .with("managed", flag(bundle.managed))
            .with("failed", flag(bundle.failed));
        for (number, replica) in shown.replicas.iter().enumerate() {
            let mut one = Element::new("replica").with("id", &number.to_string());
            one.children = replica.parts.iter().map(|p| self.resource(p)).collect();
            element.children.push(one);
        }
        element
    }

    fn primitive(&self, resource: &ResourceStatus) -> Element {
        let shown = &resource.shown;
        let under_way = resource.pending.as_deref().filter(|_| self.pending);
        let monitoring = under_way.filter(|word| *word == "Monitoring");
        let role = under_way.filter(|word| *word != "Monitoring");
        let id = shown_name(resource);
        let mut element = Element::new("resource")
            .with("id", id)
            .with("resource_agent", &resource.agent)
            .with("role", role.unwrap_or(&resource.role));
        if let Some(role) = &resource.target_role {
            element.set("target_role", role);
        }
        for (name, value) in [
            ("active", resource.active),
            ("orphaned", resource.orphaned),
            ("blocked", resource.blocked),
            ("managed", resource.managed),
            ("failed", resource.failed),
            ("failure_ignored", shown.failure_ignored),
        ] {
            element.set(name, flag(value));
        }
        element.set("nodes_running_on", &resource.nodes.len().to_string());
        if let Some(pending) = monitoring {
            element.set("pending", pending);
        }
        if let Some(node) = &shown.locked_to {
            element.set("locked_to", node);
        }
        for name in &resource.nodes {
            let node = self.nodes.iter().find(|n| n.name == *name);
            let place = Element::new("node").with("name", name);
            let place = place.with("id", node.map_or("", |n| &n.id));
            let online = node.is_some_and(|n| n.online);
            element.children.push(place.with("cached", flag(online)));
        }
        element
    }
}
