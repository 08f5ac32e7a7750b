//! The witness (R7): two nodes and a vote that keeps no log.

use super::*;

scenarios![
    r7_the_survivor_goes_on,
    r7_the_survivor_restarts,
    r7_whoever_was_out_is_not_helped,
    r7_a_returning_node_is_not_helped_before_it_has_all,
    r7_a_member_without_the_log_is_not_helped,
    r7_both_ask_and_one_is_promised,
    r7_an_old_question_is_refused,
    r7_a_cut_between_two_nodes_is_decided,
    r7_a_restarted_witness_keeps_its_word,
    r7_a_witness_without_store_waits_for_all,
    r7_a_lost_witness_is_no_loss,
    r7_a_witness_that_restarts_keeps_its_echo,
    r7_four_nodes_and_a_witness,
];

/// `n` nodes; the witness is node `n + 1`.
fn witnessed(n: u32, seed: u64) -> World {
    let mut setup = Setup::plain(n, seed);
    setup.add_witness();
    founded(setup)
}

fn other(world: &World) -> (u32, u32) {
    let a = dc_of(world);
    (a, 3 - a)
}

fn goes_on(world: &mut World, id: u32) {
    let limit = 4 * SECOND;
    world.until("the survivor acts", limit, |w| w.dc() == Some(id));
    acked(world, id);
}

fn acked(world: &mut World, id: u32) {
    let op = world.write_at(id);
    let done = |w: &World| w.oracle.ops[&op].acked.is_some();
    world.until("a write is acknowledged", 2 * SECOND, done);
}

/// Either node dies: the other one goes on, and what it writes survives everything else.
fn r7_the_survivor_goes_on(seed: u64) -> Result<(), Violation> {
    for dc_dies in [true, false] {
        let mut world = witnessed(2, seed);
        let (a, b) = other(&world);
        let (dead, alive) = if dc_dies { (a, b) } else { (b, a) };
        world.kill(dead);
        goes_on(&mut world, alive);
        ends_well(world)?;
    }
    Ok(())
}

/// B is down, A goes on with the witness, and its process is replaced; the machine as well.
fn r7_the_survivor_restarts(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    world.kill(b);
    goes_on(&mut world, a);
    world.kill(a);
    world.start(a);
    goes_on(&mut world, a);
    world.power_off(a);
    world.run(SECOND);
    world.start(a);
    goes_on(&mut world, a);
    ends_well(world)
}

/// B is out, A writes with the witness and dies. B comes back with the old log: it must not lead.
fn r7_whoever_was_out_is_not_helped(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    world.kill(b);
    goes_on(&mut world, a);
    acked(&mut world, a);
    world.kill(a);
    world.start(b);
    for _ in 0..30 {
        world.write_at(b);
        world.run(100 * MS);
    }
    nobody_acts(&mut world, "R7", SECOND);
    ends_well(world)
}

/// B comes back and is in the view long before its disk has it; A dies at every moment of that.
fn r7_a_returning_node_is_not_helped_before_it_has_all(seed: u64) -> Result<(), Violation> {
    for offset_ms in (0..150).step_by(10) {
        let mut world = witnessed(2, seed + offset_ms);
        let (a, b) = other(&world);
        world.kill(b);
        goes_on(&mut world, a);
        for _ in 0..5 {
            acked(&mut world, a);
        }
        world.start(b);
        let until = world.now + SECOND;
        world.node_mut(b).disk_stalled_until = until - SECOND + 60 * MS;
        for _ in 0..offset_ms / 2 {
            world.write_at(a);
            world.run(2 * MS);
        }
        world.kill(a);
        for _ in 0..20 {
            world.write_at(b);
            world.run(100 * MS);
        }
        ends_well(world)?;
    }
    Ok(())
}

/// B is heard again and in the view, but nothing of the log gets through to it; A dies.
fn r7_a_member_without_the_log_is_not_helped(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    world.kill(b);
    goes_on(&mut world, a);
    acked(&mut world, a);
    let log = |m: &Message| matches!(m, Message::Append { .. } | Message::Fetched { .. });
    world.net.path(a, b).swallows = Some(log);
    world.start(b);
    world.run(SECOND);
    acked(&mut world, a);
    world.kill(a);
    for _ in 0..30 {
        world.write_at(b);
        world.run(100 * MS);
    }
    world.net.path(a, b).swallows = None;
    ends_well(world)
}

/// The nodes lose sight of each other and the witness of both, in turns: it promises one ballot.
fn r7_both_ask_and_one_is_promised(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let mut until = world.now;
    world.net.cut_both(1, 2, until + 12 * SECOND);
    for turn in 0..12 {
        until = world.now + 900 * MS;
        world.net.cut_both(1 + turn % 2, 3, until);
        for _ in 0..9 {
            world.write_at(1);
            world.write_at(2);
            world.run(100 * MS);
        }
        if turn % 3 == 2 {
            world.kill(3);
            world.run(5 * MS);
            world.start(3);
        }
    }
    ends_well(world)
}

