//! Can this tree be written and read again?

use super::read::{
    ATTR_VALUE_MAX_BYTES, ATTRS_MAX, DEPTH_MAX, DOCUMENT_MAX_BYTES, ELEMENTS_MAX, TEXT_MAX_BYTES,
    is_name,
};
use super::write::{compact, escape_attr};
use crate::error::{Error, Result};
use crate::tree::Element;

/// Checks a tree made by a program against the bounds of the reader: what passes is read back by
/// [`super::parse`]. Call it before a tree is stored or sent.
///
/// # Errors
/// [`Error::Bounds`] naming what is too big, or the name that is none.
pub fn check_bounds(root: &Element) -> Result<()> {
    let mut size = Size::default();
    check(root, 1, &mut size)?;
    if size.bytes.saturating_mul(ESCAPE_MAX_BYTES) <= DOCUMENT_MAX_BYTES {
        return Ok(());
    }
    let length = compact(root).len();
    if length > DOCUMENT_MAX_BYTES {
        let what = format!("the document has {length} bytes");
        return Err(beyond(what, DOCUMENT_MAX_BYTES));
    }
    Ok(())
}

#[derive(Default)]
struct Size {
    elements: usize,
    /// What is written, before escaping.
    bytes: usize,
}

fn check(element: &Element, depth: usize, size: &mut Size) -> Result<()> {
    let tag = &element.name;
    if depth > DEPTH_MAX {
        return Err(beyond(
            format!("elements are nested {depth} deep"),
            DEPTH_MAX,
        ));
    }
    size.elements += 1;
    size.bytes += 2 * tag.len() + "<></>".len() + element.text.len();
    if size.elements > ELEMENTS_MAX {
        let what = format!("there are {} elements", size.elements);
        return Err(beyond(what, ELEMENTS_MAX));
    }
    if element.attrs.len() > ATTRS_MAX {
        let what = format!("<{tag}> has {} attributes", element.attrs.len());
        return Err(beyond(what, ATTRS_MAX));
    }
    if element.text.len() > TEXT_MAX_BYTES {
        let what = format!("the text of <{tag}> has {} bytes", element.text.len());
        return Err(beyond(what, TEXT_MAX_BYTES));
    }
    for (name, value) in &element.attrs {
        size.bytes += name.len() + value.len() + " =\"\"".len();
        let length = match value.len() * ESCAPE_MAX_BYTES > ATTR_VALUE_MAX_BYTES {
            true => escape_attr(value).len(),
            false => value.len(),
        };
        if length > ATTR_VALUE_MAX_BYTES {
            let what = format!("attribute {name} of <{tag}> has {length} bytes");
            return Err(beyond(what, ATTR_VALUE_MAX_BYTES));
        }
    }
    let names = std::iter::once(tag).chain(element.attrs.iter().map(|(name, _)| name));
    if let Some(name) = names.into_iter().find(|n| !is_name(n)) {
        let shown: String = name.chars().take(40).collect();
        return Err(Error::Xml {
            line: 1,
            column: 1,
            what: format!("\"{shown}\" is not a name for an element or attribute"),
            cure: "use letters, digits, - _ and ., and start with a letter".to_owned(),
        });
    }
    element
        .children
        .iter()
        .try_for_each(|c| check(c, depth + 1, size))
}

fn beyond(what: String, limit: usize) -> Error {
    Error::Bounds { what, limit }
}

/// Escaping makes a byte at most this long.
const ESCAPE_MAX_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse;

    #[test]
    fn what_passes_is_read_back() {
        let value = |n: usize| Element::new("a").with("b", &"<".repeat(n));
        let deep = |n: usize| (1..n).fold(Element::new("a"), |e, _| Element::new("a").child(e));
        let wide = |n: usize| Element {
            children: vec![Element::new("b"); n - 1],
            ..Element::new("a")
        };
        let many = |n: usize| (0..n).fold(Element::new("a"), |e, i| e.with(&format!("a{i}"), ""));
        let fit = ATTR_VALUE_MAX_BYTES / 4;
        for (good, bad) in [
            (value(fit), value(fit + 1)),
            (deep(DEPTH_MAX), deep(DEPTH_MAX + 1)),
            (wide(ELEMENTS_MAX), wide(ELEMENTS_MAX + 1)),
            (many(ATTRS_MAX), many(ATTRS_MAX + 1)),
            (Element::new("a"), Element::new("")),
            (Element::new("a"), Element::new("a b")),
            (Element::new("a"), Element::new("a").with("1", "x")),
        ] {
            assert_eq!(check_bounds(&good), Ok(()));
            assert_eq!(parse(&compact(&good)).as_ref(), Ok(&good));
            assert!(check_bounds(&bad).is_err());
            assert_ne!(parse(&compact(&bad)).as_ref(), Ok(&bad));
        }
    }
}
