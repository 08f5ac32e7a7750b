//! Events on their way to alert agents.

use super::app::App;
use crate::executor::OpFinished;
use membership::FenceResult;
use wire::NodeId;

impl App {
    pub(super) fn alert_node(&mut self, node: NodeId, state: &str) {
        tracing::info!(node = self.peers.name(node), state, "node event");
    }

    pub(super) fn alert_quorum(&mut self, _quorate: bool, _why: &str) {}

    pub(super) fn alert_operation(&mut self, _finished: &OpFinished) {}

    pub(super) fn alert_fencing(&mut self, _result: &FenceResult) {}
}
