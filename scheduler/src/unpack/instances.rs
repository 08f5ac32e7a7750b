//! Instances of clones, and which of them a history entry speaks of: interchangeable ones are not
//! told apart there.

use crate::cluster::{Cluster, NodeId, RscId};
use crate::resource::{CloneData, Variant};
use crate::score;
use crate::text::{base_id, is_true};
use cib::Element;

impl Cluster<'_> {
    /// Pacemaker unpack.c:unpack_find_resource.
    pub(super) fn resource_of_history(&mut self, node: NodeId, id: &str) -> Option<RscId> {
        let found = match self.by_id.get(id).copied() {
            Some(rsc) if self.rscs[rsc].variant != Variant::Primitive => return None,
            Some(rsc) => rsc,
            None => {
                let first = format!("{}:0", base_id(id));
                let rsc = self.by_id.get(&first).copied()?;
                if self.rscs[rsc].flags.unique || self.rscs[rsc].variant != Variant::Primitive {
                    return None;
                }
                rsc
            }
        };
        let top = self.top_of(found);
        let rsc = if let Some(bundle) = self.rscs[top]
            .parent
            .filter(|_| self.is_anonymous_clone(top))
        {
            self.bundled_on(bundle, node)?
        } else if self.is_anonymous_clone(top) {
            self.anonymous_instance(node, top, base_id(id))?
        } else {
            found
        };
        if self.rscs[rsc].id != id {
            self.rscs[rsc].history_id = Some(id.to_owned());
        }
        Some(rsc)
    }

    /// The primitive called `id` in an instance of a clone.
    pub(crate) fn in_instance(&self, instance: RscId, id: &str) -> Option<RscId> {
        if self.rscs[instance].xml_id == id {
            return Some(instance);
        }
        self.rscs[instance]
            .children
            .iter()
            .find_map(|child| self.in_instance(*child, id))
    }

    /// The instance a node's history speaks of: one active there, else a free one, else a new
    /// one that counts as removed (Pacemaker unpack.c:find_anonymous_clone).
    fn anonymous_instance(&mut self, node: NodeId, clone: RscId, id: &str) -> Option<RscId> {
        let mut found = None;
        let mut inactive = None;
        let mut skip_inactive = false;
        for child in self.rscs[clone].children.iter().copied() {
            if found.is_some() {
                break;
            }
            let (here, anywhere) = self.seen_on(child, node);
            if here {
                found = self.in_instance(child, id);
                if found.is_some_and(|rsc| !self.rscs[rsc].active.is_empty()) {
                    // Told-apart instances of the past: those after the first are too many.
                    skip_inactive = true;
                    found = None;
                }
            } else if !anywhere
                && !skip_inactive
                && inactive.is_none()
                && !self.rscs[child].flags.blocked
            {
                inactive = self.in_instance(child, id).filter(|rsc| {
                    self.rscs[*rsc]
                        .pending_node
                        .is_none_or(|pending| pending == node)
                });
            }
        }
        if found.is_none() && !skip_inactive {
            found = inactive;
        }
        let distrusted = !self.nodes[node].alive();
        if found.is_some_and(|rsc| !self.rscs[rsc].flags.needs_fencing)
            && distrusted
            && !self.is_universal_clone(clone)
        {
            found = None;
        }
        found.or_else(|| {
            let element = *self.rscs[clone].sources.first()?;
            let instance = self.add_clone_instance(clone, element)?;
            self.mark_instance_removed(instance);
            self.in_instance(instance, id)
        })
    }

    fn mark_instance_removed(&mut self, rsc: RscId) {
        self.rscs[rsc].flags.removed = true;
        for child in self.rscs[rsc].children.clone() {
            self.mark_instance_removed(child);
        }
    }

    /// Whether an instance is active, or about to be, on this node, and anywhere.
    fn seen_on(&self, instance: RscId, node: NodeId) -> (bool, bool) {
        let r = &self.rscs[instance];
        if r.variant == Variant::Primitive && !r.active.is_empty() {
            return (r.active.contains(&node), true);
        }
        let mut locations = self.locations_of(instance, true);
        if locations.is_empty() {
            locations = self.pending_nodes(instance);
        }
        (locations.contains(&node), !locations.is_empty())
    }

    fn pending_nodes(&self, rsc: RscId) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.rscs[rsc].pending_node.into_iter().collect();
        for child in &self.rscs[rsc].children {
            nodes.extend(self.pending_nodes(*child));
        }
        nodes
    }

    /// It has an instance for every node.
    fn is_universal_clone(&self, clone: RscId) -> bool {
        self.rscs[clone]
            .clone
            .is_some_and(|data| data.max as usize >= self.nodes.len())
    }
}

