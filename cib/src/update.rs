//! Changes as `cibadmin` makes them from a piece of XML: create, modify, replace, delete.
//! (Pacemaker lib/cib/cib_ops.c.) `--xpath` forms go through [`crate::xpath`] and [`merge`].
//!
//! Each function leaves the CIB as it was when it returns an error; none touches the version.

use crate::document::{Cib, Section};
use crate::edit;
use crate::error::{Error, Result};
use crate::tree::{Element, Text};

/// `cibadmin --create`: adds an object at the end of a section.
///
/// # Errors
/// [`Error::Exists`] when one of its ids is taken.
pub fn create(cib: &mut Cib, section: Section, object: Element) -> Result<()> {
    edit::insert(cib, section, object)
}

/// `cibadmin --modify`: merges an object into the one of the same tag and id, wherever it stands
/// in the section; a section merges into itself. With `may_create` (`--allow-create`) an object
/// that does not exist is added to the section.
///
/// # Errors
/// [`Error::Unknown`] when there is no such object and none may be created.
pub fn modify(cib: &mut Cib, section: Section, object: &Element, may_create: bool) -> Result<()> {
    if object.name == section.tag() {
        merge(cib.section_mut(section), object);
        return Ok(());
    }
    let known = |root: &Element| find(root, &mut |e| same(e, object)).is_some();
    if cib.section(section).is_some_and(known) {
        let root = cib.section_mut(section);
        if let Some(path) = find(root, &mut |e| same(e, object)) {
            merge(at_mut(root, &path), object);
        }
        return Ok(());
    }
    if !may_create {
        return Err(unknown(object));
    }
    create(cib, section, object.clone())
}

/// `cibadmin --replace`: puts an object in the place of the one of the same tag and id; a section
/// replaces itself. Returns what was there.
///
/// # Errors
/// [`Error::Unknown`] when there is no such object.
pub fn replace(cib: &mut Cib, section: Section, object: Element) -> Result<Element> {
    if object.name == section.tag() {
        return Ok(std::mem::replace(cib.section_mut(section), object));
    }
    let path = cib
        .section(section)
        .and_then(|root| find(root, &mut |e| same(e, &object)))
        .ok_or_else(|| unknown(&object))?;
    let place = at_mut(cib.section_mut(section), &path);
    Ok(std::mem::replace(place, object))
}

/// `cibadmin --delete`: removes the first element that has the given tag and all the given
/// attributes. Returns it; `None` when there is none, which is no error for `cibadmin`.
///
/// What hangs on it stays: [`edit::delete`] takes care of that.
pub fn delete(cib: &mut Cib, section: Section, pattern: &Element) -> Option<Element> {
    let fits = |e: &Element| {
        let has = |(name, value): &(Text, Text)| e.attr(name) == Some(value);
        e.name == pattern.name && pattern.attrs.iter().all(has)
    };
    let mut path = find(cib.section(section)?, &mut |e| fits(e))?;
    let last = path.pop()?;
    let parent = at_mut(cib.section_mut(section), &path);
    Some(parent.children.remove(last))
}

/// Sets the attributes of `from` on `target`, and merges its children into those of the same tag
/// and id; others are added.
pub fn merge(target: &mut Element, from: &Element) {
    for (name, value) in &from.attrs {
        target.set(name, value);
    }
    if !from.text.is_empty() {
        target.text.clone_from(&from.text);
    }
    for child in &from.children {
        match target.children.iter_mut().find(|c| same(c, child)) {
            Some(existing) => merge(existing, child),
            None => target.children.push(child.clone()),
        }
    }
}

/// Same tag, and same id if the wanted one has any.
fn same(element: &Element, wanted: &Element) -> bool {
    element.name == wanted.name && (wanted.id().is_none() || element.id() == wanted.id())
}

/// Indices of children from `root` down to the first descendant that fits, in document order.
fn find(root: &Element, fits: &mut impl FnMut(&Element) -> bool) -> Option<Vec<usize>> {
    for (index, child) in root.children.iter().enumerate() {
        if fits(child) {
            return Some(vec![index]);
        }
        if let Some(mut path) = find(child, fits) {
            path.insert(0, index);
            return Some(path);
        }
    }
    None
}

/// The element at a path that [`find`] gave for this tree.
fn at_mut<'a>(root: &'a mut Element, path: &[usize]) -> &'a mut Element {
    path.iter().fold(root, |here, &i| &mut here.children[i])
}

