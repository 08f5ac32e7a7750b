//! What may come next on a command line of pcs: the verbs of the tree, and names where a verb's
//! usage speaks of nodes, resources or agents.

use super::ROOT;
use super::level::{Act, Level};
use crate::cli::crm::complete::{Source, fitting};
use crate::cli::options::cluster::NAMES as PROPERTY_NAMES;

/// Words that may stand where `partial` begins, behind `words`.
pub(in crate::cli) fn next(
    words: &[String],
    partial: &str,
    source: &mut Source<'_>,
) -> Vec<String> {
    let mut level: &Level = &ROOT;
    let mut words = words
        .iter()
        .map(String::as_str)
        .filter(|w| !w.starts_with('-'));
    loop {
        let Some(word) = words.next() else {
            return fitting(offered(level), partial);
        };
        let found = level.verbs.iter().find(|v| v.name == word);
        let found = match found.map(|v| v.act) {
            Some(Act::As(other)) => level.verbs.iter().find(|v| v.name == other),
            _ => found,
        };
        let Some(verb) = found.or(level.rest.as_ref()) else {
            return Vec::new();
        };
        let Act::Below(inner) = verb.act else {
            let mut found: Vec<String> = verb.flags.iter().map(|f| format!("--{f}")).collect();
            if !partial.starts_with('-') {
                found = names(level.path, verb.usage, source);
            }
            return fitting(found, partial);
        };
        level = inner;
    }
}

fn offered(level: &Level) -> Vec<String> {
    let verbs = level.verbs.iter();
    let verbs = verbs.filter(|v| !matches!(v.act, Act::Refused(_)));
    verbs.map(|v| v.name.to_owned()).collect()
}

/// Names of what a usage speaks of.
fn names(path: &str, usage: &str, source: &mut Source<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if usage.contains("NODE") {
        found.extend(source.nodes());
    }
    if ["RESOURCE", "RSC", " ID", "[ID"]
        .iter()
        .any(|w| usage.contains(w))
        || usage == "ID"
    {
        found.extend(source.resources());
    }
    if usage.contains("AGENT") {
        found.extend(source.agents());
    }
    if path == "pcs property" {
        found.extend(PROPERTY_NAMES.iter().map(|n| (*n).to_owned()));
    }
    found
}
