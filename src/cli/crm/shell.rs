//! Levels and lines: where we are, what a word means there, what happens at the end of a level.

use super::session::{Session, describe};
use super::words::{self, Joiner};
use super::{Context, configure, node, ra, resource};
use crate::cli::backend;
use crate::cli::exit::{Exit, Failure};
use crate::view;
use cib::Cib;
use cib::check::Severity;
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
                self.wait_after(&["standby", "online", "maintenance", "ready"], verb)
            }
            Level::Resource => {
                resource::run(&mut self.context, verb, rest)?;
                self.wait_after(&CHANGING_RESOURCE_VERBS, verb)
            }
        }
    }

    fn wait_after(&mut self, verbs: &[&str], verb: &str) -> Result<(), Failure> {
        if self.context.options.wait && verbs.contains(&verb) {
            return self.context.wait();
        }
        Ok(())
    }

    fn configure(&mut self, verb: &str, rest: &[String]) -> Result<(), Failure> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::begin(self.context.backend)?,
        };
        let result = self.configure_with(&mut session, verb, rest);
        self.session = Some(session);
        result
    }

    fn configure_with(
        &mut self,
        session: &mut Session,
        verb: &str,
        rest: &[String],
    ) -> Result<(), Failure> {
        match verb {
            "commit" => {
                let force = self.context.options.force || rest.iter().any(|w| w == "force");
                if !session.changed() {
                    if self.interactive() {
                        self.context
                            .console
                            .info("apparently there is nothing to commit");
                    }
                    return Ok(());
                }
                self.commit(session, force)
            }
            "show" => self.show(session, rest),
            "verify" => self.verify(session),
            "refresh" | "reset" => {
                *session = Session::begin(self.context.backend)?;
                Ok(())
            }
            "save" => self.save(session, rest),
            "load" => self.load(session, rest),
            "edit" => self.edit(session),
            "delete" => {
                self.refuse_running(rest)?;
                session.run(
                    verb,
                    without_force(rest).as_slice(),
                    &self.context.agents,
                    self.context.console,
                )
            }
            "erase" => {
                self.keep_copy(session);
                session.run(verb, &[], &self.context.agents, self.context.console)
            }
            _ => session.run(verb, rest, &self.context.agents, self.context.console),
        }
    }

    /// `show [xml] [changed] [ID …]`.
    fn show(&mut self, session: &Session, words: &[String]) -> Result<(), Failure> {
        let words: Vec<String> = words.to_vec();
        let text = match words.first().map(String::as_str) {
            Some("xml") => session.cib().to_xml(),
            Some("changed") => {
                let before = configure::show(session.base(), &[])?;
                let after = configure::show(session.cib(), &[])?;
                after
                    .split_inclusive('\n')
                    .filter(|line| !before.contains(line))
                    .collect()
            }
            _ => configure::show(session.cib(), &words)?,
        };
        self.context.console.print(&text);
        Ok(())
    }

    fn verify(&mut self, session: &Session) -> Result<(), Failure> {
        let findings = cib::check::verify(session.cib());
        let mut wrong = false;
        for finding in &findings {
            match finding.severity {
                Severity::Error => {
                    wrong = true;
                    self.context.console.error(&describe(finding));
                }
                Severity::Warning => self.context.console.warning(&describe(finding)),
            }
        }
        if wrong {
            return Err(Failure::new(Exit::Config, "the configuration is not valid"));
        }
        Ok(())
    }

    /// `save [xml] FILE`.
    fn save(&mut self, session: &Session, words: &[String]) -> Result<(), Failure> {
        let (text, path) = match words {
            [xml, path] if xml == "xml" => (session.cib().to_xml(), path),
            [path] => (configure::show(session.cib(), &[])?, path),
            _ => return Err(Failure::usage("usage: crm configure save [xml] FILE")),
        };
        std::fs::write(path, text)
            .map_err(|e| Failure::new(Exit::CantCreat, format!("{path}: {e}")))
    }

    /// `load [xml] replace|update FILE`.
    fn load(&mut self, session: &mut Session, words: &[String]) -> Result<(), Failure> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (xml, method, path) = match words.as_slice() {
            ["xml", method, path] => (true, *method, *path),
            [method, path] => (false, *method, *path),
            _ => {
                return Err(Failure::usage(
                    "usage: crm configure load [xml] replace|update FILE",
                ));
            }
        };
        if !matches!(method, "replace" | "update") {
            return Err(Failure::usage(format!(
                "load: `{method}` is neither replace nor update"
            )));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::new(Exit::NoInput, format!("{path}: {e}")))?;
        if xml {
            if method == "update" {
                return Err(Failure::usage(
                    "load xml update is not offered: use `cibadmin --modify --xml-file FILE`",
                ));
            }
            session.replace(Cib::parse(&text)?);
            return Ok(());
        }
        self.apply_text(session, &text, method == "replace", path)
    }

    /// Commands of a text on the configuration, all or nothing.
    fn apply_text(
        &mut self,
        session: &mut Session,
        text: &str,
        replace: bool,
        name: &str,
    ) -> Result<(), Failure> {
        let mut trial = session.clone();
        if replace {
            trial.run("erase", &[], &self.context.agents, self.context.console)?;
        }
        let mut joiner = Joiner::default();
        let mut lines: Vec<String> = text.lines().filter_map(|l| joiner.push(l)).collect();
        lines.extend(joiner.finish());
        for (number, line) in lines.iter().enumerate() {
            let words = split(line)?;
            let Some((verb, rest)) = words.split_first() else {
                continue;
            };
            let in_line = |failure: Failure| Failure {
                text: format!("{name}, command {}: {}", number + 1, failure.text),
                ..failure
            };
            let verb = pick("configure", &configure::EDITS, verb).map_err(in_line)?;
            let known = rest
                .first()
                .is_some_and(|id| defines(verb) && has(trial.cib(), id));
            if known {
                trial.run(
                    "delete",
                    &rest[..1],
                    &self.context.agents,
                    self.context.console,
                )?;
            }
            trial
                .run(verb, rest, &self.context.agents, self.context.console)
                .map_err(in_line)?;
        }
        *session = trial;
        Ok(())
    }

    /// `edit`: the configuration in `$EDITOR`; the difference is shown before `commit`.
    fn edit(&mut self, session: &mut Session) -> Result<(), Failure> {
        let before = configure::show(session.cib(), &[])?;
        let after = edited(&before)?;
        if before == after {
            return Ok(());
        }
        self.apply_text(session, &after, true, "the edited text")?;
        let (old, new) = (before, configure::show(session.cib(), &[])?);
        for line in old.lines().filter(|l| !new.lines().any(|n| n == *l)) {
            self.context.console.line(&format!("-{line}"));
        }
        for line in new.lines().filter(|l| !old.lines().any(|o| o == *l)) {
            self.context.console.line(&format!("+{line}"));
        }
        Ok(())
    }

    /// Refuses to delete what runs: it would be stopped as an orphan, unseen.
    fn refuse_running(&mut self, words: &[String]) -> Result<(), Failure> {
        let force = self.context.options.force || words.iter().any(|w| is_force(w));
        if force || !self.context.backend.live() {
            return Ok(());
        }
        let status = backend::status(self.context.backend)?;
        for id in words {
            let running = view::find_resource(&status.resources, id).is_some_and(|r| r.active);
            if running {
                return Err(Failure {
                    exit: Exit::Unsafe,
                    text: format!("resource {id} is running, can't delete it"),
                    cure: Some(format!(
                        "stop it first with `crm -w resource stop {id}`, or say -F"
                    )),
                });
            }
        }
        Ok(())
    }

    /// Before everything goes: a copy, and how to get it back.
    fn keep_copy(&mut self, session: &Session) {
        let path = std::env::temp_dir().join(format!(
            "crm-before-erase-{}.{}.xml",
            session.base().version().epoch,
            std::process::id()
        ));
        if !self.context.backend.live() {
            return;
        }
        match write_private(&path, &session.base().to_xml()) {
            Ok(()) => self.context.console.warning(&format!(
                "the configuration as it was lies in {0}; `crm configure load xml replace {0}` brings it back",
                path.display()
            )),
            Err(error) => self
                .context
                .console
                .warning(&format!("no copy was kept: {}: {error}", path.display())),
        }
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
                "inactive" | "ops" | "timing" | "verbose" | "quiet" | "noheaders" | "detail"
                | "full" | "tickets" | "brief" => {}
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
            Self::Configure => [&configure::EDITS[..], &CONFIGURE_VERBS[..]].concat(),
            Self::Node => node::VERBS.to_vec(),
            Self::Resource => resource::VERBS.to_vec(),
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

fn is_force(word: &str) -> bool {
    matches!(word, "-f" | "-F" | "--force" | "force")
}

fn without_force(words: &[String]) -> Vec<String> {
    words.iter().filter(|w| !is_force(w)).cloned().collect()
}

/// The command names a new object by its first word.
fn defines(verb: &str) -> bool {
    !matches!(
        verb,
        "property" | "rsc_defaults" | "op_defaults" | "node" | "xml" | "delete" | "erase"
    )
}

fn has(cib: &Cib, id: &str) -> bool {
    cib::config::Config::new(cib).by_id(id).is_some()
}

/// A text after its editor has ended.
fn edited(text: &str) -> Result<String, Failure> {
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
        .unwrap_or_else(|| "vi".to_owned());
    let path = std::env::temp_dir().join(format!("crm-edit-{}.txt", std::process::id()));
    let failed =
        |what: &str, error: std::io::Error| Failure::new(Exit::IoErr, format!("{what}: {error}"));
    write_private(&path, text).map_err(|e| failed(&path.display().to_string(), e))?;
    let ended = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(&path)
        .status();
    let after = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    match ended {
        Ok(status) if status.success() => after.map_err(|e| failed(&path.display().to_string(), e)),
        Ok(status) => Err(Failure::new(
            Exit::Error,
            format!("{editor} ended with {status}: nothing was changed"),
        )),
        Err(error) => Err(failed(&editor, error)),
    }
}

/// A new file that nobody else can read or have put there: a configuration may hold passwords.
fn write_private(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
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
const CONFIGURE_VERBS: [&str; 9] = [
    "commit", "show", "verify", "refresh", "reset", "save", "load", "edit", "delete",
];
const CHANGING_RESOURCE_VERBS: [&str; 19] = [
    "start",
    "stop",
    "promote",
    "demote",
    "manage",
    "unmanage",
    "maintenance",
    "cleanup",
    "refresh",
    "reprobe",
    "move",
    "migrate",
    "ban",
    "clear",
    "unmove",
    "unmigrate",
    "unban",
    "meta",
    "param",
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
