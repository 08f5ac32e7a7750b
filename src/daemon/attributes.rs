//! Transient attributes of nodes: what Pacemaker's attribute manager does.
//!
//! They are soft state (R2): every node keeps its own and reports them to the others, and they end
//! with its daemon. A dampened change waits until that attribute has not changed anywhere for the
//! dampening's length; every node counts the same wait, so that all nodes' values become valid
//! together whoever is DC (daemons/attrd/attrd_attributes.c, `attrd_write_or_elect_attribute`).

use super::app::App;
use super::peer::{Item, Items, NodeTell, attribute_key, capacity_key, dampened_key, private_key};
use super::reports::ReportChange;
use super::requests::{Reply, error};
use crate::controller;
use crate::ipc::{
    AttributeChange, AttributeUpdate, CIB_BYTES_MAX, ErrorKind, NodeAttribute, Response,
};
use crate::transport::boottime_ms;
use cib::value::Score;
use std::collections::BTreeMap;
use wire::NodeId;

/// What is under way with attributes.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// Dampening of this node's attributes, milliseconds.
    dampening: BTreeMap<String, u64>,
    /// When the wait of an attribute is over, on whatever nodes it waits.
    waits: BTreeMap<String, u64>,
    /// Questions to other nodes.
    asks: BTreeMap<u64, Ask>,
    last_ask: u64,
}

#[derive(Debug)]
struct Ask {
    reply: Reply,
    node: String,
    until_ms: u64,
}

impl Attributes {
    pub(super) fn next_timeout_ms(&self) -> Option<u64> {
        let waits = self.waits.values().copied();
        waits.chain(self.asks.values().map(|a| a.until_ms)).min()
    }
}

impl App {
    /// A client's wish: carried out here, or by the node that it names.
    pub(super) fn set_attribute(&mut self, change: AttributeChange, reply: Reply) {
        let node = match &change.node {
            None => self.me.node,
            Some(name) => match self.peers.by_name(name) {
                Some(node) => node,
                None => {
                    let text = format!("no node is called `{name}`");
                    return drop(reply.send(error(ErrorKind::NotFound, &text)));
                }
            },
        };
        self.clients.expect_news();
        if node == self.me.node {
            let response = match self.change_attribute(&change) {
                Ok(_) => Response::Done {
                    text: String::new(),
                },
                Err(text) => error(ErrorKind::Invalid, &text),
            };
            return drop(reply.send(response));
        }
        self.ask_for_attribute(node, change, reply);
    }

    fn ask_for_attribute(&mut self, node: NodeId, change: AttributeChange, reply: Reply) {
        let name = self.peers.name(node);
        let members = &self.standing.view.members;
        if members.iter().all(|m| m.identity.node != node) {
            let text = format!(
                "{name} is not in the cluster now, and an attribute that ends with its daemon can only be kept there: start mainstayd on {name} first, or set a permanent one (lifetime `forever`)"
            );
            return drop(reply.send(error(ErrorKind::NotReady, &text)));
        }
        if self.attributes.asks.len() >= ASKS_MAX {
            let text = format!("{ASKS_MAX} attributes are under way already: try again");
            return drop(reply.send(error(ErrorKind::NotReady, &text)));
        }
        self.attributes.last_ask += 1;
        let ask = self.attributes.last_ask;
        let until_ms = boottime_ms() + ASK_MS;
        let waiting = Ask {
            reply,
            node: name,
            until_ms,
        };
        self.attributes.asks.insert(ask, waiting);
        let asker = self.me.node.0;
        self.tell(node, NodeTell::Attribute { asker, ask, change });
    }

    /// Another node asks for a change of an attribute of this one.
    pub(super) fn attribute_asked(&mut self, asker: NodeId, ask: u64, change: &AttributeChange) {
        let (result, items) = match self.change_attribute(change) {
            Ok(items) => (Ok(()), items),
            Err(text) => (Err(text), Items::new()),
        };
        self.tell(asker, NodeTell::AttributeTaken { ask, result, items });
    }

    /// The answer of the node that was asked.
    pub(super) fn attribute_taken(&mut self, ask: u64, result: Result<(), String>) {
        let Some(waiting) = self.attributes.asks.remove(&ask) else {
            return;
        };
        let response = match result {
            Ok(()) => Response::Done {
                text: String::new(),
            },
            Err(text) => error(ErrorKind::Invalid, &text),
        };
        let _ = waiting.reply.send(response);
    }

