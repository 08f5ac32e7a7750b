//! `logging{}` and its `logger_subsys{}`.

use super::Reader;
use crate::conf::ConfError;
use crate::conf::logging::LogPart;
use crate::conf::syntax::{Item, Section};

impl Reader<'_> {
    pub(super) fn logging(&mut self, section: &Section) -> Result<(), ConfError> {
        let mut file = None;
        let mut to_file = None;
        for item in &section.items {
            let on = || self.yes_no(item);
            match item.key.as_str() {
                "to_stderr" => self.conf.logging.to_stderr = on()?,
                "to_logfile" => to_file = Some(on()?),
                "logfile" => file = Some(item.value.clone()),
                "to_syslog" => self.conf.logging.to_syslog = on()?,
                "debug" => self.conf.logging.debug = self.debug(item)?,
                "timestamp" => self.conf.logging.timestamp = item.value == "hires" || on()?,
                "fileline" => self.conf.logging.fileline = on()?,
                "syslog_facility" => {
                    self.conf.logging.syslog_facility = self.facility(item)?;
                }
                _ => {}
            }
        }
        // Naming a file asks for it, unless it is switched off.
        self.conf.logging.logfile = file.filter(|_| to_file != Some(false));
        Ok(())
    }

    pub(super) fn logger_subsys(&mut self, section: &Section) -> Result<(), ConfError> {
        let get = |key: &str| section.items.iter().rev().find(|item| item.key == key);
        let Some(name) = get("subsys") else {
            let what = "no effect: it names no `subsys`".to_owned();
            self.warn(section.line, &section.name, what);
            return Ok(());
        };
        let debug = get("debug").map(|item| self.debug(item)).transpose()?;
        match LogPart::named(&name.value) {
            Some(part) => self
                .conf
                .logging
                .parts
                .extend(debug.map(|debug| (part, debug))),
            None => {
                let parts = LogPart::ALL.map(LogPart::name).join(", ");
                let what = format!(
                    "no effect: there is no part `{}` here; there are {parts}",
                    name.value
                );
                self.warn(name.line, &name.key, what);
            }
        }
        Ok(())
    }

    fn debug(&self, item: &Item) -> Result<bool, ConfError> {
        match item.value.as_str() {
            "trace" => Ok(true),
            _ => self.yes_no(item),
        }
    }
}
