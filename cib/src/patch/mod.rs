//! Patchsets in Pacemaker's version 2 format: what changed between two CIBs, as data that
//! `crm_diff` and `cibadmin --patch` read and write (Pacemaker lib/common/patchset.c, xml/diff
//! schema).
//!
//! Applying a patch made from `a` and `b` to `a` gives exactly `b`, attribute order included. What is
//! read as a patch, and what it makes of any other tree, is fixed: nodes of several releases carry
//! their configuration forward by patches and have to come to the same bytes.

mod apply;
mod diff;
mod format;

use crate::error::Result;
use crate::tree::Element;
use crate::version::Version;

/// A patchset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Version of the CIB it was made from; absent in patches made with `--no-version`.
    pub source: Option<Version>,
    /// Version it leads to.
    pub target: Option<Version>,
    /// Digest that the result must have ([`crate::digest::cib`]).
    pub digest: Option<String>,
    /// In order of application: deletions, then the rest in document order.
    pub changes: Vec<Change>,
}

/// One step of a patchset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new element.
    Create {
        /// Its parent.
        path: Path,
        /// Its place among the parent's children when the patch is applied.
        position: usize,
        /// The element with everything in it.
        element: Element,
    },
    /// Other attributes.
    Modify {
        /// The element.
        path: Path,
        /// What is set or unset, in words for people and tools.
        attrs: Vec<AttrChange>,
        /// The element after the change, without children.
        result: Element,
    },
    /// An element is gone, with everything in it.
    Delete {
        /// The element.
        path: Path,
    },
    /// An element has another place among its siblings.
    Move {
        /// The element.
        path: Path,
        /// Its place when the patch is applied.
        position: usize,
    },
}

/// One attribute of a [`Change::Modify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttrChange {
    /// Attribute name.
    pub name: String,
    /// The new value; `None` removes the attribute.
    pub value: Option<String>,
}

/// A way from the root: `/cib/configuration/resources/primitive[@id='vip']`. A step without an id
/// means the first child of that tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// Tag.
    pub tag: String,
    /// The `id` attribute, when the step names it.
    pub id: Option<String>,
}

impl Patch {
    /// The patch that leads from `old` to `new`.
    ///
    /// # Errors
    /// [`crate::Error::PatchRoots`] when the root tags differ, [`crate::Error::VersionNumber`]
    /// when a version attribute of a root is not a number.
    pub fn between(old: &Element, new: &Element) -> Result<Self> {
        diff::between(old, new)
    }

    /// The tree after the patch, after checking that `tree` is at the patch's source version,
    /// that the patch leads forward, and that the result has the patch's digest (each as far as
    /// the patch states it).
    ///
    /// # Errors
    /// [`crate::Error::PatchAhead`], [`crate::Error::PatchStale`],
    /// [`crate::Error::PatchNotForward`], [`crate::Error::PatchTarget`],
    /// [`crate::Error::PatchDigest`], [`crate::Error::Bounds`]. The caller's tree is untouched.
    pub fn apply(&self, tree: &Element) -> Result<Element> {
        apply::check_versions(self, tree)?;
        let result = apply::changes(self, tree)?;
        apply::check_digest(self, &result)?;
        Ok(result)
    }

    /// As [`Patch::apply`] without looking at versions and digest (`crm_diff --no-version`).
    ///
    /// # Errors
    /// [`crate::Error::PatchTarget`], [`crate::Error::Bounds`].
    pub fn apply_unversioned(&self, tree: &Element) -> Result<Element> {
        apply::changes(self, tree)
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Whether something besides the status section and the root's attributes changes.
    #[must_use]
    pub fn changes_configuration(&self) -> bool {
        self.changes.iter().any(|c| {
            let steps = &c.path().0;
            let second = steps.get(1).map(|s| s.tag.as_str());
            match c {
                Change::Create { element, .. } if steps.len() == 1 => {
                    element.name == "configuration"
                }
                _ => second == Some("configuration"),
            }
        })
    }

    /// As a `<diff format="2">` element.
    #[must_use]
    pub fn to_xml(&self) -> Element {
        format::write(self)
    }

    /// Reads a `<diff format="2">` element.
    ///
    /// # Errors
    /// [`crate::Error::PatchSyntax`] naming the change and what is wrong with it.
    pub fn from_xml(diff: &Element) -> Result<Self> {
        format::read(diff)
    }
}

impl Change {
    /// The element changed, or the parent of the one created.
    #[must_use]
    pub const fn path(&self) -> &Path {
        match self {
            Self::Create { path, .. }
            | Self::Modify { path, .. }
            | Self::Delete { path }
            | Self::Move { path, .. } => path,
        }
    }

    /// The word in the `operation` attribute.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Modify { .. } => "modify",
            Self::Delete { .. } => "delete",
            Self::Move { .. } => "move",
        }
    }
}
