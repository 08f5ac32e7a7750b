//! `pcs constraint config`: constraints as text, as JSON, as commands that make them again.

use super::super::Context;
use super::super::change::{known, known_node};
use super::super::flags::Format;
use super::super::level::misused;
use super::super::resource::show::shell;
use crate::cli::exit::{Exit, Failure};
use cib::{Cib, Element, Section};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// `config`.
pub(super) fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let out = match cx.flags.format()? {
        Format::Text => text(&cib, cx.flags.has("full")),
        Format::Cmd => commands(&cib)?,
        Format::Json => format!("{}\n", to_json(&cib)),
    };
    cx.console.print(&out);
    Ok(())
}

/// All of them, by kind.
pub(in crate::cli::pcs) fn text(cib: &Cib, full: bool) -> String {
    let mut text = location_text(&of_kind(cib, "rsc_location"), full);
    for tag in ["rsc_order", "rsc_colocation", "rsc_ticket"] {
        text.push_str(&kind_text(cib, tag, full));
    }
    text
}

/// `order config` and the like.
pub(super) fn kind(cx: &mut Context<'_>, words: &[String], tag: &str) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let text = kind_text(&cib, tag, cx.flags.has("full"));
    cx.console.print(&text);
    Ok(())
}

fn of_kind<'a>(cib: &'a Cib, tag: &str) -> Vec<&'a Element> {
    let section = cib.section(Section::Constraints);
    let all = section.into_iter().flat_map(|s| &s.children);
    all.filter(|c| c.name == tag).collect()
}

fn kind_text(cib: &Cib, tag: &str, full: bool) -> String {
    let heading = match tag {
        "rsc_order" => "Ordering",
        "rsc_colocation" => "Colocation",
        _ => "Ticket",
    };
    let mut text = format!("{heading} Constraints:\n");
    let all = of_kind(cib, tag);
    let is_set = |c: &&&Element| c.first("resource_set").is_some();
    for constraint in all.iter().filter(|c| !is_set(c)) {
        let _ = writeln!(text, "  {}{}", line(constraint), id(constraint, full));
    }
    let sets: Vec<&&Element> = all.iter().filter(is_set).collect();
    if !sets.is_empty() {
        text.push_str("  Resource Sets:\n");
    }
    for constraint in sets {
        let _ = writeln!(text, "    {}", set_line(constraint, full));
    }
    text
}

fn id(element: &Element, full: bool) -> String {
    match full {
        true => format!(" (id:{})", element.id().unwrap_or_default()),
        false => String::new(),
    }
}

/// What a constraint says, without its id.
pub(super) fn line(c: &Element) -> String {
    let get = |name: &str| c.attr(name).unwrap_or_default();
    match c.name.as_str() {
        "rsc_location" => format!("{} on {} (score:{})", get("rsc"), get("node"), get("score")),
        "rsc_order" => {
            let action = |name: &str| c.attr(name).unwrap_or("start").to_owned();
            let how = match c.attr("score") {
                Some(score) => format!("(score:{score})"),
                None => format!("(kind:{})", c.attr("kind").unwrap_or("Mandatory")),
            };
            let mut text = format!(
                "{} {} then {} {} {how}",
                action("first-action"),
                get("first"),
                action("then-action"),
                get("then")
            );
            if c.attr("symmetrical")
                .is_some_and(|v| cib::value::parse_bool(v) == Ok(false))
            {
                text.push_str(" (non-symmetrical)");
            }
            text
        }
        "rsc_colocation" if c.first("resource_set").is_none() => {
            let mut text = format!(
                "{} with {} (score:{})",
                get("rsc"),
                get("with-rsc"),
                c.attr("score").unwrap_or("INFINITY")
            );
            let rest = ["influence", "node-attribute", "rsc-role", "with-rsc-role"];
            for name in rest {
                if let Some(value) = c.attr(name) {
                    let _ = write!(text, " ({name}:{value})");
                }
            }
            text
        }
        "rsc_ticket" if c.first("resource_set").is_none() => {
            let mut text = match c.attr("rsc-role") {
                Some(role) => format!("{role} {}", get("rsc")),
                None => get("rsc").to_owned(),
            };
            for name in ["loss-policy", "ticket"] {
                if let Some(value) = c.attr(name) {
                    let _ = write!(text, " {name}={value}");
                }
            }
            text
        }
        _ => set_line(c, false),
    }
}

