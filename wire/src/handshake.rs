//! What two nodes say to open a session, and the keys that come of it. Pure functions and codecs;
//! who says what when is in `endpoint.rs` (datagrams) and `stream_handshake.rs`.
//!
//! Both sides bring a fresh nonce and a fresh X25519 key; the ring's key is mixed in. So a recorded
//! handshake is useless to whoever replays it (the nonce differs), and the leak of an authkey does
//! not open recorded sessions (R18).

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::error::Reject;
use crate::ident::{Identity, MachineBoot, NodeId, ProcessBoot};
use crate::keys::{CLUSTER_TAG_LEN, Entropy, KeyId, Secret, SecretPair, expand, expand_pair};
use crate::packet::Reader;

/// The protocol versions a node speaks, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRange {
    /// Oldest.
    pub min: u8,
    /// Newest.
    pub max: u8,
}

impl VersionRange {
    /// What this build speaks.
    pub const OURS: Self = Self {
        min: VERSION_MIN,
        max: VERSION_MAX,
    };

    /// The newest version in both ranges; the same seen from either side.
    pub fn common(self, other: Self) -> Option<u8> {
        let newest = self.max.min(other.max);
        (newest >= self.min.max(other.min)).then_some(newest)
    }

    pub(crate) fn contains(self, version: u8) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

impl std::fmt::Display for VersionRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

/// Why a node that proved to hold the authkey is not let in. Sent to it, sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its incarnation is not above the one its peers know (R8): a clone, a store rolled back or
    /// emptied, or a node id used twice.
    StaleIncarnation {
        /// The newest incarnation the refusing node knows of the refused one.
        known: u64,
    },
    /// As [`Refusal::StaleIncarnation`], and the process that is known is alive: a clone, or a node
    /// id used twice. Whoever is refused so must not try to become the newer one.
    InUse {
        /// The incarnation of the living process.
        known: u64,
    },
    /// A reason that a newer version knows.
    Other {
        /// Its number.
        code: u8,
    },
}

impl Refusal {
    pub(crate) fn encode(self) -> [u8; REFUSE_BODY_LEN] {
        let (code, known) = match self {
            Self::StaleIncarnation { known } => (REFUSE_STALE_INCARNATION, known),
            Self::InUse { known } => (REFUSE_IN_USE, known),
            Self::Other { code } => (code, 0),
        };
        let mut out = [0; REFUSE_BODY_LEN];
        out[0] = code;
        out[1..].copy_from_slice(&known.to_be_bytes());
        out
    }

    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let code = reader.take::<1>()?[0];
        let known = u64::from_be_bytes(reader.take()?);
        Some(match code {
            REFUSE_STALE_INCARNATION => Self::StaleIncarnation { known },
            REFUSE_IN_USE => Self::InUse { known },
            code => Self::Other { code },
        })
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StaleIncarnation { known } => write!(
                f,
                "it knows incarnation {known} of this node, which is not older: \
                 clone, store rolled back, or node id used twice"
            ),
            Self::InUse { known } => write!(
                f,
                "incarnation {known} of this node is alive elsewhere: clone, or node id used twice"
            ),
            Self::Other { code } => write!(f, "reason {code}, which is not known here"),
        }
    }
}

/// What both sides must agree upon before anything else is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) versions: VersionRange,
    pub(crate) cluster_tag: [u8; CLUSTER_TAG_LEN],
}

impl Terms {
    pub(crate) fn hello(&self, me: Identity, nonce: [u8; 32], ephemeral: &Ephemeral) -> Hello {
        Hello {
            versions: self.versions,
            suite: SUITE,
            cluster_tag: self.cluster_tag,
            nonce,
            ephemeral: ephemeral.public,
            identity: me,
        }
    }
}

/// What either side says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) versions: VersionRange,
    pub(crate) suite: u8,
    pub(crate) cluster_tag: [u8; CLUSTER_TAG_LEN],
    pub(crate) nonce: [u8; 32],
    pub(crate) ephemeral: [u8; 32],
    pub(crate) identity: Identity,
}

impl Hello {
    pub(crate) fn encode(&self) -> [u8; HELLO_LEN] {
        let mut out = [0; HELLO_LEN];
        out[0] = self.versions.min;
        out[1] = self.versions.max;
        out[2] = self.suite;
        out[4..12].copy_from_slice(&self.cluster_tag);
        out[12..44].copy_from_slice(&self.nonce);
        out[44..76].copy_from_slice(&self.ephemeral);
        out[76..].copy_from_slice(&encode_identity(&self.identity));
        out
    }

