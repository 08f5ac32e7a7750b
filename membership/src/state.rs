//! What the log says so far: the core's own replicated state, a pure fold over entries.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use wire::{Identity, MachineBoot, NodeId};

use crate::log::Record;
use crate::mutant::{self, Mutant};
use crate::{ConfigEntry, EntryBody, FenceIntent, Grant, OpId, View};

/// Fold of all entries through one position; part of every snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// Minted in entry 1.
    pub cluster_uuid: [u8; 16],
    /// Voter sets.
    pub config: ConfigEntry,
    /// Newest view.
    pub view: View,
    /// Standing VIP grants by resource (R12).
    pub grants: BTreeMap<String, Grant>,
    /// Grants that wait for the one before them to be given up, by resource: at most one each.
    pub heirs: BTreeMap<String, Grant>,
    /// Grants that were revoked and not yet released, with their number (R12).
    pub revoked: BTreeMap<u64, Grant>,
    /// Highest grant number given.
    #[serde(deserialize_with = "crate::message::number")]
    pub grant_no: u64,
    /// The last grants that ended, by Revoke, Released or a newer grant, oldest first.
    ended: VecDeque<Ended>,
    /// Position of the newest end that is no longer remembered.
    ended_floor: u64,
    /// Fence intents without a result (R10).
    pub intents: BTreeMap<u64, FenceIntent>,
    /// Highest fence number given.
    #[serde(deserialize_with = "crate::message::number")]
    pub fence_no: u64,
    /// Newest proof of absence per node.
    pub certificates: BTreeMap<NodeId, Certificate>,
    /// Newest process per node that a VIEW named (R8).
    pub last_seen: BTreeMap<NodeId, Identity>,
    /// First entry committed by a lone node of two without a certificate, until both are back or
    /// the other is certified gone: not covered by a quorum (class U).
    pub class_u: Option<u64>,
    /// How often one of two nodes came to be alone with proof that the other is gone. Only such a
    /// node commits without the other, so of two logs the one that counts more is the cluster's,
    /// whatever ballots the other went through alone (3.8: a certificate stands in for the
    /// intersection).
    pub survivals: u64,
    /// Names of the last operations and their positions: at most once each.
    ops: BTreeMap<OpId, u64>,
    ops_order: VecDeque<OpId>,
}

/// Proof that a process (and what its machine ran) is gone (R10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Machine boot proved dead, or left clean.
    pub machine_boot: Option<MachineBoot>,
    /// Highest process incarnation it speaks of.
    pub incarnation: Option<u64>,
    /// The fencing's number; `None` for CLEAN_LEFT.
    pub fence_no: Option<u64>,
}

/// A grant that ended, and where in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) grant_no: u64,
    pub(crate) node: NodeId,
    pub(crate) seq: u64,
}

impl Certificate {
    /// Does it name this process's boot? A later boot is not "already fenced" (I15).
    pub fn covers(&self, identity: &Identity) -> bool {
        if mutant::on(Mutant::CertificateWithoutBoot) {
            return true;
        }
        let boot = self
            .machine_boot
            .is_some_and(|boot| boot == identity.machine_boot);
        let process = self
            .incarnation
            .is_some_and(|last| identity.incarnation <= last);
        match (self.fence_no, self.machine_boot) {
            // A fenced machine boot is dead whatever process it starts; clean leave names a process.
            (Some(_), Some(_)) => boot,
            (Some(_), None) => process,
            (None, _) => boot && process,
        }
    }
}

impl LogState {
    /// Takes one more entry.
    pub(crate) fn apply(&mut self, record: &Record) {
        let survived = self.survives();
        self.apply_body(record);
        if !survived && self.survives() {
            self.survivals += 1;
        }
    }

