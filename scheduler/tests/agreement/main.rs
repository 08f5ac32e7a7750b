//! Agreement with Pacemaker's regression suite, where its cases are at hand: the folder that
//! `MAINSTAY_SCHEDULER_CASES` names holds `cases.tsv`, `xml/`, `summary/` and `exp/`.
//! `MAINSTAY_CASE=NAME` shows where one case differs instead of counting.

#[path = "../common/mod.rs"]
mod common;

use cib::Element;
use scheduler::{Action, ActionKind, Options, Plan, schedule_with_scores};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Cases of each tier that must agree: Transition Summary, structure of the graph,
/// scores. Raise them
/// with every gain.
const FLOORS: [(&str, [usize; 3]); 5] = [
    ("tier1-core", [173, 173, 172]),
    ("tier2-promotable", [94, 94, 92]),
    ("tier3-rules", [52, 52, 52]),
    ("tier4-placement", [89, 89, 89]),
    ("tier5-remote", [58, 58, 51]),
];

/// Now, for cases that do not say when they are: later than all of them.
const LATER: i64 = 1_790_000_000;

struct Case {
    folder: PathBuf,
    name: String,
    tier: String,
    now: Option<i64>,
}

/// What two answers to one case are compared by.
#[derive(PartialEq, Eq)]
struct Answer {
    /// Sorted lines, without white space.
    summary: Vec<String>,
    /// Sorted keys of the actions.
    actions: Vec<String>,
    edges: BTreeSet<String>,
    /// Sorted.
    scores: Vec<String>,
}

fn squeeze(line: &str) -> String {
    line.split_whitespace().collect()
}

impl Case {
    fn parse(folder: &Path, row: &str) -> Option<Self> {
        let fields: Vec<&str> = row.split('\t').collect();
        let [name, _, args, tier, ..] = fields[..] else {
            return None;
        };
        let time = args.split_once("-t").and_then(|(_, time)| {
            let time = time.trim().trim_matches(['"', '\'']).replace(' ', "T");
            let ordinal = jiff::civil::DateTime::strptime("%Y-%jT%H:%M", &time)
                .or_else(|_| {
                    jiff::civil::DateTime::strptime("%Y-%jT%H:%M", format!("{time}T00:00"))
                })
                .and_then(|at| Ok(at.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp()));
            time.parse::<jiff::Timestamp>().or(ordinal).ok()
        });
        Some(Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
            tier: tier.to_owned(),
            now: time.map(jiff::Timestamp::as_second),
        })
    }

    fn read(&self, kind: &str) -> String {
        let file = format!("{kind}/{}.{kind}", self.name);
        std::fs::read_to_string(self.folder.join(file)).expect("a file of the case")
    }

    fn plan(&self) -> Plan {
        let tree = cib::xml::parse(&self.read("xml")).expect("the case's CIB");
        let execution = || tree.attr("execution-date")?.parse().ok();
        let now = self.now.or_else(execution).unwrap_or(LATER);
        schedule_with_scores(&tree, &Options { now })
    }

    fn expected(&self) -> Answer {
        let text = self.read("summary");
        let lines = text
            .lines()
            .skip_while(|line| line.trim() != "Transition Summary:")
            .skip(1)
            .take_while(|line| line.trim() != "Executing Cluster Transition:");
        let graph = cib::xml::parse(&self.read("exp")).expect("the expected graph");
        let scores = self.read("scores");
        Answer::recorded(lines.map(squeeze), &graph, scores.lines().map(squeeze))
    }
}

impl Answer {
    fn new(
        lines: impl Iterator<Item = String>,
        actions: Vec<String>,
        edges: BTreeSet<String>,
        scores: impl Iterator<Item = String>,
    ) -> Self {
        let sorted = |lines: Vec<String>| {
            let mut lines = lines;
            lines.sort();
            lines
        };
        Self {
            summary: sorted(lines.filter(|line| !line.is_empty()).collect()),
            actions: sorted(actions),
            edges,
            scores: sorted(scores.filter(|line| !line.is_empty()).collect()),
        }
    }

    fn recorded(
        lines: impl Iterator<Item = String>,
        graph: &Element,
        scores: impl Iterator<Item = String>,
    ) -> Self {
        let (mut actions, mut edges) = (Vec::new(), BTreeSet::new());
        for synapse in graph.all("synapse") {
            let inputs = synapse.first("inputs").into_iter();
            let triggers = inputs.flat_map(|i| &i.children);
            let before: Vec<String> = triggers
                .flat_map(|t| &t.children)
                .map(recorded_key)
                .collect();
            let sets = synapse.first("action_set").into_iter();
            for key in sets.flat_map(|s| &s.children).map(recorded_key) {
                edges.extend(before.iter().map(|b| edge(b, &key)));
                actions.push(key);
            }
        }
        Self::new(lines, actions, edges, scores)
    }

    fn of(plan: &Plan) -> Self {
        let lines = plan.summary.iter().map(|line| squeeze(&format!("*{line}")));
        let scores = plan.scores.iter().filter(|score| !score.is_utilization());
        let scores = scores.map(|score| squeeze(&score.to_string()));
        let synapses = &plan.graph.synapses;
        let keys: BTreeMap<u32, String> = synapses
            .iter()
            .map(|synapse| (synapse.action.id, key(&synapse.action)))
            .collect();
        let edges = synapses.iter().flat_map(|synapse| {
            let before = synapse.inputs.iter().filter_map(|input| keys.get(input));
            before.map(|before| edge(before, &keys[&synapse.action.id]))
        });
        Self::new(
            lines,
            keys.values().cloned().collect(),
            edges.collect(),
            scores,
        )
    }

