//! `pcs resource config` and `status`: resources as text, as commands that make them again, as JSON.

use super::super::Context;
use super::super::change::known;
use super::super::flags::Format;
use super::super::level::misused;
use crate::cli::backend;
use crate::cli::exit::{Exit, Failure};
use crate::view;
use cib::config::Config;
use cib::{Cib, Element, Section};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// `status [RESOURCE] [node=NODE]`: as crm_mon lists them.
pub(super) fn status(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let text = list_of(cx, words, false)?;
    cx.console.print(&text);
    Ok(())
}

/// The resources, or the fence devices, as crm_mon lists them.
///
/// # Errors
/// A resource or node that there is not.
pub(in crate::cli::pcs) fn list_of(
    cx: &mut Context<'_>,
    words: &[String],
    fencing: bool,
) -> Result<String, Failure> {
    let mut resource = None;
    let mut node = None;
    for word in words {
        match word.split_once('=') {
            Some(("node", name)) => node = Some(name),
            None if resource.is_none() => resource = Some(word.as_str()),
            _ => return Err(misused()),
        }
    }
    let cib = cx.cib()?;
    if let Some(id) = resource {
        known(&cib, id)?;
    }
    if let Some(name) = node {
        super::super::change::known_node(&cib, name)?;
    }
    let mut status = backend::status(cx.backend)?;
    let config = Config::new(&cib);
    let is_fencing = |id: &str| {
        let found = config.resource(id).and_then(|r| config.agent(&r));
        found.is_some_and(|a| a.class == "stonith")
    };
    status.resources.retain(|r| is_fencing(&r.id) == fencing);
    if let Some(id) = resource {
        status = view::only_resource(status, id);
    }
    if let Some(name) = node {
        status = view::only_node(status, name);
    }
    let options = view::text::Options {
        inactive: !cx.flags.has("hide-inactive"),
        ..view::text::Options::default()
    };
    let text = view::text::resource_list(&status, options);
    let (_, lines) = text.split_once('\n').unwrap_or_default();
    Ok(match (status.resources.is_empty(), fencing) {
        (true, true) => "NO stonith devices configured\n".to_owned(),
        (true, false) => "NO resources configured\n".to_owned(),
        _ => lines.to_owned(),
    })
}

/// `config [RESOURCE]…`.
pub(super) fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let cib = cx.cib()?;
    let chosen = chosen(&cib, words, false)?;
    let text = match cx.flags.format()? {
        Format::Text => text(&chosen, 0),
        Format::Cmd => commands(&chosen),
        Format::Json => format!("{}\n", to_json(&chosen)),
    };
    cx.console.print(&text);
    Ok(())
}

/// The resources of these ids; without ids, all of them: fence devices or the others.
///
/// # Errors
/// One that there is not.
pub(in crate::cli::pcs) fn chosen<'a>(
    cib: &'a Cib,
    ids: &[String],
    fencing: bool,
) -> Result<Vec<&'a Element>, Failure> {
    let config = Config::new(cib);
    let mut found = Vec::new();
    for id in ids {
        known(cib, id)?;
        found.extend(config.resource(id).map(|r| r.element));
    }
    if ids.is_empty() {
        let section = cib.section(Section::Resources);
        let all = section.into_iter().flat_map(|s| &s.children);
        found.extend(all.filter(|e| (e.attr("class") == Some("stonith")) == fencing));
    }
    Ok(found)
}

/// As text; primitives first, then groups, then clones.
pub(in crate::cli::pcs) fn text(elements: &[&Element], indent: usize) -> String {
    let mut text = String::new();
    for tags in [&["primitive"][..], &["group"], &["clone", "master"]] {
        let of_kind = elements.iter().filter(|e| tags.contains(&e.name.as_str()));
        for element in of_kind {
            describe(element, indent, &mut text);
        }
    }
    text
}

fn describe(element: &Element, indent: usize, text: &mut String) {
    let margin = " ".repeat(indent);
    let id = element.id().unwrap_or_default();
    let _ = match element.name.as_str() {
        "primitive" => {
            let words = [
                ("class", "class"),
                ("provider", "provider"),
                ("type", "type"),
            ];
            let words = words
                .iter()
                .filter_map(|(n, a)| Some(format!("{n}={}", element.attr(a)?)));
            let words: Vec<String> = match element.attr("template") {
                Some(template) => vec![format!("template={template}")],
                None => words.collect(),
            };
            writeln!(text, "{margin}Resource: {id} ({})", words.join(" "))
        }
        "group" => writeln!(text, "{margin}Group: {id}"),
        _ => writeln!(text, "{margin}Clone: {id}"),
    };
    if let Some(description) = element.attr("description") {
        let _ = writeln!(text, "{margin}  Description: {description}");
    }
    for (tag, heading) in SETS {
        for set in element.all(tag) {
            let _ = writeln!(
                text,
                "{margin}  {heading}: {}",
                set.id().unwrap_or_default()
            );
            for (name, value) in sorted(set) {
                let _ = writeln!(text, "{margin}    {name}={}", quoted(value));
            }
        }
    }
    let ops: Vec<&Element> = element
        .all("operations")
        .flat_map(|o| o.all("op"))
        .collect();
    if !ops.is_empty() {
        let _ = writeln!(text, "{margin}  Operations:");
    }
    for op in ops {
        let _ = writeln!(
            text,
            "{margin}    {}: {}",
            op.attr("name").unwrap_or_default(),
            op.id().unwrap_or_default()
        );
        for (name, value) in op_options(op) {
            let _ = writeln!(text, "{margin}      {name}={}", quoted(value));
        }
    }
    for member in members(element) {
        describe(member, indent + 2, text);
    }
}

