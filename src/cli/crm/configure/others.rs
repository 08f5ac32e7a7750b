//! `tag`, `fencing_topology`, `alert`, `rsc_ticket`: words to elements.

use super::parse::{Cursor, nvpairs, with_suffix};
use crate::cli::crm::words::pair;
use crate::cli::exit::Failure;
use cib::edit::{self, SetKind, sanitize_id};
use cib::{Cib, Element, Section};

/// `tag ID: RESOURCE …`; the colon may be left out.
pub(super) fn tag(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let words = without_colon(words);
    let mut cursor = Cursor::new("tag", &words);
    let id = cursor.id()?;
    let mut element = Element::new("tag").with("id", &id);
    while let Some(member) = cursor.next() {
        let known = cib::config::Config::new(cib).by_id(&member).is_some();
        if !known {
            return Err(Failure::no_such(format!(
                "tag: there is nothing with the id {member}"
            )));
        }
        let reference = Element::new("obj_ref").with("id", &member);
        if !element.children.contains(&reference) {
            element.children.push(reference);
        }
    }
    if element.children.is_empty() {
        return Err(cursor.missing("what it names"));
    }
    Ok(edit::insert(cib, Section::Tags, element)?)
}

fn without_colon(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    if let Some(first) = words.first_mut() {
        *first = first.trim_end_matches(':').to_owned();
    }
    words
}

/// `fencing_topology [TARGET:] DEVICE[,DEVICE…] …`: the levels of each target in their order. A
/// target is a node, `pattern:REGEX` or `attr:NAME=VALUE`; without one, the levels are every
/// node's. What was there before is replaced.
pub(super) fn fencing_topology(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let mut cursor = Cursor::new("fencing_topology", words);
    let mut targets: Vec<String> = Vec::new();
    let mut levels: Vec<Element> = Vec::new();
    let mut index = 0_usize;
    while let Some(word) = cursor.next() {
        if let Some(target) = word.strip_suffix(':') {
            targets = vec![target.to_owned()];
            index = 0;
            continue;
        }
        if targets.is_empty() {
            let nodes = cib::config::Config::new(cib).nodes();
            targets = nodes.iter().map(|n| n.uname.to_owned()).collect();
        }
        index += 1;
        for device in word.split(',') {
            let config = cib::config::Config::new(cib);
            if config.resource(device).is_none() {
                return Err(Failure::no_such(format!(
                    "fencing_topology: there is no fence device {device}"
                )));
            }
        }
        levels.extend(targets.iter().map(|target| level(target, index, &word)));
    }
    if levels.is_empty() {
        return Err(cursor.missing("a fence device"));
    }
    cib.section_mut(Section::FencingTopology).children.clear();
    for level in levels {
        edit::insert(cib, Section::FencingTopology, level)?;
    }
    Ok(())
}

fn level(target: &str, index: usize, devices: &str) -> Element {
    let id = sanitize_id(&format!("fl-{target}-{index}"));
    let mut element = Element::new("fencing-level").with("id", &id);
    match (
        target.strip_prefix("pattern:"),
        target.strip_prefix("attr:"),
    ) {
        (Some(pattern), _) => element.set("target-pattern", pattern),
        (None, Some(attribute)) => {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            element.set("target-attribute", name);
            element.set("target-value", value);
        }
        (None, None) => element.set("target", target),
    }
    element
        .with("index", &index.to_string())
        .with("devices", devices)
}

/// `alert ID PATH [attributes …] [meta …] [select KIND …] [to] RECIPIENT …`.
pub(super) fn alert(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let mut cursor = Cursor::new("alert", words);
    let id = cursor.id()?;
    let path = cursor.word("the path of the alert agent")?;
    let mut element = Element::new("alert").with("id", &id).with("path", &path);
    cursor.description(&mut element);
    let mut recipients = 0_usize;
    while let Some(word) = cursor.next() {
        match word.as_str() {
            "attributes" => nvpairs(&mut element, SetKind::Instance, &id, &mut cursor, KEYWORDS)?,
            "meta" => nvpairs(&mut element, SetKind::Meta, &id, &mut cursor, KEYWORDS)?,
            "select" => select(&id, &mut element, &mut cursor)?,
            "to" | "{" | "}" => {}
            word if pair(word).is_some() => return Err(cursor.unexpected(word)),
            value => {
                recipients += 1;
                let recipient = recipient(&id, recipients, value, &mut cursor)?;
                element.children.push(recipient);
            }
        }
    }
    Ok(edit::insert(cib, Section::Alerts, element)?)
}

