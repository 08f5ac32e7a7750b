//! The attacks that shaped the rules, each named after its rule. Every one must end well with the
//! production core, and is what a seeded bug is shown to first.

use membership::{EntryBody, FenceIntent, Input, VoterSet};
use wire::NodeId;

use crate::app::Work;
use crate::faults::Profile;
use crate::node::Disk;
use crate::oracle::Violation;
use crate::world::{Happening, MS, SECOND, Setup, World};

pub type Scenario = (&'static str, fn(u64) -> Result<(), Violation>);

/// All of them; the number is the seed.
pub const ALL: &[Scenario] = &[
    (
        "r0_cut_pair_and_a_quick_restart",
        r0_cut_pair_and_a_quick_restart,
    ),
    ("r0_different_tokens", r0_different_tokens),
    (
        "r0_authority_counts_from_the_send_time",
        r0_authority_counts_from_the_send_time,
    ),
    ("r1_memory_is_not_durable", r1_memory_is_not_durable),
    ("r3_five_to_three", r3_five_to_three),
    ("r3_seven_to_four", r3_seven_to_four),
    ("r3_eight_to_five", r3_eight_to_five),
    ("r3_a_former_voter_returns", r3_a_former_voter_returns),
    (
        "r5_wait_for_all_across_restarts",
        r5_wait_for_all_across_restarts,
    ),
    ("r5_sole_survivor", r5_sole_survivor),
    (
        "r6_a_lost_store_does_not_vote",
        r6_a_lost_store_does_not_vote,
    ),
    ("r6_recovery_needs_a_quorum", r6_recovery_needs_a_quorum),
    ("r6_founding_needs_all_nodes", r6_founding_needs_all_nodes),
    (
        "r6_founding_needs_one_node_list",
        r6_founding_needs_one_node_list,
    ),
    ("r8_a_rolled_back_disk", r8_a_rolled_back_disk),
    (
        "r10_a_certificate_names_its_boot",
        r10_a_certificate_names_its_boot,
    ),
    ("r11_two_nodes_two_disks", r11_two_nodes_two_disks),
    (
        "r11_a_fenced_node_returns_with_a_higher_ballot",
        r11_a_fenced_node_returns_with_a_higher_ballot,
    ),
    ("r5_a_glimpse_is_not_a_view", r5_a_glimpse_is_not_a_view),
    (
        "r10_an_open_intent_blocks_nobody",
        r10_an_open_intent_blocks_nobody,
    ),
    ("i13_a_late_command", i13_a_late_command),
    (
        "prevote_an_isolated_node_returns",
        prevote_an_isolated_node_returns,
    ),
    ("adoption_the_newest_log_wins", adoption_the_newest_log_wins),
];

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

fn split(world: &mut World, left: &[u32], until: u64) {
    for a in 1..=world.size() {
        for b in a + 1..=world.size() {
            if left.contains(&a) != left.contains(&b) {
                world.net.cut_both(a, b, until);
            }
        }
    }
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

fn r5_wait_for_all_across_restarts(seed: u64) -> Result<(), Violation> {
    let mut setup = Setup::plain(3, seed);
    setup.voters.wait_for_all = true;
    let mut world = founded(setup);
    for id in 1..=3 {
        world.kill(id);
    }
    world.run(100 * MS);
    world.start(1);
    world.start(2);
    nobody_acts(&mut world, "I18", 4 * SECOND);
    ends_well(world)
}

fn two_with_fencing(seed: u64) -> Setup {
    let mut setup = Setup::plain(2, seed);
    setup.voters.two_node = true;
    setup.voters.wait_for_all = true;
    setup.fencing = true;
    setup
}

/// Node 2 dies and is fenced; node 1 carries on alone with the certificate.
fn survived(seed: u64) -> World {
    let mut world = founded(two_with_fencing(seed));
    world.later(0, Happening::Work(Work::Coordinate));
    world.kill(2);
    world.until("node 1 acts alone", 3 * SECOND, |w| {
        let probe = w.node(1).core.as_ref().map(membership::Core::probe);
        probe.is_some_and(|p| p.acting.is_some() && p.view.members.len() == 1)
    });
    world.calm = true;
    let op = world.new_op();
    let boot = world.node(2).me.machine_boot;
    let intent = FenceIntent {
        fence_no: 0,
        target: NodeId(2),
        machine_boot: Some(boot),
        action: "reboot".into(),
        reason: "it is silent".into(),
    };
    world.propose(1, op, EntryBody::FenceIntent(intent));
    world.until("the fencing is committed", 3 * SECOND, |w| {
        let state = w.node(1).core.as_ref().map(membership::Core::log_state);
        state.is_some_and(|s| s.certificates.contains_key(&NodeId(2)))
    });
    world
}

/// A sole survivor may start alone, but not once it has accepted a newer view.
fn r5_sole_survivor(seed: u64) -> Result<(), Violation> {
    let mut world = survived(seed);
    world.until("both are in again", 10 * SECOND, World::settled);
    world.kill(1);
    world.kill(2);
    world.node_mut(2).off_until = u64::MAX;
    world.run(100 * MS);
    world.start(1);
    nobody_acts(&mut world, "R5", 3 * SECOND);
    let now = world.now;
    world.node_mut(2).off_until = now;
    ends_well(world)
}

/// A certificate for the old boot does not shut out the new one.
fn r10_a_certificate_names_its_boot(seed: u64) -> Result<(), Violation> {
    let mut world = survived(seed);
    world.until("both are in again", 10 * SECOND, World::settled);
    ends_well(world)
}

/// {A, B} have a write, C has not; B loses its store, A dies: {B, C} must not go on without it.
fn r6_a_lost_store_does_not_vote(seed: u64) -> Result<(), Violation> {
    for degraded in [false, true] {
        let mut world = founded(Setup::plain(3, seed));
        let a = dc_of(&world);
        let rest = others(&world, a);
        let (b, c) = (rest[0], rest[1]);
        let until = world.now + 60 * SECOND;
        world.isolate(c, until);
        world.run(SECOND);
        let op = world.write_at(a);
        world.until("written by two", SECOND, |w| {
            w.oracle.ops[&op].acked.is_some()
        });
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
    let op = world.write_at(a);
    world.until("written by two", SECOND, |w| {
        w.oracle.ops[&op].acked.is_some()
    });
    world.kill(c);
    let node = world.node_mut(c);
    node.lost = std::mem::replace(&mut node.disk, image);
    world.oracle.disk_lost(c);
    world.start(c);
    world.until(
        "C knows that its disk is older than it should be (R8)",
        SECOND,
        |w| {
            let recovers = |core: &membership::Core| core.probe().recovering;
            w.node(c).core.as_ref().is_none_or(recovers)
        },
    );
    ends_well(world)
}

/// With both in the view one disk is not enough, although Q = 1.
fn r11_two_nodes_two_disks(seed: u64) -> Result<(), Violation> {
    let mut world = founded(two_with_fencing(seed));
    let a = dc_of(&world);
    let b = 3 - a;
    let stalled = world.now + SECOND;
    world.node_mut(b).disk_stalled_until = stalled;
    world.write_at(a);
    world.run(500 * MS);
    ends_well(world)
}

fn intent_against(world: &mut World, by: u32, target: u32) {
    let op = world.new_op();
    let intent = FenceIntent {
        fence_no: 0,
        target: NodeId(target),
        machine_boot: Some(world.node(target).me.machine_boot),
        action: "reboot".into(),
        reason: "it is not in the view".into(),
    };
    world.propose(by, op, EntryBody::FenceIntent(intent));
}

/// Both act alone, restricted; the one with the lower ballot fences the other and goes on. What
/// the fenced one wrote under its higher ballot must not replace what was acknowledged since.
fn r11_a_fenced_node_returns_with_a_higher_ballot(seed: u64) -> Result<(), Violation> {
    let mut world = founded(two_with_fencing(seed));
    let a = dc_of(&world);
    let b = 3 - a;
    world.calm = true;
    let until = world.now + 8 * SECOND;
    world.net.cut_both(a, b, until);
    world.until("both act alone", 3 * SECOND, |w| w.acting().len() == 2);
    intent_against(&mut world, a, b);
    world.until("the survivor is free", 3 * SECOND, |w| {
        let probe = w.node(a).core.as_ref().map(membership::Core::probe);
        probe.is_some_and(|p| p.acting.is_some() && !p.restricted)
    });
    for _ in 0..5 {
        let op = world.write_at(a);
        world.until("written alone", SECOND, |w| {
            w.oracle.ops[&op].acked.is_some()
        });
    }
    let rest = until.saturating_sub(world.now);
    world.run(rest);
    ends_well(world)
}

/// A fenced node is back, hears the survivor for a moment, and is cut off again: it may not go on
/// alone, for the survivor did.
fn r5_a_glimpse_is_not_a_view(seed: u64) -> Result<(), Violation> {
    for offset_ms in 0..30 {
        let mut world = survived(seed + offset_ms);
        world.node_mut(2).off_until = u64::MAX;
        for _ in 0..10 {
            world.write_at(1);
            world.run(100 * MS);
        }
        world.node_mut(2).off_until = 0;
        world.start(2);
        world.run(offset_ms * MS);
        let until = world.now + 4 * SECOND;
        world.net.cut_both(1, 2, until);
        for _ in 0..30 {
            world.write_at(1);
            world.run(100 * MS);
        }
        ends_well(world)?;
    }
    Ok(())
}

/// The intent to fence B is in the log, the agent died with its node, and B's machine never went
/// down: the first view has to be one that can commit.
fn r10_an_open_intent_blocks_nobody(seed: u64) -> Result<(), Violation> {
    let mut world = founded(two_with_fencing(seed));
    let a = dc_of(&world);
    let b = 3 - a;
    let until = world.now + 3 * SECOND;
    world.net.cut_both(a, b, until);
    world.until("A acts alone", 3 * SECOND, |w| {
        let probe = w.node(a).core.as_ref().map(membership::Core::probe);
        probe.is_some_and(|p| p.acting.is_some() && p.restricted)
    });
    intent_against(&mut world, a, b);
    world.run(20 * MS);
    world.kill(a);
    world.kill(b);
    world.run(3 * SECOND);
    world.start(a);
    world.start(b);
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

/// An isolated node neither raises ballots nor disturbs anybody when it is back.
fn prevote_an_isolated_node_returns(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    let ballot = |w: &World, id: u32| {
        w.node(id)
            .core
            .as_ref()
            .map(|core| core.probe().safety.promised)
    };
    let before = ballot(&world, a);
    for cut in 0..3 {
        let until = world.now + 2 * SECOND;
        match cut {
            0 => world.isolate(c, until),
            1 => world.net.cut(a, c, until),
            // B hears both, and does not consent.
            _ => world.net.cut_both(a, c, until),
        }
        world.run(3 * SECOND);
    }
    if ballot(&world, a) != before || world.dc() != Some(a) {
        let text = format!("the ballot changed from {before:?}\n{}", world.picture());
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
    let until = world.now + SECOND;
    world.isolate(c, until);
    world.run(900 * MS);
    let op = world.write_at(a);
    world.until("written by two", SECOND, |w| {
        w.oracle.ops[&op].acked.is_some()
    });
    world.kill(a);
    // What B asks never reaches C; what C asks reaches B.
    let now = world.now;
    let path = world.net.path(b, c);
    path.loss_permille = 850;
    path.loss_until = now + 10 * SECOND;
    world.run(8 * SECOND);
    ends_well(world)
}
