//! Nodes that cannot be reached directly: who passes packets on, and for whom.
//!
//! A node that is heard through another one is heard: what it says counts, what is given back to it
//! counts (R0). Only the way differs, so everything about ways is here: [`Core::route`] says which
//! one a message takes, [`Core::on_relay`] passes on what is for another node, over one hop and
//! no further.

use wire::NodeId;

use crate::links::Link;
use crate::message::{Blob, Heard, Message};
use crate::mutant::{self, Mutant};
use crate::peer::Peer;
use crate::*;

/// The way a message takes to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// On this link.
    Direct(LinkId),
    /// By this node, which is reached on this link.
    By(NodeId, LinkId),
}

/// What relaying needs to know of a peer.
#[derive(Debug, Default)]
pub(crate) struct Relaying {
    /// Last packet of it that another node passed on.
    heard: Option<Time>,
    /// Smoothed round trip that way, in microseconds.
    rtt_us: Option<u64>,
    /// Since when nothing goes directly both ways, while it is heard.
    since: Option<Time>,
    /// That was told.
    told: bool,
    /// It says that our packets reach it directly; it has said so.
    direct: bool,
    was_direct: bool,
    /// What may still be passed on for it in this span.
    spent: Allowance,
    /// Times it was dropped while others heard it.
    drops: u32,
    /// It is not let in again before.
    rejoin_at: Time,
}

/// Packets and bytes passed on for a node since a moment.
#[derive(Debug, Default)]
struct Allowance {
    since: Time,
    packets: u32,
    bytes: usize,
}

impl Allowance {
    /// Takes one packet out of what is left, if enough is.
    fn take(&mut self, now: Time, span_us: u64, bytes: usize) -> bool {
        if now.since(self.since) >= span_us {
            *self = Self {
                since: now,
                ..Self::default()
            };
        }
        let fits = self.packets < RELAYED_PACKETS_MAX && self.bytes < RELAYED_BYTES_MAX;
        if fits {
            self.packets += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        }
        fits
    }
}

impl Relaying {
    /// One of its packets came by another node.
    pub(crate) fn heard(&mut self, now: Time) {
        self.heard = Some(now);
    }

    /// One did within that time.
    pub(crate) fn lately(&self, now: Time, span_us: u64) -> bool {
        self.heard.is_some_and(|t| now < t.plus(span_us))
    }

    /// One of our stamps came back that way.
    pub(crate) fn echoed(&mut self, now: Time, stamp_us: u64) {
        let rtt = now.0.saturating_sub(stamp_us);
        self.rtt_us = Some(self.rtt_us.map_or(rtt, |old| (old * 7 + rtt) / 8));
    }

    /// A new process of the peer: it has said nothing yet. When it may come back stays.
    pub(crate) fn new_process(&mut self) {
        self.direct = false;
        self.was_direct = false;
        self.rtt_us = None;
    }

    /// What its newest beat says about our packets.
    pub(crate) fn says(&mut self, direct: bool) {
        self.direct = direct;
        self.was_direct |= direct;
    }

    /// Our packets reach it directly, as it says itself.
    pub(crate) fn direct(&self) -> bool {
        self.direct
    }

    /// Its time outside is over.
    pub(crate) fn may_rejoin(&self, now: Time) -> bool {
        now >= self.rejoin_at
    }

    /// Smoothed round trip through others, in microseconds.
    pub(crate) fn rtt_us(&self) -> Option<u64> {
        self.rtt_us
    }
}

impl Core {
    /// Nothing goes directly both ways, and it is not that the two have just met.
    fn apart(&self, peer: &Peer) -> bool {
        if peer.edge() {
            return false;
        }
        let met = peer.relaying.was_direct;
        let silent_us = self.cfg.timing.link_down_us;
        !peer.up() || met || self.now.since(peer.met) >= silent_us
    }

