//! The attacks that shaped the rules, each named after its rule, and the bugs that were found, each
//! named after what went wrong. Every one must end well with the production core, and is what a
//! seeded bug is shown to first.

/// A family's list: each scenario under its function's name.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        pub const ALL: &[Scenario] = &[$((stringify!($name), $name)),*];
    };
}

mod coordinator;
mod found;
mod heirs;
mod leases;
mod relays;
mod restarts;
mod slow_disks;
mod stores;
mod two_nodes;
mod voters;
mod witness;

use membership::message::Message;
use membership::{Core, EntryBody, FenceIntent, Input, VoterSet};
use wire::NodeId;

use crate::app::Work;
use crate::disk::Disk;
use crate::faults::Profile;
use crate::node::SlowDisk;
use crate::oracle::Violation;
use crate::world::{Happening, MS, SECOND, Setup, World};

pub type Scenario = (&'static str, fn(u64) -> Result<(), Violation>);

/// All of them, the quick ones first; the number is the seed.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    let families = [
        two_nodes::ALL,
        stores::ALL,
        coordinator::ALL,
        witness::ALL,
        found::ALL,
        leases::ALL,
        relays::ALL,
        restarts::ALL,
        heirs::ALL,
        voters::ALL,
        slow_disks::ALL,
    ];
    families.into_iter().flatten()
}

fn founded(setup: Setup) -> World {
    let mut world = World::new(setup, Profile::calm());
    world.start_all();
    world.until("founded", 10 * SECOND, World::settled);
    world
}

fn dc_of(world: &World) -> u32 {
    world.dc().unwrap_or(1)
}

fn others(world: &World, not: u32) -> Vec<u32> {
    (1..=world.size()).filter(|n| *n != not).collect()
}

/// A write of that node takes from one number of milliseconds to another.
fn slow_down(world: &mut World, id: u32, ms: (u64, u64), period_us: u64) {
    world.node_mut(id).slow_disk = Some(SlowDisk {
        low_us: ms.0 * MS,
        high_us: ms.1 * MS,
        period_us,
    });
}

fn split(world: &mut World, left: &[u32], until: u64) {
    for a in 1..=world.all() {
        for b in a + 1..=world.all() {
            if left.contains(&a) != left.contains(&b) {
                world.net.cut_both(a, b, until);
            }
        }
    }
}

/// Each of the nodes takes a write every tenth of a second.
fn keep_writing(world: &mut World, ids: &[u32], for_us: u64) {
    let end = world.now + for_us;
    while world.now < end && world.oracle.violation.is_none() {
        for id in ids {
            world.write_at(*id);
        }
        world.run(100 * MS);
    }
}

/// A write at the node is acknowledged in time.
fn acked(world: &mut World, id: u32, limit_us: u64) {
    let op = world.write_at(id);
    let acked = |w: &World| w.oracle.ops[&op].acked.is_some();
    world.until("a write is acknowledged", limit_us, acked);
}

fn ends_well(mut world: World) -> Result<(), Violation> {
    world.heal_and_check();
    world.verdict().map(|_| ())
}

fn nobody_acts(world: &mut World, rule: &str, for_us: u64) {
    let end = world.now + for_us;
    while world.now < end && world.oracle.violation.is_none() {
        world.run(5 * MS);
        if let Some(dc) = world.acting().first() {
            let text = format!("node {dc} acts\n{}", world.picture());
            world.oracle.now = world.now;
            world.oracle.fail(rule, text);
        }
    }
}
