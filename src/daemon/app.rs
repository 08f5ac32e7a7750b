//! The daemon's loop: everything that is not the protocol's own meets here, one event at a time.

use super::attributes::Attributes;
use super::disk::DiskHandle;
use super::duty::{Duty, PlanFor};
use super::fencings::Fencings;
use super::grants::Grants;
use super::handover::Handovers;
use super::inputs::Inputs;
use super::leases::Leases;
use super::local::Local;
use super::log::Log;
use super::looks::Looks;
use super::notices::Notices;
use super::notify::{Watchdog, notify};
use super::reports::Reports;
use super::requests::Clients;
use super::silence::Silence;
use super::stop::Stopping;
use super::turn::Turn;
use crate::conf::ClusterConf;
use crate::controller;
use crate::executor::ExecutorEvent;
use crate::fencing::FenceOutcome;
use crate::ipc::Call;
use crate::paths::Paths;
use crate::replica::Replica;
use crate::transport::{
    Desk, Ended, JoinCall, Message, Peers, ProtocolHandle, StreamControl, boottime_ms,
};
use crate::vip::Mishap;
use crate::vip::lease::LeaseEvent;
use membership::{Ballot, ConfigEntry, Event, Input, NodeState, OpId, PeerState, VoterSet};
use scheduler::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use wire::{Identity, NodeId};

/// What the loop works on. Each field's module holds the code that changes it.
pub(super) struct App {
    pub(super) paths: Paths,
    pub(super) conf: ClusterConf,
    pub(super) lenient: bool,
    pub(super) log: Log,
    pub(super) peers: Arc<Peers>,
    pub(super) me: Identity,
    pub(super) protocol: ProtocolHandle,
    pub(super) streams: StreamControl,
    pub(super) keys: super::keys::Keys,
    /// Where machines that want to join are heard.
    pub(super) desk: Desk,
    pub(super) disk: DiskHandle,
    pub(super) replica: Replica,
    /// The log that was on this disk is read again through here: before that, what it says of nodes
    /// and keys is of the past.
    pub(super) replay_until: u64,
    pub(super) reports: Reports,
    pub(super) standing: Standing,
    pub(super) local: Local,
    pub(super) duty: Duty,
    pub(super) inputs: Inputs,
    pub(super) grants: Grants,
    pub(super) handovers: Handovers,
    pub(super) leases: Leases,
    pub(super) silence: Silence,
    /// Number of the newest question to the wire.
    pub(super) silence_round: u64,
    /// The detection timeout.
    pub(super) t_fail_us: u64,
    pub(super) clients: Clients,
    pub(super) attributes: Attributes,
    pub(super) looks: Looks,
    pub(super) notices: Notices,
    pub(super) fencings: Fencings,
    /// Voter set in force, as the log has it; `None` before it is known and during a step.
    pub(super) voters: Option<VoterSet>,
    pub(super) stopping: Option<Stopping>,
    /// What this turn of the loop has to say to the others.
    pub(super) turn: Turn,
    /// Where spawned work reports to.
    pub(super) own: mpsc::Sender<Own>,
    /// The process may end, with this code.
    pub(super) exit: Option<u8>,
}

/// What the protocol last said of this node's place.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) state: NodeState,
    pub(super) quorate: bool,
    pub(super) quorum_why: String,
    /// This node is alone of two, and nothing proves that the other one is gone (R11).
    pub(super) restricted: bool,
    /// Ballot under which this node acts as DC.
    pub(super) acting: Option<Ballot>,
    /// Ballot and number of the newest view.
    pub(super) view: membership::View,
    pub(super) peers: BTreeMap<NodeId, (PeerState, String)>,
}

