//! A closed gate stops everything that speaks for its address, and an open one nothing (R15).

use super::wire::{advertisement_message, arp_question, echo4, echo6, solicitation};
use super::*;
use crate::{Announcer, sysctl};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, sendto, socket,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV6, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

fn scene(test: &str) -> Option<Scene> {
    Scene::new(test, &GateOptions::default())
}

#[test]
fn icmp_stops() {
    let Some(mut scene) = scene("icmp_stops") else {
        return;
    };
    let (to, from) = (scene.near_tap.mac, scene.tap.mac);
    let tap = Tap::open(&mut scene.far);
    let echo = || tap.send(&echo4(to, from, FAR4, VIP4));
    scene.gate_counts("echo", VIP4.into(), (Family::Inet, "prerouting"), echo);
    let echo = || tap.send(&echo6(to, from, FAR6, VIP6));
    scene.gate_counts("echo6", VIP6.into(), (Family::Inet, "prerouting"), echo);
}

#[test]
fn arp_and_neighbour_answers_stop() {
    let Some(mut scene) = scene("arp_and_neighbour_answers_stop") else {
        return;
    };
    let from = scene.tap.mac;
    let tap = Tap::open(&mut scene.far);
    let ask = || tap.send(&arp_question(from, FAR4, VIP4));
    scene.gate_counts("who has", VIP4.into(), (Family::Arp, "output"), ask);
    let ask = || tap.send(&solicitation(from, FAR6, VIP6));
    scene.gate_counts("solicit", VIP6.into(), (Family::Inet, "output"), ask);
}

/// An RFC 5227 probe carries no sender: a new holder may ask before it holds.
#[test]
fn probes_pass_a_closed_gate() {
    let Some(mut scene) = scene("probes_pass_a_closed_gate") else {
        return;
    };
    let mac = scene.near_tap.mac;
    scene.close();
    let deadline = Instant::now() + PATIENCE;
    let asks = |frame: &[u8]| frame[12..14] == [8, 6] && frame[38..42] == VIP4.octets();
    loop {
        let probe = arp_question(mac, Ipv4Addr::UNSPECIFIED, VIP4);
        scene.near_tap.send(&probe);
        std::thread::sleep(AGAIN);
        let frames = scene.tap.frames();
        if frames.iter().any(|(_, frame)| asks(frame)) {
            break;
        }
        assert!(Instant::now() < deadline, "the probe is held up");
    }
}

#[test]
fn an_advertisement_with_another_source_stops() {
    let Some(mut scene) = scene("an_advertisement_with_another_source_stops") else {
        return;
    };
    let index = scene.near.kernel.link("eth0").unwrap().index;
    let open = || {
        socket(
            AddressFamily::Inet6,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::IcmpV6,
        )
    };
    let raw = scene.near.netns.run(open).unwrap().unwrap();
    let all = SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, index);
    let advertise = || {
        // What a gate drops on its way out is an error to the sender.
        let sent = sendto(
            raw.as_raw_fd(),
            &advertisement_message(VIP6),
            &SockaddrIn6::from(all),
            MsgFlags::empty(),
        );
        assert!(matches!(sent, Ok(_) | Err(Errno::EPERM)), "{sent:?}");
    };
    scene.gate_counts("NA", VIP6.into(), (Family::Inet, "output"), advertise);
}

#[test]
fn raw_announcements_stop_and_their_sender_is_told() {
    let Some(mut scene) = scene("raw_announcements_stop_and_their_sender_is_told") else {
        return;
    };
    let link = scene.near.kernel.link("eth0").unwrap();
    let open = || Announcer::open(&link).unwrap();
    let mouth = scene.near.netns.run(open).unwrap();
    for vip in [IpAddr::from(VIP4), VIP6.into()] {
        let announce = || {
            if let Err(error) = mouth.announce(vip) {
                assert_eq!(error.errno(), Some(Errno::ENOBUFS), "{error}");
            }
        };
        scene.gate_counts("announce", vip, (Family::Netdev, "announce"), announce);
        scene.close();
        let error = mouth.announce(vip).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENOBUFS), "{error}");
    }
}

