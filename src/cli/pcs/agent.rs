//! Agents as pcs names them: without class or case where one fits, and what their meta-data say of
//! parameters and operations.

use super::Context;
use super::words::nearest;
use crate::cli::crm::agents::AgentName;
use crate::cli::crm::ra;
use crate::cli::exit::Failure;
use cib::Element;
use std::collections::BTreeSet;

/// What an agent says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MetaData {
    /// In a line.
    pub(super) short: String,
    /// At length.
    pub(super) long: String,
    /// Its parameters.
    pub(super) parameters: Vec<Parameter>,
    /// Its operations: attributes of `<action>`.
    pub(super) actions: Vec<Vec<(String, String)>>,
}

/// A parameter of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) unique: bool,
    pub(super) kind: String,
    pub(super) default: Option<String>,
    pub(super) short: String,
    pub(super) long: String,
    /// Another parameter that stands for this one.
    pub(super) other_name: Option<String>,
}

/// Finds the agent that is meant; tells what was assumed.
///
/// # Errors
/// None or several fit; the name is no agent's.
pub(super) fn find(cx: &mut Context<'_>, spec: &str) -> Result<AgentName, Failure> {
    if spec.contains(':') {
        let agent = cx.agents.resolve(spec)?;
        let spelt = spec.replace("::", ":");
        if agent.spec() != spelt && agent.spec().eq_ignore_ascii_case(&spelt) {
            assumed(cx, &agent, spec);
        }
        return Ok(agent);
    }
    let mut fits = Vec::new();
    let mut names = BTreeSet::new();
    for provider in cx.agents.providers() {
        let kinds = cx.agents.list("ocf", Some(&provider));
        let same = |k: &&String| k.eq_ignore_ascii_case(spec);
        fits.extend(
            kinds
                .iter()
                .filter(same)
                .map(|k| format!("ocf:{provider}:{k}")),
        );
        names.extend(kinds);
    }
    match fits.as_slice() {
        [one] => {
            let agent = cx.agents.resolve(one)?;
            assumed(cx, &agent, spec);
            Ok(agent)
        }
        [] => {
            let near = nearest(spec, names.iter().map(String::as_str));
            let near = near.map(|n| format!(": is it '{n}'?"));
            Err(Failure::no_such(format!(
                "Unable to find agent '{spec}', try specifying its full name{}",
                near.unwrap_or_default()
            )))
        }
        several => Err(Failure::usage(format!(
            "Multiple agents match '{spec}', please specify full name: '{}'",
            several.join("' or '")
        ))),
    }
}

fn assumed(cx: &mut Context<'_>, agent: &AgentName, spec: &str) {
    cx.note(&format!(
        "Assumed agent name '{}' (deduced from '{spec}')",
        agent.spec()
    ));
}

/// The fence agent that is meant.
///
/// # Errors
/// The name cannot be one.
pub(super) fn find_fence(cx: &mut Context<'_>, spec: &str) -> Result<AgentName, Failure> {
    let kind = spec.strip_prefix("stonith:").unwrap_or(spec);
    let all = cx.agents.list("stonith", None);
    let found = all.iter().find(|k| k.eq_ignore_ascii_case(kind));
    let agent = cx
        .agents
        .resolve(&format!("stonith:{}", found.map_or(kind, |k| k.as_str())))?;
    if agent.kind != kind {
        assumed(cx, &agent, spec);
    }
    Ok(agent)
}

/// What the agent says of itself; `None`, with a warning, when it says nothing and that was forced.
///
/// # Errors
/// It is not here, or says nothing.
pub(super) fn meta_data(
    cx: &mut Context<'_>,
    agent: &AgentName,
) -> Result<Option<MetaData>, Failure> {
    let spec = agent.spec();
    let failed = match agent.class.as_str() {
        "systemd" | "service" | "lsb" => {
            if cx.agents.list(&agent.class, None).contains(&agent.kind) {
                return Ok(Some(of_a_service(&agent.class)));
            }
            "there is no such unit or script".to_owned()
        }
        _ => match ra::meta_data(&cx.agents, agent).and_then(|t| ra::parse_meta(agent, &t)) {
            Ok(element) => return Ok(Some(read(&element))),
            Err(failure) => failure.text,
        },
    };
    let names = cx.agents.list(&agent.class, agent.provider.as_deref());
    let near = nearest(&agent.kind, names.iter().map(String::as_str));
    let near = near.filter(|n| *n != agent.kind).map(|near| {
        let named = AgentName {
            kind: near.to_owned(),
            ..agent.clone()
        };
        format!("; is it '{}'?", named.spec())
    });
    let text = format!(
        "Agent '{spec}' is not installed or does not provide valid metadata: {failed}{}",
        near.unwrap_or_default()
    );
    if !cx.flags.force() {
        return Err(Failure::no_such(format!("{text}, use --force to override")));
    }
    cx.warning(&text);
    Ok(None)
}

