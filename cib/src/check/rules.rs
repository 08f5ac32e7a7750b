//! Do rules say something: dates that are dates, a score for what they choose?

use super::Findings;
use crate::date::epoch;
use crate::document::{Cib, Section};
use crate::tree::Element;

pub(super) fn check(cib: &Cib, findings: &mut Findings) {
    let constraints = cib.section(Section::Constraints).into_iter();
    for constraint in constraints.flat_map(|s| s.all("rsc_location")) {
        let rules = constraint
            .all("rule")
            .filter(|r| r.attr("id-ref").is_none());
        for rule in rules.filter(|r| !has_score(r)) {
            let what = "it has no score, which is taken as 0: it prefers and avoids nothing";
            findings.error(rule, what.to_owned(), "set score, for example INFINITY");
        }
    }
    if let Some(configuration) = cib.section(Section::Configuration) {
        below(configuration, findings, 0);
    }
}

fn has_score(rule: &Element) -> bool {
    rule.attr("score").is_some() || rule.attr("score-attribute").is_some()
}

fn below(element: &Element, findings: &mut Findings, depth: u32) {
    if depth > DEPTH_MAX {
        return;
    }
    match element.name.as_str() {
        "date_expression" => {
            dates(element, findings);
            // A specification's and a duration's ids are told with it.
            return;
        }
        "expression" => expression(element, findings),
        _ => {}
    }
    let children = element.children.iter();
    children.for_each(|c| below(c, findings, depth + 1));
}

fn expression(element: &Element, findings: &mut Findings) {
    let operation = element.attr("operation").unwrap_or_default();
    let defined = matches!(operation, "defined" | "not_defined");
    if !defined && element.attr("value").is_none() {
        let what = format!("{operation} compares with nothing");
        findings.notice(element, what, "set value");
    } else if defined && element.attr("value").is_some() {
        let what = format!("{operation} looks at no value");
        findings.notice(element, what, "take value away, or use another operation");
    }
}

fn dates(element: &Element, findings: &mut Findings) {
    let ends = ["start", "end"].map(|name| {
        let text = element.attr(name)?;
        let time = epoch(text);
        if time.is_none() {
            let what = format!("{name}=\"{text}\" is not a date");
            findings.error(element, what, DATES);
        }
        time
    });
    if let [Some(start), Some(end)] = ends
        && end < start
    {
        let what = "it ends before it begins, so it never holds".to_owned();
        findings.notice(element, what, "exchange start and end");
    }
    for (tag, fits, cure) in [
        (
            "duration",
            is_number as fn(&str) -> bool,
            "write a whole number",
        ),
        (
            "date_spec",
            is_range,
            "write a number, or two with a dash between them",
        ),
    ] {
        for part in element.all(tag) {
            let units = part.attrs.iter().filter(|(name, _)| name != "id");
            for (unit, value) in units.filter(|(_, value)| !fits(value)) {
                let what = format!("{unit}=\"{value}\" of its {tag} is no number");
                findings.error(element, what, cure);
            }
        }
    }
}

fn is_number(text: &str) -> bool {
    text.trim().parse::<i64>().is_ok()
}

/// `5`, `2-7`, `2-` or `-7`.
fn is_range(text: &str) -> bool {
    let digits = |part: &str| part.trim().bytes().all(|b| b.is_ascii_digit());
    let (low, high) = text.split_once('-').unwrap_or((text, ""));
    digits(low) && digits(high) && !(low.trim().is_empty() && high.trim().is_empty())
}

/// What a date may look like.
const DATES: &str = "write it as 2026-12-31 or 2026-12-31 23:59:59Z";
/// Deepest nesting that is looked at; rules nest in rules.
const DEPTH_MAX: u32 = 64;
