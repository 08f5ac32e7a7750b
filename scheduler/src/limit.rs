//! How much is decided at once. Beyond, nothing is decided at all, and it is said why: a part of
//! a decision would be worse than none.

use crate::cluster::Cluster;
use crate::text::parse_bool;
use cib::Element;

/// Most pairs of a node and a resource; every instance of a clone and every member of a group
/// counts as one resource. 32 nodes can have 31,250.
pub const PAIRS_MAX: usize = 1_000_000;
/// Most nodes, with remote nodes and the insides of guests and bundles.
pub const NODES_MAX: usize = 4_096;
/// Most pairs that constraints make in all: of resources in their sets, and of nodes with rules.
pub const CONSTRAINT_PAIRS_MAX: usize = 1_000_000;
/// Most replicas of one bundle.
pub(crate) const REPLICAS_MAX: usize = 1_000;
/// Most pairs of replicas that know each other's addresses, in all bundles.
pub(crate) const REPLICA_PAIRS_MAX: usize = 1_000_000;

impl Cluster<'_> {
    /// Whether one node more can be taken in.
    pub(crate) fn admits_node(&mut self) -> bool {
        let fits = self.nodes.len() < NODES_MAX;
        if !fits {
            self.refuse(format!("there are more than {NODES_MAX} nodes"));
        }
        fits
    }

    /// Whether one resource more, or one more instance of one, can be taken in.
    pub(crate) fn admits_resource(&mut self) -> bool {
        let (nodes, resources) = (self.nodes.len().max(1), self.rscs.len() + 1);
        let fits = nodes.saturating_mul(resources) <= PAIRS_MAX;
        if !fits {
            let most = PAIRS_MAX / nodes;
            self.refuse(format!(
                "more than {most} resources on {nodes} nodes, every instance of a clone counted \
                 (the product may be {PAIRS_MAX}): lower clone-max, or split the cluster"
            ));
        }
        fits
    }

    /// Whether the pairs that a constraint makes can be taken in.
    pub(crate) fn admits_constraint(&mut self, id: &str, constraint: &Element) -> bool {
        let pairs = pairs_of(constraint, self.nodes.len());
        self.admits_pairs(id, pairs)
    }

    /// Whether so many pairs more can be taken in.
    pub(crate) fn admits_pairs(&mut self, id: &str, pairs: usize) -> bool {
        self.constraint_pairs = self.constraint_pairs.saturating_add(pairs);
        let fits = self.constraint_pairs <= CONSTRAINT_PAIRS_MAX;
        if !fits {
            self.refuse(format!(
                "constraint {id}: with it the sets and rules of constraints make more than \
                 {CONSTRAINT_PAIRS_MAX} pairs: make its sets sequential, or smaller"
            ));
        }
        fits
    }

    /// The first reason counts.
    fn refuse(&mut self, reason: String) {
        self.refused.get_or_insert(reason);
    }
}

/// Pairs of members within sets and between neighbours, and of nodes with rules for each resource.
fn pairs_of(constraint: &Element, nodes: usize) -> usize {
    let (mut pairs, mut last, mut all) = (0_usize, 0_usize, 0_usize);
    for set in constraint.all("resource_set") {
        let members = set.all("resource_ref").count();
        let within = match is_each_with_each(constraint, set) {
            true => members.saturating_mul(members),
            false => members,
        };
        let ends = if is_by_its_ends(constraint, set) {
            1
        } else {
            members
        };
        pairs = pairs.saturating_add(within);
        pairs = pairs.saturating_add(ends.saturating_mul(last));
        all = all.saturating_add(members);
        last = ends;
    }
    let rules = constraint.all("rule").count();
    pairs.saturating_add(rules.saturating_mul(nodes).saturating_mul(all.max(1)))
}

/// Whether all members of a set keep away from, or wait for, all others.
fn is_each_with_each(constraint: &Element, set: &Element) -> bool {
    let attr = |name: &str| set.attr(name).or_else(|| constraint.attr(name));
    let apart = attr("score").is_some_and(|score| score.starts_with('-'));
    apart || attr("kind").is_some_and(|kind| kind.eq_ignore_ascii_case("Serialize"))
}

/// Whether only the first or last member of a set has to do with the next set: orders must say
/// so, colocations otherwise.
fn is_by_its_ends(constraint: &Element, set: &Element) -> bool {
    let sequential = parse_bool(set.attr("sequential"));
    sequential.unwrap_or(constraint.name != "rsc_order")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(members: usize) -> Element {
        (0..members).fold(Element::new("resource_set"), |set, _| {
            set.child(Element::new("resource_ref"))
        })
    }

    #[test]
    fn pairs_are_those_of_sets_and_rules() {
        let rule = Element::new("rsc_location").child(Element::new("rule"));
        let two = |name: &str| Element::new(name).child(set(30)).child(set(20));
        let chain = two("rsc_order").child(set(10).with("sequential", "true"));
        let open = Element::new("rsc_colocation").child(set(30).with("sequential", "false"));
        for (constraint, pairs) in [
            (Element::new("rsc_location"), 0),
            (rule.clone(), 5),
            (rule.child(set(30)), 30 + 30 * 5),
            (two("rsc_colocation"), 30 + 20 + 1),
            (two("rsc_order"), 30 + 20 + 30 * 20),
            (chain, 30 + 20 + 10 + 30 * 20 + 20),
            (open.child(set(20)), 30 + 20 + 30),
            (two("rsc_colocation").with("score", "-5"), 900 + 400 + 1),
            (two("rsc_order").with("kind", "Serialize"), 900 + 400 + 600),
        ] {
            assert_eq!(pairs_of(&constraint, 5), pairs, "{constraint:?}");
        }
    }
}
