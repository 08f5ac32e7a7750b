//! One log: I4, I5 (two nodes), I6, I7, I9, Raft 5.4.2.

use super::quorum::{decides, disjoint, needed, regime, votes};
use super::witness::with_witness;
use super::*;

impl Oracle {
    /// I6: equal ballot and position, equal chain value.
    pub(super) fn log_matches(&mut self, id: u32, core: &membership::Core) {
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
    pub(super) fn commits(&mut self, nodes: &[Node], id: u32, core: &membership::Core, from: u64) {
        let probe = core.probe();
        if self.class_u {
            self.commits_unsafely(nodes, id, core, from);
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
                // Entries may be large: they are written out only where they are needed.
                if fact.hash != hash {
                    let was = &fact.entry;
                    let text = format!(
                        "node {id}: entry {seq} is committed as {record:?}, it was {was:?}"
                    );
                    self.fail("I7", text);
                }
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
        // A snapshot that a candidate took as it came to lead was committed by whoever made it.
        if let Some(ballot) = probe.leads
            && probe.commit > probe.base.seq
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

    pub(super) fn certificate(&mut self, body: &EntryBody) {
        match body {
            EntryBody::FenceIntent(intent) => self.intent(intent),
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

    pub(super) fn new_fact(
        &mut self,
        nodes: &[Node],
        id: u32,
        entry: Entry,
        hash: Hash,
        op: Option<OpId>,
    ) {
        let before = self.committed.last();
        let mut config = before.map(|f| f.config.clone()).unwrap_or_default();
        let mut view = before.map(|f| f.view.clone()).unwrap_or_default();
        let mut app = before.map(|f| f.app.clone()).unwrap_or_default();
        let old = config.clone();
        let last_ballot = before.map_or(Ballot::default(), |f| f.entry.ballot);
        let seq = entry.seq;
        self.check(entry.ballot >= last_ballot, "I9", || {
            format!(
                "entry {seq} of {:?} follows one of {last_ballot:?}",
                entry.ballot
            )
        });
        let last_version = app.version;
        app.apply(&entry);
        self.check(app.version > last_version, "I9", || {
            format!("entry {seq}: version {last_version:?} -> {:?}", app.version)
        });
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
                let apart = disjoint(&regime(&old), &regime(&config));
                self.check(apart.is_none(), "I5", || {
                    format!("entry {seq}: {old:?} and {config:?} have quorums apart: {apart:?}")
                });
            }
            EntryBody::View(next) => {
                let grows = next.view_no > view.view_no;
                self.check(grows, "I10", || {
                    format!("entry {seq}: view number does not grow")
                });
                if view.members.is_empty() {
                    let witness = usize::from(config.current.witness.is_some());
                    let all = config.current.votes.len() == next.members.len() + witness;
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
            self.in_real_time(op, seq);
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
    pub(super) fn durable_quorum(
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
        let holders = with_witness(nodes, holders);
        let sets = configs
            .iter()
            .flat_map(|c| std::iter::once(&c.current).chain(&c.next));
        for set in sets.filter(|s| !s.votes.is_empty()) {
            let (have, need) = (votes(set, &holders), needed(set));
            self.check(decides(set, &holders), "I4", || {
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
    pub(super) fn proved_gone(&self, node: NodeId) -> bool {
        let last = self.last_seen.get(&node);
        last.is_some_and(|id| {
            self.certified.contains(&(node, id.machine_boot))
                || self
                    .left_clean
                    .get(&node)
                    .is_some_and(|left| left.incarnation >= id.incarnation)
        })
    }
}
