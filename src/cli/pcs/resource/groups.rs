//! Groups and clones: `pcs resource group`, `ungroup`, `clone`, `promotable`, `unclone`.

use super::super::change::{known, object, put, set_of};
use super::super::level::{Level, also, misused, verb};
use super::super::{Context, ids};
use super::create::{Position, check_id, clone_words, place_in};
use crate::cli::exit::{Exit, Failure};
use cib::config::{Config, Kind};
use cib::{Cib, Element, Section};

pub(super) const LEVEL: Level = Level {
    path: "pcs resource group",
    alone: Some("list"),
    rest: None,
    verbs: &[
        verb(
            "add",
            "GROUP RESOURCE...",
            &["file", "wait", "before", "after"],
            add,
        ),
        verb("remove", "GROUP [RESOURCE]...", &["file", "wait"], ungroup),
        also("delete", "remove"),
        verb("list", "", &["file"], list),
    ],
};

fn list(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let cib = cx.cib()?;
    let groups = Config::new(&cib).resources();
    for group in groups.into_iter().filter(|r| r.kind == Kind::Group) {
        let members: Vec<&str> = group
            .element
            .all("primitive")
            .filter_map(Element::id)
            .collect();
        cx.console
            .line(&format!("{}: {}", group.id, members.join(" ")));
    }
    Ok(())
}

fn add(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [group, members @ ..] = words else {
        return Err(misused());
    };
    if members.is_empty() {
        return Err(misused());
    }
    check_id(group)?;
    let position = Position::of(cx)?;
    cx.edit(|cib| {
        for id in members {
            known(cib, id)?;
            if object(cib, id)?.name != "primitive" {
                return Err(Failure::usage(format!(
                    "'{id}' is not a primitive: a group has primitives only"
                )));
            }
            if let Some(parent) = clone_of(cib, id) {
                return Err(Failure::usage(format!(
                    "'{id}' is in the clone '{parent}': `pcs resource unclone {id}` takes it out"
                )));
            }
        }
        let exists = Config::new(cib).resource(group).map(|r| r.kind);
        match exists {
            Some(Kind::Group) => {}
            Some(_) => return Err(Failure::usage(format!("'{group}' is not a group"))),
            None => {
                if let Position::Before(near) | Position::After(near) = &position {
                    return Err(Failure::no_such(format!(
                        "There is no resource '{near}' in the group '{group}', cannot add resources next to it"
                    )));
                }
                let new = Element::new("group").with("id", group);
                claim(cib, group)?;
                cib.section_mut(Section::Resources).children.push(new);
            }
        }
        let stays = |cib: &Cib, id: &str| parent_of(cib, id).as_deref() == Some(group.as_str());
        let in_place = matches!(position, Position::Last) && exists.is_some();
        let mut moved = Vec::new();
        for id in members {
            // Who is in the group already keeps the place, unless another one is asked for.
            if in_place && stays(cib, id) {
                continue;
            }
            moved.extend(take(cib, id));
        }
        let target = object(cib, group)?;
        place_in(target, group, moved, &position)?;
        drop_empty(cib);
        Ok(())
    })?;
    cx.settle()?;
    Ok(())
}

/// The id is free.
fn claim(cib: &Cib, id: &str) -> Result<(), Failure> {
    match Config::new(cib).by_id(id) {
        Some(_) => Err(Failure::new(Exit::Exists, format!("'{id}' already exists"))),
        None => Ok(()),
    }
}

fn parent_of(cib: &Cib, id: &str) -> Option<String> {
    let config = Config::new(cib);
    config.resource(id)?.parent.map(str::to_owned)
}

fn clone_of(cib: &Cib, id: &str) -> Option<String> {
    let parent = parent_of(cib, id)?;
    let kind = Config::new(cib).resource(&parent)?.kind;
    (kind != Kind::Group).then_some(parent)
}

/// Takes a resource out of wherever it is.
fn take(cib: &mut Cib, id: &str) -> Option<Element> {
    fn out(owner: &mut Element, id: &str) -> Option<Element> {
        if let Some(at) = owner.children.iter().position(|c| c.id() == Some(id)) {
            return Some(owner.children.remove(at));
        }
        owner.children.iter_mut().find_map(|c| out(c, id))
    }
    out(cib.section_mut(Section::Resources), id)
}

/// Groups without members go, with what names them.
fn drop_empty(cib: &mut Cib) {
    let empty: Vec<String> = Config::new(cib)
        .resources()
        .into_iter()
        .filter(|r| r.kind == Kind::Group && r.element.first("primitive").is_none())
        .map(|r| r.id.to_owned())
        .collect();
    for id in empty {
        // It was found just now.
        let _ = cib::edit::delete(cib, &id);
    }
}

