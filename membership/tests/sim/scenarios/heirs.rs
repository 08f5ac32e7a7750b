//! A grant that waits for the one before it (R12): who is named before the holder stops, and opens on
//! that very process's word alone, so that no disk is waited for while the VIP is silent.

use super::leases::{VIP, held, holder_of, insist, never_silent, standing, verdict};
use super::*;

scenarios![
    r12_an_heir_waits_for_no_disk,
    r12_an_heir_without_the_word,
    r12_only_the_holder_gives_up,
    r12_a_word_is_final,
    r12_an_heir_is_not_passed_over,
    r12_an_heir_outlives_a_revoke,
    r12_an_heir_dies_unused,
    r12_the_holder_dies_before_its_word,
    r12_an_heir_is_taken_back,
    r12_the_coordinator_dies_between,
    r12_the_holder_starts_anew_before_an_heir,
];

/// A cluster whose holder has an heir that knows of it: coordinator, holder, heir, the others.
fn with_heir(setup: Setup) -> (World, u32, u32, u32, Vec<u32>) {
    let (mut world, dc, holder, rest) = held(setup);
    let heir = rest[0];
    let to = world.node(heir).me;
    world.grant_in_turn(dc, VIP, to);
    world.until("everybody knows the heir", SECOND, |w| {
        let ids = (1..=w.size()).filter(|id| w.node(*id).up());
        let mut grants = ids.map(|id| heir_at(w, id));
        grants.all(|g| g == Some(to))
    });
    (world, dc, holder, heir, rest[1..].to_vec())
}

/// The holder stops as soon as no write of its lease thread is under way.
fn let_go(world: &mut World, holder: u32) {
    for _ in 0..100 {
        world.release(holder, VIP);
        let core = world.node(holder).core.as_ref();
        if core.is_none_or(|c| c.leases().is_empty()) {
            return;
        }
        world.run(MS / 5);
    }
}

fn heir_at(world: &World, at: u32) -> Option<wire::Identity> {
    let core = world.node(at).core.as_ref()?;
    core.log_state().heirs.get(VIP).map(|g| g.holder)
}

fn silent_at(world: &mut World, id: u32, for_us: u64, rule: &str) {
    let end = world.now + for_us;
    while world.now < end && world.oracle.violation.is_none() {
        world.run(MS);
        if world.kernels.lives(id, VIP, world.now) {
            let text = format!("node {id} answers for {VIP}\n{}", world.picture());
            world.oracle.now = world.now;
            world.oracle.fail(rule, text);
        }
    }
}

fn fail(world: &mut World, rule: &str, text: String) {
    let text = format!("{text}\n{}", world.picture());
    world.oracle.now = world.now;
    world.oracle.fail(rule, text);
}

/// Every disk hangs while the VIP goes over; the log hears of it afterwards.
fn r12_an_heir_waits_for_no_disk(seed: u64) -> Result<(), Violation> {
    for sub in 0..4 {
        let (mut world, _, holder, heir, _) = with_heir(Setup::plain(3, seed * 100 + sub));
        let until = world.now + 100 * MS;
        for id in 1..=world.size() {
            world.node_mut(id).disk_stalled_until = until;
        }
        let began = world.now;
        let_go(&mut world, holder);
        world.until("the heir answers", SECOND, |w| w.owner(VIP) == Some(heir));
        let took_us = world.now - began;
        if took_us > 20 * MS {
            fail(
                &mut world,
                "T",
                format!("it took {took_us} us, with disks that hang"),
            );
        }
        never_silent(&mut world, heir, SECOND, "R12");
        let known = (1..=world.size()).all(|id| holder_of(&world, id) == Some(heir));
        if !known && world.oracle.violation.is_none() {
            fail(&mut world, "R12", "the log never learned of it".to_owned());
        }
        verdict(world)?;
    }
    Ok(())
}

fn r12_an_heir_without_the_word(seed: u64) -> Result<(), Violation> {
    let (mut world, _, holder, heir, _) = with_heir(Setup::plain(3, seed));
    silent_at(&mut world, heir, SECOND, "R12");
    never_silent(&mut world, holder, SECOND, "R12");
    // Frozen, it cannot say it; its kernel falls silent by itself, and the heir still waits for the
    // cluster to see that.
    world.pause(holder, 400 * MS);
    silent_at(&mut world, heir, 390 * MS, "R12");
    verdict(world)
}

