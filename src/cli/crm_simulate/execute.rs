//! A transition executed on paper: every action succeeds, or fails as asked, and leaves its
//! result in the CIB (Pacemaker pcmk_simulate.c, pcmk_graph_consumer.c).

use super::inject::{self, OpSpec};
use super::record::{self, Agent, Outcome, Places};
use crate::view::printer::Printer;
use cib::Element;
use scheduler::{Action, ActionKind, ActionResource, Graph, Plan, ResourceStatus, Synapse};
use std::collections::BTreeSet;

/// What the execution needs to know.
pub(super) struct Paper<'a> {
    pub(super) graph: &'a Graph,
    /// Names by which resources are known.
    pub(super) names: BTreeSet<String>,
    /// Operations that shall fail.
    pub(super) failures: &'a [OpSpec],
    /// Seconds since the epoch.
    pub(super) now: i64,
}

/// What is written into.
struct Sheet<'a> {
    cib: &'a mut Element,
    places: Places,
}

/// Names of all resources, and those that their history knows them by.
pub(super) fn names(plan: &Plan) -> BTreeSet<String> {
    fn collect(resource: &ResourceStatus, names: &mut BTreeSet<String>) {
        names.insert(resource.shown.name.clone());
        names.extend(resource.shown.history_name.clone());
        let replicas = resource.shown.replicas.iter();
        let parts = replicas.flat_map(|replica| &replica.parts);
        parts
            .chain(&resource.children)
            .for_each(|r| collect(r, names));
    }
    let mut names = BTreeSet::new();
    plan.resources.iter().for_each(|r| collect(r, &mut names));
    names
}

impl Paper<'_> {
    /// Executes; `false` when not everything could be. Sweep after sweep over the graph: what
    /// waits for nothing any more is done, and may release what stands behind it.
    pub(super) fn execute(&self, cib: &mut Element, out: &mut Printer) -> bool {
        let ids = self.graph.synapses.iter().map(|s| s.action.id);
        let size = ids.max().map_or(0, |id| id as usize + 1);
        let mut confirmed = vec![false; size];
        let mut failed = vec![false; size];
        let mut stopped = false;
        let places = Places::default();
        let mut sheet = Sheet { cib, places };
        let mut pending: Vec<&Synapse> = self.graph.synapses.iter().collect();
        loop {
            let before = pending.len();
            pending.retain(|synapse| {
                let id = synapse.action.id as usize;
                // A failure frees what has the highest priority, such as the end of a clone's stop
                // (Pacemaker pcmk_graph_consumer.c:pcmk__update_graph).
                let first = synapse.priority >= INFINITY;
                let free = |input: &u32| {
                    let input = *input as usize;
                    let known = confirmed.get(input).copied().unwrap_or(true);
                    known && (first || !failed.get(input).copied().unwrap_or(false))
                };
                if !synapse.inputs.iter().all(free) || skipped(synapse, stopped) {
                    return true;
                }
                confirmed[id] = true;
                if self.perform(&synapse.action, &mut sheet, out) == Performed::Failed {
                    failed[id] = !synapse.action.can_fail;
                    stopped = true;
                }
                false
            });
            if pending.len() == before {
                break;
            }
        }
        stopped || pending.is_empty()
    }

    fn perform(&self, action: &Action, sheet: &mut Sheet, out: &mut Printer) -> Performed {
        let node = action.node.as_ref().map_or("", |(_, name)| name.as_str());
        match action.kind {
            ActionKind::Pseudo => {
                let on = if node.is_empty() { "" } else { " on " };
                let text = format!("Pseudo action:   {}{on}{node}", action.key);
                out.item(&text, || {
                    let xml = Element::new("pseudo_action").with("task", &action.key);
                    if node.is_empty() {
                        xml
                    } else {
                        xml.with("node", node)
                    }
                });
                Performed::Well
            }
            ActionKind::Crm if action.operation == "stonith" => {
                fence(action, node, sheet, out);
                Performed::Well
            }
            ActionKind::Crm => {
                let task = &action.operation;
                let about = match subject(action) {
                    Some(resource) => format!(" for {resource}"),
                    None => String::new(),
                };
                let text = format!("Cluster action:  {task}{about} on {node}");
                out.item(&text, || {
                    let xml = Element::new("cluster_action").with("task", task);
                    let xml = xml.with("node", node);
                    subject(action).map_or(xml.clone(), |id| xml.with("id", id))
                });
                Performed::Well
            }
            ActionKind::Rsc => self.perform_operation(action, node, sheet, out),
        }
    }

    /// Instances are shown with their number, unless their history has it without.
    fn name_of<'r>(&self, resource: &'r ActionResource) -> &'r str {
        let long = resource.long_id.as_ref();
        let long = long.filter(|id| self.names.contains(*id));
        let known = self.names.contains(&resource.id);
        long.filter(|_| !known).unwrap_or(&resource.id)
    }

    fn perform_operation(
        &self,
        action: &Action,
        node: &str,
        sheet: &mut Sheet,
        out: &mut Printer,
    ) -> Performed {
        let Some(resource) = &action.resource else {
            return Performed::Well;
        };
        let name = self.name_of(resource);
        let operation = action.operation.as_str();
        tell_operation(action, name, node, out);
        if matches!(operation, "delete" | "meta-data") {
            return Performed::Well;
        }
        let agent = Agent {
            class: &resource.class,
            provider: resource.provider.as_deref(),
            kind: &resource.kind,
        };
        record::count_change(sheet.cib);
        let id = action.node.as_ref().map(|(id, _)| id.as_str());
        let id = if action.router_node.is_some() {
            Some(node)
        } else {
            id
        };
        let state = record::node_state(sheet.cib, node, id);
        let history = sheet.places.history(state, name, &resource.id, &agent);
        if operation == "cancel" {
            // What failed stays in the history: only a cleanup takes that away.
            let every = action.interval_ms.to_string();
            let cancelled = |op: &cib::Element| {
                op.attr("interval") == Some(&every)
                    && !op.id().is_some_and(|id| id.ends_with("_last_failure_0"))
            };
            history.children.retain(|op| !cancelled(op));
            return Performed::Well;
        }
        let mut outcome = outcome(action, self.now);
        let fails = |name: &str| {
            self.failures
                .iter()
                .find(|f| f.is_about(name, action, node))
        };
        let failure = match fails(name) {
            Some(spec) => Some((name, spec)),
            None => fails(&resource.id).map(|spec| (resource.id.as_str(), spec)),
        };
        if let Some((_, spec)) = failure {
            outcome.rc = spec.rc;
        }
        record::result(history, &resource.id, &outcome);
        let Some((name, spec)) = failure else {
            return Performed::Well;
        };
        out.info(&format!(
            "Pretending action {} failed with rc={}",
            action.id, spec.rc
        ));
        let set = record::failure(state, name, &outcome);
        inject::tell_attributes(out, state, &set);
        Performed::Failed
    }
}

