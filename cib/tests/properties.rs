//! Laws that hold for every tree and every input.

use cib::{Patch, xml};
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
    fn any_patch_applies_or_is_refused(diff in tree(true), a in tree(true)) {
        if let Ok(patch) = Patch::from_xml(&diff) {
            let _ = patch.apply(&a);
        }
    }
}
