//! Who belongs to the cluster, as the log has it: nodes that joined and were removed, join tokens,
//! the rotation of the authkey, the lowest protocol version allowed.
//!
//! A cluster that was formed by equal files has an empty directory: the files say who its nodes are.
//! The first change at run time brings the list of its time along, and from then on the log decides.

use super::change::{Rejection, RejectionKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A node of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// `nodeid`; never given to another node, whatever becomes of this one.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Addresses or host names by link number.
    pub addrs: Vec<Option<String>>,
    /// `quorum_votes`.
    pub votes: u32,
}

/// Names a join token without telling it.
pub type TokenId = [u8; 8];

/// A join token: good for one node, until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What both ends of a join prove to know; made from the secret.
    pub key: [u8; 32],
    /// Seconds since the epoch.
    pub expires_at: i64,
    /// The node that it let in.
    pub used_by: Option<u32>,
}

/// How far a rotation of the authkey is (R18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RotationPhase {
    /// Every node is to accept the new key.
    Added,
    /// Every node is to use it, and to accept the old one still.
    Used,
}

/// A rotation of the authkey under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// Names the new key.
    pub key_id: [u8; 2],
    /// Names the old one, under which the new one is sealed.
    pub under: [u8; 2],
    /// The new key, sealed: it never lies in clear, not in a log either.
    pub sealed: Vec<u8>,
    /// How far it is.
    pub phase: RotationPhase,
    /// Nodes that an administrator does not want to be waited for.
    pub abandoned: BTreeSet<u32>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryChange {
    /// A token is made.
    AddToken {
        /// Its name.
        id: TokenId,
        /// What it proves.
        key: [u8; 32],
        /// Until when, in seconds since the epoch.
        expires_at: i64,
    },
    /// A token is used up, and its node let in: before it is given a key.
    Admit {
        /// The token.
        token: TokenId,
        /// The node.
        node: NodeRecord,
    },
    /// A node is one no more.
    Remove {
        /// Its id.
        node: u32,
    },
    /// A node has another name.
    Rename {
        /// Its id.
        node: u32,
        /// The name from now on.
        name: String,
    },
    /// ADD: a new authkey is to be accepted.
    AddKey {
        /// Its name.
        key_id: [u8; 2],
        /// The name of the key in use.
        under: [u8; 2],
        /// The key, sealed under that one.
        sealed: Vec<u8>,
    },
    /// USE: the new authkey is to be used.
    UseKey,
    /// DROP: the old authkey is to be refused.
    DropKey,
    /// The rotation does not wait for this node, which will need the key by hand.
    AbandonKey {
        /// Its id.
        node: u32,
    },
    /// No version of the protocol below this one is spoken.
    MinVersion(u8),
    /// So many votes are expected, whatever the files say.
    ExpectedVotes(u32),
}

/// A change as the log carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedDirectory {
    /// Format of this record: tells it from a change of the CIB, too.
    pub format: u8,
    /// Seconds since the epoch on the node that took the request.
    pub at: i64,
    /// The nodes as that node knew them; counts only where the log has none yet.
    pub base: Vec<NodeRecord>,
    /// The change.
    pub change: DirectoryChange,
}

/// The fold of all changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    nodes: BTreeMap<u32, NodeRecord>,
    /// Ids of nodes that were removed.
    gone: BTreeSet<u32>,
    tokens: BTreeMap<TokenId, Token>,
    rotation: Option<Rotation>,
    /// Names the newest authkey that a rotation brought.
    key_id: Option<[u8; 2]>,
    min_version: u8,
    /// `expected_votes` as set at run time.
    expected_votes: Option<u32>,
}

impl LoggedDirectory {
    /// A change, made now.
    #[must_use]
    pub fn new(at: i64, base: Vec<NodeRecord>, change: DirectoryChange) -> Self {
        Self {
            format: FORMAT,
            at,
            base,
            change,
        }
    }

    /// For the log.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Strings, numbers and bytes only: postcard has no way to fail on them.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// Is it a change of the directory at all? The first byte says so.
    pub(super) fn is_one(payload: &[u8]) -> bool {
        payload.first() == Some(&FORMAT)
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, Rejection> {
        postcard::from_bytes(payload)
            .map_err(|_| invalid("the change is written in a form that this version does not know"))
    }
}

impl Directory {
    /// Nodes by id; empty while the files say who they are.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<u32, NodeRecord> {
        &self.nodes
    }

