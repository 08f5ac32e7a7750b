//! ARP for IPv4 over Ethernet (RFC 826): announcements and the check for a second owner.

use crate::packet::{PacketSocket, Protocol};
use crate::{Error, Link, Mac, Result};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// One ARP packet, as far as it concerns IPv4 over Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPacket {
    /// Request (1), else reply (2).
    pub request: bool,
    /// Who speaks.
    pub sender_mac: Mac,
    /// As whom; 0.0.0.0 in a probe.
    pub sender_ip: Ipv4Addr,
    /// Whom it answers; zero in requests.
    pub target_mac: Mac,
    /// Which address is asked about or announced.
    pub target_ip: Ipv4Addr,
}

impl ArpPacket {
    /// A gratuitous ARP in request form (RFC 5227 section 3). Peers take it at once; a broadcast
    /// reply is ignored by Linux peers whose entry is younger than its lock time of 1 s.
    pub fn announcement(mac: Mac, ip: Ipv4Addr) -> Self {
        let target_mac = Mac([0; 6]);
        Self {
            request: true,
            sender_mac: mac,
            sender_ip: ip,
            target_mac,
            target_ip: ip,
        }
    }

    /// The reply form, for equipment that learns from replies only. The target hardware address
    /// is the speaker's own: a Linux peer then heeds it even while its entry is fresh.
    pub fn announcement_as_reply(mac: Mac, ip: Ipv4Addr) -> Self {
        Self {
            request: false,
            target_mac: mac,
            ..Self::announcement(mac, ip)
        }
    }

    /// A probe (RFC 5227 section 2.1): asks without touching anybody's cache.
    pub fn probe(mac: Mac, ip: Ipv4Addr) -> Self {
        Self {
            sender_ip: Ipv4Addr::UNSPECIFIED,
            ..Self::announcement(mac, ip)
        }
    }

    /// The packet's bytes, without Ethernet header.
    pub fn to_bytes(self) -> [u8; ARP_BYTES] {
        let mut bytes = [0; ARP_BYTES];
        bytes[..6].copy_from_slice(&ETHERNET_IPV4);
        bytes[7] = if self.request { 1 } else { 2 };
        bytes[8..14].copy_from_slice(&self.sender_mac.0);
        bytes[14..18].copy_from_slice(&self.sender_ip.octets());
        bytes[18..24].copy_from_slice(&self.target_mac.0);
        bytes[24..28].copy_from_slice(&self.target_ip.octets());
        bytes
    }

    /// Reads a packet; nothing for other hardware, protocols, operations or short frames.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<ARP_BYTES>()?;
        if bytes[..6] != ETHERNET_IPV4 || bytes[6] != 0 || !matches!(bytes[7], 1 | 2) {
            return None;
        }
        let mac = |at: usize| Mac(std::array::from_fn(|i| bytes[at + i]));
        let ip = |at: usize| Ipv4Addr::from(std::array::from_fn::<u8, 4, _>(|i| bytes[at + i]));
        Some(Self {
            request: bytes[7] == 1,
            sender_mac: mac(8),
            sender_ip: ip(14),
            target_mac: mac(18),
            target_ip: ip(24),
        })
    }
}

/// Listens to the ARP traffic of one interface.
#[derive(Debug)]
pub struct ArpListener {
    socket: PacketSocket,
    mac: Mac,
}

impl ArpListener {
    /// Opens it in the calling thread's namespace.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or for an interface without an Ethernet address.
    pub fn open(link: &Link) -> Result<Self> {
        let mac = ethernet(link)?;
        Ok(Self {
            socket: PacketSocket::listener(link, Protocol::Arp)?,
            mac,
        })
    }

    /// The next ARP packet, our own included, or nothing within `wait`.
    ///
    /// # Errors
    /// When the interface goes down or away.
    pub fn next(&self, wait: Duration) -> Result<Option<ArpPacket>> {
        self.next_until(Instant::now() + wait)
    }

