//! Setting and deleting.

use super::{Scope, Which, is_quiet, nameless, pairs};
use crate::cli::attributes;
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use crate::cli::getopt::Found;
use cib::config::Config;
use cib::edit::{self, SetKind};
use cib::{Cib, Element, Section};

/// Sets (`Some`) or deletes what is meant.
///
/// # Errors
/// Several pairs fit a name; a node that there is not; as [`backend::edit`].
pub(super) fn run(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    scope: &Scope,
    which: &Which,
    value: Option<&str>,
) -> Result<(), Failure> {
    if which.name.is_none() && which.id.is_none() && which.pattern.is_none() {
        return Err(nameless());
    }
    let before = change(backend, console, scope, which, value)?;
    if value.is_none() && !is_quiet(found) {
        let kind = match scope {
            Scope::CrmConfig | Scope::RscDefaults | Scope::OpDefaults => "option",
            _ => "attribute",
        };
        for (id, name) in before {
            let pair = attributes::pair_named(&id, which.set.as_deref(), &name);
            console.line(&format!("Deleted {} {kind}: {pair}", scope.name()));
        }
    }
    Ok(())
}

/// Ids and names of the pairs, as they were.
type Before = Vec<(String, String)>;

/// The change itself.
fn change(
    backend: &mut dyn Backend,
    console: &mut Console,
    scope: &Scope,
    which: &Which,
    value: Option<&str>,
) -> Result<Before, Failure> {
    let (node, capacity) = match scope {
        Scope::Status(node) => (node, false),
        Scope::Capacity(node) => (node, true),
        _ => return set_permanent(backend, console, scope, which, value),
    };
    // The daemon knows best, and says nothing of what it deletes.
    let before = match backend.live() {
        true => Vec::new(),
        false => places(&backend::cib(backend, true)?, scope, which, console)?,
    };
    set_transient(backend, node, capacity, which, value)?;
    Ok(before)
}

/// Ids and names of the pairs that are meant; where one was meant and several fit, they are told, and
/// nothing is done.
fn places(
    cib: &Cib,
    scope: &Scope,
    which: &Which,
    console: &mut Console,
) -> Result<Before, Failure> {
    pairs::known(cib, scope)?;
    let found = pairs::of(cib, scope, which);
    if found.len() > 1 && which.is_one() {
        let name = which.name.as_deref().unwrap_or_default();
        console.line(&format!("Multiple attributes match name={name}"));
        for pair in &found {
            let own = |attr| pair.attr(attr).unwrap_or_default();
            console.line(&format!("  Value: {} \t(id={})", own("value"), own("id")));
        }
        return Err(Failure::new(
            Exit::Multiple,
            "Please choose from one of the matches above and supply its id with --id",
        ));
    }
    let own = |p: &Element, attr| p.attr(attr).unwrap_or_default().to_owned();
    let told = found.iter().map(|p| (own(p, "id"), own(p, "name")));
    Ok(told.collect())
}

fn set_transient(
    backend: &mut dyn Backend,
    node: &str,
    capacity: bool,
    which: &Which,
    value: Option<&str>,
) -> Result<(), Failure> {
    if let Some(pattern) = &which.pattern {
        let present = attributes::list(backend, Some(node), None)?;
        for attribute in present.iter().filter(|a| pattern.is_match(&a.name)) {
            attributes::set(backend, node, &attribute.name, value)?;
        }
        return Ok(());
    }
    let name = which.name.as_deref().ok_or_else(nameless)?;
    match value.filter(|_| capacity) {
        Some(value) => attributes::set_capacity(backend, node, name, value),
        None => attributes::set(backend, node, name, value),
    }
}

