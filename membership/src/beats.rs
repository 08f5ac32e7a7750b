//! The heartbeats of this node: when they leave, what they say, and what they promise (R0).

use wire::NodeId;

use crate::links::Link;
use crate::message::{Beat, Echo, Ends, Heard, Known, Message, Stamp};
use crate::mutant::{self, Mutant};
use crate::peer::Peer;
use crate::relay;
use crate::*;

/// When to beat to all next ([`Peer::beat_at`]: to one) and what was told last: news are told at once
/// (ruling 2).
#[derive(Debug, Default)]
pub(crate) struct Beats {
    pub(crate) at: Time,
    told: Option<Told>,
    /// That is still what there is to tell: nothing has come since that could change it.
    pub(crate) current: bool,
    /// News of rows told to all since `counted_from`.
    news: u32,
    counted_from: Time,
    /// A changed row waits to be told.
    pub(crate) behind: bool,
}

impl Beats {
    /// Whether a row that changed may be told to all at once; if not, each peer's own next beat tells
    /// it within H. While many nodes find each other every one of them changes the rows of all others.
    fn may_tell(&mut self, now: Time, heartbeat_us: u64) -> bool {
        if now.since(self.counted_from) >= heartbeat_us {
            self.counted_from = now;
            self.news = 0;
        }
        let allowed = self.news < ROWS_TOLD_MAX;
        self.news += u32::from(allowed);
        allowed
    }
}

#[derive(Debug)]
struct Told {
    row: Vec<Heard>,
    says: Says,
}

/// What a heartbeat says to all alike, but for the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Says {
    dc_lost: bool,
    state: NodeState,
    acting: bool,
    fit: bool,
    withholding: bool,
    ballot: Ballot,
    view_no: u64,
}

/// What a heartbeat would say that none has said.
enum News {
    None,
    /// Who hears whom.
    Row,
    /// What this node is or wants.
    Own,
}

impl Core {
    /// Sends each peer its periodic beat, or all of them one at once when there is news.
    pub(crate) fn send_beats(&mut self) {
        if !self.may_send() {
            return;
        }
        let (now, heartbeat_us) = (self.now, self.cfg.timing.heartbeat_us);
        let news = self.news();
        let all = now >= self.beats.at
            || match news {
                News::None => false,
                News::Row => self.beats.may_tell(now, heartbeat_us),
                News::Own => true,
            };
        let next = now.plus(heartbeat_us);
        if all && !matches!(news, News::None) {
            self.beats.told = Some(self.told());
        }
        self.beats.current = all || matches!(news, News::None);
        self.beats.behind = !self.beats.current;
        if all || self.peers.is_empty() {
            // A node without peers looks at its clock as often.
            self.beats.at = if self.peers.is_empty() { next } else { NEVER };
        }
        for at in 0.. {
            let Some(peer) = self.peers.nth_mut(at) else {
                return;
            };
            if all || self.now >= peer.beat_at {
                peer.beat_at = next;
                let node = peer.node;
                self.beat_to(node, None, true);
            }
        }
    }

    /// A heartbeat (with a stamp) or an answer to one, on one link or on all, and by the nodes that
    /// pass it on where it takes such.
    pub(crate) fn beat_to(&mut self, node: NodeId, link: Option<LinkId>, stamped: bool) {
        let met = |p: &Peer| p.identity.is_some() && !p.left && !p.retired;
        if !self.may_send() || !self.peers.get(&node).is_some_and(met) {
            return;
        }
        let (answer, all);
        let ways: &[Via] = match link.filter(|l| *l != relay::RELAY_LINK) {
            // An answer goes the way its question came.
            Some(link) => {
                answer = [Via::Link(link)];
                &answer
            }
            None => {
                all = self.beat_ways(node, link);
                &all
            }
        };
        let Some(mut beat) = self.beat(node, stamped) else {
            return;
        };
        beat.answers = link.is_some();
        if stamped && let Some(peer) = self.peers.get_mut(&node) {
            peer.stamped = self.now;
            let asked = |l: &&mut Link| ways.contains(&Via::Link(l.id));
            let links = peer.links.iter_mut().filter(asked);
            links.for_each(|l| l.sent(self.now));
        }
        let Some((last, others)) = ways.split_last() else {
            return;
        };
        let message = Box::new(Message::Beat(beat));
        let by = |via: Via, message| {
            let to = node;
            Output::Do(Effect::Message { to, via, message })
        };
        self.out
            .extend(others.iter().map(|via| by(*via, message.clone())));
        self.out.push_back(by(*last, message));
    }

    /// Links and hops of a beat, or the hops of an answer to one that came by such.
    fn beat_ways(&self, node: NodeId, link: Option<LinkId>) -> Vec<Via> {
        let links = self.peers.get(&node).filter(|_| link.is_none());
        let links = links.into_iter().flat_map(|p| &p.links);
        let by = |(hop, link)| Via::Relay {
            hop,
            link: Some(link),
        };
        let hops = self.beat_hops(node).into_iter().map(by);
        links.map(|l| Via::Link(l.id)).chain(hops).collect()
    }

