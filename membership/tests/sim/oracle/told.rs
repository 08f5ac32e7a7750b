//! What applications and clients are told: I7, I8, I10, I13, I20, I26, outcomes.

use super::*;

impl Oracle {
    pub(super) fn delivered(&mut self, node: &Node, entry: &Entry) {
        let id = node.id;
        let seen = self.seen.at(id);
        let expected = seen.applied + 1;
        seen.applied = entry.seq;
        self.check(entry.seq == expected, "delivery", || {
            format!(
                "node {id}: entry {} delivered, {expected} was next",
                entry.seq
            )
        });
        if self.class_u {
            self.delivered_unsafely(node, entry);
            return;
        }
        let fact = self.committed.get(entry.seq as usize - 1);
        let same = fact.is_none_or(|f| f.entry == *entry);
        self.check(same, "I7", || {
            format!("node {id}: delivered another entry {}", entry.seq)
        });
        self.version_names_one(node, entry);
    }

    /// I9: what this very replica calls (epoch, num_updates) grows, and is the same content wherever
    /// and whenever it is called that, whether it came by entries or by a snapshot.
    fn version_names_one(&mut self, node: &Node, entry: &Entry) {
        let id = node.id;
        let Some(point) = node.core.as_ref().and_then(|c| c.point(entry.seq)) else {
            return;
        };
        let before = node.app.version;
        let mut app = node.app.clone();
        app.apply(entry);
        let version = app.version;
        self.check(version > before, "I9", || {
            format!("node {id}: version {before:?} -> {version:?}")
        });
        let first = *self.versions.entry(version).or_insert(point.hash);
        self.check(first == point.hash, "I9", || {
            format!("node {id}: version {version:?} names two contents")
        });
    }

    pub(super) fn restored(&mut self, node: &Node, seq: u64, state: &[u8]) {
        let id = node.id;
        let on_disk = node.disk.snapshot.as_ref().map_or(0, |(at, _)| *at);
        self.check(seq <= on_disk, "I10", || {
            format!("node {id}: the application gets the state through {seq}, on disk is {on_disk}")
        });
        self.seen.at(id).applied = seq;
        if seq == 0 || self.class_u {
            return;
        }
        let expected = self.committed.get(seq as usize - 1).map(|f| f.app.bytes());
        self.check(expected.as_deref() == Some(state), "I26", || {
            format!("node {id}: restored another state through {seq}")
        });
    }

    pub(super) fn outcome(&mut self, id: u32, op: OpId, result: &Result<u64, Refusal>) {
        let Some(fate) = self.ops.get_mut(&op).filter(|f| f.proposals > 0) else {
            return;
        };
        match result {
            Ok(seq) => {
                let first = fate.acked.is_none();
                if first {
                    fate.answered = self.now;
                }
                let (was, at) = (fate.acked, fate.committed);
                fate.acked = Some(*seq);
                self.acked += u64::from(first);
                self.acked_through = self.acked_through.max(*seq);
                self.check(was.is_none_or(|w| w == *seq) || self.class_u, "I8", || {
                    format!("node {id}: operation {op:?} acknowledged at {was:?}, then {seq}")
                });
                self.check(at == Some(*seq) || self.class_u, "I8", || {
                    format!(
                        "node {id}: operation {op:?} acknowledged at {seq}, committed at {at:?}"
                    )
                });
            }
            Err(Refusal::InDoubt) => {}
            Err(refusal) => {
                let only = fate.proposals == 1;
                fate.refused = only;
                let at = fate.committed;
                self.check(at.is_none() || !only || self.class_u, "outcome", || {
                    format!(
                        "node {id}: operation {op:?} refused ({refusal:?}), but it is entry {at:?}"
                    )
                });
            }
        }
    }

    pub fn is_committed(&self, op: OpId) -> bool {
        self.ops
            .get(&op)
            .is_some_and(|fate| fate.committed.is_some())
    }

    /// A retry may be applied although the first attempt was refused.
    pub fn proposed(&mut self, op: OpId) {
        let first = Fate {
            floor: self.acked_through,
            invoked: self.now,
            ..Fate::default()
        };
        let fate = self.ops.entry(op).or_insert(first);
        fate.proposals += 1;
        fate.refused = false;
    }

    /// I13: never below what this disk has promised, never twice, never out of order.
    pub(super) fn command(&mut self, node: &Node, token: &Token, from: NodeId) {
        let id = node.id;
        let promised = node
            .disk
            .safety
            .as_ref()
            .map_or(Ballot::default(), |s| s.promised);
        self.check(token.ballot >= promised, "I13", || {
            format!(
                "node {id} runs a command of {:?}, it has promised {promised:?}",
                token.ballot
            )
        });
        // I17: only who had authority gives any, so no node without quorum has anything started.
        let acted = self.leaders.get(&token.ballot) == Some(&token.dc);
        self.check(acted, "I17", || {
            format!(
                "node {id}: a command of {:?}, under which nobody acted",
                token.ballot
            )
        });
        self.check(token.ballot.node == from.0, "I13", || {
            format!("node {id}: token of another node than {from}")
        });
        let key = (token.ballot, token.view_no, token.act_no);
        let seen = self.seen.at(id);
        let last = seen.token.replace(key);
        self.check(last.is_none_or(|last| key > last), "I13", || {
            format!("node {id} runs command {key:?} after {last:?}")
        });
    }

    pub(super) fn view(&mut self, node: &Node, view: &View) {
        let id = node.id;
        let on_disk = node.disk.safety.as_ref().map_or(0, |s| s.view_no);
        self.check(view.view_no <= on_disk, "I10", || {
            format!(
                "node {id}: view {} installed, on disk {on_disk}",
                view.view_no
            )
        });
        let dc = self.seen.get(view.ballot.node).is_some_and(|s| s.let_in);
        let seen = self.seen.at(id);
        let last = std::mem::replace(&mut seen.view_no, view.view_no);
        if dc && view.names(&node.me) {
            seen.let_in = true;
        }
        self.check(view.view_no > last, "I10", || {
            format!("node {id}: view {} after {last}", view.view_no)
        });
    }
}
