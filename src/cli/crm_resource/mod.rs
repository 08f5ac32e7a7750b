//! `crm_resource`: what runs where and why, parameters, moving, cleaning up, agents.

mod agents;
mod attributes;
mod constraints;
pub(super) mod control;
mod lists;
mod moves;
#[cfg(test)]
mod tests;
mod why;

use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_optional, with_value};
use super::tool::Tool;
use cib::Cib;
use cib::config::{Config, Resource};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, |console, found| {
        // What agents there are is no question to the cluster.
        if let Some(command) = found.last_of(&agents::COMMANDS) {
            return agents::run(console, found, command);
        }
        let mut backend = backend::open()?;
        run(backend.as_mut(), console, found)
    })
}

const TOOL: Tool = Tool {
    name: "crm_resource",
    options: OPTIONS,
    usage: USAGE,
    prefix: "crm_resource: ",
};

pub(super) fn run(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let command = found.last_of(&COMMANDS).unwrap_or("list");
    if command != "digests" {
        found.no_words()?;
    }
    match command {
        "list" => lists::status(backend, console),
        "list-raw" => lists::names(backend, console),
        "list-operations" => lists::operations(backend, console, found, true),
        "list-all-operations" => lists::operations(backend, console, found, false),
        "locate" => lists::locate(backend, console, found),
        "query-xml" | "query-xml-raw" => lists::xml(backend, console, found),
        "get-property" => lists::property(backend, console, found),
        "get-parameter" => attributes::get(backend, console, found),
        "set-parameter" => attributes::set(backend, console, found),
        "delete-parameter" => attributes::delete(backend, console, found),
        "constraints" => constraints::show(backend, console, found, found.has("recursive")),
        "stack" => constraints::show(backend, console, found, true),
        "why" => why::run(backend, console, found),
        "move" => moves::go(backend, console, found),
        "ban" => moves::ban(backend, console, found),
        "clear" => moves::clear(backend, console, found),
        "cleanup" | "refresh" => control::cleanup(backend, console, found),
        "restart" => control::restart(backend, console, found),
        "wait" => control::wait(backend, found),
        "delete" => control::delete(backend, found),
        "digests" => control::digests(backend, console, found),
        "fail" => control::fail(backend, console, found),
        _ => agents::on_resource(backend, console, found),
    }
}

/// The resource that was named.
fn named(found: &Found) -> Result<&str, Failure> {
    found
        .value("resource")
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Failure::usage("Must supply a resource id with -r"))
}

fn unknown(id: &str) -> Failure {
    Failure::no_such(format!("Resource '{id}' not found"))
}

/// A configured resource; an instance number is left out.
fn configured<'a>(config: &Config<'a>, id: &str) -> Result<Resource<'a>, Failure> {
    let base = id.split(':').next().unwrap_or(id);
    let found = config.resource(id).or_else(|| config.resource(base));
    found.ok_or_else(|| unknown(id))
}

/// The resource directly around that one, and how it is called.
fn parent_of<'a>(cib: &'a Cib, id: &str) -> Option<Resource<'a>> {
    let config = Config::new(cib);
    config
        .resources()
        .into_iter()
        .find(|r| r.element.children.iter().any(|c| c.id() == Some(id)))
}

fn known_node(cib: &Cib, node: &str) -> Result<(), Failure> {
    match Config::new(cib).node(node) {
        Some(_) => Ok(()),
        None => Err(Failure::no_such(format!("Node '{node}' not found"))),
    }
}

/// Commands that the cluster, or a CIB in its place, is asked for.
const COMMANDS: [&str; 30] = [
    "list",
    "list-raw",
    "list-operations",
    "list-all-operations",
    "locate",
    "query-xml",
    "query-xml-raw",
    "get-property",
    "get-parameter",
    "set-parameter",
    "delete-parameter",
    "constraints",
    "stack",
    "why",
    "move",
    "ban",
    "clear",
    "cleanup",
    "refresh",
    "restart",
    "wait",
    "delete",
    "digests",
    "fail",
    "validate",
    "force-check",
    "force-start",
    "force-stop",
    "force-promote",
    "force-demote",
];

/// crm_resource(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('L', "list"),
    flag('l', "list-raw"),
    flag('O', "list-operations"),
    flag('o', "list-all-operations"),
    flag('\0', "list-standards"),
    flag('\0', "list-ocf-providers"),
    with_value('\0', "list-agents"),
    with_value('\0', "list-ocf-alternatives"),
    with_value('\0', "show-metadata"),
    with_value('\0', "list-options"),
    flag('\0', "all"),
    flag('q', "query-xml"),
    flag('w', "query-xml-raw"),
    with_value('g', "get-parameter"),
    with_value('G', "get-property"),
    flag('W', "locate"),
    flag('a', "constraints"),
    flag('A', "stack"),
    flag('Y', "why"),
    with_optional('\0', "validate"),
    flag('C', "cleanup"),
    flag('R', "refresh"),
    with_value('p', "set-parameter"),
    with_value('d', "delete-parameter"),
    flag('M', "move"),
    flag('B', "ban"),
    flag('U', "clear"),
    flag('e', "expired"),
    with_value('u', "lifetime"),
    flag('\0', "promoted"),
    flag('\0', "master"),
    flag('D', "delete"),
    flag('F', "fail"),
    flag('\0', "restart"),
    flag('\0', "wait"),
    flag('\0', "digests"),
    with_optional('\0', "force-check"),
    flag('\0', "force-start"),
    flag('\0', "force-stop"),
    flag('\0', "force-promote"),
    flag('\0', "force-demote"),
    with_value('N', "node"),
    with_value('H', "node"),
    flag('\0', "recursive"),
    with_value('t', "resource-type"),
    with_value('v', "parameter-value"),
    flag('m', "meta"),
    flag('z', "utilization"),
    with_value('n', "operation"),
    with_value('I', "interval"),
    with_value('\0', "class"),
    with_value('\0', "agent"),
    with_value('\0', "provider"),
    with_value('\0', "option"),
    with_value('s', "set-name"),
    with_value('i', "nvpair"),
    with_value('T', "timeout"),
    flag('f', "force"),
    with_value('r', "resource"),
    flag('V', "verbose"),
    flag('Q', "quiet"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    flag('\0', "help-all"),
    flag('\0', "text-fancy"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str = "usage: crm_resource -L | -l | -O | -W|-q|-a|-Y -r ID | -g|-d NAME -r ID [-m|-z] | -p NAME -v VALUE -r ID [-m|-z] | -M|-B|-U -r ID [-N NODE] | -C|-R [-r ID] [-N NODE] | --restart -r ID | -F -r ID -N NODE | --wait [-T TIME] | --force-check|--force-start|--force-stop|--force-promote|--force-demote -r ID | --list-agents CLASS[:PROVIDER] | --show-metadata CLASS:[PROVIDER:]TYPE | --list-options=primitive|fencing [--all]";
