//! `pcs stonith`: fence devices, fencing levels, fencing by hand.

use super::change::{known, known_node};
use super::flags::Format;
use super::level::{Level, also, below, misused, refused, verb};
use super::resource::create::{New, Place, check_id, make};
use super::resource::{self, ops, show, upkeep};
use super::words;
use super::{Context, agent, ids};
use crate::cli::backend::{self, ask_done};
use crate::cli::exit::{Exit, Failure};
use crate::cli::fencings;
use crate::ipc::Request;
use cib::{Cib, Element, Section};
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) const LEVEL: Level = Level {
    path: "pcs stonith",
    alone: Some("status"),
    rest: None,
    verbs: &[
        verb(
            "status",
            "[DEVICE] [node=NODE]",
            &["file", "hide-inactive"],
            status,
        ),
        verb("config", "[DEVICE]...", &["file", "output-format"], config),
        also("show", "config"),
        verb("list", "[FILTER]", &["nodesc"], list),
        verb("describe", "AGENT", &[], describe),
        verb(
            "create",
            "ID AGENT [NAME=VALUE]... [op ACTION NAME=VALUE...]... [meta NAME=VALUE...]",
            &["file", "force", "wait", "disabled", "no-default-ops"],
            create,
        ),
        verb(
            "update",
            "DEVICE [NAME=VALUE]... [op ACTION NAME=VALUE...]... [meta NAME=VALUE...]",
            &["file", "force", "wait"],
            resource::update,
        ),
        verb("delete", "DEVICE...", &["file", "force"], resource::delete),
        also("remove", "delete"),
        verb("enable", "DEVICE...", &["file", "wait"], resource::enable),
        verb("disable", "DEVICE...", &["file", "wait"], resource::disable),
        verb("cleanup", "[DEVICE] [node=NODE]", &[], upkeep::cleanup),
        verb("refresh", "[DEVICE] [node=NODE]", &[], upkeep::cleanup),
        verb(
            "failcount",
            "[show [DEVICE] [node=NODE]]",
            &["file", "full"],
            upkeep::failcount,
        ),
        below("level", &LEVELS),
        verb("fence", "NODE", &["off"], fence),
        verb("confirm", "NODE", &["force"], confirm),
        below("history", &HISTORY),
        refused(
            "sbd",
            "there is no sbd in this version; the watchdog is set in mainstay.conf(5)",
        ),
        refused(
            "update-scsi-devices",
            "use `pcs stonith update DEVICE devices=…`",
        ),
        refused("op", "use `pcs resource op add DEVICE …`"),
        refused("defaults", "use `pcs resource defaults`"),
    ],
};

const LEVELS: Level = Level {
    path: "pcs stonith level",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb("config", "", &["file", "output-format"], level_config),
        also("show", "config"),
        verb(
            "add",
            "LEVEL NODE|regexp%PATTERN|attrib%NAME=VALUE DEVICE...",
            &["file", "force"],
            level_add,
        ),
        verb(
            "delete",
            "LEVEL [target NODE] [stonith DEVICE...]",
            &["file"],
            level_delete,
        ),
        also("remove", "delete"),
        verb(
            "clear",
            "[target NODE | stonith DEVICE...]",
            &["file"],
            level_clear,
        ),
        verb("verify", "", &["file"], level_verify),
    ],
};

const HISTORY: Level = Level {
    path: "pcs stonith history",
    alone: Some("show"),
    rest: None,
    verbs: &[
        verb("show", "[NODE]", &[], history),
        verb("cleanup", "[NODE]", &[], history_cleanup),
        refused("update", "every node has the same record"),
    ],
};

fn status(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let mut text = show::list_of(cx, words, true)?;
    let levels = levels_text(&cx.cib()?, 1);
    if !levels.is_empty() {
        let _ = write!(text, "\nFencing Levels:\n{levels}");
    }
    cx.console.print(&text);
    Ok(())
}

fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let cib = cx.cib()?;
    let chosen = show::chosen(&cib, words, true)?;
    let mut text = match cx.flags.format()? {
        Format::Text => show::text(&chosen, 0),
        Format::Cmd => show::commands(&chosen),
        Format::Json => format!("{}\n", show::to_json(&chosen)),
    };
    let levels = levels_text(&cib, 1);
    if cx.flags.format()? == Format::Text && words.is_empty() && !levels.is_empty() {
        let _ = write!(text, "\nFencing Levels:\n{levels}");
    }
    cx.console.print(&text);
    Ok(())
}

fn list(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let filter = match words {
        [] => String::new(),
        [filter] => filter.to_lowercase(),
        _ => return Err(misused()),
    };
    let mut names = cx.agents.list("stonith", None);
    names.retain(|n| n.to_lowercase().contains(&filter));
    if names.is_empty() {
        return Err(Failure::no_such(
            "No stonith agents available: install fence-agents, or change the filter",
        ));
    }
    resource::columns(cx, &names, |name| format!("stonith:{name}"))
}

fn describe(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [spec] = words else {
        return Err(misused());
    };
    let agent = agent::find_fence(cx, spec)?;
    let meta = agent::meta_data(cx, &agent)?.unwrap_or_default();
    resource::describe_agent(cx, &agent.kind, &meta, "Stonith options");
    Ok(())
}

fn create(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id, spec, rest @ ..] = words else {
        return Err(misused());
    };
    check_id(id)?;
    let (params, sections) = words::sections(rest, &["op", "meta"]);
    let params = words::pairs(params)?;
    let mut given = Vec::new();
    let mut meta = Vec::new();
    for (keyword, part) in sections {
        match keyword {
            "op" => given.extend_from_slice(part),
            _ => meta.extend(words::pairs(part)?),
        }
    }
    let ops = ops::parse(&given)?;
    let agent = agent::find_fence(cx, spec)?;
    if let Some(described) = agent::meta_data(cx, &agent)? {
        agent::check_parameters(cx, &described, &params, true)?;
    }
    if cx.flags.has("disabled") {
        meta.push(("target-role".to_owned(), "Stopped".to_owned()));
    }
    let new = New {
        id: id.clone(),
        agent,
        params,
        meta,
        // What a fence agent says of its monitor is not for the cluster: once a minute.
        ops: ops::complete(ops, None, false),
        place: Place::Alone,
    };
    make(cx, &new)?;
    let should_run = !cx.flags.has("disabled");
    cx.settle_with(id, should_run)
}

/// `fence NODE [--off]`.
fn fence(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [node] = words else {
        return Err(misused());
    };
    known_node(&cx.cib()?, node)?;
    let action = if cx.flags.has("off") { "off" } else { "reboot" };
    let request = Request::Fence {
        node: node.clone(),
        action: action.to_owned(),
    };
    ask_done(cx.backend, &request)?;
    cx.console.line(&format!("Node: {node} fenced"));
    Ok(())
}

/// `confirm NODE`: nobody but a person can say that a machine is off.
fn confirm(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [node] = words else {
        return Err(misused());
    };
    known_node(&cx.cib()?, node)?;
    if !cx.flags.force() {
        return Err(Failure::new(
            Exit::Error,
            format!(
                "If node '{node}' is not powered off or it does have access to shared resources, data corruption and/or cluster failure may occur; use --force when it is really off"
            ),
        ));
    }
    let node = node.clone();
    let text = format!("Node: {node} confirmed fenced");
    ask_done(cx.backend, &Request::ConfirmDown { node })?;
    cx.console.line(&text);
    Ok(())
}