    /// Attributes as their nodes have them.
    pub(super) fn list_attributes(&self, node: Option<&str>, name: Option<&str>) -> Response {
        if let Some(node) = node
            && self.peers.by_name(node).is_none()
        {
            return error(ErrorKind::NotFound, &format!("no node is called `{node}`"));
        }
        let mut found = Vec::new();
        for (id, host) in &self.peers.names {
            let Some(report) = self.reports.of(*id).filter(|_| self.is_in_view(*id)) else {
                continue;
            };
            if node.is_some_and(|n| n != host) {
                continue;
            }
            for known in report.attribute_names() {
                let value = report.attribute(known);
                let Some(value) = value.filter(|_| name.is_none_or(|n| n == known)) else {
                    continue;
                };
                found.push(NodeAttribute {
                    node: host.clone(),
                    name: known.clone(),
                    value: value.clone(),
                });
            }
        }
        found.sort_by(|a, b| (&a.node, &a.name).cmp(&(&b.node, &b.name)));
        Response::Attributes(found)
    }

    fn is_in_view(&self, node: NodeId) -> bool {
        let mut members = self.standing.view.members.iter();
        node == self.me.node || members.any(|m| m.identity.node == node)
    }

    /// Changes an attribute of this node; returns what its report got by it.
    fn change_attribute(&mut self, change: &AttributeChange) -> Result<Items, String> {
        check(change)?;
        let name = &change.name;
        let report = self.reports.of(self.me.node);
        let present = report.and_then(|r| r.attribute(name)).cloned();
        let count = report.map_or(0, |r| r.attribute_names().len());
        if present.is_none() && count >= ATTRIBUTES_MAX {
            return Err(format!(
                "this node has {ATTRIBUTES_MAX} transient attributes already: delete some first"
            ));
        }
        let wanted = match &change.update {
            AttributeUpdate::Set(value) | AttributeUpdate::SetCapacity(value) => {
                Some(expanded(value, present.as_deref()))
            }
            AttributeUpdate::Clear => None,
            AttributeUpdate::Keep => present.clone(),
        };
        let private =
            report.is_some_and(|r| r.is_private(name)) || (change.private && present.is_none());
        let capacity = report.is_some_and(|r| r.is_capacity(name))
            || (matches!(change.update, AttributeUpdate::SetCapacity(_)) && present.is_none());
        let waits = report.is_some_and(|r| r.dampened(name).is_some());
        if capacity {
            return Ok(self.write_capacity(name, &present, wanted));
        }
        self.note_dampening(change);
        if private {
            return Ok(self.publish_attribute(private_key(name), wanted));
        }
        if let Some((rsc, operation)) = failure_of(name) {
            return Ok(self.change_failure(name, &rsc, &operation, wanted.as_deref()));
        }
        let dampen_ms = self.attributes.dampening.get(name).copied().unwrap_or(0);
        if dampen_ms > 0 && wanted != present {
            let item = Item::Dampened {
                name: name.clone(),
                value: wanted,
                dampen_ms,
            };
            let items = vec![(item.key(), Some(item.value()))];
            self.publish(items.clone());
            self.wait_for_calm(name, dampen_ms);
            return Ok(items);
        }
        if wanted == present && (!waits || dampen_ms > 0) {
            return Ok(Items::new());
        }
        Ok(self.write_attribute(name, wanted))
    }

    /// The dampening of a new attribute, or a new one of an old attribute.
    fn note_dampening(&mut self, change: &AttributeChange) {
        let Some(dampen_ms) = change.dampen_ms else {
            return;
        };
        let dampening = &mut self.attributes.dampening;
        if change.change_dampening || !dampening.contains_key(&change.name) {
            dampening.insert(change.name.clone(), dampen_ms.min(DAMPEN_MS_MAX));
        }
    }

    /// An attribute changes for good, and the DC is told.
    fn write_attribute(&mut self, name: &str, value: Option<String>) -> Items {
        let items = written(name, value);
        self.publish(items.clone());
        let node = self.peers.name(self.me.node);
        self.tell_dc(NodeTell::Changed {
            why: format!("attribute {name} of {node} changed"),
            items: items.clone(),
        });
        items
    }

