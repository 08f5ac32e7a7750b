//! Mistakes made from the forms of verbs: every verb of a program, called with a word too few, with
//! words too many, and with names that are nearly right. What a form is, see [`forms`].

use super::backend::CibFile;
use super::cases::Answer;
use super::exit::Exit;
use cib::Cib;

/// One form of a verb, as words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Words that must be there.
    pub(super) needed: Vec<String>,
    /// The same, with the names that may be there.
    pub(super) whole: Vec<String>,
    /// How many further words may be there.
    pub(super) optional: usize,
}

/// The forms of a usage text: words in capitals stand for values, `[…]` may be left out, `…` and
/// `...` go on, ` | ` stands between two forms, `(…)` keeps together.
pub(super) fn forms(usage: &str) -> Vec<Form> {
    split(usage, " | ").iter().map(|one| form(one)).collect()
}

fn form(text: &str) -> Form {
    let mut form = Form::default();
    for token in split(text, " ") {
        let token = token.trim_end_matches("...");
        if token.is_empty() || token == "…" {
            continue;
        }
        let inside = |open, close| token.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        if let Some(inner) = inside('(', ')') {
            let inner = self::form(inner);
            form.needed.extend(inner.needed);
            form.whole.extend(inner.whole);
        } else if let Some(inner) = inside('[', ']') {
            form.optional += inner.split_whitespace().count();
            let names = self::form(inner);
            let first = names.needed.first();
            if first.is_some_and(|w| NAMES.contains(&w.as_str())) {
                form.whole.extend(names.whole);
            }
        } else {
            let word = plain(token);
            form.needed.push(word.clone());
            form.whole.push(word);
        }
    }
    form
}

/// `RESOURCE[:ROLE]` without what may be left out; of `a|b` the first.
fn plain(token: &str) -> String {
    let mut depth = 0_u32;
    let mut word = String::new();
    for c in token.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            c if depth == 0 => word.push(c),
            _ => {}
        }
    }
    word.split('|').next().unwrap_or_default().to_owned()
}

/// Splits where no bracket is open.
fn split(text: &str, separator: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if depth == 0 && rest.starts_with(separator) {
            parts.push(String::new());
            rest = &rest[separator.len()..];
            continue;
        }
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    parts
}

/// A program that is tried.
pub(super) struct Program<'p> {
    /// The configuration that it works on.
    pub(super) cib: Cib,
    /// Carries out the words behind its name.
    pub(super) call: &'p dyn Fn(&mut CibFile, &[String]) -> Answer,
    /// What begins the line of an error.
    pub(super) error: &'static str,
    /// Values of placeholders.
    pub(super) value: &'p dyn Fn(&str) -> String,
    /// What is told where a word is missing: one of these.
    pub(super) right: &'static [&'static str],
    /// What was wrong.
    pub(super) wrong: Vec<String>,
}

