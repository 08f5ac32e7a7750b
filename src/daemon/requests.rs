//! What commands ask over the socket, and how each is answered.

use super::app::App;
use super::by_hand::CONFIRMED;
use super::changes::Unsure;
use super::disk::Job;
use super::peer::NodeTell;
use crate::ipc::{
    Call, CibVersionInfo, CibVersionText, ErrorKind, FENCE_WAIT_MS_MAX, Request, Response,
};
use crate::replica::{Outcome, Rejection, RejectionKind};
use crate::transport::boottime_ms;
use membership::{EntryBody, Input, OpId, Refusal};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};
use wire::NodeId;

pub(super) type Reply = oneshot::Sender<Response>;

/// Clients whose answer is still to come.
#[derive(Debug)]
pub(super) struct Clients {
    changes: BTreeMap<OpId, Waiting>,
    idle: Vec<IdleWait>,
    fences: Vec<FenceWait>,
    pub(super) unsure: Unsure,
    /// A cleanup or an attribute is no log entry: the DC hears of it from the nodes, by this time.
    settles_ms: u64,
    /// Places for plans that are made to be looked at.
    pub(super) plans: Arc<Semaphore>,
}

#[derive(Debug)]
struct Waiting {
    reply: Reply,
    until_ms: u64,
}

/// `crm -w` and its like: answered when the DC's plan has seen everything that this node had
/// applied when the client asked, and nothing is left to do.
#[derive(Debug)]
struct IdleWait {
    reply: Reply,
    until_ms: u64,
    seq: u64,
    /// The DC was seen at work, or had time enough to begin, after what was asked beside the log.
    begun: bool,
    begins_until_ms: u64,
}

/// Somebody waits for a node's fencing.
#[derive(Debug)]
struct FenceWait {
    reply: Reply,
    target: NodeId,
    /// An administrator says that it is done: that agents fail meanwhile is no answer.
    confirms: bool,
    until_ms: u64,
}

impl Clients {
    pub(super) fn new() -> Self {
        Self {
            changes: BTreeMap::new(),
            idle: Vec::new(),
            fences: Vec::new(),
            unsure: Unsure::default(),
            settles_ms: 0,
            plans: Arc::new(Semaphore::new(PLANS_MAX)),
        }
    }

    /// Something was asked beside the log: who waits for idleness from now on waits for it, too.
    pub(super) fn expect_news(&mut self) {
        self.settles_ms = boottime_ms() + SETTLE_MS;
    }

    pub(super) fn next_timeout_ms(&self) -> Option<u64> {
        let changes = self.changes.values().map(|w| w.until_ms);
        let idle = self.idle.iter().map(|w| match w.begun {
            true => w.until_ms,
            false => w.until_ms.min(w.begins_until_ms),
        });
        let fences = self.fences.iter().map(|w| w.until_ms);
        let unsure = self.unsure.next_timeout_ms();
        changes.chain(idle).chain(fences).chain(unsure).min()
    }

    /// Whether no more changes are taken for now.
    pub(super) fn is_full(&self) -> bool {
        self.changes.len() + self.unsure.len() >= CHANGES_MAX
    }
}

