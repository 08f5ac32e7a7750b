//! Many floating addresses on one node move together: what the cluster does for them must not grow
//! with their number, and no two nodes answer for any of them.
//!
//! Nothing here is timed. Counted is what makes a move slow: entries that go to the disks one by one
//! (each waits for a barrier of its own) and addresses that come up one by one (each waits for the
//! kernel).

use crate::cluster::{Cluster, PATIENCE, STILLNESS};
use crate::config::{Primitive, add, constrain, plain};
use mainstay::lab::Seen;
use netlink::sweep::{Passage, Sweep};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// Above the nodes' addresses and below the client's.
fn addresses() -> Vec<Ipv4Addr> {
    let host = |n| Ipv4Addr::new(10, 77, 0, 151 + n);
    (0..VIPS).map(host).collect()
}

/// Loose primitives that want to be where the first one is.
fn configure(cib: &mut cib::Cib) {
    plain(cib);
    for (number, ip) in addresses().into_iter().enumerate() {
        let ip = Primitive::new(&format!("vip{number}"), "ocf:heartbeat:IPaddr2")
            .param("ip", &ip.to_string())
            .param("cidr_netmask", "24");
        add(cib, ip.op("monitor", "10s", "20s"));
    }
    for number in 1..VIPS {
        let xml = format!(
            "<rsc_colocation id=\"with{number}\" score=\"INFINITY\" rsc=\"vip{number}\" with-rsc=\"vip0\"/>"
        );
        constrain(cib, &xml);
    }
}

/// The node whose kernel has all of them while no other has any.
fn holder_of_all(c: &Cluster) -> Result<String, String> {
    let wanted: BTreeSet<IpAddr> = addresses().into_iter().map(IpAddr::V4).collect();
    let mut parts = Vec::new();
    for node in c.nodes().unwrap() {
        let here = c.addresses(&node.name).unwrap();
        match here.intersection(&wanted).count() {
            0 => {}
            n => parts.push((node.name, n)),
        }
    }
    match parts.as_slice() {
        [(one, n)] if *n == wanted.len() => Ok(one.clone()),
        _ => Err(format!("{parts:?}")),
    }
}

fn await_all(c: &Cluster, not: Option<&str>) -> String {
    let witness = c.other_than(not.as_slice());
    c.wait_until("one node to hold all addresses", &witness, || {
        holder_of_all(c).and_then(|one| match not == Some(one.as_str()) {
            true => Err(format!("still {one}")),
            false => Ok(one),
        })
    })
}

fn await_settled(c: &Cluster, sweep: &Sweep) {
    c.wait("every address to answer elsewhere", PATIENCE)
        .until(|| {
            Ok(match sweep.settled() {
                n if n == usize::from(VIPS) => Seen::Yes(()),
                n => Seen::NotYet(format!("{n} do")),
            })
        })
        .unwrap();
}

/// In how many portions something was done that the logs tell of: `field` counts what one portion
/// had, and whoever is not in a portion that is told of was alone.
fn portions(c: &Cluster, marks: &[(String, usize)], field: &str) -> usize {
    let prefix = format!("{field}=");
    let mut sizes = Vec::new();
    for (node, mark) in marks {
        let log = c.log_of(node);
        let new = log.get(*mark..).unwrap_or_default();
        let words = new.lines().flat_map(str::split_whitespace);
        let counts = words.filter_map(|w| w.strip_prefix(&prefix)?.parse::<usize>().ok());
        sizes.extend(counts.filter(|n| *n > 0));
    }
    let together: usize = sizes.iter().sum();
    eprintln!("{field}: {sizes:?}");
    sizes.len() + usize::from(VIPS).saturating_sub(together)
}

fn marks(c: &Cluster) -> Vec<(String, usize)> {
    let nodes = c.nodes().unwrap().into_iter();
    nodes
        .map(|n| (n.name.clone(), c.log_of(&n.name).len()))
        .collect()
}

#[test]
fn many_addresses_move_in_a_few_portions_and_never_have_two_owners() {
    let test = "many_addresses_move_in_a_few_portions_and_never_have_two_owners";
    let Some(c) = Cluster::up(test, 3, |_| {}) else {
        return;
    };
    c.must_edit("node1", configure);
    let holder = await_all(&c, None);
    c.wait_idle(&holder);

    // Its kernel goes on answering until the leases run out.
    let (old, before) = (c.mac_of(&holder).unwrap(), marks(&c));
    let sweep = c.sweep(&addresses(), old).unwrap();
    let from = Instant::now();
    c.suspend_daemon(&holder).unwrap();
    await_settled(&c, &sweep);
    let grants = portions(&c, &before, "entries");
    assert!(grants <= PORTIONS_MAX, "{VIPS} grants in {grants} portions");
    let starts = portions(&c, &before, "starts");
    assert!(starts <= PORTIONS_MAX, "{VIPS} starts in {starts} rounds");

    // Woken, it finds that others have them.
    c.resume_daemon(&holder).unwrap();
    c.wait_online();
    let taker = await_all(&c, Some(&holder));
    std::thread::sleep(STILLNESS);
    let frozen = Passage::of(&sweep.stop(), from, old);
    assert!(frozen.double.is_zero(), "two owners: {frozen:?}");

    // Both alive.
    c.wait_idle(&taker);
    let (old, before) = (c.mac_of(&taker).unwrap(), marks(&c));
    let sweep = c.sweep(&addresses(), old).unwrap();
    let from = Instant::now();
    c.run(&taker, &format!("crm -w node standby {taker}"));
    await_settled(&c, &sweep);
    let stops = portions(&c, &before, "stops");
    assert!(stops <= PORTIONS_MAX, "{VIPS} stops in {stops} rounds");
    std::thread::sleep(STILLNESS);
    let rested = Passage::of(&sweep.stop(), from, old);
    assert!(rested.double.is_zero(), "two owners: {rested:?}");
}

/// Addresses.
const VIPS: u8 = 64;
/// A slow machine may break one portion into some; one by one it is as many as there are addresses.
const PORTIONS_MAX: usize = VIPS as usize / 4;
