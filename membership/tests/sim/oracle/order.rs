//! Linearizability of what clients write: every acknowledged operation exactly once (I8 in `log` and
//! `told`), refused ones never, those in doubt at most once, and an order that real time agrees with.
//! Asked at every commit, and once more of the whole history when a run ends. That the rules suffice is
//! checked against a general search in `wgl`.

use super::*;
use crate::linear::{Call, End, check};

impl Oracle {
    /// What was asked for after another operation had been acknowledged comes after it.
    pub(super) fn in_real_time(&mut self, op: OpId, seq: u64) {
        let floor = self.ops.get(&op).map_or(0, |fate| fate.floor);
        self.check(seq > floor, "linear", || {
            format!(
                "operation {op:?} is entry {seq}, and was asked for when entry {floor} had been \
                 acknowledged"
            )
        });
    }

    /// The whole history of a run against the one log. Of two lone halves (class U) one may lose what
    /// it acknowledged, so theirs is none.
    pub fn linear_history(&mut self) {
        if self.class_u {
            return;
        }
        let end = |fate: &Fate| match fate.acked {
            Some(_) => End::Acked {
                at: fate.answered,
                position: fate.acked,
            },
            None if fate.refused => End::Refused,
            None => End::Unknown,
        };
        // Cores write entries of their own, too, which nobody asked for.
        let asked = || self.ops.iter().filter(|(_, fate)| fate.proposals > 0);
        let calls: Vec<Call<OpId>> = asked()
            .map(|(op, fate)| Call {
                op: *op,
                invoked: fate.invoked,
                end: end(fate),
            })
            .collect();
        let mut log: Vec<(u64, OpId)> = asked()
            .filter_map(|(op, fate)| fate.committed.map(|seq| (seq, *op)))
            .collect();
        log.sort_unstable();
        if let Err(why) = check(&calls, &log) {
            self.fail("linear", why);
        }
    }
}
