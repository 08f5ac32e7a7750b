//! `crm_mon`: the status, once or again and again, as text, XML, a page, or a line for monitoring.

mod agent;
pub(super) mod extra;
mod sections;
#[cfg(test)]
pub(super) mod tests;

use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::fencings::{self, State};
use super::getopt::{self, Found, Opt, flag, with_optional, with_value};
use super::tool::request;
use crate::view::{self, Fencing, Status};
use agent::Agent;
use sections::Sections;
use std::time::{Duration, Instant};

/// The forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Xml,
    Html,
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
    if found.has("help-all") {
        console.print(&super::tool::help(USAGE, &OPTIONS));
        return Exit::Ok;
    }
    if found.has("help") {
        console.line(USAGE);
        return Exit::Ok;
    }
    if found.has("version") {
        if form == Form::Xml {
            console.answer_in_xml();
        }
        super::tool::version(&mut console);
        if let Some(parts) = console.take_answer() {
            let request = request("crm_mon", args);
            console.print(&view::xml::answer(&request, parts, 0, Exit::Ok.text(), &[]));
        }
        return Exit::Ok;
    }
    let shown = watch(args, form, &found, &mut console);
    match shown {
        Ok(()) => Exit::Ok,
        Err(failure) => told(args, form, &failure, &mut console),
    }
}

/// Tells of a failure in the form that was asked for.
fn told(args: &[String], form: Form, failure: &Failure, console: &mut Console) -> Exit {
    // Monitoring searches this line.
    let mut lines = vec![format!("crm_mon: {failure}")];
    lines.extend(failure.cure.clone());
    match form {
        Form::Simple => console.line(&format!("CLUSTER CRIT: {failure}")),
        Form::Xml => {
            let (code, text) = (failure.exit.code(), failure.exit.text());
            console.print(&view::xml::answer(
                &request("crm_mon", args),
                Vec::new(),
                code,
                text,
                &lines,
            ));
        }
        _ => {}
    }
    for line in lines {
        console.err_line(&line);
    }
    failure.exit
}

/// Shows it once, or again and again.
fn watch(args: &[String], form: Form, found: &Found, console: &mut Console) -> Result<(), Failure> {
    let interval = found.value("interval").map(cib::value::parse_interval_ms);
    let interval = interval.transpose()?.unwrap_or(PAUSE_MS).max(PAUSE_MS_MIN);
    let pause = Duration::from_millis(interval);
    let agent = watcher(found)?;
    if found.has("daemonize") {
        return in_background(args, form, found, console, (pause, agent));
    }
    if agent.is_some() {
        return again(args, form, found, console, (pause, agent));
    }
    let forever = console.interactive
        && form == Form::Text
        && !found.has("one-shot")
        && output(found).is_none();
    if !forever {
        return show(args, form, found, console);
    }
    loop {
        // From the top of an empty screen.
        console.print("\u{1b}[H\u{1b}[2J");
        show(args, form, found, console)?;
        std::thread::sleep(pause);
    }
}

/// Writes the file again and again, without a terminal, until it is told to end. A daemon that is
/// down for a while is no reason to end: the file says so.
fn in_background(
    args: &[String],
    form: Form,
    found: &Found,
    console: &mut Console,
    (pause, agent): (Duration, Option<Agent>),
) -> Result<(), Failure> {
    if output(found).is_none() && agent.is_none() {
        return Err(Failure::usage(
            "--daemonize requires at least one of --output-to (or --as-html) and --external-agent: there is no terminal to write to",
        ));
    }
    nix::unistd::daemon(true, false)
        .map_err(|e| Failure::new(Exit::OsErr, format!("to the background: {e}")))?;
    if let Some(path) = found.value("pid-file") {
        let text = format!("{:>11}\n", std::process::id());
        std::fs::write(path, text)
            .map_err(|e| Failure::new(Exit::CantCreat, format!("{path}: {e}")))?;
    }
    again(args, form, found, console, (pause, agent))
}