/// What was fenced, the newest first.
fn history(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.len() > 1 {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let status = backend::status(cx.backend)?;
    let mut shown = fencings::newest_first(&status);
    shown.retain(|f| words.first().is_none_or(|node| *node == f.target));
    if let Some(node) = words.first().filter(|_| shown.is_empty()) {
        // What is told of a node that is gone is still told.
        known_node(&cib, node)?;
    }
    if shown.is_empty() {
        cx.console.line("No fencing history available");
    }
    for fencing in shown {
        cx.console.line(&fencings::line(fencing, true));
    }
    Ok(())
}

fn history_cleanup(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.len() > 1 {
        return Err(misused());
    }
    let node = words.first().cloned();
    let text = ask_done(cx.backend, &Request::ForgetFencings { node })?;
    cx.console.line(&text);
    Ok(())
}

/// The attribute that names a level's target, and its value.
fn target(word: &str) -> Vec<(&'static str, String)> {
    if let Some(pattern) = word.strip_prefix("regexp%") {
        return vec![("target-pattern", pattern.to_owned())];
    }
    if let Some((name, value)) = word.strip_prefix("attrib%").and_then(|w| w.split_once('=')) {
        return vec![
            ("target-attribute", name.to_owned()),
            ("target-value", value.to_owned()),
        ];
    }
    let node = word.strip_prefix("node%").unwrap_or(word);
    vec![("target", node.to_owned())]
}

fn index(word: &str) -> Result<u32, Failure> {
    let found = word.parse().ok().filter(|n| (1..=9).contains(n));
    found.ok_or_else(|| {
        Failure::usage(format!(
            "'{word}' is not a valid level value, use an integer from 1 to 9"
        ))
    })
}

fn level_add(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [level, whom, devices @ ..] = words else {
        return Err(misused());
    };
    if devices.is_empty() {
        return Err(misused());
    }
    let index = index(level)?;
    let target = target(whom);
    let devices: Vec<String> = devices
        .iter()
        .flat_map(|d| d.split(',').map(str::to_owned))
        .filter(|d| d != "stonith")
        .collect();
    let force = cx.flags.force();
    cx.edit(|cib| {
        if let [("target", node)] = target.as_slice()
            && !force
        {
            known_node(cib, node)?;
        }
        for device in &devices {
            known(cib, device)?;
            let config = cib::config::Config::new(cib);
            let class = config.resource(device).and_then(|r| r.element.attr("class"));
            if class != Some("stonith") && !force {
                return Err(Failure::usage(format!(
                    "'{device}' is not a fence device, use --force to override"
                )));
            }
        }
        let text = devices.join(",");
        let same = |l: &&Element| {
            l.attr("index") == Some(level)
                && target.iter().all(|(n, v)| l.attr(n) == Some(v.as_str()))
        };
        let section = cib.section(Section::FencingTopology);
        let old = section.into_iter().flat_map(|s| &s.children).find(same);
        if let Some(old) = old {
            return match old.attr("devices") == Some(text.as_str()) {
                true => Ok(()),
                false => Err(Failure::new(
                    Exit::Exists,
                    format!(
                        "Fencing level {index} for '{whom}' has the devices {} already: `pcs stonith level delete {index} target {whom}` takes it away first",
                        old.attr("devices").unwrap_or_default()
                    ),
                )),
            };
        }
        let name = target.last().map(|(_, v)| v.clone()).unwrap_or_default();
        let id = ids::unique(cib, &format!("fl-{name}-{index}"));
        let mut element = Element::new("fencing-level");
        for (name, value) in &target {
            element.set(name, value);
        }
        element.set("index", &index.to_string());
        element.set("devices", &text);
        element.set("id", &id);
        Ok(cib::edit::insert(cib, Section::FencingTopology, element)?)
    })
}

/// Target and devices of `delete` and `clear`.
fn whose(words: &[String]) -> Result<(Option<String>, Vec<String>), Failure> {
    let (head, parts) = words::sections(words, &["target", "stonith"]);
    let mut found = match head {
        [] => None,
        [node] => Some(node.clone()),
        _ => return Err(misused()),
    };
    let mut devices = Vec::new();
    for (keyword, part) in parts {
        match (keyword, part) {
            ("target", [node]) => found = Some(node.clone()),
            ("stonith", [_, ..]) => devices.extend_from_slice(part),
            _ => return Err(misused()),
        }
    }
    Ok((found, devices))
}

fn fits(level: &Element, whom: Option<&String>, devices: &[String]) -> bool {
    let of_target = whom.is_none_or(|w| {
        target(w)
            .iter()
            .all(|(n, v)| level.attr(n) == Some(v.as_str()))
    });
    of_target && (devices.is_empty() || level.attr("devices") == Some(&devices.join(",")))
}

fn level_delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [level, rest @ ..] = words else {
        return Err(misused());
    };
    index(level)?;
    let (whom, devices) = whose(rest)?;
    let gone = take_levels(cx, |l| {
        l.attr("index") == Some(level) && fits(l, whom.as_ref(), &devices)
    })?;
    match gone {
        0 => Err(Failure::no_such(format!(
            "Fencing level {} does not exist",
            words.join(" ")
        ))),
        _ => Ok(()),
    }
}

