//! Why things are where they are: reasons collected on the way, and those only the end tells.

use crate::action::flag;
use crate::cluster::{Cluster, ColId, NodeId, RscId};
use crate::options::Placement;
use crate::plan::{Because, Reason};
use crate::resource::{Resource, Role, Variant};
use crate::score::INFINITY;
use std::cmp::Ordering;
use std::collections::BTreeMap;

impl Cluster<'_> {
    /// Keeps a reason for `mainstay why`.
    pub(crate) fn note(&mut self, rsc: RscId, node: Option<NodeId>, because: Because) {
        self.reasons.push(Reason {
            resource: self.rscs[rsc].id.clone(),
            node: node.map(|node| self.nodes[node].name.clone()),
            because,
        });
    }

    /// A score that came from something with a name.
    pub(crate) fn note_score(
        &mut self,
        rsc: RscId,
        node: NodeId,
        amount: i32,
        from: &str,
        id: &str,
    ) {
        let because = Because::Score {
            amount,
            from: from.to_owned(),
            id: id.to_owned(),
        };
        self.note(rsc, Some(node), because);
    }

    /// A mandatory colocation the user wrote.
    pub(crate) fn note_colocation(&mut self, dependent: RscId, primary: RscId, col: ColId) {
        let colocation = &self.colocations[col];
        if colocation.explicit && colocation.score >= INFINITY {
            let because = Because::Needs {
                resource: self.rscs[primary].id.clone(),
                id: colocation.id.clone(),
            };
            self.note(dependent, None, because);
        }
    }

    /// The node chosen, and what decided among equals.
    pub(crate) fn note_choice(&mut self, rsc: RscId, chosen: Option<NodeId>, nodes: &[NodeId]) {
        let r = &self.rscs[rsc];
        let score = |node: NodeId| r.allowed.get(node).map_or(-INFINITY, |w| w.score);
        let Some(node) = chosen.filter(|n| score(*n) >= 0 && self.nodes[*n].available()) else {
            return;
        };
        let equals: Vec<(NodeId, String)> = nodes
            .iter()
            .filter(|n| **n != node && score(**n) == score(node) && self.nodes[**n].available())
            .map(|other| (*other, self.decided(rsc, node, *other).to_owned()))
            .collect();
        let because = Because::Chosen {
            score: score(node),
            // Of several what kept the next best one out.
            tie: equals.first().map(|(_, decided)| decided.clone()),
        };
        self.note(rsc, chosen, because);
        for (other, decided) in equals {
            let chosen = self.nodes[node].name.clone();
            self.note(rsc, Some(other), Because::AsGood { chosen, decided });
        }
    }

    /// What speaks for a node against another one that has the same score: see
    /// [`Self::compare_nodes`] and [`Self::assign_best_node`].
    fn decided(&self, rsc: RscId, node: NodeId, other: NodeId) -> &'static str {
        let current = self.current_node(rsc);
        let (a, b) = (&self.nodes[node], &self.nodes[other]);
        let minimal = self.options.placement == Placement::Minimal;
        let balanced = self.options.placement == Placement::Balanced;
        let score = self.rscs[rsc].allowed.get(node).map_or(0, |w| w.score);
        if current == Some(node) && score > 0 {
            "it runs there already"
        } else if balanced && self.compare_capacities(node, other) == Ordering::Less {
            "it has more capacity left"
        } else if !minimal && a.assigned_count < b.assigned_count {
            "it was given fewer resources before"
        } else if current == Some(node) && !minimal && a.assigned_count == b.assigned_count {
            "it runs there already"
        } else if a.name < b.name {
            "its name comes first"
        } else {
            "it was preferred"
        }
    }

    /// What can only be said when all is decided. Each reason is kept once.
    pub(crate) fn explain(&mut self) {
        for rsc in 0..self.rscs.len() {
            if self.is_primitive(rsc) {
                self.explain_primitive(rsc);
            }
        }
        self.forget_trials();
        let mut sorted: Vec<usize> = (0..self.reasons.len()).collect();
        sorted.sort_by(|a, b| self.reasons[*a].cmp(&self.reasons[*b]));
        let mut repeated = vec![false; sorted.len()];
        for pair in sorted.windows(2) {
            // The sort is stable: of equal ones the first comes first.
            repeated[pair[1]] = self.reasons[pair[0]] == self.reasons[pair[1]];
        }
        let mut repeated = repeated.into_iter();
        self.reasons
            .retain(|_| !repeated.next().unwrap_or_default());
    }

    /// An instance may be given several nodes before one is kept.
    fn forget_trials(&mut self) {
        let placed = |rsc: &Resource| rsc.assigned.map(|node| self.nodes[node].name.as_str());
        let primitives = self.rscs.iter().filter(|r| r.variant == Variant::Primitive);
        let places: BTreeMap<&str, Option<&str>> =
            primitives.map(|r| (r.id.as_str(), placed(r))).collect();
        let mut last: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
        let mut kept = vec![true; self.reasons.len()];
        for (at, reason) in self.reasons.iter().enumerate() {
            let place = places.get(reason.resource.as_str()).copied().flatten();
            match &reason.because {
                Because::Chosen { .. } => kept[at] = reason.node.as_deref() == place,
                Because::AsGood { chosen, .. } => kept[at] = Some(chosen.as_str()) == place,
                _ => continue,
            }
            let about = (reason.resource.clone(), reason.node.clone());
            if kept[at]
                && let Some(before) = last.insert(about, at)
            {
                kept[before] = false;
            }
        }
        let mut kept = kept.into_iter();
        self.reasons.retain(|_| kept.next().unwrap_or_default());
    }

    fn explain_primitive(&mut self, rsc: RscId) {
        let r = &self.rscs[rsc];
        if r.flags.removed && r.active.is_empty() {
            return;
        }
        let mut found: Vec<(Option<NodeId>, Because)> = Vec::new();
        if r.flags.blocked {
            found.extend(self.failed_ops.iter().filter(|f| f.rsc == rsc).map(|f| {
                let operation = f.failure.key.clone();
                (None, Because::Blocked { operation })
            }));
        } else if !r.flags.managed {
            let unfenced = self.options.fencing && !self.have_fencing_device;
            found.push(match unfenced && !r.flags.maintenance {
                true => (None, Because::NoFenceDevice),
                false => (None, Because::NotManaged),
            });
        }
        let all_stop = self.options.stop_all && r.flags.managed;
        if all_stop {
            found.push((None, Because::AllStopped));
        }
        if let Some(role) = self.target_role(rsc) {
            let role = role.name().to_owned();
            found.push((None, Because::TargetRole { role }));
        } else if all_stop {
            // That says it.
        } else if r.assigned.is_none() && r.flags.managed && r.next_role == Role::Stopped {
            found.push((None, Because::Nowhere));
        }
        for (node, _) in r.allowed.iter() {
            if let Some(state) = self.nodes[node].unusable_because() {
                // Without fencing a node that nothing speaks of is simply not there.
                let absent = self.nodes[node].unseen && !self.options.fencing;
                let state = if absent { "offline" } else { state }.to_owned();
                found.push((Some(node), Because::NodeUnusable { state }));
            }
        }
        found.extend(self.explain_start(rsc));
        for (node, because) in found {
            self.note(rsc, node, because);
        }
    }

    /// Why its start cannot run, or what it waits for.
    fn explain_start(&self, rsc: RscId) -> Vec<(Option<NodeId>, Because)> {
        let mut found = Vec::new();
        let Some(start) = self.first_action(rsc, "start", self.rscs[rsc].assigned) else {
            return found;
        };
        let action = &self.actions[start];
        if !self.options.quorate && !action.is(flag::RUNNABLE) {
            let policy = self.options.no_quorum.name().to_owned();
            if matches!(
                action.reason.as_deref(),
                Some("no quorum" | "quorum freeze")
            ) {
                found.push((None, Because::NoQuorum { policy }));
            }
        }
        for relation in &action.before {
            let first = &self.actions[relation.action];
            if first.task == "stonith" && !first.is(flag::OPTIONAL) && !action.is(flag::OPTIONAL) {
                let node = first.node.map_or("", |node| &self.nodes[node].name);
                let node = node.to_owned();
                found.push((None, Because::WaitsForFencing { node }));
            } else if let Some(other) = first.rsc
                && other != rsc
                && first.task == "start"
                && !first.is(flag::RUNNABLE)
                && !action.is(flag::RUNNABLE)
            {
                found.push((None, self.needs(rsc, other)));
            }
        }
        found
    }

    /// The other resource, by the group that joins them or the order that names it.
    fn needs(&self, rsc: RscId, other: RscId) -> Because {
        let parent = self.rscs[rsc].parent;
        let together = parent.filter(|p| {
            self.rscs[*p].variant == Variant::Group && self.rscs[other].parent == parent
        });
        let id = together.map_or("order", |group| &self.rscs[group].id);
        Because::Needs {
            resource: self.rscs[other].id.clone(),
            id: id.to_owned(),
        }
    }
}
