//! `mainstay history`: the versions of the configuration that are kept.

use super::verbs::HistoryVerb;
use crate::cli::backend::{self, Backend, ask};
use crate::cli::console::Console;
use crate::cli::crm::configuration_text;
use crate::cli::diff;
use crate::cli::exit::Failure;
use crate::ipc::{CibVersionInfo, CibVersionText, Request, Response};
use crate::view::asctime;
use cib::Cib;

pub(super) fn run(
    verb: Option<&HistoryVerb>,
    backend: &mut dyn Backend,
    console: &mut Console,
) -> Result<(), Failure> {
    match verb {
        None | Some(HistoryVerb::List) => list(backend, console),
        Some(HistoryVerb::Show { number, xml }) => {
            let version = version(backend, *number)?;
            if *xml {
                console.print(&version.xml);
                return Ok(());
            }
            let cib = Cib::parse(&version.xml)?;
            console.line(&format!("# {}", describe(&version.info)));
            console.line(&format!("# CIB version {}", cib.version()));
            console.print(&configuration_text(&cib)?);
            Ok(())
        }
        Some(HistoryVerb::Diff { old, new }) => {
            let before = text_of(&version(backend, *old)?)?;
            let after = match new {
                Some(new) => text_of(&version(backend, *new)?)?,
                None => configuration_text(&backend::cib(backend, false)?)?,
            };
            console.print(&diff::unified(&before, &after));
            Ok(())
        }
    }
}

fn list(backend: &mut dyn Backend, console: &mut Console) -> Result<(), Failure> {
    let Response::Versions(versions) = ask(backend, &Request::Versions)? else {
        return Err(backend::unexpected());
    };
    if versions.is_empty() {
        console.line("No version of the configuration is kept here yet.");
    }
    for info in versions {
        console.line(&describe(&info));
    }
    Ok(())
}

fn version(backend: &mut dyn Backend, number: u64) -> Result<CibVersionText, Failure> {
    match ask(backend, &Request::Version { number })? {
        Response::Version(version) => Ok(*version),
        _ => Err(backend::unexpected()),
    }
}

fn text_of(version: &CibVersionText) -> Result<String, Failure> {
    configuration_text(&Cib::parse(&version.xml)?)
}

/// Who made a change, with which program and where; the cluster's own have no user.
pub(super) fn whom(user: &str, client: &str, origin: &str) -> String {
    match user {
        "" => "the cluster itself".to_owned(),
        user => format!("{user} with {client} on {origin}"),
    }
}

/// `     41  Sat Nov 21 13:48:20 2026  root with crm on node1`.
fn describe(info: &CibVersionInfo) -> String {
    let whom = whom(&info.user, &info.client, &info.origin);
    format!("{:>7}  {}  {whom}", info.number, asctime(info.at))
}
