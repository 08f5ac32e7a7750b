//! The status as this node sees it.

use super::app::{App, now_s};
use crate::ipc::{Check, CheckLevel, Response};
use crate::transport::Report;
use crate::view::{PeerStatus, Status};
use membership::PeerState;
use scheduler::{Options, Plan};
use std::sync::Arc;
use tokio::sync::oneshot;
use wire::NodeId;

impl App {
    /// Answers [`crate::ipc::Request::Status`] with the protocol thread's report.
    pub(super) fn answer_status(
        &mut self,
        reply: oneshot::Sender<Response>,
        report: Option<&Report>,
    ) {
        let mut status = Box::new(self.status(report));
        let cib = self.cib_now();
        self.plan_for_client(cib, reply, |cib, plan| {
            status.take_cib(cib, plan);
            Response::Status(status)
        });
    }

    /// Runs the scheduler for somebody who looks, beside the loop and few at a time: the loop has
    /// a cluster to serve, and the blocking threads have addresses to move.
    pub(super) fn plan_for_client(
        &self,
        cib: cib::Element,
        reply: oneshot::Sender<Response>,
        answer: impl FnOnce(&cib::Element, Plan) -> Response + Send + 'static,
    ) {
        let places = Arc::clone(&self.clients.plans);
        let options = Options { now: now_s() };
        tokio::spawn(async move {
            let place = places.acquire_owned().await;
            let run = move || {
                let plan = scheduler::schedule(&cib, &options);
                answer(&cib, plan)
            };
            if let Ok(response) = tokio::task::spawn_blocking(run).await {
                // Whoever asked may have gone.
                let _ = reply.send(response);
            }
            drop(place);
        });
    }

    /// Everything but what a plan tells.
    fn status(&self, report: Option<&Report>) -> Status {
        let dc = self.dc();
        Status {
            cluster_name: self.conf.cluster_name.clone(),
            local_node: self.peers.name(self.me.node),
            local_state: format!("{:?}", self.standing.state).to_lowercase(),
            dc: dc.map(|n| self.peers.name(n)),
            quorate: self.standing.quorate,
            quorum_why: report.map_or_else(
                || self.standing.quorum_why.clone(),
                |r| r.core.quorate_why.clone(),
            ),
            votes: report.map(votes).unwrap_or_default(),
            view_no: self.standing.view.view_no,
            now: now_s(),
            peers: self.peer_statuses(report),
            transition: dc.and_then(|n| self.reports.of(n)?.dc()?.progress),
            vips: self
                .reports
                .vips(self.replica.standings().members())
                .cloned()
                .collect(),
            notices: self.notices.all(),
            timers: report.map(timers).unwrap_or_default(),
            ..Status::default()
        }
    }

    fn peer_statuses(&self, report: Option<&Report>) -> Vec<PeerStatus> {
        self.peers
            .names
            .iter()
            .map(|(id, name)| self.peer_status(*id, name, report))
            .collect()
    }

    fn peer_status(&self, id: NodeId, name: &str, report: Option<&Report>) -> PeerStatus {
        let (state, why) = if id == self.me.node {
            ("self".to_owned(), String::new())
        } else {
            let (state, why) = self
                .standing
                .peers
                .get(&id)
                .cloned()
                .unwrap_or((PeerState::Unknown, String::new()));
            (
                format!("{state:?}").to_lowercase(),
                self.diagnosed(id, state, why, report),
            )
        };
        let links = self.peers.links.iter().filter_map(|link| {
            let address = if id == self.me.node {
                link.own
            } else {
                *link.peers.get(&id)?
            };
            let (up, rtt_us) = report
                .and_then(|r| link_state(r, id, link.link))
                .unwrap_or_default();
            Some((address.ip().to_string(), up || id == self.me.node, rtt_us))
        });
        PeerStatus {
            node_id: id.0,
            name: name.to_owned(),
            state,
            links: links.collect(),
            why,
        }
    }

    /// Why a peer is not heard: what the handshake found out says more than silence does.
    fn diagnosed(
        &self,
        id: NodeId,
        state: PeerState,
        why: String,
        report: Option<&Report>,
    ) -> String {
        if state == PeerState::Up {
            return why;
        }
        let diagnosis = report.and_then(|r| r.peers.iter().find(|(n, _)| *n == id));
        match diagnosis.and_then(|(_, d)| d.evidence.as_ref()) {
            Some(trouble) => trouble
                .describe(id)
                .replace(&format!("node {id}"), &self.peers.name(id)),
            None if why.is_empty() => "no answer since mainstayd started here: does it run there, with the same authkey and cluster_name, and is port 5405 open?".to_owned(),
            None => why,
        }
    }

