//! `attrd_updater`: transient attributes of nodes, with dampening; agents such as ping call it.

use super::attributes;
use super::backend::{Backend, ask_done};
use super::console::Console;
use super::crm_attribute::pattern;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::Tool;
use crate::ipc::{AttributeChange, AttributeUpdate, Request};
use cib::Element;
use regex_lite::Regex;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.main(args, run)
}

const TOOL: Tool = Tool {
    name: "attrd_updater",
    options: &OPTIONS,
    usage: USAGE,
    prefix: "attrd_updater: ",
};

fn run(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let command = found.first_of(&COMMANDS);
    if command == Some("refresh") {
        // Every change is with every node already: there is no copy that could be behind.
        return Ok(());
    }
    if let Some(text) = found.value("pattern") {
        return by_pattern(backend, console, found, &pattern(text)?, command);
    }
    let name = found.value("name").filter(|n| !n.is_empty());
    let name =
        name.ok_or_else(|| Failure::usage("Command requires --name or --pattern argument"))?;
    match command {
        Some("query") => query(backend, console, found, |n| n == name, name),
        Some(command) => change(backend, found, name, command),
        None => Err(Failure::usage(
            "Must specify a command, such as --update, --query or --delete",
        )),
    }
}

/// As many attributes as the pattern fits, of those that are there.
fn by_pattern(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    pattern: &Regex,
    command: Option<&'static str>,
) -> Result<(), Failure> {
    let command = match command {
        Some("query") => {
            return query(
                backend,
                console,
                found,
                |n| pattern.is_match(n),
                pattern.as_str(),
            );
        }
        Some(command) => command,
        None => {
            return Err(Failure::usage(
                "Must specify a command, such as --update, --query or --delete",
            ));
        }
    };
    let node = attributes::target(backend, found.value("node"))?;
    let present = attributes::list(backend, Some(&node), None)?;
    for attribute in present.iter().filter(|a| pattern.is_match(&a.name)) {
        change(backend, found, &attribute.name, command)?;
    }
    Ok(())
}

fn change(
    backend: &mut dyn Backend,
    found: &Found,
    name: &str,
    command: &'static str,
) -> Result<(), Failure> {
    let both = matches!(command, "update-both" | "update-delay");
    let dampen_ms = found.value("delay").map(cib::value::parse_interval_ms);
    let dampen_ms = dampen_ms.transpose()?;
    if both && dampen_ms.is_none() {
        return Err(Failure::usage(format!("--{command} requires --delay")));
    }
    let capacity = found.has("utilization");
    if capacity && (dampen_ms.is_some() || found.has("private")) {
        return Err(Failure::usage(
            "--utilization: a capacity counts at once and for everybody: leave out --delay and --private",
        ));
    }
    let value = found.value(command).unwrap_or_default().to_owned();
    let update = match command {
        "delete" => AttributeUpdate::Clear,
        "update-delay" => AttributeUpdate::Keep,
        _ if capacity => AttributeUpdate::SetCapacity(value),
        _ => AttributeUpdate::Set(value),
    };
    let change = AttributeChange {
        node: Some(attributes::target(backend, found.value("node"))?),
        name: name.to_owned(),
        update,
        dampen_ms,
        change_dampening: both,
        private: found.has("private"),
    };
    ask_done(backend, &Request::SetAttribute(change)).map(|_| ())
}

fn query(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    fits: impl Fn(&str) -> bool,
    asked: &str,
) -> Result<(), Failure> {
    let node = match found.has("all") {
        true => None,
        false => Some(attributes::target(backend, found.value("node"))?),
    };
    let mut values = attributes::list(backend, node.as_deref(), None)?;
    values.retain(|v| fits(&v.name));
    if values.is_empty() {
        let text = format!("Could not query value of {asked}: No such device or address");
        return Err(Failure::no_such(text));
    }
    for found_value in values {
        let value = &found_value.value;
        console.element(
            Element::new("attribute")
                .with("name", &found_value.name)
                .with("value", value)
                .with("host", &found_value.node),
        );
        if found.has("quiet") {
            console.line(value);
            continue;
        }
        console.line(&format!(
            "name=\"{}\" host=\"{}\" value=\"{value}\"",
            found_value.name, found_value.node
        ));
    }
    Ok(())
}

const COMMANDS: [&str; 6] = [
    "update",
    "update-both",
    "update-delay",
    "query",
    "delete",
    "refresh",
];

/// attrd_updater(8). `-v` and `-S`, and words that are no options, are what agents still write.
pub(super) const OPTIONS: [Opt; 25] = [
    with_value('n', "name"),
    with_value('P', "pattern"),
    with_value('U', "update"),
    with_value('v', "update"),
    with_value('B', "update-both"),
    flag('Y', "update-delay"),
    flag('Q', "query"),
    flag('D', "delete"),
    flag('R', "refresh"),
    with_value('d', "delay"),
    with_value('s', "set"),
    with_value('S', "section"),
    with_value('N', "node"),
    flag('A', "all"),
    with_value('l', "lifetime"),
    flag('p', "private"),
    flag('z', "utilization"),
    flag('\0', "text-fancy"),
    flag('q', "quiet"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str = "usage: attrd_updater -n NAME -U VALUE [-d TIME] [-p] | -z -U VALUE | -B VALUE -d TIME | -Y -d TIME | -Q [-A] [-q] | -D [-N NODE]";
