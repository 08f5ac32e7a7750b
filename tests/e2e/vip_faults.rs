//! No instant at which two nodes answer for the floating IP, whatever happens to its holder.
//!
//! Random sequences of faults, each from a seed; the client asks by ARP every few milliseconds, and
//! the order of the answers on its one socket tells whether an old owner spoke after a new one.
//! The detection timeout is the fast profile's: a busy machine may well move the address without
//! need then, which is allowed; two owners are not.

use crate::cluster::{Cluster, PATIENCE};
use crate::config::{add, ip, plain};
use mainstay::lab::VIP;
use netlink::owners::overlap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// `token` of the fast profile, in milliseconds.
const TOKEN_MS: u32 = 100;
/// Sequences where [`SEEDS`] does not say otherwise.
const SEQUENCES: u64 = 60;
/// Environment: `FIRST..LAST`, for long runs and for one seed again.
const SEEDS: &str = "MAINSTAY_VIP_SEEDS";
/// Time between two questions who has the address.
const ASK_EVERY: Duration = Duration::from_millis(3);
/// A move back after this time is another move, not two owners.
const RETURN_AFTER: Duration = Duration::from_millis(50);

/// What may happen to a node; [`undo`] ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    PowerOff,
    SuspendDaemon,
    FreezeNode,
    Cut,
    Apart,
    KillWorker,
    KillBoth,
    InterfaceDown,
    RemoveAddress,
    Standby,
}

const FAULTS: [Fault; 10] = [
    Fault::PowerOff,
    Fault::SuspendDaemon,
    Fault::FreezeNode,
    Fault::Cut,
    Fault::Apart,
    Fault::KillWorker,
    Fault::KillBoth,
    Fault::InterfaceDown,
    Fault::RemoveAddress,
    Fault::Standby,
];

/// SplitMix64: a sequence is its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn act(c: &Cluster, fault: Fault, node: &str) {
    let done = match fault {
        Fault::PowerOff => c.poweroff(node).map(drop),
        Fault::SuspendDaemon => c.suspend_daemon(node).map(drop),
        Fault::FreezeNode => c.freeze(node),
        Fault::Cut => c.cut(node),
        Fault::Apart => c.apart(node),
        Fault::KillWorker => c.kill_daemon(node).map(drop),
        Fault::KillBoth => c.kill_daemon_and_parent(node).map(drop),
        Fault::InterfaceDown => c.set_interface(node, false).map(drop),
        Fault::RemoveAddress => c.remove_address(node, VIP).map(drop),
        Fault::Standby => {
            // Without quorum it is refused: then it is no fault.
            let _ = c.sh(node, &format!("crm node standby {node}"));
            Ok(())
        }
    };
    if let Err(error) = done {
        // Another fault may have taken the daemon away: there is nothing to do it to.
        eprintln!("    {fault:?} of {node}: {error}");
    }
}

fn undo(c: &Cluster, fault: Fault, node: &str) {
    let done = match fault {
        Fault::PowerOff => c.poweron(node),
        Fault::SuspendDaemon => c.resume_daemon(node).map(drop),
        Fault::FreezeNode => c.thaw(node),
        Fault::Cut | Fault::Apart => c.heal(node),
        Fault::InterfaceDown => c.set_interface(node, true).map(drop),
        Fault::KillWorker | Fault::KillBoth | Fault::RemoveAddress | Fault::Standby => Ok(()),
    };
    done.unwrap_or_else(|e| panic!("{fault:?} of {node} cannot be undone: {e}"));
}

/// One sequence: up to two faults, at the holder mostly, that overlap by chance.
fn sequence(c: &Cluster, seed: u64) -> Vec<(Fault, String)> {
    let mut random = Random(seed);
    let mut under_way: Vec<(Fault, String)> = Vec::new();
    for _ in 0..=random.below(2) {
        let holders = c.holders(VIP).unwrap();
        let victims: Vec<String> = c.powered();
        let by_chance = victims[random.below(victims.len() as u64) as usize].clone();
        let node = match (random.below(4), holders.first()) {
            (1.., Some(holder)) => holder.clone(),
            _ => by_chance,
        };
        // One fault a node: what is off or frozen takes no other.
        if under_way.iter().any(|(_, n)| *n == node) {
            continue;
        }
        // A third node must be left to take over.
        let fault = FAULTS[random.below(FAULTS.len() as u64) as usize];
        let alone = under_way.iter().any(|(f, _)| *f == Fault::Apart);
        if fault == Fault::Apart && alone {
            continue;
        }
        act(c, fault, &node);
        under_way.push((fault, node));
        std::thread::sleep(Duration::from_millis(random.below(700)));
    }
    let mut rest = under_way.clone();
    while !rest.is_empty() {
        let (fault, node) = rest.swap_remove(random.below(rest.len() as u64) as usize);
        undo(c, fault, &node);
        std::thread::sleep(Duration::from_millis(random.below(300)));
    }
    under_way
}

/// Everything is well again: all online, none in standby, the address on one node.
fn recover(c: &Cluster, faults: &[(Fault, String)]) {
    c.wait_online();
    for (_, node) in faults.iter().filter(|(f, _)| *f == Fault::Standby) {
        c.run(node, &format!("crm node online {node}"));
    }
    let node = c.other_than(&[]);
    c.run(&node, "crm resource cleanup ip");
    c.wait_idle(&node);
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var(SEEDS) else {
        return 0..SEQUENCES;
    };
    let (first, last) = text.split_once("..").unwrap_or((&text, ""));
    let first: u64 = first.parse().expect("MAINSTAY_VIP_SEEDS is FIRST..LAST");
    first..last.parse().unwrap_or(first + 1)
}

#[test]
fn never_two_owners_under_random_faults() {
    let test = "never_two_owners_under_random_faults";
    let Some(c) = Cluster::up(test, 3, |o| o.token_ms = Some(TOKEN_MS)) else {
        return;
    };
    c.must_edit("node1", |cib| {
        plain(cib);
        add(cib, ip());
    });
    c.wait_started("node1", "ip", None);
    let IpAddr::V4(address) = VIP else {
        unreachable!("the lab's address is IPv4");
    };
    for seed in seeds() {
        one(&c, seed, address);
    }
}

fn one(c: &Cluster, seed: u64, address: Ipv4Addr) {
    let owners = c.owners(address, ASK_EVERY).unwrap();
    let start = Instant::now();
    let answered = owners.wait_for_answer(start, PATIENCE);
    assert!(answered.is_some(), "seed {seed}: nobody answers for {VIP}");
    let faults = sequence(c, seed);
    recover(c, &faults);
    let healed = Instant::now();
    let again = owners.wait_for_answer(healed, PATIENCE);
    assert!(
        again.is_some(),
        "seed {seed}, {faults:?}: nobody answers for {VIP} once all is well again"
    );
    let spoken = owners.stop();
    let double = overlap(&spoken, RETURN_AFTER);
    assert_eq!(
        double,
        Duration::ZERO,
        "seed {seed}, {faults:?}: two nodes answered for {VIP} (again: {SEEDS}={seed})"
    );
}
