//! The Transition Summary in columns (Pacemaker pcmk_output.c:rsc_action_item).

use cib::Element;

/// Brings the scheduler's lines into columns that are as wide as their widest entry: what changes,
/// whom, and in brackets how.
pub(crate) fn aligned(lines: &[String]) -> Vec<String> {
    let rows: Vec<_> = lines.iter().map(|line| Row::parse(line)).collect();
    let (mut id_width, mut how_width) = (WIDTH_MIN, WIDTH_MIN);
    for row in rows.iter().flatten() {
        if row.id.len() > id_width {
            id_width = row.id.len() + 2;
        }
        how_width = how_width.max(row.how.len());
    }
    let lines = lines.iter().zip(rows);
    let aligned = lines.map(|(line, row)| match row {
        Some(Row { what, id, how, why }) => {
            format!("{what:<8}   {id:<id_width$}   ( {how:>how_width$} ){why}")
        }
        None => line.clone(),
    });
    aligned.collect()
}

/// A line of the summary as XML: where something begins or ends there is a `node`, where it goes on
/// a `source` (Pacemaker pcmk_output.c:rsc_action_item_xml).
pub(super) fn xml(line: &str) -> Element {
    let Some(row) = Row::parse(line) else {
        return node_action(line);
    };
    let mut xml = Element::new("rsc_action")
        .with("action", &row.what.to_lowercase())
        .with("resource", row.id);
    // `Promoted node1 -> Unpromoted node2`, with what is there.
    let words = || row.how.split_whitespace().filter(|w| *w != "->");
    let roles: Vec<&str> = words().filter(|w| ROLES.contains(w)).collect();
    let nodes: Vec<&str> = words().filter(|w| !ROLES.contains(w)).collect();
    let stays = ["Restart", "Reload", "Re-promote"].contains(&row.what);
    let places: &[(&str, &str)] = match (roles.as_slice(), nodes.as_slice()) {
        (["Stopped", next], [node]) => &[("role", "Stopped"), ("next-role", next), ("dest", node)],
        ([role, next], [node]) => &[("role", role), ("next-role", next), ("source", node)],
        ([role, next], [from, to]) => &[
            ("role", role),
            ("source", from),
            ("next-role", next),
            ("dest", to),
        ],
        ([role], [from, to]) => &[("source", from), ("dest", to), ("role", role)],
        ([role], [node]) if stays => &[("role", role), ("source", node)],
        ([role], [node]) => &[("role", role), ("node", node)],
        ([], [node]) if stays => &[("source", node)],
        ([], [node]) => &[("node", node)],
        ([], [from, to]) => &[("source", from), ("dest", to)],
        _ => &[],
    };
    for (name, value) in places {
        xml.set(name, value);
    }
    if let Some(reason) = row.why.trim().strip_prefix("due to ") {
        xml.set("reason", reason.trim_end_matches(" (blocked)"));
    }
    if row.why.ends_with("(blocked)") || row.why.ends_with("  blocked") {
        xml.set("blocked", "true");
    }
    xml
}

/// `Fence (reboot) node1 'why'`, `Shutdown node1`.
fn node_action(line: &str) -> Element {
    let (what, reason) = line.split_once(" '").unwrap_or((line, ""));
    // A guest is told of with its resource: `Fence (off) guest (resource: vm)`.
    let after_task = what.find(") ").map(|at| at + 1).or_else(|| what.find(' '));
    let (task, node) = what.split_at(after_task.unwrap_or(what.len()));
    let node = node.trim_start();
    Element::new("node_action")
        .with("task", task)
        .with("node", node)
        .with("reason", reason.trim_end_matches('\''))
}

const ROLES: [&str; 4] = ["Started", "Stopped", "Promoted", "Unpromoted"];

/// `Move ip ( node1 -> node2 )  due to …`.
pub(crate) struct Row<'a> {
    pub(crate) what: &'a str,
    pub(crate) id: &'a str,
    pub(crate) how: &'a str,
    /// With the blanks before it.
    pub(crate) why: &'a str,
}

impl<'a> Row<'a> {
    /// Lines about nodes have no columns.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let (front, rest) = line.split_once(" ( ")?;
        let (how, why) = rest.split_once(" )")?;
        let mut words = front.split_whitespace();
        let (what, id) = (words.next()?, words.next()?);
        (words.next().is_none()).then_some(Self { what, id, how, why })
    }
}

/// Of the columns, before a line needs more.
const WIDTH_MIN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_pacemakers_names_in_xml() {
        for (line, wanted) in [
            (
                "Start a ( n1 )",
                "<rsc_action action=\"start\" resource=\"a\" node=\"n1\"/>",
            ),
            (
                "Restart a ( n1 )  due to required b start",
                "<rsc_action action=\"restart\" resource=\"a\" source=\"n1\" reason=\"required b start\"/>",
            ),
            (
                "Stop a ( Promoted n1 )  blocked",
                "<rsc_action action=\"stop\" resource=\"a\" role=\"Promoted\" node=\"n1\" blocked=\"true\"/>",
            ),
            (
                "Promote a:0 ( Stopped -> Promoted n1 )",
                "<rsc_action action=\"promote\" resource=\"a:0\" role=\"Stopped\" next-role=\"Promoted\" dest=\"n1\"/>",
            ),
            (
                "Demote a:0 ( Promoted -> Unpromoted n1 )",
                "<rsc_action action=\"demote\" resource=\"a:0\" role=\"Promoted\" next-role=\"Unpromoted\" source=\"n1\"/>",
            ),
            (
                "Move a ( n1 -> n2 )",
                "<rsc_action action=\"move\" resource=\"a\" source=\"n1\" dest=\"n2\"/>",
            ),
            (
                "Move a ( Promoted n1 -> Unpromoted n2 )",
                "<rsc_action action=\"move\" resource=\"a\" role=\"Promoted\" source=\"n1\" next-role=\"Unpromoted\" dest=\"n2\"/>",
            ),
            (
                "Fence (off) g (resource: vm) 'guest is unclean'",
                "<node_action task=\"Fence (off)\" node=\"g (resource: vm)\" reason=\"guest is unclean\"/>",
            ),
        ] {
            assert_eq!(cib::xml::compact(&xml(line)), wanted);
        }
    }

    #[test]
    fn columns_are_as_wide_as_needed() {
        let lines = [
            "Fence (reboot) node1 'peer is no longer part of the cluster'",
            "Move       ip              ( node1 -> node2 )  due to x (blocked)",
            "Start      long-name       ( node2 )",
        ];
        let lines = aligned(&lines.map(str::to_owned));
        assert_eq!(
            lines,
            [
                "Fence (reboot) node1 'peer is no longer part of the cluster'",
                "Move       ip            ( node1 -> node2 )  due to x (blocked)",
                "Start      long-name     (          node2 )",
            ]
        );
    }
}
