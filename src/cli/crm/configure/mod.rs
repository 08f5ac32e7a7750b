//! `configure`: one command on one configuration. Pure: what reaches the cluster, and when, is
//! [`super::session`]'s.

mod constraints;
mod merge;
mod options;
mod others;
mod parse;
mod parts;
mod redefine;
mod rename;
mod resources;
mod rules;
mod select;
mod show;
#[cfg(test)]
mod tests;

pub(crate) use merge::merged;
pub(crate) use redefine::redefine;

use super::agents::Agents;
use super::usage::{alone, misused};
use crate::cli::exit::Failure;
use cib::edit::{self, Deleted};
use cib::{Cib, Section};

/// What a command had to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remarks {
    /// Warnings.
    pub warnings: Vec<String>,
    /// What was done besides.
    pub infos: Vec<String>,
}

impl Remarks {
    fn warnings(warnings: Vec<String>) -> Self {
        Self {
            warnings,
            infos: Vec::new(),
        }
    }
}

/// Carries out one editing command; the CIB is as before when it fails.
///
/// # Errors
/// [`Failure`] with what is wrong with the command, and where.
pub(crate) fn run(
    cib: &mut Cib,
    verb: &str,
    words: &[String],
    agents: &Agents,
) -> Result<Remarks, Failure> {
    let mut new = cib.clone();
    let remarks = apply(&mut new, verb, words, agents)?;
    *cib = new;
    Ok(remarks)
}

fn apply(cib: &mut Cib, verb: &str, words: &[String], agents: &Agents) -> Result<Remarks, Failure> {
    match verb {
        "primitive" => resources::primitive(cib, words, agents).map(Remarks::warnings),
        "rsc_template" => resources::template(cib, words, agents).map(Remarks::warnings),
        "group" => resources::group(cib, words).map(|()| Remarks::default()),
        "clone" => resources::clone(cib, words, false, "clone").map(|()| Remarks::default()),
        "promotable" => {
            resources::clone(cib, words, true, "promotable").map(|()| Remarks::default())
        }
        "ms" | "master" => {
            resources::clone(cib, words, true, "ms")?;
            let modern = show(cib, None, &words[..1])?.replace(" \\\n\t", " ");
            let text = format!(
                "\"{verb}\" is deprecated. Please use \"{}\"",
                modern.trim_end()
            );
            Ok(Remarks::warnings(vec![text]))
        }
        "location" => constraints::location(cib, words).map(|()| Remarks::default()),
        "colocation" | "collocation" => {
            constraints::colocation(cib, words).map(|()| Remarks::default())
        }
        "order" => constraints::order(cib, words).map(|()| Remarks::default()),
        "rsc_ticket" => others::ticket(cib, words).map(|()| Remarks::default()),
        "tag" => others::tag(cib, words).map(|()| Remarks::default()),
        "fencing_topology" => others::fencing_topology(cib, words).map(|()| Remarks::default()),
        "alert" => others::alert(cib, words).map(|()| Remarks::default()),
        "rename" => rename::rename(cib, words).map(|()| Remarks::default()),
        "property" => options::property(cib, words).map(Remarks::warnings),
        "rsc_defaults" => options::defaults(cib, words, true).map(Remarks::warnings),
        "op_defaults" => options::defaults(cib, words, false).map(Remarks::warnings),
        "node" => options::node(cib, words).map(|()| Remarks::default()),
        "modgroup" => parts::modgroup(cib, words).map(|()| Remarks::default()),
        "monitor" => parts::monitor(cib, words).map(|()| Remarks::default()),
        "xml" => options::xml(cib, words).map(|()| Remarks::default()),
        "delete" => delete(cib, words),
        "erase" => {
            alone(words)?;
            erase(cib);
            Ok(Remarks::default())
        }
        other => Err(Failure::usage(format!(
            "configure has no command `{other}`"
        ))),
    }
}

/// `show` as text: everything, or what these words choose. `base` is what the edit began with.
///
/// # Errors
/// A name that nothing has.
pub(crate) fn show(cib: &Cib, base: Option<&Cib>, words: &[String]) -> Result<String, Failure> {
    let chosen = select::select(cib, base, words)?;
    Ok(chosen.into_iter().map(|o| o.text + "\n").collect())
}

/// `show xml …`: the same as XML. Here a name may be that of a part, an operation for example.
///
/// # Errors
/// A name that nothing has.
pub(crate) fn show_xml(cib: &Cib, base: Option<&Cib>, words: &[String]) -> Result<String, Failure> {
    let config = cib::config::Config::new(cib);
    if let [id] = words
        && let Some(element) = config.by_id(id)
    {
        return Ok(cib::xml::format(element));
    }
    let chosen = select::select(cib, base, words)?;
    let elements = chosen.into_iter().filter_map(|o| o.element);
    Ok(elements.map(cib::xml::format).collect())
}

/// The configuration with stars in the place of the values of pairs whose names fit one of these.
///
/// # Errors
/// None in a CIB that is one.
pub(crate) fn obscured(cib: &Cib, patterns: &[&str]) -> Result<Cib, Failure> {
    select::obscured(cib, patterns)
}

/// Deletes objects together with what hangs on them.
fn delete(cib: &mut Cib, ids: &[String]) -> Result<Remarks, Failure> {
    if ids.is_empty() {
        return Err(misused());
    }
    let mut infos = Vec::new();
    for id in ids {
        let hanging = |gone: &&Deleted| !gone.asked && !ids.contains(&gone.id);
        let gone = edit::delete(cib, id)?;
        infos.extend(gone.iter().filter(hanging).map(|gone| {
            let tag = gone.tag.strip_prefix("rsc_").unwrap_or(&gone.tag);
            format!("hanging {tag}:{} deleted", gone.id)
        }));
    }
    Ok(Remarks {
        warnings: Vec::new(),
        infos,
    })
}

/// Empties the configuration but for its nodes and what the cluster itself wrote down.
fn erase(cib: &mut Cib) {
    for section in Section::CONFIGURATION {
        if cib.section(section).is_none() {
            continue;
        }
        match section {
            Section::Nodes => {}
            Section::CrmConfig => {
                let sets = &mut cib.section_mut(section).children;
                for set in sets.iter_mut() {
                    set.children.retain(|p| {
                        p.attr("name")
                            .is_some_and(|name| OWN_PROPERTIES.contains(&name))
                    });
                }
                sets.retain(|set| !set.children.is_empty());
            }
            _ => cib.section_mut(section).children.clear(),
        }
    }
}

/// Properties that the cluster writes itself.
const OWN_PROPERTIES: [&str; 4] = [
    "dc-version",
    "cluster-infrastructure",
    "cluster-name",
    "have-watchdog",
];

/// Commands of the level that change the configuration.
pub(crate) const EDITS: [&str; 25] = [
    "primitive",
    "rsc_template",
    "group",
    "clone",
    "promotable",
    "ms",
    "master",
    "location",
    "colocation",
    "order",
    "property",
    "rsc_defaults",
    "op_defaults",
    "node",
    "xml",
    "delete",
    "collocation",
    "rsc_ticket",
    "tag",
    "fencing_topology",
    "alert",
    "rename",
    "erase",
    "modgroup",
    "monitor",
];
