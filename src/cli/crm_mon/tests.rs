//! What monitoring reads of a status, each rule as its program has it.

use super::*;
use crate::cli::backend::CibFile;
use regex_lite::Regex;

/// A cluster with everything that can be wrong.
pub(in crate::cli) fn cluster() -> CibFile {
    let text = include_str!("../../../tests/cli/status/three-nodes.xml");
    CibFile::in_memory(cib::Cib::parse(text).unwrap())
}

pub(in crate::cli) fn document(backend: &mut CibFile) -> cib::Element {
    let status = backend::status(backend).unwrap();
    xml(
        &[],
        (&status, &status),
        false,
        &Sections::usual(true),
        backend,
    )
    .unwrap()
}

/// The five regular expressions of check_crm, and that of check_pacemaker.pl for the DC.
#[test]
fn check_crm_understands_the_older_form() {
    let status = backend::status(&mut cluster()).unwrap();
    let text = view::legacy::document(&status) + &view::legacy::migration(&status);
    let finds = |pattern: &str| {
        let pattern = Regex::new(pattern).unwrap();
        text.lines().find_map(|line| {
            let found = pattern.captures(line)?;
            Some(found.get(1).map_or("", |m| m.as_str()).to_owned())
        })
    };
    assert_eq!(finds("(?i)connection to cluster failed:(.*)"), None);
    let dc = text.lines().find(|l| l.contains("Current DC:")).unwrap();
    assert!(
        Regex::new(" - partition with quorum$")
            .unwrap()
            .is_match(dc)
    );
    assert_eq!(
        finds(r"(?i)^offline:\s*\[\s*(\S.*?)\s*\]").as_deref(),
        Some("node2")
    );
    assert_eq!(
        finds(r"(?i)^node\s+(\S.*):\s*standby").as_deref(),
        Some("node3")
    );
    assert_eq!(
        finds(r"\s*([\w-]+)\s+\(\S+\):\s+Stopped").as_deref(),
        Some("dis")
    );
    assert_eq!(finds(r"^Failed actions:").as_deref(), Some(""));
    assert_eq!(
        finds(r"(?i)\s*(\S+?):\s.*fail-count=\d+").as_deref(),
        Some("f")
    );
}

/// What check_crm.sh counts in the present form.
#[test]
fn words_that_scripts_look_for() {
    let status = backend::status(&mut cluster()).unwrap();
    let options = view::text::Options {
        inactive: true,
        failcounts: true,
        ..view::text::Options::default()
    };
    let text = view::text::document(&status, options);
    let words = Regex::new("(?i)offline|stopped|standby|fail-count|unmanaged").unwrap();
    let lines = text.lines().filter(|l| words.is_match(l)).count();
    assert_eq!(lines, 8, "{text}");
}

/// The fields that ha_cluster_exporter reads, numbers as numbers and booleans as booleans.
#[test]
fn the_exporter_finds_its_fields() {
    let root = older(document(&mut cluster()));
    assert_eq!(root.name, "crm_mon");
    let number =
        |element: &cib::Element, name: &str| element.attr(name).unwrap().parse::<i64>().unwrap();
    let summary = root.first("summary").unwrap();
    assert_eq!(
        number(summary.first("nodes_configured").unwrap(), "number"),
        3
    );
    let resources = summary.first("resources_configured").unwrap();
    let found = ["number", "disabled", "blocked"].map(|n| number(resources, n));
    assert_eq!(found, [12, 1, 0]);
    assert!(summary.first("last_change").unwrap().attr("time").is_some());
    let options = summary.first("cluster_options").unwrap();
    assert_eq!(options.attr("stonith-enabled"), Some("false"));
    assert_eq!(options.attr("maintenance-mode"), Some("false"));
    for node in root.first("nodes").unwrap().all("node") {
        for name in [
            "online",
            "standby",
            "standby_onfail",
            "maintenance",
            "pending",
            "unclean",
            "shutdown",
            "expected_up",
            "is_dc",
        ] {
            assert!(
                ["true", "false"].contains(&node.attr(name).unwrap()),
                "{name}"
            );
        }
        number(node, "resources_running");
        assert_eq!(node.attr("type"), Some("member"));
    }
    let clones = root.first("resources").unwrap().all("clone");
    let states: Vec<_> = clones.map(|c| c.attr("multi_state").unwrap()).collect();
    assert_eq!(states, ["false", "true"]);
    for node in root.first("node_history").unwrap().all("node") {
        for history in node.all("resource_history") {
            number(history, "migration-threshold");
            assert!(
                history
                    .attr("fail-count")
                    .is_none_or(|c| c.parse::<i64>().is_ok())
            );
        }
    }
}

