//! Tickets and fencings: what a status shows beside nodes and resources.

use crate::cli::backend::{self, Backend};
use crate::cli::exit::Failure;
use crate::view::{self, Status};
use cib::{Element, Section};
use std::fmt::Write as _;

/// Tickets with a state, as `ticket` elements.
pub(super) fn tickets(backend: &mut dyn Backend) -> Result<Element, Failure> {
    let cib = backend::cib(backend, true)?;
    let status = cib.section(Section::Status);
    let states = status.and_then(|s| s.first("tickets"));
    let mut list = Element::new("tickets");
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
        list.children.push(ticket);
    }
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

/// Fencings that this node remembers, as `fence_event` elements, newest first.
pub(in crate::cli) fn fencings(status: &Status) -> Element {
    let mut list = Element::new("fence_history").with("status", "0");
    for notice in status.notices.iter().rev() {
        let outcome = match notice.code.as_str() {
            "fenced" => "success",
            "fencing-failed" => "failed",
            _ => continue,
        };
        let target = notice.text.split_whitespace().next().unwrap_or_default();
        let by = notice.text.split(" was fenced by ").nth(1);
        let mut event = Element::new("fence_event")
            .with("status", outcome)
            .with("action", "fence")
            .with("target", target)
            .with("client", "mainstayd")
            .with("origin", &status.local_node)
            .with("completed", &view::asctime(notice.at));
        match by {
            Some(device) => event.set("delegate", device),
            None => event.set("exit-reason", &notice.text),
        }
        list.children.push(event);
    }
    list
}

/// `Fencing History:`, after an empty line.
pub(in crate::cli) fn fencings_text(fencings: &Element) -> String {
    let mut text = String::from("\nFencing History:\n");
    for event in &fencings.children {
        let word = |name: &str| event.attr(name).unwrap_or_default();
        let what = match word("status") {
            "success" => format!(
                "{} of {} successful: delegate={}, client={}, origin={}",
                word("action"),
                word("target"),
                word("delegate"),
                word("client"),
                word("origin")
            ),
            _ => format!(
                "{} of {} failed: {}",
                word("action"),
                word("target"),
                word("exit-reason")
            ),
        };
        let _ = writeln!(text, "  * {what}, completed='{}'", word("completed"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::backend::CibFile;
    use crate::view::Notice;

    #[test]
    fn tickets_as_pacemakers_tool_shows_them() {
        let text = r#"<cib admin_epoch="0" epoch="1" num_updates="0"><configuration><crm_config/><nodes/><resources/><constraints/></configuration><status><tickets><ticket_state id="t" granted="true" standby="yes"/><ticket_state id="u"/></tickets></status></cib>"#;
        let mut backend = CibFile::in_memory(cib::Cib::parse(text).unwrap());
        let found = tickets(&mut backend).unwrap();
        assert_eq!(
            tickets_text(&found),
            "\nTickets:\n  * t: granted [standby]\n  * u: revoked\n"
        );
    }

    #[test]
    fn fencings_come_from_the_notices() {
        let notice = |code: &str, text: &str| Notice {
            at: 0,
            code: code.to_owned(),
            text: text.to_owned(),
        };
        let status = Status {
            local_node: "a".to_owned(),
            notices: vec![
                notice("fencing-failed", "b could not be fenced: no device"),
                notice("other", "x"),
                notice("fenced", "b was fenced by f1"),
            ],
            ..Status::default()
        };
        let text = fencings_text(&fencings(&status));
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with(
            "  * fence of b successful: delegate=f1, client=mainstayd, origin=a, completed='"
        ));
        assert!(lines[1].contains("fence of b failed: b could not be fenced: no device"));
    }
}
