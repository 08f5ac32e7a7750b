//! Leases as this node holds them: which addresses are gated, what a restarted process finds and
//! asks to be granted anew, and what it gives up because another node has it now.

use super::app::App;
use super::local::{claims_to_run, is_active};
use super::peer::{Items, NodeTell, free_key};
use crate::executor::{OpFinished, OpRequest, ocf_rc};
use crate::transport::Peers;
use crate::transport::{boottime_ms, boottime_us};
use crate::vip::lease::{
    BELT_HOLD_US, End, GateOptions, Keeper, LeaseEvent, LeaseHandle, LeaseTimes, RealDoor,
    Standing, address_of, is_leased,
};
use crate::vip::{Conflict, Referee, Ruling};
use cib::Cib;
use cib::config::{Config, Kind, Resource};
use membership::{EntryBody, Grant, OpId, Refusal, Timing};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use tokio::sync::mpsc;
use wire::NodeId;

/// What this node knows of the floating addresses and of those it holds.
#[derive(Debug)]
pub(super) struct Leases {
    pub(super) handle: LeaseHandle,
    /// Floating addresses of the configuration, each as a request.
    configured: BTreeMap<String, OpRequest>,
    /// Newest request about each, with the parameters as the DC sees them.
    requests: BTreeMap<String, OpRequest>,
    /// Found here by this process before any probe.
    adopted: BTreeSet<String>,
    /// Re-grants under way.
    asked: BTreeMap<OpId, String>,
    retry_at_ms: Option<u64>,
    /// Refused re-grants in a row.
    refusals: u32,
    /// Granted to others meanwhile: they are being removed here.
    surrendering: BTreeSet<String>,
    /// Starts that wait or run here, and since when, in milliseconds of CLOCK_BOOTTIME.
    starting: BTreeMap<String, u64>,
    /// Grants of this process that it has given up: it has to ask for others.
    pub(super) given_up: BTreeSet<u64>,
    /// The word that this node's report is whole waits for them.
    pub(super) ready_due: bool,
}

impl Leases {
    pub(super) fn new(handle: LeaseHandle) -> Self {
        Self {
            handle,
            configured: BTreeMap::new(),
            requests: BTreeMap::new(),
            adopted: BTreeSet::new(),
            asked: BTreeMap::new(),
            retry_at_ms: None,
            refusals: 0,
            surrendering: BTreeSet::new(),
            starting: BTreeMap::new(),
            given_up: BTreeSet::new(),
            ready_due: false,
        }
    }

    /// Floating addresses of the configuration, each as a request.
    pub(super) fn configured(&self) -> &BTreeMap<String, OpRequest> {
        &self.configured
    }

    pub(super) fn next_timeout_ms(&self) -> Option<u64> {
        self.retry_at_ms
    }

    /// Something that others have now is still being removed here.
    pub(super) fn is_surrendering(&self) -> bool {
        !self.surrendering.is_empty()
    }
}

impl App {
    /// The configuration is another one, or the links are: what is gated where.
    pub(super) fn configure_leases(&mut self) {
        let configured = leased_in(self.replica.cib());
        if configured != self.leases.configured {
            self.leases.configured = configured;
            self.gate_everything();
        }
        if !self.named_in_view() {
            self.adopt_what_is_here();
        }
        self.check_leases();
    }

    /// Gates every configured address, on the device where it would be.
    pub(super) fn gate_everything(&self) {
        let requests = self.leases.configured.values();
        let ips: BTreeSet<IpAddr> = requests.clone().filter_map(address_of).collect();
        let links = requests.filter_map(|r| self.local.vip.device_of(r));
        self.leases.handle.configure(ips, links.collect());
    }

    /// The log names this very process: everything that was written before it came is known here.
    /// Until then grants are history that is being read.
    fn named_in_view(&self) -> bool {
        self.standing.view.names(&self.me)
    }

    /// A process that was started over running addresses takes them over before any probe: their
    /// elements, which its predecessor renewed, will not stand for long.
    fn adopt_what_is_here(&mut self) {
        let mut found = Vec::new();
        for (vip, request) in &self.leases.configured {
            if !self.leases.adopted.contains(vip) && self.local.vip.adopt(request) {
                found.push(vip.clone());
            }
        }
        for vip in found {
            tracing::info!(vip, "found here: asking to hold it");
            self.leases.adopted.insert(vip);
        }
    }

