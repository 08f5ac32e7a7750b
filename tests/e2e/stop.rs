//! A node that is stopped in order, with its resources and without them.

use crate::cluster::{Cluster, PATIENCE, STILLNESS, brief, is_online, node_of, started_on};
use crate::config::{ip_and_web, plain, properties};
use mainstay::lab::VIP;

#[test]
fn a_node_that_is_stopped_hands_over_first() {
    let test = "a_node_that_is_stopped_hands_over_first";
    let Some(c) = Cluster::up(test, 2, |o| o.two_node = true) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    let holder = c.wait_started("node1", "web", None);
    let other = c.other_than(&[&holder]);

    let ended = c.stop_daemon(&holder, PATIENCE).unwrap();
    if ended.ended.as_deref() != Some("exit 0") {
        c.fail(
            &holder,
            &format!("expected an orderly end, exit 0: {ended:?}"),
        );
    }
    // It ended with nothing left running, and nobody has to be fenced for it.
    assert!(
        !c.holders(VIP).unwrap().contains(&holder),
        "{holder} left {VIP} behind"
    );
    assert!(
        !c.sh(&holder, "ls /run/resource-agents/demo-web-web.pid")
            .ok(),
        "web still runs"
    );
    assert_eq!(c.wait_started(&other, "web", Some(&holder)), other);
    c.wait_sole_holder(&other);
    let status = c.status(&other);
    let left = node_of(&status, &holder).unwrap();
    assert!(!left.online && !left.unclean, "{}", brief(&status));
    // First the service, then its address, then the goodbye.
    let log = c.log_of(&holder);
    let at = |words: &str| {
        let found = log.lines().enumerate().filter(|(_, l)| l.contains(words));
        let last = found.map(|(n, _)| n).last();
        last.unwrap_or_else(|| c.fail(&holder, &format!("no line with {words:?}")))
    };
    let stop = |rsc: &str| at(&format!("operation done rsc=\"{rsc}\" operation=\"stop\""));
    assert!(
        at("stopping: SIGTERM") < stop("web") && stop("web") < stop("ip"),
        "{log}"
    );

    c.start_daemon(&holder).unwrap();
    c.wait_online();
    c.wait_idle(&other);
    assert_eq!(started_on(&c.status(&other), "web"), [other.as_str()]);
}

#[test]
fn in_maintenance_mode_a_stopped_daemon_leaves_its_resources() {
    let test = "in_maintenance_mode_a_stopped_daemon_leaves_its_resources";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    let holder = c.wait_started("node1", "web", None);
    let other = c.other_than(&[&holder]);
    let pid = c.run(&holder, "cat /run/resource-agents/demo-web-web.pid");
    c.must_edit(&other, |cib| {
        properties(cib, &[("maintenance-mode", "true")])
    });
    c.wait_idle(&other);

    let ended = c.stop_daemon(&holder, PATIENCE).unwrap();
    assert_eq!(
        ended.ended.as_deref(),
        Some("exit 0"),
        "see {}",
        c.daemon_log(&holder).display()
    );
    c.wait_for(&other, "the stopped node to be gone", |s| {
        match is_online(s, &holder) {
            false => Ok(()),
            true => Err(brief(s)),
        }
    });
    std::thread::sleep(STILLNESS);
    assert_eq!(
        c.holders(VIP).unwrap(),
        [holder.as_str()],
        "the address was to stay"
    );
    c.run(&holder, &format!("kill -0 {pid}"));

    // Managed again, everything is found where it was.
    c.start_daemon(&holder).unwrap();
    c.wait_online();
    c.must_edit(&other, |cib| {
        properties(cib, &[("maintenance-mode", "false")])
    });
    assert_eq!(c.wait_started(&other, "web", None), holder);
    c.wait_sole_holder(&holder);
    assert_eq!(
        c.run(&holder, "cat /run/resource-agents/demo-web-web.pid"),
        pid
    );
}
