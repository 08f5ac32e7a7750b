//! Remote and guest nodes: which resource connects to them, and what that says of their state
//! (Pacemaker unpack.c:link_rsc2remotenode, determine_remote_online_status; Pacemaker Remote).

use crate::cluster::{Cluster, NodeId, RscId};
use crate::expand::is_remote_connection;
use crate::node::NodeKind;
use crate::resource::Role;
use crate::text::{parse_bool, parse_ms};
use cib::Element;

impl<'a> Cluster<'a> {
    /// Links connections with their nodes, and resources with what contains them.
    pub(crate) fn link_remotes(&mut self) {
        for rsc in 0..self.rscs.len() {
            self.link_container(rsc);
        }
        for rsc in 0..self.rscs.len() {
            if self.rscs[rsc].remote_name.is_some() {
                self.link_connection(rsc);
            }
        }
    }

    fn link_container(&mut self, rsc: RscId) {
        let Some(name) = self.rscs[rsc].meta.get("container").cloned() else {
            return;
        };
        // Only what names a container itself is inside, not its instances' parents.
        if name == self.rscs[rsc].xml_id || !self.is_primitive(rsc) {
            return;
        }
        match self.by_id.get(&name).copied() {
            Some(container) => {
                self.rscs[rsc].container = Some(container);
                self.rscs[container].fillers.push(rsc);
            }
            None => self.errors.push(format!(
                "{}: its container {name} does not exist",
                self.rscs[rsc].id
            )),
        }
    }

    fn link_connection(&mut self, rsc: RscId) {
        let Some(node) = self.find_node(&self.rscs[rsc].id.clone()) else {
            return;
        };
        let startup_fencing = self.options.startup_fencing;
        let guest = self.rscs[rsc].container.is_some();
        let n = &mut self.nodes[node];
        n.connection = Some(rsc);
        let kind = if guest { "container" } else { "remote" };
        n.attrs.insert("#kind".to_owned(), kind.to_owned());
        if !guest {
            n.unclean = startup_fencing;
            n.unseen = true;
        }
        n.guest = guest;
    }

    /// A connection that is configured no more: its node goes down.
    pub(super) fn link_removed_connection(&mut self, rsc: RscId, entry: &Element) {
        let attr = |name: &str| entry.attr(name).unwrap_or("");
        if (attr("class"), attr("provider"), attr("type")) != ("ocf", "pacemaker", "remote") {
            return;
        }
        let name = self.rscs[rsc].id.clone();
        self.rscs[rsc].remote_name = Some(name.clone());
        if let Some(node) = self.find_node(&name)
            && self.nodes[node].kind == NodeKind::Remote
            && self.nodes[node].connection.is_none()
        {
            self.link_connection(rsc);
            self.nodes[node].shutdown = true;
        }
    }

    /// What contained a removed connection may stand behind it in the history
    /// (Pacemaker unpack.c:handle_removed_launched_resources).
    pub(super) fn link_removed_container(&mut self, entry: &Element) {
        let find = |id: Option<&str>| self.by_id.get(id?).copied();
        let (Some(rsc), Some(container)) = (find(entry.id()), find(entry.attr("container"))) else {
            return;
        };
        let r = &self.rscs[rsc];
        let both_removed = r.flags.removed && self.rscs[container].flags.removed;
        if !both_removed || r.container.is_some() || rsc == container {
            return;
        }
        self.rscs[rsc].container = Some(container);
        self.rscs[container].fillers.push(rsc);
        let connects = |n: &crate::node::Node| n.connection == Some(rsc);
        if let Some(node) = self.nodes.iter_mut().find(|n| connects(n)) {
            node.attrs
                .insert("#kind".to_owned(), "container".to_owned());
            (node.guest, node.unclean, node.unseen) = (true, false, false);
        }
    }

    /// What a resource is, as far as connections are concerned.
    pub(crate) fn unpack_connection(&mut self, rsc: RscId) {
        let element = self.rscs[rsc].sources[0];
        if !is_remote_connection(element) {
            return;
        }
        self.rscs[rsc].remote_name = Some(self.rscs[rsc].id.clone());
        let reconnect = self.params(rsc, None).remove("reconnect_interval");
        let reconnect_ms = reconnect.as_deref().and_then(parse_ms).unwrap_or(0);
        let r = &mut self.rscs[rsc];
        r.reconnect_ms = reconnect_ms;
        if reconnect_ms > 0 {
            r.failure_timeout_ms = reconnect_ms;
        }
        let contained = r.meta.contains_key("container");
        if !contained && !r.meta.contains_key("allow-migrate") {
            r.flags.migratable = true;
        }
    }

