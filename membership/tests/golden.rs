//! Bytes recorded from this release: later releases have to read them, or to say by name that they
//! do not. `MAINSTAY_BLESS=1` records anew; do that only together with a new format number.

mod common;

use common::{Cluster, Disk, MS};
use membership::message::{Beat, Blob, Echo, Ends, Heard, Known, Message, Parcel, Point, Stamp};
use membership::*;
use std::path::PathBuf;
use wire::{Identity, MachineBoot, NodeId, ProcessBoot};

fn recorded(name: &str) -> PathBuf {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/recorded");
    PathBuf::from(dir).join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |d: &[u8]| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

/// The file's text, written first where that is asked for.
fn text_of(name: &str, now: impl FnOnce() -> String) -> String {
    let path = recorded(name);
    if std::env::var_os("MAINSTAY_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now()).unwrap();
    }
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn samples() -> Vec<Message> {
    let ballot = Ballot {
        counter: 258,
        node: 3,
    };
    let point = Point {
        seq: 77,
        ballot,
        hash: [5; 32],
    };
    let identity = Identity {
        node: NodeId(3),
        machine_boot: MachineBoot([1; 16]),
        process_boot: ProcessBoot([2; 16]),
        incarnation: 9,
    };
    let blob = || Blob(vec![1, 2, 3]);
    let config = ConfigEntry {
        config_epoch: 4,
        current: VoterSet {
            votes: vec![(NodeId(1), 1), (NodeId(3), 2)],
            expected_votes: Some(3),
            two_node: true,
            wait_for_all: true,
            ..VoterSet::default()
        },
        next: Some(VoterSet {
            votes: vec![(NodeId(1), 1), (NodeId(3), 1)],
            absent: vec![(NodeId(2), 1)],
            last_man_standing: Some(10_000_000),
            tie_node: Some(NodeId(3)),
            witness: Some(NodeId(3)),
            ..VoterSet::default()
        }),
    };
    let view = WitnessView {
        ballot,
        view_no: 8,
        seq: 77,
        config_epoch: 4,
        members: vec![(NodeId(1), 9)],
    };
    let nonce = 11;
    let parcel = |parcel| Message::Parcel {
        no: 6,
        ack: 5,
        parcel,
    };
    let older = Point {
        seq: 76,
        hash: [4; 32],
        ..point
    };
    let beat = |commit, head| {
        Message::Beat(Beat {
            beat_no: 300,
            stamp: Some(Stamp {
                sent_us: 1_000_000,
                hold_us: 500_000,
            }),
            answers: true,
            echo: Some(Echo {
                sent_us: 2_000_000,
                ballot,
                view_no: 8,
                member: true,
                void: vec![7],
                config_epoch: 4,
            }),
            ballot,
            view_no: 8,
            log: Ends { commit, head },
            state: NodeState::Follower,
            acting: false,
            dc_lost: false,
            fit: true,
            withholding: false,
            blank: false,
            class_u: false,
            digest: [3; 8],
            row: vec![Heard {
                node: NodeId(1),
                how: Heard::COUNTS | Heard::DIRECT,
            }],
            known: Known {
                incarnation: 9,
                durable: 76,
            },
            parcel_ack: 5,
        })
    };
    vec![
        beat(point, point),
        beat(older, point),
        Message::Prepare {
            ballot,
            head: point,
            bootstrap: true,
        },
        Message::Promise {
            ballot,
            head: point,
            commit: point,
            view_no: 8,
            survivals: 1,
        },
        Message::Refuse {
            ballot,
            promised: ballot,
        },
        Message::Append {
            ballot,
            prev: point,
            commit: point,
            entries: vec![blob()],
        },
        Message::Ack {
            ballot,
            mem: point,
            durable: point,
        },
        Message::Mismatch {
            ballot,
            commit: point,
        },
        Message::Fetch {
            nonce,
            after: point,
        },
        Message::Fetched {
            nonce,
            prev: point,
            head: point,
            entries: vec![blob()],
        },
        Message::Offer {
            nonce,
            at: point,
            bytes: 300,
        },
        Message::Pull { seq: 77, offset: 4 },
        Message::Chunk {
            seq: 77,
            offset: 4,
            bytes: 300,
            digest: [6; 32],
            data: blob(),
        },
        Message::RecoverAsk { nonce },
        Message::RecoverState {
            nonce,
            promised: ballot,
            head: point,
            acting: true,
            config,
        },
        parcel(Parcel::Tell {
            payload: vec![1, 2],
        }),
        parcel(Parcel::Propose {
            op: OpId([4; 16]),
            body: Box::new(EntryBody::Noop),
            doubt: Some(76),
        }),
        parcel(Parcel::GivenUp {
            grants: vec![("vip".to_owned(), 7)],
        }),
        Message::ParcelAck { ack: 5 },
        Message::Bye { clean: true },
        Message::Poisoned { fence_no: 2 },
        Message::Relay {
            src: NodeId(1),
            dst: NodeId(2),
            sealed: blob(),
        },
        Message::Outdated {
            process: identity.process_boot,
            incarnation: 9,
        },
        Message::WitnessPromise {
            ballot,
            view: Some(view.clone()),
        },
        Message::WitnessView { view },
        Message::WitnessStored { ballot, view_no: 8 },
    ]
}

#[test]
fn recorded_messages_are_read_and_mean_what_they_meant() {
    let now = || {
        let line = |m: &Message| format!("{} {m:?}\n", hex(&m.encode()));
        samples().iter().map(line).collect()
    };
    let text = text_of("messages.txt", now);
    for (line, sample) in text.lines().zip(samples()) {
        let (bytes, meant) = line.split_once(' ').unwrap();
        let read = Message::decode(&from_hex(bytes)).unwrap_or_else(|e| panic!("{e}: {meant}"));
        assert_eq!(format!("{read:?}"), meant);
        assert_eq!(hex(&read.encode()), bytes, "another form of {sample:?}");
    }
    assert_eq!(text.lines().count(), samples().len());
}

/// A disk of a cluster that has been through views, writes, a voter step, a fencing and a grant.
fn disk() -> Disk {
    let mut c = Cluster::running(3, 4_711);
    let dc = c.dc().unwrap();
    c.propose(dc, 1, b"<cib/>");
    let voters = VoterSet {
        votes: vec![(NodeId(1), 1), (NodeId(2), 1), (NodeId(3), 2)],
        expected_votes: Some(4),
        ..VoterSet::default()
    };
    c.input(dc, Input::Reconfigure { voters });
    c.run(500 * MS);
    let target = NodeId(if dc == 3 { 2 } else { 3 });
    let intent = FenceIntent {
        fence_no: 0,
        target,
        machine_boot: Some(MachineBoot([7; 16])),
        action: "reboot".to_owned(),
        reason: "recorded".to_owned(),
    };
    let op = |n: u8| OpId([n; 16]);
    let holder = c.nodes[&dc].config.as_ref().unwrap().me;
    let bodies = [
        EntryBody::FenceIntent(intent),
        EntryBody::Grant(Grant::wanted("vip", holder)),
    ];
    for (n, body) in (50..).zip(bodies) {
        c.input(dc, Input::Propose { op: op(n), body });
    }
    c.run(500 * MS);
    c.nodes[&dc].disk.clone()
}

/// A disk as lines: what it is, its position, its bytes.
fn lines_of(disk: &Disk) -> String {
    let safety = postcard::to_stdvec(disk.safety.as_ref().unwrap()).unwrap();
    let mut text = format!("safety 0 {}\nhint {} \n", hex(&safety), disk.commit_hint);
    if let Some((seq, state)) = &disk.snapshot {
        text += &format!("snapshot {seq} {}\n", hex(state));
    }
    for (seq, record) in &disk.log {
        text += &format!("log {seq} {}\n", hex(record));
    }
    text
}

fn disk_of(text: &str) -> Disk {
    let mut disk = Disk::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let what = words.next().unwrap();
        let seq: u64 = words.next().unwrap().parse().unwrap();
        let bytes = from_hex(words.next().unwrap());
        match what {
            "safety" => disk.safety = Some(postcard::from_bytes(&bytes).unwrap()),
            "hint" => disk.commit_hint = seq,
            "snapshot" => disk.snapshot = Some((seq, bytes)),
            "log" => drop(disk.log.insert(seq, bytes)),
            other => panic!("{other}"),
        }
    }
    disk
}

/// What a core makes of a disk, in words.
fn meaning(disk: &Disk) -> String {
    let mut c = Cluster::new(1, 1);
    let me = c.config(1).me;
    let safety = disk.safety.clone().unwrap();
    let config = Config {
        me: Identity {
            incarnation: safety.incarnation + 1,
            ..me
        },
        ..c.config(1)
    };
    let core = Core::start(config, disk.recovered(), Time(1)).unwrap();
    let status = core.status();
    format!(
        "{safety:#?}\nhead {:?}\n{:#?}\n",
        status.head,
        core.log_state()
    )
}

#[test]
fn a_recorded_disk_is_read_and_means_what_it_meant() {
    let disk = disk_of(&text_of("disk.txt", || lines_of(&disk())));
    let meant = text_of("disk-means.txt", || meaning(&disk));
    assert_eq!(meaning(&disk), meant);
}
