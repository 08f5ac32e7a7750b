//! `pcs tag`: names for several resources.

use super::Context;
use super::change::known;
use super::level::{Level, also, misused, verb};
use super::words::is_it;
use crate::cli::exit::{Exit, Failure};
use cib::config::Config;
use cib::{Cib, Element, Section};
use std::fmt::Write as _;

pub(super) const LEVEL: Level = Level {
    path: "pcs tag",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb("config", "[TAG]...", &["file"], config),
        also("list", "config"),
        verb("create", "TAG ID...", &["file"], create),
        verb(
            "update",
            "TAG [add ID...] [remove ID...]",
            &["file"],
            update,
        ),
        verb("delete", "TAG...", &["file"], delete),
        also("remove", "delete"),
    ],
};

fn tags(cib: &Cib) -> Vec<&Element> {
    let section = cib.section(Section::Tags);
    section.into_iter().flat_map(|s| s.all("tag")).collect()
}

fn exists(cib: &Cib, id: &str) -> Result<(), Failure> {
    let ids: Vec<&str> = tags(cib).iter().filter_map(|t| t.id()).collect();
    match ids.contains(&id) {
        true => Ok(()),
        false => Err(Failure::no_such(format!(
            "tag '{id}' does not exist{}",
            is_it(id, ids)
        ))),
    }
}

fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let cib = cx.cib()?;
    for id in words {
        exists(&cib, id)?;
    }
    let text = text(&cib, words, 0);
    match text.is_empty() {
        true => cx.note(" No tags defined"),
        false => cx.console.print(&text),
    }
    Ok(())
}

/// Tags and what they name.
pub(super) fn text(cib: &Cib, ids: &[String], indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut text = String::new();
    for tag in tags(cib) {
        let id = tag.id().unwrap_or_default();
        if !ids.is_empty() && !ids.iter().any(|i| i == id) {
            continue;
        }
        let _ = writeln!(text, "{margin}{id}");
        for member in tag.all("obj_ref").filter_map(Element::id) {
            let _ = writeln!(text, "{margin}  {member}");
        }
    }
    text
}

fn create(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id, members @ ..] = words else {
        return Err(misused());
    };
    if members.is_empty() {
        return Err(misused());
    }
    super::resource::create::check_id(id)?;
    if let Some(twice) = members
        .iter()
        .enumerate()
        .find(|(at, m)| members[..*at].contains(m))
    {
        return Err(Failure::usage(format!("'{}' is named twice", twice.1)));
    }
    cx.edit(|cib| {
        for member in members {
            known(cib, member)?;
        }
        let old = Config::new(cib).by_id(id).map(|old| {
            let names: Vec<&str> = old.all("obj_ref").filter_map(Element::id).collect();
            old.name == "tag" && names == *members
        });
        match old {
            Some(true) => return Ok(()),
            Some(false) => {
                return Err(Failure::new(Exit::Exists, format!("'{id}' already exists")));
            }
            None => {}
        }
        let mut tag = Element::new("tag").with("id", id);
        for member in members {
            tag.children
                .push(Element::new("obj_ref").with("id", member));
        }
        cib.section_mut(Section::Tags).children.push(tag);
        Ok(())
    })
}

fn update(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id, rest @ ..] = words else {
        return Err(misused());
    };
    let (head, parts) = super::words::sections(rest, &["add", "remove"]);
    if !head.is_empty() || parts.is_empty() {
        return Err(misused());
    }
    cx.edit(|cib| {
        exists(cib, id)?;
        for (_, members) in parts.iter().filter(|(k, _)| *k == "add") {
            for member in *members {
                known(cib, member)?;
            }
        }
        let tags = &mut cib.section_mut(Section::Tags).children;
        let Some(tag) = tags.iter_mut().find(|t| t.id() == Some(id)) else {
            return Err(misused());
        };
        for (keyword, members) in &parts {
            for member in *members {
                let has = tag.children.iter().any(|r| r.id() == Some(member));
                match (*keyword, has) {
                    ("add", false) => {
                        tag.children
                            .push(Element::new("obj_ref").with("id", member));
                    }
                    ("remove", false) => {
                        return Err(Failure::no_such(format!("'{member}' is not in tag '{id}'")));
                    }
                    ("remove", true) => tag.children.retain(|r| r.id() != Some(member)),
                    _ => {}
                }
            }
        }
        match tag.children.is_empty() {
            true => Err(Failure::usage(format!(
                "Tag '{id}' would be left empty: `pcs tag delete {id}` removes it"
            ))),
            false => Ok(()),
        }
    })
}

fn delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    cx.edit(|cib| {
        for id in words {
            exists(cib, id)?;
            let tags = &mut cib.section_mut(Section::Tags).children;
            tags.retain(|t| t.id() != Some(id));
        }
        Ok(())
    })
}
