//! A floating address on its way from one node to another, both of them members (R12): the next
//! holder's grant is on the disks before this one stops, so that nobody waits for a disk while the
//! address is silent.
//!
//! ```text
//! DC                              A, the holder            B, the next
//! grant in turn ──► committed
//! Prepare ───────────────────────────────────────────────► knows of its grant
//!   ◄───────────────────────────────────────────── Prepared
//! stop ─────────────────────────► gate closed, address gone
//!                                 its word ──────────────► Inherited: start
//!   ◄──────────────────────────── done                done ──►
//! ```
//!
//! For the DC's graph both operations are under way from the first line on. Wherever this cannot be
//! followed to its end, the stop is commanded without it and the start waits for the log, as any
//! other does (`grants`).

use super::app::App;
use super::peer::{NodeCommand, NodeTell};
use crate::controller::{self, Then};
use crate::executor::{CommandToken, OpRequest};
use crate::transport::boottime_ms;
use crate::vip::lease::is_leased;
use membership::{EntryBody, Grant, OpId};
use std::collections::{BTreeMap, BTreeSet};
use wire::{Identity, NodeId};

/// Addresses on their way, as the DC and as the next holder see them.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    /// The DC's, by resource.
    moves: BTreeMap<String, Handover>,
    /// As DC: grants in turn whose holder has told of its start.
    used: BTreeSet<u64>,
    /// When the DC asks again who waits for a grant that nobody speaks of.
    ask_at_ms: Option<u64>,
    /// Starts that wait here for their turn, by resource.
    prepared: BTreeMap<String, Prepared>,
    /// Grants whose turn came here.
    inherited: BTreeSet<u64>,
    /// Key of the last start of each resource that was begun here when its turn came.
    begun: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Handover {
    from: NodeId,
    to: NodeId,
    holder: Identity,
    stop: Box<OpRequest>,
    start: Box<OpRequest>,
    stage: Stage,
    /// Number of the grant in turn, once it is committed.
    heir: Option<u64>,
    /// Until then the next step waits for its answer.
    until_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The grant in turn is proposed.
    Asking(OpId),
    /// The next holder is asked whether it knows of it.
    Preparing,
    /// The holder stops.
    Stopping,
    /// The holder is gone or did not stop: what has the next one done?
    Ending,
}

/// A start that waits for its turn.
#[derive(Debug)]
struct Prepared {
    token: Option<CommandToken>,
    grant_no: u64,
    request: Box<OpRequest>,
    told: bool,
}

impl Handovers {
    /// This node's reign ended.
    pub(super) fn clear(&mut self) {
        self.moves.clear();
        self.used.clear();
        self.ask_at_ms = None;
    }

    pub(super) fn next_timeout_ms(&self) -> Option<u64> {
        let due = self.moves.values().map(|m| m.until_ms);
        due.chain(self.ask_at_ms).min()
    }

    /// This process may use the grant although the log does not say so yet.
    pub(super) fn is_inherited(&self, grant: &Grant) -> bool {
        self.inherited.contains(&grant.grant_no)
    }

    /// The DC commands a start, whether its turn has come or not.
    pub(super) fn forget_prepared(&mut self, request: &OpRequest) {
        let waits = self.prepared.get(&request.rsc);
        let same = |p: &Prepared| p.request.transition_key == request.transition_key;
        if waits.is_some_and(same) {
            self.prepared.remove(&request.rsc);
        }
    }

    /// A start that was begun when its turn came is the one that the DC commands now.
    pub(super) fn has_begun(&self, request: &OpRequest) -> bool {
        let known = self.begun.get(&request.rsc);
        request.operation == "start" && known == Some(&request.transition_key)
    }
}

