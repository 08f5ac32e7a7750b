//! What must always hold, whatever happens: the invariants of the protocol, checked against the
//! truth that only a simulator knows (every disk, every process, one true time).

use std::collections::{BTreeMap, BTreeSet};

use membership::message::{Hash, Message};
use membership::{
    Ballot, ConfigEntry, Entry, EntryBody, Event, NodeState, OpId, Refusal, SafetyRecord, Token,
    View, VoterSet,
};
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

use crate::node::{App, Node};

/// A broken invariant.
#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: String,
    pub at_us: u64,
    pub text: String,
}

/// A committed entry, as it was when any node first called it committed.
#[derive(Clone, Debug)]
pub struct Fact {
    pub hash: Hash,
    pub entry: Entry,
    pub config: ConfigEntry,
    pub view: View,
    pub app: App,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fate {
    pub proposals: u32,
    pub acked: Option<u64>,
    refused: bool,
    committed: Option<u64>,
}

/// What was checked of a running process.
#[derive(Clone, Debug, Default)]
struct Seen {
    head: (u64, Hash),
    commit: u64,
    applied: u64,
    acting: Option<Ballot>,
    restricted: bool,
    paused_until: u64,
    accepted: View,
    view_no: u64,
    token: Option<(Ballot, u64, u64)>,
    met: BTreeSet<u32>,
    /// R5: it has met everybody, or was let in by somebody who had.
    let_in: bool,
}

#[derive(Debug, Default)]
pub struct Oracle {
    pub violation: Option<Violation>,
    pub committed: Vec<Fact>,
    pub ops: BTreeMap<OpId, Fate>,
    pub acked: u64,
    /// Class U: where an acknowledged operation stood, to be found there or in a conflict.
    unsafe_acks: BTreeMap<OpId, (u64, Hash)>,
    conflicts: BTreeSet<OpId>,
    /// Two nodes without fencing: lone halves commit class U, and one of them may lose it.
    pub class_u: bool,
    hashes: BTreeMap<(Ballot, u64), Hash>,
    leaders: BTreeMap<Ballot, ProcessBoot>,
    /// Until when a node's echo of a member binds it, by node and member.
    echoes: BTreeMap<(u32, u32), (membership::message::Echo, u64)>,
    /// Who answered a recovering process.
    answers: BTreeMap<u32, BTreeSet<NodeId>>,
    spoken: BTreeMap<(NodeId, u64), ProcessBoot>,
    certified: BTreeSet<(NodeId, MachineBoot)>,
    left: BTreeSet<ProcessBoot>,
    left_clean: BTreeMap<NodeId, Identity>,
    last_seen: BTreeMap<NodeId, Identity>,
    seen: BTreeMap<u32, Seen>,
    nodes: usize,
    pub now: u64,
}

impl Oracle {
    pub fn new(nodes: usize, class_u: bool) -> Self {
        Self {
            nodes,
            class_u,
            ..Self::default()
        }
    }

