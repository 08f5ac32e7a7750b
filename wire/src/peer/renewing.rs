//! When a session is replaced by another with the same process: by age, by packets, by key. The old
//! one is used until the new one is confirmed, so that no packet waits for it.

use super::{Context, Peer, Slot};
use crate::keys::{KeyId, KeyRing};
use crate::session::Session;

/// How long the keys of a session are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// Oldest session, in microseconds.
    pub age_us: u64,
    /// Most packets in one direction.
    pub packets: u64,
}

impl Renewal {
    /// An hour, or 2^40 packets: far below what the cipher bears.
    pub const DEFAULT: Self = Self {
        age_us: 3_600_000_000,
        packets: 1 << 40,
    };

    /// When a session that was born then is old. Up to an eighth earlier, so that the sessions of
    /// nodes started together are not all renewed at once.
    fn due_us(&self, session: &Session) -> u64 {
        let spread = u64::from(session.id % 1_024) * (self.age_us / 8) / 1_024;
        session.born_us.saturating_add(self.age_us - spread)
    }
}

impl Peer {
    /// When the session that this end opened is to be replaced; the other end sees to its own.
    pub(crate) fn renewal_us(&self, renewal: &Renewal) -> Option<u64> {
        let mine = self.mine.as_ref().filter(|_| self.attempt.is_none())?;
        match mine.packets() >= renewal.packets {
            true => Some(0),
            false => Some(renewal.due_us(mine)),
        }
    }

    /// Opens another session where the one that this end opened is used up.
    pub(crate) fn renew(&mut self, cx: &mut Context<'_>) {
        let renewal = cx.local.renewal;
        let used_up = |session: &Session| {
            renewal.due_us(session) <= cx.now_us || session.packets() >= renewal.packets
        };
        if self.attempt.is_none() && self.mine.as_ref().is_some_and(used_up) {
            self.start(cx, 0);
        }
    }

    /// Ends what rests on keys that the ring does not hold any more.
    pub(crate) fn keep_to(&mut self, ring: &KeyRing) {
        for slot in [Slot::Mine, Slot::Pending, Slot::Theirs, Slot::TheirsOld] {
            let session = self.slot(slot);
            if session
                .as_ref()
                .is_some_and(|s| ring.find(s.key_id).is_none())
            {
                *session = None;
            }
        }
        if self
            .attempt
            .as_ref()
            .is_some_and(|a| a.key_id != ring.active().id)
        {
            self.attempt = None;
        }
    }

    /// The key under which this end sends to the peer.
    pub(crate) fn key_in_use(&self, me: crate::NodeId) -> Option<KeyId> {
        let (first, second) = match me < self.id {
            true => (&self.mine, &self.theirs),
            false => (&self.theirs, &self.mine),
        };
        first.as_ref().or(second.as_ref()).map(|s| s.key_id)
    }
}
