//! Two changes that each made the same set of name-value pairs.

use super::SetKind;
use crate::Element;

/// Joins sets of one id below the same parent. A new cluster's DC and its first administrator both
/// make `cib-bootstrap-options`: the pairs of both belong into one. Sets that differ about a name or
/// an id stay apart, for whoever checks ids to complain of.
pub fn join_twins(parent: &mut Element) {
    let mut at = 0;
    while at < parent.children.len() {
        let (before, rest) = parent.children.split_at_mut(at);
        let later = &mut rest[0];
        if is_set(later)
            && let Some(first) = before.iter_mut().find(|first| fit(first, later))
        {
            let pairs = std::mem::take(&mut later.children).into_iter();
            let new: Vec<_> = pairs.filter(|p| !first.children.contains(p)).collect();
            first.children.extend(new);
            parent.children.remove(at);
        } else {
            join_twins(later);
            at += 1;
        }
    }
}

fn is_set(element: &Element) -> bool {
    let kinds = [SetKind::Meta, SetKind::Instance, SetKind::Utilization];
    let tag = element.name.as_str();
    tag == "cluster_property_set" || kinds.iter().any(|kind| kind.tag() == tag)
}

fn fit(first: &Element, later: &Element) -> bool {
    let agree = |pair: &Element| {
        let apart =
            |known: &Element| known.attr("name") != pair.attr("name") && known.id() != pair.id();
        first
            .children
            .iter()
            .all(|known| known == pair || apart(known))
    };
    let same = first.name == later.name && first.attrs == later.attrs;
    same && first.id().is_some() && later.children.iter().all(agree)
}
