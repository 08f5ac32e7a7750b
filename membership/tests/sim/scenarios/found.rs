//! What random seeds found in the core before it was put right, each played on purpose. Each has a
//! seeded bug of its own that takes the repair back.

use membership::{Ballot, Grant};

use super::two_nodes::{intent_against, two_with_fencing};
use super::*;

scenarios![
    a_snapshot_on_a_slow_disk,
    r1_a_crash_while_a_snapshot_takes_the_logs_place,
    the_word_of_a_snapshot_is_lost,
    a_command_overtaken_by_a_promise,
    a_certificate_in_memory_frees_nobody,
    soft_state_after_a_late_session,
    a_refusal_after_doubt_is_doubt,
    i8_a_refusal_after_the_end_is_none,
    the_first_word_of_a_dc_is_a_snapshot,
    a_loss_under_load,
    r8_a_session_outlasts_the_news,
    a_higher_promise_behind_the_log,
    what_a_lone_half_loses_is_kept,
    more_views_under_lower_ballots,
    a_recovery_outlasts_the_log,
    r6_what_a_recovery_asks_for_is_compacted,
    a_lone_half_beyond_the_others_log,
    a_lone_half_within_the_others_snapshot,
    what_a_lone_half_wrote_is_kept_as_entries,
    r9_disks_slower_than_the_detection,
    i8_a_doubtful_proposal_older_than_what_is_remembered,
];

/// A cluster of three whose third node was down for longer than logs reach back.
fn far_behind(seed: u64) -> (World, u32, u32) {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    world.kill(c);
    many_writes(&mut world, a);
    (world, a, c)
}

/// C lost its store, and knows how far it has to fetch. Before it gets anything, that is compacted:
/// it comes by in a snapshot that is newer.
fn r6_what_a_recovery_asks_for_is_compacted(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    world.kill(c);
    let node = world.node_mut(c);
    node.lost = std::mem::take(&mut node.disk);
    world.oracle.disk_lost(c);
    for other in others(&world, c) {
        world.net.path(other, c).swallows = Some(|m| {
            let log = matches!(m, Message::Append { .. } | Message::Fetched { .. });
            log || matches!(m, Message::Offer { .. } | Message::Chunk { .. })
        });
    }
    world.start(c);
    // Its first process learns that it is an older one than the others know.
    world.run(4 * SECOND);
    many_writes(&mut world, a);
    for other in others(&world, c) {
        world.net.path(other, c).swallows = None;
    }
    ends_well(world)
}

/// Until the log is compacted.
fn many_writes(world: &mut World, a: u32) {
    for _ in 0..11 {
        for _ in 0..100 {
            world.write_at(a);
        }
        world.run(30 * MS);
    }
    world.until("the log was compacted", SECOND, |w| {
        let core = w.node(a).core.as_ref();
        core.is_some_and(|core| core.probe().base.seq > 0)
    });
}

/// C installs a snapshot, and its disk hangs: nobody may rely on it before it is written.
fn a_snapshot_on_a_slow_disk(seed: u64) -> Result<(), Violation> {
    let (mut world, _, c) = far_behind(seed);
    for other in others(&world, c) {
        world.net.path(other, c).swallows = Some(|m| matches!(m, Message::Chunk { .. }));
    }
    world.start(c);
    world.run(300 * MS);
    let stalled = world.now + 1_500 * MS;
    world.node_mut(c).disk_stalled_until = stalled;
    for other in others(&world, c) {
        world.net.path(other, c).swallows = None;
    }
    world.run(SECOND);
    ends_well(world)
}

/// C has acknowledged entries, is away for so long that it needs a snapshot, and dies when its disk has what
/// comes before the snapshot: it still has what it had acknowledged.
fn r1_a_crash_while_a_snapshot_takes_the_logs_place(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    keep_writing(&mut world, &[a], SECOND);
    world.run(SECOND);
    let had = world.node(c).disk.head();
    world.kill(c);
    many_writes(&mut world, a);
    world.start(c);
    world.node_mut(c).disk_stalled_until = world.now + 100 * MS;
    let before_it = |w: &World| {
        let mut ops = w.node(c).writes.iter().flat_map(|w| &w.ops);
        ops.position(|op| matches!(op, membership::DurableOp::Snapshot { .. }))
    };
    let installs = |w: &World| before_it(w).is_some();
    world.until("C installs a snapshot", 2 * SECOND, installs);
    let written = before_it(&world).unwrap_or(0);
    world.kill_having_written(c, written);
    let has = world.node(c).disk.head();
    if has < had {
        let text = format!("node {c} had log {had} on its disk, and has {has}");
        world.oracle.now = world.now;
        world.oracle.fail("R1", text);
    }
    world.start(c);
    ends_well(world)
}

