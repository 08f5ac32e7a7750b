//! An object that is there is described anew, as a file or an editor does it: it keeps its place,
//! and what names it stays.

use super::{Remarks, apply};
use crate::cli::crm::agents::Agents;
use crate::cli::exit::Failure;
use cib::config::kind_of;
use cib::{Cib, Element, Section};

/// As [`super::run`], for an object of that id that exists.
///
/// # Errors
/// As [`super::run`]; the CIB is as before then.
pub(crate) fn redefine(
    cib: &mut Cib,
    verb: &str,
    words: &[String],
    agents: &Agents,
) -> Result<Remarks, Failure> {
    let id = words
        .first()
        .map(|w| w.trim_end_matches(':'))
        .unwrap_or_default();
    let mut new = cib.clone();
    let place = take(new.section_mut(Section::Configuration), id);
    let remarks = apply(&mut new, verb, words, agents)?;
    if let Some(place) = place {
        put_back(new.section_mut(Section::Configuration), id, &place);
    }
    *cib = new;
    Ok(remarks)
}

/// Where an object stood.
struct Place {
    /// Id of what it stood in, or the section's name.
    parent: String,
    at: usize,
}

fn called(element: &Element) -> &str {
    element.id().unwrap_or(&element.name)
}

/// Takes an object out; the members of a collective are left in its place.
fn take(element: &mut Element, id: &str) -> Option<Place> {
    let references = ["resource_ref", "obj_ref", "node"];
    let found = element
        .children
        .iter()
        .position(|c| c.id() == Some(id) && !references.contains(&c.name.as_str()));
    let Some(at) = found else {
        return element.children.iter_mut().find_map(|c| take(c, id));
    };
    let gone = element.children.remove(at);
    let members = gone
        .children
        .into_iter()
        .filter(|c| kind_of(&c.name).is_some());
    element.children.splice(at..at, members);
    Some(Place {
        parent: called(element).to_owned(),
        at,
    })
}

fn put_back(configuration: &mut Element, id: &str, place: &Place) {
    let Some(object) = cut(configuration, id) else {
        return;
    };
    match find(configuration, &place.parent) {
        Some(parent) => {
            let at = place.at.min(parent.children.len());
            parent.children.insert(at, object);
        }
        // What it stood in is gone: the end of its own section will do.
        None => {
            let section = match object.name.as_str() {
                name if name.starts_with("rsc_") => "constraints",
                _ => "resources",
            };
            if let Some(section) = configuration.first_mut(section) {
                section.children.push(object);
            }
        }
    }
}

fn cut(element: &mut Element, id: &str) -> Option<Element> {
    let references = ["resource_ref", "obj_ref", "node"];
    let found = element
        .children
        .iter()
        .position(|c| c.id() == Some(id) && !references.contains(&c.name.as_str()));
    match found {
        Some(at) => Some(element.children.remove(at)),
        None => element.children.iter_mut().find_map(|c| cut(c, id)),
    }
}

fn find<'a>(element: &'a mut Element, name: &str) -> Option<&'a mut Element> {
    if called(element) == name {
        return Some(element);
    }
    element.children.iter_mut().find_map(|c| find(c, name))
}
