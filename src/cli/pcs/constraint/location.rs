//! `pcs constraint location`: where a resource prefers to be, or must not.

use super::super::change::known_node;
use super::super::level::{Level, Verb, also, misused, verb};
use super::super::words::{self, is_it};
use super::super::{Context, ids};
use super::{may_be_named, role, rules, score, show};
use crate::cli::exit::{Exit, Failure};
use cib::config::Config;
use cib::{Cib, Element, Section};

pub(super) const LEVEL: Level = Level {
    path: "pcs constraint location",
    alone: Some("config"),
    rest: Some(WISH),
    verbs: &[
        verb("add", "ID RESOURCE NODE [SCORE]", &["file", "force"], add),
        verb(
            "config",
            "[resources [RESOURCE]... | nodes [NODE]...]",
            &["file", "full", "all"],
            show::locations,
        ),
        also("show", "config"),
        verb("delete", "ID", &["file"], delete),
        also("remove", "delete"),
    ],
};

/// `location RESOURCE prefers …`, `avoids …`, `rule …`.
const WISH: Verb = verb(
    "",
    "RESOURCE prefers|avoids NODE[=SCORE]... | RESOURCE rule [id=ID] [role=ROLE] [score=SCORE] EXPRESSION",
    &["file", "force"],
    wish,
);

/// What a constraint is about.
enum Subject {
    Resource(String),
    Pattern(String),
}

impl Subject {
    /// `resource%ID`, `regexp%PATTERN`, or an id.
    fn parse(word: &str) -> Self {
        match word.split_once('%') {
            Some(("regexp", pattern)) => Self::Pattern(pattern.to_owned()),
            Some(("resource", id)) => Self::Resource(id.to_owned()),
            _ => Self::Resource(word.to_owned()),
        }
    }

    fn check(&self, cib: &Cib, force: bool) -> Result<(), Failure> {
        match self {
            Self::Resource(id) => may_be_named(cib, id, force),
            Self::Pattern(_) => Ok(()),
        }
    }

    fn attribute(&self) -> (&'static str, &str) {
        match self {
            Self::Resource(id) => ("rsc", id),
            Self::Pattern(pattern) => ("rsc-pattern", pattern),
        }
    }

    fn is_of(&self, constraint: &Element) -> bool {
        let (name, value) = self.attribute();
        constraint.name == "rsc_location" && constraint.attr(name) == Some(value)
    }
}

fn wish(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    match words {
        [rsc, verb, nodes @ ..] if verb == "prefers" || verb == "avoids" => {
            nodes_of(cx, &Subject::parse(rsc), verb == "avoids", nodes)
        }
        [rsc, verb, rest @ ..] if verb == "rule" => rule(cx, &Subject::parse(rsc), rest),
        [first] => Err(Failure::usage(format!(
            "pcs constraint location has no command `{first}`{}",
            is_it(first, ["add", "config", "delete"])
        ))),
        [_, other, ..] => Err(Failure::usage(format!(
            "`{other}` is none of prefers, avoids, rule{}",
            is_it(other, ["prefers", "avoids", "rule"])
        ))),
        [] => Err(misused()),
    }
}

/// `NODE[=SCORE]…`; `avoids` without a score is never.
fn nodes_of(
    cx: &mut Context<'_>,
    subject: &Subject,
    avoids: bool,
    words: &[String],
) -> Result<(), Failure> {
    if words.is_empty() {
        return Err(misused());
    }
    let mut wishes = Vec::new();
    for word in words {
        let (node, value) = match word.split_once('=') {
            Some((node, value)) => (node, score(value)?),
            None => (word.as_str(), "INFINITY".to_owned()),
        };
        let value = match (avoids, value.strip_prefix('-')) {
            (false, _) => value,
            (true, Some(positive)) => positive.to_owned(),
            (true, None) => format!("-{}", value.trim_start_matches('+')),
        };
        wishes.push((node.to_owned(), value));
    }
    let force = cx.flags.force();
    let anywhere = may_be_unknown(cx);
    cx.edit(|cib| {
        subject.check(cib, force)?;
        for (node, value) in &wishes {
            if !anywhere {
                known_node(cib, node).map_err(or_forced)?;
            }
            let wanted = |c: &Element| {
                subject.is_of(c)
                    && c.attr("node") == Some(node)
                    && c.attr("score") == Some(value)
                    && c.attr("role").is_none()
            };
            let section = cib.section(Section::Constraints);
            if section.is_some_and(|s| s.children.iter().any(&wanted)) {
                continue;
            }
            let name = subject.attribute().1.replace('%', ".");
            let id = ids::unique(cib, &format!("location-{name}-{node}-{value}"));
            put(cib, subject, &id, node, value);
        }
        Ok(())
    })
}

/// A file may be for a cluster whose nodes it does not name; there the check's warning is enough, as
/// with pcs itself.
fn may_be_unknown(cx: &Context<'_>) -> bool {
    cx.flags.force() || cx.flags.file().is_some()
}

fn or_forced(mut failure: Failure) -> Failure {
    failure.text.push_str(", use --force to override");
    failure
}

