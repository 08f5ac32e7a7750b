//! Levels and lines: where we are, what a word means there, what happens at the end of a level.

mod configure;

use super::configure::EDITS;
use super::session::Session;
use super::words::{self, Joiner};
use super::{Context, node, ra, resource};
use crate::cli::backend;
use crate::cli::exit::{Exit, Failure};
use crate::view;

use std::io::BufRead;

/// The shell: a stack of levels, and the configuration under edit.
pub(crate) struct Shell<'a> {
    context: Context<'a>,
    levels: Vec<Level>,
    session: Option<Session>,
    failed: bool,
    quit: bool,
}

/// A level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Configure,
    Node,
    Resource,
    Ra,
    Cib,
}

impl<'a> Shell<'a> {
    pub(super) const fn new(context: Context<'a>) -> Self {
        Self {
            context,
            levels: Vec::new(),
            session: None,
            failed: false,
            quit: false,
        }
    }

    /// Somebody types.
    pub(super) const fn interactive(&self) -> bool {
        self.context.console.interactive
    }

    /// 0 when every command did what it should, else 1.
    pub(super) const fn exit(&self) -> Exit {
        if self.failed { Exit::Error } else { Exit::Ok }
    }

    /// Tells of a failure, which the exit code remembers.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.failed = true;
        self.context.console.error(&failure.text);
        if let Some(cure) = &failure.cure {
            self.context.console.err_line(cure);
        }
    }

    /// The command of a command line. Returns true when it only opened a level, whose commands
    /// are then to be read.
    pub(super) fn single(&mut self, words: &[String]) -> bool {
        match self.execute(words) {
            Ok(()) => {}
            Err(failure) => self.fail(&failure),
        }
        !self.levels.is_empty() && !self.failed && !self.quit
    }

    /// Commands from a file or pipe, to its end. A command that fails does not stop the others, as
    /// in crmsh; the exit code tells.
    pub(super) fn script(&mut self, input: &mut dyn BufRead) {
        let mut joiner = Joiner::default();
        let mut line = String::new();
        while !self.quit {
            line.clear();
            match input.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    self.fail(&Failure::new(
                        Exit::NoInput,
                        format!("cannot read commands: {error}"),
                    ));
                    break;
                }
            }
            if let Some(whole) = joiner.push(&line) {
                self.line(&whole);
            }
        }
        if let Some(rest) = joiner.finish() {
            self.line(&rest);
        }
        self.leave_all();
    }

    /// Commands typed at a prompt.
    pub(super) fn prompt(&mut self) {
        let Ok(mut editor) = rustyline::DefaultEditor::new() else {
            return self.script(&mut std::io::stdin().lock());
        };
        let host =
            backend::local_node(self.context.backend).unwrap_or_else(|_| backend::host_name());
        let mut joiner = Joiner::default();
        while !self.quit {
            let prompt = match joiner.is_open() {
                true => "   > ".to_owned(),
                false => format!("crm(live/{host}){}# ", self.path()),
            };
            match editor.readline(&prompt) {
                Ok(line) => {
                    if let Some(whole) = joiner.push(&line) {
                        let _ = editor.add_history_entry(whole.as_str());
                        self.line(&whole);
                    }
                }
                Err(rustyline::error::ReadlineError::Interrupted) => {
                    let _ = joiner.finish();
                }
                Err(_) => break,
            }
        }
        self.leave_all();
        // What was typed wrong and then right is no failure of the whole.
        self.failed = false;
    }

    fn path(&self) -> String {
        self.levels
            .iter()
            .map(|l| l.name())
            .collect::<Vec<_>>()
            .join("/")
    }

    /// One logical line.
    pub(super) fn line(&mut self, line: &str) {
        let result = split(line).and_then(|words| self.execute(&words));
        if let Err(failure) = result {
            self.fail(&failure);
        }
    }

    fn execute(&mut self, words: &[String]) -> Result<(), Failure> {
        let Some((verb, rest)) = words.split_first() else {
            return Ok(());
        };
        match verb.as_str() {
            "quit" | "bye" | "exit" => {
                self.quit = true;
                return self.leave_levels();
            }
            "end" | "up" | "back" => return self.leave(),
            "cd" => return self.change_level(rest.first().map_or("", String::as_str)),
            "help" | "?" | "ls" => {
                self.help();
                return Ok(());
            }
            _ => {}
        }
        match self.levels.last().copied() {
            None => self.top(verb, rest),
            Some(level) => self.at(level, verb, rest),
        }
    }

    /// A word where no level is open.
    fn top(&mut self, verb: &str, rest: &[String]) -> Result<(), Failure> {
        let names: Vec<&str> = TOP.iter().map(|(name, _)| *name).collect();
        let name = match ALIASES.iter().find(|(alias, _)| *alias == verb) {
            Some((_, name)) => name,
            None => pick("", &names, verb)?,
        };
        let level = TOP.iter().find(|(n, _)| *n == name).and_then(|(_, l)| *l);
        let Some(level) = level else {
            return match name {
                "status" => self.status(rest),
                "verify" => self.at(Level::Configure, "verify", rest),
                _ => Err(Failure::new(
                    Exit::Unimplemented,
                    format!("{name}: not offered"),
                )),
            };
        };
        self.enter(level)?;
        if rest.is_empty() {
            return Ok(());
        }
        // A single command opens its level, does its work and leaves again, which commits.
        match self.execute(rest) {
            Ok(()) if self.levels.is_empty() => Ok(()),
            Ok(()) => self.leave(),
            Err(failure) => {
                self.session = None;
                self.levels.pop();
                Err(failure)
            }
        }
    }

    fn enter(&mut self, level: Level) -> Result<(), Failure> {
        if level == Level::Configure && self.session.is_none() {
            self.session = Some(Session::begin(self.context.backend)?);
        }
        self.levels.push(level);
        Ok(())
    }

    fn change_level(&mut self, path: &str) -> Result<(), Failure> {
        for step in path.split('/') {
            match step {
                ".." => self.leave()?,
                "" | "." => {}
                name => {
                    if self.levels.last() == Some(&Level::Configure) {
                        self.leave()?;
                    }
                    self.top(name, &[])?;
                }
            }
        }
        Ok(())
    }

    /// Leaves one level. The configuration is committed where nobody can be asked, as crmsh does;
    /// where somebody can, they are.
    fn leave(&mut self) -> Result<(), Failure> {
        if self.levels.pop() != Some(Level::Configure) {
            return Ok(());
        }
        let Some(mut session) = self.session.take() else {
            return Ok(());
        };
        if !session.changed() {
            return Ok(());
        }
        if session.refused() && !self.interactive() {
            // Told at `commit`; once is enough.
            return Ok(());
        }
        let question = "There are changes pending. Do you want to commit them?";
        if self.interactive() && !self.context.confirm(question)? {
            return Ok(());
        }
        self.commit(&mut session, self.context.options.force)
    }

    fn leave_levels(&mut self) -> Result<(), Failure> {
        let mut first = Ok(());
        while !self.levels.is_empty() {
            let result = self.leave();
            if first.is_ok() {
                first = result;
            }
        }
        first
    }

    fn leave_all(&mut self) {
        if let Err(failure) = self.leave_levels() {
            self.fail(&failure);
        }
    }

    fn commit(&mut self, session: &mut Session, force: bool) -> Result<(), Failure> {
        let changed = session.commit(self.context.backend, self.context.console, force)?;
        if changed && self.context.options.wait {
            self.context.wait()?;
        }
        Ok(())
    }

    /// A verb of a level.
    fn at(&mut self, level: Level, verb: &str, rest: &[String]) -> Result<(), Failure> {
        let verbs = level.verbs();
        let verb = pick(level.name(), &verbs, verb)?;
        match level {
            Level::Configure => self.configure(verb, rest),
            Level::Cib => self.cib(verb),
            Level::Ra => ra::run(&mut self.context, verb, rest),
            Level::Node => {
                node::run(&mut self.context, verb, rest)?;
                self.wait_after(&CHANGING_NODE_VERBS, verb)
            }
            Level::Resource => {
                resource::run(&mut self.context, verb, rest)?;
                self.wait_after(&resource::CHANGING_VERBS, verb)
            }
        }
    }

    fn wait_after(&mut self, verbs: &[&str], verb: &str) -> Result<(), Failure> {
        if self.context.options.wait && verbs.contains(&verb) {
            return self.context.wait();
        }
        Ok(())
    }

    fn cib(&mut self, verb: &str) -> Result<(), Failure> {
        match verb {
            "show" | "list" => {
                let cib = backend::cib(self.context.backend, true)?;
                self.context.console.print(&cib.to_xml());
                Ok(())
            }
            other => Err(Failure::new(
                Exit::Unimplemented,
                format!("cib {other} is not offered yet"),
            )),
        }
    }

    fn status(&mut self, words: &[String]) -> Result<(), Failure> {
        let mut options = view::text::Options {
            inactive: true,
            ..view::text::Options::default()
        };
        for word in words {
            match word.as_str() {
                "bynode" => options.by_node = true,
                "failcounts" => options.failcounts = true,
                "ops" => options.operations = true,
                "timing" => options.timing = true,
                "noheaders" => options.no_headers = true,
                "full" => {
                    options.attributes = true;
                    options.operations = true;
                    options.failcounts = true;
                }
                // Inactive resources are always shown, and there are no tickets.
                "inactive" | "verbose" | "quiet" | "tickets" => {}
                "detail" | "brief" => {
                    let text = format!("status {word} is not offered: use `crm status xml`");
                    return Err(Failure::new(Exit::Unimplemented, text));
                }
                "xml" => {
                    let status = backend::status(self.context.backend)?;
                    self.context
                        .console
                        .print(&view::xml::document(&status, "crm_mon"));
                    return Ok(());
                }
                "simple" => {
                    let status = backend::status(self.context.backend)?;
                    self.context.console.line(&view::nagios::simple(&status).0);
                    return Ok(());
                }
                other => {
                    return Err(Failure::usage(format!("status has no option `{other}`")));
                }
            }
        }
        let status = backend::status(self.context.backend)?;
        self.context
            .console
            .print(&view::text::document(&status, options));
        Ok(())
    }

    fn help(&mut self) {
        let text = match self.levels.last() {
            None => HELP.to_owned(),
            Some(level) => format!("{}: {}\n", level.name(), level.verbs().join(" ")),
        };
        self.context.console.print(&text);
    }
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Node => "node",
            Self::Resource => "resource",
            Self::Ra => "ra",
            Self::Cib => "cib",
        }
    }

    fn verbs(self) -> Vec<&'static str> {
        match self {
            Self::Configure => [&EDITS[..], &configure::VERBS[..]].concat(),
            Self::Node => node::VERBS.to_vec(),
            Self::Resource => resource::verbs(),
            Self::Ra => ra::VERBS.to_vec(),
            Self::Cib => vec!["show", "list", "new", "use", "commit", "diff", "import"],
        }
    }
}

