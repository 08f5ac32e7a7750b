//! Has the configuration the shape that its schema asks for?
//!
//! Pacemaker validates with RELAX NG and says which line failed. This walks the same grammar
//! ([`super::grammar`]) and says which attribute or child, and what to write instead.

use super::grammar::{Attr, Children, Count, Kind, Part, SECTIONS, Shape, Ways};
use super::{Findings, Severity, nearest};
use crate::document::{Cib, Section};
use crate::tree::Element;

/// Everything whose shape is wrong. A CIB that says that it follows no schema is warned only, as
/// Pacemaker does not look at it at all.
pub(super) fn check(cib: &Cib, findings: &mut Findings) {
    let schema = cib.root().attr("validate-with");
    if let Some(name) = schema.filter(|name| !SCHEMAS.contains(name)) {
        let what = format!("there is no schema \"{name}\"");
        let cure = format!(
            "set validate-with to {}, or the one the configuration was written for",
            crate::document::VALIDATE_WITH
        );
        findings.error(cib.root(), what, &cure);
    }
    let severity = match schema {
        Some("none") => Severity::Warning,
        _ => Severity::Error,
    };
    let mut walk = Walk {
        findings,
        severity,
        old: schema.is_some_and(is_old),
    };
    let Some(configuration) = cib.section(Section::Configuration) else {
        return;
    };
    for section in &configuration.children {
        // What is no section is told where sections are counted.
        if let Some((_, shape)) = SECTIONS.iter().find(|(tag, _)| *tag == section.name) {
            walk.element(section, shape, "", 0);
        }
    }
}

/// Whether a schema is from before 3.0.
fn is_old(schema: &str) -> bool {
    let version = schema.strip_prefix("pacemaker-").unwrap_or_default();
    matches!(version.split('.').next(), Some("0" | "1" | "2"))
}

struct Walk<'f> {
    findings: &'f mut Findings,
    severity: Severity,
    old: bool,
}

/// What of a shape an element uses.
struct Used {
    parts: Vec<&'static Part>,
    /// What it could have said instead.
    others: Vec<&'static Part>,
}

impl Used {
    fn attrs(&self) -> impl Iterator<Item = &'static Attr> {
        self.parts.iter().flat_map(|p| p.attrs)
    }

    fn children(&self) -> impl Iterator<Item = &'static Children> {
        self.parts.iter().flat_map(|p| p.children)
    }
}

