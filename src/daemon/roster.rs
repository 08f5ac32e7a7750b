//! Who belongs to the cluster: the log's directory carried out on the running daemon, and written
//! into corosync.conf, so that a restart agrees with the log.
//!
//! Once nodes have come or gone at run time the log says which nodes there are, with their ids, names
//! and votes, whatever a file says; the file says where they are reached, and everything else.

use super::app::{App, EXIT_FAILED, EXIT_POISONED, Own};
use super::cluster::without_absent;
use super::joining::then_say;
use super::leases::ClusterReferee;
use super::prepare::{digest, peer_configs};
use super::requests::{Reply, error};
use crate::conf::{self, ClusterConf, Hosts, NodeConf, Strictness};
use crate::ipc::ErrorKind;
use crate::replica::{Directory, DirectoryChange, NodeRecord};
use crate::transport::{Message, NewPeers, Peers};
use membership::VoterSet;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wire::NodeId;

impl App {
    /// The log's directory is another one: who is in it, which tokens are open.
    pub(super) fn directory_changed(&mut self) {
        self.open_desk();
        self.follow_keys();
        if let Err(why) = self.follow_nodes() {
            self.notice_once("node-list", why);
        }
        self.adapt_voters();
        self.describe_cluster();
    }

    /// Brings the running daemon and corosync.conf to the nodes that the log names.
    fn follow_nodes(&mut self) -> Result<(), String> {
        let directory = self.replica.directory();
        if directory.nodes().is_empty() {
            return Ok(());
        }
        if directory.was_removed(self.me.node.0) {
            let text = "this node was removed from the cluster: what runs here is stopped and mainstayd ends; to come back it has to join anew (mainstay store reset, then mainstay join)";
            self.notice("removed", text.to_owned());
            self.stop_and_fail("this node was removed from the cluster", EXIT_POISONED);
            return Ok(());
        }
        let path = self.paths.corosync_conf();
        let file = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{file}: {e}"))?;
        let strictness = match self.lenient {
            true => Strictness::Lenient,
            false => Strictness::Strict,
        };
        let old = conf::read(&file, &text, strictness).map_err(|e| e.to_string())?;
        let text_wanted = agreeing(&text, &old, directory);
        let new = conf::read(&file, &text_wanted, strictness).map_err(|e| e.to_string())?;
        self.tell_strangers(&old, &new);
        let name = self.peers.name(self.me.node);
        self.take_nodes(&new)?;
        if self.peers.name(self.me.node) != name {
            return self.restart_renamed(&path, &text_wanted);
        }
        if differs(&old, &new) {
            self.write_conf(path, text, text_wanted);
        }
        Ok(())
    }

    /// A file that names nodes of its own was edited by somebody who wants them in.
    fn tell_strangers(&mut self, old: &ClusterConf, new: &ClusterConf) {
        let directory = self.replica.directory();
        let listed = |n: &&NodeConf| new.nodes.iter().any(|m| m.id == n.id);
        let mut strange = old.nodes.iter().filter(|n| !listed(n));
        let Some(node) = strange.find(|n| !directory.was_removed(n.id)) else {
            return;
        };
        let text = format!(
            "corosync.conf of this node named node {} ({}), which the cluster's log does not: the list was written as the log has it, and the file before is kept beside it; to add a machine, use `mainstay token create` and `mainstay join`",
            node.id,
            node.name
                .as_deref()
                .or(node.addrs.first().and_then(Option::as_deref))
                .unwrap_or("no name"),
        );
        self.notice("node-list", text);
    }

    /// Agents, attributes and answers of this process go by the name that it began with.
    fn restart_renamed(&mut self, path: &Path, text: &str) -> Result<(), String> {
        conf::replace_file(path, text.as_bytes(), CONF_MODE)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        let text = "this node has another name now: mainstayd starts anew under it";
        self.notice("renamed", text.to_owned());
        self.exit.get_or_insert(EXIT_FAILED);
        Ok(())
    }

    fn take_nodes(&mut self, new: &ClusterConf) -> Result<(), String> {
        let hosts = Hosts::load(&self.paths.root().join("etc/hosts"));
        let own: Vec<_> = self.peers.links.iter().map(|l| l.own.ip()).collect();
        let peers = Peers::resolve(new, &hosts, &own).map_err(|e| e.to_string())?;
        let rules = self.conf.quorum != new.quorum;
        self.conf.nodes.clone_from(&new.nodes);
        self.conf.quorum.clone_from(&new.quorum);
        match peers == *self.peers {
            true if rules => self.tell_digest(),
            true => Ok(()),
            false => self.take_peers(peers),
        }
    }

    /// The node list is the same, and what decides is not: the others compare both.
    pub(super) fn tell_digest(&mut self) -> Result<(), String> {
        let message = NewPeers {
            configs: peer_configs(&self.peers),
            nodelist_digest: digest(&self.conf, &self.peers),
            peers: Peers::clone(&self.peers),
        };
        self.protocol
            .send(Message::from(message))
            .map_err(str::to_owned)
    }

