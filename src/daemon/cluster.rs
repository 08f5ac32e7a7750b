//! What the protocol tells: views, quorum, committed entries, peers' reports.

use super::app::{App, EXIT_POISONED, EXIT_STORE, Own, now_s};
use super::disk::Job;
use super::local::refusal_of;
use super::peer::{self, NodeCommand, NodeTell};
use crate::conflicts;
use crate::controller;
use crate::ipc::Response;
use crate::replica::{NewVersion, Replica};
use crate::transport::{Message, PEER_TROUBLE, Report, STANDS_STILL};
use membership::{
    ConfigEntry, Entry, EntryBody, Event, Input, NodeState, PeerState, Token, VoterSet,
};

use store::CibVersion;
use tokio::sync::oneshot;
use wire::{Identity, NodeId};

impl App {
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::View(view) => self.on_view(view),
            Event::State { state, why } => {
                let why = self.peers.named(&why);
                match state {
                    // `begin_duty` tells of it, once it acts.
                    NodeState::DcPending | NodeState::Dc => tracing::debug!(?state, "{why}"),
                    _ => tracing::info!(?state, "{why}"),
                }
                self.state_changed(state);
            }
            Event::Quorum { quorate, why } => self.on_quorum(quorate, &why),
            Event::DcActing { ballot } => self.begin_duty(ballot),
            Event::DcEnded { why } => self.end_duty(&why),
            Event::Committed(entry) => self.on_committed(&entry),
            Event::Restored { seq, state } => self.on_restored(seq, &state),
            Event::WantSnapshot => self.give_snapshot(),
            Event::Outcome { op, result } => self.proposal_ended(op, result),
            Event::Soft { from, reset, items } => self.on_soft(from, reset, &items),
            Event::Command {
                token,
                from,
                payload,
            } => self.on_command(token, from, &payload),
            Event::CommandUnsent { to, payload, why } => self.command_unsent(to, &payload, &why),
            Event::CommandRefused { payload, .. } => {
                let commands = peer::decode::<Vec<NodeCommand>>(&payload);
                for command in commands.unwrap_or_default() {
                    self.refuse(command);
                }
            }
            Event::Told { from, payload } => self.on_told(from, &payload),
            Event::Inherited { vip, grant_no } => self.inherited(&vip, grant_no),
            Event::Peer { node, state, why } if Some(node) == self.peers.witness => {
                self.witness_seen(state, &why);
            }
            Event::Peer { node, state, why } => {
                let name = self.peers.name(node);
                tracing::info!(node = name.as_str(), ?state, "{why}");
                if state == PeerState::Up {
                    self.notices.clear_about(PEER_TROUBLE, &format!("{name} "));
                }
                self.standing.peers.insert(node, (state, why));
            }
            Event::Notice { code, node, text } => {
                let about = node
                    .map(|n| format!("{}: ", self.peers.name(n)))
                    .unwrap_or_default();
                let text = format!("{about}{text}");
                if code == STORE_FAILED {
                    // Its queue may be full without the store thread knowing of it.
                    return self.store_failed(text);
                }
                match (code.as_str(), node) {
                    (STANDS_STILL, _) => drop(self.notices.clear(STANDS_STILL)),
                    (DEGRADED, Some(node)) => self.path_degraded(node, &text),
                    (RESTORED, Some(node)) => return self.path_restored(node, &text),
                    _ => {}
                }
                self.notice(&code, text);
            }
            Event::Restricted { restricted, why } => self.restriction_changed(restricted, why),
            Event::FenceIntentLocal(intent) => self.fence_intended(&intent),
            Event::Conflict { lost } => self.keep_conflict(lost),
            Event::RestartNeeded { why } => {
                self.notice("restart-needed", why);
                self.exit = Some(super::app::EXIT_FAILED);
            }
            Event::Left => self.exit = Some(self.stopping.map_or(0, |s| s.code)),
        }
    }

    /// While the witness is silent one more loss ends the quorum.
    fn witness_seen(&mut self, state: PeerState, why: &str) {
        tracing::info!(?state, "the witness: {why}");
        if state == PeerState::Up {
            self.notices.clear("witness-silent");
            return;
        }
        let text = "the witness is not heard: the nodes decide without it, and one more loss may end the quorum; look at mainstay-witness and the network to its machine";
        self.notice("witness-silent", text.to_owned());
    }

    fn state_changed(&mut self, state: NodeState) {
        let recovered = self.standing.state == NodeState::Recovering
            && matches!(state, NodeState::Follower | NodeState::Dc);
        self.standing.state = state;
        if state == NodeState::Poisoned {
            return self.poisoned();
        }
        if recovered && let Err(why) = self.disk.send(Job::Healed) {
            self.notice(
                "store",
                format!("the store could not be marked as healed: {why}"),
            );
        }
    }

    /// The store failed for good (S6): this node acknowledges nothing any more and leaves the
    /// view; what it runs is stopped before the others start it.
    pub(super) fn store_failed(&mut self, why: String) {
        self.notice("store-failed", why);
        self.stop_and_fail("the store failed", EXIT_STORE);
    }

    /// The others count this machine's boot as dead and may start anywhere what runs here (R10):
    /// it is stopped at once. Only a new boot of the machine is believed again.
    fn poisoned(&mut self) {
        let text = "the cluster fenced this node and counts it as dead, but it lives: what runs here is stopped and mainstayd ends; check the fence device, then reboot this machine";
        self.notice("poisoned", text.to_owned());
        self.stop_and_fail("the cluster counts this node as dead", EXIT_POISONED);
    }

    fn on_view(&mut self, view: membership::View) {
        let names: Vec<_> = view
            .members
            .iter()
            .map(|m| self.peers.name(m.identity.node))
            .collect();
        tracing::info!(
            view = view.view_no,
            members = names.join(" "),
            "new membership"
        );
        // I13: what the DC asked before this view, it has given up on.
        let (counter, view_no) = (view.ballot.counter, view.view_no);
        self.local.executor.promise((counter, view_no));
        self.standing.view = view;
        self.check_leases();
        self.drop_prepared(None);
        self.give_up_unused();
        self.grants_moved();
        self.publish_ready();
        self.absence_changed();
        self.adapt_voters();
    }

    /// Alone of two: the loss of the other is not in the log, and has to be acted upon (fencing).
    pub(super) fn absence_changed(&mut self) {
        if !self.standing.restricted {
            return;
        }
        for gone in self.absent_for_plan() {
            let node = self.peers.name(NodeId(gone));
            self.control(controller::Input::NodeGone { node });
        }
        self.control(controller::Input::Changed {
            why: "the other node of two is lost".to_owned(),
        });
    }

    fn on_quorum(&mut self, quorate: bool, why: &str) {
        let why = self.peers.named(why);
        if quorate != self.standing.quorate || why != self.standing.quorum_why {
            tracing::info!(quorate, "{why}");
        }
        let changed = quorate != self.standing.quorate;
        self.standing.quorate = quorate;
        self.standing.quorum_why = why;
        if changed {
            self.quorum_changed();
        }
    }

    fn on_committed(&mut self, entry: &Entry) {
        let before = self.replica.standings().present();
        self.keep_fencing(entry);
        let applied = self.replica.apply(entry);
        if applied.directory {
            self.turn.directory_changed();
        }
        if applied.standing || applied.configuration.is_some() {
            self.duty.note_change(entry.seq);
        }
        if let Some((op, outcome)) = applied.outcome {
            self.change_ended(op, &outcome);
        }
        match &entry.body {
            EntryBody::Init { config, .. } | EntryBody::Config(config) => self.voters_moved(config),
            _ => {}
        }
        if let EntryBody::FenceIntent(intent) = &entry.body {
            self.fence_intended(intent);
        }
        if let EntryBody::FenceResult(result) = &entry.body {
            self.fence_certified(result);
        }
        if let Some(vip) = &applied.grant {
            self.grant_changed(vip, &entry.body);
        }
        if applied.standing {
            self.members_changed(&before);
        }
        if let Some(version) = applied.configuration {
            tracing::debug!(seq = entry.seq, ?version, "the configuration changed");
            self.keep_version(version);
            self.configuration_changed();
        }
        self.turn.progressed();
    }

    /// The log gave or ended a grant.
    fn grant_changed(&mut self, vip: &str, body: &EntryBody) {
        match (body, self.replica.grants().of(vip).cloned()) {
            (EntryBody::Grant(grant), _) if grant.after.is_some() => self.heir_named(grant),
            (EntryBody::Grant(grant), _) => self.granted(grant),
            (_, Some(grant)) if self.is_awaited(&grant) => self.granted(&grant),
            _ => self.grants_moved(),
        }
        self.turn.grants_changed();
        self.turn.leases_changed();
    }

    /// Voter sets of the log; a joint step has no set of its own yet.
    pub(super) fn voters_moved(&mut self, config: &ConfigEntry) {
        self.voters = config.next.is_none().then(|| config.current.clone());
        self.adapt_voters();
    }

    /// Tells the controller who is gone and who is new. A process that was replaced between two
    /// views is gone: what it was asked, its successor does not answer.
    fn members_changed(&mut self, before: &[Identity]) {
        let after = self.replica.standings().present();
        for gone in before.iter().filter(|id| !after.contains(id)) {
            let node = self.peers.name(gone.node);
            self.alert_node(gone.node, false);
            self.grants.node_gone(gone.node);
            self.handovers_without(gone.node);
            self.control(controller::Input::NodeGone { node });
        }
        let new = || after.iter().filter(|id| !before.contains(id));
        for new in new() {
            self.alert_node(new.node, true);
        }
        if new().next().is_some() {
            // A split may be over: whoever was on the other side heard nothing from this one.
            self.turn.announce_again("a member is back");
        }
        self.control(controller::Input::Changed {
            why: "the membership changed".to_owned(),
        });
    }

    fn configuration_changed(&mut self) {
        self.control(controller::Input::Changed {
            why: "the configuration changed".to_owned(),
        });
        self.control_lone(controller::Input::Changed {
            why: "the configuration changed".to_owned(),
        });
        let name = self.peers.name(self.me.node);
        self.local.configuration_changed(self.replica.cib(), &name);
        self.configure_leases();
        self.nonlocal_bind_changed();
        self.input(Input::Fencing {
            configured: self.fencing_enabled(),
        });
        self.silence_changed();
        self.adapt_voters();
    }

    /// `no-quorum-policy=ignore` in a cluster of two means what `two_node: 1` means: either node
    /// may go on alone. Larger clusters keep their majority, and a person is told.
    pub(super) fn adapt_voters(&mut self) {
        let ignore = self.option("no-quorum-policy").as_deref() == Some("ignore");
        self.notices.clear("quorum-ignored");
        if ignore && self.peers.votes.len() > 2 {
            let text = "no-quorum-policy=ignore is treated as `freeze` with more than two nodes: a partition without quorum starts nothing";
            self.notice("quorum-ignored", text.to_owned());
        }
        let Some(current) = self.voters.clone() else {
            return;
        };
        let mut wanted = self.wanted_voters(&current);
        let may_go_alone = wanted.tie_node.is_none() && wanted.last_man_standing.is_none();
        if ignore && wanted.votes.len() == 2 && may_go_alone {
            wanted.two_node = true;
        }
        if self.standing.acting.is_some() && current != wanted {
            self.input(Input::Reconfigure { voters: wanted });
        }
    }

    fn keep_version(&mut self, version: NewVersion) {
        let author = version.author;
        let at = author.as_ref().map_or_else(now_s, |a| a.at);
        let job = CibVersion {
            seq: version.seq,
            xml: self.replica.cib().to_xml(),
            author: author.as_ref().map(|a| a.user.clone()).unwrap_or_default(),
            client: author
                .as_ref()
                .map(|a| a.client.clone())
                .unwrap_or_default(),
            origin: author.map(|a| a.origin).unwrap_or_default(),
            time_us: (at.max(0) as u64) * 1_000_000,
            diff: version.diff,
        };
        if let Err(why) = self.disk.send(Job::Version(Box::new(job))) {
            self.notice("history", format!("a CIB version was not kept: {why}"));
        }
    }

    fn on_restored(&mut self, seq: u64, state: &[u8]) {
        match Replica::restore(state) {
            Ok(replica) => {
                tracing::info!(seq, "configuration restored");
                self.replica = replica;
                self.looks.forget();
                self.duty.note_change(seq);
                self.changes_restored();
                self.turn.directory_changed();
                self.configuration_changed();
            }
            Err(error) => {
                let text = format!("the configuration through entry {seq} cannot be read: {error}");
                self.notice("restore-failed", text);
                self.exit = Some(super::app::EXIT_FAILED);
            }
        }
    }

    fn give_snapshot(&mut self) {
        match self.replica.snapshot() {
            Ok(state) => self.input(Input::Snapshot {
                seq: self.replica.seq(),
                state,
            }),
            Err(error) => self.notice("snapshot", format!("no snapshot was made: {error}")),
        }
    }

    fn on_soft(&mut self, from: Identity, reset: bool, items: &[(String, Option<Vec<u8>>)]) {
        if from == self.me {
            return;
        }
        let change = self.reports.apply(from, reset, items);
        self.attributes_reported(&change);
        if let Some(why) = change.plan {
            let why = format!("{}: {why}", self.peers.name(from.node));
            self.control(controller::Input::Changed { why });
        }
        if change.dc {
            self.clients_dc_moved();
        }
    }

    fn on_command(&mut self, token: Token, from: NodeId, payload: &[u8]) {
        let who = self.peers.name(from);
        let Some(commands) = peer::decode::<Vec<NodeCommand>>(payload) else {
            let text =
                format!("{who} sent a command that this version does not know: upgrade this node");
            return self.notice("unknown-command", text);
        };
        if is_outdated(&token, &self.standing.view) {
            tracing::info!(dc = who, view = token.view_no, "a command came too late");
            for command in commands {
                self.refuse(command);
            }
            return;
        }
        for command in commands {
            self.obey(Some((token.ballot.counter, token.view_no)), command);
        }
    }

    /// A command of this DC did not go out: for the graph that waits for it the action has failed,
    /// and the next plan asks again where it still matters.
    fn command_unsent(&mut self, to: NodeId, payload: &[u8], why: &str) {
        tracing::warn!(node = self.peers.name(to), "{}", self.peers.named(why));
        let commands = peer::decode::<Vec<NodeCommand>>(payload);
        for command in commands.unwrap_or_default() {
            match refusal_of(command) {
                Some(answer) => self.told(answer),
                None => self.control(controller::Input::Changed {
                    why: self.peers.named(why),
                }),
            }
        }
    }

    fn on_told(&mut self, from: Identity, payload: &[u8]) {
        let Some(tells) = peer::decode::<Vec<NodeTell>>(payload) else {
            return tracing::warn!(node = %from.node, "unknown message of another version");
        };
        // First what they say of their sender's state: a plan made in between would see half of it.
        for tell in &tells {
            self.take_items(from, tell);
        }
        for tell in tells {
            self.told(tell);
        }
    }

    /// What a message brings along of its sender's report.
    fn take_items(&mut self, from: Identity, tell: &NodeTell) {
        if let NodeTell::OpDone { items, .. }
        | NodeTell::Changed { items, .. }
        | NodeTell::AttributeTaken { items, .. } = tell
        {
            self.reports.amend(from, items);
        }
    }

    /// Carries out a [`NodeTell`], whoever sent it.
    pub(super) fn told(&mut self, tell: NodeTell) {
        match tell {
            NodeTell::OpDone {
                transition_key,
                rc,
                op_status,
                items: _,
            } => {
                let ok = rc == 0 && op_status == 0;
                self.move_ended(&transition_key, ok);
                self.handover_answered(&transition_key, ok);
                self.control(controller::Input::OpDone {
                    transition_key,
                    rc,
                    op_status,
                });
            }
            NodeTell::Confirmed { step, ok } => self.confirm(step, ok),
            NodeTell::Changed { why, items: _ } => self.control(controller::Input::Changed { why }),
            NodeTell::GiveUp { vip } => {
                self.drop_prepared(Some(&vip));
                self.give_up_if_unused(&vip);
            }
            NodeTell::Prepared { vip, grant_no } => self.prepared(&vip, grant_no),
            NodeTell::Unused {
                vip,
                transition_key,
            } => self.unused(&vip, &transition_key),
            NodeTell::Cleanup { resource } => self.cleanup(resource.as_deref()),
            NodeTell::Fence {
                target,
                action,
                reason,
            } => self.fence(NodeId(target), &action, reason, None),
            NodeTell::Attribute { asker, ask, change } => {
                self.attribute_asked(NodeId(asker), ask, &change);
            }
            NodeTell::AttributeTaken { ask, result, .. } => self.attribute_taken(ask, result),
            NodeTell::Fail { rsc } => self.fail_resource(&rsc),
            NodeTell::ForgetFencings { node } => self.fencings.forget(node.as_deref()),
        }
    }

    /// Tells a node, or this one directly.
    pub(super) fn tell(&mut self, to: NodeId, tell: NodeTell) {
        if to == self.me.node {
            self.told(tell);
        } else {
            self.turn.tell(to, tell);
        }
    }

    /// Tells the DC of the newest view, heard or not: a message waits for the next packet, while an
    /// answer that is not sent keeps the DC waiting until the operation's time is over. A new DC
    /// learns everything from the reports anyway.
    pub(super) fn tell_dc(&mut self, tell: NodeTell) {
        let leads = NodeId(self.standing.view.ballot.node);
        let mut members = self.standing.view.members.iter();
        if members.any(|m| m.identity.node == leads) {
            self.tell(leads, tell);
        }
    }

    /// Work that the protocol took back is kept and told, never dropped (I20). The disk is waited
    /// for beside the loop.
    fn keep_conflict(&mut self, lost: Vec<Entry>) {
        let lost = conflicts::of_note(lost);
        if lost.is_empty() {
            return;
        }
        let dir = self.paths.conflicts();
        let own = self.own.clone();
        tokio::task::spawn_blocking(move || {
            let place = match conflicts::keep(&dir, now_s(), &lost) {
                Ok(file) => format!(
                    "kept in {}; `mainstay cib conflict show {}` prints what is to be repeated",
                    file.display(),
                    file.file_stem().unwrap_or_default().display()
                ),
                Err(error) => format!("not kept, {}: {error}", dir.display()),
            };
            let count = conflicts::count(lost.len());
            let text =
                format!("{count} made here without quorum lost against the other side's: {place}");
            // The loop has ended: the file is there.
            let _ = own.blocking_send(Own::Notice("conflict", text));
        });
    }

    /// Asks the protocol thread how things stand; the answer arrives as [`Own::Report`].
    pub(super) fn ask_report(&mut self, reply: oneshot::Sender<Response>) {
        self.ask_protocol(|report| Own::Report { reply, report });
    }

    /// The same of the network; the answer arrives as [`Own::Net`].
    pub(super) fn ask_net(&mut self, reply: oneshot::Sender<Response>) {
        self.ask_protocol(|report| Own::Net { reply, report });
    }

    /// Asks which voter sets are in force.
    pub(super) fn ask_voters(&mut self) {
        self.ask_protocol(|report| Own::Voters(report.map(|r| Box::new(r.core.config))));
    }

    pub(super) fn ask_protocol(
        &mut self,
        to_own: impl FnOnce(Option<Box<Report>>) -> Own + Send + 'static,
    ) {
        let (ask, answer) = oneshot::channel();
        let sent = self.protocol.send(Message::Report(ask));
        let own = self.own.clone();
        tokio::spawn(async move {
            let report = match sent {
                Ok(()) => answer.await.ok().map(Box::new),
                Err(_) => None,
            };
            // The loop has ended: so has everybody's wish to know.
            let _ = own.send(to_own(report)).await;
        });
    }
}

