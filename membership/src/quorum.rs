//! Who may decide: pure arithmetic over voter sets (R3). Text tests in `testdata/quorum.txt`.

use std::collections::{BTreeMap, BTreeSet};

use wire::NodeId;

use crate::mutant::{self, Mutant};
use crate::{EntryBody, VoterSet};

/// All sets that must agree: one normally, two while a configuration step is not known committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Predicates {
    sets: Vec<VoterSet>,
    /// What each of them needs: asked for in every step.
    needs: Vec<Needs>,
    /// Every node of every set, ascending.
    nodes: Vec<NodeId>,
}

/// Of one set: the votes expected, and those needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Needs {
    expected: u32,
    needed: u32,
}

impl Needs {
    fn of(set: &VoterSet) -> Self {
        Self {
            expected: expected(set),
            needed: needed(set),
        }
    }
}

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
        let voters = all.iter().flat_map(|s| s.votes.iter().map(|(n, _)| *n));
        let nodes: BTreeSet<NodeId> = voters.collect();
        Self {
            nodes: nodes.into_iter().collect(),
            needs: all.iter().map(Needs::of).collect(),
            sets: all,
        }
    }

    /// The sets.
    pub fn sets(&self) -> &[VoterSet] {
        &self.sets
    }

    /// Do these nodes hold a quorum of every set?
    pub fn quorate(&self, nodes: &BTreeSet<NodeId>) -> bool {
        !self.sets.is_empty() && self.sets.iter().all(|set| decides(set, nodes))
    }

    /// The same of the nodes for which that is true; for questions of every step.
    pub(crate) fn quorate_of(&self, mut there: impl FnMut(NodeId) -> bool) -> bool {
        let enough = |(set, needs): (&VoterSet, &Needs)| {
            let present = set.votes.iter().filter(|(node, _)| there(*node));
            let votes = present.fold(0u32, |sum, (_, v)| sum.saturating_add(*v));
            let has_tie = || set.tie_node.is_some_and(&mut there);
            enough(set, *needs, votes, has_tie)
        };
        !self.sets.is_empty() && self.sets.iter().zip(&self.needs).all(enough)
    }

    /// The largest value that a quorum of every set has reached: stamps, acknowledged positions.
    pub fn reached(&self, values: &BTreeMap<NodeId, u64>) -> Option<u64> {
        self.reached_by(values.keys().copied(), |node| values.get(&node).copied())
    }

    /// The same of values that need not be gathered first, of the nodes there are; for questions of
    /// every step.
    pub(crate) fn reached_by(
        &self,
        nodes: impl Iterator<Item = NodeId>,
        value: impl Fn(NodeId) -> Option<u64>,
    ) -> Option<u64> {
        if mutant::on(Mutant::NonMemberVote) {
            let values = nodes.filter_map(|node| Some((node, value(node)?)));
            return self.reached_by_outsiders(&values.collect());
        }
        let mut least = None;
        for (set, needs) in self.sets.iter().zip(&self.needs) {
            let reached = reached_in(set, *needs, &value)?;
            least = Some(least.map_or(reached, |least: u64| least.min(reached)));
        }
        least
    }

    /// A seeded bug: whoever reached a value counts.
    fn reached_by_outsiders(&self, values: &BTreeMap<NodeId, u64>) -> Option<u64> {
        let mut distinct: Vec<u64> = values.values().copied().collect();
        distinct.sort_unstable();
        distinct.into_iter().rev().find(|floor| {
            let there = values.iter().filter(|(_, v)| *v >= floor);
            self.quorate(&there.map(|(n, _)| *n).collect())
        })
    }

    /// Is the node a voter of any set?
    pub fn votes_of(&self, node: NodeId) -> u32 {
        self.sets
            .iter()
            .filter_map(|s| s.votes_of(node))
            .max()
            .unwrap_or(0)
    }

    /// Does any set ask for all nodes at a cold start (R5)?
    pub fn wait_for_all(&self) -> bool {
        self.sets.iter().any(|s| s.wait_for_all)
    }

    /// Does a single node suffice in some set (Q = 1, R11)?
    pub fn two_node(&self) -> bool {
        self.sets.iter().any(|s| s.two_node && s.votes.len() == 2)
    }

    /// Every node of every set.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.nodes.iter().copied().collect()
    }

    /// Is it one of these?
    pub(crate) fn names(&self, node: NodeId) -> bool {
        self.nodes.binary_search(&node).is_ok()
    }

    /// Are all of these such?
    pub(crate) fn all_nodes(&self, such: impl Fn(&NodeId) -> bool) -> bool {
        self.nodes.iter().all(such)
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
        // Ascending in a set that was checked; in one that was not, each is looked at.
        let found = match self.votes.binary_search_by_key(&node, |(n, _)| *n) {
            Ok(at) => self.votes.get(at),
            Err(_) => self.votes.iter().find(|(n, _)| *n == node),
        };
        found.map(|(_, votes)| *votes)
    }

    /// Everybody the configuration names: those who vote and those who are out for a while, with
    /// their votes, ascending.
    pub fn configured(&self) -> Vec<(NodeId, u32)> {
        let mut all: Vec<_> = self.votes.iter().chain(&self.absent).copied().collect();
        all.sort_unstable();
        all
    }

    /// Is the set one that a cluster may have?
    ///
    /// # Errors
    /// What contradicts what, in a sentence.
    pub fn check(&self) -> Result<(), String> {
        let all = self.configured();
        if self.votes.is_empty() {
            return Err("no voters".into());
        }
        if !self.votes.is_sorted_by(|a, b| a.0 < b.0) || !all.is_sorted_by(|a, b| a.0 < b.0) {
            return Err("voters are not ascending by node".into());
        }
        if self.two_node && self.votes.len() != 2 {
            return Err(format!("two_node with {} voters", self.votes.len()));
        }
        let voter = |node: &NodeId| self.votes_of(*node).is_some_and(|votes| votes > 0);
        if let Some(tie) = self.tie_node.filter(|tie| !voter(tie)) {
            return Err(format!("the tie-breaker, node {tie}, has no vote"));
        }
        if self.two_node && (self.tie_node.is_some() || self.witness.is_some()) {
            return Err("two_node goes neither with auto_tie_breaker nor with a witness".into());
        }
        if self.tie_node.is_some() && self.witness.is_some() {
            return Err("auto_tie_breaker does not go with a witness".into());
        }
        if let Some(witness) = self.witness {
            if !voter(&witness) || all.len() < 3 {
                return Err(format!(
                    "the witness, node {witness}, needs a vote and two nodes"
                ));
            }
            if self.last_man_standing.is_some() {
                return Err("last_man_standing does not go with a witness".into());
            }
            // It promises only to members of a view that it was given: one that was given none yet could
            // not help to elect who might give it one.
            let nodes = sum(&self.votes) - self.votes_of(witness).unwrap_or(0);
            if nodes < needed(self) && !mutant::on(Mutant::WitnessIndispensable) {
                return Err(format!(
                    "all nodes together have {nodes} of {} votes expected and would be no quorum without \
                     the witness, node {witness}",
                    expected(self)
                ));
            }
        }
        if self.last_man_standing.is_some() && !self.wait_for_all {
            return Err("last_man_standing needs wait_for_all".into());
        }
        if self.last_man_standing.is_some() && all.iter().any(|(_, votes)| *votes != 1) {
            return Err("last_man_standing needs one vote per node".into());
        }
        Ok(())
    }
}

