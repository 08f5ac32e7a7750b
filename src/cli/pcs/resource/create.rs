//! `pcs resource create`, and what `pcs stonith create` shares with it.

use super::super::change::{known, object, set_of};
use super::super::level::misused;
use super::super::{Context, agent, ids, words};
use super::ops::{self, Op};
use crate::cli::crm::agents::AgentName;
use crate::cli::exit::{Exit, Failure};
use cib::config::Config;
use cib::{Cib, Element, Section};

/// A resource to be made.
pub(in crate::cli::pcs) struct New {
    pub(in crate::cli::pcs) id: String,
    pub(in crate::cli::pcs) agent: AgentName,
    pub(in crate::cli::pcs) params: Vec<(String, String)>,
    pub(in crate::cli::pcs) meta: Vec<(String, String)>,
    pub(in crate::cli::pcs) ops: Vec<Op>,
    pub(in crate::cli::pcs) place: Place,
}

/// Where it goes.
pub(in crate::cli::pcs) enum Place {
    /// At the end of the resources.
    Alone,
    /// Into a clone of its own: id, options.
    Clone(Option<String>, Vec<(String, String)>),
    /// Into a group, before or after a member.
    Group(String, Position),
}

/// A clone's id, when it is given, and its options.
pub(super) type CloneWords = (Option<String>, Vec<(String, String)>);

/// Where in a group.
#[derive(Clone, Debug)]
pub(in crate::cli::pcs) enum Position {
    Last,
    Before(String),
    After(String),
}

impl Position {
    /// `--before`, `--after`.
    ///
    /// # Errors
    /// Both are given.
    pub(in crate::cli::pcs) fn of(cx: &Context<'_>) -> Result<Self, Failure> {
        match (cx.flags.value("before"), cx.flags.value("after")) {
            (Some(_), Some(_)) => Err(Failure::usage(
                "you cannot specify both --before and --after",
            )),
            (Some(id), None) => Ok(Self::Before(id.to_owned())),
            (None, Some(id)) => Ok(Self::After(id.to_owned())),
            (None, None) => Ok(Self::Last),
        }
    }
}

pub(super) fn create(cx: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [id, spec, rest @ ..] = words else {
        return Err(misused());
    };
    check_id(id)?;
    let (params, sections) = words::sections(
        rest,
        &["op", "meta", "clone", "promotable", "master", "bundle"],
    );
    let params = words::pairs(params)?;
    let mut given_ops = Vec::new();
    let mut meta = Vec::new();
    let mut clone = None;
    for (keyword, part) in sections {
        match keyword {
            "op" => given_ops.extend_from_slice(part),
            "meta" => meta.extend(words::pairs(part)?),
            "bundle" => {
                return Err(Failure::new(
                    Exit::Unimplemented,
                    "there are no bundles in this version: run the container with systemd or an agent of its own",
                ));
            }
            _ if clone.is_some() => {
                return Err(Failure::usage(
                    "you can specify only one of clone, promotable and --group",
                ));
            }
            keyword => clone = Some(clone_words(part, keyword != "clone")?),
        }
    }
    let place = place(cx, clone)?;
    let ops = ops::parse(&given_ops)?;
    let agent = agent::find(cx, spec)?;
    if agent.class == "stonith" {
        return Err(Failure::usage(format!(
            "use `pcs stonith create {id} {}` for a fence device",
            agent.kind
        )));
    }
    let described = agent::meta_data(cx, &agent)?;
    if let Some(described) = &described {
        let services = described.parameters.is_empty() && agent.class != "ocf";
        if !services || !params.is_empty() {
            agent::check_parameters(cx, described, &params, true)?;
        }
    }
    if cx.flags.has("disabled") && !meta.iter().any(|(n, _)| n == "target-role") {
        meta.push(("target-role".to_owned(), "Stopped".to_owned()));
    }
    let ops = ops::complete(ops, described.as_ref(), !cx.flags.has("no-default-ops"));
    let new = New {
        id: id.clone(),
        agent,
        params,
        meta,
        ops,
        place,
    };
    make(cx, &new)?;
    let should_run = !cx.flags.has("disabled");
    cx.settle_with(id, should_run)
}

