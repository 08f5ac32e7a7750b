//! `crm_ticket`: tickets, by which clusters of several sites agree on who runs what; asked for,
//! granted, revoked, put in standby.

use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::Tool;
use crate::view;
use cib::{Cib, Element, Section};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.main(args, run)
}

const TOOL: Tool = Tool {
    name: "crm_ticket",
    options: OPTIONS,
    usage: USAGE,
    prefix: "crm_ticket: ",
};

pub(super) fn run(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let command = found.last_of(&COMMANDS).unwrap_or("info");
    let id = found.value("ticket").filter(|t| !t.is_empty());
    match command {
        "info" | "details" | "raw" => {
            let cib = backend::cib(backend, true)?;
            list(&cib, console, command, id)
        }
        "query-xml" => query_xml(&backend::cib(backend, true)?, console, id),
        "constraints" => constraints(&backend::cib(backend, false)?, console, id),
        "get-attr" => get(&backend::cib(backend, true)?, console, found, named(id)?),
        _ => change(backend, console, found, command, named(id)?),
    }
}

fn named(id: Option<&str>) -> Result<&str, Failure> {
    id.ok_or_else(|| Failure::usage("Must supply ticket ID with -t"))
}

/// Tickets with a state.
fn states(cib: &Cib) -> impl Iterator<Item = &Element> {
    let status = cib.section(Section::Status);
    let tickets = status.into_iter().filter_map(|s| s.first("tickets"));
    tickets.flat_map(|t| t.all("ticket_state"))
}

fn state<'a>(cib: &'a Cib, id: &str) -> Option<&'a Element> {
    states(cib).find(|s| s.id() == Some(id))
}

fn is_on(state: &Element, name: &str) -> bool {
    let value = state.attr(name).unwrap_or("false");
    cib::value::parse_bool(value).unwrap_or(false)
}

fn list(cib: &Cib, console: &mut Console, how: &str, id: Option<&str>) -> Result<(), Failure> {
    let found: Vec<&Element> = states(cib)
        .filter(|s| id.is_none_or(|wanted| s.id() == Some(wanted)))
        .collect();
    if let (Some(id), true) = (id, found.is_empty()) {
        return Err(Failure::no_such(format!("No such ticket '{id}'")));
    }
    for state in found {
        let name = state.id().unwrap_or_default();
        match how {
            "raw" => console.line(name),
            _ => console.line(&line(state, name, how == "details")),
        }
    }
    Ok(())
}

/// `NAME<tab>granted  last-granted='…'`, with every attribute where asked for.
fn line(state: &Element, name: &str, details: bool) -> String {
    let granted = if is_on(state, "granted") {
        "granted"
    } else {
        "revoked"
    };
    let standby = if is_on(state, "standby") {
        "[standby]"
    } else {
        "         "
    };
    let last = state.attr("last-granted").and_then(|t| t.parse().ok());
    let last = last.map(|at| format!("last-granted='{}'", view::asctime(at)));
    let mut text = format!("{name}\t{granted} {standby}");
    if !details {
        text.push(' ');
        text.push_str(&last.unwrap_or_default());
        return text.trim_end().to_owned();
    }
    let shown = state.attrs.iter().filter(|(n, _)| n != "id");
    let pairs: Vec<String> = shown
        .map(|(n, v)| match (n.as_str(), &last) {
            ("last-granted", Some(last)) => last.clone(),
            _ => format!("{n}={v}"),
        })
        .collect();
    format!("{text} ({})", pairs.join(", "))
}

fn query_xml(cib: &Cib, console: &mut Console, id: Option<&str>) -> Result<(), Failure> {
    let status = cib.section(Section::Status);
    let tickets = status.and_then(|s| s.first("tickets"));
    let element = match id {
        Some(id) => state(cib, id),
        None => tickets.filter(|t| !t.children.is_empty()),
    };
    let element = element
        .ok_or_else(|| Failure::no_such("Could not query ticket XML: No such device or address"))?;
    console.print(&format!("State XML:\n\n{}", cib::xml::format(element)));
    Ok(())
}

