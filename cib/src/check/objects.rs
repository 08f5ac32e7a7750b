//! Are the objects complete: resources with agents, containers with members, pairs with names?

use std::collections::BTreeMap;

use super::Findings;
use crate::config::kind_of;
use crate::document::{Cib, Section};
use crate::tree::Element;
use crate::value::parse_interval_ms;

pub(super) fn check(cib: &Cib, findings: &mut Findings) {
    if let Some(configuration) = cib.section(Section::Configuration) {
        pairs(configuration, findings);
    }
    let Some(resources) = cib.section(Section::Resources) else {
        return;
    };
    for child in &resources.children {
        if kind_of(&child.name).is_none() && child.name != "template" {
            let what = format!("<{}> is not a resource", child.name);
            findings.error(
                child,
                what,
                "use primitive, group, clone, bundle or template",
            );
        }
        resource(child, findings);
    }
}

fn resource(element: &Element, findings: &mut Findings) {
    if element.id().is_none_or(str::is_empty) {
        let what = "a resource without id".to_owned();
        findings.error(element, what, "give it an id, its name");
    }
    match element.name.as_str() {
        "primitive" | "template" => {
            agent(element, findings);
            operations(element, findings);
        }
        "group" => members(element, findings),
        "clone" | "master" => {
            if element.name == "master" {
                let what = "<master> is the old form of a promotable clone".to_owned();
                findings.warning(
                    element,
                    what,
                    "write <clone> with the meta attribute promotable=true",
                );
            }
            members(element, findings);
        }
        _ => {}
    }
    let inner = element
        .children
        .iter()
        .filter(|c| kind_of(&c.name).is_some());
    inner.for_each(|c| resource(c, findings));
}

fn agent(element: &Element, findings: &mut Findings) {
    if element.attr("template").is_some() {
        return;
    }
    let (Some(class), Some(kind)) = (element.attr("class"), element.attr("type")) else {
        let what = "it names no agent".to_owned();
        findings.error(
            element,
            what,
            "set class and type, for example class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"",
        );
        return;
    };
    match class {
        "ocf" if element.attr("provider").is_none() => {
            let what = format!("agent ocf:{kind} has no provider");
            findings.error(element, what, "set provider, for example heartbeat");
        }
        "heartbeat" => {
            let what = "agents of class heartbeat are no longer run".to_owned();
            findings.error(element, what, &format!("use ocf:heartbeat:{kind}"));
        }
        _ if !CLASSES.contains(&class) => {
            let what = format!("there is no agent class \"{class}\"");
            findings.error(element, what, "use ocf, systemd, lsb, service or stonith");
        }
        _ => {}
    }
}

fn members(element: &Element, findings: &mut Findings) {
    let count = element
        .children
        .iter()
        .filter(|c| kind_of(&c.name).is_some())
        .count();
    let is_group = element.name == "group";
    if count == 0 {
        let what = format!("the {} has no members", element.name);
        findings.error(element, what, "add a primitive, or delete it");
    } else if !is_group && count > 1 {
        let what = format!("the {} has {count} members", element.name);
        findings.error(element, what, "put them into a group and clone that");
    }
    let wrong = element.children.iter().filter(|c| match kind_of(&c.name) {
        None => false,
        Some(crate::config::Kind::Primitive) => false,
        Some(crate::config::Kind::Group) => is_group,
        Some(_) => true,
    });
    for child in wrong {
        let what = format!("a {} cannot stand in a {}", child.name, element.name);
        findings.error(child, what, "take it out");
    }
}

/// Operations must differ in name or interval, whatever their roles (Pacemaker `is_op_dup`).
fn operations(element: &Element, findings: &mut Findings) {
    let mut seen: BTreeMap<(&str, u64), &str> = BTreeMap::new();
    for op in element.all("operations").flat_map(|o| o.all("op")) {
        let Some(name) = op.attr("name") else {
            if op.attr("id-ref").is_none() {
                findings.error(
                    op,
                    "an operation without name".to_owned(),
                    "set name, for example monitor",
                );
            }
            continue;
        };
        let interval = op.attr("interval").map_or(Ok(0), parse_interval_ms);
        let Ok(interval) = interval else { continue };
        let id = op.id().unwrap_or_default();
        if let Some(first) = seen.insert((name, interval), id) {
            let what = format!("same name and interval as operation \"{first}\"");
            findings.error(op, what, "change one interval, by a second if roles differ");
        }
    }
}

/// Name-value pairs, their sets and operations, wherever they stand.
fn pairs(element: &Element, findings: &mut Findings) {
    let needs_id = NEED_ID.contains(&element.name.as_str());
    if needs_id && element.id().is_none() && element.attr("id-ref").is_none() {
        let what = format!("a {} without id", element.name);
        findings.error(element, what, "give it an id that nothing else has");
    }
    if element.name == "nvpair"
        && element.attr("name").is_none()
        && element.attr("id-ref").is_none()
    {
        findings.error(
            element,
            "a pair without name".to_owned(),
            "set name and value",
        );
    }
    element.children.iter().for_each(|c| pairs(c, findings));
}

const CLASSES: [&str; 8] = [
    "ocf", "systemd", "lsb", "service", "stonith", "fencing", "upstart", "nagios",
];
const NEED_ID: [&str; 16] = [
    "nvpair",
    "cluster_property_set",
    "meta_attributes",
    "instance_attributes",
    "utilization",
    "op",
    "rule",
    "expression",
    "node",
    "rsc_location",
    "rsc_colocation",
    "rsc_order",
    "rsc_ticket",
    "resource_set",
    "fencing-level",
    "alert",
];
