//! The command line of crm_simulate(8).

use super::inject::{Injections, OpSpec, TicketChange};
use crate::cli::exit::{Exit, Failure};
use crate::cli::getopt::{Found, Opt, flag, with_value};
use crate::view::printer::Form;
use scheduler::Asked;

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// `None` = the running cluster.
    pub(super) source: Option<String>,
    pub(super) process: bool,
    pub(super) simulate: bool,
    pub(super) in_place: bool,
    pub(super) scores: bool,
    pub(super) utilization: bool,
    /// Attributes of nodes are shown.
    pub(super) attributes: bool,
    /// Fail counts and failures are shown.
    pub(super) failcounts: bool,
    pub(super) quiet: bool,
    pub(super) verbose: bool,
    pub(super) xml: bool,
    /// As written, and in seconds since the epoch.
    pub(super) date: Option<(String, i64)>,
    pub(super) injections: Injections,
    /// Operations that fail when they are executed.
    pub(super) failures: Vec<OpSpec>,
    pub(super) save_input: Option<String>,
    pub(super) save_output: Option<String>,
    pub(super) save_graph: Option<String>,
    pub(super) save_dot: Option<String>,
    /// What is not done is drawn, too.
    pub(super) all_actions: bool,
    /// Folder with inputs to be timed.
    pub(super) profile: Option<String>,
    pub(super) repeat: u32,
}

impl Wanted {
    /// Reads the options.
    pub(super) fn read(found: &Found) -> Result<Self, Failure> {
        let text = |name: &str| found.value(name).map(str::to_owned);
        let simulate = ["simulate", "in-place", "op-fail"]
            .iter()
            .any(|o| found.has(o));
        let processing = [
            "run",
            "show-scores",
            "show-utilization",
            "save-graph",
            "save-dotfile",
        ];
        let wanted = Self {
            source: source(found),
            process: simulate || processing.iter().any(|o| found.has(o)),
            simulate,
            in_place: found.has("in-place"),
            scores: found.has("show-scores"),
            utilization: found.has("show-utilization"),
            attributes: found.has("show-attrs"),
            failcounts: found.has("show-failcounts"),
            quiet: found.has("quiet"),
            verbose: found.has("verbose"),
            xml: xml(found)?,
            date: date(found)?,
            injections: injections(found),
            failures: failures(found)?,
            save_input: text("save-input"),
            save_output: text("save-output"),
            save_graph: text("save-graph"),
            save_dot: text("save-dotfile"),
            all_actions: found.has("all-actions"),
            profile: text("profile"),
            repeat: repeat(found)?,
        };
        match (&wanted.source, wanted.in_place) {
            (None, true) => Err(Failure::usage(
                "--in-place needs --xml-file: the running cluster is never changed by a simulation",
            )),
            _ => Ok(wanted),
        }
    }

    /// How the answer looks. Lists with scores between them are plain.
    pub(super) fn form(&self) -> Form {
        match (self.xml, (self.scores || self.utilization)) {
            (true, _) => Form::Xml,
            (false, true) => Form::Plain,
            (false, false) => Form::Fancy,
        }
    }

    /// What the answer needs of a plan.
    pub(super) const fn asked(&self) -> Asked {
        let saved = self.save_graph.is_some() || self.save_dot.is_some();
        Asked {
            status: !self.quiet || self.simulate || !self.injections.operations.is_empty(),
            // Its circles are told of.
            graph: self.simulate || saved || self.verbose,
            reasons: false,
            scores: self.scores || self.utilization,
            drafts: self.save_dot.is_some(),
        }
    }

    /// Where the result goes.
    pub(super) fn save_output(&self) -> Option<&str> {
        let in_place = self.source.as_deref().filter(|_| self.in_place);
        self.save_output.as_deref().or(in_place)
    }
}

/// The last source named counts.
fn source(found: &Found) -> Option<String> {
    match found.last_of(&["xml-file", "xml-pipe", "live-check"])? {
        "xml-file" => found.value("xml-file").map(str::to_owned),
        "xml-pipe" => Some("-".to_owned()),
        _ => None,
    }
}

fn xml(found: &Found) -> Result<bool, Failure> {
    match found.value("output-as") {
        None | Some("text") => Ok(false),
        Some("xml") => Ok(true),
        Some(other) => Err(Failure::new(
            Exit::Usage,
            format!("--output-as={other} is not offered: there are text and xml"),
        )),
    }
}

