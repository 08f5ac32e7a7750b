//! Everything that is known to have happened, in its order.

use crate::cli::backend::{self, Backend, ask};
use crate::cli::exit::Failure;
use crate::ipc::{Request, Response};
use crate::view::{self, Status, asctime};
use std::fmt;

/// Something that happened. The order is that of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event {
    /// Seconds since the epoch, by the clock of its node.
    pub(super) at: i64,
    /// Node; empty for the whole cluster.
    pub(super) node: String,
    /// Resource; empty where there is none.
    pub(super) resource: String,
    /// What.
    pub(super) text: String,
}

impl Event {
    /// It happened to that resource, or its text names it.
    pub(super) fn is_about(&self, resource: &str) -> bool {
        let base = self.resource.split(':').next().unwrap_or_default();
        let mut words = self
            .text
            .split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.'));
        base == resource || self.resource == resource || words.any(|w| w == resource)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = match self.node.as_str() {
            "" => "cluster",
            node => node,
        };
        write!(f, "{} {node}: {}", asctime(self.at), self.text)
    }
}

/// What the daemon knows: results of operations, changes of the configuration, notices, moves of
/// addresses. Oldest first.
///
/// # Errors
/// As [`ask`].
pub(super) fn collect(backend: &mut dyn Backend) -> Result<Vec<Event>, Failure> {
    let mut events = of_status(&backend::status(backend)?);
    if backend.live()
        && let Response::Versions(versions) = ask(backend, &Request::Versions)?
    {
        // Steps of the cluster's own have no user; what they did stands among the rest.
        let people = versions.into_iter().filter(|v| !v.user.is_empty());
        events.extend(people.map(|v| Event {
            at: v.at,
            node: v.origin,
            resource: String::new(),
            text: format!(
                "{} changed the configuration with {} (version {})",
                v.user, v.client, v.number
            ),
        }));
    }
    events.sort();
    Ok(events)
}

fn of_status(status: &Status) -> Vec<Event> {
    let mut events = Vec::new();
    for node in &status.details {
        for history in &node.history {
            for op in &history.operations {
                let Some(at) = op.last_rc_change else {
                    continue;
                };
                events.push(Event {
                    at,
                    node: node.node.clone(),
                    resource: history.resource.clone(),
                    text: operation(&history.resource, op),
                });
            }
        }
    }
    let notices = status.notices.iter().map(|notice| Event {
        at: notice.at,
        node: String::new(),
        resource: String::new(),
        text: notice.text.clone(),
    });
    events.extend(notices);
    for moved in status.vips.iter().filter_map(|v| v.last_move.as_ref()) {
        let from = match moved.from.as_str() {
            "" => String::new(),
            from => format!(" from {from}"),
        };
        events.push(Event {
            at: moved.at,
            node: moved.to.clone(),
            resource: moved.resource.clone(),
            text: format!(
                "{} came here{from} in {} ms: {}",
                moved.resource, moved.took_ms, moved.why
            ),
        });
    }
    events
}

fn operation(resource: &str, op: &view::OperationResult) -> String {
    let every = match op.interval_ms {
        0 => String::new(),
        ms => format!(" every {}", view::interval(ms)),
    };
    format!(
        "{} of {resource}{every}: {} ({} ms)",
        op.task,
        view::ocf_code(op.rc),
        op.exec_time_ms.unwrap_or(0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{NodeDetails, Notice, OperationResult, ResourceHistory, VipMove, VipStatus};

    fn status() -> Status {
        let op = |task: &str, rc, at| OperationResult {
            task: task.to_owned(),
            rc,
            last_rc_change: Some(at),
            exec_time_ms: Some(12),
            ..OperationResult::default()
        };
        Status {
            details: vec![NodeDetails {
                node: "node1".to_owned(),
                history: vec![ResourceHistory {
                    resource: "web".to_owned(),
                    operations: vec![op("start", 0, 20), op("stop", 1, 40)],
                    ..ResourceHistory::default()
                }],
                ..NodeDetails::default()
            }],
            notices: vec![Notice {
                at: 30,
                code: "fenced".to_owned(),
                text: "node2 was fenced by power".to_owned(),
            }],
            vips: vec![VipStatus {
                last_move: Some(VipMove {
                    resource: "ip".to_owned(),
                    from: "node2".to_owned(),
                    to: "node1".to_owned(),
                    why: "node2 was fenced".to_owned(),
                    at: 31,
                    took_ms: 740,
                }),
                ..VipStatus::default()
            }],
            ..Status::default()
        }
    }

    #[test]
    fn events_stand_in_their_order_and_say_what_happened() {
        let mut events = of_status(&status());
        events.sort();
        let texts: Vec<&str> = events.iter().map(|e| e.text.as_str()).collect();
        assert_eq!(texts.len(), 4);
        assert!(
            texts[0].starts_with("start of web: ok (12 ms)"),
            "{texts:?}"
        );
        assert_eq!(texts[1], "node2 was fenced by power");
        assert!(
            texts[2].contains("ip came here from node2 in 740 ms"),
            "{texts:?}"
        );
        assert!(texts[3].starts_with("stop of web: "), "{texts:?}");
        let about = |name: &str| events.iter().filter(|e| e.is_about(name)).count();
        assert_eq!(
            (about("web"), about("ip"), about("node2"), about("we")),
            (2, 1, 2, 0)
        );
    }
}
