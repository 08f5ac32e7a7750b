//! More stores are lost than any vote can make up for: everybody says what it waits for, nobody goes
//! on with half of what was acknowledged, and the way out that is told is walked.

use crate::bad_input::wait_pair;
use crate::cluster::{Cluster, PATIENCE, STILLNESS, brief, is_online};
use crate::config::{plain, properties};

/// What the witness writes when it has a vote; of the time before it says more than these words.
pub(crate) const VOTES: &str = "it has a vote state=";
const STORE: &str = "var/lib/mainstay";

#[test]
fn what_only_a_lost_disk_had_is_given_up_by_a_person_alone() {
    let test = "what_only_a_lost_disk_had_is_given_up_by_a_person_alone";
    let Some(c) = Cluster::off_with(test, 3, |o| o.witness = true) else {
        return;
    };
    c.poweron_all().unwrap();
    wait_pair(&c, "node1", "node2");
    c.must_edit("node1", |cib| {
        plain(cib);
        properties(cib, &[("batch-limit", "3")]);
    });
    wait_vote(&c);

    // Node 1 goes on with the witness, and its disk alone knows what comes of it.
    c.poweroff("node2").unwrap();
    c.wait_for("node1", "a quorum with the witness", |s| {
        match s.quorate && s.dc.as_deref() == Some("node1") && !is_online(s, "node2") {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    c.must_edit("node1", |cib| properties(cib, &[("batch-limit", "7")]));
    c.poweroff("node1").unwrap();
    std::fs::remove_dir_all(c.node_dir("node1").join(STORE)).unwrap();
    c.poweron_all().unwrap();
    everybody_waits(&c);

    // The way out that mainstay(8) tells.
    for node in NODES {
        c.stop_daemon(node, PATIENCE).unwrap();
    }
    c.stop_daemon("node3", PATIENCE).unwrap();
    let reset = |node: &str| {
        assert_ne!(c.sh(node, "mainstay store reset").code, 0, "{node}");
        let done = c.sh(node, "mainstay store reset --yes-lose-state");
        assert_eq!(done.code, 0, "{node}: {done:?}");
        done.stdout
    };
    assert!(!reset("node1").contains("cibadmin"), "it has none");
    let told = reset("node2");
    assert!(reset("node3").contains("lib/mainstay/witness/quarantine"));
    for node in ["node1", "node2", "node3"] {
        c.start_daemon(node).unwrap();
    }
    wait_pair(&c, "node1", "node2");
    let batch_limit = "crm_attribute --type crm_config --name batch-limit --query --quiet";
    assert_ne!(c.sh("node1", batch_limit).code, 0, "a new cluster");
    let put_back = told.lines().find_map(|line| line.split_once("newer one: "));
    let (_, put_back) = put_back.unwrap_or_else(|| panic!("no way back: {told}"));
    c.run("node2", put_back);
    c.wait_until("the configuration that node2 had", "node1", || {
        match c.sh("node1", batch_limit) {
            there if there.stdout.trim() == "3" => Ok(()),
            other => Err(format!("{other:?}: {told}")),
        }
    });
    wait_vote(&c);
    c.poweroff("node1").unwrap();
    c.wait_for("node2", "a quorum with the witness again", |s| {
        match s.quorate && s.dc.as_deref() == Some("node2") {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
}

/// What was acknowledged is on no disk: nobody goes on, and everybody says what is waited for.
fn everybody_waits(c: &Cluster) {
    c.wait_for("node2", "the reason why nobody leads", |s| {
        let all = ["node1 lost its store", "the witness votes for a member"];
        match all.iter().all(|words| s.quorum_why.contains(words)) && !s.quorate {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    std::thread::sleep(2 * STILLNESS);
    for node in NODES {
        assert!(!c.status(node).quorate, "{node} went on");
        let doctor = c.sh(node, "mainstay doctor");
        assert!(doctor.stdout.contains("TOO MANY LOST DISKS"), "{doctor:?}");
    }
}

fn wait_vote(c: &Cluster) {
    c.wait_until("the witness to have a vote", "node3", || {
        match c.log_of("node3").rsplit_once(START) {
            Some((_, log)) if log.contains(VOTES) => Ok(()),
            _ => Err(c.log_of("node3")),
        }
    });
}

const NODES: [&str; 2] = ["node1", "node2"];
/// What a witness without a store writes first.
const START: &str = "this witness has no store";
