//! `crm ra`: which agents there are, and what they say of themselves.

use super::Context;
use super::agents::{AgentName, Agents};
use super::usage::{alone, misused};
use crate::cli::ask;
use crate::cli::exit::{Exit, Failure};
use crate::cli::pcs::is_it;
use cib::Element;
use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// Verbs of the level.
pub(super) const VERBS: [&str; 6] = ["classes", "list", "providers", "info", "meta", "validate"];

pub(super) fn run(context: &mut Context<'_>, verb: &str, words: &[String]) -> Result<(), Failure> {
    match verb {
        "classes" => {
            alone(words)?;
            for class in context.agents.classes() {
                context.console.line(&class);
            }
            Ok(())
        }
        "list" => list(context, words),
        "providers" => providers(context, words),
        "info" | "meta" => info(context, words),
        _ => super::validate::agent(context, words),
    }
}

fn list(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let (class, provider) = match words {
        [class] => (class, None),
        [class, provider] => (class, Some(provider.as_str())),
        _ => return Err(misused()),
    };
    if !CLASSES.contains(&class.as_str()) {
        return Err(Failure::no_such(format!(
            "class {class} is unknown{}; `crm ra classes` lists them",
            is_it(class, CLASSES)
        )));
    }
    if let Some(provider) = provider
        && !context.agents.providers().iter().any(|p| p == provider)
    {
        return Err(Failure::no_such(format!(
            "there is no provider {provider} for class {class} here{}",
            is_it(
                provider,
                context.agents.providers().iter().map(String::as_str)
            )
        )));
    }
    let names = context.agents.list(class, provider);
    context.console.print(&columns(&names));
    Ok(())
}

fn providers(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let [kind] = words else {
        return Err(misused());
    };
    let found: Vec<String> = context
        .agents
        .providers()
        .into_iter()
        .filter(|p| context.agents.list("ocf", Some(p)).contains(kind))
        .collect();
    if found.is_empty() {
        let all = context.agents.list("ocf", None);
        return Err(Failure::no_such(format!(
            "no provider has an agent {kind}{}",
            is_it(kind, all.iter().map(String::as_str))
        )));
    }
    context.console.line(&found.join(" "));
    Ok(())
}

/// Rows of 80 columns, as crmsh prints them.
fn columns(names: &[String]) -> String {
    let longest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let per_row = (TERMINAL_COLUMNS / (longest + GAP)).max(1);
    let width = TERMINAL_COLUMNS / per_row;
    let mut text = String::new();
    for row in names.chunks(per_row) {
        let cells: Vec<String> = row.iter().map(|n| format!("{n:<width$}")).collect();
        let _ = writeln!(text, "{}", cells.concat().trim_end());
    }
    text
}

fn info(context: &mut Context<'_>, words: &[String]) -> Result<(), Failure> {
    let spec = match words {
        [spec] => spec.clone(),
        [kind, class] => format!("{class}:{kind}"),
        [kind, class, provider] => format!("{class}:{provider}:{kind}"),
        _ => return Err(misused()),
    };
    let agent = context.agents.resolve(&spec)?;
    let text = meta_data(&context.agents, &agent)?;
    let element = parse_meta(&agent, &text)?;
    context.console.print(&describe(&agent, &element));
    Ok(())
}

/// The agent's own description of itself, as XML.
///
/// # Errors
/// It is not installed, or prints none.
pub(crate) fn meta_data(agents: &Agents, agent: &AgentName) -> Result<String, Failure> {
    meta_data_until(agents, agent, Instant::now() + PATIENCE)
}

