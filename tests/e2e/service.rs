//! The daemon as a service manager sees it.

use crate::cluster::{Cluster, PATIENCE, brief};
use std::os::unix::net::UnixDatagram;

/// The init script, as it is installed.
fn init_script(c: &Cluster, node: &str) -> String {
    let daemon = c.run(node, "command -v mainstayd");
    let sbin = daemon.trim().trim_end_matches("/mainstayd").to_owned();
    let text = include_str!("../../scripts/init/mainstay").replace("@SBINDIR@", &sbin);
    let path = "/tmp/rc.corosync";
    let written = c.sh(
        node,
        &format!("cat >{path} <<'EOF'\n{text}EOF\nchmod 0755 {path}"),
    );
    assert!(written.ok(), "{written:?}");
    path.to_owned()
}

#[test]
fn the_init_script_starts_reloads_and_stops_as_the_lsb_says() {
    let test = "the_init_script_starts_reloads_and_stops_as_the_lsb_says";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    c.stop_daemon("node1", PATIENCE).unwrap();
    let script = init_script(&c, "node1");
    let act = |action: &str| c.sh("node1", &format!("{script} {action}"));
    // Table 20.2 of the LSB: 3 = not running.
    assert_eq!(act("status").code, 3);
    assert_eq!(act("stop").code, 0);
    assert_eq!(act("nonsense").code, 2);
    assert_eq!(act("start now").code, 2);
    assert_eq!(act("reload").code, 7);
    assert_eq!(act("try-restart").code, 0);
    assert_eq!(act("status").code, 3);
    // A pid file that a dead daemon left, whose number is somebody else's now.
    c.sh(
        "node1",
        "mkdir -p /run/mainstay && echo 1 >/run/mainstay/mainstayd.pid",
    );
    assert_eq!(act("status").code, 1);
    let nobody = format!("setpriv --reuid 65534 --regid 65534 --clear-groups {script} start");
    let refused = c.sh("node1", &nobody);
    assert!(
        refused.code == 4 && refused.stderr.contains("only root"),
        "{refused:?}"
    );
    let started = act("start");
    assert!(
        started.ok() && started.stdout.contains("started"),
        "{started:?}"
    );
    c.wait_for("node1", "one node with quorum", |s| match s.quorate {
        true => Ok(()),
        false => Err(brief(s)),
    });
    assert_eq!(act("status").code, 0);
    let again = act("start");
    assert!(
        again.ok() && again.stdout.contains("runs already"),
        "{again:?}"
    );
    assert_eq!(act("reload").code, 0);
    // What can be reloaded is not restarted.
    assert_eq!(act("force-reload").code, 0);
    let stopped = act("stop");
    assert!(stopped.ok(), "{stopped:?}");
    assert_eq!(act("status").code, 3);
    c.sh(
        "node1",
        "mkdir -p /etc/default && echo START=no >/etc/default/corosync",
    );
    let refused = act("start");
    assert!(
        refused.ok() && refused.stderr.contains("START=no"),
        "{refused:?}"
    );
    assert_eq!(act("status").code, 3);
}

#[test]
fn a_service_manager_hears_that_the_daemon_is_ready_alive_and_stopping() {
    let test = "a_service_manager_hears_that_the_daemon_is_ready_alive_and_stopping";
    let Some(c) = Cluster::up(test, 1, |_| ()) else {
        return;
    };
    c.stop_daemon("node1", PATIENCE).unwrap();
    let script = init_script(&c, "node1");
    let pid = c.nodes().unwrap()[0].running().unwrap().pid;
    let manager = UnixDatagram::bind(format!("/proc/{pid}/root/tmp/manager")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = |wanted: &str| {
        let mut word = [0; 64];
        loop {
            let n = manager.recv(&mut word).unwrap();
            if word[..n] == *wanted.as_bytes() {
                return;
            }
        }
    };
    let manager = "NOTIFY_SOCKET=/tmp/manager WATCHDOG_USEC=1000000";
    c.run("node1", &format!("{manager} {script} start"));
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    c.run("node1", &format!("{script} reload"));
    hear("RELOADING=1");
    hear("READY=1");
    c.run("node1", &format!("{script} stop"));
    hear("STOPPING=1");
}