/// A goes on with B until C's place in the log is compacted, while what C says is lost: C has
/// everything, is offered a snapshot, and says so again.
fn the_word_of_a_snapshot_is_lost(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    world.net.path(c, a).swallows = Some(|m| matches!(m, Message::Ack { .. }));
    many_writes(&mut world, a);
    world.run(SECOND);
    world.net.path(c, a).swallows = None;
    world.until("all are level", 2 * SECOND, World::settled);
    ends_well(world)
}

/// C takes a command of A's and promises B a newer ballot, both in one write to the disk.
fn a_command_overtaken_by_a_promise(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    let stalled = world.now + 1_200 * MS;
    world.node_mut(c).disk_stalled_until = stalled;
    // As many writes as may be under way; what is decided next waits for all of them.
    for _ in 0..4 {
        world.write_at(a);
        world.run(5 * MS);
    }
    let payload = vec![7; 16];
    world.input(
        a,
        Input::Command {
            to: NodeId(c),
            payload,
        },
    );
    world.run(5 * MS);
    world.kill(a);
    world.run(3 * SECOND);
    ends_well(world)
}

/// A is alone and has just fenced B; the result is not on A's disk yet.
fn a_certificate_in_memory_frees_nobody(seed: u64) -> Result<(), Violation> {
    let mut world = founded(two_with_fencing(seed));
    let a = dc_of(&world);
    let b = 3 - a;
    world.calm = true;
    world.kill(b);
    world.node_mut(b).off_until = u64::MAX;
    world.until("A acts alone", 3 * SECOND, |w| {
        let probe = w.node(a).core.as_ref().map(Core::probe);
        probe.is_some_and(|p| p.acting.is_some() && p.restricted)
    });
    intent_against(&mut world, a, b);
    world.run(30 * MS);
    let stalled = world.now + 1_500 * MS;
    world.node_mut(a).disk_stalled_until = stalled;
    world.run(1_400 * MS);
    world.node_mut(b).off_until = stalled;
    ends_well(world)
}

/// C is in the view before B has a session with C's new process.
fn soft_state_after_a_late_session(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let (b, c) = (rest[0], rest[1]);
    for id in 1..=3 {
        for _ in 0..6 {
            world.publish(id);
        }
    }
    world.kill(c);
    let until = world.now + 2 * SECOND;
    world.net.cut_both(b, c, until);
    world.start(c);
    world.run(3 * SECOND);
    ends_well(world)
}

/// C is away while a new coordinator begins and writes so much that what C lacks is compacted. The
/// first that C hears of that ballot is the offer of a snapshot.
fn the_first_word_of_a_dc_is_a_snapshot(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    let until = world.now + 60 * SECOND;
    world.isolate(c, until);
    world.run(SECOND);
    world.restart(a, 20 * MS, 50 * MS);
    world.run(50 * MS);
    world.until("a new ballot", 5 * SECOND, |w| w.dc().is_some());
    write_very_much(&mut world);
    ends_well(world)
}

/// So much that what a node lacks that is away is compacted.
fn write_very_much(world: &mut World) {
    for _ in 0..40 {
        let dc = dc_of(world);
        for _ in 0..50 {
            world.write_at(dc);
        }
        world.run(40 * MS);
    }
}

