//! Where a command's words go: standard output and error, or buffers in tests. A reader that goes
//! away (`| head`) is no failure.

use std::io::{IsTerminal, Write};

/// Output of one command.
#[derive(Debug)]
pub(crate) struct Console {
    sink: Sink,
    /// Somebody types, so that questions and prompts make sense.
    pub interactive: bool,
}

#[derive(Debug)]
enum Sink {
    Process,
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
        }
    }

    /// Collects.
    #[cfg(test)]
    #[must_use]
    pub(crate) const fn buffers() -> Self {
        Self {
            sink: Sink::Buffers {
                out: String::new(),
                err: String::new(),
            },
            interactive: false,
        }
    }

    /// What was collected: output and errors.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn into_texts(self) -> (String, String) {
        match self.sink {
            Sink::Process => (String::new(), String::new()),
            Sink::Buffers { out, err } => (out, err),
        }
    }

    /// Text as it is, to standard output.
    pub(crate) fn print(&mut self, text: &str) {
        match &mut self.sink {
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
        match &mut self.sink {
            #[cfg(test)]
            Sink::Buffers { err, .. } => {
                err.push_str(text);
                err.push('\n');
            }
            Sink::Process => {
                let _ = writeln!(std::io::stderr().lock(), "{text}");
            }
        }
    }

    /// `ERROR: …`, as crmsh words it.
    pub(crate) fn error(&mut self, text: &str) {
        self.err_line(&format!("ERROR: {text}"));
    }

    /// `WARNING: …`.
    pub(crate) fn warning(&mut self, text: &str) {
        self.err_line(&format!("WARNING: {text}"));
    }

    /// `INFO: …`.
    pub(crate) fn info(&mut self, text: &str) {
        self.err_line(&format!("INFO: {text}"));
    }
}
