//! The tree of verbs: finding the verb a command line means, refusing what it does not know.

use super::Context;
use super::words::is_it;
use crate::cli::exit::{Exit, Failure};
use crate::cli::outcome::Watch;
use std::fmt::Write as _;

/// A word under which there are others.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Level {
    /// The words that lead here, `pcs resource`.
    pub(super) path: &'static str,
    /// The verb that is meant when none is given.
    pub(super) alone: Option<&'static str>,
    /// What runs when the first word is none of the verbs.
    pub(super) rest: Option<Verb>,
    /// Its verbs.
    pub(in crate::cli) verbs: &'static [Verb],
}

/// A verb of a level.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Verb {
    /// The word.
    pub(in crate::cli) name: &'static str,
    /// What may follow, in short.
    pub(super) usage: &'static str,
    /// Options it knows.
    pub(super) flags: &'static [&'static str],
    /// What it does.
    pub(in crate::cli) act: Act,
}

/// What a verb does.
#[derive(Clone, Copy)]
pub(in crate::cli) enum Act {
    /// It acts.
    Run(fn(&mut Context<'_>, &[String]) -> Result<(), Failure>),
    /// It has verbs of its own.
    Below(&'static Level),
    /// It is another name of that verb.
    As(&'static str),
    /// It is not offered; what to do instead.
    Refused(&'static str),
}

/// A verb that acts.
pub(super) const fn verb(
    name: &'static str,
    usage: &'static str,
    flags: &'static [&'static str],
    run: fn(&mut Context<'_>, &[String]) -> Result<(), Failure>,
) -> Verb {
    Verb {
        name,
        usage,
        flags,
        act: Act::Run(run),
    }
}

/// A verb with verbs of its own.
pub(super) const fn below(name: &'static str, level: &'static Level) -> Verb {
    Verb {
        name,
        usage: "",
        flags: &[],
        act: Act::Below(level),
    }
}

/// Another name of a verb.
pub(super) const fn also(name: &'static str, verb: &'static str) -> Verb {
    Verb {
        name,
        usage: "",
        flags: &[],
        act: Act::As(verb),
    }
}

/// A verb that is not offered.
pub(super) const fn refused(name: &'static str, cure: &'static str) -> Verb {
    Verb {
        name,
        usage: "",
        flags: &[],
        act: Act::Refused(cure),
    }
}

impl Level {
    /// Carries out a command line.
    ///
    /// # Errors
    /// The verb's own; a verb that there is not.
    pub(super) fn run(&self, context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
        let (name, rest) = match (words, self.alone) {
            ([name, rest @ ..], _) => (name.as_str(), rest),
            ([], Some(alone)) => (alone, words),
            ([], None) => {
                return Err(Failure::usage(format!(
                    "{}: say what to do: {}",
                    self.path,
                    self.names().join(", ")
                )));
            }
        };
        let (verb, rest) = match (self.find(name), &self.rest) {
            (Some(verb), _) => (verb, rest),
            (None, Some(other)) => (other, words),
            (None, None) => return Err(self.unknown(name)),
        };
        match verb.act {
            Act::Below(level) => level.run(context, rest),
            Act::As(_) => Err(self.unknown(name)),
            Act::Refused(cure) => Err(Failure::new(
                Exit::Unimplemented,
                format!("{} {name} is not offered: {cure}", self.path),
            )),
            Act::Run(run) => {
                context.flags.only(verb.flags)?;
                // Before anything is changed.
                let waits = context.flags.wait_ms()?.is_some() && verb.flags.contains(&"file");
                context.flags.format()?;
                if waits {
                    context.watch = Watch::begin(context.backend)?;
                }
                run(context, rest).map_err(|failure| self.with_usage(verb, failure))
            }
        }
    }

    /// The verb of that name.
    fn find(&self, name: &str) -> Option<&Verb> {
        let verb = self.verbs.iter().find(|v| v.name == name)?;
        match verb.act {
            Act::As(other) => self.verbs.iter().find(|v| v.name == other),
            _ => Some(verb),
        }
    }

    fn names(&self) -> Vec<&'static str> {
        let offered = |v: &&Verb| !matches!(v.act, Act::Refused(_) | Act::As(_));
        let verbs = self.verbs.iter().filter(offered);
        verbs.map(|v| v.name).collect()
    }

    fn unknown(&self, name: &str) -> Failure {
        // Other names and what is not offered are near, too; the list is of what there is.
        let near = is_it(name, self.verbs.iter().map(|v| v.name));
        let near = match near.is_empty() {
            true => format!("; there are {}", self.names().join(", ")),
            false => near,
        };
        Failure::usage(format!("{} has no command `{name}`{near}", self.path))
    }

    /// An empty failure of usage stands for the usage itself.
    fn with_usage(&self, verb: &Verb, failure: Failure) -> Failure {
        if failure.exit != Exit::Usage || failure.text != MISUSED {
            return failure;
        }
        let words = [self.path, verb.name, verb.usage];
        let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
        Failure::usage(format!("usage: {}", words.join(" ")))
    }

    /// Prints how the verbs below these words are called.
    ///
    /// # Errors
    /// A verb that there is not.
    pub(super) fn help(&self, context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
        let [name, rest @ ..] = words else {
            let mut text = String::from("Usage:\n");
            self.list(&mut text);
            context.console.print(&text);
            return Ok(());
        };
        let verb = self.find(name).ok_or_else(|| self.unknown(name))?;
        match verb.act {
            Act::Below(level) => level.help(context, rest),
            _ => {
                let mut text = String::from("Usage:\n");
                self.line(verb, &mut text);
                context.console.print(&text);
                Ok(())
            }
        }
    }

    fn list(&self, text: &mut String) {
        if let Some(verb) = &self.rest {
            self.line(verb, text);
        }
        for verb in self.verbs {
            match verb.act {
                Act::Below(level) => level.list(text),
                Act::Run(_) => self.line(verb, text),
                Act::As(_) | Act::Refused(_) => {}
            }
        }
    }

    fn line(&self, verb: &Verb, text: &mut String) {
        let mut options = String::new();
        for name in verb.flags {
            match *name {
                "file" => options.push_str(" [-f FILE]"),
                "wait" => options.push_str(" [--wait[=N]]"),
                "output-format" => options.push_str(" [--output-format=text|json|cmd]"),
                name @ ("group" | "before" | "after" | "name") => {
                    let _ = write!(options, " [--{name}=ID]");
                }
                name @ ("from" | "to") => {
                    let _ = write!(options, " [--{name}=TIME]");
                }
                name => {
                    let _ = write!(options, " [--{name}]");
                }
            }
        }
        let words = [self.path, verb.name, verb.usage];
        let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
        let _ = writeln!(text, "  {}{options}", words.join(" "));
    }
}

/// A verb that was called wrongly; its usage is told.
pub(super) fn misused() -> Failure {
    Failure::usage(MISUSED)
}

const MISUSED: &str = "usage";
