//! An agent looks at its parameters (`validate-all`): a name that was mistyped shows before
//! anything is started.

use super::Context;
use super::agents::Agents;
use super::usage::misused;
use crate::cli::exit::Failure;
use crate::paths::Paths;
use cib::config::{Config, Resource};
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};
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
    ask(agents, &spec.join(":"), resource.id, &parameters, until)
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
    let mut command = Command::new(path);
    command
        .arg("validate-all")
        .env("OCF_ROOT", Paths::from_env().ocf_root())
        .env("OCF_RA_VERSION_MAJOR", "1")
        .env("OCF_RA_VERSION_MINOR", "1")
        .env("OCF_CHECK_LEVEL", "0")
        .env("OCF_RESOURCE_INSTANCE", id)
        .env("OCF_RESOURCE_TYPE", &agent.kind)
        .env(
            "OCF_RESOURCE_PROVIDER",
            agent.provider.as_deref().unwrap_or_default(),
        )
        .env("OCF_RESKEY_crm_feature_set", cib::document::FEATURE_SET)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    for (name, value) in parameters {
        command.env(format!("OCF_RESKEY_{name}"), value);
    }
    let Ok(mut child) = command.spawn() else {
        return Ok(None);
    };
    // What it says is read beside waiting for it, so that a full pipe holds nobody up.
    let said = child.stderr.take().map(|stream| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stream.take(SAID_BYTES_MAX).read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        })
    });
    let code = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.code(),
            Ok(None) if Instant::now() < until => std::thread::sleep(PAUSE),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(None);
            }
        }
    };
    // 3: the agent has no such action.
    if matches!(code, Some(0 | 3) | None) {
        return Ok(None);
    }
    let said = said
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default();
    let reason = said
        .lines()
        .rev()
        .find_map(|l| l.strip_prefix("ocf-exit-reason:"));
    let last = said.lines().rev().find(|l| !l.trim().is_empty());
    let code = crate::view::ocf_code(code.unwrap_or(1));
    Ok(Some(match reason.or(last) {
        Some(text) => format!("the agent here says: {} ({code})", text.trim()),
        None => format!("the agent here says: {code}"),
    }))
}

/// How long agents may think, all together.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(5);
/// Most of what an agent says that is listened to, in bytes.
const SAID_BYTES_MAX: u64 = 64 * 1024;
