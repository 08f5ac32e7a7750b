//! `pcs resource defaults` and `pcs resource op defaults`.

use super::super::Context;
use super::super::change::put;
use super::super::constraint::{rules, show::rule_text};
use super::super::ids;
use super::super::level::{Level, also, below, misused, verb};
use super::super::words::{self, is_it};
use super::show::{quoted, shell, sorted};
use crate::cli::exit::{Exit, Failure};
use crate::cli::pcs::flags::Format;
use cib::config::Config;
use cib::{Cib, Element, Section};
use serde_json::json;
use std::fmt::Write as _;

const CREATE: &str = "[id=ID] [score=SCORE] meta NAME=VALUE... [rule EXPRESSION]";

pub(super) const RESOURCES: Level = Level {
    path: "pcs resource defaults",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb(
            "config",
            "",
            &["file", "full", "output-format"],
            |cx, words| show(cx, words, Section::RscDefaults),
        ),
        also("show", "config"),
        verb(
            "update",
            "NAME=VALUE...",
            &["file", "force"],
            |cx, words| update(cx, words, Section::RscDefaults),
        ),
        below("set", &RESOURCE_SETS),
    ],
};

const RESOURCE_SETS: Level = Level {
    path: "pcs resource defaults set",
    alone: None,
    rest: None,
    verbs: &[
        verb("create", CREATE, &["file", "force"], |cx, words| {
            create(cx, words, Section::RscDefaults)
        }),
        verb("delete", "ID...", &["file"], |cx, words| {
            delete(cx, words, Section::RscDefaults)
        }),
        also("remove", "delete"),
        verb(
            "update",
            "ID meta NAME=VALUE...",
            &["file", "force"],
            |cx, words| change(cx, words, Section::RscDefaults),
        ),
    ],
};

pub(super) const OPERATIONS: Level = Level {
    path: "pcs resource op defaults",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb(
            "config",
            "",
            &["file", "full", "output-format"],
            |cx, words| show(cx, words, Section::OpDefaults),
        ),
        also("show", "config"),
        verb(
            "update",
            "NAME=VALUE...",
            &["file", "force"],
            |cx, words| update(cx, words, Section::OpDefaults),
        ),
        below("set", &OPERATION_SETS),
    ],
};

const OPERATION_SETS: Level = Level {
    path: "pcs resource op defaults set",
    alone: None,
    rest: None,
    verbs: &[
        verb("create", CREATE, &["file", "force"], |cx, words| {
            create(cx, words, Section::OpDefaults)
        }),
        verb("delete", "ID...", &["file"], |cx, words| {
            delete(cx, words, Section::OpDefaults)
        }),
        also("remove", "delete"),
        verb(
            "update",
            "ID meta NAME=VALUE...",
            &["file", "force"],
            |cx, words| change(cx, words, Section::OpDefaults),
        ),
    ],
};

fn show(cx: &mut Context<'_>, words: &[String], section: Section) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let out = match cx.flags.format()? {
        Format::Text => listed(&cib, section, 0, cx.flags.has("full")),
        Format::Json => {
            let sets: Vec<_> = sets(&cib, section).map(as_json).collect();
            format!(
                "{}\n",
                json!({"instance_attributes": [], "meta_attributes": sets})
            )
        }
        Format::Cmd => sets(&cib, section)
            .map(|set| command(set, section))
            .collect(),
    };
    cx.console.print(&out);
    Ok(())
}

fn sets(cib: &Cib, section: Section) -> impl Iterator<Item = &Element> {
    let owner = cib.section(section).into_iter();
    owner.flat_map(|s| s.all("meta_attributes"))
}

fn as_json(set: &Element) -> serde_json::Value {
    let pairs = set.all("nvpair");
    let pairs: Vec<_> = pairs
        .map(|p| json!({"id": p.id(), "name": p.attr("name"), "value": p.attr("value")}))
        .collect();
    let options = set.attrs.iter().filter(|(name, _)| name != "id");
    let options: serde_json::Map<String, serde_json::Value> = options
        .map(|(n, v)| (n.to_string(), json!(v.as_str())))
        .collect();
    let rule = set.first("rule");
    let rule = rule.map(|r| json!({"id": r.id(), "as_string": rules::words(r)}));
    json!({"id": set.id(), "options": options, "rule": rule, "nvpairs": pairs})
}

