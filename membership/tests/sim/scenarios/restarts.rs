//! kill -9 of the coordinator, which holds the VIP as well: its new process has some 175 ms from the
//! death until the kernel's element runs out, and no part of them to lose in an election. All times
//! here are virtual: heartbeats, writes and packets, as the model has them.

use membership::Grant;

use super::leases::{VIP, standing, verdict};
use super::*;

scenarios![
    r9_the_coordinator_restarts,
    r9_the_coordinator_restarts_with_the_newest_log,
    r9_the_coordinator_of_two_restarts,
    r9_the_coordinator_restarts_on_a_slow_disk,
];

/// From the start of the new process until its grant may be used, with writes of up to 4 ms: one
/// election, one view, one grant. Two candidates that stand in each other's way take 270 ms.
const GRANTED_US_MAX: u64 = 90 * MS;
/// The same with writes of up to 15 ms.
const GRANTED_SLOWLY_US_MAX: u64 = 140 * MS;
/// What is left of a lease at its holder's death, at least: the stamp it rests on is not older than
/// a heartbeat interval and the way there and back.
const LEFT_US: u64 = 170 * MS;
/// Dead for so long.
const AWAY_MS: [u64; 4] = [20, 70, 120, 200];
/// Shares of a heartbeat interval.
const PHASES: u64 = 7;

/// A cluster which that node coordinates; the VIP is its own.
fn led_by(setup: Setup, dc: u32) -> World {
    let mut world = founded(setup).with_leases();
    world.kernels.by_hand = true;
    let is_prepare = |m: &Message| matches!(m, Message::Prepare { .. });
    while world.dc() != Some(dc) && world.oracle.violation.is_none() {
        for from in others(&world, dc) {
            for to in others(&world, from) {
                world.net.path(from, to).swallows = Some(is_prepare);
            }
        }
        let old = dc_of(&world);
        world.kill(old);
        world.until("another leads", 10 * SECOND, |w| !w.acting().is_empty());
        world.start(old);
        world.until("all are back", 10 * SECOND, World::settled);
        world.net.heal();
    }
    settle_at(&mut world, dc);
    world
}

/// The VIP goes to that node, in order.
fn settle_at(world: &mut World, id: u32) {
    let end = world.now + 3 * SECOND;
    while world.owner(VIP) != Some(id) && world.now < end && world.oracle.violation.is_none() {
        let grant = standing(world, dc_of(world)).map(|g| g.node().0);
        match grant {
            Some(holder) if holder == id => {}
            Some(holder) => world.release(holder, VIP),
            None => {
                let (dc, me) = (dc_of(world), world.node(id).me);
                world.grant(dc, VIP, me);
            }
        }
        world.run(50 * MS);
    }
    world.run(SECOND);
}

/// Kills that node and starts it again; how long the new process waits for a coordinator, and for the
/// use of the grant that it asks for from its start on. Nobody else answers for the VIP meanwhile
/// (R12), and it is not silent before the element that the old process left has run out.
fn killed(world: &mut World, id: u32, away_ms: u64) -> (u64, u64) {
    let killed_at = world.now;
    world.kill(id);
    world.run(away_ms * MS);
    world.start(id);
    let began = world.now;
    let (mut acting_us, mut asked) = (None, None);
    while world.now < began + 3 * SECOND && world.oracle.violation.is_none() {
        if world.dc().is_some() {
            acting_us.get_or_insert(world.now - began);
        }
        if asked.is_none_or(|op| world.oracle.ops[&op].refused) {
            let op = world.new_op();
            asked = Some(op);
            let me = world.node(id).me;
            world.propose(id, op, EntryBody::Grant(Grant::wanted(VIP, me)));
        }
        let leases = world.node(id).core.as_ref().map(Core::leases);
        if leases.is_some_and(|l| l.iter().any(|l| l.stamp.is_some())) {
            break;
        }
        let silent = world.owner(VIP) != Some(id);
        if silent && world.now - killed_at < LEFT_US {
            world.oracle.now = world.now;
            world
                .oracle
                .fail("R12", format!("{VIP} fell silent too early"));
        }
        world.run(2 * MS);
    }
    (acting_us.unwrap_or(u64::MAX), world.now - began)
}

