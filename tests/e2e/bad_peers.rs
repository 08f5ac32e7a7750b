//! Peers that are not what they should be: of another release, copied, set back, with another node
//! list, a witness without its memory. Each gives one line, in `status` and in the log, that names
//! the node and the cure; nothing is lost, and the others go on.

use crate::bad_input::{CONF, KEY, wait_diagnosis, wait_pair};
use crate::cluster::{Cluster, PATIENCE, STILLNESS, brief, is_online};
use crate::config::{plain, properties};
use crate::lost_stores::VOTES;
use mainstay::transport::{OsEntropy, boottime_us};
use netlink::NetNs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wire::{Endpoint, Identity, KeyRing, MachineBoot, NodeId, ProcessBoot, VersionRange};

/// Where a daemon keeps what it must not forget.
const STATE: &str = "var/lib/mainstay";

/// Waits until a notice of `node` has all of `words`, and its log, too.
fn wait_notice(c: &Cluster, node: &str, words: &[&str]) {
    c.wait_for(node, &format!("a notice with {words:?}"), |s| {
        let all = |text: &str| words.iter().all(|w| text.contains(w));
        let told = s.notices.iter().any(|n| all(&n.text));
        match told && c.log_of(node).lines().any(all) {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
}

/// Waits until all nodes have what this one has.
fn wait_same(c: &Cluster, wanted: &str) {
    let there = |node: &str| c.cib(node).root().first("configuration").cloned();
    let configuration = there(wanted);
    for node in ["node1", "node2", "node3"] {
        c.wait_until("the same configuration everywhere", node, || {
            match there(node) == configuration {
                true => Ok(()),
                false => Err(format!("{node} has another")),
            }
        });
    }
}

fn copy(from: &Path, to: &Path) {
    let mut done = std::process::Command::new("cp");
    let done = done.arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success(), "cp {} {}", from.display(), to.display());
}

fn address(node: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 100 + node), 5405)
}

/// Speaks in the place of node3's daemon, as a release of these versions would.
fn play_node3(c: &Cluster, versions: VersionRange, over: &AtomicBool) {
    let key = std::fs::read(c.node_dir("node3").join(KEY)).unwrap();
    let ring = KeyRing::derive(&key, "lab").unwrap();
    let me = Identity {
        node: NodeId(3),
        machine_boot: MachineBoot([9; 16]),
        process_boot: ProcessBoot([9; 16]),
        incarnation: 1_000,
    };
    let peers = [1, 2, 3].map(NodeId);
    let mut endpoint = Endpoint::new(me, ring, &peers, 1, &mut OsEntropy);
    endpoint.speak(versions);
    let socket = UdpSocket::bind(address(3)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(10)))
        .unwrap();
    for peer in [1, 2] {
        endpoint
            .connect(boottime_us(), NodeId(peer), &mut OsEntropy)
            .unwrap();
    }
    let mut buffer = [0; 2048];
    while !over.load(Ordering::Acquire) {
        endpoint.handle_timeout(boottime_us(), &mut OsEntropy);
        while let Some(sent) = endpoint.poll_transmit() {
            // Who is away does not hear it.
            let _ = socket.send_to(&sent.datagram, address(sent.to.0 as u8));
        }
        if let Ok((len, _)) = socket.recv_from(&mut buffer) {
            let _ = endpoint.handle(boottime_us(), 0, &buffer[..len], &mut OsEntropy);
        }
    }
}

/// Ends what is played, whatever became of the test.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_peer_of_another_release_is_named_with_both_versions() {
    let test = "a_peer_of_another_release_is_named_with_both_versions";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    c.stop_daemon("node3", PATIENCE).unwrap();
    wait_pair(&c, "node1", "node2");
    let place = c.nodes().unwrap()[2].running().unwrap();
    let place = NetNs::of_pid(place.pid.unsigned_abs()).unwrap();
    let newer = VersionRange { min: 2, max: 3 };
    let over = AtomicBool::new(false);
    let words = [
        "node3",
        "speaks protocol 2 to 3",
        "spoken here is 1",
        "install a version",
    ];
    std::thread::scope(|scope| {
        let (c, over) = (&c, &over);
        let _end = End(over);
        scope.spawn(move || place.run(|| play_node3(c, newer, over)).unwrap());
        for node in ["node1", "node2"] {
            wait_diagnosis(c, node, "node3", &words[1..]);
            wait_notice(c, node, &words);
        }
        // The others are not disturbed by it.
        c.must_edit("node2", |cib| properties(cib, &[("batch-limit", "3")]));
    });
    c.start_daemon("node3").unwrap();
    c.wait_online();
    wait_same(&c, "node1");
    c.wait_for("node1", "the trouble to be forgotten", |s| {
        match s.notices.iter().any(|n| n.text.contains(words[1])) {
            true => Err(brief(s)),
            false => Ok(()),
        }
    });
}

