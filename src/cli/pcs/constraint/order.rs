//! `pcs constraint order`: what happens before what.

use super::super::change::known;
use super::super::level::{Level, Verb, also, misused, verb};
use super::super::words::{self, is_it};
use super::super::{Context, ids};
use super::{insert, may_be_named, score, sets, show};
use crate::cli::exit::Failure;
use cib::config::{Config, Kind};
use cib::{Cib, Element, Section};

pub(super) const LEVEL: Level = Level {
    path: "pcs constraint order",
    alone: Some("config"),
    rest: Some(PAIR),
    verbs: &[
        verb(
            "set",
            "RESOURCE... [NAME=VALUE]... [set RESOURCE...]... [setoptions NAME=VALUE...]",
            &["file", "force"],
            |cx, words| sets::add(cx, words, &sets::ORDER),
        ),
        verb("config", "", &["file", "full"], |cx, words| {
            show::kind(cx, words, "rsc_order")
        }),
        also("show", "config"),
        verb("delete", "RESOURCE...", &["file"], delete),
        also("remove", "delete"),
    ],
};

/// `order [ACTION] RESOURCE then [ACTION] RESOURCE`.
const PAIR: Verb = verb(
    "",
    "[ACTION] RESOURCE then [ACTION] RESOURCE [NAME=VALUE]...",
    &["file", "force"],
    add,
);

fn add(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let Some(at) = words.iter().position(|w| w == "then") else {
        let first = words.first().map(String::as_str).unwrap_or_default();
        let near = is_it(first, ["set", "config", "delete"]);
        return match near.is_empty() || words.len() > 1 {
            true => Err(misused()),
            false => Err(Failure::usage(format!(
                "pcs constraint order has no command `{first}`{near}"
            ))),
        };
    };
    let (first_action, first, left) = step(&words[..at])?;
    if !left.is_empty() {
        return Err(misused());
    }
    let (then_action, then, left) = step(&words[at + 1..])?;
    let options = words::pairs(left)?;
    let force = cx.flags.force();
    let (there, shown) = cx.edit(|cib| {
        may_be_named(cib, first, force)?;
        may_be_named(cib, then, force)?;
        same_group(cib, first, then)?;
        let mut element = Element::new("rsc_order")
            .with("first", first)
            .with("then", then);
        element.set("first-action", first_action.unwrap_or("start"));
        // Without a word of its own, the second does what the first did.
        element.set(
            "then-action",
            then_action.or(first_action).unwrap_or("start"),
        );
        finish(cib, &mut element, &options)?;
        let shown = adding(&element);
        let same = |c: &Element| {
            ["first", "then", "first-action", "then-action"]
                .iter()
                .all(|name| {
                    let word = |e: &Element| e.attr(name).unwrap_or("start").to_owned();
                    word(c) == word(&element)
                })
        };
        let there = insert(cib, element.clone(), force, same)?;
        Ok((there, shown))
    })?;
    match there {
        Some(id) => cx.there_already(Some(&id)),
        None => cx.note(&shown),
    }
    Ok(())
}

/// `[ACTION] RESOURCE`, and what follows.
fn step(words: &[String]) -> Result<(Option<&str>, &str, &[String]), Failure> {
    match words {
        [action, id, rest @ ..] if ACTIONS.contains(&action.as_str()) && !id.contains('=') => {
            Ok((Some(action), id, rest))
        }
        [id, rest @ ..] if !id.contains('=') => match rest {
            [next, ..] if !next.contains('=') => Err(Failure::usage(format!(
                "'{id}' is no action{}, use 'start', 'promote', 'stop', 'demote'",
                is_it(id, ACTIONS).replace(": is", ", is").replace('?', "")
            ))),
            rest => Ok((None, id, rest)),
        },
        _ => Err(misused()),
    }
}

fn same_group(cib: &Cib, a: &str, b: &str) -> Result<(), Failure> {
    let config = Config::new(cib);
    if a == b {
        return Err(Failure::usage(format!(
            "'{a}' cannot come before itself: name two different resources"
        )));
    }
    let group = |id: &str| {
        let parent = config.resource(id)?.parent?;
        let found = config.resource(parent)?;
        (found.kind == Kind::Group).then_some(found.id)
    };
    match (group(a), group(b)) {
        (Some(x), Some(y)) if x == y => Err(Failure::usage(
            "Cannot create an order constraint for resources in the same group: the group orders them",
        )),
        _ => Ok(()),
    }
}