    /// Who can pass packets on to it, the lowest node first: both ends take the same one, and a
    /// second one stands ready. Nobody can to the witness, which takes nothing that way.
    fn hops(&self, to: NodeId) -> impl Iterator<Item = (NodeId, LinkId)> {
        let takes = !self.is_witness(to) || mutant::on(Mutant::WitnessByRelay);
        let serves = move |p: &&Peer| {
            let near = takes && p.beat.as_ref().is_some_and(|b| b.edge(to));
            p.node != to && p.identity.is_some() && !p.left && near && p.edge()
        };
        let hops = self.peers.values().filter(serves);
        hops.map(|p| (p.node, p.best())).take(RELAY_HOPS_MAX)
    }

    /// Something carries packets to it: a link that is up, or another node.
    pub(crate) fn has_way(&self, to: NodeId) -> bool {
        let up = self.peers.get(&to).is_some_and(Peer::up);
        up || self.hops(to).next().is_some()
    }

    /// The way to a peer.
    pub(crate) fn route(&self, to: NodeId) -> Route {
        let Some(peer) = self.peers.get(&to) else {
            return Route::Direct(0);
        };
        let hop = self.apart(peer).then(|| self.hops(to).next()).flatten();
        match hop {
            Some((hop, link)) => Route::By(hop, link),
            None => Route::Direct(peer.best()),
        }
    }

    /// The hops that a heartbeat to a peer takes besides its own links, so that the death of one is
    /// not noticed.
    pub(crate) fn beat_hops(&self, to: NodeId) -> Vec<(NodeId, LinkId)> {
        let peer = self.peers.get(&to).filter(|p| self.apart(p));
        peer.map(|_| self.hops(to).collect()).unwrap_or_default()
    }

    /// For handshakes: the hops to a node that cannot be reached directly, sealed packets of which
    /// [`wrap`] makes what the hop takes.
    pub fn relay_hops(&self, to: NodeId) -> Vec<(NodeId, LinkId)> {
        self.beat_hops(to)
    }

    /// The link that data to a peer takes where it goes directly.
    pub fn best_link(&self, to: NodeId) -> LinkId {
        self.peers.get(&to).map_or(0, Peer::best)
    }

    /// Through whom a peer is heard, if nothing goes directly both ways.
    pub(crate) fn degraded(&self, peer: &Peer) -> Option<NodeId> {
        let lately = peer.relaying.lately(self.now, self.cfg.timing.t_fail_us);
        let relayed = self.apart(peer) && lately;
        let hop = relayed.then(|| self.hops(peer.node).next()).flatten();
        hop.map(|(hop, _)| hop)
    }

    /// A packet for or by way of this node.
    pub(crate) fn on_relay(&mut self, from: NodeId, src: NodeId, dst: NodeId, sealed: Blob) {
        let me = self.me.node;
        if dst == me {
            // Who sealed it is for the driver's sessions to say.
            if src != me && src != from && self.peers.contains_key(&src) {
                self.out.push_back(Output::Do(Effect::Unseal {
                    by: from,
                    sealed: sealed.0,
                }));
            }
            return;
        }
        // One hop: only what its sender has made itself, and only to a neighbour.
        let first_hop = src == from || mutant::on(Mutant::RelayForEver);
        if !first_hop || dst == src || !self.peers.contains_key(&dst) || !self.may_send() {
            return;
        }
        let (now, span_us) = (self.now, self.cfg.timing.heartbeat_us);
        let Some(origin) = self.peers.get_mut(&from) else {
            return;
        };
        let within = origin.relaying.spent.take(now, span_us, sealed.0.len());
        if !within && !mutant::on(Mutant::RelayUnbounded) {
            let text = format!(
                "node {from} has more passed on to node {dst} than {RELAYED_PACKETS_MAX} packets or \
                 {RELAYED_BYTES_MAX} bytes in a heartbeat: the rest is dropped"
            );
            self.notice("relay-full", Some(from), text);
            return;
        }
        self.pass_on(dst, &Message::Relay { src, dst, sealed });
    }

    fn pass_on(&mut self, to: NodeId, message: &Message) {
        let Some(peer) = self.peers.get(&to).filter(|p| p.identity.is_some()) else {
            return;
        };
        let payload = message.encode();
        let via = if payload.len() > RELAY_DATAGRAM_BYTES_MAX {
            Via::Stream
        } else {
            Via::Link(peer.best())
        };
        let effect = Effect::Send { to, via, payload };
        self.out.push_back(Output::Do(effect));
    }

