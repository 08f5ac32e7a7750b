//! Q = 1, and what stands in for the quorum then: wait_for_all, certificates (R5, R10, R11).

use super::*;

scenarios![
    r11_free_only_when_the_other_agrees,
    r5_wait_for_all_across_restarts,
    r5_sole_survivor,
    r10_a_certificate_names_its_boot,
    r11_two_nodes_two_disks,
    r11_a_fenced_node_returns_with_a_higher_ballot,
    r5_a_glimpse_is_not_a_view,
    r10_an_open_intent_blocks_nobody,
    r10_a_leaving_dc_commands_nothing,
    i10_a_half_that_went_through_more_views,
];

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

pub(super) fn two_with_fencing(seed: u64) -> Setup {
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
        let probe = w.node(1).core.as_ref().map(Core::probe);
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
        let state = w.node(1).core.as_ref().map(Core::log_state);
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

pub(super) fn intent_against(world: &mut World, by: u32, target: u32) {
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
        let probe = w.node(a).core.as_ref().map(Core::probe);
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
/// alone, for the survivor did. If it does, it fences the survivor, and what that one acknowledged
/// is lost.
fn r5_a_glimpse_is_not_a_view(seed: u64) -> Result<(), Violation> {
    for glimpse_ms in [2, 4, 6, 8, 10, 12, 15, 20, 300] {
        let mut world = survived(seed + glimpse_ms);
        world.node_mut(2).off_until = u64::MAX;
        for _ in 0..10 {
            world.write_at(1);
            world.run(100 * MS);
        }
        world.node_mut(2).off_until = 0;
        if glimpse_ms >= 300 {
            // Long enough to hear and to be heard, but no entry comes through.
            world.net.path(1, 2).swallows = Some(|m| matches!(m, Message::Append { .. }));
        }
        world.start(2);
        world.run(glimpse_ms * MS);
        let until = world.now + 4 * SECOND;
        world.net.cut_both(1, 2, until);
        let mut fenced = false;
        for _ in 0..30 {
            world.write_at(1);
            world.run(100 * MS);
            if !fenced && world.acting().contains(&2) {
                intent_against(&mut world, 2, 1);
                fenced = true;
            }
        }
        ends_well(world)?;
    }
    Ok(())
}

/// The intent to fence B is in the log, the agent died with its node, and B's machine never went
/// down: the first view has to be one that can commit.
fn r10_an_open_intent_blocks_nobody(seed: u64) -> Result<(), Violation> {
    for cut in [false, true] {
        let mut world = founded(two_with_fencing(seed));
        let a = dc_of(&world);
        let b = 3 - a;
        if cut {
            let until = world.now + 3 * SECOND;
            world.net.cut_both(a, b, until);
            world.until("A acts alone", 3 * SECOND, |w| {
                let probe = w.node(a).core.as_ref().map(Core::probe);
                probe.is_some_and(|p| p.acting.is_some() && p.restricted)
            });
        }
        // B is a member still, or already out.
        intent_against(&mut world, a, b);
        world.run(20 * MS);
        world.kill(a);
        world.kill(b);
        world.run(3 * SECOND);
        world.start(a);
        world.start(b);
        ends_well(world)?;
    }
    Ok(())
}

/// B does not hear A, which hears B and goes on: B acts alone, restricted. When B hears A again and
/// names it in a view, A acts until it has seen that view: B is free only then.
fn r11_free_only_when_the_other_agrees(seed: u64) -> Result<(), Violation> {
    for cut_ms in [530, 560, 600, 700] {
        let mut world = founded(two_with_fencing(seed + cut_ms));
        let a = dc_of(&world);
        let b = 3 - a;
        let until = world.now + cut_ms * MS;
        world.net.cut(a, b, until);
        world.run(cut_ms * MS + SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// A, the DC, says in the log that it leaves, and its own disk hangs on it. B has that on its disk, hears
/// no more of A, and acts at once: that is what the word was for. A must not act beside it.
fn r10_a_leaving_dc_commands_nothing(seed: u64) -> Result<(), Violation> {
    let mut world = founded(two_with_fencing(seed));
    let a = dc_of(&world);
    let b = 3 - a;
    world.calm = true;
    world.node_mut(a).disk_stalled_until = world.now + 1_500 * MS;
    world.input(a, Input::Leave { clean: true });
    world.run(20 * MS);
    let until = world.now + SECOND;
    world.net.cut(a, b, until);
    world.run(150 * MS);
    // A heard B for longer than B heard A.
    world.net.cut(b, a, until);
    world.until("B acts alone", SECOND, |w| w.acting().contains(&b));
    world.run(300 * MS);
    ends_well(world)
}

/// Two lone halves. X, which leads under the higher ballot, hears Y now and then, and nothing of the log
/// gets through: it goes through view after view. Then Y stands, and leads when they meet: under a higher
/// ballot than X, whose last view has a higher number than any of Y's. What X says in the view with both,
/// its clients' writes included, is not waited for in vain.
fn i10_a_half_that_went_through_more_views(seed: u64) -> Result<(), Violation> {
    let mut world = founded(two_with_fencing(seed));
    let until = world.now + 60 * SECOND;
    world.net.cut_both(1, 2, until);
    world.until("both act alone", 5 * SECOND, |w| w.acting().len() == 2);
    let promised = |w: &World, id| w.node(id).disk.safety.as_ref().map(|s| s.promised);
    let x = if promised(&world, 1) > promised(&world, 2) {
        1
    } else {
        2
    };
    let y = 3 - x;
    let view_no = |w: &World, id| w.node(id).disk.safety.as_ref().map_or(0, |s| s.view_no);
    for _ in 0..3 {
        world.net.heal();
        for (from, to) in [(x, y), (y, x)] {
            world.net.path(from, to).swallows = Some(|m| matches!(m, Message::Append { .. }));
        }
        let before = view_no(&world, x);
        let heard = |w: &World| view_no(w, x) > before;
        world.until("X takes Y into a view", 2 * SECOND, heard);
        world.pause(y, 2 * SECOND);
        world.run(2 * SECOND);
    }
    world.net.heal();
    world.net.cut_both(1, 2, until);
    world.until("Y stands alone", 5 * SECOND, |w| w.acting().len() == 2);
    world.publish(x);
    world.net.heal();
    ends_well(world)
}