fn constraints(cib: &Cib, console: &mut Console, id: Option<&str>) -> Result<(), Failure> {
    let section = cib.section(Section::Constraints);
    let all = section.into_iter().flat_map(|s| s.all("rsc_ticket"));
    let found: Vec<&Element> = all
        .filter(|c| id.is_none_or(|wanted| c.attr("ticket") == Some(wanted)))
        .collect();
    if found.is_empty() {
        return Err(Failure::no_such(
            "Could not show ticket constraints: No such device or address",
        ));
    }
    let texts: String = found.iter().map(|c| cib::xml::format(c)).collect();
    console.print(&format!("Constraints XML:\n\n{texts}"));
    Ok(())
}

fn get(cib: &Cib, console: &mut Console, found: &Found, id: &str) -> Result<(), Failure> {
    let name = found.value("get-attr").unwrap_or_default();
    let value = state(cib, id).and_then(|s| s.attr(name));
    match value.or_else(|| found.value("default")) {
        Some(value) => {
            console.line(value);
            Ok(())
        }
        None => Err(Failure::no_such("")),
    }
}

fn change(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    command: &str,
    id: &str,
) -> Result<(), Failure> {
    let named = |option: &str| found.value(option).unwrap_or_default().to_owned();
    let mut set = Vec::new();
    let mut unset = None;
    match command {
        "grant" => set.push(("granted".to_owned(), "true".to_owned())),
        "revoke" => set.push(("granted".to_owned(), "false".to_owned())),
        "standby" => set.push(("standby".to_owned(), "true".to_owned())),
        "activate" => set.push(("standby".to_owned(), "false".to_owned())),
        "set-attr" => {
            let value = found.value("attr-value");
            let value =
                value.ok_or_else(|| Failure::usage("Must supply attribute value with -v"))?;
            set.push((named("set-attr"), value.to_owned()));
        }
        "delete-attr" => unset = Some(named("delete-attr")),
        _ => {}
    }
    let touches_grant =
        set.iter().any(|(name, _)| name == "granted") || unset.as_deref() == Some("granted");
    let cib = backend::cib(backend, true)?;
    let cleanup_of_granted =
        command == "cleanup" && state(&cib, id).is_some_and(|s| is_on(s, "granted"));
    if (touches_grant || cleanup_of_granted) && !found.has("force") {
        return Err(refused(command, id));
    }
    let known = state(&cib, id).is_some();
    backend::edit(backend, "crm_ticket", |cib| {
        apply(cib, id, &set, unset.as_deref(), command == "cleanup");
        Ok(())
    })?;
    if command == "cleanup" && known {
        console.line(&format!("Cleaned up {id}"));
    }
    Ok(())
}

/// Nobody can tell from here whether another site has the ticket.
fn refused(command: &str, id: &str) -> Failure {
    let why = match command {
        "grant" | "set-attr" => format!(
            "This command cannot help you verify whether '{id}' has been already granted elsewhere."
        ),
        _ => format!(
            "Revoking '{id}' can trigger the specified 'loss-policy'(s) relating to '{id}': `crm_ticket --ticket {id} --constraints` shows them, `crm_ticket --ticket {id} --standby` stops what depends on it in order."
        ),
    };
    Failure {
        exit: Exit::InsufficientPriv,
        text: "Ticket modification not allowed".to_owned(),
        cure: Some(format!(
            "{why}\nIf this is wanted, and you know what you are doing, please specify --force."
        )),
    }
}

fn apply(cib: &mut Cib, id: &str, set: &[(String, String)], unset: Option<&str>, cleanup: bool) {
    let status = cib.section_mut(Section::Status);
    if status.first("tickets").is_none() {
        if cleanup || set.is_empty() {
            return;
        }
        status.children.push(Element::new("tickets"));
    }
    let Some(tickets) = status.first_mut("tickets") else {
        return;
    };
    if cleanup {
        tickets.children.retain(|t| t.id() != Some(id));
        return;
    }
    if !tickets.children.iter().any(|t| t.id() == Some(id)) {
        if set.is_empty() {
            return;
        }
        let new = Element::new("ticket_state").with("id", id);
        tickets.children.push(new.with("granted", "false"));
    }
    let mut states = tickets.children.iter_mut();
    let Some(state) = states.find(|t| t.id() == Some(id)) else {
        return;
    };
    for (name, value) in set {
        let grants = name == "granted" && cib::value::parse_bool(value).unwrap_or(false);
        if grants && !is_on(state, "granted") {
            state.set("last-granted", &backend::now_s().to_string());
        }
        state.set(name, value);
    }
    if let Some(name) = unset {
        state.unset(name);
    }
}

