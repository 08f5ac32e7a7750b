//! Commands typed at a prompt: what was typed before, and what may come next.

use super::{Joiner, Shell};
use crate::cli::backend::{self, Lazy, shadow};
use crate::cli::crm::agents::Agents;
use crate::cli::crm::complete::{self, Source};
use crate::cli::crm::words;
use crate::cli::private;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Editor, Helper};
use std::io::Write;
use std::path::{Path, PathBuf};

impl Shell<'_> {
    /// Reads and carries out commands until `quit` or the end of input.
    pub(in crate::cli::crm) fn prompt(&mut self) {
        let config = Config::builder().completion_type(CompletionType::List);
        let config = config.max_history_size(HISTORY_LINES_MAX);
        let editor = config.map(|c| Editor::<Next, DefaultHistory>::with_config(c.build()));
        let Ok(Ok(mut editor)) = editor else {
            return self.script(&mut std::io::stdin().lock());
        };
        let past = Past::of_this_user();
        for line in past.lines() {
            let _ = editor.add_history_entry(line);
        }
        editor.set_helper(Some(Next::new(self.context.agents.clone())));
        let host =
            backend::local_node(&mut self.context.backend).unwrap_or_else(|_| backend::host_name());
        let mut joiner = Joiner::default();
        while !self.quit {
            let prompt = match joiner.is_open() {
                true => "   > ".to_owned(),
                false => self.prompt_text(&host),
            };
            if let Some(next) = editor.helper_mut() {
                next.open = self.levels.last().map(|l| l.name());
                next.before = joiner.begun().unwrap_or_default().to_owned();
                next.shadow = self.context.backend.shadow().map(str::to_owned);
            }
            match editor.readline(&prompt) {
                // A terminal that tells what is pasted hands several lines over as one.
                Ok(lines) => {
                    for line in lines.split(['\n', '\r']) {
                        if self.quit {
                            break;
                        }
                        let Some(whole) = joiner.push(line) else {
                            continue;
                        };
                        if editor.add_history_entry(whole.as_str()).unwrap_or(false) {
                            past.remember(&whole);
                        }
                        self.line(&whole);
                    }
                }
                Err(ReadlineError::Interrupted) => {
                    let _ = joiner.finish();
                }
                Err(_) => break,
            }
        }
        self.leave_all();
        // What was typed wrong and then right is no failure of the whole.
        self.failed = false;
    }

    /// `crm(live/node1)configure# `.
    fn prompt_text(&self, host: &str) -> String {
        let path: Vec<&str> = self.levels.iter().map(|l| l.name()).collect();
        let worked_on = self.context.backend.shadow().unwrap_or("live");
        format!("crm({worked_on}/{host}){}# ", path.join("/"))
    }
}

/// What may come next, asked of the cluster when the key is pressed.
struct Next {
    agents: Agents,
    /// The level that is open.
    open: Option<&'static str>,
    /// The part of the line that is above the prompt.
    before: String,
    shadow: Option<String>,
}

impl Next {
    const fn new(agents: Agents) -> Self {
        Self {
            agents,
            open: None,
            before: String::new(),
            shadow: None,
        }
    }
}

impl Completer for Next {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..at).unwrap_or(line);
        let start = typed.rfind(char::is_whitespace).map_or(0, |n| n + 1);
        let (whole, partial) = typed.split_at(start);
        let Ok(words) = words::split(&format!("{} {whole}", self.before)) else {
            return Ok((at, Vec::new()));
        };
        let file = self
            .shadow
            .as_deref()
            .and_then(|name| shadow::existing(name).ok());
        let mut backend = Lazy::new(file.map(|path| path.display().to_string()));
        let mut source = Source::new(&mut backend, &self.agents);
        let mut found = complete::next(self.open, &words, partial, &mut source);
        // A word that is whole gets its blank.
        if let [only] = found.as_mut_slice()
            && !only.ends_with(['=', ':'])
        {
            only.push(' ');
        }
        Ok((start, found))
    }
}

impl Hinter for Next {
    type Hint = String;
}

impl Highlighter for Next {}
impl Validator for Next {}
impl Helper for Next {}

/// The file of what was typed before (`~/.cache/crm/history`, as crmsh has it).
struct Past {
    path: Option<PathBuf>,
}

impl Past {
    fn of_this_user() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(Path::new(&set("HOME")?).join(".cache")));
        let path = cache.map(|dir| dir.join("crm/history"));
        Self { path }
    }

    /// The newest lines; a file that grew long is cut.
    fn lines(&self) -> Vec<String> {
        let text = self.path.as_ref().map(std::fs::read_to_string);
        let text = text.and_then(Result::ok).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let newest = lines[lines.len().saturating_sub(HISTORY_LINES_MAX)..].to_vec();
        if lines.len() > 2 * HISTORY_LINES_MAX
            && let Some(path) = &self.path
        {
            // A history that cannot be written is no reason to tell anybody anything.
            let _ = std::fs::write(path, newest.join("\n") + "\n");
        }
        newest
    }

    /// Nobody else may read it: passwords are typed, too.
    fn remember(&self, line: &str) {
        let Some(path) = &self.path else {
            return;
        };
        let _ = path.parent().map(std::fs::create_dir_all);
        let file = private::append(path);
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}

/// Lines of the history that are kept.
const HISTORY_LINES_MAX: usize = 1000;