impl App {
    pub(super) fn on_call(&mut self, call: Call) {
        let Call {
            request,
            uid,
            reply,
        } = call;
        tracing::debug!(uid, ?request, "request");
        let response = match request {
            Request::Status => return self.ask_report(reply),
            Request::Cib { status } => Response::Cib {
                xml: self.cib_xml(status),
            },
            Request::Change(change) => return self.change(change, reply),
            Request::Plan => {
                return self.plan_for_client(reply, |planned| {
                    Response::Plan(Box::new(planned.plan.clone()))
                });
            }
            Request::Cleanup { resource, node } => self.request_cleanup(resource, node.as_deref()),
            Request::WaitIdle { timeout_ms } => return self.wait_idle(timeout_ms, reply),
            Request::Outcome { op } => match self.replica.outcome(OpId(op)) {
                Some(outcome) => answer(outcome),
                None => error(
                    ErrorKind::NotFound,
                    "this change is not in the log as far as this node knows; it may be under way: ask again in a second",
                ),
            },
            Request::Doctor => Response::Checks(self.checks()),
            Request::Fence { node, action } => return self.request_fence(&node, action, reply),
            Request::ConfirmDown { node } => return self.request_confirm_down(&node, reply),
            Request::ForgetFencings { node } => self.request_forget_fencings(node),
            Request::FailResource { resource, node } => self.request_fail(&resource, &node),
            Request::Reload => match self.reload() {
                Ok(text) => Response::Done { text },
                Err(text) => error(ErrorKind::Config, &text),
            },
            Request::SetAttribute(change) => return self.set_attribute(change, reply),
            Request::Attributes { node, name } => {
                self.list_attributes(node.as_deref(), name.as_deref())
            }
            Request::Net => return self.ask_net(reply),
            Request::ResetLinks => {
                self.input(Input::ResetLinks);
                Response::Done {
                    text: "links that were held down come up as soon as they are heard; they re-enable themselves anyway"
                        .to_owned(),
                }
            }
            Request::Versions => return self.list_versions(reply),
            Request::Version { number } => return self.show_version(number, reply),
            Request::TokenCreate { .. } | Request::KeyRotate if uid != 0 => error(
                ErrorKind::Forbidden,
                "this gives the cluster's key away or replaces it: only root may do it",
            ),
            Request::TokenCreate { valid_s } => return self.create_token(valid_s, reply),
            Request::NodeRemove { node, force } => return self.remove_node(&node, force, reply),
            Request::NodeRename { node, name } => return self.rename_node(&node, name, reply),
            Request::ExpectVotes { votes } => return self.expect_votes(votes, reply),
            Request::MinVersion { version } => return self.set_min_version(version, reply),
            Request::KeyRotate => return self.rotate_key(reply),
            Request::KeyAbandon { node } => return self.abandon_in_rotation(&node, reply),
            Request::KeyStatus => self.key_status(),
        };
        // Whoever asked may have gone.
        let _ = reply.send(response);
    }

    fn wait_idle(&mut self, timeout_ms: u64, reply: Reply) {
        let now = boottime_ms();
        self.clients.idle.push(IdleWait {
            reply,
            until_ms: now.saturating_add(timeout_ms.min(IDLE_WAIT_MS_MAX)),
            seq: self.replica.seq(),
            begun: self.clients.settles_ms <= now,
            begins_until_ms: self.clients.settles_ms,
        });
        self.clients_dc_moved();
    }

    pub(super) fn cib_xml(&mut self, status: bool) -> String {
        if !status {
            return self.replica.cib().to_xml();
        }
        self.look().xml().to_owned()
    }

    /// Proposes what a client wants in the log; it is answered when that is committed, or refused.
    pub(super) fn propose_for(&mut self, reply: Reply, op: OpId, payload: Vec<u8>) {
        let until_ms = boottime_ms() + CHANGE_WAIT_MS;
        if let Some(earlier) = self.clients.changes.insert(op, Waiting { reply, until_ms }) {
            let text = "the same change was asked for again: see the answer to that";
            let _ = earlier.reply.send(error(ErrorKind::InDoubt, text));
        }
        let body = EntryBody::App {
            op,
            origin: self.me.node,
            payload,
        };
        self.input(Input::Propose { op, body });
    }

    /// A change was applied here.
    pub(super) fn change_ended(&mut self, op: OpId, outcome: &Outcome) {
        if self.caught_up(op) {
            return;
        }
        if let Some(waiting) = self.clients.changes.remove(&op) {
            let _ = waiting.reply.send(answer(outcome));
        }
    }

    /// The state came from a snapshot: changes that it contains are never told one by one.
    pub(super) fn changes_restored(&mut self) {
        let changes = self.clients.changes.keys().copied();
        let ops: Vec<OpId> = changes.chain(self.clients.unsure.marks()).collect();
        for op in ops {
            if let Some(outcome) = self.replica.outcome(op).cloned() {
                self.change_ended(op, &outcome);
            }
        }
    }

