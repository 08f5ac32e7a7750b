//! Status as unpacked, before anything is decided: what monitors show.

use crate::cluster::{Cluster, NodeId, RscId};
use crate::plan::{NodeStatus, OpFailure, ResourceStatus};
use crate::resource::{Role, Variant};

impl Cluster<'_> {
    /// Nodes in display order.
    pub(crate) fn node_status(&self) -> Vec<NodeStatus> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(id, node)| NodeStatus {
                id: node.id.clone(),
                name: node.name.clone(),
                online: node.online && !node.pending,
                pending: node.pending,
                // Without fencing a node that nothing speaks of is simply not there.
                unclean: node.unclean && (self.options.fencing || !node.unseen),
                standby: node.standby,
                standby_on_fail: node.standby_on_fail,
                maintenance: node.maintenance,
                shutdown: node.shutdown,
                is_dc: node.is_dc,
                resources_running: u32::try_from(node.running.len()).unwrap_or(u32::MAX),
                kind: self.node_kind(id).to_owned(),
                health: self.node_health(id),
                expected_up: node.expected_up,
                feature_set: self.feature_set(id),
                container: self.container_of(id).map(|c| self.rscs[c].id.clone()),
            })
            .collect()
    }

    /// Pacemaker pe_output.c:get_node_feature_set.
    fn feature_set(&self, node: NodeId) -> String {
        let numbers = |set: &str| -> Vec<u32> {
            let numbers = set.split('.').map(str::parse);
            numbers.map(Result::unwrap_or_default).collect()
        };
        let said = self.nodes[node].attrs.get("#feature-set");
        let of_cib = self.cib.attr("crm_feature_set");
        let of_cib = of_cib.filter(|set| numbers(set) >= numbers(FEATURE_SET_SAID_SINCE));
        match (said, of_cib) {
            (Some(said), _) => said.clone(),
            (None, Some(set)) => set.to_owned(),
            (None, None) => format!("<{FEATURE_SET_SAID_SINCE}"),
        }
    }

    /// Top-level resources by priority, as Pacemaker lists them; removed ones only while they run.
    pub(crate) fn resource_status(&self) -> Vec<ResourceStatus> {
        self.top
            .iter()
            .filter(|rsc| !self.is_hidden(**rsc))
            .map(|rsc| self.status_of(*rsc))
            .collect()
    }

    /// Removed, and running nowhere: nothing is left of it but its history.
    fn is_hidden(&self, rsc: RscId) -> bool {
        self.rscs[rsc].flags.removed && !self.is_active(rsc)
    }

    /// Failures of what [`Self::resource_status`] leaves out: they stand until they are cleaned up.
    pub(crate) fn leftover_failures(&self) -> Vec<OpFailure> {
        let around = |rsc| std::iter::successors(Some(rsc), |rsc: &RscId| self.rscs[*rsc].parent);
        let failed = self.failed_ops.iter();
        failed
            .filter(|failed| around(failed.rsc).any(|rsc| self.is_hidden(rsc)))
            .map(|failed| failed.failure.clone())
            .collect()
    }

    pub(crate) fn status_of(&self, rsc: RscId) -> ResourceStatus {
        let r = &self.rscs[rsc];
        let primitive = r.variant == Variant::Primitive;
        let role = match self.state_of(rsc, true) {
            Role::Started if self.rscs[self.top_of(rsc)].flags.promotable => Role::Unpromoted,
            Role::Unknown => Role::Stopped,
            role => role,
        };
        ResourceStatus {
            id: self.shown_id(rsc),
            kind: r.tag.to_owned(),
            agent: if primitive { agent(r) } else { String::new() },
            role: role.name().to_owned(),
            target_role: r.meta.get("target-role").cloned(),
            nodes: self
                .locations_of(rsc, true)
                .into_iter()
                .map(|node| self.nodes[node].name.clone())
                .collect(),
            active: self.is_active(rsc),
            orphaned: r.flags.removed,
            blocked: r.flags.blocked,
            managed: r.flags.managed,
            maintenance: r.flags.maintenance,
            failed: r.flags.failed,
            pending: self.pending_state(rsc),
            failures: self.failures_of(rsc),
            children: r
                .children
                .iter()
                .filter(|child| !self.is_hidden(**child))
                .map(|child| self.status_of(*child))
                .collect(),
            shown: self.shown(rsc),
        }
    }

    /// Interchangeable instances are shown without their number, except the clone's own
    /// children, whose numbers tell them apart.
    fn shown_id(&self, rsc: RscId) -> String {
        let r = &self.rscs[rsc];
        let child_of_clone = r.parent.is_some_and(|parent| self.is_clone(parent));
        if r.flags.unique || child_of_clone {
            r.id.clone()
        } else {
            r.xml_id.clone()
        }
    }

    fn pending_state(&self, rsc: RscId) -> Option<String> {
        let shown = match self.rscs[rsc].pending_action.as_deref()? {
            "start" => "Starting",
            "stop" => "Stopping",
            "migrate_to" | "migrate_from" => "Migrating",
            "promote" => "Promoting",
            "demote" => "Demoting",
            "monitor" => "Monitoring",
            _ => return None,
        };
        Some(shown.to_owned())
    }

    fn failures_of(&self, rsc: RscId) -> Vec<OpFailure> {
        let mut failures: Vec<OpFailure> = self
            .failed_ops
            .iter()
            .filter(|failed| failed.rsc == rsc)
            .map(|failed| failed.failure.clone())
            .collect();
        failures.sort_by_key(|failure| failure.last_rc_change);
        failures
    }
}

/// `class:provider:type`.
fn agent(r: &crate::resource::Resource) -> String {
    match &r.provider {
        Some(provider) => format!("{}:{provider}:{}", r.class, r.kind),
        None => format!("{}:{}", r.class, r.kind),
    }
}

/// Nodes have told their feature set in an attribute since this one.
const FEATURE_SET_SAID_SINCE: &str = "3.15.1";
