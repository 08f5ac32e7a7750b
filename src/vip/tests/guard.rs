//! What happens to held addresses between two monitors.

use super::*;
use netlink::{Change, Watch};

/// The guard of `world`'s addresses with the events it lives on.
fn guarded(world: &World) -> (Guard, Watch) {
    let watch = Watch::open_in(&world.near).unwrap();
    let vip = Arc::clone(&world.vip);
    (world.near.run(|| Guard::new(vip)).unwrap().unwrap(), watch)
}

/// What becomes of everything the kernel has told by now.
fn mishaps(guard: &mut Guard, watch: &mut Watch) -> Vec<Mishap> {
    let mut all = Vec::new();
    while let Some(change) = watch.next(Duration::ZERO).unwrap() {
        all.extend(guard.on_change(change));
    }
    all
}

fn trouble(cause: &str) -> Vec<Mishap> {
    vec![Mishap::Trouble {
        resource: "ip_r0".to_owned(),
        cause: cause.to_owned(),
    }]
}

fn is_restored(mishaps: &[Mishap]) -> bool {
    matches!(mishaps, [Mishap::Restored { resource, .. }] if resource == "ip_r0")
}

const PARAMS: [(&str, &str); 3] = [("ip", VIP), ("iflabel", "web"), ("arp_count", "2")];

#[test]
fn a_removed_address_is_back_as_it_was_and_told_as_a_failure() {
    let Some(mut world) = World::new("a_removed_address_is_back_as_it_was") else {
        return;
    };
    assert_eq!(world.run("start", &PARAMS), OK);
    let (mut guard, mut watch) = guarded(&world);
    let before = world.shown(VIP);
    let eth0 = world.index("eth0");
    world
        .kernel
        .delete_address(eth0, VIP.parse().unwrap(), 24)
        .unwrap();
    let mut told = mishaps(&mut guard, &mut watch);
    assert!(is_restored(&told), "{told:?}");
    let Some(Mishap::Restored { cause, .. }) = told.pop() else {
        panic!()
    };
    assert_eq!(
        cause,
        "10.7.0.100/24 was removed by somebody else on eth0 and put back"
    );
    assert_eq!(world.shown(VIP), before);
    assert_eq!(world.run("monitor", &PARAMS), OK);
    // Its own doing is no news.
    assert_eq!(mishaps(&mut guard, &mut watch), []);
}

#[test]
fn an_ipv6_address_is_back_without_asking_around() {
    let Some(mut world) = World::new("an_ipv6_address_is_back_without_asking_around") else {
        return;
    };
    let ip = "fd07::100";
    let params = [("ip", ip), ("cidr_netmask", "64"), ("nic", "eth0")];
    assert_eq!(world.run("start", &params), OK);
    let (mut guard, mut watch) = guarded(&world);
    let eth0 = world.index("eth0");
    world
        .kernel
        .delete_address(eth0, ip.parse().unwrap(), 64)
        .unwrap();
    let told = mishaps(&mut guard, &mut watch);
    assert!(is_restored(&told), "{told:?}");
    let addresses = world.kernel.addresses().unwrap();
    let address = addresses.iter().find(|a| a.ip.to_string() == ip).unwrap();
    assert!(!address.is_tentative());
}

#[test]
fn what_a_stop_removes_stays_away() {
    let Some(mut world) = World::new("what_a_stop_removes_stays_away") else {
        return;
    };
    assert_eq!(world.run("start", &PARAMS), OK);
    let (mut guard, mut watch) = guarded(&world);
    assert_eq!(world.run("stop", &PARAMS), OK);
    assert_eq!(mishaps(&mut guard, &mut watch), []);
    assert_eq!(guard.look(), []);
    assert!(world.shown(VIP).is_empty());
    // In the middle of a stop, too.
    assert_eq!(world.run("start", &PARAMS), OK);
    world.vip.held.leave("ip_r0");
    let eth0 = world.index("eth0");
    world
        .kernel
        .delete_address(eth0, VIP.parse().unwrap(), 24)
        .unwrap();
    assert_eq!(mishaps(&mut guard, &mut watch), []);
    assert!(world.shown(VIP).is_empty());
    // The next start takes it up again.
    assert_eq!(world.run("start", &PARAMS), OK);
    world
        .kernel
        .delete_address(eth0, VIP.parse().unwrap(), 24)
        .unwrap();
    assert!(is_restored(&mishaps(&mut guard, &mut watch)));
}

#[test]
fn hands_off_means_that_it_is_told_and_nothing_else() {
    let Some(mut world) = World::new("hands_off_means_that_it_is_told") else {
        return;
    };
    assert_eq!(world.run("start", &PARAMS), OK);
    let (mut guard, mut watch) = guarded(&world);
    world
        .vip
        .keep_hands_off(BTreeSet::from(["ip_r0".to_owned()]));
    let eth0 = world.index("eth0");
    world
        .kernel
        .delete_address(eth0, VIP.parse().unwrap(), 24)
        .unwrap();
    assert_eq!(
        mishaps(&mut guard, &mut watch),
        trouble("10.7.0.100/24 was removed by somebody else on eth0")
    );
    assert!(world.shown(VIP).is_empty());
}

