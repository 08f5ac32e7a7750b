//! `pcs resource defaults` and `pcs resource op defaults`.

use super::super::change::put;
use super::super::level::{Level, also, refused, verb};
use super::super::words::{self, is_it};
use super::super::{Context, level::misused};
use super::show::{quoted, sets_json, sorted};
use crate::cli::exit::Failure;
use crate::cli::pcs::flags::Format;
use cib::{Cib, Section};
use std::fmt::Write as _;

const SETS: &str = "one set without a rule is offered: `update NAME=VALUE…` changes it; rules are written with `crm configure edit`";

pub(super) const RESOURCES: Level = Level {
    path: "pcs resource defaults",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb("config", "", &["file", "output-format"], |cx, words| {
            show(cx, words, Section::RscDefaults)
        }),
        also("show", "config"),
        verb(
            "update",
            "NAME=VALUE...",
            &["file", "force"],
            |cx, words| update(cx, words, Section::RscDefaults),
        ),
        refused("set", SETS),
    ],
};

pub(super) const OPERATIONS: Level = Level {
    path: "pcs resource op defaults",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb("config", "", &["file", "output-format"], |cx, words| {
            show(cx, words, Section::OpDefaults)
        }),
        also("show", "config"),
        verb(
            "update",
            "NAME=VALUE...",
            &["file", "force"],
            |cx, words| update(cx, words, Section::OpDefaults),
        ),
        refused("set", SETS),
    ],
};

fn show(cx: &mut Context<'_>, words: &[String], section: Section) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let out = match cx.flags.format()? {
        Format::Text => text(&cib, section, 0),
        Format::Json => {
            let owner = cib.section(section);
            let sets = owner.map(|s| sets_json(s, "meta_attributes"));
            let sets = sets.unwrap_or_default();
            format!(
                "{}\n",
                serde_json::json!({"instance_attributes": [], "meta_attributes": sets})
            )
        }
        Format::Cmd => {
            let level = match section {
                Section::OpDefaults => "resource op defaults",
                _ => "resource defaults",
            };
            let sets = cib.section(section).into_iter();
            let pairs = sets.flat_map(|s| s.all("meta_attributes")).flat_map(sorted);
            let words: Vec<String> = pairs
                .map(|(n, v)| super::show::shell(&format!("{n}={v}")))
                .collect();
            match words.is_empty() {
                true => String::new(),
                false => format!("pcs -- {level} update {}\n", words.join(" ")),
            }
        }
    };
    cx.console.print(&out);
    Ok(())
}

/// The defaults of a section, as text.
pub(in crate::cli::pcs) fn text(cib: &Cib, section: Section, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut text = String::new();
    let sets = cib.section(section).into_iter();
    for set in sets.flat_map(|s| s.all("meta_attributes")) {
        let _ = writeln!(text, "{margin}Meta Attrs: {}", set.id().unwrap_or_default());
        for (name, value) in sorted(set) {
            let _ = writeln!(text, "{margin}  {name}={}", quoted(value));
        }
    }
    match text.is_empty() {
        true => format!("{margin}No defaults set\n"),
        false => text,
    }
}

fn update(cx: &mut Context<'_>, words: &[String], section: Section) -> Result<(), Failure> {
    let pairs = words::pairs(words)?;
    if pairs.is_empty() {
        return Err(misused());
    }
    let known: &[&str] = match section {
        Section::OpDefaults => &OP_DEFAULTS,
        _ => &META,
    };
    let unknown = pairs.iter().find(|(n, _)| !known.contains(&n.as_str()));
    if let Some((name, _)) = unknown.filter(|_| !cx.flags.force()) {
        let near = is_it(name, known.iter().copied());
        if !near.is_empty() {
            return Err(Failure::usage(format!(
                "there is no default `{name}`{near}, use --force to override"
            )));
        }
    }
    let set = match section {
        Section::OpDefaults => "op_defaults-meta_attributes",
        _ => "rsc_defaults-meta_attributes",
    };
    cx.edit(|cib| {
        let owner = cib.section_mut(section);
        for (name, value) in &pairs {
            put(owner, "meta_attributes", set, name, value);
        }
        Ok(())
    })?;
    cx.warning(
        "Defaults do not apply to resources which override them with their own defined values",
    );
    Ok(())
}

/// Meta attributes of resources.
const META: [&str; 20] = [
    "allow-migrate",
    "clone-max",
    "clone-node-max",
    "critical",
    "failure-timeout",
    "globally-unique",
    "interleave",
    "is-managed",
    "maintenance",
    "migration-threshold",
    "multiple-active",
    "notify",
    "ordered",
    "priority",
    "promotable",
    "promoted-max",
    "promoted-node-max",
    "requires",
    "resource-stickiness",
    "target-role",
];
/// Options of operations.
const OP_DEFAULTS: [&str; 7] = [
    "enabled",
    "interval",
    "on-fail",
    "record-pending",
    "role",
    "start-delay",
    "timeout",
];