    /// Was a node of this id removed?
    #[must_use]
    pub fn was_removed(&self, id: u32) -> bool {
        self.gone.contains(&id)
    }

    /// Join tokens, used and expired ones too.
    #[must_use]
    pub fn tokens(&self) -> &BTreeMap<TokenId, Token> {
        &self.tokens
    }

    /// The rotation under way.
    #[must_use]
    pub fn rotation(&self) -> Option<&Rotation> {
        self.rotation.as_ref()
    }

    /// Names the newest authkey that a rotation brought.
    #[must_use]
    pub fn key_id(&self) -> Option<[u8; 2]> {
        self.key_id
    }

    /// Lowest version of the protocol allowed; 0 = any.
    #[must_use]
    pub fn min_version(&self) -> u8 {
        self.min_version
    }

    /// `expected_votes`, where it was set at run time; the files' otherwise.
    #[must_use]
    pub fn expected_votes(&self) -> Option<u32> {
        self.expected_votes
    }

    /// The directory after a change.
    ///
    /// # Errors
    /// The [`Rejection`] that every node comes to.
    pub fn after(&self, logged: &LoggedDirectory) -> Result<Self, Rejection> {
        let mut new = self.clone();
        if new.nodes.is_empty() {
            new.nodes = logged.base.iter().map(|n| (n.id, n.clone())).collect();
        }
        match &logged.change {
            DirectoryChange::AddToken {
                id,
                key,
                expires_at,
            } => new.add_token(logged.at, *id, *key, *expires_at)?,
            DirectoryChange::Admit { token, node } => new.admit(logged.at, *token, node)?,
            DirectoryChange::Remove { node } => new.remove(*node)?,
            DirectoryChange::Rename { node, name } => new.rename(*node, name)?,
            DirectoryChange::MinVersion(version) => new.min_version = *version,
            DirectoryChange::ExpectedVotes(votes) => new.expect(*votes)?,
            change => new.rotate(change)?,
        }
        Ok(new)
    }

    fn add_token(
        &mut self,
        now: i64,
        id: TokenId,
        key: [u8; 32],
        expires_at: i64,
    ) -> Result<(), Rejection> {
        self.tokens
            .retain(|_, t| t.used_by.is_none() && t.expires_at > now);
        if self.tokens.len() >= TOKENS_MAX {
            return Err(conflict(&format!(
                "{TOKENS_MAX} join tokens are open already: wait until one is used or expires"
            )));
        }
        let token = Token {
            key,
            expires_at,
            used_by: None,
        };
        self.tokens.insert(id, token);
        Ok(())
    }

    fn admit(&mut self, now: i64, id: TokenId, node: &NodeRecord) -> Result<(), Rejection> {
        let Some(token) = self.tokens.get_mut(&id) else {
            return Err(invalid("the join token is not one of this cluster's"));
        };
        if token.used_by.is_some() {
            return Err(invalid(
                "the join token was used already: make another with `mainstay token create`",
            ));
        }
        if token.expires_at <= now {
            return Err(invalid(
                "the join token has expired: make another with `mainstay token create`",
            ));
        }
        if self.rotation.is_some() {
            return Err(conflict(
                "a key rotation is under way: join when `mainstay key status` says that it is over",
            ));
        }
        // The same machine again, its answer lost or its disk emptied: it is who it was.
        let again = |old: &NodeRecord| old.name == node.name && old.addrs == node.addrs;
        let known = self.nodes.get(&node.id);
        if known.is_some_and(|old| !again(old)) || self.gone.contains(&node.id) {
            return Err(conflict(
                "the node id was given to another node just now: ask again",
            ));
        }
        if known.is_none() && self.nodes.len() >= NODES_MAX {
            return Err(invalid(&format!("a cluster has at most {NODES_MAX} nodes")));
        }
        for other in self.nodes.values().filter(|other| other.id != node.id) {
            clash(other, node)?;
        }
        token.used_by = Some(node.id);
        self.nodes.insert(node.id, node.clone());
        let all = self.votes();
        self.expected_votes = self.expected_votes.map(|e| e.max(all));
        Ok(())
    }

    fn remove(&mut self, id: u32) -> Result<(), Rejection> {
        if !self.nodes.contains_key(&id) {
            return Err(invalid(&format!("there is no node {id} (any more)")));
        }
        if self.nodes.len() == 1 {
            return Err(invalid("the last node of a cluster cannot be removed"));
        }
        let votes = self.nodes.remove(&id).map_or(0, |n| n.votes);
        self.gone.insert(id);
        self.expected_votes = self.expected_votes.map(|e| e.saturating_sub(votes));
        Ok(())
    }

