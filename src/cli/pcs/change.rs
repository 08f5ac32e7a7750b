//! Changing the configuration: one edit, checked as a whole before it goes out, and what the
//! edits of several verbs have in common.

use super::words::is_it;
use super::{CLIENT, Context};
use crate::cli::backend::{self, Committed, ask_done};
use crate::cli::exit::{Exit, Failure};
use crate::cli::moves;
use crate::cli::outcome::{self, Goal};
use crate::ipc::Request;
use cib::config::Config;
use cib::{Cib, Element};

impl Context<'_> {
    /// The configuration, without status.
    pub(super) fn cib(&mut self) -> Result<Cib, Failure> {
        backend::cib(self.backend, false)
    }

    /// Changes the configuration; what would be wrong afterwards and was not before is refused
    /// unless forced. Warnings are told.
    ///
    /// # Errors
    /// The edit's own; [`Exit::Config`]; as [`backend::edit`].
    pub(super) fn edit<T>(
        &mut self,
        mut change: impl FnMut(&mut Cib) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let force = self.flags.force();
        let (value, committed) = backend::edit(self.backend, CLIENT, |cib| {
            let old = cib.clone();
            let value = change(cib)?;
            let wrong = match force {
                true => Vec::new(),
                false => cib::check::refused(&old, cib),
            };
            match wrong.first() {
                Some(finding) => Err(Failure::new(
                    Exit::Config,
                    format!(
                        "{}; nothing was changed",
                        super::super::crm::describe_finding(finding)
                    ),
                )),
                None => Ok(value),
            }
        })?;
        self.warn_all(committed);
        Ok(value)
    }

    fn warn_all(&mut self, committed: Committed) {
        for text in committed.warnings {
            self.warning(text.strip_prefix("warning: ").unwrap_or(&text));
        }
    }

    /// `Warning: …`, to standard error.
    pub(super) fn warning(&mut self, text: &str) {
        self.console.err_line(&format!("Warning: {text}"));
    }

    /// A line of what was done, to standard error, as pcs does it.
    pub(super) fn note(&mut self, text: &str) {
        self.console.err_line(text);
    }

    /// With `--wait`: returns when the cluster has nothing left to do.
    ///
    /// # Errors
    /// It takes longer than that.
    pub(super) fn settle(&mut self) -> Result<bool, Failure> {
        let Some(timeout_ms) = self.flags.wait_ms()? else {
            return Ok(false);
        };
        ask_done(self.backend, &Request::WaitIdle { timeout_ms })?;
        if let Some(watch) = self.watch.take() {
            watch.judge(&backend::status(self.backend)?, "pcs")?;
        }
        Ok(true)
    }

    /// What the change is for, with `--wait`.
    pub(super) fn expect(&mut self, id: &str, goal: Goal) {
        if let Some(watch) = &mut self.watch {
            watch.expect(id, goal);
        }
    }

    /// What was waited for came about.
    ///
    /// # Errors
    /// As [`outcome::reached`].
    pub(super) fn reached(&mut self, id: &str, goal: &Goal) -> Result<(), Failure> {
        if !self.backend.live() {
            return Ok(());
        }
        outcome::reached(&backend::status(self.backend)?, id, goal, "pcs")
    }

    /// With `--wait`: returns when the cluster has nothing left to do, and tells where the
    /// resource runs.
    ///
    /// # Errors
    /// It takes longer; the resource runs nowhere and should, or runs and should not.
    pub(super) fn settle_with(&mut self, id: &str, should_run: bool) -> Result<(), Failure> {
        // Where it runs says more than which action failed; both are told below.
        let watch = self.watch.take();
        if !self.settle()? || !self.backend.live() {
            return Ok(());
        }
        let status = backend::status(self.backend)?;
        let nodes = moves::running_on(&status, id).unwrap_or_default();
        let text = match nodes.as_slice() {
            [] => format!("Resource '{id}' is not running on any node"),
            [one] => format!("Resource '{id}' is running on node '{one}'."),
            several => format!(
                "Resource '{id}' is running on nodes '{}'.",
                several.join("', '")
            ),
        };
        if nodes.is_empty() == should_run {
            return Err(outcome::not_reached(&status, id, &text, "pcs"));
        }
        self.note(&text);
        match watch {
            Some(watch) => watch.judge(&status, "pcs"),
            None => Ok(()),
        }
    }
}

