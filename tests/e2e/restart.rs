//! Daemons that die and come back, one at a time and all at once.

use crate::cluster::{Cluster, PATIENCE, is_online, resource, started_on};
use crate::config::{ip_and_web, plain};
use mainstay::lab::VIP;
use netlink::probe::longest_silence;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The pid of the web service, inside its node; `None` while it is stopped.
fn web_pid(c: &Cluster, node: &str) -> Option<String> {
    let pidfile = c.sh(node, "cat /run/resource-agents/demo-web-web.pid");
    pidfile.ok().then(|| pidfile.stdout.trim().to_owned())
}

#[test]
fn a_killed_daemon_comes_back_without_an_interruption() {
    let test = "a_killed_daemon_comes_back_without_an_interruption";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    let mut holder = c.wait_started("node1", "web", None);
    // The promise is for a daemon that is back before it counts as lost (`token`, 500 ms). A busy
    // machine may need longer for it; then the others are right to take over, and the next death
    // is looked at.
    for attempt in 1..=ATTEMPTS {
        match killed_and_back(&c, &holder) {
            Some(pid) => {
                watched_again(&c, &holder, &pid);
                return;
            }
            None => eprintln!("attempt {attempt}: too slow for `token` on this machine"),
        }
        holder = c.wait_started("node1", "web", None);
        c.wait_until("one holder in the kernels", &holder, || {
            match c.holders(VIP).unwrap() {
                one if one == [holder.as_str()] => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
    eprintln!("{test}: the machine is too busy to bring a daemon back within 500 ms");
}

/// Kills the holder's daemon. `None` when it counted as lost before it was back; else nothing may
/// have moved, and the service's pid is returned.
fn killed_and_back(c: &Cluster, holder: &str) -> Option<String> {
    let witness = c.other_than(&[holder]);
    let pid = web_pid(c, holder).unwrap();
    let killed = c.daemon_worker(holder).unwrap();
    let losses = || -> usize {
        let lost = format!("silent on every link for the detection timeout node=\"{holder}\"");
        let others = c.powered().into_iter().filter(|n| n != holder);
        others.map(|n| c.log_of(&n).matches(&lost).count()).sum()
    };
    let before = losses();
    let probe = c.probe(VIP, Duration::from_millis(5)).unwrap();
    c.wait_answer(&probe, PATIENCE).unwrap();
    let from = Instant::now();

    let over = AtomicBool::new(false);
    let elsewhere = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                let holders = c.holders(VIP).unwrap();
                if holders != [holder] {
                    return Some(holders);
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            None
        });
        c.kill_daemon(holder).unwrap();
        c.wait_until("another daemon process", holder, || {
            match c.daemon_worker(holder) {
                Ok(process) if process != killed => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        c.wait_for(
            holder,
            "the killed daemon's node to be a member again",
            |s| match is_online(s, holder) && s.quorate {
                true => Ok(()),
                false => Err(crate::cluster::brief(s)),
            },
        );
        c.wait_idle(&witness);
        over.store(true, Ordering::Release);
        sampler.join().unwrap()
    });
    let silent = longest_silence(&probe.stop(), from, Instant::now());
    if losses() > before {
        return None;
    }
    eprintln!("back in time; longest silence {silent:?}");
    if let Some(holders) = elsewhere {
        c.fail(
            holder,
            &format!("expected {VIP} to stay on {holder}, it was on {holders:?}"),
        );
    }
    assert_eq!(started_on(&c.status(&witness), "web"), [holder]);
    assert_eq!(
        web_pid(c, holder),
        Some(pid.clone()),
        "the service was started a second time"
    );
    c.wait_until("the address to be leased anew", holder, || {
        let status = c.try_status(holder)?;
        match status
            .vips
            .iter()
            .any(|v| v.node == holder && v.lease == "open")
        {
            true => Ok(()),
            false => Err(format!("{:?}", status.vips)),
        }
    });
    Some(pid)
}

/// The service is still watched: its death is noticed and cured, where it is.
fn watched_again(c: &Cluster, holder: &str, pid: &str) {
    let witness = c.other_than(&[holder]);
    c.run(holder, &format!("kill -9 {pid}"));
    c.wait_until(
        "the dead service to be started again",
        holder,
        || match web_pid(c, holder) {
            Some(new) if new != pid => Ok(()),
            other => Err(format!("pid file: {other:?}")),
        },
    );
    c.wait_idle(&witness);
    assert_eq!(started_on(&c.status(&witness), "web"), [holder]);
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

/// Deaths that are looked at before the machine counts as too busy.
const ATTEMPTS: u32 = 5;
