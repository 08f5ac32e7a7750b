//! A second holder: found, told, answered by rule.

use super::*;
use crate::vip::{Conflict, Referee, Ruling};
use netlink::{Announcer, Mac};
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicU64, Ordering};

/// Knows the other machine as a member, rules as told, counts.
struct Court {
    ruling: Ruling,
    asked: AtomicU64,
    seen: Mutex<Vec<Conflict>>,
}

impl Court {
    fn new(ruling: Ruling) -> Arc<Self> {
        Arc::new(Self {
            ruling,
            asked: AtomicU64::new(0),
            seen: Mutex::default(),
        })
    }

    fn seen(&self) -> Vec<Conflict> {
        self.seen.lock().unwrap().clone()
    }
}

impl Referee for Court {
    fn members(&self) -> Vec<(String, Vec<IpAddr>)> {
        vec![("bob".to_owned(), vec!["10.7.0.2".parse().unwrap()])]
    }

    fn ruling(&self, conflict: &Conflict) -> Ruling {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.seen.lock().unwrap().push(conflict.clone());
        self.ruling
    }
}

impl World {
    fn peer(&self) -> (Mac, Announcer) {
        let open = || {
            let link = Kernel::open().unwrap().link("eth0").unwrap();
            (link.mac.unwrap(), Announcer::open(&link).unwrap())
        };
        self.far.run(open).unwrap()
    }

    /// Makes the kernel know the other machine, as traffic between members does.
    fn meet_the_peer(&self) {
        let speak = || {
            let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.connect("10.7.0.2:9").unwrap();
            socket.send(b"?").unwrap();
            socket.recv(&mut [0; 8]).unwrap_err();
        };
        self.near.run(speak).unwrap();
    }

    fn hold_at_the_peer(&self, ip: &str) {
        let mut peer = Kernel::open_in(&self.far).unwrap();
        let eth0 = peer.link("eth0").unwrap().index;
        let ip: IpAddr = ip.parse().unwrap();
        let prefix = if ip.is_ipv4() { 24 } else { 64 };
        let spec = AddressSpec {
            nodad: true,
            ..AddressSpec::new(eth0, ip, prefix)
        };
        peer.add_address(&spec).unwrap();
        if let IpAddr::V6(ip) = ip {
            // The kernel has an address at once and hears questions for it when a worker of its
            // own has joined the group they are sent to.
            until("the other machine hears questions", || self.far_hears(ip));
        }
    }

