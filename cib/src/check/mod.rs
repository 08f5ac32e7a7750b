//! Is this CIB sound? What `crm_verify` says, with the element's id and the cure.
//!
//! Errors are what the cluster would ignore or refuse; warnings are what it would take, though
//! not as written; notices are what it takes as written, though probably not as meant.

mod grammar;
mod objects;
mod properties;
mod references;
mod rules;
mod schema;
mod values;

use std::collections::BTreeMap;
use std::fmt;

use crate::document::{Cib, Section};
use crate::edit::defined_id;
use crate::error::{Error, Result};
use crate::tree::Element;

/// How bad a finding is. Errors sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The cluster would ignore or refuse it.
    Error,
    /// The cluster takes it, but as something else; Pacemaker warns of it, too.
    Warning,
    /// The cluster takes it; probably something else was meant. Pacemaker says nothing.
    Notice,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Tag of the element.
    pub tag: String,
    /// Its id, or that of the nearest element around it that has one; may be empty.
    pub id: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning | Severity::Notice => "warning",
        };
        write!(f, "{severity}: <{}", self.tag)?;
        if !self.id.is_empty() {
            write!(f, " id=\"{}\"", self.id)?;
        }
        write!(f, ">: {}; {}", self.what, self.cure)
    }
}

/// Everything that is wrong with a CIB, errors first, each kind in document order; empty when it
/// is sound. At most [`FINDINGS_MAX`].
#[must_use]
pub fn verify(cib: &Cib) -> Vec<Finding> {
    let mut findings = Findings::default();
    sections(cib, &mut findings);
    duplicate_ids(cib, &mut findings);
    schema::check(cib, &mut findings);
    objects::check(cib, &mut findings);
    references::check(cib, &mut findings);
    properties::check(cib, &mut findings);
    values::check(cib, &mut findings);
    rules::check(cib, &mut findings);
    findings.list.sort_by_key(|f| f.severity);
    findings.list
}

/// What is wrong with the shape of a CIB alone: elements and attributes that have no place where
/// they stand, or lack there, and values that are not of their kind. It is what Pacemaker's schemas
/// refuse (`xml/*.rng`).
#[must_use]
pub fn conforms(cib: &Cib) -> Vec<Finding> {
    let mut findings = Findings::default();
    schema::check(cib, &mut findings);
    findings.list
}

/// Why Pacemaker's schemas refuse a CIB: its shape ([`conforms`]), ids that stand twice, and references
/// that lead nowhere (their ID and IDREF types). Members of fencing levels and of tags are no references
/// to them.
#[must_use]
pub fn malformed(cib: &Cib) -> Vec<Finding> {
    let mut findings = Findings::default();
    duplicate_ids(cib, &mut findings);
    schema::check(cib, &mut findings);
    references::check(cib, &mut findings);
    let mut errors = findings.list;
    errors.retain(|f| f.severity == Severity::Error && f.tag != "fencing-level");
    errors
}

/// What a change brought: of the findings about the CIB that it made, or some of them, those that
/// `old` does not have. Whoever repairs one thing is not asked to repair the others first.
///
/// The CIB before is looked at only where there is a finding to compare.
#[must_use]
pub fn added(old: &Cib, mut findings: Vec<Finding>) -> Vec<Finding> {
    if !findings.is_empty() {
        let known = verify(old);
        findings.retain(|f| !known.contains(f));
    }
    findings
}

/// Why a change is not to be made: errors in the CIB that it made which were not there before.
///
/// For whoever takes a change from somebody. Another release answers otherwise, so that nothing that
/// several nodes have to decide alike may ask this.
#[must_use]
pub fn refused(old: &Cib, new: &Cib) -> Vec<Finding> {
    let mut errors = verify(new);
    errors.retain(|f| f.severity == Severity::Error);
    added(old, errors)
}

/// Refuses a tree in which two elements of the configuration have the same id. The status section
/// has ids of its own, which repeat by design.
///
/// # Errors
/// [`Error::DuplicateId`] for the first repetition.
pub fn check_ids(root: &Element) -> Result<()> {
    match repeated(root).into_iter().next() {
        None => Ok(()),
        Some((first, second)) => Err(Error::DuplicateId {
            id: second.id().unwrap_or_default().to_owned(),
            first: first.name.to_string(),
            second: second.name.to_string(),
        }),
    }
}

