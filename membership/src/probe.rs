//! What a simulator's oracle looks at after every step: no copies, nothing a driver needs.

use wire::Identity;

use crate::core::Role;
use crate::log::Record;
use crate::message::{Hash, Point};
use crate::*;

/// The inside of a core at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Probe<'a> {
    /// This process.
    pub me: Identity,
    /// Its time spans.
    pub timing: &'a Timing,
    /// Ballot under which it acts as DC now.
    pub acting: Option<Ballot>,
    /// Ballot that it leads, acting or not.
    pub leads: Option<Ballot>,
    /// Its authority is restricted (R11).
    pub restricted: bool,
    /// It may not vote (R6).
    pub recovering: bool,
    /// Its store hangs, or did so too often to be trusted yet.
    pub hung: bool,
    /// What was decided.
    pub safety: &'a SafetyRecord,
    /// What of it is on disk.
    pub safe: &'a SafetyRecord,
    /// Last entry held.
    pub head: Point,
    /// Entry before the first one held.
    pub base: Point,
    /// Committed through here.
    pub commit: u64,
    /// Log position through which everything is on disk.
    pub durable: u64,
    /// Newest accepted view.
    pub view: &'a View,
    /// Entries not covered by a quorum begin here (class U).
    pub class_u: Option<u64>,
}

impl Core {
    /// The inside of this core, for oracles.
    pub fn probe(&self) -> Probe<'_> {
        let acting = match &self.role {
            Role::Dc(dc) if dc.acting => Some(dc.ballot),
            _ => None,
        };
        Probe {
            me: self.me,
            timing: &self.cfg.timing,
            acting,
            leads: self.dc_ballot(),
            restricted: self.restricted(),
            recovering: self.is_recovering(),
            hung: self.writes.hung,
            safety: &self.safety,
            safe: &self.safe,
            head: self.log.head(),
            base: self.log.base(),
            commit: self.commit,
            durable: self.writes.durable,
            view: &self.tip.view,
            class_u: self.committed.class_u,
        }
    }

    /// It may not vote (R6): [`Probe::recovering`].
    pub fn is_recovering(&self) -> bool {
        self.safety.recovering || self.poisoned
    }

    /// The entry at `seq` with its chain value, if it is held.
    pub fn logged(&self, seq: u64) -> Option<(&Record, Hash)> {
        self.log.get(seq).map(|l| (&l.record, l.hash))
    }

    /// The point at `seq`, if it is held.
    pub fn point(&self, seq: u64) -> Option<Point> {
        self.log.point(seq)
    }
}
