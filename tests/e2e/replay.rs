//! Somebody on the wire who kept everything that was ever said.

use crate::cluster::{Cluster, STILLNESS, brief};
use crate::config::{plain, properties};
use mainstay::view::Status;
use netlink::NetNs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A datagram between two daemons.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) bytes: Vec<u8>,
}

impl Datagram {
    /// From an Ethernet frame, if it carries UDP over IPv4 to the daemons' port.
    fn of_frame(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET_BYTES..)?;
        if frame.get(12..14)? != [0x08, 0x00] || packet.first()? != &0x45 || packet.get(9)? != &UDP
        {
            return None;
        }
        let address = |at: usize| {
            let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets))
        };
        let number = |at: usize| {
            let octets: [u8; 2] = packet.get(at..at + 2)?.try_into().ok()?;
            Some(u16::from_be_bytes(octets))
        };
        let to = SocketAddrV4::new(address(16)?, number(22)?);
        let bytes = packet.get(28..20 + usize::from(number(24)?))?.to_vec();
        let from = SocketAddrV4::new(address(12)?, number(20)?);
        (to.port() == PORT).then_some(Self { from, to, bytes })
    }

    /// The IPv4 packet, as its sender had sent it. The kernel fills in the header's checksum; a UDP
    /// checksum of zero is none (RFC 768).
    fn packet(&self) -> Vec<u8> {
        let udp_bytes = 8 + self.bytes.len() as u16;
        let mut packet = vec![0x45, 0];
        packet.extend((20 + udp_bytes).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, UDP, 0, 0]);
        packet.extend(self.from.ip().octets());
        packet.extend(self.to.ip().octets());
        packet.extend(self.from.port().to_be_bytes());
        packet.extend(self.to.port().to_be_bytes());
        packet.extend(udp_bytes.to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(&self.bytes);
        packet
    }
}

/// A tap on every cable of the lab.
pub(crate) struct Tap {
    over: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<Datagram>>,
}

impl Tap {
    pub(crate) fn start(c: &Cluster) -> Self {
        let socket = switch(c)
            .run(|| {
                let kind = SockType::Raw;
                let flags = SockFlag::SOCK_CLOEXEC;
                socket(AddressFamily::Packet, kind, flags, SockProtocol::EthAll)
            })
            .unwrap()
            .unwrap();
        setsockopt(&socket, sockopt::RcvBuf, &TAP_BUFFER_BYTES).unwrap();
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50)).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = std::thread::spawn(move || listen(&socket, &seen));
        Self { over, thread }
    }

    pub(crate) fn stop(self) -> BTreeSet<Datagram> {
        self.over.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

fn listen(socket: &OwnedFd, over: &AtomicBool) -> BTreeSet<Datagram> {
    let mut heard = BTreeSet::new();
    let mut frame = [0; 65536];
    while !over.load(Ordering::Acquire) && heard.len() < DATAGRAMS_MAX {
        // A timeout is the chance to look whether it is over.
        if let Ok(bytes) = recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
            heard.extend(Datagram::of_frame(&frame[..bytes]));
        }
    }
    heard
}

/// The network namespace of the lab's switch.
fn switch(c: &Cluster) -> NetNs {
    let state = std::fs::read_to_string(c.dir().join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let pid = state["switch"]["pid"].as_u64().unwrap();
    NetNs::of_pid(pid.try_into().unwrap()).unwrap()
}

/// Says everything again, from the client's place on the switch, in its speakers' names.
fn say_again(c: &Cluster, heard: &BTreeSet<Datagram>) {
    let client = NetNs::of_pid(c.client().unwrap().pid.unsigned_abs()).unwrap();
    let socket = client
        .run(|| {
            let kind = SockType::Raw;
            socket(
                AddressFamily::Inet,
                kind,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::Raw,
            )
        })
        .unwrap()
        .unwrap();
    for datagram in heard {
        let to = SockaddrIn::from(SocketAddrV4::new(*datagram.to.ip(), 0));
        sendto(
            socket.as_raw_fd(),
            &datagram.packet(),
            &to,
            MsgFlags::empty(),
        )
        .unwrap();
    }
}

/// What a replay must not change.
fn state_of(status: &Status) -> impl PartialEq + std::fmt::Debug + use<> {
    let peers: Vec<_> = status
        .peers
        .iter()
        .map(|p| (p.node_id, p.state.clone()))
        .collect();
    (
        (
            status.view_no,
            status.dc.clone(),
            status.quorate,
            status.local_state.clone(),
        ),
        (status.cib_version, status.nodes.clone(), peers),
    )
}

/// Refused packets so far, in all logs.
fn refusals(c: &Cluster) -> usize {
    let count = |node: String| c.log_of(&node).matches("packet refused").count();
    c.powered().into_iter().map(count).sum()
}

#[test]
fn packets_said_again_after_a_restart_are_refused() {
    let test = "packets_said_again_after_a_restart_are_refused";
    let Some(c) = Cluster::off(test, 3) else {
        return;
    };
    for node in c.nodes().unwrap() {
        c.edit_file(&node.name, "etc-corosync/corosync.conf", |text| {
            text.replace("logging {", "logging {\n    debug: on")
        });
    }
    // From the first handshake on, with votes, views and a change of the configuration.
    let tap = Tap::start(&c);
    c.power_on();
    c.must_edit("node1", plain);
    c.wait_idle("node1");
    let heard = tap.stop();
    let speakers: BTreeSet<_> = heard.iter().map(|d| (*d.from.ip(), *d.to.ip())).collect();
    assert_eq!(
        speakers.len(),
        6,
        "every node was heard speaking to every other: {speakers:?}"
    );

    c.poweroff("node2").unwrap();
    c.wait_for("node1", "node2 gone", |s| {
        match crate::cluster::is_online(s, "node2") {
            false => Ok(()),
            true => Err(brief(s)),
        }
    });
    c.power_on();
    c.wait_idle("node1");
    let before: Vec<_> = c.powered().iter().map(|n| state_of(&c.status(n))).collect();
    let refused_before = refusals(&c);

    say_again(&c, &heard);
    std::thread::sleep(STILLNESS);
    let after: Vec<_> = c.powered().iter().map(|n| state_of(&c.status(n))).collect();
    for ((node, before), after) in c.powered().iter().zip(&before).zip(&after) {
        assert_eq!(
            after,
            before,
            "{node}'s state was moved by {} old packets",
            heard.len()
        );
    }
    let refused = refusals(&c) - refused_before;
    assert!(
        refused >= heard.len() / 2,
        "expected most of {} old packets to be refused in the logs, {refused} were",
        heard.len()
    );
    // And the cluster still works.
    c.must_edit("node2", |cib| properties(cib, &[("batch-limit", "9")]));
}

/// Length of an Ethernet header without a tag.
const ETHERNET_BYTES: usize = 14;
/// IP protocol number.
const UDP: u8 = 17;
/// The daemons' port.
const PORT: u16 = 5405;
/// Receive buffer of the tap.
const TAP_BUFFER_BYTES: usize = 8 * 1024 * 1024;
/// Most datagrams kept.
const DATAGRAMS_MAX: usize = 20_000;