    /// What a node can carry counts at once: nobody flaps with that.
    fn write_capacity(
        &mut self,
        name: &str,
        present: &Option<String>,
        value: Option<String>,
    ) -> Items {
        if value == *present {
            return Items::new();
        }
        let items = self.publish_attribute(capacity_key(name), value);
        let node = self.peers.name(self.me.node);
        self.tell_dc(NodeTell::Changed {
            why: format!("capacity {name} of {node} changed"),
            items: items.clone(),
        });
        items
    }

    fn publish_attribute(&mut self, key: String, value: Option<String>) -> Items {
        let items = vec![(key, value.map(String::into_bytes))];
        self.publish(items.clone());
        items
    }

    /// Fail counts are attributes that the history counts: changed by hand they count on from there.
    fn change_failure(
        &mut self,
        name: &str,
        rsc: &str,
        operation: &(String, u64),
        value: Option<&str>,
    ) -> Items {
        match value {
            Some(value) => self.local.history.restore([], [(name, value)]),
            None => {
                let (operation, interval_ms) = operation;
                let operation = Some((operation.as_str(), *interval_ms));
                let changed = self.local.history.clear_failures(rsc, operation);
                for gone in changed.attributes.keys().filter(|n| *n != name) {
                    self.publish(vec![(attribute_key(gone), None)]);
                }
            }
        }
        self.write_attribute(name, value.map(str::to_owned))
    }

    /// What a report says of attributes that wait.
    pub(super) fn attributes_reported(&mut self, change: &ReportChange) {
        for (name, dampen_ms) in &change.dampened {
            self.wait_for_calm(name, *dampen_ms);
        }
        // The others' wait is over as well: their values count together with this one.
        for name in &change.settled {
            if self.attributes.waits.remove(name).is_some() {
                self.settle_attribute(name);
            }
        }
    }

    fn wait_for_calm(&mut self, name: &str, dampen_ms: u64) {
        let until_ms = boottime_ms() + dampen_ms.min(DAMPEN_MS_MAX);
        self.attributes.waits.insert(name.to_owned(), until_ms);
    }

    /// The wait is over, here and, by their own clocks, on the other nodes.
    fn settle_attribute(&mut self, name: &str) {
        let own = self.reports.of(self.me.node);
        let own = own.and_then(|r| r.dampened(name)).cloned();
        let changed = self.reports.settle(name);
        if let Some(value) = own {
            self.publish(written(name, value));
        }
        if changed {
            self.control(controller::Input::Changed {
                why: format!("attribute {name} changed"),
            });
        }
    }

    pub(super) fn attributes_on_time(&mut self, now_ms: u64) {
        let due = |at: &u64| *at <= now_ms;
        let waits = self.attributes.waits.iter();
        let over: Vec<String> = waits
            .filter(|(_, at)| due(at))
            .map(|(name, _)| name.clone())
            .collect();
        for name in over {
            self.attributes.waits.remove(&name);
            self.settle_attribute(&name);
        }
        let asks = self.attributes.asks.iter();
        let late: Vec<u64> = asks
            .filter(|(_, a)| due(&a.until_ms))
            .map(|(ask, _)| *ask)
            .collect();
        for ask in late {
            if let Some(waiting) = self.attributes.asks.remove(&ask) {
                let text = format!(
                    "{} did not answer within {} s: the attribute may or may not have been set; look before you repeat it",
                    waiting.node,
                    ASK_MS / 1000
                );
                let _ = waiting.reply.send(error(ErrorKind::InDoubt, &text));
            }
        }
    }
}

/// A value that waits for nothing any more.
fn written(name: &str, value: Option<String>) -> Items {
    let bytes = value.map(String::into_bytes);
    vec![(dampened_key(name), None), (attribute_key(name), bytes)]
}

/// Names and values that the CIB can hold, and that mean no more than they say.
fn check(change: &AttributeChange) -> Result<(), String> {
    let name = &change.name;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(format!(
            "the name of an attribute has 1 to {NAME_BYTES_MAX} bytes, this one has {}",
            name.len()
        ));
    }
    if name == "shutdown" {
        return Err(
            "`shutdown` belongs to the daemon: stop it with `systemctl stop mainstay` on that node"
                .to_owned(),
        );
    }
    if let AttributeUpdate::Set(value) | AttributeUpdate::SetCapacity(value) = &change.update {
        if value.len() > VALUE_BYTES_MAX {
            return Err(format!(
                "the value of an attribute has at most {VALUE_BYTES_MAX} bytes, this one has {}",
                value.len()
            ));
        }
        if !value.chars().all(is_xml) {
            return Err("the value holds characters that XML cannot".to_owned());
        }
    }
    match name.chars().all(is_xml) {
        true => Ok(()),
        false => Err("the name holds characters that XML cannot".to_owned()),
    }
}