    /// Asks once whether somebody has `ip`; the answer is heard by [`ArpListener::next`].
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn ask(&self, ip: Ipv4Addr) -> Result<()> {
        let question = ArpPacket::probe(self.mac, ip).to_bytes();
        self.socket.send(BROADCAST, &question)
    }

    /// As [`ArpListener::ask`], in the name of the owner of `asker`.
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn ask_as(&self, asker: Ipv4Addr, ip: Ipv4Addr) -> Result<()> {
        let question = ArpPacket {
            sender_ip: asker,
            ..ArpPacket::announcement(self.mac, ip)
        };
        self.socket.send(BROADCAST, &question.to_bytes())
    }

    fn next_until(&self, until: Instant) -> Result<Option<ArpPacket>> {
        let mut buffer = [0; FRAME_BYTES_MAX];
        while let Some(len) = self.socket.receive(&mut buffer, until)? {
            if let Some(packet) = ArpPacket::parse(&buffer[..len]) {
                return Ok(Some(packet));
            }
            if Instant::now() >= until {
                break;
            }
        }
        Ok(None)
    }
}

/// The link's Ethernet address.
pub(crate) fn ethernet(link: &Link) -> Result<Mac> {
    match link.mac {
        Some(mac) if link.hardware_type == libc::ARPHRD_ETHER => Ok(mac),
        _ => Err(Error::Invalid(format!(
            "{} is not an Ethernet interface (hardware type {}): no ARP or neighbour \
             announcements there",
            link.name, link.hardware_type
        ))),
    }
}

pub(crate) const BROADCAST: Mac = Mac([0xff; 6]);

const ARP_BYTES: usize = 28;
/// An ARP frame with Ethernet padding is 46 bytes; longer ones are cut, not read.
const FRAME_BYTES_MAX: usize = 64;
/// Hardware Ethernet (1), protocol IPv4 (0x0800), lengths 6 and 4.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

    #[test]
    fn packets_survive_the_wire() {
        for packet in [ArpPacket::announcement(MAC, IP), ArpPacket::probe(MAC, IP)] {
            assert_eq!(ArpPacket::parse(&packet.to_bytes()), Some(packet));
        }
    }

    #[test]
    fn an_announcement_is_a_request_about_oneself() {
        let bytes = ArpPacket::announcement(MAC, IP).to_bytes();
        assert_eq!(bytes[6..8], [0, 1]);
        assert_eq!(bytes[14..18], bytes[24..28]);
        assert_eq!(bytes[18..24], [0; 6]);
    }

    #[test]
    fn rubbish_is_not_arp() {
        let good = ArpPacket::announcement(MAC, IP).to_bytes();
        for (at, value) in [(1, 6), (2, 9), (4, 8), (5, 16), (6, 1), (7, 3)] {
            let mut bad = good;
            bad[at] = value;
            assert_eq!(ArpPacket::parse(&bad), None, "byte {at}");
        }
        assert_eq!(ArpPacket::parse(&good[..27]), None);
    }

    proptest::proptest! {
        /// Frames come from anybody on the wire: none may stop us, and what is read is what
        /// would be written.
        #[test]
        fn any_frame_is_read_or_refused(bytes in proptest::collection::vec(0u8.., 0..64)) {
            if let Some(packet) = ArpPacket::parse(&bytes) {
                proptest::prop_assert_eq!(&packet.to_bytes()[..], &bytes[..ARP_BYTES]);
            }
        }

        #[test]
        fn every_arp_packet_is_read(tail in proptest::array::uniform20(0u8..), op in 1u8..3) {
            let mut bytes = [0; ARP_BYTES];
            bytes[..6].copy_from_slice(&ETHERNET_IPV4);
            bytes[7] = op;
            bytes[8..].copy_from_slice(&tail);
            let packet = ArpPacket::parse(&bytes);
            proptest::prop_assert_eq!(packet.map(ArpPacket::to_bytes), Some(bytes));
        }
    }
}
