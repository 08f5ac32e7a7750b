//! Disks that work and take their time: of one node, of all, now and then. T is 0.5 s throughout.

use membership::OpId;

use super::*;

scenarios![
    a_follower_on_a_slow_disk,
    a_coordinator_on_a_slow_disk_hands_over,
    r9_disks_slower_than_the_detection_elect_and_commit,
    i24_a_disk_that_is_slow_now_and_then,
];

/// Among quick disks a write is acknowledged within this time: as if the slow one was not there.
const AT_THE_PACE_OF_THE_QUICK_US: u64 = 60 * MS;
/// The same while the coordinator falls silent and is missed.
const OVER_AN_ELECTION_US: u64 = SECOND;

/// What came of some seconds of writes.
struct Came {
    /// The longest that a write waited, be it to the end.
    slowest_us: u64,
    /// Who acted, one after the other.
    coordinators: Vec<u32>,
    /// Views formed.
    views: u64,
}

impl Came {
    fn require(&self, world: &mut World, rule: &str, what: &str, ok: bool) {
        if !ok {
            let text = format!(
                "{what}: coordinators {:?}, {} views, slowest write {} ms\n{}",
                self.coordinators,
                self.views,
                self.slowest_us / MS,
                world.picture()
            );
            world.oracle.now = world.now;
            world.oracle.fail(rule, text);
        }
    }
}

fn newest_view(world: &World) -> u64 {
    let cores = world.nodes.iter().filter_map(|n| n.core.as_ref());
    cores.map(|c| c.probe().view.view_no).max().unwrap_or(0)
}

fn newest_ballot(world: &World) -> u64 {
    let cores = world.nodes.iter().filter_map(|n| n.core.as_ref());
    let counters = cores.map(|c| c.probe().safety.promised.counter);
    counters.max().unwrap_or(0)
}

/// Each of the nodes takes a write every tenth of a second.
fn written(world: &mut World, ids: &[u32], for_us: u64) -> Came {
    let end = world.now + for_us;
    let before = newest_view(world);
    let mut open: Vec<(u64, OpId)> = Vec::new();
    let mut came = Came {
        slowest_us: 0,
        coordinators: Vec::new(),
        views: 0,
    };
    let mut write_at = world.now;
    while world.now < end && world.oracle.violation.is_none() {
        if world.now >= write_at {
            open.extend(ids.iter().map(|id| (write_at, world.write_at(*id))));
            write_at += 100 * MS;
        }
        world.run(2 * MS);
        let acked = |(_, op): &(u64, OpId)| world.oracle.ops[op].acked.is_some();
        open.retain(|asked| {
            came.slowest_us = came.slowest_us.max(world.now - asked.0);
            !acked(asked)
        });
        let dc = world.dc();
        if dc.is_some() && came.coordinators.last() != dc.as_ref() {
            came.coordinators.extend(dc);
        }
    }
    came.views = newest_view(world) - before;
    came
}

/// One of three takes longer for a write than T, also longer than a store may that does not count as
/// hung. The others go on at their own pace, and it does not come and go with every write.
fn a_follower_on_a_slow_disk(seed: u64) -> Result<(), Violation> {
    for (ms, seed) in [
        ((600, 900), seed),
        ((1_500, 1_900), seed),
        ((1_500, 3_000), seed),
    ] {
        let mut world = founded(Setup::plain(3, seed));
        let dc = dc_of(&world);
        let slow = others(&world, dc)[1];
        slow_down(&mut world, slow, ms, 0);
        let quick = others(&world, slow);
        let came = written(&mut world, &quick, 40 * SECOND);
        let in_time = came.slowest_us <= AT_THE_PACE_OF_THE_QUICK_US;
        came.require(&mut world, "I23", "the quick go on", in_time);
        let one = came.coordinators == [dc];
        came.require(&mut world, "I24", "one coordinator", one);
        // It hangs, is out, comes back, hangs once more, and is out until its disk is prompt.
        let calm = came.views <= 4;
        came.require(&mut world, "I24", "it does not come and go", calm);
        ends_well(world)?;
    }
    Ok(())
}

/// The same where the slow one is the coordinator. Others could do better, and then one of them does;
/// it stays, and writes are as quick as if all disks were.
fn a_coordinator_on_a_slow_disk_hands_over(seed: u64) -> Result<(), Violation> {
    for nodes in [3, 5] {
        for ms in [(600, 900), (1_500, 1_900), (1_500, 3_000)] {
            let mut world = founded(Setup::plain(nodes, seed));
            let slow = dc_of(&world);
            slow_down(&mut world, slow, ms, 0);
            let quick = others(&world, slow);
            let came = written(&mut world, &quick, 20 * SECOND);
            let in_time = came.slowest_us <= OVER_AN_ELECTION_US;
            came.require(&mut world, "I23", "the quick go on", in_time);
            let gone = came.coordinators.len() == 2 && came.coordinators[0] == slow;
            came.require(&mut world, "I23", "another one leads", gone);
            let next = dc_of(&world);
            let came = written(&mut world, &quick, 20 * SECOND);
            let in_time = came.slowest_us <= AT_THE_PACE_OF_THE_QUICK_US;
            came.require(&mut world, "I23", "at the pace of the quick", in_time);
            let stays = came.coordinators == [next] && came.views <= 4;
            came.require(&mut world, "I24", "it stays", stays);
            ends_well(world)?;
        }
    }
    Ok(())
}