impl Walk<'_> {
    fn element(&mut self, element: &Element, shape: &'static Shape, around: &str, depth: u32) {
        if depth > DEPTH_MAX {
            let what = format!("it lies more than {DEPTH_MAX} elements deep");
            self.tell(element, around, what, "nest rules less deeply");
            return;
        }
        let around = element.id().unwrap_or(around);
        let used = self.ways(element, shape, around);
        self.attributes(element, &used, around);
        self.counts(element, &used, around);
        if let Some((what, cure)) = shape.rule.and_then(|rule| rule(element)) {
            self.tell(element, around, what, cure);
        }
        for child in &element.children {
            let mut known = used.children().flat_map(|c| c.of);
            match known.find(|(tag, _)| *tag == child.name) {
                Some((_, shape)) => self.element(child, shape, around, depth + 1),
                None => self.stranger(element, child, &used, around),
            }
        }
    }

    /// Which of several ways the element goes: the one that it has most of.
    fn ways(&mut self, element: &Element, shape: &'static Shape, around: &str) -> Used {
        let mut used = Used {
            parts: vec![&shape.base],
            others: Vec::new(),
        };
        for ways in shape.ways {
            match chosen(element, ways) {
                Some(index) => {
                    used.parts.push(&ways.list[index]);
                    let others = ways.list.iter().enumerate();
                    used.others
                        .extend(others.filter(|(i, _)| *i != index).map(|(_, part)| part));
                }
                None => {
                    if let Some((what, cure)) = ways.lack {
                        self.tell(element, around, what.to_owned(), cure);
                    }
                }
            }
        }
        used
    }

    fn attributes(&mut self, element: &Element, used: &Used, around: &str) {
        for (name, value) in &element.attrs {
            let known = used
                .attrs()
                .find(|a| a.name == name && (self.old || !a.old));
            match known {
                Some(attr) => {
                    if let Some((expected, cure)) = wrong(attr.kind, value) {
                        let what = format!("{name}=\"{value}\" {expected}");
                        self.tell(element, around, what, &cure);
                    }
                }
                None => self.surplus(element, name, used, around),
            }
        }
        for attr in used.attrs().filter(|a| a.must) {
            if element.attr(attr.name).is_none() {
                let (what, cure) = missing(element, attr.name);
                self.tell(element, around, what, &cure);
            }
        }
    }

    /// An attribute that has no place here.
    fn surplus(&mut self, element: &Element, name: &str, used: &Used, around: &str) {
        let beside = used
            .others
            .iter()
            .any(|p| p.attrs.iter().any(|a| a.name == name));
        let known: Vec<&'static str> = used.attrs().map(|a| a.name).collect();
        let (what, cure) = match (beside, nearest(name, &known)) {
            (true, _) => (
                format!("{name} does not go with what else it says"),
                format!("take {name} away, or what stands in its place"),
            ),
            (false, Some(near)) => (
                format!("it has no attribute {name}"),
                format!("did you mean {near}?"),
            ),
            (false, None) => (
                format!("it has no attribute {name}"),
                match known.is_empty() {
                    true => "take it away".to_owned(),
                    false => format!("take it away; there are {}", known.join(", ")),
                },
            ),
        };
        self.tell(element, around, what, &cure);
    }

    /// A child that has no place here.
    fn stranger(&mut self, element: &Element, child: &Element, used: &Used, around: &str) {
        let known = used.children().flat_map(|c| c.of);
        let tags: Vec<&'static str> = known.map(|(tag, _)| *tag).collect();
        let beside = used.others.iter().flat_map(|p| p.children);
        let beside = { beside }.any(|c| c.of.iter().any(|(tag, _)| *tag == child.name));
        let what = match element.name.as_str() {
            "resources" => format!("<{}> is not a resource", child.name),
            "constraints" => format!("<{}> is not a constraint", child.name),
            parent => format!("a {} cannot stand in a {parent}", child.name),
        };
        let cure = match (beside, nearest(&child.name, &tags), tags.as_slice()) {
            (true, ..) => "take it out, or what stands in its place".to_owned(),
            (false, Some(near), _) => format!("did you mean <{near}>?"),
            (false, None, []) => "take it out".to_owned(),
            (false, None, tags) => format!("take it out; there can be {}", tags.join(", ")),
        };
        self.tell(child, around, what, &cure);
    }

    fn counts(&mut self, element: &Element, used: &Used, around: &str) {
        for children in used.children() {
            let is_one = |c: &&Element| children.of.iter().any(|(tag, _)| *tag == c.name);
            let count = element.children.iter().filter(is_one).count();
            let called = children.called;
            let (name, tags) = (&element.name, children.of.iter().map(|(tag, _)| *tag));
            match (children.count, count) {
                (Count::Some | Count::One, 0) => {
                    let cure = format!("add a {}, or delete it", { tags }.next().unwrap_or(""));
                    self.tell(
                        element,
                        around,
                        format!("the {name} has no {called}s"),
                        &cure,
                    );
                }
                (Count::One | Count::AtMostOne, 2..) => {
                    let cure = match called {
                        "member" => "put them into a group and clone that",
                        _ => "leave one of them",
                    };
                    let what = format!("the {name} has {count} {called}s");
                    self.tell(element, around, what, cure);
                }
                _ => {}
            }
        }
    }

    fn tell(&mut self, element: &Element, around: &str, what: String, cure: &str) {
        self.findings
            .add_within(self.severity, element, around, what, cure);
    }
}

/// Of several ways, the one of which the element has most; the first of equals, none if it has
/// nothing of any.
fn chosen(element: &Element, ways: &Ways) -> Option<usize> {
    let has = |part: &Part| {
        let attrs = part.attrs.iter();
        let attrs = { attrs }.filter(|a| element.attr(a.name).is_some()).count();
        let tags = part.children.iter().flat_map(|c| c.of);
        let tags = { tags }.filter(|(tag, _)| element.first(tag).is_some());
        attrs + tags.count()
    };
    let counts = ways.list.iter().map(has).enumerate();
    let best = counts.max_by_key(|(index, count)| (*count, std::cmp::Reverse(*index)));
    best.filter(|(_, count)| *count > 0).map(|(index, _)| index)
}