fn set_line(c: &Element, full: bool) -> String {
    let mut words = Vec::new();
    for set in c.all("resource_set") {
        words.push("set".to_owned());
        let members = set.all("resource_ref").filter_map(Element::id);
        words.extend(members.map(str::to_owned));
        words.extend(options_of(set));
        if full {
            words.push(format!("(id:{})", set.id().unwrap_or_default()));
        }
    }
    let options = options_of(c);
    if !options.is_empty() {
        words.push("setoptions".to_owned());
        words.extend(options);
    }
    if full {
        words.push(format!("(id:{})", c.id().unwrap_or_default()));
    }
    words.join(" ")
}

/// Its attributes but the id, by name.
fn options_of(element: &Element) -> Vec<String> {
    let named = element.attrs.iter().filter(|(n, _)| n != "id");
    let mut options: Vec<String> = named.map(|(n, v)| format!("{n}={v}")).collect();
    options.sort();
    options
}

/// What a location is about: its attribute and value.
fn subject(c: &Element) -> (&'static str, String) {
    match (c.attr("rsc"), c.attr("rsc-pattern")) {
        (Some(id), _) => ("Resource", id.to_owned()),
        (None, Some(pattern)) => ("Resource pattern", pattern.to_owned()),
        (None, None) => ("Resource", set_line(c, false)),
    }
}

