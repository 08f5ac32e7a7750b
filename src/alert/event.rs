//! What alert agents are told. Pure.

use super::config::Select;
use crate::executor::{OpFinished, op_status};
use std::collections::BTreeMap;

/// A happening that alert agents may want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertEvent {
    /// A node came or went.
    Node {
        /// Name.
        node: String,
        /// Node id.
        node_id: u32,
        /// It is a member now.
        member: bool,
    },
    /// The way to a node changed: it is still a member.
    Path {
        /// Name.
        node: String,
        /// Node id.
        node_id: u32,
        /// Sentence about it; begins with `degraded` where it is reached through others only.
        desc: String,
    },
    /// An attempt to fence a node ended.
    Fencing {
        /// Node that was to be fenced.
        node: String,
        /// `reboot`, `off` …
        action: String,
        /// 0 = it is fenced.
        rc: i32,
        /// Sentence about it.
        desc: String,
    },
    /// A resource operation ended.
    Resource {
        /// Node it ran on.
        node: String,
        /// The operation and its result.
        finished: Box<OpFinished>,
    },
    /// A node attribute changed.
    Attribute {
        /// Node.
        node: String,
        /// Node id.
        node_id: u32,
        /// Name.
        name: String,
        /// New value; empty = removed.
        value: String,
    },
}

impl AlertEvent {
    /// `CRM_alert_kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Node { .. } | Self::Path { .. } => "node",
            Self::Fencing { .. } => "fencing",
            Self::Resource { .. } => "resource",
            Self::Attribute { .. } => "attribute",
        }
    }

    /// Whether an agent with this selection is told. Probes that found what they expected are
    /// no news to anybody (daemons/controld/controld_alerts.c, `crmd_alert_resource_op`).
    #[must_use]
    pub fn is_wanted(&self, select: &Select) -> bool {
        match self {
            Self::Node { .. } | Self::Path { .. } => select.nodes,
            Self::Fencing { .. } => select.fencing,
            Self::Resource { finished, .. } => {
                let request = &finished.request;
                let probe = request.operation == "monitor" && request.interval_ms == 0;
                let expected = request.target_rc == finished.outcome.rc;
                select.resources && !(probe && expected)
            }
            Self::Attribute { name, .. } => select
                .attributes
                .as_ref()
                .is_some_and(|names| names.is_empty() || names.contains(name)),
        }
    }

    /// `CRM_alert_*` that depend on the event alone.
    #[must_use]
    pub fn variables(&self) -> BTreeMap<String, String> {
        let mut vars = BTreeMap::new();
        let mut set = |name: &str, value: &str| {
            vars.insert(format!("CRM_alert_{name}"), value.to_owned());
        };
        set("kind", self.kind());
        match self {
            Self::Node {
                node,
                node_id,
                member,
            } => {
                set("node", node);
                set("nodeid", &node_id.to_string());
                set("desc", if *member { "member" } else { "lost" });
            }
            Self::Path {
                node,
                node_id,
                desc,
            } => {
                set("node", node);
                set("nodeid", &node_id.to_string());
                set("desc", desc);
            }
            Self::Fencing {
                node,
                action,
                rc,
                desc,
            } => {
                set("node", node);
                set("task", action);
                set("rc", &rc.to_string());
                set("desc", desc);
            }
            Self::Resource { node, finished } => {
                let (request, outcome) = (&finished.request, &finished.outcome);
                set("node", node);
                set("rsc", &request.rsc);
                set("task", &request.operation);
                set("interval", &request.interval_ms.to_string());
                set("target_rc", &request.target_rc.to_string());
                set("status", &outcome.op_status.to_string());
                set("rc", &outcome.rc.to_string());
                set("exec_time", &outcome.exec_ms.to_string());
                set("desc", operation_desc(finished));
            }
            Self::Attribute {
                node,
                node_id,
                name,
                value,
            } => {
                set("node", node);
                set("nodeid", &node_id.to_string());
                set("attribute_name", name);
                set("attribute_value", value);
            }
        }
        vars
    }
}

fn operation_desc(finished: &OpFinished) -> &'static str {
    let (rc, expected) = (finished.outcome.rc, finished.request.target_rc);
    match finished.outcome.op_status {
        op_status::DONE if rc == expected => "ok",
        op_status::DONE => crate::view::ocf_code(rc),
        op_status::CANCELLED => "Cancelled",
        op_status::TIMEOUT => "Timed Out",
        op_status::NOT_INSTALLED => "Not installed",
        op_status::INVALID => "Cannot execute now",
        _ => "Error",
    }
}
