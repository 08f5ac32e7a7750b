//! How a session is opened: when HELLOs are sent, what answers them, and when to try again.

use subtle::ConstantTimeEq;

use super::{Context, Peer, Renewal, refuse_stale};
use crate::cookie::{COOKIE_LEN, CookieJar, Memory};
use crate::endpoint::{Received, Transmit};
use crate::error::Reject;
use crate::handshake::{
    Ephemeral, HELLO_LEN, Hello, Refusal, SessionKeys, transcript1, transcript2,
};
use crate::keys::{Entropy, Key, KeyId};
use crate::packet::{Header, Kind, RELAY_LINK, Reader};
use crate::session::{Role, Session};

/// An opening under way.
pub(super) struct Attempt {
    ephemeral: Ephemeral,
    hello: [u8; HELLO_LEN],
    transcript: [u8; 32],
    pub(super) key_id: KeyId,
    stage: Stage,
    /// Rounds without an answer; sets the wait for the next.
    round: u32,
    sent_us: u64,
    next_us: u64,
}

enum Stage {
    /// HELLO1 is out.
    Opening,
    /// HELLO3 is out; `body` is its plaintext, `rounds_left` how often it is still repeated.
    Proving { body: Vec<u8>, rounds_left: u32 },
}

impl Attempt {
    /// Starts over at the slowest pace: only an administrator can help.
    pub(super) fn was_refused(&mut self) {
        self.stage = Stage::Proving {
            body: Vec::new(),
            rounds_left: 0,
        };
        self.round = RETRY_DOUBLINGS_MAX;
        self.next_us = self.sent_us.saturating_add(RETRY_MAX_US);
    }
}

impl Peer {
    pub(crate) fn next_timeout(&self, renewal: &Renewal) -> Option<u64> {
        let attempt = self.attempt.as_ref().map(|attempt| attempt.next_us);
        attempt.into_iter().chain(self.renewal_us(renewal)).min()
    }

