//! What there is, where it runs, what was done with it.

use super::{configured, named, unknown};
use crate::cli::backend::{self, Backend};
use crate::cli::console::Console;
use crate::cli::exit::Failure;
use crate::cli::getopt::Found;
use crate::view::list::{self, Look};
use crate::view::printer::{Form, Printer};
use crate::view::{self, text, xml};
use cib::Element;
use cib::config::Config;
use scheduler::ResourceStatus;

/// Everything with its state.
pub(super) fn status(backend: &mut dyn Backend, console: &mut Console) -> Result<(), Failure> {
    let status = backend::status(backend)?;
    let options = text::Options {
        inactive: true,
        placeless: true,
        ..text::Options::default()
    };
    console.print(&text::resource_list(&status, options));
    console.element(xml::resources(&status));
    Ok(())
}

/// Ids of all instances.
pub(super) fn names(backend: &mut dyn Backend, console: &mut Console) -> Result<(), Failure> {
    let status = backend::status(backend)?;
    let mut ids = Vec::new();
    for resource in &status.resources {
        view::leaves(resource, &mut |leaf| ids.push(leaf.id.clone()));
    }
    let mut list = Element::new("list")
        .with("name", "resource names")
        .with("count", &ids.len().to_string());
    for id in ids {
        console.line(&id);
        list.children
            .push(xml::with_text("item", &id).with("name", "resource"));
    }
    console.element(list);
    Ok(())
}

/// `resource f is running on: node1`.
pub(super) fn locate(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let status = backend::status(backend)?;
    let resource = view::find_resource(&status.resources, id).ok_or_else(|| unknown(id))?;
    let places = view::places(resource);
    let mut nodes = Element::new("nodes").with("resource", id);
    for (node, role) in &places {
        let mut element = xml::with_text("node", node);
        if !role.is_empty() {
            element.set("state", "promoted");
        }
        nodes.children.push(element);
        match found.has("quiet") {
            true => console.line(node),
            false => console.line(&format!("resource {id} is running on: {node}{role}")),
        }
    }
    if places.is_empty() && !console.wants_xml() {
        console.err_line(&format!("resource {id} is NOT running"));
    }
    console.element(nodes);
    Ok(())
}

/// State and configuration of a resource.
pub(super) fn xml(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let cib = backend::cib(backend, false)?;
    let element = configured(&Config::new(&cib), id)?.element;
    let status = backend::status(backend)?;
    let shown = view::find_resource(&status.resources, id);
    let text = cib::xml::format(element);
    if let Some(resource) = shown {
        // Without headings, and of collectives what is active.
        let mut out = Printer::new(Form::Plain, Element::default());
        let look = Look {
            inactive: false,
            ..Look::all(&status.nodes, true)
        };
        list::show(&mut out, resource, look);
        console.print(&out.take());
        let config = Element::new("resource_config").child(xml::element(resource, &status));
        console.element(config.child(xml::with_text("xml", &text)));
    }
    console.print(&format!("Resource XML:\n{text}"));
    Ok(())
}

/// An XML attribute of a resource.
pub(super) fn property(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
) -> Result<(), Failure> {
    let id = named(found)?;
    let name = found.value("get-property").unwrap_or_default();
    let cib = backend::cib(backend, false)?;
    let element = configured(&Config::new(&cib), id)?.element;
    match element.attr(name) {
        Some(value) => {
            console.line(value);
            let item = xml::with_text("item", value).with("name", name);
            console.element(
                Element::new("list")
                    .with("name", "properties")
                    .with("count", "1")
                    .child(item),
            );
            Ok(())
        }
        None => Err(Failure::no_such(format!(
            "Attribute '{name}' not found for '{id}'"
        ))),
    }
}

