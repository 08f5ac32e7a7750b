//! Disks that are slow and not dead: a coordinator that is behind for its disk alone hands over, and a
//! store that hangs again and again is trusted again only when it has been prompt for a while.

use std::collections::BTreeSet;

use wire::NodeId;

use crate::core::Role;
use crate::mutant::{self, Mutant};
use crate::*;

/// What is remembered of a store that hung.
#[derive(Debug, Default)]
pub(crate) struct Relapses {
    /// How often it hung again soon after it had been trusted.
    count: u32,
    trusted: Option<Time>,
    /// Since when no barrier was slow; none ended promptly yet: `None`.
    prompt_since: Option<Time>,
    /// When it was last known that others go on without this node, or that the store hung.
    not_needed: Time,
    /// When it is tried next.
    try_at: Time,
}

impl Relapses {
    /// How long it has to be prompt, in microseconds.
    fn prompt_us(&self) -> u64 {
        PROMPT_US << self.count.saturating_sub(1).min(PROMPT_DOUBLINGS)
    }
}

impl Core {
    /// No barrier was completed for too long (ruling 13).
    pub(crate) fn store_hangs(&mut self) {
        self.writes.hung = true;
        let relapses = &mut self.writes.relapses;
        let calm = |since: Time| self.now.since(since) > RELAPSE_US;
        relapses.count = match relapses.trusted {
            None => 0,
            Some(since) if calm(since) => 0,
            Some(_) => relapses.count + 1,
        };
        relapses.prompt_since = None;
        let mut text = "the store has not completed a barrier for 2 s: this node stops renewing \
                        and leaves the view until it does"
            .to_owned();
        if relapses.count > 0 {
            let prompt_s = relapses.prompt_us() / 1_000_000;
            text =
                format!("{text}, and has been prompt for {prompt_s} s: it hangs again and again");
        }
        self.notice("store-hung", Some(self.me.node), text);
    }

    /// A barrier ended after so long.
    pub(crate) fn store_answered(&mut self, took_us: u64) {
        if !self.writes.hung {
            return;
        }
        let relapses = &mut self.writes.relapses;
        if took_us >= PROMPT_BARRIER_US {
            relapses.prompt_since = None;
        } else {
            relapses.prompt_since.get_or_insert(self.now);
        }
        if relapses.count == 0 || mutant::on(Mutant::HungTrustedAtOnce) {
            self.trust_store();
        }
    }

    fn trust_store(&mut self) {
        self.writes.hung = false;
        self.writes.relapses.trusted = Some(self.now);
    }

    /// It hung again and again, and has not failed.
    fn distrusted(&self) -> bool {
        let writes = &self.writes;
        writes.hung && writes.failed.is_none() && writes.relapses.count > 0
    }

    /// A store that hung again is tried, and trusted when it has been prompt for long enough: else the
    /// node would come and go with every write. Unless nobody goes on without it: then a slow node is
    /// better than none.
    pub(crate) fn check_trust(&mut self) {
        if !self.distrusted() {
            return;
        }
        let at_it_us = self.writes.oldest().map_or(0, |from| self.now.since(from));
        let needless = self.others_go_on();
        let relapses = &mut self.writes.relapses;
        if at_it_us >= PROMPT_BARRIER_US {
            relapses.prompt_since = None;
        }
        if at_it_us >= BARRIER_US_MAX || needless {
            relapses.not_needed = self.now;
        }
        let prompt = |since: Time| self.now.since(since) >= relapses.prompt_us();
        let needed = self.now.since(relapses.not_needed) >= 2 * self.cfg.timing.t_fail_us;
        if relapses.prompt_since.is_some_and(prompt) || needed {
            self.trust_store();
        } else if self.writes.idle() && self.now >= self.writes.relapses.try_at {
            self.writes.relapses.try_at = self.now.plus(TRY_US);
            self.save_safety();
        }
    }

    /// A coordinator acts somewhere. It counts as deaf here, where this node is silent.
    fn others_go_on(&self) -> bool {
        let t_fail_us = self.cfg.timing.t_fail_us;
        let acts = |p: &peer::Peer| p.beat.as_ref().is_some_and(|b| b.acting);
        let mut peers = self.peers.values();
        peers.any(|p| acts(p) && p.fresh(self.now, t_fail_us))
    }

    pub(crate) fn trust_timeout(&self) -> Option<Time> {
        if !self.distrusted() {
            return None;
        }
        let relapses = &self.writes.relapses;
        let needed = relapses.not_needed.plus(2 * self.cfg.timing.t_fail_us);
        let tried = Some(relapses.try_at).filter(|_| self.writes.idle());
        let prompt = relapses.prompt_since.map(|t| t.plus(relapses.prompt_us()));
        let sooner = [tried, prompt].into_iter().flatten();
        sooner.chain([needed]).min()
    }

    /// A barrier ended here so long after the others' disks had committed what was in it. A coordinator
    /// learns of views and entries from its own disk, as everybody, and what it does about them comes
    /// as late: the others, who need it for nothing else, are better off with another one.
    pub(crate) fn note_lag(&mut self, lag_us: u64) {
        let Role::Dc(dc) = &mut self.role else { return };
        dc.late = if lag_us >= LATE_US { dc.late + 1 } else { 0 };
        let tired = dc.late >= LATE_BARRIERS && dc.acting;
        if !tired || mutant::on(Mutant::SlowDcStays) || !self.others_suffice() {
            return;
        }
        let text = format!(
            "the disk of this node is slower than those of the others: {LATE_BARRIERS} times in a row \
             it ended a write more than {} ms after them; it hands coordination over",
            LATE_US / 1_000
        );
        self.notice("disk-behind", Some(self.me.node), text);
        self.step_down("its disk is behind those of the others");
        self.election.not_before = self.now.plus(HANDED_OVER_US);
    }

    /// The other members could elect one of them.
    fn others_suffice(&self) -> bool {
        let members = self.tip.view.members.iter().map(|m| m.identity.node);
        let others: BTreeSet<NodeId> = members.filter(|node| self.linked(*node)).collect();
        self.rules().quorate(&others)
    }
}

/// A store that hung is trusted at once when it works again, but for one that hangs again within this
/// time, in microseconds.
const RELAPSE_US: u64 = 60_000_000;
/// Such a one has to be prompt for so long, and twice as long with every further relapse.
const PROMPT_US: u64 = 1_000_000;
/// Doublings of that: 16 s.
const PROMPT_DOUBLINGS: u32 = 4;
/// A barrier that takes less is prompt, in microseconds.
const PROMPT_BARRIER_US: u64 = BARRIER_US_MAX / 2;
/// It is tried as often, in microseconds.
const TRY_US: u64 = 100_000;
/// A coordinator's barrier is late when it ends so long after the others' commit, in microseconds.
const LATE_US: u64 = 500_000;
/// So many late ones in a row: disks that are all as slow take turns in being last.
const LATE_BARRIERS: u32 = 5;
/// Who handed over stands again only after this time, in microseconds.
const HANDED_OVER_US: u64 = 3 * BARRIER_US_MAX;
