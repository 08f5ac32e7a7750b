//! An agent looks at its parameters (`validate-all`): a name that was mistyped shows before
//! anything is started.

use super::Context;
use super::agents::Agents;
use super::ra;
use super::usage::misused;
use crate::cli::ask::{self, Answer};
use crate::cli::exit::Failure;
use crate::cli::pcs::is_it;
use cib::config::{Config, Resource};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What the agents of these primitives have against their parameters. They are all asked at the same
/// time: together they take no longer than one of them may.
pub(super) fn complaints(
    config: &Config<'_>,
    resources: &[Resource<'_>],
    agents: &Agents,
) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    std::thread::scope(|scope| {
        let asked: Vec<_> = resources
            .iter()
            .map(|resource| scope.spawn(move || complaint_until(config, resource, agents, until)))
            .collect();
        let answers = resources.iter().zip(asked);
        let said = answers.filter_map(|(resource, answer)| match answer.join() {
            Ok(Ok(Some(text))) => Some(format!("{}: {text}", resource.id)),
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
    complaint_until(config, resource, agents, Instant::now() + PATIENCE)
}

fn complaint_until(
    config: &Config<'_>,
    resource: &Resource<'_>,
    agents: &Agents,
    until: Instant,
) -> Result<Option<String>, Failure> {
    let Some(agent) = config.agent(resource).filter(|a| a.class == "ocf") else {
        return Ok(None);
    };
    let spec = [Some(agent.class), agent.provider, Some(agent.kind)];
    let spec: Vec<&str> = spec.into_iter().flatten().collect();
    let parameters: BTreeMap<&str, &str> = config.parameters(resource).into_iter().collect();
    let spec = spec.join(":");
    let said = ask(agents, &spec, resource.id, &parameters, until)?;
    Ok(said.or_else(|| unknown(agents, &spec, &parameters, until)))
}

/// A parameter that the agent does not speak of: most have nothing against one.
fn unknown(
    agents: &Agents,
    spec: &str,
    parameters: &BTreeMap<&str, &str>,
    until: Instant,
) -> Option<String> {
    if parameters.is_empty() {
        return None;
    }
    let agent = agents.resolve(spec).ok()?;
    let text = ra::meta_data_until(agents, &agent, until).ok()?;
    let meta = ra::parse_meta(&agent, &text).ok()?;
    let known = meta.first("parameters")?.all("parameter");
    let known: Vec<&str> = known.filter_map(|p| p.attr("name")).collect();
    // Every agent of the library is traced by them.
    let names = parameters.keys().filter(|n| !n.starts_with("trace_"));
    let wrong = { names }.find(|name| !known.contains(*name))?;
    let near = is_it(wrong, known.iter().copied());
    Some(format!("{spec} has no parameter `{wrong}`{near}"))
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