/// Where the new resource goes.
fn place(cx: &Context<'_>, clone: Option<CloneWords>) -> Result<Place, Failure> {
    Ok(match (clone, cx.flags.value("group").map(str::to_owned)) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "you can specify only one of clone, promotable and --group",
            ));
        }
        (Some((id, options)), None) => Place::Clone(id, options),
        (None, Some(group)) => Place::Group(group, Position::of(cx)?),
        (None, None) if cx.flags.has("before") || cx.flags.has("after") => {
            return Err(Failure::usage(
                "you cannot use --before or --after without --group",
            ));
        }
        (None, None) => Place::Alone,
    })
}

/// `[ID] name=value …` behind `clone` or `promotable`.
pub(super) fn clone_words(words: &[String], promotable: bool) -> Result<CloneWords, Failure> {
    let (id, rest) = match words {
        [id, rest @ ..] if !id.contains('=') => (Some(id.clone()), rest),
        rest => (None, rest),
    };
    let rest = match rest {
        [first, rest @ ..] if first == "meta" => rest,
        rest => rest,
    };
    let mut options = words::pairs(rest)?;
    if promotable {
        if options.iter().any(|(n, _)| n == "promotable") {
            return Err(Failure::usage(
                "you cannot specify both promotable option and promotable keyword",
            ));
        }
        options.push(("promotable".to_owned(), "true".to_owned()));
    }
    Ok((id, options))
}

/// An id that XML allows.
///
/// # Errors
/// It is none.
pub(in crate::cli::pcs) fn check_id(id: &str) -> Result<(), Failure> {
    let first = id.chars().next();
    let begins = first.is_some_and(|c| c.is_alphabetic() || c == '_');
    let wrong = id
        .chars()
        .find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.')));
    match (begins, wrong) {
        (true, None) => Ok(()),
        (false, _) => Err(Failure::usage(format!(
            "invalid resource name '{id}', '{}' is not a valid first character for a resource name",
            first.map(String::from).unwrap_or_default()
        ))),
        (true, Some(wrong)) => Err(Failure::usage(format!(
            "invalid resource name '{id}', '{wrong}' is not a valid character for a resource name"
        ))),
    }
}

/// Puts the new resource into the configuration. One that is there already, exactly so, is left.
///
/// # Errors
/// The id is taken by something else; the place is not there.
pub(in crate::cli::pcs) fn make(cx: &mut Context<'_>, new: &New) -> Result<(), Failure> {
    let there = cx.edit(|cib| {
        let element = primitive(cib, new);
        if let Some(old) = Config::new(cib).by_id(&new.id) {
            let same = same_resource(old, &element) && in_place(cib, new);
            return match same {
                true => Ok(true),
                false => Err(Failure::new(
                    Exit::Exists,
                    format!(
                        "'{0}' already exists; `pcs resource config {0}` shows it, `pcs resource update {0}` changes it",
                        new.id
                    ),
                )),
            };
        }
        insert(cib, new, element)?;
        Ok(false)
    })?;
    if there {
        cx.warning(&format!(
            "'{}' exists already, exactly so: nothing was changed",
            new.id
        ));
    }
    Ok(())
}

fn primitive(cib: &Cib, new: &New) -> Element {
    let id = &new.id;
    let mut element = Element::new("primitive")
        .with("id", id)
        .with("class", &new.agent.class)
        .with("type", &new.agent.kind);
    if let Some(provider) = &new.agent.provider {
        element.set("provider", provider);
    }
    for (tag, pairs) in [
        ("instance_attributes", &new.params),
        ("meta_attributes", &new.meta),
    ] {
        element
            .children
            .extend(set_of(tag, &format!("{id}-{tag}"), pairs));
    }
    let mut operations = Element::new("operations");
    for op in &new.ops {
        let mut made = ops::element(cib, id, op);
        let own = made.id().unwrap_or_default().to_owned();
        let taken = |id: &str| operations.children.iter().any(|c| c.id() == Some(id));
        if taken(&own) {
            let free = (1_u32..)
                .map(|n| format!("{own}-{n}"))
                .find(|id| !taken(id));
            made.set("id", &free.unwrap_or(own));
        }
        operations.children.push(made);
    }
    element.children.push(operations);
    element
}

