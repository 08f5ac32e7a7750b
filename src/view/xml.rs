//! The status as `crm_mon --output-as=xml` of Pacemaker 2.1 prints it (schema crm_mon-2.25):
//! scripts search it line by line, so the order of attributes is part of the interface.

use super::tell::{asctime, count, exec_status, is_disabled, ocf_code, option, option_on};
use super::{ResourceHistory, Status, leaves, text};
use cib::Element;
use scheduler::ResourceStatus;

/// The whole document; `request` is the command line that asked.
#[must_use]
pub fn document(status: &Status, request: &str) -> String {
    cib::xml::format(&root(status, request))
}

/// As [`document`], not yet text.
#[must_use]
pub fn root(status: &Status, request: &str) -> Element {
    let mut parts = vec![summary(status), nodes(status), resources(status)];
    // Pacemaker leaves out what has nothing in it.
    let more = [
        node_attributes(status),
        node_history(status),
        failures(status),
        bans(status),
    ];
    parts.extend(more.into_iter().filter(|e| !e.children.is_empty()));
    answered(request, parts, 0, "OK", &[])
}

/// An answer of a tool in XML (schema api-result): what was asked, the parts of the answer, how it
/// ended.
#[must_use]
pub fn answer(
    request: &str,
    parts: Vec<Element>,
    code: u8,
    message: &str,
    errors: &[String],
) -> String {
    cib::xml::format(&answered(request, parts, code, message, errors))
}

fn answered(
    request: &str,
    parts: Vec<Element>,
    code: u8,
    message: &str,
    errors: &[String],
) -> Element {
    let mut root = Element::new("pacemaker-result")
        .with("api-version", API_VERSION)
        .with("request", request);
    root.children = parts;
    let mut status = Element::new("status")
        .with("code", &code.to_string())
        .with("message", message);
    if !errors.is_empty() {
        let mut list = Element::new("errors");
        list.children = errors.iter().map(|e| with_text("error", e)).collect();
        status.children.push(list);
    }
    root.child(status)
}

