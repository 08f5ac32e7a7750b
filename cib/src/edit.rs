//! Changes that people ask for by name: set an option, put a node to standby, add, move and
//! delete objects. Ids are the ones Pacemaker's tools and crmsh write, so that both find them
//! again.
//!
//! Each function leaves the CIB as it was when it returns an error. None touches the version: one
//! command may make several changes, and counts once.

use std::collections::BTreeSet;

use crate::config::{self, BOOTSTRAP_SET, Config, kind_of};
use crate::document::{Cib, Section};
use crate::error::{Error, Result};
use crate::tree::Element;

mod delete;
mod twins;

pub use delete::{Deleted, delete, delete_node};
pub use twins::join_twins;

/// Sets of attributes that an element can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    /// Options of the resource as the cluster sees it.
    Meta,
    /// Parameters of the agent, or attributes of a node.
    Instance,
    /// Capacity a resource takes or a node gives.
    Utilization,
}

impl SetKind {
    /// The set's tag.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Meta => "meta_attributes",
            Self::Instance => "instance_attributes",
            Self::Utilization => "utilization",
        }
    }
}

/// Sets a cluster property; `None` removes it. Returns whether anything changed. Removing a
/// property that is not set is no error. The other name of a fencing option (`stonith-…` for
/// `fencing-…`) goes, so that the two cannot contradict each other.
pub fn set_property(cib: &mut Cib, name: &str, value: Option<&str>) -> bool {
    let other = config::other_fencing_name(name);
    let renamed = other.is_some_and(|other| put_property(cib, &other, None));
    put_property(cib, name, value) || renamed
}

fn put_property(cib: &mut Cib, name: &str, value: Option<&str>) -> bool {
    if value.is_none() && cib.section(Section::CrmConfig).is_none() {
        return false;
    }
    let ids = ids_of(cib);
    let section = cib.section_mut(Section::CrmConfig);
    put(
        section,
        "cluster_property_set",
        BOOTSTRAP_SET,
        name,
        value,
        &ids,
    )
}

/// As [`set_property`], in the set of that id alone; the set is made where it is missing.
pub fn set_property_in(cib: &mut Cib, set: &str, name: &str, value: Option<&str>) -> bool {
    let ids = ids_of(cib);
    let tag = "cluster_property_set";
    let is_it = |c: &&mut Element| c.name == tag && c.id() == Some(set);
    let section = cib.section_mut(Section::CrmConfig);
    let found = section.children.iter_mut().find(is_it);
    let Some(value) = value else {
        let Some(found) = found else { return false };
        let before = found.children.len();
        found.children.retain(|p| p.attr("name") != Some(name));
        return found.children.len() != before;
    };
    let found = match found {
        Some(found) => found,
        None => {
            let new = Element::new(tag).with("id", &free_id(set, &ids));
            section.children.push(new);
            let last = section.children.len() - 1;
            &mut section.children[last]
        }
    };
    let mut pairs = found.children.iter_mut();
    if let Some(pair) = pairs.find(|p| p.attr("name") == Some(name)) {
        let changed = pair.attr("value") != Some(value);
        pair.set("value", value);
        return changed;
    }
    let id = found.id().unwrap_or(set).to_owned();
    found.children.push(nvpair(&id, name, value, &ids));
    true
}

/// Sets a default of resource meta-attributes; `None` removes it. Returns whether anything changed.
pub fn set_rsc_default(cib: &mut Cib, name: &str, value: Option<&str>) -> bool {
    if value.is_none() && cib.section(Section::RscDefaults).is_none() {
        return false;
    }
    let ids = ids_of(cib);
    let section = cib.section_mut(Section::RscDefaults);
    put(
        section,
        SetKind::Meta.tag(),
        "rsc-options",
        name,
        value,
        &ids,
    )
}

/// Sets a default of operation options; `None` removes it. Returns whether anything changed.
pub fn set_op_default(cib: &mut Cib, name: &str, value: Option<&str>) -> bool {
    if value.is_none() && cib.section(Section::OpDefaults).is_none() {
        return false;
    }
    let ids = ids_of(cib);
    let section = cib.section_mut(Section::OpDefaults);
    put(
        section,
        SetKind::Meta.tag(),
        "op-options",
        name,
        value,
        &ids,
    )
}

