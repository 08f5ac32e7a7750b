//! Rules, and the name/value sets they guard (Pacemaker rules.c, nvpair.c).

mod date;

pub(crate) use date::epoch;

use crate::score;
use cib::Element;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What a rule is evaluated against.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts<'a> {
    /// Seconds since the epoch.
    pub(crate) now: i64,
    pub(crate) node_attrs: Option<&'a BTreeMap<String, String>>,
    pub(crate) params: Option<&'a BTreeMap<String, String>>,
    pub(crate) meta: Option<&'a BTreeMap<String, String>>,
    /// Class, provider, type.
    pub(crate) agent: Option<(&'a str, &'a str, &'a str)>,
    /// Operation and interval in milliseconds.
    pub(crate) operation: Option<(&'a str, u64)>,
    /// What a pattern matched in the resource's id; attributes' names may refer to it.
    pub(crate) groups: &'a [String],
    /// Where it is kept when the answer may be another.
    pub(crate) change: Option<&'a Cell<Option<i64>>>,
}

impl Facts<'_> {
    /// Only the time is known.
    pub(crate) fn at(now: i64) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }

    /// At this time (seconds since the epoch) the answer may be another; the earliest counts.
    fn note_change(&self, at: i64) {
        if let Some(change) = self.change
            && change.get().is_none_or(|known| at < known)
        {
            change.set(Some(at));
        }
    }
}

/// Deepest nesting of rules followed; deeper ones do not hold.
const DEPTH_MAX: u32 = 32;

