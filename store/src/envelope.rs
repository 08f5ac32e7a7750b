//! The envelope around every value in the engine, and the keys under which values lie.
//!
//! Byte layout: `DESIGN.md`, "Envelope" and "Keys". All numbers in envelopes are little-endian, in
//! keys big-endian, so that keys sort by number.

use std::fmt;

use crate::crc32c::crc32c;

/// What a value is; also the first byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Store uuid.
    Format = b'F',
    /// Safety record; `seq` is its generation.
    Safety = b'S',
    /// Commit hint; `seq` is the hint.
    Hint = b'H',
    /// Number of batches applied; `seq` is the number.
    Batch = b'B',
    /// Why this store may not vote yet.
    Degraded = b'D',
    /// Log record.
    Log = b'l',
    /// Snapshot of the state.
    Snapshot = b'p',
    /// Facts about a kept CIB version.
    VersionFacts = b'v',
    /// XML of a kept CIB version.
    VersionXml = b'x',
    /// Diff of a kept CIB version.
    VersionDiff = b'd',
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Format,
        Self::Safety,
        Self::Hint,
        Self::Batch,
        Self::Degraded,
        Self::Log,
        Self::Snapshot,
        Self::VersionFacts,
        Self::VersionXml,
        Self::VersionDiff,
    ];

    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// One value under a one-byte key, instead of objects under numbered keys.
    pub(crate) fn single(self) -> bool {
        matches!(
            self,
            Self::Format | Self::Safety | Self::Hint | Self::Batch | Self::Degraded
        )
    }
}

/// Where a value lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    /// 0 for single kinds.
    pub(crate) seq: u64,
    /// 0 is an object's head, 1.. its chunks.
    pub(crate) part: u16,
}

impl Key {
    pub(crate) fn single(kind: Kind) -> Self {
        Self::head(kind, 0)
    }

    pub(crate) fn head(kind: Kind, seq: u64) -> Self {
        Self { kind, seq, part: 0 }
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = vec![self.kind as u8];
        if self.kind.single() {
            return bytes;
        }
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        if self.part > 0 {
            bytes.extend_from_slice(&self.part.to_be_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        let kind = Kind::from_byte(*first)?;
        let (seq, part) = match (kind.single(), rest.len()) {
            (true, 0) => (0, 0),
            (false, 8) => (u64::from_be_bytes(rest.try_into().ok()?), 0),
            (false, 10) => {
                let (seq, part) = rest.split_at(8);
                let part = u16::from_be_bytes(part.try_into().ok()?);
                if part == 0 {
                    return None;
                }
                (u64::from_be_bytes(seq.try_into().ok()?), part)
            }
            _ => return None,
        };
        Some(Self { kind, seq, part })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            Kind::Format => "format",
            Kind::Safety => "safety",
            Kind::Hint => "commit hint",
            Kind::Batch => "batch number",
            Kind::Degraded => "recovering mark",
            Kind::Log => "log",
            Kind::Snapshot => "snapshot",
            Kind::VersionFacts => "cib version",
            Kind::VersionXml => "cib version xml",
            Kind::VersionDiff => "cib version diff",
        };
        match (self.kind.single(), self.part) {
            (true, _) => write!(f, "{name}"),
            (false, 0) => write!(f, "{name} {}", self.seq),
            (false, part) => write!(f, "{name} {} chunk {part}", self.seq),
        }
    }
}

/// Wraps `payload`; `seq` is the key's for objects, the value's own number for single kinds.
pub(crate) fn seal(kind: Kind, seq: u64, part: u16, payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= PAYLOAD_BYTES_MAX);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.push(kind as u8);
    bytes.push(SCHEMA);
    bytes.extend_from_slice(&part.to_le_bytes());
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    let crc = crc32c(&[&bytes, payload]);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// What an intact envelope holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    pub(crate) seq: u64,
    pub(crate) payload: &'a [u8],
}

/// Unwraps a value and checks that it is what its key says.
pub(crate) fn open(key: Key, bytes: &[u8]) -> Result<Opened<'_>, Damage> {
    if bytes.len() < HEADER_BYTES {
        return Err(Damage::new(key, "shorter than an envelope"));
    }
    let (header, payload) = bytes.split_at(HEADER_BYTES);
    let (signed, crc) = header.split_at(HEADER_BYTES - 4);
    if signed[..4] != MAGIC {
        return Err(Damage::new(key, "wrong magic"));
    }
    if crc32c(&[signed, payload]) != u32_at(crc, 0) {
        return Err(Damage::new(key, "checksum mismatch"));
    }
    if signed[5] != SCHEMA {
        return Err(Damage::new(key, "written by another version of mainstay"));
    }
    let seq = u64_at(signed, 8);
    let part = u16::from_le_bytes([signed[6], signed[7]]);
    let misplaced = signed[4] != key.kind as u8
        || part != key.part
        || (!key.kind.single() && seq != key.seq)
        || u32_at(signed, 16) as usize != payload.len();
    if misplaced {
        return Err(Damage::new(key, "value of another key"));
    }
    Ok(Opened { seq, payload })
}

/// A value that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) place: String,
    pub(crate) what: String,
}

impl Damage {
    pub(crate) fn new(key: Key, what: impl Into<String>) -> Self {
        Self {
            place: key.to_string(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Little-endian number at `offset`; the caller has checked the length.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_le_bytes(word)
}

/// Little-endian number at `offset`; the caller has checked the length.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[offset..offset + 8]);
    u64::from_le_bytes(word)
}

/// First bytes of every value.
pub(crate) const MAGIC: [u8; 4] = *b"MSv1";

/// Version of the layout.
pub(crate) const SCHEMA: u8 = 1;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 24;

/// Largest value in the engine, in bytes: 16 of them still make a page far below the size at which
/// the engine moves a page to a file it never syncs.
pub(crate) const VALUE_BYTES_MAX: usize = 2_048;

/// Largest payload of one value, in bytes.
pub(crate) const PAYLOAD_BYTES_MAX: usize = VALUE_BYTES_MAX - HEADER_BYTES;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_sort_by_number_and_chunks_follow_their_head() {
        let order = [
            Key::head(Kind::Log, 1),
            Key {
                part: 1,
                ..Key::head(Kind::Log, 1)
            },
            Key {
                part: 256,
                ..Key::head(Kind::Log, 1)
            },
            Key::head(Kind::Log, 2),
            Key::head(Kind::Log, 256),
        ];
        let encoded: Vec<_> = order.iter().map(|key| key.encode()).collect();
        assert!(encoded.is_sorted());
        for key in order {
            assert_eq!(Key::decode(&key.encode()), Some(key));
        }
    }

    #[test]
    fn a_value_under_another_key_is_damage() {
        let value = seal(Kind::Log, 7, 0, b"x");
        assert!(open(Key::head(Kind::Log, 7), &value).is_ok());
        assert!(open(Key::head(Kind::Log, 8), &value).is_err());
        assert!(open(Key::head(Kind::Snapshot, 7), &value).is_err());
    }

    proptest! {
        #[test]
        fn every_single_bit_flip_is_seen(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            seq in any::<u64>(),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let key = Key::head(Kind::Log, seq);
            let mut value = seal(Kind::Log, seq, 0, &payload);
            prop_assert_eq!(open(key, &value).map(|o| o.payload.to_vec()), Ok(payload));
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            prop_assert!(open(key, &value).is_err());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(open(Key::head(Kind::Log, 1), &bytes).is_err());
            if let Some(key) = Key::decode(&bytes) {
                prop_assert_eq!(key.encode(), bytes);
            }
        }
    }
}
