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
        for first in &draft.before {
            let style = if first.awaited { "bold" } else { "dashed" };
            let Some(before) = names.get(&first.action) else {
                continue;
            };
            let between = is_drawn && drawn.contains(&first.action) && !first.makes_room;
            if all || first.awaited || between {
                let _ = writeln!(text, "\"{before}\" -> \"{after}\" [ style = {style}]");
            }
        }
    }
    text.push_str("}\n");
    text
}

fn name(draft: &Draft, numbers: bool) -> String {
    let Action { id, meta, .. } = &draft.action;
    let key = &key(&draft.action);
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

/// The action's key. Notifications of instances that the history knows by another name are drawn
/// with the words for what the clone has done (Pacemaker pcmk_simulate.c:create_action_name).
fn key(action: &Action) -> String {
    let Action { key, meta, .. } = action;
    let name_of = || {
        action.internal_key.as_ref()?;
        let (before, told) = (meta.get("notify_type")?, meta.get("notify_operation")?);
        let name = match action.operation.as_str() {
            "notify" => key.strip_suffix(&format!("_{before}_notify_{told}_0"))?,
            "notified" => key.strip_suffix("_notified_0")?,
            _ => return None,
        };
        let (before, told) = (
            meta.get("notify_key_type")?,
            meta.get("notify_key_operation")?,
        );
        Some(format!("{name}_{before}_notify_{told}_0"))
    };
    name_of().unwrap_or_else(|| key.clone())
}
