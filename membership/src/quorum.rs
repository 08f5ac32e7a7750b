//! Who may decide: pure arithmetic over voter sets (R3). Text tests in `testdata/quorum.txt`.

use std::collections::{BTreeMap, BTreeSet};

use wire::NodeId;

use crate::VoterSet;
use crate::mutant::{self, Mutant};

/// All sets that must agree: one normally, two while a configuration step is not known committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Predicates(Vec<VoterSet>);

impl Predicates {
    /// Joins sets, oldest first; equal ones count once.
    pub fn new(sets: impl IntoIterator<Item = VoterSet>) -> Self {
        let mut all: Vec<VoterSet> = Vec::new();
        for set in sets {
            if !all.contains(&set) {
                all.push(set);
            }
        }
        if mutant::on(Mutant::SinglePredicate)
            && let Some(last) = all.pop()
        {
            all = vec![last];
        }
        Self(all)
    }

    /// The sets.
    pub fn sets(&self) -> &[VoterSet] {
        &self.0
    }

    /// Do these nodes hold a quorum of every set?
    pub fn quorate(&self, nodes: &BTreeSet<NodeId>) -> bool {
        !self.0.is_empty() && self.0.iter().all(|set| votes(set, nodes) >= needed(set))
    }

    /// The largest value that a quorum of every set has reached: stamps, acknowledged positions.
    pub fn reached(&self, values: &BTreeMap<NodeId, u64>) -> Option<u64> {
        let mut distinct: Vec<u64> = values.values().copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        distinct.into_iter().rev().find(|floor| {
            let nodes = values
                .iter()
                .filter(|(_, v)| *v >= floor)
                .map(|(n, _)| *n)
                .collect();
            self.quorate(&nodes)
        })
    }

    /// Is the node a voter of any set?
    pub fn votes_of(&self, node: NodeId) -> u32 {
        self.0
            .iter()
            .filter_map(|s| s.votes_of(node))
            .max()
            .unwrap_or(0)
    }

    /// Does any set ask for all nodes at a cold start (R5)?
    pub fn wait_for_all(&self) -> bool {
        self.0.iter().any(|s| s.wait_for_all)
    }

    /// Does a single node suffice in some set (Q = 1, R11)?
    pub fn two_node(&self) -> bool {
        self.0.iter().any(|s| s.two_node && s.votes.len() == 2)
    }

    /// Every node of every set.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.0
            .iter()
            .flat_map(|s| s.votes.iter().map(|(n, _)| *n))
            .collect()
    }
}

impl VoterSet {
    /// Is it a set of two where either may go on alone, and the view has one of them? Who is in the
    /// view beside that one makes no difference: it does not vote in this set.
    pub(crate) fn has_one_of_two_in(&self, view: &crate::View) -> bool {
        let present = |(node, _): &&(NodeId, u32)| view.member(*node).is_some();
        self.two_node && self.votes.len() == 2 && self.votes.iter().filter(present).count() == 1
    }

    /// The node's votes, if it is in the set.
    pub fn votes_of(&self, node: NodeId) -> Option<u32> {
        self.votes.iter().find(|(n, _)| *n == node).map(|(_, v)| *v)
    }
}

/// `max(E, sum of votes)`: votes expected.
pub fn expected(set: &VoterSet) -> u32 {
    let sum = set
        .votes
        .iter()
        .fold(0u32, |sum, (_, v)| sum.saturating_add(*v));
    set.expected_votes.unwrap_or(0).max(sum)
}

/// `Q = max(E, sum) / 2 + 1`; 1 for two nodes with `two_node` (votequorum(5)).
pub fn needed(set: &VoterSet) -> u32 {
    if set.two_node && set.votes.len() == 2 {
        return 1;
    }
    expected(set) / 2 + 1
}

/// Votes of these nodes; a vote counts only from inside the set.
pub fn votes(set: &VoterSet, nodes: &BTreeSet<NodeId>) -> u32 {
    let inside = set
        .votes
        .iter()
        .filter(|(node, _)| nodes.contains(node))
        .fold(0u32, |sum, (_, v)| sum.saturating_add(*v));
    if mutant::on(Mutant::NonMemberVote) {
        let outside = nodes.iter().filter(|n| set.votes_of(**n).is_none()).count();
        return inside + u32::try_from(outside).unwrap_or(u32::MAX);
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One case per block: `set A=1 B=1 [expected=n] [two_node] [| A=1 …]`, then lines
    /// `have A B -> yes|no` and `reach A=9 B=5 -> n|none`.
    #[test]
    fn cases_of_the_text_file() {
        let text = include_str!("../testdata/quorum.txt");
        let mut rules = Predicates::default();
        let mut checked = 0;
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            let at = number + 1;
            if let Some(sets) = line.strip_prefix("set ") {
                rules = Predicates::new(sets.split('|').map(parse_set));
            } else if let Some(case) = line.strip_prefix("have ") {
                let (nodes, want) = case.split_once("->").expect("arrow");
                let nodes = nodes.split_whitespace().map(node).collect();
                let got = if rules.quorate(&nodes) { "yes" } else { "no" };
                assert_eq!(got, want.trim(), "line {at}: {line}");
                checked += 1;
            } else if let Some(case) = line.strip_prefix("reach ") {
                let (values, want) = case.split_once("->").expect("arrow");
                let values = values.split_whitespace().map(pair).collect();
                let got = rules
                    .reached(&values)
                    .map_or("none".into(), |v| v.to_string());
                assert_eq!(got, want.trim(), "line {at}: {line}");
                checked += 1;
            } else {
                assert!(line.is_empty(), "line {at} not understood: {line}");
            }
        }
        assert!(checked > 30, "only {checked} cases were read");
    }

    fn node(name: &str) -> NodeId {
        NodeId(u32::from(name.as_bytes()[0] - b'A') + 1)
    }

    fn pair(text: &str) -> (NodeId, u64) {
        let (name, value) = text.split_once('=').expect("NAME=value");
        (node(name), value.parse().expect("number"))
    }

    fn parse_set(text: &str) -> VoterSet {
        let mut set = VoterSet::default();
        for word in text.split_whitespace() {
            match word.split_once('=') {
                None => set.two_node = word == "two_node",
                Some(("expected", value)) => {
                    set.expected_votes = Some(value.parse().expect("number"))
                }
                Some(_) => {
                    let (node, votes) = pair(word);
                    set.votes.push((node, u32::try_from(votes).expect("small")));
                }
            }
        }
        set
    }
}
