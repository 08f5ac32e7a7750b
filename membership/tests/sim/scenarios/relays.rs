//! Nodes that cannot reach each other directly (R0, 3.5): nothing moves as long as one hop is left,
//! what is echoed by relay is promised, and who is out of reach is dropped once.

use membership::{NodeState, RELAY_LINK, Via};

use super::leases::{held, never_silent};
use super::*;
use crate::relay::wrapped;

scenarios![
    i24_a_cut_pair_has_no_new_view,
    i24_a_one_way_cut_is_a_cut,
    i24_the_relay_dies,
    i24_a_flapping_link,
    r0_a_relayed_echo_is_a_promise,
    r0_an_echoer_restarts_on_the_other_side,
    r12_a_holder_reached_by_relay_keeps_its_vip,
    i22_one_hop_and_no_further,
    i22_a_flood_to_be_passed_on,
    i23_a_relay_that_works_one_way,
    i23_a_node_that_hears_nobody_goes,
    i23_a_process_met_by_relay_alone,
    i24_the_end_of_a_chain_goes_once,
];

fn view_of(world: &World, id: u32) -> u64 {
    let core = world.node(id).core.as_ref();
    core.map_or(0, |c| c.probe().view.view_no)
}

fn is_member(world: &World, at: u32, id: u32) -> bool {
    let core = world.node(at).core.as_ref();
    core.is_some_and(|c| c.probe().view.member(NodeId(id)).is_some())
}

fn violated(world: &mut World, rule: &str, text: String) {
    let text = format!("{text}\n{}", world.picture());
    world.oracle.now = world.now;
    world.oracle.fail(rule, text);
}

/// For so long the view stays as it is and everybody follows the same coordinator.
fn calm_for(world: &mut World, dc: u32, for_us: u64) {
    let (end, view_no) = (world.now + for_us, view_of(world, dc));
    while world.now < end && world.oracle.violation.is_none() {
        world.run(20 * MS);
        let seen: Vec<u64> = (1..=world.size()).map(|id| view_of(world, id)).collect();
        if seen.iter().any(|v| *v > view_no) || world.acting() != [dc] {
            violated(world, "I24", format!("views {seen:?}, was {view_no}"));
        }
    }
}

/// What that node writes is applied by this one in time.
fn reaches(world: &mut World, from: u32, to: u32, limit_us: u64) {
    world.write_at(from);
    // This one takes the streams.
    let (op, origin) = (world.new_op(), NodeId(from));
    let payload = op.0.repeat(500);
    let body = EntryBody::App {
        op,
        origin,
        payload,
    };
    world.propose(from, op, body);
    world.run(20 * MS);
    let written = world
        .node(from)
        .core
        .as_ref()
        .map_or(0, |c| c.probe().head.seq);
    let end = world.now + limit_us;
    let has = |w: &World| {
        let core = w.node(to).core.as_ref();
        core.is_some_and(|c| c.probe().commit >= written)
    };
    while !has(world) && world.oracle.violation.is_none() {
        if world.now >= end {
            let text = format!("node {to} did not get entry {written} of node {from}");
            violated(world, "I23", text);
            return;
        }
        world.run(5 * MS);
    }
}

