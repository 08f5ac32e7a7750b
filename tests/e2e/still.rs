//! A machine that stands still, with all nodes on it: when it goes on, so does everything.

use crate::cluster::{Cluster, brief};
use crate::config::{Primitive, add, plain};
use std::time::Duration;

#[test]
fn nodes_that_all_stood_still_go_on_where_they_were() {
    let test = "nodes_that_all_stood_still_go_on_where_they_were";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, Primitive::new("work", "ocf:pacemaker:Dummy"));
    });
    let holder = c.wait_started("node1", "work", None);
    c.wait_idle(&holder);
    let started = || c.run(&holder, "stat -c %Y.%i /var/run/Dummy-work.state");
    let before = started();
    for _ in 0..3 {
        for node in NODES {
            c.freeze(node).unwrap();
        }
        std::thread::sleep(Duration::from_secs(3));
        for node in NODES {
            c.thaw(node).unwrap();
        }
        c.wait_for(&holder, "everything as before", |s| {
            match s.quorate && s.dc.is_some() && s.nodes.iter().all(|n| n.online) {
                true => Ok(()),
                false => Err(brief(s)),
            }
        });
        c.wait_idle(&holder);
    }
    assert_eq!(started(), before, "it was stopped and started again");
    for node in NODES {
        let log = c.log_of(node);
        assert!(!log.contains("has no quorum: stopping"), "{node}: {log}");
        // Whoever looks is told why it was so silent, once.
        let told = c.status(node).notices;
        let still = told.iter().filter(|n| n.code == "stands-still");
        assert_eq!(still.count(), 1, "{node}: {told:?}");
    }
}

const NODES: [&str; 3] = ["node1", "node2", "node3"];
