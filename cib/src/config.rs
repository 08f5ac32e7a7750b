//! A reading view of the configuration for command lines and the controller: options, nodes,
//! resources, operations, constraints, with defaults and templates resolved.
//!
//! Sets of attributes that carry rules are left out: whether they hold depends on time and node,
//! which the scheduler knows.

use std::collections::BTreeMap;

use crate::document::{Cib, Section};
use crate::edit::defined_id;
use crate::tree::Element;
use crate::value::{self, Score};

/// Names and values.
pub type Attrs<'a> = BTreeMap<&'a str, &'a str>;

/// The configuration of a CIB, to read.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    cib: &'a Cib,
}

/// A cluster node as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// The membership id (corosync's nodeid), as text.
    pub id: &'a str,
    /// Its name.
    pub uname: &'a str,
    /// `member`, `remote` or `ping`; member when not said.
    pub kind: &'a str,
    /// Permanent attributes (standby, maintenance, the user's own).
    pub attributes: Attrs<'a>,
    /// The `<node>`.
    pub element: &'a Element,
}

/// What a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One agent's service.
    Primitive,
    /// Primitives started in order on one node.
    Group,
    /// Copies; with meta `promotable=true`, or the old `<master>`, promotable ones.
    Clone,
    /// A container with its service.
    Bundle,
}

/// A resource and its place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Its id.
    pub id: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Id of the group, clone or bundle it stands in.
    pub parent: Option<&'a str>,
    /// How many groups, clones and bundles it stands in.
    pub depth: usize,
    /// The element.
    pub element: &'a Element,
}

/// Which agent runs a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent<'a> {
    /// ocf, lsb, systemd, service, stonith …
    pub class: &'a str,
    /// OCF only: heartbeat, pacemaker …
    pub provider: Option<&'a str>,
    /// The agent's name.
    pub kind: &'a str,
}

/// A configured operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op<'a> {
    /// The `<op>`'s id.
    pub id: Option<&'a str>,
    /// start, stop, monitor …
    pub name: &'a str,
    /// Milliseconds; 0 for operations that do not recur, and for unreadable intervals.
    pub interval_ms: u64,
    /// Milliseconds, when configured and readable.
    pub timeout_ms: Option<u64>,
    /// Role in which it runs, as written.
    pub role: Option<&'a str>,
    /// The `<op>`.
    pub element: &'a Element,
}

/// A constraint and whom it binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint<'a> {
    /// Its id.
    pub id: &'a str,
    /// The tag: `rsc_location`, `rsc_colocation`, `rsc_order` or `rsc_ticket`.
    pub tag: &'a str,
    /// Resources, templates and tags it names, in document order.
    pub resources: Vec<&'a str>,
    /// The element.
    pub element: &'a Element,
}

impl<'a> Config<'a> {
    /// The view of a CIB.
    #[must_use]
    pub const fn new(cib: &'a Cib) -> Self {
        Self { cib }
    }

