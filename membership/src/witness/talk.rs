//! Sessions and messages.

use super::*;

impl Witness {
    pub(super) fn session(&mut self, identity: Identity) -> bool {
        let node = identity.node;
        let Some(peer) = self.peers.get_mut(&node) else {
            let text = format!("node {node} has the key but is not in the configured node list");
            self.notice("unknown-node", Some(node), text);
            return false;
        };
        if peer.identity == Some(identity) {
            return true;
        }
        let stored = self.record.view.iter().flat_map(|v| &v.members);
        let stored = stored
            .filter(|(n, _)| *n == node)
            .map(|(_, inc)| *inc)
            .max();
        // R8: the very incarnation of the stored view may come back with a session only as itself.
        let heard = peer.identity.map(|id| id.incarnation);
        let outdated = heard.is_some_and(|inc| identity.incarnation <= inc)
            || stored.is_some_and(|inc| identity.incarnation < inc);
        if outdated && !mutant::on(Mutant::IncarnationUnchecked) {
            let incarnation = heard.max(stored).unwrap_or(0);
            let text = format!(
                "a process with incarnation {} claims to be node {node}, of which incarnation \
                 {incarnation} is known: it is refused (an older disk, or a clone)",
                identity.incarnation
            );
            let again = peer.outdated_told.replace(self.now);
            if again.is_none_or(|t| self.now.since(t) >= self.cfg.timing.heartbeat_us) {
                self.notice("outdated-node", Some(node), text);
                let process = identity.process_boot;
                self.send(
                    node,
                    &Message::Outdated {
                        process,
                        incarnation,
                    },
                );
            }
            return false;
        }
        peer.new_process(identity, self.now);
        self.answers.remove(&node);
        true
    }

    pub(super) fn packet(
        &mut self,
        from: Identity,
        link: LinkId,
        read: impl FnOnce() -> Result<Message, DecodeError>,
    ) {
        if !self.session(from) {
            return;
        }
        let (now, node) = (self.now, from.node);
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.last_heard = Some(now);
            if let Some(link) = peer.links.iter_mut().find(|l| l.id == link) {
                link.heard(now);
            }
        }
        match read() {
            Ok(Message::Beat(beat)) => self.on_beat(node, beat),
            Ok(Message::Prepare {
                ballot,
                head,
                bootstrap: false,
            }) => self.on_prepare(node, ballot, head),
            Ok(Message::WitnessView { view }) => self.on_view(node, view),
            Ok(Message::RecoverState {
                nonce, promised, ..
            }) if nonce == self.nonce() => {
                self.answers.insert(node, (from, promised));
            }
            Ok(Message::RecoverAsk { nonce }) if !self.record.recovering => {
                let message = Message::RecoverState {
                    nonce,
                    promised: self.record.promised,
                    head: Point::default(),
                    acting: false,
                    config: ConfigEntry::default(),
                };
                self.send_durable(node, &message);
            }
            Ok(Message::Bye { clean }) => self.on_bye(node, clean),
            Ok(Message::Outdated {
                process,
                incarnation,
            }) if process == self.me.process_boot => self.on_outdated(incarnation),
            Ok(_) => {}
            Err(e) => {
                let text = format!("node {node} sent what this build cannot read: {e}");
                self.notice("unreadable-message", Some(node), text);
            }
        }
    }

    pub(super) fn on_bye(&mut self, node: NodeId, clean: bool) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.left = true;
            peer.authority_until = Time(0);
            if clean {
                peer.presence_until = Time(0);
            }
        }
    }

    /// Peers know this incarnation or a later one: the disk went back, or was emptied (R8). What it
    /// says is not to be trusted, and only another process is listened to.
    pub(super) fn on_outdated(&mut self, incarnation: u64) {
        let in_bounds = (self.me.incarnation..message::NUMBER_MAX).contains(&incarnation);
        if !in_bounds || self.record.incarnation > incarnation {
            return;
        }
        self.record.incarnation = incarnation.max(self.record.incarnation + 1);
        self.record.recovering = true;
        self.record.view = None;
        let why = format!("peers know incarnation {incarnation} of this witness");
        self.once_written(Effect::Event(Event::RestartNeeded { why }));
    }

    pub(super) fn on_beat(&mut self, node: NodeId, beat: Beat) {
        let (now, me) = (self.now, self.me.node);
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let wants_echo = beat.stamp.is_some();
        if peer
            .beat
            .as_ref()
            .is_none_or(|old| beat.beat_no > old.beat_no)
        {
            if let Some(stamp) = beat.stamp
                && peer.stamp.is_none_or(|old| stamp.sent_us > old.sent_us)
            {
                peer.stamp = Some(stamp);
                peer.stamp_at = now;
            }
            let leads = matches!(beat.state, NodeState::Dc | NodeState::DcPending);
            if !leads || beat.ballot != peer.authority_ballot {
                peer.authority_until = Time(0);
            }
            peer.take_beat(beat, me);
        }
        if wants_echo {
            self.beat_to(node);
        }
    }

    pub(super) fn send(&mut self, to: NodeId, message: &Message) {
        if let Some(effect) = self.effect(to, message) {
            self.out.push_back(Output::Do(effect));
        }
    }

    pub(super) fn effect(&self, to: NodeId, message: &Message) -> Option<Effect> {
        let peer = self.peers.get(&to)?;
        let may = self.may_speak() && !self.failed;
        may.then(|| Effect::Send {
            to,
            via: Via::Link(peer.best()),
            payload: message.encode(),
        })
    }
}
