//! The status as crm_simulate's XML has it (schema crm_simulate-2.25: nodes-2.24,
//! resources-2.24).

use super::status::shown_name;
use cib::Element;
use cib::document::FEATURE_SET;
use scheduler::{NodeStatus, Plan, ResourceStatus};

/// Nodes and resources below an element of this name.
pub(super) fn status(tag: &str, plan: &Plan, pending: bool) -> Element {
    let mut nodes = Element::new("nodes");
    nodes.children = plan.nodes.iter().map(node).collect();
    let mut resources = Element::new("resources");
    let look = Look {
        nodes: &plan.nodes,
        pending,
    };
    resources.children = plan.resources.iter().map(|r| look.resource(r)).collect();
    Element::new(tag).child(nodes).child(resources)
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
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
        .with("online", flag(node.online))
        .with("standby", flag(node.standby))
        .with("standby_onfail", flag(node.standby_on_fail))
        .with("maintenance", flag(node.maintenance))
        .with("pending", flag(node.pending))
        .with("unclean", flag(node.unclean))
        .with("health", health);
    if node.online && node.kind == "member" {
        element.set("feature_set", FEATURE_SET);
    }
    element
        .with("shutdown", flag(node.shutdown))
        .with("expected_up", flag(node.expected_up))
        .with("is_dc", flag(node.is_dc))
        .with("resources_running", &node.resources_running.to_string())
        .with("type", kind)
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
                .with("maintenance", flag(resource.maintenance))
                .with("managed", flag(resource.managed))
                .with("disabled", flag(shown.disabled)),
            "clone" => Element::new("clone")
                .with("id", &resource.id)
                .with("multi_state", flag(shown.promotable))
                .with("unique", flag(shown.unique))
                .with("maintenance", flag(resource.maintenance))
                .with("managed", flag(resource.managed))
                .with("disabled", flag(shown.disabled))
                .with("failed", flag(resource.failed))
                .with("failure_ignored", flag(shown.failure_ignored)),
            "bundle" => return self.bundle(resource),
            _ => return self.primitive(resource),
        };
        if let Some(role) = &resource.target_role {
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
            .with("maintenance", flag(bundle.maintenance))
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
            ("maintenance", resource.maintenance),
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
