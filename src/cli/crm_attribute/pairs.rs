//! Where the pairs of a scope stand in the CIB.

use super::{Scope, Which};
use crate::cli::attributes;
use crate::cli::exit::Failure;
use cib::config::{Config, other_fencing_name};
use cib::{Cib, Element, Section};

/// Refuses a node that the cluster does not have.
///
/// # Errors
/// [`crate::cli::exit::Exit::NoSuch`], in the words of Pacemaker's tool.
pub(super) fn known(cib: &Cib, scope: &Scope) -> Result<(), Failure> {
    let (Scope::Nodes(node)
    | Scope::Utilization(node)
    | Scope::Status(node)
    | Scope::Capacity(node)) = scope
    else {
        return Ok(());
    };
    match Config::new(cib).node(node) {
        Some(_) => Ok(()),
        None => Err(Failure::no_such(format!("{NO_NODE}{node} to a UUID"))),
    }
}

/// The pairs that are meant, in the order of the CIB.
pub(super) fn of<'a>(cib: &'a Cib, scope: &Scope, which: &Which) -> Vec<&'a Element> {
    let all = in_sets(cib, scope, which);
    let fits = |which: &dyn Fn(&str) -> bool| -> Vec<&'a Element> {
        let fitting = all.iter().filter(|p| p.attr("name").is_some_and(which));
        fitting.copied().collect()
    };
    let found = fits(&|name| which.fits(name));
    let other = which.name.as_deref().and_then(other_fencing_name);
    match other.filter(|_| found.is_empty() && *scope == Scope::CrmConfig) {
        // Options of fencing have two names.
        Some(other) => fits(&|name| name == other),
        None => found,
    }
}

/// Name and value.
pub(super) fn pair(pair: &Element) -> Option<(&str, &str)> {
    Some((pair.attr("name")?, pair.attr("value")?))
}

/// Every pair of the sets, or of the set, or with the id, that were named.
fn in_sets<'a>(cib: &'a Cib, scope: &Scope, which: &Which) -> Vec<&'a Element> {
    let tag = set_tag(scope);
    let sets = parents(cib, scope).into_iter().flat_map(|p| p.all(tag));
    let sets = sets.filter(|s| which.set.as_deref().is_none_or(|id| s.id() == Some(id)));
    let pairs = sets.flat_map(|s| s.all("nvpair"));
    pairs
        .filter(|p| which.id.as_deref().is_none_or(|id| p.id() == Some(id)))
        .collect()
}

/// The elements whose sets a scope means.
fn parents<'a>(cib: &'a Cib, scope: &Scope) -> Vec<&'a Element> {
    let section = |section| cib.section(section).into_iter().collect();
    match scope {
        Scope::Nodes(node) | Scope::Utilization(node) => {
            let node = Config::new(cib).node(node).map(|n| n.element);
            node.into_iter().collect()
        }
        Scope::Status(node) | Scope::Capacity(node) => attributes::transient(cib, node),
        Scope::CrmConfig => section(Section::CrmConfig),
        Scope::RscDefaults => section(Section::RscDefaults),
        Scope::OpDefaults => section(Section::OpDefaults),
    }
}

/// The tag of the sets that a scope means.
pub(super) const fn set_tag(scope: &Scope) -> &'static str {
    match scope {
        Scope::CrmConfig => "cluster_property_set",
        Scope::RscDefaults | Scope::OpDefaults => "meta_attributes",
        Scope::Utilization(_) | Scope::Capacity(_) => "utilization",
        Scope::Nodes(_) | Scope::Status(_) => "instance_attributes",
    }
}

/// How the line about a node that there is not begins.
pub(super) const NO_NODE: &str = "Could not map name=";
