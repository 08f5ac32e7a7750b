//! Inputs to begin with, of the formats of today: what three sound nodes say and write while they
//! become a cluster and lose one of them, and what a store makes of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use membership::message::Point;
use membership::*;
use wire::NodeId;

use crate::core::{config_of, identity};

/// Inputs for a target; none where what is kept is all there is.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "message" => Three::run().messages.into_iter().collect(),
        "core" => vec![Three::run().heard],
        "log" => Three::run().logs(),
        "snapshot" => Three::run().snapshots(),
        "slot" => vec![crate::disk::slots()],
        "import" => vec![crate::disk::exported()],
        "schedule" => crate::decision::cases(),
        _ => Vec::new(),
    }
}

/// Three nodes, a sound network between them, and disks that are quick.
struct Three {
    cores: Vec<Core>,
    disks: [BTreeMap<u64, Vec<u8>>; 3],
    snapshots: BTreeSet<Vec<u8>>,
    wire: VecDeque<(usize, NodeId, Vec<u8>)>,
    messages: BTreeSet<Vec<u8>>,
    /// What the first node was fed, as the target `core` reads it.
    heard: Vec<u8>,
    now: u64,
}

impl Three {
    /// A first view, entries of every kind, a goodbye.
    fn run() -> Self {
        let start = |node| Core::start(config_of(node, 1), Recovered::default(), Time(START));
        let cores = (1..=3).map(|node| start(node).expect("an empty store starts"));
        let mut three = Self {
            cores: cores.collect(),
            disks: Default::default(),
            snapshots: BTreeSet::new(),
            wire: VecDeque::new(),
            messages: BTreeSet::new(),
            heard: Vec::new(),
            now: START,
        };
        for at in 0..3 {
            three.drain(at);
            for peer in (1..=3).filter(|n| *n != at as u32 + 1) {
                let peer = identity(peer, 1);
                three.feed(at, Input::SessionUp { peer });
            }
        }
        for step in 0..STEPS {
            three.now += STEP_US;
            for at in 0..3 {
                three.feed(at, Input::Tick);
            }
            if step % 20 == 19 {
                three.ask(step / 20);
            }
            three.deliver();
        }
        three
    }

    /// What applications want, each in its turn and of every node.
    fn ask(&mut self, turn: u64) {
        let op = OpId([turn as u8; 16]);
        let origin = NodeId(1);
        let propose = |body| Input::Propose { op, body };
        let payload = vec![turn as u8; 3];
        let vip = || "ip".to_owned();
        let input = match turn {
            2 | 3 => propose(EntryBody::App {
                op,
                origin,
                payload,
            }),
            4 => Input::Publish {
                items: vec![("k".to_owned(), Some(payload))],
            },
            5 => Input::Tell {
                to: NodeId(2),
                payload,
            },
            6 => Input::Command {
                to: NodeId(3),
                payload,
            },
            7 => propose(EntryBody::Revoke { grant_no: 1 }),
            8 => propose(EntryBody::Released {
                vip: vip(),
                grant_no: 1,
            }),
            9 => propose(EntryBody::FenceIntent(FenceIntent {
                fence_no: 1,
                target: NodeId(3),
                machine_boot: Some(identity(3, 1).machine_boot),
                action: "off".to_owned(),
                reason: "r".to_owned(),
            })),
            10 => propose(EntryBody::FenceResult(FenceResult {
                fence_no: 1,
                target: NodeId(3),
                machine_boot: Some(identity(3, 1).machine_boot),
                incarnation: Some(1),
                outcome: Ok("d".to_owned()),
            })),
            12 => Input::Leave { clean: true },
            _ => return,
        };
        let whom = if turn == 12 { 1..2 } else { 0..3 };
        for at in whom {
            self.feed(at, input.clone());
        }
    }

    fn deliver(&mut self) {
        for _ in 0..PACKETS_MAX {
            let Some((from, to, payload)) = self.wire.pop_front() else {
                return;
            };
            let from = identity(from as u32 + 1, 1);
            let input = Input::Packet {
                from,
                link: 0,
                payload,
            };
            self.feed(to.0 as usize - 1, input);
        }
    }