/// What another node's process says of the holder's grant, or the holder's next process of its
/// predecessor's, whose element still stands, is nobody's word.
fn r12_only_the_holder_gives_up(seed: u64) -> Result<(), Violation> {
    let (mut world, dc, holder, heir, rest) = with_heir(Setup::plain(5, seed));
    let grant_no = standing(&world, dc).map_or(0, |g| g.grant_no);
    for liar in [dc, heir, rest[0]] {
        world.say_given_up(liar, VIP, grant_no);
    }
    silent_at(&mut world, heir, 300 * MS, "R12");
    world.kill(holder);
    world.start(holder);
    let ready = |w: &World| w.node(holder).core.as_ref().is_some_and(Core::may_speak);
    world.until("it may speak", SECOND, ready);
    for _ in 0..20 {
        world.say_given_up(holder, VIP, grant_no);
        silent_at(&mut world, heir, 5 * MS, "R12");
    }
    verdict(world)
}

/// Who said the word never again relies on that grant, although the log says for a while that it may.
fn r12_a_word_is_final(seed: u64) -> Result<(), Violation> {
    for sub in 0..4 {
        let (mut world, _, holder, heir, _) = with_heir(Setup::plain(3, seed * 100 + sub));
        let until = world.now + 300 * MS;
        for id in 1..=world.size() {
            world.node_mut(id).disk_stalled_until = until;
        }
        let_go(&mut world, holder);
        world.until("the heir answers", SECOND, |w| w.owner(VIP) == Some(heir));
        silent_at(&mut world, holder, SECOND, "R12");
        verdict(world)?;
    }
    Ok(())
}

/// The heir has the word and answers; the log never heard of it, for the old holder is dead. Nobody
/// else may have the VIP as long as the heir is a member.
fn r12_an_heir_is_not_passed_over(seed: u64) -> Result<(), Violation> {
    let (mut world, dc, holder, heir, rest) = with_heir(Setup::plain(5, seed));
    world.kernels.word_only = true;
    let_go(&mut world, holder);
    world.until("the heir answers", SECOND, |w| w.owner(VIP) == Some(heir));
    world.power_off(holder);
    let end = world.now + 2 * SECOND;
    while world.now < end && world.oracle.violation.is_none() {
        let to = world.node(rest[0]).me;
        world.grant(dc, VIP, to);
        never_silent(&mut world, heir, 20 * MS, "R12");
    }
    // It may have it for good, by a grant that waits for nobody.
    insist(&mut world, heir, SECOND);
    let to = world.node(heir).me;
    world.grant(dc, VIP, to);
    never_silent(&mut world, heir, SECOND, "R12");
    if standing(&world, dc).map(|g| g.holder) != Some(to) && world.oracle.violation.is_none() {
        fail(
            &mut world,
            "R12",
            "the heir was not granted what it has".to_owned(),
        );
    }
    verdict(world)
}

/// The old grant is revoked after its holder gave it up: that is nothing to who has the word.
fn r12_an_heir_outlives_a_revoke(seed: u64) -> Result<(), Violation> {
    let (mut world, dc, holder, heir, rest) = with_heir(Setup::plain(5, seed));
    world.kernels.word_only = true;
    let grant_no = standing(&world, dc).map_or(0, |g| g.grant_no);
    let_go(&mut world, holder);
    world.until("the heir answers", SECOND, |w| w.owner(VIP) == Some(heir));
    world.revoke(dc, grant_no);
    never_silent(&mut world, heir, 200 * MS, "R12");
    for _ in 0..50 {
        let to = world.node(rest[0]).me;
        world.grant(dc, VIP, to);
        never_silent(&mut world, heir, 20 * MS, "R12");
    }
    verdict(world)
}

