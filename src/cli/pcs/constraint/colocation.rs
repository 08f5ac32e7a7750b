//! `pcs constraint colocation`: what runs together, and what never does.

use super::super::change::known;
use super::super::level::{Level, also, misused, verb};
use super::super::words::{self, is_it};
use super::super::{Context, ids};
use super::{insert, may_be_named, role, score, sets, show};
use crate::cli::exit::Failure;
use cib::config::{Config, referenced};
use cib::{Cib, Element, Section};

pub(super) const LEVEL: Level = Level {
    path: "pcs constraint colocation",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb(
            "add",
            "[ROLE] RESOURCE with [ROLE] RESOURCE [SCORE] [NAME=VALUE]...",
            &["file", "force"],
            add,
        ),
        verb(
            "set",
            "RESOURCE... [NAME=VALUE]... [set RESOURCE...]... [setoptions NAME=VALUE...]",
            &["file", "force"],
            |cx, words| sets::add(cx, words, &sets::COLOCATION),
        ),
        verb("config", "", &["file", "full"], |cx, words| {
            show::kind(cx, words, "rsc_colocation")
        }),
        also("show", "config"),
        verb("delete", "RESOURCE RESOURCE", &["file"], delete),
        also("remove", "delete"),
    ],
};

/// A side of a colocation.
struct Side {
    role: Option<&'static str>,
    id: String,
}

fn add(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let Some(at) = words.iter().position(|w| w == "with") else {
        return Err(misused());
    };
    let (rsc, left) = side(&words[..at])?;
    if !left.is_empty() {
        return Err(misused());
    }
    let (with, mut left) = side(&words[at + 1..])?;
    let mut value = None;
    if let [first, rest @ ..] = left
        && !first.contains('=')
    {
        value = Some(score(first)?);
        left = rest;
    }
    let mut options = words::pairs(left)?;
    if let Some(at) = options.iter().position(|(n, _)| n == "score") {
        value = Some(score(&options.remove(at).1)?);
    }
    check_options(&options)?;
    let value = value.unwrap_or_else(|| "INFINITY".to_owned());
    let force = cx.flags.force();
    let (there, unordered) = cx.edit(|cib| {
        may_be_named(cib, &rsc.id, force)?;
        may_be_named(cib, &with.id, force)?;
        if rsc.id == with.id {
            return Err(Failure::usage(format!(
                "'{}' is always where it is: name two different resources",
                rsc.id
            )));
        }
        let element = element(cib, &rsc, &with, &value, &options);
        let there = insert(cib, element, force, |c| {
            c.attr("rsc") == Some(&rsc.id)
                && c.attr("with-rsc") == Some(&with.id)
                && c.attr("rsc-role").unwrap_or("Started") == rsc.role.unwrap_or("Started")
                && c.attr("with-rsc-role").unwrap_or("Started") == with.role.unwrap_or("Started")
        })?;
        Ok((there, unordered(cib, &rsc.id, &with.id)))
    })?;
    cx.there_already(there.as_deref());
    if unordered && !value.starts_with('-') {
        cx.warning(&format!(
            "a colocation says where, not when: {0} and {1} start at the same time; `pcs constraint order {1} then {0}` orders them",
            rsc.id, with.id
        ));
    }
    Ok(())
}

/// `[ROLE] RESOURCE`, and what follows.
fn side(words: &[String]) -> Result<(Side, &[String]), Failure> {
    match words {
        [word, id, rest @ ..] if role(word).is_some() && !id.contains('=') => Ok((
            Side {
                role: role(word),
                id: id.clone(),
            },
            rest,
        )),
        [id, rest @ ..] => Ok((
            Side {
                role: None,
                id: id.clone(),
            },
            rest,
        )),
        [] => Err(misused()),
    }
}

fn check_options(options: &[(String, String)]) -> Result<(), Failure> {
    let known = ["id", "influence", "node-attribute"];
    match options.iter().find(|(n, _)| !known.contains(&n.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(Failure::usage(format!(
            "invalid option '{name}'{}, allowed options are: 'id', 'influence', 'node-attribute', 'score'",
            is_it(name, known).replace(": is", ", is").replace('?', "")
        ))),
    }
}

fn element(
    cib: &Cib,
    rsc: &Side,
    with: &Side,
    score: &str,
    options: &[(String, String)],
) -> Element {
    let mut element = Element::new("rsc_colocation")
        .with("rsc", &rsc.id)
        .with("with-rsc", &with.id)
        .with("score", score);
    if rsc.role.is_some() || with.role.is_some() {
        element.set("rsc-role", rsc.role.unwrap_or("Started"));
        element.set("with-rsc-role", with.role.unwrap_or("Started"));
    }
    let mut id = None;
    for (name, value) in options {
        match name.as_str() {
            "id" => id = Some(value.clone()),
            name => element.set(name, value),
        }
    }
    let made = || ids::unique(cib, &format!("colocation-{}-{}-{score}", rsc.id, with.id));
    element.set("id", &id.unwrap_or_else(made));
    element
}

/// No order constraint names both.
fn unordered(cib: &Cib, a: &str, b: &str) -> bool {
    let constraints = Config::new(cib).constraints();
    !constraints.iter().any(|c| {
        let named = referenced(c.element);
        c.element.name == "rsc_order" && named.contains(&a) && named.contains(&b)
    })
}

/// `delete RESOURCE RESOURCE`: those that are about these two, in this order.
fn delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [rsc, with] = words else {
        return Err(misused());
    };
    cx.edit(|cib| {
        let fits = |c: &Element| {
            c.name == "rsc_colocation"
                && c.attr("rsc") == Some(rsc)
                && c.attr("with-rsc") == Some(with)
        };
        let all = &mut cib.section_mut(Section::Constraints).children;
        let before = all.len();
        all.retain(|c| !fits(c));
        let untouched = all.len() == before;
        if untouched {
            known(cib, rsc)?;
            known(cib, with)?;
        }
        match untouched {
            true => Err(Failure::no_such(format!(
                "there is no colocation of {rsc} with {with}"
            ))),
            false => Ok(()),
        }
    })
}
