//! Deleting objects together with what cannot stand without them.

use super::{Error, Result, defined_id, unknown_node};
use crate::config::{Config, RESOURCE_REFERENCES, find_id, kind_of};
use crate::document::{Cib, Section};
use crate::tree::Element;

/// Something that went with a deletion, for the message to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Its tag.
    pub tag: String,
    /// Its id.
    pub id: String,
    /// Whether the user named it; the others hung on it.
    pub asked: bool,
}

/// Deletes an object of the configuration by id: a resource, constraint, template, tag, set,
/// fencing level, alert, ACL role … Constraints, tag members and fencing levels that name it go
/// too, and so does a container left without members. The members of a deleted group or clone
/// stay and take its place.
///
/// Returns what was deleted, the named object first.
///
/// # Errors
/// [`Error::Unknown`] when nothing has this id, [`Error::Refused`] when primitives still use a
/// template. The CIB is then as before.
pub fn delete(cib: &mut Cib, id: &str) -> Result<Vec<Deleted>> {
    let config = Config::new(cib);
    let tag = match config.by_id(id) {
        Some(found) => found.name.clone(),
        None if config.node(id).is_some() => return delete_node(cib, id),
        None => {
            return Err(Error::Unknown {
                kind: "object",
                id: id.to_owned(),
                cure: "`crm configure show` prints what there is",
            });
        }
    };
    if tag == "template" {
        refuse_used_template(cib, id)?;
    }
    let mut gone = vec![Deleted {
        tag: tag.to_string(),
        id: id.to_owned(),
        asked: true,
    }];
    if let Some(configuration) = cib.root_mut().first_mut("configuration") {
        remove(configuration, id, &mut gone);
        // Each round removes what hung on the objects of the round before; it ends because every
        // object can go only once.
        let mut done = 0;
        while done < gone.len() {
            let name = gone[done].id.clone();
            unhang(configuration, &name, &mut gone);
            done += 1;
        }
    }
    Ok(gone)
}

/// Deletes a node, given by name or id: its entry, its state, and constraints and fencing levels
/// for it. Returns what was deleted, the node first.
///
/// # Errors
/// [`Error::Unknown`] when there is no such node in the configuration or the status.
pub fn delete_node(cib: &mut Cib, node: &str) -> Result<Vec<Deleted>> {
    let config = Config::new(cib);
    let (id, uname) = match config.node(node) {
        Some(found) => (found.id.to_owned(), found.uname.to_owned()),
        None => state_of(cib, node).ok_or_else(|| unknown_node(node))?,
    };
    let mut gone = vec![Deleted {
        tag: "node".to_owned(),
        id: uname.clone(),
        asked: true,
    }];
    let nodes = cib.section_mut(Section::Nodes);
    nodes.children.retain(|c| c.id() != Some(&id));
    let status = cib.section_mut(Section::Status);
    status
        .children
        .retain(|c| c.name != "node_state" || c.id() != Some(&id));
    for section in [Section::Constraints, Section::FencingTopology] {
        if cib.section(section).is_none() {
            continue;
        }
        cib.section_mut(section).children.retain(|c| {
            let names = c.attr("node") == Some(&uname) || c.attr("target") == Some(&uname);
            if names {
                gone.push(hung(c));
            }
            !names
        });
    }
    Ok(gone)
}

fn state_of(cib: &Cib, node: &str) -> Option<(String, String)> {
    let states = cib.section(Section::Status)?;
    let state = states
        .all("node_state")
        .find(|s| s.attr("uname") == Some(node) || s.id() == Some(node))?;
    let id = state.id()?.to_owned();
    let uname = state.attr("uname").unwrap_or(&id).to_owned();
    Some((id, uname))
}

fn refuse_used_template(cib: &Cib, id: &str) -> Result<()> {
    let config = Config::new(cib);
    let users: Vec<&str> = config
        .resources()
        .iter()
        .filter(|r| r.element.attr("template") == Some(id))
        .map(|r| r.id)
        .collect();
    if users.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("template \"{id}\" is used by {}", users.join(", ")),
        cure: "delete those resources first".to_owned(),
    })
}

