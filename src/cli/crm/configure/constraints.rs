//! `location`, `colocation`, `order`: words to elements.

use super::parse::{Cursor, score, with_suffix};
use super::rules;
use crate::cli::crm::words::pair;
use crate::cli::exit::Failure;
use cib::{Cib, Element, Section, edit};

/// `location ID RSC SCORE: NODE`, or `location ID RSC rule …`.
pub(super) fn location(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let mut cursor = Cursor::new("location", words);
    let id = cursor.id()?;
    let mut element = Element::new("rsc_location").with("id", &id);
    let target = cursor.word("a resource")?;
    match target.strip_prefix('/').and_then(|t| t.strip_suffix('/')) {
        Some(pattern) => element.set("rsc-pattern", pattern),
        None if target == "{" => {
            cursor.back();
            let parts = parts(&mut cursor)?;
            add_sets(&mut element, &id, &parts, "role");
        }
        None => {
            let (rsc, role) = with_suffix(&target);
            element.set("rsc", rsc);
            if let Some(role) = role {
                element.set("role", role);
            }
        }
    }
    options(&mut element, &mut cursor, &["role", "resource-discovery"])?;
    if cursor.peek() == Some("rule") {
        while let Some(word) = cursor.next() {
            if word != "rule" {
                return Err(cursor.unexpected(&word));
            }
            let rule = rules::rule(&mut cursor, &id, element.children.len())?;
            element.children.push(rule);
        }
    } else {
        let score = score_word(&mut cursor)?.ok_or_else(|| {
            cursor.missing("a score with a colon, for example `100:`, or `rule …`")
        })?;
        element.set("score", &score);
        let node = cursor.word("a node's name")?;
        element.set("node", &node);
        options(&mut element, &mut cursor, &["role", "resource-discovery"])?;
    }
    finish(cib, element, &mut cursor)
}

/// `colocation ID SCORE: RSC[:ROLE] WITH[:ROLE]`, or sets.
pub(super) fn colocation(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let mut cursor = Cursor::new("colocation", words);
    let id = cursor.id()?;
    let score = score_word(&mut cursor)?
        .ok_or_else(|| cursor.missing("a score with a colon, for example `inf:`, behind the id"))?;
    let mut element = Element::new("rsc_colocation")
        .with("id", &id)
        .with("score", &score);
    let parts = parts(&mut cursor)?;
    match parts.as_slice() {
        [
            Part {
                kind: SetShape::Plain,
                members,
            },
        ] if members.len() == 2 => {
            for (member, name) in members.iter().zip(["rsc", "with-rsc"]) {
                let (rsc, role) = with_suffix(member);
                element.set(name, rsc);
                if let Some(role) = role {
                    element.set(&format!("{name}-role"), role);
                }
            }
        }
        [Part { members, .. }] if members.len() < 2 => {
            return Err(cursor.missing("the resource to be with"));
        }
        _ => add_sets(&mut element, &id, &parts, "role"),
    }
    options(&mut element, &mut cursor, &["node-attribute", "influence"])?;
    finish(cib, element, &mut cursor)
}

/// `order ID [KIND:|SCORE:] FIRST[:ACTION] THEN[:ACTION] [symmetrical=…]`, or sets.
pub(super) fn order(cib: &mut Cib, words: &[String]) -> Result<(), Failure> {
    let mut cursor = Cursor::new("order", words);
    let id = cursor.id()?;
    let mut element = Element::new("rsc_order").with("id", &id);
    if let Some(kind) = kind_word(&mut cursor)? {
        element.set("kind", &kind);
    }
    let parts = parts(&mut cursor)?;
    let pairwise = matches!(parts.as_slice(),
        [Part { kind: SetShape::Plain, members }] if members.len() == 2);
    if parts.iter().map(|p| p.members.len()).sum::<usize>() < 2 {
        return Err(cursor.missing("what comes second"));
    }
    options(&mut element, &mut cursor, &["symmetrical"])?;
    if pairwise {
        for (member, name) in parts[0].members.iter().zip(["first", "then"]) {
            let (rsc, action) = with_suffix(member);
            element.set(name, rsc);
            if let Some(action) = action {
                element.set(&format!("{name}-action"), action);
            }
        }
    } else {
        add_sets(&mut element, &id, &parts, "action");
    }
    finish(cib, element, &mut cursor)
}

/// A run of resources that belong together.
struct Part {
    kind: SetShape,
    members: Vec<String>,
}

/// How a set is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SetShape {
    /// Bare words: one after the other.
    Plain,
    /// `( … )`: without order among them.
    Parallel,
    /// `[ … ]`: any of them will do.
    AnyOf,
    /// `{ … }`: of a location.
    Braces,
}

