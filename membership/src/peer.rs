//! All a core knows of one peer.

use wire::{Identity, NodeId};

use crate::channel::Channel;
use crate::config::PeerConfig;
use crate::links::{self, Link};
use crate::message::{Beat, Echo, Stamp};
use crate::mutant::{self, Mutant};
use crate::relay::Relaying;
use crate::{Ballot, LinkId, NodeState, PeerState, Time};

/// Every step looks at the first fields of every peer, so they lie together, in this order: of many
/// peers only these few cache lines are touched.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    /// Its newest beat says that it is able to work; that it hears us.
    fit: bool,
    pub(crate) hears_us: bool,
    /// They do so no more (or never did): it is deaf to us, on every path.
    pub(crate) deaf: bool,
    pub(crate) left: bool,
    /// It is no longer in the node list: not heard, and forgotten when nothing rests on it.
    pub(crate) retired: bool,
    /// Its disk went back behind `durable_known`: it is not counted before it has caught up (R8).
    pub(crate) forgot: bool,
    pub(crate) reported: PeerState,
    /// The link data takes.
    pub(crate) in_use: Option<LinkId>,
    pub(crate) last_heard: Option<Time>,
    /// The ballot that it leads, acting or not, as its newest beat says.
    pub(crate) leads: Option<Ballot>,
    /// Since when its beats say that it stands, and the promise on its disk that the first of them named.
    pub(crate) stands: Option<(Time, Ballot)>,
    /// R0: it is not missing, and no view without it is acknowledged, before.
    pub(crate) presence_until: Time,
    /// R0: no promise against it before; cleared when its process denies being DC or is dead.
    pub(crate) authority_until: Time,
    /// When its next heartbeat is due.
    pub(crate) beat_at: Time,
    /// When this process of it was met.
    pub(crate) met: Time,
    pub(crate) links: Vec<Link>,
    /// Its way through others.
    pub(crate) relaying: Relaying,
    pub(crate) channel: Channel,
    /// Newest process with a session.
    pub(crate) identity: Option<Identity>,
    /// A view without it is waiting: no more echoes (R0).
    pub(crate) shunned_until: Time,
    /// Newest of our stamps it gave back, and under which ballot.
    pub(crate) echo: Option<Echo>,
    pub(crate) progress: Progress,
    /// Newest heartbeat of this process ([`Peer::take_beat`]).
    pub(crate) beat: Option<Beat>,
    /// Its beats have named us among those it receives.
    pub(crate) named_us: bool,
    /// Its newest stamp, to be given back.
    pub(crate) stamp: Option<Stamp>,
    /// When that stamp arrived.
    pub(crate) stamp_at: Time,
    /// What was given back last: stamp, ballot, membership. A repetition promises nothing new.
    pub(crate) given: Option<Echo>,
    pub(crate) authority_ballot: Ballot,
    /// When the newest echo arrived (only a seeded bug looks at it).
    pub(crate) echo_received: Time,
    /// The echo in its newest beat that had one, whatever its ballot: what leases rely on.
    pub(crate) promise: Option<Echo>,
    /// When that one arrived (only a seeded bug looks at it).
    pub(crate) promise_received: Time,
    /// Since when its beats name another node list than this node's.
    pub(crate) lists_differ_since: Option<Time>,
    /// Committed position it acknowledged as durable, over all its processes (R8).
    pub(crate) durable_known: u64,
    pub(crate) next_beat_no: u64,
    /// When it was sent the newest one.
    pub(crate) stamped: Time,
    pub(crate) poisoned_sent: Option<Time>,
    /// When an outdated process of this node was told so.
    pub(crate) outdated_told: Option<Time>,
}

/// A DC's knowledge of a follower's log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// Next entry to send.
    pub(crate) next: u64,
    /// Acknowledged under this ballot.
    pub(crate) mem: u64,
    pub(crate) durable: u64,
    /// Commit position last told.
    pub(crate) commit_told: u64,
    /// Last append; an answer is due.
    pub(crate) sent: Option<Time>,
    /// Since when entries are on the way of which none was acknowledged.
    pub(crate) unanswered: Option<Time>,
    /// The follower's log is known to contain `next - 1`.
    pub(crate) matched: bool,
    /// Last offer of a snapshot.
    pub(crate) offered: Option<Time>,
}

impl Progress {
    /// Since when entries are on the way without an answer, if any are.
    pub(crate) fn oldest_unanswered(&self) -> Option<Time> {
        self.unanswered.filter(|_| self.next > self.mem + 1)
    }
}

