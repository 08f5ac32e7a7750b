//! Neighbour discovery for IPv6 (RFC 4861): the two messages that say where an address lives.

use crate::Mac;
use std::net::Ipv6Addr;

/// A neighbour solicitation or advertisement, as far as it says who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NdPacket {
    /// Advertisement (136), else solicitation (135).
    pub advertisement: bool,
    /// IPv6 source; unspecified while somebody checks for duplicates (RFC 4862 section 5.4.2).
    pub source: Ipv6Addr,
    /// The address asked about or advertised.
    pub target: Ipv6Addr,
    /// Hardware address in the option: the asker's, or where the target lives.
    pub mac: Option<Mac>,
    /// Advertisement: replaces what the neighbours have.
    pub overrides: bool,
    /// Advertisement: its sender forwards packets.
    pub router: bool,
}

impl NdPacket {
    /// An unsolicited advertisement with the override flag (RFC 4861 section 7.2.6).
    pub fn announcement(mac: Mac, ip: Ipv6Addr, router: bool) -> Self {
        Self {
            advertisement: true,
            source: ip,
            target: ip,
            mac: Some(mac),
            overrides: true,
            router,
        }
    }

    /// The question of duplicate address detection (RFC 4862 section 5.4.2): touches nobody's
    /// cache, and a holder answers it to everybody.
    pub fn probe(ip: Ipv6Addr) -> Self {
        Self {
            advertisement: false,
            source: Ipv6Addr::UNSPECIFIED,
            target: ip,
            mac: None,
            overrides: false,
            router: false,
        }
    }

    /// An ordinary question from an address of ours; the holder answers to us alone.
    pub fn question(mac: Mac, source: Ipv6Addr, ip: Ipv6Addr) -> Self {
        Self {
            source,
            mac: Some(mac),
            ..Self::probe(ip)
        }
    }

    /// Where it goes: all nodes, or the group of those whose address ends like the target.
    pub fn destination(&self) -> Ipv6Addr {
        if self.advertisement {
            return ALL_NODES;
        }
        let [.., a, b, c] = self.target.octets();
        let low = u16::from_be_bytes([b, c]);
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
    }

    /// The whole IPv6 packet.
    pub fn to_bytes(self) -> Vec<u8> {
        let message = FIXED_BYTES + if self.mac.is_some() { OPTION_BYTES } else { 0 };
        let mut packet = vec![0; IPV6_HEADER_BYTES + message];
        packet[0] = 0x60;
        packet[5] = message as u8;
        packet[6] = ICMPV6;
        packet[7] = HOP_LIMIT;
        packet[8..24].copy_from_slice(&self.source.octets());
        packet[24..40].copy_from_slice(&self.destination().octets());
        let option = if self.advertisement {
            packet[40] = NEIGHBOUR_ADVERTISEMENT;
            packet[44] =
                (FLAG_ROUTER * u8::from(self.router)) | (FLAG_OVERRIDE * u8::from(self.overrides));
            OPTION_TARGET_ADDRESS
        } else {
            packet[40] = NEIGHBOUR_SOLICITATION;
            OPTION_SOURCE_ADDRESS
        };
        packet[48..64].copy_from_slice(&self.target.octets());
        if let Some(mac) = self.mac {
            packet[64..66].copy_from_slice(&[option, 1]);
            packet[66..72].copy_from_slice(&mac.0);
        }
        let sum = checksum(&packet);
        packet[42..44].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// Reads a whole IPv6 packet; nothing for anything else, for what came through a router, and
    /// for broken ones (RFC 4861 sections 7.1.1 and 7.1.2).
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<{ IPV6_HEADER_BYTES + FIXED_BYTES }>()?;
        let message = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let packet = packet.get(..IPV6_HEADER_BYTES + message)?;
        let sane = header[0] >> 4 == 6
            && header[6] == ICMPV6
            && header[7] == HOP_LIMIT
            && header[41] == 0
            && message >= FIXED_BYTES
            && checksum(packet) == 0;
        if !sane {
            return None;
        }
        let advertisement = match header[40] {
            NEIGHBOUR_ADVERTISEMENT => true,
            NEIGHBOUR_SOLICITATION => false,
            _ => return None,
        };
        let wanted = if advertisement {
            OPTION_TARGET_ADDRESS
        } else {
            OPTION_SOURCE_ADDRESS
        };
        let ip = |at: usize| Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|i| header[at + i]));
        Some(Self {
            advertisement,
            source: ip(8),
            target: ip(48),
            mac: option(&packet[IPV6_HEADER_BYTES + FIXED_BYTES..], wanted)?,
            overrides: advertisement && header[44] & FLAG_OVERRIDE != 0,
            router: advertisement && header[44] & FLAG_ROUTER != 0,
        })
    }
}

