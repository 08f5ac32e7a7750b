//! The VIP lease against its attacks (R9, R12-R14, R17): at no instant do two kernels answer for one
//! VIP, and who stays a healthy member keeps it.

use membership::{Config, Grant};

use super::*;

scenarios![
    r12_a_revoke_the_holder_never_hears_of,
    r12_a_frozen_holder_is_revoked,
    r12_the_coordinator_dies_during_a_hold,
    r12_a_new_boot_has_no_grant,
    r12_a_restart_keeps_the_vip,
    r12_a_member_again,
    r12_the_longest_hold_counts,
    r14_a_lease_counts_from_the_send_time,
    r13_a_frozen_process,
    r11_a_paused_machine_of_two,
    r11_who_is_alone_keeps_it,
    r11_who_hears_the_other_is_not_alone,
    a_healthy_member_never_lapses,
    r3_a_holder_behind_a_reconfiguration,
];

pub(super) const VIP: &str = "v1";

/// A founded cluster in which `VIP` is granted by hand; its coordinator, holder and the others.
pub(super) fn held(setup: Setup) -> (World, u32, u32, Vec<u32>) {
    let mut world = founded(setup).with_leases();
    world.kernels.by_hand = true;
    let dc = dc_of(&world);
    let rest = others(&world, dc);
    let holder = rest[0];
    let to = world.node(holder).me;
    world.grant(dc, VIP, to);
    // A quorum without the coordinator's own disk may be first to know that it is granted.
    let settled = |w: &World| w.owner(VIP) == Some(holder) && standing(w, dc).is_some();
    world.until("the VIP is up", SECOND, settled);
    (world, dc, holder, rest[1..].to_vec())
}

pub(super) fn standing(world: &World, at: u32) -> Option<Grant> {
    let core = world.node(at).core.as_ref()?;
    core.log_state().grants.get(VIP).cloned()
}

pub(super) fn holder_of(world: &World, at: u32) -> Option<u32> {
    standing(world, at).map(|g| g.node().0)
}

/// Whoever leads asks for the VIP, for that node, until it answers there.
pub(super) fn insist(world: &mut World, to: u32, limit_us: u64) {
    let end = world.now + limit_us;
    while world.owner(VIP) != Some(to) || world.kernels.holders(VIP, world.now).len() > 1 {
        if world.oracle.violation.is_some() {
            return;
        }
        if world.now >= end {
            let text = format!("node {to} did not get {VIP} in time\n{}", world.picture());
            world.oracle.now = world.now;
            world.oracle.fail("I23", text);
            return;
        }
        let leads = world.acting().into_iter().find(|id| {
            world.node(*id).paused_until <= world.now && holder_of(world, *id) != Some(to)
        });
        if let Some(dc) = leads {
            let process = world.node(to).me;
            world.grant(dc, VIP, process);
        }
        world.run(3 * MS);
    }
}

/// For a while the VIP answers at that node without a gap.
pub(super) fn never_silent(world: &mut World, id: u32, for_us: u64, rule: &str) {
    let end = world.now + for_us;
    while world.now < end && world.oracle.violation.is_none() {
        world.run(MS);
        if world.owner(VIP) != Some(id) {
            let text = format!(
                "{VIP} is silent at node {id}, answered for by {:?}\n{}",
                world.owner(VIP),
                world.picture()
            );
            world.oracle.now = world.now;
            world.oracle.fail(rule, text);
        }
    }
}

fn is_append(message: &Message) -> bool {
    matches!(message, Message::Append { .. })
}

pub(super) fn verdict(world: World) -> Result<(), Violation> {
    world.verdict().map(|_| ())
}

/// The holder gets no entries any more, but beats and echoes of everybody: it hears of the revoke
/// only by what the echoes name void.
fn r12_a_revoke_the_holder_never_hears_of(seed: u64) -> Result<(), Violation> {
    for sub in 0..4 {
        let (mut world, dc, holder, rest) = held(Setup::plain(3, seed * 100 + sub));
        for from in [dc, rest[0]] {
            world.net.path(from, holder).swallows = Some(is_append);
        }
        let grant_no = standing(&world, dc).map_or(0, |g| g.grant_no);
        world.revoke(dc, grant_no);
        insist(&mut world, rest[0], 3 * SECOND);
        world.run(SECOND);
        verdict(world)?;
    }
    Ok(())
}

