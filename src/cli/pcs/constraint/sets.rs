//! Constraints of sets: `set A B [options] set C D [options] setoptions …`.

use super::super::level::misused;
use super::super::words;
use super::super::{Context, ids};
use super::{insert, may_be_named, role, score};
use crate::cli::exit::Failure;
use cib::{Cib, Element};

/// What differs between the kinds.
pub(super) struct Kind {
    tag: &'static str,
    prefix: &'static str,
    options: &'static [&'static str],
}

pub(super) const ORDER: Kind = Kind {
    tag: "rsc_order",
    prefix: "order_set",
    options: &["id", "kind", "symmetrical"],
};
pub(super) const COLOCATION: Kind = Kind {
    tag: "rsc_colocation",
    prefix: "colocation_set",
    options: &["id", "score"],
};
pub(super) const TICKET: Kind = Kind {
    tag: "rsc_ticket",
    prefix: "ticket_set",
    options: &["id", "loss-policy", "ticket"],
};

/// A set as written.
struct Set {
    members: Vec<String>,
    options: Vec<(String, String)>,
}

/// `RESOURCE… [name=value]… [set …]… [setoptions name=value…]`; the first `set` was read already.
pub(super) fn add(cx: &mut Context<'_>, words: &[String], kind: &Kind) -> Result<(), Failure> {
    let end = words
        .iter()
        .position(|w| w == "setoptions")
        .unwrap_or(words.len());
    let whole = words::pairs(words.get(end + 1..).unwrap_or_default())?;
    let sets: Vec<Set> = words[..end]
        .split(|w| w == "set")
        .map(read)
        .collect::<Result<_, _>>()?;
    check(&whole, kind.options)?;
    let force = cx.flags.force();
    let there = cx.edit(|cib| {
        for id in sets.iter().flat_map(|s| &s.members) {
            may_be_named(cib, id, force)?;
        }
        let element = element(cib, kind, &sets, &whole)?;
        insert(cib, element.clone(), force, |c| super::alike(c, &element))
    })?;
    cx.there_already(there.as_deref());
    Ok(())
}

fn read(words: &[String]) -> Result<Set, Failure> {
    let end = words
        .iter()
        .position(|w| w.contains('='))
        .unwrap_or(words.len());
    let options = words::pairs(&words[end..])?;
    if end == 0 {
        return Err(misused());
    }
    check(&options, &["action", "require-all", "role", "sequential"])?;
    for (name, value) in &options {
        let fine = match name.as_str() {
            "action" => ["start", "stop", "promote", "demote"].contains(&value.as_str()),
            "role" => role(value).is_some(),
            _ => cib::value::parse_bool(value).is_ok(),
        };
        if !fine {
            let right = match name.as_str() {
                "action" => "'demote', 'promote', 'start', 'stop'",
                "role" => "'Promoted', 'Started', 'Stopped', 'Unpromoted'",
                _ => "'false', 'true'",
            };
            return Err(Failure::usage(format!(
                "'{value}' is not a valid {name} value, use {right}"
            )));
        }
    }
    Ok(Set {
        members: words[..end].to_vec(),
        options,
    })
}

fn check(options: &[(String, String)], known: &[&str]) -> Result<(), Failure> {
    match options.iter().find(|(n, _)| !known.contains(&n.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(Failure::usage(format!(
            "invalid set option '{name}', allowed options are: '{}'",
            known.join("', '")
        ))),
    }
}

fn element(
    cib: &Cib,
    kind: &Kind,
    sets: &[Set],
    whole: &[(String, String)],
) -> Result<Element, Failure> {
    let mut element = Element::new(kind.tag);
    let mut id = None;
    for (name, value) in whole {
        match name.as_str() {
            "id" => id = Some(value.clone()),
            "score" => element.set("score", &score(value)?),
            "kind" => element.set("kind", super::order::kind(value)?),
            name => element.set(name, value),
        }
    }
    if kind.tag == "rsc_ticket" && element.attr("ticket").is_none() {
        return Err(Failure::usage(
            "required option 'ticket' is missing: write `setoptions ticket=NAME`",
        ));
    }
    if kind.tag == "rsc_colocation" && element.attr("score").is_none() {
        element.set("score", "INFINITY");
    }
    let id = id.unwrap_or_else(|| {
        let members = sets.iter().flat_map(|s| &s.members).take(NAMED_MAX);
        let letters: String = members
            .flat_map(|m| [m.chars().next(), m.chars().last()])
            .flatten()
            .collect();
        ids::unique(cib, &format!("{}_{letters}", kind.prefix))
    });
    element.set("id", &id);
    for (number, set) in sets.iter().enumerate() {
        let mut own = Element::new("resource_set");
        for (name, value) in &set.options {
            let value = match name.as_str() {
                "role" => role(value).unwrap_or_default(),
                _ => value,
            };
            own.set(name, value);
        }
        let suffix = match number {
            0 => String::new(),
            n => format!("-{n}"),
        };
        own.set("id", &ids::unique(cib, &format!("{id}_set{suffix}")));
        for member in &set.members {
            own.children
                .push(Element::new("resource_ref").with("id", member));
        }
        element.children.push(own);
    }
    Ok(element)
}

/// Resources whose letters go into the id of a constraint.
const NAMED_MAX: usize = 3;