/// `group remove GROUP [RESOURCE]…`, `ungroup`: members go back among the resources.
pub(super) fn ungroup(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [group, members @ ..] = words else {
        return Err(misused());
    };
    cx.edit(|cib| {
        known(cib, group)?;
        let target = object(cib, group)?;
        if target.name != "group" {
            return Err(Failure::usage(format!("'{group}' is not a group")));
        }
        let all: Vec<String> = target
            .all("primitive")
            .filter_map(|p| p.id().map(str::to_owned))
            .collect();
        if let Some(other) = members.iter().find(|m| !all.contains(m)) {
            known(cib, other)?;
            return Err(Failure::no_such(format!(
                "'{other}' is not in the group '{group}'"
            )));
        }
        let going: Vec<&String> = match members {
            [] => all.iter().collect(),
            members => members.iter().collect(),
        };
        if going.len() == all.len() && clone_of(cib, group).is_some() && all.len() > 1 {
            return Err(Failure::usage(format!(
                "Cannot remove more than one resource from cloned group '{group}'"
            )));
        }
        for id in going {
            if let Some(element) = take(cib, id) {
                cib.section_mut(Section::Resources).children.push(element);
            }
        }
        drop_empty(cib);
        Ok(())
    })?;
    cx.settle()?;
    Ok(())
}

pub(super) fn clone(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    make(cx, words, false)
}

pub(super) fn promotable(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    make(cx, words, true)
}

fn make(cx: &mut Context<'_>, words: &[String], promotable: bool) -> Result<(), Failure> {
    let [member, rest @ ..] = words else {
        return Err(misused());
    };
    let (id, options) = clone_words(rest, promotable)?;
    if let Some(id) = &id {
        check_id(id)?;
    }
    let made = cx.edit(|cib| {
        known(cib, member)?;
        if let Some(parent) = clone_of(cib, member) {
            let is = object(cib, &parent)?;
            let has = |name: &str, value: &str| {
                let pairs = is.all("meta_attributes").flat_map(|s| s.all("nvpair"));
                let mut pairs = pairs.filter(|p| p.attr("name") == Some(name));
                pairs.any(|p| p.attr("value") == Some(value))
            };
            let same = id.as_ref().is_none_or(|id| *id == parent)
                && options.iter().all(|(n, v)| has(n, v));
            return match same {
                true => Ok(parent),
                false => Err(Failure::new(
                    Exit::Exists,
                    format!("{member} is already in the clone {parent}: `pcs resource meta {parent} NAME=VALUE` changes it"),
                )),
            };
        }
        if let Some(parent) = parent_of(cib, member) {
            return Err(Failure::usage(format!(
                "cannot clone '{member}', it is in the group '{parent}': clone the group"
            )));
        }
        let id = match &id {
            Some(id) => id.clone(),
            None => ids::unique(cib, &format!("{member}-clone")),
        };
        claim(cib, &id)?;
        let resources = cib.section_mut(Section::Resources);
        let at = resources.children.iter().position(|c| c.id() == Some(member));
        let at = at.ok_or_else(|| Failure::usage(format!("'{member}' cannot be cloned")))?;
        let inner = resources.children.remove(at);
        let mut new = Element::new("clone").with("id", &id).child(inner);
        let set = format!("{id}-meta_attributes");
        new.children.extend(set_of("meta_attributes", &set, &options));
        resources.children.insert(at, new);
        Ok(id)
    })?;
    cx.settle_with(&made, true)
}

pub(super) fn unclone(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id] = words else {
        return Err(misused());
    };
    let member = cx.edit(|cib| {
        known(cib, id)?;
        let clone = match object(cib, id)?.name.as_str() {
            "clone" | "master" => Some(id.clone()),
            _ => clone_of(cib, id),
        };
        // What is in no clone is as wanted.
        let Some(clone) = clone else {
            return Ok(id.clone());
        };
        let element = object(cib, &clone)?;
        let inner = element
            .children
            .iter()
            .find(|c| matches!(c.name.as_str(), "primitive" | "group"));
        let inner = inner.and_then(|c| c.id().map(str::to_owned));
        cib::edit::delete(cib, &clone)?;
        let inner = inner.unwrap_or_default();
        // Stays stopped if its clone was; what else the clone had, goes with it.
        if let Ok(element) = object(cib, &inner) {
            put(
                element,
                "meta_attributes",
                &format!("{inner}-meta_attributes"),
                "promotable",
                "",
            );
        }
        Ok(inner)
    })?;
    cx.settle_with(&member, true)
}
