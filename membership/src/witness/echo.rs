//! What the witness gives back and tells, and what that promises (R0).

use super::*;

impl Witness {
    pub(super) fn give_back(&mut self, node: NodeId) -> Option<Echo> {
        if !self.fit() {
            return None;
        }
        let (now, t_fail_us) = (self.now, self.cfg.timing.t_fail_us);
        let settled = self.record.promised == self.safe.promised;
        let ballot = match settled {
            true => self.safe.promised,
            false => Ballot::default(),
        };
        let hold_safe_us = self.safe.hold_us_max;
        let peer = self.peers.get_mut(&node)?;
        let (stamp, identity) = (peer.stamp?, peer.identity?);
        let stale = now.since(peer.stamp_at) > t_fail_us / 5;
        if stale || stamp.hold_us > HOLD_US_MAX {
            return None;
        }
        if stamp.hold_us > self.record.hold_us_max {
            self.record.hold_us_max = stamp.hold_us;
            return None;
        }
        if stamp.hold_us > hold_safe_us {
            return None;
        }
        // Every view that a crash may leave: the one on disk, and all on their way there.
        let named = |v: &Option<WitnessView>| v.as_ref().is_some_and(|v| v.names(&identity));
        let flying = !mutant::on(Mutant::WitnessSkipsAView);
        let listed = named(&self.safe.view)
            && named(&self.record.view)
            && (!flying || self.flying.iter().all(|(_, r)| named(&r.view)));
        let view = self.safe.view.as_ref();
        let (view_no, config_epoch) = view.map_or((0, 0), |v| (v.view_no, v.config_epoch));
        let peer = self.peers.get_mut(&node)?;
        let member = listed && now >= peer.shunned_until;
        let echo = Echo {
            sent_us: stamp.sent_us,
            ballot,
            view_no,
            member,
            // Whom it counts for has every end of a grant in its own log: R7.
            void: Vec::new(),
            config_epoch,
        };
        let again = peer.given.as_ref() == Some(&echo);
        peer.given = Some(echo.clone());
        if member && !again && !mutant::on(Mutant::WitnessEchoNoPromise) {
            peer.promise_hold(now, stamp.hold_us, ballot);
        }
        Some(echo)
    }

    /// The predecessor process promised the members of its view their presence as it died.
    pub(super) fn assume_echoed(&mut self) {
        let until = self.withhold_until;
        let members = self.record.view.iter().flat_map(|v| v.members.clone());
        for (node, _) in members.collect::<Vec<_>>() {
            if let Some(peer) = self.peers.get_mut(&node) {
                peer.presence_until = peer.presence_until.max(until);
            }
        }
    }

    pub(super) fn beat_to(&mut self, node: NodeId) {
        if !self.may_speak() || self.failed {
            return;
        }
        let echo = self.give_back(node);
        let told = self.news();
        let state = self.state;
        let digest = &self.cfg.nodelist_digest;
        let mut digest_start = [0; 8];
        digest_start.copy_from_slice(&digest[..8]);
        let withholding = self.now < self.withhold_until;
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if peer.identity.is_none() || peer.left {
            return;
        }
        peer.next_beat_no += 1;
        let beat = Beat {
            beat_no: peer.next_beat_no,
            stamp: None,
            answers: true,
            echo,
            ballot: told.ballot,
            view_no: told.view_no,
            log: Ends::default(),
            state,
            acting: false,
            dc_lost: told.dc_lost,
            fit: told.fit,
            withholding,
            blank: false,
            class_u: false,
            digest: digest_start,
            row: told.row,
            known: Known {
                incarnation: peer.identity.map_or(0, |id| id.incarnation),
                durable: 0,
            },
            parcel_ack: 0,
        };
        self.send(node, &Message::Beat(beat));
    }

    pub(super) fn news(&self) -> Told {
        Told {
            row: self.row(),
            dc_lost: self.dc_lost(),
            fit: self.fit(),
            ballot: self.safe.promised,
            view_no: self.safe.view.as_ref().map_or(0, |v| v.view_no),
        }
    }

    pub(super) fn send_beats(&mut self) {
        let told = self.news();
        let same = self.told.as_ref() == Some(&told);
        if (same && self.now < self.beat_at) || !self.may_speak() {
            return;
        }
        self.told = Some(told);
        self.beat_at = self.now.plus(self.cfg.timing.heartbeat_us);
        let nodes: Vec<NodeId> = self.peers.keys().copied().collect();
        for node in nodes {
            self.beat_to(node);
        }
    }

    pub(super) fn hears(&self) -> Vec<NodeId> {
        let t_fail_us = self.cfg.timing.t_fail_us;
        let heard = self.peers.values().filter(|p| p.hears(self.now, t_fail_us));
        heard.map(|p| p.node).collect()
    }

    /// Its row of the matrix. Whom it receives it receives directly; it names no edges, for it passes
    /// nothing on.
    pub(super) fn row(&self) -> Vec<Heard> {
        let (now, t_fail_us) = (self.now, self.cfg.timing.t_fail_us);
        let received = self
            .peers
            .values()
            .filter(|p| p.fresh(now, t_fail_us) && !p.left);
        let field = |p: &Peer| Heard {
            node: p.node,
            how: match p.hears(now, t_fail_us) {
                true => Heard::COUNTS | Heard::DIRECT,
                false => Heard::DIRECT,
            },
        };
        received.map(field).collect()
    }

    pub(super) fn dc_alive(&self) -> Option<NodeId> {
        let t_fail_us = self.cfg.timing.t_fail_us;
        let heard = self.peers.values().filter(|p| p.hears(self.now, t_fail_us));
        let beats = heard.filter_map(|p| p.beat.as_ref().map(|b| (b, p.node)));
        let leads = beats.filter(|(b, node)| {
            matches!(b.state, NodeState::Dc | NodeState::DcPending)
                && b.ballot >= self.record.promised
                && b.ballot.node == node.0
        });
        leads.max_by_key(|(b, _)| b.ballot).map(|(_, node)| node)
    }

    pub(super) fn dc_lost(&self) -> bool {
        self.votes() && self.dc_alive().is_none() && self.now >= self.bound_until(None)
    }

    /// Until when R0 forbids a promise to `candidate`.
    pub(super) fn bound_until(&self, candidate: Option<NodeId>) -> Time {
        let others = self.peers.values().filter(|p| Some(p.node) != candidate);
        let echoed = others.map(|p| p.authority_until).max().unwrap_or(Time(0));
        match self.withholding() {
            true => echoed.max(self.withhold_until),
            false => echoed,
        }
    }

    /// An authority that the predecessor echoed may still act, unless its holder denies it
    /// (MEMBERSHIP.md, "Where nothing is withheld after a start").
    pub(super) fn withholding(&self) -> bool {
        if self.now >= self.withhold_until || self.promised_at_start == Ballot::default() {
            return false;
        }
        let dc = NodeId(self.promised_at_start.node);
        let beat = self.peers.get(&dc).and_then(|p| p.beat.as_ref());
        !beat.is_some_and(|b| {
            !matches!(b.state, NodeState::Dc | NodeState::DcPending)
                || b.ballot > self.promised_at_start
        })
    }
}
