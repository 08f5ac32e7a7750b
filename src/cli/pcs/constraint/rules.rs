//! Rules of location constraints and of sets of defaults, in the words of pcs: `#uname eq node1 and
//! (date gt 2030-01-01 or defined pingd)`, `resource ::Dummy and op monitor interval=10`.

use super::super::ids::fine;
use super::super::words::is_it;
use crate::cli::exit::Failure;
use cib::Element;

/// What a rule decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::pcs) enum About {
    /// Where a resource may be.
    Nodes,
    /// Which resources have defaults.
    Resources,
    /// Which operations have defaults.
    Operations,
}

/// An expression as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::pcs) enum Expression {
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
    /// `resource [CLASS]:[PROVIDER]:[TYPE]`.
    Resource([Option<String>; 3]),
    /// `op NAME [interval=TIME]`.
    Operation(String, Option<String>),
    /// Several, with `and` or `or`.
    Several(&'static str, Vec<Self>),
}

/// Reads the words of a rule; `and` binds closer than `or`.
///
/// # Errors
/// What is no expression.
pub(in crate::cli::pcs) fn parse(words: &[String], about: About) -> Result<Expression, Failure> {
    let tokens = tokens(words);
    let mut reader = Reader {
        tokens,
        at: 0,
        about,
    };
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
    about: About,
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
        let example = match self.about {
            About::Nodes => "an expression, for example `#uname eq node1`,",
            About::Resources => "an expression, for example `resource ::Dummy`,",
            About::Operations => "an expression, for example `op monitor`,",
        };
        let word = self.need(example)?;
        self.fits(&word)?;
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
            "resource" if self.about != About::Nodes => self.resource(),
            "op" if self.about == About::Operations => self.operation(),
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

    /// A set of defaults knows no node.
    fn fits(&self, word: &str) -> Result<(), Failure> {
        let next = self.peek().unwrap_or_default();
        let compares = OPERATIONS.contains(&next);
        let wrong = match (self.about, word) {
            (About::Nodes, _) => None,
            (_, "defined" | "not_defined") => Some(word),
            (About::Resources, "op") => Some(word),
            (_, "resource" | "op" | "(" | "date" | "date-spec") => None,
            _ if compares => Some(next),
            _ => {
                let known = ["resource", "op", "date", "date-spec"];
                return Err(wrong(&format!(
                    "`{word}` begins no expression{}",
                    is_it(word, known)
                )));
            }
        };
        match wrong {
            None => Ok(()),
            Some(word) => Err(Failure::usage(format!(
                "Keyword '{word}' cannot be used in a rule in this command"
            ))),
        }
    }

    fn resource(&mut self) -> Result<Expression, Failure> {
        let word = self.need("[CLASS]:[PROVIDER]:[TYPE]")?;
        let parts: Vec<&str> = word.split(':').collect();
        let part = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        match parts.as_slice() {
            [class, provider, kind] if word != "::" => Ok(Expression::Resource([
                part(class),
                part(provider),
                part(kind),
            ])),
            _ => Err(wrong(&format!(
                "resource {word}: say [CLASS]:[PROVIDER]:[TYPE], for example ocf:heartbeat:Dummy or ::Dummy"
            ))),
        }
    }

    fn operation(&mut self) -> Result<Expression, Failure> {
        let name = self.need("the name of an operation")?;
        let interval = self.peek().and_then(|w| w.strip_prefix("interval="));
        let interval = interval.map(str::to_owned);
        if let Some(text) = &interval {
            cib::value::parse_interval_ms(text)
                .map_err(|e| wrong(&format!("interval={text}: {e}")))?;
            self.at += 1;
        }
        Ok(Expression::Operation(name, interval))
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
pub(in crate::cli::pcs) fn element(expression: &Expression, id: &str) -> Element {
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
        Expression::Resource(parts) => {
            let (base, number) = id.rsplit_once("-expr").unwrap_or((id, ""));
            let named: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
            let named: String = named.join("-").chars().filter(fine).collect();
            let mut made =
                Element::new("rsc_expression").with("id", &format!("{base}-rsc-{named}{number}"));
            for (name, part) in ["class", "provider", "type"].iter().zip(parts) {
                if let Some(part) = part {
                    made.set(name, part);
                }
            }
            made
        }
        Expression::Operation(name, interval) => {
            let (base, number) = id.rsplit_once("-expr").unwrap_or((id, ""));
            let plain: String = name.chars().filter(fine).collect();
            let made =
                Element::new("op_expression").with("id", &format!("{base}-op-{plain}{number}"));
            let made = made.with("name", name);
            match interval {
                Some(interval) => made.with("interval", interval),
                None => made,
            }
        }
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

/// A rule as words that are read back by [`parse`].
pub(in crate::cli::pcs) fn words(rule: &Element) -> String {
    let operator = rule.attr("boolean-op").unwrap_or("and");
    let parts: Vec<String> = rule.children.iter().map(part).collect();
    parts.join(&format!(" {operator} "))
}

fn part(element: &Element) -> String {
    let get = |name: &str| element.attr(name).unwrap_or_default();
    match element.name.as_str() {
        "rule" => format!("({})", words(element)),
        "rsc_expression" => {
            let parts = ["class", "provider", "type"].map(get);
            format!("resource {}", parts.join(":"))
        }
        "op_expression" => match element.attr("interval") {
            Some(interval) => format!("op {} interval={interval}", get("name")),
            None => format!("op {}", get("name")),
        },
        "expression" => match get("operation") {
            operation @ ("defined" | "not_defined") => format!("{operation} {}", get("attribute")),
            operation => {
                let words = [get("attribute"), operation, get("type"), get("value")];
                let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
                words.join(" ")
            }
        },
        _ => date(element),
    }
}

fn date(element: &Element) -> String {
    let get = |name: &str| element.attr(name).unwrap_or_default();
    let options = |tag: &str| {
        let own = element.first(tag).into_iter().flat_map(|e| &e.attrs);
        let own = own.filter(|(name, _)| name != "id");
        let own: Vec<String> = own.map(|(n, v)| format!("{n}={v}")).collect();
        own.join(" ")
    };
    match get("operation") {
        "gt" => format!("date gt {}", get("start")),
        "lt" => format!("date lt {}", get("end")),
        "in_range" => {
            let end = match element.attr("end") {
                Some(end) => end.to_owned(),
                None => format!("duration {}", options("duration")),
            };
            let start = element.attr("start").map(|s| format!("{s} "));
            format!("date in_range {}to {end}", start.unwrap_or_default())
        }
        _ => format!("date-spec {}", options("date_spec")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_defaults_are_read_back() {
        for (about, text) in [
            (About::Resources, "resource ::Dummy"),
            (
                About::Resources,
                "resource ocf:heartbeat: or resource :pacemaker:",
            ),
            (About::Operations, "op monitor interval=10"),
            (
                About::Operations,
                "(op monitor and resource ocf::Dummy) or date gt 2020-01-01",
            ),
            (About::Resources, "date-spec hours=9-16"),
            (
                About::Resources,
                "date in_range 2020-01-01 to duration years=3",
            ),
            (About::Resources, "date in_range to 2030-01-01"),
            (About::Nodes, "#uname eq string node1 and not_defined pingd"),
        ] {
            let given: Vec<String> = text.split(' ').map(str::to_owned).collect();
            let rule = element(&parse(&given, about).unwrap(), "r");
            assert_eq!(words(&rule), text);
        }
    }

    #[test]
    fn what_a_rule_of_defaults_cannot_ask_is_refused() {
        for (about, text, told) in [
            (
                About::Resources,
                "op monitor",
                "Keyword 'op' cannot be used",
            ),
            (
                About::Resources,
                "defined pingd",
                "Keyword 'defined' cannot",
            ),
            (About::Operations, "#uname eq node1", "Keyword 'eq' cannot"),
            (About::Resources, "resorce ::Dummy", "is it `resource`?"),
            (
                About::Resources,
                "resource Dummy",
                "[CLASS]:[PROVIDER]:[TYPE]",
            ),
            (About::Resources, "resource ::", "[CLASS]:[PROVIDER]:[TYPE]"),
            (
                About::Operations,
                "op",
                "the name of an operation is missing",
            ),
            (
                About::Operations,
                "op monitor interval=often",
                "interval=often",
            ),
            (About::Operations, "op monitor more", "makes no sense there"),
            (About::Resources, "", "an expression, for example"),
        ] {
            let given: Vec<String> = text.split(' ').map(str::to_owned).collect();
            let failure = parse(&given, about).unwrap_err();
            assert!(failure.text.contains(told), "{text}: {failure}");
        }
    }
}
