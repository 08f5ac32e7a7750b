//! Clusters that are set up, grow and shrink in the words of pcs and crm: each node does its part, and
//! says what is to be run on the others.

use crate::cluster::{Cluster, brief, is_online};
use crate::tutorial::{paste, row};
use crate::walks::{installed, wait_all_see};

/// The lines that are to be run elsewhere, as they were printed.
fn to_run(told: &str) -> Vec<String> {
    let lines = told.lines().filter_map(|l| l.strip_prefix("  "));
    lines.map(str::to_owned).collect()
}

fn wait_offline(c: &Cluster, node: &str) {
    c.wait_for("node1", "it offline", |s| match is_online(s, node) {
        false => Ok(()),
        true => Err(brief(s)),
    });
}

#[test]
fn pcs_sets_a_cluster_up_and_takes_a_node_out() {
    let test = "pcs_sets_a_cluster_up_and_takes_a_node_out";
    let Some(c) = installed(test, 2, &[]) else {
        return;
    };
    paste(
        &c,
        "node1",
        &[
            row(0, "pcs cluster setup grown node2").refused(1, &["node1, is not among the nodes"]),
            row(0, "pcs cluster setup grown node1 totem tokne=1000")
                .refused(1, &["nothing was made"]),
            row(0, "pcs cluster setup grown node1 node2 transport konet")
                .refused(1, &["is it `knet`?"]),
        ],
    );
    let told = c.run(
        "node1",
        "pcs cluster setup grown node1 node2 totem token=2000 --start --wait=60",
    );
    let lines = to_run(&told);
    assert!(lines.len() == 2 && told.contains("Run on node2"), "{told}");
    for line in &lines {
        c.run("node2", line);
    }
    wait_all_see(&c, &["node1", "node2"], &["node1", "node2"]);
    let status = c.status("node2");
    assert_eq!(status.cluster_name, "grown");
    paste(
        &c,
        "node1",
        &[
            row(0, "crm corosync get totem.token").prints(&["2000\n"]),
            row(0, "pcs cluster setup again node1").refused(1, &["belongs to a cluster"]),
            row(0, "pcs cluster node add node2")
                .prints(&["node2 is a node of this cluster already"]),
            row(0, "pcs cluster start --all --wait=60"),
            row(0, "pcs cluster start nod2").refused(1, &["is it `node2`?"]),
            row(0, "pcs cluster stop --all").refused(1, &["`pcs cluster stop` on node2"]),
            row(0, "pcs cluster node remove node2").refused(1, &["pcs cluster stop"]),
            row(0, "pcs cluster node remove nod2").refused(1, &["is it `node2`?"]),
        ],
    );
    c.run("node2", "pcs cluster stop");
    wait_offline(&c, "node2");
    let removed = c.sh("node1", "pcs cluster node remove node2");
    assert!(
        removed.ok() && removed.stderr.contains("Node node2 removed"),
        "{removed:?}"
    );
    wait_all_see(&c, &["node1"], &["node1"]);
    paste(
        &c,
        "node1",
        &[
            row(0, "pcs cluster stop --all"),
            row(0, "/etc/init.d/mainstay status").refused(3, &[]),
        ],
    );
}

#[test]
fn crm_begins_a_cluster_lets_a_node_in_and_out() {
    let test = "crm_begins_a_cluster_lets_a_node_in_and_out";
    let Some(c) = installed(test, 2, &[]) else {
        return;
    };
    paste(
        &c,
        "node1",
        &[
            row(0, "crm cluster init -n grown -i 10.77.0.101 -u -y").prints(&["crm cluster add"]),
            // Nothing would start: that is no good health.
            row(0, "crm cluster health")
                .refused(1, &["not in good health"])
                .prints(&["no fence device"]),
            row(7, "crm configure property stonith-enabled=false"),
            row(0, "crm cluster health").warns(&["in good health"]),
            row(0, "crm cluster init -n again").refused(1, &["belongs to a cluster"]),
        ],
    );
    paste(
        &c,
        "node2",
        &[row(0, "crm cluster join -c node1").refused(1, &["crm cluster add node2"])],
    );
    let lines = to_run(&c.run("node1", "crm cluster add node2"));
    let token = lines[0].split_whitespace().last().unwrap();
    c.run(
        "node2",
        &format!("crm cluster join -c node1 --token {token} -y"),
    );
    wait_all_see(&c, &["node1", "node2"], &["node1", "node2"]);
    paste(
        &c,
        "node1",
        &[
            row(0, "crm cluster health").warns(&["in good health"]),
            row(0, "crm cluster start --all"),
            row(0, "crm cluster remove node2").refused(1, &["crm cluster stop"]),
        ],
    );
    c.run("node2", "crm cluster stop");
    wait_offline(&c, "node2");
    paste(
        &c,
        "node1",
        &[
            row(0, "crm cluster health")
                .refused(1, &["not in good health"])
                .prints(&["node2 is offline"]),
            row(0, "crm cluster remove -c node2 -y"),
            row(0, "crm cluster health").warns(&["in good health"]),
        ],
    );
}
