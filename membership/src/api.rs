//! What goes into the protocol core and what comes out of it.
//!
//! The driver owns time, sockets and disk. It calls [`crate::Core::handle`] with every [`Input`], then
//! drains [`crate::Core::poll`] until it returns `None`, and calls again at [`Core::next_timeout`].

use serde::{Deserialize, Serialize};
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

use crate::message::Message;
use crate::{Grant, WitnessRecord};

/// Microseconds on CLOCK_BOOTTIME; the only clock of the protocol.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

/// A network link (ring) between nodes, `ringnumber` / `ringX_addr` in corosync.conf(5): 0..=7.
pub type LinkId = u8;

/// Names one configuration operation for its whole life, so that a client may ask again what became
/// of it: 16 random bytes drawn by the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpId(pub [u8; 16]);

/// A coordinator's number: higher counter wins, then higher node.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Ballot {
    /// Grows with every attempt to lead.
    pub counter: u64,
    /// Node that leads it; 0 before the first.
    pub node: u32,
}

/// One member of a [`View`], as the log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// Node, boots and incarnation.
    pub identity: Identity,
    /// Votes it brings.
    pub votes: u32,
}

/// A membership epoch, persisted before anything relies on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Ballot under which it was formed.
    pub ballot: Ballot,
    /// Strictly growing number.
    pub view_no: u64,
    /// Ascending by node id.
    pub members: Vec<Member>,
}

/// Proves by what authority a command was given; an executor refuses one below the highest it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token {
    /// The DC's ballot.
    pub ballot: Ballot,
    /// The DC's view.
    pub view_no: u64,
    /// The DC's process.
    pub dc: ProcessBoot,
    /// Count of commands under this ballot.
    pub act_no: u64,
}

/// A body of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryBody {
    /// First entry of a ballot.
    Noop,
    /// A new membership epoch.
    View(View),
    /// Voter sets: joint while `next` is set (R3).
    Config(ConfigEntry),
    /// The application's: opaque here.
    App {
        /// The operation's name.
        op: OpId,
        /// The node whose client asked.
        origin: NodeId,
        /// What the application wrote.
        #[serde(with = "crate::message::in_one_piece")]
        payload: Vec<u8>,
    },
    /// A node is about to be fenced (I16): committed before the agent runs.
    FenceIntent(FenceIntent),
    /// A fencing ended (R10); committed before recovery starts.
    FenceResult(FenceResult),
    /// A VIP's ownership (R12).
    Grant(Grant),
    /// Members stop echoing a grant; free after its hold (R12).
    Revoke {
        /// Grant that ends.
        grant_no: u64,
    },
    /// The holder verified the removal (R12).
    Released {
        /// Resource.
        vip: String,
        /// Grant that ended.
        grant_no: u64,
    },
    /// A node left with nothing running (R10).
    CleanLeft {
        /// The process that left.
        identity: Identity,
    },
    /// The first entry of a cluster's life (R6): appended only when every configured node was
    /// present and empty.
    Init {
        /// The cluster's name for ever.
        cluster_uuid: [u8; 16],
        /// Digest of the node list all nodes agreed on.
        nodelist_digest: [u8; 32],
        /// First voter set.
        config: ConfigEntry,
    },
}

/// Voter sets in force (R3): `{(id, votes)}`, Q = max(E, sum of votes) / 2 + 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigEntry {
    /// Strictly growing.
    pub config_epoch: u64,
    /// The set in force.
    pub current: VoterSet,
    /// The set it is moving to, while joint.
    pub next: Option<VoterSet>,
}

/// Who votes, and by which rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoterSet {
    /// `(node, votes)`, ascending by node.
    pub votes: Vec<(NodeId, u32)>,
    /// `expected_votes` of votequorum(5), where given; it counts the votes of [`Self::absent`], too.
    pub expected_votes: Option<u32>,
    /// `two_node: 1`.
    pub two_node: bool,
    /// `wait_for_all: 1` (implied by `two_node` unless set to 0).
    pub wait_for_all: bool,
    /// `last_man_standing: 1` with its window in microseconds: voters that are gone for that long are
    /// moved to [`Self::absent`], one in a joint step, and back when they return.
    pub last_man_standing: Option<u64>,
    /// `auto_tie_breaker`'s node: exactly half of the votes are a quorum with it. Part of the
    /// configuration, never derived from a view (R4).
    pub tie_node: Option<NodeId>,
    /// A witness acceptor (R7): one of `votes`, never a member of a view.
    pub witness: Option<NodeId>,
    /// Voters that `last_man_standing` took out, with their votes, ascending: they count for
    /// nothing until a step lets them in again.
    pub absent: Vec<(NodeId, u32)>,
}

