//! `primitive`, `group`, `clone`, `ms`: words to elements.

use super::parse::{Cursor, attrs, nvpairs};
use crate::cli::crm::agents::Agents;
use crate::cli::exit::Failure;
use cib::edit::{self, SetKind};
use cib::{Cib, Element, Section};

/// `primitive ID AGENT|@TEMPLATE [description=…] [params …] [meta …] [utilization …]
/// [operations …] [op NAME …]…`. Returns remarks.
pub(super) fn primitive(
    cib: &mut Cib,
    words: &[String],
    agents: &Agents,
) -> Result<Vec<String>, Failure> {
    let mut cursor = Cursor::new("primitive", words);
    let id = cursor.id()?;
    let spec = cursor.word("an agent, for example ocf:heartbeat:IPaddr2")?;
    let mut remarks = Vec::new();
    let mut element = Element::new("primitive").with("id", &id);
    if let Some(template) = spec.strip_prefix('@') {
        element.set("template", template);
    } else {
        let agent = agents.resolve(&spec)?;
        remarks.extend(agent.remark.map(|r| format!("{id}: {r}")));
        element.set("class", &agent.class);
        if let Some(provider) = &agent.provider {
            element.set("provider", provider);
        }
        element.set("type", &agent.kind);
    }
    body(&mut element, &id, &mut cursor)?;
    edit::insert(cib, Section::Resources, element)?;
    Ok(remarks)
}

/// `rsc_template`, written as a primitive.
pub(super) fn template(
    cib: &mut Cib,
    words: &[String],
    agents: &Agents,
) -> Result<Vec<String>, Failure> {
    let mut cursor = Cursor::new("rsc_template", words);
    let id = cursor.id()?;
    let spec = cursor.word("an agent, for example ocf:heartbeat:IPaddr2")?;
    let agent = agents.resolve(&spec)?;
    let mut element = Element::new("template")
        .with("id", &id)
        .with("class", &agent.class);
    if let Some(provider) = &agent.provider {
        element.set("provider", provider);
    }
    element.set("type", &agent.kind);
    body(&mut element, &id, &mut cursor)?;
    edit::insert(cib, Section::Resources, element)?;
    Ok(agent.remark.into_iter().collect())
}

/// What follows a primitive's agent.
fn body(element: &mut Element, id: &str, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    cursor.description(element);
    while let Some(keyword) = cursor.next() {
        let kind = match keyword.as_str() {
            "params" => SetKind::Instance,
            "meta" => SetKind::Meta,
            "utilization" => SetKind::Utilization,
            "op" => {
                let op = operation(id, cursor)?;
                operations(element).children.push(op);
                continue;
            }
            "operations" => {
                let list = operations(element);
                for (name, value) in attrs(cursor, KEYWORDS)? {
                    match name.as_str() {
                        "$id" => list.set("id", &value),
                        "$id-ref" => list.set("id-ref", &value),
                        _ => return Err(cursor.unexpected(&name)),
                    }
                }
                continue;
            }
            // `primitive d Dummy x=1`: parameters without their keyword.
            word if word.contains('=') => {
                cursor.back();
                SetKind::Instance
            }
            word => return Err(cursor.unexpected(word)),
        };
        nvpairs(element, kind, id, cursor, KEYWORDS)?;
    }
    Ok(())
}

/// The element's list of operations; a new one stands where the first `op` was written.
fn operations(element: &mut Element) -> &mut Element {
    let found = element.children.iter().position(|c| c.name == "operations");
    let index = found.unwrap_or_else(|| {
        element.children.push(Element::new("operations"));
        element.children.len() - 1
    });
    &mut element.children[index]
}

