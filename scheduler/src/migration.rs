//! Live migration: instead of stop and start, `migrate_to` and `migrate_from`
//! (Pacemaker pcmk_sched_migration.c; Pacemaker Explained, "Migrating Resources").

use crate::action::flag;
use crate::cluster::{ActId, Cluster, NodeId, RscId};
use crate::constraint::{Ordering, relation};

impl Cluster<'_> {
    /// Pacemaker pcmk_sched_migration.c:pcmk__rsc_can_migrate.
    pub(crate) fn can_migrate(&self, rsc: RscId, current: Option<NodeId>) -> bool {
        let r = &self.rscs[rsc];
        let clean = |node: Option<NodeId>| node.is_some_and(|node| !self.nodes[node].unclean);
        r.flags.migratable
            && r.flags.managed
            && !r.flags.failed
            && !r.flags.start_pending
            && clean(current)
            && clean(r.assigned)
    }

    /// Pacemaker pcmk_sched_migration.c:pcmk__create_migration_actions.
    pub(crate) fn create_migration_actions(&mut self, rsc: RscId, current: NodeId) {
        let Some(target) = self.rscs[rsc].assigned else {
            return;
        };
        let start = self.start_action(rsc, target, true);
        let stop = self.stop_action(rsc, current, true);
        let partial = self.rscs[rsc].partial_target.is_some();
        let to = (!partial).then(|| self.action(rsc, "migrate_to", 0, Some(current), true));
        let from = self.action(rsc, "migrate_from", 0, Some(target), true);
        self.actions[start].flags |= flag::MIGRATABLE | flag::PSEUDO;
        self.actions[stop].flags |= flag::MIGRATABLE;
        self.actions[from].flags |= flag::MIGRATABLE;
        let needs = self.actions[start].needs;
        let order = relation::ORDERED;
        let strict = order | relation::UNMIGRATABLE_THEN_BLOCKS;
        match to {
            Some(to) => {
                self.actions[to].flags |= flag::MIGRATABLE;
                self.actions[to].needs = needs;
                self.order_ops(rsc, "monitor", rsc, "migrate_to", order);
                self.order_ops(rsc, "migrate_to", rsc, "migrate_from", strict);
            }
            None => {
                self.actions[from].needs = needs;
                self.order_ops(rsc, "monitor", rsc, "migrate_from", order);
            }
        }
        self.order_ops(rsc, "migrate_from", rsc, "stop", strict);
        let kind = strict | relation::FIRST_ELSE_THEN;
        self.order_ops(rsc, "migrate_from", rsc, "start", kind);
        if let Some(to) = to {
            self.note_migration(to, current, target);
            if self.rscs[rsc].remote_name.is_none() {
                // The target must be known even when the source is lost meanwhile.
                let meta = &mut self.actions[to].meta;
                meta.insert("record-pending", "true");
            }
        }
        self.note_migration(from, current, target);
    }

    fn note_migration(&mut self, id: ActId, source: NodeId, target: NodeId) {
        for (name, node) in [("migrate_source", source), ("migrate_target", target)] {
            let value = self.nodes[node].name.clone();
            self.actions[id].meta.insert(name, value);
        }
    }

    /// The source of a migration that ended without a stop there
    /// (Pacemaker pcmk_sched_migration.c:pcmk__abort_dangling_migration).
    pub(crate) fn abort_dangling_migrations(&mut self, rsc: RscId) {
        for source in self.rscs[rsc].dangling.clone().into_iter().rev() {
            let stop = self.stop_action(rsc, source, false);
            self.actions[stop].flags |= flag::MIGRATION_ABORT;
            if self.options.remove_after_stop {
                self.schedule_cleanup(rsc, source, false);
            }
        }
    }

    /// Orderings hold for migrations, too
    /// (Pacemaker pcmk_sched_migration.c:pcmk__order_migration_equivalents).
    pub(crate) fn order_migration_equivalents(&mut self, order: &Ordering) {
        let (Some(first), Some(then)) = (order.first.rsc, order.then.rsc) else {
            return;
        };
        let (a, b) = (&self.rscs[first], &self.rscs[then]);
        let related = first == then || b.parent == Some(first) || a.parent == Some(then);
        if related || !(a.flags.migratable || b.flags.migratable) {
            return;
        }
        let (first_migrates, then_migrates) = (a.flags.migratable, b.flags.migratable);
        let partial = b.partial_target.is_some();
        let mut kind = relation::ORDERED;
        let pair = (order.first.task.as_str(), order.then.task.as_str());
        if !then_migrates {
            return;
        }
        match pair {
            ("start", "start") => {
                if first_migrates {
                    self.order_ops(first, "migrate_from", then, "migrate_to", kind);
                    kind |= relation::IF_FIRST_UNMIGRATABLE;
                }
                self.order_ops(first, "start", then, "migrate_to", kind);
            }
            ("stop", "stop") => {
                if first_migrates {
                    kind |= relation::IF_FIRST_UNMIGRATABLE;
                }
                self.order_ops(first, "stop", then, "migrate_to", kind);
                if partial {
                    self.order_ops(first, "stop", then, "migrate_from", kind);
                }
            }
            ("promote", "start") => self.order_ops(first, "promote", then, "migrate_to", kind),
            ("demote", "stop") => {
                self.order_ops(first, "demote", then, "migrate_to", kind);
                if partial {
                    self.order_ops(first, "demote", then, "migrate_from", kind);
                }
            }
            _ => {}
        }
    }
}
