//! One pair of nodes: its sessions, the attempt to open one, and what is known of the other side.
//!
//! Either side may open a session, both may at once. Each direction of opening has its own place
//! (`mine`, `theirs`), and only the initiator decides when its place is filled anew; so two
//! simultaneous handshakes cannot undo one another. Both ends send under the session that the node
//! with the lower id opened, if there is one.

mod opening;
mod renewing;

use std::collections::VecDeque;

use self::opening::{Attempt, Bucket};
pub use self::renewing::Renewal;
use crate::diagnosis::{Diagnosis, PeerState};
use crate::endpoint::{Received, Transmit};
use crate::error::Reject;
use crate::handshake::{Ephemeral, Hello, Refusal, Terms};
use crate::ident::{Identity, NodeId};
use crate::keys::{Entropy, Key, KeyRing};
use crate::packet::{Header, Kind, SealKey};
use crate::session::Session;

#[cfg(test)]
pub(crate) use self::opening::{HELLO1_BODY_LEN, HELLO2_BODY_LEN, HELLO3_BODY_LEN};

/// What all peers share: who we are and what we hold.
pub(crate) struct Local {
    pub(crate) me: Identity,
    pub(crate) ring: KeyRing,
    pub(crate) links: u8,
    pub(crate) terms: Terms,
    /// What our disk holds: see [`crate::Endpoint::set_head`].
    pub(crate) head: u64,
    pub(crate) renewal: Renewal,
    /// Third nodes may pass packets on.
    pub(crate) relay: bool,
}

impl Local {
    fn hello(&self, nonce: [u8; 32], ephemeral: &Ephemeral) -> Hello {
        self.terms.hello(self.me, nonce, ephemeral)
    }

    fn seal_hello(
        &self,
        kind: Kind,
        to: NodeId,
        link: u8,
        key: &Key,
        body: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Transmit {
        let ends = (self.me.node, to);
        let header = Header::hello(kind, self.terms.versions.min, key.id, ends, link);
        let datagram = SealKey::new(&key.hello).seal(header, body, entropy);
        Transmit { to, link, datagram }
    }
}

/// Handshake packets waiting to be sent; the oldest give way when the caller does not fetch them.
#[derive(Default)]
pub(crate) struct Outbox(VecDeque<Transmit>);

impl Outbox {
    fn push(&mut self, transmit: Transmit) {
        if self.0.len() >= OUTBOX_DATAGRAMS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(transmit);
    }

    pub(crate) fn pop(&mut self) -> Option<Transmit> {
        self.0.pop_front()
    }
}

/// What a step needs from outside.
pub(crate) struct Context<'a> {
    pub(crate) now_us: u64,
    pub(crate) local: &'a Local,
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) entropy: &'a mut dyn Entropy,
}

/// The conversation with one other node.
pub(crate) struct Peer {
    id: NodeId,
    /// Opened by us and confirmed.
    mine: Option<Session>,
    /// Opened by us; the proof is sent, no packet has come back under it.
    pending: Option<Session>,
    /// Opened by the peer, which has proven that it holds it.
    theirs: Option<Session>,
    /// The one before `theirs`, until the peer speaks under `theirs`.
    theirs_old: Option<Session>,
    /// Number of the cookie that `theirs` came from.
    theirs_number: u64,
    /// Number of the newest cookie that came back; only a newer one is taken.
    cookie_floor: u64,
    /// Newest process known, proven by a handshake or learned from the log.
    known: Option<Identity>,
    /// The process last reported as established.
    announced: Option<Identity>,
    /// What a process said of its disk when it opened a session (R8).
    head: Option<(Identity, u64)>,
    attempt: Option<Attempt>,
    answers: Bucket,
    kicked_us: Option<u64>,
    pub(crate) diagnosis: Diagnosis,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Mine,
    Pending,
    Theirs,
    TheirsOld,
}

impl Peer {
    /// `cookies` is the number of the last cookie baked: one given to the node before it left the
    /// node list and came back is spent.
    pub(crate) fn new(id: NodeId, cookies: u64) -> Self {
        Self {
            id,
            mine: None,
            pending: None,
            theirs: None,
            theirs_old: None,
            theirs_number: 0,
            cookie_floor: cookies,
            known: None,
            announced: None,
            head: None,
            attempt: None,
            answers: Bucket::default(),
            kicked_us: None,
            diagnosis: Diagnosis::default(),
        }
    }