    /// The next beat for a peer.
    fn beat(&mut self, node: NodeId, stamped: bool) -> Option<Beat> {
        let echo = self.give_back(node);
        let hold_us = self.cfg.hold_us();
        let (says, row) = match &self.beats.told {
            Some(told) if self.beats.current => (told.says, told.row.clone()),
            _ => (self.says(), self.row().collect()),
        };
        let commit = self.point_or_base(self.commit);
        let logged = self.tip.last_seen.get(&node).map(|id| id.incarnation);
        let peer = self.peers.get_mut(&node)?;
        peer.next_beat_no += 1;
        peer.channel.ack_due = false;
        Some(Beat {
            beat_no: peer.next_beat_no,
            stamp: stamped.then_some(Stamp {
                sent_us: self.now.0,
                hold_us,
            }),
            answers: false,
            echo,
            ballot: says.ballot,
            view_no: says.view_no,
            log: Ends {
                commit,
                head: self.log.head(),
            },
            state: says.state,
            acting: says.acting,
            dc_lost: says.dc_lost,
            fit: says.fit,
            withholding: says.withholding,
            blank: self.log.head().seq == 0 && self.safety.promised == Ballot::default(),
            class_u: self.tip.class_u.is_some(),
            digest: digest_start(&self.cfg.nodelist_digest),
            row,
            known: Known {
                incarnation: peer
                    .identity
                    .map(|id| id.incarnation)
                    .max(logged)
                    .unwrap_or(0),
                durable: peer.durable_known,
            },
            parcel_ack: peer.channel.delivered(),
        })
    }

    /// The echo of a peer's newest stamp. Giving one to a member of the newest accepted view is a
    /// promise that lasts for the stamp's hold from now (R0); repeating it promises nothing new.
    fn give_back(&mut self, node: NodeId) -> Option<Echo> {
        if !self.fit() {
            return None;
        }
        let now = self.now;
        // A promise on its way to the disk already binds us: do not renew the old authority.
        let settled = self.safety.promised == self.safe.promised;
        let ballot = if settled {
            self.safe.promised
        } else {
            Ballot::default()
        };
        let view_no = self.safe.view_no;
        let hold_us_safe = self.safe.hold_us_max;
        let void = self.void_for(node);
        let config_epoch = self.tip.config.config_epoch;
        // "Hears" and "echoes" are one predicate (R0).
        let heard = self.heard(node) || mutant::on(Mutant::RelayedNotHeard);
        let by_relay = self.peers.get(&node).is_some_and(|p| !p.up());
        let peer = self.peers.get_mut(&node)?;
        let stamp = peer.stamp?;
        let stale = now.since(peer.stamp_at) > 2 * self.cfg.timing.heartbeat_us;
        if stale || stamp.hold_us > HOLD_US_MAX {
            return None;
        }
        let identity = peer.identity?;
        let listed = self.tip.view.names(&identity);
        if listed && !heard {
            return None;
        }
        let member = listed && now >= peer.shunned_until;
        if member && !self.view_on_disk_names(&identity) {
            // A promise under a view that a crash may take back would be forgotten with it.
            return None;
        }
        if stamp.hold_us > self.safety.hold_us_max {
            self.safety.hold_us_max = stamp.hold_us;
            self.save_safety();
            return None;
        }
        if stamp.hold_us > hold_us_safe {
            return None;
        }
        let peer = self.peers.get_mut(&node)?;
        let echo = Echo {
            sent_us: stamp.sent_us,
            ballot,
            view_no,
            member,
            void,
            config_epoch,
        };
        let again = peer.given.as_ref() == Some(&echo);
        peer.given = Some(echo.clone());
        let forgotten = mutant::on(Mutant::EchoNoPromise)
            || by_relay && mutant::on(Mutant::RelayedEchoNoPromise)
            || by_relay && mutant::on(Mutant::RelayedNotHeard);
        if member && !again && !forgotten {
            peer.promise_hold(now, stamp.hold_us, ballot);
        }
        Some(echo)
    }

    pub(crate) fn next_beat(&self) -> Time {
        let each = self.peers.values().map(|p| p.beat_at);
        each.fold(self.beats.at, Time::min)
    }

    fn told(&self) -> Told {
        Told {
            row: self.row().collect(),
            says: self.says(),
        }
    }

    /// What everybody was not told of yet.
    fn news(&self) -> News {
        match &self.beats.told {
            Some(told) if told.says != self.says() => News::Own,
            Some(told) if self.row().eq(told.row.iter().copied()) => News::None,
            Some(_) => News::Row,
            None => News::Own,
        }
    }

    fn says(&self) -> Says {
        Says {
            dc_lost: self.dc_lost(),
            state: self.state,
            acting: self.is_acting(),
            fit: self.fit() && self.leaving.as_ref().is_none_or(|l| !l.done),
            withholding: self.suspicion_withheld(),
            ballot: self.safe.promised,
            view_no: self.safe.view_no,
        }
    }
}

/// The start of a node list's digest, as heartbeats carry it.
pub(crate) fn digest_start(digest: &[u8; 32]) -> [u8; 8] {
    let mut start = [0; 8];
    start.copy_from_slice(&digest[..8]);
    start
}

/// Changed rows that are told to all at once in a time of H; of a few nodes there are never more.
const ROWS_TOLD_MAX: u32 = 16;
/// Not by itself.
const NEVER: Time = Time(u64::MAX);
