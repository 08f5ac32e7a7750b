//! Results that never were, written into a CIB as a node's daemon would write real ones
//! (Pacemaker pcmk_injections.c; lib/pacemaker/pcmk_sched_actions.c:pcmk__create_history_xml).

use cib::Element;
use cib::document::FEATURE_SET;
use std::collections::BTreeMap;

/// An operation's result.
#[derive(Clone, Debug)]
pub(super) struct Outcome<'a> {
    pub(super) operation: &'a str,
    pub(super) interval_ms: u64,
    pub(super) rc: i32,
    /// The exit code that was expected.
    pub(super) target_rc: i32,
    pub(super) exit_reason: &'a str,
    /// Digest of the parameters that it ran with.
    pub(super) digest: Option<&'a str>,
    /// Source and target of a migration.
    pub(super) migration: Option<(&'a str, &'a str)>,
    /// What a notification tells of: `pre` or `post`, and the operation.
    pub(super) notification: Option<(&'a str, &'a str)>,
    /// Seconds since the epoch.
    pub(super) at: i64,
}

/// The agent that a resource's history names.
#[derive(Clone, Debug)]
pub(super) struct Agent<'a> {
    pub(super) class: &'a str,
    pub(super) provider: Option<&'a str>,
    pub(super) kind: &'a str,
}

/// Counts a change as the CIB manager would, that of a simulation is a real one.
pub(super) fn count_change(cib: &mut Element) {
    let before = cib.attr("num_updates").and_then(|n| n.parse::<u64>().ok());
    if let Some(before) = before {
        cib.set("num_updates", &before.saturating_add(1).to_string());
    }
}

/// The status section.
pub(super) fn status(cib: &mut Element) -> &mut Element {
    child(cib, "status", None)
}

/// The state of the node of this name; made where there is none. Its `id` is taken from there
/// when it is not given.
pub(super) fn node_state<'a>(
    cib: &'a mut Element,
    name: &str,
    id: Option<&str>,
) -> &'a mut Element {
    let id = id.map_or_else(|| node_id(cib, name), str::to_owned);
    let states = &mut status(cib).children;
    let by_name = |s: &Element| s.name == "node_state" && s.attr("uname") == Some(name);
    let by_id = |s: &Element| s.name == "node_state" && s.id() == Some(&id);
    let found = states.iter().position(by_name);
    let found = found.or_else(|| states.iter().position(by_id));
    if found.is_none() {
        count_change(cib);
        introduce(cib, name, &id);
    }
    let states = &mut status(cib).children;
    let at = found.unwrap_or_else(|| {
        states.push(Element::new("node_state").with("id", &id));
        states.len() - 1
    });
    states[at].set("uname", name);
    &mut states[at]
}

/// A node that nobody has heard of joins the configuration
/// (Pacemaker pcmk_injections.c:create_node_entry).
fn introduce(cib: &mut Element, name: &str, id: &str) {
    let configuration = child(cib, "configuration", None);
    let resources = configuration.first("resources");
    if resources.is_some_and(|r| is_remote(r, name)) {
        return;
    }
    let nodes = child(configuration, "nodes", None);
    if nodes.all("node").all(|n| n.attr("uname") != Some(name)) {
        let node = Element::new("node").with("id", id);
        nodes.children.push(node.with("uname", name));
    }
}

/// A resource is, or makes, the remote node of this name.
fn is_remote(element: &Element, name: &str) -> bool {
    let connection = element.name == "primitive" && element.id() == Some(name);
    let guest = element.attr("name") == Some("remote-node") && element.attr("value") == Some(name);
    let replica = element.name == "bundle"
        && element.id().is_some_and(|id| {
            let number = name
                .strip_prefix(id)
                .and_then(|rest| rest.strip_prefix('-'));
            number.is_some_and(|n| n.parse::<u32>().is_ok())
        });
    connection || guest || replica || element.children.iter().any(|c| is_remote(c, name))
}

/// The id that the configuration gives a node; its name where it has none there.
fn node_id(cib: &Element, name: &str) -> String {
    let nodes = cib.first("configuration").and_then(|c| c.first("nodes"));
    let mut all = nodes.into_iter().flat_map(|n| n.all("node"));
    let node = all.find(|n| n.attr("uname") == Some(name));
    node.and_then(Element::id).unwrap_or(name).to_owned()
}

