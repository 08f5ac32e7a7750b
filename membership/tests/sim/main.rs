//! The seeded simulator: whole clusters of production cores over simulated machines, with an
//! oracle that knows the truth. `cargo run --release --example sim -p membership` runs the same
//! code over as many seeds as there is time for.
#![allow(dead_code, missing_docs, unreachable_pub)]

mod app;
mod faults;
#[cfg(feature = "mutants")]
mod mutants;
mod net;
mod node;
mod oracle;
mod rng;
mod run;
mod scenarios;
mod world;

use run::{Run, guarded, run};
use world::SECOND;

/// Simulated time under faults, per seed.
const FAULTS_S: u64 = 30;

fn seeds(nodes: u32, from: u64, count: u64) {
    for seed in from..from + count {
        let outcome = run(Run {
            seed,
            nodes,
            fault_us: FAULTS_S * SECOND,
            trace: false,
            two_node: false,
        });
        if let Err(v) = outcome {
            panic!(
                "seed={seed} nodes={nodes}: {} violated at {} ms: {}\nreplay: cargo run --release \
                 --example sim -p membership -- --seed {seed} --nodes {nodes} --seconds {FAULTS_S} \
                 --trace",
                v.rule,
                v.at_us / 1_000,
                v.text,
            );
        }
    }
}

#[test]
fn two_nodes() {
    seeds(2, 1, 80);
}

#[test]
fn three_nodes() {
    seeds(3, 1, 60);
}

#[test]
fn five_nodes() {
    seeds(5, 1, 16);
}

/// The same seed gives the same run, to the last packet; otherwise no failure could be replayed.
#[test]
fn a_seed_repeats_exactly() {
    let this = Run {
        seed: 11,
        nodes: 3,
        fault_us: 10 * SECOND,
        trace: false,
        two_node: false,
    };
    let counts = || run(this).map(|s| (s.packets, s.steps, s.commits, s.acked, s.faults));
    assert_eq!(counts().unwrap(), counts().unwrap());
}

#[test]
fn every_attack_is_withstood() {
    for (name, scenario) in scenarios::ALL {
        for seed in 1..=3 {
            if let Err(v) = guarded(|| scenario(seed)) {
                panic!(
                    "{name} seed={seed}: {} at {} ms: {}",
                    v.rule,
                    v.at_us / 1_000,
                    v.text
                );
            }
        }
    }
}

/// A seeded bug that nobody notices is a hole in the oracle or in the scenarios.
#[cfg(feature = "mutants")]
#[test]
fn every_seeded_bug_is_caught() {
    let escaped: Vec<_> = membership::mutant::Mutant::ALL
        .into_iter()
        .filter(|bug| mutants::hunt(*bug, 60).is_none())
        .collect();
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}