/// C stood for elections that nobody heard of, and nobody hears it while a coordinator begins and
/// writes very much. When it is heard, what it lacks comes as a snapshot, of a ballot below its promise.
fn a_higher_promise_behind_the_log(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let c = others(&world, a)[1];
    // Sessions stand, so that the coordinator begins with C's process as a peer.
    for other in others(&world, c) {
        world.net.path(other, c).swallows = Some(|_| true);
        world.net.path(c, other).swallows = Some(|_| true);
    }
    world.kill(c);
    if let Some(safety) = &mut world.node_mut(c).disk.safety {
        safety.promised = Ballot {
            counter: 9,
            node: c,
        };
    }
    world.start(c);
    world.run(SECOND);
    world.restart(a, 20 * MS, 50 * MS);
    world.run(50 * MS);
    world.until("a new ballot", 5 * SECOND, |w| w.dc().is_some());
    write_very_much(&mut world);
    ends_well(world)
}

/// B is cut off from C and starts anew; A's view names the new process, and C has that view. Then A
/// starts anew as well: C leads, and still has a session with B's old process, which it heard less
/// than T ago.
fn r8_a_session_outlasts_the_news(seed: u64) -> Result<(), Violation> {
    for sub in 0..4 {
        let mut world = founded(Setup::plain(3, seed * 100 + sub));
        let a = dc_of(&world);
        let rest = others(&world, a);
        let (b, c) = (rest[0], rest[1]);
        world.run(SECOND + sub * 13 * MS);
        let until = world.now + 2 * SECOND;
        world.net.cut_both(b, c, until);
        world.kill(b);
        world.start(b);
        let names_new = |w: &World| {
            let core = w.node(c).core.as_ref();
            core.is_some_and(|core| core.probe().view.names(&w.node(b).me))
        };
        world.until("C has the view with B's new process", SECOND, names_new);
        world.net.cut_both(a, b, until);
        world.kill(a);
        world.start(a);
        world.until("C leads", SECOND, |w| w.dc() == Some(c));
        ends_well(world)?;
    }
    Ok(())
}

/// Of two nodes, an entry is lost on its way, and clients go on writing, more often than packets are
/// sent again.
fn a_loss_under_load(seed: u64) -> Result<(), Violation> {
    let mut setup = Setup::plain(2, seed);
    setup.t_fail_us = vec![5 * SECOND; 2];
    let mut world = founded(setup);
    let a = dc_of(&world);
    let b = 3 - a;
    world.net.path(a, b).swallows = Some(|m| matches!(m, Message::Append { .. }));
    let first = world.write_at(a);
    world.run(5 * MS);
    world.net.path(a, b).swallows = None;
    let end = world.now + 5 * SECOND;
    while world.now < end && !world.oracle.is_committed(first) {
        world.write_at(a);
        world.run(60 * MS);
    }
    if !world.oracle.is_committed(first) {
        let text = format!("not committed in five seconds\n{}", world.picture());
        world.oracle.now = world.now;
        world.oracle.fail("I23", text);
    }
    ends_well(world)
}

/// A refuses what B asks for, and the answer is late. Another coordinator takes it, it is done, and B's
/// client knows. Then A's answer comes.
fn i8_a_refusal_after_the_end_is_none(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let b = others(&world, a)[0];
    let parcel = |m: &Message| matches!(m, Message::Parcel { .. });
    world.net.path(a, b).swallows = Some(parcel);
    let op = world.new_op();
    world.propose(b, op, EntryBody::Revoke { grant_no: 1 });
    world.run(50 * MS);
    // Of a grant that does not stand yet.
    let holder = world.node(a).me;
    let first = world.new_op();
    world.propose(a, first, EntryBody::Grant(Grant::wanted("vip", holder)));
    world.run(50 * MS);
    let until = world.now + 2 * SECOND;
    world.isolate(a, until);
    world.until("another DC does it", 2 * SECOND, |w| {
        w.oracle.is_committed(op)
    });
    world.run(2 * SECOND);
    world.net.path(a, b).swallows = None;
    world.run(2 * SECOND);
    ends_well(world)
}

/// B asks A, which writes it down before both are cut apart; B, alone, then asks itself and is
/// refused. A fences B, and what B asked for is committed.
fn a_refusal_after_doubt_is_doubt(seed: u64) -> Result<(), Violation> {
    let mut world = founded(two_with_fencing(seed));
    let a = dc_of(&world);
    let b = 3 - a;
    world.calm = true;
    let until = world.now + 8 * SECOND;
    world.net.cut(a, b, until);
    let op = world.write_at(b);
    world.run(5 * MS);
    world.net.cut(b, a, until);
    world.until("both act alone", 3 * SECOND, |w| w.acting().len() == 2);
    world.run(100 * MS);
    intent_against(&mut world, a, b);
    world.until("A committed what B asked for", 3 * SECOND, |w| {
        let core = w.node(a).core.as_ref();
        core.is_some_and(|c| c.probe().commit == c.probe().head.seq) && w.oracle.is_committed(op)
    });
    ends_well(world)
}

