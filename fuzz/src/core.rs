//! What a peer with a session may say, and what a disk may give back.

use std::collections::BTreeMap;

use membership::message::Message;
use membership::*;
use sha2::{Digest, Sha256};
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

use crate::Reader;

pub(crate) fn identity(node: u32, incarnation: u64) -> Identity {
    Identity {
        node: NodeId(node),
        machine_boot: MachineBoot([node as u8; 16]),
        process_boot: ProcessBoot([(node as u8) << 4 | incarnation as u8; 16]),
        incarnation,
    }
}

fn config(incarnation: u64) -> Config {
    config_of(1, incarnation)
}

pub(crate) fn config_of(me: u32, incarnation: u64) -> Config {
    let others = (1..=3).filter(|node| *node != me);
    Config {
        me: identity(me, incarnation),
        peers: others
            .map(|node| PeerConfig {
                node: NodeId(node),
                links: vec![0, 1],
                priorities: Vec::new(),
            })
            .collect(),
        nodelist_digest: [7; 32],
        voters: VoterSet {
            votes: [1, 2, 3].map(|node| (NodeId(node), 1)).to_vec(),
            ..VoterSet::default()
        },
        timing: Timing::derive(500_000).expect("in bounds"),
        fencing: false,
        seed: 5,
        new_cluster_uuid: [1; 16],
        hold_us: None,
        trust_store: false,
    }
}

/// A message that can be read is written as it was read.
pub(crate) fn message(bytes: &[u8]) {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
}

/// A core, its disk, and peers who say whatever they like: nothing may make it fall over, and what
/// is on its disk never goes back.
pub(crate) fn inputs(bytes: &[u8]) {
    let mut steps = Reader::new(bytes);
    let mut world = World::new();
    for _ in 0..STEPS_MAX {
        let Some(step) = steps.byte() else { break };
        let peer = identity(2 + u32::from(step >> 4 & 1), 1 + u64::from(step >> 5 & 1));
        let input = match step & 15 {
            0..=4 => Input::Packet {
                from: peer,
                link: step >> 6,
                payload: framed(steps.bytes()),
            },
            5 | 6 => Input::SessionUp { peer },
            7 => Input::PeerHead {
                of: peer,
                head: steps.number() as u64,
            },
            8 => Input::Outdated {
                from: peer.node,
                incarnation: steps.number() as u64,
            },
            9 => {
                let op = OpId([step; 16]);
                let payload = steps.bytes().to_vec();
                let origin = NodeId(1);
                let body = EntryBody::App {
                    op,
                    origin,
                    payload,
                };
                Input::Propose { op, body }
            }
            10 => Input::Tell {
                to: peer.node,
                payload: steps.bytes().to_vec(),
            },
            11 => Input::Publish {
                items: vec![(format!("k{}", step >> 4), Some(steps.bytes().to_vec()))],
            },
            12 => {
                world.restart();
                continue;
            }
            _ => {
                world.now += 1_000 * steps.number() as u64;
                Input::Tick
            }
        };
        world.input(input);
    }
}

/// Mostly the body of a message of the format of today.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![message::MESSAGE_FORMAT];
    bytes.extend_from_slice(body);
    bytes
}

struct World {
    core: Core,
    now: u64,
    safety: Option<SafetyRecord>,
    snapshot: Option<(u64, Vec<u8>)>,
    log: BTreeMap<u64, Vec<u8>>,
    processes: u64,
}

impl World {
    fn new() -> Self {
        let core = Core::start(config(1), Recovered::default(), Time(1_000));
        let mut world = Self {
            core: core.expect("an empty store starts"),
            now: 1_000,
            safety: None,
            snapshot: None,
            log: BTreeMap::new(),
            processes: 1,
        };
        world.drain();
        world
    }

    fn input(&mut self, input: Input) {
        self.core.handle(Time(self.now), input);
        self.drain();
    }