fn r12_an_heir_dies_unused(seed: u64) -> Result<(), Violation> {
    for after_ms in [0, 1, 3, 40] {
        let (mut world, _, holder, heir, rest) = with_heir(Setup::plain(5, seed + after_ms));
        let said_first = after_ms % 2 == 1;
        if said_first {
            let_go(&mut world, holder);
            world.run(after_ms * MS);
        }
        world.power_off(heir);
        if !said_first {
            world.run(after_ms * MS);
            let_go(&mut world, holder);
        }
        insist(&mut world, rest[0], 3 * SECOND);
        world.run(SECOND);
        verdict(world)?;
    }
    Ok(())
}

/// It closed its gate and died before it could say so: what its kernel may still do is waited for.
fn r12_the_holder_dies_before_its_word(seed: u64) -> Result<(), Violation> {
    for sub in 0..3 {
        let (mut world, _, holder, heir, _) = with_heir(Setup::plain(3, seed * 100 + sub));
        let until = world.now + 5 * SECOND;
        for to in others(&world, holder) {
            world.net.cut(holder, to, until);
        }
        let_go(&mut world, holder);
        world.kill(holder);
        silent_at(&mut world, heir, 400 * MS, "R12");
        insist(&mut world, heir, 3 * SECOND);
        verdict(world)?;
    }
    Ok(())
}

/// The plan is another one: the heir gives back what it never used. A word that comes afterwards
/// opens nothing, and anybody may have the VIP.
fn r12_an_heir_is_taken_back(seed: u64) -> Result<(), Violation> {
    let (mut world, dc, holder, heir, rest) = with_heir(Setup::plain(5, seed));
    world.net.path(holder, heir).late_us = 30 * MS;
    world.kernels.word_only = true;
    let grant_no = standing(&world, dc).map_or(0, |g| g.grant_no);
    let_go(&mut world, holder);
    world.run(10 * MS);
    world.settle_heir(dc, VIP);
    silent_at(&mut world, heir, 300 * MS, "R12");
    world.tell_released(holder, VIP, grant_no);
    insist(&mut world, rest[0], 2 * SECOND);
    verdict(world)?;

    let (mut world, dc, holder, _, _) = with_heir(Setup::plain(3, seed));
    world.settle_heir(dc, VIP);
    never_silent(&mut world, holder, SECOND, "R12");
    if heir_at(&world, dc).is_some() && world.oracle.violation.is_none() {
        fail(
            &mut world,
            "R12",
            "a grant that was given back still waits".to_owned(),
        );
    }
    verdict(world)
}

fn r12_the_coordinator_dies_between(seed: u64) -> Result<(), Violation> {
    for after_ms in [0, 1, 2, 5, 50] {
        let (mut world, dc, holder, heir, _) = with_heir(Setup::plain(3, seed + after_ms));
        world.kill(dc);
        world.run(after_ms * MS);
        let_go(&mut world, holder);
        world.until("the heir answers", SECOND, |w| w.owner(VIP) == Some(heir));
        never_silent(&mut world, heir, 2 * SECOND, "R12");
        let known = |w: &World| holder_of(w, heir) == Some(heir);
        world.until("the log knows", 6 * SECOND, known);
        verdict(world)?;
    }
    Ok(())
}

/// kill -9 of the holder while somebody waits for its word: the next process says nothing, and has
/// the VIP again once the heir has given it back.
fn r12_the_holder_starts_anew_before_an_heir(seed: u64) -> Result<(), Violation> {
    let (mut world, dc, holder, _, _) = with_heir(Setup::plain(3, seed));
    world.kill(holder);
    world.start(holder);
    let me = world.node(holder).me;
    let member = |w: &World| {
        let core = w.node(dc).core.as_ref();
        core.is_some_and(|c| c.probe().view.names(&me))
    };
    world.until("it is a member again", 3 * SECOND, member);
    world.grant(dc, VIP, me);
    world.run(50 * MS);
    if standing(&world, dc).map(|g| g.holder) == Some(me) && world.oracle.violation.is_none() {
        fail(
            &mut world,
            "R12",
            "it was granted although an heir waits".to_owned(),
        );
    }
    world.settle_heir(dc, VIP);
    world.run(50 * MS);
    world.grant(dc, VIP, me);
    world.until("it has the VIP", SECOND, |w| w.owner(VIP) == Some(holder));
    never_silent(&mut world, holder, SECOND, "R12");
    verdict(world)
}
