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

/// A line of the summary as XML.
pub(super) fn xml(line: &str) -> Element {
    let Some(row) = Row::parse(line) else {
        return node_action(line);
    };
    let mut xml = Element::new("rsc_action")
        .with("action", &row.what.to_lowercase())
        .with("resource", row.id);
    let blocked = row.why.contains("(blocked)") || row.why.ends_with("  blocked");
    // `Promoted node1 -> Unpromoted node2`, with what is there.
    let words: Vec<&str> = row.how.split_whitespace().collect();
    let is_role = |word: &&str| ROLES.contains(word);
    let roles: Vec<&str> = words.iter().copied().filter(is_role).collect();
    let nodes: Vec<&str> = words
        .iter()
        .copied()
        .filter(|w| !is_role(w) && *w != "->")
        .collect();
    match roles.as_slice() {
        [role] => xml.set("role", role),
        [role, next] => {
            xml.set("role", role);
            xml.set("next-role", next);
        }
        _ => {}
    }
    match nodes.as_slice() {
        [node] => xml.set("node", node),
        [source, dest] => {
            xml.set("source", source);
            xml.set("dest", dest);
        }
        _ => {}
    }
    if let Some(reason) = row.why.trim().strip_prefix("due to ") {
        xml.set("reason", reason.trim_end_matches(" (blocked)"));
    }
    if blocked {
        xml.set("blocked", "true");
    }
    xml
}

/// `Fence (reboot) node1 'why'`.
fn node_action(line: &str) -> Element {
    let mut words = line.splitn(4, ' ');
    let mut xml = Element::new("node_action");
    xml.set("task", words.next().unwrap_or_default());
    let how = words.next().unwrap_or_default();
    let node = words.next().unwrap_or_default();
    xml.set("node", node);
    xml.set("action", how.trim_matches(['(', ')']));
    if let Some(reason) = words.next() {
        xml.set("reason", reason.trim_matches('\''));
    }
    xml
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
