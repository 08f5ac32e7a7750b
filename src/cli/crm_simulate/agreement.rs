//! Agreement of the whole of crm_simulate with Pacemaker's regression suite, where its cases are at
//! hand: `MAINSTAY_SCHEDULER_CASES` names the folder, with `xml/`, `summary/`, `exp/` and `scores/`
//! as a checkout of Pacemaker has them in cts/scheduler. As cts-scheduler does, each case is
//! simulated and its text compared, and then graph and scores are. White space does not count, nor
//! do actions' numbers. `MAINSTAY_CASE=NAME,NAME` looks at these alone, and shows what differs.

use super::*;
use crate::cli::crm::words;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is compared, and of [`CASES_KNOWN`] how many agree. Raise them with every gain;
/// `scheduler/DIFFERENCES.md` names the others.
const FLOORS: [(&str, usize); LEVELS] = [
    ("Transition Summary", CASES_KNOWN),
    ("actions in their order", CASES_KNOWN),
    ("the whole text", CASES_KNOWN),
    ("the graph", CASES_KNOWN),
    ("scores", 456),
    ("parameters in the graph", 455),
];
const LEVELS: usize = 6;

/// Cases that were looked at one by one. Of a folder with others, as many per cent must agree:
const CASES_KNOWN: usize = 466;
const FLOORS_OF_OTHERS: [usize; LEVELS] = [98, 98, 98, 95, 90, 85];

/// Times that cts-scheduler hands over; a `cases.tsv` in the folder wins.
const TIMES: [(&str, &str); 4] = [
    ("date-1", "-t 2005-020"),
    ("date-2", "-t 2005-020T12:30"),
    ("date-3", "-t 2005-020T11:30"),
    ("origin", "-t '2014-05-07 00:28:00'"),
];

struct Case {
    folder: PathBuf,
    name: String,
    arguments: String,
}

impl Case {
    fn all(folder: &Path) -> Vec<Self> {
        let mut arguments: BTreeMap<String, String> = TIMES
            .iter()
            .map(|(name, time)| ((*name).to_owned(), (*time).to_owned()))
            .collect();
        let table = std::fs::read_to_string(folder.join("cases.tsv")).unwrap_or_default();
        for row in table.lines().skip(1) {
            let fields: Vec<&str> = row.split('\t').collect();
            arguments.insert(fields[0].to_owned(), fields[2].to_owned());
        }
        let files = std::fs::read_dir(folder.join("xml")).expect("a folder xml with the cases");
        let names = files.filter_map(|file| {
            let name = file.ok()?.file_name().into_string().ok()?;
            Some(name.strip_suffix(".xml")?.to_owned())
        });
        let names: BTreeSet<String> = names.collect();
        let case = |name: String| Self {
            folder: folder.to_owned(),
            arguments: arguments.get(&name).cloned().unwrap_or_default(),
            name,
        };
        names.into_iter().map(case).collect()
    }

    fn expected(&self, kind: &str) -> String {
        let file = format!("{kind}/{}.{kind}", self.name);
        std::fs::read_to_string(self.folder.join(file)).expect("what is expected of the case")
    }

    fn wanted(&self, options: &str) -> Wanted {
        let file = self.folder.join(format!("xml/{}.xml", self.name));
        let mut line = words::split(&format!("{options} {}", self.arguments)).unwrap();
        line.extend(["-x".to_owned(), file.display().to_string()]);
        Wanted::read(&crate::cli::getopt::parse(&OPTIONS, &line).unwrap()).unwrap()
    }

    /// What `-S` says.
    fn text(&self) -> String {
        let wanted = self.wanted("-S");
        let mut cib = source::read(wanted.source.as_deref()).unwrap();
        let (mut session, mut console) = (session(&wanted), Console::buffers());
        session.run(&mut cib, &mut console).unwrap();
        assert!(session.complete, "{}: the transition ends", self.name);
        console.print(&session.out.take());
        let (out, err) = console.into_texts();
        format!("{err}\n{out}")
    }

