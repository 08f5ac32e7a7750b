//! Agents of this machine: which there are, what they say of themselves, asking one.

use super::{configured, named};
use crate::cli::ask::{self, Answer};
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::crm::agents::{self, AgentName, Agents};
use crate::cli::crm::ra;
use crate::cli::exit::{Exit, Failure};
use crate::cli::getopt::Found;
use crate::cli::options::List;
use crate::paths::Paths;
use crate::view::{self, xml::with_text};
use cib::config::Config;
use cib::{Cib, Element};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long an agent may take that is asked directly, when nothing is said.
const PATIENCE: Duration = Duration::from_secs(600);

/// Commands that need no cluster.
pub(super) const COMMANDS: [&str; 6] = [
    "list-standards",
    "list-ocf-providers",
    "list-agents",
    "list-ocf-alternatives",
    "show-metadata",
    "list-options",
];

pub(super) fn run(console: &mut Console, found: &Found, command: &str) -> Result<(), Failure> {
    let agents = Agents::new(Paths::from_env());
    let asked = found.value(command).unwrap_or_default();
    match command {
        "list-options" => {
            let lists = [List::Primitive, List::Fencing];
            List::told(console, asked, &lists, found.has("all"))
        }
        "list-standards" => {
            let mut names = vec!["ocf", "lsb", "service"];
            if agents.classes().iter().any(|c| c == "systemd") {
                names.push("systemd");
            }
            names.push("stonith");
            let mut list = Element::new("list")
                .with("name", "standards")
                .with("count", &names.len().to_string());
            for name in names {
                console.line(name);
                list.children.push(with_text("item", name));
            }
            console.element(list);
            Ok(())
        }
        "list-ocf-providers" => {
            let element = Element::new("providers").with("standard", "ocf");
            told(console, element, "provider", &agents.providers())
        }
        "list-ocf-alternatives" => {
            let mut names = agents.providers();
            names.retain(|p| agents.list("ocf", Some(p)).iter().any(|a| a == asked));
            if names.is_empty() {
                return Err(Failure::no_such(format!(
                    "No OCF providers found for {asked}"
                )));
            }
            let element = Element::new("providers").with("for", asked);
            told(console, element, "provider", &names)
        }
        "list-agents" => {
            let (class, provider) = match asked.split_once(':') {
                Some((class, provider)) => (class, Some(provider)),
                None => (asked, None),
            };
            let names = agents.list(class, provider);
            if names.is_empty() {
                let of = provider.map(|p| format!(" and provider '{p}'"));
                return Err(Failure {
                    cure: Some("Error performing operation: Error occurred".to_owned()),
                    ..Failure::new(
                        Exit::Error,
                        format!(
                            "No agents found for standard '{class}'{}",
                            of.unwrap_or_default()
                        ),
                    )
                });
            }
            let mut element = Element::new("agents").with("standard", class);
            if let Some(provider) = provider {
                element.set("provider", provider);
            }
            told(console, element, "agent", &names)
        }
        _ => {
            let agent = agents.resolve(asked).map_err(|_| {
                Failure::no_such(format!("'{asked}' is not a valid agent specification"))
            })?;
            let text = ra::meta_data(&agents, &agent).map_err(|why| {
                Failure::no_such(format!("Metadata query for {asked} failed: {why}"))
            })?;
            console.print(&text);
            console.element(with_text("metadata", &text));
            Ok(())
        }
    }
}

fn told(
    console: &mut Console,
    mut element: Element,
    tag: &str,
    names: &[String],
) -> Result<(), Failure> {
    for name in names {
        console.line(name);
        element.children.push(with_text(tag, name));
    }
    console.element(element);
    Ok(())
}

/// Commands that have an agent act here and now, beside the cluster, and the agent's own word.
const ACTIONS: [(&str, &str); 6] = [
    ("validate", "validate-all"),
    ("force-check", "monitor"),
    ("force-start", "start"),
    ("force-stop", "stop"),
    ("force-promote", "promote"),
    ("force-demote", "demote"),
];