/// The command that makes a set again.
fn command(set: &Element, section: Section) -> String {
    let level = match section {
        Section::OpDefaults => "resource op defaults",
        _ => "resource defaults",
    };
    let pairs = sorted(set);
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(n, v)| shell(&format!("{n}={v}")))
        .collect();
    if pairs.is_empty() {
        return String::new();
    }
    let (pairs, rule) = (pairs.join(" "), set.first("rule"));
    let id = set.id().unwrap_or_default();
    if rule.is_none() && id == own_set(section) && set.attr("score").is_none() {
        return format!("pcs -- {level} update {pairs}\n");
    }
    let score = set.attr("score").map(|s| format!(" score={s}"));
    let rule = rule.map(|r| format!(" rule {}", shell(&rules::words(r))));
    format!(
        "pcs -- {level} set create id={id}{} meta {pairs}{}\n",
        score.unwrap_or_default(),
        rule.unwrap_or_default()
    )
}

/// The defaults of a section, as text.
pub(in crate::cli::pcs) fn text(cib: &Cib, section: Section, indent: usize) -> String {
    listed(cib, section, indent, false)
}

fn listed(cib: &Cib, section: Section, indent: usize, full: bool) -> String {
    let margin = " ".repeat(indent);
    let mut text = String::new();
    for set in sets(cib, section) {
        let score = set.attr("score").map(|s| format!(" score={s}"));
        let score = score.unwrap_or_default();
        let _ = writeln!(
            text,
            "{margin}Meta Attrs: {}{score}",
            set.id().unwrap_or_default()
        );
        for (name, value) in sorted(set) {
            let _ = writeln!(text, "{margin}  {name}={}", quoted(value));
        }
        for rule in set.all("rule") {
            rule_text(rule, indent + 2, full, &mut text);
        }
    }
    match text.is_empty() {
        true => format!("{margin}No defaults set\n"),
        false => text,
    }
}

/// The set that `update` writes to where there is none.
const fn own_set(section: Section) -> &'static str {
    match section {
        Section::OpDefaults => "op_defaults-meta_attributes",
        _ => "rsc_defaults-meta_attributes",
    }
}

fn update(cx: &mut Context<'_>, words: &[String], section: Section) -> Result<(), Failure> {
    let pairs = words::pairs(words)?;
    if pairs.is_empty() {
        return Err(misused());
    }
    are_known(cx, &pairs, section)?;
    let set = own_set(section);
    cx.edit(|cib| {
        let owner = cib.section_mut(section);
        for (name, value) in &pairs {
            put(owner, "meta_attributes", set, name, value);
        }
        Ok(())
    })?;
    cx.warning(OVERRIDDEN);
    Ok(())
}

/// A name that is nearly one that means something is most often that one.
fn are_known(
    cx: &Context<'_>,
    pairs: &[(String, String)],
    section: Section,
) -> Result<(), Failure> {
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
    Ok(())
}

/// `set create`: a further set, which may have a rule that says where it applies.
fn create(cx: &mut Context<'_>, words: &[String], section: Section) -> Result<(), Failure> {
    let (head, parts) = words::sections(words, &["meta", "rule"]);
    let (mut pairs, mut rule) = (Vec::new(), None);
    for (name, rest) in parts {
        match name {
            "meta" => pairs.extend(words::pairs(rest)?),
            _ if rule.is_some() => return Err(Failure::usage("a set has one rule")),
            _ => {
                let about = match section {
                    Section::OpDefaults => rules::About::Operations,
                    _ => rules::About::Resources,
                };
                rule = Some(rules::parse(rest, about)?);
            }
        }
    }
    if pairs.is_empty() {
        return Err(misused());
    }
    are_known(cx, &pairs, section)?;
    let (id, score) = options(head)?;
    cx.edit(|cib| {
        let id = match &id {
            Some(id) if Config::new(cib).by_id(id).is_some() => {
                return Err(Failure::new(Exit::Exists, format!("'{id}' already exists")));
            }
            Some(id) => id.clone(),
            None => ids::unique(cib, own_set(section)),
        };
        let mut set = Element::new("meta_attributes").with("id", &id);
        if let Some(score) = &score {
            set.set("score", score);
        }
        if let Some(expression) = &rule {
            set.children.push(whole_rule(expression, &id));
        }
        for (name, value) in &pairs {
            let pair = Element::new("nvpair").with("id", &format!("{id}-{name}"));
            set.children
                .push(pair.with("name", name).with("value", value));
        }
        cib.section_mut(section).children.push(set);
        Ok(())
    })?;
    cx.warning(OVERRIDDEN);
    Ok(())
}