/// The hardware address among the options; nothing at all when one of them is broken.
fn option(mut options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let mut found = None;
    while let [kind, eights, ..] = *options {
        let len = usize::from(eights) * 8;
        let whole = options.get(..len).filter(|whole| !whole.is_empty())?;
        if kind == wanted && len == OPTION_BYTES {
            found = Some(Mac(std::array::from_fn(|i| whole[2 + i])));
        }
        options = &options[len..];
    }
    Some(found)
}

/// ICMPv6 checksum over pseudo header and message (RFC 4443 section 2.3, RFC 8200 section 8.1).
fn checksum(packet: &[u8]) -> u16 {
    let message = packet.len() - IPV6_HEADER_BYTES;
    let words = packet[8..].chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum = words.sum::<u32>() + message as u32 + u32::from(ICMPV6);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The Ethernet address of a multicast group (RFC 2464 section 7).
pub(crate) fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const IPV6_HEADER_BYTES: usize = 40;
/// ICMPv6 header, flags or reserved, target.
const FIXED_BYTES: usize = 24;
/// A hardware address with its header.
const OPTION_BYTES: usize = 8;
pub(crate) const ICMPV6: u8 = 58;
/// Receivers drop neighbour discovery with any other: it came through a router.
const HOP_LIMIT: u8 = 255;
pub(crate) const NEIGHBOUR_SOLICITATION: u8 = 135;
pub(crate) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const FLAG_ROUTER: u8 = 0x80;
const FLAG_OVERRIDE: u8 = 0x20;
const OPTION_SOURCE_ADDRESS: u8 = 1;
const OPTION_TARGET_ADDRESS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn an_announcement_is_what_rfc_4861_asks_for() {
        let vip = ip("fd77::100");
        let packet = NdPacket::announcement(MAC, vip, false).to_bytes();
        assert_eq!((packet[7], packet[40], packet[44]), (255, 136, 0x20));
        assert_eq!(packet[24..40], ip("ff02::1").octets());
        assert_eq!(packet[48..64], vip.octets());
        assert_eq!(packet[64..], [2, 1, 2, 0, 0, 0, 0, 1]);
        // A right checksum sums up to zero over what it covers.
        assert_eq!(checksum(&packet), 0);
        let router = NdPacket::announcement(MAC, vip, true).to_bytes();
        assert_eq!(router[44], 0xa0);
    }

    #[test]
    fn a_probe_is_what_rfc_4862_asks_for() {
        let probe = NdPacket::probe(ip("fd77::12:3456"));
        assert_eq!(probe.destination(), ip("ff02::1:ff12:3456"));
        assert_eq!(
            group_mac(probe.destination()),
            Mac([0x33, 0x33, 0xff, 0x12, 0x34, 0x56])
        );
        let packet = probe.to_bytes();
        assert_eq!((packet.len(), packet[40]), (64, 135));
        assert_eq!(packet[8..24], [0; 16]);
    }

    #[test]
    fn packets_survive_the_wire_and_rubbish_does_not() {
        let vip = ip("fd77::100");
        for packet in [
            NdPacket::announcement(MAC, vip, true),
            NdPacket::probe(vip),
            NdPacket::question(MAC, ip("fe80::1"), vip),
        ] {
            let good = packet.to_bytes();
            assert_eq!(NdPacket::parse(&good), Some(packet));
            for (at, value) in [(0, 0x45), (6, 6), (7, 64), (40, 134), (41, 1), (63, 0xee)] {
                let mut bad = good.clone();
                bad[at] = value;
                assert_eq!(NdPacket::parse(&bad), None, "byte {at}");
            }
            assert_eq!(NdPacket::parse(&good[..good.len() - 1]), None);
        }
    }

    proptest::proptest! {
        /// Frames come from anybody on the wire: none may stop us.
        #[test]
        fn any_packet_is_read_or_refused(bytes in proptest::collection::vec(0u8.., 0..120)) {
            NdPacket::parse(&bytes);
        }

        /// Right headers and a right checksum before options of any kind.
        #[test]
        fn any_options_are_read_or_refused(options in proptest::collection::vec(0u8.., 0..60)) {
            let mut bytes = NdPacket::probe(ip("fd77::100")).to_bytes();
            bytes.extend(&options);
            bytes[5] += options.len() as u8;
            bytes[42..44].copy_from_slice(&[0, 0]);
            let sum = checksum(&bytes);
            bytes[42..44].copy_from_slice(&sum.to_be_bytes());
            let broken = option(&options, OPTION_SOURCE_ADDRESS).is_none();
            proptest::prop_assert_eq!(NdPacket::parse(&bytes).is_none(), broken);
        }
    }
}
