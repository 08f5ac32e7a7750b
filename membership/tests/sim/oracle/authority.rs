//! One coordinator, and who may become one: I2, I3, I5, I8, I18, R0, R5, R6.

use super::quorum::{decides, needed, regime, votes};
use super::*;

impl Oracle {
    /// R0: an echo promises its member that no view without it is accepted for the hold.
    pub(super) fn accepts_view(&mut self, id: u32, core: &membership::Core) {
        let view = core.probe().view;
        let seen = self.seen.at(id);
        if (seen.accepted.ballot, seen.accepted.view_no) == (view.ballot, view.view_no) {
            return;
        }
        let old = std::mem::replace(&mut seen.accepted, view.clone());
        let two = core.log_state().config.current.two_node;
        let newer = view.view_no > old.view_no && old.view_no > 0;
        // Taken with a snapshot, a view was committed by others before: this node's consent was not
        // counted, and only consent is bound by an echo. Example: C is cut off from A, and echoes
        // B, which dies; A and D go on without B and without C's word. Within B's hold C hears A
        // again, is too far behind for the log, and gets a snapshot whose view lacks B.
        let by_snapshot = !logged_view(core, view.view_no)
            && self
                .committed
                .iter()
                .any(|f| f.view.view_no == view.view_no && f.view == *view);
        if !newer || two || self.class_u || by_snapshot {
            return;
        }
        // History: it was committed, and a later committed view has the member again, so nobody asks
        // for consent to it any more (R0 is about acknowledging a view). Example: C loses its disk and
        // fetches the whole log while its dead process' echo to B still binds; on the way it passes
        // an old view without B, the last one has B.
        let newest = self.committed.last().map(|f| f.view.clone());
        let history = newest.filter(|newest| {
            let was_committed = |f: &Fact| f.view == *view;
            newest.view_no > view.view_no && self.committed.iter().any(was_committed)
        });
        for gone in old.members.iter().map(|m| m.identity) {
            let node = gone.node.0;
            let again = history
                .as_ref()
                .is_some_and(|v| v.member(gone.node).is_some());
            let given = self.echoes.get(id).and_then(|by| by.get(node));
            let bound = given.map_or(0, |given| given.until);
            // A proof that only stands in this log, not committed, is enough: the view comes after
            // it in the same log, so wherever the view is committed, the proof is. Example: the
            // result of fencing B and the view without B arrive in one packet.
            let proved = self.certified.contains(&(gone.node, gone.machine_boot))
                || self.left.contains(&gone.process_boot)
                || proof_in_log(core, &gone);
            let kept = view.member(gone.node).is_some() || node == id;
            let now = self.now;
            self.check(
                kept || again || proved || now + MARGIN_US >= bound,
                "R0",
                || {
                    format!(
                        "node {id} accepts a view without {node}, bound by its echo for {} us",
                        bound - now
                    )
                },
            );
        }
    }

    /// Whoever gets the stamp back relies on it from the moment it sent it, however late or often that
    /// happens: a core may have given it back before, in a heartbeat that found no way.
    pub(super) fn stamped(&mut self, node: &Node, stamp: membership::message::Stamp) {
        let stamps = self.stamps.at(node.id);
        if stamps.of != Some(node.me.process_boot) {
            stamps.of = Some(node.me.process_boot);
            stamps.sent.clear();
        }
        let sent = &mut stamps.sent;
        // A process' clock never goes back, and all its peers get one stamp.
        if sent.back().is_none_or(|(last, _)| *last < stamp.sent_us) {
            sent.push_back((stamp.sent_us, self.now));
        }
        let old = |at: u64| at + STAMPS_US <= self.now;
        while sent.len() > STAMPS_MAX && sent.front().is_some_and(|(_, at)| old(*at)) {
            sent.pop_front();
        }
    }

    /// Repeating an echo promises nothing new.
    pub(super) fn echoed(&mut self, node: &Node, to: &Node, echo: &membership::message::Echo) {
        let given = self.echoes.at(node.id).at(to.id);
        if given.echo.as_ref() == Some(echo) {
            return;
        }
        let stamps = self.stamps.get(to.id);
        let stamps = stamps.filter(|s| s.of == Some(to.me.process_boot));
        let stamped = stamps.and_then(|stamps| {
            let sent = &stamps.sent;
            let at = sent.binary_search_by_key(&echo.sent_us, |(stamp, _)| *stamp);
            at.ok().map(|at| sent[at].1)
        });
        let until = stamped.unwrap_or(self.now) + to.t_fail_us;
        given.echo = Some(echo.clone());
        given.until = until.max(given.until);
    }

    /// R6: which answers reached a node that lost its store.
    pub fn answered(&mut self, id: u32, from: NodeId) {
        self.answers.entry(id).or_default().insert(from);
    }

    pub(super) fn recovers(&mut self, id: u32) {
        let answers = self.answers.remove(&id).unwrap_or_default();
        let Some(config) = self.committed.last().map(|f| f.config.clone()) else {
            return;
        };
        let enough = decides(&config.current, &answers);
        self.check(enough || self.class_u, "R6", || {
            format!("node {id} votes again after the answers of {answers:?} alone")
        });
    }