/// Two halves without fencing: A has written what B did not get, becomes alone, acknowledges it, and
/// dies before its disk knows that. B went on as well, and its log wins: A gives way and keeps what
/// it had acknowledged.
fn what_a_lone_half_loses_is_kept(seed: u64) -> Result<(), Violation> {
    for variant in 0..4 {
        let mut setup = Setup::plain(2, seed + variant);
        setup.voters.two_node = true;
        setup.voters.wait_for_all = true;
        let mut world = founded(setup);
        let a = dc_of(&world);
        let b = 3 - a;
        // What both have: nothing much, or more than one packet.
        for _ in 0..variant * 20 {
            world.write_at(a);
        }
        world.run(100 * MS);
        let until = world.now + 3 * SECOND;
        world.net.cut_both(a, b, until);
        for _ in 0..3 {
            world.write_at(a);
            world.run(10 * MS);
        }
        let alone = |w: &World| {
            let probe = w.node(a).core.as_ref().map(Core::probe);
            probe.is_some_and(|p| p.view.members.len() == 1 && p.durable == p.head.seq)
        };
        for _ in 0..10_000 {
            if !alone(&world) {
                world.run(100);
            }
        }
        world.kill(a);
        for _ in 0..5 {
            world.run(300 * MS);
            world.write_at(b);
        }
        world.start(a);
        world.run(2 * SECOND);
        ends_well(world)?;
    }
    Ok(())
}

/// B, alone, needs many ballots for one view; A fences it and goes through many views, each under a
/// lower ballot. B returns and takes over A's log: neither number on its disk goes back.
fn more_views_under_lower_ballots(seed: u64) -> Result<(), Violation> {
    let mut world = founded(two_with_fencing(seed));
    let a = dc_of(&world);
    let b = 3 - a;
    world.calm = true;
    let until = world.now + 60 * SECOND;
    world.net.cut_both(a, b, until);
    let stalled = world.now + 2_300 * MS;
    world.node_mut(b).disk_stalled_until = stalled;
    world.until("both act alone", 5 * SECOND, |w| w.acting().len() == 2);
    intent_against(&mut world, a, b);
    world.until("the survivor is free", 3 * SECOND, |w| {
        let probe = w.node(a).core.as_ref().map(Core::probe);
        probe.is_some_and(|p| p.acting.is_some() && !p.restricted)
    });
    world.node_mut(b).off_until = u64::MAX;
    for _ in 0..2 {
        // Time to note that it is the sole survivor.
        world.run(100 * MS);
        world.kill(a);
        world.start(a);
        world.until("the survivor acts again", 3 * SECOND, |w| w.acting() == [a]);
    }
    for _ in 0..60 {
        world.write_at(a);
        world.run(5 * MS);
    }
    world.net.heal();
    world.node_mut(b).off_until = 0;
    world.start(b);
    ends_well(world)
}

/// C has lost its store and recovers for so long that the coordinator compacts its log meanwhile,
/// beyond where it meant to go on with C: C has everything then, and says so.
fn a_recovery_outlasts_the_log(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let rest = others(&world, a);
    let (b, c) = (rest[0], rest[1]);
    world.kill(c);
    let node = world.node_mut(c);
    node.lost = std::mem::take(&mut node.disk);
    world.oracle.disk_lost(c);
    for other in [a, b] {
        world.net.path(other, c).swallows = Some(|m| matches!(m, Message::RecoverState { .. }));
    }
    world.start(c);
    world.run(500 * MS);
    // Whoever leads now means to go on with C from here.
    world.kill(a);
    world.start(a);
    world.until("a coordinator acts", 3 * SECOND, |w| w.dc().is_some());
    let dc = dc_of(&world);
    many_writes(&mut world, dc);
    for other in [a, b] {
        world.net.path(other, c).swallows = None;
    }
    world.until("C is in again", 3 * SECOND, World::settled);
    ends_well(world)
}