/// Checkmk reads how old a status is, and how many nodes and resources there are.
#[test]
fn checkmk_finds_its_lines() {
    let status = backend::status(&mut cluster()).unwrap();
    let text = view::text::document(&status, view::text::Options::default());
    for pattern in [
        r"(?m)^  \* Last updated: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}$",
        r"(?m)^  \* Current DC: node1 \(version \S+\) - partition with quorum$",
        r"(?m)^  \* 3 nodes configured$",
        r"(?m)^  \* 12 resource instances configured",
    ] {
        assert!(
            Regex::new(pattern).unwrap().is_match(&text),
            "{pattern}: {text}"
        );
    }
}

/// What Centreon's plugin (App-Pacemaker, mode crm) takes from `crm_mon -1 -r -f`, line by line.
#[test]
fn centreon_finds_its_lines() {
    let text = shown("-1 -r -f");
    let all = |pattern: &str| -> Vec<String> {
        let pattern = Regex::new(pattern).unwrap();
        let found = text.lines().filter_map(|line| pattern.captures(line));
        let groups = |c: regex_lite::Captures<'_>| {
            let groups = c.iter().skip(1).flatten().map(|m| m.as_str().to_owned());
            groups.collect::<Vec<_>>().join("=")
        };
        found.map(groups).collect()
    };
    assert_eq!(all(r"Current DC:.*(partition with quorum)$").len(), 1);
    assert_eq!(
        all(r"(?i)^(?:(?:\s*\*\s*)?(offline|online)):\s*\[\s*(.*?)\s*\]"),
        ["Online=node1", "OFFLINE=node2"]
    );
    let started = all(r"\s*([0-9a-zA-Z_\-]+)\s+\(\S+\):\s+Started\s+([0-9a-zA-Z_\-]+)");
    assert_eq!(started, ["ip=node1", "unm=node1", "ga=node1"]);
    let stopped = all(r"\s*([0-9a-zA-Z_\-]+)\s+\(\S+\):\s+Stopped");
    assert_eq!(stopped, ["dis", "gb"]);
    assert_eq!(
        all(r"(?i)^Failed\s+(Resource|Fencing)\s+actions:"),
        ["Resource"]
    );
    assert_eq!(all(r"(?i)\s*(\S+?):.*migration.*fail-count=(\d+)"), ["f=1"]);
}

