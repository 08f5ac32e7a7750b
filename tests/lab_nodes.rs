//! The lab itself, without a cluster in it: a node's power, disks, cable, freezer and supervisor
//! are what the end-to-end tests rely on.

use mainstay::lab::{Lab, LabError, Options, VIP};
use netlink::speakers::Capture;
use netlink::{AddressSpec, Announcer, Kernel, NetNs};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

mod skip;

use skip::skip;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mainstay-lab");
const EVERY: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for ten answers, had there been any.
const SILENT_FOR: Duration = Duration::from_millis(60);

/// A lab whose nodes run `sleep` in place of the daemon; `None`, with the reason, where there can
/// be none.
fn lab(test: &str, nodes: u8, change: impl FnOnce(&mut Options)) -> Option<Lab> {
    if !nix::unistd::geteuid().is_root() {
        skip(test, "network namespaces need root");
        return None;
    }
    let mut options = Options::for_test(nodes, PROGRAM);
    options.daemon = vec!["sleep".to_owned(), "600".to_owned()];
    change(&mut options);
    Some(Lab::up(&options).unwrap())
}

fn sh(lab: &Lab, node: &str, line: &str) -> String {
    lab.paste(node, line).unwrap().trim().to_owned()
}

fn address(lab: &Lab, node: &str) -> IpAddr {
    lab.nodes()
        .unwrap()
        .into_iter()
        .find(|n| n.name == node)
        .unwrap()
        .address
        .into()
}

fn answers(lab: &Lab, node: &str, wait: Duration) -> bool {
    let start = Instant::now();
    let probe = lab.probe(address(lab, node), EVERY).unwrap();
    probe.wait_for_answer(start, wait).is_some()
}

/// What the client's own interface gets of a node's frames.
fn heard_by_client(lab: &Lab, ip: IpAddr) -> Capture {
    let client = lab.client().unwrap();
    let netns = NetNs::of_pid(client.pid.unsigned_abs()).unwrap();
    Capture::start(&netns, &BTreeSet::from([ip]), &[]).unwrap()
}

/// Lets a node say that its own address is its own, until `heard` or for a while.
fn announces(lab: &Lab, node: &str, capture: &Capture, wait: Duration) -> bool {
    let nodes = lab.nodes().unwrap();
    let pid = nodes.iter().find(|n| n.name == node).unwrap().running();
    let netns = NetNs::of_pid(pid.unwrap().pid.unsigned_abs()).unwrap();
    let (ip, from) = (address(lab, node), Instant::now());
    let open = || Announcer::open(&Kernel::open().unwrap().link("eth0").unwrap()).unwrap();
    let mouth = netns.run(open).unwrap();
    while from.elapsed() < wait {
        mouth.announce(ip).unwrap();
        if capture.wait_for(ip, from, EVERY).is_some() {
            return true;
        }
    }
    false
}

#[test]
fn a_lab_that_cannot_be_built_says_why_and_can_be_removed() {
    let program = tempfile::NamedTempFile::new().unwrap();
    let mut options = Options::for_test(1, PROGRAM);
    options.program = program.path().to_owned();
    let dir = options.dir.clone();
    let failed = Lab::up(&options).unwrap_err().to_string();
    assert_eq!(failed, "start the switch: Permission denied (os error 13)");
    Lab::down(&dir, true).unwrap();
    assert!(!dir.exists());
}

#[test]
fn a_cable_may_be_cut_in_one_direction() {
    let Some(lab) = lab("a_cable_may_be_cut_in_one_direction", 2, |_| ()) else {
        return;
    };
    let ip = address(&lab, "node1");
    for (deaf, cut) in [
        (true, Lab::deafen as fn(&Lab, &str) -> _),
        (false, Lab::mute),
    ] {
        assert!(answers(&lab, "node1", PATIENCE));
        cut(&lab, "node1").unwrap();
        assert!(!answers(&lab, "node1", SILENT_FOR), "deaf: {deaf}");
        let capture = heard_by_client(&lab, ip);
        let wait = if deaf { PATIENCE } else { SILENT_FOR };
        assert_eq!(announces(&lab, "node1", &capture, wait), deaf);
        assert!(answers(&lab, "node2", PATIENCE));
        // What it says does not come back from the bridge as somebody's whereabouts.
        assert!(!answers(&lab, "node1", SILENT_FOR), "deaf: {deaf}");
        lab.heal("node1").unwrap();
    }
    assert!(answers(&lab, "node1", PATIENCE));
}

