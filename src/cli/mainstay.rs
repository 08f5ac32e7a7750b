//! `mainstay VERB`: what no other cluster's command line has.

use super::backend;
use super::console::Console;
use super::exit::{Exit, Failure};
use crate::view;
use clap::{Parser, Subcommand, ValueEnum};
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
        Ok(exit) => exit.into(),
        Err(failure) => {
            console.err_line(&format!("mainstay: {failure}"));
            if let Some(cure) = &failure.cure {
                console.err_line(cure);
            }
            failure.exit.into()
        }
    }
}

fn run(verb: &Verb, console: &mut Console) -> Result<Exit, Failure> {
    match verb {
        Verb::Status { output } => {
            let mut backend = backend::open()?;
            let status = backend::status(backend.as_mut())?;
            match output {
                Output::Json => {
                    let text = serde_json::to_string_pretty(&status)
                        .map_err(|e| Failure::new(Exit::Error, e.to_string()))?;
                    console.line(&text);
                }
                Output::Text => {
                    let options = view::text::Options {
                        inactive: true,
                        failcounts: true,
                        ..view::text::Options::default()
                    };
                    console.print(&view::text::document(&status, options));
                    for risk in view::risks(&status) {
                        console.warning(&risk);
                    }
                }
            }
            Ok(Exit::Ok)
        }
    }
}
