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
    r0_a_view_without_a_node_is_on_its_way,
    r8_a_witness_set_back_waits_for_all,
    r7_a_witness_behind_a_held_link_is_answered,
    r5_a_witness_is_not_waited_for,
    r0_a_lost_witness_asks_how_long_it_is_relied_on,
    i25_a_witness_with_a_slow_disk_is_asked_often,
    r7_a_member_lacks_what_was_counted_before_its_view,
    r7_nobody_needs_a_witness_without_a_view,
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
    acked(world, id, 2 * SECOND);
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
    acked(&mut world, a, 2 * SECOND);
    world.kill(a);
    world.start(b);
    keep_writing(&mut world, &[b], 3 * SECOND);
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
            acked(&mut world, a, 2 * SECOND);
        }
        world.start(b);
        let until = world.now + SECOND;
        world.node_mut(b).disk_stalled_until = until - SECOND + 60 * MS;
        for _ in 0..offset_ms / 2 {
            world.write_at(a);
            world.run(2 * MS);
        }
        world.kill(a);
        keep_writing(&mut world, &[b], 2 * SECOND);
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
    acked(&mut world, a, 2 * SECOND);
    let log = |m: &Message| matches!(m, Message::Append { .. } | Message::Fetched { .. });
    world.net.path(a, b).swallows = Some(log);
    world.start(b);
    world.run(SECOND);
    acked(&mut world, a, 2 * SECOND);
    world.kill(a);
    keep_writing(&mut world, &[b], 3 * SECOND);
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
        keep_writing(&mut world, &[1, 2], 900 * MS);
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
    acked(&mut world, dc, 2 * SECOND);
    keep_writing(&mut world, &[a, b], 2 * SECOND);
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
        keep_writing(&mut world, &[a, b], 1_500 * MS);
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
    keep_writing(&mut world, &[b], 3 * SECOND);
    nobody_acts(&mut world, "R7", SECOND);
    ends_well(world)
}