#[test]
fn a_copied_machine_with_an_address_of_its_own_is_named_and_refused() {
    let test = "a_copied_machine_with_an_address_of_its_own_is_named_and_refused";
    let Some(c) = Cluster::off(test, 4) else {
        return;
    };
    for node in ["node1", "node2", "node3"] {
        c.edit_file(node, CONF, |text| {
            let fourth = text.rfind("    node {").unwrap();
            let end = fourth + text[fourth..].find("    }\n").unwrap() + "    }\n".len();
            format!("{}{}", &text[..fourth], &text[end..])
        });
        c.poweron(node).unwrap();
    }
    c.wait_online();
    c.must_edit("node1", plain);
    // The copy of node3 has all of its disk, and an address that does not collide with node3's.
    c.stop_daemon("node3", PATIENCE).unwrap();
    let (original, clone) = (c.node_dir("node3"), c.node_dir("node4"));
    for part in [STATE, "etc-corosync", "hostname"] {
        let to = clone.join(part);
        let _ = std::fs::remove_dir_all(&to).or_else(|_| std::fs::remove_file(&to));
        copy(&original.join(part), &to);
    }
    c.edit_file("node4", CONF, |text| {
        text.replace("10.77.0.103", "10.77.0.104")
    });
    c.start_daemon("node3").unwrap();
    c.wait_online();
    let view = c.status("node1").view_no;
    c.poweron("node4").unwrap();
    for node in ["node1", "node2"] {
        wait_notice(
            &c,
            node,
            &["10.77.0.104", "node3", "refused", "if it is a copy"],
        );
    }
    std::thread::sleep(STILLNESS);
    let status = c.status("node1");
    assert!(
        is_online(&status, "node3") && status.quorate,
        "{}",
        brief(&status)
    );
    assert_eq!(status.view_no, view, "the copy disturbed the cluster");
    assert!(!c.status("node4").quorate, "the copy takes part");
    c.must_edit("node3", |cib| properties(cib, &[("batch-limit", "3")]));
    c.poweroff("node4").unwrap();
    wait_same(&c, "node3");
}

#[test]
fn a_disk_that_was_set_back_is_told_and_filled_up_before_it_votes() {
    let test = "a_disk_that_was_set_back_is_told_and_filled_up_before_it_votes";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    let (state, image) = (c.node_dir("node3").join(STATE), c.dir().join("image"));
    c.stop_daemon("node3", PATIENCE).unwrap();
    copy(&state, &image);
    c.start_daemon("node3").unwrap();
    c.wait_online();
    for limit in ["3", "4", "5"] {
        c.must_edit("node3", |cib| properties(cib, &[("batch-limit", limit)]));
    }
    c.stop_daemon("node3", PATIENCE).unwrap();
    wait_pair(&c, "node1", "node2");
    std::fs::remove_dir_all(&state).unwrap();
    copy(&image, &state);
    c.start_daemon("node3").unwrap();
    wait_notice(
        &c,
        "node1",
        &[
            "node3",
            "store rolled back",
            "fetches what it lacks by itself",
        ],
    );
    c.wait_until("the log of node3 to say why", "node3", || {
        let words = [
            "disk is older",
            "does not vote until it has fetched its state",
        ];
        let log = c.log_of("node3");
        match words.iter().find(|w| !log.contains(**w)) {
            None => Ok(()),
            Some(word) => Err(format!("no {word:?}")),
        }
    });
    c.wait_online();
    wait_same(&c, "node1");
    let limit = |c: &Cluster| c.run("node3", "crm_attribute -t crm_config -n batch-limit -G -q");
    assert_eq!(limit(&c).trim(), "5", "an acknowledged change is lost");
}

#[test]
fn a_node_that_goes_on_with_another_node_list_is_named() {
    let test = "a_node_that_goes_on_with_another_node_list_is_named";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    let right = std::fs::read_to_string(c.node_dir("node3").join(CONF)).unwrap();
    c.stop_daemon("node3", PATIENCE).unwrap();
    c.edit_file("node3", CONF, |text| {
        let fourth = "    node {\n        ring0_addr: 10.77.0.104\n        name: node4\n        nodeid: 4\n    }\n}\n\nquorum";
        text.replace("}\n\nquorum", fourth)
    });
    c.start_daemon("node3").unwrap();
    let cure = [
        "works with another node list",
        "corosync.conf",
        "restart mainstayd",
    ];
    wait_notice(&c, "node1", &[&["node3"], &cure[..]].concat());
    wait_notice(&c, "node3", &[&["node1"], &cure[..]].concat());
    c.must_edit("node2", |cib| properties(cib, &[("batch-limit", "3")]));

    c.stop_daemon("node3", PATIENCE).unwrap();
    c.edit_file("node3", CONF, |_| right.clone());
    c.start_daemon("node3").unwrap();
    c.wait_online();
    wait_same(&c, "node2");
}

#[test]
fn a_witness_that_lost_its_store_is_told_and_votes_again_when_all_have_answered() {
    let test = "a_witness_that_lost_its_store_is_told_and_votes_again_when_all_have_answered";
    let Some(c) = Cluster::off_with(test, 3, |o| o.witness = true) else {
        return;
    };
    c.poweron_all().unwrap();
    wait_pair(&c, "node1", "node2");
    c.must_edit("node1", plain);
    let votes = |c: &Cluster| c.log_of("node3").matches(VOTES).count();
    c.wait_until("the witness to have a vote", "node3", || match votes(&c) {
        0 => Err(c.log_of("node3")),
        _ => Ok(()),
    });
    c.stop_daemon("node3", PATIENCE).unwrap();
    c.poweroff("node2").unwrap();
    std::fs::remove_dir_all(c.node_dir("node3").join(STATE).join("witness")).unwrap();
    c.start_daemon("node3").unwrap();
    wait_notice(
        &c,
        "node1",
        &["witness has no store", "start the nodes that are down"],
    );
    c.wait_until("the witness to say that it has none", "node3", || {
        let words = "this witness has no store";
        match c.log_of("node3").matches(words).count() {
            // Of its very first start, and of this one.
            2.. => Ok(()),
            n => Err(format!("{n} times")),
        }
    });

    let before = votes(&c);
    c.poweron("node2").unwrap();
    c.wait_until("the witness to have a vote again", "node3", || {
        match votes(&c) > before {
            true => Ok(()),
            false => Err(c.log_of("node3")),
        }
    });
    wait_pair(&c, "node2", "node1");
    c.must_edit("node2", |cib| properties(cib, &[("batch-limit", "3")]));
    assert_eq!(c.cib("node1").root(), c.cib("node2").root());
}