/// Where on which node histories stand: to look for each among thousands would be most of the work
/// of a simulation. Of two histories of one name neither counts
/// (Pacemaker pcmk_injections.c:find_resource_xml).
#[derive(Clone, Debug, Default)]
pub(super) struct Places(BTreeMap<String, BTreeMap<String, Option<usize>>>);

impl Places {
    /// The history of a resource on a node, under one of its names; made under the second where
    /// there is none.
    pub(super) fn history<'a>(
        &mut self,
        state: &'a mut Element,
        name: &str,
        history_name: &str,
        agent: &Agent,
    ) -> &'a mut Element {
        let id = state.id().unwrap_or_default().to_owned();
        let node = state.attr("uname").unwrap_or_default().to_owned();
        let lrm = child(state, "lrm", Some(&id));
        let all = &mut child(lrm, "lrm_resources", None).children;
        let known = self.0.entry(node).or_insert_with(|| {
            let mut known = BTreeMap::new();
            for (at, history) in all.iter().enumerate() {
                note(&mut known, history.id().unwrap_or_default(), at);
            }
            known
        });
        let find = |wanted: &str| known.get(wanted).copied().flatten();
        let at = find(name).or_else(|| find(history_name));
        let at = at.unwrap_or_else(|| {
            let mut made = Element::new("lrm_resource").with("id", history_name);
            made.set("class", agent.class);
            if let Some(provider) = agent.provider {
                made.set("provider", provider);
            }
            made.set("type", agent.kind);
            all.push(made);
            note(known, history_name, all.len() - 1);
            all.len() - 1
        });
        &mut all[at]
    }

    /// What is known of a node's histories is no longer so.
    pub(super) fn forget(&mut self, node: &str) {
        self.0.remove(node);
    }
}

fn note(known: &mut BTreeMap<String, Option<usize>>, id: &str, at: usize) {
    let place = known.entry(id.to_owned());
    place.and_modify(|place| *place = None).or_insert(Some(at));
}

/// Writes a result into a resource's history; `rsc` is the name that its operations have. What
/// stands there already keeps the attributes that a result does not have.
pub(super) fn result(history: &mut Element, rsc: &str, outcome: &Outcome) {
    let call_ids = history
        .all("lrm_rsc_op")
        .filter_map(|op| op.attr("call-id")?.parse().ok());
    let call_id: u64 = call_ids.max().unwrap_or(0) + 1;
    let failed = outcome.rc != outcome.target_rc;
    for name in entries(rsc, outcome, failed) {
        let ops = &mut history.children;
        let at = ops.iter().position(|op| op.id() == Some(&name));
        let at = at.unwrap_or_else(|| {
            ops.push(Element::new("lrm_rsc_op").with("id", &name));
            ops.len() - 1
        });
        write(&mut ops[at], rsc, outcome, call_id, failed);
    }
}

/// Ids of the entries that a result is written to.
fn entries(rsc: &str, outcome: &Outcome, failed: bool) -> Vec<String> {
    let (operation, every) = (outcome.operation, outcome.interval_ms);
    let last = format!("{rsc}_last_0");
    match (outcome.notification, failed, every) {
        (Some((kind, about)), ..) => vec![format!("{rsc}_{kind}_notify_{about}_0")],
        (None, true, 0) => vec![last, format!("{rsc}_last_failure_0")],
        (None, true, _) => vec![format!("{rsc}_last_failure_0")],
        // A migration is told beside what came before it.
        (None, false, 0) if matches!(operation, "migrate_to" | "migrate_from") => {
            vec![format!("{rsc}_{operation}_0")]
        }
        (None, false, 0) => vec![last],
        (None, false, every) => vec![format!("{rsc}_{operation}_{every}")],
    }
}