/// Intent to fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceIntent {
    /// Strictly growing number given by the DC.
    pub fence_no: u64,
    /// Who shall be gone.
    pub target: NodeId,
    /// Its boot, where known: a certificate applies to this boot alone (I15).
    pub machine_boot: Option<MachineBoot>,
    /// `reboot` or `off`.
    pub action: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// How a fencing ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceResult {
    /// The intent's number.
    pub fence_no: u64,
    /// Who was fenced.
    pub target: NodeId,
    /// The machine boot that is proved dead.
    pub machine_boot: Option<MachineBoot>,
    /// The process incarnation that is proved dead.
    pub incarnation: Option<u64>,
    /// `Ok(device)` or `Err(reason)`.
    pub outcome: Result<String, String>,
}

/// A durably committed entry, handed over in order, each exactly once per process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the log, from 1.
    pub seq: u64,
    /// Ballot under which it was appended.
    pub ballot: Ballot,
    /// What it says.
    pub body: EntryBody,
}

/// Why a proposal did not (yet) become an acknowledged entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This partition has no quorum.
    NoQuorum,
    /// No coordinator is known yet.
    NoDc,
    /// Too many operations under way: the named bound was reached.
    Busy,
    /// The payload exceeds the named bound, in bytes.
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The coordinator changed under way: it may or may not be in the log. Ask by [`OpId`], as long as
    /// fewer than [`crate::OPS_MAX`] operations were committed since it was first proposed.
    InDoubt,
    /// The node may not write: store lost or failed.
    Recovering,
    /// A one-node view of a two-node cluster without a certificate for the other (R11): only
    /// fence entries are taken.
    Restricted,
    /// The entry contradicts the log's state: wrong grant or fence number, unknown grant, a body
    /// that clients may not propose.
    Invalid {
        /// What is wrong, in a sentence.
        why: String,
    },
    /// Another node may still answer for the VIP (R12): it has to release it, or its hold to end.
    Held {
        /// Resource.
        vip: String,
        /// Node of the holder.
        holder: NodeId,
        /// Its grant.
        grant_no: u64,
        /// When it will be free at the latest, in microseconds from now; `None` while nothing
        /// that ends the grant (Released, Revoke, a view without the holder, a certificate) is
        /// committed.
        free_in_us: Option<u64>,
    },
}