#[test]
fn a_node_is_a_machine_of_its_own() {
    let Some(lab) = lab("a_node_is_a_machine_of_its_own", 2, |o| {
        o.token_ms = Some(300)
    }) else {
        return;
    };
    assert_eq!(
        sh(&lab, "node2", "hostname; cat /etc/hostname"),
        "node2\nnode2"
    );
    assert_eq!(
        sh(&lab, "node1", "getent hosts node2")
            .split_whitespace()
            .next(),
        Some("10.77.0.102")
    );
    assert_eq!(sh(&lab, "node1", "ls /sys/class/net"), "eth0\nlo");
    assert_eq!(
        sh(&lab, "node1", "stat -c '%a %u %s' /etc/corosync/authkey"),
        "400 0 256"
    );
    assert!(sh(&lab, "node1", "cat /etc/corosync/corosync.conf").contains("token: 300"));
    assert_eq!(sh(&lab, "node1", "command -v crm; command -v mainstayd"), {
        "/usr/lib/mainstay/bin/crm\n/usr/lib/mainstay/bin/mainstayd"
    });
    assert_eq!(sh(&lab, "node1", "cat /proc/1/comm"), "mainstay-lab");
    // Own disks, and the machine's files out of reach.
    sh(
        &lab,
        "node1",
        "echo one > /var/lib/mainstay/mark; echo one > /run/lab/shared/mark",
    );
    let of_node2 = lab
        .exec("node2", &["cat", "/var/lib/mainstay/mark"])
        .unwrap();
    assert_ne!(of_node2.code, 0);
    assert_eq!(sh(&lab, "node2", "cat /run/lab/shared/mark"), "one");
    let outside = lab
        .exec("node1", &["touch", "/usr/mainstay-was-here"])
        .unwrap();
    assert!(
        !outside.ok() && outside.stderr.contains("Read-only"),
        "{outside:?}"
    );
    assert_eq!(lab.holders(address(&lab, "node2")).unwrap(), ["node2"]);
}

#[test]
fn a_command_keeps_its_streams_and_its_exit_code() {
    let Some(lab) = lab("a_command_keeps_its_streams_and_its_exit_code", 1, |_| ()) else {
        return;
    };
    let bound = Duration::from_secs(30);
    let echo = lab.exec_with(
        "node1",
        &["sh", "-c", "cat; echo no >&2; exit 7"],
        b"in\n",
        bound,
    );
    let echo = echo.unwrap();
    assert_eq!(
        (echo.code, echo.stdout.as_str(), echo.stderr.as_str()),
        (7, "in\n", "no\n")
    );
    assert_eq!(
        lab.exec("node1", &["sh", "-c", "kill -9 $$"]).unwrap().code,
        128 + 9
    );
    let absent = lab.exec("node1", &["no-such-command"]).unwrap();
    assert!(
        absent.code == 127 && absent.stderr.contains("no-such-command"),
        "{absent:?}"
    );
    let hanging = lab.exec_with("node1", &["sleep", "600"], b"", Duration::from_millis(50));
    assert!(matches!(hanging, Err(LabError::Timeout(_))), "{hanging:?}");
    lab.wait("the hanging command to be gone", PATIENCE)
        .until(|| {
            let count = "for f in /proc/[0-9]*/comm; do cat $f; done 2>&1 | grep -c '^sleep$'";
            let left = lab.exec("node1", &["sh", "-c", count])?.stdout;
            Ok(match left.trim() {
                "1" => mainstay::lab::Seen::Yes(()),
                other => mainstay::lab::Seen::NotYet(other.to_owned()),
            })
        })
        .unwrap();
    assert!(matches!(
        lab.exec("node9", &["true"]),
        Err(LabError::UnknownNode { .. })
    ));
}