    /// Starts to open a session, unless that is under way.
    pub(crate) fn connect(&mut self, cx: &mut Context<'_>) {
        if self.attempt.is_none() {
            self.start(cx, 0);
        }
    }

    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        self.renew(cx);
        let up = self.identity().is_some();
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        if attempt.next_us > cx.now_us {
            return;
        }
        match &mut attempt.stage {
            Stage::Proving { rounds_left: 0, .. } if up => self.attempt = None,
            Stage::Proving { rounds_left: 0, .. } => {
                let round = attempt.round;
                self.start(cx, round);
            }
            Stage::Proving { rounds_left, .. } => {
                *rounds_left -= 1;
                self.send_round(cx);
            }
            Stage::Opening => self.send_round(cx),
        }
    }

    /// A packet under a session not held here came in: perhaps the peer holds one that we lost.
    /// Such a packet proves nothing, so it only hastens what would be done anyway, rarely, and not
    /// at all while the peer is heard.
    pub(crate) fn kick(&mut self, cx: &mut Context<'_>) {
        let since = |then: Option<u64>| then.map_or(u64::MAX, |us| cx.now_us.saturating_sub(us));
        let heard = self.identity().is_some() && since(self.diagnosis.last_heard_us) < SILENCE_US;
        if heard || since(self.kicked_us) < KICK_INTERVAL_US {
            return;
        }
        match &self.attempt {
            None => self.start(cx, 0),
            Some(attempt)
                if matches!(attempt.stage, Stage::Opening)
                    && since(Some(attempt.sent_us)) >= KICK_INTERVAL_US =>
            {
                self.send_round(cx);
            }
            Some(_) => return,
        }
        self.kicked_us = Some(cx.now_us);
    }

    pub(super) fn start(&mut self, cx: &mut Context<'_>, round: u32) {
        let ephemeral = Ephemeral::draw(cx.entropy);
        let mut nonce = [0; 32];
        cx.entropy.fill(&mut nonce);
        let hello = cx.local.hello(nonce, &ephemeral).encode();
        let key_id = cx.local.ring.active().id;
        let transcript = transcript1(b"datagram", key_id, cx.local.me.node, self.id, &hello);
        self.attempt = Some(Attempt {
            ephemeral,
            hello,
            transcript,
            key_id,
            stage: Stage::Opening,
            round,
            sent_us: cx.now_us,
            next_us: cx.now_us,
        });
        self.send_round(cx);
    }

    /// Sends what the attempt is at on every link, and sets the time of the next round.
    fn send_round(&mut self, cx: &mut Context<'_>) {
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        let Some(key) = cx.local.ring.find(attempt.key_id) else {
            return;
        };
        let (kind, body) = match &attempt.stage {
            Stage::Opening => {
                self.diagnosis.hello_rounds += 1;
                let mut body = attempt.hello.to_vec();
                body.resize(HELLO1_BODY_LEN, 0);
                (Kind::Hello1, body)
            }
            Stage::Proving { body, .. } => (Kind::Hello3, body.clone()),
        };
        let relay = cx.local.relay.then_some(RELAY_LINK);
        for link in (0..cx.local.links).chain(relay) {
            cx.outbox.push(
                cx.local
                    .seal_hello(kind, self.id, link, key, &body, cx.entropy),
            );
        }
        attempt.sent_us = cx.now_us;
        attempt.next_us = cx
            .now_us
            .saturating_add(retry_wait_us(attempt.round, cx.entropy));
        attempt.round = attempt.round.saturating_add(1);
    }

    /// Answers a peer that wants to open a session, remembering nothing: this packet may be a
    /// replay, so it must change nothing.
    pub(crate) fn on_hello1(
        &mut self,
        cx: &mut Context<'_>,
        jar: &mut CookieJar,
        header: &Header,
        key: &Key,
        body: &[u8],
    ) -> Result<Received, Reject> {
        let theirs = Hello::parse(body, self.id, &cx.local.terms)?;
        let malformed = Reject::Malformed { src: self.id };
        if body.len() < HELLO1_BODY_LEN {
            return Err(malformed);
        }
        if !self.answers.take(cx.now_us) {
            return Err(Reject::RateLimited { src: self.id });
        }
        let version = cx
            .local
            .terms
            .versions
            .common(theirs.versions)
            .ok_or(malformed)?;
        let me = cx.local.me.node;
        let first = transcript1(b"datagram", key.id, self.id, me, &body[..HELLO_LEN]);
        let ticket = jar.ticket(cx.entropy);
        let ours = cx.local.hello(ticket.nonce, &ticket.ephemeral).encode();
        let memory = Memory {
            transcript: transcript2(&first, version, &ours),
            their_ephemeral: theirs.ephemeral,
            their_identity: theirs.identity,
            issued_us: cx.now_us,
            version,
        };
        let cookie = jar.bake(&ticket, self.id, key.id, &memory);
        let answer = [ours.as_slice(), &first, &cookie].concat();
        let link = header.link;
        cx.outbox.push(
            cx.local
                .seal_hello(Kind::Hello2, self.id, link, key, &answer, cx.entropy),
        );
        Ok(Received::Handled)
    }

    /// The peer answered with our own nonce in its transcript: it is alive and holds the key.
    pub(crate) fn on_hello2(
        &mut self,
        cx: &mut Context<'_>,
        key: &Key,
        body: &[u8],
    ) -> Result<Received, Reject> {
        let src = self.id;
        let theirs = Hello::parse(body, src, &cx.local.terms)?;
        let malformed = Reject::Malformed { src };
        let mut reader = Reader(body.get(HELLO_LEN..).ok_or(malformed)?);
        let first: [u8; 32] = reader.take().ok_or(malformed)?;
        let cookie: [u8; COOKIE_LEN] = reader.take().ok_or(malformed)?;
        let attempt = self
            .attempt
            .as_mut()
            .ok_or(Reject::StaleHandshake { src })?;
        if attempt.transcript != first || attempt.key_id != key.id {
            return Err(Reject::StaleHandshake { src });
        }
        if matches!(attempt.stage, Stage::Proving { .. }) {
            // The answer to the same HELLO1 on another link.
            return Ok(Received::Handled);
        }
        refuse_stale(self.known, theirs.identity)?;
        let version = cx
            .local
            .terms
            .versions
            .common(theirs.versions)
            .ok_or(malformed)?;
        let transcript = transcript2(&first, version, &body[..HELLO_LEN]);
        let keys = SessionKeys::derive(
            &key.session,
            &attempt.ephemeral,
            &theirs.ephemeral,
            &transcript,
        )
        .ok_or(malformed)?;
        let session = Session::new(
            &keys,
            Role::Initiator,
            key.id,
            version,
            theirs.identity,
            cx.now_us,
        );
        self.pending = Some(session);
        let head = cx.local.head.to_be_bytes();
        let body = [cookie.as_slice(), keys.proof.as_slice(), &head].concat();
        attempt.stage = Stage::Proving {
            body,
            rounds_left: PROOF_ROUNDS,
        };
        attempt.round = 0;
        self.send_round(cx);
        Ok(Received::Handled)
    }

    /// The peer brought our cookie back and proved that it holds the keys: the session is up.
    pub(crate) fn on_hello3(
        &mut self,
        cx: &mut Context<'_>,
        jar: &CookieJar,
        header: &Header,
        key: &Key,
        body: &[u8],
    ) -> Result<Received, Reject> {
        let src = self.id;
        let stale = Reject::StaleHandshake { src };
        let mut reader = Reader(body);
        let cookie: [u8; COOKIE_LEN] = reader.take().ok_or(Reject::Malformed { src })?;
        let proof: [u8; 32] = reader.take().ok_or(Reject::Malformed { src })?;
        let head = u64::from_be_bytes(reader.take().ok_or(Reject::Malformed { src })?);
        let (ticket, memory) = jar.open(&cookie, src, key.id).ok_or(stale)?;
        if ticket.number == self.cookie_floor {
            return self.repeat_confirm(cx, header.link).ok_or(stale);
        }
        let age_us = cx.now_us.saturating_sub(memory.issued_us);
        if ticket.number < self.cookie_floor || age_us > COOKIE_LIFE_US {
            return Err(stale);
        }
        let keys = SessionKeys::derive(
            &key.session,
            &ticket.ephemeral,
            &memory.their_ephemeral,
            &memory.transcript,
        )
        .ok_or(Reject::Malformed { src })?;
        if !bool::from(keys.proof.as_slice().ct_eq(&proof)) {
            return Err(Reject::BadTag { src });
        }
        self.cookie_floor = ticket.number;
        let identity = memory.their_identity;
        let mut session = Session::new(
            &keys,
            Role::Responder,
            key.id,
            memory.version,
            identity,
            cx.now_us,
        );
        if let Err(reject) = refuse_stale(self.known, identity) {
            self.send_refusal(cx, &mut session, header.link);
            return Err(reject);
        }
        let confirm = session.seal(
            Kind::Confirm,
            cx.local.me.node,
            header.link,
            &[],
            cx.entropy,
        );
        self.install_theirs(session, ticket.number);
        self.head = Some((identity, head));
        if let Some(datagram) = confirm {
            cx.outbox.push(Transmit {
                to: src,
                link: header.link,
                datagram,
            });
        }
        self.diagnosis.last_heard_us = Some(cx.now_us);
        let received = self.adopt(identity, header.link, None);
        if self.pending.is_none() {
            // What our own attempt was to bring is there.
            self.attempt = None;
        }
        Ok(received)
    }

    fn send_refusal(&mut self, cx: &mut Context<'_>, session: &mut Session, link: u8) {
        let Some(known) = self.known else { return };
        let known = known.incarnation;
        let heard_us = self.diagnosis.last_heard_us;
        let alive = heard_us.is_some_and(|at| cx.now_us.saturating_sub(at) < ALIVE_US);
        let body = match alive {
            true => Refusal::InUse { known },
            false => Refusal::StaleIncarnation { known },
        }
        .encode();
        let me = cx.local.me.node;
        if let Some(datagram) = session.seal(Kind::Refuse, me, link, &body, cx.entropy) {
            cx.outbox.push(Transmit {
                to: self.id,
                link,
                datagram,
            });
        }
    }

    /// HELLO3 came again: CONFIRM may have been lost. Once the peer has spoken under the session
    /// it knows, and a repetition is a replay.
    fn repeat_confirm(&mut self, cx: &mut Context<'_>, link: u8) -> Option<Received> {
        if self.theirs_number != self.cookie_floor {
            return None;
        }
        let session = self.theirs.as_mut().filter(|session| !session.heard)?;
        let datagram = session.seal(Kind::Confirm, cx.local.me.node, link, &[], cx.entropy)?;
        cx.outbox.push(Transmit {
            to: self.id,
            link,
            datagram,
        });
        Some(Received::Handled)
    }

    /// The session before stays until the peer speaks under the new one: it may not know yet.
    fn install_theirs(&mut self, session: Session, number: u64) {
        let before = self.theirs.replace(session);
        if before.as_ref().is_some_and(|before| before.heard) {
            self.theirs_old = before;
        }
        self.theirs_number = number;
    }
}

