//! Operations: from words, from an agent's meta-data, added to and taken from a resource.

use super::super::agent::MetaData;
use super::super::change::{known, object, set_of};
use super::super::ids;
use super::super::level::{Level, below, misused, verb};
use super::super::words;
use super::super::{Context, resource::defaults};
use crate::cli::exit::{Exit, Failure};
use cib::{Cib, Element};

pub(super) const LEVEL: Level = Level {
    path: "pcs resource op",
    alone: None,
    rest: None,
    verbs: &[
        verb(
            "add",
            "RESOURCE ACTION [NAME=VALUE]...",
            &["file", "force"],
            add,
        ),
        verb(
            "remove",
            "RESOURCE ACTION [NAME=VALUE]... | OPERATION-ID",
            &["file"],
            remove,
        ),
        super::also("delete", "remove"),
        below("defaults", &defaults::OPERATIONS),
    ],
};

/// An operation as written: its attributes, `name` first.
pub(in crate::cli::pcs) type Op = Vec<(String, String)>;

/// `ACTION name=value … ACTION name=value …`.
///
/// # Errors
/// It does not begin with an action; an attribute that there is not.
pub(in crate::cli::pcs) fn parse(words: &[String]) -> Result<Vec<Op>, Failure> {
    let mut ops: Vec<Op> = Vec::new();
    for word in words {
        if !word.contains('=') {
            ops.push(vec![("name".to_owned(), word.clone())]);
            continue;
        }
        let (name, value) = words::pair(word)?;
        let op = ops.last_mut().ok_or_else(|| {
            Failure::usage(format!(
                "did you forget to specify an operation name? `op` is followed by one, for example `op monitor {word}`"
            ))
        })?;
        if !ATTRIBUTES.contains(&name.as_str()) {
            return Err(Failure::usage(format!(
                "invalid resource operation option '{name}'{}",
                match words::nearest(&name, ATTRIBUTES) {
                    Some(near) => format!(", is it '{near}'?"),
                    None => format!(", allowed options are: '{}'", ATTRIBUTES.join("', '")),
                }
            )));
        }
        op.push((name, value));
    }
    if let Some(empty) = ops.iter().find(|op| op.len() == 1) {
        return Err(Failure::usage(format!(
            "When using 'op' you must specify an operation name and at least one option: `op {} interval=…`",
            empty[0].1
        )));
    }
    twice(&ops)?;
    Ok(ops)
}

fn twice(ops: &[Op]) -> Result<(), Failure> {
    for (at, op) in ops.iter().enumerate() {
        let same = |other: &&Op| {
            value(other, "name") == value(op, "name") && interval_ms(other) == interval_ms(op)
        };
        if ops[..at].iter().any(|other| same(&other)) {
            return Err(Failure::usage(format!(
                "multiple specification of the same operation with the same interval: {} with interval {}",
                value(op, "name").unwrap_or_default(),
                value(op, "interval").unwrap_or("0s")
            )));
        }
    }
    Ok(())
}

fn value<'a>(op: &'a Op, name: &str) -> Option<&'a str> {
    let found = op.iter().find(|(n, _)| n == name);
    found.map(|(_, value)| value.as_str())
}

fn interval_ms(op: &Op) -> Option<u64> {
    cib::value::parse_interval_ms(value(op, "interval").unwrap_or("0")).ok()
}

/// The operations of a new resource: those given, and of the agent's own those that are not among
/// them (only `monitor` when `all` is not asked for), by name.
pub(in crate::cli::pcs) fn complete(given: Vec<Op>, meta: Option<&MetaData>, all: bool) -> Vec<Op> {
    let own = meta.into_iter().flat_map(|m| &m.actions);
    let own = own.filter_map(|action| from_meta_data(action));
    let wanted = |op: &Op| {
        let name = value(op, "name").unwrap_or_default();
        let named = given.iter().any(|g| value(g, "name") == Some(name));
        !named && (name == "monitor" || (all && OWN.contains(&name)))
    };
    let mut ops: Vec<Op> = own.filter(wanted).collect();
    let has_monitor = |ops: &[Op]| ops.iter().any(|op| value(op, "name") == Some("monitor"));
    if !has_monitor(&given) && !has_monitor(&ops) {
        ops.push(vec![
            ("name".to_owned(), "monitor".to_owned()),
            ("interval".to_owned(), "60s".to_owned()),
        ]);
    }
    ops.extend(given);
    ops.sort_by(|a, b| value(a, "name").cmp(&value(b, "name")));
    make_intervals_differ(&mut ops);
    ops
}

/// An agent's own operations that a resource takes over, as the agent lists them.
pub(super) fn own(meta: &MetaData) -> Vec<Op> {
    let own = meta.actions.iter().filter_map(|a| from_meta_data(a));
    own.filter(|op| OWN.contains(&value(op, "name").unwrap_or_default()))
        .collect()
}

fn from_meta_data(action: &[(String, String)]) -> Option<Op> {
    let get = |name: &str| {
        let found = action.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.clone()).filter(|v| !v.is_empty())
    };
    let name = get("name")?;
    let fallback = match name.as_str() {
        "monitor" => "60s",
        _ => "0s",
    };
    let mut op = vec![
        ("name".to_owned(), name),
        (
            "interval".to_owned(),
            get("interval").unwrap_or_else(|| fallback.to_owned()),
        ),
    ];
    for attribute in ["timeout", "role"] {
        op.extend(get(attribute).map(|value| (attribute.to_owned(), modern(&value))));
    }
    let depth = get("depth").filter(|d| d != "0");
    op.extend(depth.map(|depth| (LEVEL_OPTION.to_owned(), depth)));
    Some(op)
}

