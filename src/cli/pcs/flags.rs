//! Options, wherever they stand. A word like `-100` or `-INFINITY` is a score and no option.

use crate::cli::exit::Failure;
use crate::cli::getopt::{Opt, Value, flag, with_value};

/// Options that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    given: Vec<(&'static str, Option<String>)>,
}

/// Forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Cmd,
}

impl Flags {
    /// The option was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| *given == name)
    }

    /// Its last value.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let mut given = self.given.iter().rev().filter(|(given, _)| *given == name);
        given.next().and_then(|(_, value)| value.as_deref())
    }

    /// `-f FILE`: a CIB to work on instead of the cluster's.
    pub(super) fn file(&self) -> Option<&str> {
        self.value("file")
    }

    /// `--force`: no refusals for the user's own good.
    pub(super) fn force(&self) -> bool {
        self.has("force")
    }

    /// `--wait[=n]`: milliseconds.
    ///
    /// # Errors
    /// The value is no time.
    pub(super) fn wait_ms(&self) -> Result<Option<u64>, Failure> {
        if !self.has("wait") {
            return Ok(None);
        }
        let Some(text) = self.value("wait") else {
            return Ok(Some(super::super::crm::WAIT_MS_MAX));
        };
        let ms = cib::value::parse_interval_ms(text)
            .ok()
            .filter(|ms| *ms > 0);
        ms.map(Some).ok_or_else(|| {
            Failure::usage(format!(
                "{text} is not a valid number of seconds to wait: write --wait=30, or --wait alone for an hour"
            ))
        })
    }

    /// `--output-format=text|json|cmd`.
    ///
    /// # Errors
    /// Any other word.
    pub(super) fn format(&self) -> Result<Format, Failure> {
        match self.value("output-format") {
            None | Some("text") => Ok(Format::Text),
            Some("json") => Ok(Format::Json),
            Some("cmd") => Ok(Format::Cmd),
            Some(other) => Err(Failure::usage(format!(
                "Unknown value '{other}' for '--output-format' option. Supported values are: cmd, json, text"
            ))),
        }
    }

    /// Refuses what the command does not know.
    ///
    /// # Errors
    /// An option that would be without effect.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        let mut given = self.given.iter().map(|(name, _)| *name);
        let unknown = given.find(|name| !known.contains(name) && !EVERYWHERE.contains(name));
        let Some(name) = unknown else {
            return Ok(());
        };
        let shown = match name {
            "file" => "-f".to_owned(),
            name => format!("--{name}"),
        };
        Err(Failure::usage(format!(
            "Specified option '{shown}' is not supported in this command"
        )))
    }
}

/// Options and words of a command line.
///
/// # Errors
/// Unknown options, values that are missing or too many.
pub(super) fn parse(args: &[String]) -> Result<(Flags, Vec<String>), Failure> {
    let mut flags = Flags::default();
    let mut words = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            words.extend(args.by_ref().cloned());
        } else if let Some(long) = arg.strip_prefix("--") {
            let (name, glued) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let opt = find(|o| o.long == name && o.long != "file").ok_or_else(|| {
                let known: Vec<&str> = OPTIONS.iter().map(|o| o.long).collect();
                let near = super::words::nearest(name, known.iter().copied());
                let near = near.map(|n| format!(": is it --{n}?")).unwrap_or_default();
                Failure::usage(format!("option --{name} not recognized{near}"))
            })?;
            let value = match (opt.value, glued) {
                (Value::None, Some(_)) => {
                    return Err(Failure::usage(format!(
                        "option --{name} must not have an argument"
                    )));
                }
                (Value::Needed, None) => Some(next(&mut args, arg)?),
                (_, glued) => glued,
            };
            flags.given.push((opt.long, value));
        } else if arg.starts_with('-') && arg.len() > 1 && !is_score(arg) {
            let mut letters = arg.chars();
            let letter = letters.nth(1).unwrap_or_default();
            let rest = letters.as_str();
            let opt = find(|o| o.short == letter)
                .filter(|o| rest.is_empty() || o.value == Value::Needed)
                .ok_or_else(|| Failure::usage(format!("option {arg} not recognized")))?;
            let value = match (opt.value, rest) {
                (Value::Needed, "") => Some(next(&mut args, arg)?),
                (Value::Needed, rest) => Some(rest.to_owned()),
                _ => None,
            };
            flags.given.push((opt.long, value));
        } else {
            words.push(arg.clone());
        }
    }
    Ok((flags, words))
}

fn find(fits: impl Fn(&&Opt) -> bool) -> Option<&'static Opt> {
    OPTIONS.iter().find(fits)
}

fn next(args: &mut std::slice::Iter<'_, String>, option: &str) -> Result<String, Failure> {
    args.next()
        .cloned()
        .ok_or_else(|| Failure::usage(format!("option {option} requires an argument")))
}

/// `-100`, `-INFINITY`, `-inf`.
fn is_score(word: &str) -> bool {
    cib::value::Score::parse(word).is_ok()
}

/// Taken by every command.
const EVERYWHERE: [&str; 3] = ["debug", "help", "version"];

/// Every option that any command knows.
pub(super) const OPTIONS: [Opt; 38] = [
    with_value('f', "file"),
    // Of tutorials that log in to pcsd.
    with_value('u', "user"),
    with_value('p', "password"),
    Opt {
        short: '\0',
        long: "wait",
        value: Value::Optional,
    },
    flag('\0', "force"),
    flag('\0', "full"),
    flag('\0', "all"),
    flag('h', "help"),
    flag('\0', "version"),
    flag('\0', "debug"),
    flag('\0', "disabled"),
    flag('\0', "no-default-ops"),
    flag('\0', "agent-validation"),
    flag('\0', "brief"),
    flag('\0', "hide-inactive"),
    flag('\0', "legacy"),
    flag('\0', "nodesc"),
    flag('\0', "defaults"),
    flag('\0', "config"),
    flag('\0', "yes"),
    flag('\0', "strict"),
    flag('\0', "simulate"),
    flag('\0', "safe"),
    flag('\0', "no-strict"),
    flag('\0', "off"),
    flag('\0', "start"),
    flag('\0', "enable"),
    flag('\0', "no-cluster-uuid"),
    flag('\0', "autodelete"),
    flag('\0', "no-keys-sync"),
    flag('\0', "skip-offline"),
    with_value('\0', "group"),
    with_value('\0', "before"),
    with_value('\0', "after"),
    with_value('\0', "name"),
    with_value('\0', "output-format"),
    with_value('\0', "from"),
    with_value('\0', "to"),
];

/// Those that a command takes, for the manual page.
#[cfg(test)]
pub(in crate::cli) const OPTIONS_SHOWN: [&str; 20] = [
    "wait",
    "force",
    "full",
    "all",
    "disabled",
    "no-default-ops",
    "hide-inactive",
    "legacy",
    "nodesc",
    "off",
    "start",
    "enable",
    "group",
    "before",
    "after",
    "name",
    "output-format",
    "config",
    "from",
    "to",
];
