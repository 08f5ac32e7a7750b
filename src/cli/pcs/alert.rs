//! `pcs alert`: scripts that are told of events.

use super::change::{object, put, set_of};
use super::level::{Level, also, below, misused, verb};
use super::resource::show::{quoted, sorted};
use super::words::{self, is_it};
use super::{Context, ids};
use crate::cli::exit::{Exit, Failure};
use cib::{Cib, Element, Section};
use std::fmt::Write as _;

pub(super) const LEVEL: Level = Level {
    path: "pcs alert",
    alone: Some("config"),
    rest: None,
    verbs: &[
        verb("config", "", &["file"], config),
        also("show", "config"),
        verb(
            "create",
            "path=FILE [id=ID] [description=TEXT] [options NAME=VALUE...] [meta NAME=VALUE...]",
            &["file"],
            create,
        ),
        verb(
            "update",
            "ALERT [path=FILE] [description=TEXT] [options NAME=VALUE...] [meta NAME=VALUE...]",
            &["file"],
            update,
        ),
        verb("delete", "ALERT...", &["file"], delete),
        also("remove", "delete"),
        below("recipient", &RECIPIENT),
    ],
};

const RECIPIENT: Level = Level {
    path: "pcs alert recipient",
    alone: None,
    rest: None,
    verbs: &[
        verb(
            "add",
            "ALERT value=VALUE [id=ID] [description=TEXT] [options NAME=VALUE...] [meta NAME=VALUE...]",
            &["file", "force"],
            recipient_add,
        ),
        verb(
            "update",
            "RECIPIENT [value=VALUE] [description=TEXT] [options NAME=VALUE...] [meta NAME=VALUE...]",
            &["file"],
            update,
        ),
        verb("delete", "RECIPIENT...", &["file"], delete),
        also("remove", "delete"),
    ],
};

fn config(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if !words.is_empty() {
        return Err(misused());
    }
    let text = text(&cx.cib()?);
    cx.console.print(&text);
    Ok(())
}

fn alerts(cib: &Cib) -> Vec<&Element> {
    let section = cib.section(Section::Alerts);
    section.into_iter().flat_map(|s| s.all("alert")).collect()
}

/// All alerts.
pub(super) fn text(cib: &Cib) -> String {
    let mut text = String::from("Alerts:\n");
    let all = alerts(cib);
    if all.is_empty() {
        text.push_str(" No alerts defined\n");
    }
    for alert in all {
        let get = |e: &Element, name: &str| quoted(e.attr(name).unwrap_or_default());
        let id = alert.id().unwrap_or_default();
        let _ = writeln!(text, " Alert: {id} (path={})", get(alert, "path"));
        details(alert, 2, &mut text);
        let recipients: Vec<&Element> = alert.all("recipient").collect();
        if !recipients.is_empty() {
            text.push_str("  Recipients:\n");
        }
        for recipient in recipients {
            let id = recipient.id().unwrap_or_default();
            let _ = writeln!(
                text,
                "   Recipient: {id} (value={})",
                get(recipient, "value")
            );
            details(recipient, 4, &mut text);
        }
    }
    text
}

fn details(owner: &Element, indent: usize, text: &mut String) {
    let margin = " ".repeat(indent);
    if let Some(description) = owner.attr("description") {
        let _ = writeln!(text, "{margin}Description: {description}");
    }
    for (tag, heading) in [
        ("instance_attributes", "Options"),
        ("meta_attributes", "Meta options"),
    ] {
        let pairs = owner.all(tag).flat_map(sorted);
        let pairs: Vec<String> = pairs.map(|(n, v)| format!("{n}={}", quoted(v))).collect();
        if !pairs.is_empty() {
            let _ = writeln!(text, "{margin}{heading}: {}", pairs.join(" "));
        }
    }
}

/// What the words say of an alert or recipient.
struct Said {
    own: Vec<(String, String)>,
    options: Vec<(String, String)>,
    meta: Vec<(String, String)>,
}

fn read(words: &[String], known: &[&str]) -> Result<Said, Failure> {
    let (head, parts) = words::sections(words, &["options", "meta"]);
    let own = words::pairs(head)?;
    if let Some((name, _)) = own.iter().find(|(n, _)| !known.contains(&n.as_str())) {
        return Err(Failure::usage(format!(
            "invalid option '{name}'{}, allowed options are: '{}'",
            is_it(name, known.iter().copied())
                .replace(": is", ", is")
                .replace('?', ""),
            known.join("', '")
        )));
    }
    let mut said = Said {
        own,
        options: Vec::new(),
        meta: Vec::new(),
    };
    for (keyword, part) in parts {
        match keyword {
            "options" => said.options.extend(words::pairs(part)?),
            _ => said.meta.extend(words::pairs(part)?),
        }
    }
    Ok(said)
}