    /// Compares what is held here with what the log says: asks for what this process needs a new
    /// grant for, gives up what another node has.
    pub(super) fn check_leases(&mut self) {
        let standings = self.leases.handle.view().standings;
        let mut held: BTreeSet<String> = self.leases.adopted.clone();
        let listed = self.local.vip.list().into_iter().map(|v| v.resource);
        held.extend(listed.filter(|vip| standings.contains_key(vip)));
        // Also what is being started, on a grant that is used up.
        let lapsed = standings
            .iter()
            .filter(|(_, s)| matches!(s, Standing::Lapsed { .. }));
        held.extend(lapsed.map(|(vip, _)| vip.clone()));
        // And what this node's report still calls its own although another has it since.
        let history = &self.local.history;
        let told = |vip: &&String| history.element(vip).is_some_and(claims_to_run);
        let elsewhere = self.replica.grants().all();
        let elsewhere = elsewhere.filter(|g| g.node() != self.me.node);
        held.extend(elsewhere.map(|g| &g.vip).filter(told).cloned());
        for vip in held {
            if self.leases.surrendering.contains(&vip) || self.inherits(&vip) {
                continue;
            }
            let used = match standings.get(&vip) {
                Some(Standing::Lapsed { grant_no }) => Some(*grant_no),
                _ => None,
            };
            match self.replica.grants().of(&vip) {
                Some(g)
                    if g.holder == self.me
                        && Some(g.grant_no) > used
                        && !self.leases.given_up.contains(&g.grant_no) => {}
                Some(g) if g.node() != self.me.node => {
                    if !self.named_in_view() || self.leases.starting.contains_key(&vip) {
                        continue;
                    }
                    let (node, grant_no) = (self.peers.name(g.node()), g.grant_no);
                    self.surrender(&vip, &node, grant_no);
                }
                _ => self.ask_again(&vip),
            }
        }
        self.ask_for_starts();
    }

    /// A start whose grant this process has given up, or that the log does not know, would wait in
    /// vain.
    fn ask_for_starts(&mut self) {
        let (grants, now_ms) = (self.replica.grants(), boottime_ms());
        let mut lacking = Vec::new();
        let mut look_at_ms = self.leases.retry_at_ms;
        for (vip, since_ms) in &self.leases.starting {
            match grants.of(vip) {
                Some(g) if g.holder == self.me && self.leases.given_up.contains(&g.grant_no) => {
                    lacking.push(vip.clone());
                }
                None if grants.heir(vip).is_none() => match since_ms + UNGRANTED_MS {
                    due_ms if now_ms >= due_ms => lacking.push(vip.clone()),
                    due_ms => look_at_ms = Some(look_at_ms.map_or(due_ms, |at| at.min(due_ms))),
                },
                _ => {}
            }
        }
        self.leases.retry_at_ms = look_at_ms;
        for vip in lacking {
            self.ask_again(&vip);
        }
    }

    /// Asks that this process may hold what is here already.
    fn ask_again(&mut self, vip: &str) {
        if self.leases.asked.values().any(|v| v == vip) || self.stopping_resources() {
            return;
        }
        // R11: alone of two nobody but the wire can say that the address is still free.
        if self.needs_silence() && !self.is_silent() {
            return;
        }
        let op = Self::new_op();
        self.leases.asked.insert(op, vip.to_owned());
        let body = EntryBody::Grant(Grant::wanted(vip, self.me));
        self.turn.propose(op, body);
    }

    /// A re-grant's proposal ended; false if `op` is none.
    pub(super) fn regrant_ended(&mut self, op: OpId, result: &Result<u64, Refusal>) -> bool {
        let Some(vip) = self.leases.asked.remove(&op) else {
            return false;
        };
        if let Err(refusal) = result {
            if let Refusal::Held {
                holder,
                free_in_us: None,
                ..
            } = refusal
            {
                // It may wait for a turn that will not come.
                let vip = vip.clone();
                self.tell(*holder, NodeTell::GiveUp { vip });
            }
            let (_, why) = super::requests::refusal_text(refusal);
            tracing::info!(vip, "not granted to this process yet: {why}");
            let pause_ms = (RETRY_MS_MIN << self.leases.refusals.min(8)).min(RETRY_MS_MAX);
            self.leases.refusals += 1;
            self.leases.retry_at_ms = Some(boottime_ms() + pause_ms);
        } else {
            self.leases.refusals = 0;
            // It may have gone while the log was asked.
            self.give_up_if_unused(&vip);
        }
        true
    }

    pub(super) fn leases_on_time(&mut self, now_ms: u64) {
        if self.leases.retry_at_ms.is_some_and(|at| now_ms >= at) {
            self.leases.retry_at_ms = None;
            self.check_leases();
        }
    }