    /// A proposal ended. Success shows in the entry itself, which answers the client, unless this
    /// node has it already.
    pub(super) fn proposal_ended(&mut self, op: OpId, result: Result<u64, Refusal>) {
        if self.regrant_ended(op, &result) {
            return;
        }
        let Err(refusal) = result else {
            if let Some(outcome) = self.replica.outcome(op).cloned() {
                self.change_ended(op, &outcome);
            }
            return;
        };
        if self.start_refused(op, &refusal)
            || self.in_turn_refused(op)
            || self.fencing_refused(op, &refusal_text(&refusal).1)
            || self.not_caught_up(op, &refusal)
        {
            return;
        }
        match self.clients.changes.remove(&op) {
            Some(waiting) => drop(waiting.reply.send(refused(&refusal))),
            None => tracing::info!(?refusal, "a step of the cluster itself was not taken"),
        }
    }

    fn request_cleanup(&mut self, resource: Option<String>, node: Option<&str>) -> Response {
        if let Some(id) = &resource
            && cib::config::Config::new(self.replica.cib())
                .resource(id)
                .is_none()
        {
            return error(
                ErrorKind::NotFound,
                &format!("no resource `{id}` is configured"),
            );
        }
        let targets = match node {
            None => self
                .replica
                .standings()
                .members()
                .iter()
                .map(|id| NodeId(*id))
                .collect(),
            Some(name) => match self.peers.by_name(name) {
                Some(node) => vec![node],
                None => return error(ErrorKind::NotFound, &format!("no node is called `{name}`")),
            },
        };
        if targets.is_empty() {
            return error(
                ErrorKind::NotReady,
                "this node is in no membership yet: nothing was cleaned up",
            );
        }
        let names: Vec<_> = targets.iter().map(|n| self.peers.name(*n)).collect();
        self.clients.expect_news();
        for target in targets {
            self.tell(
                target,
                NodeTell::Cleanup {
                    resource: resource.clone(),
                },
            );
        }
        let what = resource.unwrap_or_else(|| "all resources".to_owned());
        Response::Done {
            text: format!("Cleaned up {what} on {}", names.join(", ")),
        }
    }

    pub(super) fn request_fence(&mut self, node: &str, action: String, reply: Reply) {
        let (target, dc) = match self.may_fence(node, &action) {
            Ok(found) => found,
            Err((kind, text)) => return drop(reply.send(error(kind, &text))),
        };
        let timeout_ms = self.option_ms("stonith-timeout", FENCE_TIMEOUT_MS);
        let wait_ms = timeout_ms.saturating_mul(2).saturating_add(FENCE_MARGIN_MS);
        self.clients.fences.push(FenceWait {
            reply,
            target,
            confirms: action == CONFIRMED,
            until_ms: boottime_ms().saturating_add(wait_ms.min(FENCE_WAIT_MS_MAX)),
        });
        let tell = NodeTell::Fence {
            target: target.0,
            action,
            reason: "asked for by an administrator".to_owned(),
        };
        self.tell(dc, tell);
    }

    /// The node to fence, and the DC, which does it.
    fn may_fence(&self, node: &str, action: &str) -> Result<(NodeId, NodeId), (ErrorKind, String)> {
        let Some(target) = self.peers.by_name(node) else {
            let text = format!("no node is called `{node}`: nothing was fenced");
            return Err((ErrorKind::NotFound, text));
        };
        if !matches!(action, "reboot" | "off" | CONFIRMED) {
            let text = format!("fencing a node is `reboot` or `off`, not `{action}`");
            return Err((ErrorKind::Invalid, text));
        }
        let Some(dc) = self.dc() else {
            let text = "no DC is elected: fencing needs one; nothing was fenced";
            return Err((ErrorKind::NotReady, text.to_owned()));
        };
        if self.clients.fences.len() >= FENCES_MAX {
            let text = format!("{FENCES_MAX} clients wait for fencings already: try again");
            return Err((ErrorKind::NotReady, text));
        }
        Ok((target, dc))
    }

    /// A fencing ended: whoever asked for one of that node learns how.
    pub(super) fn clients_fenced(&mut self, target: NodeId, outcome: &Result<String, String>) {
        let name = self.peers.name(target);
        let (ended, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.clients.fences)
            .into_iter()
            .partition(|wait| wait.target == target && (outcome.is_ok() || !wait.confirms));
        self.clients.fences = waiting;
        for wait in ended {
            let _ = wait.reply.send(match outcome {
                Ok(device) => Response::Done {
                    text: format!("{name} was fenced by {device}"),
                },
                Err(why) => error(
                    ErrorKind::Failed,
                    &format!("{name} could not be fenced: {why}"),
                ),
            });
        }
    }