/// `id=ID score=SCORE`.
fn options(words: &[String]) -> Result<(Option<String>, Option<String>), Failure> {
    let (mut id, mut score) = (None, None);
    for (name, value) in words::pairs(words)? {
        match name.as_str() {
            "id" if value.is_empty() || !value.chars().all(|c| ids::fine(&c)) => {
                return Err(Failure::usage(format!(
                    "'{value}' is no id: use letters, figures, `-`, `_` and `.`"
                )));
            }
            "id" => id = Some(value),
            "score" => {
                cib::value::Score::parse(&value).map_err(|_| {
                    Failure::usage(format!(
                        "invalid score '{value}', use integer or INFINITY or -INFINITY"
                    ))
                })?;
                score = Some(value);
            }
            other => {
                return Err(Failure::usage(format!(
                    "invalid option '{other}', allowed options are: 'id', 'score'{}",
                    is_it(other, ["id", "score", "meta", "rule"])
                )));
            }
        }
    }
    Ok((id, score))
}

/// A rule with what it needs where nothing stands around it.
fn whole_rule(expression: &rules::Expression, set: &str) -> Element {
    fn inside(rule: &mut Element, score: &str) {
        if rule.attr("boolean-op").is_none() {
            rule.set("boolean-op", "and");
        }
        rule.set("score", score);
        let rules = rule.children.iter_mut().filter(|c| c.name == "rule");
        rules.for_each(|inner| inside(inner, "0"));
    }
    let mut rule = rules::element(expression, &format!("{set}-rule"));
    inside(&mut rule, "INFINITY");
    rule
}

/// The set of that id.
fn set_of<'c>(cib: &'c mut Cib, section: Section, id: &str) -> Result<&'c mut Element, Failure> {
    let known: Vec<String> = sets(cib, section)
        .filter_map(|s| s.id().map(str::to_owned))
        .collect();
    let near = is_it(id, known.iter().map(String::as_str));
    let mut sets = cib.section_mut(section).children.iter_mut();
    let found = sets.find(|s| s.name == "meta_attributes" && s.id() == Some(id));
    found.ok_or_else(|| Failure::no_such(format!("options set '{id}' does not exist{near}")))
}

/// `set delete ID…`
fn delete(cx: &mut Context<'_>, words: &[String], section: Section) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    cx.edit(|cib| {
        for id in words {
            set_of(cib, section, id)?;
        }
        let sets = &mut cib.section_mut(section).children;
        sets.retain(|set| !set.id().is_some_and(|id| words.iter().any(|w| w == id)));
        Ok(())
    })
}

/// `set update ID meta NAME=VALUE…`
fn change(cx: &mut Context<'_>, words: &[String], section: Section) -> Result<(), Failure> {
    let [id, meta, rest @ ..] = words else {
        return Err(misused());
    };
    let pairs = words::pairs(rest)?;
    if meta != "meta" || pairs.is_empty() {
        return Err(misused());
    }
    are_known(cx, &pairs, section)?;
    cx.edit(|cib| {
        let set = set_of(cib, section, id)?;
        for (name, value) in &pairs {
            put_pair(set, id, name, value);
        }
        Ok(())
    })?;
    cx.warning(OVERRIDDEN);
    Ok(())
}

/// A pair of a set; an empty value takes it away.
fn put_pair(set: &mut Element, id: &str, name: &str, value: &str) {
    if value.is_empty() {
        set.children.retain(|p| p.attr("name") != Some(name));
        return;
    }
    let mut pairs = set.children.iter_mut();
    match pairs.find(|p| p.attr("name") == Some(name)) {
        Some(pair) => pair.set("value", value),
        None => {
            let pair = Element::new("nvpair").with("id", &format!("{id}-{name}"));
            set.children
                .push(pair.with("name", name).with("value", value));
        }
    }
}

const OVERRIDDEN: &str =
    "Defaults do not apply to resources which override them with their own defined values";

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
