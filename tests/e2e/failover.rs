//! A service and its floating IP move when their node dies or is told to rest.

use crate::cluster::{Cluster, PATIENCE, brief, node_of, started_on};
use crate::config::{ip_and_web, plain, web_address};
use mainstay::lab::{HttpProbe, VIP};
use std::time::{Duration, Instant};

/// Time between two questions of a client.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Waits until a client gets the web page, made on `node`, and an answer to ping.
fn wait_answers(c: &Cluster, http: &HttpProbe, node: &str) {
    let ping = c.probe(VIP, ASK_EVERY).unwrap();
    c.wait_answer(&ping, PATIENCE).unwrap();
    let from = Instant::now();
    c.wait_until(
        &format!("the client to get {node}'s page"),
        node,
        || match (http.answered_since(from), http.page()) {
            (true, page) if page == node => Ok(()),
            (true, page) => Err(format!("the page of {page:?}")),
            (false, _) => Err("no page".to_owned()),
        },
    );
}

/// Asserts that exactly `node` has the floating IP, in the kernels.
fn assert_holder(c: &Cluster, node: &str) {
    let holders = c.holders(VIP).unwrap();
    if holders != [node] {
        c.fail(
            node,
            &format!("expected {VIP} on {node} alone, it is on {holders:?}"),
        );
    }
}

/// The commands of the tutorials.
fn paste_configuration(c: &Cluster) {
    for line in [
        "crm configure property stonith-enabled=false",
        "crm configure rsc_defaults resource-stickiness=100",
        &format!(
            "crm configure primitive ip ocf:heartbeat:IPaddr2 params ip={VIP} cidr_netmask=24 \
             op monitor interval=1s"
        ),
        "crm configure primitive web ocf:mainstay:demo-web params port=80 op monitor interval=1s",
        "crm configure colocation web-with-ip inf: web ip",
        "crm configure order ip-then-web Mandatory: ip web",
    ] {
        c.run("node1", line);
    }
}

#[test]
fn a_service_and_its_address_survive_the_power_off_of_their_node() {
    let test = "a_service_and_its_address_survive_the_power_off_of_their_node";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    paste_configuration(&c);
    let holder = c.wait_started("node1", "web", None);
    let http = c.http(web_address(), ASK_EVERY).unwrap();
    wait_answers(&c, &http, &holder);
    assert_holder(&c, &holder);

    let survivors: Vec<&str> = ["node1", "node2", "node3"]
        .into_iter()
        .filter(|n| *n != holder)
        .collect();
    let lines = |node: &str| c.log_of(node).lines().count();
    let before: Vec<usize> = survivors.iter().map(|n| lines(n)).collect();
    c.poweroff(&holder).unwrap();
    let witness = c.other_than(&[]);
    let taker = c.wait_started(&witness, "web", Some(&holder));
    wait_answers(&c, &http, &taker);
    assert_holder(&c, &taker);
    c.wait_idle(&taker);
    for (node, before) in survivors.iter().zip(before) {
        its_log_is_short(&c, node, before);
    }

    // Who comes back fetches nothing back: moving costs an outage (stickiness).
    c.poweron(&holder).unwrap();
    c.wait_online();
    c.wait_idle(&taker);
    assert_eq!(started_on(&c.status(&taker), "web"), [taker.as_str()]);
    wait_answers(&c, &http, &taker);
    assert_holder(&c, &taker);
}

/// What a node logs of a failover is read at night: few lines, the cause of it among them.
fn its_log_is_short(c: &Cluster, node: &str, before: usize) {
    let log = c.log_of(node);
    let told: Vec<&str> = log.lines().skip(before).collect();
    println!("{node}:\n{}", told.join("\n"));
    if told.len() > FAILOVER_LINES_MAX || told.is_empty() {
        c.fail(
            node,
            &format!("{} lines of one failover:\n{}", told.len(), told.join("\n")),
        );
    }
}

/// Most lines that one failover may leave in a node's log at the default level.
const FAILOVER_LINES_MAX: usize = 15;

#[test]
fn a_node_on_standby_hands_over_and_takes_part_again() {
    let test = "a_node_on_standby_hands_over_and_takes_part_again";
    let Some(c) = Cluster::up(test, 2, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    let holder = c.wait_started("node1", "web", None);
    let other = c.other_than(&[&holder]);

    c.run(&other, &format!("crm -w node standby {holder}"));
    // What -w waited for: nothing may be left to do.
    let status = c.status(&other);
    assert_eq!(
        started_on(&status, "web"),
        [other.as_str()],
        "{}",
        brief(&status)
    );
    assert!(
        node_of(&status, &holder).unwrap().standby,
        "{}",
        brief(&status)
    );
    assert_holder(&c, &other);

    c.run(&other, &format!("crm -w node online {holder}"));
    let status = c.status(&other);
    assert!(
        !node_of(&status, &holder).unwrap().standby,
        "{}",
        brief(&status)
    );
    // It may run things again: it is where they go when the other rests.
    c.run(&other, &format!("crm -w node standby {other}"));
    let status = c.status(&other);
    assert_eq!(
        started_on(&status, "web"),
        [holder.as_str()],
        "{}",
        brief(&status)
    );
    assert_holder(&c, &holder);
}