    /// Another node holds the address by the log: the kernel is silent for it here already, and it
    /// goes now, before the others are told what runs here.
    fn surrender(&mut self, vip: &str, node: &str, grant_no: u64) {
        let known = self.leases.requests.get(vip);
        let Some(request) = known.or_else(|| self.leases.configured.get(vip)) else {
            return;
        };
        let stop = OpRequest {
            operation: "stop".to_owned(),
            interval_ms: 0,
            start_delay_ms: 0,
            timeout_ms: SURRENDER_MS_MAX,
            target_rc: ocf_rc::OK,
            transition_key: format!("0:0:0:surrender-{grant_no}"),
            ..request.clone()
        };
        self.notice(
            "vip-surrendered",
            format!("{vip} is granted to {node} now: it is removed here"),
        );
        self.leases.adopted.remove(vip);
        match self.local.executor.run(stop) {
            Ok(_) => drop(self.leases.surrendering.insert(vip.to_owned())),
            Err(error) => self.notice("operation-refused", error.to_string()),
        }
    }

    /// An operation of a floating address is taken.
    pub(super) fn lease_operation(&mut self, request: &OpRequest) {
        if !is_leased(request) {
            return;
        }
        let rsc = request.rsc.clone();
        self.leases.requests.insert(rsc.clone(), request.clone());
        if request.operation == "start" {
            self.leases.starting.insert(rsc, boottime_ms());
            // What it has given up it cannot use: the look asks for another.
            self.turn.leases_changed();
        }
    }

    /// An operation that was taken is not run after all.
    pub(super) fn lease_operation_refused(&mut self, request: &OpRequest) {
        if request.operation == "start" {
            self.leases.starting.remove(&request.rsc);
        }
    }

    /// An operation of a floating address ended; the report items that change with it.
    pub(super) fn lease_operation_ended(&mut self, finished: &OpFinished) -> Items {
        let (request, outcome) = (&finished.request, &finished.outcome);
        if !is_leased(request) {
            return Items::new();
        }
        let vip = request.rsc.clone();
        let done = outcome.op_status == 0;
        let gone = match (request.operation.as_str(), request.interval_ms) {
            ("stop", _) => done && outcome.rc == ocf_rc::OK,
            ("monitor", 0) => done && outcome.rc == ocf_rc::NOT_RUNNING,
            _ => false,
        };
        if request.operation == "stop" && self.leases.surrendering.remove(&vip) {
            self.resume_ready();
        }
        let queued = self.leases.starting.contains_key(&vip) && request.operation != "start";
        if request.operation == "start" {
            self.leases.starting.remove(&vip);
        } else {
            // From now on the agent's own table tells whether it is here.
            self.leases.adopted.remove(&vip);
        }
        if !gone || queued {
            return Items::new();
        }
        if self.inherits(&vip) {
            // The log does not know yet that its turn had come.
            self.give_heir_up(&vip, false);
        }
        // Its own process's grant, or that of one that died here: this process has seen that the
        // address is gone from this machine (R12).
        let grant = self.replica.grants().of(&vip);
        let mine = grant.filter(|g| g.holder.machine_boot == self.me.machine_boot);
        let grant_no = mine
            .filter(|g| g.node() == self.me.node)
            .map(|g| g.grant_no);
        match grant_no {
            Some(grant_no) => {
                self.give_up(&vip, grant_no);
                self.publish_free(&vip, grant_no)
            }
            None => Items::new(),
        }
    }

    /// This process relies on the grant no more, whatever comes.
    pub(super) fn give_up(&mut self, vip: &str, grant_no: u64) {
        self.leases.given_up.insert(grant_no);
        self.turn.give_up(vip, grant_no);
    }

    /// A new view: commands of an earlier one are refused from now on, so that a grant whose start
    /// never came here will not be used any more.
    pub(super) fn give_up_unused(&mut self) {
        let grants = self.replica.grants();
        let all = grants.all().chain(grants.heirs());
        let vips: BTreeSet<String> = all.map(|g| g.vip.clone()).collect();
        let busy = self.local.executor.in_flight();
        let busy: BTreeSet<String> = busy.into_iter().map(|op| op.rsc).collect();
        for vip in vips {
            self.give_up_if(&vip, busy.contains(&vip));
        }
    }

    /// Says that a grant of this node is free, if nothing of its address is here or under way.
    pub(super) fn give_up_if_unused(&mut self, vip: &str) {
        let busy = self.local.executor.in_flight();
        self.give_up_if(vip, busy.iter().any(|op| op.rsc == vip));
    }

