//! Bytes of messages, disk records and snapshots: one version byte, then postcard.

use serde::{Deserialize, Serialize};

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing there.
    #[error("empty message")]
    Empty,
    /// Another format.
    #[error("format {found}, this build reads {known}")]
    Format {
        /// The one it has.
        found: u8,
        /// The one it should have.
        known: u8,
    },
    /// Not what it should be.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A collection exceeds its bound.
    #[error("message with {what}: {count}, at most {max}")]
    Bound {
        /// Which collection.
        what: &'static str,
        /// Found.
        count: usize,
        /// Allowed.
        max: usize,
    },
}

/// Format byte, then postcard: of disk records and snapshots.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_into(Vec::new(), FORMAT, value)
}

pub(super) fn encode_into<T: Serialize>(mut bytes: Vec<u8>, format: u8, value: &T) -> Vec<u8> {
    bytes.push(format);
    postcard::serialize_with_flavor(value, Bytes(bytes))
        .expect("plain data without maps of unknown length always serialises into a Vec")
}

/// Where encoded bytes go. Postcard's own flavour for this extends byte by byte, and hashes are
/// written as 32 single bytes each.
struct Bytes(Vec<u8>);

impl postcard::ser_flavors::Flavor for Bytes {
    type Output = Vec<u8>;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// Inverse of [`encode`].
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeError> {
    decode_as(FORMAT, bytes)
}

pub(super) fn decode_as<'a, T: Deserialize<'a>>(
    format: u8,
    bytes: &'a [u8],
) -> Result<T, DecodeError> {
    let (&found, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if found != format {
        return Err(DecodeError::Format {
            found,
            known: format,
        });
    }
    postcard::from_bytes(rest).map_err(|e| DecodeError::Malformed(e.to_string()))
}

/// For `#[serde(deserialize_with)]` on a number that one is added to some day: what no cluster
/// reaches is refused, whoever says it.
pub(crate) fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    match number < NUMBER_MAX {
        true => Ok(number),
        false => Err(serde::de::Error::custom("a number that no cluster reaches")),
    }
}

/// For `#[serde(with)]` on a `Vec<u8>`: in one piece what serde takes byte by byte, in the same form.
pub(crate) mod in_one_piece {
    use super::{Blob, Deserialize};

    pub(crate) fn serialize<S: serde::Serializer>(
        v: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(v)
    }

    pub(crate) fn deserialize<'de, D>(deserializer: D) -> Result<Vec<u8>, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        Blob::deserialize(deserializer).map(|Blob(bytes)| bytes)
    }
}

/// Bytes that are (de)serialised as one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Blob;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, v: &[u8]) -> Result<Blob, E> {
                Ok(Blob(v.to_vec()))
            }
            fn visit_byte_buf<E>(self, v: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(v))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut a: A) -> Result<Blob, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = a.next_element()? {
                    bytes.push(byte);
                }
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// All numbers of the protocol stay below this, so that adding one never wraps whatever a peer claims
/// or a disk gives back (48 bits, protocol 3.2).
pub const NUMBER_MAX: u64 = 1 << 48;
/// Format of disk records and snapshots. 2: grants that wait for another. 3: as messages. 4: voters
/// that are out for a while, witness.
pub const FORMAT: u8 = 4;