    /// Who is received, and how: this node's row of the matrix.
    pub(crate) fn row(&self) -> impl Iterator<Item = Heard> {
        let t_fail_us = self.cfg.timing.t_fail_us;
        let fresh = self
            .peers
            .values()
            .filter(move |p| p.fresh(self.now, t_fail_us) && !p.left);
        fresh.map(move |p| {
            let mut how = 0;
            if p.hears(self.now, t_fail_us) {
                how |= Heard::COUNTS;
            }
            if p.up() {
                how |= Heard::DIRECT;
            }
            if p.edge() {
                how |= Heard::EDGE;
            }
            Heard { node: p.node, how }
        })
    }

    /// Tells of peers that are reached through others only, and when that is over.
    pub(crate) fn report_paths(&mut self) {
        let now = self.now;
        let patience_us = self.cfg.timing.t_fail_us + DEGRADED_US;
        let mut news = Vec::new();
        let ways = self.peers.values().map(|p| (p, self.degraded(p)));
        // Nothing is to be noted of a peer that is reached directly, and was so before.
        let odd = |p: &Peer| p.relaying.since.is_some() || p.relaying.told;
        let ways = ways.filter(|(p, hop)| hop.is_some() || odd(p));
        let ways: Vec<(NodeId, Option<NodeId>)> = ways.map(|(p, hop)| (p.node, hop)).collect();
        for (node, hop) in ways {
            let Some(peer) = self.peers.get_mut(&node) else {
                continue;
            };
            let direct = peer.up();
            let state = &mut peer.relaying;
            if hop.is_none() {
                state.since = None;
                // What is silent altogether is told elsewhere, and is no healed path.
                if std::mem::take(&mut state.told) && direct {
                    news.push((node, None));
                }
                continue;
            }
            let since = *state.since.get_or_insert(now);
            if !state.told && now.since(since) >= patience_us {
                state.told = true;
                news.push((node, hop));
            }
        }
        for (node, hop) in news {
            let (code, text) = match hop {
                Some(hop) => (
                    "degraded-path",
                    format!(
                        "node {node} is not reached directly, only through node {hop}: nothing is \
                         lost, but look at the network between this node and node {node} (mainstay \
                         net)"
                    ),
                ),
                None => (
                    "path-restored",
                    format!("node {node} is reached directly again"),
                ),
            };
            self.event(Event::Notice {
                code: code.to_owned(),
                node: Some(node),
                text,
            });
        }
    }

    /// An administrator knows that the links are well again.
    pub(crate) fn reset_links(&mut self) {
        for peer in self.peers.values_mut() {
            peer.relaying.rejoin_at = self.now.min(peer.relaying.rejoin_at);
            peer.links.iter_mut().for_each(Link::forgive);
        }
    }

    /// May the DC drop a member that it has not reached for long, although others hear it? A member
    /// is whom the DC hears directly or by one relay; that the others gave promises to it is their
    /// own to wait for (`view_acceptable`).
    pub(crate) fn unreachable(&self, node: NodeId) -> bool {
        let Some(peer) = self.peers.get(&node) else {
            return false;
        };
        let patience_us = UNREACHABLE_T_FAIL * self.cfg.timing.t_fail_us;
        let silent = peer
            .last_heard
            .is_some_and(|t| self.now.since(t) >= patience_us);
        let rest = self.peers.keys().copied().filter(|n| self.linked(*n));
        let rest = rest.chain([self.me.node]).collect();
        silent && self.missing(node) && self.is_acting() && self.predicates().quorate(&rest)
    }