/// A and B are cut, both reach C: no election, no view, and what A writes reaches B.
fn i24_a_cut_pair_has_no_new_view(seed: u64) -> Result<(), Violation> {
    for n in [3, 5] {
        let mut world = founded(Setup::plain(n, seed));
        let a = dc_of(&world);
        let b = others(&world, a)[0];
        let until = world.now + 12 * SECOND;
        world.net.cut_both(a, b, until);
        calm_for(&mut world, a, 5 * SECOND);
        reaches(&mut world, a, b, SECOND);
        let relay = world.node(b).core.as_ref().map(|c| c.status());
        let of_a = relay.and_then(|s| s.peers.into_iter().find(|p| p.node.0 == a));
        if of_a.is_none_or(|p| p.relay.is_none()) {
            violated(&mut world, "I24", "the path is not called degraded".into());
        }
        calm_for(&mut world, a, 10 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

fn i24_a_one_way_cut_is_a_cut(seed: u64) -> Result<(), Violation> {
    for from_dc in [true, false] {
        let mut world = founded(Setup::plain(3, seed));
        let a = dc_of(&world);
        let b = others(&world, a)[0];
        let until = world.now + 10 * SECOND;
        let (from, to) = if from_dc { (a, b) } else { (b, a) };
        world.net.cut(from, to, until);
        calm_for(&mut world, a, 5 * SECOND);
        reaches(&mut world, a, b, SECOND);
        calm_for(&mut world, a, 8 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// The node that passes on for a cut pair dies: another one does it, and only the dead one goes.
fn i24_the_relay_dies(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(4, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let until = world.now + 8 * SECOND;
    world.net.cut_both(a, rest[2], until);
    calm_for(&mut world, a, 2 * SECOND);
    let view_no = view_of(&world, a);
    world.kill(rest[0]);
    world.run(3 * SECOND);
    let (now, both) = (view_of(&world, a), is_member(&world, a, rest[2]));
    if now != view_no + 1 || !both {
        violated(&mut world, "I24", format!("view {now}, was {view_no}"));
    }
    reaches(&mut world, a, rest[2], SECOND);
    world.start(rest[0]);
    ends_well(world)
}

fn i24_a_flapping_link(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let b = others(&world, a)[0];
    for _ in 0..20 {
        let until = world.now + 300 * MS;
        world.net.cut_both(a, b, until);
        calm_for(&mut world, a, 600 * MS);
    }
    ends_well(world)
}

/// A coordinator with a long hold hears three of four others through the fourth alone. They answer
/// it, and so they are bound, whatever becomes of the fourth.
fn r0_a_relayed_echo_is_a_promise(seed: u64) -> Result<(), Violation> {
    for n in 1..=5 {
        let mut setup = Setup::plain(5, seed + u64::from(n));
        setup.t_fail_us[n as usize - 1] = 5 * SECOND;
        let mut world = founded(setup);
        let a = dc_of(&world);
        if a != n {
            continue;
        }
        let rest = others(&world, a);
        let until = world.now + 12 * SECOND;
        for far in &rest[1..] {
            world.net.cut_both(a, *far, until);
        }
        calm_for(&mut world, a, 3 * SECOND);
        world.net.cut_both(a, rest[0], until);
        world.run(8 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// Two of five are cut off. One of those that answer the coordinator dies and is back on their side
/// in 60 ms: they are a quorum now, and what its predecessor promised still counts.
fn r0_an_echoer_restarts_on_the_other_side(seed: u64) -> Result<(), Violation> {
    for offset_ms in (0..200).step_by(50) {
        let mut world = founded(Setup::plain(5, seed + offset_ms));
        let a = dc_of(&world);
        let rest = others(&world, a);
        let until = world.now + 5 * SECOND;
        split(&mut world, &[a, rest[0], rest[1]], until);
        world.run(2 * SECOND + offset_ms * MS);
        world.kill(rest[0]);
        world.net.heal();
        split(&mut world, &[a, rest[1]], until);
        world.run(60 * MS);
        world.start(rest[0]);
        world.run(3 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// The holder of a VIP is reached by relay alone, by all but one.
fn r12_a_holder_reached_by_relay_keeps_its_vip(seed: u64) -> Result<(), Violation> {
    for n in [3, 5] {
        let (mut world, _, holder, _) = held(Setup::plain(n, seed));
        let rest = others(&world, holder);
        let until = world.now + 6 * SECOND;
        for far in &rest[1..] {
            world.net.cut_both(holder, *far, until);
        }
        // The first silence of a link is no news before it has lasted.
        world.run(300 * MS);
        never_silent(&mut world, holder, 5 * SECOND, "R0");
        if world.stats.relayed == 0 {
            violated(&mut world, "I22", "nothing was passed on".into());
        }
        ends_well(world)?;
    }
    Ok(())
}

/// Hands a packet of `src` for `dst` to `hop`, as if `by` had sent it there.
fn hand_over(world: &mut World, by: u32, hop: u32, src: u32, dst: u32) {
    let (origin, from) = (world.node(src).me, world.node(by).me);
    let via = Via::Relay {
        hop: NodeId(hop),
        link: Some(0),
    };
    let (_, _, payload) = wrapped(origin, world.node(dst).me, via, vec![0; 40]);
    world.input(
        hop,
        Input::Packet {
            from,
            link: 0,
            payload,
        },
    );
}

fn i22_one_hop_and_no_further(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(4, seed));
    let before = world.stats.relayed;
    hand_over(&mut world, 1, 2, 1, 3);
    world.run(10 * MS);
    if world.stats.relayed != before + 1 {
        violated(
            &mut world,
            "I22",
            "what a node asks for is passed on".into(),
        );
    }
    // Node 4 passes on to node 2 what node 1 sealed for node 3: that is a second hop.
    hand_over(&mut world, 4, 2, 1, 3);
    // And what came by relay asks for no relay.
    let from = world.node(1).me;
    let via = Via::Relay {
        hop: NodeId(2),
        link: Some(0),
    };
    let (_, _, payload) = wrapped(from, world.node(3).me, via, vec![0; 40]);
    let link = RELAY_LINK;
    world.input(
        2,
        Input::Packet {
            from,
            link,
            payload,
        },
    );
    world.run(10 * MS);
    if world.stats.relayed != before + 1 {
        violated(&mut world, "I22", "a second hop was made".into());
    }
    ends_well(world)
}

fn i22_a_flood_to_be_passed_on(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let before = world.stats.relayed;
    for _ in 0..4_000 {
        hand_over(&mut world, 1, 2, 1, 3);
    }
    world.run(20 * MS);
    let passed_on = world.stats.relayed - before;
    if !(1_000..=2_100).contains(&passed_on) {
        violated(
            &mut world,
            "I25",
            format!("{passed_on} of 4000 were passed on"),
        );
    }
    ends_well(world)
}

/// C hears B and is not heard by it: D passes on.
fn i23_a_relay_that_works_one_way(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(4, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let (b, c) = (rest[2], rest[0]);
    let until = world.now + 10 * SECOND;
    world.net.cut_both(a, b, until);
    world.net.cut(c, b, until);
    calm_for(&mut world, a, 2 * SECOND);
    reaches(&mut world, a, b, 300 * MS);
    calm_for(&mut world, a, 5 * SECOND);
    ends_well(world)
}

/// It sends, and receives nothing: a member that takes no entry and no command is none.
fn i23_a_node_that_hears_nobody_goes(seed: u64) -> Result<(), Violation> {
    for n in [3, 5] {
        let mut world = founded(Setup::plain(n, seed));
        let a = dc_of(&world);
        let deaf = others(&world, a)[0];
        let until = world.now + 6 * SECOND;
        for from in others(&world, deaf) {
            world.net.cut(from, deaf, until);
        }
        world.run(2 * SECOND);
        if is_member(&world, a, deaf) {
            violated(&mut world, "I23", format!("node {deaf} is a member still"));
        }
        calm_for(&mut world, a, 3 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// A new process behind a cut: what it needs for its first view goes by relay.
fn i23_a_process_met_by_relay_alone(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let until = world.now + 15 * SECOND;
    world.kill(rest[0]);
    world.net.cut_both(a, rest[0], until);
    world.run(2 * SECOND);
    world.start(rest[0]);
    world.run(3 * SECOND);
    if !is_member(&world, a, rest[0]) {
        let text = format!("node {} is no member again", rest[0]);
        violated(&mut world, "I23", text);
    }
    reaches(&mut world, a, rest[0], SECOND);
    calm_for(&mut world, a, 3 * SECOND);
    ends_well(world)
}

/// A chain A-B-C-D, led from its end: D is two hops away, goes in one view change, and is not taken
/// back at the first good moment.
fn i24_the_end_of_a_chain_goes_once(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(4, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let (b, c, d) = (rest[0], rest[1], rest[2]);
    let until = world.now + 60 * SECOND;
    for (x, y) in [(a, c), (a, d), (b, d)] {
        world.net.cut_both(x, y, until);
    }
    let view_no = view_of(&world, a);
    world.until("the end of the chain is dropped", 6 * SECOND, |w| {
        !is_member(w, a, d) && view_of(w, a) > view_no && w.oracle.violation.is_none()
    });
    let dropped = world.now;
    calm_for(&mut world, a, 100 * MS);
    world.net.heal();
    while world.now < dropped + 900 * MS && world.oracle.violation.is_none() {
        world.run(10 * MS);
        if is_member(&world, a, d) {
            violated(
                &mut world,
                "I24",
                "taken back at the first good moment".into(),
            );
        }
    }
    world.run(3 * SECOND);
    let leads = world.node(a).core.as_ref().is_some_and(|c| {
        let status = c.status();
        status.state == NodeState::Dc
    });
    if !is_member(&world, a, d) || view_of(&world, a) != view_no + 2 || !leads {
        let text = format!("view {}, was {view_no}", view_of(&world, a));
        violated(&mut world, "I24", text);
    }
    ends_well(world)
}
