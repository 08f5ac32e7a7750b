//! The heartbeat: what a node says of itself, of whom it hears, and what it promises.

use serde::{Deserialize, Serialize};
use wire::NodeId;

use super::Point;
use crate::{Ballot, NodeState};

/// A heartbeat's claim: "I rely on this stamp for `hold_us` after `sent_us` of my clock" (R0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Sender's clock.
    pub sent_us: u64,
    /// Its longest reliance on it.
    pub hold_us: u64,
}

/// A stamp given back: a promise (R0), made under this ballot and view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// The receiver's own clock, as it sent it.
    pub sent_us: u64,
    /// Highest ballot the echoer has promised (durably).
    pub ballot: Ballot,
    /// Newest view the echoer has accepted (durably).
    pub view_no: u64,
    /// The stamp's holder is a member of that view: the echo is a promise to it.
    pub member: bool,
    /// Grants of the holder that the echoer's log has seen end, ascending, as far as the holder
    /// may not know it: no promise for these (R12). [`VOID_ALL`] stands for every grant.
    pub void: Vec<u64>,
    /// Configuration epoch of the echoer's log: to a holder whose voter sets are older the echo
    /// is no promise for grants (R3).
    pub config_epoch: u64,
}

impl Echo {
    /// Does it promise anything about this grant of its receiver?
    pub fn covers(&self, grant_no: u64) -> bool {
        self.member && !self.void.contains(&grant_no) && !self.void.contains(&VOID_ALL)
    }
}

/// What the sender remembers of the receiver (R8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Highest incarnation seen.
    pub incarnation: u64,
    /// Committed position it has acknowledged as durable.
    pub durable: u64,
}

/// One node's reception of another: a field of the who-hears-whom matrix. A node received within
/// the detection timeout has one, by whatever path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Who is received.
    pub node: NodeId,
    /// [`Self::COUNTS`], [`Self::DIRECT`], [`Self::EDGE`].
    pub how: u8,
}

impl Heard {
    /// It counts as heard, and is echoed (R0).
    pub const COUNTS: u8 = 1;
    /// A direct link from it is up.
    pub const DIRECT: u8 = 2;
    /// So is one to it: packets may be passed on between the two.
    pub const EDGE: u8 = 4;
}

/// How far a log goes. Where everything in it is committed, as nearly always, one of the two goes
/// without saying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Last entry known committed.
    pub commit: Point,
    /// Last entry in the log.
    pub head: Point,
}

impl Serialize for Ends {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = (self.head != self.commit).then_some(self.head);
        (self.commit, head).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ends {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (commit, head) = <(Point, Option<Point>)>::deserialize(deserializer)?;
        let head = head.unwrap_or(commit);
        Ok(Self { commit, head })
    }
}

/// Heartbeat. It never changes persisted state by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Grows with every beat of the process; what is older than the newest is not news.
    pub beat_no: u64,
    /// Wants an echo.
    pub stamp: Option<Stamp>,
    /// It answers a heartbeat, at once and on its way. It may be one itself.
    pub answers: bool,
    /// Stamp given back.
    pub echo: Option<Echo>,
    /// Highest ballot promised (durably).
    pub ballot: Ballot,
    /// Newest view accepted (durably).
    pub view_no: u64,
    /// The sender's log.
    pub log: Ends,
    /// Sender's protocol state.
    pub state: NodeState,
    /// Authority fresh: the sender acts as DC.
    pub acting: bool,
    /// It misses a DC: its consent to an election (the pre-vote).
    pub dc_lost: bool,
    /// It may promise and acknowledge at all.
    pub fit: bool,
    /// It started lately and suspects nobody yet (R0).
    pub withholding: bool,
    /// It never had a log nor promised anything.
    pub blank: bool,
    /// Its log holds commits of class U.
    pub class_u: bool,
    /// First bytes of its node list's digest (R6).
    pub digest: [u8; 8],
    /// Whom it receives, and how (ruling 19), ascending.
    pub row: Vec<Heard>,
    /// What it remembers of the receiver.
    pub known: Known,
    /// Highest parcel of the receiver's channel delivered.
    pub parcel_ack: u64,
}

impl Beat {
    fn heard(&self, node: NodeId) -> Option<&Heard> {
        // Ascending as cores make it; in one that is not, each is looked at.
        match self.row.binary_search_by_key(&node, |h| h.node) {
            Ok(at) => self.row.get(at),
            Err(_) => self.row.iter().find(|h| h.node == node),
        }
    }

    fn how(&self, node: NodeId) -> u8 {
        self.heard(node).map_or(0, |h| h.how)
    }

    /// The sender counts this node as heard, and echoes it.
    pub fn counts(&self, node: NodeId) -> bool {
        self.how(node) & Heard::COUNTS != 0
    }

    /// The sender receives this node, by whatever path.
    pub fn receives(&self, node: NodeId) -> bool {
        self.heard(node).is_some()
    }

    /// The sender receives this node directly.
    pub fn direct(&self, node: NodeId) -> bool {
        self.how(node) & Heard::DIRECT != 0
    }

    /// The sender and this node reach each other directly.
    pub fn edge(&self, node: NodeId) -> bool {
        self.how(node) & Heard::EDGE != 0
    }

    /// Whom the sender counts as heard, ascending.
    pub fn hears(&self) -> impl Iterator<Item = NodeId> {
        let counts = self.row.iter().filter(|h| h.how & Heard::COUNTS != 0);
        counts.map(|h| h.node)
    }
}

/// Most numbers in [`Echo::void`]; more are told as [`VOID_ALL`].
pub const GRANTS_VOID_MAX: usize = 16;
/// In [`Echo::void`]: every grant of the receiver. Grants are numbered from 1.
pub const VOID_ALL: u64 = 0;