    /// The process a session is up with.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.mine
            .as_ref()
            .or(self.theirs.as_ref())
            .map(|session| session.peer)
    }

    /// Where the log of the process that a session is up with ended on its disk, as it said itself
    /// when it opened one.
    pub(crate) fn head(&self) -> Option<u64> {
        let (of, head) = self.head?;
        (self.identity() == Some(of)).then_some(head)
    }

    /// The session to send under.
    pub(crate) fn sending(&mut self, me: NodeId) -> Option<&mut Session> {
        if me < self.id {
            self.mine.as_mut().or(self.theirs.as_mut())
        } else {
            self.theirs.as_mut().or(self.mine.as_mut())
        }
    }

    /// The log knows a process; if it is newer than the one known here, that one is gone.
    pub(crate) fn learn(&mut self, identity: Identity) {
        if self
            .known
            .is_none_or(|known| known.incarnation < identity.incarnation)
        {
            self.known = Some(identity);
            self.drop_others(identity);
        }
    }

    pub(crate) fn diagnosis(&self) -> Diagnosis {
        let up = self.identity();
        let state = match (&up, &self.attempt) {
            (Some(_), _) => PeerState::Up,
            (None, Some(_)) => PeerState::Connecting,
            (None, None) => PeerState::Idle,
        };
        let trouble = self.diagnosis.trouble.filter(|_| up.is_none());
        Diagnosis {
            state,
            identity: up.or(self.known),
            trouble,
            evidence: self.diagnosis.trouble,
            ..self.diagnosis.clone()
        }
    }

    /// A packet under a session: opens it and takes note of what its arrival proves.
    pub(crate) fn on_sealed(
        &mut self,
        cx: &mut Context<'_>,
        header: &Header,
        packet: &[u8],
    ) -> Result<Received, Reject> {
        let src = self.id;
        let unknown = Reject::UnknownSession {
            src,
            session: header.session,
        };
        let slot = self.slot_of(header.session).ok_or(unknown)?;
        let session = self.slot(slot).as_mut().ok_or(unknown)?;
        let plaintext = session.open(header, packet)?;
        let identity = session.peer;
        self.diagnosis.last_heard_us = Some(cx.now_us);
        if header.kind == Kind::Refuse {
            return Err(self.on_refusal(slot, &plaintext));
        }
        match slot {
            Slot::Pending => {
                // The log may have taught us of a newer process since HELLO2.
                if let Err(reject) = refuse_stale(self.known, identity) {
                    self.pending = None;
                    return Err(reject);
                }
                self.mine = self.pending.take();
                self.attempt = None;
            }
            Slot::Theirs => self.theirs_old = None,
            Slot::Mine | Slot::TheirsOld => {}
        }
        let payload = (header.kind == Kind::Data).then_some(plaintext);
        Ok(self.adopt(identity, header.link, payload))
    }

    fn slot_of(&self, id: u32) -> Option<Slot> {
        [
            (Slot::Mine, &self.mine),
            (Slot::Theirs, &self.theirs),
            (Slot::Pending, &self.pending),
            (Slot::TheirsOld, &self.theirs_old),
        ]
        .into_iter()
        .find(|(_, session)| session.as_ref().is_some_and(|session| session.id == id))
        .map(|(slot, _)| slot)
    }

    fn slot(&mut self, slot: Slot) -> &mut Option<Session> {
        match slot {
            Slot::Mine => &mut self.mine,
            Slot::Pending => &mut self.pending,
            Slot::Theirs => &mut self.theirs,
            Slot::TheirsOld => &mut self.theirs_old,
        }
    }

    /// Only the answer to our proof may be a refusal. The attempt goes on, at its slowest pace.
    fn on_refusal(&mut self, slot: Slot, body: &[u8]) -> Reject {
        let Some(refusal) = Refusal::parse(body).filter(|_| slot == Slot::Pending) else {
            return Reject::Malformed { src: self.id };
        };
        self.pending = None;
        if let Some(attempt) = &mut self.attempt {
            attempt.was_refused();
        }
        Reject::RefusedByPeer {
            peer: self.id,
            refusal,
        }
    }

    /// Ends the sessions with every other process of the node.
    fn drop_others(&mut self, identity: Identity) {
        for slot in [Slot::Mine, Slot::Pending, Slot::Theirs, Slot::TheirsOld] {
            let session = self.slot(slot);
            if session
                .as_ref()
                .is_some_and(|session| session.peer != identity)
            {
                *session = None;
            }
        }
    }

    /// A fresh packet of `identity` is in hand, so every other process of that node is gone, and
    /// with it what was sealed with it.
    fn adopt(&mut self, identity: Identity, link: u8, payload: Option<Vec<u8>>) -> Received {
        self.drop_others(identity);
        self.known = Some(identity);
        self.diagnosis.trouble = None;
        if self.announced.replace(identity) != Some(identity) {
            return Received::Established {
                peer: identity,
                link,
                payload,
            };
        }
        match payload {
            Some(bytes) => Received::Payload {
                from: identity,
                link,
                bytes,
            },
            None => Received::Handled,
        }
    }
}

/// R8: of two processes of one node the one with the higher incarnation is the newer; one that is
/// not newer than the known one is a clone or ran on a store that was rolled back.
fn refuse_stale(known: Option<Identity>, offered: Identity) -> Result<(), Reject> {
    match known {
        Some(known) if known.process_boot == offered.process_boot => {
            if known == offered {
                Ok(())
            } else {
                Err(Reject::StaleIncarnation { known, offered })
            }
        }
        Some(known) if offered.incarnation <= known.incarnation => {
            Err(Reject::StaleIncarnation { known, offered })
        }
        _ => Ok(()),
    }
}

/// Handshake datagrams that wait to be fetched.
const OUTBOX_DATAGRAMS_MAX: usize = 4096;
