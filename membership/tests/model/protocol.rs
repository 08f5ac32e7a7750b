//! The model: what a node keeps, what was ever said, and what may happen next.

use std::collections::{BTreeMap, BTreeSet};

use membership::VoterSet;
use stateright::{Model, Property};
use wire::NodeId;

use crate::rules;

/// A ballot: counter, then node.
pub type Ballot = (u8, u8);

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Body {
    /// First entry of a ballot: who is in it, by boot (`None`: not a member).
    View([Option<u8>; 4]),
    /// A client's.
    Write,
    /// Both sets, then the second alone.
    Joint,
    New,
    /// A node's boot is proved dead.
    Certificate {
        node: u8,
        boot: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    pub ballot: Ballot,
    pub body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Follower,
    Candidate(Ballot),
    Leader(Ballot),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    pub up: bool,
    pub boot: u8,
    pub role: Role,
    pub promised: Ballot,
    pub log: Vec<Entry>,
    pub commit: u8,
    /// A committed view named this very process (R5).
    pub let_in: bool,
}

/// What was ever said under one ballot. Whatever was said may arrive at any later time or never: a
/// leader's log under its ballot only grows, so each of its appends was a prefix of the longest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Election {
    /// Boot of its candidate.
    pub boot: u8,
    /// While its candidate stands: who promised, as which boot, and with what log.
    pub promises: BTreeMap<u8, (u8, Vec<Entry>)>,
    /// The leader's log at its longest; empty before it leads.
    pub log: Vec<Entry>,
    /// Entries of it that the leader adopted.
    pub adopted: u8,
    pub commit: u8,
    /// How far each node acknowledged.
    pub acks: BTreeMap<u8, u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub nodes: Vec<Node>,
    pub elections: BTreeMap<Ballot, Election>,
    /// The longest log that anybody called committed.
    pub committed: Vec<Entry>,
    /// Somebody called another one committed.
    pub broken: bool,
    pub crashes: u8,
    pub fencings: u8,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Stand(u8),
    Promise(u8, Ballot),
    Lead(u8),
    Write(u8),
    Move(u8),
    /// So many entries of what the leader of a ballot said arrive.
    Accept(u8, Ballot, u8),
    Crash(u8),
    Fence(u8),
    Start(u8),
}

/// Mistakes that the exploration has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    KeepsOwnLog,
    PromisesTwice,
    SkipsJointStep,
    CommitsAlone,
    CertificateForAnyBoot,
}

/// Size and bounds of the exploration.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub nodes: u8,
    pub sets: [VoterSet; 2],
    pub moves: bool,
    pub two_node: bool,
    pub writes: bool,
    pub bug: Option<Bug>,
    /// Highest counter of a ballot.
    pub counter_max: u8,
    pub log_max: usize,
    pub crashes_max: u8,
    pub fencings_max: u8,
}

impl Protocol {
    pub fn plain(nodes: u8) -> Self {
        let set = voters(&(1..=nodes).collect::<Vec<_>>(), false);
        Self {
            nodes,
            sets: [set.clone(), set],
            moves: false,
            two_node: false,
            writes: true,
            bug: None,
            counter_max: 2,
            log_max: 4,
            crashes_max: 1,
            fencings_max: 0,
        }
    }

    /// Elections and what they begin with.
    pub fn narrow(self) -> Self {
        Self {
            crashes_max: 0,
            log_max: 3,
            writes: false,
            ..self
        }
    }

    pub fn moving_to(self, nodes: &[u8]) -> Self {
        let [old, _] = self.sets;
        Self {
            sets: [old, voters(nodes, false)],
            moves: true,
            ..self
        }
    }

    pub fn two_node() -> Self {
        let set = voters(&[1, 2], true);
        Self {
            sets: [set.clone(), set],
            two_node: true,
            counter_max: 3,
            log_max: 5,
            // A restart of the machine, which a fencing brings, is the harder case.
            crashes_max: 0,
            fencings_max: 2,
            ..Self::plain(2)
        }
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }
}

fn voters(nodes: &[u8], two_node: bool) -> VoterSet {
    VoterSet {
        votes: nodes.iter().map(|n| (NodeId(u32::from(*n)), 1)).collect(),
        two_node,
        ..VoterSet::default()
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = Node {
            up: true,
            boot: 0,
            role: Role::Follower,
            promised: (0, 0),
            log: Vec::new(),
            commit: 0,
            // A founded cluster, in which everybody has been seen.
            let_in: true,
        };
        vec![State {
            nodes: vec![node; usize::from(self.nodes)],
            elections: BTreeMap::new(),
            committed: Vec::new(),
            broken: false,
            crashes: 0,
            fencings: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken {
            return;
        }
        for n in 1..=self.nodes {
            let node = state.node(n);
            if !node.up {
                actions.push(Action::Start(n));
                continue;
            }
            actions.extend([Action::Stand(n), Action::Lead(n)]);
            if let Role::Leader(_) = node.role {
                actions.extend([Action::Move(n), Action::Fence(n)]);
                if self.writes {
                    actions.push(Action::Write(n));
                }
            }
            if state.crashes < self.crashes_max {
                actions.push(Action::Crash(n));
            }
            for (ballot, election) in &state.elections {
                actions.push(Action::Promise(n, *ballot));
                let lengths = election.adopted.max(1)..=election.log.len() as u8;
                actions.extend(lengths.map(|length| Action::Accept(n, *ballot, length)));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        let done = match action {
            Action::Stand(n) => rules::stand(self, &mut next, n),
            Action::Promise(n, ballot) => rules::promise(self, &mut next, n, ballot),
            Action::Lead(n) => rules::lead(self, &mut next, n),
            Action::Write(n) => rules::append(self, &mut next, n, Body::Write),
            Action::Move(n) => rules::step_config(self, &mut next, n),
            Action::Accept(n, ballot, length) => rules::accept(self, &mut next, n, ballot, length),
            Action::Crash(n) => rules::crash(&mut next, n),
            Action::Fence(n) => rules::fence(self, &mut next, n),
            Action::Start(n) => rules::start(self, &mut next, n),
        };
        rules::forget_given_up(&mut next);
        (done && next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(crate::ALWAYS[0], |_, state: &State| !state.broken),
            Property::always(crate::ALWAYS[1], |_, state: &State| {
                let leads = |n: &Node| match n.role {
                    Role::Leader(ballot) => Some(ballot),
                    _ => None,
                };
                let ballots: Vec<Ballot> = state.nodes.iter().filter_map(leads).collect();
                let different: BTreeSet<&Ballot> = ballots.iter().collect();
                different.len() == ballots.len()
            }),
            Property::always(crate::ALWAYS[2], |_, state: &State| {
                let logs = || state.nodes.iter().map(|n| &n.log);
                logs().all(|a| logs().all(|b| rules::match_where_ballots_do(a, b)))
            }),
            Property::sometimes(crate::SOMETIMES[0], |_, state: &State| {
                !state.committed.is_empty()
            }),
            Property::sometimes(crate::SOMETIMES[1], |_, state: &State| {
                let first = state.committed.first().map(|e| e.ballot);
                state.committed.last().map(|e| e.ballot) > first
            }),
        ]
    }
}

impl State {
    pub fn node(&self, n: u8) -> &Node {
        &self.nodes[usize::from(n) - 1]
    }

    pub fn node_mut(&mut self, n: u8) -> &mut Node {
        &mut self.nodes[usize::from(n) - 1]
    }
}
