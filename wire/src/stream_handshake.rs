//! Opening a stream: the datagrams' handshake without cookie and repetition, under keys of its own.

use std::collections::VecDeque;

use subtle::ConstantTimeEq;

use crate::error::{Reject, StreamError};
use crate::handshake::{
    Ephemeral, HELLO_LEN, Hello, SessionKeys, Terms, VersionRange, transcript1, transcript2,
};
use crate::ident::{Identity, NodeId};
use crate::keys::{Entropy, Key, KeyId, KeyRing, Secret};
use crate::packet::{Header, Kind, OVERHEAD_LEN, OpenKey, SealKey};
use crate::stream::{StreamOpener, StreamSealer};

/// Opens one stream. Feed it what arrives, send what [`Self::poll_transmit`] gives, until
/// [`Self::push`] returns the session; then send the rest once more.
///
/// Whoever accepts must close the connection if no session is there after
/// [`STREAM_HANDSHAKE_TIMEOUT_US`], and before trusting [`StreamSession::peer`] compare it with
/// [`crate::Endpoint::identity`]: a stream knows of no other process of the same node.
pub struct StreamHandshake {
    me: Identity,
    ring: KeyRing,
    terms: Terms,
    state: State,
    inbox: Vec<u8>,
    outbox: VecDeque<Vec<u8>>,
}

/// A stream that is open in both directions.
#[derive(Debug)]
pub struct StreamSession {
    /// The process at the other end.
    pub peer: Identity,
    /// Seals what is sent.
    pub sealer: StreamSealer,
    /// Opens what is received; bytes that came after the handshake are in it already.
    pub opener: StreamOpener,
}

enum State {
    /// Initiator: HELLO1 sent.
    Opening {
        peer: NodeId,
        ephemeral: Ephemeral,
        transcript: [u8; 32],
        key_id: KeyId,
    },
    /// Initiator: HELLO3 sent.
    Proving { session: StreamSession },
    /// Responder: nothing received.
    Accepting { peers: Vec<NodeId> },
    /// Responder: HELLO2 sent.
    Answered {
        peer: Identity,
        key_id: KeyId,
        keys: Box<SessionKeys>,
    },
    /// Session handed out, or failed.
    Over,
}

impl StreamHandshake {
    /// The calling end, to `peer`. HELLO1 is ready to be fetched.
    pub fn connect(me: Identity, ring: &KeyRing, peer: NodeId, entropy: &mut dyn Entropy) -> Self {
        let ephemeral = Ephemeral::draw(entropy);
        let mut this = Self::new(me, ring, State::Over);
        let hello = this.hello(&ephemeral, entropy).encode();
        let key = this.ring.active().clone();
        let transcript = transcript1(b"stream", key.id, me.node, peer, &hello);
        this.send(Kind::StreamHello1, peer, &key, &hello, entropy);
        this.state = State::Opening {
            peer,
            ephemeral,
            transcript,
            key_id: key.id,
        };
        this
    }

    /// The called end, which lets in any of `peers`.
    pub fn accept(me: Identity, ring: &KeyRing, peers: &[NodeId]) -> Self {
        Self::new(
            me,
            ring,
            State::Accepting {
                peers: peers.to_vec(),
            },
        )
    }

    fn new(me: Identity, ring: &KeyRing, state: State) -> Self {
        Self {
            me,
            ring: ring.clone(),
            terms: Terms {
                versions: VersionRange::OURS,
                cluster_tag: ring.cluster_tag(),
            },
            state,
            inbox: Vec::new(),
            outbox: VecDeque::new(),
        }
    }

