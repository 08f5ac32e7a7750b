//! Do the names that objects use exist?

use std::collections::BTreeSet;

use super::{Findings, nearest};
use crate::config::{Config, referenced};
use crate::document::{Cib, Section};
use crate::tree::Element;

pub(super) fn check(cib: &Cib, findings: &mut Findings) {
    let config = Config::new(cib);
    let names = Names::of(cib);
    if let Some(configuration) = cib.section(Section::Configuration) {
        id_refs(configuration, &names, findings);
    }
    for resource in config.resources() {
        if let Some(template) = resource.element.attr("template")
            && !names.templates.contains(template)
        {
            let what = format!("template \"{template}\" does not exist");
            findings.error(resource.element, what, "create it, or name the agent here");
        }
    }
    for constraint in config.constraints() {
        constraint_names(constraint.element, &names, findings);
    }
    for level in levels(cib) {
        fencing_level(level, &names, findings);
    }
    for holder in section(cib, Section::Acls) {
        access(holder, &names, findings);
    }
    for tag in section(cib, Section::Tags) {
        for member in tag
            .all("obj_ref")
            .filter(|m| m.id().is_some_and(|id| !names.ids.contains(id)))
        {
            let what = format!("\"{}\" does not exist", member.id().unwrap_or_default());
            findings.notice(tag, what, "remove it from the tag");
        }
    }
}

struct Names<'a> {
    /// Everything a constraint may name.
    resources: BTreeSet<&'a str>,
    templates: BTreeSet<&'a str>,
    nodes: BTreeSet<&'a str>,
    /// Of access rules.
    roles: BTreeSet<&'a str>,
    ids: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(cib: &'a Cib) -> Self {
        let config = Config::new(cib);
        let templates: BTreeSet<&str> = config
            .templates()
            .into_iter()
            .filter_map(Element::id)
            .collect();
        let mut resources: BTreeSet<&str> = config.resources().iter().map(|r| r.id).collect();
        resources.extend(&templates);
        resources.extend(section(cib, Section::Tags).filter_map(Element::id));
        let mut nodes: BTreeSet<&str> = config.nodes().iter().map(|n| n.uname).collect();
        let states = cib.section(Section::Status);
        let states = states.into_iter().flat_map(|s| s.all("node_state"));
        nodes.extend(states.filter_map(|s| s.attr("uname")));
        nodes.extend(remote_nodes(&config));
        let mut ids = BTreeSet::new();
        if let Some(configuration) = cib.section(Section::Configuration) {
            collect_ids(configuration, &mut ids);
        }
        Self {
            resources,
            templates,
            nodes,
            roles: section(cib, Section::Acls)
                .filter(|e| e.name == "acl_role")
                .filter_map(Element::id)
                .collect(),
            ids,
        }
    }
}

/// Remote nodes carry the name of their resource, guest nodes that of a meta-attribute.
fn remote_nodes<'a>(config: &Config<'a>) -> Vec<&'a str> {
    let mut names = Vec::new();
    for resource in config.resources() {
        if config.agent(&resource).is_some_and(|a| a.kind == "remote") {
            names.push(resource.id);
        }
        let pairs = resource
            .element
            .all("meta_attributes")
            .flat_map(|s| s.all("nvpair"));
        let guests = pairs.filter(|p| p.attr("name") == Some("remote-node"));
        names.extend(guests.filter_map(|p| p.attr("value")));
    }
    names
}

fn constraint_names(element: &Element, names: &Names<'_>, findings: &mut Findings) {
    let known: Vec<&str> = names.resources.iter().copied().collect();
    for name in referenced(element) {
        if names.resources.contains(name) {
            continue;
        }
        let cure = match nearest(name, &known) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "create the resource, or delete the constraint".to_owned(),
        };
        findings.error(
            element,
            format!("resource \"{name}\" does not exist"),
            &cure,
        );
    }
    let mut nodes: Vec<&str> = element.attr("node").into_iter().collect();
    named_in_rules(element, &mut nodes, 0);
    for node in nodes.iter().filter(|n| !names.nodes.contains(**n)) {
        let what = format!("node \"{node}\" is not known");
        findings.notice(element, what, "check its name; it may join later");
    }
}

/// Nodes that the rules of a constraint name: `#uname eq NODE`.
fn named_in_rules<'a>(element: &'a Element, nodes: &mut Vec<&'a str>, depth: u32) {
    if depth > RULE_DEPTH_MAX {
        return;
    }
    for rule in element.all("rule") {
        let expressions = rule.all("expression").filter(|e| {
            e.attr("attribute") == Some("#uname")
                && matches!(e.attr("operation"), Some("eq" | "ne"))
                && matches!(e.attr("value-source"), None | Some("literal"))
        });
        nodes.extend(expressions.filter_map(|e| e.attr("value")));
        named_in_rules(rule, nodes, depth + 1);
    }
}

/// Deepest nesting of rules that is looked at.
const RULE_DEPTH_MAX: u32 = 32;

/// Most levels of a node (Pacemaker daemons/fenced, `ST_LEVEL_MAX` less one).
const FENCING_LEVEL_MAX: u64 = 9;

fn fencing_level(level: &Element, names: &Names<'_>, findings: &mut Findings) {
    let devices = level.attr("devices").unwrap_or_default();
    for device in devices
        .split(',')
        .map(str::trim)
        .filter(|d| !names.resources.contains(d))
    {
        let what = format!("fence device \"{device}\" does not exist");
        findings.error(level, what, "create it, or take it out of devices");
    }
    if let Some(target) = level.attr("target")
        && !names.nodes.contains(target)
    {
        let what = format!("node \"{target}\" is not known");
        findings.notice(level, what, "check its name; it may join later");
    }
    let index = level
        .attr("index")
        .and_then(|i| i.trim().parse::<u64>().ok());
    if index.is_some_and(|index| index > FENCING_LEVEL_MAX) {
        let what = format!("there is no level beyond {FENCING_LEVEL_MAX}, so it is ignored");
        findings.error(level, what, "number the levels of a node from 1");
    }
}

/// Roles that users have, and objects that permissions speak of.
fn access(holder: &Element, names: &Names<'_>, findings: &mut Findings) {
    for child in &holder.children {
        let (kind, name) = match child.name.as_str() {
            "role" | "role_ref" => ("role", child.id()),
            "acl_permission" => ("object", child.attr("reference")),
            _ => continue,
        };
        let known = match kind {
            "role" => &names.roles,
            _ => &names.ids,
        };
        if let Some(name) = name.filter(|name| !known.contains(name)) {
            let what = format!("{kind} \"{name}\" does not exist");
            findings.error(holder, what, "create it, or take it out");
        }
    }
}

fn id_refs(element: &Element, names: &Names<'_>, findings: &mut Findings) {
    if let Some(id) = element.attr("id-ref")
        && !names.ids.contains(id)
    {
        let what = format!("id-ref \"{id}\" leads nowhere");
        findings.error(
            element,
            what,
            "name an id that exists, or write the content here",
        );
    }
    element
        .children
        .iter()
        .for_each(|c| id_refs(c, names, findings));
}

fn collect_ids<'a>(element: &'a Element, ids: &mut BTreeSet<&'a str>) {
    ids.extend(crate::edit::defined_id(element));
    element.children.iter().for_each(|c| collect_ids(c, ids));
}

fn section(cib: &Cib, section: Section) -> impl Iterator<Item = &Element> {
    cib.section(section).into_iter().flat_map(|s| &s.children)
}

fn levels(cib: &Cib) -> impl Iterator<Item = &Element> {
    section(cib, Section::FencingTopology).filter(|l| l.name == "fencing-level")
}