    /// I2: one process per ballot; I8: it has everything committed; I18: wait_for_all.
    pub(super) fn dc_begins(
        &mut self,
        nodes: &[Node],
        id: u32,
        core: &membership::Core,
        let_in: bool,
    ) {
        let Some(ballot) = core.probe().acting else {
            return;
        };
        let probe = core.probe();
        let process = probe.me.process_boot;
        let leader = *self.leaders.entry(ballot).or_insert(process);
        self.check(leader == process, "I2", || {
            format!("two processes act as DC under {ballot:?}")
        });
        let config = &core.log_state().config;
        let sets = std::iter::once(&config.current).chain(&config.next);
        let waits = sets.into_iter().any(|set| set.wait_for_all);
        self.check(!waits || let_in, "I18", || {
            format!("DC {id} acts after a cold start in which not all nodes were seen")
        });
        if self.class_u {
            self.has_what_was_shared(id, core);
            return;
        }
        // After a pause in which its clock stood, too, what reached it before makes it act for as
        // long as its authority lasts by that clock, others or none beside it: like I3 (R17: the bound
        // of a paused machine is stated, not hidden). What it commits is judged all the same (I4, I7).
        let stood = self.seen.get(id);
        let stood = stood.is_some_and(|s| self.now < s.paused_until);
        if stood {
            return;
        }
        if let Some(last) = self.committed.last() {
            let (seq, config) = (last.entry.seq, last.config.clone());
            let point = core.point(seq);
            let has = point.is_some_and(|p| p.hash == last.hash) || probe.base.seq > seq;
            if !has {
                let text = format!("DC {id} of {ballot:?} lacks committed {:?}", last.entry);
                self.fail("I8", text);
            }
            self.promised_by_quorum(nodes, id, ballot, &config);
        }
    }

    /// I5: the ballot stands on the disks of a quorum of every set in force, so that it met every
    /// quorum that committed before.
    fn promised_by_quorum(
        &mut self,
        nodes: &[Node],
        id: u32,
        ballot: Ballot,
        config: &ConfigEntry,
    ) {
        let promised = |n: &&Node| {
            let disks = [&n.disk, &n.lost].into_iter();
            let promised = |d: &crate::disk::Disk| {
                let node = d.safety.as_ref().map(|s| s.promised);
                let witness = d.witness.as_ref().map(|w| w.promised);
                node.max(witness).is_some_and(|promised| promised >= ballot)
            };
            disks.into_iter().any(promised)
        };
        let promisers: BTreeSet<NodeId> = nodes
            .iter()
            .filter(promised)
            .map(|n| NodeId(n.id))
            .collect();
        for set in regime(config) {
            let (have, need) = (votes(&set, &promisers), needed(&set));
            self.check(decides(&set, &promisers), "I5", || {
                format!("DC {id} acts under {ballot:?} promised on the disks of {promisers:?}: {have} of {need} votes of {set:?}")
            });
        }
    }

    /// I3: at one true instant at most one node acts. Of two nodes with `two_node` a lone one may
    /// act beside the other, but only restricted (R11): it may fence, and commits nothing (I5).
    pub(super) fn one_dc(&mut self, id: u32) {
        if self.class_u {
            return;
        }
        let now = self.now;
        let acting = |s: &&Seen| s.acting.is_some() && !s.restricted && now >= s.paused_until;
        let Some(mine) = self.seen.get(id).filter(acting) else {
            return;
        };
        let mine = mine.acting;
        let other = self.seen.iter().find(|(n, s)| *n != id && acting(s));
        if let Some((other, s)) = other {
            let text = format!(
                "nodes {id} ({mine:?}) and {other} ({:?}) act as DC at once",
                s.acting
            );
            self.fail("I3", text);
        }
    }
}

fn logged_view(core: &membership::Core, view_no: u64) -> bool {
    let probe = core.probe();
    (probe.base.seq + 1..=probe.head.seq)
        .filter_map(|seq| core.logged(seq))
        .any(|(r, _)| matches!(&r.body, EntryBody::View(v) if v.view_no == view_no))
}

/// A proof that this very process is gone stands in the log or was folded into its state.
fn proof_in_log(core: &membership::Core, gone: &Identity) -> bool {
    let folded = core.log_state().certificates.get(&gone.node);
    let probe = core.probe();
    let after = probe.base.seq + 1..=probe.head.seq;
    let mut logged = after.filter_map(|seq| core.logged(seq));
    folded.is_some_and(|c| c.covers(gone))
        || logged.any(|(record, _)| match &record.body {
            EntryBody::CleanLeft { identity } => {
                identity.node == gone.node && identity.incarnation >= gone.incarnation
            }
            EntryBody::FenceResult(result) => {
                result.target == gone.node
                    && result.outcome.is_ok()
                    && result.machine_boot == Some(gone.machine_boot)
            }
            _ => false,
        })
}
