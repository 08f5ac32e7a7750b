//! What a status takes from the CIB and the plan made of it.

use super::{FailCount, Status, details};
use cib::Element;
use scheduler::Plan;

impl Status {
    /// Takes over everything that a CIB with its status section and the plan made of it tell. The
    /// daemon and a CIB in a file show the same this way.
    pub fn take_cib(&mut self, root: &Element, plan: Plan) {
        self.take_over(&Self::of_cib(root, &plan, self.now));
    }

    /// Takes over from a status what [`Status::of_cib`] gives it.
    pub fn take_over(&mut self, of_cib: &Self) {
        self.cib_version = of_cib.cib_version;
        self.last_change.clone_from(&of_cib.last_change);
        self.options.clone_from(&of_cib.options);
        self.failcounts.clone_from(&of_cib.failcounts);
        self.details.clone_from(&of_cib.details);
        self.bans.clone_from(&of_cib.bans);
        self.nodes.clone_from(&of_cib.nodes);
        self.resources.clone_from(&of_cib.resources);
    }

    /// What a CIB and the plan made of it tell as of `now`, and nothing else.
    #[must_use]
    pub fn of_cib(root: &Element, plan: &Plan, now: i64) -> Self {
        let mut status = Self {
            now,
            ..Self::default()
        };
        status.fill(root, plan);
        status
    }

    fn fill(&mut self, root: &Element, plan: &Plan) {
        let number = |name: &str| root.attr(name).and_then(|v| v.parse().ok()).unwrap_or(0);
        self.cib_version = (
            number("admin_epoch"),
            number("epoch"),
            number("num_updates"),
        );
        let stamp = |name: &str| root.attr(name).unwrap_or_default().to_owned();
        self.last_change = root.attr("cib-last-written").map(|when| {
            (
                when.to_owned(),
                stamp("update-user"),
                stamp("update-client"),
                stamp("update-origin"),
            )
        });
        if let Ok(cib) = cib::Cib::from_element(root.clone()) {
            let properties = cib::config::Config::new(&cib).properties().into_iter();
            self.options = properties
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .collect();
            (self.details, self.bans) = details(&cib, self.now);
        }
        self.failcounts = fail_counts(root, plan);
        // Nodes have one order wherever they are shown.
        let place = |name: &str| plan.nodes.iter().position(|n| n.name == name);
        self.details.sort_by_key(|of| place(&of.node));
        self.failcounts.sort_by_key(|of| place(&of.node));
        self.nodes.clone_from(&plan.nodes);
        self.resources.clone_from(&plan.resources);
    }
}

/// Fail counts from the transient attributes `fail-count-RSC#OP_INTERVAL`.
fn fail_counts(cib: &cib::Element, plan: &Plan) -> Vec<FailCount> {
    let mut counts = Vec::new();
    let Some(status) = cib.first("status") else {
        return counts;
    };
    for state in &status.children {
        let node = state.attr("uname").unwrap_or_default();
        let sets = state.all("transient_attributes").flat_map(|t| &t.children);
        let pairs: Vec<_> = sets
            .flat_map(|s| &s.children)
            .filter_map(|nv| Some((nv.attr("name")?, nv.attr("value")?)))
            .collect();
        for (name, value) in &pairs {
            let Some((resource, operation)) = name
                .strip_prefix("fail-count-")
                .and_then(|n| n.rsplit_once('#'))
            else {
                continue;
            };
            let last = format!("last-failure-{resource}#{operation}");
            let last = pairs
                .iter()
                .find(|(n, _)| *n == last)
                .and_then(|(_, v)| v.parse().ok());
            counts.push(FailCount {
                resource: resource.to_owned(),
                node: node.to_owned(),
                operation: operation.to_owned(),
                count: count_of(value),
                threshold: threshold(plan, resource),
                last_failure: last,
            });
        }
    }
    counts
}

/// `INFINITY` = 1 000 000.
fn count_of(value: &str) -> u32 {
    match value {
        "INFINITY" => 1_000_000,
        number => number.parse().unwrap_or(0),
    }
}

/// `migration-threshold` as the plan's reasons name it; 0 = none reached.
fn threshold(plan: &Plan, resource: &str) -> u32 {
    let of = |r: &scheduler::Reason| match &r.because {
        scheduler::Because::FailedTooOften { threshold, .. } if r.resource == resource => {
            Some(*threshold)
        }
        _ => None,
    };
    plan.reasons.iter().find_map(of).unwrap_or(0)
}
