//! `rename OLD NEW`: another id, wherever it is written.

use crate::cli::exit::{Exit, Failure};
use cib::config::Config;
use cib::edit::sanitize_id;
use cib::{Cib, Element, Section};

/// Renames an object; what is named after it follows.
pub(super) fn rename(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let [old, new] = words else {
        return Err(crate::cli::crm::usage::misused());
    };
    let config = Config::new(cib);
    if config.by_id(old).is_none() {
        return Err(Failure::no_such(format!("object {old} does not exist")));
    }
    if config.by_id(new).is_some() || config.node(new).is_some() {
        return Err(Failure::new(
            Exit::Exists,
            format!("object {new} exists already"),
        ));
    }
    let first = new.chars().next();
    let fine = sanitize_id(new) == *new && first.is_some_and(|c| c.is_alphabetic() || c == '_');
    if !fine {
        return Err(Failure::usage(format!(
            "rename: `{new}` cannot be an id: use letters, digits, `_`, `-` and `.`, a letter first"
        )));
    }
    let configuration = cib.section_mut(Section::Configuration);
    replace(configuration, old, new, false);
    Ok(())
}

/// `inside`: below the renamed object, where ids begin with its own.
fn replace(element: &mut Element, old: &str, new: &str, inside: bool) {
    let own = element.id() == Some(old) && element.name != "node";
    for (name, value) in &mut element.attrs {
        match name.as_str() {
            "id" if value == old && (own || inside) => *value = new.into(),
            "id" if inside => {
                if let Some(rest) = value.strip_prefix(old).filter(|r| r.starts_with('-')) {
                    *value = format!("{new}{rest}").into();
                }
            }
            "rsc" | "with-rsc" | "first" | "then" | "template" | "id-ref" if value == old => {
                *value = new.into();
            }
            "devices" => {
                let devices: Vec<&str> = value
                    .split(',')
                    .map(|d| if d == old { new } else { d })
                    .collect();
                *value = devices.join(",").into();
            }
            _ => {}
        }
    }
    // Members of a group have names of their own.
    let is_object = |child: &Element| {
        cib::config::kind_of(&child.name).is_some()
            || ["resource_ref", "obj_ref"].contains(&child.name.as_str())
    };
    for child in &mut element.children {
        let inside = (own || inside) && !is_object(child);
        replace(child, old, new, inside);
    }
}