impl Said {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.own.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_str())
    }

    fn element(&self, tag: &str, id: &str) -> Element {
        let mut element = Element::new(tag).with("id", id);
        for (name, value) in self.own.iter().filter(|(n, _)| n != "id") {
            element.set(name, value);
        }
        for (tag, pairs) in [
            ("meta_attributes", &self.meta),
            ("instance_attributes", &self.options),
        ] {
            element
                .children
                .extend(set_of(tag, &format!("{id}-{tag}"), pairs));
        }
        element
    }
}

fn create(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let said = read(words, &["path", "id", "description"])?;
    if said.get("path").is_none_or(str::is_empty) {
        return Err(Failure::usage("required option 'path' is missing"));
    }
    cx.edit(|cib| {
        let id = match said.get("id") {
            Some(id) => id.to_owned(),
            None => ids::unique(cib, "alert"),
        };
        if let Some(old) = cib::config::Config::new(cib).by_id(&id) {
            return match *old == said.element("alert", &id) {
                true => Ok(()),
                false => Err(Failure::new(Exit::Exists, format!("'{id}' already exists"))),
            };
        }
        Ok(cib::edit::insert(
            cib,
            Section::Alerts,
            said.element("alert", &id),
        )?)
    })
}

fn known<'a>(cib: &'a Cib, id: &str, tag: &str) -> Result<&'a Element, Failure> {
    let mut all: Vec<&Element> = alerts(cib);
    if tag == "recipient" {
        all = all.into_iter().flat_map(|a| a.all("recipient")).collect();
    }
    let ids: Vec<&str> = all.iter().filter_map(|a| a.id()).collect();
    let found = all.iter().find(|a| a.id() == Some(id));
    found
        .copied()
        .ok_or_else(|| Failure::no_such(format!("{tag} '{id}' does not exist{}", is_it(id, ids))))
}

fn recipient_add(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [alert, rest @ ..] = words else {
        return Err(misused());
    };
    let said = read(rest, &["value", "id", "description"])?;
    let Some(value) = said.get("value").filter(|v| !v.is_empty()) else {
        return Err(Failure::usage("required option 'value' is missing"));
    };
    cx.edit(|cib| {
        let there = known(cib, alert, "alert")?;
        if there
            .all("recipient")
            .any(|r| r.attr("value") == Some(value))
        {
            return Ok(());
        }
        let id = match said.get("id") {
            Some(id) => id.to_owned(),
            None => ids::unique(cib, &format!("{alert}-recipient")),
        };
        if cib::config::Config::new(cib).by_id(&id).is_some() {
            return Err(Failure::new(Exit::Exists, format!("'{id}' already exists")));
        }
        object(cib, alert)?
            .children
            .push(said.element("recipient", &id));
        Ok(())
    })
}

fn update(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id, rest @ ..] = words else {
        return Err(misused());
    };
    let said = read(rest, &["path", "value", "description"])?;
    cx.edit(|cib| {
        if known(cib, id, "alert").is_err() {
            known(cib, id, "recipient").map_err(|_| {
                Failure::no_such(format!("neither an alert nor a recipient is called '{id}'"))
            })?;
        }
        let element = object(cib, id)?;
        for (name, value) in &said.own {
            match (name.as_str(), element.name.as_str()) {
                ("path", "recipient") | ("value", "alert") => return Err(misused()),
                (name, _) if value.is_empty() => {
                    element.unset(name);
                }
                (name, _) => element.set(name, value),
            }
        }
        for (tag, pairs) in [
            ("meta_attributes", &said.meta),
            ("instance_attributes", &said.options),
        ] {
            for (name, value) in pairs {
                put(element, tag, &format!("{id}-{tag}"), name, value);
            }
        }
        Ok(())
    })
}

fn delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    cx.edit(|cib| {
        for id in words {
            if known(cib, id, "recipient").is_err() {
                known(cib, id, "alert")?;
            }
            cib::edit::delete(cib, id)?;
        }
        Ok(())
    })
}
