//! `pcs node`: standby, maintenance, attributes.

use super::change::{known_node, put};
use super::level::{Level, refused, verb};
use super::words;
use super::{Context, resource};
use crate::cli::exit::{Exit, Failure};
use crate::cli::{attributes, backend};
use cib::config::Config;
use cib::edit::{self, SetKind};
use cib::{Cib, Section};
use std::fmt::Write as _;

pub(super) const LEVEL: Level = Level {
    path: "pcs node",
    alone: None,
    rest: None,
    verbs: &[
        verb("standby", "[NODE]...", &["file", "all", "wait"], standby),
        verb(
            "unstandby",
            "[NODE]...",
            &["file", "all", "wait"],
            unstandby,
        ),
        verb(
            "maintenance",
            "[NODE]...",
            &["file", "all", "wait"],
            |cx, words| switch(cx, words, "maintenance", Some("on")),
        ),
        verb(
            "unmaintenance",
            "[NODE]...",
            &["file", "all", "wait"],
            |cx, words| switch(cx, words, "maintenance", None),
        ),
        verb(
            "attribute",
            "[NODE [NAME=VALUE]...]",
            &["file", "name"],
            attribute,
        ),
        verb(
            "utilization",
            "[NODE [NAME=VALUE]...]",
            &["file", "name"],
            utilization,
        ),
        refused("add-remote", "there are no remote nodes in this version"),
        refused("add-guest", "there are no guest nodes in this version"),
        refused("delete-remote", "there are no remote nodes in this version"),
        refused("delete-guest", "there are no guest nodes in this version"),
    ],
};

pub(super) fn standby(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    switch(cx, words, "standby", Some("on"))
}

pub(super) fn unstandby(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    switch(cx, words, "standby", None)
}

/// Sets or takes back an attribute of nodes: those named, all, or this one.
fn switch(
    cx: &mut Context<'_>,
    words: &[String],
    name: &str,
    value: Option<&str>,
) -> Result<(), Failure> {
    if cx.flags.has("all") && !words.is_empty() {
        return Err(Failure::usage(
            "you cannot specify both --all and a node list",
        ));
    }
    let cib = cx.cib()?;
    let nodes: Vec<String> = match words {
        [] if cx.flags.has("all") => {
            let nodes = Config::new(&cib).nodes().into_iter();
            nodes.map(|n| n.uname.to_owned()).collect()
        }
        [] => vec![backend::local_node(cx.backend)?],
        words => words.to_vec(),
    };
    for node in &nodes {
        known_node(&cib, node)?;
    }
    cx.edit(|cib| {
        for node in &nodes {
            known_node(cib, node)?;
            edit::set_node_attribute(cib, node, name, value)?;
        }
        Ok(())
    })?;
    // Who wants it back wants it back whatever lifetime it had.
    if value.is_none() && cx.backend.live() {
        let cib = backend::cib(cx.backend, true)?;
        for node in &nodes {
            if attributes::valid(&cib, node)
                .iter()
                .any(|(n, _)| *n == name)
            {
                attributes::set(cx.backend, node, name, None)?;
            }
        }
    }
    cx.settle()?;
    Ok(())
}

/// `attribute [NODE [name=value]…]`; an empty value takes it away.
fn attribute(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (node, pairs) = match words {
        [] => (None, Vec::new()),
        [node, rest @ ..] => (Some(node), words::pairs(rest)?),
    };
    let cib = cx.cib()?;
    if let Some(node) = node {
        known_node(&cib, node)?;
    }
    let Some(node) = node.filter(|_| !pairs.is_empty()) else {
        let text = attributes_text(&cib, node.map(String::as_str));
        let wanted = cx.flags.value("name");
        let text = match wanted {
            None => text,
            Some(wanted) => only(&text, wanted),
        };
        cx.console.print(&format!("Node Attributes:\n{text}"));
        return Ok(());
    };
    cx.edit(|cib| {
        for (name, value) in &pairs {
            let value = Some(value.as_str()).filter(|v| !v.is_empty());
            edit::set_node_attribute(cib, node, name, value)?;
        }
        Ok(())
    })
}

/// The lines' pairs of that name.
fn only(text: &str, name: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let (node, pairs) = line.split_once(": ").unwrap_or((line, ""));
        let pair = pairs.split(' ').find(|p| p.split('=').next() == Some(name));
        if let Some(pair) = pair {
            let _ = writeln!(out, "{node}: {pair}");
        }
    }
    out
}

/// ` NODE: name=value …`, a line for each node that has attributes.
pub(super) fn attributes_text(cib: &Cib, node: Option<&str>) -> String {
    let mut text = String::new();
    for found in Config::new(cib).nodes() {
        let pairs: Vec<String> = found
            .attributes
            .iter()
            .map(|(n, v)| format!("{n}={}", resource::show::quoted(v)))
            .collect();
        if !pairs.is_empty() && node.is_none_or(|n| n == found.uname) {
            let _ = writeln!(text, " {}: {}", found.uname, pairs.join(" "));
        }
    }
    text
}

fn utilization(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (node, pairs) = match words {
        [] => (None, Vec::new()),
        [node, rest @ ..] => (Some(node), words::pairs(rest)?),
    };
    if let Some((name, value)) = pairs
        .iter()
        .find(|(_, v)| !v.is_empty() && v.parse::<i64>().is_err())
    {
        return Err(Failure::usage(format!(
            "Value of utilization attribute must be integer: '{name}={value}'"
        )));
    }
    let cib = cx.cib()?;
    if let Some(node) = node {
        known_node(&cib, node)?;
    }
    let Some(node) = node.filter(|_| !pairs.is_empty()) else {
        let mut text = String::from("Node Utilization:\n");
        let nodes = cib.section(Section::Nodes);
        for found in nodes.into_iter().flat_map(|n| n.all("node")) {
            let name = found.attr("uname").unwrap_or_default();
            let pairs: Vec<String> = found
                .all(SetKind::Utilization.tag())
                .flat_map(resource::show::sorted)
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            if !pairs.is_empty() && node.is_none_or(|n| n == name) {
                let _ = writeln!(text, " {name}: {}", pairs.join(" "));
            }
        }
        cx.console.print(&text);
        return Ok(());
    };
    cx.edit(|cib| {
        let nodes = &mut cib.section_mut(Section::Nodes).children;
        let mut found = nodes.iter_mut();
        let found = found.find(|n| n.attr("uname") == Some(node) || n.id() == Some(node));
        let Some(found) = found else {
            return Err(Failure::new(Exit::NoSuch, format!("Node '{node}' is gone")));
        };
        let set = format!("nodes-{}-utilization", found.id().unwrap_or_default());
        for (name, value) in &pairs {
            put(found, "utilization", &set, name, value);
        }
        Ok(())
    })
}
