//! Rules of location constraints: `rule [$id=ID] [$role=ROLE] SCORE: EXPRESSION [and|or …]`.

use super::parse::{Cursor, score};
use crate::cli::crm::words::pair;
use crate::cli::exit::Failure;
use cib::Element;

/// Reads one rule; `number` is its place in the constraint.
pub(super) fn rule(
    cursor: &mut Cursor<'_>,
    owner: &str,
    number: usize,
) -> Result<Element, Failure> {
    let mut id = match number {
        0 => format!("{owner}-rule"),
        n => format!("{owner}-rule-{}", n - 1),
    };
    let mut rule = Element::new("rule");
    while let Some((name, value)) = cursor.peek().and_then(pair) {
        match name {
            "$id" => value.clone_into(&mut id),
            "$role" | "role" => rule.set("role", value),
            _ => break,
        }
        cursor.next();
    }
    if let Some(text) = cursor.peek().and_then(|w| w.strip_suffix(':')) {
        match score(text) {
            Some(score) => rule.set("score", &score),
            None => rule.set("score-attribute", text),
        }
        cursor.next();
    } else {
        rule.set("score", "INFINITY");
    }
    rule.set("id", &id);
    let mut operator: Option<String> = None;
    loop {
        let expression = expression(cursor, &id, rule.children.len())?;
        rule.children.push(expression);
        match cursor.peek() {
            Some(word @ ("and" | "or")) => {
                if operator.as_deref().is_some_and(|o| o != word) {
                    return Err(cursor
                        .fail("`and` and `or` cannot stand in one rule: write two rules instead"));
                }
                operator = Some(word.to_owned());
                cursor.next();
            }
            None | Some("rule") => break,
            Some(word) => return Err(cursor.unexpected(word)),
        }
    }
    if operator.as_deref() == Some("or") {
        rule.set("boolean-op", "or");
    }
    Ok(rule)
}

fn expression(cursor: &mut Cursor<'_>, rule: &str, number: usize) -> Result<Element, Failure> {
    let id = match number {
        0 => format!("{rule}-expression"),
        n => format!("{rule}-expression-{}", n - 1),
    };
    let first = cursor.word("an expression, for example `#uname eq node1`")?;
    match first.as_str() {
        "defined" | "not_defined" => {
            let attribute = cursor.word("a node attribute")?;
            Ok(Element::new("expression")
                .with("operation", &first)
                .with("attribute", &attribute)
                .with("id", &id))
        }
        "date" => date(cursor, &id),
        attribute => {
            let operation = cursor.word("an operation: eq, ne, lt, gt, lte or gte")?;
            let (kind, operation) = match operation.split_once(':') {
                Some((kind, operation)) => (Some(kind.to_owned()), operation.to_owned()),
                None => (None, operation),
            };
            if !OPERATIONS.contains(&operation.as_str()) {
                return Err(cursor.fail(&format!(
                    "`{operation}` is no operation; known are: {}",
                    OPERATIONS.join(", ")
                )));
            }
            let value = cursor.word("a value")?;
            let mut element = Element::new("expression")
                .with("operation", &operation)
                .with("attribute", attribute)
                .with("value", &value);
            if let Some(kind) = kind {
                element.set("type", &kind);
            }
            Ok(element.with("id", &id))
        }
    }
}

/// `date lt END`, `date gt START`, `date in start=… end=…`, `date spec hours=…`.
fn date(cursor: &mut Cursor<'_>, id: &str) -> Result<Element, Failure> {
    let operation = cursor.word("lt, gt, in or spec")?;
    let mut element = Element::new("date_expression");
    match operation.as_str() {
        "lt" => element.set("end", &cursor.word("a date")?),
        "gt" => element.set("start", &cursor.word("a date")?),
        "in" | "in_range" | "spec" | "date_spec" => {}
        word => return Err(cursor.unexpected(word)),
    }
    let spec = matches!(operation.as_str(), "spec" | "date_spec");
    let name = match operation.as_str() {
        "in" => "in_range",
        "spec" => "date_spec",
        other => other,
    };
    element.set("operation", name);
    element.set("id", id);
    let mut inner = Element::new(if spec { "date_spec" } else { "duration" });
    while let Some((name, value)) = cursor.peek().and_then(pair) {
        match name {
            "start" | "end" if !spec => element.set(name, value),
            _ => inner.set(name, value),
        }
        cursor.next();
    }
    if !inner.attrs.is_empty() {
        inner.set("id", &format!("{id}-{}", inner.name.clone()));
        element.children.push(inner);
    }
    Ok(element)
}

const OPERATIONS: [&str; 6] = ["eq", "ne", "lt", "gt", "lte", "gte"];
