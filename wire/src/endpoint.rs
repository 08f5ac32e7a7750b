//! The node's end of all its sessions.

use std::collections::BTreeMap;

use crate::cookie::CookieJar;
use crate::diagnosis::{Diagnosis, RejectCounts, Trouble};
use crate::error::{Reject, SealError};
use crate::handshake::{Terms, VersionRange};
use crate::ident::{Identity, NodeId};
use crate::keys::{Entropy, KeyId, KeyRing};
use crate::packet::{
    DATAGRAM_LEN_MAX, Header, Kind, LINKS_MAX, OVERHEAD_LEN, OpenKey, RELAY_LINK, RELAYED_LEN_MAX,
};
use crate::peer::{Context, Local, Outbox, Peer, Renewal};

/// What a datagram turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A payload of a process that [`Received::Established`] has named before.
    Payload {
        /// The process that sealed it.
        from: Identity,
        /// The link it was sent and has arrived on.
        link: u8,
        /// What was sealed.
        bytes: Vec<u8>,
    },
    /// A session with a new process of a peer is up in both directions. Reported once per process:
    /// sessions renewed with the same process are not.
    Established {
        /// The process.
        peer: Identity,
        /// The link that the proof arrived on.
        link: u8,
        /// The proof may be the peer's first payload itself.
        payload: Option<Vec<u8>>,
    },
    /// A step of a handshake; fetch what it sends with [`Endpoint::poll_transmit`].
    Handled,
    /// Refused and counted.
    Rejected(Reject),
}

/// A handshake packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The node to send to, at its configured address.
    pub to: NodeId,
    /// The link to send on; drop it if the node has no address there.
    pub link: u8,
    /// The packet.
    pub datagram: Vec<u8>,
}

/// One session per peer, and what opens them.
///
/// `now_us` is the caller's monotonic clock in microseconds. After every call but
/// [`Self::seal`] fetch what is to be sent with [`Self::poll_transmit`], and ask
/// [`Self::next_timeout`] when to call [`Self::handle_timeout`].
pub struct Endpoint {
    local: Local,
    jar: CookieJar,
    peers: BTreeMap<NodeId, Peer>,
    outbox: Outbox,
    rejects: RejectCounts,
}

impl Endpoint {
    /// An end for process `me`, with `links` links (clamped to 1..=[`LINKS_MAX`]) to each of
    /// `peers`; `me` itself among them is ignored. Nothing is sent before [`Self::connect`].
    pub fn new(
        me: Identity,
        ring: KeyRing,
        peers: &[NodeId],
        links: u8,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let terms = Terms {
            versions: VersionRange::OURS,
            cluster_tag: ring.cluster_tag(),
        };
        let local = Local {
            me,
            ring,
            links: links.clamp(1, LINKS_MAX),
            terms,
            head: 0,
            renewal: Renewal::DEFAULT,
            relay: false,
        };
        let mut endpoint = Self {
            local,
            jar: CookieJar::new(entropy),
            peers: BTreeMap::new(),
            outbox: Outbox::default(),
            rejects: RejectCounts::default(),
        };
        endpoint.set_peers(peers);
        endpoint
    }

    /// Replaces the node list: new peers are unknown yet, peers gone lose their session, the
    /// others keep it.
    pub fn set_peers(&mut self, peers: &[NodeId]) {
        let (me, cookies) = (self.local.me.node, self.jar.last_number());
        self.peers.retain(|id, _| peers.contains(id));
        for id in peers.iter().filter(|id| **id != me) {
            self.peers
                .entry(*id)
                .or_insert_with(|| Peer::new(*id, cookies));
        }
    }

    /// Who this end is.
    pub fn me(&self) -> Identity {
        self.local.me
    }

    /// The process of `peer` that a session is up with.
    pub fn identity(&self, peer: NodeId) -> Option<Identity> {
        self.peers.get(&peer)?.identity()
    }

    /// Third nodes may pass packets on: handshakes are offered with [`RELAY_LINK`], too. The caller
    /// drops those of [`Self::poll_transmit`] that no third node is needed for.
    pub fn allow_relay(&mut self) {
        self.local.relay = true;
    }

    /// How far this node's log is on its disk: told in every handshake that this end opens from now
    /// on, so that peers notice a disk that went back (R8).
    pub fn set_head(&mut self, head: u64) {
        self.local.head = head;
    }

    /// Where the log of `peer`'s process ended on its disk when it opened a session to this end;
    /// `None` where this end opened the only one.
    pub fn head_of(&self, peer: NodeId) -> Option<u64> {
        self.peers.get(&peer)?.head()
    }