    /// Which levels agree, and where asked for what does not.
    fn compare(&self, show: bool) -> [bool; LEVELS] {
        let (text, expected) = (self.text(), self.expected("summary"));
        let wanted = self.wanted("-s -G unwritten");
        let cib = source::read(wanted.source.as_deref()).unwrap();
        let mut session = session(&wanted);
        session.set_now(&cib);
        let plan = session.plan(&cib, &mut Console::buffers()).unwrap();
        let options = scheduler::options_in_force(&cib, session.now);
        let graph = Graph::of(&graph_xml(&options, &plan));
        let recorded = Graph::of(&cib::xml::parse(&self.expected("exp")).unwrap());
        let shown = plan.scores.iter().filter(|score| !score.is_utilization());
        let shown: String = shown.map(|score| format!("{score}\n")).collect();
        let scores = self.expected("scores");
        if show {
            differ(&squeezed(&expected), &squeezed(&text));
            differ(&squeezed(&scores), &squeezed(&shown));
            differ(&recorded.lines(), &graph.lines());
        }
        let changes = "Transition Summary:";
        let steps = "Executing Cluster Transition:";
        [
            sorted(section(&text, changes)) == sorted(section(&expected, changes)),
            by_subject(&section(&text, steps)) == by_subject(&section(&expected, steps)),
            squeezed(&text) == squeezed(&expected),
            graph.actions == recorded.actions && graph.edges == recorded.edges,
            sorted(squeezed(&shown)) == sorted(squeezed(&scores)),
            graph == recorded,
        ]
    }
}

fn session(wanted: &Wanted) -> Session<'_> {
    Session {
        wanted,
        out: Printer::new(Form::Fancy, Element::default()),
        now: 0,
        complete: true,
    }
}

fn squeeze(line: &str) -> String {
    line.split_whitespace().collect()
}

/// Lines with something in them, without white space.
fn squeezed(text: &str) -> Vec<String> {
    let lines = text.lines().map(squeeze);
    lines.filter(|line| !line.is_empty()).collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Lines below a heading, up to the next one; the heading itself first, so that nothing is not
/// taken for an empty section.
fn section(text: &str, title: &str) -> Vec<String> {
    const TITLES: [&str; 4] = [
        "Current cluster status:",
        "Transition Summary:",
        "Executing Cluster Transition:",
        "Revised Cluster Status:",
    ];
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut lines = lines.skip_while(|line| *line != title);
    let heading = lines.next().into_iter();
    let below = lines.take_while(|line| !TITLES.contains(line));
    heading.chain(below).map(str::to_owned).collect()
}

/// Executed actions of one resource on one node are in order; between others any order is right.
fn by_subject(lines: &[String]) -> BTreeMap<(String, String), Vec<String>> {
    let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |word: &str| {
            let at = words.iter().skip(3).position(|w| *w == word)? + 4;
            words.get(at).copied()
        };
        let name = match words.get(1) {
            Some(&"Fencing") => words[2],
            Some(&"Pseudo") => words[3].rsplitn(3, '_').last().unwrap_or(words[3]),
            _ => after("for").or(words.get(3).copied()).unwrap_or(line),
        };
        let subject = (name.to_owned(), after("on").unwrap_or("").to_owned());
        found.entry(subject).or_default().push(squeeze(line));
    }
    found
}

#[derive(PartialEq, Eq)]
struct Graph {
    /// Sorted.
    actions: Vec<String>,
    edges: BTreeSet<String>,
    header: Vec<String>,
    /// Actions with their parameters and priorities, sorted.
    details: Vec<String>,
}

impl Graph {
    fn of(root: &Element) -> Self {
        let (mut actions, mut edges, mut details) = (Vec::new(), BTreeSet::new(), Vec::new());
        for synapse in root.all("synapse") {
            let below = |name: &'static str| {
                let lists = synapse.all(name);
                lists.flat_map(|list| &list.children)
            };
            let inputs: Vec<String> = below("inputs")
                .flat_map(|t| &t.children)
                .map(key_of)
                .collect();
            let priority = synapse.attr("priority").unwrap_or("0");
            for action in below("action_set") {
                let key = key_of(action);
                edges.extend(inputs.iter().map(|input| format!("{input}  -->  {key}")));
                let mut parts = Vec::new();
                flatten(action, true, &mut parts);
                details.push(format!(
                    "{key} priority={priority} {}",
                    sorted(parts).join(" ")
                ));
                actions.push(key);
            }
        }
        Self {
            actions: sorted(actions),
            edges,
            header: sorted(attributes(root)),
            details: sorted(details),
        }
    }

    fn lines(&self) -> Vec<String> {
        let lines = self.edges.iter().chain(&self.header).chain(&self.details);
        lines.cloned().collect()
    }
}