impl EntryBody {
    /// Do other voter sets have to agree from here on?
    pub(crate) fn changes_voters(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Init { .. })
    }
}

/// `max(E, sum of votes)`: votes expected. Who is out for a while is expected no more.
pub fn expected(set: &VoterSet) -> u32 {
    let absent = sum(&set.absent);
    let given = set.expected_votes.unwrap_or(0).saturating_sub(absent);
    if mutant::on(Mutant::ExpectedBelowVoters) && set.expected_votes.is_some() {
        return given;
    }
    given.max(sum(&set.votes))
}

/// `Q = max(E, sum) / 2 + 1`; 1 for two nodes with `two_node` (votequorum(5)).
pub fn needed(set: &VoterSet) -> u32 {
    if set.two_node && set.votes.len() == 2 {
        return 1;
    }
    expected(set) / 2 + 1
}

/// Do so many votes decide, with the tie-breaker or without it? Q votes do, or exactly half of those
/// expected with the tie-breaker: two groups that both have half of the votes share a node, or only
/// one of them has that one.
fn enough(set: &VoterSet, needs: Needs, votes: u32, has_tie: impl FnOnce() -> bool) -> bool {
    let half = votes > 0 && votes.checked_mul(2) == Some(needs.expected);
    // Whatever a group has in common with nobody else is its own lowest node.
    let with_tie = || has_tie() || set.tie_node.is_some() && mutant::on(Mutant::TieFromView);
    votes >= needs.needed || half && with_tie()
}

/// Do these nodes hold a quorum of the set?
pub fn decides(set: &VoterSet, nodes: &BTreeSet<NodeId>) -> bool {
    let has_tie = || set.tie_node.is_some_and(|tie| nodes.contains(&tie));
    enough(set, Needs::of(set), votes(set, nodes), has_tie)
}

/// The same for one set: highest values first until their votes are enough.
fn reached_in(set: &VoterSet, needs: Needs, value: &impl Fn(NodeId) -> Option<u64>) -> Option<u64> {
    let voted = |(node, votes): &(NodeId, u32)| Some((value(*node)?, *node, *votes));
    let voted = set.votes.iter().filter_map(voted);
    // Asked for in every step of a coordinator: a cluster of usual size needs no memory for it.
    let mut few = [(0, NodeId(0), 0); VOTERS_FEW];
    if set.votes.len() > VOTERS_FEW {
        return first_enough(set, needs, &mut voted.collect::<Vec<_>>());
    }
    let mut count = 0;
    for (place, found) in few.iter_mut().zip(voted) {
        *place = found;
        count += 1;
    }
    first_enough(set, needs, &mut few[..count])
}

fn first_enough(set: &VoterSet, needs: Needs, voted: &mut [(u64, NodeId, u32)]) -> Option<u64> {
    voted.sort_unstable_by(|a, b| b.cmp(a));
    let (mut have, mut has_tie) = (0_u32, false);
    voted.iter().find_map(|(value, node, votes)| {
        have = have.saturating_add(*votes);
        has_tie |= set.tie_node == Some(*node);
        enough(set, needs, have, || has_tie).then_some(*value)
    })
}

fn sum(votes: &[(NodeId, u32)]) -> u32 {
    votes
        .iter()
        .fold(0u32, |sum, (_, v)| sum.saturating_add(*v))
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

/// Sets of so many voters are reckoned without an allocation.
const VOTERS_FEW: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// One case per block: `set A=1 B=1 [expected=n] [two_node] [tie=A] [absent=C] [| A=1 …]`, then
    /// lines `have A B -> yes|no` and `reach A=9 B=5 -> n|none`.
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
                Some(("tie", name)) => set.tie_node = Some(node(name)),
                Some(("absent", name)) => set.absent.push((node(name), 1)),
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
