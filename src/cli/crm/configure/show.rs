//! The configuration as crmsh prints it; what [`super`] reads back.

use super::parse::show_score;
use crate::cli::crm::words::quote;
use cib::config::kind_of;
use cib::{Cib, Element, Section};
use std::fmt::Write as _;

/// What `show` prints: something that has a name of its own.
pub(super) struct Object<'a> {
    /// Its name.
    pub(super) id: String,
    /// What it is, in crmsh's words.
    pub(super) kind: &'static str,
    /// Where it stands; none for what is made of several.
    pub(super) element: Option<&'a Element>,
    /// How it is printed.
    pub(super) text: String,
}

impl<'a> Object<'a> {
    fn new(id: &str, kind: &'static str, element: &'a Element, text: String) -> Self {
        Self {
            id: id.to_owned(),
            kind,
            element: Some(element),
            text,
        }
    }
}

/// Everything, in crmsh's order: nodes, primitives, groups, clones, constraints, options.
pub(super) fn objects(cib: &Cib) -> Vec<Object<'_>> {
    let children = |section| cib.section(section).map_or(&[][..], |s| &s.children[..]);
    let mut list = Vec::new();
    for node in children(Section::Nodes) {
        let name = node.attr("uname").or_else(|| node.id()).unwrap_or_default();
        list.push(Object::new(name, "node", node, show_node(node)));
    }
    resources(children(Section::Resources), &mut list);
    constraints(children(Section::Constraints), &mut list);
    for (section, word) in [
        (Section::CrmConfig, "property"),
        (Section::RscDefaults, "rsc_defaults"),
        (Section::OpDefaults, "op_defaults"),
    ] {
        sets(children(section), word, &mut list);
    }
    topology(children(Section::FencingTopology), &mut list);
    for element in children(Section::Acls) {
        let kind = match element.name.as_str() {
            "acl_role" => "role",
            "acl_group" => "acl_group",
            _ => "acl_target",
        };
        list.push(Object::new(&called(element), kind, element, raw(element)));
    }
    for tag in children(Section::Tags) {
        list.push(Object::new(&called(tag), "tag", tag, show_tag(tag)));
    }
    for alert in children(Section::Alerts) {
        list.push(Object::new(
            &called(alert),
            "alert",
            alert,
            show_alert(alert),
        ));
    }
    list
}

fn resources<'a>(elements: &'a [Element], list: &mut Vec<Object<'a>>) {
    let mut resources = Vec::new();
    collect(elements, &mut resources);
    for (tag, kind) in [
        ("template", "rsc_template"),
        ("primitive", "primitive"),
        ("group", "group"),
        ("master", "ms"),
        ("clone", "clone"),
        ("bundle", "bundle"),
    ] {
        let of_kind = resources.iter().filter(|e| e.name == tag);
        let mut of_kind: Vec<&Element> = of_kind.copied().collect();
        if tag == "primitive" {
            of_kind.sort_by_key(|e| e.id());
        }
        for element in of_kind {
            let id = element.id().unwrap_or_default();
            list.push(Object::new(id, kind, element, show_resource(element)));
        }
    }
}

fn constraints<'a>(elements: &'a [Element], list: &mut Vec<Object<'a>>) {
    let mut constraints: Vec<&Element> = elements.iter().collect();
    constraints.sort_by_key(|e| e.id());
    for element in constraints {
        let kind = match element.name.as_str() {
            "rsc_location" => "location",
            "rsc_colocation" => "colocation",
            "rsc_order" => "order",
            _ => "rsc_ticket",
        };
        let id = element.id().unwrap_or_default();
        list.push(Object::new(id, kind, element, show_constraint(element)));
    }
}

fn sets<'a>(sets: &'a [Element], word: &'static str, list: &mut Vec<Object<'a>>) {
    for set in sets {
        let id = set.id().unwrap_or_default();
        let text = match set.first("rule") {
            // An emptied set says nothing, and cannot be read back.
            None if set.children.is_empty() => continue,
            Some(_) => raw(set),
            None => format!("{word} {id}:{}", broken_pairs(set)),
        };
        list.push(Object::new(id, word, set, text));
    }
}

fn topology<'a>(levels: &'a [Element], list: &mut Vec<Object<'a>>) {
    let kind = "fencing_topology";
    match show_topology(levels) {
        Some(text) => list.push(Object {
            id: kind.to_owned(),
            kind,
            element: None,
            text,
        }),
        None => {
            let levels = levels.iter();
            list.extend(levels.map(|l| Object::new(&called(l), kind, l, raw(l))));
        }
    }
}

