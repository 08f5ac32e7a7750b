//! The frame that every tool with a getopt table has: options, version, help, whom to ask, how a
//! failure is told.

use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{self, Found, Opt};

/// A tool.
pub(crate) struct Tool {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its options.
    pub(crate) options: &'static [Opt],
    /// How it is called, in a line.
    pub(crate) usage: &'static str,
    /// What stands before a failure of the cluster's; a wrong command line and a daemon that is
    /// down are told under the tool's name.
    pub(crate) prefix: &'static str,
    /// What it does when it has to ask somebody.
    pub(crate) run: fn(&mut dyn Backend, &mut Console, &Found) -> Result<(), Failure>,
}

impl Tool {
    /// The whole program; `args` without its name.
    #[must_use]
    pub(crate) fn main(&self, args: &[String]) -> Exit {
        let mut console = Console::process();
        let result = getopt::parse(self.options, args).and_then(|found| {
            if self.answered(&found, &mut console) {
                return Ok(());
            }
            let mut backend = backend::open()?;
            (self.run)(backend.as_mut(), &mut console, &found)
        });
        self.finish(&mut console, result)
    }

    /// Version and help need nobody.
    pub(crate) fn answered(&self, found: &Found, console: &mut Console) -> bool {
        if found.has("version") {
            console.line(&format!("Pacemaker {}", crate::DC_VERSION));
            return true;
        }
        if found.has("help") || found.has("help-usage") {
            console.line(self.usage);
            return true;
        }
        false
    }

    /// Tells of a failure; the exit code.
    pub(crate) fn finish(&self, console: &mut Console, result: Result<(), Failure>) -> Exit {
        let Err(failure) = result else {
            return Exit::Ok;
        };
        let name = self.name;
        console.err_line(&match failure.exit {
            Exit::Usage => format!("{name}: {failure}\n{}", self.usage),
            Exit::Disconnect => format!("{name}: {failure}"),
            _ => format!("{}{failure}", self.prefix),
        });
        if let Some(cure) = &failure.cure {
            console.err_line(cure);
        }
        failure.exit
    }
}
