//! Two nodes without fencing, cut apart, both go on: what one of them had made is taken back when they
//! meet, and is kept for a person.

use crate::cluster::{Cluster, brief, is_online};
use crate::config::plain;

const NODES: [&str; 2] = ["node1", "node2"];

#[test]
fn what_lost_against_the_other_side_is_kept_and_can_be_repeated() {
    let test = "what_lost_against_the_other_side_is_kept_and_can_be_repeated";
    let Some(c) = Cluster::up(test, 2, |o| o.two_node = true) else {
        return;
    };
    c.must_edit("node1", plain);
    c.cut("node2").unwrap();
    for (node, other) in [("node1", "node2"), ("node2", "node1")] {
        c.wait_for(node, "to lead alone", |s| {
            match s.quorate && s.dc.as_deref() == Some(node) && !is_online(s, other) {
                true => Ok(()),
                false => Err(brief(s)),
            }
        });
    }
    c.run("node1", "crm configure property batch-limit=3");
    c.run("node2", "crm configure property migration-limit=5");
    c.heal("node2").unwrap();
    c.wait_online();

    let mut loser = None;
    c.wait_until("one side's change to be taken back", "node1", || {
        let kept = |node: &&str| !list(&c, node).starts_with("No change");
        loser = NODES.into_iter().find(kept);
        loser.map(|_| ()).ok_or_else(|| c.log_of("node1"))
    });
    let loser = loser.unwrap();
    let (lost, won) = match loser {
        "node1" => ("batch-limit", "migration-limit"),
        _ => ("migration-limit", "batch-limit"),
    };
    for node in NODES {
        let there = c.run(node, "crm configure show");
        assert!(
            there.contains(won) && !there.contains(lost),
            "{node}: {there}"
        );
    }
    c.wait_for(loser, "somebody to be told", |s| {
        let told = |t: &str| t.contains("mainstay cib conflict show");
        match s.notices.iter().any(|n| told(&n.text)) {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });

    let line = list(&c, loser);
    let name = line.split_whitespace().next().unwrap();
    let shown = c.run(loser, &format!("mainstay cib conflict show {name}"));
    assert!(
        shown.contains("with crm") && shown.contains(lost),
        "{shown}"
    );
    // As it is printed it can be made again.
    let again = format!("mainstay cib conflict show {name} | cibadmin --patch --xml-pipe");
    c.run(loser, &again);
    for node in NODES {
        c.wait_until("both changes on both nodes", node, || {
            let there = c.run(node, "crm configure show");
            match there.contains(won) && there.contains(lost) {
                true => Ok(()),
                false => Err(there),
            }
        });
    }
}

fn list(c: &Cluster, node: &str) -> String {
    c.run(node, "mainstay cib conflict list")
}