/// Shows it at every pause, and has the program told of what happened in between.
fn again(
    args: &[String],
    form: Form,
    found: &Found,
    console: &mut Console,
    (pause, mut agent): (Duration, Option<Agent>),
) -> Result<(), Failure> {
    let shows = output(found).is_some() || !found.has("daemonize");
    let mut next = Instant::now();
    loop {
        if shows && Instant::now() >= next {
            next = Instant::now() + pause;
            match show(args, form, found, console) {
                Err(failure) if failure.exit == Exit::Disconnect => {
                    write(found, console, &format!("crm_mon: {failure}\n"))?;
                }
                result => result?,
            }
        }
        match agent.as_mut().map(look) {
            None => {}
            Some(Err(failure)) if failure.exit == Exit::Disconnect => {}
            Some(result) => result?,
        }
        std::thread::sleep(match agent {
            Some(_) => pause.min(LOOK_PAUSE),
            None => pause,
        });
    }
}

/// The program to be run for events, where there is one, and somebody stays to look.
fn watcher(found: &Found) -> Result<Option<Agent>, Failure> {
    let agent = Agent::of(found);
    if agent.is_none() && found.has("watch-fencing") {
        return Err(Failure::usage(
            "--watch-fencing is for use with --external-agent: name a program",
        ));
    }
    if agent.is_some() && found.has("one-shot") {
        return Err(Failure::usage(
            "--external-agent is run when something happens: leave out --one-shot",
        ));
    }
    Ok(agent)
}

fn look(agent: &mut Agent) -> Result<(), Failure> {
    let mut backend = backend::open()?;
    let cib = backend::cib(backend.as_mut(), true)?;
    let status = backend::status(backend.as_mut())?;
    agent.tell(cib.root(), &status)
}

fn form(found: &Found) -> Result<Form, Failure> {
    found.no_words()?;
    if found.has("legacy") {
        return Ok(Form::Legacy);
    }
    if found.has("simple-status") {
        return Ok(Form::Simple);
    }
    if found.has("as-xml") {
        return Ok(Form::Xml);
    }
    if found.has("as-html") || found.has("web-cgi") {
        return Ok(Form::Html);
    }
    match found.value("output-as") {
        None | Some("text" | "console") => Ok(Form::Text),
        Some("xml") => Ok(Form::Xml),
        Some("html") => Ok(Form::Html),
        Some("text-1.1") => Ok(Form::Legacy),
        Some(other) => Err(Failure::usage(format!(
            "--output-as={other}: there are text, console, html, xml and text-1.1"
        ))),
    }
}

/// The file that is written instead of the terminal.
fn output(found: &Found) -> Option<&str> {
    let path = found.value("output-to").or_else(|| found.value("as-html"));
    path.filter(|p| *p != "-" && !p.is_empty())
}

fn write(found: &Found, console: &mut Console, text: &str) -> Result<(), Failure> {
    let Some(path) = output(found) else {
        console.print(text);
        return Ok(());
    };
    // Whoever reads it never sees half of it.
    let temporary = format!("{path}.new");
    let written = match std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        true => std::fs::write(path, text),
        false => std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, path)),
    };
    written.map_err(|e| Failure::new(Exit::CantCreat, format!("{path}: {e}")))
}

/// Which parts are shown: the usual, those of the flags, then what was included and excluded.
fn sections(found: &Found, form: Form) -> Result<Sections, Failure> {
    let xml = form == Form::Xml;
    let mut sections = Sections::usual(xml);
    for (option, name) in [
        ("show-node-attributes", "attributes"),
        ("neg-locations", "bans"),
        ("failcounts", "failcounts"),
        ("operations", "operations"),
        ("timing-details", "operations"),
        ("tickets", "tickets"),
    ] {
        if found.has(option) {
            sections.show(name);
        }
    }
    if let Some(level) = fence_history(found)? {
        sections.fence_history(level);
    }
    if found.has("hide-headers") {
        sections.hide_summary();
    }
    if let Some(prefix) = found.value("neg-locations") {
        prefix.clone_into(&mut sections.bans_prefix);
    }
    // In their order: what is said last counts.
    for (option, list) in found.in_order(&["include", "exclude"]) {
        sections.apply(list, option == "include", xml)?;
    }
    Ok(sections)
}