/// By resource: where it is wanted, where not, by which rules.
fn location_text(all: &[&Element], full: bool) -> String {
    let mut text = String::from("Location Constraints:\n");
    let mut subjects: Vec<(&'static str, String)> = all.iter().map(|c| subject(c)).collect();
    // Patterns before resources, each by name.
    subjects.sort_by(|a, b| b.0.cmp(a.0).then_with(|| a.1.cmp(&b.1)));
    subjects.dedup();
    for about in subjects {
        let _ = writeln!(text, "  {}: {}", about.0, about.1);
        let own: Vec<&&Element> = all.iter().filter(|c| subject(c) == about).collect();
        for (heading, unwanted) in [("Enabled on", false), ("Disabled on", true)] {
            let mut nodes = String::new();
            for c in &own {
                let (Some(node), Some(score)) = (c.attr("node"), c.attr("score")) else {
                    continue;
                };
                if score.starts_with('-') != unwanted {
                    continue;
                }
                let role = c.attr("role").map(|r| format!(" (role:{r})"));
                let discovery = c.attr("resource-discovery");
                let discovery = discovery.map(|d| format!(" (resource-discovery={d})"));
                let _ = writeln!(
                    nodes,
                    "      Node: {node} (score:{score}){}{}{}",
                    role.unwrap_or_default(),
                    discovery.unwrap_or_default(),
                    id(c, full)
                );
            }
            if !nodes.is_empty() {
                let _ = write!(text, "    {heading}:\n{nodes}");
            }
        }
        for c in own.iter().filter(|c| c.first("rule").is_some()) {
            let _ = writeln!(text, "    Constraint: {}", c.id().unwrap_or_default());
            for rule in c.all("rule") {
                rule_text(rule, 6, full, &mut text);
            }
        }
    }
    text
}

/// A rule with what is in it, in lines.
pub(in crate::cli::pcs) fn rule_text(rule: &Element, indent: usize, full: bool, text: &mut String) {
    let margin = " ".repeat(indent);
    // A rule of a location constraint with one expression joins nothing.
    let of_defaults = |e: &Element| matches!(e.name.as_str(), "rsc_expression" | "op_expression");
    let joins = rule.children.len() > 1 || rule.children.iter().any(of_defaults);
    let mut options: Vec<String> = rule
        .attrs
        .iter()
        .filter(|(n, v)| n != "id" && (joins || !(n == "boolean-op" && v == "and")))
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    options.sort();
    let options = match options.is_empty() {
        true => String::new(),
        false => format!(" {}", options.join(" ")),
    };
    let _ = writeln!(text, "{margin}Rule:{options}{}", id(rule, full));
    for inner in &rule.children {
        let get = |name: &str| inner.attr(name).unwrap_or_default();
        let own = match inner.name.as_str() {
            "rule" => {
                rule_text(inner, indent + 2, full, text);
                continue;
            }
            "expression" => match get("operation") {
                operation @ ("defined" | "not_defined") => {
                    format!("{operation} {}", get("attribute"))
                }
                operation => {
                    let kind = inner
                        .attr("type")
                        .map(|t| format!("{t} "))
                        .unwrap_or_default();
                    format!("{} {operation} {kind}{}", get("attribute"), get("value"))
                }
            },
            "rsc_expression" => {
                let parts = ["class", "provider", "type"].map(get);
                format!("resource {}", parts.join(":"))
            }
            "op_expression" => match inner.attr("interval") {
                Some(interval) => format!("op {} interval={interval}", get("name")),
                None => format!("op {}", get("name")),
            },
            _ => match (get("operation"), inner.attr("start"), inner.attr("end")) {
                ("gt", Some(start), _) => format!("date gt {start}"),
                ("lt", _, Some(end)) => format!("date lt {end}"),
                ("in_range", start, Some(end)) => {
                    let start = start.map(|s| format!("{s} ")).unwrap_or_default();
                    format!("date in_range {start}to {end}")
                }
                ("in_range", start, None) => {
                    format!("date in_range {} to duration", start.unwrap_or_default())
                }
                _ => String::new(),
            },
        };
        let line = format!("{margin}  Expression: {own}");
        let _ = writeln!(text, "{}{}", line.trim_end(), id(inner, full));
        for spec in &inner.children {
            let name = match spec.name.as_str() {
                "date_spec" => "Date Spec",
                _ => "Duration",
            };
            let parts = options_of(spec);
            let _ = writeln!(
                text,
                "{margin}    {name}: {}{}",
                parts.join(" "),
                id(spec, full)
            );
        }
    }
}

/// `location config [resources [RESOURCE]… | nodes [NODE]…]`.
pub(super) fn locations(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let cib = cx.cib()?;
    let full = cx.flags.has("full");
    let mut all = of_kind(&cib, "rsc_location");
    let text = match words {
        [] => location_text(&all, full),
        [word, ids @ ..] if word == "resources" => {
            for id in ids {
                known(&cib, id)?;
            }
            all.retain(|c| ids.is_empty() || ids.iter().any(|i| c.attr("rsc") == Some(i)));
            location_text(&all, full)
        }
        [word, nodes @ ..] if word == "nodes" => {
            for node in nodes {
                known_node(&cib, node)?;
            }
            by_node(&all, nodes, full)
        }
        _ => return Err(misused()),
    };
    cx.console.print(&text);
    Ok(())
}

fn by_node(all: &[&Element], nodes: &[String], full: bool) -> String {
    let mut names: Vec<&str> = all.iter().filter_map(|c| c.attr("node")).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|n| nodes.is_empty() || nodes.iter().any(|wanted| wanted == n));
    let mut text = String::from("Location Constraints:\n");
    for name in names {
        let _ = writeln!(text, "  Node: {name}");
        for (heading, unwanted) in [("Allowed to run", false), ("Not allowed to run", true)] {
            let mut lines = String::new();
            for c in all.iter().filter(|c| c.attr("node") == Some(name)) {
                let score = c.attr("score").unwrap_or_default();
                if score.starts_with('-') == unwanted {
                    let (what, about) = subject(c);
                    let _ = writeln!(
                        lines,
                        "      {what}: {about} (score:{score}){}",
                        id(c, full)
                    );
                }
            }
            if !lines.is_empty() {
                let _ = write!(text, "    {heading}:\n{lines}");
            }
        }
    }
    let with_rules: Vec<&Element> = all
        .iter()
        .filter(|c| c.first("rule").is_some())
        .copied()
        .collect();
    let rules = location_text(&with_rules, full);
    text.push_str(rules.split_once('\n').map_or("", |(_, rest)| rest));
    text
}