/// Takes the place of what was said of the same resource and node before.
fn put(cib: &mut Cib, subject: &Subject, id: &str, node: &str, score: &str) {
    let all = &mut cib.section_mut(Section::Constraints).children;
    let old = |c: &Element| {
        let by_a_move = c.id().is_some_and(|id| id.starts_with("cli-"));
        subject.is_of(c) && c.attr("node") == Some(node) && c.attr("role").is_none() && !by_a_move
    };
    all.retain(|c| !old(c));
    let (name, value) = subject.attribute();
    all.push(
        Element::new("rsc_location")
            .with("id", id)
            .with(name, value)
            .with("node", node)
            .with("score", score),
    );
}

/// `add ID RESOURCE NODE [SCORE] [resource-discovery=WORD]`.
fn add(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id, rsc, node, rest @ ..] = words else {
        return Err(misused());
    };
    let (value, options) = match rest {
        [value, options @ ..] if !value.contains('=') => (score(value)?, options),
        options => ("INFINITY".to_owned(), options),
    };
    let options = words::pairs(options)?;
    if let Some((name, _)) = options.iter().find(|(n, _)| n != "resource-discovery") {
        return Err(Failure::usage(format!(
            "bad option '{name}': only 'resource-discovery' is known here"
        )));
    }
    let subject = Subject::parse(rsc);
    let force = cx.flags.force();
    let anywhere = may_be_unknown(cx);
    cx.edit(|cib| {
        subject.check(cib, force)?;
        if !anywhere {
            known_node(cib, node).map_err(or_forced)?;
        }
        let known = Config::new(cib)
            .by_id(id)
            .map(|e| (subject.is_of(e), e.clone()));
        match known {
            Some((true, old))
                if old.attr("node") == Some(node) && old.attr("score") == Some(&value) =>
            {
                return Ok(());
            }
            Some((true, _)) | None => {}
            Some((false, _)) => {
                return Err(Failure::new(Exit::Exists, format!("'{id}' already exists")));
            }
        }
        let all = &mut cib.section_mut(Section::Constraints).children;
        all.retain(|c| c.id() != Some(id));
        put(cib, &subject, id, node, &value);
        if let Some(made) = cib.section_mut(Section::Constraints).children.last_mut() {
            for (name, value) in &options {
                made.set(name, value);
            }
        }
        Ok(())
    })
}

/// `rule [id=ID] [role=ROLE] [score=SCORE|score-attribute=NAME] [constraint-id=ID] EXPRESSION`.
fn rule(cx: &mut Context<'_>, subject: &Subject, words: &[String]) -> Result<(), Failure> {
    let is_option = |w: &String| {
        let name = w.split_once('=').map(|(n, _)| n);
        name.is_some_and(|n| RULE_OPTIONS.contains(&n))
    };
    let end = words
        .iter()
        .position(|w| !is_option(w))
        .unwrap_or(words.len());
    let options = words::pairs(&words[..end])?;
    let get = |name: &str| {
        let found = options.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.clone())
    };
    if get("score").is_some() && get("score-attribute").is_some() {
        return Err(Failure::usage(
            "cannot specify both score and score-attribute",
        ));
    }
    let value = get("score").map(|s| score(&s)).transpose()?;
    let of_role =
        match get("role") {
            None => None,
            Some(word) => Some(role(&word).filter(|r| r.ends_with("romoted")).ok_or_else(
                || {
                    Failure::usage(format!(
                        "invalid role '{word}', use 'Promoted' or 'Unpromoted'"
                    ))
                },
            )?),
        };
    let expression = rules::parse(&words[end..], rules::About::Nodes)?;
    let force = cx.flags.force();
    let there = cx.edit(|cib| {
        subject.check(cib, force)?;
        let (name, about) = subject.attribute();
        let named = || ids::unique(cib, &format!("location-{about}"));
        let id = get("constraint-id").unwrap_or_else(named);
        let rule_id = get("id").unwrap_or_else(|| ids::unique(cib, &format!("{id}-rule")));
        let mut rule = rules::element(&expression, &rule_id);
        if let Some(role) = of_role {
            rule.set("role", role);
        }
        match (&value, get("score-attribute")) {
            (_, Some(attribute)) => rule.set("score-attribute", &attribute),
            (value, None) => rule.set("score", value.as_deref().unwrap_or("INFINITY")),
        }
        let constraint = Element::new("rsc_location")
            .with("id", &id)
            .with(name, about)
            .child(rule);
        super::insert(cib, constraint.clone(), force, |c| {
            super::alike(c, &constraint)
        })
    })?;
    cx.there_already(there.as_deref());
    Ok(())
}

/// `delete ID`.
fn delete(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id] = words else {
        return Err(misused());
    };
    cx.edit(|cib| {
        let found = Config::new(cib).by_id(id).map(|e| e.name.clone());
        match found.as_deref() {
            Some("rsc_location" | "rule") => {
                cib::edit::delete(cib, id)?;
                Ok(())
            }
            _ => {
                let all = Config::new(cib).constraints();
                let ids: Vec<&str> = all
                    .iter()
                    .filter(|c| c.element.name == "rsc_location")
                    .map(|c| c.id)
                    .collect();
                Err(Failure::no_such(format!(
                    "resource location id: {id} not found{}",
                    is_it(id, ids)
                )))
            }
        }
    })
}

const RULE_OPTIONS: [&str; 5] = ["constraint-id", "id", "role", "score", "score-attribute"];