fn level_clear(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (whom, devices) = whose(words)?;
    take_levels(cx, |l| fits(l, whom.as_ref(), &devices)).map(|_| ())
}

fn take_levels(cx: &mut Context<'_>, gone: impl Fn(&Element) -> bool) -> Result<usize, Failure> {
    cx.edit(|cib| {
        if cib.section(Section::FencingTopology).is_none() {
            return Ok(0);
        }
        let all = &mut cib.section_mut(Section::FencingTopology).children;
        let before = all.len();
        all.retain(|l| !gone(l));
        Ok(before - all.len())
    })
}

fn level_verify(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let section = cib.section(Section::FencingTopology);
    for level in section.into_iter().flat_map(|s| &s.children) {
        if let Some(node) = level.attr("target") {
            known_node(&cib, node)?;
        }
        for device in level.attr("devices").unwrap_or_default().split(',') {
            known(&cib, device)?;
        }
    }
    Ok(())
}

fn level_config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let text = match cx.flags.format()? {
        Format::Text => levels_text(&cib, 0),
        Format::Cmd => {
            let section = cib.section(Section::FencingTopology);
            let mut text = String::new();
            for level in section.into_iter().flat_map(|s| &s.children) {
                let devices = level.attr("devices").unwrap_or_default().replace(',', " ");
                let _ = writeln!(
                    text,
                    "pcs stonith level add --force -- {} {} {devices}",
                    level.attr("index").unwrap_or_default(),
                    show::shell(&target_name(level))
                );
            }
            text
        }
        Format::Json => {
            let section = cib.section(Section::FencingTopology);
            let all = section.into_iter().flat_map(|s| &s.children);
            let levels: Vec<serde_json::Value> = all
                .map(|l| {
                    let devices = l.attr("devices").unwrap_or_default().split(',');
                    serde_json::json!({
                        "id": l.id(),
                        "target": target_name(l),
                        "index": l.attr("index").and_then(|i| i.parse::<u32>().ok()),
                        "devices": devices.collect::<Vec<_>>(),
                    })
                })
                .collect();
            format!("{}\n", serde_json::json!({"levels": levels}))
        }
    };
    cx.console.print(&text);
    Ok(())
}

fn target_name(level: &Element) -> String {
    if let Some(node) = level.attr("target") {
        return node.to_owned();
    }
    if let Some(pattern) = level.attr("target-pattern") {
        return format!("regexp%{pattern}");
    }
    let get = |name: &str| level.attr(name).unwrap_or_default();
    format!("attrib%{}={}", get("target-attribute"), get("target-value"))
}

/// Levels by target.
pub(super) fn levels_text(cib: &Cib, indent: usize) -> String {
    let section = cib.section(Section::FencingTopology);
    let mut targets: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
    for level in section.into_iter().flat_map(|s| &s.children) {
        let index = level
            .attr("index")
            .and_then(|i| i.parse().ok())
            .unwrap_or(0);
        let devices = level.attr("devices").unwrap_or_default().to_owned();
        targets
            .entry(target_name(level))
            .or_default()
            .push((index, devices));
    }
    let margin = " ".repeat(indent);
    let mut text = String::new();
    for (target, mut levels) in targets {
        levels.sort();
        let _ = writeln!(text, "{margin}Target: {target}");
        for (index, devices) in levels {
            let _ = writeln!(text, "{margin}  Level {index} - {devices}");
        }
    }
    text
}
