//! Nothing that is said or promised runs ahead of the disk, and nothing on it goes back: I1, I10, I12,
//! R1.

use super::*;

impl Oracle {
    /// I1, I10: nothing on disk ever goes back.
    pub fn safety_written(&mut self, id: u32, old: Option<&SafetyRecord>, new: &SafetyRecord) {
        self.one_survivor(id, new);
        let Some(old) = old else { return };
        if old.recovering && !new.recovering {
            self.recovers(id);
        }
        self.check(new.promised >= old.promised, "I1", || {
            format!(
                "node {id}: promise on disk {:?} -> {:?}",
                old.promised, new.promised
            )
        });
        let views = (
            (old.view_ballot, old.view_no),
            (new.view_ballot, new.view_no),
        );
        // Each for itself: of two nodes the survivor's views may be more under lower ballots.
        let grow = new.view_ballot >= old.view_ballot && new.view_no >= old.view_no;
        self.check(grow, "I10", || {
            format!("node {id}: view on disk {:?} -> {:?}", views.0, views.1)
        });
        self.check(new.incarnation >= old.incarnation, "I10", || {
            format!(
                "node {id}: incarnation {} -> {}",
                old.incarnation, new.incarnation
            )
        });
        self.check(new.hold_us_max >= old.hold_us_max, "R0", || {
            format!("node {id}: hold {} -> {}", old.hold_us_max, new.hold_us_max)
        });
    }

    /// I19: at most one disk says that its node may start alone.
    fn one_survivor(&mut self, id: u32, new: &SafetyRecord) {
        let alone = new.sole_survivor.as_ref();
        let Some(alone) = alone.filter(|s| s.view_no == new.view_no) else {
            self.survivors.remove(&id);
            return;
        };
        self.survivors.insert(id, alone.view_no);
        let alone = self.survivors.len() == 1;
        let all = self.survivors.clone();
        self.check(alone, "I19", || {
            format!("several nodes may start alone, by node and view: {all:?}")
        });
    }

    pub(super) fn promises(
        &mut self,
        node: &Node,
        safety: &SafetyRecord,
        message: &Message,
        unfit: bool,
    ) {
        let id = node.id;
        let on_disk =
            |p: &membership::message::Point| p.seq == 0 || node.disk.holds(p.seq, &p.hash);
        match message {
            Message::Beat(beat) => {
                self.check(beat.ballot <= safety.promised, "I1", || {
                    format!(
                        "node {id}: beat names ballot {:?}, on disk {:?}",
                        beat.ballot, safety.promised
                    )
                });
                self.check(beat.view_no <= safety.view_no, "I10", || {
                    format!(
                        "node {id}: beat names view {}, on disk {}",
                        beat.view_no, safety.view_no
                    )
                });
                self.check(!(unfit && beat.echo.is_some()), "I12", || {
                    format!("node {id} gives echoes although it may not vote")
                });
            }
            Message::Promise { ballot, head, .. } => {
                self.check(*ballot <= safety.promised, "I1", || {
                    format!(
                        "node {id}: promise {ballot:?} sent, on disk {:?}",
                        safety.promised
                    )
                });
                self.check(!unfit, "I12", || {
                    format!("node {id} promises although it may not vote")
                });
                // What was accepted since, while this waited for the disk, may have replaced it:
                // then its candidate has won already without this word. Example: C promises B, C's
                // disk is slow, D promises as well, and B's first entries reach C, cut off what C
                // had named, and go to the disk in the same write as the promise.
                let newest = safety.promised == *ballot;
                let replaced = node
                    .core
                    .as_ref()
                    .is_none_or(|c| c.point(head.seq).is_none_or(|p| p.hash != head.hash));
                let won = self.led.contains(ballot);
                self.check(!newest || (replaced && won) || on_disk(head), "I1", || {
                    format!(
                        "node {id}: promise names entry {} that is not on its disk",
                        head.seq
                    )
                });
            }
            Message::Prepare { ballot, .. } => {
                self.check(*ballot <= safety.promised, "I1", || {
                    format!(
                        "node {id}: asks for {ballot:?}, on disk {:?}",
                        safety.promised
                    )
                });
            }
            Message::Ack {
                ballot, durable, ..
            } => {
                self.check(*ballot <= safety.promised, "I1", || {
                    format!(
                        "node {id}: acknowledges under {ballot:?}, on disk {:?}",
                        safety.promised
                    )
                });
                self.check(!unfit, "I12", || {
                    format!("node {id} acknowledges although it may not vote")
                });
                self.check(on_disk(durable), "R1", || {
                    format!(
                        "node {id}: entry {} called durable is not on its disk",
                        durable.seq
                    )
                });
            }
            _ => {}
        }
    }
}