#[test]
fn a_power_failure_takes_the_kernel_and_leaves_the_disk() {
    let Some(lab) = lab(
        "a_power_failure_takes_the_kernel_and_leaves_the_disk",
        2,
        |_| (),
    ) else {
        return;
    };
    let boot_id = |lab: &Lab| sh(lab, "node1", "cat /proc/sys/kernel/random/boot_id");
    let first = boot_id(&lab);
    sh(
        &lab,
        "node1",
        "echo kept > /var/lib/mainstay/mark; touch /run/lost /tmp/lost",
    );
    assert!(answers(&lab, "node1", PATIENCE));

    let probe = lab.probe(address(&lab, "node1"), EVERY).unwrap();
    lab.poweroff("node1").unwrap();
    let off = Instant::now();
    assert_eq!(probe.wait_for_answer(off, SILENT_FOR), None);
    assert!(matches!(
        lab.poweroff("node1"),
        Err(LabError::NodeOff { .. })
    ));
    assert!(matches!(
        lab.exec("node1", &["true"]),
        Err(LabError::NodeOff { .. })
    ));

    lab.poweron("node1").unwrap();
    assert!(probe.wait_for_answer(off, PATIENCE).is_some());
    assert!(matches!(lab.poweron("node1"), Err(LabError::NodeOn { .. })));
    assert_eq!(sh(&lab, "node1", "cat /var/lib/mainstay/mark"), "kept");
    assert_eq!(
        sh(&lab, "node1", "ls -A /tmp; ls /run | grep lost || true"),
        ""
    );
    let second = boot_id(&lab);
    assert_ne!(first, second);
    assert_eq!(second.len(), 36);
}

#[test]
fn a_cut_cable_keeps_its_carrier() {
    let Some(lab) = lab("a_cut_cable_keeps_its_carrier", 2, |_| ()) else {
        return;
    };
    assert!(answers(&lab, "node2", PATIENCE));
    lab.cut("node2").unwrap();
    assert!(!answers(&lab, "node2", SILENT_FOR));
    assert!(answers(&lab, "node1", PATIENCE));
    assert_eq!(sh(&lab, "node2", "cat /sys/class/net/eth0/carrier"), "1");
    lab.heal_all().unwrap();
    assert!(answers(&lab, "node2", PATIENCE));
}

#[test]
fn a_frozen_node_stands_still_while_its_kernel_answers() {
    let Some(lab) = lab(
        "a_frozen_node_stands_still_while_its_kernel_answers",
        1,
        |o| {
            let count = "while :; do echo >> /var/log/count; sleep 0.01; done";
            o.daemon = ["sh", "-c", count].map(str::to_owned).to_vec();
        },
    ) else {
        return;
    };
    let counted =
        || std::fs::metadata(lab.node_dir("node1").join("var/log/count")).map_or(0, |m| m.len());
    let grows_beyond = |before: u64| {
        lab.wait("the count to grow", PATIENCE)
            .until(|| {
                Ok(match counted() {
                    now if now > before => mainstay::lab::Seen::Yes(()),
                    now => mainstay::lab::Seen::NotYet(now.to_string()),
                })
            })
            .unwrap();
    };
    grows_beyond(0);
    lab.freeze("node1").unwrap();
    let frozen_at = counted();
    assert!(answers(&lab, "node1", PATIENCE));
    std::thread::sleep(SILENT_FOR);
    assert_eq!(counted(), frozen_at);
    lab.thaw("node1").unwrap();
    grows_beyond(frozen_at);
    // Power can be cut from a frozen node too.
    lab.freeze("node1").unwrap();
    lab.poweroff("node1").unwrap();
}

