//! The frame that every tool with a getopt table has: options, version, help, whom to ask, how a
//! failure is told.

use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{self, Found, Opt, Value};
use super::pacemakerd;
use super::table::DAEMONS;
use crate::view;
use cib::Element;
use std::fmt::Write as _;
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
            direct(&mut console, &found)?;
            if self.answered(&found, &mut console) {
                return Ok(());
            }
            let by_agent = std::env::var_os("OCF_RESOURCE_INSTANCE").is_some();
            self.refuse_words(&found, by_agent, &mut console)?;
            run(&mut console, &found)
        });
        self.finish(&mut console, args, result)
    }

    /// A word too many is a mistake; an agent that makes it must still come to its score.
    fn refuse_words(
        &self,
        found: &Found,
        by_agent: bool,
        console: &mut Console,
    ) -> Result<(), Failure> {
        let asked = DAEMONS.iter().any(|daemon| daemon.name == self.name);
        if asked || TAKE_WORDS.contains(&self.name) {
            return Ok(());
        }
        match found.no_words() {
            Err(failure) if by_agent && AGENTS_CALL.contains(&self.name) => {
                console.err_line(&format!("{}: {failure}; it is left out", self.name));
                Ok(())
            }
            result => result,
        }
    }

    /// Version and help need nobody.
    fn answered(&self, found: &Found, console: &mut Console) -> bool {
        if found.has("version") {
            version(console);
            return true;
        }
        if found.has("help-all") {
            console.print(&help(self.usage, self.options));
            return true;
        }
        if found.has("help") || found.has("help-usage") {
            console.line(self.usage);
            return true;
        }
        false
    }

    /// Tells of a failure, and prints an answer in XML; the exit code.
    fn finish(&self, console: &mut Console, args: &[String], result: Result<(), Failure>) -> Exit {
        let (exit, told) = match &result {
            Ok(()) => (Exit::Ok, Vec::new()),
            Err(failure) => (failure.exit, self.told(failure)),
        };
        match console.take_answer() {
            Some(elements) => console.print(&view::xml::answer(
                &request(self.name, args),
                elements,
                exit.code(),
                exit.text(),
                &told,
            )),
            None => told.iter().for_each(|line| console.err_line(line)),
        }
        exit
    }

    /// The lines that tell of a failure.
    fn told(&self, failure: &Failure) -> Vec<String> {
        let name = self.name;
        let mut lines = match failure.exit {
            // Some failures are an exit code and nothing more.
            _ if failure.text.is_empty() => Vec::new(),
            Exit::Usage => vec![format!("{name}: {failure}"), self.usage.to_owned()],
            Exit::Disconnect => vec![format!("{name}: {failure}")],
            _ => vec![format!("{}{failure}", self.prefix)],
        };
        lines.extend(failure.cure.clone());
        lines
    }
}

/// Tools that words may follow, besides [`DAEMONS`], which are asked by one: the schema of an empty
/// CIB; codes; parameters.
const TAKE_WORDS: [&str; 3] = ["cibadmin", "crm_error", "crm_resource"];
/// Tools that agents call, some with a value that they forgot to quote: Pacemaker's take the first
/// word of it.
const AGENTS_CALL: [&str; 2] = ["crm_attribute", "attrd_updater"];

/// Usage, and every option by its name: pcs looks there for what a tool can do before it asks for
/// it (pcs/lib/pacemaker/live.py, `_is_in_pcmk_tool_help`).
#[must_use]
pub(crate) fn help(usage: &str, options: &[Opt]) -> String {
    let mut text = format!("{usage}\n\noptions:\n");
    for option in options {
        let value = match option.value {
            Value::None => "",
            Value::Needed => "=VALUE",
            Value::Optional => "[=VALUE]",
        };
        let short = match option.short {
            '\0' => "   ".to_owned(),
            letter => format!("-{letter},"),
        };
        let _ = writeln!(text, "  {short} --{}{value}", option.long);
    }
    text
}

/// The version that is stood in for, and who does.
pub(crate) fn version(console: &mut Console) {
    let (number, build) = pacemakerd::numbers();
    let by = concat!("Served by mainstay ", env!("CARGO_PKG_VERSION"));
    console.line(&format!("Pacemaker {}", crate::DC_VERSION));
    console.line(by);
    console.element(
        Element::new("version")
            .with("program", "Pacemaker")
            .with("version", number)
            .with("author", by)
            .with("build", build)
            .with("features", &pacemakerd::FEATURES.join(" ")),
    );
}

/// The command line as an answer in XML repeats it.
pub(crate) fn request(name: &str, args: &[String]) -> String {
    let quoted = |word: &String| match word.contains([' ', '\t', '\n', '"', '\'']) {
        true => format!("'{}'", word.replace('\'', "'\\''")),
        false => word.clone(),
    };
    let mut words = vec![name.to_owned()];
    words.extend(args.iter().map(quoted));
    words.join(" ")
}

/// `--output-as` and `--output-to`, in tools that have them.
fn direct(console: &mut Console, found: &Found) -> Result<(), Failure> {
    match found.value("output-as") {
        None | Some("text") => {}
        Some("xml") => console.answer_in_xml(),
        Some(other) => {
            return Err(Failure::usage(format!(
                "--output-as={other}: there are text and xml"
            )));
        }
    }
    match found.value("output-to").filter(|path| *path != "-") {
        None => Ok(()),
        Some(path) => console
            .print_to(path)
            .map_err(|e| Failure::new(Exit::CantCreat, format!("{path}: {e}"))),
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
    if let Some(path) = found.value("xml-file") {
        let failed = |e| Failure::new(Exit::NoInput, format!("{path}: {e}"));
        return std::fs::read_to_string(path).map(Some).map_err(failed);
    }
    if !found.has("xml-pipe") {
        return Ok(None);
    }
    standard_input().map(Some)
}

/// A document on standard input; no more than can be one.
///
/// # Errors
/// [`Exit::NoInput`] when it cannot be read.
pub(crate) fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let limit = cib::xml::DOCUMENT_MAX_BYTES as u64 + 1;
    let read = std::io::stdin()
        .lock()
        .take(limit)
        .read_to_string(&mut text);
    read.map_err(|e| Failure::new(Exit::NoInput, format!("standard input: {e}")))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_too_many_is_refused_where_words_mean_nothing() {
        let found = getopt::parse(&[], &["value".to_owned()]).unwrap();
        for (name, by_agent, refused) in [
            ("crm_node", false, true),
            ("crm_node", true, true),
            ("crm_error", false, false),
            ("crm_attribute", false, true),
            ("crm_attribute", true, false),
            ("attrd_updater", false, true),
            ("attrd_updater", true, false),
        ] {
            let tool = Tool {
                name,
                options: &[],
                usage: "usage",
                prefix: "",
            };
            let mut console = Console::buffers();
            let told = tool.refuse_words(&found, by_agent, &mut console);
            let told = told.err().map(|failure| failure.exit);
            assert_eq!(told, refused.then_some(Exit::Usage), "{name} {by_agent}");
            let left_out = console.into_texts().1.contains("left out");
            assert_eq!(left_out, by_agent && !refused, "{name} {by_agent}");
        }
    }
}
