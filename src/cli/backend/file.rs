//! A CIB in a file as a backend: what `CIB_file` means to Pacemaker's tools.

use super::{Backend, host_name};
use crate::cli::exit::{Exit, Failure};
use crate::ipc::{Change, Edit, ErrorKind, Request, Response};
use crate::view::Status;
use cib::{Cib, Patch};
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

    fn plan(&self) -> scheduler::Plan {
        scheduler::schedule(self.cib.root(), &Options { now: now_s() })
    }

    fn status(&self) -> Status {
        let plan = self.plan();
        let root = self.cib.root();
        let version = self.cib.version();
        let config = cib::config::Config::new(&self.cib);
        let stamp = |name: &str| root.attr(name).unwrap_or_default().to_owned();
        Status {
            local_node: host_name(),
            dc: root
                .attr("dc-uuid")
                .and_then(|id| Some(config.node(id)?.uname.to_owned())),
            quorate: root.attr("have-quorum") == Some("1"),
            quorum_why: "as the file says".to_owned(),
            cib_version: (version.admin_epoch, version.epoch, version.num_updates),
            last_change: root.attr("cib-last-written").map(|when| {
                (
                    when.to_owned(),
                    stamp("update-user"),
                    stamp("update-client"),
                    stamp("update-origin"),
                )
            }),
            now: now_s(),
            options: config
                .properties()
                .into_iter()
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect(),
            nodes: plan.nodes,
            resources: plan.resources,
            ..Status::default()
        }
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
                cib.section_mut(cib::Section::Status).children.clear();
                Response::Cib { xml: cib.to_xml() }
            }
            Request::Change(change) => self.change(change)?,
            Request::Plan => Response::Plan(Box::new(self.plan())),
            Request::WaitIdle { .. } => Response::Done {
                text: String::new(),
            },
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
fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}
