//! Daemons that die and come back, one at a time and all at once.

use crate::cluster::{Cluster, PATIENCE, is_online, resource, started_on};
use crate::config::{ip_and_web, plain};
use mainstay::lab::VIP;
use netlink::Mac;
use netlink::owners::{OwnerWatch, overlap};
use netlink::probe::longest_silence;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The pid of the web service, inside its node; `None` while it is stopped.
fn web_pid(c: &Cluster, node: &str) -> Option<String> {
    let pidfile = c.sh(node, "cat /run/resource-agents/demo-web-web.pid");
    pidfile.ok().then(|| pidfile.stdout.trim().to_owned())
}

/// What the floating IP's holder is besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Dc,
    Other,
}

/// The holder of address and service, after both were moved to a node of that role if need be.
fn holder_as(c: &Cluster, role: Role) -> String {
    let holder = c.wait_started("node1", "web", None);
    let dc = c.wait_for("node1", "a DC", |s| s.dc.clone().ok_or("none".to_owned()));
    if (holder == dc) == (role == Role::Dc) {
        return holder;
    }
    let target = match role {
        Role::Dc => dc,
        Role::Other => c.other_than(&[&dc]),
    };
    c.run(&target, &format!("crm -w resource move ip {target}"));
    c.wait_started_on(&target, "web", &target);
    target
}

/// How often the others have lost that node, by their logs.
fn losses(c: &Cluster, node: &str) -> usize {
    let lost = format!("silent on every link for the detection timeout node=\"{node}\"");
    let others = c.powered().into_iter().filter(|n| n != node);
    others.map(|n| c.log_of(&n).matches(&lost).count()).sum()
}

