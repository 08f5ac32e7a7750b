//! Constraints that say where a resource shall, or shall not, be: what `move`, `ban` and `clear` of
//! every tool make and take away (Pacemaker lib/pacemaker and tools/crm_resource_ban.c; their ids
//! are Pacemaker's, so that any tool clears what any other made).

use super::exit::{Exit, Failure};
use super::iso8601;
use crate::cli::backend;
use crate::view::{self, Status};
use cib::{Cib, Element, Section};

/// The id of the constraint that sends a resource somewhere.
#[must_use]
pub(crate) fn prefer_id(resource: &str) -> String {
    format!("cli-prefer-{resource}")
}

/// The id of the constraint that keeps a resource away from a node.
#[must_use]
pub(crate) fn ban_id(resource: &str, node: &str) -> String {
    format!("cli-ban-{resource}-on-{node}")
}

/// A constraint of this kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    /// The resource.
    pub(crate) resource: &'a str,
    /// Where it shall, or shall not, be.
    pub(crate) node: &'a str,
    /// It shall.
    pub(crate) wanted: bool,
    /// The role it is about.
    pub(crate) role: &'a str,
    /// When the wish ends, seconds since the epoch; `None` = with `clear`.
    pub(crate) until: Option<i64>,
}

impl Wish<'_> {
    /// Its id.
    #[must_use]
    pub(crate) fn id(&self) -> String {
        match self.wanted {
            true => prefer_id(self.resource),
            false => ban_id(self.resource, self.node),
        }
    }

    /// Puts it into a CIB, in the place of one with the same id.
    ///
    /// # Errors
    /// As [`cib::edit::insert`].
    pub(crate) fn put(&self, cib: &mut Cib) -> Result<(), Failure> {
        let (id, element) = (self.id(), self.element());
        let constraints = cib.section_mut(Section::Constraints);
        if constraints.children.contains(&element) {
            return Ok(());
        }
        constraints.children.retain(|c| c.id() != Some(&id));
        Ok(cib::edit::insert(cib, Section::Constraints, element)?)
    }

    fn element(&self) -> Element {
        let id = self.id();
        let score = if self.wanted { "INFINITY" } else { "-INFINITY" };
        let constraint = Element::new("rsc_location")
            .with("id", &id)
            .with("rsc", self.resource)
            .with("role", self.role);
        let Some(until) = self.until else {
            return constraint.with("node", self.node).with("score", score);
        };
        let expression = Element::new("expression")
            .with("id", &format!("{id}-expr"))
            .with("attribute", "#uname")
            .with("operation", "eq")
            .with("value", self.node)
            .with("type", "string");
        let lifetime = Element::new("date_expression")
            .with("id", &format!("{id}-lifetime"))
            .with("operation", "lt")
            .with("end", &iso8601::utc(until));
        let rule = Element::new("rule")
            .with("id", &format!("{id}-rule"))
            .with("score", score)
            .with("boolean-op", "and");
        constraint.child(rule.child(expression).child(lifetime))
    }
}

/// When a wish of this lifetime (an ISO 8601 duration) ends, seconds since the epoch; `None` where
/// the text is none.
#[must_use]
pub(crate) fn end_of(lifetime: &str) -> Option<i64> {
    iso8601::later(backend::now_s(), lifetime)
}

/// Takes the constraints of `move` and `ban` on a resource away that `fits`; returns their ids.
pub(crate) fn take_away(
    cib: &mut Cib,
    resource: &str,
    fits: impl Fn(&Element) -> bool,
) -> Vec<String> {
    let mut removed = Vec::new();
    if cib.section(Section::Constraints).is_none() {
        return removed;
    }
    let prefer = prefer_id(resource);
    let ban = ban_id(resource, "");
    let constraints = cib.section_mut(Section::Constraints);
    constraints.children.retain(|c| {
        let own = c.id().unwrap_or_default();
        let ours = c.attr("rsc") == Some(resource) && (own == prefer || own.starts_with(&ban));
        let gone = ours && fits(c);
        if gone {
            removed.push(own.to_owned());
        }
        !gone
    });
    removed
}

/// As [`take_away`], of one node or of all.
pub(crate) fn clear(cib: &mut Cib, resource: &str, node: Option<&str>) -> Vec<String> {
    take_away(cib, resource, |c| node.is_none_or(|n| place(c) == Some(n)))
}

/// The node that a constraint of this kind names.
#[must_use]
pub(crate) fn place(constraint: &Element) -> Option<&str> {
    let rule = constraint.first("rule").and_then(|r| r.first("expression"));
    constraint.attr("node").or_else(|| rule?.attr("value"))
}

/// Nodes where a resource, or anything in it, runs: by name, each once; `None` = it is unknown.
#[must_use]
pub(crate) fn running_on(status: &Status, resource: &str) -> Option<Vec<String>> {
    let places = view::places(view::find_resource(&status.resources, resource)?);
    let mut nodes: Vec<String> = places.into_iter().map(|(node, _)| node).collect();
    nodes.sort();
    nodes.dedup();
    Some(nodes)
}

/// The one node where a resource runs; `nowhere` is said when there is none.
///
/// # Errors
/// It runs nowhere, or on several nodes.
pub(crate) fn the_node_of(
    status: &Status,
    resource: &str,
    nowhere: String,
) -> Result<String, Failure> {
    let nodes = running_on(status, resource).unwrap_or_default();
    match nodes.as_slice() {
        [node] => Ok(node.clone()),
        [] => Err(Failure::new(Exit::Error, nowhere)),
        several => Err(Failure::new(
            Exit::Error,
            format!("{resource} runs on {}: name the node", several.join(", ")),
        )),
    }
}
