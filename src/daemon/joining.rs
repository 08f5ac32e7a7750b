//! Nodes that come, go and change their names at run time: tokens, joins, removals, as log entries.

use super::app::{App, now_s};
use super::requests::{Reply, error, rejected};
use super::roster::conf_for;
use crate::conf::{is_node_name, load_authkey, nobody_reaches};
use crate::ipc::{ErrorKind, Response};
use crate::join::{JoinRequest, JoinToken, Welcome};
use crate::replica::{DirectoryChange, LoggedDirectory, NodeRecord, Standing};
use crate::transport::JoinCall;
use std::net::{IpAddr, Ipv4Addr};
use tokio::sync::oneshot;
use wire::{NodeId, VersionRange};

impl App {
    /// Machines are listened to while a token is open.
    pub(super) fn open_desk(&self) {
        let now = now_s();
        let tokens = self.replica.directory().tokens().iter();
        let open = tokens.filter(|(_, t)| t.used_by.is_none() && t.expires_at > now);
        self.desk.set_open(open.map(|(id, t)| (*id, t.key)));
    }

    pub(super) fn create_token(&mut self, valid_s: u32, reply: Reply) {
        let token = JoinToken::draw();
        let valid_s = valid_s.clamp(TOKEN_S_MIN, TOKEN_S_MAX);
        let change = DirectoryChange::AddToken {
            id: token.id,
            key: token.key(),
            expires_at: now_s() + i64::from(valid_s),
        };
        let text = token.text().to_string();
        self.change_directory(change, then_say(reply, text));
    }

    /// A machine with a token wants in. It is given nothing before the log says that it is a node.
    pub(super) fn on_join(&mut self, call: JoinCall) {
        let JoinCall {
            token,
            request,
            reply,
        } = call;
        let node = match self.newcomer(&request) {
            Ok(node) => node,
            Err(why) => return drop(reply.send(Err(why))),
        };
        let logged = self.logged(DirectoryChange::Admit {
            token,
            node: node.clone(),
        });
        let path = self.paths.corosync_conf();
        let after = self.replica.directory().after(&logged);
        let conf = after
            .map_err(|rejection| rejection.text)
            .and_then(|after| conf_for(&path, &after));
        let conf = match conf {
            Ok(conf) => conf,
            Err(why) => return drop(reply.send(Err(why))),
        };
        tracing::info!(node = node.name, id = node.id, "a machine joins by a token");
        let (authkey, cluster_name) = (self.paths.authkey(), self.conf.cluster_name.clone());
        let (ended, committed) = oneshot::channel();
        tokio::spawn(async move {
            let answer = match committed.await {
                Ok(Response::Changed { .. }) => match load_authkey(&authkey) {
                    Ok(key) => Ok(Welcome {
                        node_id: node.id,
                        cluster_name,
                        conf,
                        authkey: key.to_vec(),
                    }),
                    Err(error) => Err(error.to_string()),
                },
                Ok(Response::Error { text, .. }) => Err(text),
                _ => Err("the node that was asked is stopping: ask another one".to_owned()),
            };
            // The machine may have gone: the token is used all the same.
            let _ = reply.send(answer);
        });
        self.propose_for(ended, Self::new_op(), logged.encode());
    }

    /// The node that a machine would be, or why it cannot be one.
    fn newcomer(&self, request: &JoinRequest) -> Result<NodeRecord, String> {
        let theirs = request.versions;
        let ours = (
            VersionRange::OURS
                .min
                .max(self.replica.directory().min_version()),
            VersionRange::OURS.max,
        );
        if theirs.1 < ours.0 || theirs.0 > ours.1 {
            return Err(format!(
                "it speaks versions {} to {} of the protocol, this cluster {} to {}: install a version of mainstay that both have",
                theirs.0, theirs.1, ours.0, ours.1
            ));
        }
        let addrs: Result<Vec<IpAddr>, _> = request.addrs.iter().map(|a| a.parse()).collect();
        let addrs = addrs.map_err(|_| "its addresses are none".to_owned())?;
        let links = self.conf.links.len();
        if addrs.is_empty() || addrs.len() > links {
            return Err(format!(
                "a node of this cluster has 1 to {links} addresses, one per link, and {} were given",
                addrs.len()
            ));
        }
        if let Some(why) = addrs.iter().find_map(|a| nobody_reaches(*a)) {
            return Err(why);
        }
        if !is_node_name(&request.name) {
            return Err(format!("`{}` is no name for a node", request.name));
        }
        let addrs: Vec<_> = addrs.iter().map(|a| Some(a.to_string())).collect();
        let known = self.node_records().into_iter();
        let mut known = known.filter(|n| n.name == request.name && n.addrs == addrs);
        let id = match known.next() {
            Some(node) if self.is_member(NodeId(node.id)) => {
                return Err(format!("{} is in the cluster already", node.name));
            }
            Some(node) => node.id,
            None => self.free_id(&addrs),
        };
        Ok(NodeRecord {
            id,
            name: request.name.clone(),
            addrs,
            votes: 1,
        })
    }

