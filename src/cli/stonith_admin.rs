//! `stonith_admin`: fence devices, fencing by hand, what was fenced.

use super::ask;
use super::backend::{self, Backend, ask_done};
use super::console::Console;
use super::crm::agents::Agents;
use super::crm::ra;
use super::exit::{Exit, Failure};
use super::fencings::{self, State};
use super::getopt::{Found, Opt, flag, with_value};
use super::tool::Tool;
use crate::ipc::Request;
use crate::paths::Paths;
use crate::view::asctime;
use crate::view::xml::with_text;
use cib::config::{Config, Resource};
use cib::{Cib, Element};
use std::process::Command;
use std::time::{Duration, Instant};

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.alone(args, |console, found| {
        let command = found.last_of(&COMMANDS);
        let command = command.ok_or_else(|| Failure::usage("say what to do"))?;
        // What agents there are is no question to the cluster.
        match command {
            "list-installed" => return installed(console),
            "metadata" => return metadata(console, found),
            "validate" => return validate(console, found),
            _ => {}
        }
        let mut backend = backend::open()?;
        run(backend.as_mut(), console, found, command)
    })
}

const TOOL: Tool = Tool {
    name: "stonith_admin",
    options: OPTIONS,
    usage: USAGE,
    prefix: "stonith_admin: ",
};

fn run(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    command: &str,
) -> Result<(), Failure> {
    let named = found.value(command).unwrap_or_default();
    match command {
        "list-registered" => {
            let cib = backend::cib(backend, false)?;
            let ids = devices(&cib).into_iter().map(|d| d.id.to_owned());
            list(
                console,
                "Registered fence devices",
                "fence device",
                ids.collect(),
            );
            Ok(())
        }
        "list" => {
            let cib = backend::cib(backend, false)?;
            let config = Config::new(&cib);
            let fitting = devices(&cib).into_iter().filter(|d| {
                let targets = targets(&config, d);
                targets.is_empty() || targets.iter().any(|t| t == named)
            });
            let ids = fitting.map(|d| d.id.to_owned()).collect();
            list(console, "Capable fence devices", "fence device", ids);
            Ok(())
        }
        "list-targets" => {
            let cib = backend::cib(backend, false)?;
            let device = device(&cib, named)?;
            let targets = targets(&Config::new(&cib), &device);
            list(console, "Fence targets", "fence target", targets);
            Ok(())
        }
        "query" => query(backend, named),
        "fence" => fence(backend, console, named, "off"),
        "reboot" => fence(backend, console, named, "reboot"),
        "history" => history(backend, console, found, named),
        "last" => last(backend, console, named),
        "unfence" => Err(Failure {
            exit: Exit::Unimplemented,
            text: "--unfence is not offered".to_owned(),
            cure: Some(format!(
                "switch {named} on with its fence agent, or with the machine's own console"
            )),
        }),
        "confirm" => {
            let node = named.to_owned();
            ask_done(backend, &Request::ConfirmDown { node }).map(|_| ())
        }
        _ => Err(Failure {
            exit: Exit::Unimplemented,
            text: format!("--{command} is not offered: devices and levels are what is configured"),
            cure: Some(
                "`crm configure primitive ID stonith:AGENT …`, `crm configure fencing_topology …`"
                    .to_owned(),
            ),
        }),
    }
}

/// Configured fence devices.
fn devices(cib: &Cib) -> Vec<Resource<'_>> {
    let config = Config::new(cib);
    let resources = config.resources().into_iter();
    resources
        .filter(|r| r.element.attr("class") == Some("stonith"))
        .collect()
}

fn device<'a>(cib: &'a Cib, id: &str) -> Result<Resource<'a>, Failure> {
    let found = devices(cib).into_iter().find(|d| d.id == id);
    found.ok_or_else(|| {
        Failure::no_such(format!(
            "no fence device is called `{id}`; `stonith_admin -L` lists them"
        ))
    })
}

/// Hosts that a device names; none where it finds out by itself.
fn targets(config: &Config<'_>, device: &Resource<'_>) -> Vec<String> {
    let parameters = config.parameters(device);
    let mut hosts = Vec::new();
    let split = |c: char| c.is_whitespace() || c == ',' || c == ';';
    if let Some(listed) = parameters.get("pcmk_host_list") {
        hosts.extend(listed.split(split).map(str::to_owned));
    }
    if let Some(map) = parameters.get("pcmk_host_map") {
        let pairs = map.split(split).filter_map(|p| p.split_once([':', '=']));
        hosts.extend(pairs.map(|(host, _)| host.to_owned()));
    }
    hosts.retain(|h| !h.is_empty());
    hosts.sort();
    hosts.dedup();
    hosts
}

