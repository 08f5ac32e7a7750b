//! Levels that work on the configuration under edit, besides `configure` itself.

use super::Shell;
use crate::cli::crm::session::Session;
use crate::cli::crm::{assist, scripts, templates};
use crate::cli::exit::Failure;

impl Shell<'_> {
    pub(super) fn assist(&mut self, verb: &str, words: &[String]) -> Result<(), Failure> {
        let mut session = self.session()?;
        let done = assist::run(&mut self.context, &mut session, verb, words);
        self.session = Some(session);
        done
    }

    pub(super) fn template(&mut self, verb: &str, words: &[String]) -> Result<(), Failure> {
        let Some(applied) = templates::run(&mut self.context, verb, words)? else {
            return Ok(());
        };
        let mut session = self.session()?;
        let text = applied.commands.join("\n");
        let done = self.apply_text(&mut session, &text, applied.replace, &applied.name);
        self.session = Some(session);
        done
    }

    /// What a script makes reaches the cluster at once, and is waited for.
    pub(super) fn run_script(&mut self, verb: &str, words: &[String]) -> Result<(), Failure> {
        let Some(order) = scripts::run(&mut self.context, verb, words)? else {
            return Ok(());
        };
        let mut session = Session::begin(&mut self.context.backend)?;
        self.apply_text(
            &mut session,
            &order.commands.join("\n"),
            false,
            order.wizard.name,
        )?;
        if order.dry {
            scripts::tell(&mut self.context, &order, &session);
            return Ok(());
        }
        let changed = session.changed();
        let wait = std::mem::replace(&mut self.context.options.wait, true);
        let done = self.commit(&mut session, self.context.options.force);
        self.context.options.wait = wait;
        done?;
        self.context.console.info(match changed {
            true => order.wizard.title,
            false => "the configuration holds all of it already",
        });
        Ok(())
    }

    /// The configuration under edit; the cluster's where none is.
    fn session(&mut self) -> Result<Session, Failure> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => Session::begin(&mut self.context.backend),
        }
    }
}