fn unknown(object: &Element) -> Error {
    Error::Unknown {
        kind: "object",
        id: format!("{} {}", object.name, object.id().unwrap_or_default())
            .trim_end()
            .to_owned(),
        cure: "`cibadmin --query` prints what there is; --create adds it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml;

    fn cib() -> Cib {
        Cib::parse(
            "<cib><configuration><resources><group id=\"g\"><primitive id=\"a\" class=\"ocf\">\
             <meta_attributes id=\"m\"><nvpair id=\"n\" name=\"x\" value=\"1\"/></meta_attributes>\
             </primitive></group><primitive id=\"b\"/></resources></configuration></cib>",
        )
        .unwrap()
    }

    fn resources(cib: &Cib) -> String {
        cib.section(Section::Resources)
            .map(xml::compact)
            .unwrap_or_default()
    }

    fn piece(text: &str) -> Element {
        xml::parse(text).unwrap()
    }

    #[test]
    fn modify_merges_where_the_object_stands() {
        let mut cib = cib();
        let update = piece(
            "<primitive id=\"a\" type=\"Dummy\"><meta_attributes id=\"m\">\
             <nvpair id=\"n\" value=\"2\"/><nvpair id=\"o\" name=\"y\" value=\"3\"/>\
             </meta_attributes></primitive>",
        );
        modify(&mut cib, Section::Resources, &update, false).unwrap();
        assert!(resources(&cib).contains(
            "<group id=\"g\"><primitive id=\"a\" class=\"ocf\" type=\"Dummy\"><meta_attributes id=\"m\">\
             <nvpair id=\"n\" name=\"x\" value=\"2\"/><nvpair id=\"o\" name=\"y\" value=\"3\"/>\
             </meta_attributes></primitive></group>"
        ));
    }

    #[test]
    fn modify_creates_only_when_asked() {
        let mut cib = cib();
        let before = cib.clone();
        let update = piece("<primitive id=\"c\"/>");
        let text = modify(&mut cib, Section::Resources, &update, false)
            .unwrap_err()
            .to_string();
        assert!(
            text.starts_with("object \"primitive c\" does not exist"),
            "{text}"
        );
        assert_eq!(cib, before);
        modify(&mut cib, Section::Resources, &update, true).unwrap();
        assert!(
            resources(&cib).ends_with("<primitive id=\"b\"/><primitive id=\"c\"/></resources>")
        );
        let section = piece("<resources><primitive id=\"c\" class=\"lsb\"/></resources>");
        modify(&mut cib, Section::Resources, &section, false).unwrap();
        assert!(resources(&cib).contains("<primitive id=\"c\" class=\"lsb\"/>"));
    }

    #[test]
    fn replace_keeps_the_place() {
        let mut cib = cib();
        let old = replace(
            &mut cib,
            Section::Resources,
            piece("<primitive id=\"a\" new=\"1\"/>"),
        )
        .unwrap();
        assert_eq!(old.attr("class"), Some("ocf"));
        assert_eq!(
            resources(&cib),
            "<resources><group id=\"g\"><primitive id=\"a\" new=\"1\"/></group><primitive id=\"b\"/></resources>"
        );
        assert!(replace(&mut cib, Section::Resources, piece("<primitive id=\"z\"/>")).is_err());
        replace(&mut cib, Section::Resources, piece("<resources/>")).unwrap();
        assert_eq!(resources(&cib), "<resources/>");
    }

    #[test]
    fn delete_wants_tag_and_every_attribute() {
        let mut cib = cib();
        let pattern = piece("<nvpair id=\"n\" value=\"9\"/>");
        assert_eq!(delete(&mut cib, Section::Resources, &pattern), None);
        assert_eq!(delete(&mut cib, Section::Tags, &pattern), None);
        let found = delete(&mut cib, Section::Resources, &piece("<nvpair name=\"x\"/>"));
        assert_eq!(
            found.and_then(|e| e.id().map(str::to_owned)).as_deref(),
            Some("n")
        );
        assert!(resources(&cib).contains("<meta_attributes id=\"m\"/>"));
    }

    #[test]
    fn create_refuses_a_taken_id() {
        let mut cib = cib();
        let again = create(&mut cib, Section::Resources, piece("<primitive id=\"a\"/>"));
        assert!(matches!(again, Err(Error::Exists { .. })));
    }
}
