//! `crm_resource`: what runs where, cleaning up, waiting.

use super::backend::{self, Backend, ask_done};
use super::console::Console;
use super::crm::WAIT_MS_MAX;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::Tool;
use crate::ipc::Request;
use crate::view;
use cib::config::Config;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.main(args, run)
}

const TOOL: Tool = Tool {
    name: "crm_resource",
    options: &OPTIONS,
    usage: USAGE,
    prefix: "crm_resource: ",
};

fn run(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let commands = [
        "list",
        "list-raw",
        "locate",
        "cleanup",
        "refresh",
        "wait",
        "query-xml",
    ];
    match found.first_of(&commands) {
        Some("list") => {
            let status = backend::status(backend)?;
            let options = view::text::Options {
                inactive: true,
                ..view::text::Options::default()
            };
            console.print(&view::text::resource_list(&status, options));
            Ok(())
        }
        Some("list-raw") => {
            let cib = backend::cib(backend, false)?;
            for resource in Config::new(&cib).resources() {
                if resource.kind == cib::config::Kind::Primitive {
                    console.line(resource.id);
                }
            }
            Ok(())
        }
        Some("locate") => locate(backend, console, found),
        Some("cleanup" | "refresh") => {
            let text = ask_done(
                backend,
                &Request::Cleanup {
                    resource: found.value("resource").map(str::to_owned),
                    node: found.value("node").map(str::to_owned),
                },
            )?;
            console.line(&text);
            Ok(())
        }
        Some("wait") => wait(backend, found),
        Some("query-xml") => {
            let cib = backend::cib(backend, false)?;
            let id = resource(found)?;
            let config = Config::new(&cib);
            let element = config.resource(id).ok_or_else(|| unknown(id))?.element;
            console.print(&cib::xml::format(element));
            Ok(())
        }
        _ => Err(Failure::usage("say what to do")),
    }
}

fn locate(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let id = resource(found)?;
    let status = backend::status(backend)?;
    let resource = view::find_resource(&status.resources, id).ok_or_else(|| unknown(id))?;
    let places = view::places(resource);
    for (node, role) in &places {
        match found.has("quiet") {
            true => console.line(node),
            false => console.line(&format!("resource {id} is running on: {node}{role}")),
        }
    }
    if places.is_empty() {
        console.err_line(&format!("resource {id} is NOT running"));
    }
    Ok(())
}

fn wait(backend: &mut dyn Backend, found: &Found) -> Result<(), Failure> {
    let timeout_ms = match found.value("timeout") {
        None => WAIT_MS_MAX,
        Some(text) => cib::value::parse_interval_ms(text)?,
    };
    ask_done(backend, &Request::WaitIdle { timeout_ms }).map(|_| ())
}

fn resource(found: &Found) -> Result<&str, Failure> {
    found
        .value("resource")
        .ok_or_else(|| Failure::usage("Must supply a resource id with -r"))
}

fn unknown(id: &str) -> Failure {
    Failure::no_such(format!("Resource '{id}' not found"))
}

/// crm_resource(8).
pub(super) const OPTIONS: [Opt; 15] = [
    flag('L', "list"),
    flag('l', "list-raw"),
    flag('W', "locate"),
    flag('C', "cleanup"),
    flag('R', "refresh"),
    flag('q', "query-xml"),
    flag('\0', "wait"),
    flag('V', "verbose"),
    flag('Q', "quiet"),
    flag('f', "force"),
    flag('$', "version"),
    flag('?', "help"),
    with_value('r', "resource"),
    with_value('N', "node"),
    with_value('T', "timeout"),
];

const USAGE: &str =
    "usage: crm_resource -L | -l | -W -r ID | -q -r ID | -C [-r ID] [-N NODE] | --wait [-T TIME]";