/// The resource of that id exists.
///
/// # Errors
/// It does not; the nearest that does is named.
pub(super) fn known(cib: &Cib, id: &str) -> Result<(), Failure> {
    let config = Config::new(cib);
    if config.resource(id).is_some() {
        return Ok(());
    }
    let ids: Vec<&str> = config.resources().iter().map(|r| r.id).collect();
    Err(Failure::no_such(format!(
        "Resource '{id}' does not exist{}",
        is_it(id, ids)
    )))
}

/// The node of that name exists; a CIB in a file may name none.
///
/// # Errors
/// It does not; the nearest that does is named.
pub(super) fn known_node(cib: &Cib, node: &str) -> Result<(), Failure> {
    let config = Config::new(cib);
    if config.node(node).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = config.nodes().iter().map(|n| n.uname).collect();
    Err(Failure::no_such(format!(
        "Node '{node}' does not appear to exist in configuration{}",
        is_it(node, names)
    )))
}

/// The object of that id, to change it.
pub(super) fn find_mut<'a>(element: &'a mut Element, id: &str) -> Option<&'a mut Element> {
    let reference = matches!(element.name.as_str(), "resource_ref" | "obj_ref" | "status");
    if reference {
        return None;
    }
    if element.id() == Some(id) {
        return Some(element);
    }
    element.children.iter_mut().find_map(|c| find_mut(c, id))
}

/// As [`find_mut`], in a whole CIB.
///
/// # Errors
/// Nothing has this id.
pub(super) fn object<'a>(cib: &'a mut Cib, id: &str) -> Result<&'a mut Element, Failure> {
    let root = cib.root_mut();
    let found = root
        .first_mut("configuration")
        .and_then(|c| find_mut(c, id));
    found.ok_or_else(|| Failure::no_such(format!("'{id}' does not exist")))
}

/// Sets a pair in the element's first set of that tag, which is made where there is none; an empty
/// value takes it away, and a set that is left empty goes too.
pub(super) fn put(owner: &mut Element, tag: &str, set_id: &str, name: &str, value: &str) {
    let at = owner.children.iter().position(|c| c.name == tag);
    let at = match at {
        Some(at) => at,
        None if value.is_empty() => return,
        None => {
            owner.children.push(Element::new(tag).with("id", set_id));
            owner.children.len() - 1
        }
    };
    let set = &mut owner.children[at];
    let own = set.id().unwrap_or(set_id).to_owned();
    let found = set
        .children
        .iter()
        .position(|p| p.attr("name") == Some(name));
    match (found, value) {
        (Some(found), "") => {
            set.children.remove(found);
        }
        (Some(found), value) => set.children[found].set("value", value),
        (None, "") => {}
        (None, value) => set.children.push(nvpair(&own, name, value)),
    }
    if owner.children[at].children.is_empty() {
        owner.children.remove(at);
    }
}

/// `<nvpair id="SET-NAME" …/>`.
pub(super) fn nvpair(set: &str, name: &str, value: &str) -> Element {
    Element::new("nvpair")
        .with("id", &cib::edit::sanitize_id(&format!("{set}-{name}")))
        .with("name", name)
        .with("value", value)
}

/// A set with its pairs by name; nothing for none.
pub(super) fn set_of(tag: &str, id: &str, pairs: &[(String, String)]) -> Option<Element> {
    let mut sorted: Vec<&(String, String)> = pairs.iter().filter(|(_, v)| !v.is_empty()).collect();
    sorted.sort();
    let mut set = Element::new(tag).with("id", id);
    set.children = sorted.iter().map(|(n, v)| nvpair(id, n, v)).collect();
    (!set.children.is_empty()).then_some(set)
}
