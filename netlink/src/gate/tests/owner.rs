//! Who the tables belong to (R16): a predecessor that died, strangers, and what happens to tables
//! that nobody owns.

use super::foreign::Foreign;
use super::*;
use crate::gate::layout::TABLE;
use crate::gate::make::push_elements;
use crate::gate::{GateEvent, GateWatch};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Stdio};

/// Set for the process that is to die: the namespace's file.
const NAMESPACE: &str = "MAINSTAY_TEST_GATES_IN";
const READY: &str = "gates are up";

#[test]
fn a_successor_takes_over_what_a_killed_process_left() {
    let test = "a_successor_takes_over_what_a_killed_process_left";
    if let Some(path) = std::env::var_os(NAMESPACE) {
        return first_holder(&NetNs::open(path.as_ref()).unwrap());
    }
    let Some((netns, _kernel)) = machine(test) else {
        return;
    };
    let thread = std::thread::current();
    let Some(path) = thread.name().filter(|name| name.contains("::")) else {
        println!("SKIPPED {test}: a single test thread has no name");
        return;
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([path, "--exact", "--nocapture"])
        .env(
            NAMESPACE,
            format!("/proc/{}/fd/{}", std::process::id(), netns.as_raw_fd()),
        )
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for_it(&mut child);
    // While it lives, the tables are its own.
    let refused = netns.run(|| Gates::raise(&GateOptions::default())).unwrap();
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("another living process"), "{why}");
    assert!(why.contains(&child.id().to_string()), "{why}");
    child.kill().unwrap();
    child.wait().unwrap();
    let mut gates = full(&netns);
    assert_eq!(*gates.guarded(), both());
    assert_eq!(gates.intact().unwrap(), Ok(()));
    assert!(gates.left(VIP4.into()).unwrap().is_some());
    assert_eq!(gates.left(VIP6.into()).unwrap(), None);
    let leases = [(VIP4.into(), LONG), (VIP6.into(), LONG)];
    assert_eq!(gates.renew(&leases).unwrap(), [IpAddr::from(VIP6)]);
    assert!(gates.left(VIP4.into()).unwrap().unwrap() > LONG / 2);
    // The devices are known, too: none is left over.
    gates.attach(&BTreeSet::new()).unwrap();
    let mut foreign = Foreign::open(&netns);
    let error = foreign.delete_table().unwrap_err();
    assert_eq!(error.errno(), Some(Errno::EPERM), "owned again: {error}");
    gates.lower().unwrap();
    assert_eq!(foreign.seen(TABLE).len(), 0);
}

/// Holds one of two addresses, until it is killed.
fn first_holder(netns: &NetNs) {
    let mut gates = full(netns);
    gates.guard(&both()).unwrap();
    gates.attach(&BTreeSet::from(["lo".into()])).unwrap();
    gates.arm(&[(VIP4.into(), LONG)]).unwrap();
    println!("{READY}");
    std::thread::sleep(4 * PATIENCE);
}

fn wait_for_it(child: &mut Child) {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines {
        // The harness writes the test's name before it, on the same line.
        if line.unwrap().ends_with(READY) {
            return;
        }
    }
    panic!("the first process ended: {:?}", child.wait());
}

#[test]
fn an_owned_table_is_out_of_reach() {
    let Some((netns, _kernel, mut gates)) = gated("an_owned_table_is_out_of_reach") else {
        return;
    };
    gates.guard(&both()).unwrap();
    gates.arm(&[(VIP4.into(), LONG)]).unwrap();
    let mut foreign = Foreign::open(&netns);
    foreign.flush_ruleset().unwrap();
    let vip = [(VIP6.into(), Some(60_000))];
    let opened = foreign.change(|batch| {
        push_elements(batch, Kind::NewElement, Family::Inet, "held6", &vip);
    });
    for refused in [
        opened,
        foreign.delete_table(),
        foreign.flush_chain("input"),
        foreign.set_flags(1),
    ] {
        assert_eq!(refused.unwrap_err().errno(), Some(Errno::EPERM));
    }
    assert_eq!(gates.intact().unwrap(), Ok(()));
    assert!(gates.left(VIP4.into()).unwrap().is_some());
}

