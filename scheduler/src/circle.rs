//! Orderings that contradict each other: a graph that waits for itself would never end, so one
//! ordering of each circle gives way. The rule: of the constraints in the circle the one that
//! stands last in the configuration; where no constraint takes part, the ordering that was found
//! to close the circle. (Pacemaker keeps them all, and its transition ends incomplete.)

use crate::cluster::{ActId, Cluster};
use crate::constraint::OrderEnd;
use crate::resource::group::folded;
use std::ops::Range;

/// Orderings that a constraint made.
#[derive(Clone, Debug)]
pub(crate) struct Configured {
    pub(crate) id: String,
    /// Positions in [`Cluster::orderings`].
    pub(crate) made: Range<usize>,
}

/// An ordering of the graph: the later action, and the position in what it waits for.
type Edge = (ActId, usize);

impl Cluster<'_> {
    /// The relations say it all now; only what constraints asked for is named once more, where
    /// orderings contradict each other. In a big cluster the rest is as much as the graph to come.
    pub(crate) fn forget_orderings(&mut self) {
        let configured = self.configured_orders.iter().map(|order| order.made.end);
        self.orderings.truncate(configured.max().unwrap_or(0));
        self.orderings.shrink_to_fit();
    }

    /// Breaks all circles among the actions to be done.
    pub(crate) fn break_circles(&mut self) {
        let count = self.actions.len();
        let in_graph: Vec<bool> = (0..count).map(|id| self.belongs_in_graph(id)).collect();
        for _ in 0..CIRCLES_MAX {
            match self.find_circles(&in_graph, false) {
                Some(circle) => self.break_circle(&circle),
                None => return,
            }
        }
        self.find_circles(&in_graph, true);
    }

    /// Walks along what actions wait for. Answers the first circle; or, with `cut`, drops what
    /// closes any.
    fn find_circles(&mut self, in_graph: &[bool], cut: bool) -> Option<Vec<Edge>> {
        // 0 = not seen, 1 = on the path, 2 = done.
        let mut state = vec![0u8; in_graph.len()];
        for start in 0..in_graph.len() {
            if !in_graph[start] || state[start] != 0 {
                continue;
            }
            let mut path: Vec<Edge> = vec![(start, 0)];
            state[start] = 1;
            while let Some((id, index)) = path.last_mut().map(|top| {
                let at = *top;
                top.1 += 1;
                at
            }) {
                let Some(first) = self.actions[id].before.get(index).map(|b| b.action) else {
                    state[id] = 2;
                    path.pop();
                    continue;
                };
                if !in_graph[first] || !self.input_counts(id, index) || state[first] == 2 {
                    continue;
                }
                if state[first] == 0 {
                    state[first] = 1;
                    path.push((first, 0));
                } else if cut {
                    self.drop_edge((id, index), &[]);
                } else {
                    let from = path.iter().position(|(on_path, _)| *on_path == first);
                    let circle = path.split_off(from.unwrap_or(0));
                    // Positions on the path are already those of the next step.
                    return Some(
                        circle
                            .into_iter()
                            .map(|(id, next)| (id, next - 1))
                            .collect(),
                    );
                }
            }
        }
        None
    }

    fn break_circle(&mut self, circle: &[Edge]) {
        let mut configured: Vec<(usize, Edge)> = circle
            .iter()
            .filter_map(|edge| Some((self.constraint_of(*edge)?, *edge)))
            .collect();
        configured.sort_unstable();
        configured.dedup_by_key(|(constraint, _)| *constraint);
        let constraints: Vec<usize> = configured
            .iter()
            .map(|(constraint, _)| *constraint)
            .collect();
        // A circle is never empty.
        if let Some(edge) = configured.last().map(|(_, edge)| edge).or(circle.last()) {
            self.drop_edge(*edge, &constraints);
        }
    }

    /// Drops an ordering, and tells so; `constraints` take part in the circle, its own last.
    fn drop_edge(&mut self, (id, index): Edge, constraints: &[usize]) {
        let first = self.actions[id].before[index].action;
        let (a, b) = (&self.actions[first].uuid, &self.actions[id].uuid);
        let name = |constraint: &usize| self.configured_orders[*constraint].id.as_str();
        let message = match constraints.split_last() {
            None => format!("orderings contradict each other: '{a} before {b}' is dropped"),
            Some((own, [])) => format!(
                "rsc_order {}: '{a} before {b}' is dropped, because it contradicts how its resources work",
                name(own)
            ),
            Some((own, others)) => {
                let others: Vec<&str> = others.iter().map(name).collect();
                format!(
                    "rsc_order {}: '{a} before {b}' is dropped, because it contradicts {}",
                    name(own),
                    others.join(", ")
                )
            }
        };
        self.warnings.push(message);
        self.actions[id].before[index].kind = 0;
    }

    /// The constraint that asks for an ordering.
    fn constraint_of(&self, (id, index): Edge) -> Option<usize> {
        let first = self.actions[id].before[index].action;
        self.configured_orders.iter().rposition(|constraint| {
            self.orderings[constraint.made.clone()]
                .iter()
                .any(|order| self.is_end(&order.first, first) && self.is_end(&order.then, id))
        })
    }

    /// Whether an action, or what it is part of, is meant by an ordering's end.
    fn is_end(&self, end: &OrderEnd, id: ActId) -> bool {
        if end.action == Some(id) {
            return true;
        }
        let action = &self.actions[id];
        let (Some(rsc), Some(named)) = (action.rsc, end.rsc) else {
            return false;
        };
        let task = action.op.rsplit('_').next().unwrap_or(&action.op);
        folded(task) == end.task && (rsc == named || self.is_ancestor(rsc, named))
    }
}

/// Most circles that are looked at one by one; beyond, what closes one is dropped at once.
const CIRCLES_MAX: usize = 200;
