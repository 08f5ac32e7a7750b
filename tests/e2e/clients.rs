//! Other people's shells as judges: the real `crmsh` and the real `pcs` drive a cluster through our
//! tools, which in a node lie over Pacemaker's.

use crate::cluster::{Cluster, brief, node_of, not_here, resource, started_on};
use mainstay::lab::Output;
use std::path::Path;

/// A cluster with the machine's own `program` in every node under the name `real`; our command of
/// the same name covers it there otherwise. `None` where it is not installed.
fn with_client(test: &str, program: &str, package: &str) -> Option<(Cluster, String)> {
    let path = Path::new("/usr/sbin").join(program);
    let is_theirs = std::fs::read_to_string(&path).is_ok_and(|text| text.contains("python3"));
    if !is_theirs {
        not_here(
            test,
            &format!("{} is not the one of package {package}", path.display()),
        );
        return None;
    }
    let c = Cluster::off(test, 2)?;
    let real = format!("real-{program}");
    let copied = std::fs::copy(&path, c.dir().join("skeleton/usr-sbin").join(&real));
    copied.unwrap();
    c.power_on();
    // Where crmsh writes its log.
    c.run("node1", "mkdir -p /var/log/crmsh /var/log/pcsd");
    // They keep files of their own at home, which is the machine's and not to be written here.
    Some((c, format!("HOME=/tmp {real}")))
}

/// A line typed on node1, which must work without a word of complaint.
fn typed(c: &Cluster, real: &str, line: &str) -> String {
    let output = c.sh("node1", &format!("{real} {line}"));
    let Output {
        code,
        stdout,
        stderr,
    } = &output;
    let complains = ["ERROR", "Traceback", "Error:", "Warning"]
        .iter()
        .any(|w| stdout.contains(w) || stderr.contains(w));
    if *code != 0 || complains {
        c.fail("node1", &format!("`{real} {line}`: {output:?}"));
    }
    format!("{stdout}{stderr}")
}

fn has_lines(text: &str, lines: &[&str], of: &str) {
    for line in lines {
        assert!(text.contains(line), "no `{line}` in {of}:\n{text}");
    }
}

fn await_standby(c: &Cluster, node: &str, standby: bool) {
    c.wait_for(
        "node1",
        &format!("{node} standby: {standby}"),
        |s| match node_of(s, node).is_some_and(|n| n.standby == standby) {
            true => Ok(()),
            false => Err(brief(s)),
        },
    );
}

