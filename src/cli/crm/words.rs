//! Lines to words: quotes, comments, continuation lines. The grammar of crmsh's input.

use crate::cli::exit::Failure;

/// Splits a line into words as a shell would: `'…'` and `"…"` group, a backslash outside of single
/// quotes takes the next character as it is. A line whose first character is `#` is a comment.
///
/// # Errors
/// A quote that is never closed, and lines longer than [`LINE_BYTES_MAX`].
pub(crate) fn split(line: &str) -> Result<Vec<String>, Failure> {
    if line.len() > LINE_BYTES_MAX {
        return Err(Failure::usage(format!(
            "a line has at most {LINE_BYTES_MAX} bytes, this one has {}",
            line.len()
        )));
    }
    let mut words = Vec::new();
    if line.trim_start().starts_with('#') {
        return Ok(words);
    }
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some('"') | None, '\\') => {
                word.get_or_insert_default().extend(chars.next());
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(quote) = quote {
        return Err(Failure::usage(format!(
            "the quote {quote} is opened but not closed: {}",
            line.trim()
        )));
    }
    words.extend(word);
    Ok(words)
}

/// A text as it was before a word processor or a web page made it pretty: `“` and `”` become
/// `quote`, a dash that begins a word an option's hyphens. `None` = there is nothing of the kind.
#[must_use]
pub(crate) fn without_typography(text: &str, quote: &str) -> Option<String> {
    let plain = text.replace(['\u{201c}', '\u{201d}'], quote);
    let words: Vec<String> = plain.split(' ').map(hyphenated).collect();
    let plain = words.join(" ");
    (plain != text).then_some(plain)
}

fn hyphenated(word: &str) -> String {
    match word.strip_prefix(['\u{2013}', '\u{2014}']) {
        Some(rest) if rest.chars().count() == 1 => format!("-{rest}"),
        Some(rest) if rest.starts_with(char::is_alphabetic) => format!("--{rest}"),
        _ => word.to_owned(),
    }
}

/// What is said where [`without_typography`] changed something.
pub(crate) const TYPOGRAPHY: &str =
    "typographic quotes and dashes, as a web page prints them, are taken for plain ones";

/// `OBJECT set NAME VALUE | delete NAME | show NAME`, as several levels have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    /// Whose.
    pub(crate) of: &'a str,
    /// Which.
    pub(crate) name: &'a str,
    /// What it becomes, `Some(None)` = deleted; `None` = it is asked for.
    pub(crate) value: Option<Option<&'a str>>,
}

impl<'a> Attribute<'a> {
    /// Reads a command's words.
    ///
    /// # Errors
    /// Anything else.
    pub(crate) fn parse(words: &'a [String]) -> Result<Self, Failure> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (of, name, value) = match words.as_slice() {
            [of, "set", name, value] => (*of, *name, Some(Some(*value))),
            [of, "delete", name] => (*of, *name, Some(None)),
            [of, "show", name] => (*of, *name, None),
            _ => return Err(super::usage::misused()),
        };
        Ok(Self { of, name, value })
    }
}

/// Joins physical lines to logical ones: a backslash at the end (blanks behind it do no harm)
/// continues a line.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    open: Option<String>,
}

impl Joiner {
    /// Takes a physical line; returns the logical line it completes.
    pub(crate) fn push(&mut self, line: &str) -> Option<String> {
        let trimmed = line.trim_end();
        let comment = self.open.is_none() && trimmed.trim_start().starts_with('#');
        let continued = trimmed.strip_suffix('\\').filter(|_| !comment);
        let text = continued.unwrap_or(trimmed);
        let whole = match self.open.take() {
            Some(mut before) => {
                before.push(' ');
                before.push_str(text.trim_start());
                before
            }
            None => text.to_owned(),
        };
        if continued.is_some() && whole.len() <= LINE_BYTES_MAX {
            self.open = Some(whole);
            return None;
        }
        Some(whole)
    }

    /// In the middle of a logical line.
    #[must_use]
    pub(crate) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The part of a logical line that was read already.
    #[must_use]
    pub(crate) fn begun(&self) -> Option<&str> {
        self.open.as_deref()
    }

    /// What is left at the end of the input.
    pub(crate) const fn finish(&mut self) -> Option<String> {
        self.open.take()
    }
}

/// A value as `show` prints it: quoted unless it consists of letters, digits, `_`, `.` and `-`.
#[must_use]
pub(crate) fn quote(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// `name=value`, when the word is one.
#[must_use]
pub(crate) fn pair(word: &str) -> Option<(&str, &str)> {
    word.split_once('=').filter(|(name, _)| !name.is_empty())
}

/// Longest logical line, in bytes.
pub(crate) const LINE_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_and_quotes() {
        let cases: [(&str, &[&str]); 7] = [
            ("a  b\tc", &["a", "b", "c"]),
            (
                "ip=\"192.168.1.100\" x='a b'",
                &["ip=192.168.1.100", "x=a b"],
            ),
            ("a\\ b \"c\\\"d\" ''", &["a b", "c\"d", ""]),
            ("# a comment", &[]),
            ("a # b", &["a", "#", "b"]),
            (
                "rule -inf: #uname eq n",
                &["rule", "-inf:", "#uname", "eq", "n"],
            ),
            ("", &[]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        let text = split("params ip=\"1").unwrap_err().text;
        assert!(text.contains("not closed"), "{text}");
    }

    #[test]
    fn what_was_made_pretty_is_plain_again() {
        for (text, plain) in [
            ("ip=\u{201c}10.0.0.1\u{201d}", Some("ip=\"10.0.0.1\"")),
            ("\u{2013}w stop \u{2014}force", Some("-w stop --force")),
            ("description=\"a \u{2013} b\"", None),
            ("plain", None),
        ] {
            assert_eq!(without_typography(text, "\"").as_deref(), plain, "{text}");
        }
    }

    #[test]
    fn continuation_lines_join() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.push("primitive a b \\  "), None);
        assert!(joiner.is_open());
        assert_eq!(joiner.push("\tparams x=1 \\"), None);
        assert_eq!(
            joiner.push("\top monitor").as_deref(),
            Some("primitive a b  params x=1  op monitor")
        );
        assert_eq!(joiner.push("# c \\").as_deref(), Some("# c \\"));
        assert_eq!(joiner.push("a \\"), None);
        assert_eq!(joiner.finish().as_deref(), Some("a "));
    }

    #[test]
    fn values_are_quoted_where_needed() {
        assert_eq!(quote("10.0.2.10"), "10.0.2.10");
        assert_eq!(quote("/etc/my.cnf"), "\"/etc/my.cnf\"");
        assert_eq!(quote("a \"b\""), "\"a \\\"b\\\"\"");
        assert_eq!(quote(""), "\"\"");
    }

    proptest! {
        #[test]
        fn any_line_splits_or_fails(line in "\\PC*") {
            let _ = split(&line);
        }

        #[test]
        fn a_quoted_value_comes_back(value in "\\PC*") {
            prop_assert_eq!(split(&quote(&value)).unwrap(), vec![value]);
        }
    }
}