    /// Replaces the key ring. Sessions under keys that it does not hold end at once; to renew those
    /// that stay under the key now in use, call [`Self::connect`]. Returns whether the key in use is
    /// another one.
    pub fn set_ring(&mut self, ring: KeyRing) -> bool {
        let before = std::mem::replace(&mut self.local.ring, ring);
        let ring = &self.local.ring;
        for peer in self.peers.values_mut() {
            peer.keep_to(ring);
        }
        before.active().id != ring.active().id
    }

    /// Names of the keys that this end accepts, the one in use first.
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.local.ring.key_ids()
    }

    /// Every session that is up is under the key in use: nothing is left of the keys before.
    pub fn is_renewed(&self) -> bool {
        let (me, active) = (self.local.me.node, self.local.ring.active().id);
        let mut keys = self.peers.values().filter_map(|p| p.key_in_use(me));
        keys.all(|key| key == active)
    }

    /// How long sessions are used before they are renewed ([`Renewal::DEFAULT`] until told).
    pub fn set_renewal(&mut self, renewal: Renewal) {
        self.local.renewal = renewal;
    }

    /// Speaks no version below `min` from now on: sessions under older ones end.
    pub fn set_min_version(&mut self, min: u8) {
        let versions = &mut self.local.terms.versions;
        versions.min = versions.min.max(min.min(versions.max));
    }

    /// Speaks other versions than this build does: for who plays an older or newer release.
    pub fn speak(&mut self, versions: VersionRange) {
        self.local.terms.versions = versions;
    }

    /// Versions that this end speaks.
    pub fn versions(&self) -> VersionRange {
        self.local.terms.versions
    }

    /// Tells what the log knows of a node (R8): an older process of it will be refused.
    pub fn learn(&mut self, identity: Identity) {
        if let Some(peer) = self.peers.get_mut(&identity.node) {
            peer.learn(identity);
        }
    }

    /// Opens a session with `peer` on all links, repeating with growing waits (50 ms to 1 s) until
    /// there is one. Call it once per peer at start: a session lasts as long as both processes, and
    /// a peer that restarts opens a new one by itself. While an opening is under way this does
    /// nothing; while a session is up it opens another, which then replaces it.
    ///
    /// # Errors
    /// [`SealError::UnknownPeer`] if `peer` is not in the node list.
    pub fn connect(
        &mut self,
        now_us: u64,
        peer: NodeId,
        entropy: &mut dyn Entropy,
    ) -> Result<(), SealError> {
        let Self {
            local,
            peers,
            outbox,
            ..
        } = self;
        let known = peers.get_mut(&peer).ok_or(SealError::UnknownPeer(peer))?;
        known.connect(&mut Context {
            now_us,
            local,
            outbox,
            entropy,
        });
        Ok(())
    }

    /// Judges a datagram that arrived on `link`.
    ///
    /// Cheap checks come first (length, version, destination, sender, link, session, replay
    /// window), the cipher after them, and state changes only after the cipher. A rejected datagram
    /// is never answered; see [`Reject`] for the one exception, and [`Reject::UnknownSession`]
    /// may hasten a HELLO to the peer's configured address.
    pub fn handle(
        &mut self,
        now_us: u64,
        link: u8,
        datagram: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Received {
        match self.dispatch(now_us, link, datagram, entropy) {
            Ok(received) => received,
            Err(reject) => {
                self.rejects.add(reject.kind());
                Received::Rejected(reject)
            }
        }
    }

    /// Seals `payload` for `peer`, to be sent on `link`; with [`RELAY_LINK`] inside a packet to a
    /// third node.
    ///
    /// # Errors
    /// [`SealError`]; with [`SealError::NoSession`] the payload is simply lost, as on a wire.
    pub fn seal(
        &mut self,
        peer: NodeId,
        link: u8,
        payload: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<u8>, SealError> {
        let relayed = link == RELAY_LINK && self.local.relay;
        if payload.len() > len_max(relayed) - OVERHEAD_LEN {
            return Err(SealError::TooLong { got: payload.len() });
        }
        if link >= self.local.links && !relayed {
            return Err(SealError::UnknownLink(link));
        }
        let me = self.local.me.node;
        let known = self
            .peers
            .get_mut(&peer)
            .ok_or(SealError::UnknownPeer(peer))?;
        let session = known.sending(me).ok_or(SealError::NoSession(peer))?;
        session
            .seal(Kind::Data, me, link, payload, entropy)
            .ok_or(SealError::Exhausted(peer))
    }

    /// The next handshake packet to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    /// When [`Self::handle_timeout`] wants to be called, on the caller's clock.
    pub fn next_timeout(&self) -> Option<u64> {
        let renewal = &self.local.renewal;
        let each = self.peers.values();
        each.filter_map(|p| p.next_timeout(renewal)).min()
    }

    /// Repeats the handshake packets that are due.
    pub fn handle_timeout(&mut self, now_us: u64, entropy: &mut dyn Entropy) {
        let Self {
            local,
            peers,
            outbox,
            ..
        } = self;
        for peer in peers.values_mut() {
            peer.handle_timeout(&mut Context {
                now_us,
                local,
                outbox,
                entropy: &mut *entropy,
            });
        }
    }

    /// What is known of the conversation with `peer`; `None` if it is not in the node list.
    pub fn peer_diagnosis(&self, peer: NodeId) -> Option<Diagnosis> {
        Some(self.peers.get(&peer)?.diagnosis())
    }

    /// Datagrams refused since start, those of unknown senders included.
    pub fn reject_counts(&self) -> &RejectCounts {
        &self.rejects
    }

    fn dispatch(
        &mut self,
        now_us: u64,
        link: u8,
        datagram: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Received, Reject> {
        let relayed = link == RELAY_LINK && self.local.relay;
        let header = self.check_header(datagram, len_max(relayed))?;
        let Self {
            local,
            jar,
            peers,
            outbox,
            ..
        } = self;
        let src = header.src;
        let peer = peers.get_mut(&src).ok_or(Reject::UnknownPeer { src })?;
        let mut cx = Context {
            now_us,
            local,
            outbox,
            entropy,
        };
        let result = if header.link == link {
            step(peer, &mut cx, jar, &header, datagram)
        } else {
            Err(Reject::LinkMismatch {
                src,
                sent_on: header.link,
                arrived_on: link,
            })
        };
        if let Err(reject) = &result {
            note_reject(peer, reject, &header, cx.local);
            // No sealed packet has number 0: that would be a HELLO, damaged or in disguise.
            if matches!(reject, Reject::UnknownSession { .. }) && header.counter != 0 {
                peer.kick(&mut cx);
            }
        }
        result
    }

    #[cfg(test)]
    pub(crate) fn exhaust(&mut self, peer: NodeId) {
        let me = self.local.me.node;
        self.peers
            .get_mut(&peer)
            .and_then(|peer| peer.sending(me))
            .expect("is up")
            .exhaust();
    }

    /// The checks that need no peer.
    fn check_header(&self, datagram: &[u8], len_max: usize) -> Result<Header, Reject> {
        let len = datagram.len();
        if len > len_max {
            return Err(Reject::TooLong { len });
        }
        if len < OVERHEAD_LEN {
            return Err(Reject::TooShort { len });
        }
        let header = Header::parse(datagram)?;
        let version = header.version;
        // A HELLO is read whatever its version: its place is where versions are compared.
        if version == 0 || !header.kind.is_hello() && !self.local.terms.versions.contains(version) {
            return Err(Reject::BadVersion { version });
        }
        if header.kind.is_stream() {
            return Err(Reject::UnknownKind {
                kind: header.kind as u8,
            });
        }
        if header.dst != self.local.me.node {
            return Err(Reject::NotForUs { dst: header.dst });
        }
        if header.src == self.local.me.node {
            return Err(Reject::FromSelf);
        }
        Ok(header)
    }
}

/// Longest packet, by the way it takes.
const fn len_max(relayed: bool) -> usize {
    if relayed {
        RELAYED_LEN_MAX
    } else {
        DATAGRAM_LEN_MAX
    }
}

fn step(
    peer: &mut Peer,
    cx: &mut Context<'_>,
    jar: &mut CookieJar,
    header: &Header,
    datagram: &[u8],
) -> Result<Received, Reject> {
    if !header.kind.is_hello() {
        return peer.on_sealed(cx, header, datagram);
    }
    let local = cx.local;
    let unknown = Reject::UnknownKey {
        src: header.src,
        key_id: header.key_id,
    };
    let key = local.ring.find(header.key_id).ok_or(unknown)?;
    let body = OpenKey::new(&key.hello.cipher).open(header, datagram)?;
    match header.kind {
        Kind::Hello1 => peer.on_hello1(cx, jar, header, key, &body),
        Kind::Hello2 => peer.on_hello2(cx, key, &body),
        _ => peer.on_hello3(cx, jar, header, key, &body),
    }
}

/// Keeps what a refused packet tells about the peer.
fn note_reject(peer: &mut Peer, reject: &Reject, header: &Header, local: &Local) {
    let diagnosis = &mut peer.diagnosis;
    diagnosis.rejects.add(reject.kind());
    let hello = header.kind.is_hello();
    match reject {
        Reject::UnknownKey { .. } if hello => diagnosis.foreign_key_hellos += 1,
        Reject::BadTag { .. } if hello => diagnosis.unopened_hellos += 1,
        _ => {}
    }
    let proven = diagnosis.trouble.is_some_and(|trouble| trouble.is_proven());
    let seen = Trouble::seen_in(reject, hello, local.ring.active().id);
    if let Some(trouble) = seen.filter(|trouble| trouble.is_proven() || !proven) {
        diagnosis.trouble = Some(trouble);
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("me", &self.local.me)
            .field("ring", &self.local.ring)
            .field("peers", &self.peers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
