//! The part of XPath 1.0 that users of `cibadmin --xpath`, agents and tools write: absolute and
//! `//` paths, `*`, `.`, `..`, attributes, axes by name, unions, predicates with `and`, `or`, `not()`,
//! comparisons, positions, and the functions `count`, `contains`, `starts-with`, `name`,
//! `position`, `last`, `true`, `false`.
//!
//! Everything else is refused with its place in the expression. Work is bounded.

mod eval;
mod parse;

use crate::error::{Error, Result};
use crate::tree::Element;

pub use eval::VISITS_MAX;
pub use parse::{EXPRESSION_MAX_BYTES, NESTING_MAX};

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct XPath {
    expr: parse::Expr,
}

/// What an expression gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<'a> {
    /// Elements and attributes in document order, each once.
    Nodes(Vec<Match<'a>>),
    /// From `count()`.
    Number(f64),
    /// From comparisons and `not()`.
    Bool(bool),
    /// From `name()` and literals.
    Text(String),
}

/// One element or attribute found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// Where the element stands.
    pub place: Place,
    /// The element; for an attribute, its owner.
    pub element: &'a Element,
    /// The attribute's name and value.
    pub attribute: Option<(&'a str, &'a str)>,
}

/// Indices of children from the root down; empty for the root. Valid for the tree it was found in
/// until that tree's structure changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub Vec<usize>);

impl XPath {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`Error::XPath`] with the character at which it stops making sense or being supported.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self {
            expr: parse::parse(text)?,
        })
    }

    /// Evaluates it over a document with this root.
    ///
    /// # Errors
    /// [`Error::XPathWork`] when it visits too many elements.
    pub fn eval<'a>(&self, root: &'a Element) -> Result<Answer<'a>> {
        eval::eval(&self.expr, root)
    }

    /// What it selects, in document order.
    ///
    /// # Errors
    /// [`Error::XPathWork`], or [`Error::XPath`] when the expression gives a value instead.
    pub fn select<'a>(&self, root: &'a Element) -> Result<Vec<Match<'a>>> {
        match self.eval(root)? {
            Answer::Nodes(nodes) => Ok(nodes),
            _ => Err(Error::XPath {
                at: 1,
                what: "the expression gives a value, not elements".to_owned(),
                cure: "select with a path, such as //primitive[@id='x']".to_owned(),
            }),
        }
    }
}

/// Parses and selects in one go.
///
/// # Errors
/// As [`XPath::parse`] and [`XPath::select`].
pub fn select<'a>(root: &'a Element, expression: &str) -> Result<Vec<Match<'a>>> {
    XPath::parse(expression)?.select(root)
}

/// Removes the elements at these places, whatever their order; the root stays. Returns how many
/// were removed. A place inside another is removed with it.
pub fn remove_all(root: &mut Element, places: &[Place]) -> usize {
    let mut sorted: Vec<&Place> = places.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    // From the back: what is removed stands behind every place still to come.
    sorted
        .into_iter()
        .rev()
        .filter(|place| place.remove(root).is_some())
        .count()
}

impl Place {
    /// The element there.
    #[must_use]
    pub fn get<'a>(&self, root: &'a Element) -> Option<&'a Element> {
        self.0
            .iter()
            .try_fold(root, |here, &index| here.children.get(index))
    }

    /// The element there, to change.
    pub fn get_mut<'a>(&self, root: &'a mut Element) -> Option<&'a mut Element> {
        self.0
            .iter()
            .try_fold(root, |here, &index| here.children.get_mut(index))
    }

    /// Takes the element out; `None` for the root and for places that are not there.
    pub fn remove(&self, root: &mut Element) -> Option<Element> {
        let (last, parents) = self.0.split_last()?;
        let parent = parents
            .iter()
            .try_fold(root, |here, &index| here.children.get_mut(index))?;
        (*last < parent.children.len()).then(|| parent.children.remove(*last))
    }

    /// The way to the element as `cibadmin --node-path` prints it:
    /// `/cib/configuration/resources/clone[@id='c']/primitive[@id='p']`.
    #[must_use]
    pub fn path(&self, root: &Element) -> String {
        let mut text = String::new();
        let mut here = Some(root);
        let mut rest = self.0.iter();
        while let Some(element) = here {
            text.push('/');
            text.push_str(&element.name);
            if let Some(id) = element.id() {
                text.push_str(&format!("[@id='{id}']"));
            }
            here = rest.next().and_then(|&index| element.children.get(index));
        }
        text
    }
}

#[cfg(test)]
mod tests;