/// Two halves without fencing that lost each other: the one that led, and the other.
fn two_halves(seed: u64) -> (World, u32, u32) {
    let mut setup = Setup::plain(2, seed);
    setup.voters.two_node = true;
    setup.voters.wait_for_all = true;
    let mut world = founded(setup);
    let a = dc_of(&world);
    let b = 3 - a;
    world.net.cut_both(a, b, u64::MAX);
    world.until("both act alone", 5 * SECOND, |w| w.acting().len() == 2);
    (world, a, b)
}

fn base_of(world: &World, id: u32) -> u64 {
    let core = world.node(id).core.as_ref();
    core.map_or(0, |core| core.probe().base.seq)
}

/// A writes so much alone that its snapshot lies beyond the whole log of B, which wins by its
/// ballot: A has nothing left to compare it with, and gives way all the same.
fn a_lone_half_beyond_the_others_log(seed: u64) -> Result<(), Violation> {
    let (mut world, a, b) = two_halves(seed);
    writes_alone(&mut world, a, 44);
    for _ in 0..3 {
        world.write_at(b);
        world.run(10 * MS);
    }
    if seed.is_multiple_of(2) {
        world.restart(a, 10 * MS, 20 * MS);
    }
    world.run(SECOND);
    ends_well(world)
}

/// Until the log of a lone half was compacted.
fn writes_alone(world: &mut World, id: u32, hundreds: u32) {
    for _ in 0..hundreds {
        for _ in 0..100 {
            world.write_at(id);
        }
        world.run(30 * MS);
    }
    world.until("its log was compacted", 5 * SECOND, |w| {
        base_of(w, id) > 3_000
    });
}

/// Both halves wrote much, A a little more; B wins and after a restart has nothing older than its
/// snapshot, which differs from what A has there.
fn a_lone_half_within_the_others_snapshot(seed: u64) -> Result<(), Violation> {
    let (mut world, a, b) = two_halves(seed);
    writes_alone(&mut world, b, 42);
    writes_alone(&mut world, a, 46);
    world.restart(b, 10 * MS, 20 * MS);
    world.run(SECOND);
    ends_well(world)
}

/// As many entries as make a snapshot elsewhere: all that A loses is in the conflict (I20).
fn what_a_lone_half_wrote_is_kept_as_entries(seed: u64) -> Result<(), Violation> {
    let (mut world, a, _) = two_halves(seed);
    for _ in 0..15 {
        for _ in 0..100 {
            world.write_at(a);
        }
        world.run(30 * MS);
    }
    world.run(SECOND);
    ends_well(world)
}

/// A promise takes each of two disks more than half of T: what a candidate is given is enough for it.
fn r9_disks_slower_than_the_detection(seed: u64) -> Result<(), Violation> {
    let mut world = World::new(Setup::plain(2, seed), Profile::calm());
    (1..=2).for_each(|id| slow_down(&mut world, id, (300, 700), 0));
    world.start_all();
    world.until("elected", 20 * SECOND, World::settled);
    ends_well(world)
}

/// B's proposal is committed and B does not hear of it. When B is back there is another coordinator, so
/// many operations later that nobody remembers: B gives it again, and must not have it appended twice.
fn i8_a_doubtful_proposal_older_than_what_is_remembered(seed: u64) -> Result<(), Violation> {
    let mut world = founded(Setup::plain(3, seed));
    let a = dc_of(&world);
    let (b, c) = (others(&world, a)[0], others(&world, a)[1]);
    for from in [a, c] {
        world.net.path(from, b).swallows = Some(|_| true);
    }
    world.write_at(b);
    world.run(100 * MS);
    for from in [a, c] {
        world.net.path(from, b).swallows = None;
    }
    let apart = world.now + 8 * SECOND;
    split(&mut world, &[b], apart);
    world.kill(a);
    world.run(SECOND);
    world.start(a);
    world.until("A and C act", 3 * SECOND, |w| !w.acting().is_empty());
    let dc = world.acting()[0];
    for _ in 0..5 {
        many_writes(&mut world, dc);
    }
    world.run(apart - world.now.min(apart));
    ends_well(world)
}