    fn take_peers(&mut self, peers: Peers) -> Result<(), String> {
        let names: Vec<_> = peers.names.values().map(String::as_str).collect();
        tracing::info!(nodes = names.join(" "), "the cluster's nodes are others");
        let message = NewPeers {
            configs: peer_configs(&peers),
            nodelist_digest: digest(&self.conf, &peers),
            peers: peers.clone(),
        };
        let leases = self.leases.handle.clone();
        let referee = ClusterReferee::new(&peers, leases);
        self.local.vip.set_referee(Arc::new(referee));
        self.peers = Arc::new(peers);
        self.looks.forget();
        self.streams.set_peers(Arc::clone(&self.peers));
        let known = &self.peers.names;
        self.standing
            .peers
            .retain(|node, _| known.contains_key(node));
        self.protocol
            .send(Message::from(message))
            .map_err(str::to_owned)
    }

    /// Writes corosync.conf beside the loop; the file before it is kept.
    fn write_conf(&self, path: PathBuf, old: String, new: String) {
        let own = self.own.clone();
        tokio::task::spawn_blocking(move || {
            let kept = path.with_extension("conf.before");
            let written = conf::replace_file(&kept, old.as_bytes(), CONF_MODE)
                .and_then(|()| conf::replace_file(&path, new.as_bytes(), CONF_MODE));
            let shown = path.display();
            match written {
                Ok(()) => tracing::info!(
                    "{shown} names the cluster's nodes as the log does; the file before is {}",
                    kept.display()
                ),
                Err(error) => {
                    let text = format!(
                        "{shown} could not be written ({error}) and differs from the cluster's node list: make room there, then restart mainstayd"
                    );
                    let _ = own.blocking_send(Own::Notice("node-list", text));
                }
            }
        });
    }

    /// The voters that the cluster is to have now: a node that is new gets its vote when it is a
    /// member of the view, and is needed for nothing before.
    pub(super) fn wanted_voters(&self, current: &VoterSet) -> VoterSet {
        let members: BTreeSet<NodeId> = {
            let members = self.standing.view.members.iter();
            members.map(|m| m.identity.node).collect()
        };
        // Whom last_man_standing has taken out comes back by itself.
        let ready = |node: &NodeId| {
            let out = current.absent.iter().any(|(gone, _)| gone == node);
            current.votes_of(*node).is_some() || out || members.contains(node)
        };
        let (votes, pending): (Vec<_>, Vec<_>) = {
            let all = self.peers.votes.iter().map(|(n, v)| (*n, *v));
            all.partition(|(node, _)| ready(node))
        };
        let missing: u32 = pending.iter().map(|(_, v)| *v).sum();
        let expected = self.conf.quorum.expected_votes;
        let expected = expected.map(|e| e.saturating_sub(missing));
        without_absent(self.conf.voters_among(votes, expected), current)
    }

    /// Another number of expected votes: an entry of the log, from which a step of the voters follows
    /// that both numbers decide (R3).
    pub(super) fn expect_votes(&mut self, votes: u32, reply: Reply) {
        let set = self.conf.voters();
        let all: u32 = set.configured().iter().map(|(_, v)| *v).sum();
        let refusal = if set.two_node {
            Some("two_node is set: one node is enough, however many votes are expected".to_owned())
        } else if votes < all {
            Some(format!(
                "{all} votes are configured, and {votes} expected would let two parts of the cluster decide at once: take out a node that does not come back with `mainstay node remove NODE`"
            ))
        } else if votes / 2 + 1 > all {
            Some(format!(
                "of {votes} expected votes {} would be needed, and only {all} are configured: nothing could ever decide",
                votes / 2 + 1
            ))
        } else {
            None
        };
        if let Some(text) = refusal {
            return drop(reply.send(error(ErrorKind::Invalid, &text)));
        }
        let text = format!("{votes} votes are expected, {} needed", votes / 2 + 1);
        let change = DirectoryChange::ExpectedVotes(votes);
        self.change_directory(change, then_say(reply, text));
    }

    /// Nodes as this one knows them, for the first entry about nodes that the log gets.
    pub(super) fn node_records(&self) -> Vec<NodeRecord> {
        let record = |n: &NodeConf| NodeRecord {
            id: n.id,
            name: self.peers.name(NodeId(n.id)),
            addrs: n.addrs.clone(),
            votes: n.votes,
        };
        self.conf.nodes.iter().map(record).collect()
    }
}

