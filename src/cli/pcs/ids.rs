//! Ids as pcs makes them: from what they name, with a number where that is taken.

use cib::{Cib, Element};

/// The wanted id, or the first of `ID-1`, `ID-2` … that nothing has.
#[must_use]
pub(super) fn unique(cib: &Cib, wanted: &str) -> String {
    // What an id cannot hold is left out.
    let wanted: String = wanted.chars().filter(fine).collect();
    let mut taken = Vec::new();
    collect(cib.root(), &mut taken);
    if !taken.contains(&wanted.as_str()) {
        return wanted;
    }
    let numbered = (1_u32..).map(|n| format!("{wanted}-{n}"));
    numbered
        .into_iter()
        .find(|id| !taken.contains(&id.as_str()))
        .unwrap_or(wanted)
}

/// An id may hold it.
pub(super) fn fine(letter: &char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.')
}

fn collect<'a>(element: &'a Element, found: &mut Vec<&'a str>) {
    // A reference's id is another's; the status has a namespace of its own.
    if matches!(element.name.as_str(), "status" | "resource_ref" | "obj_ref") {
        return;
    }
    found.extend(element.id());
    for child in &element.children {
        collect(child, found);
    }
}
