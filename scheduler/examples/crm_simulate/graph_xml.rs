//! The transition graph as XML.

use cib::Element;
use scheduler::{Action, ActionKind, Graph};
use std::collections::BTreeMap;

/// The graph as Pacemaker's tools write it.
pub(crate) fn graph_xml(graph: &Graph) -> Element {
    let mut root = Element::new("transition_graph")
        .with(
            "cluster-delay",
            &format!("{}s", graph.cluster_delay_ms / 1000),
        )
        .with(
            "fencing-timeout",
            &format!("{}s", graph.fencing_timeout_ms / 1000),
        )
        .with("transition_id", "1");
    let by_id: BTreeMap<u32, &Action> = graph
        .synapses
        .iter()
        .map(|synapse| (synapse.action.id, &synapse.action))
        .collect();
    for synapse in &graph.synapses {
        let mut inputs = Element::new("inputs");
        for input in &synapse.inputs {
            if let Some(action) = by_id.get(input) {
                inputs = inputs.child(Element::new("trigger").child(action_xml(action, false)));
            } else {
                eprintln!(
                    "input {input} of {} is not in the graph",
                    synapse.action.key
                );
            }
        }
        let mut element = Element::new("synapse").with("id", &synapse.id.to_string());
        if synapse.priority > 0 {
            element.set("priority", &synapse.priority.to_string());
        }
        let set = Element::new("action_set").child(action_xml(&synapse.action, true));
        root = root.child(element.child(set).child(inputs));
    }
    root
}

fn action_xml(action: &Action, details: bool) -> Element {
    let tag = match action.kind {
        ActionKind::Rsc => "rsc_op",
        ActionKind::Pseudo => "pseudo_event",
        ActionKind::Crm => "crm_event",
    };
    let mut element = Element::new(tag)
        .with("id", &action.id.to_string())
        .with("operation", &action.operation)
        .with("operation_key", &action.key);
    if let Some(internal) = &action.internal_key {
        element.set("internal_operation_key", internal);
    }
    if let Some((id, name)) = &action.node {
        element.set("on_node", name);
        element.set("on_node_uuid", id);
    }
    if let Some(router) = &action.router_node {
        element.set("router_node", router);
    }
    if !details {
        return element;
    }
    if let Some(resource) = &action.resource {
        let mut primitive = Element::new("primitive").with("id", &resource.id);
        if let Some(long) = &resource.long_id {
            primitive.set("long-id", long);
        }
        primitive.set("class", &resource.class);
        if let Some(provider) = &resource.provider {
            primitive.set("provider", provider);
        }
        primitive.set("type", &resource.kind);
        element = element.child(primitive);
    }
    let mut attributes = Element::new("attributes");
    for (name, value) in &action.params {
        attributes.set(name, value);
    }
    for (name, value) in &action.meta {
        attributes.set(&format!("CRM_meta_{name}"), value);
    }
    element.child(attributes)
}
