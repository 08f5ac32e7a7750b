//! Our own cases: each `NAME.xml` is a small CIB that shows the rule it is named after, and
//! `NAME.txt` what must come of it: the lines of the Transition Summary, then `--`, then each
//! action of the graph with what it waits for, both sorted, then errors and warnings. Lines that
//! start with `#` explain. `scripts/scheduler-diff --cases` compares the same files with
//! Pacemaker's own answer; where that is another, a comment says why.

#[path = "../common/mod.rs"]
mod common;

use scheduler::{Action, ActionKind, Options, Plan, schedule, schedule_with_scores};
use std::path::{Path, PathBuf};

/// Fewer would mean that the folder was not read.
const CASES_MIN: usize = 80;

fn name(action: &Action) -> String {
    let key = action.internal_key.as_ref().unwrap_or(&action.key);
    match &action.node {
        Some((_, node)) if action.kind != ActionKind::Pseudo => format!("{key} {node}"),
        _ => key.clone(),
    }
}

fn outcome(plan: &Plan) -> String {
    let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut summary: Vec<String> = plan.summary.iter().map(words).collect();
    summary.sort();
    let synapses = &plan.graph.synapses;
    let mut graph = Vec::new();
    for synapse in synapses {
        let mut inputs: Vec<String> = synapses
            .iter()
            .filter(|other| synapse.inputs.contains(&other.action.id))
            .map(|other| name(&other.action))
            .collect();
        inputs.sort();
        inputs.dedup();
        let mut line = name(&synapse.action);
        if !inputs.is_empty() {
            line += &format!(" <- {}", inputs.join(", "));
        }
        graph.push(line);
    }
    graph.sort();
    let notes = plan.errors.iter().chain(&plan.warnings);
    let notes = notes.map(|message| format!("note: {message}"));
    let lines = summary.into_iter().chain(["--".to_owned()]).chain(graph);
    let lines = lines.chain(notes);
    lines.map(|line| line + "\n").collect()
}

fn plan_of(path: &Path) -> Plan {
    let (tree, options) = input(path);
    let plan = schedule(&tree, &options);
    common::check(&plan);
    plan
}

fn input(path: &Path) -> (cib::Element, Options) {
    let text = std::fs::read_to_string(path).expect("a readable case");
    let tree = cib::xml::parse(&text).expect("the case's CIB");
    let now = tree
        .attr("execution-date")
        .and_then(|date| date.parse().ok());
    let now = now.expect("a case says when it is");
    (tree, Options { now })
}

fn all() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let files = std::fs::read_dir(&folder).expect("the folder of the cases");
    let mut cases: Vec<_> = files
        .map(|file| file.expect("a file of the folder").path())
        .filter(|path| path.extension().is_some_and(|end| end == "xml"))
        .collect();
    cases.sort();
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    cases
}

#[test]
fn scores_are_explained_to_the_point() {
    for case in all() {
        let (tree, options) = input(&case);
        let plan = schedule_with_scores(&tree, &options);
        let case = case.display();
        assert_eq!(common::unexplained(&plan), Vec::<String>::new(), "{case}");
        assert!(
            common::remainders(&plan).is_empty(),
            "{case}: no rule is named"
        );
    }
}

#[test]
fn cases_come_out_as_recorded() {
    let cases = all();
    let mut wrong = Vec::new();
    for case in &cases {
        let have = outcome(&plan_of(case));
        let expected = case.with_extension("txt");
        if std::env::var_os("MAINSTAY_WRITE_CASES").is_some() {
            let text = std::fs::read_to_string(&expected).unwrap_or_default();
            let comments = text.lines().filter(|line| line.starts_with('#'));
            let comments: String = comments.map(|line| format!("{line}\n")).collect();
            std::fs::write(&expected, comments + &have).expect("a writable case");
        }
        let text = std::fs::read_to_string(&expected).expect("what the case expects");
        let want: String = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        if want != have {
            wrong.push(format!(
                "{}\nexpected:\n{want}\ngot:\n{have}",
                case.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
