//! The 42-byte header and the sealing of everything that follows it.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

use crate::error::Reject;
use crate::ident::NodeId;
use crate::keys::{Entropy, KeyId, Secret, SecretPair};

/// What a packet is. Part of the header, hence of what is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Opens a session.
    Hello1 = 1,
    /// Answers with a cookie instead of keeping state.
    Hello2 = 2,
    /// Brings the cookie back with the proof of the session key.
    Hello3 = 3,
    /// Tells the initiator that the session is up.
    Confirm = 4,
    /// Carries a payload.
    Data = 5,
    /// Tells an initiator that holds the key why it is not let in.
    Refuse = 6,
    /// As [`Kind::Hello1`], over a stream.
    StreamHello1 = 16,
    /// As [`Kind::Hello2`], over a stream, without cookie.
    StreamHello2 = 17,
    /// As [`Kind::Hello3`], over a stream, without cookie.
    StreamHello3 = 18,
}

impl Kind {
    fn parse(byte: u8) -> Option<Self> {
        [
            Self::Hello1,
            Self::Hello2,
            Self::Hello3,
            Self::Confirm,
            Self::Data,
            Self::Refuse,
            Self::StreamHello1,
            Self::StreamHello2,
            Self::StreamHello3,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }

    /// Sealed under a key of the ring rather than under a session's.
    pub(crate) fn is_hello(self) -> bool {
        !matches!(self, Self::Confirm | Self::Data | Self::Refuse)
    }

    pub(crate) fn is_stream(self) -> bool {
        matches!(
            self,
            Self::StreamHello1 | Self::StreamHello2 | Self::StreamHello3
        )
    }
}

/// The header of every datagram and of the opening packets of a stream; all integers big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Version of the session; in a HELLO the lowest version its sender speaks.
    pub(crate) version: u8,
    pub(crate) kind: Kind,
    pub(crate) key_id: KeyId,
    pub(crate) src: NodeId,
    pub(crate) dst: NodeId,
    pub(crate) link: u8,
    /// None defined in version 1: sent as 0, ignored on receipt, authenticated all the same.
    pub(crate) flags: u8,
    /// 0 in a HELLO.
    pub(crate) session: u32,
    /// Packet number in its session and direction, from 1; 0 in a HELLO.
    pub(crate) counter: u64,
    /// With the counter the nonce. Filled in by [`seal`].
    pub(crate) random: [u8; RANDOM_LEN],
}

impl Header {
    /// The header of a HELLO, which belongs to no session.
    pub(crate) fn hello(
        kind: Kind,
        version: u8,
        key_id: KeyId,
        (src, dst): (NodeId, NodeId),
        link: u8,
    ) -> Self {
        let random = [0; RANDOM_LEN];
        Self {
            version,
            kind,
            key_id,
            src,
            dst,
            link,
            flags: 0,
            session: 0,
            counter: 0,
            random,
        }
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0] = self.version;
        out[1] = self.kind as u8;
        out[2..4].copy_from_slice(&self.key_id.0);
        out[4..8].copy_from_slice(&self.src.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.dst.0.to_be_bytes());
        out[12] = self.link;
        out[13] = self.flags;
        out[14..18].copy_from_slice(&self.session.to_be_bytes());
        out[18..26].copy_from_slice(&self.counter.to_be_bytes());
        out[26..42].copy_from_slice(&self.random);
        out
    }

    /// Reads the header; what follows it is not looked at.
    pub(crate) fn parse(packet: &[u8]) -> Result<Self, Reject> {
        let too_short = Reject::TooShort { len: packet.len() };
        if packet.len() < OVERHEAD_LEN {
            return Err(too_short);
        }
        let mut reader = Reader(packet);
        let version = reader.take::<1>().ok_or(too_short)?[0];
        let kind = reader.take::<1>().ok_or(too_short)?[0];
        let header = Self {
            version,
            kind: Kind::parse(kind).ok_or(Reject::UnknownKind { kind })?,
            key_id: KeyId(reader.take().ok_or(too_short)?),
            src: NodeId(u32::from_be_bytes(reader.take().ok_or(too_short)?)),
            dst: NodeId(u32::from_be_bytes(reader.take().ok_or(too_short)?)),
            link: reader.take::<1>().ok_or(too_short)?[0],
            flags: reader.take::<1>().ok_or(too_short)?[0],
            session: u32::from_be_bytes(reader.take().ok_or(too_short)?),
            counter: u64::from_be_bytes(reader.take().ok_or(too_short)?),
            random: reader.take().ok_or(too_short)?,
        };
        Ok(header)
    }

    fn nonce(&self) -> XNonce {
        let mut nonce = [0; 24];
        nonce[..8].copy_from_slice(&self.counter.to_be_bytes());
        nonce[8..].copy_from_slice(&self.random);
        XNonce::from(nonce)
    }
}