fn r12_a_frozen_holder_is_revoked(seed: u64) -> Result<(), Violation> {
    for sub in 0..4 {
        let (mut world, dc, holder, rest) = held(Setup::plain(3, seed * 100 + sub));
        world.run(sub * 17 * MS);
        world.pause(holder, 400 * MS);
        let grant_no = standing(&world, dc).map_or(0, |g| g.grant_no);
        world.revoke(dc, grant_no);
        insist(&mut world, rest[0], 3 * SECOND);
        world.run(SECOND);
        verdict(world)?;
    }
    Ok(())
}

fn r12_the_coordinator_dies_during_a_hold(seed: u64) -> Result<(), Violation> {
    for offset_ms in (0..600).step_by(75) {
        let (mut world, dc, holder, rest) = held(Setup::plain(5, seed + offset_ms));
        let grant_no = standing(&world, dc).map_or(0, |g| g.grant_no);
        for from in others(&world, holder) {
            world.net.path(from, holder).swallows = Some(is_append);
        }
        world.revoke(dc, grant_no);
        world.run(offset_ms * MS);
        world.kill(dc);
        insist(&mut world, rest[0], 5 * SECOND);
        verdict(world)?;
    }
    Ok(())
}

/// The machine boots again, quicker than anybody misses it: the old grant is nothing to it, for the
/// coordinator knows by the boot that the VIP is free at once.
fn r12_a_new_boot_has_no_grant(seed: u64) -> Result<(), Violation> {
    let (mut world, dc, holder, rest) = held(Setup::plain(3, seed));
    world.power_off(holder);
    world.start(holder);
    let back = |w: &World| {
        let core = w.node(holder).core.as_ref();
        core.is_some_and(|c| c.probe().view.names(&w.node(holder).me))
    };
    world.until("it is a member again", 3 * SECOND, back);
    world.run(50 * MS);
    let began = world.now;
    world.net.path(dc, holder).swallows = Some(is_append);
    insist(&mut world, rest[0], 2 * SECOND);
    let took_ms = (world.now - began) / MS;
    if took_ms > 100 && world.oracle.violation.is_none() {
        let text = format!("a VIP of a machine that booted again was free after {took_ms} ms only");
        world.oracle.fail("R10", text);
    }
    world.run(SECOND);
    verdict(world)
}

/// kill -9, back within the lease, a re-grant: nobody notices.
fn r12_a_restart_keeps_the_vip(seed: u64) -> Result<(), Violation> {
    for sub in 0..5 {
        let (mut world, dc, holder, _) = held(Setup::plain(3, seed * 100 + sub));
        world.run((7 + 13 * sub) * MS);
        world.kill(holder);
        let end = world.now + SECOND;
        let back_at = world.now + 5 * MS;
        let mut asked = None;
        while world.now < end && world.oracle.violation.is_none() {
            if world.now >= back_at && !world.node(holder).up() {
                world.start(holder);
            }
            let me = world.node(holder).me;
            let member = world.node(dc).core.as_ref();
            let member = member.is_some_and(|c| c.probe().view.names(&me));
            // Once per process: a second grant would end the first, and the VIP with it.
            if member && asked != Some(me) {
                asked = Some(me);
                world.grant(dc, VIP, me);
            }
            never_silent(&mut world, holder, 3 * MS, "R12");
        }
        never_silent(&mut world, holder, SECOND, "R12");
        verdict(world)?;
    }
    Ok(())
}

/// Dropped from the view and back: with the VIP given away meanwhile or not.
fn r12_a_member_again(seed: u64) -> Result<(), Violation> {
    for out_ms in (400..1_400).step_by(125) {
        let (mut world, _, holder, rest) = held(Setup::plain(3, seed + out_ms));
        let until = world.now + out_ms * MS;
        world.isolate(holder, until);
        let given = out_ms > 900;
        if given {
            insist(&mut world, rest[0], 3 * SECOND);
        }
        let ahead = until.saturating_sub(world.now);
        world.run(ahead + SECOND);
        verdict(world)?;
    }
    Ok(())
}