/// Sets a permanent attribute of a node (`standby`, `maintenance`, the user's own), given by name
/// or id; `None` removes it. Returns whether anything changed.
///
/// # Errors
/// [`Error::Unknown`] when the node is not in the configuration.
pub fn set_node_attribute(
    cib: &mut Cib,
    node: &str,
    name: &str,
    value: Option<&str>,
) -> Result<bool> {
    set_in_node(cib, node, SetKind::Instance, name, value)
}

/// As [`set_node_attribute`], in a set of either kind: attributes or utilization.
///
/// # Errors
/// As [`set_node_attribute`].
pub fn set_in_node(
    cib: &mut Cib,
    node: &str,
    kind: SetKind,
    name: &str,
    value: Option<&str>,
) -> Result<bool> {
    let ids = ids_of(cib);
    let id = Config::new(cib)
        .node(node)
        .map(|n| n.id.to_owned())
        .ok_or_else(|| unknown_node(node))?;
    let nodes = cib.section_mut(Section::Nodes);
    let element = nodes
        .children
        .iter_mut()
        .find(|c| c.name == "node" && c.id() == Some(&id))
        .ok_or_else(|| unknown_node(node))?;
    let mut set = format!("nodes-{}", sanitize_id(&id));
    if kind == SetKind::Utilization {
        set.push_str("-utilization");
    }
    Ok(put(element, kind.tag(), &set, name, value, &ids))
}

/// Makes sure that a node is in the configuration under this id and name. Returns whether
/// anything changed.
pub fn ensure_node(cib: &mut Cib, id: &str, uname: &str) -> bool {
    let nodes = cib.section_mut(Section::Nodes);
    if let Some(node) = nodes
        .children
        .iter_mut()
        .find(|c| c.name == "node" && c.id() == Some(id))
    {
        let changed = node.attr("uname") != Some(uname);
        node.set("uname", uname);
        return changed;
    }
    let node = Element::new("node").with("id", id).with("uname", uname);
    nodes.children.push(node);
    true
}

/// Sets a meta-attribute (`target-role`, `is-managed` …) of a resource or template; `None`
/// removes it. Returns whether anything changed.
///
/// # Errors
/// [`Error::Unknown`] when there is no such resource.
pub fn set_meta(cib: &mut Cib, resource: &str, name: &str, value: Option<&str>) -> Result<bool> {
    set_in(cib, resource, SetKind::Meta, name, value)
}

/// Sets an attribute in one of a resource's sets; `None` removes it. Returns whether anything
/// changed.
///
/// # Errors
/// [`Error::Unknown`] when there is no such resource.
pub fn set_in(
    cib: &mut Cib,
    resource: &str,
    kind: SetKind,
    name: &str,
    value: Option<&str>,
) -> Result<bool> {
    let ids = ids_of(cib);
    let element = resource_mut(cib, resource)?;
    let set = format!("{resource}-{}", kind.tag());
    Ok(put(element, kind.tag(), &set, name, value, &ids))
}

/// A set of attributes with the ids `<owner>-<tag>` and `<owner>-<tag>-<name>`.
#[must_use]
pub fn attribute_set<'a>(
    kind: SetKind,
    owner: &str,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Element {
    let id = format!("{owner}-{}", kind.tag());
    let mut set = Element::new(kind.tag()).with("id", &id);
    for (name, value) in pairs {
        set.children
            .push(nvpair(&id, name, value, &BTreeSet::new()));
    }
    set
}

/// An operation with the id `<owner>-<name>-<interval as written>`; the interval is `0s` when
/// not among the options.
#[must_use]
pub fn operation<'a>(
    owner: &str,
    name: &str,
    options: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Element {
    let mut op = Element::new("op")
        .with("id", "")
        .with("name", name)
        .with("interval", "0s");
    for (name, value) in options {
        op.set(name, value);
    }
    let interval = op.attr("interval").unwrap_or_default();
    let id = sanitize_id(&format!("{owner}-{name}-{interval}"));
    op.set("id", &id);
    op
}

