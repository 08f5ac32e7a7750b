//! The frame that every tool with a getopt table has: options, version, help, whom to ask, how a
//! failure is told.

use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{self, Found, Opt};
use std::io::Read;

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
}

impl Tool {
    /// The whole program of a tool that asks the cluster, or a CIB in its place; `args` without
    /// its name.
    #[must_use]
    pub(crate) fn main(
        &self,
        args: &[String],
        run: fn(&mut dyn Backend, &mut Console, &Found) -> Result<(), Failure>,
    ) -> Exit {
        self.alone(args, |console, found| {
            let mut backend = backend::open()?;
            run(backend.as_mut(), console, found)
        })
    }

    /// As [`Tool::main`], of a tool that may do without a cluster.
    #[must_use]
    pub(crate) fn alone(
        &self,
        args: &[String],
        run: impl FnOnce(&mut Console, &Found) -> Result<(), Failure>,
    ) -> Exit {
        let mut console = Console::process();
        let result = getopt::parse(self.options, args).and_then(|found| {
            match self.answered(&found, &mut console) {
                true => Ok(()),
                false => run(&mut console, &found),
            }
        });
        self.finish(&mut console, result)
    }

    /// Version and help need nobody.
    fn answered(&self, found: &Found, console: &mut Console) -> bool {
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
    fn finish(&self, console: &mut Console, result: Result<(), Failure>) -> Exit {
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

/// XML that a command line gives: as a word, in a file, or on standard input.
///
/// # Errors
/// [`Exit::NoInput`] when it cannot be read.
pub(crate) fn xml_input(found: &Found) -> Result<Option<String>, Failure> {
    if let Some(text) = found.value("xml-text") {
        return Ok(Some(text.to_owned()));
    }
    let failed =
        |name: &str, e: std::io::Error| Failure::new(Exit::NoInput, format!("{name}: {e}"));
    if let Some(path) = found.value("xml-file") {
        let text = std::fs::read_to_string(path);
        return text.map(Some).map_err(|e| failed(path, e));
    }
    if !found.has("xml-pipe") {
        return Ok(None);
    }
    let mut text = String::new();
    let limit = cib::xml::DOCUMENT_MAX_BYTES as u64 + 1;
    let read = std::io::stdin()
        .lock()
        .take(limit)
        .read_to_string(&mut text);
    read.map_err(|e| failed("standard input", e))?;
    Ok(Some(text))
}
