//! Stores that were lost, never filled, or are older than they should be (R6, R8).

use super::*;

scenarios![
    r6_a_lost_store_does_not_vote,
    r6_damage_outlasts_a_crash_while_it_is_cut_off,
    r6_recovery_needs_a_quorum,
    r6_founding_needs_all_nodes,
    r6_the_first_view_has_everybody,
    r6_founding_needs_one_node_list,
    r8_a_rolled_back_disk,
    a_store_that_works_again_takes_writes,
];

/// Three nodes, the coordinator A and B of them: the two have a write that C, cut off for a minute,
/// has not.
fn written_by_two(seed: u64) -> (World, u32, u32) {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let (b, c) = (rest[0], rest[1]);
    let until = world.now + 60 * SECOND;
    world.isolate(c, until);
    world.run(SECOND);
    acked(&mut world, a, SECOND);
    (world, a, b)
}

/// {A, B} have a write, C has not; B loses its store, A dies: {B, C} must not go on without it.
fn r6_a_lost_store_does_not_vote(seed: u64) -> Result<(), Violation> {
    for degraded in [false, true] {
        let (mut world, a, b) = written_by_two(seed);
        world.kill(a);
        world.kill(b);
        let fresh = Disk {
            degraded,
            ..Disk::default()
        };
        let node = world.node_mut(b);
        node.lost = std::mem::replace(&mut node.disk, fresh);
        world.oracle.disk_lost(b);
        world.net.heal();
        world.start(b);
        nobody_acts(&mut world, "R6", 4 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// {A, B} have a write, C has not; B's copy of it rots, and B dies with some of its first writes done.
/// Then A dies: {B, C} must not go on without it.
fn r6_damage_outlasts_a_crash_while_it_is_cut_off(seed: u64) -> Result<(), Violation> {
    for written in 0..3 {
        let (mut world, a, b) = written_by_two(seed);
        world.kill(b);
        let now = world.now;
        let node = world.node_mut(b);
        node.lost = node.disk.clone();
        node.forgot = true;
        if let Some(mut newest) = node.disk.log.last_entry() {
            newest.get_mut()[0] ^= 1;
        }
        node.disk_stalled_until = now + 60 * SECOND;
        world.oracle.disk_lost(b);
        world.start(b);
        world.kill_having_written(b, written);
        world.node_mut(b).disk_stalled_until = 0;
        world.kill(a);
        world.net.heal();
        world.start(b);
        nobody_acts(&mut world, "R6", 4 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// A node without a store hears the DC alone: that is not enough to vote again.
fn r6_recovery_needs_a_quorum(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(5, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let b = rest[0];
    world.kill(b);
    let node = world.node_mut(b);
    node.lost = std::mem::take(&mut node.disk);
    world.oracle.disk_lost(b);
    let until = world.now + 2 * SECOND;
    for other in &rest[1..] {
        world.net.cut_both(b, *other, until);
    }
    // Nor does the coordinator pass anything on.
    world.net.path(a, b).swallows = Some(|m| matches!(m, Message::Relay { .. }));
    world.start(b);
    world.run(2 * SECOND);
    ends_well(world)
}

fn r6_founding_needs_all_nodes(seed: u64) -> Result<(), Violation> {
    let mut world = World::new(Setup::plain(3, seed), Profile::calm());
    world.start(1);
    world.start(2);
    nobody_acts(&mut world, "R6", 3 * SECOND);
    ends_well(world)
}

/// All are there and promise, but before the last promise comes one of them hears the candidate no
/// more. Its timeout is short and the candidate's is long; the first view must not go without it.
fn r6_the_first_view_has_everybody(seed: u64) -> Result<(), Violation> {
    for short in 1..=3 {
        let mut setup = Setup::plain(3, seed + u64::from(short));
        setup.t_fail_us = vec![5 * SECOND; 3];
        setup.t_fail_us[short as usize - 1] = 250 * MS;
        let mut world = World::new(setup, Profile::calm());
        let long = others(&world, short);
        for (from, to) in [(long[0], long[1]), (long[1], long[0])] {
            world.net.path(from, to).swallows = Some(|m| matches!(m, Message::Promise { .. }));
            world.net.path(from, short).swallows = Some(|m| matches!(m, Message::Relay { .. }));
        }
        world.start_all();
        let promised = |w: &World| w.node(short).disk.safety.as_ref().map(|s| s.promised.node);
        world.until("it promises", 10 * SECOND, |w| promised(w) > Some(0));
        // Two may stand at once: the higher ballot is everybody's choice.
        world.run(10 * MS);
        let candidate = promised(&world).unwrap_or(short);
        if candidate == short {
            continue;
        }
        world.net.cut(candidate, short, world.now + 3 * SECOND);
        world.run(600 * MS);
        for (from, to) in [(long[0], long[1]), (long[1], long[0])] {
            world.net.path(from, to).swallows = None;
        }
        world.run(SECOND);
        ends_well(world)?;
    }
    Ok(())
}

fn r6_founding_needs_one_node_list(seed: u64) -> Result<(), Violation> {
    let mut world = World::new(Setup::plain(3, seed), Profile::calm());
    world.node_mut(3).nodelist_digest = [8; 32];
    world.start_all();
    nobody_acts(&mut world, "R6", 3 * SECOND);
    world.kill(3);
    world.node_mut(3).nodelist_digest = [7; 32];
    ends_well(world)
}

/// C's disk goes back to an image from before it acknowledged an entry.
fn r8_a_rolled_back_disk(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let (b, c) = (rest[0], rest[1]);
    world.run(SECOND);
    let image = world.node(c).disk.clone();
    world.kill(c);
    world.start(c);
    world.until("C is in again", 5 * SECOND, World::settled);
    let until = world.now + 2 * SECOND;
    world.isolate(b, until);
    world.run(SECOND);
    acked(&mut world, a, SECOND);
    world.kill(c);
    let node = world.node_mut(c);
    node.lost = std::mem::replace(&mut node.disk, image);
    world.oracle.disk_lost(c);
    world.start(c);
    world.until(
        "C knows that its disk is older than it should be (R8)",
        SECOND,
        |w| {
            let recovers = |core: &Core| core.probe().recovering;
            w.node(c).core.as_ref().is_none_or(recovers)
        },
    );
    ends_well(world)
}

/// A disk stands still for longer than a hung one may, with several writes before it. As soon as it has
/// done the first of them it works again, although the others have waited for as long.
fn a_store_that_works_again_takes_writes(seed: u64) -> Result<(), Violation> {
    let mut setup = Setup::plain(3, seed);
    setup.disk.write_us_max = 20 * MS;
    let mut world = founded(setup);
    let dc = dc_of(&world);
    let slow = others(&world, dc)[0];
    world.node_mut(slow).disk_stalled_until = world.now + 2_300 * MS;
    keep_writing(&mut world, &[dc], 2_200 * MS);
    let queued = world.node(slow).writes.len();
    let works = |w: &World| w.node(slow).writes.len() < queued;
    world.until("the disk works again", SECOND, works);
    acked(&mut world, slow, 5 * SECOND);
    ends_well(world)
}
