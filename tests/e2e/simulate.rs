//! What the cluster decided from is kept, and what it would do can be tried out: crm_simulate,
//! crm_verify and `mainstay why` beside live daemons.

use crate::cluster::Cluster;
use crate::config::plain;

#[test]
fn decisions_are_kept_and_tried_out() {
    let test = "decisions_are_kept_and_tried_out";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    let dummy = "<primitive id=\"d\" class=\"ocf\" provider=\"heartbeat\" type=\"Dummy\"/>";
    c.run("node1", &format!("cibadmin -C -o resources -X '{dummy}'"));
    let place = c.wait_started("node1", "d", None);
    let other = c.other_than(&[&place]);

    // The running cluster as it is, and without the node.
    let now = c.run("node1", "crm_simulate -L -S");
    let running = format!("    * d\t(ocf:heartbeat:Dummy):\t Started {place}\n");
    assert_eq!(now.matches(&running).count(), 2, "{now}");
    let (_, summary) = now.split_once("Transition Summary:\n").unwrap();
    assert!(summary.starts_with("\nExecuting"), "{now}");
    let down = c.run("node2", &format!("ptest -LS --node-down {place}"));
    assert!(
        down.contains(&format!("Taking node {place} offline")),
        "{down}"
    );
    assert!(
        down.contains(&format!("  * Start      d       ( {other} )\n")),
        "{down}"
    );
    assert!(down.contains(&format!("Started {other}\n")), "{down}");
    assert_eq!(
        c.wait_started("node1", "d", None),
        place,
        "nothing was really done"
    );

    // What it was decided from is a file of the DC's.
    let folder = "/var/lib/mainstay/pengine";
    let newest = format!("ls -t {folder}/pe-*.bz2 | head -1");
    let started = |file: &str| format!("crm_simulate -x {file} -S | grep -q ' Started '");
    let (dc, file) = c.wait_until("an input that knows of d", "node1", || {
        let dc = c.status("node1").dc.ok_or("there is no DC")?;
        let file = c.run(&dc, &newest).trim().to_owned();
        let output = c.sh(&dc, &started(&file));
        match output.ok() {
            true => Ok((dc, file)),
            false => Err(format!("{file} on {dc}: {output:?}")),
        }
    });
    let name = file.rsplit('/').next().unwrap();
    let why = c.run(&dc, &format!("mainstay why d --transition {name}"));
    assert!(
        why.starts_with("As of ") && why.contains("\nd is "),
        "{why}"
    );
    let why = c.run(&dc, "mainstay why d --at \"$(date +%Y-%m-%dT%H:%M:%S)\"");
    assert!(why.contains(folder), "{why}");
    let why = c.run("node2", &format!("mainstay why d --node {other}"));
    assert!(why.contains(&format!("not on {other}")), "{why}");

    c.run("node1", "crm_verify -L -V");
    let broken = "sed 's/ id=\"d\" class=\"ocf\"/ id=\"d\" class=\"\"/'";
    let line = format!("cibadmin -Q | {broken} > /run/b.xml; crm_verify -x /run/b.xml");
    let verdict = c.sh("node1", &line);
    assert_eq!(verdict.code, 78, "{verdict:?}");
    assert!(verdict.stderr.contains("/run/b.xml:"), "{verdict:?}");
    let verdict = c.sh(
        "node1",
        "echo '<cib><broken' > /run/c.xml; crm_verify -x /run/c.xml",
    );
    assert_eq!(verdict.code, 65, "{verdict:?}");
}