/// What the driver feeds in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Time has passed; nothing else.
    Tick,
    /// A sealed session with a peer's process is confirmed in both directions.
    SessionUp {
        /// The peer's process.
        peer: Identity,
    },
    /// Where the log of a process ended on its disk, as it said when it opened a session; right
    /// after the first [`Input::SessionUp`] of that process (R8).
    PeerHead {
        /// The process.
        of: Identity,
        /// Last entry on its disk.
        head: u64,
    },
    /// An authenticated payload made by some peer's [`Effect::Send`].
    Packet {
        /// The session's peer.
        from: Identity,
        /// Link it came by; for streams the link of the connection; [`crate::RELAY_LINK`] for what
        /// another node passed on.
        link: LinkId,
        /// Encoded message.
        payload: Vec<u8>,
    },
    /// A peer refused the handshake, authentically: it knows this incarnation of this node, which is
    /// not below ours, of a process that is silent now (R8). This disk is older than it should be, or
    /// was emptied.
    Outdated {
        /// The peer.
        from: NodeId,
        /// The newest incarnation it knows.
        incarnation: u64,
    },
    /// A [`Output::Persist`] is on disk.
    Durable {
        /// Its id.
        write: u64,
    },
    /// The store failed for good: this node stops acknowledging and leaves the view.
    StoreFailed {
        /// What the store said.
        reason: String,
    },
    /// A client of this node wants an [`EntryBody`] in the log (views and configurations excepted).
    Propose {
        /// Its name; the same name is not applied twice within [`crate::OPS_MAX`] operations.
        op: OpId,
        /// `App`, `Fence*`, `Grant`, `Revoke`, `Released`.
        body: EntryBody,
    },
    /// As many [`Input::Propose`] in this order, and one step for all: what a DC admits of them goes
    /// to the disks behind one barrier and to the followers in as few messages as it fits into.
    ProposeAll {
        /// Names and entries.
        all: Vec<(OpId, EntryBody)>,
    },
    /// As DC: move to another voter set by one joint step (R3). Ignored with a notice when this
    /// node is no DC or a step is under way; the end is seen as committed [`EntryBody::Config`].
    Reconfigure {
        /// The set to move to.
        voters: VoterSet,
    },
    /// Another node list, from now on: nodes came or were removed. Voters are not changed by this
    /// ([`Input::Reconfigure`]), and a removed node is forgotten only when nothing rests on it.
    Peers {
        /// Every other node, ascending by node id.
        peers: Vec<crate::PeerConfig>,
        /// Digest of the new list, as [`crate::Config::nodelist_digest`].
        nodelist_digest: [u8; 32],
    },
    /// Links that are held down after flaps come up with the next packet.
    ResetLinks,
    /// Whether fencing is configured (`stonith-enabled`): it changes with the CIB. A lone node of
    /// two commits class U only where it is not (R11).
    Fencing {
        /// Now.
        configured: bool,
    },
    /// Replace parts of this node's own soft state (R2): key to value, `None` deletes.
    Publish {
        /// Changes.
        items: Vec<(String, Option<Vec<u8>>)>,
    },
    /// As DC: hand a command to a member's executor (possibly this node's own).
    Command {
        /// Target.
        to: NodeId,
        /// Opaque.
        payload: Vec<u8>,
    },
    /// A message to a member outside log and soft state (answers to commands, forwarded requests).
    Tell {
        /// Target.
        to: NodeId,
        /// Opaque.
        payload: Vec<u8>,
    },
    /// Grants of this very process of which nothing is open any more and nothing will be: its gate
    /// is closed and its address gone, or it was never used and will not be. Final: the process is
    /// never listed with such a grant again ([`crate::Core::leases`]). Whom a grant in turn waits for it
    /// hears of it ([`Event::Inherited`]); the log is told by an [`EntryBody::Released`].
    GivenUp {
        /// Resource and number of each.
        grants: Vec<(String, u64)>,
    },
    /// The application's state after entry `seq`, asked for by [`Event::WantSnapshot`].
    Snapshot {
        /// Last entry it contains.
        seq: u64,
        /// Opaque.
        state: Vec<u8>,
    },
    /// Leave the cluster: resources are stopped, say goodbye.
    Leave {
        /// Nothing runs here any more, unmanaged resources included (R10).
        clean: bool,
    },
    /// [`Input::Packet`] that was decoded already: a simulator has looked into it anyway.
    Message {
        /// The session's peer.
        from: Identity,
        /// As in [`Input::Packet`].
        link: LinkId,
        /// What it says; within the bounds that [`Message::decode`] keeps.
        message: Box<Message>,
    },
}

/// What must be on disk before the effects that follow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DurableOp {
    /// Replace the safety record (meta slots, S8).
    Safety(SafetyRecord),
    /// Drop every log record from `seq` on; from 1 on, the snapshot with them, and the same write
    /// brings another one.
    TruncateLog {
        /// First to go.
        seq: u64,
    },
    /// Write one log record.
    AppendLog {
        /// Position.
        seq: u64,
        /// Encoded record (ballot, chain hash, body); opaque to the store.
        record: Vec<u8>,
    },
    /// Hint of what is committed; safe to lose.
    CommitHint {
        /// Position.
        seq: u64,
    },
    /// The state through `seq`; log records at or before it may be dropped.
    Snapshot {
        /// Position.
        seq: u64,
        /// Encoded snapshot (core's and application's state).
        state: Vec<u8>,
    },
    /// Replace a witness' record; it has nothing else on its disk.
    Witness(WitnessRecord),
}

