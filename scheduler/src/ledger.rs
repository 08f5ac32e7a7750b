//! What the score of a node is the sum of: kept only for people who ask, because a large cluster
//! has many scores (`mainstay why`).

use crate::cluster::{Cluster, ColId, NodeId, RscId};
use crate::node::Table;
use crate::plan::{Because, Reason};
use crate::resource::Variant;
use crate::score::{self, INFINITY};
use std::collections::BTreeMap;

/// What happened to the scores of primitives, in the order in which it did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    terms: BTreeMap<(RscId, NodeId), Vec<Because>>,
    /// Scores as they were when the resource was placed.
    finals: BTreeMap<RscId, Vec<(NodeId, i32)>>,
}

fn sum(terms: &[Because]) -> i32 {
    let amounts = terms.iter().filter_map(Because::amount);
    amounts.fold(0, score::add)
}

/// What has to be added to `from` for `to`; `None` where no addition leads there.
fn difference(from: i32, to: i32) -> Option<i32> {
    match (from, to) {
        (from, to) if from == to => Some(0),
        (_, ..=NEGATIVE) => Some(-INFINITY),
        (..=NEGATIVE, _) => None,
        (_, INFINITY..) => Some(INFINITY),
        (INFINITY.., _) => None,
        (from, to) => Some(to - from).filter(|by| by.abs() < INFINITY),
    }
}

/// Makes the terms add up to `actual`: what was taken back goes, what is new is called as `name`
/// says.
fn settle(terms: &mut Vec<Because>, actual: i32, name: &dyn Fn(i32) -> Because) {
    match difference(sum(terms), actual) {
        Some(0) => {}
        Some(by) => terms.push(name(by)),
        None => {
            take_back(terms, actual);
            if sum(terms) != actual {
                terms.clear();
                terms.push(name(actual));
            }
        }
    }
}

/// Forgets the latest terms, as far as what is left adds up to `actual`.
fn take_back(terms: &mut Vec<Because>, actual: i32) {
    let fits = (0..=terms.len())
        .rev()
        .find(|n| sum(&terms[..*n]) == actual);
    if let Some(kept) = fits {
        terms.truncate(kept);
    }
}

impl Ledger {
    fn of(&mut self, rsc: RscId, node: NodeId) -> &mut Vec<Because> {
        self.terms.entry((rsc, node)).or_default()
    }

    fn settle(&mut self, rsc: RscId, table: &Table, name: &dyn Fn(i32) -> Because) {
        for (node, weight) in table.iter() {
            settle(self.of(rsc, node), weight.score, name);
        }
    }
}

/// A score by its kind and the id of what it comes from.
pub(crate) fn named(from: &str, id: &str) -> impl Fn(i32) -> Because {
    move |amount| Because::Score {
        amount,
        from: from.to_owned(),
        id: id.to_owned(),
    }
}