/// An element that holds text.
#[must_use]
pub fn with_text(name: &str, text: &str) -> Element {
    let mut element = Element::new(name);
    element.text = text.to_owned();
    element
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn summary(status: &Status) -> Element {
    let mut dc = Element::new("current_dc").with("present", flag(status.dc.is_some()));
    if let Some(name) = &status.dc {
        let id = status
            .nodes
            .iter()
            .find(|n| n.name == *name)
            .map_or("", |n| &n.id);
        dc.set("version", crate::DC_VERSION);
        dc.set("name", name);
        dc.set("id", id);
        dc.set("with_quorum", flag(status.quorate));
        dc.set("mixed_version", "false");
    }
    let counts = count(status);
    let mut summary = Element::new("summary")
        .child(Element::new("stack").with("type", "corosync"))
        .child(dc)
        .child(Element::new("last_update").with("time", &asctime(status.now)));
    if let Some((time, user, client, origin)) = &status.last_change {
        summary.children.push(
            Element::new("last_change")
                .with("time", time)
                .with("user", user)
                .with("client", client)
                .with("origin", origin),
        );
    }
    summary
        .child(Element::new("nodes_configured").with("number", &status.nodes.len().to_string()))
        .child(
            Element::new("resources_configured")
                .with("number", &counts.configured.to_string())
                .with("disabled", &counts.disabled.to_string())
                .with("blocked", &counts.blocked.to_string()),
        )
        .child(options(status))
}

fn options(status: &Status) -> Element {
    let milliseconds = |name, default: u64| {
        option(status, name)
            .and_then(|v| cib::value::parse_interval_ms(v).ok())
            .unwrap_or(default)
            .to_string()
    };
    Element::new("cluster_options")
        .with(
            "stonith-enabled",
            flag(option_on(status, "stonith-enabled", true)),
        )
        .with(
            "symmetric-cluster",
            flag(option_on(status, "symmetric-cluster", true)),
        )
        .with(
            "no-quorum-policy",
            option(status, "no-quorum-policy").unwrap_or("stop"),
        )
        .with(
            "maintenance-mode",
            flag(option_on(status, "maintenance-mode", false)),
        )
        .with(
            "stop-all-resources",
            flag(option_on(status, "stop-all-resources", false)),
        )
        .with(
            "stonith-timeout-ms",
            &milliseconds("stonith-timeout", 60_000),
        )
        .with(
            "priority-fencing-delay-ms",
            &milliseconds("priority-fencing-delay", 0),
        )
}

fn nodes(status: &Status) -> Element {
    let mut nodes = Element::new("nodes");
    for node in &status.nodes {
        let mut element = Element::new("node")
            .with("name", &node.name)
            .with("id", &node.id)
            .with("online", flag(node.online))
            .with("standby", flag(node.standby))
            .with("standby_onfail", flag(node.standby_on_fail))
            .with("maintenance", flag(node.maintenance))
            .with("pending", flag(node.pending))
            .with("unclean", flag(node.unclean))
            .with(
                "health",
                match node.health {
                    1.. => "green",
                    0 => "yellow",
                    ..0 => "red",
                },
            );
        if node.online {
            element.set("feature_set", cib::document::FEATURE_SET);
        }
        element.set("shutdown", flag(node.shutdown));
        element.set("expected_up", flag(node.online && !node.shutdown));
        element.set("is_dc", flag(node.is_dc));
        element.set("resources_running", &node.resources_running.to_string());
        element.set("type", "member");
        nodes.children.push(element);
    }
    nodes
}

/// All resources, as `crm_mon` and `crm_resource --list` show them.
#[must_use]
pub fn resources(status: &Status) -> Element {
    let mut list = Element::new("resources");
    for resource in &status.resources {
        list.children.push(element(resource, status));
    }
    list
}

/// A resource with what is in it.
#[must_use]
pub fn element(resource: &ResourceStatus, status: &Status) -> Element {
    let children = || resource.children.iter().map(|c| element(c, status));
    match resource.kind.as_str() {
        "group" => {
            let mut group = Element::new("group")
                .with("id", &resource.id)
                .with("number_resources", &resource.children.len().to_string())
                .with("managed", flag(resource.managed))
                .with("disabled", flag(is_disabled(resource)));
            group.children.extend(children());
            group
        }
        "clone" => {
            let mut promotable = false;
            let mut failed = false;
            leaves(resource, &mut |leaf| {
                promotable |= matches!(leaf.role.as_str(), "Promoted" | "Unpromoted");
                failed |= leaf.failed;
            });
            let mut clone = Element::new("clone")
                .with("id", &resource.id)
                .with("multi_state", flag(promotable))
                .with("unique", "false")
                .with("managed", flag(resource.managed))
                .with("disabled", flag(is_disabled(resource)))
                .with("failed", flag(failed))
                .with("failure_ignored", "false");
            clone.children.extend(children());
            clone
        }
        _ => primitive(resource, status),
    }
}

fn primitive(resource: &ResourceStatus, status: &Status) -> Element {
    let id = resource.id.split(':').next().unwrap_or_default();
    let mut element = Element::new("resource")
        .with("id", id)
        .with("resource_agent", &resource.agent)
        .with("role", &resource.role);
    if let Some(role) = &resource.target_role {
        element.set("target_role", role);
    }
    element.set("active", flag(resource.active));
    element.set("orphaned", flag(resource.orphaned));
    element.set("blocked", flag(resource.blocked));
    element.set("managed", flag(resource.managed));
    element.set("failed", flag(resource.failed));
    element.set("failure_ignored", "false");
    element.set("nodes_running_on", &resource.nodes.len().to_string());
    if let Some(pending) = &resource.pending {
        element.set("pending", pending);
    }
    for name in &resource.nodes {
        let node = status.nodes.iter().find(|n| n.name == *name);
        element.children.push(
            Element::new("node")
                .with("name", name)
                .with("id", node.map_or("", |n| &n.id))
                .with("cached", flag(node.is_some_and(|n| n.online))),
        );
    }
    element
}

fn node_attributes(status: &Status) -> Element {
    let mut list = Element::new("node_attributes");
    for node in status.details.iter().filter(|n| !n.attributes.is_empty()) {
        let mut element = Element::new("node").with("name", &node.node);
        for (name, value) in &node.attributes {
            let attribute = Element::new("attribute");
            element
                .children
                .push(attribute.with("name", name).with("value", value));
        }
        list.children.push(element);
    }
    list
}

/// Operations and fail counts by node.
fn node_history(status: &Status) -> Element {
    let mut history = Element::new("node_history");
    for node in status.details.iter().filter(|n| !n.history.is_empty()) {
        let mut element = Element::new("node").with("name", &node.node);
        element.children = node.history.iter().map(resource_history).collect();
        history.children.push(element);
    }
    history
}

fn resource_history(history: &ResourceHistory) -> Element {
    let mut element = Element::new("resource_history")
        .with("id", &history.resource)
        .with("orphan", "false")
        .with("migration-threshold", &history.threshold.to_string());
    if let Some(count) = history.fail_count {
        // A number, whatever it stands for: monitors read it as one.
        element.set("fail-count", &count.to_string());
    }
    if let Some(last) = history.last_failure {
        element.set("last-failure", &asctime(last));
    }
    for result in &history.operations {
        let mut operation = Element::new("operation_history")
            .with("call", &result.call_id.to_string())
            .with("task", &result.task)
            .with("rc", &result.rc.to_string())
            .with("rc_text", ocf_code(result.rc));
        if result.interval_ms > 0 {
            operation.set("interval", &format!("{}ms", result.interval_ms));
        }
        if let Some(at) = result.last_rc_change {
            operation.set("last-rc-change", &asctime(at));
        }
        operation.set("exec-time", &format!("{}ms", result.exec_time_ms));
        operation.set("queue-time", &format!("{}ms", result.queue_time_ms));
        element.children.push(operation);
    }
    element
}

fn bans(status: &Status) -> Element {
    let mut list = Element::new("bans");
    for ban in &status.bans {
        let promoted = flag(ban.promoted_only);
        let element = Element::new("ban")
            .with("id", &ban.id)
            .with("resource", &ban.resource)
            .with("node", &ban.node)
            .with("weight", &ban.weight.to_string())
            .with("promoted-only", promoted)
            .with("master_only", promoted);
        list.children.push(element);
    }
    list
}

fn failures(status: &Status) -> Element {
    let mut list = Element::new("failures");
    for failure in text::all_failures(status) {
        let (_, task, interval_ms) = text::parse_key(&failure.key);
        let mut element = Element::new("failure")
            .with("op_key", &failure.key)
            .with("node", &failure.node)
            .with("exitstatus", ocf_code(failure.rc))
            .with("exitreason", &failure.exit_reason)
            .with("exitcode", &failure.rc.to_string())
            .with("call", &failure.call_id.to_string())
            .with("status", exec_status(failure.op_status));
        if let Some(at) = failure.last_rc_change {
            element.set("last-rc-change", &zoned(at));
            element.set("queued", &failure.queue_time_ms.to_string());
            element.set("exec", &failure.exec_time_ms.to_string());
            element.set("interval", &interval_ms.to_string());
            element.set("task", task);
        }
        list.children.push(element);
    }
    list
}

/// Date, time and offset: `2023-11-14 22:15:00Z`, `2023-11-14 23:15:00 +01:00`.
pub(crate) fn zoned(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    let at = at.to_zoned(jiff::tz::TimeZone::system());
    let format = match at.offset().seconds() {
        0 => "%Y-%m-%d %H:%M:%SZ",
        _ => "%Y-%m-%d %H:%M:%S %:z",
    };
    at.strftime(format).to_string()
}

/// Version of the schema that the document follows.
const API_VERSION: &str = "2.25";