/// What Pacemaker says of services that say nothing themselves (lib/services/systemd.c,
/// services_lsb.c).
fn of_a_service(class: &str) -> MetaData {
    let (once, interval, timeout) = match class {
        "lsb" => ("15", "15", "15"),
        _ => ("100", "60", "100"),
    };
    let action = |name: &str, pairs: &[(&str, &str)]| {
        let named = std::iter::once(("name", name)).chain(pairs.iter().copied());
        named.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    };
    MetaData {
        actions: vec![
            action("start", &[("timeout", once)]),
            action("stop", &[("timeout", once)]),
            action("monitor", &[("interval", interval), ("timeout", timeout)]),
        ],
        ..MetaData::default()
    }
}

fn read(element: &Element) -> MetaData {
    let text = |e: &Element, tag: &str| {
        let words = e.first(tag).map(|t| t.text.trim().to_owned());
        words.unwrap_or_default()
    };
    let parameters = element.first("parameters").into_iter();
    let parameters = parameters.flat_map(|p| p.all("parameter")).map(|p| {
        let content = p.first("content");
        let of_content = |name: &str| content.and_then(|c| c.attr(name)).map(str::to_owned);
        Parameter {
            name: p.attr("name").unwrap_or_default().to_owned(),
            required: p.attr("required") == Some("1"),
            unique: p.attr("unique") == Some("1"),
            kind: of_content("type").unwrap_or_else(|| "string".to_owned()),
            default: of_content("default"),
            short: text(p, "shortdesc"),
            long: text(p, "longdesc"),
            other_name: p.attr("obsoletes").map(str::to_owned),
        }
    });
    let actions = element.first("actions").into_iter();
    let actions = actions.flat_map(|a| a.all("action"));
    let pairs = |a: &Element| {
        let pairs = a.attrs.iter();
        pairs.map(|(n, v)| (n.to_string(), v.to_string())).collect()
    };
    MetaData {
        short: match element.attr("shortdesc") {
            Some(short) if element.first("shortdesc").is_none() => short.to_owned(),
            _ => text(element, "shortdesc"),
        },
        long: text(element, "longdesc"),
        parameters: parameters.collect(),
        actions: actions.map(pairs).collect(),
    }
}

/// Refuses parameters that the agent does not know and asks for those that it needs.
///
/// # Errors
/// The first of them, unless forced; then they are warned of.
pub(super) fn check_parameters(
    cx: &mut Context<'_>,
    meta: &MetaData,
    given: &[(String, String)],
    whole: bool,
) -> Result<(), Failure> {
    let fence = meta
        .actions
        .iter()
        .flatten()
        .any(|(n, v)| n == "name" && v == "off");
    let names: Vec<&str> = meta.parameters.iter().map(|p| p.name.as_str()).collect();
    let mut wrong = Vec::new();
    for (name, value) in given {
        let known = names.contains(&name.as_str())
            || (fence && name.starts_with("pcmk_"))
            || (fence && FENCE_OPTIONS.contains(&name.as_str()));
        if !known && !value.is_empty() {
            let near = match nearest(name, names.iter().copied()) {
                Some(near) => format!(", is it '{near}'?"),
                None => {
                    let mut sorted = names.clone();
                    sorted.sort_unstable();
                    format!(", allowed options are: '{}'", sorted.join("', '"))
                }
            };
            wrong.push(format!("invalid resource option '{name}'{near}"));
        }
    }
    let has = |name: &str| given.iter().any(|(n, v)| n == name && !v.is_empty());
    let stands_for = |p: &Parameter| {
        let others = meta.parameters.iter();
        let mut others = others.filter(|o| o.other_name.as_deref() == Some(&p.name));
        has(&p.name)
            || p.other_name.as_deref().is_some_and(has)
            || others.any(|o| has(&o.name))
            || (fence && (p.name == "action" || p.name == "port" || p.name == "plug"))
    };
    if whole {
        let missing = meta.parameters.iter();
        let missing = missing.filter(|p| p.required && !stands_for(p));
        wrong.extend(missing.map(|p| format!("required resource option '{}' is missing", p.name)));
    }
    match wrong.first() {
        Some(first) if !cx.flags.force() => {
            Err(Failure::usage(format!("{first}, use --force to override")))
        }
        _ => {
            for text in wrong {
                cx.warning(&text);
            }
            Ok(())
        }
    }
}

/// Parameters that every fence device has.
const FENCE_OPTIONS: [&str; 3] = ["provides", "stonith-timeout", "priority"];