fn members(element: &Element) -> impl Iterator<Item = &Element> {
    let tags = ["primitive", "group"];
    let children = element.children.iter();
    children.filter(move |c| tags.contains(&c.name.as_str()))
}

/// Pairs of a set by name.
pub(in crate::cli::pcs) fn sorted(set: &Element) -> Vec<(&str, &str)> {
    let pairs = set.all("nvpair");
    let mut pairs: Vec<(&str, &str)> = pairs
        .filter_map(|p| Some((p.attr("name")?, p.attr("value").unwrap_or_default())))
        .collect();
    pairs.sort_unstable();
    pairs
}

fn op_options(op: &Element) -> Vec<(&str, &str)> {
    let named = OP_ORDER.iter().filter_map(|n| Some((*n, op.attr(n)?)));
    let params = op.all("instance_attributes").flat_map(sorted);
    named.chain(params).collect()
}

/// A value with blanks is quoted.
pub(in crate::cli::pcs) fn quoted(value: &str) -> String {
    match value.contains([' ', '"', '\t']) || value.is_empty() {
        false => value.to_owned(),
        true => format!("\"{}\"", value.replace('"', "\\\"")),
    }
}

/// A word for a shell.
pub(in crate::cli::pcs) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\"'\"'")),
    }
}

fn shell_pairs(pairs: Vec<(&str, &str)>) -> String {
    let words: Vec<String> = pairs
        .iter()
        .map(|(n, v)| shell(&format!("{n}={v}")))
        .collect();
    words.join(" ")
}

/// Commands that make the resources again.
pub(in crate::cli::pcs) fn commands(elements: &[&Element]) -> String {
    let mut found = Vec::new();
    primitives(elements, &mut found);
    for tag in ["group", "clone"] {
        let mut containers = Vec::new();
        collect(elements, tag, &mut containers);
        for element in containers {
            let id = element.id().unwrap_or_default();
            let names: Vec<&str> = members(element).filter_map(Element::id).collect();
            let meta: Vec<(&str, &str)> = element.all("meta_attributes").flat_map(sorted).collect();
            let mut command = match tag {
                "group" => format!("pcs resource group add {id} \\\n  {}", names.join(" ")),
                _ => format!("pcs resource clone {} {id}", names.join(" ")),
            };
            if !meta.is_empty() && tag == "group" {
                let _ = write!(command, ";\npcs resource meta {id} {}", shell_pairs(meta));
            } else if !meta.is_empty() {
                let _ = write!(command, " \\\n  meta {}", shell_pairs(meta));
            }
            found.push(command);
        }
    }
    match found.is_empty() {
        true => String::new(),
        false => format!("{}\n", found.join(";\n")),
    }
}

fn collect<'a>(elements: &[&'a Element], tag: &str, found: &mut Vec<&'a Element>) {
    for element in elements {
        if element.name == tag {
            found.push(element);
        }
        collect(&members(element).collect::<Vec<_>>(), tag, found);
    }
}

fn primitives(elements: &[&Element], found: &mut Vec<String>) {
    let mut all = Vec::new();
    collect(elements, "primitive", &mut all);
    for element in all {
        let id = element.id().unwrap_or_default();
        let fencing = element.attr("class") == Some("stonith");
        let mut agent: Vec<&str> = ["class", "provider", "type"]
            .iter()
            .filter_map(|n| element.attr(n))
            .collect();
        if fencing {
            agent.remove(0);
        }
        let verb = if fencing { "stonith" } else { "resource" };
        let mut command = format!(
            "pcs {verb} create --no-default-ops --force -- {id} {}",
            agent.join(":")
        );
        let of = |tag: &'static str| element.all(tag).flat_map(sorted).collect::<Vec<_>>();
        let params = of("instance_attributes");
        if !params.is_empty() {
            let _ = write!(command, " \\\n  {}", shell_pairs(params));
        }
        let ops: Vec<String> = element
            .all("operations")
            .flat_map(|o| o.all("op"))
            .map(|op| {
                let mut options = op_options(op);
                options.insert(1.min(options.len()), ("id", op.id().unwrap_or_default()));
                format!(
                    "    {} {}",
                    op.attr("name").unwrap_or_default(),
                    shell_pairs(options)
                )
            })
            .collect();
        if !ops.is_empty() {
            let _ = write!(command, " \\\n  op \\\n{}", ops.join(" \\\n"));
        }
        let meta = of("meta_attributes");
        if !meta.is_empty() {
            let _ = write!(command, " \\\n  meta {}", shell_pairs(meta));
        }
        let utilization = of("utilization");
        if !utilization.is_empty() {
            let words = shell_pairs(utilization);
            let _ = write!(command, ";\npcs resource utilization {id} {words}");
        }
        found.push(command);
    }
}

