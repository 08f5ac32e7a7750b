//! The seeded simulator: whole clusters of production cores over simulated machines, with an
//! oracle that knows the truth. `cargo run --release --example sim -p membership` runs the same
//! code over as many seeds as there is time for.
#![allow(dead_code, missing_docs, unreachable_pub)]

mod app;
mod faults;
mod net;
mod node;
mod oracle;
mod rng;
mod run;
mod world;

use run::{Run, run};
use world::SECOND;

fn seeds(nodes: u32, from: u64, count: u64, fault_us: u64) {
    for seed in from..from + count {
        let outcome = run(Run {
            seed,
            nodes,
            fault_us,
            trace: false,
        });
        if let Err(v) = outcome {
            panic!(
                "seed={seed} nodes={nodes}: {} violated at {} ms: {}\nreplay: cargo run --release \
                 --example sim -p membership -- --seed {seed} --nodes {nodes} --seconds {} --trace",
                v.rule,
                v.at_us / 1_000,
                v.text,
                fault_us / SECOND
            );
        }
    }
}

#[test]
fn two_nodes() {
    seeds(2, 1, 100, 60 * SECOND);
}

#[test]
fn three_nodes() {
    seeds(3, 1, 100, 60 * SECOND);
}

#[test]
fn five_nodes() {
    seeds(5, 1, 50, 60 * SECOND);
}
