//! Over the inputs of Pacemaker's scheduler tests, when `MAINSTAY_SCHEDULER_CASES` names the
//! folder that holds them: real and strange CIBs of twenty years.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use cib::check::Severity;
use cib::config::Config;
use cib::{Cib, Element, Patch, Section, digest, value, xml};

fn cases() -> Vec<(PathBuf, String)> {
    let Some(folder) = std::env::var_os("MAINSTAY_SCHEDULER_CASES") else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: MAINSTAY_SCHEDULER_CASES is not set"
        );
        return Vec::new();
    };
    let xml = PathBuf::from(&folder).join("xml");
    let folder = if xml.is_dir() { xml } else { folder.into() };
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "xml"))
        .collect();
    assert!(!files.is_empty(), "no *.xml in {}", folder.display());
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn every_case_reads_and_writes_back() {
    for (path, text) in cases() {
        let tree = xml::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(
            xml::parse(&xml::compact(&tree)).unwrap(),
            tree,
            "{}",
            path.display()
        );
        let formatted = xml::format(&tree);
        assert_eq!(xml::parse(&formatted).unwrap(), tree, "{}", path.display());
        assert_eq!(xml::format(&xml::parse(&formatted).unwrap()), formatted);
    }
}

#[test]
fn patches_lead_from_each_case_to_the_next() {
    let trees: Vec<Element> = cases()
        .iter()
        .map(|(_, t)| xml::parse(t).unwrap())
        .collect();
    for pair in trees.windows(2) {
        let patch = Patch::between(&pair[0], &pair[1]).unwrap();
        assert_eq!(patch.apply_unversioned(&pair[0]).unwrap(), pair[1]);
    }
}

/// Recorded operations whose digest we compute from the configuration. Some cases change the
/// configuration on purpose, so not all can match.
#[test]
fn recorded_operation_digests_are_ours() {
    let (mut same, mut all) = (0, 0);
    for (_, text) in cases() {
        let cib = Cib::parse(&text).unwrap();
        let Some(status) = cib.section(Section::Status) else {
            continue;
        };
        for node in status.all("node_state") {
            for history in lrm_resources(node) {
                for op in history.all("lrm_rsc_op") {
                    if let Some((recorded, ours)) = digests(&cib, history, op) {
                        all += 1;
                        same += usize::from(recorded == ours);
                    }
                }
            }
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "{same} of {all} recorded digests are ours"
    );
    assert!(same * 2 >= all, "{same} of {all}");
}

fn lrm_resources(node: &Element) -> impl Iterator<Item = &Element> {
    node.all("lrm")
        .flat_map(|l| l.all("lrm_resources"))
        .flat_map(|r| r.all("lrm_resource"))
}

fn digests(cib: &Cib, history: &Element, op: &Element) -> Option<(String, String)> {
    let recorded = op.attr("op-digest")?.to_owned();
    let config = Config::new(cib);
    let id = history.id()?.split(':').next()?;
    let resource = config.resource(id)?;
    let mut parameters = config.parameters(&resource);
    let name = op.attr("operation")?;
    let interval_ms: u64 = op.attr("interval")?.parse().ok()?;
    let timeout_text;
    if interval_ms > 0 {
        let ops = config.ops(&resource);
        let configured = ops
            .iter()
            .find(|o| o.name == name && o.interval_ms == interval_ms)?;
        let default = config
            .op_defaults()
            .get("timeout")
            .copied()
            .unwrap_or("20s");
        let timeout_ms = configured
            .timeout_ms
            .or_else(|| value::parse_interval_ms(default).ok())?;
        timeout_text = timeout_ms.to_string();
        parameters.insert("CRM_meta_timeout", &timeout_text);
    }
    Some((recorded, digest::operation(parameters)))
}

/// The regression suite of another implementation is mostly sound; what we call an error there
/// had better be one.
#[test]
fn few_cases_have_errors() {
    let cases = cases();
    let mut wrong = 0;
    for (path, text) in &cases {
        let findings = cib::check::verify(&Cib::parse(text).unwrap());
        let errors: Vec<String> = findings
            .iter()
            .filter(|f| f.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        wrong += usize::from(!errors.is_empty());
        for error in errors {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let _ = writeln!(std::io::stderr(), "{name}: {error}");
        }
    }
    assert!(wrong * 4 <= cases.len(), "{wrong} of {} cases", cases.len());
}