impl<'a> Cluster<'a> {
    /// Makes a clone's instances (Pacemaker clone.c:clone_unpack).
    pub(super) fn unpack_clone(&mut self, rsc: RscId, element: &'a Element) {
        let meta = self.rscs[rsc].meta.clone();
        // What is below 0, or no number, is 0: it does not stand for the default.
        let number = |names: &[&str]| {
            let value = names.iter().find_map(|name| meta.get(*name))?;
            let value = score::leading_integer(value).unwrap_or(0).max(0);
            Some(u32::try_from(value).unwrap_or(u32::MAX))
        };
        let unique = self.rscs[rsc].flags.unique;
        let members = self.nodes.iter().filter(|n| !n.to_come).count().max(1);
        let default_max = u32::try_from(members).unwrap_or(CLONE_MAX_LIMIT);
        let max = number(&["clone-max"]).unwrap_or(default_max);
        if max > CLONE_MAX_LIMIT {
            self.errors.push(format!(
                "clone {}: clone-max {max} is cut to {CLONE_MAX_LIMIT}",
                self.rscs[rsc].id
            ));
        }
        let node_max = number(&["clone-node-max"]).unwrap_or(1);
        let data = CloneData {
            max: max.min(CLONE_MAX_LIMIT),
            node_max: if unique { node_max } else { node_max.min(1) },
            promoted_max: number(&["promoted-max", "master-max"]).unwrap_or(1),
            promoted_node_max: number(&["promoted-node-max", "master-node-max"]).unwrap_or(1),
            ordered: is_true(meta.get("ordered").map(String::as_str)),
            interleave: is_true(meta.get("interleave").map(String::as_str)),
            total: 0,
        };
        self.rscs[rsc].clone = Some(data);
        // Instances do not move without a reason.
        let stickiness = self.rscs[rsc].meta.entry("resource-stickiness".to_owned());
        stickiness.or_insert_with(|| "1".to_owned());
        // Even a clone without instances has one, removed, for the history to refer to.
        let mut made = 0;
        // A member may have made the clone anonymous, and with that smaller.
        while made < self.rscs[rsc].clone.map_or(0, |data| data.max).max(1) {
            made += 1;
            if self.add_clone_instance(rsc, element).is_none() {
                let id = self.rscs[rsc].id.clone();
                self.errors
                    .push(format!("clone {id}: it has nothing to clone"));
                return;
            }
        }
    }

    /// One more instance; beyond `clone-max` it counts as removed
    /// (Pacemaker clone.c:pe__create_clone_child).
    pub(crate) fn add_clone_instance(
        &mut self,
        clone: RscId,
        element: &'a Element,
    ) -> Option<RscId> {
        let data = self.rscs[clone].clone?;
        let child = element
            .children
            .iter()
            .find(|c| matches!(c.name.as_str(), "primitive" | "group"))?;
        let instance = self.unpack_resource(child, Some(clone), Some(data.total))?;
        self.rscs[clone].children.push(instance);
        if let Some(clone) = self.rscs[clone].clone.as_mut() {
            clone.total += 1;
        }
        if data.total >= data.max {
            self.mark_removed(instance);
        }
        Some(instance)
    }

    fn mark_removed(&mut self, rsc: RscId) {
        self.rscs[rsc].flags.removed = true;
        for child in self.rscs[rsc].children.clone() {
            self.mark_removed(child);
        }
    }

    /// A clone with a member whose agent cannot tell instances apart is anonymous
    /// (Pacemaker native.c:native_unpack, clone.c:pe__force_anon).
    pub(super) fn force_anonymous(&mut self, rsc: RscId) {
        let top = self.top_of(rsc);
        if can_be_unique(&self.rscs[rsc].class)
            || !self.is_clone(top)
            || !self.rscs[top].flags.unique
        {
            return;
        }
        self.warnings.push(format!(
            "clone {}: anonymous, because the agent of {} knows nothing of instances",
            self.rscs[top].id, self.rscs[rsc].id
        ));
        let nodes = u32::try_from(self.nodes.iter().filter(|n| !n.to_come).count());
        if let Some(data) = &mut self.rscs[top].clone {
            data.node_max = 1;
            data.max = data.max.min(nodes.unwrap_or(u32::MAX));
        }
        let mut pending = vec![top];
        // The instance that is being made is not among the clone's children yet.
        pending.extend(self.rscs[rsc].parent);
        while let Some(at) = pending.pop() {
            let r = &mut self.rscs[at];
            r.flags.unique = false;
            r.meta
                .insert("globally-unique".to_owned(), "false".to_owned());
            pending.extend(&self.rscs[at].children);
        }
    }
}

/// Only OCF and fence agents can run several told-apart instances
/// (Pacemaker agents.c:pcmk_get_ra_caps).
pub(super) fn can_be_unique(class: &str) -> bool {
    ["ocf", "stonith"]
        .iter()
        .any(|known| class.eq_ignore_ascii_case(known))
}

/// Most instances a clone is expanded to; what a configuration asks beyond is cut.
const CLONE_MAX_LIMIT: u32 = 1024;