/// As DC.
impl App {
    /// A stop and the start elsewhere that follows it; false where they have to go one by one.
    pub(super) fn hand_over(&mut self, from: &str, stop: &OpRequest, then: &Then) -> bool {
        let start = &then.request;
        let vip = &stop.rsc;
        let nodes = (self.peers.by_name(from), self.peers.by_name(&then.node));
        let (Some(from), Some(to)) = nodes else {
            return false;
        };
        let standings = self.replica.standings();
        let holder = standings.identity(to.0);
        let grants = self.replica.grants();
        let standing = grants
            .of(vip)
            .filter(|g| standings.identity(from.0) == Some(g.holder) && !self.is_ending(g));
        let free = grants.heir(vip).is_none() && !self.handovers.moves.contains_key(vip);
        let plain = is_leased(stop) && is_leased(start) && !self.standing.restricted;
        let (Some(holder), Some(standing)) = (holder, standing) else {
            return false;
        };
        if !(free && plain && from != to) {
            return false;
        }
        let op = Self::new_op();
        let grant = Grant::in_turn(vip, holder, standing.grant_no);
        let handover = Handover {
            from,
            to,
            holder,
            stop: Box::new(stop.clone()),
            start: start.clone(),
            stage: Stage::Asking(op),
            heir: None,
            until_ms: boottime_ms() + STEP_MS_MAX,
        };
        self.handovers.moves.insert(vip.clone(), handover);
        self.note_move(to, start);
        self.control(controller::Input::Taken {
            transition_key: start.transition_key.clone(),
        });
        self.turn.propose(op, EntryBody::Grant(grant));
        true
    }

    /// The log names who is to have an address in turn.
    pub(super) fn heir_named(&mut self, grant: &Grant) {
        self.tell_prepared(&grant.vip);
        if self.standing.acting.is_none() {
            return;
        }
        let found = self.handovers.moves.get_mut(&grant.vip);
        let Some(handover) = found.filter(|m| m.holder == grant.holder) else {
            return self.ask_heir(grant);
        };
        handover.heir = Some(grant.grant_no);
        if !matches!(handover.stage, Stage::Asking(_)) {
            return;
        }
        handover.stage = Stage::Preparing;
        handover.until_ms = boottime_ms() + STEP_MS_MAX;
        let (to, request) = (handover.to, handover.start.clone());
        let grant_no = grant.grant_no;
        self.command_to(to, NodeCommand::Prepare { grant_no, request });
    }

    /// The grant in turn was refused: the address goes by the log. False if `op` is none.
    pub(super) fn in_turn_refused(&mut self, op: OpId) -> bool {
        let mut moves = self.handovers.moves.iter();
        let found = moves.find(|(_, m)| m.stage == Stage::Asking(op));
        let Some(vip) = found.map(|(vip, _)| vip.clone()) else {
            return false;
        };
        self.stop_holder(&vip);
        true
    }

    /// The next holder is ready.
    pub(super) fn prepared(&mut self, vip: &str, grant_no: u64) {
        let handover = self.handovers.moves.get(vip);
        if handover.is_some_and(|m| m.stage == Stage::Preparing && m.heir == Some(grant_no)) {
            self.stop_holder(vip);
        }
    }

    /// The next holder will not start by itself: it gave its grant in turn back.
    pub(super) fn unused(&mut self, vip: &str, transition_key: &str) {
        let found = self.handovers.moves.get(vip);
        let stage = found
            .filter(|m| m.start.transition_key == transition_key)
            .map(|m| m.stage);
        match stage {
            Some(Stage::Asking(_) | Stage::Preparing) => self.stop_holder(vip),
            Some(Stage::Ending) => self.start_withdrawn(vip, "its holder did not give it up"),
            Some(Stage::Stopping) => {}
            None => self.ask_now(vip, transition_key),
        }
    }

    /// From here on the address is on its way.
    fn stop_holder(&mut self, vip: &str) {
        if let Some(handover) = self.handovers.moves.get_mut(vip) {
            handover.stage = Stage::Stopping;
            handover.until_ms = boottime_ms() + handover.stop.timeout_ms + STOP_GRACE_MS;
            let (from, stop) = (handover.from, handover.stop.clone());
            self.command_to(from, NodeCommand::Run(stop));
        }
    }

