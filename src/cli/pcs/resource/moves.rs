//! `pcs resource move`, `ban`, `clear`: constraints that say where a resource shall (not) be.

use super::super::Context;
use super::super::change::{known, known_node};
use super::super::level::misused;
use crate::cli::backend;
use crate::cli::exit::{Exit, Failure};
use crate::view;
use cib::{Cib, Element, Section, edit};

/// `RESOURCE [NODE]`; `lifetime=` and `--promoted` are other people's.
fn words_of(words: &[String]) -> Result<(&str, Option<&str>), Failure> {
    if let Some(word) = words.iter().find(|w| w.contains('=')) {
        return Err(Failure::new(
            Exit::Unimplemented,
            format!("{word} is not offered: the constraint stays until `pcs resource clear`"),
        ));
    }
    match words {
        [id] => Ok((id, None)),
        [id, node] => Ok((id, Some(node))),
        _ => Err(misused()),
    }
}

/// `move RESOURCE [NODE]`: prefers the node until `clear`; without one, leaves where it is.
pub(super) fn relocate(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (id, node) = words_of(words)?;
    let Some(node) = node else {
        return ban(cx, words);
    };
    let constraint_id = format!("cli-prefer-{id}");
    cx.edit(|cib| {
        known(cib, id)?;
        known_node(cib, node)?;
        take_away(cib, id, None);
        put(cib, &constraint_id, id, node, "INFINITY")
    })?;
    cx.note(&format!(
        "Location constraint to move resource '{id}' has been created: {constraint_id}; `pcs resource clear {id}` removes it"
    ));
    cx.settle_with(id, true)
}

/// `ban RESOURCE [NODE]`: without a node, where it runs now.
pub(super) fn ban(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (id, node) = words_of(words)?;
    known(&cx.cib()?, id)?;
    let node = match node {
        Some(node) => node.to_owned(),
        None => where_it_runs(cx, id)?,
    };
    let constraint_id = format!("cli-ban-{id}-on-{node}");
    cx.edit(|cib| {
        known(cib, id)?;
        known_node(cib, &node)?;
        take_away(cib, id, Some(&node));
        put(cib, &constraint_id, id, &node, "-INFINITY")
    })?;
    cx.warning(&format!(
        "Creating location constraint '{constraint_id}' with a score of -INFINITY for resource {id} on {node}.\n\tThis will prevent {id} from running on {node} until the constraint is removed\n\tThis will be the case even if {node} is the last node in the cluster"
    ));
    cx.settle()?;
    Ok(())
}

fn where_it_runs(cx: &mut Context<'_>, id: &str) -> Result<String, Failure> {
    let status = backend::status(cx.backend)?;
    let places = view::find_resource(&status.resources, id).map(view::places);
    let mut nodes: Vec<String> = places
        .unwrap_or_default()
        .into_iter()
        .map(|p| p.0)
        .collect();
    nodes.sort();
    nodes.dedup();
    match nodes.as_slice() {
        [node] => Ok(node.clone()),
        [] => Err(Failure::new(
            Exit::Error,
            format!(
                "You must specify a node when moving/banning a stopped resource: {id} runs nowhere"
            ),
        )),
        several => Err(Failure::new(
            Exit::Error,
            format!("{id} runs on {}: name the node", several.join(", ")),
        )),
    }
}

fn put(cib: &mut Cib, id: &str, rsc: &str, node: &str, score: &str) -> Result<(), Failure> {
    let constraint = Element::new("rsc_location")
        .with("id", id)
        .with("rsc", rsc)
        .with("role", "Started")
        .with("node", node)
        .with("score", score);
    Ok(edit::insert(cib, Section::Constraints, constraint)?)
}

/// Takes the constraints of `move` and `ban` away, from whichever tool they are; returns their
/// ids.
fn take_away(cib: &mut Cib, id: &str, node: Option<&str>) -> Vec<String> {
    let mut removed = Vec::new();
    if cib.section(Section::Constraints).is_none() {
        return removed;
    }
    let prefer = format!("cli-prefer-{id}");
    let ban = format!("cli-ban-{id}-on-");
    cib.section_mut(Section::Constraints).children.retain(|c| {
        let own = c.id().unwrap_or_default();
        let ours = c.attr("rsc") == Some(id) && (own == prefer || own.starts_with(&ban));
        let gone = ours && node.is_none_or(|n| c.attr("node") == Some(n));
        if gone {
            removed.push(own.to_owned());
        }
        !gone
    });
    removed
}

/// `clear RESOURCE [NODE]`.
pub(super) fn clear(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (id, node) = words_of(words)?;
    let removed = cx.edit(|cib| {
        known(cib, id)?;
        if let Some(node) = node {
            known_node(cib, node)?;
        }
        Ok(take_away(cib, id, node))
    })?;
    for constraint in removed {
        cx.note(&format!("Removing constraint: {constraint}"));
    }
    cx.settle()?;
    Ok(())
}
