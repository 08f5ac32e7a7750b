//! What `crm_simulate -s` and `-U` show: the scores that nodes had when their turn came, and what
//! capacities were used (Pacemaker complex.c:pe__show_node_scores, pcmk_output.c).

use crate::cluster::{Cluster, NodeId, RscId};
use crate::plan::Score;
use crate::utilization::Amounts;

/// Where in the assignment scores are shown; the names are Pacemaker's functions, because its
/// tools print them.
pub(crate) mod stage {
    pub(crate) const PRIMITIVE: &str = "pcmk__primitive_assign";
    pub(crate) const GROUP: &str = "pcmk__group_assign";
    pub(crate) const CLONE: &str = "pcmk__clone_assign";
    pub(crate) const BUNDLE: &str = "pcmk__bundle_assign";
    pub(crate) const ASSIGN: &str = "pcmk__assign_resource";
}

impl Cluster<'_> {
    /// Notes the scores of a resource and all in it, as they are now; nobody may want them.
    pub(crate) fn note_scores(&mut self, stage: &'static str, rsc: RscId) {
        if let Some(mut scores) = self.scores.take() {
            self.collect_scores(stage, rsc, &mut scores);
            self.scores = Some(scores);
        }
    }

    fn collect_scores(&self, stage: &'static str, rsc: RscId, scores: &mut Vec<Score>) {
        let r = &self.rscs[rsc];
        if r.flags.removed {
            return;
        }
        scores.extend(r.allowed.iter().map(|(node, weight)| Score::Assignment {
            stage: stage.to_owned(),
            resource: r.id.clone(),
            node: self.nodes[node].name.clone(),
            score: weight.score,
        }));
        for child in &r.children {
            self.collect_scores(stage, *child, scores);
        }
    }

    /// Notes how much an instance wants to be promoted where it will be.
    pub(crate) fn note_promotion(&mut self, instance: RscId) {
        let node = self.location_of(instance, false);
        let score = Score::Promotion {
            resource: self.rscs[instance].id.clone(),
            node: node.map(|node| self.nodes[node].name.clone()),
            score: self.rscs[instance].promotion_sort,
        };
        if let Some(scores) = &mut self.scores {
            scores.push(score);
        }
    }

    /// Notes what the nodes have, before or after the assignment.
    pub(crate) fn note_capacities(&mut self, when: &'static str) {
        let Some(scores) = &mut self.scores else {
            return;
        };
        scores.extend(self.nodes.iter().map(|node| Score::Capacity {
            when: when.to_owned(),
            node: node.name.clone(),
            amounts: pairs(&node.free),
        }));
    }

    /// Notes what a resource takes from its node.
    pub(crate) fn note_utilization(&mut self, rsc: RscId, node: NodeId) {
        if let Some(scores) = &mut self.scores {
            scores.push(Score::Utilization {
                stage: stage::ASSIGN.to_owned(),
                resource: self.rscs[rsc].id.clone(),
                node: self.nodes[node].name.clone(),
                amounts: pairs(&self.rscs[rsc].utilization),
            });
        }
    }
}

fn pairs(amounts: &Amounts) -> Vec<(String, i64)> {
    amounts.iter().map(|(k, v)| (k.clone(), *v)).collect()
}