    fn apply_body(&mut self, record: &Record) {
        if let Some(op) = record.op {
            self.remember(op, record.seq);
        }
        match &record.body {
            EntryBody::Noop | EntryBody::App { .. } => {}
            EntryBody::Init {
                cluster_uuid,
                config,
                ..
            } => {
                self.cluster_uuid = *cluster_uuid;
                self.config = config.clone();
            }
            EntryBody::View(view) => self.apply_view(view, record.seq),
            EntryBody::Config(config) => self.config = config.clone(),
            EntryBody::Grant(_) | EntryBody::Revoke { .. } | EntryBody::Released { .. } => {
                self.apply_grant(&record.body, record.seq);
            }
            EntryBody::FenceIntent(_) | EntryBody::FenceResult(_) | EntryBody::CleanLeft { .. } => {
                self.apply_fence(&record.body, record.seq)
            }
        }
    }

    /// Where the operation stands, if it is remembered.
    pub(crate) fn position(&self, op: &OpId) -> Option<u64> {
        self.ops.get(op).copied()
    }

    /// May an operation behind this position be remembered no more?
    pub(crate) fn forgets_behind(&self, seq: u64) -> bool {
        let oldest = self.ops_order.front().and_then(|op| self.position(op));
        self.ops_order.len() >= OPS_MAX && oldest.is_some_and(|oldest| oldest > seq + 1)
    }

    /// Is this process proved gone by a certificate in force?
    pub(crate) fn certified(&self, identity: &Identity) -> bool {
        self.certificates
            .get(&identity.node)
            .is_some_and(|c| c.covers(identity))
    }

    /// The fencing that proved this process dead, if one did.
    pub(crate) fn fenced(&self, identity: &Identity) -> Option<u64> {
        let certificate = self.certificates.get(&identity.node)?;
        certificate
            .fence_no
            .filter(|_| certificate.covers(identity))
    }

    /// Does the log know a later process of that node, or another of that incarnation (R8)? A session
    /// with the earlier one may outlast the news by the detection timeout. A view that names it is
    /// taken by nobody: whoever wrote it down would lead alone, with the longest log, for ever.
    pub(crate) fn supersedes(&self, identity: &Identity) -> bool {
        let known = self.last_seen.get(&identity.node);
        let older = known.is_some_and(|known| {
            let other = identity.process_boot != known.process_boot;
            identity.incarnation < known.incarnation
                || identity.incarnation == known.incarnation && other
        });
        older && !mutant::on(Mutant::IncarnationUnchecked)
    }

    /// Has the process' machine booted again since (R10)? Then nothing of it is left in a kernel.
    pub(crate) fn booted_since(&self, identity: &Identity) -> bool {
        self.last_seen.get(&identity.node).is_some_and(|last| {
            last.incarnation > identity.incarnation && last.machine_boot != identity.machine_boot
        })
    }

    /// Grants that may still be relied on, the standing one first: it stands, it waits for that one
    /// and may have its holder's word already, or it was revoked and nobody else has the VIP yet.
    pub(crate) fn claims(&self, vip: &str) -> impl Iterator<Item = &Grant> {
        let revoked = self.revoked.values().filter(move |g| g.vip == vip);
        let standing = self.grants.get(vip).into_iter();
        standing.chain(self.heirs.get(vip)).chain(revoked)
    }

    /// The grant of that number, if it stands or waits.
    pub(crate) fn grant(&self, vip: &str, grant_no: u64) -> Option<&Grant> {
        let mut both = self.grants.get(vip).into_iter().chain(self.heirs.get(vip));
        both.find(|g| g.grant_no == grant_no)
    }

    /// Grants of a node that ended after a position; `Err` when that is not remembered.
    pub(crate) fn ended_after(&self, node: NodeId, seq: u64) -> Result<Vec<u64>, ()> {
        if seq < self.ended_floor {
            return Err(());
        }
        let after = self.ended.iter().rev().take_while(|e| e.seq > seq);
        let of_node = after.filter(|e| e.node == node);
        Ok(of_node.map(|e| e.grant_no).collect())
    }

    /// A lone node of a two-node cluster whose peer is not proved gone (R11).
    pub(crate) fn uncertified(&self) -> bool {
        let sets = std::iter::once(&self.config.current).chain(&self.config.next);
        let lone = sets.filter(|s| s.has_one_of_two_in(&self.view));
        let absent = lone.flat_map(|s| &s.votes).map(|(node, _)| *node);
        absent.into_iter().any(|node| {
            let last = self.last_seen.get(&node);
            self.view.member(node).is_none() && last.is_some_and(|id| !self.certified(id))
        })
    }

