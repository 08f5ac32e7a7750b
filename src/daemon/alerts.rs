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