/// Collects name/value pairs from the sets called `set_name` directly below `sources`. Higher
/// set scores win, then earlier sources, then later sets; of one set the first pair of a name
/// (Pacemaker nvpair.c: the list of sets is built from its end). What `values` already holds
/// stays.
pub(crate) fn unpack_nvpairs(
    cib: &Element,
    sources: &[&Element],
    set_name: &str,
    facts: &Facts,
    values: &mut BTreeMap<String, String>,
) {
    let mut sets: Vec<(i32, &Element)> = sources
        .iter()
        .flat_map(|source| source.children.iter().rev())
        .filter(|child| child.name == set_name)
        .map(|set| resolve_idref(cib, set))
        .map(|set| (set.attr("score").and_then(score::parse).unwrap_or(0), set))
        .collect();
    // "cib-bootstrap-options" always comes first (Pacemaker unpack.c:unpack_config).
    sets.sort_by_key(|(score, set)| {
        let special =
            set_name == "cluster_property_set" && set.id() == Some("cib-bootstrap-options");
        (!special, -i64::from(*score))
    });
    for (_, set) in sets {
        if !rules_pass(set, facts) {
            continue;
        }
        // Very old configurations wrap the pairs in <attributes>.
        let pairs = set.first("attributes").unwrap_or(set);
        for pair in pairs.all("nvpair").map(|pair| resolve_idref(cib, pair)) {
            let (Some(name), Some(value)) = (pair.attr("name"), pair.attr("value")) else {
                continue;
            };
            if value != "#default" && !values.contains_key(name) {
                values.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The element an `id-ref` points to, or the element itself.
pub(crate) fn resolve_idref<'a>(cib: &'a Element, element: &'a Element) -> &'a Element {
    let Some(id) = element.attr("id-ref") else {
        return element;
    };
    // Nothing refers to the status, which may be most of a CIB.
    let configuration = cib.first("configuration");
    let found = configuration.and_then(|c| find_by_id(c, &element.name, id, 0));
    found.unwrap_or(element)
}

/// Whether a rule compares with a resource's parameters.
pub(crate) fn asks_for_params(rule: &Element) -> bool {
    rule.attr("value-source") == Some("param") || rule.children.iter().any(asks_for_params)
}

/// Deepest element searched for references.
const SEARCH_DEPTH_MAX: u32 = 64;

fn find_by_id<'a>(at: &'a Element, name: &str, id: &str, depth: u32) -> Option<&'a Element> {
    if at.name == name && at.id() == Some(id) {
        return Some(at);
    }
    if depth >= SEARCH_DEPTH_MAX {
        return None;
    }
    at.children
        .iter()
        .find_map(|child| find_by_id(child, name, id, depth + 1))
}

/// Without rules a set holds; with rules, one of them must.
fn rules_pass(set: &Element, facts: &Facts) -> bool {
    let mut rules = set.all("rule").peekable();
    rules.peek().is_none() || rules.any(|rule| passes(rule, facts))
}

/// Whether a rule holds.
pub(crate) fn passes(rule: &Element, facts: &Facts) -> bool {
    rule_passes(rule, facts, 0)
}

fn rule_passes(rule: &Element, facts: &Facts, depth: u32) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    let any = rule
        .attr("boolean-op")
        .is_some_and(|op| op.eq_ignore_ascii_case("or"));
    let mut results = rule
        .children
        .iter()
        .filter_map(|child| condition(child, facts, depth));
    if any {
        results.any(|holds| holds)
    } else {
        results.all(|holds| holds)
    }
}

/// `None` for elements that are no conditions.
fn condition(element: &Element, facts: &Facts, depth: u32) -> Option<bool> {
    match element.name.as_str() {
        "rule" => Some(rule_passes(element, facts, depth + 1)),
        "expression" => Some(attribute_passes(element, facts)),
        "date_expression" => Some(date::passes(element, facts)),
        "rsc_expression" => Some(agent_passes(element, facts)),
        "op_expression" => Some(operation_passes(element, facts)),
        _ => None,
    }
}

fn agent_passes(element: &Element, facts: &Facts) -> bool {
    let Some((class, provider, kind)) = facts.agent else {
        return false;
    };
    [("class", class), ("provider", provider), ("type", kind)]
        .iter()
        .all(|(name, have)| {
            element
                .attr(name)
                .is_none_or(|want| want.eq_ignore_ascii_case(have))
        })
}

fn operation_passes(element: &Element, facts: &Facts) -> bool {
    let Some((name, interval_ms)) = facts.operation else {
        return false;
    };
    let interval_fits = match element.attr("interval") {
        None => true,
        Some(text) => crate::text::parse_ms(text) == Some(interval_ms),
    };
    interval_fits && element.attr("name") == Some(name)
}

fn attribute_passes(element: &Element, facts: &Facts) -> bool {
    let Some(attribute) = element.attr("attribute") else {
        return false;
    };
    let attribute = crate::pattern::expand(attribute, facts.groups);
    let actual = facts
        .node_attrs
        .and_then(|attrs| attrs.get(&attribute))
        .map(String::as_str);
    let operation = element.attr("operation").unwrap_or("");
    match operation {
        "defined" => return actual.is_some(),
        "not_defined" => return actual.is_none(),
        _ => {}
    }
    let wanted = element.attr("value").and_then(|value| {
        let source =
            |map: Option<&BTreeMap<String, String>>| map.and_then(|m| m.get(value)).cloned();
        match element.attr("value-source") {
            Some("param") => source(facts.params),
            Some("meta") => source(facts.meta),
            _ => Some(value.to_owned()),
        }
    });
    let (Some(actual), Some(wanted)) = (actual, wanted.as_deref()) else {
        return operation == "ne" && (actual.is_some() || wanted.is_some());
    };
    let order = compare(actual, wanted, element.attr("type"), operation);
    match operation {
        "eq" => order == Ordering::Equal,
        "ne" => order != Ordering::Equal,
        "lt" => order == Ordering::Less,
        "lte" => order != Ordering::Greater,
        "gt" => order == Ordering::Greater,
        "gte" => order != Ordering::Less,
        _ => false,
    }
}

/// Values that do not parse as their type compare as strings
/// (Pacemaker rules.c:pcmk__cmp_by_type).
fn compare(actual: &str, wanted: &str, kind: Option<&str>, operation: &str) -> Ordering {
    let relative = matches!(operation, "lt" | "lte" | "gt" | "gte");
    let kind = kind.unwrap_or({
        if !relative {
            "string"
        } else if actual.contains('.') || wanted.contains('.') {
            "number"
        } else {
            "integer"
        }
    });
    let strings = || {
        actual
            .to_ascii_lowercase()
            .cmp(&wanted.to_ascii_lowercase())
    };
    match kind {
        "integer" => match (integer(actual), integer(wanted)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => strings(),
        },
        "number" => match (actual.trim().parse::<f64>(), wanted.trim().parse::<f64>()) {
            (Ok(a), Ok(b)) => a.total_cmp(&b),
            _ => strings(),
        },
        "version" => compare_versions(actual, wanted),
        _ => strings(),
    }
}

/// The integer part of a number, if the text starts with one.
fn integer(text: &str) -> Option<i64> {
    score::leading_integer(text)
}

fn compare_versions(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<i64> {
        text.split('.')
            .map(|part| score::leading_integer(part).unwrap_or(0))
            .collect()
    };
    let (mut a, mut b) = (parts(a), parts(b));
    let length = a.len().max(b.len());
    a.resize(length, 0);
    b.resize(length, 0);
    a.cmp(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attrs() -> BTreeMap<String, String> {
        [
            ("#uname", "node1"),
            ("cpu", "8"),
            ("load", "0.5"),
            ("site", "West"),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
    }

    fn holds(attribute: &str, operation: &str, value: &str) -> bool {
        let attrs = attrs();
        let facts = Facts {
            node_attrs: Some(&attrs),
            ..Facts::default()
        };
        let rule = Element::new("rule").child(
            Element::new("expression")
                .with("attribute", attribute)
                .with("operation", operation)
                .with("value", value),
        );
        passes(&rule, &facts)
    }

    #[test]
    fn expressions() {
        for (attribute, operation, value, want) in [
            ("#uname", "eq", "NODE1", true),
            ("#uname", "ne", "node2", true),
            ("cpu", "gt", "4", true),
            ("cpu", "gt", "16", false),
            ("load", "lt", "0.75", true),
            ("site", "eq", "west", true),
            ("rack", "defined", "", false),
            ("rack", "not_defined", "", true),
            ("rack", "eq", "1", false),
            ("rack", "ne", "1", true),
            ("rack", "gt", "1", false),
            ("cpu", "nonsense", "8", false),
        ] {
            assert_eq!(
                holds(attribute, operation, value),
                want,
                "{attribute} {operation} {value}"
            );
        }
    }

    #[test]
    fn versions_compare_by_part() {
        assert_eq!(compare_versions("1.10", "1.9"), Ordering::Greater);
        assert_eq!(compare_versions("1.0", "1"), Ordering::Equal);
    }
}
