//! `property`, `rsc_defaults`, `op_defaults`, `node`, `xml`.

use super::parse::{Cursor, attrs};
use crate::cli::crm::words::pair;
use crate::cli::exit::Failure;
use cib::config::BOOTSTRAP_SET;
use cib::edit::{self, SetKind};
use cib::{Cib, Element, Section};

/// `property [ID:] name=value …`, also as `show` prints it and in the older form with `$id=`.
pub(super) fn property(cib: &mut Cib, words: &[String]) -> Result<Vec<String>, Failure> {
    let pairs = named_pairs("property", words, BOOTSTRAP_SET)?;
    for (name, value) in &pairs {
        edit::set_property(cib, name, Some(value));
    }
    Ok(Vec::new())
}

/// `rsc_defaults` (true) and `op_defaults`.
pub(super) fn defaults(
    cib: &mut Cib,
    words: &[String],
    of_resources: bool,
) -> Result<Vec<String>, Failure> {
    let (command, set) = match of_resources {
        true => ("rsc_defaults", "rsc-options"),
        false => ("op_defaults", "op-options"),
    };
    for (name, value) in named_pairs(command, words, set)? {
        if of_resources {
            edit::set_rsc_default(cib, &name, Some(&value));
        } else {
            edit::set_op_default(cib, &name, Some(&value));
        }
    }
    Ok(Vec::new())
}

fn named_pairs(
    command: &'static str,
    words: &[String],
    set: &str,
) -> Result<Vec<(String, String)>, Failure> {
    let mut cursor = Cursor::new(command, words);
    if let Some(id) = cursor.peek().and_then(|w| w.strip_suffix(':')) {
        if id != set {
            return Err(cursor.fail(&format!("only the set {set} is offered, not {id}")));
        }
        cursor.next();
    }
    let mut pairs = attrs(&mut cursor, &[])?;
    pairs.retain(|(name, _)| name != "$id");
    if pairs.is_empty() {
        return Err(cursor.missing("name=value"));
    }
    Ok(pairs)
}

/// `node [ID:] NAME [attributes …]`, as `show` prints it.
pub(super) fn node(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let mut cursor = Cursor::new("node", words);
    let mut id = None;
    if let Some(given) = cursor.peek().and_then(|w| w.strip_suffix(':')) {
        id = Some(given.to_owned());
        cursor.next();
    }
    if let Some(("$id", given)) = cursor.peek().and_then(pair) {
        id = Some(given.to_owned());
        cursor.next();
    }
    let name = cursor.word("the node's name")?;
    let name = name.split(':').next().unwrap_or_default().to_owned();
    let known = cib::config::Config::new(cib).node(&name).is_some();
    match id {
        Some(id) => {
            edit::ensure_node(cib, &id, &name);
        }
        None if known => {}
        None => {
            return Err(Failure::no_such(format!(
                "node {name} is not in the cluster; `crm cluster add` lets one in"
            )));
        }
    }
    let mut kind = SetKind::Instance;
    while let Some(word) = cursor.next() {
        match word.as_str() {
            "attributes" | "params" => kind = SetKind::Instance,
            "utilization" => kind = SetKind::Utilization,
            word => match pair(word) {
                Some((attribute, value)) if !attribute.starts_with('$') => {
                    edit::set_in_node(cib, &name, kind, attribute, Some(value))?;
                }
                Some(_) => {}
                None => return Err(cursor.unexpected(word)),
            },
        }
    }
    Ok(())
}

/// `xml <element …/>`: an object as XML, put into its section or in the place of the one of the
/// same id.
pub(super) fn xml(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(crate::cli::crm::usage::misused());
    }
    let text = words.join(" ");
    let element = cib::xml::parse(&text)?;
    let Some(section) = section_of(&element) else {
        return Err(Failure::usage(format!(
            "xml: <{}> has no place in the configuration",
            element.name
        )));
    };
    let known = element
        .id()
        .is_some_and(|id| cib::config::Config::new(cib).by_id(id).is_some());
    if known {
        cib::update::replace(cib, section, element)?;
    } else {
        cib::update::create(cib, section, element)?;
    }
    Ok(())
}

pub(super) fn section_of(element: &Element) -> Option<Section> {
    Some(match element.name.as_str() {
        "primitive" | "group" | "clone" | "master" | "bundle" | "template" => Section::Resources,
        "rsc_location" | "rsc_colocation" | "rsc_order" | "rsc_ticket" => Section::Constraints,
        "cluster_property_set" => Section::CrmConfig,
        "fencing-level" => Section::FencingTopology,
        "acl_role" | "acl_target" | "acl_group" => Section::Acls,
        "tag" => Section::Tags,
        "alert" => Section::Alerts,
        "node" => Section::Nodes,
        _ => return None,
    })
}
