//! `pcs constraint`.

mod colocation;
mod location;
mod order;
pub(super) mod rules;
mod sets;
pub(super) mod show;
mod ticket;

use super::Context;
use super::change::known;
use super::level::{Level, also, below, misused, verb};
use super::words::is_it;
use crate::cli::exit::{Exit, Failure};
use cib::config::{Config, referenced};
use cib::{Cib, Element, Section};

pub(super) use show::text;

pub(super) const LEVEL: Level = Level {
    path: "pcs constraint",
    alone: Some("config"),
    rest: None,
    verbs: &[
        below("location", &location::LEVEL),
        below("order", &order::LEVEL),
        below("colocation", &colocation::LEVEL),
        below("ticket", &ticket::LEVEL),
        verb(
            "config",
            "",
            &["file", "full", "all", "output-format"],
            show::config,
        ),
        also("list", "config"),
        also("show", "config"),
        verb("delete", "ID...", &["file"], delete),
        also("remove", "delete"),
        verb("ref", "RESOURCE...", &["file"], references),
    ],
};

/// `delete ID…`: constraints, and rules and sets in them.
fn delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    cx.edit(|cib| {
        for id in words {
            let inside = cib
                .section(Section::Constraints)
                .is_some_and(|s| has(s, id));
            if !inside {
                let ids: Vec<&str> = Config::new(cib)
                    .constraints()
                    .iter()
                    .map(|c| c.id)
                    .collect();
                return Err(Failure::no_such(format!(
                    "Unable to find constraint - '{id}'{}",
                    is_it(id, ids)
                )));
            }
            cib::edit::delete(cib, id)?;
        }
        Ok(())
    })
}

fn has(element: &Element, id: &str) -> bool {
    element.children.iter().any(|c| {
        let own = c.name != "resource_ref" && c.id() == Some(id);
        own || has(c, id)
    })
}

/// `ref RESOURCE…`: constraints that name a resource.
fn references(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    for id in words {
        known(&cib, id)?;
        cx.console.line(&format!("Resource: {id}"));
        let config = Config::new(&cib);
        let constraints = config.constraints();
        let naming: Vec<&str> = constraints
            .iter()
            .filter(|c| referenced(c.element).contains(&id.as_str()))
            .map(|c| c.id)
            .collect();
        if naming.is_empty() {
            cx.console.line("  No Matches");
        }
        for constraint in naming {
            cx.console.line(&format!("  {constraint}"));
        }
    }
    Ok(())
}

/// Puts a constraint in, unless it is there. Returns the id of the one that was there.
///
/// # Errors
/// One of the same resources says otherwise, unless forced.
fn insert(
    cib: &mut Cib,
    element: Element,
    force: bool,
    same_subject: impl Fn(&Element) -> bool,
) -> Result<Option<String>, Failure> {
    let section = cib.section(Section::Constraints);
    let all = section.into_iter().flat_map(|s| &s.children);
    let rival = all
        .filter(|c| c.name == element.name && same_subject(c))
        .map(|c| (alike(c, &element), c))
        .max_by_key(|(alike, _)| *alike);
    match rival {
        Some((true, same)) => return Ok(same.id().map(str::to_owned)),
        Some((false, other)) if !force => {
            return Err(Failure::new(
                Exit::Exists,
                format!(
                    "duplicate constraint already exists, use --force to override: {} (id:{})",
                    show::line(other),
                    other.id().unwrap_or_default()
                ),
            ));
        }
        _ => {}
    }
    cib::edit::insert(cib, Section::Constraints, element)?;
    Ok(None)
}

/// The same but for the ids.
fn alike(a: &Element, b: &Element) -> bool {
    let plain = |e: &Element| {
        let mut attrs = e.attrs.clone();
        attrs.retain(|(n, _)| n != "id" || e.name == "resource_ref");
        attrs.sort();
        attrs
    };
    plain(a) == plain(b)
        && a.children.len() == b.children.len()
        && a.children.iter().zip(&b.children).all(|(a, b)| alike(a, b))
}

impl Context<'_> {
    /// Tells of a constraint that was there before.
    fn there_already(&mut self, id: Option<&str>) {
        if let Some(id) = id {
            self.warning(&format!(
                "the constraint exists already, exactly so (id:{id}): nothing was changed"
            ));
        }
    }
}

/// A score as it is written into the CIB.
///
/// # Errors
/// It is none.
fn score(text: &str) -> Result<String, Failure> {
    let infinite = match text.to_ascii_lowercase().as_str() {
        "inf" | "+inf" | "infinity" | "+infinity" => Some("INFINITY"),
        "-inf" | "-infinity" => Some("-INFINITY"),
        _ => None,
    };
    match infinite {
        Some(word) => Ok(word.to_owned()),
        None => match cib::value::Score::parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(Failure::usage(format!(
                "invalid score '{text}', use integer or INFINITY or -INFINITY"
            ))),
        },
    }
}

/// A role by its present name, when the word is one.
fn role(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "promoted" | "master" => Some("Promoted"),
        "unpromoted" | "slave" => Some("Unpromoted"),
        "started" => Some("Started"),
        "stopped" => Some("Stopped"),
        _ => None,
    }
}

/// Resources that a constraint is to name exist, and are not members of a clone.
///
/// # Errors
/// One does not, or the clone should be named in its place.
fn may_be_named(cib: &Cib, id: &str, force: bool) -> Result<(), Failure> {
    known(cib, id)?;
    let config = Config::new(cib);
    let mut up = config.resource(id).and_then(|r| r.parent);
    while let Some(parent) = up {
        let kind = config.resource(parent).map(|r| r.kind);
        if kind != Some(cib::config::Kind::Group) && !force {
            return Err(Failure::usage(format!(
                "{id} is a clone resource, you should use the clone id: {parent} when adding constraints, use --force to override"
            )));
        }
        up = config.resource(parent).and_then(|r| r.parent);
    }
    Ok(())
}
