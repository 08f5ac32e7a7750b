//! Parameters that ask for more than an address.

use super::*;
use netlink::{ArpPacket, sysctl};
use std::os::fd::AsRawFd;
use std::path::Path;

impl World {
    /// A daemon that has just started, with its notes in that folder.
    pub(super) fn start_anew(&mut self, notes: &Path) {
        let vip = self.near.run(NativeVip::new).unwrap().unwrap();
        self.vip = Arc::new(NativeVip {
            notes: notes.join("deeper"),
            ..vip
        });
    }
}

#[test]
fn the_loopbacks_copy_makes_room_and_comes_back() {
    let Some(mut world) = World::new("the_loopbacks_copy_makes_room") else {
        return;
    };
    let notes = tempfile::tempdir().unwrap();
    world.start_anew(notes.path());
    let lo = world.index("lo");
    let copy = AddressSpec::new(lo, VIP.parse().unwrap(), 32);
    world.kernel.add_address(&copy).unwrap();
    let params = &[("ip", VIP), ("lvs_support", "true")];
    assert_eq!(world.run("monitor", params).0, rc::NOT_RUNNING);
    assert_eq!(world.run("start", params), OK);
    assert_eq!(world.shown(VIP), ["eth0 /24 eth0 brd 10.7.0.255"]);
    // Another process finds the note.
    world.start_anew(notes.path());
    assert_eq!(world.run("stop", params), OK);
    assert_eq!(world.shown(VIP), ["lo /32 lo brd 255.255.255.255"]);
    assert_eq!(world.run("stop", params), OK);
    assert_eq!(world.shown(VIP).len(), 1, "a second stop spares it");
    assert!(world.vip.notes.read_dir().unwrap().next().is_none());
}

#[test]
fn a_failed_start_puts_the_loopbacks_copy_back() {
    let Some(mut world) = World::new("a_failed_start_puts_the_copy_back") else {
        return;
    };
    let notes = tempfile::tempdir().unwrap();
    world.start_anew(notes.path());
    let lo = world.index("lo");
    world
        .kernel
        .add_address(&AddressSpec::new(lo, VIP.parse().unwrap(), 32))
        .unwrap();
    let pairs = &[
        ("ip", VIP),
        ("lvs_support", "true"),
        ("nic", "eth1"),
        ("cidr_netmask", "24"),
    ];
    let asked = request("start", pairs);
    let (settings, place) = world.vip.validate(Agent::IPaddr2, &asked).unwrap();
    let eth1 = world.index("eth1");
    world.kernel.delete_link(eth1).unwrap();
    world.vip.add(&asked, &settings, &place, None).unwrap_err();
    assert_eq!(world.shown(VIP).len(), 1);
}

#[test]
fn an_ipv6_address_gets_its_label_and_loses_it() {
    let Some(mut world) = World::new("an_ipv6_address_gets_its_label") else {
        return;
    };
    let six = "fd77::100".parse().unwrap();
    let params = &[
        ("ip", "fd77::100"),
        ("nic", "eth0"),
        ("cidr_netmask", "64"),
        ("lvs_ipv6_addrlabel", "true"),
    ];
    assert_eq!(world.run("start", params), OK);
    assert!(
        world
            .kernel
            .add_address_label(six, 7)
            .unwrap_err()
            .is_exists()
    );
    assert_eq!(world.run("stop", params), OK);
    assert!(
        world
            .kernel
            .delete_address_label(six, 99)
            .unwrap_err()
            .is_absent()
    );
}

#[test]
fn announcements_take_the_reply_form_where_it_is_asked_for() {
    let Some(world) = World::new("announcements_take_the_reply_form") else {
        return;
    };
    let ear = world.ear();
    let params = &[("ip", VIP), ("send_arp_opts", "-A"), ("arp_count", "1")];
    assert_eq!(world.run("start", params), OK);
    let vip: Ipv4Addr = VIP.parse().unwrap();
    let heard = loop {
        let packet = ear.next(PATIENCE).unwrap().expect("an announcement");
        if packet.sender_ip == vip {
            break packet;
        }
    };
    assert_eq!(
        heard,
        ArpPacket::announcement_as_reply(heard.sender_mac, vip)
    );
}

#[test]
fn routes_are_flushed_without_harm() {
    let Some(mut world) = World::new("routes_are_flushed_without_harm") else {
        return;
    };
    let trigger = |family: &str| sysctl::trigger(&format!("net/{family}/route/flush"), "-1");
    world.near.run(|| trigger("ipv4").unwrap()).unwrap();
    world.near.run(|| trigger("ipv6").unwrap()).unwrap();
    let before = world.kernel.routes().unwrap();
    let params = &[("ip", VIP), ("flush_routes", "true")];
    assert_eq!(world.run("start", params), OK);
    assert_eq!(world.run("stop", params), OK);
    assert_eq!(world.kernel.routes().unwrap(), before);
}