    pub fn fail(&mut self, rule: &str, text: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation {
                rule: rule.to_owned(),
                at_us: self.now,
                text,
            });
        }
    }

    fn check(&mut self, ok: bool, rule: &str, text: impl FnOnce() -> String) {
        if !ok {
            self.fail(rule, text());
        }
    }

    /// A process starts or ends: what is known of the old one is void.
    pub fn process(&mut self, node: &Node) {
        let safety = node.disk.safety.as_ref();
        let survivor = safety.is_some_and(|s| {
            let alone = s.sole_survivor.as_ref();
            alone.is_some_and(|alone| alone.view_no == s.view_no)
        });
        let seen = Seen {
            let_in: survivor || self.nodes == 1,
            ..Seen::default()
        };
        self.seen.insert(node.id, seen);
    }

    /// A disk was lost whole: what it promised not to forget is forgotten.
    pub fn disk_lost(&mut self, id: u32) {
        self.spoken.retain(|(node, _), _| node.0 != id);
    }

    pub fn paused(&mut self, id: u32, until: u64) {
        self.seen.entry(id).or_default().paused_until = until;
    }

    pub fn heard(&mut self, id: u32, from: u32) {
        let nodes = self.nodes;
        let seen = self.seen.entry(id).or_default();
        if seen.met.insert(from) && seen.met.len() + 1 >= nodes {
            seen.let_in = true;
        }
    }

    /// I1, I10: nothing on disk ever goes back.
    pub fn safety_written(&mut self, id: u32, old: Option<&SafetyRecord>, new: &SafetyRecord) {
        let Some(old) = old else { return };
        if old.recovering && !new.recovering {
            self.recovers(id);
        }
        self.check(new.promised >= old.promised, "I1", || {
            format!(
                "node {id}: promise on disk {:?} -> {:?}",
                old.promised, new.promised
            )
        });
        let views = (
            (old.view_ballot, old.view_no),
            (new.view_ballot, new.view_no),
        );
        // Each for itself: of two nodes the survivor's views may be more under lower ballots.
        let grow = new.view_ballot >= old.view_ballot && new.view_no >= old.view_no;
        self.check(grow, "I10", || {
            format!("node {id}: view on disk {:?} -> {:?}", views.0, views.1)
        });
        self.check(new.incarnation >= old.incarnation, "I10", || {
            format!(
                "node {id}: incarnation {} -> {}",
                old.incarnation, new.incarnation
            )
        });
        self.check(new.hold_us_max >= old.hold_us_max, "R0", || {
            format!("node {id}: hold {} -> {}", old.hold_us_max, new.hold_us_max)
        });
    }

    /// A packet leaves: whatever it relies on is on this very disk (I1, I10, I12, R1).
    pub fn sent(&mut self, node: &Node, to: &Node, payload: &[u8], deferred: bool) {
        let id = node.id;
        let Some(safety) = node.disk.safety.clone() else {
            self.fail(
                "I10",
                format!("node {id} speaks before its incarnation is on disk"),
            );
            return;
        };
        let me = node.me;
        self.check(safety.incarnation >= me.incarnation, "I10", || {
            format!(
                "node {id} speaks as incarnation {}, on disk is {}",
                me.incarnation, safety.incarnation
            )
        });
        let key = (me.node, me.incarnation);
        let spoken = *self.spoken.entry(key).or_insert(me.process_boot);
        self.check(spoken == me.process_boot, "I10", || {
            format!(
                "two processes of node {id} speak as incarnation {}",
                me.incarnation
            )
        });
        let message = match Message::decode(payload) {
            Ok(message) => message,
            Err(e) => {
                self.fail("format", format!("node {id} sent what cannot be read: {e}"));
                return;
            }
        };
        match &message {
            Message::Beat(beat) => {
                if let Some(echo) = beat.echo.clone().filter(|e| e.member) {
                    self.echoed(node, to, echo);
                }
            }
            Message::Bye { .. } => {
                self.left.insert(me.process_boot);
            }
            _ => {}
        }
        let recovering = match &node.core {
            Some(core) if !deferred => core.probe().recovering,
            _ => safety.recovering,
        };
        self.promises(node, &safety, &message, recovering);
    }

    fn promises(&mut self, node: &Node, safety: &SafetyRecord, message: &Message, unfit: bool) {
        let id = node.id;
        let on_disk =
            |p: &membership::message::Point| p.seq == 0 || node.disk.holds(p.seq, &p.hash);
        match message {
            Message::Beat(beat) => {
                self.check(beat.ballot <= safety.promised, "I1", || {
                    format!(
                        "node {id}: beat names ballot {:?}, on disk {:?}",
                        beat.ballot, safety.promised
                    )
                });
                self.check(beat.view_no <= safety.view_no, "I10", || {
                    format!(
                        "node {id}: beat names view {}, on disk {}",
                        beat.view_no, safety.view_no
                    )
                });
                self.check(!(unfit && beat.echo.is_some()), "I12", || {
                    format!("node {id} gives echoes although it may not vote")
                });
            }
            Message::Promise { ballot, head, .. } => {
                self.check(*ballot <= safety.promised, "I1", || {
                    format!(
                        "node {id}: promise {ballot:?} sent, on disk {:?}",
                        safety.promised
                    )
                });
                self.check(!unfit, "I12", || {
                    format!("node {id} promises although it may not vote")
                });
                // What was accepted since, while this waited for the disk, may have replaced it.
                let newest = safety.promised == *ballot;
                let replaced = node
                    .core
                    .as_ref()
                    .is_none_or(|c| c.point(head.seq).is_none_or(|p| p.hash != head.hash));
                self.check(!newest || replaced || on_disk(head), "I1", || {
                    format!(
                        "node {id}: promise names entry {} that is not on its disk",
                        head.seq
                    )
                });
            }
            Message::Prepare { ballot, .. } => {
                self.check(*ballot <= safety.promised, "I1", || {
                    format!(
                        "node {id}: asks for {ballot:?}, on disk {:?}",
                        safety.promised
                    )
                });
            }
            Message::Ack {
                ballot, durable, ..
            } => {
                self.check(*ballot <= safety.promised, "I1", || {
                    format!(
                        "node {id}: acknowledges under {ballot:?}, on disk {:?}",
                        safety.promised
                    )
                });
                self.check(!unfit, "I12", || {
                    format!("node {id} acknowledges although it may not vote")
                });
                self.check(on_disk(durable), "R1", || {
                    format!(
                        "node {id}: entry {} called durable is not on its disk",
                        durable.seq
                    )
                });
            }
            _ => {}
        }
    }

    /// After every input of a node, before its outputs are carried out: I4, I6, I7.
    pub fn log_step(&mut self, nodes: &[Node], id: u32) {
        let Some(core) = nodes
            .iter()
            .find(|n| n.id == id)
            .and_then(|n| n.core.as_ref())
        else {
            return;
        };
        let probe = core.probe();
        let head = (probe.head.seq, probe.head.hash);
        let seen = self.seen.entry(id).or_default();
        let old_head = std::mem::replace(&mut seen.head, head);
        let old_commit = std::mem::replace(&mut seen.commit, probe.commit);
        if old_head != head {
            self.log_matches(id, core);
        }
        self.accepts_view(id, core);
        if probe.commit > old_commit {
            self.commits(nodes, id, core, old_commit);
        }
    }

    /// After the outputs of a step: I2, I3, I8, I18.
    pub fn authority_step(&mut self, nodes: &[Node], id: u32) {
        let Some(core) = nodes
            .iter()
            .find(|n| n.id == id)
            .and_then(|n| n.core.as_ref())
        else {
            return;
        };
        let probe = core.probe();
        let seen = self.seen.entry(id).or_default();
        let began = probe.acting.is_some() && seen.acting != probe.acting;
        seen.acting = probe.acting;
        seen.restricted = probe.restricted;
        let let_in = seen.let_in;
        if let Some(ballot) = probe.acting {
            if began {
                self.dc_begins(id, core, ballot, let_in);
            }
            self.one_dc(id);
        }
    }

    /// R0: an echo promises its member that no view without it is accepted for the hold.
    fn accepts_view(&mut self, id: u32, core: &membership::Core) {
        let view = core.probe().view;
        let seen = self.seen.entry(id).or_default();
        if (seen.accepted.ballot, seen.accepted.view_no) == (view.ballot, view.view_no) {
            return;
        }
        let old = std::mem::replace(&mut seen.accepted, view.clone());
        let two = core.log_state().config.current.two_node;
        let newer = view.view_no > old.view_no && old.view_no > 0;
        // A view inside a snapshot was committed by a quorum that this node was no part of; its
        // echo bound only its own consent, and nobody counted that.
        let by_snapshot = !logged_view(core, view.view_no)
            && self
                .committed
                .iter()
                .any(|f| f.view.view_no == view.view_no && f.view == *view);
        if !newer || two || self.class_u || by_snapshot {
            return;
        }
        for gone in old.members.iter().map(|m| m.identity) {
            let node = gone.node.0;
            let bound = self.echoes.get(&(id, node)).map_or(0, |(_, until)| *until);
            let proved = core.log_state().certificates.contains_key(&gone.node)
                || self.certified.iter().any(|(n, _)| *n == gone.node)
                || self.left.contains(&gone.process_boot);
            let kept = view.member(gone.node).is_some() || node == id;
            let proved = proved || in_log(core, gone.node);
            let now = self.now;
            self.check(kept || proved || now + MARGIN_US >= bound, "R0", || {
                format!(
                    "node {id} accepts a view without {node}, bound by its echo for {} us",
                    bound - now
                )
            });
        }
    }

    /// Repeating an echo promises nothing new.
    fn echoed(&mut self, node: &Node, to: &Node, echo: membership::message::Echo) {
        let until = self.now + to.t_fail_us;
        let given = self
            .echoes
            .entry((node.id, to.id))
            .or_insert_with(|| (echo.clone(), until));
        if given.0 != echo {
            *given = (echo, until);
        }
    }

    /// R6: which answers reached a node that lost its store.
    pub fn answered(&mut self, id: u32, from: NodeId) {
        self.answers.entry(id).or_default().insert(from);
    }

    fn recovers(&mut self, id: u32) {
        let answers = self.answers.remove(&id).unwrap_or_default();
        let Some(config) = self.committed.last().map(|f| f.config.clone()) else {
            return;
        };
        let enough = votes(&config.current, &answers) >= needed(&config.current);
        self.check(enough || self.class_u, "R6", || {
            format!("node {id} votes again after the answers of {answers:?} alone")
        });
    }

    /// I6: equal ballot and position, equal chain value.
    fn log_matches(&mut self, id: u32, core: &membership::Core) {
        let probe = core.probe();
        let mut seq = probe.head.seq;
        while seq > probe.base.seq {
            let Some(point) = core.point(seq) else { break };
            match self.hashes.insert((point.ballot, seq), point.hash) {
                Some(known) if known == point.hash => break,
                Some(_) => {
                    self.fail(
                        "I6",
                        format!(
                            "node {id}: another entry {seq} of ballot {:?}",
                            point.ballot
                        ),
                    );
                    break;
                }
                None => {}
            }
            seq -= 1;
        }
    }

    /// I7: what is committed never changes; I4: and a quorum had it on disk at that moment.
    fn commits(&mut self, nodes: &[Node], id: u32, core: &membership::Core, from: u64) {
        let probe = core.probe();
        if self.class_u {
            return;
        }
        // What is committed at once stands together: a certificate further on proves for all.
        for seq in (from + 1).max(self.committed.len() as u64 + 1)..=probe.commit {
            if let Some((record, _)) = core.logged(seq) {
                self.certificate(&record.body.clone());
            }
        }
        for seq in from + 1..=probe.commit {
            let Some((record, hash)) = core.logged(seq) else {
                continue;
            };
            if let Some(fact) = self.committed.get(seq as usize - 1) {
                let same = fact.hash == hash;
                let was = format!("{:?}", fact.entry);
                self.check(same, "I7", || {
                    format!("node {id}: entry {seq} is committed as {record:?}, it was {was}")
                });
                continue;
            }
            if self.committed.len() as u64 + 1 != seq {
                self.fail(
                    "I4",
                    format!(
                        "node {id}: entry {seq} is committed before {}",
                        self.committed.len() + 1
                    ),
                );
                return;
            }
            let entry = Entry {
                seq,
                ballot: record.ballot,
                body: record.body.clone(),
            };
            self.new_fact(nodes, id, entry, hash, record.op);
        }
        if let Some(ballot) = probe.leads
            && let Some(head) = core.point(probe.commit)
        {
            self.check(head.ballot == ballot, "raft-5.4.2", || {
                format!(
                    "DC {id} of {ballot:?} commits entry {} of {:?}",
                    head.seq, head.ballot
                )
            });
        }
    }

    fn certificate(&mut self, body: &EntryBody) {
        match body {
            EntryBody::CleanLeft { identity } => {
                self.left_clean.insert(identity.node, *identity);
            }
            EntryBody::FenceResult(result) if result.outcome.is_ok() => {
                let boot = result.machine_boot;
                self.certified.extend(boot.map(|b| (result.target, b)));
            }
            _ => {}
        }
    }

    fn new_fact(&mut self, nodes: &[Node], id: u32, entry: Entry, hash: Hash, op: Option<OpId>) {
        let before = self.committed.last();
        let mut config = before.map(|f| f.config.clone()).unwrap_or_default();
        let mut view = before.map(|f| f.view.clone()).unwrap_or_default();
        let mut app = before.map(|f| f.app.clone()).unwrap_or_default();
        let old = config.clone();
        let last_ballot = before.map_or(Ballot::default(), |f| f.entry.ballot);
        let seq = entry.seq;
        self.check(entry.ballot >= last_ballot, "I6", || {
            format!(
                "entry {seq} of {:?} follows one of {last_ballot:?}",
                entry.ballot
            )
        });
        app.apply(&entry);
        match &entry.body {
            EntryBody::Init { config: first, .. } => {
                self.check(seq == 1, "R6", || {
                    format!("entry {seq} founds a second cluster")
                });
                config = first.clone();
            }
            EntryBody::Config(next) => {
                let grows = next.config_epoch > old.config_epoch;
                self.check(grows, "I10", || {
                    format!("entry {seq}: config epoch does not grow")
                });
                config = next.clone();
            }
            EntryBody::View(next) => {
                let grows = next.view_no > view.view_no;
                self.check(grows, "I10", || {
                    format!("entry {seq}: view number does not grow")
                });
                if view.members.is_empty() {
                    let all = config.current.votes.len() == next.members.len();
                    self.check(all, "R6", || {
                        format!("the first view has not all nodes: {next:?}")
                    });
                }
                view = next.clone();
                let seen = next.members.iter().map(|m| (m.identity.node, m.identity));
                self.last_seen.extend(seen);
            }
            _ => {}
        }
        self.durable_quorum(nodes, id, seq, &hash, [&old, &config]);
        if let Some(op) = op {
            let fate = self.ops.entry(op).or_default();
            let (twice, refused) = (fate.committed, fate.refused);
            fate.committed = Some(seq);
            self.check(twice.is_none(), "I8", || {
                format!("operation {op:?} is in the log at {twice:?} and {seq}")
            });
            self.check(!refused, "outcome", || {
                format!("operation {op:?} was refused for good, and is entry {seq}")
            });
        }
        self.committed.push(Fact {
            hash,
            entry,
            config,
            view,
            app,
        });
    }

    /// I4, R3: every voter set that may be in force has a quorum of disks that hold the entry.
    fn durable_quorum(
        &mut self,
        nodes: &[Node],
        id: u32,
        seq: u64,
        hash: &Hash,
        configs: [&ConfigEntry; 2],
    ) {
        let holders: BTreeSet<NodeId> = nodes
            .iter()
            .filter(|n| n.disk.holds(seq, hash) || n.lost.holds(seq, hash))
            .map(|n| NodeId(n.id))
            .collect();
        let sets = configs
            .iter()
            .flat_map(|c| std::iter::once(&c.current).chain(&c.next));
        for set in sets.filter(|s| !s.votes.is_empty()) {
            let (have, need) = (votes(set, &holders), needed(set));
            self.check(have >= need, "I4", || {
                format!("node {id} commits entry {seq} held by the disks of {holders:?}: {have} of {need} votes of {set:?}")
            });
            if set.two_node && set.votes.len() == 2 {
                let missing = set
                    .votes
                    .iter()
                    .map(|(n, _)| *n)
                    .find(|n| !holders.contains(n));
                let proved = missing.is_none_or(|n| self.proved_gone(n));
                self.check(proved, "I5", || {
                    format!("two nodes: entry {seq} committed without the disk of {missing:?} and without proof that it is gone")
                });
            }
        }
    }

    /// A committed certificate names the last process of the node that any committed view named.
    fn proved_gone(&self, node: NodeId) -> bool {
        let last = self.last_seen.get(&node);
        last.is_some_and(|id| {
            self.certified.contains(&(node, id.machine_boot))
                || self
                    .left_clean
                    .get(&node)
                    .is_some_and(|left| left.incarnation >= id.incarnation)
        })
    }

    /// I2: one process per ballot; I8: it has everything committed; I18: wait_for_all.
    fn dc_begins(&mut self, id: u32, core: &membership::Core, ballot: Ballot, let_in: bool) {
        let probe = core.probe();
        let process = probe.me.process_boot;
        let leader = *self.leaders.entry(ballot).or_insert(process);
        self.check(leader == process, "I2", || {
            format!("two processes act as DC under {ballot:?}")
        });
        if self.class_u {
            return;
        }
        if let Some(last) = self.committed.last().cloned() {
            let seq = last.entry.seq;
            let point = core.point(seq);
            let has = point.is_some_and(|p| p.hash == last.hash) || probe.base.seq > seq;
            let lost = format!("{:?}", last.entry);
            self.check(has, "I8", || {
                format!("DC {id} of {ballot:?} lacks committed {lost}")
            });
            let config = &last.config;
            let waits =
                config.current.wait_for_all || config.next.as_ref().is_some_and(|n| n.wait_for_all);
            self.check(!waits || let_in, "I18", || {
                format!("DC {id} acts after a cold start in which not all nodes were seen")
            });
        }
    }

    /// I3: at one true instant at most one node acts. Of two nodes with `two_node` a lone one may
    /// act beside the other, restricted (R11); what it may not do is commit (I5).
    fn one_dc(&mut self, id: u32) {
        let two = self
            .committed
            .last()
            .is_some_and(|f| f.config.current.two_node);
        if self.class_u || two {
            return;
        }
        let now = self.now;
        let acting = |s: &&Seen| s.acting.is_some() && !s.restricted && now >= s.paused_until;
        let Some(mine) = self.seen.get(&id).filter(acting) else {
            return;
        };
        let mine = mine.acting;
        let other = self.seen.iter().find(|(n, s)| **n != id && acting(s));
        if let Some((other, s)) = other {
            let text = format!(
                "nodes {id} ({mine:?}) and {other} ({:?}) act as DC at once",
                s.acting
            );
            self.fail("I3", text);
        }
    }

    /// What the application of a node was told.
    pub fn event(&mut self, node: &Node, event: &Event) {
        let id = node.id;
        match event {
            Event::Committed(entry) => self.delivered(id, entry),
            Event::Restored { seq, state } => self.restored(node, *seq, state),
            Event::Outcome { op, result } => {
                self.outcome(id, *op, result);
                self.acked_unsafely(node, *op, result);
            }
            Event::Conflict { lost } => {
                let ops = lost.iter().filter_map(|e| match &e.body {
                    EntryBody::App { op, .. } => Some(*op),
                    _ => None,
                });
                self.conflicts.extend(ops);
            }
            Event::Command { token, from, .. } => self.command(node, token, *from),
            Event::View(view) => self.view(node, view),
            Event::State {
                state: NodeState::Poisoned,
                ..
            } => {
                let mine = (node.me.node, node.me.machine_boot);
                let named = self.certified.contains(&mine) || self.class_u;
                self.check(named, "I15", || {
                    format!("node {id} is poisoned, no certificate names its boot")
                });
            }
            _ => {}
        }
    }

    fn delivered(&mut self, id: u32, entry: &Entry) {
        let seen = self.seen.entry(id).or_default();
        let expected = seen.applied + 1;
        seen.applied = entry.seq;
        self.check(entry.seq == expected, "delivery", || {
            format!(
                "node {id}: entry {} delivered, {expected} was next",
                entry.seq
            )
        });
        if self.class_u {
            return;
        }
        let same = self
            .committed
            .get(entry.seq as usize - 1)
            .map(|f| f.entry == *entry);
        self.check(same != Some(false), "I7", || {
            format!("node {id}: delivered another entry {}", entry.seq)
        });
    }

    fn restored(&mut self, node: &Node, seq: u64, state: &[u8]) {
        let id = node.id;
        let on_disk = node.disk.snapshot.as_ref().map_or(0, |(at, _)| *at);
        self.check(seq <= on_disk, "I10", || {
            format!("node {id}: the application gets the state through {seq}, on disk is {on_disk}")
        });
        self.seen.entry(id).or_default().applied = seq;
        if seq == 0 || self.class_u {
            return;
        }
        let expected = self.committed.get(seq as usize - 1).map(|f| f.app.bytes());
        self.check(expected.as_deref() == Some(state), "I26", || {
            format!("node {id}: restored another state through {seq}")
        });
    }

    fn outcome(&mut self, id: u32, op: OpId, result: &Result<u64, Refusal>) {
        let Some(fate) = self.ops.get_mut(&op).filter(|f| f.proposals > 0) else {
            return;
        };
        match result {
            Ok(seq) => {
                let first = fate.acked.is_none();
                let (was, at) = (fate.acked, fate.committed);
                fate.acked = Some(*seq);
                self.acked += u64::from(first);
                self.check(was.is_none_or(|w| w == *seq) || self.class_u, "I8", || {
                    format!("node {id}: operation {op:?} acknowledged at {was:?}, then {seq}")
                });
                self.check(at == Some(*seq) || self.class_u, "I8", || {
                    format!(
                        "node {id}: operation {op:?} acknowledged at {seq}, committed at {at:?}"
                    )
                });
            }
            Err(Refusal::InDoubt) => {}
            Err(refusal) => {
                let only = fate.proposals == 1;
                fate.refused = only;
                let at = fate.committed;
                self.check(at.is_none() || !only || self.class_u, "outcome", || {
                    format!(
                        "node {id}: operation {op:?} refused ({refusal:?}), but it is entry {at:?}"
                    )
                });
            }
        }
    }

    fn acked_unsafely(&mut self, node: &Node, op: OpId, result: &Result<u64, Refusal>) {
        let once = self.ops.get(&op).is_some_and(|fate| fate.proposals == 1);
        if let Ok(seq) = result
            && let Some(core) = &node.core
            && let Some(point) = core.point(*seq)
            && self.class_u
            && once
        {
            self.unsafe_acks.insert(op, (*seq, point.hash));
        }
    }

    /// I20: two halves found together; what one acknowledged alone is in the log or in a conflict.
    pub fn nothing_lost_silently(&mut self, core: &membership::Core) {
        let base = core.probe().base.seq;
        let lost: Vec<_> = self
            .unsafe_acks
            .iter()
            .filter(|(op, (seq, hash))| {
                let gone = core.point(*seq).is_none_or(|p| p.hash != *hash);
                *seq > base && gone && !self.conflicts.contains(*op)
            })
            .map(|(op, (seq, _))| (*op, *seq))
            .collect();
        self.check(lost.is_empty(), "I20", || {
            format!("acknowledged under class U, in no log and in no conflict: {lost:?}")
        });
    }

    pub fn is_committed(&self, op: OpId) -> bool {
        self.ops
            .get(&op)
            .is_some_and(|fate| fate.committed.is_some())
    }

    /// A retry may be applied although the first attempt was refused.
    pub fn proposed(&mut self, op: OpId) {
        let fate = self.ops.entry(op).or_default();
        fate.proposals += 1;
        fate.refused = false;
    }

    /// I13: never below what this disk has promised, never twice, never out of order.
    fn command(&mut self, node: &Node, token: &Token, from: NodeId) {
        let id = node.id;
        let promised = node
            .disk
            .safety
            .as_ref()
            .map_or(Ballot::default(), |s| s.promised);
        self.check(token.ballot >= promised, "I13", || {
            format!(
                "node {id} runs a command of {:?}, it has promised {promised:?}",
                token.ballot
            )
        });
        self.check(token.ballot.node == from.0, "I13", || {
            format!("node {id}: token of another node than {from}")
        });
        let key = (token.ballot, token.view_no, token.act_no);
        let seen = self.seen.entry(id).or_default();
        let last = seen.token.replace(key);
        self.check(last.is_none_or(|last| key > last), "I13", || {
            format!("node {id} runs command {key:?} after {last:?}")
        });
    }

    fn view(&mut self, node: &Node, view: &View) {
        let id = node.id;
        let on_disk = node.disk.safety.as_ref().map_or(0, |s| s.view_no);
        self.check(view.view_no <= on_disk, "I10", || {
            format!(
                "node {id}: view {} installed, on disk {on_disk}",
                view.view_no
            )
        });
        let dc = self.seen.get(&view.ballot.node).is_some_and(|s| s.let_in);
        let seen = self.seen.entry(id).or_default();
        let last = std::mem::replace(&mut seen.view_no, view.view_no);
        if dc && view.names(&node.me) {
            seen.let_in = true;
        }
        self.check(view.view_no > last, "I10", || {
            format!("node {id}: view {} after {last}", view.view_no)
        });
    }
}