    /// A DC drops members: who is still heard by others is let in again only after a while, so
    /// that a path that comes and goes does not change the view each time.
    pub(crate) fn note_drops(&mut self, members: &[Member]) {
        let wait_us_max = REJOIN_T_FAIL_MAX * self.cfg.timing.t_fail_us;
        let gone = self.tip.view.members.iter().map(|m| m.identity);
        let gone: Vec<NodeId> = gone
            .filter(|id| !members.iter().any(|m| m.identity.node == id.node))
            .filter(|id| !self.tip.certified(id))
            .map(|id| id.node)
            .filter(|node| self.unreachable(*node) && self.heard_by_others(*node))
            .collect();
        for node in gone {
            let Some(peer) = self.peers.get_mut(&node) else {
                continue;
            };
            let state = &mut peer.relaying;
            let calm = self.now.since(state.rejoin_at) > REJOIN_CALM_US;
            state.drops = if calm { 1 } else { state.drops + 1 };
            let wait_us = REJOIN_US_MIN << (state.drops - 1).min(REJOIN_DOUBLINGS);
            if !mutant::on(Mutant::RejoinAtOnce) {
                state.rejoin_at = self.now.plus(wait_us.min(wait_us_max));
            }
        }
    }

    fn heard_by_others(&self, node: NodeId) -> bool {
        let others = self.peers.values().filter(|p| p.node != node);
        let mut others = others.filter(|p| self.linked(p.node));
        others.any(|p| p.beat.as_ref().is_some_and(|b| b.receives(node)))
    }

    /// When something here changes by time alone.
    pub(crate) fn relay_timeout(&self) -> Option<Time> {
        let t_fail_us = self.cfg.timing.t_fail_us;
        let mut at: Option<Time> = None;
        for peer in self.peers.values() {
            let state = &peer.relaying;
            let told = state.since.filter(|_| !state.told);
            let silent = peer
                .last_heard
                .filter(|_| self.is_acting() && self.tip.view.member(peer.node).is_some())
                .map(|t| t.plus(UNREACHABLE_T_FAIL * t_fail_us));
            // Nothing came that way any more.
            let ended = state.heard.filter(|_| state.since.is_some());
            let due = [
                ended.map(|t| t.plus(t_fail_us)),
                told.map(|t| t.plus(t_fail_us + DEGRADED_US)),
                Some(state.rejoin_at),
                silent,
                Some(peer.met.plus(self.cfg.timing.link_down_us)),
            ];
            let due = due.into_iter().flatten().filter(|t| *t > self.looked).min();
            at = at.into_iter().chain(due).min();
        }
        at
    }
}

/// The message that a hop takes: `sealed` by `src` for `dst`. Of a datagram's payload it makes
/// another that fits a datagram.
pub fn wrap(src: NodeId, dst: NodeId, sealed: Vec<u8>) -> Vec<u8> {
    let sealed = Blob(sealed);
    Message::Relay { src, dst, sealed }.encode()
}

/// The link number with which a driver hands over what came by relay ([`Input::Packet`]).
pub const RELAY_LINK: LinkId = 255;
/// Longest relayed message that goes as a datagram, in bytes: a payload of [`DATAGRAM_BYTES_MAX`],
/// sealed and wrapped. Longer ones take the streams.
pub const RELAY_DATAGRAM_BYTES_MAX: usize = DATAGRAM_BYTES_MAX + 80;
/// Nodes that pass on the heartbeats between two that cannot reach each other.
const RELAY_HOPS_MAX: usize = 2;
/// Packets passed on for one node in a heartbeat's time.
const RELAYED_PACKETS_MAX: u32 = 2_048;
/// Bytes passed on for one node in a heartbeat's time; the packet that exceeds it still goes.
const RELAYED_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// A path is told to be degraded when it was so for the detection timeout and this time: longer than
/// a link is held down after one flap. In microseconds.
const DEGRADED_US: u64 = 1_500_000;
/// A DC drops a member it does not reach by any way for so many detection timeouts.
const UNREACHABLE_T_FAIL: u64 = 2;
/// First wait of a dropped member that others still heard, in microseconds.
const REJOIN_US_MIN: u64 = 1_000_000;
/// Doublings of that wait: at most 64 s.
const REJOIN_DOUBLINGS: u32 = 6;
/// Nor longer than so many detection timeouts: by then whoever is in reach is to be in (I23).
const REJOIN_T_FAIL_MAX: u64 = 20;
/// After this time inside, in microseconds, earlier drops are forgotten.
const REJOIN_CALM_US: u64 = 600_000_000;