    /// Bytes to send, in order.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    /// Takes bytes as they arrive, cut anywhere; the session once it is up in both directions.
    ///
    /// # Errors
    /// [`StreamError`]: close the connection, without a word to the other end.
    pub fn push(
        &mut self,
        bytes: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Option<StreamSession>, StreamError> {
        let result = self.advance(bytes, entropy);
        if result.is_err() {
            self.state = State::Over;
            self.inbox = Vec::new();
            self.outbox.clear();
        }
        result
    }

    fn advance(
        &mut self,
        bytes: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Option<StreamSession>, StreamError> {
        self.inbox.extend_from_slice(bytes);
        loop {
            let state = std::mem::replace(&mut self.state, State::Over);
            let wanted = match &state {
                State::Accepting { .. } => OVERHEAD_LEN + STREAM_HELLO1_BODY_LEN,
                State::Opening { .. } => OVERHEAD_LEN + STREAM_HELLO2_BODY_LEN,
                State::Answered { .. } => OVERHEAD_LEN + STREAM_HELLO3_BODY_LEN,
                State::Proving { .. } => 0,
                State::Over => return Err(StreamError::Failed),
            };
            if let State::Proving { mut session } = state {
                session.opener.push(&std::mem::take(&mut self.inbox))?;
                if session.opener.take_confirm()? {
                    return Ok(Some(session));
                }
                self.state = State::Proving { session };
                return Ok(None);
            }
            if self.inbox.len() < wanted {
                self.state = state;
                return Ok(None);
            }
            let packet: Vec<u8> = self.inbox.drain(..wanted).collect();
            match state {
                State::Accepting { peers } => self.on_hello1(&peers, &packet, entropy)?,
                State::Opening {
                    peer,
                    ephemeral,
                    transcript,
                    key_id,
                } => {
                    self.on_hello2(peer, &ephemeral, &transcript, key_id, &packet, entropy)?;
                }
                State::Answered { peer, key_id, keys } => {
                    return self.on_hello3(peer, key_id, &keys, &packet).map(Some);
                }
                State::Proving { .. } | State::Over => return Err(StreamError::Failed),
            }
        }
    }

    fn on_hello1(
        &mut self,
        peers: &[NodeId],
        packet: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(), StreamError> {
        let (header, key, body) = self.open(packet, Kind::StreamHello1)?;
        let src = header.src;
        if !peers.contains(&src) {
            return Err(Reject::UnknownPeer { src }.into());
        }
        let ephemeral = Ephemeral::draw(entropy);
        let theirs = Hello::parse(&body, src, &self.terms)?;
        let first = transcript1(b"stream", key.id, src, self.me.node, &body);
        let ours = self.hello(&ephemeral, entropy).encode();
        let keys = self.derive(&key.stream, &ephemeral, &theirs, &first, &ours)?;
        let answer = [ours.as_slice(), &first].concat();
        self.send(Kind::StreamHello2, src, &key, &answer, entropy);
        let keys = Box::new(keys);
        self.state = State::Answered {
            peer: theirs.identity,
            key_id: key.id,
            keys,
        };
        Ok(())
    }

    fn on_hello2(
        &mut self,
        peer: NodeId,
        ephemeral: &Ephemeral,
        transcript: &[u8; 32],
        key_id: KeyId,
        packet: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<(), StreamError> {
        let (header, key, body) = self.open(packet, Kind::StreamHello2)?;
        let src = header.src;
        if src != peer {
            return Err(StreamError::WrongPeer {
                wanted: peer,
                got: src,
            });
        }
        let theirs = Hello::parse(&body, src, &self.terms)?;
        let answer = &body[..HELLO_LEN];
        if key.id != key_id || &body[HELLO_LEN..] != transcript.as_slice() {
            return Err(Reject::StaleHandshake { src }.into());
        }
        let keys = self.derive(&key.stream, ephemeral, &theirs, transcript, answer)?;
        self.send(
            Kind::StreamHello3,
            src,
            &key,
            keys.proof.as_slice(),
            entropy,
        );
        let session = StreamSession {
            peer: theirs.identity,
            sealer: StreamSealer::new(&keys.from_initiator.cipher),
            opener: StreamOpener::new(&keys.from_responder.cipher, true),
        };
        self.state = State::Proving { session };
        Ok(())
    }

    fn on_hello3(
        &mut self,
        peer: Identity,
        key_id: KeyId,
        keys: &SessionKeys,
        packet: &[u8],
    ) -> Result<StreamSession, StreamError> {
        let (header, key, proof) = self.open(packet, Kind::StreamHello3)?;
        let proven = bool::from(keys.proof.as_slice().ct_eq(&proof));
        if header.src != peer.node || key.id != key_id || !proven {
            return Err(Reject::BadTag { src: header.src }.into());
        }
        let mut sealer = StreamSealer::new(&keys.from_responder.cipher);
        let mut opener = StreamOpener::new(&keys.from_initiator.cipher, false);
        self.outbox.push_back(sealer.seal_confirm());
        opener.push(&std::mem::take(&mut self.inbox))?;
        Ok(StreamSession {
            peer,
            sealer,
            opener,
        })
    }

    /// The checks of a datagram, in the same order.
    fn open(&self, packet: &[u8], expected: Kind) -> Result<(Header, Key, Vec<u8>), StreamError> {
        let header = Header::parse(packet)?;
        if header.version == 0 {
            return Err(Reject::BadVersion { version: 0 }.into());
        }
        if header.kind != expected {
            return Err(Reject::UnknownKind {
                kind: header.kind as u8,
            }
            .into());
        }
        if header.dst != self.me.node {
            return Err(Reject::NotForUs { dst: header.dst }.into());
        }
        if header.src == self.me.node {
            return Err(Reject::FromSelf.into());
        }
        let unknown = Reject::UnknownKey {
            src: header.src,
            key_id: header.key_id,
        };
        let key = self.ring.find(header.key_id).ok_or(unknown)?;
        let body = OpenKey::new(&key.stream_hello.cipher).open(&header, packet)?;
        Ok((header, key.clone(), body))
    }

    fn derive(
        &self,
        root: &Secret,
        ours: &Ephemeral,
        theirs: &Hello,
        first: &[u8; 32],
        answer: &[u8],
    ) -> Result<SessionKeys, StreamError> {
        let malformed = Reject::Malformed {
            src: theirs.identity.node,
        };
        let version = self
            .terms
            .versions
            .common(theirs.versions)
            .ok_or(malformed)?;
        let transcript = transcript2(first, version, answer);
        let keys = SessionKeys::derive(root, ours, &theirs.ephemeral, &transcript);
        Ok(keys.ok_or(malformed)?)
    }

    fn hello(&self, ephemeral: &Ephemeral, entropy: &mut dyn Entropy) -> Hello {
        let mut nonce = [0; 32];
        entropy.fill(&mut nonce);
        self.terms.hello(self.me, nonce, ephemeral)
    }

    fn send(&mut self, kind: Kind, to: NodeId, key: &Key, body: &[u8], entropy: &mut dyn Entropy) {
        let ends = (self.me.node, to);
        let header = Header::hello(kind, self.terms.versions.min, key.id, ends, 0);
        self.outbox
            .push_back(SealKey::new(&key.stream_hello).seal(header, body, entropy));
    }
}

impl std::fmt::Debug for StreamHandshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamHandshake")
            .field("me", &self.me)
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}

pub(crate) const STREAM_HELLO1_BODY_LEN: usize = HELLO_LEN;
pub(crate) const STREAM_HELLO2_BODY_LEN: usize = HELLO_LEN + 32;
pub(crate) const STREAM_HELLO3_BODY_LEN: usize = 32;
/// Most bytes either end sends before records begin.
pub const STREAM_HANDSHAKE_LEN_MAX: usize =
    2 * OVERHEAD_LEN + STREAM_HELLO1_BODY_LEN + STREAM_HELLO3_BODY_LEN;
/// How long whoever accepts waits for a session, in microseconds.
pub const STREAM_HANDSHAKE_TIMEOUT_US: u64 = 5_000_000;