    /// One of two nodes, alone, and the other is proved gone.
    fn survives(&self) -> bool {
        self.config.current.has_one_of_two_in(&self.view) && !self.uncertified()
    }

    /// Has the view one of two voters of some set where either may go on alone (Q = 1)?
    pub(crate) fn has_lone_voter(&self, view: &View) -> bool {
        let mut sets = std::iter::once(&self.config.current).chain(&self.config.next);
        sets.any(|s| s.has_one_of_two_in(view))
    }

    fn apply_grant(&mut self, body: &EntryBody, seq: u64) {
        match body {
            EntryBody::Grant(grant) => {
                self.grant_no = self.grant_no.max(grant.grant_no);
                // Whoever had it before is free of it: only then is another grant admitted. One
                // that waits leaves alone what it waits for, and nothing else.
                self.revoked.retain(|_, g| g.vip != grant.vip);
                if let Some(old) = self.heirs.remove(&grant.vip) {
                    self.end(&old, seq);
                }
                let all = match grant.after {
                    Some(_) => &mut self.heirs,
                    None => &mut self.grants,
                };
                if let Some(old) = all.insert(grant.vip.clone(), grant.clone()) {
                    self.end(&old, seq);
                }
            }
            EntryBody::Revoke { grant_no } => {
                if let Some(grant) = self.take(|g| g.grant_no == *grant_no) {
                    self.end(&grant, seq);
                    self.revoked.insert(*grant_no, grant);
                }
            }
            EntryBody::Released { vip, grant_no } => {
                let revoked = self.revoked.remove(grant_no);
                let grant = self.take(|g| g.vip == *vip && g.grant_no == *grant_no);
                if let Some(grant) = &grant {
                    self.end(grant, seq);
                }
                let over = grant.or(revoked).is_some_and(|g| g.vip == *vip);
                let waits = self.heirs.get(vip).and_then(|g| g.after);
                if over
                    && waits == Some(*grant_no)
                    && let Some(heir) = self.heirs.remove(vip)
                {
                    let grant = Grant {
                        after: None,
                        ..heir
                    };
                    self.grants.insert(vip.clone(), grant);
                }
            }
            _ => {}
        }
    }

    /// Takes out the grant that stands or waits and is meant.
    fn take(&mut self, is: impl Fn(&Grant) -> bool) -> Option<Grant> {
        for all in [&mut self.grants, &mut self.heirs] {
            if let Some(vip) = all.values().find(|g| is(g)).map(|g| g.vip.clone()) {
                return all.remove(&vip);
            }
        }
        None
    }

    fn end(&mut self, grant: &Grant, seq: u64) {
        let (grant_no, node) = (grant.grant_no, grant.node());
        self.ended.push_back(Ended {
            grant_no,
            node,
            seq,
        });
        if self.ended.len() > ENDED_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.ended_floor = oldest.seq;
        }
    }

    fn apply_fence(&mut self, body: &EntryBody, seq: u64) {
        match body {
            EntryBody::FenceIntent(intent) => {
                self.fence_no = self.fence_no.max(intent.fence_no);
                self.intents.insert(intent.fence_no, intent.clone());
            }
            EntryBody::FenceResult(result) => {
                self.intents.remove(&result.fence_no);
                if result.outcome.is_ok() {
                    let fence_no = Some(result.fence_no);
                    let (machine_boot, incarnation) = (result.machine_boot, result.incarnation);
                    self.certificates.insert(
                        result.target,
                        Certificate {
                            machine_boot,
                            incarnation,
                            fence_no,
                        },
                    );
                    self.reclassify(seq);
                }
            }
            EntryBody::CleanLeft { identity } => {
                let machine_boot = Some(identity.machine_boot);
                let incarnation = Some(identity.incarnation);
                self.certificates.insert(
                    identity.node,
                    Certificate {
                        machine_boot,
                        incarnation,
                        fence_no: None,
                    },
                );
                self.reclassify(seq);
            }
            _ => {}
        }
    }

    fn reclassify(&mut self, seq: u64) {
        if self.uncertified() {
            self.class_u.get_or_insert(seq);
        } else {
            self.class_u = None;
        }
    }

    fn apply_view(&mut self, view: &View, seq: u64) {
        for member in &view.members {
            let id = member.identity;
            self.last_seen.insert(id.node, id);
        }
        self.view = view.clone();
        self.reclassify(seq);
    }

    fn remember(&mut self, op: OpId, seq: u64) {
        if self.ops.insert(op, seq).is_none() {
            self.ops_order.push_back(op);
        }
        if self.ops_order.len() > OPS_MAX
            && let Some(oldest) = self.ops_order.pop_front()
        {
            self.ops.remove(&oldest);
        }
    }
}