#[test]
fn clone_instances_have_addresses_of_their_own() {
    let Some(mut world) = World::new("clone_instances_have_addresses") else {
        return;
    };
    let asked = |operation: &str| OpRequest {
        meta: [
            ("clone", "2"),
            ("clone_max", "3"),
            ("globally_unique", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..request(operation, &[("ip", VIP), ("unique_clone_address", "true")])
    };
    let run = |world: &World, op: &str| world.near.run(|| world.vip.run(&asked(op))).unwrap();
    assert_eq!(world.vip.handles(&asked("start")), Ok(true));
    assert_eq!(run(&world, "start"), OK);
    assert_eq!(world.shown("10.7.0.102").len(), 1);
    assert_eq!(run(&world, "monitor"), OK);
    assert_eq!(run(&world, "stop"), OK);
    assert_eq!(world.shown("10.7.0.102"), [""; 0]);
}

#[test]
fn another_namespace_is_served_from_here() {
    let Some(world) = World::new("another_namespace_is_served_from_here") else {
        return;
    };
    // The namespace by a path of this process: names are files of ip-netns(8).
    let name = format!("/proc/{}/fd/{}", std::process::id(), world.far.as_raw_fd());
    let params = &[
        ("ip", VIP),
        ("network_namespace", &*name),
        ("arp_count", "1"),
    ];
    let mut inside = Kernel::open_in(&world.far).unwrap();
    let mut there = || {
        let addresses = inside.addresses().unwrap();
        addresses.iter().any(|a| a.ip.to_string() == VIP)
    };
    assert_eq!(world.run("monitor", params).0, rc::NOT_RUNNING);
    assert_eq!(world.run("start", params), OK);
    assert!(there());
    assert_eq!(world.run("monitor", params), OK);
    assert_eq!(world.vip.list()[0].device, format!("eth0@{name}"));
    assert_eq!(world.vip.announce_again("test"), 1);
    assert_eq!(world.run("stop", params), OK);
    assert!(!there());
    let gone = &[("ip", VIP), ("network_namespace", "no-such-space")];
    let (code, reason) = world.run("start", gone);
    assert_eq!(code, rc::GENERIC);
    assert!(
        reason.starts_with("no network namespace no-such-space"),
        "{reason}"
    );
    assert_eq!(world.run("monitor", gone).0, rc::NOT_RUNNING);
    assert_eq!(world.run("stop", gone), OK);
}

#[test]
fn the_older_agents_ask_the_address_itself() {
    let Some(world) = World::new("the_older_agents_ask_the_address_itself") else {
        return;
    };
    let old = |operation: &str| OpRequest {
        kind: "IPaddr".into(),
        ..request(operation, &[("ip", VIP), ("OCF_CHECK_LEVEL", "10")])
    };
    let run = |op: &str| world.near.run(|| world.vip.run(&old(op))).unwrap();
    assert_eq!(run("start"), OK);
    assert_eq!(run("monitor"), OK);
    let deaf = || sysctl::set("net/ipv4/icmp_echo_ignore_all", "1");
    world.near.run(deaf).unwrap();
    let (code, reason) = run("monitor");
    assert_eq!(code, rc::GENERIC);
    assert!(
        reason.contains("does not answer an echo request"),
        "{reason}"
    );
}

#[test]
fn ipv6addr_is_served_by_its_own_names() {
    let Some(mut world) = World::new("ipv6addr_is_served_by_its_own_names") else {
        return;
    };
    let eth0 = world.index("eth0");
    let own = AddressSpec {
        nodad: true,
        ..AddressSpec::new(eth0, "fd77::1".parse().unwrap(), 64)
    };
    world.kernel.add_address(&own).unwrap();
    let six = |operation: &str| OpRequest {
        kind: "IPv6addr".into(),
        ..request(operation, &[("ipv6addr", "fd77::100")])
    };
    let run = |world: &World, op: &str| world.near.run(|| world.vip.run(&six(op))).unwrap();
    assert_eq!(run(&world, "monitor").0, rc::NOT_RUNNING);
    assert_eq!(run(&world, "start"), OK);
    assert_eq!(world.shown("fd77::100"), ["eth0 /64 "]);
    assert_eq!(run(&world, "monitor"), OK);
    assert_eq!(run(&world, "stop"), OK);
    assert_eq!(world.shown("fd77::100"), [""; 0]);
    assert!(
        run(&world, "meta-data")
            .1
            .contains("<resource-agent name=\"IPv6addr\"")
    );
}
