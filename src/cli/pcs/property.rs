//! `pcs property`: options of the cluster.

use super::Context;
use super::flags::Format;
use super::level::{Level, also, misused, refused, verb};
use super::words::{self, is_it};
use crate::cli::exit::Failure;
use cib::config::{BOOTSTRAP_SET, Config};
use cib::{Cib, edit};
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
        verb("set", "NAME=VALUE...", &["file", "force"], set),
        verb("unset", "NAME...", &["file", "force"], unset),
        refused(
            "defaults",
            "mainstay(8) and the manual of Pacemaker tell them",
        ),
        refused(
            "describe",
            "the manual of Pacemaker, `man pacemaker-schedulerd`, tells them",
        ),
    ],
};

fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if cx.flags.has("all") || cx.flags.has("defaults") {
        return Err(Failure::usage(
            "defaults are not listed here: `pcs property config` shows what is set, the manual of Pacemaker the rest",
        ));
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
            let own = properties.iter().filter(|(n, _)| !OWN.contains(n));
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

fn set(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let pairs = words::pairs(words)?;
    if pairs.is_empty() {
        return Err(misused());
    }
    let force = cx.flags.force();
    for (name, value) in &pairs {
        let modern = name.replacen("fencing-", "stonith-", 1);
        if !NAMES.contains(&name.as_str()) && !NAMES.contains(&modern.as_str()) && !force {
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
    let words: &[&str] = match name {
        "no-quorum-policy" => &["demote", "freeze", "ignore", "stop", "suicide", "fence"],
        "stonith-action" | "fencing-action" => &["off", "poweroff", "reboot"],
        "placement-strategy" => &["balanced", "default", "minimal", "utilization"],
        "fence-reaction" => &["panic", "stop"],
        "node-health-strategy" => &[
            "custom",
            "migrate-on-red",
            "none",
            "only-green",
            "progressive",
        ],
        name if BOOLEANS.contains(&name) => {
            return match cib::value::parse_bool(value) {
                Ok(_) => Ok(()),
                Err(_) => Err(Failure::usage(format!(
                    "'{value}' is not a valid {name} value, use true or false, use --force to override"
                ))),
            };
        }
        _ => return Ok(()),
    };
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
const OWN: [&str; 4] = [
    "cluster-infrastructure",
    "cluster-name",
    "dc-version",
    "have-watchdog",
];

const BOOLEANS: [&str; 16] = [
    "concurrent-fencing",
    "enable-acl",
    "enable-startup-probes",
    "maintenance-mode",
    "remove-after-stop",
    "shutdown-lock",
    "start-failure-is-fatal",
    "startup-fencing",
    "stonith-enabled",
    "fencing-enabled",
    "stop-all-resources",
    "stop-orphan-actions",
    "stop-orphan-resources",
    "stop-removed-actions",
    "stop-removed-resources",
    "symmetric-cluster",
];

/// Options of Pacemaker 2.1 and what follows it.
pub(in crate::cli) const NAMES: [&str; 46] = [
    "batch-limit",
    "cluster-delay",
    "cluster-ipc-limit",
    "cluster-name",
    "cluster-recheck-interval",
    "concurrent-fencing",
    "dc-deadtime",
    "default-resource-stickiness",
    "election-timeout",
    "enable-acl",
    "enable-startup-probes",
    "fence-reaction",
    "join-finalization-timeout",
    "join-integration-timeout",
    "load-threshold",
    "maintenance-mode",
    "migration-limit",
    "no-quorum-policy",
    "node-action-limit",
    "node-health-base",
    "node-health-green",
    "node-health-red",
    "node-health-strategy",
    "node-health-yellow",
    "node-pending-timeout",
    "pe-error-series-max",
    "pe-input-series-max",
    "pe-warn-series-max",
    "placement-strategy",
    "priority-fencing-delay",
    "remove-after-stop",
    "shutdown-escalation",
    "shutdown-lock",
    "shutdown-lock-limit",
    "start-failure-is-fatal",
    "startup-fencing",
    "stonith-action",
    "stonith-enabled",
    "stonith-max-attempts",
    "stonith-timeout",
    "stonith-watchdog-timeout",
    "stop-all-resources",
    "stop-orphan-actions",
    "stop-orphan-resources",
    "symmetric-cluster",
    "transition-delay",
];