    fn same_graph(&self, other: &Self) -> bool {
        self.actions == other.actions && self.edges == other.edges
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = self.summary.clone();
        lines.extend(self.actions.iter().cloned());
        lines.extend(self.edges.iter().cloned());
        lines.extend(self.scores.iter().cloned());
        lines
    }
}

fn edge(before: &str, key: &str) -> String {
    format!("{before}  -->  {key}")
}

/// Identity of an action, the same in any graph.
fn key(action: &Action) -> String {
    let mut key = match action.kind {
        ActionKind::Rsc => "rsc_op",
        ActionKind::Pseudo => "pseudo_event",
        ActionKind::Crm => "crm_event",
    }
    .to_owned();
    let node = action.node.as_ref().map(|(_, name)| name);
    let parts = [Some(&action.operation), Some(&action.key), node];
    let more = [action.internal_key.as_ref(), action.router_node.as_ref()];
    for part in parts.into_iter().chain(more).flatten() {
        key = format!("{key} {part}");
    }
    key
}

/// The same, of an action as recorded.
fn recorded_key(element: &Element) -> String {
    let attrs = [
        "operation",
        "operation_key",
        "on_node",
        "internal_operation_key",
        "router_node",
    ];
    let mut key = element.name.to_string();
    for value in attrs.iter().filter_map(|attr| element.attr(attr)) {
        key = format!("{key} {value}");
    }
    key
}

/// Lines that only one side has.
fn show(case: &Case) {
    let plan = case.plan();
    let (want, got) = (case.expected().lines(), Answer::of(&plan).lines());
    for message in plan.errors.iter().chain(&plan.warnings) {
        println!("note {message}");
    }
    let count = |lines: &[String]| {
        let mut counts: BTreeMap<String, i32> = BTreeMap::new();
        for line in lines {
            *counts.entry(line.clone()).or_default() += 1;
        }
        counts
    };
    let (want, got) = (count(&want), count(&got));
    for (line, times) in &want {
        if got.get(line) != Some(times) {
            println!("- {line}");
        }
    }
    for (line, times) in &got {
        if want.get(line) != Some(times) {
            println!("+ {line}");
        }
    }
}

fn cases() -> Option<Vec<Case>> {
    let folder = std::env::var_os("MAINSTAY_SCHEDULER_CASES")?;
    let folder = Path::new(&folder);
    // Without it, as in a checkout of Pacemaker, crm_simulate's own test looks at the cases.
    let table = std::fs::read_to_string(folder.join("cases.tsv")).ok()?;
    let rows = table.lines().skip(1);
    Some(rows.filter_map(|row| Case::parse(folder, row)).collect())
}

#[test]
fn scores_are_explained_to_the_point() {
    let Some(cases) = cases() else {
        eprintln!("skipped: MAINSTAY_SCHEDULER_CASES does not name a folder with cases.tsv");
        return;
    };
    let mut rest = Vec::new();
    for case in &cases {
        let plan = case.plan();
        let wrong = common::unexplained(&plan);
        assert_eq!(wrong, Vec::<String>::new(), "{}", case.name);
        let of_case = common::remainders(&plan);
        for reason in of_case.iter().take(2) {
            println!("{}: {reason:?}", case.name);
        }
        if !of_case.is_empty() {
            rest.push(case.name.as_str());
        }
    }
    println!(
        "{} cases; terms without a rule in {}: {rest:?}",
        cases.len(),
        rest.len()
    );
    assert!(rest.len() <= REMAINDERS_MAX, "more terms without a rule");
}

/// Cases in which a score has a term that no rule is named for.
const REMAINDERS_MAX: usize = 1;

#[test]
fn agreement_stays() {
    let Some(cases) = cases() else {
        eprintln!("skipped: MAINSTAY_SCHEDULER_CASES does not name a folder with cases.tsv");
        return;
    };
    if let Ok(name) = std::env::var("MAINSTAY_CASE") {
        for case in cases
            .iter()
            .filter(|c| name.split(',').any(|n| n == c.name))
        {
            println!("== {}", case.name);
            show(case);
        }
        return;
    }
    let mut counts: BTreeMap<&str, (usize, [usize; 3])> = BTreeMap::new();
    let mut slowest = (std::time::Duration::ZERO, "");
    for case in &cases {
        let start = std::time::Instant::now();
        let plan = case.plan();
        slowest = slowest.max((start.elapsed(), &case.name));
        let (got, want) = (Answer::of(&plan), case.expected());
        let agree = [
            got.summary == want.summary,
            got.same_graph(&want),
            got.scores == want.scores,
        ];
        let count = counts.entry(case.tier.as_str()).or_default();
        count.0 += 1;
        for (count, agrees) in count.1.iter_mut().zip(agree) {
            *count += usize::from(agrees);
        }
        if agree != [true; 3] {
            let [summary, graph, scores] = agree;
            println!(
                "{} {} summary {summary} graph {graph} scores {scores}",
                case.tier, case.name
            );
        }
    }
    println!("slowest: {} {:?}", slowest.1, slowest.0);
    for (tier, (all, [summaries, graphs, scores])) in &counts {
        println!(
            "{tier}: of {all} cases {summaries} summaries, {graphs} graphs and {scores} lists of scores agree"
        );
    }
    for (tier, floors) in FLOORS {
        let (_, have) = counts.get(tier).copied().unwrap_or_default();
        for (what, (have, floor)) in ["summaries", "graphs", "scores"]
            .iter()
            .zip(have.into_iter().zip(floors))
        {
            assert!(have >= floor, "{tier}: fewer {what} agree");
        }
    }
}