/// What is said of an attribute that is not there.
fn missing(element: &Element, name: &str) -> (String, String) {
    let cure = match (element.name.as_str(), name) {
        (tag, "id") => {
            let what = format!("a {tag} without id");
            return (what, "give it an id that nothing else has".to_owned());
        }
        ("nvpair", "name") => {
            return (
                "a pair without name".to_owned(),
                "set name and value".to_owned(),
            );
        }
        ("op", "name") => {
            let what = "an operation without name".to_owned();
            return (what, "set name, for example monitor".to_owned());
        }
        ("op", "interval") => "set interval, 0s for an operation that is not repeated".to_owned(),
        ("rsc_location", "score") => "set score, for example 100 or INFINITY".to_owned(),
        ("rsc_location", "node") => "set node and score, or give it a rule".to_owned(),
        ("rsc_colocation" | "rsc_order", _) => {
            "name both resources, or use resource sets".to_owned()
        }
        _ => format!("set {name}"),
    };
    (format!("{name} is not set"), cure)
}

/// What is wrong with a value, and the cure; nothing where it fits.
fn wrong(kind: Kind, value: &str) -> Option<(&'static str, String)> {
    let text = value.trim();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (fits, expected, cure) = match kind {
        Kind::Text => return None,
        Kind::Name => (
            is_name(text),
            "is no id",
            "begin with a letter or _, and use letters, digits, _, - and .".to_owned(),
        ),
        Kind::Bool => (
            matches!(text, "true" | "false" | "1" | "0"),
            "is not a boolean",
            "write true or false".to_owned(),
        ),
        Kind::Integer => (
            digits(unsigned),
            "is not a number",
            "write a whole number".to_owned(),
        ),
        Kind::Positive => (
            digits(text.strip_prefix('+').unwrap_or(text))
                && text.bytes().any(|b| (b'1'..=b'9').contains(&b)),
            "is not a number from 1",
            "write a whole number from 1".to_owned(),
        ),
        Kind::Score => (
            digits(unsigned) || matches!(value, "INFINITY" | "+INFINITY" | "-INFINITY"),
            "is not a score",
            "write a whole number, INFINITY or -INFINITY".to_owned(),
        ),
        Kind::Word(words) => (
            words.contains(&value),
            "has no meaning",
            format!("use one of {}", words.join(", ")),
        ),
        Kind::Devices => (
            value.split(',').all(is_device),
            "is no list of devices",
            "write their ids with commas between them, without blanks".to_owned(),
        ),
        Kind::Ports => (
            !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b == b'-'),
            "is no range of ports",
            "write two ports with a dash between them".to_owned(),
        ),
    };
    (!fits).then_some((expected, cure))
}

/// A name without colon, as XML knows it (Namespaces in XML 1.0, `NCName`).
fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    let first = |c: char| c.is_alphabetic() || c == '_';
    chars.next().is_some_and(first)
        && chars.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\u{b7}'))
}

fn is_device(text: &str) -> bool {
    let of_ids = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    !text.is_empty() && text.bytes().all(of_ids)
}

/// Deepest nesting below a section that is looked at; rules nest in rules.
const DEPTH_MAX: u32 = 64;

/// Schemas that Pacemaker has had (`xml/*.rng`), and the newer ones that ask for nothing that
/// these have not.
const SCHEMAS: [&str; 33] = [
    "none",
    "pacemaker-next",
    "pacemaker-0.6",
    "transitional-0.6",
    "pacemaker-0.7",
    "pacemaker-1.0",
    "pacemaker-1.1",
    "pacemaker-1.2",
    "pacemaker-1.3",
    "pacemaker-2.0",
    "pacemaker-2.1",
    "pacemaker-2.2",
    "pacemaker-2.3",
    "pacemaker-2.4",
    "pacemaker-2.5",
    "pacemaker-2.6",
    "pacemaker-2.7",
    "pacemaker-2.8",
    "pacemaker-2.9",
    "pacemaker-2.10",
    "pacemaker-3.0",
    "pacemaker-3.1",
    "pacemaker-3.2",
    "pacemaker-3.3",
    "pacemaker-3.4",
    "pacemaker-3.5",
    "pacemaker-3.6",
    "pacemaker-3.7",
    "pacemaker-3.8",
    "pacemaker-3.9",
    "pacemaker-3.10",
    "pacemaker-4.0",
    "pacemaker-4.1",
];
