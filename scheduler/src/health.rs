//! Node health: attributes called `#health…` move all resources
//! (Pacemaker pe_health.c, pcmk_sched_nodes.c:pcmk__apply_node_health; Pacemaker Explained,
//! "Tracking Node Health").

use crate::cluster::{Cluster, NodeId};
use crate::constraint::Location;
use crate::node::ProbeMode;
use crate::score::{self, INFINITY};
use crate::text::is_true;

impl Cluster<'_> {
    /// Makes a location for every resource and every node whose health is not neutral.
    pub(crate) fn apply_node_health(&mut self) {
        let option = |name: &str| self.options.all.get(name).map(String::as_str);
        let strategy = option("node-health-strategy").unwrap_or("none").to_owned();
        let number =
            |name: &str, default: i32| option(name).and_then(score::parse).unwrap_or(default);
        let (red, yellow, green, base) = match strategy.as_str() {
            "migrate-on-red" => (-INFINITY, 0, 0, 0),
            "only-green" => (-INFINITY, -INFINITY, 0, 0),
            "progressive" | "custom" => (
                number("node-health-red", -INFINITY),
                number("node-health-yellow", 0),
                number("node-health-green", 0),
                number("node-health-base", 0),
            ),
            _ => return,
        };
        if strategy == "custom" {
            // The administrator's own rules use the attributes.
            return;
        }
        for node in 0..self.nodes.len() {
            let health = self.health_of(node, (red, yellow, green), base);
            if health != 0 {
                self.locate_by_health(&strategy, node, health);
            }
        }
    }

    fn health_of(&self, node: NodeId, (red, yellow, green): (i32, i32, i32), base: i32) -> i32 {
        self.nodes[node]
            .attrs
            .iter()
            .filter(|(name, _)| name.starts_with("#health"))
            .map(|(_, value)| match value.as_str() {
                text if text.eq_ignore_ascii_case("red") => red,
                text if text.eq_ignore_ascii_case("yellow") => yellow,
                text if text.eq_ignore_ascii_case("green") => green,
                text => score::parse(text).unwrap_or(0),
            })
            .fold(base, score::add)
    }

    fn locate_by_health(&mut self, strategy: &str, node: NodeId, health: i32) {
        for rsc in self.top.clone() {
            let endures = is_true(
                self.rscs[rsc]
                    .meta
                    .get("allow-unhealthy-nodes")
                    .map(String::as_str),
            );
            if health < 0 && endures {
                continue;
            }
            self.locations.push(Location {
                id: strategy.to_owned(),
                from: "node-health",
                rsc,
                role: None,
                nodes: vec![(node, health)],
                probe: ProbeMode::Always,
            });
        }
    }
}
