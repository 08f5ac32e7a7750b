//! Events on their way to alert agents. As in Pacemaker every node tells its own agents of nodes
//! and fencing, and of the operations that it ran itself.

use super::app::App;
use crate::alert::AlertEvent;
use crate::executor::OpFinished;
use membership::FenceResult;
use wire::NodeId;

impl App {
    pub(super) fn alert_node(&self, node: NodeId, member: bool) {
        self.alert(&AlertEvent::Node {
            node: self.peers.name(node),
            node_id: node.0,
            member,
        });
    }

    /// A peer is reached through others only.
    pub(super) fn path_degraded(&self, node: NodeId, text: &str) {
        self.alert_path(node, format!("degraded: {}", self.peers.named(text)));
    }

    /// It is reached directly again: what the notices say of its path is over.
    pub(super) fn path_restored(&mut self, node: NodeId, text: &str) {
        let name = self.peers.name(node);
        let about = format!("{name}: ");
        self.notices.clear_about("degraded-path", &about);
        let text = self.peers.named(text);
        tracing::info!("{text}");
        self.alert_path(node, text);
    }

    fn alert_path(&self, node: NodeId, desc: String) {
        self.alert(&AlertEvent::Path {
            node: self.peers.name(node),
            node_id: node.0,
            desc,
        });
    }

    pub(super) fn alert_operation(&self, finished: &OpFinished) {
        let node = self.peers.name(self.me.node);
        self.alert(&AlertEvent::Resource {
            node,
            finished: Box::new(finished.clone()),
        });
    }

    pub(super) fn alert_fencing(&self, result: &FenceResult, action: &str) {
        let node = self.peers.name(result.target);
        let (rc, desc) = match &result.outcome {
            Ok(device) => (0, format!("{node} was fenced by {device}")),
            Err(why) => (1, format!("{node} could not be fenced: {why}")),
        };
        self.alert(&AlertEvent::Fencing {
            node,
            action: action.to_owned(),
            rc,
            desc,
        });
    }

    fn alert(&self, event: &AlertEvent) {
        self.local.alerter.send(event, &self.local.alerts);
    }
}
