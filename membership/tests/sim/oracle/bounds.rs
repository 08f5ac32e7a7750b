//! Nothing grows without bound (I25).

use membership::Probe;

use super::*;

impl Oracle {
    /// I25: a leader takes no more than it can commit, and nobody holds more than that and the tail
    /// that a snapshot leaves.
    pub(super) fn bounded(&mut self, id: u32, probe: &Probe<'_>) {
        let open = probe.head.seq - probe.commit.min(probe.head.seq);
        // Views, ends of fencings and a ballot's first entry come on top of what clients may have open.
        let most = membership::UNCOMMITTED_MAX + OWN_ENTRIES;
        self.check(probe.leads.is_none() || open <= most, "I25", || {
            format!(
                "node {id} leads with {open} entries that are not committed, at most {most} may be"
            )
        });
    }

    /// I25: a disk that is slow is not given more and more.
    pub fn queued(&mut self, id: u32, writes: usize) {
        let most = membership::WRITES_IN_FLIGHT_MAX;
        self.check(writes <= most, "I25", || {
            format!("node {id} has {writes} writes under way, at most {most} may be")
        });
    }
}

/// Entries that a leader writes for itself while nothing commits: its first one, views, a joint step.
const OWN_ENTRIES: u64 = 1_024;
