//! A disk that answers nothing any more, under the holder of a floating IP.

use crate::cluster::{Cluster, PATIENCE, brief, skip};
use crate::config::{add, constrain, ip, plain, properties, web};
use mainstay::ipc::{Change, Edit, ErrorKind, Request, Response};
use mainstay::lab::{Options, VIP};
use netlink::provoke::Provoker;
use netlink::speakers::{Capture, late};
use std::collections::BTreeSet;
use std::time::Duration;

/// The node's store on a disk of its own, which can be made to hang: a file system in a file,
/// frozen by fsfreeze(8). False where that cannot be made.
fn own_disk(c: &Cluster, node: &str) -> bool {
    let mounted = c.sh(
        node,
        "truncate -s 64M /var/disk && mkfs.ext4 -q -F /var/disk && mkdir -p /tmp/new \
         && mount -o loop /var/disk /tmp/new && cp -a /var/lib/mainstay/. /tmp/new/ \
         && umount /tmp/new && mount -o loop /var/disk /var/lib/mainstay",
    );
    if !mounted.ok() {
        eprintln!("    {mounted:?}");
    }
    mounted.ok()
}

/// A disk that takes up to so many seconds for whatever it is asked, until this is dropped.
struct Slowness<'a> {
    c: &'a Cluster,
    node: &'a str,
}

impl<'a> Slowness<'a> {
    fn begin(c: &'a Cluster, node: &'a str, seconds: &str) -> Self {
        // It ends by itself, too: nothing of a test outlives it frozen.
        c.run(
            node,
            &format!(
                "touch /run/slow; ( for i in $(seq 1000); do [ -e /run/slow ] || break; \
                 fsfreeze -f /var/lib/mainstay; sleep {seconds}; fsfreeze -u /var/lib/mainstay; \
                 sleep 0.02; done; touch /run/slow-ended ) >/run/slow-log 2>&1 </dev/null &"
            ),
        );
        Self { c, node }
    }
}

impl Drop for Slowness<'_> {
    fn drop(&mut self) {
        let ended = "rm -f /run/slow; for i in $(seq 100); do [ -e /run/slow-ended ] && exit 0; sleep 0.1; done; exit 1";
        let ended = self.c.sh(self.node, ended);
        if !ended.ok() {
            eprintln!("    {ended:?}");
        }
    }
}

/// Whatever becomes of the test, a process that waits for a frozen disk ends only with the frost.
struct Frost<'a> {
    c: &'a Cluster,
    node: &'a str,
}

impl<'a> Frost<'a> {
    fn begin(c: &'a Cluster, node: &'a str) -> Self {
        c.run(node, "fsfreeze -f /var/lib/mainstay");
        Self { c, node }
    }
}

impl Drop for Frost<'_> {
    fn drop(&mut self) {
        let thawed = self.c.sh(self.node, "fsfreeze -u /var/lib/mainstay");
        if !thawed.ok() {
            eprintln!("    {thawed:?}");
        }
    }
}

/// Nodes with a floating IP whose holder has its store on a disk that can hang; and who that is.
/// Nothing where such a disk cannot be made.
fn with_own_disk(
    test: &str,
    nodes: u8,
    options: impl FnOnce(&mut Options),
) -> Option<(Cluster, String)> {
    let c = Cluster::up(test, nodes, options)?;
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, ip());
    });
    if !c.sh("node1", "test -e /dev/loop-control").ok() {
        // As with other devices that a kernel may be built without.
        eprintln!("{test}: skipped, this kernel has no loop devices");
        return None;
    }
    let holder = c.wait_started("node1", "ip", None);
    c.stop_daemon(&holder, PATIENCE).unwrap();
    if !own_disk(&c, &holder) {
        skip(test, "no file system of its own (mkfs.ext4(8))");
        return None;
    }
    c.start_daemon(&holder).unwrap();
    c.wait_online();
    let other = c.other_than(&[&holder]);
    // Back to the node with the disk that can hang.
    c.run(&other, &format!("crm resource move ip {holder}"));
    c.wait_started_on(&other, "ip", &holder);
    c.run(&other, "crm resource clear ip");
    c.wait_idle(&other);
    Some((c, holder))
}