fn collect<'a>(elements: &'a [Element], into: &mut Vec<&'a Element>) {
    for element in elements {
        if kind_of(&element.name).is_some() || element.name == "template" {
            into.push(element);
            collect(&element.children, into);
        }
    }
}

fn show_node(node: &Element) -> String {
    let id = node.id().unwrap_or_default();
    let name = node.attr("uname").unwrap_or(id);
    let mut text = format!("node {id}: {name}");
    if let Some(kind) = node.attr("type").filter(|t| *t != "member") {
        text = format!("node {id}: {name}:{kind}");
    }
    push_sets(&mut text, node, "attributes");
    text
}

fn show_resource(element: &Element) -> String {
    let id = element.id().unwrap_or_default();
    let mut text = match element.name.as_str() {
        "primitive" => format!("primitive {id} {}", agent(element)),
        "template" => format!("rsc_template {id} {}", agent(element)),
        "bundle" => return raw(element),
        tag => {
            let members: Vec<&str> = element
                .children
                .iter()
                .filter(|c| kind_of(&c.name).is_some())
                .filter_map(Element::id)
                .collect();
            let word = if tag == "master" { "ms" } else { tag };
            format!("{word} {id} {}", members.join(" "))
        }
    };
    if let Some(description) = element.attr("description") {
        let _ = write!(text, " \\\n\tdescription={}", quote(description));
    }
    push_sets(&mut text, element, "params");
    text
}

/// crmsh leaves `ocf:heartbeat:` out.
fn agent(element: &Element) -> String {
    if let Some(template) = element.attr("template") {
        return format!("@{template}");
    }
    let kind = element.attr("type").unwrap_or_default();
    let class = element.attr("class").unwrap_or_default();
    match element.attr("provider") {
        Some("heartbeat") if class == "ocf" => kind.to_owned(),
        Some(provider) => format!("{class}:{provider}:{kind}"),
        None => format!("{class}:{kind}"),
    }
}

/// Attribute sets and operations, a line each, in document order.
fn push_sets(text: &mut String, element: &Element, instance_word: &str) {
    for child in &element.children {
        let word = match child.name.as_str() {
            "instance_attributes" => instance_word,
            "meta_attributes" => "meta",
            "utilization" => "utilization",
            "operations" => {
                push_operations(text, child);
                continue;
            }
            _ => continue,
        };
        let _ = write!(text, " \\\n\t{word}{}", pairs(child));
    }
}

fn push_operations(text: &mut String, operations: &Element) {
    if let Some(id) = operations.id() {
        let _ = write!(text, " \\\n\toperations $id={}", quote(id));
    }
    if let Some(reference) = operations.attr("id-ref") {
        let _ = write!(text, " \\\n\toperations $id-ref={}", quote(reference));
    }
    for op in operations.all("op") {
        let name = op.attr("name").unwrap_or_default();
        let _ = write!(text, " \\\n\top {name}");
        for (name, value) in &op.attrs {
            if name == "id" || name == "name" || (name == "interval" && value == "0s") {
                continue;
            }
            let _ = write!(text, " {name}={}", quote(value));
        }
        for set in &op.children {
            match set.name.as_str() {
                // Parameters of an operation read back without a keyword.
                "instance_attributes" => text.push_str(&pairs(set)),
                "meta_attributes" => {
                    let _ = write!(text, " op_meta{}", pairs(set));
                }
                _ => {}
            }
        }
    }
}

/// ` name=value name=value`.
fn pairs(set: &Element) -> String {
    let mut text = String::new();
    if let Some(reference) = set.attr("id-ref") {
        let _ = write!(text, " $id-ref={}", quote(reference));
    }
    if set.first("rule").is_some() {
        let _ = write!(text, " $id={} rule …", quote(set.id().unwrap_or_default()));
    }
    for pair in set.all("nvpair") {
        let name = pair.attr("name").unwrap_or_default();
        match pair.attr("value") {
            Some(value) => {
                let _ = write!(text, " {name}={}", quote(value));
            }
            None => {
                let _ = write!(text, " {name}");
            }
        }
    }
    text
}

/// The same, a line each.
fn broken_pairs(set: &Element) -> String {
    let mut text = String::new();
    for pair in set.all("nvpair") {
        let name = pair.attr("name").unwrap_or_default();
        let value = quote(pair.attr("value").unwrap_or_default());
        let _ = write!(text, " \\\n\t{name}={value}");
    }
    text
}

