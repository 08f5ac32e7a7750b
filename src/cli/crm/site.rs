//! `crm site`: the tickets by which clusters of several sites agree on who runs what.

use super::Context;
use super::usage::misused;
use crate::cli::exit::{Exit, Failure};
use crate::cli::pcs::is_it;
use crate::cli::{crm_ticket, getopt};

/// Verbs of the level.
pub(super) const VERBS: [&str; 1] = ["ticket"];

/// `ticket SUBCOMMAND TICKET`.
pub(super) fn run(context: &mut Context<'_>, _: &str, words: &[String]) -> Result<(), Failure> {
    let [subcommand, ticket] = words else {
        return Err(misused());
    };
    match subcommand.as_str() {
        "show" => ask(context, ticket, &["--details"]),
        "time" => ask(context, ticket, &["--get-attr", "last-granted"]),
        "standby" => ask(context, ticket, &["--standby"]),
        "activate" => ask(context, ticket, &["--activate"]),
        "grant" => {
            let question = format!(
                "Nothing here knows whether another site has {ticket}, and both would run what it lets run. Is it granted nowhere else?"
            );
            sure(context, ticket, &question, &["--grant"])
        }
        "revoke" => {
            let question =
                format!("What depends on {ticket} may be stopped, or nodes fenced. Go on?");
            sure(context, ticket, &question, &["--revoke"])
        }
        "delete" => {
            let question =
                format!("What depends on {ticket} may be stopped, or nodes fenced. Go on?");
            sure(context, ticket, &question, &["--cleanup"])
        }
        other => Err(Failure::usage(format!(
            "ticket: expected one of {}{}",
            SUBCOMMANDS.join(", "),
            is_it(other, SUBCOMMANDS)
        ))),
    }
}

fn sure(
    context: &mut Context<'_>,
    ticket: &str,
    question: &str,
    words: &[&str],
) -> Result<(), Failure> {
    if !context.confirm(question)? {
        return Ok(());
    }
    ask(context, ticket, &[words, &["--force"]].concat())
}

/// As `crm_ticket` with these words does it.
fn ask(context: &mut Context<'_>, ticket: &str, words: &[&str]) -> Result<(), Failure> {
    let words = [words, &["--ticket", ticket]].concat();
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let found = getopt::parse(crm_ticket::OPTIONS, &words)?;
    let asked = crm_ticket::run(&mut context.backend, context.console, &found);
    asked.map_err(|failure| match failure.exit {
        Exit::NoSuch => Failure::no_such(format!("apparently nothing to show for ticket {ticket}")),
        _ => failure,
    })
}

/// What may be done with a ticket.
pub(super) const SUBCOMMANDS: [&str; 7] = [
    "grant", "revoke", "delete", "standby", "activate", "show", "time",
];