/// Without the witness two nodes go on, and without it and one more nobody does.
fn r7_a_lost_witness_is_no_loss(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    world.kill(3);
    world.run(2 * SECOND);
    acked(&mut world, a, 2 * SECOND);
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
    acked(&mut world, b, 2 * SECOND);
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
        keep_writing(&mut world, &[1, 3], 2 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// The witness' disk is slow: a view without D is on its way there, then one with D again. D is heard
/// meanwhile, and is promised nothing before both are written: a crash may leave the former.
fn r0_a_view_without_a_node_is_on_its_way(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(4, seed);
    let d = others(&world, dc_of(&world))[2];
    let (back, stalled) = (world.now + 1_500 * MS, world.now + 3 * SECOND);
    world.node_mut(5).disk_stalled_until = stalled;
    world.isolate(d, back);
    world.run(4 * SECOND);
    ends_well(world)
}

/// B is down, A goes on with the witness, whose disk is set back to what it was before. A tells it,
/// and dies; B comes: the witness helps nobody before it has heard what both have promised.
fn r8_a_witness_set_back_waits_for_all(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    let image = world.node(3).disk.clone();
    world.kill(3);
    world.start(3);
    world.run(SECOND);
    world.kill(b);
    goes_on(&mut world, a);
    world.kill(3);
    let node = world.node_mut(3);
    node.lost = std::mem::replace(&mut node.disk, image);
    world.oracle.disk_lost(3);
    world.start(3);
    let record = |w: &World| w.node(3).disk.witness.clone();
    let told = |w: &World| record(w).is_some_and(|r| r.recovering);
    world.until("the witness knows that its disk went back", SECOND, told);
    world.run(SECOND);
    world.kill(a);
    world.start(b);
    nobody_acts(&mut world, "R8", 3 * SECOND);
    world.start(a);
    ends_well(world)
}

/// The witness has lost its store. Node 1's link to it fails for a moment, and does not come up again,
/// for the witness gives no echoes: node 1 answers it all the same, and not through node 2.
fn r7_a_witness_behind_a_held_link_is_answered(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    world.kill(3);
    let node = world.node_mut(3);
    node.lost = std::mem::take(&mut node.disk);
    world.oracle.disk_lost(3);
    let answer = |m: &Message| matches!(m, Message::RecoverState { .. });
    for id in [1, 2] {
        world.net.path(id, 3).swallows = Some(answer);
    }
    world.start(3);
    // Its first process learns that it is an older one than the others know.
    world.run(SECOND);
    let until = world.now + 300 * MS;
    world.net.cut_both(1, 3, until);
    world.run(600 * MS);
    for id in [1, 2] {
        world.net.path(id, 3).swallows = None;
    }
    let votes = |w: &World| w.node(3).witness.as_ref().is_some_and(|w| w.status().votes);
    world.until("the witness votes", 5 * SECOND, votes);
    ends_well(world)
}

/// wait_for_all, and a node that has lost its vote: after a cold start the other two act without it
/// and without the witness, for neither has anything that they could lack.
fn r5_a_witness_is_not_waited_for(seed: u64) -> Result<(), Violation> {
    let mut setup = Setup::plain(3, seed);
    setup.voters.wait_for_all = true;
    setup.add_witness();
    let mut world = founded(setup);
    let voters = VoterSet {
        votes: [1, 2, 4].map(|id| (NodeId(id), 1)).to_vec(),
        ..world.setup.voters.clone()
    };
    let dc = dc_of(&world);
    world.input(dc, Input::Reconfigure { voters });
    world.run(SECOND);
    for id in 1..=4 {
        world.kill(id);
    }
    world.start(1);
    world.start(2);
    let acts = |w: &World| w.dc().is_some();
    world.until("two nodes act", 5 * SECOND, acts);
    ends_well(world)
}

/// Node 4 has a detection timeout of 5 s, and only the witness hears it. The witness loses its store, and
/// node 4's answer comes before any stamp of it: the witness does not know yet how long it is bound.
fn r0_a_lost_witness_asks_how_long_it_is_relied_on(seed: u64) -> Result<(), Violation> {
    let mut setup = Setup::plain(4, seed);
    setup.t_fail_us[3] = 5 * SECOND;
    setup.add_witness();
    let mut world = founded(setup);
    if dc_of(&world) == 4 {
        world.kill(4);
        world.until("another acts", 20 * SECOND, |w| w.dc().is_some());
        world.start(4);
        world.until("all are in", 20 * SECOND, World::settled);
    }
    world.run(SECOND);
    let until = world.now + 20 * SECOND;
    split(&mut world, &[4], until);
    for path in [(4, 5), (5, 4)] {
        world.net.path(path.0, path.1).cut_until = 0;
    }
    // Not yet as long as the others keep their word to node 4.
    world.run(3_900 * MS);
    world.net.path(4, 5).swallows = Some(|m| matches!(m, Message::Beat(b) if b.stamp.is_some()));
    world.kill(5);
    let node = world.node_mut(5);
    node.lost = std::mem::take(&mut node.disk);
    world.oracle.disk_lost(5);
    world.start(5);
    world.run(3 * SECOND);
    world.net.path(4, 5).swallows = None;
    world.run(SECOND);
    ends_well(world)
}

/// The witness' disk takes longer for a write than a coordinator waits before it asks again, and for a
/// while it stands still: what is asked a hundred times is written once, and the newest view is stored as
/// soon as the disk works again.
fn i25_a_witness_with_a_slow_disk_is_asked_often(seed: u64) -> Result<(), Violation> {
    let mut setup = Setup::plain(2, seed);
    setup.t_fail_us = vec![100 * MS; 2];
    setup.disk.write_us_max = 20 * MS;
    setup.add_witness();
    let mut world = founded(setup);
    let (a, b) = other(&world);
    for _ in 0..3 {
        let stalled = world.now + 1_500 * MS;
        world.node_mut(3).disk_stalled_until = stalled;
        world.kill(b);
        world.run(700 * MS);
        world.start(b);
        world.run(stalled - world.now);
        let limit = SECOND;
        world.until("the witness has the newest view", limit, World::settled);
        acked(&mut world, a, SECOND);
    }
    ends_well(world)
}

/// A has gone on with the witness. B is back and in a view, which its disk has while A's is slow; then B's
/// disk is slow, and A's has the view and all that follows at once: this is committed with the witness,
/// which still holds the view without B. It is not given the view with B, and with B it does not go on
/// when A dies.
fn r7_a_member_lacks_what_was_counted_before_its_view(seed: u64) -> Result<(), Violation> {
    let mut world = witnessed(2, seed);
    let (a, b) = other(&world);
    world.kill(b);
    goes_on(&mut world, a);
    world.node_mut(a).disk_stalled_until = world.now + 1_200 * MS;
    // What comes after these waits for them, and is then written at once.
    for _ in 0..membership::WRITES_IN_FLIGHT_MAX {
        world.write_at(a);
        world.run(5 * MS);
    }
    world.start(b);
    let has_view = |w: &World| {
        let probe = w.node(b).core.as_ref().map(Core::probe);
        probe.is_some_and(|p| p.view.names(&p.me) && p.durable == p.head.seq)
    };
    world.until("B has a view with itself", SECOND, has_view);
    world.node_mut(b).disk_stalled_until = world.now + 60 * SECOND;
    let op = world.write_at(a);
    let acked = |w: &World| w.oracle.ops[&op].acked.is_some();
    world.until("A has it, and the witness counts", 3 * SECOND, acked);
    world.run(50 * MS);
    world.kill(a);
    world.kill_having_written(b, 0);
    world.node_mut(b).disk_stalled_until = 0;
    world.start(b);
    keep_writing(&mut world, &[b], 3 * SECOND);
    world.start(a);
    ends_well(world)
}

/// The nodes found their cluster without the witness, and more votes are expected than the nodes have. The
/// coordinator dies: the witness, which nobody gave a view yet, can promise nobody.
fn r7_nobody_needs_a_witness_without_a_view(seed: u64) -> Result<(), Violation> {
    let mut setup = Setup::plain(2, seed);
    setup.add_witness();
    let mut world = World::new(setup, Profile::calm());
    world.start(1);
    world.start(2);
    world.until("the nodes act", 10 * SECOND, |w| w.dc().is_some());
    world.run(200 * MS);
    let dc = dc_of(&world);
    let voters = VoterSet {
        expected_votes: Some(4),
        ..world.setup.voters.clone()
    };
    world.input(dc, Input::Reconfigure { voters });
    world.run(200 * MS);
    world.kill(dc);
    world.start(3);
    world.run(2 * SECOND);
    world.start(dc);
    ends_well(world)
}
