//! `pcs resource move`, `ban`, `clear`: constraints that say where a resource shall (not) be.

use super::super::Context;
use super::super::change::{known, known_node};
use super::super::level::misused;
use crate::cli::backend;
use crate::cli::exit::{Exit, Failure};
use crate::cli::moves::{self, Wish};
use crate::cli::outcome::Goal;

/// `RESOURCE [NODE] [lifetime=DURATION]`.
struct Words<'a> {
    id: &'a str,
    node: Option<&'a str>,
    until: Option<i64>,
}

fn words_of(words: &[String]) -> Result<Words<'_>, Failure> {
    let mut until = None;
    let mut places = Vec::new();
    for word in words {
        match word.split_once('=') {
            Some(("lifetime", text)) => {
                let end = moves::end_of(text);
                until = Some(end.ok_or_else(|| {
                    Failure::usage(format!(
                        "invalid lifetime '{text}': an ISO 8601 duration is expected, PT1H for an hour"
                    ))
                })?);
            }
            Some(_) => {
                return Err(Failure::new(
                    Exit::Unimplemented,
                    format!("{word} is not offered"),
                ));
            }
            None => places.push(word.as_str()),
        }
    }
    match places.as_slice() {
        [id] => Ok(Words {
            id,
            node: None,
            until,
        }),
        [id, node] => Ok(Words {
            id,
            node: Some(*node),
            until,
        }),
        _ => Err(misused()),
    }
}

/// `move RESOURCE [NODE]`: prefers the node until `clear`; without one, leaves where it is.
pub(super) fn relocate(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let Words { id, node, until } = words_of(words)?;
    let Some(node) = node else {
        return ban(cx, words);
    };
    let wish = wish(id, node, true, until);
    cx.edit(|cib| {
        known(cib, id)?;
        known_node(cib, node)?;
        moves::clear(cib, id, None);
        wish.put(cib)
    })?;
    cx.note(&format!(
        "Location constraint to move resource '{id}' has been created: {}; `pcs resource clear {id}` removes it",
        wish.id()
    ));
    cx.expect(id, Goal::On(node.to_owned()));
    cx.settle_with(id, true)
}

/// `ban RESOURCE [NODE]`: without a node, where it runs now.
pub(super) fn ban(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let Words { id, node, until } = words_of(words)?;
    known(&cx.cib()?, id)?;
    let node = match node {
        Some(node) => node.to_owned(),
        None => {
            let nowhere = format!(
                "You must specify a node when moving/banning a stopped resource: {id} runs nowhere"
            );
            moves::the_node_of(&backend::status(cx.backend)?, id, nowhere)?
        }
    };
    let wish = wish(id, &node, false, until);
    cx.edit(|cib| {
        known(cib, id)?;
        known_node(cib, &node)?;
        moves::clear(cib, id, Some(&node));
        wish.put(cib)
    })?;
    cx.warning(&format!(
        "Creating location constraint '{}' with a score of -INFINITY for resource {id} on {node}.\n\tThis will prevent {id} from running on {node} until the constraint is removed\n\tThis will be the case even if {node} is the last node in the cluster",
        wish.id()
    ));
    cx.expect(id, Goal::Off(node.clone()));
    cx.settle()?;
    Ok(())
}

fn wish<'a>(resource: &'a str, node: &'a str, wanted: bool, until: Option<i64>) -> Wish<'a> {
    Wish {
        resource,
        node,
        wanted,
        role: "Started",
        until,
    }
}

/// `clear RESOURCE [NODE]`.
pub(super) fn clear(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let Words { id, node, until } = words_of(words)?;
    if until.is_some() {
        return Err(misused());
    }
    let removed = cx.edit(|cib| {
        known(cib, id)?;
        if let Some(node) = node {
            known_node(cib, node)?;
        }
        Ok(moves::clear(cib, id, node))
    })?;
    for constraint in removed {
        cx.note(&format!("Removing constraint: {constraint}"));
    }
    cx.settle()?;
    Ok(())
}
