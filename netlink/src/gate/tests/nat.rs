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

const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 8, 0, 2);

/// A scene with a third machine behind the near one, and NAT in the near one.
fn translated(test: &str) -> Option<(Scene, Machine, Foreign)> {
    let mut scene = Scene::new(test, &GateOptions::default())?;
    let (netns, kernel) = machine(test)?;
    let mut inside = Machine { netns, kernel };
    let end = VethEnd::within("eth0", &inside.netns);
    let near = &mut scene.near;
    near.kernel.add_veth(VethEnd::here("eth1"), end).unwrap();
    let index = near.kernel.link("eth1").unwrap().index;
    let gateway = ip("10.8.0.1");
    let spec = AddressSpec::new(index, gateway, 24);
    near.kernel.add_address(&spec).unwrap();
    give(&mut inside, INSIDE.into(), 24);
    let index0 = inside.kernel.link("eth0").unwrap().index;
    inside.kernel.set_up(index0, true).unwrap();
    near.kernel.set_up(index, true).unwrap();
    let route = RouteSpec::default_via(gateway);
    inside.kernel.add_route(&route).unwrap();
    let forward = || sysctl::set("net/ipv4/ip_forward", "1");
    let set = near.netns.run(forward).unwrap();
    assert!(!matches!(set, sysctl::Set::Failed(_)), "{set:?}");
    let mut foreign = Foreign::open(&near.netns);
    foreign.add_chain("nat", "nat", BEFORE_ROUTING.0, BEFORE_ROUTING.1);
    foreign.add_chain("nat", "nat", AFTER_ROUTING.0, AFTER_ROUTING.1);
    Some((scene, inside, foreign))
}

fn udp(netns: &NetNs, ip: Ipv4Addr, port: u16) -> UdpSocket {
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
    foreign.add_rule("nat", BEFORE_ROUTING.0, |list| {
        translate(list, &Seek::Destination(VIP4), DNAT, INSIDE);
    });
    let server = udp(&inside.netns, INSIDE, 7000);
    let client = udp(&scene.far.netns, FAR4, 7001);
    client.connect((VIP4, 7000)).unwrap();
    scene.open();
    let mut peer = None;
    scene.speaks("DNAT", VIP4.into(), || {
        client.send(b"ask").unwrap();
        std::thread::sleep(AGAIN);
        if let (_, Some(from)) = arrived(&server) {
            peer = Some(from);
            server.send_to(b"told", from).unwrap();
        }
    });
    let peer = peer.unwrap();
    scene.close();
    std::thread::sleep(GRACE);
    arrived(&server);
    let ask = || assert!(client.send(b"ask").unwrap() > 0);
    scene.silent("DNAT", VIP4.into(), (Family::Inet, "prerouting"), ask);
    assert_eq!(arrived(&server).0, 0, "a packet to a closed address got in");
    // The other way on the connection that is known.
    let tell = || assert!(server.send_to(b"told", peer).unwrap() > 0);
    scene.silent("reply", VIP4.into(), (Family::Inet, "postrouting"), tell);
    scene.open();
    scene.speaks("reply", VIP4.into(), tell);
}

#[test]
fn traffic_that_leaves_under_the_address_stops() {
    let Some((mut scene, inside, mut foreign)) = translated("traffic_that_leaves_under_it") else {
        return;
    };
    foreign.add_rule("nat", AFTER_ROUTING.0, |list| {
        translate(list, &Seek::Source(INSIDE), SNAT, VIP4);
    });
    let sender = udp(&inside.netns, INSIDE, 7000);
    let send = || assert!(sender.send_to(b"out", (FAR4, 7001)).unwrap() > 0);
    scene.gate_counts("SNAT", VIP4.into(), (Family::Inet, "postrouting"), send);
}

#[test]
fn what_is_translated_to_the_address_does_not_get_in() {
    let Some((mut scene, _inside, mut foreign)) = translated("what_is_translated_to_it") else {
        return;
    };
    foreign.add_rule("nat", BEFORE_ROUTING.0, |list| {
        translate(list, &Seek::Destination(NEAR4), DNAT, VIP4);
    });
    let server = udp(&scene.near.netns, VIP4, 7000);
    let client = udp(&scene.far.netns, FAR4, 7001);
    let ask = || assert!(client.send_to(b"ask", (NEAR4, 7000)).unwrap() > 0);
    scene.silent("to it", VIP4.into(), (Family::Inet, "input"), ask);
    assert_eq!(arrived(&server).0, 0);
    scene.open();
    let deadline = Instant::now() + PATIENCE;
    while arrived(&server).0 == 0 {
        ask();
        std::thread::sleep(AGAIN);
        assert!(Instant::now() < deadline, "an open address gets nothing");
    }
}
