//! The transition graph as Pacemaker's tools write it.

use cib::Element;
use scheduler::{Action, ActionKind, Plan};
use std::collections::BTreeMap;

/// The graph of a plan that was made with these cluster properties.
pub(super) fn graph_xml(options: &BTreeMap<String, String>, plan: &Plan) -> Element {
    let mut root = header(options, plan);
    let actions = plan.graph.synapses.iter().map(|s| (s.action.id, &s.action));
    let by_id: BTreeMap<u32, &Action> = actions.collect();
    for synapse in &plan.graph.synapses {
        let mut inputs = Element::new("inputs");
        for action in synapse.inputs.iter().filter_map(|input| by_id.get(input)) {
            let trigger = Element::new("trigger").child(action_xml(action, false));
            inputs.children.push(trigger);
        }
        let mut element = Element::new("synapse").with("id", &synapse.id.to_string());
        if synapse.priority > 0 {
            element.set("priority", &synapse.priority.to_string());
        }
        let set = Element::new("action_set").child(action_xml(&synapse.action, true));
        root.children.push(element.child(set).child(inputs));
    }
    root
}

/// Options stand in the header as they are written.
fn header(options: &BTreeMap<String, String>, plan: &Plan) -> Element {
    let option = |names: &[&str]| {
        let set = names.iter().find_map(|name| options.get(*name));
        set.map(String::as_str)
    };
    let fatal = option(&["start-failure-is-fatal"]);
    let fatal = fatal.is_none_or(|v| cib::value::parse_bool(v).unwrap_or(true));
    let fencing = option(&["fencing-timeout", "stonith-timeout"]).unwrap_or("60s");
    let start_offset = if fatal { "INFINITY" } else { "1" };
    let mut root = Element::new("transition_graph")
        .with("cluster-delay", option(&["cluster-delay"]).unwrap_or("60s"))
        .with("fencing-timeout", fencing)
        .with("failed-stop-offset", "INFINITY")
        .with("failed-start-offset", start_offset)
        .with("batch-limit", &plan.graph.batch_limit.to_string())
        .with("transition_id", "1");
    let limit = option(&["migration-limit"]).and_then(|v| v.parse::<i64>().ok());
    if let Some(limit) = limit.filter(|limit| *limit > 0) {
        root.set("migration-limit", &limit.to_string());
    }
    if let Some(at) = plan.recheck_at {
        root.set("recheck-by", &at.to_string());
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
        element.children.push(primitive);
    }
    element.children.push(attributes(action));
    element.children.extend(downed(action));
    element
}

fn attributes(action: &Action) -> Element {
    let mut attributes = Element::new("attributes");
    for (name, value) in &action.params {
        // Old agents number their parameters; XML has no such names
        // (Pacemaker nvpair.c:hash2smartfield).
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            let param = Element::new("param").with("name", name);
            attributes.children.push(param.with("value", value));
        } else {
            attributes.set(name, value);
        }
    }
    for (name, value) in action.meta.iter() {
        attributes.set(&format!("CRM_meta_{name}"), value);
    }
    attributes.set("crm_feature_set", cib::document::FEATURE_SET);
    attributes.attrs.sort();
    attributes
}

/// Nodes that the action takes down (Pacemaker pcmk_graph_producer.c:add_downed_nodes).
fn downed(action: &Action) -> Option<Element> {
    let (id, _) = action.node.as_ref()?;
    let off = action.meta.get("stonith_action");
    let fences = off.is_some_and(|how| how == "reboot" || how == "off");
    let down = match action.operation.as_str() {
        "do_shutdown" => id.as_str(),
        "stonith" if fences => id.as_str(),
        "stop" => {
            // The node that a remote connection leads to is lost with it, unless that moves.
            let resource = action.resource.as_ref();
            resource
                .filter(|r| r.class == "ocf" && r.kind == "remote")?
                .id
                .as_str()
        }
        _ => return None,
    };
    let node = Element::new("node").with("id", down);
    Some(Element::new("downed").child(node))
}
