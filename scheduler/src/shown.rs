//! What a display of the status needs beside the status itself: crm_simulate(8) shows clones,
//! bundles and single resources by rules that look at more than role and place.

use crate::cluster::{Cluster, NodeId, RscId};
use crate::node::NodeKind;
use crate::resource::{Role, Variant};
use serde::{Deserialize, Serialize};

/// How a resource is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Id with instance number, which [`crate::ResourceStatus::id`] leaves out where it does not
    /// matter.
    pub name: String,
    /// Id by which the history knows an interchangeable instance.
    pub history_name: Option<String>,
    /// The cluster made it for another one's sake, and shows it on request only.
    pub internal: bool,
    /// It, or the clone it is in, has a promoted role.
    pub promotable: bool,
    /// Its instances can be told apart.
    pub unique: bool,
    /// It shall not run, or not be promoted where it could be.
    pub disabled: bool,
    /// A failure was ignored, as asked (`on-fail=ignore`).
    pub failure_ignored: bool,
    /// Every part of it is active.
    pub fully_active: bool,
    /// The node it counts as active on, and whether that is lost: neither online nor fenced.
    pub place: Option<(String, bool)>,
    /// The node it is locked to while that is down (`shutdown-lock`).
    pub locked_to: Option<String>,
    /// Probes that failed: node and exit code.
    pub failed_probes: Vec<(String, i32)>,
    /// Of clones: `clone-max`.
    pub instances_max: u32,
    /// Of clones: nodes where an instance may be, or was looked for, and none is.
    pub idle_nodes: Vec<String>,
    /// Of clones: id of what is cloned.
    pub cloned: String,
    /// Of bundles: the container's image.
    pub image: String,
    /// Of bundles: `docker`, `podman`.
    pub container_kind: String,
    /// Of bundles: what a line is shown of.
    pub replicas: Vec<ShownReplica>,
}

/// How a replica of a bundle is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownReplica {
    /// `httpd-bundle-0`, with its address where it has one: `httpd-bundle-0 (192.168.122.131)`.
    pub name: String,
    /// What runs inside, or the container where nothing is said of that.
    pub inner: Box<crate::plan::ResourceStatus>,
    /// Its parts in their order: address, inside, container, connection.
    pub parts: Vec<crate::plan::ResourceStatus>,
    /// As [`Shown::place`], of the container.
    pub place: Option<(String, bool)>,
}

