//! `crm_mon --brief`: how many resources of a kind are active where, instead of a line for each.

use scheduler::ResourceStatus;

/// A line for every agent and node. With `all`, out of how many, and agents that run nowhere too.
pub(super) fn lines(resources: &[&ResourceStatus], all: bool) -> Vec<String> {
    let mut agents: Vec<&str> = Vec::new();
    for resource in resources {
        if !agents.contains(&resource.agent.as_str()) {
            agents.push(&resource.agent);
        }
    }
    let mut lines = Vec::new();
    for agent in agents {
        let of_agent = || resources.iter().filter(move |r| r.agent == agent);
        let total = of_agent().count();
        let mut nodes: Vec<&String> = of_agent().flat_map(|r| &r.nodes).collect();
        nodes.sort();
        nodes.dedup();
        for node in &nodes {
            let active = of_agent().filter(|r| r.nodes.contains(node)).count();
            let count = count(active, total, all);
            lines.push(format!("{count}\t({agent}):\tActive {node}"));
        }
        if nodes.is_empty() && all {
            lines.push(format!("{}\t({agent}):\tActive", count(0, total, all)));
        }
    }
    lines
}

/// The same of what runs on one node, which need not be named.
pub(super) fn on_node(resources: &[&ResourceStatus]) -> Vec<String> {
    let mut agents: Vec<(&str, usize)> = Vec::new();
    for resource in resources {
        match agents.iter_mut().find(|(a, _)| *a == resource.agent) {
            Some((_, number)) => *number += 1,
            None => agents.push((&resource.agent, 1)),
        }
    }
    let line = |(agent, number): (&str, usize)| format!("{number}\t({agent}):\tActive ");
    agents.into_iter().map(line).collect()
}

fn count(active: usize, total: usize, all: bool) -> String {
    match all {
        true => format!("{active}/{total}"),
        false => active.to_string(),
    }
}
