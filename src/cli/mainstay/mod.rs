//! `mainstay VERB`: what no other cluster's command line has.

mod conflict;
mod doctor;
mod history;
mod import;
mod lint;
mod members;
mod past;
mod quorum;
mod store;
mod verbs;
mod vip;
mod why;

pub(super) use doctor::{report as doctor_report, run as doctor};
pub(super) use members::{address_on, init, join};
pub(super) use past::{by_name as find_decision, point_in_time};

use super::backend::{self, Backend, ask_done};
use super::complete;
use super::console::Console;
use super::exit::{Exit, Failure};
use super::plan;
use super::table::COMMANDS;
use crate::ipc::Request;
use crate::view;
use clap::Parser as _;
use clap::error::ErrorKind;
use std::process::ExitCode;
use verbs::{Arguments, CibVerb, KeyVerb, NodeVerb, Output, QuorumVerb, TokenVerb, Verb};

/// The whole program; `args` without its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let name = std::iter::once("mainstay".to_owned());
    let arguments = match Arguments::try_parse_from(name.chain(args.iter().cloned())) {
        Ok(arguments) => arguments,
        // Where a subcommand is missing the help is the answer, and says what there is.
        Err(error)
            if error.use_stderr()
                && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            eprint!("{}", in_short(&error.to_string()));
            return Exit::Usage.into();
        }
        Err(error) => {
            let _ = error.print();
            if !error.use_stderr() && args.len() <= 1 {
                print!("{}", other_commands());
            }
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            }
            .into();
        }
    };
    let mut console = Console::process();
    match run(&arguments.verb, &mut console) {
        Ok(code) => code,
        Err(failure) => {
            console.err_line(&format!("mainstay: {failure}"));
            if let Some(cure) = &failure.cure {
                console.err_line(cure);
            }
            failure.exit.into()
        }
    }
}

/// What the parser says of a wrong command line, in the form of all other commands: the mistake in one
/// line, then how it is written.
fn in_short(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let told = lines.filter(|l| !l.is_empty() && !l.starts_with("For more information"));
    let (usage, said): (Vec<&str>, Vec<&str>) = told.partition(|l| l.starts_with("Usage:"));
    let said = said.join(" ").replace(" tip: ", "; ");
    let mut short = format!(
        "mainstay: {}\n",
        said.strip_prefix("error: ").unwrap_or(&said)
    );
    for line in usage {
        short.push_str(&line.replacen("Usage:", "usage:", 1));
        short.push('\n');
    }
    short
}

/// The command line's definition.
pub(crate) fn definition() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

fn other_commands() -> String {
    let mut text = String::from("\nAlso as a program of its own, or as the first word:\n");
    for command in COMMANDS.iter().filter(|c| c.name != "mainstay") {
        text.push_str(&format!("  {:<16} {}\n", command.name, command.summary));
    }
    text
}

fn run(verb: &Verb, console: &mut Console) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Check => return Ok(ExitCode::from(check(console))),
        Verb::Doctor => return Ok(doctor::run(console).into()),
        Verb::Lint { file } => return lint::run(file.as_deref(), console).map(ExitCode::from),
        Verb::Complete { program, words } => complete::run(program, words, console),
        Verb::Store(verb) => return store::run(verb, console).map(ExitCode::from),
        Verb::Quorum(QuorumVerb::Simulate { conf, script }) => {
            quorum::simulate(conf, script, console)?;
        }
        Verb::Quorum(QuorumVerb::ExpectedVotes { votes }) => {
            let request = Request::ExpectVotes { votes: *votes };
            console.line(&asked(|b| ask_done(b, &request))?);
        }
        Verb::Cib(CibVerb::Conflict(verb)) => conflict::run(verb, console)?,
        Verb::Import(wishes) => import::run(wishes, console)?,
        Verb::Why {
            resource,
            node,
            at,
            transition,
        } => {
            let past = past::Past::of(at.as_deref(), transition.as_deref());
            let decision = past::decision(past.as_ref())?;
            let text = why::explain(&decision.plan, resource, node.as_deref());
            let text = text.map_err(|failure| decision.unknown(resource, failure))?;
            console.print(&decision.heading);
            console.print(&text);
        }
        Verb::Status { output } => status(&asked(backend::status)?, *output, console)?,
        Verb::Plan => plan::print(console, &asked(backend::plan)?),
        Verb::Vip { output } => vip::show(&asked(backend::status)?, *output, console)?,
        Verb::Net { output } => net(*output, console)?,
        Verb::History { verb } => asked(|b| history::run(verb.as_ref(), b, console))?,
        Verb::Reload => console.line(&asked(|b| ask_done(b, &Request::Reload))?),
        Verb::Init {
            cluster_name,
            name,
            address,
        } => {
            members::init(cluster_name, name.as_deref(), address, &[], console)?;
            console.line("Start mainstayd now (systemctl start mainstay); then `mainstay token create` lets the next one in.");
        }
        Verb::Join {
            host,
            token,
            token_file,
            name,
            address,
        } => {
            let token = members::read_token(token.as_deref(), token_file.as_deref())?;
            members::join(host, &token, name.as_deref(), address, console)?;
        }
        Verb::Token(TokenVerb::Create { valid }) => {
            asked(|b| members::token(b, *valid, console))?;
        }
        Verb::Node(verb) => asked(|b| node(verb, b, console))?,
        Verb::Key(verb) => asked(|b| key(verb, b, console))?,
        Verb::MinVersion { version } => {
            let version = *version;
            console.line(&asked(|b| ask_done(b, &Request::MinVersion { version }))?);
        }
        Verb::Fence { node, action, yes } => fence(node, action, *yes, console)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What the cluster, or the file that stands for it, answers.
