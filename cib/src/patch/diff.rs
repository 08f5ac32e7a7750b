//! Two trees to a patch.
//!
//! Children are matched by tag and id. Where that does not name exactly one child on both sides
//! (several children of a tag without id, ids that a path cannot carry), all children of that tag
//! are deleted and created again, unless they are the same in the same order: a patch may be
//! longer than needed, never wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::{AttrChange, Change, Patch, Path, Step};
use crate::error::{Error, Result};
use crate::tree::{Element, Text};
use crate::version::Version;

/// See [`Patch::between`].
pub(super) fn between(old: &Element, new: &Element) -> Result<Patch> {
    if old.name != new.name {
        return Err(Error::PatchRoots {
            old: old.name.to_string(),
            new: new.name.to_string(),
        });
    }
    let mut diff = Differ::default();
    let same_id = old.id() == new.id();
    let root = Step {
        tag: old.name.to_string(),
        id: old
            .id()
            .filter(|id| same_id && is_plain(id))
            .map(str::to_owned),
    };
    diff.element(old, new, &Path(vec![root]));
    let mut changes = diff.deletions;
    changes.append(&mut diff.others);
    Ok(Patch {
        source: Some(Version::of(old)?),
        target: Some(Version::of(new)?),
        digest: None,
        changes,
    })
}

#[derive(Default)]
struct Differ {
    deletions: Vec<Change>,
    others: Vec<Change>,
}

impl Differ {
    /// Compares two matched elements. The text of the root can change in place; other elements
    /// whose text differs are not matched.
    fn element(&mut self, old: &Element, new: &Element, path: &Path) {
        if old.attrs != new.attrs || old.text != new.text {
            let is_root = path.0.len() == 1;
            self.others.push(Change::Modify {
                path: path.clone(),
                attrs: attr_changes(old, new),
                result: Element {
                    name: new.name.clone(),
                    attrs: new.attrs.clone(),
                    text: if is_root {
                        new.text.clone()
                    } else {
                        String::new()
                    },
                    children: Vec::new(),
                },
            });
        }
        if old.children != new.children {
            self.children(old, new, path);
        }
    }

    fn children(&mut self, old: &Element, new: &Element, path: &Path) {
        let plan = Plan::of(&old.children, &new.children);
        for (index, child) in old.children.iter().enumerate() {
            if plan.kept_old.contains_key(&index) {
                continue;
            }
            let ambiguous = plan.ambiguous.contains(child.name.as_str());
            self.deletions.push(Change::Delete {
                path: path.to(child, !ambiguous),
            });
        }
        for (index, child) in new.children.iter().enumerate() {
            let Some(&(old_index, moved)) = plan.kept_new.get(&index) else {
                self.others.push(Change::Create {
                    path: path.clone(),
                    position: index,
                    element: child.clone(),
                });
                continue;
            };
            let child_path = path.to(child, true);
            self.element(&old.children[old_index], child, &child_path);
            if moved {
                self.others.push(Change::Move {
                    path: child_path,
                    position: index,
                });
            }
        }
    }
}

impl Path {
    fn to(&self, child: &Element, with_id: bool) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step {
            tag: child.name.to_string(),
            id: child.id().filter(|_| with_id).map(str::to_owned),
        });
        Self(steps)
    }
}

/// What happens to the children of one element.
struct Plan<'a> {
    /// Tags whose children are not told apart by their ids.
    ambiguous: BTreeSet<&'a str>,
    /// Old index to new index of children that stay.
    kept_old: BTreeMap<usize, usize>,
    /// New index to (old index, whether it must be moved).
    kept_new: BTreeMap<usize, (usize, bool)>,
}

impl<'a> Plan<'a> {
    fn of(old: &'a [Element], new: &'a [Element]) -> Self {
        let mut ambiguous = ambiguous_tags(old);
        ambiguous.append(&mut ambiguous_tags(new));
        // Tags without ids that are the same on both sides stay as they are, as long as their
        // order relative to the others does not force them to move.
        let mut frozen: BTreeSet<&str> = ambiguous
            .iter()
            .copied()
            .filter(|tag| {
                of_tag(old, tag)
                    .map(|(_, e)| e)
                    .eq(of_tag(new, tag).map(|(_, e)| e))
            })
            .collect();
        loop {
            let kept = matches(old, new, &ambiguous, &frozen);
            let stay = longest_increasing(&kept);
            let forced: BTreeSet<&str> = kept
                .iter()
                .filter(|pair| !stay.contains(&pair.1))
                .map(|pair| old[pair.0].name.as_str())
                .filter(|tag| frozen.contains(tag))
                .collect();
            if forced.is_empty() {
                return Self {
                    ambiguous,
                    kept_old: kept.iter().copied().collect(),
                    kept_new: kept
                        .iter()
                        .map(|&(o, n)| (n, (o, !stay.contains(&n))))
                        .collect(),
                };
            }
            frozen.retain(|tag| !forced.contains(tag));
        }
    }
}