    /// An id that no node has or ever had: the next one, or, where ids are made of addresses, the
    /// one that corosync would make.
    fn free_id(&self, addrs: &[Option<String>]) -> u32 {
        let directory = self.replica.directory();
        let taken = |id: u32| {
            let listed = self.conf.nodes.iter().any(|n| n.id == id);
            let seen = self.replica.standings().of(id).is_some();
            listed || seen || directory.nodes().contains_key(&id) || directory.was_removed(id)
        };
        let of_address = |n: &crate::conf::NodeConf| n.id > COUNTED_ID_MAX;
        let address = addrs
            .iter()
            .flatten()
            .find_map(|a| a.parse::<Ipv4Addr>().ok());
        let made = address.map(|a| u32::from(a) & 0x7fff_ffff);
        if let Some(made) = made.filter(|id| !taken(*id) && *id != 0)
            && self.conf.nodes.iter().any(of_address)
        {
            return made;
        }
        (1..=COUNTED_ID_MAX).find(|id| !taken(*id)).unwrap_or(0)
    }

    fn is_member(&self, node: NodeId) -> bool {
        let members = &self.standing.view.members;
        members.iter().any(|m| m.identity.node == node)
    }

    /// A node goes for good.
    pub(super) fn remove_node(&mut self, name: &str, force: bool, reply: Reply) {
        let node = match self.may_remove(name, force) {
            Ok(node) => node,
            Err((kind, text)) => return drop(reply.send(error(kind, &text))),
        };
        let text = format!(
            "{name} is no node of this cluster any more. Empty its disk before it comes near the cluster again: mainstay store reset --yes-lose-state there, and remove its corosync.conf and authkey"
        );
        let change = DirectoryChange::Remove { node: node.0 };
        self.change_directory(change, then_say(reply, text));
    }

    fn may_remove(&self, name: &str, force: bool) -> Result<NodeId, (ErrorKind, String)> {
        let Some(node) = self.peers.by_name(name) else {
            let text = format!("no node is called `{name}`: `crm node show` lists them");
            return Err((ErrorKind::NotFound, text));
        };
        if node == self.me.node {
            let text = format!("{name} is this node: ask another one to remove it");
            return Err((ErrorKind::Invalid, text));
        }
        if force {
            return Ok(node);
        }
        if self.is_member(node) {
            let text = format!("{name} is online: stop mainstayd there first, then repeat this");
            return Err((ErrorKind::Invalid, text));
        }
        if matches!(
            self.replica.standings().of(node.0),
            Some(Standing::Member(_))
        ) {
            let text = format!(
                "{name} was lost without a goodbye, and nobody knows what still runs there: make sure that it is off, then repeat this with --force"
            );
            return Err((ErrorKind::Invalid, text));
        }
        Ok(node)
    }

    /// A node that is off gets another name.
    pub(super) fn rename_node(&mut self, old: &str, name: String, reply: Reply) {
        let refusal = match self.peers.by_name(old) {
            None => Some((ErrorKind::NotFound, format!("no node is called `{old}`"))),
            Some(_) if !is_node_name(&name) => Some((
                ErrorKind::Invalid,
                format!("`{name}` is no name for a node"),
            )),
            Some(node) if node == self.me.node || self.is_member(node) => Some((
                ErrorKind::Invalid,
                format!("{old} is online: stop mainstayd there, and ask another node to rename it"),
            )),
            Some(_) => None,
        };
        if let Some((kind, text)) = refusal {
            return drop(reply.send(error(kind, &text)));
        }
        let node = self.peers.by_name(old).map_or(0, |n| n.0);
        let text = format!("{old} is called {name} from now on");
        let change = DirectoryChange::Rename { node, name };
        self.change_directory(change, then_say(reply, text));
    }

    fn logged(&self, change: DirectoryChange) -> LoggedDirectory {
        LoggedDirectory::new(now_s(), self.node_records(), change)
    }

    /// Checks here what the log would refuse anyway, then proposes.
    pub(super) fn change_directory(&mut self, change: DirectoryChange, reply: Reply) {
        let logged = self.logged(change);
        if let Err(rejection) = self.replica.directory().after(&logged) {
            return drop(reply.send(rejected(&rejection)));
        }
        self.propose_for(reply, Self::new_op(), logged.encode());
    }
}

/// An answer in words, once the log has what was asked for.
pub(super) fn then_say(reply: Reply, text: String) -> Reply {
    let (inner, answer) = oneshot::channel();
    tokio::spawn(async move {
        let response = match answer.await {
            Ok(Response::Changed { .. }) => Response::Done { text },
            Ok(other) => other,
            Err(_) => return,
        };
        // Whoever asked may have gone.
        let _ = reply.send(response);
    });
    inner
}

/// Ids up to here were counted, those above it made of an address.
const COUNTED_ID_MAX: u32 = 65_535;
/// Shortest and longest life of a join token, in seconds: a minute, a week.
const TOKEN_S_MIN: u32 = 60;
const TOKEN_S_MAX: u32 = 7 * 24 * 60 * 60;
