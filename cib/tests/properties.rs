//! Laws that hold for every tree and every input.

use cib::{Cib, Element, Patch, Section, XPath, check, edit, xml};
use proptest::prelude::*;

mod common;

use common::{cib_of, edited, tree};

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(e in tree(true)) {
        prop_assert_eq!(&xml::parse(&xml::compact(&e)).unwrap(), &e);
        prop_assert_eq!(&xml::parse(&xml::format(&e)).unwrap(), &e);
    }

    #[test]
    fn a_patch_leads_from_any_tree_to_any_other(a in tree(true), b in tree(true)) {
        let (a, b) = (cib_of(a, 1), cib_of(b, 2));
        let patch = Patch::between(&a, &b).unwrap();
        let read = Patch::from_xml(&xml::parse(&xml::format(&patch.to_xml())).unwrap()).unwrap();
        prop_assert_eq!(&read, &patch);
        prop_assert_eq!(read.apply(&a).unwrap(), b);
    }

    #[test]
    fn a_patch_leads_from_a_tree_to_its_edit(a in tree(true), dice in prop::collection::vec(any::<u8>(), 0..30)) {
        let a = cib_of(a, 1);
        let b = cib_of(edited(&a, &mut dice.into_iter()), 2);
        let patch = Patch::between(&a, &b).unwrap();
        prop_assert_eq!(patch.apply(&a).unwrap(), b);
    }

    #[test]
    fn no_change_is_an_empty_patch(a in tree(true)) {
        prop_assert!(Patch::between(&a, &a).unwrap().is_empty());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = xml::parse_bytes(&bytes);
    }

    #[test]
    fn xml_like_text_is_read_or_refused(text in "[<>/&;#x=\"' a-c!\\[\\]?\n-]{0,60}") {
        if let Ok(e) = xml::parse(&text) {
            prop_assert_eq!(&xml::parse(&xml::compact(&e)).unwrap(), &e);
            prop_assert_eq!(&xml::parse(&xml::format(&e)).unwrap(), &e);
        }
    }

    #[test]
    fn any_expression_is_evaluated_or_refused(text in "[/@a-c1='\"\\[\\]()|*.,<>! ]{0,40}", a in tree(false)) {
        if let Ok(xpath) = XPath::parse(&text) {
            let _ = xpath.eval(&a);
        }
    }

    #[test]
    fn any_text_is_an_expression_or_refused(text in any::<String>()) {
        let _ = XPath::parse(&text);
    }

    #[test]
    fn what_a_path_names_is_found_again(a in tree(false), pick in any::<prop::sample::Index>()) {
        let found = cib::xpath::select(&a, "//*[@id]").unwrap();
        if !found.is_empty() {
            let place = &found[pick.index(found.len())].place;
            let path = place.path(&a);
            if !path.contains(['"', ' ']) && path.matches('\'').count() == 2 * path.matches('[').count() {
                let again = cib::xpath::select(&a, &path).unwrap();
                prop_assert!(again.iter().any(|m| m.place == *place), "{path}");
            }
        }
    }

    #[test]
    fn any_cib_is_judged_and_edited_without_harm(mut cib in strange_cib(), ids in prop::collection::vec("[a-f]", 6)) {
        let _ = check::verify(&cib);
        edit::set_property(&mut cib, &ids[0], Some("1"));
        let _ = edit::set_meta(&mut cib, &ids[1], "target-role", Some("Stopped"));
        let _ = edit::set_node_attribute(&mut cib, &ids[2], "standby", Some("on"));
        let group = Element::new("group").with("id", &ids[3]);
        let before = cib.clone();
        if edit::wrap(&mut cib, group, &[&ids[4], &ids[5]]).is_err() {
            prop_assert_eq!(&cib, &before);
        }
        if edit::delete(&mut cib, &ids[0]).is_ok() {
            let constraints = cib.section(Section::Constraints).into_iter().flat_map(|s| &s.children);
            for name in ["rsc", "first", "then"] {
                prop_assert!(constraints.clone().all(|c| c.attr(name) != Some(&ids[0])));
            }
        }
    }

    #[test]
    fn any_patch_applies_or_is_refused(diff in tree(true), a in tree(true)) {
        if let Ok(patch) = Patch::from_xml(&diff) {
            let _ = patch.apply(&a);
        }
    }
}

/// CIBs of the right words in wrong places.
fn strange_cib() -> impl Strategy<Value = Cib> {
    const TAGS: [&str; 14] = [
        "primitive",
        "group",
        "clone",
        "template",
        "meta_attributes",
        "nvpair",
        "operations",
        "op",
        "rsc_location",
        "rsc_order",
        "resource_set",
        "resource_ref",
        "fencing-level",
        "node",
    ];
    const NAMES: [&str; 12] = [
        "id", "class", "type", "template", "name", "value", "rsc", "first", "then", "node",
        "id-ref", "devices",
    ];
    let attrs = prop::collection::btree_map(prop::sample::select(&NAMES[..]), "[a-f]", 0..6);
    let node = (prop::sample::select(&TAGS[..]), attrs).prop_map(|(tag, attrs)| {
        let mut e = Element::new(tag);
        attrs.iter().for_each(|(n, v)| e.set(n, v));
        e
    });
    let child = node.clone().prop_recursive(3, 24, 5, move |inner| {
        (node.clone(), prop::collection::vec(inner, 0..5)).prop_map(|(mut e, children)| {
            e.children = children;
            e
        })
    });
    prop::collection::vec((0..10_usize, child), 0..16).prop_map(|placed| {
        let mut cib = Cib::empty();
        for (section, element) in placed {
            cib.section_mut(Section::CONFIGURATION[section])
                .children
                .push(element);
        }
        cib
    })
}