fn finish(cib: &Cib, element: &mut Element, options: &[(String, String)]) -> Result<(), Failure> {
    let mut id = None;
    let mut kind_or_score = None;
    for (name, value) in options {
        match name.as_str() {
            "id" => id = Some(value.clone()),
            "kind" => {
                let word = kind(value)?;
                element.set("kind", word);
                kind_or_score = Some(word.to_owned());
            }
            "score" => {
                let score = score(value)?;
                element.set("score", &score);
                kind_or_score = Some(score);
            }
            "symmetrical" if cib::value::parse_bool(value).is_ok() => {
                element.set("symmetrical", value);
            }
            "symmetrical" => {
                return Err(Failure::usage(format!(
                    "invalid symmetrical value '{value}', allowed values are: true, false"
                )));
            }
            other => {
                return Err(Failure::usage(format!(
                    "invalid option '{other}'{}, allowed options are: 'id', 'kind', 'symmetrical'",
                    is_it(other, ["id", "kind", "symmetrical"])
                        .replace(": is", ", is")
                        .replace('?', "")
                )));
            }
        }
    }
    let made = || {
        let first = element.attr("first").unwrap_or_default();
        let then = element.attr("then").unwrap_or_default();
        let kind = kind_or_score.unwrap_or_else(|| "mandatory".to_owned());
        ids::unique(cib, &format!("order-{first}-{then}-{kind}"))
    };
    let id = id.unwrap_or_else(made);
    element.set("id", &id);
    let place = |name: &str| ATTRIBUTES.iter().position(|a| *a == name);
    element.attrs.sort_by_key(|(name, _)| place(name));
    Ok(())
}

/// A kind in its own spelling.
pub(super) fn kind(word: &str) -> Result<&'static str, Failure> {
    let kinds = ["Mandatory", "Optional", "Serialize"];
    let found = kinds.into_iter().find(|k| k.eq_ignore_ascii_case(word));
    found.ok_or_else(|| {
        Failure::usage(format!(
            "invalid kind value '{word}'{}, allowed values are: Mandatory, Optional, Serialize",
            is_it(word, kinds).replace(": is", ", is").replace('?', "")
        ))
    })
}

/// What is said of a new one.
fn adding(element: &Element) -> String {
    let get = |name: &str| element.attr(name).unwrap_or_default();
    let how = match element.attr("score") {
        Some(score) => format!("score: {score}"),
        None => format!("kind: {}", element.attr("kind").unwrap_or("Mandatory")),
    };
    let mut options = format!(
        "first-action={} then-action={}",
        get("first-action"),
        get("then-action")
    );
    if let Some(symmetrical) = element.attr("symmetrical") {
        options.push_str(&format!(" symmetrical={symmetrical}"));
    }
    format!(
        "Adding {} {} ({how}) (Options: {options})",
        get("first"),
        get("then")
    )
}

/// `delete RESOURCE…`: the resources out of all orders.
fn delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    cx.edit(|cib| {
        for id in words {
            let all = &mut cib.section_mut(Section::Constraints).children;
            let mut found = false;
            let ours = |c: &Element| c.name == "rsc_order";
            all.retain(|c| {
                let named = [c.attr("first"), c.attr("then")].contains(&Some(id.as_str()));
                found |= ours(c) && named;
                !(ours(c) && named)
            });
            for constraint in all.iter_mut().filter(|c| ours(c)) {
                for set in &mut constraint.children {
                    let before = set.children.len();
                    set.children.retain(|r| r.id() != Some(id));
                    found |= before != set.children.len();
                }
                constraint
                    .children
                    .retain(|set| set.name != "resource_set" || !set.children.is_empty());
            }
            all.retain(|c| !ours(c) || c.attr("first").is_some() || !c.children.is_empty());
            if !found {
                known(cib, id)?;
                return Err(Failure::no_such(format!(
                    "No matching resources found in ordering list: no order names '{id}'"
                )));
            }
        }
        Ok(())
    })
}

/// Attributes in the order in which they are written.
const ATTRIBUTES: [&str; 8] = [
    "first",
    "then",
    "kind",
    "score",
    "first-action",
    "then-action",
    "symmetrical",
    "id",
];
const ACTIONS: [&str; 4] = ["start", "stop", "promote", "demote"];