fn in_time(world: &mut World, what: &str, (acting_us, granted_us): (u64, u64), limit_us: u64) {
    if std::env::var_os("SIM_TIMES").is_some() {
        println!(
            "{what}: acts {} granted {}",
            acting_us / MS,
            granted_us / MS
        );
    }
    if granted_us > limit_us && world.oracle.violation.is_none() {
        let text = format!(
            "{what}: a coordinator acted {} ms after the process began, its grant was usable after \
             {} ms only\n{}",
            acting_us / MS,
            granted_us / MS,
            world.picture()
        );
        world.oracle.now = world.now;
        world.oracle.fail("R9", text);
    }
}

/// Every node in that place, every time away, all phases of the heartbeats.
fn r9_the_coordinator_restarts(seed: u64) -> Result<(), Violation> {
    for dc in 1..=3 {
        for away_ms in AWAY_MS {
            let mut world = led_by(Setup::plain(3, seed * 100 + away_ms), dc);
            for phase in 0..PHASES {
                world.run(SECOND + phase * 50 * MS / PHASES);
                // Whoever was elected last time: the next one is killed where it is now.
                let dc = dc_of(&world);
                settle_at(&mut world, dc);
                let times = killed(&mut world, dc, away_ms);
                let what = format!("node {dc}, {away_ms} ms away, phase {phase}");
                in_time(&mut world, &what, times, GRANTED_US_MAX);
            }
            verdict(world)?;
        }
    }
    Ok(())
}

/// It dies with entries that nobody else has yet.
fn r9_the_coordinator_restarts_with_the_newest_log(seed: u64) -> Result<(), Violation> {
    for away_ms in AWAY_MS {
        for phase in 0..PHASES {
            let mut world = led_by(Setup::plain(3, seed * 100 + phase), 1);
            world.run(phase * 50 * MS / PHASES);
            let is_append = |m: &Message| matches!(m, Message::Append { .. });
            for to in [2, 3] {
                world.net.path(1, to).swallows = Some(is_append);
            }
            for _ in 0..3 {
                world.write_at(1);
                world.run(6 * MS);
            }
            world.net.heal();
            let times = killed(&mut world, 1, away_ms);
            let what = format!("newest log, {away_ms} ms away, phase {phase}");
            in_time(&mut world, &what, times, GRANTED_US_MAX);
            ends_well(world)?;
        }
    }
    Ok(())
}

fn r9_the_coordinator_of_two_restarts(seed: u64) -> Result<(), Violation> {
    for dc in 1..=2 {
        for away_ms in AWAY_MS {
            for phase in 0..PHASES {
                let mut setup = Setup::plain(2, seed * 100 + phase);
                setup.voters.two_node = true;
                setup.voters.wait_for_all = true;
                setup.fencing = true;
                let mut world = led_by(setup, dc);
                world.run(phase * 50 * MS / PHASES);
                let times = killed(&mut world, dc, away_ms);
                let what = format!("two nodes, {dc}, {away_ms} ms away, phase {phase}");
                in_time(&mut world, &what, times, GRANTED_US_MAX);
                verdict(world)?;
            }
        }
    }
    Ok(())
}

/// Writes that take up to 15 ms: whoever asks at the same time as another asks before it can know.
fn r9_the_coordinator_restarts_on_a_slow_disk(seed: u64) -> Result<(), Violation> {
    for dc in 1..=3 {
        for phase in 0..PHASES {
            let mut setup = Setup::plain(3, seed * 100 + phase);
            setup.disk.write_us_max = 15 * MS;
            let mut world = led_by(setup, dc);
            world.run(phase * 50 * MS / PHASES);
            let times = killed(&mut world, dc, 70);
            let what = format!("slow disk, {dc}, phase {phase}");
            in_time(&mut world, &what, times, GRANTED_SLOWLY_US_MAX);
            verdict(world)?;
        }
    }
    Ok(())
}
