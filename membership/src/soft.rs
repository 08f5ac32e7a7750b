//! The ordered channel's users: soft state (R2), commands and their tokens (I13), messages,
//! goodbyes.

use wire::NodeId;

use crate::core::{Leaving, Role};
use crate::message::{Message, Parcel, SOFT_ITEMS_PER_PARCEL_MAX};
use crate::mutant::{self, Mutant};
use crate::*;

impl Core {
    pub(crate) fn on_publish(&mut self, items: Vec<(String, Option<Vec<u8>>)>) {
        let mut changed = Vec::new();
        for (key, value) in items {
            let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
            if bytes > SOFT_ITEM_BYTES_MAX
                || (self.soft.len() >= SOFT_ITEMS_MAX && !self.soft.contains_key(&key))
            {
                let text = format!("state item {key:?} of {bytes} bytes exceeds the bounds");
                self.notice("soft-state-full", Some(self.me.node), text);
                continue;
            }
            match &value {
                Some(value) => self.soft.insert(key.clone(), value.clone()),
                None => self.soft.remove(&key),
            };
            for peer in self.peers.values_mut() {
                peer.channel.dirty.insert(key.clone());
            }
            changed.push((key, value));
        }
        if !changed.is_empty() {
            self.event(Event::Soft {
                from: self.me,
                reset: false,
                items: changed,
            });
        }
    }

    /// At every view each member gives its whole state anew, to itself as well (R2).
    pub(crate) fn resend_soft(&mut self) {
        let keys: std::collections::BTreeSet<String> = self.soft.keys().cloned().collect();
        for peer in self.peers.values_mut() {
            peer.channel.dirty = keys.clone();
            peer.channel.reset_due = true;
        }
        if self.in_view() {
            let items = self
                .soft
                .iter()
                .map(|(k, v)| (k.clone(), Some(v.clone())))
                .collect();
            self.event(Event::Soft {
                from: self.me,
                reset: true,
                items,
            });
        }
    }

    /// Moves soft state into the channels, takes what became ready, sends what is due.
    pub(crate) fn flush_channels(&mut self) {
        for at in 0.. {
            let Some(peer) = self.peers.nth(at) else {
                return;
            };
            if peer.channel.is_idle() {
                continue;
            }
            let node = peer.node;
            self.take_ready(node);
            self.queue_soft(node);
            self.send_parcels(node);
        }
    }

    fn queue_soft(&mut self, node: NodeId) {
        let view_no = self.installed_view;
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let member = peer.identity.is_some_and(|id| self.tip.view.names(&id));
        if !member || !self.tip.view.names(&self.me) || view_no == 0 {
            return;
        }
        let channel = &mut peer.channel;
        while (channel.reset_due || !channel.dirty.is_empty()) && channel.room() {
            let mut items = Vec::new();
            let mut bytes = 0;
            while items.len() < SOFT_ITEMS_PER_PARCEL_MAX && bytes < SOFT_PARCEL_BYTES {
                let Some(key) = channel.dirty.pop_first() else {
                    break;
                };
                let value = self.soft.get(&key).cloned();
                bytes += key.len() + value.as_ref().map_or(0, Vec::len) + 8;
                items.push((key, value));
            }
            let reset = std::mem::take(&mut channel.reset_due);
            channel.push(Parcel::Soft {
                view_no,
                reset,
                items,
            });
        }
    }

    fn send_parcels(&mut self, node: NodeId) {
        let resend_us = self.cfg.timing.resend_us;
        let t_fail_us = self.cfg.timing.t_fail_us;
        let now = self.now;
        if !self.may_send() {
            return;
        }
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if peer.identity.is_none() || !peer.fresh(now, t_fail_us) {
            return;
        }
        let ack = peer.channel.delivered();
        let due = peer.channel.due(now, resend_us);
        let ack_due = std::mem::take(&mut peer.channel.ack_due);
        if due.is_empty() && ack_due {
            self.send(node, &Message::ParcelAck { ack });
        }
        for (no, parcel) in due {
            self.send(node, &Message::Parcel { no, ack, parcel });
        }
    }