/// Commands that make the constraints again.
fn commands(cib: &Cib) -> Result<String, Failure> {
    let section = cib.section(Section::Constraints);
    let mut commands = Vec::new();
    for c in section.into_iter().flat_map(|s| &s.children) {
        commands.push(command(c)?);
    }
    Ok(match commands.is_empty() {
        true => String::new(),
        false => format!("{}\n", commands.join(";\n")),
    })
}

fn command(c: &Element) -> Result<String, Failure> {
    let get = |name: &str| c.attr(name).unwrap_or_default();
    let id = get("id");
    let options = |names: &[&str]| -> String {
        let found = names
            .iter()
            .filter_map(|n| Some(format!(" {n}={}", shell(c.attr(n)?))));
        found.collect()
    };
    let sets = c.first("resource_set").is_some();
    let role = |name: &str| c.attr(name).map(|r| format!("{r} ")).unwrap_or_default();
    Ok(match c.name.as_str() {
        "rsc_location" if c.first("rule").is_some() || sets => {
            return Err(Failure::new(
                Exit::Unimplemented,
                format!("{id}: no command is made of rules: use `crm configure show {id}`"),
            ));
        }
        "rsc_location" => {
            let about = match c.attr("rsc-pattern") {
                Some(pattern) => shell(&format!("regexp%{pattern}")),
                None => get("rsc").to_owned(),
            };
            format!(
                "pcs -- constraint location add {id} {about} {} {}{}",
                get("node"),
                get("score"),
                options(&["resource-discovery"])
            )
        }
        tag if sets => {
            let kind = tag.trim_start_matches("rsc_").replace("rsc-", "");
            let mut line = set_line(c, false);
            if !line.contains(" setoptions ") {
                line.push_str(" setoptions");
            }
            format!("pcs -- constraint {kind} {line} id={id}")
        }
        "rsc_order" => format!(
            "pcs -- constraint order {} {} then {} {}{} id={id}",
            c.attr("first-action").unwrap_or("start"),
            get("first"),
            c.attr("then-action").unwrap_or("start"),
            get("then"),
            options(&["kind", "score", "symmetrical"])
        ),
        "rsc_colocation" => format!(
            "pcs -- constraint colocation add {}{} with {}{} score={}{} id={id}",
            role("rsc-role"),
            get("rsc"),
            role("with-rsc-role"),
            get("with-rsc"),
            c.attr("score").unwrap_or("INFINITY"),
            options(&["node-attribute", "influence"])
        ),
        _ => format!(
            "pcs -- constraint ticket add {} {}{}{} id={id}",
            get("ticket"),
            role("rsc-role"),
            get("rsc"),
            options(&["loss-policy"])
        ),
    })
}

/// Plain ones and those of sets, by kind.
fn to_json(cib: &Cib) -> Value {
    fn element(e: &Element) -> Value {
        let mut map = serde_json::Map::new();
        for (name, value) in &e.attrs {
            map.insert(name.replace('-', "_"), Value::String(value.to_string()));
        }
        for child in &e.children {
            let list = map
                .entry(format!("{}s", child.name))
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(element(child));
            }
        }
        Value::Object(map)
    }
    let part = |tag: &str, sets: bool| -> Vec<Value> {
        let all = of_kind(cib, tag).into_iter();
        let fits = all.filter(|c| c.first("resource_set").is_some() == sets);
        fits.map(|c| {
            let mut attributes = c.clone();
            attributes.children.clear();
            let inner: Vec<Value> = c.children.iter().map(element).collect();
            match sets {
                true => json!({"attributes": element(&attributes), "resource_sets": inner}),
                false if inner.is_empty() => json!({"attributes": element(&attributes)}),
                false => json!({"attributes": element(&attributes), "rules": inner}),
            }
        })
        .collect()
    };
    let mut map = serde_json::Map::new();
    for (name, tag) in [
        ("location", "rsc_location"),
        ("colocation", "rsc_colocation"),
        ("order", "rsc_order"),
        ("ticket", "rsc_ticket"),
    ] {
        map.insert(name.to_owned(), Value::Array(part(tag, false)));
        map.insert(format!("{name}_set"), Value::Array(part(tag, true)));
    }
    Value::Object(map)
}
