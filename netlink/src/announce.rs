//! Telling the neighbours where an address lives now: gratuitous ARP and unsolicited
//! neighbour advertisements.

use crate::arp::{ArpPacket, BROADCAST, ethernet};
use crate::packet::{PacketSocket, Protocol};
use crate::{Link, Mac, Result, sysctl};
use std::net::{IpAddr, Ipv6Addr};

/// Announces addresses on one interface; opened beforehand, so that an announcement costs one
/// system call (some 17 us).
#[derive(Debug)]
pub struct Announcer {
    arp: PacketSocket,
    neighbour: PacketSocket,
    index: u32,
    mac: Mac,
    router: bool,
}

impl Announcer {
    /// Opens the sockets in the calling thread's namespace.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or for an interface without an Ethernet address.
    pub fn open(link: &Link) -> Result<Self> {
        let mac = ethernet(link)?;
        let forwarding = format!("net/ipv6/conf/{}/forwarding", link.name);
        Ok(Self {
            arp: PacketSocket::sender(link, Protocol::Arp)?,
            neighbour: PacketSocket::sender(link, Protocol::Ipv6)?,
            index: link.index,
            mac,
            router: sysctl::read(&forwarding).is_ok_and(|value| value != "0"),
        })
    }

    /// Opened for this interface, and it still has the hardware address it had then.
    pub fn fits(&self, link: &Link) -> bool {
        (self.index, Some(self.mac)) == (link.index, link.mac)
    }

    /// Sends one announcement: a gratuitous ARP in request form, or an unsolicited neighbour
    /// advertisement with the override flag (RFC 4861 section 7.2.6).
    ///
    /// # Errors
    /// When the interface is down or gone, or its queue is full.
    pub fn announce(&self, ip: IpAddr) -> Result<()> {
        match ip {
            IpAddr::V4(four) => {
                let packet = ArpPacket::announcement(self.mac, four);
                self.arp.send(BROADCAST, &packet.to_bytes())
            }
            IpAddr::V6(six) => {
                let packet = advertisement(six, self.mac, self.router);
                self.neighbour.send(ALL_NODES_MAC, &packet)
            }
        }
    }
}

/// The whole IPv6 packet of an unsolicited neighbour advertisement to all nodes.
fn advertisement(ip: Ipv6Addr, mac: Mac, router: bool) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[0] = 0x60;
    packet[4..6].copy_from_slice(&(ADVERTISEMENT_BYTES as u16).to_be_bytes());
    packet[6] = ICMPV6;
    // Receivers drop neighbour discovery with any other hop limit (RFC 4861 section 7.1.2).
    packet[7] = 255;
    packet[8..24].copy_from_slice(&ip.octets());
    packet[24..40].copy_from_slice(&ALL_NODES.octets());
    packet[40] = NEIGHBOUR_ADVERTISEMENT;
    packet[44] = FLAG_OVERRIDE | if router { FLAG_ROUTER } else { 0 };
    packet[48..64].copy_from_slice(&ip.octets());
    packet[64..66].copy_from_slice(&[OPTION_TARGET_ADDRESS, 1]);
    packet[66..72].copy_from_slice(&mac.0);
    let sum = checksum(&packet);
    packet[42..44].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// ICMPv6 checksum over pseudo header and message (RFC 4443 section 2.3, RFC 8200 section 8.1).
fn checksum(packet: &[u8; PACKET_BYTES]) -> u16 {
    let words = packet[8..]
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut sum: u32 = words.map(u32::from).sum();
    sum += ADVERTISEMENT_BYTES as u32 + u32::from(ICMPV6);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);
