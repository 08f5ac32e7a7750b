//! What was fenced, as Pacemaker's tools tell it (lib/fencing/st_output.c).

use crate::view::xml::zoned;
use crate::view::{Fencing, Status};
use cib::Element;
use std::fmt::Write as _;

/// How a fencing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Failed,
    Succeeded,
}

/// How it stands.
pub(super) fn state(fencing: &Fencing) -> State {
    match (fencing.ended_at, &fencing.failed) {
        (None, _) => State::Pending,
        (_, Some(_)) => State::Failed,
        (_, None) => State::Succeeded,
    }
}

/// Those under way, then the newest first.
pub(super) fn newest_first(status: &Status) -> Vec<&Fencing> {
    let mut all: Vec<&Fencing> = status.fencings.iter().rev().collect();
    all.sort_by_key(|f| f.ended_at.is_some());
    all
}

/// Of equal ones (target, action, outcome, who asked) the newest.
pub(super) fn reduced<'a>(all: &[&'a Fencing]) -> Vec<&'a Fencing> {
    let flavour = |f: &Fencing| {
        let outcome = (f.ended_at.is_some(), f.failed.is_some());
        (
            f.target.clone(),
            f.action.clone(),
            outcome,
            f.origin.clone(),
        )
    };
    let mut seen = Vec::new();
    let mut kept = all.to_vec();
    kept.retain(|f| {
        let flavour = flavour(f);
        let is_new = f.ended_at.is_none() || !seen.contains(&flavour);
        seen.push(flavour);
        is_new
    });
    kept
}

/// A fencing in a line; `full` says that nothing was left out before.
pub(super) fn line(fencing: &Fencing, full: bool) -> String {
    let state = state(fencing);
    let (word, label) = match state {
        State::Pending => ("pending", ""),
        State::Failed => ("failed", "last-failed"),
        State::Succeeded => ("successful", "last-successful"),
    };
    let mut text = format!("{} of {} {word}", fencing.action, fencing.target);
    // Writing to a string cannot fail.
    if let Some(why) = &fencing.failed {
        let _ = write!(text, " ({why})");
    }
    text.push_str(": ");
    if !fencing.delegate.is_empty() {
        let _ = write!(text, "delegate={}, ", fencing.delegate);
    }
    let _ = write!(text, "client={CLIENT}, origin={}", fencing.origin);
    if let Some(at) = fencing.ended_at {
        let label = if full { "completed" } else { label };
        let _ = write!(text, ", {label}='{}'", zoned(at));
    }
    text
}

/// A part of a text: a heading, and a line for each.
pub(super) fn part(heading: &str, fencings: &[&Fencing], full: bool) -> String {
    let mut text = String::new();
    if !fencings.is_empty() {
        let _ = write!(text, "\n{heading}\n");
    }
    for fencing in fencings {
        let _ = writeln!(text, "  * {}", line(fencing, full));
    }
    text
}

/// As `fence_event` (schema fence-event).
pub(super) fn element(fencing: &Fencing) -> Element {
    let status = match state(fencing) {
        State::Pending => "pending",
        State::Failed => "failed",
        State::Succeeded => "success",
    };
    let mut event = Element::new("fence_event").with("status", status);
    if let Some(why) = &fencing.failed {
        event.set("exit-reason", why);
    }
    event.set("action", &fencing.action);
    event.set("target", &fencing.target);
    event.set("client", CLIENT);
    event.set("origin", &fencing.origin);
    if !fencing.delegate.is_empty() {
        event.set("delegate", &fencing.delegate);
    }
    if let Some(at) = fencing.ended_at {
        event.set("completed", &zoned(at));
    }
    event
}

/// All of them as `fence_history`.
pub(super) fn history(status: &Status) -> Element {
    let mut list = Element::new("fence_history").with("status", "0");
    list.children = newest_first(status).into_iter().map(element).collect();
    list
}

/// Who asked: the DC, for whomever.
const CLIENT: &str = "mainstayd";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A pending one, a failed one, and two that succeeded.
    pub(in crate::cli) fn status() -> Status {
        let fencing = |number: u64, ended_at, failed: Option<&str>| Fencing {
            number,
            target: "b".to_owned(),
            action: "reboot".to_owned(),
            delegate: match (ended_at, failed) {
                (Some(_), None) => "f1".to_owned(),
                _ => String::new(),
            },
            origin: "a".to_owned(),
            reason: "lost".to_owned(),
            ended_at,
            failed: failed.map(str::to_owned),
        };
        Status {
            fencings: vec![
                fencing(1, Some(1_700_000_000), None),
                fencing(2, Some(1_700_000_100), Some("no device")),
                fencing(3, Some(1_700_000_200), None),
                fencing(4, None, None),
            ],
            ..Status::default()
        }
    }

    #[test]
    fn the_newest_first_and_of_equal_ones_one() {
        let status = status();
        let numbers = |all: &[&Fencing]| all.iter().map(|f| f.number).collect::<Vec<_>>();
        let all = newest_first(&status);
        assert_eq!(numbers(&all), [4, 3, 2, 1]);
        assert_eq!(numbers(&reduced(&all)), [4, 3, 2]);
    }

    #[test]
    fn lines_as_pacemakers_tools_write_them() {
        let status = status();
        let lines: Vec<String> = newest_first(&status)
            .into_iter()
            .map(|f| line(f, true))
            .collect();
        let begins = [
            "reboot of b pending: client=mainstayd, origin=a",
            "reboot of b successful: delegate=f1, client=mainstayd, origin=a, completed='2023-11-",
            "reboot of b failed (no device): client=mainstayd, origin=a, completed='2023-11-",
        ];
        for (line, begin) in lines.iter().zip(begins) {
            assert!(line.starts_with(begin), "{line}");
        }
        assert!(line(&status.fencings[1], false).contains("last-failed='"));
    }
}