    /// As [`App::give_up_if_unused`], where it is known whether an operation of it waits or runs.
    fn give_up_if(&mut self, vip: &str, busy: bool) {
        let known = self.local.history.element(vip);
        let here = busy
            || self.leases.handle.is_wanted(vip)
            || self.leases.starting.contains_key(vip)
            || self.leases.adopted.contains(vip)
            || known.is_none_or(is_active);
        self.give_heir_up(vip, here);
        let grant = self.replica.grants().of(vip);
        let mine = grant.filter(|g| g.holder.machine_boot == self.me.machine_boot);
        if let Some(g) = mine.filter(|g| g.node() == self.me.node && !here) {
            let grant_no = g.grant_no;
            self.give_up(vip, grant_no);
            self.publish_free(vip, grant_no);
        }
    }

    fn publish_free(&mut self, vip: &str, grant_no: u64) -> Items {
        let items = vec![(free_key(vip), Some(super::peer::encode(&grant_no)))];
        self.publish(items.clone());
        items
    }

    fn resume_ready(&mut self) {
        if self.leases.ready_due && !self.leases.is_surrendering() {
            self.leases.ready_due = false;
            self.publish_ready();
        }
    }

    /// The keeper tells what happened to a lease.
    pub(super) fn on_lease(&mut self, event: LeaseEvent) {
        match event {
            LeaseEvent::Opened { vip, grant_no } => {
                tracing::info!(vip, grant_no, "the kernel lets the address speak");
                if self.notices.clear(&lapsed_code(&vip)) {
                    // The neighbours may have given it up meanwhile.
                    self.turn.announce_again("a lapsed lease");
                }
            }
            LeaseEvent::Lapsed { vip, grant_no, why } => {
                let text = format!(
                    "{vip}: the lease of grant {grant_no} ran out, the address is silent here until it is granted anew: {why}"
                );
                self.notice(&lapsed_code(&vip), text);
            }
            LeaseEvent::Ended { vip, why } => {
                tracing::info!(vip, "the address is silent here: {why}");
            }
            LeaseEvent::LateWrite { took_us } => {
                self.notices.clear("vip-late-write");
                let text = format!(
                    "the kernel took {} ms to renew a lease, more than the {} ms that the timing allows for: it was renewed again at once (is the machine overloaded?)",
                    took_us / 1_000,
                    membership::LATE_WRITE_US / 1_000
                );
                self.notice("vip-late-write", text);
            }
            LeaseEvent::WriteFailed { why } => {
                let text = format!(
                    "the kernel refused to renew a lease: {why}; the addresses here fall silent if this goes on"
                );
                self.notice("vip-renewal-failed", text);
            }
            LeaseEvent::TableChanged { what } => {
                let text = format!(
                    "somebody changed the table `mainstay` in nf_tables ({what}): it was made anew; leave it alone, it keeps two nodes from answering for one address"
                );
                self.notice("vip-table-changed", text);
            }
        }
        self.turn.leases_changed();
        self.turn.vips_changed();
    }

    /// Leaves the kernel as the end of this process wants it.
    pub(super) fn end_leases(&self, failed: bool) {
        let held = !self.leases.handle.view().standings.is_empty();
        let end = match (self.keeps_resources(), held || failed) {
            (true, _) if !failed => End::Detach,
            (_, true) => End::Leave,
            (_, false) => End::Clean,
        };
        if let Err(why) = self.leases.handle.finish(end) {
            tracing::warn!("the gates were not left in order: {why}");
        }
    }
}

/// What the leases use where the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Means {
    /// Gates at all.
    NfTables,
    /// Tables that belong to the daemon (Linux 6.9).
    Owner,
    /// Gates for announcements from packet sockets (Linux 5.16).
    Egress,
}

impl Means {
    pub(super) fn all_but(without: &[Self]) -> GateOptions {
        let has = |means| !without.contains(&means);
        GateOptions {
            owner: has(Self::Owner),
            egress: has(Self::Egress),
            nf_tables: has(Self::NfTables),
        }
    }
}

/// Raises the gates, or takes those of a predecessor over, before anything else is done: what they
/// hold back must not get through for a moment.
///
/// # Errors
/// The system gives no socket or thread.
pub(super) fn keep(
    gates: &GateOptions,
    timing: &Timing,
    events: mpsc::Sender<LeaseEvent>,
) -> Result<Keeper, String> {
    let door = RealDoor::open(gates).map_err(|e| format!("netlink: {e}"))?;
    let times = LeaseTimes {
        lease_us: timing.lease_us,
        kernel_us: timing.kernel_us,
        late_write_us: membership::LATE_WRITE_US,
        heartbeat_us: timing.heartbeat_us,
    };
    Keeper::start(Box::new(door), times, boottime_us, events)
        .map_err(|e| format!("the lease thread: {e}"))
}

