//! Colocations at work: how where one resource is, or would like to be, moves another's scores
//! (Pacemaker pcmk_sched_colocation.c).

use crate::cluster::{Cluster, ColId, NodeId, RscId};
use crate::node::Table;
use crate::resource::{Role, Variant};
use crate::score::{self, INFINITY};

/// Marks a node as unusable while scores are merged.
const UNUSABLE: i32 = INFINITY * -100;

/// Longest chain of dependents that have a say in where their primary goes.
const MERGE_DEPTH_MAX: u32 = 300;

/// What a colocation changes now.
enum Affects {
    Nothing,
    Location,
    /// The promotion priority of an instance that has its node already.
    Role,
}

/// How dependents' scores are merged into a primary's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merge {
    /// Whose nodes the scores are merged into.
    target: RscId,
    /// Keep what would exclude every node out.
    pub(crate) active: bool,
    /// Never let a score fall below zero.
    pub(crate) nonnegative: bool,
    depth: u32,
}

impl Merge {
    pub(crate) fn new(target: RscId, active: bool, nonnegative: bool) -> Self {
        Self {
            target,
            active,
            nonnegative,
            depth: 0,
        }
    }

    fn deeper(self) -> Self {
        Self {
            active: true,
            depth: self.depth + 1,
            ..self
        }
    }
}