/// `--validate`, `--force-check` and the like: an agent acts here and now, beside the cluster.
pub(super) fn on_resource(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let given = ACTIONS.iter().find(|(command, _)| found.has(command));
    let (command, action) = *given.unwrap_or(&ACTIONS[0]);
    let agents = Agents::new(Paths::from_env());
    let mut parameters = BTreeMap::new();
    for option in found.values("option") {
        let (name, value) = option
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--option {option}: say NAME=VALUE")))?;
        parameters.insert(name.to_owned(), value.to_owned());
    }
    let (id, agent) = match found.value("resource") {
        Some(_) => {
            let cib = backend::cib(backend, false)?;
            let config = Config::new(&cib);
            let resource = configured(&config, named(found)?)?;
            if !["validate", "force-check"].contains(&command) {
                safe(backend, &cib, resource.id, command, found.has("force"))?;
            }
            let agent = config.agent(&resource).ok_or_else(|| {
                Failure::usage(format!("{} has no agent of its own", resource.id))
            })?;
            for (name, value) in config.parameters(&resource) {
                parameters
                    .entry(name.to_owned())
                    .or_insert(value.to_owned());
            }
            let spec = [Some(agent.class), agent.provider, Some(agent.kind)];
            let spec: Vec<&str> = spec.into_iter().flatten().collect();
            (
                Some(resource.id.to_owned()),
                agents.resolve(&spec.join(":"))?,
            )
        }
        None => (None, agents.resolve(&named_agent(found)?)?),
    };
    let patience = match found.value("timeout") {
        Some(text) => Duration::from_millis(cib::value::parse_interval_ms(text)?),
        None => PATIENCE,
    };
    let asked = (action, Instant::now() + patience);
    let answer = ask(&agents, &agent, asked, id.as_deref(), &parameters)?;
    tell(
        console,
        command,
        id.as_deref(),
        &agent,
        &parameters,
        &answer,
    );
    match rc(&answer) {
        0 => Ok(()),
        rc => Err(Failure {
            exit: exit_of(rc),
            text: format!("Error performing operation: {}", exit_of(rc).text()),
            cure: None,
        }),
    }
}

/// Refuses what would do harm: the cluster knows nothing of what is started beside it.
fn safe(
    backend: &mut dyn Backend,
    cib: &Cib,
    id: &str,
    command: &str,
    force: bool,
) -> Result<(), Failure> {
    let config = Config::new(cib);
    let resource = configured(&config, id)?;
    let agent = config.agent(&resource);
    let native = agent.is_some_and(|a| {
        a.provider == Some(agents::NATIVE_PROVIDER) && agents::NATIVE_AGENTS.contains(&a.kind)
    });
    if native {
        return Err(Failure {
            cure: Some(format!(
                "`mainstay vip` shows it, `mainstay why {id}` says why it is where it is"
            )),
            ..Failure::new(
                Exit::Unimplemented,
                format!(
                    "--{command}: {id} is served by the daemon, which alone may have the kernel answer for it"
                ),
            )
        });
    }
    if command != "force-start" || force {
        return Ok(());
    }
    let status = backend::status(backend)?;
    let found = view::find_resource(&status.resources, id);
    let places = found.map(|r| r.nodes.join(" ")).unwrap_or_default();
    match places.is_empty() {
        true => Ok(()),
        false => Err(Failure {
            cure: Some(
                "Try setting target-role=Stopped first or specifying the force option".to_owned(),
            ),
            ..Failure::new(
                Exit::Unsafe,
                format!(
                    "It is not safe to start {id} here: the cluster claims it is already active on {places}"
                ),
            )
        }),
    }
}

fn named_agent(found: &Found) -> Result<String, Failure> {
    let part = |name: &'static str| {
        found.value(name).ok_or_else(|| {
            Failure::usage(format!("say which resource (-r), or --{name} and the like"))
        })
    };
    let class = part("class")?;
    let agent = part("agent")?;
    Ok(match found.value("provider") {
        Some(provider) => format!("{class}:{provider}:{agent}"),
        None => format!("{class}:{agent}"),
    })
}