/// Reports of work that the loop itself started.
#[derive(Debug)]
pub(super) enum Own {
    /// A plan is made.
    Planned { wanted: PlanFor, plan: Box<Plan> },
    /// A fence agent ended.
    Fenced {
        fence_no: u64,
        run: OpId,
        outcome: FenceOutcome,
    },
    /// This node was to have itself killed, and lives.
    SelfFenced(FenceOutcome),
    /// The store thread gave up.
    StoreFailed(String),
    /// The files of the authkeys are as the log wants them, or why not.
    Keys(Result<Box<wire::KeyRing>, String>),
    /// Whether every session is under the key in use.
    Renewed(bool),
    /// For a person: code and text.
    Notice(&'static str, String),
    /// The wire was asked whether the silent node lives.
    Silence {
        round: u64,
        heard: Result<Option<(String, IpAddr)>, String>,
    },
    /// Voter sets in force, asked for when this node became the DC.
    Voters(Option<Box<ConfigEntry>>),
    /// The protocol thread's report on the network.
    Net {
        reply: tokio::sync::oneshot::Sender<crate::ipc::Response>,
        report: Option<Box<crate::transport::Report>>,
    },
    /// A status was put together from the protocol thread's report.
    Report {
        reply: tokio::sync::oneshot::Sender<crate::ipc::Response>,
        report: Option<Box<crate::transport::Report>>,
    },
}

/// What the loop listens to.
pub(super) struct Inbox {
    pub(super) events: mpsc::Receiver<Result<Event, Ended>>,
    pub(super) executor: mpsc::Receiver<ExecutorEvent>,
    pub(super) calls: mpsc::Receiver<Call>,
    /// Something happened to a floating address.
    pub(super) mishaps: mpsc::Receiver<Mishap>,
    /// What happens to the leases of this node's floating addresses.
    pub(super) leases: mpsc::Receiver<LeaseEvent>,
    /// Alert agents that failed, in words.
    pub(super) alert_failures: mpsc::Receiver<String>,
    pub(super) own: mpsc::Receiver<Own>,
    /// Machines that want to join.
    pub(super) joins: mpsc::Receiver<JoinCall>,
    pub(super) terminate: Signal,
    pub(super) interrupt: Signal,
    pub(super) hangup: Signal,
}

impl App {
    /// Runs until the process may end; returns its exit code.
    pub(super) async fn run(mut self, mut inbox: Inbox) -> u8 {
        self.publish_ready();
        self.publish_keys();
        self.end_turn();
        notify("READY=1");
        let mut watchdog = Watchdog::from_env();
        while self.exit.is_none() {
            self.protocol.main_turned();
            watchdog.turned(boottime_ms());
            let pause = self.until_next_timeout().min(watchdog.longest_pause());
            let sleep = tokio::time::sleep(pause);
            tokio::select! {
                biased;
                event = inbox.events.recv() => match event {
                    Some(Ok(event)) => self.on_event(event),
                    Some(Err(ended)) => self.protocol_ended(&ended),
                    None => self.protocol_ended(&Ended::Stopped),
                },
                Some(event) = inbox.leases.recv() => self.on_lease(event),
                Some(event) = inbox.executor.recv() => self.on_executor(event),
                Some(mishap) = inbox.mishaps.recv() => self.on_mishap(mishap),
                Some(text) = inbox.alert_failures.recv() => self.notice("alert", text),
                Some(own) = inbox.own.recv() => self.on_own(own),
                Some(call) = inbox.calls.recv() => self.on_call(call),
                Some(call) = inbox.joins.recv() => self.on_join(call),
                Some(()) = inbox.terminate.recv() => self.stop("SIGTERM"),
                Some(()) = inbox.interrupt.recv() => self.stop("SIGINT"),
                Some(()) = inbox.hangup.recv() => drop(self.reload()),
                () = sleep => {}
            }
            self.take_more(&mut inbox);
            self.on_time();
            self.end_turn();
        }
        self.protocol.main_rests();
        notify("STOPPING=1");
        self.local.executor.shutdown().await;
        let code = self.exit.unwrap_or(0);
        self.end_leases(code != 0);
        if code == 0 && !self.keeps_resources() {
            self.local.nonlocal.restore();
        }
        code
    }

    fn until_next_timeout(&self) -> Duration {
        let now = boottime_ms();
        let timeouts = [
            self.duty.controller.next_timeout_ms(),
            self.duty.lone.next_timeout_ms(),
            self.clients.next_timeout_ms(),
            self.attributes.next_timeout_ms(),
            self.grants.next_timeout_ms(),
            self.handovers.next_timeout_ms(),
            self.leases.next_timeout_ms(),
            self.keys.next_timeout_ms(),
            self.silence_timeout_ms(),
            self.stopping.as_ref().map(|s| s.next_step_ms),
            self.await_notice_ms(),
            self.duty.lone_since_ms.filter(|at| *at > now),
        ];
        let next = timeouts.into_iter().flatten().min().unwrap_or(u64::MAX);
        Duration::from_millis(next.saturating_sub(now).clamp(1, SLEEP_MS_MAX))
    }

    fn on_time(&mut self) {
        let now = boottime_ms();
        if self
            .duty
            .controller
            .next_timeout_ms()
            .is_some_and(|at| at <= now)
        {
            self.control(controller::Input::Tick);
        }
        if self.duty.lone.next_timeout_ms().is_some_and(|at| at <= now) {
            self.control_lone(controller::Input::Tick);
        }
        self.looks.tidy(now);
        self.clients_on_time(now);
        self.attributes_on_time(now);
        self.grants_on_time(now);
        self.handovers_on_time(now);
        self.leases_on_time(now);
        self.keys_on_time(now);
        self.silence_on_time(now);
        self.awaiting_on_time(now);
        self.stopping_on_time(now);
    }

