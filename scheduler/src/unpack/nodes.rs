//! `configuration/nodes`.

use crate::cluster::Cluster;
use crate::expand::is_remote_connection;
use crate::node::{Node, NodeKind};
use crate::options::section;
use crate::rule::{Facts, unpack_nvpairs};
use crate::score::{self, INFINITY};
use crate::text::cmp_names;
use crate::utilization::amounts;
use cib::Element;
use std::collections::BTreeMap;

impl Cluster<'_> {
    /// Makes the nodes, sorted for display (Pacemaker unpack.c:unpack_nodes).
    pub(crate) fn unpack_nodes(&mut self) {
        let Some(section) = section(self.cib, "nodes") else {
            return;
        };
        for element in section.all("node") {
            let (Some(id), Some(name)) = (element.id(), element.attr("uname")) else {
                self.errors
                    .push("node: ignored, because it lacks id or uname".to_owned());
                continue;
            };
            if self.nodes.iter().any(|n| n.id == id) {
                self.errors.push(format!(
                    "node {name}: ignored, because its id {id} is taken"
                ));
                continue;
            }
            if !self.admits_node() {
                return;
            }
            let node = self.new_node(element, id, name);
            self.nodes.push(node);
        }
        self.unpack_remote_nodes();
        self.nodes.sort_by(|a, b| cmp_names(&a.name, &b.name));
    }

    /// Nodes that resources connect to (Pacemaker unpack.c:unpack_remote_nodes). Those of
    /// bundles may run nothing but their bundle.
    fn unpack_remote_nodes(&mut self) {
        let Some(resources) = crate::options::section(self.cib, "resources") else {
            return;
        };
        self.unpack_configured_remotes(resources);
        self.unpack_removed_remotes();
    }

    /// Nodes whose connections are in the history only
    /// (Pacemaker unpack.c:create_fake_resource).
    fn unpack_removed_remotes(&mut self) {
        let status = self.status;
        let entries = status
            .iter()
            .flat_map(|status| status.all("node_state"))
            .filter_map(|state| state.first("lrm")?.first("lrm_resources"))
            .flat_map(|all| all.all("lrm_resource"));
        for entry in entries {
            let attr = |name: &str| entry.attr(name).unwrap_or("");
            let connects =
                (attr("class"), attr("provider"), attr("type")) == ("ocf", "pacemaker", "remote");
            let Some(name) = entry.id().filter(|_| connects) else {
                continue;
            };
            // What has become another resource since is no connection any more.
            let configured = section(self.cib, "resources");
            if configured.is_some_and(|all| all.children.iter().any(|r| r.id() == Some(name))) {
                continue;
            }
            if !self.nodes.iter().any(|n| n.name == name) {
                if !self.admits_node() {
                    return;
                }
                let element = Element::new("node").with("type", "remote");
                let mut node = self.new_node(&element, name, name);
                node.to_come = true;
                self.nodes.push(node);
            }
        }
    }

    fn unpack_configured_remotes(&mut self, resources: &Element) {
        for child in &resources.children {
            let bundled = child.name == "bundle";
            let replicas = child.all("replica").flat_map(|r| &r.children);
            let members = child.all("primitive");
            for connection in std::iter::once(child).chain(members).chain(replicas) {
                if !is_remote_connection(connection) {
                    continue;
                }
                let Some(name) = connection.id() else {
                    continue;
                };
                let known = self.nodes.iter().position(|n| n.name == name);
                if known.is_none() && !self.admits_node() {
                    return;
                }
                let node = known.unwrap_or_else(|| {
                    let element = Element::new("node").with("type", "remote");
                    let node = self.new_node(&element, name, name);
                    self.nodes.push(node);
                    self.nodes.len() - 1
                });
                if bundled {
                    self.nodes[node].base_score = -INFINITY;
                    self.nodes[node].to_come = known.is_none();
                    self.nodes[node].bundled = true;
                }
            }
        }
    }

    fn new_node(&self, element: &Element, id: &str, name: &str) -> Node {
        let kind = match element.attr("type") {
            Some("remote") => NodeKind::Remote,
            Some("ping") => NodeKind::Ping,
            _ => NodeKind::Member,
        };
        let is_dc = self.cib.attr("dc-uuid") == Some(id);
        let mut attrs = BTreeMap::new();
        attrs.insert("#uname".to_owned(), name.to_owned());
        attrs.insert("#id".to_owned(), id.to_owned());
        let shown = match kind {
            NodeKind::Remote => "remote",
            _ => "cluster",
        };
        attrs.insert("#kind".to_owned(), shown.to_owned());
        attrs.insert("#is_dc".to_owned(), is_dc.to_string());
        let cluster_name = self.options.all.get("cluster-name");
        if let Some(cluster) = cluster_name {
            attrs.insert("#cluster-name".to_owned(), cluster.clone());
        }
        let facts = self.facts();
        unpack_nvpairs(
            self.cib,
            &[element],
            "instance_attributes",
            &facts,
            &mut attrs,
        );
        if let Some(site) = attrs.get("site-name").or(cluster_name).cloned() {
            attrs.insert("#site-name".to_owned(), site);
        }
        let mut capacity = BTreeMap::new();
        let facts = Facts {
            node_attrs: Some(&attrs),
            ..facts
        };
        unpack_nvpairs(self.cib, &[element], "utilization", &facts, &mut capacity);
        Node {
            id: id.to_owned(),
            name: name.to_owned(),
            kind,
            base_score: element.attr("score").and_then(score::parse).unwrap_or(0),
            attrs,
            online: false,
            pending: false,
            // Until its state is seen, a node may be up unnoticed.
            unclean: kind == NodeKind::Member && self.options.startup_fencing,
            standby: false,
            standby_on_fail: false,
            maintenance: false,
            shutdown: false,
            expected_up: false,
            is_dc,
            unpacked: false,
            connection: None,
            remote_reset: false,
            guest: false,
            unseen: kind == NodeKind::Member,
            was_fenced: false,
            discovery: true,
            to_come: false,
            bundled: false,
            free: amounts(&capacity),
            running: Vec::new(),
            assigned_count: 0,
            priority: 0,
        }
    }
}
