//! `fencing-topology`: which devices, in which order, for which node. Pure.

use super::text::parse_list;
use cib::Element;
use std::collections::BTreeMap;

/// Levels for a target, lowest index first; each is a list of device ids that must all succeed.
/// Empty = the topology says nothing about this node. A level by name beats one by pattern, which
/// beats one by attribute (daemons/fenced/fenced_remote.c, `find_topology_for_host`).
#[must_use]
pub fn levels(
    cib: &Element,
    target: &str,
    attributes: &BTreeMap<String, String>,
) -> Vec<Vec<String>> {
    let Some(topology) = cib
        .first("configuration")
        .unwrap_or(cib)
        .first("fencing-topology")
    else {
        return Vec::new();
    };
    let kinds: [&dyn Fn(&Element) -> bool; 3] = [
        &|l| {
            l.attr("target")
                .is_some_and(|t| t.eq_ignore_ascii_case(target))
        },
        &|l| l.attr("target-pattern").is_some_and(|p| matches(p, target)),
        &|l| {
            let name = l.attr("target-attribute");
            let value = name.and_then(|name| attributes.get(name));
            value.is_some() && value.map(String::as_str) == l.attr("target-value")
        },
    ];
    kinds
        .iter()
        .map(|applies| of_kind(topology, applies))
        .find(|levels| !levels.is_empty())
        .unwrap_or_default()
}

fn of_kind(topology: &Element, applies: &dyn Fn(&Element) -> bool) -> Vec<Vec<String>> {
    let mut by_index: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for level in topology.all("fencing-level").filter(|l| applies(l)) {
        let index = level.attr("index").and_then(|i| i.parse().ok());
        let devices = parse_list(level.attr("devices").unwrap_or_default());
        if let Some(index @ 1..=INDEX_MAX) = index
            && !devices.is_empty()
        {
            by_index.entry(index).or_default().extend(devices);
        }
    }
    by_index.into_values().collect()
}

/// Regular expressions as far as node patterns need them: `|` at the top, `^ $ . * + ?` and
/// bracket expressions. Case is ignored, as node names are compared.
fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let mut steps = STEPS_MAX;
    pattern.to_lowercase().split('|').any(|one| {
        let pattern: Vec<char> = one.chars().collect();
        match pattern.strip_prefix(&['^']) {
            Some(rest) => here(rest, &text, &mut steps),
            None => (0..=text.len()).any(|from| here(&pattern, &text[from..], &mut steps)),
        }
    })
}

fn here(pattern: &[char], text: &[char], steps: &mut u32) -> bool {
    if *steps == 0 {
        return false;
    }
    *steps -= 1;
    if pattern.is_empty() || (pattern == ['$'] && text.is_empty()) {
        return true;
    }
    let (item, rest) = pattern.split_at(item_length(pattern));
    let fits = |at: usize| text.get(at).is_some_and(|c| fits(item, *c));
    let (min, max, rest) = match rest.first() {
        Some('*') => (0, text.len(), &rest[1..]),
        Some('+') => (1, text.len(), &rest[1..]),
        Some('?') => (0, 1, &rest[1..]),
        _ => (1, 1, rest),
    };
    let run = (0..max).take_while(|at| fits(*at)).count();
    run >= min && (min..=run).any(|n| here(rest, &text[n..], steps))
}

/// Characters of the pattern's first item.
fn item_length(pattern: &[char]) -> usize {
    match pattern.first() {
        Some('\\') => pattern.len().min(2),
        // A bracket right after the opening one (or after the negation) is a member.
        Some('[') => {
            let start = 2 + usize::from(pattern.get(1) == Some(&'^'));
            pattern
                .iter()
                .skip(start)
                .position(|c| *c == ']')
                .map_or(1, |at| at + start + 1)
        }
        _ => 1,
    }
}

fn fits(item: &[char], c: char) -> bool {
    match item {
        ['.'] => true,
        ['\\', literal] => *literal == c,
        ['[', inside @ .., ']'] if !inside.is_empty() => {
            let (negated, members) = match inside.strip_prefix(&['^']) {
                Some(rest) => (true, rest),
                None => (false, inside),
            };
            is_member(members, c) != negated
        }
        [literal] => *literal == c,
        _ => false,
    }
}

fn is_member(mut members: &[char], c: char) -> bool {
    loop {
        members = match members {
            [from, '-', to, ..] if (*from..=*to).contains(&c) => return true,
            [_, '-', _, rest @ ..] => rest,
            [one, ..] if *one == c => return true,
            [_, rest @ ..] => rest,
            [] => return false,
        }
    }
}

/// `index` of a level: 1 to 9 (fencing/internal.h, `ST__LEVEL_MAX`).
const INDEX_MAX: u32 = 9;
/// Steps of one comparison; stars inside stars would otherwise take for ever.
const STEPS_MAX: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cases = [
            ("node1", "node1", true),
            ("node1", "node12", true),
            ("^node1$", "node12", false),
            ("^node[0-9]+$", "Node42", true),
            ("^node[^0-9]$", "node4", false),
            ("db.*-(", "db-1", false),
            ("^(a", "b", false),
            ("a|b$", "xxb", true),
            ("^n?ode$", "ode", true),
            ("a\\.b", "axb", false),
            ("[]x]", "]", true),
            ("[", "[", true),
            ("", "anything", true),
        ];
        for (pattern, text, expect) in cases {
            assert_eq!(matches(pattern, text), expect, "{pattern:?} {text:?}");
        }
    }

    fn level(index: &str, how: (&str, &str), devices: &str) -> Element {
        Element::new("fencing-level")
            .with(how.0, how.1)
            .with("index", index)
            .with("devices", devices)
    }

    #[test]
    fn the_name_beats_the_pattern() {
        let topology = Element::new("fencing-topology")
            .child(level("2", ("target", "node1"), "psu1,psu2"))
            .child(level("1", ("target", "node1"), "ipmi"))
            .child(level("1", ("target-pattern", "node.*"), "apc"))
            .child(level("0", ("target", "node3"), "never"))
            .child(level("1", ("target-attribute", "rack"), "rackpdu").with("target-value", "7"));
        let cib = Element::new("cib").child(Element::new("configuration").child(topology));
        let none = BTreeMap::new();
        let rack = BTreeMap::from([("rack".to_owned(), "7".to_owned())]);
        assert_eq!(
            levels(&cib, "node1", &none),
            [
                vec!["ipmi".to_owned()],
                vec!["psu1".to_owned(), "psu2".to_owned()]
            ]
        );
        assert_eq!(levels(&cib, "node2", &rack), [["apc".to_owned()]]);
        assert_eq!(levels(&cib, "db", &rack), [["rackpdu".to_owned()]]);
        assert!(levels(&cib, "db", &none).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_comes_to_an_end(pattern in r"[\]\[ab.*+?^$|\\(-]{0,24}", text in "[ab]{0,24}") {
            let _ = matches(&pattern, &text);
        }

        #[test]
        fn a_name_matches_itself(text in "[a-z0-9-]{1,20}") {
            proptest::prop_assert!(matches(&text, &text));
            let anchored = format!("^{text}$");
            let longer = format!("{text}x");
            proptest::prop_assert!(matches(&anchored, &text));
            proptest::prop_assert!(!matches(&anchored, &longer));
        }
    }
}
