//! `move`, `ban`, `clear`.

use super::super::Context;
use super::super::session::CLIENT;
use super::{known, known_node, misused};
use crate::cli::backend;
use crate::cli::exit::Failure;
use crate::cli::moves::{self, Wish};
use crate::cli::outcome::Goal;
use cib::Cib;
use cib::config::Config;

/// `RESOURCE [NODE] [LIFETIME] [force]`.
struct Words<'a> {
    id: &'a str,
    node: Option<&'a str>,
    until: Option<i64>,
}

fn words_of<'a>(cib: &Cib, words: &'a [String]) -> Result<Words<'a>, Failure> {
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|w| *w != "force")
        .collect();
    let usage = || Failure::usage("a lifetime is an ISO 8601 duration, PT1H for an hour");
    let until = |text: &str| moves::end_of(text).ok_or_else(usage);
    // A node may be called as a duration is written; it is a node then.
    let is_node = |word: &str| Config::new(cib).node(word).is_some();
    let (id, node, until) = match words.as_slice() {
        [id] => (*id, None, None),
        [id, word] if !is_node(word) && word.starts_with('P') && until(word).is_ok() => {
            (*id, None, Some(until(word)?))
        }
        [id, node] => (*id, Some(*node), None),
        [id, node, lifetime] => (*id, Some(*node), Some(until(lifetime)?)),
        _ => return Err(misused()),
    };
    known(cib, id)?;
    if let Some(node) = node {
        known_node(cib, node)?;
    }
    Ok(Words { id, node, until })
}

/// `move`: prefers a node, or leaves the present one.
pub(super) fn relocate(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let cib = backend::cib(&mut context.backend, false)?;
    let Words { id, node, until } = words_of(&cib, words)?;
    let Some(node) = node else {
        return ban(context, words);
    };
    let wish = Wish {
        resource: id,
        node,
        wanted: true,
        role: "Started",
        until,
    };
    backend::edit(&mut context.backend, CLIENT, |cib| {
        known(cib, id)?;
        known_node(cib, node)?;
        moves::clear(cib, id, None);
        wish.put(cib)
    })?;
    context.expect(id, Goal::On(node.to_owned()));
    let info = format!("Move constraint created for {id} to {node}");
    context.console.info(&info);
    context.console.info(&format!(
        "Use `crm resource clear {id}` to remove this constraint."
    ));
    Ok(())
}

/// `ban`: without a node, where it runs now.
pub(super) fn ban(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let cib = backend::cib(&mut context.backend, false)?;
    let Words { id, node, until } = words_of(&cib, words)?;
    let node = match node {
        Some(node) => node.to_owned(),
        None => {
            let nowhere = format!("{id} runs nowhere: name the node");
            moves::the_node_of(&backend::status(&mut context.backend)?, id, nowhere)?
        }
    };
    let wish = Wish {
        resource: id,
        node: &node,
        wanted: false,
        role: "Started",
        until,
    };
    backend::edit(&mut context.backend, CLIENT, |cib| {
        known(cib, id)?;
        known_node(cib, &node)?;
        wish.put(cib)
    })?;
    context.expect(id, Goal::Off(node.clone()));
    let constraint = wish.id();
    context.console.warning(&format!(
        "{constraint} keeps {id} away from {node}, even if it is the last node; `crm resource clear {id}` removes it"
    ));
    Ok(())
}

/// `clear RESOURCE [NODE]`.
pub(super) fn clear(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (id, node) = match words {
        [id] => (id, None),
        [id, node] => (id, Some(node.as_str())),
        _ => return Err(misused()),
    };
    let (removed, _) = backend::edit(&mut context.backend, CLIENT, |cib| {
        known(cib, id)?;
        if let Some(node) = node {
            known_node(cib, node)?;
        }
        Ok(moves::clear(cib, id, node))
    })?;
    for constraint in removed {
        let text = format!("Removed constraint {constraint}");
        context.console.info(&text);
    }
    Ok(())
}
