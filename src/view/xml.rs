//! The status as `crm_mon --output-as=xml` of Pacemaker 2.1 prints it (schema crm_mon-2.25):
//! scripts search it line by line, so the order of attributes is part of the interface.

use super::tell::{asctime, count, exec_status, ocf_code, option, option_on};
use super::{ResourceHistory, Status, failures, list, parts, summary as head, text};
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
    let mut parts = vec![
        summary(status),
        parts::nodes(&status.nodes),
        resources(status),
    ];
    // Pacemaker leaves out what has nothing in it, but the history.
    let more = [
        node_attributes(status),
        node_history(status),
        failed(status),
        bans(status),
    ];
    let is_shown = |e: &Element| !e.children.is_empty() || e.name == "node_history";
    parts.extend(more.into_iter().filter(is_shown));
    answered(request, parts, 0, "OK", &[])
}

/// As [`root`] of a part of a status, with the summary of the whole.
#[must_use]
pub fn part_of(whole: &Status, status: &Status, request: &str) -> Element {
    let mut root = root(status, request);
    if let Some(told) = root.first_mut("summary") {
        *told = summary(whole);
    }
    root
}

/// What runs stands with its node, and no more among the resources (`-n`).
pub fn group_by_node(root: &mut Element, status: &Status) {
    for node in root
        .first_mut("nodes")
        .into_iter()
        .flat_map(|n| &mut n.children)
    {
        let name = node.attr("name").unwrap_or_default().to_owned();
        let here = text::on_node(status, &name);
        let here = here.into_iter().map(|r| parts::resource(r, &status.nodes));
        node.children.extend(here);
    }
    let idle = status.resources.iter().filter(|r| !list::is_active(r));
    let idle: Vec<Element> = idle.map(|r| parts::resource(r, &status.nodes)).collect();
    if let Some(resources) = root.first_mut("resources") {
        resources.children = idle;
    }
    root.children
        .retain(|part| part.name != "resources" || !part.children.is_empty());
}

/// What [`super::text::more`] tells.
pub(crate) fn more(status: &Status, attributes: bool, failcounts: bool) -> Vec<Element> {
    let mut parts = Vec::new();
    let list = attributes.then(|| node_attributes(status));
    parts.extend(list.filter(|list| !list.children.is_empty()));
    if failcounts {
        let mut history = node_history(status);
        for node in &mut history.children {
            node.children.retain(|r| r.attr("fail-count").is_some());
            for resource in &mut node.children {
                resource.children.clear();
            }
        }
        history.children.retain(|node| !node.children.is_empty());
        parts.push(history);
        let failures = failed(status);
        parts.extend((!failures.children.is_empty()).then_some(failures));
    }
    parts
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

/// Yes or no, as an attribute's value.
pub(crate) const fn flag(value: bool) -> &'static str {
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
        dc.set("version", head::version(status));
        dc.set("name", name);
        dc.set("id", id);
        dc.set("with_quorum", flag(status.quorate));
        dc.set("mixed_version", "false");
    }
    let counts = count(&status.resources);
    let summary = Element::new("summary")
        .child(Element::new("stack").with("type", head::stack(status)))
        .child(dc)
        .child(Element::new("last_update").with("time", &asctime(status.now)));
    let (time, user, client, origin) = status.last_change.clone().unwrap_or_default();
    let last_change = Element::new("last_change")
        .with("time", &time)
        .with("user", &user)
        .with("client", &client)
        .with("origin", &origin);
    summary
        .child(last_change)
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

/// All resources, as `crm_mon` and `crm_resource --list` show them.
#[must_use]
pub fn resources(status: &Status) -> Element {
    parts::resources(&status.resources, &status.nodes, true)
}

/// A resource with what is in it.
#[must_use]
pub fn element(resource: &ResourceStatus, status: &Status) -> Element {
    parts::resource(resource, &status.nodes)
}

fn node_attributes(status: &Status) -> Element {
    let mut list = Element::new("node_attributes");
    for node in status
        .told_by_present()
        .filter(|n| !n.attributes.is_empty())
    {
        let mut element = Element::new("node").with("name", &node.node);
        for (name, value) in &node.attributes {
            let mut attribute = Element::new("attribute")
                .with("name", name)
                .with("value", value);
            if let Some((_, expected)) = node.expected.iter().find(|(own, _)| own == name) {
                attribute.set("expected", &expected.to_string());
            }
            element.children.push(attribute);
        }
        list.children.push(element);
    }
    list
}

/// Operations and fail counts by node.
fn node_history(status: &Status) -> Element {
    let mut history = Element::new("node_history");
    for node in status.told_by_present().filter(|n| !n.history.is_empty()) {
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
        for (name, ms) in [
            ("exec-time", result.exec_time_ms),
            ("queue-time", result.queue_time_ms),
        ] {
            if let Some(ms) = ms {
                operation.set(name, &format!("{ms}ms"));
            }
        }
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

fn failed(status: &Status) -> Element {
    let mut list = Element::new("failures");
    for failure in failures::all(status) {
        let (_, task, interval_ms) = failures::parse_key(&failure.key);
        let exit_reason = match failure.exit_reason.as_str() {
            "" => "none",
            reason => reason,
        };
        let mut element = Element::new("failure")
            .with("op_key", &failure.key)
            .with("node", &failure.node)
            .with("exitstatus", ocf_code(failure.rc))
            .with("exitreason", exit_reason)
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