/// The level of `--fence-history`, where it is given: 2 without a word of its own.
fn fence_history(found: &Found) -> Result<Option<u8>, Failure> {
    match found.value("fence-history") {
        None => Ok(None),
        Some("") => Ok(Some(2)),
        Some(text) => match text.parse() {
            Ok(level @ 0..=3) => Ok(Some(level)),
            _ => Err(Failure::usage(format!(
                "--fence-history={text}: there are 0, 1, 2 and 3"
            ))),
        },
    }
}

fn show(args: &[String], form: Form, found: &Found, console: &mut Console) -> Result<(), Failure> {
    let sections = sections(found, form)?;
    let mut backend = backend::open()?;
    let whole = backend::status(backend.as_mut())?;
    let mut status = whole.clone();
    if let Some(node) = found.value("node") {
        status = view::only_node(status, node);
    }
    if let Some(resource) = found.value("resource") {
        status = view::only_resource(status, resource);
    }
    let prefix = &sections.bans_prefix;
    status.bans.retain(|b| b.id.starts_with(prefix.as_str()));
    let text = match form {
        Form::Xml => {
            let by_node = found.has("group-by-node");
            let root = xml(
                args,
                (&whole, &status),
                by_node,
                &sections,
                backend.as_mut(),
            )?;
            cib::xml::format(&match found.has("as-xml") {
                true => older(root),
                false => root,
            })
        }
        Form::Simple => format!("{}\n", view::nagios::simple(&status).0),
        Form::Legacy => {
            let migration = match found.has("failcounts") {
                true => view::legacy::migration(&status),
                false => String::new(),
            };
            view::legacy::document(&status) + &migration
        }
        Form::Text => text(found, (&whole, &status), &sections, backend.as_mut())?,
        Form::Html => {
            let text = text(found, (&whole, &status), &sections, backend.as_mut())?;
            let interval = found.value("interval").map(cib::value::parse_interval_ms);
            let interval = interval.transpose()?.unwrap_or(PAUSE_MS) / 1000;
            let page = view::html::Page {
                title: found.value("html-title").unwrap_or("Cluster Status"),
                stylesheet: found.value("html-stylesheet"),
                refresh_s: (!found.has("one-shot")).then_some(interval.max(1)),
                cgi: found.has("html-cgi") || found.has("web-cgi"),
            };
            view::html::document(&text, &page)
        }
    };
    write(found, console, &text)
}

fn text(
    found: &Found,
    (whole, status): (&Status, &Status),
    sections: &Sections,
    backend: &mut dyn Backend,
) -> Result<String, Failure> {
    // Bans stand last, behind what is told here.
    let bans = sections.has("bans") && !status.bans.is_empty();
    let options = view::text::Options {
        inactive: found.has("inactive"),
        by_node: found.has("group-by-node"),
        failcounts: sections.has("failcounts"),
        attributes: sections.has("attributes"),
        operations: sections.has("operations"),
        timing: found.has("timing-details") && sections.has("operations"),
        bans: false,
        no_headers: false,
        brief: found.has("brief"),
        detail: found.has("show-detail"),
        placeless: false,
    };
    let mut text = view::text::part_of(whole, status, options);
    if sections.has("options") {
        // They end the summary, which is the first part.
        let end = text.find("\n\n").map_or(text.len(), |at| at + 1);
        text.insert_str(end, &view::summary::options(whole));
    }
    let full = fence_history(found)? == Some(3);
    let mut fenced = fencings::newest_first(status);
    if !full {
        fenced = fencings::reduced(&fenced);
    }
    let (failed, others): (Vec<_>, Vec<_>) = fenced
        .into_iter()
        .partition(|f| fencings::state(f) == State::Failed);
    text.push_str(&fencings::part("Failed Fencing Actions:", &failed, full));
    if sections.has("tickets") {
        let tickets = extra::tickets(backend)?;
        if !tickets.children.is_empty() {
            text.push_str(&extra::tickets_text(&tickets));
        }
    }
    if bans {
        text.push_str(&view::text::bans(status));
    }
    if sections.has("fencing-succeeded") {
        text.push_str(&fencings::part("Fencing History:", &others, full));
    } else {
        let pending = |f: &&Fencing| fencings::state(f) == State::Pending;
        let pending: Vec<_> = others.into_iter().filter(pending).collect();
        text.push_str(&fencings::part("Pending Fencing Actions:", &pending, full));
    }
    Ok(sections.cut_text(&text))
}

