//! Voter sets change under fire (R3).

use super::*;

scenarios![
    r3_five_to_three,
    r3_seven_to_four,
    r3_eight_to_five,
    r3_a_former_voter_returns,
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
        for _ in 0..25 {
            for id in [1, n] {
                world.write_at(id);
            }
            world.run(100 * MS);
        }
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
    for _ in 0..30 {
        world.write_at(1);
        world.write_at(3);
        world.run(100 * MS);
    }
    ends_well(world)
}
