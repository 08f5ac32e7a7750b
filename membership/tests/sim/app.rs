//! What lives on top of the cores: clients, a coordinator's commands, fencing agents that really
//! kill, grants, soft state.

use std::collections::BTreeMap;

use membership::*;
use wire::NodeId;

use crate::node::App;
use crate::world::{Happening, MS, SECOND, World};

/// Work that is due.
#[derive(Clone, Debug)]
pub enum Work {
    /// Some client wants something.
    Client,
    /// Acting coordinators command, fence, grant.
    Coordinate,
    /// A client asks again for an operation whose end it does not know.
    Retry { op: OpId },
    /// A fencing agent run by a node ends.
    AgentEnds { by: u32, intent: FenceIntent },
}

#[derive(Debug, Default)]
pub struct State {
    next_op: u64,
    /// What clients asked for, and how much was committed when they first did.
    bodies: BTreeMap<OpId, (EntryBody, usize)>,
    agents: BTreeMap<(u64, NodeId), u64>,
    /// By number and target: two halves that lost each other may give one number twice.
    results: BTreeMap<(u64, NodeId), FenceResult>,
    published: u64,
    /// Coordinators run agents.
    coordinates: bool,
}

impl World {
    /// What a node's application does with what its core tells.
    pub fn application(&mut self, id: u32, event: Event) {
        match event {
            Event::Committed(entry) => self.node_mut(id).app.apply(&entry),
            Event::Restored { seq, state } => match App::restore(seq, &state) {
                Some(app) => self.node_mut(id).app = app,
                None => self
                    .oracle
                    .fail("I26", format!("node {id}: a damaged state was restored")),
            },
            Event::WantSnapshot => {
                let app = &self.node(id).app;
                let (seq, state) = (app.through, app.bytes());
                self.input(id, Input::Snapshot { seq, state });
            }
            Event::Outcome {
                op,
                result: Err(refusal),
            } => self.refused(op, &refusal),
            Event::Soft { from, reset, items } => self.soft(id, from.node.0, reset, items),
            Event::DcActing { .. } => self.stats.elections += 1,
            Event::View(_) => self.stats.views += 1,
            Event::Command { .. } => self.stats.commands += 1,
            Event::RestartNeeded { .. } => self.restart(id, 20 * MS, 200 * MS),
            Event::Inherited { vip, .. } => self.inherited(id, &vip),
            Event::Left => self.restart(id, 200 * MS, 3 * SECOND),
            Event::FenceIntentLocal(intent) => self.run_agent(id, intent),
            Event::State {
                state: NodeState::Poisoned,
                ..
            } => {
                self.power_off(id);
                self.later(SECOND, Happening::Start { node: id });
            }
            _ => {}
        }
    }

    pub fn restart(&mut self, id: u32, low_us: u64, high_us: u64) {
        self.kill(id);
        let in_us = self.rng.range(low_us, high_us);
        self.later(in_us, Happening::Start { node: id });
    }

    fn refused(&mut self, op: OpId, refusal: &Refusal) {
        let again = matches!(
            refusal,
            Refusal::InDoubt | Refusal::NoDc | Refusal::NoQuorum
        );
        if again && self.app.bodies.contains_key(&op) && !self.calm && self.rng.permille(500) {
            let in_us = self.rng.range(MS, 500 * MS);
            self.later(in_us, Happening::Work(Work::Retry { op }));
        }
    }

    fn soft(&mut self, id: u32, from: u32, reset: bool, items: Vec<(String, Option<Vec<u8>>)>) {
        let seen = self.node_mut(id).soft_seen.entry(from).or_default();
        if reset {
            seen.clear();
        }
        for (key, value) in items {
            match value {
                Some(value) => seen.insert(key, value),
                None => seen.remove(&key),
            };
        }
    }