fn ask(
    agents: &Agents,
    agent: &AgentName,
    (action, until): (&str, Instant),
    id: Option<&str>,
    parameters: &BTreeMap<String, String>,
) -> Result<Answer, Failure> {
    let spec = agent.spec();
    if agent.class != "ocf" {
        return Err(Failure::new(
            Exit::Unimplemented,
            format!("{spec}: only OCF agents are asked directly"),
        ));
    }
    let Some(path) = agents.file(agent) else {
        return Err(Failure::no_such(format!(
            "{spec} is not installed on this node as a file; the daemon may serve it itself"
        )));
    };
    let parameters = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let mut command = agent.call(&path, action, id.unwrap_or("test"), parameters);
    match ask::until(&mut command, until) {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Failure {
            cure: Some("-T TIME gives it longer".to_owned()),
            ..Failure::new(
                Exit::Timeout,
                format!("{spec}: {action} was not done in time, and was ended"),
            )
        }),
        Err(e) => Err(Failure::new(
            Exit::Error,
            format!("{}: {e}", path.display()),
        )),
    }
}

fn tell(
    console: &mut Console,
    command: &str,
    id: Option<&str>,
    agent: &AgentName,
    parameters: &BTreeMap<String, String>,
    answer: &Answer,
) {
    let words = view::ocf_code(rc(answer));
    let of = id.map(|id| format!(" for {id}")).unwrap_or_default();
    let reason = exit_reason(answer);
    let why = reason.map(|r| format!(": {r}")).unwrap_or_default();
    console.line(&format!(
        "Operation {command}{of} ({}) returned {} ({words}{why})",
        agent.spec(),
        rc(answer)
    ));
    // As Pacemaker 2.1 prints them, each with an empty line behind it.
    for text in [&answer.output, &answer.errors] {
        if !text.is_empty() {
            console.line(text);
        }
    }
    let mut element = Element::new("resource-agent-action")
        .with("action", command)
        .with("class", &agent.class)
        .with("type", &agent.kind);
    if let Some(id) = id {
        element.set("rsc", id);
    }
    if let Some(provider) = &agent.provider {
        element.set("provider", provider);
    }
    let mut overrides = Element::new("overrides");
    for (name, value) in parameters.iter().filter(|_| id.is_none()) {
        let one = Element::new("override").with("name", name);
        overrides.children.push(one.with("value", value));
    }
    let mut status = Element::new("agent-status")
        .with("code", &rc(answer).to_string())
        .with("message", words)
        .with("execution_code", "0")
        .with("execution_message", "complete");
    if let Some(reason) = reason {
        status.set("reason", reason);
    }
    element = element.child(overrides).child(status);
    if !answer.output.is_empty() || !answer.errors.is_empty() {
        let mut output = Element::new("command").with("code", &rc(answer).to_string());
        for (source, text) in [("stdout", &answer.output), ("stderr", &answer.errors)] {
            if !text.is_empty() {
                output
                    .children
                    .push(with_text("output", text).with("source", source));
            }
        }
        element = element.child(output);
    }
    console.element(element);
}

/// What the agent says of its failure.
fn exit_reason(answer: &Answer) -> Option<&str> {
    let mut lines = answer.errors.lines().rev();
    let reason = lines.find_map(|line| line.trim().strip_prefix("ocf-exit-reason:"));
    reason.filter(|r| !r.is_empty())
}

/// The agent's exit code; one that a signal ended has failed.
fn rc(answer: &Answer) -> i32 {
    answer.code.unwrap_or(1)
}

/// The exit code that says what an agent's says.
const fn exit_of(rc: i32) -> Exit {
    match rc {
        2 => Exit::InvalidParam,
        3 => Exit::Unimplemented,
        4 => Exit::InsufficientPriv,
        5 => Exit::NotInstalled,
        6 => Exit::NotConfigured,
        7 => Exit::NotRunning,
        _ => Exit::Error,
    }
}