/// Who a datagram says it is from; nothing of it is proven. `None` = it has no header of ours.
#[must_use]
pub fn claimed_sender(datagram: &[u8]) -> Option<NodeId> {
    Header::parse(datagram).ok().map(|header| header.src)
}

/// Takes fixed-size fields off the front of a slice.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
}

/// Seals packets of one direction.
pub(crate) struct SealKey {
    cipher: XChaCha20Poly1305,
    hedge: Secret,
}

impl SealKey {
    pub(crate) fn new(pair: &SecretPair) -> Self {
        Self {
            cipher: cipher(&pair.cipher),
            hedge: pair.hedge.clone(),
        }
    }

    /// The whole packet: `header` with its random part filled in, ciphertext, tag.
    ///
    /// The random part is `hash(hedge key || random || counter || plaintext)` (R18): if the random
    /// source repeats itself, as after the restore of a virtual machine's snapshot, two packets
    /// share a nonce only if they are the same packet.
    pub(crate) fn seal(
        &self,
        mut header: Header,
        plaintext: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        let mut random = [0; RANDOM_LEN];
        entropy.fill(&mut random);
        let hedged = Sha256::new()
            .chain_update(self.hedge.as_slice())
            .chain_update(random)
            .chain_update(header.counter.to_be_bytes())
            .chain_update(plaintext)
            .finalize();
        header.random.copy_from_slice(&hedged[..RANDOM_LEN]);

        let aad = header.encode();
        let mut packet = Vec::with_capacity(OVERHEAD_LEN + plaintext.len());
        packet.extend_from_slice(&aad);
        packet.extend_from_slice(plaintext);
        let tag = self
            .cipher
            .encrypt_inout_detached(&header.nonce(), &aad, (&mut packet[HEADER_LEN..]).into())
            .expect("a packet is far below ChaCha20's limit of 256 GiB");
        packet.extend_from_slice(&tag);
        packet
    }
}

/// Opens packets of one direction.
pub(crate) struct OpenKey {
    cipher: XChaCha20Poly1305,
}

impl OpenKey {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self {
            cipher: cipher(secret),
        }
    }

    /// The plaintext, if `packet`, whose header was parsed as `header`, is authentic.
    pub(crate) fn open(&self, header: &Header, packet: &[u8]) -> Result<Vec<u8>, Reject> {
        let bad = Reject::BadTag { src: header.src };
        let (aad, sealed) = packet.split_at_checked(HEADER_LEN).ok_or(bad)?;
        let (body, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(bad)?;
        let mut plaintext = body.to_vec();
        self.cipher
            .decrypt_inout_detached(
                &header.nonce(),
                aad,
                plaintext.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .map_err(|_| bad)?;
        Ok(plaintext)
    }
}

pub(crate) fn cipher(secret: &Secret) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new_from_slice(secret.as_slice()).expect("the key has the cipher's 32 bytes")
}