#[test]
fn the_supervisor_restarts_what_dies_until_told_otherwise() {
    let Some(lab) = lab(
        "the_supervisor_restarts_what_dies_until_told_otherwise",
        1,
        |_| (),
    ) else {
        return;
    };
    let first = lab.daemon("node1").unwrap();
    assert_eq!(first.starts, 1);
    assert_eq!(lab.daemon_usage("node1").unwrap().processes, 1);
    lab.kill_daemon("node1").unwrap();
    let second = lab
        .wait("a second start", PATIENCE)
        .until(|| {
            let status = lab.daemon("node1")?;
            Ok(match status.pid {
                Some(_) if status.starts == 2 => mainstay::lab::Seen::Yes(status),
                _ => mainstay::lab::Seen::NotYet(format!("{status:?}")),
            })
        })
        .unwrap();
    assert_ne!(first.pid, second.pid);
    assert_eq!(second.ended.as_deref(), Some("signal SIGKILL"));

    let stopped = lab.stop_daemon("node1", PATIENCE).unwrap();
    assert_eq!(stopped.ended.as_deref(), Some("signal SIGTERM"));
    assert!(lab.kill_daemon("node1").is_err());
    assert_eq!(lab.start_daemon("node1").unwrap().starts, 3);
}

#[test]
fn the_fence_agent_switches_another_nodes_power() {
    let Some(lab) = lab("the_fence_agent_switches_another_nodes_power", 2, |_| ()) else {
        return;
    };
    let fence = |input: &str| {
        let agent = ["/usr/sbin/fence_lab"];
        lab.exec_with("node1", &agent, input.as_bytes(), PATIENCE)
            .unwrap()
    };
    let is_on = || lab.nodes().unwrap()[1].running().is_ok();
    assert_eq!(fence("action=status\nnodename=node2\n").code, 0);
    assert_eq!(fence("action=off\nplug=node2\nnodename=other\n").code, 0);
    assert!(!is_on());
    assert_eq!(fence("action=status\nplug=node2\n").code, 2);
    assert_eq!(
        fence("action=off\nplug=node2\n").code,
        0,
        "off is off already"
    );
    assert_eq!(fence("action=on\nplug=node2\n").code, 0);
    assert!(is_on());
    let unknown = fence("action=off\nplug=node7\n");
    assert!(
        unknown.code == 1 && unknown.stderr.contains("node7"),
        "{unknown:?}"
    );
    assert_eq!(fence("action=list\n").stdout, "node1,\nnode2,\n");
    assert!(
        fence("action=metadata\n")
            .stdout
            .contains("<resource-agent name=\"fence_lab\"")
    );
}

#[test]
fn a_take_over_is_as_long_as_the_client_heard_nothing() {
    let Some(lab) = lab(
        "a_take_over_is_as_long_as_the_client_heard_nothing",
        2,
        |_| (),
    ) else {
        return;
    };
    let take = |node: usize| {
        let init = lab.nodes().unwrap()[node].running().unwrap();
        let netns = NetNs::of_pid(init.pid.unsigned_abs()).unwrap();
        let mut kernel = Kernel::open_in(&netns).unwrap();
        let link = kernel.link("eth0").unwrap();
        kernel
            .add_address(&AddressSpec::new(link.index, VIP, 24))
            .unwrap();
        netns
            .run(|| Announcer::open(&link).unwrap().announce(VIP).unwrap())
            .unwrap();
    };
    take(0);
    let probe = lab.probe(VIP, EVERY).unwrap();
    lab.wait_answer(&probe, PATIENCE).unwrap();
    assert_eq!(lab.wait_holder(VIP, None, PATIENCE).unwrap(), "node1");
    let dead = lab.poweroff("node1").unwrap();
    std::thread::sleep(SILENT_FOR);
    take(1);
    assert_eq!(
        lab.wait_holder(VIP, Some("node1"), PATIENCE).unwrap(),
        "node2"
    );
    lab.wait_answer(&probe, PATIENCE).unwrap();
    let silence = netlink::probe::longest_silence(&probe.stop(), dead, Instant::now());
    assert!(silence >= SILENT_FOR - EVERY * 5, "{silence:?}");
}
