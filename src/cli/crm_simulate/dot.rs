//! The transition graph for dot(1) (Pacemaker pcmk_simulate.c:write_sim_dotfile).

use scheduler::{Action, ActionKind, Draft, Fate};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The text: what is done and what cannot be done, or all that was thought of; with the actions'
/// numbers on request.
pub(super) fn text(drafts: &[Draft], all: bool, numbers: bool) -> String {
    let mut text = String::from(" digraph \"g\" {\n");
    let is_drawn = |draft: &&Draft| all || matches!(draft.fate, Fate::Done | Fate::Impossible);
    let drawn = drafts.iter().filter(is_drawn);
    let drawn: BTreeSet<u32> = drawn.map(|draft| draft.action.id).collect();
    let names: BTreeMap<u32, String> = drafts
        .iter()
        .map(|draft| (draft.action.id, name(draft, numbers)))
        .collect();
    for draft in drafts.iter().filter(is_drawn) {
        let pseudo = draft.action.kind == ActionKind::Pseudo;
        let (style, color, font) = match draft.fate {
            Fate::Done if pseudo => ("bold", "green", "orange"),
            Fate::Done => ("bold", "green", "black"),
            Fate::Unmanaged => ("dashed", "red", "purple"),
            Fate::Optional if pseudo => ("dashed", "blue", "orange"),
            Fate::Optional => ("dashed", "blue", "black"),
            Fate::Impossible if pseudo => ("dashed", "red", "orange"),
            Fate::Impossible => ("dashed", "red", "black"),
        };
        let name = &names[&draft.action.id];
        let looks = format!("style={style} color=\"{color}\" fontcolor=\"{font}\"");
        let _ = writeln!(text, "\"{name}\" [ {looks}]");
    }
    for draft in drafts {
        let after = &names[&draft.action.id];
        let is_drawn = drawn.contains(&draft.action.id);
        for (first, waits) in &draft.before {
            let style = if *waits { "bold" } else { "dashed" };
            let Some(before) = names.get(first) else {
                continue;
            };
            if all || *waits || (is_drawn && drawn.contains(first)) {
                let _ = writeln!(text, "\"{before}\" -> \"{after}\" [ style = {style}]");
            }
        }
    }
    text.push_str("}\n");
    text
}

fn name(draft: &Draft, numbers: bool) -> String {
    let Action { id, key, meta, .. } = &draft.action;
    let pseudo = draft.action.kind == ActionKind::Pseudo;
    let mut name = match (draft.action.operation.as_str(), draft.node.as_deref()) {
        ("stonith", Some(node)) => {
            let how = meta.get("stonith_action").unwrap_or_default();
            format!("stonith '{how}' {node}")
        }
        ("cancel", Some(node)) => format!("Cancel {key} {node}"),
        ("do_shutdown", Some(node)) => format!("do_shutdown {node}"),
        (_, Some(node)) => format!("{key} {node}"),
        (_, None) if pseudo => key.clone(),
        (_, None) => format!("{key} <none>"),
    };
    if numbers {
        let _ = write!(name, " ({id})");
    }
    name
}