/// A node without nf_tables states a longer hold: what it holds is free only after that.
fn r12_the_longest_hold_counts(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed)).with_leases();
    world.kernels.by_hand = true;
    let dc = dc_of(&world);
    let rest = others(&world, dc);
    world.kill(rest[0]);
    let config = world.config(rest[0]);
    let config = Config {
        hold_us: Some(2_300 * MS),
        ..config
    };
    world.start_with(rest[0], config);
    world.until("all are back", 10 * SECOND, World::settled);
    let process = world.node(rest[0]).me;
    world.grant(dc, VIP, process);
    world.until("the VIP is up", SECOND, |w| w.owner(VIP) == Some(rest[0]));
    let grant_no = standing(&world, dc).map_or(0, |g| g.grant_no);
    let began = world.now;
    world.revoke(dc, grant_no);
    insist(&mut world, rest[1], 5 * SECOND);
    let took_ms = (world.now - began) / MS;
    if took_ms < 2_290 && world.oracle.violation.is_none() {
        let text = format!("a hold of 2300 ms was over after {took_ms} ms");
        world.oracle.fail("R12", text);
    }
    verdict(world)
}

/// Echoes come late; then the holder is heard no more. Counted from their receipt they would be
/// good for longer than they were promised.
fn r14_a_lease_counts_from_the_send_time(seed: u64) -> Result<(), Violation> {
    for sub in 0..6 {
        let mut setup = Setup::plain(3, seed * 100 + sub);
        setup.disk.write_us_max = MS;
        let (mut world, dc, holder, rest) = held(setup);
        for late_ms in [74, 148, 222] {
            for from in [dc, rest[0]] {
                world.net.path(from, holder).late_us = late_ms * MS;
            }
            world.run((300 + 11 * sub) * MS);
        }
        let until = world.now + 3 * SECOND;
        for to in [dc, rest[0]] {
            world.net.cut(holder, to, until);
        }
        insist(&mut world, rest[0], 3 * SECOND);
        verdict(world)?;
    }
    Ok(())
}

/// SIGSTOP of the holder's process: its kernel falls silent by itself, the VIP moves, and after the
/// thaw it stays where it is.
fn r13_a_frozen_process(seed: u64) -> Result<(), Violation> {
    for freeze_ms in [100, 240, 300, 480, 530, 700, 1_500] {
        let (mut world, _, holder, rest) = held(Setup::plain(3, seed + freeze_ms));
        let frozen_at = world.now;
        world.pause(holder, freeze_ms * MS);
        if freeze_ms >= 1_500 {
            insist(&mut world, rest[0], 1_200 * MS);
            let outage_ms = (world.now - frozen_at) / MS;
            if outage_ms > 600 && world.oracle.violation.is_none() {
                let text = format!("a frozen holder's VIP moved after {outage_ms} ms only");
                world.oracle.fail("T", text);
            }
        }
        world.run(3 * SECOND);
        verdict(world)?;
    }
    Ok(())
}

/// Two nodes without fencing, cut from each other; the holder's whole machine stands still, the other
/// finds nobody that answers and takes over. What the holder has left after it goes on again is what
/// its kernel had left, not more (rulings 9 and 11).
fn r11_a_paused_machine_of_two(seed: u64) -> Result<(), Violation> {
    let mut setup = Setup::plain(2, seed);
    setup.voters.two_node = true;
    let (mut world, dc, holder, _) = held(setup);
    let resumes = world.now + 3 * SECOND;
    world.net.cut_both(1, 2, resumes + 3 * SECOND);
    world.kernels.stop_machine(holder, world.now, 3 * SECOND);
    world.pause(holder, 3 * SECOND);
    while world.now < resumes - 100 * MS && world.oracle.violation.is_none() {
        if world.acting().contains(&dc) && holder_of(&world, dc) != Some(dc) {
            let me = world.node(dc).me;
            world.grant(dc, VIP, me);
        }
        world.run(5 * MS);
    }
    let taken = world.kernels.lives(dc, VIP, world.now);
    world.run(resumes + 500 * MS - world.now);
    for _ in 0..400 {
        world.run(5 * MS);
        let both = world.kernels.holders(VIP, world.now);
        if (both.len() > 1 || !taken) && world.oracle.violation.is_none() {
            let text = format!(
                "after the pause {both:?} answer for {VIP}\n{}",
                world.picture()
            );
            world.oracle.now = world.now;
            world.oracle.fail("R11", text);
        }
    }
    verdict(world)
}

