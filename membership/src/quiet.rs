//! Steps after which nothing follows. Nearly every packet of a cluster that is well is a heartbeat that
//! says what the one before it said: it is taken and answered, the times by which silence would be
//! noticed move on, and no duty has anything to look at.
//!
//! Which steps these are is decided here, and narrowly: of a heartbeat everything has to be as it was but
//! its number, its stamp and the stamp that it gives back, and of this node nothing may be under way.
//! [`Core::left_undone`] does what such a step left out and tells whether it made a difference; the
//! simulator asks now and then in every run.

use wire::{Identity, NodeId};

use crate::core::Role;
use crate::message::{Beat, Echo, Message};
use crate::peer::Peer;
use crate::*;

/// What duties rely on and a heartbeat may change beside what it says, as it was before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    fresh: bool,
    /// Links to it that are up.
    ups: usize,
    at_rest: bool,
    authority_until: Time,
    commit: u64,
    beats_at: Time,
    /// What waits for the peer, and for the disk.
    parcels: usize,
    writes: usize,
}

impl Core {
    /// Time has passed, and nothing is due but heartbeats, if anything: packets have put off what was. Sends
    /// them; `false`: everything is to be looked at.
    pub(crate) fn beats_suffice(&mut self) -> bool {
        // What is due for an election ceases to be with the moment that it was due at.
        if !self.is_at_rest() || self.dc_alive().is_none() {
            return false;
        }
        let due = self.due_but_beats();
        if due.is_some_and(|due| due <= self.now) {
            return false;
        }
        let pending = self.writes.pending();
        self.send_beats();
        let Some(due) = self.reckon_due() else {
            return false;
        };
        if due <= self.now || self.writes.pending() != pending || !self.is_at_rest() {
            return false;
        }
        self.rest(due);
        true
    }

    /// Before a packet of a process is taken; `None`: whatever it says is to be looked at in full.
    pub(crate) fn before(&self, from: &Identity, link: LinkId) -> Option<Before> {
        let peer = self.peers.get(&from.node)?;
        let early = self.due.is_some_and(|due| self.now < due);
        let known = peer.identity == Some(*from) && !peer.left && !peer.retired;
        let direct = link != RELAY_LINK;
        let way = direct || peer.relaying.lately(self.now, self.cfg.timing.t_fail_us);
        (early && known && way && self.is_at_rest()).then(|| Before {
            fresh: peer.fresh(self.now, self.cfg.timing.t_fail_us),
            ups: peer.ups(),
            at_rest: peer.is_at_rest(),
            authority_until: peer.authority_until,
            commit: self.commit,
            beats_at: self.beats.at,
            parcels: peer.channel.queued(),
            writes: self.writes.pending(),
        })
    }

    /// Is this one of which nothing can follow but what [`Self::nothing_came_of`] looks at? Asked before
    /// it is taken.
    pub(crate) fn says_nothing_new(
        &self,
        before: &Before,
        from: NodeId,
        message: &Message,
    ) -> bool {
        let Some(peer) = self.peers.get(&from) else {
            return false;
        };
        before.fresh
            && before.at_rest
            && match message {
                Message::Beat(beat) => {
                    let repeats = |old| beat.repeats(old) || beat.comes_late(old, &peer.echo);
                    peer.beat.as_ref().is_some_and(repeats) && beat.state != NodeState::Recovering
                }
                Message::Relay { .. } | Message::ParcelAck { .. } => true,
                _ => false,
            }
    }

    /// It was taken and has changed nothing but times, which only moved on?
    pub(crate) fn nothing_came_of(&self, before: &Before, from: NodeId) -> bool {
        let Some(peer) = self.peers.get(&from) else {
            return false;
        };
        let waits = before.parcels == peer.channel.queued() || peer.channel.is_idle();
        waits
            && peer.is_at_rest()
            && peer.ups() == before.ups
            && peer.authority_until >= before.authority_until
            && self.commit == before.commit
            && self.beats.at == before.beats_at
            && self.writes.pending() == before.writes
            && self.is_at_rest()
    }

    /// Where this node stands. A look at everything goes through the duties once, in their order: where
    /// one of the later ones has changed this, the earlier ones have something to look at next time.
    pub(crate) fn stands_at(&self) -> impl PartialEq + use<> {
        let log = (self.log.head().seq, self.commit, self.applied);
        let seen = (self.seen_all, self.let_in, self.installed_view);
        (log, seen, self.state, self.is_acting(), self.safety.view_no)
    }

    /// Nothing is under way here that a heartbeat, or the time until the next one, brings on.
    fn is_at_rest(&self) -> bool {
        let role = match &self.role {
            Role::Follower => true,
            Role::Candidate(_) => false,
            Role::Dc(dc) => dc.confirmed && dc.acting && self.all_is_sent(),
        };
        role && self.settled
            && self.leaving.is_none()
            && !self.poisoned
            && self.recovery.is_none()
            && self.transfer.is_none()
            && !self.beats.behind
            && self.writes.usable()
    }

