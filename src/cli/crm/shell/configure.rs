//! Verbs of the level `configure` that are more than an edit: show, commit, load, edit …

use super::{Shell, pick, split};
use crate::cli::backend::{self, Backend};
use crate::cli::crm::configure;
use crate::cli::crm::session::{Session, describe};
use crate::cli::crm::usage::{Names, alone, explain, misused, suggest};
use crate::cli::crm::validate;
use crate::cli::crm::words::Joiner;
use crate::cli::diff;
use crate::cli::exit::{Exit, Failure};
use crate::cli::plan;
use crate::cli::private;
use crate::view;
use cib::check::Severity;
use cib::{Cib, Section};
use std::collections::BTreeSet;

impl Shell<'_> {
    pub(super) fn configure(&mut self, verb: &str, rest: &[String]) -> Result<(), Failure> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::begin(&mut self.context.backend)?,
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
                alone(&without_force(rest))?;
                let force = self.context.options.force || rest.iter().any(|w| is_force(w));
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
            "verify" => {
                alone(rest)?;
                self.verify(session)
            }
            "refresh" | "reset" => {
                alone(rest)?;
                *session = Session::begin(&mut self.context.backend)?;
                Ok(())
            }
            "save" => self.save(session, rest),
            "load" => self.load(session, rest),
            "edit" => self.edit(session, rest),
            "simulate" | "ptest" => self.simulate(session, rest),
            "validate-all" => self.validate_all(session, rest),
            "get_property" => self.properties(session, rest),
            "rename" => {
                let words = without_force(rest);
                if words.len() != 2 {
                    return Err(misused());
                }
                self.refuse_running(&words[..1], "rename")?;
                session.run(verb, &words, &self.context.agents, self.context.console)
            }
            "delete" => {
                self.refuse_running(rest, "delete")?;
                session.run(
                    verb,
                    without_force(rest).as_slice(),
                    &self.context.agents,
                    self.context.console,
                )
            }
            "erase" => {
                alone(rest)?;
                self.keep_copy(session);
                session.run(verb, &[], &self.context.agents, self.context.console)
            }
            _ => session.run(verb, rest, &self.context.agents, self.context.console),
        }
    }

    /// `show [xml] [changed] [ID …]`.
    fn show(&mut self, session: &Session, words: &[String]) -> Result<(), Failure> {
        let (hidden, words): (Vec<&String>, Vec<&String>) =
            words.iter().partition(|w| w.starts_with("obscure:"));
        let hidden: Vec<&str> = hidden.iter().map(|w| &w["obscure:".len()..]).collect();
        let words: Vec<String> = words.into_iter().cloned().collect();
        let cib = configure::obscured(session.cib(), &hidden)?;
        let base = configure::obscured(session.base(), &hidden)?;
        let text = match words.split_first() {
            Some((xml, [])) if xml == "xml" => cib.to_xml(),
            Some((xml, rest)) if xml == "xml" => configure::show_xml(&cib, Some(&base), rest)?,
            _ => configure::show(&cib, Some(&base), &words)?,
        };
        match text.starts_with('<') {
            true => self.context.console.print(&text),
            false => self.context.show(&text),
        }
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
                Severity::Warning | Severity::Notice => {
                    self.context.console.warning(&describe(finding))
                }
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
            [path] => (configure::show(session.cib(), None, &[])?, path),
            _ => return Err(misused()),
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
                return Err(misused());
            }
        };
        let method = match method {
            "replace" | "push" => "replace",
            "update" => "update",
            _ => {
                return Err(Failure::usage(format!(
                    "load: `{method}` is neither replace nor update"
                )));
            }
        };
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::new(Exit::NoInput, format!("{path}: {e}")))?;
        if xml {
            let in_file = |e: cib::Error| {
                let failure = Failure::from(e);
                Failure {
                    text: format!("{path}: {}", failure.text),
                    ..failure
                }
            };
            let new = match method {
                "update" => configure::merged(session.cib(), &text).map_err(in_file)?,
                _ => Cib::parse(&text).map_err(in_file)?,
            };
            session.replace(new);
            return Ok(());
        }
        self.apply_text(session, &text, method == "replace", path)
    }

    /// Commands of a text on the configuration, all or nothing.
    pub(super) fn apply_text(
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
        let mut defined = BTreeSet::new();
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
            let id = rest.first().filter(|_| defines(verb));
            let id = id.map(|id| id.trim_end_matches(':'));
            let known = id.is_some_and(|id| has(trial.cib(), id));
            // The last of two would win in silence.
            if let Some(id) = id
                && !defined.insert(id.to_owned())
                && known
            {
                let what = format!("{id} is described in this text already: keep one of the two");
                return Err(in_line(Failure::new(Exit::Exists, what)));
            }
            let how = match known {
                true => configure::redefine,
                false => configure::run,
            };
            let (agents, console) = (&self.context.agents, &mut *self.context.console);
            let done = trial.edit(how, verb, rest, agents, console);
            done.map_err(|failure| {
                let failure = explain(super::Level::Configure, verb, failure);
                in_line(suggest(failure, rest, &Names::of(trial.cib())))
            })?;
        }
        *session = trial;
        Ok(())
    }

    /// `edit [ID …]`: the configuration, or these objects, in `$EDITOR`; the difference is shown
    /// before `commit`.
    fn edit(&mut self, session: &mut Session, ids: &[String]) -> Result<(), Failure> {
        let before = configure::show(session.cib(), Some(session.base()), ids)?;
        let whole = configure::show(session.cib(), None, &[])?;
        let mut text = before.clone();
        loop {
            text = self.context.edited(&text)?;
            if text == before {
                return Ok(());
            }
            let applied = self.apply_text(session, &text, ids.is_empty(), "the edited text");
            let Err(failure) = applied else { break };
            // One slip must not cost all that was typed.
            if !self.edits_again(&failure)? {
                return Err(failure);
            }
        }
        let now = configure::show(session.cib(), None, &[])?;
        self.context.console.print(&diff::unified(&whole, &now));
        Ok(())
    }

    /// Somebody is there, and wants another look at a text that was refused.
    fn edits_again(&mut self, failure: &Failure) -> Result<bool, Failure> {
        let options = &self.context.options;
        if !self.context.console.interactive || options.force || options.no {
            return Ok(false);
        }
        self.context.console.error(&failure.text);
        self.context.confirm("Do you want to edit it again?")
    }

    /// `simulate [scores]`: what the cluster would do if this were committed.
    fn simulate(&mut self, session: &Session, words: &[String]) -> Result<(), Failure> {
        let mut scores = false;
        for word in words {
            match word.as_str() {
                "scores" => scores = true,
                "nograph" | "actions" | "utilization" | "v" | "vv" | "vvv" => {}
                _ => return Err(misused()),
            }
        }
        // A copy has no status of its own; `cibstatus` may have one.
        let mut cib = backend::cib(self.context.backend.cluster(), true)?;
        let imagined = self.context.imagined.as_ref().and_then(|i| i.status());
        if let Some(status) = imagined {
            *cib.section_mut(Section::Status) = status.clone();
        }
        let wanted = session.cib().section(Section::Configuration);
        *cib.section_mut(Section::Configuration) = wanted.cloned().unwrap_or_default();
        let options = scheduler::Options {
            now: backend::now_s(),
        };
        let plan = match scores {
            true => scheduler::schedule_with_scores(cib.root(), &options),
            false => scheduler::schedule(cib.root(), &options),
        };
        plan::print(self.context.console, &plan);
        Ok(())
    }

    /// `get_property NAME …`: what is set.
    fn properties(&mut self, session: &Session, names: &[String]) -> Result<(), Failure> {
        if names.is_empty() {
            return Err(misused());
        }
        let config = cib::config::Config::new(session.cib());
        for name in names {
            let value = config
                .property(name)
                .ok_or_else(|| Failure::no_such(format!("{name}: Property not set")))?;
            self.context.console.line(value);
        }
        Ok(())
    }

    /// `validate-all RESOURCE`: its agent looks at its parameters.
    fn validate_all(&mut self, session: &Session, words: &[String]) -> Result<(), Failure> {
        let [id] = words else {
            return Err(misused());
        };
        let config = cib::config::Config::new(session.cib());
        let Some(resource) = config.resource(id) else {
            return Err(Failure::no_such(format!("object {id} does not exist")));
        };
        let complaint = validate::complaint(&config, &resource, &self.context.agents)?;
        match complaint {
            None => Ok(()),
            Some(text) => Err(Failure::new(Exit::NotConfigured, format!("{id}: {text}"))),
        }
    }

    /// Refuses to take away the id of what runs: it would be stopped as an orphan, unseen.
    fn refuse_running(&mut self, words: &[String], verb: &str) -> Result<(), Failure> {
        let force = self.context.options.force || words.iter().any(|w| is_force(w));
        if force || !self.context.backend.live() {
            return Ok(());
        }
        let status = backend::status(&mut self.context.backend)?;
        for id in words {
            let running = view::find_resource(&status.resources, id).is_some_and(|r| r.active);
            if running {
                return Err(Failure {
                    exit: Exit::Unsafe,
                    text: format!("resource {id} is running, can't {verb} it"),
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
        match private::write_new(&path, &session.base().to_xml()) {
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
        "property"
            | "rsc_defaults"
            | "op_defaults"
            | "node"
            | "xml"
            | "delete"
            | "erase"
            | "rename"
            | "modgroup"
            | "monitor"
            | "fencing_topology"
    )
}

fn has(cib: &Cib, id: &str) -> bool {
    cib::config::Config::new(cib).by_id(id).is_some()
}

/// Verbs of the level besides the edits.
pub(super) const VERBS: [&str; 12] = [
    "commit",
    "show",
    "verify",
    "refresh",
    "reset",
    "save",
    "load",
    "edit",
    "simulate",
    "ptest",
    "validate-all",
    "get_property",
];
