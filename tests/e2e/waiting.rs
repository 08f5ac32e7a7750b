//! What those are told who wait (`crm -w`, `pcs --wait`, `crm_resource --restart`) when the cluster
//! has nothing left to do and what was wanted did not come about.

use crate::cluster::Cluster;
use crate::config::{Primitive, add, plain};

/// An agent that stops only without `/run/stuck`, and starts only without `/run/refuse`.
const STUBBORN: &str =
    "start) [ -e /run/refuse ] && echo 'ocf-exit-reason:the flux is cold' >&2 && exit 1
     touch $state; exit 0 ;;
stop) [ -e /run/stuck ] && echo 'ocf-exit-reason:the door is jammed' >&2 && exit 1
     rm -f $state; exit 0 ;;";

#[test]
fn who_waits_is_told_that_it_did_not_come_about() {
    let test = "who_waits_is_told_that_it_did_not_come_about";
    let Some(c) = Cluster::off(test, 2) else {
        return;
    };
    c.install_agent("stubborn", STUBBORN);
    c.power_on();
    c.must_edit("node1", |cib| {
        plain(cib);
        let stubborn = Primitive::new("d", "ocf:mainstay:stubborn");
        add(cib, stubborn.op("monitor", "10s", "20s"));
    });
    let place = c.wait_started("node1", "d", None);
    let other = c.other_than(&[&place]);
    let refused = |line: &str, parts: &[&str]| {
        let told = c.refused("node1", line, 1);
        for part in parts {
            assert!(told.contains(part), "`{line}`: no `{part}` in {told}");
        }
    };
    let freed = |place: &str| {
        c.run(place, "rm -f /run/stuck");
        c.run("node1", "crm -w resource cleanup d");
        c.run("node1", "crm -w resource start d");
    };
    let jammed = format!("d stop on {place} returned 'error' (the door is jammed)");
    let still = format!("d is still active on {place}: ");

    c.run(&place, "touch /run/stuck");
    let hint = "crm resource cleanup d";
    refused(
        "crm -w resource stop d",
        &[&still, &jammed, "blocked", hint],
    );
    // Asked again it is no less stuck.
    refused("crm -w resource stop d", &[&still, &jammed]);
    freed(&place);

    c.run(&place, "touch /run/stuck");
    refused("crm resource restart d", &[&still, &jammed]);
    freed(&place);
    c.run(&place, "touch /run/stuck");
    refused("crm_resource --restart -r d", &[&still, &jammed]);
    freed(&place);
    c.run(&place, "touch /run/stuck");
    let disable = "pcs resource disable d --wait=60";
    refused(disable, &[&jammed, "pcs resource cleanup d"]);
    freed(&place);
    c.run(&place, "touch /run/stuck");
    let elsewhere = format!("d does not run on {other} but on {place}: ");
    refused(
        &format!("crm -w resource move d {other}"),
        &[&elsewhere, &jammed],
    );
    c.run("node1", "crm resource clear d");
    freed(&place);
    c.run(&place, "touch /run/stuck");
    refused(&format!("crm -w node standby {place}"), &[&jammed]);
    c.run("node1", &format!("crm node online {place}"));
    freed(&place);

    c.run("node1", "crm -w resource stop d");
    for node in [&place, &other] {
        c.run(node, "touch /run/refuse");
    }
    let cold = "returned 'error' (the flux is cold)";
    refused(
        "crm -w resource start d",
        &["d does not run: d start on", cold],
    );
    refused(
        "pcs resource enable d --wait=60",
        &["not running on any node", cold],
    );
    let second = "configure primitive e ocf:mainstay:stubborn";
    refused(
        &format!("crm -w {second}"),
        &["the change is made, but", cold],
    );
}