impl Cluster<'_> {
    /// Whether any node of a table may be used with a score that is not negative.
    pub(crate) fn any_available(&self, table: &Table) -> bool {
        table
            .iter()
            .any(|(node, weight)| weight.score >= 0 && self.nodes[node].available())
    }

    /// Applies a colocation to a dependent, once its primary has a place; answers what that
    /// adds to the dependent's promotion priority.
    pub(crate) fn apply_colocation(
        &mut self,
        dependent: RscId,
        primary: RscId,
        col: ColId,
        for_dependent: bool,
    ) -> i32 {
        if for_dependent {
            return match self.rscs[dependent].variant {
                Variant::Group => self.colocate_group(dependent, primary, col),
                _ => self.apply_colocation(dependent, primary, col, false),
            };
        }
        match self.rscs[primary].variant {
            Variant::Primitive => match self.colocation_affects(dependent, primary, col) {
                Affects::Nothing => 0,
                Affects::Location => {
                    self.apply_to_scores(dependent, primary, col);
                    0
                }
                Affects::Role => self.apply_to_priority(dependent, primary, col),
            },
            Variant::Group => self.colocate_with_group(dependent, primary, col),
            Variant::Clone => self.colocate_with_clone(dependent, primary, col),
            Variant::Bundle => self.colocate_with_bundle(dependent, primary, col),
        }
    }

    fn colocate_group(&mut self, group: RscId, primary: RscId, col: ColId) -> i32 {
        let mut delta = 0;
        if self.rscs[group].group_colocated {
            // The chain inside the group does the rest.
            if let Some(first) = self.rscs[group].children.first().copied() {
                delta = self.apply_colocation(first, primary, col, true);
                let priority = self.rscs[group].priority;
                self.rscs[group].priority = score::add(delta, priority);
            }
        } else if self.colocations[col].score < INFINITY {
            for member in self.rscs[group].children.clone() {
                let more = self.apply_colocation(member, primary, col, true);
                delta = score::add(delta, more);
            }
        } else {
            self.mandatory_with_loose_group(col);
        }
        delta
    }

    fn mandatory_with_loose_group(&mut self, col: ColId) {
        let id = self.colocations[col].id.clone();
        self.errors.push(format!(
            "rsc_colocation {id}: a group whose members are not together cannot be colocated mandatorily"
        ));
    }

    fn colocate_with_group(&mut self, dependent: RscId, group: RscId, col: ColId) -> i32 {
        if self.rscs[group].flags.unassigned {
            return 0;
        }
        let mut delta = 0;
        let mandatory = self.colocations[col].score >= INFINITY;
        let members = self.rscs[group].children.clone();
        if self.rscs[group].group_colocated {
            // All of the group must be there for a mandatory colocation.
            let member = if mandatory {
                members.last()
            } else {
                members.first()
            };
            if let Some(member) = member {
                delta = self.apply_colocation(dependent, *member, col, false);
            }
        } else if mandatory {
            self.mandatory_with_loose_group(col);
        } else {
            for member in members {
                let more = self.apply_colocation(dependent, member, col, false);
                delta = score::add(delta, more);
            }
        }
        delta
    }

    /// Pacemaker pcmk_sched_clone.c:pcmk__clone_apply_coloc_score.
    fn colocate_with_clone(&mut self, dependent: RscId, clone: RscId, col: ColId) -> i32 {
        if self.rscs[clone].flags.unassigned {
            return 0;
        }
        let colocation = &self.colocations[col];
        let (score, dependent_role) = (colocation.score, colocation.dependent_role);
        if self.rscs[clone].flags.promotable && colocation.primary_role != Role::Unknown {
            if self.rscs[dependent].flags.unassigned {
                self.colocate_with_promotable(dependent, clone, col);
                return 0;
            }
            if dependent_role == Role::Promoted {
                return self.promotable_dependent_priority(dependent, clone, col);
            }
        }
        if self.colocation_interleaves(col) {
            match self.compatible_instance(dependent, clone, Role::Unknown, false) {
                Some(instance) => return self.apply_colocation(dependent, instance, col, true),
                None if score >= INFINITY => {
                    self.assign_resource(dependent, None, true, true);
                }
                None => {}
            }
            return 0;
        }
        let instances = self.rscs[clone].children.clone();
        if score >= INFINITY {
            let nodes: Vec<(NodeId, i32)> = instances
                .iter()
                .filter(|instance| !self.is_blocked(**instance))
                .filter_map(|instance| Some((self.location_of(*instance, false)?, 0)))
                .collect();
            self.intersect_nodes(dependent, &nodes, false);
            return 0;
        }
        let mut delta = 0;
        for instance in instances {
            let more = self.apply_colocation(dependent, instance, col, false);
            delta = score::add(delta, more);
        }
        delta
    }

    /// Whether two nodes are the same place as far as a colocation is concerned.
    pub(crate) fn same_attribute(
        &self,
        col: ColId,
        dependent: (RscId, NodeId),
        primary: (RscId, NodeId),
    ) -> bool {
        let attribute = &self.colocations[col].node_attribute;
        let value = |(rsc, node)| self.colocation_attr(rsc, node, attribute);
        match (value(dependent), value(primary)) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            (None, None) => true,
            _ => false,
        }
    }

    /// Value of a node attribute as a resource's colocations see it.
    fn colocation_attr(&self, rsc: RscId, node: NodeId, attribute: &str) -> Option<&str> {
        self.node_attr(self.colocation_node(rsc, node)?, attribute)
    }

    /// The node whose attributes count in a resource's colocations. What is inside a bundle is
    /// placed with others by the containers' hosts: nothing else runs inside
    /// (Pacemaker pcmk_sched_colocation.c:pcmk__colocation_node_attr).
    fn colocation_node(&self, rsc: RscId, node: NodeId) -> Option<NodeId> {
        let inside = self.nodes[node].bundled && self.is_bundled(rsc);
        if inside || self.counts_at_host(rsc) {
            self.assigned_host_of(node)
        } else {
            Some(node)
        }
    }

    /// Whether it is, or is part of, what runs inside a bundle.
    fn is_bundled(&self, rsc: RscId) -> bool {
        self.bundle_of(rsc)
            .is_some_and(|bundle| self.bundled_clone(bundle) == Some(self.top_of(rsc)))
    }

    fn counts_at_host(&self, rsc: RscId) -> bool {
        let target = self.rscs[rsc].meta.get("container-attribute-target");
        target.is_some_and(|target| target.eq_ignore_ascii_case("host"))
    }

    fn assigned_host_of(&self, node: NodeId) -> Option<NodeId> {
        match self.container_of(node) {
            Some(container) => self.rscs[container].assigned,
            None => Some(node),
        }
    }

    /// The node whose attributes count for a resource on a node, if that is known
    /// (Pacemaker attrs.c:pcmk__node_attr).
    pub(crate) fn attribute_host(&self, rsc: RscId, node: NodeId) -> Option<NodeId> {
        if !self.counts_at_host(rsc) {
            return Some(node);
        }
        match self.container_of(node) {
            Some(container) if self.rscs[rsc].flags.unassigned => {
                self.rscs[container].active.first().copied()
            }
            _ => self.assigned_host_of(node),
        }
    }

    fn colocation_interleaves(&self, col: ColId) -> bool {
        let colocation = &self.colocations[col];
        let (Some(dependent), Some(primary)) = (
            self.rscs[colocation.dependent].clone,
            self.rscs[colocation.primary].clone,
        ) else {
            return false;
        };
        dependent.interleave && dependent.node_max == primary.node_max
    }

    fn colocation_affects(&self, dependent: RscId, primary: RscId, col: ColId) -> Affects {
        let colocation = &self.colocations[col];
        if self.rscs[primary].flags.unassigned {
            return Affects::Nothing;
        }
        // Roles are those of what is inside a container.
        let role_of = |rsc: RscId| self.inside_of(rsc).unwrap_or(rsc);
        let location_open = self.rscs[dependent].flags.unassigned;
        let (d, p) = (&self.rscs[role_of(dependent)], &self.rscs[role_of(primary)]);
        let promotable = d
            .parent
            .is_some_and(|parent| self.rscs[parent].flags.promotable);
        if colocation.dependent_role >= Role::Unpromoted && promotable && !d.flags.unassigned {
            return Affects::Role;
        }
        let differs = |wanted: Role, next: Role| wanted != Role::Unknown && wanted != next;
        if !location_open
            || differs(colocation.dependent_role, d.next_role)
            || differs(colocation.primary_role, p.next_role)
        {
            return Affects::Nothing;
        }
        Affects::Location
    }

    fn node_attr(&self, node: NodeId, attribute: &str) -> Option<&str> {
        self.nodes[node].attrs.get(attribute).map(String::as_str)
    }

    /// Pacemaker pcmk_sched_colocation.c:pcmk__apply_coloc_to_scores.
    fn apply_to_scores(&mut self, dependent: RscId, primary: RscId, col: ColId) {
        let colocation = &self.colocations[col];
        let (score, attribute) = (colocation.score, colocation.node_attribute.clone());
        let assigned = self.rscs[primary].assigned;
        if assigned.is_none() && score < 0 {
            return;
        }
        let value = assigned.and_then(|node| self.colocation_attr(primary, node, &attribute));
        let mut work = self.rscs[dependent].allowed.clone();
        for node in work.nodes() {
            let same = match (self.colocation_attr(dependent, node, &attribute), value) {
                (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
                (None, None) => true,
                _ => false,
            };
            let Some(weight) = work.get_mut(node) else {
                continue;
            };
            if assigned.is_none() {
                weight.score = score::add(-score, weight.score);
            } else if same {
                if score < INFINITY {
                    weight.score = score::add(score, weight.score);
                }
            } else if score >= INFINITY {
                weight.score = -INFINITY;
            }
        }
        if score.abs() >= INFINITY || self.any_available(&work) {
            self.note_colocation(dependent, primary, col);
            self.rscs[dependent].allowed = work;
        }
    }

    /// Pacemaker pcmk_sched_colocation.c:pcmk__apply_coloc_to_priority.
    fn apply_to_priority(&mut self, dependent: RscId, primary: RscId, col: ColId) -> i32 {
        let colocation = &self.colocations[col];
        let Some(at) = self.rscs[dependent].assigned else {
            return 0;
        };
        let with = self.rscs[primary].assigned;
        let role_of = self.inside_of(primary).unwrap_or(primary);
        if with.is_some()
            && colocation.primary_role != Role::Unknown
            && colocation.primary_role != self.rscs[role_of].next_role
        {
            return 0;
        }
        let attribute = &colocation.node_attribute;
        let value = with.and_then(|node| self.colocation_attr(primary, node, attribute));
        let same = self.colocation_attr(dependent, at, attribute) == value && value.is_some();
        let sign = if !same {
            if colocation.score != INFINITY || colocation.dependent_role != Role::Promoted {
                return 0;
            }
            -1
        } else if colocation.dependent_role == Role::Unpromoted {
            -1
        } else {
            1
        };
        let delta = sign * colocation.score;
        let priority = self.rscs[dependent].priority;
        self.rscs[dependent].priority = score::add(delta, priority);
        delta
    }

    /// Adds the preferences of a dependent to its primary's.
    pub(crate) fn add_dependent_scores(&mut self, primary: RscId, col: ColId) {
        if !self.has_influence(col, None) {
            return;
        }
        let merge = Merge::new(primary, true, self.is_clone(primary));
        let factor = score::factor(self.colocations[col].score);
        let dependent = self.colocations[col].dependent;
        let mut nodes = std::mem::take(&mut self.rscs[primary].allowed);
        // The table is looked at while it is merged into, so leave a copy in place.
        self.rscs[primary].allowed = nodes.clone();
        self.merge_scores(dependent, &mut nodes, col, factor, merge);
        self.rscs[primary].allowed = nodes;
    }

    /// Merges the scores of a resource, and of those that depend on it, into `nodes`
    /// (Pacemaker pcmk_sched_colocation.c:pcmk__add_colocated_node_scores).
    pub(crate) fn merge_scores(
        &mut self,
        source: RscId,
        nodes: &mut Table,
        col: ColId,
        factor: f32,
        merge: Merge,
    ) {
        if self.rscs[source].flags.merging || merge.depth >= MERGE_DEPTH_MAX {
            return;
        }
        if self.rscs[source].variant == Variant::Group {
            // The chain inside the group brings in the other members.
            let Some(first) = self.rscs[source].children.first().copied() else {
                return;
            };
            self.rscs[source].flags.merging = true;
            self.merge_scores(first, nodes, col, factor, merge);
            self.rscs[source].flags.merging = false;
            return;
        }
        self.rscs[source].flags.merging = true;
        let mut work = nodes.clone();
        self.add_matching_scores(&mut work, source, col, factor, merge);
        if self.any_available(&work) {
            let deeper = merge.deeper();
            for other in self.with_this_colocations(source) {
                if !self.has_influence(other, None) {
                    continue;
                }
                let factor = factor * self.colocations[other].score as f32 / INFINITY as f32;
                let dependent = self.colocations[other].dependent;
                self.merge_scores(dependent, &mut work, other, factor, deeper);
            }
        } else if merge.active {
            self.rscs[source].flags.merging = false;
            return;
        }
        if merge.nonnegative {
            for node in work.nodes() {
                if let Some(weight) = work.get_mut(node)
                    && weight.score == UNUSABLE
                {
                    weight.score = 1;
                }
            }
        }
        *nodes = work;
        self.rscs[source].flags.merging = false;
    }

    /// Merges the scores of what a resource is placed with into `nodes`.
    pub(crate) fn merge_primaries(
        &mut self,
        source: RscId,
        nodes: &mut Table,
        factor: f32,
        merge: Merge,
    ) {
        if self.rscs[source].flags.merging
            || merge.depth >= MERGE_DEPTH_MAX
            || !self.any_available(nodes)
        {
            return;
        }
        self.rscs[source].flags.merging = true;
        for col in self.this_with_colocations(source) {
            let colocation = &self.colocations[col];
            let factor = factor * colocation.score as f32 / INFINITY as f32;
            let mut primary = colocation.primary;
            if self.rscs[primary].variant == Variant::Group
                && let Some(first) = self.rscs[primary].children.first()
            {
                primary = *first;
            }
            if self.rscs[primary].flags.merging {
                continue;
            }
            let mut work = nodes.clone();
            self.add_matching_scores(&mut work, primary, col, factor, merge);
            if self.any_available(&work) {
                self.merge_primaries(primary, &mut work, factor, merge.deeper());
                *nodes = work;
            }
        }
        self.rscs[source].flags.merging = false;
    }

    fn add_matching_scores(
        &mut self,
        nodes: &mut Table,
        source: RscId,
        col: ColId,
        factor: f32,
        merge: Merge,
    ) {
        let only_positive = merge.nonnegative;
        let attribute = self.colocations[col].node_attribute.clone();
        for node in nodes.nodes() {
            let like = self.colocation_node(merge.target, node);
            let best = self.best_matching_score(col, source, &attribute, like);
            if factor < 0.0 && best < 0 {
                // That a dependent avoids a node is no reason to go there, unless it has no
                // other place.
                let colocation = &self.colocations[col];
                if self.rscs[colocation.primary].stickiness >= -best
                    || !self.has_influence(col, None)
                    || !self.allowed_on_one(colocation.dependent)
                {
                    continue;
                }
            }
            let Some(weight) = nodes.get_mut(node) else {
                continue;
            };
            if weight.score == UNUSABLE {
                continue;
            }
            let sum = score::add(score::scale(factor, best), weight.score);
            if only_positive && sum < 0 && weight.score > 0 {
                weight.score = UNUSABLE;
            } else if !(only_positive && sum < 0 && weight.score == 0) {
                weight.score = sum;
            }
        }
    }

    fn allowed_on_one(&self, rsc: RscId) -> bool {
        self.rscs[rsc]
            .allowed
            .iter()
            .filter(|(_, weight)| weight.score >= 0)
            .count()
            == 1
    }

    /// Best score of the source on nodes that have the same attribute value as this one.
    fn best_matching_score(
        &mut self,
        col: ColId,
        source: RscId,
        attribute: &str,
        like: Option<NodeId>,
    ) -> i32 {
        let colocation = &self.colocations[col];
        let parent = self.rscs[source].parent;
        let later_member = colocation.explicit
            && colocation.dependent == source
            && parent.is_some_and(|p| {
                self.rscs[p].variant == Variant::Group
                    && self.rscs[p].children.first() != Some(&source)
            });
        if !later_member {
            return self.best_score_in(source, attribute, like);
        }
        // The group's own locations were applied to its first member only.
        let original = self.rscs[source].allowed.clone();
        for index in 0..self.locations.len() {
            if Some(self.locations[index].rsc) == parent {
                let location = self.locations[index].clone();
                for (at, amount) in &location.nodes {
                    let base = self.nodes[*at].base_score;
                    self.rscs[source].allowed.add(*at, base, *amount);
                }
            }
        }
        let best = self.best_score_in(source, attribute, like);
        self.rscs[source].allowed = original;
        best
    }

    fn best_score_in(&self, rsc: RscId, attribute: &str, like: Option<NodeId>) -> i32 {
        let table = &self.rscs[rsc].allowed;
        let itself = !self.counts_at_host(rsc) && !self.is_bundled(rsc);
        if attribute == "#uname"
            && itself
            && let Some(node) = like
        {
            return match table.get(node) {
                Some(weight) if self.nodes[node].available() => weight.score.max(-INFINITY),
                _ => -INFINITY,
            };
        }
        let value = like.and_then(|node| self.node_attr(node, attribute));
        let mut best = -INFINITY;
        for (other, weight) in table.iter() {
            let same = match (self.colocation_attr(rsc, other, attribute), value) {
                (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
                (None, None) => true,
                _ => false,
            };
            if weight.score > best && same && self.nodes[other].available() {
                best = weight.score;
            }
        }
        best
    }
}
