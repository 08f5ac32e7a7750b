//! Random trees.

use cib::Element;
use proptest::prelude::*;

/// Few names and ids, so that trees share elements, repeat them and leave ids out.
pub(crate) fn tree(with_text: bool) -> impl Strategy<Value = Element> {
    let attrs = prop::collection::btree_map("[abc]", ".{0,6}", 0..3);
    let id = prop::option::weighted(0.8, prop_oneof![8 => "[u-z]", 1 => "[xy]['\"/ ]"]);
    let text = if with_text { "[ a-c\n&<]{0,4}" } else { "" };
    let node = ("[p-r]", id, attrs, text).prop_map(|(name, id, attrs, text)| {
        let mut e = Element::new(&name);
        if let Some(id) = id {
            e.set("id", &id);
        }
        for (n, v) in attrs {
            e.set(&n, &legal(&v));
        }
        if text.chars().any(|c| !c.is_whitespace()) {
            e.text = text;
        }
        e
    });
    node.clone().prop_recursive(4, 40, 7, move |inner| {
        (node.clone(), prop::collection::vec(inner, 0..7)).prop_map(|(mut e, children)| {
            e.children = children;
            e
        })
    })
}

/// The tree as a CIB of this epoch.
pub(crate) fn cib_of(mut tree: Element, epoch: u64) -> Element {
    tree.name = "cib".into();
    tree.set("epoch", &epoch.to_string());
    tree
}

fn legal(value: &str) -> String {
    value
        .chars()
        .filter(|c| !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}'))
        .collect()
}

/// A random edit of a tree: children swapped, dropped, doubled, attributes changed.
pub(crate) fn edited(tree: &Element, dice: &mut impl Iterator<Item = u8>) -> Element {
    let mut e = tree.clone();
    let Some(roll) = dice.next() else { return e };
    let n = e.children.len();
    match roll % 8 {
        0 if n > 0 => {
            e.children.remove(usize::from(roll / 8) % n);
        }
        1 if n > 1 => e.children.rotate_left(usize::from(roll / 8) % n),
        2 if n > 1 => e.children.swap(0, usize::from(roll / 8) % n),
        3 if n > 0 => {
            let copy = e.children[usize::from(roll / 8) % n].clone();
            e.children.push(copy);
        }
        4 => e.set("a", &roll.to_string()),
        5 => e.attrs.reverse(),
        6 => e.children.insert(0, Element::new("q").with("id", "new")),
        _ => {}
    }
    e.children = e.children.iter().map(|c| edited(c, dice)).collect();
    e
}