    /// Every write reaches the disk at once.
    fn drain(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            match self.core.poll() {
                None => return,
                Some(Output::Do(_)) => {}
                Some(Output::Persist { write, ops, .. }) => {
                    for op in ops {
                        self.write(op);
                    }
                    let now = Time(self.now);
                    self.core.handle(now, Input::Durable { write });
                }
            }
        }
        panic!("more than {OUTPUTS_MAX} outputs of one input");
    }

    fn write(&mut self, op: DurableOp) {
        match op {
            DurableOp::Safety(new) => {
                if let Some(old) = &self.safety {
                    assert!(new.promised >= old.promised, "I1: {old:?} -> {new:?}");
                    assert!(new.view_no >= old.view_no, "I10: {old:?} -> {new:?}");
                    assert!(
                        new.incarnation >= old.incarnation,
                        "I10: {old:?} -> {new:?}"
                    );
                }
                self.safety = Some(new);
            }
            DurableOp::TruncateLog { seq } => drop(self.log.split_off(&seq)),
            DurableOp::AppendLog { seq, record } => drop(self.log.insert(seq, record)),
            DurableOp::CommitHint { .. } => {}
            DurableOp::Witness(_) => panic!("a node writes a witness' record"),
            DurableOp::Snapshot { seq, state } => {
                self.log = self.log.split_off(&(seq + 1));
                self.snapshot = Some((seq, state));
            }
        }
    }

    /// What it wrote, it can read.
    fn restart(&mut self) {
        let stored = self.safety.as_ref().map_or(0, |s| s.incarnation);
        if stored >= INCARNATION_MAX {
            return;
        }
        self.processes += 1;
        self.now += 1_000;
        let recovered = Recovered {
            safety: self.safety.clone(),
            snapshot: self.snapshot.clone(),
            log: self.log.iter().map(|(s, r)| (*s, r.clone())).collect(),
            commit_hint: 0,
            degraded: false,
        };
        let core = Core::start(config(stored + 1), recovered, Time(self.now));
        self.core = core.expect("it starts over what it wrote");
        self.drain();
    }
}

/// Records of a log as a store might give them back, with chain values that are right, so that what
/// is in them is read.
pub(crate) fn log(bytes: &[u8]) {
    let mut parts = Reader::new(bytes);
    let hint = parts.number() as u64;
    let mut hash = [0; 32];
    let mut records = Vec::new();
    for seq in 1..=RECORDS_MAX {
        let body = parts.bytes();
        if body.is_empty() {
            break;
        }
        let mut hasher = Sha256::new();
        hasher.update(hash);
        hasher.update(body);
        hash = hasher.finalize().into();
        records.push((seq, [&hash[..], body].concat()));
    }
    let recovered = Recovered {
        safety: Some(SafetyRecord::default()),
        log: records,
        commit_hint: hint,
        ..Recovered::default()
    };
    start(recovered);
}

/// A snapshot as a store might give it back.
pub(crate) fn snapshot(bytes: &[u8]) {
    let says = bytes.get(1..).map(postcard::from_bytes::<Snapshot>);
    let seq = match says {
        Some(Ok(snapshot)) => snapshot.at.seq,
        _ => 1,
    };
    let recovered = Recovered {
        safety: Some(SafetyRecord::default()),
        snapshot: Some((seq, bytes.to_vec())),
        ..Recovered::default()
    };
    start(recovered);
}

/// It starts, recovers, or refuses by name; and then it lives on.
fn start(recovered: Recovered) {
    let Ok(mut core) = Core::start(config(1), recovered, Time(1_000)) else {
        return;
    };
    for step in 1..5 {
        while let Some(output) = core.poll() {
            if let Output::Persist { write, .. } = output {
                core.handle(Time(step * 1_000), Input::Durable { write });
            }
        }
        core.handle(Time(step * 400_000), Input::Tick);
    }
}

/// Steps of one input.
const STEPS_MAX: usize = 100;
/// Outputs of one step.
const OUTPUTS_MAX: usize = 10_000;
/// Records of one log.
const RECORDS_MAX: u64 = 64;
/// A peer with the key may say that it knows a higher incarnation: that is where it ends.
const INCARNATION_MAX: u64 = 1 << 40;