/// A recipient with what is its own.
fn recipient(
    alert: &str,
    number: usize,
    value: &str,
    cursor: &mut Cursor<'_>,
) -> Result<Element, Failure> {
    let id = format!("{alert}-recipient-{number}");
    let mut element = Element::new("recipient")
        .with("id", &id)
        .with("value", value);
    while let Some(word) = cursor.peek() {
        let kind = match word {
            "attributes" => SetKind::Instance,
            "meta" => SetKind::Meta,
            _ => break,
        };
        cursor.next();
        nvpairs(&mut element, kind, &id, cursor, KEYWORDS)?;
    }
    Ok(element)
}

/// `{ NAME … }`: the attributes that an alert is for.
fn picked(alert: &str, kind: &mut Element, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    cursor.next();
    while let Some(name) = cursor.next() {
        if name == "}" {
            return Ok(());
        }
        let number = kind.children.len() + 1;
        let attribute = Element::new("attribute")
            .with("id", &format!("{alert}-select-attributes-{number}"))
            .with("name", &name);
        kind.children.push(attribute);
    }
    Err(cursor.missing("`}` behind the attributes' names"))
}

/// `select nodes fencing resources attributes [{ NAME … }]`.
fn select(alert: &str, element: &mut Element, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    let mut chosen = Element::new("select");
    while let Some(word) = cursor.peek() {
        match word {
            "nodes" | "fencing" | "resources" | "attributes" => {
                let mut kind = Element::new(&format!("select_{word}"));
                cursor.next();
                if kind.name == "select_attributes" && cursor.peek() == Some("{") {
                    picked(alert, &mut kind, cursor)?;
                }
                chosen.children.push(kind);
            }
            _ => break,
        }
    }
    if chosen.children.is_empty() {
        return Err(cursor.missing("nodes, fencing, resources or attributes"));
    }
    element.children.push(chosen);
    Ok(())
}

/// `rsc_ticket ID TICKET: RESOURCE[:ROLE] … [loss-policy=…]`.
pub(super) fn ticket(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let mut cursor = Cursor::new("rsc_ticket", words);
    let id = cursor.id()?;
    let ticket = cursor.word("a ticket with a colon")?;
    let Some(ticket) = ticket.strip_suffix(':') else {
        return Err(cursor.missing("a ticket with a colon"));
    };
    let mut element = Element::new("rsc_ticket")
        .with("id", &id)
        .with("ticket", ticket);
    let mut members = Vec::new();
    while let Some(word) = cursor.next() {
        match pair(&word) {
            Some(("loss-policy", policy)) => element.set("loss-policy", policy),
            Some(_) => return Err(cursor.unexpected(&word)),
            None => members.push(word),
        }
    }
    match members.as_slice() {
        [] => return Err(cursor.missing("a resource")),
        [one] => {
            let (rsc, role) = with_suffix(one);
            element.set("rsc", rsc);
            if let Some(role) = role {
                element.set("rsc-role", role);
            }
        }
        several => {
            let mut last: Option<Option<&str>> = None;
            for member in several {
                let (rsc, role) = with_suffix(member);
                if last != Some(role) {
                    last = Some(role);
                    let set_id = format!("{id}-{}", element.children.len());
                    let mut set = Element::new("resource_set").with("id", &set_id);
                    if let Some(role) = role {
                        set.set("role", role);
                    }
                    element.children.push(set);
                }
                if let Some(set) = element.children.last_mut() {
                    set.children
                        .push(Element::new("resource_ref").with("id", rsc));
                }
            }
        }
    }
    Ok(edit::insert(cib, Section::Constraints, element)?)
}

/// Words that begin a new part of an alert.
const KEYWORDS: &[&str] = &["attributes", "meta", "select", "to", "{", "}"];