fn of_tag<'a>(children: &'a [Element], tag: &'a str) -> impl Iterator<Item = (usize, &'a Element)> {
    children
        .iter()
        .enumerate()
        .filter(move |(_, c)| c.name == tag)
}

/// Tags of which a path could name the wrong child.
fn ambiguous_tags(children: &[Element]) -> BTreeSet<&str> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for child in children {
        *count.entry(&child.name).or_default() += 1;
    }
    let mut seen = BTreeSet::new();
    children
        .iter()
        .filter(|c| match c.id() {
            Some(id) => !is_plain(id) || !seen.insert((c.name.as_str(), id)),
            None => count.get(c.name.as_str()) > Some(&1),
        })
        .map(|c| c.name.as_str())
        .collect()
}

/// Whether an id can stand in a path. Pacemaker's reader of paths stops at white space and `/`,
/// and knows no other quote than `'` (lib/common/patchset.c, `search_v2_xpath`).
fn is_plain(id: &str) -> bool {
    !id.is_empty()
        && !id.chars().any(|c| {
            c.is_whitespace() || c.is_control() || matches!(c, '/' | '\'' | '"' | '[' | ']')
        })
}

/// Pairs (old index, new index) of children that stay, in old order.
fn matches(
    old: &[Element],
    new: &[Element],
    ambiguous: &BTreeSet<&str>,
    frozen: &BTreeSet<&str>,
) -> Vec<(usize, usize)> {
    let by_key: BTreeMap<(&str, Option<&str>), usize> = new
        .iter()
        .enumerate()
        .filter(|(_, c)| !ambiguous.contains(c.name.as_str()))
        .map(|(i, c)| ((c.name.as_str(), c.id()), i))
        .collect();
    let mut nth: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for tag in frozen {
        let mut indices: Vec<usize> = of_tag(new, tag).map(|(i, _)| i).collect();
        indices.reverse();
        nth.insert(tag, indices);
    }
    let mut pairs = Vec::new();
    for (index, child) in old.iter().enumerate() {
        let found = if let Some(indices) = nth.get_mut(child.name.as_str()) {
            indices.pop()
        } else {
            by_key
                .get(&(child.name.as_str(), child.id()))
                .copied()
                .filter(|&n| new[n].text == child.text)
        };
        pairs.extend(found.map(|n| (index, n)));
    }
    pairs
}

/// The new indices of a longest run of pairs whose new indices rise: those need not move.
fn longest_increasing(pairs: &[(usize, usize)]) -> BTreeSet<usize> {
    let mut tails: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (i, pair) in pairs.iter().enumerate() {
        let at = tails.partition_point(|&t| pairs[t].1 < pair.1);
        previous.push(at.checked_sub(1).map(|p| tails[p]));
        if at == tails.len() {
            tails.push(i);
        } else {
            tails[at] = i;
        }
    }
    let mut stay = BTreeSet::new();
    let mut next = tails.last().copied();
    while let Some(i) = next {
        stay.insert(pairs[i].1);
        next = previous[i];
    }
    stay
}

/// The words of a modification; when only the order changed, every attribute out of place.
fn attr_changes(old: &Element, new: &Element) -> Vec<AttrChange> {
    let set = |(name, value): &(Text, Text)| AttrChange {
        name: name.to_string(),
        value: Some(value.to_string()),
    };
    let mut list: Vec<AttrChange> = new
        .attrs
        .iter()
        .filter(|(name, value)| old.attr(name) != Some(value))
        .map(set)
        .collect();
    list.extend(
        old.attrs
            .iter()
            .filter(|(name, _)| new.attr(name).is_none())
            .map(|(name, _)| AttrChange {
                name: name.to_string(),
                value: None,
            }),
    );
    if list.is_empty() {
        let out_of_place = new.attrs.iter().zip(&old.attrs).filter(|(n, o)| n != o);
        list.extend(out_of_place.map(|(n, _)| set(n)));
    }
    list
}
