//! `last_man_standing` of votequorum(5): voters that are gone for the window cease to count, one in
//! a step, and count again when they are back.
//!
//! The clock only says when the coordinator proposes it. What counts is the entry: a joint step,
//! committed by a quorum of the voters there were before (R3). So a part of the cluster that has no
//! quorum never takes anybody out, however long it waits.

use wire::NodeId;

use crate::core::Role;
use crate::*;

impl Core {
    /// As DC: the next set, if a voter is gone for long enough or somebody who is out is back.
    pub(crate) fn last_man_standing(&mut self) -> Option<VoterSet> {
        let (now, me) = (self.now, self.me.node);
        let voters = &self.committed.config.current;
        let view = &self.committed.view;
        let window_us = voters.last_man_standing?;
        let there = |node: &NodeId| *node == me || view.member(*node).is_some();
        let Role::Dc(dc) = &mut self.role else {
            return None;
        };
        // Who was taken out is gone no longer: it would be taken out for ever, and nobody after it.
        let votes = |node: &NodeId| voters.votes.iter().any(|(voter, _)| voter == node);
        dc.gone_since.retain(|node, _| !there(node) && votes(node));
        for (node, _) in voters.votes.iter().filter(|(node, _)| !there(node)) {
            dc.gone_since.entry(*node).or_insert(now);
        }
        let settled = dc.acting && self.tip.view.view_no == view.view_no;
        if !settled {
            return None;
        }
        if let Some((back, _)) = voters.absent.iter().find(|(node, _)| there(node)) {
            return Some(let_back(voters, *back));
        }
        let due = |(_, since): &(&NodeId, &Time)| now.since(**since) >= window_us;
        let (gone, _) = dc.gone_since.iter().find(due)?;
        (voters.votes.len() > 1).then(|| take_out(voters, *gone))
    }

    pub(crate) fn lms_timeout(&self) -> Option<Time> {
        let Role::Dc(dc) = &self.role else {
            return None;
        };
        let window_us = self.committed.config.current.last_man_standing?;
        let due = dc.gone_since.values().map(|since| since.plus(window_us));
        due.filter(|at| *at > self.looked).min()
    }
}

fn take_out(voters: &VoterSet, gone: NodeId) -> VoterSet {
    let mut next = voters.clone();
    let out = |(node, _): &(NodeId, u32)| *node == gone;
    next.absent.extend(voters.votes.iter().filter(|v| out(v)));
    next.absent.sort_unstable();
    next.votes.retain(|v| !out(v));
    if voters.tie_node == Some(gone) {
        next.tie_node = successor(voters, &next);
    }
    next
}

fn let_back(voters: &VoterSet, back: NodeId) -> VoterSet {
    let mut next = voters.clone();
    let in_again = |(node, _): &(NodeId, u32)| *node == back;
    next.votes
        .extend(voters.absent.iter().filter(|v| in_again(v)));
    next.votes.sort_unstable();
    next.absent.retain(|v| !in_again(v));
    next
}

/// The tie-breaker went out: the one at the same end of the list takes its place, in the same joint
/// step (R4).
pub(crate) fn successor(old: &VoterSet, new: &VoterSet) -> Option<NodeId> {
    let was_last = old.votes.last().map(|(node, _)| *node) == old.tie_node;
    let next = match was_last {
        true => new.votes.last(),
        false => new.votes.first(),
    };
    next.map(|(node, _)| *node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(votes: &[u32], tie: u32) -> VoterSet {
        VoterSet {
            votes: votes.iter().map(|node| (NodeId(*node), 1)).collect(),
            tie_node: Some(NodeId(tie)),
            wait_for_all: true,
            last_man_standing: Some(1),
            ..VoterSet::default()
        }
    }

    #[test]
    fn who_goes_out_comes_back_and_the_tie_stays_at_its_end_of_the_list() {
        let all = set(&[1, 2, 3, 4], 4);
        let three = take_out(&all, NodeId(4));
        assert_eq!(three.absent, [(NodeId(4), 1)]);
        assert_eq!(three.tie_node, Some(NodeId(3)));
        assert_eq!(three.configured(), all.configured());
        assert_eq!(three.check(), Ok(()));
        let again = let_back(&three, NodeId(4));
        assert_eq!((&again.votes, again.absent.len()), (&all.votes, 0));
        let lowest = take_out(&set(&[1, 2, 3], 1), NodeId(1));
        assert_eq!(lowest.tie_node, Some(NodeId(2)));
        let other = take_out(&set(&[1, 2, 3], 1), NodeId(2));
        assert_eq!(other.tie_node, Some(NodeId(1)));
    }
}
