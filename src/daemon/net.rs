//! What `mainstay net` and the corosync tools show.

use super::app::{App, now_s};
use crate::ipc::{ErrorKind, Response};
use crate::transport::Report;
use crate::view::net::{NetHeard, NetLink, NetNode, NetQuorum, NetStatus};
use membership::{CoreStatus, PeerState, message::Heard};
use tokio::sync::oneshot;
use wire::NodeId;

impl App {
    /// Answers [`crate::ipc::Request::Net`] with the protocol thread's report.
    pub(super) fn answer_net(&self, reply: oneshot::Sender<Response>, report: Option<&Report>) {
        let response = match report {
            Some(report) => Response::Net(Box::new(self.net(&report.core))),
            None => Response::Error {
                kind: ErrorKind::Failed,
                text: "the protocol thread does not answer: see the log of mainstayd".to_owned(),
            },
        };
        // Whoever asked may have gone.
        let _ = reply.send(response);
    }

    fn net(&self, core: &CoreStatus) -> NetStatus {
        let nodes = self.peers.names.iter();
        NetStatus {
            local: self.me.node.0,
            nodes: nodes
                .map(|(id, name)| self.net_node(*id, name, core))
                .collect(),
            quorum: NetQuorum {
                quorate: core.quorate,
                why: self.peers.named(&core.quorate_why),
                votes: (core.votes_expected, core.votes_present, core.votes_needed),
                flags: flags(core),
                device: core.config.current.witness.is_some(),
            },
            view_no: core.view.view_no,
            now: now_s(),
        }
    }

    fn net_node(&self, id: NodeId, name: &str, core: &CoreStatus) -> NetNode {
        let votes = &core.config.current;
        let votes = votes
            .votes_of(id)
            .or_else(|| self.peers.votes.get(&id).copied());
        let mut node = NetNode {
            id: id.0,
            name: name.to_owned(),
            votes: votes.unwrap_or(0),
            ..NetNode::default()
        };
        if id == self.me.node {
            node.state = "self".to_owned();
            node.here = true;
            node.row = row(&core.row);
            node.links = self.own_links();
            return node;
        }
        let Some(peer) = core.peers.iter().find(|p| p.node == id) else {
            return node;
        };
        let counts = |row: &[Heard], of: NodeId| {
            row.iter()
                .any(|h| h.node == of && h.how & Heard::COUNTS != 0)
        };
        node.here = counts(&core.row, id) && counts(&peer.row, self.me.node);
        node.state = peer_state(peer).to_owned();
        node.through = peer.relay.map(|n| n.0);
        node.through_rtt_us = peer.relay.and(peer.relay_rtt_us);
        if peer.state == PeerState::Up {
            node.row = row(&peer.row);
        }
        node.links = self.links_to(peer);
        node
    }

    fn own_links(&self) -> Vec<NetLink> {
        let own = self.peers.links.iter().map(|l| NetLink {
            number: l.link,
            address: l.own.ip().to_string(),
            up: true,
            ..NetLink::default()
        });
        own.collect()
    }

    fn links_to(&self, peer: &membership::PeerStatus) -> Vec<NetLink> {
        let links = peer.links.iter().filter_map(|l| {
            let at = self.peers.links.iter().find(|a| a.link == l.link)?;
            Some(NetLink {
                number: l.link,
                address: at.peers.get(&peer.node)?.ip().to_string(),
                up: l.up,
                best: l.best,
                rtt_us: l.rtt_us,
                loss_permille: l.loss_permille,
                flaps: l.flaps,
                silent_ms: l.silent_us.map(|us| us / 1_000),
                hold_down_ms: l.hold_down_us / 1_000,
            })
        });
        links.collect()
    }
}

/// As the detector sees a peer; `degraded` where packets reach it through another node only.
pub(super) fn peer_state(peer: &membership::PeerStatus) -> &'static str {
    match peer.state {
        PeerState::Up if peer.relay.is_some() => "degraded",
        PeerState::Up => "up",
        PeerState::Lost => "lost",
        PeerState::Left => "left",
        PeerState::Unknown => "unknown",
    }
}

fn row(row: &[Heard]) -> Vec<NetHeard> {
    let field = |h: &Heard| NetHeard {
        id: h.node.0,
        counts: h.how & Heard::COUNTS != 0,
        direct: h.how & Heard::DIRECT != 0,
        both_ways: h.how & Heard::EDGE != 0,
    };
    row.iter().map(field).collect()
}

/// What corosync-quorumtool calls the rules in force, in its order.
fn flags(core: &CoreStatus) -> Vec<String> {
    let set = &core.config.current;
    let all = [
        ("2Node", set.two_node),
        ("Quorate", core.quorate),
        ("WaitForAll", set.wait_for_all),
        ("LastManStanding", set.last_man_standing.is_some()),
        ("AutoTieBreaker", set.tie_node.is_some()),
        ("Qdevice", set.witness.is_some()),
    ];
    let on = all.into_iter().filter(|(_, on)| *on);
    on.map(|(name, _)| name.to_owned()).collect()
}
