//! Reading the kernel's answers: attributes by number, nothing else.
//!
//! We read only what we use. A full decoder refuses a whole dump when a newer kernel adds an
//! attribute in a form it does not expect; a floating address must not depend on that.

use netlink_packet_core::{NLA_ALIGNTO, NLA_HEADER_SIZE, NLA_TYPE_MASK};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The attributes of one message, by number; the last of a number wins.
pub(crate) struct Attributes<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Attributes<'a> {
    /// Reads what follows the fixed header of `header_len` bytes; stops at the first broken one.
    pub(crate) fn after(body: &'a [u8], header_len: usize) -> Self {
        let mut rest = body.get(header_len..).unwrap_or_default();
        let mut found = Vec::new();
        while let Some((kind, value, len)) = first(rest) {
            found.push((kind, value));
            rest = rest
                .get(len.next_multiple_of(NLA_ALIGNTO)..)
                .unwrap_or_default();
        }
        Self(found)
    }

    pub(crate) fn bytes(&self, number: u16) -> Option<&'a [u8]> {
        self.0
            .iter()
            .rev()
            .find(|(kind, _)| *kind == number)
            .map(|(_, value)| *value)
    }

    /// The values of every attribute of that number, in order: a list.
    pub(crate) fn all(&self, number: u16) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |(kind, _)| *kind == number)
            .map(|(_, value)| *value)
    }

    /// A big-endian u32, as netfilter writes them.
    pub(crate) fn be32(&self, number: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(number)?.try_into().ok()?))
    }

    /// A big-endian u64, as netfilter writes them.
    pub(crate) fn be64(&self, number: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.bytes(number)?.try_into().ok()?))
    }

    pub(crate) fn u32(&self, number: u16) -> Option<u32> {
        u32_at(self.bytes(number)?, 0)
    }

    pub(crate) fn text(&self, number: u16) -> Option<String> {
        let bytes = self.bytes(number)?;
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    pub(crate) fn ip(&self, number: u16) -> Option<IpAddr> {
        let bytes = self.bytes(number)?;
        if let Ok(four) = <[u8; 4]>::try_from(bytes) {
            return Some(IpAddr::V4(Ipv4Addr::from(four)));
        }
        <[u8; 16]>::try_from(bytes)
            .ok()
            .map(|sixteen| IpAddr::V6(Ipv6Addr::from(sixteen)))
    }

    pub(crate) fn nested(&self, number: u16) -> Self {
        Self::after(self.bytes(number).unwrap_or_default(), 0)
    }
}

/// The first attribute (`struct nlattr`): number, value, length with its header.
fn first(rest: &[u8]) -> Option<(u16, &[u8], usize)> {
    let [a, b, c, d] = *rest.first_chunk::<NLA_HEADER_SIZE>()?;
    let len = usize::from(u16::from_ne_bytes([a, b]));
    let value = rest.get(NLA_HEADER_SIZE..len)?;
    Some((u16::from_ne_bytes([c, d]) & NLA_TYPE_MASK, value, len))
}

/// A native-endian u32 at an offset; nothing when the slice is too short.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let four = bytes.get(offset..offset + 4)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(
            body in proptest::collection::vec(0u8.., 0..200),
            header_len in 0usize..250,
            number in 0u16..20,
        ) {
            let attributes = Attributes::after(&body, header_len);
            let len = attributes.bytes(number).map_or(0, <[u8]>::len);
            proptest::prop_assert!(len <= body.len().saturating_sub(header_len));
            let text = attributes.text(number).unwrap_or_default();
            proptest::prop_assert!(!text.contains('\0'));
            attributes.nested(number).u32(number);
        }
    }

    #[test]
    fn reads_attributes_and_survives_rubbish() {
        // IFA_LABEL (3) "eth0", IFA_LOCAL (2) 10.0.0.1, then a length that overruns.
        let mut body = vec![9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0];
        body.extend([8, 0, 2, 0, 10, 0, 0, 1]);
        body.extend([200, 0, 7, 0, 1]);
        let attributes = Attributes::after(&body, 0);
        assert_eq!(attributes.text(3).as_deref(), Some("eth0"));
        assert_eq!(
            attributes.ip(2),
            Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)))
        );
        assert_eq!(attributes.bytes(7), None);
        assert_eq!(attributes.u32(3), u32_at(b"eth0", 0));
        assert!(Attributes::after(&body, 500).bytes(3).is_none());
    }
}
