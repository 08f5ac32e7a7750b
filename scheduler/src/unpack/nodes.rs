//! `configuration/nodes`.

use crate::cluster::Cluster;
use crate::node::{Node, NodeKind};
use crate::options::section;
use crate::rule::{Facts, unpack_nvpairs};
use crate::score;
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
            let node = self.new_node(element, id, name);
            self.nodes.push(node);
        }
        self.nodes.sort_by(|a, b| cmp_names(&a.name, &b.name));
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
        attrs.insert("#is_dc".to_owned(), is_dc.to_string());
        let cluster_name = self.options.all.get("cluster-name");
        if let Some(cluster) = cluster_name {
            attrs.insert("#cluster-name".to_owned(), cluster.clone());
        }
        let facts = Facts::at(self.now);
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
            free: amounts(&capacity),
            running: Vec::new(),
            assigned_count: 0,
            priority: 0,
        }
    }
}