/// Adds an object at the end of a section, after looking that none of its ids is taken. An
/// operation whose id is taken gets a numbered one: a primitive may have two monitors of the same
/// interval for two roles.
///
/// # Errors
/// [`Error::Exists`] when an id is in use, in the CIB or twice in the object.
pub fn insert(cib: &mut Cib, section: Section, mut object: Element) -> Result<()> {
    let mut ids = ids_of(cib);
    number_ops(&mut object, &mut ids.clone());
    claim_ids(cib, &object, &mut ids)?;
    cib.section_mut(section).children.push(object);
    Ok(())
}

/// Puts resources into a new group or clone, which takes the place of the first of them. `object`
/// is the container with its own attributes and sets, without members.
///
/// # Errors
/// [`Error::Unknown`] when a member is not a resource, [`Error::Refused`] when it stands in
/// another container or cannot stand in this one, [`Error::Exists`] when an id is in use.
pub fn wrap(cib: &mut Cib, mut object: Element, members: &[&str]) -> Result<()> {
    check_members(cib, &object, members)?;
    claim_ids(cib, &object, &mut ids_of(cib))?;
    let resources = cib.section_mut(Section::Resources);
    let mut place = resources.children.len();
    let mut taken = Vec::new();
    for member in members {
        let index = resources
            .children
            .iter()
            .position(|c| kind_of(&c.name).is_some() && c.id() == Some(member));
        if let Some(index) = index {
            place = place.min(index);
            taken.push(resources.children.remove(index));
        }
    }
    // The schema wants sets behind the members of a group, and does not mind in a clone.
    object.children.splice(0..0, taken);
    let place = place.min(resources.children.len());
    resources.children.insert(place, object);
    Ok(())
}

/// A name as part of an id: what XML ids cannot carry becomes a full stop
/// (`pcmk__xml_sanitize_id`).
#[must_use]
pub fn sanitize_id(text: &str) -> String {
    text.chars()
        .map(|c| {
            let fine = c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            if fine { c } else { '.' }
        })
        .collect()
}

fn check_members(cib: &Cib, object: &Element, members: &[&str]) -> Result<()> {
    let config = Config::new(cib);
    let container = object.id().unwrap_or_default();
    let mut seen = BTreeSet::new();
    for member in members {
        let resource = config
            .resource(member)
            .ok_or_else(|| unknown_resource(member))?;
        if let Some(parent) = resource.parent {
            return Err(Error::Refused {
                what: format!("resource \"{member}\" is already in \"{parent}\""),
                cure: format!("put \"{parent}\" into \"{container}\", or delete it first"),
            });
        }
        let fits = match object.name.as_str() {
            "group" => resource.kind == config::Kind::Primitive,
            _ => matches!(resource.kind, config::Kind::Primitive | config::Kind::Group),
        };
        if !fits || !seen.insert(*member) {
            return Err(Error::Refused {
                what: format!(
                    "<{}> \"{member}\" cannot stand in the {} \"{container}\"",
                    resource.element.name, object.name
                ),
                cure: "a group takes primitives, each once; a clone takes one primitive or group"
                    .to_owned(),
            });
        }
    }
    if members.is_empty() || (object.name != "group" && members.len() != 1) {
        return Err(Error::Refused {
            what: format!(
                "{} \"{container}\" with {} members",
                object.name,
                members.len()
            ),
            cure: "a group takes one or more primitives; a clone takes one primitive or group"
                .to_owned(),
        });
    }
    Ok(())
}

/// Writes or removes one name in the sets of `owner`: where it stands already, else in the set of
/// this id, else in a new set. An emptied set stays: constraints and rules may refer to it.
fn put(
    owner: &mut Element,
    set_tag: &str,
    set_id: &str,
    name: &str,
    value: Option<&str>,
    ids: &BTreeSet<String>,
) -> bool {
    let plain = |set: &Element| {
        set.name == set_tag && set.first("rule").is_none() && set.attr("id-ref").is_none()
    };
    let Some(value) = value else {
        let mut removed = false;
        for set in owner.children.iter_mut().filter(|s| plain(s)) {
            let before = set.children.len();
            set.children.retain(|p| p.attr("name") != Some(name));
            removed |= set.children.len() != before;
        }
        return removed;
    };
    let named = |set: &Element| {
        set.children
            .iter()
            .position(|p| p.attr("name") == Some(name))
    };
    // The bootstrap set wins when options are read, so it is looked at first.
    let mut order: Vec<usize> = (0..owner.children.len()).collect();
    order.sort_by_key(|&i| owner.children[i].id() != Some(set_id));
    order.retain(|&i| plain(&owner.children[i]));
    for &i in &order {
        if let Some(pair) = named(&owner.children[i]) {
            let pair = &mut owner.children[i].children[pair];
            let changed = pair.attr("value") != Some(value);
            pair.set("value", value);
            return changed;
        }
    }
    let index = order.first().copied().unwrap_or_else(|| {
        let set = Element::new(set_tag).with("id", &free_id(set_id, ids));
        let index = place_of_set(owner);
        owner.children.insert(index, set);
        index
    });
    let set = &mut owner.children[index];
    let id = set.id().unwrap_or(set_id).to_owned();
    let pair = nvpair(&id, name, value, ids);
    set.children.push(pair);
    true
}