    fn fences_on_time(&mut self, now_ms: u64) {
        let (late, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.clients.fences)
            .into_iter()
            .partition(|wait| wait.until_ms <= now_ms);
        self.clients.fences = waiting;
        for wait in late {
            let text = format!(
                "nothing was heard of the fencing of {}: look at `mainstay status` and the DC's log before you repeat it",
                self.peers.name(wait.target)
            );
            let _ = wait.reply.send(error(ErrorKind::InDoubt, &text));
        }
    }

    /// The store thread knows; the loop does not wait for it.
    fn list_versions(&mut self, reply: Reply) {
        let (ask, answer) = oneshot::channel();
        if let Err(why) = self.disk.send(Job::Versions(ask)) {
            return drop(reply.send(error(ErrorKind::Failed, why)));
        }
        tokio::spawn(async move {
            let found = answer.await.unwrap_or_default();
            let found = found.iter().map(|v| CibVersionInfo {
                number: v.seq,
                user: v.author.clone(),
                client: v.client.clone(),
                origin: v.origin.clone(),
                at: seconds(v.time_us),
            });
            // Whoever asked may have gone.
            let _ = reply.send(Response::Versions(found.collect()));
        });
    }

    fn show_version(&mut self, number: u64, reply: Reply) {
        let (ask, answer) = oneshot::channel();
        if let Err(why) = self.disk.send(Job::VersionText(number, ask)) {
            return drop(reply.send(error(ErrorKind::Failed, why)));
        }
        tokio::spawn(async move {
            let response = match answer.await.ok().flatten() {
                None => error(
                    ErrorKind::NotFound,
                    &format!(
                        "version {number} is not kept here; `mainstay history` lists those that are"
                    ),
                ),
                Some(v) => Response::Version(Box::new(CibVersionText {
                    info: CibVersionInfo {
                        number: v.seq,
                        user: v.author,
                        client: v.client,
                        origin: v.origin,
                        at: seconds(v.time_us),
                    },
                    xml: v.xml,
                    patch: v.diff,
                })),
            };
            let _ = reply.send(response);
        });
    }

    /// The DC's own report changed: whoever waits for idleness may be done.
    pub(super) fn clients_dc_moved(&mut self) {
        let report = self
            .dc()
            .and_then(|dc| self.reports.of(dc))
            .and_then(super::reports::NodeReport::dc);
        let Some(report) = report else { return };
        if !report.idle {
            self.clients.idle.iter_mut().for_each(|w| w.begun = true);
            return;
        }
        let done = |wait: &IdleWait| wait.begun && report.seq >= wait.seq;
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.clients.idle)
            .into_iter()
            .partition(done);
        self.clients.idle = waiting;
        self.clients.idle.retain(|wait| !wait.reply.is_closed());
        for wait in ready {
            let _ = wait.reply.send(Response::Done {
                text: String::new(),
            });
        }
    }

    pub(super) fn clients_on_time(&mut self, now_ms: u64) {
        self.fences_on_time(now_ms);
        self.unsure_on_time(now_ms);
        let late: Vec<OpId> = self
            .clients
            .changes
            .iter()
            .filter(|(_, w)| w.until_ms <= now_ms)
            .map(|(op, _)| *op)
            .collect();
        for op in late {
            if let Some(waiting) = self.clients.changes.remove(&op) {
                let text = "no quorum has confirmed the change in time: it may or may not have been made; look before you repeat it";
                let _ = waiting.reply.send(error(ErrorKind::InDoubt, text));
            }
        }
        let mut begun = false;
        for wait in &mut self.clients.idle {
            begun |= !wait.begun && wait.begins_until_ms <= now_ms;
            wait.begun |= wait.begins_until_ms <= now_ms;
        }
        if begun {
            self.clients_dc_moved();
        }
        let (late, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.clients.idle)
            .into_iter()
            .partition(|w| w.until_ms <= now_ms);
        self.clients.idle = waiting;
        for wait in late {
            let text = match self.dc() {
                Some(dc) => format!(
                    "the cluster is still busy: see `crm_mon -1` and the log of the DC, {}",
                    self.peers.name(dc)
                ),
                None => "no DC is elected: nothing can be decided".to_owned(),
            };
            let _ = wait.reply.send(error(ErrorKind::TimedOut, &text));
        }
    }
}