    /// What only the daemon can check, for `mainstay doctor`.
    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut add = |group: &str, level, text: String, cure: Option<&str>| {
            checks.push(Check {
                group: group.to_owned(),
                level,
                text,
                cure: cure.map(str::to_owned),
            });
        };
        match self.standing.quorate {
            true => add(
                "quorum",
                CheckLevel::Ok,
                self.standing.quorum_why.clone(),
                None,
            ),
            false => add(
                "quorum",
                CheckLevel::Error,
                format!("no quorum: {}", self.standing.quorum_why),
                Some(
                    "start mainstayd on the other nodes and check that UDP and TCP port 5405 are open between them",
                ),
            ),
        }
        for (id, name) in self
            .peers
            .names
            .iter()
            .filter(|(id, _)| **id != self.me.node)
        {
            let (state, why) = self
                .standing
                .peers
                .get(id)
                .cloned()
                .unwrap_or((PeerState::Unknown, "never heard".to_owned()));
            match state {
                PeerState::Up => add("network", CheckLevel::Ok, format!("{name} is heard"), None),
                _ => add(
                    "network",
                    CheckLevel::Error,
                    format!("{name} is not heard: {why}"),
                    Some("is mainstayd running there, with the same authkey, and the port open?"),
                ),
            }
        }
        let fencing = self.fencing_enabled();
        let (devices, faults) = crate::fencing::devices(self.replica.cib().root());
        match (fencing, devices.len()) {
            (false, _) => add(
                "fencing",
                CheckLevel::Warning,
                "stonith-enabled=false: a node that is silent is only assumed to be dead"
                    .to_owned(),
                Some("configure a fence device and set stonith-enabled=true"),
            ),
            (true, 0) => add(
                "fencing",
                CheckLevel::Error,
                "stonith-enabled=true, but no fence device is configured: no resource will start"
                    .to_owned(),
                Some(
                    "configure a stonith primitive, or set stonith-enabled=false if nothing shares data",
                ),
            ),
            (true, n) => add(
                "fencing",
                CheckLevel::Ok,
                format!("{n} fence devices are configured"),
                None,
            ),
        }
        for fault in faults {
            add("fencing", CheckLevel::Error, fault, None);
        }
        let findings = cib::check::verify(self.replica.cib());
        for fault in findings {
            let level = if fault.severity == cib::check::Severity::Error {
                CheckLevel::Error
            } else {
                CheckLevel::Warning
            };
            add("configuration", level, fault.to_string(), None);
        }
        checks
    }

    /// `stonith-enabled`, under either of its names; on unless switched off.
    pub(super) fn fencing_enabled(&self) -> bool {
        let value = self
            .option("stonith-enabled")
            .or_else(|| self.option("fencing-enabled"));
        value
            .and_then(|v| cib::value::parse_bool(&v).ok())
            .unwrap_or(true)
    }
}

fn votes(report: &Report) -> (u32, u32, u32) {
    let core = &report.core;
    (core.votes_expected, core.votes_present, core.votes_needed)
}

/// A link to a peer: up, round trip in microseconds.
fn link_state(report: &Report, node: NodeId, link: u8) -> Option<(bool, u32)> {
    let peer = report.core.peers.iter().find(|p| p.node == node)?;
    let link = peer.links.iter().find(|l| l.link == link)?;
    Some((
        link.up,
        link.rtt_us.unwrap_or(0).try_into().unwrap_or(u32::MAX),
    ))
}

/// Times in force, milliseconds.
fn timers(report: &Report) -> Vec<(String, u64)> {
    let t = &report.core.timing;
    let named = [
        ("token", t.t_fail_us),
        ("heartbeat", t.heartbeat_us),
        ("hold", t.hold_us),
        ("lease", t.lease_us),
        ("kernel-lease", t.kernel_us),
        ("authority", t.authority_us),
    ];
    named
        .into_iter()
        .map(|(name, us)| (name.to_owned(), us / 1000))
        .collect()
}