    pub fn work(&mut self, work: Work) {
        match work {
            Work::Client => {
                if !self.calm {
                    self.client();
                    let fewer = if self.lull { LULL_CLIENT_GAPS } else { 1 };
                    let in_us = self.rng.exponential(fewer * self.profile.client_gap_us);
                    self.later(in_us, Happening::Work(Work::Client));
                }
            }
            Work::Coordinate => {
                self.app.coordinates = true;
                for id in 1..=self.size() {
                    self.coordinate(id);
                }
                let fewer = if self.lull { LULL_COORDINATE_GAPS } else { 1 };
                let in_us = fewer * self.rng.range(50 * MS, 250 * MS);
                self.later(in_us, Happening::Work(Work::Coordinate));
            }
            Work::Retry { op } => {
                // A client asks again only as long as the operation is surely remembered.
                if let Some((body, since)) = self.app.bodies.get(&op).cloned()
                    && self.oracle.committed.len() - since < OPS_MAX / 2
                    && let Some(id) = self.somebody()
                {
                    self.propose(id, op, body);
                }
            }
            Work::AgentEnds { by, intent } => self.agent_ends(by, intent),
        }
    }

    /// A random node that runs and is not paused.
    pub fn somebody(&mut self) -> Option<u32> {
        let awake = |n: &&crate::node::Node| n.up() && n.paused_until <= self.now;
        let ids: Vec<u32> = self.nodes.iter().filter(awake).map(|n| n.id).collect();
        self.rng.pick(&ids).copied()
    }

    fn client(&mut self) {
        let Some(id) = self.somebody() else { return };
        if self.rng.permille(200) {
            self.publish(id);
            return;
        }
        let big = self.profile.big_payloads && self.rng.permille(30);
        let bytes = if big {
            self.rng.range(1_500, 60_000)
        } else {
            self.rng.range(8, 200)
        };
        let op = self.new_op();
        let mut payload = vec![(op.0[15]) ^ 0x5a; bytes as usize];
        payload[..8].copy_from_slice(&op.0[8..]);
        let body = EntryBody::App {
            op,
            origin: NodeId(id),
            payload,
        };
        let since = self.oracle.committed.len();
        self.app.bodies.insert(op, (body.clone(), since));
        self.propose(id, op, body.clone());
        if self.rng.permille(100)
            && let Some(other) = self.somebody()
        {
            self.propose(other, op, body);
        }
    }

    pub fn new_op(&mut self) -> OpId {
        self.app.next_op += 1;
        let mut name = [0xA5; 16];
        name[8..].copy_from_slice(&self.app.next_op.to_be_bytes());
        OpId(name)
    }

    pub fn propose(&mut self, id: u32, op: OpId, body: EntryBody) {
        self.stats.proposals += 1;
        self.oracle.now = self.now;
        self.oracle.proposed(op);
        self.input(id, Input::Propose { op, body });
    }

    /// An application entry with a fresh name; the name.
    pub fn write_at(&mut self, id: u32) -> OpId {
        let op = self.new_op();
        let body = EntryBody::App {
            op,
            origin: NodeId(id),
            payload: op.0.to_vec(),
        };
        self.propose(id, op, body);
        op
    }

    pub fn publish(&mut self, id: u32) {
        self.app.published += 1;
        let (key, value) = (
            format!("k{}", self.rng.below(6)),
            self.app.published.to_be_bytes(),
        );
        let value = (!self.rng.permille(150)).then(|| value.to_vec());
        match &value {
            Some(value) => self.node_mut(id).soft.insert(key.clone(), value.clone()),
            None => self.node_mut(id).soft.remove(&key),
        };
        let items = vec![(key, value)];
        self.input(id, Input::Publish { items });
    }

    fn coordinate(&mut self, id: u32) {
        let node = self.node(id);
        let Some(core) = node.core.as_ref().filter(|_| node.paused_until <= self.now) else {
            return;
        };
        if core.probe().acting.is_none() {
            return;
        }
        let intents: Vec<FenceIntent> = core.log_state().intents.values().cloned().collect();
        let to = NodeId(self.rng.range(1, u64::from(self.size())) as u32);
        let payload = self.stats.commands.to_be_bytes().to_vec();
        self.input(id, Input::Command { to, payload });
        for intent in intents {
            match self
                .app
                .results
                .get(&(intent.fence_no, intent.target))
                .cloned()
            {
                Some(result) => {
                    let op = self.new_op();
                    self.propose(id, op, EntryBody::FenceResult(result));
                }
                None => self.run_agent(id, intent),
            }
        }
        if !self.calm {
            self.fence_somebody(id);
            self.grant_something(id);
        }
    }

