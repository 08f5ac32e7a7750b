//! What the kernel tells between two monitors: an address that somebody removes, a carrier that is
//! lost and comes back.

use crate::cluster::{Cluster, brief, started_on};
use mainstay::lab::VIP;
use mainstay::view::Status;

/// Sum of a resource's fail counts on a node.
fn failures(status: &Status, resource: &str, node: &str) -> u32 {
    let counts = status.failcounts.iter();
    let counts = counts.filter(|f| f.resource == resource && f.node == node);
    counts.map(|f| f.count).sum()
}

fn wait_failures(c: &Cluster, node: &str, resource: &str, on: &str, count: u32) {
    c.wait_for(
        node,
        &format!("{resource} to have failed {count} times on {on}"),
        |s| match failures(s, resource, on) {
            n if n == count => Ok(()),
            n => Err(format!("{n} times")),
        },
    );
}

#[test]
fn a_removed_address_is_back_on_its_node_until_the_migration_threshold() {
    let test = "a_removed_address_is_back_on_its_node_until_the_migration_threshold";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    for line in [
        "crm configure property stonith-enabled=false".to_owned(),
        // The monitor has no part in it.
        format!(
            "crm configure primitive ip ocf:heartbeat:IPaddr2 params ip={VIP} cidr_netmask=24 \
             op monitor interval=1h meta migration-threshold=3"
        ),
    ] {
        c.run("node1", &line);
    }
    let holder = c.wait_started("node1", "ip", None);
    let remove = format!("ip addr del {VIP}/24 dev eth0");
    for count in 1..=2 {
        c.run(&holder, &remove);
        wait_failures(&c, &holder, "ip", &holder, count);
        c.wait_idle(&holder);
        let status = c.status(&holder);
        assert_eq!(
            started_on(&status, "ip"),
            [holder.as_str()],
            "{}",
            brief(&status)
        );
        c.wait_sole_holder(&holder);
    }
    let failed = c.run(&holder, "crm_mon -1rf");
    assert!(
        failed.contains("was removed by somebody else on eth0 and put back"),
        "{failed}"
    );

    c.run(&holder, &remove);
    let taker = c.wait_started("node1", "ip", Some(&holder));
    c.wait_sole_holder(&taker);
}

#[test]
fn nobody_puts_an_address_back_in_maintenance() {
    let test = "nobody_puts_an_address_back_in_maintenance";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    for line in [
        "crm configure property stonith-enabled=false".to_owned(),
        format!(
            "crm configure primitive ip ocf:heartbeat:IPaddr2 params ip={VIP} cidr_netmask=24 \
             op monitor interval=1h"
        ),
    ] {
        c.run("node1", &line);
    }
    let holder = c.wait_started("node1", "ip", None);
    c.run("node1", "crm -w configure property maintenance-mode=true");
    c.wait_idle(&holder);
    c.run(&holder, &format!("ip addr del {VIP}/24 dev eth0"));
    std::thread::sleep(crate::cluster::STILLNESS);
    assert!(c.holders(VIP).unwrap().is_empty());
}

#[test]
fn an_address_leaves_a_node_that_lost_its_carrier_and_may_come_back() {
    let test = "an_address_leaves_a_node_that_lost_its_carrier_and_may_come_back";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    // A second network on each node, beside the one that the cluster speaks over.
    for (at, node) in ["node1", "node2", "node3"].iter().enumerate() {
        for line in [
            "ip link add lan type veth peer name wall".to_owned(),
            "ip link set lan up".to_owned(),
            "ip link set wall up".to_owned(),
            format!("ip addr add 10.99.0.{}/24 dev lan", at + 1),
        ] {
            c.run(node, &line);
        }
    }
    for line in [
        "crm configure property stonith-enabled=false",
        "crm configure primitive ip ocf:heartbeat:IPaddr2 params ip=10.99.0.10 \
         op monitor interval=1h",
        "crm configure location not-on-3 ip -inf: node3",
    ] {
        c.run("node1", line);
    }
    let first = c.wait_started("node1", "ip", None);
    c.run(&first, "ip link set wall down");
    let second = c.wait_started("node3", "ip", Some(&first));
    let status = c.run("node3", "crm_mon -1rf");
    assert!(status.contains("lan has no carrier"), "{status}");

    // Nobody has a carrier: the address is nowhere, and there again with the first that has one.
    c.run(&second, "ip link set wall down");
    c.wait_for(
        "node3",
        "ip to be stopped everywhere",
        |s| match started_on(s, "ip").is_empty() {
            true => Ok(()),
            false => Err(brief(s)),
        },
    );
    c.run(&first, "ip link set wall up");
    let back = c.wait_started("node3", "ip", None);
    assert_eq!(back, first);
}
