//! Telling the neighbours where an address lives now: gratuitous ARP and unsolicited
//! neighbour advertisements.

use crate::arp::{ArpPacket, BROADCAST, ethernet};
use crate::ndp::{NdPacket, group_mac};
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
            IpAddr::V6(six) => self.discover(NdPacket::announcement(self.mac, six, self.router)),
        }
    }

    /// Sends a gratuitous ARP in reply form, for equipment that takes nothing else; IPv6 has one
    /// form only. The target is our own hardware address: Linux peers then take it at once.
    ///
    /// # Errors
    /// As [`Announcer::announce`].
    pub fn announce_as_reply(&self, ip: IpAddr) -> Result<()> {
        match ip {
            IpAddr::V4(four) => {
                let packet = ArpPacket::announcement_as_reply(self.mac, four);
                self.arp.send(BROADCAST, &packet.to_bytes())
            }
            IpAddr::V6(_) => self.announce(ip),
        }
    }

    /// Asks who else has an address that we hold; nobody's cache changes. IPv6 asks from
    /// `source`, an address of ours, because the answer to a question without a source goes to
    /// everybody and would move the neighbours away from us.
    ///
    /// # Errors
    /// As [`Announcer::announce`].
    pub fn question(&self, ip: IpAddr, source: Option<Ipv6Addr>) -> Result<()> {
        match (ip, source) {
            (IpAddr::V4(four), _) => {
                let packet = ArpPacket::probe(self.mac, four);
                self.arp.send(BROADCAST, &packet.to_bytes())
            }
            (IpAddr::V6(six), Some(source)) => {
                self.discover(NdPacket::question(self.mac, source, six))
            }
            (IpAddr::V6(_), None) => Ok(()),
        }
    }

    fn discover(&self, packet: NdPacket) -> Result<()> {
        let group = group_mac(packet.destination());
        self.neighbour.send(group, &packet.to_bytes())
    }
}

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
            if NdPacket::parse(&buffer[..len]).is_some_and(|heard| IpAddr::V6(heard.target) == ip) {
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
