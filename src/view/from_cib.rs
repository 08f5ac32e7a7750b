//! What a status takes from the CIB and the plan made of it.

use super::{FailCount, Status, details, leaves};
use cib::Element;
use cib::config::Config;
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
            self.failcounts = fail_counts(root, &cib::config::Config::new(&cib));
        }
        self.ask_pings_where_they_run(plan);
        // Nodes have one order wherever they are shown.
        let place = |name: &str| plan.nodes.iter().position(|n| n.name == name);
        self.details.sort_by_key(|of| place(&of.node));
        self.failcounts.sort_by_key(|of| place(&of.node));
        self.nodes.clone_from(&plan.nodes);
        self.resources.clone_from(&plan.resources);
        self.leftover_failures.clone_from(&plan.leftover_failures);
    }

    /// What a ping resource's attribute is to be matters on nodes where one runs
    /// (Pacemaker pe_output.c:add_extra_info).
    fn ask_pings_where_they_run(&mut self, plan: &Plan) {
        let mut asked: Vec<&str> = Vec::new();
        for resource in &plan.resources {
            leaves(resource, &mut |leaf| {
                let kind = leaf.agent.rsplit(':').next().unwrap_or_default();
                if matches!(kind, "ping" | "pingd") {
                    asked.extend(leaf.nodes.iter().map(String::as_str));
                }
            });
        }
        for node in &mut self.details {
            if !asked.contains(&node.node.as_str()) {
                node.expected.clear();
            }
        }
    }
}

/// Fail counts from the transient attributes `fail-count-RSC#OP_INTERVAL`.
fn fail_counts(cib: &Element, config: &Config<'_>) -> Vec<FailCount> {
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
                threshold: threshold(config, resource),
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

/// `migration-threshold` as configured; 0 = none, or INFINITY.
fn threshold(config: &Config<'_>, resource: &str) -> u32 {
    let base = resource.split(':').next().unwrap_or(resource);
    let found = config.resource(base);
    let meta = found.map(|found| config.meta(&found)).unwrap_or_default();
    let score = meta.get("migration-threshold").copied();
    let score = score.and_then(|score| cib::value::Score::parse(score).ok());
    score.map_or(0, |score| u32::try_from(score.get()).unwrap_or(0))
}