    /// Reads what `src` says of itself and refuses what this node cannot speak with. The versions
    /// come first, at a place that never moves: a newer peer can be named as such.
    pub(crate) fn parse(body: &[u8], src: NodeId, ours: &Terms) -> Result<Self, Reject> {
        let malformed = Reject::Malformed { src };
        let mut reader = Reader(body);
        let [min, max, suite, _reserved] = reader.take().ok_or(malformed)?;
        let theirs = VersionRange { min, max };
        if min == 0 || min > max {
            return Err(malformed);
        }
        if ours.versions.common(theirs).is_none() {
            return Err(Reject::VersionRange {
                peer: src,
                ours: ours.versions,
                theirs,
            });
        }
        if suite != SUITE {
            return Err(Reject::UnknownSuite { peer: src, suite });
        }
        let hello = Self {
            versions: theirs,
            suite,
            cluster_tag: reader.take().ok_or(malformed)?,
            nonce: reader.take().ok_or(malformed)?,
            ephemeral: reader.take().ok_or(malformed)?,
            identity: parse_identity(&mut reader).ok_or(malformed)?,
        };
        if hello.cluster_tag != ours.cluster_tag {
            return Err(Reject::ClusterName { peer: src });
        }
        if hello.identity.node != src {
            return Err(malformed);
        }
        Ok(hello)
    }
}

pub(crate) fn encode_identity(identity: &Identity) -> [u8; IDENTITY_LEN] {
    let mut out = [0; IDENTITY_LEN];
    out[..4].copy_from_slice(&identity.node.0.to_be_bytes());
    out[4..20].copy_from_slice(&identity.machine_boot.0);
    out[20..36].copy_from_slice(&identity.process_boot.0);
    out[36..].copy_from_slice(&identity.incarnation.to_be_bytes());
    out
}

pub(crate) fn parse_identity(reader: &mut Reader<'_>) -> Option<Identity> {
    Some(Identity {
        node: NodeId(u32::from_be_bytes(reader.take()?)),
        machine_boot: MachineBoot(reader.take()?),
        process_boot: ProcessBoot(reader.take()?),
        incarnation: u64::from_be_bytes(reader.take()?),
    })
}

/// A key pair made for one handshake.
pub(crate) struct Ephemeral {
    secret: StaticSecret,
    pub(crate) public: [u8; 32],
}

impl Ephemeral {
    pub(crate) fn draw(entropy: &mut dyn Entropy) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(secret.as_mut_slice());
        Self::from_secret(&secret)
    }

    pub(crate) fn from_secret(secret: &Secret) -> Self {
        let secret = StaticSecret::from(**secret);
        let public = PublicKey::from(&secret).to_bytes();
        Self { secret, public }
    }
}

/// Hash of the first HELLO and of whom it goes between.
pub(crate) fn transcript1(
    purpose: &[u8],
    key_id: KeyId,
    initiator: NodeId,
    responder: NodeId,
    hello: &[u8],
) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"mainstay v1 hello ")
        .chain_update(purpose)
        .chain_update(key_id.0)
        .chain_update(initiator.0.to_be_bytes())
        .chain_update(responder.0.to_be_bytes())
        .chain_update(hello)
        .finalize()
        .into()
}

/// Hash of both HELLOs: everything the session depends on.
pub(crate) fn transcript2(first: &[u8; 32], version: u8, hello2: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"mainstay v1 answer")
        .chain_update(first)
        .chain_update([version, SUITE])
        .chain_update(hello2)
        .finalize()
        .into()
}

/// What a handshake yields. Both sides derive the same, from the initiator's point of view.
pub(crate) struct SessionKeys {
    /// Number of the session in packet headers; the same in both directions.
    pub(crate) id: u32,
    pub(crate) from_initiator: SecretPair,
    pub(crate) from_responder: SecretPair,
    /// The initiator's proof that it holds the keys.
    pub(crate) proof: Secret,
}

impl SessionKeys {
    /// `None` if the peer's public key is one of the few that give no secret.
    pub(crate) fn derive(
        root: &Secret,
        ours: &Ephemeral,
        theirs: &[u8; 32],
        transcript: &[u8; 32],
    ) -> Option<Self> {
        let shared = ours.secret.diffie_hellman(&PublicKey::from(*theirs));
        if !shared.was_contributory() {
            return None;
        }
        let mut input = Zeroizing::new([0; 64]);
        input[..32].copy_from_slice(shared.as_bytes());
        input[32..].copy_from_slice(transcript);
        let prk = Hkdf::<Sha256>::new(Some(root.as_slice()), input.as_slice());
        let [a, b, c, d, ..] = *expand(&prk, b"session id");
        Some(Self {
            id: u32::from_be_bytes([a, b, c, d]),
            from_initiator: expand_pair(&prk, b"from initiator"),
            from_responder: expand_pair(&prk, b"from responder"),
            proof: expand(&prk, b"proof"),
        })
    }
}

/// Oldest protocol version this build speaks.
pub const VERSION_MIN: u8 = 1;
/// Newest protocol version this build speaks.
pub const VERSION_MAX: u8 = 1;
/// The one cipher suite: X25519, HKDF-SHA256, XChaCha20-Poly1305.
pub const SUITE: u8 = 1;
pub(crate) const IDENTITY_LEN: usize = 44;
/// Bytes of a [`Hello`].
pub(crate) const HELLO_LEN: usize = 76 + IDENTITY_LEN;
pub(crate) const REFUSE_BODY_LEN: usize = 9;
const REFUSE_STALE_INCARNATION: u8 = 1;
const REFUSE_IN_USE: u8 = 2;