/// Sets stand behind members of containers and before operations, as tools print them.
fn place_of_set(owner: &Element) -> usize {
    owner
        .children
        .iter()
        .position(|c| c.name == "operations")
        .unwrap_or(owner.children.len())
}

fn nvpair(set_id: &str, name: &str, value: &str, ids: &BTreeSet<String>) -> Element {
    let id = sanitize_id(&format!("{set_id}-{name}"));
    Element::new("nvpair")
        .with("id", &free_id(&id, ids))
        .with("name", name)
        .with("value", value)
}

/// The id itself, or with the lowest number that makes it free.
fn free_id(id: &str, ids: &BTreeSet<String>) -> String {
    let mut free = id.to_owned();
    let mut number = 0_usize;
    while ids.contains(&free) {
        number += 1;
        free = format!("{id}-{number}");
    }
    free
}

fn number_ops(object: &mut Element, ids: &mut BTreeSet<String>) {
    for child in &mut object.children {
        if child.name == "op"
            && let Some(id) = child.id()
        {
            let free = free_id(id, ids);
            child.set("id", &free);
            ids.insert(free);
        }
        number_ops(child, ids);
    }
}

fn claim_ids(cib: &Cib, object: &Element, ids: &mut BTreeSet<String>) -> Result<()> {
    if let Some(id) = defined_id(object)
        && !ids.insert(id.to_owned())
    {
        let by = Config::new(cib).by_id(id).map_or(&object.name, |e| &e.name);
        return Err(Error::Exists {
            id: id.to_owned(),
            by: by.to_string(),
        });
    }
    object
        .children
        .iter()
        .try_for_each(|c| claim_ids(cib, c, ids))
}

/// The id an element brings into the configuration; `None` when its id names another element.
/// Nodes have a space of their own: a remote node is called like its resource.
pub(crate) fn defined_id(element: &Element) -> Option<&str> {
    let refers = matches!(
        element.name.as_str(),
        "resource_ref" | "obj_ref" | "role" | "node"
    );
    element.id().filter(|_| !refers)
}

/// Every id of the configuration.
fn ids_of(cib: &Cib) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    if let Some(configuration) = cib.section(Section::Configuration) {
        collect_ids(configuration, &mut ids);
    }
    ids
}

fn collect_ids(element: &Element, ids: &mut BTreeSet<String>) {
    ids.extend(defined_id(element).map(str::to_owned));
    element.children.iter().for_each(|c| collect_ids(c, ids));
}

fn resource_mut<'a>(cib: &'a mut Cib, id: &str) -> Result<&'a mut Element> {
    fn find<'a>(parent: &'a mut Element, id: &str) -> Option<&'a mut Element> {
        parent.children.iter_mut().find_map(|c| {
            let is_resource = kind_of(&c.name).is_some() || c.name == "template";
            match is_resource {
                true if c.id() == Some(id) => Some(c),
                true => find(c, id),
                false => None,
            }
        })
    }
    if cib.section(Section::Resources).is_none() {
        return Err(unknown_resource(id));
    }
    find(cib.section_mut(Section::Resources), id).ok_or_else(|| unknown_resource(id))
}

fn unknown_resource(id: &str) -> Error {
    Error::Unknown {
        kind: "resource",
        id: id.to_owned(),
        cure: "`crm resource list` prints the names of all resources",
    }
}

fn unknown_node(id: &str) -> Error {
    Error::Unknown {
        kind: "node",
        id: id.to_owned(),
        cure: "`crm node list` prints the names of all nodes",
    }
}

#[cfg(test)]
mod tests;