/// Operations of the history, of active resources or of all.
pub(super) fn operations(
    backend: &mut dyn Backend,
    console: &mut Console,
    found: &Found,
    active_only: bool,
) -> Result<(), Failure> {
    let status = backend::status(backend)?;
    let cib = backend::cib(backend, true)?;
    let mut list = Element::new("operations");
    let states = cib.root().first("status").into_iter();
    for state in states.flat_map(|s| s.all("node_state")) {
        let node = state.attr("uname").unwrap_or_default();
        let elsewhere = found.value("node").is_some_and(|n| n != node);
        let off = active_only && !status.nodes.iter().any(|n| n.name == node && n.online);
        if elsewhere || off {
            continue;
        }
        let lrm = state.first("lrm").and_then(|l| l.first("lrm_resources"));
        for history in lrm.into_iter().flat_map(|l| l.all("lrm_resource")) {
            let id = history.id().unwrap_or_default();
            let wanted = found.value("resource");
            let base = |id: &str| id.split(':').next().unwrap_or_default().to_owned();
            if wanted.is_some_and(|w| w != id && base(w) != base(id)) {
                continue;
            }
            let resource = view::find_resource(&status.resources, &base(id));
            let mut done: Vec<&Element> = history.all("lrm_rsc_op").collect();
            done.sort_by_key(|op| number(op, "call-id"));
            if active_only {
                done = active(done);
            }
            for op in done {
                let (line, element) = operation(op, node, &base(id), resource);
                console.line(&line);
                list.children.push(element);
            }
        }
    }
    console.element(list);
    Ok(())
}

/// Of a resource's operations in their order those that still count: from its last start on,
/// unless a stop came after it (lib/pengine/unpack.c, `calculate_active_ops`).
pub(super) fn active(mut done: Vec<&Element>) -> Vec<&Element> {
    let (mut started, mut stopped) = (None, None);
    let (mut monitored, mut changed) = (None, None);
    for (at, op) in done.iter().enumerate() {
        let fine = op.attr("op-status") == Some("0");
        match op.attr("operation").unwrap_or_default() {
            "stop" if fine => stopped = Some(at),
            "start" | "migrate_from" => started = Some(at),
            // What was running already has a monitor that found it so.
            "monitor" if started <= stopped && matches!(op.attr("rc-code"), Some("0" | "8")) => {
                monitored = Some(at);
            }
            "promote" | "demote" => changed = Some(at),
            _ => {}
        }
    }
    let first = started.or(changed).or(monitored);
    match first {
        _ if first < stopped => Vec::new(),
        None => done,
        Some(at) => done.split_off(at),
    }
}

fn number(op: &Element, name: &str) -> i64 {
    op.attr(name).and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn operation(
    op: &Element,
    node: &str,
    id: &str,
    resource: Option<&ResourceStatus>,
) -> (String, Element) {
    let text = |name: &str| op.attr(name).unwrap_or_default().to_owned();
    let key = text("operation_key");
    let status = view::exec_status(i32::try_from(number(op, "op-status")).unwrap_or(0));
    let (agent, head) = match resource {
        Some(resource) => {
            let head = list::line(resource, list::shown_name(resource), &None, true);
            (resource.agent.clone(), head)
        }
        None => (String::new(), format!("{id}:")),
    };
    let mut element = Element::new("operation")
        .with("op", &key)
        .with("node", node)
        .with("call", &text("call-id"))
        .with("rc", &text("rc-code"))
        .with("status", status);
    if !agent.is_empty() {
        element.set("rsc", id);
        element.set("agent", &agent);
    }
    let mut line = format!(
        "{head}: {key} (node={node}, call={}, rc={}",
        text("call-id"),
        text("rc-code")
    );
    if let Some(at) = op.attr("last-rc-change").and_then(|t| t.parse().ok()) {
        let at = view::asctime(at);
        let exec = number(op, "exec-time");
        line.push_str(&format!(", last-rc-change='{at}', exec={exec}ms"));
        element.set("last-rc-change", &at);
        element.set("exec-time", &exec.to_string());
    }
    (format!("{line}): {status}"), element)
}