/// Words of a line; what follows `xml` is taken as it is.
fn split(line: &str) -> Result<Vec<String>, Failure> {
    let trimmed = line.trim();
    match trimmed.strip_prefix("xml") {
        Some(rest) if rest.trim_start().starts_with('<') => {
            Ok(vec!["xml".to_owned(), rest.trim().to_owned()])
        }
        _ => words::split(trimmed),
    }
}

/// The verb meant: exact, or the only one that begins so.
fn pick<'v>(level: &str, verbs: &[&'v str], word: &str) -> Result<&'v str, Failure> {
    if let Some(verb) = verbs.iter().find(|v| **v == word) {
        return Ok(verb);
    }
    let fits: Vec<&str> = verbs
        .iter()
        .filter(|v| !word.is_empty() && v.starts_with(word))
        .copied()
        .collect();
    let name = match level {
        "" => word.to_owned(),
        level => format!("{level}.{word}"),
    };
    match fits.as_slice() {
        [verb] => Ok(verb),
        [] => Err(Failure::usage(format!("{name}: No such command"))),
        several => Err(Failure::usage(format!(
            "{name}: which of {}?",
            several.join(", ")
        ))),
    }
}

/// True for commands that only look at this machine.
pub(super) fn needs_no_cluster(words: &[String]) -> bool {
    matches!(words.first().map(String::as_str), Some("ra" | "help"))
}

