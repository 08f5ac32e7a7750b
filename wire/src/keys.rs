//! From the authkey to the keys: the root of all trust in the cluster.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{Tag, XNonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::packet::{TAG_LEN, cipher};

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

/// The keys a node accepts, and the one it opens sessions with. Wiped when dropped.
///
/// A rotation (R18) adds the new key, uses it, and drops the old one: [`Self::with`],
/// [`Self::using`], [`Self::without`], each on every node before the next.
#[derive(Clone)]
pub struct KeyRing {
    /// The one in use first; never empty.
    keys: Vec<Key>,
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
        Ok(Self { keys, cluster_tag })
    }

    /// Names of the keys accepted, the one in use first; at most [`KEYS_MAX`].
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.keys.iter().map(|key| key.id).collect()
    }

    /// Names an authkey as every ring would.
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn id_of(authkey: &[u8]) -> Result<KeyId, KeyError> {
        Ok(Self::derive(authkey, "")?.active().id)
    }

    /// The ring that accepts another authkey, too. It holds at most [`KEYS_MAX`]: of the keys not in
    /// use the oldest goes.
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn with(mut self, authkey: &[u8], cluster_name: &str) -> Result<Self, KeyError> {
        let key = Self::derive(authkey, cluster_name)?.keys.swap_remove(0);
        if self.find(key.id).is_none() {
            if self.keys.len() >= KEYS_MAX {
                self.keys.remove(1);
            }
            self.keys.push(key);
        }
        Ok(self)
    }

    /// The ring that opens sessions with the key of this name, if it holds it.
    #[must_use]
    pub fn using(mut self, id: KeyId) -> Self {
        if let Some(at) = self.keys.iter().position(|key| key.id == id) {
            self.keys[..=at].rotate_right(1);
        }
        self
    }

    /// The ring that refuses the key of this name, unless it is the one in use.
    #[must_use]
    pub fn without(mut self, id: KeyId) -> Self {
        let in_use = self.active().id;
        self.keys.retain(|key| key.id == in_use || key.id != id);
        self
    }

    /// A new authkey sealed under the key in use, to be told to the other nodes: it never lies in
    /// clear anywhere but in their authkey files.
    pub fn wrap(&self, authkey: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
        let mut nonce = [0; WRAP_NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = [nonce.as_slice(), authkey].concat();
        let key = self.active();
        let tag = cipher(&key.wrap)
            .encrypt_inout_detached(
                &XNonce::from(nonce),
                &key.id.0,
                (&mut sealed[WRAP_NONCE_LEN..]).into(),
            )
            .expect("an authkey is far below the cipher's limit");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// An authkey that was sealed under the key of that name; `None` if the ring does not hold that
    /// key, or the bytes are not what [`Self::wrap`] made under it.
    pub fn unwrap(&self, under: KeyId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let key = self.find(under)?;
        let (nonce, rest) = sealed.split_first_chunk::<WRAP_NONCE_LEN>()?;
        let (body, tag) = rest.split_last_chunk::<TAG_LEN>()?;
        let mut authkey = Zeroizing::new(body.to_vec());
        cipher(&key.wrap)
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                &under.0,
                authkey.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .ok()?;
        Some(authkey)
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
    /// Seals the authkey that follows this one.
    wrap: Secret,
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
            wrap: expand(&root, b"next authkey"),
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
/// Random bytes before a sealed authkey.
const WRAP_NONCE_LEN: usize = 24;
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

    struct Counting(u8);
    impl Entropy for Counting {
        fn fill(&mut self, buf: &mut [u8]) {
            buf.fill(self.0);
            self.0 += 1;
        }
    }

    #[test]
    fn a_rotation_adds_uses_and_drops() {
        let (old, new) = ([7; 32], [8; 48]);
        let (old_id, new_id) = (KeyRing::id_of(&old).unwrap(), KeyRing::id_of(&new).unwrap());
        let ring = KeyRing::derive(&old, "c").unwrap();
        let added = ring.clone().with(&new, "c").unwrap();
        assert_eq!(added.key_ids(), [old_id, new_id]);
        assert_eq!(added.clone().with(&new, "c").unwrap().key_ids().len(), 2);
        let used = added.clone().using(new_id);
        assert_eq!(used.key_ids(), [new_id, old_id]);
        assert_eq!(added.without(old_id).key_ids(), [old_id, new_id]);
        let dropped = used.without(old_id);
        assert_eq!(dropped.key_ids(), [new_id]);
        assert!(dropped.find(old_id).is_none());
    }

    #[test]
    fn the_next_key_is_read_by_who_has_this_one() {
        let ring = KeyRing::derive(&[7; 32], "c").unwrap();
        let (id, next) = (ring.active().id, [9; 256]);
        let sealed = ring.wrap(&next, &mut Counting(1));
        assert!(!sealed.windows(8).any(|w| w == [9; 8]));
        assert_eq!(ring.unwrap(id, &sealed).unwrap().as_slice(), next);
        let other = KeyRing::derive(&[8; 32], "c").unwrap();
        assert!(other.unwrap(id, &sealed).is_none());
        assert!(other.unwrap(other.active().id, &sealed).is_none());
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(ring.unwrap(id, &bent).is_none(), "byte {at}");
        }
        assert!(ring.unwrap(id, &sealed[..30]).is_none());
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
            &key.wrap,
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(
                all[i + 1..].iter().all(|other| ***other != ***one),
                "key {i} is used twice"
            );
        }
    }
}
