//! One session: a key per direction, the numbers given out and the numbers seen.

use crate::error::Reject;
use crate::handshake::SessionKeys;
use crate::ident::{Identity, NodeId};
use crate::keys::{Entropy, KeyId};
use crate::packet::{Header, Kind, OpenKey, SealKey};

/// The traffic keys of one handshake, from one side's point of view.
pub(crate) struct Session {
    pub(crate) id: u32,
    pub(crate) key_id: KeyId,
    pub(crate) version: u8,
    /// The process at the other end.
    pub(crate) peer: Identity,
    /// An authentic packet has come in under this session.
    pub(crate) heard: bool,
    /// When its keys were made, on the caller's clock in microseconds.
    pub(crate) born_us: u64,
    seal: SealKey,
    open: OpenKey,
    sealed: u64,
    window: ReplayWindow,
}

/// Which side of the handshake a session belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Initiator,
    Responder,
}

impl Session {
    pub(crate) fn new(
        keys: &SessionKeys,
        role: Role,
        key_id: KeyId,
        version: u8,
        peer: Identity,
        born_us: u64,
    ) -> Self {
        let (out, inward) = match role {
            Role::Initiator => (&keys.from_initiator, &keys.from_responder),
            Role::Responder => (&keys.from_responder, &keys.from_initiator),
        };
        Self {
            id: keys.id,
            key_id,
            version,
            peer,
            heard: false,
            born_us,
            seal: SealKey::new(out),
            open: OpenKey::new(&inward.cipher),
            sealed: 0,
            window: ReplayWindow::default(),
        }
    }

    /// Packets sealed or seen in the busier direction.
    pub(crate) fn packets(&self) -> u64 {
        self.sealed.max(self.window.highest)
    }

    /// A packet under the next number, or `None` once all numbers are given out.
    pub(crate) fn seal(
        &mut self,
        kind: Kind,
        src: NodeId,
        link: u8,
        plaintext: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Option<Vec<u8>> {
        if self.sealed >= SESSION_PACKETS_MAX {
            return None;
        }
        self.sealed += 1;
        let header = Header {
            version: self.version,
            kind,
            key_id: self.key_id,
            src,
            dst: self.peer.node,
            link,
            flags: 0,
            session: self.id,
            counter: self.sealed,
            random: Default::default(),
        };
        Some(self.seal.seal(header, plaintext, entropy))
    }

    /// Window first (cheap), then the cipher, and only an authentic packet marks its number.
    pub(crate) fn open(&mut self, header: &Header, packet: &[u8]) -> Result<Vec<u8>, Reject> {
        let src = header.src;
        if header.version != self.version {
            return Err(Reject::BadVersion {
                version: header.version,
            });
        }
        if header.key_id != self.key_id {
            return Err(Reject::UnknownKey {
                src,
                key_id: header.key_id,
            });
        }
        if !self.window.is_new(header.counter) {
            return Err(Reject::Replayed {
                src,
                counter: header.counter,
            });
        }
        let plaintext = self.open.open(header, packet)?;
        self.window.mark(header.counter);
        self.heard = true;
        Ok(plaintext)
    }

    #[cfg(test)]
    pub(crate) fn exhaust(&mut self) {
        self.sealed = SESSION_PACKETS_MAX;
    }
}

/// Which packet numbers have been seen: a ring of bits that moves with the highest one, as RFC 6479
/// does it (whole words are cleared as the window advances, nothing is shifted).
#[derive(Clone, Debug)]
pub(crate) struct ReplayWindow {
    highest: u64,
    words: [u64; WINDOW_WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self {
            highest: 0,
            words: [0; WINDOW_WORDS],
        }
    }
}

impl ReplayWindow {
    /// Neither seen nor too old. Number 0 is never given out.
    pub(crate) fn is_new(&self, number: u64) -> bool {
        if number == 0 {
            return false;
        }
        if number > self.highest {
            return true;
        }
        if self.highest - number >= REPLAY_WINDOW_PACKETS {
            return false;
        }
        self.words[word_of(number)] & bit_of(number) == 0
    }

    /// Notes a number for which [`Self::is_new`] held and whose packet was authentic.
    pub(crate) fn mark(&mut self, number: u64) {
        if number > self.highest {
            let (old, new) = (self.highest / u64::BITS as u64, number / u64::BITS as u64);
            for word in (old + 1..=new).take(WINDOW_WORDS) {
                self.words[(word % WINDOW_WORDS as u64) as usize] = 0;
            }
            if new - old > WINDOW_WORDS as u64 {
                self.words = [0; WINDOW_WORDS];
            }
            self.highest = number;
        }
        self.words[word_of(number)] |= bit_of(number);
    }
}

fn word_of(number: u64) -> usize {
    (number / u64::BITS as u64 % WINDOW_WORDS as u64) as usize
}

fn bit_of(number: u64) -> u64 {
    1 << (number % u64::BITS as u64)
}

/// How far behind the newest packet of its session and direction a packet may arrive.
pub const REPLAY_WINDOW_PACKETS: u64 = 2048;
/// One word more than the window, so that a word being filled is never one still looked at.
const WINDOW_WORDS: usize = REPLAY_WINDOW_PACKETS as usize / u64::BITS as usize + 1;
/// Packets a session seals in one direction; at 10,000 a second, three years.
pub(crate) const SESSION_PACKETS_MAX: u64 = 1 << 40;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn window_edges() {
        let mut window = ReplayWindow::default();
        assert!(!window.is_new(0));
        window.mark(5000);
        assert!(!window.is_new(5000));
        assert!(window.is_new(5000 - REPLAY_WINDOW_PACKETS + 1));
        assert!(!window.is_new(5000 - REPLAY_WINDOW_PACKETS));
        assert!(window.is_new(u64::MAX));
        window.mark(u64::MAX);
        assert!(window.is_new(u64::MAX - 1));
        assert!(!window.is_new(5001));
    }

    proptest! {
        /// Against the plain definition: a set of all numbers seen.
        #[test]
        fn window_is_the_set_within_reach(steps in prop::collection::vec(
            prop_oneof![8 => -2100i64..80, 1 => 1i64..9000], 1..400)
        ) {
            let mut window = ReplayWindow::default();
            let mut seen = BTreeSet::new();
            for step in steps {
                let highest = seen.last().copied().unwrap_or(0u64);
                let number = highest.saturating_add_signed(step);
                let new = number != 0
                    && !seen.contains(&number)
                    && number.saturating_add(REPLAY_WINDOW_PACKETS) > highest;
                prop_assert_eq!(window.is_new(number), new, "number {}", number);
                if new {
                    window.mark(number);
                    seen.insert(number);
                }
            }
        }
    }
}
