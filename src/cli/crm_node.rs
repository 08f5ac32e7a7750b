//! `crm_node`: who is who in the membership; agents ask it.

use super::backend::{self, Backend};
use super::console::Console;
use super::exit::{Exit, Failure};
use super::getopt::{Found, Opt, flag, with_value};
use super::removal;
use super::tool::Tool;
use crate::view::Status;

/// The whole program.
#[must_use]
pub(crate) fn main(args: &[String]) -> Exit {
    TOOL.main(args, run)
}

const TOOL: Tool = Tool {
    name: "crm_node",
    options: &OPTIONS,
    usage: USAGE,
    prefix: "crm_node: ",
};

fn run(backend: &mut dyn Backend, console: &mut Console, found: &Found) -> Result<(), Failure> {
    // Of several, the last counts: an agent writes `-l -p`.
    let command = found.last_of(&[
        "name",
        "cluster-id",
        "list",
        "partition",
        "quorum",
        "name-for-id",
        "remove",
    ]);
    if command.is_none() {
        return Err(Failure::usage("say what to show"));
    }
    let status = backend::status(backend)?;
    match command {
        // Where the agent runs on behalf of a node, that node is meant.
        Some("name") => {
            let name = std::env::var("OCF_RESKEY_CRM_meta_on_node").ok();
            console.line(&name.filter(|n| !n.is_empty()).unwrap_or(status.local_node));
        }
        Some("cluster-id") => console.line(&id_of(&status, &status.local_node)?),
        Some("list") => {
            for node in &status.nodes {
                let state = if node.online || node.pending {
                    "member"
                } else {
                    "lost"
                };
                console.line(&format!("{} {} {state}", node.id, node.name));
            }
        }
        Some("partition") => {
            let names: Vec<&str> = status
                .nodes
                .iter()
                .filter(|n| n.online || n.pending)
                .map(|n| n.name.as_str())
                .collect();
            // A blank behind every name, as ever.
            console.line(&format!("{} ", names.join(" ")));
        }
        Some("quorum") => console.line(if status.quorate { "1" } else { "0" }),
        Some("name-for-id") => {
            let id = found.value("name-for-id").unwrap_or_default();
            let node = status.nodes.iter().find(|n| n.id == id);
            let node = node.ok_or_else(|| Failure::no_such(format!("no node has the id {id}")))?;
            console.line(&node.name);
        }
        _ => {
            let node = found.value("remove").unwrap_or_default();
            let left = removal::remove(backend, node, found.has("force"), "crm_node")?;
            for text in left {
                console.err_line(&text);
            }
        }
    }
    Ok(())
}

fn id_of(status: &Status, name: &str) -> Result<String, Failure> {
    let node = status.nodes.iter().find(|n| n.name == name);
    node.map(|n| n.id.clone())
        .ok_or_else(|| Failure::no_such(format!("node {name} is not in the configuration")))
}

/// crm_node(8).
pub(super) const OPTIONS: [Opt; 14] = [
    flag('n', "name"),
    flag('i', "cluster-id"),
    flag('l', "list"),
    flag('p', "partition"),
    flag('q', "quorum"),
    flag('C', "corosync"),
    flag('f', "force"),
    flag('V', "verbose"),
    flag('Q', "quiet"),
    flag('$', "version"),
    flag('?', "help"),
    flag('h', "help-usage"),
    with_value('N', "name-for-id"),
    with_value('R', "remove"),
];

const USAGE: &str = "usage: crm_node -n | -i | -l | -p | -q | -N ID | -R NODE [-f]";