/// No disk, or only one, writes a promise within half of T. A cluster is founded, changes its voters, takes
/// writes, and replaces its coordinator, in a few ballots each.
fn r9_disks_slower_than_the_detection_elect_and_commit(seed: u64) -> Result<(), Violation> {
    let (wide, narrow) = ((300, 1_500), (1_200, 1_600));
    // Where one is quick it does not know how slow the others are, and tries.
    for (quick, ms, ballots) in [
        (None, wide, 2),
        (None, narrow, 1),
        (Some(1), narrow, 6),
        (Some(3), narrow, 6),
    ] {
        for seed in seed..seed + 3 {
            let mut world = World::new(Setup::plain(3, seed), Profile::calm());
            for id in (1..=3).filter(|id| Some(*id) != quick) {
                slow_down(&mut world, id, ms, 0);
            }
            world.start_all();
            leads_soon(&mut world, ballots);
            let dc = dc_of(&world);
            world.until("founded", 30 * SECOND, World::settled);
            changes_voters(&mut world, dc);
            let came = written(&mut world, &[1, 2, 3], 20 * SECOND);
            let one = came.coordinators == [dc] && came.views == 0;
            came.require(&mut world, "I24", "one coordinator", one);
            world.kill(dc);
            leads_soon(&mut world, ballots);
            let other = dc_of(&world);
            acked(&mut world, other, 30 * SECOND);
            world.start(dc);
            ends_well(world)?;
        }
    }
    Ok(())
}

/// One of the others gets a second vote; these are a quorum still.
fn changes_voters(world: &mut World, dc: u32) {
    let other = others(world, dc)[0];
    let mut voters = world.setup.voters.clone();
    voters.votes[other as usize - 1].1 = 2;
    let wanted = voters.clone();
    world.input(dc, Input::Reconfigure { voters });
    world.until("the voters are changed", 30 * SECOND, |w| {
        let cores = w.nodes.iter().filter_map(|n| n.core.as_ref());
        let mut configs = cores.map(|c| &c.log_state().config);
        configs.all(|c| c.current == wanted && c.next.is_none())
    });
}

/// A coordinator comes to act within a few ballots, and no disk is given anything without need.
fn leads_soon(world: &mut World, ballots: u64) {
    let (before, began) = (newest_ballot(world), world.now);
    while world.dc().is_none() && world.oracle.violation.is_none() {
        world.run(10 * MS);
        let took = newest_ballot(world) - before;
        let empty = |n: &crate::node::Node| n.writes.iter().filter(|w| w.ops.is_empty()).count();
        let (rule, what) = if took > ballots || world.now - began > 30 * SECOND {
            ("I23", "nobody leads")
        } else if world.nodes.iter().any(|n| empty(n) > 1) {
            ("I25", "a disk is given writes of nothing")
        } else {
            continue;
        };
        let text = format!("{what}, after {took} ballots\n{}", world.picture());
        world.oracle.now = world.now;
        world.oracle.fail(rule, text);
    }
}

/// A disk is slow for five seconds, quick for five, and so on, under writes. Each time that it hangs
/// the node is out for longer; the coordinator changes once, if the disk is its own.
fn i24_a_disk_that_is_slow_now_and_then(seed: u64) -> Result<(), Violation> {
    for coordinates in [false, true] {
        for ms in [(600, 900), (1_500, 3_000)] {
            let mut world = founded(Setup::plain(3, seed));
            let dc = dc_of(&world);
            let slow = if coordinates {
                dc
            } else {
                others(&world, dc)[1]
            };
            slow_down(&mut world, slow, ms, 5 * SECOND);
            let quick = others(&world, slow);
            let came = written(&mut world, &quick, 60 * SECOND);
            let limit_us = if coordinates {
                OVER_AN_ELECTION_US
            } else {
                AT_THE_PACE_OF_THE_QUICK_US
            };
            let in_time = came.slowest_us <= limit_us;
            came.require(&mut world, "I23", "the quick go on", in_time);
            let steady = came.coordinators.len() <= if coordinates { 2 } else { 1 };
            came.require(&mut world, "I24", "coordinators", steady);
            // Out and in again at most once in each of the six times that it is slow.
            let calm = came.views <= 12;
            came.require(&mut world, "I24", "it does not come and go", calm);
            ends_well(world)?;
        }
    }
    Ok(())
}