/// The holder has noticed its disk and says so.
fn wait_told(c: &Cluster, holder: &str) {
    c.wait_for(holder, "the holder to say why", |s| {
        let told = |text: &str| text.contains("has not completed a barrier for 2 s");
        match s.notices.iter().any(|n| told(&n.text)) {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
}

/// Who spoke for the address, in turns; nobody spoke after his turn.
fn spoke_one_after_another(c: &Cluster, asking: Provoker, capture: Capture, turns: &[&str]) {
    drop(asking);
    let (words, lost) = capture.stop();
    assert_eq!(lost, 0);
    let macs = c.nodes().unwrap();
    let names = words.chunk_by(|a, b| a.mac == b.mac).map(|turn| {
        let node = macs.iter().find(|n| n.mac() == turn[0].mac);
        node.map_or("a stranger", |n| n.name.as_str())
    });
    let names: Vec<&str> = names.collect();
    assert_eq!(names, turns);
    assert_eq!(late(&words, Duration::from_millis(50)), []);
}

#[test]
fn a_holder_whose_disk_hangs_is_silent_before_another_speaks_and_says_why() {
    let test = "a_holder_whose_disk_hangs_is_silent_before_another_speaks_and_says_why";
    let Some((c, holder)) = with_own_disk(test, 3, |_| ()) else {
        return;
    };
    let other = c.other_than(&[&holder]);

    let ips = BTreeSet::from([VIP]);
    let (asking, capture) = c.watch_owners(&ips, Duration::from_millis(5)).unwrap();
    let probe = c.probe(VIP, Duration::from_millis(5)).unwrap();
    c.wait_answer(&probe, PATIENCE).unwrap();
    let frost = Frost::begin(&c, &holder);
    // Something to be written down.
    c.must_edit(&other, |cib| properties(cib, &[("note", "written")]));
    wait_told(&c, &holder);
    let taker = c.wait_started(&other, "ip", Some(&holder));
    c.wait_answer(&probe, PATIENCE).unwrap();
    let named = c.status(&other);
    let lost = named.nodes.iter().any(|n| n.name == holder && !n.online);
    assert!(lost, "{}", brief(&named));
    drop(frost);
    c.wait_online();
    c.wait_idle(&other);
    spoke_one_after_another(&c, asking, capture, &[&holder, &taker]);
}

/// Without fencing and a third node the other cannot know that the silent one has given up: it asks the
/// network, and is answered.
#[test]
fn of_two_nodes_one_with_a_hung_disk_gives_up_alone() {
    let test = "of_two_nodes_one_with_a_hung_disk_gives_up_alone";
    let Some((c, holder)) = with_own_disk(test, 2, |o| o.two_node = true) else {
        return;
    };
    let other = c.other_than(&[&holder]);
    let ips = BTreeSet::from([VIP]);
    let (asking, capture) = c.watch_owners(&ips, Duration::from_millis(5)).unwrap();
    let probe = c.probe(VIP, Duration::from_millis(5)).unwrap();
    c.wait_answer(&probe, PATIENCE).unwrap();
    let frost = Frost::begin(&c, &holder);
    c.must_edit(&other, |cib| properties(cib, &[("note", "written")]));
    wait_told(&c, &holder);
    c.wait_for(&other, "the other to say why it takes nothing", |s| {
        let told = |text: &str| text.contains(&format!("({holder}) answers: it lives"));
        match s.notices.iter().any(|n| told(&n.text)) {
            true => Ok(()),
            false => Err(brief(s)),
        }
    });
    assert_eq!(c.holders(VIP).unwrap(), [] as [String; 0]);
    drop(frost);
    c.wait_online();
    let now = c.wait_started(&other, "ip", None);
    c.wait_answer(&probe, PATIENCE).unwrap();
    let mut turns = vec![holder.as_str()];
    // The same one again is one turn.
    turns.extend([now.as_str()].into_iter().filter(|n| *n != holder));
    spoke_one_after_another(&c, asking, capture, &turns);
}

/// The hand-over does not wait for disks that take longer than it has time: the holder stops before the
/// log names who is next, who then starts by the log, at the first try.
#[test]
fn an_address_moves_at_the_first_try_whatever_the_disks_take() {
    let test = "an_address_moves_at_the_first_try_whatever_the_disks_take";
    for _ in 0..TRIES {
        let Some((c, holder)) = with_own_disk(test, 2, |_| ()) else {
            return;
        };
        move_on_slow_disks(&c, &holder);
        let status = c.status(&holder);
        let failed = status.failcounts.iter().any(|f| f.resource == "ip");
        let notices = ["node1", "node2"].map(|n| c.status(n).notices).concat();
        let hung = notices.iter().any(|n| n.code == "store-hung");
        match failed && hung {
            // The file systems below lie on it: then a node was given up, which is not asked here.
            true => eprintln!("    the machine's own disk hung: {}", brief(&status)),
            false => {
                let counts = &status.failcounts;
                return assert!(!failed, "{counts:?}; {}", brief(&status));
            }
        }
    }
    panic!("the machine's own disk hung each time");
}

/// The address goes back and forth while neither disk is ever prompt.
fn move_on_slow_disks(c: &Cluster, holder: &str) {
    let other = c.other_than(&[holder]);
    c.stop_daemon(&other, PATIENCE).unwrap();
    assert!(own_disk(c, &other), "as on {holder}");
    c.start_daemon(&other).unwrap();
    c.wait_online();
    c.wait_idle(holder);
    // Never in step.
    let _slow = [(holder, "0.3"), (&other, "0.13")].map(|(n, s)| Slowness::begin(c, n, s));
    for turn in 0..MOVES {
        let to = [&*other, holder][turn % 2];
        c.run(holder, &format!("crm resource move ip {to} force"));
        c.wait_started_on(holder, "ip", to);
    }
}

/// A client makes something through one node and refers to it through another one, whose disk is late:
/// that one has not seen it and waits, instead of telling him that there is no such thing.
#[test]
fn a_node_that_is_behind_refuses_nothing_that_it_has_not_seen() {
    let test = "a_node_that_is_behind_refuses_nothing_that_it_has_not_seen";
    let Some((c, slow)) = with_own_disk(test, 3, |_| ()) else {
        return;
    };
    let other = c.other_than(&[&slow]);
    // Shorter than what a node is given before it counts as hung.
    let begin_to_lag = |edit: fn(&mut cib::Cib)| {
        let line = "fsfreeze -f /var/lib/mainstay; ( sleep 1.2; fsfreeze -u /var/lib/mainstay ) >/dev/null 2>&1 </dev/null &";
        c.run(&slow, line);
        c.must_edit(&other, edit);
        let (now, here) = (c.cib(&other), c.cib(&slow));
        assert!(here.version() < now.version(), "{slow} is not behind");
        now
    };
    let bound = |cib: &cib::Cib, id: &str, resource: &str| {
        let mut new = cib.clone();
        let node = &other;
        let xml =
            format!("<rsc_location id=\"{id}\" rsc=\"{resource}\" node=\"{node}\" score=\"5\"/>");
        constrain(&mut new, &xml);
        new
    };
    let patch = |old: &cib::Cib, new: &cib::Cib| {
        let patch = cib::Patch::between(old.root(), new.root()).unwrap();
        let mut op = [0; 16];
        getrandom::fill(&mut op).unwrap();
        let change = Change {
            op,
            base: None,
            edit: Edit::Patch(cib::xml::compact(&patch.to_xml())),
            client: "e2e".to_owned(),
            user: "root".to_owned(),
        };
        c.ask(&slow, &Request::Change(change))
    };

    let now = begin_to_lag(|cib| add(cib, web()));
    let answer = patch(&now, &bound(&now, "near", "web"));
    assert!(matches!(answer, Ok(Response::Changed { .. })), "{answer:?}");

    let now = begin_to_lag(|cib| properties(cib, &[("note", "written")]));
    let base = (now.version().admin_epoch, now.version().epoch);
    let whole = bound(&now, "nearer", "web");
    let whole = cib::xml::compact(whole.root().first("configuration").unwrap());
    let answer = c.replace(&slow, whole, Some(base));
    assert!(matches!(answer, Ok(Response::Changed { .. })), "{answer:?}");

    // What is not there is not there, however long one waits.
    let now = begin_to_lag(|cib| properties(cib, &[("note", "written again")]));
    let answer = patch(&now, &bound(&now, "far", "ghost"));
    let Ok(Response::Error { kind, text }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(kind, ErrorKind::Config);
    assert!(
        text.contains("ghost") && text.contains("create the resource"),
        "{text}"
    );
    assert!(
        c.cib(&slow).version() >= now.version(),
        "judged on what is past"
    );
}

/// How often an address is moved.
const MOVES: usize = 12;
/// How often it is tried to do that on a machine whose own disk does not hang.
const TRIES: usize = 3;