fn show_constraint(element: &Element) -> String {
    let id = element.id().unwrap_or_default();
    match element.name.as_str() {
        "rsc_location" => show_location(id, element),
        "rsc_colocation" => show_colocation(id, element),
        "rsc_order" => show_order(id, element),
        "rsc_ticket" => show_ticket(id, element),
        _ => raw(element),
    }
}

fn show_location(id: &str, element: &Element) -> String {
    let target = match (element.attr("rsc"), element.attr("rsc-pattern")) {
        (Some(rsc), _) => rsc.to_owned(),
        (None, Some(pattern)) => format!("/{pattern}/"),
        (None, None) => format!("{{ {} }}", set_members(element, "role").join(" ")),
    };
    let mut text = format!("location {id} {target}");
    for name in ["role", "resource-discovery"] {
        if let Some(value) = element.attr(name) {
            let _ = write!(text, " {name}={}", quote(value));
        }
    }
    if let (Some(score), Some(node)) = (element.attr("score"), element.attr("node")) {
        let _ = write!(text, " {}: {node}", show_score(score));
    }
    for rule in element.all("rule") {
        let _ = write!(text, " \\\n\trule{}", show_rule(rule));
    }
    text
}

fn show_rule(rule: &Element) -> String {
    let mut text = String::new();
    if let Some(role) = rule.attr("role") {
        let _ = write!(text, " $role={role}");
    }
    match (rule.attr("score"), rule.attr("score-attribute")) {
        (Some(score), _) => {
            let _ = write!(text, " {}:", show_score(score));
        }
        (None, Some(attribute)) => {
            let _ = write!(text, " {attribute}:");
        }
        (None, None) => {}
    }
    let operator = format!(" {} ", rule.attr("boolean-op").unwrap_or("and"));
    let expressions: Vec<String> = rule.children.iter().map(show_expression).collect();
    let _ = write!(text, " {}", expressions.join(&operator));
    text
}

fn show_expression(element: &Element) -> String {
    let attr = |name: &str| element.attr(name).unwrap_or_default();
    match (element.name.as_str(), attr("operation")) {
        ("expression", operation @ ("defined" | "not_defined")) => {
            format!("{operation} {}", attr("attribute"))
        }
        ("expression", operation) => {
            let kind = element
                .attr("type")
                .map(|t| format!("{t}:"))
                .unwrap_or_default();
            format!(
                "{} {kind}{operation} {}",
                attr("attribute"),
                quote(attr("value"))
            )
        }
        ("date_expression", "lt") => format!("date lt {}", quote(attr("end"))),
        ("date_expression", "gt") => format!("date gt {}", quote(attr("start"))),
        ("date_expression", operation) => {
            let word = if operation == "date_spec" {
                "spec"
            } else {
                "in"
            };
            let mut text = format!("date {word}");
            for name in ["start", "end"] {
                if let Some(value) = element.attr(name) {
                    let _ = write!(text, " {name}={}", quote(value));
                }
            }
            let inner = element.children.iter().flat_map(|c| &c.attrs);
            for (name, value) in inner.filter(|(n, _)| n != "id") {
                let _ = write!(text, " {name}={}", quote(value));
            }
            text
        }
        _ => "…".to_owned(),
    }
}

fn show_colocation(id: &str, element: &Element) -> String {
    let score = show_score(element.attr("score").unwrap_or("INFINITY"));
    let mut text = format!("colocation {id} {score}:");
    for (name, role) in [("rsc", "rsc-role"), ("with-rsc", "with-rsc-role")] {
        if let Some(rsc) = element.attr(name) {
            let _ = write!(text, " {}", suffixed(rsc, element.attr(role)));
        }
    }
    for word in set_members(element, "role") {
        let _ = write!(text, " {word}");
    }
    for name in ["node-attribute", "influence"] {
        if let Some(value) = element.attr(name) {
            let _ = write!(text, " {name}={}", quote(value));
        }
    }
    text
}

fn show_order(id: &str, element: &Element) -> String {
    let mut text = format!("order {id}");
    if let Some(kind) = element.attr("kind") {
        let _ = write!(text, " {kind}:");
    } else if let Some(score) = element.attr("score") {
        let _ = write!(text, " {}:", show_score(score));
    }
    for (name, action) in [("first", "first-action"), ("then", "then-action")] {
        if let Some(rsc) = element.attr(name) {
            let _ = write!(text, " {}", suffixed(rsc, element.attr(action)));
        }
    }
    for word in set_members(element, "action") {
        let _ = write!(text, " {word}");
    }
    if let Some(value) = element.attr("symmetrical") {
        let _ = write!(text, " symmetrical={value}");
    }
    text
}