impl Cluster<'_> {
    /// Whatever scores were changed by until now is called so: of a primitive, or of all in a
    /// collective.
    pub(crate) fn settle(&mut self, rsc: RscId, from: &str, id: &str) {
        self.settle_as(rsc, &named(from, id));
    }

    pub(crate) fn settle_as(&mut self, rsc: RscId, name: &dyn Fn(i32) -> Because) {
        if self.ledger.is_none() {
            return;
        }
        for leaf in self.primitives_in(rsc) {
            // What comes after it was placed does not count.
            if let Some(ledger) = &mut self.ledger
                && !ledger.finals.contains_key(&leaf)
            {
                ledger.settle(leaf, &self.rscs[leaf].allowed, name);
            }
        }
    }

    fn primitives_in(&self, rsc: RscId) -> Vec<RscId> {
        let (mut found, mut inside) = (Vec::new(), vec![rsc]);
        while let Some(rsc) = inside.pop() {
            inside.extend(&self.rscs[rsc].children);
            if self.is_primitive(rsc) {
                found.push(rsc);
            }
        }
        found
    }

    /// All scores before the first rule: those of the nodes.
    pub(crate) fn open_ledger(&mut self) {
        for rsc in 0..self.rscs.len() {
            if self.is_primitive(rsc) {
                self.settle(rsc, "node", "score");
            }
        }
    }

    /// A primitive's score was added to; that is told even where it changed nothing.
    pub(crate) fn enter(&mut self, rsc: RscId, node: NodeId, because: Because) {
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        let r = &self.rscs[rsc];
        let Some(weight) = r.allowed.get(node) else {
            return;
        };
        if r.variant != Variant::Primitive || ledger.finals.contains_key(&rsc) {
            return;
        }
        let base = self.nodes[node].base_score;
        let terms = ledger.terms.entry((rsc, node)).or_insert_with(|| {
            let base = (base != 0).then(|| named("node", "score")(base));
            base.into_iter().collect()
        });
        terms.push(because);
        settle(terms, weight.score, &named("rest", ""));
    }

    /// A colocation with another resource, seen from this one.
    pub(crate) fn settle_colocation(&mut self, rsc: RscId, col: ColId, dependent: bool) {
        if self.ledger.is_none() {
            return;
        }
        let colocation = &self.colocations[col];
        let other = match dependent {
            true => colocation.dependent,
            false => colocation.primary,
        };
        let internal =
            colocation.id.starts_with('#') || colocation.id == "group:internal_colocation";
        let id = (!internal).then(|| colocation.id.clone());
        let with = self.rscs[other].id.clone();
        self.settle_as(rsc, &|amount| Because::Together {
            amount,
            id: id.clone(),
            with: with.clone(),
            dependent,
        });
    }

    /// A trial was undone.
    pub(crate) fn unsettle(&mut self, rsc: RscId) {
        if let Some(ledger) = &mut self.ledger {
            let table = &self.rscs[rsc].allowed;
            for (node, weight) in table.iter() {
                take_back(ledger.of(rsc, node), weight.score);
            }
            ledger.finals.remove(&rsc);
            ledger.settle(rsc, table, &named("rest", ""));
        }
    }

    /// It is about to be placed, once more perhaps.
    pub(crate) fn reopen_ledger(&mut self, rsc: RscId) {
        if let Some(ledger) = &mut self.ledger {
            ledger.finals.remove(&rsc);
        }
        self.settle(rsc, "rest", "");
    }

    /// It is placed: these scores it was that counted.
    pub(crate) fn close_ledger(&mut self, rsc: RscId) {
        if let Some(ledger) = &mut self.ledger {
            let table = &self.rscs[rsc].allowed;
            ledger.settle(rsc, table, &named("rest", ""));
            let scores = table.iter().map(|(node, weight)| (node, weight.score));
            ledger.finals.insert(rsc, scores.collect());
        }
    }

    /// Instances that nobody wanted have no turn.
    fn close_unplaced(&mut self) {
        let ledger = self.ledger.as_ref();
        let open = |rsc: &RscId| ledger.is_some_and(|l| !l.finals.contains_key(rsc));
        let open: Vec<RscId> = (0..self.rscs.len())
            .filter(|rsc| self.is_primitive(*rsc) && open(rsc))
            .collect();
        open.into_iter().for_each(|rsc| self.close_ledger(rsc));
    }

    /// The terms take the place of the scores that were noted on the way.
    pub(crate) fn tell_ledger(&mut self) {
        self.close_unplaced();
        let Some(ledger) = self.ledger.take() else {
            return;
        };
        let leaves = (0..self.rscs.len()).filter(|rsc| self.is_primitive(*rsc));
        let leaves: std::collections::BTreeSet<&str> =
            leaves.map(|rsc| self.rscs[rsc].id.as_str()).collect();
        let mut reasons = std::mem::take(&mut self.reasons);
        reasons.retain(|r| {
            let told = r.because.amount().is_none() || r.node.is_none();
            told || !leaves.contains(r.resource.as_str())
        });
        for (rsc, scores) in ledger.finals {
            let resource = &self.rscs[rsc].id;
            for (node, score) in scores {
                let terms = ledger.terms.get(&(rsc, node)).cloned().unwrap_or_default();
                let mut terms = merged(terms);
                terms.push(Because::Total { score });
                reasons.extend(terms.into_iter().map(|because| Reason {
                    resource: resource.clone(),
                    node: Some(self.nodes[node].name.clone()),
                    because,
                }));
            }
        }
        self.reasons = reasons;
    }
}

/// Terms of one name are one, where that makes no difference.
fn merged(terms: Vec<Because>) -> Vec<Because> {
    let mut together: Vec<Because> = Vec::new();
    for term in &terms {
        let amount = term.amount().unwrap_or(0);
        let like = |other: &&mut Because| other.with_amount(0) == term.with_amount(0);
        match together.iter_mut().find(like) {
            Some(other) => {
                let before = other.amount().unwrap_or(0);
                *other = other.with_amount(score::add(before, amount));
            }
            None => together.push(term.clone()),
        }
    }
    match sum(&together) == sum(&terms) {
        true => together,
        false => terms,
    }
}

/// As a pattern.
const NEGATIVE: i32 = -INFINITY;