    /// An operation was answered. The holder's stop: its start elsewhere is begun already, or has
    /// to be asked for. The start: all is done.
    pub(super) fn handover_answered(&mut self, transition_key: &str, ok: bool) {
        let mut moves = self.handovers.moves.iter();
        let is_its = |m: &Handover| {
            let stop = m.stop.transition_key == transition_key;
            (stop || m.start.transition_key == transition_key).then_some(stop)
        };
        let found = moves.find_map(|(vip, m)| Some((vip.clone(), is_its(m)?)));
        let Some((vip, stop)) = found else {
            return self.start_answered(transition_key);
        };
        match (stop, ok) {
            (true, false) => self.end_handover(&vip),
            (true, true) => {
                if let Some(m) = self.handovers.moves.remove(&vip) {
                    self.await_start(m.to, m.holder, m.start, ANSWER_MS);
                }
            }
            (false, _) => {
                let ended = self.handovers.moves.remove(&vip);
                self.handovers.used.extend(ended.and_then(|m| m.heir));
            }
        }
    }

    /// A start that this DC waits for is answered: whatever grant in turn it used is accounted for.
    fn start_answered(&mut self, transition_key: &str) {
        if let Some((vip, holder)) = self.forget_start(transition_key) {
            let heir = self.replica.grants().heir(&vip);
            let its = heir.filter(|g| g.holder == holder).map(|g| g.grant_no);
            self.handovers.used.extend(its);
        }
    }

    /// The stop will not come to the good end that the start waits for.
    fn end_handover(&mut self, vip: &str) {
        if let Some(handover) = self.handovers.moves.get_mut(vip) {
            handover.stage = Stage::Ending;
            handover.until_ms = boottime_ms() + END_MS_MAX;
            let (to, vip) = (handover.to, vip.to_owned());
            self.tell(to, NodeTell::GiveUp { vip });
        }
    }

    fn start_withdrawn(&mut self, vip: &str, why: &str) {
        if let Some(handover) = self.handovers.moves.remove(vip) {
            self.control(controller::Input::Withdrawn {
                transition_key: handover.start.transition_key,
                why: format!("{vip} was not started: {why}"),
            });
        }
    }

    /// A member is gone; the controller gives up by itself what was under way there.
    pub(super) fn handovers_without(&mut self, node: NodeId) {
        let moves = self.handovers.moves.iter();
        let touched = moves.filter(|(_, m)| m.from == node || m.to == node);
        let touched: Vec<String> = touched.map(|(vip, _)| vip.clone()).collect();
        for vip in touched {
            let Some(handover) = self.handovers.moves.get(&vip) else {
                continue;
            };
            if handover.from == node && handover.to != node {
                self.end_handover(&vip);
            } else if handover.stage == Stage::Stopping {
                self.handovers.moves.remove(&vip);
            } else {
                self.stop_withdrawn(&vip, "who was to have it is gone");
            }
        }
    }

    /// What was not begun is left alone when the plan is void: the address stays where it is.
    pub(super) fn take_handovers_back(&mut self) {
        let Some(why) = self.duty.controller.aborted().map(str::to_owned) else {
            return;
        };
        let begun = |m: &Handover| matches!(m.stage, Stage::Stopping | Stage::Ending);
        let moves = self.handovers.moves.iter();
        let open = moves.filter(|(_, m)| !begun(m));
        let open: Vec<String> = open.map(|(vip, _)| vip.clone()).collect();
        for vip in open {
            self.stop_withdrawn(&vip, &why);
        }
    }

    fn stop_withdrawn(&mut self, vip: &str, why: &str) {
        let Some(handover) = self.handovers.moves.remove(vip) else {
            return;
        };
        self.tell(handover.to, NodeTell::GiveUp { vip: vip.into() });
        for request in [handover.stop, handover.start] {
            self.control(controller::Input::Withdrawn {
                transition_key: request.transition_key,
                why: format!("{vip} was not moved: {why}"),
            });
        }
    }