    /// A coordinator wants a member that is gone to be surely gone.
    fn fence_somebody(&mut self, id: u32) {
        let permille = self.profile.fence_permille;
        if permille == 0 || !self.rng.permille(permille) {
            return;
        }
        let Some(core) = &self.node(id).core else {
            return;
        };
        let state = core.log_state();
        let view = core.probe().view;
        let gone: Vec<(NodeId, wire::Identity)> = state
            .last_seen
            .iter()
            .filter(|(n, last)| {
                view.member(**n).is_none()
                    && !state.intents.values().any(|i| i.target == **n)
                    && !state.certificates.get(n).is_some_and(|c| c.covers(last))
            })
            .map(|(n, last)| (*n, *last))
            .collect();
        let Some((target, last)) = self.rng.pick(&gone).copied() else {
            return;
        };
        let op = self.new_op();
        let intent = FenceIntent {
            fence_no: 0,
            target,
            machine_boot: Some(last.machine_boot),
            action: "reboot".into(),
            reason: "it is not in the view".into(),
        };
        self.propose(id, op, EntryBody::FenceIntent(intent));
    }

    fn grant_something(&mut self, id: u32) {
        if self.kernels.on || !self.rng.permille(100) {
            return;
        }
        let Some(core) = &self.node(id).core else {
            return;
        };
        let standing: Vec<Grant> = core.grants().cloned().collect();
        let op = self.new_op();
        let me = self.node(id).me;
        let body = match self.rng.pick(&standing) {
            Some(grant) if self.rng.permille(600) => EntryBody::Revoke {
                grant_no: grant.grant_no,
            },
            Some(grant) => EntryBody::Released {
                vip: grant.vip.clone(),
                grant_no: grant.grant_no,
            },
            None => EntryBody::Grant(Grant::wanted("vip", me)),
        };
        self.propose(id, op, body);
    }

    fn run_agent(&mut self, by: u32, intent: FenceIntent) {
        let running = self
            .app
            .agents
            .get(&(intent.fence_no, intent.target))
            .is_some_and(|until| self.now <= *until);
        if running
            || self
                .app
                .results
                .contains_key(&(intent.fence_no, intent.target))
        {
            return;
        }
        self.oracle.now = self.now;
        self.oracle.agent_runs(by, &intent);
        // Some devices take their time.
        let slow = !self.calm && self.rng.permille(100);
        let most_us = if slow { 10 * SECOND } else { 800 * MS };
        let in_us = self.rng.range(50 * MS, most_us);
        self.app
            .agents
            .insert((intent.fence_no, intent.target), self.now + in_us);
        self.say(by, || {
            format!(
                "agent for fencing {} of node {} runs",
                intent.fence_no, intent.target
            )
        });
        self.later(in_us, Happening::Work(Work::AgentEnds { by, intent }));
    }

    /// A fencing is under way, or will be, for a coordinator looks after what was asked for.
    pub fn fences(&self) -> bool {
        let running = self.app.agents.values().any(|until| self.now <= *until);
        let mut cores = self.nodes.iter().filter_map(|n| n.core.as_ref());
        let asked_for = cores.any(|core| !core.log_state().intents.is_empty());
        running || (self.app.coordinates && asked_for)
    }

    /// The target is really off before the agent says so; the result is lost with its node.
    fn agent_ends(&mut self, by: u32, intent: FenceIntent) {
        if !self.node(by).up() {
            return;
        }
        let target = intent.target.0;
        let good = self.calm || self.rng.permille(850);
        let outcome = if good {
            self.power_off(target);
            let for_us = self.rng.range(100 * MS, 2 * SECOND);
            self.node_mut(target).off_until = self.now + for_us;
            self.later(for_us, Happening::Start { node: target });
            *self.stats.faults.entry("fenced").or_default() += 1;
            Ok("pdu".to_owned())
        } else {
            Err("no answer from the device".to_owned())
        };
        let result = FenceResult {
            fence_no: intent.fence_no,
            target: intent.target,
            machine_boot: intent.machine_boot,
            incarnation: None,
            outcome,
        };
        self.say(by, || format!("agent ends: {result:?}"));
        self.app
            .results
            .insert((intent.fence_no, intent.target), result.clone());
        let op = self.new_op();
        self.propose(by, op, EntryBody::FenceResult(result));
    }
}

/// In a lull clients ask so many times more seldom.
const LULL_CLIENT_GAPS: u64 = 200;
/// And coordinators give commands so many times more seldom.
const LULL_COORDINATE_GAPS: u64 = 8;
