//! `pcs property`: options of the cluster.

use super::Context;
use super::flags::Format;
use super::level::{Level, also, misused, verb};
use super::words::{self, is_it};
use crate::cli::exit::Failure;
use crate::cli::options::Known;
use crate::cli::options::cluster::{self, ALL, NAMES};
use cib::config::{BOOTSTRAP_SET, Config};
use cib::{Cib, edit};
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) const LEVEL: Level = Level {
    path: "pcs property",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb(
            "config",
            "[NAME]...",
            &["file", "all", "defaults", "output-format"],
            config,
        ),
        also("list", "config"),
        also("show", "config"),
        verb("defaults", "[NAME]...", &["full"], defaults),
        verb(
            "describe",
            "[NAME]...",
            &["full", "output-format"],
            describe,
        ),
        verb("set", "NAME=VALUE...", &["file", "force"], set),
        verb("unset", "NAME...", &["file", "force"], unset),
    ],
};

fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (all, defaults) = (cx.flags.has("all"), cx.flags.has("defaults"));
    if all && defaults {
        return Err(Failure::usage(
            "--all and --defaults cannot be combined: --all shows the defaults of what is not set, too",
        ));
    }
    if all || defaults {
        if !words.is_empty() {
            return Err(Failure::usage(
                "--all and --defaults list every property: `pcs property describe NAME` tells of one",
            ));
        }
        if cx.flags.format()? != Format::Text {
            return Err(Failure::usage(
                "--all and --defaults are shown as text; `pcs property describe --output-format=json` has the defaults",
            ));
        }
        let cib = match all {
            true => Some(cx.cib()?),
            false => None,
        };
        cx.console.print(&listed(cib.as_ref()));
        return Ok(());
    }
    let cib = cx.cib()?;
    for name in words {
        let set = Config::new(&cib).properties();
        if !NAMES.contains(&name.as_str()) && !set.contains_key(name.as_str()) {
            let near = is_it(name, NAMES);
            return Err(Failure::no_such(format!(
                "there is no property '{name}'{near}"
            )));
        }
    }
    let text = match cx.flags.format()? {
        Format::Text => text(&cib, words),
        Format::Json => {
            let sets = cib.section(cib::Section::CrmConfig);
            let sets = sets.map(|s| super::resource::show::sets_json(s, "cluster_property_set"));
            format!(
                "{}\n",
                serde_json::json!({"nvsets": sets.unwrap_or_default()})
            )
        }
        Format::Cmd => {
            let properties = Config::new(&cib).properties();
            let own = properties.iter().filter(|(n, _)| !is_own(n));
            let words: Vec<String> = own
                .map(|(n, v)| super::resource::show::shell(&format!("{n}={v}")))
                .collect();
            match words.is_empty() {
                true => String::new(),
                false => format!(
                    "pcs property set --force -- \\\n {}\n",
                    words.join(" \\\n ")
                ),
            }
        }
    };
    cx.console.print(&text);
    Ok(())
}

/// What is set, by name; only those asked for.
pub(super) fn text(cib: &Cib, names: &[String]) -> String {
    let mut text = String::from("Cluster Properties:\n");
    for (name, value) in Config::new(cib).properties() {
        if names.is_empty() || names.iter().any(|n| n == name) {
            let _ = writeln!(text, " {name}: {value}");
        }
    }
    text
}

/// The defaults by name, under what is set in the CIB.
fn listed(cib: Option<&Cib>) -> String {
    let mut values: BTreeMap<&str, &str> = usual().map(|p| (p.name, p.default)).collect();
    let config = cib.map(Config::new);
    values.extend(config.iter().flat_map(Config::properties));
    let mut text = String::from("Cluster Properties:\n");
    for (name, value) in values {
        let _ = writeln!(text, " {name}: {value}");
    }
    text
}

/// Properties without those that are called otherwise, or stand elsewhere, today.
fn usual() -> impl Iterator<Item = &'static Known> {
    let older = "default-resource-stickiness";
    ALL.iter().filter(move |p| p.name != older)
}