impl Peer {
    pub(crate) fn new(config: &PeerConfig) -> Self {
        Self {
            node: config.node,
            links: config.links().map(|(id, p)| Link::new(id, p)).collect(),
            in_use: None,
            relaying: Relaying::default(),
            met: Time(0),
            named_us: false,
            deaf: false,
            identity: None,
            last_heard: None,
            beat: None,
            fit: false,
            leads: None,
            hears_us: false,
            stands: None,
            stamp: None,
            stamp_at: Time(0),
            given: None,
            presence_until: Time(0),
            authority_until: Time(0),
            authority_ballot: Ballot::default(),
            echo: None,
            echo_received: Time(0),
            promise: None,
            promise_received: Time(0),
            reported: PeerState::Unknown,
            left: false,
            retired: false,
            lists_differ_since: None,
            durable_known: 0,
            forgot: false,
            progress: Progress::default(),
            channel: Channel::default(),
            next_beat_no: 0,
            beat_at: Time(0),
            stamped: Time(0),
            shunned_until: Time(0),
            poisoned_sent: None,
            outdated_told: None,
        }
    }

    /// A new process of the node: what the old one said is void, what we promised about the node
    /// (presence, for its leases) stays; its authority died with it.
    pub(crate) fn new_process(&mut self, identity: Identity, now: Time) {
        self.identity = Some(identity);
        self.met = now;
        self.named_us = false;
        self.deaf = false;
        self.relaying.new_process();
        for link in &mut self.links {
            link.forgive();
        }
        self.beat = None;
        self.fit = false;
        self.leads = None;
        self.hears_us = false;
        self.stands = None;
        self.stamp = None;
        self.given = None;
        self.authority_until = Time(0);
        self.echo = None;
        self.promise = None;
        self.left = false;
        self.lists_differ_since = None;
        self.progress = Progress::default();
        self.channel = Channel::default();
        self.next_beat_no = 0;
        self.poisoned_sent = None;
        self.forgot = false;
    }

    /// A new echo was given for a stamp: its presence is promised for the stamp's hold from now, and
    /// its authority, where it leads under the ballot (R0).
    pub(crate) fn promise_hold(&mut self, now: Time, hold_us: u64, ballot: Ballot) {
        let until = now.plus(hold_us);
        self.presence_until = self.presence_until.max(until);
        if self.leads == Some(ballot) {
            self.authority_until = self.authority_until.max(until);
            self.authority_ballot = ballot;
        }
    }

    /// Heard within T on some link or through another node, able to work, and not deaf to us: what
    /// counts in the hears-row, and what is echoed (R0).
    pub(crate) fn hears(&self, now: Time, t_fail_us: u64) -> bool {
        self.fit
            && !self.left
            && !self.retired
            && !self.forgot
            && !self.deaf
            && self.fresh(now, t_fail_us)
    }

    /// Both ends hear each other.
    pub(crate) fn linked(&self, now: Time, t_fail_us: u64) -> bool {
        self.hears_us && self.hears(now, t_fail_us)
    }

    /// It stands, and its promise to itself has come to its disk since: it asks for those of others.
    pub(crate) fn asks(&self) -> bool {
        let promised = self.beat.as_ref().map(|b| b.ballot);
        let own = |(_, before)| promised.is_some_and(|b| b > before && b.node == self.node.0);
        self.stands.is_some_and(own)
    }

    /// A direct link is up.
    pub(crate) fn up(&self) -> bool {
        self.links.iter().any(|l| l.up)
    }

    /// Packets go both ways directly, as far as can be seen from here.
    pub(crate) fn edge(&self) -> bool {
        self.up() && (self.relaying.direct() || mutant::on(Mutant::EdgeOneWay))
    }

    /// The link data takes.
    pub(crate) fn best(&self) -> LinkId {
        links::choose(&self.links, self.in_use)
    }

    /// An authentic packet arrived within T, whatever it said.
    pub(crate) fn fresh(&self, now: Time, t_fail_us: u64) -> bool {
        self.last_heard.is_some_and(|t| now < t.plus(t_fail_us))
    }

    /// Its newest beat. What is asked of it in every step is looked up once.
    pub(crate) fn take_beat(&mut self, beat: Beat, me: NodeId) {
        let leads = matches!(beat.state, NodeState::Dc | NodeState::DcPending);
        self.leads = leads.then_some(beat.ballot);
        self.fit = beat.fit;
        self.hears_us = beat.counts(me);
        self.beat = Some(beat);
    }
}
