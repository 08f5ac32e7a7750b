//! The watch can fail: a holder that is stopped while somebody takes its kernel's belts away is
//! seen as a second owner, in every kind of frame that its belts had stopped.

use super::watch::{Observation, RETURN_AFTER};
use super::{RESOURCES, TOKEN_MS, VIP6, World};
use mainstay::lab::VIP;
use netlink::Mac;
use netlink::speakers::{Kind, Word, late};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

/// The kinds of frames by which one spoke out of turn, by address, in what came after `from`.
fn out_of_turn(seen: &Observation, mac: Mac, from: Instant) -> BTreeSet<(IpAddr, Kind)> {
    let words = seen.capture.words();
    let mut kinds = BTreeSet::new();
    for (_, ip) in RESOURCES {
        let of_this = words.iter().filter(|w| w.ip == ip && w.at >= from).copied();
        let words: Vec<Word> = of_this.collect();
        let late = late(&words, RETURN_AFTER);
        let by = late.iter().filter(|w| w.mac == mac);
        kinds.extend(by.map(|w| (ip, w.kind)));
    }
    kinds
}

#[test]
fn a_holder_without_its_belts_is_seen_as_a_second_owner() {
    let test = "a_holder_without_its_belts_is_seen_as_a_second_owner";
    // Tables without an owner: nobody could take others away.
    let daemon = ["mainstayd", "--kernel-without", "owner"];
    let Some(mut world) = World::new(test, 3, |o| {
        o.token_ms = Some(TOKEN_MS);
        o.daemon = daemon.map(str::to_owned).to_vec();
    }) else {
        return;
    };
    let holder = together(&mut world);
    let macs = world.macs();
    let mac = *macs.iter().find(|(_, name)| **name == holder).unwrap().0;
    let seen = Observation::start(&world);
    seen.wait_for_both(&world, "before");
    let c = &world.c;
    let start = Instant::now();
    c.suspend_daemon(&holder).unwrap();
    // The second belt first, as it would run out by itself.
    for (ip, prefix) in [(VIP, 24), (VIP6, 64)] {
        c.run(
            &holder,
            &format!(
                "ip addr change {ip}/{prefix} dev eth0 valid_lft forever preferred_lft forever"
            ),
        );
    }
    let other = c.other_than(&[&holder]);
    for (resource, _) in RESOURCES {
        c.wait_started(&other, resource, Some(&holder));
    }
    seen.wait_for_both(&world, "elsewhere");
    for (_, ip) in RESOURCES {
        assert_eq!(c.holders(ip).unwrap().len(), 2, "both kernels have {ip}");
    }
    assert_eq!(
        out_of_turn(&seen, mac, start),
        BTreeSet::new(),
        "with its gates"
    );

    c.run(
        &holder,
        "nft delete table arp mainstay && nft delete table netdev mainstay",
    );
    wait_for(&world, &seen, mac, &[(VIP, Kind::Answer)]);
    let ways = out_of_turn(&seen, mac, start);
    let only = BTreeSet::from([(VIP, Kind::Answer)]);
    assert_eq!(ways, only, "the table of packets stands");

    c.run(&holder, "nft delete table inet mainstay");
    let all = [Kind::Answer, Kind::Echo, Kind::Tcp].map(|kind| [(VIP, kind), (VIP6, kind)]);
    wait_for(&world, &seen, mac, all.as_flattened());
    c.resume_daemon(&holder).unwrap();
    world.recover(&[]);
}

fn wait_for(world: &World, seen: &Observation, mac: Mac, wanted: &[(IpAddr, Kind)]) {
    let node = world.c.other_than(&[]);
    let from = Instant::now();
    let what = format!("two owners to be heard by {wanted:?}");
    world.c.wait_until(&what, &node, || {
        let ways = out_of_turn(seen, mac, from);
        match wanted.iter().all(|way| ways.contains(way)) {
            true => Ok(()),
            false => Err(format!("{ways:?}")),
        }
    });
}

/// Brings both addresses to one node.
fn together(world: &mut World) -> String {
    let c = &world.c;
    c.run("node1", "crm configure colocation both inf: six ip");
    c.wait_idle("node1");
    let holder = c.wait_started("node1", "ip", None);
    c.wait_started_on("node1", "six", &holder);
    holder
}
