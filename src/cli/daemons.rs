//! `pacemaker-schedulerd metadata` and its like: which options there are, for front ends that ask
//! Pacemaker's daemons for them, and which version it is. The daemon is another.

use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag};
use super::options::Daemon;
use super::pacemakerd;
use super::tool::Tool;

/// The whole program under the name of `daemon`.
#[must_use]
pub(crate) fn main(daemon: Daemon, args: &[String]) -> Exit {
    let tool = Tool {
        name: daemon.name(),
        options: OPTIONS,
        usage: USAGE,
        prefix: "",
    };
    tool.alone(args, |console, found| run(daemon, console, found))
}

fn run(daemon: Daemon, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let words: Vec<&str> = found.words.iter().map(String::as_str).collect();
    match (daemon, words.as_slice()) {
        (_, ["metadata"]) => console.print(&daemon.metadata()),
        // crmsh takes the third word (crmsh/utils.py, `get_pcmk_version`).
        (Daemon::Controller, ["version"]) => {
            let (version, build) = pacemakerd::numbers();
            console.line(&format!("CRM Version: {version} ({build})"));
        }
        // Whoever starts it by hand, or by a unit of his own, wants the daemon.
        _ => return Err(Failure::usage(pacemakerd::THE_DAEMON)),
    }
    Ok(())
}

/// Those of 2.1.5 that make sense without a daemon.
pub(super) const OPTIONS: &[Opt] = &[
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
];

const USAGE: &str = "usage: pacemaker-based|pacemaker-controld|pacemaker-fenced|pacemaker-schedulerd metadata | --version, pacemaker-controld version (the daemon is mainstayd)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::getopt;

    #[test]
    fn who_wants_the_daemon_is_told_which_it_is() {
        for words in [&[][..], &["-V"], &["meta-data"], &["metadata", "more"]] {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            let found = getopt::parse(OPTIONS, &words).unwrap();
            let mut console = Console::buffers();
            let failure = run(Daemon::Controller, &mut console, &found).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.text.contains("the daemon is mainstayd"));
            assert_eq!(console.into_texts().0, "", "{words:?}");
        }
    }

    #[test]
    fn crmsh_finds_the_version() {
        let found = getopt::parse(OPTIONS, &["version".to_owned()]).unwrap();
        let mut console = Console::buffers();
        run(Daemon::Controller, &mut console, &found).unwrap();
        let (text, _) = console.into_texts();
        let third = text.split_whitespace().nth(2);
        assert_eq!(third, Some(pacemakerd::numbers().0), "{text}");
        // As in Pacemaker, only there.
        run(Daemon::Scheduler, &mut Console::buffers(), &found).unwrap_err();
    }
}