fn xml(
    args: &[String],
    (whole, status): (&Status, &Status),
    by_node: bool,
    sections: &Sections,
    backend: &mut dyn Backend,
) -> Result<cib::Element, Failure> {
    let mut root = view::xml::part_of(whole, status, &request("crm_mon", args));
    if by_node {
        view::xml::group_by_node(&mut root, status);
    }
    // The schema has an order: these two stand before bans and the result.
    let late = |name: &str| ["bans", "status"].contains(&name);
    let at = root.children.iter().position(|c| late(&c.name));
    let at = at.unwrap_or(root.children.len());
    let tickets = match sections.has("tickets") {
        true => extra::tickets(backend)?,
        false => cib::Element::new("tickets"),
    };
    for part in [tickets, fencings::history(status)] {
        if !part.children.is_empty() {
            root.children.insert(at, part);
        }
    }
    sections.cut_document(&mut root);
    Ok(root)
}

/// The same as older versions of Pacemaker's tool wrote it (`-X`).
fn older(mut root: cib::Element) -> cib::Element {
    let version = crate::DC_VERSION.split('-').next().unwrap_or_default();
    root.name = "crm_mon".into();
    root.attrs = vec![("version".into(), version.into())];
    root.children.retain(|part| part.name != "status");
    root
}

/// Between two looks, milliseconds.
const PAUSE_MS: u64 = 5_000;
/// Between two looks for events that a program is run for, at most.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// The shortest, milliseconds.
const PAUSE_MS_MIN: u64 = 100;

/// crm_mon(8).
pub(super) const OPTIONS: [Opt; 41] = [
    flag('1', "one-shot"),
    flag('r', "inactive"),
    flag('n', "group-by-node"),
    flag('f', "failcounts"),
    flag('s', "simple-status"),
    flag('X', "as-xml"),
    with_value('h', "as-html"),
    flag('w', "web-cgi"),
    flag('\0', "legacy"),
    flag('V', "verbose"),
    flag('Q', "quiet"),
    flag('A', "show-node-attributes"),
    flag('o', "operations"),
    flag('t', "timing-details"),
    flag('c', "tickets"),
    with_optional('L', "neg-locations"),
    flag('R', "show-detail"),
    flag('b', "brief"),
    flag('j', "pending"),
    flag('D', "hide-headers"),
    flag('N', "disable-ncurses"),
    flag('d', "daemonize"),
    with_value('p', "pid-file"),
    with_value('E', "external-agent"),
    with_value('e', "external-recipient"),
    flag('W', "watch-fencing"),
    flag('\0', "html-cgi"),
    with_value('\0', "html-stylesheet"),
    with_value('\0', "html-title"),
    flag('\0', "text-fancy"),
    flag('$', "version"),
    flag('?', "help"),
    flag('\0', "help-all"),
    with_optional('m', "fence-history"),
    with_value('i', "interval"),
    with_value('I', "include"),
    with_value('U', "exclude"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
    with_value('\0', "node"),
    with_value('\0', "resource"),
];

const USAGE: &str = "usage: crm_mon [-1] [-i TIME] [-r] [-n] [-b] [-R] [-f] [-A] [-o] [-t] [-c] [-L] [-m [LEVEL]] [-D] [-I|-U PART,…] [--node NODE] [--resource ID] [-s] [-X|--output-as=text|html|xml] [--output-to FILE] [-d [-p FILE]] [-E PROGRAM [-e RECIPIENT] [-W]] [--legacy]";