/// Kills the worker of a node's daemon and waits until another one is a member again.
fn kill_and_wait(c: &Cluster, node: &str) {
    let killed = c.daemon_worker(node).unwrap();
    c.kill_daemon(node).unwrap();
    c.wait_until("another daemon process", node, || {
        match c.daemon_worker(node) {
            Ok(process) if process != killed => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let what = "the killed daemon's node to be a member again";
    c.wait_for(node, what, |s| match is_online(s, node) && s.quorate {
        true => Ok(()),
        false => Err(crate::cluster::brief(s)),
    });
}

/// The client's question by ARP goes to every node; more than one may not answer.
fn owners(c: &Cluster) -> OwnerWatch {
    let IpAddr::V4(address) = VIP else {
        unreachable!("the lab's address is IPv4");
    };
    c.owners(address, ASK_EVERY).unwrap()
}

/// From a death to the end of the kernel's lease a machine needs a fraction of a second, this one
/// has eight seconds: what is lost is lost by the daemons, not by the machine.
#[test]
fn a_killed_daemon_comes_back_without_an_interruption() {
    let test = "a_killed_daemon_comes_back_without_an_interruption";
    let Some(c) = Cluster::up(test, 3, |o| o.token_ms = Some(LONG_TOKEN_MS)) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    // The DC's daemon last: before its new process has the address again, another is elected.
    let mut last = (String::new(), String::new());
    for role in [Role::Other, Role::Dc] {
        let holder = holder_as(&c, role);
        let pid = killed_and_back(&c, &holder, role);
        last = (holder, pid);
    }
    watched_again(&c, &last.0, &last.1);
}

/// Kills the holder's daemon; nothing may move and no probe be lost. The service's pid.
fn killed_and_back(c: &Cluster, holder: &str, role: Role) -> String {
    let witness = c.other_than(&[holder]);
    let pid = web_pid(c, holder).unwrap();
    let lost_before = losses(c, holder);
    let grant_before = lease_of(c, holder).unwrap();
    let watch = owners(c);
    let probe = c.probe(VIP, PROBE_EVERY).unwrap();
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
        kill_and_wait(c, holder);
        c.wait_until(
            "the address to be leased anew",
            holder,
            || match lease_of(c, holder)? {
                grant_no if grant_no > grant_before => Ok(()),
                grant_no => Err(format!("held by grant {grant_no}")),
            },
        );
        c.wait_idle(&witness);
        over.store(true, Ordering::Release);
        sampler.join().unwrap()
    });
    // Answers come in order: after this one, what is not answered never will be.
    c.wait_answer(&probe, PATIENCE).unwrap();
    let to = Instant::now();
    let echoes = probe.stop();
    let silent = longest_silence(&echoes, from, to);
    let answered = echoes.iter().rposition(|e| e.answered.is_some());
    let judged = &echoes[..answered.unwrap_or(0)];
    let lost = judged
        .iter()
        .filter(|e| e.sent >= from && e.answered.is_none());
    let lost = lost.count();
    let spoken: BTreeSet<Mac> = watch.stop().iter().map(|s| s.mac).collect();

    let failed = |what: String| c.fail(holder, &format!("killed as {role:?}: {what}"));
    if let Some(holders) = elsewhere {
        failed(format!(
            "expected {VIP} to stay on {holder}, it was on {holders:?}"
        ));
    }
    if lost > 0 {
        failed(format!("{lost} probes were lost, silent for {silent:?}"));
    }
    if spoken.len() != 1 {
        failed(format!("{spoken:?} answered for {VIP}"));
    }
    assert_eq!(losses(c, holder), lost_before, "{holder} counted as lost");
    assert_eq!(started_on(&c.status(&witness), "web"), [holder]);
    assert_eq!(
        web_pid(c, holder),
        Some(pid.clone()),
        "the service was started a second time"
    );
    pid
}

/// The grant by which a node holds the address, its gate open.
fn lease_of(c: &Cluster, node: &str) -> Result<u64, String> {
    let status = c.try_status(node)?;
    let mut held = status.vips.iter().filter(|v| v.node == node);
    held.find(|v| v.lease == "open")
        .map(|v| v.grant_no)
        .ok_or_else(|| format!("{:?}", status.vips))
}

/// At default timers a busy machine may be too slow for a restart: then the others take over. Either
/// way nobody answers beside another, nothing moves that was not lost, and a move is told.
#[test]
fn a_restart_is_free_or_told_and_never_makes_two_owners() {
    let test = "a_restart_is_free_or_told_and_never_makes_two_owners";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        ip_and_web(cib);
    });
    for role in [Role::Dc, Role::Other, Role::Dc] {
        let holder = holder_as(&c, role);
        let pid = web_pid(&c, &holder).unwrap();
        let lost_before = losses(&c, &holder);
        let lapsed_before = c.log_of(&holder).matches("the lease of grant").count();
        let watch = owners(&c);
        kill_and_wait(&c, &holder);
        let now = c.wait_started("node1", "web", None);
        let again = watch.wait_for_answer(Instant::now(), PATIENCE);
        assert!(again.is_some(), "nobody answers for {VIP} any more");
        let double = overlap(&watch.stop(), RETURN_AFTER);
        assert_eq!(double, Duration::ZERO, "two nodes answered for {VIP}");
        c.wait_sole_holder(&now);
        let lost = losses(&c, &holder) > lost_before;
        // A machine that stood still for longer than the lease has counted a failure, and told it.
        let lapsed = c.log_of(&holder).matches("the lease of grant").count() > lapsed_before;
        if now == holder && !lost && !lapsed {
            let same = web_pid(&c, &now);
            assert_eq!(same, Some(pid), "the service was started a second time");
        }
        if now != holder {
            assert!(
                lost || lapsed,
                "{VIP} moved from {holder}, which nobody had lost"
            );
            told_of_the_move(&c, &holder, &now);
        }
    }
}

fn told_of_the_move(c: &Cluster, from: &str, to: &str) {
    c.wait_for("node1", "word of the move", |s| {
        let there = s.vips.iter().find(|v| v.node == to);
        match there.and_then(|v| v.last_move.as_ref()) {
            Some(told) if told.from == from && told.to == to && !told.why.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
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
    c.wait_sole_holder(&holder);
    // A machine that stood still for longer than the lease has counted a failure, and told it.
    let lapsed = c.log_of(&holder).contains("the lease of grant");
    let failures = resource(&c.status("node1"), "ip").unwrap().failures.clone();
    assert!(failures.is_empty() || lapsed, "{failures:?}");
}

/// `token` with which a lease lasts ten seconds, and eight at least from any death on.
const LONG_TOKEN_MS: u32 = 20_000;
/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// Time between two questions who has the address.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// A move back after this time is another move, not two owners.
const RETURN_AFTER: Duration = Duration::from_millis(50);