fn asked<T>(ask: impl FnOnce(&mut dyn Backend) -> Result<T, Failure>) -> Result<T, Failure> {
    ask(backend::open()?.as_mut())
}

fn node(verb: &NodeVerb, backend: &mut dyn Backend, console: &mut Console) -> Result<(), Failure> {
    match verb {
        NodeVerb::Remove { node, force } => members::remove(backend, node, *force, console),
        NodeVerb::Rename { node, name } => {
            let (node, name) = (node.clone(), name.clone());
            console.line(&ask_done(backend, &Request::NodeRename { node, name })?);
            Ok(())
        }
    }
}

fn key(verb: &KeyVerb, backend: &mut dyn Backend, console: &mut Console) -> Result<(), Failure> {
    match verb {
        KeyVerb::Rotate { no_wait } => members::rotate(backend, !no_wait, console),
        KeyVerb::Status => members::key_status(backend, console),
        KeyVerb::Abandon { node } => {
            let node = node.clone();
            console.line(&ask_done(backend, &Request::KeyAbandon { node })?);
            Ok(())
        }
    }
}

fn fence(node: &str, action: &str, yes: bool, console: &mut Console) -> Result<(), Failure> {
    if !yes {
        return Err(Failure {
            exit: Exit::Unsafe,
            text: format!("fencing cuts the power of {node}"),
            cure: Some(format!(
                "say `mainstay fence {node} --yes` if it shall be done"
            )),
        });
    }
    let (node, action) = (node.to_owned(), action.to_owned());
    console.line(&asked(|b| ask_done(b, &Request::Fence { node, action }))?);
    Ok(())
}

fn net(output: Output, console: &mut Console) -> Result<(), Failure> {
    let net = asked(super::corosync::net)?;
    console.print(&match output {
        Output::Text => view::net::text(&net),
        Output::Json => json(&net)?,
    });
    Ok(())
}

fn json(what: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(what);
    let text = text.map_err(|e| Failure::new(Exit::Error, e.to_string()))?;
    Ok(text + "\n")
}

fn status(status: &view::Status, output: Output, console: &mut Console) -> Result<(), Failure> {
    if output == Output::Json {
        console.print(&json(status)?);
        return Ok(());
    }
    let options = view::text::Options {
        inactive: true,
        failcounts: !status.failcounts.is_empty(),
        ..view::text::Options::default()
    };
    console.print(&view::text::document(status, options));
    console.print(&view::own::document(status));
    Ok(())
}

/// Nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
fn check(console: &mut Console) -> u8 {
    let asked = backend::open().and_then(|mut b| backend::status(b.as_mut()));
    match asked {
        Ok(status) => {
            let (line, code) = view::nagios::check(&status);
            console.line(&line);
            code
        }
        Err(failure) if failure.exit == Exit::Disconnect => {
            console.line(&format!("MAINSTAY CRITICAL - {failure}"));
            2
        }
        Err(failure) => {
            console.line(&format!("MAINSTAY UNKNOWN - {failure}"));
            3
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_command_line_is_one_line_and_its_form() {
        for (line, told) in [
            (
                "nod remove x",
                "mainstay: unrecognized subcommand 'nod'; a similar subcommand exists: 'node'\nusage: mainstay <COMMAND>\n",
            ),
            (
                "import",
                "mainstay: the following required arguments were not provided: <FILES>...\nusage: mainstay import <FILES>...\n",
            ),
            (
                "token create --valid 1",
                "mainstay: invalid value '1' for '--valid <VALID>': 1 is not in 60..=604800\n",
            ),
        ] {
            let words = std::iter::once("mainstay").chain(line.split(' '));
            let error = Arguments::try_parse_from(words).unwrap_err();
            assert_eq!(in_short(&error.to_string()), told, "{line}");
        }
    }
}