#[test]
fn whoever_removes_it_again_and_again_wins_in_the_end() {
    let Some(mut world) = World::new("whoever_removes_it_again_and_again_wins") else {
        return;
    };
    assert_eq!(world.run("start", &PARAMS), OK);
    let (mut guard, mut watch) = guarded(&world);
    let eth0 = world.index("eth0");
    let mut remove = || {
        let ip = VIP.parse().unwrap();
        world.kernel.delete_address(eth0, ip, 24).unwrap();
        mishaps(&mut guard, &mut watch)
    };
    for _ in 0..5 {
        assert!(is_restored(&remove()));
    }
    let told = remove();
    assert!(
        matches!(&told[..], [Mishap::Trouble { cause, .. }] if cause.contains("again and again")),
        "{told:?}"
    );
}

#[test]
fn a_link_without_carrier_fails_the_monitor_and_one_that_has_it_again_is_announced_on() {
    let Some(world) = World::new("a_link_without_carrier_fails_the_monitor") else {
        return;
    };
    let params = [("ip", VIP), ("arp_interval", "1")];
    assert_eq!(world.run("start", &params), OK);
    let (mut guard, mut watch) = guarded(&world);
    world.wait_for_announces(5);
    let mut far = Kernel::open_in(&world.far).unwrap();
    let there = far.link("eth0").unwrap().index;
    far.set_up(there, false).unwrap();
    let mut wait_for = |wanted: fn(&Mishap) -> bool| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = mishaps(&mut guard, &mut watch);
            if let Some(found) = told.into_iter().find(wanted) {
                return found;
            }
            assert!(Instant::now() < deadline, "the kernel told nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let told = wait_for(|m| matches!(m, Mishap::Trouble { .. }));
    assert_eq!([told], trouble("eth0 has no carrier")[..]);
    let (code, reason) = world.run("monitor", &params);
    assert_eq!(code, rc::GENERIC);
    assert!(reason.contains("eth0 has no carrier"), "{reason}");
    let (code, reason) = world.run("start", &params);
    assert_eq!(code, rc::GENERIC, "a node without carrier takes no address");
    assert!(reason.contains("eth0 has no carrier"), "{reason}");

    far.set_up(there, true).unwrap();
    wait_for(|m| matches!(m, Mishap::Better { .. }));
    assert_eq!(world.run("monitor", &params), OK);
    world.wait_for_announces(10);
}

#[test]
fn a_link_set_down_and_a_deleted_one_are_told() {
    let Some(mut world) = World::new("a_link_set_down_and_a_deleted_one_are_told") else {
        return;
    };
    assert_eq!(world.run("start", &PARAMS), OK);
    let (mut guard, mut watch) = guarded(&world);
    let eth0 = world.index("eth0");
    world.kernel.set_up(eth0, false).unwrap();
    assert_eq!(
        mishaps(&mut guard, &mut watch),
        trouble("eth0 was set down")
    );
    world.kernel.delete_link(eth0).unwrap();
    let told = mishaps(&mut guard, &mut watch);
    assert!(told.contains(&trouble("eth0 was deleted")[0]), "{told:?}");
    assert!(!told.iter().any(|m| matches!(m, Mishap::Restored { .. })));
}

#[test]
fn what_the_events_did_not_tell_a_look_finds() {
    let Some(mut world) = World::new("what_the_events_did_not_tell_a_look_finds") else {
        return;
    };
    assert_eq!(world.run("start", &PARAMS), OK);
    let (mut guard, _) = guarded(&world);
    assert_eq!(guard.look(), []);
    let eth0 = world.index("eth0");
    let ip = VIP.parse().unwrap();
    world.kernel.delete_address(eth0, ip, 24).unwrap();
    // As if the queue had run over.
    assert!(is_restored(&guard.on_change(Change::Lost)));
    assert_eq!(world.shown(VIP).len(), 1);
    world.kernel.set_up(eth0, false).unwrap();
    assert_eq!(guard.look(), trouble("eth0 was set down"));
    assert_eq!(guard.look(), [], "once is enough");
}

#[test]
fn a_flood_that_overruns_the_queue_hides_nothing() {
    let Some(mut world) = World::new("a_flood_that_overruns_the_queue_hides_nothing") else {
        return;
    };
    assert_eq!(world.run("start", &PARAMS), OK);
    let (mut guard, _) = guarded(&world);
    assert_eq!(guard.look(), []);
    let mut watch = world.near.run(|| Watch::with_room(4096)).unwrap().unwrap();
    let eth1 = world.index("eth1");
    for n in 1..200 {
        let spec = AddressSpec::new(eth1, IpAddr::from([10, 9, 9, n]), 32);
        world.kernel.add_address(&spec).unwrap();
    }
    let eth0 = world.index("eth0");
    world
        .kernel
        .delete_address(eth0, VIP.parse().unwrap(), 24)
        .unwrap();
    let told = mishaps(&mut guard, &mut watch);
    assert!(is_restored(&told), "{told:?}");
    assert_eq!(world.shown(VIP).len(), 1);
}
