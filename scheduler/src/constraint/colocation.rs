//! `rsc_colocation`: unpacking, and which colocations concern a resource.

use super::{Colocation, relation};
use crate::cluster::{Cluster, ColId, RscId};
use crate::resource::{Role, Variant};
use crate::score::{self, INFINITY};
use crate::text::parse_bool;
use cib::Element;
use std::cmp::Ordering;

/// A colocation to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewColocation<'s> {
    pub(crate) id: &'s str,
    pub(crate) node_attribute: Option<&'s str>,
    pub(crate) score: i32,
    pub(crate) dependent: RscId,
    pub(crate) primary: RscId,
    pub(crate) dependent_role: Option<&'s str>,
    pub(crate) primary_role: Option<&'s str>,
    pub(crate) influence: bool,
    pub(crate) explicit: bool,
}

impl Cluster<'_> {
    /// Pacemaker pcmk_sched_colocation.c:pcmk__unpack_colocation.
    pub(crate) fn unpack_colocation(&mut self, id: &str, element: &Element) {
        let Some(score) = element.attr("score").map_or(Some(0), score::parse) else {
            self.errors.push(format!(
                "rsc_colocation {id}: ignored, because its score is none"
            ));
            return;
        };
        if element.first("resource_set").is_some() {
            self.unpack_colocation_sets(id, element, score);
            return;
        }
        let (Some(dependent), Some(primary)) = (
            self.constraint_resource(id, element.attr("rsc")),
            self.constraint_resource(id, element.attr("with-rsc")),
        ) else {
            return;
        };
        self.new_colocation(NewColocation {
            id,
            node_attribute: element.attr("node-attribute"),
            score,
            dependent,
            primary,
            dependent_role: element.attr("rsc-role"),
            primary_role: element.attr("with-rsc-role"),
            influence: self.influence(element, dependent),
            explicit: true,
        });
    }

    fn influence(&self, element: &Element, dependent: RscId) -> bool {
        parse_bool(element.attr("influence")).unwrap_or(self.rscs[dependent].flags.critical)
    }

    fn unpack_colocation_sets(&mut self, id: &str, element: &Element, score: i32) {
        let mut last: Option<(Vec<RscId>, &Element)> = None;
        for set in element.all("resource_set") {
            let mut members = Vec::new();
            for reference in set.all("resource_ref") {
                let Some(rsc) = self.constraint_resource(id, reference.id()) else {
                    return;
                };
                members.push(rsc);
            }
            self.colocate_within_set(element, set, &members, score);
            if let Some((earlier, earlier_set)) = &last {
                // The earlier set depends on the later one.
                self.colocate_sets(id, element, (earlier, earlier_set), (&members, set), score);
            }
            last = Some((members, set));
        }
    }

    fn colocate_within_set(
        &mut self,
        element: &Element,
        set: &Element,
        members: &[RscId],
        score: i32,
    ) {
        if parse_bool(set.attr("sequential")) == Some(false) {
            return;
        }
        let score = set.attr("score").and_then(score::parse).unwrap_or(score);
        let listed = set
            .attr("ordering")
            .is_some_and(|ordering| !ordering.eq_ignore_ascii_case("group"));
        let role = set.attr("role");
        let mut pairs = Vec::new();
        for (index, member) in members.iter().enumerate() {
            if score < 0 {
                // Nobody may be with anybody before.
                pairs.extend(members[..index].iter().map(|earlier| (*member, *earlier)));
            } else if index > 0 && listed {
                pairs.push((members[index - 1], *member));
            } else if index > 0 {
                pairs.push((*member, members[index - 1]));
            }
        }
        for (dependent, primary) in pairs {
            self.new_colocation(NewColocation {
                id: set.id().unwrap_or("set"),
                node_attribute: None,
                score,
                dependent,
                primary,
                dependent_role: role,
                primary_role: role,
                influence: self.influence(element, dependent),
                explicit: true,
            });
        }
    }

    fn colocate_sets(
        &mut self,
        id: &str,
        element: &Element,
        dependents: (&[RscId], &Element),
        primaries: (&[RscId], &Element),
        score: i32,
    ) {
        let sequential = |set: &Element| parse_bool(set.attr("sequential")) != Some(false);
        let pick = |(members, set): (&[RscId], &Element), last: bool| -> Vec<RscId> {
            if !sequential(set) {
                return members.to_vec();
            }
            let member = if last {
                members.last()
            } else {
                members.first()
            };
            member.copied().into_iter().collect()
        };
        let primaries_picked = pick(primaries, true);
        for dependent in pick(dependents, false) {
            for primary in &primaries_picked {
                self.new_colocation(NewColocation {
                    id,
                    node_attribute: element.attr("node-attribute"),
                    score,
                    dependent,
                    primary: *primary,
                    dependent_role: dependents.1.attr("role"),
                    primary_role: primaries.1.attr("role"),
                    influence: self.influence(element, dependent),
                    explicit: true,
                });
            }
        }
    }

    /// Pacemaker pcmk_sched_colocation.c:pcmk__new_colocation.
    pub(crate) fn new_colocation(&mut self, new: NewColocation) {
        if new.score == 0 || new.dependent == new.primary {
            return;
        }
        let role = |text: Option<&str>| match text.map(Role::parse) {
            None | Some(Some(Role::Started)) => Some(Role::Unknown),
            Some(role) => role,
        };
        let (Some(dependent_role), Some(primary_role)) =
            (role(new.dependent_role), role(new.primary_role))
        else {
            self.errors.push(format!(
                "rsc_colocation {}: ignored, because a role is none",
                new.id
            ));
            return;
        };
        let col = self.colocations.len();
        self.colocations.push(Colocation {
            id: new.id.to_owned(),
            score: new.score,
            dependent: new.dependent,
            primary: new.primary,
            dependent_role,
            primary_role,
            node_attribute: new.node_attribute.unwrap_or("#uname").to_owned(),
            influence: new.influence,
            explicit: new.explicit,
        });
        let mut list = std::mem::take(&mut self.rscs[new.dependent].this_with);
        self.insert_this_with(&mut list, col);
        self.rscs[new.dependent].this_with = list;
        let mut list = std::mem::take(&mut self.rscs[new.primary].with_this);
        self.insert_with_this(&mut list, col);
        self.rscs[new.primary].with_this = list;
        if new.score <= -INFINITY {
            self.order_apart((new.dependent, dependent_role), (new.primary, primary_role));
            self.order_apart((new.primary, primary_role), (new.dependent, dependent_role));
        }
    }

    /// What must not be together even for a moment leaves before the other comes
    /// (Pacemaker pcmk_sched_colocation.c:anti_colocation_order).
    fn order_apart(&mut self, first: (RscId, Role), then: (RscId, Role)) {
        let leave: &[&str] = match first.1 {
            Role::Promoted => &["demote"],
            Role::Unpromoted => &["stop", "promote"],
            _ => &["stop"],
        };
        let come: &[&str] = match then.1 {
            Role::Promoted => &["promote"],
            Role::Unpromoted => &["start", "demote"],
            _ => &["start"],
        };
        for first_task in leave {
            for then_task in come {
                let kind = relation::IF_REQUIRED_ON_SAME_NODE;
                self.order_ops(first.0, first_task, then.0, then_task, kind);
            }
        }
    }

    fn insert_this_with(&self, list: &mut Vec<ColId>, col: ColId) {
        let key = |col: ColId| self.colocations[col].primary;
        self.insert_sorted(list, col, key);
    }

    fn insert_with_this(&self, list: &mut Vec<ColId>, col: ColId) {
        let key = |col: ColId| self.colocations[col].dependent;
        self.insert_sorted(list, col, key);
    }

    /// Before the first that is not smaller, as GLib's sorted insert does it.
    fn insert_sorted(&self, list: &mut Vec<ColId>, col: ColId, key: impl Fn(ColId) -> RscId) {
        let at = list
            .iter()
            .position(|other| self.by_preference(key(col), key(*other)) != Ordering::Greater)
            .unwrap_or(list.len());
        list.insert(at, col);
    }

    /// Higher priority, then higher variant, then promotable, then id.
    fn by_preference(&self, a: RscId, b: RscId) -> Ordering {
        let (a, b) = (&self.rscs[a], &self.rscs[b]);
        b.priority
            .cmp(&a.priority)
            .then_with(|| b.variant.cmp(&a.variant))
            .then_with(|| {
                if a.variant == Variant::Clone {
                    b.flags.promotable.cmp(&a.flags.promotable)
                } else {
                    Ordering::Equal
                }
            })
            .then_with(|| a.id.cmp(&b.id))
    }

    /// Colocations in which this resource is the dependent, inherited ones included.
    pub(crate) fn this_with_colocations(&self, rsc: RscId) -> Vec<ColId> {
        let mut list = Vec::new();
        self.collect_this_with(rsc, rsc, &mut list);
        list
    }

    /// Colocations in which this resource is the primary, inherited ones included.
    pub(crate) fn with_this_colocations(&self, rsc: RscId) -> Vec<ColId> {
        let mut list = Vec::new();
        self.collect_with_this(rsc, rsc, &mut list);
        list
    }

    fn merge_this_with(&self, list: &mut Vec<ColId>, more: &[ColId]) {
        if list.is_empty() {
            list.extend_from_slice(more);
            return;
        }
        for col in more {
            self.insert_this_with(list, *col);
        }
    }

    fn merge_with_this(&self, list: &mut Vec<ColId>, more: &[ColId]) {
        if list.is_empty() {
            list.extend_from_slice(more);
            return;
        }
        for col in more {
            self.insert_with_this(list, *col);
        }
    }

    fn collect_this_with(&self, rsc: RscId, orig: RscId, list: &mut Vec<ColId>) {
        let r = &self.rscs[rsc];
        match r.variant {
            Variant::Primitive if rsc != orig => {
                for col in &r.this_with {
                    if self.colocations[*col].explicit {
                        self.insert_this_with(list, *col);
                    }
                }
            }
            Variant::Primitive => {
                self.merge_this_with(list, &r.this_with);
                if let Some(parent) = r.parent {
                    self.collect_this_with(parent, orig, list);
                }
            }
            Variant::Group => self.collect_group_this_with(rsc, orig, list),
            Variant::Clone => {
                self.merge_this_with(list, &r.this_with);
                if let Some(parent) = r.parent {
                    self.collect_this_with(parent, orig, list);
                }
            }
            Variant::Bundle if self.gets_bundles_colocations(rsc, orig) => {
                self.merge_this_with(list, &r.this_with);
            }
            Variant::Bundle => {}
        }
    }

    /// A bundle and its containers have its colocations; what is inside only when roles are
    /// chosen (Pacemaker pcmk_sched_bundle.c:pcmk__with_bundle_colocations).
    fn gets_bundles_colocations(&self, bundle: RscId, orig: RscId) -> bool {
        if orig == bundle || self.rscs[orig].flags.replica_container {
            return true;
        }
        let Some(clone) = self.bundled_clone(bundle) else {
            return false;
        };
        if !self.rscs[clone].flags.promotable || self.top_of(orig) != clone {
            return false;
        }
        if orig == clone {
            self.rscs[orig].flags.promotion_sorted
        } else {
            !self.rscs[orig].flags.unassigned
        }
    }

    /// The first member carries the group's colocations; later ones follow through the chain
    /// unless an unmanaged member breaks it
    /// (Pacemaker pcmk_sched_group.c:pcmk__group_with_colocations).
    fn collect_group_this_with(&self, group: RscId, orig: RscId, list: &mut Vec<ColId>) {
        let r = &self.rscs[group];
        let Some(first) = r.children.first() else {
            return;
        };
        if group == orig || orig == *first {
            self.merge_this_with(list, &r.this_with);
            if let Some(parent) = r.parent {
                self.collect_this_with(parent, orig, list);
            }
            // What the user said of one member concerns them all.
            for member in r
                .children
                .iter()
                .filter(|m| **m != orig && r.group_colocated)
            {
                self.collect_this_with(*member, orig, list);
            }
            return;
        }
        for member in r.children.iter().take_while(|member| **member != orig) {
            if !self.rscs[*member].flags.managed {
                for col in &r.this_with {
                    if self.colocations[*col].score == INFINITY {
                        self.insert_this_with(list, *col);
                    }
                }
                break;
            }
        }
    }

    fn collect_with_this(&self, rsc: RscId, orig: RscId, list: &mut Vec<ColId>) {
        let r = &self.rscs[rsc];
        match r.variant {
            Variant::Primitive if rsc != orig => {
                for col in &r.with_this {
                    if self.colocations[*col].explicit {
                        self.insert_with_this(list, *col);
                    }
                }
            }
            Variant::Primitive => {
                self.merge_with_this(list, &r.with_this);
                if let Some(parent) = r.parent {
                    self.collect_with_this(parent, orig, list);
                }
            }
            Variant::Group => {
                if r.children.is_empty() || !(rsc == orig || r.children.last() == Some(&orig)) {
                    return;
                }
                self.merge_with_this(list, &r.with_this);
                if let Some(parent) = r.parent {
                    self.collect_with_this(parent, orig, list);
                }
                for member in r
                    .children
                    .iter()
                    .filter(|m| **m != orig && r.group_colocated)
                {
                    self.collect_with_this(*member, orig, list);
                }
            }
            Variant::Clone => {
                self.merge_with_this(list, &r.with_this);
                if let Some(parent) = r.parent {
                    self.collect_with_this(parent, orig, list);
                }
            }
            Variant::Bundle if self.gets_bundles_colocations(rsc, orig) => {
                self.merge_with_this(list, &r.with_this);
            }
            Variant::Bundle => {}
        }
    }

    /// Whether the dependent's preferences count for the primary (or this instance of it).
    pub(crate) fn has_influence(&self, col: ColId, instance: Option<RscId>) -> bool {
        let colocation = &self.colocations[col];
        let primary = instance.unwrap_or(colocation.primary);
        colocation.influence || self.rscs[primary].active.is_empty()
    }
}