    /// Cluster properties: the set `cib-bootstrap-options` first, then the others by falling
    /// score; the first to name a property wins. Of sets of equal score that is the later one.
    #[must_use]
    pub fn properties(&self) -> Attrs<'a> {
        self.section_attrs(Section::CrmConfig, "cluster_property_set")
    }

    /// One cluster property. `stonith-…` and `fencing-…` name the same options.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&'a str> {
        let properties = self.properties();
        if let Some(value) = properties.get(name) {
            return Some(value);
        }
        other_fencing_name(name).and_then(|other| properties.get(other.as_str()).copied())
    }

    /// Defaults of resource meta-attributes.
    #[must_use]
    pub fn rsc_defaults(&self) -> Attrs<'a> {
        self.section_attrs(Section::RscDefaults, "meta_attributes")
    }

    /// Defaults of operation options.
    #[must_use]
    pub fn op_defaults(&self) -> Attrs<'a> {
        self.section_attrs(Section::OpDefaults, "meta_attributes")
    }

    /// Configured nodes, in document order.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node<'a>> {
        let section = self.cib.section(Section::Nodes);
        section
            .into_iter()
            .flat_map(|s| s.all("node"))
            .filter_map(|element| {
                Some(Node {
                    id: element.id()?,
                    uname: element.attr("uname").or_else(|| element.id())?,
                    kind: element.attr("type").unwrap_or("member"),
                    attributes: self.attrs_of(&[element], "instance_attributes"),
                    element,
                })
            })
            .collect()
    }

    /// A node by name, or by id.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Node<'a>> {
        let nodes = self.nodes();
        let by_name = nodes.iter().position(|n| n.uname == name);
        let found = by_name.or_else(|| nodes.iter().position(|n| n.id == name))?;
        nodes.into_iter().nth(found)
    }

    /// Every resource, parents before their children, in document order.
    #[must_use]
    pub fn resources(&self) -> Vec<Resource<'a>> {
        let mut all = Vec::new();
        if let Some(section) = self.cib.section(Section::Resources) {
            collect_resources(section, None, 0, &mut all);
        }
        all
    }

    /// A resource by id.
    #[must_use]
    pub fn resource(&self, id: &str) -> Option<Resource<'a>> {
        self.resources().into_iter().find(|r| r.id == id)
    }

    /// What a resource stands in, from the inside out. It comes to its end even where a resource
    /// stands in one of its own id: of equal ids the outermost is found.
    pub fn around(&self, id: &str) -> impl Iterator<Item = Resource<'a>> {
        let parent = |r: &Resource<'a>| r.parent.and_then(|id| self.resource(id));
        let first = self.resource(id).and_then(|r| parent(&r));
        std::iter::successors(first, parent)
    }

    /// Resource templates.
    #[must_use]
    pub fn templates(&self) -> Vec<&'a Element> {
        let section = self.cib.section(Section::Resources);
        section
            .into_iter()
            .flat_map(|s| s.all("template"))
            .collect()
    }

    /// Constraints, in document order.
    #[must_use]
    pub fn constraints(&self) -> Vec<Constraint<'a>> {
        let section = self.cib.section(Section::Constraints);
        section
            .into_iter()
            .flat_map(|s| &s.children)
            .filter_map(|element| {
                Some(Constraint {
                    id: element.id()?,
                    tag: &element.name,
                    resources: referenced(element),
                    element,
                })
            })
            .collect()
    }

    /// The agent of a primitive, from its template if it has one.
    #[must_use]
    pub fn agent(&self, resource: &Resource<'a>) -> Option<Agent<'a>> {
        let source = self.template_of(resource).unwrap_or(resource.element);
        Some(Agent {
            class: source.attr("class")?,
            provider: source.attr("provider"),
            kind: source.attr("type")?,
        })
    }

    /// The agent's parameters: own ones first, then the template's.
    #[must_use]
    pub fn parameters(&self, resource: &Resource<'a>) -> Attrs<'a> {
        self.attrs_of(&self.own_and_template(resource), "instance_attributes")
    }

    /// Utilization attributes: own ones first, then the template's.
    #[must_use]
    pub fn utilization(&self, resource: &Resource<'a>) -> Attrs<'a> {
        self.attrs_of(&self.own_and_template(resource), "utilization")
    }

    /// Meta-attributes in force: own, template's, then the parents' from the inside out, then
    /// `rsc_defaults`.
    #[must_use]
    pub fn meta(&self, resource: &Resource<'a>) -> Attrs<'a> {
        let mut merged = self.attrs_of(&self.own_and_template(resource), "meta_attributes");
        let mut parent = resource.parent;
        let all = self.resources();
        while let Some(found) = parent.and_then(|id| all.iter().find(|r| r.id == id)) {
            merge(
                &mut merged,
                self.attrs_of(&[found.element], "meta_attributes"),
            );
            parent = found.parent;
        }
        merge(&mut merged, self.rsc_defaults());
        merged
    }

    /// Operations: own ones, then those of the template that they do not replace (same name and
    /// interval).
    #[must_use]
    pub fn ops(&self, resource: &Resource<'a>) -> Vec<Op<'a>> {
        let mut ops: Vec<Op<'a>> = Vec::new();
        for source in self.own_and_template(resource) {
            let lists = source.all("operations").map(|l| self.follow(l));
            let found: Vec<Op<'a>> = lists.flat_map(|l| l.all("op")).filter_map(op).collect();
            let known = ops.len();
            for op in found {
                let replaced = ops[..known]
                    .iter()
                    .any(|o| o.name == op.name && o.interval_ms == op.interval_ms);
                if !replaced {
                    ops.push(op);
                }
            }
        }
        ops
    }

    /// The element of the configuration with this id. Nodes are not looked at: their ids are a
    /// space of their own ([`Config::node`]).
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&'a Element> {
        find_id(self.cib.section(Section::Configuration)?, id)
    }

    fn template_of(&self, resource: &Resource<'a>) -> Option<&'a Element> {
        let name = resource.element.attr("template")?;
        self.templates().into_iter().find(|t| t.id() == Some(name))
    }

    fn own_and_template(&self, resource: &Resource<'a>) -> Vec<&'a Element> {
        std::iter::once(resource.element)
            .chain(self.template_of(resource))
            .collect()
    }

    fn section_attrs(&self, section: Section, set_tag: &str) -> Attrs<'a> {
        self.cib
            .section(section)
            .map(|s| self.attrs_of(&[s], set_tag))
            .unwrap_or_default()
    }

    /// Values from the sets of some elements: the bootstrap set comes first, then falling scores
    /// (Pacemaker `pcmk__cmp_nvpair_blocks`). Of equal scores the sets of the first element come
    /// first, and of one element's the later: Pacemaker collects them from the end.
    fn attrs_of(&self, elements: &[&'a Element], set_tag: &str) -> Attrs<'a> {
        let mut sets: Vec<&'a Element> = elements
            .iter()
            .flat_map(|element| element.children.iter().rev())
            .filter(|c| c.name == set_tag)
            .map(|c| self.follow(c))
            .filter(|c| c.first("rule").is_none())
            .collect();
        sets.sort_by_key(|set| {
            let bootstrap = set.id() == Some(BOOTSTRAP_SET);
            let score = set.attr("score").and_then(|s| Score::parse(s).ok());
            (!bootstrap, std::cmp::Reverse(score.unwrap_or_default()))
        });
        let mut merged = Attrs::new();
        for set in sets {
            let pairs = set.all("nvpair").filter_map(|p| {
                let target = self.follow(p);
                Some((
                    p.attr("name").or_else(|| target.attr("name"))?,
                    target.attr("value")?,
                ))
            });
            pairs.for_each(|(name, value)| {
                merged.entry(name).or_insert(value);
            });
        }
        merged
    }

    /// What an `id-ref` means; the element itself when it has none or it leads nowhere.
    fn follow(&self, element: &'a Element) -> &'a Element {
        element
            .attr("id-ref")
            .and_then(|id| self.by_id(id))
            .unwrap_or(element)
    }
}

/// The resources, templates or tags that a constraint names, in document order.
#[must_use]
pub fn referenced(constraint: &Element) -> Vec<&str> {
    let mut found: Vec<&str> = RESOURCE_REFERENCES
        .iter()
        .filter_map(|name| constraint.attr(name))
        .collect();
    for set in constraint.all("resource_set") {
        found.extend(set.all("resource_ref").filter_map(Element::id));
    }
    found
}

/// The kind of resource a tag stands for.
#[must_use]
pub fn kind_of(tag: &str) -> Option<Kind> {
    match tag {
        "primitive" => Some(Kind::Primitive),
        "group" => Some(Kind::Group),
        "clone" | "master" => Some(Kind::Clone),
        "bundle" => Some(Kind::Bundle),
        _ => None,
    }
}

/// `fencing-enabled` for `stonith-enabled` and back (renamed in Pacemaker 3.0.2).
#[must_use]
pub fn other_fencing_name(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("stonith-") {
        return Some(format!("fencing-{rest}"));
    }
    name.strip_prefix("fencing-")
        .map(|rest| format!("stonith-{rest}"))
}

fn collect_resources<'a>(
    parent: &'a Element,
    parent_id: Option<&'a str>,
    depth: usize,
    all: &mut Vec<Resource<'a>>,
) {
    for element in &parent.children {
        if let (Some(kind), Some(id)) = (kind_of(&element.name), element.id()) {
            all.push(Resource {
                id,
                kind,
                parent: parent_id,
                depth,
                element,
            });
            collect_resources(element, Some(id), depth + 1, all);
        }
    }
}

fn op(element: &Element) -> Option<Op<'_>> {
    let ms = |name| {
        element
            .attr(name)
            .and_then(|t| value::parse_interval_ms(t).ok())
    };
    Some(Op {
        id: element.id(),
        name: element.attr("name")?,
        interval_ms: ms("interval").unwrap_or(0),
        timeout_ms: ms("timeout"),
        role: element.attr("role"),
        element,
    })
}

fn merge<'a>(into: &mut Attrs<'a>, from: Attrs<'a>) {
    for (name, value) in from {
        into.entry(name).or_insert(value);
    }
}

/// The element that brings this id, not one that refers to it.
pub(crate) fn find_id<'a>(element: &'a Element, id: &str) -> Option<&'a Element> {
    if defined_id(element) == Some(id) {
        return Some(element);
    }
    element.children.iter().find_map(|c| find_id(c, id))
}

/// The set Pacemaker writes cluster properties to, and reads first.
pub const BOOTSTRAP_SET: &str = "cib-bootstrap-options";
/// Attributes of constraints that name a resource, a template or a tag.
pub(crate) const RESOURCE_REFERENCES: [&str; 4] = ["rsc", "with-rsc", "first", "then"];

#[cfg(test)]
mod tests;
