//! Quorum on paper: what parts of a cluster decide as it falls apart, by the predicates alone. For
//! `mainstay quorum simulate`; no timers, no logs.

use std::collections::BTreeSet;

use wire::NodeId;

use crate::VoterSet;
use crate::quorum::{Predicates, decides, expected, needed, votes};

/// A cluster on paper.
#[derive(Clone, Debug)]
pub struct Paper {
    voters: VoterSet,
    down: BTreeSet<NodeId>,
    /// Parts that see each other; who is in none is alone.
    parts: Vec<BTreeSet<NodeId>>,
    /// Members of the newest view that the witness holds (R7).
    held: BTreeSet<NodeId>,
    /// Nodes that have been in a part that decides since they started (R5).
    informed: BTreeSet<NodeId>,
}

/// What becomes of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Who is in it, ascending.
    pub nodes: Vec<NodeId>,
    /// It decides.
    pub quorate: bool,
    /// Why (not).
    pub why: Why,
    /// Votes of those in it; votes needed; votes expected.
    pub votes: (u32, u32, u32),
}

/// Why a part decides, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It has the votes.
    Majority,
    /// It has half of the votes, and the tie-breaker.
    Tie(NodeId),
    /// It has the votes with the witness.
    Witness,
    /// Either of two nodes may go on; what it takes over wants proof that the other is gone.
    TwoNode,
    /// Too few votes.
    TooFew,
    /// Half of the votes without the tie-breaker.
    TieLost(NodeId),
    /// Enough votes with the witness, which holds a view without any of these nodes.
    OutOfView,
    /// Enough votes, but wait_for_all wants every node after a start.
    NotAllSeen,
    /// The witness alone decides nothing.
    WitnessAlone,
}

impl Paper {
    /// A whole, running cluster.
    ///
    /// # Errors
    /// As [`VoterSet::check`].
    pub fn new(voters: VoterSet) -> Result<Self, String> {
        voters.check()?;
        let all: BTreeSet<NodeId> = voters.configured().into_iter().map(|(n, _)| n).collect();
        let mut paper = Self {
            down: BTreeSet::new(),
            parts: vec![all.clone()],
            held: all.clone(),
            informed: all,
            voters,
        };
        paper.settle();
        Ok(paper)
    }

    /// The voter set in force.
    pub fn voters(&self) -> &VoterSet {
        &self.voters
    }

    /// The network parts; who is named in no part is alone. An empty list heals everything.
    pub fn split(&mut self, parts: Vec<BTreeSet<NodeId>>) {
        let all = self.everybody();
        let named: BTreeSet<NodeId> = parts.iter().flatten().copied().collect();
        let alone = all.difference(&named).map(|n| BTreeSet::from([*n]));
        self.parts = match parts.is_empty() {
            true => vec![all.clone()],
            false => parts.iter().cloned().chain(alone).collect(),
        };
        self.settle();
    }

    /// Nodes fail.
    pub fn fail(&mut self, nodes: &BTreeSet<NodeId>) {
        self.down.extend(nodes);
        self.informed.retain(|n| !nodes.contains(n));
        self.settle();
    }

    /// Nodes start.
    pub fn start(&mut self, nodes: &BTreeSet<NodeId>) {
        self.down.retain(|n| !nodes.contains(n));
        self.settle();
    }

    /// The window of last_man_standing passes as often as it changes anything: every step is taken
    /// by a part that decides by the set before it and by the set after it.
    pub fn wait(&mut self) {
        while let Some(next) = self.lms_step() {
            self.voters = next;
            self.settle();
        }
    }

    /// All parts, as they stand.
    pub fn parts(&self) -> Vec<Part> {
        self.groups()
            .iter()
            .map(|group| self.judge(group))
            .collect()
    }

    fn everybody(&self) -> BTreeSet<NodeId> {
        let all = self.voters.configured().into_iter();
        all.map(|(node, _)| node).collect()
    }

    fn groups(&self) -> Vec<BTreeSet<NodeId>> {
        let up = |part: &BTreeSet<NodeId>| part.difference(&self.down).copied().collect();
        let groups = self.parts.iter().map(up);
        groups
            .filter(|g: &BTreeSet<NodeId>| !g.is_empty())
            .collect()
    }

    fn lms_step(&self) -> Option<VoterSet> {
        self.voters.last_man_standing?;
        let deciding = self.groups().into_iter().find(|g| self.judge(g).quorate)?;
        let mut next = self.voters.clone();
        let gone = next.votes.iter().find(|(n, _)| !deciding.contains(n));
        let (node, votes) = gone.copied()?;
        next.votes.retain(|(n, _)| *n != node);
        next.absent.push((node, votes));
        next.absent.sort_unstable();
        if next.tie_node == Some(node) {
            next.tie_node = crate::lms::successor(&self.voters, &next);
        }
        let both = Predicates::new([self.voters.clone(), next.clone()]);
        both.quorate(&deciding).then_some(next)
    }

