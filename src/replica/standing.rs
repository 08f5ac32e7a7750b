//! What the log says of each node's place: the ground for calling a silent node unclean.

use membership::{Entry, EntryBody, FenceIntent, View};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use wire::{Identity, MachineBoot, NodeId};

/// A node's standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Was in a view, and nothing says that what ran there is gone.
    Member(Identity),
    /// Said goodbye with nothing running.
    Left(Identity),
    /// A certificate says that this boot is gone.
    Fenced(Option<MachineBoot>),
}

/// A fencing that is asked for and not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenIntent {
    /// The DC that asked for it.
    pub dc: NodeId,
    /// What it wrote into the log.
    pub intent: FenceIntent,
}

/// Standing of every node that was ever seen, and the fencings under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standings {
    nodes: BTreeMap<u32, Standing>,
    /// Open intents by number.
    intents: BTreeMap<u64, OpenIntent>,
    /// Number and action of the newest intent.
    newest: (u64, String),
    fence_no: u64,
    members: Vec<u32>,
}

impl Standings {
    /// Standing of a node; `None` = never seen.
    #[must_use]
    pub fn of(&self, node: u32) -> Option<Standing> {
        self.nodes.get(&node).copied()
    }

    /// The identity a node had when it was last a member, while it counts as one.
    #[must_use]
    pub fn identity(&self, node: u32) -> Option<Identity> {
        match self.of(node) {
            Some(Standing::Member(identity)) => Some(identity),
            _ => None,
        }
    }

    /// Members of the newest view of the log.
    #[must_use]
    pub fn members(&self) -> &[u32] {
        &self.members
    }

    /// Identities of the members of the newest view of the log.
    #[must_use]
    pub fn present(&self) -> Vec<Identity> {
        self.members
            .iter()
            .filter_map(|id| self.identity(*id))
            .collect()
    }

    /// The newest boot and process that a node was ever seen with, whatever became of them: what a
    /// certificate about it can name.
    #[must_use]
    pub fn last_seen(&self, node: u32) -> (Option<MachineBoot>, Option<u64>) {
        match self.of(node) {
            Some(Standing::Member(id) | Standing::Left(id)) => {
                (Some(id.machine_boot), Some(id.incarnation))
            }
            Some(Standing::Fenced(boot)) => (boot, None),
            None => (None, None),
        }
    }

    /// Open fence intents, in the order of their numbers.
    pub fn intents(&self) -> impl Iterator<Item = &OpenIntent> {
        self.intents.values()
    }

    /// Members with an open fence intent: an agent may be about to kill them.
    pub fn doomed(&self) -> BTreeSet<u32> {
        let targets = self.intents().map(|open| open.intent.target.0);
        targets.filter(|id| self.members().contains(id)).collect()
    }

    /// Action (`reboot`, `off`) of the newest intent, if that is its number.
    #[must_use]
    pub fn fence_action(&self, fence_no: u64) -> String {
        let (newest, action) = &self.newest;
        if *newest == fence_no {
            action.clone()
        } else {
            String::new()
        }
    }

    /// Number of the newest fence intent.
    #[must_use]
    pub fn fence_no(&self) -> u64 {
        self.fence_no
    }

    /// Takes an entry over; true when some standing changed.
    pub(super) fn note(&mut self, entry: &Entry) -> bool {
        let before = self.clone();
        match &entry.body {
            EntryBody::View(view) => self.note_view(view),
            EntryBody::CleanLeft { identity } => {
                self.nodes
                    .insert(identity.node.0, Standing::Left(*identity));
            }
            EntryBody::FenceIntent(intent) => {
                self.fence_no = self.fence_no.max(intent.fence_no);
                self.newest = (intent.fence_no, intent.action.clone());
                let open = OpenIntent {
                    dc: NodeId(entry.ballot.node),
                    intent: intent.clone(),
                };
                self.intents.insert(intent.fence_no, open);
            }
            EntryBody::FenceResult(result) => {
                self.intents.remove(&result.fence_no);
                let node = result.target.0;
                // I15: a certificate speaks of one boot; a later boot is not fenced by it.
                let same_boot = match (self.identity(node), result.machine_boot) {
                    (Some(identity), Some(boot)) => identity.machine_boot == boot,
                    _ => true,
                };
                if result.outcome.is_ok() && same_boot {
                    self.nodes
                        .insert(node, Standing::Fenced(result.machine_boot));
                }
            }
            _ => {}
        }
        *self != before
    }

    fn note_view(&mut self, view: &View) {
        self.members = view.members.iter().map(|m| m.identity.node.0).collect();
        for member in &view.members {
            self.nodes
                .insert(member.identity.node.0, Standing::Member(member.identity));
        }
    }
}
