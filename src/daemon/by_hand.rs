//! What an administrator says over the cluster's head: this node is down, this resource has failed.

use super::app::{App, now_s};
use super::peer::NodeTell;
use super::requests::{Reply, error};
use crate::executor::{OpFinished, OpOutcome, OpRequest, ocf_rc};
use crate::ipc::{ErrorKind, Response};
use membership::PeerState;
use wire::NodeId;

impl App {
    /// `stonith_admin --confirm`: goes into the log as a fencing that a human has done. Not of a node
    /// that is heard: what runs there would be started a second time.
    pub(super) fn request_confirm_down(&mut self, node: &str, reply: Reply) {
        let heard = self.peers.by_name(node).is_some_and(|id| {
            let state = self.standing.peers.get(&id).map(|(state, _)| *state);
            id == self.me.node || state == Some(PeerState::Up)
        });
        if heard {
            let text = format!(
                "{node} is heard, so it is not down: nothing was taken for granted; cut its power first, or have a device do it (stonith_admin --reboot {node})"
            );
            return drop(reply.send(error(ErrorKind::Invalid, &text)));
        }
        self.request_fence(node, CONFIRMED.to_owned(), reply);
    }

    /// Forgets fencings that are over, here and on every other node.
    pub(super) fn request_forget_fencings(&mut self, node: Option<String>) -> Response {
        if let Some(name) = &node
            && self.peers.by_name(name).is_none()
        {
            return error(ErrorKind::NotFound, &format!("no node is called `{name}`"));
        }
        let members = self.replica.standings().members().iter();
        let members: Vec<NodeId> = members.map(|id| NodeId(*id)).collect();
        for member in members {
            let node = node.clone();
            self.tell(member, NodeTell::ForgetFencings { node });
        }
        Response::Done {
            text: "cleaning up the fencing history".to_owned(),
        }
    }

    /// `crm_resource --fail`: the node that runs it is told.
    pub(super) fn request_fail(&mut self, resource: &str, node: &str) -> Response {
        let Some(target) = self.peers.by_name(node) else {
            let text = format!("no node is called `{node}`");
            return error(ErrorKind::NotFound, &text);
        };
        let look = self.look();
        let mut states = look
            .cib
            .first("status")
            .into_iter()
            .flat_map(|s| s.all("node_state"));
        let state = states.find(|s| s.attr("uname") == Some(node));
        let histories = state
            .and_then(|s| s.first("lrm")?.first("lrm_resources"))
            .into_iter()
            .flat_map(|all| all.all("lrm_resource"));
        let base = resource.split(':').next().unwrap_or(resource);
        let known: Vec<&str> = histories.filter_map(cib::Element::id).collect();
        let Some(rsc) = [resource, base].into_iter().find(|id| known.contains(id)) else {
            let text =
                format!("nothing is known of {resource} on {node}: it cannot fail where it is not");
            return error(ErrorKind::NotFound, &text);
        };
        let rsc = rsc.to_owned();
        self.clients.expect_news();
        self.tell(target, NodeTell::Fail { rsc });
        Response::Done {
            text: format!("{resource} counts as failed on {node}"),
        }
    }

    /// A resource of this node is to count as failed: recorded as a failure that nobody's monitor
    /// found (daemons/controld/controld_execd.c, `fail_lrm_resource`).
    pub(super) fn fail_resource(&mut self, rsc: &str) {
        let Some(known) = self.local.history.element(rsc) else {
            tracing::warn!(rsc, "asked to count as failed, but it is not known here");
            return;
        };
        let word = |name: &str| known.attr(name).unwrap_or_default().to_owned();
        let monitors = self.local.executor.recurring(rsc).into_iter();
        let request = OpRequest {
            rsc: rsc.to_owned(),
            instance: rsc.to_owned(),
            class: word("class"),
            provider: known.attr("provider").map(str::to_owned),
            kind: word("type"),
            operation: ASYNC_MONITOR.to_owned(),
            on_fail: monitors
                .map(|(monitor, _)| monitor.on_fail)
                .next()
                .unwrap_or_default(),
            ..OpRequest::default()
        };
        let failed = OpFinished {
            request,
            outcome: OpOutcome {
                call_id: self.local.executor.number(),
                rc: ocf_rc::GENERIC,
                exit_reason: "failed by an administrator".to_owned(),
                started_at: now_s(),
                ..OpOutcome::default()
            },
        };
        tracing::warn!(rsc, "an administrator says that it has failed");
        let items = self.record(&failed);
        self.alert_operation(&failed);
        self.tell_dc(NodeTell::Changed {
            why: format!("{rsc} was failed by an administrator"),
            items,
        });
    }
}

/// The action of a fencing that an administrator confirms.
pub(super) const CONFIRMED: &str = "confirm";
/// Who did it, in the certificate (Pacemaker writes the same).
pub(super) const A_HUMAN: &str = "a human";
/// How Pacemaker calls a failure that came from outside.
const ASYNC_MONITOR: &str = "asyncmon";
