//! Voter sets change under fire (R3).

use super::*;

scenarios![
    r3_a_former_voter_returns,
    r3_five_to_three,
    r3_seven_to_four,
    r3_eight_to_five,
    r3_expected_below_the_voters,
    r4_half_with_the_tie_breaker,
    r4_the_tie_breaker_moves,
    r4_the_tie_breaker_is_lost,
    lms_one_after_the_other,
    lms_two_under_one_coordinator,
    lms_an_even_split_waits,
    lms_who_was_out_returns_beside_another,
    lms_down_to_the_tie_breaker,
];

/// A step from the first `n` to the first `m` nodes, cut at every moment of it between a majority
/// of the new set and a majority of the old.
fn joint_step(seed: u64, n: u32, m: u32, left: &[u32]) -> Result<(), Violation> {
    for offset_us in (0..16 * MS).step_by(1_000) {
        let mut setup = Setup::plain(n, seed + offset_us);
        setup.disk.write_us_max = 3 * MS;
        let mut world = founded(setup);
        let a = dc_of(&world);
        let voters = VoterSet {
            votes: (1..=m).map(|id| (NodeId(id), 1)).collect(),
            ..VoterSet::default()
        };
        world.input(a, Input::Reconfigure { voters });
        world.run(offset_us);
        let until = world.now + 3 * SECOND;
        split(&mut world, left, until);
        keep_writing(&mut world, &[1, n], 2_500 * MS);
        ends_well(world)?;
    }
    Ok(())
}

fn r3_five_to_three(seed: u64) -> Result<(), Violation> {
    joint_step(seed, 5, 3, &[1, 2])
}

fn r3_seven_to_four(seed: u64) -> Result<(), Violation> {
    joint_step(seed, 7, 4, &[1, 2, 3])
}

fn r3_eight_to_five(seed: u64) -> Result<(), Violation> {
    joint_step(seed, 8, 5, &[1, 2, 3])
}

/// E is lowered without D; D returns beside C: {A, B} is a quorum, {C, D} must not be one.
fn r3_a_former_voter_returns(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(4, seed));
    world.kill(4);
    world.run(SECOND);
    let a = dc_of(&world);
    let voters = VoterSet {
        votes: (1..=3).map(|id| (NodeId(id), 1)).collect(),
        ..VoterSet::default()
    };
    world.input(a, Input::Reconfigure { voters });
    world.run(SECOND);
    world.start(4);
    world.run(SECOND);
    let until = world.now + 4 * SECOND;
    split(&mut world, &[1, 2], until);
    keep_writing(&mut world, &[1, 3], 3 * SECOND);
    ends_well(world)
}

/// E := 3 for four voters: {A, B} and {C, D} must not both reach two.
fn r3_expected_below_the_voters(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(4, seed));
    let a = dc_of(&world);
    let voters = VoterSet {
        expected_votes: Some(3),
        ..world.setup.voters.clone()
    };
    world.input(a, Input::Reconfigure { voters });
    world.run(SECOND);
    let until = world.now + 4 * SECOND;
    split(&mut world, &[1, 2], until);
    keep_writing(&mut world, &[1, 3], 3 * SECOND);
    ends_well(world)
}

fn tied(n: u32, tie: u32, seed: u64) -> Setup {
    let mut setup = Setup::plain(n, seed);
    setup.voters.tie_node = Some(NodeId(tie));
    setup
}

/// Half of the votes goes on with the tie-breaker, whoever led before; the other half does not.
fn r4_half_with_the_tie_breaker(seed: u64) -> Result<(), Violation> {
    for (n, tie, left) in [
        (4, 1, vec![1, 2]),
        (4, 4, vec![1, 2]),
        (2, 1, vec![1]),
        (2, 2, vec![1]),
    ] {
        let mut world = founded(tied(n, tie, seed));
        let until = world.now + 6 * SECOND;
        split(&mut world, &left, until);
        let wins = |id: u32| left.contains(&id) == left.contains(&tie);
        let limit = 3 * SECOND;
        world.until("the half with the tie-breaker goes on", limit, |w| {
            let acting = w.acting();
            !acting.is_empty() && acting.iter().all(|id| wins(*id))
        });
        let op = world.write_at(tie);
        let other = (1..=n).find(|id| !wins(*id)).unwrap_or(1);
        keep_writing(&mut world, &[tie, other], 2 * SECOND);
        let acked = |w: &World| w.oracle.ops[&op].acked.is_some();
        world.until("its writes are acknowledged", SECOND, acked);
        ends_well(world)?;
    }
    Ok(())
}