impl Program<'_> {
    /// Calls it with what cannot be; it must fail with one line, and change nothing. `told`: one of
    /// these must be in it, where there are any.
    pub(super) fn refuses(&mut self, words: &[String], told: &[String]) {
        self.refuses_in(words, told, 1);
    }

    fn refuses_in(&mut self, words: &[String], told: &[String], lines_max: usize) {
        let mut file = CibFile::in_memory(self.cib.clone());
        let (exit, _, err) = (self.call)(&mut file, words);
        let line = words.join(" ");
        let mut complain = |what: &str| self.wrong.push(format!("`{line}`: {what}: {err}"));
        let errors = err.lines().filter(|l| l.starts_with(self.error)).count();
        if exit != Exit::Error {
            complain("it was no failure");
        } else if errors == 0 || errors > lines_max {
            complain("not one line of error");
        } else if !told.is_empty() && !told.iter().any(|t| err.contains(t.as_str())) {
            complain(&format!("none of {told:?} was told"));
        }
        if *file.cib() != self.cib {
            complain("something was changed");
        }
    }

    /// All mistakes that can be made from the forms of the verb at `path`.
    pub(super) fn mistakes(&mut self, path: &[&str], usage: &str) {
        let all = forms(usage);
        let values = |program: &Self, words: &[String]| -> Vec<String> {
            let begun = path.iter().map(|w| (*w).to_owned());
            let values = words.iter().map(|w| (program.value)(w));
            let values = values.flat_map(|v| v.split(' ').map(str::to_owned).collect::<Vec<_>>());
            begun.chain(values).collect()
        };
        let right: Vec<String> = self.right.iter().map(|t| (*t).to_owned()).collect();
        for form in &all {
            let fewest = all.iter().map(|f| f.needed.len()).min().unwrap_or(0);
            if form.needed.len() == fewest && fewest > 0 {
                let short = values(self, &form.needed[..fewest - 1]);
                self.refuses(&short, &right);
            }
            let mut long = values(self, &form.whole);
            long.extend((0..form.optional + 3).map(|n| format!("surplus{n}")));
            if !usage.contains("RECIPIENT …") {
                // Names may each be told.
                self.refuses_in(&long, &[], form.optional + 3);
            }
            for (at, word) in form.whole.iter().enumerate() {
                // A place may name a node that comes later; that is a warning.
                let later = path.last() == Some(&"location") && word == "NODE";
                if !NAMES.contains(&word.as_str()) || later {
                    continue;
                }
                let mut words = values(self, &form.whole);
                let name = (self.value)(word);
                words[path.len() + at] = misspelt(&name);
                let near = format!("is it `{name}`?");
                self.refuses(&words, &[near, "not offered".to_owned()]);
            }
        }
    }

    /// The verb with two letters swapped, and with one too many, is not it.
    pub(super) fn misspelt_verb(&mut self, path: &[&str], siblings: &[&str]) {
        let Some((verb, before)) = path.split_last() else {
            return;
        };
        let mut doubled = (*verb).to_owned();
        doubled.insert(1, verb.chars().next().unwrap_or('x'));
        for wrong in [misspelt(verb), doubled] {
            if siblings.iter().any(|s| s.starts_with(&wrong)) {
                continue;
            }
            let words: Vec<String> = before.iter().map(|w| (*w).to_owned()).collect();
            let words = [&words[..], &[wrong]].concat();
            self.refuses(&words, &["is it `".to_owned()]);
        }
    }

    /// Ends the test.
    pub(super) fn judge(self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}

/// The last two letters that differ, swapped.
pub(super) fn misspelt(name: &str) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    for at in (1..letters.len()).rev() {
        if letters[at - 1] != letters[at] {
            letters.swap(at - 1, at);
            break;
        }
    }
    letters.into_iter().collect()
}

/// Placeholders that stand for a name which there is.
const NAMES: [&str; 5] = ["RESOURCE", "OTHER", "NODE", "OBJECT", "DEVICE"];

#[test]
fn a_usage_text_is_its_forms() {
    let form = |needed: &str, whole: &str, optional| Form {
        needed: needed.split_whitespace().map(str::to_owned).collect(),
        whole: whole.split_whitespace().map(str::to_owned).collect(),
        optional,
    };
    for (usage, wanted) in [
        ("", vec![form("", "", 0)]),
        ("[NODE] [reboot | forever]", vec![form("", "NODE", 4)]),
        (
            "RESOURCE set A B | RESOURCE[:ROLE] show",
            vec![
                form("RESOURCE set A B", "RESOURCE set A B", 0),
                form("RESOURCE show", "RESOURCE show", 0),
            ],
        ),
        (
            "[xml] replace|update FILE…",
            vec![form("replace FILE…", "replace FILE…", 1)],
        ),
        (
            "C (NODE [addr=A]...)... [RESOURCE [NODE]]",
            vec![form("C NODE", "C NODE RESOURCE NODE", 2)],
        ),
    ] {
        assert_eq!(forms(usage), wanted, "{usage}");
    }
    assert_eq!(
        (misspelt("web"), misspelt("node1")),
        ("wbe".to_owned(), "nod1e".to_owned())
    );
}