    fn feed(&mut self, at: usize, input: Input) {
        if at == 0 {
            self.note(&input);
        }
        self.cores[at].handle(Time(self.now), input);
        self.drain(at);
    }

    /// The first steps are enough: an input has no more.
    fn note(&mut self, input: &Input) {
        let peer = |of: &wire::Identity| (of.node.0 as u8 - 2) << 4;
        let step = match input {
            Input::SessionUp { peer: of } => vec![5 | peer(of)],
            Input::Packet { from, payload, .. } => {
                // The target puts the format before it.
                let body = &payload[1..];
                let length = (body.len() as u16).to_le_bytes();
                [&[peer(from)], &length[..], body].concat()
            }
            Input::Tick => {
                let ms = (STEP_US / 1_000) as u16;
                [&[13], &ms.to_le_bytes()[..]].concat()
            }
            _ => return,
        };
        if self.heard.len() + step.len() <= HEARD_BYTES_MAX {
            self.heard.extend_from_slice(&step);
        }
    }

    fn drain(&mut self, at: usize) {
        while let Some(output) = self.cores[at].poll() {
            match output {
                Output::Do(effect) => self.effect(at, effect),
                Output::Persist { write, ops, then } => {
                    for op in ops {
                        match op {
                            DurableOp::AppendLog { seq, record } => {
                                self.disks[at].insert(seq, record);
                            }
                            DurableOp::TruncateLog { seq } => drop(self.disks[at].split_off(&seq)),
                            DurableOp::Snapshot { state, .. } => {
                                self.snapshots.insert(state);
                            }
                            _ => {}
                        }
                    }
                    for effect in then {
                        self.effect(at, effect);
                    }
                    let now = Time(self.now);
                    self.cores[at].handle(now, Input::Durable { write });
                }
            }
        }
    }

    fn effect(&mut self, at: usize, effect: Effect) {
        let (to, payload) = match effect {
            Effect::Send { to, payload, .. } => (to, payload),
            Effect::Message { to, message, .. } => (to, message.encode()),
            _ => return,
        };
        self.messages.insert(payload.clone());
        self.wire.push_back((at, to, payload));
    }

    /// A commit hint and the records without their chain values, as the target `log` reads them.
    fn logs(self) -> Vec<Vec<u8>> {
        let of = |disk: BTreeMap<u64, Vec<u8>>| {
            let mut input = (disk.len() as u16).to_le_bytes().to_vec();
            for record in disk.values() {
                let body = &record[32..];
                input.extend_from_slice(&(body.len() as u16).to_le_bytes());
                input.extend_from_slice(body);
            }
            input
        };
        self.disks.into_iter().map(of).collect()
    }

    /// Those that were written, and one of everything there was at the end.
    fn snapshots(self) -> Vec<Vec<u8>> {
        let mut all: Vec<_> = self.snapshots.into_iter().collect();
        for core in &self.cores {
            let at = Point {
                seq: 40,
                ..Point::default()
            };
            let snapshot = Snapshot {
                at,
                state: core.log_state().clone(),
                app: vec![1, 2, 3],
            };
            let body = postcard::to_allocvec(&snapshot).expect("a snapshot can be written");
            all.push([&[message::FORMAT], &body[..]].concat());
        }
        all
    }
}

/// When the nodes start, in microseconds.
const START: u64 = 1_000;
/// Between two steps, in microseconds.
const STEP_US: u64 = 25_000;
/// Steps: seven seconds.
const STEPS: u64 = 280;
/// Packets that one step may cause.
const PACKETS_MAX: usize = 10_000;
/// As long as inputs may be (scripts/fuzz), in bytes.
const HEARD_BYTES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_nodes_have_something_of_everything_to_say() {
        let three = Three::run();
        let kinds: BTreeSet<u8> = three.messages.iter().map(|m| m[1]).collect();
        assert!(kinds.len() >= 10, "kinds of messages: {kinds:?}");
        let entries = three.disks[0].len();
        assert!(entries >= 8, "{entries} entries");
        for (name, run) in crate::TARGETS {
            seeds(name).iter().for_each(|input| run(input));
        }
    }
}
