//! The transition graph: which actions are really done, and what each waits for
//! (Pacemaker pcmk_graph_producer.c).

use crate::action::{Action, flag};
use crate::cluster::{ActId, Cluster, RscId};
use crate::constraint::relation;
use crate::options::NoQuorum;
use crate::plan;
use crate::resource::Variant;
use crate::values::Values;
use std::collections::{BTreeMap, BTreeSet};

/// Bits that make an ordering more than a preference for one sequence.
const MERE_ORDER: u32 =
    relation::FIRST_IMPLIES_THEN_GRAPHED | relation::THEN_IMPLIES_FIRST_GRAPHED | relation::ORDERED;

impl Cluster<'_> {
    /// Writes the graph.
    pub(crate) fn build_graph(&mut self) -> plan::Graph {
        self.break_load_loops();
        self.break_circles();
        let mut graph = plan::Graph {
            synapses: Vec::new(),
            cluster_delay_ms: self.options.cluster_delay_ms,
            fencing_timeout_ms: self.options.fencing_timeout_ms,
            batch_limit: self.options.batch_limit,
            migration_limit: self.options.migration_limit,
        };
        for rsc in self.top.clone() {
            self.graph_resource(rsc, &mut graph);
        }
        for id in (0..self.actions.len()).rev() {
            self.warn_of_blocked_shutdown(id);
            self.graph_action(id, &mut graph);
        }
        self.drop_unreachable(&mut graph);
        graph
    }

    /// A stop that cannot be done keeps its node from leaving
    /// (Pacemaker pcmk_graph_producer.c:pcmk__create_graph).
    fn warn_of_blocked_shutdown(&mut self, id: ActId) {
        let action = &self.actions[id];
        let (Some(rsc), Some(node)) = (action.rsc, action.node) else {
            return;
        };
        let (flags, node) = (&self.rscs[rsc].flags, &self.nodes[node]);
        let is_possible = action.flags & (flag::OPTIONAL | flag::RUNNABLE) != 0;
        let may_act = self.options.quorate || self.options.no_quorum == NoQuorum::Ignore;
        if action.task != "stop" || is_possible || !node.shutdown || flags.maintenance || !may_act {
            return;
        }
        let how = if node.unclean { "fenced" } else { "shut down" };
        let why = match (flags.managed, flags.failed) {
            (false, true) => "failed and is not managed",
            (false, false) => "is not managed",
            (true, true) => "failed and is blocked",
            (true, false) => "is blocked",
        };
        self.warnings.push(format!(
            "node {} cannot be {how}, because {} {why}",
            node.name, self.rscs[rsc].id
        ));
    }

    /// What waits for an action that will not be done would wait for ever (Pacemaker keeps it
    /// in the graph and ends the transition as incomplete).
    fn drop_unreachable(&mut self, graph: &mut plan::Graph) {
        let mut present = vec![false; self.actions.len() + 1];
        for synapse in &graph.synapses {
            present[synapse.action.id as usize] = true;
        }
        loop {
            let mut dropped = Vec::new();
            graph.synapses.retain(|synapse| {
                let kept = synapse.inputs.iter().all(|input| present[*input as usize]);
                if !kept {
                    dropped.push((synapse.action.id, synapse.action.key.clone()));
                }
                kept
            });
            if dropped.is_empty() {
                break;
            }
            for (id, key) in dropped {
                present[id as usize] = false;
                self.warnings.push(format!(
                    "{key} is not done, because what must come first cannot be done"
                ));
            }
        }
        for (id, synapse) in graph.synapses.iter_mut().enumerate() {
            synapse.id = u32::try_from(id).unwrap_or(u32::MAX);
        }
    }

    fn graph_resource(&mut self, rsc: RscId, graph: &mut plan::Graph) {
        if self.rscs[rsc].variant == Variant::Bundle {
            self.graph_bundle(rsc, graph);
            return;
        }
        if self.is_clone(rsc) {
            for id in self.rscs[rsc].actions.clone().into_iter().rev() {
                self.action_flags(id, None);
            }
            self.create_notifications(rsc);
            for child in self.rscs[rsc].children.clone() {
                self.graph_resource(child, graph);
            }
        }
        for id in self.rscs[rsc].actions.clone().into_iter().rev() {
            self.graph_action(id, graph);
        }
        for child in self.rscs[rsc].children.clone() {
            self.graph_resource(child, graph);
        }
    }

    /// What is inside comes first, the bundle's own actions stand with the cluster's
    /// (Pacemaker pcmk_sched_bundle.c:pcmk__bundle_add_actions_to_graph).
    fn graph_bundle(&mut self, bundle: RscId, graph: &mut plan::Graph) {
        if let Some(inside) = self.bundled_clone(bundle) {
            self.graph_resource(inside, graph);
        }
        for replica in self.rscs[bundle].replicas.clone() {
            let parts = [replica.ip, Some(replica.container), replica.remote];
            for part in parts.into_iter().flatten() {
                self.graph_resource(part, graph);
            }
        }
    }

    fn graph_action(&mut self, id: ActId, graph: &mut plan::Graph) {
        if self.actions[id].is(flag::IN_GRAPH) || !self.belongs_in_graph(id) {
            return;
        }
        self.actions[id].flags |= flag::IN_GRAPH;
        let mut inputs: Vec<u32> = Vec::new();
        for index in 0..self.actions[id].before.len() {
            if self.input_counts(id, index) {
                inputs.push(number(self.actions[id].before[index].action));
            }
        }
        inputs.sort_unstable();
        inputs.dedup();
        let rsc_priority = self.actions[id]
            .rsc
            .map_or(0, |rsc| self.rscs[rsc].priority);
        graph.synapses.push(plan::Synapse {
            id: u32::try_from(graph.synapses.len()).unwrap_or(u32::MAX),
            priority: rsc_priority.max(self.actions[id].priority).max(0),
            action: self.graph_element(id),
            inputs,
        });
    }

    /// Pacemaker pcmk_graph_producer.c:should_add_action_to_graph.
    pub(crate) fn belongs_in_graph(&self, id: ActId) -> bool {
        let action = &self.actions[id];
        if !action.is(flag::RUNNABLE)
            || (action.is(flag::OPTIONAL) && !action.is(flag::ALWAYS_IN_GRAPH))
        {
            return false;
        }
        let unmanaged = action.rsc.is_some_and(|rsc| !self.rscs[rsc].flags.managed);
        if unmanaged && action.task != "monitor" && !action.meta.contains_key("interval") {
            return false;
        }
        if action.is(flag::PSEUDO) || matches!(action.task.as_str(), "stonith" | "do_shutdown") {
            return true;
        }
        let Some(node) = action.node else {
            return false;
        };
        if self.is_guest(node) && !self.nodes[node].remote_reset {
            return true;
        }
        action.is(flag::ON_DC) || self.nodes[node].alive()
    }

    /// Pacemaker pcmk_graph_producer.c:should_add_input_to_graph.
    pub(crate) fn input_counts(&mut self, id: ActId, index: usize) -> bool {
        let input = self.actions[id].before[index];
        let (action, first) = (&self.actions[id], &self.actions[input.action]);
        let runnable = first.is(flag::RUNNABLE);
        let migratable = first.is(flag::MIGRATABLE);
        if input.kind == 0
            || (!runnable && input.kind & !MERE_ORDER == 0)
            || (!runnable && input.kind & relation::MIN_RUNNABLE != 0)
            || (!runnable && input.kind & relation::UNMIGRATABLE_THEN_BLOCKS != 0)
            || (migratable && input.kind & relation::IF_FIRST_UNMIGRATABLE != 0)
            || (migratable && input.kind == relation::ORDERED && first.uuid.ends_with("_stop_0"))
        {
            return false;
        }
        if input.kind == relation::IF_ON_SAME_NODE_OR_TARGET {
            return self.load_order_counts(action, first);
        }
        if input.kind == relation::IF_REQUIRED_ON_SAME_NODE {
            let elsewhere =
                first.node.is_some() && action.node.is_some() && first.node != action.node;
            return !elsewhere && !first.is(flag::OPTIONAL);
        }
        if let (Some(first_rsc), Some(rsc)) = (first.rsc, action.rsc) {
            let flags = &self.rscs[first_rsc].flags;
            if first_rsc != rsc
                && flags.failed
                && !flags.managed
                && first.uuid.ends_with("_stop_0")
                && self.is_clone(rsc)
            {
                return false;
            }
        }
        !first.is(flag::OPTIONAL)
            || first.flags & (flag::ALWAYS_IN_GRAPH | flag::IN_GRAPH) != 0
            || self.belongs_in_graph(input.action)
    }

    fn load_order_counts(&self, action: &Action, first: &Action) -> bool {
        let node = if action.task == "migrate_to" {
            action.rsc.and_then(|rsc| self.rscs[rsc].assigned)
        } else {
            action.node
        };
        node.is_some() && first.node == node && !first.is(flag::OPTIONAL)
    }

    /// Two resources that change places by migration must not wait for each other's room
    /// (Pacemaker pcmk_sched_ordering.c:ordering_is_invalid).
    fn break_load_loops(&mut self) {
        for id in 0..self.actions.len() {
            if self.actions[id].task != "migrate_to" {
                continue;
            }
            for index in 0..self.actions[id].before.len() {
                let input = self.actions[id].before[index];
                if input.kind == relation::IF_ON_SAME_NODE_OR_TARGET
                    && self.input_counts(id, index)
                    && self.comes_after(input.action, id)
                {
                    self.actions[id].before[index].kind = 0;
                }
            }
        }
    }

    /// Whether an action waits, directly or not, for another.
    fn comes_after(&mut self, action: ActId, other: ActId) -> bool {
        let mut seen = BTreeSet::from([action]);
        let mut pending = vec![action];
        while let Some(id) = pending.pop() {
            if id == other {
                return true;
            }
            for index in 0..self.actions[id].before.len() {
                let first = self.actions[id].before[index].action;
                if self.input_counts(id, index) && seen.insert(first) {
                    pending.push(first);
                }
            }
        }
        false
    }

    pub(crate) fn graph_element(&self, id: ActId) -> plan::Action {
        let action = &self.actions[id];
        let pseudo = action.is(flag::PSEUDO);
        let kind = match action.task.as_str() {
            "stonith" if !pseudo => plan::ActionKind::Crm,
            "do_shutdown" | "clear_failcount" | "lrm_delete" => plan::ActionKind::Crm,
            _ if pseudo => plan::ActionKind::Pseudo,
            _ => plan::ActionKind::Rsc,
        };
        let node = action
            .node
            .filter(|_| kind != plan::ActionKind::Pseudo || action.task == "stonith")
            .map(|node| (self.nodes[node].id.clone(), self.nodes[node].name.clone()));
        let router = if pseudo { None } else { self.router_of(id) };
        let meta = self.graph_meta(action, node.as_ref());
        let number_of = |name: &str| meta.get(name).and_then(|v| v.parse::<u64>().ok());
        let with_agent = action.rsc.filter(|_| kind != plan::ActionKind::Pseudo);
        let on_fail = with_agent.map(|rsc| {
            self.on_fail(rsc, &action.op, action.interval_ms, &action.meta)
                .name()
                .to_owned()
        });
        let mut params = BTreeMap::new();
        if let Some(rsc) = action.rsc
            && self.is_primitive(rsc)
        {
            params = self.params(rsc, action.node);
            params.extend(action.extra.clone());
        }
        plan::Action {
            id: number(id),
            kind,
            operation: action.task.to_string(),
            key: self.graph_key(action),
            internal_key: action
                .rsc
                .is_some_and(|rsc| self.rscs[rsc].history_id.is_some())
                .then(|| action.uuid.to_string()),
            node,
            router_node: router.map(|node| self.nodes[node].name.clone()),
            resource: with_agent.map(|rsc| self.graph_resource_element(rsc)),
            interval_ms: action.interval_ms,
            timeout_ms: number_of("timeout").unwrap_or(0),
            start_delay_ms: number_of("start_delay").unwrap_or(0),
            target_rc: meta
                .get("op_target_rc")
                .and_then(|v| v.parse().ok())
                .unwrap_or(0),
            can_fail: action.meta.get("can_fail") == Some("true"),
            on_fail: on_fail.unwrap_or_default(),
            digest: self.graph_digest(action, with_agent),
            params,
            meta,
            reason: action.reason.clone(),
        }
    }

    /// Instances are named as the history names them
    /// (Pacemaker pcmk_graph_producer.c:clone_op_key).
    fn graph_key(&self, action: &Action) -> String {
        let Some(id) = action
            .rsc
            .and_then(|rsc| self.rscs[rsc].history_id.as_ref())
        else {
            return action.uuid.to_string();
        };
        let meta = |name: &str| action.meta.get(name).unwrap_or_default();
        match action.task.as_str() {
            "notify" => {
                let (when, about) = (meta("notify_type"), meta("notify_operation"));
                crate::text::op_key(id, &format!("{when}_notify_{about}"), 0)
            }
            "cancel" => crate::text::op_key(id, &action.op, action.interval_ms),
            task => crate::text::op_key(id, task, action.interval_ms),
        }
    }

    fn graph_digest(&self, action: &Action, rsc: Option<RscId>) -> Option<String> {
        let rsc = rsc?;
        let executed = !matches!(
            action.task.as_str(),
            "cancel" | "delete" | "lrm_delete" | "clear_failcount"
        );
        executed.then(|| self.operation_digest(rsc, &action.op, action.interval_ms, action.node))
    }

    fn graph_resource_element(&self, rsc: RscId) -> plan::ActionResource {
        let r = &self.rscs[rsc];
        let (id, long_id) = if r.flags.removed
            && let Some(history) = &r.history_id
        {
            (history.clone(), Some(r.id.clone()))
        } else if r.flags.unique {
            (r.id.clone(), None)
        } else {
            let long = r
                .history_id
                .clone()
                .filter(|history| *history != r.xml_id)
                .unwrap_or_else(|| r.id.clone());
            (r.xml_id.clone(), Some(long))
        };
        plan::ActionResource {
            long_id: long_id.filter(|long| *long != id),
            id,
            class: r.class.clone(),
            provider: r.provider.clone(),
            kind: r.kind.clone(),
        }
    }

    /// Meta attributes as the graph names them: dashes become underscores.
    fn graph_meta(&self, action: &Action, node: Option<&(String, String)>) -> Values {
        let named = |name: &str| {
            name.chars()
                .map(|c| if c == '-' { '_' } else { c })
                .collect()
        };
        let pairs = action.meta.iter();
        let mut meta: Values = pairs
            .map(|(name, value)| (named(name), value.into()))
            .collect();
        if let Some((id, name)) = node {
            meta.insert("on_node", name);
            meta.insert("on_node_uuid", id);
        }
        let mut at = action.rsc;
        while let Some(rsc) = at {
            let r = &self.rscs[rsc];
            if r.variant == Variant::Primitive
                && let Some(number) = r.meta.get("clone")
            {
                meta.insert("clone", number);
            }
            if Some(rsc) == action.rsc
                && let Some(name) = r.meta.get("remote-node")
            {
                meta.insert("remote_node", name);
            }
            if let Some(container) = r.container {
                meta.insert("container", &self.rscs[container].id);
            }
            if let Some(data) = r.clone.filter(|_| r.variant == Variant::Clone) {
                for (name, value) in [
                    ("clone_max", data.max.to_string()),
                    ("clone_node_max", data.node_max.to_string()),
                    ("globally_unique", r.flags.unique.to_string()),
                    ("notify", r.flags.notify.to_string()),
                ] {
                    meta.insert(name, value);
                }
                if r.flags.promotable {
                    for prefix in ["promoted", "master"] {
                        let max = data.promoted_max.to_string();
                        meta.insert(&format!("{prefix}_max"), max);
                        let max = data.promoted_node_max.to_string();
                        meta.insert(&format!("{prefix}_node_max"), max);
                    }
                }
            }
            at = r.parent;
        }
        self.guest_meta(action, &mut meta);
        meta
    }

    /// The machine behind a guest, before or after what is done
    /// (Pacemaker pcmk_sched_remote.c:pcmk__add_guest_meta_to_xml).
    fn guest_meta(&self, action: &Action, meta: &mut Values) {
        let (Some(rsc), Some(node)) = (action.rsc, action.node) else {
            return;
        };
        let Some(container) = self.container_of(node) else {
            return;
        };
        let task = match action.task.as_str() {
            "notify" | "notified" => meta.get("notify_key_operation").unwrap_or_default(),
            task => task,
        };
        let host = match task {
            "stop" | "stopped" | "demote" | "demoted" => self.current_node(container),
            "start" | "running" | "monitor" | "promote" | "promoted" => {
                self.rscs[container].assigned
            }
            _ => None,
        };
        let Some(host) = host else {
            return;
        };
        let name = "container-attribute-target";
        if let Some(target) = self.rscs[rsc].meta.get(name) {
            meta.insert(&name.replace('-', "_"), target);
        }
        let host = self.nodes[host].name.clone();
        meta.insert("physical_host", host);
    }
}

/// Actions are numbered from one, in order of creation.
pub(crate) fn number(id: ActId) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX).saturating_add(1)
}