const IPV6_HEADER_BYTES: usize = 40;
/// Fixed part (24) and the target link-layer address option (8).
const ADVERTISEMENT_BYTES: usize = 32;
const PACKET_BYTES: usize = IPV6_HEADER_BYTES + ADVERTISEMENT_BYTES;
const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const FLAG_ROUTER: u8 = 0x80;
const FLAG_OVERRIDE: u8 = 0x20;
const OPTION_TARGET_ADDRESS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pair;
    use crate::{AddressSpec, ArpListener, NetNs};
    use std::net::Ipv4Addr;
    use std::time::{Duration, Instant};

    const VIP: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 100);
    /// Long enough for a busy machine; nothing waits for it to pass.
    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn a_gratuitous_arp_reaches_the_peer_as_a_request() {
        let Some([mut near, far]) = pair("a_gratuitous_arp_reaches_the_peer_as_a_request") else {
            return;
        };
        let link = near.kernel.link("eth0").unwrap();
        let ear = far.listen();
        let mouth = near.netns.run(|| Announcer::open(&link).unwrap()).unwrap();
        mouth.announce(VIP.into()).unwrap();
        let heard = until(&ear, |packet| packet.sender_ip == VIP);
        assert_eq!(heard, ArpPacket::announcement(link.mac.unwrap(), VIP));
    }

    /// `arp_accept` is 0 by default: a peer updates an entry it has, it makes none.
    #[test]
    fn a_peers_neighbour_entry_moves_to_the_new_holder() {
        let Some([mut near, far]) = pair("a_peers_neighbour_entry_moves") else {
            return;
        };
        let link = near.kernel.link("eth0").unwrap();
        let vip = AddressSpec::new(link.index, VIP.into(), 24);
        near.kernel.add_address(&vip).unwrap();
        far.speak_to(VIP);
        assert_eq!(entry(&far.netns), link.mac.map(|mac| mac.to_string()));
        // Another holder shows up: same wire, new hardware address.
        near.kernel
            .delete_address(link.index, VIP.into(), 24)
            .unwrap();
        let moved = Mac([2, 0, 0, 0, 9, 9]);
        near.kernel.set_mac(link.index, moved).unwrap();
        near.kernel.add_address(&vip).unwrap();
        let link = near.kernel.link("eth0").unwrap();
        let ear = far.listen();
        near.netns
            .run(|| {
                Announcer::open(&link)
                    .unwrap()
                    .announce(VIP.into())
                    .unwrap()
            })
            .unwrap();
        until(&ear, |packet| packet.sender_mac == moved);
        let deadline = Instant::now() + PATIENCE;
        while entry(&far.netns) != Some(moved.to_string()) {
            assert!(
                Instant::now() < deadline,
                "the peer keeps {:?}",
                entry(&far.netns)
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_second_owner_is_found_before_the_address_is_taken() {
        let Some([mut near, far]) = pair("a_second_owner_is_found") else {
            return;
        };
        let link = near.kernel.link("eth0").unwrap();
        let question = far.listen();
        let gap = Duration::from_millis(200);
        assert_eq!(question.owner(VIP, 1, gap).unwrap(), None);
        near.kernel
            .add_address(&AddressSpec::new(link.index, VIP.into(), 24))
            .unwrap();
        assert_eq!(question.owner(VIP, 25, gap).unwrap(), link.mac);
    }

    #[test]
    fn an_advertisement_is_what_rfc_4861_asks_for() {
        let ip: Ipv6Addr = "fd77::100".parse().unwrap();
        let packet = advertisement(ip, Mac([2, 0, 0, 0, 0, 1]), false);
        assert_eq!((packet[7], packet[40], packet[44]), (255, 136, 0x20));
        assert_eq!(packet[48..64], ip.octets());
        assert_eq!(packet[64..], [2, 1, 2, 0, 0, 0, 0, 1]);
        // A right checksum sums up to zero over what it covers.
        assert_eq!(checksum(&packet), 0);
        assert_eq!(advertisement(ip, Mac::default(), true)[44], 0xa0);
    }

    #[test]
    fn an_advertisement_reaches_the_peer() {
        let Some([mut near, mut far]) = pair("an_advertisement_reaches_the_peer") else {
            return;
        };
        let ip: IpAddr = "fd77::100".parse().unwrap();
        let link = near.kernel.link("eth0").unwrap();
        let other = far.kernel.link("eth0").unwrap();
        let ear = far
            .netns
            .run(|| PacketSocket::listener(&other, Protocol::Ipv6).unwrap())
            .unwrap();
        near.netns
            .run(|| Announcer::open(&link).unwrap().announce(ip).unwrap())
            .unwrap();
        let mut buffer = [0; 128];
        let until = Instant::now() + PATIENCE;
        loop {
            let len = ear
                .receive(&mut buffer, until)
                .unwrap()
                .expect("an advertisement in time");
            if buffer[6] == ICMPV6 && buffer[40] == NEIGHBOUR_ADVERTISEMENT && len == PACKET_BYTES {
                break;
            }
        }
    }

    #[test]
    fn loopback_has_nobody_to_tell() {
        let Some([mut near, _far]) = pair("loopback_has_nobody_to_tell") else {
            return;
        };
        let lo = near.kernel.link("lo").unwrap();
        let error = near
            .netns
            .run(|| Announcer::open(&lo).unwrap_err().to_string())
            .unwrap();
        assert!(error.contains("lo is not an Ethernet interface"), "{error}");
    }

    fn until(ear: &ArpListener, wanted: impl Fn(&ArpPacket) -> bool) -> ArpPacket {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let packet = ear.next(left).unwrap().expect("the packet in time");
            if wanted(&packet) {
                return packet;
            }
        }
    }

    /// The hardware address the namespace's kernel knows for [`VIP`].
    fn entry(netns: &NetNs) -> Option<String> {
        let table = || std::fs::read_to_string("/proc/thread-self/net/arp").unwrap();
        let table = netns.run(table).unwrap();
        let line = table
            .lines()
            .find(|line| line.starts_with(&format!("{VIP} ")))?;
        line.split_whitespace().nth(3).map(str::to_owned)
    }
}