const COMMANDS: [&str; 13] = [
    "info",
    "details",
    "raw",
    "query-xml",
    "constraints",
    "grant",
    "revoke",
    "standby",
    "activate",
    "get-attr",
    "set-attr",
    "delete-attr",
    "cleanup",
];

/// crm_ticket(8).
pub(super) const OPTIONS: &[Opt] = &[
    flag('l', "info"),
    flag('L', "details"),
    flag('w', "raw"),
    flag('q', "query-xml"),
    flag('c', "constraints"),
    flag('g', "grant"),
    flag('r', "revoke"),
    flag('s', "standby"),
    flag('a', "activate"),
    with_value('G', "get-attr"),
    with_value('S', "set-attr"),
    with_value('D', "delete-attr"),
    flag('C', "cleanup"),
    with_value('v', "attr-value"),
    with_value('d', "default"),
    flag('f', "force"),
    with_value('t', "ticket"),
    with_value('n', "set-name"),
    with_value('i', "nvpair"),
    flag('Q', "quiet"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
];

const USAGE: &str = "usage: crm_ticket [-l|-L|-w|-q|-c] [-t TICKET] | -t TICKET -g|-r|-s|-a|-C [-f] | -t TICKET -G NAME | -S NAME -v VALUE | -D NAME";

#[cfg(test)]
mod tests {
    use super::super::backend::CibFile;
    use super::super::getopt;
    use super::*;

    #[test]
    fn a_ticket_from_grant_to_cleanup() {
        let text = r#"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config/><nodes/><resources/><constraints><rsc_ticket id="c" rsc="r" ticket="a" loss-policy="stop"/></constraints></configuration><status/></cib>"#;
        let mut backend = CibFile::in_memory(Cib::parse(text).unwrap());
        for (line, answer) in [
            ("-l", ""),
            ("-t a -l", "105"),
            ("-t a -g", "4"),
            ("-t a -g --force", ""),
            ("-w", "a\n"),
            ("-t a -G granted", "true\n"),
            ("-t a -s", ""),
            ("-t a -G standby", "true\n"),
            ("-t a -a", ""),
            ("-t a -S foo -v 1", ""),
            ("-t a -G foo", "1\n"),
            ("-t a -D foo", ""),
            ("-t a -G foo", "105"),
            ("-t a -G foo -d x", "x\n"),
            (
                "-t a -c",
                "Constraints XML:\n\n<rsc_ticket id=\"c\" rsc=\"r\" ticket=\"a\" loss-policy=\"stop\"/>\n",
            ),
            ("-t a -r", "4"),
            ("-t a -C", "4"),
            ("-t a -r -f", ""),
            ("-t a -G granted", "false\n"),
            ("-t a -C", "Cleaned up a\n"),
            ("-t a -q", "105"),
            ("-g", "64"),
            ("-t a -S foo", "64"),
        ] {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let mut console = Console::buffers();
            let found = getopt::parse(OPTIONS, &args).unwrap();
            let found = match run(&mut backend, &mut console, &found) {
                Ok(()) => console.into_texts().0,
                Err(failure) => failure.exit.code().to_string(),
            };
            assert_eq!(found, answer, "{line}");
        }
    }

    #[test]
    fn lines_as_monitors_read_them() {
        let state = Element::new("ticket_state")
            .with("id", "a")
            .with("granted", "true")
            .with("standby", "true");
        assert_eq!(line(&state, "a", false), "a\tgranted [standby]");
        assert_eq!(
            line(&state, "a", true),
            "a\tgranted [standby] (granted=true, standby=true)"
        );
    }
}
