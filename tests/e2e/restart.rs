//! Daemons that die and come back, one at a time and all at once.

use crate::cluster::{Cluster, is_online, resource, started_on};
use crate::config::{ip_and_web, plain};
use mainstay::lab::VIP;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The pid of the web service, inside its node; `None` while it is stopped.
fn web_pid(c: &Cluster, node: &str) -> Option<String> {
    let pidfile = c.sh(node, "cat /run/resource-agents/demo-web-web.pid");
    pidfile.ok().then(|| pidfile.stdout.trim().to_owned())
}

#[test]
fn a_killed_daemon_comes_back_without_an_interruption() {
    let test = "a_killed_daemon_comes_back_without_an_interruption";
    // A daemon is back long before it counts as dead, on a busy machine too.
    let Some(c) = Cluster::up(test, 3, |o| o.token_ms = Some(4000)) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    let holder = c.wait_started("node1", "web", None);
    let witness = c.other_than(&[&holder]);
    let pid = web_pid(&c, &holder).unwrap();
    let killed = c.daemon_worker(&holder).unwrap();

    let over = AtomicBool::new(false);
    let elsewhere = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                let holders = c.holders(VIP).unwrap();
                if holders != [holder.as_str()] {
                    return Some(holders);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            None
        });
        c.kill_daemon(&holder).unwrap();
        c.wait_until("another daemon process", &holder, || {
            match c.daemon_worker(&holder) {
                Ok(process) if process != killed => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        c.wait_for(
            &holder,
            "the killed daemon's node to be a member again",
            |s| match is_online(s, &holder) && s.quorate {
                true => Ok(()),
                false => Err(crate::cluster::brief(s)),
            },
        );
        c.wait_for(&witness, "web started where it was", |s| {
            match started_on(s, "web") {
                on if on == [holder.as_str()] => Ok(()),
                on => Err(format!("{on:?}; {}", crate::cluster::brief(s))),
            }
        });
        c.wait_idle(&witness);
        over.store(true, Ordering::Release);
        sampler.join().unwrap()
    });
    if let Some(holders) = elsewhere {
        c.fail(
            &holder,
            &format!("expected {VIP} to stay on {holder}, it was on {holders:?}"),
        );
    }
    assert_eq!(
        web_pid(&c, &holder),
        Some(pid.clone()),
        "the service was started a second time"
    );

    // It is still watched: its death is noticed and cured, here.
    c.run(&holder, &format!("kill -9 {pid}"));
    c.wait_until(
        "the dead service to be started again",
        &holder,
        || match web_pid(&c, &holder) {
            Some(new) if new != pid => Ok(()),
            other => Err(format!("pid file: {other:?}")),
        },
    );
    c.wait_idle(&witness);
    assert_eq!(started_on(&c.status(&witness), "web"), [holder.as_str()]);
}

#[test]
fn the_configuration_survives_the_power_off_of_the_whole_cluster() {
    let test = "the_configuration_survives_the_power_off_of_the_whole_cluster";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    c.wait_started("node1", "web", None);
    let before = c.cib("node1");

    c.poweroff_all().unwrap();
    assert_eq!(c.holders(VIP).unwrap(), [""; 0]);
    c.poweron_all().unwrap();
    c.wait_online();
    for node in c.powered() {
        let after = c.cib(&node);
        assert_eq!(
            after.root().first("configuration"),
            before.root().first("configuration"),
            "{node} has another configuration than before the power-off"
        );
        assert!(
            after.version() >= before.version(),
            "{node} went back from version {:?} to {:?}",
            before.version(),
            after.version()
        );
    }
    let holder = c.wait_started("node1", "web", None);
    assert_eq!(c.holders(VIP).unwrap(), [holder.as_str()]);
    assert!(
        resource(&c.status("node1"), "ip")
            .unwrap()
            .failures
            .is_empty()
    );
}