/// As [`meta_data`], for who waits until then and no longer.
///
/// # Errors
/// As [`meta_data`].
pub(super) fn meta_data_until(
    agents: &Agents,
    agent: &AgentName,
    until: Instant,
) -> Result<String, Failure> {
    if agent.provider.as_deref() == Some("heartbeat")
        && let Some(text) = crate::vip::NativeVip::meta_data(&agent.kind)
    {
        return Ok(text);
    }
    let Some(path) = agents.file(agent) else {
        return Err(Failure::no_such(format!(
            "{} is not installed on this node",
            agent.spec()
        )));
    };
    let mut command = Command::new(&path);
    if agent.class == "stonith" {
        command.args(["-o", "metadata"]);
    } else {
        command.arg("meta-data");
    }
    let root = crate::paths::Paths::from_env().ocf_root();
    let failed = |why: String| Failure::new(Exit::Error, format!("{}: {why}", path.display()));
    match ask::until(command.env("OCF_ROOT", root), until) {
        Ok(Some(answer)) if !answer.output.is_empty() => Ok(answer.output),
        Ok(Some(answer)) => {
            let code = answer.code.unwrap_or(-1);
            Err(failed(format!("it prints no meta-data (exit code {code})")))
        }
        Ok(None) => Err(failed(format!(
            "it has not printed its meta-data within {} s",
            PATIENCE.as_secs()
        ))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// How long an agent may take to say what it is (Pacemaker lib/common/agents.c: 30 s; people wait
/// less gladly).
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads meta-data. They carry a DOCTYPE, which the CIB's reader refuses, rightly for a CIB.
///
/// # Errors
/// [`Exit::DataErr`]: they are none.
pub(crate) fn parse_meta(agent: &AgentName, text: &str) -> Result<Element, Failure> {
    let start = text.find("<resource-agent");
    let read = match start {
        None => Err("no <resource-agent> in it".to_owned()),
        Some(start) => cib::xml::parse(&text[start..]).map_err(|e| e.to_string()),
    };
    read.map_err(|why| {
        Failure::new(
            Exit::DataErr,
            format!("{}: its meta-data: {why}", agent.spec()),
        )
    })
}

fn describe(agent: &AgentName, element: &Element) -> String {
    let words = |e: &Element, tag: &str| {
        let text = e.first(tag).map(|t| t.text.trim().to_owned());
        text.unwrap_or_default()
    };
    let mut text = format!("{} ({})\n\n", words(element, "shortdesc"), agent.spec());
    let long = words(element, "longdesc");
    if !long.is_empty() {
        let _ = writeln!(text, "{long}\n");
    }
    text.push_str("Parameters (*: required, []: default):\n");
    let parameters = element.first("parameters");
    for parameter in parameters.into_iter().flat_map(|p| p.all("parameter")) {
        let required = parameter.attr("required") == Some("1");
        let content = parameter.first("content");
        let kind = content.and_then(|c| c.attr("type")).unwrap_or("string");
        let default = content
            .and_then(|c| c.attr("default"))
            .filter(|d| !d.is_empty())
            .map(|d| format!(", [{d}]"))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "\n{}{} ({kind}{default}): {}",
            parameter.attr("name").unwrap_or_default(),
            if required { "*" } else { "" },
            words(parameter, "shortdesc")
        );
        for line in words(parameter, "longdesc").lines() {
            let _ = writeln!(text, "    {}", line.trim());
        }
    }
    text.push_str("\nOperations' defaults (advisory minimum):\n\n");
    let actions = element.first("actions");
    for action in actions.into_iter().flat_map(|a| a.all("action")) {
        let name = action.attr("name").unwrap_or_default();
        if ["meta-data", "validate-all"].contains(&name) {
            continue;
        }
        let options: Vec<String> = action
            .attrs
            .iter()
            .filter(|(n, _)| n != "name")
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let _ = writeln!(text, "    {name:<13} {}", options.join(" "));
    }
    text
}

/// Classes of agents.
const CLASSES: [&str; 5] = ["ocf", "lsb", "systemd", "service", "stonith"];
/// Width that lists are made for.
const TERMINAL_COLUMNS: usize = 80;
/// Smallest gap between two columns.
const GAP: usize = 3;
