//! From the authkey to the keys: the root of all trust in the cluster.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::KeyError;

/// A source of unpredictable bytes: getrandom(2) in the daemon, a seeded generator in tests.
pub trait Entropy {
    /// Fills `buf` completely.
    fn fill(&mut self, buf: &mut [u8]);
}

/// Two bytes that name a key without telling it: which authkey a packet was sealed under.
/// It depends on the authkey alone, so that a wrong cluster_name is not taken for a wrong key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 2]);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02x}{:02x}", self.0[0], self.0[1])
    }
}

/// Where the ring stands in a key rotation. Rotation (log entries ADD, USE, DROP; R18) is not
/// built yet: a ring is always [`Phase::Steady`] and holds one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// One key, used for everything.
    Steady,
}

/// The keys a node accepts, and the one it opens sessions with. Wiped when dropped.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<Key>,
    phase: Phase,
    cluster_tag: [u8; CLUSTER_TAG_LEN],
}

impl KeyRing {
    /// Keys of a cluster: HKDF-SHA256 with the authkey as input and `"mainstay v1" || cluster_name`
    /// as salt. An authkey of corosync-keygen(8) (128 to 4096 bytes) and a native one of 32 bytes
    /// are taken alike.
    ///
    /// # Errors
    /// [`KeyError::Length`] if the authkey is not [`AUTHKEY_LEN_MIN`]`..=`[`AUTHKEY_LEN_MAX`] bytes.
    pub fn derive(authkey: &[u8], cluster_name: &str) -> Result<Self, KeyError> {
        if !(AUTHKEY_LEN_MIN..=AUTHKEY_LEN_MAX).contains(&authkey.len()) {
            return Err(KeyError::Length { got: authkey.len() });
        }
        let tag = Sha256::new()
            .chain_update(b"mainstay v1 cluster_name")
            .chain_update(cluster_name.as_bytes())
            .finalize();
        let mut cluster_tag = [0; CLUSTER_TAG_LEN];
        cluster_tag.copy_from_slice(&tag[..CLUSTER_TAG_LEN]);
        let mut keys = Vec::with_capacity(KEYS_MAX);
        keys.push(Key::derive(authkey, cluster_name));
        Ok(Self {
            keys,
            phase: Phase::Steady,
            cluster_tag,
        })
    }

    /// Names of the keys accepted, the one in use first; at most [`KEYS_MAX`].
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.keys.iter().map(|key| key.id).collect()
    }

    /// Where the ring stands in a rotation.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The key that new sessions are opened with.
    pub(crate) fn active(&self) -> &Key {
        &self.keys[0]
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    pub(crate) fn cluster_tag(&self) -> [u8; CLUSTER_TAG_LEN] {
        self.cluster_tag
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing")
            .field("key_ids", &self.key_ids())
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

/// What one authkey yields: a key per purpose, so that no packet of one kind opens as another.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    /// Seals HELLO packets.
    pub(crate) hello: SecretPair,
    /// Mixed into every datagram session.
    pub(crate) session: Secret,
    /// Seals the opening packets of streams.
    pub(crate) stream_hello: SecretPair,
    /// Mixed into every stream session.
    pub(crate) stream: Secret,
}

/// 32 secret bytes, wiped when dropped.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// A cipher key and the key that hedges its nonces (R18).
#[derive(Clone)]
pub(crate) struct SecretPair {
    pub(crate) cipher: Secret,
    pub(crate) hedge: Secret,
}

impl Key {
    fn derive(authkey: &[u8], cluster_name: &str) -> Self {
        let mut salt = b"mainstay v1".to_vec();
        salt.extend_from_slice(cluster_name.as_bytes());
        let root = Hkdf::<Sha256>::new(Some(&salt), authkey);
        let naming = Hkdf::<Sha256>::new(Some(b"mainstay v1 key id"), authkey);
        let id = expand(&naming, b"id");
        Self {
            id: KeyId([id[0], id[1]]),
            hello: expand_pair(&root, b"hello"),
            session: expand(&root, b"session"),
            stream_hello: expand_pair(&root, b"stream hello"),
            stream: expand(&root, b"stream session"),
        }
    }
}

/// One key for one purpose.
pub(crate) fn expand(prk: &Hkdf<Sha256>, label: &[u8]) -> Secret {
    let mut out = Zeroizing::new([0; 32]);
    prk.expand_multi_info(&[b"mainstay v1 ", label], out.as_mut_slice())
        .expect("32 bytes are within HKDF-SHA256's limit of 8160");
    out
}

/// A cipher key and its hedge key for one purpose.
pub(crate) fn expand_pair(prk: &Hkdf<Sha256>, label: &[u8]) -> SecretPair {
    let hedge_label = [label, b" hedge"].concat();
    SecretPair {
        cipher: expand(prk, label),
        hedge: expand(prk, &hedge_label),
    }
}

/// Bytes of the cluster name's hash in a HELLO.
pub(crate) const CLUSTER_TAG_LEN: usize = 8;
/// Shortest authkey accepted, in bytes.
pub const AUTHKEY_LEN_MIN: usize = 32;
/// Longest authkey accepted, in bytes (corosync-keygen(8)).
pub const AUTHKEY_LEN_MAX: usize = 4096;
/// Keys a ring may hold: in use, coming, going.
pub const KEYS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_checked() {
        for (len, fine) in [
            (0, false),
            (31, false),
            (32, true),
            (4096, true),
            (4097, false),
        ] {
            assert_eq!(KeyRing::derive(&vec![7; len], "c").is_ok(), fine, "{len}");
        }
    }

    #[test]
    fn name_changes_keys_but_not_the_key_id() {
        let (a, b) = (Key::derive(&[7; 32], "a"), Key::derive(&[7; 32], "b"));
        assert_eq!(a.id, b.id);
        assert_ne!(*a.session, *b.session);
        assert_ne!(*a.hello.cipher, *b.hello.cipher);
        assert_ne!(Key::derive(&[8; 32], "a").id, a.id);
    }

    #[test]
    fn every_purpose_has_its_own_key() {
        let key = Key::derive(&[7; 32], "a");
        let all = [
            &key.hello.cipher,
            &key.hello.hedge,
            &key.session,
            &key.stream_hello.cipher,
            &key.stream_hello.hedge,
            &key.stream,
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(
                all[i + 1..].iter().all(|other| ***other != ***one),
                "key {i} is used twice"
            );
        }
    }
}
