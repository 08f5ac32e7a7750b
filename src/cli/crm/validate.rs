//! An agent looks at its parameters (`validate-all`): a name that was mistyped shows before
//! anything is started.

use super::Context;
use super::agents::{AgentName, Agents};
use super::ra;
use super::usage::misused;
use crate::cli::ask::{self, Answer};
use crate::cli::exit::Failure;
use crate::cli::pcs::is_it;
use cib::Element;
use cib::config::{Config, Resource};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is wrong with a primitive, seen from its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// It cannot work: there is no such agent here, or it has no such parameter, or needs another.
    Refused(String),
    /// The agent says so; another node may have what this one lacks.
    Remark(String),
}

/// What the agents of these primitives have against their parameters. They are all asked at the same
/// time: together they take no longer than one of them may.
pub(super) fn complaints(
    config: &Config<'_>,
    resources: &[Resource<'_>],
    agents: &Agents,
) -> Vec<Complaint> {
    let until = Instant::now() + PATIENCE;
    std::thread::scope(|scope| {
        let asked: Vec<_> = resources
            .iter()
            .map(|resource| scope.spawn(move || complaint_until(config, resource, agents, until)))
            .collect();
        let answers = resources.iter().zip(asked);
        let said = answers.filter_map(|(resource, answer)| match answer.join() {
            Ok(Ok(Some(Complaint::Refused(text)))) => {
                Some(Complaint::Refused(format!("{}: {text}", resource.id)))
            }
            Ok(Ok(Some(Complaint::Remark(text)))) => {
                Some(Complaint::Remark(format!("{}: {text}", resource.id)))
            }
            _ => None,
        });
        said.collect()
    })
}

/// What the agent of a primitive has against its parameters, as far as this node can tell; `None`
/// = nothing, or it cannot be asked here.
///
/// # Errors
/// The agent's name is none.
pub(super) fn complaint(
    config: &Config<'_>,
    resource: &Resource<'_>,
    agents: &Agents,
) -> Result<Option<String>, Failure> {
    let said = complaint_until(config, resource, agents, Instant::now() + PATIENCE)?;
    Ok(said.map(|complaint| match complaint {
        Complaint::Refused(text) | Complaint::Remark(text) => text,
    }))
}

fn complaint_until(
    config: &Config<'_>,
    resource: &Resource<'_>,
    agents: &Agents,
    until: Instant,
) -> Result<Option<Complaint>, Failure> {
    let Some(agent) = config.agent(resource) else {
        return Ok(None);
    };
    let spec = [Some(agent.class), agent.provider, Some(agent.kind)];
    let spec: Vec<&str> = spec.into_iter().flatten().collect();
    let spec = spec.join(":");
    let name = agents.resolve(&spec)?;
    if !agents.installed(&name) {
        let text = format!("the agent {spec} is not installed on this node");
        return Ok(Some(Complaint::Refused(text)));
    }
    if agent.class != "ocf" {
        return Ok(None);
    }
    let parameters: BTreeMap<&str, &str> = config.parameters(resource).into_iter().collect();
    if let Some(text) = misfit(agents, &name, &parameters, until) {
        return Ok(Some(Complaint::Refused(text)));
    }
    let said = ask(agents, &spec, resource.id, &parameters, until)?;
    Ok(said.map(Complaint::Remark))
}

/// A parameter that the agent does not speak of, or one that it needs and has not.
fn misfit(
    agents: &Agents,
    agent: &AgentName,
    given: &BTreeMap<&str, &str>,
    until: Instant,
) -> Option<String> {
    let text = ra::meta_data_until(agents, agent, until).ok()?;
    let meta = ra::parse_meta(agent, &text).ok()?;
    let parameters: Vec<&Element> = meta.first("parameters")?.all("parameter").collect();
    let names = parameters.iter().filter_map(|p| p.attr("name"));
    let known: Vec<&str> = names.collect();
    let spec = agent.spec();
    // Every agent of the library is traced by these.
    let asked = given.keys().filter(|n| !n.starts_with("trace_"));
    if let Some(wrong) = { asked }.find(|name| !known.contains(*name)) {
        let near = is_it(wrong, known.iter().copied());
        return Some(format!("{spec} has no parameter `{wrong}`{near}"));
    }
    let lacks = |p: &&Element| {
        let name = p.attr("name").unwrap_or_default();
        let mut others = parameters.iter();
        // Its old name, or its new one, does as well.
        let other = others.any(|o| {
            let pair = [(p, o), (o, p)];
            pair.iter().any(|(new, old)| {
                let obsolete = new.attr("obsoletes");
                obsolete.is_some() && obsolete == old.attr("name")
            }) && o.attr("name").is_some_and(|o| given.contains_key(o))
        });
        p.attr("required") == Some("1") && !given.contains_key(name) && !other
    };
    let lacking: Vec<&str> = { parameters.iter() }
        .filter(|p| lacks(p))
        .filter_map(|p| p.attr("name"))
        .collect();
    match lacking.as_slice() {
        [] => None,
        names => Some(format!("{spec} needs {}", names.join(" and "))),
    }
}

/// `ra validate AGENT [NAME=VALUE …]`.
pub(super) fn agent(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (spec, rest) = words.split_first().ok_or_else(misused)?;
    let pairs = rest
        .iter()
        .map(|word| word.split_once('=').ok_or_else(misused));
    let parameters: BTreeMap<&str, &str> = pairs.collect::<Result<_, _>>()?;
    let until = Instant::now() + PATIENCE;
    match ask(&context.agents, spec, "test", &parameters, until)? {
        None => Ok(()),
        Some(text) => Err(Failure::new(
            crate::cli::exit::Exit::NotConfigured,
            format!("{spec}: {text}"),
        )),
    }
}

/// Runs the agent; one that is not done by then has nothing to say.
fn ask(
    agents: &Agents,
    spec: &str,
    id: &str,
    parameters: &BTreeMap<&str, &str>,
    until: Instant,
) -> Result<Option<String>, Failure> {
    let agent = agents.resolve(spec)?;
    let Some(path) = agents.file(&agent).filter(|_| agent.class == "ocf") else {
        return Ok(None);
    };
    let parameters = parameters.iter().map(|(name, value)| (*name, *value));
    let mut command = agent.call(&path, "validate-all", id, parameters);
    let Ok(Some(Answer { code, errors, .. })) = ask::until(&mut command, until) else {
        return Ok(None);
    };
    // 3: the agent has no such action.
    if matches!(code, Some(0 | 3) | None) {
        return Ok(None);
    }
    let reason = errors
        .lines()
        .rev()
        .find_map(|l| l.strip_prefix("ocf-exit-reason:"));
    let last = errors.lines().rev().find(|l| !l.trim().is_empty());
    let code = crate::view::ocf_code(code.unwrap_or(1));
    Ok(Some(match reason.or(last) {
        Some(text) => format!("the agent here says: {} ({code})", text.trim()),
        None => format!("the agent here says: {code}"),
    }))
}

/// How long agents may think, all together.
const PATIENCE: Duration = Duration::from_secs(5);
