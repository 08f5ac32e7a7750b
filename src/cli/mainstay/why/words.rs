//! Reasons in words.

use super::{INFINITY, MINUS_INFINITY};
use crate::cli::crm_simulate::Row;
use crate::view;
use scheduler::Because;

/// A line of the Transition Summary as a sentence.
pub(super) fn next(row: &Row) -> String {
    let roles = ["Started", "Stopped", "Promoted", "Unpromoted", "->"];
    let words = row.how.split_whitespace();
    let nodes: Vec<&str> = words.filter(|word| !roles.contains(word)).collect();
    let way = match nodes.as_slice() {
        [from, to] => format!("from {from} to {to}"),
        [node] => format!("on {node}"),
        _ => String::new(),
    };
    let deed = match row.what {
        "Start" => "start it",
        "Stop" => "stop it",
        "Move" => "stop it and start it anew, moving",
        "Migrate" => "move it live",
        "Recover" => "stop it and start it anew, to recover it,",
        "Restart" => "stop it and start it anew",
        "Reload" => "let it take its new parameters over",
        "Promote" => "promote it",
        "Demote" => "demote it",
        "Re-promote" => "demote it and promote it anew",
        other => other,
    };
    let reason = row.why.trim();
    let blocked = reason.ends_with("blocked") || reason.ends_with("(blocked)");
    let reason = reason.strip_prefix("due to ").unwrap_or_default();
    let because = match reason.trim_end_matches(" (blocked)") {
        "" => String::new(),
        reason => format!(", because {}", because(reason)),
    };
    let but = if blocked {
        "; that cannot be done now"
    } else {
        ""
    };
    format!("{deed} {way}{because}{but}")
}

/// The scheduler's "due to", in words.
fn because(reason: &str) -> String {
    let deed = |rest: &str| -> Option<(String, String)> {
        let (resource, task) = rest.rsplit_once(' ')?;
        Some((resource.to_owned(), task.to_owned()))
    };
    if let Some(rest) = reason.strip_prefix("unrunnable ") {
        return match deed(rest) {
            Some((resource, task)) => format!("{resource} cannot {}", cannot(&task)),
            None => {
                let id = rest.split_once(':').map_or(rest, |(_, id)| id);
                format!("too few of what `{id}` asks for can run")
            }
        };
    }
    if let Some((resource, task)) = reason.strip_prefix("required ").and_then(deed) {
        return format!("{resource} must {} first", cannot(&task));
    }
    if let Some(resource) = reason.strip_prefix("colocation with ") {
        return format!("it belongs where {resource} is, which has no place");
    }
    if let Some((resource, _)) = reason.strip_prefix("unmigrateable ").and_then(deed) {
        return format!("{resource}, which it needs, cannot move while it runs");
    }
    match reason {
        "failure" => "it failed".to_owned(),
        "node availability" => "no node may run it as things are".to_owned(),
        "no quorum" => "this partition has no quorum".to_owned(),
        "quorum freeze" => "without quorum nothing is started that does not run".to_owned(),
        "resource definition change" => "its definition was changed".to_owned(),
        "being multiply active" => "it runs on several nodes at once".to_owned(),
        other => other.to_owned(),
    }
}

fn cannot(task: &str) -> &str {
    match task {
        "start" => "be started",
        "running" => "come up as a whole",
        "stop" => "be stopped",
        "stopped" => "be stopped as a whole",
        "promote" => "be promoted",
        "demote" => "be demoted",
        "monitor" => "be looked at",
        "notified" => "be told what happens",
        other => other,
    }
}

