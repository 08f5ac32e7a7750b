//! The "Transition Summary": one line for each resource or node that changes
//! (Pacemaker pcmk_output.c:rsc_action_default, rsc_action_item).

use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::resource::{Role, Variant};

impl Cluster<'_> {
    /// Lines without bullets, fencing first.
    pub(crate) fn summarize(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for action in self.actions.iter().rev() {
            if action.rsc.is_some() || action.is(flag::OPTIONAL) || action.task != "stonith" {
                continue;
            }
            let how = action.meta.get("stonith_action").unwrap_or_default();
            let mut name = action
                .node
                .map_or_else(String::new, |node| self.nodes[node].name.clone());
            if let Some(container) = action.node.and_then(|node| self.container_of(node)) {
                name = format!("{name} (resource: {})", self.rscs[container].id);
            }
            let reason = action.reason.as_deref().unwrap_or("");
            lines.push(format!("Fence ({how}) {name} '{reason}'"));
        }
        for rsc in self.top.clone() {
            self.summarize_resource(rsc, &mut lines);
        }
        lines
    }

    fn summarize_resource(&mut self, rsc: RscId, lines: &mut Vec<String>) {
        for replica in self.rscs[rsc].replicas.clone() {
            let parts = [
                replica.ip,
                Some(replica.container),
                replica.remote,
                replica.child,
            ];
            for part in parts.into_iter().flatten() {
                self.summarize_resource(part, lines);
            }
        }
        if self.rscs[rsc].variant == Variant::Bundle {
            return;
        }
        if !self.rscs[rsc].children.is_empty() {
            for child in self.rscs[rsc].children.clone() {
                self.summarize_resource(child, lines);
            }
            return;
        }
        let next = self.rscs[rsc].assigned;
        let mut current = None;
        if !self.rscs[rsc].active.is_empty() {
            current = self.current_node(rsc);
            if self.rscs[rsc].role == Role::Stopped {
                self.rscs[rsc].role = Role::Started;
            }
        }
        let r = &self.rscs[rsc];
        if (current.is_none() && (r.flags.removed || next.is_none())) || !r.flags.managed {
            return;
        }
        self.summarize_primitive(rsc, current, next, lines);
    }

    fn summarize_primitive(
        &mut self,
        rsc: RscId,
        current: Option<NodeId>,
        next: Option<NodeId>,
        lines: &mut Vec<String>,
    ) {
        let moving = current.is_some() && next.is_some() && current != next;
        let first = |found: Vec<ActId>| found.first().copied();
        let start = first(self.find_actions(rsc, "start", 0, next));
        let start_runnable = start.is_some_and(|id| self.actions[id].is(flag::RUNNABLE));
        let stop_node = if start_runnable { current } else { None };
        let mut stop = first(self.find_actions(rsc, "stop", 0, stop_node));
        if stop.is_none() && self.rscs[rsc].flags.stop_unexpected {
            stop = first(self.find_actions(rsc, "stop", 0, None));
        }
        let promote = first(self.find_actions(rsc, "promote", 0, next));
        let demote = first(self.find_actions(rsc, "demote", 0, next));
        let migrate = first(self.find_actions(rsc, "migrate_from", 0, next));
        let r = &self.rscs[rsc];
        let (flags, role, next_role) = (r.flags, r.role, r.next_role);
        let needed = |id: Option<ActId>| id.is_some_and(|id| !self.actions[id].is(flag::OPTIONAL));
        let line = |change: &str, from, to, action, source| {
            self.summary_line(change, rsc, (from, to), action, source)
        };
        if role == next_role {
            let migrates = migrate.is_some_and(|id| self.actions[id].is(flag::RUNNABLE));
            if migrates && current.is_some() && next.is_some() {
                lines.extend(line("Migrate", current, next, start, None));
            } else if flags.reload {
                lines.extend(line("Reload", current, next, start, None));
            } else if !needed(start) {
                if needed(demote) && needed(promote) {
                    lines.extend(line("Re-promote", current, next, promote, demote));
                }
            } else if !start_runnable {
                let has_reason = stop.is_some_and(|id| self.actions[id].reason.is_some());
                let source = if has_reason { stop } else { start };
                lines.extend(line("Stop", current, None, stop, source));
            } else if moving {
                let change = if flags.failed { "Recover" } else { "Move" };
                lines.extend(line(change, current, next, stop, None));
            } else if flags.failed {
                lines.extend(line("Recover", current, None, stop, None));
            } else {
                lines.extend(line("Restart", current, next, start, None));
            }
            return;
        }
        if stop.is_some() && (next_role == Role::Stopped || (start.is_some() && !start_runnable)) {
            self.summarize_stops(rsc, start, lines);
        } else if stop.is_some() && flags.failed && flags.stop_if_failed {
            lines.extend(line("Recover", current, next, stop, start));
        } else if moving {
            lines.extend(line("Move", current, next, stop, None));
        } else if flags.reload {
            lines.extend(line("Reload", current, next, start, None));
        } else if needed(stop) {
            lines.extend(line("Restart", current, next, start, None));
        } else if role == Role::Promoted {
            lines.extend(line("Demote", current, next, demote, None));
        } else if next_role == Role::Promoted {
            lines.extend(line("Promote", current, next, promote, None));
        } else if role == Role::Stopped && next_role > Role::Stopped {
            lines.extend(line("Start", current, next, start, None));
        }
    }

    fn summarize_stops(&mut self, rsc: RscId, start: Option<ActId>, lines: &mut Vec<String>) {
        for node in self.rscs[rsc].active.clone() {
            let stop = self
                .find_actions(rsc, "stop", 0, Some(node))
                .first()
                .copied();
            let has_reason = stop.is_some_and(|id| self.actions[id].reason.is_some());
            let source = if has_reason { stop } else { start };
            lines.extend(self.summary_line("Stop", rsc, (Some(node), None), stop, source));
        }
    }

    fn summary_line(
        &self,
        change: &str,
        rsc: RscId,
        (from, to): (Option<NodeId>, Option<NodeId>),
        action: Option<ActId>,
        source: Option<ActId>,
    ) -> Option<String> {
        let action = action?;
        let source = source.unwrap_or(action);
        let r = &self.rscs[rsc];
        let name = |node: NodeId| self.nodes[node].name.as_str();
        let need_role = r.role > Role::Started || r.next_role > Role::Unpromoted;
        let same_role = r.role == r.next_role;
        let same_host = from.is_some() && from == to;
        let (role, next_role) = (r.role.name(), r.next_role.name());
        let details = match (from, to) {
            (None, None) => return None,
            (None, Some(to)) if need_role => format!("{role} -> {next_role} {}", name(to)),
            (None, Some(to)) => name(to).to_owned(),
            (Some(from), None) if need_role => format!("{role} {}", name(from)),
            (Some(from), None) => name(from).to_owned(),
            (Some(from), _) if need_role && same_role && same_host => {
                format!("{role} {}", name(from))
            }
            (Some(from), _) if same_role && same_host => name(from).to_owned(),
            (Some(from), Some(to)) if need_role && same_role => {
                format!("{} -> {} {role}", name(from), name(to))
            }
            (Some(from), Some(to)) if same_role => format!("{} -> {}", name(from), name(to)),
            (Some(from), _) if need_role && same_host => {
                format!("{role} -> {next_role} {}", name(from))
            }
            (Some(from), Some(to)) if need_role => {
                format!("{role} {} -> {next_role} {}", name(from), name(to))
            }
            (Some(from), Some(to)) if same_host => {
                let _ = to;
                name(from).to_owned()
            }
            (Some(from), Some(to)) => format!("{} -> {}", name(from), name(to)),
        };
        let runnable = self.actions[action].is(flag::RUNNABLE);
        let mut line = format!("{change:<10} {:<15} ( {details} )", r.id);
        match (&self.actions[source].reason, runnable) {
            (Some(reason), true) => line.push_str(&format!("  due to {reason}")),
            (Some(reason), false) => line.push_str(&format!("  due to {reason} (blocked)")),
            (None, false) => line.push_str("  blocked"),
            (None, true) => {}
        }
        Some(line)
    }
}
