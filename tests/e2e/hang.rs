//! Daemons that hang or are killed in the middle of something.

use crate::cluster::Cluster;
use crate::config::{Primitive, add, plain, properties};
use mainstay::lab::Process;

/// Waits until another worker than `old` runs on a node.
fn wait_new_worker(c: &Cluster, node: &str, old: &Process) {
    c.wait_until("another daemon process", node, || {
        match c.daemon_worker(node) {
            Ok(process) if process != *old => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// Waits until a node's status has a notice with these words.
fn wait_told(c: &Cluster, node: &str, words: &str) {
    c.wait_for(node, &format!("a notice: {words}"), |s| {
        match s.notices.iter().any(|n| n.text.contains(words)) {
            true => Ok(()),
            false => Err(format!("{:?}", s.notices)),
        }
    });
}

#[test]
fn a_daemon_whose_main_loop_hangs_is_ended_and_says_why() {
    let test = "a_daemon_whose_main_loop_hangs_is_ended_and_says_why";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    let hung = c.daemon_worker("node2").unwrap();
    // A file that never ends to be opened, as on a file server that is gone.
    c.run(
        "node2",
        "cd /etc/corosync && cp corosync.conf saved && rm corosync.conf && mkfifo corosync.conf",
    );
    c.signal_daemon("node2", nix::sys::signal::Signal::SIGHUP as i32)
        .unwrap();
    wait_new_worker(&c, "node2", &hung);
    // The new one reads it, too, and gets it.
    c.run(
        "node2",
        "cd /etc/corosync && cat saved > corosync.conf && rm corosync.conf && mv saved corosync.conf",
    );
    c.wait_online();
    wait_told(&c, "node2", "the main loop of mainstayd did not turn");
    c.must_edit("node2", |cib| properties(cib, &[("batch-limit", "7")]));
}

#[test]
fn an_agent_that_outlives_its_daemon_is_ended_before_another_one_runs() {
    let test = "an_agent_that_outlives_its_daemon_is_ended_before_another_one_runs";
    let Some(c) = Cluster::off(test, 1) else {
        return;
    };
    c.install_agent(
        "lasting",
        "start) [ -e /run/hold-start ] && { echo $$ > /run/lasting.pid; sleep 617; }
         touch $state; exit 0 ;;",
    );
    c.power_on();
    c.run("node1", "touch /run/hold-start");
    c.must_edit("node1", |cib| {
        plain(cib);
        add(
            cib,
            Primitive::new("slow", "ocf:mainstay:lasting").op("start", "0s", "600s"),
        );
    });
    let agent = c.wait_until("the agent to be at work", "node1", || {
        let pid = c.sh("node1", "cat /run/lasting.pid");
        match pid.stdout.trim() {
            "" => Err(format!("{pid:?}")),
            pid => Ok(pid.to_owned()),
        }
    });
    let killed = c.daemon_worker("node1").unwrap();
    c.run("node1", "rm /run/hold-start");
    c.kill_daemon("node1").unwrap();
    wait_new_worker(&c, "node1", &killed);
    c.wait_started_on("node1", "slow", "node1");
    let left = c.sh("node1", &format!("kill -0 {agent}"));
    assert!(!left.ok(), "the agent of the killed daemon lives on");
    let sleeping = c.sh("node1", "grep -la '[s]leep.617' /proc/[0-9]*/cmdline");
    assert_eq!(sleeping.stdout.lines().count(), 0, "{sleeping:?}");
    wait_told(&c, "node1", "was left under way by an earlier mainstayd");
}
