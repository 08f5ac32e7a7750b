//! The commands of the slides, in the words of pcs, against live daemons.

use crate::cluster::{Cluster, PATIENCE, brief, node_of};
use mainstay::lab::Output;

#[test]
fn the_slides_work_with_pcs() {
    let Some(c) = Cluster::up("the_slides_work_with_pcs", 2, |_| ()) else {
        return;
    };
    c.run("node1", "pcs property set stonith-enabled=false");
    for (id, node) in [("NFS", "node1"), ("RAID", "node2")] {
        c.run(
            node,
            &format!("pcs resource create {id} ocf:heartbeat:Dummy --wait=60"),
        );
    }
    // The name of the slide, in its own spelling; the address is one that nobody has.
    let Output { code, stderr, .. } = c.sh(
        "node1",
        "pcs resource create virtualIP IPAddr2 ip=10.77.0.150 cidr_netmask=24 op monitor interval=30s timeout=30s op start interval=0 timeout=15s on-fail=restart op stop interval=0 timeout=15s on-fail=block --force",
    );
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("Assumed agent name 'ocf:heartbeat:IPaddr2' (deduced from 'IPAddr2')"),
        "{stderr}"
    );
    c.run(
        "node1",
        "pcs constraint colocation add RAID with NFS INFINITY",
    );
    c.run("node1", "pcs constraint order set NFS RAID");
    let constraints = c.run("node2", "pcs constraint --full");
    for text in [
        "  RAID with NFS (score:INFINITY) (id:colocation-RAID-NFS-INFINITY)",
        "    set NFS RAID (id:order_set_NSRD_set) (id:order_set_NSRD)",
    ] {
        assert!(constraints.contains(text), "{constraints}");
    }
    let place = c.wait_started("node1", "NFS", None);
    c.wait_started_on("node2", "RAID", &place);

    // The node of the slide goes standby and comes back, in the words of pcs 0.9.
    let Output { code, stderr, .. } = c.sh("node1", &format!("pcs cluster standby {place}"));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("pcs node standby"), "{stderr}");
    let other = c.other_than(&[place.as_str()]);
    c.wait_started_on("node1", "NFS", &other);
    let status = c.run(&other, "pcs status");
    for text in [
        format!("Online: [ {other} ]"),
        format!("Node {place}: standby"),
        "Full List of Resources:".to_owned(),
        format!("NFS\t(ocf:heartbeat:Dummy):\t Started {other}"),
    ] {
        assert!(status.contains(&text), "no `{text}` in {status}");
    }
    let legacy = c.run("node1", "pcs status --legacy");
    assert!(legacy.contains("Full list of resources:"), "{legacy}");
    c.run("node1", &format!("pcs cluster online {place}"));
    c.wait_for("node1", "the node is back", |s| {
        match node_of(s, &place).is_some_and(|n| !n.standby) {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    moves_and_deletes(&c, &place, &other);
}

fn moves_and_deletes(c: &Cluster, place: &str, other: &str) {
    c.run("node1", &format!("pcs resource move NFS {place} --wait=60"));
    c.wait_started_on("node2", "NFS", place);
    c.run("node1", "pcs resource clear NFS");
    c.run("node1", &format!("pcs resource ban NFS {place} --wait=60"));
    c.wait_started_on("node2", "NFS", other);
    c.run("node1", "pcs resource clear NFS --wait=60");
    let told = c.sh("node1", "pcs resource disable RAID --wait=60");
    assert!(
        told.stderr
            .contains("Resource 'RAID' is not running on any node"),
        "{}",
        told.stderr
    );
    c.run("node1", "pcs resource enable RAID --wait=60");
    let restarted = c.run("node2", "pcs resource restart NFS");
    assert!(
        restarted.contains("NFS successfully restarted"),
        "{restarted}"
    );
    c.run("node1", "pcs resource cleanup NFS");

    // A file is edited and brought back; one that is older than the cluster's is refused.
    c.run(
        "node1",
        "pcs cluster cib /run/new.xml && cp /run/new.xml /run/old.xml && pcs -f /run/new.xml resource create late ocf:heartbeat:Dummy",
    );
    c.run("node2", "pcs resource meta RAID priority=5");
    c.run(
        "node1",
        "pcs cluster cib-push /run/new.xml diff-against=/run/old.xml --wait=60",
    );
    c.wait_started("node2", "late", None);
    let Output { code, stderr, .. } = c.sh("node1", "pcs cluster cib-push /run/old.xml");
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("newer than the file's"), "{stderr}");
    edits_and_keeps(c);

    // What runs is stopped before it goes, and what named it goes with it.
    let gone = c.sh("node1", "pcs resource delete RAID");
    assert_eq!(gone.code, 0, "{}", gone.stderr);
    assert!(
        gone.stderr
            .contains("Removing Constraint - colocation-RAID-NFS-INFINITY"),
        "{}",
        gone.stderr
    );
    let Output { code, stderr, .. } = c.sh("node1", "pcs resource delete RAID");
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

/// The configuration in an editor, as an archive, and what corosync.conf says.
fn edits_and_keeps(c: &Cluster) {
    let edit = |sed: &str, more: &str| {
        c.sh(
            "node1",
            &format!("EDITOR=\"sed -i {sed}\" pcs cluster edit {more}"),
        )
    };
    let Output { code, stderr, .. } = edit("s/nothing/else/", "");
    assert_eq!(
        (code, stderr.as_str()),
        (0, "CIB not updated, no changes detected\n")
    );
    let done = edit(
        "'s/<primitive id=.late./& description=\\\"edited\\\"/'",
        "scope=resources",
    );
    assert_eq!(
        (done.code, done.stderr.as_str()),
        (0, "CIB updated\n"),
        "{done:?}"
    );
    assert!(
        c.run("node2", "pcs cluster cib scope=resources")
            .contains("description=\"edited\"")
    );
    let wrong = edit("'s/primitive/primitve/'", "");
    assert_eq!(wrong.code, 1, "{wrong:?}");

    c.run("node1", "pcs config backup /run/kept");
    let kept = c.run("node1", "tar -tjf /run/kept.tar.bz2");
    assert_eq!(
        kept,
        "backup/cib.xml\nbackup/corosync.conf\nbackup/authkey\n"
    );
    let again = c.sh("node1", "pcs config backup /run/kept.tar.bz2");
    assert!(
        again.code == 1 && again.stderr.contains("already exists"),
        "{again:?}"
    );
    c.run("node1", "pcs config backup /run/kept --force");
    let command = c.run("node1", "pcs cluster config show --output-format=cmd");
    assert!(command.starts_with("pcs cluster setup "), "{command}");
    assert!(command.contains("\n  node2 addr="), "{command}");
}

#[test]
fn without_a_daemon_pcs_says_so() {
    let Some(c) = Cluster::up("without_a_daemon_pcs_says_so", 1, |_| ()) else {
        return;
    };
    c.stop_daemon("node1", PATIENCE).unwrap();
    let Output { code, stderr, .. } = c.sh("node1", "pcs status");
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.starts_with("Error: Connection to cluster failed: "),
        "{stderr}"
    );
    // Agents need no cluster.
    let standards = c.run("node1", "pcs resource standards");
    assert!(standards.starts_with("lsb\nocf\nservice\n"), "{standards}");
}