/// What is about to be done with a resource.
fn tell_operation(action: &Action, name: &str, node: &str, out: &mut Printer) {
    let operation = action.operation.as_str();
    let every = match (operation, action.interval_ms) {
        ("delete" | "meta-data", _) | (_, 0) => String::new(),
        (_, every) => format!("={every}"),
    };
    let text = format!("Resource action: {name:<15} {operation}{every} on {node}");
    out.item(&text, || {
        let xml = Element::new("rsc_action").with("resource", name);
        let xml = xml.with("op", operation).with("node", node);
        match every.strip_prefix('=') {
            Some(every) => xml.with("interval", every),
            None => xml,
        }
    });
}

/// How an action went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Performed {
    Well,
    Failed,
}

/// After a failure only what has the highest priority goes on.
fn skipped(synapse: &Synapse, stopped: bool) -> bool {
    stopped && synapse.action.kind != ActionKind::Pseudo && synapse.priority < INFINITY
}

fn outcome(action: &Action, now: i64) -> Outcome<'_> {
    let meta = |name: &str| action.meta.get(name);
    Outcome {
        operation: &action.operation,
        interval_ms: action.interval_ms,
        rc: action.target_rc,
        target_rc: action.target_rc,
        exit_reason: "User-injected result",
        digest: action.digest.as_deref(),
        migration: meta("migrate_source").zip(meta("migrate_target")),
        notification: meta("notify_type")
            .zip(meta("notify_operation"))
            .filter(|_| action.operation == "notify"),
        at: now,
    }
}

fn fence(action: &Action, node: &str, sheet: &mut Sheet, out: &mut Printer) {
    let how = action.meta.get("stonith_action").unwrap_or_default();
    out.item(&format!("Fencing {node} ({how})"), || {
        Element::new("fencing_action")
            .with("target", node)
            .with("op", how)
    });
    if !how.eq_ignore_ascii_case("on") {
        let state = record::node_state(sheet.cib, node, None);
        record::set_up(state, false);
        state.set("crm-debug-origin", "simulate_fencing_action");
        for _ in 0..=record::forget(state) {
            record::count_change(sheet.cib);
        }
        sheet.places.forget(node);
    }
}

/// The resource that a cluster action is about: `clear_failcount` names it in its key.
fn subject(action: &Action) -> Option<&str> {
    if let Some(resource) = &action.resource {
        return Some(&resource.id);
    }
    let end = format!("_{}_0", action.operation);
    action.key.strip_suffix(&end)
}

/// The score that means "must" (Pacemaker `PCMK_SCORE_INFINITY`).
const INFINITY: i32 = 1_000_000;
