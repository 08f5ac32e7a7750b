//! A disk as the core sees it: what was written, in order. The scenarios of `tests/common` use it, too.

use std::collections::BTreeMap;

use membership::message::Hash;
use membership::{DurableOp, Recovered, SafetyRecord, WitnessRecord};

/// What a crash leaves.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub safety: Option<SafetyRecord>,
    pub snapshot: Option<(u64, Vec<u8>)>,
    pub log: BTreeMap<u64, Vec<u8>>,
    pub commit_hint: u64,
    pub degraded: bool,
    /// Of a witness.
    pub witness: Option<WitnessRecord>,
}

impl Disk {
    pub fn apply(&mut self, op: &DurableOp) {
        match op {
            DurableOp::Safety(record) => self.safety = Some(record.clone()),
            DurableOp::TruncateLog { seq } => drop(self.log.split_off(seq)),
            DurableOp::AppendLog { seq, record } => drop(self.log.insert(*seq, record.clone())),
            DurableOp::CommitHint { seq } => self.commit_hint = *seq,
            DurableOp::Snapshot { seq, state } => {
                self.snapshot = Some((*seq, state.clone()));
                self.log = self.log.split_off(&(seq + 1));
            }
            DurableOp::Witness(record) => self.witness = Some(record.clone()),
        }
    }

    pub fn recovered(&self) -> Recovered {
        Recovered {
            safety: self.safety.clone(),
            snapshot: self.snapshot.clone(),
            log: self.log.iter().map(|(s, r)| (*s, r.clone())).collect(),
            commit_hint: self.commit_hint,
            degraded: self.degraded,
        }
    }

    /// Last entry on it, as a handshake names it (R8).
    pub fn head(&self) -> u64 {
        let snapshot = self.snapshot.as_ref().map_or(0, |(at, _)| *at);
        self.log
            .keys()
            .last()
            .map_or(snapshot, |seq| snapshot.max(*seq))
    }

    /// Is this very entry on the disk? A record begins with its chain value.
    pub fn holds(&self, seq: u64, hash: &Hash) -> bool {
        let in_snapshot = self.snapshot.as_ref().is_some_and(|(at, _)| *at >= seq);
        in_snapshot || self.log.get(&seq).is_some_and(|r| r.starts_with(hash))
    }
}
