//! A patch to a tree, in the order of Pacemaker's `apply_v2_patchset`: deletions and
//! modifications as they come; creations and moves at the end, by position.

use std::collections::BTreeMap;

use super::{Change, Patch, Path, Step};
use crate::error::{Error, Result};
use crate::tree::Element;
use crate::version::Version;
use crate::xml::check_bounds;

pub(super) fn check_versions(patch: &Patch, tree: &Element) -> Result<()> {
    let current = Version::of(tree)?;
    let source_version = patch.source.unwrap_or(current);
    if source_version > current {
        return Err(Error::PatchAhead {
            source_version,
            current,
        });
    }
    if source_version < current {
        return Err(Error::PatchStale {
            source_version,
            current,
        });
    }
    match patch.target {
        Some(target_version) if target_version <= source_version => Err(Error::PatchNotForward {
            source_version,
            target_version,
        }),
        _ => Ok(()),
    }
}

pub(super) fn check_digest(patch: &Patch, result: &Element) -> Result<()> {
    let Some(expected) = &patch.digest else {
        return Ok(());
    };
    let found = crate::digest::cib(result);
    if expected.eq_ignore_ascii_case(&found) {
        return Ok(());
    }
    Err(Error::PatchDigest {
        expected: expected.clone(),
        found,
    })
}

pub(super) fn changes(patch: &Patch, tree: &Element) -> Result<Element> {
    let mut tree = tree.clone();
    for change in &patch.changes {
        match change {
            Change::Delete { path } => delete(&mut tree, path),
            Change::Modify { path, result, .. } => {
                let place = find(&tree, path).ok_or_else(|| missing(change))?;
                let target = at_mut(&mut tree, &place);
                target.attrs.clone_from(&result.attrs);
                // Only the root cannot be deleted and created again to change its text.
                if place.is_empty() {
                    target.text.clone_from(&result.text);
                }
            }
            Change::Create { .. } | Change::Move { .. } => {}
        }
    }
    // Places are looked up before any of these changes the tree; children are rebuilt before
    // their ancestors, so that the places above stay true.
    for (parent, steps) in placements(patch, &tree)?.into_iter().rev() {
        place(&mut at_mut(&mut tree, &parent).children, steps);
    }
    check_bounds(&tree)?;
    Ok(tree)
}

/// Indices of children from the root down.
type Place = Vec<usize>;

/// Something put at a position among the children of one element.
struct Placement<'a> {
    position: usize,
    what: Placed<'a>,
}

enum Placed<'a> {
    New(&'a Element),
    /// Index of the child before anything is placed.
    Moved(usize),
}

/// An element that is gone already is no reason to refuse a patch, as in Pacemaker.
fn delete(tree: &mut Element, path: &Path) {
    let Some(mut place) = find(tree, path) else {
        return;
    };
    if let Some(last) = place.pop() {
        at_mut(tree, &place).children.remove(last);
    }
}

fn placements<'a>(patch: &'a Patch, tree: &Element) -> Result<BTreeMap<Place, Vec<Placement<'a>>>> {
    let mut by_parent: BTreeMap<Place, Vec<Placement<'_>>> = BTreeMap::new();
    for change in &patch.changes {
        let (path, position) = match change {
            Change::Create { path, position, .. } | Change::Move { path, position } => {
                (path, *position)
            }
            Change::Delete { .. } | Change::Modify { .. } => continue,
        };
        let mut parent = find(tree, path).ok_or_else(|| missing(change))?;
        let what = match change {
            Change::Create { element, .. } => Placed::New(element),
            _ => Placed::Moved(parent.pop().ok_or_else(|| missing(change))?),
        };
        by_parent
            .entry(parent)
            .or_default()
            .push(Placement { position, what });
    }
    Ok(by_parent)
}

/// Rebuilds a list of children: what is moved first steps behind the others, then everything is
/// put in place by rising position.
fn place(children: &mut Vec<Element>, mut steps: Vec<Placement<'_>>) {
    let mut pool: Vec<Option<Element>> = std::mem::take(children).into_iter().map(Some).collect();
    let mut last_move: BTreeMap<usize, usize> = BTreeMap::new();
    for (turn, step) in steps.iter().enumerate() {
        if let Placed::Moved(child) = step.what {
            last_move.insert(child, turn);
        }
    }
    let mut order: Vec<usize> = (0..pool.len())
        .filter(|i| !last_move.contains_key(i))
        .collect();
    let mut waiting: Vec<(usize, usize)> = last_move.into_iter().map(|(c, t)| (t, c)).collect();
    waiting.sort_unstable();
    order.extend(waiting.into_iter().map(|(_, child)| child));

    steps.sort_by_key(|s| s.position);
    for step in steps {
        let child = match step.what {
            Placed::New(element) => {
                pool.push(Some(element.clone()));
                pool.len() - 1
            }
            Placed::Moved(child) => {
                order.retain(|&c| c != child);
                child
            }
        };
        order.insert(step.position.min(order.len()), child);
    }
    children.extend(order.into_iter().filter_map(|i| pool[i].take()));
}

/// The element a path names.
fn find(tree: &Element, path: &Path) -> Option<Place> {
    let (root, rest) = path.0.split_first()?;
    if !is_at(tree, root) {
        return None;
    }
    let mut place = Vec::with_capacity(rest.len());
    let mut here = tree;
    for step in rest {
        let index = here.children.iter().position(|c| is_at(c, step))?;
        place.push(index);
        here = &here.children[index];
    }
    Some(place)
}

fn is_at(element: &Element, step: &Step) -> bool {
    element.name == step.tag && (step.id.is_none() || step.id.as_deref() == element.id())
}

/// The element at a place that [`find`] gave for this tree.
fn at_mut<'a>(tree: &'a mut Element, place: &[usize]) -> &'a mut Element {
    place.iter().fold(tree, |here, &i| &mut here.children[i])
}

fn missing(change: &Change) -> Error {
    Error::PatchTarget {
        operation: change.operation(),
        path: change.path().to_string(),
    }
}
