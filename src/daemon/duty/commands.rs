//! What a plan's actions become: commands to nodes, and steps of the controller's own.

use crate::daemon::app::App;
use crate::daemon::peer::{NodeCommand, Step};
use crate::vip::lease::is_leased;
use scheduler::Action;
use wire::NodeId;

impl App {
    pub(super) fn command(&mut self, node: &str, command: NodeCommand, lone: bool) {
        let Some(to) = self.peers.by_name(node) else {
            let text = format!(
                "a command for {node} was not sent: no node of that name is in corosync.conf"
            );
            return self.notice("unknown-node", text);
        };
        if lone {
            // A node may always stop its own: it needs no DC's authority, and none can object.
            return self.obey(None, command);
        }
        match command {
            NodeCommand::Run(request) if request.operation == "start" && is_leased(&request) => {
                self.start_leased(to, request);
            }
            command => self.command_to(to, command),
        }
    }

    /// Sends a command by this DC's authority.
    pub(in crate::daemon) fn command_to(&mut self, to: NodeId, command: NodeCommand) {
        if to == self.me.node {
            let view_no = self.standing.view.view_no;
            let token = self.standing.acting.map(|b| (b.counter, view_no));
            return self.obey(Some(token.unwrap_or_default()), command);
        }
        self.turn.command(to, command);
    }

    /// The controller's own actions.
    pub(super) fn perform(&mut self, transition: u32, action: &Action, lone: bool) {
        let duty = if lone {
            self.duty.lone_id
        } else {
            self.duty.id
        };
        let step = Step {
            duty,
            transition,
            action: action.id,
        };
        let node = action.node.clone().unwrap_or_default();
        let rsc = action
            .resource
            .as_ref()
            .map(|r| r.id.clone())
            .or_else(|| rsc_of(action));
        let command = match (action.operation.as_str(), rsc) {
            ("stonith", _) => return self.fence_as_planned(action, &node, step),
            // The DC goes last: what its graph still starts elsewhere is finished first. The next
            // plan says it again.
            ("do_shutdown", _)
                if node.1 == self.peers.name(self.me.node) && self.has_more_to_do() =>
            {
                return self.confirm(step, true);
            }
            ("do_shutdown", _) => NodeCommand::Shutdown {
                seq: self.replica.seq(),
            },
            ("cancel", Some(rsc)) => {
                let (operation, interval_ms) = recurring_of(action);
                NodeCommand::Cancel {
                    step,
                    rsc,
                    operation,
                    interval_ms,
                }
            }
            ("delete" | "lrm_delete", Some(rsc)) => NodeCommand::Forget { step, rsc },
            ("clear_failcount", Some(rsc)) => NodeCommand::ClearFailures {
                step,
                rsc,
                operation: failed_operation(action),
            },
            // Bookkeeping of Pacemaker's daemons that has no counterpart here.
            _ => return self.confirm(step, true),
        };
        self.command(&node.1, command, lone);
    }

    /// The running graph has actions left beside the one that is being carried out.
    fn has_more_to_do(&self) -> bool {
        let progress = self.duty.controller.progress();
        progress.is_some_and(|(done, all)| done + 1 < all)
    }
}

/// The resource of an action that is not an agent's, from its key `RSC_OPERATION_INTERVAL`.
fn rsc_of(action: &Action) -> Option<String> {
    let suffix = format!("_{}_", action.operation);
    action
        .key
        .rfind(&suffix)
        .map(|at| action.key[..at].to_owned())
}

/// Operation and interval that a `cancel` names.
fn recurring_of(action: &Action) -> (String, u64) {
    let operation = action.meta.get("operation").unwrap_or("monitor").to_owned();
    let interval = action.meta.get("interval").and_then(|i| i.parse().ok());
    (operation, interval.unwrap_or(action.interval_ms))
}

/// The one operation whose failures a `clear_failcount` names; `None` = all.
fn failed_operation(action: &Action) -> Option<(String, u64)> {
    let operation = action.meta.get("operation")?.to_owned();
    let interval = action
        .meta
        .get("interval")
        .and_then(|i| i.parse().ok())
        .unwrap_or(0);
    Some((operation, interval))
}
