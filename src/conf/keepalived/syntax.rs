//! The syntax: words on lines, blocks in braces, comments from `#` or `!` on.

use crate::conf::ConfError;

/// A line of words, with what the block behind it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its words; the first one is the keyword. Never empty.
    pub(super) words: Vec<String>,
    /// Line of the first word, from 1.
    pub(super) line: usize,
    /// Column of the first word, from 1.
    pub(super) column: usize,
    /// What stands in braces.
    pub(super) block: Vec<Self>,
}

impl Statement {
    /// The keyword.
    pub(super) fn keyword(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The word behind the keyword.
    pub(super) fn value(&self) -> Option<&str> {
        self.words.get(1).map(String::as_str)
    }
}

/// Reads the syntax; `file` is for messages.
///
/// # Errors
/// [`ConfError`]: too long, too deep, or braces that do not match.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<Statement>, ConfError> {
    if text.len() > FILE_BYTES_MAX {
        let what = format!(
            "the file has {} bytes; at most {FILE_BYTES_MAX} are read",
            text.len()
        );
        return Err(ConfError::at(file, 1, "", what));
    }
    // The statements of each open block, outermost first.
    let mut open: Vec<Vec<Statement>> = vec![Vec::new()];
    for (number, raw) in text.lines().enumerate() {
        let line = number + 1;
        let mut statement = Statement::default();
        let words = words(raw).map_err(|what| ConfError::at(file, line, "", what))?;
        for (column, word) in words {
            match word.as_str() {
                "{" => {
                    end(&mut open, std::mem::take(&mut statement));
                    if open.last().is_none_or(Vec::is_empty) {
                        let what = "a block without a name before it";
                        return Err(ConfError::at(file, line, "{", what));
                    }
                    if open.len() > DEPTH_MAX {
                        let what = format!("blocks lie deeper than {DEPTH_MAX}");
                        return Err(ConfError::at(file, line, "{", what));
                    }
                    open.push(Vec::new());
                }
                "}" => {
                    end(&mut open, std::mem::take(&mut statement));
                    let block = open.pop().unwrap_or_default();
                    let Some(of) = open.last_mut().and_then(|outer| outer.last_mut()) else {
                        let what = "this brace closes nothing";
                        return Err(ConfError::at(file, line, "}", what));
                    };
                    of.block = block;
                }
                _ => {
                    if statement.words.is_empty() {
                        (statement.line, statement.column) = (line, column);
                    }
                    statement.words.push(word);
                }
            }
        }
        end(&mut open, statement);
    }
    match open.len() {
        1 => Ok(open.remove(0)),
        _ => {
            let last = text.lines().count();
            Err(ConfError::at(
                file,
                last,
                "",
                "a block is not closed: a `}` is missing",
            ))
        }
    }
}

fn end(open: &mut [Vec<Statement>], statement: Statement) {
    if let Some(block) = open.last_mut().filter(|_| !statement.words.is_empty()) {
        block.push(statement);
    }
}

/// The words of a line, each with its column; quotes keep blanks, braces are words of their own
/// but for those of `${NAME}`.
fn words(raw: &str) -> Result<Vec<(usize, String)>, &'static str> {
    let mut words: Vec<(usize, String)> = Vec::new();
    let (mut inside, mut quote) = (false, None);
    for (at, c) in raw.chars().enumerate() {
        let word = words.last().filter(|_| inside).map_or("", |(_, word)| word);
        let named = c == '{' && word.ends_with('$') || c == '}' && is_open_name(word);
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                if !inside {
                    words.push((at + 1, String::new()));
                    inside = true;
                }
            }
            (None, '#' | '!') => break,
            (None, '{' | '}') if !named => {
                words.push((at + 1, c.to_string()));
                inside = false;
            }
            (None, _) if c.is_whitespace() => inside = false,
            _ => {
                if !inside {
                    words.push((at + 1, String::new()));
                    inside = true;
                }
                if let Some((_, word)) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    match quote {
        None => Ok(words),
        Some(_) => Err("a quote is not closed: what it holds ends on its line"),
    }
}

/// The word holds a `${` whose brace is still open.
fn is_open_name(word: &str) -> bool {
    word.rfind("${").is_some_and(|at| !word[at..].contains('}'))
}

/// Longest file, in bytes.
const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of blocks.
const DEPTH_MAX: usize = 16;
