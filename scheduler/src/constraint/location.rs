//! `rsc_location`, and everything else that moves a resource's node scores before assignment:
//! stickiness, failure thresholds, exclusive discovery.

use super::Location;
use crate::cluster::{Cluster, NodeId, RscId};
use crate::ledger::named;
use crate::node::ProbeMode;
use crate::pattern::{self, Pattern, Submatches};
use crate::plan::Because;
use crate::resource::{Role, Variant};
use crate::rule::{self, Facts};
use crate::score::{self, INFINITY};
use cib::Element;

impl Cluster<'_> {
    /// Pacemaker pcmk_sched_location.c:pcmk__unpack_location.
    pub(crate) fn unpack_location(&mut self, id: &str, element: &Element) {
        let mut targets = Vec::new();
        if let Some(name) = element.attr("rsc") {
            targets.extend(self.constraint_resource(id, Some(name)));
        }
        let role = element.attr("role");
        for set in element.all("resource_set") {
            for reference in set.all("resource_ref") {
                let rsc = self.constraint_resource(id, reference.id());
                targets.extend(rsc);
            }
        }
        let no_groups = Submatches::new();
        for rsc in targets {
            self.unpack_location_of(id, element, (rsc, &no_groups), role);
        }
        if let Some(pattern) = element.attr("rsc-pattern") {
            self.unpack_location_pattern(id, element, pattern, role);
        }
    }

    /// Concerns all top-level resources whose ids match, or after a `!` do not
    /// (Pacemaker pcmk_sched_location.c:unpack_rsc_location).
    fn unpack_location_pattern(
        &mut self,
        id: &str,
        element: &Element,
        pattern: &str,
        role: Option<&str>,
    ) {
        let (inverted, text) = match pattern.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, pattern),
        };
        let Some(pattern) = Pattern::parse(text) else {
            self.errors.push(format!(
                "rsc_location {id}: ignored, because '{text}' is not a regular expression"
            ));
            return;
        };
        for rsc in self.documents.clone() {
            match pattern.find(&self.rscs[rsc].id) {
                Some(groups) if !inverted => {
                    self.unpack_location_of(id, element, (rsc, &groups), role);
                }
                None if inverted => {
                    self.unpack_location_of(id, element, (rsc, &Submatches::new()), role);
                }
                _ => {}
            }
        }
    }

    fn unpack_location_of(
        &mut self,
        id: &str,
        element: &Element,
        (rsc, groups): (RscId, &Submatches),
        role: Option<&str>,
    ) {
        let probe = match element.attr("resource-discovery") {
            Some("never") => ProbeMode::Never,
            Some("exclusive") => ProbeMode::Exclusive,
            _ => ProbeMode::Always,
        };
        // Whether the location itself will count or not.
        self.rscs[rsc].flags.exclusive_probes |= probe == ProbeMode::Exclusive;
        let score = element.attr("score");
        if let (Some(name), Some(score)) = (element.attr("node"), score) {
            let (Some(node), Some(score)) = (self.find_node(name), score::parse(score)) else {
                self.warnings.push(format!(
                    "rsc_location {id}: ignored, because node {name} does not exist or the score is none"
                ));
                return;
            };
            let role = self.role_filter(id, role);
            self.locations.push(Location {
                id: id.to_owned(),
                from: "location",
                rsc,
                role,
                nodes: vec![(node, score)],
                probe,
            });
            return;
        }
        for rule in element.all("rule") {
            let rule = rule::resolve_idref(self.cib, rule);
            let rule_role = rule.attr("role").or(role);
            let nodes = self.rule_nodes(rule, rsc, groups);
            let role = self.role_filter(id, rule_role);
            self.locations.push(Location {
                id: id.to_owned(),
                from: "location",
                rsc,
                role,
                nodes,
                probe,
            });
        }
    }

    fn role_filter(&mut self, id: &str, role: Option<&str>) -> Option<Role> {
        match role.map(|text| (text, Role::parse(text))) {
            None | Some((_, Some(Role::Started | Role::Unpromoted))) => None,
            Some((_, Some(role))) => Some(role),
            Some((text, None)) => {
                self.errors
                    .push(format!("rsc_location {id}: '{text}' is not a role"));
                None
            }
        }
    }

    /// Nodes on which a rule holds, with the score it gives them.
    fn rule_nodes(&self, rule: &Element, rsc: RscId, groups: &Submatches) -> Vec<(NodeId, i32)> {
        let score = rule.attr("score").and_then(score::parse).unwrap_or(0);
        let attribute = rule.attr("score-attribute");
        let attribute = attribute.map(|name| pattern::expand(name, groups));
        let meta = &self.rscs[rsc].meta;
        let asks = rule::asks_for_params(rule);
        let mut nodes = Vec::new();
        for (id, node) in self.nodes.iter().enumerate() {
            let params = asks.then(|| self.params(rsc, Some(id)));
            let facts = Facts {
                node_attrs: Some(&node.attrs),
                params: params.as_ref(),
                meta: Some(meta),
                groups,
                ..self.facts()
            };
            if !rule::passes(rule, &facts) {
                continue;
            }
            let score = match &attribute {
                None => score,
                // A node without a usable attribute is not allowed.
                Some(attribute) => node
                    .attrs
                    .get(attribute)
                    .and_then(|value| score::parse(value))
                    .unwrap_or(-INFINITY),
            };
            nodes.push((id, score));
        }
        nodes
    }

    /// Locations, stickiness, thresholds
    /// (Pacemaker pcmk_scheduler.c:apply_node_criteria).
    pub(crate) fn apply_node_criteria(&mut self) {
        self.apply_shutdown_locks();
        for index in (0..self.locations.len()).rev() {
            let location = self.locations[index].clone();
            self.apply_location(location.rsc, &location);
        }
        for rsc in self.top.clone() {
            self.apply_stickiness(rsc);
        }
        for node in 0..self.nodes.len() {
            for rsc in self.top.clone() {
                self.check_failure_threshold(rsc, node);
                self.apply_exclusive_discovery(rsc, node);
            }
        }
    }

    pub(crate) fn apply_location(&mut self, rsc: RscId, location: &Location) {
        self.apply_location_here(rsc, location);
        if self.rscs[rsc].variant == Variant::Bundle {
            self.locate_bundle(rsc, location);
            return;
        }
        let is_group = self.rscs[rsc].variant == Variant::Group;
        let mut rest = None;
        for child in self.rscs[rsc].children.clone() {
            self.apply_location(child, rest.as_ref().unwrap_or(location));
            if is_group && self.rscs[rsc].group_colocated && rest.is_none() {
                // The first member stands for all; the others only must be allowed there.
                let mut zero = location.clone();
                for (_, score) in &mut zero.nodes {
                    *score = 0;
                }
                rest = Some(zero);
            }
        }
    }

    fn apply_location_here(&mut self, rsc: RscId, location: &Location) {
        if location
            .role
            .is_some_and(|role| role != self.rscs[rsc].next_role)
        {
            return;
        }
        for (node, score) in &location.nodes {
            let base = self.nodes[*node].base_score;
            let r = &mut self.rscs[rsc];
            r.allowed.add(*node, base, *score);
            let weight = r.allowed.entry(*node, base);
            if weight.probe < location.probe {
                weight.probe = location.probe;
                r.flags.exclusive_probes |= location.probe == ProbeMode::Exclusive;
            }
            if self.ledger.is_some() && *score != 0 {
                let because = named(location.from, &location.id)(*score);
                self.enter(rsc, *node, because);
            }
            if rsc == location.rsc && *score != 0 {
                self.note_score(rsc, *node, *score, location.from, &location.id);
            }
        }
    }

    /// Adds to the score of a node for a resource and all in it
    /// (Pacemaker pe utils.c:resource_location).
    pub(crate) fn add_score(&mut self, rsc: RscId, node: NodeId, because: &Because) {
        for child in self.rscs[rsc].children.clone() {
            self.add_score(child, node, because);
        }
        let base = self.nodes[node].base_score;
        let amount = because.amount().unwrap_or(0);
        self.rscs[rsc].allowed.add(node, base, amount);
        if self.ledger.is_some() {
            self.enter(rsc, node, because.clone());
        }
    }

    /// Bans a resource and all in it from a node.
    pub(crate) fn ban(&mut self, rsc: RscId, node: NodeId, from: &str, id: &str) {
        self.add_score(rsc, node, &named(from, id)(-INFINITY));
    }

    /// Bans a resource and all in it from every node, and undoes an assignment.
    pub(crate) fn ban_everywhere(&mut self, rsc: RscId, from: &str, id: &str) {
        for node in 0..self.nodes.len() {
            self.ban(rsc, node, from, id);
        }
        if let Some(node) = self.rscs[rsc].assigned.take() {
            let count = &mut self.nodes[node].assigned_count;
            *count = count.saturating_sub(1);
        }
    }

    fn apply_stickiness(&mut self, rsc: RscId) {
        if !self.rscs[rsc].children.is_empty() {
            for child in self.rscs[rsc].children.clone() {
                self.apply_stickiness(child);
            }
            return;
        }
        let r = &self.rscs[rsc];
        let [node] = r.active[..] else {
            return;
        };
        if !r.flags.managed || r.stickiness < 1 {
            return;
        }
        // An asymmetric cluster must still allow the node.
        if !self.options.symmetric && r.allowed.get(node).is_none() {
            return;
        }
        let stickiness = r.stickiness;
        let because = named("stickiness", "resource-stickiness")(stickiness);
        self.add_score(rsc, node, &because);
        self.note(rsc, Some(node), because);
    }

    fn apply_exclusive_discovery(&mut self, rsc: RscId, node: NodeId) {
        let top = self.top_of(rsc);
        if !self.rscs[rsc].flags.exclusive_probes && !self.rscs[top].flags.exclusive_probes {
            return;
        }
        for child in self.rscs[rsc].children.clone() {
            self.apply_exclusive_discovery(child, node);
        }
        if let Some(weight) = self.rscs[rsc].allowed.get_mut(node)
            && weight.probe != ProbeMode::Exclusive
        {
            weight.score = -INFINITY;
        }
        self.settle(rsc, "resource-discovery", "exclusive");
    }
}
