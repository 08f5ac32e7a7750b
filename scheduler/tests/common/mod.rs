//! A cluster in few words, and what the scheduler makes of it in few lines.
#![allow(dead_code, reason = "each test file uses its part")]

use scheduler::{Options, Plan, schedule};
use std::fmt::Write as _;

/// Now, in all scenarios.
pub(crate) const NOW: i64 = 1_700_000_000;

struct Node {
    name: String,
    state: String,
    attributes: String,
    transient: String,
    /// Resource and its history entries, in the order they ran.
    history: Vec<(String, String)>,
}

/// A CIB under construction.
pub(crate) struct Cib {
    root: String,
    options: String,
    nodes: Vec<Node>,
    resources: String,
    constraints: String,
    calls: u32,
}

pub(crate) const MEMBER: &str = r#"in_ccm="true" crmd="online" join="member" expected="member""#;
pub(crate) const LOST: &str = r#"in_ccm="false" crmd="offline" join="down" expected="member""#;
pub(crate) const DOWN: &str = r#"in_ccm="false" crmd="offline" join="down" expected="down""#;
pub(crate) const PENDING: &str = r#"in_ccm="true" crmd="online" join="pending" expected="member""#;

/// Not in the status at all.
pub(crate) const NEVER: &str = "never";

/// A primitive with a monitor every ten seconds.
pub(crate) fn primitive(id: &str) -> String {
    primitive_with(id, "", "")
}

/// A primitive with more elements inside, and attributes of its monitor.
pub(crate) fn primitive_with(id: &str, inside: &str, monitor: &str) -> String {
    format!(
        r#"<primitive id="{id}" class="ocf" provider="heartbeat" type="Dummy">{inside}<operations>
           <op id="{id}-monitor" name="monitor" interval="10s" {monitor}/></operations></primitive>"#
    )
}

/// A primitive with meta attributes.
pub(crate) fn primitive_meta(id: &str, meta: &[(&str, &str)]) -> String {
    primitive_with(id, &meta_attributes(id, meta), "")
}

