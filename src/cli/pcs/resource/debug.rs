//! `pcs resource debug-start` and the like: an agent acts on this node, beside the cluster, and
//! everything it says is shown.

use super::super::Context;
use super::super::change::known;
use super::super::level::misused;
use crate::cli::exit::Failure;
use crate::cli::{crm_resource, getopt};
use cib::config::Config;

/// Options of all of them.
pub(super) const FLAGS: &[&str] = &["force", "full"];

/// `debug-start RESOURCE`.
pub(super) fn start(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    act(cx, words, "debug-start", "--force-start")
}

/// `debug-stop RESOURCE`.
pub(super) fn stop(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    act(cx, words, "debug-stop", "--force-stop")
}

/// `debug-monitor RESOURCE`.
pub(super) fn monitor(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    act(cx, words, "debug-monitor", "--force-check")
}

/// `debug-promote RESOURCE`.
pub(super) fn promote(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    act(cx, words, "debug-promote", "--force-promote")
}

/// `debug-demote RESOURCE`.
pub(super) fn demote(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    act(cx, words, "debug-demote", "--force-demote")
}

fn act(cx: &mut Context<'_>, words: &[String], verb: &str, option: &str) -> Result<(), Failure> {
    let [id] = words else {
        return Err(misused());
    };
    let cib = cx.cib()?;
    known(&cib, id)?;
    if let Some(resource) = Config::new(&cib).resource(id) {
        let inner = resource.element.children.iter();
        let inner = inner.filter(|c| matches!(c.name.as_str(), "primitive" | "group"));
        let inner: Vec<&str> = inner.filter_map(|c| c.id()).collect();
        match resource.element.name.as_str() {
            "group" => {
                return Err(Failure::usage(format!(
                    "unable to {verb} a group, try one of the group's resource(s) ({})",
                    inner.join(",")
                )));
            }
            "clone" | "master" => {
                return Err(Failure::usage(format!(
                    "unable to {verb} a clone, try the clone's resource: {}",
                    inner.join(",")
                )));
            }
            _ => {}
        }
    }
    let force = if cx.flags.force() { "--force" } else { "" };
    let line = ["-r", id, option, force];
    let line = line.iter().filter(|w| !w.is_empty());
    let line: Vec<String> = line.map(|w| (*w).to_owned()).collect();
    let found = getopt::parse(crm_resource::OPTIONS, &line)?;
    crm_resource::run(cx.backend, cx.console, &found).map_err(|failure| {
        // What the agent said is printed; its exit code is this command's failure.
        match failure.text.starts_with("Error performing operation") {
            true => Failure {
                text: format!("{verb} of {id}: {}", failure.exit.text()),
                ..failure
            },
            false => failure,
        }
    })
}
