//! What is fenced was decided before (I16).

use membership::FenceIntent;

use super::*;

impl Oracle {
    /// The intent stands in the log, or on the disk of a lone node of two (R11).
    pub(super) fn intent(&mut self, intent: &FenceIntent) {
        self.intents.insert((intent.fence_no, intent.target));
    }

    /// I16: no agent runs for an intent that nobody but its node knows.
    pub fn agent_runs(&mut self, id: u32, intent: &FenceIntent) {
        let known = self.intents.contains(&(intent.fence_no, intent.target));
        self.check(known, "I16", || {
            format!("node {id} runs an agent for {intent:?}, which is not committed")
        });
    }
}
