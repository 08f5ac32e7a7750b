//! `crm_mon`: the status, once, as text, XML or a line for monitoring.

use super::backend;
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{self, Found, Opt, flag, with_optional, with_value};
use crate::view;
use std::time::Duration;

/// The forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Xml,
    Simple,
    Legacy,
}

/// The whole program; `args` without its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    let mut console = Console::process();
    let parsed = getopt::parse(&OPTIONS, args).and_then(|found| Ok((form(&found)?, found)));
    let (form, found) = match parsed {
        Ok(parsed) => parsed,
        Err(failure) => {
            console.err_line(&format!("crm_mon: {failure}\n{USAGE}"));
            return failure.exit;
        }
    };
    if found.has("help") {
        console.line(USAGE);
        return Exit::Ok;
    }
    if found.has("version") {
        console.line(&format!("Pacemaker {}", crate::DC_VERSION));
        return Exit::Ok;
    }
    let shown = refuse_unknown(&found).and_then(|()| match pause(form, &found, &console)? {
        None => show(args, form, &found, &mut console),
        Some(pause) => loop {
            // From the top of an empty screen.
            console.print("\u{1b}[H\u{1b}[2J");
            show(args, form, &found, &mut console)?;
            std::thread::sleep(pause);
        },
    });
    match shown {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            if form == Form::Simple {
                console.line(&format!("CLUSTER CRIT: {failure}"));
            }
            // Monitoring searches this line.
            console.err_line(&format!("crm_mon: {failure}"));
            if let Some(cure) = &failure.cure {
                console.err_line(cure);
            }
            failure.exit
        }
    }
}

/// How long between two looks: on a terminal, without `-1`, the text is shown again and again until
/// somebody interrupts it.
fn pause(form: Form, found: &Found, console: &Console) -> Result<Option<Duration>, Failure> {
    let watched = console.interactive
        && form == Form::Text
        && !found.has("one-shot")
        && !found.has("output-to");
    let pause = found.value("interval").map(cib::value::parse_interval_ms);
    let pause = pause.transpose()?.unwrap_or(PAUSE_MS).max(PAUSE_MS_MIN);
    Ok(watched.then(|| Duration::from_millis(pause)))
}

/// What would be taken and do nothing.
fn refuse_unknown(found: &Found) -> Result<(), Failure> {
    let refused = [
        (
            "brief",
            "leave it out: the list of resources has a line for each",
        ),
        ("show-detail", "use --output-as=xml, which has every detail"),
        ("tickets", "there are no tickets in this version"),
        (
            "fence-history",
            "`mainstay status` shows what was fenced lately, the log of the DC all of it",
        ),
    ];
    let given = |option: &str| found.has(option) && found.value(option) != Some("0");
    match refused.iter().find(|(option, _)| given(option)) {
        // Tools ask for the XML with every detail that there is.
        Some(_) if found.has("as-xml") || found.value("output-as") == Some("xml") => Ok(()),
        Some((option, cure)) => Err(Failure {
            exit: Exit::Unimplemented,
            text: format!("--{option} is not offered"),
            cure: Some((*cure).to_owned()),
        }),
        None => Ok(()),
    }
}

fn form(found: &Found) -> Result<Form, Failure> {
    if let Some(word) = found.words.first() {
        return Err(Failure::usage(format!("`{word}` makes no sense here")));
    }
    if found.has("legacy") {
        return Ok(Form::Legacy);
    }
    if found.has("simple-status") {
        return Ok(Form::Simple);
    }
    if found.has("as-xml") {
        return Ok(Form::Xml);
    }
    match found.value("output-as") {
        None | Some("text" | "console") => Ok(Form::Text),
        Some("xml") => Ok(Form::Xml),
        Some("text-1.1") => Ok(Form::Legacy),
        Some(other) => Err(Failure::new(
            Exit::Unimplemented,
            format!("--output-as={other} is not offered: there are text, text-1.1 and xml"),
        )),
    }
}

fn show(args: &[String], form: Form, found: &Found, console: &mut Console) -> Result<(), Failure> {
    let mut backend = backend::open()?;
    let mut status = backend::status(backend.as_mut())?;
    if let Some(node) = found.value("node") {
        status = view::only_node(status, node);
    }
    if let Some(resource) = found.value("resource") {
        status = view::only_resource(status, resource);
    }
    let text = match form {
        Form::Xml => {
            let request = format!("crm_mon {}", args.join(" "));
            view::xml::document(&status, request.trim_end())
        }
        Form::Simple => format!("{}\n", view::nagios::simple(&status).0),
        Form::Legacy => view::legacy::document(&status),
        Form::Text => {
            let options = view::text::Options {
                inactive: found.has("inactive"),
                by_node: found.has("group-by-node"),
                failcounts: found.has("failcounts"),
                attributes: found.has("show-node-attributes"),
                operations: found.has("operations"),
                timing: found.has("timing-details"),
                bans: found.has("neg-locations"),
                no_headers: found.has("hide-headers"),
            };
            view::text::document(&status, options)
        }
    };
    match found.value("output-to").filter(|path| *path != "-") {
        None => console.print(&text),
        Some(path) => std::fs::write(path, text)
            .map_err(|e| Failure::new(Exit::CantCreat, format!("{path}: {e}")))?,
    }
    Ok(())
}

/// Between two looks, milliseconds.
const PAUSE_MS: u64 = 5_000;
/// The shortest, milliseconds.
const PAUSE_MS_MIN: u64 = 100;

/// crm_mon(8).
pub(super) const OPTIONS: [Opt; 28] = [
    flag('1', "one-shot"),
    flag('r', "inactive"),
    flag('n', "group-by-node"),
    flag('f', "failcounts"),
    flag('s', "simple-status"),
    flag('X', "as-xml"),
    flag('\0', "legacy"),
    flag('V', "verbose"),
    flag('Q', "quiet"),
    flag('A', "show-node-attributes"),
    flag('o', "operations"),
    flag('t', "timing-details"),
    flag('c', "tickets"),
    flag('L', "neg-locations"),
    flag('R', "show-detail"),
    flag('b', "brief"),
    flag('j', "pending"),
    flag('D', "hide-headers"),
    flag('N', "disable-ncurses"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    with_optional('m', "fence-history"),
    with_value('i', "interval"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
    with_value('\0', "node"),
    with_value('\0', "resource"),
];

const USAGE: &str = "usage: crm_mon [-1] [-i TIME] [-r] [-n] [-f] [-A] [-o] [-t] [-L] [-D] [--node NODE] [--resource ID] [-s] [-X|--output-as=text|xml] [--legacy]";