    pub(super) fn handovers_on_time(&mut self, now_ms: u64) {
        let moves = self.handovers.moves.iter();
        let late = moves.filter(|(_, m)| now_ms >= m.until_ms);
        let late: Vec<(String, Stage)> = late.map(|(vip, m)| (vip.clone(), m.stage)).collect();
        for (vip, stage) in late {
            match stage {
                Stage::Ending => self.start_withdrawn(&vip, "nobody says what became of it"),
                Stage::Stopping => self.end_handover(&vip),
                // Its answer may still come, and then saves the wait for the log.
                _ => self.stop_holder(&vip),
            }
        }
        if self.handovers.ask_at_ms.is_some_and(|at| now_ms >= at) {
            self.handovers.ask_at_ms = None;
            self.ask_heirs();
        }
    }

    /// Grants in turn of members of which this DC does not know whether they are used. Whoever has
    /// one may start at any moment, so nothing is planned before it has said.
    pub(super) fn open_heirs(&self) -> Vec<Grant> {
        let standings = self.replica.standings();
        let heirs = self.replica.grants().heirs().filter(|g| {
            let there = standings.identity(g.node().0) == Some(g.holder);
            there && !self.handovers.used.contains(&g.grant_no)
        });
        heirs.cloned().collect()
    }

    /// Asks whoever waits for a grant of which no move of this DC knows.
    pub(super) fn ask_heirs(&mut self) {
        if self.standing.acting.is_none() {
            return;
        }
        let heirs = self.replica.grants().heirs();
        let known = |g: &&Grant| self.handovers.moves.contains_key(&g.vip);
        let open: Vec<Grant> = heirs.filter(|g| !known(g)).cloned().collect();
        for grant in &open {
            self.ask_heir(grant);
        }
        if !open.is_empty() {
            self.handovers.ask_at_ms = Some(boottime_ms() + ASK_MS);
        }
    }

    /// What this grant in turn was made for is over, unless a start waits for it: on a slow disk the
    /// holder may have stopped before the log named it. That start is commanded once the grant
    /// stands, and would wait in vain if its node had given it back meanwhile.
    fn ask_heir(&mut self, grant: &Grant) {
        if !self.is_awaited(grant) {
            let vip = grant.vip.clone();
            self.tell(grant.node(), NodeTell::GiveUp { vip });
        }
    }

    /// The log's grants in turn are others.
    pub(super) fn heirs_moved(&mut self) {
        if self.standing.acting.is_none() {
            return;
        }
        let grants = self.replica.grants();
        let waiting: BTreeSet<u64> = grants.heirs().map(|g| g.grant_no).collect();
        self.handovers.used.retain(|no| waiting.contains(no));
        if grants.heirs().next().is_some() {
            let at = boottime_ms() + ASK_MS;
            self.handovers.ask_at_ms.get_or_insert(at);
        }
        self.resume_scheduling();
    }
}

/// As the next holder.
impl App {
    /// The DC has an address on its way here: its start is begun when its turn comes.
    pub(super) fn prepare(
        &mut self,
        token: Option<CommandToken>,
        grant_no: u64,
        request: Box<OpRequest>,
    ) {
        let vip = request.rsc.clone();
        if self.refuses_starts() || !self.standing.quorate {
            return self.tell_unused(&vip, request.transition_key);
        }
        let prepared = Prepared {
            token,
            grant_no,
            request,
            told: false,
        };
        self.handovers.prepared.insert(vip.clone(), prepared);
        if self.handovers.inherited.contains(&grant_no) {
            return self.begin_prepared(&vip, grant_no);
        }
        self.tell_prepared(&vip);
    }

    /// Once this node's own log says that the grant is its own in turn, the holder may stop.
    fn tell_prepared(&mut self, vip: &str) {
        let heir = self.replica.grants().heir(vip);
        let own = heir.filter(|g| g.holder == self.me).map(|g| g.grant_no);
        let found = self.handovers.prepared.get_mut(vip);
        let ready = found.filter(|p| !p.told && own == Some(p.grant_no));
        let Some(prepared) = ready else {
            return;
        };
        prepared.told = true;
        let (vip, grant_no) = (vip.to_owned(), prepared.grant_no);
        self.tell_dc(NodeTell::Prepared { vip, grant_no });
    }

