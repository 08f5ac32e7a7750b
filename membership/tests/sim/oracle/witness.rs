//! The witness: I1, I10, R0, R7.

use super::*;

/// It counts for an entry that every member of the view on its disk has: whoever it may help to lead.
pub(super) fn with_witness(nodes: &[Node], mut holders: BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    for node in nodes {
        let disks = [&node.disk, &node.lost].into_iter();
        let mut views = disks.filter_map(|d| d.witness.as_ref().and_then(|w| w.view.as_ref()));
        let all_have = |v: &membership::WitnessView| {
            let members = v.members.iter();
            members.map(|(node, _)| node).all(|n| holders.contains(n))
        };
        if views.any(all_have) {
            holders.insert(NodeId(node.id));
        }
    }
    holders
}

impl Oracle {
    /// What it says stands on its disk; a promise is for no ballot below one it promised before, and
    /// for each ballot to its own candidate.
    pub(super) fn witness_sent(&mut self, node: &Node, to: &Node, message: &Message) {
        let id = node.id;
        let disk = node.disk.witness.clone().unwrap_or_default();
        let spoken = disk.incarnation >= node.me.incarnation;
        self.check(spoken, "I10", || {
            format!("witness {id} speaks before its incarnation is on disk")
        });
        match message {
            Message::Beat(beat) => {
                self.check(beat.ballot <= disk.promised, "I1", || {
                    format!("witness {id} names a ballot that is not on its disk")
                });
                let silent = !disk.recovering || beat.echo.is_none();
                self.check(silent, "I12", || {
                    format!("witness {id} gives echoes although it may not vote")
                });
                if let Some(echo) = beat.echo.as_ref().filter(|e| e.member) {
                    self.echoed(node, to, echo);
                }
            }
            Message::WitnessPromise { ballot, .. } => {
                self.check(*ballot <= disk.promised, "I1", || {
                    format!("witness {id}: promise {ballot:?} is not on its disk")
                });
                self.check(!disk.recovering, "I12", || {
                    format!("witness {id} promises although it may not vote")
                });
                let to = NodeId(to.id);
                let before = self.witness_promised.replace((*ballot, to));
                let lower = before.is_some_and(|(highest, _)| *ballot < highest);
                self.check(!lower, "I1", || {
                    format!("witness {id} promises {ballot:?} after {before:?}")
                });
            }
            Message::WitnessStored { ballot, view_no } => {
                let held = disk.view.map(|v| (v.ballot, v.view_no));
                let written = held.is_some_and(|held| held >= (*ballot, *view_no));
                self.check(written, "R1", || {
                    format!("witness {id} says it stored view {view_no}, on disk is {held:?}")
                });
            }
            _ => {}
        }
    }

    /// R0: no view without somebody who was echoed less than its hold ago.
    pub fn witness_written(&mut self, id: u32, old: Option<&WitnessRecord>, new: &WitnessRecord) {
        let grows = old
            .is_none_or(|old| new.promised >= old.promised && new.incarnation >= old.incarnation);
        self.check(grows, "I1", || {
            format!("witness {id} writes {new:?} over {old:?}")
        });
        let Some(view) = &new.view else { return };
        if old.and_then(|old| old.view.as_ref()) == Some(view) {
            return;
        }
        let echoed = self.echoes.get(id).into_iter().flat_map(|by| by.iter());
        let echoed = echoed.filter(|(_, given)| given.echo.is_some());
        let bound = echoed
            .filter(|(to, _)| !view.has(NodeId(*to)) && !self.left_lately(*to))
            .map(|(to, given)| (given.until, to))
            .max();
        if let Some((until, to)) = bound {
            let now = self.now;
            self.check(now + MARGIN_US >= until, "R0", || {
                format!(
                    "witness {id} stores a view without {to}, bound for {} us",
                    until - now
                )
            });
        }
    }

    /// Its last process said goodbye with nothing left.
    fn left_lately(&self, id: u32) -> bool {
        self.left_clean.contains_key(&NodeId(id))
    }
}