/// Where the lifetime of an address is the only belt, every survivor has to wait for it (R16).
pub(super) fn hold_us(leases: &LeaseHandle, timing: &Timing) -> Option<u64> {
    let gates = leases.view().belts.gates;
    (!gates).then_some(timing.hold_us.max(BELT_HOLD_US))
}

/// Rules about claims of others to an address that is held here: whose lease stands is its holder,
/// and defends it. Without one it is another member's, who is right.
pub(super) struct ClusterReferee {
    members: Vec<(String, Vec<IpAddr>)>,
    leases: LeaseHandle,
}

impl ClusterReferee {
    pub(super) fn new(peers: &Peers, leases: LeaseHandle) -> Self {
        let of = |node: &NodeId| {
            let links = peers.links.iter();
            let addresses = links.filter_map(|l| l.peers.get(node).map(|a| a.ip()));
            (peers.name(*node), addresses.collect())
        };
        Self {
            members: peers.others().iter().map(of).collect(),
            leases,
        }
    }
}

impl Referee for ClusterReferee {
    fn members(&self) -> Vec<(String, Vec<IpAddr>)> {
        self.members.clone()
    }

    fn ruling(&self, conflict: &Conflict) -> Ruling {
        let held = self.leases.is_open(&conflict.resource);
        if held || conflict.member.is_none() || self.leases.may_speak_for(conflict.ip) {
            return Ruling::Defend;
        }
        // The gate is closed already: all that is left to do is to take the address away.
        Ruling::Yield
    }
}

fn lapsed_code(vip: &str) -> String {
    format!("vip-lapsed:{vip}")
}

/// Every primitive with a floating address of its own, as a request.
fn leased_in(cib: &Cib) -> BTreeMap<String, OpRequest> {
    let config = Config::new(cib);
    let all = config.resources();
    let in_clone = |resource: &Resource<'_>| {
        let mut parent = resource.parent;
        while let Some(above) = parent.and_then(|id| all.iter().find(|r| r.id == id)) {
            if matches!(above.kind, Kind::Clone | Kind::Bundle) {
                return true;
            }
            parent = above.parent;
        }
        false
    };
    let primitives = all.iter().filter(|r| r.kind == Kind::Primitive);
    let requests = primitives.filter(|r| !in_clone(r)).filter_map(|r| {
        let agent = config.agent(r)?;
        let params = config.parameters(r).into_iter();
        Some(OpRequest {
            rsc: r.id.to_owned(),
            instance: r.id.to_owned(),
            class: agent.class.to_owned(),
            provider: agent.provider.map(str::to_owned),
            kind: agent.kind.to_owned(),
            operation: "start".to_owned(),
            params: params.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            ..OpRequest::default()
        })
    });
    let leased = requests.filter(|r| is_leased(r) && address_of(r).is_some());
    leased.map(|r| (r.rsc.clone(), r)).collect()
}

/// A command may be here so long before the entry that allows it, in milliseconds: another grant for
/// one that is only on its way would end that one.
const UNGRANTED_MS: u64 = 500;
/// Pause before a refused re-grant is asked for again, in milliseconds: a process that has just
/// started is refused until the next view names it, some milliseconds later. It doubles.
const RETRY_MS_MIN: u64 = 4;
/// Longest such pause, in milliseconds.
const RETRY_MS_MAX: u64 = 250;
/// Time for the removal of an address that another node has, in milliseconds.
const SURRENDER_MS_MAX: u64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_configuration_are_leased_and_those_of_clones_are_not() {
        let primitive = |id: &str, ip: &str| {
            format!(
                "<primitive id=\"{id}\" class=\"ocf\" provider=\"heartbeat\" type=\"IPaddr2\"><instance_attributes id=\"{id}-p\"><nvpair id=\"{id}-ip\" name=\"ip\" value=\"{ip}\"/></instance_attributes></primitive>"
            )
        };
        let (one, two, three) = (
            primitive("one", "10.0.0.1"),
            primitive("two", "10.0.0.2"),
            primitive("three", "not-an-address"),
        );
        let xml = format!(
            "<cib admin_epoch=\"0\" epoch=\"0\" num_updates=\"0\"><configuration><crm_config/><nodes/><resources><group id=\"g\">{one}</group><clone id=\"c\">{two}</clone>{three}</resources><constraints/></configuration><status/></cib>"
        );
        let leased = leased_in(&Cib::parse(&xml).unwrap());
        assert_eq!(leased.keys().collect::<Vec<_>>(), ["one"]);
        assert_eq!(
            address_of(&leased["one"]),
            Some("10.0.0.1".parse().unwrap())
        );
    }
}
