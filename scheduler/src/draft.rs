//! All actions that were thought of, done or not: what a drawing of the decision shows
//! (Pacemaker pcmk_simulate.c:write_sim_dotfile).

use crate::action::flag;
use crate::cluster::{ActId, Cluster};
use crate::constraint::relation;
use crate::plan;
use std::collections::BTreeMap;

/// An action that was thought of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The action, as it stands in the graph or would.
    pub action: plan::Action,
    /// Where it would be done; pseudo actions may have a node here, which the graph leaves out.
    pub node: Option<String>,
    /// What became of it.
    pub fate: Fate,
    /// What is ordered before it.
    pub before: Vec<Earlier>,
}

/// An action that is ordered before another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Its number.
    pub action: u32,
    /// The other one waits for it.
    pub awaited: bool,
    /// It only makes room, should both be on one node.
    pub makes_room: bool,
}

/// What became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the graph.
    Done,
    /// It is not needed.
    Optional,
    /// It would be needed, but the resource is not managed.
    Unmanaged,
    /// It would be needed, but cannot be done.
    Impossible,
}

impl Cluster<'_> {
    /// All actions, the latest first, and those before them that are more than thought of.
    pub(crate) fn drafts(&self, graph: &plan::Graph) -> Vec<Draft> {
        let synapses = graph.synapses.iter();
        let inputs: BTreeMap<u32, &Vec<u32>> = synapses.map(|s| (s.action.id, &s.inputs)).collect();
        let draft = |id: ActId| {
            let mut action = self.graph_element(id);
            let waits = inputs.get(&action.id);
            let node = self.actions[id].node;
            let relations = self.actions[id].before.iter();
            let mut before: BTreeMap<u32, Earlier> = BTreeMap::new();
            for relation in relations.filter(|r| r.kind != 0) {
                let first = crate::graph::number(relation.action);
                let awaited = waits.is_some_and(|w| w.contains(&first));
                let makes_room = relation.kind == relation::IF_ON_SAME_NODE_OR_TARGET;
                let apart = relation.kind == relation::IF_REQUIRED_ON_SAME_NODE;
                // What is done was asked whether such orders matter, and these do not.
                if (makes_room || apart) && waits.is_some() && !awaited {
                    continue;
                }
                let known = before.entry(first).or_insert(Earlier {
                    action: first,
                    awaited,
                    makes_room,
                });
                known.makes_room &= makes_room;
            }
            action.reason = None;
            Draft {
                fate: self.fate(id, waits.is_some()),
                node: node.map(|node| self.nodes[node].name.clone()),
                action,
                before: before.into_values().collect(),
            }
        };
        (0..self.actions.len()).rev().map(draft).collect()
    }

    fn fate(&self, id: ActId, is_done: bool) -> Fate {
        let action = &self.actions[id];
        let managed = action.rsc.is_none_or(|rsc| self.rscs[rsc].flags.managed);
        match (is_done, managed, action.is(flag::OPTIONAL)) {
            (true, ..) => Fate::Done,
            (false, false, _) => Fate::Unmanaged,
            (false, true, true) => Fate::Optional,
            (false, true, false) => Fate::Impossible,
        }
    }
}
