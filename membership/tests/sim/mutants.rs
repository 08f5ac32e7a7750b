//! Seeded protocol bugs against scenarios and seeds: each must be caught.

use membership::mutant::{self, Mutant};

use crate::oracle::Violation;
use crate::run::{Rules, Run, guarded, run};
use crate::scenarios;
use crate::world::{LOOK_EVERY, SECOND};

/// What caught a bug.
#[derive(Clone, Debug)]
pub struct Catch {
    pub by: String,
    pub rule: String,
    pub text: String,
    pub seed: u64,
    pub seeds: u64,
}

/// Shows one bug to all scenarios, then to seeds, until something notices.
pub fn hunt(bug: Mutant, seeds_max: u64) -> Option<Catch> {
    mutant::seed(Some(bug));
    let found = in_scenarios().or_else(|| in_seeds(bug, seeds_max));
    mutant::seed(None);
    found
}

fn in_scenarios() -> Option<Catch> {
    scenarios::all().find_map(|(name, scenario)| {
        let violation = guarded(|| scenario(1)).err()?;
        // What fails without the bug as well proves nothing.
        let seeded = mutant::seeded();
        mutant::seed(None);
        let sound = guarded(|| scenario(1)).is_ok();
        mutant::seed(seeded);
        sound.then_some(())?;
        Some(caught((*name).to_owned(), violation, 1, 0))
    })
}

fn in_seeds(bug: Mutant, seeds_max: u64) -> Option<Catch> {
    (1..=seeds_max).find_map(|seed| {
        let nodes = [3, 2, 5][seed as usize % 3];
        let this = Run {
            seed,
            nodes,
            fault_us: 30 * SECOND,
            lull_us: 0,
            look_every: LOOK_EVERY,
            trace: false,
            digest: false,
            two_node: true,
            rules: Rules::Mixed,
        };
        let violation = run(this).err()?;
        // A seed that fails without the bug as well proves nothing.
        mutant::seed(None);
        let sound = run(this).is_ok();
        mutant::seed(Some(bug));
        sound.then_some(())?;
        Some(caught(format!("{nodes} nodes"), violation, seed, seed))
    })
}

fn caught(by: String, violation: Violation, seed: u64, seeds: u64) -> Catch {
    Catch {
        by,
        rule: violation.rule,
        text: violation.text,
        seed,
        seeds,
    }
}
