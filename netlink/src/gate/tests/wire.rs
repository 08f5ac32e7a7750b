//! One end of a wire as a stranger sees it: every frame with the kernel's time stamp, and frames
//! that the tests write themselves.

use crate::sys::link_address;
use crate::testing::Machine;
use crate::{ArpPacket, Mac};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvmsg,
    send, setsockopt, socket, sockopt::RcvBuf, sockopt::RcvBufForce, sockopt::ReceiveTimestampns,
};
use nix::sys::time::TimeSpec;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// Frames that wait to be looked at: some seconds of a test's questions and answers.
const QUEUE_BYTES: usize = 32 << 20;

/// A raw packet socket on `eth0` of a machine.
pub(super) struct Tap {
    fd: OwnedFd,
    pub(super) mac: Mac,
}

impl Tap {
    pub(super) fn open(machine: &mut Machine) -> Self {
        let link = machine.kernel.link("eth0").unwrap();
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let open = || {
            socket(
                AddressFamily::Packet,
                SockType::Raw,
                flags,
                SockProtocol::EthAll,
            )
        };
        let fd = machine.netns.run(open).unwrap().unwrap();
        setsockopt(&fd, ReceiveTimestampns, &true).unwrap();
        // A user namespace may have as much as everybody only.
        setsockopt(&fd, RcvBufForce, &QUEUE_BYTES)
            .or_else(|_| setsockopt(&fd, RcvBuf, &QUEUE_BYTES))
            .unwrap();
        bind(
            fd.as_raw_fd(),
            &link_address(link.index, libc::ETH_P_ALL as u16, [0; 6]),
        )
        .unwrap();
        let mac = link.mac.unwrap();
        Self { fd, mac }
    }

    pub(super) fn send(&self, frame: &[u8]) {
        send(self.fd.as_raw_fd(), frame, MsgFlags::empty()).unwrap();
    }

    /// What came from the other end since the last call, with wall-clock times.
    pub(super) fn frames(&self) -> Vec<(Duration, Vec<u8>)> {
        let mut found = Vec::new();
        let mut buffer = [0; 2048];
        loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let mut control = cmsg_space!(TimeSpec);
            let fd = self.fd.as_raw_fd();
            match recvmsg::<()>(fd, &mut parts, Some(&mut control), MsgFlags::empty()) {
                Ok(message) => {
                    let len = message.bytes;
                    let mut when = None;
                    for one in message.cmsgs().unwrap() {
                        if let ControlMessageOwned::ScmTimestampns(stamp) = one {
                            when = Some(Duration::from(stamp));
                        }
                    }
                    if buffer[6..12] != self.mac.0 {
                        found.push((when.unwrap(), buffer[..len].to_vec()));
                    }
                }
                Err(Errno::EAGAIN) => return found,
                Err(Errno::EINTR) => {}
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    /// When the other end spoke for an address since the last call.
    pub(super) fn spoken(&self, vip: IpAddr) -> Vec<Duration> {
        let frames = self.frames().into_iter();
        frames
            .filter(|(_, frame)| speaks_for(frame, vip))
            .map(|(when, _)| when)
            .collect()
    }
}

/// Whether a frame answers for an address: as the sender of ARP or IP, or as what is advertised.
pub(super) fn speaks_for(frame: &[u8], vip: IpAddr) -> bool {
    let at = |from: usize, len: usize| frame.get(from..from + len).unwrap_or_default();
    match (u16::from_be_bytes([frame[12], frame[13]]), vip) {
        (0x0806, IpAddr::V4(vip)) => at(28, 4) == vip.octets(),
        (0x0800, IpAddr::V4(vip)) => at(26, 4) == vip.octets(),
        (0x86dd, IpAddr::V6(vip)) => {
            let advertises = at(20, 1) == [58] && at(54, 1) == [136];
            at(22, 16) == vip.octets() || (advertises && at(62, 16) == vip.octets())
        }
        _ => false,
    }
}

pub(super) fn arp_question(from: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let question = ArpPacket {
        target_ip: target,
        ..ArpPacket::announcement(from, sender)
    };
    frame(Mac([0xff; 6]), from, 0x0806, &question.to_bytes())
}

pub(super) fn echo4(to: Mac, from: Mac, source: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0];
    packet.extend(source.octets());
    packet.extend(target.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut echo = [8, 0, 0, 0, 0, 7, 0, 1];
    let sum = checksum(&echo);
    echo[2..4].copy_from_slice(&sum.to_be_bytes());
    packet.extend(echo);
    frame(to, from, 0x0800, &packet)
}

pub(super) fn echo6(to: Mac, from: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let echo = vec![128, 0, 0, 0, 0, 7, 0, 1];
    frame(to, from, 0x86dd, &icmp6(source, target, echo))
}

/// A neighbour solicitation to the target's solicited-node group.
pub(super) fn solicitation(from: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
    let [.., x, y, z] = target.octets();
    let group = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z];
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message.extend([1, 1]);
    message.extend(from.0);
    let to = Mac([0x33, 0x33, 0xff, x, y, z]);
    frame(to, from, 0x86dd, &icmp6(source, group.into(), message))
}

/// An ICMPv6 message that advertises `target`, for a raw ICMPv6 socket.
pub(super) fn advertisement_message(target: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend(target.octets());
    message
}

fn icmp6(source: Ipv6Addr, target: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let len = message.len() as u16;
    let mut pseudo = Vec::new();
    pseudo.extend(source.octets());
    pseudo.extend(target.octets());
    pseudo.extend([0, 0]);
    pseudo.extend(len.to_be_bytes());
    pseudo.extend([0, 0, 0, 58]);
    pseudo.extend(&message);
    let sum = checksum(&pseudo);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([58, 255]);
    packet.extend(source.octets());
    packet.extend(target.octets());
    packet.extend(message);
    packet
}

fn frame(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [to.0, from.0].concat();
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    frame
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let mut sum: u32 = words.map(u32::from).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