    /// What follows at once: who returned votes again, the witness takes the view.
    fn settle(&mut self) {
        loop {
            let groups = self.groups();
            let Some(deciding) = groups.iter().find(|g| self.judge(g).quorate) else {
                return;
            };
            let nodes = deciding.iter().filter(|n| Some(**n) != self.voters.witness);
            let nodes: BTreeSet<NodeId> = nodes.copied().collect();
            self.informed.extend(&nodes);
            let told = self.voters.witness.is_some_and(|w| deciding.contains(&w));
            if told {
                self.held.clone_from(&nodes);
            }
            let back = self.voters.absent.iter().find(|(n, _)| nodes.contains(n));
            let Some((node, votes)) = back.copied() else {
                return;
            };
            self.voters.absent.retain(|(n, _)| *n != node);
            self.voters.votes.push((node, votes));
            self.voters.votes.sort_unstable();
        }
    }

    fn judge(&self, group: &BTreeSet<NodeId>) -> Part {
        let set = &self.voters;
        let have = votes(set, group);
        let (quorate, why) = self.verdict(group, have);
        Part {
            nodes: group.iter().copied().collect(),
            quorate,
            why,
            votes: (have, needed(set), expected(set)),
        }
    }

    fn verdict(&self, group: &BTreeSet<NodeId>, have: u32) -> (bool, Why) {
        let set = &self.voters;
        let half = have > 0 && have.checked_mul(2) == Some(expected(set));
        if !decides(set, group) {
            let why = match set.tie_node.filter(|_| half) {
                Some(tie) => Why::TieLost(tie),
                None => Why::TooFew,
            };
            return (false, why);
        }
        let mut nodes = group.clone();
        let witness = set.witness.filter(|w| nodes.remove(w));
        let needs_witness = witness.is_some() && !decides(set, &nodes);
        if nodes.is_empty() {
            return (false, Why::WitnessAlone);
        }
        if needs_witness && self.held.is_disjoint(&nodes) {
            return (false, Why::OutOfView);
        }
        let all = set.configured().len() - usize::from(set.witness.is_some());
        let cold = self.informed.is_disjoint(&nodes);
        if set.wait_for_all && cold && nodes.len() < all {
            return (false, Why::NotAllSeen);
        }
        let why = match set.tie_node {
            _ if set.two_node && nodes.len() == 1 => Why::TwoNode,
            _ if needs_witness => Why::Witness,
            Some(tie) if half => Why::Tie(tie),
            _ => Why::Majority,
        };
        (true, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[u32]) -> BTreeSet<NodeId> {
        list.iter().copied().map(NodeId).collect()
    }

    fn set(n: u32) -> VoterSet {
        VoterSet {
            votes: (1..=n).map(|id| (NodeId(id), 1)).collect(),
            ..VoterSet::default()
        }
    }

    fn who_decides(paper: &Paper) -> Vec<Vec<u32>> {
        let parts = paper.parts();
        let quorate = parts.iter().filter(|p| p.quorate);
        let ids = quorate.map(|p| p.nodes.iter().map(|n| n.0).collect());
        ids.collect()
    }

    #[test]
    fn an_even_split_is_decided_by_the_tie_breaker_or_by_nobody() {
        let halves = || vec![ids(&[1, 2]), ids(&[3, 4])];
        let mut paper = Paper::new(set(4)).unwrap();
        paper.split(halves());
        assert!(who_decides(&paper).is_empty());
        let tie = VoterSet {
            tie_node: Some(NodeId(3)),
            ..set(4)
        };
        let mut paper = Paper::new(tie).unwrap();
        paper.split(halves());
        assert_eq!(who_decides(&paper), [[3, 4]]);
        assert_eq!(paper.parts()[0].why, Why::TieLost(NodeId(3)));
    }

    #[test]
    fn the_witness_helps_only_whom_it_holds_in_its_view() {
        let with = VoterSet {
            witness: Some(NodeId(3)),
            ..set(3)
        };
        let mut paper = Paper::new(with).unwrap();
        paper.fail(&ids(&[2]));
        assert_eq!(who_decides(&paper), [[1, 3]]);
        paper.fail(&ids(&[1]));
        paper.start(&ids(&[2]));
        assert!(who_decides(&paper).is_empty());
        assert_eq!(paper.parts()[0].why, Why::OutOfView);
        paper.start(&ids(&[1]));
        assert_eq!(who_decides(&paper), [[1, 2, 3]]);
    }

    #[test]
    fn last_man_standing_goes_down_one_by_one_and_back() {
        let last = VoterSet {
            wait_for_all: true,
            last_man_standing: Some(1),
            ..set(5)
        };
        let mut paper = Paper::new(last).unwrap();
        for (gone, left) in [(5, 4), (4, 3), (3, 2)] {
            paper.fail(&ids(&[gone]));
            paper.wait();
            assert_eq!(paper.voters().votes.len(), left);
        }
        paper.fail(&ids(&[2]));
        paper.wait();
        assert!(who_decides(&paper).is_empty(), "two do not go down to one");
        paper.start(&ids(&[2, 3, 4, 5]));
        assert_eq!(paper.voters().votes.len(), 5);
    }

    #[test]
    fn a_cold_start_waits_for_all() {
        let wait = VoterSet {
            wait_for_all: true,
            ..set(3)
        };
        let mut paper = Paper::new(wait).unwrap();
        paper.fail(&ids(&[1, 2, 3]));
        paper.start(&ids(&[1, 2]));
        assert_eq!(paper.parts()[0].why, Why::NotAllSeen);
        paper.start(&ids(&[3]));
        assert_eq!(who_decides(&paper), [[1, 2, 3]]);
    }
}