impl Cluster<'_> {
    /// What only a display needs.
    pub(crate) fn shown(&self, rsc: RscId) -> Shown {
        let r = &self.rscs[rsc];
        let names =
            |nodes: Vec<NodeId>| nodes.iter().map(|n| self.nodes[*n].name.clone()).collect();
        let mut sources = r.sources.iter();
        let container = sources.find_map(|s| s.first("docker").or_else(|| s.first("podman")));
        Shown {
            name: r.id.clone(),
            history_name: r.history_id.clone(),
            internal: r.meta.get("internal_resource").is_some_and(|v| v == "true"),
            promotable: self.rscs[self.top_of(rsc)].flags.promotable,
            unique: r.flags.unique,
            disabled: self.is_disabled(rsc),
            failure_ignored: r.flags.ignore_failure,
            fully_active: self.is_fully_active(rsc),
            place: self.shown_place(rsc),
            locked_to: r.lock.map(|(node, _)| self.nodes[node].name.clone()),
            failed_probes: self.failed_probes(rsc),
            instances_max: r.clone.map_or(0, |clone| clone.max),
            idle_nodes: match r.variant {
                Variant::Clone => names(self.idle_nodes(rsc)),
                _ => Vec::new(),
            },
            cloned: match r.variant {
                Variant::Clone => r.children.first().map(|c| self.rscs[*c].xml_id.clone()),
                _ => None,
            }
            .unwrap_or_default(),
            image: container
                .and_then(|c| c.attr("image"))
                .unwrap_or_default()
                .to_owned(),
            container_kind: container.map(|c| c.name.to_string()).unwrap_or_default(),
            replicas: self.shown_replicas(rsc),
        }
    }

    /// Pacemaker complex.c:pe__resource_is_disabled.
    fn is_disabled(&self, rsc: RscId) -> bool {
        let role = self.rscs[rsc].meta.get("target-role");
        match role.and_then(|text| Role::parse(text)) {
            Some(Role::Stopped) => true,
            Some(Role::Unpromoted) => self.rscs[self.top_of(rsc)].flags.promotable,
            _ => false,
        }
    }

    fn is_fully_active(&self, rsc: RscId) -> bool {
        let r = &self.rscs[rsc];
        match r.variant {
            Variant::Primitive => self.is_active(rsc),
            _ => r.children.iter().all(|child| self.is_fully_active(*child)),
        }
    }

    fn shown_place(&self, rsc: RscId) -> Option<(String, bool)> {
        if self.rscs[rsc].variant != Variant::Primitive {
            return None;
        }
        let node = &self.nodes[self.current_node(rsc)?];
        Some((node.name.clone(), !node.online && node.unclean))
    }

    /// Pacemaker complex.c:pe__failed_probe_for_rsc. Instances answer for each other.
    fn failed_probes(&self, rsc: RscId) -> Vec<(String, i32)> {
        let id = &self.rscs[rsc].xml_id;
        let of = |failed: &crate::cluster::FailedOp| {
            let other = &self.rscs[failed.rsc];
            let clone = other.parent.filter(|parent| self.is_clone(*parent));
            other.xml_id == *id || clone.is_some_and(|c| self.rscs[c].xml_id == *id)
        };
        let found = self.failed_ops.iter();
        let found = found.filter(|failed| failed.failure.is_masked_probe() && of(failed));
        found
            .map(|failed| (failed.failure.node.clone(), failed.failure.rc))
            .collect()
    }

    /// Where an instance may run, or was looked for where nothing says that it may
    /// (Pacemaker clone.c:pe__clone_default).
    fn idle_nodes(&self, clone: RscId) -> Vec<NodeId> {
        let r = &self.rscs[clone];
        let mut nodes = r.allowed.nodes();
        if nodes.is_empty() {
            nodes.clone_from(&r.known_on);
            for child in &r.children {
                nodes.extend(&self.rscs[*child].known_on);
            }
            nodes.sort_unstable();
            nodes.dedup();
        }
        let taken = self.locations_of(clone, true);
        nodes.retain(|node| !taken.contains(node));
        nodes
    }

    fn shown_replicas(&self, bundle: RscId) -> Vec<ShownReplica> {
        let replicas = self.rscs[bundle].replicas.iter();
        let shown = replicas.map(|replica| {
            let name = &self.rscs[replica.remote.unwrap_or(replica.container)].id;
            let address = replica.ip.and_then(|ip| self.parameter(ip, "ip"));
            let parts = [
                replica.ip,
                replica.child,
                Some(replica.container),
                replica.remote,
            ];
            ShownReplica {
                name: match address {
                    Some(address) => format!("{name} ({address})"),
                    None => name.clone(),
                },
                inner: Box::new(self.status_of(replica.child.unwrap_or(replica.container))),
                parts: parts
                    .into_iter()
                    .flatten()
                    .map(|p| self.status_of(p))
                    .collect(),
                place: self.shown_place(replica.container),
            }
        });
        shown.collect()
    }

    fn parameter(&self, rsc: RscId, name: &str) -> Option<&str> {
        let sources = self.rscs[rsc].sources.iter();
        let sets = sources.flat_map(|s| s.all("instance_attributes"));
        let mut pairs = sets.flat_map(|set| set.all("nvpair"));
        pairs.find(|p| p.attr("name") == Some(name))?.attr("value")
    }

    /// As [`crate::NodeStatus::kind`].
    pub(crate) fn node_kind(&self, node: NodeId) -> &'static str {
        match self.nodes[node].kind {
            NodeKind::Remote if self.container_of(node).is_some() => "guest",
            NodeKind::Remote => "remote",
            NodeKind::Member | NodeKind::Ping => "member",
        }
    }

    /// 1 = green, 0 = yellow, -1 = red (Pacemaker pe_health.c:pe__node_health).
    pub(crate) fn node_health(&self, node: NodeId) -> i32 {
        let strategy = self.options.all.get("node-health-strategy");
        if strategy.is_none_or(|strategy| strategy == "none") {
            return 1;
        }
        let attrs = self.nodes[node].attrs.iter();
        let healths = attrs.filter(|(name, _)| name.starts_with("#health"));
        let scores = healths.map(|(_, value)| match value.to_ascii_lowercase().as_str() {
            "red" => -1,
            "yellow" => 0,
            "green" => 1,
            other => crate::score::parse(other).unwrap_or(0).signum(),
        });
        scores.min().unwrap_or(1)
    }
}