/// The file's text with the nodes of the log. Addresses that the file has stay as they are there.
pub(super) fn agreeing(text: &str, old: &ClusterConf, directory: &Directory) -> String {
    let node = |record: &NodeRecord| {
        let known = old.nodes.iter().find(|n| n.id == record.id);
        NodeConf {
            id: record.id,
            name: Some(record.name.clone()),
            addrs: known.map_or_else(|| record.addrs.clone(), |n| n.addrs.clone()),
            votes: record.votes,
        }
    };
    let nodes: Vec<NodeConf> = directory.nodes().values().map(node).collect();
    let stays = |n: &&NodeConf| nodes.iter().any(|new| new.id == n.id);
    let sum = |nodes: &mut dyn Iterator<Item = &NodeConf>| nodes.map(|n| n.votes).sum::<u32>();
    let before = sum(&mut old.nodes.iter());
    let gone = before - sum(&mut old.nodes.iter().filter(stays));
    let expected = old.quorum.expected_votes.map(|e| {
        // What was expected beyond the listed nodes is expected still.
        e.saturating_sub(gone).max(sum(&mut nodes.iter()))
    });
    let set = directory.expected_votes();
    let text = conf::with_nodes(text, &nodes, set.or(expected));
    let missing = set.filter(|_| old.quorum.expected_votes.is_none());
    let with = missing.map(|e| conf::set_key("", &text, EXPECTED_VOTES, &e.to_string()));
    // A file that was read a moment ago takes a line more.
    with.and_then(Result::ok).unwrap_or(text)
}

/// Would a restart with the old file know other nodes than the log?
fn differs(old: &ClusterConf, new: &ClusterConf) -> bool {
    let named = |conf: &ClusterConf| -> BTreeSet<(u32, Option<String>, u32)> {
        let nodes = conf.nodes.iter();
        nodes.map(|n| (n.id, n.name.clone(), n.votes)).collect()
    };
    named(old) != named(new) || old.quorum.expected_votes != new.quorum.expected_votes
}

/// The corosync.conf text that a node gets which is let in as `record`.
pub(super) fn conf_for(path: &Path, directory: &Directory) -> Result<String, String> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| format!("{file}: {e}"))?;
    let old = conf::read(&file, &text, Strictness::Lenient).map_err(|e| e.to_string())?;
    Ok(agreeing(&text, &old, directory))
}

/// The key that a change of the expected votes writes.
const EXPECTED_VOTES: &str = "quorum.expected_votes";
/// Mode of corosync.conf: everybody may read it.
const CONF_MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::LoggedDirectory;

    const FILE: &str = "nodelist {\n node {\n  ring0_addr: 10.0.0.1\n  nodeid: 1\n }\n node {\n  ring0_addr: 10.0.0.22\n  nodeid: 2\n }\n}\nquorum {\n expected_votes: 2\n two_node: 1\n}\n";

    fn record(id: u32) -> NodeRecord {
        NodeRecord {
            id,
            name: format!("node{id}"),
            addrs: vec![Some(format!("10.0.0.{id}"))],
            votes: 1,
        }
    }

    fn read(text: &str) -> ClusterConf {
        conf::read("c", text, Strictness::Strict).unwrap()
    }

    /// The file after the changes of a directory that began with nodes 1 and 2.
    fn after(changes: &[DirectoryChange]) -> ClusterConf {
        let base = vec![record(1), record(2)];
        let mut directory = Directory::default();
        for change in changes {
            let logged = LoggedDirectory::new(1, base.clone(), change.clone());
            directory = directory.after(&logged).unwrap();
        }
        let text = agreeing(FILE, &read(FILE), &directory);
        let once = read(&text);
        assert_eq!(agreeing(&text, &once, &directory), text, "a second time");
        once
    }

    fn join(id: u32) -> [DirectoryChange; 2] {
        let token = [id as u8; 8];
        let add = DirectoryChange::AddToken {
            id: token,
            key: [0; 32],
            expires_at: 9,
        };
        let node = record(id);
        [add, DirectoryChange::Admit { token, node }]
    }

    #[test]
    fn the_file_gets_the_logs_nodes_and_keeps_its_addresses() {
        let new = after(&join(3));
        let of = |id: u32| new.nodes.iter().find(|n| n.id == id).unwrap();
        assert_eq!(
            of(2).addrs,
            [Some("10.0.0.22".to_owned())],
            "as in the file"
        );
        assert_eq!(of(3).addrs, [Some("10.0.0.3".to_owned())], "as in the log");
        assert_eq!(of(3).name.as_deref(), Some("node3"));
        assert_eq!(new.quorum.expected_votes, Some(3));
        assert!(new.quorum.two_node, "it counts again when two are left");
        assert!(differs(&read(FILE), &new) && !differs(&new, &new));
    }

    #[test]
    fn a_removed_node_takes_its_expected_vote_along() {
        let new = after(&[DirectoryChange::Remove { node: 2 }]);
        assert_eq!(new.nodes.len(), 1);
        assert_eq!(new.quorum.expected_votes, Some(1));
    }

    #[test]
    fn a_new_name_is_in_the_file() {
        let name = "other".to_owned();
        let new = after(&[DirectoryChange::Rename { node: 2, name }]);
        assert_eq!(new.nodes[1].name.as_deref(), Some("other"));
    }
}
