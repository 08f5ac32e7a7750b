//! Levels and lines: where we are, what a word means there, what happens at the end of a level.

mod configure;
mod inner;
mod levels;
mod prompt;
mod status;

pub(super) use levels::{ALIASES, GENERAL, Level, TOP};
pub(super) use status::OPTIONS as STATUS_OPTIONS;

use super::session::Session;
use super::words::{self, Joiner};
use super::{
    Context, cibstatus, cluster, corosync, history, maintenance, node, not_offered, preferences,
    ra, resource, shadows, site, usage, usage::Names, validate,
};
use crate::cli::backend::{self, Backend};
use crate::cli::exit::{Exit, Failure};
use crate::cli::report::{self, Wanted};
use levels::{pick, top};
use std::io::BufRead;

/// The shell: a stack of levels, and the configuration under edit.
pub(crate) struct Shell<'a> {
    context: Context<'a>,
    levels: Vec<Level>,
    session: Option<Session>,
    failed: bool,
    quit: bool,
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

    /// One logical line.
    pub(super) fn line(&mut self, line: &str) {
        let plain = words::without_typography(line, "\"");
        if plain.is_some() {
            self.context.console.warning(words::TYPOGRAPHY);
        }
        let line = plain.as_deref().unwrap_or(line);
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
            "help" | "?" | "ls" => return self.help(rest),
            _ => {}
        }
        match self.levels.last().copied() {
            None => self.top(verb, rest),
            Some(level) => match inner(level, verb) {
                Some(inner) => self.within(&[inner], rest),
                None => self.at(level, verb, rest),
            },
        }
    }

    /// A word where no level is open.
    fn top(&mut self, verb: &str, rest: &[String]) -> Result<(), Failure> {
        let name = top(verb)?;
        let level = TOP.iter().find(|(n, _)| *n == name).and_then(|(_, l)| *l);
        let Some(level) = level else {
            return match name {
                "status" => self.status(rest),
                "report" => self.report(rest),
                "verify" => self.at(Level::Configure, "verify", rest),
                _ => Err(Failure::new(
                    Exit::Unimplemented,
                    format!("{name}: not offered"),
                )),
            };
        };
        match level {
            Level::Template | Level::Assist => self.within(&[Level::Configure, level], rest),
            level => self.within(&[level], rest),
        }
    }

    /// Opens levels. A single command opens them, does its work and leaves again, which commits.
    fn within(&mut self, levels: &[Level], rest: &[String]) -> Result<(), Failure> {
        let depth = self.levels.len();
        for level in levels {
            self.enter(*level)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let asks = self.asks_agents();
        if let Some(session) = self.session.as_mut().filter(|s| !s.changed())
            && depth == 0
            && asks
        {
            session.agents_are_asked();
        }
        let done = self.execute(rest);
        if done.is_err() && levels.contains(&Level::Configure) {
            self.session = None;
            self.levels.truncate(depth);
        }
        while self.levels.len() > depth {
            self.leave()?;
        }
        done
    }

    fn enter(&mut self, level: Level) -> Result<(), Failure> {
        let skill = level.skill();
        self.context.preferences.allows(level.name(), skill)?;
        if level == Level::Configure && self.session.is_none() {
            let mut session = Session::begin(&mut self.context.backend)?;
            // Commands of a file or a pipe are all there already.
            if !self.interactive() && self.asks_agents() {
                session.agents_are_asked();
            }
            self.session = Some(session);
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
                    let open = self.levels.last().and_then(|level| inner(*level, name));
                    if let Some(level) = open {
                        self.enter(level)?;
                        continue;
                    }
                    if self.levels.contains(&Level::Configure) {
                        self.leave_levels()?;
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
        let force = force || self.context.preferences.is_relaxed();
        if self.asks_agents() {
            self.ask_agents(session, force)?;
        }
        if self.context.options.wait {
            self.context.watch()?;
        }
        let changed = session.commit(&mut self.context.backend, self.context.console, force)?;
        if changed && self.context.options.wait {
            self.context.wait()?;
        }
        Ok(())
    }

    /// `commit` asks agents: not those of another machine, whose file this may be.
    fn asks_agents(&self) -> bool {
        self.context.preferences.asks_agents() && self.context.backend.live()
    }

    /// Agents of primitives that are new, or have changed, look at their parameters. What they say
    /// is a warning, as another node may have what this one lacks; what cannot work is refused, as
    /// crmsh refuses it.
    fn ask_agents(&mut self, session: &mut Session, force: bool) -> Result<(), Failure> {
        use cib::config::Config;
        let (old, new) = (Config::new(session.base()), Config::new(session.cib()));
        let resources = new.resources().into_iter();
        let changed = resources.filter(|r| {
            let known = old.resource(r.id);
            let known = known.map(|o| (old.agent(&o), old.parameters(&o)));
            r.kind == cib::config::Kind::Primitive
                && known != Some((new.agent(r), new.parameters(r)))
        });
        let asked: Vec<_> = changed.take(AGENTS_ASKED_MAX).collect();
        let mut refused = Vec::new();
        for complaint in validate::complaints(&new, &asked, &self.context.agents) {
            match complaint {
                validate::Complaint::Refused(text) if !force => refused.push(text),
                validate::Complaint::Refused(text) | validate::Complaint::Remark(text) => {
                    self.context.console.warning(&text);
                }
            }
        }
        // The last one is the failure, so that a single mistake is a single line.
        let Some(last) = refused.pop() else {
            return Ok(());
        };
        session.refuse();
        // What else is wrong is not kept for the next attempt; what is only odd is.
        let (wrong, _) = session.found();
        for text in wrong.into_iter().chain(refused) {
            self.context.console.error(&text);
        }
        Err(Failure {
            cure: Some("correct it, or install the agent on every node; `crm -F`, or `commit force`, takes it as it is".to_owned()),
            ..Failure::new(Exit::Config, format!("{last}; nothing was committed"))
        })
    }

    /// A verb of a level.
    fn at(&mut self, level: Level, verb: &str, rest: &[String]) -> Result<(), Failure> {
        let verbs = level.verbs();
        let instead = not_offered::instead(level, verb);
        let verb = instead.map_or_else(|| pick(level.name(), &verbs, verb), Err)?;
        self.carry_out(level, verb, rest).map_err(|failure| {
            let failure = usage::explain(level, verb, failure);
            match failure.exit {
                Exit::NoSuch => usage::suggest(failure, rest, &self.names()),
                _ => failure,
            }
        })
    }

    /// Names that somebody may have meant.
    fn names(&mut self) -> Names {
        let asked = match &self.session {
            Some(session) => Ok(session.cib().clone()),
            None => backend::cib(&mut self.context.backend, false),
        };
        asked.map(|cib| Names::of(&cib)).unwrap_or_default()
    }

    fn carry_out(
        &mut self,
        level: Level,
        verb: &'static str,
        rest: &[String],
    ) -> Result<(), Failure> {
        match level {
            Level::Configure => self.configure(verb, rest),
            Level::Cib => shadows::run(&mut self.context, verb, rest),
            Level::Cluster => cluster::run(&mut self.context, verb, rest),
            Level::Corosync => corosync::run(&mut self.context, verb, rest),
            Level::History => history::run(&mut self.context, verb, rest),
            Level::Ra => ra::run(&mut self.context, verb, rest),
            Level::Options => preferences::run(&mut self.context, verb, rest),
            Level::Site => site::run(&mut self.context, verb, rest),
            Level::Template => self.template(verb, rest),
            Level::Assist => self.assist(verb, rest),
            Level::CibStatus => cibstatus::run(&mut self.context, verb, rest),
            Level::Script => self.run_script(verb, rest),
            Level::Maintenance => {
                self.watch_before(&MAINTENANCE_VERBS, verb)?;
                maintenance::run(&mut self.context, verb, rest)?;
                self.wait_after(&MAINTENANCE_VERBS, verb)
            }
            Level::Node => {
                self.watch_before(&CHANGING_NODE_VERBS, verb)?;
                node::run(&mut self.context, verb, rest)?;
                self.wait_after(&CHANGING_NODE_VERBS, verb)
            }
            Level::Resource => {
                self.watch_before(&resource::CHANGING_VERBS, verb)?;
                resource::run(&mut self.context, verb, rest)?;
                self.wait_after(&resource::CHANGING_VERBS, verb)
            }
        }
    }

    fn watch_before(&mut self, verbs: &[&str], verb: &str) -> Result<(), Failure> {
        if self.context.options.wait && verbs.contains(&verb) {
            return self.context.watch();
        }
        Ok(())
    }

    fn wait_after(&mut self, verbs: &[&str], verb: &str) -> Result<(), Failure> {
        if self.context.options.wait && verbs.contains(&verb) {
            return self.context.wait();
        }
        Ok(())
    }

    fn report(&mut self, words: &[String]) -> Result<(), Failure> {
        let wanted = Wanted::read(words, "usage: crm report [-f FROM] [-t TO] [DESTINATION]")?;
        let path = report::write(&mut self.context.backend, &wanted)?;
        self.context.console.line(&format!(
            "{} holds what this node knows, without secrets; the log and the decisions of another node lie there",
            path.display()
        ));
        Ok(())
    }

    /// `help [[LEVEL] VERB]`.
    fn help(&mut self, words: &[String]) -> Result<(), Failure> {
        let mut words = words.iter();
        let mut level = self.levels.last().copied();
        let mut verb = words.next();
        if level.is_none()
            && let Some(word) = verb
        {
            let name = top(word)?;
            level = TOP.iter().find(|(n, _)| *n == name).and_then(|(_, l)| *l);
            verb = words.next();
        }
        let text = match (level, verb) {
            (None, _) => HELP.to_owned(),
            (Some(level), None) => format!("{}: {}\n", level.name(), level.verbs().join(" ")),
            (Some(level), Some(verb)) => {
                let verb = pick(level.name(), &level.verbs(), verb)?;
                format!("{}\n", usage::line(level, verb))
            }
        };
        self.context.console.print(&text);
        Ok(())
    }
}

/// The level that a word opens from another one.
fn inner(level: Level, word: &str) -> Option<Level> {
    level.inner().iter().find(|l| l.name() == word).copied()
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

/// False for commands that only look at this machine, or have something to say without a cluster.
pub(super) fn needs_cluster(words: &[String]) -> bool {
    let first = words.first().map(String::as_str).unwrap_or_default();
    let alone = [
        "ra", "cluster", "corosync", "report", "history", "cib", "options", "script", "template",
    ];
    !(["help", "?", "ls"].contains(&first) || top(first).is_ok_and(|name| alone.contains(&name)))
}

/// Agents that are asked before a commit.
const AGENTS_ASKED_MAX: usize = 16;
const MAINTENANCE_VERBS: [&str; 2] = ["on", "off"];
const CHANGING_NODE_VERBS: [&str; 7] = [
    "standby",
    "online",
    "maintenance",
    "ready",
    "attribute",
    "status-attr",
    "utilization",
];
/// What `crm help` prints.
pub(super) const HELP: &str = "\
usage: crm [-w|--wait] [-F|--force] [-f FILE] [-c CIB] [COMMAND …]

Without a command, crm reads commands from standard input, with a prompt on a terminal.

  status [bynode] [xml]      how the cluster stands
  configure …                primitive, group, clone, location, colocation, order, property,
                             rsc_defaults, op_defaults, tag, fencing_topology, alert, show, edit,
                             delete, rename, erase, verify, simulate, commit
  node …                     standby, online, maintenance, ready, show, attribute, fence
  resource …                 start, stop, restart, cleanup, status, move, ban, clear, manage,
                             unmanage, meta, param, failcount, trace, constraints, operations
  cluster …                  status, health, start, stop, remove, wait_for_startup
  corosync …                 status, show, get, set, reload
  history …                  info, events, log, transition, diff
  cib …                      new, use, diff, commit, list, delete: copies to work on
  cibstatus …                node, op, quorum, ticket, run, simulate: what would happen if
  maintenance …              on, off, action: agents called by hand meanwhile
  site …                     ticket grant, revoke, standby, activate, show, time, delete
  script …                   list, show, verify, run: a service from a few values
  template …                 list, new, edit, show, apply: the same, with the values in a file
  assist …                   template, weak-bond
  options …                  show, set, editor, pager, output, wait, skill-level, check-mode
  ra …                       classes, list, providers, info, validate
  verify, report             whether the configuration is sound; an archive for helpers
  cd LEVEL, up, quit         levels

crm(8) has examples.
";
