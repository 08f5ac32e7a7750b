//! Where a command's words go: standard output and error, or buffers in tests. A reader that goes
//! away (`| head`) is no failure.

pub(crate) mod paint;

use cib::Element;
use paint::Colours;
use std::io::{IsTerminal, Write};

/// Output of one command.
#[derive(Debug)]
pub(crate) struct Console {
    sink: Sink,
    /// Somebody types, so that questions and prompts make sense.
    pub interactive: bool,
    /// Parts of an answer that is XML as a whole; text is left out then.
    answer: Option<Vec<Element>>,
    /// What is painted, where somebody can see it.
    colours: Colours,
}

#[derive(Debug)]
enum Sink {
    Process,
    File(std::fs::File),
    #[cfg(test)]
    Buffers {
        out: String,
        err: String,
    },
}

impl Console {
    /// The process's own standard output and error.
    #[must_use]
    pub(crate) fn process() -> Self {
        Self {
            sink: Sink::Process,
            interactive: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
            answer: None,
            colours: Colours::none(),
        }
    }

    /// Collects.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn buffers() -> Self {
        Self {
            sink: Sink::Buffers {
                out: String::new(),
                err: String::new(),
            },
            interactive: false,
            answer: None,
            colours: Colours::none(),
        }
    }

    /// What is painted from now on.
    pub(crate) fn paint(&mut self, colours: Colours) {
        self.colours = colours;
    }

    /// A configuration, in the form that is read back unless it is painted.
    pub(crate) fn configuration(&mut self, text: &str) {
        let terminal = matches!(self.sink, Sink::Process) && std::io::stdout().is_terminal();
        let text = self.colours.configuration(text, terminal);
        self.print(&text);
    }

    /// From now on the answer is XML as a whole (`--output-as=xml`).
    pub(crate) fn answer_in_xml(&mut self) {
        self.answer = Some(Vec::new());
    }

    /// The answer is XML.
    #[must_use]
    pub(crate) const fn wants_xml(&self) -> bool {
        self.answer.is_some()
    }

    /// A part of an answer in XML; nothing where the answer is text.
    pub(crate) fn element(&mut self, element: Element) {
        if let Some(answer) = &mut self.answer {
            answer.push(element);
        }
    }

    /// The parts of an answer in XML; what is printed from now on is text again.
    #[must_use]
    pub(crate) fn take_answer(&mut self) -> Option<Vec<Element>> {
        self.answer.take()
    }

    /// What is printed goes to a file (`--output-to`); errors still go to standard error.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn print_to(&mut self, path: &str) -> std::io::Result<()> {
        self.sink = Sink::File(std::fs::File::create(path)?);
        Ok(())
    }

    /// What was collected: output and errors.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn into_texts(self) -> (String, String) {
        match self.sink {
            Sink::Process | Sink::File(_) => (String::new(), String::new()),
            Sink::Buffers { out, err } => (out, err),
        }
    }

    /// Text as it is, to standard output.
    pub(crate) fn print(&mut self, text: &str) {
        if self.answer.is_some() {
            return;
        }
        match &mut self.sink {
            Sink::File(file) => {
                if let Err(error) = file.write_all(text.as_bytes()) {
                    let _ = writeln!(std::io::stderr().lock(), "the output: {error}");
                }
            }
            #[cfg(test)]
            Sink::Buffers { out, .. } => out.push_str(text),
            Sink::Process => {
                // A closed pipe: the reader has seen enough.
                let mut stdout = std::io::stdout().lock();
                let _ = stdout.write_all(text.as_bytes());
                let _ = stdout.flush();
            }
        }
    }

    /// A line to standard output.
    pub(crate) fn line(&mut self, text: &str) {
        self.print(&format!("{text}\n"));
    }

    /// A line to standard error.
    pub(crate) fn err_line(&mut self, text: &str) {
        self.err_text(&format!("{text}\n"));
    }

    /// Text as it is, to standard error.
    pub(crate) fn err_text(&mut self, text: &str) {
        match &mut self.sink {
            #[cfg(test)]
            Sink::Buffers { err, .. } => err.push_str(text),
            Sink::Process | Sink::File(_) => {
                let _ = std::io::stderr().lock().write_all(text.as_bytes());
            }
        }
    }

    /// A message behind the word that says how bad it is.
    fn told(&mut self, word: &str, text: &str) {
        let terminal = !self.colours.eq(&Colours::none()) && std::io::stderr().is_terminal();
        let word = self.colours.begin(word, terminal);
        self.err_line(&format!("{word}: {text}"));
    }

    /// `ERROR: …`, as crmsh words it.
    pub(crate) fn error(&mut self, text: &str) {
        // What the check of a configuration found says so itself.
        self.told("ERROR", text.strip_prefix("error: ").unwrap_or(text));
    }

    /// `WARNING: …`.
    pub(crate) fn warning(&mut self, text: &str) {
        self.told("WARNING", text);
    }

    /// `INFO: …`.
    pub(crate) fn info(&mut self, text: &str) {
        self.told("INFO", text);
    }
}
