//! Promises and views (R7), and a store that is empty or lost (R6).

use super::*;

impl Witness {
    pub(super) fn on_prepare(&mut self, from: NodeId, ballot: Ballot, head: Point) {
        let in_bounds = ballot.node == from.0 && ballot.counter < message::NUMBER_MAX;
        if !self.fit() || !in_bounds {
            return;
        }
        let given = self.promise.as_ref().map(|(_, _, given)| *given);
        if given == Some(ballot) && ballot == self.record.promised {
            return self.promise(from, ballot);
        }
        if ballot < self.record.promised && !mutant::on(Mutant::WitnessPromisesTwice) {
            let promised = self.safe.promised;
            return self.send(from, &Message::Refuse { ballot, promised });
        }
        if !self.entitled(from, &head)
            || self.now < self.bound_until(Some(from))
            || self.dc_alive().is_some_and(|dc| dc != from)
        {
            return;
        }
        // R9, as for any node.
        if let Some((at, promised_head, given)) = &self.promise {
            let soon = self.now.since(*at) < self.cfg.timing.t_fail_us / 2;
            let newer = (head.ballot, head.seq) > (promised_head.ballot, promised_head.seq);
            if soon && !newer && ballot.counter != given.counter {
                return;
            }
        }
        self.record.promised = self.record.promised.max(ballot);
        self.promise = Some((self.now, head, ballot));
        self.promise(from, ballot);
    }

    /// R7: only a member of the stored view has everything that was committed with this vote; its
    /// log reaches the view itself, else its disk has gone back.
    pub(super) fn entitled(&self, candidate: NodeId, head: &Point) -> bool {
        match &self.record.view {
            _ if mutant::on(Mutant::WitnessPromisesAnybody) => true,
            None => mutant::on(Mutant::WitnessLostVotes),
            Some(view) => {
                let whole = (head.ballot, head.seq) >= (view.ballot, view.seq);
                view.has(candidate) && (whole || mutant::on(Mutant::WitnessViewEarly))
            }
        }
    }

    pub(super) fn promise(&mut self, to: NodeId, ballot: Ballot) {
        let view = self.record.view.clone();
        self.send_durable(to, &Message::WitnessPromise { ballot, view });
    }

    pub(super) fn on_view(&mut self, from: NodeId, view: WitnessView) {
        let ballot = view.ballot;
        let in_bounds = ballot.node == from.0
            && ballot.counter < message::NUMBER_MAX
            && view.view_no < message::NUMBER_MAX;
        if !self.fit() || !in_bounds {
            return;
        }
        if ballot < self.record.promised {
            let promised = self.safe.promised;
            return self.send(from, &Message::Refuse { ballot, promised });
        }
        let known = self.record.view.as_ref();
        let newer = known.is_none_or(|old| (ballot, view.view_no) > (old.ballot, old.view_no));
        if newer {
            if let Some(until) = self.owes_presence(&view)
                && !mutant::on(Mutant::AckViewAtOnce)
            {
                // The coordinator asks again; nobody who would be out is echoed meanwhile.
                let until = until.plus(self.cfg.timing.t_fail_us);
                for peer in self.peers.values_mut().filter(|p| !view.has(p.node)) {
                    peer.shunned_until = until;
                }
                return;
            }
            for peer in self.peers.values_mut() {
                peer.shunned_until = Time(0);
            }
            self.record.promised = ballot;
            self.record.view = Some(view);
        } else if known != Some(&view) {
            return;
        }
        let view_no = self.record.view.as_ref().map_or(0, |v| v.view_no);
        self.send_durable(from, &Message::WitnessStored { ballot, view_no });
    }

    /// Until when somebody who would not be in such a view was promised its presence (R0).
    pub(super) fn owes_presence(&self, view: &WitnessView) -> Option<Time> {
        let out = self.peers.values().filter(|p| !view.has(p.node));
        let until = out.map(|p| p.presence_until).max();
        until.filter(|until| *until > self.now)
    }
}

/// Recovery.
impl Witness {
    pub(super) fn nonce(&self) -> u64 {
        self.record.incarnation
    }

    pub(super) fn ask_again_us(&self) -> u64 {
        4 * self.cfg.timing.resend_us
    }

    /// Its process has said what it promised, and by a stamp how long it relies on an echo: one of
    /// the lost store's last may still bind.
    pub(super) fn answered(&self, node: NodeId) -> bool {
        let Some(peer) = self.peers.get(&node) else {
            return false;
        };
        let answer = self.answers.get(&node);
        let told = peer.stamp.is_some() || mutant::on(Mutant::WitnessHoldUnknown);
        told && answer.is_some_and(|(process, _)| Some(*process) == peer.identity)
    }

    /// What this witness promised or counted for before is unknown, and any node may rely on it: it
    /// votes again only above everything that any node has promised, and for a view that a
    /// coordinator of that height gives it.
    pub(super) fn check_recovery(&mut self) {
        if !self.record.recovering || !self.may_speak() {
            return;
        }
        let again = self.ask_again_us();
        if self.asked.is_none_or(|t| self.now.since(t) >= again) {
            self.asked = Some(self.now);
            let nonce = self.nonce();
            let nodes: Vec<NodeId> = self.peers.keys().copied().collect();
            for node in nodes {
                self.send(node, &Message::RecoverAsk { nonce });
            }
        }
        if !self.peers.keys().all(|node| self.answered(*node)) {
            return;
        }
        let promised = self.answers.values().map(|(_, promised)| *promised).max();
        self.record.promised = self.record.promised.max(promised.unwrap_or_default());
        self.record.recovering = false;
        self.record.view = None;
        let stamps = self.peers.values().filter_map(|p| p.stamp);
        let hold_us = stamps.map(|s: Stamp| s.hold_us).max().unwrap_or(0);
        let hold_us = hold_us.max(self.cfg.timing.hold_us).min(HOLD_US_MAX);
        self.record.hold_us_max = self.record.hold_us_max.max(hold_us);
        // As if everybody had been echoed at the moment of this start.
        self.withhold_until = self.started.plus(self.record.hold_us_max);
        self.promised_at_start = self.record.promised;
        for peer in self.peers.values_mut() {
            peer.presence_until = peer.presence_until.max(self.withhold_until);
        }
        let text = "every node has answered: this witness votes once a coordinator gives it a view";
        self.notice("recovered", None, text.to_owned());
    }
}