#[test]
fn an_established_connection_stops_both_ways_and_goes_on() {
    let Some(mut scene) = scene("an_established_connection_stops_both_ways") else {
        return;
    };
    for vip in [IpAddr::from(VIP4), VIP6.into()] {
        scene.open();
        let listen = || TcpListener::bind((vip, 7000)).unwrap();
        let listener = scene.near.netns.run(listen).unwrap();
        let connect = || TcpStream::connect((vip, 7000)).unwrap();
        let mut client = scene.far.netns.run(connect).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            stream.set_nonblocking(true).unwrap();
        }
        let mut asked = 0;
        let mut told = 0;
        scene.speaks("asked", vip, || asked += put(&mut client));
        scene.speaks("told", vip, || told += put(&mut server));
        scene.close();
        let place = (Family::Inet, "prerouting");
        scene.silent("asked", vip, place, || asked += put(&mut client));
        let place = (Family::Inet, "output");
        scene.silent("told", vip, place, || told += put(&mut server));
        scene.open();
        take(&mut server, asked);
        take(&mut client, told);
    }
}

/// A clean hand-over: the address is gone, the server's end of the connection is not. IPv6 would
/// send what it has to say from an address that another node has by now.
#[test]
fn what_is_left_of_a_connection_is_silent_when_the_address_is_gone() {
    let Some(mut scene) = scene("what_is_left_of_a_connection_is_silent") else {
        return;
    };
    for vip in [IpAddr::from(VIP4), VIP6.into()] {
        scene.open();
        let listen = || TcpListener::bind((vip, 7000)).unwrap();
        let listener = scene.near.netns.run(listen).unwrap();
        let connect = || TcpStream::connect((vip, 7000)).unwrap();
        let _client = scene.far.netns.run(connect).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.set_nodelay(true).unwrap();
        scene.speaks("told", vip, || {
            put(&mut server);
        });
        scene.close();
        let index = scene.near.kernel.link("eth0").unwrap().index;
        let prefix = if vip.is_ipv4() { 24 } else { 64 };
        scene
            .near
            .kernel
            .delete_address(index, vip, prefix)
            .unwrap();
        match vip {
            // IPv4 sends nothing from an address that is not there, gate or no gate.
            IpAddr::V4(_) => {
                std::thread::sleep(GRACE);
                scene.tap.frames();
                drop(server.write(b"x"));
                std::thread::sleep(GRACE);
                assert_eq!(scene.tap.spoken(vip), []);
            }
            IpAddr::V6(_) => {
                let place = (Family::Inet, "output");
                scene.silent("told", vip, place, || drop(server.write(b"x")));
            }
        }
    }
}

/// Writes a byte if there is room.
fn put(stream: &mut TcpStream) -> usize {
    match stream.write(b"x") {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}

/// Reads so many bytes.
fn take(stream: &mut TcpStream, mut count: usize) {
    let deadline = Instant::now() + 4 * PATIENCE;
    while count > 0 {
        assert!(Instant::now() < deadline, "{count} bytes are missing");
        match stream.read(&mut [0; 64]) {
            Ok(some) => count -= some,
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
            Err(error) => panic!("{error}"),
        }
    }
}

/// LVS direct routing: served everywhere, announced by the holder alone.
#[test]
fn a_shared_address_serves_without_being_announced() {
    let Some(mut scene) = scene("a_shared_address_serves_without_being_announced") else {
        return;
    };
    let (to, from) = (scene.near_tap.mac, scene.tap.mac);
    let tap = Tap::open(&mut scene.far);
    // As LVS asks of its real servers: a question carries the node's own address.
    let announce = || sysctl::set("net/ipv4/conf/all/arp_announce", "2");
    let set = scene.near.netns.run(announce).unwrap();
    assert!(!matches!(set, sysctl::Set::Failed(_)), "{set:?}");
    scene.gates.share(&both()).unwrap();
    scene.speaks("echo", VIP4.into(), || {
        tap.send(&echo4(to, from, FAR4, VIP4))
    });
    let ask = || tap.send(&arp_question(from, FAR4, VIP4));
    scene.silent("who has", VIP4.into(), (Family::Arp, "output"), ask);
    let ask = || tap.send(&solicitation(from, FAR6, VIP6));
    scene.silent("solicit", VIP6.into(), (Family::Inet, "output"), ask);
    scene.gates.share(&BTreeSet::new()).unwrap();
    let echo = || tap.send(&echo4(to, from, FAR4, VIP4));
    scene.gate_counts("echo", VIP4.into(), (Family::Inet, "prerouting"), echo);
}