/// What strangers do to a table that nobody owns: their deed, and how it is told.
type Deed = (&'static str, fn(&mut Foreign), &'static str);

const DEEDS: [Deed; 6] = [
    (
        "flush ruleset",
        |f| f.flush_ruleset().unwrap(),
        "it is gone",
    ),
    ("delete table", |f| f.delete_table().unwrap(), "it is gone"),
    (
        "flush chain",
        |f| f.flush_chain("output").unwrap(),
        "the rules of chain output are changed",
    ),
    ("sleep", |f| f.set_flags(1).unwrap(), "its flags are 0x1"),
    (
        "open a gate",
        |f| {
            let vip = [(VIP6.into(), Some(30_000))];
            f.change(|batch| push_elements(batch, Kind::NewElement, Family::Inet, "held6", &vip))
                .unwrap();
        },
        "somebody opened the gate of fd77::100",
    ),
    (
        "unguard",
        |f| {
            let vip = [(VIP4.into(), None)];
            f.change(|batch| push_elements(batch, Kind::DelElement, Family::Inet, "guard4", &vip))
                .unwrap();
        },
        "10.7.0.100 is not guarded any more",
    ),
];

#[test]
fn a_change_of_an_unowned_table_is_heard_and_repaired() {
    let Some((netns, _kernel)) = machine("a_change_of_an_unowned_table_is_heard") else {
        return;
    };
    let options = GateOptions {
        owner: false,
        ..GateOptions::default()
    };
    let (mut gates, _) = raise(&netns, &options);
    gates.guard(&both()).unwrap();
    gates.attach(&BTreeSet::from(["lo".into()])).unwrap();
    let mut watch = netns.run(|| GateWatch::start(&gates)).unwrap().unwrap();
    let mut foreign = Foreign::open(&netns);
    for (deed, work, told) in DEEDS {
        gates.arm(&[(VIP4.into(), LONG)]).unwrap();
        assert_eq!(gates.intact().unwrap(), Ok(()), "before {deed}");
        assert_eq!(watch.try_next().unwrap(), None, "we do not hear ourselves");
        work(&mut foreign);
        heard(&mut watch, deed);
        let why = gates.intact().unwrap().unwrap_err();
        assert!(why.contains(told), "{deed}: {why}");
        let gone = why.contains("gone");
        assert_eq!(gates.renew(&[(VIP4.into(), LONG)]).is_err(), gone, "{deed}");
        gates.repair().unwrap();
        assert_eq!(gates.intact().unwrap(), Ok(()), "after {deed}");
        assert_eq!(*gates.guarded(), both());
        assert_eq!(gates.left(VIP6.into()).unwrap(), None, "{deed}");
        // Nothing that was lost comes back by itself.
        assert_eq!(gates.left(VIP4.into()).unwrap().is_none(), gone, "{deed}");
        while watch.try_next().unwrap().is_some() {}
    }
}

fn heard(watch: &mut GateWatch, deed: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(event) = watch.try_next().unwrap() {
            let GateEvent::Changed { what, by } = event else {
                panic!("{deed}: {event:?}");
            };
            assert!(what.contains(TABLE) && by != 0, "{deed}: {what} by {by}");
            return;
        }
        assert!(Instant::now() < deadline, "{deed} is not heard");
        let mut fds = [PollFd::new(watch.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(100u16)).unwrap();
    }
}

#[test]
fn devices_come_and_go() {
    let Some((netns, mut kernel, mut gates)) = gated("devices_come_and_go") else {
        return;
    };
    gates.guard(&both()).unwrap();
    let both_links = BTreeSet::from(["lo".to_owned(), "br7".to_owned()]);
    let absent = netns.run(|| gates.attach(&both_links)).unwrap();
    println!("a device that is not there: {absent:?}");
    for round in 0..3 {
        let index = kernel.add_bridge("br7").unwrap();
        gates.attach(&both_links).unwrap();
        assert_eq!(gates.intact().unwrap(), Ok(()), "round {round}");
        kernel.delete_link(index).unwrap();
        assert_eq!(gates.intact().unwrap(), Ok(()), "round {round}");
    }
    gates.attach(&BTreeSet::new()).unwrap();
    assert_eq!(gates.intact().unwrap(), Ok(()));
    gates.lower().unwrap();
}