impl View {
    /// The member of that node id.
    pub fn member(&self, node: NodeId) -> Option<&crate::Member> {
        self.members.get(self.place(node)?)
    }

    /// Where it stands. Coordinators write members down ascending; in what came from elsewhere each is
    /// looked at.
    fn place(&self, node: NodeId) -> Option<usize> {
        let all = &self.members;
        let found = all.binary_search_by_key(&node, |m| m.identity.node);
        found
            .ok()
            .or_else(|| all.iter().position(|m| m.identity.node == node))
    }

    /// [`Self::member`] for a loop over ascending nodes: `next` is the place after the last one found.
    pub(crate) fn member_next(&self, node: NodeId, next: &mut usize) -> Option<&crate::Member> {
        let here = self.members.get(*next);
        let place = match here.is_some_and(|m| m.identity.node == node) {
            true => *next,
            false => self.place(node)?,
        };
        *next = place + 1;
        self.members.get(place)
    }

    /// Is exactly this process a member?
    pub fn names(&self, identity: &Identity) -> bool {
        self.member(identity.node)
            .is_some_and(|m| m.identity == *identity)
    }
}

/// Ended grants remembered: two moves of 256 VIPs. A holder that is further behind gets no promise
/// for any grant.
const ENDED_MAX: usize = 512;
/// Operations remembered for at-most-once.
pub const OPS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use wire::ProcessBoot;

    fn process(node: u32, boot: u8, incarnation: u64) -> Identity {
        Identity {
            node: NodeId(node),
            machine_boot: MachineBoot([boot; 16]),
            process_boot: ProcessBoot([incarnation as u8; 16]),
            incarnation,
        }
    }

    fn grant(vip: &str, node: u32, grant_no: u64) -> EntryBody {
        let holder = process(node, 1, 1);
        EntryBody::Grant(Grant {
            grant_no,
            hold_us: 500_000,
            ..Grant::wanted(vip, holder)
        })
    }

    fn heir(node: u32, grant_no: u64, after: u64) -> EntryBody {
        let EntryBody::Grant(grant) = grant("v", node, grant_no) else {
            unreachable!("made as a grant above");
        };
        let after = Some(after);
        EntryBody::Grant(Grant { after, ..grant })
    }

    fn claims(state: &LogState) -> Vec<u64> {
        state.claims("v").map(|g| g.grant_no).collect()
    }

    fn fold(bodies: impl IntoIterator<Item = EntryBody>) -> LogState {
        let mut state = LogState::default();
        for (seq, body) in (1..).zip(bodies) {
            state.apply(&Record {
                seq,
                ballot: crate::Ballot::default(),
                origin: NodeId(1),
                op: None,
                body,
            });
        }
        state
    }

    #[test]
    fn a_vip_has_one_holder_until_it_is_free() {
        let revoke = EntryBody::Revoke { grant_no: 1 };
        let state = fold([grant("v", 1, 1), grant("w", 2, 2), revoke.clone()]);
        assert_eq!(claims(&state), [1]);
        assert!(!state.grants.contains_key("v"));
        let released = EntryBody::Released {
            vip: "v".into(),
            grant_no: 1,
        };
        let state = fold([grant("v", 1, 1), revoke.clone(), released.clone()]);
        assert_eq!(claims(&state), []);
        let state = fold([grant("v", 1, 1), revoke, grant("v", 2, 2), released]);
        assert_eq!(claims(&state), [2]);
        assert!(state.revoked.is_empty());
    }

    #[test]
    fn an_heir_waits_for_the_word_and_is_nothing_before() {
        let released = |grant_no| EntryBody::Released {
            vip: "v".into(),
            grant_no,
        };
        let base = [grant("v", 1, 1), heir(2, 2, 1)];
        let with = |more: &[EntryBody]| fold(base.iter().chain(more).cloned());
        let standing = |state: &LogState| state.grants.get("v").map(|g| g.grant_no);

        let state = with(&[]);
        assert_eq!((standing(&state), claims(&state)), (Some(1), vec![1, 2]));
        // The word makes it a grant like any other.
        let state = with(&[released(1)]);
        assert_eq!((standing(&state), claims(&state)), (Some(2), vec![2]));
        assert_eq!(state.grants["v"].after, None);
        // Given up, before or after: the old one stands, or nobody has it.
        let state = with(&[released(2)]);
        assert_eq!((standing(&state), claims(&state)), (Some(1), vec![1]));
        let state = with(&[released(2), released(1)]);
        assert_eq!((standing(&state), claims(&state)), (None, vec![]));
        // Revoked, it counts until somebody else may have the VIP for certain.
        let state = with(&[EntryBody::Revoke { grant_no: 2 }, released(1)]);
        assert_eq!((standing(&state), claims(&state)), (None, vec![2]));
        let state = with(&[EntryBody::Revoke { grant_no: 1 }]);
        assert_eq!((standing(&state), claims(&state)), (None, vec![2, 1]));
        let state = with(&[EntryBody::Revoke { grant_no: 1 }, released(1)]);
        assert_eq!((standing(&state), claims(&state)), (Some(2), vec![2]));
        // Another grant stands for all that were before it.
        let state = with(&[grant("v", 2, 3)]);
        assert_eq!((standing(&state), claims(&state)), (Some(3), vec![3]));
        assert_eq!(state.ended_after(NodeId(2), 0), Ok(vec![2]));
        assert_eq!(state.ended_after(NodeId(1), 0), Ok(vec![1]));
        let state = with(&[heir(3, 3, 1)]);
        assert_eq!((standing(&state), claims(&state)), (Some(1), vec![1, 3]));
        assert_eq!(state.ended_after(NodeId(2), 0), Ok(vec![2]));
    }

    #[test]
    fn ends_are_told_to_whom_they_concern_and_as_far_as_they_are_news() {
        let state = fold([
            grant("v", 1, 1),
            grant("w", 2, 2),
            grant("v", 1, 3),
            EntryBody::Revoke { grant_no: 3 },
            grant("v", 2, 4),
        ]);
        assert_eq!(state.ended_after(NodeId(1), 0), Ok(vec![3, 1]));
        assert_eq!(state.ended_after(NodeId(1), 3), Ok(vec![3]));
        assert_eq!(state.ended_after(NodeId(1), 4), Ok(vec![]));
        assert_eq!(state.ended_after(NodeId(2), 0), Ok(vec![]));
    }

    #[test]
    fn what_is_forgotten_is_no_promise() {
        let moves = ENDED_MAX as u64 + 10;
        let state = fold((1..=moves).map(|no| grant("v", no as u32 % 2, no)));
        assert_eq!(state.ended_after(NodeId(1), 0), Err(()));
        assert_eq!(state.ended_after(NodeId(1), moves), Ok(vec![]));
        assert!(state.ended_after(NodeId(1), 20).is_ok());
    }

    #[test]
    fn only_a_later_boot_proves_the_earlier_dead() {
        let mut state = LogState::default();
        let old = process(1, 1, 3);
        for (now, dead) in [
            (process(1, 1, 3), false),
            (process(1, 1, 4), false),
            (process(1, 2, 4), true),
            (process(1, 2, 2), false),
        ] {
            state.last_seen.insert(NodeId(1), now);
            assert_eq!(state.booted_since(&old), dead, "{now:?}");
        }
    }
}
