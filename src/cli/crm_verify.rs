//! `crm_verify`: is the configuration sound, the running one or one in a file?

use super::backend;
use super::console::Console;
use super::crm::describe_finding;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::{self, Tool};
use cib::Cib;
use cib::check::Severity;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, |console, found| verify(&read(found)?, console))
}

const TOOL: Tool = Tool {
    name: "crm_verify",
    options: &OPTIONS,
    usage: USAGE,
    prefix: "",
};

/// The CIB to look at.
fn read(found: &Found) -> Result<Cib, Failure> {
    if found.has("live-check") {
        let mut backend = backend::open()?;
        return backend::cib(backend.as_mut(), true);
    }
    let none =
        "No configuration source specified: say -L for the running one, -x FILE, -X XML or -p";
    let text = tool::xml_input(found)?.ok_or_else(|| Failure::usage(none))?;
    Ok(Cib::parse(&text)?)
}

fn verify(cib: &Cib, console: &mut Console) -> Result<(), Failure> {
    let findings = cib::check::verify(cib);
    for finding in &findings {
        match finding.severity {
            Severity::Error => {
                console.err_line(&format!("   error: {}", describe_finding(finding)))
            }
            Severity::Warning => {
                console.err_line(&format!("   warning: {}", describe_finding(finding)));
            }
        }
    }
    match findings.iter().any(|f| f.severity == Severity::Error) {
        true => Err(Failure::new(
            Exit::Config,
            "Errors found during check: config not valid",
        )),
        false => Ok(()),
    }
}

/// crm_verify(8).
pub(super) const OPTIONS: [Opt; 9] = [
    flag('L', "live-check"),
    flag('p', "xml-pipe"),
    flag('V', "verbose"),
    flag('q', "quiet"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    with_value('x', "xml-file"),
    with_value('X', "xml-text"),
];

const USAGE: &str = "usage: crm_verify -L | -x FILE | -X XML | -p";