    /// Whoever lacks entries has been sent them all; of many, each step sends some.
    fn all_is_sent(&self) -> bool {
        let (head, t_fail_us) = (self.log.head().seq, self.cfg.timing.t_fail_us);
        let served = |p: &Peer| p.progress.next > head || self.is_witness(p.node);
        let mut peers = self.peers.values();
        peers.all(|p| served(p) || !p.hears(self.now, t_fail_us))
    }

    /// After such a step: no later than before, and than what is due for the peer from now on.
    pub(crate) fn move_on(&mut self, from: NodeId) {
        let now = self.now;
        let ends = |p: &Peer| [p.beat_at, p.presence_until, p.authority_until];
        let ends = self.peers.get(&from).map(ends).into_iter().flatten();
        let soonest = ends.filter(|at| *at > now).min();
        if let Some(due) = self.due.into_iter().chain(soonest).min() {
            self.rest(due);
        }
    }

    /// Nothing follows of this step.
    pub(crate) fn rest(&mut self, due: Time) {
        self.was_quiet = true;
        self.come_back(Some(due));
    }

    /// The last step was one after which nothing follows.
    pub fn was_quiet(&self) -> bool {
        self.was_quiet
    }

    /// For a simulator: does what the last step left out because nothing would follow, and says what
    /// followed nevertheless.
    pub fn left_undone(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.was_quiet) {
            return None;
        }
        let (looked, due) = (self.looked, self.due);
        let out = std::mem::take(&mut self.out);
        let before = format!("{self:?}");
        self.advance();
        self.looked = self.now;
        let due_now = self.reckon_due();
        self.looked = looked;
        let told = std::mem::take(&mut self.out);
        let after = format!("{self:?}");
        self.out = out;
        if before == after && told.is_empty() && due_now >= due {
            return None;
        }
        let same = before.chars().zip(after.chars());
        let same = same.take_while(|(was, is)| was == is).count();
        let part = |text: &str| -> String {
            let text = text.chars().skip(same.saturating_sub(AROUND));
            text.take(2 * AROUND).collect()
        };
        let (was, is, first) = (part(&before), part(&after), told.front());
        Some(format!(
            "{was}\nis then\n{is}\nfirst told {first:.300?}\ndue {due:?}, then {due_now:?}"
        ))
    }
}

impl Peer {
    fn ups(&self) -> usize {
        self.links.iter().filter(|l| l.up).count()
    }

    fn is_at_rest(&self) -> bool {
        !self.deaf
            && !self.forgot
            && self.stands.is_none()
            && self.lists_differ_since.is_none()
            && self.in_use == Some(self.best())
    }
}

impl Beat {
    /// Is it older than the newest, as what comes by a second link is? Then nothing it says is taken but
    /// an echo, and that is as the newest.
    fn comes_late(&self, newest: &Self, known: &Option<Echo>) -> bool {
        let alike = |echo: &Echo| known.as_ref().is_some_and(|k| echo.ballot == k.ballot);
        self.beat_no <= newest.beat_no && self.echo.as_ref().is_none_or(alike)
    }

    /// Does it say what an older one said, but for its number and the times?
    fn repeats(&self, old: &Self) -> bool {
        // Each field is named, so that another one has to be thought of here.
        let Self {
            beat_no,
            stamp: _,
            answers: _,
            echo,
            ballot,
            view_no,
            log,
            state,
            acting,
            dc_lost,
            fit,
            withholding,
            blank,
            class_u,
            digest,
            row,
            known,
            parcel_ack: _,
        } = self;
        let echoes = match (echo, &old.echo) {
            (Some(echo), Some(old)) => echo.promises_as(old),
            (None, None) => true,
            _ => false,
        };
        let says = (ballot, view_no, state, acting, dc_lost, fit);
        let said = (
            &old.ballot,
            &old.view_no,
            &old.state,
            &old.acting,
            &old.dc_lost,
            &old.fit,
        );
        let rest = (withholding, blank, class_u, digest, known);
        let rest_was = (
            &old.withholding,
            &old.blank,
            &old.class_u,
            &old.digest,
            &old.known,
        );
        *beat_no > old.beat_no
            && says == said
            && rest == rest_was
            && echoes
            && *log == old.log
            && *row == old.row
    }
}

impl Echo {
    /// The same promise for another stamp?
    fn promises_as(&self, old: &Self) -> bool {
        let Self {
            sent_us: _,
            ballot,
            view_no,
            member,
            void,
            config_epoch,
        } = self;
        (ballot, view_no, member) == (&old.ballot, &old.view_no, &old.member)
            && (void, config_epoch) == (&old.void, &old.config_epoch)
    }
}

/// Characters told on both sides of a difference.
const AROUND: usize = 400;