    /// The holder has given the address up: it is this node's turn.
    pub(super) fn inherited(&mut self, vip: &str, grant_no: u64) {
        tracing::info!(
            vip,
            grant_no,
            "given up by its holder: it is this node's turn"
        );
        self.handovers.inherited.insert(grant_no);
        self.begin_prepared(vip, grant_no);
        self.tell_released(vip, grant_no);
    }

    /// The log learns that the grant before this one is over.
    fn tell_released(&mut self, vip: &str, grant_no: u64) {
        let heir = self.replica.grants().heir(vip);
        let before = heir
            .filter(|g| g.grant_no == grant_no)
            .and_then(|g| g.after);
        if let Some(grant_no) = before {
            let vip = vip.to_owned();
            let body = EntryBody::Released { vip, grant_no };
            self.turn.propose(Self::new_op(), body);
        }
    }

    fn begin_prepared(&mut self, vip: &str, grant_no: u64) {
        let its = |p: &Prepared| p.grant_no == grant_no;
        if self.handovers.prepared.get(vip).is_some_and(its)
            && let Some(prepared) = self.handovers.prepared.remove(vip)
        {
            let key = prepared.request.transition_key.clone();
            self.handovers.begun.insert(vip.to_owned(), key);
            self.run_operation(prepared.token, *prepared.request);
        }
    }

    /// What waits here for its turn is void: a new view, or the DC says so.
    pub(super) fn drop_prepared(&mut self, vip: Option<&str>) {
        let prepared = std::mem::take(&mut self.handovers.prepared);
        for (of, prepared) in prepared {
            if vip.is_none_or(|vip| vip == of) {
                self.tell_unused(&of, prepared.request.transition_key);
            } else {
                self.handovers.prepared.insert(of, prepared);
            }
        }
    }

    fn tell_unused(&mut self, vip: &str, transition_key: String) {
        let vip = vip.to_owned();
        self.tell_dc(NodeTell::Unused {
            vip,
            transition_key,
        });
    }

    /// The turn of a grant has come here, and the log does not say so yet.
    pub(super) fn inherits(&self, vip: &str) -> bool {
        let heir = self.replica.grants().heir(vip);
        heir.is_some_and(|g| g.holder == self.me && self.handovers.is_inherited(g))
    }

    /// Gives a grant in turn back, unless its turn has come and it is used: then the log is told that.
    pub(super) fn give_heir_up(&mut self, vip: &str, in_use: bool) {
        let heir = self.replica.grants().heir(vip).cloned();
        let boot = self.me.machine_boot;
        let mine = |g: &Grant| g.node() == self.me.node && g.holder.machine_boot == boot;
        let Some(heir) = heir.filter(mine) else {
            return;
        };
        let inherited = self.handovers.is_inherited(&heir);
        let own = heir.holder == self.me;
        let waits = self.handovers.prepared.contains_key(vip);
        if waits || (in_use && (inherited || !own)) {
            if inherited {
                self.tell_released(vip, heir.grant_no);
            }
            return;
        }
        let grant_no = heir.grant_no;
        self.give_up(vip, grant_no);
        let vip = vip.to_owned();
        let body = EntryBody::Released { vip, grant_no };
        self.turn.propose(Self::new_op(), body);
    }

    /// Numbers that the log no longer knows are not needed any more.
    pub(super) fn forget_old_heirs(&mut self) {
        let known = self.replica.grants().numbers();
        self.handovers.inherited.retain(|no| known.contains(no));
        self.leases.given_up.retain(|no| known.contains(no));
    }
}

/// Longest wait for the grant in turn, and for its holder's answer, in milliseconds: the stop is
/// not kept waiting longer, and the address goes by the log.
const STEP_MS_MAX: u64 = 150;
/// After a stop its start elsewhere is begun by the holder's word within so many milliseconds, or the
/// DC asks for a grant as for any start.
const ANSWER_MS: u64 = 50;
/// A stop that is not answered so long after its time, in milliseconds, will not be answered.
const STOP_GRACE_MS: u64 = 60_000;
/// Longest wait for what became of a start, in milliseconds, where the stop failed.
const END_MS_MAX: u64 = 5_000;
/// Pause before whoever waits for a grant is asked again whether it still does, in milliseconds.
const ASK_MS: u64 = 500;