/// Bytes before the ciphertext.
pub const HEADER_LEN: usize = 42;
/// Bytes after the ciphertext.
pub const TAG_LEN: usize = 16;
/// Bytes that sealing adds to a payload.
pub const OVERHEAD_LEN: usize = HEADER_LEN + TAG_LEN;
/// Longest datagram sent or accepted, in bytes: with IPv6 and UDP headers it fits an Ethernet frame
/// even inside a tunnel of 50 bytes.
pub const DATAGRAM_LEN_MAX: usize = 1400;
/// Longest payload of a datagram, in bytes.
pub const PAYLOAD_LEN_MAX: usize = DATAGRAM_LEN_MAX - OVERHEAD_LEN;
/// Most links between two nodes, as corosync.conf(5).
pub const LINKS_MAX: u8 = 8;
/// The link number of what a third node passes on: sealed end to end as anything else, and judged
/// with this number only when it came inside that node's own packets.
pub const RELAY_LINK: u8 = 255;
/// Longest relayed packet, in bytes: by relay also goes what would take a stream, in one piece.
pub const RELAYED_LEN_MAX: usize = 16 * 1024 * 1024;
const RANDOM_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::KeyRing;

    fn header() -> Header {
        Header {
            version: 1,
            kind: Kind::Data,
            key_id: KeyId([0xa1, 0xa2]),
            src: NodeId(0xb1b2_b3b4),
            dst: NodeId(0xc1c2_c3c4),
            link: 0xd1,
            flags: 0xd2,
            session: 0xe1e2_e3e4,
            counter: 0xf1f2_f3f4_f5f6_f7f8,
            random: *b"0123456789abcdef",
        }
    }

    /// The drawing in WIRE.md, in bytes.
    #[test]
    fn header_layout() {
        let expected = [
            b"\x01\x05\xa1\xa2\xb1\xb2\xb3\xb4\xc1\xc2\xc3\xc4\xd1\xd2\xe1\xe2\xe3\xe4".as_slice(),
            b"\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8",
            b"0123456789abcdef",
        ]
        .concat();
        assert_eq!(header().encode().as_slice(), expected);
    }

    struct Stuck;
    impl Entropy for Stuck {
        fn fill(&mut self, buf: &mut [u8]) {
            buf.fill(9);
        }
    }

    #[test]
    fn stuck_random_source_repeats_no_nonce_for_other_content() {
        let ring = KeyRing::derive(&[1; 32], "c").unwrap();
        let key = SealKey::new(&ring.active().hello);
        let nonce = |plaintext: &[u8], counter| {
            let packet = key.seal(
                Header {
                    counter,
                    ..header()
                },
                plaintext,
                &mut Stuck,
            );
            packet[18..HEADER_LEN].to_vec()
        };
        assert_eq!(nonce(b"one", 1), nonce(b"one", 1));
        assert_ne!(nonce(b"one", 1), nonce(b"two", 1));
        assert_ne!(nonce(b"one", 1)[8..], nonce(b"one", 2)[8..]);
    }

    proptest! {
        #[test]
        fn parse_takes_anything(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            match Header::parse(&bytes) {
                Ok(parsed) => prop_assert_eq!(&parsed.encode()[..], &bytes[..HEADER_LEN]),
                Err(Reject::TooShort { len }) => prop_assert!(len < OVERHEAD_LEN),
                Err(other) => prop_assert_eq!(other, Reject::UnknownKind { kind: bytes[1] }),
            }
        }

        #[test]
        fn sealed_opens_and_damaged_does_not(
            plaintext in prop::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let ring = KeyRing::derive(&[1; 32], "c").unwrap();
            let pair = &ring.active().hello;
            let open = OpenKey::new(&pair.cipher);
            let mut packet = SealKey::new(pair).seal(header(), &plaintext, &mut Stuck);
            prop_assert_eq!(packet.len(), plaintext.len() + OVERHEAD_LEN);
            let parsed = Header::parse(&packet).unwrap();
            prop_assert_eq!(open.open(&parsed, &packet), Ok(plaintext));
            let at = at.index(packet.len());
            packet[at] ^= 1 << bit;
            if let Ok(parsed) = Header::parse(&packet) {
                prop_assert!(open.open(&parsed, &packet).is_err());
            }
        }
    }
}