/// Removes the element of this id below `parent`. Members of a group or clone take its place; a
/// container left empty goes too. Returns whether it was found.
fn remove(parent: &mut Element, id: &str, gone: &mut Vec<Deleted>) -> bool {
    let here = parent
        .children
        .iter()
        .position(|c| defined_id(c) == Some(id));
    if let Some(index) = here {
        let element = parent.children.remove(index);
        if matches!(element.name.as_str(), "group" | "clone" | "master") {
            let members = element
                .children
                .into_iter()
                .filter(|c| kind_of(&c.name).is_some());
            parent.children.splice(index..index, members);
        } else if kind_of(&element.name).is_some() {
            // A bundle's primitive goes with it, and so does what hangs on that.
            gone.extend(
                element
                    .children
                    .iter()
                    .filter(|c| kind_of(&c.name).is_some())
                    .map(hung),
            );
        }
        return true;
    }
    for index in 0..parent.children.len() {
        let child = &mut parent.children[index];
        if find_id(child, id).is_none() || !remove(child, id, gone) {
            continue;
        }
        let needs_members = matches!(child.name.as_str(), "group" | "clone" | "master");
        if needs_members && !child.children.iter().any(|c| kind_of(&c.name).is_some()) {
            gone.push(hung(child));
            parent.children.remove(index);
        }
        return true;
    }
    false
}

/// Removes references to a deleted id, and objects that make no sense without it.
fn unhang(configuration: &mut Element, id: &str, gone: &mut Vec<Deleted>) {
    for section in &mut configuration.children {
        match section.name.as_str() {
            "constraints" => sweep(section, gone, |c| constraint_stands(c, id)),
            "fencing-topology" => sweep(section, gone, |c| level_stands(c, id)),
            "tags" => sweep(section, gone, |c| list_stands(c, "obj_ref", id)),
            "acls" => section
                .children
                .iter_mut()
                .for_each(|c| drop_acl_references(c, id)),
            _ => {}
        }
    }
}

fn sweep(
    section: &mut Element,
    gone: &mut Vec<Deleted>,
    mut stands: impl FnMut(&mut Element) -> bool,
) {
    section.children.retain_mut(|c| {
        let keep = stands(c);
        if !keep {
            gone.push(hung(c));
        }
        keep
    });
}

/// Takes the id out of a constraint's sets; false when the constraint has lost its meaning.
fn constraint_stands(constraint: &mut Element, id: &str) -> bool {
    if RESOURCE_REFERENCES
        .iter()
        .any(|name| constraint.attr(name) == Some(id))
    {
        return false;
    }
    let had_sets = constraint.first("resource_set").is_some();
    constraint
        .children
        .retain_mut(|set| set.name != "resource_set" || list_stands(set, "resource_ref", id));
    if !had_sets {
        return true;
    }
    let members: usize = constraint
        .all("resource_set")
        .map(|s| s.children.len())
        .sum();
    // A location or ticket binds one resource; order and colocation need two.
    let alone_is_fine = matches!(constraint.name.as_str(), "rsc_location" | "rsc_ticket");
    members > usize::from(!alone_is_fine)
}

/// Takes an id out of a list of references; false when that emptied the list.
fn list_stands(list: &mut Element, tag: &str, id: &str) -> bool {
    let before = list.children.len();
    list.children
        .retain(|r| r.name != tag || r.id() != Some(id));
    before == list.children.len() || list.children.iter().any(|r| r.name == tag)
}

/// Takes a device out of a fencing level; false when none is left.
fn level_stands(level: &mut Element, id: &str) -> bool {
    let devices = level.attr("devices").unwrap_or_default();
    let (named, left): (Vec<&str>, Vec<&str>) =
        devices.split(',').map(str::trim).partition(|d| *d == id);
    if named.is_empty() {
        return true;
    }
    let left = left.join(",");
    level.set("devices", &left);
    !left.is_empty()
}

fn drop_acl_references(role: &mut Element, id: &str) {
    role.children
        .retain(|p| p.attr("reference") != Some(id) && (p.name != "role" || p.id() != Some(id)));
}

fn hung(element: &Element) -> Deleted {
    Deleted {
        tag: element.name.to_string(),
        id: element.id().unwrap_or_default().to_owned(),
        asked: false,
    }
}