fn await_stopped(c: &Cluster, id: &str) {
    c.wait_for("node1", &format!("{id} stopped"), |s| {
        match started_on(s, id).is_empty() {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
}

/// Takes away what a Dummy keeps, and waits until the failure is counted.
fn break_dummy(c: &Cluster, id: &str, place: &str) {
    c.run(place, &format!("rm /run/resource-agents/Dummy-{id}.state"));
    c.wait_for("node1", &format!("a failure of {id}"), |s| {
        match s.failcounts.iter().any(|f| f.resource == id) {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    c.wait_started("node1", id, None);
}

fn await_clean(c: &Cluster, id: &str) {
    c.wait_for("node1", &format!("{id} without failures"), |s| {
        let counted = s.failcounts.iter().any(|f| f.resource == id);
        let failed = resource(s, id).is_none_or(|r| !r.failures.is_empty());
        match counted || failed {
            false => Ok(()),
            true => Err(format!("{:?}; {}", s.failcounts, brief(s))),
        }
    });
}

#[test]
fn real_crmsh_drives_the_cluster_through_our_tools() {
    let test = "real_crmsh_drives_the_cluster_through_our_tools";
    let Some((c, crm)) = with_client(test, "crm", "crmsh") else {
        return;
    };
    let crm = |line: &str| typed(&c, &crm, line);

    // What was configured stands in its own words.
    crm("configure property stonith-enabled=false");
    crm("configure primitive d1 ocf:heartbeat:Dummy op monitor interval=1s timeout=20s");
    crm("configure primitive d2 ocf:heartbeat:Dummy meta migration-threshold=5");
    crm("configure colocation together inf: d2 d1");
    crm("configure order first Mandatory: d1 d2");
    let shown = crm("configure show");
    has_lines(
        &shown,
        &[
            "node 1: node1\nnode 2: node2\n",
            "primitive d1 Dummy \\\n\top monitor interval=1s timeout=20s\n",
            "primitive d2 Dummy \\\n\tmeta migration-threshold=5\n",
            "order first Mandatory: d1 d2\n",
            "colocation together inf: d2 d1\n",
            "\tstonith-enabled=false",
        ],
        "configure show",
    );
    crm("configure verify");
    crmsh_knows_the_options(&crm);
    it_runs_moves_fails_and_goes(&c, &crm);
}

/// crmsh asks Pacemaker's daemons for options: in a node, ours lie over those of the package.
fn crmsh_knows_the_options(crm: &dyn Fn(&str) -> String) {
    has_lines(
        &crm("configure get-property"),
        &["enable-acl", "no-quorum-policy", "stonith-max-attempts"],
        "the options that are offered",
    );
    has_lines(
        &crm("configure get-property no-quorum-policy"),
        &["stop\n"],
        "a default",
    );
    has_lines(
        &crm("ra info pacemaker-schedulerd"),
        &[
            "no-quorum-policy (select, [stop]): What a partition without quorum does with its resources\n",
            "maintenance-mode (boolean, [false]): \n    Hands off: nothing is started",
        ],
        "ra info pacemaker-schedulerd",
    );
    has_lines(
        &crm("ra info stonith:fence_lab"),
        &["pcmk_host_list (string): Nodes that the device can fence\n"],
        "ra info stonith:fence_lab",
    );
}

/// What was configured by crmsh, in operation.
fn it_runs_moves_fails_and_goes(c: &Cluster, crm: &dyn Fn(&str) -> String) {
    let place = c.wait_started("node1", "d1", None);
    c.wait_started_on("node1", "d2", &place);
    let status = crm("status");
    has_lines(
        &status,
        &[
            "  * Online: [ node1 node2 ]",
            &format!("  * d1\t(ocf:heartbeat:Dummy):\t Started {place}"),
            "  * 2 resource instances configured",
        ],
        "status",
    );

    // Nodes.
    let other = c.other_than(&[&place]);
    crm(&format!("node standby {place}"));
    await_standby(c, &place, true);
    c.wait_started_on("node1", "d2", &other);
    has_lines(&crm("node show"), &["\tstandby=on"], "node show");
    crm(&format!("node online {place}"));
    await_standby(c, &place, false);

    // Resources.
    crm("resource stop d2");
    await_stopped(c, "d2");
    has_lines(
        &crm("resource status d2"),
        &["d2 is NOT running"],
        "resource status",
    );
    crm("resource start d2");
    let place = c.wait_started("node1", "d2", None);
    break_dummy(c, "d1", &place);
    let count = crm(&format!("resource failcount d1 show {place}"));
    has_lines(&count, &["name=fail-count-d1 value=1"], "failcount");
    crm("resource cleanup d1");
    await_clean(c, "d1");

    // Away again, with what names it.
    crm("configure delete together first");
    crm("--force configure delete d2");
    let shown = crm("configure show");
    assert!(!shown.contains("d2"), "{shown}");
    c.wait_started("node1", "d1", None);
}

#[test]
fn real_pcs_drives_the_cluster_through_our_tools() {
    let test = "real_pcs_drives_the_cluster_through_our_tools";
    let Some((c, pcs)) = with_client(test, "pcs", "pcs") else {
        return;
    };
    let pcs = |line: &str| typed(&c, &pcs, line);

    pcs_knows_the_options(&c, &pcs);
    pcs("property set stonith-enabled=false");
    pcs("resource create d1 ocf:heartbeat:Dummy op monitor interval=1s timeout=20s --wait=60");
    pcs("resource create d2 ocf:heartbeat:Dummy meta migration-threshold=5 --wait=60");
    pcs("constraint colocation add d2 with d1 INFINITY");
    pcs("constraint order d1 then d2");
    has_lines(
        &pcs("constraint"),
        &[
            "start d1 then start d2 (kind:Mandatory)",
            "d2 with d1 (score:INFINITY)",
        ],
        "constraint",
    );
    has_lines(&pcs("property"), &["stonith-enabled: false"], "property");
    let place = c.wait_started("node1", "d1", None);
    c.wait_started_on("node1", "d2", &place);
    has_lines(
        &pcs("status"),
        &[
            "Cluster name: lab",
            "  * Online: [ node1 node2 ]",
            &format!("  * d1\t(ocf:heartbeat:Dummy):\t Started {place}"),
        ],
        "status",
    );
    has_lines(
        &pcs("resource config d2"),
        &["migration-threshold=5"],
        "resource config",
    );

    // Nodes.
    let other = c.other_than(&[&place]);
    pcs(&format!("node standby {place} --wait=60"));
    await_standby(&c, &place, true);
    c.wait_started_on("node1", "d2", &other);
    pcs(&format!("node unstandby {place} --wait=60"));
    await_standby(&c, &place, false);

    // Resources.
    pcs("resource disable d2 --wait=60");
    await_stopped(&c, "d2");
    pcs("resource enable d2 --wait=60");
    let place = c.wait_started("node1", "d2", None);
    break_dummy(&c, "d1", &place);
    let counts = pcs("resource failcount show d1");
    has_lines(&counts, &[&format!("{place}: 1")], "failcount");
    pcs("resource cleanup d1");
    await_clean(&c, "d1");
    pcs("resource delete d2");
    has_lines(&pcs("resource"), &["  * d1"], "resource");
}

/// pcs asks Pacemaker's daemons for options: in a node, ours lie over those of the package.
fn pcs_knows_the_options(c: &Cluster, pcs: &dyn Fn(&str) -> String) {
    has_lines(
        &pcs("property config --defaults"),
        &[
            " enable-acl: false\n",
            " no-quorum-policy: stop\n",
            " stonith-max-attempts: 10\n",
        ],
        "property config --defaults",
    );
    // It has a title with the word Warning.
    let all = c.run(
        "node1",
        "HOME=/tmp real-pcs property get_cluster_properties_definition",
    );
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    let policy = &all["no-quorum-policy"];
    assert_eq!(
        policy["shortdesc"], "What a partition without quorum does with its resources",
        "{policy}"
    );
    assert_eq!(all["stonith-enabled"]["advanced"], true);
    assert_eq!(all["cluster-delay"]["advanced"], false);
    has_lines(
        &pcs("stonith describe fence_lab"),
        &["  pcmk_host_list: Nodes that the device can fence"],
        "stonith describe",
    );
    // What it checks before it sets it.
    let refused = c.sh(
        "node1",
        "HOME=/tmp real-pcs property set no-quorum-policy=stpo",
    );
    has_lines(&refused.stderr, &["'freeze'", "'stop'"], "the refusal");
    assert_eq!(refused.code, 1, "{refused:?}");
}
