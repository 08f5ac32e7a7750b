//! Two nodes without fencing: each half commits alone, and one of them may lose that. What holds all
//! the same: what a view of both committed is on both disks and never changes (I4, I7, I8), versions
//! grow on every replica (I9), and what is lost is handed out (I20).

use super::*;

impl Oracle {
    /// I4: with both in the view, both disks hold what is committed; I7: and it stays.
    pub(super) fn commits_unsafely(
        &mut self,
        nodes: &[Node],
        id: u32,
        core: &membership::Core,
        from: u64,
    ) {
        let probe = core.probe();
        let alone = probe
            .class_u
            .map_or(0, |first| probe.head.seq.saturating_sub(first));
        if alone >= KEPT_ENTRIES {
            let kept_from = self.compacted.entry(id).or_default();
            *kept_from = probe.base.seq.max(*kept_from);
        }
        for seq in from + 1..=probe.commit {
            let Some((record, hash)) = core.logged(seq) else {
                continue;
            };
            self.certificate(&record.body);
            if self.shared.get(&seq).is_some_and(|known| *known != hash) {
                let text =
                    format!("node {id}: entry {seq} was committed by both, now as {record:?}");
                self.fail("I7", text);
            }
        }
        if probe.leads.is_none() || probe.view.members.len() != 2 {
            return;
        }
        let last = self.shared.last_key_value().map_or(0, |(seq, _)| *seq);
        for seq in last.max(probe.base.seq) + 1..=probe.commit {
            let Some((_, hash)) = core.logged(seq) else {
                continue;
            };
            let lacking = nodes.iter().find(|n| !n.disk.holds(seq, &hash));
            let lacking = lacking.map(|n| n.id);
            self.check(lacking.is_none(), "I4", || {
                format!(
                    "DC {id} commits entry {seq} in a view of both, not on the disk of {lacking:?}"
                )
            });
            self.shared.insert(seq, hash);
        }
    }

    /// I8: whoever leads has everything that both committed.
    pub(super) fn has_what_was_shared(&mut self, id: u32, core: &membership::Core) {
        let Some((seq, hash)) = self.shared.last_key_value().map(|(s, h)| (*s, *h)) else {
            return;
        };
        let point = core.point(seq);
        let has = point.is_some_and(|p| p.hash == hash) || core.probe().base.seq > seq;
        self.check(has, "I8", || {
            format!("DC {id} lacks entry {seq}, which both had committed: it has {point:?}")
        });
    }

    pub(super) fn delivered_unsafely(&mut self, node: &Node, entry: &Entry) {
        let id = node.id;
        let point = node.core.as_ref().and_then(|c| c.point(entry.seq));
        let known = self.shared.get(&entry.seq);
        let same = point.zip(known).is_none_or(|(p, known)| p.hash == *known);
        self.check(same, "I7", || {
            format!("node {id}: delivered another entry {}", entry.seq)
        });
        let before = node.app.version;
        let mut app = node.app.clone();
        app.apply(entry);
        self.check(app.version > before, "I9", || {
            format!("node {id}: version {before:?} -> {:?}", app.version)
        });
    }

    pub(super) fn acked_unsafely(&mut self, node: &Node, op: OpId, result: &Result<u64, Refusal>) {
        let once = self.ops.get(&op).is_some_and(|fate| fate.proposals == 1);
        if let Ok(seq) = result
            && let Some(core) = &node.core
            && let Some((record, hash)) = core.logged(*seq)
            && matches!(record.body, EntryBody::App { .. })
            && self.class_u
            && once
        {
            self.unsafe_acks.insert(op, (*seq, hash, node.id));
        }
    }

    /// I20: two halves found together; what one acknowledged alone is in the log or in a conflict.
    pub fn nothing_lost_silently(&mut self, core: &membership::Core) {
        let base = core.probe().base.seq;
        let lost: Vec<_> = self
            .unsafe_acks
            .iter()
            .filter(|(op, (seq, hash, by))| {
                let gone = core.point(*seq).is_none_or(|p| p.hash != *hash);
                // What one half alone can keep as entries has a bound (I25).
                let compacted = self.compacted.get(by).is_some_and(|base| seq <= base);
                *seq > base && gone && !compacted && !self.conflicts.contains(*op)
            })
            .map(|(op, (seq, ..))| (*op, *seq))
            .collect();
        self.check(lost.is_empty(), "I20", || {
            format!("acknowledged under class U, in no log and in no conflict: {lost:?}")
        });
    }
}

/// So many entries of its own, less the commits of one step, a lone half keeps at least.
const KEPT_ENTRIES: u64 = 4_000;
