//! Address translation to and from a floating address is gated, too: the gate before it sees the
//! packet as it came, the one after it the packet as it leaves (R15).

use super::foreign::{Foreign, Seek, translate};
use super::*;
use crate::{RouteSpec, VethEnd, sysctl};
use std::io::ErrorKind;
use std::net::UdpSocket;

const SNAT: u32 = 0;
const DNAT: u32 = 1;
/// Hooks of chains of type nat, with their usual priorities.
const BEFORE_ROUTING: (u32, i32) = (0, -100);
const AFTER_ROUTING: (u32, i32) = (4, 100);

/// The addresses of one family: the floating one, the far machine's, the near one's, and those
/// of the third machine and of its router.
#[derive(Clone, Copy)]
struct Plan {
    vip: IpAddr,
    far: IpAddr,
    near: IpAddr,
    inside: IpAddr,
    gateway: IpAddr,
    prefix: u8,
}

fn plans() -> [Plan; 2] {
    let four = Plan {
        vip: VIP4.into(),
        far: FAR4.into(),
        near: NEAR4.into(),
        inside: ip("10.8.0.2"),
        gateway: ip("10.8.0.1"),
        prefix: 24,
    };
    let six = Plan {
        vip: VIP6.into(),
        far: FAR6.into(),
        near: NEAR6.into(),
        inside: ip("fd78::2"),
        gateway: ip("fd78::1"),
        prefix: 64,
    };
    [four, six]
}

/// A scene with a third machine behind the near one, and NAT in the near one.
fn translated(test: &str) -> Option<(Scene, Machine, Foreign)> {
    let mut scene = Scene::new(test, &GateOptions::default())?;
    let (netns, kernel) = machine(test)?;
    let mut inside = Machine { netns, kernel };
    let end = VethEnd::within("eth0", &inside.netns);
    let near = &mut scene.near;
    near.kernel.add_veth(VethEnd::here("eth1"), end).unwrap();
    let index = near.kernel.link("eth1").unwrap().index;
    let index0 = inside.kernel.link("eth0").unwrap().index;
    inside.kernel.set_up(index0, true).unwrap();
    near.kernel.set_up(index, true).unwrap();
    for plan in plans() {
        let mut spec = AddressSpec::new(index, plan.gateway, plan.prefix);
        spec.nodad = plan.gateway.is_ipv6();
        near.kernel.add_address(&spec).unwrap();
        give(&mut inside, plan.inside, plan.prefix);
        let route = RouteSpec::default_via(plan.gateway);
        inside.kernel.add_route(&route).unwrap();
    }
    for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        let set = near.netns.run(|| sysctl::set(key, "1")).unwrap();
        assert!(!matches!(set, sysctl::Set::Failed(_)), "{set:?}");
    }
    let mut foreign = Foreign::open(&near.netns);
    foreign.add_chain("nat", "nat", BEFORE_ROUTING.0, BEFORE_ROUTING.1);
    foreign.add_chain("nat", "nat", AFTER_ROUTING.0, AFTER_ROUTING.1);
    Some((scene, inside, foreign))
}

fn udp(netns: &NetNs, ip: IpAddr, port: u16) -> UdpSocket {
    let socket = netns.run(|| UdpSocket::bind((ip, port)).unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// What came in since the last call, and from where last.
fn arrived(socket: &UdpSocket) -> (usize, Option<std::net::SocketAddr>) {
    let mut count = 0;
    let mut last = None;
    loop {
        match socket.recv_from(&mut [0; 8]) {
            Ok((_, from)) => {
                count += 1;
                last = Some(from);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (count, last),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_service_behind_the_address_stops_both_ways() {
    let Some((mut scene, inside, mut foreign)) = translated("a_service_behind_the_address") else {
        return;
    };
    for plan in plans() {
        foreign.add_rule("nat", BEFORE_ROUTING.0, |list| {
            translate(list, &Seek::Destination(plan.vip), DNAT, plan.inside);
        });
        let server = udp(&inside.netns, plan.inside, 7000);
        let client = udp(&scene.far.netns, plan.far, 7001);
        client.connect((plan.vip, 7000)).unwrap();
        scene.open();
        let mut peer = None;
        let mut serve = || {
            client.send(b"ask").unwrap();
            std::thread::sleep(AGAIN);
            if let (_, Some(from)) = arrived(&server) {
                peer = Some(from);
                server.send_to(b"told", from).unwrap();
            }
        };
        // The near machine's own questions for neighbours may be heard first.
        for _ in 0..10 {
            scene.speaks("DNAT", plan.vip, &mut serve);
        }
        let peer = peer.expect("ten answers, and a question that got in");
        scene.close();
        std::thread::sleep(GRACE);
        arrived(&server);
        let ask = || assert!(client.send(b"ask").unwrap() > 0);
        scene.silent("DNAT", plan.vip, (Family::Inet, "prerouting"), ask);
        let inward = arrived(&server).0;
        assert_eq!(inward, 0, "a packet to a closed {} got in", plan.vip);
        // The other way on the connection that is known.
        let tell = || assert!(server.send_to(b"told", peer).unwrap() > 0);
        scene.silent("reply", plan.vip, (Family::Inet, "postrouting"), tell);
        scene.open();
        scene.speaks("reply", plan.vip, tell);
    }
}

#[test]
fn traffic_that_leaves_under_the_address_stops() {
    let Some((mut scene, inside, mut foreign)) = translated("traffic_that_leaves_under_it") else {
        return;
    };
    for plan in plans() {
        foreign.add_rule("nat", AFTER_ROUTING.0, |list| {
            translate(list, &Seek::Source(plan.inside), SNAT, plan.vip);
        });
        let sender = udp(&inside.netns, plan.inside, 7000);
        let send = || assert!(sender.send_to(b"out", (plan.far, 7001)).unwrap() > 0);
        scene.gate_counts("SNAT", plan.vip, (Family::Inet, "postrouting"), send);
    }
}

#[test]
fn what_is_translated_to_the_address_does_not_get_in() {
    let Some((mut scene, _inside, mut foreign)) = translated("what_is_translated_to_it") else {
        return;
    };
    for plan in plans() {
        foreign.add_rule("nat", BEFORE_ROUTING.0, |list| {
            translate(list, &Seek::Destination(plan.near), DNAT, plan.vip);
        });
        let server = udp(&scene.near.netns, plan.vip, 7000);
        let client = udp(&scene.far.netns, plan.far, 7001);
        let ask = || assert!(client.send_to(b"ask", (plan.near, 7000)).unwrap() > 0);
        scene.close();
        scene.silent("to it", plan.vip, (Family::Inet, "input"), ask);
        assert_eq!(arrived(&server).0, 0);
        scene.open();
        let deadline = Instant::now() + PATIENCE;
        while arrived(&server).0 == 0 {
            ask();
            std::thread::sleep(AGAIN);
            assert!(Instant::now() < deadline, "an open address gets nothing");
        }
    }
}