/// XML 1.0, section 2.2: what a document may contain.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// `value++` and `value+=N` count from the present value; anything else is a value
/// (daemons/attrd/attrd_corosync.c, `attrd_expand_value`).
fn expanded(value: &str, present: Option<&str>) -> String {
    let step = match value.strip_prefix("value") {
        Some("++") => Some("1"),
        Some(rest) => rest.strip_prefix("+="),
        None => None,
    };
    let Some(step) = step else {
        return value.to_owned();
    };
    let score = |text: &str| Score::parse(text).unwrap_or_default();
    (score(present.unwrap_or("0")) + score(step)).to_string()
}

/// `fail-count-RSC#monitor_10000`, and `last-failure-…`: the resource, its operation and interval.
fn failure_of(name: &str) -> Option<(String, (String, u64))> {
    let rest = name
        .strip_prefix("fail-count-")
        .or_else(|| name.strip_prefix("last-failure-"))?;
    let (rsc, operation) = rest.rsplit_once('#')?;
    let (operation, interval_ms) = operation.rsplit_once('_')?;
    let interval_ms = interval_ms.parse().ok()?;
    Some((rsc.to_owned(), (operation.to_owned(), interval_ms)))
}

/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 1_024;
/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 64 * 1_024;
/// Transient attributes of a node.
const ATTRIBUTES_MAX: usize = 4_096;
// All of them, on 16 nodes and of ordinary length, fit a CIB and an answer.
const _: () = assert!(ATTRIBUTES_MAX * 16 * 128 <= CIB_BYTES_MAX);
/// Longest dampening, in milliseconds: an hour.
const DAMPEN_MS_MAX: u64 = 60 * 60 * 1_000;
/// Questions to other nodes under way at once.
const ASKS_MAX: usize = 256;
/// A node answers within this time, in milliseconds.
const ASK_MS: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_count_up_as_the_attribute_manager_does() {
        for (value, present, result) in [
            ("7", Some("3"), "7"),
            ("value++", None, "1"),
            ("value++", Some("4"), "5"),
            ("value+=10", Some("4"), "14"),
            ("value+=-4", Some("4"), "0"),
            ("value++", Some("INFINITY"), "INFINITY"),
            ("value++", Some("rubbish"), "1"),
            ("values", Some("4"), "values"),
            ("value+", Some("4"), "value+"),
        ] {
            assert_eq!(expanded(value, present), result, "{value} on {present:?}");
        }
    }

    #[test]
    fn fail_counts_are_told_from_other_attributes() {
        assert_eq!(
            failure_of("fail-count-web:0#monitor_10000"),
            Some(("web:0".to_owned(), ("monitor".to_owned(), 10_000)))
        );
        assert!(failure_of("last-failure-a_b#start_0").is_some());
        assert_eq!(failure_of("fail-count-web"), None);
        assert_eq!(failure_of("master-web"), None);
    }

    #[test]
    fn names_and_values_are_bounded() {
        let change = |name: &str, value: &str| AttributeChange {
            node: None,
            name: name.to_owned(),
            update: AttributeUpdate::Set(value.to_owned()),
            dampen_ms: None,
            change_dampening: false,
            private: false,
        };
        assert_eq!(check(&change("#health-cpu", "red\n")), Ok(()));
        for (name, value, word) in [
            ("", "1", "1 to"),
            (&"n".repeat(NAME_BYTES_MAX + 1), "1", "1 to"),
            ("n", &"v".repeat(VALUE_BYTES_MAX + 1), "at most"),
            ("n", "\u{1}", "XML"),
            ("n\u{0}", "1", "XML"),
            ("shutdown", "1", "systemctl stop"),
        ] {
            let text = check(&change(name, value)).unwrap_err();
            assert!(text.contains(word), "{text}");
        }
    }
}