/// Identity of an action, the same in any graph.
fn key_of(action: &Element) -> String {
    const NAMES: [&str; 5] = [
        "operation",
        "operation_key",
        "on_node",
        "internal_operation_key",
        "router_node",
    ];
    let values = NAMES.iter().filter_map(|name| action.attr(name));
    let words: Vec<&str> = std::iter::once(action.name.as_str())
        .chain(values)
        .collect();
    words.join(" ")
}

fn flatten(element: &Element, is_top: bool, parts: &mut Vec<String>) {
    let path = match is_top {
        true => element.name.to_string(),
        false => format!("{}#{}", element.name, element.id().unwrap_or("")),
    };
    let own = attributes(element).into_iter();
    parts.extend(own.map(|attribute| format!("{path}@{attribute}")));
    for child in &element.children {
        flatten(child, false, parts);
    }
}

/// Without what every program that makes a graph sets in its own way.
fn attributes(element: &Element) -> Vec<String> {
    const FREE: [&str; 4] = ["crm_feature_set", "batch-limit", "id", "transition_id"];
    let attrs = element.attrs.iter();
    attrs
        .filter(|(name, _)| !FREE.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// Lines that only one side has.
fn differ(expected: &[String], got: &[String]) {
    let mut counts: BTreeMap<&String, i32> = BTreeMap::new();
    expected
        .iter()
        .for_each(|line| *counts.entry(line).or_default() -= 1);
    got.iter()
        .for_each(|line| *counts.entry(line).or_default() += 1);
    for (line, count) in counts.into_iter().filter(|(_, count)| *count != 0) {
        println!("{} {line}", if count < 0 { '-' } else { '+' });
    }
}

/// The levels of each case, worked out on two processors.
fn compare_all(cases: &[Case], show: bool) -> Vec<(&Case, [bool; LEVELS])> {
    let half = |cases: &'_ [Case]| -> Vec<[bool; LEVELS]> {
        cases.iter().map(|case| case.compare(show)).collect()
    };
    let (first, second) = cases.split_at(cases.len() / 2);
    let agree = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(second));
        let mut agree = half(first);
        agree.extend(other.join().expect("the other half comes to its end"));
        agree
    });
    cases.iter().zip(agree).collect()
}

#[test]
fn agreement_with_the_suite_stays() {
    let Some(folder) = std::env::var_os("MAINSTAY_SCHEDULER_CASES") else {
        println!("skipped: MAINSTAY_SCHEDULER_CASES does not name the folder of the cases");
        return;
    };
    let mut cases = Case::all(Path::new(&folder));
    let chosen = std::env::var("MAINSTAY_CASE").unwrap_or_default();
    if !chosen.is_empty() {
        cases.retain(|case| chosen.split(',').any(|name| name == case.name));
    }
    let all = cases.len();
    let compared = compare_all(&cases, !chosen.is_empty());
    for (case, agree) in compared
        .iter()
        .filter(|(_, agree)| *agree != [true; LEVELS])
    {
        let levels = FLOORS.iter().zip(agree).filter(|(_, agrees)| !**agrees);
        let levels: Vec<&str> = levels.map(|((what, _), _)| *what).collect();
        println!("{}: differs in {}", case.name, levels.join(", "));
    }
    println!("{all} cases ran");
    for (level, (what, floor)) in FLOORS.iter().enumerate() {
        let have = compared.iter().filter(|(_, agree)| agree[level]).count();
        println!("{what}: {have} of {all} agree");
        let floor = match all {
            CASES_KNOWN => *floor,
            _ => (FLOORS_OF_OTHERS[level] * all).div_ceil(100),
        };
        let asserted = chosen.is_empty();
        assert!(
            !asserted || have >= floor,
            "{what}: {have} agree, not {floor}"
        );
    }
}