pub(super) fn answer(outcome: &Outcome) -> Response {
    match outcome {
        Ok(v) => Response::Changed {
            version: (v.admin_epoch, v.epoch, v.num_updates),
            warnings: Vec::new(),
        },
        Err(rejection) => rejected(rejection),
    }
}

pub(super) fn rejected(rejection: &Rejection) -> Response {
    let kind = match rejection.kind {
        RejectionKind::Invalid => ErrorKind::Invalid,
        RejectionKind::Config => ErrorKind::Config,
        RejectionKind::Conflict => ErrorKind::Conflict,
    };
    error(kind, &rejection.text)
}

fn refused(refusal: &Refusal) -> Response {
    let (kind, text) = refusal_text(refusal);
    error(kind, &text)
}

fn held_text(vip: &str, holder: wire::NodeId, grant_no: u64, free_in_us: Option<u64>) -> String {
    let held = format!("{vip} is granted to node {holder} (grant {grant_no})");
    match free_in_us {
        Some(us) => format!(
            "{held}, whose lease ends within {} ms: try again then",
            us.div_ceil(1_000)
        ),
        None => {
            format!("{held}: it has to release it, be revoked, leave the view or be fenced first")
        }
    }
}

pub(super) fn refusal_text(refusal: &Refusal) -> (ErrorKind, String) {
    match refusal {
        Refusal::NoQuorum => (ErrorKind::NoQuorum, "this partition has no quorum: nothing was changed; make the change on the side that has it, or bring the other nodes back".to_owned()),
        Refusal::NoDc => (ErrorKind::NotReady, "no DC is elected yet: nothing was changed; try again in a few seconds".to_owned()),
        Refusal::Busy => (ErrorKind::NotReady, "too many changes are under way: nothing was changed; try again".to_owned()),
        Refusal::TooLarge { bytes_max } => (ErrorKind::Invalid, format!("the change is larger than {bytes_max} bytes: make it in several steps")),
        Refusal::InDoubt => (ErrorKind::InDoubt, "the DC changed meanwhile: the change may or may not have been made; look before you repeat it".to_owned()),
        Refusal::Recovering => (ErrorKind::NotReady, "this node is fetching the cluster's state after losing its own: make the change on another node, or wait".to_owned()),
        Refusal::Restricted => (ErrorKind::NoQuorum, "this node is alone in a two-node cluster, and nothing proves that the other is gone: nothing was changed".to_owned()),
        Refusal::Held { vip, holder, grant_no, free_in_us } => (ErrorKind::NotReady, held_text(vip, *holder, *grant_no, *free_in_us)),
        Refusal::Invalid { why } => (ErrorKind::Invalid, why.clone()),
    }
}

pub(super) fn error(kind: ErrorKind, text: &str) -> Response {
    Response::Error {
        kind,
        text: text.to_owned(),
    }
}

/// The store's microseconds as seconds.
fn seconds(time_us: u64) -> i64 {
    i64::try_from(time_us / 1_000_000).unwrap_or(i64::MAX)
}

/// Within this time, in milliseconds, a cleanup has reached the nodes, and its news the DC.
const SETTLE_MS: u64 = 2_000;
/// Plans made at once for those who look.
const PLANS_MAX: usize = 2;
/// Changes of clients under way at once on one node.
pub(super) const CHANGES_MAX: usize = 1024;
/// After this time, in milliseconds, a change that nothing was heard of is in doubt.
const CHANGE_WAIT_MS: u64 = 30_000;
/// Clients that wait for fencings at once.
const FENCES_MAX: usize = 64;
/// `stonith-timeout` where the cluster sets none, milliseconds.
const FENCE_TIMEOUT_MS: u64 = 60_000;
/// What intent and result need beside the device, milliseconds.
const FENCE_MARGIN_MS: u64 = 10_000;
/// Longest wait for idleness, in milliseconds: a day.
const IDLE_WAIT_MS_MAX: u64 = 24 * 60 * 60 * 1000;