    pub(crate) fn on_parcel(&mut self, node: NodeId, no: u64, ack: u64, parcel: Parcel) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.channel.acked(ack);
            peer.channel.arrived(no, parcel);
        }
        self.take_ready(node);
    }

    pub(crate) fn on_parcel_ack(&mut self, node: NodeId, ack: u64) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.channel.acked(ack);
        }
    }

    fn take_ready(&mut self, node: NodeId) {
        loop {
            let installed = self.installed_view;
            let Some(peer) = self.peers.get_mut(&node) else {
                return;
            };
            // Soft state of a view is handed over after the view.
            let ready = |parcel: &Parcel| match parcel {
                Parcel::Soft { view_no, .. } => *view_no <= installed,
                _ => true,
            };
            let Some(parcel) = peer.channel.next_ready(ready) else {
                return;
            };
            let Some(from) = peer.identity else { return };
            match parcel {
                Parcel::Soft { reset, items, .. } => {
                    self.event(Event::Soft { from, reset, items });
                }
                Parcel::Tell { payload } => self.event(Event::Told { from, payload }),
                Parcel::Command { token, payload } => self.take_command(node, token, payload),
                Parcel::Propose { op, body, doubt } => self.on_forwarded(node, op, *body, doubt),
                Parcel::Proposed { op, result } => self.proposed(op, result),
                Parcel::GivenUp { grants } => self.on_words(from, grants),
            }
        }
    }

    pub(crate) fn on_tell(&mut self, to: NodeId, payload: Vec<u8>) {
        if to == self.me.node {
            self.event(Event::Told {
                from: self.me,
                payload,
            });
            return;
        }
        self.push_parcel(to, Parcel::Tell { payload });
    }

    pub(crate) fn on_command(&mut self, to: NodeId, payload: Vec<u8>) {
        let view_no = self.installed_view;
        let known = self.tip.view.member(to).is_some();
        let dc = match &mut self.role {
            Role::Dc(dc) if dc.acting && known => dc,
            Role::Dc(dc) if dc.acting => {
                return self.unsent(to, payload, "it is not in the view");
            }
            Role::Dc(_) => {
                return self.unsent(to, payload, "this coordinator's authority is not fresh");
            }
            _ => return self.unsent(to, payload, "this node is no coordinator"),
        };
        dc.act_no += 1;
        let token = Token {
            ballot: dc.ballot,
            view_no,
            dc: self.me.process_boot,
            act_no: dc.act_no,
        };
        if to == self.me.node {
            self.take_command(to, token, payload);
        } else if self.peers.get(&to).is_none_or(|p| p.channel.full()) {
            self.unsent(to, payload, "its queue is full");
        } else {
            self.push_parcel(to, Parcel::Command { token, payload });
        }
    }

    fn unsent(&mut self, to: NodeId, payload: Vec<u8>, why: &str) {
        let why = format!("a command for node {to} was not sent: {why}");
        self.event(Event::CommandUnsent { to, payload, why });
    }

    pub(crate) fn push_parcel(&mut self, to: NodeId, parcel: Parcel) {
        let queued = self
            .peers
            .get_mut(&to)
            .is_some_and(|p| p.channel.push(parcel));
        if !queued {
            let text = format!("a message to node {to} was dropped: its queue is full or unknown");
            self.notice("channel-full", Some(to), text);
        }
    }

    /// I13: never a token below the highest promised ballot, nor one out of order.
    fn take_command(&mut self, from: NodeId, token: Token, payload: Vec<u8>) {
        let sender = if from == self.me.node {
            Some(self.me)
        } else {
            self.peers.get(&from).and_then(|p| p.identity)
        };
        let key = (token.ballot, token.view_no, token.act_no);
        let good = token.ballot >= self.safety.promised
            && token.ballot.node == from.0
            && token.ballot >= self.safety.token_ballot
            && self.token_seen.is_none_or(|seen| key > seen)
            && sender.is_some_and(|s| s.process_boot == token.dc)
            && self.in_view()
            && !self.overtaken(&token)
            && !self.safety.recovering
            && !self.poisoned;
        if !good && !mutant::on(Mutant::TokenUnchecked) {
            let text = format!(
                "a command of node {from} under ballot {}.{} was refused: {}.{} is promised",
                token.ballot.counter,
                token.ballot.node,
                self.safety.promised.counter,
                self.safety.promised.node
            );
            self.notice("command-refused", Some(from), text);
            self.event(Event::CommandRefused { from, payload });
            return;
        }
        self.token_seen = Some(key);
        if token.ballot > self.safety.token_ballot {
            self.safety.token_ballot = token.ballot;
            self.save_safety();
        }
        self.commands_due.push((token, from, payload));
        self.release_commands();
    }

    /// Somebody who is heard has accepted a newer view than the one the command was given in. It may
    /// have lain in a queue while this node was out, and its DC may have given up on this node.
    fn overtaken(&self, token: &Token) -> bool {
        let t_fail_us = self.cfg.timing.t_fail_us;
        let heard = self.peers.values().filter(|p| p.fresh(self.now, t_fail_us));
        let mut beats = heard.filter_map(|p| p.beat.as_ref());
        beats.any(|b| b.view_no > token.view_no) && !mutant::on(Mutant::TokenUnchecked)
    }

    /// Hands over commands whose token is on disk. A newer ballot may have been promised while it
    /// was on its way there: such a command is refused now (I13).
    pub(crate) fn release_commands(&mut self) {
        for (token, from, payload) in std::mem::take(&mut self.commands_due) {
            let unchecked = [Mutant::TokenUnchecked, Mutant::CommandCheckedOnce];
            let stale = (token.ballot < self.safety.promised || self.overtaken(&token))
                && !unchecked.into_iter().any(mutant::on);
            if stale || self.safety.recovering || self.poisoned {
                let text = format!("a command of node {from} came too late: a newer ballot stands");
                self.notice("command-refused", Some(from), text);
                self.event(Event::CommandRefused { from, payload });
            } else if token.ballot > self.safe.token_ballot {
                self.commands_due.push((token, from, payload));
            } else {
                self.event(Event::Command {
                    token,
                    from,
                    payload,
                });
            }
        }
    }

    pub(crate) fn on_leave(&mut self, clean: bool) {
        if self.leaving.is_none() {
            let deadline = self.now.plus(if clean { LEAVE_US_MAX } else { 0 });
            self.leaving = Some(Leaving {
                clean,
                deadline,
                done: false,
            });
            if clean && self.in_view() {
                let identity = self.me;
                let mut name = [0; 16];
                name[..8].copy_from_slice(&self.me.incarnation.to_be_bytes());
                name[8..].copy_from_slice(&self.me.process_boot.0[..8]);
                self.on_propose(OpId(name), EntryBody::CleanLeft { identity });
            }
        }
    }

    /// Says goodbye once CLEAN_LEFT is committed, or when there was no quorum for it in time.
    pub(crate) fn check_leave(&mut self) {
        let Some(leaving) = &self.leaving else { return };
        let written = leaving.clean && self.committed.certified(&self.me);
        if leaving.done || !(written || self.now >= leaving.deadline) {
            return;
        }
        self.step_down("this node leaves");
        let nodes: Vec<NodeId> = self.peers.keys().copied().collect();
        for node in nodes {
            self.send(node, &Message::Bye { clean: written });
        }
        self.event(Event::Left);
        if let Some(leaving) = &mut self.leaving {
            leaving.done = true;
        }
    }

    pub(crate) fn on_bye(&mut self, node: NodeId, clean: bool) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        peer.left = true;
        peer.authority_until = Time(0);
        if clean {
            peer.presence_until = Time(0);
        }
    }

    pub(crate) fn answer_poisoned(&mut self, node: NodeId, fence_no: u64) {
        let (now, heartbeat_us) = (self.now, self.cfg.timing.heartbeat_us);
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if peer
            .poisoned_sent
            .is_none_or(|t| now.since(t) >= heartbeat_us)
        {
            peer.poisoned_sent = Some(now);
            self.send(node, &Message::Poisoned { fence_no });
        }
    }

    /// Only a member of a view we know could have certified us dead.
    pub(crate) fn on_poisoned(&mut self, node: NodeId, fence_no: u64) {
        if self.poisoned {
            return;
        }
        self.poisoned = true;
        self.step_down("this boot is certified dead");
        let text = format!(
            "node {node} says that fencing {fence_no} proved this machine's boot dead: this node \
             stops; reboot it"
        );
        self.notice("poisoned", Some(node), text);
    }

    pub(crate) fn channel_timeout(&self) -> Option<Time> {
        if !self.may_send() {
            // What waits is due, and stays so until the disk answers: no reason to wake up for.
            return None;
        }
        let t_fail_us = self.cfg.timing.t_fail_us;
        let live = self.peers.values().filter(|p| p.fresh(self.now, t_fail_us));
        live.filter_map(|p| p.channel.next_due(self.cfg.timing.resend_us))
            .min()
    }
}

/// Largest soft-state item, key and value, in bytes.
pub const SOFT_ITEM_BYTES_MAX: usize = 1_024 * 1_024;
/// Most soft-state items of one node.
pub const SOFT_ITEMS_MAX: usize = 65_536;
/// Soft state gathered into one parcel, in bytes: most changes fit one datagram.
const SOFT_PARCEL_BYTES: usize = 900;
/// A clean leave that finds no quorum ends after this time, in microseconds.
const LEAVE_US_MAX: u64 = 2_000_000;
