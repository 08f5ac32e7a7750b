//! Constraints that name a template or a tag speak of all resources behind it
//! (Pacemaker pcmk_sched_constraints.c:pcmk__tag_to_set, pcmk__expand_tags_in_sets;
//! Pacemaker Explained, "Tagging Configuration Elements").

use crate::cluster::Cluster;
use crate::options::section;
use cib::Element;
use std::collections::BTreeMap;

/// Attributes of one side of a constraint: the resource, and what goes into the set for it.
struct Side {
    resource: &'static str,
    moved: Option<(&'static str, &'static str)>,
}

/// Sides of each kind of constraint, in the order in which their sets are written.
fn sides(kind: &str) -> &'static [Side] {
    match kind {
        "rsc_location" => &[Side {
            resource: "rsc",
            moved: Some(("role", "role")),
        }],
        "rsc_ticket" => &[Side {
            resource: "rsc",
            moved: Some(("rsc-role", "role")),
        }],
        "rsc_colocation" => &[
            Side {
                resource: "rsc",
                moved: Some(("rsc-role", "role")),
            },
            Side {
                resource: "with-rsc",
                moved: Some(("with-rsc-role", "role")),
            },
        ],
        "rsc_order" => &[
            Side {
                resource: "first",
                moved: Some(("first-action", "action")),
            },
            Side {
                resource: "then",
                moved: Some(("then-action", "action")),
            },
        ],
        _ => &[],
    }
}

/// What constraints may name instead of resources, and the ids behind it.
pub(super) type Names<'a> = BTreeMap<&'a str, Vec<&'a str>>;

impl<'a> Cluster<'a> {
    /// Templates with the resources made from them, and tags; of one name, the template counts.
    pub(super) fn names_behind(&self) -> Names<'a> {
        let mut names = Names::new();
        if let Some(resources) = section(self.cib, "resources") {
            let templates = resources.all("template").filter_map(Element::id);
            names.extend(templates.map(|template| (template, Vec::new())));
            if !names.is_empty() {
                made_from(resources, 0, &mut names);
            }
        }
        let tags = section(self.cib, "tags");
        for tag in tags.iter().flat_map(|tags| tags.all("tag")) {
            if let Some(id) = tag.id() {
                let refs = || tag.all("obj_ref").filter_map(Element::id).collect();
                names.entry(id).or_insert_with(refs);
            }
        }
        names
    }

    /// Ids behind a template or a tag; `None` for what is a resource, or nothing.
    fn ids_behind<'n>(&self, names: &'n Names<'a>, name: &str) -> Option<&'n [&'a str]> {
        match self.find_configured(name) {
            Some(_) => None,
            None => names.get(name).map(Vec::as_slice),
        }
    }

    /// The constraint with resource sets in place of templates and tags, if it names any.
    pub(super) fn expand_tags(&mut self, names: &Names<'a>, element: &Element) -> Option<Element> {
        if element.first("resource_set").is_some() {
            return self.expand_sets(names, element);
        }
        let sides = sides(&element.name);
        let named = |side: &Side| element.attr(side.resource);
        if !sides
            .iter()
            .any(|side| named(side).is_some_and(|name| self.ids_behind(names, name).is_some()))
        {
            return None;
        }
        let mut expanded = element.clone();
        for side in sides {
            let name = named(side)?;
            let (ids, whole) = match self.ids_behind(names, name) {
                Some(ids) => (ids.to_vec(), true),
                None => (vec![name], false),
            };
            let mut set = Element::new("resource_set").with("id", name);
            for id in ids {
                set = set.child(Element::new("resource_ref").with("id", id));
            }
            if whole {
                set.set("sequential", "false");
            }
            if let Some((from, to)) = side.moved
                && let Some(value) = element.attr(from)
            {
                set.set(to, value);
                expanded.attrs.retain(|(attr, _)| attr != from);
            }
            expanded.attrs.retain(|(attr, _)| attr != side.resource);
            expanded = expanded.child(set);
        }
        Some(expanded)
    }

    fn expand_sets(&mut self, names: &Names<'a>, element: &Element) -> Option<Element> {
        let mut changed = false;
        let mut expanded = element.clone();
        for set in expanded
            .children
            .iter_mut()
            .filter(|child| child.name == "resource_set")
        {
            let refs = std::mem::take(&mut set.children);
            for reference in refs {
                let behind = reference.id().and_then(|id| self.ids_behind(names, id));
                match behind.filter(|_| reference.name == "resource_ref") {
                    None => set.children.push(reference),
                    Some(ids) => {
                        changed = true;
                        if !self.admits_pairs(element.id().unwrap_or_default(), ids.len()) {
                            return None;
                        }
                        set.children.extend(
                            ids.iter()
                                .map(|id| Element::new("resource_ref").with("id", id)),
                        );
                    }
                }
            }
        }
        changed.then_some(expanded)
    }
}

/// Deepest nesting of resources looked at.
const DEPTH_MAX: u32 = 8;

/// Resources made from templates, in document order.
fn made_from<'a>(at: &'a Element, depth: u32, names: &mut Names<'a>) {
    for child in &at.children {
        let template = child.attr("template").and_then(|name| names.get_mut(name));
        if let (Some(made), Some(id)) = (template, child.id()) {
            made.push(id);
        }
        if depth < DEPTH_MAX {
            made_from(child, depth + 1, names);
        }
    }
}