fn modern(role: &str) -> String {
    match role {
        "Master" => "Promoted".to_owned(),
        "Slave" => "Unpromoted".to_owned(),
        other => other.to_owned(),
    }
}

/// Two monitors of an agent may not have one interval: the later gets the next second.
fn make_intervals_differ(ops: &mut [Op]) {
    for at in 1..ops.len() {
        while let Some(ms) = interval_ms(&ops[at]).filter(|ms| *ms > 0) {
            let (before, rest) = ops.split_at_mut(at);
            let op = &mut rest[0];
            let same = |o: &Op| value(o, "name") == value(op, "name") && interval_ms(o) == Some(ms);
            if !before.iter().any(same) {
                break;
            }
            for (name, value) in op.iter_mut() {
                if name == "interval" {
                    *value = format!("{}s", ms / 1000 + 1);
                }
            }
        }
    }
}

/// `<op>` with the id `RESOURCE-ACTION-interval-INTERVAL`.
pub(in crate::cli::pcs) fn element(cib: &Cib, owner: &str, op: &Op) -> Element {
    let name = value(op, "name").unwrap_or_default();
    let interval = value(op, "interval").unwrap_or("0s");
    let mut element = Element::new("op").with("name", name);
    let mut level = Vec::new();
    for (attribute, value) in op.iter().skip(1) {
        match attribute.as_str() {
            LEVEL_OPTION => level.push((attribute.clone(), value.clone())),
            "id" => {}
            "role" => element.set("role", &modern(value)),
            attribute => element.set(attribute, value),
        }
    }
    if element.attr("interval").is_none() {
        element.set("interval", interval);
    }
    let id = match value(op, "id") {
        Some(id) => id.to_owned(),
        None => ids::unique(cib, &format!("{owner}-{name}-interval-{interval}")),
    };
    element.set("id", &id);
    let set = format!("{id}-instance_attributes");
    element
        .children
        .extend(set_of("instance_attributes", &set, &level));
    element
}

/// The resource's list of operations.
pub(super) fn list_of(resource: &mut Element) -> &mut Element {
    let found = resource
        .children
        .iter()
        .position(|c| c.name == "operations");
    let at = found.unwrap_or_else(|| {
        resource.children.push(Element::new("operations"));
        resource.children.len() - 1
    });
    &mut resource.children[at]
}

fn add(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id, rest @ ..] = words else {
        return Err(misused());
    };
    known(&cx.cib()?, id)?;
    let ops = match rest {
        [_, ..] => parse(rest)?,
        [] => return Err(misused()),
    };
    let force = cx.flags.force();
    cx.edit(|cib| {
        known(cib, id)?;
        for op in &ops {
            let new = element(cib, id, op);
            let list = list_of(object(cib, id)?);
            let same = |old: &&Element| {
                let interval = |o: &Element| {
                    cib::value::parse_interval_ms(o.attr("interval").unwrap_or("0")).ok()
                };
                old.attr("name") == new.attr("name") && interval(old) == interval(&new)
            };
            if let Some(old) = list.children.iter().find(same) {
                if alike(old, &new) {
                    continue;
                }
                if !force || old.attr("interval") == new.attr("interval") {
                    return Err(Failure::new(
                        Exit::Exists,
                        format!(
                            "operation {} with interval {} already specified for {id} ({}); `pcs resource update {id} op …` changes it",
                            new.attr("name").unwrap_or_default(),
                            old.attr("interval").unwrap_or_default(),
                            old.id().unwrap_or_default()
                        ),
                    ));
                }
            }
            list.children.push(new);
        }
        Ok(())
    })
}

/// The same but for the id.
fn alike(a: &Element, b: &Element) -> bool {
    let plain = |e: &Element| {
        let mut attrs = e.attrs.clone();
        attrs.retain(|(n, _)| n != "id");
        attrs.sort();
        attrs
    };
    plain(a) == plain(b) && a.children.len() == b.children.len()
}

fn remove(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    match words {
        [id] => cx.edit(|cib| {
            let is_op = object(cib, id).is_ok_and(|e| e.name == "op");
            if !is_op {
                return Err(Failure::no_such(format!(
                    "unable to find operation id: {id}"
                )));
            }
            cib::edit::delete(cib, id)?;
            Ok(())
        }),
        [id, action, rest @ ..] => {
            let wanted = words::pairs(rest)?;
            cx.edit(|cib| {
                known(cib, id)?;
                let list = list_of(object(cib, id)?);
                let fits = |op: &Element| {
                    let same = |(n, v): &(String, String)| op.attr(n) == Some(v.as_str());
                    op.attr("name") == Some(action) && wanted.iter().all(same)
                };
                let before = list.children.len();
                list.children.retain(|op| !fits(op));
                match list.children.len() {
                    after if after == before => Err(Failure::no_such(format!(
                        "Unable to find operation matching: {action} {}",
                        rest.join(" ")
                    ))),
                    _ => Ok(()),
                }
            })
        }
        [] => Err(misused()),
    }
}

/// Option of a monitor that the agent sees as a parameter.
const LEVEL_OPTION: &str = "OCF_CHECK_LEVEL";
/// What belongs to an operation.
const ATTRIBUTES: [&str; 13] = [
    "description",
    "enabled",
    "id",
    "interval",
    "interval-origin",
    "name",
    "on-fail",
    LEVEL_OPTION,
    "record-pending",
    "role",
    "start-delay",
    "timeout",
    "requires",
];
/// Operations of an agent that a new resource takes over.
const OWN: [&str; 10] = [
    "start",
    "stop",
    "monitor",
    "reload",
    "reload-agent",
    "promote",
    "demote",
    "notify",
    "migrate_from",
    "migrate_to",
];