/// Names, each on a line, and how many; programs look for the number.
fn list(console: &mut Console, heading: &str, what: &str, names: Vec<String>) {
    let count = names.len();
    let mut element = Element::new("list")
        .with("name", heading)
        .with("count", &count.to_string());
    for name in names {
        console.line(&format!(" {name}"));
        element.children.push(with_text("item", &name));
    }
    match count {
        0 => console.line(&format!("No {what}s found")),
        1 => console.line(&format!("1 {what} found")),
        _ => console.line(&format!("{count} {what}s found")),
    }
    console.element(element);
}

fn installed(console: &mut Console) -> Result<(), Failure> {
    let names = Agents::new(Paths::from_env()).list("stonith", None);
    list(console, "Installed fence devices", "fence device", names);
    Ok(())
}

fn agent(found: &Found) -> Result<(Agents, super::crm::agents::AgentName), Failure> {
    let agents = Agents::new(Paths::from_env());
    let name = found
        .value("agent")
        .ok_or_else(|| Failure::usage("Please specify an agent with --agent"))?;
    let resolved = agents.resolve(&format!("stonith:{name}"))?;
    Ok((agents, resolved))
}

fn metadata(console: &mut Console, found: &Found) -> Result<(), Failure> {
    let (agents, agent) = agent(found)?;
    let text = ra::meta_data(&agents, &agent)?;
    console.print(&text);
    console.element(with_text("metadata", &text));
    Ok(())
}

/// The agent looks at the options itself.
fn validate(console: &mut Console, found: &Found) -> Result<(), Failure> {
    let (agents, agent) = agent(found)?;
    let Some(path) = agents.file(&agent) else {
        return Err(Failure::no_such(format!(
            "{} is not installed",
            agent.spec()
        )));
    };
    let mut text = String::from("action=validate-all\n");
    for option in found.values("option") {
        if !option.contains('=') || option.contains('\n') {
            return Err(Failure::usage(format!("--option {option}: say NAME=VALUE")));
        }
        text.push_str(&format!("{option}\n"));
    }
    let patience = match found.value("timeout") {
        Some(text) => Duration::from_millis(cib::value::parse_interval_ms(text)?),
        None => PATIENCE,
    };
    let answer = ask::until_told(&mut Command::new(&path), &text, Instant::now() + patience);
    let answer = answer
        .map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", path.display())))?
        .ok_or_else(|| Failure {
            cure: Some("--timeout gives it longer".to_owned()),
            ..Failure::new(
                Exit::Timeout,
                format!("{}: it was not done in time, and was ended", agent.spec()),
            )
        })?;
    for line in answer.errors.lines() {
        console.err_line(line);
    }
    let valid = answer.code == Some(0);
    let word = if valid { "true" } else { "false" };
    let element = Element::new("validate").with("agent", &agent.kind);
    console.element(element.with("valid", word));
    if !found.has("quiet") {
        let said = if valid { "succeeded" } else { "failed" };
        console.line(&format!("Validation of {} {said}", agent.kind));
    }
    match valid {
        true => Ok(()),
        false => Err(Failure::new(Exit::Error, "")),
    }
}

/// A device that runs somewhere is monitored there.
fn query(backend: &mut dyn Backend, id: &str) -> Result<(), Failure> {
    let cib = backend::cib(backend, false)?;
    device(&cib, id)?;
    let status = backend::status(backend)?;
    let shown = crate::view::find_resource(&status.resources, id);
    match shown.is_some_and(|r| r.active && !r.failed) {
        true => Ok(()),
        false => Err(Failure::new(
            Exit::Error,
            format!("{id} runs nowhere, or failed: `crm_mon -1` tells more"),
        )),
    }
}

fn fence(
    backend: &mut dyn Backend,
    console: &mut Console,
    node: &str,
    action: &str,
) -> Result<(), Failure> {
    let request = Request::Fence {
        node: node.to_owned(),
        action: action.to_owned(),
    };
    let text = ask_done(backend, &request)?;
    console.line(&text);
    Ok(())
}

/// What this node remembers of fencings.
fn history(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    node: &str,
) -> Result<(), Failure> {
    let node = Some(node).filter(|n| !["*", ""].contains(n));
    if found.has("cleanup") {
        let request = Request::ForgetFencings {
            node: node.map(str::to_owned),
        };
        ask_done(backend, &request)?;
        let of = node.map(|n| format!(" for node {n}")).unwrap_or_default();
        console.line(&format!("cleaning up fencing-history{of}"));
        return Ok(());
    }
    let status = backend::status(backend)?;
    let mut shown = fencings::newest_first(&status);
    shown.retain(|f| node.is_none_or(|n| n == f.target));
    let mut list = Element::new("list")
        .with("name", "Fencing history")
        .with("count", &shown.len().to_string());
    for fencing in &shown {
        console.line(&fencings::line(fencing, true));
        list.children.push(fencings::element(fencing));
    }
    match shown.len() {
        0 => console.line("0 events found"),
        1 => console.line("1 event found"),
        n => console.line(&format!("{n} events found")),
    }
    console.element(list);
    Ok(())
}

