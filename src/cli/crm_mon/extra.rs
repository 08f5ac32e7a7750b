//! Tickets: what a status shows beside nodes and resources.

use crate::cli::backend::{self, Backend};
use crate::cli::exit::Failure;
use crate::view;
use cib::{Element, Section};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Tickets that have a state or are asked for by a constraint, as `ticket` elements by id.
pub(super) fn tickets(backend: &mut dyn Backend) -> Result<Element, Failure> {
    let cib = backend::cib(backend, true)?;
    let status = cib.section(Section::Status);
    let states = status.and_then(|s| s.first("tickets"));
    let mut found: BTreeMap<String, Element> = BTreeMap::new();
    let constraints = cib.section(Section::Constraints);
    let asked_for = constraints.into_iter().flat_map(|c| c.all("rsc_ticket"));
    for id in asked_for.filter_map(|constraint| constraint.attr("ticket")) {
        let ticket = Element::new("ticket").with("id", id);
        let ticket = ticket.with("status", "revoked").with("standby", "false");
        found.insert(id.to_owned(), ticket);
    }
    for state in states.into_iter().flat_map(|t| t.all("ticket_state")) {
        let on = |name| {
            let value = state.attr(name).unwrap_or("false");
            cib::value::parse_bool(value).unwrap_or(false)
        };
        let mut ticket = Element::new("ticket")
            .with("id", state.id().unwrap_or_default())
            .with("status", if on("granted") { "granted" } else { "revoked" })
            .with("standby", if on("standby") { "true" } else { "false" });
        if let Some(at) = state.attr("last-granted").and_then(|t| t.parse().ok()) {
            ticket.set("last-granted", &view::asctime(at));
        }
        found.insert(state.id().unwrap_or_default().to_owned(), ticket);
    }
    let mut list = Element::new("tickets");
    list.children = found.into_values().collect();
    Ok(list)
}

/// `Tickets:`, after an empty line.
pub(super) fn tickets_text(tickets: &Element) -> String {
    let mut text = String::from("\nTickets:\n");
    for ticket in &tickets.children {
        let word = |name: &str| ticket.attr(name).unwrap_or_default();
        let _ = write!(text, "  * {}: {}", word("id"), word("status"));
        if word("standby") == "true" {
            text.push_str(" [standby]");
        }
        if let Some(at) = ticket.attr("last-granted") {
            let _ = write!(text, " last-granted=\"{at}\"");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::backend::CibFile;

    #[test]
    fn tickets_as_pacemakers_tool_shows_them() {
        let text = r#"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config/><nodes/><resources/><constraints><rsc_ticket id="c" rsc="r" ticket="v"/></constraints></configuration><status><tickets><ticket_state id="t" granted="true" standby="yes"/><ticket_state id="u"/></tickets></status></cib>"#;
        let mut backend = CibFile::in_memory(cib::Cib::parse(text).unwrap());
        let found = tickets(&mut backend).unwrap();
        assert_eq!(
            tickets_text(&found),
            "\nTickets:\n  * t: granted [standby]\n  * u: revoked\n  * v: revoked\n"
        );
    }
}
