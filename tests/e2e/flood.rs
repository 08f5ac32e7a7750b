//! Somebody floods a node's port: a stranger, somebody in a peer's name, and somebody whose packets
//! wear a peer's header. The node goes on hearing its peers, and they it.

use crate::cluster::{Cluster, brief};
use crate::config::{plain, properties};
use crate::replay::Tap;
use mainstay::view::Status;
use netlink::NetNs;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrIn, bind, sendmsg,
    setsockopt, socket, sockopt,
};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Packets per second (ruling 35), and of each sender in all: `MAINSTAY_FLOOD_SECONDS` is how long.
const PER_SECOND: u64 = 300_000;
/// Seconds of each flood.
const FLOOD_S: u64 = 3;
/// Packets of one call, and bytes of one packet.
const SEGMENTS: usize = 60;
const SEGMENT_BYTES: usize = 120;
/// The daemons' port.
const PORT: u16 = 5405;

/// A socket at the client's place on the switch, with any address.
fn sender(c: &Cluster, from: Option<SocketAddrV4>) -> OwnedFd {
    let client = NetNs::of_pid(c.client().unwrap().pid.unsigned_abs()).unwrap();
    client
        .run(|| {
            let flags = SockFlag::SOCK_CLOEXEC;
            let made = socket(AddressFamily::Inet, SockType::Datagram, flags, None).unwrap();
            if let Some(from) = from {
                setsockopt(&made, sockopt::IpTransparent, &true).unwrap();
                setsockopt(&made, sockopt::ReuseAddr, &true).unwrap();
                bind(made.as_raw_fd(), &SockaddrIn::from(from)).unwrap();
            }
            made
        })
        .unwrap()
}

/// Sends so many packets that begin with `head`, no faster than they are to come; how many came off.
fn flood(socket: &OwnedFd, to: SocketAddrV4, head: &[u8], seconds: u64) -> u64 {
    let began = Instant::now();
    let size = SEGMENT_BYTES as u16;
    let mut packets = vec![0xA5_u8; SEGMENTS * SEGMENT_BYTES];
    for packet in packets.chunks_mut(SEGMENT_BYTES) {
        packet[..head.len()].copy_from_slice(head);
    }
    let (mut sent, mut turn) = (0, 0_u64);
    while sent < PER_SECOND * seconds && began.elapsed() < Duration::from_secs(4 * seconds) {
        turn += 1;
        for (number, packet) in packets.chunks_mut(SEGMENT_BYTES).enumerate() {
            let tail = turn * SEGMENTS as u64 + number as u64;
            packet[SEGMENT_BYTES - 8..].copy_from_slice(&tail.to_be_bytes());
        }
        let parts = [IoSlice::new(&packets)];
        let control = [ControlMessage::UdpGsoSegments(&size)];
        let address = SockaddrIn::from(to);
        if sendmsg(
            socket.as_raw_fd(),
            &parts,
            &control,
            MsgFlags::empty(),
            Some(&address),
        )
        .is_ok()
        {
            sent += SEGMENTS as u64;
        }
        let due = Duration::from_micros(sent * 1_000_000 / PER_SECOND);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    let took = began.elapsed().as_secs_f64();
    eprintln!(
        "    {sent} packets in {took:.1} s: {:.0} per second",
        sent as f64 / took
    );
    sent
}

/// What no flood may change.
fn held(status: &Status) -> (u64, Option<String>, bool) {
    (status.view_no, status.dc.clone(), status.quorate)
}

#[test]
fn a_flooded_node_is_not_lost_and_loses_nobody() {
    let test = "a_flooded_node_is_not_lost_and_loses_nobody";
    // The sender needs a processor of its own, and the machine has work besides.
    let Some(c) = Cluster::up(test, 3, |o| o.token_ms = Some(1000)) else {
        return;
    };
    c.must_edit("node1", plain);
    c.wait_idle("node1");
    let tap = Tap::start(&c);
    std::thread::sleep(Duration::from_millis(500));
    let heard = tap.stop();
    let to = address(1);
    let genuine = heard
        .iter()
        .find(|d| (*d.from.ip(), *d.to.ip()) == (*address(2).ip(), *to.ip()));
    let header = genuine.expect("node2 speaks to node1").bytes[..wire::HEADER_LEN].to_vec();
    let seconds = std::env::var("MAINSTAY_FLOOD_SECONDS").ok();
    let seconds = seconds.map_or(FLOOD_S, |s| s.parse().expect("a number of seconds"));
    let floods: [(&str, Option<SocketAddrV4>, &[u8]); 3] = [
        ("a stranger", None, &[]),
        ("a peer's address", Some(address(2)), &[]),
        ("a peer's address and header", Some(address(2)), &header),
    ];
    for (who, from, head) in floods {
        let told = (0..ROUNDS_MAX).find_map(|_| {
            eprintln!("    flood of {who}");
            withstood(&c, || flood(&sender(&c, from), to, head, seconds))
        });
        if let Some(Err(lost)) = told {
            panic!("a flood of {who}: {lost}");
        }
        assert!(
            told.is_some(),
            "this machine stood still {ROUNDS_MAX} times"
        );
    }
    c.must_edit("node2", |cib| properties(cib, &[("batch-limit", "9")]));
}

/// Whether all went on as before; nothing where the whole machine stood still meanwhile, which a
/// thread notices that comes before every daemon and receives no packet.
fn withstood(c: &Cluster, flood: impl FnOnce() -> u64) -> Option<Result<(), String>> {
    c.wait_online();
    c.wait_idle("node1");
    let before: Vec<_> = c.powered().iter().map(|n| held(&c.status(n))).collect();
    let ended = AtomicBool::new(false);
    let (sent, stood) = std::thread::scope(|scope| {
        let longest = scope.spawn(|| longest_pause(&ended));
        let sent = flood();
        ended.store(true, Ordering::Relaxed);
        (sent, longest.join().unwrap())
    });
    assert!(sent > 0, "nothing could be sent");
    let changed = c
        .powered()
        .into_iter()
        .zip(before)
        .find_map(|(node, before)| {
            let status = c.status(&node);
            let lost = held(&status) != before;
            lost.then(|| format!("{node} was {before:?}, and is: {}", brief(&status)))
        });
    match changed {
        Some(lost) if stood >= PAUSE => {
            eprintln!("    once more, this machine stood still for {stood:?}: {lost}");
            None
        }
        Some(lost) => Some(Err(lost)),
        None => Some(Ok(())),
    }
}

/// The longest time between two looks at the clock of a thread that looks every few milliseconds.
fn longest_pause(ended: &AtomicBool) -> Duration {
    netlink::make_thread_realtime(FIRST).unwrap();
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while !ended.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(5));
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    longest
}

/// Real-time priority above the daemons' threads.
const FIRST: i32 = 60;
/// A machine that stands still for so long, a fourth of the detection timeout, proves nothing.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a flood is sent on a machine that stands still.
const ROUNDS_MAX: usize = 4;

fn address(node: u8) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 100 + node), PORT)
}
