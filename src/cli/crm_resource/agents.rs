//! Agents of this machine: which there are, what they say of themselves, asking one.

use super::{configured, named};
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::crm::agents::{AgentName, Agents};
use crate::cli::crm::ra;
use crate::cli::exit::{Exit, Failure};
use crate::cli::getopt::Found;
use crate::paths::Paths;
use crate::view::{self, xml::with_text};
use cib::Element;
use cib::config::Config;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// Commands that need no cluster.
pub(super) const COMMANDS: [&str; 5] = [
    "list-standards",
    "list-ocf-providers",
    "list-agents",
    "list-ocf-alternatives",
    "show-metadata",
];

pub(super) fn run(console: &mut Console, found: &Found, command: &str) -> Result<(), Failure> {
    let agents = Agents::new(Paths::from_env());
    let asked = found.value(command).unwrap_or_default();
    match command {
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
                return Err(Failure::no_such(format!(
                    "No agents found for standard={class}, provider={}",
                    provider.unwrap_or("*")
                )));
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

/// `--validate` and `--force-check`: an agent is asked here and now, beside the cluster.
pub(super) fn on_resource(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let (action, command) = match found.has("validate") {
        true => ("validate-all", "validate"),
        false => ("monitor", "force-check"),
    };
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
    let answer = ask(&agents, &agent, action, id.as_deref(), &parameters)?;
    tell(
        console,
        command,
        id.as_deref(),
        &agent,
        &parameters,
        &answer,
    );
    match answer.rc {
        0 => Ok(()),
        rc => Err(Failure {
            exit: exit_of(rc),
            text: String::new(),
            cure: None,
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

struct Answer {
    rc: i32,
    output: String,
    errors: String,
}

fn ask(
    agents: &Agents,
    agent: &AgentName,
    action: &str,
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
    let root = Paths::from_env().ocf_root();
    let mut command = Command::new(&path);
    command
        .arg(action)
        .env("OCF_ROOT", root)
        .env("OCF_RA_VERSION_MAJOR", "1")
        .env("OCF_RA_VERSION_MINOR", "1")
        .env("OCF_CHECK_LEVEL", "0")
        .env("OCF_RESOURCE_INSTANCE", id.unwrap_or("test"))
        .env("OCF_RESOURCE_TYPE", &agent.kind)
        .env(
            "OCF_RESOURCE_PROVIDER",
            agent.provider.as_deref().unwrap_or_default(),
        )
        .env("OCF_RESKEY_crm_feature_set", cib::document::FEATURE_SET)
        .stdin(Stdio::null());
    for (name, value) in parameters {
        command.env(format!("OCF_RESKEY_{name}"), value);
    }
    let output = command.output();
    let output =
        output.map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", path.display())))?;
    Ok(Answer {
        rc: output.status.code().unwrap_or(1),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

fn tell(
    console: &mut Console,
    command: &str,
    id: Option<&str>,
    agent: &AgentName,
    parameters: &BTreeMap<String, String>,
    answer: &Answer,
) {
    let words = view::ocf_code(answer.rc);
    let of = id.map(|id| format!(" for {id}")).unwrap_or_default();
    console.line(&format!(
        "Operation {command}{of} ({}) returned: '{words}' ({})",
        agent.spec(),
        answer.rc
    ));
    for (stream, text) in [("stdout", &answer.output), ("stderr", &answer.errors)] {
        for line in text.lines() {
            console.line(&format!(" >  {stream}: {line}"));
        }
    }
    let action = if command == "validate" {
        "validate"
    } else {
        "monitor"
    };
    let mut element = Element::new("resource-agent-action").with("action", action);
    if let Some(id) = id {
        element.set("rsc", id);
    }
    element.set("class", &agent.class);
    element.set("type", &agent.kind);
    if let Some(provider) = &agent.provider {
        element.set("provider", provider);
    }
    let mut overrides = Element::new("overrides");
    for (name, value) in parameters.iter().filter(|_| id.is_none()) {
        let one = Element::new("override").with("name", name);
        overrides.children.push(one.with("value", value));
    }
    let status = Element::new("agent-status")
        .with("code", &answer.rc.to_string())
        .with("message", words)
        .with("execution_code", "0")
        .with("execution_message", "complete");
    element = element.child(overrides).child(status);
    if !answer.output.is_empty() || !answer.errors.is_empty() {
        let mut output = Element::new("command").with("code", &answer.rc.to_string());
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
