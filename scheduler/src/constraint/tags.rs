//! Constraints that name a template or a tag speak of all resources behind it
//! (Pacemaker pcmk_sched_constraints.c:pcmk__tag_to_set, pcmk__expand_tags_in_sets;
//! Pacemaker Explained, "Tagging Configuration Elements").

use crate::cluster::Cluster;
use crate::options::section;
use cib::Element;

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

impl Cluster<'_> {
    /// Ids behind a template (the resources made from it) or a tag.
    fn ids_behind(&self, name: &str) -> Option<Vec<String>> {
        if self.find_configured(name).is_some() {
            return None;
        }
        if let Some(resources) = section(self.cib, "resources") {
            let mut found = Vec::new();
            made_from(resources, name, 0, &mut found);
            let exists = resources
                .all("template")
                .any(|template| template.id() == Some(name));
            if exists {
                return Some(found);
            }
        }
        let tag = section(self.cib, "tags")?
            .all("tag")
            .find(|tag| tag.id() == Some(name))?;
        let refs = tag.all("obj_ref").filter_map(Element::id);
        Some(refs.map(str::to_owned).collect())
    }

    /// The constraint with resource sets in place of templates and tags, if it names any.
    pub(crate) fn expand_tags(&self, element: &Element) -> Option<Element> {
        if element.first("resource_set").is_some() {
            return self.expand_sets(element);
        }
        let sides = sides(&element.name);
        let named = |side: &Side| element.attr(side.resource);
        if !sides
            .iter()
            .any(|side| named(side).is_some_and(|name| self.ids_behind(name).is_some()))
        {
            return None;
        }
        let mut expanded = element.clone();
        for side in sides {
            let name = named(side)?;
            let (ids, whole) = match self.ids_behind(name) {
                Some(ids) => (ids, true),
                None => (vec![name.to_owned()], false),
            };
            let mut set = Element::new("resource_set").with("id", name);
            for id in ids {
                set = set.child(Element::new("resource_ref").with("id", &id));
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

    fn expand_sets(&self, element: &Element) -> Option<Element> {
        let mut changed = false;
        let mut expanded = element.clone();
        for set in expanded
            .children
            .iter_mut()
            .filter(|child| child.name == "resource_set")
        {
            let refs = std::mem::take(&mut set.children);
            for reference in refs {
                let behind = reference.id().and_then(|id| self.ids_behind(id));
                match behind.filter(|_| reference.name == "resource_ref") {
                    None => set.children.push(reference),
                    Some(ids) => {
                        changed = true;
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

/// Resources made from a template, in document order.
fn made_from(at: &Element, template: &str, depth: u32, found: &mut Vec<String>) {
    for child in &at.children {
        if child.attr("template") == Some(template) {
            found.extend(child.id().map(str::to_owned));
        }
        if depth < DEPTH_MAX {
            made_from(child, template, depth + 1, found);
        }
    }
}
