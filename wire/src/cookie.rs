//! How the responder keeps no state: everything it must remember between HELLO2 and HELLO3 travels
//! to the initiator and back, sealed under a key that only this process knows.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;

use crate::handshake::{Ephemeral, IDENTITY_LEN, encode_identity, parse_identity};
use crate::ident::{Identity, NodeId};
use crate::keys::{Entropy, KeyId, Secret, expand};
use crate::packet::{Reader, TAG_LEN, cipher};

/// Bakes cookies and knows its own again. A new process has a new jar, hence refuses every cookie
/// of the one before.
pub(crate) struct CookieJar {
    cipher: XChaCha20Poly1305,
    secrets: Hkdf<Sha256>,
    last_number: u64,
}

/// What a cookie remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) transcript: [u8; 32],
    pub(crate) their_ephemeral: [u8; 32],
    pub(crate) their_identity: Identity,
    pub(crate) issued_us: u64,
    pub(crate) version: u8,
}

/// The number and salt of a cookie to come, and the responder's secrets that follow from them.
pub(crate) struct Ticket {
    /// Cookies are numbered from 1; a peer's session takes only a higher number than its last.
    pub(crate) number: u64,
    salt: [u8; SALT_LEN],
    pub(crate) nonce: [u8; 32],
    pub(crate) ephemeral: Ephemeral,
}

impl CookieJar {
    pub(crate) fn new(entropy: &mut dyn Entropy) -> Self {
        let mut seed = Secret::default();
        entropy.fill(seed.as_mut_slice());
        let secrets = Hkdf::<Sha256>::new(Some(b"mainstay v1 cookie jar"), seed.as_slice());
        Self {
            cipher: cipher(&expand(&secrets, b"cookie")),
            secrets,
            last_number: 0,
        }
    }

    pub(crate) fn ticket(&mut self, entropy: &mut dyn Entropy) -> Ticket {
        self.last_number += 1;
        let mut salt = [0; SALT_LEN];
        entropy.fill(&mut salt);
        self.ticket_of(self.last_number, salt)
    }

    /// Number of the last cookie baked.
    pub(crate) fn last_number(&self) -> u64 {
        self.last_number
    }

    fn ticket_of(&self, number: u64, salt: [u8; SALT_LEN]) -> Ticket {
        let name = cookie_nonce(number, &salt);
        let nonce = expand(&self.secrets, &[b"nonce ", name.as_slice()].concat());
        let secret = expand(&self.secrets, &[b"ephemeral ", name.as_slice()].concat());
        Ticket {
            number,
            salt,
            nonce: *nonce,
            ephemeral: Ephemeral::from_secret(&secret),
        }
    }

    pub(crate) fn bake(
        &self,
        ticket: &Ticket,
        peer: NodeId,
        key_id: KeyId,
        memory: &Memory,
    ) -> [u8; COOKIE_LEN] {
        let nonce = cookie_nonce(ticket.number, &ticket.salt);
        let mut cookie = [0; COOKIE_LEN];
        cookie[..24].copy_from_slice(&nonce);
        let body = &mut cookie[24..24 + MEMORY_LEN];
        body[..32].copy_from_slice(&memory.transcript);
        body[32..64].copy_from_slice(&memory.their_ephemeral);
        body[64..108].copy_from_slice(&encode_identity(&memory.their_identity));
        body[108..116].copy_from_slice(&memory.issued_us.to_be_bytes());
        body[116] = memory.version;
        let tag = self
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &cookie_aad(peer, key_id), body.into())
            .expect("a cookie is far below ChaCha20's limit of 256 GiB");
        cookie[24 + MEMORY_LEN..].copy_from_slice(&tag);
        cookie
    }

    /// The cookie's ticket and memory, if this jar baked it for this peer and key.
    pub(crate) fn open(
        &self,
        cookie: &[u8; COOKIE_LEN],
        peer: NodeId,
        key_id: KeyId,
    ) -> Option<(Ticket, Memory)> {
        let mut reader = Reader(cookie);
        let number = u64::from_be_bytes(reader.take()?);
        let salt = reader.take()?;
        let mut body: [u8; MEMORY_LEN] = reader.take()?;
        let tag: [u8; TAG_LEN] = reader.take()?;
        self.cipher
            .decrypt_inout_detached(
                &XNonce::from(cookie_nonce(number, &salt)),
                &cookie_aad(peer, key_id),
                body.as_mut_slice().into(),
                &Tag::from(tag),
            )
            .ok()?;
        let mut reader = Reader(&body);
        let memory = Memory {
            transcript: reader.take()?,
            their_ephemeral: reader.take()?,
            their_identity: parse_identity(&mut reader)?,
            issued_us: u64::from_be_bytes(reader.take()?),
            version: reader.take::<1>()?[0],
        };
        Some((self.ticket_of(number, salt), memory))
    }
}

fn cookie_nonce(number: u64, salt: &[u8; SALT_LEN]) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[8..].copy_from_slice(salt);
    nonce
}

fn cookie_aad(peer: NodeId, key_id: KeyId) -> [u8; 6] {
    let mut aad = [0; 6];
    aad[..4].copy_from_slice(&peer.0.to_be_bytes());
    aad[4..].copy_from_slice(&key_id.0);
    aad
}

const SALT_LEN: usize = 16;
const MEMORY_LEN: usize = 32 + 32 + IDENTITY_LEN + 8 + 1;
/// Bytes of a cookie.
pub(crate) const COOKIE_LEN: usize = 8 + SALT_LEN + MEMORY_LEN + TAG_LEN;