/// The tie-breaker moves from the first to the last node while the network parts at every moment of
/// the step: each half has half of the votes and one of the two.
fn r4_the_tie_breaker_moves(seed: u64) -> Result<(), Violation> {
    for offset_us in (0..16 * MS).step_by(1_000) {
        let mut setup = tied(4, 1, seed + offset_us);
        setup.disk.write_us_max = 3 * MS;
        let mut world = founded(setup);
        let a = dc_of(&world);
        let voters = VoterSet {
            tie_node: Some(NodeId(4)),
            ..world.setup.voters.clone()
        };
        world.input(a, Input::Reconfigure { voters });
        world.run(offset_us);
        let until = world.now + 3 * SECOND;
        split(&mut world, &[1, 2], until);
        keep_writing(&mut world, &[1, 4], 2_500 * MS);
        ends_well(world)?;
    }
    Ok(())
}

/// The tie-breaker dies with another node: half of the votes is there, and nobody goes on; then it
/// comes back, and half is enough again.
fn r4_the_tie_breaker_is_lost(seed: u64) -> Result<(), Violation> {
    let mut world = founded(tied(4, 1, seed));
    for id in [1, 2] {
        world.kill(id);
    }
    world.run(3 * SECOND);
    nobody_acts(&mut world, "R4", 2 * SECOND);
    world.start(1);
    let limit = 5 * SECOND;
    world.until("three nodes go on", limit, |w| w.dc().is_some());
    ends_well(world)
}

fn last_man(n: u32, seed: u64) -> Setup {
    let mut setup = Setup::plain(n, seed);
    setup.voters.wait_for_all = true;
    setup.voters.last_man_standing = Some(SECOND);
    setup
}

fn voters_of(world: &World, id: u32) -> usize {
    let core = world.node(id).core.as_ref();
    core.map_or(0, |c| c.log_state().config.current.votes.len())
}

/// Five nodes, of which one after the other goes; two carry on. All come back, all vote again.
fn lms_one_after_the_other(seed: u64) -> Result<(), Violation> {
    let mut world = founded(last_man(5, seed));
    for (dead, left) in [(1, 4), (4, 3), (2, 2)] {
        world.kill(dead);
        let fewer = |w: &World| voters_of(w, 5) == left;
        world.until("the voter is taken out", 6 * SECOND, fewer);
        acked(&mut world, 3, 3 * SECOND);
    }
    world.start_all();
    let all = |w: &World| (1..=5).all(|id| voters_of(w, id) == 5);
    world.until("all vote again", 20 * SECOND, all);
    ends_well(world)
}

/// The coordinator stays while two others go, the lower one first: having been taken out, it is not
/// what the next step is about.
fn lms_two_under_one_coordinator(seed: u64) -> Result<(), Violation> {
    let mut world = founded(last_man(5, seed));
    let dc = dc_of(&world);
    let others: Vec<_> = (1..=5).filter(|id| *id != dc).collect();
    for (dead, left) in [(others[0], 4), (others[1], 3)] {
        world.kill(dead);
        let fewer = |w: &World| voters_of(w, dc) == left;
        world.until("the voter is taken out", 6 * SECOND, fewer);
    }
    world.start_all();
    ends_well(world)
}

/// Two and two for many windows: nobody has a quorum to take anybody out with.
fn lms_an_even_split_waits(seed: u64) -> Result<(), Violation> {
    let mut world = founded(last_man(4, seed));
    let until = world.now + 6 * SECOND;
    split(&mut world, &[1, 2], until);
    keep_writing(&mut world, &[1, 3], 3 * SECOND);
    nobody_acts(&mut world, "R3", 2 * SECOND);
    ends_well(world)
}

/// D is out, E := 3. D returns beside C while the network parts: {A, B} is a quorum, {C, D} is none.
fn lms_who_was_out_returns_beside_another(seed: u64) -> Result<(), Violation> {
    for offset_us in (0..40 * MS).step_by(2_500) {
        let mut world = founded(last_man(4, seed + offset_us));
        world.kill(4);
        let three = |w: &World| voters_of(w, 1) == 3;
        world.until("three vote", 6 * SECOND, three);
        world.start(4);
        let until = world.now + 6 * SECOND;
        for id in [1, 2] {
            world.net.cut_both(id, 4, until);
        }
        world.run(offset_us);
        split(&mut world, &[1, 2], until);
        keep_writing(&mut world, &[1, 3], 3 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// With a tie-breaker even two go down to one; the other one alone does not go on.
fn lms_down_to_the_tie_breaker(seed: u64) -> Result<(), Violation> {
    let mut setup = last_man(3, seed);
    setup.voters.tie_node = Some(NodeId(3));
    let mut world = founded(setup);
    world.kill(3);
    let two = |w: &World| voters_of(w, 1) == 2;
    world.until("two vote", 6 * SECOND, two);
    // The tie goes to the last one of those who are left.
    world.kill(1);
    let one = |w: &World| voters_of(w, 2) == 1;
    world.until("one votes", 6 * SECOND, one);
    acked(&mut world, 2, 3 * SECOND);
    world.kill(2);
    world.start(1);
    world.start(3);
    world.run(3 * SECOND);
    nobody_acts(&mut world, "R3", SECOND);
    ends_well(world)
}