    fn on_own(&mut self, own: Own) {
        match own {
            Own::Planned { wanted, plan } => self.planned(wanted, plan),
            Own::Fenced {
                fence_no,
                run,
                outcome,
            } => self.fence_agent_ended(fence_no, run, outcome),
            Own::SelfFenced(outcome) => self.self_fence_ended(outcome),
            Own::Silence { round, heard } => self.wire_heard(round, heard),
            Own::Voters(Some(config)) => self.voters_moved(&config),
            Own::Voters(None) => {}
            Own::Keys(done) => self.keys_written(done),
            Own::Renewed(renewed) => self.sessions_renewed(renewed),
            Own::StoreFailed(why) => self.store_failed(why),
            Own::Notice(code, text) => self.notice(code, text),
            Own::Net { reply, report } => self.answer_net(reply, report.as_deref()),
            Own::Report { reply, report } => self.answer_status(reply, report.as_deref()),
        }
    }

    pub(super) fn protocol_ended(&mut self, ended: &Ended) {
        if let Ended::Failed(why) = ended {
            self.notice("protocol-failed", why.clone());
        }
        self.exit.get_or_insert(match ended {
            Ended::Stopped => 0,
            Ended::Failed(_) => EXIT_FAILED,
        });
    }

    /// Feeds the core, after everything that this turn had to say before.
    pub(super) fn input(&mut self, input: Input) {
        self.end_turn();
        self.send(input);
    }

    /// Feeds the core at once.
    pub(super) fn send(&mut self, input: Input) {
        let is_report = matches!(input, Input::Publish { .. });
        if let Err(why) = self.protocol.send(Message::Input(input)) {
            self.notice("protocol-busy", format!("{why}: an input was lost"));
            if is_report {
                // The others would act on a report that is wrong from now on. A new process
                // begins with an empty one.
                self.exit.get_or_insert(EXIT_FAILED);
            }
        }
    }

    /// Tells a person, now in the log and later in `status`; nodes by their names.
    pub(super) fn notice(&mut self, code: &str, text: String) {
        let text = self.peers.named(&text);
        tracing::warn!(code, "{text}");
        self.notices.add(now_s(), code, text);
    }

    /// As [`App::notice`], of what is found again and again as long as it lasts.
    pub(super) fn notice_once(&mut self, code: &str, text: String) {
        if !self.notices.has(code, &self.peers.named(&text)) {
            self.notice(code, text);
        }
    }

    /// The acting DC, as the newest view tells; none while it is not heard.
    pub(super) fn dc(&self) -> Option<NodeId> {
        if self.standing.acting.is_some() {
            return Some(self.me.node);
        }
        let leads = NodeId(self.standing.view.ballot.node);
        let mut members = self.standing.view.members.iter();
        let member = members.any(|m| m.identity.node == leads);
        (member && self.hears(leads)).then_some(leads)
    }

    /// Another node is heard.
    fn hears(&self, node: NodeId) -> bool {
        matches!(self.standing.peers.get(&node), Some((PeerState::Up, _)))
    }

    /// Nodes that the log counts as members although they are not there: what a node sees that
    /// has no quorum, or is alone of two, cannot be committed.
    pub(super) fn absent(&self) -> BTreeSet<u32> {
        let members = self.replica.standings().members().iter().copied();
        let view = &self.standing.view;
        match (self.standing.quorate, self.standing.restricted) {
            (false, _) => members
                .filter(|id| *id != self.me.node.0 && !self.hears(NodeId(*id)))
                .collect(),
            (true, true) => members
                .filter(|id| view.members.iter().all(|m| m.identity.node.0 != *id))
                .collect(),
            (true, false) => self.being_fenced(),
        }
    }

    /// The whole CIB with the status as of now, as this node sees it.
    pub(super) fn cib_now(&self) -> cib::Element {
        let dc = self.dc().map(|n| n.0);
        let quorate = self.standing.quorate;
        self.reports
            .cib(&self.replica, &self.peers, quorate, dc, &self.absent())
    }

    /// A random name for an operation.
    pub(super) fn new_op() -> OpId {
        OpId(crate::transport::OsEntropy::array())
    }
}

/// Seconds since the epoch: for what people read, never for the protocol.
pub(super) fn now_s() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64)
}

/// Longest sleep of the loop, in milliseconds: the protocol thread counts its turns
/// ([`crate::transport::MAIN_TURN_US_MAX`]).
const SLEEP_MS_MAX: u64 = 1_000;
/// Exit code after a failure that a restart may cure (CRM_EX_ERROR).
pub(super) const EXIT_FAILED: u8 = 1;
/// Exit code of a node that the cluster has certified dead (CRM_EX_FATAL: do not respawn): every
/// process of this boot of the machine would be refused.
pub(super) const EXIT_POISONED: u8 = 100;
/// Exit code after the store failed for good (EX_IOERR): a restart alone does not cure it.
pub(super) const EXIT_STORE: u8 = 74;