fn last(backend: &mut dyn Backend, console: &mut Console, node: &str) -> Result<(), Failure> {
    let status = backend::status(backend)?;
    let mut of_node = fencings::newest_first(&status).into_iter();
    let newest = of_node.find(|f| f.target == node && fencings::state(f) == State::Succeeded);
    let Some(at) = newest.and_then(|f| f.ended_at) else {
        console.line(&format!("Node {node} has never been fenced"));
        return Ok(());
    };
    let when = asctime(at);
    console.line(&format!("Node {node} last fenced at: {when}"));
    let element = Element::new("last-fenced").with("target", node);
    console.element(element.with("when", &when));
    Ok(())
}

/// How long an agent may look at its options, when nothing is said (stonith_admin.c: 120 s).
const PATIENCE: Duration = Duration::from_secs(120);

const COMMANDS: [&str; 17] = [
    "list",
    "list-registered",
    "list-installed",
    "list-targets",
    "metadata",
    "query",
    "history",
    "last",
    "validate",
    "fence",
    "unfence",
    "reboot",
    "confirm",
    "register",
    "deregister",
    "register-level",
    "deregister-level",
];

/// stonith_admin(8).
pub(super) const OPTIONS: &[Opt] = &[
    with_value('R', "register"),
    with_value('D', "deregister"),
    with_value('r', "register-level"),
    with_value('d', "deregister-level"),
    with_value('l', "list"),
    flag('L', "list-registered"),
    flag('I', "list-installed"),
    with_value('s', "list-targets"),
    flag('M', "metadata"),
    with_value('Q', "query"),
    with_value('H', "history"),
    with_value('h', "last"),
    flag('K', "validate"),
    with_value('F', "fence"),
    with_value('U', "unfence"),
    with_value('B', "reboot"),
    with_value('C', "confirm"),
    flag('c', "cleanup"),
    flag('b', "broadcast"),
    with_value('a', "agent"),
    with_value('o', "option"),
    with_value('e', "env-option"),
    with_value('T', "tag"),
    with_value('v', "device"),
    with_value('i', "index"),
    with_value('t', "timeout"),
    with_value('y', "delay"),
    flag('n', "as-node-id"),
    with_value('\0', "tolerance"),
    flag('q', "quiet"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('\0', "help-all"),
    flag('\0', "text-fancy"),
    flag('\0', "html-cgi"),
    with_value('\0', "html-stylesheet"),
    with_value('\0', "html-title"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str = "usage: stonith_admin -L | -I | -l NODE | -s DEVICE | -Q DEVICE | -F|-B NODE | -C NODE | -H NODE|'*' [-c] | -h NODE | -M|-K -a AGENT [-o NAME=VALUE …]";

#[cfg(test)]
mod tests {
    use super::super::backend::CibFile;
    use super::super::getopt;
    use super::*;

    #[test]
    fn devices_targets_and_what_is_not_offered() {
        let text = r#"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config/><nodes><node id="1" uname="a"/></nodes><resources><primitive id="f1" class="stonith" type="fence_x"><instance_attributes id="i"><nvpair id="n" name="pcmk_host_list" value="a b"/></instance_attributes></primitive><primitive id="f2" class="stonith" type="fence_x"><instance_attributes id="j"><nvpair id="m" name="pcmk_host_map" value="b:1;c:2"/></instance_attributes></primitive><primitive id="d" class="ocf" provider="p" type="t"/></resources><constraints/></configuration><status/></cib>"#;
        for (line, answer) in [
            ("-L", " f1\n f2\n2 fence devices found\n"),
            ("-l a", " f1\n1 fence device found\n"),
            ("-l nobody", "No fence devices found\n"),
            ("-s f2", " b\n c\n2 fence targets found\n"),
            ("-s nobody", "105"),
            ("-Q f1", "1"),
            ("-H *", "0 events found\n"),
            ("-h a", "Node a has never been fenced\n"),
            ("-U a", "3"),
            ("-R x -a fence_x", "3"),
        ] {
            let mut backend = CibFile::in_memory(Cib::parse(text).unwrap());
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let mut console = Console::buffers();
            let found = getopt::parse(OPTIONS, &args).unwrap();
            let command = found.last_of(&COMMANDS).unwrap();
            let found = match run(&mut backend, &mut console, &found, command) {
                Ok(()) => console.into_texts().0,
                Err(failure) => failure.exit.code().to_string(),
            };
            assert_eq!(found, answer, "{line}");
        }
    }
}