fn set_permanent(
    backend: &mut dyn Backend,
    console: &mut Console,
    scope: &Scope,
    which: &Which,
    value: Option<&str>,
) -> Result<Before, Failure> {
    if which.pattern.is_some() {
        return Err(Failure::usage(
            "-P changes attributes that end with the node's daemon alone: say -l reboot",
        ));
    }
    let (before, committed) = backend::edit(backend, "crm_attribute", |cib| {
        let before = places(cib, scope, which, console)?;
        if !which.is_plain() {
            set_named(cib, scope, which, value)?;
            return Ok(before);
        }
        let name = which.name.as_deref().ok_or_else(nameless)?;
        match scope {
            Scope::Nodes(node) => {
                edit::set_node_attribute(cib, node, name, value)?;
            }
            Scope::Utilization(node) => {
                edit::set_in_node(cib, node, SetKind::Utilization, name, value)?;
            }
            // They are no part of the configuration.
            Scope::Status(_) | Scope::Capacity(_) => {}
            Scope::CrmConfig => {
                edit::set_property(cib, name, value);
            }
            Scope::RscDefaults => {
                edit::set_rsc_default(cib, name, value);
            }
            Scope::OpDefaults => {
                edit::set_op_default(cib, name, value);
            }
        }
        Ok(before)
    })?;
    for warning in committed.warnings {
        console.err_line(&warning);
    }
    Ok(before)
}

/// In the set, or on the pair, that was named.
fn set_named(
    cib: &mut Cib,
    scope: &Scope,
    which: &Which,
    value: Option<&str>,
) -> Result<(), Failure> {
    if let (Scope::CrmConfig, Some(set), Some(name), None) =
        (scope, &which.set, &which.name, &which.id)
    {
        edit::set_property_in(cib, set, name, value);
        return Ok(());
    }
    let tag = pairs::set_tag(scope);
    let parent = match scope {
        Scope::Nodes(node) | Scope::Utilization(node) => {
            let id = Config::new(cib).node(node).map(|n| n.id.to_owned());
            let mut nodes = cib.section_mut(Section::Nodes).children.iter_mut();
            let found = id.and_then(|id| nodes.find(|n| n.id() == Some(&id)));
            found.ok_or_else(|| Failure::no_such(format!("there is no node {node}")))?
        }
        Scope::RscDefaults => cib.section_mut(Section::RscDefaults),
        Scope::OpDefaults => cib.section_mut(Section::OpDefaults),
        Scope::CrmConfig | Scope::Status(_) | Scope::Capacity(_) => {
            cib.section_mut(Section::CrmConfig)
        }
    };
    let fits = |pair: &Element| {
        let same_id = which.id.as_deref().is_none_or(|id| pair.id() == Some(id));
        same_id && pair.attr("name").is_some_and(|n| which.fits(n))
    };
    let mut there = false;
    for set in parent.children.iter_mut().filter(|c| c.name == tag) {
        if which.set.as_deref().is_some_and(|id| set.id() != Some(id)) {
            continue;
        }
        match value {
            None => set.children.retain(|p| !fits(p)),
            Some(value) => {
                for pair in set.children.iter_mut().filter(|p| fits(p)) {
                    pair.set("value", value);
                    there = true;
                }
            }
        }
    }
    let (Some(value), false) = (value, there) else {
        return Ok(());
    };
    let name = which
        .name
        .as_deref()
        .ok_or_else(|| Failure::no_such("no attribute has that id: say -n NAME to make one"))?;
    make_pair(parent, tag, which, name, value);
    Ok(())
}

/// A new pair, in a new set where there is none.
fn make_pair(parent: &mut Element, tag: &str, which: &Which, name: &str, value: &str) {
    let of_parent = parent.id().unwrap_or(&parent.name).to_owned();
    let set_id = which
        .set
        .clone()
        .unwrap_or_else(|| format!("{of_parent}-{tag}"));
    let pair_id = edit::sanitize_id(&format!("{set_id}-{name}"));
    let pair = Element::new("nvpair")
        .with("id", which.id.as_deref().unwrap_or(&pair_id))
        .with("name", name)
        .with("value", value);
    let mut sets = parent.children.iter_mut();
    match sets.find(|s| s.name == tag && s.id() == Some(&set_id)) {
        Some(set) => set.children.push(pair),
        None => {
            let set = Element::new(tag).with("id", &set_id);
            parent.children.push(set.child(pair));
        }
    }
}