    /// Histories in rounds: what runs on remote nodes can be told only once it is known that
    /// their connections are up (Pacemaker unpack.c:unpack_node_history).
    pub(crate) fn unpack_histories(&mut self, states: &[(NodeId, &'a Element)]) {
        loop {
            let mut progress = false;
            for (node, state) in states {
                if !self.nodes[*node].unpacked && self.history_is_due(*node) {
                    self.unpack_history_of(*node, state);
                    progress = true;
                }
            }
            if !progress {
                break;
            }
        }
        if self.options.fencing {
            for (node, state) in states {
                if !self.nodes[*node].unpacked {
                    self.unpack_history_of(*node, state);
                }
            }
        }
        for container in std::mem::take(&mut self.stop_needed) {
            if let Some(node) = self.current_node(container) {
                self.stop_action(container, node, false);
            }
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node].kind != NodeKind::Remote {
                continue;
            }
            if self.nodes[node].shutdown
                && let Some(connection) = self.nodes[node].connection
            {
                self.set_next_role(connection, Role::Stopped);
            }
            if !self.nodes[node].unpacked {
                self.determine_remote_online(node);
            }
        }
    }

    fn unpack_history_of(&mut self, node: NodeId, state: &'a Element) {
        self.nodes[node].unpacked = true;
        if self.nodes[node].kind == NodeKind::Remote {
            self.determine_remote_online(node);
            self.unpack_remote_attributes(node, state);
        }
        self.unpack_node_history(node, state);
    }

    fn history_is_due(&self, node: NodeId) -> bool {
        let n = &self.nodes[node];
        let options = &self.options;
        if n.kind != NodeKind::Remote {
            return options.fencing || options.shutdown_lock || n.online;
        }
        let Some(connection) = n.connection else {
            return false;
        };
        let up = |rsc: RscId| self.rscs[rsc].role == Role::Started;
        match self.rscs[connection].container {
            Some(container) => up(connection) && up(container),
            None => options.shutdown_lock || up(connection),
        }
    }

    /// Pacemaker unpack.c:determine_remote_online_status.
    fn determine_remote_online(&mut self, node: NodeId) {
        let Some(connection) = self.nodes[node].connection else {
            self.nodes[node].online = false;
            return;
        };
        let r = &self.rscs[connection];
        let container = r.container.map(|c| &self.rscs[c]);
        let host = match (container, &r.active[..]) {
            (Some(_), [host]) => Some(&self.nodes[*host]),
            _ => None,
        };
        let (mut online, mut reset) = (self.nodes[node].online, self.nodes[node].remote_reset);
        let mut shutdown = false;
        if r.role == Role::Started {
            online = true;
            shutdown = r.next_role == Role::Stopped;
        }
        if container.is_some_and(|c| c.flags.failed) {
            (online, reset) = (false, true);
        } else if r.flags.failed {
            online = false;
        } else if r.role == Role::Stopped || container.is_some_and(|c| c.role == Role::Stopped) {
            (online, reset) = (false, false);
        } else if host.is_some_and(|host| !host.online && host.unclean) {
            (online, reset) = (false, true);
        }
        let n = &mut self.nodes[node];
        n.online = online;
        n.remote_reset = reset;
        n.shutdown |= shutdown;
    }

    /// Pacemaker unpack.c:unpack_handle_remote_attrs.
    fn unpack_remote_attributes(&mut self, node: NodeId, state: &'a Element) {
        if !self.nodes[node].remote_reset {
            self.nodes[node].unclean = false;
            self.nodes[node].unseen = false;
        }
        self.unpack_transient_attributes(node, state);
        let managed = self.nodes[node]
            .connection
            .is_none_or(|connection| self.rscs[connection].flags.managed);
        let fencing = self.options.fencing;
        let n = &mut self.nodes[node];
        let shutdown = n.attrs.get("shutdown").is_some_and(|value| value != "0");
        n.shutdown |= shutdown;
        n.maintenance |= !managed;
        let discovery = n.attrs.get("resource-discovery-enabled");
        let off = parse_bool(discovery.map(String::as_str)) == Some(false);
        if off && !n.guest && fencing {
            n.discovery = false;
        }
    }
}