/// As pcs 0.11 writes its resources: primitives, clones, groups, bundles.
pub(in crate::cli::pcs) fn to_json(elements: &[&Element]) -> Value {
    let of = |tag: &str, f: fn(&Element) -> Value| -> Vec<Value> {
        let mut found = Vec::new();
        collect(elements, tag, &mut found);
        found.into_iter().map(f).collect()
    };
    json!({
        "primitives": of("primitive", primitive_json),
        "clones": of("clone", |e| json!({
            "id": e.id(),
            "description": e.attr("description"),
            "member_id": members(e).next().and_then(Element::id),
            "meta_attributes": sets_json(e, "meta_attributes"),
            "instance_attributes": sets_json(e, "instance_attributes"),
        })),
        "groups": of("group", |e| json!({
            "id": e.id(),
            "description": e.attr("description"),
            "member_ids": members(e).filter_map(Element::id).collect::<Vec<_>>(),
            "meta_attributes": sets_json(e, "meta_attributes"),
            "instance_attributes": sets_json(e, "instance_attributes"),
        })),
        "bundles": [],
    })
}

fn primitive_json(e: &Element) -> Value {
    let ops = e.all("operations").flat_map(|o| o.all("op"));
    let ops: Vec<Value> = ops
        .map(|op| {
            let flag = |name: &str| op.attr(name).and_then(|v| cib::value::parse_bool(v).ok());
            json!({
                "id": op.id(),
                "name": op.attr("name"),
                "interval": op.attr("interval"),
                "description": op.attr("description"),
                "start_delay": op.attr("start-delay"),
                "interval_origin": op.attr("interval-origin"),
                "timeout": op.attr("timeout"),
                "enabled": flag("enabled"),
                "record_pending": flag("record-pending"),
                "role": op.attr("role"),
                "on_fail": op.attr("on-fail"),
                "meta_attributes": sets_json(op, "meta_attributes"),
                "instance_attributes": sets_json(op, "instance_attributes"),
            })
        })
        .collect();
    json!({
        "id": e.id(),
        "agent_name": {
            "standard": e.attr("class"),
            "provider": e.attr("provider"),
            "type": e.attr("type"),
        },
        "description": e.attr("description"),
        "operations": ops,
        "meta_attributes": sets_json(e, "meta_attributes"),
        "instance_attributes": sets_json(e, "instance_attributes"),
        "utilization": sets_json(e, "utilization"),
    })
}

/// Sets of pairs, each with its id.
pub(in crate::cli::pcs) fn sets_json(owner: &Element, tag: &str) -> Vec<Value> {
    let sets = owner.all(tag);
    sets.map(|set| {
        let pairs = set.all("nvpair");
        let pairs: Vec<Value> = pairs
            .map(|p| json!({"id": p.id(), "name": p.attr("name"), "value": p.attr("value")}))
            .collect();
        json!({"id": set.id(), "options": {}, "rule": null, "nvpairs": pairs})
    })
    .collect()
}

/// `relations RESOURCE`: what it belongs to and what is ordered with it.
pub(super) fn relations(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id] = words else {
        return Err(misused());
    };
    let cib = cx.cib()?;
    known(&cib, id)?;
    let config = Config::new(&cib);
    let mut text = format!("{id}\n");
    if let Some(parent) = config
        .resource(id)
        .and_then(|r| r.parent.map(str::to_owned))
    {
        let _ = writeln!(text, "`- inside {parent}");
    }
    for constraint in config.constraints() {
        let named = cib::config::referenced(constraint.element);
        if named.contains(&id.as_str()) && constraint.element.name == "rsc_order" {
            let others: Vec<&str> = named.into_iter().filter(|n| *n != id).collect();
            let _ = writeln!(text, "`- order {}: {}", constraint.id, others.join(", "));
        }
    }
    match text.lines().count() {
        0 => Err(Failure::new(Exit::Error, "nothing to show")),
        _ => {
            cx.console.print(&text);
            Ok(())
        }
    }
}

/// Sets of a resource and their headings.
const SETS: [(&str, &str); 3] = [
    ("instance_attributes", "Attributes"),
    ("meta_attributes", "Meta Attributes"),
    ("utilization", "Utilization"),
];
/// Options of an operation in the order in which they are shown.
const OP_ORDER: [&str; 9] = [
    "interval",
    "start-delay",
    "interval-origin",
    "timeout",
    "enabled",
    "record-pending",
    "role",
    "on-fail",
    "requires",
];
