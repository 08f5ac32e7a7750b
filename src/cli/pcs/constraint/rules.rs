//! Rules of location constraints, in the words of pcs: `#uname eq node1 and (date gt 2030-01-01 or
//! defined pingd)`.

use super::super::words::is_it;
use crate::cli::exit::Failure;
use cib::Element;

/// An expression as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expression {
    /// `defined NAME`, `not_defined NAME`.
    Defined(&'static str, String),
    /// `NAME OPERATION [TYPE] VALUE`.
    Compare {
        name: String,
        operation: &'static str,
        kind: Option<&'static str>,
        value: String,
    },
    /// `date …`: operation, start, end, duration or specification.
    Date {
        operation: &'static str,
        start: Option<String>,
        end: Option<String>,
        inside: Option<(&'static str, Vec<(String, String)>)>,
    },
    /// Several, with `and` or `or`.
    Several(&'static str, Vec<Self>),
}

/// Reads the words of a rule; `and` binds closer than `or`.
///
/// # Errors
/// What is no expression.
pub(super) fn parse(words: &[String]) -> Result<Expression, Failure> {
    let tokens = tokens(words);
    let mut reader = Reader { tokens, at: 0 };
    let expression = reader.any_of(0)?;
    match reader.next() {
        None => Ok(expression),
        Some(word) => Err(wrong(&format!("`{word}` makes no sense there"))),
    }
}

/// Brackets stand alone.
fn tokens(words: &[String]) -> Vec<String> {
    let words = words.iter().flat_map(|w| w.split_whitespace());
    let mut tokens = Vec::new();
    for word in words {
        let mut rest = word;
        while let Some(inner) = rest.strip_prefix('(') {
            tokens.push("(".to_owned());
            rest = inner;
        }
        let closing = rest.len() - rest.trim_end_matches(')').len();
        let inner = &rest[..rest.len() - closing];
        if !inner.is_empty() {
            tokens.push(inner.to_owned());
        }
        tokens.extend(std::iter::repeat_n(")".to_owned(), closing));
    }
    tokens
}

struct Reader {
    tokens: Vec<String>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<String> {
        let word = self.tokens.get(self.at).cloned();
        self.at += usize::from(word.is_some());
        word
    }

    fn need(&mut self, what: &str) -> Result<String, Failure> {
        self.next()
            .ok_or_else(|| wrong(&format!("{what} is missing at the end")))
    }

    fn any_of(&mut self, depth: usize) -> Result<Expression, Failure> {
        self.list("or", depth, Self::all_of)
    }

    fn all_of(&mut self, depth: usize) -> Result<Expression, Failure> {
        self.list("and", depth, Self::single)
    }

    fn list(
        &mut self,
        operator: &'static str,
        depth: usize,
        inner: fn(&mut Self, usize) -> Result<Expression, Failure>,
    ) -> Result<Expression, Failure> {
        let first = inner(self, depth)?;
        let mut all = vec![first];
        while self.peek() == Some(operator) {
            self.at += 1;
            all.push(inner(self, depth)?);
        }
        Ok(match all.pop() {
            Some(only) if all.is_empty() => only,
            last => {
                all.extend(last);
                Expression::Several(operator, all)
            }
        })
    }

    fn single(&mut self, depth: usize) -> Result<Expression, Failure> {
        if depth > DEPTH_MAX {
            return Err(wrong("there are too many brackets"));
        }
        let word = self.need("an expression, for example `#uname eq node1`,")?;
        match word.as_str() {
            "(" => {
                let inner = self.any_of(depth + 1)?;
                match self.next().as_deref() {
                    Some(")") => Ok(inner),
                    _ => Err(wrong("a closing bracket is missing")),
                }
            }
            "defined" => Ok(Expression::Defined("defined", self.need("an attribute")?)),
            "not_defined" => Ok(Expression::Defined(
                "not_defined",
                self.need("an attribute")?,
            )),
            "date" => self.date(),
            "date-spec" => Ok(Expression::Date {
                operation: "date_spec",
                start: None,
                end: None,
                inside: Some(("date_spec", self.pairs()?)),
            }),
            name => self.compare(name),
        }
    }

    fn compare(&mut self, name: &str) -> Result<Expression, Failure> {
        let word = self.need("an operation, for example eq,")?;
        let operation = OPERATIONS.into_iter().find(|o| *o == word);
        let operation = operation.ok_or_else(|| {
            wrong(&format!(
                "`{word}` is none of {}{}",
                OPERATIONS.join(", "),
                is_it(&word, OPERATIONS)
            ))
        })?;
        let mut value = self.need("a value")?;
        let kinds = ["integer", "number", "string", "version"];
        let kind = kinds.into_iter().find(|k| *k == value);
        if kind.is_some() {
            value = self.need("a value")?;
        }
        Ok(Expression::Compare {
            name: name.to_owned(),
            operation,
            kind,
            value,
        })
    }

    fn date(&mut self) -> Result<Expression, Failure> {
        let word = self.need("gt, lt or in_range")?;
        let (operation, mut start, mut end, mut inside) = match word.as_str() {
            "gt" => ("gt", Some(self.need("a date")?), None, None),
            "lt" => ("lt", None, Some(self.need("a date")?), None),
            "in_range" => ("in_range", None, None, None),
            other => return Err(wrong(&format!("`date {other}`: use gt, lt or in_range"))),
        };
        if operation == "in_range" {
            if self.peek() != Some("to") {
                start = Some(self.need("a date")?);
            }
            match self.next().as_deref() {
                Some("to") => {}
                _ => return Err(wrong("`to` is missing: date in_range START to END")),
            }
            if self.peek() == Some("duration") {
                self.at += 1;
                inside = Some(("duration", self.pairs()?));
            } else {
                end = Some(self.need("a date")?);
            }
        }
        Ok(Expression::Date {
            operation,
            start,
            end,
            inside,
        })
    }

    fn pairs(&mut self) -> Result<Vec<(String, String)>, Failure> {
        let mut found = Vec::new();
        while let Some((name, value)) = self.peek().and_then(|w| w.split_once('=')) {
            if !DATE_PARTS.contains(&name) {
                return Err(wrong(&format!(
                    "`{name}` is none of {}{}",
                    DATE_PARTS.join(", "),
                    is_it(name, DATE_PARTS)
                )));
            }
            found.push((name.to_owned(), value.to_owned()));
            self.at += 1;
        }
        match found.is_empty() {
            true => Err(wrong("name=value is missing, for example hours=9-16")),
            false => Ok(found),
        }
    }
}

fn wrong(why: &str) -> Failure {
    Failure::usage(format!("cannot parse the rule: {why}"))
}

/// `<rule>` with ids like `ID-expr`, `ID-expr-1`.
pub(super) fn element(expression: &Expression, id: &str) -> Element {
    let mut rule = Element::new("rule").with("id", id);
    match expression {
        Expression::Several(operator, all) => {
            rule.set("boolean-op", operator);
            for (number, inner) in all.iter().enumerate() {
                let suffix = match number {
                    0 => String::new(),
                    n => format!("-{n}"),
                };
                rule.children.push(match inner {
                    Expression::Several(..) => element(inner, &format!("{id}-rule{suffix}")),
                    single => expression_element(single, &format!("{id}-expr{suffix}")),
                });
            }
        }
        single => rule
            .children
            .push(expression_element(single, &format!("{id}-expr"))),
    }
    rule
}

fn expression_element(expression: &Expression, id: &str) -> Element {
    match expression {
        Expression::Several(..) => element(expression, id),
        Expression::Defined(operation, attribute) => Element::new("expression")
            .with("id", id)
            .with("operation", operation)
            .with("attribute", attribute),
        Expression::Compare {
            name,
            operation,
            kind,
            value,
        } => {
            let mut made = Element::new("expression")
                .with("id", id)
                .with("operation", operation)
                .with("attribute", name);
            if let Some(kind) = kind {
                made.set("type", kind);
            }
            made.with("value", value)
        }
        Expression::Date {
            operation,
            start,
            end,
            inside,
        } => {
            let mut made = Element::new("date_expression")
                .with("id", id)
                .with("operation", operation);
            for (name, value) in [("start", start), ("end", end)] {
                if let Some(value) = value {
                    made.set(name, value);
                }
            }
            if let Some((tag, pairs)) = inside {
                let suffix = tag.replace('_', "");
                let mut inner = Element::new(tag).with("id", &format!("{id}-{suffix}"));
                for (name, value) in pairs {
                    inner.set(name, value);
                }
                made.children.push(inner);
            }
            made
        }
    }
}

/// Brackets in brackets.
const DEPTH_MAX: usize = 32;
const OPERATIONS: [&str; 6] = ["eq", "ne", "lt", "gt", "lte", "gte"];
const DATE_PARTS: [&str; 11] = [
    "hours",
    "minutes",
    "monthdays",
    "months",
    "moon",
    "seconds",
    "weekdays",
    "weeks",
    "weekyears",
    "yearsdays",
    "years",
];