    /// Whether the other machine is in the solicited-node group of an address (RFC 4291, 2.7.1).
    fn far_hears(&self, ip: Ipv6Addr) -> bool {
        let group = format!("ff0200000000000000000001ff{:06x}", ip.to_bits() & 0xff_ffff);
        let groups = || std::fs::read_to_string("/proc/thread-self/net/igmp6").unwrap();
        self.far.run(groups).unwrap().contains(&group)
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn six() -> [(&'static str, &'static str); 3] {
    [("ip", "fd77::100"), ("nic", "eth0"), ("cidr_netmask", "64")]
}

#[test]
fn a_foreign_announcement_is_counted_named_and_answered_once() {
    let Some(world) = World::new("a_foreign_announcement_is_counted") else {
        return;
    };
    let (mac, other) = world.peer();
    for params in [&[("ip", VIP), ("arp_count", "1")][..], &six()] {
        let court = Court::new(Ruling::Defend);
        world
            .vip
            .set_referee(Arc::clone(&court) as Arc<dyn Referee>);
        assert_eq!(world.run("start", params), OK);
        let ip: IpAddr = params[0].1.parse().unwrap();
        assert_eq!(world.vip.list()[0].foreign, "");
        until("the listener is up and hears", || {
            other.announce(ip).unwrap();
            world.vip.list()[0].conflicts > 0
        });
        for _ in 0..20 {
            other.announce(ip).unwrap();
        }
        until("all are counted", || world.vip.list()[0].conflicts >= 20);
        let held = &world.vip.list()[0];
        assert_eq!(held.foreign, mac.to_string());
        assert_eq!(
            court.asked.load(Ordering::Relaxed),
            1,
            "one event per interval"
        );
        let seen = &court.seen()[0];
        assert_eq!((seen.ip, seen.mac, &*seen.device), (ip, mac, "eth0"));
        assert_eq!((&*seen.resource, &seen.member), ("ip_r0", &None));
        assert_eq!(world.run("stop", params), OK);
    }
}

#[test]
fn the_defence_is_an_announcement_of_ours() {
    let Some(world) = World::new("the_defence_is_an_announcement") else {
        return;
    };
    let (_, other) = world.peer();
    let params = &[("ip", VIP), ("arp_count", "1")];
    assert_eq!(world.run("start", params), OK);
    let told = world.wait_for_series(1);
    until("heard", || {
        other.announce(VIP.parse().unwrap()).unwrap();
        world.vip.list()[0].conflicts > 0
    });
    world.wait_for_announces(told + 1);
}

/// It says nothing by itself: Linux does not mind a second holder.
#[test]
fn a_silent_second_holder_is_found_after_the_start() {
    let Some(world) = World::new("a_silent_second_holder_is_found") else {
        return;
    };
    let (mac, _) = world.peer();
    for params in [&[("ip", VIP), ("nic", "eth0")][..], &six()] {
        world.hold_at_the_peer(params[0].1);
        until("eth0 has its own IPv6 address", || {
            let mut kernel = Kernel::open_in(&world.near).unwrap();
            let eth0 = kernel.link("eth0").unwrap().index;
            let usable = |a: &Address| a.index == eth0 && a.ip.is_ipv6() && !a.is_tentative();
            kernel.addresses().unwrap().iter().any(usable)
        });
        assert_eq!(world.run("start", params), OK, "nobody waits for an answer");
        until(&format!("{} answered", params[0].1), || {
            world.vip.list()[0].conflicts > 0
        });
        assert_eq!(world.vip.list()[0].foreign, mac.to_string());
        assert_eq!(world.run("stop", params), OK);
    }
}

#[test]
fn a_member_is_named_and_the_address_is_given_up_when_told_to() {
    let Some(mut world) = World::new("a_member_is_named") else {
        return;
    };
    world.meet_the_peer();
    let (mac, other) = world.peer();
    let court = Court::new(Ruling::Yield);
    world
        .vip
        .set_referee(Arc::clone(&court) as Arc<dyn Referee>);
    let params = &[("ip", VIP), ("arp_interval", "1"), ("arp_count", "1000000")];
    assert_eq!(world.run("start", params), OK);
    until("given up", || {
        other.announce(VIP.parse().unwrap()).unwrap();
        world.shown(VIP).is_empty()
    });
    assert_eq!(court.seen()[0].member.as_deref(), Some("bob"));
    let announced = world.announces();
    let (code, reason) = world.run("monitor", params);
    assert_eq!(code, rc::NOT_RUNNING);
    let expect = format!("10.7.0.100/24 is not on eth0: it was left to {mac} (member bob)");
    assert!(reason.starts_with(&expect), "{reason}");
    assert!(announced > 0 && world.vip.list().is_empty());
    let ear = world.ear();
    assert_eq!(ear.next(Duration::from_millis(50)).unwrap(), None);
}

#[test]
fn nobody_is_heard_after_a_stop() {
    let Some(world) = World::new("nobody_is_heard_after_a_stop") else {
        return;
    };
    let (_, other) = world.peer();
    let court = Court::new(Ruling::Yield);
    world
        .vip
        .set_referee(Arc::clone(&court) as Arc<dyn Referee>);
    let params = &[("ip", VIP)];
    assert_eq!(world.run("start", params), OK);
    assert_eq!(world.run("stop", params), OK);
    for _ in 0..10 {
        other.announce(VIP.parse().unwrap()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(court.seen().is_empty());
}

#[test]
fn addresses_are_announced_again_with_the_new_hardware_address() {
    let Some(mut world) = World::new("addresses_are_announced_again") else {
        return;
    };
    let params = &[("ip", VIP), ("arp_count", "1")];
    assert_eq!(world.vip.announce_again("nothing is held"), 0);
    assert_eq!(world.run("start", params), OK);
    let before = world.wait_for_series(1);
    let eth0 = world.index("eth0");
    let moved = Mac([2, 0, 0, 0, 9, 9]);
    world.kernel.set_mac(eth0, moved).unwrap();
    let ear = world.ear();
    let again = |device: &str| {
        world
            .near
            .run(|| world.vip.announce_again_on(device, "test"))
    };
    assert_eq!((again("eth1").unwrap(), again("eth0").unwrap()), (0, 1));
    until("over", || world.vip.bursts.are_over());
    let mut heard = 0;
    while let Some(packet) = ear.next(Duration::from_millis(100)).unwrap() {
        if packet.sender_ip == VIP.parse::<Ipv4Addr>().unwrap() {
            assert_eq!(packet.sender_mac, moved);
            heard += 1;
        }
    }
    assert_eq!(heard, world.announces() - before);
    assert!((1..=1 + REPEATS).contains(&heard), "{heard}");
    // An address that somebody removed is nothing to announce.
    world
        .kernel
        .delete_address(eth0, VIP.parse().unwrap(), 24)
        .unwrap();
    assert_eq!(again("eth0").unwrap(), 0);
}

#[test]
fn nothing_is_announced_without_permission() {
    let Some(world) = World::new("nothing_is_announced_without_permission") else {
        return;
    };
    let ear = world.ear();
    world
        .vip
        .announce_only_if(Box::new(|ip| ip != VIP.parse::<IpAddr>().unwrap()));
    assert_eq!(
        world.run("start", &[("ip", VIP), ("arp_interval", "1")]),
        OK
    );
    while let Some(packet) = ear.next(Duration::from_millis(50)).unwrap() {
        // The question whether somebody else has it names no sender.
        assert!(packet.sender_ip.is_unspecified(), "{packet:?}");
    }
    assert_eq!(world.announces(), 0);
}

/// The address and its watch are on the device that stands on the wire's, whatever kind it is.
#[test]
fn on_every_kind_of_device_we_are_heard_and_hear_a_second_holder() {
    let test = "on_every_kind_of_device";
    for (kind, near, far, nic, far_nic) in [
        (
            "bridge",
            "ip link add br0 type bridge && ip link set eth0 master br0 && ip link set br0 up",
            "true",
            "br0",
            "eth0",
        ),
        (
            "macvlan",
            "ip link add link eth0 name mv0 type macvlan mode bridge && ip link set mv0 up",
            "true",
            "mv0",
            "eth0",
        ),
        (
            "vlan",
            "ip link add link eth0 name v7 type vlan id 7 && ip link set v7 up",
            "ip link add link eth0 name v7 type vlan id 7 && ip link set v7 up",
            "v7",
            "v7",
        ),
        (
            "bond",
            "ip link add bond0 type bond mode active-backup && ip link set eth0 down \
             && ip link set eth0 master bond0 && ip link set bond0 up",
            "true",
            "bond0",
            "eth0",
        ),
    ] {
        let Some(mut world) = World::new(test) else {
            return;
        };
        let made = [(&world.near, near), (&world.far, far)].map(|(netns, line)| {
            let run = || std::process::Command::new("sh").args(["-c", line]).output();
            netns.run(run).unwrap().unwrap()
        });
        if let Some(failed) = made.iter().find(|o| !o.status.success()) {
            let why = String::from_utf8_lossy(&failed.stderr);
            println!("SKIPPED {test} on a {kind}: {why}");
            continue;
        }
        heard_and_hears(&mut world, nic, far_nic);
    }
}

fn heard_and_hears(world: &mut World, nic: &str, far_nic: &str) {
    let ear = || ArpListener::open(&Kernel::open().unwrap().link(far_nic).unwrap()).unwrap();
    let ear = world.far.run(ear).unwrap();
    let open = || {
        let link = Kernel::open().unwrap().link(far_nic).unwrap();
        (link.mac.unwrap(), Announcer::open(&link).unwrap())
    };
    let (theirs, other) = world.far.run(open).unwrap();
    let params = [("ip", VIP), ("nic", nic), ("cidr_netmask", "24")];
    assert_eq!(world.run("start", &params), OK, "{nic}");
    let ours = world.kernel.link(nic).unwrap().mac.unwrap();
    let ip: IpAddr = VIP.parse().unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let packet = ear.next(Duration::from_millis(50)).unwrap();
        if packet.is_some_and(|p| p.sender_ip == ip && p.sender_mac == ours) {
            break;
        }
        assert!(Instant::now() < deadline, "{nic}: no announcement is heard");
    }
    until(&format!("{nic}: the other is heard"), || {
        other.announce(ip).unwrap();
        world.vip.list()[0].conflicts > 0
    });
    assert_eq!(world.vip.list()[0].foreign, theirs.to_string(), "{nic}");
    assert_eq!(world.run("stop", &params), OK);
}
