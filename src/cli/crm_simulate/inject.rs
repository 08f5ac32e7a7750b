//! Changes to try out on a CIB before the scheduler sees it (Pacemaker pcmk_injections.c).

use super::record::{self, Agent, Outcome, Places};
use crate::view::leaves;
use crate::view::printer::Printer;
use cib::Element;
use scheduler::{Action, ResourceStatus};

/// What shall be changed, in the order of the command line within each kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Injections {
    pub(super) quorum: Option<String>,
    pub(super) watchdog: Option<String>,
    pub(super) nodes_up: Vec<String>,
    pub(super) nodes_down: Vec<String>,
    pub(super) nodes_failed: Vec<String>,
    pub(super) tickets: Vec<TicketChange>,
    /// As written.
    pub(super) operations: Vec<String>,
}

/// A ticket's change: its id, the attribute, and its value.
#[derive(Clone, Debug)]
pub(super) struct TicketChange {
    pub(super) id: String,
    /// What is said of it, with `{}` for the id.
    pub(super) words: &'static str,
    pub(super) action: &'static str,
    pub(super) attribute: &'static str,
    pub(super) value: &'static str,
}

/// `RESOURCE_OPERATION_INTERVAL@NODE=RC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpSpec {
    pub(super) resource: String,
    pub(super) operation: String,
    pub(super) interval_ms: u64,
    pub(super) node: String,
    pub(super) rc: i32,
}

impl OpSpec {
    /// Reads one; what is wrong with it, otherwise.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            |fields: u32| format!("Invalid operation spec: {text}.  Only found {fields} fields");
        let (key, rest) = text.split_once('@').ok_or_else(|| wrong(1))?;
        let (node, rc) = rest.split_once('=').ok_or_else(|| wrong(2))?;
        let rc = rc.parse().map_err(|_| wrong(2))?;
        let (resource, operation, interval_ms) = crate::view::parse_key(key);
        if operation.is_empty() {
            return Err(format!(
                "Invalid operation spec: {text}. RESOURCE_OPERATION_INTERVAL@NODE=RC is expected, such as ip_monitor_10000@node1=7"
            ));
        }
        Ok(Self {
            resource: resource.to_owned(),
            operation: operation.to_owned(),
            interval_ms,
            node: node.to_owned(),
            rc,
        })
    }

    /// It speaks of this action.
    pub(super) fn is_about(&self, resource: &str, action: &Action, node: &str) -> bool {
        self.resource.eq_ignore_ascii_case(resource)
            && self.operation.eq_ignore_ascii_case(&action.operation)
            && self.interval_ms == action.interval_ms
            && self.node.eq_ignore_ascii_case(node)
    }
}

impl Injections {
    pub(super) fn is_empty(&self) -> bool {
        let none = |list: &[String]| list.is_empty();
        none(&self.nodes_up)
            && none(&self.nodes_down)
            && none(&self.nodes_failed)
            && none(&self.operations)
            && self.tickets.is_empty()
            && self.quorum.is_none()
            && self.watchdog.is_none()
    }

    /// Makes the changes to what has these resources, and tells of them; what could not be made is
    /// returned.
    pub(super) fn apply(
        &self,
        cib: &mut Element,
        known: &[ResourceStatus],
        now: i64,
        out: &mut Printer,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut xml = Element::new("modifications");
        for (name, value) in [("quorum", &self.quorum), ("watchdog", &self.watchdog)] {
            if let Some(value) = value {
                xml.set(name, value);
            }
        }
        out.list("Performing Requested Modifications", xml, |out| {
            self.apply_each(cib, known, now, out, &mut wrong);
        });
        wrong
    }

    fn apply_each(
        &self,
        cib: &mut Element,
        known: &[ResourceStatus],
        now: i64,
        out: &mut Printer,
        wrong: &mut Vec<String>,
    ) {
        if let Some(quorum) = &self.quorum {
            out.text_item(&format!("Setting quorum: {quorum}"));
            cib.set("have-quorum", quorum);
        }
        if let Some(watchdog) = &self.watchdog {
            out.text_item(&format!("Setting watchdog: {watchdog}"));
            set_property(cib, "have-watchdog", watchdog);
        }
        for node in &self.nodes_up {
            out.item(&format!("Bringing node {node} online"), || {
                modify_node("Online", node)
            });
            record::count_change(cib);
            record::set_up(record::node_state(cib, node, None), true);
        }
        for node in &self.nodes_down {
            out.item(&format!("Taking node {node} offline"), || {
                modify_node("Offline", node)
            });
            record::count_change(cib);
            let state = record::node_state(cib, node, None);
            record::set_up(state, false);
            for _ in 0..record::forget(state) {
                record::count_change(cib);
            }
        }
        for node in &self.nodes_failed {
            out.item(&format!("Failing node {node}"), || {
                modify_node("Failing", node)
            });
            record::count_change(cib);
            let state = record::node_state(cib, node, None);
            record::set_up(state, true);
            state.set("in_ccm", "false");
        }
        for change in &self.tickets {
            out.item(&change.words.replace("{}", &change.id), || {
                let xml = Element::new("modify_ticket").with("action", change.action);
                xml.with("ticket", &change.id)
            });
            record::count_change(cib);
            ticket(cib, &change.id).set(change.attribute, change.value);
        }
        for text in &self.operations {
            out.item(&format!("Injecting {text} into the configuration"), || {
                Element::new("inject_spec").with("spec", text)
            });
            wrong.extend(operation(cib, known, text, now, out).err());
        }
    }
}

