//! Do the objects make sense: nodes that differ, agents that still run, operations that differ?

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use crate::config::kind_of;
use crate::document::{Cib, Section};
use crate::tree::Element;
use crate::value::parse_interval_ms;

pub(super) fn check(cib: &Cib, findings: &mut Findings) {
    nodes(cib, findings);
    let resources = cib.section(Section::Resources).into_iter();
    for child in resources.flat_map(|s| &s.children) {
        resource(child, findings);
    }
}

fn nodes(cib: &Cib, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    let nodes = cib.section(Section::Nodes).into_iter();
    for node in nodes.flat_map(|s| s.all("node")) {
        if let Some(name) = node.attr("uname").filter(|name| !seen.insert(*name)) {
            let what = format!("another node has the name \"{name}\"");
            findings.error(node, what, "delete the one that is no longer there");
        }
        if node.attr("type") == Some("ping") {
            let what = "there are no nodes of type ping any more".to_owned();
            findings.warning(
                node,
                what,
                "delete it, and clone ocf:pacemaker:ping instead",
            );
        }
    }
}

fn resource(element: &Element, findings: &mut Findings) {
    match element.name.as_str() {
        "primitive" | "template" => {
            if let (Some("heartbeat"), Some(kind)) = (element.attr("class"), element.attr("type")) {
                let what = "agents of class heartbeat are no longer run".to_owned();
                findings.error(element, what, &format!("use ocf:heartbeat:{kind}"));
            }
            operations(element, findings);
        }
        "master" => {
            let what = "<master> is the old form of a promotable clone".to_owned();
            findings.notice(
                element,
                what,
                "write <clone> with the meta attribute promotable=true",
            );
        }
        _ => {}
    }
    let inner = element
        .children
        .iter()
        .filter(|c| kind_of(&c.name).is_some());
    inner.for_each(|c| resource(c, findings));
}

/// Operations must differ in name or interval, whatever their roles (Pacemaker `is_op_dup`, which
/// looks at those that are repeated).
fn operations(element: &Element, findings: &mut Findings) {
    let mut seen: BTreeMap<(&str, u64), &str> = BTreeMap::new();
    for op in element.all("operations").flat_map(|o| o.all("op")) {
        let Some(name) = op.attr("name") else {
            continue;
        };
        let interval = op.attr("interval").map_or(Ok(0), parse_interval_ms);
        let Ok(interval) = interval else { continue };
        let id = op.id().unwrap_or_default();
        if let Some(first) = seen.insert((name, interval), id) {
            let what = format!("same name and interval as operation \"{first}\"");
            match interval {
                0 => findings.notice(op, what, "leave one of them"),
                _ => findings.error(op, what, "change one interval, by a second if roles differ"),
            }
        }
    }
}