fn set_members(element: &Element, suffix: &str) -> Vec<String> {
    let mut words = Vec::new();
    for set in element.all("resource_set") {
        let brackets = match (set.attr("require-all"), set.attr("sequential")) {
            (Some("false"), _) => Some(["[", "]"]),
            (_, Some("false")) => Some(["(", ")"]),
            _ => None,
        };
        words.extend(brackets.map(|b| b[0].to_owned()));
        let members = set.all("resource_ref").filter_map(Element::id);
        words.extend(members.map(|m| suffixed(m, set.attr(suffix))));
        words.extend(brackets.map(|b| b[1].to_owned()));
    }
    words
}

fn suffixed(id: &str, suffix: Option<&str>) -> String {
    match suffix {
        Some(suffix) => format!("{id}:{suffix}"),
        None => id.to_owned(),
    }
}

fn called(element: &Element) -> String {
    element.id().unwrap_or_default().to_owned()
}

fn show_ticket(id: &str, element: &Element) -> String {
    let mut text = format!(
        "rsc_ticket {id} {}:",
        element.attr("ticket").unwrap_or_default()
    );
    if let Some(rsc) = element.attr("rsc") {
        let _ = write!(text, " {}", suffixed(rsc, element.attr("rsc-role")));
    }
    for word in set_members(element, "role") {
        let _ = write!(text, " {word}");
    }
    if let Some(policy) = element.attr("loss-policy") {
        let _ = write!(text, " loss-policy={}", quote(policy));
    }
    text
}

/// All levels in one command; `None` where there are none, or they cannot be written so.
fn show_topology(levels: &[Element]) -> Option<String> {
    let mut targets: Vec<(String, Vec<(u32, &str)>)> = Vec::new();
    for level in levels {
        let attr = |name: &str| level.attr(name);
        let target = match (
            attr("target"),
            attr("target-pattern"),
            attr("target-attribute"),
        ) {
            (Some(node), ..) => node.to_owned(),
            (None, Some(pattern), _) => format!("pattern:{pattern}"),
            (None, None, Some(name)) => format!("attr:{name}={}", attr("target-value")?),
            (None, None, None) => return None,
        };
        let level = (attr("index")?.parse().ok()?, attr("devices")?);
        match targets.iter_mut().find(|(t, _)| *t == target) {
            Some((_, levels)) => levels.push(level),
            None => targets.push((target, vec![level])),
        }
    }
    let mut text = String::from("fencing_topology");
    for (target, mut levels) in targets {
        levels.sort_unstable();
        // Levels are numbered by their order.
        if !levels
            .iter()
            .map(|(n, _)| *n)
            .eq(1..=u32::try_from(levels.len()).unwrap_or(u32::MAX))
        {
            return None;
        }
        let devices: Vec<&str> = levels.iter().map(|(_, devices)| *devices).collect();
        let _ = write!(text, " \\\n\t{target}: {}", devices.join(" "));
    }
    (!levels.is_empty()).then_some(text)
}

fn show_tag(element: &Element) -> String {
    let members: Vec<&str> = element.all("obj_ref").filter_map(Element::id).collect();
    format!("tag {}: {}", called(element), members.join(" "))
}

fn show_alert(element: &Element) -> String {
    let path = element.attr("path").unwrap_or_default();
    let mut text = format!("alert {} {}", called(element), quote(path));
    if let Some(description) = element.attr("description") {
        let _ = write!(text, " \\\n\tdescription={}", quote(description));
    }
    push_sets(&mut text, element, "attributes");
    if let Some(select) = element.first("select") {
        text.push_str(" \\\n\tselect");
        for kind in &select.children {
            let _ = write!(text, " {}", kind.name.trim_start_matches("select_"));
            let names = kind.all("attribute").filter_map(|a| a.attr("name"));
            let names: Vec<String> = names.map(quote).collect();
            if !names.is_empty() {
                let _ = write!(text, " {{ {} }}", names.join(" "));
            }
        }
    }
    for recipient in element.all("recipient") {
        let value = recipient.attr("value").unwrap_or_default();
        let _ = write!(text, " \\\n\tto {}", quote(value));
        for (tag, word) in [
            ("instance_attributes", "attributes"),
            ("meta_attributes", "meta"),
        ] {
            if let Some(set) = recipient.first(tag) {
                let _ = write!(text, " {word}{}", pairs(set));
            }
        }
    }
    text
}

/// What has no line of its own is shown, and read back, as XML.
fn raw(element: &Element) -> String {
    format!("xml {}", cib::xml::compact(element))
}
