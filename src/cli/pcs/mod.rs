//! `pcs`: the other command line that tutorials teach. Levels and words of pcs 0.11, one module per
//! top-level verb; what happens is the same as with `crm`.

mod agent;
mod alert;
mod change;
mod cluster;
pub(super) mod complete;
mod config;
mod constraint;
mod corosync_conf;
mod flags;
mod ids;
mod level;
mod node;
mod property;
mod quorum;
mod resource;
mod setup;
mod status;
mod stonith;
mod tag;
#[cfg(test)]
mod tests;
mod words;

use super::backend::{Backend, Lazy};
use super::console::Console;
use super::crm::agents::Agents;
use super::crm::words::{TYPOGRAPHY, without_typography};
use super::exit::{Exit, Failure};
use super::outcome::Watch;
use crate::paths::Paths;
use flags::Flags;
#[cfg(test)]
pub(super) use flags::OPTIONS_SHOWN;
#[cfg(test)]
pub(super) use level::Act;
pub(super) use level::Level;
pub(super) use words::is_it;

/// What a verb works with.
pub(super) struct Context<'a> {
    /// Whom to ask.
    backend: &'a mut dyn Backend,
    /// Where the words go.
    console: &'a mut Console,
    /// Agents of this machine.
    agents: Agents,
    /// Where things lie.
    paths: Paths,
    /// Options of the command line.
    flags: Flags,
    /// What is waited for, with `--wait`.
    watch: Option<Watch>,
}

/// The whole program; `args` without its name. Exit code 0 or 1, as pcs.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    let mut console = Console::process();
    let (flags, words) = match flags::parse(args) {
        Ok(parsed) => parsed,
        Err(failure) => return report(&mut console, &failure),
    };
    let mut backend = Lazy::new(flags.file().map(str::to_owned));
    let paths = Paths::from_env();
    run(&mut backend, &mut console, paths, flags, &words)
}

/// One command line.
fn run(
    backend: &mut dyn Backend,
    console: &mut Console,
    paths: Paths,
    flags: Flags,
    words: &[String],
) -> Exit {
    if flags.has("version") {
        console.line(VERSION);
        return Exit::Ok;
    }
    let help = flags.has("help");
    let mut context = Context {
        backend,
        console,
        agents: Agents::new(paths.clone()),
        paths,
        flags,
        watch: None,
    };
    let mut words = words.to_vec();
    for word in &mut words {
        if let Some(plain) = without_typography(word, "") {
            context.warning(TYPOGRAPHY);
            *word = plain;
        }
    }
    let done = match (help, words.as_slice()) {
        (true, words) => ROOT.help(&mut context, words),
        (false, [first, rest @ ..]) if first == "help" => ROOT.help(&mut context, rest),
        (false, words) => ROOT.run(&mut context, words),
    };
    match done {
        Ok(()) => Exit::Ok,
        Err(failure) => report(context.console, &failure),
    }
}

fn report(console: &mut Console, failure: &Failure) -> Exit {
    console.err_line(&format!("Error: {}", failure.text));
    if let Some(cure) = &failure.cure {
        console.err_line(cure);
    }
    Exit::Error
}

/// All top-level verbs.
pub(super) const ROOT: Level = Level {
    path: "pcs",
    alone: None,
    rest: None,
    verbs: &[
        level::below("alert", &alert::LEVEL),
        level::below("cluster", &cluster::LEVEL),
        level::below("config", &config::LEVEL),
        level::below("constraint", &constraint::LEVEL),
        level::below("node", &node::LEVEL),
        level::below("property", &property::LEVEL),
        level::below("quorum", &quorum::LEVEL),
        level::below("resource", &resource::LEVEL),
        level::below("status", &status::LEVEL),
        level::below("stonith", &stonith::LEVEL),
        level::below("tag", &tag::LEVEL),
        level::refused(
            "acl",
            "access control lists are not enforced in this version; members of the group haclient may use the cluster",
        ),
        level::refused(
            "host",
            "no passwords are needed: make the cluster with `pcs cluster setup`, and let the next machine in with `pcs cluster node add`, which says what to run there",
        ),
        level::refused(
            "pcsd",
            "there is no pcsd: the nodes talk to each other through mainstayd",
        ),
        level::refused("client", "there is no pcsd to log in to"),
        level::refused(
            "booth",
            "tickets are granted and revoked with `crm_ticket`; booth itself is not offered",
        ),
        level::refused(
            "qdevice",
            "the witness is `quorum { device { model: net … } }` in corosync.conf, and mainstay-witness(8) on the machine it names",
        ),
        level::refused("dr", "one cluster is served in this version"),
    ],
};

/// The version of pcs whose command lines these are.
const VERSION: &str = "0.11.5";
/// Under which changes are recorded.
const CLIENT: &str = "pcs";
