//! A CIB in a file as a backend: what `CIB_file` means to Pacemaker's tools.

use super::{Backend, host_name};
use crate::cli::attributes;
use crate::cli::exit::{Exit, Failure};
use crate::ipc::{
    AttributeChange, AttributeUpdate, Change, Edit, ErrorKind, NodeAttribute, Request, Response,
};
use crate::view::Status;
use cib::{Cib, Element, Patch};
use scheduler::Options;
use std::path::{Path, PathBuf};

/// A CIB and the file it lives in.
#[derive(Debug)]
pub(crate) struct CibFile {
    path: Option<PathBuf>,
    cib: Cib,
}

impl CibFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Exit::NoInput`] when it cannot be read, [`Exit::DataErr`] when it is no CIB.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Failure::new(Exit::NoInput, format!("{}: {e}", path.display())))?;
        let cib = Cib::parse(&text)
            .map_err(|e| Failure::new(Exit::DataErr, format!("{}: {e}", path.display())))?;
        Ok(Self {
            path: Some(path),
            cib,
        })
    }

    /// A CIB without a file.
    #[cfg(test)]
    #[must_use]
    pub(crate) const fn in_memory(cib: Cib) -> Self {
        Self { path: None, cib }
    }

    /// The CIB as it is now.
    #[cfg(test)]
    #[must_use]
    pub(crate) const fn cib(&self) -> &Cib {
        &self.cib
    }

    fn change(&mut self, change: &Change) -> Result<Response, Failure> {
        let version = self.cib.version();
        if change
            .base
            .is_some_and(|base| base != (version.admin_epoch, version.epoch))
        {
            return Ok(error(
                ErrorKind::Conflict,
                "the configuration has changed meanwhile",
            ));
        }
        let mut root = self.cib.root().clone();
        match &change.edit {
            Edit::Patch(xml) => {
                let patch = Patch::from_xml(&cib::xml::parse(xml)?)?;
                root = patch.apply_unversioned(&root)?;
            }
            Edit::Configuration(xml) => {
                let configuration = cib::xml::parse(xml)?;
                match root.first_mut("configuration") {
                    Some(old) => *old = configuration,
                    None => root.children.insert(0, configuration),
                }
            }
        }
        let mut new = Cib::from_element(root)?;
        let faults = cib::check::refused(&self.cib, &new);
        if !faults.is_empty() {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            return Ok(error(ErrorKind::Config, &faults.join("\n")));
        }
        new.set_version(version);
        new.bump_epoch();
        if let Some(path) = &self.path {
            let when = crate::view::asctime(now_s());
            new.stamp(&when, &host_name(), &change.client, &change.user);
            write(path, &new.to_xml())?;
        }
        self.cib = new;
        let version = self.cib.version();
        Ok(Response::Changed {
            version: (version.admin_epoch, version.epoch, version.num_updates),
            warnings: Vec::new(),
        })
    }

    /// A transient attribute in the status section, as Pacemaker's tools write it into a file:
    /// the node must have been seen there.
    fn set_attribute(&mut self, change: &AttributeChange) -> Result<Response, Failure> {
        let node = change.node.clone().unwrap_or_else(host_name);
        let status = self.cib.section_mut(cib::Section::Status);
        let mut states = status.children.iter_mut();
        let Some(state) = states.find(|s| s.attr("uname") == Some(&node)) else {
            let text = format!("the file says nothing of a node {node} in its status section");
            return Ok(error(ErrorKind::NotFound, &text));
        };
        let id = state.id().unwrap_or_default().to_owned();
        let transient = child(state, "transient_attributes", &id);
        let name = change.name.as_str();
        let has = |set: &&Element| set.all("nvpair").any(|p| p.attr("name") == Some(name));
        let present = transient.children.iter().find(has).map(|s| s.name.clone());
        let capacity = match present {
            Some(tag) => tag == "utilization",
            None => matches!(change.update, AttributeUpdate::SetCapacity(_)),
        };
        let (tag, set_id) = match capacity {
            true => ("utilization", format!("status-{id}-utilization")),
            false => ("instance_attributes", format!("status-{id}")),
        };
        let pairs = &mut child(transient, tag, &set_id).children;
        match &change.update {
            AttributeUpdate::Keep => {}
            AttributeUpdate::Clear => pairs.retain(|p| p.attr("name") != Some(name)),
            AttributeUpdate::Set(value) | AttributeUpdate::SetCapacity(value) => {
                pairs.retain(|p| p.attr("name") != Some(name));
                let pair_id = format!("{set_id}-{}", name.replace([':', '#'], "."));
                let pair = Element::new("nvpair").with("id", &pair_id);
                pairs.push(pair.with("name", name).with("value", value));
            }
        }
        let mut version = self.cib.version();
        version.num_updates += 1;
        self.cib.set_version(version);
        if let Some(path) = &self.path {
            write(path, &self.cib.to_xml())?;
        }
        Ok(Response::Done {
            text: String::new(),
        })
    }

    fn attributes(&self, node: Option<&str>, name: Option<&str>) -> Response {
        let config = cib::config::Config::new(&self.cib);
        let nodes = config.nodes().into_iter().map(|n| n.uname);
        let nodes = nodes.filter(|n| node.is_none_or(|wanted| wanted == *n));
        let of_node = |node| {
            let mut found = attributes::valid(&self.cib, node);
            found.extend(attributes::capacities(&self.cib, node));
            let found = found.into_iter();
            found.map(move |(name, value)| NodeAttribute {
                node: node.to_owned(),
                name: name.to_owned(),
                value: value.to_owned(),
            })
        };
        let mut found: Vec<_> = nodes.flat_map(of_node).collect();
        found.retain(|a| name.is_none_or(|wanted| wanted == a.name));
        Response::Attributes(found)
    }

    fn plan(&self) -> scheduler::Plan {
        scheduler::schedule(self.cib.root(), &Options { now: now_s() })
    }

    fn status(&self) -> Status {
        let root = self.cib.root();
        let config = cib::config::Config::new(&self.cib);
        let mut status = Status {
            local_node: host_name(),
            dc: root
                .attr("dc-uuid")
                .and_then(|id| Some(config.node(id)?.uname.to_owned())),
            quorate: root
                .attr("have-quorum")
                .is_some_and(|v| cib::value::parse_bool(v).unwrap_or(false)),
            quorum_why: "as the file says".to_owned(),
            now: now_s(),
            ..Status::default()
        };
        status.take_cib(root, self.plan());
        status
    }
}

impl Backend for CibFile {
    fn call(&mut self, request: &Request) -> Result<Response, Failure> {
        Ok(match request {
            Request::Status => Response::Status(Box::new(self.status())),
            Request::Cib { status: true } => Response::Cib {
                xml: self.cib.to_xml(),
            },
            Request::Cib { status: false } => {
                let mut cib = self.cib.clone();
                let status = cib.section_mut(cib::Section::Status);
                status.children.retain(|c| c.name == "tickets");
                Response::Cib { xml: cib.to_xml() }
            }
            Request::Change(change) => self.change(change)?,
            Request::Plan => Response::Plan(Box::new(self.plan())),
            Request::WaitIdle { .. } => Response::Done {
                text: String::new(),
            },
            Request::SetAttribute(change) => self.set_attribute(change)?,
            Request::Attributes { node, name } => self.attributes(node.as_deref(), name.as_deref()),
            _ => error(
                ErrorKind::Invalid,
                "a CIB in a file has nothing running: this needs the cluster (unset CIB_file)",
            ),
        })
    }

    fn live(&self) -> bool {
        false
    }
}

/// The child of that name, made where it is missing.
fn child<'a>(parent: &'a mut Element, name: &str, id: &str) -> &'a mut Element {
    let at = parent.children.iter().position(|c| c.name == name);
    let at = at.unwrap_or_else(|| {
        parent.children.push(Element::new(name).with("id", id));
        parent.children.len() - 1
    });
    &mut parent.children[at]
}

/// Replaces the file as a whole, so that a reader never sees half of it.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|e| Failure::new(Exit::CantCreat, format!("{}: {e}", path.display())))
}

fn error(kind: ErrorKind, text: &str) -> Response {
    Response::Error {
        kind,
        text: text.to_owned(),
    }
}

/// Seconds since the epoch.
pub(super) fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}
