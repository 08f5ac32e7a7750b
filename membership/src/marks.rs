//! A set of nodes of which many questions are asked and that is then thrown away.

use std::collections::BTreeSet;

use wire::NodeId;

/// Some nodes, to be asked for very often: those of low ids are bits.
pub(crate) struct Marks<'a> {
    low: [u64; MARKS_LOW / 64],
    all: &'a BTreeSet<NodeId>,
}

impl<'a> Marks<'a> {
    /// Of these.
    pub(crate) fn of(all: &'a BTreeSet<NodeId>) -> Self {
        let mut low = [0; MARKS_LOW / 64];
        for node in all.iter().map(|n| n.0 as usize) {
            if let Some(word) = low.get_mut(node / 64) {
                *word |= 1 << (node % 64);
            }
        }
        Self { low, all }
    }

    /// Is it one of them?
    pub(crate) fn has(&self, node: NodeId) -> bool {
        let id = node.0 as usize;
        match self.low.get(id / 64) {
            Some(word) => word >> (id % 64) & 1 == 1,
            None => self.all.contains(&node),
        }
    }
}

/// Ids below this one are low.
const MARKS_LOW: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_ids_and_high_ones_are_told_apart() {
        let last = MARKS_LOW as u32;
        let ids = [1, 63, 64, last - 1, last, u32::MAX];
        let all = ids.into_iter().map(NodeId).collect();
        let marks = Marks::of(&all);
        for near in ids
            .into_iter()
            .flat_map(|id| [id - 1, id, id.saturating_add(1)])
        {
            assert_eq!(
                marks.has(NodeId(near)),
                all.contains(&NodeId(near)),
                "{near}"
            );
        }
    }
}