/// `op NAME [name=value …] [op_params …] [op_meta …]`.
fn operation(id: &str, cursor: &mut Cursor<'_>) -> Result<Element, Failure> {
    let name = cursor.word("the operation's name, for example monitor")?;
    let pairs = attrs(cursor, KEYWORDS)?;
    let (known, params): (Vec<_>, Vec<_>) = pairs
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .partition(|(n, _)| OP_ATTRIBUTES.contains(n));
    let own_id = known.iter().find(|(n, _)| *n == "$id").map(|(_, v)| *v);
    let options = known.iter().filter(|(n, _)| *n != "$id").copied();
    let mut op = edit::operation(id, &name, options);
    if let Some(own) = own_id {
        op.set("id", own);
    }
    let op_id = op.id().unwrap_or_default().to_owned();
    if !params.is_empty() {
        op.children
            .push(edit::attribute_set(SetKind::Instance, &op_id, params));
    }
    while let Some(keyword) = cursor.peek() {
        let kind = match keyword {
            "op_params" => SetKind::Instance,
            "op_meta" => SetKind::Meta,
            _ => break,
        };
        cursor.next();
        nvpairs(&mut op, kind, &op_id, cursor, KEYWORDS)?;
    }
    Ok(op)
}

/// `group ID MEMBER … [params …] [meta …]`.
pub(super) fn group(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let mut cursor = Cursor::new("group", words);
    let id = cursor.id()?;
    let mut members = Vec::new();
    while let Some(word) = cursor.peek() {
        if CONTAINER_KEYWORDS.contains(&word) || word.contains('=') {
            break;
        }
        members.extend(cursor.next());
    }
    if members.is_empty() {
        return Err(cursor.missing("a resource"));
    }
    let element = container("group", &id, &mut cursor)?;
    wrap(cib, element, &members)
}

/// `clone ID MEMBER [params …] [meta …]`; `promotable` and `ms` are clones with
/// `promotable=true`.
pub(super) fn clone(
    cib: &mut Cib,
    words: &[String],
    promotable: bool,
    command: &'static str,
) -> Result<(), Failure> {
    let mut cursor = Cursor::new(command, words);
    let id = cursor.id()?;
    let member = cursor.word("the primitive or group to clone")?;
    let mut element = container("clone", &id, &mut cursor)?;
    if promotable && !has_meta(&element, "promotable") {
        let set = match element.first_mut(SetKind::Meta.tag()) {
            Some(set) => set,
            None => {
                let set = edit::attribute_set(SetKind::Meta, &id, []);
                element.children.insert(0, set);
                &mut element.children[0]
            }
        };
        let set_id = set.id().unwrap_or_default().to_owned();
        set.children.push(
            Element::new("nvpair")
                .with("id", &format!("{set_id}-promotable"))
                .with("name", "promotable")
                .with("value", "true"),
        );
    }
    wrap(cib, element, &[member])
}

fn has_meta(element: &Element, name: &str) -> bool {
    element
        .all(SetKind::Meta.tag())
        .flat_map(|s| s.all("nvpair"))
        .any(|p| p.attr("name") == Some(name))
}

fn container(tag: &str, id: &str, cursor: &mut Cursor<'_>) -> Result<Element, Failure> {
    let mut element = Element::new(tag).with("id", id);
    cursor.description(&mut element);
    while let Some(keyword) = cursor.next() {
        let kind = match keyword.as_str() {
            "params" => SetKind::Instance,
            "meta" => SetKind::Meta,
            word if word.contains('=') => {
                cursor.back();
                SetKind::Meta
            }
            word => return Err(cursor.unexpected(word)),
        };
        nvpairs(&mut element, kind, id, cursor, CONTAINER_KEYWORDS)?;
    }
    Ok(element)
}

fn wrap(cib: &mut Cib, element: Element, members: &[String]) -> Result<(), Failure> {
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    Ok(edit::wrap(cib, element, &members)?)
}

/// Words that begin a new part of a primitive.
const KEYWORDS: &[&str] = &[
    "params",
    "meta",
    "utilization",
    "operations",
    "op",
    "op_params",
    "op_meta",
];
/// Words that begin a new part of a group or clone.
const CONTAINER_KEYWORDS: &[&str] = &["params", "meta"];
/// What belongs on `<op>` itself; anything else is a parameter for the agent (schema
/// resources-3.9, `element-operations`).
const OP_ATTRIBUTES: [&str; 13] = [
    "$id",
    "id",
    "name",
    "description",
    "interval",
    "interval-origin",
    "timeout",
    "start-delay",
    "requires",
    "enabled",
    "record-pending",
    "role",
    "on-fail",
];