    /// R3: fewer than all votes would let two halves of the cluster both be enough.
    fn expect(&mut self, votes: u32) -> Result<(), Rejection> {
        let all = self.votes();
        if votes < all {
            return Err(invalid(&format!(
                "the nodes of this cluster have {all} votes, and {votes} expected would let two parts of it decide at once: take out a node that does not come back with `mainstay node remove NODE`"
            )));
        }
        self.expected_votes = Some(votes);
        Ok(())
    }

    fn votes(&self) -> u32 {
        let votes = self.nodes.values().map(|n| n.votes);
        votes.fold(0, u32::saturating_add)
    }

    fn rename(&mut self, id: u32, name: &str) -> Result<(), Rejection> {
        if self.nodes.values().any(|n| n.name == name && n.id != id) {
            return Err(invalid(&format!("another node is called {name}")));
        }
        let Some(node) = self.nodes.get_mut(&id) else {
            return Err(invalid(&format!("there is no node {id} (any more)")));
        };
        name.clone_into(&mut node.name);
        Ok(())
    }

    /// ADD, USE, DROP, in this order.
    fn rotate(&mut self, change: &DirectoryChange) -> Result<(), Rejection> {
        let none = || conflict("no key rotation is under way");
        match (change, self.rotation.as_mut()) {
            (
                DirectoryChange::AddKey {
                    key_id,
                    under,
                    sealed,
                },
                None,
            ) => {
                self.rotation = Some(Rotation {
                    key_id: *key_id,
                    under: *under,
                    sealed: sealed.clone(),
                    phase: RotationPhase::Added,
                    abandoned: BTreeSet::new(),
                });
                Ok(())
            }
            (DirectoryChange::AddKey { .. }, Some(_)) => Err(conflict(
                "a key rotation is under way already: `mainstay key status` shows it",
            )),
            (DirectoryChange::UseKey, Some(r)) if r.phase == RotationPhase::Added => {
                r.phase = RotationPhase::Used;
                Ok(())
            }
            (DirectoryChange::DropKey, Some(r)) if r.phase == RotationPhase::Used => {
                self.key_id = Some(r.key_id);
                self.rotation = None;
                Ok(())
            }
            (DirectoryChange::AbandonKey { node }, Some(r)) => {
                r.abandoned.insert(*node);
                Ok(())
            }
            _ => Err(none()),
        }
    }
}

fn clash(old: &NodeRecord, new: &NodeRecord) -> Result<(), Rejection> {
    if old.name == new.name {
        return Err(invalid(&format!(
            "a node is called {} already: give this one another --name, or remove that one first with `mainstay node remove {}`",
            new.name, old.name
        )));
    }
    let shared = new.addrs.iter().flatten();
    let mut shared = shared.filter(|a| old.addrs.contains(&Some((*a).clone())));
    match shared.next() {
        None => Ok(()),
        Some(address) => Err(invalid(&format!(
            "the address {address} belongs to {} already: if this is that machine, remove it first with `mainstay node remove {}`",
            old.name, old.name
        ))),
    }
}

fn invalid(text: &str) -> Rejection {
    rejection(RejectionKind::Invalid, text)
}

fn conflict(text: &str) -> Rejection {
    rejection(RejectionKind::Conflict, text)
}

fn rejection(kind: RejectionKind, text: &str) -> Rejection {
    Rejection {
        kind,
        text: text.to_owned(),
    }
}