fn logged_view(core: &membership::Core, view_no: u64) -> bool {
    let probe = core.probe();
    (probe.base.seq + 1..=probe.head.seq)
        .filter_map(|seq| core.logged(seq))
        .any(|(r, _)| matches!(&r.body, EntryBody::View(v) if v.view_no == view_no))
}

/// A proof of the node's absence stands in the log, committed or not.
fn in_log(core: &membership::Core, node: NodeId) -> bool {
    let probe = core.probe();
    let after = probe.base.seq + 1..=probe.head.seq;
    after
        .filter_map(|seq| core.logged(seq))
        .any(|(record, _)| match &record.body {
            EntryBody::CleanLeft { identity } => identity.node == node,
            EntryBody::FenceResult(result) => result.target == node,
            _ => false,
        })
}

/// `Q = max(E, sum) / 2 + 1`, written again so that an error in the production arithmetic shows.
fn needed(set: &VoterSet) -> u32 {
    if set.two_node && set.votes.len() == 2 {
        return 1;
    }
    let sum: u32 = set.votes.iter().map(|(_, v)| v).sum();
    sum.max(set.expected_votes.unwrap_or(0)) / 2 + 1
}

fn votes(set: &VoterSet, nodes: &BTreeSet<NodeId>) -> u32 {
    let inside = set.votes.iter().filter(|(n, _)| nodes.contains(n));
    inside.map(|(_, v)| v).sum()
}

/// Rounding and drift between a node's clock and true time, in microseconds.
const MARGIN_US: u64 = 4_000;