/// Puts a result into the history of a resource.
fn operation(
    cib: &mut Element,
    known: &[ResourceStatus],
    text: &str,
    now: i64,
    out: &mut Printer,
) -> Result<(), String> {
    let spec = OpSpec::parse(text)?;
    if !is_known(known, &spec.resource) {
        return Err(format!("Invalid resource name: {}", spec.resource));
    }
    let base = spec.resource.split(':').next().unwrap_or_default();
    let resources = cib
        .first("configuration")
        .and_then(|c| c.first("resources"));
    let found = resources.and_then(|r| primitive(r, base)).cloned();
    let template = found.as_ref().and_then(|p| p.attr("template"));
    let template = template.and_then(|id| resources?.all("template").find(|t| t.id() == Some(id)));
    let template = template.cloned();
    let Some(primitive) = found else {
        return Err(format!("Invalid resource name: {}", spec.resource));
    };
    let of = |name: &str| {
        let inherited = template.as_ref().and_then(|t| t.attr(name));
        primitive.attr(name).or(inherited)
    };
    let agent = Agent {
        class: of("class").unwrap_or_default(),
        provider: of("provider"),
        kind: of("type").unwrap_or_default(),
    };
    let outcome = Outcome {
        operation: &spec.operation,
        interval_ms: spec.interval_ms,
        rc: spec.rc,
        target_rc: 0,
        exit_reason: "Simulated action result",
        digest: None,
        migration: None,
        notification: None,
        at: now,
    };
    record::count_change(cib);
    let state = record::node_state(cib, &spec.node, None);
    let set = record::failure(state, &spec.resource, &outcome);
    tell_attributes(out, state, &set);
    let mut places = Places::default();
    let history = places.history(state, &spec.resource, base, &agent);
    record::result(history, base, &outcome);
    Ok(())
}

/// Instances that can be told apart are called by their numbers.
fn is_known(known: &[ResourceStatus], name: &str) -> bool {
    let base = |id: &str| id.split(':').next().unwrap_or_default().to_owned();
    let mut found = false;
    for resource in known {
        leaves(resource, &mut |leaf| {
            let id = &leaf.shown.name;
            found |= id == name || (!leaf.shown.unique && base(id) == base(name));
        });
    }
    found
}

fn primitive<'a>(parent: &'a Element, id: &str) -> Option<&'a Element> {
    parent.children.iter().find_map(|child| {
        if child.name == "primitive" && child.id() == Some(id) {
            return Some(child);
        }
        primitive(child, id)
    })
}

/// Tells of transient attributes that were set.
pub(super) fn tell_attributes(out: &mut Printer, state: &Element, set: &[(String, String)]) {
    let id = state.id().unwrap_or_default();
    for (name, value) in set {
        let text = format!("Injecting attribute {name}={value} into /node_state '{id}'");
        out.item(&text, || {
            let xml = Element::new("inject_attr")
                .with("name", name)
                .with("value", value);
            xml.with("node_path", "/node_state").with("cib_node", id)
        });
    }
}

fn modify_node(action: &str, node: &str) -> Element {
    Element::new("modify_node")
        .with("action", action)
        .with("node", node)
}

fn ticket<'a>(cib: &'a mut Element, id: &str) -> &'a mut Element {
    let tickets = &mut record::child(record::status(cib), "tickets", None).children;
    let at = tickets.iter().position(|t| t.id() == Some(id));
    let at = at.unwrap_or_else(|| {
        tickets.push(Element::new("ticket_state").with("id", id));
        tickets.len() - 1
    });
    &mut tickets[at]
}

/// A cluster property, where it stands, else in the set that every tool writes to.
fn set_property(cib: &mut Element, name: &str, value: &str) {
    let configuration = record::child(cib, "configuration", None);
    let options = record::child(configuration, "crm_config", None);
    let pairs = options
        .children
        .iter_mut()
        .flat_map(|set| &mut set.children);
    let mut stands = false;
    for pair in pairs.filter(|p| p.attr("name") == Some(name)) {
        pair.set("value", value);
        stands = true;
    }
    if stands {
        return;
    }
    let sets = &mut options.children;
    let at = sets.iter().position(|set| set.id() == Some(BOOTSTRAP));
    let at = at.unwrap_or_else(|| {
        sets.push(Element::new("cluster_property_set").with("id", BOOTSTRAP));
        sets.len() - 1
    });
    let pair = Element::new("nvpair").with("id", &format!("{BOOTSTRAP}-{name}"));
    let pair = pair.with("name", name).with("value", value);
    sets[at].children.push(pair);
}

const BOOTSTRAP: &str = "cib-bootstrap-options";
