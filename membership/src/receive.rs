//! What arrives: whom to listen to (R8, R10), and which duty takes it.

use wire::{Identity, NodeId};

use crate::core::Core;
use crate::links::Link;
use crate::message::{DecodeError, Message};
use crate::mutant::{self, Mutant};
use crate::*;

impl Core {
    /// A session or packet of this process arrived: is it to be listened to?
    pub(crate) fn session(&mut self, identity: Identity) -> bool {
        let node = identity.node;
        let Some(peer) = self.peers.get_mut(&node) else {
            let text = format!("node {node} has the key but is not in the configured node list");
            self.notice("unknown-node", Some(node), text);
            return false;
        };
        if peer.retired {
            // It is answered nothing, and promised nothing from now on.
            return false;
        }
        if peer.identity == Some(identity) {
            return true;
        }
        // R8: what is not above the newest incarnation heard or logged is an older disk or a clone.
        let logged = self
            .tip
            .last_seen
            .get(&node)
            .copied()
            .filter(|id| *id != identity);
        let known = logged
            .into_iter()
            .chain(peer.identity)
            .map(|id| id.incarnation)
            .max();
        if let Some(known) = known.filter(|k| identity.incarnation <= *k)
            && !mutant::on(Mutant::IncarnationUnchecked)
        {
            self.tell_outdated(identity, known);
            return false;
        }
        peer.new_process(identity, self.now);
        // It may be in the view already, and then hears of our soft state only now (R2).
        if !mutant::on(Mutant::SoftStateOnce) {
            peer.channel.dirty = self.soft.keys().cloned().collect();
            peer.channel.reset_due = true;
        }
        true
    }

    fn tell_outdated(&mut self, identity: Identity, incarnation: u64) {
        let node = identity.node;
        let again_us = self.cfg.timing.heartbeat_us;
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if peer
            .outdated_told
            .is_some_and(|t| self.now.since(t) < again_us)
        {
            return;
        }
        peer.outdated_told = Some(self.now);
        let alive = peer.fresh(self.now, self.cfg.timing.t_fail_us);
        let links: Vec<LinkId> = peer.links.iter().map(|l| l.id).collect();
        let text = format!(
            "a process with incarnation {} claims to be node {node}, of which incarnation \
             {incarnation} is known{}: it is refused",
            identity.incarnation,
            if alive {
                " and alive (a clone, or a node id used twice)"
            } else {
                " (an older disk)"
            }
        );
        let code = if alive {
            "duplicate-node"
        } else {
            "outdated-node"
        };
        self.notice(code, Some(node), text);
        if self.may_send() {
            let process = identity.process_boot;
            let payload = Message::Outdated {
                process,
                incarnation,
            }
            .encode();
            for link in links {
                let payload = payload.clone();
                let effect = Effect::Send {
                    to: node,
                    via: Via::Link(link),
                    payload,
                };
                self.out.push_back(Output::Do(effect));
            }
        }
    }

    /// Takes what a process sent. `Some`: of the node's heartbeat nothing follows ([`crate::quiet`]).
    pub(crate) fn packet(
        &mut self,
        from: Identity,
        link: LinkId,
        read: impl FnOnce() -> Result<Message, DecodeError>,
    ) -> Option<NodeId> {
        let before = self.before(&from, link);
        if !self.session(from) {
            return None;
        }
        if let Some(fence_no) = self.tip.fenced(&from) {
            self.answer_poisoned(from.node, fence_no);
            return None;
        }
        let now = self.now;
        let node = from.node;
        // A link is held down in favour of another way, where there is one.
        let forgiven = !self.has_way(node);
        if let Some(peer) = self.peers.get_mut(&node) {
            let relayed = link == RELAY_LINK;
            if forgiven {
                peer.links.iter_mut().for_each(Link::forgive);
            }
            if !relayed || !mutant::on(Mutant::RelayedNotHeard) {
                peer.last_heard = Some(now);
            }
            if relayed {
                peer.relaying.heard(now);
            } else if let Some(link) = peer.links.iter_mut().find(|l| l.id == link) {
                link.heard(now);
            }
        }
        let message = match read() {
            Ok(message) => message,
            Err(e) => {
                let text = format!("node {node} sent what this build cannot read: {e}");
                self.notice("unreadable-message", Some(node), text);
                return None;
            }
        };
        let before = before.filter(|b| self.says_nothing_new(b, node, &message));
        self.beats.current &= before.is_some();
        self.dispatch(from, link, message);
        before
            .filter(|b| self.nothing_came_of(b, node))
            .map(|_| node)
    }

    fn dispatch(&mut self, from: Identity, link: LinkId, message: Message) {
        let node = from.node;
        match message {
            // One hop: what came by relay asks for no other.
            Message::Relay { .. } if link == RELAY_LINK => {}
            Message::Relay { src, dst, sealed } => self.on_relay(node, src, dst, sealed),
            Message::Beat(beat) => self.on_beat(node, link, beat),
            Message::Prepare {
                ballot,
                head,
                bootstrap,
            } => {
                self.on_prepare(node, ballot, head, bootstrap);
            }
            Message::Promise {
                ballot,
                head,
                view_no,
                survivals,
                ..
            } => {
                self.on_promise(from, ballot, (survivals, head), view_no);
            }
            Message::Refuse { ballot, promised } => self.on_refuse(node, ballot, promised),
            Message::Append {
                ballot,
                prev,
                commit,
                entries,
            } => {
                self.on_append(node, ballot, prev, commit, &entries);
            }
            Message::Ack {
                ballot,
                mem,
                durable,
            } => self.on_ack(from, ballot, mem, durable),
            Message::Mismatch { ballot, commit } => self.on_mismatch(node, ballot, commit),
            rest => self.dispatch_rest(from, rest),
        }
    }

    fn dispatch_rest(&mut self, from: Identity, message: Message) {
        let node = from.node;
        match message {
            Message::Fetch { nonce, after } => self.on_fetch(node, nonce, after),
            Message::Fetched {
                nonce,
                prev,
                head,
                entries,
            } => {
                self.on_fetched(node, nonce, prev, head, &entries);
            }
            Message::Offer { nonce, at, bytes } => self.on_offer(node, nonce, at, bytes),
            Message::Pull { seq, offset } => self.on_pull(node, seq, offset),
            Message::Chunk {
                seq,
                offset,
                bytes,
                digest,
                data,
            } => {
                self.on_chunk(node, seq, offset, bytes, digest, &data.0);
            }
            Message::RecoverAsk { nonce } => self.on_recover_ask(node, nonce),
            Message::RecoverState {
                nonce,
                promised,
                head,
                acting,
                config,
            } => {
                self.on_recover_state(from, nonce, promised, head, acting, config);
            }
            Message::Parcel { no, ack, parcel } => self.on_parcel(node, no, ack, parcel),
            Message::ParcelAck { ack } => self.on_parcel_ack(node, ack),
            Message::Bye { clean } => self.on_bye(node, clean),
            Message::Poisoned { fence_no } => self.on_poisoned(node, fence_no),
            Message::Outdated {
                process,
                incarnation,
            } => {
                self.on_outdated(node, process, incarnation);
            }
            Message::WitnessPromise { ballot, view } => self.on_witness_promise(from, ballot, view),
            Message::WitnessStored { ballot, view_no } => {
                self.on_witness_stored(from, ballot, view_no);
            }
            // Taken above.
            _ => {}
        }
    }
}