/// The few things that hold safety (S8, ruling 20).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SafetyRecord {
    /// Minted in the first log entry, pinned then; zero before.
    pub cluster_uuid: [u8; 16],
    /// Starts of the process.
    pub incarnation: u64,
    /// Highest ballot promised.
    pub promised: Ballot,
    /// Newest view accepted.
    pub view_no: u64,
    /// Ballot of that view.
    pub view_ballot: Ballot,
    /// Largest hold this node ever echoed, in microseconds (R0).
    pub hold_us_max: u64,
    /// Highest token seen by the executor.
    pub token_ballot: Ballot,
    /// Valid only while `view_no` is the newest view ever accepted (R5).
    pub sole_survivor: Option<SoleSurvivor>,
    /// The store lost something and the quorum's state is not fetched yet (R6): survives restarts.
    pub recovering: bool,
}

/// This node alone carried the cluster on, with proof that the others were gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoleSurvivor {
    /// The one-node view.
    pub view_no: u64,
    /// Machine boots proved dead.
    pub fenced: Vec<(NodeId, Option<MachineBoot>)>,
}

/// What the store gave back at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// `None` on a first start.
    pub safety: Option<SafetyRecord>,
    /// Newest snapshot.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// Records after the snapshot, in order.
    pub log: Vec<(u64, Vec<u8>)>,
    /// Commit hint.
    pub commit_hint: u64,
    /// The store came back damaged or by an import: RECOVERING, no votes (R6).
    pub degraded: bool,
}

/// What the core wants done.
#[allow(
    clippy::large_enum_variant,
    reason = "moved once or twice, and never kept in numbers"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// May run at once.
    Do(Effect),
    /// Write `ops` in order behind one barrier, run `then` only when they are on disk, and feed
    /// [`Input::Durable`] back. Writes complete in the order of their ids.
    Persist {
        /// Growing number.
        write: u64,
        /// What to write.
        ops: Vec<DurableOp>,
        /// What relies on it.
        then: Vec<Effect>,
    },
}

/// Something to do in the world.
#[allow(
    clippy::large_enum_variant,
    reason = "moved once or twice, and never kept in numbers"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Seal and send.
    Send {
        /// Peer.
        to: NodeId,
        /// How.
        via: Via,
        /// Encoded message.
        payload: Vec<u8>,
    },
    /// The same of a heartbeat, still to be encoded ([`Message::encode`]): it fits a datagram. Most
    /// packets are heartbeats, and a simulator hands them on as they are.
    Message {
        /// Peer.
        to: NodeId,
        /// How.
        via: Via,
        /// What it says.
        message: Box<Message>,
    },
    /// A packet that another node passed on: open it, and feed what it holds as a packet of whoever
    /// sealed it, with [`crate::RELAY_LINK`]. Handshakes come this way, too.
    Unseal {
        /// The node that passed it on.
        by: NodeId,
        /// The sealed packet.
        sealed: Vec<u8>,
    },
    /// Tell the application.
    Event(Event),
}

/// How a payload travels. Loss is the core's business in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// One datagram on this link (`payload` at most [`DATAGRAM_BYTES_MAX`]).
    Link(LinkId),
    /// A record on the pair's TCP stream, for what does not fit a datagram.
    Stream,
    /// Sealed for the peer with [`crate::RELAY_LINK`], wrapped by [`crate::wrap`], and sent to another
    /// node that passes it on.
    Relay {
        /// That node.
        hop: NodeId,
        /// On this link to it; `None`: on the stream to it.
        link: Option<LinkId>,
    },
}

/// Largest payload of a datagram, in bytes, before header and tag; fits every MTU in use.
pub const DATAGRAM_BYTES_MAX: usize = 1_200;

