//! Walking over the words of one configure command.

use crate::cli::crm::words::pair;
use crate::cli::exit::{Exit, Failure};
use crate::cli::pcs::is_it;
use cib::Element;
use cib::edit::{SetKind, sanitize_id};
use cib::value::Score;

/// The words behind a command's verb, and where we are.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    command: &'static str,
    words: &'a [String],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(command: &'static str, words: &'a [String]) -> Self {
        let at = 0;
        Self { command, words, at }
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).map(String::as_str)
    }

    pub(super) fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.at)?;
        self.at += 1;
        Some(word.clone())
    }

    pub(super) const fn back(&mut self) {
        self.at = self.at.saturating_sub(1);
    }

    /// A word that must be there.
    pub(super) fn word(&mut self, what: &str) -> Result<String, Failure> {
        self.next().ok_or_else(|| self.missing(what))
    }

    /// An id for a new object.
    pub(super) fn id(&mut self) -> Result<String, Failure> {
        let id = self.word("an id")?;
        let fine = !id.is_empty()
            && sanitize_id(&id) == id
            && !id.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.'));
        if !fine {
            return Err(self.fail(&format!(
                "`{id}` cannot be an id: use letters, digits, `_`, `-` and `.`, a letter first"
            )));
        }
        Ok(id)
    }

    /// `description=…`, in front of the keywords.
    pub(super) fn description(&mut self, element: &mut Element) {
        if let Some(("description", text)) = self.peek().and_then(pair) {
            element.set("description", text);
            self.at += 1;
        }
    }

    pub(super) fn missing(&self, what: &str) -> Failure {
        self.fail(&format!("expected {what}"))
    }

    pub(super) fn unexpected(&self, word: &str) -> Failure {
        let near = is_it(word, KEYWORDS);
        self.fail(&format!("`{word}` makes no sense here{near}"))
    }

    /// A failure that names the command.
    pub(super) fn fail(&self, what: &str) -> Failure {
        Failure {
            exit: Exit::Usage,
            text: format!("{}: {what}", self.command),
            cure: None,
        }
    }
}

/// Words that begin a part of an object.
const KEYWORDS: [&str; 9] = [
    "params",
    "meta",
    "op",
    "operations",
    "utilization",
    "attributes",
    "rule",
    "select",
    "to",
];

/// `name=value` words up to one of the keywords or the end.
pub(super) fn attrs(
    cursor: &mut Cursor<'_>,
    keywords: &[&str],
) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    while let Some(word) = cursor.peek() {
        if keywords.contains(&word) {
            break;
        }
        let Some((name, value)) = pair(word) else {
            return Err(match word {
                "rule" => cursor.fail(
                    "rules inside attribute sets are not offered yet: put them in with `cibadmin`",
                ),
                _ => {
                    let near = is_it(word, keywords.iter().copied());
                    cursor.fail(&format!("expected name=value, found `{word}`{near}"))
                }
            });
        };
        if let Some((n, _)) = pairs.iter().find(|(n, _)| n == name) {
            return Err(cursor.fail(&format!("`{n}` is given twice")));
        }
        pairs.push((name.to_owned(), value.to_owned()));
        cursor.next();
    }
    Ok(pairs)
}

/// A set of attributes with the ids of crmsh; `$id=` names the set.
pub(super) fn nvpairs(
    element: &mut Element,
    kind: SetKind,
    owner: &str,
    cursor: &mut Cursor<'_>,
    keywords: &[&str],
) -> Result<(), Failure> {
    let pairs = attrs(cursor, keywords)?;
    if pairs.is_empty() {
        return Err(cursor.missing("name=value"));
    }
    let mut set_id = format!("{owner}-{}", kind.tag());
    let mut set = match element.first(kind.tag()) {
        Some(_) => {
            return Err(cursor.fail("the same keyword twice; write its values behind one another"));
        }
        None => Element::new(kind.tag()),
    };
    for (name, value) in &pairs {
        match name.as_str() {
            "$id" => set_id.clone_from(value),
            "$id-ref" => set.set("id-ref", value),
            _ => {}
        }
    }
    if set.attr("id-ref").is_none() {
        set.set("id", &set_id);
    }
    for (name, value) in pairs.iter().filter(|(n, _)| !n.starts_with('$')) {
        let id = sanitize_id(&format!("{set_id}-{name}"));
        set.children.push(
            Element::new("nvpair")
                .with("id", &id)
                .with("name", name)
                .with("value", value),
        );
    }
    element.children.push(set);
    Ok(())
}

/// A score as the CIB has it: `inf` and `infinity` in any case become `INFINITY`.
pub(super) fn score(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (&text[..1], rest),
        None => ("", text),
    };
    if digits.eq_ignore_ascii_case("inf") || digits.eq_ignore_ascii_case("infinity") {
        return Some(format!("{}INFINITY", if sign == "-" { "-" } else { "" }));
    }
    Score::parse(text).ok().map(|_| text.to_owned())
}

/// A score as crmsh writes it: `inf`, `-inf`, or the number.
pub(super) fn show_score(text: &str) -> String {
    match text {
        "INFINITY" | "+INFINITY" => "inf".to_owned(),
        "-INFINITY" => "-inf".to_owned(),
        other => other.to_owned(),
    }
}

/// `rsc[:role or action]`.
pub(super) fn with_suffix(word: &str) -> (&str, Option<&str>) {
    match word.split_once(':') {
        Some((id, suffix)) => (id, Some(suffix)),
        None => (word, None),
    }
}
