//! The status as this node sees it.

use super::app::{App, now_s};
use super::leases;
use super::looks::Planned;
use crate::ipc::{Check, CheckLevel, Response};
use crate::transport::Report;
use crate::view::{PeerStatus, Status, SwitchStatus, VipStatus};
use crate::vip::lease::Standing;
use membership::PeerState;
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
        self.plan_for_client(reply, |planned| {
            status.take_over(&planned.shown);
            Response::Status(status)
        });
    }

    /// Runs the scheduler for somebody who looks, beside the loop and few at a time: the loop has
    /// a cluster to serve, and the blocking threads have addresses to move.
    pub(super) fn plan_for_client(
        &mut self,
        reply: oneshot::Sender<Response>,
        answer: impl FnOnce(&Planned) -> Response + Send + 'static,
    ) {
        let places = Arc::clone(&self.clients.plans);
        let look = self.look();
        tokio::spawn(async move {
            let place = places.acquire_owned().await;
            let run = move || answer(&look.planned());
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
                |r| self.peers.named(&r.core.quorate_why),
            ),
            votes: report.map(votes).unwrap_or_default(),
            view_no: self.standing.view.view_no,
            now: now_s(),
            peers: self.peer_statuses(report),
            transition: dc.and_then(|n| self.reports.of(n)?.dc()?.progress),
            vips: self.vip_statuses(),
            notices: self.notices.all(),
            fencings: self.fencings_shown(),
            timers: report.map(|r| self.timers(r)).unwrap_or_default(),
            switches: self.local.nonlocal.status(),
            protocol: self.protocol_versions(report),
            ..Status::default()
        }
    }

    /// The newest version that every node seen speaks, and what is spoken here.
    fn protocol_versions(&self, report: Option<&Report>) -> (u8, u8, u8) {
        let ours = report.map_or(wire::VersionRange::OURS, |r| r.versions);
        let nodes = self.peers.names.keys();
        let theirs = nodes.filter_map(|n| Some(self.reports.of(*n)?.wire()?.versions.1));
        let common = theirs.min().unwrap_or(ours.max).min(ours.max);
        (common, ours.min, ours.max)
    }

    /// Floating addresses of every member; what only their own node knows is that of this one.
    fn vip_statuses(&self) -> Vec<VipStatus> {
        let leases = self.leases.handle.view();
        let now_us = self.leases.handle.now_us();
        let here = self.peers.name(self.me.node);
        let held = self.local.vip.list();
        let members = self.replica.standings().members();
        let mut all: Vec<VipStatus> = self.reports.vips(members).cloned().collect();
        for vip in &mut all {
            vip.last_move = self.reports.last_move(&vip.resource).cloned();
            let standing = leases.standings.get(&vip.resource);
            if vip.node != here {
                continue;
            }
            if let Some(Standing::Open { until_us, .. }) = standing {
                vip.lease_left_ms = Some(until_us.saturating_sub(now_us) / 1_000);
            }
            if let Some(held) = held.iter().find(|h| h.resource == vip.resource) {
                vip.announces = held.announces;
                vip.conflicts = held.conflicts;
                vip.foreign.clone_from(&held.foreign);
            }
        }
        all
    }

    /// Times in force, milliseconds.
    fn timers(&self, report: &Report) -> Vec<(String, u64)> {
        let t = &report.core.timing;
        let hold_us = leases::hold_us(&self.leases.handle, t).unwrap_or(t.hold_us);
        let named = [
            ("token", t.t_fail_us),
            ("heartbeat", t.heartbeat_us),
            ("hold", hold_us),
            ("lease", t.lease_us),
            ("kernel-lease", t.kernel_us),
            ("authority", t.authority_us),
        ];
        let ms = |(name, us): &(&str, u64)| ((*name).to_owned(), us / 1000);
        named.iter().map(ms).collect()
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
            let why = self.peers.named(&self.diagnosed(id, state, why, report));
            let peer = report.and_then(|r| r.core.peers.iter().find(|p| p.node == id));
            match peer.and_then(|p| p.relay) {
                Some(relay) => {
                    let why = format!("reached through {} only", self.peers.name(relay));
                    ("degraded".to_owned(), why)
                }
                None => (format!("{state:?}").to_lowercase(), why),
            }
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
            Some(trouble) => trouble.describe(id),
            None if why.is_empty() => format!(
                "no answer since mainstayd started here: does it run there, with the same authkey and cluster_name, and is port {} open?",
                self.conf.first_port()
            ),
            None => why,
        }
    }

    /// What only the daemon can check, for `mainstay doctor`.
    pub(super) fn checks(&self) -> Vec<Check> {
        let mut checks = vec![self.check_quorum()];
        let others = self
            .peers
            .names
            .iter()
            .filter(|(id, _)| **id != self.me.node);
        checks.extend(others.map(|(id, name)| self.check_peer(*id, name)));
        checks.extend(self.check_fencing());
        checks.extend(self.check_belts());
        checks.extend(self.check_switches());
        let findings = cib::check::verify(self.replica.cib());
        checks.extend(findings.into_iter().map(|fault| {
            let level = match fault.severity {
                cib::check::Severity::Error => CheckLevel::Error,
                _ => CheckLevel::Warning,
            };
            check("configuration", level, fault.to_string(), None)
        }));
        checks
    }

    fn check_quorum(&self) -> Check {
        let why = &self.standing.quorum_why;
        if self.standing.quorate {
            return check("quorum", CheckLevel::Ok, why.clone(), None);
        }
        let mut others = self.peers.names.keys().filter(|id| **id != self.me.node);
        let up = |id: &NodeId| matches!(self.standing.peers.get(id), Some((PeerState::Up, _)));
        let cure = if others.all(up) {
            "all nodes are there: if disks were lost for good, see TOO MANY LOST DISKS in mainstay(8)".to_owned()
        } else {
            format!(
                "start mainstayd on the other nodes and check that UDP and TCP port {} are open between them",
                self.conf.first_port()
            )
        };
        check(
            "quorum",
            CheckLevel::Error,
            format!("no quorum: {why}"),
            Some(&cure),
        )
    }

    fn check_peer(&self, id: NodeId, name: &str) -> Check {
        let why = match self.standing.peers.get(&id) {
            Some((PeerState::Up, _)) => {
                return check("network", CheckLevel::Ok, format!("{name} is heard"), None);
            }
            Some((_, why)) => why,
            None => "never heard",
        };
        let text = format!("{name} is not heard: {why}");
        let cure = "is mainstayd running there, with the same authkey, and the port open?";
        check("network", CheckLevel::Error, text, Some(cure))
    }

    fn check_fencing(&self) -> Vec<Check> {
        let (devices, faults) = crate::fencing::devices(self.replica.cib().root());
        let about = |level, text: String, cure| check("fencing", level, text, cure);
        let state = match (self.fencing_enabled(), devices.len()) {
            (false, _) => about(
                CheckLevel::Warning,
                "stonith-enabled=false: a node that is silent is only assumed to be dead"
                    .to_owned(),
                Some("configure a fence device and set stonith-enabled=true"),
            ),
            (true, 0) => about(
                CheckLevel::Error,
                "stonith-enabled=true, but no fence device is configured: no resource will start"
                    .to_owned(),
                Some(
                    "configure a stonith primitive, or set stonith-enabled=false if nothing shares data",
                ),
            ),
            (true, n) => about(
                CheckLevel::Ok,
                format!("{n} fence devices are configured"),
                None,
            ),
        };
        let faults = faults.into_iter();
        std::iter::once(state)
            .chain(faults.map(|fault| about(CheckLevel::Error, fault, None)))
            .collect()
    }

    /// Kernel switches that floating addresses want.
    fn check_switches(&self) -> Vec<Check> {
        let about = |level, text: String, cure| check("floating addresses", level, text, cure);
        let judge = |switch: SwitchStatus| {
            let now = format!("{} is {}", switch.key, switch.value);
            if !switch.trouble.is_empty() {
                let cure =
                    "set it with sysctl on the host, or give the container a writable /proc/sys";
                return Some(about(CheckLevel::Warning, switch.trouble, Some(cure)));
            }
            if !switch.wanted_by.is_empty() && switch.value != "1" {
                let text = format!("{now}, and {} wants it set", switch.wanted_by);
                let cure =
                    "somebody has changed it since: restart mainstayd, or set it with sysctl";
                return Some(about(CheckLevel::Warning, text, Some(cure)));
            }
            let text = format!("{now}, set by {}", switch.set_by);
            (!switch.set_by.is_empty()).then(|| about(CheckLevel::Ok, text, None))
        };
        let switches = self.local.nonlocal.status().into_iter();
        switches.filter_map(judge).collect()
    }

    /// What keeps a floating address silent when this node may not answer for it.
    fn check_belts(&self) -> Vec<Check> {
        let belts = self.leases.handle.view().belts;
        let about =
            |level, text: &str, cure| check("floating addresses", level, text.to_owned(), cure);
        let mut checks = vec![match belts.gates {
            true => about(
                CheckLevel::Ok,
                "the kernel silences an address whose lease runs out (nf_tables)",
                None,
            ),
            false => about(
                CheckLevel::Warning,
                "nf_tables cannot be used: only the lifetime of an address silences it, and after the loss of a node its addresses move after 2.3 s, not 0.5 s",
                Some(
                    "load the module nf_tables and give mainstayd CAP_NET_ADMIN, then restart mainstayd",
                ),
            ),
        }];
        checks.extend(
            belts
                .weaker
                .iter()
                .map(|why| about(CheckLevel::Warning, why, None)),
        );
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

fn check(group: &str, level: CheckLevel, text: String, cure: Option<&str>) -> Check {
    Check {
        group: group.to_owned(),
        level,
        text,
        cure: cure.map(str::to_owned),
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
