//! The transition graph for dot(1) (Pacemaker pcmk_simulate.c:write_sim_dotfile), as far as it is
//! carried out: what cannot be done, or need not, is not in it.

use scheduler::{Action, ActionKind, Graph};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The text; with the actions' numbers on request.
pub(super) fn text(graph: &Graph, numbers: bool) -> String {
    let mut text = String::from(" digraph \"g\" {\n");
    let named = |action: &Action| (action.id, name(action, numbers));
    let names: BTreeMap<u32, String> = graph.synapses.iter().map(|s| named(&s.action)).collect();
    for synapse in &graph.synapses {
        let name = &names[&synapse.action.id];
        let font = match synapse.action.kind {
            ActionKind::Pseudo => "orange",
            ActionKind::Rsc | ActionKind::Crm => "black",
        };
        let _ = writeln!(
            text,
            "\"{name}\" [ style=bold color=\"green\" fontcolor=\"{font}\"]"
        );
    }
    for synapse in &graph.synapses {
        for before in synapse.inputs.iter().filter_map(|input| names.get(input)) {
            let after = &names[&synapse.action.id];
            let _ = writeln!(text, "\"{before}\" -> \"{after}\" [ style = bold]");
        }
    }
    text.push_str("}\n");
    text
}

fn name(action: &Action, numbers: bool) -> String {
    let node = action.node.as_ref().map(|(_, name)| name.as_str());
    let mut name = match (action.operation.as_str(), node) {
        ("stonith", Some(node)) => {
            let how = action.meta.get("stonith_action").unwrap_or_default();
            format!("stonith '{how}' {node}")
        }
        ("cancel", Some(node)) => format!("Cancel {} {node}", action.key),
        ("do_shutdown", Some(node)) => format!("do_shutdown {node}"),
        (_, Some(node)) => format!("{} {node}", action.key),
        (_, None) if action.kind == ActionKind::Pseudo => action.key.clone(),
        (_, None) => format!("{} <none>", action.key),
    };
    if numbers {
        let _ = write!(name, " ({})", action.id);
    }
    name
}
