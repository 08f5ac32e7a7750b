//! Parameters, meta-attributes and utilization of a resource.

use super::{configured, named, parent_of, unknown};
use crate::cli::attributes::pair_named;
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::cli::getopt::Found;
use crate::view::xml::with_text;
use cib::config::{Config, Kind};
use cib::edit::SetKind;
use cib::{Cib, Element, Section};

fn kind(found: &Found) -> SetKind {
    if found.has("utilization") {
        SetKind::Utilization
    } else if found.has("meta") {
        SetKind::Meta
    } else {
        SetKind::Instance
    }
}

/// The value in force.
pub(super) fn get(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let name = found.value("get-parameter").unwrap_or_default();
    let cib = backend::cib(backend, true)?;
    let config = Config::new(&cib);
    let resource = configured(&config, id)?;
    let values = match kind(found) {
        SetKind::Utilization => config.utilization(&resource),
        SetKind::Meta => config.meta(&resource),
        SetKind::Instance => config.parameters(&resource),
    };
    let value = values.get(name);
    let mut list = Element::new("list")
        .with("name", "attributes")
        .with("count", if value.is_some() { "1" } else { "0" });
    match value {
        Some(value) => {
            console.line(value);
            list.children
                .push(with_text("item", value).with("name", name));
        }
        // Not an error to Pacemaker's tool: what is not set has its default.
        None if console.wants_xml() => {}
        None => console.err_line(&format!("Attribute '{name}' not found for '{id}'")),
    }
    console.element(list);
    Ok(())
}

/// Sets one.
pub(super) fn set(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let name = found.value("set-parameter").unwrap_or_default();
    let value = found
        .value("parameter-value")
        .ok_or_else(|| Failure::usage("Must supply an attribute value with -v"))?;
    let id = target(backend, console, found, name, "update")?;
    let kind = kind(found);
    let (pair, committed) = backend::edit(backend, "crm_resource", |cib| {
        let element = find(cib, &id).ok_or_else(|| unknown(&id))?;
        set_pair(element, kind, found, name, value)
    })?;
    for warning in committed.warnings {
        console.err_line(&warning);
    }
    if !found.has("quiet") {
        let pair = pair_named(&pair.id, pair.made_in.as_deref(), name);
        console.line(&format!("Set '{id}' option: {pair} value={value}"));
    }
    Ok(())
}

/// Deletes one; what is not there is deleted.
pub(super) fn delete(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let name = found.value("delete-parameter").unwrap_or_default();
    let id = target(backend, console, found, name, "delete")?;
    let kind = kind(found);
    let (gone, _) = backend::edit(backend, "crm_resource", |cib| {
        let element = find(cib, &id).ok_or_else(|| unknown(&id))?;
        let mut gone = Vec::new();
        for set in element.children.iter_mut().filter(|c| c.name == kind.tag()) {
            if found.value("set-name").is_some_and(|s| set.id() != Some(s)) {
                continue;
            }
            set.children.retain(|pair| {
                let fits = fits(pair, found, name);
                if fits {
                    gone.push(pair.id().unwrap_or_default().to_owned());
                }
                !fits
            });
        }
        Ok(gone)
    })?;
    if !found.has("quiet") {
        for pair in gone {
            let pair = pair_named(&pair, found.value("set-name"), name);
            console.line(&format!("Deleted '{id}' option: {pair}"));
        }
    }
    Ok(())
}

fn fits(pair: &Element, found: &Found, name: &str) -> bool {
    let same_id = found.value("nvpair").is_none_or(|id| pair.id() == Some(id));
    pair.name == "nvpair" && same_id && pair.attr("name") == Some(name)
}

/// The resource to change: a meta-attribute of what a clone is made of belongs to the clone, unless
/// it stands there already (tools/crm_resource_runtime.c, `find_matching_attr_resource`).
fn target(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    name: &str,
    what: &str,
) -> Result<String, Failure> {
    let id = named(found)?;
    let cib = backend::cib(backend, false)?;
    let resource = configured(&Config::new(&cib), id)?;
    let own = resource
        .element
        .all(SetKind::Meta.tag())
        .flat_map(|s| s.all("nvpair"))
        .any(|p| p.attr("name") == Some(name));
    let parent = parent_of(&cib, resource.id)
        .filter(|p| p.kind == Kind::Clone)
        .filter(|_| kind(found) == SetKind::Meta && !found.has("force") && !own);
    match parent {
        Some(parent) => {
            if !found.has("quiet") {
                console.line(&format!(
                    "Performing {what} of '{name}' on '{}', the parent of '{id}'",
                    parent.id
                ));
            }
            Ok(parent.id.to_owned())
        }
        None => Ok(resource.id.to_owned()),
    }
}

/// A resource's element, wherever it stands.
fn find<'a>(cib: &'a mut Cib, id: &str) -> Option<&'a mut Element> {
    fn below<'a>(element: &'a mut Element, id: &str) -> Option<&'a mut Element> {
        let at = element.children.iter().position(|c| c.id() == Some(id));
        if let Some(at) = at {
            return element.children.get_mut(at);
        }
        element.children.iter_mut().find_map(|c| below(c, id))
    }
    below(cib.section_mut(Section::Resources), id)
}

struct Pair {
    id: String,
    /// The set, where the pair is new.
    made_in: Option<String>,
}

fn set_pair(
    element: &mut Element,
    kind: SetKind,
    found: &Found,
    name: &str,
    value: &str,
) -> Result<Pair, Failure> {
    let resource = element.id().unwrap_or_default().to_owned();
    let sets = || found.value("set-name");
    let in_sets = element
        .children
        .iter_mut()
        .filter(|c| c.name == kind.tag() && sets().is_none_or(|s| c.id() == Some(s)));
    let mut pairs = in_sets.flat_map(|s| s.children.iter_mut());
    if let Some(pair) = pairs.find(|p| fits(p, found, name)) {
        pair.set("value", value);
        let id = pair.id().unwrap_or_default().to_owned();
        return Ok(Pair { id, made_in: None });
    }
    if element.name == "template" && kind == SetKind::Utilization && sets().is_some() {
        return Err(Failure::new(Exit::Usage, "a template has one utilization"));
    }
    let first = element.first(kind.tag()).and_then(Element::id);
    let set_id = match (sets(), first) {
        (Some(set), _) => set.to_owned(),
        (None, Some(first)) => first.to_owned(),
        (None, None) => format!("{resource}-{}", kind.tag()),
    };
    let pair_id = cib::edit::sanitize_id(&format!("{set_id}-{name}"));
    let pair_id = found.value("nvpair").unwrap_or(&pair_id).to_owned();
    let pair = Element::new("nvpair")
        .with("id", &pair_id)
        .with("name", name)
        .with("value", value);
    let mut present = element.children.iter_mut();
    match present.find(|c| c.name == kind.tag() && c.id() == Some(&set_id)) {
        Some(set) => set.children.push(pair),
        None => {
            let set = Element::new(kind.tag()).with("id", &set_id).child(pair);
            // Sets stand before operations and members.
            let rank = |c: &Element| {
                ["instance_attributes", "meta_attributes", "utilization"].contains(&c.name.as_str())
            };
            let at = element.children.iter().position(|c| !rank(c));
            let at = at.unwrap_or(element.children.len());
            element.children.insert(at, set);
        }
    }
    Ok(Pair {
        id: pair_id,
        made_in: Some(set_id),
    })
}