pub(crate) fn meta_attributes(id: &str, meta: &[(&str, &str)]) -> String {
    let mut text = format!(r#"<meta_attributes id="{id}-meta">"#);
    for (name, value) in meta {
        let _ = write!(
            text,
            r#"<nvpair id="{id}-meta-{name}" name="{name}" value="{value}"/>"#
        );
    }
    text + "</meta_attributes>"
}

/// A fencing device.
pub(crate) const FENCE: &str = r#"<primitive id="fence" class="stonith" type="fence_dummy"/>"#;

impl Cib {
    /// Nodes with nothing on them, quorate, without fencing.
    pub(crate) fn new(nodes: &[&str]) -> Self {
        let mut cib = Self {
            root: r#"have-quorum="1" dc-uuid="n1""#.to_owned(),
            options: String::new(),
            nodes: Vec::new(),
            resources: String::new(),
            constraints: String::new(),
            calls: 0,
        };
        for name in nodes {
            cib = cib.node(name, MEMBER);
        }
        cib.option("stonith-enabled", "false")
    }

    pub(crate) fn node(mut self, name: &str, state: &str) -> Self {
        self.nodes.push(Node {
            name: name.to_owned(),
            state: state.to_owned(),
            attributes: String::new(),
            transient: String::new(),
            history: Vec::new(),
        });
        self
    }

    fn at(&mut self, name: &str) -> &mut Node {
        self.nodes
            .iter_mut()
            .find(|node| node.name == name)
            .expect("a node of the scenario")
    }

    pub(crate) fn without_quorum(mut self) -> Self {
        self.root = self
            .root
            .replace(r#"have-quorum="1""#, r#"have-quorum="0""#);
        self
    }

    /// This partition had quorum before.
    pub(crate) fn had_quorum(mut self) -> Self {
        self.root.push_str(r#" no-quorum-panic="1""#);
        self
    }

    pub(crate) fn state(mut self, node: &str, state: &str) -> Self {
        self.at(node).state = state.to_owned();
        self
    }

    /// The first of equal names counts, so a scenario's own options come first.
    pub(crate) fn option(mut self, name: &str, value: &str) -> Self {
        let id = self.options.len();
        self.options = format!(
            r#"<nvpair id="opt-{id}" name="{name}" value="{value}"/>{}"#,
            self.options
        );
        self
    }

    /// With fencing, and a device that runs on the first node.
    pub(crate) fn fencing(mut self) -> Self {
        self.resources.push_str(FENCE);
        self.options = self.options.replace(
            r#"name="stonith-enabled" value="false""#,
            r#"name="stonith-enabled" value="true""#,
        );
        let op = self.entry("fence", "start", 0, 0, 0, "");
        self.at("n1").history.push(("fence".to_owned(), op));
        self
    }

    pub(crate) fn resource(mut self, xml: &str) -> Self {
        self.resources.push_str(xml);
        self
    }

    pub(crate) fn constraint(mut self, xml: &str) -> Self {
        self.constraints.push_str(xml);
        self
    }

    pub(crate) fn attribute(mut self, node: &str, name: &str, value: &str) -> Self {
        let pair = format!(r#"<nvpair id="{node}-{name}" name="{name}" value="{value}"/>"#);
        self.at(node).attributes.push_str(&pair);
        self
    }

    pub(crate) fn transient(mut self, node: &str, name: &str, value: &str) -> Self {
        let pair = format!(r#"<nvpair id="{node}-t-{name}" name="{name}" value="{value}"/>"#);
        self.at(node).transient.push_str(&pair);
        self
    }

    fn entry(
        &mut self,
        rsc: &str,
        task: &str,
        interval: u64,
        rc: i32,
        want: i32,
        more: &str,
    ) -> String {
        self.calls += 1;
        let call = self.calls;
        // As recorded when the agent ran with the parameters it has now: none.
        let digest = if interval == 0 {
            cib::digest::operation([])
        } else {
            cib::digest::operation([("CRM_meta_timeout", "20000")])
        };
        let more = if more.contains("op-digest") {
            more.to_owned()
        } else {
            format!(r#"{more} op-digest="{digest}""#)
        };
        let status = i32::from(rc != want) * 4;
        let at = NOW - 1000;
        format!(
            r#"<lrm_rsc_op id="{rsc}_{task}_{interval}" operation_key="{rsc}_{task}_{interval}"
            operation="{task}" interval="{interval}" call-id="{call}" rc-code="{rc}" op-status="{status}"
            transition-key="{call}:1:{want}:0f" transition-magic="{status}:{rc};{call}:1:{want}:0f"
            last-rc-change="{at}" exec-time="10" queue-time="0" {more}/>"#
        )
    }

    /// An operation that ended as it should.
    pub(crate) fn ran(self, node: &str, rsc: &str, task: &str, interval: u64, rc: i32) -> Self {
        self.ran_with(node, rsc, task, interval, rc, rc, "")
    }

    /// An operation that should have ended otherwise.
    pub(crate) fn failed(self, node: &str, rsc: &str, task: &str, interval: u64, rc: i32) -> Self {
        let want = if task == "monitor" && interval == 0 {
            7
        } else {
            0
        };
        self.ran_with(node, rsc, task, interval, rc, want, "")
    }

    #[allow(clippy::too_many_arguments, reason = "a history entry in one line")]
    pub(crate) fn ran_with(
        mut self,
        node: &str,
        rsc: &str,
        task: &str,
        interval: u64,
        rc: i32,
        want: i32,
        more: &str,
    ) -> Self {
        let op = self.entry(rsc, task, interval, rc, want, more);
        let history = &mut self.at(node).history;
        match history.iter_mut().find(|(id, _)| id == rsc) {
            Some((_, ops)) => ops.push_str(&op),
            None => history.push((rsc.to_owned(), op)),
        }
        self
    }

    /// Started on this node and monitored; known to be stopped on the others.
    pub(crate) fn running(mut self, node: &str, rsc: &str) -> Self {
        let others: Vec<String> = self.nodes.iter().map(|n| n.name.clone()).collect();
        for other in others {
            if other != node && !self.knows(&other, rsc) {
                self = self.ran(&other, rsc, "monitor", 0, 7);
            }
        }
        self.ran(node, rsc, "start", 0, 0)
            .ran(node, rsc, "monitor", 10_000, 0)
    }

    /// Known to be stopped on all nodes.
    pub(crate) fn stopped(mut self, rsc: &str) -> Self {
        let all: Vec<String> = self.nodes.iter().map(|n| n.name.clone()).collect();
        for node in all {
            self = self.ran(&node, rsc, "monitor", 0, 7);
        }
        self
    }

    fn knows(&self, node: &str, rsc: &str) -> bool {
        self.nodes
            .iter()
            .any(|n| n.name == node && n.history.iter().any(|(id, _)| id == rsc))
    }

    pub(crate) fn xml(&self) -> String {
        let (mut nodes, mut status) = (String::new(), String::new());
        for node in &self.nodes {
            let Node {
                name,
                state,
                attributes,
                transient,
                history,
            } = node;
            let _ = write!(
                nodes,
                r#"<node id="{name}" uname="{name}"><instance_attributes id="{name}-a">{attributes}</instance_attributes></node>"#
            );
            if state == NEVER {
                continue;
            }
            let mut lrm = String::new();
            for (rsc, ops) in history {
                let agent = if rsc == "fence" {
                    r#"class="stonith" type="fence_dummy""#
                } else {
                    r#"class="ocf" provider="heartbeat" type="Dummy""#
                };
                let _ = write!(
                    lrm,
                    r#"<lrm_resource id="{rsc}" {agent}>{ops}</lrm_resource>"#
                );
            }
            let _ = write!(
                status,
                r#"<node_state id="{name}" uname="{name}" {state}>
                   <transient_attributes id="{name}"><instance_attributes id="{name}-t">{transient}</instance_attributes></transient_attributes>
                   <lrm id="{name}"><lrm_resources>{lrm}</lrm_resources></lrm></node_state>"#
            );
        }
        format!(
            r#"<cib validate-with="pacemaker-3.0" crm_feature_set="3.17.4" epoch="1" num_updates="0" admin_epoch="0" execution-date="{NOW}" {}>
            <configuration><crm_config><cluster_property_set id="opts">{}</cluster_property_set></crm_config>
            <nodes>{nodes}</nodes><resources>{}</resources><constraints>{}</constraints></configuration>
            <status>{status}</status></cib>"#,
            self.root, self.options, self.resources, self.constraints
        )
    }

    /// With what every score is the sum of.
    pub(crate) fn explained(&self) -> Plan {
        let tree = cib::xml::parse(&self.xml()).expect("the scenario's XML");
        let plan = scheduler::schedule_with_scores(&tree, &Options { now: NOW });
        check(&plan);
        assert_eq!(unexplained(&plan), Vec::<String>::new());
        plan
    }

    pub(crate) fn plan(&self) -> Plan {
        let tree = cib::xml::parse(&self.xml()).expect("the scenario's XML");
        let plan = schedule(&tree, &Options { now: NOW });
        check(&plan);
        plan
    }
}

/// What holds for every plan: the graph is closed and can be run to its end.
pub(crate) fn check(plan: &Plan) {
    let synapses = &plan.graph.synapses;
    let known: std::collections::BTreeSet<u32> = synapses.iter().map(|s| s.action.id).collect();
    assert_eq!(known.len(), synapses.len(), "an id is used twice");
    let mut done = std::collections::BTreeSet::new();
    loop {
        let ready: Vec<u32> = synapses
            .iter()
            .filter(|s| !done.contains(&s.action.id) && s.inputs.iter().all(|i| done.contains(i)))
            .map(|s| s.action.id)
            .collect();
        if ready.is_empty() {
            break;
        }
        done.extend(ready);
    }
    assert_eq!(done, known, "part of the graph waits for ever");
}

/// What is wrong with the terms that scores are explained by: of every resource that is placed, and
/// every node it could think of, they add up to the score, and that is told.
pub(crate) fn unexplained(plan: &Plan) -> Vec<String> {
    use scheduler::{Because, Score};
    use std::collections::BTreeMap;
    let mut terms: BTreeMap<(&str, &str), Vec<i32>> = BTreeMap::new();
    let mut totals: BTreeMap<(&str, &str), i32> = BTreeMap::new();
    for reason in &plan.reasons {
        let Some(node) = reason.node.as_deref() else {
            continue;
        };
        let about = (reason.resource.as_str(), node);
        if let Because::Total { score } = reason.because {
            totals.insert(about, score);
        }
        terms
            .entry(about)
            .or_default()
            .extend(reason.because.amount());
    }
    let mut wrong = Vec::new();
    for (about, score) in &totals {
        let amounts = terms.get(about).cloned().unwrap_or_default();
        let sum = amounts.iter().copied().fold(0, add);
        if sum != *score {
            wrong.push(format!("{about:?}: {amounts:?} are not {score}"));
        }
    }
    for score in &plan.scores {
        if let Score::Assignment {
            stage,
            resource,
            node,
            ..
        } = score
            && stage == "pcmk__primitive_assign"
            && !totals.contains_key(&(resource.as_str(), node.as_str()))
        {
            wrong.push(format!("{resource} on {node} has no total"));
        }
    }
    wrong
}

/// Terms that no rule is named for.
pub(crate) fn remainders(plan: &Plan) -> Vec<&scheduler::Reason> {
    let reasons = plan.reasons.iter();
    let rest = |because: &scheduler::Because| matches!(because, scheduler::Because::Score { from, .. } if from == "rest");
    reasons.filter(|r| rest(&r.because)).collect()
}

/// Scores end at a million, and minus infinity wins (Pacemaker Explained, "Scores").
fn add(a: i32, b: i32) -> i32 {
    const INFINITY: i32 = 1_000_000;
    match (a.min(b), a.max(b)) {
        (low, _) if low <= -INFINITY => -INFINITY,
        (_, high) if high >= INFINITY => INFINITY,
        (low, high) => (low + high).clamp(-INFINITY, INFINITY),
    }
}
