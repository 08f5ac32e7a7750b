//! Shutdown locks: what ran on a node that was shut down waits for it
//! (Pacemaker pcmk_sched_primitive.c:pcmk__primitive_shutdown_lock; Pacemaker Explained,
//! "shutdown-lock").

use crate::cluster::{Cluster, NodeId, RscId};
use crate::resource::Variant;
use crate::score::INFINITY;
use cib::Element;

impl Cluster<'_> {
    /// A lock the history remembers (Pacemaker unpack.c:unpack_shutdown_lock).
    pub(crate) fn unpack_lock(&mut self, rsc: RscId, node: NodeId, entry: &Element) {
        let since: i64 = entry
            .attr("shutdown-lock")
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        if !self.options.shutdown_lock || since == 0 {
            return;
        }
        let limit_s = self.lock_limit_s();
        if limit_s > 0 && self.now > since.saturating_add(limit_s) {
            self.forget_history(rsc, node);
        } else {
            self.rscs[rsc].lock = Some((node, since));
        }
    }

    fn lock_limit_s(&self) -> i64 {
        i64::try_from(self.options.shutdown_lock_limit_ms / 1000).unwrap_or(i64::MAX)
    }

    /// Deletes what a node's history says of a resource.
    fn forget_history(&mut self, rsc: RscId, node: NodeId) {
        self.action(rsc, "lrm_delete", 0, Some(node), false);
    }

    /// Locks what a node that leaves runs, and keeps locked resources from other nodes.
    pub(crate) fn apply_shutdown_locks(&mut self) {
        if !self.options.shutdown_lock {
            return;
        }
        for rsc in self.top.clone() {
            self.lock_resource(rsc);
        }
    }

    fn lock_resource(&mut self, rsc: RscId) {
        match self.rscs[rsc].variant {
            Variant::Group => {
                for member in self.rscs[rsc].children.clone() {
                    self.lock_resource(member);
                }
                return;
            }
            Variant::Clone | Variant::Bundle => return,
            Variant::Primitive => {}
        }
        let r = &self.rscs[rsc];
        if r.flags.fence_device || r.remote_name.is_some() {
            return;
        }
        if let Some((node, _)) = r.lock {
            if !r.active.is_empty() {
                self.forget_history(rsc, node);
                self.rscs[rsc].lock = None;
            }
        } else if let [node] = r.active[..]
            && self.nodes[node].shutdown
            && !self.nodes[node].unclean
        {
            let since = self.nodes[node]
                .attrs
                .get("shutdown")
                .and_then(|text| text.trim().parse().ok())
                .filter(|since| *since != 0)
                .unwrap_or(self.now);
            self.rscs[rsc].lock = Some((node, since));
        }
        let Some((locked, since)) = self.rscs[rsc].lock else {
            return;
        };
        let limit_s = self.lock_limit_s();
        if limit_s > 0 {
            self.recheck(since.saturating_add(limit_s).saturating_add(1));
        }
        let held = self.nodes[locked].name.clone();
        for node in (0..self.nodes.len()).filter(|node| *node != locked) {
            self.ban(rsc, node, "shutdown-lock", &held);
        }
        self.note_score(rsc, locked, INFINITY, "shutdown-lock", "shutdown-lock");
    }
}