/// Open join tokens at once.
pub const TOKENS_MAX: usize = 16;
/// Nodes of a cluster.
const NODES_MAX: usize = membership::NODES_MAX;
/// Format of the record.
const FORMAT: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32) -> NodeRecord {
        NodeRecord {
            id,
            name: format!("node{id}"),
            addrs: vec![Some(format!("10.0.0.{id}"))],
            votes: 1,
        }
    }

    fn after(directory: &Directory, at: i64, change: DirectoryChange) -> Result<Directory, String> {
        let logged = LoggedDirectory::new(at, vec![node(1), node(2)], change);
        let read = LoggedDirectory::decode(&logged.encode()).unwrap();
        assert_eq!(read, logged);
        directory.after(&read).map_err(|r| r.text)
    }

    fn token(id: u8) -> DirectoryChange {
        DirectoryChange::AddToken {
            id: [id; 8],
            key: [id; 32],
            expires_at: 100,
        }
    }

    fn admit(token: u8, node: NodeRecord) -> DirectoryChange {
        let token = [token; 8];
        DirectoryChange::Admit { token, node }
    }

    #[test]
    fn a_token_lets_one_node_in_once_and_in_time() {
        let empty = Directory::default();
        let said = after(&empty, 1, admit(7, node(3))).unwrap_err();
        assert!(said.contains("not one of this cluster's"), "{said}");
        let with = after(&empty, 1, token(7)).unwrap();
        assert_eq!(with.nodes().len(), 2, "the list of its time came along");
        let said = after(&with, 100, admit(7, node(3))).unwrap_err();
        assert!(said.contains("expired"), "{said}");
        let joined = after(&with, 99, admit(7, node(3))).unwrap();
        assert_eq!(joined.tokens()[&[7; 8]].used_by, Some(3));
        let said = after(&joined, 99, admit(7, node(4))).unwrap_err();
        assert!(said.contains("used already"), "{said}");
        assert!(after(&joined, 99, admit(7, node(3))).is_err(), "one-time");
        // The same machine by another token: its answer was lost, or its disk.
        let again = after(&joined, 50, token(8)).unwrap();
        let again = after(&again, 60, admit(8, node(3))).unwrap();
        assert_eq!(again.nodes(), joined.nodes());
    }

    #[test]
    fn names_addresses_and_ids_are_given_once() {
        let with = after(&Directory::default(), 1, token(7)).unwrap();
        let like = |name: &str, id: u32, address: u32| NodeRecord {
            name: name.to_owned(),
            addrs: vec![Some(format!("10.0.0.{address}"))],
            ..node(id)
        };
        for (wrong, word) in [
            (like("node1", 3, 3), "called node1 already"),
            (like("new", 3, 2), "belongs to node2"),
            (like("new", 2, 3), "id was given"),
        ] {
            let said = after(&with, 2, admit(7, wrong)).unwrap_err();
            assert!(said.contains(word), "{said}");
        }
        let joined = after(&with, 2, admit(7, node(3))).unwrap();
        let removed = after(&joined, 3, DirectoryChange::Remove { node: 3 }).unwrap();
        assert!(removed.was_removed(3) && removed.nodes().len() == 2);
        let again = after(&removed, 4, token(8)).unwrap();
        let said = after(&again, 5, admit(8, node(3))).unwrap_err();
        assert!(said.contains("id was given"), "{said}");
    }

    #[test]
    fn a_rotation_goes_through_its_steps_in_order() {
        let add = DirectoryChange::AddKey {
            key_id: [1, 2],
            under: [3, 4],
            sealed: vec![5],
        };
        let empty = Directory::default();
        assert!(after(&empty, 1, DirectoryChange::UseKey).is_err());
        let added = after(&empty, 1, add.clone()).unwrap();
        assert!(after(&added, 1, add).is_err());
        assert!(after(&added, 1, DirectoryChange::DropKey).is_err());
        let with_token = after(&added, 1, token(7)).unwrap();
        assert!(after(&with_token, 1, admit(7, node(3))).is_err());
        let used = after(&added, 1, DirectoryChange::UseKey).unwrap();
        let used = after(&used, 1, DirectoryChange::AbandonKey { node: 2 }).unwrap();
        assert!(used.rotation().unwrap().abandoned.contains(&2));
        let dropped = after(&used, 1, DirectoryChange::DropKey).unwrap();
        assert_eq!((dropped.rotation(), dropped.key_id()), (None, Some([1, 2])));
    }

    #[test]
    fn fewer_votes_than_there_are_cannot_be_expected() {
        let none = Directory::default();
        let few = after(&none, 1, DirectoryChange::ExpectedVotes(1)).unwrap_err();
        assert!(few.contains("have 2 votes"), "{few}");
        let more = after(&none, 1, DirectoryChange::ExpectedVotes(3)).unwrap();
        assert_eq!((more.expected_votes(), more.nodes().len()), (Some(3), 2));
        let lower = after(&more, 1, DirectoryChange::ExpectedVotes(2)).unwrap();
        assert_eq!(lower.expected_votes(), Some(2));
        let one = after(&more, 1, DirectoryChange::Remove { node: 2 }).unwrap();
        assert_eq!(one.expected_votes(), Some(2), "its vote went along");
    }
}