/// Resources up to the first `name=value` or the end; brackets may stick to words.
fn parts(cursor: &mut Cursor<'_>) -> Result<Vec<Part>, Failure> {
    let mut parts: Vec<Part> = Vec::new();
    let mut open: Option<SetShape> = None;
    while let Some(word) = cursor.peek() {
        if open.is_none() && pair(word).is_some() {
            break;
        }
        cursor.next();
        for token in bracketed(word) {
            let bracket = match token {
                "(" => Some(SetShape::Parallel),
                "[" => Some(SetShape::AnyOf),
                "{" => Some(SetShape::Braces),
                ")" | "]" | "}" => {
                    let closes = open.take().is_some_and(|kind| closing(kind) == token);
                    if !closes || parts.last().is_none_or(|p| p.members.is_empty()) {
                        return Err(cursor.unexpected(token));
                    }
                    continue;
                }
                _ => None,
            };
            match (bracket, open) {
                (Some(_), Some(_)) => return Err(cursor.unexpected(token)),
                (Some(kind), None) => {
                    open = Some(kind);
                    let members = Vec::new();
                    parts.push(Part { kind, members });
                }
                (None, _) => member(&mut parts, open, token),
            }
        }
        if open == Some(SetShape::Braces) || parts.last().is_none_or(|p| p.kind != SetShape::Braces)
        {
            continue;
        }
        break;
    }
    match open {
        Some(kind) => Err(cursor.missing(&format!("the closing `{}`", closing(kind)))),
        None if parts.is_empty() => Err(cursor.missing("a resource")),
        None => Ok(parts),
    }
}

fn member(parts: &mut Vec<Part>, open: Option<SetShape>, name: &str) {
    let fresh = open.is_none() && parts.last().is_none_or(|p| p.kind != SetShape::Plain);
    if fresh {
        let (kind, members) = (SetShape::Plain, Vec::new());
        parts.push(Part { kind, members });
    }
    if let Some(part) = parts.last_mut() {
        part.members.push(name.to_owned());
    }
}

const fn closing(kind: SetShape) -> &'static str {
    match kind {
        SetShape::AnyOf => "]",
        SetShape::Braces => "}",
        SetShape::Plain | SetShape::Parallel => ")",
    }
}

/// `(a` is `(` and `a`.
fn bracketed(word: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.find(['(', ')', '[', ']', '{', '}']) {
        if at > 0 {
            tokens.push(&rest[..at]);
        }
        tokens.push(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    if !rest.is_empty() {
        tokens.push(rest);
    }
    tokens
}

/// Sets with the ids of crmsh: `ID-0`, `ID-1` …; a new set begins where the role or action
/// changes.
fn add_sets(element: &mut Element, id: &str, parts: &[Part], suffix: &str) {
    for part in parts {
        let mut last: Option<Option<&str>> = None;
        for member in &part.members {
            let (rsc, what) = with_suffix(member);
            if last != Some(what) {
                last = Some(what);
                let mut set = Element::new("resource_set")
                    .with("id", &format!("{id}-{}", element.children.len()));
                if part.kind == SetShape::AnyOf {
                    set.set("require-all", "false");
                }
                if matches!(part.kind, SetShape::AnyOf | SetShape::Parallel) {
                    set.set("sequential", "false");
                }
                if let Some(what) = what {
                    set.set(suffix, what);
                }
                element.children.push(set);
            }
            if let Some(set) = element.children.last_mut() {
                set.children
                    .push(Element::new("resource_ref").with("id", rsc));
            }
        }
    }
}

/// `SCORE:`, when that is the next word.
fn score_word(cursor: &mut Cursor<'_>) -> Result<Option<String>, Failure> {
    let Some(text) = cursor.peek().and_then(|w| w.strip_suffix(':')) else {
        return Ok(None);
    };
    let Some(score) = score(text) else {
        return Err(cursor.fail(&format!(
            "`{text}` is not a score: write a whole number, inf or -inf, and a colon"
        )));
    };
    cursor.next();
    Ok(Some(score))
}

/// `Mandatory:`, `Optional:`, `Serialize:` in any case, or a score (above zero is mandatory).
fn kind_word(cursor: &mut Cursor<'_>) -> Result<Option<String>, Failure> {
    let Some(text) = cursor.peek().and_then(|w| w.strip_suffix(':')) else {
        return Ok(None);
    };
    let named = ["Mandatory", "Optional", "Serialize"]
        .into_iter()
        .find(|k| k.eq_ignore_ascii_case(text));
    let by_score = || {
        let score = score(text)?;
        let optional = score.starts_with('-') || score.trim_start_matches(['+', '0']).is_empty();
        Some(if optional { "Optional" } else { "Mandatory" })
    };
    let Some(kind) = named.or_else(by_score) else {
        return Err(cursor.fail(&format!(
            "`{text}:` is no kind of order: write Mandatory:, Optional: or Serialize:"
        )));
    };
    cursor.next();
    Ok(Some(kind.to_owned()))
}

fn options(element: &mut Element, cursor: &mut Cursor<'_>, known: &[&str]) -> Result<(), Failure> {
    while let Some((name, value)) = cursor.peek().and_then(pair) {
        if !known.contains(&name) {
            return Err(cursor.fail(&format!(
                "`{name}` is not an option here; known are: {}",
                known.join(", ")
            )));
        }
        element.set(name, value);
        cursor.next();
    }
    Ok(())
}

fn finish(cib: &mut Cib, element: Element, cursor: &mut Cursor<'_>) -> Result<(), Failure> {
    if let Some(word) = cursor.next() {
        return Err(cursor.unexpected(&word));
    }
    let plain = |name: &str| element.attr(&format!("{name}-action")).is_none();
    for (one, other) in [("rsc", "with-rsc"), ("first", "then")] {
        let same = element.attr(one).is_some() && element.attr(one) == element.attr(other);
        if same && plain(one) && plain(other) {
            return Err(cursor.fail("it binds a resource to itself: name two different ones"));
        }
    }
    Ok(edit::insert(cib, Section::Constraints, element)?)
}
