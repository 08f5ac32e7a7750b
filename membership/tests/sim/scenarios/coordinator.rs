//! One coordinator at a time, and it has everything: R0, R1, I13, pre-vote, adoption.

use super::*;

scenarios![
    r0_cut_pair_and_a_quick_restart,
    r0_different_tokens,
    r0_authority_counts_from_the_send_time,
    r1_memory_is_not_durable,
    i13_a_late_command,
    prevote_an_isolated_node_returns,
    adoption_the_newest_log_wins,
    i24_nothing_happens_without_a_fault,
    i24_a_machine_stands_still_with_all_nodes,
];

/// A and B are cut, C is killed and back in 60 ms, promises B while A still acts: two DCs.
fn r0_cut_pair_and_a_quick_restart(seed: u64) -> Result<(), Violation> {
    for offset_ms in (0..600).step_by(60) {
        let mut world = founded(Setup::plain(3, seed + offset_ms));
        let a = dc_of(&world);
        let rest = others(&world, a);
        let until = world.now + 3 * SECOND;
        world.net.cut_both(a, rest[0], until);
        world.run(offset_ms * MS);
        world.kill(rest[1]);
        world.run(60 * MS);
        world.start(rest[1]);
        world.run(2 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// A relies on its echoes for 5 s, B and C detect in 0.5 s: they wait for what A was promised.
fn r0_different_tokens(seed: u64) -> Result<(), Violation> {
    for slow in 1..=3 {
        let mut setup = Setup::plain(3, seed);
        setup.t_fail_us[slow - 1] = 5 * SECOND;
        let mut world = founded(setup);
        let a = dc_of(&world);
        let until = world.now + 8 * SECOND;
        world.isolate(a, until);
        world.run(7 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// Echoes come back late: they prove freshness of the stamp, not of the moment they arrive.
fn r0_authority_counts_from_the_send_time(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let until = world.now + 6 * SECOND;
    for b in &rest {
        let path = world.net.path(*b, a);
        path.slow_us = 400 * MS;
        path.slow_until = until;
    }
    world.run(2 * SECOND);
    for b in &rest {
        world.net.cut(a, *b, until);
    }
    world.run(3 * SECOND);
    ends_well(world)
}

/// V acknowledged from memory while its disk hangs must not commit anything.
fn r1_memory_is_not_durable(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let stalled = world.now + SECOND;
    for b in &rest {
        world.node_mut(*b).disk_stalled_until = stalled;
    }
    for _ in 0..5 {
        world.write_at(a);
        world.run(20 * MS);
    }
    for b in &rest {
        world.kill(*b);
    }
    world.run(100 * MS);
    world.power_off(a);
    for b in rest {
        world.start(b);
    }
    world.run(SECOND);
    world.start(a);
    ends_well(world)
}

/// A command is on its way for longer than its coordinator's authority lasts.
fn i13_a_late_command(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    let late = world.now + 2 * SECOND;
    world.net.path(a, c).stream_at = late;
    let payload = vec![7; 4_000];
    world.input(
        a,
        Input::Command {
            to: NodeId(c),
            payload,
        },
    );
    let until = world.now + 4 * SECOND;
    world.isolate(a, until);
    world.until("another DC", 2 * SECOND, |w| {
        w.acting().iter().any(|dc| *dc != a)
    });
    world.run(3 * SECOND);
    ends_well(world)
}

/// An isolated node, and one that is heard by some, neither raises ballots nor disturbs anybody
/// when it is back.
fn prevote_an_isolated_node_returns(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    let ballots = |w: &World| -> Vec<_> {
        let cores = w.nodes.iter().filter_map(|n| n.core.as_ref());
        cores.map(|core| core.probe().safety.promised).collect()
    };
    let before = ballots(&world);
    for cut in 0..3 {
        let until = world.now + 2 * SECOND;
        match cut {
            0 => world.isolate(c, until),
            1 => world.net.cut(a, c, until),
            // B hears both, and does not consent.
            _ => world.net.cut_both(a, c, until),
        }
        world.run(3 * SECOND);
        // An append shows C's promise to the coordinator.
        let op = world.write_at(a);
        world.until("written", SECOND, |w| w.oracle.ops[&op].acked.is_some());
    }
    if ballots(&world) != before || world.dc() != Some(a) {
        let text = format!("ballots were {before:?}\n{}", world.picture());
        world.oracle.now = world.now;
        world.oracle.fail("pre-vote", text);
    }
    ends_well(world)
}

/// The candidate that gets the promises has missed entries: it takes them over first.
fn adoption_the_newest_log_wins(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let (b, c) = (rest[0], rest[1]);
    let until = world.now + 200 * MS;
    world.isolate(c, until);
    let op = world.write_at(a);
    let head = |w: &World, id: u32| w.node(id).core.as_ref().map(|core| core.probe().head.seq);
    for _ in 0..200 {
        if head(&world, b) < head(&world, a) {
            world.run(50);
        }
    }
    // B has the entry and never learns that it is committed.
    let now = world.now;
    world.net.cut(a, b, now + SECOND);
    world.until("written by two", SECOND, |w| {
        w.oracle.ops[&op].acked.is_some()
    });
    world.kill(a);
    // What B asks never reaches C; what C asks reaches B.
    world.net.path(b, c).swallows = Some(|m| matches!(m, Message::Prepare { .. }));
    world.until("C leads", 10 * SECOND, |w| w.acting() == [c]);
    ends_well(world)
}

/// One packet in a hundred is lost, and nothing else goes wrong: no view ever changes.
fn i24_nothing_happens_without_a_fault(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    world.net.loss_permille = 10;
    let before = world.oracle.committed.last().map(|f| f.view.clone());
    world.run(180 * SECOND);
    let after = world.oracle.committed.last().map(|f| f.view.clone());
    if before != after {
        let text = format!("without a fault {before:?} became {after:?}");
        world.oracle.now = world.now;
        world.oracle.fail("I24", text);
    }
    ends_well(world)
}

/// Nobody was silent but for the machine: nobody is told that a quorum is lost, and what runs runs on.
fn i24_a_machine_stands_still_with_all_nodes(seed: u64) -> Result<(), Violation> {
    for still_ms in [300, 700, 1_500, 4_000] {
        let mut world = founded(Setup::plain(3, seed + still_ms));
        // The last one stands a little longer.
        for id in 1..=3 {
            world.pause(id, still_ms * MS + u64::from(id) * MS);
        }
        for _ in 0..2_000 {
            world.run(2 * MS);
            let told = |id: &u32| {
                let core = world.node(*id).core.as_ref();
                core.is_none_or(|core| core.status().quorate)
            };
            if let Some(id) = (1..=3).find(|id| !told(id)) {
                let text =
                    format!("node {id} lost its quorum after {still_ms} ms of standing still");
                world.oracle.fail("I24", text);
                break;
            }
        }
        ends_well(world)?;
    }
    Ok(())
}