/// The wanted set as it is while last_man_standing has taken out whom it has in the set in force.
pub(super) fn without_absent(mut wanted: VoterSet, now: &VoterSet) -> VoterSet {
    if wanted.last_man_standing.is_none() {
        return wanted;
    }
    let out = |(node, _): &(NodeId, u32)| now.absent.iter().any(|(gone, _)| gone == node);
    (wanted.absent, wanted.votes) = wanted.votes.iter().partition(|v| out(v));
    let tie_is_out = wanted
        .tie_node
        .is_some_and(|tie| wanted.votes_of(tie).is_none());
    if tie_is_out {
        // Its place was taken in the step that took it out (R4).
        let heir = now.tie_node.filter(|tie| wanted.votes_of(*tie).is_some());
        wanted.tie_node = heir.or_else(|| wanted.votes.first().map(|(node, _)| *node));
    }
    wanted
}

/// The core's words for a peer that is reached through others only, and for the end of that.
const DEGRADED: &str = "degraded-path";
const RESTORED: &str = "path-restored";
/// The core's word for a store that it gave up.
const STORE_FAILED: &str = "store-failed";

/// A command given before the newest view. It lay in a queue while this node was cut off, and the
/// DC has planned without it since (I13).
fn is_outdated(token: &Token, view: &membership::View) -> bool {
    (token.ballot, token.view_no) < (view.ballot, view.view_no)
}

#[cfg(test)]
mod tests {
    use super::*;
    use membership::{Ballot, View};
    use wire::ProcessBoot;

    #[test]
    fn a_command_from_before_the_newest_view_is_outdated() {
        let ballot = |counter, node| Ballot { counter, node };
        let view = View {
            ballot: ballot(5, 2),
            view_no: 9,
            members: Vec::new(),
        };
        let token = |ballot, view_no| Token {
            ballot,
            view_no,
            dc: ProcessBoot([0; 16]),
            act_no: 1,
        };
        assert!(is_outdated(&token(ballot(5, 2), 8), &view));
        assert!(is_outdated(&token(ballot(5, 1), 9), &view));
        assert!(is_outdated(&token(ballot(4, 3), 12), &view));
        assert!(!is_outdated(&token(ballot(5, 2), 9), &view));
        assert!(!is_outdated(&token(ballot(6, 1), 10), &view));
    }
}
