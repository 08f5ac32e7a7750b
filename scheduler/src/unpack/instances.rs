//! Which resource a history entry speaks of: interchangeable instances are not told apart there.

use crate::cluster::{Cluster, NodeId, RscId};
use crate::resource::Variant;
use crate::text::base_id;

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
        for child in self.rscs[clone].children.clone() {
            if found.is_some() {
                break;
            }
            let mut locations = self.locations_of(child, true);
            if locations.is_empty() {
                locations.extend(self.pending_nodes(child));
            }
            if locations.contains(&node) {
                found = self.in_instance(child, id);
                if found.is_some_and(|rsc| !self.rscs[rsc].active.is_empty()) {
                    // Told-apart instances of the past: those after the first are too many.
                    skip_inactive = true;
                    found = None;
                }
            } else if locations.is_empty()
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