/// How Checkmk's agent section heartbeat_crm is read: three parts by their headings, lines of lists
/// by their first word.
#[test]
fn checkmk_finds_resources_and_failures() {
    let text = shown("-1 -r");
    let plain = |line: &str| line.trim_start_matches([' ', '*']).to_owned();
    let at = |heading: &str| {
        let mut lines = text.lines().map(str::to_ascii_lowercase);
        lines
            .position(|l| l == heading)
            .unwrap_or_else(|| panic!("{heading}: {text}"))
    };
    let (resources, failures) = (
        at("full list of resources:"),
        at("failed resource actions:"),
    );
    let lines: Vec<&str> = text.lines().collect();
    let number = |what: &str| {
        let line = lines[..resources]
            .iter()
            .find(|l| l.contains(what))
            .unwrap();
        plain(line)
            .split(' ')
            .next()
            .unwrap()
            .parse::<u32>()
            .unwrap()
    };
    assert_eq!(number("nodes configured"), 3);
    assert_eq!(number("resource instances configured"), 12);
    let part = &lines[resources + 1..failures];
    let words = |id: &str| -> Vec<String> {
        let found = part.iter().map(|l| plain(l)).find(|l| l.starts_with(id));
        let found = found.unwrap_or_else(|| panic!("{id}: {text}"));
        found.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(
        words("ip"),
        ["ip", "(ocf:heartbeat:IPaddr2):", "Started", "node1"]
    );
    assert_eq!(words("dis")[2], "Stopped");
    assert!(words("unm").contains(&"(unmanaged)".to_owned()));
    assert_eq!(words("Resource Group:")[2], "g:");
    assert_eq!(words("Clone Set: c ")[3], "[ca]:");
    let promotable = part.iter().find(|l| l.contains("(promotable)")).unwrap();
    assert!(promotable.ends_with("(promotable):"), "{promotable}");
    assert!(plain(lines[failures + 1]).starts_with("f 10s-interval monitor on node1 "));
}

fn shown(line: &str) -> String {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let found = getopt::parse(&OPTIONS, &args).unwrap();
    let mut backend = cluster();
    let status = backend::status(&mut backend).unwrap();
    let sections = sections(&found, Form::Text).unwrap();
    text(&found, (&status, &status), &sections, &mut backend).unwrap()
}

/// Compared with crm_mon 2.1.5 on the same CIB.
#[test]
fn in_brief_and_in_detail() {
    let brief = shown("-1 -b");
    assert!(brief.contains("Active Resources:\n  * 1\t(ocf:heartbeat:IPaddr2):\tActive node1\n  * 2\t(ocf:pacemaker:Dummy):\tActive node1\n  * Resource Group: g (1 member inactive):\n    * 1/2\t(ocf:pacemaker:Dummy):\tActive node1\n  * Clone Set: c [ca]:\n"), "{brief}");
    assert!(shown("-1 -b -r").contains("  * 2/3\t(ocf:pacemaker:Dummy):\tActive node1\n"));
    let by_node = shown("-1 -b -n");
    assert!(by_node.contains("  * Node node1: online:\n    * Resources:\n      * 1\t(ocf:heartbeat:IPaddr2):\tActive \n      * 4\t(ocf:pacemaker:Dummy):\tActive \n      * 1\t(ocf:pacemaker:Stateful):\tActive \n\nFailed"), "{by_node}");
    let detail = shown("-1 -R -r");
    for line in [
        "  * Current DC: node1 (1) (version ",
        "  * Node node1 (1): online, feature set ",
        "  * Node node2 (2): OFFLINE\n",
        "    * ca\t(ocf:pacemaker:Dummy):\t Started node1\n    * ca\t(ocf:pacemaker:Dummy):\t Stopped\n    * ca\t",
        "  * f_monitor_10000 on node1 'not running' (7): call=7, status='complete', exitreason='gone away', last-rc-change='",
        ", queued=1ms, exec=15ms\n",
    ] {
        assert!(detail.contains(line), "{line}: {detail}");
    }
}

#[test]
fn parts_by_flag_and_by_name() {
    assert!(shown("-1 -D").starts_with("Node List:\n"));
    assert_eq!(
        shown("-1 --include=none,nodes"),
        "Node List:\n  * Node node3: standby\n  * Online: [ node1 ]\n  * OFFLINE: [ node2 ]\n"
    );
    assert!(!shown("-1 --exclude=dc,times").contains("Last updated"));
    let options = "  * STONITH of failed nodes disabled\n  * Cluster is symmetric\n  * No quorum policy: Stop ALL resources\n";
    assert_eq!(
        shown("-1 --include=none,options"),
        format!("Cluster Summary:\n{options}")
    );
    assert!(
        shown("-1 --include=options")
            .contains(&format!("configured (1 DISABLED)\n{options}\nNode"))
    );
    assert!(!shown("-1 --include=all").contains("No quorum policy"));
    assert!(shown("-1 --include=operations").contains("\nOperations:\n"));
}
