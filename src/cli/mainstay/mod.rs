//! `mainstay VERB`: what no other cluster's command line has.

mod doctor;
mod history;
mod import;
mod past;
mod store;
mod vip;
mod why;

use super::backend::{self, ask_done};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::table::COMMANDS;
use crate::ipc::Request;
use crate::view;
use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "mainstay",
    version,
    about = "A cluster's status, explanations, checks and upkeep"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// How the cluster stands, and what is risky about it
    Status {
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Why a resource is where it is, and not elsewhere
    Why {
        /// The resource
        resource: String,
        /// Of this node alone
        #[arg(long)]
        node: Option<String>,
        /// As of this time: ISO 8601, local where no offset is given
        #[arg(long, value_name = "TIME", conflicts_with = "transition")]
        at: Option<String>,
        /// As of a kept decision: its number, its name such as pe-input-17, or a CIB in a file
        #[arg(long, value_name = "N")]
        transition: Option<String>,
    },
    /// What the cluster would do next
    Plan,
    /// One line for monitoring, with performance data: exit code 0, 1, 2 or 3
    Check,
    /// Look for what is wrong with this node's set-up
    Doctor,
    /// Floating addresses: who holds them, by which lease, and how they came there
    Vip {
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Links, round trips and losses, ways through other nodes, and who hears whom
    Net {
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Fence a node by hand
    Fence {
        /// The node
        node: String,
        /// What the device shall do: reboot or off
        #[arg(long, default_value = "reboot")]
        action: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Read corosync.conf again
    Reload,
    /// The versions of the configuration that are kept: who changed what, when
    History {
        #[command(subcommand)]
        verb: Option<HistoryVerb>,
    },
    /// Take over files of Corosync, Pacemaker and keepalived, and tell what becomes of each line
    Import {
        /// corosync.conf, authkey, files of service.d, cib.xml, sysconfig files, keepalived.conf
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Tell only
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Unknown keys are remarks only
        #[arg(long)]
        lenient: bool,
        /// Node that the files come from; this one when not given
        #[arg(long)]
        node: Option<String>,
    },
    /// This node's store, while the daemon is down
    #[command(subcommand)]
    Store(StoreVerb),
}

#[derive(Debug, Subcommand)]
enum HistoryVerb {
    /// Number, time, user, program and node of each; the default
    List,
    /// The configuration as it was
    Show {
        /// The version's number
        number: u64,
        /// The whole CIB as XML
        #[arg(long)]
        xml: bool,
    },
    /// What changed between two versions
    Diff {
        /// The older version's number
        old: u64,
        /// The newer version's; the configuration as it is now when not given
        new: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
enum StoreVerb {
    /// Read and check everything in it
    Verify,
    /// Write everything in it as text
    Export {
        /// Where to; standard output when not given
        file: Option<PathBuf>,
    },
    /// Make a new store from an export
    Import {
        /// The export
        file: PathBuf,
    },
    /// Move the store aside, so that the node starts as a new one
    Reset {
        /// Said by somebody who knows that what this node promised is forgotten
        #[arg(long)]
        yes_lose_state: bool,
    },
}

/// Forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// The whole program; `args` without its name.
#[must_use]
pub(crate) fn main(args: &[String]) -> ExitCode {
    let name = std::iter::once("mainstay".to_owned());
    let arguments = match Arguments::try_parse_from(name.chain(args.iter().cloned())) {
        Ok(arguments) => arguments,
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

/// The command line's definition, for the check of its manual page.
#[cfg(test)]
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
        Verb::Import {
            files,
            dry_run,
            lenient,
            node,
        } => {
            let wishes = import::Wishes {
                dry_run: *dry_run,
                lenient: *lenient,
                node: node.clone(),
            };
            return import::run(files, &wishes, console).map(|()| ExitCode::SUCCESS);
        }
        Verb::Store(verb) => return store::run(verb, console).map(ExitCode::from),
        Verb::Why {
            resource,
            node,
            at,
            transition,
        } => {
            let past = past::Past::of(at.as_deref(), transition.as_deref());
            let (heading, plan) = past::plan(past.as_ref())?;
            let text = why::explain(&plan, resource, node.as_deref())?;
            console.print(&heading);
            console.print(&text);
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let mut backend = backend::open()?;
    let backend = backend.as_mut();
    match verb {
        Verb::Status { output } => status(&backend::status(backend)?, *output, console)?,
        Verb::Plan => plan(&backend::plan(backend)?, console),
        Verb::Vip { output } => vip::show(&backend::status(backend)?, *output, console)?,
        Verb::Net { output } => {
            let net = super::corosync::net(backend)?;
            console.print(&match output {
                Output::Text => view::net::text(&net),
                Output::Json => json(&net)?,
            });
        }
        Verb::History { verb } => history::run(verb.as_ref(), backend, console)?,
        Verb::Reload => {
            let text = ask_done(backend, &Request::Reload)?;
            console.line(&text);
        }
        Verb::Fence { node, action, yes } => {
            if !yes {
                return Err(Failure {
                    exit: Exit::Unsafe,
                    text: format!("fencing cuts the power of {node}"),
                    cure: Some(format!(
                        "say `mainstay fence {node} --yes` if it shall be done"
                    )),
                });
            }
            let (node, action) = (node.clone(), action.clone());
            let text = ask_done(backend, &Request::Fence { node, action })?;
            console.line(&text);
        }
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
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

fn plan(plan: &scheduler::Plan, console: &mut Console) {
    for text in &plan.errors {
        console.error(text);
    }
    for text in &plan.warnings {
        console.warning(text);
    }
    console.line("Transition Summary:");
    for line in &plan.summary {
        console.line(&format!("  * {line}"));
    }
    if plan.summary.is_empty() {
        console.line("  * nothing to do");
    }
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