/// The other of two is gone, dead or cut off: who has the VIP keeps it without a gap.
fn r11_who_is_alone_keeps_it(seed: u64) -> Result<(), Violation> {
    for (fencing, dead) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut setup = Setup::plain(2, seed);
        setup.voters.two_node = true;
        setup.voters.wait_for_all = true;
        setup.fencing = fencing;
        let (mut world, dc, holder, _) = held(setup);
        let until = world.now + 6 * SECOND;
        if dead {
            world.power_off(dc);
        } else {
            world.net.cut_both(dc, holder, until);
        }
        never_silent(&mut world, holder, 5 * SECOND, "R11");
        verdict(world)?;
    }
    Ok(())
}

/// Two nodes without fencing, and what the holder sends is lost: the other one is alone, and has the
/// VIP after listening for a detection timeout. The holder hears that, and does not go on beside it.
fn r11_who_hears_the_other_is_not_alone(seed: u64) -> Result<(), Violation> {
    for coordinator_holds in [false, true] {
        let mut setup = Setup::plain(2, seed);
        setup.voters.two_node = true;
        setup.voters.wait_for_all = true;
        let (mut world, dc, mut holder, _) = held(setup);
        if coordinator_holds {
            world.release(holder, VIP);
            insist(&mut world, dc, SECOND);
            holder = dc;
        }
        let other = 3 - holder;
        world.net.cut(holder, other, world.now + 10 * SECOND);
        world.until("the other is alone", 4 * SECOND, |w| {
            let core = w.node(other).core.as_ref();
            let alone = core.is_some_and(|c| c.probe().view.members.len() == 1);
            alone && w.acting().contains(&other)
        });
        world.run(500 * MS);
        // No question asked on the network: the answer would be lost, too.
        world.kernels.tolerant = false;
        let op = world.new_op();
        let wanted = Grant::wanted(VIP, world.node(other).me);
        world.propose(other, op, EntryBody::Grant(wanted));
        world.until("the other has it", SECOND, |w| {
            w.kernels.lives(other, VIP, w.now)
        });
        never_silent(&mut world, other, 3 * SECOND, "R11");
        ends_well(world)?;
    }
    Ok(())
}

/// Loss, other nodes that come and go, coordinators that die: as long as the holder has a quorum
/// with it, its element never runs out.
fn a_healthy_member_never_lapses(seed: u64) -> Result<(), Violation> {
    let (mut world, dc, holder, rest) = held(Setup::plain(5, seed));
    world.net.loss_permille = 20;
    never_silent(&mut world, holder, 2 * SECOND, "lapse");
    for round in 0..6 {
        let id = if round % 2 == 0 { rest[0] } else { dc };
        world.kill(id);
        never_silent(&mut world, holder, (200 + 300 * round) * MS, "lapse");
        world.start(id);
        never_silent(&mut world, holder, SECOND, "lapse");
        // A process that stutters, for less than anybody would call it lost.
        world.pause(holder, 60 * MS);
        never_silent(&mut world, holder, 500 * MS, "lapse");
    }
    verdict(world)
}

/// One voter set after another, through the coordinator.
fn reconfigure(world: &mut World, dc: u32, voters: &[u32]) {
    let mut votes: Vec<(NodeId, u32)> = voters.iter().map(|n| (NodeId(*n), 1)).collect();
    votes.sort();
    let voters = VoterSet {
        votes,
        ..VoterSet::default()
    };
    let next = voters.clone();
    world.input(dc, Input::Reconfigure { voters });
    let done = |w: &World| {
        let core = w.node(dc).core.as_ref();
        core.is_some_and(|c| c.log_state().config.current == next)
    };
    world.until("the new voters stand", 3 * SECOND, done);
}

/// The voter sets change while the holder and its friend hear nothing of it: by the old sets they are
/// a quorum still, by the new ones nobody.
fn r3_a_holder_behind_a_reconfiguration(seed: u64) -> Result<(), Violation> {
    for sub in 0..3 {
        let (mut world, dc, holder, rest) = held(Setup::plain(5, seed * 100 + sub));
        let old: Vec<u32> = [dc, holder, rest[0]].to_vec();
        reconfigure(&mut world, dc, &old);
        let friend = rest[0];
        for from in others(&world, holder) {
            world.net.path(from, holder).swallows = Some(is_append);
        }
        reconfigure(&mut world, dc, &[dc, rest[1], rest[2]]);
        world.run(sub * 40 * MS);
        // From here on the two old voters hear each other alone.
        let until = world.now + 5 * SECOND;
        split(&mut world, &[holder, friend], until);
        insist(&mut world, rest[1], 4 * SECOND);
        verdict(world)?;
    }
    Ok(())
}