/// What the application learns, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A view was installed here (durable).
    View(View),
    /// The state this node is in changed.
    State {
        /// New state.
        state: NodeState,
        /// Why, in a sentence.
        why: String,
    },
    /// Quorum gained or lost, or missing for another reason than before.
    Quorum {
        /// Now.
        quorate: bool,
        /// Why, in a sentence.
        why: String,
    },
    /// This node may act as DC from now, with this ballot and view (authority fresh).
    DcActing {
        /// Ballot of its authority.
        ballot: Ballot,
    },
    /// It may no longer.
    DcEnded {
        /// Why, in a sentence.
        why: String,
    },
    /// A durably committed entry.
    Committed(Entry),
    /// The application's state was replaced: by the store at start or by a peer's snapshot.
    Restored {
        /// Last entry contained.
        seq: u64,
        /// As given to [`Input::Snapshot`]; empty = initial state.
        state: Vec<u8>,
    },
    /// The log grew: give [`Input::Snapshot`] when convenient.
    WantSnapshot,
    /// A proposal's end.
    Outcome {
        /// Which.
        op: OpId,
        /// Position in the log, or why not.
        result: Result<u64, Refusal>,
    },
    /// A node's soft state changed. After a view change each member's arrives whole.
    Soft {
        /// Whose.
        from: Identity,
        /// Forget what was known of this node before.
        reset: bool,
        /// Changes.
        items: Vec<(String, Option<Vec<u8>>)>,
    },
    /// A command from the acting DC, to be executed here. The token was checked and is to be
    /// checked again before long work starts.
    Command {
        /// The authority.
        token: Token,
        /// The DC.
        from: NodeId,
        /// As given to [`Input::Command`].
        payload: Vec<u8>,
    },
    /// A command that was given here did not go out: whoever waits for it waits in vain.
    CommandUnsent {
        /// For whom it was.
        to: NodeId,
        /// As given to [`Input::Command`].
        payload: Vec<u8>,
        /// Why, in a sentence.
        why: String,
    },
    /// A command that came here was not handed over: its token is not, or no longer, the acting
    /// DC's.
    CommandRefused {
        /// Who sent it.
        from: NodeId,
        /// As given to its [`Input::Command`].
        payload: Vec<u8>,
    },
    /// As given to a peer's [`Input::Tell`].
    Told {
        /// Sender.
        from: Identity,
        /// Opaque.
        payload: Vec<u8>,
    },
    /// The holder of a VIP has told this process, whose grant waited for that, that it gave the VIP
    /// up: the grant counts from now on.
    Inherited {
        /// Resource.
        vip: String,
        /// The grant that waited.
        grant_no: u64,
    },
    /// A peer as this node's detector sees it.
    Peer {
        /// Which.
        node: NodeId,
        /// Now.
        state: PeerState,
        /// Why, in a sentence.
        why: String,
    },
    /// Something a person should know: refused peer, clone, fork, older disk image, slow store.
    Notice {
        /// Stable word, kebab-case.
        code: String,
        /// About whom.
        node: Option<NodeId>,
        /// What, where, why, what to do.
        text: String,
    },
    /// This node's coordinator authority became restricted (R11), or unrestricted again.
    Restricted {
        /// Now.
        restricted: bool,
        /// Why, in a sentence.
        why: String,
    },
    /// An uncertified one-node view of a two-node cluster: the intent is on this disk and the agent
    /// may run (R11). When its result is certified the same intent arrives as committed, too.
    FenceIntentLocal(FenceIntent),
    /// Entries written here under class U lost against another lineage: to be kept in `conflicts/`
    /// and alerted, never dropped (I20). If this process had applied them an [`Event::Restored`]
    /// follows.
    Conflict {
        /// What somebody asked for, what this node may have acknowledged without quorum, and what
        /// is no longer part of the log.
        lost: Vec<Entry>,
    },
    /// This process can never be a member: its incarnation is not above what its peers know. End
    /// it and start another over the same store, whose safety record was raised before this came.
    RestartNeeded {
        /// Why, in a sentence.
        why: String,
    },
    /// [`Input::Leave`] is done; the process may end.
    Left,
}

/// Protocol state of this node (protocol states of the failure and view machinery).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// Opened the store, hears nobody yet.
    Boot,
    /// Its store lost something: no votes until it has a quorum's state (R6).
    Recovering,
    /// Wants to be in a view.
    Joining,
    /// Member under another node's ballot.
    Follower,
    /// Asks for promises.
    Candidate,
    /// Promised, its first entries are on their way.
    DcPending,
    /// Coordinator.
    Dc,
    /// Going.
    Leaving,
    /// A certificate names this boot dead: never again (R10).
    Poisoned,
}

/// A peer as the detector sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerState {
    /// Never heard.
    Unknown,
    /// Heard on some link within the detection timeout.
    Up,
    /// Silent on every link for the detection timeout, or deaf to this node on every path.
    Lost,
    /// Said goodbye.
    Left,
}