fn write(entry: &mut Element, rsc: &str, outcome: &Outcome, call_id: u64, failed: bool) {
    // A reload counts as a start.
    let operation = match outcome.operation {
        "reload" | "reload-agent" => "start",
        other => other,
    };
    let (every, rc) = (outcome.interval_ms, outcome.rc);
    let key = format!("{call_id}:-1:{}:{NO_TRANSITION}", outcome.target_rc);
    let reason = if failed { outcome.exit_reason } else { "" };
    let at = outcome.at.to_string();
    for (name, value) in [
        (
            "operation_key",
            format!("{rsc}_{operation}_{every}").as_str(),
        ),
        ("operation", operation),
        ("crm-debug-origin", ORIGIN),
        ("crm_feature_set", FEATURE_SET),
        ("transition-key", &key),
        ("transition-magic", &format!("0:{rc};{key}")),
        ("exit-reason", reason),
        ("call-id", &call_id.to_string()),
        ("rc-code", &rc.to_string()),
        ("op-status", "0"),
        ("interval", &every.to_string()),
        ("last-rc-change", &at),
        ("exec-time", "0"),
        ("queue-time", "0"),
    ] {
        entry.set(name, value);
    }
    if let Some((source, target)) = outcome.migration {
        entry.set("migrate_source", source);
        entry.set("migrate_target", target);
    }
    if let Some(digest) = outcome.digest {
        entry.set("op-digest", digest);
    }
}

/// Counts a failure; the attributes set, with what is set. A probe that found nothing is none.
pub(super) fn failure(
    state: &mut Element,
    resource: &str,
    outcome: &Outcome,
) -> Vec<(String, String)> {
    let (operation, every) = (outcome.operation, outcome.interval_ms);
    if outcome.rc == 0 || (outcome.rc == NOT_RUNNING && every == 0) {
        return Vec::new();
    }
    let count = format!("fail-count-{resource}#{operation}_{every}");
    let last = format!("last-failure-{resource}#{operation}_{every}");
    let now = outcome.at.to_string();
    transient(state, &count, "value++");
    transient(state, &last, &now);
    vec![(count, "value++".to_owned()), (last, now)]
}

/// Sets a transient attribute; `value++` counts up.
fn transient(state: &mut Element, name: &str, value: &str) {
    let id = state.id().unwrap_or_default().to_owned();
    let attributes = child(state, "transient_attributes", Some(&id));
    let pairs = &mut child(attributes, "instance_attributes", Some(&id)).children;
    let old = pairs.iter_mut().find(|p| p.attr("name") == Some(name));
    let before = old.as_ref().and_then(|p| p.attr("value"));
    let value = match value {
        "value++" => match before {
            Some("INFINITY") => "INFINITY".to_owned(),
            before => {
                let count: i64 = before.and_then(|v| v.parse().ok()).unwrap_or(0);
                count.saturating_add(1).to_string()
            }
        },
        value => value.to_owned(),
    };
    match old {
        Some(pair) => pair.set("value", &value),
        None => pairs.push(
            Element::new("nvpair")
                .with("id", &format!("{id}-{}", name.replace([':', '#'], ".")))
                .with("name", name)
                .with("value", &value),
        ),
    }
}

/// The node has come, or gone.
pub(super) fn set_up(state: &mut Element, up: bool) {
    let words = match up {
        true => ["true", "online", "member", "member"],
        false => ["false", "offline", "down", "down"],
    };
    for (name, word) in ["in_ccm", "crmd", "join", "expected"]
        .into_iter()
        .zip(words)
    {
        state.set(name, word);
    }
    state.set("crm-debug-origin", ORIGIN);
}

/// Nothing is known of what ran on a node; answers how many sections that took away.
pub(super) fn forget(state: &mut Element) -> usize {
    let gone = ["lrm", "transient_attributes"];
    let before = state.children.len();
    state.children.retain(|c| !gone.contains(&c.name.as_str()));
    before - state.children.len()
}

/// The child of that name, made where it is missing.
pub(super) fn child<'a>(parent: &'a mut Element, name: &str, id: Option<&str>) -> &'a mut Element {
    let at = parent.children.iter().position(|c| c.name == name);
    let at = at.unwrap_or_else(|| {
        let mut made = Element::new(name);
        if let Some(id) = id {
            made.set("id", id);
        }
        parent.children.push(made);
        parent.children.len() - 1
    });
    &mut parent.children[at]
}

/// Who says so.
const ORIGIN: &str = "crm_simulate";
/// OCF's code for a resource that does not run.
const NOT_RUNNING: i32 = 7;
/// Stands for the controller that never was.
const NO_TRANSITION: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