/// Most findings of one check; a file that is wrong all over need not fill the screen.
pub const FINDINGS_MAX: usize = 1000;

/// Pairs of elements that share an id: the first user and each later one.
fn repeated(root: &Element) -> Vec<(&Element, &Element)> {
    fn walk<'a>(
        element: &'a Element,
        seen: &mut BTreeMap<(bool, &'a str), &'a Element>,
        pairs: &mut Vec<(&'a Element, &'a Element)>,
    ) {
        let is_node = element.name == "node";
        if let Some(id) = defined_id(element).or_else(|| element.id().filter(|_| is_node)) {
            match seen.get(&(is_node, id)) {
                Some(first) => pairs.push((first, element)),
                None => {
                    seen.insert((is_node, id), element);
                }
            }
        }
        let children = element
            .children
            .iter()
            .filter(|c| c.name != Section::Status.tag());
        children.for_each(|c| walk(c, seen, pairs));
    }
    let mut pairs = Vec::new();
    walk(root, &mut BTreeMap::new(), &mut pairs);
    pairs
}

fn duplicate_ids(cib: &Cib, findings: &mut Findings) {
    for (first, second) in repeated(cib.root()) {
        findings.error(
            second,
            format!("its id is already used by a <{}>", first.name),
            "ids must be unique in the configuration, rename one",
        );
    }
}

fn sections(cib: &Cib, findings: &mut Findings) {
    let root = cib.root();
    for child in &root.children {
        if !matches!(child.name.as_str(), "configuration" | "status") {
            let what = format!("<{}> does not belong into <cib>", child.name);
            findings.error(child, what, "put it into its section of <configuration>");
        }
    }
    let Some(configuration) = cib.section(Section::Configuration) else {
        let what = "there is no <configuration>".to_owned();
        findings.error(root, what, "start from `cibadmin --empty`");
        return;
    };
    let mut seen: Vec<&str> = Vec::new();
    for child in &configuration.children {
        match Section::from_tag(&child.name) {
            Some(s) if Section::CONFIGURATION.contains(&s) => {}
            _ => findings.error(
                child,
                format!("<{}> is not a section of the configuration", child.name),
                "check the spelling, or put it into the right section",
            ),
        }
        if seen.contains(&child.name.as_str()) {
            let what = format!("a second <{}>", child.name);
            findings.error(child, what, "move its content into the first one");
        }
        seen.push(&child.name);
    }
    for section in &Section::CONFIGURATION[..4] {
        if cib.section(*section).is_none() {
            let what = format!("there is no <{}>", section.tag());
            findings.error(configuration, what, "add it, empty if need be");
        }
    }
    if cib.section(Section::Status).is_none() {
        findings.error(root, "there is no <status>".to_owned(), "add it, empty");
    }
}

/// Collects findings up to the bound.
#[derive(Default)]
struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, element: &Element, what: String, cure: &str) {
        self.add(Severity::Error, element, what, cure);
    }

    fn warning(&mut self, element: &Element, what: String, cure: &str) {
        self.add(Severity::Warning, element, what, cure);
    }

    fn notice(&mut self, element: &Element, what: String, cure: &str) {
        self.add(Severity::Notice, element, what, cure);
    }

    fn add(&mut self, severity: Severity, element: &Element, what: String, cure: &str) {
        self.add_within(severity, element, "", what, cure);
    }

    /// Of an element that may have no id, inside of one that has.
    fn add_within(
        &mut self,
        severity: Severity,
        element: &Element,
        around: &str,
        what: String,
        cure: &str,
    ) {
        if self.list.len() < FINDINGS_MAX {
            self.list.push(Finding {
                severity,
                tag: element.name.to_string(),
                id: element.id().unwrap_or(around).to_owned(),
                what,
                cure: cure.to_owned(),
            });
        }
    }
}

/// The known word nearest to a misspelt one, if it is near: one edit in short words, two in
/// others.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let allowed = if word.len() < 6 { 1 } else { 2 };
    known
        .iter()
        .filter(|k| k.len().abs_diff(word.len()) <= allowed)
        .map(|k| (strsim::levenshtein(word, k), *k))
        .filter(|(d, _)| *d <= allowed)
        .min()
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests;