const TOP: [(&str, Option<Level>); 7] = [
    ("configure", Some(Level::Configure)),
    ("node", Some(Level::Node)),
    ("resource", Some(Level::Resource)),
    ("ra", Some(Level::Ra)),
    ("cib", Some(Level::Cib)),
    ("status", None),
    ("verify", None),
];
/// Short names people type.
const ALIASES: [(&str, &str); 6] = [
    ("cf", "configure"),
    ("cfg", "configure"),
    ("conf", "configure"),
    ("rsc", "resource"),
    ("st", "status"),
    ("nd", "node"),
];
const CHANGING_NODE_VERBS: [&str; 6] = [
    "standby",
    "online",
    "maintenance",
    "ready",
    "attribute",
    "status-attr",
];
/// What `crm help` prints.
pub(super) const HELP: &str = "\
usage: crm [-w|--wait] [-F|--force] [-f FILE] [-c CIB_FILE] [COMMAND …]

Without a command, crm reads commands from standard input, with a prompt on a terminal.

  status [bynode] [xml]      how the cluster stands
  configure …                primitive, group, clone, location, colocation, order, property,
                             rsc_defaults, op_defaults, show, edit, delete, erase, verify, commit
  node …                     standby, online, maintenance, ready, show, attribute, fence
  resource …                 start, stop, restart, cleanup, status, move, ban, clear, manage,
                             unmanage, meta, param, failcount
  ra …                       classes, list, providers, info
  cd LEVEL, up, quit         levels

crm(8) has examples.
";