/// Doubling from [`RETRY_FIRST_US`] to [`RETRY_MAX_US`], up to a quarter earlier or later so that
/// nodes started together do not stay in step.
fn retry_wait_us(round: u32, entropy: &mut dyn Entropy) -> u64 {
    let doublings = round.min(RETRY_DOUBLINGS_MAX);
    let wait = (RETRY_FIRST_US << doublings).min(RETRY_MAX_US);
    let mut random = [0; 2];
    entropy.fill(&mut random);
    wait * 3 / 4 + wait / 2 * u64::from(u16::from_be_bytes(random)) / u64::from(u16::MAX)
}

/// Tokens for answering HELLO1: an answer costs an X25519 multiplication.
pub(super) struct Bucket {
    tokens: u64,
    filled_us: u64,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            tokens: ANSWERS_BURST,
            filled_us: 0,
        }
    }
}

impl Bucket {
    fn take(&mut self, now_us: u64) -> bool {
        let earned = now_us.saturating_sub(self.filled_us) / ANSWER_INTERVAL_US;
        self.tokens = self.tokens.saturating_add(earned).min(ANSWERS_BURST);
        self.filled_us += earned * ANSWER_INTERVAL_US;
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }
}

/// Bytes of HELLO2's plaintext: what the responder says of itself, hash of HELLO1, cookie.
pub(crate) const HELLO2_BODY_LEN: usize = HELLO_LEN + 32 + COOKIE_LEN;
/// Bytes of HELLO1's plaintext: padded, so that no answer is longer than its question.
pub(crate) const HELLO1_BODY_LEN: usize = HELLO2_BODY_LEN;
/// Bytes of HELLO3's plaintext: cookie, proof and durable head.
#[cfg(test)]
pub(crate) const HELLO3_BODY_LEN: usize = COOKIE_LEN + 32 + 8;
/// Wait after the first HELLO, in microseconds.
const RETRY_FIRST_US: u64 = 50_000;
/// Longest wait between two HELLOs, in microseconds.
const RETRY_MAX_US: u64 = 1_000_000;
const RETRY_DOUBLINGS_MAX: u32 = 5;
/// How often HELLO3 is repeated before the attempt starts over.
const PROOF_ROUNDS: u32 = 3;
/// How long a cookie is good, in microseconds.
const COOKIE_LIFE_US: u64 = 10_000_000;
/// A peer not heard for this long may have lost our session, in microseconds.
const SILENCE_US: u64 = 200_000;
/// A process that spoke within this time, in microseconds, counts as alive when another one claims
/// its node.
const ALIVE_US: u64 = 2_000_000;
/// Shortest time between two openings hastened by packets of unknown sessions, in microseconds.
const KICK_INTERVAL_US: u64 = 50_000;
/// HELLO1s of one peer answered at once.
const ANSWERS_BURST: u64 = 64;
/// One more answer is earned in this time, in microseconds.
const ANSWER_INTERVAL_US: u64 = 1_000;