/// The same agent, parameters, options and operations, whatever the ids and the order.
fn same_resource(old: &Element, new: &Element) -> bool {
    let plain = |e: &Element| {
        let mut attrs = e.attrs.clone();
        attrs.sort();
        let mut pairs: Vec<(String, String, String)> = Vec::new();
        for set in &e.children {
            for child in &set.children {
                let mut words: Vec<String> = child
                    .attrs
                    .iter()
                    .filter(|(n, _)| n != "id")
                    .map(|(n, v)| format!("{n}={v}"))
                    .collect();
                words.sort();
                let name = child.attr("name").unwrap_or_default().to_owned();
                pairs.push((set.name.to_string(), name, words.join(" ")));
            }
        }
        pairs.sort();
        (e.name.clone(), attrs, pairs)
    };
    plain(old) == plain(new)
}

/// What is there already stands where the new one would go.
fn in_place(cib: &Cib, new: &New) -> bool {
    let config = Config::new(cib);
    let parent = config
        .resource(&new.id)
        .and_then(|r| r.parent.map(str::to_owned));
    match (&new.place, parent) {
        (Place::Alone, None) => true,
        (Place::Group(group, _), Some(parent)) => *group == parent,
        (Place::Clone(id, _), Some(parent)) => id.as_ref().is_none_or(|id| *id == parent),
        _ => false,
    }
}

fn insert(cib: &mut Cib, new: &New, element: Element) -> Result<(), Failure> {
    match &new.place {
        Place::Alone => cib::edit::insert(cib, Section::Resources, element)?,
        Place::Clone(id, options) => {
            let id = match id {
                Some(id) => id.clone(),
                None => ids::unique(cib, &format!("{}-clone", new.id)),
            };
            let mut clone = Element::new("clone").with("id", &id).child(element);
            let set = format!("{id}-meta_attributes");
            clone
                .children
                .extend(set_of("meta_attributes", &set, options));
            cib::edit::insert(cib, Section::Resources, clone)?;
        }
        Place::Group(group, position) => {
            if Config::new(cib).by_id(group).is_none() {
                if let Position::Before(near) | Position::After(near) = position {
                    return Err(not_beside(near, group));
                }
                let made = Element::new("group").with("id", group).child(element);
                return Ok(cib::edit::insert(cib, Section::Resources, made)?);
            }
            known(cib, group)?;
            let target = object(cib, group)?;
            if target.name != "group" {
                return Err(Failure::usage(format!("'{group}' is not a group")));
            }
            place_in(target, group, vec![element], position)?;
        }
    }
    Ok(())
}

fn not_beside(near: &str, group: &str) -> Failure {
    Failure::no_such(format!(
        "There is no resource '{near}' in the group '{group}', cannot add resources next to it"
    ))
}

/// Puts members into a group.
///
/// # Errors
/// The neighbour is no member.
pub(super) fn place_in(
    group: &mut Element,
    id: &str,
    members: Vec<Element>,
    position: &Position,
) -> Result<(), Failure> {
    let find = |near: &String| {
        let found = group.children.iter().position(|c| c.id() == Some(near));
        found.ok_or_else(|| not_beside(near, id))
    };
    let at = match position {
        Position::Before(near) => find(near)?,
        Position::After(near) => find(near)? + 1,
        Position::Last => {
            let last = group.children.iter().rposition(|c| c.name == "primitive");
            last.map_or(group.children.len(), |last| last + 1)
        }
    };
    group.children.splice(at..at, members);
    Ok(())
}
