//! Arithmetic of voter sets, written again so that an error in the production one shows (I5).

use super::*;

/// `Q = max(E, sum) / 2 + 1`, written again so that an error in the production arithmetic shows.
pub(super) fn needed(set: &VoterSet) -> u32 {
    if set.two_node && set.votes.len() == 2 {
        return 1;
    }
    expected(set) / 2 + 1
}

fn expected(set: &VoterSet) -> u32 {
    let sum: u32 = set.votes.iter().map(|(_, v)| v).sum();
    let out: u32 = set.absent.iter().map(|(_, v)| v).sum();
    sum.max(set.expected_votes.unwrap_or(0).saturating_sub(out))
}

/// Half of the votes is enough with the tie-breaker (R4).
pub(super) fn decides(set: &VoterSet, nodes: &BTreeSet<NodeId>) -> bool {
    let have = votes(set, nodes);
    let tie = set.tie_node.is_some_and(|tie| nodes.contains(&tie));
    have >= needed(set) || (tie && have * 2 == expected(set))
}

pub(super) fn votes(set: &VoterSet, nodes: &BTreeSet<NodeId>) -> u32 {
    let inside = set.votes.iter().filter(|(n, _)| nodes.contains(n));
    inside.map(|(_, v)| v).sum()
}

/// Sets that have to agree at one time.
pub(super) fn regime(config: &ConfigEntry) -> Vec<VoterSet> {
    let sets = std::iter::once(&config.current).chain(&config.next);
    sets.filter(|s| !s.votes.is_empty()).cloned().collect()
}

/// I5: two groups of nodes without a common member, one a quorum of each regime; of two nodes with
/// `two_node` a certificate stands in for the common member, and their sets are not asked.
pub(super) fn disjoint(
    a: &[VoterSet],
    b: &[VoterSet],
) -> Option<(BTreeSet<NodeId>, BTreeSet<NodeId>)> {
    let lone = |s: &VoterSet| s.two_node && s.votes.len() == 2;
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(lone) {
        return None;
    }
    let all: BTreeSet<NodeId> = a
        .iter()
        .chain(b)
        .flat_map(|s| &s.votes)
        .map(|(n, _)| *n)
        .collect();
    let all: Vec<NodeId> = all.into_iter().collect();
    let quorate =
        |sets: &[VoterSet], nodes: &BTreeSet<NodeId>| sets.iter().all(|s| decides(s, nodes));
    (0..1_u32 << all.len()).find_map(|choice| {
        let side = |n: &usize| choice >> n & 1 == 1;
        let left: BTreeSet<NodeId> = (0..all.len()).filter(side).map(|n| all[n]).collect();
        let right: BTreeSet<NodeId> = all.iter().copied().filter(|n| !left.contains(n)).collect();
        (quorate(a, &left) && quorate(b, &right)).then_some((left, right))
    })
}
