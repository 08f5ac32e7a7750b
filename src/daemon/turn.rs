//! What one turn of the loop has to say to the others, kept until its end: a hundred commands that
//! one event causes travel as one, and so do their results. What is for this node itself is done at
//! once.

use super::app::{App, Inbox};
use super::peer::{self, Items, NodeCommand, NodeTell};
use membership::{EntryBody, Input, OpId};
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::NodeId;

/// Gathered in a turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Changes of this node's report.
    items: BTreeMap<String, Option<Vec<u8>>>,
    /// What is to go into the log.
    proposals: Vec<(OpId, EntryBody)>,
    tells: Vec<(NodeId, NodeTell)>,
    commands: Vec<(NodeId, NodeCommand)>,
    /// The DC's own work may have gone on.
    progress: bool,
    /// Grants that this process relies on no more.
    given_up: Vec<(String, u64)>,
    /// Why the neighbours may have to be told again.
    announce: Option<&'static str>,
    /// The log's grants are others.
    grants: bool,
    /// Something may have changed about the addresses held here.
    vips: bool,
    /// Something may have changed about their leases.
    leases: bool,
    /// The log's directory is another one.
    directory: bool,
}

impl Turn {
    /// Publishes changes of this node's report, the newer of two in the place of the older.
    pub(super) fn publish(&mut self, items: &Items) {
        self.items.extend(items.iter().cloned());
    }

    /// Proposes an entry; those of one turn reach the disks together, in their order.
    pub(super) fn propose(&mut self, op: OpId, body: EntryBody) {
        self.proposals.push((op, body));
    }

    /// The DC says how far it is: once for all that happened, each look is at the whole graph.
    pub(super) fn progressed(&mut self) {
        self.progress = true;
    }

    /// Tells a node.
    pub(super) fn tell(&mut self, to: NodeId, tell: NodeTell) {
        self.tells.push((to, tell));
    }

    /// Commands a node.
    pub(super) fn command(&mut self, to: NodeId, command: NodeCommand) {
        self.commands.push((to, command));
    }

    /// A grant of this process is given up for good.
    pub(super) fn give_up(&mut self, vip: &str, grant_no: u64) {
        self.given_up.push((vip.to_owned(), grant_no));
    }

    /// The leases are to be looked at: once for all that changed, each look is at all of them.
    pub(super) fn leases_changed(&mut self) {
        self.leases = true;
    }

    /// Every address held here is announced again: once, whatever else asks for it in this turn.
    pub(super) fn announce_again(&mut self, why: &'static str) {
        self.announce = Some(why);
    }

    /// What is remembered about grants is to be compared with those of the log.
    pub(super) fn grants_changed(&mut self) {
        self.grants = true;
    }

    /// The log's directory is to be followed: once for all entries of a turn, so that a start does
    /// not go through everything that ever was.
    pub(super) fn directory_changed(&mut self) {
        self.directory = true;
    }

    /// The held addresses are to be looked at.
    pub(super) fn vips_changed(&mut self) {
        self.vips = true;
    }
}

impl App {
    /// Takes what else has come meanwhile, so that one turn answers for all of it.
    pub(super) fn take_more(&mut self, inbox: &mut Inbox) {
        for _ in 0..EVENTS_PER_TURN_MAX {
            if let Ok(event) = inbox.executor.try_recv() {
                self.on_executor(event);
                continue;
            }
            if let Ok(event) = inbox.leases.try_recv() {
                self.on_lease(event);
                continue;
            }
            match inbox.events.try_recv() {
                Ok(Ok(event)) => self.on_event(event),
                Ok(Err(ended)) => return self.protocol_ended(&ended),
                // Nothing more, for now or for ever: the loop will see which.
                Err(_) => return,
            }
        }
    }

    /// Sends what was gathered. The report goes first: whoever reads the rest may look at it.
    pub(super) fn end_turn(&mut self) {
        if self.turn.directory && self.replica.seq() >= self.replay_until {
            self.turn.directory = false;
            self.directory_changed();
        }
        if std::mem::take(&mut self.turn.leases) {
            self.check_leases();
        }
        if std::mem::take(&mut self.turn.vips) {
            self.publish_vips();
        }
        if std::mem::take(&mut self.turn.grants) {
            self.forget_old_heirs();
            self.heirs_moved();
        }
        if let Some(why) = self.turn.announce.take() {
            let vips = Arc::clone(&self.local.vip);
            tokio::task::spawn_blocking(move || vips.announce_again(why));
        }
        if std::mem::take(&mut self.turn.progress) {
            self.publish_progress();
        }
        let items = std::mem::take(&mut self.turn.items);
        if !items.is_empty() {
            let items = items.into_iter().collect();
            self.send(Input::Publish { items });
        }
        let grants = std::mem::take(&mut self.turn.given_up);
        if !grants.is_empty() {
            self.send(Input::GivenUp { grants });
        }
        let all = std::mem::take(&mut self.turn.proposals);
        if all.len() > 1 {
            tracing::info!(entries = all.len(), "proposed together");
        }
        if !all.is_empty() {
            self.send(Input::ProposeAll { all });
        }
        for (to, tells) in by_node(std::mem::take(&mut self.turn.tells)) {
            let payload = peer::encode(&tells);
            self.send(Input::Tell { to, payload });
        }
        for (to, commands) in by_node(std::mem::take(&mut self.turn.commands)) {
            let payload = peer::encode(&commands);
            self.send(Input::Command { to, payload });
        }
    }
}

/// Each node's, in the order given, in parts of a bounded length.
fn by_node<T>(all: Vec<(NodeId, T)>) -> Vec<(NodeId, Vec<T>)> {
    let mut parts: Vec<(NodeId, Vec<T>)> = Vec::new();
    let mut open: BTreeMap<NodeId, usize> = BTreeMap::new();
    for (to, one) in all {
        let at = open.get(&to).copied();
        match at.filter(|at| parts[*at].1.len() < TOGETHER_MAX) {
            Some(at) => parts[at].1.push(one),
            None => {
                open.insert(to, parts.len());
                parts.push((to, vec![one]));
            }
        }
    }
    parts
}

/// Events of the protocol, the leases and the executor that are taken in one turn.
const EVENTS_PER_TURN_MAX: usize = 512;
/// Commands or answers in one message, some KiB each.
const TOGETHER_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_gets_its_own_in_order_and_in_parts() {
        let all = (0..600).map(|n| (NodeId(n % 2), n)).collect();
        let parts = by_node(all);
        let sizes: Vec<_> = parts.iter().map(|(to, p)| (to.0, p.len())).collect();
        assert_eq!(sizes, [(0, 256), (1, 256), (0, 44), (1, 44)]);
        for node in 0..2 {
            let own = parts.iter().filter(|(to, _)| to.0 == node);
            let own: Vec<u32> = own.flat_map(|(_, part)| part.clone()).collect();
            assert!(own.is_sorted() && own.len() == 300, "{own:?}");
        }
    }

    #[test]
    fn the_newest_state_of_a_key_is_published() {
        let mut turn = Turn::default();
        turn.publish(&vec![
            ("a".to_owned(), Some(vec![1])),
            ("b".to_owned(), None),
        ]);
        turn.publish(&vec![("a".to_owned(), None)]);
        assert_eq!(turn.items["a"], None);
        assert_eq!(turn.items.len(), 2);
    }
}