/// Those of these names; all that are in use where none is named. Those without effect here are
/// left out then, but for `--full`.
fn chosen(cx: &Context<'_>, words: &[String]) -> Result<Vec<&'static Known>, Failure> {
    if words.is_empty() {
        let full = cx.flags.has("full");
        return Ok(usual().filter(|p| p.heeded || full).collect());
    }
    let known = |word: &String| {
        ALL.iter().find(|p| p.name == word).ok_or_else(|| {
            Failure::no_such(format!(
                "there is no property '{word}'{}",
                is_it(word, NAMES)
            ))
        })
    };
    words.iter().map(known).collect()
}

/// `defaults [NAME]...`
fn defaults(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    for property in chosen(cx, words)? {
        cx.console
            .line(&format!("{}={}", property.name, property.default));
    }
    Ok(())
}

/// `describe [NAME]...`
fn describe(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let chosen = chosen(cx, words)?;
    let text = match cx.flags.format()? {
        Format::Text => chosen.iter().map(|p| description(p)).collect(),
        Format::Json => {
            let all = chosen.iter().map(|p| {
                serde_json::json!({
                    "name": p.name, "type": p.kind, "default": p.default,
                    "enum": p.values, "longdesc": p.about, "heeded": p.heeded,
                })
            });
            let all: Vec<_> = all.collect();
            format!("{}\n", serde_json::json!({"properties_metadata": all}))
        }
        Format::Cmd => {
            return Err(Failure::usage(
                "a description is no command: use --output-format=text or json",
            ));
        }
    };
    cx.console.print(&text);
    Ok(())
}

fn description(property: &Known) -> String {
    let mut text = format!("{}\n  Description: {}\n", property.name, property.about);
    if !property.heeded {
        text.push_str("  Effect: none with mainstay; the value is kept\n");
    }
    match property.values {
        [] => {
            let _ = writeln!(text, "  Type: {}", property.kind);
        }
        values => {
            let _ = writeln!(text, "  Allowed values: '{}'", values.join("', '"));
        }
    }
    match property.default {
        "" => text.push_str("  Default value not specified\n"),
        value => {
            let _ = writeln!(text, "  Default: {value}");
        }
    }
    text
}

fn set(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let pairs = words::pairs(words)?;
    if pairs.is_empty() {
        return Err(misused());
    }
    let force = cx.flags.force();
    for (name, value) in &pairs {
        if cluster::find(name).is_none() && !force {
            let near = match is_it(name, NAMES) {
                near if near.is_empty() => {
                    format!(", allowed options are: '{}'", NAMES.join("', '"))
                }
                near => near,
            };
            return Err(Failure::usage(format!(
                "invalid cluster property option '{name}'{near}, use --force to override"
            )));
        }
        if !force && !value.is_empty() {
            check_value(name, value)?;
        }
    }
    cx.edit(|cib| {
        for (name, value) in &pairs {
            let value = Some(value.as_str()).filter(|v| !v.is_empty());
            edit::set_property(cib, name, value);
        }
        Ok(())
    })
}

fn check_value(name: &str, value: &str) -> Result<(), Failure> {
    let Some(property) = cluster::find(name) else {
        return Ok(());
    };
    if property.kind == "boolean" {
        return cib::value::parse_bool(value).map(|_| ()).map_err(|_| {
            Failure::usage(format!(
                "'{value}' is not a valid {name} value, use true or false, use --force to override"
            ))
        });
    }
    let words = property.values;
    if words.is_empty() {
        return Ok(());
    }
    match words.contains(&value) {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "'{value}' is not a valid {name} value{}, use '{}', use --force to override",
            is_it(value, words.iter().copied())
                .replace(": is", " (is")
                .replace('?', "?)"),
            words.join("', '")
        ))),
    }
}

fn unset(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    let force = cx.flags.force();
    cx.edit(|cib| {
        for name in words {
            let set: Vec<String> = Config::new(cib)
                .properties()
                .keys()
                .map(|k| (*k).to_owned())
                .collect();
            if !set.contains(name) && !force {
                return Err(Failure::no_such(format!(
                    "Cannot remove property '{name}', it is not present in property set '{BOOTSTRAP_SET}'{}, use --force to override",
                    is_it(name, set.iter().map(String::as_str))
                )));
            }
            edit::set_property(cib, name, None);
            for other in &mut cib.section_mut(cib::Section::CrmConfig).children {
                put_away(other, name);
            }
        }
        Ok(())
    })
}

/// Out of sets of other names, too.
fn put_away(set: &mut cib::Element, name: &str) {
    set.children.retain(|p| p.attr("name") != Some(name));
}

/// Written by the cluster itself.
fn is_own(name: &str) -> bool {
    name == "cluster-name" || cluster::GENERATED.iter().any(|known| known.name == name)
}
