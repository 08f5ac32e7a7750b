//! Asking every machine on a network whether it answers for an address, many times a second and by
//! hardware address, so that no neighbour table stands between the question and a second owner.

use crate::arp::{ArpPacket, BROADCAST, ethernet};
use crate::background::Background;
use crate::ndp::{NdPacket, group_mac};
use crate::packet::{PacketSocket, Protocol};
use crate::{Kernel, Mac, NetNs, Result};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// What is asked, by whom and of whom.
#[derive(Clone, Debug)]
pub struct Questions {
    /// The addresses asked for.
    pub ips: BTreeSet<IpAddr>,
    /// Who asks: addresses of the asking interface, one of each family that is asked for.
    pub asker4: Ipv4Addr,
    /// The same for IPv6.
    pub asker6: Ipv6Addr,
    /// Hardware addresses of the machines that are sent echo requests.
    pub machines: Vec<Mac>,
}

/// Asks until it is dropped: by ARP and neighbour solicitation, which reach everybody, and by echo
/// requests to each machine. It hears nothing itself; [`crate::speakers::Capture`] does.
#[derive(Debug)]
pub struct Provoker {
    _thread: Background,
}

impl Provoker {
    /// Starts asking from `link` in a namespace, everything every `interval`.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, when the namespace cannot be entered or has no such Ethernet link.
    pub fn start(
        netns: &NetNs,
        link: &str,
        questions: Questions,
        interval: Duration,
    ) -> Result<Self> {
        let mouth = netns.run(|| Mouth::open(link, questions))??;
        let what = "start a thread that asks for addresses";
        let thread = Background::start("provoker", what, move |over| {
            let mut next = Instant::now();
            while !over.is_said() {
                mouth.ask();
                // After a pause no backlog is made up for.
                next = (next + interval).max(Instant::now());
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        })?;
        Ok(Self { _thread: thread })
    }
}

struct Mouth {
    mac: Mac,
    arp: PacketSocket,
    four: PacketSocket,
    six: PacketSocket,
    questions: Questions,
}

impl Mouth {
    fn open(link: &str, questions: Questions) -> Result<Self> {
        let link = Kernel::open()?.link(link)?;
        Ok(Self {
            mac: ethernet(&link)?,
            arp: PacketSocket::sender(&link, Protocol::Arp)?,
            four: PacketSocket::sender(&link, Protocol::Ipv4)?,
            six: PacketSocket::sender(&link, Protocol::Ipv6)?,
            questions,
        })
    }

    /// A question that is not sent (the link is down) is one that nobody answers.
    fn ask(&self) {
        for ip in &self.questions.ips {
            match ip {
                IpAddr::V4(ip) => self.ask4(*ip),
                IpAddr::V6(ip) => self.ask6(*ip),
            }
        }
    }

    fn ask4(&self, ip: Ipv4Addr) {
        let asker = self.questions.asker4;
        let question = ArpPacket {
            target_ip: ip,
            ..ArpPacket::announcement(self.mac, asker)
        };
        drop(self.arp.send(BROADCAST, &question.to_bytes()));
        for machine in &self.questions.machines {
            drop(self.four.send(*machine, &echo4(asker, ip)));
        }
    }

    fn ask6(&self, ip: Ipv6Addr) {
        let asker = self.questions.asker6;
        let question = NdPacket::question(self.mac, asker, ip);
        let group = group_mac(question.destination());
        drop(self.six.send(group, &question.to_bytes()));
        for machine in &self.questions.machines {
            drop(self.six.send(*machine, &echo6(asker, ip)));
        }
    }
}

/// An ICMP echo request with its IPv4 header (RFC 791, RFC 792).
fn echo4(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0];
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut echo = ECHO_REQUEST4;
    let sum = checksum(&echo);
    echo[2..4].copy_from_slice(&sum.to_be_bytes());
    packet.extend(echo);
    packet
}

/// An ICMPv6 echo request with its IPv6 header (RFC 8200, RFC 4443 section 4.1).
fn echo6(from: Ipv6Addr, to: Ipv6Addr) -> Vec<u8> {
    let mut echo = ECHO_REQUEST6;
    let mut covered = Vec::new();
    covered.extend(from.octets());
    covered.extend(to.octets());
    covered.extend([0, 0, 0, echo.len() as u8, 0, 0, 0, ICMPV6]);
    covered.extend(echo);
    let sum = checksum(&covered);
    echo[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x60, 0, 0, 0, 0, echo.len() as u8, ICMPV6, 64];
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(echo);
    packet
}

/// The Internet checksum (RFC 1071) over an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let sum: u32 = words.map(u32::from).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Echo requests; identity and number are always the same, as nobody waits for the answers.
const ECHO_REQUEST4: [u8; 8] = [8, 0, 0, 0, 0x77, 0, 0, 1];
const ECHO_REQUEST6: [u8; 8] = [128, 0, 0, 0, 0x77, 0, 0, 1];
const ICMPV6: u8 = 58;
