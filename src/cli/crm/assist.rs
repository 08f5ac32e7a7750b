//! `crm assist`: what takes several objects to say, said at once. Pure.

use super::Context;
use super::session::Session;
use super::usage::misused;
use crate::cli::exit::{Exit, Failure};
use cib::config::{Config, Kind, Resource};
use cib::{Cib, Element, Section, edit};

/// Verbs of the level.
pub(super) const VERBS: [&str; 2] = ["template", "weak-bond"];

pub(super) fn run(
    context: &mut Context<'_>,
    session: &mut Session,
    verb: &str,
    words: &[String],
) -> Result<(), Failure> {
    if words.len() < 2 {
        return Err(misused());
    }
    let mut ids: Vec<&String> = words.iter().collect();
    ids.sort();
    ids.dedup();
    if ids.len() != words.len() {
        return Err(Failure::usage("a resource is named twice"));
    }
    let mut cib = session.cib().clone();
    let made = match verb {
        "template" => template(&mut cib, words)?,
        _ => weak_bond(&mut cib, words)?,
    };
    session.replace(cib);
    made.iter().for_each(|text| context.console.info(text));
    Ok(())
}

/// What several primitives of one agent have in common becomes a template.
fn template(cib: &mut Cib, ids: &[String]) -> Result<Vec<String>, Failure> {
    let config = Config::new(cib);
    let mut agent = None;
    for id in ids {
        let resource = primitive(&config, id)?;
        if let Some(template) = resource.element.attr("template") {
            return Err(Failure::new(
                Exit::Exists,
                format!("{id} has a template, {template}"),
            ));
        }
        let own = config.agent(&resource);
        if agent.is_some_and(|a| Some(a) != own) {
            return Err(Failure::usage(format!(
                "{id} is of another type than {}: one template cannot be both's",
                ids[0]
            )));
        }
        agent = own;
    }
    let Some(agent) = agent else {
        return Err(misused());
    };
    let name = format!("template-{}", agent.kind.to_ascii_lowercase());
    let id = free(&config, &edit::sanitize_id(&name));
    let mut template = Element::new("template")
        .with("id", &id)
        .with("class", agent.class);
    if let Some(provider) = agent.provider {
        template.set("provider", provider);
    }
    template.set("type", agent.kind);
    edit::insert(cib, Section::Resources, template)?;
    for primitive in ids {
        if let Some(element) = find(cib.section_mut(Section::Resources), primitive) {
            for name in ["class", "provider", "type"] {
                element.unset(name);
            }
            element.set("template", &id);
        }
    }
    Ok(vec![format!("Template created: {id}")])
}

/// Resources that run together, of which none waits for another: a set without order, beside a
/// resource that does nothing.
fn weak_bond(cib: &mut Cib, ids: &[String]) -> Result<Vec<String>, Failure> {
    let config = Config::new(cib);
    for id in ids {
        if config.resource(id).is_none() {
            return Err(Failure::no_such(format!("Object not found: {id}")));
        }
    }
    let constraint = free(&config, "place-constraint");
    let dummy = free(&config, "place-dummy");
    let primitive = Element::new("primitive")
        .with("id", &dummy)
        .with("class", "ocf")
        .with("provider", "heartbeat")
        .with("type", "Dummy");
    let mut members = Element::new("resource_set")
        .with("id", &format!("{constraint}-0"))
        .with("sequential", "false");
    let reference = |id: &str| Element::new("resource_ref").with("id", id);
    members.children = ids.iter().map(|id| reference(id)).collect();
    let beside = Element::new("resource_set").with("id", &format!("{constraint}-1"));
    let colocation = Element::new("rsc_colocation")
        .with("id", &constraint)
        .with("score", "INFINITY")
        .child(members)
        .child(beside.child(reference(&dummy)));
    edit::insert(cib, Section::Resources, primitive)?;
    edit::insert(cib, Section::Constraints, colocation)?;
    Ok(vec![
        format!("Colocation constraint created: {constraint}"),
        format!("Dummy resource created: {dummy}"),
    ])
}

fn primitive<'a>(config: &Config<'a>, id: &str) -> Result<Resource<'a>, Failure> {
    match config.resource(id) {
        Some(resource) if resource.kind == Kind::Primitive => Ok(resource),
        Some(_) => Err(Failure::usage(format!("{id} is no primitive"))),
        None => Err(Failure::no_such(format!("Primitive {id} not found"))),
    }
}

/// `NAME-1`, or the next number that nothing has.
fn free(config: &Config<'_>, name: &str) -> String {
    let mut number = 1_u32;
    loop {
        let id = format!("{name}-{number}");
        if config.by_id(&id).is_none() {
            return id;
        }
        number += 1;
    }
}

fn find<'a>(parent: &'a mut Element, id: &str) -> Option<&'a mut Element> {
    parent.children.iter_mut().find_map(|child| {
        if child.name == "primitive" && child.id() == Some(id) {
            return Some(child);
        }
        find(child, id)
    })
}