pub(super) fn sentence(because: &Because) -> String {
    match because {
        Because::Chosen { score, .. } => format!("chosen, with a score of {}", amount(*score)),
        Because::Score {
            amount: points,
            from,
            id,
        } => {
            let points = signed(*points);
            term(&points, from, id)
        }
        Because::Together {
            amount: points,
            id,
            with,
            dependent,
        } => {
            let points = signed(*points);
            match (id, dependent) {
                (Some(id), false) => {
                    format!("{points} by the colocation constraint `{id}` with {with}")
                }
                (Some(id), true) => format!(
                    "{points} by what {with} prefers, which the colocation constraint `{id}` puts with it"
                ),
                (None, false) => format!("{points} because it belongs with {with}"),
                (None, true) => format!("{points} by what {with} prefers, which belongs with it"),
            }
        }
        Because::AsGood { chosen, decided } => {
            format!("nothing speaks against it; {chosen} is as good, and {decided}")
        }
        Because::Total { score } => format!("{} together", amount(*score)),
        Because::NodeUnusable { state } => unusable(state),
        Because::TargetRole { role } => {
            format!("it shall be {} (target-role)", role.to_lowercase())
        }
        Because::AllStopped => {
            "all resources shall be stopped (the option stop-all-resources)".to_owned()
        }
        Because::FailedTooOften {
            failcount,
            threshold,
        } => format!(
            "-INFINITY because it failed there {} times, migration-threshold is {}",
            view::score(*failcount),
            view::score(*threshold)
        ),
        Because::NoQuorum { policy } => {
            format!("this partition has no quorum, and no-quorum-policy is {policy}")
        }
        Because::Needs { resource, id } if id == "order" => {
            format!("it may start only after {resource}, which cannot be started")
        }
        Because::Needs { resource, id } => format!("it needs {resource} (`{id}`)"),
        Because::NeedsTicket { ticket, id } => {
            format!("it needs the ticket {ticket} (`{id}`), which this cluster does not have")
        }
        Because::Nowhere => "no node is left that may run it".to_owned(),
        Because::WaitsForFencing { node } => {
            format!(
                "it waits until {node} is fenced: only then is it certain that nothing runs there"
            )
        }
        Because::NotManaged => "the cluster does not manage it now".to_owned(),
        Because::NoFenceDevice => {
            "nothing is started or stopped: fencing is enabled, but no fence device is configured"
                .to_owned()
        }
        Because::Blocked { operation } => {
            format!("it is blocked: {operation} failed, and may not be followed by anything")
        }
    }
}

/// The words for the state of a node that runs nothing.
fn unusable(state: &str) -> String {
    match state {
        "unclean" => "the node may still run something, and was not fenced yet".to_owned(),
        "shutdown" => "the node is shutting down".to_owned(),
        state => format!("the node is {state}"),
    }
}

/// A part of a score, by the kind of what it comes from.
fn term(points: &str, from: &str, id: &str) -> String {
    let why = match from {
        "location" => format!("by the location constraint `{id}`"),
        "ticket" => {
            format!("by the ticket constraint `{id}`: the cluster does not have its ticket")
        }
        "node-health" => format!("by the node's health (node-health-strategy is {id})"),
        "stickiness" => "because it is there already (resource-stickiness)".to_owned(),
        "shutdown-lock" if id != from => format!("because it is locked to {id} until that is back"),
        "shutdown-lock" => "because it is locked to this node until that is back".to_owned(),
        "utilization" => "because the node has no capacity left for it".to_owned(),
        "node" if id == "score" => "by the score of the node itself".to_owned(),
        "node" => format!("because {}", unusable(id)),
        "target-role" => "because it shall be stopped (target-role)".to_owned(),
        "stopped" => "because it shall not run now".to_owned(),
        "failure" => format!("because {id} failed"),
        "clone" => format!("because {id} has no place for one more instance there"),
        "clone-max" => format!("because {id} has all its instances elsewhere"),
        "promotion" => "by its promotion score there".to_owned(),
        "bundle" if points.starts_with('-') => {
            "because it belongs inside another container".to_owned()
        }
        "bundle" => "because it belongs inside this container".to_owned(),
        "remote" => "because of what may run on remote nodes".to_owned(),
        "removed" => "because it is no longer in the configuration".to_owned(),
        "unmanaged" => "because it is there, and the cluster does not manage it".to_owned(),
        "multiple-active" => {
            "because it runs on several nodes at once (multiple-active)".to_owned()
        }
        "resource-discovery" => {
            "because it is looked for on other nodes alone (resource-discovery)".to_owned()
        }
        "rest" => "by what is no single rule".to_owned(),
        other => format!("from {other} `{id}`"),
    };
    format!("{points} {why}")
}

pub(super) fn amount(score: i32) -> String {
    match score {
        INFINITY.. => "INFINITY".to_owned(),
        i32::MIN..=MINUS_INFINITY => "-INFINITY".to_owned(),
        score => score.to_string(),
    }
}

fn signed(score: i32) -> String {
    let text = amount(score);
    if score > 0 { format!("+{text}") } else { text }
}