fn date(found: &Found) -> Result<Option<(String, i64)>, Failure> {
    let Some(text) = found.value("set-datetime") else {
        return Ok(None);
    };
    match cib::date::epoch(text) {
        Some(at) => Ok(Some((text.to_owned(), at))),
        None => Err(Failure::usage(format!(
            "--set-datetime={text}: an ISO 8601 time is expected, such as 2026-11-21T18:00:00Z"
        ))),
    }
}

fn repeat(found: &Found) -> Result<u32, Failure> {
    let Some(text) = found.value("repeat") else {
        return Ok(1);
    };
    let count = text.parse().ok().filter(|n| (1..=REPEAT_MAX).contains(n));
    count.ok_or_else(|| {
        Failure::usage(format!(
            "--repeat={text}: a number from 1 to {REPEAT_MAX} is expected"
        ))
    })
}

fn injections(found: &Found) -> Injections {
    let all = |name: &str| -> Vec<String> { found.values(name).map(str::to_owned).collect() };
    let tickets = TICKET_CHANGES
        .iter()
        .flat_map(|(option, words, action, attribute, value)| {
            found.values(option).map(|id| TicketChange {
                id: id.to_owned(),
                words,
                action,
                attribute,
                value,
            })
        });
    Injections {
        quorum: found.value("quorum").map(str::to_owned),
        watchdog: found.value("watchdog").map(str::to_owned),
        nodes_up: all("node-up"),
        nodes_down: all("node-down"),
        nodes_failed: all("node-fail"),
        tickets: tickets.collect(),
        operations: all("op-inject"),
    }
}

fn failures(found: &Found) -> Result<Vec<OpSpec>, Failure> {
    let specs = found.values("op-fail").map(OpSpec::parse);
    specs.collect::<Result<_, _>>().map_err(Failure::usage)
}

/// Most repetitions of a profile.
const REPEAT_MAX: u32 = 1_000_000;

type TicketOption = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// Option, what is said of it, its name in XML, attribute and value.
const TICKET_CHANGES: [TicketOption; 4] = [
    (
        "ticket-grant",
        "Granting ticket {}",
        "Granting",
        "granted",
        "true",
    ),
    (
        "ticket-revoke",
        "Revoking ticket {}",
        "Revoking",
        "granted",
        "false",
    ),
    (
        "ticket-standby",
        "Making ticket {} standby",
        "Standby",
        "standby",
        "true",
    ),
    (
        "ticket-activate",
        "Activating ticket {}",
        "Activating",
        "standby",
        "false",
    ),
];

/// crm_simulate(8).
pub(in crate::cli) const OPTIONS: [Opt; 39] = [
    flag('R', "run"),
    flag('S', "simulate"),
    flag('X', "in-place"),
    flag('s', "show-scores"),
    flag('U', "show-utilization"),
    flag('A', "show-attrs"),
    flag('c', "show-failcounts"),
    with_value('P', "profile"),
    with_value('N', "repeat"),
    with_value('u', "node-up"),
    with_value('d', "node-down"),
    with_value('f', "node-fail"),
    with_value('i', "op-inject"),
    with_value('F', "op-fail"),
    with_value('t', "set-datetime"),
    with_value('q', "quorum"),
    with_value('w', "watchdog"),
    with_value('g', "ticket-grant"),
    with_value('r', "ticket-revoke"),
    with_value('b', "ticket-standby"),
    with_value('e', "ticket-activate"),
    with_value('I', "save-input"),
    with_value('O', "save-output"),
    with_value('G', "save-graph"),
    with_value('D', "save-dotfile"),
    flag('a', "all-actions"),
    flag('j', "pending"),
    flag('L', "live-check"),
    with_value('x', "xml-file"),
    flag('p', "xml-pipe"),
    flag('V', "verbose"),
    flag('Q', "quiet"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    flag('\0', "help-all"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
    flag('\0', "text-fancy"),
];

pub(super) const USAGE: &str = "\
usage: crm_simulate [-L | -x FILE | -p] [-R | -S | -X] [-s] [-U] [-A] [-c] [-Q] [-V] [--output-as=text|xml]
       [-u|-d|-f NODE] [-i|-F RESOURCE_OPERATION_INTERVAL@NODE=RC] [-q 0|1] [-w 0|1] [-t TIME]
       [-g|-r|-b|-e TICKET] [-I|-O|-G|-D FILE]
       crm_simulate -P FOLDER [-N COUNT]";
