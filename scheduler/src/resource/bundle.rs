//! Bundles: containers, their addresses and connections, and what runs inside
//! (Pacemaker pcmk_sched_bundle.c; Pacemaker Explained, "Containers: Bundles").

use crate::cluster::{ActId, Cluster, ColId, NodeId, RscId};
use crate::constraint::colocation::NewColocation;
use crate::constraint::{Location, relation};
use crate::resource::group::folded;
use crate::resource::{Role, Variant};
use crate::score::INFINITY;
use crate::scores::stage;

/// One copy of a bundle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replica {
    pub(crate) container: RscId,
    pub(crate) ip: Option<RscId>,
    pub(crate) remote: Option<RscId>,
    /// Instance of the clone of what runs inside.
    pub(crate) child: Option<RscId>,
    /// The node that the inside of the container is.
    pub(crate) node: Option<NodeId>,
}

impl Cluster<'_> {
    /// The bundle that a resource is part of.
    pub(crate) fn bundle_of(&self, rsc: RscId) -> Option<RscId> {
        let mut at = self.rscs[rsc].parent;
        while let Some(parent) = at {
            if self.rscs[parent].variant == Variant::Bundle {
                return Some(parent);
            }
            at = self.rscs[parent].parent;
        }
        None
    }

    /// The clone of what runs inside a bundle.
    pub(crate) fn bundled_clone(&self, bundle: RscId) -> Option<RscId> {
        let children = &self.rscs[bundle].children;
        children.iter().copied().find(|child| self.is_clone(*child))
    }

    /// What is counted as instances: clones' children, bundles' containers.
    pub(crate) fn instances_of(&self, rsc: RscId) -> Vec<RscId> {
        let r = &self.rscs[rsc];
        if r.variant == Variant::Bundle {
            r.replicas.iter().map(|replica| replica.container).collect()
        } else {
            r.children.clone()
        }
    }

    /// The replica that a container, or anything else, belongs to.
    fn replica_of(&self, rsc: RscId) -> Option<Replica> {
        let bundle = self.bundle_of(rsc)?;
        let replicas = &self.rscs[bundle].replicas;
        replicas.iter().copied().find(|r| {
            r.container == rsc || r.ip == Some(rsc) || r.remote == Some(rsc) || r.child == Some(rsc)
        })
    }

    /// What runs in a bundle's container.
    pub(crate) fn inside_of(&self, container: RscId) -> Option<RscId> {
        self.replica_of(container)
            .filter(|replica| replica.container == container)
            .and_then(|replica| replica.child)
    }

    /// The instance that runs, or would run, inside the bundle node.
    pub(crate) fn bundled_on(&self, bundle: RscId, node: NodeId) -> Option<RscId> {
        let replicas = &self.rscs[bundle].replicas;
        replicas.iter().find(|r| r.node == Some(node))?.child
    }

    /// Pacemaker pcmk_sched_bundle.c:pcmk__bundle_assign.
    pub(crate) fn assign_bundle(&mut self, bundle: RscId, prefer: Option<NodeId>, stop: bool) {
        let flags = self.rscs[bundle].flags;
        if flags.assigning {
            return;
        }
        // Asked again, Pacemaker goes through all of it again; only this is left to see.
        self.note_scores(stage::BUNDLE, bundle);
        if !flags.unassigned {
            self.reset_inside(bundle);
            return;
        }
        self.rscs[bundle].flags.assigning = true;
        // Containers first, so that it is known where the bundle will be.
        let containers = self.instances_of(bundle);
        let containers = self.merge_sort(containers, Self::compare_instances);
        if let Some(data) = self.rscs[bundle].clone {
            self.assign_instances(bundle, &containers, data.max, data.node_max);
        }
        for replica in self.rscs[bundle].replicas.clone() {
            self.assign_replica(replica, prefer, stop);
        }
        if let Some(clone) = self.reset_inside(bundle) {
            self.assign(clone, prefer, stop);
        }
        self.rscs[bundle].flags.assigning = false;
        self.rscs[bundle].flags.unassigned = false;
    }

    /// What is inside runs on the bundle's own nodes, each as good as the others.
    fn reset_inside(&mut self, bundle: RscId) -> Option<RscId> {
        let clone = self.bundled_clone(bundle)?;
        for node in self.rscs[clone].allowed.nodes() {
            let own = self.bundled_on(bundle, node).is_some();
            if let Some(weight) = self.rscs[clone].allowed.get_mut(node) {
                weight.score = if own { 0 } else { -INFINITY };
            }
        }
        Some(clone)
    }

    fn assign_replica(&mut self, replica: Replica, prefer: Option<NodeId>, stop: bool) {
        let host = self.rscs[replica.container].assigned;
        if let Some(ip) = replica.ip {
            self.assign(ip, prefer, stop);
        }
        if let Some(remote) = replica.remote {
            let nested = host.and_then(|host| self.nodes[host].connection);
            if let Some(connection) = nested {
                // Only one node may hold connections through another connection.
                self.new_colocation(internal(
                    "#replica-remote-with-host-remote",
                    remote,
                    connection,
                ));
            }
            self.assign(remote, prefer, stop);
        }
        let Some(child) = replica.child else {
            return;
        };
        for node in self.rscs[child].allowed.nodes() {
            let own = replica.node == Some(node);
            let failed = own && self.threshold_reached(child, node);
            if let Some(weight) = self.rscs[child].allowed.get_mut(node) {
                if !own {
                    weight.score = -INFINITY;
                } else if !failed {
                    weight.score = INFINITY;
                }
            }
        }
        self.settle(child, "bundle", "");
        if let Some(parent) = self.rscs[child].parent {
            self.rscs[parent].flags.assigning = true;
            self.assign(child, replica.node, stop);
            self.rscs[parent].flags.assigning = false;
        }
    }

    /// Pacemaker pcmk_sched_bundle.c:pcmk__bundle_create_actions.
    pub(crate) fn create_bundle_actions(&mut self, bundle: RscId) {
        for replica in self.rscs[bundle].replicas.clone() {
            let parts = [replica.ip, Some(replica.container), replica.remote];
            for part in parts.into_iter().flatten() {
                self.create_actions(part);
            }
        }
        self.create_instance_actions(bundle);
        let Some(clone) = self.bundled_clone(bundle) else {
            return;
        };
        self.create_actions(clone);
        if self.rscs[clone].flags.promotable {
            for task in ["promote", "promoted", "demote", "demoted"] {
                let id = self.pseudo_action(bundle, task, true, true);
                if task.ends_with('d') {
                    self.actions[id].priority = INFINITY;
                }
            }
        }
    }

    /// Pacemaker pcmk_sched_bundle.c:pcmk__bundle_internal_constraints.
    pub(crate) fn bundle_constraints(&mut self, bundle: RscId) {
        let (graphed, done) = (
            relation::THEN_IMPLIES_FIRST_GRAPHED,
            relation::FIRST_IMPLIES_THEN_GRAPHED,
        );
        if let Some(clone) = self.bundled_clone(bundle) {
            self.order_ops(bundle, "start", clone, "start", graphed);
            self.order_ops(clone, "running", bundle, "running", done);
            self.order_ops(bundle, "stop", clone, "stop", graphed);
            self.order_ops(clone, "stopped", bundle, "stopped", done);
            self.internal_constraints(clone);
            if self.rscs[clone].flags.promotable {
                self.order_promotable_restart(bundle);
                self.order_ops(bundle, "demote", clone, "demote", graphed);
                self.order_ops(clone, "demoted", bundle, "demoted", done);
                self.order_ops(bundle, "promote", clone, "promote", graphed);
                self.order_ops(clone, "promoted", bundle, "promoted", done);
            }
        }
        for replica in self.rscs[bundle].replicas.clone() {
            self.replica_constraints(bundle, replica);
        }
    }

    fn replica_constraints(&mut self, bundle: RscId, replica: Replica) {
        let (graphed, done) = (
            relation::THEN_IMPLIES_FIRST_GRAPHED,
            relation::FIRST_IMPLIES_THEN_GRAPHED,
        );
        let container = replica.container;
        self.internal_constraints(container);
        let blocks = relation::UNRUNNABLE_FIRST_BLOCKS;
        self.order_ops(bundle, "start", container, "start", blocks | graphed);
        if let Some(child) = replica.child {
            self.order_ops(bundle, "stop", child, "stop", graphed);
        }
        self.order_ops(bundle, "stop", container, "stop", graphed);
        self.order_ops(container, "start", bundle, "running", done);
        self.order_ops(container, "stop", bundle, "stopped", done);
        if let Some(ip) = replica.ip {
            self.internal_constraints(ip);
            let own = relation::INTERNAL;
            self.order_ops(ip, "start", container, "start", blocks | own);
            let kind = relation::THEN_IMPLIES_FIRST | own;
            self.order_ops(container, "stop", ip, "stop", kind);
            self.new_colocation(internal("#ip-with-container", ip, container));
        }
        if let Some(remote) = replica.remote {
            self.internal_constraints(remote);
        }
    }

    /// Pacemaker pcmk_sched_bundle.c:pcmk__bundle_apply_coloc_score.
    pub(crate) fn colocate_with_bundle(
        &mut self,
        dependent: RscId,
        bundle: RscId,
        col: ColId,
    ) -> i32 {
        if self.rscs[bundle].flags.unassigned {
            return 0;
        }
        let colocation = self.colocations[col].clone();
        let (score, role) = (colocation.score, colocation.primary_role);
        if self.rscs[colocation.dependent].variant > Variant::Group {
            // The dependent is an instance, and goes with one container.
            match self.compatible_instance(dependent, bundle, Role::Unknown, false) {
                Some(container) => return self.apply_colocation(dependent, container, col, true),
                None if score >= INFINITY => {
                    self.assign_resource(dependent, None, true, true);
                }
                None => {}
            }
            return 0;
        }
        let mut hosts = Vec::new();
        let mut delta = 0;
        for replica in self.rscs[bundle].replicas.clone() {
            if score < INFINITY {
                let more = self.apply_colocation(dependent, replica.container, col, false);
                delta = crate::score::add(delta, more);
                continue;
            }
            let promoted = replica
                .child
                .is_some_and(|child| self.rscs[child].next_role >= Role::Promoted);
            if let Some(host) = self.location_of(replica.container, false)
                && !self.is_blocked(replica.container)
                && (role < Role::Promoted || promoted)
            {
                hosts.push((host, 0));
            }
        }
        if score >= INFINITY {
            self.intersect_nodes(dependent, &hosts, false);
        }
        delta
    }

    /// Locations concern containers and addresses; those for a role what is inside, too
    /// (Pacemaker pcmk_sched_bundle.c:pcmk__bundle_apply_location).
    pub(crate) fn locate_bundle(&mut self, bundle: RscId, location: &Location) {
        for replica in self.rscs[bundle].replicas.clone() {
            self.apply_location(replica.container, location);
            if let Some(ip) = replica.ip {
                self.apply_location(ip, location);
            }
        }
        if location.role.is_some()
            && let Some(clone) = self.bundled_clone(bundle)
        {
            self.apply_location(clone, location);
        }
    }

    /// Pacemaker pcmk_sched_bundle.c:pcmk__bundle_create_probe.
    pub(crate) fn probe_bundle(&mut self, bundle: RscId, node: NodeId) -> bool {
        let mut any = false;
        let replicas = self.rscs[bundle].replicas.clone();
        let single = self.rscs[bundle].clone.is_none_or(|c| c.node_max <= 1);
        for replica in &replicas {
            if let Some(ip) = replica.ip {
                any |= self.create_probe(ip, node);
            }
            if let Some(child) = replica.child.filter(|_| replica.node == Some(node)) {
                any |= self.create_probe(child, node);
            }
            if self.create_probe(replica.container, node) {
                any = true;
                if single {
                    self.order_peers_after_probe(&replicas, replica.container);
                }
            }
            if let Some(remote) = replica.remote
                && self.create_probe(remote, node)
            {
                any = true;
                self.order_remote_probe(replica.container, remote, node);
            }
        }
        any
    }

    /// Two containers on one host would be in each other's way.
    fn order_peers_after_probe(&mut self, replicas: &[Replica], probed: RscId) {
        let kind = relation::ORDERED | relation::IF_ON_SAME_NODE;
        for other in replicas.iter().filter(|r| r.container != probed) {
            self.order_ops(probed, "monitor", other.container, "start", kind);
        }
    }

    /// Where a connection goes is known only when its container runs.
    fn order_remote_probe(&mut self, container: RscId, remote: RscId, node: NodeId) {
        let probe = self.find_actions(remote, "monitor", 0, Some(node));
        if let Some(probe) = probe.first() {
            let kind = relation::NESTED_REMOTE_PROBE;
            self.order_op_then(container, "start", *probe, kind);
        }
    }

    /// Flags of a bundle's action: those of what is inside, for what only that can do, else of
    /// the containers (Pacemaker pcmk_sched_bundle.c:pcmk__bundle_action_flags).
    pub(crate) fn bundle_action_flags(&mut self, id: ActId, node: Option<NodeId>) -> u16 {
        let Some(bundle) = self.actions[id].rsc else {
            return self.actions[id].flags;
        };
        let of_containers = matches!(folded(&self.actions[id].task), "start" | "stop");
        let inside = self.bundled_clone(bundle).filter(|_| !of_containers);
        let instances = match inside {
            Some(clone) => self.rscs[clone].children.clone(),
            None => self.instances_of(bundle),
        };
        self.collective_flags(id, &instances, node)
    }

    /// Graph parameter of a connection that goes where its container is
    /// (Pacemaker bundle.c:pe__add_bundle_remote_name).
    pub(crate) fn bundle_address(&self, rsc: RscId) -> Option<&str> {
        let replica = self.replica_of(rsc).filter(|r| r.remote == Some(rsc))?;
        let container = &self.rscs[replica.container];
        let node = container
            .assigned
            .or_else(|| self.current_node(replica.container))?;
        Some(&self.nodes[node].name)
    }
}

fn internal(id: &'static str, dependent: RscId, primary: RscId) -> NewColocation<'static> {
    NewColocation {
        id,
        node_attribute: None,
        score: INFINITY,
        dependent,
        primary,
        dependent_role: None,
        primary_role: None,
        influence: true,
        explicit: false,
    }
}
