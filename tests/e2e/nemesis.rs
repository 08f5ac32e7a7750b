//! Clients write without a pause while cables are cut, nodes frozen and powered off, and daemons
//! killed. What they were told has to be one history: every acknowledged change there exactly once,
//! every refused one never, in an order that real time agrees with.

#[allow(unreachable_pub, reason = "the simulator has it as its own")]
#[path = "../../membership/tests/sim/linear.rs"]
mod linear;

use crate::cluster::Cluster;
use crate::config::{plain, properties};
use cib::{Cib, Section};
use linear::{Call, End};
use mainstay::ipc::{Change, Client, Edit, ErrorKind, Request, Response};
use mainstay::paths::Paths;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the nemesis rages, in seconds: `MAINSTAY_NEMESIS_SECONDS` says otherwise.
const NEMESIS_S: u64 = 60;
/// Clients that write at the same time, each at every node in turn.
const CLIENTS: u64 = 3;
/// Shortest pause between two writes of a client, in milliseconds.
const PAUSE_MS: u64 = 100;
/// Writes of all clients together, roughly: the configuration keeps every one, so a long raging is
/// written to more slowly.
const WRITES: u64 = 2_000;
/// What the written properties begin with.
const PREFIX: &str = "nemesis-";

/// One client's writes, from the first to the end of the raging.
struct Writer<'a> {
    c: &'a Cluster,
    number: u64,
    began: Instant,
    calls: Vec<Call<u64>>,
}

impl Writer<'_> {
    fn micros(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    /// Reads what a node has, adds a property, and has it put in place only of what was read.
    fn write(&mut self, turn: u64) {
        let op = turn * CLIENTS + self.number;
        let node = format!("node{}", 1 + (turn + self.number) % 3);
        let Some(root) = root_of(self.c, &node) else {
            return;
        };
        let Ok(Response::Cib { xml }) = ask(&root, &Request::Cib { status: false }) else {
            return;
        };
        let Ok(mut cib) = Cib::parse(&xml) else {
            panic!("{node} gave a CIB that cannot be read: {xml}")
        };
        let base = (cib.version().admin_epoch, cib.version().epoch);
        properties(&mut cib, &[(&format!("{PREFIX}{op}"), "set")]);
        let configuration = cib
            .root()
            .first("configuration")
            .expect("every CIB has one");
        let mut name = [0; 16];
        getrandom::fill(&mut name).expect("the kernel gives random bytes");
        let change = Change {
            op: name,
            base: Some(base),
            edit: Edit::Configuration(cib::xml::compact(configuration)),
            client: "nemesis".to_owned(),
            user: "root".to_owned(),
        };
        let invoked = self.micros();
        let end = match ask(&root, &Request::Change(change)) {
            Ok(Response::Changed { .. }) => End::Acked {
                at: self.micros(),
                position: None,
            },
            Ok(Response::Error {
                kind: ErrorKind::Conflict,
                ..
            }) => End::Refused,
            _ => End::Unknown,
        };
        self.calls.push(Call { op, invoked, end });
    }
}

fn root_of(c: &Cluster, node: &str) -> Option<PathBuf> {
    let nodes = c.nodes().ok()?;
    let pid = nodes.iter().find(|n| n.name == node)?.running().ok()?.pid;
    Some(format!("/proc/{pid}/root").into())
}

fn ask(root: &std::path::Path, request: &Request) -> Result<Response, String> {
    let mut client = Client::connect(&Paths::below(root)).map_err(|e| e.to_string())?;
    client.call(request).map_err(|e| e.to_string())
}

/// One thing that goes wrong at one node, and is mended after a while.
fn strike(c: &Cluster, dice: &mut u64) {
    let mut draw = |below: u64| {
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        *dice % below
    };
    let node = format!("node{}", 1 + draw(3));
    let pause = Duration::from_millis(300 + draw(3_000));
    let what = draw(6);
    eprintln!("    nemesis: {what} at {node} for {pause:?}");
    match what {
        0 => c.cut(&node).unwrap(),
        1 => c.deafen(&node).unwrap(),
        2 => c.mute(&node).unwrap(),
        3 => c.freeze(&node).unwrap(),
        4 => drop(c.kill_daemon(&node)),
        _ => drop(c.poweroff(&node).unwrap()),
    }
    std::thread::sleep(pause);
    match what {
        0..=2 => c.heal(&node).unwrap(),
        3 => c.thaw(&node).unwrap(),
        4 => {}
        _ => c.poweron(&node).unwrap(),
    }
    std::thread::sleep(Duration::from_millis(draw(2_000)));
}

/// Names of the properties that clients wrote, in the order of the document, which grows at its end.
fn written(cib: &Cib) -> Vec<(u64, u64)> {
    let section = cib.section(Section::CrmConfig).expect("it was written to");
    let pairs = section.children.iter().flat_map(|set| &set.children);
    let names = pairs.filter_map(|pair| pair.attr("name")?.strip_prefix(PREFIX)?.parse().ok());
    (1..).zip(names).collect()
}

#[test]
fn what_clients_are_told_under_a_nemesis_is_one_history() {
    let test = "what_clients_are_told_under_a_nemesis_is_one_history";
    let Some(c) = Cluster::up(test, 3, |_| ()) else {
        return;
    };
    c.must_edit("node1", plain);
    let seconds = std::env::var("MAINSTAY_NEMESIS_SECONDS").ok();
    let seconds = seconds.map_or(NEMESIS_S, |s| s.parse().expect("a number of seconds"));
    let pause = Duration::from_millis((seconds * 1_000 * CLIENTS / WRITES).max(PAUSE_MS));
    let over = AtomicBool::new(false);
    let calls = Mutex::new(Vec::new());
    let (c, began) = (&c, Instant::now());
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (over, calls) = (&over, &calls);
            scope.spawn(move || {
                let mut writer = Writer {
                    c,
                    number,
                    began,
                    calls: Vec::new(),
                };
                for turn in 0.. {
                    if over.load(Ordering::Acquire) {
                        break;
                    }
                    writer.write(turn);
                    std::thread::sleep(pause);
                }
                calls.lock().unwrap().append(&mut writer.calls);
            });
        }
        let mut dice = u64::from(std::process::id()) | 1 << 40;
        while began.elapsed() < Duration::from_secs(seconds) {
            strike(c, &mut dice);
        }
        over.store(true, Ordering::Release);
    });
    c.heal_all().unwrap();
    c.wait_online();
    c.must_edit("node1", |cib| properties(cib, &[("batch-limit", "9")]));
    c.wait_idle("node1");
    let calls = calls.into_inner().unwrap();
    judge(c, &calls);
}

fn judge(c: &Cluster, calls: &[Call<u64>]) {
    let log = written(&c.cib("node1"));
    for node in ["node2", "node3"] {
        c.wait_until("every node to have the same", node, || {
            match written(&c.cib(node)) == log {
                true => Ok(()),
                false => Err("it has another configuration".to_owned()),
            }
        });
    }
    let count = |wanted: fn(&End) -> bool| calls.iter().filter(|c| wanted(&c.end)).count();
    let acked = count(|e| matches!(e, End::Acked { .. }));
    let unknown = count(|e| *e == End::Unknown);
    eprintln!(
        "    {acked} acknowledged, {} refused, {unknown} of unknown end; {} are there",
        count(|e| *e == End::Refused),
        log.len()
    );
    assert!(acked > 20, "too few writes to tell anything: {acked}");
    if let Err(why) = linear::check(calls, &log) {
        c.fail("node1", &why);
    }
}