/// A question for a promise was under way for long: a higher ballot is promised meanwhile.
fn r7_an_old_question_is_refused(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    let old = world.node(a).disk.safety.as_ref().map(|s| s.promised);
    world.kill(a);
    goes_on(&mut world, b);
    world.start(a);
    world.until("both are back", 5 * SECOND, World::settled);
    world.kill(b);
    goes_on(&mut world, a);
    world.run(SECOND);
    let (from, head) = match &world.node(a).core {
        Some(core) => (core.probe().me, core.probe().head),
        None => return ends_well(world),
    };
    let question = Message::Prepare {
        ballot: old.unwrap_or_default(),
        head,
        bootstrap: false,
    };
    let (link, payload) = (0, question.encode());
    world.input(
        3,
        Input::Packet {
            from,
            link,
            payload,
        },
    );
    world.run(100 * MS);
    ends_well(world)
}

/// A and B cannot hear each other, the witness hears both: one of them is out, the other goes on.
fn r7_a_cut_between_two_nodes_is_decided(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    let until = world.now + 8 * SECOND;
    world.net.cut_both(a, b, until);
    let alone = |w: &World| {
        let acting = w.dc().and_then(|dc| w.node(dc).core.as_ref());
        acting.is_some_and(|c| c.log_state().view.members.len() == 1)
    };
    world.until("one of two is out", 4 * SECOND, alone);
    let dc = dc_of(&world);
    acked(&mut world, dc);
    for _ in 0..20 {
        world.write_at(a);
        world.write_at(b);
        world.run(100 * MS);
    }
    ends_well(world)
}

/// The witness promises B, restarts at once, and is asked by A again, whose ballot is lower; at
/// every moment of that.
fn r7_a_restarted_witness_keeps_its_word(seed: u64) -> Result<(), Violation> {
    for offset_ms in (0..40).step_by(4) {
        let mut world = witnessed(2, seed + offset_ms);
        let (a, b) = other(&world);
        let until = world.now + 3 * SECOND;
        world.net.cut_both(a, b, until);
        world.net.cut_both(a, 3, until);
        let stands = |w: &World| {
            let core = w.node(b).core.as_ref();
            core.is_some_and(|c| c.probe().safe.promised.node == b)
        };
        world.until("the other one stands", 3 * SECOND, stands);
        for _ in 0..offset_ms {
            world.run(500);
        }
        world.kill(3);
        world.net.heal();
        let until = world.now + 2 * SECOND;
        world.net.cut_both(a, b, until);
        world.start(3);
        for _ in 0..15 {
            world.write_at(a);
            world.write_at(b);
            world.run(100 * MS);
        }
        ends_well(world)?;
    }
    Ok(())
}

/// A goes on with the witness, whose store is lost; A dies, B comes: the witness knows nothing, and
/// helps nobody.
fn r7_a_witness_without_store_waits_for_all(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    world.kill(b);
    goes_on(&mut world, a);
    world.kill(a);
    world.kill(3);
    world.node_mut(3).lost = std::mem::take(&mut world.node_mut(3).disk);
    world.oracle.disk_lost(3);
    world.start(3);
    world.start(b);
    for _ in 0..30 {
        world.write_at(b);
        world.run(100 * MS);
    }
    nobody_acts(&mut world, "R7", SECOND);
    ends_well(world)
}

/// Without the witness two nodes go on, and without it and one more nobody does.
fn r7_a_lost_witness_is_no_loss(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    world.kill(3);
    world.run(2 * SECOND);
    acked(&mut world, a);
    world.kill(b);
    world.run(2 * SECOND);
    nobody_acts(&mut world, "R7", 2 * SECOND);
    ends_well(world)
}

/// The witness echoes A, dies and is back at once; B asks it while A still acts on that echo.
fn r7_a_witness_that_restarts_keeps_its_echo(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    let until = world.now + 6 * SECOND;
    world.net.cut_both(a, b, until);
    world.run(300 * MS);
    world.kill(3);
    world.net.cut_both(a, 3, until);
    world.run(20 * MS);
    world.start(3);
    for _ in 0..300 {
        world.run(10 * MS);
    }
    acked(&mut world, b);
    ends_well(world)
}

/// Two and two: the witness decides, and the other two come back.
fn r7_four_nodes_and_a_witness(seed: u64) -> Result<(), Violation> {
    for left in [vec![1, 2], vec![1, 2, 5], vec![1, 5]] {
        let mut world = witnessed(4, seed);
        let until = world.now + 6 * SECOND;
        split(&mut world, &left, until);
        let acts = |w: &World| !w.acting().is_empty();
        world.run(2 * SECOND);
        world.until("a majority with the witness goes on", 3 * SECOND, acts);
        for _ in 0..20 {
            world.write_at(1);
            world.write_at(3);
            world.run(100 * MS);
        }
        ends_well(world)?;
    }
    Ok(())
}
