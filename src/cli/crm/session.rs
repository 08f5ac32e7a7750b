//! The configuration under edit: a copy that is committed as a whole.

use super::agents::{Agents, NOT_INSTALLED};
use super::configure::{self, Remarks};
use super::usage;
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::exit::{Exit, Failure};
use cib::Cib;
use cib::check::{Finding, Severity};

/// [`configure::run`] or [`configure::redefine`].
pub(super) type Edit = fn(&mut Cib, &str, &[String], &Agents) -> Result<Remarks, Failure>;

/// What `configure` works on until `commit`.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    base: Cib,
    work: Cib,
    refused: Option<Cib>,
    agents_asked: bool,
}

impl Session {
    /// Starts from the cluster's configuration.
    ///
    /// # Errors
    /// As [`backend::cib`].
    pub(crate) fn begin(backend: &mut dyn Backend) -> Result<Self, Failure> {
        let base = backend::cib(backend, false)?;
        let work = base.clone();
        Ok(Self {
            base,
            work,
            refused: None,
            agents_asked: false,
        })
    }

    /// The configuration as edited.
    #[must_use]
    pub(crate) const fn cib(&self) -> &Cib {
        &self.work
    }

    /// Nobody reads what a command answers before `commit` asks the agents: that one is not
    /// installed is then told once, by them.
    pub(crate) const fn agents_are_asked(&mut self) {
        self.agents_asked = true;
    }

    /// Something waits for `commit`.
    #[must_use]
    pub(crate) fn changed(&self) -> bool {
        self.base != self.work
    }

    /// Remembers that what waits for `commit` was refused.
    pub(crate) fn refuse(&mut self) {
        self.refused = Some(self.work.clone());
    }

    /// What waits for `commit` was refused already, and not corrected since.
    #[must_use]
    pub(crate) fn refused(&self) -> bool {
        self.refused.as_ref() == Some(&self.work)
    }

    /// The configuration as it was.
    #[must_use]
    pub(crate) const fn base(&self) -> &Cib {
        &self.base
    }

    /// One editing command; nothing changes when it fails.
    ///
    /// # Errors
    /// As [`configure::run`].
    pub(crate) fn run(
        &mut self,
        verb: &str,
        words: &[String],
        agents: &Agents,
        console: &mut Console,
    ) -> Result<(), Failure> {
        self.edit(configure::run, verb, words, agents, console)
    }

    /// The same for an object that is new, or one that is there already.
    ///
    /// # Errors
    /// As [`configure::run`].
    pub(super) fn edit(
        &mut self,
        how: Edit,
        verb: &str,
        words: &[String],
        agents: &Agents,
        console: &mut Console,
    ) -> Result<(), Failure> {
        let remarks = how(&mut self.work, verb, words, agents)?;
        let told_later = |text: &str| self.agents_asked && text.ends_with(NOT_INSTALLED);
        for text in remarks.warnings.iter().filter(|text| !told_later(text)) {
            console.warning(text);
        }
        for text in remarks.infos {
            console.info(&text);
        }
        Ok(())
    }

    /// Takes a whole configuration, as an editor or a file gave it.
    pub(crate) fn replace(&mut self, work: Cib) {
        self.work = work;
    }

    /// Findings that the edit brought, errors first.
    #[must_use]
    pub(crate) fn new_findings(&self) -> Vec<Finding> {
        cib::check::added(&self.base, cib::check::verify(&self.work))
    }

    /// What the edit brought that is wrong, and what is only odd.
    pub(crate) fn found(&self) -> (Vec<String>, Vec<String>) {
        let findings = self.new_findings().into_iter();
        let (wrong, odd): (Vec<_>, Vec<_>) =
            findings.partition(|finding| finding.severity == Severity::Error);
        let explained = |findings: Vec<Finding>| {
            let texts = findings.iter().map(|finding| self.explained(finding));
            texts.collect()
        };
        (explained(wrong), explained(odd))
    }

    /// A finding; where it misses a name, with the nearest that there is.
    fn explained(&self, finding: &Finding) -> String {
        let text = describe(finding);
        let missing = finding.what.split('"').nth(1).map(str::to_owned);
        let absent = ["does not exist", "is not known"];
        let missing = missing.filter(|_| absent.iter().any(|a| finding.what.ends_with(a)));
        let failure = Failure::no_such(format!("{}: {}", finding.id, finding.what));
        let near = usage::suggest(
            failure.clone(),
            missing.as_slice(),
            &usage::Names::of(&self.work),
        );
        match near == failure {
            true => text,
            false => near.text,
        }
    }

    /// Brings the edit to the cluster. Returns whether something changed there.
    ///
    /// # Errors
    /// [`Exit::Config`] when the configuration would be wrong and `force` is not given; the edit
    /// stays for correction then. Otherwise as [`backend::merge`].
    pub(crate) fn commit(
        &mut self,
        backend: &mut dyn Backend,
        console: &mut Console,
        force: bool,
    ) -> Result<bool, Failure> {
        if !self.changed() {
            return Ok(false);
        }
        let (mut wrong, odd) = self.found();
        for text in odd {
            console.warning(&text);
        }
        // The last one is the failure, so that a single mistake is a single line.
        if let Some(last) = wrong.pop_if(|_| !force) {
            self.refuse();
            for text in wrong {
                console.error(&text);
            }
            return Err(Failure::new(
                Exit::Config,
                format!("{last}; nothing was committed"),
            ));
        }
        for text in wrong {
            console.error(&text);
        }
        let committed = backend::merge(backend, CLIENT, &self.base, &self.work)?;
        for text in &committed.warnings {
            console.warning(text);
        }
        *self = Self {
            agents_asked: self.agents_asked,
            ..Self::begin(backend)?
        };
        Ok(committed.changed)
    }
}

/// A finding as crmsh would put it: whom it is about, what, and the cure.
#[must_use]
pub(crate) fn describe(finding: &Finding) -> String {
    let whom = match finding.id.as_str() {
        "" => format!("<{}>", finding.tag),
        id => id.to_owned(),
    };
    format!("{whom}: {}; {}", finding.what, finding.cure)
}

/// Name under which changes are recorded.
pub(super) const CLIENT: &str = "crm";
