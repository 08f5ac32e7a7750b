//! `crmadmin`: who is the DC, which nodes there are, whether the daemon is up.

use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_optional, with_value};
use super::tool::Tool;
use crate::view::{self, Status};
use cib::Element;
use cib::config::Config;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.main(args, run)
}

const TOOL: Tool = Tool {
    name: "crmadmin",
    options: OPTIONS,
    usage: USAGE,
    prefix: "error: Command failed: ",
};

pub(super) fn run(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    if let Some(time) = found.value("timeout")
        && cib::value::parse_interval_ms(time).is_err()
    {
        return Err(Failure::usage(format!(
            "-t {time}: a time is expected, for example 30 or 500ms"
        )));
    }
    match found.first_of(&["dc_lookup", "nodes", "status", "pacemakerd"]) {
        Some("dc_lookup") => dc_lookup(&backend::status(backend)?, console, found),
        Some("nodes") => nodes(backend, console, found),
        Some("status") => node_status(&backend::status(backend)?, console, found),
        Some(_) => health(&backend::status(backend)?, console, found),
        None => Err(Failure::usage("Must specify a command option")),
    }
}

fn dc_lookup(status: &Status, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let Some(dc) = &status.dc else {
        return Err(Failure::new(
            Exit::Unavailable,
            "no DC is elected yet: ask again in a second",
        ));
    };
    console.element(Element::new("dc").with("node_name", dc));
    match found.has("quiet") {
        true => console.line(dc),
        // Who parses this takes the last word.
        false => console.line(&format!("Designated Controller is: {dc}")),
    }
    Ok(())
}

fn nodes(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let kinds = found.value("nodes").unwrap_or_default();
    for kind in kinds.split(',').filter(|k| !k.is_empty()) {
        if !["all", "cluster", "guest", "remote"].contains(&kind) {
            return Err(Failure::usage(format!(
                "-N {kind}: types of nodes are all, cluster, guest, remote"
            )));
        }
    }
    let wanted = |kind: &str| kinds.is_empty() || kinds.split(',').any(|k| k == "all" || k == kind);
    let cib = backend::cib(backend, false)?;
    let mut list = Element::new("nodes");
    for node in Config::new(&cib).nodes() {
        let kind = match node.element.attr("type") {
            Some("remote") => "remote",
            _ => "cluster",
        };
        if !wanted(kind) {
            continue;
        }
        let element =
            Element::new("node").with("type", if kind == "remote" { kind } else { "member" });
        list.children
            .push(element.with("name", node.uname).with("id", node.id));
        console.line(&match (found.has("bash-export"), found.has("quiet")) {
            (true, _) => format!("export {}={}", node.uname, node.id),
            (false, true) => node.uname.to_owned(),
            (false, false) => format!("{kind} node: {} ({})", node.uname, node.id),
        });
    }
    console.element(list);
    Ok(())
}

/// The state of a node's controller, in the words of Pacemaker's.
fn node_status(status: &Status, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let name = found.value("status").unwrap_or_default();
    let node = status.nodes.iter().find(|n| n.name == name || n.id == name);
    let node = node.ok_or_else(|| {
        Failure::no_such(format!(
            "no node is called `{name}`; `crm_node -l` lists them"
        ))
    })?;
    let state = match (node.online, node.is_dc, status.transition) {
        (false, ..) if node.pending => "S_PENDING",
        (false, ..) => "S_STOPPING",
        (true, true, None) => "S_IDLE",
        (true, true, Some(_)) => "S_TRANSITION_ENGINE",
        (true, false, _) => "S_NOT_DC",
    };
    if !node.online && !node.pending {
        return Err(Failure::no_such(format!(
            "{} is not in the cluster",
            node.name
        )));
    }
    console.element(
        Element::new("crmd")
            .with("node_name", &node.name)
            .with("state", state)
            .with("result", "ok"),
    );
    match found.has("quiet") {
        true => console.line(state),
        false => console.line(&format!("Controller on {} in state {state}: ok", node.name)),
    }
    Ok(())
}

/// Who answers is up.
fn health(status: &Status, console: &mut Console, found: &Found) -> Result<(), Failure> {
    let at = view::asctime(status.now);
    console.element(
        Element::new("pacemakerd")
            .with("sys_from", "pacemakerd")
            .with("state", "running")
            .with("last_updated", &at),
    );
    match found.has("quiet") {
        true => console.line("running"),
        false => console.line(&format!(
            "Status of pacemakerd: 'Pacemaker is running' (last updated {at})"
        )),
    }
    Ok(())
}

/// crmadmin(8).
pub(super) const OPTIONS: &[Opt] = &[
    with_value('S', "status"),
    flag('P', "pacemakerd"),
    flag('D', "dc_lookup"),
    with_optional('N', "nodes"),
    with_value('t', "timeout"),
    flag('B', "bash-export"),
    with_value('i', "ipc-name"),
    flag('q', "quiet"),
    flag('V', "verbose"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    flag('\0', "text-fancy"),
    with_value('\0', "output-as"),
    with_value('\0', "output-to"),
];

const USAGE: &str = "usage: crmadmin -D | -N [TYPE,…] [-B] | -S NODE | -P  [-q]";

#[cfg(test)]
mod tests {
    use super::super::backend::CibFile;
    use super::super::getopt;
    use super::*;

    #[test]
    fn what_others_read_of_it() {
        let text = include_str!("../../tests/cli/status/three-nodes.xml");
        for (line, answer) in [
            ("-D", "Designated Controller is: node1\n"),
            ("-D -q", "node1\n"),
            (
                "-N",
                "cluster node: node1 (1)\ncluster node: node2 (2)\ncluster node: node3 (3)\n",
            ),
            ("-BN", "export node1=1\nexport node2=2\nexport node3=3\n"),
            ("-N remote", ""),
            ("-S node1", "Controller on node1 in state S_IDLE: ok\n"),
            ("-S node3 -q", "S_NOT_DC\n"),
            ("-S node2", "105"),
            ("-S nobody", "105"),
            ("-N rubbish", "64"),
            ("", "64"),
        ] {
            let mut backend = CibFile::in_memory(cib::Cib::parse(text).unwrap());
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let mut console = Console::buffers();
            let found = getopt::parse(OPTIONS, &args).unwrap();
            let found = match run(&mut backend, &mut console, &found) {
                Ok(()) => console.into_texts().0,
                Err(failure) => failure.exit.code().to_string(),
            };
            assert_eq!(found, answer, "{line}");
        }
    }
}
